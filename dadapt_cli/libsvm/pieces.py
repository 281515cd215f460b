"""Cut text into pieces for the parsers: at line ends, or inside a line longer than a piece."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

PIECE = 2**18
"""Bytes: the arrays made from a piece should stay in the processor's cache."""

LONGEST_TOKEN = 2**24
"""Bytes without a place to cut after which the text is refused."""

# A blank between two pairs, never one beside a colon or before qid: the digits rule both out.
_BETWEEN_PAIRS = re.compile(rb".*[0-9.][ \t](?=[0-9])", re.DOTALL)


class UncuttableError(Exception):
    """There is no place to cut for more bytes than are allowed."""


class Piece(NamedTuple):
    """Some text.

    Attributes
    ----------
    text
        Whole lines. The newline of the last one is missing where the next piece has the rest
        of its line, and at the end of a file that lacks it.
    continues
        The text begins with the rest of the last line of the piece before.
    begin
        Bytes of the text before the piece.
    """

    text: bytes
    continues: bool
    begin: int = 0


def cut(blocks: Iterable[bytes], longest_line: float | None) -> Iterator[Piece]:
    """Cut the blocks of a file into pieces.

    Parameters
    ----------
    blocks
        The text, cut anywhere.
    longest_line
        Never cut inside a line, which has no more bytes than this; None: cut inside long lines, at
        blanks between pairs, at most :data:`LONGEST_TOKEN` bytes apart.

    Yields
    ------
    Piece
        Together all of the text, but for comments longer than a piece.

    Raises
    ------
    UncuttableError
        The line, or what is between two blanks, is longer.
    """
    supply = iter(blocks)
    buffer, start, ended = b"", 0, False
    before = 0  # bytes of the text before the buffer
    continues = in_comment = False
    wanted = PIECE + 1
    while True:
        if len(buffer) - start < wanted and not ended:
            block = next(supply, b"")
            ended = not block
            before += start
            buffer, start = buffer[start:] + block, 0
            continue
        wanted = PIECE + 1
        if in_comment:
            newline = buffer.find(b"\n", start)
            in_comment = newline < 0
            start = len(buffer) if in_comment else newline
            if len(buffer) - start < wanted and not ended:
                continue
        if start == len(buffer):
            return
        end = buffer.rfind(b"\n", start, start + PIECE) + 1
        if not end and ended and len(buffer) - start <= PIECE:
            end = len(buffer)
        elif not end:
            inside = None if longest_line is not None else _inside(buffer, start)
            if inside is not None:
                end, in_comment = inside
            else:
                end = buffer.find(b"\n", start + PIECE) + 1 or (len(buffer) if ended else 0)
            if not end and inside is None:
                wanted = len(buffer) - start + 1
                if longest_line is None and wanted > LONGEST_TOKEN:
                    raise UncuttableError(
                        f"no newline and no blank between pairs within {LONGEST_TOKEN} bytes"
                    )
                if longest_line is not None and wanted > longest_line:
                    raise UncuttableError(f"no newline within {longest_line:.0f} bytes")
                continue
        if end > start:
            piece = Piece(buffer[start:end], continues, before + start)
            start = end
            yield piece
            continues = not piece.text.endswith(b"\n")


def _inside(buffer: bytes, start: int) -> tuple[int, bool] | None:
    """Where to cut a line longer than a piece, and whether a comment begins there."""
    window = buffer[start : start + PIECE]
    comment = window.find(b"#")
    if comment >= 0:
        return start + comment, True
    between = _BETWEEN_PAIRS.match(window)
    return None if between is None else (start + between.end(), False)
