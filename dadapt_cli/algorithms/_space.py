"""Inner products, norms and the ratchet, as every listing uses them."""

from __future__ import annotations

import math

import numpy as np

from dadapt_cli.arrays import Array
from dadapt_cli.errors import NumericalError


def dot(a: Array, b: Array) -> float:
    """<a, b> over all entries, summed in float64 whatever the arrays are."""
    if a.dtype == np.float64:
        return float(np.dot(a.ravel(), b.ravel()))
    return float(np.dot(a.ravel().astype(np.float64), b.ravel().astype(np.float64)))


def norm(a: Array) -> float:
    """||a||_2."""
    return math.sqrt(dot(a, a))


def norm1(a: Array) -> float:
    """||a||_1, summed in float64."""
    return float(np.abs(a).sum(dtype=np.float64))


def ratchet(d: float, d_hat: float) -> float:
    """max(d, d_hat); an estimate that is no number is an error, never swallowed by max()."""
    if not math.isfinite(d_hat):
        raise NumericalError(f"d_hat is {d_hat}")
    return max(d, d_hat)
