"""The state of a running loop as plain data, and back, for any algorithm.

A state is walked by its fields: arrays go to one flat dictionary, named by their path, and the rest
to a tree of JSON values. The types decide what comes back: a NumPy scalar stays one, because with
an array it is promoted differently from a Python float. What can be neither saved nor recomputed
is an error when the snapshot is taken, not when it is needed.
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
        ``REMADE``, which are recomputed from the data.
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
        The same thing as it is made at the start of a run. An object whose parts change in kind on
        the way has a method ``like``, given what is kept, that makes them of that kind.

    Raises
    ------
    ValueError
        The two do not fit each other: other fields, classes, shapes or types of arrays.
    """
    if not isinstance(kept, dict):
        return _plain(live, kept)
    ((kind, content),) = kept.items()
    if kind in ("array", "scalar"):
        return _array(live, arrays[content], content, kind == "scalar")
    if kind in SEQUENCES:
        if live is not None and type(live).__name__ != kind:
            raise ValueError(f"a {kind} in place of {type(live).__name__}")
        items = [restore(None, item, arrays) for item in content]
        return deque(items, live.maxlen) if kind == "deque" else SEQUENCES[kind](items)
    if kind == "dict":
        known = live if isinstance(live, dict) else dict.fromkeys(content)
        if not isinstance(live, (dict, type(None))) or set(known) != set(content):
            raise ValueError(f"an object with {sorted(content)[:8]} does not fit")
        return {name: restore(known[name], item, arrays) for name, item in content.items()}
    if type(live).__name__ != kind or set(_names(live)) != set(content):
        raise ValueError(f"{kind} with {sorted(content)[:8]} does not fit {type(live).__name__}")
    if hasattr(live, "like"):
        live.like(content)
    for name, item in content.items():
        setattr(live, name, restore(getattr(live, name), item, arrays))
    return live


def _plain(live: Any, kept: Any) -> Any:
    """A plain value, if it is of the kind of the one in its place."""
    number = (int, float, np.number)
    same = live is None
    if isinstance(live, (bool, str)) or isinstance(kept, bool):
        same = same or (type(kept) is type(live) and (isinstance(live, bool) or kept == live))
    elif isinstance(live, int):
        same = isinstance(kept, int)
    elif isinstance(live, number):
        same = isinstance(kept, number)
    if not same:
        raise ValueError(f"{str(kept)[:20]!r} in place of {type(live).__name__}")
    return kept


def _array(live: Any, array: Array, name: str, scalar: bool) -> Any:
    """An array, or a scalar of one, if it is of the kind of what is in its place."""
    same = (array.shape, array.dtype)
    if isinstance(live, np.ndarray) and (scalar or (live.shape, live.dtype) != same):
        raise ValueError(f"{name} is {same}, not {(live.shape, live.dtype)}")
    if not isinstance(live, (np.ndarray, type(None), *((float, np.number) if scalar else ()))):
        raise ValueError(f"{name} in place of {type(live).__name__}")
    return array[()] if scalar else array


def _names(value: Any) -> list[str]:
    """The fields of an object of this package that make its state."""
    if not type(value).__module__.startswith("dadapt_cli."):
        raise TypeError(f"a {type(value).__name__} cannot be kept")
    names = [f.name for f in fields(value)] if is_dataclass(value) else list(vars(value))
    remade = getattr(type(value), "REMADE", ())
    return [n for n in names if n not in remade and not isinstance(getattr(value, n), Problem)]
