"""The bar that :mod:`.progress` shows on a terminal; apart, as rich takes a tenth of a start."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

BAR = 14
"""Width of the bar in columns, which leaves about 45 of 80 for text."""


class _Left(ProgressColumn):
    """Per cent and ETA, where the whole is known."""

    max_refresh = 0.2

    def __init__(self, eta: object) -> None:
        super().__init__()
        self.eta = eta

    def render(self, task: Task) -> Text:
        """Return the cell of the column."""
        return Text("" if task.total is None else f"{task.percentage:3.0f}% {self.eta}".rstrip())


def bar(eta: object) -> Progress | None:
    """Return a line for standard error that ends in `eta` as text; None on a dumb terminal."""
    console = Console(stderr=True, highlight=False, markup=False)
    if console.is_dumb_terminal:
        return None
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(BAR),
        _Left(eta),
    )
    return Progress(*columns, console=console, transient=True, redirect_stdout=False)
