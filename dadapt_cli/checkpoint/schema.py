"""What a checkpoint may hold: looked at before any of it is used.

The digest tells damage; anybody can write a file with a right one. So names, types and ranges are
checked here, and what only the run itself can know (its classes, its shapes) in :mod:`.state`.
"""

from __future__ import annotations

import math
import types
from collections.abc import Collection, Mapping
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

LARGEST_INT = 2**63

HEAD = {"options": dict[str, Any], "data": dict[str, Any]}
"""What every head has; who makes one may add to it."""

DATA = {
    "sha256": str | None,
    "content": str,
    "start": str | None,
    "shape": list[int],
    "labels": list[str],
}

ROW = (
    *("event", "k", "d", "d_hat", "step_size", "f_last", "f_average", "f_best"),
    *("suboptimality_last", "suboptimality_average", "suboptimality_best"),
    *("bound", "grad_norm", "seconds"),
)
"""Names that a step record has; a run may have more of them."""

NEEDED_NUMBERS = ("k", "f_last", "f_best", "grad_norm", "seconds")


def conforms(value: Any, kind: Any) -> bool:
    """Whether a value of JSON is of an annotated type; numbers must be finite, a bool is none.

    ``float`` takes integers, ``tuple`` takes lists, and a mapping from ``int`` the strings that
    JSON makes of its keys.
    """
    if kind is Any:
        return True
    if kind is None or kind is types.NoneType:
        return value is None
    if kind is int:
        return type(value) is int and abs(value) < LARGEST_INT
    if kind is float:
        return type(value) in (int, float) and abs(value) < math.inf and value == float(value)
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return any(conforms(value, part) for part in parts)
    if origin is tuple:
        same = isinstance(value, (list, tuple)) and len(value) == len(parts)
        return same and all(map(conforms, value, parts))
    if origin is list:
        return isinstance(value, list) and all(conforms(item, parts[0]) for item in value)
    if origin is not None and issubclass(origin, Mapping):
        return isinstance(value, dict) and all(
            _key(name, parts[0]) and conforms(item, parts[1]) for name, item in value.items()
        )
    return isinstance(kind, type) and type(value) is kind


def require(kinds: Mapping[str, Any], values: Any, what: str) -> None:
    """Raise ValueError unless `values` has these fields and each is of its type."""
    if not isinstance(values, dict):
        raise ValueError(f"{what} is no object")
    for name, kind in kinds.items():
        if name not in values:
            raise ValueError(f"{what} has no {name}")
        if not conforms(values[name], kind):
            raise ValueError(f"{name} of {what} is {str(values[name])[:20]!r}")


def require_fields(cls: type, values: Any, what: str, without: Collection[str] = ()) -> None:
    """Raise ValueError unless `values` are those of a dataclass, all of them and no other."""
    kinds = {name: kind for name, kind in get_type_hints(cls).items() if name not in without}
    require(kinds, values, what)
    if foreign := sorted(set(values) - set(kinds)):
        raise ValueError(f"{what} has {foreign[0][:40]!r}, which is none of its fields")


def check(head: Any, rows: Any, seconds: Any, tree: Any, arrays: Mapping[str, Any]) -> None:
    """Raise ValueError at the first thing in a checkpoint that no run writes."""
    require(HEAD, head, "the head")
    require(DATA, head["data"], "data")
    if len(head["data"]["shape"]) != 3:
        raise ValueError("data has another shape than samples, features and classes")
    if not isinstance(head.get("merge", False), bool):
        raise ValueError("merge is neither true nor false")
    if not conforms(seconds, float) or seconds < 0:
        raise ValueError("seconds are no time")
    if not isinstance(rows, list):
        raise ValueError("the rows are no list")
    last = -1
    for row in rows:
        last = _check_row(row, last)
    require({"dict": dict[str, Any]}, tree, "the tree")
    require({"k": int}, tree["dict"], "the tree")
    named: list[str] = []
    _check_tree(tree, arrays, named)
    if len(set(named)) != len(named):
        raise ValueError("an array in two places")
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name[:40]} is not finite")


def _check_row(row: Any, before: int) -> int:
    """Check a step record; return its k, which must be more than the one `before`."""
    require(dict.fromkeys(ROW[1:], float | None), row, "a row")
    require(dict.fromkeys(NEEDED_NUMBERS, float), row, "a row")
    if row.get("event") != "step" or type(row["k"]) is not int or row["k"] <= before:
        raise ValueError("a row that does not follow the one before it")
    for name, value in row.items():
        good = name.isascii() and name.isidentifier()
        if not good or not (name == "event" or conforms(value, float | None)):
            raise ValueError(f"{name[:40]!r} in a row")
    return int(row["k"])


def _check_tree(node: Any, arrays: Mapping[str, Any], named: list[str]) -> None:
    """Check what :func:`.state.take` makes; collect the names of the arrays."""
    if node is None or isinstance(node, (bool, float)):
        return
    if isinstance(node, str):
        if not (node.isascii() and node.isidentifier()):
            raise ValueError(f"the text {node[:20]!r}")
        return
    if isinstance(node, int):
        if node < 0:
            raise ValueError("a negative count")
        return
    if not isinstance(node, dict) or len(node) != 1:
        raise ValueError("a tree of something else")
    ((kind, content),) = node.items()
    if kind in ("array", "scalar"):
        if not isinstance(content, str) or content not in arrays:
            raise ValueError("an array that is not there")
        if kind == "scalar" and arrays[content].ndim:
            raise ValueError("a scalar that is none")
        named.append(content)
        return
    items = content.values() if isinstance(content, dict) else content
    if isinstance(content, dict) == (kind in ("tuple", "list", "deque")) or not isinstance(
        content, (dict, list)
    ):
        raise ValueError(f"a {kind[:40]} of something else")
    for item in items:
        _check_tree(item, arrays, named)


def _key(name: str, kind: Any) -> bool:
    if kind is int:
        return name.removeprefix("-").isdecimal() and name.isascii() and len(name) < 20
    return True
