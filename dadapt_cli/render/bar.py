"""How far a file is read: a bar, per cent and the time left, on a terminal's standard error."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class Bar:
    """Shows bytes read of bytes there are, and rows; nothing unless standard error is a terminal.

    Parameters
    ----------
    what
        Is done.
    """

    def __init__(self, what: str, *, quiet: bool = False) -> None:
        console = Console(stderr=True, highlight=False, markup=False)
        shown = sys.stderr.isatty() and not quiet and not console.is_dumb_terminal
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[share]}", markup=False),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not shown,
        )
        self.what = what
        self.task: TaskID | None = None

    def __call__(self, done: int, size: int | None, rows: int) -> None:
        """Show where the reading is; `size` is None where the end is not known."""
        if self.task is None:
            self.task = self.progress.add_task(self.what, total=size, share="")
        share = f"{done / 2**20:.0f} MiB" if not size else f"{100 * done / size:.1f} %"
        self.progress.update(self.task, completed=done, total=size, share=f"{share}, {rows} rows")

    def __enter__(self) -> Bar:
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.progress.stop()
