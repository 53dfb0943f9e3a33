"""Publishes a set of artifacts, and reads the published one: old or new, never mixed.

A set is written whole into a folder of its own (a *generation*), then exported file by file beside the manifest,
and the manifest, replaced last, commits it. raygrid loads from the generation that the manifest names, after
checking its digests; the flat files are exports for people and other tools, and are checked too. While a set is
being published, a tool that reads the flat files can see some of the new and some of the old.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from raygrid.base.files import (
    MAX_JSON_BYTES,
    MAX_MODEL_BYTES,
    TEMPORARY_PREFIX,
    check_file,
    decode_json,
    encode_json,
    leftovers,
    make_folder,
    read_bytes,
    read_checked,
    refuse_links,
    remove_file,
    rename_folder,
    sync_folder,
    temporary_name,
    write_bytes,
    write_new,
)
from raygrid.errors import RESTORE, CorruptArtifactError
from raygrid.store.manifest import FileEntry, Manifest
from raygrid.store.paths import ModelArtifacts

log = logging.getLogger("raygrid")

MANIFEST_NAME = "manifest.json"
# A set without a manifest, made by another implementation of the pattern, becomes a generation of this kind.
ADOPTED_PREFIX = "adopted-"
_READ_ATTEMPTS = 50


@dataclass(frozen=True)
class PublishedSet:
    """A committed set: its manifest, and the verified bytes of its files by file name."""

    manifest: Manifest
    files: Mapping[str, bytes]

    @property
    def legacy(self) -> bool:
        """Whether another implementation of the pattern made it: then nothing is known of data and code."""
        return not self.manifest.depends_on


def published_exists(paths: ModelArtifacts) -> bool:
    """Whether ALL required files of a published set are there; reads at most the manifest."""
    if not all(map(_is_there, paths.required)):
        return False
    manifest = read_manifest(paths)
    if manifest is None:
        return _is_legacy(paths)
    return all(_is_there(paths.model_dir / name) for name in manifest.files)


def _is_there(path: Path) -> bool:
    # A link, dangling or not, is something in that place; reading refuses it.
    return path.is_file() or path.is_symlink()


def read_manifest(paths: ModelArtifacts) -> Manifest | None:
    """The committed manifest, None where there is none.

    Raises:
        CorruptArtifactError: it is damaged, or of another prefix.
        VersionError: a newer raygrid wrote it.
    """
    try:
        data = read_bytes(paths.manifest_path)
    except FileNotFoundError:
        return None
    manifest = Manifest.from_json(decode_json(data, paths.manifest_path), paths.manifest_path)
    required = {path.name for path in paths.required}
    if not required <= manifest.files.keys() or not all(map(paths.may_publish, manifest.files.keys() - required)):
        # A copy of another prefix' manifest would pass all checks of its files as long as that prefix is there.
        raise CorruptArtifactError(
            f"{paths.manifest_path} is not the manifest of the prefix {paths.prefix!r}: it names "
            f"{', '.join(sorted(manifest.files)) or 'no file'}.",
            remedy=RESTORE,
        )
    return manifest


def read_published(paths: ModelArtifacts) -> PublishedSet | None:
    """The committed set, every byte checked; None where nothing is published.

    Raises:
        CorruptArtifactError: a file is damaged, missing or edited.
    """
    problem: CorruptArtifactError | None = None
    previous: Manifest | None = None
    for _ in range(_READ_ATTEMPTS):
        manifest = read_manifest(paths)
        if manifest is None:
            legacy = _read_legacy(paths)
            if paths.manifest_path.exists():
                # The first writer came in between, so these files may be of two sets.
                continue
            return legacy
        # A writer may have committed another generation while this one was read; only what is wrong twice with
        # the same manifest is wrong.
        if problem is not None and manifest == previous:
            raise problem
        previous = manifest
        try:
            files = _read_generation(paths, manifest)
            _check_flat_files(paths, manifest)
            return PublishedSet(manifest, files)
        except CorruptArtifactError as error:
            problem = error
    raise problem or CorruptArtifactError(
        f"{paths.manifest_path} changed {_READ_ATTEMPTS} times while it was read.",
        remedy="Load it again once no search under this prefix is publishing.",
    )


def _read_generation(paths: ModelArtifacts, manifest: Manifest) -> dict[str, bytes]:
    folder = paths.generations_dir / manifest.generation
    refuse_links(paths.runs_dir, paths.generations_dir, folder)
    files = {}
    for name, entry in manifest.files.items():
        with _damage_told(folder / name, paths):
            files[name] = read_checked(folder / name, _limit(name), entry.size_bytes, entry.sha256)
    return files


def _limit(name: str) -> int:
    return MAX_MODEL_BYTES if name.endswith(".keras") else MAX_JSON_BYTES


@contextlib.contextmanager
def _damage_told(path: Path, paths: ModelArtifacts) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        what = f"{path} is missing, though {paths.manifest_path} names it."
        raise CorruptArtifactError(what, remedy=RESTORE) from None


def _check_flat_files(paths: ModelArtifacts, manifest: Manifest) -> None:
    others: list[Manifest] | None = None
    for name, entry in manifest.files.items():
        path = paths.model_dir / name
        try:
            with _damage_told(path, paths):
                check_file(path, entry.size_bytes, entry.sha256)
        except CorruptArtifactError:
            # A publish that was cut short leaves files of the newer generation; the next writer repairs them.
            others = _complete_generations(paths) if others is None else others
            if not any(_holds(path, other.files[name]) for other in others if name in other.files):
                raise


def _holds(path: Path, entry: FileEntry) -> bool:
    try:
        check_file(path, entry.size_bytes, entry.sha256)
    except (FileNotFoundError, CorruptArtifactError):
        return False
    return True


def _complete_generations(paths: ModelArtifacts) -> list[Manifest]:
    manifests = []
    for folder in _generation_folders(paths):
        path = folder / MANIFEST_NAME
        try:
            manifests.append(Manifest.from_json(decode_json(read_bytes(path), path), path))
        except (FileNotFoundError, CorruptArtifactError):
            continue
    return manifests


def _generation_folders(paths: ModelArtifacts) -> list[Path]:
    try:
        found = [p for p in paths.generations_dir.iterdir() if not p.name.startswith(TEMPORARY_PREFIX)]
        return sorted(p for p in found if p.is_dir() and not p.is_symlink())
    except FileNotFoundError:
        return []


def _is_legacy(paths: ModelArtifacts) -> bool:
    return all(folder.name.startswith(ADOPTED_PREFIX) for folder in _generation_folders(paths))


def _read_legacy(paths: ModelArtifacts) -> PublishedSet | None:
    if not all(map(_is_there, paths.required)) or not _is_legacy(paths):
        return None
    present = filter(_is_there, (*paths.required, paths.scaler_path))
    try:
        files = {path.name: read_bytes(path, _limit(path.name)) for path in present}
    except FileNotFoundError:
        # The first writer committed a set without a scaler while this one was read.
        return None
    return PublishedSet(Manifest("", {name: FileEntry.of(data) for name, data in files.items()}), files)


def publish(paths: ModelArtifacts, files: Mapping[str, bytes], manifest: Manifest) -> Manifest:
    """Puts a new set in place of the published one. The caller holds the prefix' lock.

    Args:
        paths: the names of the prefix.
        files: the bytes of every file by its flat name.
        manifest: what the set depends on; generation and files are filled in.

    Returns:
        The committed manifest.

    Raises:
        StorageError: it could not be written; the set that was published stays.
    """
    refuse_links(paths.runs_dir, paths.generations_dir)
    make_folder(paths.generations_dir)
    _remove_leftovers(paths)
    if read_manifest_or_damaged(paths) is None:
        _adopt_legacy(paths)
    manifest = _write_generation(paths, secrets.token_hex(8), files, manifest)
    for name in _scaler_first_metrics_last(paths, files):
        write_bytes(paths.model_dir / name, files[name])
    write_bytes(paths.manifest_path, encode_json(manifest.to_json()))
    remove_superseded(paths, manifest)
    return manifest


def read_manifest_or_damaged(paths: ModelArtifacts) -> Manifest | Exception | None:
    """The committed manifest, the error if it is damaged (a reset may replace it), or None where there is none."""
    try:
        return read_manifest(paths)
    except CorruptArtifactError as error:
        return error


def _adopt_legacy(paths: ModelArtifacts) -> None:
    legacy = _read_legacy(paths)
    if legacy is None:
        return
    generation = ADOPTED_PREFIX + secrets.token_hex(8)
    manifest = _write_generation(paths, generation, legacy.files, legacy.manifest)
    write_bytes(paths.manifest_path, encode_json(manifest.to_json()))


def _write_generation(
    paths: ModelArtifacts, generation: str, files: Mapping[str, bytes], manifest: Manifest
) -> Manifest:
    manifest = replace(
        manifest, generation=generation, files={name: FileEntry.of(data) for name, data in files.items()}
    )
    folder = paths.generations_dir / temporary_name()
    try:
        make_folder(folder)
        for name, data in files.items():
            write_new(folder / name, data)
        write_new(folder / MANIFEST_NAME, encode_json(manifest.to_json()))
        sync_folder(folder)
        rename_folder(folder, paths.generations_dir / generation)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return manifest


def _scaler_first_metrics_last(paths: ModelArtifacts, names: Mapping[str, bytes]) -> list[str]:
    # Other tools take a set to be complete once its metrics are there.
    last = [path.name for path in (paths.config_path, paths.model_path, paths.metrics_path)]
    # The scaler, and what else a model publishes, come before them.
    return sorted(names, key=lambda name: last.index(name) if name in last else -1)


def remove_superseded(paths: ModelArtifacts, manifest: Manifest) -> None:
    """Removes flat files that the committed set no longer has, such as a scaler, and other generations.

    Can be repeated: the other generations, which say what there was, go last.
    """
    for name in _names_ever_published(paths) - manifest.files.keys():
        remove_file(paths.model_dir / name)
    for folder in _generation_folders(paths):
        if folder.name != manifest.generation:
            shutil.rmtree(folder, ignore_errors=True)


def _names_ever_published(paths: ModelArtifacts) -> set[str]:
    further = {name for manifest in _complete_generations(paths) for name in manifest.files if paths.may_publish(name)}
    return {path.name for path in (*paths.required, paths.scaler_path)} | further


def _remove_leftovers(paths: ModelArtifacts) -> None:
    names = {paths.manifest_path.name, paths.ledger_path.name, *_names_ever_published(paths)}
    found = [path for name in names for path in leftovers(paths.model_dir, name)]
    for path in (*found, *leftovers(paths.runs_dir), *leftovers(paths.generations_dir)):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            remove_file(path)
