"""The losses of a block of samples and their derivatives in the scores, one exponential a score.

Written with in-place operations on work space that is kept: a temporary of n numbers costs as
much as the arithmetic on it. The plain forms they are tested against stand in the docstrings.
"""

from __future__ import annotations

import numpy as np

from dadapt_cli._typing import Array, Indices


def _total(losses: Array, sample_weight: Array | None) -> float:
    """Their (weighted) sum, in float64 whatever they are."""
    if sample_weight is None:
        return float(losses.sum(dtype=np.float64))
    if losses.dtype == np.float64:
        return float(losses @ sample_weight)
    return float(losses.astype(np.float64) @ sample_weight.astype(np.float64))


class Logistic:
    r"""sum_i log(1 + exp(-y_i z_i)), and -y_i sigma(-y_i z_i)/n_mean.

    Exact to rounding for every margin: with m = y z and e = exp(-|m|), the loss is
    log1p(e) + max(-m, 0) and sigma(-m) is (m > 0 ? e : 1)/(1 + e), so nothing overflows and
    nothing cancels.

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
        self.y = y
        self.sample_weight = sample_weight
        self.slope = -y / y.dtype.type(n_mean)
        if sample_weight is not None:
            self.slope *= sample_weight
        self._a = np.empty_like(y)
        self._b = np.empty_like(y)

    def __call__(self, scores: Array, residual: Array) -> float:
        """Return the sum of the losses; put their derivatives, over n_mean, into `residual`."""
        a, b = self._a, self._b
        m = np.multiply(self.y, scores, out=residual)
        np.abs(m, out=a)
        np.subtract(a, m, out=b)  # 2 max(-m, 0), exactly
        loss = 0.5 * _total(b, self.sample_weight)
        np.negative(a, out=a)
        e = np.exp(a, out=a)
        loss += _total(np.log1p(e, out=b), self.sample_weight)
        # m > 0 ? e : 1 is max(e, m <= 0), as e <= 1; half the time of np.where, and in place
        np.less_equal(m, 0.0, out=b)
        np.maximum(b, e, out=b)
        np.add(e, 1.0, out=a)
        np.divide(b, a, out=b)
        np.multiply(b, self.slope, out=residual)
        return loss


class Softmax:
    """sum_i log(sum_c exp(z_ic)) - z_iy, and (softmax - one-hot)/n_mean.

    With a the class of the largest score and o the sum of exp(z_c - z_a) over the others, the
    loss is log1p(o) + (z_a - z_y): small losses keep their relative accuracy. For a = y the own
    residual is -o/(1 + o), not a difference of nearly equal numbers. A score of -inf drops a
    class from its row.

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
        self.factor: Array | float = (
            1.0 / n_mean if sample_weight is None else sample_weight / n_mean
        )
        self._row = np.arange(len(y)) * n_classes  # places in the flattened scores
        self._own = self._row + y

    def __call__(self, scores: Array, residual: Array) -> float:
        """Return the sum of the losses; put their derivatives, over n_mean, into `residual`."""
        flat = residual.reshape(-1)
        top = scores.argmax(axis=1)
        top += self._row
        np.subtract(scores, scores.reshape(-1)[top][:, None], out=residual)
        own = flat[self._own]  # z_y - z_a <= 0
        np.exp(residual, out=residual)
        flat[top] = 0.0
        others = residual @ np.ones(residual.shape[1], residual.dtype)
        loss = _total(np.log1p(others), self.sample_weight) - _total(own, self.sample_weight)
        flat[top] = 1.0
        share = self.factor / (others + 1.0)
        residual *= share[:, None]
        at_own = flat[self._own] - self.factor
        flat[self._own] = np.where(top == self._own, -others * share, at_own)
        return loss


def softmax_columns(
    z: Array, y: Indices, residual: Array, sample_weight: Array | None = None
) -> float:
    """Sum of the losses of :class:`Softmax` for scores of shape (C, samples), one sample a column.

    `residual` becomes their derivatives, not divided by n_mean. `sample_weight` are (samples,).

    With o the sum of exp(z_c - max z) over c != y and e = exp(z_y - max z), the loss is
    log1p(o + (e - 1)) - (z_y - max z) and the own residual -o/(o + e): for z_y = max z, as near
    the end, nothing cancels.
    """
    own = (y, np.arange(len(y)))
    np.subtract(z, z.max(axis=0), out=residual)
    z_y = residual[own]
    np.exp(residual, out=residual)
    e = residual[own]
    residual[own] = 0.0
    others = residual.sum(axis=0)
    residual /= others + e
    residual[own] = -others / (others + e)
    if sample_weight is not None:
        residual *= sample_weight
    return _total(np.log1p(others + (e - 1.0)), sample_weight) - _total(z_y, sample_weight)
