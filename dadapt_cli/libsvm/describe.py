"""A data set in numbers, for a look before training."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from dadapt_cli.libsvm.reader import LoadedData
from dadapt_cli.libsvm.rows import Array
from dadapt_cli.system import memory

_ROWS = 8192  # looked at together where a dense block of them is made
_WEIGHTS = 4  # vectors of the width of X that the smallest fit keeps
_LARGE = 1e150  # squares of larger values overflow


@dataclass(frozen=True)
class Description:
    """Numbers about one data set; the fields of ``dadapt check --json``.

    Attributes
    ----------
    path, compression, encoding, bytes, sha256
        The text: see :class:`~dadapt_cli.libsvm.LoadedData`.
    samples, features, nonzeros, density
        The matrix; density is nonzeros / (samples * features).
    labels
        How often each label occurs, by label.
    min_index, max_index
        Least and greatest index of a nonzero in the text; None without nonzeros.
    index_base
        0 or 1: the index of the first column, as the user said.
    value_min, value_max
        Least and greatest nonzero value; None without nonzeros.
    empty_columns, constant_columns
        Columns without a nonzero; columns with the same nonzero value in every row.
    empty_rows
        Rows without a nonzero.
    duplicate_rows, duplicate_share
        Rows that repeat an earlier one, label included, and their share of all rows.
    memory_bytes
        What matrix and labels take.
    notes
        What the user should know, one line each.
    """

    path: str
    samples: int
    features: int
    nonzeros: int
    density: float
    labels: dict[str, int]
    index_base: int
    min_index: int | None
    max_index: int | None
    value_min: float | None
    value_max: float | None
    empty_columns: int
    constant_columns: int
    empty_rows: int
    duplicate_rows: int
    duplicate_share: float
    memory_bytes: int
    bytes: int
    sha256: str
    encoding: str
    compression: str | None
    notes: tuple[str, ...]


def describe(data: LoadedData, index_base: int) -> Description:
    """Describe a data set.

    Parameters
    ----------
    data
        As read; its matrix has sorted indices and no explicit zeros.
    index_base
        The index of the first column in the text, 0 or 1.

    Raises
    ------
    DataError
        The weights of so many features do not fit in memory.
    """
    X, y = data.X, data.y
    samples, features = X.shape
    memory.require(_WEIGHTS * 8 * features, f"fitting weights for {features} features", data.path)
    filled, constant = _columns(X)
    lengths = np.diff(X.indptr)
    duplicates = _duplicates(X, y)
    names, counts = np.unique(y, return_counts=True)
    value_min = float(X.data.min()) if X.nnz else None
    value_max = float(X.data.max()) if X.nnz else None
    notes = list(data.notes)
    largest = max(abs(value_min or 0.0), abs(value_max or 0.0))
    if largest > _LARGE:
        notes.append(f"the square of the largest value, {largest:.3g}, overflows; scale the data")
    arrays = (X.data, X.indices, X.indptr, y)
    return Description(
        path=data.path,
        samples=samples,
        features=features,
        nonzeros=int(X.nnz),
        density=X.nnz / (samples * features),
        labels={label_name(label): int(count) for label, count in zip(names, counts, strict=True)},
        index_base=index_base,
        min_index=int(X.indices.min()) + index_base if X.nnz else None,
        max_index=int(X.indices.max()) + index_base if X.nnz else None,
        value_min=value_min,
        value_max=value_max,
        empty_columns=features - filled,
        constant_columns=constant,
        empty_rows=int(np.count_nonzero(lengths == 0)),
        duplicate_rows=duplicates,
        duplicate_share=duplicates / samples,
        memory_bytes=sum(int(array.nbytes) for array in arrays),
        bytes=data.bytes,
        sha256=data.sha256,
        encoding=data.encoding,
        compression=data.compression,
        notes=tuple(notes),
    )


def label_name(label: float) -> str:
    """A label as users write it: integers without a point."""
    return repr(float(label) + 0.0).removesuffix(".0")


def _columns(X: sp.csr_array) -> tuple[int, int]:
    """How many columns have a nonzero, and how many have the same one in every row."""
    samples, features = X.shape
    if features <= 4 * X.nnz + 2**20:
        counts = np.bincount(X.indices, minlength=1)
    else:  # far wider than filled: do not make an array of the width
        counts = np.unique(X.indices, return_counts=True)[1]
        if (counts < samples).all():
            return len(counts), 0
        columns, places = np.unique(X.indices, return_inverse=True)
        compact = sp.csr_array((X.data, places, X.indptr), shape=(samples, len(columns)))
        return _columns(compact)
    full = counts == samples
    filled = int(np.count_nonzero(counts))
    if not full.any():
        return filled, 0
    first: Array | None = None
    same = np.ones(np.count_nonzero(full), bool)
    for start in range(0, samples, _ROWS):  # a full column has its entry in each row, in order
        span = slice(X.indptr[start], X.indptr[min(start + _ROWS, samples)])
        block = X.data[span][full[X.indices[span]]].reshape(-1, len(same))
        first = block[0] if first is None else first
        same &= (block == first).all(axis=0)
    return filled, int(np.count_nonzero(same))


def _duplicates(X: sp.csr_array, y: Array) -> int:
    """How many rows repeat an earlier one, label included."""
    seen = set()
    bounds = X.indptr.tolist()
    for row, (begin, end) in enumerate(itertools.pairwise(bounds)):
        digest = hashlib.blake2b(X.indices[begin:end].tobytes(), digest_size=16)
        digest.update(X.data[begin:end].tobytes())
        digest.update(y[row : row + 1].tobytes())
        seen.add(digest.digest())
    return len(y) - len(seen)
