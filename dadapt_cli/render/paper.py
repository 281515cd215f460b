"""Views of the paper's experiments: tables, JSON, CSV, figures."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dadapt_cli.files import atomic_write

Record = dict[str, Any]

PARTS = ("dadapt_adam", "dadapt_sgd", "dadapt_adagrad", "cocob")


def _console(stream: TextIO) -> Console:
    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = 200  # a file has no edge to wrap at
    return console


def _table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    for i, header in enumerate(headers):
        table.add_column(header, justify="right" if i else "left", no_wrap=True)
    return table


def own_part(record: Record) -> Record:
    """What was compared with Adam: the entry under the algorithm's own name."""
    part: Record = next(record[name] for name in PARTS if name in record)
    return part


def _with_error(value: float, error: float) -> str:
    return f"{value:.2f} ({error:.2f})"


def _loss(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _name(record: Record) -> str:
    return str(record["title"])


def figure2(records: Sequence[Record], stream: TextIO) -> None:
    """Print the table of Figure 2."""
    if not records:
        return
    first = records[0]
    ours = {"adam": "D-Adapt Adam", "sgd": "D-Adapt SGD", "adagrad": "D-Adapt AdaGrad"}.get(
        first["algorithm"], first["algorithm"].upper()
    )
    console = _console(stream)
    table = _table("problem", f"{ours} (SE)", "best Adam (SE)", "lr", "paper: D-Adapt Adam",
                   "paper: Adam", "points", "SE", "log-loss", "Adam's", "d found (SD)")  # fmt: skip
    for record in records:
        own, adam, paper = own_part(record), record["adam"], record["paper"]
        row = [_name(record), _with_error(own["accuracy"], own["se"]),
               _with_error(adam["accuracy"], adam["se"]),
               f"{adam['lr']:g}" + ("*" if adam["at_grid_edge"] else "")]  # fmt: skip
        if paper is None:
            row += ["", "", "", ""]
        else:
            row += [
                _with_error(paper["dadapt_adam"], paper["dadapt_adam_se"]),
                _with_error(paper["adam"], paper["adam_se"]),
                "" if record["difference"] is None else f"{record['difference']:+.2f}",
                "" if record["difference_in_se"] is None else f"{record['difference_in_se']:+.1f}",
            ]
        row += [_loss(own["log_loss"]), _loss(adam["log_loss"])]
        row.append("" if own["d"] is None else f"{own['d']:.3g} ({own['d_std']:.1g})")
        table.add_row(*row)
    console.print(table)
    for line in (
        f"Training accuracy in percent at the end of epoch {first['epochs']}, mean over "
        f"{first['seeds']} seeds and its standard error (SE); mean log-loss.",
        "points, SE: measured less the paper's D-Adapt Adam, in percent and in standard errors "
        "of the difference.",
        "d found is an estimate of a distance, no lower bound; * at the edge of the grid.",
        "Adam's grid of learning rates: " + ", ".join(f"{row['lr']:g}" for row in first["grid"]),
    ):
        console.print(Text(line), soft_wrap=True)


def table1(records: Sequence[Record], stream: TextIO) -> None:
    """Print the learning rates found beside the best of the grid."""
    if not records:
        return
    first = records[0]
    console = _console(stream)
    table = _table("problem", "d found", "SD over seeds", "best Adam lr", "accuracy with d (SE)",
                   "with the best lr (SE)")  # fmt: skip
    for record in records:
        own, adam = own_part(record), record["adam"]
        table.add_row(
            _name(record),
            "" if own["d"] is None else f"{own['d']:.4g}",
            "" if own["d"] is None else f"{own['d_std']:.2g}",
            f"{adam['lr']:g}" + ("*" if adam["at_grid_edge"] else ""),
            _with_error(own["accuracy"], own["se"]),
            _with_error(adam["accuracy"], adam["se"]),
        )
    console.print(table)
    console.print(
        Text(
            f"d at the end of epoch {first['epochs']}, mean and standard deviation (SD) over "
            f"{first['seeds']} seeds; training accuracy in percent; * at the edge of the grid "
            + ", ".join(f"{row['lr']:g}" for row in first["grid"])
        ),
        soft_wrap=True,
    )


def figure7(records: Sequence[Record], stream: TextIO) -> None:
    """Print the final accuracy for each d0."""
    if not records:
        return
    first = records[0]
    console = _console(stream)
    table = _table("d0", *(_name(record) for record in records))
    for i, row in enumerate(first["d0"]):
        cells = [record["d0"][i] for record in records]
        table.add_row(f"{row['d0']:g}", *(_with_error(c["accuracy"], c["se"]) for c in cells))
    console.print(table)
    console.print(
        Text(
            f"Training accuracy in percent at the end of epoch {first['epochs']}, mean over "
            f"{first['seeds']} seeds and its standard error."
        ),
        soft_wrap=True,
    )


def as_json(records: Sequence[Record], stream: TextIO) -> None:
    """Print INTERFACE's list, one object a problem."""
    json.dump(list(records), stream, indent=1, allow_nan=False)
    stream.write("\n")


def write_curves(path: Path, curves: Record) -> None:
    """Write the means after each epoch as CSV; an unknown number is an empty field."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("epoch", "algorithm", "accuracy", "se", "log_loss"))
    for name, curve in curves.items():
        columns = (curve["accuracy"], curve["se"], curve["log_loss"])
        for epoch, row in enumerate(zip(*columns, strict=True), 1):
            writer.writerow((epoch, name, *row))
    with atomic_write(path) as handle:
        handle.write(text.getvalue().encode())


def write_rows(path: Path, rows: Sequence[Record]) -> None:
    """Write records as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with atomic_write(path) as handle:
        handle.write(text.getvalue().encode())


def can_draw() -> bool:
    """Whether matplotlib is there."""
    return importlib.util.find_spec("matplotlib") is not None


def draw_figure2(folder: Path, results: Sequence[Record]) -> list[Path]:
    """Draw the curves, a panel a problem, mean and two standard errors: PNG and SVG."""
    names = {"adam": "D-Adapt Adam", "sgd": "D-Adapt SGD", "adam-plain": "Adam, best rate"}
    figure, panels = _panels(len(results))
    for panel, result in zip(panels, results, strict=False):
        for name, curve in result["curves"].items():
            epochs = range(1, len(curve["accuracy"]) + 1)
            _band(panel, epochs, curve["accuracy"], curve["se"], names.get(name, name))
        panel.set(title=result["record"]["title"], xlabel="epoch")
        panel.legend(fontsize="small", loc="lower right")
    return _save(figure, panels, folder / "figure2")


def draw_figure7(folder: Path, results: Sequence[Record]) -> list[Path]:
    """Draw the final accuracy against d0, mean and two standard errors: PNG and SVG."""
    figure, panels = _panels(len(results))
    for panel, result in zip(panels, results, strict=False):
        rows = result["record"]["d0"]
        x = [row["d0"] for row in rows]
        _band(panel, x, [row["accuracy"] for row in rows], [row["se"] for row in rows], None)
        panel.set(title=result["record"]["title"], xlabel="$d_0$", xscale="log")
    return _save(figure, panels, folder / "figure7")


def _panels(count: int) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure

    columns = min(count, 4)
    rows = -(-count // columns)
    figure = Figure(figsize=(4 * columns, 3 * rows), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).ravel())


def _band(panel: Any, x: Any, mean: Any, error: Any, label: str | None) -> None:
    low = [m - 2 * e for m, e in zip(mean, error, strict=True)]
    high = [m + 2 * e for m, e in zip(mean, error, strict=True)]
    (line,) = panel.plot(x, mean, label=label)
    panel.fill_between(x, low, high, alpha=0.3, color=line.get_color(), linewidth=0)
    panel.set_ylabel("training accuracy, %")


def _save(figure: Any, panels: list[Any], stem: Path) -> list[Path]:
    import matplotlib

    for panel in panels:
        panel.set_visible(panel.has_data())
    paths = []
    # Fixed ids and no date: the same results give the same file.
    with matplotlib.rc_context({"svg.hashsalt": "dadapt"}):
        for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            path = stem.with_suffix(f".{kind}")
            with atomic_write(path) as handle:
                figure.savefig(handle, format=kind, dpi=150, metadata=metadata)
            paths.append(path)
    return paths
