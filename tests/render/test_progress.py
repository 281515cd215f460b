"""The progress line: what is said, how much is done, and when it will be."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import dadapt_cli as dadapt
from dadapt_cli.render.progress import Eta
from dadapt_cli.system.activity import heard, tell

from ..conftest import DATA, on_a_terminal, vehicle

DADAPT = [sys.executable, "-m", "dadapt_cli"]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("begins", [0.0, 0.4])
def test_eta_is_exact_at_a_steady_pace(begins: float) -> None:
    """Also where it begins in the middle, as a run that is resumed."""
    clock = Clock()
    eta = Eta(clock)
    eta.at(begins)
    assert str(eta) == ""
    for step in range(1, 61):
        clock.now = 100.0 + step
        eta.at(begins + (1 - begins) * step / 60)
        assert eta.left == pytest.approx(60 - step, abs=1e-9)
    assert str(eta) == "ETA 0:00"


def test_eta_counts_down_between_two_reports_and_begins_anew() -> None:
    clock = Clock()
    eta = Eta(clock)
    eta.at(0.0)
    clock.now += 100
    eta.at(0.01)
    assert str(eta) == "ETA 2:45:00"
    clock.now += 9840
    assert str(eta) == "ETA 1:00"
    clock.now += 100
    assert str(eta) == "ETA 0:00"
    eta.at(0.005)
    assert str(eta) == "", "less than before: another piece of work"


def test_eta_from_the_second_half_on_is_right_within_two() -> None:
    """Where the second half is up to twice as slow or fast as the first."""
    for slower in (0.5, 2.0):
        clock = Clock()
        eta = Eta(clock)
        eta.at(0.0)
        for step in range(1, 101):
            clock.now += 1.0 if step <= 50 else slower
            eta.at(step / 100)
            if 50 <= step < 100:
                true = slower * (100 - step)
                assert eta.left is not None
                assert true / 2 - 1e-9 <= eta.left <= 2 * true + 1e-9


def test_reading_and_reference_say_how_far_they_are(tmp_path: Path) -> None:
    told: list[tuple[str, float | None]] = []
    data = tmp_path / "d"
    line = b"1 " + b" ".join(b"%d:0.5" % i for i in range(1, 400)) + b"\n"
    data.write_bytes(line * 10000)
    with heard(lambda what, share: told.append((what, share))):
        dadapt.read_libsvm(data)
    shares = [share for what, share in told if what == f"reading {data}"]
    assert len(shares) >= 3
    assert shares == sorted(shares)  # type: ignore[type-var]
    assert shares[-1] == pytest.approx(1, abs=0.01)
    told.clear()
    with heard(lambda what, share: told.append((what, share))):
        dadapt.fit(*vehicle(), l2="1/n", iterations=1)
    found = [share for what, share in told if what.startswith("computing f*")]
    assert found == sorted(found)  # type: ignore[type-var]
    assert 0 <= found[0] < 0.5 < found[-1] < 1  # type: ignore[operator]
    told.clear()
    tell("nobody listens")
    assert told == []


def watched(*argv: object) -> str:
    """What a command shows on a terminal."""
    return on_a_terminal([*DADAPT, *argv])


def test_rows_appear_while_the_line_goes_on() -> None:
    text = watched("fit", DATA / "vehicle.scale", "-n", 3000, "--l2", "1/n")
    first, last = text.index("   500 "), text.index("  3000 ")
    between = text[first:last]
    assert "of 3000, d = " in between, "a row is there before the run is over"
    assert re.search(r"\d+%", between)
    header = next(line for line in text.splitlines() if "f-f* last" in line)
    plain = re.sub(r"\x1b\[[^A-Za-z]*[A-Za-z]|\r", "", header)
    assert len(plain) <= 80
    assert text.count("f-f* last") == 1


def test_folds_and_epochs_say_how_far_they_are() -> None:
    text = watched("fit", DATA / "vehicle.scale", "-n", 1500, "--l2", "1/n", "--cross-validate", 3)
    assert re.search(r"[123] of 3 folds", text)
    assert "%" in text
    text = watched("fit", DATA / "vehicle.scale", "-a", "adam", "--epochs", 60, "--l2", "1/n")
    assert re.search(r"epoch = \d+ of 60, d = ", text)
    assert re.search(r"\d+%", text)
