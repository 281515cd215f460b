r"""Minimise f over x + span of a few directions, at O(n) per trial point.

Margins are linear: with Z = X w at x and V_j = X D_j, a point x + sum a_j D_j has the margins
Z + sum a_j V_j, so the search needs no product with the data. Newton's method in the coefficients
a takes the gradient V r and the Hessian V diag(loss'') V' of the mean loss, plus the l2 term's.

Margins are kept in rows, (directions, n C), and handled in chunks of rows of the data that stay
in the processor's cache; the chunks of each thread are one range of rows.
"""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np

from dadapt_cli.arrays import Array
from dadapt_cli.problem import Problem

CHUNK = 32768
"""Scores that are handled at once: with five directions, 1.6 MB of float64."""

SHARED_FROM = 500_000
"""Scores from which a second thread gains."""

ARMIJO = 1e-4

SMALLEST_STEP = 1e-10

NEWTON_ENOUGH = 1e-5
"""Newton's method ends when the decrement has fallen to this share of the first one."""

SMALLEST_EIGENVALUE = 1e-11
"""Of the Hessian scaled to a unit diagonal: directions below it depend on the others."""


class Subspace:
    """The margins of a point and of directions through it.

    Parameters
    ----------
    problem
        The objective, in its metric.
    directions
        How many there are room for.
    scores
        Margins Z of the point, shape (n,) or (n, C).

    Attributes
    ----------
    D, V
        Directions and their margins, (directions, unknowns) and (directions, n C); unused rows
        are zero. D is in the metric, whose factors the margins contain.
    Z, residual
        Margins of the point and the derivative of the mean loss in them, (n C,).
    moved
        Margins of the last step, V' a: never a difference of two margins, which is rounding
        noise once the steps are small.
    loss
        Mean loss at the point.
    """

    def __init__(self, problem: Problem, directions: int, scores: Array) -> None:
        self.problem = problem
        self.C = problem.n_classes if problem.softmax else 1
        self.D = np.zeros((directions, int(np.prod(problem.shape))), problem.dtype)
        self.V = np.zeros((directions, problem.n * self.C), problem.dtype)
        self.Z = scores.ravel().copy()
        self.trial, self.moved, self.residual = (np.zeros_like(self.Z) for _ in range(3))
        parts = problem.threads if len(self.Z) >= SHARED_FROM else 1
        edges = np.linspace(0, problem.n, parts + 1).astype(int).tolist()
        rows = max(1, CHUNK // self.C)
        self.parts = [
            [slice(start, min(start + rows, last)) for start in range(first, last, rows)]
            for first, last in itertools.pairwise(edges)
        ]
        self.links = {rows.start: problem.link(rows) for part in self.parts for rows in part}
        self.loss = self.evaluate(np.zeros(directions))[0]

    def refresh(self, scores: Array) -> None:
        """Take margins computed anew, against the drift of adding steps up."""
        self.Z[...] = scores.ravel()
        self.loss = self.evaluate(np.zeros(len(self.D)))[0]

    def evaluate(self, a: Array) -> tuple[float, Array]:
        """Mean loss at x + a D and its gradient in a; fills trial, moved and residual."""
        a = a.astype(self.V.dtype)
        found = self.problem.in_threads([partial(self._evaluate, c, a) for c in self.parts])
        slope = np.sum([g for _, g in found], axis=0)
        return sum(loss for loss, _ in found) / self.problem.n_mean, slope

    def _evaluate(self, chunks: list[slice], a: Array) -> tuple[float, Array]:
        loss, g, C = 0.0, np.zeros(len(a)), self.C
        for rows in chunks:
            flat = slice(rows.start * C, rows.stop * C)
            V = self.V[:, flat]
            moved = np.matmul(a, V, out=self.moved[flat])
            z = np.add(self.Z[flat], moved, out=self.trial[flat])
            r = self.residual[flat]
            shape = (-1, C) if self.problem.softmax else (-1,)
            loss += self.links[rows.start](z.reshape(shape), r.reshape(shape))
            g += V @ r
        return loss, g

    def hessian(self) -> Array:
        """Hessian of the mean loss in a, at the last point evaluated."""
        found = self.problem.in_threads([partial(self._hessian, chunks) for chunks in self.parts])
        return np.asarray(sum(found)) / self.problem.n_mean

    def _hessian(self, chunks: list[slice]) -> Array:
        H, C = np.zeros((len(self.V), len(self.V))), self.C
        for rows in chunks:
            flat = slice(rows.start * C, rows.stop * C)
            V = self.V[:, flat]
            q = self.residual[flat] * self.problem.n_mean
            if not self.problem.softmax:
                q = np.abs(q)
                H += (V * (q * (1 - q))) @ V.T
                continue
            q = q.reshape(-1, C)
            q[np.arange(len(q)), self.problem.y[rows]] += 1.0
            QV = V.reshape(len(V), -1, C) * q
            means = QV @ np.ones(C, q.dtype)  # of each direction's margins under q, (m, rows)
            H += QV.reshape(len(V), -1) @ V.T - means @ means.T
        return H

    def minimise(self, w: Array, steps: int) -> Array:
        """Move the point, whose weights are `w`, to the minimum over its subspace.

        Newton's method in the coefficients with halving, at most `steps` steps; f never rises.
        Returns the coefficients a; the caller adds a D to its own x.
        """
        Q, q = self._l2_term(w)
        ridge = self.problem.l2_term(w)
        a, f = np.zeros(len(self.D)), self.loss + ridge
        g = (self.V @ self.residual).astype(np.float64) + q
        first, inverse = 0.0, None
        for _ in range(steps):
            # With the last Hessian, so that none is computed just to find that it was enough.
            if inverse is not None and not g @ inverse @ g > NEWTON_ENOUGH * first:
                break
            inverse = pseudo_inverse(self.hessian() + Q)
            p, decrement = -(inverse @ g), float(g @ inverse @ g)
            first = first or decrement
            if not decrement > NEWTON_ENOUGH * first:
                break
            t = 1.0
            while t > SMALLEST_STEP:
                b = a + t * p
                loss, slope = self.evaluate(b)
                f_b = loss + ridge + float(q @ b + 0.5 * b @ Q @ b)
                if f_b <= f - ARMIJO * t * decrement:
                    break
                t *= 0.5
            else:  # rounding hides any further decrease
                self.loss, _ = self.evaluate(a)
                break
            a, f, g, self.loss = b, f_b, slope + q + Q @ b, loss
        self.Z, self.trial = self.trial, self.Z
        return a

    def _l2_term(self, w: Array) -> tuple[Array, Array]:
        """Hessian and gradient of the l2 term in the coefficients."""
        if self.problem.l2 == 0:
            return np.zeros((len(self.D), len(self.D))), np.zeros(len(self.D))
        D = self.problem.rescaled(self.D.reshape(-1, *w.shape)).reshape(self.D.shape)
        l2 = self.problem.l2
        return l2 * (D @ D.T).astype(np.float64), l2 * (D @ w.ravel()).astype(np.float64)


def pseudo_inverse(H: Array) -> Array:
    """Inverse of a positive semidefinite matrix on the directions that it tells apart.

    Scaled to a unit diagonal first; rows of zeros have no part in it.
    """
    size = np.sqrt(np.maximum(np.diagonal(H), 0.0))
    scale = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
    if not np.isfinite(H).all():
        return np.zeros_like(H)
    values, vectors = np.linalg.eigh(H * np.outer(scale, scale))
    kept = values > SMALLEST_EIGENVALUE
    basis = scale[:, None] * vectors[:, kept]
    return np.asarray((basis / values[kept]) @ basis.T)
