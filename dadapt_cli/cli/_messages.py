"""Lines for people, on standard error."""

from __future__ import annotations

import contextlib
import logging
import sys

from dadapt_cli.system.terminal import printable as printable


def say(message: str) -> None:
    """Put one line on standard error."""
    with contextlib.suppress(OSError):  # stderr is gone too
        print(f"dadapt: {printable(message)}", file=sys.stderr, flush=True)


class LogLines(logging.Handler):
    """The library's warnings as such lines."""

    def emit(self, record: logging.LogRecord) -> None:
        """Put one log record on standard error."""
        say(record.getMessage())


def log_lines(*, quiet: bool = False, verbose: bool = False) -> logging.Logger:
    """Return the library's logger, set up to put its lines there."""
    log = logging.getLogger("dadapt")
    log.handlers = [LogLines()]
    log.setLevel(logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING)
    return log
