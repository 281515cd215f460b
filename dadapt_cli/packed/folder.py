"""A packed folder as its manifest describes it: whatever can be checked is checked, not trusted."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dadapt_cli._typing import Record
from dadapt_cli.errors import DataError
from dadapt_cli.packed.format import (
    FORMAT,
    HEADER,
    JOURNAL,
    LABELS,
    MANIFEST,
    MOST,
    REMEDY,
    VALUES,
    VERSION,
    Kind,
    Leaf,
    header,
    name,
    open_part,
    unsealed,
)
from dadapt_cli.system.archive import words
from dadapt_cli.system.files import reporting
from dadapt_cli.system.schema import conforms, require


@dataclass(frozen=True)
class Data:
    """A packed folder, as its manifest describes it.

    Attributes
    ----------
    path
        The folder.
    sha256
        Hash of the manifest: the identity of the data.
    about
        The manifest, as an object.
    leaves
        The leaves, in order.
    """

    path: str
    sha256: str
    about: Record
    leaves: tuple[Leaf, ...]

    ndim = 2

    @property
    def shape(self) -> tuple[int, int]:
        """Samples and features."""
        return self.about["samples"], self.about["features"]

    @property
    def nnz(self) -> int:
        """Stored entries."""
        return int(self.about["nonzeros"])

    @property
    def classes(self) -> dict[int, int]:
        """How many samples have each label, in the order of the class numbers on disk."""
        return dict(self.about["classes"])

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes about the text, made when it was packed."""
        return tuple(self.about["text"]["notes"])

    @property
    def some_ones(self) -> bool:
        """Whether all values of some leaf are 1."""
        return any(leaf.kind.values == "ones" for leaf in self.leaves)

    @cached_property
    def largest_leaf(self) -> tuple[int, int]:
        """The most rows and entries of a leaf."""
        rows = max(leaf.rows for leaf in self.leaves)
        return rows, max(leaf.entries for leaf in self.leaves)

    def file(self, leaf: Leaf, part: str) -> str:
        """The path of a leaf's part."""
        return str(Path(self.path, name(leaf.shard, part)))


def is_packed(path: str) -> bool:
    """Whether this is a folder that `pack` has written, or has begun to write."""
    return any(os.path.lexists(Path(path, own)) for own in (MANIFEST, JOURNAL))


def opened(path: str | os.PathLike[str]) -> Data:
    """Read the manifest of a packed folder, and look at the length and header of each file.

    Parameters
    ----------
    path
        Of the folder.

    Raises
    ------
    DataError
        It is not finished, of another version, damaged, or its files are not as long as it says.
    InputOutputError
        A file is missing, no regular one, or cannot be read.
    """
    folder = os.fspath(path)
    place = str(Path(folder, MANIFEST))
    if not os.path.lexists(place):
        if os.path.lexists(Path(folder, JOURNAL)):
            raise DataError("was not packed to its end; dadapt pack --resume finishes it", folder)
        raise DataError(f"no packed data, there is no {MANIFEST}; dadapt pack makes it", folder)
    with os.fdopen(open_part(place), "rb") as file, reporting(place, "it cannot be read"):
        content = file.read()
    try:
        about = _manifest(content)
        leaves = tuple(_leaves(about))
        _check_sums(about, leaves)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{words(error)}; {REMEDY}", place) from error
    data = Data(folder, hashlib.sha256(content).hexdigest(), about, leaves)
    _check_files(data)
    return data


def _manifest(content: bytes) -> Record:
    """The object of a manifest of this version, each field of its type."""
    try:
        raw = json.loads(content)
    except ValueError as error:
        raise ValueError(f"no JSON ({words(error)})") from None
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise ValueError(f"not of the format {FORMAT}")
    if raw.get("version") != VERSION or type(raw["version"]) is not int:
        shown = str(raw.get("version"))[:20]
        raise ValueError(f"of version {shown}, this program reads {VERSION}")
    about = unsealed(content)
    require(
        {
            **dict.fromkeys(("samples", "features", "nonzeros", "leaf", "longest_row"), int),
            "empty_rows": int,
            "largest_value": float,
            "zero_based": bool,
            "classes": list[list[int]],
            "text": dict[str, Any],
            "shards": list[dict[str, Any]],
        },
        about,
        "it",
    )
    text = {"sha256": str, "bytes": int, "encoding": str, "notes": list[str]}
    require(text, about["text"], "text")
    if not 1 <= about["features"] <= MOST:
        raise ValueError(f"{about['features']} features")
    return about


def _leaves(about: Record) -> Iterator[Leaf]:
    number = start = 0
    for shard, own in enumerate(about["shards"]):
        kinds = {"row_length": int | None, "values": str, "labels": str}
        require({**kinds, "leaves": list[dict[str, Any]]}, own, "a shard")
        kind = Kind(own["row_length"], own["values"], own["labels"])
        if kind.values not in VALUES or kind.labels not in LABELS or not own["leaves"]:
            raise ValueError(f"a shard of {str(own)[:40]}")
        first_row = first_entry = 0
        for leaf in own["leaves"]:
            require({"rows": int, "entries": int, "sha256": dict[str, str]}, leaf, "a leaf")
            rows, entries, sums = leaf["rows"], leaf["entries"], leaf["sha256"]
            length = kind.row_length
            as_long = length is None or (length >= 0 and rows * length == entries)
            if not (1 <= rows <= MOST and 0 <= entries <= MOST and as_long):
                raise ValueError(f"a leaf of {rows} rows and {entries} entries")
            if set(sums) != set(kind.dtypes):
                raise ValueError("a leaf with checksums of other files")
            yield Leaf(number, shard, kind, rows, entries, first_row, first_entry, start, sums)
            number, start = number + 1, start + rows
            first_row, first_entry = first_row + rows, first_entry + entries


def _check_sums(about: Record, leaves: tuple[Leaf, ...]) -> None:
    """Raise ValueError where the totals are not those of the leaves."""
    classes = about["classes"]
    if not all(len(pair) == 2 and pair[1] > 0 for pair in classes):
        raise ValueError("a class without samples")
    if len({label for label, _ in classes}) != len(classes):
        raise ValueError("a class twice")
    samples = sum(leaf.rows for leaf in leaves)
    if not samples == about["samples"] == sum(count for _, count in classes) > 0:
        raise ValueError(f"{samples} rows in leaves for {about['samples']} samples")
    if sum(leaf.entries for leaf in leaves) != about["nonzeros"]:
        raise ValueError("other entries in leaves than nonzeros")
    if not conforms(about["largest_value"], float) or about["largest_value"] < 0:
        raise ValueError("no largest value")
    for leaf in leaves:
        if len(classes) > LABELS["i4"] or not 0 <= about["longest_row"] <= MOST:
            raise ValueError("more classes or entries than fit")
        if (leaf.kind.row_length or 0) > about["longest_row"]:
            raise ValueError("rows longer than the longest")


def _check_files(data: Data) -> None:
    """Compare the length and the header of each file with the manifest."""
    for _, group in itertools.groupby(data.leaves, key=lambda leaf: leaf.shard):
        *_, last = group
        for part, dtype in last.kind.dtypes.items():
            first, count = last.span(part)
            place = data.file(last, part)
            expected = header(dtype, first + count)
            descriptor = open_part(place)
            with os.fdopen(descriptor, "rb") as file, reporting(place, "it cannot be read"):
                size, start = os.fstat(descriptor).st_size, file.read(HEADER)
            wanted = HEADER + (first + count) * np.dtype(dtype).itemsize
            if size != wanted:
                what = f"has {size} bytes, by the manifest {wanted}"
                raise DataError(f"{what}; {REMEDY}", place)
            if start != expected:
                raise DataError(f"has another header than it was packed with; {REMEDY}", place)
