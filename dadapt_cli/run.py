"""The loop: steps, budgets, stopping, and the rows of the trace. Only the loops have a clock."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dadapt_cli.algorithms import Algorithm, Info, MinibatchState, State
from dadapt_cli.algorithms._rounds import Rounds, drive
from dadapt_cli.arrays import Array
from dadapt_cli.errors import NumericalError
from dadapt_cli.interrupts import Interrupts
from dadapt_cli.keeper import Keeper
from dadapt_cli.problem import Evaluation, Problem
from dadapt_cli.reference import Reference

Record = dict[str, Any]
"""One JSON object of INTERFACE: keys in order, None for what is infinite or unknown."""

PROGRESS_SECONDS = 0.1


@dataclass(frozen=True)
class Budget:
    """When to stop, and which iterations to report.

    Attributes
    ----------
    iterations
        Steps: rows 0..iterations, one gradient more.
    tolerance
        Absolute, in units of f: stop once f_best - f* + gap, or ||g||^2/(2 l2), is at most this.
    seconds
        Of the loop.
    every
        ``log`` (1, 2, 5, 10, 20, 50, ...) or K for each K-th; row 0 and the last one always.
    """

    iterations: int
    tolerance: float | None = None
    seconds: float | None = None
    every: str | int = "log"

    def reports(self, k: int) -> bool:
        """Whether iteration k is a row."""
        if k == 0 or isinstance(self.every, int):
            return k == 0 or k % int(self.every) == 0
        return str(k).rstrip("0") in ("1", "2", "5")


@dataclass
class Outcome:
    """Where a run ended.

    Attributes
    ----------
    status
        ``iterations``, ``tolerance``, ``time``, ``optimal``, ``precision`` (f can be lowered no
        further in this precision), ``interrupted`` or ``failed``.
    row
        The last row of the trace: k steps were made.
    iterate
        ``last``, ``average`` or ``best``: the point with the least f.
    w
        That point, shape of the weights.
    accuracy, log_loss
        Share of samples classified right and mean loss without the l2 term, on the data, at `w`.
    last_growth
        The last k at which d grew.
    signal
        What interrupted it.
    reason
        Why it failed.
    """

    status: str
    row: Record
    iterate: str
    w: Array
    accuracy: float
    log_loss: float
    last_growth: int
    signal: int | None = None
    reason: str | None = None


@dataclass
class _Best:
    """The iterate with the least f so far."""

    x: Array
    f: float = math.inf


def finite(value: float | None) -> float | None:
    """None in place of what JSON has no number for."""
    return value if value is not None and math.isfinite(value) else None


def iterate(
    problem: Problem,
    algorithm: Algorithm,
    state: State,
    first: Evaluation,
    budget: Budget,
    reference: Reference,
    *,
    report: Callable[[Record, Array | None], None],
    progress: Callable[[int, float, float], None] | None = None,
    interrupts: Interrupts | None = None,
    keeper: Keeper | None = None,
) -> Outcome:
    """Run `algorithm` from `state` until a budget is spent.

    Parameters
    ----------
    problem
        In the metric of the run; the algorithm sees points and gradients of the metric, the
        records and the outcome hold the user's weights and gradients.
    first
        f and gradient at the state's x, in the user's variables, already evaluated.
    report
        Called with each step record and x_k, or None where that is lost.
    progress
        Called now and then with k, d and f.
    interrupts
        Asked after each iteration; by default nothing interrupts.
    keeper
        Given the loop's variables to keep, before the row of their iteration, so that a row that
        only the end of this run makes is none of the run that goes on from there.

    Returns
    -------
    Outcome
        Also when a number ceased to be finite: status ``failed``, with the last finite row.
    """
    rounds = _rounds(
        problem, algorithm.INFO, state, first, budget, reference,
        report, progress, interrupts, keeper,
    )  # fmt: skip
    return drive(algorithm, state, rounds)


def _rounds(
    problem: Problem,
    info: Info,
    state: State,
    first: Evaluation,
    budget: Budget,
    reference: Reference,
    report: Callable[[Record, Array | None], None],
    progress: Callable[[int, float, float], None] | None,
    interrupts: Interrupts | None,
    keeper: Keeper | None,
) -> Rounds[Outcome]:
    """Yield the gradient in the metric at each x_k; whoever asked moves the state on."""
    begin = time.perf_counter()
    next_progress = begin + PROGRESS_SECONDS
    D = reference.distance(info.distance)
    # X @ average is the same average of X @ x_k
    average_scores = np.zeros_like(first.scores) if info.averages else None
    work = np.empty_like(first.scores)
    best, growth, k, now, row = _Best(state.x), 0, 0, first, Record()
    if keeper is not None and keeper.saved is not None:
        kept = keeper.restored(
            state=state, best=best, average_scores=average_scores, growth=growth, k=k
        )
        average_scores, growth, k = kept["average_scores"], kept["growth"], kept["k"]
        now = state.evaluate(problem) if k else first
        begin = time.perf_counter() - keeper.seconds
    unreported: Record | None = None
    reason: str | None = None
    while True:
        grad_square = float(np.vdot(now.g, now.g))
        if not (math.isfinite(now.f) and math.isfinite(grad_square)):
            reason = f"iteration {k}: f is {now.f} and ||g||^2 is {grad_square}"
            break
        if now.f < best.f:
            best = _Best(state.x, now.f)
        elapsed = time.perf_counter() - begin
        status = _stop(problem, budget, reference, k, best.f, grad_square, elapsed)
        if status is None and state.stalled:
            status = "precision"
        if interrupts is not None and interrupts.caught is not None:
            status = "interrupted"
        if keeper is not None and keeper.due(ending=status is not None):
            keeper.keep(
                elapsed,
                state=state, best=best, average_scores=average_scores, growth=growth, k=k,
            )  # fmt: skip
        unreported = _row(k, state, now.f, best.f, math.sqrt(grad_square), elapsed)
        if status or budget.reports(k):
            f_average = None
            if average_scores is not None:
                average = problem.rescaled(state.average)
                f_average = problem.value(average_scores, average) if k else now.f
            row, unreported = unreported, None
            _compare(row, f_average, reference, None if D is None else state.bound(D))
            report(row, state.x)
        if status:
            break
        if progress is not None and begin + elapsed >= next_progress:
            next_progress = begin + elapsed + PROGRESS_SECONDS
            progress(k, state.d, now.f)
        before = state.d
        state.f = now.f
        try:
            yield problem.rescaled(now.g)
        except NumericalError as error:
            reason = f"iteration {k + 1}: {error}"
            break
        if average_scores is not None:
            np.subtract(now.scores, average_scores, out=work)
            work *= state.fraction
            average_scores += work
        k += 1
        if state.d > before:
            growth = k
        now = state.evaluate(problem)
    if unreported is not None:  # failed between two rows: show the last finite state
        row = unreported
        _compare(row, None, reference, None)
        report(row, None)  # x may be beyond x_k
    return _outcome(
        problem, state, best, average_scores, row,
        status="failed" if reason else str(status), growth=growth, reason=reason,
        signal=interrupts.caught if interrupts else None,
    )  # fmt: skip


def _stop(
    problem: Problem,
    budget: Budget,
    reference: Reference,
    k: int,
    f_best: float,
    grad_square: float,
    elapsed: float,
) -> str | None:
    """The status with which to stop before step k + 1, or None."""
    if grad_square == 0.0:
        return "optimal"
    if budget.tolerance is not None:
        gap = reference.certified(f_best)
        if gap is not None and gap <= budget.tolerance:
            return "tolerance"
        mu = problem.strong_convexity
        if mu > 0 and grad_square / (2 * mu) <= budget.tolerance:
            return "tolerance"
    if k >= budget.iterations:
        return "iterations"
    if budget.seconds is not None and elapsed >= budget.seconds:
        return "time"
    return None


def _row(
    k: int,
    state: State | MinibatchState,
    f_last: float,
    f_best: float,
    grad_norm: float,
    seconds: float,
) -> Record:
    """The step record of iteration k, before :func:`_compare`."""
    return {
        "event": "step",
        "k": k,
        "d": finite(state.d),
        "d_hat": finite(state.d_hat),
        "step_size": finite(state.step_size),
        "f_last": f_last,
        "f_average": None,
        "f_best": f_best,
        "suboptimality_last": None,
        "suboptimality_average": None,
        "suboptimality_best": None,
        "bound": None,
        "grad_norm": grad_norm,
        "seconds": seconds,
    }


def _compare(
    row: Record, f_average: float | None, reference: Reference, bound: float | None
) -> None:
    """Fill in f at the average and what needs f* and D; the bound is the algorithm's."""
    row["f_average"] = finite(f_average)
    if reference.f_star is not None:
        for name in ("last", "average", "best"):
            if row[f"f_{name}"] is not None:
                row[f"suboptimality_{name}"] = row[f"f_{name}"] - reference.f_star
    row["bound"] = finite(bound)


def _outcome(
    problem: Problem,
    state: State,
    best: _Best,
    average_scores: Array | None,
    row: Record,
    *,
    status: str,
    growth: int,
    reason: str | None,
    signal: int | None,
) -> Outcome:
    """Choose the iterate with the least f, the last one where they tie, and judge it."""
    points = {"last": state.x, "average": state.average, "best": best.x}
    values = {name: row.get(f"f_{name}") for name in points}
    if status == "failed":  # the last and the average iterate may not be finite
        del values["last"], values["average"]
    known = {name: f for name, f in values.items() if f is not None}
    chosen = min(known, key=lambda name: known[name]) if known else "best"
    w = problem.rescaled(points[chosen] if known else state.x0)
    known_scores = average_scores if chosen == "average" else None
    scores = problem.scores(w) if known_scores is None else known_scores
    return Outcome(
        status=status,
        row=row,
        iterate=chosen,
        w=w.copy(),
        accuracy=problem.accuracy(scores),
        log_loss=problem.mean_loss(scores),
        last_growth=growth,
        signal=signal,
        reason=reason,
    )
