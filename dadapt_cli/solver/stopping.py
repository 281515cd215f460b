"""Budgets, and when a run stops."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dadapt_cli._typing import Array, Matrix
from dadapt_cli.objective import Problem
from dadapt_cli.objective.ball import Ball
from dadapt_cli.reference import Reference

CURVE = frozenset((
    *(10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 24, 25, 26, 28, 30, 32, 34, 36, 38),
    *(40, 42, 45, 48, 50, 53, 56, 60, 63, 67, 71, 75, 80, 85, 90, 95),
))  # fmt: skip
"""First two digits of the iterations of ``auto``: the R'40 preferred numbers of ISO 3.

38 a decade, 87 rows of 1000 steps; they depend on k alone, so a resumed run has the same.
"""


@dataclass(frozen=True)
class Budget:
    """When to stop, and which iterations to report.

    Attributes
    ----------
    iterations
        Steps (or epochs): rows 0..iterations, one gradient more.
    tolerance
        Absolute, in units of f: stop once f is proven to be within this of f*, by the reference
        or by ||g||^2/(2 l2).
    seconds
        Limit on the time of the loop.
    every
        ``log`` (1, 2, 5, 10, 20, 50, ...), ``auto`` (:data:`CURVE`) or K for each K-th; row 0 and
        the last one always.
    share
        Stop once this share of the labels is proven to be that of the optimum.
    """

    iterations: int
    tolerance: float | None = None
    seconds: float = math.inf
    every: str | int = "log"
    share: float | None = None

    def reports(self, k: int) -> bool:
        """Whether iteration k is a row."""
        if k == 0 or isinstance(self.every, int):
            return k == 0 or k % int(self.every) == 0
        digits = str(k)
        if self.every == "auto":
            return k < 10 or (int(digits[:2]) in CURVE and not digits[2:].strip("0"))
        return digits.rstrip("0") in ("1", "2", "5")


@dataclass(slots=True)
class Iterate:
    """Where a loop is, for the stopping rule and the row.

    Attributes
    ----------
    k
        Steps made.
    x
        x_k, a point of the metric.
    f, f_best
        Of x_k, and the least so far.
    grad_square
        ||g_k||^2 in the user's variables.
    elapsed
        Seconds of the loop.
    gradients
        Sample gradients evaluated so far, those at x_k included, over the number of samples.
    epoch
        Epochs made; None for the full-batch algorithms.
    """

    k: int
    x: Array
    f: float
    f_best: float
    grad_square: float
    elapsed: float
    gradients: float
    epoch: int | None = None


@dataclass
class Stopping:
    """The rule by which a run stops.

    Attributes
    ----------
    problem
        In the metric of the run.
    budget
        The limits that the user set.
    reference
        f* and the gap of its certificate.
    exact
        The float64 objective in the user's variables, which certificates are about.
    rows
        Rows whose labels ``share`` counts: scaled, with the constant feature where there is one.
    refused
        ||g||^2 when rounding last hid what the tolerance asks for: not worth asking again soon.
    ask_at
        The k from which the labels are checked again: a check costs a few products.
    enclosed
        The last weights that the tolerance was checked at, and what ``certify.gap_at`` said.
    """

    problem: Problem
    budget: Budget
    reference: Reference
    exact: Problem
    rows: Matrix = None
    refused: float = math.inf
    ask_at: int = 0
    enclosed: tuple[Array, tuple[float | None, Ball | None]] | None = None

    def status(self, now: Iterate) -> str | None:
        """The status with which to stop before the next step (or epoch), or None."""
        if now.grad_square == 0.0:
            return "optimal"
        if self.budget.tolerance is not None and self._within(now, self.budget.tolerance):
            return "tolerance"
        if self.budget.share is not None and now.k >= self.ask_at and self._labels(now):
            return "proven"
        if (now.k if now.epoch is None else now.epoch) >= self.budget.iterations:
            return "iterations"
        return "time" if now.elapsed >= self.budget.seconds else None

    def _within(self, now: Iterate, tolerance: float) -> bool:
        """Whether f at x_k is proven to be within `tolerance` of f*; a given f* is believed."""
        if self.reference.status == "given":
            gap = self.reference.certified(now.f_best)
            return gap is not None and gap <= tolerance
        gap = self.reference.certified(now.f)
        seems = (gap is not None and gap <= tolerance) or self._seems(now, tolerance)
        return seems and now.grad_square <= self.refused and self._proven(now, tolerance)

    def _seems(self, now: Iterate, tolerance: float) -> bool:
        """Whether ||g||^2/(2 l2), in the user's variables, is small enough, rounding ignored.

        With an intercept, which l2 leaves out, this proves nothing, but tells when to check.
        """
        l2 = self.problem.l2
        return l2 > 0 and now.grad_square / (2 * l2) <= tolerance

    def _proven(self, now: Iterate, tolerance: float) -> bool:
        """The same bound with all rounding counted, in float64; costs a few evaluations.

        The curvature is computed last: it costs the most.
        """
        from dadapt_cli.solver.certify import gap_at

        w = self.problem.rescaled(now.x)
        for curvature in (False, None):
            found = gap_at(self.exact, self.reference, w, curvature=curvature)
            if curvature is False:
                self.enclosed = w.copy(), found
            gap = found[0]
            if gap is not None and gap <= tolerance:
                return True
        self.refused = now.grad_square / 4
        return False

    def _labels(self, now: Iterate) -> bool:
        """Whether enough labels are proven; checked again after an eighth more steps."""
        from dadapt_cli.solver.certify import ball_at, share_proven

        w = self.problem.rescaled(now.x)
        share = share_proven(self.rows, ball_at(self.exact, self.reference, w), w)
        self.ask_at = now.k + max(1, now.k // 8)
        return share is not None and self.budget.share is not None and share >= self.budget.share
