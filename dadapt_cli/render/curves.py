"""``--plot`` of a comparison: suboptimality against gradients and seconds, d/D, profiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dadapt_cli._typing import Record
from dadapt_cli.render.plot import curve, legend, name_of, save, style

LEAST = 1e-16
"""Least relative suboptimality that float64 can tell from 0; lower values are drawn there."""

PANEL = (4.6, 3.7)
"""Inches."""

LEGEND_ROW = 0.22
"""Inches."""

MOST_IN_A_ROW = 6
"""Names of the legend."""


def draw(path: str, document: Record) -> None:
    """Draw a comparison into a PNG, SVG or PDF file, whole or not at all.

    Three panels per problem, and one of the profile where there are several problems. Solvers
    without a trajectory have one point per answer, and none over gradients.

    Raises
    ------
    InputOutputError
        The file cannot be written.
    """
    from matplotlib.figure import Figure

    comparisons, profile = document["comparisons"], document["profile"]
    names = list(dict.fromkeys(run["name"] for one in comparisons for run in one["runs"]))
    styles = {name: style(i) for i, name in enumerate(names)}
    per_row = -(-len(names) // -(-len(names) // MOST_IN_A_ROW)) if names else 1
    rows = len(comparisons) + (profile is not None)
    below = LEGEND_ROW * (1 + (len(names) - 1) // per_row)
    size = (PANEL[0] * 3, PANEL[1] * max(rows, 1) + below + 0.3)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(max(rows, 1), 3, squeeze=False)
    lines: list[Any] = []
    for row, one in zip(panels, comparisons, strict=False):
        lines += _problem(row, one, styles, document["levels"])
    if profile is not None:
        _profile(panels[-1][0], profile, styles)
        for empty in panels[-1][1:]:
            empty.set_visible(False)
    legend(figure, lines, columns=per_row)
    save(figure, path)


def _problem(
    panels: Sequence[Any], one: Record, styles: dict[str, Any], levels: Sequence[str]
) -> list[Any]:
    """The three panels of a problem."""
    by_work, by_time, distance = panels
    unit, lines = one["unit"], []
    shares = False
    for run in sorted(one["runs"], key=lambda run: list(styles).index(run["name"])):
        how = {**styles[run["name"]], "label": run["name"]}
        points = [point for point in run["curve"] if point["relative"] is not None]
        lines.append(_line(by_work, points, unit, "relative", how))
        single = {"linewidth": 0.7} if run["passes"] is None else {}
        lines.append(_line(by_time, points, "seconds", "relative", {**how, **single}))
        drawn = _line(distance, run["curve"], unit, "d_over_D", how)
        shares = shares or drawn is not None
    best = one["target"]["kind"] == "best-seen"
    floor = r"f_{\mathrm{best\ seen}}" if best else "f^*"
    by_work.set_ylabel(rf"$(f - {floor})\,/\,(f(0) - {floor})$")
    by_work.set_title(name_of(one["problem"]["path"]), parse_math=False, loc="left")
    by_work.set_xlabel("gradients" if unit == "gradients" else "passes over the data")
    by_time.set_xlabel("seconds")
    for axes in (by_work, by_time):
        for level in levels:
            axes.axhline(float(level), color="#999999", linewidth=0.6, linestyle=(0, (4, 3)))
        if not axes.lines[: -len(levels)]:
            axes.set(xscale="log", yscale="log")
    if shares:
        distance.axhline(1.0, color="#555555", linewidth=0.8)
        distance.set_xlabel(by_work.get_xlabel())
        distance.set_ylabel(r"$d_k\,/\,D$")
        distance.set_title(r"$D = \|x_0 - x^*\|_2$", loc="left", fontsize="medium")
    else:
        distance.set_visible(False)
    for axes in panels:
        axes.grid(alpha=0.3, linewidth=0.5)
    return lines


def _line(axes: Any, points: Sequence[Record], x: str, y: str, how: dict[str, Any]) -> Any:
    """One curve, where both numbers are known; the start, at 0, is drawn where x is least."""
    known = [(p[x], p[y]) for p in points if p[x] is not None and p[y] is not None]
    if y == "relative":
        known = [(a, max(b, LEAST)) for a, b in known]
    return curve(axes, known, **how)


def _profile(axes: Any, profile: Record, styles: dict[str, Any]) -> None:
    """Shares of the problems within a factor of the fastest."""
    most = max([10.0, *(ratio for one in profile["solvers"] for ratio in one["ratios"])]) * 1.2
    for one in profile["solvers"]:
        steps = [(ratio, (i + 1) / profile["problems"]) for i, ratio in enumerate(one["ratios"])]
        x = [1.0, *(ratio for ratio, _ in steps), most]
        y = [0.0, *(share for _, share in steps), steps[-1][1] if steps else 0.0]
        if steps and steps[0][0] == 1.0:
            x, y = x[1:], y[1:]
        axes.step(x, y, where="post", **styles[one["name"]])
    axes.set(xscale="log", xlim=(0.95, most), ylim=(-0.03, 1.05))
    axes.set_xlabel("within this factor of the fastest")
    axes.set_ylabel(f"share of {profile['problems']} problems")
    axes.set_title(f"seconds to {profile['level']}", loc="left", fontsize="medium")
    axes.grid(alpha=0.3, linewidth=0.5)
