r"""The losses of a block of samples and their derivatives in the scores, one exponential a score.

Scores count relative to each sample's own class: :math:`u_i = -y_i z_i` for two classes,
:math:`u_{ic} = z_{ic} - z_{i y_i}` for more. The loss is log(1 + o) with o the sum of exp(u) over
the other classes, so the exponential needs no maximum before it and small losses keep their
relative accuracy: nothing cancels. Where the exponential would overflow, a block is computed with
its maximum taken out.

Written with in-place operations on reused work space, in blocks that stay in the processor's
cache: a temporary of n numbers costs as much as the arithmetic on it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from dadapt_cli._typing import Array, Indices

SCORES = 49152
"""Scores handled at once: 0.4 MB of float64 for each array (measured, benchmarks/gradient.py)."""

LARGEST = 64.0
"""Margin u up to which float32 holds exp(u), and float64 a product of eight sums of them."""

PRODUCTS_FROM = 4096
"""Losses from which one logarithm for eight of them is cheaper (measured, ditto)."""

PRODUCTS_ABOVE = 1 / 64
"""Mean loss from which that is as accurate: rounding 1 + o costs 2 u a loss, 128 u of the sum."""


@cache
def _ones(length: int, dtype: np.dtype[Any]) -> Array:
    return np.ones(length, dtype)


def _total(losses: Array, sample_weight: Array | None) -> float:
    """(Weighted) sum of the losses, in float64 whatever their dtype."""
    if sample_weight is None:
        return float(np.add.reduce(losses, dtype=np.float64))
    c = sample_weight.astype(np.float64, copy=False)
    return float(losses.astype(np.float64, copy=False) @ c)


def _total_log1p(o: Array, above: Array, sample_weight: Array | None) -> float:
    """(Weighted) sum of log(1 + o), o >= 0 and `above` = 1 + o."""
    if sample_weight is None and len(o) >= PRODUCTS_FROM:
        h = len(o) // 8
        products = np.multiply.reduce(above[: 8 * h].reshape(8, h), axis=0, dtype=np.float64)
        total = _total(np.log(products, out=products), None) + _total(np.log(above[8 * h :]), None)
        if total > PRODUCTS_ABOVE * len(o):
            return total
    return _total(np.log1p(o), sample_weight)


def logistic(u: Array, q: Array, work: Array, sample_weight: Array | None = None) -> float:
    """Sum of log(1 + exp(u)); `q` becomes the derivatives sigma(u), without the weights.

    Parameters
    ----------
    u, q, work, sample_weight
        (samples,). `q` may be `u`; `work` is overwritten.
    """
    if not np.maximum.reduce(u) <= LARGEST:
        np.maximum(u, 0.0, out=work)
        loss = _total(work, sample_weight)
        e = np.exp(-np.abs(u))
        loss += _total(np.log1p(e), sample_weight)
        np.divide(np.where(u > 0, 1.0, e), 1.0 + e, out=q)
        return loss
    e = np.exp(u, out=q)
    above = np.add(e, 1.0, out=work)
    loss = _total_log1p(e, above, sample_weight)
    np.divide(e, above, out=q)
    return loss


def softmax(
    u: Array,
    own: Any,
    residual: Array,
    sample_weight: Array | None = None,
    *,
    scale: Array | float = 1.0,
    axis: int = 1,
) -> float:
    """Sum of log(sum_c exp(u_c)); `residual` becomes the derivatives, times `scale`.

    Parameters
    ----------
    u, residual
        (samples, C), contiguous, or with axis = 0 (C, samples). `residual` may be `u`.
    own
        Places of each sample's own class, where u = 0: in the flattened array, (samples,), or
        with axis = 0 in the array.
    sample_weight
        (samples,): weights in the sum; the derivatives do not include them.
    scale
        A number or (samples,).
    """
    places, top = residual.reshape(-1) if axis else residual, None
    if not np.maximum.reduce(u, axis=None) <= LARGEST:
        top = np.maximum.reduce(u, axis=axis)  # at least 0: the own class has u = 0
        u = np.subtract(u, top[:, None] if axis else top, out=residual)
    np.exp(u, out=residual)
    places[own] = 0.0
    others: Array = residual.dot(_ones(u.shape[1], u.dtype)) if axis else residual.sum(axis=0)
    if top is None:
        above = others + 1.0
        loss = _total_log1p(others, above, sample_weight)
    else:
        e = np.exp(-top)
        above = others + e
        loss = _total(top + np.log1p(others + (e - 1.0)), sample_weight)
    share = scale / above
    residual *= share[:, None] if axis else share
    np.multiply(others, -share, out=others)
    places[own] = others
    return loss


class Logistic:
    r"""sum_i log(1 + exp(-y_i z_i)), and -y_i sigma(-y_i z_i)/n_mean.

    Parameters
    ----------
    y
        -1 or 1, shape (n,), in the dtype of the scores.
    n_mean
        What the mean is over.
    sample_weight
        How often each sample counts, shape (n,); None for once.
    """

    def __init__(self, y: Array, n_mean: float, sample_weight: Array | None = None) -> None:
        self.sample_weight = sample_weight
        self.sign = -y
        self.slope = self.sign / y.dtype.type(n_mean)
        if sample_weight is not None:
            self.slope *= sample_weight
        self._chunks = _chunks(len(y), 1)
        self._work = np.empty_like(y[:SCORES])

    def __call__(self, scores: Array, residual: Array) -> float:
        """Return the sum of the losses; put their derivatives, over n_mean, into `residual`."""
        loss = 0.0
        for rows in self._chunks:
            u = np.multiply(self.sign[rows], scores[rows], out=residual[rows])
            c = None if self.sample_weight is None else self.sample_weight[rows]
            loss += logistic(u, u, self._work[: len(u)], c)
            u *= self.slope[rows]
        return loss


class Softmax:
    """sum_i log(sum_c exp(z_ic)) - z_iy, and (softmax - one-hot)/n_mean.

    A score of -inf drops a class from its row.

    Parameters
    ----------
    y
        Class numbers, shape (n,).
    n_classes
        C, the number of columns of the scores.
    n_mean
        What the mean is over.
    sample_weight
        How often each sample counts, shape (n,); None for once.
    """

    def __init__(
        self, y: Indices, n_classes: int, n_mean: float, sample_weight: Array | None = None
    ) -> None:
        self.sample_weight = sample_weight
        self.n_mean = n_mean
        self._chunks = _chunks(len(y), n_classes)
        self._own = [np.arange(len(y[rows])) * n_classes + y[rows] for rows in self._chunks]

    def __call__(self, scores: Array, residual: Array) -> float:
        """Return the sum of the losses; put their derivatives, over n_mean, into `residual`."""
        loss = 0.0
        for rows, own in zip(self._chunks, self._own, strict=True):
            z = scores[rows]
            c = None if self.sample_weight is None else self.sample_weight[rows]
            u = np.subtract(z, z.reshape(-1)[own][:, None], out=residual[rows])
            scale = 1.0 / self.n_mean if c is None else c / self.n_mean
            loss += softmax(u, own, u, c, scale=scale)
        return loss


def _chunks(n: int, n_classes: int) -> list[slice]:
    """Slices of rows, with SCORES scores each."""
    rows = max(1, SCORES // n_classes)
    return [slice(a, min(a + rows, n)) for a in range(0, n, rows)]


def softmax_columns(
    z: Array, y: Indices, residual: Array, sample_weight: Array | None = None
) -> float:
    """Sum of the losses of :class:`Softmax` for scores of shape (C, samples), one sample a column.

    `residual` becomes their derivatives, not divided by n_mean. `sample_weight` are (samples,).
    """
    own = (y, np.arange(len(y)))
    u = np.subtract(z, z[own], out=residual)
    scale = 1.0 if sample_weight is None else sample_weight
    return softmax(u, own, u, sample_weight, scale=scale, axis=0)
