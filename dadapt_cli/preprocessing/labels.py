"""The classes of a problem, from the labels in a file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dadapt_cli._typing import Array, Indices
from dadapt_cli.errors import DataError, UsageError

LARGEST_LABEL = 2.0**53
"""Beyond it float64 no longer tells neighbouring integers apart."""


@dataclass(frozen=True)
class Labels:
    """Classes in ascending order and, for each sample, the number of its class.

    Attributes
    ----------
    classes
        The labels; for two classes the second is the positive one. With ``positive`` the first
        is all the others together, written ``rest``.
    index
        Class number of each sample, shape (n,).
    notes
        What the user should know about them, one line each.
    """

    classes: tuple[int | str, ...]
    index: Indices
    notes: tuple[str, ...] = ()

    @property
    def n_classes(self) -> int:
        """Number of classes, 2 or more."""
        return len(self.classes)


def encode(y: Array, *, positive: int | None = None) -> Labels:
    """Number the classes of `y`.

    Parameters
    ----------
    y
        Labels, shape (n,): integers of magnitude at most 2^53, stored as floats or integers.
    positive
        This label against all the others: a binary problem.

    Raises
    ------
    DataError
        Labels that are not integers, or all the same.
    UsageError
        `positive` does not occur.
    """
    y = np.asarray(y)
    if y.ndim != 1:
        raise DataError(f"labels have shape {y.shape}; one label a row is needed")
    if y.dtype.kind == "b":
        y = y.astype(np.int64)
    if y.dtype.kind not in "iuf":
        raise DataError(f"labels are of type {y.dtype}; number the classes")
    bad = np.flatnonzero(~np.isfinite(y) | (np.abs(y) > LARGEST_LABEL))
    if bad.size:
        raise DataError(
            f"row {bad[0] + 1} has the label {float(y[bad[0]])!r}; "
            "labels are integers of at most 2^53"
        )
    bad = np.flatnonzero(y != np.floor(y))
    if bad.size:
        raise DataError(
            f"row {bad[0] + 1} has the label {float(y[bad[0]])!r}, not an integer: "
            "regression data? Classification needs integer labels"
        )
    if not len(y):
        raise DataError("no data rows")
    values, index = np.unique(y, return_inverse=True)
    if len(values) < 2:
        raise DataError(
            f"all {len(y)} rows have the label {int(values[0])}; two classes are needed"
        )
    names: tuple[int | str, ...] = tuple(int(v) for v in values)
    if positive is not None:
        if positive not in names:
            raise UsageError(f"--positive {positive}: no row has it; the labels are {_some(names)}")
        if len(names) > 2:
            return Labels(("rest", positive), (index == names.index(positive)).astype(np.intp))
        # Two labels stay two labels; only which one counts as positive is the user's choice.
        index = (index == names.index(positive)).astype(np.intp)
        return Labels((next(v for v in names if v != positive), positive), index)
    notes: tuple[str, ...] = ()
    if len(names) > 2 and len(names) > len(y) / 2:
        notes = (f"{len(names)} classes in {len(y)} rows; are the labels measurements?",)
    return Labels(names, index.astype(np.intp), notes)


def _some(names: tuple[int | str, ...]) -> str:
    shown = ", ".join(str(v) for v in names[:8])
    return shown if len(names) <= 8 else f"{shown}, ... ({len(names)} in all)"


def indices(classes: tuple[int | str, ...], y: Array) -> Indices:
    """Number of the class of each label, shape (n,); -1 for a label that is none of them.

    ``rest`` takes all labels that are not the other class.
    """
    index = np.full(len(y), classes.index("rest") if "rest" in classes else -1)
    for number, label in enumerate(classes):
        if label != "rest":
            index[y == label] = number
    return index
