r"""The scores of a point and of directions through it, relative to each row's own class.

For two classes :math:`u_i = -y_i z_i`, for more :math:`u_{ic} = z_{ic} - z_{i y_i}`: linear in the
weights as z is, so that a step adds to them those of its direction. Their link: :mod:`.losses`.

What is kept of a block's link is q, the probability of the wrong class (two classes), or the
derivative of the loss in each score (more): the gradient and the curvature along any direction
follow from it without another exponential.

Rows are handled in blocks that stay in the processor's cache; the blocks of one thread are
consecutive, and sums run over the blocks in an order that the number of threads does not change.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np

from dadapt_cli._typing import Array, Indices, Matrix
from dadapt_cli.objective import Problem, curvature
from dadapt_cli.objective.blocks import BLOCK, THREADS_FROM, rows_of
from dadapt_cli.objective.losses import SCORES, logistic, softmax
from dadapt_cli.objective.products import add_transposed, forward

PARTS = 8
"""Most parts for threads; set by the shape alone, so that the thread count changes no digit."""

GRADIENTS = 8
"""Least ratio of the entries of a block's rows to those of the gradient it makes."""


@dataclass(frozen=True)
class Sample:
    """Some rows of the data, for the Hessian on them.

    Attributes
    ----------
    problem
        Has the rows, among others or alone.
    rows
        Which of its rows they are.
    q
        (m,) of the wrong class, or (m, C) of each; as :meth:`Margins.probabilities`.
    """

    problem: Problem
    rows: Indices | slice
    q: Array


class Marginal(Protocol):
    """What a method on margins asks for, wherever they are stored; see :class:`Margins`."""

    U: Any
    C: int
    anew: float

    @property
    def lengths(self) -> list[int]:
        """Rows of each partial sum."""

    def at(self, x: Array) -> None:
        """Make U the margins of `x`."""

    def equal(self) -> float:
        """Make U those of weights 0; return the mean loss there."""

    def along(self, d: Array) -> None:
        """Make V the margins of `d`."""

    def curvature(self) -> float:
        """V'HV."""

    def loss(self, a: float = 1.0, *, moved: bool = True) -> float:
        """Mean loss at U + a V, or at U."""

    def accept(self) -> None:
        """Go to U + V."""

    def gradient(self) -> Array:
        """Of the mean loss there."""

    def sample(self, count: int, seed: int) -> Sample:
        """Some rows."""


def margins_of(problem: Problem) -> Marginal:
    """The margins of a problem, where its samples are."""
    if problem.sums is not None:
        made: Marginal = problem.sums.margins(problem)
        return made
    return Margins(problem)


@dataclass(frozen=True)
class Rows:
    """A block: its rows of the data, what its link needs, and work space of its thread."""

    rows: slice
    X: Matrix
    sign: Array | None  # -y_i, two classes
    own: Indices | None  # places of the own class in the flattened block, more classes
    sample_weight: Array | None
    work: Array


class Margins:
    """The margins U of a point x and V of a direction.

    Parameters
    ----------
    problem
        In the user's variables, without dropped classes.

    Attributes
    ----------
    U, V
        (n,) or (n, C), in the problem's dtype. V is work space.
    R
        The block's link (q above) at the last point evaluated, without the samples' weights.
    anew
        Steps after which :meth:`at` must be called because checkpoints leave the margins out.
    """

    anew = math.inf

    REMADE = ("parts", "V", "ones")  # from the problem, when a run is resumed

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.C = problem.n_classes if problem.softmax else 1
        shape = (problem.n, self.C) if problem.softmax else (problem.n,)
        self.U, self.V, self.R = (np.zeros(shape, problem.dtype) for _ in range(3))
        self.ones = np.ones(self.C, problem.dtype)
        self.parts = self._parts()

    @property
    def lengths(self) -> list[int]:
        """Rows of each block."""
        return [block.rows.stop - block.rows.start for part in self.parts for block in part]

    def _parts(self) -> list[list[Rows]]:
        """Blocks by thread, from the shape of the problem alone."""
        problem = self.problem
        n, stored = problem.n, problem.X.size
        least = GRADIENTS * problem.p * n // max(1, stored)
        work = stored * self.C
        shared = max(1, min(PARTS, work // BLOCK)) if work >= THREADS_FROM else 1
        count = max(round(n / max(SCORES // self.C, least, 1)), min(shared, n // max(least, 1)), 1)
        spans = [slice(a, b) for a, b in _ranges(n, count) if b > a]
        ranges = _ranges(len(spans), min(shared, len(spans)))
        return [self._blocks(spans[a:b]) for a, b in ranges]

    def _blocks(self, spans: list[slice]) -> list[Rows]:
        problem, largest = self.problem, max(s.stop - s.start for s in spans)
        work = np.empty((largest, *self.U.shape[1:]), problem.dtype)
        blocks = []
        for rows in spans:
            X, length = rows_of(problem.X, rows), rows.stop - rows.start
            sign, own = None, None
            if problem.softmax:
                own = np.arange(length) * self.C + problem.y[rows]
            else:
                sign = -problem.y[rows]
            c = None if problem.sample_weight is None else problem.sample_weight[rows]
            blocks.append(Rows(rows, X, sign, own, c, work[:length]))
        return blocks

    def _each(self, job: Any) -> list[Any]:
        """Results of a job on each part's blocks, in order."""
        if len(self.parts) == 1:
            return [job(self.parts[0])]
        return self.problem.in_threads([partial(job, part) for part in self.parts])

    def at(self, x: Array) -> None:
        """Make U the margins of `x`; V is overwritten."""
        self.along(x)
        self.U, self.V = self.V, self.U

    def equal(self) -> float:
        """Make U, and R without an exponential, those of weights 0; return the mean loss there."""
        self.U[...] = 0.0
        if self.problem.softmax:
            self.R[...] = 1.0 / self.C
            self.R[np.arange(self.problem.n), self.problem.y] = 1.0 / self.C - 1.0
        else:
            self.R[...] = 0.5
        return math.log(max(self.C, 2))

    def along(self, d: Array) -> None:
        """Make V the margins of the direction `d`, (p,) or (p, C)."""
        self._each(partial(self._along, d.astype(self.problem.dtype, copy=False)))

    def _along(self, d: Array, blocks: list[Rows]) -> None:
        for block in blocks:
            V = self.V[block.rows]
            forward(block.X, d, V)
            if block.own is None:
                V *= block.sign
            else:
                V -= V.reshape(-1)[block.own][:, None]

    def accept(self) -> None:
        """Go to U + V."""
        self.U += self.V

    def loss(self, a: float = 1.0, *, moved: bool = True) -> float:
        """Mean loss at U + V, after V is multiplied by `a`, or at U; R becomes that of the point.

        Block by block, so that what one line has read is still in the cache for the next.
        """
        total = 0.0
        for loss in self._each(partial(self._loss, a, moved)):
            total += loss
        return total / self.problem.n_mean

    def _loss(self, a: float, moved: bool, blocks: list[Rows]) -> float:
        total, factor = 0.0, self.problem.dtype.type(a)
        with np.errstate(all="ignore"):  # each thread has its own state; overflow is handled
            for block in blocks:
                if a != 1.0:
                    self.V[block.rows] *= factor
                u, R = self.U[block.rows], self.R[block.rows]
                if moved:
                    u = np.add(u, self.V[block.rows], out=R)
                if block.own is None:
                    total += logistic(u, R, block.work, block.sample_weight)
                else:
                    total += softmax(u, block.own, R, block.sample_weight)
        return total

    def gradient(self) -> Array:
        """X' residual over the divisor of the mean, (p,) or (p, C) float64, without the l2 term."""
        parts = self._each(self._gradient)
        g: Array = parts[0]
        for more in parts[1:]:
            g += more
        g /= self.problem.n_mean
        return g

    def _gradient(self, blocks: list[Rows]) -> Array:
        g = np.zeros(self.problem.shape, self.problem.dtype)
        total = g if len(blocks) == 1 or g.dtype == np.float64 else np.zeros(g.shape)
        for block in blocks:
            residual = self.R[block.rows]
            if block.sign is not None:
                residual = np.multiply(residual, block.sign, out=block.work)
            if block.sample_weight is not None:
                residual = np.multiply(residual.T, block.sample_weight, out=block.work.T).T
            add_transposed(block.X, residual, g)
            if total is not g:
                total += g
                g[...] = 0.0
        return total.astype(np.float64, copy=False)

    def curvature(self) -> float:
        """V'HV, H the Hessian of the mean loss at R's point."""
        return float(sum(self._each(self._curvature)) / self.problem.n_mean)

    def _curvature(self, blocks: list[Rows]) -> float:
        total = 0.0
        for block in blocks:
            R, V = self.R[block.rows], self.V[block.rows]
            total += _binary(R, V, block) if block.own is None else self._softmax(R, V, block)
        return total

    def _softmax(self, R: Array, V: Array, block: Rows) -> float:
        """sum_i q_i'v^2 - (q_i'v)^2; the own entries of V are 0."""
        w = block.sample_weight
        T = np.multiply(R, V, out=block.work)
        mean: Array = T @ self.ones
        if w is None:
            return _sum(T, V) - _sum(mean, mean)
        T *= w[:, None]
        return _sum(T, V) - _sum(mean * w, mean)

    def sample(self, count: int, seed: int) -> Sample:
        """So many rows (:func:`~.curvature.sampled`), at R's point."""
        rows = curvature.sampled(self.problem.n, count, seed)
        return Sample(self.problem, rows, self.probabilities(rows))

    def probabilities(self, rows: Indices | slice) -> Array:
        """q of some rows: (m,) of the wrong class, or (m, C) of each; a new array."""
        q: Array = self.R[rows].copy()
        if self.problem.softmax:
            q[np.arange(len(q)), self.problem.y[rows]] += 1.0
        return q


def _binary(R: Array, V: Array, block: Rows) -> float:
    """sum_i q_i (1 - q_i) v_i^2."""
    C = np.multiply(R, R, out=block.work)
    np.subtract(R, C, out=C)
    if block.sample_weight is not None:
        C *= block.sample_weight
    C *= V
    return _sum(C, V)


def _ranges(length: int, count: int) -> list[tuple[int, int]]:
    """0 to `length` in `count` ranges, as equal as possible."""
    return [(length * i // count, length * (i + 1) // count) for i in range(count)]


def _sum(a: Array, b: Array) -> float:
    """<a, b> of one block, in its dtype: at most SCORES terms."""
    return float(np.dot(a.reshape(-1), b.reshape(-1)))
