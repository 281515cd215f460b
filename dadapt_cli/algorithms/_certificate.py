r"""Bound C: a lower bound on D from function values, hyperplanes and co-coercivity.

For a convex f that is L-smooth, any points x_i, any weights w_i >= 0 and f_b the least f so far,

.. math:: f_b \ge f^* \ge f_i + \langle g_i, x^* - x_i\rangle + \|g_i\|_*^2/(2L).

Weighted and summed, with s = sum w_i g_i and <s, x_0 - x*> <= D ||s||_*,

.. math:: D \ge \frac{\sum_i w_i (f_i - f_b - \langle g_i, x_i - x_0\rangle
                + \|g_i\|_*^2/(2L))}{\|s\|_*} .

With L = infinity (nonsmooth f) the last term drops. The bound contains Option II of the paper,
which drops f_i - f_b as well, so d with it is nondecreasing, at most D and at least d-hat:
Theorems 1 to 3 ask for nothing else. Norm and dual norm are l2, or l-infinity and l1. Rounding
(:mod:`._rounding`) is taken off each term and added to ||s||.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._rounding import EPS, OUTWARD, Rounding
from dadapt_cli.algorithms._space import dot, norm, norm1


@dataclass(slots=True, kw_only=True)
class Certificate:
    """The sums of bound C over the points so far; f in its own units, weights as the caller's."""

    L: float  # smoothness in the norm, infinity where there is none
    f_best: float = math.inf  # f_b
    best_error: float = 0.0  # of f_b
    W: float = 0.0  # sum w_i
    total: float = 0.0  # sum w_i (f_i - <g_i, x_i - x_0> + ||g_i||^2/(2L))
    error: float = 0.0  # of the total
    own_s: Array | None = None  # sum w_i g_i, where the algorithm's s has other weights
    own_error: float = 0.0  # of own_s
    own_norm: float = 0.0  # ||own_s||
    inner: float = 0.0  # <g, x - x_0> at the last point

    def include(self, f: float, g: Array, move: Array, weight: float, at: Rounding) -> float:
        """Take in the point x = x_0 + `move`, where `at` is; return the bound from it alone."""
        size = at.size
        error = at.value + at.product + (2 * at.gradient + at.inner * size) * size / (2 * self.L)
        self.inner = dot(g, move)
        term = f - self.inner + size * size / (2 * self.L)
        if f < self.f_best:
            self.f_best, self.best_error = f, at.value
        self.W += weight
        self.total += weight * term
        self.error += weight * error + EPS * abs(self.total)
        left = term - self.f_best - OUTWARD * error - self.best_error
        return left / at.norm_of_s(size, at.gradient) if size > 0 else 0.0

    def bound(self, s_norm: float, s_error: float, at: Rounding) -> float:
        """The bound from all points, given ||s|| and the error of s."""
        if s_norm == 0:
            return 0.0
        rest = self.best_error + (at.steps + 4) * EPS * abs(self.f_best)
        left = self.total - self.W * self.f_best - OUTWARD * (self.error + self.W * rest)
        return left / at.norm_of_s(s_norm, s_error)

    def from_sum(self, g: Array, weight: float, at: Rounding) -> float:
        """The bound from all points, with an own s; call after :meth:`include`."""
        if self.own_s is None:
            self.own_s = np.zeros_like(g)
        self.own_s += weight * g
        self.own_error += weight * at.gradient + at.u * (4 * weight * at.size + self.own_norm)
        self.own_norm = norm1(self.own_s) if at.inf else norm(self.own_s)
        return self.bound(self.own_norm, self.own_error, at)
