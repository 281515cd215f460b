r"""A lower bound on f*, for a stopping test, where the l2 term leaves an intercept out.

f is not strongly convex along the intercept, so its gradient alone certifies nothing. For any class
probabilities q_i of the samples, with residuals R = diag(c) (q - one-hot)/sum c and entropies H,

.. math:: f(W) \ge \frac{1}{\sum c} \sum_i c_i H(q_i) + \langle R, X W\rangle
                   + \frac{\lambda}{2} \|V\|^2 ,

V the weights without the intercept. Where the columns of R sum to zero the intercept drops out, and
the minimum over V, mean entropy - ||X'R||^2/(2 l2), bounds f* from below. The probabilities at the
computed minimiser nearly do; they are mixed with a distribution that is the same for each sample,
chosen so that the sums vanish. Costs as much as a gradient, needs no factor, and proves something
far from the minimiser too, where the curvature (:mod:`~dadapt_cli.reference.enclosure`) does not.
"""

from __future__ import annotations

import math

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.objective import Problem
from dadapt_cli.objective.rounding import gamma
from dadapt_cli.objective.smoothness import magnitudes
from dadapt_cli.reference.hessian import second_derivatives

ROUNDING = 1e-12
"""Relative error of the entropy, and of probabilities whose sums are exact only to rounding."""


def lower_bound(problem: Problem, w: Array, scores: Array) -> float:
    """f at the dual point made of the probabilities at `w`; -inf when they cannot be mixed."""
    c = problem.weighted(np.ones(problem.n))
    own = problem.labels.index
    if problem.softmax:
        q, _ = second_derivatives(problem, scores)
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
    XR = np.abs(np.asarray(problem.X.T @ residual)[:-1])
    # No residual exceeds c/sum c, and q is within some u of probabilities that fit exactly.
    size = np.asarray(magnitudes(problem.X).T @ (c / problem.n_mean))[:-1]
    XR = XR + (gamma(problem.n + 64.0) * size).reshape(-1, *(1 for _ in XR.shape[1:]))
    square = float(np.vdot(XR, XR)) / (2 * problem.l2)
    entropy = float(c @ entr(q).sum(axis=1)) / problem.n_mean
    return entropy - square * (1.0 + 1e-12) - 2 * left - ROUNDING * (1.0 + entropy)


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
