r"""A certificate from the curvature at one point, invariant to the scaling of the features.

:math:`\varphi(t) = \log(1 + e^{-t})` has :math:`|\varphi'''| \le \varphi''` (softmax: third
cumulant at most range times variance). So with H the Hessian at w, a ridge of any kind included,
and :math:`\rho` a bound on the change of the margins (softmax: of differences of scores) along h,

.. math:: f(w+h) \ge f(w) + \langle g,h\rangle + \tfrac12\kappa(\rho)\|h\|_H^2, \qquad
          \langle \nabla f(w+h) - g, h\rangle \ge \frac{1-e^{-\rho}}{\rho}\|h\|_H^2, \qquad
          \kappa(\rho) = 2\,\frac{e^{-\rho} - 1 + \rho}{\rho^2} .

Let :math:`\lambda = \|g\|_{H^{-1}}` and R bound the rows' norms in :math:`H^{-1}`. With
:math:`R\lambda < 1`, f exceeds f(w) on a sphere around w, so a minimiser exists (Bach 2010); the
second line bounds its distance, :math:`\|w^*-w\|_H \le r = -\log(1-R\lambda)/R`, and the first one
:math:`f(w) - f^* \le \lambda^2/(2\kappa(Rr))`.

Rounding: columns are scaled by powers of two; each entry of H has an error of at most a multiple
of u times :math:`\sqrt{H_{jj}H_{kk}}`, and so has the Cholesky factor's product, so
:math:`H \succeq LL' - e I`; the inverse of L is used with its residual bounded. Where that leaves
less than nine tenths of the curvature in some direction there is no certificate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from dadapt_cli._typing import Array, Indices, Matrix
from dadapt_cli.objective import Problem
from dadapt_cli.objective.ball import row_norms_up
from dadapt_cli.objective.rounding import TINY, gamma, norm_up, total, total_up, up
from dadapt_cli.reference import hessian
from dadapt_cli.reference.evaluation import Evaluated, chunks, longest_sum

LARGEST_LOSS = 0.1
"""Share of the curvature that rounding may take in any direction."""

SMALL = 0.01
"""R lambda, with a crude bound on R, below which a better bound would gain nothing."""

MOST_WORK = 5e10
"""Multiplications that the better bound may cost."""

SMALLEST_CURVATURE = 1e-250
"""Smallest curvature of a column scaled to about 1: what underflows is far below its rounding."""

DEPENDENT = "columns are dependent to rounding, and not exactly"


@dataclass(frozen=True)
class Ellipsoid:
    """What is proven around w.

    Attributes
    ----------
    excess
        f(w) - f* is at most this.
    each
        |w_j - w*_j| of a minimiser w*, at most this, (unknowns,); those outside the basis are
        the same.
    """

    excess: float
    each: Array


@dataclass(frozen=True)
class _Factor:
    """M, about the inverse of L; ||v|| in the norm of H^-1 is at most `times` ||M v||."""

    M: Array
    times: float


def exponents(X: Matrix) -> Indices:
    """For each column, the largest power of two that its largest entry reaches; 0 for zeros."""
    if isinstance(X, np.ndarray):
        largest = np.abs(X).max(axis=0, initial=0.0)
    else:
        largest = np.zeros(X.shape[1])
        np.maximum.at(largest, X.indices, np.abs(X.data))
    return np.where(largest > 0, np.frexp(largest)[1] - 1, 0)


def scaled(X: Matrix, exponent: Indices) -> Matrix:
    """Columns divided by powers of two: exact, but for entries 2^1000 times below the largest."""
    if isinstance(X, np.ndarray):
        return np.ldexp(X, -exponent)
    return sp.csr_array((np.ldexp(X.data, -exponent[X.indices]), X.indices, X.indptr), X.shape)


def around(problem: Problem, at: Evaluated, mean: float, basis: Indices) -> Ellipsoid | str:
    """Bound f(w) - f* and w - w* over the unknowns of `basis`, or say why that is not possible.

    Parameters
    ----------
    problem
        float64.
    at
        The evaluation at w.
    mean
        What the mean of the losses is over.
    basis
        Unknowns that are free; all others are fixed.
    """
    if not len(basis):
        return Ellipsoid(LEAST_EXCESS, np.zeros(math.prod(problem.shape)))
    columns = exponents(problem.X)
    X = scaled(problem.X, columns)
    H = hessian.loss_hessian(problem, X, at.curvature, at.others)
    classes = problem.n_classes if problem.softmax else 1
    exponent = np.repeat(columns, classes)[basis]
    H = H[np.ix_(basis, basis)] if len(basis) < len(H) else H
    H /= mean
    ridge = np.broadcast_to(problem.ridge, problem.shape).ravel()[basis]
    H[np.diag_indices_from(H)] += np.ldexp(ridge, -2 * exponent)
    diagonal = H.diagonal()
    if not np.isfinite(H).all():
        return "numbers overflow; scale the features"
    if not diagonal.min() > SMALLEST_CURVATURE:
        return "the curvature along a feature is lost in rounding; scale the features"
    half = np.frexp(diagonal)[1] // 2
    H = np.ldexp(np.ldexp(H, -half), -half[:, None])
    exponent = exponent + half
    k = 2.0 if problem.softmax else 1.0
    terms = longest_sum(problem.X) + math.ceil(problem.n * problem.p / hessian.DENSE_BLOCK)
    error = gamma(terms + 2.0 * at.relative + 2.0 * len(H) + 64.0)
    factor = _factor(H, error, k * at.score_error)
    if isinstance(factor, str):
        return factor
    g = np.ldexp(at.g.ravel()[basis], -exponent)
    g_error = np.ldexp(at.g_error.ravel()[basis], -exponent) + TINY
    M, size = factor.M, np.abs(factor.M)
    decrement = np.abs(M @ g) + size @ (g_error + gamma(len(M) + 4.0) * np.abs(g))
    lam = up(norm_up(decrement) * factor.times * (1.0 + gamma(2.0 * len(M) + 8.0)))
    R = _crude_row_norm(X, half, factor, classes)
    if not R * lam <= SMALL and float(problem.n) * len(M) ** 2 <= MOST_WORK:
        R = min(R, _row_norm(X, half, basis, factor, classes))
    bounds = _bounds(lam, R)
    if isinstance(bounds, str):
        return bounds
    r, excess = bounds
    column_norms = np.array([norm_up(column) for column in M.T])
    each = np.zeros(math.prod(problem.shape))
    each[basis] = np.ldexp(column_norms * (factor.times * r * (1.0 + 1e-12)), -exponent) + TINY
    return Ellipsoid(excess, each)


LEAST_EXCESS = float(np.finfo(np.float64).tiny)
"""No bound is 0: the gradient never is known to be."""


def _bounds(lam: float, R: float) -> tuple[float, float] | str:
    """Bounds on ||w* - w||_H and on f(w) - f*; a reason where lambda is too large."""
    product = R * lam * (1.0 + 1e-12)
    if not product < 1.0:
        return f"the gradient is too large for its curvature: {product:.1e} where 1 is the limit"
    r = lam if product == 0.0 else -math.log1p(-product) / R
    r = up(max(r, lam) * (1.0 + 1e-12))
    return r, up(up(lam * lam) / (2.0 * _kappa(R * r)) * (1.0 + 1e-12)) + LEAST_EXCESS


def around_wide(problem: Problem, at: Evaluated, mean: float, basis: Indices) -> Ellipsoid | str:
    r"""As :func:`around`, of a problem with an l2 term and an intercept, without a factor of H.

    For weights v and an intercept b, K_i the second derivatives of a loss in its scores and any
    t in (0, 1), :math:`Q_i(x_i'v + b) \ge (1-t) Q_i(b) - (1/t-1) Q_i(x_i'v)`. With t such that
    the last term is at most half of the l2 term, H is at least l2/2 on the weights and 1 - t times
    the mean of the K_i on the intercept.
    """
    k = 2.0 if problem.softmax else 1.0
    moved = k * at.score_error
    if not moved <= 1.0:
        return "the scores are lost in rounding; scale the features"
    rows = row_norms_up(problem.X[:, :-1])
    counts = problem.weighted(np.ones(problem.n))
    steepest = total_up(counts * np.square(rows)) * (0.25 * k) / mean * (1.0 + 1e-12) + TINY
    error = gamma(2.0 * at.relative + 64.0)
    if at.others is None:
        value, count = total(problem.weighted(at.curvature))
        least = value / mean * (1.0 - gamma(count + 8.0) - error)
    else:
        q = at.curvature[:, :-1]
        K = -(q.T @ problem.weighted(q))
        K[np.diag_indices_from(K)] = problem.weighted(q * at.others[:, :-1]).sum(axis=0)
        K /= mean
        error += gamma(float(problem.n)) + gamma(64.0 * len(K) ** 2)
        least = float(np.linalg.eigvalsh(K)[0]) - error * float(K.trace())
    share = problem.l2 / (2.0 * steepest)
    flat = share / (1.0 + share) * least * math.exp(-moved) * (1.0 - 1e-12)
    ridge = 0.5 * problem.l2 * (1.0 - 1e-12)
    if not (flat > TINY and ridge > TINY):
        return "the curvature along the intercept is lost in rounding; scale the features"
    P = np.full(problem.shape, ridge)
    P[-1] = flat
    root = np.sqrt(P.ravel()[basis])
    g = np.abs(at.g.ravel()[basis]) + at.g_error.ravel()[basis]
    lam = up(norm_up(g / root) * (1.0 + 1e-12))
    longest = float(rows.max(initial=0.0))
    R = up(math.sqrt(k * (longest * longest / ridge + 1.0 / flat)) * (1.0 + 1e-12))
    bounds = _bounds(lam, R)
    if isinstance(bounds, str):
        return bounds
    each = np.zeros(math.prod(problem.shape))
    each[basis] = bounds[0] / root * (1.0 + 1e-12) + TINY
    return Ellipsoid(bounds[1], each)


def _kappa(rho: float) -> float:
    """Lower bound on kappa: its series alternates; in closed form where nothing cancels."""
    series = 1.0 - rho / 3.0
    if rho < 0.1:
        return series * (1.0 - 1e-15)
    return max(series, 2.0 * (math.expm1(-rho) + rho) / (rho * rho)) * (1.0 - 1e-12)


def _factor(H: Array, error: float, moved: float) -> _Factor | str:
    """Factor H, whose entries have a relative `error`; scores' errors take e^-moved of it."""
    from scipy.linalg import LinAlgError, cholesky
    from scipy.linalg.lapack import dtrtri

    with np.errstate(all="ignore"):
        try:
            L = cholesky(H, lower=True, check_finite=False)
        except LinAlgError:
            return DEPENDENT
        M, info = dtrtri(L, lower=1)
        if info != 0 or not np.isfinite(M).all():
            return DEPENDENT
        M = np.tril(M)
        residual = M @ L
        residual[np.diag_indices_from(residual)] -= 1.0
        norm = norm_up(M)
        left = norm_up(residual) + gamma(len(H) + 8.0) * norm * norm_up(L)
        if not left <= LARGEST_LOSS:
            return DEPENDENT
        norm_of_inverse = norm / (1.0 - left)
        loss = (error * float(H.trace()) + len(H) * TINY) * norm_of_inverse**2 * (1.0 + 1e-6)
        if not loss <= LARGEST_LOSS:
            return DEPENDENT
        if not moved <= 1.0:
            return "the scores are lost in rounding; scale the features"
        times = math.exp(0.5 * moved) / ((1.0 - left) * math.sqrt(1.0 - loss)) * (1.0 + 1e-12)
    return _Factor(M, times)


def _crude_row_norm(X: Matrix, half: Indices, factor: _Factor, classes: int) -> float:
    """||x_i|| times ||M||; softmax: of (e_a - e_b) times x_i."""
    longest = float(row_norms_up(X).max(initial=0.0))
    two = math.sqrt(2.0) if classes > 1 else 1.0
    widest = math.ldexp(1.0, int(-half.min()))
    return up(longest * widest * two * factor.times * norm_up(factor.M) * (1.0 + 1e-12))


def _row_norm(X: Any, half: Indices, basis: Indices, factor: _Factor, classes: int) -> float:
    """The largest norm of a row in H^-1; softmax: of two classes' blocks together."""
    largest = 0.0
    M = np.ldexp(factor.M, -half)
    k = gamma(X.shape[1] + 8.0)
    for _, rows in chunks(X):
        ends = []
        for a in range(classes):
            own = np.flatnonzero(basis % classes == a)
            if not len(own):
                continue
            part = rows[:, basis[own] // classes]
            T = np.asarray(part @ M[:, own].T)
            T = np.abs(T) + k * np.asarray(np.abs(part) @ np.abs(M[:, own]).T)
            ends.append(np.sqrt(np.square(T).sum(axis=1)) * (1.0 + gamma(len(M) + 8.0)))
        if ends:
            both = np.sort(np.stack(ends), axis=0)[-2:].sum(axis=0)
            largest = max(largest, float(both.max(initial=0.0)))
    return up((largest + math.sqrt(X.shape[0] * TINY)) * factor.times * (1.0 + 1e-12))
