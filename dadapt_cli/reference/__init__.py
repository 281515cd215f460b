"""f*, D and their certificate.

With l2 > 0, f is l2-strongly convex: at any w, f(w) - f* <= ||grad f(w)||^2/(2 l2) and
||w - w*|| <= ||grad f(w)||/l2. With an intercept that the l2 term leaves out, a point of the
Fenchel dual takes the gradient's place (:mod:`~dadapt_cli.reference.intercept`). With l2 = 0 the
infimum need not be attained; which loss terms can be driven to zero together is decided first
(:mod:`~dadapt_cli.reference.recession`), the others are minimised, and a point of the Fenchel dual
bounds f* from below.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.objective import Problem, metric
from dadapt_cli.reference import cache
from dadapt_cli.reference.reference import Reference

__all__ = ["Reference", "cache", "find", "given", "none"]

AUTO_SECONDS = 60.0
"""``--reference auto`` computes what an estimate puts under this."""


def given(f_star: float) -> Reference:
    """A value of f* that the user vouches for."""
    return Reference("given", f_star=f_star, gap=0.0, method="given")


def none(reason: str) -> Reference:
    """No reference, and why."""
    return Reference("none", reason=reason)


def find(problem: Problem, content: str, *, always: bool, x0: Array | None = None) -> Reference:
    """Return the reference for `problem`, from the cache where it is there.

    Parameters
    ----------
    problem
        The objective, float64.
    content
        Hash of its data (:func:`cache.content`).
    always
        Compute it even where an estimate says that this takes more than AUTO_SECONDS.
    x0
        What the distances are measured from; by default 0.

    Returns
    -------
    Reference
        Status ``none`` with a reason, never a guess, when it could not be computed.
    """
    key = cache.key(problem, content, x0)
    kept = cache.read(key)
    if kept is not None:
        return kept
    estimate = estimated_seconds(problem)
    if not always and estimate > AUTO_SECONDS:
        return none(f"computing it may take {estimate:.0f} s; --reference always does it")
    begin = time.perf_counter()
    with np.errstate(all="ignore"):  # every result is checked, by its certificate
        computed = replace(_compute(problem, x0), seconds=time.perf_counter() - begin)
    if computed.status != "none":
        cache.write(key, computed)
    return computed


def estimated_seconds(problem: Problem) -> float:
    """A rough upper estimate of what the reference costs, from sizes alone."""
    from dadapt_cli.reference.newton import LARGEST_DENSE

    unknowns: float = math.prod(problem.shape)
    classes = problem.shape[-1] if problem.softmax else 1
    product = 2e-9 * problem.nonzeros * classes + 2e-8 * problem.n * classes
    if unknowns > LARGEST_DENSE:
        return 2000 * product
    multiply = 4e-10 if isinstance(problem.X, np.ndarray) else 4e-9
    blocks = classes * (classes + 1) / 2
    hessian = multiply * problem.nonzeros**2 / problem.n * blocks + 1e-10 * unknowns**3
    steps = 15 if problem.l2 > 0 else 60
    return 300 * product + steps * hessian


def _compute(problem: Problem, x0: Array | None) -> Reference:
    from dadapt_cli.reference import intercept, newton, recession

    x0 = problem.zeros() if x0 is None else x0
    if problem.l2 == 0:
        return recession.infimum(problem, x0)
    if problem.intercept:
        return intercept.minimum(problem, x0)
    found = newton.minimise(problem, problem.zeros())
    grad_norm = float(np.linalg.norm(found.g))
    D_error = grad_norm / problem.l2
    gap = grad_norm**2 / (2 * problem.l2)
    if not math.isfinite(gap) or gap > 1e-6 * found.f:
        return none(f"the solver stopped at a certified gap of {gap:.1e}")
    return Reference(
        "attained",
        f_star=found.f,
        gap=gap,
        method=f"{found.method}; gap = ||g||^2/(2 l2)",
        distances=metric.distances(problem, found.w - x0, D_error),
    ).in_metric("identity")
