"""The state of a running loop as plain data, and back, for any algorithm.

A state is walked by its fields: arrays go to one flat dictionary, named by their path, and the rest
to a tree of JSON values. The types decide what comes back: a NumPy scalar stays one, because with
an array it is promoted otherwise than a Python float. What can be neither kept nor made anew is
an error when the snapshot is taken, not a surprise when it is needed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.objective import Problem

Arrays = dict[str, Array]

PLAIN = (bool, int, float, str, type(None))

SEQUENCES = {"tuple": tuple, "list": list, "deque": deque}


def take(value: Any, arrays: Arrays, path: str = "") -> Any:
    """Return `value` as JSON values, with its arrays put into `arrays`, not copied.

    Parameters
    ----------
    value
        A plain value, an array, a sequence or a dictionary of such, or an object of this package:
        then its fields are taken, except a :class:`Problem` and what its class lists in
        ``REMADE``, which are made anew from the data.
    path
        Where it is, for the names of the arrays.

    Raises
    ------
    TypeError
        Something else is in it: an algorithm that holds such a thing says ``resumable=False``.
    """
    if isinstance(value, (np.ndarray, np.generic)):  # np.float64 is a float, too
        if value.dtype.hasobject:
            raise TypeError(f"{path}: an array of objects cannot be kept")
        arrays[path] = np.asarray(value)
        return {"array" if isinstance(value, np.ndarray) else "scalar": path}
    if isinstance(value, PLAIN):
        return value
    kind = type(value).__name__
    if kind in SEQUENCES:
        return {kind: [take(item, arrays, f"{path}.{i}") for i, item in enumerate(value)]}
    if isinstance(value, dict):
        return {"dict": {name: take(item, arrays, f"{path}.{name}".lstrip("."))
                         for name, item in value.items()}}  # fmt: skip
    return {
        kind: {name: take(getattr(value, name), arrays, f"{path}.{name}") for name in _names(value)}
    }


def restore(live: Any, kept: Any, arrays: Arrays) -> Any:
    """Return what :func:`take` was given; objects are not made but overwritten in `live`.

    Parameters
    ----------
    live
        The same thing as it is made at the start of a run.

    Raises
    ------
    ValueError
        The two do not fit each other: other fields, classes, shapes or types of arrays.
    """
    if not isinstance(kept, dict):
        return kept
    ((kind, content),) = kept.items()
    if kind in ("array", "scalar"):
        array = arrays[content]
        same = (array.shape, array.dtype)
        if isinstance(live, np.ndarray) and (live.shape, live.dtype) != same:
            raise ValueError(f"{content} is {same}, not {(live.shape, live.dtype)}")
        return array if kind == "array" else array[()]
    if kind == "deque":
        return deque((restore(None, item, arrays) for item in content), live.maxlen)
    if kind in SEQUENCES:
        return SEQUENCES[kind](restore(None, item, arrays) for item in content)
    if kind == "dict":
        known = live if isinstance(live, dict) else {}
        return {name: restore(known.get(name), item, arrays) for name, item in content.items()}
    if type(live).__name__ != kind or set(_names(live)) != set(content):
        raise ValueError(f"{kind} with {sorted(content)} is no {type(live).__name__} of here")
    for name, item in content.items():
        setattr(live, name, restore(getattr(live, name), item, arrays))
    return live


def _names(value: Any) -> list[str]:
    """The fields of an object of this package that make its state."""
    if not type(value).__module__.startswith("dadapt_cli."):
        raise TypeError(f"a {type(value).__name__} cannot be kept")
    names = [f.name for f in fields(value)] if is_dataclass(value) else list(vars(value))
    remade = getattr(type(value), "REMADE", ())
    return [n for n in names if n not in remade and not isinstance(getattr(value, n), Problem)]
