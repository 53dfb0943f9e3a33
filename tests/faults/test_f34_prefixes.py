"""f34: a prefix that is no plain file name is refused, in Python and on the command line, and leaves no file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from commands import Command
from small_models import SmallModel

from raygrid import Autoencoder, AutoencoderResidualRegressor
from raygrid.errors import PrefixError
from raygrid.model.grid_search_model import GridSearchModel

ALLOWED = "must consist of 1 to 100 of A-Z a-z 0-9 . _ -, begin with a letter or digit, not end in a dot"

TEXTS = [
    "../x",
    "..",
    ".",
    "",
    "/absolute",
    "a/b",
    "a/../../b",
    "a\\b",
    "..\\x",
    "C:x",
    "C:\\x",
    "line\n",
    "two\nlines",
    "tab\t",
    "return\r",
    "nul\0",
    "nul\0/../x",
    "x" * 101,
    "x" * 300,
    "x" * 100_000,
    "trailing.",
    "trailing..",
    ".hidden",
    "-option",
    "--reset",
    "_x",
    " x",
    "x ",
    "a b",
    "a*",
    "a?",
    "a[b]",
    "{a,b}",
    "~",
    "~root",
    "$HOME",
    "%2e%2e%2fx",
    "a:b",
    "a|b",
    "CON",
    "con",
    "CoN.txt",
    "Nul.txt",
    "nul.tar.gz",
    "prn",
    "AUX",
    "COM1",
    "lpt9.old",
    # Unicode: what a system or a person may take for one of the above, or for another prefix.
    "größe",
    "gro\u0308sse",
    "a\u0301",
    "\u0430bc",  # a Cyrillic a
    "\uff0e\uff0e\uff0fx",  # fullwidth ../x
    "a\uff0fb",
    "a\u2215b",
    "a\u2044b",
    "\u2024\u2024/x",
    "x\u200b",
    "\u202egnp.x",
    "\ufeffx",
    "x\u00a0",
    "x\u0085",
    "x\u2028",
    "\u0661",  # an Arabic digit
    "\u00b2",
    "\uff21",
    "\U0001d400",
    "COM\u00b9",
    "\ud800",
    "x\udcff",
]
VALUES = [b"bytes", Path("path"), 7, None, True, ["x"], ("x",), 1.5]


@pytest.mark.parametrize("prefix", [*TEXTS, *VALUES], ids=lambda prefix: ascii(prefix)[:20])
def test_f34_what_is_no_plain_file_name_is_refused_with_the_allowed_form(folder: Path, prefix: Any) -> None:
    for make in (
        lambda: SmallModel(folder / "models", prefix),
        lambda: GridSearchModel(folder / "models", cache_prefix=prefix, build_model=len),
        lambda: AutoencoderResidualRegressor(folder / "models", prefix),
        lambda: Autoencoder.load(folder / "models", prefix),
    ):
        with pytest.raises(PrefixError) as caught:
            make()
        assert str(caught.value).startswith(f"the prefix {prefix!r} is not a plain file name. cache_prefix {ALLOWED}")
    assert issubclass(PrefixError, ValueError)
    assert os.listdir(folder) == ["table.csv"]


@pytest.mark.parametrize("name", ["search", "results", "show", "clean", "tensorboard"])
def test_f34_every_command_refuses_it_and_writes_nothing(command: Command, folder: Path, name: str) -> None:
    given = ["--set", "latent_dim=[2]", "--data", "table.csv", "--features", "a,b"] if name == "search" else []
    beside = os.listdir(folder.parent)
    for prefix in TEXTS:
        if not prefix and name == "search":
            # An empty text is none: the model's name is taken.
            continue
        ended = command(name, *given, f"--prefix={prefix}")
        assert (ended.code, ended.out) == (2, "")
        assert f"raygrid: the prefix {prefix!r} is not a plain file name. --prefix {ALLOWED}" in ended.err
    assert os.listdir(folder) == ["table.csv"]
    assert os.listdir(folder.parent) == beside


PLAIN = ["model", "A", "7", "a_b", "run-3.1", "x" * 100, "console", "com10", "a..b", "nul_1"]


@pytest.mark.parametrize("prefix", PLAIN)
def test_f34_plain_file_names_are_prefixes(tmp_path: Path, prefix: str) -> None:
    model = SmallModel(tmp_path, prefix)
    assert model._get_artifacts().config_path.name == f"{prefix}_config.json"


def test_f34_the_whole_message_names_every_rule(tmp_path: Path) -> None:
    with pytest.raises(PrefixError) as caught:
        SmallModel(tmp_path, "CON")
    assert str(caught.value).endswith("not end in a dot, and be no device name of Windows such as CON.")
