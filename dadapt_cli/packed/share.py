"""Some consecutive leaves of a folder, and the sums over their samples.

Arrays as long as the samples stay here. What is returned are nodes of the tree
(:mod:`.tree`) of sums of the size of the weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dadapt_cli._typing import Array, Indices, Matrix
from dadapt_cli.objective.blocks import sparse, transposed
from dadapt_cli.objective.losses import Logistic, Softmax
from dadapt_cli.packed.folder import Data
from dadapt_cli.packed.kept import READING, RESIDENT, Kept
from dadapt_cli.packed.reading import Rows
from dadapt_cli.packed.settings import Settings as Settings
from dadapt_cli.packed.stream import Stream
from dadapt_cli.packed.tree import Node, Part, Tree

OPERATIONS = ("value_and_gradient", "value", "columns", "rows", "magnitude")
"""What may be asked for: methods of :class:`Share`, each with one argument."""


class Share:
    """The operations on some leaves; each returns nodes of the tree over all leaves.

    Parameters
    ----------
    data
        The folder.
    leaves
        The numbers of the share's leaves.
    settings
        How they are interpreted.
    """

    def __init__(self, data: Data, leaves: range, settings: Settings) -> None:
        self.data, self.settings = data, settings
        self.stream = Stream(
            data, leaves, np.dtype(settings.dtype), settings.threads, hold=settings.hold
        )
        self.kept = Kept(data, settings)
        self._numbers = np.array(settings.classes, np.intp)

    def ask(self, operation: str, argument: Any = None) -> list[Node]:
        """Do one of OPERATIONS, or of those on what is kept.

        Raises
        ------
        ValueError
            There is no such operation.
        DataError, InputOutputError
            A file is not what was packed, or cannot be read.
        """
        if operation not in (*OPERATIONS, *READING, *RESIDENT):
            raise ValueError(f"no operation {operation[:40]!r}")
        owner = self if operation in OPERATIONS else self.kept
        work: Callable[[Any], Part] = getattr(owner, operation)(argument)

        def quiet(given: Any) -> Part:
            with np.errstate(all="ignore"):  # non-finite values are found by the loop
                return work(given)

        resident = operation in RESIDENT
        parts = self.stream.without(quiet) if resident else self.stream.each(quiet)
        tree = Tree(len(self.data.leaves))
        for number, part in parts:
            tree.add(0, number, part)
        return tree.parts()

    # Each of these takes the argument and returns the function that computes a leaf's part.

    def value_and_gradient(self, w: Array) -> Callable[[Rows], Part]:
        """Sum of the losses at `w`, and the gradient of the leaf's part of their mean."""

        def work(rows: Rows) -> Part:
            X = self._matrix(rows, w.dtype)
            z = self._forward(X, w)
            residual = np.empty_like(z)
            loss = self._link(rows, w.dtype)(z, residual)
            return loss, self._back(X, residual)

        return work

    def value(self, w: Array) -> Callable[[Rows], Part]:
        """Sum of the losses at `w`, and how many samples are classified right."""

        def work(rows: Rows) -> Part:
            z = self._forward(rows.X, w)
            loss = self._link(rows, z.dtype)(z, np.empty_like(z))
            chosen = (z > 0).astype(np.intp) if z.ndim == 1 else z.argmax(axis=1)
            return loss, float(np.count_nonzero(chosen == self._index(rows)))

        return work

    def columns(self, _: None = None) -> Callable[[Rows], Part]:
        """For each feature: how many entries there are, the sum of |x|, and of x^2; float64."""

        def work(rows: Rows) -> Part:
            X, ones = rows.X, np.ones(rows.X.shape[0] + self.settings.bias)[: rows.X.shape[0]]
            counts = np.bincount(X.indices, minlength=X.shape[1]).astype(np.float64)
            if rows.leaf.kind.values == "ones":
                sums = counts, counts.copy(), counts.copy()
            else:
                size = np.abs(X.data.astype(np.float64))
                one, two = (transposed(_like(X, of)) @ ones for of in (size, size * size))
                sums = counts, one, two
            if self.settings.bias:
                return tuple(np.append(own, float(len(ones))) for own in sums)
            return sums

        return work

    def rows(self, scale: Array | None) -> Callable[[Rows], Part]:
        """With a_i a row, its columns times `scale`: sums of |a_i|_2, |a_i|_1 and |a_i|_1^2."""
        p = self.data.shape[1] + self.settings.bias
        factor = np.ones(p) if scale is None else scale

        def work(rows: Rows) -> Part:
            size = self._size(rows)
            one = self._forward(size, factor)
            if rows.leaf.kind.values != "ones":
                size = _like(rows.X, size.data * size.data)
            two = self._forward(size, factor * factor)
            return float(np.sqrt(two).sum()), float(one.sum()), float((one * one).sum())

        return work

    def magnitude(self, v: Array) -> Callable[[Rows], Part]:
        """|X|' (|X| v), float64."""

        def work(rows: Rows) -> Part:
            size = self._size(rows)
            return (self._back(size, self._forward(size, v)),)

        return work

    def _matrix(self, rows: Rows, dtype: np.dtype[Any]) -> Matrix:
        X = rows.X
        return X if X.dtype == dtype else _like(X, X.data.astype(dtype))

    def _size(self, rows: Rows) -> Matrix:
        """|X|, float64; not copied where all values are 1."""
        if rows.leaf.kind.values == "ones":
            return self._matrix(rows, np.dtype(np.float64))
        return _like(rows.X, np.abs(rows.X.data).astype(np.float64, copy=False))

    def _forward(self, X: Matrix, w: Array) -> Array:
        """X w, with the constant feature where there is one."""
        if not self.settings.bias:
            return np.asarray(X @ w)
        z: Array = X @ w[:-1]
        z += w[-1]
        return z

    def _back(self, X: Matrix, residual: Array) -> Array:
        """X' residual, ditto."""
        g: Array = transposed(X) @ residual
        if not self.settings.bias:
            return g
        return np.concatenate([g, residual.sum(axis=0, keepdims=True)])

    def _index(self, rows: Rows) -> Indices:
        return np.asarray(self._numbers[rows.numbers])

    def _link(self, rows: Rows, dtype: np.dtype[Any]) -> Logistic | Softmax:
        n, index = self.data.shape[0], self._index(rows)
        if self.settings.n_classes > 2:
            return Softmax(index, self.settings.n_classes, n)
        return Logistic(np.where(index == 1, 1.0, -1.0).astype(dtype), n)


def _like(X: Matrix, values: Array) -> Matrix:
    """The matrix with other values in the same places."""
    other = sparse().csr_array(X.shape, dtype=values.dtype)
    other.data, other.indices, other.indptr = values, X.indices, X.indptr
    return other
