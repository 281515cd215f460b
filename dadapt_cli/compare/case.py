"""The input that all contenders are given, and the result of one timed run."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from dadapt_cli._typing import Array, Record
from dadapt_cli.objective import Problem
from dadapt_cli.reference import Reference
from dadapt_cli.reference.referee import Judgement, judge
from dadapt_cli.solver.options import Options
from dadapt_cli.solver.samples import Samples
from dadapt_cli.system.signals import Interrupts

LEVELS = {"1e-2": 1e-2, "1e-3": 1e-3, "1e-6": 1e-6}
"""Levels of (f - f*)/(f(0) - f*), by their names in the records."""

ROUNDING = 1e-6
"""Share of a level by which f must be below it: the later judgement of f counts all rounding."""

LARGE_DENSE = 1_000_000
"""Number of entries of dense data above which other solvers get several threads for BLAS."""


@dataclass(frozen=True, slots=True)
class Point:
    """A point that was evaluated, or an answer.

    Attributes
    ----------
    k
        Steps made; None for an answer.
    gradients
        Evaluated so far, products with the Hessian counted as such; None if they are not counted.
    passes
        Passes over the data: gradients, or epochs.
    seconds
        Time since the problem was handed over, all preparation of the method included.
    f
        The objective at the point.
    grad_norm
        ||gradient||_2 in the user's variables.
    d
        The algorithm's d_k.
    tolerance
        The tolerance with which the answer was requested.
    """

    k: int | None
    gradients: int | None
    passes: float | None
    seconds: float
    f: float
    grad_norm: float | None = None
    d: float | None = None
    tolerance: float | None = None


@dataclass
class Attempt:
    """One timed run.

    Attributes
    ----------
    points
        In the order in which they were made.
    seconds
        The total time: more than that of the last point where there were many answers.
    status, reason
        Why the run ended.
    options
        The options that it ran with.
    answer
        The weights it returns, in the shape of the problem's; None where it failed.
    reached
        Weights at which a level was first reached, by the level's name and the number of the
        point; filled in while it runs, where f* is known beforehand.
    judged
        The referee's judgements of points, by their number; that of the answer is at -1.
    metric, norm
        The metric and the norm in which d is measured.
    judging
        Seconds that the referee took within the run, none of them timed.
    """

    points: list[Point] = field(default_factory=list)
    seconds: float = 0.0
    status: str = "stopped"
    reason: str | None = None
    options: Record = field(default_factory=dict)
    answer: Array | None = None
    reached: dict[int, Array] = field(default_factory=dict)
    judged: dict[int, Judgement] = field(default_factory=dict)
    metric: str = "identity"
    norm: str | None = None
    signal: int | None = None
    judging: float = 0.0


@dataclass(frozen=True)
class Case:
    """A problem with its optimum.

    Attributes
    ----------
    samples
        As read, for solvers that prepare the data themselves.
    problem
        The objective, float64.
    known
        The reference.
    f_0
        f at the start, w = 0.
    shared
        The options that all runs share.
    interrupts
        Asked by our algorithms after each iteration.
    note
        Called with each line the user should read.
    progress
        Called with a line on what is being done.
    """

    samples: Samples
    problem: Problem
    known: Reference
    f_0: float
    shared: Options
    interrupts: Interrupts = field(default_factory=Interrupts)
    note: Callable[[str], None] = lambda line: None
    progress: Callable[[str], None] = lambda line: None
    verdicts: dict[bytes, Judgement] = field(default_factory=dict, repr=False)

    @property
    def certified(self) -> bool:
        """Whether f* is known with a proof."""
        return self.known.status in ("attained", "not-attained")

    def threshold(self, level: str) -> float:
        """f at or below which a level is reached; -inf where f* is not known beforehand."""
        if self.known.f_star is None:
            return -math.inf
        gap = self.known.gap or 0.0
        rise = LEVELS[level] * (self.f_0 - self.known.f_star)
        return self.known.f_star - gap + rise * (1.0 - ROUNDING)

    @property
    def goal(self) -> float:
        """f at or below which a run may stop: ``--tol``, else the finest level."""
        if self.known.f_star is None or self.shared.tol is None:
            return self.threshold(min(LEVELS, key=lambda name: LEVELS[name]))
        return self.known.f_star - (self.known.gap or 0.0) + self.shared.tol * (1.0 - ROUNDING)

    def referee(self, w: Array) -> Judgement:
        """Return what is proven about weights w; an f* given by the user is not used as a proof."""
        key = hashlib.sha256(np.ascontiguousarray(w).data).digest()
        if key not in self.verdicts:  # repeats end at the same point
            self.verdicts[key] = judge(self.problem, w, self.known if self.certified else "none")
        return self.verdicts[key]


class Contender(Protocol):
    """An algorithm or another solver."""

    kind: ClassVar[str]
    """``algorithm`` or ``solver``."""

    @property
    def name(self) -> str:
        """Its name, as the user typed it."""

    @property
    def library(self) -> str | None:
        """The library it comes from, with its version; None for our own."""

    def unsuited(self, case: Case) -> str | None:
        """Why it cannot be run on this problem, or None."""

    def warm_up(self, case: Case) -> None:
        """Run briefly, untimed, so that modules are loaded and all contenders find equal caches."""

    def run(self, case: Case) -> Attempt:
        """Run it once from w = 0."""


class Crossings:
    """Watches a trajectory for the points at which levels are first reached."""

    def __init__(self, case: Case) -> None:
        self.left = [case.threshold(name) for name in LEVELS]

    def __call__(self, f: float) -> bool:
        """Whether `f` reaches a level that was not reached before."""
        reached = False
        while self.left and f <= self.left[0]:
            del self.left[0]
            reached = True
        return reached


def blas(problem: Problem) -> AbstractContextManager[object]:
    """One thread for BLAS, which suits sparse data and short vectors; more for large dense data."""
    large = isinstance(problem.X, np.ndarray) and problem.X.size >= LARGE_DENSE
    threads = problem.threads if large else 1
    limited: AbstractContextManager[object] = threadpool_limits(threads, user_api="blas")
    return limited


def limit(shared: Any) -> float:
    """Seconds that a run may take."""
    return math.inf if shared.time_limit is None else float(shared.time_limit)
