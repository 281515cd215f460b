"""``dadapt check FOLDER``: every checksum, every index, and what the manifest says about them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dadapt_cli._typing import Record
from dadapt_cli.errors import DataError
from dadapt_cli.packed.folder import Data
from dadapt_cli.packed.format import MANIFEST, damaged
from dadapt_cli.packed.reading import Rows, read, rows_of, verify


def check(
    data: Data, progress: Callable[[int, int | None, int], None] = lambda done, size, rows: None
) -> Record:
    """Read all of a packed folder.

    Returns
    -------
    Record
        What ``dadapt check --json`` prints.

    Raises
    ------
    DataError, InputOutputError
        Something is not as it was packed; the file is named.
    """
    about = data.about
    ones = np.ones(data.largest_leaf[1])
    counts = np.zeros(len(about["classes"]), np.int64)
    filled = np.zeros(data.shape[1], bool)
    empty = longest = done = 0
    low, high = np.inf, -np.inf
    for leaf in data.leaves:
        parts = read(data, leaf)
        verify(data, leaf, parts)
        rows = rows_of(data, leaf, parts, ones, np.dtype(np.float64))
        _check_rows(data, rows)
        lengths = np.diff(rows.X.indptr)
        counts += np.bincount(rows.numbers, minlength=len(counts))
        filled[rows.X.indices] = True
        empty += int(np.count_nonzero(lengths == 0))
        longest = max(longest, int(lengths.max()))
        low = min(low, float(rows.X.data.min(initial=np.inf)))
        high = max(high, float(rows.X.data.max(initial=-np.inf)))
        done += leaf.rows
        progress(done, data.shape[0], done)
    largest = max(abs(low), abs(high)) if data.nnz else 0.0
    said = (about["empty_rows"], about["longest_row"], about["largest_value"])
    if (empty, longest, largest) != said or counts.tolist() != [n for _, n in about["classes"]]:
        raise damaged(f"{data.path}/{MANIFEST}", "it says what the files do not hold")
    base = 0 if about["zero_based"] else 1
    used = np.flatnonzero(filled)
    return {
        "path": data.path,
        "samples": data.shape[0],
        "features": data.shape[1],
        "nonzeros": data.nnz,
        "density": data.nnz / (data.shape[0] * data.shape[1]),
        "labels": {str(label): count for label, count in sorted(data.classes.items())},
        "index_base": base,
        "min_index": int(used[0]) + base if len(used) else None,
        "max_index": int(used[-1]) + base if len(used) else None,
        "value_min": low if data.nnz else None,
        "value_max": high if data.nnz else None,
        "empty_columns": data.shape[1] - len(used),
        "empty_rows": empty,
        "longest_row": longest,
        "leaves": len(data.leaves),
        "leaf": about["leaf"],
        "sha256": data.sha256,
        "text": about["text"],
    }


def _check_rows(data: Data, rows: Rows) -> None:
    """Raise DataError unless indices increase in each row and values are finite and not 0."""
    X = rows.X
    falling = X.indices[1:] <= X.indices[:-1]
    starts = X.indptr[1:-1]
    falling[starts[(starts > 0) & (starts < len(X.indices))] - 1] = False
    if falling.any():
        raise damaged(data.file(rows.leaf, "indices"), "a row whose indices do not increase")
    if not (np.isfinite(X.data) & (X.data != 0)).all():
        raise damaged(data.file(rows.leaf, "values"), "a value that is 0 or no number")


def require_classes(data: Data) -> None:
    """Raise DataError unless the labels are of at least two classes."""
    if len(data.classes) < 2:
        only = next(iter(data.classes))
        raise DataError(
            f"all {data.shape[0]} rows have the label {only}; two classes are needed", data.path
        )
