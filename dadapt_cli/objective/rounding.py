r"""Bounds on what rounding does.

After Higham, Accuracy and Stability of Numerical Algorithms, chapter 3. With u = 2^-53 a sum or
inner product of k terms, in any order and with or without fused operations, has an error of at
most gamma_k = k u/(1 - k u) times the sum of the terms' absolute values, plus TINY for each product
that underflows. Ends of intervals are rounded outward by ``nextafter``; vectors are scaled by
powers of two, which rounds nothing, before they are squared.
"""

from __future__ import annotations

import math

import numpy as np

from dadapt_cli._typing import Array

U = 2.0**-53
"""Unit roundoff of float64."""

TINY = 2.0**-1022
"""Bound on any rounding below the normal range, also where such numbers are flushed to 0."""

LEAST = 2.0**-1074
"""The smallest positive number."""

LARGEST = float(np.finfo(np.float64).max)

EXACT_SUM = 200_000
"""Terms up to which ``math.fsum`` adds; beyond, sums of 16 terms, of 16 such sums, and so on."""


def gamma(k: float) -> float:
    """Upper bound on k u/(1 - k u), for k far below 1/u."""
    return k * U * (1.0 + 1e-6) if k < 1e9 else math.inf


def up(x: float) -> float:
    """The next larger number: what a rounded result is at most."""
    return math.nextafter(x, math.inf)


def down(x: float) -> float:
    """The next smaller number: what a rounded result is at least."""
    return math.nextafter(x, -math.inf)


def total(values: Array) -> tuple[float, float]:
    """The sum of a vector, and k: its error is at most gamma(k) times the sum of |values|."""
    if values.size <= EXACT_SUM:
        try:
            return math.fsum(values.tolist()), 2.0
        except (OverflowError, ValueError):  # beyond the largest number, or inf - inf
            return math.nan, 2.0
    count = 0
    while values.size > 16:
        values = np.append(values, np.zeros(-values.size % 16)).reshape(-1, 16).sum(axis=1)
        count += 16
    return float(values.sum()), count + 16.0


def total_up(values: Array) -> float:
    """Upper bound on the sum of non-negative numbers; their error is relative, so in any order."""
    return up(float(values.sum()) * (1.0 + 2.0 * gamma(values.size)))


def norm_bounds(v: Array) -> tuple[float, float]:
    """Lower and upper bound on ||v||_2, without overflow and underflow on the way."""
    flat = np.ravel(v)
    largest = float(np.abs(flat).max(initial=0.0))
    if largest == 0.0 or not math.isfinite(largest):
        return largest, largest
    exponent = math.frexp(largest)[1]
    scaled = np.ldexp(flat, -exponent)
    square, count = total(scaled * scaled)
    error = gamma(count + 4.0)
    try:
        low = math.ldexp(math.sqrt(square) * (1.0 - error), exponent)
    except OverflowError:
        low = LARGEST
    try:
        high = math.ldexp(math.sqrt(square + flat.size * TINY) * (1.0 + error), exponent)
    except OverflowError:
        high = math.inf
    return max(0.0, down(low)), up(high)


def norm_up(v: Array) -> float:
    """Upper bound on ||v||_2."""
    return norm_bounds(v)[1]
