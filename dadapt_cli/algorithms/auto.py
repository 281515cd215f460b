"""``auto``: ``newton``, with the curvature that its plan finds worth the time."""

from __future__ import annotations

from typing import Any

from dadapt_cli.algorithms import newton
from dadapt_cli.algorithms._base import Info
from dadapt_cli.algorithms._plan import plan
from dadapt_cli.objective import Problem

INFO = Info(
    name="auto",
    title="newton, saying which curvature it takes and why",
    theorem=newton.INFO.theorem,
    symbols=newton.INFO.symbols,
    d_means=newton.INFO.d_means,
    options=newton.INFO.options,
    distance="D",
    bounds=("certified",),
    settings=(),
    averages=False,
    takes_metric=False,
)


def choose(problem: Problem) -> tuple[dict[str, Any], str]:
    """Options to run with in place of ``--algo auto``, and why, in words.

    From benchmarks/solve.py: nothing was faster on any shape of data, to 1e-3 and to 1e-6.
    """
    return {"algo": newton.INFO.name}, f"{newton.INFO.name}: {plan(problem).reason}"
