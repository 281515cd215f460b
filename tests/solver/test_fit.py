"""fit(): records, budgets, stopping, and what it refuses."""

from __future__ import annotations

import json
import logging
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import dadapt_cli as dadapt
from dadapt_cli import fit, reference
from dadapt_cli.algorithms import find, table
from dadapt_cli.errors import CertificateError, DataError, NumericalError, UsageError
from dadapt_cli.objective import Problem
from dadapt_cli.preprocessing.labels import encode
from dadapt_cli.reference import Reference
from dadapt_cli.solver.monitor import Monitor
from dadapt_cli.solver.options import Options
from dadapt_cli.solver.samples import Samples
from dadapt_cli.solver.stages import fit_source
from dadapt_cli.solver.stopping import Budget
from dadapt_cli.system.signals import Interrupts

from ..conftest import read, vehicle

DATA_KEYS = [
    *("path", "problem", "sha256", "samples", "features", "nonzeros", "classes", "labels"),
]


def test_records_are_those_of_the_interface() -> None:
    result = dadapt.fit(*vehicle(), l2="1/n", iterations=7)
    start = result.start
    assert list(start["data"]) == DATA_KEYS
    assert start["objective"] == {
        "loss": "softmax", "l2": 1 / 846, "l2_rule": "1/n", "bias": False, "intercept": False,
        "weighted": False,
    }  # fmt: skip
    assert [row["k"] for row in result.trace] == [0, 1, 2, 5, 7]
    assert result.trace[0]["d_hat"] is None
    assert set(result.end["seconds"]) == {"load", "reference", "solve", "total"}


def test_row_k_describes_the_point_after_k_steps() -> None:
    X, y = vehicle()
    common: dict[str, Any] = {"l2": 0.01, "reference": "none", "every": 1}
    result = dadapt.fit(X, y, iterations=5, **common)
    problem = Problem(X, encode(y), l2=0.01)
    at = problem.value_and_gradient(result.w)
    assert result.end["iterate"] == "last"
    assert result.trace[5]["f_last"] == pytest.approx(at.f, rel=1e-14)
    assert result.trace[5]["grad_norm"] == pytest.approx(np.linalg.norm(at.g), rel=1e-12)
    # f_average at row 1 is f at the average of x_0 alone.
    assert result.trace[1]["f_average"] == pytest.approx(result.trace[0]["f_last"], rel=1e-15)
    shorter = dadapt.fit(X, y, iterations=3, **common)
    for mine, theirs in zip(shorter.trace, result.trace, strict=False):
        assert {**mine, "seconds": 0} == {**theirs, "seconds": 0}


def test_f_average_is_f_at_the_average() -> None:
    X, y = vehicle()
    result = fit(
        X, y, l2=0.0, iterations=40, every=40, reference="none", gradient_bound="lipschitz"
    )
    problem = Problem(X, encode(y))
    # With Theorem 2's step the ratio falls to the end here, so its iterate is the last average.
    assert result.end["theorem2_k"] == 39
    f = problem.value_and_gradient(result.theorem2_w).f
    assert result.end["f_average"] == pytest.approx(f, rel=1e-13)


@pytest.mark.parametrize(
    ("every", "rows"), [("log", [0, 1, 2, 5, 10, 20, 23]), (10, [0, 10, 20, 23])]
)
def test_reported_rows(every: str | int, rows: list[int]) -> None:
    result = fit(*vehicle(), iterations=23, every=every, reference="none")
    assert [row["k"] for row in result.trace] == rows


def test_tolerance_is_on_the_certified_gap() -> None:
    result = fit(*vehicle(), l2="1/n", tol=1e-3, iterations=10_000)
    assert result.status == "tolerance"
    assert result.end["suboptimality_best"] <= 1e-3
    before = fit(*vehicle(), l2="1/n", iterations=result.end["k"] - 1)
    assert before.end["suboptimality_best"] > 1e-3
    without = fit(*vehicle(), l2="1/n", tol=1e-3, iterations=10_000, reference="none")
    assert without.status == "tolerance"
    assert without.end["grad_norm"] ** 2 / (2 / 846) <= 1e-3
    assert fit(*vehicle(), l2=0.0, tol=1e-9, iterations=3).status == "iterations"
    assert fit(*vehicle(), l2=0.0, tol=1.2, iterations=3, reference=0.3).status == "tolerance"


@pytest.mark.usefixtures("ticking")
def test_time_limit() -> None:
    result = fit(*vehicle(), iterations=10**9, time_limit=0.05, reference="none")
    assert result.status == "time"
    assert 0.05 <= result.end["seconds"]["solve"] < 5


def test_numbers_that_overflow_stop_the_run() -> None:
    with pytest.raises(NumericalError, match=r"iteration 1: .*nan.*--d0") as caught:
        fit(*vehicle(), d0=1e300)
    result = caught.value.result
    assert result.status == "failed"
    assert [row["k"] for row in result.trace] == [0]
    assert np.all(np.isfinite(result.w))
    json.dumps([result.start, *result.trace, result.end], allow_nan=False)


def test_last_finite_state_is_reported_when_f_breaks_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = 0
    real = Problem.value_and_gradient

    def breaks(self: Problem, w: Any) -> Any:
        nonlocal calls
        calls += 1
        at = real(self, w)
        return at if calls < 9 else type(at)(np.nan, at.g, at.scores)

    monkeypatch.setattr(Problem, "value_and_gradient", breaks)
    with pytest.raises(NumericalError, match="iteration 8: f is nan") as caught:
        fit(*vehicle(), iterations=50, reference="none")
    rows = caught.value.result.trace
    assert [row["k"] for row in rows] == [0, 1, 2, 5, 7]
    assert np.isfinite(rows[-1]["f_last"])


def test_a_signal_ends_the_run_after_its_iteration() -> None:
    interrupts = Interrupts()
    seen: list[dict[str, Any]] = []

    def record(made: dict[str, Any]) -> None:
        seen.append(made)
        if made.get("k") == 5:
            interrupts.caught = 15

    options = Options(iterations=1000, reference="none")
    result = fit_source(Samples(*vehicle()), options, Monitor(record, interrupts=interrupts))
    assert result.status == "interrupted"
    assert result.signal == 15
    assert [row["k"] for row in result.trace] == [0, 1, 2, 5, 6]
    assert [made["event"] for made in seen] == ["start", *["step"] * 5, "end"]


def test_diagnosis_speaks_of_what_the_numbers_show() -> None:
    X, y = vehicle()
    assert any("exceeds D" in s for s in fit(X, y, d0=1e3, l2="1/n", iterations=3).end["diagnosis"])
    slow = fit([[1.0], [-1.0]], [1, 0], l2=0.0, iterations=12, reference="none").end["diagnosis"]
    assert any("since the start" in s for s in slow)
    assert any("not asked for" in s for s in slow)
    separable = read("wine.scale")
    assert any("separable" in s for s in fit(*separable, l2=0.0, iterations=3).end["diagnosis"])
    wrong = fit(X, y, l2=0.0, reference=1.3, iterations=50).end["diagnosis"]
    assert any("given f*" in s for s in wrong)
    near = fit(*read("iris.scale"), l2=0.1, iterations=3000).end["diagnosis"]
    assert any("d_hat < d is normal" in s for s in near)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"algo": "dualavg"}, "did you mean 'dual-avg'"),
        ({"bound": "III"}, "choose from I, II"),
        ({"d0": 0}, "--d0"),
        ({"d0": float("nan")}, "--d0"),
        ({"d0": 1e-50, "dtype": "float32"}, "1e-30"),
        ({"l2": -1}, "--l2"),
        ({"l2": "2/n"}, "1/n"),
        ({"gradient_bound": 0}, "--gradient-bound"),
        ({"reference": float("inf")}, "--reference"),
        ({"iterations": 0}, "--iterations"),
        ({"iterations": True}, "--iterations"),
        ({"every": 0}, "--every"),
        ({"tol": -1.0}, "--tol"),
        ({"time_limit": 0.0}, "--time-limit"),
        ({"threads": 0}, "--threads"),
        ({"dtype": "float16"}, "--dtype"),
        ({"learning_rate": 1}, "unknown option 'learning_rate'"),
    ],
)
def test_options_that_cannot_be_used(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        fit(np.eye(2), [0, 1], **options)


def test_data_that_cannot_be_used() -> None:
    with pytest.raises(DataError, match="one row a sample"):
        fit([1.0, 2.0], [0, 1])
    with pytest.raises(DataError, match="numbers are needed"):
        fit([["a"], ["b"]], [0, 1])


def test_float32_follows_float64() -> None:
    double = fit(*vehicle(), l2="1/n", iterations=100)
    single = fit(*vehicle(), l2="1/n", iterations=100, dtype="float32")
    assert single.w.dtype == np.float32
    assert isinstance(single.d, float)
    assert single.d == pytest.approx(double.d, rel=1e-4)
    assert single.reference["f_star"] == double.reference["f_star"]
    tiny = fit(*vehicle(), d0=1e-16, iterations=3, dtype="float32", reference="none")
    assert tiny.trace[-1]["d_hat"] > 0, "float32 scalars would underflow"


def test_notes_and_log(caplog: pytest.LogCaptureFixture) -> None:
    notes: list[str] = []
    X = sp.csr_array(np.array([[1.0, 0], [0, 0], [0, 2], [1, 1]]))
    with caplog.at_level(logging.INFO, "dadapt"):
        fit_source(
            Samples(X, np.array([0, 1, 0, 1])), Options(iterations=1), Monitor(note=notes.append)
        )
    assert notes == ["1 of 4 rows have no features"]
    assert "f*: " in caplog.text


def test_library_names_are_importable() -> None:
    assert set(dadapt.__all__) <= set(dir(dadapt))
    for name in dadapt.__all__:
        assert getattr(dadapt, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = dadapt.nothing


def test_every_budget_reports_row_zero() -> None:
    assert [k for k in range(60) if Budget(60).reports(k)] == [0, 1, 2, 5, 10, 20, 50]
    assert [k for k in range(7) if Budget(60, every=3).reports(k)] == [0, 3, 6]


LOOSE = {("dada", "wine.scale"): 1e-2, ("schedule-free", "wdbc.scale.xz"): 0.1}
"""Tolerances of those that come no nearer in 3000 steps."""

CERTIFIED = [
    (name, path)
    for name, module in table().items()
    for path in ("wine.scale", "wdbc.scale.xz")
    if not module.INFO.minibatch
    # its points jump to and fro there: the least f is near f*, and no point's gradient is small
    and (name, path) != ("dada", "wdbc.scale.xz")
]


@pytest.mark.parametrize(("algo", "path"), CERTIFIED)
def test_a_tolerance_is_certified_with_an_intercept(algo: str, path: str) -> None:
    """Without a reference, by the dual point; the reference only judges it, to its own gap."""
    X, y = read(path)
    options = {"l2": "1/n", "intercept": True, "iterations": 3000}
    tol = LOOSE.get((algo, path), 1e-2 if find(algo).INFO.averages else 1e-8)
    unknown = "auto" if "f_star" in find(algo).INFO.wants else "none"
    result = fit(X, y, algo=algo, tol=tol, reference=unknown, **options)
    assert result.status == "tolerance"
    known = fit(X, y, algo="orth", **options).reference
    assert result.end["f_best"] - known["f_star"] + known["gap"] <= tol


def test_a_false_certificate_is_withdrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that goes below f* - gap must not end as if nothing had happened."""
    X, y = vehicle()
    false = Reference("attained", f_star=1.0, gap=1e-15, D=1.0, D_inf=1.0, D_error=1e-9)
    monkeypatch.setattr(reference, "find", lambda *_, **__: false)
    with pytest.raises(CertificateError, match="withdrawn") as caught:
        fit(X, y, l2="1/n", iterations=300)
    assert caught.value.exit_code == 70
    assert caught.value.result.reference["status"] == "none"
    end = caught.value.result.end
    assert end["suboptimality_best"] is None
    assert any("false" in line for line in end["diagnosis"])
