"""The rows of a leaf: read from its files, compared with their checksums, ready for the products.

An index beyond the features would be read outside the vector it stands for, so indices and row
ends are checked each time they come from the disk, whatever the checksums say.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from dadapt_cli._typing import Array, Matrix
from dadapt_cli.packed.folder import Data
from dadapt_cli.packed.format import Leaf, damaged, read_into


@dataclass(frozen=True)
class Rows:
    """The rows of a leaf.

    Attributes
    ----------
    leaf
        The leaf they are from.
    X
        CSR, shape (rows, features); its arrays may be buffers that are reused.
    numbers
        The class of each row as on disk, shape (rows,).
    """

    leaf: Leaf
    X: Matrix
    numbers: Array


class Buffers:
    """Memory for one leaf, as large as the largest of the data, to be filled again and again."""

    def __init__(self, data: Data) -> None:
        rows, entries = data.largest_leaf
        self.parts: dict[str, Array] = {}
        for kind in {leaf.kind for leaf in data.leaves}:
            for part, dtype in kind.dtypes.items():
                count = entries if part in ("indices", "values") else rows + 1
                size = count * np.dtype(dtype).itemsize
                if part not in self.parts or size > self.parts[part].size:
                    self.parts[part] = np.empty(size, np.uint8)

    def read(self, data: Data, leaf: Leaf) -> dict[str, Array]:
        """Fill the memory with a leaf; return views by part, of the types on disk."""
        found = {}
        for part, dtype in leaf.kind.dtypes.items():
            first, count = leaf.span(part)
            out = self.parts[part][: count * np.dtype(dtype).itemsize].view(dtype)
            read_into(data.file(leaf, part), first, out)
            found[part] = out
        return found


def read(data: Data, leaf: Leaf) -> dict[str, Array]:
    """A leaf's parts in new arrays."""
    found = {}
    for part, dtype in leaf.kind.dtypes.items():
        first, count = leaf.span(part)
        out: Array = np.empty(count, dtype)
        read_into(data.file(leaf, part), first, out)
        found[part] = out
    return found


def rows_of(
    data: Data, leaf: Leaf, parts: dict[str, Array], ones: Array, dtype: np.dtype[Any]
) -> Rows:
    """The matrix of a leaf, its indices and row ends in range.

    Parameters
    ----------
    parts
        From :func:`read`; used in place.
    ones
        At least as many as the leaf has entries, of `dtype`.
    dtype
        Type of the matrix.

    Raises
    ------
    DataError
        Something in the files cannot be what was packed; the file is named.
    """
    n, p = leaf.rows, data.shape[1]
    indices = parts["indices"]
    if len(indices) and int(indices.view(np.uint32).max()) >= p:  # negative ones are large there
        raise damaged(data.file(leaf, "indices"), f"an index beyond the {p} features")
    length = leaf.kind.row_length
    if length is not None:
        indptr: Array = np.arange(0, leaf.entries + 1, length or 1, dtype=np.int32)
        if not length:
            indptr = np.zeros(n + 1, np.int32)
    else:
        ends = parts["indptr"]
        first = int(ends[0])
        lengths = np.diff(ends)
        longest = int(lengths.max())
        if lengths.min() < 0 or int(ends[-1]) - first != leaf.entries or first != leaf.first_entry:
            raise damaged(data.file(leaf, "indptr"), "row ends that are none")
        if longest > data.about["longest_row"]:
            raise damaged(data.file(leaf, "indptr"), "a row longer than the longest")
        indptr = (ends - first).astype(np.int32)
    numbers = parts["labels"]
    if int(numbers.min()) < 0 or int(numbers.max()) >= len(data.about["classes"]):
        raise damaged(data.file(leaf, "labels"), "a class that does not exist")
    values = parts.get("values")
    values = ones[: leaf.entries] if values is None else values.astype(dtype, copy=False)
    X = sp.csr_array((n, p), dtype=dtype)
    # Set as attributes: the constructor copies views that are much smaller than what they view.
    X.data, X.indices, X.indptr = values, indices, indptr
    X.has_sorted_indices = X.has_canonical_format = True
    return Rows(leaf, X, numbers)


def sha256(array: Array) -> str:
    """SHA-256 of an array's bytes."""
    return hashlib.sha256(array.view(np.uint8).data).hexdigest()


def verify(data: Data, leaf: Leaf, parts: dict[str, Array]) -> None:
    """Compare a leaf with its checksums.

    Raises
    ------
    DataError
        They differ; the file is named.
    """
    for part, array in parts.items():
        if sha256(array) != leaf.sha256[part]:
            place, own = data.file(leaf, part), leaf.number
            raise damaged(place, f"leaf {own} of {len(data.leaves)} has another sha256")
