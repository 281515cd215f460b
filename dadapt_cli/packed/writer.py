"""Rows to a packed folder: leaves, shards, the journal, the manifest.

A leaf is appended to the files of its shard, then a line with its checksums to the journal. Files
count for nothing before the manifest is there, which comes last, so a pack that is killed leaves a
folder that says so. --resume keeps what its journal describes and its checksums confirm.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dadapt_cli._typing import Array, Record
from dadapt_cli.errors import DataError
from dadapt_cli.libsvm.rows import Rows
from dadapt_cli.packed.files import FULL, Files
from dadapt_cli.packed.format import (
    FORMAT,
    JOURNAL,
    LABELS,
    MANIFEST,
    MOST,
    VERSION,
    Kind,
    Leaf,
    sealed,
)
from dadapt_cli.packed.reading import sha256
from dadapt_cli.preprocessing.labels import LARGEST_LABEL
from dadapt_cli.system.files import atomic_write, open_own, reporting


@dataclass
class Mark:
    """A place in the text where a line begins.

    Attributes
    ----------
    offset
        Bytes of the uncompressed text before it.
    lines, rows
        Lines and rows before it.
    """

    offset: int = 0
    lines: int = 0
    rows: int = 0


@dataclass
class Totals:
    """What is known of all leaves so far.

    Attributes
    ----------
    classes
        How many rows have each label, in order of appearance.
    features
        One more than the largest index.
    """

    rows: int = 0
    entries: int = 0
    features: int = 0
    longest_row: int = 0
    empty_rows: int = 0
    largest_value: float = 0.0
    classes: dict[int, int] = field(default_factory=dict)

    def add(self, line: Record) -> None:
        """Take in a leaf's line of the journal."""
        self.rows += line["rows"]
        self.entries += line["entries"]
        self.features = max(self.features, line["features"])
        self.longest_row = max(self.longest_row, line["longest_row"])
        self.empty_rows += line["empty_rows"]
        self.largest_value = max(self.largest_value, line["largest_value"])
        for label, count in line["classes"]:
            self.classes[label] = self.classes.get(label, 0) + count


class Packer:
    """Takes the rows of a text (:class:`~dadapt_cli.libsvm.reader.RowTaker`).

    Parameters
    ----------
    folder
        The folder to write, which this process has locked.
    path
        Path of the text, for messages.
    dtype
        Type of the values, float64 or float32.
    leaf
        Entries, or rows, from which a leaf is closed.

    Attributes
    ----------
    mark
        Where the next piece begins; set before it is taken.
    about_text
        Called when a leaf is closed, for what its journal line says about the text so far.
    """

    def __init__(self, folder: Path, path: str, dtype: Any, leaf: int) -> None:
        self.folder, self.path, self.dtype, self.leaf = folder, path, np.dtype(dtype), leaf
        self.files = Files(folder)
        self.lines: list[Record] = []
        self.totals = Totals()
        self.mark = Mark()
        self.started = 0  # rows of the text, also those of kept leaves
        self.about_text: Any = dict
        self._skip, self._skipping = 0, False
        self._features = 0
        self._last_counts = np.empty(0, np.int64)
        self._open: tuple[list[Array], ...] = tuple(
            [np.empty(0, kind)] for kind in (np.float64, np.int64, np.int32, self.dtype)
        )
        self._rows = self._entries = 0  # of the open leaf
        self._journal: BinaryIO | None = None

    @property
    def rows(self) -> int:
        """Rows so far."""
        return self.started

    def begin(self, head: Record) -> None:
        """Begin the journal.

        Raises
        ------
        InputOutputError
            It cannot be written.
        """
        place = self.folder / JOURNAL
        with reporting(place, FULL):
            self._journal = os.fdopen(open_own(place), "r+b")
        self._note(head)

    def go_on(self, lines: list[Record], leaves: list[Leaf], end: int) -> None:
        """Continue a journal: `lines` of `leaves` are good, `end` is where the last one ends."""
        self.lines, self.files.leaves = lines, leaves
        for line in lines:
            self.totals.add(line)
        for shard in {leaf.shard for leaf in leaves}:
            whole = Files(self.folder)
            whole.leaves = [leaf for leaf in leaves if leaf.shard == shard]
            whole.close()
        place = self.folder / JOURNAL
        with reporting(place, FULL):
            self._journal = os.fdopen(open_own(place), "r+b")
            self._journal.truncate(end)
            self._journal.seek(end)
        if lines:
            text = lines[-1]["text"]
            self.mark = Mark(text["offset"], text["lines"], self.totals.rows - text["skip"])
            self.started, self._skip = self.mark.rows, text["skip"]

    def _note(self, line: Record) -> None:
        assert self._journal is not None
        with reporting(self.folder / JOURNAL, FULL):
            self._journal.write(sealed(line) + b"\n")
            self._journal.flush()

    def add(self, rows: Rows, lowest: int, continues: bool, share: float | None) -> None:
        """Take rows; explicit zeros are dropped. With `continues` the first extends the last.

        Raises
        ------
        DataError
            A row has more entries than a leaf can have, or its label is no class.
        InputOutputError
            The folder takes no more.
        """
        new = len(rows.counts) - continues
        self.started += new
        if self._skip or self._skipping:
            drop = (continues and self._skipping) + min(self._skip, new)
            self._skip -= min(self._skip, new)
            self._skipping = drop == len(rows.counts)
            if self._skipping:
                return
            entries = int(rows.counts[:drop].sum())
            rows = Rows(rows.labels[drop:], rows.counts[drop:], rows.indices[entries:],
                        rows.values[entries:])  # fmt: skip
            continues = continues and not drop
        self._append(self._cleaned(rows, lowest), continues)
        full = self._entries >= self.leaf or self._rows > self.leaf
        if full and (new or not continues):
            self._close_full()
        if self._entries > MOST:
            raise DataError(f"row {self.started} has more than {MOST} entries", self.path)

    def _cleaned(self, rows: Rows, lowest: int) -> Rows:
        """The rows with indices from 0 as int32, values of the folder's type, without zeros."""
        indices = (rows.indices - rows.indices.dtype.type(lowest)).astype(np.int32, copy=False)
        self._features = max(self._features, int(indices.max(initial=-1)) + 1)  # zeros count
        values = rows.values.astype(self.dtype, copy=False)
        kept = values != 0
        if kept.all():
            return Rows(rows.labels, rows.counts, indices, values)
        zeros = np.concatenate(([0], np.cumsum(~kept)))
        ends = np.cumsum(rows.counts)
        counts = rows.counts - (zeros[ends] - zeros[ends - rows.counts])
        return Rows(rows.labels, counts, indices[kept], values[kept])

    def _append(self, rows: Rows, continues: bool) -> None:
        """Add rows to those of the open leaf."""
        labels, counts = rows.labels[continues:], rows.counts[continues:].copy()
        if continues:
            self._last_counts[-1] += rows.counts[0]
        if len(counts):
            self._last_counts = counts
        self._rows += len(counts)
        self._entries += len(rows.indices)
        for own, more in zip(self._open, (labels, counts, rows.indices, rows.values), strict=True):
            own.append(more)

    def _close_full(self) -> None:
        """Write the leaves that are full. The last row stays: it may continue in the next piece."""
        arrays: list[Any] = [np.concatenate(own) for own in self._open]
        labels, counts, indices, values = arrays
        ends = np.cumsum(counts)
        row = entry = 0
        while True:
            full = min(int(np.searchsorted(ends, entry + self.leaf)), row + self.leaf - 1)
            if full >= len(counts) - 1:
                break
            rows, entries = slice(row, full + 1), slice(entry, int(ends[full]))
            self._write(Rows(labels[rows], counts[rows], indices[entries], values[entries]))
            row, entry = full + 1, int(ends[full])
        # Copies: views would keep all of the leaf.
        rest = [own[at:].copy() for own, at in zip(arrays, (row, row, entry, entry), strict=True)]
        self._open, self._last_counts = tuple([own] for own in rest), rest[1]
        self._rows, self._entries = len(rest[1]), len(rest[2])

    def _write(self, rows: Rows, *, last: bool = False) -> None:
        """Write a leaf, and its line in the journal."""
        longest = int(rows.counts.max())
        if len(rows.indices) > MOST:
            raise DataError(
                f"a leaf of {len(rows.indices)} entries; give a smaller --leaf", self.path
            )
        numbers, classes = self._numbered(rows.labels)
        parts: dict[str, Array] = {"indices": np.ascontiguousarray(rows.indices)}
        length = longest if int(rows.counts.min()) == longest else None
        ones = bool((rows.values == 1).all())
        known = len({*self.totals.classes, *(label for label, _ in classes)})
        labels = next((own for own, most in LABELS.items() if known <= most), None)
        if labels is None:
            raise DataError("has more labels than can be told apart", self.path)
        kind = Kind(length, "ones" if ones else f"f{self.dtype.itemsize}", labels)
        leaf = self.files.place(kind, len(numbers), len(rows.indices))
        if length is None:
            ends = np.cumsum(rows.counts, dtype=np.int64)
            parts["indptr"] = np.concatenate(([0], ends)) + leaf.first_entry
        if not ones:
            parts["values"] = np.ascontiguousarray(rows.values)
        parts["labels"] = numbers.astype(kind.dtypes["labels"])
        sums = {part: sha256(array) for part, array in parts.items()}
        leaf = replace(leaf, sha256=sums)
        self.files.write(leaf, parts)
        line: Record = {
            "shard": leaf.shard,
            "kind": [kind.row_length, kind.values, kind.labels],
            "rows": leaf.rows,
            "entries": leaf.entries,
            "features": self._features,
            "longest_row": longest,
            "empty_rows": int(np.count_nonzero(rows.counts == 0)),
            "largest_value": float(np.abs(rows.values).max(initial=0)),
            "classes": classes,
            "files": sums,
            "text": {},
            "last": last,
        }
        self.totals.add(line)
        skip = self.totals.rows - self.mark.rows
        where = {"offset": self.mark.offset, "lines": self.mark.lines, "skip": skip}
        line["text"] = {**where, **self.about_text()}
        self.lines.append(line)
        self._note(line)

    def _numbered(self, labels: Array) -> tuple[Array, list[list[int]]]:
        """The class number of each row, and how many rows have each label, in order."""
        first_row = self.totals.rows
        bad = np.flatnonzero((labels != np.floor(labels)) | (np.abs(labels) > LARGEST_LABEL))
        if bad.size:
            raise DataError(
                f"row {first_row + bad[0] + 1} has the label {float(labels[bad[0]])!r}, no integer "
                "of at most 2^53: regression data? Classification needs integer labels",
                self.path,
            )
        found, first, own, counts = np.unique(
            labels, return_index=True, return_inverse=True, return_counts=True
        )
        known = list(self.totals.classes)
        number = {label: i for i, label in enumerate(known)}
        for label in found[np.argsort(first)].astype(np.int64).tolist():
            number.setdefault(label, len(number))
        names = found.astype(np.int64).tolist()
        numbers = np.array([number[label] for label in names])
        pairs = sorted(zip(names, counts.tolist(), strict=True), key=lambda pair: number[pair[0]])
        return numbers[own], [list(pair) for pair in pairs]

    def finish(self, text: Record, zero_based: bool, features: int | None) -> None:
        """Write the last leaf and the manifest, and remove the journal.

        Parameters
        ----------
        text
            The manifest's entry about the text.
        features
            What the user fixed, if anything.

        Raises
        ------
        InputOutputError
            The folder takes no more.
        """
        labels, counts, indices, values = (np.concatenate(own) for own in self._open)
        if len(counts):
            self._write(Rows(labels, counts, indices, values), last=True)
        self.files.close()
        self.release()
        known = self.totals
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "samples": known.rows,
            "features": features or max(1, known.features),
            "nonzeros": known.entries,
            "classes": [list(pair) for pair in known.classes.items()],
            "leaf": self.leaf,
            "longest_row": known.longest_row,
            "empty_rows": known.empty_rows,
            "largest_value": known.largest_value,
            "zero_based": zero_based,
            "text": text,
            "shards": self._shards(),
        }
        with atomic_write(self.folder / MANIFEST, own=True) as file:
            file.write(sealed(manifest) + b"\n")
        with reporting(self.folder / JOURNAL, "remove it"):
            (self.folder / JOURNAL).unlink()

    def release(self) -> None:
        """Close the files, whatever is in them."""
        for file in (self._journal, *self.files.open.values()):
            if file is not None:
                with contextlib.suppress(OSError):  # the error being raised says more
                    file.close()

    def _shards(self) -> list[Record]:
        shards: dict[int, Record] = {}
        for leaf in self.files.leaves:
            own = shards.setdefault(leaf.shard, {**asdict(leaf.kind), "leaves": []})
            own["leaves"].append(
                {"rows": leaf.rows, "entries": leaf.entries, "sha256": leaf.sha256}
            )
        return list(shards.values())
