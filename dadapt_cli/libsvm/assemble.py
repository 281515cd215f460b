"""Collect rows into one CSR matrix, in little more memory than the matrix itself."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import scipy.sparse as sp

from dadapt_cli.libsvm.rows import Array, Rows
from dadapt_cli.system import memory

_INT32_MAX = 2**31 - 1
_SLACK = 2**20  # entries
_UNKNOWN = 2**23  # entries reserved for a pipe: enough to be pages of their own, which can move
_REMEDY = (
    "dadapt pack makes a folder of it, which is fitted in bounded memory; or use a larger machine"
)
_CHECKED_FROM = 2**28  # bytes below which memory is not asked for, if the user sets no limit
_TYPICAL = 0.02  # share of a file from which the size of the whole can be estimated


class Growing:
    """A one-dimensional array that grows at its end.

    Its memory is reserved by the estimate of the final size: what is never written costs
    nothing. Beyond the estimate it is extended in place (``realloc``) by a sixteenth, on Linux
    by 2^20 entries at a time.
    """

    def __init__(self, dtype: Any, path: str) -> None:
        self._array: Array = np.empty(0, dtype)
        self._path = path
        self.count = 0

    @property
    def values(self) -> Array:
        """The values so far, as a view."""
        return self._array[: self.count]

    def reserve(self, expected: int) -> None:
        """Make room for the estimated final count, before anything is put in."""
        self._array = np.empty(expected, self._array.dtype)

    def extend(self, more: Array) -> None:
        """Append.

        Raises
        ------
        DataError
            There is no memory to grow into.
        """
        needed = self.count + len(more)
        if needed > len(self._array):
            room = max(needed // 16, _SLACK)
            if sys.platform == "linux":
                room = _SLACK  # realloc moves pages there, not bytes: growing is cheap
            bytes_more = (needed + room - len(self._array)) * self._array.itemsize
            what = f"reading more than {self.count} nonzeros"
            memory.require(bytes_more, what, self._path, remedy=_REMEDY)
            self._array.resize(needed + room, refcheck=False)
        self._array[self.count : needed] = more
        self.count = needed

    def finish(self) -> Array:
        """Return the array, without its reserve."""
        self._array.resize(self.count, refcheck=False)
        return self._array


class Assembler:
    """The matrix under construction.

    Parameters
    ----------
    dtype
        Of the values, float64 or float32.
    path
        Of the data, for the message when memory does not suffice.
    """

    def __init__(self, dtype: Any, path: str) -> None:
        self._path = path
        self._labels = Growing(np.float64, path)
        self._ends = Growing(np.int32, path)
        self._indices = Growing(np.int32, path)
        self._values = Growing(dtype, path)
        self._largest = -1
        self._reserved = self._checked = False

    @property
    def rows(self) -> int:
        """Rows so far."""
        return self._labels.count

    def add(self, rows: Rows, lowest: int, continues: bool, share: float | None) -> None:
        """Append rows; explicit zeros are dropped.

        Parameters
        ----------
        rows
            In order, within the range of int32.
        lowest
            0 or 1: the index of the first feature.
        continues
            The first of the rows is the rest of the last one so far.
        share
            How much of the file these rows and those before make up, None when unknown.
        """
        indices, values, counts = rows.indices, rows.values, rows.counts
        if len(indices):
            self._largest = max(self._largest, int(indices.max()) - lowest)
        if lowest:
            indices = indices - indices.dtype.type(lowest)
        values = values.astype(self._values.values.dtype, copy=False)
        if np.count_nonzero(values) < len(values):
            kept = values != 0
            zeros = np.concatenate(([0], np.cumsum(~kept)))
            ends = np.cumsum(counts)
            counts = counts - (zeros[ends] - zeros[ends - counts])
            indices, values = indices[kept], values[kept]
        nonzeros = self._indices.count
        ends = np.cumsum(counts) + nonzeros
        skip = 1 if continues else 0
        if continues:
            self._ends.values[-1] = ends[0]
        total = nonzeros + len(values)
        if share is None and not self._reserved:
            self._reserve(_UNKNOWN, _UNKNOWN)
        elif share is not None:
            self._plan(total / share, (self.rows + len(counts)) / share, share)
        if total > _INT32_MAX and self._ends.values.dtype == np.int32:
            wide = Growing(np.int64, self._path)
            wide.extend(self._ends.values)
            self._ends = wide
        self._labels.extend(rows.labels[skip:])
        self._ends.extend(ends[skip:])
        self._indices.extend(indices)
        self._values.extend(values)

    def _reserve(self, cells: int, rows: int) -> None:
        self._reserved = True
        for array, count in (
            (self._labels, rows),
            (self._ends, rows + 1),
            (self._indices, cells),
            (self._values, cells),
        ):
            array.reserve(count)
        self._ends.extend(np.zeros(1, np.int32))

    def _plan(self, cells: float, rows: float, share: float) -> None:
        """Reserve by the first estimate; refuse a file by a later, better one."""
        per_cell = self._values.values.itemsize + self._indices.values.itemsize
        needed = int(1.03 * (per_cell * cells + 12 * rows))
        if not self._reserved:
            asks = needed > _CHECKED_FROM or memory.limit() is not None
            there = memory.available() if asks else None
            if there is None or needed < there:
                self._reserve(int(1.03 * cells) + 16, int(1.03 * rows) + 16)
            else:  # the first piece may not be typical
                self._reserve(_UNKNOWN, _UNKNOWN)
        if not self._checked and share > _TYPICAL:
            self._checked = True
            if needed > _CHECKED_FROM or memory.limit() is not None:
                left = int(needed * (1 - share))
                memory.require(
                    left,
                    f"the rest of the matrix of some {cells:.2g} nonzeros",
                    self._path,
                    remedy=_REMEDY,
                )

    def finish(self, n_features: int | None) -> tuple[sp.csr_array, Array]:
        """Return the matrix, its indices sorted and without explicit zeros, and the labels."""
        indptr = self._ends.finish()
        columns = max(1, self._largest + 1) if n_features is None else n_features
        indices = self._indices.finish().astype(indptr.dtype, copy=False)
        X = sp.csr_array(
            (self._values.finish(), indices, indptr), shape=(len(indptr) - 1, columns), copy=False
        )
        X.has_sorted_indices = X.has_canonical_format = True
        return X, self._labels.finish()
