"""``dadapt regress``: planted faults, the baseline's file, verdicts, formats, processes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from dadapt_cli.algorithms import accel, adagrad, adam, dual_avg, gd, orth, safe
from dadapt_cli.algorithms._averaged import Averaged
from dadapt_cli.algorithms._rounding import Rounding
from dadapt_cli.algorithms._schedule_free import Between
from dadapt_cli.objective import minibatches
from dadapt_cli.regress import baseline
from dadapt_cli.regress.baseline import Tolerance, compare
from dadapt_cli.system.lock import held

from ..cli.test_path import children, eventually
from ..conftest import DATA, PATIENCE


@pytest.fixture(autouse=True)
def _no_other_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DADAPT_DATA", raising=False)


@pytest.fixture
def gate(cli: Any) -> Any:
    def call(*argv: Any) -> Any:
        return cli("regress", *argv, "--jobs", 1)

    return call


def test_unchanged_passes_in_one_process_and_in_two(cli: Any) -> None:
    one = cli("regress", "iris", "--jobs", 1, "-f", "json")
    two = cli("regress", "iris", "--jobs", 2, "-f", "json")
    assert (one.code, two.code) == (0, 0)
    first, second = json.loads(one.out), json.loads(two.out)
    for run in (*first["runs"], *second["runs"]):
        del run["seconds"]
    assert first == second
    assert {run["algo"] for run in first["runs"]} == {
        "dual-avg", "gd", "adagrad", "safe", "orth", "accel", "dual-avg-anytime",
        "dual-avg-schedule-free", "sgd", "adam", "adam-schedule-free",
        "dual-avg II", "dual-avg certified", "adagrad II",
    }  # fmt: skip
    assert {run["verdict"] for run in first["runs"]} == {"ok"}


def half_numerator(monkeypatch: pytest.MonkeyPatch) -> None:
    before = dual_avg.ratchet
    monkeypatch.setattr(dual_avg, "ratchet", lambda d, d_hat: before(d, d_hat / 2))


def late_gamma(monkeypatch: pytest.MonkeyPatch) -> None:
    before = dual_avg.step

    def step(state: Any, g: Any) -> None:
        gamma = state.gamma
        before(state, g)
        state.x = state.x0 - gamma * state.s

    monkeypatch.setattr(dual_avg, "step", step)


def wrong_average(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Averaged.include
    monkeypatch.setattr(Averaged, "include", lambda self, weight, g=None: before(self, 1.0, g))


def late_drop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minibatches, "DROPS", tuple(drop + 1 for drop in minibatches.DROPS))


def wrong_sign(module: Any) -> Any:
    """Of the sum in Option II's numerator, from which the bound is made, too."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        before = module.dot
        monkeypatch.setattr(module, "dot", lambda a, b: before(a, b) * (1 if a is b else -1))

    return plant


def wrong_slack(module: Any) -> Any:
    """The sign of sum w_i <g_i, x_i - x_0>, where nothing but the bound is made from it."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        before = module.step

        def step(state: Any, g: Any) -> None:
            before(state, g)
            state.slack = -state.slack

        monkeypatch.setattr(module, "step", step)

    return plant


def wrong_upper(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Rounding.upper
    monkeypatch.setattr(
        Rounding, "upper", lambda self, D, s, slack, W: before(self, D, s, -slack, W)
    )


def no_square(monkeypatch: pytest.MonkeyPatch) -> None:
    before = safe.Safe.bound
    monkeypatch.setattr(safe.Safe, "bound", lambda self, D: before(self, D**0.5))


def short_proposal(monkeypatch: pytest.MonkeyPatch) -> None:
    before = safe._proposal
    monkeypatch.setattr(safe, "_proposal", lambda state, g: before(state, g) / 2)


def half_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    before = orth.ratchet
    monkeypatch.setattr(orth, "ratchet", lambda d, d_hat: before(d, d_hat / 2))


def no_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    before = accel.Accelerated.propose

    def propose(self: Any, step: Any) -> None:
        g, self.g = self.g, 0 * self.g
        before(self, step)
        self.g = g

    monkeypatch.setattr(accel.Accelerated, "propose", propose)


def no_slack(monkeypatch: pytest.MonkeyPatch) -> None:
    before = accel.Accelerated.accept

    def accept(self: Any, g: Any) -> None:
        before(self, g)
        self.S /= 2

    monkeypatch.setattr(accel.Accelerated, "accept", accept)


def gradient_at_z(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Averaged.look

    def look(self: Any, z: Any, weight: float) -> None:
        before(self, z, weight)
        self.x = z

    monkeypatch.setattr(Averaged, "look", look)


def late_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Averaged.look
    monkeypatch.setattr(Averaged, "look", lambda self, z, weight: before(self, z, weight / 2))


def no_correction(monkeypatch: pytest.MonkeyPatch) -> None:
    before = adam._advance

    def advance(state: Any, move: Any) -> None:
        k, state.k = state.k, 10**9
        before(state, move)
        state.k = k

    monkeypatch.setattr(adam, "_advance", advance)


def equal_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Between.look
    monkeypatch.setattr(Between, "look", lambda self, weight: before(self, 1.0))


@pytest.mark.parametrize(
    ("plant", "algo", "figure"),
    [
        (half_numerator, "dual-avg", "d changed"),
        (late_gamma, "dual-avg", "d changed"),
        (wrong_average, "gd", "suboptimality_average worse"),
        (late_drop, "sgd", "step_sizes changed"),
        (late_drop, "adam", "step_sizes changed"),
        (wrong_sign(dual_avg), "dual-avg II", "d changed"),
        (wrong_sign(adagrad), "adagrad II", "d changed"),
        (wrong_sign(gd), "gd", "d changed"),
        (wrong_sign(dual_avg), "dual-avg", "bound changed"),
        *(
            (wrong_slack(module), algo, "bound changed")
            for module, algo in (
                (dual_avg, "dual-avg"),
                (dual_avg, "dual-avg II"),
                (dual_avg, "dual-avg certified"),
                (dual_avg, "dual-avg-anytime"),
                (dual_avg, "dual-avg-schedule-free"),
                (gd, "gd"),
                (adagrad, "adagrad"),
                (adagrad, "adagrad II"),
            )
        ),
        (wrong_upper, "orth", "bound changed"),
        (wrong_upper, "accel", "bound changed"),
        (no_square, "safe", "bound changed"),
        (short_proposal, "safe", "d changed"),
        (half_bound, "orth", "d changed"),
        (no_hint, "accel", "d changed"),
        (no_slack, "accel", "d changed"),
        (gradient_at_z, "dual-avg-anytime", "d changed"),
        (late_weight, "dual-avg-anytime", "d changed"),
        (gradient_at_z, "dual-avg-schedule-free", "d changed"),
        (wrong_average, "dual-avg-schedule-free", "d changed"),
        (no_correction, "adam-schedule-free", "d changed"),
        (equal_weights, "adam-schedule-free", "d changed"),
    ],
)
def test_a_planted_fault_is_caught(
    plant: Any, algo: str, figure: str, gate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    ran = gate("iris", "--algo", algo)
    assert ran.code == 1
    assert f"iris.scale, {algo}, l2 = 1/n: {figure}" in ran.out
    assert "FAILED" in ran.out


def test_a_failed_run_and_a_d_above_D(gate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = gd.ratchet
    monkeypatch.setattr(gd, "ratchet", lambda d, d_hat: before(d, float("nan")))
    ran = gate("iris", "--algo", "gd")
    assert ran.code == 1
    assert "iris.scale, gd, l2 = 0: iteration 1: d_hat is nan" in ran.out
    monkeypatch.setattr(gd, "ratchet", lambda d, d_hat: before(d, 10.0))
    ran = gate("iris", "--algo", "gd")
    assert "l2 = 1/n: d wrong" in ran.out


def test_verdicts() -> None:
    stated = {"d": Tolerance(relative=1e-3), "accuracy": Tolerance(samples=1.0)}
    before = {"d": 1.0, "accuracy": 0.5, "suboptimality_last": 0.1, "iterations_1e-2": None, "x": 1}

    def verdicts(now: Any, share: float | None = None) -> Any:
        return {c["figure"]: c["verdict"] for c in compare(stated, "p/a", 10, before, now, share)}

    now = {"d": 1.0009, "accuracy": 0.4, "suboptimality_last": 0.1, "iterations_1e-2": None, "x": 1}
    assert set(verdicts(now).values()) == {"ok"}
    assert verdicts(now, 1.1)["d"] == "wrong"
    now = {"d": 0.99, "accuracy": 0.3, "suboptimality_last": 0.09, "iterations_1e-2": 5, "new": 2}
    assert verdicts(now) == {"d": "changed", "accuracy": "worse", "suboptimality_last": "better",
                             "iterations_1e-2": "better", "new": "new", "x": "missing"}  # fmt: skip


def test_a_run_may_have_a_tolerance_of_its_own() -> None:
    stated = {"d": Tolerance(relative=1e-3), "usps/adam/d": Tolerance(relative=0.1)}
    verdicts = {
        run: compare(stated, run, 10, {"d": 1.0}, {"d": 1.05}, None)[0]["verdict"]
        for run in ("usps/adam", "usps/sgd")
    }
    assert verdicts == {"usps/adam": "ok", "usps/sgd": "changed"}


def test_update_keeps_the_rest_and_better_passes(gate: Any, tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    assert gate("iris", "--baseline", path).code == 2
    assert gate("iris", "wine", "-a", "gd", "--baseline", path, "--update").code == 0
    first = json.loads(path.read_bytes())
    figures = first["problems"]["iris.scale"]["algorithms"]["gd"]["l2=0"]
    figures["suboptimality_last"] *= 2
    known = first["problems"]["iris.scale"]["references"]["l2=0"]
    known["method"] = "from another day"
    path.write_text(json.dumps(first))
    ran = gate("iris", "-a", "gd", "--baseline", path)
    assert ran.code == 0
    assert "suboptimality_last better" in ran.out
    assert gate("iris", "-a", "orth", "--baseline", path, "--update").code == 0
    second = json.loads(path.read_bytes())
    assert set(second["problems"]["iris.scale"]["algorithms"]) == {"gd", "orth"}
    assert second["problems"]["wine.scale"] == first["problems"]["wine.scale"]
    # the figures of gd are measured from this f*; once none is left, f* is computed anew
    assert second["problems"]["iris.scale"]["references"]["l2=0"] == known
    assert gate("iris", "-a", "gd", "-a", "orth", "--baseline", path, "--update").code == 0
    third = json.loads(path.read_bytes())["problems"]["iris.scale"]["references"]["l2=0"]
    assert third["method"] != known["method"]
    assert gate("iris", "wine", "-a", "gd", "-a", "orth", "--baseline", path).code == 0


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda text: text[: len(text) // 2], 3, "not JSON"),
        (lambda text: text.replace('"version": 1', '"version": 2'), 4, "version '2'"),
        (lambda text: text.replace('"accuracy": 0.', '"accuracy": NaN, "was": 0.', 1), 3, "'NaN'"),
        (lambda text: text.replace('"f_star"', '"f"', 1), 3, "a reference has no f_star"),
        (lambda text: "[]", 3, "no version"),
    ],
)
def test_bad_baselines(change: Any, code: int, words: str, gate: Any, tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(change((DATA / "baseline.json").read_text()))
    ran = gate("iris", "--baseline", path)
    assert ran.code == code
    assert ran.err.startswith(f"dadapt: {path}")
    assert words in ran.err
    assert ran.err.count("\n") == 1


def test_other_data_missing_data_and_typos(
    gate: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = gate("aloi")
    assert ran.code == 0
    assert "dadapt datasets fetch aloi.scale" in ran.out
    assert gate("aloi", "--require-all").code == 1
    assert gate("iriss").code == 2
    assert gate("iris", "-a", "cocob").code == 2
    shutil.copy(DATA / "wine.scale", tmp_path / "iris.scale")
    monkeypatch.setenv("DADAPT_DATA", str(tmp_path))
    ran = gate("iris", "-a", "gd")
    assert ran.code == 3
    assert "sha256" in ran.err


def test_formats(gate: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong_average(monkeypatch)
    out = tmp_path / "junit.xml"
    ran = gate("iris", "aloi", "-a", "gd", "-f", "junit", "--out", out)
    assert ran.code == 1
    assert "iris.scale     gd" in ran.out or "iris.scale  gd" in ran.out
    suite = ET.parse(out).getroot()[0]
    assert [suite.get(name) for name in ("tests", "failures", "skipped")] == ["3", "2", "1"]
    message = suite.findall("testcase/failure")[0].get("message")
    assert message is not None
    assert message.startswith("suboptimality_average worse: 0.00")
    assert "allowed" in message
    shown = gate("iris", "aloi", "-a", "gd", "-f", "markdown").out
    assert "| iris.scale | 2 | 2 worse |" in shown
    assert "| iris.scale | gd, l2 = 0 | suboptimality_average |" in shown


def test_a_failure_in_junit_names_only_what_got_worse(gate: Any, tmp_path: Path) -> None:
    path, out = tmp_path / "baseline.json", tmp_path / "junit.xml"
    document = json.loads((DATA / "baseline.json").read_bytes())
    runs = document["problems"]["iris.scale"]["algorithms"]["gd"]
    runs["l2=1/n"]["suboptimality_average"] *= 2  # measured is better
    runs["l2=1/n"]["suboptimality_last"] /= 2  # worse
    runs["l2=1/n"]["bound"] *= 2
    runs["l2=0"]["suboptimality_last"] *= 2  # better, and nothing else
    path.write_text(json.dumps(document))
    ran = gate("iris", "-a", "gd", "--baseline", path, "-f", "junit", "--out", out)
    assert ran.code == 1
    (failure,) = ET.parse(out).getroot().iter("failure")
    lines = str(failure.get("message")).split("\n")
    assert [line.split(":")[0] for line in lines] == ["suboptimality_last worse", "bound changed"]
    assert failure.text is None
    (better,) = ET.parse(out).getroot().iter("system-out")
    assert str(better.text).startswith("suboptimality_last better")
    assert "suboptimality_average better" in ran.out, "the table names all that differs"


def test_the_shipped_baseline_has_the_bound_of_every_run_with_a_finite_D() -> None:
    minibatch = ("sgd", "adam", "adam-schedule-free")  # without a proof
    for entry in baseline.read(DATA / "baseline.json")["problems"].values():
        for algo, penalties in entry["algorithms"].items():
            for key, figures in penalties.items():
                has = entry["references"][key]["D"] is not None and algo not in minibatch
                assert ("bound" in figures) == has, (algo, key)


def test_the_shipped_baseline_states_the_tolerances() -> None:
    document = baseline.read(DATA / "baseline.json")
    assert baseline.tolerances(document) == baseline.TOLERANCES


def test_the_step_for_github_runs(tmp_path: Path) -> None:
    text = (DATA.parent / "docs" / "regress.md").read_text()
    (step,) = re.findall(r"- run: (dadapt .*)", text)
    program = f'dadapt() {{ "{sys.executable}" -m dadapt_cli "$@"; }}\n'
    environment = {
        **os.environ,
        "PYTHONPATH": str(DATA.parent),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }
    command = ["bash", "-euo", "pipefail", "-c", program + step]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert (tmp_path / "summary.md").read_text().startswith("### dadapt regress passed")


def test_an_interrupt_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    command = [sys.executable, "-m", "dadapt_cli", "regress", "dna", "--update", "--baseline"]
    process = subprocess.Popen(
        [*command, str(path), "--jobs", "2"], stderr=subprocess.PIPE, start_new_session=True
    )
    assert process.stderr is not None
    process.stderr.readline()  # "computing f*": the workers start, after which any moment will do
    assert eventually(lambda: bool(children(process.pid)))
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 143
    process.stderr.close()

    def is_gone() -> bool:  # children of the session are reaped by init
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    assert eventually(is_gone), "a worker outlived the gate"
    assert list(tmp_path.iterdir()) == []


def test_two_updates_of_one_baseline(gate: Any, tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    with held(str(path)):
        ran = gate("iris", "-a", "gd", "--baseline", path, "--update")
    assert ran.code == 4
    assert "in use by process" in ran.err
    assert not path.exists()


def test_what_cannot_be_compared_is_no_pass(gate: Any, tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    assert gate("iris", "-a", "gd", "--baseline", path, "--update").code == 0
    assert gate("iris", "-a", "orth", "--baseline", path).code == 0, "new"
    assert gate("iris", "-a", "orth", "--baseline", path, "--require-all").code == 1
    assert gate("iris", "--all", "--baseline", path).code == 2
    document = json.loads(path.read_bytes())
    run = document["problems"]["iris.scale"]["algorithms"]["gd"]["l2=0"]
    for bad in ({}, {**run, "d": 10**400}):
        document["problems"]["iris.scale"]["algorithms"]["gd"]["l2=0"] = bad
        path.write_text(json.dumps(document))
        ran = gate("iris", "--baseline", path)
        assert ran.code == 3
        assert "not a whole baseline" in ran.err
