"""The terms that a loss without an l2 term is made of: margins that are linear in the weights.

Binary: y_i <x_i, w>, one a sample; softmax: <x_i, w_{y_i} - w_c> for each other class c.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import scipy.sparse as sp

from dadapt_cli._typing import Array, Indices, Mask
from dadapt_cli.objective import Problem
from dadapt_cli.objective.rounding import TINY, gamma
from dadapt_cli.objective.smoothness import magnitudes
from dadapt_cli.reference.dependences import Dependences
from dadapt_cli.reference.self_concordance import scaled


class Terms:
    """The terms of a problem: the matrix B of shape (m, unknowns), and which (i, c) they are."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        X = sp.csr_array(problem.X).astype(np.float64)
        index = problem.labels.index
        if not problem.softmax:
            self.where: Any = np.arange(problem.n)
            self.B = sp.csr_array(X * problem.y[:, None])
        else:
            n_classes = problem.n_classes
            pairs = np.ones((problem.n, n_classes), bool)
            pairs[np.arange(problem.n), index] = False
            self.where = np.nonzero(pairs)
            rows, others = self.where
            copies = X[rows]
            length = np.diff(copies.indptr)
            place = copies.indices.astype(np.int64) * n_classes  # weights are row-major (p, C)
            term = np.repeat(np.arange(len(rows)), length)
            self.B = sp.csr_array(
                sp.coo_array(
                    (
                        np.concatenate([copies.data, -copies.data]),
                        (
                            np.concatenate([term, term]),
                            np.concatenate(
                                [
                                    place + np.repeat(index[rows], length),
                                    place + np.repeat(others, length),
                                ]
                            ),
                        ),
                    ),
                    shape=(len(rows), problem.p * n_classes),
                )
            )
        self.norms = np.sqrt(np.asarray((self.B * self.B).sum(axis=1)))

    def __len__(self) -> int:
        return int(self.B.shape[0])

    def scaled(self, problem: Problem, exponent: Indices) -> Terms:
        """The same terms of `problem`, whose columns are divided by powers of two."""
        twin = copy.copy(self)
        twin.problem = problem
        twin.B = scaled(self.B, np.repeat(exponent, math.prod(problem.shape[1:])))
        twin.norms = np.sqrt(np.asarray((twin.B * twin.B).sum(axis=1)))
        return twin

    def margins(self, w: Array) -> Array:
        """Margins at `w`, (m,)."""
        return np.asarray(self.B @ w.ravel())

    def dual(self, scores: Array) -> Array:
        """alpha: minus the derivative of the summed losses in each term's margin, > 0."""
        residual = self.problem.residuals(scores) * self.problem.n_mean
        alpha: Array = residual[self.where] if self.problem.softmax else np.abs(residual)
        return alpha

    def mask(self, terms: Mask) -> Mask:
        """Terms as :meth:`Problem.restrict` wants them; a row's own class is always kept."""
        if not self.problem.softmax:
            return terms
        kept = np.ones((self.problem.n, self.problem.n_classes), bool)
        kept[self.where] = terms
        return kept

    def falls_exactly(self, falling: Mask, direction: Array, known: Dependences) -> bool:
        """Whether it is proven that along some direction these terms' margins grow, and no other.

        The direction is the exact combination of the columns of N that `direction` names: along
        it the margins of the other terms are 0, and those of `falling` clear of all rounding.
        """
        y = direction.ravel()[known.dropped]
        v, size = known.N @ y, np.abs(known.N) @ np.abs(y)
        B = self.B[np.flatnonzero(falling)]
        entries = float(np.diff(B.indptr).max(initial=0)) + len(y) + 16.0
        error = gamma(entries) * (magnitudes(B) @ size) + TINY * (entries + float(size.sum()))
        return bool(falling.any() and np.all(B @ v > error))

    def null_space(self, terms: Mask) -> Array:
        """Orthonormal columns spanning {v: B v = 0 on `terms`}, shape (unknowns, r)."""
        chosen = self.B[np.flatnonzero(terms)]
        values, vectors = np.linalg.eigh(np.asarray((chosen.T @ chosen).toarray()))
        # Eigenvalues of B'B are squares: rounding reaches 1e-16 of the largest one.
        return np.asarray(vectors[:, values <= 1e-13 * max(float(values[-1]), 1e-300)])
