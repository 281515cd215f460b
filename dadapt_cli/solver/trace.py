"""The records of a fit, each made once: start, a row a reported iteration, end."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy

from dadapt_cli import __version__
from dadapt_cli._typing import Array, Label, Record
from dadapt_cli.algorithms import Info, MinibatchState, State
from dadapt_cli.objective import Problem
from dadapt_cli.reference import Reference
from dadapt_cli.solver.monitor import Monitor
from dadapt_cli.solver.options import Options, not_for
from dadapt_cli.solver.samples import Source
from dadapt_cli.solver.stopping import Iterate

SCHEMA = 1
"""Version of the records: renaming or removing a key makes it 2."""

SLACK = 1e-9
"""Relative rounding allowed before d is reported to exceed D."""


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
    """The value, or None if JSON has no number for it."""
    return value if value is not None and math.isfinite(value) else None


@dataclass
class Trace:
    """The rows of a run, in order; each is passed to the monitor as it is made.

    Attributes
    ----------
    problem
        In the metric of the run.
    reference
        f* and the distance D, from which the rows are measured.
    monitor
        Receives the rows.
    judge
        Gives the row's entries about held-out samples, for weights or, if unknown, for None.
    distance
        What d is compared with: ``D`` or ``D_inf``.
    rows
        The step records.
    """

    problem: Problem
    reference: Reference
    monitor: Monitor
    judge: Callable[[Array | None], Record] = lambda w: {}
    distance: str = "D"
    rows: list[Record] = field(default_factory=list)

    def resume(self, rows: list[Record]) -> None:
        """Begin with the rows of the run that is resumed."""
        tested = self.judge(None)
        kept_out = {name for row in rows for name in row if name.startswith("test_")}
        if kept_out and not tested:
            self.monitor.note("the run had --test; without it here the figures are left out")
        for row in rows:
            own = {name: value for name, value in row.items() if name not in kept_out}
            self._tell({**own, **{name: row.get(name) for name in tested}})

    def report(
        self,
        row: Record,
        x: Array | None,
        f_average: float | None = None,
        bound: float | None = None,
    ) -> None:
        """Add to a step record what needs f*, D or held-out samples, and pass it on.

        Parameters
        ----------
        row
            Of :func:`step_row`.
        x
            x_k, in the metric; None if it is no longer available.
        f_average, bound
            f at the average, and the algorithm's bound, if any.
        """
        row["f_average"], row["bound"] = finite(f_average), finite(bound)
        if self.reference.f_star is not None:
            for name in ("last", "average", "best"):
                if row[f"f_{name}"] is not None:
                    row[f"suboptimality_{name}"] = row[f"f_{name}"] - self.reference.f_star
        D = self.reference.D if self.distance == "D" else self.reference.D_inf
        if D and row["d"] is not None:
            row["d_over_D"] = finite(row["d"] / D)
        self._tell({**row, **self.judge(None if x is None else self.problem.rescaled(x))})

    def _tell(self, row: Record) -> None:
        self.rows.append(row)
        self.monitor.record(row)


def step_row(now: Iterate, state: State | MinibatchState) -> Record:
    """The step record of an iteration, before :meth:`Trace.report` completes it."""
    row = {
        "event": "step",
        "k": now.k,
        "d": finite(state.d),
        "d_hat": finite(state.d_hat),
        "step_size": finite(state.step_size),
        "f_last": now.f,
        "f_average": None,
        "f_best": now.f_best,
        "suboptimality_last": None,
        "suboptimality_average": None,
        "suboptimality_best": None,
        "bound": None,
        "grad_norm": math.sqrt(now.grad_square),
        "gradients": now.gradients,
        "d_over_D": None,
        "rejected": getattr(state, "rejected", None),
        "seconds": now.elapsed,
    }
    return row if now.epoch is None else {**row, "epoch": now.epoch}


@dataclass
class Ending:
    """Why a loop ended: its status, the last k at which d grew, and what failed, if it did."""

    status: str | None
    growth: int
    reason: str | None = None


def outcome(
    trace: Trace, ending: Ending, points: dict[str, Array], average_scores: Array | None = None
) -> Outcome:
    """Choose the iterate with the least f, the last one in a tie, and evaluate its predictions.

    Parameters
    ----------
    trace
        Its last row says where the run ended.
    points
        ``last``, ``average`` and ``best``, in the metric of the problem.
    average_scores
        X @ average, where it is known.
    """
    row, problem = trace.rows[-1] if trace.rows else {}, trace.problem
    values = {name: row.get(f"f_{name}") for name in points}
    if ending.reason is not None:  # the last and the average iterate may not be finite
        values = {"best": values["best"]}
    known = {name: f for name, f in values.items() if f is not None}
    chosen = min(known, key=lambda name: known[name]) if known else "best"
    w = problem.rescaled(points[chosen])
    scores = average_scores if chosen == "average" else None
    accuracy, log_loss = problem.judged(w, scores)
    return Outcome(
        status="failed" if ending.reason is not None else str(ending.status),
        row=row,
        iterate=chosen,
        w=w.copy(),
        accuracy=accuracy,
        log_loss=log_loss,
        last_growth=ending.growth,
        signal=trace.monitor.interrupts.caught,
        reason=ending.reason,
    )


def describe(X: Any, samples: int, labels: tuple[Label, ...], source: Source) -> Record:
    """The ``data`` entry of a start record.

    Parameters
    ----------
    X
        As given, before scaling and a constant feature.
    samples
        Rows that count.
    """
    return {
        "path": source.path,
        "problem": source.problem,
        "sha256": source.sha256,
        "samples": samples,
        "features": X.shape[1],
        "nonzeros": int(X.nnz) if hasattr(X, "nnz") else int(np.count_nonzero(X)),
        "classes": len(labels),
        "labels": list(labels),
    }


def start(
    data: Record, problem: Problem, options: Options, info: Info, known: Reference, d0: float | None
) -> Record:
    """The start record.

    Parameters
    ----------
    data
        Of :func:`describe`.
    options
        With the algorithm's own defaults filled in.
    d0
        The state's d before the first step.
    """
    return {
        "event": "start",
        "version": __version__,
        "algorithm": options.algo,
        "data": data,
        "objective": {
            "loss": "softmax" if problem.softmax else "logistic",
            "l2": problem.l2,
            "l2_rule": l2_rule(options),
            "bias": options.bias,
            "intercept": options.intercept,
            "weighted": problem.sample_weight is not None,
        },
        "options": {
            **vars(options),
            "l2": problem.l2,
            "threads": problem.threads,
            **dict.fromkeys(not_for(info)),
        },
        "d0": d0,
        "d0_certified": options.d0 == "auto" and bool(info.bounds),
        "schema": SCHEMA,
        "metric": options.metric or "identity",
        "reference": known.record(),
    }


def l2_rule(options: Options) -> str | None:
    """How l2 follows from the number of samples; None where it was given as a number."""
    if options.C is not None:
        return "1/(C n)"
    return "1/n" if options.l2 == "1/n" else None


def end(
    outcome: Outcome,
    *,
    theorem2_k: int | None,
    tested: Record,
    diagnosis: list[str],
    seconds: Record,
    threads: int,
    **proven: float | None,
) -> Record:
    """The end record.

    `tested` has the held-out scores of the outcome's weights, `proven` what is proven of them.
    """
    row = {name: value for name, value in outcome.row.items() if name not in ("event", "seconds")}
    return {
        "event": "end",
        "status": outcome.status,
        **row,
        "theorem2_k": theorem2_k,
        "iterate": outcome.iterate,
        "accuracy": outcome.accuracy,
        "log_loss": finite(outcome.log_loss),
        **tested,
        **proven,
        "diagnosis": diagnosis,
        "seconds": seconds,
        "environment": environment(threads),
    }


def environment(threads: int) -> Record:
    """What the digits may depend on: versions, processor and threads."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "threads": threads,
    }


def diagnose(outcome: Outcome, info: Info, reference: Reference, tol: float | None) -> list[str]:
    """Sentences for the end record that explain what is unusual about the numbers."""
    row = outcome.row
    lines: list[str] = []
    if outcome.status == "optimal" and row["k"] == 0:
        lines.append("already optimal: the gradient at x_0 is zero")
    elif row:
        lines += _growth(outcome, info, reference)
    if outcome.status not in ("tolerance", "proven", "optimal") and tol is not None:
        lines.append(f"the tolerance {tol:g} was not reached")
    if reference.status == "given" and row and row["suboptimality_best"] < 0:
        lines.append("f fell below the given f*: that value is not the minimum")
    elif reference.reason is not None:
        none = "no reference for f* and D: " if reference.status == "none" else ""
        lines.append(none + reference.reason)
    if outcome.reason is not None:
        lines.append(outcome.reason)
    return lines


def rejections(state: object) -> list[str]:
    """The cost of points that were not accepted, in words."""
    count = getattr(state, "rejected", 0)
    if not count:
        return []
    if not getattr(state, "rejection_costs", True):
        tried = "1 trial step was" if count == 1 else f"{count} trial steps were"
        return [f"{tried} rejected by the line search: a loss each, and no gradient"]
    spent = "1 gradient was" if count == 1 else f"{count} gradients were"
    return [f"{spent} spent on points that were rejected: the step was too long there"]


def roughness(state: object) -> list[str]:
    """Which steps were made in single precision, in words."""
    count = getattr(state, "rough_steps", 0)
    if not count:
        return []
    steps = "step was" if count == 1 else f"{count} steps were"
    return [
        f"the first {steps} computed in single precision: d and the bound count its error, and f "
        "in the rows is in double"
    ]


def _growth(outcome: Outcome, info: Info, reference: Reference) -> list[str]:
    """Sentences on whether d still grows, and whether it can be what it is reported as."""
    k, d = outcome.row["k"], outcome.row["d"]
    D = reference.distance(info.distance)
    if d is None:
        return []
    if not info.bounds:
        return [f"d = {d:.4g} is {info.d_means}"]
    if D is not None and d > D * (1 + SLACK):
        return [
            f"d = {d:.4g} exceeds {info.distance} = {D:.4g}: d0 was no lower bound, so the "
            "theorems do not apply; --d0 auto is certified"
        ]
    if k - outcome.last_growth < max(10, k // 10):
        return []
    since = f"k = {outcome.last_growth}" if outcome.last_growth else "the start"
    if D is not None and d >= D / 4:
        return [
            f"d has not grown since {since}; d_hat < d is normal once d is near {info.distance}/2"
        ]
    return [f"d has not grown since {since}: every d_hat since then was smaller"]
