"""A config that is lent out, and whether some of its values were read or can be read later."""

from __future__ import annotations

import copy
import json
import pickle
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from raygrid.training.watched_config import Watch

CONFIG = {"units": 4, "epochs": 3, "patience": None}
KEPT = "something that build_model made keeps its config, and could read it later"

held: dict[str, Any] = {}


def why(use: Callable[[dict[str, Any]], object]) -> str | None:
    watch = Watch(CONFIG, {"epochs", "patience"})
    made = use(watch.lend())
    try:
        return watch.why_it_matters()
    finally:
        # What was made lived until here.
        del made
        held.clear()


def in_a_cycle(config: dict[str, Any]) -> None:
    def again(depth: int) -> Any:
        return again(depth - 1) if depth else config["units"]

    again(2)


HARMLESS: dict[str, Callable[[dict[str, Any]], object]] = {
    "nothing": lambda config: None,
    "another name": lambda config: config["units"],
    "another name by get": lambda config: config.get("units", 3) + config.get("depth", 1),
    "its names": lambda config: (list(config), len(config), "epochs" in config, sorted(config.keys())),
    "a function that calls itself": in_a_cycle,
    "kept for a moment": lambda config: (held.update(it=config), held.clear()),
}
READS: dict[str, Callable[[dict[str, Any]], object]] = {
    "by name": lambda config: config["epochs"],
    "by get": lambda config: config.get("epochs"),
    "as keywords": lambda config: SimpleNamespace(**config),
    "unpacked": lambda config: {**config},
    "as a dict": lambda config: dict(config),
    "merged": lambda config: config | {},
    "merged into another": lambda config: {} | config,
    "updates another": lambda config: {}.update(config),
    "copied": lambda config: config.copy(),
    "copied by copy": copy.copy,
    "copied deeply": copy.deepcopy,
    "pickled": pickle.dumps,
    "as JSON": json.dumps,
    "as text": str,
    "in a text": lambda config: f"{config}",
    "formatted": lambda config: "%(epochs)s" % config,  # noqa: UP031
    "formatted as a map": lambda config: "{epochs}".format_map(config),
    "compared": lambda config: config == {},
    "compared with": lambda config: {} == config,  # noqa: SIM300
    "items": lambda config: list(config.items()),
    "values": lambda config: list(config.values()),
    "compared for a difference": lambda config: config != CONFIG,
    "popped": lambda config: config.pop("epochs"),
    "popped, whatever comes": lambda config: config.popitem(),
    "with a default that is set": lambda config: config.setdefault("epochs", 1),
    "changed": lambda config: config.update(units=5),
    "one value changed": lambda config: config.__setitem__("units", 5),
    "one value removed": lambda config: config.__delitem__("units"),
    "emptied": lambda config: config.clear(),
    "merged in place": lambda config: config.__ior__({"units": 5}),
    "matched": lambda config: _match(config),
}
KEEPS: dict[str, Callable[[dict[str, Any]], object]] = {
    "in an object": lambda config: SimpleNamespace(config=config),
    "in a closure": lambda config: lambda: config["epochs"],
    "in a global": lambda config: held.update(config=config),
    "as its keys": lambda config: config.keys(),
    "as a method": lambda config: config.get,
    "in a thread": lambda config: _waiting_thread(config),
}


def _match(config: dict[str, Any]) -> int:
    match config:
        case {"epochs": int(epochs)}:
            return epochs
    return 0


class _waiting_thread:  # noqa: N801
    def __init__(self, config: dict[str, Any]) -> None:
        # The thread must not hold this object too, or else it is never woken, and Python waits for it at its end.
        self.wake = wake = threading.Event()
        threading.Thread(target=lambda: (wake.wait(), config["epochs"])).start()

    def __del__(self) -> None:
        self.wake.set()


@pytest.mark.parametrize("use", HARMLESS.values(), ids=HARMLESS)
def test_values_that_nobody_reads_or_can_read_do_not_matter(use: Callable[[dict[str, Any]], object]) -> None:
    assert why(use) is None


@pytest.mark.parametrize("use", READS.values(), ids=READS)
def test_every_way_of_reading_is_seen(use: Callable[[dict[str, Any]], object]) -> None:
    reason = why(use)
    assert reason is not None
    assert reason.startswith("build_model reads 'epochs'")


@pytest.mark.parametrize("use", KEEPS.values(), ids=KEEPS)
def test_a_config_that_is_kept_may_be_read_later(use: Callable[[dict[str, Any]], object]) -> None:
    assert why(use) == KEPT


def test_the_reason_names_what_was_read() -> None:
    assert why(lambda config: config["patience"]) == "build_model reads 'patience' from its config"
    assert why(lambda config: {**config}) == "build_model reads 'epochs' and 'patience' from its config"
    read_and_kept = why(lambda config: SimpleNamespace(config=config, epochs=config["epochs"]))
    assert read_and_kept == "build_model reads 'epochs' from its config"


def test_whoever_has_it_sees_the_dict_that_it_stands_for() -> None:
    def same(config: dict[str, Any]) -> None:
        assert isinstance(config, dict)
        assert (config["epochs"], config.get("patience", 7), config.get("depth", 7)) == (3, None, 7)
        with pytest.raises(KeyError):
            config["depth"]
        assert list(config) == list(CONFIG)
        assert {**config} == dict(config) == config.copy() == copy.deepcopy(config) == config == CONFIG
        assert type(copy.copy(config)) is type(pickle.loads(pickle.dumps(config))) is dict
        assert repr(config) == repr(CONFIG)
        config["depth"] = 2
        assert config.setdefault("width", 3) == 3
        assert config | {"units": 9} == {**CONFIG, "depth": 2, "width": 3, "units": 9}

    why(same)
    assert CONFIG == {"units": 4, "epochs": 3, "patience": None}


@pytest.mark.parametrize(
    "past_its_methods",
    [
        lambda config: [value for value in dict.values(config) if value == 3],
        lambda config: [value for value in dict.values(config) if value],
        lambda config: [str(value) for value in dict.values(config)],
        lambda config: sum(value or 0 for value in dict.values(config)),
    ],
)
def test_a_value_that_is_read_past_the_methods_is_of_no_use(past_its_methods: Any) -> None:
    with pytest.raises(TypeError, match="read past the methods of its config"):
        why(past_its_methods)


def test_a_value_that_is_kept_past_the_methods_counts_as_kept() -> None:
    assert why(lambda config: list(dict.values(config))) == KEPT


def test_names_that_a_config_does_not_have_are_not_watched() -> None:
    watch = Watch({"units": 4}, {"epochs"})
    assert watch.lend() == {"units": 4}
    assert watch.why_it_matters() is None
