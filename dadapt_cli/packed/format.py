"""A packed folder, version 1: plain ``.npy`` files, and a manifest that is written last.

::

    manifest.json        what is where; its sha256 is the identity of the data
    00000.indices.npy    int32 [entries], from 0, increasing in each row
    00000.indptr.npy     int64 [rows + 1], from 0 in each shard; absent if all rows are as long
    00000.values.npy     float64 or float32 [entries]; absent where all are 1
    00000.labels.npy     int8, int16 or int32 [rows]: numbers of classes, in order of appearance

A *leaf* is some consecutive rows, a *shard* the files of some consecutive leaves. The manifest has
a SHA-256 of each leaf's part of each file. It is no signature: whoever writes a folder can compute
it, so whatever could lead outside an array is checked whenever it is read. Nothing is unpickled,
and no name of a file is taken from the manifest.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dadapt_cli._typing import Array, Record
from dadapt_cli.errors import DataError, InputOutputError
from dadapt_cli.system.files import read_whole, reporting

FORMAT, VERSION = "dadapt-packed", 1

MANIFEST, JOURNAL = "manifest.json", "journal.jsonl"

LEAF = 2**22
"""Entries (or rows) from which a leaf is closed: as fast as larger ones, in a quarter of the
memory (measured: docs/scale.md)."""

SHARD = 32
"""Most leaves in a shard."""

HEADER = 128
"""Bytes of a file before its numbers."""

PARTS = ("indices", "indptr", "values", "labels")

VALUES = {"ones": None, "f4": "<f4", "f8": "<f8"}

LABELS = {"i1": 2**7, "i2": 2**15, "i4": 2**31}
"""Types of class numbers, and how many classes they tell apart."""

MOST = 2**31 - 1
"""Most features, and most entries and rows in a leaf."""

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
REMEDY = "pack the data again (dadapt pack --restart)"


def header(dtype: str, count: int) -> bytes:
    """The first HEADER bytes of a file of `count` numbers, as NumPy writes them."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({count},), }}"
    return b"\x93NUMPY\x01\x00v\x00" + text.ljust(HEADER - 11).encode() + b"\n"


def sealed(document: Record) -> bytes:
    """A JSON object on one line, with the SHA-256 of its content."""
    return json.dumps({"sha256": _digest(document), **document}, allow_nan=False).encode()


def unsealed(content: bytes) -> Record:
    """The object in such a line; ValueError if there is none, or it is incomplete."""
    try:
        document = json.loads(content, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("too deep") from None
    if not isinstance(document, dict):
        raise ValueError("no object")
    if document.pop("sha256", None) != _digest(document):
        raise ValueError("damaged: its sha256 is another one")
    return document


def _digest(document: Record) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")


@dataclass(frozen=True)
class Kind:
    """What the leaves of a shard have in common.

    Attributes
    ----------
    row_length
        Entries of each row, if all rows have the same number; else None.
    values
        A key of VALUES.
    labels
        A key of LABELS.
    """

    row_length: int | None
    values: str
    labels: str

    @property
    def dtypes(self) -> dict[str, str]:
        """The types of the files that exist, by part."""
        values = VALUES[self.values]
        return {
            "indices": "<i4",
            **({"indptr": "<i8"} if self.row_length is None else {}),
            **({} if values is None else {"values": values}),
            "labels": "|i1" if self.labels == "i1" else f"<{self.labels}",
        }


@dataclass(frozen=True)
class Leaf:
    """Where a leaf is.

    Attributes
    ----------
    number
        From 0.
    shard, kind
        The shard that the leaf is in, and its kind.
    rows, entries
        How many the leaf has.
    first_row, first_entry
        Its first ones, counted from the start of the shard.
    start
        Its first row, counted over all leaves.
    sha256
        Hashes of its part of each file.
    """

    number: int
    shard: int
    kind: Kind
    rows: int
    entries: int
    first_row: int
    first_entry: int
    start: int
    sha256: dict[str, str]

    def span(self, part: str) -> tuple[int, int]:
        """The first number, and how many, of a part."""
        if part in ("indices", "values"):
            return self.first_entry, self.entries
        return self.first_row, self.rows + (part == "indptr")


def name(shard: int, part: str) -> str:
    """A file's name."""
    return f"{shard:05d}.{part}.npy"


def open_part(place: str) -> int:
    """Open a file of a folder for reading, never through a link; return the descriptor.

    Raises
    ------
    InputOutputError
        It is missing, no regular file, or cannot be read.
    """
    if Path(place).is_symlink():
        raise InputOutputError(f"{place}: is a symbolic link, which is not followed; {REMEDY}")
    with reporting(place, REMEDY):
        descriptor = os.open(place, os.O_RDONLY | _NO_FOLLOW)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputOutputError(f"{place}: is no regular file; {REMEDY}")
    return descriptor


def read_into(place: str, first: int, out: Array) -> None:
    """Fill `out` with numbers of a file, from number `first` on.

    Raises
    ------
    DataError
        The file is too short.
    InputOutputError
        It cannot be read.
    """
    view = out.view(np.uint8).data
    with (
        os.fdopen(open_part(place), "rb", buffering=0) as file,
        reporting(place, "it cannot be read"),
    ):
        file.seek(HEADER + first * out.itemsize)
        done = 0
        while done < len(view):
            got = file.readinto(view[done:])
            if not got:
                raise DataError(f"was cut short since it was opened; {REMEDY}", place)
            done += got


def damaged(place: str, what: str) -> DataError:
    """The error for a file whose content is not what was packed."""
    return DataError(f"damaged ({what}); {REMEDY}", place)


def journal_lines(folder: Path) -> tuple[list[Record], list[int]]:
    """The whole lines at the beginning of a journal, and where in the file each ends."""
    content = read_whole(folder / JOURNAL, own=True)
    found: list[Record] = []
    ends: list[int] = []
    at = 0
    for line in content.split(b"\n")[:-1]:  # a line without newline is incomplete
        try:
            found.append(unsealed(line))
        except ValueError:
            break
        at += len(line) + 1
        ends.append(at)
    return found, ends
