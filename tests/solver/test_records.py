"""What a row says of its cost and of d/D, and which rows ``--every auto`` makes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris

import dadapt_cli as dadapt
from dadapt_cli.errors import CertificateError
from dadapt_cli.objective import Problem
from dadapt_cli.reference import Reference
from dadapt_cli.solver.stopping import CURVE, Budget

from ..conftest import Ran, vehicle

Cli = Callable[..., Ran]


@pytest.fixture
def evaluations(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the calls that evaluate f and gradient of all samples."""
    calls = [0]
    plain = Problem.value_and_gradient

    def counted(self: Problem, w: Any) -> Any:
        calls[0] += 1
        return plain(self, w)

    monkeypatch.setattr(Problem, "value_and_gradient", counted)
    return calls


@pytest.mark.parametrize("algo", ["dual-avg", "accel", "adgd"])
def test_gradients_are_those_that_were_evaluated(algo: str, evaluations: list[int]) -> None:
    fit = dadapt.fit(*vehicle(), algo=algo, iterations=30, reference="none", every=7, l2="1/n")
    assert fit.trace[-1]["gradients"] == evaluations[0] == 31
    assert [row["gradients"] for row in fit.trace] == [row["k"] + 1 for row in fit.trace]


@pytest.mark.usefixtures("ticking")
def test_gradients_of_minibatches_are_passes() -> None:
    """At the end of an epoch its number; within one, the samples seen over all of them."""
    X, y = vehicle()
    options = {"algo": "adam", "reference": "none", "l2": "1/n", "batch_size": 100}
    fit = dadapt.fit(X, y, epochs=3, every=1, **options)
    assert [row["gradients"] for row in fit.trace] == [0, 1, 2, 3]
    assert [row["k"] for row in fit.trace] == [0, 9, 18, 27]
    short = dadapt.fit(X, y, epochs=10**6, time_limit=0.05, **options).trace[-1]
    seen = short["k"] // 9 * 846 + short["k"] % 9 * 100
    assert short["gradients"] == pytest.approx(seen / 846, rel=1e-12)


def test_rejected_steps_are_counted_where_there_are_any() -> None:
    fit = dadapt.fit(*vehicle(), algo="accel", iterations=60, every=1, l2="1/n")
    rejected = [row["rejected"] for row in fit.trace]
    assert rejected == sorted(rejected)
    assert 0 < rejected[-1] < 60
    assert any(f"{rejected[-1]} gradients were spent" in line for line in fit.end["diagnosis"])
    plain = dadapt.fit(*vehicle(), algo="gd", iterations=3, l2="1/n")
    assert [row["rejected"] for row in plain.trace] == [None] * len(plain.trace)


def test_trial_steps_of_newton_are_no_gradients() -> None:
    X, y = load_iris(return_X_y=True)
    far = 10 * np.random.default_rng(0).normal(size=(4, 3))
    fit = dadapt.fit(X, y, algo="newton", iterations=60, l2="1/n", init=far, reference="none")
    rejected = fit.end["rejected"]
    assert rejected > 0
    (told,) = (line for line in fit.end["diagnosis"] if "rejected" in line)
    assert told.startswith(f"{rejected} trial step")
    assert told.endswith("a loss each, and no gradient")
    assert fit.end["gradients"] == fit.end["k"] + 1, "none is counted"


@pytest.mark.parametrize(("algo", "name"), [("dual-avg", "D"), ("adagrad", "D_inf")])
def test_d_over_D_is_in_the_norm_of_the_algorithm(algo: str, name: str) -> None:
    fit = dadapt.fit(*vehicle(), algo=algo, iterations=40, l2="1/n", metric="half")
    assert fit.reference["D"] != fit.reference["D_inf"]
    for row in fit.trace:
        assert row["d_over_D"] == row["d"] / fit.reference[name]
    assert fit.end["d_over_D"] == fit.trace[-1]["d_over_D"]


def test_d_over_D_is_null_where_nothing_is_known() -> None:
    for more in ({"reference": "none"}, {"algo": "polyak"}, {"reference": 0.1}):
        fit = dadapt.fit(*vehicle(), iterations=3, **{"l2": "1/n", **more})  # type: ignore[arg-type]
        assert {row["d_over_D"] for row in fit.trace} == {None}, more


def test_a_withdrawn_reference_takes_d_over_D_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as f falls below a certified f*, nothing is said by it, nor by its D."""
    wrong = Reference("attained", 1.0, 1e-9, 3.0, 3.0, 1e-9, "wrong", 0.0,
                      distances={"identity": [3.0, 3.0, 1e-9]})  # fmt: skip
    monkeypatch.setattr("dadapt_cli.reference.find", lambda *args, **more: wrong)
    with pytest.raises(CertificateError, match="withdrawn") as caught:
        dadapt.fit(*vehicle(), algo="newton", iterations=30, l2="1/n")
    end = caught.value.result.end
    assert end["d_over_D"] is end["suboptimality_last"] is None


def test_auto_has_about_a_hundred_rows() -> None:
    budget = Budget(0, every="auto")
    rows = [k for k in range(10**5 + 1) if budget.reports(k)]
    assert {10**m: sum(k <= 10**m for k in rows) for m in (1, 2, 3, 4, 5)} == {
        10: 11, 100: 49, 1000: 87, 10**4: 125, 10**5: 163
    }  # fmt: skip
    log = Budget(0, every="log")
    assert {k for k in range(10**5 + 1) if log.reports(k)} <= set(rows)
    steps = [after / before for before, after in itertools.pairwise(rows[10:])]
    assert max(steps) <= 1.10 + 1e-12, "even on a logarithmic axis: at most a tenth apart"
    assert len(CURVE) == 38


def test_auto_of_a_resumed_run_is_that_of_a_straight_one(cli: Cli, tmp_path: Path) -> None:
    X, y = vehicle()
    kept = tmp_path / "run"
    options: dict[str, Any] = {"l2": "1/n", "every": "auto", "algo": "dual-avg"}
    straight = dadapt.fit(X, y, iterations=333, **options)
    dadapt.fit(X, y, iterations=77, checkpoint=str(kept), **options)
    resumed = dadapt.fit(X, y, resume=str(kept), iterations=333)

    def timeless(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**row, "seconds": 0} for row in rows]

    assert timeless(resumed.trace) == timeless(straight.trace)
