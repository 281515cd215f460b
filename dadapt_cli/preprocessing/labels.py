"""The classes of a problem, from the labels: integers in a file; also text or bools in Python."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dadapt_cli._typing import Array, Indices, Label, Mask
from dadapt_cli.errors import DataError, UsageError
from dadapt_cli.system.terminal import word

LARGEST_LABEL = 2.0**53
"""Beyond it float64 no longer tells neighbouring integers apart."""

LONGEST_LABEL = 1000
"""Characters of a label of text: more is a document, not the name of a class."""

INTEGERS = "labels are integers of at most 2^53"

NUMBERS = (int, float, np.integer, np.floating, np.bool_)


class Rest(str):
    """The type of :data:`REST`, which tells it from a label that is called ``rest``."""

    __slots__ = ()


REST = Rest("rest")
"""The class of all other labels, in front of the one of ``positive``."""


@dataclass(frozen=True)
class Labels:
    """Classes in ascending order and, for each sample, the number of its class.

    Attributes
    ----------
    classes
        The labels; for two classes the second is the positive one. With ``positive`` the first
        is all the others together, :data:`REST`.
    index
        Class number of each sample, shape (n,).
    notes
        What the user should know about them, one line each.
    """

    classes: tuple[Label, ...]
    index: Indices
    notes: tuple[str, ...] = ()

    @property
    def n_classes(self) -> int:
        """Number of classes, 2 or more."""
        return len(self.classes)


def as_array(y: Any) -> Array:
    """Labels as an array: of numbers, of bools, or of objects that are all ``str``.

    NumPy alone would make text of the number in ``[1, "a"]``, and drop a NUL at the end of a text.

    Raises
    ------
    DataError
        Labels of several types, of another one, or text that no label can be.
    """
    try:
        found = np.asarray(y)
        if found.dtype.kind == "U" and not isinstance(y, np.ndarray):
            found = np.asarray(y, dtype=object)
    except ValueError as error:  # rows of several lengths
        raise DataError(f"labels are no array ({error}); one label a row is needed") from error
    if found.ndim != 1 or found.dtype.kind in "biuf":
        return found
    if found.dtype.kind == "S":
        raise DataError("labels are bytes; give text, y.astype(str)")
    values = found.tolist()
    kinds = {type(value) for value in values}
    if values and all(issubclass(kind, str) for kind in kinds):
        for label in set(values):
            if fault := text_fault(label):
                raise DataError(f"row {values.index(label) + 1} has a label {fault}")
        return np.array([str(value) for value in values], dtype=object)
    truths = {kind for kind in kinds if issubclass(kind, (bool, np.bool_))}
    if truths in (set(), kinds) and all(issubclass(kind, NUMBERS) for kind in kinds):
        for row, value in enumerate(values):
            if abs(value) > LARGEST_LABEL:  # NumPy may have no integers of this size
                raise DataError(f"row {row + 1} has the label {word(value, 40)}; {INTEGERS}")
        return np.array(values)
    row = next((i for i, v in enumerate(values) if type(v) is not type(values[0])), 0)
    raise DataError(
        f"row {row + 1} has the label {word(values[row], 40)} of type "
        f"{type(values[row]).__name__}, row 1 one of type {type(values[0]).__name__}; labels are "
        "all integers, all text or all bools"
    )


def text_fault(label: str) -> str | None:
    """Why a text cannot be a label, in the words after "a label"; None where it can."""
    if len(label) > LONGEST_LABEL:
        return f"of {len(label)} characters; give at most {LONGEST_LABEL}"
    if "\0" in label:
        return f"with a NUL character, {label[:40]!r}; NumPy drops those, so leave them out"
    if any("\ud800" <= c <= "\udfff" for c in label):
        return f"with half a character, {label[:40]!r}; decode the text with its own encoding"
    return None


def encode(y: Any, *, positive: Label | None = None) -> Labels:
    """Number the classes of `y`.

    Parameters
    ----------
    y
        Labels, shape (n,): integers of magnitude at most 2^53, stored as floats or integers; or
        all text, or all bools.
    positive
        This label against all the others: a binary problem.

    Raises
    ------
    DataError
        Labels that are none of these, or all the same.
    UsageError
        `positive` does not occur.
    """
    y = as_array(y)
    if y.ndim != 1:
        raise DataError(f"labels have shape {y.shape}; one label a row is needed")
    if not len(y):
        raise DataError("no data rows")
    names, index = _numbered(y) if y.dtype.kind in "iuf" else _named(y)
    if len(names) < 2:
        raise DataError(
            f"all {len(y)} rows have the label {word(names[0], 40)}; two classes are needed"
        )
    if positive is not None:
        if positive not in names:
            raise UsageError(
                f"--positive {word(positive, 40)}: no row has it; the labels are {some(names)}"
            )
        positive = names[names.index(positive)]  # of the labels' own type
        index = (index == names.index(positive)).astype(np.intp)
        if len(names) > 2:
            return Labels((REST, positive), index)
        # Two labels stay two labels; only which one counts as positive is the user's choice.
        return Labels((next(v for v in names if v != positive), positive), index)
    notes: tuple[str, ...] = ()
    if len(names) > 2 and len(names) > len(y) / 2:
        notes = (f"{len(names)} classes in {len(y)} rows; are the labels measurements?",)
    return Labels(names, index, notes)


def _named(y: Array) -> tuple[tuple[Label, ...], Indices]:
    """Text or bools, sorted, and the number of each row's."""
    values: list[Any] = y.tolist()
    names = tuple(sorted(set(values)))
    number = {name: i for i, name in enumerate(names)}
    return names, np.array([number[value] for value in values], np.intp)


def _numbered(y: Array) -> tuple[tuple[Label, ...], Indices]:
    """Integers, sorted, and the number of each row's; DataError for other numbers."""
    bad = np.flatnonzero(~np.isfinite(y) | (np.abs(y) > LARGEST_LABEL))
    if bad.size:
        raise DataError(f"row {bad[0] + 1} has the label {float(y[bad[0]])!r}; {INTEGERS}")
    bad = np.flatnonzero(y != np.floor(y))
    if bad.size:
        raise DataError(
            f"row {bad[0] + 1} has the label {float(y[bad[0]])!r}, not an integer: "
            "regression data? Classification needs integer labels"
        )
    values, index = np.unique(y, return_inverse=True)
    return tuple(int(v) for v in values), index.astype(np.intp)


def some(names: Iterable[Label]) -> str:
    """The first labels, for a message."""
    known = list(names)
    shown = ", ".join(word(label, 40) for label in known[:8])
    return shown if len(known) <= 8 else f"{shown}, ... ({len(known)} in all)"


def rows_of(y: Array, label: Label) -> Mask:
    """The rows of :func:`as_array`'s labels that have this one, (n,)."""
    if isinstance(label, str) != (y.dtype.kind == "O"):
        return np.zeros(len(y), bool)
    return np.asarray(y == label)


def indices(classes: tuple[Label, ...], y: Any) -> Indices:
    """Number of the class of each label, shape (n,); -1 for a label that is none of them.

    :data:`REST` takes all labels that are not the other class.
    """
    y = as_array(y)
    index = np.full(len(y), 0 if isinstance(classes[0], Rest) else -1)
    for number, label in enumerate(classes):
        if not isinstance(label, Rest):
            index[rows_of(y, label)] = number
    return index
