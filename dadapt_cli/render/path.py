"""The tables of a regularisation path: one row per point, and with folds the suggested choices."""

from __future__ import annotations

from typing import TextIO

from dadapt_cli._typing import Record
from dadapt_cli.render.screen import columns
from dadapt_cli.system.terminal import printable

POINT = (
    ("k", "k", "d", 5),
    ("f", "f", ".9f", 11),
    ("gap <=", "gap", ".1e", 7),
    ("d", "d", "#.4g", 9),
    ("accuracy", "accuracy", ".2%", 8),
    ("log-loss", "log_loss", ".6f", 8),
    ("test acc", "test_accuracy", ".2%", 8),
    ("test loss", "test_log_loss", ".6f", 9),
    ("proven", "labels_proven", ".1%", 6),
    ("s", "seconds", ".2f", 6),
)
"""Header, key, format and width; columns of the test set only where there is one."""

MEANS = (
    ("accuracy", "accuracy", ".2%", 8),
    ("SE", "accuracy_se", ".2%", 6),
    ("log-loss", "log_loss", ".6f", 8),
    ("SE", "log_loss_se", ".6f", 8),
    ("s", "seconds", ".2f", 6),
)


class PathTable:
    """Prints each point as it is known; with folds all of them at the end, and the choices."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.start: Record = {}
        self.points: list[Record] = []
        self.folds = 0

    def record(self, record: Record) -> None:
        """Print what the next record says."""
        event = record["event"]
        if event == "start":
            self.start, data = record, record["data"]
            folds = f"{record['folds']} folds, " if "folds" in record else ""
            self._print(
                f"{data['path'] or 'data'}: {data['samples']} samples, {data['features']} "
                f"features, {data['classes']} classes; {len(record['path'])} points, {folds}"
                f"{record['algorithm']}"
            )
        elif event == "point" and "folds" in self.start:
            self.points.append(record)
        elif event == "point":
            if not self.points:
                self._print("")
                self._print_row(record, [header for header, *_ in self._columns(record)])
            self.points.append(record)
            cells = [_cell(record[key], form) for _, key, form, _ in self._columns(record)]
            self._print_row(record, cells, record["status"])
        elif event == "end":
            self._print_end(record)

    @property
    def by(self) -> str:
        """The parameter that names the points, l2 or C."""
        return "C" if self.start["path"][0]["C"] is not None else "l2"

    def _columns(self, record: Record) -> list[tuple[str, str, str, int]]:
        known = MEANS if "folds" in self.start else POINT
        first = [(self.by, self.by, ".6g", 9)]
        if self.by == "C" and record["l2"] is not None:
            first.append(("l2", "l2", ".4g", 9))
        return [*first, *(column for column in known if column[1] in record)]

    def _print_end(self, end: Record) -> None:
        if "best" not in end:
            if end["status"] == "interrupted":
                self._print(f"interrupted: {end['points']} of {len(self.start['path'])} points")
            return
        if end["best"] is None:
            if end["status"] == "interrupted":
                self._print(f"interrupted: {end['folds']} of {self.start['folds']} folds")
            return
        first = self.points[0]
        self._print("")
        self._print_row(first, [header for header, *_ in self._columns(first)])
        for point in self.points:
            mine = point[self.by]
            marks = [
                word
                for word, name in (("best", "best"), ("one SE", "one_se"))
                if end[name][self.by] == mine
            ]
            cells = [_cell(point[key], form) for _, key, form, _ in self._columns(point)]
            self._print_row(point, cells, ", ".join(marks))
        self._print("")
        self._print(
            f"least log-loss at {self.by} = {end['best'][self.by]:g}; the strongest l2 within one "
            f"standard error of it at {self.by} = {end['one_se'][self.by]:g}"
        )

    def _print_row(self, point: Record, cells: list[str], last: str = "") -> None:
        widths = [column[3] for column in self._columns(point)]
        line = columns([cells], 0, widths=widths)[0]
        self._print(f"{line}  {last}".rstrip())

    def _print(self, line: str) -> None:
        self.stream.write(printable(line, self.stream) + "\n")
        self.stream.flush()


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
