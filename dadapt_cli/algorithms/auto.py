"""``auto``: the method that was fastest where it was measured, by size and classes."""

from __future__ import annotations

from typing import Any

from dadapt_cli.algorithms._base import Info
from dadapt_cli.algorithms._factor import FACTORS
from dadapt_cli.algorithms._plan import plan
from dadapt_cli.objective import Problem

INFO = Info(
    name="auto",
    title="orth or lbfgs, whichever the benchmark found faster on such data",
    theorem="that of the one it picks, which it says",
    symbols="those of the one it picks",
    d_means="a certified lower bound on D = ||x_0 - x*||_2, in the metric; reported, not used",
    options="--metric (that of the one it picks)",
    distance="D",
    bounds=("certified",),
    settings=(),
    averages=False,
)

LONG_ROWS = 100
"""Entries a row from which, for two classes, a gradient costs more than a subspace search."""

LARGE = 400_000
"""Entries times classes from which the set-up of the metric is nothing against the gradients."""


def choose(
    problem: Problem, *, metric: str | None = None, resumable: bool = False
) -> tuple[dict[str, Any], str]:
    """Options to run with in place of ``--algo auto``, and why, in words.

    On packed data ``newton`` pays where it has a factor, or where no leaf is read twice a step; it
    takes no metric, and needs room for its margins.
    With `resumable`, a checkpoint must be able to hold its state: ``lbfgs`` is out of the question.

    From benchmarks/solve.py, times to 1e-3 and 1e-6: ``orth`` needs the fewest gradients nearly
    everywhere, but its search costs as much as the gradients it saves unless rows are long, and
    more for many classes; the metric helps L-BFGS too, except where features outnumber samples.
    """
    if problem.sums is not None and metric is None and problem.sums.roomy:
        chosen = plan(problem)
        if chosen.form in FACTORS or chosen.later:
            return {"algo": "newton"}, f"newton: {chosen.reason}"
        if resumable or problem.sums.held:  # it reads them twice a step
            how = "a checkpoint can hold it" if resumable else "the leaves are held in memory"
            return {"algo": "newton"}, f"newton: {how}; {chosen.reason}"
    if problem.sums is not None and resumable:
        return {"algo": "accel"}, "accel: a checkpoint of packed data can hold it"
    if resumable:
        return {"algo": "orth", "inner": "newton"}, "orth --inner newton: a checkpoint can hold it"
    stored, classes = problem.nonzeros, problem.n_classes if problem.softmax else 1
    if problem.p > problem.n:
        return {"algo": "lbfgs"}, "lbfgs: more features than samples"
    if problem.sums is None and not problem.softmax and stored >= LONG_ROWS * problem.n:
        return {"algo": "orth", "inner": "newton"}, "orth --inner newton: long rows, two classes"
    if stored * classes >= LARGE:
        reason = "lbfgs --metric half: many entries against the cost of a search"
        return {"algo": "lbfgs", "metric": "half"}, reason
    return {"algo": "lbfgs"}, "lbfgs: too small for set-up to pay"
