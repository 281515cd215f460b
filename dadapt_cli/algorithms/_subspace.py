r"""Minimise f over x + span of a few directions, at O(n) per trial point.

The margins of the directions are known (:mod:`dadapt_cli.objective.directions`), so the search
needs no product with the data. Newton's method in the coefficients a takes the gradient and the
Hessian of the mean loss in them, plus the l2 term's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._pairs import Pairs
from dadapt_cli.objective import Problem
from dadapt_cli.objective.directions import Directions
from dadapt_cli.system import memory

ARMIJO = 1e-4

SMALLEST_STEP = 1e-10

NEWTON_ENOUGH = 1e-5
"""Newton's method ends when the decrement has fallen to this share of the first one."""

SMALLEST_EIGENVALUE = 1e-11
"""Smallest eigenvalue of the Hessian scaled to a unit diagonal: directions below it are dropped."""

ANEW = 25
"""Steps after which all margins on packed data are computed anew: four columns of one product."""

GRADIENT, OFFSET, SUM, STEPS = range(4)  # rows of the directions


class Search:
    """A point and directions through it; where their margins are is its subclasses' matter.

    Parameters
    ----------
    problem
        The objective, in its metric.
    directions
        How many there are room for.
    columns
        Numbers for each of them: the unknowns, and the margins that are stored here.

    Attributes
    ----------
    D
        Directions, (directions, unknowns), in the metric, whose factors the margins contain;
        unused rows are zero.
    errors, error
        Bounds on |V_j - X D_j| and on |Z - X x|, row by row in units of ||x_i||.
    loss
        Mean loss at the point.
    anew
        Steps after which :meth:`refresh` must be called because checkpoints leave the margins out.
    """

    problem: Problem
    moved: Any
    loss: float
    anew = math.inf

    def __init__(self, problem: Problem, directions: int, columns: int) -> None:
        size = directions * columns * problem.dtype.itemsize
        memory.require(size, f"a search along {directions} directions (--memory)")
        self.D = np.zeros((directions, math.prod(problem.shape)), problem.dtype)
        self.errors, self.error = np.zeros(directions), 0.0

    def evaluate(self, a: Array) -> tuple[float, Array]:
        """Mean loss at x + a D and its gradient in a."""
        raise NotImplementedError

    def slope(self) -> Array:
        """The gradient in a at the last point evaluated."""
        raise NotImplementedError

    def hessian(self) -> Array:
        """The Hessian of the mean loss in a, there."""
        raise NotImplementedError

    def accept(self) -> None:
        """Go there."""
        raise NotImplementedError

    def minimise(self, w: Array, steps: int) -> Array:
        """Move the point, whose weights are `w`, to the minimum over its subspace.

        Newton's method in the coefficients with halving, at most `steps` steps; f never rises.
        Returns the coefficients a; the caller adds a D to its own x.
        """
        Q, q = self._l2_term(w)
        ridge = self.problem.l2_term(w)
        a, f = np.zeros(len(self.D)), self.loss + ridge
        g = self.slope() + q
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
        self.accept()
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


class Subspace(Directions, Search):
    """A search whose margins are here.

    Parameters
    ----------
    problem
        The objective, in its metric.
    directions
        How many there are room for.
    scores
        Margins Z of the point, shape (n,) or (n, C).
    """

    def __init__(self, problem: Problem, directions: int, scores: Array) -> None:
        classes = problem.n_classes if problem.softmax else 1
        Search.__init__(self, problem, directions, math.prod(problem.shape) + problem.n * classes)
        Directions.__init__(self, problem, directions)
        self._renew(scores)

    def _renew(self, scores: Array) -> None:
        self.Z[...] = self.flat(scores)
        self.error = 0.0
        self.loss = self.evaluate(np.zeros(len(self.D)))[0]

    def refresh(self, w: Array) -> None:
        """Compute the margins of the point, whose weights are `w`, anew: steps add drift."""
        self._renew(self.problem.scores(w))

    def along(self, g: Array, w: float, error: float, pairs: Pairs | None) -> None:
        """Take the gradient among the directions, w times it to their sum, and that of the pairs.

        `error` is the bound on that of the gradient's margins.
        """
        Zg = self.flat(self.problem.scores(self.problem.rescaled(g)))
        self.D[GRADIENT], self.V[GRADIENT] = g.ravel(), Zg
        self.V[SUM] += w * Zg
        if pairs is not None:
            self.D[-1], self.V[-1], self.errors[-1] = pairs.direction(g.ravel(), Zg, error)

    def add_step(self) -> None:
        """Add the margins of the last step to those of x - x_0."""
        self.V[OFFSET] += self.moved

    def forget(self, rows: slice) -> None:
        """Make directions 0."""
        self.D[rows], self.V[rows], self.errors[rows] = 0.0, 0.0, 0.0

    def remember(self, row: int, move: Array, error: float) -> None:
        """Take the last step among the directions."""
        self.D[row], self.V[row], self.errors[row] = move, self.moved, error

    def gradient(self, w: Array) -> tuple[Array, Any]:
        """The gradient of f at the point, whose weights are `w`, and its scores."""
        return self.problem.gradient(self.unflat(self.residual), w), self.Z


class PackedSubspace(Search):
    """A search whose margins are where the samples are; no checkpoint holds any of them."""

    anew = float(ANEW)
    moved: Any = np.zeros(0)  # not here

    def __init__(self, problem: Problem, directions: int, w: Array) -> None:
        Search.__init__(self, problem, directions, math.prod(problem.shape))
        self.problem, self.loss = problem, 0.0
        self.refresh(w)

    def refresh(self, w: Array) -> None:
        """Compute the margins of the point, whose weights are `w`, and of all directions anew."""
        self.problem.sums.ask("search_at", (w, self._weights(range(len(self.D)))))
        self.error = 0.0
        self.loss = self.evaluate(np.zeros(len(self.D)))[0]

    def along(self, g: Array, w: float, error: float, pairs: Pairs | None) -> None:
        """As :meth:`Subspace.along`; the pairs have no margins, their direction's are a product."""
        self.D[GRADIENT] = g.ravel()
        rows = [GRADIENT]
        if pairs is not None:
            self.D[-1], _, _ = pairs.direction(g.ravel(), self.moved, error)
            size, own = (float(np.linalg.norm(self.D[row])) for row in (GRADIENT, -1))
            self.errors[-1] = error * own / size if size else 0.0
            rows.append(len(self.D) - 1)
        self.problem.sums.ask("search_along", (rows, self._weights(rows), (GRADIENT, SUM, w)))

    def _weights(self, rows: Any) -> list[Array]:
        """Directions as weights."""
        shape, own = self.problem.shape, self.problem
        return [np.ascontiguousarray(own.rescaled(self.D[row].reshape(shape))) for row in rows]

    def evaluate(self, a: Array) -> tuple[float, Array]:
        """Mean loss at x + a D and its gradient in a."""
        loss, slope = self.problem.sums.ask("search_evaluate", a)
        return float(loss), slope

    def slope(self) -> Array:
        """The gradient in a at the last point evaluated."""
        g: Array = self.problem.sums.ask("search_slope")[0]
        return g

    def hessian(self) -> Array:
        """The Hessian of the mean loss in a, there."""
        H: Array = self.problem.sums.ask("search_hessian")[0]
        return H

    def accept(self) -> None:
        """Go there."""
        self.problem.sums.ask("search_accept")

    def add_step(self) -> None:
        """Add the margins of the last step to those of x - x_0."""
        self.problem.sums.ask("search_keep", ("add", OFFSET))

    def forget(self, rows: slice) -> None:
        """Make directions 0."""
        self.D[rows], self.errors[rows] = 0.0, 0.0
        self.problem.sums.ask("search_keep", ("drop", rows))

    def remember(self, row: int, move: Array, error: float) -> None:
        """Take the last step among the directions."""
        self.D[row], self.errors[row] = move, error
        self.problem.sums.ask("search_keep", ("put", row))

    def gradient(self, w: Array) -> tuple[Array, Any]:
        """The gradient of f at the point, whose weights are `w`; no scores."""
        g: Array = self.problem.sums.ask("search_gradient")[0]
        if self.problem.l2:
            g += self.problem.ridge * w
        return g, None


def subspace_of(problem: Problem, directions: int, w: Array) -> Subspace | PackedSubspace:
    """A search from the weights `w`, with the margins where the samples are."""
    if problem.sums is not None:
        return PackedSubspace(problem, directions, w)
    return Subspace(problem, directions, problem.scores(w))


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
