"""What the two loops share: budgets, when to stop, the rows of the trace, and where a run ended."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dadapt_cli._typing import Array
from dadapt_cli._typing import Record as Record
from dadapt_cli.algorithms import MinibatchState, State
from dadapt_cli.objective import Problem
from dadapt_cli.reference import Reference


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


def finite(value: float | None) -> float | None:
    """None in place of what JSON has no number for."""
    return value if value is not None and math.isfinite(value) else None


def stop(
    problem: Problem,
    budget: Budget,
    reference: Reference,
    k: int,
    f_best: float,
    f: float,
    x: Array,
    grad_square: float,
    elapsed: float,
) -> str | None:
    """The status with which to stop before step k + 1, or None; `f` and `x` are of x_k."""
    if grad_square == 0.0:
        return "optimal"
    if budget.tolerance is not None:
        gap = reference.certified(f_best)
        if gap is not None and gap <= budget.tolerance:
            return "tolerance"
        if _certified(problem, f, x, grad_square, budget.tolerance):
            return "tolerance"
    if k >= budget.iterations:
        return "iterations"
    if budget.seconds is not None and elapsed >= budget.seconds:
        return "time"
    return None


def _certified(problem: Problem, f: float, x: Array, grad_square: float, tolerance: float) -> bool:
    """Whether the l2 term proves that f is within `tolerance` of its minimum.

    With an intercept, which it leaves out, the gradient proves nothing: it only tells when the
    dual point, which costs as much as a gradient, is worth making.
    """
    if problem.l2 == 0 or grad_square / (2 * problem.l2) > tolerance:
        return False
    if not problem.intercept:
        return True
    from dadapt_cli.reference.intercept import lower_bound

    w = problem.rescaled(x)
    return f - lower_bound(problem, w, problem.scores(w)) <= tolerance


def step_row(
    k: int,
    state: State | MinibatchState,
    f_last: float,
    f_best: float,
    grad_norm: float,
    seconds: float,
) -> Record:
    """The step record of iteration k, before :func:`compare`."""
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


def compare(
    row: Record, f_average: float | None, reference: Reference, bound: float | None
) -> None:
    """Fill in f at the average and what needs f* and D; the bound is the algorithm's."""
    row["f_average"] = finite(f_average)
    if reference.f_star is not None:
        for name in ("last", "average", "best"):
            if row[f"f_{name}"] is not None:
                row[f"suboptimality_{name}"] = row[f"f_{name}"] - reference.f_star
    row["bound"] = finite(bound)


def outcome(
    problem: Problem,
    points: dict[str, Array],
    average_scores: Array | None,
    row: Record,
    *,
    status: str,
    growth: int,
    reason: str | None,
    signal: int | None,
) -> Outcome:
    """Choose the iterate with the least f, the last one where they tie, and judge it.

    Parameters
    ----------
    points
        ``last``, ``average`` and ``best``, in the metric of the problem.
    average_scores
        X @ average, where it is known.
    """
    values = {name: row.get(f"f_{name}") for name in points}
    if status == "failed":  # the last and the average iterate may not be finite
        del values["last"], values["average"]
    known = {name: f for name, f in values.items() if f is not None}
    chosen = min(known, key=lambda name: known[name]) if known else "best"
    w = problem.rescaled(points[chosen])
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
