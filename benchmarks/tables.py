"""Tables and the profile of the cells that solve.py has timed."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dadapt_cli.render import plot

BASE = "L-BFGS-B"
"""SciPy's, on our gradient: what the others are divided by."""

SHORT = 2e-3
"""Seconds of it below which a ratio is one of fixed costs and noise."""

WORK = 10e-3
"""Seconds of it from which the products with the data count for more than calls of Python do."""

COUNTED = ("newton", "auto", "fit newton", "fit auto")
"""Ours that are compared with the best of the peers."""

DRAWN = ("newton", BASE, "orth")
"""What is drawn beside the peers."""

NAMES = {BASE: f"SciPy {BASE}", "liblinear": "LIBLINEAR"}
"""Names in the figure, where they are longer."""

INK = "#808080"
"""A grey that can be read on white and on black."""

Cell = dict[str, Any]


def peers(cell: Cell) -> list[str]:
    """Solvers of scikit-learn and LIBLINEAR, those that cannot be run on the problem too."""
    names = [*cell["seconds"], *cell["unsuited"]]
    return [name for name in names if name.startswith(("scikit-learn:", "liblinear"))]


def ratio(cell: Cell, name: str, to: str = BASE) -> float | None:
    """Seconds over those of `to`: infinite where it alone missed the level, None without both."""
    mine, base = cell["seconds"].get(name), cell["seconds"].get(to)
    if name not in cell["seconds"] or base is None:
        return None
    return math.inf if mine is None else mine / base


def best_peer(cell: Cell) -> tuple[float, str]:
    """Seconds and name of the fastest; infinite where none reached the level."""
    known = [(cell["seconds"][n], n) for n in peers(cell) if cell["seconds"].get(n) is not None]
    return min(known, default=(math.inf, "none"))


def mean(values: Iterable[float]) -> float:
    """The geometric mean."""
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs)) if logs else math.nan


def show(cells: Sequence[Cell]) -> None:
    """Print a table of ratios for each l2, then the means, and the comparison with the peers."""
    names = list(dict.fromkeys(n for cell in cells for n in (*cell["seconds"], *peers(cell))))
    others = [name for name in names if name != BASE]
    levels = list(dict.fromkeys(cell["level"] for cell in cells))
    dates, loads = sorted({cell["date"] for cell in cells}), [cell["load"] for cell in cells]
    print(f"{len(cells)} cells, {' to '.join(dates[:: len(dates) - 1 or 1])}, at load "
          f"{min(loads):g} to {max(loads):g} (median {np.median(loads):g})")  # fmt: skip
    for c in dict.fromkeys(cell["l2_times_n"] for cell in cells):
        part = [cell for cell in cells if cell["l2_times_n"] == c]
        print(f"\nl2 = {c:g}/n: {BASE}'s milliseconds to {' and '.join(levels)}; the others' "
              "seconds as multiples of its own\n")  # fmt: skip
        print(f"| problem | {BASE}, ms | " + " | ".join(others) + " | best peer / newton |")
        print("|---" * (len(others) + 3) + "|")
        for problem in dict.fromkeys(cell["problem"] for cell in part):
            row = [cell for cell in part if cell["problem"] == problem]
            base = "/".join(milliseconds(cell["seconds"][BASE]) for cell in row)
            lead = "/".join(_number(best_peer(cell)[0] / (cell["seconds"]["newton"] or math.nan))
                            for cell in row)  # fmt: skip
            ratios = ["/".join(_cell(cell, name) for cell in row) for name in others]
            print(f"| {problem} | {base} | " + " | ".join(ratios) + f" | {lead} |")
    print(f"\nRatio to {BASE}: geometric mean (worst where that takes over {1e3 * SHORT:g} ms, "
          "and on what); reached/run\n")  # fmt: skip
    keys = list(dict.fromkeys((cell["l2_times_n"], cell["level"]) for cell in cells))
    print("| | " + " | ".join(f"{c:g}/n to {level}" for c, level in keys) + " |")
    print("|---" * (len(keys) + 1) + "|")
    for name in others:
        print(f"| {name} | " + " | ".join(_summary(cells, name, *key) for key in keys) + " |")
    for name in COUNTED:
        _against(cells, name)


def milliseconds(seconds: float | None) -> str:
    """Three digits."""
    return "-" if seconds is None else f"{1e3 * seconds:.3g}"


def _number(value: float) -> str:
    return "-" if not math.isfinite(value) else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _cell(cell: Cell, name: str) -> str:
    value = ratio(cell, name)
    if name in cell["unsuited"] or value is None:
        return "."
    return "-" if value == math.inf else _number(value)


def _summary(cells: Sequence[Cell], name: str, c: float, level: str) -> str:
    part = [x for x in cells if (x["l2_times_n"], x["level"]) == (c, level)]
    known = [(r, x) for x in part if (r := ratio(x, name)) is not None]
    reached = [(r, x) for r, x in known if r < math.inf]
    long = [(r, x["problem"]) for r, x in reached if x["seconds"][BASE] >= SHORT]
    worst = max(long, default=(math.nan, "none"))
    return (f"{_number(mean(r for r, _ in reached))} ({_number(worst[0])}, {worst[1]}); "
            f"{len(reached)}/{len(known)}")  # fmt: skip


def _against(cells: Sequence[Cell], name: str) -> None:
    """Print in how many cells `name` is ahead of the best of the peers, and by how much not."""
    behind = []
    for cell in cells:
        mine, (best, who) = cell["seconds"].get(name), best_peer(cell)
        behind.append((math.inf if mine is None else mine / best, cell, who))
    ahead = sum(r < 1 for r, *_ in behind)
    long = [r < 1 for r, cell, _ in behind if (cell["seconds"][BASE] or math.inf) >= WORK]
    print(f"\n{name}: ahead of the best of the peers in {ahead} of {len(behind)} cells "
          f"({100 * ahead / len(behind):.0f} %), in {sum(long)} of the {len(long)} where {BASE} "
          f"takes over {1e3 * WORK:g} ms; geometric mean of its time over theirs "
          f"{_number(mean(r for r, *_ in behind if 0 < r < math.inf))}; behind:")  # fmt: skip
    late = sorted((item for item in behind if item[0] >= 1), key=lambda item: -item[0])
    for r, cell, who in late[:8]:
        print(f"  {r:.2f} x {who} on {cell['problem']}, l2 = {cell['l2_times_n']:g}/n, to "
              f"{cell['level']} ({milliseconds(cell['seconds'].get(name))} ms)")  # fmt: skip
    if not late:
        print("  nowhere")


def draw(path: str, cells: Sequence[Cell]) -> None:
    """Draw the profile of Dolan and Moré, one panel a level, for light and dark backgrounds.

    A solver's share is of the cells that it can be run on.
    """
    import matplotlib
    from matplotlib.figure import Figure

    names = [*DRAWN, *peers(cells[0])]
    levels = list(dict.fromkeys(cell["level"] for cell in cells))
    grey: dict[str, Any] = {f"{part}.color": INK for part in ("text", "xtick", "ytick")}
    grey |= {
        "axes.labelcolor": INK,
        "axes.edgecolor": INK,
        "svg.fonttype": "none",
        "font.sans-serif": ["DejaVu Sans"],
    }
    with matplotlib.rc_context(grey):
        figure = Figure(figsize=(9.2, 4.6), layout="constrained")
        figure.patch.set_alpha(0)
        panels = figure.subplots(1, len(levels), squeeze=False)[0]
        for axes, level in zip(panels, levels, strict=True):
            _panel(axes, [cell for cell in cells if cell["level"] == level], names)
            axes.set_title(f"seconds to {level}", loc="left", fontsize="medium")
        about = f"{max(cell['date'] for cell in cells)}, one thread of {os.cpu_count()} cores"
        panels[-1].set_title(about, loc="right", fontsize="small")
        plot.legend(figure, panels[0].lines, columns=3)
        plot.save(figure, path)
    if path.endswith(".svg"):  # a tenth of a point is enough
        file = Path(path)
        file.write_text(re.sub(r"(\d+\.\d)\d+", r"\1", file.read_text("utf-8")), "utf-8")


def _long(name: str) -> str:
    return NAMES.get(name, name.replace("scikit-learn:", "scikit-learn "))


def _panel(axes: Any, cells: Sequence[Cell], names: Sequence[str]) -> None:
    times = [{n: t for n in names if (t := x["seconds"].get(n)) is not None} for x in cells]
    fastest = [min(t.values()) for t in times]
    most = 100.0
    for i, name in enumerate(names):
        able = [j for j, cell in enumerate(cells) if name in cell["seconds"]]
        ratios = sorted(times[j][name] / fastest[j] for j in able if name in times[j])
        x = [1.0, *ratios, most]
        shares = [(k + 1) / len(able) for k in range(len(ratios))]
        y = [sum(r <= 1 for r in ratios) / max(1, len(able)), *shares]
        how = {**plot.style(i), "marker": None, "label": f"{_long(name)} ({len(able)})"}
        how |= {"linewidth": 2.4, "linestyle": "-"} if i == 0 else {}
        how |= {"color": INK} if how["color"] == "#000000" else {}
        axes.step(x, [*y, y[-1]], where="post", **how)
    axes.set(xscale="log", xlim=(1, most), ylim=(0, 1.02))
    axes.set_xlabel("within this factor of the fastest")
    axes.set_ylabel(f"share of the cells, {len(cells)} at most")
    axes.patch.set_alpha(0)
    axes.grid(alpha=0.3, linewidth=0.5)
