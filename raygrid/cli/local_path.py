"""The type of options that name a file or folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from raygrid.base.arguments import local_path


class LocalPath(click.Path):
    """A path as it is written, with ``~`` as the home folder: some shells leave it in ``--option=~/x``.

    An address such as ``s3://bucket`` is refused here: as a path it would be a folder of this name.
    """

    def __init__(self, *, folder: bool) -> None:
        super().__init__(file_okay=not folder, dir_okay=folder, path_type=Path)

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        local_path(parameter.opts[0] if parameter is not None else "the path", value)
        return super().convert(os.path.expanduser(value), parameter, context)
