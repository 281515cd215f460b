"""Bring text into the form the fast parser takes, without changing what it says."""

from __future__ import annotations

import re

_LOOSE_COLON = re.compile(rb"[ \t]*:[ \t]*")
_COMMENT = re.compile(rb"#[^\n]*")
_BLANKS = re.compile(rb"[ \t]+")
_EDGES = re.compile(rb" ?\n[ \n]*")
_QID = re.compile(rb"(?m)^([^ \n:]+) qid:\d+(?=[ \n])")


def tidy(text: bytes, lenient: bool) -> tuple[bytes, bool]:
    """Remove comments, carriage returns before newlines, empty lines, needless blanks and qid.

    Parameters
    ----------
    text
        Lines, each ended by a newline.
    lenient
        Remove blanks around colons too.

    Returns
    -------
    text, qid
        The lines that hold data, and whether a ``qid:`` was removed.
    """
    text = text.replace(b"\r\n", b"\n")
    if b"#" in text:
        text = _COMMENT.sub(b"", text)
    if lenient:
        text = _LOOSE_COLON.sub(b":", text)
    if b"\t" in text or b"  " in text:
        text = _BLANKS.sub(b" ", text)
    text = _EDGES.sub(b"\n", text).lstrip(b" \n")
    queries = 0
    if b" qid:" in text:
        text, queries = _QID.subn(rb"\1", text)
    return text, queries > 0
