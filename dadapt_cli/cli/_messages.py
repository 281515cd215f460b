"""Lines for people, on standard error; documents for machines, on standard output."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import sys
from typing import Any

from dadapt_cli.system.terminal import printable as printable


def say(message: str) -> None:
    """Put one line on standard error."""
    with contextlib.suppress(OSError):  # stderr is gone too
        print(f"dadapt: {printable(message)}", file=sys.stderr, flush=True)


LEVELS = 8
"""Nesting levels of a document that are printed; deeper values, in a foreign file, are left out."""


def print_json(document: Any) -> None:
    """Print one document, on one line; infinity and values nested too deeply become null."""
    print(json.dumps(plain(document), allow_nan=False))


def plain(value: Any, levels: int = LEVELS) -> Any:
    """Return the value with everything that JSON cannot hold replaced by null."""
    if isinstance(value, (dict, list, tuple)) and not levels:
        return None
    if isinstance(value, dict):
        return {str(name): plain(v, levels - 1) for name, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v, levels - 1) for v in value]
    return value if not isinstance(value, float) or math.isfinite(value) else None


class LogLines(logging.Handler):
    """A handler that prints the library's log records as lines on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Put one log record on standard error."""
        say(record.getMessage())


def log_lines(*, quiet: bool = False, verbose: bool = False) -> logging.Logger:
    """Return the library's logger, set up to print on standard error."""
    log = logging.getLogger("dadapt")
    log.handlers = [LogLines()]
    log.setLevel(logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING)
    return log
