"""The objective in 50 digits, from the decimals of the text: a second arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mpmath as mp

DIGITS = 50


@dataclass
class Exact:
    """Rows as decimals (or rationals), classes, weights, a ridge for each row of weights."""

    rows: list[list[Any]]
    y: list[int]
    C: int
    weights: list[Any]
    ridge: list[Any]

    def __post_init__(self) -> None:
        self.columns = self.C if self.C > 2 else 1
        self.p = len(self.rows[0])

    def losses(self, w: Any) -> tuple[Any, Any, Any]:
        """f, gradient, Hessian at w, a matrix (p columns, 1), class by class."""
        p, k = self.p, self.columns
        total = mp.fsum(self.weights)
        f, g, H = mp.mpf(0), mp.zeros(p * k, 1), mp.zeros(p * k)
        for x, y, c in zip(self.rows, self.y, self.weights, strict=True):
            z = [mp.fdot(x, [w[a * p + j] for j in range(p)]) for a in range(k)]
            z = z if k > 1 else [mp.mpf(0), z[0]]
            top = max(z)
            e = [mp.exp(v - top) for v in z]
            whole = mp.fsum(e)
            f += c / total * (mp.log(whole) + top - z[y])
            P = [v / whole for v in e][-k:]
            own = y - (self.C - k)
            for a in range(k):
                for j in range(p):
                    g[a * p + j] += c / total * x[j] * (P[a] - (own == a))
                for b in range(k):
                    s = c / total * P[a] * ((a == b) - P[b])
                    for j in range(p):
                        for i in range(p):
                            H[a * p + j, b * p + i] += s * x[j] * x[i]
        for a in range(k):
            for j in range(p):
                at = a * p + j
                f += self.ridge[j] / 2 * w[at] ** 2
                g[at] += self.ridge[j] * w[at]
                H[at, at] += self.ridge[j]
        return f, g, H

    def minimise(self, start: Any) -> tuple[Any, Any]:
        """f* and the minimiser that Newton's method reaches from `start`, near it."""
        w = start.copy()
        free = [j for j in range(self.p) if self.ridge[j] == 0]
        for _ in range(60):
            _, g, H = self.losses(w)
            if self.columns > 1:  # equal weights of all classes change nothing
                for j in free:
                    for a in range(self.columns):
                        for b in range(self.columns):
                            H[a * self.p + j, b * self.p + j] += 1
            step = mp.lu_solve(H, g)
            w -= step
            if mp.norm(step) < mp.mpf(10) ** (10 - DIGITS):
                return self.losses(w)[0], w
        raise AssertionError("no convergence in 50 digits")
