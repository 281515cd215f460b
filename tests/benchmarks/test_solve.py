"""The benchmark of times: what counts as reached, the tables and the profile, missing data."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ..conftest import DATA

FOLDER = DATA.parent / "benchmarks"


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Modules of the folder, by name."""
    monkeypatch.syspath_prepend(str(FOLDER))
    before = dict(os.environ)
    yield __import__
    os.environ.clear()
    os.environ.update(before)  # solve.py sets the threads of BLAS


def cell(problem: str, level: str, seconds: dict[str, float | None]) -> dict[str, Any]:
    """A cell as solve.py writes them."""
    return {"problem": problem, "l2_times_n": 1.0, "level": level, "seconds": seconds,
            "unsuited": {"scikit-learn:liblinear": "softmax"}, "date": "2026-11-30", "load": 1.0,
            "cap": 1.0, "shape": [10, 2], "tolerance": {}}  # fmt: skip


CELLS = [
    cell("a", "1e-3", {"L-BFGS-B": 0.004, "newton": 0.001, "liblinear": 0.002,
                       "scikit-learn:saga": None}),
    cell("b", "1e-3", {"L-BFGS-B": 0.001, "newton": 0.004, "liblinear": 0.002,
                       "scikit-learn:saga": 0.003}),
    cell("c", "1e-3", {"L-BFGS-B": 0.004, "newton": None, "liblinear": 0.008,
                       "scikit-learn:saga": 0.008}),
]  # fmt: skip


def test_tables_give_means_worst_and_peers(
    benchmarks: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = benchmarks("tables")
    assert tables.best_peer(CELLS[0]) == (0.002, "liblinear")
    assert tables.mean([0.25, 4.0]) == pytest.approx(1.0)
    tables.show(CELLS)
    shown = capsys.readouterr().out
    # 0.25 and 4: b's is under 2 ms, so the worst is a's; c was not reached.
    assert "| newton | 1.00 (0.25, a); 2/3 |" in shown
    assert "| liblinear | 1.26 (2.00, c); 3/3 |" in shown
    assert "newton: ahead of the best of the peers in 1 of 3 cells (33 %), in 0 of the 0" in shown
    assert "inf x liblinear on c" in shown
    assert "2.00 x liblinear on b" in shown
    assert "| a | 4 | 0.25 | 0.50 | - | . | 2.00 |" in shown


def test_profile_is_a_small_figure_without_a_background(benchmarks: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "profile.svg"
    benchmarks("tables").draw(str(path), CELLS)
    text = path.read_text("utf-8")
    assert len(text) < 60_000
    assert "newton (3)" in text
    assert "scikit-learn liblinear (0)" in text
    assert "fill: #ffffff" not in text
    assert "2026-11-30" in text


def test_a_run_that_stops_short_has_not_reached_the_level(
    benchmarks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, solve = benchmarks("data"), benchmarks("solve")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    y = np.where(X @ [1.0, -2.0, 0.5] + rng.normal(size=60) > 0, 1, -1)
    monkeypatch.setattr(data, "named", lambda name: (X, y))
    case = solve.load("any", 1.0)
    goal = case.threshold("1e-6")
    for name, once in solve.own(case, 5.0).items():
        assert 0 < solve.quiet(lambda once=once: once(goal), case, "1e-6") < math.inf, name
        assert solve.quiet(lambda once=once: once(case.f_0), case, "1e-6") == math.inf, name
    made, level = list(solve.cells("any", 1.0, 1, ())), "1e-3"
    assert [one["level"] for one in made] == [level, "1e-6"]
    tolerances = [one["tolerance"]["scikit-learn:newton-cg"] for one in made]
    assert tolerances[0] >= tolerances[1]
    monkeypatch.setattr(benchmarks("peers"), "search", None)  # it is not called again
    again = next(iter(solve.cells("any", 1.0, 1, made)))
    assert again["tolerance"] == made[0]["tolerance"]


def test_missing_problems_are_named_with_the_remedy(tmp_path: Path) -> None:
    run = [sys.executable, str(FOLDER / "solve.py"), "run", "--l2", "1", "--problems"]
    environment = os.environ | {"DADAPT_SHARED": str(tmp_path)}
    done = subprocess.run([*run, "a9a", "nothing"], env=environment, text=True,
                          capture_output=True, check=True)  # fmt: skip
    assert "a9a, l2 = 1/n: left out" in done.stdout
    assert "set DADAPT_SHARED" in done.stdout
    assert "nothing: there is no such problem" in done.stdout


def test_cells_are_read_back(benchmarks: Any, tmp_path: Path) -> None:
    file = tmp_path / "cells"
    file.write_text("".join(json.dumps(one) + "\n" for one in CELLS))
    assert benchmarks("solve").saved([str(file)]) == CELLS
