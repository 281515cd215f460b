"""Constants of a problem: smoothness L, gradient bounds G, and the certified start d0.

Each is computed with at most a few passes over the data. The smoothness constants are upper
bounds that hold for certain; power iteration, a lower bound, is never used. With sample weights
c_i, 1/n is 1/sum c and each sample's part is c_i times as large.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.errors import DataError
from dadapt_cli.objective import Problem
from dadapt_cli.objective.blocks import Csr, arrays_of, sparse
from dadapt_cli.objective.products import add_transposed, forward

COLLATZ_WIELANDT_ROUNDS = 3
"""Number of products with |X|'|X|; more of them gain less than a percent on non-negative data."""

CACHED = 50_000
"""Entries of a sparse matrix that are handled at once: their squares take 0.4 MB."""

SMALLEST, LARGEST = 1e-130, 1e130
"""Sizes whose squares, and the square of their product, stay far from underflow and overflow, also
once gradients have shrunk to their rounding."""


@dataclass(frozen=True)
class Smoothness:
    """An upper bound on the Lipschitz constant of the gradient, and where it comes from.

    Attributes
    ----------
    L
        ||grad f(v) - grad f(w)||_2 <= L ||v - w||_2, in units of f per squared weight.
    method
        ``frobenius`` or ``collatz-wielandt``, whichever is smaller.
    """

    L: float
    method: str


def magnitudes(X: Any) -> Any:
    """|X|, entry by entry; X itself when nothing is negative."""
    if isinstance(X, np.ndarray):
        return X if X.min(initial=0) >= 0 else np.abs(X)
    if isinstance(X, Csr):
        return X._replace(data=np.abs(X.data))
    if X.data.min(initial=0) >= 0:
        return X
    return sparse().csr_array((np.abs(X.data), X.indices, X.indptr), shape=X.shape)


def require_size(value: float, what: str) -> float:
    """Return `value`; raise DataError unless double precision can square it and products of it."""
    if SMALLEST <= value <= LARGEST:
        return value
    raise DataError(
        f"{what} is {value:.1e}, outside {SMALLEST:g} to {LARGEST:g}: double precision loses the "
        "squares of such numbers; scale the features (--scale), or choose an l2 of their size"
    )


def _curvature(problem: Problem) -> float:
    """Largest second derivative of one sample's loss: 1/4, softmax 1/2 (of diag(q) - q q')."""
    return 0.5 if problem.softmax else 0.25


def _scale(problem: Problem) -> Array | None:
    """The factor of each feature in the problem's metric, (p,); None for the identity."""
    return None if problem.metric_scale is None else problem.metric_scale.ravel().astype(np.float64)


def _ridge(problem: Problem) -> Any:
    """Curvature of the l2 term along each feature, in the problem's metric."""
    scale = _scale(problem)
    ridge = np.ravel(problem.ridge) if problem.intercept else problem.l2
    return ridge if scale is None else ridge * scale**2


def _counts(problem: Problem) -> Array:
    """How often each sample counts, (n,) float64."""
    if problem.sample_weight is None:
        return np.ones(problem.n)
    return problem.sample_weight.astype(np.float64)


def _mean(problem: Problem, values: Array) -> float:
    """The (weighted) mean of one number a sample."""
    if problem.sample_weight is None:
        return float(values.mean())
    return float(values @ _counts(problem)) / problem.n_mean


def _row_sums(problem: Problem, power: int) -> Array:
    """sum_j |x_ij|^power, power 1 or 2, for each row, in the problem's metric, float64."""
    X, scale = problem.X, _scale(problem)
    weights = np.ones(problem.p) if scale is None else scale**power
    if isinstance(X, np.ndarray):
        if power == 2 and scale is None:
            return np.asarray(np.einsum("ij,ij->i", X, X, dtype=np.float64))
        return np.asarray((np.abs(X.astype(np.float64)) ** power) @ weights)
    if scale is None and _only_ones(problem):
        return np.asarray(np.diff(X.indptr), np.float64)
    of = partial(np.square if power == 2 else np.abs, dtype=np.float64)
    sums = np.zeros(problem.n)
    for rows in _ranges(problem):
        forward(_with(arrays_of(X, rows), of), weights, sums[rows])
    return sums


def _ranges(problem: Problem) -> list[slice]:
    """Ranges of the rows of a sparse matrix whose values stay in the cache."""
    n = problem.n
    parts = max(1, min(n, problem.X.size // max(CACHED, 8 * problem.p)))
    return [slice(n * i // parts, n * (i + 1) // parts) for i in range(parts)]


def column_squares(problem: Problem) -> Array:
    """sum_i c_i x_ij^2 for each feature, in the user's variables, (p,) float64; computed once."""
    if problem.column_squares is None and problem.sums is not None:
        problem.column_squares = problem.sums.columns[2]
    if problem.column_squares is None:
        X = problem.X
        if isinstance(X, np.ndarray):
            squares = np.einsum("ij,ij->j", problem.weighted(X), X, dtype=np.float64)
        elif problem.sample_weight is None and _only_ones(problem):
            squares = _column_counts(problem)
        else:
            squares = _column_sums(problem, lambda x: np.square(x, dtype=np.float64))
        problem.column_squares = np.asarray(squares)
    return problem.column_squares


def column_entries(problem: Problem) -> Array:
    """How many entries of each feature are not zero, (p,) float64; each by its sample's weight."""
    X = problem.X
    if problem.sums is not None:
        return np.asarray(problem.sums.columns[0])
    if isinstance(X, np.ndarray):
        return np.asarray(_counts(problem) @ (X != 0))
    if problem.sample_weight is None and X.data.all():
        return _column_counts(problem)
    return _column_sums(problem, lambda x: (x != 0).astype(np.float64))


def _column_sums(problem: Problem, of: Callable[[Array], Array]) -> Array:
    """sum_i c_i of(x_ij) of a sparse matrix."""
    X, counts = problem.X, _counts(problem)
    total = np.zeros(problem.p)
    for rows in _ranges(problem):
        add_transposed(_with(arrays_of(X, rows), of), counts[rows], total)
    return total


def most_in_a_column(problem: Problem) -> int:
    """Stored entries of the fullest column."""
    X = problem.X
    if problem.sums is not None:
        return int(problem.sums.longest_column(problem.n))
    if isinstance(X, np.ndarray):
        return problem.n
    return int(_column_counts(problem).max())


def _only_ones(problem: Problem) -> bool:
    """Whether a sparse matrix stores nothing but ones, as one-hot data do: sums are then counts."""
    values = problem.X.data
    return bool((values[:1000] == 1).all()) and bool((values == 1).all())


def _column_counts(problem: Problem) -> Array:
    """Stored entries of each column of a sparse matrix, (p,) float64; computed once."""
    if problem.column_counts is None:
        problem.column_counts = np.zeros(problem.p)
        ranges = [arrays_of(problem.X, rows) for rows in _ranges(problem)]
        ones = np.ones(max(max(part.data.size, part.shape[0]) for part in ranges))
        for part in ranges:
            ones_of = part._replace(data=ones[: part.data.size])
            add_transposed(ones_of, ones[: part.shape[0]], problem.column_counts)
    return problem.column_counts


def _with(part: Csr, of: Callable[[Array], Array]) -> Csr:
    """The same pattern with the values of(x)."""
    return part._replace(data=of(part.data))


def sum_of_squares(problem: Problem) -> float:
    """sum_ij x_ij^2, in the user's variables, without the samples' weights; computed once."""
    if problem.sum_of_squares is None:
        values = (problem.X if isinstance(problem.X, np.ndarray) else problem.X.data).ravel()
        values = values.astype(np.float64, copy=False)
        problem.sum_of_squares = float(np.dot(values, values))
    return problem.sum_of_squares


def frobenius(problem: Problem) -> float:
    """c ||X||_F^2/n + l2 in the problem's metric: an upper bound on L that costs no product."""
    c, scale = _curvature(problem) / problem.n_mean, _scale(problem)
    if scale is None and problem.sample_weight is None and problem.sums is None:
        total = sum_of_squares(problem)
        total *= 1.0 + problem.X.size * float(np.finfo(float).eps)
    else:
        total = float(np.sum(column_squares(problem) * (1.0 if scale is None else scale**2)))
    return (c * total + float(np.max(_ridge(problem)))) * _rounding(problem)


def _rounding(problem: Problem) -> float:
    """Factor that covers the rounding of sums of at most n + p non-negative terms, and of each."""
    return 1.0 + (problem.n + problem.p + 8) * float(np.finfo(problem.dtype).eps)


def smoothness(problem: Problem) -> Smoothness:
    r"""Upper bound L on the smoothness of f, in the problem's metric.

    The Hessian is at most c X'X/n + l2 I with c = 1/4 (softmax 1/2). Its largest eigenvalue is
    bounded by the Frobenius norm, c ||X||_F^2/n + l2, and for every v > 0 by Collatz-Wielandt,
    max_j (M v)_j / v_j with M = c |X|'|X|/n + l2 I. Both are valid whatever the rounding of v;
    the rounding of the sums themselves (n + p non-negative terms) is added. In a metric, X and
    the l2 term have the features' factors.
    """
    c = _curvature(problem) / problem.n_mean
    scale, ridge = _scale(problem), _ridge(problem)
    from_norm = frobenius(problem)
    if problem.sums is not None:
        product = problem.sums.magnitude
    else:
        size = magnitudes(problem.X)

        def product(w: Array) -> Array:
            return np.asarray(size.T @ problem.weighted(size @ w), np.float64)

    v: Any = np.ones(problem.p)
    bound = math.inf
    for _ in range(COLLATZ_WIELANDT_ROUNDS):
        used = v > 0  # a column of zeros has only the l2 term, which no bound falls below
        w = v if scale is None else scale * v
        Mv = c * product(w) * (1.0 if scale is None else scale) + ridge * v
        bound = min(bound, float(np.max(Mv[used] / v[used], initial=float(np.max(ridge)))))
        v = Mv / max(float(Mv.max()), np.finfo(float).tiny)
    bound *= _rounding(problem)
    if bound < from_norm:
        return Smoothness(bound, "collatz-wielandt")
    return Smoothness(from_norm, "frobenius")


def smoothness_inf(problem: Problem) -> float:
    """L_inf with ||grad f(v) - grad f(w)||_1 <= L_inf ||v - w||_inf, in the problem's metric.

    mean_i ||x_i||_1^2/4 + l2 p, since a sample's loss has second derivative 1/4 in a score that
    moves by at most ||x_i||_1; softmax without the 1/4 (the scores of two classes may move apart
    by twice that) and l2 p C.
    """
    if problem.sums is not None:
        mean_square = float(problem.sums.rows(_scale(problem))[2])
    else:
        mean_square = _mean(problem, _row_sums(problem, 1) ** 2)
    smooth = (1.0 if problem.softmax else 0.25) * mean_square
    ridge = float(np.broadcast_to(_ridge(problem), (problem.p,)).sum())
    return (smooth + ridge * (problem.n_classes if problem.softmax else 1)) * _rounding(problem)


def lipschitz(problem: Problem) -> float:
    """G: a Lipschitz constant of the mean loss, mean_i ||x_i||_2, softmax sqrt(2) times that.

    With l2 > 0, f as a whole is Lipschitz on no unbounded set and G bounds the loss term only.
    """
    if problem.sums is not None:
        mean = float(problem.sums.rows(_scale(problem))[0])
    else:
        mean = _mean(problem, np.sqrt(_row_sums(problem, 2)))
    return math.sqrt(2.0) * mean if problem.softmax else mean


def lipschitz_inf(problem: Problem) -> float:
    """A Lipschitz constant of the mean loss in the l-infinity norm: mean_i ||x_i||_1.

    Twice that for softmax, where the scores of two classes may move apart.
    """
    if problem.sums is not None:
        mean = float(problem.sums.rows(_scale(problem))[1])
    else:
        mean = _mean(problem, _row_sums(problem, 1))
    return (2.0 if problem.softmax else 1.0) * mean


def lipschitz_coordinates(problem: Problem) -> Array:
    """Bounds on |g_j|: mean_i |x_ij|, in the shape of the weights (the same for each class)."""
    scale = _scale(problem)
    if problem.sums is not None:
        mean = problem.sums.columns[1] / problem.n_mean
    else:
        counts = problem.weighted(np.ones(problem.n, problem.dtype))
        mean = np.asarray(magnitudes(problem.X).T @ counts, np.float64) / problem.n_mean
    if scale is not None:
        mean *= scale
    return np.repeat(mean[:, None], problem.n_classes, axis=1) if problem.softmax else mean


def _down(norm: float, a: Array) -> float:
    """A norm of `a`, less what rounding in its float64 sum, and in a quotient, may have added."""
    return norm * (1.0 - (a.size + 4) * float(np.finfo(float).eps))


def certified_start(
    problem: Problem, g0: Array, error: float = 0.0, L: float | None = None
) -> float:
    """d0 = ||g_0||_2/L <= D: the gradient must fall from ||g_0|| to 0 within the distance D.

    `error` bounds what rounding has done to g_0 in that norm: it is taken off, and 0 where it is
    all there is.
    """
    L = smoothness(problem).L if L is None else L
    return max(0.0, _down(float(np.linalg.norm(g0.astype(np.float64))), g0) - error) / L


def certified_start_inf(
    problem: Problem, g0: Array, error: float = 0.0, L: float | None = None
) -> float:
    r"""A lower bound on D_inf = ||x_0 - x*||_inf, in the same way.

    ||g_0||_1 <= L_inf D_inf (:func:`smoothness_inf`); and for two classes, entry by entry,
    |g_0j| <= D_inf sum_i |H_ji| <= D_inf ((|X|'|X| 1)_j/(4 n) + l2). The larger bound is taken.
    `error` bounds what rounding has done to g_0, in the l1 norm.
    """
    size = np.abs(g0.astype(np.float64))
    L = smoothness_inf(problem) if L is None else L
    bound = max(0.0, _down(float(size.sum()), g0) - error) / L
    size = np.maximum(0.0, size - error)
    if not problem.softmax:
        scale = _scale(problem)
        if problem.sums is not None:
            row = problem.sums.magnitude(np.ones(problem.p) if scale is None else scale)
        else:
            sums = problem.weighted(_row_sums(problem, 1))
            row = np.asarray(magnitudes(problem.X).T @ sums, np.float64)
        row = row / (4.0 * problem.n_mean)
        row = row + _ridge(problem) if scale is None else scale * row + _ridge(problem)
        ratios = np.divide(size, row * _rounding(problem), out=np.zeros_like(size), where=row > 0)
        bound = max(bound, float(ratios.max()))
    return bound
