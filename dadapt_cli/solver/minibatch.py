"""The loop of the minibatch algorithms: epochs, and the same budgets as :mod:`.full_batch`."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from dadapt_cli._typing import Array, Record
from dadapt_cli.algorithms import MinibatchAlgorithm, MinibatchState
from dadapt_cli.algorithms._decay import eta
from dadapt_cli.algorithms._space import Scalar, times
from dadapt_cli.errors import NumericalError
from dadapt_cli.objective import Evaluation
from dadapt_cli.objective.minibatches import DROPS, batches_of
from dadapt_cli.solver.stopping import Iterate, Stopping
from dadapt_cli.solver.trace import Ending, Outcome, Trace, outcome, step_row


@dataclass(frozen=True)
class Plan:
    """How the epochs of a run are made.

    Attributes
    ----------
    batch_size, seed
        As in :class:`~dadapt_cli.objective.minibatches.Batches`.
    schedule
        ``paper``, ``constant``, or ``linear`` and ``cosine``, which end after `epochs`.
    average
        How x_0..x_{k-1} are averaged: ``none``, ``uniform``, ``weighted`` by d_k eta_k (by eta_k
        where there is no d), or ``poly8`` with weights that grow like k^8. ``schedule-free`` is
        the algorithm's own, which it judges by.
    epochs
        The length of the schedule; the run may make fewer.
    """

    batch_size: int = 16
    schedule: str = "paper"
    seed: int = 0
    average: str = "none"
    epochs: int = 100

    @property
    def averages(self) -> bool:
        """Whether the loop itself averages."""
        return self.average in Average.KINDS


def notes(plan: Plan, epochs: int, adapts: bool) -> list[str]:
    """Warnings about a plan; `adapts` says that the algorithm is Algorithm 4 or 5."""
    if not adapts or plan.average != "none":
        return []
    if plan.schedule == "constant":
        return [
            "neither a schedule nor an average: this algorithm need not converge; "
            "--schedule paper, or --average schedule-free or uniform"
        ]
    if plan.schedule == "paper" and epochs < DROPS[0]:
        return [
            f"--schedule paper is constant for the first {DROPS[0] - 1} epochs and {epochs} are "
            "made: this algorithm need not converge; more --epochs, or --average uniform"
        ]
    return []


class Average:
    """A running weighted average; the running form needs no rescaling as d grows.

    It serves one run or many replicas.
    """

    KINDS = ("uniform", "weighted", "poly8")
    POWER = 8  # of poly8 (Shamir & Zhang 2013): weights (k + 1) ... (k + 8), W_k ~ k^9

    def __init__(self, kind: str, x0: Array) -> None:
        self.kind = kind
        self.W: Scalar = 0.0
        self.k = 0
        self.x = x0.copy()

    def include(self, state: MinibatchState, eta: float) -> None:
        """Take x_k in, before the step."""
        if self.kind == "poly8":
            share: Scalar = (self.POWER + 1) / (self.k + self.POWER + 1)
        else:
            weight: Scalar = 1.0
            if self.kind == "weighted":
                weight = eta if state.d is None else state.d * eta
            self.W = self.W + weight
            share = weight / self.W
        self.k += 1
        self.x += times(share, state.x - self.x)


@dataclass
class _Epochs:
    """The loop's own variables, which a checkpoint keeps beside the state and the average.

    ``done`` counts the batches completed of the epoch that ``generator`` begins; ``unreported`` is
    the row at its start, if the trace does not contain it.
    """

    best: Array
    generator: Any
    f_best: float = math.inf
    growth: int = 0
    k: int = 0
    epoch: int = 0
    done: int = 0
    unreported: Record | None = None


def iterate(
    algorithm: MinibatchAlgorithm,
    state: MinibatchState,
    first: Evaluation,
    stopping: Stopping,
    trace: Trace,
    *,
    plan: Plan,
) -> Outcome:
    """Run `algorithm` from `state` until a stopping rule applies.

    Parameters
    ----------
    first
        f and gradient at x_0, already evaluated.
    stopping
        Its iterations, and the rows it reports, are epochs. The tolerance is checked after
        each epoch, the time and signals after each step.
    trace
        As for :func:`.full_batch.iterate`; progress is called with the epoch, d and f. A checkpoint
        within an epoch holds nothing of the evaluation that an interruption causes there.

    Returns
    -------
    Outcome
        As in :func:`.full_batch.iterate`; best is the best of the epochs' ends. Where the algorithm
        averages, its average is evaluated and returned, and the last point never is.
    """
    problem, monitor, checkpoint = stopping.problem, trace.monitor, trace.monitor.checkpoint
    batches = batches_of(problem, plan.batch_size, plan.seed)
    average = Average(plan.average if plan.averages else "none", state.x0)
    at = _Epochs(state.point.copy(), batches.generator.bit_generator.state)
    ending = Ending(None, growth=0)

    def variables() -> Record:
        return {"state": state, "average": average, "at": at, "k": at.k}

    checkpoint.restored(**variables())
    batches.generator.bit_generator.state = at.generator
    begin = time.perf_counter() - checkpoint.seconds
    evaluation = problem.value_and_gradient(state.point) if at.k else first
    steps = plan.epochs * batches.count
    own = state.point is not state.x

    def over() -> bool:
        """Whether to stop within an epoch."""
        late = time.perf_counter() - begin >= stopping.budget.seconds
        return late or monitor.interrupts.caught is not None

    def report(x: Array | None, f_average: float | None = None) -> None:
        if at.unreported is not None:
            trace.report(at.unreported, x, f_average)
            at.unreported = None

    stopped = False
    while True:
        if not at.done:  # between two epochs
            at.generator = batches.generator.bit_generator.state
            grad_square = float(np.vdot(evaluation.g, evaluation.g))
            if not (math.isfinite(evaluation.f) and math.isfinite(grad_square)):
                ending.reason = (
                    f"epoch {at.epoch}: f is {evaluation.f} and ||g||^2 is {grad_square}"
                )
                break
            if evaluation.f < at.f_best:
                at.f_best, at.best = evaluation.f, state.point.copy()
            elapsed = time.perf_counter() - begin
            passes = batches.passes(at.k)
            now = Iterate(
                at.k, state.point, evaluation.f, at.f_best, grad_square, elapsed, passes, at.epoch
            )
            monitor.watch(now, state)
            ending.status = stopping.status(now)
            if monitor.interrupts.caught is not None:
                ending.status = "interrupted"
            if not stopped and checkpoint.due(ending=ending.status is not None):
                checkpoint.keep(elapsed, **variables())
            at.unreported = step_row(now, state)
            if ending.status or stopping.budget.reports(at.epoch):
                f_average = now.f if own else None
                if plan.averages:
                    f_average = problem.value_of(average.x)
                report(state.point, f_average)
            if ending.status:
                break
            monitor.progress(at.epoch, math.nan if state.d is None else state.d, now.f)
        stopped = at.done > 0 and over()
        for batch in () if stopped else batches.epoch(at.done):
            share = eta(plan.schedule, at.k, steps, at.epoch + 1)
            if plan.averages:
                average.include(state, share)
            before = state.d
            try:
                algorithm.step(state, batches.gradient(*batch, state.x), share)
            except NumericalError as error:
                ending.reason = f"step {at.k + 1}: {error}"
                break
            at.k += 1
            at.done += 1
            if before is not None and state.d > before:
                at.growth = at.k
            stopped = over()
            if checkpoint.due(ending=stopped):
                checkpoint.keep(time.perf_counter() - begin, **variables())
            if stopped:
                break
        if ending.reason is not None:
            break
        at.epoch += not stopped
        at.done = 0
        evaluation = problem.value_and_gradient(state.point)
    report(None)  # failed between two rows: show the last finite state
    ending.growth = at.growth
    points = {"last": state.x, "average": average.x, "best": at.best}
    if own:
        points = {"average": state.point, "best": at.best}
    return outcome(trace, ending, points)
