"""Views of the table of problems."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from dadapt_cli._typing import Record
from dadapt_cli.render import screen
from dadapt_cli.system.terminal import printable


def as_json(rows: Sequence[Record], stream: TextIO) -> None:
    """Print all fields, as one JSON list."""
    json.dump(rows, stream, indent=1, allow_nan=False)
    stream.write("\n")


def table(rows: Sequence[Record], places: Iterable[tuple[str, Path]], stream: TextIO) -> None:
    """Print one line per file, and the folders that are searched."""
    cells = [["name", "rows", "features", "classes", "non-zeros", "sha256", "on disk"]]
    for row in rows:
        numbers = [row["rows"], row["features"], row["classes"], row["nonzeros"]]
        counts = ["" if number is None else str(number) for number in numbers]
        cells.append([row["name"], *counts, _sum(row), row["place"] or "no"])
    for line in screen.columns(cells, stream=stream):
        print(line, file=stream)
    print(file=stream)
    for name, folder in places:
        print(printable(f"{name}: {folder}", stream), file=stream)


def _sum(row: Record) -> str:
    """State in words whether the sha256 of the text is known."""
    if row["verified"] is not None:
        return "ok" if row["verified"] else "DIFFERS"
    return "known" if row["sha256"] else "pinned" if row["pinned"] else "unknown"
