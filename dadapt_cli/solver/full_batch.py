"""The loop of the full-batch algorithms. Only the loops have a clock."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms import Algorithm, Info, State
from dadapt_cli.algorithms._drive import Iterates, drive
from dadapt_cli.errors import NumericalError
from dadapt_cli.objective import Evaluation
from dadapt_cli.solver.stopping import Iterate, Stopping
from dadapt_cli.solver.trace import Ending, Outcome, Trace, finite, outcome, step_row

PROGRESS_SECONDS = 0.1


@dataclass
class _Best:
    """The iterate with the least f so far."""

    x: Array
    f: float = math.inf


def _rough(state: State) -> bool:
    """Whether f and gradient are those of fewer digits than the problem's."""
    return getattr(state, "rough", False)


def iterate(
    algorithm: Algorithm, state: State, first: Evaluation, stopping: Stopping, trace: Trace
) -> Outcome:
    """Run `algorithm` from `state` until a stopping rule applies.

    Parameters
    ----------
    first
        f and gradient at the state's x, in the user's variables, already evaluated.
    stopping
        With the problem in the metric of the run; the algorithm sees points and gradients of the
        metric, the records and the outcome hold the user's weights and gradients.
    trace
        Takes the rows. Its monitor's checkpoint is given the loop's variables before the row of
        their iteration, so that a row made only because this run ends is not part of a run
        resumed from it.

    Returns
    -------
    Outcome
        Also if a number ceased to be finite: the status is ``failed``, with the last finite row.
    """
    return drive(algorithm, state, _iterates(algorithm.INFO, state, first, stopping, trace))


def _iterates(
    info: Info, state: State, first: Evaluation, stopping: Stopping, trace: Trace
) -> Iterates[Outcome]:
    """Yield the gradient in the metric at each x_k; the caller advances the state."""
    problem, monitor, checkpoint = stopping.problem, trace.monitor, trace.monitor.checkpoint
    begin = time.perf_counter() - checkpoint.seconds
    next_progress = time.perf_counter() + PROGRESS_SECONDS
    D = trace.reference.distance(info.distance)
    # X @ average is the same average of X @ x_k; with packed data it is not stored
    average_scores = work = None
    if info.averages and first.scores is not None:
        average_scores, work = np.zeros_like(first.scores), np.empty_like(first.scores)
    best, ending, k = _Best(state.x), Ending(None, growth=0), 0
    kept = checkpoint.restored(
        state=state, best=best, average_scores=average_scores, growth=ending.growth, k=k
    )
    average_scores, ending.growth, k = kept["average_scores"], kept["growth"], kept["k"]
    if k:
        state.resumed()
    evaluation = state.evaluate(problem) if k else first
    unreported, rough = None, _rough(state)
    while True:
        grad_square = float(np.vdot(evaluation.g, evaluation.g))
        if not (math.isfinite(evaluation.f) and math.isfinite(grad_square)):
            ending.reason = f"iteration {k}: f is {evaluation.f} and ||g||^2 is {grad_square}"
            break
        if evaluation.f < best.f or (rough and not _rough(state)):  # of fewer digits so far
            best = _Best(state.x, evaluation.f)
        rough = _rough(state)
        elapsed = time.perf_counter() - begin
        now = Iterate(k, state.x, evaluation.f, best.f, grad_square, elapsed, k + 1)
        monitor.watch(now, state)
        ending.status = stopping.status(now) or ("precision" if state.stalled else None)
        if monitor.interrupts.caught is not None:
            ending.status = "interrupted"
        exact = None
        if rough and (ending.status or stopping.budget.reports(k)):
            # What is said of x_k is known to all digits; the run goes on with its own.
            exact = problem.value_and_gradient(problem.rescaled(state.x))
            square = float(np.vdot(exact.g, exact.g))
            now = replace(now, f=exact.f, f_best=exact.f, grad_square=square)
            if ending.status in ("tolerance", "optimal"):
                ending.status = stopping.status(now)
        if state.complete and checkpoint.due(ending=ending.status is not None):
            checkpoint.keep(
                elapsed,
                state=state, best=best, average_scores=average_scores, growth=ending.growth, k=k,
            )  # fmt: skip
        if ending.status and exact is not None:
            evaluation, best = exact, _Best(state.x, exact.f)
        unreported = step_row(now, state)
        if ending.status or stopping.budget.reports(k):
            f_average = None
            if info.averages:
                average = problem.rescaled(state.average)
                f_average = problem.value_of(average, average_scores) if k else now.f
            bound = None if D is None else state.bound(D)
            scheduled = getattr(state, "schedule", "constant") != "constant"
            if D is not None and scheduled and hasattr(state, "bound_last"):
                unreported["bound_last"] = finite(state.bound_last(D))
            trace.report(unreported, state.x, f_average, bound)
            unreported = None
        if ending.status:
            break
        if begin + elapsed >= next_progress:
            next_progress = begin + elapsed + PROGRESS_SECONDS
            monitor.progress(k, math.nan if state.d is None else state.d, now.f)
        before, state.f = state.d, evaluation.f
        try:
            yield problem.rescaled(evaluation.g)
        except NumericalError as error:
            ending.reason = f"iteration {k + 1}: {error}"
            break
        if average_scores is not None:
            work = np.subtract(evaluation.scores, average_scores, out=work)
            work *= state.fraction
            average_scores += work
        k += 1
        if before is not None and state.d is not None and state.d > before:
            ending.growth = k
        evaluation = state.evaluate(problem)
    if unreported is not None:  # failed between two rows: show the last finite state
        trace.report(unreported, None)  # x may be beyond x_k
    points = {"last": state.x, "average": state.average, "best": best.x}
    return outcome(trace, ending, points, average_scores)
