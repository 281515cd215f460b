"""``--plot``: d_k against D, and the suboptimality, log-log."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dadapt_cli._typing import Record
from dadapt_cli.errors import MissingExtraError, UsageError
from dadapt_cli.system.files import atomic_write
from dadapt_cli.system.terminal import printable

FORMATS = (".png", ".svg")


def check(path: str) -> None:
    """Fail before the work starts when the plot could not be made.

    Raises
    ------
    UsageError
        Not a PNG or SVG file.
    MissingExtraError
        matplotlib is not installed.
    """
    if Path(path).suffix.lower() not in FORMATS:
        raise UsageError(f"--plot {path[:40]!r}; name a file that ends in .png or .svg")
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("--plot", "plot")


def _line(axes: Any, steps: Sequence[Record], key: str, **style: Any) -> None:
    """Draw the positive values after x_0 on logarithmic axes; nothing when there are none."""
    points = [(s["k"], s[key]) for s in steps if s["k"] > 0 and s[key] is not None and s[key] > 0]
    if points:
        axes.loglog(*zip(*points, strict=True), **style)


def draw(path: str, start: Record, steps: Sequence[Record], distance: str, meaning: str) -> None:
    """Draw one run into a PNG or SVG file, whole or not at all.

    `distance` is ``D`` or ``D_inf``, whichever d is compared with; `meaning` says what d is.
    """
    import matplotlib
    from matplotlib.figure import Figure

    known = start["reference"]
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    _line(left, steps, "d", label="$d_k$", marker=".")
    if known[distance] and left.lines:
        name = "D" if distance == "D" else r"D_\infty"
        left.axhline(known[distance], color="black", linestyle="--", linewidth=1, label=f"${name}$")
    kind, label = ("f", "f") if known["f_star"] is None else ("suboptimality", "$f - f^*$")
    _line(right, steps, f"{kind}_average", label="average", marker=".")
    _line(right, steps, f"{kind}_last", label="last", marker=".")
    _line(right, steps, f"{kind}_best", label="best", marker=".", linestyle=":")
    if kind == "suboptimality":
        _line(
            right, steps, "bound", label="proven bound", color="gray", linestyle="--", linewidth=1
        )
    left.set(ylabel="distance", title=f"$d_k$, {meaning}")
    right.set(ylabel=label, title="suboptimality")
    for axes in (left, right):
        axes.set_xlabel("iteration k")
        if axes.lines:
            axes.legend()
    data = start["data"]
    name = printable(Path(data["path"] or "data").name)
    figure.suptitle(f"{name}, {start['algorithm']}", parse_math=False)
    suffix = Path(path).suffix.lower()[1:]
    # Fixed ids and no date: the same run gives the same file.
    with matplotlib.rc_context({"svg.hashsalt": "dadapt"}), atomic_write(path) as handle:
        metadata = {"Date": None} if suffix == "svg" else {"Software": None}
        figure.savefig(handle, format=suffix, dpi=150, metadata=metadata)
