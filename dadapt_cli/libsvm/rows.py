"""Consecutive rows of a matrix, as a parser hands them on, and what is asked of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

FLOAT32_LIMIT = float(2**128 - 2**103)  # from here on, rounding to float32 gives infinity


class Rows(NamedTuple):
    """Some consecutive rows of a matrix.

    Attributes
    ----------
    labels
        float64, shape (rows,).
    counts
        Features in each row, int64, shape (rows,).
    indices
        Feature indices as in the text, int64 or smaller, shape (counts.sum(),).
    values
        float64, finite, shape (counts.sum(),).
    """

    labels: Array
    counts: Array
    indices: Array
    values: Array


def is_ordered(rows: Rows, previous: int, lowest: int, highest: int) -> bool:
    """Whether the indices of each row increase and lie within lowest..highest.

    ``previous`` is the index that the first one of the first row must exceed.
    """
    indices = rows.indices
    falling = indices[1:] <= indices[:-1]
    starts = np.cumsum(rows.counts[:-1])
    starts = starts[(starts > 0) & (starts < len(indices))]
    falling[starts - 1] = False
    if falling.any():
        return False
    smallest = min(int(indices[0]), int(indices[starts].min(initial=indices[0])))
    if smallest < lowest or int(indices.max()) > highest:
        return False
    return rows.counts[0] == 0 or bool(indices[0] > previous)


def sort_rows(rows: Rows, sum_duplicates: bool) -> Rows:
    """Sort the indices of each row; values of the same index are summed when that is wanted."""
    if not len(rows.indices):
        return rows
    row = np.repeat(np.arange(len(rows.counts)), rows.counts)
    order = np.lexsort((rows.indices, row))
    indices, values, row = rows.indices[order], rows.values[order], row[order]
    counts = rows.counts
    if sum_duplicates:
        new = np.ones(len(indices), bool)
        new[1:] = (indices[1:] != indices[:-1]) | (row[1:] != row[:-1])
        with np.errstate(over="ignore"):  # the caller refuses infinity
            values = np.add.reduceat(values, np.flatnonzero(new))
        indices = indices[new]
        counts = np.bincount(row[new], minlength=len(counts))
    return Rows(rows.labels, counts, indices, values)


def fits_float32(values: Array) -> bool:
    """Whether no value rounds to infinity in single precision."""
    return bool((np.abs(values) < FLOAT32_LIMIT).all())
