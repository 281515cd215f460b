"""The result of a fit, and how it is displayed: a few lines, a small table and a curve, a plot."""

from __future__ import annotations

import importlib
import importlib.util
import math
from dataclasses import dataclass
from html import escape
from typing import Any

from dadapt_cli._typing import Array, Label, Record
from dadapt_cli.errors import MissingExtraError, UsageError
from dadapt_cli.model import Model

WIDTH, HEIGHT, MARGIN = 360, 120, 6
"""Size and margin of the curve, in pixels."""


@dataclass(repr=False)
class FitResult:
    """The result of a fit.

    Attributes
    ----------
    w
        Weights of the iterate with the least f, shape (p,), or (p, C) for C >= 3 classes; the
        bias or intercept, where there is one, is the last row. With a ``scale`` they are those
        of the scaled features.
    d
        The last d_k; None for the baselines, which have none.
    trace
        The step records, in order.
    reference
        f*, D and their certificate, as in the start record.
    start, end
        The first and the last record.
    theorem2_w
        The iterate that Theorem 2 returns, when its step was taken, else None.
    classes
        The labels, as the user gave them; with two of them the second is the positive one.
    model
        The same weights as a :class:`~dadapt_cli.model.Model`, to predict with or to save.
    signal
        The signal that interrupted the run, or None.
    proof
        The proof file that was written, or None.
    """

    w: Array
    d: float | None
    trace: list[Record]
    reference: Record
    start: Record
    end: Record
    theorem2_w: Array | None
    classes: tuple[Label, ...]
    model: Model
    signal: int | None
    proof: str | None = None

    @property
    def status(self) -> str:
        """Why the run ended, as in the end record."""
        return str(self.end["status"])

    def __repr__(self) -> str:
        """A few lines of at most 80 characters."""
        name, *facts = self._facts()
        body = "".join(f"\n  {key:<10}{value}"[:80] for key, value in facts)
        return f"<FitResult: {name[1]}{body}>"

    def _repr_html_(self) -> str:
        """A small table, and f - f* (f where f* is not known) as a curve, for notebooks."""
        rows = "".join(
            f"<tr><th>{escape(key)}</th><td>{escape(value)}</td></tr>"
            for key, value in self._facts()
        )
        return f"<table>{rows}</table>{self._curve()}"

    def _facts(self) -> list[tuple[str, str]]:
        """Names and values of the main results."""
        data, objective, end = self.start["data"], self.start["objective"], self.end
        known = self.reference
        facts = [
            ("fit", f"{self.start['algorithm']}, {end['status']} at k = {end['k']}"),
            ("data", f"{data['samples']} x {data['features']}, {data['classes']} classes"),
            ("objective", f"{objective['loss']}, l2 = {objective['l2']:.4g}"),
        ]
        if end.get("f_best") is not None:
            gap = "" if end["gap"] is None else f", within {end['gap']:.1e} of the minimum (proven)"
            facts.append(("f", f"{end['f_best']:.10g}{gap}"))
        if known["f_star"] is not None:
            facts.append(("f*", f"{known['f_star']:.15g} +- {known['gap']:.0e}"))
        if self.d is not None:
            D = "" if known["D"] is None else f", D = {known['D']:.6g}"
            facts.append(("d", f"{self.d:.6g}{D}"))
        facts.append(("accuracy", f"{100 * end['accuracy']:.2f} % (training)"))
        facts.append(("w", f"array {self.w.shape}; see .trace, .to_frame(), .plot(), .model"))
        return facts

    def _points(self) -> tuple[str, list[tuple[float, float]]]:
        """What the curve shows, and its points on logarithmic axes."""
        name = "f_best" if self.reference["f_star"] is None else "suboptimality_best"
        rows = [(row["k"], row[name]) for row in self.trace]
        points = [(math.log10(k), math.log10(v)) for k, v in rows if k > 0 and v and v > 0]
        return "f" if name == "f_best" else "f - f*", points

    def _curve(self) -> str:
        """The curve as an SVG, empty where there are fewer than two points."""
        name, points = self._points()
        if len(points) < 2:
            return ""
        low_x, high_x = points[0][0], points[-1][0]
        low_y, high_y = min(y for _, y in points), max(y for _, y in points)
        wide, high = WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN
        line = " ".join(
            f"{MARGIN + wide * (x - low_x) / ((high_x - low_x) or 1):.1f},"
            f"{MARGIN + high * (high_y - y) / ((high_y - low_y) or 1):.1f}"
            for x, y in points
        )
        title = f"{name} from {10**high_y:.1e} to {10**low_y:.1e}, k to {10**high_x:.0f}, log-log"
        return (
            f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{title}">'
            f'<title>{title}</title><polyline points="{line}" fill="none" stroke="currentColor"/>'
            f"</svg><div>{title}</div>"
        )

    def to_frame(self) -> Any:
        """The step records as a pandas DataFrame, a row a record.

        Raises
        ------
        UsageError
            pandas is not installed.
        """
        if importlib.util.find_spec("pandas") is None:
            raise UsageError("to_frame() needs pandas; pip install pandas")
        pandas = importlib.import_module("pandas")
        return pandas.DataFrame(self.trace).drop(columns="event")

    def plot(self) -> Any:
        """Draw d_k, and f - f* (f where f* is not known), log-log; return matplotlib's figure.

        Raises
        ------
        MissingExtraError
            matplotlib is not installed.
        """
        if importlib.util.find_spec("matplotlib") is None:
            raise MissingExtraError("plot()", "plot")
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10, 4), layout="constrained")
        left, right = figure.subplots(1, 2)
        kind = "f" if self.reference["f_star"] is None else "suboptimality"
        for axes, names in ((left, ["d"]), (right, [f"{kind}_{n}" for n in ("last", "average")])):
            for name in names:
                rows = [(row["k"], row[name]) for row in self.trace]
                if points := [(k, v) for k, v in rows if k > 0 and v is not None and v > 0]:
                    axes.loglog(*zip(*points, strict=True), label=name, marker=".")
            axes.set_xlabel("iteration k")
            if axes.lines:
                axes.legend()
        figure.suptitle(f"{self.start['algorithm']}, {self.status}", parse_math=False)
        return figure
