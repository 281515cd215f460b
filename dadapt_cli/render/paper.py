"""Views of the paper's experiments: tables, JSON, CSV, figures."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from dadapt_cli._typing import Record
from dadapt_cli.render import screen
from dadapt_cli.system.files import atomic_write

PARTS = ("dadapt_adam", "dadapt_sgd", "dadapt_adagrad", "cocob")


def rows_of(columns: Sequence[tuple[str, Sequence[str]]]) -> list[Sequence[str]]:
    """Turn columns into a header and rows."""
    header = [name for name, _ in columns]
    return [header, *zip(*(cells for _, cells in columns), strict=True)]


def _fitting(
    columns: list[tuple[str, Sequence[str]]], dispensable: Sequence[str], width: int
) -> list[Sequence[str]]:
    """The rows, with dispensable columns dropped until the rest fits the screen."""
    for name in dispensable:
        if screen.width(rows_of(columns)) <= width:
            break
        columns = [column for column in columns if column[0] != name]
    return rows_of(columns)


def own_part(record: Record) -> Record:
    """Return what was compared with Adam: the entry under the algorithm's own name."""
    part: Record = next(record[name] for name in PARTS if name in record)
    return part


def with_error(value: float, error: float) -> str:
    """A mean and its standard error."""
    return f"{value:.2f} ({error:.2f})"


def known(value: float | None, form: str) -> str:
    """Format a number; an empty string where it is unknown."""
    return "" if value is None else format(value, form)


def _rate(adam: Record) -> str:
    return f"{adam['lr']:g}" + ("*" if adam["at_grid_edge"] else "")


def _found(own: Record) -> str:
    d, spread = own["d"], own["d_std"]
    return "" if d is None or spread is None else f"{d:.3g} ({spread:.1g})"


def _printed(paper: Record | None, name: str) -> str:
    return "" if paper is None else with_error(paper[name], paper[f"{name}_se"])


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
    parts = [(own_part(record), record["adam"], record["paper"]) for record in records]
    columns: list[tuple[str, Sequence[str]]] = [
        ("problem", [_name(record) for record in records]),
        (ours, [with_error(own["accuracy"], own["se"]) for own, _, _ in parts]),
        ("best Adam", [with_error(adam["accuracy"], adam["se"]) for _, adam, _ in parts]),
        ("lr", [_rate(adam) for _, adam, _ in parts]),
        ("paper: D-Adapt", [_printed(paper, "dadapt_adam") for _, _, paper in parts]),
        ("Adam", [_printed(paper, "adam") for _, _, paper in parts]),
        ("points", [known(record["difference"], "+.2f") for record in records]),
        ("SE", [known(record["difference_in_se"], "+.1f") for record in records]),
        ("log-loss", [known(own["log_loss"], ".4g") for own, _, _ in parts]),
        ("Adam's", [known(adam["log_loss"], ".4g") for _, adam, _ in parts]),
        ("d (SD)", [_found(own) for own, _, _ in parts]),
    ]
    console = screen.console(stream)
    dispensable = ("SE", "Adam", "Adam's", "points", "d (SD)")
    screen.put_columns(console, _fitting(columns, dispensable, console.width))
    how = (
        f"{ours}: --average {first['average']}, --schedule {first['schedule']}; Adam: the paper's."
    )
    for line in (
        *([] if first["average"] == "none" and first["schedule"] in ("paper", None) else [how]),
        f"Training accuracy in percent at the end of epoch {first['epochs']}, mean over "
        f"{first['seeds']} seeds (standard error); mean log-loss.",
        "points, SE: measured less the paper's D-Adapt Adam, in percent and in standard errors "
        "of the difference.",
        "d: the learning rate found, an estimate of a distance, no lower bound (standard "
        "deviation); * at the edge of the grid.",
        "Adam's grid of learning rates: " + ", ".join(f"{row['lr']:g}" for row in first["grid"]),
    ):
        screen.put(console, line)


def table1(records: Sequence[Record], stream: TextIO) -> None:
    """Print the learning rates found, with the best of the grid."""
    if not records:
        return
    first = records[0]
    console = screen.console(stream)
    parts = [(own_part(record), record["adam"]) for record in records]
    columns: list[tuple[str, Sequence[str]]] = [
        ("problem", [_name(record) for record in records]),
        ("d", [known(own["d"], ".4g") for own, _ in parts]),
        ("SD", [known(own["d_std"], ".2g") for own, _ in parts]),
        ("best Adam lr", [_rate(adam) for _, adam in parts]),
        ("accuracy with d", [with_error(own["accuracy"], own["se"]) for own, _ in parts]),
        ("with that lr", [with_error(adam["accuracy"], adam["se"]) for _, adam in parts]),
    ]
    screen.put_columns(console, rows_of(columns))
    screen.put(
        console,
        f"d at the end of epoch {first['epochs']}, mean and standard deviation (SD) over "
        f"{first['seeds']} seeds; training accuracy in percent (standard error); * at the "
        "edge of the grid " + ", ".join(f"{row['lr']:g}" for row in first["grid"]),
    )


def figure7(records: Sequence[Record], stream: TextIO) -> None:
    """Print the final accuracy for each d0."""
    if not records:
        return
    first = records[0]
    console = screen.console(stream)
    starts = ("d0", [f"{row['d0']:g}" for row in first["d0"]])
    columns = [
        (_name(record), [with_error(row["accuracy"], row["se"]) for row in record["d0"]])
        for record in records
    ]
    at_once = max(1, (console.width - 8) // 16)
    for i in range(0, len(columns), at_once):
        screen.put_columns(console, rows_of([starts, *columns[i : i + at_once]]))
    screen.put(
        console,
        f"Training accuracy in percent at the end of epoch {first['epochs']}, mean over "
        f"{first['seeds']} seeds and its standard error.",
    )


def criteo(record: Record, stream: TextIO) -> None:
    """Print the table of the click-through experiment."""
    console = screen.console(stream)
    own = record["dadapt_adam"]
    rows = [("D-Adapt Adam", known(own["d"], ".3g"), own)]
    for row in record["grid"]:
        best = "*" if row["lr"] == record["adam"]["lr"] else ""
        rows.append(("Adam", f"{row['lr']:g}{best}", row))
    columns: list[tuple[str, Sequence[str]]] = [
        ("algorithm", [name for name, _, _ in rows]),
        ("rate", [rate for _, rate, _ in rows]),
        ("accuracy", [f"{row['accuracy']:.3f}" for *_, row in rows]),
        ("SE", [known(row["se"], ".3f") for *_, row in rows]),
        ("log-loss", [f"{row['log_loss']:.5f}" for *_, row in rows]),
    ]
    screen.put_columns(console, rows_of(columns))
    kind = "SYNTHETIC data of Criteo's shape" if record["synthetic"] else "Criteo's text"
    edge = "; at the edge of the grid" if record["adam"]["at_grid_edge"] else ""
    for line in (
        f"{kind}, {record['samples']} rows, {record['features']} columns; on "
        f"{record['test_samples']} held-out rows, {100 * record['clicks']:.2f} % of them clicks.",
        f"Epochs: {record['epochs']}, batches of {record['batch_size']}, no schedule; mean over "
        f"{record['seeds']} seeds (SE: standard error of the accuracy in percent).",
        f"rate: of D-Adapt Adam the d found; * the best of the grid{edge}.",
    ):
        screen.put(console, line)


def draw_criteo(folder: Path, record: Record) -> list[Path]:
    """Draw held-out accuracy and log-loss against Adam's rate: PNG and SVG."""
    figure, panels = grid_of(2)
    rates = [row["lr"] for row in record["grid"]]
    kind = " (synthetic data)" if record["synthetic"] else ""
    for panel, name, label in zip(
        panels, ("accuracy", "log_loss"), ("accuracy, %", "log-loss"), strict=False
    ):
        panel.plot(rates, [row[name] for row in record["grid"]], "o-", label="Adam")
        panel.axhline(record["dadapt_adam"][name], color="C1", label="D-Adapt Adam")
        panel.set(xscale="log", xlabel="learning rate", ylabel=f"held-out {label}")
        panel.set_title(f"Criteo{kind}")
        panel.legend(fontsize="small")
    return save(figure, panels, folder / "criteo")


def as_json(records: Sequence[Record], stream: TextIO) -> None:
    """Print INTERFACE's list, one object per problem."""
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
    with atomic_write(path, own=True) as handle:
        handle.write(text.getvalue().encode())


def write_rows(path: Path, rows: Sequence[Record]) -> None:
    """Write records as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with atomic_write(path, own=True) as handle:
        handle.write(text.getvalue().encode())


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def draw_figure2(folder: Path, results: Sequence[Record]) -> list[Path]:
    """Draw the curves, one panel per problem, mean and two standard errors: PNG and SVG."""
    names = {"adam": "D-Adapt Adam", "sgd": "D-Adapt SGD", "adam-plain": "Adam, best rate"}
    figure, panels = grid_of(len(results))
    for panel, result in zip(panels, results, strict=False):
        for name, curve in result["curves"].items():
            epochs = range(1, len(curve["accuracy"]) + 1)
            band(panel, epochs, curve["accuracy"], curve["se"], names.get(name, name))
        panel.set(title=result["record"]["title"], xlabel="epoch")
        panel.legend(fontsize="small", loc="lower right")
    return save(figure, panels, folder / "figure2")


def draw_figure7(folder: Path, results: Sequence[Record]) -> list[Path]:
    """Draw the final accuracy against d0, mean and two standard errors: PNG and SVG."""
    figure, panels = grid_of(len(results))
    for panel, result in zip(panels, results, strict=False):
        rows = result["record"]["d0"]
        x = [row["d0"] for row in rows]
        band(panel, x, [row["accuracy"] for row in rows], [row["se"] for row in rows], None)
        panel.set(title=result["record"]["title"], xlabel="$d_0$", xscale="log")
    return save(figure, panels, folder / "figure7")


def grid_of(count: int) -> tuple[Any, list[Any]]:
    """A figure and at least `count` panels in it."""
    from matplotlib.figure import Figure

    columns = min(count, 4)
    rows = -(-count // columns)
    figure = Figure(figsize=(4 * columns, 3 * rows), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).ravel())


def band(panel: Any, x: Any, mean: Any, error: Any, label: str | None) -> None:
    """Draw a mean and two standard errors around it."""
    low = [m - 2 * e for m, e in zip(mean, error, strict=True)]
    high = [m + 2 * e for m, e in zip(mean, error, strict=True)]
    (line,) = panel.plot(x, mean, label=label)
    panel.fill_between(x, low, high, alpha=0.3, color=line.get_color(), linewidth=0)
    panel.set_ylabel("training accuracy, %")


def save(figure: Any, panels: list[Any], stem: Path) -> list[Path]:
    """Write PNG and SVG, without the panels that hold nothing."""
    import matplotlib

    for panel in panels:
        panel.set_visible(panel.has_data())
    paths = []
    # Fixed ids and no date: the same results give the same file.
    with matplotlib.rc_context({"svg.hashsalt": "dadapt"}):
        for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            path = stem.with_suffix(f".{kind}")
            with atomic_write(path, own=True) as handle:
                figure.savefig(handle, format=kind, dpi=150, metadata=metadata)
            paths.append(path)
    return paths
