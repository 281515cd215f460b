"""Features, or rows, divided by their size: never shifted, so that zeros stay zeros.

The model is then the same whether data are stored sparse or dense.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
import scipy.sparse as sp

from dadapt_cli._typing import Array, Matrix, Scale

SCALES: tuple[Scale, ...] = get_args(Scale)


@dataclass(frozen=True)
class Scaling:
    """What was done to the features before the fit.

    Attributes
    ----------
    kind
        ``none``; ``minmax``: each feature divided by its largest magnitude, ``standard``: by its
        standard deviation; ``unit``: each row divided by its l2 norm.
    divisors
        One a feature, shape (p,), positive; None for ``none`` and ``unit``.
    """

    kind: str = "none"
    divisors: Array | None = None

    def apply(self, X: Matrix) -> Matrix:
        """Return the scaled data, float64; `X` itself for ``none``. CSR or dense, (n, p)."""
        if self.kind == "none":
            return X
        if not sp.issparse(X):
            return X / (_norms(X)[:, None] if self.divisors is None else self.divisors)
        X = sp.csr_array(X)
        if self.divisors is None:
            each = np.repeat(_norms(X), np.diff(X.indptr))
        else:
            each = self.divisors[X.indices]
        return sp.csr_array((X.data / each, X.indices, X.indptr), shape=X.shape)

    def raw(self, w: Array) -> Array:
        """Weights for features as they are, from those for divided ones; the bias stays.

        `w` has shape (p,) or (p, C), or one row more for a bias; ``unit`` has no such weights.
        """
        if self.divisors is None:
            return w
        out = w.copy()
        out[: len(self.divisors)] = (w[: len(self.divisors)].T / self.divisors).T
        return out


def fitted(kind: str, X: Matrix, weights: Array | None) -> Scaling:
    """The scaling of training data, whose samples may have weights, (n,)."""
    if kind in ("none", "unit"):
        return Scaling(kind)
    sparse = sp.csr_array(X).astype(np.float64)  # p is small compared to n: one form is enough
    if kind == "minmax":
        size = np.asarray(np.abs(sparse).max(axis=0).toarray()).ravel()
        return Scaling(kind, np.where(size > 0, size, 1.0))
    c = np.ones(sparse.shape[0]) if weights is None else weights
    total, p = float(c.sum()), sparse.shape[1]
    mean = np.asarray(sparse.T @ c) / total
    each = np.repeat(c, np.diff(sparse.indptr))
    squares = np.bincount(
        sparse.indices, weights=each * (sparse.data - mean[sparse.indices]) ** 2, minlength=p
    )
    stored = np.bincount(sparse.indices, weights=each, minlength=p)
    deviation = np.sqrt((squares + np.maximum(total - stored, 0.0) * mean**2) / total)
    constant = deviation <= 10 * np.finfo(float).eps * np.abs(mean)
    return Scaling(kind, np.where(constant, 1.0, deviation))


def _norms(X: Matrix) -> Array:
    """l2 norm of each row, 1 for rows of zeros, (n,)."""
    squares = X.multiply(X) if sp.issparse(X) else np.square(X, dtype=np.float64)
    norms = np.sqrt(np.asarray(squares.sum(axis=1), np.float64).ravel())
    return np.where(norms > 0, norms, 1.0)
