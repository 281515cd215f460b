r"""Bound C: a lower bound on D from function values, hyperplanes and co-coercivity.

For a convex f that is L-smooth, any points x_i, any weights w_i >= 0 and f_b the least f so far,

.. math:: f_b \ge f^* \ge f_i + \langle g_i, x^* - x_i\rangle + \|g_i\|_*^2/(2L).

Weighted and summed, with s = sum w_i g_i and <s, x_0 - x*> <= D ||s||_*,

.. math:: D \ge \frac{\sum_i w_i (f_i - f_b - \langle g_i, x_i - x_0\rangle
                + \|g_i\|_*^2/(2L))}{\|s\|_*} .

With L = infinity (nonsmooth f) the last term drops. The bound contains Option II of the paper,
which drops f_i - f_b as well, so d with it is nondecreasing, at most D and at least d-hat:
Theorems 1 to 3 ask for nothing else. Norm and dual norm are l2, or l-infinity and l1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._space import dot, norm, norm1

GUARD = 9.0
"""Rounding units, of |f| + ||x - x_0|| ||g_0||, taken off each term: the rounding of f and of
<g, x - x_0>. Measured, not proved: without it d/D reaches 1.74 once ||g|| is 1e-15."""


@dataclass(slots=True, kw_only=True)
class Certificate:
    """The sums of bound C over the points so far; f in its own units, weights as the caller's."""

    L: float  # smoothness in the norm, infinity where there is none
    inf: bool = False  # distances in the l-infinity norm, gradients in l1
    f_best: float = math.inf  # f_b
    W: float = 0.0  # sum w_i
    total: float = 0.0  # sum w_i (f_i - <g_i, x_i - x_0> + ||g_i||^2/(2L))
    error: float = 0.0  # sum w_i guard_i
    g0_norm: float = 0.0  # ||g_0||
    own_s: Array | None = None  # sum w_i g_i, where the algorithm's s has other weights

    def include(self, f: float, g: Array, move: Array, weight: float) -> float:
        """Take in the point x = x_0 + `move`; return the bound from it alone."""
        size = norm1(g) if self.inf else norm(g)
        length = float(np.abs(move).max(initial=0)) if self.inf else norm(move)
        self.g0_norm = self.g0_norm or size
        guard = GUARD * float(np.finfo(g.dtype).eps) * (abs(f) + length * self.g0_norm)
        term = f - dot(g, move) + size * size / (2 * self.L)
        self.f_best = min(self.f_best, f)
        self.W += weight
        self.total += weight * term
        self.error += weight * guard
        return (term - self.f_best - guard) / size if size > 0 else 0.0

    def bound(self, s_norm: float) -> float:
        """The bound from all points, given ||s||."""
        if s_norm == 0:
            return 0.0
        return (self.total - self.W * self.f_best - self.error) / s_norm

    def from_sum(self, g: Array, weight: float) -> float:
        """The bound from all points, with an own s; call after :meth:`include`."""
        if self.own_s is None:
            self.own_s = np.zeros_like(g)
        self.own_s += weight * g
        return self.bound(norm1(self.own_s) if self.inf else norm(self.own_s))
