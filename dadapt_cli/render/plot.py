"""``--plot``: d_k against D, and the suboptimality, log-log."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dadapt_cli.errors import MissingExtraError, UsageError
from dadapt_cli.files import atomic_write

Record = dict[str, Any]

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


def draw(path: str, start: Record, steps: Sequence[Record], distance: str) -> None:
    """Draw one run into a PNG or SVG file, whole or not at all."""
    import matplotlib
    from matplotlib.figure import Figure

    rows = [step for step in steps if step["k"] > 0]
    k = [step["k"] for step in rows]
    known = start["reference"]
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(k, [step["d"] for step in rows], marker=".", label="$d_k$")
    if known[distance] is not None:
        name = "D" if distance == "D" else r"D_\infty"
        left.axhline(known[distance], color="black", linestyle="--", linewidth=1, label=f"${name}$")
    left.set(xlabel="iteration k", ylabel="distance", xscale="log", yscale="log",
             title="lower bound on the distance to the solution")  # fmt: skip
    left.legend()
    relative = known["f_star"] is not None
    kind, label = ("suboptimality", "$f - f^*$") if relative else ("f", "f")
    for name, style in (("average", "-"), ("last", "-"), ("best", ":")):
        values = [step[f"{kind}_{name}"] for step in rows]
        points = [(i, v) for i, v in zip(k, values, strict=True) if v is not None and v > 0]
        right.plot([i for i, _ in points], [v for _, v in points], style, marker=".", label=name)
    bounds = [(step["k"], step["bound"]) for step in rows if step["bound"] is not None]
    if relative and bounds:
        right.plot([i for i, _ in bounds], [v for _, v in bounds], color="gray", linestyle="--",
                   linewidth=1, label="proven bound (average)")  # fmt: skip
    right.set(xlabel="iteration k", ylabel=label, xscale="log", yscale="log", title="suboptimality")
    right.legend()
    data = start["data"]
    figure.suptitle(f"{Path(data['path'] or 'data').name}, {start['algorithm']}", parse_math=False)
    suffix = Path(path).suffix.lower()[1:]
    # Fixed ids and no date: the same run gives the same file.
    with matplotlib.rc_context({"svg.hashsalt": "dadapt"}), atomic_write(path) as handle:
        metadata = {"Date": None} if suffix == "svg" else {"Software": None}
        figure.savefig(handle, format=suffix, dpi=150, metadata=metadata)
