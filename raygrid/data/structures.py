"""Data of several parts: a dict, list or tuple of arrays, as Keras maps them to inputs and outputs. Pure.

A part that is an array is a *leaf*; its path is the text of the keys that lead to it, joined by ``/``. Data that is a
single array is a leaf by itself, with the empty path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from raygrid.errors import DataError, DataTypeError

# A dict, list or tuple of trees, or a leaf.
Tree = Any

# More arrays than that in a list are rather rows than inputs.
_MOST_PARTS = 32


def is_structure(value: object) -> bool:
    """Whether ``value`` is a dict, or a list or tuple of arrays, tables or dicts, and not itself an array."""
    if isinstance(value, Mapping):
        return True
    if not isinstance(value, list | tuple):
        return False
    # Of long lists of numbers only the types are looked at, one by one.
    kinds = {kind for kind in set(map(type, value)) if issubclass(kind, Mapping) or _is_array_kind(kind)}
    return bool(kinds) and any(type(part) in kinds and getattr(part, "shape", None) != () for part in value)


def given_structure(name: str, value: object) -> Tree:
    """``value`` with its mappings as dicts and its lists as tuples, which is what Keras makes of lists.

    Args:
        name: what the caller calls the data; it appears in every message.
        value: what a user passed; anything but a dict, list or tuple of arrays is a leaf and left as it is.

    Raises:
        DataTypeError: a key that is no text; a list that holds arrays and something else.
        DataError: nothing in it; or so many arrays in a list that they are rather its rows.
    """
    if isinstance(value, Mapping):
        wrong = next(
            (key for key in value if not isinstance(key, str) or not key or "/" in key or key.startswith("[")), None
        )
        if wrong is not None:
            raise DataTypeError(
                f"{name} has the key {wrong!r}. Keys name the inputs or outputs of a model.",
                remedy="Make it a text without a slash that does not begin with a bracket.",
            )
        parts: Any = {key: given_structure(f'{name}["{key}"]', part) for key, part in value.items()}
    elif is_structure(value):
        assert isinstance(value, list | tuple)
        odd = next((i for i, part in enumerate(value) if not _is_part(part)), None)
        if odd is not None:
            raise DataTypeError(
                f"{name} is a {type(value).__name__} of arrays, and holds a {type(value[odd]).__name__} at {odd}.",
                remedy="Pass one array for each input or output, or a dict of them by name.",
            )
        if isinstance(value, list) and len(value) > _MOST_PARTS:
            raise DataError(
                f"{name} is a list of {len(value)} arrays. A list holds one array for each input or output of a model, "
                f"and more than {_MOST_PARTS} are rather its rows.",
                remedy=f"To stack them as rows, pass np.stack({name}); if each is an input, pass a dict of them by "
                "name, or a tuple.",
            )
        parts = tuple(given_structure(f"{name}[{i}]", part) for i, part in enumerate(value))
    else:
        # A tuple would count as a structure.
        return list(value) if isinstance(value, tuple) else value
    if not parts:
        raise DataError(f"{name} is an empty {type(value).__name__}.", remedy="Pass at least one array.")
    return parts


def leaves(tree: Tree) -> dict[str, Any]:
    """Each leaf by its path; keys of dicts in sorted order, as Keras has them."""
    return dict(_walk(tree, ()))


def map_leaves(change: Callable[[Any], Any], tree: Tree) -> Tree:
    """The same structure with ``change`` applied to each leaf."""
    if isinstance(tree, dict):
        return {key: map_leaves(change, part) for key, part in tree.items()}
    if isinstance(tree, tuple):
        return tuple(map_leaves(change, part) for part in tree)
    return change(tree)


def filled(like: Tree, by_path: Mapping[str, Any]) -> Tree:
    """The structure of ``like`` with the leaf of ``by_path`` at each path."""
    paths = iter(_paths(like, ()))
    return map_leaves(lambda _: by_path[next(paths)], like)


def array_name(name: str, path: str) -> str:
    """How the leaf at ``path`` of the attribute ``name`` is called among the arrays."""
    return f"{name}/{path}" if path else name


def row_count(tree: Tree) -> int:
    """How many rows each array of a checked structure has."""
    return len(next(iter(leaves(tree).values())))


def leaf_name(name: str, path: str) -> str:
    """How a user writes the leaf at ``path`` of the data ``name``, such as ``X_train["image"]``."""
    keys = path.split("/") if path else ()
    return name + "".join(key if key.startswith("[") else f'["{key}"]' for key in keys)


def same_structure(name: str, tree: Tree, other_name: str, other: Tree) -> None:
    """Requires that two trees have the same leaves at the same places.

    Raises:
        DataError: lists what is missing and what is additional.
    """
    here, there = leaves(tree), leaves(other)
    if ("" in here) != ("" in there):
        (one, _), (several, parts) = sorted([(name, here), (other_name, there)], key=lambda pair: "" not in pair[1])
        raise DataError(
            f"{one} is one array, and {several} has the parts {', '.join(map(repr, parts))}.",
            remedy=f"Pass the same parts in {name} as in {other_name}.",
        )
    missing = [leaf_name(name, path) for path in there if path not in here]
    additional = [leaf_name(name, path) for path in here if path not in there]
    if missing or additional:
        said = [
            f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} {what}"
            for names, what in ((missing, "missing"), (additional, f"not in {other_name}"))
            if names
        ]
        raise DataError(
            f"{name} does not have the parts of {other_name}: {'; '.join(said)}.",
            remedy=f"Pass the same parts, by the same names, in {name} as in {other_name}.",
        )


def _is_part(value: object) -> bool:
    """Whether ``value`` can be an input of its own: an array with rows, a table, or a structure."""
    return is_structure(value) or (_is_array_kind(type(value)) and getattr(value, "shape", None) != ())


def _is_array_kind(kind: type) -> bool:
    return any(hasattr(kind, name) for name in ("__array__", "__dataframe__", "__arrow_c_stream__"))


def _walk(tree: Tree, keys: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict):
        for key in sorted(tree):
            yield from _walk(tree[key], (*keys, key))
    elif isinstance(tree, tuple):
        for i, part in enumerate(tree):
            yield from _walk(part, (*keys, f"[{i}]"))
    else:
        yield "/".join(keys), tree


def _paths(tree: Tree, keys: tuple[str, ...]) -> Iterator[str]:
    """The paths in the order in which ``map_leaves`` comes to them."""
    if isinstance(tree, dict):
        for key, part in tree.items():
            yield from _paths(part, (*keys, key))
    elif isinstance(tree, tuple):
        for i, part in enumerate(tree):
            yield from _paths(part, (*keys, f"[{i}]"))
    else:
        yield "/".join(keys)
