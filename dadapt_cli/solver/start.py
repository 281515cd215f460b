"""How a fit starts: the problem, x_0, the loop, and the state with d0, G and L as listed."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms import Algorithm, Info, State
from dadapt_cli.algorithms._rounding import Rounding
from dadapt_cli.errors import UsageError
from dadapt_cli.model import Model
from dadapt_cli.objective import Problem, smoothness
from dadapt_cli.preprocessing.labels import some
from dadapt_cli.preprocessing.prepare import Prepared
from dadapt_cli.preprocessing.scaling import Scaling
from dadapt_cli.solver import full_batch, minibatch
from dadapt_cli.solver.minibatch import Plan
from dadapt_cli.solver.options import DECAYS, Options
from dadapt_cli.solver.trace import Outcome

DEFAULT_D0 = 1e-6
"""Used where d is an estimate: the paper's value; also r_eps in the methods that have one."""


def problem_of(data: Prepared, options: Options, dtype: Any = None) -> Problem:
    """The objective; l2 = 1/n or 1/(C n) is determined here, from the data."""
    return Problem(
        data.X,
        data.labels,
        l2=l2_of(options, data.count),
        bias=options.bias,
        intercept=options.intercept,
        dtype=dtype or options.dtype,
        threads=options.threads,
        sample_weight=data.sample_weight,
    )


def l2_of(options: Options, count: float) -> float:
    """The weight of the l2 term, given the total weight of the samples."""
    if options.C is not None:
        return 1.0 / (options.C * count)
    return 1.0 / count if options.l2 == "1/n" else float(options.l2)


def unusual(data: Prepared, problem: Problem) -> list[str]:
    """What is unusual about the data, one line each."""
    lines = list(data.labels.notes)
    if data.scaling.divisors is not None:
        lines.append(
            f"--scale {data.scaling.kind} only divides: there is no shift, zeros stay zeros"
        )
    if problem.sums is not None:
        empty = problem.sums.empty_rows
        return [*lines, f"{empty} of {problem.n} rows have no features"] if empty else lines
    rows = problem.X.any(axis=1) if isinstance(problem.X, np.ndarray) else np.diff(problem.X.indptr)
    empty = int(np.count_nonzero(np.asarray(rows) == 0))
    if empty == problem.n:
        lines.append("no row has a feature: every w has the same loss, log K for K classes")
    elif empty:
        lines.append(f"{empty} of {problem.n} rows have no features")
    return lines


def start(
    problem: Problem,
    algorithm: Algorithm,
    options: Options,
    x0: Array,
    g0: Array,
    f_star: float | None = None,
) -> Any:
    """The state before the first step; at an optimal x_0 a state that never makes one.

    Parameters
    ----------
    problem
        In the metric of the run, as `x0` and `g0`, the gradient there, are.
    options
        With the algorithm's own defaults filled in.
    f_star
        The reference's, where there is one.

    Raises
    ------
    UsageError
        The algorithm needs f* and it is not known.
    DataError
        The problem's numbers are so small or so large that their squares are lost.
    """
    info = algorithm.INFO
    if info.minibatch:
        return _minibatch(algorithm, options, x0)
    given = None if options.d0 == "auto" else float(options.d0)
    still = partial(State, x0=x0, x=x0, s=np.zeros_like(x0), average=x0)
    if not g0.any():
        return still(d=given or 0.0) if info.has_d else still()
    inf = info.distance == "D_inf"
    rounding = Rounding.of(problem, x0, inf=inf)
    smoothness.require_size(rounding.L, "the curvature of f")
    certifies = bool(info.bounds) and given is None
    L = math.inf
    if certifies or options.bound == "certified" or not info.bounds:
        exact = "L" in info.wants and not inf  # where d is only reported, not worth six products
        L = smoothness.smoothness(problem).L if exact else rounding.L
    d0 = DEFAULT_D0 if given is None else given
    if certifies:
        certify = smoothness.certified_start_inf if inf else smoothness.certified_start
        d0 = certify(problem, *rounding.first_gradient(problem, x0, g0), L)
    if certifies and d0 > 0:
        size = float(np.linalg.norm(g0.astype(np.float64)))
        smoothness.require_size(d0, "the distance to begin with, ||g_0||/L,")
        smoothness.require_size(d0 * size, "the distance to begin with times the gradient")
    if d0 == 0 and ("G" in info.wants or "c" in info.settings):  # their steps are multiples of d
        return still(d=0.0, stalled=True)
    own = _own(options, info)
    bundled = hasattr(algorithm, "Settings")
    more: dict[str, Any] = {"settings": algorithm.Settings(**own)} if bundled else own
    if info.has_d:
        more["d0"] = d0
    if "bound" not in info.refuses:
        more["bound"] = str(options.bound)
    if "G" in info.wants:
        more["G"] = algorithm.gradient_bound(problem, g0, options.gradient_bound)
    if "L" in info.wants or "any L" in info.wants:
        more["L"] = L
    if "problem" in info.wants:
        more["problem"] = problem
    if "f_star" in info.wants:
        if f_star is None:
            raise UsageError(
                f"--algo {options.algo} needs f*, and there is no reference for it here: give "
                "--reference its value, or --reference always"
            )
        more["f_star"] = f_star
    state = algorithm.start(x0, g0, **more)
    state.rounding = rounding
    return state


def _own(options: Options, info: Info) -> dict[str, Any]:
    """The options of ``info.settings`` as a full-batch ``start`` takes them.

    An average is the point where gradients are taken, beta; a schedule has its number of steps.
    """
    own = {n: getattr(options, n) for n in info.settings if n != "gradient_bound"}
    if "beta" in own:
        beta = {"anytime": 1.0, "schedule-free": options.beta}.get(own.pop("average"))
        own["beta"] = beta if "schedule" in own or beta is not None else 0.0
    if "schedule" in own:
        own["steps"] = options.iterations
    return own


def _minibatch(algorithm: Algorithm, options: Options, x0: Array) -> Any:
    """The state of a minibatch algorithm before the first step."""
    values: dict[str, Any] = {
        "d0": DEFAULT_D0 if options.d0 == "auto" else options.d0,
        "lr": options.lr,
        "momentum": options.momentum,
        "betas": tuple(options.betas),
        "beta": options.beta if options.average == "schedule-free" else None,
    }
    taken = {name: values[name] for name in algorithm.INFO.settings if name in values}
    if "d0" in taken:
        taken["variant"] = options.variant
    make: Any = algorithm.start
    return make(x0, **taken)


def plan(options: Options, info: Info, length: int | None = None) -> Plan:
    """The plan of the epochs; an algorithm that takes no schedule has a constant one.

    `length` is the length of the schedule; None means all epochs.
    """
    schedule = options.schedule if "schedule" in info.settings else "constant"
    epochs = options.epochs if length is None else length
    return Plan(options.batch_size, schedule, options.seed, options.average, epochs)


def loop(options: Options, info: Info, length: int) -> tuple[Callable[..., Outcome], int]:
    """The loop for an algorithm, and how many iterations or epochs it makes."""
    if info.minibatch:
        return partial(minibatch.iterate, plan=plan(options, info, length)), options.epochs
    return full_batch.iterate, options.iterations


def notes(options: Options, info: Info) -> list[str]:
    """Warnings about the options, one line each."""
    if not info.minibatch:
        if "schedule" in info.settings and options.schedule in DECAYS and options.d0 != "auto":
            return [
                f"--schedule {options.schedule}: its steps shrink while d still grows from --d0 "
                f"{options.d0:g}; --d0 auto begins as high as is certified"
            ]
        return []
    return minibatch.notes(
        plan(options.resolved(info), info), options.epochs, "d0" in info.settings
    )


def x0_weights(problem: Problem, scaling: Scaling, init: Any) -> Array:
    """The weights to start from, float64, in the shape of the problem's.

    Parameters
    ----------
    problem, scaling
        Those of the fit.
    init
        A :class:`~dadapt_cli.model.Model`, or an array of weights for the scaled features.

    Raises
    ------
    UsageError
        They belong to another problem; the difference is named.
    """
    w = _of_model(problem, scaling, init) if isinstance(init, Model) else np.asarray(init)
    if w.shape != problem.shape:
        raise UsageError(f"init has the shape {w.shape}; the weights have {problem.shape}")
    if w.dtype.kind not in "fiu" or not np.isfinite(w).all():
        raise UsageError(f"init, of type {w.dtype}, has values that are not finite numbers")
    return w.astype(np.float64)


def _of_model(problem: Problem, scaling: Scaling, model: Model) -> Array:
    """The model's weights for the data's classes, features and divisors."""
    classes, p = problem.labels.classes, problem.p - problem.bias
    if set(model.classes) != set(classes):
        raise UsageError(f"--init: the model has the labels {some(model.classes)}, "
                         f"the data {some(classes)}")  # fmt: skip
    if (model.bias is not None) != problem.bias:
        one, other = ("a", "none") if model.bias is not None else ("no", "one")
        raise UsageError(f"--init: the model has {one} constant feature, this fit has {other}; "
                         "see --bias and --intercept")  # fmt: skip
    if model.scaling.kind != scaling.kind:
        raise UsageError(f"--init: the model was fitted with --scale {model.scaling.kind}, "
                         f"not {scaling.kind}")  # fmt: skip
    if model.n_features > p:
        raise UsageError(f"--init: the model has {model.n_features} features, the data {p}; "
                         f"--features {model.n_features} makes the others 0")  # fmt: skip
    old, w = model.w[: model.n_features], np.zeros((p, *model.w.shape[1:]))
    if scaling.divisors is not None and model.scaling.divisors is not None:
        old = (old.T * (scaling.divisors[: len(old)] / model.scaling.divisors)).T
    w[: len(old)] = old
    if model.bias is not None:
        w = np.concatenate([w, model.bias * model.w[-1:]])
    if w.ndim == 1:
        return w if model.classes == classes else -w
    return w[:, [model.classes.index(name) for name in classes]]
