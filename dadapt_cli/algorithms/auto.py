"""``auto``: the method that was fastest where it was measured, by size and classes."""

from __future__ import annotations

from typing import Any

from dadapt_cli.algorithms._base import Info
from dadapt_cli.problem import Problem

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

MANY_CLASSES = 8
"""From here on the Hessian of the search costs more than the gradients it saves."""


def choose(problem: Problem) -> tuple[dict[str, Any], str]:
    """Options to run with in place of ``--algo auto``, and why, in words."""
    if problem.softmax and problem.n_classes >= MANY_CLASSES:
        reason = f"lbfgs, since {problem.n_classes} classes make the subspace search expensive"
        return {"algo": "lbfgs"}, reason
    # Passes over the data and passes over the rows: where a row is cheap, so is another gradient.
    if problem.nonzeros < LONG_ROWS * problem.n:
        return {"algo": "orth", "inner": "newton"}, "orth --inner newton, since rows are short"
    return {"algo": "orth"}, "orth, since the data are large against the number of rows"


LONG_ROWS = 50
"""Entries a row from which an exact search costs less than the gradients it saves."""
