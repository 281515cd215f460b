"""What a checkpoint may hold: looked at before any of it is used.

The digest tells damage; anybody can write a file with a right one. So names, types and ranges are
checked here, and what only the run itself can know (its classes, its shapes) in :mod:`.state`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dadapt_cli.system.schema import conforms, require

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
    *("bound", "grad_norm", "gradients", "d_over_D", "rejected", "seconds"),
)
"""Names that a step record has; a run may have more of them."""

NEEDED_NUMBERS = ("k", "f_last", "f_best", "grad_norm", "gradients", "seconds")


def check(head: Any, rows: Any, seconds: Any, tree: Any, arrays: Mapping[str, Any]) -> None:
    """Raise ValueError at the first thing in a checkpoint that no run writes."""
    require(HEAD, head, "the head")
    require(DATA, head["data"], "data")
    if len(head["data"]["shape"]) != 3:
        raise ValueError("data has another shape than samples, features and classes")
    if not isinstance(head.get("merge", False), bool):
        raise ValueError("merge is neither true nor false")
    if type(head.get("length", 1)) is not int or head.get("length", 1) < 1:
        raise ValueError("the length of a schedule is no number of steps")
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
