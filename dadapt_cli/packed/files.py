"""The files of the shards of a folder that is being packed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.packed.format import HEADER, SHARD, Kind, Leaf, header, name
from dadapt_cli.system.files import open_own, reporting

FULL = "free some space and go on with --resume"
"""Advice for when the disk is full."""


class Files:
    """The files of the shards, appended to leaf by leaf; nothing is kept open between shards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.leaves: list[Leaf] = []
        self.open: dict[str, BinaryIO] = {}

    def place(self, kind: Kind, rows: int, entries: int) -> Leaf:
        """The place of the next leaf, without checksums."""
        before = self.leaves[-1] if self.leaves else None
        own = [] if before is None else [x for x in self.leaves[-SHARD:] if x.shard == before.shard]
        start = 0 if before is None else before.start + before.rows
        if before is None or before.kind != kind or len(own) >= SHARD:
            shard = 0 if before is None else before.shard + 1
            return Leaf(len(self.leaves), shard, kind, rows, entries, 0, 0, start, {})
        first_row, first_entry = before.first_row + before.rows, before.first_entry + before.entries
        return Leaf(
            len(self.leaves), before.shard, kind, rows, entries, first_row, first_entry, start, {}
        )

    def write(self, leaf: Leaf, parts: dict[str, Array]) -> None:
        """Append a leaf; a shard that is complete is closed.

        Raises
        ------
        InputOutputError
            A file cannot be written; it is named.
        """
        if self.leaves and self.leaves[-1].shard != leaf.shard:
            self.close()
        for part, array in parts.items():
            place = self.folder / name(leaf.shard, part)
            with reporting(place, FULL):
                if part not in self.open:
                    self.open[part] = os.fdopen(open_own(place), "r+b")
                    first, _ = leaf.span(part)
                    end = HEADER + first * array.itemsize
                    if part == "indptr" and leaf.first_row:
                        end += array.itemsize
                    self.open[part].truncate(end)  # what follows belongs to no leaf
                    self.open[part].seek(end)
                more = array[1:] if part == "indptr" and leaf.first_row else array
                self.open[part].write(more.view(np.uint8).data)
                self.open[part].flush()
        self.leaves.append(leaf)

    def close(self) -> None:
        """Put the lengths into the headers of the last shard, and flush everything to the disk."""
        if not self.leaves:
            return
        last = self.leaves[-1]
        for part, dtype in last.kind.dtypes.items():
            first, count = last.span(part)
            place = self.folder / name(last.shard, part)
            with reporting(place, FULL):
                file = self.open.pop(part, None) or os.fdopen(open_own(place), "r+b")
                with file:
                    file.seek(0)
                    file.write(header(dtype, first + count))
                    file.truncate(HEADER + (first + count) * np.dtype(dtype).itemsize)
                    file.flush()
                    os.fsync(file.fileno())
