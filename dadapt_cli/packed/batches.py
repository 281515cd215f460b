"""Minibatches of a packed folder: leaves in a shuffled order, rows shuffled within a few of them.

That is no uniform shuffle: rows of leaves that are far apart in an epoch's order do not meet in a
batch, so data sorted by class must be shuffled before they are packed. A folder of at most BUFFER
leaves is shuffled uniformly, with the order that the same rows in memory have.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from dadapt_cli._typing import Array, Indices, Matrix
from dadapt_cli.objective import Problem
from dadapt_cli.objective.blocks import sparse
from dadapt_cli.objective.minibatches import CHUNK_BYTES, Batches
from dadapt_cli.packed.folder import Data
from dadapt_cli.packed.format import Leaf
from dadapt_cli.packed.settings import Settings

BUFFER = 4
"""Leaves whose rows are shuffled together. Part of what a seed means: not a matter of memory."""

VECTORS = 12
"""Arrays of the size of the weights that a minibatch method has, at most."""


class PackedBatches(Batches):
    """Shuffled minibatches of the leaves, without replacement; see :class:`Batches`.

    An epoch draws a permutation of the leaves, if they are more than BUFFER, and then, for each
    BUFFER of them, one of their rows. Batches run on from one buffer to the next.

    Parameters
    ----------
    problem, size, seed
        As there.
    sums
        Those of the problem; its engine has all leaves in this process.
    """

    def __init__(self, problem: Problem, size: int, seed: int, sums: Any) -> None:
        super().__init__(problem, size, seed)
        self.engine, self.settings = sums.engine, sums.settings
        self.leaves: tuple[Leaf, ...] = sums.data.leaves
        self._numbers = np.array(self.settings.classes, np.intp)

    def epoch(self, done: int = 0) -> Iterator[tuple[Matrix, Array | Indices, Array | None]]:
        """The batches after the first `done` of an epoch; what lies before them is not read."""
        done *= self.size
        begin, left = 0, []  # rows before this buffer; those of the batch that is not full yet
        for group in self._groups():
            order = self.generator.permutation(sum(leaf.rows for leaf in group))
            begin += len(order)
            if begin <= done:
                continue
            X, y = self._rows(group)
            at = begin - len(order)
            head = order[: -at % self.size]  # of a batch that the buffers before began
            if at + len(head) > done and len(head):
                left.append((X[head], y[head]))
                if (at + len(head)) % self.size == 0:
                    yield self._joined(left)
                    left = []
            body = order[len(head) :]
            whole = len(body) // self.size * self.size
            yield from self.cut(X, y, None, body[:whole], max(0, done - at - len(head)))
            if whole < len(body):
                left.append((X[body[whole:]], y[body[whole:]]))
        if left:
            yield self._joined(left)

    def _groups(self) -> list[tuple[Leaf, ...]]:
        """The leaves of an epoch, BUFFER by BUFFER."""
        leaves = self.leaves
        if len(leaves) > BUFFER:
            leaves = tuple(leaves[i] for i in self.generator.permutation(len(leaves)))
        return [leaves[i : i + BUFFER] for i in range(0, len(leaves), BUFFER)]

    def _rows(self, group: tuple[Leaf, ...]) -> tuple[Matrix, Array | Indices]:
        """The rows of some leaves, with the constant feature if there is one, and their y."""
        size = sum(leaf.entries for leaf in group)
        kind = np.int32 if size < 2**31 else np.int64
        values, indices = np.empty(size, self.problem.dtype), np.empty(size, kind)
        ends, numbers, begin = [np.zeros(1, kind)], [], 0
        for leaf in group:
            own = self.engine.rows(leaf)
            place = slice(begin, begin + leaf.entries)
            values[place], indices[place] = own.X.data, own.X.indices
            ends.append(own.X.indptr[1:].astype(kind, copy=False) + kind(begin))
            numbers.append(self._numbers[own.numbers])
            begin += leaf.entries
        index = np.concatenate(numbers)
        shape = (len(index), self.problem.p - self.settings.bias)
        X = sparse().csr_array(shape, dtype=values.dtype)
        X.data, X.indices, X.indptr = values, indices, np.concatenate(ends)  # as they are
        if self.settings.bias:
            ones = np.ones((len(index), 1), X.dtype)
            X = sparse().csr_array(sparse().hstack([X, ones], format="csr"))
        if self.problem.softmax:
            return X, index
        return X, np.where(index == 1, 1.0, -1.0).astype(self.problem.dtype)

    def _joined(
        self, parts: list[tuple[Matrix, Array | Indices]]
    ) -> tuple[Matrix, Array | Indices, None]:
        """A batch from its parts, dense where the others are."""
        X = sparse().csr_array(sparse().vstack([X for X, _ in parts], format="csr"))
        return X.toarray() if self.densify else X, np.concatenate([y for _, y in parts]), None


def buffer_bytes(data: Data, settings: Settings) -> int:
    """Bytes of the buffer, of a leaf that is read into it, and of a minibatch method's vectors."""
    rows, entries = data.largest_leaf
    item = np.dtype(settings.dtype).itemsize
    columns = settings.n_classes if settings.n_classes > 2 else 1
    one = entries * (item + 8) + rows * (16 + item * (1 + settings.bias))
    unknowns = (data.shape[1] + settings.bias) * columns
    chunks = 4 * CHUNK_BYTES
    return (BUFFER * (1 + settings.bias) + 1) * one + VECTORS * item * unknowns + chunks
