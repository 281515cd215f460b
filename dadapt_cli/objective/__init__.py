r"""The objective: mean logistic loss with an l2 term.

With n samples :math:`x_i \in R^p`, binary labels :math:`y_i = \pm 1` and weights w of shape (p,)

.. math:: f(w) = \frac1n \sum_i \log(1 + e^{-y_i \langle x_i, w\rangle})
                 + \frac{\lambda}{2} \|w\|_2^2 ,

and with C >= 3 classes, weights W of shape (p, C), all C columns kept, scores Z = X W,

.. math:: f(W) = \frac1n \sum_i \Bigl(\log \sum_c e^{Z_{ic}} - Z_{i y_i}\Bigr)
                 + \frac{\lambda}{2} \|W\|_F^2 .

With sample weights c_i > 0 the mean is :math:`\sum_i c_i\,loss_i/\sum_i c_i`; an intercept is a
constant feature whose weights the l2 term leaves out.

The gradient is :math:`X^T R + \lambda w`, with the residuals :math:`R = \partial f/\partial Z`:
:math:`-y_i \sigma(-y_i z_i)/n` for two classes, (softmax - one-hot)/n for more.

One evaluation is two matrix products and one link function with a single exponential per score.
Rows are handled in blocks of equal non-zeros, whose number depends on the data alone, and partial
sums are added in block order: results depend neither on the number of threads nor on timing.
"""

from __future__ import annotations

import copy
import itertools
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

import numpy as np

from dadapt_cli._typing import Array, Mask, Matrix
from dadapt_cli.errors import DataError
from dadapt_cli.objective.blocks import Block, row_blocks, rows_of, stored
from dadapt_cli.objective.losses import Logistic, Softmax
from dadapt_cli.preprocessing.labels import Labels
from dadapt_cli.system import memory

Result = TypeVar("Result")

VECTORS = 8
"""Arrays the size of the weights: x, x_0, s, average, best, gradient and two temporaries."""


@dataclass(frozen=True)
class Evaluation:
    """f, its gradient and the scores at one point.

    Attributes
    ----------
    f
        Value of the objective.
    g
        Gradient, shape of the weights. A new array each time.
    scores
        X @ w, shape (n,) or (n, C). Work space: the next evaluation overwrites it. None where
        the data are packed (``Problem.sums``).
    """

    f: float
    g: Array
    scores: Any


class Problem:
    """The objective on given data.

    Parameters
    ----------
    X
        Samples, shape (n, p): sparse or dense. Stored sparse or dense by density.
    labels
        Classes and the class number of each sample.
    l2
        Weight of the l2 term, >= 0.
    bias
        Append a constant feature 1; it is regularised like any other weight.
    intercept
        Append one that is not regularised; without an l2 term that is the same.
    dtype
        float64, or float32 for the arrays; losses and scalars are summed in float64.
    threads
        Threads that work at once; by default one per core. With sparse data their number changes no
        digit of f and gradient; dense products are BLAS's.
    dropped
        Classes to leave out of single samples, (n, C); softmax only (see :meth:`restrict`).
    n_mean
        Divisor of the mean, if not n or the sum of the weights.
    sample_weight
        How often each row counts, (n,), positive; by default once.

    Raises
    ------
    DataError
        Shapes that do not fit, values that are not finite or whose squares overflow, or
        weights too many for the memory there is.
    """

    sums: Any = None
    """Sums of packed data (:class:`~dadapt_cli.packed.objective.Sums`); None: data in memory.
    """

    def __init__(
        self,
        X: Matrix,
        labels: Labels,
        *,
        l2: float = 0.0,
        bias: bool = False,
        intercept: bool = False,
        dtype: Any = np.float64,
        threads: int | None = None,
        dropped: Mask | None = None,
        n_mean: float | None = None,
        sample_weight: Array | None = None,
    ) -> None:
        if X.ndim != 2 or X.shape[0] != len(labels.index):
            raise DataError(f"{X.shape} data for {len(labels.index)} labels; one label a row")
        self.labels = labels
        self.l2 = float(l2)
        self.bias = bias or intercept
        self.intercept = intercept and self.l2 > 0
        self.dtype = np.dtype(dtype)
        self.n: int = X.shape[0]
        self.n_mean: float = n_mean or (
            self.n if sample_weight is None else float(sample_weight.sum())
        )
        self.p: int = X.shape[1] + self.bias
        self.n_classes = labels.n_classes
        self.softmax = self.n_classes > 2
        self.shape: tuple[int, ...] = (self.p, self.n_classes) if self.softmax else (self.p,)
        size = " x ".join(str(length) for length in self.shape)
        needed = VECTORS * 8 * math.prod(self.shape)
        memory.require(needed, f"work space for {size} weights (is an index too large?)")
        self.X: Matrix = stored(X, self.bias, self.dtype)
        self.dropped = dropped
        self.sample_weight = (
            None if sample_weight is None else np.asarray(sample_weight, self.dtype)
        )
        self.threads = threads or cores()
        self.y: Any = labels.index
        if not self.softmax:
            self.y = np.where(labels.index == 1, 1.0, -1.0).astype(self.dtype)
        self._scores = np.empty((self.n, *self.shape[1:]), self.dtype)
        self.blocks = [
            Block(
                rows, rows_of(self.X, rows), self.link(rows), self._scores[rows],
                None if dropped is None else dropped[rows],
            )
            for rows in row_blocks(self.X, self.nonzeros, math.prod(self.shape[1:]))
        ]  # fmt: skip
        self._pool: ThreadPoolExecutor | None = None
        self.metric_scale: Array | None = None
        self.column_squares: Array | None = None  # cached by smoothness.column_squares

    def link(self, rows: slice) -> Logistic | Softmax:
        """The losses of some consecutive rows, with work space of their own."""
        c = None if self.sample_weight is None else self.sample_weight[rows]
        if self.softmax:
            return Softmax(self.y[rows], self.n_classes, self.n_mean, c)
        return Logistic(self.y[rows], self.n_mean, c)

    @cached_property
    def nonzeros(self) -> int:
        """Stored entries of the data, the bias feature included."""
        dense = isinstance(self.X, np.ndarray)
        return int(np.count_nonzero(self.X)) if dense else int(self.X.nnz)

    @property
    def stored(self) -> int:
        """Numbers that the products read: zeros of a dense matrix count."""
        return int(self.X.size)

    @property
    def most_sampled(self) -> int:
        """Rows that a sample of them may have."""
        return self.n

    def zeros(self) -> Array:
        """The start x_0 = 0, shape (p,) or (p, C)."""
        return np.zeros(self.shape, self.dtype)

    def value_and_gradient(self, w: Array) -> Evaluation:
        """Evaluate f, its gradient and the scores at `w`, shape (p,) or (p, C)."""
        parts = self.in_threads([partial(block.all, w) for block in self.blocks])
        loss, g = parts[0]
        for more_loss, more_g in parts[1:]:
            loss += more_loss
            g += more_g
        if self.l2:
            g += self.ridge * w
        return Evaluation(loss / self.n_mean + self.l2_term(w), g, self._scores)

    def scores(self, w: Array) -> Array:
        """X @ w as a new array, shape (n,) or (n, C)."""
        self.in_threads([partial(block.forward, w) for block in self.blocks])
        return self._scores.copy()

    def gradient(self, residual: Array, w: Array) -> Array:
        """X' residual + l2 w: the gradient at w, whose residuals (n,) or (n, C) are known."""
        parts = self.in_threads([partial(block.transposed, residual) for block in self.blocks])
        g = parts[0]
        for more in parts[1:]:
            g += more
        if self.l2:
            g += self.ridge * w
        return g

    def value(self, scores: Array, w: Array) -> float:
        """f at a point whose scores are known: O(n C), no matrix product."""
        return self.mean_loss(scores) + self.l2_term(w)

    def mean_loss(self, scores: Array) -> float:
        """Mean loss, without the l2 term, of scores of shape (n,) or (n, C)."""
        total, row = 0.0, 0
        for block in self.blocks:
            total += block.loss(scores[row : row + len(block.scores)])
            row += len(block.scores)
        return total / self.n_mean

    def residuals(self, scores: Array) -> Array:
        """Derivative of the mean loss in the scores, a new array of their shape."""
        self.mean_loss(scores)
        return np.concatenate([block.residual for block in self.blocks])

    def weighted(self, a: Array) -> Array:
        """Rows of `a`, (n,) or (n, C), each times its sample's weight."""
        return a if self.sample_weight is None else (a.T * self.sample_weight).T

    def unweighted(self, a: Array) -> Array:
        """The inverse of :meth:`weighted`."""
        return a if self.sample_weight is None else (a.T / self.sample_weight).T

    @property
    def ridge(self) -> Any:
        """l2 of each weight: one number, or (p,) or (p, 1) with a 0 for the intercept."""
        if not self.intercept:
            return self.l2
        each = np.full((self.p, *(1 for _ in self.shape[1:])), self.l2, self.dtype)
        each[-1] = 0.0
        return each

    def l2_term(self, w: Array) -> float:
        """(l2/2) ||w||^2, without the intercept."""
        w = w[:-1] if self.intercept else w
        return 0.5 * self.l2 * float(np.vdot(w, w)) if self.l2 else 0.0

    def accuracy(self, scores: Array) -> float:
        """(Weighted) share of samples whose class has the largest score; a tie: the first class."""
        predicted = scores.argmax(axis=1) if self.softmax else (scores > 0).astype(np.intp)
        return float(np.average(predicted == self.labels.index, weights=self.sample_weight))

    def value_of(self, w: Array, scores: Any = None) -> float:
        """f at `w`, whose scores may be known."""
        return self.value(self.scores(w) if scores is None else scores, w)

    def judged(self, w: Array, scores: Array | None = None) -> tuple[float, float]:
        """Accuracy and mean loss at `w`, whose scores may be known."""
        scores = self.scores(w) if scores is None else scores
        return self.accuracy(scores), self.mean_loss(scores)

    def with_l2(self, l2: float) -> Problem:
        """Return the same objective with another l2 term; data and work space are shared."""
        twin = copy.copy(self)
        twin.l2 = l2
        return twin

    def in_metric(self, scale: Array | None) -> Problem:
        """Return the same objective, to be minimised over v where w = scale v (``metric``).

        `scale` has shape (p,), or (p, 1) for softmax; None is the identity. All methods keep to
        the user's variables w; :meth:`rescaled` takes v to w, and gradients in w to those in v.
        """
        twin = copy.copy(self)
        twin.metric_scale = scale
        return twin

    def rescaled(self, a: Array) -> Array:
        """scale * a: the weights w of a point v, or the gradient in v from the one in w."""
        return a if self.metric_scale is None else self.metric_scale * a

    def in_coordinates(self, w: Array) -> Array:
        """w/scale: the point v of weights w, in the problem's dtype."""
        w = w.astype(self.dtype)
        return w if self.metric_scale is None else w / self.metric_scale

    def restrict(self, kept: Mask) -> Problem:
        """Return the objective with only the kept loss terms, the divisor of the mean unchanged.

        `kept` has shape (n,) for two classes, (n, C) for more (True in each row's own class):
        the terms log(1 + exp(-m)) or exp(-m_c), with m_c = z_y - z_c, that stay. No l2 term.
        """
        same = {"dtype": self.dtype, "threads": self.threads, "n_mean": self.n_mean}
        if self.softmax:
            return Problem(
                self.X, self.labels, dropped=~kept, sample_weight=self.sample_weight, **same
            )
        fewer = Labels(self.labels.classes, self.labels.index[kept])
        c = None if self.sample_weight is None else self.sample_weight[kept]
        return Problem(self.X[kept], fewer, sample_weight=c, **same)

    def in_threads(self, jobs: Sequence[Callable[[], Result]]) -> list[Result]:
        """Results of `jobs`, in their order, computed on at most `threads` threads."""
        if len(jobs) == 1:
            return [jobs[0]()]
        workers = min(self.threads, len(jobs))
        groups = [jobs[i * len(jobs) // workers : (i + 1) * len(jobs) // workers]
                  for i in range(workers)]  # fmt: skip

        def all_of(group: Sequence[Callable[[], Result]]) -> list[Result]:
            return [job() for job in group]

        # The main thread takes the first group itself: pool threads alone often share a core.
        waiting = [self._helpers().submit(all_of, group) for group in groups[1:]]
        done = [all_of(groups[0]), *(future.result() for future in waiting)]
        return list(itertools.chain.from_iterable(done))

    def _helpers(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(max(1, self.threads - 1), "dadapt-rows")
        return self._pool


def cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
