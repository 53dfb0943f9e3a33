"""The command line: ``raygrid search``, ``results``, ``show``, ``clean`` and ``tensorboard``.

Nothing heavy is imported before a command needs it, so that ``--help`` answers at once.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Sequence

import click

from raygrid import __version__
from raygrid.cli.as_typed import program_as_typed
from raygrid.cli.failures import exit_code_of, stopped_text
from raygrid.cli.search import search
from raygrid.cli.stopping import ended_in_time
from raygrid.cli.views import clean, results, show, tensorboard


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="raygrid")
def raygrid() -> None:
    """Grid search for Keras models on Ray Tune."""


for _command in (search, results, show, clean, tensorboard):
    raygrid.add_command(_command)


def main(arguments: Sequence[str] | None = None, command_line: Sequence[str] | None = None) -> None:
    """Runs a command and exits with 0, 1 (failed), 2 (usage), 130 (Ctrl-C) or 143 (SIGTERM).

    Args:
        arguments: those after the program's name; None: the process' own.
        command_line: how the person can write it again, for the line that resumes it; None: ``raygrid``, or the path
            of the program of that name that runs, and the arguments.
    """
    program = "raygrid"
    if arguments is None and os.path.basename(sys.argv[0]) == program:
        program = program_as_typed(program, sys.argv[0])
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    # Looking for garbage among all that TensorFlow made is a second at the end of a process that gives everything back.
    atexit.register(gc.freeze)
    command_line = command_line or [program, *arguments]
    told = False
    with ended_in_time(lambda: "" if told else f"{stopped_text(None, command_line)}\n"):
        try:
            raygrid.main(arguments, prog_name="raygrid", standalone_mode=False)
        except BaseException as error:
            code = exit_code_of(error, command_line)
            told = True
            sys.exit(code)
