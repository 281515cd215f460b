"""How a problem keeps its data: dense or CSR by density, in blocks of rows without copies."""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np

from dadapt_cli._typing import Array, Mask, Matrix
from dadapt_cli.errors import DataError
from dadapt_cli.objective.losses import Logistic, Softmax

DENSE_FROM = 0.25
"""Density from which a dense matrix is faster (measured, benchmarks/gradient.py)."""

THREADS_FROM = 500_000
"""Stored entries times classes from which a second thread gains (measured, ditto)."""

BLOCK = 250_000
"""Least such entries in a block of rows; the number of blocks doubles with the work."""

MOST_BLOCKS = 16


def sparse() -> Any:
    """SciPy's sparse module, imported only where it is needed: names and help do without it."""
    import scipy.sparse

    return scipy.sparse


def rows_of(X: Matrix, rows: slice) -> Matrix:
    """Some rows, sharing the memory: a copy would not fit the cache beside the original."""
    if isinstance(X, np.ndarray) or rows == slice(0, X.shape[0]):
        return X[rows] if isinstance(X, np.ndarray) else X
    part = sparse().csr_array((rows.stop - rows.start, X.shape[1]), dtype=X.dtype)
    # Set as attributes: the constructor copies views that are much smaller than what they view.
    _, part.data, part.indices, part.indptr = arrays_of(X, rows)
    return part


class Csr(NamedTuple):
    """The arrays of a compressed sparse matrix, for :mod:`.products`.

    An object of SciPy's class takes as long to make as a block's product.
    """

    shape: tuple[int, int]
    data: Array
    indices: Any
    indptr: Any


def arrays_of(X: Matrix, rows: slice) -> Any:
    """Some rows for the products, an array or :class:`Csr`, sharing the memory of X."""
    if isinstance(X, np.ndarray):
        return X[rows]
    if rows == slice(0, X.shape[0]):
        return Csr(X.shape, X.data, X.indices, X.indptr)
    a, b = X.indptr[rows.start], X.indptr[rows.stop]
    shape = (rows.stop - rows.start, X.shape[1])
    return Csr(shape, X.data[a:b], X.indices[a:b], X.indptr[rows.start : rows.stop + 1] - a)


def transposed(X: Matrix) -> Matrix:
    """X', sharing the memory. SciPy's own copies the arrays of a block: they are views."""
    if isinstance(X, np.ndarray):
        return X.T
    other = sparse().csc_array(X.shape[::-1], dtype=X.dtype)
    other.data, other.indices, other.indptr = X.data, X.indices, X.indptr
    return other


def stored(X: Matrix, bias: bool, dtype: np.dtype[Any]) -> Matrix:
    """The data as the products need them: dense from DENSE_FROM on, else CSR with int32 indices."""
    n, p = X.shape
    sp = sparse()
    is_sparse = sp.issparse(X)
    if not is_sparse:
        X = np.ascontiguousarray(X, dtype)
    values = X.data if is_sparse else X
    # Squares must not overflow either: norms of rows and of the gradient are made of them.
    with np.errstate(over="ignore", invalid="ignore"):
        size = float(np.vdot(values, values))
    if not np.isfinite(size):
        raise DataError(
            "a value is not finite, or so large that its square overflows; scale the features"
        )
    entries = X.nnz if is_sparse else np.count_nonzero(X)
    if entries >= DENSE_FROM * n * p:
        dense = X.toarray() if is_sparse else X
        if bias:
            dense = np.hstack([dense, np.ones((n, 1))])
        return np.ascontiguousarray(dense, dtype)
    X = sp.csr_array(X, dtype=dtype)
    if bias:
        X = sp.csr_array(sp.hstack([X, np.ones((n, 1), dtype)], format="csr"))
    if max(X.nnz, *X.shape) < 2**31 and X.indices.dtype != np.int32:
        X = sp.csr_array(
            (X.data, X.indices.astype(np.int32), X.indptr.astype(np.int32)), shape=X.shape
        )
    return X


def row_blocks(X: Matrix, entries: int, columns: int) -> list[slice]:
    """Slices of equal work, the same for any number of threads; one for a small problem.

    Parameters
    ----------
    entries
        Stored in X, n x p.
    columns
        Columns of the weights: 1, or the number of classes.
    """
    n, p = X.shape
    work = entries * columns
    least = max(BLOCK, 16 * p * columns)  # each block makes a gradient of its own
    if isinstance(X, np.ndarray) or work < max(THREADS_FROM, least):
        return [slice(0, n)]  # BLAS shares dense products among its own threads
    parts = min(MOST_BLOCKS, 2 ** int(math.log2(work / least)))
    wanted = np.linspace(0, entries, parts + 1)[1:-1]
    edges = np.unique([0, *np.searchsorted(X.indptr, wanted).tolist(), n]).tolist()
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


class Block:
    """Some consecutive rows of the data and the work space for them."""

    def __init__(
        self,
        rows: slice,
        X: Matrix,
        link: Logistic | Softmax,
        scores: Array,
        dropped: Mask | None,
    ) -> None:
        self.rows = rows
        self.X = X
        self.XT = transposed(X)
        self.link = link
        self.scores = scores
        self.dropped = dropped
        self.residual = np.empty_like(scores)

    def forward(self, w: Array) -> None:
        """Compute the scores."""
        if not w.any():
            self.scores[...] = 0.0
        elif isinstance(self.X, np.ndarray):
            np.matmul(self.X, w, out=self.scores)
        else:
            self.scores[...] = self.X @ w
        if self.dropped is not None:
            self.scores[self.dropped] = -np.inf

    def loss(self, scores: Array) -> float:
        """Sum of the losses at the block's rows; leaves the mean's derivatives in `residual`."""
        return self.link(scores, self.residual)

    def all(self, w: Array) -> tuple[float, Array]:
        """Sum of the losses, and the gradient of the block's part of the mean."""
        self.forward(w)
        loss = self.loss(self.scores)
        return loss, self.XT @ self.residual

    def transposed(self, residual: Array) -> Array:
        """X' residual, of the block's rows."""
        product: Array = self.XT @ residual[self.rows]
        return product
