"""Check a proof of a packed folder: ``python folder.py PROOF FOLDER [--tolerance T]``.

This file, check.py beside it, NumPy and the standard library are all it needs; exit codes are those
of check.py. The numbers are those on disk, which are exact. In memory are one leaf, and vectors of
the size of the weights. Nothing is relied on: the manifest must have the sha256 of the proof, each
leaf those of the manifest; lengths, headers, row ends, indices, values and class numbers are looked
at in each pass. Names of files are made from numbers of shards, and nothing is unpickled.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import stat
import sys
import tokenize
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING or __package__:
    from dadapt_cli.certificate import check
else:
    import check

HEADER = 128  # bytes of a file before its numbers
ENTRIES = 2**18  # of some rows of a leaf whose sums are taken at once, unless one row has more
MOST = 2**31 - 1  # features; rows and entries of a leaf
VALUES = {"ones": {}, "f4": {"values": "<f4"}, "f8": {"values": "<f8"}}
LABELS = {"i1": "|i1", "i2": "<i2", "i4": "<i4"}
REFUSED = "packed data have no 'scale', 'sample_weight' or unnamed 'labels'"
Array = Any


class DamagedError(ValueError):
    """A file of the folder is not what the manifest says; the message begins with its name."""


def sound(good: Any, place: str, what: str) -> None:
    """Raise DamagedError unless `good`."""
    if not good:
        raise DamagedError(f"{place}: damaged ({what})")


def opened(place: str) -> io.BufferedReader:
    """A regular file, never through a link, which could lead elsewhere or be waited for."""
    if not stat.S_ISREG(Path(place).lstat().st_mode):
        raise OSError(errno.EINVAL, "is no regular file", place)
    return Path(place).open("rb")


class Shard:
    """What the files of a shard should hold: types by part, and the leaves."""

    def __init__(self, about: Any) -> None:
        kinds = check.get(about, "values", str), check.get(about, "labels", str)
        check.need(kinds[0] in VALUES and kinds[1] in LABELS, "a shard of no known kind")
        self.length = check.get(about, "row_length", int, check.NONE)
        self.types = {"indices": "<i4", **VALUES[kinds[0]], "labels": LABELS[kinds[1]]}
        if self.length is None:
            self.types["indptr"] = "<i8"
        self.leaves: list[tuple[int, int, dict[str, str]]] = []
        for leaf in check.get(about, "leaves", list):
            rows, entries = check.get(leaf, "rows", int), check.get(leaf, "entries", int)
            sums = check.get(leaf, "sha256", dict)
            good = 1 <= rows <= MOST and 0 <= entries <= MOST and set(sums) == set(self.types)
            good &= self.length is None or rows * self.length == entries
            check.need(good, "a leaf with other rows, entries or checksums than its shard")
            self.leaves.append((rows, entries, sums))
        self.rows = sum(rows for rows, _, _ in self.leaves)
        self.entries = sum(entries for _, entries, _ in self.leaves)

    def span(self, part: str, rows: int, entries: int) -> int:
        """How many numbers a part has for so many rows and entries."""
        return entries if part in ("indices", "values") else rows + (part == "indptr")


class Folder(check.Objective):
    """f, as a proof describes it, on a packed folder; BadInputError where the two do not fit."""

    def __init__(self, document: Any, path: str) -> None:
        self.path, place = path, str(Path(path, "manifest.json"))
        with opened(place) as file:
            size = os.fstat(file.fileno()).st_size
            sound(size <= check.LARGEST_FILE, place, f"it has {size} bytes")
            content = file.read()
        self._describe(document, hashlib.sha256(content).hexdigest())
        sound(sum(map(content.count, b"[{,")) < check.MOST_VALUES, place, "it is too large")
        try:
            self._manifest(json.loads(content))
        except (ValueError, RecursionError) as error:
            raise DamagedError(f"{place}: damaged ({error!s:.80})") from error
        objective = document["objective"]
        plain = [check.get(objective, x, str, check.NONE) for x in ("scale", "sample_weight")]
        rest = self.names.index("rest") if "rest" in self.names else -1
        known = [self.names.index(v) if v in self.names else rest for v in self.labels]
        check.need(plain == [None, None] and {*known} == {*range(self.C)}, REFUSED)
        check.need(min(self.metric) > 0, "'metric' is not positive")
        self.numbers, self.relative, self.parts = np.array(known), 0.0, self

    def _manifest(self, about: Any) -> None:
        """What the proof and the shards must agree with; BadInputError where they do not."""
        good = check.get(about, "format", str) == "dadapt-packed"
        check.need(good and check.get(about, "version", int) == 1, "not of version 1")
        self.labels, self.counts = [], []
        for pair in check.get(about, "classes", list):
            good = isinstance(pair, list) and [type(v) for v in pair] == [int, int]
            check.need(good and pair[1] > 0, "a class that is no label with its count")
            self.labels.append(pair[0])
            self.counts.append(pair[1])
        check.need(len({*self.labels}) == len(self.labels), "a class twice")
        self.shards = [Shard(own) for own in check.get(about, "shards", list)]
        said = {"samples": self.n, "features": self.features, "zero_based": not self.lowest}
        same = {name: check.get(about, name, int, bool) for name in said} == said
        same &= sum(own.rows for own in self.shards) == self.n == sum(self.counts) > 0
        same &= sum(own.entries for own in self.shards) == check.get(about, "nonzeros", int)
        check.need(same and 1 <= self.features <= MOST, "other totals than in the proof or leaves")

    def __iter__(self) -> Iterator[tuple[Array, ...]]:
        """The samples in one pass, as the `parts` of check.Objective; DamagedError, OSError."""
        counts = np.zeros(len(self.counts), np.int64)
        for number, shard in enumerate(self.shards):
            with ExitStack() as stack:
                places = {
                    part: str(Path(self.path, f"{number:05d}.{part}.npy")) for part in shard.types
                }
                files = {}
                for part, kind in shard.types.items():
                    files[part] = stack.enter_context(opened(places[part]))
                    count = shard.span(part, shard.rows, shard.entries)
                    _require_header(files[part], places[part], np.dtype(kind), count)
                row = entry = 0
                for leaf in shard.leaves:
                    read = {}
                    for part, kind in shard.types.items():
                        first = row if part in ("indptr", "labels") else entry
                        count = shard.span(part, *leaf[:2])
                        read[part] = _numbers(files[part], first, count, np.dtype(kind))
                        own = hashlib.sha256(read[part]).hexdigest()
                        what = f"the leaf from row {row} on has another sha256"
                        sound(own == leaf[2][part], places[part], what)
                    ends = self._checked(shard, leaf, entry, read, places)
                    counts += np.bincount(read["labels"], minlength=len(counts))
                    yield from self._pieces(ends, read)
                    row, entry = row + leaf[0], entry + leaf[1]
        place = str(Path(self.path, "manifest.json"))
        sound(counts.tolist() == self.counts, place, "other numbers of samples in the classes")

    def _checked(
        self, shard: Shard, leaf: tuple[int, int, Any], entry: int, read: Any, places: Any
    ) -> Array:
        """Where each row of a leaf ends, (rows + 1,), after a look at all of its numbers."""
        rows, entries, _ = leaf
        if shard.length is None:
            ends = read["indptr"] - entry
            good = ends[0] == 0 and ends[-1] == entries
            good &= ends.min() >= 0 and (np.diff(ends) >= 0).all()
            sound(good, places["indptr"], "row ends that are none")
        else:
            ends = np.arange(rows + 1) * shard.length
        index = read["indices"]
        good = not entries or (index.min() >= 0 and index.max() < self.features)
        sound(good, places["indices"], f"an index beyond the {self.features} features")
        rising = np.diff(index) > 0
        starts = ends[1:-1]
        rising[starts[(starts > 0) & (starts < entries)] - 1] = True
        sound(rising.all(), places["indices"], "a row whose indices do not increase")
        if "values" in read:
            sound(np.isfinite(read["values"]).all(), places["values"], "a value that is no number")
        good = read["labels"].min() >= 0 and read["labels"].max() < len(self.counts)
        sound(good, places["labels"], "a class that does not exist")
        return ends

    def _pieces(self, ends: Array, read: Any) -> Iterator[tuple[Array, ...]]:
        """Some rows of a leaf at a time."""
        first, most = 0, max(1, ENTRIES // self.C)
        while first < len(ends) - 1:
            last = int(np.searchsorted(ends, ends[first] + ENTRIES, "right")) - 1
            last = min(max(last, first + 1), first + most)
            n, part = last - first, slice(ends[first], ends[last])
            row = np.repeat(np.arange(n), np.diff(ends[first : last + 1]))
            column = read["indices"][part].astype(np.intp)
            x = read["values"][part].astype(float) if "values" in read else np.ones(len(column))
            if self.constant:
                row = np.concatenate([row, np.arange(n)])
                order = row.argsort(kind="stable")
                column = np.concatenate([column, np.full(n, self.p - 1)])[order]
                row, x = row[order], np.concatenate([x, np.ones(n)])[order]
            y = self.numbers[read["labels"][first:last]]
            yield np.full(n, 1.0 / self.n), y, row, column, x
            first = last

    def _newton(self, g: Array, g_error: Array, P: Array, omega: Array) -> tuple[float, ...]:
        raise check.BadInputError("packed data are proven by an l2 term on all weights")

    def recession(self, v: Array, text: Any) -> str:
        """Not judged: proofs of packed data have an l2 term, and then a minimum."""
        return "not checked (packed data)"


def _require_header(file: io.BufferedReader, place: str, kind: np.dtype[Any], count: int) -> None:
    """DamagedError unless a file has so many numbers of this type, by its header and its length."""
    size, start = os.fstat(file.fileno()).st_size, io.BytesIO(file.read(HEADER))
    wanted = HEADER + count * kind.itemsize
    sound(size == wanted, place, f"it has {size} bytes, by the manifest {wanted}")
    found: Any = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            if np.lib.format.read_magic(start) == (1, 0):
                found = (*np.lib.format.read_array_header_1_0(start), start.tell())
    except (ValueError, SyntaxError, Warning, RecursionError, MemoryError, tokenize.TokenError):
        found = None
    sound(found == ((count,), False, kind, HEADER), place, "another header")


def _numbers(file: io.BufferedReader, first: int, count: int, kind: np.dtype[Any]) -> Array:
    """So many numbers of a file from number `first` on; zeros where it was cut meanwhile."""
    found = np.zeros(count, kind)
    file.seek(HEADER + first * kind.itemsize)
    file.readinto(found.view(np.uint8).data)
    return found


def main(arguments: list[str]) -> int:
    """Run the command line; return the exit code."""
    try:
        return check.main(arguments, str, Folder)
    except DamagedError as error:
        print(f"check: {error}", file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
