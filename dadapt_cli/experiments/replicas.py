"""Many replicas of a minibatch algorithm at once, each equal to the single run with its seed.

Weights have shape (S, p, C, L): S seeds, p features, C classes, L settings (learning rates or
d0). The settings share their seed's batches, so the scores of all of them are one matrix product
with the batch; the seeds are the batched axis of that product. Scores are held as (S, C, L, b):
maxima and sums over the classes then run over L x b consecutive numbers.

Seeds are worked on in blocks whose state stays in the cache.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from dadapt_cli.algorithms import MinibatchAlgorithm
from dadapt_cli.arrays import Array, Indices
from dadapt_cli.batches import chunk_rows, schedule
from dadapt_cli.problem import Problem

BLOCK_WEIGHTS = 48_000
"""Weights of the replicas that run side by side (measured, benchmarks/minibatch.py)."""

SCORES_AT_ONCE = 2**16
"""Scores to judge at once at an epoch's end."""


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
    """What a sweep leaves: one number for each epoch, seed and setting, shape (E, S, L).

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


def sweep(
    samples: Samples,
    algorithm: MinibatchAlgorithm,
    *,
    seeds: Sequence[int],
    axis: str | None = None,
    values: Sequence[float] = (),
    settings: Mapping[str, Any] | None = None,
    epochs: int = 100,
    batch_size: int = 16,
    schedule_name: str = "paper",
    keep_weights: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Curves:
    """Run an algorithm from 0 with every seed and every setting.

    Parameters
    ----------
    axis, values
        The setting that varies (``lr``, ``d0``) and its L values; None: L = 1.
    settings
        The other settings, the same for all replicas.
    progress
        Called after each epoch with the share of the work that is done.

    Raises
    ------
    NumericalError
        An estimate ceased to be finite.
    """
    L = len(values) if axis is not None else 1
    size = max(1, BLOCK_WEIGHTS // (samples.X.shape[1] * samples.n_classes * L))
    blocks = [seeds[i : i + size] for i in range(0, len(seeds), size)]
    share = 1.0 / (epochs * len(blocks))
    start_settings = dict(settings or {})
    if axis is not None:
        start_settings[axis] = np.asarray(values, np.float64).reshape(1, 1, 1, L)
    weights: list[Array] = []
    kept: list[tuple[Array, ...]] = []
    with _one_blas_thread(), np.errstate(under="ignore"):
        for number, block_seeds in enumerate(blocks):
            block = _Block(samples, block_seeds, L, batch_size)
            state = algorithm.start(block.zeros(), **start_settings)
            d = np.full((epochs, block.S, L), np.nan)
            accuracy, log_loss = np.empty_like(d), np.empty_like(d)
            for epoch in range(epochs):
                eta = schedule(schedule_name, epoch + 1)
                for X, own in block.epoch():
                    algorithm.step(state, block.gradient(X, own, state.x), eta)
                accuracy[epoch], log_loss[epoch] = block.judge(state.x)
                if state.d is not None:
                    d[epoch] = np.reshape(state.d, (-1, L))
                if progress is not None:
                    progress((number * epochs + epoch + 1) * share)
            kept.append((accuracy, log_loss, d))
            weights.append(state.x if keep_weights else np.empty(0))
    accuracy, log_loss, d = (np.concatenate(parts, axis=1) for parts in zip(*kept, strict=True))
    return Curves(accuracy, log_loss, d, np.concatenate(weights) if keep_weights else None)


def _one_blas_thread() -> contextlib.AbstractContextManager[Any]:
    """Products with a batch are too small to share: BLAS threads would wait for one another."""
    control: Any = import_module("threadpoolctl")  # comes with scikit-learn
    limits: contextlib.AbstractContextManager[Any] = control.threadpool_limits(1, "blas")
    return limits


class _Block:
    """The seeds that run side by side: their batches, gradients and judgement."""

    def __init__(self, samples: Samples, seeds: Sequence[int], L: int, batch_size: int) -> None:
        self.X, self.y, self.C, self.L = samples.X, samples.y, samples.n_classes, L
        self.S = len(seeds)
        self.n, self.p = samples.X.shape
        self.size = min(batch_size, self.n)
        self.generators = [np.random.default_rng(seed) for seed in seeds]
        self.chunk = chunk_rows(self.S * self.p * samples.X.itemsize, self.size)

    def zeros(self) -> Array:
        """The start x_0 = 0."""
        return np.zeros((self.S, self.p, self.C, self.L), self.X.dtype)

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
