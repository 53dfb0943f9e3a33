"""``raygrid search``: trains a grid, or loads what is trained already."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from raygrid.cli.local_path import LocalPath

if TYPE_CHECKING:
    from raygrid.cli.data import SearchData


def _names(context: click.Context, parameter: click.Parameter, value: str | None) -> list[str] | None:
    return [name.strip() for name in value.split(",") if name.strip()] if value else None


def _delimiter(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    # A shell makes it hard to type them.
    return None if value is None else {"tab": "\t", "\\t": "\t", "space": " "}.get(value, value)


def _texts(context: click.Context, parameter: click.Parameter, value: str | None) -> list[str] | None:
    # An empty one is given where no text stands for a missing value.
    return None if value is None else [text.strip() for text in value.split(",") if text.strip()]


model_dir_option = click.option(
    "--model-dir",
    type=LocalPath(folder=True),
    default=Path("models"),
    show_default=True,
    help="The folder of the files.",
)


def where_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which model is meant."""
    command = click.option(
        "--prefix", default="autoencoder", show_default=True, help="What the files' names begin with."
    )(command)
    return model_dir_option(command)


@click.command()
@click.option(
    "--data",
    type=LocalPath(folder=False),
    help="Parquet, Arrow/Feather, CSV, .npz or .npy file. Default: the embedded Tennessee Eastman data (simulated).",
)
@click.option("--run-column", "runs", metavar="NAME", help="The column of run ids, for a model of windows.")
@click.option("--features", callback=_names, metavar="A,B,...", help="Columns to use. Default: all but the target.")
@click.option("--target", callback=_names, metavar="A,B,...", help="Columns to predict. Default: none.")
@click.option(
    "--shuffle-split",
    is_flag=True,
    help="Hold out rows drawn by the seed instead of the last ones; of each class alike, where targets are labels.",
)
@click.option(
    "--delimiter", callback=_delimiter, metavar="CHAR", help="Of a CSV file; also: tab, space. Default: found out."
)
@click.option("--decimal", metavar="CHAR", help="Decimal mark of a CSV file, . or , . Default: found out.")
@click.option("--encoding", metavar="NAME", help="Of a CSV file, such as latin-1. Default: found out.")
@click.option(
    "--missing-values",
    callback=_texts,
    metavar="A,B,...",
    help="What stands for a missing value in a CSV file. Default: NA, nan, null, ? and the like.",
)
@click.option(
    "--missing",
    type=click.Choice(["error", "drop"]),
    default="error",
    show_default=True,
    help="What to do about rows of --data with missing values: refuse them, or leave them out.",
)
@click.option(
    "--model",
    default="autoencoder",
    show_default=True,
    help="A built-in model, or package.module:Class of your own, which may make its own datasets.",
)
@click.option(
    "--verify-data",
    is_flag=True,
    help="Read all data_files of a class that makes its own datasets, also those that look as they did before.",
)
@click.option(
    "--steps-per-epoch",
    type=click.IntRange(min=1),
    metavar="N",
    help="Batches of an epoch, where the class makes a dataset without an end.",
)
@click.option("--validation-steps", type=click.IntRange(min=1), metavar="N", help="The same for validation.")
@click.option("--grid", type=LocalPath(folder=False), help="The grid: a JSON, YAML or TOML file.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=JSON",
    help="One list of the grid, such as latent_dim=[8,16]; put over --grid, or else over the model's default grid. "
    "With --config: one value. Can be repeated.",
)
@click.option("--config", type=LocalPath(folder=False), help="Train this single configuration, without Ray.")
@click.option("--model-dir", type=LocalPath(folder=True), default=Path("models"), show_default=True)
@click.option("--prefix", help="What the files' names begin with. Default: the model's name.")
@click.option("--reset", is_flag=True, help="Train anew, ignoring earlier results.")
@click.option("--keep-failed", is_flag=True, help="Leave points that failed before. Default: try them again.")
@click.option(
    "--accept-code-change",
    is_flag=True,
    help="Take over what other code of the model has trained, where the change alters no result.",
)
@click.option(
    "--confirm", type=click.IntRange(min=1), metavar="N", help="Train the best points again with N further seeds."
)
@click.option("--max-points", type=click.IntRange(min=1), help="The largest grid that is searched. Default: 10,000.")
@click.option("--plan", "plan_only", is_flag=True, help="Say what would be trained, and train nothing.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--cpus-per-trial", type=int, default=1, show_default=True)
@click.option("--gpus-per-trial", type=float, help="Default: one where there are any.")
@click.option("--max-concurrent", type=int, help="Trials at the same time. Default: as many as fit.")
@click.option(
    "--memory-gb",
    type=float,
    metavar="GB",
    help="What all copies of the data may take in memory on a node; above it they are read from files, batch by batch. "
    "Default: 60 % of what is available.",
)
@click.option("--address", help="A running Ray cluster, HOST:PORT or auto. Default: RAY_ADDRESS, or this machine.")
@click.option("-v", "--verbose", is_flag=True, help="Also show the messages of Ray and TensorFlow.")
def search(
    data: Path | None,
    runs: str | None,
    features: list[str] | None,
    target: list[str] | None,
    shuffle_split: bool,
    delimiter: str | None,
    decimal: str | None,
    encoding: str | None,
    missing_values: list[str] | None,
    missing: str,
    model: str,
    verify_data: bool,
    steps_per_epoch: int | None,
    validation_steps: int | None,
    grid: Path | None,
    settings: tuple[str, ...],
    config: Path | None,
    model_dir: Path,
    prefix: str | None,
    reset: bool,
    keep_failed: bool,
    accept_code_change: bool,
    confirm: int | None,
    max_points: int | None,
    plan_only: bool,
    seed: int,
    cpus_per_trial: int,
    gpus_per_trial: float | None,
    max_concurrent: int | None,
    memory_gb: float | None,
    address: str | None,
    verbose: bool,
) -> None:
    """Train every point of a grid in parallel and keep the best, or load it if that is done already."""
    from rich.console import Console

    from raygrid.cli.dataset_options import dataset_arguments
    from raygrid.cli.display import ConsoleHandler, make_display
    from raygrid.cli.inputs import Asked, find_model, parse_settings, read_mapping
    from raygrid.cli.reports import print_outcome, print_plan
    from raygrid.cli.teacher_and_student import search_teacher_and_student
    from raygrid.grid.values import DEFAULT_MAX_POINTS
    from raygrid.training.tensorflow_setup import quiet_import_of_tensorflow
    from raygrid.tuning.resources import Resources

    if reset and accept_code_change:
        raise click.UsageError(
            "--reset and --accept-code-change exclude each other: the one trains anew, the other takes over."
        )
    if grid is not None and config is not None:
        raise click.UsageError("--grid and --config exclude each other: a grid is searched, a config is trained.")
    console = Console(stderr=True)
    log = logging.getLogger("raygrid")
    log.handlers = [ConsoleHandler(console)]
    log.propagate = False
    log.setLevel(logging.DEBUG if verbose else logging.INFO)
    with quiet_import_of_tensorflow():
        found = find_model(model)
    searcher = _make_model(
        found,
        model_dir,
        prefix or model.rpartition(":")[2].lower(),
        verbose=2 if verbose else 1,
        seed=seed,
        resources=Resources(cpus_per_trial, gpus_per_trial, max_concurrent, memory_gb),
        address=address,
        progress=make_display(console),
        max_points=max_points or DEFAULT_MAX_POINTS,
    )
    file = grid or config
    asked = Asked(None if file is None else read_mapping(file), parse_settings(settings), single=config is not None)
    layout = {"delimiter": delimiter, "decimal": decimal, "encoding": encoding, "missing_values": missing_values}
    said = {name: value for name, value in layout.items() if value is not None}
    makes_datasets = bool(getattr(searcher, "makes_datasets", False))
    arrays = dataset_arguments(
        model,
        makes_datasets,
        {"verify_data": verify_data, "steps_per_epoch": steps_per_epoch, "validation_steps": validation_steps},
        {
            **{"data": data, "features": features, "target": target, "run_column": runs},
            **{"shuffle_split": shuffle_split, **layout, "missing": missing == "drop"},
        },
    )
    if not makes_datasets:
        arrays = _load(found, model, data, features, target, runs, said, missing).arguments()
        if shuffle_split:
            arrays["shuffle_split"] = True
    workers = max_concurrent or max(1, (os.cpu_count() or 1) // cpus_per_trial)
    how: dict[str, Any] = {
        "reset_experiment": reset,
        "retry_failed": not keep_failed,
        "accept_code_change": accept_code_change,
    }
    if hasattr(searcher, "train_autoencoder"):
        search_teacher_and_student(searcher, arrays, asked, how, workers if plan_only else None)
    elif plan_only:
        print_plan(searcher.plan(**arrays, **asked.of(searcher), **how), workers)
    else:
        searcher.fit(**arrays, **asked.of(searcher), **how)
        print_outcome(searcher)
    if plan_only:
        return
    if confirm is not None:
        click.echo("\n" + searcher.confirm(**arrays, seeds=confirm).text())
    report = getattr(searcher, "embedded_report", None)
    if data is None and target is None and features is None and report is not None:
        click.echo(report())


def _load(
    found: Any,
    model: str,
    data: Path | None,
    features: list[str] | None,
    target: list[str] | None,
    runs: str | None,
    layout: dict[str, Any],
    missing: str,
) -> SearchData:
    from raygrid.cli.data import Columns, load_embedded, load_file
    from raygrid.errors import ArgumentError

    if data is None and target is None:
        target = list(getattr(found, "EMBEDDED_TARGETS", ())) or None
    if getattr(found, "USES_TARGETS", None) is True and target is None and (data is None or data.suffix != ".npz"):
        raise ArgumentError(f"--model {model} predicts a target.", remedy="Name its column with --target NAME.")
    is_label, apart = getattr(found, "TARGET_IS_LABEL", False), getattr(found, "TAKES_COLUMNS", False)
    columns = Columns(features, target, is_label, runs, apart)
    if data is None and layout:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in layout)
        raise ArgumentError(
            f"{options}: this describes a CSV file, and no file is given.", remedy="Name one with --data."
        )
    windowed = getattr(found, "WINDOWED", False)
    if data is None:
        return load_embedded(columns, windowed=windowed)
    return load_file(data, columns, {**layout, "missing": missing}, windowed=windowed)


def _make_model(found: Any, model_dir: Path, prefix: str, **settings: Any) -> Any:
    from raygrid.errors import ArgumentError
    from raygrid.model.grid_search_model import GridSearchModel

    if not isinstance(found, type) and callable(found):
        return GridSearchModel(model_dir, prefix, build_model=found, **settings)
    if hasattr(found, "fit") and hasattr(found, "summary"):
        return found(model_dir, prefix, **settings)
    raise ArgumentError(
        f"--model names {found!r}; it must be a subclass of GridSearchModel or a builder function.",
        remedy="Name such a class or function after the colon.",
    )
