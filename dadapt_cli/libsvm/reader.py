"""Read LIBSVM text, plain or compressed, from a path or standard input."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, Protocol

import numpy as np
import scipy.sparse as sp

from dadapt_cli.errors import DataError
from dadapt_cli.libsvm import fast, streams
from dadapt_cli.libsvm.assemble import Assembler
from dadapt_cli.libsvm.explain import BadLine, Rules, name_file, parse_line
from dadapt_cli.libsvm.pieces import Piece, UncuttableError, cut
from dadapt_cli.libsvm.rows import Array, Rows, fits_float32, is_ordered, sort_rows
from dadapt_cli.libsvm.tidy import tidy
from dadapt_cli.system.activity import tell

_BOM = b"\xef\xbb\xbf"
_NO_NEWLINE = "last line has no newline; file may be cut off"


@dataclass(frozen=True)
class LoadedData:
    """A data set as read.

    Attributes
    ----------
    X
        CSR matrix of shape (samples, features) without explicit zeros, the indices of each row
        sorted, int32 while they fit.
    y
        Labels as in the file, float64, shape (samples,).
    path
        The name the user gave, ``-`` for standard input.
    sha256
        Hash of the uncompressed text; empty when it was not requested.
    notes
        What the user should know about the text (one line each); empty when all is well.
    encoding
        ``utf-8-sig`` when the text begins with a byte order mark, else ``ascii``.
    compression
        ``gzip``, ``bzip2``, ``xz`` or None.
    bytes
        Size of the uncompressed text.
    """

    X: sp.csr_array
    y: np.ndarray[tuple[int], np.dtype[np.float64]]
    path: str
    sha256: str
    notes: tuple[str, ...] = ()
    encoding: str = "ascii"
    compression: str | None = None
    bytes: int = 0


class RowTaker(Protocol):
    """An object that takes the rows."""

    @property
    def rows(self) -> int:
        """The number of rows so far."""

    def add(self, rows: Rows, lowest: int, continues: bool, share: float | None) -> None:
        """Take more rows; see :meth:`~dadapt_cli.libsvm.assemble.Assembler.add`."""


class Reading:
    """The reading of one file, from text to a matrix or another taker of rows."""

    KIND = "LIBSVM text"

    def __init__(self, path: str, rules: Rules, matrix: RowTaker) -> None:
        self.path, self.rules, self.matrix = path, rules, matrix
        self.lines = 0  # completed so far
        self.notes: list[str] = []
        self.encoding = "ascii"
        self.untidy = False
        self.open = self.newline = False
        self.previous = -1

    @property
    def longest_line(self) -> float | None:
        """Most bytes of a line that is taken as a whole; None: long lines are cut."""
        return math.inf if self.rules.lenient else None

    def take(self, piece: Piece, share: float | None) -> None:
        """Parse a piece and add its rows to the matrix."""
        text = piece.text
        if not self.lines and text.startswith(_BOM) and not piece.continues:
            text, self.encoding = text.removeprefix(_BOM), "utf-8-sig"
        continues = piece.continues and self.open
        self.newline = text.endswith(b"\n")
        whole = text if self.newline else text + b"\n"
        if continues:
            whole = b"0 " + whole  # a label for the rest of the line: never seen again
        previous = self.previous if continues else -1
        rows, lines = self._parse(whole, previous)
        if len(rows.labels):
            self.matrix.add(rows, self.rules.lowest, continues, share)
        self.open = not self.newline and (continues or len(rows.labels) > 0)
        if self.open and len(rows.indices):
            self.previous = int(rows.indices[-1])
        elif not continues:
            self.previous = -1
        self.lines += lines if self.newline else lines - 1

    def _parse(self, text: bytes, previous: int) -> tuple[Rows, int]:
        """Rows of some lines, and how many lines there are."""
        if not self.untidy:
            rows = self._ordered(fast.parse(text), previous)
            if rows is not None:
                return rows, len(rows.labels)
        tidied, qid = tidy(text, self.rules.lenient)
        if not tidied:
            rows = Rows(np.empty(0), np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0))
            return rows, text.count(b"\n")
        rows = self._ordered(fast.parse(tidied), previous)
        if rows is None:
            rows, qid = self._explain(text, previous)
        else:
            self.untidy = tidied != text
        if qid:
            self.note("qid ignored")
        return rows, text.count(b"\n")

    def _ordered(self, rows: Rows | None, previous: int) -> Rows | None:
        """Return the rows if their indices are in order and in range, else None."""
        if rows is None or not len(rows.indices):
            return rows
        if self.rules.lenient:
            rows = sort_rows(rows, self.rules.sum_duplicates)
            if not np.isfinite(rows.values).all():
                return None
        if self.rules.float32 and not fits_float32(rows.values):
            return None
        in_order = is_ordered(rows, previous, self.rules.lowest, self.rules.highest)
        return rows if in_order else None

    def _explain(self, text: bytes, previous: int) -> tuple[Rows, bool]:
        """Parse line by line: either the same rows, or the error that names line and token."""
        labels: list[float] = []
        counts: list[int] = []
        indices: list[int] = []
        values: list[float] = []
        queries = False
        for number, line in enumerate(text.removesuffix(b"\n").split(b"\n")):
            try:
                if number == 0 and self.lines == 0 and (kind := name_file(line)):
                    raise BadLine(kind)
                parsed = parse_line(line, self.rules, previous if number == 0 else -1)
            except BadLine as problem:
                self.fail(str(problem), number)
            if parsed is not None:
                label, some_indices, some_values, qid = parsed
                queries |= qid
                labels.append(label)
                counts.append(len(some_indices))
                indices += some_indices
                values += some_values
        rows = Rows(
            np.array(labels, np.float64),
            np.array(counts, np.int64),
            np.array(indices, np.int64),
            np.array(values, np.float64),
        )
        if self.rules.lenient:
            rows = sort_rows(rows, self.rules.sum_duplicates)
        return rows, queries

    def note(self, text: str) -> None:
        """Keep a note for the user, once."""
        if text not in self.notes:
            self.notes.append(text)

    def fail(self, message: str, ahead: int = 0) -> NoReturn:
        """Refuse the file because of the line ``ahead`` lines after the current one."""
        raise DataError(message, self.path, max(1, self.lines + 1 + ahead))


def load(
    path: str | os.PathLike[str],
    *,
    zero_based: bool = False,
    n_features: int | None = None,
    dtype: Any = np.float64,
    lenient: bool = False,
    strict: bool = False,
    duplicates: Literal["refuse", "sum"] = "refuse",
    max_bytes: int = streams.MAX_BYTES,
    max_ratio: float = streams.MAX_RATIO,
    digest: bool = True,
) -> LoadedData:
    """Read one LIBSVM file, in one pass.

    Memory: the finished matrix and at most four further blocks of 8 MiB.

    Parameters
    ----------
    path
        A path, or ``-`` for standard input. gzip, bzip2 and xz are recognised by content.
    zero_based
        Whether the first feature has index 0; never guessed.
    n_features
        The number of columns; by default what the largest index in the file requires, at least
        one. An index beyond it is an error.
    dtype
        Type of the values: float64 or float32.
    lenient
        Accept blanks around the colon (``63: .50``) and sort the indices of a row. A row is then
        held in memory as a whole.
    strict
        Refuse a last line without newline.
    duplicates
        With ``lenient``: whether an index that appears twice in a row is refused, or its values
        are summed.
    max_bytes, max_ratio
        The most a compressed file may expand to, in bytes and as a multiple of its size (from
        1 MiB of text on).
    digest
        Whether to hash the text, which takes an eighth of the time.

    Returns
    -------
    LoadedData
        Every value equals Python's ``float()`` of its token.

    Raises
    ------
    DataError
        The text is not LIBSVM data, or its matrix does not fit in memory.
    InputOutputError
        The file cannot be read.
    UsageError
        Standard input is a terminal.
    """
    if np.dtype(dtype) not in (np.dtype(np.float64), np.dtype(np.float32)):
        raise ValueError(f"dtype must be float64 or float32, not {dtype!r}")
    if duplicates == "sum" and not lenient:
        raise ValueError("duplicates='sum' needs lenient=True")
    rules = Rules(
        zero_based=zero_based,
        n_features=n_features,
        lenient=lenient,
        sum_duplicates=duplicates == "sum",
        float32=np.dtype(dtype) == np.float32,
    )
    name = os.fspath(path)
    source = streams.Source(name, max_bytes=max_bytes, max_ratio=max_ratio, digest=digest)
    matrix = Assembler(dtype, name)
    reading = Reading(name, rules, matrix)
    take_all(reading, source, strict=strict)
    X, y = matrix.finish(n_features)
    return LoadedData(
        X,
        y,
        name,
        source.sha256,
        tuple(reading.notes),
        reading.encoding,
        source.compression,
        source.produced,
    )


def take_all(reading: Reading, source: streams.Source, *, strict: bool = False) -> None:
    """Read a text to its end.

    Raises
    ------
    DataError, InputOutputError, UsageError
        As :func:`load`.
    """
    blocks = source.blocks()
    parsed = 0
    _keep_freed_memory()
    try:
        for piece in cut(blocks, reading.longest_line):
            parsed += len(piece.text)
            share = source.share(parsed)
            tell(f"reading {reading.path}", share)
            reading.take(piece, share)
        if not source.produced:
            reading.fail("the file is empty; give a file with data")
        if not reading.newline:
            if strict:
                reading.fail(f"{_NO_NEWLINE}; complete it, or read without --strict")
            reading.note(_NO_NEWLINE)
        if not reading.matrix.rows:
            reading.fail("no data rows up to here, only comments and empty lines; give data", -1)
    except UncuttableError as problem:
        reading.fail(f"{problem}; this is not {reading.KIND}")
    except streams.BadStreamError as problem:
        reading.fail(str(problem))
    except DataError:
        try:
            for _ in blocks:  # damaged data decompresses to nonsense: name the damage first
                if not source.compression:
                    break
        except streams.BadStreamError as problem:
            reading.fail(str(problem))
        raise


def _keep_freed_memory() -> None:
    """Let glibc reuse the memory of a piece's arrays for the next piece.

    It returns blocks above a threshold to the system when they are freed, and the page faults
    of getting them back cost as much as the parsing. Freeing one block of 16 MiB, which is never
    touched, raises the threshold to that size. Other allocators do not notice.
    """
    np.empty(2**24, np.uint8)


def read_libsvm(
    path: str | os.PathLike[str],
    *,
    zero_based: bool = False,
    n_features: int | None = None,
    dtype: Any = np.float64,
    **options: Any,
) -> tuple[sp.csr_array, Array]:
    """Read one LIBSVM file as ``(X, y)``; see :func:`load` for the parameters and errors.

    Returns
    -------
    X
        CSR matrix, shape (samples, features).
    y
        Labels as in the file, float64, shape (samples,).
    """
    options = {"digest": False} | options
    data = load(path, zero_based=zero_based, n_features=n_features, dtype=dtype, **options)
    return data.X, data.y
