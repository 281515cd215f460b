"""The loop of the full-batch algorithms. Only the loops have a clock."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms import Algorithm, Info, State
from dadapt_cli.algorithms._drive import Rounds, drive
from dadapt_cli.checkpoint.writer import Keeper
from dadapt_cli.errors import NumericalError
from dadapt_cli.objective import Evaluation, Problem
from dadapt_cli.reference import Reference
from dadapt_cli.solver.stopping import Budget, Outcome, Record, compare, outcome, step_row, stop
from dadapt_cli.system.signals import Interrupts

PROGRESS_SECONDS = 0.1


@dataclass
class _Best:
    """The iterate with the least f so far."""

    x: Array
    f: float = math.inf


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
        status = stop(problem, budget, reference, k, best.f, now.f, state.x, grad_square, elapsed)
        if status is None and state.stalled:
            status = "precision"
        if interrupts is not None and interrupts.caught is not None:
            status = "interrupted"
        if keeper is not None and keeper.due(ending=status is not None):
            keeper.keep(
                elapsed,
                state=state, best=best, average_scores=average_scores, growth=growth, k=k,
            )  # fmt: skip
        unreported = step_row(k, state, now.f, best.f, math.sqrt(grad_square), elapsed)
        if status or budget.reports(k):
            f_average = None
            if average_scores is not None:
                average = problem.rescaled(state.average)
                f_average = problem.value(average_scores, average) if k else now.f
            row, unreported = unreported, None
            compare(row, f_average, reference, None if D is None else state.bound(D))
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
        compare(row, None, reference, None)
        report(row, None)  # x may be beyond x_k
    return outcome(
        problem, {"last": state.x, "average": state.average, "best": best.x}, average_scores, row,
        status="failed" if reason else str(status), growth=growth, reason=reason,
        signal=interrupts.caught if interrupts else None,
    )  # fmt: skip
