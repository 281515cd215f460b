r"""Minimise f over x + span of a few directions, at O(n) per trial point.

Margins are linear: with Z = X w at x and V_j = X D_j, a point x + sum a_j D_j has the margins
Z + sum a_j V_j, so the search needs no product with the data. Newton's method in the coefficients
a takes the gradient V r and the Hessian V diag(loss'') V' of the mean loss, plus the l2 term's.

Margins are kept in rows, (directions, n C), and handled in chunks of samples that stay in the
processor's cache. Within a chunk the samples of one class lie side by side, (C, samples), so that
sums over the classes are sums of long rows. The chunks of each thread are one range of samples.
"""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.objective import Problem
from dadapt_cli.objective.losses import softmax_columns
from dadapt_cli.system import memory

CHUNK = 32768
"""Scores that are handled at once: with five directions, 1.6 MB of float64."""

SHARED_FROM = 500_000
"""Scores from which a second thread gains."""

PARTS = 8
"""Parts that threads share: a fixed number, so that the number of threads changes no digit."""

ARMIJO = 1e-4

SMALLEST_STEP = 1e-10

NEWTON_ENOUGH = 1e-5
"""Newton's method ends when the decrement has fallen to this share of the first one."""

SMALLEST_EIGENVALUE = 1e-11
"""Smallest eigenvalue of the Hessian scaled to a unit diagonal: directions below it are dropped."""


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
        Margins of the point and the derivative of the mean loss in them, (n C,) in the order
        of :meth:`flat`.
    moved
        Margins of the last step, V' a: never a difference of two margins, which is rounding
        noise once the steps are small.
    loss
        Mean loss at the point.
    """

    REMADE = ("parts", "links")  # from the problem, when a run is resumed

    def __init__(self, problem: Problem, directions: int, scores: Array) -> None:
        self.problem = problem
        self.C = problem.n_classes if problem.softmax else 1
        unknowns = int(np.prod(problem.shape))
        size = directions * (unknowns + problem.n * self.C) * problem.dtype.itemsize
        memory.require(size, f"a search along {directions} directions (--memory)")
        self.D = np.zeros((directions, unknowns), problem.dtype)
        self.V = np.zeros((directions, problem.n * self.C), problem.dtype)
        self.Z = np.empty(problem.n * self.C, problem.dtype)
        self.trial, self.moved, self.residual = (np.zeros_like(self.Z) for _ in range(3))
        parts = PARTS if len(self.Z) >= SHARED_FROM else 1
        edges = np.linspace(0, problem.n, parts + 1).astype(int).tolist()
        rows = max(1, CHUNK // self.C)
        self.parts = [
            [slice(start, min(start + rows, last)) for start in range(first, last, rows)]
            for first, last in itertools.pairwise(edges)
        ]
        if not problem.softmax:
            self.links = {rows.start: problem.link(rows) for part in self.parts for rows in part}
        # Bounds on |V_j - X D_j| and on |Z - X x|, row by row in units of ||x_i||
        self.errors, self.error = np.zeros(directions), 0.0
        self.refresh(scores)

    def flat(self, scores: Array) -> Array:
        """Scores of shape (n,) or (n, C) in the order of the margins here, (n C,)."""
        if not self.problem.softmax:
            return scores
        chunks = [scores[rows].T.ravel() for part in self.parts for rows in part]
        return np.concatenate(chunks)

    def unflat(self, margins: Array) -> Array:
        """The inverse of :meth:`flat`."""
        if not self.problem.softmax:
            return margins
        C, out = self.C, np.empty((self.problem.n, self.C), margins.dtype)
        for rows in (rows for part in self.parts for rows in part):
            out[rows] = margins[rows.start * C : rows.stop * C].reshape(C, -1).T
        return out

    def refresh(self, scores: Array) -> None:
        """Take recomputed margins, against the drift of adding up steps."""
        self.Z[...] = self.flat(scores)
        self.error = 0.0
        self.loss: float = self.evaluate(np.zeros(len(self.D)))[0]

    def evaluate(self, a: Array) -> tuple[float, Array]:
        """Mean loss at x + a D and its gradient in a; fills trial, moved and residual."""
        a = a.astype(self.V.dtype)
        found = self.problem.in_threads([partial(self._evaluate, c, a) for c in self.parts])
        slope = np.sum([g for _, g in found], axis=0)
        return sum(loss for loss, _ in found) / self.problem.n_mean, slope

    def _evaluate(self, chunks: list[slice], a: Array) -> tuple[float, Array]:
        loss, g, C = 0.0, np.zeros(len(a)), self.C
        scale = 1.0 / self.problem.n_mean
        for rows in chunks:
            flat = slice(rows.start * C, rows.stop * C)
            V = self.V[:, flat]
            moved = np.matmul(a, V, out=self.moved[flat])
            z = np.add(self.Z[flat], moved, out=self.trial[flat])
            r = self.residual[flat]
            if self.problem.softmax:
                shape = (C, -1)
                columns = (z.reshape(shape), self.problem.y[rows], r.reshape(shape))
                loss += softmax_columns(*columns, self._weights(rows))
                r *= scale
            else:
                loss += self.links[rows.start](z, r)
            g += V @ r
        return loss, g

    def _weights(self, rows: slice) -> Array | None:
        weights = self.problem.sample_weight
        return None if weights is None else weights[rows]

    def hessian(self) -> Array:
        """Hessian of the mean loss in a, at the last point evaluated."""
        found = self.problem.in_threads([partial(self._hessian, chunks) for chunks in self.parts])
        return np.asarray(sum(found)) / self.problem.n_mean

    def _hessian(self, chunks: list[slice]) -> Array:
        H, C = np.zeros((len(self.V), len(self.V))), self.C
        for rows in chunks:
            flat = slice(rows.start * C, rows.stop * C)
            V = self.V[:, flat]
            q = (self.residual[flat] * self.problem.n_mean).reshape(C, -1)
            weights = self._weights(rows)
            if weights is not None:
                q /= weights
            if not self.problem.softmax:
                np.abs(q, out=q)
                curvature = q * (1 - q) if weights is None else q * (1 - q) * weights
                H += (V * curvature) @ V.T
                continue
            q[self.problem.y[rows], np.arange(q.shape[1])] += 1.0
            # Row by row: BLAS is slow at a product of few long rows with as few long columns.
            means = np.empty((len(V), q.shape[1]), q.dtype)
            for j, v in enumerate(V):
                qv = q * v.reshape(C, -1)
                qv.sum(axis=0, out=means[j])
                if weights is not None:
                    qv *= weights
                H[j, : j + 1] += V[: j + 1] @ qv.ravel()
            for j, mean in enumerate(means):
                H[j, : j + 1] -= means[: j + 1] @ (mean if weights is None else mean * weights)
        if self.problem.softmax:
            H += np.tril(H, -1).T
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
                if not a.any():  # the last trial point must not become the point
                    self.evaluate(a)
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
        D = self.problem.rescaled(self.D.reshape(-1, *w.shape))
        if self.problem.intercept:
            D, w = D[:, :-1], w[:-1]
        D = D.reshape(len(D), -1)
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
    try:  # one factor after the other: their product overflows where directions are tiny
        values, vectors = np.linalg.eigh(H * scale[:, None] * scale)
    except np.linalg.LinAlgError:  # steepest descent; no eigenvalue exceeds the unit diagonal's sum
        return np.diag(scale * scale / len(scale))
    kept = values > SMALLEST_EIGENVALUE
    basis = scale[:, None] * vectors[:, kept]
    return np.asarray((basis / values[kept]) @ basis.T)
