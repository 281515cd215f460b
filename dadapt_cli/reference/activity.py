"""How near a reference is to being done, for whoever shows it; nothing depends on it."""

from __future__ import annotations

import math
import time

import numpy as np

from dadapt_cli.objective import Evaluation, Problem
from dadapt_cli.system.activity import tell

SECONDS = 0.05
"""Between two reports."""

STARTS = 1e-10
"""||g||^2/(2 l2), relative to f, at which L-BFGS has done its part."""

ENDS = 1e-12
"""And at which ``orth`` has."""

STEPS = 8
"""Of Newton's method, as a rule at most."""


class Nearness:
    """Tells what share of the way a solver has gone, by the logarithm of its certificate.

    Both solvers converge about linearly, so that the logarithm falls evenly. Without an l2 term
    nothing is known of the way, and nothing is told of it.
    """

    def __init__(self, problem: Problem, *, dense: bool) -> None:
        self.l2 = problem.l2
        self.least = STARTS if dense else ENDS
        self.first = self.share = 0.0
        self.part = _first_part(problem) if dense else 0.95
        self.next = -math.inf

    def at(self, now: Evaluation) -> None:
        """A point was evaluated."""
        time_now = time.monotonic()
        if self.l2 == 0 or time_now < self.next:
            return
        self.next = time_now + SECONDS
        gap = float(np.vdot(now.g, now.g)) / (2 * self.l2 * max(abs(now.f), 1e-300))
        if not (math.isfinite(gap) and gap > self.least):
            return
        if not self.first:
            self.first = math.log(gap / self.least)
        self._reached(self.part * (1 - math.log(gap / self.least) / self.first))

    def newton(self, steps: int) -> None:
        """So many of Newton's steps were made."""
        if self.l2 > 0:
            self._reached(self.part + (1 - self.part) * min(steps / STEPS, 0.95))

    def _reached(self, share: float) -> None:
        self.share = max(self.share, share)  # the certificate may rise for a while
        tell("computing f* (--reference none skips it)", self.share)


def _first_part(problem: Problem) -> float:
    """What share of the time L-BFGS takes, about."""
    from dadapt_cli.reference import hessian

    classes = problem.shape[-1] if problem.softmax else 1
    product = 2e-9 * problem.nonzeros * classes + 2e-8 * problem.n * classes
    multiply = hessian.gram_seconds(problem.X) * classes * (classes + 1) / 2
    step = multiply + 1e-10 * math.prod(problem.shape) ** 3
    return 100 * product / (100 * product + STEPS * step)
