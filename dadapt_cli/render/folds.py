"""The table of a cross-validation."""

from __future__ import annotations

from typing import TextIO

from dadapt_cli._typing import Record


class FoldTable:
    """A row a fold as it is done, then the means with their standard errors."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.folds = self.done = 0

    def record(self, record: Record) -> None:
        """Print what the next record says."""
        if record["event"] == "start":
            self.folds, data = record["folds"], record["data"]
            path = data["path"] or "data"
            self._print(
                f"{path if path.isprintable() else repr(path)}: {data['samples']} samples, "
                f"{data['features']} features, {data['classes']} classes; {record['folds']} folds, "
                f"{record['algorithm']}"
            )
            self._print("")
            self._print("fold  samples  accuracy  log-loss  status")
        elif record["event"] == "fold":
            self.done += 1
            self._print(
                f"{record['fold']:4d}  {record['samples']:7d}  {100 * record['accuracy']:7.2f} %  "
                f"{_number(record['log_loss']):>8}  {record['status']}"
            )
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

    def _print(self, line: str) -> None:
        self.stream.write(line + "\n")
        self.stream.flush()


def _number(value: float | None, form: str = ".6f") -> str:
    return "unknown" if value is None else format(value, form)
