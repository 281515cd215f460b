"""The point from which a reference is proven, and the proof of a minimum that exists."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dadapt_cli._typing import Array, Mask
from dadapt_cli.objective import Problem, metric
from dadapt_cli.reference.enclosure import Enclosure
from dadapt_cli.reference.reference import Reference

LARGEST_GAP = 1e-10
"""Absolute, without an l2 term, and SMALLEST_GAP with one; with a larger gap, and one above
LARGEST_SHARE relative to f*, there is no reference."""

SMALLEST_GAP = 1e-14
"""Where f* is near 0."""

LARGEST_SHARE = 1e-6
"""Relative to f*."""

LOST = 1e-3
"""Gap relative to f* above which the solver has failed, and scaling may help."""

SEPARATES = "a separating direction"

HOW = (
    "newton-cholesky",
    "newton-cg",
    "orth",
    "newton",
    SEPARATES,
    "no direction of recession",
    "facial reduction",
    "facial reduction by linear programme",
)
"""How witnesses are found."""


@dataclass(frozen=True)
class Witness:
    """What a reference is proven from, however it was found.

    Attributes
    ----------
    w
        The point, shape of the weights, in the user's variables.
    how
        One of HOW.
    falling
        Terms that are left out, (m,); None or all False where the minimum is attained.
    direction
        Along which they fall to 0, shape of the weights.
    """

    w: Array
    how: str
    falling: Mask | None = None
    direction: Array | None = None


def enough(gap: float, upper: float, l2: float) -> bool:
    """Whether an interval for f* is narrow enough to be called a reference."""
    most = LARGEST_SHARE * upper
    return upper < math.inf and gap <= max(most, SMALLEST_GAP if l2 > 0 else LARGEST_GAP)


def attained(problem: Problem, found: Enclosure, witness: Witness, x0: Array) -> Reference:
    """The reference of a minimum that exists, or why there is none."""
    if found.ball is None:
        return Reference("none", reason=found.reason)
    if not enough(found.gap, found.upper, problem.l2):
        reason = f"the solver stopped at a certified gap of {found.gap:.1e}"
        if found.gap > LOST * found.upper:
            reason += "; scale the features, or take a larger l2"
        return Reference("none", reason=reason)
    move, radius = found.ball.centre - x0, found.ball.radius
    reference = Reference(
        "attained",
        f_star=found.upper,
        gap=found.gap,
        method=f"{witness.how}; {found.method}",
        distances=metric.distances(problem, move, radius, found.each),
        witness=witness.w,
        ball=found.ball,
    )
    return reference.in_metric("identity")
