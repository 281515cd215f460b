"""Solvers that show no trajectory: solved afresh at one tolerance after another, each timed."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import ClassVar, Protocol

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.compare.case import Attempt, Case, Point, blas, limit

RUNGS = tuple(10.0**-i for i in range(1, 15))
"""Tolerances, in the solver's own meaning of the word."""

BLIND = 3
"""Consecutive tolerances without a better answer after which the run ends."""


class Answers(Protocol):
    """A solver on one problem, its data converted."""

    def answer(self, tolerance: float) -> tuple[Array, float | None]:
        """Solve from 0 at a tolerance: weights in the shape of the problem's.

        Also the seconds, where these differ from the duration of the call. An answer given with a
        warning that the solver did not converge counts like any other.
        """


class Ladder:
    """The part that all such solvers share."""

    kind: ClassVar[str] = "solver"
    name: str

    def on(self, case: Case) -> AbstractContextManager[Answers]:
        """Convert the data, untimed."""
        raise NotImplementedError

    def described(self, case: Case) -> dict[str, object]:
        """The options that it runs with, except the tolerance."""
        raise NotImplementedError

    def warm_up(self, case: Case) -> None:
        """Solve once at the loosest tolerance."""
        with blas(case.problem), self.on(case) as solver:
            solver.answer(RUNGS[0])

    def run(self, case: Case) -> Attempt:
        """Tighten the tolerance until the goal is proven to be reached, or the time is up.

        One solve cannot be stopped: the time limit is checked between solves.
        """
        made = Attempt(options=self.described(case))
        left, best, blind = limit(case.shared), np.inf, 0
        with blas(case.problem), self.on(case) as solver:
            for tolerance in RUNGS:
                case.progress(f"{self.name}: tolerance {tolerance:.0e}")
                begin = time.perf_counter()
                w, seconds = solver.answer(tolerance)
                took = time.perf_counter() - begin if seconds is None else seconds
                made.seconds += took
                w = np.asarray(w, np.float64).reshape(case.problem.shape)
                begin = time.perf_counter()
                judged, f = case.referee(w), float(case.problem.value_and_gradient(w).f)
                made.judging += time.perf_counter() - begin
                made.judged[len(made.points)] = judged
                made.points.append(Point(None, None, None, took, f, tolerance=tolerance))
                blind = 0 if f < best else blind + 1
                if made.answer is None or f < best:
                    made.answer, best = w, f
                    made.judged[-1] = judged
                if judged.f[1] <= case.goal:
                    made.status = "level" if case.shared.tol is None else "tolerance"
                    break
                if made.seconds >= left:
                    made.status, made.reason = "time", "the time limit ended the tolerances"
                    break
                if blind == BLIND:
                    break
        if made.status == "stopped":
            made.reason = f"tolerances down to {tolerance:.0e} gave no better answer"
        return made
