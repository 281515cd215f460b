r"""The certificate of a problem whose l2 term leaves an intercept out.

f is not strongly convex along the intercept, so its gradient alone certifies nothing. For any class
probabilities q_i of the samples, with residuals R = diag(c) (q - one-hot)/sum c and entropies H,

.. math:: f(W) \ge \frac{1}{\sum c} \sum_i c_i H(q_i) + \langle R, X W\rangle
                   + \frac{\lambda}{2} \|V\|^2 ,

V the weights without the intercept. Where the columns of R sum to zero the intercept drops out, and
the minimum over V, mean entropy - ||X'R||^2/(2 l2), bounds f* from below. The probabilities at the
computed minimiser nearly do; they are mixed with a distribution that is the same for each sample,
chosen so that the sums vanish.
"""

from __future__ import annotations

import math

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.objective import Problem, metric
from dadapt_cli.reference import newton
from dadapt_cli.reference.recession import distance_error
from dadapt_cli.reference.reference import Reference

LARGEST_GAP = 1e-6
"""Relative to f; above it the solver failed and there is no reference."""


def minimum(problem: Problem, x0: Array) -> Reference:
    """The reference of a problem with an intercept and an l2 term, distances from `x0`."""
    N = _null_space(problem)
    found = newton.minimise(problem, problem.zeros(), null_space=N)
    gap = found.f - lower_bound(problem, found.w, found.scores)
    gap = max(gap, 0.0) + 4 * float(np.finfo(float).eps) * found.f
    if not gap <= LARGEST_GAP * found.f:
        return Reference("none", reason=f"the solver stopped at a certified gap of {gap:.1e}")
    move = (found.w - x0).ravel()
    move = (move - N @ (N.T @ move)).reshape(problem.shape)  # to the nearest minimiser
    D_error = distance_error(problem, found, N) if move.size <= newton.LARGEST_DENSE else None
    reason = None
    if D_error is None:
        reason = "f* and its gap are certified, D is not: the intercept has no l2 term"
    return Reference(
        "attained",
        f_star=found.f,
        gap=gap,
        method=f"{found.method}; gap = f - f(dual point), the intercept without l2 term",
        reason=reason,
        distances=metric.distances(problem, move, D_error),
    ).in_metric("identity")


def _null_space(problem: Problem) -> Array:
    """Softmax: the same number added to the intercept of every class changes nothing."""
    if not problem.softmax:
        return np.zeros((problem.p, 0))
    along = np.zeros(problem.shape)
    along[-1] = 1.0 / math.sqrt(problem.n_classes)
    return along.reshape(-1, 1)


def lower_bound(problem: Problem, w: Array, scores: Array) -> float:
    """f at the dual point made of the probabilities at `w`; -inf when they cannot be mixed."""
    c = problem.weighted(np.ones(problem.n))
    own = problem.labels.index
    if problem.softmax:
        q = newton.second_derivatives(problem, scores)
    else:
        away = np.abs(problem.unweighted(problem.residuals(scores) * problem.n_mean))
        q = np.empty((problem.n, 2))
        q[np.arange(problem.n), own], q[np.arange(problem.n), 1 - own] = 1.0 - away, away
    share = np.bincount(own, weights=c) / problem.n_mean
    q = _mixed(q, share, c @ q / problem.n_mean)
    if q.min() < 0:
        return -math.inf
    from scipy.special import entr

    R = q.copy()
    R[np.arange(problem.n), own] -= 1.0
    R = (R.T * (c / problem.n_mean)).T
    # Binary: a score of z for the positive class and 0 for the other one.
    residual = R if problem.softmax else R[:, 1]
    left = float(np.abs(residual.sum(axis=0) * w[-1]).sum())  # rounding of the sums
    XR = np.asarray(problem.X.T @ residual)[:-1]
    square = float(np.vdot(XR, XR)) / (2 * problem.l2)
    return float(c @ entr(q).sum(axis=1)) / problem.n_mean - square - 2 * left


def _mixed(q: Array, share: Array, mean: Array) -> Array:
    """(1 - t) q + t u with the class means `share` in place of `mean`, t as small as u >= 0 lets.

    u = mean + (share - mean)/t, the same for each sample: its sum is 1, and it is a distribution
    from t = max (mean - share)/mean on.
    """
    t = float(np.max((mean - share) / mean, initial=0.0))
    if t == 0.0:
        return q
    t = min(1.0, (1 + 1e-6) * t)  # clear of rounding
    return (1.0 - t) * q + (t * mean + (share - mean))
