"""Common parts of all views for people: safe lines, and aligned columns.

What needs rich imports it: a list of names does not, and it takes a tenth of a start.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from dadapt_cli.system.terminal import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

GAP = "  "

FILE_WIDTH = 200
"""Width for files, large because a file needs no wrapping."""


def console(stream: TextIO, file_width: int | None = FILE_WIDTH) -> Console:
    """A console that never reads strings as markup; `file_width` applies if no terminal."""
    from rich.console import Console

    made = Console(file=stream, highlight=False, markup=False, emoji=False)
    if not made.is_terminal and file_width is not None and "COLUMNS" not in os.environ:
        made.width = file_width
    return made


def can_show(where: Console, text: str) -> bool:
    """Whether the encoding has these characters."""
    try:
        text.encode(where.encoding)
    except UnicodeEncodeError:
        return False
    return True


def put(where: Console, text: str | Text, style: str = "") -> None:
    """Print one line in full: only a terminal may wrap it."""
    from rich.text import Text

    plain = text.plain if isinstance(text, Text) else text
    safe = printable(plain, where)
    if safe != plain or isinstance(text, str):
        text = Text(safe)
    where.print(text, style=style, soft_wrap=not where.is_terminal)


def put_columns(where: Console, rows: Sequence[Sequence[str]], left: int = 1) -> None:
    """Print :func:`columns`, the first line in bold."""
    from rich.text import Text

    for i, line in enumerate(columns(rows, left, stream=where)):
        where.print(Text(line), style="" if i else "bold", soft_wrap=True)


def columns(
    rows: Sequence[Sequence[str]],
    left: int = 1,
    *,
    widths: Sequence[int] | None = None,
    stream: Console | TextIO | None = None,
) -> list[str]:
    """The rows of a table as lines of text.

    Parameters
    ----------
    rows
        Cells; all rows have the same number.
    left
        Number of columns that are left-aligned; the others are right-aligned.
    widths
        Least widths; needed by a table that is printed row by row.
    stream
        The output, whose encoding decides which characters are replaced.
    """
    safe = [[printable(cell, stream) for cell in row] for row in rows]
    least = widths or [0] * len(safe[0])
    cells = zip(*safe, strict=True)
    wide = [max(n, *map(len, column)) for n, column in zip(least, cells, strict=True)]
    return [
        GAP.join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, wide, strict=True))
        ).rstrip()
        for row in safe
    ]


def width(rows: Sequence[Sequence[str]]) -> int:
    """Characters that the widest line of :func:`columns` takes."""
    return sum(max(map(len, column)) + len(GAP) for column in zip(*rows, strict=True)) - len(GAP)
