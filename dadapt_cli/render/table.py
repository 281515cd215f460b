"""The table for people: the problem, the trajectory, and what it means."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO, TypeAlias

from rich.text import Text

from dadapt_cli._typing import Record
from dadapt_cli.render import screen
from dadapt_cli.render.digits import digits
from dadapt_cli.render.spark import BARS, sparkline
from dadapt_cli.system.terminal import word

Info: TypeAlias = Any
"""What is known about an algorithm: an object with the fields of ``algorithms.Info``."""

Column: TypeAlias = tuple[str, str, str]

# header, record key, format; on a narrow screen the last columns here are dropped first
COLUMNS = (
    ("epoch", "epoch", "d"),
    ("k", "k", "d"),
    ("d_k", "d", "#.4g"),
    ("f-f* last", "suboptimality_last", ".1e"),
    ("average", "suboptimality_average", ".1e"),
    ("best", "suboptimality_best", ".1e"),
    ("d/D", "d_over_D", ".3f"),
    ("bound", "bound", ".1e"),
    ("bound last", "bound_last", ".1e"),
    ("rejected", "rejected", "d"),
    ("test acc", "test_accuracy", ".4f"),
    ("test loss", "test_log_loss", ".4f"),
    ("||g||", "grad_norm", ".1e"),
    ("s", "seconds", ".2f"),
    ("rejected", "rejected", "d"),
    ("gradients", "gradients", ".4g"),
)
ORDER = ("epoch", "k", "gradients", "rejected", "d", "d_over_D",
         "suboptimality_last", "suboptimality_average", "suboptimality_best",
         "f_last", "f_average", "f_best", "bound", "bound_last", "grad_norm", "rejected",
         "test_accuracy", "test_log_loss", "seconds")  # fmt: skip

NO_WIDTHS: Mapping[str, int] = {}
WIDTHS = {"d": 6, "#.4g": 9, ".4g": 6, ".1e": 7, ".2f": 6, ".3f": 5, ".4f": 6, ".6f": 9}
"""Width of numbers of a format, where a row is printed before the next is known."""

STATUS = {
    "iterations": "all iterations made",
    "tolerance": "tolerance reached",
    "time": "time limit reached",
    "optimal": "the gradient is zero",
    "proven": "enough labels proven",
    "precision": "f can be lowered no further in this precision",
    "interrupted": "interrupted",
    "failed": "failed",
}


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _columns(
    steps: Sequence[Record], width: int, widths: Mapping[str, int] = NO_WIDTHS
) -> list[Column]:
    """The columns that hold something and fit the screen, in reading order.

    `widths` are the least widths of columns by format.
    """
    used = [c for c in COLUMNS if any(step.get(c[1]) is not None for step in steps)]
    if not any(c[1] == "suboptimality_last" for c in used):  # without f*: f itself
        f = [(n, f"f_{n}", ".6f") for n in ("last", "average", "best")]
        f[0] = ("f last", "f_last", ".6f")
        used[2:2] = [c for c in f if any(step.get(c[1]) is not None for step in steps)]
    while len(used) > 3:
        least = [" " * widths.get(form, 0) for _, _, form in used]
        if screen.width([least, *_cells(used, steps)]) <= width:
            break
        used.pop()
    return sorted(used, key=lambda c: ORDER.index(c[1]))


def _cells(columns: Sequence[Column], steps: Sequence[Record]) -> list[list[str]]:
    """The header and one row per step."""
    rows = [[_number(step.get(key), form) for _, key, form in columns] for step in steps]
    return [[name for name, _, _ in columns], *rows]


def _listed(step: Record) -> bool:
    """Whether it is a row of ``--every log``: ``auto`` has additional rows for its curves."""
    return str(step.get("epoch", step["k"])).rstrip("0") in ("", "1", "2", "5")


class Table:
    """Prints the problem, the trajectory, and with the end record what it means.

    On a terminal a row appears as it is made, in columns that the first two choose; elsewhere all
    rows choose them, at the end. `describe` gives the Info of an algorithm by name and variant.
    """

    def __init__(self, stream: TextIO, describe: Callable[[str, str], Info]) -> None:
        self.console = screen.console(stream, file_width=None)
        self.describe = describe
        self.info: Info = None
        self.start: Record = {}
        self.steps: list[Record] = []
        self.columns: list[Column] = []  # of rows that appear as they are made
        self.printed: Record | None = None

    def record(self, record: Record) -> None:
        """Take the next record."""
        if record["event"] == "start":
            self.begin(record)
            for text in self._heading():
                self._print(text)
        elif record["event"] == "step":
            self.steps.append(record)
            if self.console.is_terminal and len(self.steps) > 1:
                self._print_live()
        else:
            self._print_steps()
            for line in self.summary(record):
                self._print(line)

    def begin(self, start: Record) -> None:
        """Take the start record without printing anything."""
        self.start = start
        self.info = self.describe(start["algorithm"], start["options"]["variant"])

    def _print(self, text: str | Text) -> None:
        screen.put(self.console, text)

    def _heading(self) -> list[Text]:
        start = self.start
        data, objective, known = start["data"], start["objective"], start["reference"]
        labels = ", ".join(word(label, 40) for label in data["labels"][:8])
        more = ", ..." if len(data["labels"]) > 8 else ""
        name = data["path"] or "data"
        positive = (
            f" ({word(data['labels'][1], 40)} is the positive one)" if data["classes"] == 2 else ""
        )
        lines = [
            Text.assemble(
                (name, "bold"),
                f": {data['samples']} samples, {data['features']} features, "
                f"{data['nonzeros']} non-zeros, labels {labels}{more}{positive}",
            ),
            Text(
                f"{objective['loss']} loss"
                + _penalty(objective, start["options"])
                + (", bias feature" if objective["bias"] else "")
                + (", unpenalised intercept" if objective["intercept"] else "")
                + (", weighted samples" if objective["weighted"] else "")
                + f"; {self.info.title}"
            ),
        ]
        if known["f_star"] is None:
            lines.append(Text(f"f* unknown: {known['reason']}"))
        else:
            D = known[self.info.distance]
            value = f"{known['f_star']:.15g} (given)"
            if known["status"] != "given":
                value = f"{digits(known['f_star'], known['gap'])} (certified)"
            distance = "" if D is None else f", {self.info.distance} = {D:.6g}"
            if known["status"] == "not-attained":
                distance = f" (an infimum, not attained), {self.info.distance} = infinity"
            lines.append(Text(f"f* = {value}{distance}"))
        if start["d0"] is None:
            rate = start["options"]["lr"]
            text = "" if rate is None else f"learning rate {rate:g} (given with --lr); "
            lines.append(Text(f"{text}d is {self.info.d_means}"))
            return lines
        origin = "given with --d0"
        if self.info.minibatch and start["options"]["d0"] == "auto":
            origin = "the paper's default"
        if start["d0_certified"]:
            origin = f"from the smoothness of f: certified not to exceed {self.info.distance}"
        lines.append(Text(f"d0 = {start['d0']:.6g} ({origin}); d_k is {self.info.d_means}"))
        return lines

    def _print_steps(self) -> None:
        if self.columns:
            if self.printed is not self.steps[-1]:
                self._print_rows(self.steps[-1:])
        else:
            rows = self._thinned()
            columns = _columns(rows, self.console.width)
            self._print("")
            screen.put_columns(self.console, _cells(columns, rows), left=0)
        self._print("")
        if self.console.is_terminal and len(self.steps) > 2 and screen.can_show(self.console, BARS):
            for name, key in (("d_k ", "d"), ("f-f*", "suboptimality_last")):
                if line := sparkline([step[key] for step in self.steps]):
                    self._print(f"{name} {line}  (log scale, one bar a row)")
            self._print("")

    def _thinned(self) -> list[Record]:
        """The rows to print: for ``auto`` those of ``log``, and the last."""
        if self.start["options"]["every"] != "auto":
            return self.steps
        return [step for step in self.steps[:-1] if _listed(step)] + self.steps[-1:]

    def _print_live(self) -> None:
        """Print the last row, preceded at first by the header and the first row."""
        if not self.columns:
            self.columns = _columns(self.steps, self.console.width, WIDTHS)
            self._print("")
            self._print_rows(self.steps[:1], header=True)
        if self.start["options"]["every"] != "auto" or _listed(self.steps[-1]):
            self._print_rows(self.steps[-1:])

    def _print_rows(self, steps: Sequence[Record], *, header: bool = False) -> None:
        """Print rows in the columns chosen before."""
        widths = [WIDTHS[form] for _, _, form in self.columns]
        cells = _cells(self.columns, steps)
        lines = screen.columns(cells, 0, widths=[*map(max, widths, map(len, cells[0]))],
                               stream=self.console)  # fmt: skip
        for i, line in enumerate(lines):
            if header or i:
                style = "" if i else "bold"
                self.console.print(Text(line), style=style, soft_wrap=True)
        self.printed = steps[-1]

    def summary(self, end: Record) -> list[str]:
        """Return the outcome, one sentence per line."""
        seconds = end["seconds"]
        loss = "unknown" if end["log_loss"] is None else f"{end['log_loss']:.6f}"
        kind = "weighted training" if self.start["objective"]["weighted"] else "training"
        lines = [
            f"{STATUS[end['status']]}: k = {end['k']}, {seconds['total']:.2f} s "
            f"(load {seconds['load']:.2f}, reference {seconds['reference']:.2f}, "
            f"solve {seconds['solve']:.2f})",
            f"least f at the {end['iterate']} iterate: {kind} accuracy "
            f"{100 * end['accuracy']:.2f} %, log-loss {loss}",
        ]
        if "test_accuracy" in end:
            loss = end["test_log_loss"]
            lines.append(
                f"held-out accuracy {100 * end['test_accuracy']:.2f} %, log-loss "
                + ("unknown" if loss is None else f"{loss:.6f}")
            )
        if end["labels_proven"] is not None:
            share = math.floor(1000 * end["labels_proven"]) / 10  # never more than is proven
            lines.append(f"{share:.1f} % of the labels are proven to be those of the exact optimum")
        if end["theorem2_k"] is not None:
            lines.append(f"Theorem 2 returns the average of x_0..x_{end['theorem2_k']}")
        return lines + list(end["diagnosis"])


def _penalty(objective: Record, options: Record) -> str:
    """The l2 term, and how its weight follows from the number of samples."""
    if not objective["l2"]:
        return ""
    rule, value = objective["l2_rule"], f"{objective['l2']:.4g}"
    shown = {
        "1/n": f"1/n = {value} (--l2 0: none)",
        "1/(C n)": f"1/(C n) = {value}, C = {options['C']:g}" if rule == "1/(C n)" else "",
    }
    return f" + l2/2 ||w||^2, l2 = {shown.get(rule, value)}"
