"""One line on a terminal's standard error while a fit runs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from rich.console import Console
from rich.status import Status

from dadapt_cli.system.terminal import printable


class Progress:
    """Shows k, d and f; nothing at all unless standard error is a terminal."""

    def __init__(self, iterations: int, unit: str = "k", *, quiet: bool = False) -> None:
        self.console = Console(stderr=True, highlight=False, markup=False)
        self.iterations = iterations
        self.unit = unit
        self.quiet = quiet
        self.status: Status | None = None

    def say(self, what: str) -> None:
        """Show what is being done."""
        if self.status is not None:
            self.status.update(printable(what))

    @contextlib.contextmanager
    def hidden(self) -> Iterator[None]:
        """Clear the line while something else is printed on the same screen."""
        if self.status is None or not sys.stdout.isatty():
            yield
            return
        self.status.stop()
        yield
        self.status.start()

    def __call__(self, k: int, d: float, f: float) -> None:
        """Show where the loop is."""
        self.say(f"{self.unit} = {k} of {self.iterations}, d = {d:.4g}, f = {f:.6f}")

    def __enter__(self) -> Progress:
        if sys.stderr.isatty() and not self.quiet and not self.console.is_dumb_terminal:
            self.status = self.console.status("reading")
            self.status.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.status is not None:
            self.status.stop()
