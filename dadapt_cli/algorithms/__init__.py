"""The algorithms: one module each, found by being there."""

from __future__ import annotations

import difflib
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import cast

from dadapt_cli.algorithms._base import (
    Algorithm,
    Info,
    MinibatchAlgorithm,
    MinibatchState,
    State,
)
from dadapt_cli.errors import UsageError

__all__ = [
    "Algorithm",
    "Info",
    "MinibatchAlgorithm",
    "MinibatchState",
    "State",
    "find",
    "names",
    "table",
]


@cache
def _files() -> dict[str, str]:
    """Modules by the names of their algorithms, which are those of their files."""
    found = [one.name for one in iter_modules(__path__) if not one.name.startswith("_")]
    return {name.replace("_", "-"): f"{__name__}.{name}" for name in found}


@cache
def table() -> dict[str, Algorithm]:
    """Algorithms by name, in the paper's order."""
    modules = [cast(Algorithm, import_module(path)) for path in _files().values()]
    return {m.INFO.name: m for m in sorted(modules, key=lambda m: m.INFO.title)}


def names() -> list[str]:
    """The names, in the paper's order."""
    return list(table())


def find(name: str, variant: str = "paper") -> Algorithm:
    """Return the algorithm called `name`; a variant with a listing of its own is name-variant.

    Nothing else is imported: all of them take a tenth of a start.

    Raises
    ------
    UsageError
        No such algorithm; the message suggests the nearest name.
    """
    files = _files()
    if name in files:
        found = cast(Algorithm, import_module(files[name]))
        if variant not in (known := found.INFO.variants):
            raise UsageError(f"--variant {variant[:40]!r}: {name} has {', '.join(known)}")
        own = files.get(f"{name}-{variant}")
        return found if own is None else cast(Algorithm, import_module(own))
    near = difflib.get_close_matches(name.lower(), names(), n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names())}"
    raise UsageError(f"unknown algorithm {name[:40]!r}; {hint}")
