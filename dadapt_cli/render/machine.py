"""Records for machines: JSON lines, one JSON document, CSV, and the trace file."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any, TextIO

from dadapt_cli._typing import Record
from dadapt_cli.system.files import open_to_grow, reporting


def line(record: Record) -> str:
    """Return one record as one line; NaN and infinity are refused."""
    return json.dumps(record, allow_nan=False) + "\n"


class JsonLines:
    """Writes each record, as it is made, on one line."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def record(self, record: Record) -> None:
        """Write the record and flush, so that a reader sees it at once."""
        self.stream.write(line(record))
        self.stream.flush()


class Document:
    """One JSON document, written with the end record; `rows` are the repeated events."""

    def __init__(self, stream: TextIO, *rows: str) -> None:
        self.stream = stream
        self.rows = rows or ("step",)
        self.parts: Record = {"start": None, **{f"{row}s": [] for row in self.rows}, "end": None}

    def record(self, record: Record) -> None:
        """Collect the record; write everything at the end."""
        if record["event"] in self.rows:
            self.parts[f"{record['event']}s"].append(record)
            return
        self.parts[record["event"]] = record
        if record["event"] == "end":
            json.dump(self.parts, self.stream, indent=1, allow_nan=False)
            self.stream.write("\n")
            self.stream.flush()


class Csv:
    """The steps, or folds, with names as the header; an unknown number is an empty field."""

    def __init__(self, stream: TextIO, row: str = "step") -> None:
        self.stream = stream
        self.row = row
        self.writer: Any = None

    def record(self, record: Record) -> None:
        """Write a row; the start and end records have no place in a table of them."""
        if record["event"] != self.row:
            return
        if self.writer is None:
            self.writer = csv.DictWriter(self.stream, list(record), lineterminator="\n")
            self.writer.writeheader()
        self.writer.writerow(record)
        self.stream.flush()


class Trace:
    """A JSONL file that grows row by row, so that ``tail -f`` and a crash see whole lines.

    Raises
    ------
    InputOutputError
        The disk does not take a row; the file is cut back to its last whole line.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.size = 0
        self.descriptor: int | None = None

    def record(self, record: Record) -> None:
        """Append one line; the first one empties the file."""
        with reporting(self.path, "the trace ends there"):
            if self.descriptor is None:
                self.descriptor = open_to_grow(self.path)
            left = memoryview(line(record).encode())
            whole = self.size + len(left)
            try:
                while left:
                    left = left[os.write(self.descriptor, left) :]
            except OSError:
                if Path(self.path).is_file():
                    os.ftruncate(self.descriptor, self.size)
                raise
            self.size = whole

    def close(self) -> None:
        """Close the file."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None
