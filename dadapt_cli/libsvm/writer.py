"""Write a matrix as LIBSVM text that reads back bit for bit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

from dadapt_cli.errors import DataError
from dadapt_cli.libsvm.fast import MAX_INDEX, MAX_LABEL
from dadapt_cli.libsvm.rows import Array
from dadapt_cli.system.files import atomic_write

_ROWS = 4096  # rows converted to Python numbers at a time


def write_libsvm(path: str | os.PathLike[str], X: Any, y: Any, *, zero_based: bool = False) -> None:
    """Write X and y, atomically.

    Numbers are written in the fewest digits that give the same float back; entries that are
    zero are left out. The width of X is not in the text: give it as ``n_features`` when reading,
    if the last columns are empty.

    Parameters
    ----------
    path
        The file to create or replace.
    X
        Shape (samples, features); sparse or dense, float64 or float32 (others become float64).
        Duplicate entries are summed.
    y
        Shape (samples,): numbers of at most 2^53 in magnitude.
    zero_based
        Whether the first feature is written as index 0.

    Raises
    ------
    DataError
        A value is NaN or infinite, a label is out of range, or there are no rows.
    ValueError
        The shapes do not fit together.
    InputOutputError
        The file cannot be written.
    """
    matrix = sp.csr_array(X)
    if matrix.dtype not in (np.dtype(np.float64), np.dtype(np.float32)):
        matrix = matrix.astype(np.float64)
    labels = np.asarray(y, dtype=np.float64)
    if labels.shape != matrix.shape[:1]:
        raise ValueError(f"y has shape {labels.shape}, X has {matrix.shape[0]} rows")
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    name = os.fspath(path)
    if not matrix.shape[0]:
        raise DataError("there are no rows to write", name)
    if matrix.shape[1] > MAX_INDEX:
        raise DataError(f"{matrix.shape[1]} columns are more than {MAX_INDEX}", name)
    if not np.isfinite(matrix.data).all():
        raise DataError("X holds NaN or infinity, which LIBSVM text cannot; impute it", name)
    if not (np.abs(labels) <= MAX_LABEL).all():
        raise DataError("y holds labels that are not numbers of at most 2^53", name)
    with atomic_write(path) as file:
        for text in _text(matrix, labels, 0 if zero_based else 1):
            file.write(text)


def _text(matrix: sp.csr_array, labels: Array, lowest: int) -> Iterator[bytes]:
    for start in range(0, len(labels), _ROWS):
        ends = matrix.indptr[start : start + _ROWS + 1]
        begin = int(ends[0])
        indices = (matrix.indices[begin : ends[-1]].astype(np.int64) + lowest).tolist()
        values = _shortest(matrix.data[begin : ends[-1]])
        pairs = [f" {i}:{v}" if v else "" for i, v in zip(indices, values, strict=True)]
        names = [repr(n).removesuffix(".0") for n in labels[start : start + _ROWS].tolist()]
        bounds = (ends - begin).tolist()
        yield "".join(
            f"{name}{''.join(pairs[a:b])}\n"
            for name, a, b in zip(names, bounds[:-1], bounds[1:], strict=True)
        ).encode("ascii")


def _shortest(values: Array) -> list[str]:
    """Fewest digits that give the same float back, "" for zero."""
    numbers = values.tolist()
    if values.dtype == np.float32:
        return [_single(v, n) if n else "" for v, n in zip(values, numbers, strict=True)]
    return [repr(n).removesuffix(".0") if n else "" for n in numbers]


def _single(value: Any, number: float) -> str:
    """Digits of a float32; those of the same float64 if rounding twice would spoil the shorter."""
    text = str(value).removesuffix(".0")
    return text if np.float32(float(text)) == value else repr(number)
