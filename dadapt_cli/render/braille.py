"""Curves in a terminal: ``--plot -``. Dots of braille, or letters where there is no UTF-8."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console
from rich.text import Text

from dadapt_cli._typing import Record
from dadapt_cli.render import screen

ROWS = 14
"""Lines of a picture, without its title and axis."""

WIDEST, LEFT, RIGHT = 100, 8, 9
"""Characters: of a picture, of the labels on its left, and of the names on its right."""

LABELLED = {0: 0, ROWS // 2: 2 * ROWS, ROWS - 1: 4 * ROWS - 1}
"""Lines with a number on their left, and the row of dots that the number belongs to."""

COLORS = ("cyan", "yellow", "green", "magenta")
LETTERS = "*o+x"
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of a braille character, by row and column of its dots."""


@dataclass(frozen=True)
class Curve:
    """A name and its points; both coordinates positive, on logarithmic scales."""

    name: str
    points: Sequence[tuple[float, float]]


def draw(
    stream: TextIO, start: Record, steps: Sequence[Record], distance: str, meaning: str
) -> None:
    """Draw the suboptimality (or f) and d_k against the iterations.

    Parameters
    ----------
    stream
        The output; its encoding and width decide the characters and the size of the picture.
    distance, meaning
        ``D`` or ``D_inf``, whichever d is compared with, and what d is.
    """
    console = screen.console(stream, file_width=None)
    kind = "f" if start["reference"]["f_star"] is None else "suboptimality"
    curves = [_curve(steps, f"{kind}_{name}", name) for name in ("last", "average", "best")]
    if kind == "suboptimality":
        curves.append(_curve(steps, "bound", "bound"))
    title = "f" if kind == "f" else "f - f*"
    _picture(console, f"{title} against k, both logarithmic", curves)
    D = start["reference"][distance]
    curves = [_curve(steps, "d", "d_k")]
    if D is not None and D > 0 and curves[0].points:
        curves.append(Curve(distance, [(x, D) for x, _ in curves[0].points]))
    _picture(console, f"d_k: {meaning}", curves)


def _curve(steps: Sequence[Record], key: str, name: str) -> Curve:
    """The positive values after x_0."""
    known = [(step["k"], step.get(key)) for step in steps if step["k"] > 0]
    return Curve(name, [(float(k), y) for k, y in known if y is not None and y > 0])


def _picture(console: Console, title: str, curves: Sequence[Curve]) -> None:
    """Print one picture; nothing where no curve has a point."""
    curves = [curve for curve in curves if curve.points]
    if not curves:
        return
    places = [(math.log10(x), math.log10(y)) for curve in curves for x, y in curve.points]
    x_low, x_high = min(x for x, _ in places), max(x for x, _ in places)
    y_low, y_high = min(y for _, y in places), max(y for _, y in places)
    columns = max(16, min(console.width, WIDEST) - LEFT - RIGHT - 3)
    wide, high = (columns * 2 - 1) / (x_high - x_low or 1), (ROWS * 4 - 1) / (y_high - y_low or 1)
    canvas = _Canvas(columns)
    ends: dict[int, int] = {}
    for i, curve in enumerate(curves):
        dots = [(round((math.log10(x) - x_low) * wide), round((y_high - math.log10(y)) * high))
                for x, y in curve.points]  # fmt: skip
        canvas.line(i, dots)
        ends[_free(ends, dots[-1][1] // 4)] = i
    braille = screen.can_show(console, "\u28ff\u2502\u2514\u2500")
    bar, corner, floor = "\u2502\u2514\u2500" if braille else "|+-"
    screen.put(console, "")
    screen.put(console, title)
    for row in range(ROWS):
        label = f"{10 ** (y_high - LABELLED[row] / high):.1e}" if row in LABELLED else ""
        line = Text(f"{label:>{LEFT}} {bar}")
        for text, number in canvas.cells(row, braille=braille):
            line.append(text, "" if number is None else COLORS[number % len(COLORS)])
        if row in ends:
            last = ends[row]
            mark = "" if braille else f"{LETTERS[last % len(LETTERS)]} "
            line.append(f" {mark}{curves[last].name}", COLORS[last % len(COLORS)])
        line.rstrip()
        screen.put(console, line)
    left, right = f"{10**x_low:.0f}", f"k = {10**x_high:.0f}"
    screen.put(console, " " * (LEFT + 1) + corner + floor * columns)
    screen.put(console, " " * (LEFT + 2) + left + right.rjust(columns - len(left)))


def _free(taken: dict[int, int], row: int) -> int:
    """The row nearest to `row` that no name stands in."""
    rows = (r for r in range(ROWS) if r not in taken)
    return min(rows, key=lambda r: abs(r - row))


class _Canvas:
    """Dots, two by four per character; each belongs to the curves that were drawn on it."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.dots: dict[tuple[int, int], int] = {}

    def line(self, number: int, dots: Sequence[tuple[int, int]]) -> None:
        """Draw the lines between dots, for a curve; those drawn before stay on top."""
        for (x, y), (to_x, to_y) in zip(dots, [*dots[1:], dots[-1]], strict=True):
            steps = max(abs(to_x - x), abs(to_y - y), 1)
            for i in range(steps + 1):
                at = round(x + (to_x - x) * i / steps), round(y + (to_y - y) * i / steps)
                self.dots.setdefault(at, number)

    def cells(self, row: int, *, braille: bool) -> list[tuple[str, int | None]]:
        """Each character of a row, and the first curve in it."""
        made: list[tuple[str, int | None]] = []
        for column in range(self.columns):
            found = {
                (i, j): self.dots[2 * column + j, 4 * row + i]
                for i in range(4)
                for j in range(2)
                if (2 * column + j, 4 * row + i) in self.dots
            }
            if not found:
                made.append((" ", None))
                continue
            number = min(found.values())
            bits = sum(DOTS[i][j] for i, j in found)
            shown = chr(0x2800 + bits) if braille else LETTERS[number % len(LETTERS)]
            made.append((shown, number))
        return made
