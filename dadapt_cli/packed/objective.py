"""The objective on a packed folder: the methods of a problem over an engine that sums."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.errors import UsageError
from dadapt_cli.objective import VECTORS, Evaluation, Problem
from dadapt_cli.packed.folder import Data
from dadapt_cli.packed.kept import SAMPLE
from dadapt_cli.packed.settings import Settings
from dadapt_cli.packed.share import _like
from dadapt_cli.packed.stream import AHEAD, rows
from dadapt_cli.packed.sums import Engine, Sums
from dadapt_cli.preprocessing.labels import Labels
from dadapt_cli.system import memory

PROGRAM = 60 * 2**20
"""Bytes that a process takes before it has any data."""


SUMS = 8
"""Float64 arrays at the start of a fit: sums over the columns, factors and their products."""


class Packed(Problem):
    """The objective on a packed folder; see :class:`Problem`.

    No array as long as the samples is stored here: an evaluation has no scores.

    Parameters
    ----------
    data
        The folder.
    labels
        The classes; the index of the samples is empty.
    engine
        Computes the sums.
    settings
        How the leaves are interpreted.
    l2, intercept
        As in :class:`Problem`; the constant feature is in the settings.
    """

    def __init__(
        self,
        data: Data,
        labels: Labels,
        engine: Engine,
        settings: Settings,
        *,
        l2: float,
        intercept: bool,
    ) -> None:
        self.labels = labels
        self.l2 = l2
        self.bias = settings.bias
        self.intercept = intercept and l2 > 0
        self.dtype = np.dtype(settings.dtype)
        self.n, self.n_mean = data.shape[0], data.shape[0]
        self.p = data.shape[1] + self.bias
        self.n_classes = labels.n_classes
        self.softmax = self.n_classes > 2
        self.shape = (self.p, self.n_classes) if self.softmax else (self.p,)
        self.X = self.data = data
        self.dropped = self.sample_weight = self.y = None
        self.threads = settings.threads
        self.settings = settings
        self.blocks = []
        self.metric_scale = self.column_squares = None
        self.sums = Sums(data, engine, settings, labels)

    @property
    def stored(self) -> int:
        """As `nonzeros`."""
        return self.nonzeros

    @property
    def most_sampled(self) -> int:
        """Rows of a sample, which the leading process has in memory: SAMPLE entries on average."""
        return max(1, min(self.n, SAMPLE * self.n // max(1, self.nonzeros)))

    @property
    def nonzeros(self) -> int:
        """Stored entries, those of the constant feature included."""
        return self.data.nnz + self.bias * self.n

    def value_and_gradient(self, w: Array) -> Evaluation:
        """Evaluate f and its gradient at `w`; one pass."""
        loss, g = self.sums.ask("value_and_gradient", np.ascontiguousarray(w))
        if self.l2:
            g += self.ridge * w
        return Evaluation(loss / self.n_mean + self.l2_term(w), g, None)

    def value_of(self, w: Array, scores: Any = None) -> float:
        """f at `w`; one pass, half of an evaluation."""
        loss, _ = self.sums.ask("value", np.ascontiguousarray(w))
        return float(loss) / self.n_mean + self.l2_term(w)

    def judged(self, w: Array, scores: Array | None = None) -> tuple[float, float]:
        """Accuracy and mean loss at `w`."""
        loss, right = self.sums.ask("value", np.ascontiguousarray(w))
        return float(right) / self.n, float(loss) / self.n_mean

    def in_float64(self) -> Packed:
        """The objective itself, whatever the run's dtype: for enclosures, which read the leaves."""
        twin = copy.copy(self)
        twin.dtype = np.dtype(np.float64)
        return twin

    def parts(self) -> Iterator[Problem]:
        """The leaves as problems of their own, float64, without the l2 term, over the same mean."""
        numbers = np.array(self.settings.classes, np.intp)
        for own in rows(self.data, np.dtype(np.float64)):
            index = numbers[own.numbers]
            X = _like(own.X, own.X.data)
            yield Problem(
                X, Labels(self.labels.classes, index), bias=self.bias, threads=1, n_mean=self.n_mean
            )


def classes_of(data: Data, positive: int | None) -> tuple[Labels, tuple[int, ...]]:
    """The classes in order, and the number of each class as it is numbered on disk.

    Raises
    ------
    UsageError
        No row has the label `positive`.
    """
    names = sorted(data.classes)
    if positive is None:
        order = {label: i for i, label in enumerate(names)}
        shown: tuple[int | str, ...] = tuple(names)
    else:
        if positive not in data.classes:
            some = ", ".join(map(str, names[:8])) + (", ..." if len(names) > 8 else "")
            raise UsageError(f"--positive {positive}: no row has it; the labels are {some}")
        order = {label: int(label == positive) for label in names}
        other = next(label for label in names if label != positive)
        shown = ("rest" if len(names) > 2 else other, positive)
    labels = Labels(shown, np.empty(0, np.intp))
    return labels, tuple(order[label] for label in data.classes)


def bytes_needed(data: Data, settings: Settings, workers: int = 1) -> tuple[int, int]:
    """Bytes of the work space of a process that streams, and what holding the leaves adds.

    Counted are the buffers, ones, scores of the threads, gradients of the tree, the vectors of a
    method, and what it keeps of the samples.
    """
    rows_most, entries = data.largest_leaf
    item, width = np.dtype(settings.dtype).itemsize, settings.n_classes
    columns = width if width > 2 else 1
    kinds = {leaf.kind.values for leaf in data.leaves}
    per_entry = 4 + max((int(kind[1]) for kind in kinds - {"ones"}), default=0)
    leaves = -(-len(data.leaves) // workers)
    threads = max(1, min(settings.threads, leaves))
    buffers = (threads + AHEAD) * (entries * per_entry + 9 * rows_most)
    ones = item * entries if "ones" in kinds else 0
    scores = 6 * threads * rows_most * columns * item
    p = (data.shape[1] + settings.bias) * columns
    gradients = p * item * (VECTORS + threads + math.ceil(math.log2(leaves + 1)))
    gradients += 8 * SUMS * (data.shape[1] + settings.bias)
    if kinds != {"ones"} or item == 4:  # |x| and x^2, float64
        scores += 16 * threads * entries
    held = (data.nnz * per_entry + 5 * data.shape[0]) // workers
    kept = settings.sample_bytes * -(-data.shape[0] // workers) + settings.leaf_bytes * leaves
    working = buffers + ones + scores + gradients + kept + settings.lead_bytes
    return PROGRAM + working, held


def require_memory(data: Data, settings: Settings, workers: int = 1, beside: int = 1) -> bool:
    """Whether the leaves of a process can be held in memory, too; `beside` of them share it.

    Raises
    ------
    DataError
        There is not enough memory even to read the leaves one after the other.
    """
    streaming, held = bytes_needed(data, settings, workers)
    memory.require(
        beside * (streaming - PROGRAM),
        f"working on leaves of {data.largest_leaf[1]} entries with {data.shape[1]} features",
        remedy="use a larger machine, fewer --threads, or pack with a smaller --leaf",
    )
    there = memory.available()
    return there is None or beside * (streaming - PROGRAM + held) <= there
