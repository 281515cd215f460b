"""How a problem keeps its data: dense or CSR by density, and blocks of rows without copies."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from dadapt_cli._typing import Matrix
from dadapt_cli.errors import DataError

DENSE_FROM = 0.25
"""Density from which a dense matrix is faster (measured, benchmarks/gradient.py)."""


def rows_of(X: Matrix, rows: slice) -> Matrix:
    """Some rows, of the same memory: a copy would not fit the cache beside the original."""
    if isinstance(X, np.ndarray) or rows == slice(0, X.shape[0]):
        return X[rows] if isinstance(X, np.ndarray) else X
    a, b = X.indptr[rows.start], X.indptr[rows.stop]
    part = sp.csr_array((rows.stop - rows.start, X.shape[1]), dtype=X.dtype)
    # Set, not given: the constructor copies views that are much smaller than what they view.
    part.data, part.indices = X.data[a:b], X.indices[a:b]
    part.indptr = X.indptr[rows.start : rows.stop + 1] - a
    return part


def stored(X: Matrix, bias: bool, dtype: np.dtype[Any]) -> Matrix:
    """The data as the products want it: dense from DENSE_FROM on, else CSR with int32 indices."""
    n, p = X.shape
    sparse = sp.issparse(X)
    if not sparse:
        X = np.ascontiguousarray(X, dtype)
    values = X.data if sparse else X
    # Squares must not overflow either: norms of rows and of the gradient are made of them.
    with np.errstate(over="ignore", invalid="ignore"):
        size = float(np.vdot(values, values))
    if not np.isfinite(size):
        raise DataError(
            "a value is not finite, or so large that its square overflows; scale the features"
        )
    entries = X.nnz if sparse else np.count_nonzero(X)
    if entries >= DENSE_FROM * n * p:
        dense = X.toarray() if sparse else X
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
