"""Views of ``dadapt paper beyond``: three tables, the files, four figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from dadapt_cli._typing import Record
from dadapt_cli.render import screen
from dadapt_cli.render.paper import (
    grid_of,
    known,
    rows_of,
    save,
    with_error,
    write_curves,
    write_rows,
)

LINES = {"adam": "-", "sgd": "--"}
COLOURS = {"paper": "C0", "linear": "C1", "schedule-free": "C2"}


def tables(records: Sequence[Record], deviations: Record, stream: TextIO) -> None:
    """Print what was found, by problem and then over the random problems."""
    console = screen.console(stream)
    rows = [(record, row) for record in records for row in record["descent"]["rows"]]
    if rows:
        count = records[0]["descent"]["gradients"]
        levels = list(rows[0][1]["gradients_to"])
        columns = [
            ("problem", [record["title"] for record, _ in rows]),
            ("method", [row["method"] for _, row in rows]),
            *((level, [_count(row["gradients_to"][level]) for _, row in rows]) for level in levels),
            ("at 100", [known(row["at_100"], ".1e") for _, row in rows]),
            (f"at {count}", [known(row["at_end"], ".1e") for _, row in rows]),
            ("d/D", [known(row["d_over_D"], ".3f") for _, row in rows]),
            ("gap/bound", [known(row["gap_over_bound"], ".3f") for _, row in rows]),
            ("rejected", [known(row["rejected"], "d") for _, row in rows]),
        ]
        screen.put_columns(console, rows_of(columns), left=2)
        screen.put(
            console,
            f"Gradients to a relative f - f* of {', '.join(levels)} (-: not within {count}), and "
            "f - f* after so many; l2 = 1/n, from 0, d0 = 1e-6; Nesterov with a certified L.",
        )
    for record in records:
        if not record["descent"]["rows"]:
            screen.put(console, f"{record['title']}: no f* ({record['descent']['status']})")
    for algorithm in ("adam", "sgd"):
        _schedules(console, records, algorithm)
    screen.put(console, "")
    screen.put_columns(console, _deviations(deviations["rows"]))
    screen.put(
        console,
        f"{deviations['instances']} random least-absolute-deviation problems, "
        f"{deviations['gradients']} gradients, d0 = 1e-6: f - f* over that of the first method "
        "(geometric mean), and on how many problems it is less.",
    )


def _count(value: int | None) -> str:
    return "-" if value is None else str(value)


def _schedules(console: Any, records: Sequence[Record], algorithm: str) -> None:
    """Print the table of Figure 2 for one algorithm, one column per schedule."""
    if not records:
        return
    of = [
        {
            row["schedule"]: row
            for row in record["schedules"]["rows"]
            if row["algorithm"] == algorithm
        }
        for record in records
    ]
    columns = [(f"{algorithm}:", [record["title"] for record in records])]
    for name in of[0]:
        columns.append((name, [with_error(row[name]["accuracy"], row[name]["se"]) for row in of]))
        columns.append(("log-loss", [known(row[name]["log_loss"], ".4f") for row in of]))
    screen.put(console, "")
    screen.put_columns(console, rows_of(columns))
    how = records[0]["schedules"]
    screen.put(
        console,
        f"Training accuracy in percent after {how['epochs']} epochs, mean over {how['seeds']} "
        "seeds (standard error), and mean log-loss; paper: a tenth from epochs 60, 80, 95 on.",
    )


def _deviations(rows: Sequence[Record]) -> list[Sequence[str]]:
    return rows_of(
        [
            ("method", [row["method"] for row in rows]),
            ("ratio", [f"{row['ratio']:.2g}" for row in rows]),
            ("less on", [f"{100 * row['better']:.0f} %" for row in rows]),
            ("max d/D", [f"{row['d_over_D_max']:.3f}" for row in rows]),
            ("median", [f"{row['d_over_D_median']:.3f}" for row in rows]),
            ("gap/bound", [f"{row['gap_over_bound']:.3f}" for row in rows]),
        ]
    )


def as_json(records: Sequence[Record], deviations: Record, stream: TextIO) -> None:
    """Print one document."""
    document = {"problems": list(records), "least_absolute_deviations": deviations}
    json.dump(document, stream, indent=1, allow_nan=False)
    stream.write("\n")


def write(folder: Path, results: Sequence[Record], deviations: Record) -> None:
    """Write the curves and the random problems' results as CSV."""
    for result in results:
        name, curves = result["record"]["problem"], result["curves"]
        if curves["descent"]:
            rows = [
                {"method": method, **dict(zip(curve, values, strict=True))}
                for method, curve in curves["descent"].items()
                for values in zip(*curve.values(), strict=True)
            ]
            write_rows(folder / f"beyond-descent-{name}.csv", rows)
        write_curves(folder / f"beyond-schedules-{name}.csv", curves["schedules"])
    rows = [
        {"method": method, "problem": i, "gap": gap, "d_over_D": share}
        for method, result in deviations["results"].items()
        for i, (gap, share) in enumerate(zip(result["gap"], result["d_over_D"], strict=True))
    ]
    write_rows(folder / "beyond-deviations.csv", rows)


def draw(folder: Path, results: Sequence[Record], deviations: Record) -> list[Path]:
    """Draw the four figures, PNG and SVG."""
    descents = [result for result in results if result["curves"]["descent"]]
    paths = []
    if descents:
        paths += _descent(folder, descents) + _distance(folder, descents)
    if results:
        paths += _accuracy(folder, results)
    return paths + _boxes(folder, deviations)


def _legend(figure: Any, panel: Any) -> None:
    """One legend for all panels, below them."""
    handles, labels = panel.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize="small")


def _descent(folder: Path, results: Sequence[Record]) -> list[Path]:
    """Draw f - f* at the point that each theorem is about, down to where f* itself is certified."""
    figure, panels = grid_of(len(results))
    for panel, result in zip(panels, results, strict=False):
        for method, curve in result["curves"]["descent"].items():
            gap = result["record"]["descent"]["gap"]
            count = next(
                (i for i, value in enumerate(curve["suboptimality"]) if value <= gap),
                len(curve["gradients"]),
            )
            style = "--" if method.endswith("anytime") else "-"
            panel.loglog(
                curve["gradients"][:count], curve["suboptimality"][:count], style, label=method
            )
        panel.set(title=result["record"]["title"], xlabel="gradients", ylabel="$f - f^*$")
    _legend(figure, panels[0])
    return save(figure, panels, folder / "beyond-descent")


def _distance(folder: Path, results: Sequence[Record]) -> list[Path]:
    """Draw d/D of the methods that have a d."""
    figure, panels = grid_of(len(results))
    for panel, result in zip(panels, results, strict=False):
        for method, curve in result["curves"]["descent"].items():
            if curve["d_over_D"][-1] is not None:
                style = "--" if method.endswith("anytime") else "-"
                panel.loglog(curve["gradients"], curve["d_over_D"], style, label=method)
        panel.axhline(1.0, color="black", linestyle=":", linewidth=1)
        panel.set(title=result["record"]["title"], xlabel="gradients", ylabel="$d_k/D$")
    _legend(figure, panels[0])
    return save(figure, panels, folder / "beyond-distance")


def _accuracy(folder: Path, results: Sequence[Record]) -> list[Path]:
    """Draw accuracy against epochs: one colour per schedule, one line style per algorithm."""
    figure, panels = grid_of(len(results))
    for panel, result in zip(panels, results, strict=False):
        lowest, highest = 100.0, 0.0
        for name, curve in result["curves"]["schedules"].items():
            algorithm, _, form = name.partition(", ")
            epochs = range(1, len(curve["accuracy"]) + 1)
            panel.plot(epochs, curve["accuracy"], LINES[algorithm], color=COLOURS[form], label=name)
            later = sorted(curve["accuracy"][len(epochs) // 5 :])
            # A constant rate's early noise would hide what differs at the end.
            lowest, highest = min(lowest, later[len(later) // 10]), max(highest, later[-1])
        panel.set(title=result["record"]["title"], xlabel="epoch", ylabel="training accuracy, %")
        panel.set_ylim(lowest - 0.5, highest + 0.5)
    _legend(figure, panels[0])
    return save(figure, panels, folder / "beyond-schedules")


def _boxes(folder: Path, deviations: Record) -> list[Path]:
    """Draw f - f* relative to that of the first method, on each random problem."""
    from matplotlib.figure import Figure

    results = deviations["results"]
    names = list(results)
    base = results[names[0]]["gap"]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    ratios = [
        [
            max(gap, 1e-16) / max(first, 1e-16)
            for gap, first in zip(result["gap"], base, strict=True)
        ]
        for result in results.values()
    ]
    axes.boxplot(ratios[1:], orientation="horizontal", tick_labels=names[1:], widths=0.6)
    axes.axvline(1.0, color="black", linestyle="--", linewidth=1)
    axes.invert_yaxis()
    axes.set(
        xscale="log",
        xlabel=f"$f - f^*$ over that of {names[0]}",
        title=f"{len(base)} random least-absolute-deviation problems",
    )
    return save(figure, [axes], folder / "beyond-deviations")
