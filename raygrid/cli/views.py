"""Commands that look at what is saved, or tidy it up; none of them imports TensorFlow or Ray."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from raygrid.base.wording import counted
from raygrid.cli.search import where_options

if TYPE_CHECKING:
    from raygrid.store.paths import ModelArtifacts


_SEARCH_FIRST = "Check --model-dir and --prefix, or train with 'raygrid search' first."


def _artifacts(model_dir: Path, prefix: str) -> ModelArtifacts:
    from raygrid.store.paths import ModelArtifacts, check_prefix

    return ModelArtifacts.for_prefix(model_dir.absolute(), check_prefix(prefix))


@click.command()
@where_options
@click.option(
    "--rows", type=click.IntRange(min=1), default=20, show_default=True, help="How many of the best points to show."
)
def results(model_dir: Path, prefix: str, rows: int) -> None:
    """The points that are trained, best first; also while a search runs."""
    from raygrid.errors import MissingArtifactError
    from raygrid.search.run import recorded_results
    from raygrid.store.ledger import results_text

    paths = _artifacts(model_dir, prefix)
    table = recorded_results(paths)
    if table.num_rows == 0:
        raise MissingArtifactError(f"no point is recorded under {prefix!r} in {paths.model_dir}.", remedy=_SEARCH_FIRST)
    click.echo(results_text(table, rows))
    if paths.ledger_path.exists():
        click.echo(f"\nall columns: {paths.ledger_path}")


@click.command()
@where_options
def show(model_dir: Path, prefix: str) -> None:
    """The published model: config, metrics, and what it depends on."""
    from raygrid.errors import MissingArtifactError
    from raygrid.store.published import read_cached

    paths = _artifacts(model_dir, prefix)
    cached = read_cached(paths)
    if cached is None:
        raise MissingArtifactError(f"nothing is published as {prefix!r} in {paths.model_dir}.", remedy=_SEARCH_FIRST)
    manifest = cached.manifest
    click.echo(f"model      {paths.model_path}")
    if manifest.model_class:
        click.echo(f"class      {manifest.model_class}")
        click.echo(f"published  {manifest.created}")
    click.echo(f"scaler     {'yes' if cached.scaling else 'no'}")
    for title, values in (("config", cached.config), ("metrics", cached.metrics), ("versions", manifest.versions)):
        _echo_block(title, values)
    _echo_block("settings", manifest.depends_on.get("settings", {}))
    data = manifest.depends_on.get("data", {})
    arrays = {name: entry for name, entry in data.items() if "path" not in entry}
    _echo_block("columns", {n: ", ".join(a["names"]) for n, a in arrays.items() if "names" in a})
    # What is no array, such as datasets, has no shape.
    _echo_block("data", {n: f"{_shape_text(a['shape'])}digest {a['digest'][:12]}" for n, a in arrays.items()})
    sizes = [(f["path"], f["size"], f["digest"]) for f in manifest.depends_on.get("files", {}).values()]
    sizes += [(f["path"], *f["shape"], f["digest"]) for f in data.values() if "path" in f]
    _echo_block("files", {path: f"{counted(size, 'byte')}  digest {digest[:12]}" for path, size, digest in sizes})


def _shape_text(shape: Sequence[int]) -> str:
    return f"{'x'.join(map(str, shape))}  " if shape else ""


def _echo_block(title: str, values: Mapping[str, object]) -> None:
    if values:
        click.echo(title)
        for name, value in values.items():
            click.echo(f"  {name:<18} {value if isinstance(value, str) else json.dumps(value)}")


@click.command()
@where_options
def clean(model_dir: Path, prefix: str) -> None:
    """Remove what the published model does not need: weights of losing points, records of other data or code."""
    from raygrid.store.cleaning import clean_prefix

    report = clean_prefix(_artifacts(model_dir, prefix))
    if report.reset_pending:
        click.echo("a reset has begun and is not finished: all records are kept until it is")
    if report.unfinished:
        click.echo("a search is not finished: its weights and checkpoints are kept until it is")
    click.echo(f"removed {counted(report.records, 'record')} of other data, code, settings or experiments")
    click.echo(f"freed {report.freed_bytes / 2**20:.1f} MiB")


@click.command()
@where_options
@click.option(
    "--port", type=click.IntRange(0, 65535), default=6006, show_default=True, help="0 lets TensorBoard choose."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Who may connect; by default only this machine.")
def tensorboard(model_dir: Path, prefix: str, port: int, host: str) -> None:
    """Look at the trials in TensorBoard: curves, and a table of all hyperparameters."""
    from raygrid.cli.tensorboard_server import tensorboard_command
    from raygrid.errors import MissingArtifactError

    folder = _artifacts(model_dir, prefix).tensorboard_dir
    if not folder.is_dir():
        raise MissingArtifactError(
            f"there are no trials of {prefix!r} in {model_dir.absolute()}.", remedy=_SEARCH_FIRST
        )
    command = tensorboard_command(folder, port, host)
    # In this process' place, so that whoever stops the command stops the server.
    os.execv(command[0], command)
