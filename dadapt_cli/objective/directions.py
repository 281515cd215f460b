"""The margins of a point and of some directions through it, and the loss as a function of steps.

Margins are linear: with Z = X w at x and V_j = X D_j, a point x + sum a_j D_j has the margins
Z + sum a_j V_j, so no product with the data is needed for its loss, nor for the gradient V r and
the Hessian V diag(loss'') V' of the mean loss in the coefficients a.

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

CHUNK = 32768
"""Scores that are handled at once: with five directions, 1.6 MB of float64."""

SHARED_FROM = 500_000
"""Scores from which a second thread gains."""

PARTS = 8
"""Parts that threads share: a fixed number, so that the number of threads changes no digit."""


class Directions:
    """The margins of a point and of directions through it.

    Parameters
    ----------
    problem
        The objective, in its metric.
    directions
        How many there are room for.

    Attributes
    ----------
    V
        Margins of the directions, (directions, n C); unused rows are zero.
    Z, residual
        Margins of the point and the derivative of the mean loss in them, (n C,) in the order
        of :meth:`flat`.
    trial
        Margins of the last point evaluated.
    moved
        Margins of the last step, V' a: never a difference of two margins, which is rounding
        noise once the steps are small.
    """

    REMADE: tuple[str, ...] = ("parts", "links")  # from the problem, when a run is resumed

    def __init__(self, problem: Problem, directions: int) -> None:
        self.problem = problem
        self.C = problem.n_classes if problem.softmax else 1
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

    def slope(self) -> Array:
        """Gradient of the mean loss in a, at the last point evaluated; float64."""
        return (self.V @ self.residual).astype(np.float64)

    def accept(self) -> None:
        """Go to the last point evaluated."""
        self.Z, self.trial = self.trial, self.Z
