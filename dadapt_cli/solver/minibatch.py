"""The loop of the minibatch algorithms: epochs, their rows, and the same budgets as :mod:`run`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms import MinibatchAlgorithm, MinibatchState
from dadapt_cli.checkpoint.writer import Keeper
from dadapt_cli.errors import NumericalError
from dadapt_cli.objective import Evaluation, Problem
from dadapt_cli.objective.minibatches import DROPS, Batches, schedule
from dadapt_cli.reference import Reference
from dadapt_cli.solver.stopping import Budget, Outcome, Record, compare, outcome, step_row, stop
from dadapt_cli.system.signals import Interrupts


@dataclass(frozen=True)
class Plan:
    """How the epochs of a run are made.

    Attributes
    ----------
    batch_size, seed
        Of :class:`~dadapt_cli.objective.minibatches.Batches`.
    schedule
        ``paper`` or ``constant``.
    average
        Of the iterates x_0..x_{k-1}: ``none``, ``uniform``, or ``weighted`` by d_k eta_k
        (by eta_k where there is no d).
    """

    batch_size: int = 16
    schedule: str = "paper"
    seed: int = 0
    average: str = "none"


def notes(plan: Plan, epochs: int, adapts: bool) -> list[str]:
    """Warnings about a plan; `adapts` says that the algorithm is Algorithm 4 or 5."""
    if not adapts or plan.average != "none":
        return []
    if plan.schedule == "constant":
        return [
            "neither a schedule nor an average: this algorithm need not converge; "
            "--schedule paper or --average uniform"
        ]
    if epochs < DROPS[0]:
        return [
            f"--schedule paper is constant for the first {DROPS[0] - 1} epochs and {epochs} are "
            "made: this algorithm need not converge; more --epochs, or --average uniform"
        ]
    return []


class _Average:
    """A running weighted average; the running form needs no rescaling as d grows."""

    def __init__(self, kind: str, x0: Array) -> None:
        self.kind = kind
        self.W = 0.0
        self.x = x0.copy()

    def include(self, state: MinibatchState, eta: float) -> None:
        """Take x_k in, before the step."""
        weight = 1.0
        if self.kind == "weighted":
            weight = eta if state.d is None else state.d * eta
        self.W += weight
        self.x += (weight / self.W) * (state.x - self.x)


def iterate(
    problem: Problem,
    algorithm: MinibatchAlgorithm,
    state: MinibatchState,
    first: Evaluation,
    budget: Budget,
    reference: Reference,
    *,
    plan: Plan,
    report: Callable[[Record, Array | None], None],
    progress: Callable[[int, float, float], None] | None = None,
    interrupts: Interrupts | None = None,
    keeper: Keeper | None = None,
) -> Outcome:
    """Run `algorithm` from `state` until a budget is spent.

    Parameters
    ----------
    first
        f and gradient at x_0, already evaluated.
    budget
        Its iterations, and the rows it reports, are epochs. The tolerance is looked at after
        each epoch, the time and signals after each step.
    report, progress, interrupts, keeper
        As for :func:`.full_batch.iterate`; progress is called with the epoch, d and f. What is
        kept within an epoch has nothing of the evaluation that an interruption makes there.

    Returns
    -------
    Outcome
        As of :func:`.full_batch.iterate`; best is the best of the epochs' ends.
    """
    begin = time.perf_counter()
    batches = Batches(problem, plan.batch_size, plan.seed)
    average = _Average(plan.average, state.x0)
    best, f_best, growth, k, epoch, done = state.x.copy(), math.inf, 0, 0, 0, 0
    now, row, reason = first, Record(), None
    unreported: Record | None = None
    generator = batches.generator.bit_generator.state  # at the beginning of the epoch

    def variables() -> Record:
        return {
            "state": state, "average": average, "generator": generator, "unreported": unreported,
            "best": best, "f_best": f_best, "growth": growth, "k": k, "epoch": epoch, "done": done,
        }  # fmt: skip

    def over() -> bool:
        """Whether to stop within an epoch."""
        if interrupts is not None and interrupts.caught is not None:
            return True
        return budget.seconds is not None and time.perf_counter() - begin >= budget.seconds

    if keeper is not None and keeper.saved is not None:
        kept = keeper.restored(**variables())
        names = ("generator", "unreported", "best", "f_best", "growth", "k", "epoch", "done")
        generator, unreported, best, f_best, growth, k, epoch, done = (kept[n] for n in names)
        batches.generator.bit_generator.state = generator
        begin = time.perf_counter() - keeper.seconds
        now = problem.value_and_gradient(state.x) if k else first
        row = keeper.rows[-1] if keeper.rows else row
    stopped = False
    while True:
        if not done:  # between two epochs
            generator = batches.generator.bit_generator.state
            grad_square = float(np.vdot(now.g, now.g))
            if not (math.isfinite(now.f) and math.isfinite(grad_square)):
                reason = f"epoch {epoch}: f is {now.f} and ||g||^2 is {grad_square}"
                break
            if now.f < f_best:
                f_best, best = now.f, state.x.copy()
            elapsed = time.perf_counter() - begin
            status = stop(
                problem, budget, reference, epoch, f_best, now.f, state.x, grad_square, elapsed
            )
            if interrupts is not None and interrupts.caught is not None:
                status = "interrupted"
            if keeper is not None and not stopped and keeper.due(ending=status is not None):
                keeper.keep(elapsed, **variables())
            unreported = {
                **step_row(k, state, now.f, f_best, math.sqrt(grad_square), elapsed),
                "epoch": epoch,
            }
            if status or budget.reports(epoch):
                f_average = None
                if plan.average != "none":
                    f_average = problem.value(problem.scores(average.x), average.x)
                row, unreported = unreported, None
                compare(row, f_average, reference, None)
                report(row, state.x)
            if status:
                break
            if progress is not None:
                progress(epoch, math.nan if state.d is None else state.d, now.f)
        eta = schedule(plan.schedule, epoch + 1)
        stopped = done > 0 and over()
        for batch in () if stopped else batches.epoch(done):
            if plan.average != "none":
                average.include(state, eta)
            before = state.d
            try:
                algorithm.step(state, batches.gradient(*batch, state.x), eta)
            except NumericalError as error:
                reason = f"step {k + 1}: {error}"
                break
            k += 1
            done += 1
            if before is not None and state.d > before:
                growth = k
            stopped = over()
            if keeper is not None and keeper.due(ending=stopped):
                keeper.keep(time.perf_counter() - begin, **variables())
            if stopped:
                break
        if reason:
            break
        epoch += not stopped
        done = 0
        now = problem.value_and_gradient(state.x)
    if unreported is not None:  # failed between two rows: show the last finite state
        row = unreported
        compare(row, None, reference, None)
        report(row, None)
    return outcome(
        problem, {"last": state.x, "average": average.x, "best": best}, None, row,
        status="failed" if reason else str(status), growth=growth, reason=reason,
        signal=interrupts.caught if interrupts else None,
    )  # fmt: skip
