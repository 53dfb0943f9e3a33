"""What a person sees when a command ends badly, and the exit code."""

from __future__ import annotations

import shlex
import traceback
from collections.abc import Sequence

import click

from raygrid.base.stop_signals import TERMINATED
from raygrid.errors import ArgumentError, RaygridError, SearchInterrupted, UserCodeError

FAILED, USAGE, INTERRUPTED = 1, 2, 130

# What the errors of the library advise, as options of `raygrid search`.
COMMAND = {
    "train_anew": "search again with --reset",
    "accept_code_change": "--accept-code-change",
    "another_prefix": "another --prefix",
    "load": "load() in Python",
    "shuffle_split": "--shuffle-split",
    "prefix": "--prefix",
    "another_model_dir": "another --model-dir",
    "shared_model_dir": "--model-dir /shared/models",
    "features": "--features a,b,c",
    "columns": "--features, --target and --run-column",
    "delimiter": "--delimiter ';'",
    "delimiters": "',', ';', tab or space",
    "decimal_comma": "--decimal ,",
    "encoding": "--encoding latin-1",
    "unmarked_encoding": "--encoding utf-16-le",
    "other_validation": "X_val in an .npz file",
    "validation_arrays": "X_val and y_val in an .npz file",
    "validate_whole_runs": "pass whole runs for validation in Python",
    "none": "null",
    "max_points": "--max-points",
    "a_grid": "--set 'units=[32,64]'",
    "targets": "the targets (--target, or y in an .npz file)",
    "targets_of_fit": "the array y of the .npz file",
    "run_ids": "--run-column",
    "val_runs": "X_val and val_run_ids in Python",
    "cpus_per_trial": "--cpus-per-trial",
    "gpus_per_trial": "--gpus-per-trial",
    "address": "--address",
    "model_dir": "--model-dir",
    "drop_missing": "--missing drop",
    "drop_missing_of_file": "--missing drop",
    "named_columns": "Name a file with column names: Parquet, Arrow/Feather or CSV",
    "steps_per_epoch": "--steps-per-epoch N",
    "validation_steps": "--validation-steps N",
    "no_scaler": "Write DEFAULT_SCALER = None in the class",
    "no_target_scaler": "Write DEFAULT_TARGET_SCALER = None in the class",
}


def exit_code_of(error: BaseException, command_line: Sequence[str]) -> int:
    """Tells the person what went wrong, on standard error; returns the exit code.

    An error that raygrid does not know keeps its traceback: it is a bug, here or in the user's code.
    """
    if isinstance(error, click.Abort) and error.__cause__ is not None:
        # How click raises Ctrl-C again.
        error = error.__cause__
    if isinstance(error, SystemExit):
        if error.code == TERMINATED:
            _tell(stopped_text(error, command_line), prefix="")
        return error.code if isinstance(error.code, int) else FAILED
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if isinstance(error, KeyboardInterrupt | click.Abort):
        _tell(stopped_text(error, command_line), prefix="")
        return INTERRUPTED
    if isinstance(error, UserCodeError):
        cause = error.__cause__
        if cause is not None:
            click.echo("".join(traceback.format_exception(cause)), err=True, nl=False)
        _tell(error.said(COMMAND))
        return FAILED
    if isinstance(error, RaygridError | OSError):
        _tell(error.said(COMMAND) if isinstance(error, RaygridError) else str(error))
        return USAGE if isinstance(error, ArgumentError) else FAILED
    click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    return FAILED


def stopped_text(error: BaseException | None, command_line: Sequence[str]) -> str:
    """What a person is told whose command was stopped, with the line that goes on.

    Args:
        error: what ended the command, or None where it did not end by itself.
        command_line: how the person can write it again.
    """
    while error is not None and not isinstance(error, SearchInterrupted):
        error = error.__context__
    what = "stopped; finished points are kept" if error is None else str(error)
    return f"raygrid: {what}\nTo go on: {shlex.join(command_line)}"


def _tell(message: str, prefix: str = "raygrid: ") -> None:
    click.echo(f"{prefix}{message}", err=True)
