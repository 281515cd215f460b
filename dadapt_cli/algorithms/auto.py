"""``auto``: ``newton``, the fastest on most problems, or what the data and options allow."""

from __future__ import annotations

from typing import Any

from dadapt_cli.algorithms._base import Info
from dadapt_cli.algorithms._factor import FACTORS
from dadapt_cli.algorithms._plan import plan
from dadapt_cli.objective import Problem

INFO = Info(
    name="auto",
    title="newton; with --metric, or on packed data, lbfgs or what can be kept",
    theorem="that of the one it picks, which it says",
    symbols="those of the one it picks",
    d_means="a certified lower bound on D = ||x_0 - x*||_2, in the metric; reported, not used",
    options="--metric (then it picks lbfgs, or orth for a checkpoint)",
    distance="D",
    bounds=("certified",),
    settings=(),
    averages=False,
)

LARGE = 400_000
"""Entries times classes from which the set-up of the metric is nothing against the gradients."""


def choose(
    problem: Problem, *, metric: str | None = None, resumable: bool = False
) -> tuple[dict[str, Any], str]:
    """Options to run with in place of ``--algo auto``, and why, in words.

    ``newton`` reached 1e-3 and 1e-6 in the least time on most problems of benchmarks/solve.py. It
    takes no metric. On packed data it pays where it has a factor, or where no leaf is read twice a
    step, and it needs room for its margins. With `resumable`, a checkpoint must be able to hold the
    state of what it picks instead: ``lbfgs`` is out of the question then.
    """
    if problem.sums is None:
        if metric is None:
            return {"algo": "newton"}, f"newton: {plan(problem).reason}"
        if resumable:
            reason = "orth --inner newton: it takes a metric, and a checkpoint can hold it"
            return {"algo": "orth", "inner": "newton"}, reason
        return {"algo": "lbfgs"}, "lbfgs: it takes a metric"
    if metric is None and problem.sums.roomy:
        chosen = plan(problem)
        if chosen.form in FACTORS or chosen.later:
            return {"algo": "newton"}, f"newton: {chosen.reason}"
        if resumable or problem.sums.held:  # it reads them twice a step
            how = "a checkpoint can hold it" if resumable else "the leaves are held in memory"
            return {"algo": "newton"}, f"newton: {how}; {chosen.reason}"
    if resumable:
        return {"algo": "accel"}, "accel: a checkpoint of packed data can hold it"
    if problem.p > problem.n:
        return {"algo": "lbfgs"}, "lbfgs: more features than samples"
    if problem.nonzeros * (problem.n_classes if problem.softmax else 1) >= LARGE:
        reason = "lbfgs --metric half: many entries against the cost of a search"
        return {"algo": "lbfgs", "metric": "half"}, reason
    return {"algo": "lbfgs"}, "lbfgs: too small for set-up to pay"
