"""Many replicas of a minibatch algorithm at once, each equal to the single run with its seed.

Weights have shape (S, p, C, L): S seeds, p features, C classes, L settings (learning rates or
d0). The settings share their seed's batches, so the scores of all of them are one matrix product
with the batch; the seeds are the batched axis of that product. Scores are held as (S, C, L, b):
maxima and sums over the classes then run over L x b consecutive numbers.

Replicas are processed in blocks whose state stays in the cache.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

from dadapt_cli._typing import Array, Indices
from dadapt_cli.algorithms import MinibatchAlgorithm
from dadapt_cli.algorithms._decay import eta
from dadapt_cli.objective import Problem
from dadapt_cli.objective.minibatches import chunk_rows
from dadapt_cli.solver.minibatch import Average

BLOCK_WEIGHTS = 48_000
"""Weights of the replicas that run side by side (measured, benchmarks/minibatch.py)."""

STARTS = ("linear", "zero")

LINEAR_START = 1
"""Sets the generator of the start apart from that of the batches."""

SCORES_AT_ONCE = 2**16
"""Scores evaluated at once at an epoch's end."""


@dataclass(frozen=True)
class Samples:
    """A softmax problem as the replicas read it.

    Attributes
    ----------
    X
        Dense samples, shape (n, p), with the bias feature if there is one; float32 or float64.
    y
        Class number of each sample, shape (n,).
    n_classes
        Number of classes, C.
    """

    X: Array
    y: Indices
    n_classes: int

    @classmethod
    def of(cls, problem: Problem) -> Samples:
        """The samples of a softmax problem without an l2 term, dense."""
        X = problem.X if isinstance(problem.X, np.ndarray) else problem.X.toarray()
        return cls(X, problem.labels.index, problem.n_classes)


@dataclass(frozen=True)
class Curves:
    """The result of a sweep: one number for each epoch, seed and setting, shape (E, S, L).

    Attributes
    ----------
    accuracy
        Share of the samples classified right at the epoch's end; a tie goes to the first class.
    log_loss
        Mean loss then.
    d
        The estimate then; NaN for an algorithm that has none.
    weights
        At the end, shape (S, p, C, L), when asked for.
    """

    accuracy: Array
    log_loss: Array
    d: Array
    weights: Array | None = None


@dataclass(frozen=True)
class Sweep:
    """What is run: every seed with every setting.

    Attributes
    ----------
    seeds
        Seeds of the batches, and of a random start.
    axis, values
        The setting that varies (``lr``, ``d0``) and its L values; None: L = 1.
    settings
        The other settings, the same for all replicas.
    epochs, batch_size, schedule
        As in a fit.
    average
        Average that the loop takes, then evaluated and returned in their place. An average of the
        algorithm's own, schedule-free, is among its settings.
    start
        x_0: ``zero``, or ``linear`` as :func:`linear_start` has it.
    keep_weights
        Whether the curves hold the last weights.
    """

    seeds: Sequence[int]
    axis: str | None = None
    values: Sequence[float] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 100
    batch_size: int = 16
    schedule: str = "paper"
    average: str = "none"
    start: str = "zero"
    keep_weights: bool = False


def sweep(
    samples: Samples,
    algorithm: MinibatchAlgorithm,
    plan: Sweep,
    progress: Callable[[float], None] = lambda share: None,
) -> Curves:
    """Run an algorithm with every seed and every setting.

    `progress` is called after each epoch with the share of the work that is done.

    Raises
    ------
    NumericalError
        An estimate ceased to be finite.
    """
    seeds, epochs, batch_size = plan.seeds, plan.epochs, plan.batch_size
    L = len(plan.values) if plan.axis is not None else 1
    grid = np.asarray(plan.values, np.float64).reshape(1, 1, 1, -1)
    _, p = samples.X.shape
    blocks = list(_blocks(len(seeds), L, p, samples.n_classes, batch_size))
    share = 1.0 / (epochs * len(blocks))
    accuracy, log_loss, d = np.full((3, epochs, len(seeds), L), np.nan)
    weights = None
    if plan.keep_weights:
        weights = np.empty((len(seeds), p, samples.n_classes, L), samples.X.dtype)
    # Rates that are far too large may end in infinities: the log-loss, not a warning, says so.
    with _one_blas_thread(), np.errstate(all="ignore"):
        for number, (rows, columns) in enumerate(blocks):
            block = _Block(samples, seeds[rows], len(range(L)[columns]), batch_size)
            varied = {} if plan.axis is None else {plan.axis: grid[..., columns]}
            state = algorithm.start(block.start(plan.start), **plan.settings, **varied)
            average = Average(plan.average, state.x) if plan.average in Average.KINDS else None
            k, steps = 0, epochs * -(-block.n // block.size)
            for epoch in range(epochs):
                for X, own in block.epoch():
                    now = eta(plan.schedule, k, steps, epoch + 1)
                    if average is not None:
                        average.include(state, now)
                    algorithm.step(state, block.gradient(X, own, state.x), now)
                    k += 1
                here = (epoch, rows, columns)
                judged = state.point if average is None else average.x
                accuracy[here], log_loss[here] = block.judge(judged)
                if state.d is not None:
                    d[here] = np.reshape(state.d, (-1, block.L))
                progress((number * epochs + epoch + 1) * share)
            if weights is not None:
                weights[rows, ..., columns] = judged
    return Curves(accuracy, log_loss, d, weights)


def _blocks(S: int, L: int, p: int, C: int, batch_size: int) -> Iterator[tuple[slice, slice]]:
    """Seeds and settings that run side by side.

    Settings that share a batch save gathering and reading it, b p numbers, for each of them, so
    they stay together unless their own weights, p C numbers each, are more than that.
    """
    columns = L if C <= batch_size else min(L, max(1, BLOCK_WEIGHTS // (p * C)))
    rows = max(1, BLOCK_WEIGHTS // (p * C * columns))
    for row in range(0, S, rows):
        for column in range(0, L, columns):
            yield slice(row, row + rows), slice(column, column + columns)


def linear_start(seed: int, p: int, C: int) -> Array:
    """Weights (p, C) as PyTorch's nn.Linear draws them, the last row being the bias.

    Uniform in +-1/sqrt(p - 1), from a generator of their own: the batches of a seed stay the same.
    """
    bound = 1.0 / math.sqrt(max(p - 1, 1))
    return np.random.default_rng((seed, LINEAR_START)).uniform(-bound, bound, (p, C))


def _one_blas_thread() -> contextlib.AbstractContextManager[Any]:
    """Products with a batch are too small to share: BLAS threads would wait for one another."""
    control: Any = import_module("threadpoolctl")  # comes with scikit-learn
    limits: contextlib.AbstractContextManager[Any] = control.threadpool_limits(1, "blas")
    return limits


class _Block:
    """The seeds that run side by side: their batches, gradients and scores."""

    def __init__(self, samples: Samples, seeds: Sequence[int], L: int, batch_size: int) -> None:
        self.X, self.y, self.C, self.L = samples.X, samples.y, samples.n_classes, L
        self.seeds, self.S = seeds, len(seeds)
        self.n, self.p = samples.X.shape
        self.size = min(batch_size, self.n)
        self.generators = [np.random.default_rng(seed) for seed in seeds]
        self.chunk = chunk_rows(self.S * self.p * samples.X.itemsize, self.size)

    def start(self, kind: str) -> Array:
        """x_0 of every replica; the settings of a seed share theirs."""
        x0 = np.zeros((self.S, self.p, self.C, self.L), self.X.dtype)
        if kind == "linear":
            for i, seed in enumerate(self.seeds):
                x0[i] = linear_start(seed, self.p, self.C)[:, :, None]
        return x0

    def epoch(self) -> Iterator[tuple[Array, Indices]]:
        """Batches: samples (S, p, b) and where the scores (S, C, L, b) of their classes lie."""
        order = np.stack([g.permutation(self.n) for g in self.generators])
        for begin in range(0, self.n, self.chunk):
            rows = order[:, begin : begin + self.chunk]
            whole = rows.shape[1] - rows.shape[1] % self.size
            for part in (rows[:, :whole], rows[:, whole:]):
                if part.size:
                    yield from self._batches(part)

    def _batches(self, rows: Indices) -> Iterator[tuple[Array, Indices]]:
        """Batches of equal size from `rows`, shape (S, K b)."""
        b = min(self.size, rows.shape[1])
        X = self.X[rows].reshape(self.S, -1, b, self.p).transpose(1, 0, 3, 2)
        y = self.y[rows].reshape(self.S, -1, 1, b).transpose(1, 0, 2, 3)
        s = np.arange(self.S).reshape(-1, 1, 1)
        setting = np.arange(self.L).reshape(-1, 1)
        own = ((s * self.C + y) * self.L + setting) * b + np.arange(b)
        yield from zip(np.ascontiguousarray(X), own.reshape(len(own), -1), strict=True)

    def gradient(self, X: Array, own: Indices, w: Array) -> Array:
        """Gradients on one batch of each seed, shape of `w`."""
        b = X.shape[2]
        scores = w.reshape(self.S, self.p, -1).transpose(0, 2, 1) @ X
        z = scores.reshape(self.S, self.C, self.L * b)
        z -= np.maximum.reduce(z, axis=1, keepdims=True)
        np.exp(z, out=z)
        total = np.add.reduce(z, axis=1, keepdims=True)
        total *= b
        z /= total
        scores.reshape(-1)[own] -= 1.0 / b
        return (X @ scores.transpose(0, 2, 1)).reshape(w.shape)

    def judge(self, w: Array) -> tuple[Array, Array]:
        """Accuracy and mean log-loss on all samples, float64 (S, L)."""
        S, C, L = self.S, self.C, self.L
        columns = w.reshape(S, self.p, C * L).transpose(0, 2, 1)
        right = np.zeros((S, L))
        loss = np.zeros((S, L))
        size = max(self.size, SCORES_AT_ONCE // (S * C * L))
        for begin in range(0, self.n, size):
            rows = slice(begin, begin + size)
            y = self.y[rows]
            z = (columns @ self.X[rows].T).reshape(S, C, L, len(y))
            place = (slice(None), y, slice(None), np.arange(len(y)))
            own = z[place]  # (b, S, L)
            z[place] = -np.inf
            rival = np.maximum.reduce(z, axis=1).transpose(2, 0, 1)
            hit = own > rival
            tie = np.argwhere(own == rival)
            for i, s, j in tie:  # the first of the equal classes is predicted
                hit[i, s, j] = y[i] < z[s, :, j, i].argmax()
            right += np.count_nonzero(hit, axis=0)
            top = np.maximum(own, rival)
            z -= top.transpose(1, 2, 0)[:, None]
            np.exp(z, out=z)
            others = np.add.reduce(z, axis=1).transpose(2, 0, 1)
            gap = own - top
            loss += (np.log1p(others + np.expm1(gap)) - gap).sum(axis=0, dtype=np.float64)
        return right / self.n, loss / self.n
