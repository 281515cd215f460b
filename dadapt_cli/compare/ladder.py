"""Solvers that show no trajectory: answered anew at one tolerance after another, each timed."""

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
"""Rungs without a better answer, after which there is none."""


class Answers(Protocol):
    """A solver on one problem, its data converted."""

    def answer(self, tolerance: float) -> tuple[Array, float | None]:
        """Solve from 0 at a tolerance: weights in the shape of the problem's.

        And the seconds, where the time that it took is not the call's; what is answered after a
        warning that it did not converge counts as any answer does.
        """


class Ladder:
    """The part that all such solvers share."""

    kind: ClassVar[str] = "solver"
    name: str

    def on(self, case: Case) -> AbstractContextManager[Answers]:
        """Convert the data, untimed."""
        raise NotImplementedError

    def described(self, case: Case) -> dict[str, object]:
        """What it runs with, but for the tolerance."""
        raise NotImplementedError

    def warm_up(self, case: Case) -> None:
        """The loosest rung."""
        with blas(case.problem), self.on(case) as solver:
            solver.answer(RUNGS[0])

    def run(self, case: Case) -> Attempt:
        """Climb until the goal is proven to be reached, or the time is up.

        A rung cannot be stopped: the time limit is looked at between them.
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
