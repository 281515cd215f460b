"""The table of a cross-validation."""

from __future__ import annotations

from typing import TextIO

from dadapt_cli._typing import Record
from dadapt_cli.render.screen import columns
from dadapt_cli.system.terminal import printable

HEADER = ("fold", "samples", "accuracy", "log-loss", "status")
WIDTHS = (4, 7, 9, 8, len("interrupted"))


class FoldTable:
    """Prints a row for each finished fold, then the means with their standard errors."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.folds = self.done = 0

    def record(self, record: Record) -> None:
        """Print what the next record says."""
        if record["event"] == "start":
            self.folds, data = record["folds"], record["data"]
            self._print(
                f"{data['path'] or 'data'}: {data['samples']} samples, "
                f"{data['features']} features, {data['classes']} classes; {record['folds']} folds, "
                f"{record['algorithm']}"
            )
            self._print("")
            self._print_row(HEADER)
        elif record["event"] == "fold":
            self.done += 1
            self._print_row((
                str(record["fold"]), str(record["samples"]), f"{100 * record['accuracy']:.2f} %",
                _number(record["log_loss"]), record["status"],
            ))  # fmt: skip
        elif record["accuracy"] is not None:
            self._print("")
            se = record["accuracy_se"]
            if self.done < self.folds:
                self._print(f"interrupted: {self.done} of {self.folds} folds")
            self._print(
                f"mean accuracy {100 * record['accuracy']:.2f} % "
                f"(SE {_number(None if se is None else 100 * se, '.2f')}), "
                f"log-loss {_number(record['log_loss'])} (SE {_number(record['log_loss_se'])})"
            )

    def _print_row(self, cells: tuple[str, ...]) -> None:
        self._print(columns([cells], 0, widths=WIDTHS)[0])

    def _print(self, line: str) -> None:
        self.stream.write(printable(line, self.stream) + "\n")
        self.stream.flush()


def _number(value: float | None, form: str = ".6f") -> str:
    return "unknown" if value is None else format(value, form)
