"""The Hessian of the mean loss, in dense blocks of rows where these are faster than sparse ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from dadapt_cli._typing import Array, Matrix
from dadapt_cli.objective import Problem
from dadapt_cli.reference.evaluation import chunks

DENSE_BLOCK = 2**22
"""Numbers in a block of rows that is made dense."""

SPARSE_MULTIPLY = 4e-9
"""Seconds for a product of two stored entries in a sparse X'X, on one thread: 2.2e-9 on mnist.t,
4.8e-9 on a9a, 1.2e-8 on w8a, whose rows are of unequal length."""

DENSE_MULTIPLY = 4e-11
"""Seconds for a multiplication in a dense X'X: 2.5e-11 on mnist.t, 4.9e-11 on a9a."""


def second_derivatives(problem: Problem, scores: Array) -> tuple[Array, Array | None]:
    """Binary: sigma(1 - sigma) of each sample; softmax: the probabilities q, and 1 - q."""
    residual = problem.unweighted(problem.residuals(scores) * problem.n_mean)
    if problem.softmax:
        residual[np.arange(problem.n), problem.labels.index] += 1.0
        return residual, 1.0 - residual
    positive = np.abs(residual)  # sigma(-m)
    return positive * (1.0 - positive), None


def loss_hessian(problem: Problem, X: Matrix, curvature: Array, others: Array | None) -> Array:
    """Hessian of the sum of the losses, (unknowns, unknowns) in the weights' row-major order.

    Parameters
    ----------
    problem
        Of which the sample weights are taken.
    X
        Its data, or those with scaled columns.
    curvature, others
        As :func:`second_derivatives` has them.
    """
    if others is None:
        return gram(X, problem.weighted(curvature)[:, None], [(0, 0)])[0]
    p, C = X.shape[1], problem.n_classes
    pairs = [(a, b) for a in range(C) for b in range(a + 1)]
    H = np.empty((p, C, p, C))
    # As many products at once as do not take more memory than the result.
    step = max(1, C)
    for begin in range(0, len(pairs), step):
        some = pairs[begin : begin + step]
        weights = np.stack(
            [curvature[:, a] * (others[:, a] if a == b else -curvature[:, b]) for a, b in some],
            axis=1,
        )
        for (a, b), block in zip(some, gram(X, problem.weighted(weights), some), strict=True):
            H[:, a, :, b] = block
            H[:, b, :, a] = block
    return H.reshape(p * C, p * C)


def _costs(X: Matrix) -> tuple[float, float]:
    """Seconds for X'X of sparse products, and of dense ones."""
    n, p = X.shape
    entries = X.nnz if sp.issparse(X) else n * p
    return SPARSE_MULTIPLY * entries * (entries / max(1, n)), DENSE_MULTIPLY * n * p * p


def gram_seconds(X: Matrix) -> float:
    """About how long X'X takes."""
    sparse, dense = _costs(X)
    return min(sparse, dense) if sp.issparse(X) else dense


def dense_pays(X: Matrix) -> bool:
    """Whether X'X of sparse X is faster from dense blocks."""
    sparse, dense = _costs(X)
    return dense <= sparse


def gram(X: Matrix, weights: Array, pairs: list[Any]) -> list[Array]:
    """X' diag(weights[:, i]) X for each of `pairs`, dense (p, p); summed in :func:`chunks`."""
    p = X.shape[1]
    sums = [np.zeros((p, p)) for _ in pairs]
    sparse = sp.issparse(X)
    dense = not sparse or dense_pays(X)
    for rows, part in chunks(X):
        length = rows.stop - rows.start
        step = max(1, DENSE_BLOCK // max(1, p)) if sparse and dense else length
        for begin in range(0, length, step):
            some = part[begin : begin + step] if step < length else part
            block: Any = some.toarray() if sparse and dense else some
            own = weights[rows][begin : begin + step]
            for i, summed in enumerate(sums):
                _add_gram(summed, block, own[:, i])
    return sums


def _add_gram(summed: Array, X: Any, weights: Array) -> None:
    """Add X' diag(weights) X; all weights have the same sign."""
    if sp.issparse(X):
        scaled = sp.csr_array(
            (X.data * np.repeat(weights, np.diff(X.indptr)), X.indices, X.indptr), shape=X.shape
        )
        summed += (X.T @ scaled).toarray()
        return
    rooted = X * np.sqrt(np.abs(weights))[:, None]
    product = rooted.T @ rooted  # one array with itself: BLAS computes half of it
    if weights.min(initial=0.0) < 0:
        summed -= product
    else:
        summed += product


def full_hessian(problem: Problem, scores: Array) -> Array:
    """The Hessian of the objective at given scores, for a solver: its rounding is not bounded."""
    H = loss_hessian(problem, problem.X, *second_derivatives(problem, scores)) / problem.n_mean
    H[np.diag_indices_from(H)] += np.broadcast_to(problem.ridge, problem.shape).ravel()
    return H
