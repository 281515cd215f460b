"""The objective in 90-digit arithmetic, written from its definition: nothing of ours is used."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import mpmath as mp
import numpy as np

from dadapt_cli.objective import Problem

DIGITS = 90


class Exact:
    """f* and the minimiser nearest to 0, by Newton's method along a vanishing l2 term.

    Columns are divided by their largest entry first. Without strong convexity the l2 term ends at
    1e-46: f is then right to 20 digits where the minimiser is not farther than about 1e12. From
    a `start` that is near the minimiser the way there is left out. Only the terms `kept` count:
    (n,), softmax (n, C).
    """

    def __init__(self, problem: Problem, start: Any = None, kept: Any = None) -> None:
        mp.mp.dps = DIGITS
        self.problem = problem
        X: Any = problem.X
        X = X if isinstance(X, np.ndarray) else X.toarray()
        self.n, self.p = X.shape
        self.C = problem.n_classes if problem.softmax else 1
        self.index = problem.labels.index
        self.kept = np.ones((self.n, max(2, self.C)), bool)
        if kept is not None:
            self.kept &= kept.reshape(self.n, -1)
        counts = np.ones(self.n) if problem.sample_weight is None else problem.sample_weight
        self.c = [mp.mpf(float(c)) for c in counts]
        self.mean = mp.fsum(self.c)
        self.unit = [1 / mp.mpf(float(m)) if m else mp.mpf(1) for m in np.abs(X).max(axis=0)]
        self.A = [[mp.mpf(float(x)) * u for x, u in zip(row, self.unit, strict=True)] for row in X]
        l2 = mp.mpf(problem.l2)
        free = self.p - 1 if problem.intercept else self.p
        self.ridge = [
            l2 * self.unit[j] ** 2 if j < free else mp.mpf(0)
            for j in range(self.p)
            for _ in range(self.C)
        ]
        strictly = problem.l2 > 0 and not (problem.intercept and problem.softmax)
        ladder = [mp.mpf(10) ** -k for k in range(2, 50, 4)] + [mp.mpf(0)] * strictly
        w = [mp.mpf(0)] * (self.p * self.C)
        if start is not None:
            ladder = ladder[-1:]
            w = [mp.mpf(x) / self.unit[i // self.C] for i, x in enumerate(start.ravel().tolist())]
        sizes: list[Any] = []
        self.converged = True
        for extra in ladder:
            w = self._newton(w, extra)
            sizes.append(self.norm(w))
        self.f = self.value(w, mp.mpf(0))
        self.growth = sizes[-1] / sizes[-3] if sizes[2:] and sizes[-3] else mp.mpf(1)
        scaled = [w[i] * self.unit[i // self.C] for i in range(len(w))]
        self.nearest = self._without(scaled, self._null_space(X))

    @staticmethod
    def norm(v: list[Any]) -> Any:
        return mp.sqrt(mp.fsum(x * x for x in v))

    def losses(self, w: list[Any]) -> Any:
        """(losses, their derivatives in the scores, second derivatives), a sample each."""
        for i, row in enumerate(self.A):
            z = [mp.fsum(row[j] * w[j * self.C + a] for j in range(self.p)) for a in range(self.C)]
            own = int(self.index[i])
            if self.C == 1:  # the score of class 1 against 0 for class 0
                z = [mp.mpf(0), z[0]]
            e = [mp.exp(x - max(z)) for x in z]
            e = [x if a == own or self.kept[i, a] else mp.mpf(0) for a, x in enumerate(e)]
            q = [x / mp.fsum(e) for x in e]
            rest = [mp.fsum(q[:a] + q[a + 1 :]) for a in range(len(q))]
            others = [x for a, x in enumerate(z) if a != own and self.kept[i, a]]
            loss = mp.log1p(mp.fsum(mp.exp(x - z[own]) for x in others))
            R = [-rest[a] if a == own else q[a] for a in range(len(q))]
            K = [
                [q[a] * rest[a] if a == b else -q[a] * q[b] for b in range(len(q))]
                for a in range(len(q))
            ]
            if self.C == 1:
                R, K = R[1:], [[K[1][1]]]
            yield loss, R, K

    def value(self, w: list[Any], extra: Any) -> Any:
        mean = mp.fsum(c * x[0] for c, x in zip(self.c, self.losses(w), strict=True)) / self.mean
        squares = ((r + extra) * x * x for r, x in zip(self.ridge, w, strict=True))
        return mean + mp.fsum(squares) / 2

    def _newton(self, w: list[Any], extra: Any) -> list[Any]:
        q, C = len(w), self.C
        for _ in range(300):
            g = [(r + extra) * x for r, x in zip(self.ridge, w, strict=True)]
            H = [[mp.mpf(0)] * q for _ in range(q)]
            for i in range(q):
                H[i][i] = self.ridge[i] + extra
            for row, c, (_, R, K) in zip(self.A, self.c, self.losses(w), strict=True):
                for i in range(q):
                    g[i] += c * R[i % C] * row[i // C] / self.mean
                    for k in range(i + 1):
                        H[i][k] += c * K[i % C][k % C] * row[i // C] * row[k // C] / self.mean
            step = _cholesky_solve(H, g)
            if self.norm(step) <= mp.mpf(10) ** -28 * self.norm(w) or not any(step):
                return w
            decrement = mp.fsum(a * b for a, b in zip(step, g, strict=True))
            now, t = self.value(w, extra), mp.mpf(1)
            while t > 1e-8:
                following = [x - t * s for x, s in zip(w, step, strict=True)]
                if self.value(following, extra) <= now - t * decrement / 10:
                    break
                t /= 2
            else:
                return w
            w = following
        self.converged = False
        return w

    def _null_space(self, X: Any) -> list[list[Any]]:
        """Directions along which f is constant, by rational elimination."""
        softmax, p, C = self.C > 1, self.p, self.C
        found = []
        if self.problem.l2 == 0:
            for _, along in rational_null_space(X, p):
                v = [mp.mpf(x.numerator) / x.denominator for x in along]
                for a in range(C):
                    found.append([v[i // C] if i % C == a else mp.mpf(0) for i in range(p * C)])
        if softmax and (self.problem.l2 == 0 or self.problem.intercept):
            rows = range(p) if self.problem.l2 == 0 else [p - 1]
            for j in rows:
                found.append([mp.mpf(int(i // C == j)) for i in range(p * C)])
        return found

    def _without(self, v: list[Any], directions: list[list[Any]]) -> list[Any]:
        basis: list[list[Any]] = []
        for u in directions:
            u = _orthogonal(u, basis)
            size = self.norm(u)
            if size > mp.mpf(10) ** -30:
                basis.append([x / size for x in u])
        return _orthogonal(v, basis)


def _orthogonal(v: list[Any], basis: list[list[Any]]) -> list[Any]:
    for b in basis:
        t = mp.fsum(x * y for x, y in zip(v, b, strict=True))
        v = [x - t * y for x, y in zip(v, b, strict=True)]
    return v


def rational_null_space(X: Any, columns: int) -> list[tuple[int, list[Fraction]]]:
    """Free unknowns of an elimination, each with the null direction in which only it is 1."""
    M = [[Fraction(float(x)) for x in row] for row in X]
    pivots: list[int] = []
    for j in range(columns):
        row = next((i for i in range(len(pivots), len(M)) if M[i][j]), None)
        if row is None:
            continue
        at = len(pivots)
        M[at], M[row] = M[row], M[at]
        M[at] = [x / M[at][j] for x in M[at]]
        for i in range(len(M)):
            if i != at and M[i][j]:
                M[i] = [a - M[i][j] * b for a, b in zip(M[i], M[at], strict=True)]
        pivots.append(j)
    found = []
    for j in sorted(set(range(columns)) - set(pivots)):
        v = [Fraction(int(i == j)) for i in range(columns)]
        for i, k in enumerate(pivots):
            v[k] = -M[i][j]
        found.append((j, v))
    return found


def _cholesky_solve(H: list[list[Any]], g: list[Any]) -> list[Any]:
    q = len(g)
    L = [[mp.mpf(0)] * q for _ in range(q)]
    for i in range(q):
        for j in range(i + 1):
            s = H[i][j] - mp.fsum(L[i][k] * L[j][k] for k in range(j))
            L[i][j] = mp.sqrt(max(s, mp.mpf(10) ** -200)) if i == j else s / L[j][j]
    y: list[Any] = []
    for i in range(q):
        y.append((g[i] - mp.fsum(L[i][k] * y[k] for k in range(i))) / L[i][i])
    x = [mp.mpf(0)] * q
    for i in reversed(range(q)):
        x[i] = (y[i] - mp.fsum(L[k][i] * x[k] for k in range(i + 1, q))) / L[i][i]
    return x
