"""``dadapt paper beyond``: tables, records, files, figures, and taking up again."""

from __future__ import annotations

import csv
import json
from typing import Any

import numpy as np
import pytest

from dadapt_cli import fit, reference
from dadapt_cli.paper import beyond, lad

from ..conftest import read

QUICK = ("--seeds", 2, "--epochs", 3, "--gradients", 60, "--instances", 3)

pytestmark = pytest.mark.usefixtures("one_cache")


@pytest.fixture(autouse=True)
def _no_other_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DADAPT_DATA", raising=False)


def test_the_document(cli: Any) -> None:
    ran = cli("paper", "beyond", "iris", "glass", *QUICK, "-f", "json")
    assert ran.code == 0
    made = json.loads(ran.out)
    assert [record["problem"] for record in made["problems"]] == ["iris.scale", "glass.scale"]
    for record in made["problems"]:
        rows = {row["method"]: row for row in record["descent"]["rows"]}
        assert list(rows) == list(beyond.DESCENTS)
        # the slow start of Algorithm 1 from d0 = 1e-6, which accel does not have
        assert rows["accel"]["d_over_D"] > 1e4 * rows["Algorithm 1, average"]["d_over_D"]
        assert rows["accel"]["at_end"] < 0.1 * rows["Algorithm 1, anytime"]["at_end"]
        assert rows["Nesterov 1/L"]["d_over_D"] is None
        for row in rows.values():
            assert row["gap_over_bound"] is None or 0 < row["gap_over_bound"] < 1
            assert row["d_over_D"] is None or row["d_over_D"] <= 1
        judged = [(row["algorithm"], row["schedule"]) for row in record["schedules"]["rows"]]
        assert judged == [(a, s) for a in ("adam", "sgd") for s in beyond.SCHEDULES]
        assert len({row["log_loss"] for row in record["schedules"]["rows"]}) == 6
    rows = made["least_absolute_deviations"]["rows"]
    assert [row["method"] for row in rows] == list(lad.METHODS)
    assert rows[0]["ratio"] == 1
    for row in rows:
        assert row["d_over_D_max"] <= 1 + 1e-12
        assert row["gap_over_bound"] <= 1 + 1e-9  # tight for p = 1: a difference of large sums


def test_counts_are_of_gradients(cli: Any) -> None:
    """The average of row k has k gradients in it, f of the last point of row k takes k + 1."""
    (record,) = json.loads(
        cli("paper", "beyond", "wine", *QUICK, "-f", "json").out
    )["problems"]  # fmt: skip
    found = {row["method"]: row["gradients_to"]["0.01"] for row in record["descent"]["rows"]}
    X, y = read("wine.scale")
    for method, options, key, more in (
        ("accel", {"algo": "accel", "d0": 1e-6}, "suboptimality_average", 0),
        ("Nesterov 1/L", {"algo": "nesterov"}, "suboptimality_last", 1),
    ):
        trace = fit(X, y, l2="1/n", iterations=60, every=1, **options).trace
        level = 1e-2 * trace[0]["suboptimality_last"]
        k = next(row["k"] for row in trace if row[key] is not None and row[key] <= level)
        assert found[method] == k + more


def test_tables_and_files_and_taking_up_again(
    cli: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("paper", "beyond", "iris", *QUICK, "--out", tmp_path)
    first = cli(*command)
    assert first.code == 0
    assert "Algorithm 1, anytime" in first.out
    assert "adam:" in first.out
    assert "3 random least-absolute-deviation problems, 60 gradients" in first.out
    names = {path.name for path in tmp_path.iterdir()}
    for figure in ("descent", "distance", "schedules", "deviations"):
        assert {f"beyond-{figure}.png", f"beyond-{figure}.svg"} <= names
    with (tmp_path / "beyond-deviations.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 3 * len(lad.METHODS)
    with (tmp_path / "beyond-descent-iris.scale.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert {row["method"] for row in rows} == set(beyond.DESCENTS)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    ran: list[str] = []
    one, other, third = beyond._descents, beyond._schedule, lad.run
    monkeypatch.setattr(beyond, "_descents", lambda *a: ran.append("descent") or one(*a))
    monkeypatch.setattr(beyond, "_schedule", lambda *a: ran.append(a[3]) or other(*a))
    monkeypatch.setattr(lad, "run", lambda *a: ran.append(a[0]) or third(*a))
    assert cli(*command).out == first.out
    assert ran == []
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    # stopped half way: what is missing is computed, and only that
    (tmp_path / "beyond-sgd-linear-iris.scale.json").unlink()
    (tmp_path / "beyond-lad-9.json").unlink()
    assert cli(*command).out == first.out
    assert ran == ["linear", "accel"]
    assert cli(*command, "--gradients", 61).out != first.out
    assert ran.count("descent") == 1
    assert ran.count("linear") == 1


def test_where_f_is_unknown_there_is_no_descent(
    cli: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(reference, "find", lambda *_, **__: reference.none("too large"))
    ran = cli("paper", "beyond", "iris", *QUICK, "--out", tmp_path)
    assert ran.code == 0
    assert "Iris: no f* (none)" in ran.out
    names = {path.name for path in tmp_path.iterdir()}
    assert "beyond-schedules.png" in names
    assert "beyond-descent.png" not in names


def test_what_cannot_be_used(cli: Any) -> None:
    for options in (("--seeds", 1), ("--epochs", 0), ("--gradients", 0), ("--instances", 0),
                    ("--format", "xml"), ("--algo", "sgd")):  # fmt: skip
        ran = cli("paper", "beyond", "iris", *options)
        assert ran.code == 2
        assert ran.err.count("\n") == 1
    assert cli("paper", "beyond", "nope").code == 2


def test_deviations_are_the_random_problems_of_the_tests() -> None:
    from ..algorithms.beyond import least_absolute_deviations

    for seed in range(5):
        mine, known = lad.Deviations.random(seed), least_absolute_deviations(seed)
        assert mine.distance("D") == known.D
        assert mine.distance("D_inf") == known.D_inf
        x = np.random.default_rng(seed).normal(size=known.shape)
        np.testing.assert_array_equal(mine.f_and_g(x)[1], known.f_and_g(x)[1])
