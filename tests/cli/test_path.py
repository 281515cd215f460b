"""--path and --cross-validate: points, folds, what is chosen and kept, processes, signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dadapt_cli import model as models
from dadapt_cli.errors import InputOutputError, UsageError
from dadapt_cli.model_selection.cross_validation import cross_validate, stratified
from dadapt_cli.model_selection.path import RELATIVE, follow
from dadapt_cli.model_selection.path import Path as Values
from dadapt_cli.solver import fit
from dadapt_cli.solver.monitor import Monitor
from dadapt_cli.solver.options import Options
from dadapt_cli.solver.samples import Samples
from dadapt_cli.system import processes

from ..conftest import DATA, PATIENCE, Ran, listening, timeless, vehicle

Cli = Callable[..., Ran]
VEHICLE = DATA / "vehicle.scale"
DADAPT = [sys.executable, "-m", "dadapt_cli"]
PATH = "C=0.1,10,1"
QUICK: dict[str, Any] = {"algo": "orth", "inner": "newton", "lbfgs_pairs": 10}


def document(ran: Ran) -> dict[str, Any]:
    assert ran.code == 0, ran.err
    return dict(json.loads(ran.out))


def test_values_are_read_and_sorted_from_the_strongest() -> None:
    assert Values.parse("0.01,1,0.1") == Values("l2", (1.0, 0.1, 0.01))
    assert Values.parse("l2=0.01,1") == Values("l2", (1.0, 0.01))
    assert Values.parse(PATH) == Values("C", (0.1, 1.0, 10.0))


@pytest.mark.parametrize(
    "text", ["", "1", "1,1", "1,x", "1,0", "-1,2", "C=0,1", "nan,1", "1,inf", "D=1,2", "1_0,2",
             "1,,2", "C=1,C=2", ",".join(str(i + 1) for i in range(1001)), "1e-320,1"],
)  # fmt: skip
def test_values_that_mean_nothing_are_refused(text: str, cli: Cli) -> None:
    ran = cli("fit", VEHICLE, "--path", text)
    assert ran.code == 2
    assert "--path" in ran.err
    assert ran.err.count("\n") == 1


def test_each_point_is_the_fit_of_its_own_and_certified() -> None:
    """The minimum is within the gap, by a fit from 0 to machine precision."""
    X, y = vehicle()
    options = Options(**QUICK)
    points, signum = follow(Samples(X, y), options, Values.parse(PATH), Monitor())
    assert signum is None
    assert [point["C"] for point in points] == [0.1, 1.0, 10.0]
    assert [point["l2"] for point in points] == [1 / (C * 846) for C in (0.1, 1.0, 10.0)]
    for point in points:
        alone = fit(X, y, C=point["C"], reference="none", **QUICK)
        assert alone.status == "precision"
        assert 0 <= point["gap"] <= RELATIVE * np.log(4)
        assert -1e-14 <= point["f"] - alone.end["f_best"] <= point["gap"]
    cold = fit(X, y, C=10.0, tol=RELATIVE * np.log(4), reference="none", **QUICK)
    assert points[-1]["k"] < cold.end["k"], "the warm start saves steps"


def test_a_tolerance_that_was_asked_for_is_kept(cli: Cli) -> None:
    path = ("fit", VEHICLE, "-a", "orth", "--path", "0.1,1", "-f", "json")
    assert document(cli(*path, "--tol", 1e-9))["points"][0]["gap"] <= 1e-9
    assert cli(*path, "--tol", 1e-12, "-n", 2).code == 1
    assert cli(*path, "-n", 2).code == 0, "the default tolerance is nobody's wish"


def test_a_path_is_judged_on_held_out_data(cli: Cli) -> None:
    args = ("fit", VEHICLE, "-a", "orth", "--path", "0.1,1")
    made = document(cli(*args, "--test", VEHICLE, "-f", "json"))
    for point in made["points"]:
        assert point["test_accuracy"] == point["accuracy"]
    table = cli(*args, "--test", VEHICLE).out
    assert "test acc" in table
    assert "gap <=" in table
    assert "test acc" not in cli(*args).out
    rows = cli(*args, "-f", "csv").out.splitlines()
    assert rows[0].startswith("event,l2,C,k,status,f,gap")
    assert len(rows) == 3


def test_folds_of_a_path_choose_and_keep(cli: Cli, tmp_path: Path) -> None:
    kept = tmp_path / "m.npz"
    args = ("fit", VEHICLE, "-a", "orth", "--cross-validate", 4, "--path", "C=0.01,0.1,1,10,100")
    made = document(cli(*args, "-f", "json", "--save", kept, "--choose", "one-se"))
    folds, points, end = made["folds"], made["points"], made["end"]
    assert len(folds) == 20
    assert len(points) == 5
    for point in points:  # by hand
        own = [fold for fold in folds if fold["C"] == point["C"]]
        for name in ("accuracy", "log_loss"):
            values = [fold[name] for fold in own]
            assert point[name] == pytest.approx(np.mean(values), rel=1e-14)
            assert point[f"{name}_se"] == pytest.approx(np.std(values, ddof=1) / 2, rel=1e-12)
    best = min(points, key=lambda point: point["log_loss"])
    within = [p for p in points if p["log_loss"] <= best["log_loss"] + best["log_loss_se"]]
    assert end["best"]["C"] == best["C"]
    assert end["one_se"]["C"] == min(p["C"] for p in within) < best["C"], "or nothing is shown"
    model = models.load(kept)
    alone = fit(*vehicle(), algo="orth", C=end["one_se"]["C"], tol=RELATIVE * np.log(4),
                reference="none")  # fmt: skip
    assert np.array_equal(model.w, alone.w)
    ran = cli(*args)
    for words in ("SE", "best", "one SE", "least log-loss at C = "):
        assert words in ran.out
    assert "the fit of all samples with C = " in cli(*args, "--save", kept).err


def test_what_several_fits_cannot_use_is_refused(cli: Cli, tmp_path: Path) -> None:
    path = ("--path", "0.1,1")
    for more, words in (
        (("--l2", 1), "leave one out"),
        (("-C", 1), "leave one out"),
        (("--save", tmp_path / "m"), "--cross-validate K chooses"),
        (("--trace", tmp_path / "t"), "--trace is for a single fit"),
        (("--checkpoint", tmp_path / "c"), "--checkpoint is for a single fit"),
        (("--choose", "best"), "add what is missing"),
        (("--cross-validate", 3, "--test", VEHICLE), "--test is for a single fit"),
        (("--seed", 1), "--seed is not an option"),
    ):
        ran = cli("fit", VEHICLE, *path, *more)
        assert ran.code == 2, more
        assert words in ran.err
    for alone in (("--cross-validate", 3), ()):
        ran = cli("fit", VEHICLE, *alone, "--choose", "one-se")
        assert (ran.code, ran.out) == (2, "")
        assert "--choose is for --path" in ran.err
    one = tmp_path / "one"
    one.write_text("1 1:1\n1 1:2\n1 1:3\n")
    for more in (path, ("--cross-validate", 2), (*path, "--cross-validate", 2)):
        ran = cli("fit", one, *more)
        assert ran.code == 3
        assert str(one) in ran.err
        assert ran.err.count("\n") == 1


@pytest.mark.parametrize("path", [None, PATH])
def test_the_number_of_processes_changes_no_digit(path: str | None) -> None:
    X, y = vehicle()
    seen = []
    for threads in (1, 2, 5):
        records: list[dict[str, Any]] = []
        notes: list[str] = []
        options = Options(algo="auto", threads=threads)
        values = None if path is None else Values.parse(path)
        monitor = Monitor(records.append, notes.append)
        cross_validate(Samples(X, y), options, 3, monitor, values)
        assert len([note for note in notes if "auto picked" in note]) == 1
        records[0]["options"].pop("threads")
        seen.append([timeless(record) for record in records])
    assert seen[0] == seen[1] == seen[2]


def test_the_default_tolerance_changes_no_choice() -> None:
    """Accuracies are those of fits to machine precision, log-losses to 1e-4."""
    X, y = vehicle()
    found = [cross_validate(Samples(X, y), Options(**QUICK, **more), 4, Monitor()).folds
             for more in ({}, {"tol": 1e-12})]  # fmt: skip
    for quick, exact in zip(*found, strict=True):
        assert quick["accuracy"] == exact["accuracy"]
        assert quick["log_loss"] == pytest.approx(exact["log_loss"], abs=1e-4)


@pytest.mark.parametrize("folds", [2, 3, 7])
def test_parts_are_scikit_learns(folds: int) -> None:
    from sklearn.model_selection import StratifiedKFold

    rng = np.random.default_rng(folds)
    for seed in (0, 1, 2**32 - 1):
        index = rng.integers(4, size=101)
        peer = StratifiedKFold(folds, shuffle=True, random_state=seed).split(index, index)
        parts = stratified(index, folds, seed)
        for number, (_, left_out) in enumerate(peer):
            assert np.array_equal(np.flatnonzero(parts == number), left_out)


def test_sample_weights_go_into_the_folds() -> None:
    X, y = vehicle()
    rng = np.random.default_rng(0)
    weights = rng.integers(1, 4, size=len(y)).astype(float)
    runs = [cross_validate(Samples(X, y, w), Options(**QUICK), 3, Monitor()).folds
            for w in (None, weights)]  # fmt: skip
    assert runs[0][0]["log_loss"] != runs[1][0]["log_loss"]


def test_tasks_come_in_order_and_fail_in_turn() -> None:
    def slow() -> int:
        time.sleep(0.2)
        return os.getpid()

    def fails() -> None:
        raise UsageError("this one")

    pids = list(processes.each([slow, os.getpid, os.getpid], 2))
    assert os.getpid() not in pids
    assert len(set(pids)) == 3
    assert list(processes.each([os.getpid] * 2, 1)) == [os.getpid()] * 2
    made = processes.each([slow, fails, slow], 3)
    assert isinstance(next(made), int)
    with pytest.raises(UsageError, match="this one"):
        next(made)
    with pytest.raises(InputOutputError, match="killed from outside"):
        list(processes.each([lambda: os.kill(os.getpid(), signal.SIGKILL), slow], 2))
    large = list(processes.each([lambda: bytes(10**6)] * 3, 2))  # more than a pipe holds
    assert [len(part) for part in large] == [10**6] * 3


def children(pid: int) -> set[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return set()
    return {int(word) for word in text.split()}


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether it holds before patience ends; a busy machine takes its time."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.05)
    return False


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not processes.FORKS, reason="no processes are forked here")
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_a_signal(signum: int) -> None:
    process = subprocess.Popen(
        [*DADAPT, "fit", VEHICLE, "--cross-validate", "4", "-n", "100000000", "--threads", "2",
         "-f", "json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=listening,
    )  # fmt: skip
    assert eventually(lambda: len(children(process.pid)) == 2)
    workers = children(process.pid)
    process.send_signal(signum)
    out, err = process.communicate(timeout=PATIENCE)
    assert eventually(lambda: not any(map(alive, workers)))
    if signum == signal.SIGKILL:
        return
    assert process.returncode == 128 + signum
    assert "Traceback" not in err
    assert json.loads(out)["end"]["status"] == "interrupted"


def test_balanced_weights_are_scikit_learns(cli: Cli) -> None:
    from sklearn.utils.class_weight import compute_sample_weight

    from dadapt_cli.preprocessing.sample_weight import sample_weights

    _, y = vehicle()
    made = sample_weights(y, None, "balanced")
    assert made is not None
    np.testing.assert_allclose(made, compute_sample_weight("balanced", y), rtol=1e-15)
    np.testing.assert_allclose(
        sample_weights(y, None, "balanced", positive=2),
        compute_sample_weight("balanced", y == 2),
        rtol=1e-15,
    )
    np.testing.assert_allclose(sample_weights(y, y, "balanced"), made * y, rtol=1e-15)
    short = ("fit", VEHICLE, "-n", 2, "--reference", "none")
    one = json.loads(cli(*short, "--weight", "balanced", "-f", "json").out)
    assert one["start"]["options"]["weight"] == "balanced"
    X, y = vehicle()
    common: dict[str, Any] = {"iterations": 2, "reference": "none"}
    weights = compute_sample_weight("balanced", y)
    other = fit(X, y, sample_weight=weights, **common)
    assert one["steps"][-1]["f_last"] == pytest.approx(other.trace[-1]["f_last"], rel=1e-14)
    assert cli(*short, "--weight", "balanced", "--weight", "1=2").code == 2
    with pytest.raises(UsageError, match="--weight 'equal'; choose from balanced"):
        fit(X, y, weight="equal", **common)
