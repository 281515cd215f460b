r"""What follows from one point w: intervals that contain f(w), f* and the distance to a minimiser.

With l2 > 0 and everything penalised f is l2-strongly convex: with g the gradient at w,
:math:`f^* \ge f(w) - \|g\|^2/(2\lambda)`, and as
:math:`\langle g, w - w^*\rangle \ge \lambda\|w - w^*\|^2`, w* lies within
:math:`\|g\|/(2\lambda)` of :math:`w - g/(2\lambda)`. Otherwise, and where this is not sharp, the
curvature at w decides (:mod:`~dadapt_cli.reference.self_concordance`), without the directions
along which f is constant (:mod:`~dadapt_cli.reference.dependences`). All rounding is counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.objective import Problem
from dadapt_cli.objective.ball import Ball
from dadapt_cli.objective.rounding import TINY, U, down, norm_up, up
from dadapt_cli.reference import dependences, self_concordance
from dadapt_cli.reference.dependences import Dependences
from dadapt_cli.reference.evaluation import Evaluated, evaluate, mean_of
from dadapt_cli.system import memory

SHARP = 1e-9
"""Gap relative to f(w) from which the curvature is asked too, unless the caller decides."""

LARGEST_FACTOR = 3000
"""Unknowns up to which the Hessian is factored."""

MATRICES = 8
"""Matrices of the Hessian's size that are in memory at once."""

STRONG = "gap = ||g||^2/(2 l2), rounding counted"

CURVATURE = "gap from the curvature, rounding counted"

OVERFLOW = "numbers overflow or are lost to underflow; scale the features"


@dataclass(frozen=True)
class Enclosure:
    """What is proven from w. Intervals are closed and contain the value of the exact objective.

    Attributes
    ----------
    f_lower, f_upper
        f(w).
    lower, upper
        f*, the infimum.
    ball
        Contains a minimiser; None where none is known.
    each
        |w*_j - centre_j| of that minimiser is at most this, in the shape of the weights.
    reason
        Why f* or the ball is not enclosed; None where both are.
    method
        What the interval follows from.
    """

    f_lower: float = 0.0
    f_upper: float = math.inf
    lower: float = 0.0
    upper: float = math.inf
    ball: Ball | None = None
    each: Array | None = field(default=None, compare=False)
    reason: str | None = None
    method: str | None = None

    @property
    def gap(self) -> float:
        """upper - lower, rounded up."""
        return up(self.upper - self.lower)


def enclose(
    problem: Problem,
    w: Array,
    *,
    curvature: bool | None = None,
    x0: Array | None = None,
    known: Dependences | None = None,
    mean: float | None = None,
) -> Enclosure:
    """Enclose f(w), f* and a minimiser.

    Parameters
    ----------
    problem
        The objective, float64, l2 >= 0.
    w
        Any point, shape (p,) or (p, C), in the user's variables.
    curvature
        Whether to form and factor the Hessian: True, False, or None for only where strong
        convexity does not give a gap of SHARP relative to f(w).
    x0
        Where minimisers are not unique, the ball is around the one nearest to this; by default 0.
    known
        The directions along which f is constant, where l2 = 0; by default they are looked for.
    mean
        What the mean of the losses is over; by default n or the sum of the sample weights.

    Returns
    -------
    Enclosure
        Always valid: where nothing is known of f*, [0, f(w)].
    """
    if w.shape != problem.shape:
        raise ValueError(f"weights of shape {w.shape} for a problem of {problem.shape}")
    w = np.asarray(w, np.float64)
    with np.errstate(all="ignore"):
        mean = mean_of(problem) if mean is None else mean
        at = evaluate(problem, w, mean)
        if not at.finite:
            return Enclosure(reason=OVERFLOW)
        bare = Enclosure(at.f_lower, at.f_upper, 0.0, at.f_upper)
        here = _Here(problem, w, at, mean, x0)
        if problem.l2 > 0 and not problem.intercept:
            found = _strongly_convex(problem, w, at, bare)
        elif problem.l2 > 0 and problem.sums is None:
            found = _curved(here, bare, structural(problem), factor=False)
        else:
            found = bare
        if problem.sums is not None:  # the curvature is of all samples at once
            return found
        if curvature is None:
            curvature = not found.gap <= SHARP * at.f_upper or found.ball is None
        if not curvature:
            return found
        unknowns = math.prod(problem.shape)
        # The Hessian, its factor, the inverse and temporaries.
        too_large = unknowns > LARGEST_FACTOR or not memory.fits(MATRICES * 8 * unknowns**2)
        if too_large and found.ball is not None:
            return found
        if too_large:
            reason = found.reason or f"{unknowns} weights are too many to factor their curvature"
            return replace(found, reason=reason)
        if known is None:
            known = of_columns(problem) if problem.l2 == 0 else structural(problem)
        return _sharper(found, _curved(here, bare, known, factor=True))


@dataclass(frozen=True)
class _Here:
    """A point of a problem, what was evaluated there, and what distances are from."""

    problem: Problem
    w: Array
    at: Evaluated
    mean: float
    x0: Array | None


def _strongly_convex(problem: Problem, w: Array, at: Evaluated, bare: Enclosure) -> Enclosure:
    """Section 2 of the proofs: f is l2-strongly convex."""
    l2 = down(problem.l2)
    if not l2 > 0:
        return Enclosure(bare.f_lower, bare.f_upper, 0.0, bare.upper, reason=OVERFLOW)
    grad_norm = norm_up(np.abs(at.g) * (1.0 + 2.0 * U) + at.g_error)
    root = up(grad_norm / down(math.sqrt(2.0 * l2)))
    lower = max(0.0, down(bare.f_lower - up(root * root)))
    half = at.g / (2.0 * problem.l2)
    centre = w - half
    error = (at.g_error / (2.0 * l2)) * (1.0 + 8.0 * U) + 8.0 * U * (np.abs(half) + np.abs(centre))
    radius = up(up(grad_norm / (2.0 * l2)) + norm_up(error + TINY))
    if not (math.isfinite(radius) and np.isfinite(centre).all()):
        return Enclosure(bare.f_lower, bare.f_upper, lower, bare.upper, reason=OVERFLOW)
    each = np.full(problem.shape, radius)
    ball = Ball(centre, radius)
    return Enclosure(bare.f_lower, bare.f_upper, lower, bare.upper, ball, each, None, STRONG)


def structural(problem: Problem) -> Dependences:
    """What changes nothing whatever the data: the same weights added to all classes."""
    if not problem.softmax or (problem.l2 > 0 and not problem.intercept):
        return dependences.none(math.prod(problem.shape))
    rows = np.arange(problem.p) if problem.l2 == 0 else np.array([problem.p - 1])
    return dependences.same_for_all(problem.p, problem.n_classes, rows)


def _curved(here: _Here, bare: Enclosure, known: Dependences, *, factor: bool) -> Enclosure:
    """Section 2b: the curvature at w, or at an equivalent point of the basis."""
    problem, w, at, mean, x0 = here.problem, here.w, here.at, here.mean, here.x0

    def nothing(reason: str) -> Enclosure:
        return Enclosure(bare.f_lower, bare.f_upper, 0.0, bare.upper, reason=reason)

    upper = bare.upper
    if len(known.dropped):
        w = known.reduce(w)
        at = evaluate(problem, w, mean)
        if not at.finite:
            return nothing(OVERFLOW)
        upper = min(upper, at.f_upper)
    around = self_concordance.around if factor else self_concordance.around_wide
    found = around(problem, at, mean, known.basis)
    if isinstance(found, str):
        return nothing(found)
    start = np.zeros(problem.shape) if x0 is None else x0
    centre, error = w, 0.0
    each = found.each.reshape(problem.shape)
    radius = norm_up(each)
    if len(known.dropped):
        move, error = known.nearest(w - start)
        centre = start + move
        rounding = norm_up(4.0 * U * (np.abs(w - start) + np.abs(centre) + np.abs(start)) + TINY)
        radius = up(up(radius + error) + rounding)
        each = np.full(problem.shape, radius)
    lower = max(0.0, down(at.f_lower - found.excess))
    ball = Ball(centre, radius) if math.isfinite(radius) and np.isfinite(centre).all() else None
    reason = None if ball is not None else OVERFLOW
    return Enclosure(bare.f_lower, bare.f_upper, lower, upper, ball, each, reason, CURVATURE)


def of_columns(problem: Problem) -> Dependences:
    """The exact dependences of the data's columns: along them f is constant where l2 = 0."""
    import scipy.sparse as sp

    columns = dependences.find(sp.csr_array(problem.X))
    if not problem.softmax:
        return columns
    return dependences.of_classes(columns, problem.n_classes)


def _sharper(one: Enclosure, other: Enclosure) -> Enclosure:
    """Both are valid: the intersection for f*, the smaller ball."""
    if one.lower >= other.lower and one.ball is not None:
        first, second = one, other
    else:
        first, second = other, one
    ball, each = first.ball, first.each
    if second.ball is not None and (ball is None or second.ball.radius < ball.radius):
        ball, each = second.ball, second.each
    return Enclosure(
        first.f_lower,
        first.f_upper,
        max(one.lower, other.lower),
        min(one.upper, other.upper),
        ball,
        each,
        None if ball is not None else other.reason or one.reason,
        first.method,
    )
