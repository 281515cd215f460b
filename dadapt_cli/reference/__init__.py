"""f*, D and their certificate: a solver finds a point, and enclosures prove what follows from it.

The solvers (:mod:`~dadapt_cli.reference.newton`, :mod:`~dadapt_cli.reference.recession`) need not
be rigorous: only their :class:`~dadapt_cli.reference.witness.Witness` is used, and cached, and
:func:`certify` proves f*, D and all other claims from it
(:mod:`~dadapt_cli.reference.enclosure`).
"""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.objective import Problem
from dadapt_cli.reference import cache
from dadapt_cli.reference.reference import Reference
from dadapt_cli.reference.witness import Witness

__all__ = ["Reference", "cache", "find", "given", "none"]

AUTO_SECONDS = 60.0
"""``--reference auto`` computes a reference that is estimated to take less."""


def given(f_star: float) -> Reference:
    """A value of f* that the user gives, taken on trust."""
    return Reference("given", f_star=f_star, gap=0.0, method="given")


def none(reason: str) -> Reference:
    """No reference, and why."""
    return Reference("none", reason=reason)


def find(problem: Problem, content: str, *, always: bool, x0: Array | None = None) -> Reference:
    """Return the reference for `problem`, from the cache if it is there.

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
    cached = cache.read(key, problem)
    if cached is not None:
        with np.errstate(all="ignore"):
            proven = certify(problem, cached.witness, x0)
        if proven.status != "none":
            return replace(proven, seconds=cached.seconds)
    if not always and (estimate := estimated_seconds(problem)) > AUTO_SECONDS:
        return none(f"computing it may take {estimate:.0f} s; --reference always does it")
    begin = time.perf_counter()
    with np.errstate(all="ignore"):  # every result is checked, by its certificate
        computed, witness = _compute(problem, x0)
    seconds = time.perf_counter() - begin
    if witness is not None:
        cache.write(key, cache.Entry(witness, seconds))
    return replace(computed, seconds=seconds)


def certify(problem: Problem, witness: Witness, x0: Array | None = None) -> Reference:
    """What is proven from a witness: distances from `x0`, by default 0.

    Status ``none``, with the reason, where nothing is.
    """
    from dadapt_cli.reference.enclosure import enclose
    from dadapt_cli.reference.witness import attained

    x0 = problem.zeros() if x0 is None else x0
    if problem.l2 > 0:
        return attained(problem, enclose(problem, witness.w, x0=x0), witness, x0)
    from dadapt_cli.reference import newton, recession

    if math.prod(problem.shape) > newton.LARGEST_DENSE:
        return recession.certify_wide(problem, witness)
    return recession.certify(problem, witness, x0)


def estimated_seconds(problem: Problem) -> float:
    """What the reference costs, from sizes alone: with an l2 term within about a factor of two.

    Without one, a linear programme may be needed, whose time is not known before.
    """
    from dadapt_cli.reference import hessian
    from dadapt_cli.reference.newton import LARGEST_DENSE

    unknowns: float = math.prod(problem.shape)
    classes = problem.shape[-1] if problem.softmax else 1
    product = 2e-9 * problem.nonzeros * classes + 2e-8 * problem.n * classes
    if unknowns > LARGEST_DENSE:
        return 500 * product
    multiply = hessian.gram_seconds(problem.X) * classes * (classes + 1) / 2
    step = multiply + 1e-10 * unknowns**3
    return 100 * product + 8 * step if problem.l2 > 0 else 300 * product + 60 * step


def _compute(problem: Problem, x0: Array | None) -> tuple[Reference, Witness | None]:
    from dadapt_cli.reference import newton, recession
    from dadapt_cli.reference.enclosure import structural

    if problem.l2 == 0:
        return recession.infimum(problem, problem.zeros() if x0 is None else x0)
    basis = structural(problem).basis if problem.intercept else None
    found = newton.minimise(problem, problem.zeros(), basis=basis)
    witness = Witness(found.w, found.method)
    reference = certify(problem, witness, x0)
    return reference, None if reference.status == "none" else witness
