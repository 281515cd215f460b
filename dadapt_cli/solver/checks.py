"""Checks of option values, with messages that say what to give instead."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dadapt_cli.errors import UsageError

LARGEST = 2**63 - 1
"""Of integers: what an array can count."""


def choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Raise UsageError unless `value` is one of `choices`."""
    if value not in choices:
        raise UsageError(f"--{name} {value!r}; choose from {', '.join(choices)}")


def number(
    name: str,
    value: Any,
    *,
    at_least: float | None = None,
    above: float | None = None,
    words: tuple[str, ...] = (),
) -> None:
    """Raise UsageError unless `value` is one of `words` or a finite number in range."""
    if isinstance(value, str) and value in words:
        return
    wanted = "a finite number"
    if at_least is not None:
        wanted = f"a number of at least {at_least:g}"
    if above is not None:
        wanted = f"a number above {above:g}"
    given = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if (
        not given
        or (isinstance(value, int) and abs(value) > LARGEST)
        or not math.isfinite(value)
        or (at_least is not None and value < at_least)
        or (above is not None and value <= above)
    ):
        raise UsageError(f"--{name} {str(value)[:40]!r}; give {' or '.join([*words, wanted])}")
