"""``newton``'s mathematics in plain NumPy, sharing no code with it: makes newton_golden.json.

    python tests/algorithms/newton_plain.py > tests/algorithms/newton_golden.json

Scores are X W, probabilities come from a softmax with its maximum taken out, Hessians are full
matrices of all rows, solved without a factorisation of our own, and every value of f is computed
from the weights. Two classes are -y z; no margin is kept from one step to the next.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

Array = Any

STEPS = 5


def problem(n_classes: int) -> tuple[Array, Array]:
    """12 x 3, in closed form; the labels are not separable."""
    i, j = np.arange(1, 13)[:, None], np.arange(1, 4)[None, :]
    X = np.round(np.sin(1.7 * i * j) + 0.3 * np.cos(i + 2.0 * j), 3)
    y = (np.arange(12) * 5 % 7) % n_classes
    return X, y


def probabilities(Z: Array) -> Array:
    e = np.exp(Z - Z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


class Loss:
    """Mean loss and l2 term for weights (p,) or (p, C), with its full Hessian."""

    def __init__(self, X: Array, y: Array, l2: float) -> None:
        self.X, self.y, self.l2, self.C = X, y, l2, int(y.max()) + 1
        self.binary = self.C == 2

    def scores(self, w: Array) -> Array:
        """Of all classes; for two of them 0 and z."""
        z = self.X @ w
        return np.stack([np.zeros(len(z)), z], axis=1) if self.binary else z

    def f(self, w: Array) -> float:
        Z = self.scores(w)
        top = Z.max(axis=1)
        losses = np.log(np.exp(Z - top[:, None]).sum(axis=1)) + top - Z[np.arange(len(Z)), self.y]
        return float(losses.mean() + 0.5 * self.l2 * (w * w).sum())

    def g(self, w: Array) -> Array:
        R = probabilities(self.scores(w))
        R[np.arange(len(R)), self.y] -= 1.0
        R = R[:, 1] if self.binary else R
        return self.X.T @ R / len(R) + self.l2 * w

    def curvature(self, w: Array, v: Array, u: Array) -> float:
        """<v, H(w) u>."""
        q, a, b = probabilities(self.scores(w)), self.scores(v), self.scores(u)
        data = (q * a * b).sum(axis=1) - (q * a).sum(axis=1) * (q * b).sum(axis=1)
        return float(data.mean() + self.l2 * (v * u).sum())

    def solve(self, w: Array, g: Array) -> Array:
        """H(w)^-1 g.

        At w = 0 that is the Hessian at equal probabilities as (I/C) (x) X'X/n, without the l2
        term's and the classes' share: what the Kronecker form keeps.
        """
        n, p = self.X.shape
        q = probabilities(self.scores(w))
        if self.binary:
            c = q[:, 1] * q[:, 0]
            return np.linalg.solve((self.X.T * c) @ self.X / n + self.l2 * np.eye(p), g)
        if not w.any():
            c0 = (1 - 1 / self.C) / self.C
            return np.linalg.solve(c0 * self.X.T @ self.X / n + self.l2 * np.eye(p), g)
        C, H = self.C, np.zeros((self.C * p, self.C * p))
        for x, qi in zip(self.X, q, strict=True):
            H += np.kron(np.diag(qi) - np.outer(qi, qi), np.outer(x, x)) / n
        H += self.l2 * np.eye(C * p)
        return np.linalg.solve(H, g.T.ravel()).reshape(C, p).T


def trajectory(n_classes: int, l2: float, wait: int, far: bool) -> dict[str, Any]:
    """x_k, f(x_k) and d_k of STEPS steps without pairs; the curvature anew after `wait` steps.

    `far` starts from weights that are no zeros.
    """
    X, y = problem(n_classes)
    loss = Loss(X, y, l2)
    bound = (0.25 if loss.binary else 0.5) * (X * X).sum() / len(X) + l2  # of the smoothness
    w = np.zeros(X.shape[1] if loss.binary else (X.shape[1], n_classes))
    if far:
        w = w + 2.0 * np.cos(np.arange(w.size)).reshape(w.shape)
    w0, at, made = w, w, 0
    terms, s = [], np.zeros_like(w)
    d_k = float(np.linalg.norm(loss.g(w))) / bound
    f, x, d = [loss.f(w)], [w.ravel().tolist()], [d_k]
    for k in range(STEPS):
        g = loss.g(w)
        terms.append(loss.f(w) - float((g * (w - w0)).sum()) + float((g * g).sum()) / (2 * bound))
        s = s + g
        least = min(f)
        alone = (terms[-1] - least) / np.linalg.norm(g)
        together = (sum(terms) - len(terms) * least) / np.linalg.norm(s)
        d_k = max(d_k, float(alone), float(together))
        if k - made >= wait:
            at, made = w, k
        step = -loss.solve(at, g)
        step = step * (-float((g * step).sum()) / loss.curvature(w, step, step))
        slope, t = float((g * step).sum()), 1.0
        while (value := loss.f(w + t * step)) > f[-1] + 1e-4 * t * slope:
            least = -slope * t / (2 * (value - f[-1] - slope * t))
            t *= min(max(least, 0.1), 0.5) if math.isfinite(least) else 0.25
        if f[-1] - value < float((g * g).sum()) / (2 * bound):
            step, t = -g / bound, 1.0
        w = w + t * step
        f.append(loss.f(w))
        x.append(w.ravel().tolist())
        d.append(d_k)
    given = {"l2": l2, "X": X.tolist(), "y": y.tolist(), "x0": w0.tolist()}
    return {**given, "f": f, "x": x, "d": d}


CASES = {
    "binary": (2, 0.1, 3, False),
    "binary, weak l2": (2, 1e-4, 3, False),
    "binary, from afar": (2, 1e-4, 3, True),
    "softmax": (3, 0.1, 3, False),
    "softmax, weak l2": (3, 1e-4, 3, False),
    "softmax, from afar": (3, 1e-4, 3, True),
}

if __name__ == "__main__":
    print(json.dumps({name: trajectory(*case) for name, case in CASES.items()}))
