"""The standard streams: text made safe for a terminal, and streams that were closed."""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def printable(text: str, stream: Any = None) -> str:
    """Escape what a terminal would obey (control characters, newlines) or cannot show.

    Every string from a file, and every file name, passes through here on its way to a terminal.

    Parameters
    ----------
    stream
        Where it goes; by default standard error.
    """
    encoding = getattr(sys.stderr if stream is None else stream, "encoding", None) or "utf-8"
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def word(label: Any, most: int | None = None) -> str:
    """A label as one word of a line: as it is, or, where that is no plain word, as JSON has it.

    Parameters
    ----------
    most
        Longer text is cut there, for a message.
    """
    text = str(label)
    if most is not None and len(text) > most:
        text = f"{text[:most]}..."
    if text and text.isprintable() and not any(c.isspace() or c == '"' for c in text):
        return text
    return json.dumps(text).replace("\x7f", "\\u007f")


def replace_closed_streams() -> None:
    """Let closed standard streams swallow what is written to them.

    To be called before a file is opened: its descriptor would be the number of the closed stream,
    and what is printed would go into it. A closed standard input can still not be read.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_WRONLY), True)  # the lowest free number
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
