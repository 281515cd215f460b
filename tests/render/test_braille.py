"""``--plot -``: curves made of characters."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Any

import pytest

from dadapt_cli.render import braille

from ..conftest import DATA, Ran, on_a_terminal

Cli = Callable[..., Ran]
VEHICLE = DATA / "vehicle.scale"


def drawn(steps: list[dict[str, Any]], encoding: str = "utf-8", D: float | None = 4.0) -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    start = {"reference": {"f_star": 0.5, "D": D}}
    braille.draw(stream, start, steps, "D", "a bound")
    stream.flush()
    return raw.getvalue().decode(encoding)


def step(k: int, last: float | None, d: float | None = 1.0) -> dict[str, Any]:
    return {"k": k, "suboptimality_last": last, "suboptimality_average": None,
            "suboptimality_best": None, "bound": None, "d": d}  # fmt: skip


def dots(text: str) -> list[tuple[int, int]]:
    """Columns and rows of the dots of the first picture, from its left upper corner."""
    rows = [line.partition("│")[2] for line in text.splitlines() if "│" in line][: braille.ROWS]
    found = []
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            if "\u2800" <= cell <= "\u28ff":
                bits = ord(cell) - 0x2800
                found += [(2 * j + b, 4 * i + a) for a in range(4) for b in range(2)
                          if bits & braille.DOTS[a][b]]  # fmt: skip
    return found


def test_a_power_law_is_a_straight_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """1/k on logarithmic axes: from the left upper corner to the right lower one."""
    monkeypatch.setenv("COLUMNS", "80")
    text = drawn([step(k, 1 / k) for k in (1, 2, 5, 10, 50, 100, 1000)])
    found = dots(text)
    right, below = max(x for x, _ in found), max(y for _, y in found)
    assert (right, below) == (2 * 60 - 1, 4 * braille.ROWS - 1)
    assert {(0, 0), (right, below)} <= set(found)
    assert all(abs(y - x * below / right) <= 1 for x, y in found), "to a dot"
    assert len({x for x, _ in found}) == right + 1, "without a hole"
    numbers = [line.split()[0] for line in text.splitlines() if "│" in line and line[0] == " "]
    assert numbers[0] == "1.0e+00"
    assert "1.0e-03" in numbers
    assert "k = 1000" in text
    assert max(map(len, text.splitlines())) <= 80


def test_what_cannot_be_on_a_logarithmic_axis_is_left_out() -> None:
    text = drawn([step(0, 1.0), step(1, 1.0), step(2, 0.0), step(3, -1e-17), step(4, None, None)])
    assert text.count("last") == 1
    assert drawn([step(0, 1.0), step(1, None, None)]) == ""
    assert " D\n" not in drawn([step(k, 1.0) for k in (1, 2)], D=None)


def test_without_utf_8_there_are_letters() -> None:
    text = drawn([step(k, 1 / k) for k in (1, 10, 100)], "ascii")
    assert text.isascii()
    assert "* last" in text
    assert text.count("*") > 30
    assert "|" in text


@pytest.mark.parametrize("columns", [30, 80, 200])
def test_a_picture_is_no_wider_than_the_screen(
    columns: int, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    ran = cli("fit", VEHICLE, "--l2", "1/n", "-n", 100, "--plot", "-")
    assert ran.code == 0
    picture = [line for line in ran.out.splitlines() if "│" in line or "└" in line]
    assert len(picture) == 2 * (braille.ROWS + 1)
    assert max(map(len, picture)) <= max(columns, 16 + 20)
    for name in ("last", "average", "best", "bound", "d_k", "D"):
        assert sum(line.endswith(f" {name}") for line in picture) == 1, name
    assert "\x1b" not in ran.out


def test_colours_are_for_terminals_that_want_them() -> None:
    shown = {}
    for colour in ({}, {"NO_COLOR": "1"}):
        command = [sys.executable, "-m", "dadapt_cli", "fit", VEHICLE, "-n", 20, "-q",
                   "--plot", "-", "--reference", 0.5]  # fmt: skip
        shown[bool(colour)] = on_a_terminal(command, **{"TERM": "xterm-256color", **colour})
    assert "\x1b[36m" in shown[False]
    assert "\x1b[36m" not in shown[True]
    assert "└" in shown[True]


def test_it_draws_beside_a_table_only(cli: Cli) -> None:
    ran = cli("fit", VEHICLE, "--plot", "-", "-f", "jsonl")
    assert ran.code == 2
    assert "leave out --format jsonl" in ran.err
    assert ran.out == ""
