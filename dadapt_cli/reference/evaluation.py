r"""f and its gradient at a point, with proven bounds on what rounding did to them.

The object is the exact one: each stored x stands for a decimal number within u of it, and once
more within u where features were divided; so do l2 and the sample weights. The margins' error,

.. math:: |fl(\langle x, w\rangle) - \langle x, w\rangle| \le \gamma_{m+8} \langle |x|, |w|\rangle,

m stored entries a row, enters the loss and the residuals through their derivatives: with E a bound
on a row's score errors and k = 1 (softmax 2), the residuals change by a factor of at most e^{kE}.
NumPy's exp and log1p are taken to be within 4 ulp.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from dadapt_cli._typing import Array, Matrix
from dadapt_cli.objective import Problem
from dadapt_cli.objective.blocks import arrays_of, rows_of
from dadapt_cli.objective.products import add_transposed, forward
from dadapt_cli.objective.rounding import TINY, U, down, gamma, norm_bounds, total, total_up, up
from dadapt_cli.objective.smoothness import magnitudes

CHUNK = 1024
"""Rows that are summed at once: a sum of n terms then has the error of one of CHUNK + n/CHUNK."""


@dataclass(frozen=True)
class Evaluated:
    """Enclosures at one point w.

    Attributes
    ----------
    f_lower, f_upper
        Contain f(w).
    g, g_error
        The gradient as computed, and a bound on the error of each component.
    curvature
        Binary: the second derivative of each sample's loss, (n,); softmax: the probabilities
        (n, C), ``others`` their complements. Each within ``relative`` u of that of the computed
        scores.
    score_error
        The largest error of a score.
    """

    f_lower: float
    f_upper: float
    g: Array
    g_error: Array
    curvature: Array
    others: Array | None
    score_error: float
    relative: float

    @property
    def finite(self) -> bool:
        """Whether nothing overflowed."""
        ends = math.isfinite(self.f_lower) and math.isfinite(self.f_upper)
        return ends and bool(np.isfinite(self.g).all() and np.isfinite(self.g_error).all())


def mean_of(problem: Problem) -> float:
    """What the mean is over, within u of the exact sum: of a problem that leaves no row out."""
    if problem.sample_weight is None:
        return problem.n_mean
    return math.fsum(problem.sample_weight.tolist())


def spans(X: Matrix) -> list[slice]:
    """The rows of X in chunks of about CHUNK; fewer of them where X has few entries a column."""
    n, p = X.shape
    rows = CHUNK
    if sp.issparse(X):
        rows = max(CHUNK, math.ceil(n / max(1, X.nnz // p)))
    return [slice(begin, min(n, begin + rows)) for begin in range(0, n, rows)]


def chunks(X: Matrix) -> Iterator[tuple[slice, Matrix]]:
    """The chunks of :func:`spans` with their rows."""
    for own in spans(X):
        yield own, rows_of(X, own)


def longest_sum(X: Matrix) -> int:
    """Terms that a sum over the rows of X counts as, chunk by chunk."""
    sizes = [own.stop - own.start for own in spans(X)]
    return max(sizes, default=0) + len(sizes)


def evaluate(problem: Problem, w: Array, mean: float | None = None) -> Evaluated:
    """Enclose f and its gradient at `w`; the caller silences NumPy's warnings.

    Parameters
    ----------
    problem
        float64; the user's variables.
    w
        Weights, shape (p,) or (p, C), taken as they are.
    mean
        What the mean of the losses is over, within u; by default :func:`mean_of`.
    """
    mean = mean_of(problem) if mean is None else mean
    if problem.sums is not None:
        return _summed(problem, w, mean)
    k = 2.0 if problem.softmax else 1.0
    relative = 22.0 + problem.n_classes
    long = gamma(longest_sum(problem.X) + relative + 16.0)
    loss, slack = np.empty(problem.n), np.empty(problem.n)
    g, g_error = np.zeros(problem.shape), np.zeros(problem.shape)
    work, absolute = np.empty(problem.shape), np.abs(w)
    curvature = np.empty((problem.n, *problem.shape[1:]))
    others = np.empty_like(curvature) if problem.softmax else None
    largest = residual_sum = 0.0
    for rows in spans(problem.X):
        X = arrays_of(problem.X, rows)
        size = magnitudes(X)
        z, E = _scores(problem, rows, X, size, (w, absolute))
        parts = (_softmax if problem.softmax else _logistic)(problem, rows, z)
        loss[rows], away, R, curvature[rows] = parts[:4]
        if others is not None:
            others[rows] = parts[4]
        grown = np.fmin(k * E, k * away * np.exp(k * E) * E)  # the loss is k-Lipschitz, convex
        slack[rows] = grown + relative * U * loss[rows] + TINY
        moved = np.expm1(k * E) * (1.0 + 1e-6) + long
        moved = np.fmin((np.abs(R).T * moved).T, 1.0 + long) + TINY
        if problem.sample_weight is not None:
            c = problem.sample_weight[rows]
            loss[rows] *= c
            slack[rows] *= c
            R, moved = (R.T * c).T, (moved.T * c).T
        # A chunk's sum is made by itself: the number of terms in a row is what errors grow with.
        for of, terms, whole in ((X, R, g), (size, moved, g_error)):
            work[...] = 0.0
            add_transposed(of, terms, work)
            whole += work
        residual_sum += float(np.abs(R).sum())
        largest = max(largest, float(E.max(initial=0.0)))
    # TINY covers a stored x below the normal range, and each product that fell below it.
    g_error = (g_error + TINY * (residual_sum + problem.n)) * ((1.0 + 1e-6) / mean)
    g /= mean
    ridge = problem.ridge * w if problem.l2 else 0.0
    g += ridge
    g_error += (8.0 * U) * (np.abs(ridge) + np.abs(g)) + TINY
    low, high = _mean(loss, slack, mean)
    low_l2, high_l2 = _l2_term(problem, w)
    return Evaluated(
        f_lower=down(low + low_l2), f_upper=up(high + high_l2), g=g, g_error=g_error,
        curvature=curvature, others=others, score_error=largest, relative=relative,
    )  # fmt: skip


def _summed(problem: Any, w: Array, mean: float) -> Evaluated:
    """The same of data in parts, each a problem without the l2 term: intervals add up."""
    low = high = largest = 0.0
    g, g_error = np.zeros(problem.shape), np.zeros(problem.shape)
    for part in problem.parts():
        at = evaluate(part, w, mean)
        low, high = down(low + at.f_lower), up(high + at.f_upper)
        g += at.g
        # of the part, and of the two sums
        g_error = (g_error + at.g_error + U * np.abs(g)) * (1.0 + 4.0 * U) + TINY
        largest = max(largest, at.score_error)
    low_l2, high_l2 = _l2_term(problem, w)
    ridge = problem.ridge * w if problem.l2 else 0.0
    g += ridge
    g_error += (8.0 * U) * (np.abs(ridge) + np.abs(g)) + TINY
    return Evaluated(
        f_lower=down(low + low_l2), f_upper=up(high + high_l2), g=g, g_error=g_error,
        curvature=np.empty(0), others=None, score_error=largest,
        relative=22.0 + problem.n_classes,
    )  # fmt: skip


def _scores(
    problem: Problem, rows: slice, X: Any, size: Any, weights: tuple[Array, Array]
) -> tuple[Any, Array]:
    """The scores of some rows, and for each row a bound on their errors; `weights` are w, |w|."""
    entries = X.shape[1] if isinstance(X, np.ndarray) else int(np.diff(X.indptr).max(initial=0))
    w, absolute = weights
    z, scale = (np.empty((rows.stop - rows.start, *problem.shape[1:])) for _ in range(2))
    forward(X, w, z)
    forward(size, absolute, scale)
    if problem.dropped is not None:
        z[problem.dropped[rows]] = -np.inf
        scale[problem.dropped[rows]] = 0.0
    if problem.softmax:
        scale = scale.max(axis=1)
    E = gamma(entries + 10.0) * scale + TINY * (entries + 1.0 + float(absolute.sum()))
    return z, np.asarray(E)


def scores_with_error(problem: Problem, w: Array) -> tuple[Array, Array]:
    """X w, and for each row a bound on the error of its scores, (n,)."""
    z, E = np.empty((problem.n, *problem.shape[1:])), np.empty(problem.n)
    for rows in spans(problem.X):
        X = arrays_of(problem.X, rows)
        z[rows], E[rows] = _scores(problem, rows, X, magnitudes(X), (w, np.abs(w)))
    return z, E


def _logistic(problem: Problem, rows: slice, z: Array) -> tuple[Array, ...]:
    """Losses, sigma(-m), residuals and second derivatives, each to a relative accuracy."""
    y = problem.y[rows]
    m = y * z
    e = np.exp(-np.abs(m))
    away = np.where(m > 0, e, 1.0) / (1.0 + e)
    return np.log1p(e) + np.maximum(-m, 0.0), away, -y * away, e / (1.0 + e) ** 2


def _softmax(problem: Problem, rows: slice, z: Array) -> tuple[Array, ...]:
    """Losses, 1 - q_y, residuals, q and 1 - q, each to a relative accuracy."""
    own = problem.labels.index[rows]
    line = np.arange(len(own))
    top = z.argmax(axis=1)
    t = z - z[line, top][:, None]
    e = np.exp(t)
    e[line, top] = 0.0
    rest = e.sum(axis=1)
    whole = 1.0 + rest
    loss = np.log1p(rest) - t[line, own]
    e[line, top] = 1.0
    q = e / whole[:, None]
    others = 1.0 - q  # no cancellation but for the largest
    others[line, top] = rest / whole
    e[line, own] = 0.0
    away = e.sum(axis=1) / whole
    R = q.copy()
    R[line, own] = -away
    return loss, away, R, q, others


def _mean(loss: Array, slack: Array, mean: float) -> tuple[float, float]:
    """Bounds on the mean of losses that are known within `slack`; weights are within u each."""
    value, count = total(loss)
    error = total_up(slack) + gamma(count + 6.0) * value
    low = max(0.0, (value - error) * (1.0 - 8.0 * U)) / mean
    return max(0.0, down(low)), up((value + error) * (1.0 + 8.0 * U) / mean)


def _l2_term(problem: Problem, w: Array) -> tuple[float, float]:
    """Bounds on (l2/2) ||w||^2, without the intercept."""
    if not problem.l2:
        return 0.0, 0.0
    root = math.sqrt(0.5 * problem.l2)  # the product below neither overflows nor underflows early
    low, high = norm_bounds(w[:-1] if problem.intercept else w)
    low, high = root * low, root * high
    return max(0.0, low * low * (1.0 - 16.0 * U) - TINY), up(high * high * (1.0 + 16.0 * U) + TINY)
