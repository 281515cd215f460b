"""The referee: how far any solver's answer is from the optimum, proven."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dadapt_cli import reference
from dadapt_cli._typing import Array
from dadapt_cli.objective import Problem
from dadapt_cli.objective.ball import Ball
from dadapt_cli.objective.rounding import down, up
from dadapt_cli.reference.enclosure import enclose
from dadapt_cli.reference.reference import Reference


@dataclass(frozen=True)
class Judgement:
    """What is proven of some weights w. Intervals contain the exact objective's values.

    Attributes
    ----------
    f
        f(w).
    f_star
        The infimum of f.
    gap
        f(w) - inf f.
    alone
        The upper end of the gap that follows from w alone, without a reference; infinite where
        nothing does.
    proven
        How many rows have a label under w that is proven to be the exact optimum's; None where
        the optimum is not enclosed.
    rows
        How many there are.
    reason
        Why something is not proven, or None.
    """

    f: tuple[float, float]
    f_star: tuple[float, float]
    gap: tuple[float, float]
    alone: float
    proven: int | None
    rows: int
    reason: str | None

    @property
    def share(self) -> float | None:
        """Share of the rows whose label is proven."""
        return None if self.proven is None else self.proven / self.rows


def judge(problem: Problem, w: Array, wanted: str | Reference = "auto") -> Judgement:
    """Enclose f(w) - inf f, and count the labels that are the optimum's.

    Parameters
    ----------
    problem
        The objective, float64.
    w
        Weights, shape (p,) or (p, C), of the problem's (scaled) features.
    wanted
        ``none``: from w alone. ``auto``, ``always``: also from the reference of the problem,
        which is sharper when w is far from the optimum (:func:`dadapt_cli.reference.find`).
        Or that reference itself, for who judges many points: `alone` is then what strong convexity
        says of w, where there is a certified f*.
    """
    sharp = isinstance(wanted, Reference) and wanted.gap is not None and wanted.f_star is not None
    at = enclose(problem, w, curvature=False if sharp else None)
    f = at.f_lower, at.f_upper
    low, high, ball, reason = at.lower, at.upper, at.ball, at.reason
    alone = up(at.f_upper - at.lower) if at.reason is None else math.inf
    if wanted != "none":
        known = wanted if isinstance(wanted, Reference) else _found(problem, wanted)
        if known.f_star is not None and known.gap is not None:
            low = max(low, down(known.f_star - known.gap))
            high = min(high, known.f_star)
            reason = None if known.ball is not None else known.reason or known.status
        if known.ball is not None and (ball is None or known.ball.radius < ball.radius):
            ball = known.ball
    gap = max(0.0, down(f[0] - high)), up(f[1] - low)
    return Judgement(f, (low, high), gap, alone, _proven(problem, w, ball), problem.n, reason)


def _found(problem: Problem, wanted: str) -> Reference:
    return reference.find(problem, reference.cache.content(problem), always=wanted == "always")


def _proven(problem: Problem, w: Array, ball: Ball | None) -> int | None:
    if ball is None:
        return None
    scores = problem.scores(w)
    chosen = scores.argmax(axis=1) if problem.softmax else (scores > 0).astype(np.intp)
    return int(np.count_nonzero(ball.proves(problem.X, chosen)))
