"""Sets of artifacts that show in every file which set it belongs to. Imports neither pytest nor numpy."""

from __future__ import annotations

import json
from pathlib import Path

from raygrid.store.manifest import Manifest
from raygrid.store.paths import ModelArtifacts
from raygrid.store.publishing import publish, published_exists, read_published


def files_of(paths: ModelArtifacts, label: str, scaler: bool) -> dict[str, bytes]:
    """The files of a set, with sizes that differ from those of other labels."""
    files = {
        paths.config_path.name: json.dumps({"set": label}).encode(),
        paths.model_path.name: label.encode() * 1000,
        paths.metrics_path.name: json.dumps({"val_loss": 1.0, "set": label}).encode(),
    }
    if scaler:
        files[paths.scaler_path.name] = json.dumps({"mean": [0.0], "scale": [1.0], "set": label}).encode()
    return files


def publish_set(paths: ModelArtifacts, label: str, scaler: bool) -> Manifest:
    """Publishes the set ``label``."""
    manifest = Manifest("", {}, depends_on={"set": label}, winner={"key": label})
    return publish(paths, files_of(paths, label, scaler), manifest)


def write_legacy(paths: ModelArtifacts, label: str, scaler: bool) -> None:
    """A set as another implementation of the pattern leaves it: flat files and no manifest."""
    paths.model_dir.mkdir(parents=True, exist_ok=True)
    for name, data in files_of(paths, label, scaler).items():
        (paths.model_dir / name).write_bytes(data)


def seen(paths: ModelArtifacts) -> str:
    """The label of the published set, after checking that all of it is of one set; ``nothing`` where there is none."""
    published = read_published(paths)
    assert published_exists(paths) == (published is not None)
    if published is None:
        return "nothing"
    label: str = json.loads(published.files[paths.config_path.name])["set"]
    assert published.files == files_of(paths, label, paths.scaler_path.name in published.files)
    assert published.legacy or published.manifest.depends_on == {"set": label}
    return label


def listing(folder: Path) -> list[str]:
    """Every file and folder below ``folder``, by its path from there."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def listing_of_set(paths: ModelArtifacts, manifest: Manifest) -> list[str]:
    """What belongs on the disk for a published set, and nothing else."""
    runs, generation = paths.runs_dir.name, f"{paths.runs_dir.name}/generations/{manifest.generation}"
    names = [*manifest.files, paths.manifest_path.name, runs, f"{runs}/generations", generation]
    names += [f"{generation}/{name}" for name in (*manifest.files, "manifest.json")]
    return sorted(names)
