"""Minibatches of one run: shuffled epochs, the gradient on a batch, and the schedule.

The samples are gathered a chunk of batches at a time, so that memory stays within the data plus
one chunk. Sparse rows become dense ones in the chunk: products with 16 short dense rows are faster
than the calls that slice a sparse matrix. Where not even one batch fits a chunk, it stays sparse.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from dadapt_cli._typing import Array, Indices, Matrix
from dadapt_cli.objective import Problem

CHUNK_BYTES = 2**20
"""Bytes gathered at once: a chunk stays in the cache (measured, benchmarks/minibatch.py)."""

WIDEST_BATCH_BYTES = 2**26
"""A sparse batch that is larger when dense stays sparse."""

DROPS = (60, 80, 95)
"""The paper's epochs (counted from 1) from which the schedule is divided by 10 once more."""


def schedule(name: str, epoch: int) -> float:
    """Factor of the step size in an epoch, counted from 1: ``paper``, or ``constant``, ``none``."""
    if name in ("constant", "none"):
        return 1.0
    return float(10.0 ** -sum(epoch >= drop for drop in DROPS))


def chunk_rows(row_bytes: int, batch_size: int) -> int:
    """Samples to gather at once: whole batches, at least one."""
    return max(1, CHUNK_BYTES // max(1, row_bytes * batch_size)) * batch_size


def batches_of(problem: Problem, size: int, seed: int) -> Batches:
    """The minibatches of a problem, from where its samples are."""
    if problem.sums is not None:
        made: Batches = problem.sums.batches(problem, size, seed)
        return made
    return Batches(problem, size, seed)


class Batches:
    """Shuffled minibatches of a problem, without replacement, the last one of an epoch shorter.

    Parameters
    ----------
    problem
        The objective; its data are not copied.
    size
        Samples in a batch, at most; more than there are means all of them.
    seed
        Seed of the permutations: one generator, one permutation an epoch.
    """

    def __init__(self, problem: Problem, size: int, seed: int) -> None:
        self.problem = problem
        self.size = min(size, problem.n)
        self.generator = np.random.default_rng(seed)
        row_bytes = problem.p * problem.dtype.itemsize
        self.dense = isinstance(problem.X, np.ndarray)
        self.densify = not self.dense and row_bytes * self.size <= WIDEST_BATCH_BYTES
        self.chunk = chunk_rows(row_bytes, self.size)

    @property
    def count(self) -> int:
        """Batches in an epoch."""
        return -(-self.problem.n // self.size)

    def epoch(self, done: int = 0) -> Iterator[tuple[Matrix, Array | Indices, Array | None]]:
        """The batches after the first `done` of an epoch: rows of X, shape (b, p), y and weights.

        y has shape (b,), as the weights have where there are any.
        """
        X, y, c = self.problem.X, self.problem.y, self.problem.sample_weight
        order = self.generator.permutation(self.problem.n)
        yield from self.cut(X, y, c, order, done * self.size)

    def cut(
        self, X: Matrix, y: Array | Indices, c: Array | None, order: Indices, done: int
    ) -> Iterator[tuple[Matrix, Array | Indices, Array | None]]:
        """The batches of rows in an `order`, without those of its first `done` rows."""
        for begin in range(done // self.chunk * self.chunk, len(order), self.chunk):
            rows = order[begin : begin + self.chunk]
            X_chunk, y_chunk, c_chunk = X[rows], y[rows], None if c is None else c[rows]
            if self.densify:
                X_chunk = X_chunk.toarray()
            for i in range(max(0, done - begin), len(rows), self.size):
                own = slice(i, i + self.size)
                yield X_chunk[own], y_chunk[own], None if c_chunk is None else c_chunk[own]

    def passes(self, steps: int) -> float:
        """Passes over the samples in the first `steps` steps."""
        whole, more = divmod(steps, -(-self.problem.n // self.size))
        return whole + more * self.size / self.problem.n

    def gradient(self, X: Matrix, y: Array | Indices, c: Array | None, w: Array) -> Array:
        """Gradient on one batch, mean over the batch plus the l2 term, shape of `w`; new array.

        With weights c, the mean of c_i g_i n/sum c: its expectation is the whole gradient.
        """
        residual = X @ w
        link: Any = _softmax if self.problem.softmax else _logistic
        link(residual, y)
        if c is not None:
            residual = (residual.T * c).T
        residual *= self.problem.n / (self.problem.n_mean * len(y))
        g: Array = X.T @ residual
        if self.problem.l2:
            g += self.problem.ridge * w
        return g


def _softmax(z: Array, y: Indices) -> None:
    """Scores (b, C) become softmax minus one-hot."""
    z -= np.maximum.reduce(z, axis=1, keepdims=True)
    np.exp(z, out=z)
    z /= np.add.reduce(z, axis=1, keepdims=True)
    z[np.arange(len(y)), y] -= 1.0


def _logistic(z: Array, y: Array) -> None:
    """Scores (b,) become -y sigma(-y z), without overflow; y is -1 or 1."""
    z *= y
    e = np.exp(-np.abs(z))
    z[...] = -y * np.where(z > 0, e, 1.0) / (1.0 + e)
