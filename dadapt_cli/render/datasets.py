"""Views of the table of problems."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dadapt_cli._typing import Record


def as_json(rows: Sequence[Record], stream: TextIO) -> None:
    """All fields, as one list."""
    json.dump(rows, stream, indent=1, allow_nan=False)
    stream.write("\n")


def table(rows: Sequence[Record], places: Iterable[tuple[str, Path]], stream: TextIO) -> None:
    """One line a file, and the folders that it may lie in."""
    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 200  # a file has no edge to wrap at
    grid = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    grid.add_column("name", no_wrap=True)
    for name in ("rows", "features", "classes", "non-zeros"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("sha256", no_wrap=True)
    grid.add_column("on disk", no_wrap=True)
    for row in rows:
        numbers = [row["rows"], row["features"], row["classes"], row["nonzeros"]]
        cells = ["" if number is None else str(number) for number in numbers]
        grid.add_row(row["name"], *cells, _sum(row), row["place"] or "no")
    console.print(grid)
    console.print()
    for name, folder in places:
        console.print(Text(f"{name}: {folder}"), soft_wrap=True)


def _sum(row: Record) -> str:
    """What is known about the text."""
    if row["verified"] is not None:
        return "ok" if row["verified"] else "DIFFERS"
    return "known" if row["sha256"] else "pinned" if row["pinned"] else "unknown"
