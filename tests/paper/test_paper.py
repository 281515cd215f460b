"""``dadapt paper``: tables, records, files, look-up, and taking up again."""

from __future__ import annotations

import csv
import hashlib
import json
import lzma
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dadapt_cli import datasets
from dadapt_cli.errors import InputOutputError
from dadapt_cli.paper import figure2, problems, protocol
from dadapt_cli.paper.problems import PROBLEMS, choose
from dadapt_cli.paper.protocol import Protocol, deviation

from ..conftest import DATA

QUICK = ("--seeds", 3, "--epochs", 2)


@pytest.fixture(autouse=True)
def _no_other_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DADAPT_DATA", raising=False)


def test_figure2_as_json(cli: Any) -> None:
    ran = cli("paper", "figure2", "iris", "WINE.scale", *QUICK, "--grid", "0.01,0.1,1", "-f",
              "json")  # fmt: skip
    assert ran.code == 0
    records = json.loads(ran.out)
    assert [record["problem"] for record in records] == ["iris.scale", "wine.scale"]
    for record in records:
        assert record["seeds"], record["epochs"] == (3, 2)
        assert set(record["paper"]) == {"adam", "adam_se", "dadapt_adam", "dadapt_adam_se"}
        assert set(record["dadapt_adam"]) == {"accuracy", "se", "log_loss", "d", "d_std"}
        assert set(record["adam"]) == {"accuracy", "se", "log_loss", "lr", "at_grid_edge"}
        assert 30 < record["dadapt_adam"]["accuracy"] <= 100
        assert record["dadapt_adam"]["d"] > 1e-6
        assert record["adam"]["accuracy"] == max(row["accuracy"] for row in record["grid"])
        edge = record["adam"]["lr"] in (0.01, 1.0)
        assert record["adam"]["at_grid_edge"] == edge
        assert (f"{record['problem']}: Adam's best rate" in ran.err) == edge
    assert records[0]["paper"]["dadapt_adam"] == 98.6


def test_figure2_as_a_table(cli: Any) -> None:
    ran = cli("paper", "figure2", "iris", *QUICK)
    assert ran.code == 0
    assert "98.60 (0.00)" in ran.out
    assert "98.30 (0.11)" in ran.out
    assert "0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10" in ran.out
    assert "no lower bound" in ran.out
    assert cli("paper", "figure2", "iris", *QUICK, "-a", "sgd").out.count("D-Adapt SGD") == 1
    assert "COCOB" in cli("paper", "figure2", "iris", *QUICK, "-a", "cocob").out


def test_narrow_screens_lose_columns_not_digits(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    wide = cli("paper", "figure2", "iris", *QUICK).out.splitlines()
    monkeypatch.setenv("COLUMNS", "80")
    short = cli("paper", "figure2", "iris", *QUICK).out.splitlines()
    assert max(map(len, wide[:2])) > 80
    assert max(map(len, short[:2])) <= 80
    assert "…" not in "".join(short)
    for column in ("best Adam", "paper: D-Adapt", "log-loss"):
        assert column in short[0]
    assert "98.60 (0.00)" in short[1]
    rows = cli("paper", "figure7", "iris", "wine", "glass", "vowel", "vehicle", "iris", *QUICK,
               "--d0", "1e-6,1").out.splitlines()  # fmt: skip
    assert rows[0].split() == ["d0", "Iris", "Wine", "Glass", "Vowel"]
    assert rows[3].split() == ["d0", "Vehicle"]


def test_seeds_and_start_decide_the_numbers(cli: Any) -> None:
    def accuracies(*more: Any) -> Any:
        ran = cli("paper", "figure2", "glass", "--grid", 1, "-f", "json", "--epochs", 5, *more)
        return json.loads(ran.out)[0]["dadapt_adam"]

    assert accuracies("--seeds", 3) == accuracies("--seeds", 3)
    assert accuracies("--seeds", 3) != accuracies("--seeds", 4)
    assert accuracies("--seeds", 3) != accuracies("--seeds", 3, "--start", "zero")
    assert accuracies("--seeds", 3) != accuracies("--seeds", 3, "--variant", "preprint")
    assert accuracies("--seeds", 3) != accuracies("--seeds", 3, "--batch-size", 8)


def test_figure7_and_table1(cli: Any) -> None:
    ran = cli("paper", "figure7", "iris", "glass", *QUICK, "--d0", "1e-8,1e-2,1", "-f", "json")
    assert ran.code == 0
    records = json.loads(ran.out)
    assert [row["d0"] for row in records[0]["d0"]] == [1e-8, 1e-2, 1.0]
    d = [row["d"] for row in records[0]["d0"]]
    assert d[0] > 1e-3  # grew from 1e-8
    assert d[2] >= 1.0
    assert d[0] != d[1] != d[2]
    table = cli("paper", "figure7", "iris", *QUICK, "--d0", "1e-8,1e-2,1")
    assert "1e-08" in table.out
    ran = cli("paper", "table1", "iris", *QUICK)
    assert ran.code == 0
    assert "best Adam lr" in ran.out


def test_out_writes_files_and_takes_them_up_again(
    cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "new" / "results"
    command = ("paper", "figure2", "iris", *QUICK, "--out", out)
    first = cli(*command)
    assert first.code == 0
    names = sorted(path.name for path in out.iterdir())
    assert names == ["figure2-iris.scale.csv", "figure2-iris.scale.json", "figure2.png",
                     "figure2.svg"]  # fmt: skip
    rows = list(csv.DictReader((out / "figure2-iris.scale.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2"] * 2
    assert {row["algorithm"] for row in rows} == {"adam", "adam-plain"}
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    ran: list[str] = []
    real = figure2._compute
    monkeypatch.setattr(figure2, "_compute", lambda *a: ran.append(a[0].name) or real(*a))
    assert cli(*command).out == first.out
    assert ran == []
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert cli(*command, "--seeds", 4).out != first.out  # another protocol: computed anew
    assert ran == ["iris.scale"]
    (out / "figure2-iris.scale.json").write_text("{ half a file")
    assert cli(*command).out == first.out
    assert ran == ["iris.scale"] * 2
    assert cli("paper", "figure7", "iris", *QUICK, "--out", out).code == 0
    assert {"figure7.png", "figure7-iris.scale.csv"} <= {path.name for path in out.iterdir()}


@pytest.mark.parametrize(
    ("place", "value", "used"),
    [(("record", "dadapt_adam", "d_std"), None, True),
     (("record", "dadapt_adam", "log_loss"), None, True),
     (("record", "dadapt_adam", "accuracy"), 101.0, False),
     (("record", "grid", 0, "lr"), 0.5, False), (("record", "title"), "\x1b[31m", False),
     (("curves", "adam", "accuracy"), [50.0], False), (("curves", "adam", "se", 0), "1", False),
     (("curves", "adam", "more"), 1, False), (("measured",), None, False)],
)  # fmt: skip
def test_a_result_of_other_types_is_computed_anew(
    place: tuple[Any, ...], value: Any, used: bool, cli: Any, tmp_path: Path
) -> None:
    command = ("paper", "figure2", "iris", *QUICK, "--grid", "0.1,1,10", "--out", tmp_path)
    first = cli(*command)
    path = tmp_path / "figure2-iris.scale.json"
    good = path.read_bytes()
    document = json.loads(good)
    at = document["result"]
    for name in place[:-1]:
        at = at[name]
    at[place[-1]] = value
    path.write_text(json.dumps(document))
    again = cli(*command)
    assert (again.code, again.err) == (0, first.err)
    assert (path.read_bytes() != good) == used
    assert (again.out != first.out) == used


def test_without_matplotlib_the_files_are_written(
    cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("dadapt_cli.render.paper.can_draw", lambda: False)
    ran = cli("paper", "figure2", "iris", *QUICK, "--out", tmp_path)
    assert ran.code == 0
    assert "extra 'plot'" in ran.err
    assert (tmp_path / "figure2-iris.scale.csv").exists()
    assert not (tmp_path / "figure2.png").exists()


def test_missing_problems_are_named(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = cli("paper", "figure2", "aloi", *QUICK)
    assert ran.code == 4
    assert "aloi.scale" in ran.err
    assert "DADAPT_DATA" in ran.err
    present = [problem for problem in PROBLEMS if problem.name == "iris.scale"]
    absent = [problem for problem in PROBLEMS if problem.name == "smallNORB"]
    monkeypatch.setattr(problems, "PROBLEMS", (*present, *absent))
    ran = cli("paper", "figure2", *QUICK)
    assert ran.code == 0
    assert ran.err.startswith("dadapt: skipped")
    assert "smallNORB" in ran.err
    assert cli("paper", "figure2", "nope").code == 2
    assert cli("paper").code == 2


def test_a_file_that_is_not_the_problem_is_refused(
    cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (DATA / "iris.scale").read_bytes()
    (tmp_path / "iris.scale.xz").write_bytes(lzma.compress(text))
    (tmp_path / "usps").write_bytes(text)
    monkeypatch.setenv("DADAPT_DATA", str(tmp_path))
    samples, sha256 = problems.read(PROBLEMS[4], tmp_path / "iris.scale.xz", "float32")
    assert samples.X.shape == (150, 5)
    assert samples.X.dtype == np.float32
    assert (samples.X[:, -1] == 1).all()
    assert sha256 == hashlib.sha256(text).hexdigest()
    ran = cli("paper", "figure2", "usps", *QUICK)
    assert ran.code == 3
    assert "subset of usps: 150 of 7,291 rows" in ran.err


def test_all_problems_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(datasets, "folders", lambda: [tmp_path])
    with pytest.raises(InputOutputError, match=r"Sensorless, aloi\.scale.* datasets fetch"):
        choose([])


def test_the_subset_is_never_the_problem(
    cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Sensorless.sub2200").write_bytes((DATA / "iris.scale").read_bytes())
    monkeypatch.setenv("DADAPT_DATA", str(tmp_path))
    found, missing = choose([])
    assert "Sensorless" in [problem.name for problem in missing]
    assert not [problem for problem, _ in found if "sub" in problem.name]
    ran = cli("paper", "figure2", "sensorless.SUB2200", *QUICK, "-f", "json")
    (record,) = json.loads(ran.out)
    assert record["problem"] == "Sensorless.sub2200"
    assert record["paper"] is None
    assert record["difference"] is None
    table = cli("paper", "figure2", "Sensorless.sub2200", *QUICK).out
    assert "2,200 of 58,509 rows" in table
    assert "90.0" not in table


@pytest.mark.parametrize(
    "options",
    [
        ("--seeds", "1"),
        ("--epochs", "0"),
        ("--batch-size", "0"),
        ("--grid", "a,b"),
        ("--grid", "1,0.1"),
        ("--grid", "-1,1"),
        ("--grid", "nan"),
        ("--algo", "gd"),
        ("--algo", "adam-plain"),
        ("--algo", "nope"),
        ("--variant", "v9"),
        ("--dtype", "float16"),
        ("--start", "one"),
        ("--format", "xml"),
        ("--momentum", "0.9"),
    ],
)
def test_options_that_cannot_be_used(cli: Any, options: tuple[str, str]) -> None:
    ran = cli("paper", "figure2", "iris", *options)
    assert ran.code == 2
    assert ran.err.count("\n") == 1


def test_cocob_has_neither_d0_nor_a_rate(cli: Any) -> None:
    assert cli("paper", "figure7", "iris", "-a", "cocob").code == 2
    assert cli("paper", "table1", "iris", "-a", "cocob").code == 2


def test_best_of_a_grid() -> None:
    def rows(*pairs: tuple[float, float | None]) -> list[dict[str, Any]]:
        return [{"accuracy": a, "log_loss": loss} for a, loss in pairs]

    assert figure2.best_of(rows((1, 1), (3, 1), (2, 1))) == 1
    assert figure2.best_of(rows((3, 1), (2, 1))) == 0
    assert figure2.best_of(rows((9, 0.1), (9, 3), (9, 2), (9, 0.1))) == 2  # inside, least loss
    assert figure2.best_of(rows((9, 1), (9, None), (8, 1))) == 1


def test_error_of_equal_numbers_is_zero() -> None:
    assert deviation(np.full(10, 100 * (148 / 150))) == 0.0
    assert deviation(np.array([1.0, 3.0])) == pytest.approx(2**0.5)


def test_stored_results_depend_on_the_protocol() -> None:
    key = Protocol().key("sha", "d0_grid")
    assert key["seeds"] == 10
    assert "d0_grid" not in key
    assert key == json.loads(json.dumps(key))
    assert key != Protocol(dtype="float64").key("sha", "d0_grid")
    assert protocol.GRID[0] == 3e-4


@pytest.mark.parametrize("name", ["iris", "wine"])
def test_paper_accuracy(name: str, cli: Any) -> None:
    """The issue's criterion, 3 SE or 0.3 points, on the problems that take a second."""
    ran = cli("paper", "figure2", name, "--grid", "0.3", "-f", "json")
    (record,) = json.loads(ran.out)
    assert record["epochs"] == 100
    assert abs(record["difference"]) <= max(0.3, 3 * record["dadapt_adam"]["se"])


def test_another_schedule_and_average(cli: Any) -> None:
    def run(*more: Any) -> Any:
        return cli("paper", "figure2", "iris", *QUICK, "--grid", "0.1,1", *more)

    found = {}
    free_at_half = ("--average", "schedule-free", "--beta", "0.5")
    for more in ((), ("--schedule", "linear"), free_at_half[:2], free_at_half,
                 ("--average", "poly8")):  # fmt: skip
        (record,) = json.loads(run(*more, "-f", "json").out)
        found[more] = record["dadapt_adam"]["log_loss"], record["adam"]["log_loss"]
        free = "schedule-free" in more
        assert record["schedule"] == (
            "constant" if free else "linear" if "linear" in more else "paper"
        )
    assert len({own for own, _ in found.values()}) == len(found)
    assert len({adam for _, adam in found.values()}) == 1, "Adam keeps the paper's steps"
    table = run("--average", "schedule-free", "--schedule", "none").out
    assert "D-Adapt Adam: --average schedule-free, --schedule constant; Adam: the paper's." in table
    assert "--average" not in run().out


@pytest.mark.parametrize(
    "options",
    [
        ("--average", "schedule-free", "--schedule", "paper"),
        ("--average", "schedule-free", "--beta", "2"),
        ("--average", "anytime"),
        ("--beta", "0.5"),
        ("--schedule", "warm"),
        ("-a", "cocob", "--schedule", "linear"),
        ("-a", "cocob", "--average", "schedule-free"),
    ],
)
def test_schedules_and_averages_that_cannot_be_used(cli: Any, options: tuple[str, ...]) -> None:
    ran = cli("paper", "figure2", "iris", *QUICK, *options)
    assert ran.code == 2
    assert ran.err.count("\n") == 1
