"""Grids and configs: what a hyperparameter may be, and how a grid becomes configs.

A *grid* maps names of hyperparameters to lists of values; a *config* maps each name to one value. Both hold only
what JSON can carry, so that a config is the same before and after it was saved: ``None``, ``bool``, ``int``,
``float`` (finite), ``str``, sequences (tuples in memory, lists in JSON) and mappings with string keys. Pure: no
Ray, no TensorFlow, no I/O.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from raygrid.base.fingerprint import canonical_json
from raygrid.base.wording import counted, did_you_mean
from raygrid.errors import GridError, GridTypeError, literal

log = logging.getLogger("raygrid")

Config = dict[str, Any]
Grid = dict[str, tuple[Any, ...]]

DEFAULT_MAX_POINTS = 10_000
_FEWER_POINTS = "Leave values out, or raise $max_points."

# Deeper than any setting of a model; what writes and compares configs calls itself at every level.
_MAX_DEPTH = 50

# Ray Tune evaluates {"eval": ...} and expands {"grid_search": ...} wherever it meets them.
RESERVED_KEYS = frozenset({"eval", "grid_search"})

# What raygrid itself reads from every config; a builder may read them too.
TRAINING_DEFAULTS: Config = {"batch_size": 32, "epochs": 10, "patience": None}


def native_value(value: object, where: str, depth: int = 0) -> Any:
    """``value`` in native Python types, sequences as tuples.

    Raises:
        GridTypeError: the value is of a type that JSON cannot carry.
        GridError: it is a number that is not finite, a mapping with a reserved key, or nested too deeply.
    """
    if depth > _MAX_DEPTH:
        raise GridError(f"{where} is nested more than {_MAX_DEPTH} deep, or holds itself.", remedy="Write it flatter.")
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        if not value.isprintable() and any("\ud800" <= character <= "\udfff" for character in value):
            raise GridError(f"{where} is {value!r}, which is not Unicode text.", remedy="Write it anew.")
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise GridError(
                f"{where} is {value}, which JSON cannot carry.", remedy="Use a finite number, or $none for 'off'."
            )
        return float(value)
    if isinstance(value, np.ndarray):
        return native_value(value.tolist(), where, depth)
    if isinstance(value, list | tuple):
        return tuple(native_value(item, f"{where}[{i}]", depth + 1) for i, item in enumerate(value))
    if isinstance(value, Mapping):
        return _native_mapping(value, where, depth)
    raise GridTypeError(
        f"{where} is {value!r} of type {type(value).__name__}, which JSON cannot carry.",
        remedy="Give a number, a string, $none, or a list of these, and turn it into the object you need inside "
        "build_model.",
    )


def _native_mapping(value: Mapping[Any, Any], where: str, depth: int = 0) -> Config:
    out: Config = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise GridTypeError(
                f"{where} has the key {key!r} of type {type(key).__name__}.", remedy="Use only strings as keys."
            )
        if key in RESERVED_KEYS:
            raise GridError(
                f"{where} has the key {key!r}, which Ray Tune would evaluate.",
                remedy="Rename the key. A grid of raygrid is a plain mapping of names to lists of values.",
            )
        out[str(key)] = native_value(item, f"{where}[{key!r}]", depth + 1)
    return out


def normalize_grid(
    grid: Mapping[str, Any],
    defaults: Mapping[str, Any],
    known: Collection[str] | None,
    max_points: int = DEFAULT_MAX_POINTS,
) -> Grid:
    """The grid with sorted names, native values, types as in ``defaults`` and no duplicates.

    Args:
        grid: names to lists of values (list, tuple, range or 1-D numpy array).
        defaults: the default config; its values say which type a hyperparameter has.
        known: every allowed name; None allows any.
        max_points: the largest number of points that may be asked for; no single list may be longer, either.

    Raises:
        GridTypeError: ``grid`` is no mapping, or a value is no list or holds what JSON cannot carry.
        GridError: the grid or a list is empty, a name is unknown or reserved, or there are too many points.
            All bad names are gathered in one message.
    """
    if not isinstance(grid, Mapping):
        raise GridTypeError(
            f"param_grid is a {type(grid).__name__}.",
            remedy='Give a mapping of names to lists of values, such as {"units": [32, 64]}.',
        )
    if not grid:
        raise GridError("param_grid is empty.", remedy="Give at least one name with a list of values.")
    _native_mapping(dict.fromkeys(grid), "param_grid")
    problems = _unknown_names(grid, known)
    out: Grid = {}
    for name in sorted(grid):
        try:
            out[name] = _normalize_values(name, grid[name], defaults, max_points)
        except GridError as error:
            problems.append(error)
    if problems:
        raise _joined(problems)
    count = count_points(out)
    if count > max_points:
        raise GridError(
            f"param_grid has {counted(count, 'point')} ({' x '.join(str(len(v)) for v in out.values())}), more than "
            f"max_points={max_points:,}.",
            remedy=_FEWER_POINTS,
        )
    return out


def _normalize_values(name: str, values: Any, defaults: Mapping[str, Any], max_points: int) -> tuple[Any, ...]:
    where = f"param_grid[{name!r}]"
    if isinstance(values, np.ndarray) and values.ndim <= 1:
        values = values.tolist()
    if isinstance(values, Mapping):
        # {"grid_search": [...]} is how Ray Tune's own grids are written: say that first.
        native_value(values, where)
    elif isinstance(values, Iterable) and not isinstance(values, str | bytes | list | tuple | range):
        raise GridTypeError(
            f"{where} is of type {type(values).__name__}.", remedy="Give a list in a fixed order: list(...)."
        )
    if not isinstance(values, list | tuple | range):
        raise GridTypeError(
            f"{where} is {values!r} of type {type(values).__name__}.",
            remedy=f"Wrap it in a list: [{literal(repr(values))}].",
        )
    if not values:
        raise GridError(f"{where} is an empty list.", remedy="Give it at least one value, or leave it out.")
    if len(values) > max_points:
        # Before the values are looked at: a range may hold more of them than there is memory.
        raise GridError(
            f"{where} has {counted(len(values), 'value')}, more than max_points={max_points:,}.", remedy=_FEWER_POINTS
        )
    kept: dict[str, Any] = {}
    repeated = []
    for i, value in enumerate(values):
        item = _coerce(native_value(value, f"{where}[{i}]"), defaults.get(name), f"{where}[{i}]")
        _check_training_value(name, item, f"{where}[{i}]")
        text = canonical_json(item)
        if text in kept:
            repeated.append(item)
        else:
            kept[text] = item
    if repeated:
        log.warning("%s repeats %s; each value is trained once.", where, ", ".join(map(repr, repeated)))
    return tuple(kept.values())


def normalize_config(config: Mapping[str, Any], defaults: Mapping[str, Any], known: Collection[str] | None) -> Config:
    """The whole config: ``defaults`` overlaid with ``config``, sorted names, native values, types as in defaults.

    Raises:
        GridTypeError: ``config`` is no mapping or holds what JSON cannot carry.
        GridError: unknown names or values that cannot be; all of them in one message.
    """
    if not isinstance(config, Mapping):
        raise GridTypeError(f"model_config is a {type(config).__name__}.", remedy="Give a mapping of names to values.")
    _native_mapping(dict.fromkeys(config), "config")
    problems = _unknown_names(config, known)
    merged = {**defaults, **config}
    out: Config = {}
    for name in sorted(merged):
        where = f"config[{name!r}]"
        try:
            value = _coerce(native_value(merged[name], where), defaults.get(name), where)
            _check_training_value(name, value, where)
            out[name] = value
        except GridError as error:
            problems.append(error)
    if problems:
        raise _joined(problems)
    return out


def _joined(problems: Sequence[GridError]) -> GridError:
    """One error that says all of them."""
    first, *others = problems
    kind = GridTypeError if any(isinstance(error, GridTypeError) for error in problems) else GridError
    return kind(first.what, remedy=first.remedy, others=others)


def iter_param_grid(grid: Mapping[str, Sequence[Any]]) -> Iterator[Config]:
    """Every combination of the grid's values: names sorted, the last name varying fastest."""
    names = sorted(grid)
    for values in itertools.product(*(grid[name] for name in names)):
        yield dict(zip(names, values, strict=True))


def count_points(grid: Mapping[str, Sequence[Any]]) -> int:
    """How many combinations the grid has."""
    return math.prod(len(values) for values in grid.values())


def point_at(grid: Mapping[str, Sequence[Any]], number: int) -> Config:
    """The combination at position ``number`` of `iter_param_grid`, from 0."""
    return {name: grid[name][number // step % len(grid[name])] for name, step in _steps(grid).items()}


def iter_groups(
    grid: Mapping[str, Sequence[Any]], differ_in: Collection[str]
) -> Iterator[tuple[tuple[int, Config], ...]]:
    """The combinations in groups that differ only in the names ``differ_in``, without holding any of them.

    Each comes with its position in `iter_param_grid`, the groups in the order of the first position of each.
    """
    steps = _steps(grid)
    outer, inner = ([n for n in steps if (n in differ_in) is chosen] for chosen in (False, True))
    within = list(_positions(grid, inner, steps))
    for first, shared in _positions(grid, outer, steps):
        yield tuple((first + offset, {**shared, **rest}) for offset, rest in within)


def _positions(
    grid: Mapping[str, Sequence[Any]], names: Sequence[str], steps: Mapping[str, int]
) -> Iterator[tuple[int, Config]]:
    """Every combination of the values of ``names``, with its position where all other names have their first value."""
    for chosen in itertools.product(*(tuple(enumerate(grid[name])) for name in names)):
        number = sum(i * steps[name] for name, (i, _) in zip(names, chosen, strict=True))
        yield number, {name: value for name, (_, value) in zip(names, chosen, strict=True)}


def _steps(grid: Mapping[str, Sequence[Any]]) -> dict[str, int]:
    """How far apart two combinations are in `iter_param_grid` that differ by one value of a name, names sorted."""
    steps, step = {}, 1
    for name in sorted(grid, reverse=True):
        steps[name] = step
        step *= len(grid[name])
    return dict(sorted(steps.items()))


def varying_names(grid: Mapping[str, Sequence[Any]]) -> tuple[str, ...]:
    """The names that have more than one value, sorted."""
    return tuple(name for name in sorted(grid) if len(grid[name]) > 1)


def _unknown_names(given: Mapping[str, Any], known: Collection[str] | None) -> list[GridError]:
    return [
        GridError(
            f"{name!r} is not a hyperparameter of this model.{did_you_mean(name, known)} "
            f"Known: {', '.join(sorted(known))}.",
            remedy="Use one of these names, or leave it out.",
        )
        for name in given
        if known is not None and name not in known
    ]


def _coerce(value: Any, like: Any, where: str) -> Any:
    """``value`` in the type of the default ``like``.

    JSON and YAML files blur the difference of 1 and 1.0, and 1e-3 in YAML is text.
    """
    if value is None or like is None or isinstance(like, bool) or isinstance(value, bool):
        return value
    if isinstance(like, int | float):
        if isinstance(value, tuple | Mapping):
            raise GridTypeError(f"{where} is {value!r}.", remedy=f"Give a single number, like {like!r}.")
        if isinstance(value, str) or isinstance(like, float):
            value = _finite_float(value, like, where)
        whole = isinstance(like, int) and isinstance(value, float) and value.is_integer()
        return int(value) if whole else value
    if isinstance(like, tuple | list):
        if not isinstance(value, tuple):
            raise GridTypeError(
                f"{where} is {value!r}.",
                remedy=f"Give a sequence, like {literal(list(like))}: [{literal(repr(value))}].",
            )
        return tuple(_coerce(item, _item_like(like), f"{where}[{i}]") for i, item in enumerate(value))
    return value


def _item_like(like: Sequence[Any]) -> Any:
    """What each item of a sequence like ``like`` is like; None where its items are of several kinds."""
    if like and all(isinstance(item, int | float) and not isinstance(item, bool) for item in like):
        # Among (64, 0.5) there may be a number of units, which must not become 64.0.
        return next((item for item in like if isinstance(item, int)), like[0])
    if like and all(isinstance(item, tuple | list) for item in like):
        return tuple(itertools.chain.from_iterable(like))
    return None


def _finite_float(value: float | str, like: Any, where: str) -> float:
    try:
        number = float(value)
    except ValueError:
        raise GridTypeError(f"{where} is {value!r}, text.", remedy=f"Give a number, like {like!r}.") from None
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise GridError(f"{where} is {value!r}.", remedy=f"Give a finite number, like {like!r}, or $none for 'off'.")
    return number


def _check_training_value(name: str, value: Any, where: str) -> None:
    if name in ("batch_size", "epochs"):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise GridError(f"{where} is {value!r}.", remedy=f"Give a whole number of at least 1 as {name}.")
    elif (
        name == "patience"
        and value is not None
        and (isinstance(value, bool) or not isinstance(value, int) or value < 0)
    ):
        raise GridError(
            f"{where} is {value!r}.",
            remedy="Give a whole number of epochs as patience, or 0 or $none for 'never stop early'.",
        )
