r"""The Hessian of the mean loss on sampled rows.

With c_i the sample's weight times q_i (1 - q_i), two classes have :math:`\sum_i c_i x_i x_i'`, and
C classes, with W_i = q_i (x) x_i,

.. math:: \mathrm{blockdiag}_c\Bigl(\sum_i q_{ic} x_i x_i'\Bigr) - \sum_i W_i W_i' ,

unknowns in the order of the classes. At equal probabilities that is
(I - 11'/C)/C (x) sum_i x_i x_i': one (p, p) matrix.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import numpy as np

from dadapt_cli._typing import Array, Indices
from dadapt_cli.objective import Problem
from dadapt_cli.objective.blocks import rows_of, sparse

NUMBERS = 4_000_000
"""Entries of the rows that are made dense at once."""

PARTS = 4
"""Ranges of rows for threads, where products are long: fixed, so that the sums are too."""

LONG = 2e9
"""Multiplications from which the products count as long."""


def sampled(n: int, m: int, seed: int) -> Indices | slice:
    """m of n rows, increasing: one from each of m equal ranges, so a sorted file does no harm."""
    if m >= n:
        return slice(0, n)
    at = np.arange(m) + np.random.default_rng(seed).random(m)
    found: Indices = np.minimum(at * (n / m), n - 1).astype(np.intp)
    return found


def dense_rows(problem: Problem, rows: Indices | slice, scale: Array | None, dtype: type) -> Array:
    """Some rows of the data as an array of `dtype`, each column times its `scale`, if any."""
    X = rows_of(problem.X, rows) if isinstance(rows, slice) else problem.X[rows]
    # Scaled before the cast: what would overflow float32 may then fit.
    if isinstance(X, np.ndarray):
        scaled = X if scale is None else X * scale
        return np.asarray(scaled).astype(dtype, copy=False)
    values = X.data if scale is None else X.data * scale[X.indices]
    values = values.astype(dtype, copy=False)
    dense: Array = sparse().csr_array((values, X.indices, X.indptr), shape=X.shape).toarray()
    return dense


def gram(
    problem: Problem, rows: Indices | slice, c: Array, scale: Array | None, dtype: type
) -> Array:
    """sum c_i x_i x_i' over the rows, columns of X times `scale`, (p, p)."""
    root: Array = np.sqrt(c).astype(dtype)

    def part(some: Indices | slice, own: slice) -> Array:
        A = dense_rows(problem, some, scale, dtype)
        A = np.multiply(A, root[own, None], out=A if A.base is None else None)
        return A.T @ A

    return _summed(problem, rows, problem.p, part)


def softmax(problem: Problem, rows: Indices | slice, q: Array, scale: Array, dtype: type) -> Array:
    """The softmax Hessian summed over the rows, (C p, C p); q_i times sqrt(weight_i) is given.

    Parameters
    ----------
    q
        (m, C): probabilities, each row times the square root of its weight.
    """
    p, C = problem.p, problem.n_classes
    classes = np.arange(C)
    root = q.sum(axis=1).astype(dtype)  # of the weights: probabilities add up to 1
    q = q.astype(dtype)

    def part(some: Indices | slice, own: slice) -> Array:
        A = dense_rows(problem, some, scale, dtype)
        W = (q[own, :, None] * A[:, None, :]).reshape(len(A), C * p)
        H: Array = W.T @ W
        np.negative(H, out=H)
        A *= root[own, None]
        blocks = (A.T @ W).reshape(p, C, p)
        H.reshape(C, p, C, p)[classes, :, classes, :] += blocks.transpose(1, 0, 2)
        return H

    return _summed(problem, rows, C * p, part)


def _summed(
    problem: Problem,
    rows: Indices | slice,
    unknowns: int,
    part: Callable[[Indices | slice, slice], Array],
) -> Array:
    """The sum of `part` over ranges of the rows that fit in memory, some ranges in parallel."""
    m = rows.stop if isinstance(rows, slice) else len(rows)
    parts = PARTS if m * unknowns * unknowns >= LONG else 1
    count = max(parts, -(-m * unknowns // NUMBERS))
    if count == 1:
        return part(rows, slice(0, m))
    edges = np.linspace(0, m, min(count, m) + 1).astype(int).tolist()
    spans = [slice(a, b) for a, b in itertools.pairwise(edges)]
    firsts = np.linspace(0, len(spans), min(parts, len(spans)) + 1).astype(int).tolist()

    def total(own: list[slice]) -> Array:
        H: Array | None = None
        for span in own:
            more = part(span if isinstance(rows, slice) else rows[span], span)
            H = more if H is None else np.add(H, more, out=H)
        assert H is not None
        return H

    jobs = [partial(total, spans[a:b]) for a, b in itertools.pairwise(firsts)]
    H, *others = problem.in_threads(jobs)
    for more in others:
        H += more
    return H
