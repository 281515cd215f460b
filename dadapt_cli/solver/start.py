"""How a fit starts: the loop, and the state with d0, G and L as the listing wants them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms import Algorithm, Info, State
from dadapt_cli.algorithms._rounding import Rounding
from dadapt_cli.objective import Problem, smoothness
from dadapt_cli.solver import full_batch, minibatch
from dadapt_cli.solver.minibatch import Plan
from dadapt_cli.solver.options import Options
from dadapt_cli.solver.stopping import Outcome

DEFAULT_D0 = 1e-6
"""Of the minibatch algorithms: the paper's."""


def start(problem: Problem, algorithm: Algorithm, options: Options, x0: Array, g0: Array) -> Any:
    """The state before the first step; at an optimal x_0 there is nothing to start.

    Parameters
    ----------
    problem
        In the metric of the run, as `x0` and `g0`, the gradient there, are.
    options
        With the algorithm's own defaults filled in.

    Raises
    ------
    DataError
        The problem's numbers are so small or so large that their squares are lost.
    """
    info = algorithm.INFO
    if info.minibatch:
        return _minibatch(algorithm, options, x0)
    if not g0.any():
        d0 = 0.0 if options.d0 == "auto" else float(options.d0)
        return State(x0=x0, x=x0, s=np.zeros_like(x0), average=x0, d=d0)
    inf = info.distance == "D_inf"
    L = math.inf
    rounding = Rounding.of(problem, x0, inf=inf)
    smoothness.require_size(rounding.L, "the curvature of f")
    if options.d0 == "auto" or options.bound == "certified":
        if inf:
            L = rounding.L
        elif "L" in info.wants:
            L = smoothness.smoothness(problem).L
        else:  # d is only reported: not worth six products
            L = rounding.L
    if options.d0 == "auto":
        certify = smoothness.certified_start_inf if inf else smoothness.certified_start
        d0 = certify(problem, *rounding.first_gradient(problem, x0, g0), L)
    else:
        d0 = float(options.d0)
    if options.d0 == "auto" and d0 > 0:
        size = float(np.linalg.norm(g0.astype(np.float64)))
        smoothness.require_size(d0, "the distance to begin with, ||g_0||/L,")
        smoothness.require_size(d0 * size, "the distance to begin with times the gradient")
    if d0 == 0 and "G" in info.wants:  # their steps are multiples of d
        return State(x0=x0, x=x0, s=np.zeros_like(x0), average=x0, d=0.0, stalled=True)
    more: dict[str, Any] = {n: getattr(options, n) for n in info.settings if n != "gradient_bound"}
    if "G" in info.wants:
        more["G"] = algorithm.gradient_bound(problem, g0, options.gradient_bound)
    if "L" in info.wants or "any L" in info.wants:
        more["L"] = L
    if "problem" in info.wants:
        more["problem"] = problem
    state = algorithm.start(x0, g0, d0=d0, bound=str(options.bound), **more)
    state.rounding = rounding
    return state


def _minibatch(algorithm: Algorithm, options: Options, x0: Array) -> Any:
    """The state of a minibatch algorithm before the first step."""
    values: dict[str, Any] = {
        "d0": DEFAULT_D0 if options.d0 == "auto" else options.d0,
        "lr": options.lr,
        "momentum": options.momentum,
        "betas": tuple(options.betas),
    }
    taken = {name: values[name] for name in algorithm.INFO.settings if name in values}
    if "d0" in taken:
        taken["variant"] = options.variant
    make: Any = algorithm.start
    return make(x0, **taken)


def plan(options: Options, info: Info) -> Plan:
    """The plan of the epochs; an algorithm that takes no schedule has a constant one."""
    schedule = options.schedule if "schedule" in info.settings else "constant"
    return Plan(options.batch_size, schedule, options.seed, options.average)


def loop(options: Options, info: Info) -> tuple[Callable[..., Outcome], int]:
    """The loop for an algorithm, and its number of rounds: iterations or epochs."""
    if info.minibatch:
        return partial(minibatch.iterate, plan=plan(options, info)), options.epochs
    return full_batch.iterate, options.iterations


def notes(options: Options, info: Info) -> list[str]:
    """Warnings about the options, one line each."""
    if not info.minibatch:
        return []
    return minibatch.notes(plan(options, info), options.epochs, "d0" in info.settings)
