"""Products with the data, into arrays that are reused.

A fresh array of megabytes costs page faults, and SciPy's ``X @ d`` some 15 us besides the product,
as much as the product of a small problem (measured, benchmarks/solve.py). So its kernels, the
same that ``@`` calls, are called directly.

Where there is one weight more than X has columns, it is that of a constant feature 1, which
packed data do not store.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from dadapt_cli._typing import Array, Matrix


@cache
def _kernels() -> Any:
    from scipy.sparse import _sparsetools

    return _sparsetools


def forward(X: Matrix, d: Array, out: Array) -> None:
    """Make `out`, (n,) or (n, C) and contiguous, X d; all are of one dtype."""
    if isinstance(X, np.ndarray):
        np.matmul(X, d, out=out)
        return
    n, p = X.shape
    out[...] = d[-1] if len(d) > p else 0.0
    if d.ndim == 1:
        _kernels().csr_matvec(n, p, X.indptr, X.indices, X.data, d, out)
    else:
        flat = np.ascontiguousarray(d).reshape(-1)
        _kernels().csr_matvecs(n, p, d.shape[1], X.indptr, X.indices, X.data, flat, out.reshape(-1))


def add_transposed(X: Matrix, r: Array, out: Array) -> None:
    """Add X' r to `out`, (p,) or (p, C) and contiguous; all are of one dtype."""
    if isinstance(X, np.ndarray):
        out += X.T @ r
        return
    n, p = X.shape
    r = np.ascontiguousarray(r)
    if len(out) > p:
        out[-1] += r.sum(axis=0)
    if r.ndim == 1:
        _kernels().csc_matvec(p, n, X.indptr, X.indices, X.data, r, out)
    else:
        C = r.shape[1]
        _kernels().csc_matvecs(p, n, C, X.indptr, X.indices, X.data, r.reshape(-1), out.reshape(-1))
