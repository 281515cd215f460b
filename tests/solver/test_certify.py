"""What a fit proves beyond its records: the proof file, and labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dadapt_cli import fit, read_libsvm
from dadapt_cli import model as models
from dadapt_cli.certificate import check
from dadapt_cli.cli import run
from dadapt_cli.errors import DataError, UsageError
from dadapt_cli.objective.ball import Ball
from dadapt_cli.solver import certify
from dadapt_cli.solver.stopping import Iterate, Stopping

from ..conftest import DATA

VEHICLE = str(DATA / "vehicle.scale")


@pytest.mark.parametrize(
    "options",
    [
        ["-a", "orth", "--l2", "1/n"],
        ["-a", "adagrad", "--l2", "0.01", "--bias", "-n", "50"],
        ["-a", "gd", "--l2", "1/n", "--intercept", "-n", "50", "--metric", "diagonal"],
        ["-a", "dual-avg", "--l2", "1/n", "--weight", "2=3", "--scale", "standard", "-n", "50"],
        ["-a", "adam", "--l2", "1/n", "--epochs", "2", "--positive", "3"],
    ],
)
def test_a_stranger_proves_what_a_fit_writes(options: list[str], tmp_path: Path) -> None:
    proof = tmp_path / "proof.json"
    assert run(["fit", VEHICLE, *options, "--certificate", str(proof), "-q"]) == 0
    verdicts = check.judge(check.load(str(proof)), check.read_text(VEHICLE))
    assert {"f_star", "D", "D_inf"} <= {row["kind"] for row in verdicts}
    assert ("d" in {row["kind"] for row in verdicts}) == ("adam" not in options)
    assert all(row["verdict"] == "proven" for row in verdicts), verdicts
    assert run(["verify", str(proof), VEHICLE]) == 0
    assert run(["verify", str(proof), str(DATA / "iris.scale")]) == 3


def test_no_proof_where_nothing_is_certified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proof = tmp_path / "proof.json"
    arguments = ["fit", VEHICLE, "-n", "5", "--certificate", str(proof)]
    assert run([*arguments, "--reference", "none"]) == 1
    assert "no proof is written: not asked for" in capsys.readouterr().out
    assert not proof.exists()
    assert run(["fit", VEHICLE, "--certificate", VEHICLE]) == 2
    X, y = read_libsvm(VEHICLE)
    with pytest.raises(UsageError, match="dadapt fit FILE"):
        fit(X, y, l2="1/n", iterations=5, certificate=str(proof))


@pytest.mark.parametrize("algo", ["newton", "dual-avg"])
@pytest.mark.parametrize("reference", ["none", "auto"])
def test_what_stopped_a_run_is_not_proven_twice(
    monkeypatch: pytest.MonkeyPatch, algo: str, reference: str
) -> None:
    """At the weights that met the tolerance; anew at others, as where the budget ended."""
    X, y = read_libsvm(VEHICLE)
    asked: list[bytes] = []
    enclose = certify.enclose

    def counted(problem: Any, w: Any, **how: Any) -> Any:
        asked.append(w.tobytes())
        return enclose(problem, w, **how)

    monkeypatch.setattr(certify, "enclose", counted)
    options: dict[str, Any] = {"algo": algo, "reference": reference, "scale": "minmax", "l2": 0.1}
    gaps = []
    for budget, status in ({"tol": 1e-2}, "tolerance"), ({"iterations": 3}, "iterations"):
        asked.clear()
        result = fit(X, y, **options, **budget)
        assert result.status == status
        assert asked.count(result.w.tobytes()) == 1
        gaps.append(result.end["gap"])
    monkeypatch.setattr(Stopping, "enclosed", property(lambda self: None, lambda self, at: None))
    assert fit(X, y, **options, tol=1e-2).end["gap"] == gaps[0] <= 1e-2


def test_what_was_proven_elsewhere_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = read_libsvm(VEHICLE)

    def elsewhere(self: Stopping, now: Iterate, tolerance: float) -> bool:
        self.enclosed = np.zeros(self.problem.shape), (1e-9, None)
        return False

    monkeypatch.setattr(Stopping, "_proven", elsewhere)
    options: dict[str, Any] = {"scale": "minmax", "l2": 0.1, "reference": "none"}
    result = fit(X, y, **options, algo="newton", tol=1e-2, iterations=2)
    assert result.status == "iterations"
    assert result.end["gap"] > 1e-8


@pytest.mark.parametrize("options", [{}, {"intercept": True}, {"bias": True}, {"scale": "minmax"}])
def test_labels_called_proven_are_the_optimum_s(options: dict[str, Any], tmp_path: Path) -> None:
    X, y = read_libsvm(VEHICLE)
    # -a orth to its end is the optimum to 1e-9 in the scores; the labels clear of that are known.
    best = fit(X, y, algo="orth", l2="1/n", iterations=5000, **options)
    short = fit(X, y, l2="1/n", iterations=60, **options)
    path = tmp_path / "model.npz"
    models.save(short.model, path)
    kept = models.load(path)
    assert kept.ball is not None
    proven = kept.proven(X)
    assert short.end["labels_proven"] == np.mean(proven)
    label = kept.decide(kept.scores(X))
    assert np.array_equal(label[proven], best.model.decide(best.model.scores(X))[proven])
    assert 0 < proven.sum() < len(y)  # after 60 steps some are open


def test_a_fit_stops_once_enough_labels_are_proven(capsys: pytest.CaptureFixture[str]) -> None:
    X, y = read_libsvm(VEHICLE)
    options = {"algo": "orth", "l2": "1/n", "reference": "none", "iterations": 1000}
    loose = fit(X, y, stop_when_proven=0.5, **options)
    tight = fit(X, y, stop_when_proven=0.95, **options)
    assert loose.status == tight.status == "proven"
    assert loose.end["k"] < tight.end["k"]
    assert loose.end["labels_proven"] >= 0.5
    assert tight.end["labels_proven"] >= 0.95
    short = ["fit", VEHICLE, "-n", "3", "--l2", "1/n", "--stop-when-proven", "1"]
    assert run(short) == 1
    for wrong, said in (
        (["--stop-when-proven", "1.5", "--l2", "1"], "at most 1"),
        (["--stop-when-proven", "0", "--l2", "1"], "above 0"),
        (["--stop-when-proven", "0.5", "--l2", "0"], "--l2 0"),
    ):
        assert run(["fit", VEHICLE, *wrong]) == 2
        assert said in capsys.readouterr().err


def test_predict_marks_proven_labels(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    model, text = tmp_path / "m.npz", tmp_path / "m.model"
    for path in (model, text):
        assert run(["fit", VEHICLE, "-a", "orth", "--l2", "1/n", "-q", "--save", str(path)]) == 0
    capfdbinary.readouterr()
    assert run(["predict", VEHICLE, "-m", str(model), "--proven"]) == 0
    rows = [line.split() for line in capfdbinary.readouterr().out.splitlines()]
    assert len(rows) == 846
    assert {row[1] for row in rows} <= {b"0", b"1"}
    assert sum(row[1] == b"1" for row in rows) >= 840
    assert run(["predict", VEHICLE, "-m", str(model), "--proven", "--probability"]) == 0
    assert capfdbinary.readouterr().out.splitlines()[0].endswith(b" proven")
    assert run(["predict", VEHICLE, "-m", str(text), "--proven"]) == 2
    assert b"keeps one" in capfdbinary.readouterr().err


def test_the_ball_of_a_model_is_checked(tmp_path: Path) -> None:
    X, y = read_libsvm(DATA / "iris.scale")
    model, path = fit(X, y, l2="1/n", iterations=5).model, tmp_path / "forged.npz"
    assert model.ball is not None
    for ball in (Ball(model.ball.centre, -1.0), Ball(model.ball.centre[:2], 1.0)):
        models.save(replace(model, ball=ball), path)
        with pytest.raises(DataError, match=r"radius|centre"):
            models.load(path)
