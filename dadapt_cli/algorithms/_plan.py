"""What ``newton`` spends on curvature, decided by shapes alone, so that runs repeat.

The estimates are in seconds of one core (measured, benchmarks/solve.py); only their ratios
matter. A factor pays where it costs a few steps. Where it does not, a diagonal with L-BFGS pairs
goes first, and the factor is made once the steps have cost more than it (ski rental: Karlin et
al. 1988).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dadapt_cli.objective import Problem
from dadapt_cli.objective.smoothness import sum_of_squares
from dadapt_cli.system import memory

FLOPS = 3e10
"""Floating-point operations of a single-precision Gram product, per second."""

ENTRY = {True: 3e-9, False: 8e-10}
"""Seconds of both products per stored entry, times classes^(3/4): sparse, dense."""

SCORE = 1.2e-8
"""Seconds of the link, and of the other work on the margins, per score and per sample."""

GATHER, NUMBER = 1e-8, 3e-9
"""Seconds per stored entry of a sparse matrix's sampled rows, and per number of them made dense."""

STEP, BUILD = 8e-5, 1e-4
"""Seconds of call overhead in a step and in a build."""

AFFORDED = 6.0
"""Most steps' worth of time that the first factor may cost."""

AFFORDED_SPARSE, SPARSE = 2.0, 0.1
"""The same below this density: columns that overlap in few rows are nearly orthogonal,
and a diagonal does what the factor of a first sample would (w8a; a9a and mushrooms are denser).
"""

LARGEST = 3000
"""Most unknowns of a factor that is made later."""

MOST = 8192
"""Most unknowns of any factor: 256 MB in single precision."""

MOST_NUMBERS = 20_000_000
"""Most numbers in the sampled rows times the classes, for a factor that is made later."""

TINY = 4096
"""Scores below which call overhead, not arithmetic, takes the time."""

LATER = 2.0
"""Builds that the steps with a diagonal may cost before the factor is made."""

SMALLEST_ROW, LARGEST_SUM = 1e-15, 1e30
"""Least mean square of a row, and largest sum of squares: in between, products are far from the
ends of single precision, whose underflow the bounds on rounding do not count."""

NOTHING = 2_000_000
"""Multiplications in a sample of all rows that cost no more than its calls."""

SHARE = 1.0
"""Share of the cost of the next build that the steps must have cost before it is made."""

RENEWED = 10.0
"""Share for the form of the Hessian at equal probabilities: it hardly changes at first, but does
near the optimum of data that are all but separable (mnist.t).
"""

GROWTH = 3
"""Growth factor of the sample from build to build."""


@dataclass(frozen=True)
class Plan:
    """Which curvature a run uses.

    Attributes
    ----------
    form
        ``binary`` or ``full`` (a factor of the Hessian on sampled rows), ``kron`` (softmax: of
        that at equal probabilities), ``half`` or ``identity`` (a diagonal).
    pairs
        L-BFGS pairs on top.
    rows
        Rows in the first sample of the Hessian at x_k, however late; 0 if none is made.
    few
        Rows in the sample at equal probabilities.
    step
        Estimated seconds of a step.
    reason
        Why, in words.
    later, after
        The factor to change to, or "", and the steps after which to.
    """

    form: str
    pairs: int
    rows: int
    few: int
    step: float
    reason: str
    later: str = ""
    after: float = 0.0


def begins_single(problem: Problem) -> bool:
    """Whether single precision pays, holds the values, and its copy of them fits in memory."""
    scores = problem.n * (problem.n_classes if problem.softmax else 1)
    if problem.dtype != np.float64 or scores < TINY or problem.sums is not None:
        return False
    if not SMALLEST_ROW * problem.n < sum_of_squares(problem) < LARGEST_SUM:
        return False
    return memory.fits(4 * (problem.X.size + 3 * scores))


def plan(problem: Problem) -> Plan:
    """The plan for a problem's shape."""
    n, p, most = problem.n, problem.p, problem.most_sampled
    C = problem.n_classes if problem.softmax else 1
    best, unknowns = ("full", p * C) if problem.softmax else ("binary", p)
    rows = min(most, max(10 * p, 6 * unknowns, 256) if problem.softmax else max(10 * p, 512))
    few, step = min(most, 10 * p), step_seconds(problem)
    rows = n if n * unknowns**2 <= NOTHING else rows
    few = n if n * p**2 <= NOTHING else few
    if p > 2 * n and n * unknowns**2 > NOTHING:
        reason = "more than twice as many features as samples: L-BFGS pairs alone"
        return Plan("identity", 10, 0, few, step, reason)
    steps = build_seconds(problem, rows, unknowns) / step
    fits = f"a factor of {unknowns} unknowns "
    dense = problem.nonzeros >= SPARSE * n * p
    if unknowns <= MOST and steps <= (AFFORDED if dense else AFFORDED_SPARSE):
        fits += f"from {rows} rows costs {_about(steps)}"
        return Plan(best, 0 if n * C < TINY else 10, rows, few, step, fits)
    fits += f"costs {_about(steps)}" if unknowns <= MOST else "is too large"
    later, after = "", 0.0
    if unknowns <= LARGEST and rows * unknowns <= MOST_NUMBERS:
        later, after = best, LATER * steps
        fits += f", made after {math.ceil(after)}"
    kron = problem.softmax and p <= MOST
    if kron and build_seconds(problem, few, p) <= AFFORDED * step:
        form, how = "kron", f"the Hessian at equal probabilities, {p} unknowns"
    elif p > n:
        form, how = "identity", "L-BFGS pairs"
    else:
        form, how = "half", "L-BFGS pairs on a diagonal"
    return Plan(form, 10, rows if later else 0, few, step, f"{how}; {fits}", later, after)


def _about(steps: float) -> str:
    if steps < 1:
        return "less than a step"
    return "about a step" if steps < 1.5 else f"about {steps:.0f} steps"


def step_seconds(problem: Problem) -> float:
    """Estimated seconds of a step: both products, the link and the search."""
    C, dense = problem.n_classes if problem.softmax else 1, isinstance(problem.X, np.ndarray)
    products = problem.stored * ENTRY[not dense] * C**0.75
    return float(products + problem.n * (C + 1) * SCORE + STEP)


def build_seconds(problem: Problem, rows: int, unknowns: int) -> float:
    """Estimated seconds of a factor, gathering its rows included."""
    gather = NUMBER * rows * unknowns
    if not isinstance(problem.X, np.ndarray):
        gather += GATHER * rows * problem.stored / problem.n
    return (rows * unknowns**2 + unknowns**3 / 3) / FLOPS + gather + BUILD
