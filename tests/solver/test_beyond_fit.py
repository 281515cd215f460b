"""The methods beyond the paper through fit: options, rows, what is returned, and resumed runs."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dadapt_cli import fit
from dadapt_cli.errors import UsageError
from dadapt_cli.libsvm import read_libsvm
from dadapt_cli.solver.monitor import Monitor
from dadapt_cli.solver.options import Options
from dadapt_cli.solver.samples import Samples
from dadapt_cli.solver.stages import FitResult, fit_source

from ..conftest import DATA, load_problem


def fitted(name: str, path: str = "wine.scale", **more: Any) -> FitResult:
    X, y = read_libsvm(DATA / path)
    return fit(X, y, **{"algo": name, "iterations": 100, "every": 1, "l2": "1/n", **more})


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("accel", {}),
        ("accel", {"metric": "half"}),
        ("accel", {"variant": "coordinate", "c": 1.0}),
        ("accel", {"bound": "certified", "d0": 1e-6}),
        ("dual-avg", {"average": "anytime"}),
        ("dual-avg", {"average": "schedule-free", "bound": "certified"}),
        ("gd", {"average": "anytime", "metric": "diagonal"}),
        ("gd", {"average": "schedule-free", "beta": 0.5}),
        ("adagrad", {"average": "anytime", "bound": "II"}),
        ("prodigy-gd", {}),
    ],
)
def test_rows_keep_d_below_D_and_the_average_below_the_bound(
    name: str, more: dict[str, Any]
) -> None:
    result = fitted(name, **more)
    inf = name == "adagrad" or more.get("variant") == "coordinate"
    D = result.reference["D_inf" if inf else "D"] + result.reference["D_error"]
    d = [row["d"] for row in result.trace]
    assert d == sorted(d)
    assert d[-1] <= D * (1 + 1e-9)  # rounding of d and D, as for the paper's algorithms
    assert d[-1] > 1.5 * d[0]
    for row in result.trace[1:]:
        assert row["suboptimality_average"] <= row["bound"] + 1e-12
    at = load_problem(DATA / "wine.scale", "1/n").value_and_gradient(result.w).f
    least = min(result.end[f"f_{point}"] for point in ("last", "average", "best"))
    assert at == pytest.approx(least, rel=1e-12)
    assert least - result.reference["f_star"] <= result.end["bound"]


def test_anytime_reports_the_point_where_the_gradient_is_taken() -> None:
    for name in ("dual-avg", "gd", "adagrad"):
        rows = fitted(name, average="anytime").trace
        for before, row in itertools.pairwise(rows):
            # X @ xbar is averaged as it goes: rounding of 100 steps
            assert row["f_average"] == pytest.approx(before["f_last"], rel=1e-12)


def test_a_schedule_bounds_its_last_iterate() -> None:
    for schedule in ("linear", "cosine"):
        result = fitted("gd", schedule=schedule, d0=0.1)
        assert result.trace[0]["bound_last"] is None
        for row in result.trace[1:]:
            assert row["suboptimality_last"] <= row["bound_last"]
        assert result.end["bound_last"] == result.trace[-1]["bound_last"]
    assert "bound_last" not in fitted("dual-avg").end


def test_a_resumed_schedule_keeps_its_number_of_steps(tmp_path: Path) -> None:
    X, y = read_libsvm(DATA / "wine.scale")
    common: dict[str, Any] = {"algo": "gd", "schedule": "linear", "l2": "1/n", "every": 1}
    whole = fit(X, y, iterations=40, **common)
    kept = tmp_path / "run.npz"
    fit(X, y, iterations=40, time_limit=1e-9, checkpoint=kept, **common)
    rest = fit(X, y, resume=kept, time_limit=1e9)
    assert [row["d"] for row in rest.trace] == [row["d"] for row in whole.trace]
    np.testing.assert_array_equal(rest.w, whole.w)
    assert rest.end["bound_last"] == whole.end["bound_last"]
    with pytest.raises(UsageError, match="was made for 40 and ends there; leave --iterations out"):
        fit(X, y, resume=kept, iterations=60)


def test_a_resumed_minibatch_schedule_keeps_its_epochs(tmp_path: Path) -> None:
    X, y = read_libsvm(DATA / "wine.scale")
    common: dict[str, Any] = {"algo": "adam", "schedule": "linear", "every": 1, "epochs": 12,
                              "reference": "none"}  # fmt: skip
    whole = fit(X, y, **common)
    kept = tmp_path / "run.npz"
    fit(X, y, time_limit=1e-9, checkpoint=kept, **common)
    # fewer epochs cut it short, and leave the schedule as it is
    part = fit(X, y, resume=kept, time_limit=1e9, epochs=5)
    assert part.end["epoch"] == 5
    rest = fit(X, y, resume=kept, epochs=12)
    assert [row["d"] for row in rest.trace] == [row["d"] for row in whole.trace]
    assert [row["step_size"] for row in rest.trace] == [row["step_size"] for row in whole.trace]
    np.testing.assert_array_equal(rest.w, whole.w)
    with pytest.raises(UsageError, match="was made for 12 and ends there; leave --epochs out"):
        fit(X, y, resume=kept, epochs=13)
    # a schedule that does not end goes on for as long as it is asked to
    other = tmp_path / "other.npz"
    free = {"algo": "adam", "average": "schedule-free", "reference": "none", "every": 1}
    fit(X, y, epochs=3, checkpoint=other, **free)
    longer = fit(X, y, resume=other, epochs=6)
    np.testing.assert_array_equal(longer.w, fit(X, y, epochs=6, **free).w)


def test_a_linear_schedule_warns_of_a_given_d0() -> None:
    def notes_of(**options: Any) -> list[str]:
        notes: list[str] = []
        chosen = Options(algo="gd", reference="none", iterations=5, **options)
        fit_source(Samples(*read_libsvm(DATA / "iris.scale")), chosen, Monitor(note=notes.append))
        return [line for line in notes if "--d0 auto" in line]

    assert "--schedule linear: its steps shrink" in notes_of(schedule="linear", d0=1e-6)[0]
    assert notes_of(schedule="cosine") == notes_of(d0=1e-6) == []


@pytest.mark.parametrize("name", ["adgd", "ac-fgm", "polyak", "nesterov", "schedule-free"])
def test_methods_without_d_have_none_in_their_rows(name: str) -> None:
    result = fitted(name)
    assert result.d is None
    assert result.start["d0"] is None
    assert not result.start["d0_certified"]
    assert all(row["d"] is None and row["d_hat"] is None for row in result.trace)
    points = "average" if name == "schedule-free" else "best"
    rows = [row for row in result.trace if row["bound"] is not None]
    assert len(rows) >= len(result.trace) - 2
    assert all(row[f"suboptimality_{points}"] <= row["bound"] + 1e-12 for row in rows)


@pytest.mark.parametrize("name", ["dog", "dowg", "dada"])
def test_estimates_start_small_and_are_called_estimates(name: str) -> None:
    result = fitted(name)
    assert result.start["d0"] == pytest.approx(1e-6)
    assert not result.start["d0_certified"]
    assert any("no lower bound" in line for line in result.end["diagnosis"])


@pytest.mark.parametrize(
    "name", ["accel", "accel-coordinate", "dog", "dowg", "dada", "prodigy-gd", "adgd", "adgd-2023",
             "ac-fgm", "polyak", "nesterov", "schedule-free"]
)  # fmt: skip
def test_a_start_at_the_optimum_is_said(name: str) -> None:
    result = fit([[0.0], [0.0]], [1, -1], algo=name, reference=float(np.log(2)))
    assert result.status == "optimal"
    assert result.end["diagnosis"][0] == "already optimal: the gradient at x_0 is zero"


def test_rejected_gradients_are_told() -> None:
    told = [line for c in (1.0, 16.0) for seed in range(3)
            for line in fitted("accel", c=c, d0=0.5 + seed).end["diagnosis"]]  # fmt: skip
    assert any("spent on points that were rejected" in line for line in told)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"algo": "accel", "c": 17.0}, "--c '17.0'; give a number in [1, 16]"),
        ({"algo": "accel", "c": 0.5}, "--c '0.5'; give a number in [1, 16]"),
        ({"algo": "gd", "average": "schedule-free", "beta": 1.5},
         "--beta '1.5'; give a number in [0, 1]"),
        ({"algo": "gd", "beta": 0.5}, "--beta is of --average schedule-free; add that"),
        ({"algo": "gd", "c": 2.0}, "--c is not an option of --algo gd"),
        ({"algo": "safe", "average": "anytime"}, "--average is not an option of --algo safe"),
        ({"algo": "dual-avg", "average": "uniform"}, "choose from none, anytime, schedule-free"),
        ({"algo": "dual-avg", "schedule": "linear"}, "--schedule is not an option of --algo dual"),
        ({"algo": "gd", "schedule": "paper"}, "choose from constant, none, linear, cosine"),
        ({"algo": "gd", "schedule": "linear"}, "must know how long that is; give --iterations"),
        ({"algo": "adam", "schedule": "cosine"}, "must know how long that is; give --epochs"),
        ({"algo": "adam", "average": "anytime"}, "choose from none, uniform, weighted, poly8"),
        ({"algo": "cocob", "average": "schedule-free"}, "choose from none, uniform, weighted, pol"),
        ({"algo": "adam", "variant": "preprint", "average": "schedule-free"}, "choose from none,"),
        ({"algo": "adam", "average": "schedule-free", "beta": -0.1}, "give a number in [0, 1]"),
        ({"algo": "adam", "average": "schedule-free", "schedule": "paper"}, "leave --schedule out"),
        ({"algo": "adam", "beta": 0.5}, "--beta is of --average schedule-free; add that"),
        ({"algo": "adam-plain", "lr": 1.0, "beta": 0.5}, "--beta is not an option of --algo adam-"),
        ({"algo": "sgd", "average": "schedule-free", "momentum": 0.9}, "--beta takes its place"),
        ({"algo": "adam", "average": "schedule-free", "betas": (0.8, 0.99)}, "give 0.9,0.99"),
        ({"algo": "orth", "average": "schedule-free"}, "--average is not an option of --algo orth"),
        ({"algo": "accel", "schedule": "linear"}, "--schedule is not an option of --algo accel"),
        ({"algo": "gd", "schedule": "linear", "average": "anytime"}, "leave --schedule out"),
        ({"algo": "adgd", "d0": 1.0}, "--d0 is not an option of --algo adgd"),
        ({"algo": "dog", "bound": "II"}, "--bound is not an option of --algo dog"),
        ({"algo": "accel", "batch_size": 16}, "--batch-size is not an option of --algo accel"),
        ({"algo": "polyak", "reference": "none"}, "--algo polyak needs f*"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused(options: dict[str, Any], message: str) -> None:
    X, y = read_libsvm(DATA / "iris.scale")
    with pytest.raises(UsageError, match=re.escape(message)):
        fit(X, y, **options)


BEYOND: tuple[dict[str, Any], ...] = (
    {"algo": "accel"},
    {"algo": "accel", "variant": "coordinate"},
    {"algo": "dual-avg", "average": "anytime"},
    {"algo": "dual-avg", "average": "schedule-free"},
    {"algo": "gd", "average": "schedule-free"},
    {"algo": "gd", "schedule": "linear"},
    {"algo": "adagrad", "average": "anytime"},
)


@pytest.mark.parametrize("options", BEYOND, ids=str)
def test_a_zero_gradient_at_the_start_is_said(options: dict[str, Any]) -> None:
    result = fit([[0.0], [0.0]], [1, -1], iterations=20, reference="none", d0=0.25, **options)
    assert result.status == "optimal"
    assert result.d == 0.25
    assert result.end["diagnosis"][0] == "already optimal: the gradient at x_0 is zero"


@pytest.mark.parametrize("options", BEYOND, ids=str)
def test_a_d_that_does_not_grow_is_said(options: dict[str, Any]) -> None:
    """d0 above D: every d_hat stays below it, and whoever knows D says so."""
    told = fitted("", "iris.scale", d0=100.0, **options)
    assert {row["d"] for row in told.trace} == {100.0}
    assert any("exceeds D" in line for line in told.end["diagnosis"])
    alone = fitted("", "iris.scale", d0=100.0, reference="none", **options)
    assert (
        "d has not grown since the start: every d_hat since then was smaller"
        in (alone.end["diagnosis"])
    )


@pytest.mark.parametrize("options", BEYOND, ids=str)
def test_an_l2_term_that_leaves_one_step_to_make(options: dict[str, Any]) -> None:
    """At l2 = 1e8 the minimum is g_0/l2 away, and f - f* is 1e-9 before any step."""
    result = fitted("", "iris.scale", **{**options, "l2": 1e8})
    D = result.reference["D_inf" if options.get("variant") or options["algo"] == "adagrad" else "D"]
    assert 0 < result.d <= D * (1 + 1e-9) + result.reference["D_error"]
    first = result.trace[0]["suboptimality_last"]
    assert result.end["suboptimality_best"] <= max(0.5 * first, 1e-14)
    assert result.status in ("iterations", "precision", "optimal")
    for row in result.trace[1:]:
        assert row["suboptimality_average"] <= row["bound"] + 1e-14


@pytest.mark.parametrize(
    "typed",
    [
        ("-a", "accel", "--c", 0.99),
        ("-a", "accel", "--c", "nan"),
        ("-a", "dual-avg", "--average", "schedule-free", "--beta", 1.01),
        ("-a", "sgd", "--average", "schedule-free", "--beta", -0.01),
        ("-a", "gd", "--schedule", "linear"),
        ("-a", "adam", "--schedule", "cosine"),
        ("-a", "accel", "--average", "anytime"),
        ("-a", "cocob", "--average", "schedule-free"),
        ("-a", "accel", "--epochs", 3),
        ("-a", "adam", "--average", "schedule-free", "--schedule", "linear", "--epochs", 9),
    ],
    ids=str,
)
def test_the_command_line_refuses_with_one_line(cli: Any, typed: tuple[Any, ...]) -> None:
    ran = cli("fit", DATA / "iris.scale", *typed)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.count("\n") == 1
    assert ran.err.startswith("dadapt: --")


def test_the_table_has_what_an_algorithm_adds(cli: Any) -> None:
    common = ("fit", DATA / "glass.scale", "--l2", "1/n", "-n", 50)
    assert "rejected" in cli(*common, "-a", "accel").out
    assert "bound last" in cli(*common, "-a", "gd", "--schedule", "linear").out
    plain = cli(*common, "-a", "gd").out
    assert "rejected" not in plain
    assert "bound last" not in plain
