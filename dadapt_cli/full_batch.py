"""Which options belong to which full-batch algorithm, and the state they start from.

An option that an algorithm would ignore is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from dadapt_cli import constants
from dadapt_cli.algorithms import Algorithm, Info, State
from dadapt_cli.arrays import Array
from dadapt_cli.errors import UsageError
from dadapt_cli.metric import METRICS
from dadapt_cli.problem import Problem

if TYPE_CHECKING:
    from dadapt_cli.fitting import Options

SETTINGS = ("gradient_bound", "memory", "inner", "lbfgs_pairs")
"""Taken by the algorithms that say so in ``Info.settings``."""

INNER = ("exact", "newton")


def not_taken(info: Info) -> tuple[str, ...]:
    """Options, with underscores, that mean nothing to an algorithm."""
    return tuple(name for name in SETTINGS if name not in info.settings)


def refuse(info: Info, algo: str, given: Iterable[str]) -> None:
    """Raise UsageError at the first option given that the algorithm does not take."""
    foreign = not_taken(info)
    for name in given:
        if name in foreign:
            raise UsageError(
                f"--{name.replace('_', '-')} is not an option of --algo {algo}; "
                f"it takes {info.options}"
            )


def check(options: Options, info: Info) -> None:
    """Raise UsageError at the first option of full-batch algorithms that cannot be used."""
    for name, value, choices in (
        ("bound", options.bound or info.bounds[0], info.bounds),
        ("metric", options.metric or info.metric, METRICS),
        ("inner", options.inner, INNER),
    ):
        if value not in choices:
            raise UsageError(f"--{name} {str(value)[:40]!r}; choose from {', '.join(choices)}")
    for name, count in (("memory", options.memory), ("lbfgs-pairs", options.lbfgs_pairs)):
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise UsageError(f"--{name} {str(count)[:40]!r}; give an integer of at least 0")


def start(problem: Problem, algorithm: Algorithm, options: Options, x0: Array, g0: Array) -> State:
    """The state before the first step; at an optimal x_0 there is nothing to start.

    Parameters
    ----------
    problem
        In the metric of the run, as `x0` and `g0`, the gradient there, are.
    options
        With the algorithm's own defaults filled in.
    """
    info = algorithm.INFO
    if not g0.any():
        d0 = 0.0 if options.d0 == "auto" else float(options.d0)
        return State(x0=x0, x=x0, s=np.zeros_like(x0), average=x0, d=d0)
    inf = info.distance == "D_inf"
    L = math.inf
    if options.d0 == "auto" or options.bound == "certified":
        if inf:
            L = constants.smoothness_inf(problem)
        elif "L" in info.wants:
            L = constants.smoothness(problem).L
        else:  # d is only reported: not worth six products
            L = constants.frobenius(problem)
    if options.d0 == "auto":
        certify = constants.certified_start_inf if inf else constants.certified_start
        d0 = certify(problem, g0, L)
    else:
        d0 = float(options.d0)
    more: dict[str, Any] = {n: getattr(options, n) for n in info.settings if n != "gradient_bound"}
    if "G" in info.wants:
        more["G"] = algorithm.gradient_bound(problem, g0, options.gradient_bound)
    if "L" in info.wants or "any L" in info.wants:
        more["L"] = L
    if "problem" in info.wants:
        more["problem"] = problem
    return algorithm.start(x0, g0, d0=d0, bound=str(options.bound), **more)
