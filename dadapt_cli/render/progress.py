"""One line on a terminal's standard error while something runs: what, a bar, per cent and ETA."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from dadapt_cli.system.terminal import printable

FIRST_ETA = 0.5
"""Seconds that a piece of work must run before its remaining time is estimated."""


class Eta:
    """Estimates when a piece of work will be done, from its average speed so far.

    `clock` gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.restart()

    def restart(self) -> None:
        """Start the estimate of another piece of work."""
        self.begun: tuple[float, float] | None = None  # time and share of the first update
        self.share = 0.0
        self.end: float | None = None

    def at(self, share: float) -> None:
        """Update the share that is done; a smaller one starts another piece of work."""
        now = self.clock()
        if self.begun is None or share < self.share:
            self.begun, self.end = (now, share), None
        self.share = share
        since, done = now - self.begun[0], share - self.begun[1]
        if done > 0 and since >= FIRST_ETA:
            self.end = now + since * (1 - share) / done

    @property
    def left(self) -> float | None:
        """Remaining seconds, or None while there is no estimate."""
        return None if self.end is None else max(0.0, self.end - self.clock())

    def __str__(self) -> str:
        """The remaining time in clock format, or an empty string."""
        if self.left is None:
            return ""
        minutes, seconds = divmod(round(self.left), 60)
        hours, minutes = divmod(minutes, 60)
        clock = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
        return f"ETA {clock}"


class Progress:
    """Shows what is done; nothing at all unless standard error is a terminal.

    Parameters
    ----------
    iterations, unit
        Of the loop that calls it; 0: there is none.
    seconds
        The time limit of the loop.
    """

    def __init__(
        self,
        iterations: int,
        unit: str = "k",
        *,
        quiet: bool = False,
        seconds: float | None = None,
    ) -> None:
        self.iterations = iterations
        self.unit = unit
        self.quiet = quiet
        self.seconds = seconds
        self.status: Any = None
        self._task: Any = None
        self._eta = Eta()
        self._loop: float | None = None

    def say(self, what: str, share: float | None = None) -> None:
        """Show what is being done, and how much of it is where that is known."""
        if self.status is None:
            return
        if share is None:
            self._eta.restart()
        else:
            self._eta.at(share)
        total = None if share is None else 1.0
        self.status.update(
            self._task, description=printable(what), total=total, completed=share or 0.0
        )

    def read(self, what: str, done: int, size: int | None, rows: int) -> None:
        """Show how many bytes of a file are read; `size` is None where its end is not known."""
        part = "" if size else f", {done / 2**20:.0f} MiB"
        self.say(f"{what}: {rows} rows{part}", done / size if size else None)

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
        if self.status is None:
            return
        now = time.monotonic()
        if self._loop is None:
            self._loop = now
            self._eta.restart()
        share = k / self.iterations if self.iterations else 0.0
        if self.seconds is not None:
            share = max(share, (now - self._loop) / self.seconds)
        size = "" if math.isnan(d) else f", d = {d:.4g}"
        self.say(f"{self.unit} = {k} of {self.iterations}{size}, f = {f:.6f}", min(share, 1.0))

    def __enter__(self) -> Progress:
        if sys.stderr.isatty() and not self.quiet:
            from dadapt_cli.render.bar import bar

            self.status = bar(self._eta)
        if self.status is not None:
            self._task = self.status.add_task("reading", total=None)
            self.status.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.status is not None:
            self.status.stop()
