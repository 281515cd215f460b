"""``--plot`` of a fit: d_k against D, and the suboptimality, log-log; parts of all figures."""

from __future__ import annotations

import importlib.util
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dadapt_cli._typing import Record
from dadapt_cli.errors import MissingExtraError, UsageError
from dadapt_cli.system.files import atomic_write
from dadapt_cli.system.terminal import printable

FORMATS = (".png", ".svg", ".pdf")

METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
}
"""Metadata that are left out, so that the same run gives the same file."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""Colours of Okabe and Ito: distinct for every kind of colour vision."""

DASHES: tuple[Any, ...] = ("-", "--", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)))

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""Seven colours, five dashes, eight markers: it takes 280 curves until two look the same."""

MARKS = 7
"""Largest number of markers of a curve."""

TITLE = 46
"""Characters per line of a panel's title."""

MATHEMATICS = {"||": r"\|", "_inf": r"_\infty", "*": "^*", "rbar_k": r"\bar{r}_k"}

NORM = r"\|\|.+?\|\|_(?:2|inf)"

FORMULA = rf"\bD(?:_inf)?\b(?: = {NORM})?|{NORM}|\brbar_k\b|\bf\*|\bL\b"
"""What occurs in ``Info.d_means``."""


def check(path: str) -> None:
    """Fail before the work starts when the plot could not be made.

    Raises
    ------
    UsageError
        Not a PNG, SVG or PDF file.
    MissingExtraError
        matplotlib is not installed.
    """
    if Path(path).suffix.lower() not in FORMATS:
        raise UsageError(f"--plot {path[:40]!r}; name a file that ends in .png, .svg or .pdf")
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("--plot", "plot")


def save(figure: Any, path: str) -> None:
    """Write a figure in the format that the file's name asks for, whole or not at all.

    Raises
    ------
    InputOutputError
        The file cannot be written.
    """
    import matplotlib

    suffix = Path(path).suffix.lower()[1:]
    fixed: Any = {"svg.hashsalt": "dadapt", "pdf.fonttype": 42}
    with matplotlib.rc_context(fixed), atomic_write(path) as handle:
        figure.savefig(handle, format=suffix, dpi=150, metadata=METADATA[suffix])


def style(i: int) -> dict[str, Any]:
    """Style of the i-th curve, which distinguishes it from the others even without colour."""
    return {
        "color": COLOURS[i % len(COLOURS)],
        "linestyle": DASHES[i % len(DASHES)],
        "marker": MARKERS[i % len(MARKERS)],
        "markersize": 5,
        "linewidth": 1.4,
    }


def curve(axes: Any, points: Sequence[tuple[float, float]], **how: Any) -> Any:
    """Draw a curve on logarithmic axes, its markers as far apart as its points allow; or None."""
    import numpy as np

    shown = [(x, y) for x, y in points if x > 0 and y > 0]
    if not shown:
        return None
    x, y = np.array(shown).T
    if "marker" in how and len(x) > MARKS:
        where = np.linspace(np.log(x[0]), np.log(x[-1]), MARKS)
        how["markevery"] = sorted({int(i) for i in np.abs(np.log(x)[:, None] - where).argmin(0)})
    (line,) = axes.loglog(x, y, **how)
    return line


def legend(figure: Any, lines: Sequence[Any], columns: int) -> None:
    """One legend below all panels, off the curves; no name is taken for mathematics."""
    named = {line.get_label(): line for line in lines if line is not None}
    if not named:
        return
    made = figure.legend(
        named.values(),
        named.keys(),
        loc="outside lower center",
        ncols=min(columns, len(named)),
        frameon=False,
        handlelength=3.4,
    )
    for text in made.get_texts():
        if not re.fullmatch(r"\$[^$]*\$", text.get_text()):
            text.set_parse_math(False)


def typeset(text: str) -> str:
    """A sentence with its formulas as mathematics, in lines that fit over a panel.

    ``D = ||x_0 - x*||_2`` and the like are known; anything else stays as it is.
    """
    held = re.sub(FORMULA, lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"), text)
    formula = FORMULA.replace(" ", "\N{NO-BREAK SPACE}")
    return "\n".join(re.sub(formula, _formula, line) for line in _wrapped(held))


def _wrapped(text: str) -> list[str]:
    """Wrap text into lines, at spaces outside formulas."""
    inside = text.replace("\N{NO-BREAK SPACE}", "\0")
    return [line.replace("\0", "\N{NO-BREAK SPACE}") for line in textwrap.wrap(inside, TITLE)]


def _formula(found: re.Match[str]) -> str:
    formula = found[0].replace("\N{NO-BREAK SPACE}", " ")
    for plain, mathematics in MATHEMATICS.items():
        formula = formula.replace(plain, mathematics)
    return f"${formula}$"


def name_of(path: str | None) -> str:
    """Name of a problem in the title of a figure."""
    return printable(Path(path or "data").name)


def draw(path: str, start: Record, steps: Sequence[Record], distance: str, meaning: str) -> None:
    """Draw one run into a PNG, SVG or PDF file, whole or not at all.

    `distance` is ``D`` or ``D_inf``, whichever d is compared with; `meaning` says what d is.
    """
    from matplotlib.figure import Figure

    known = start["reference"]
    distances = any(step["d"] for step in steps)  # a method without d has no such panel
    figure = Figure(figsize=(10 if distances else 6, 4.8), layout="constrained")
    *left, right = figure.subplots(1, 1 + distances, squeeze=False)[0]

    def line(axes: Any, key: str, **how: Any) -> Any:
        points = [(s["k"], s[key]) for s in steps if s["k"] > 0 and s[key] is not None]
        return curve(axes, points, **how)

    lines = []
    for axes in left:
        how = {**style(6), "linestyle": "-"}
        lines.append(line(axes, "d", label="$d_k$", **how))
        if known[distance]:
            name = "$D$" if distance == "D" else r"$D_\infty$"
            at = {"color": "#555555", "linestyle": "--", "label": name}
            lines.append(axes.axhline(known[distance], **at))
        axes.set(ylabel="distance", title=f"$d_k$: {typeset(meaning)}")
    kind, label = ("f", "$f$") if known["f_star"] is None else ("suboptimality", "$f - f^*$")
    for i, which in enumerate(("average", "last", "best")):
        how = style(i)
        if which == "last":  # often that is the best one, drawn over it
            how |= {"linewidth": 3.5, "markersize": 7, "alpha": 0.5}
        lines.append(line(right, f"{kind}_{which}", label=which, **how))
    if kind == "suboptimality":
        grey = {"color": "#555555", "linestyle": (0, (1, 1)), "linewidth": 1.4}
        lines.append(line(right, "bound", label="proven bound", **grey))
    right.set(ylabel=label, title="objective" if kind == "f" else "suboptimality")
    for axes in (*left, right):
        axes.set_xlabel("iteration $k$")
        axes.grid(alpha=0.3, linewidth=0.5)
    legend(figure, lines, columns=6)
    title = f"{name_of(start['data']['path'])}, {start['algorithm']}"
    figure.suptitle(title, parse_math=False)
    save(figure, path)
