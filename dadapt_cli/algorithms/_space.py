"""Inner products, norms and the ratchet, as every listing uses them.

One run has arrays of shape (p,) or (p, C), and its scalars are floats. Many replicas at once have
arrays of shape (S, p, C, L): S seeds, L settings that share each seed's batches. The parameter
axes p and C are reduced, the replica axes stay, so a scalar is a float64 array (S, 1, 1, L). C
stands before L because the softmax then reduces over C with L x batch numbers in a row.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.errors import NumericalError

Scalar: TypeAlias = Any
"""A float, or one float64 for each replica: shape (S, 1, 1, L)."""

DOUBLE = np.dtype(np.float64)
"""The usual dtype, to test with ``is``: comparing takes longer than a small problem's product."""

REPLICAS = 4
"""Number of axes of the arrays of many replicas."""


LONGEST_FLOAT32_SUM = 1024
"""Most features that replicas may sum in float32 for float32 arrays: error 1e-6 at worst."""


@cache
def _ones(size: int, dtype: np.dtype[Any]) -> Array:
    return np.ones((1, size), dtype)


def total(a: Array) -> Scalar:
    """Sum over all parameters, in float64; replicas first sum over p in the array's precision."""
    if a.ndim != REPLICAS:
        return float(np.add.reduce(a, axis=None, dtype=np.float64))
    S, p, C, L = a.shape
    if p > LONGEST_FLOAT32_SUM:
        a = a.astype(np.float64, copy=False)
    sums = (_ones(p, a.dtype) @ a.reshape(S, p, C * L)).reshape(S, C, L)  # one pass, vectorised
    return np.add.reduce(sums, axis=1, dtype=np.float64).reshape(S, 1, 1, L)


def dot(a: Array, b: Array) -> Scalar:
    """<a, b> over all parameters, multiplied and summed in float64 whatever the arrays are."""
    if a.ndim == REPLICAS:
        return total(np.multiply(a, b, dtype=np.float64))
    if a.dtype is DOUBLE:
        return float(a.ravel().dot(b.ravel()))  # half the time of vdot's call for small arrays
    return float(np.dot(a.ravel().astype(np.float64), b.ravel().astype(np.float64)))


def norm(a: Array) -> Scalar:
    """||a||_2."""
    return np.sqrt(dot(a, a)) if a.ndim == REPLICAS else math.sqrt(dot(a, a))


def norm1(a: Array, *, out: Array | None = None) -> Scalar:
    """||a||_1, summed as :func:`total` does; `out` takes the magnitudes."""
    return total(np.abs(a, out=out))


def times(scalar: Scalar, a: Array, *, out: Array | None = None) -> Array:
    """scalar * a in the array's own dtype; each replica by its own scalar."""
    if not isinstance(scalar, np.ndarray):
        return np.multiply(a, float(scalar), out=out)
    S, p, C, L = a.shape
    row = np.empty((S, 1, C, L), a.dtype)  # long rows: broadcasting over the last L alone is slow
    row[...] = scalar
    view = None if out is None else out.reshape(S, p, C * L)
    product = np.multiply(a.reshape(S, p, C * L), row.reshape(S, 1, C * L), out=view)
    return product.reshape(a.shape)


def first(old: Scalar, new: Scalar) -> Scalar:
    """The old value, or the new one where the old one is still 0."""
    return np.where(old, old, new) if isinstance(new, np.ndarray) else old or new


def settled(scalar: Scalar) -> bool:
    """Whether the scalar is nowhere 0."""
    return bool(scalar.all()) if isinstance(scalar, np.ndarray) else bool(scalar)


def ratio(a: Scalar, b: Scalar) -> Scalar:
    """a/b, and 0 where b = 0: nothing has been seen yet, so nothing is known."""
    if isinstance(b, np.ndarray):
        return np.divide(a, b, out=np.zeros(np.broadcast(a, b).shape), where=b != 0.0)
    return a / b if b else 0.0 * a


def ratchet(d: Scalar, d_hat: Scalar) -> Scalar:
    """max(d, d_hat); an estimate that is NaN is an error, never hidden by max()."""
    if isinstance(d_hat, np.ndarray):
        if not np.isfinite(d_hat).all():
            raise NumericalError("d_hat is not finite in one of the replicas")
        return np.maximum(d, d_hat)
    if not math.isfinite(d_hat):
        raise NumericalError(f"d_hat is {d_hat}")
    return max(d, d_hat)
