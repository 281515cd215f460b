"""What ``dadapt algorithms`` says: ``algorithms.json``, made from the algorithms' INFO.

``python -m dadapt_cli.cli.docs`` writes that file, so that a list costs no import of NumPy.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from importlib import resources

from dadapt_cli._typing import Record

FILE = "algorithms.json"

SHOWN = {"theorem": "theorem", "symbols": "symbols", "d_means": "d is", "options": "options"}
"""Fields of an Info, and what they are called for people."""

INDENT = 10


def text() -> str:
    """The file: a JSON list of every algorithm's Info, in the paper's order."""
    return (resources.files(__package__) / FILE).read_text(encoding="utf-8")


def lines(infos: Sequence[Record]) -> Iterator[str]:
    """Each algorithm's fields as lines that fit the terminal."""
    width = shutil.get_terminal_size().columns
    for info in infos:
        yield f"{info['name']}  {info['title']}"
        for field, name in SHOWN.items():
            wide = max(width - INDENT, 1)
            first, *more = textwrap.wrap(info[field], wide, break_on_hyphens=False)
            yield f"  {name}".ljust(INDENT) + first
            yield from (" " * INDENT + line for line in more)
