"""Checks of option values, with messages that say what to give instead."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, NamedTuple

from dadapt_cli.errors import UsageError

LARGEST = 2**63 - 1
"""The largest integer allowed: what an array can count."""


def choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Raise UsageError unless `value` is one of `choices`."""
    if value not in choices:
        shown = value[:40] if isinstance(value, str) else value
        raise UsageError(f"--{name} {shown!r}; choose from {', '.join(choices)}")


class Range(NamedTuple):
    """The finite numbers within limits, NumPy's numbers included, truth values excluded."""

    at_least: float | None = None
    above: float | None = None
    below: float | None = None
    at_most: float | None = None

    def __contains__(self, value: Any) -> bool:
        known = isinstance(value, Real) and not isinstance(value, bool)
        if isinstance(value, int) and abs(value) > LARGEST:
            return False
        return (
            known
            and math.isfinite(value)
            and (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
            and (self.at_most is None or value <= self.at_most)
        )

    def __str__(self) -> str:
        if self.at_least is not None and self.below is not None:
            return f"number in [{self.at_least:g}, {self.below:g})"
        if self.at_least is not None and self.at_most is not None:
            return f"number in [{self.at_least:g}, {self.at_most:g}]"
        if self.above is not None:
            return f"number above {self.above:g}"
        if self.below is not None:
            return f"number below {self.below:g}"
        return "finite number" if self.at_least is None else f"number of at least {self.at_least:g}"


def number(name: str, value: Any, *, words: tuple[str, ...] = (), **limits: float) -> None:
    """Raise UsageError unless `value` is one of `words` or a number in :class:`Range`."""
    if isinstance(value, str) and value in words:
        return
    if value not in (numbers := Range(**limits)):
        wanted = " or ".join([*words, f"a {numbers}"])
        raise UsageError(f"--{name} {str(value)[:40]!r}; give {wanted}")
