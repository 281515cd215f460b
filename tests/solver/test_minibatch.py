"""The loop of epochs in ``fit``: rows, schedules, averages, seeds, budgets, refusals."""

from __future__ import annotations

import csv
import io
import json
import logging
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from dadapt_cli import fit
from dadapt_cli.algorithms import find, table
from dadapt_cli.errors import NumericalError, UsageError
from dadapt_cli.libsvm import read_libsvm
from dadapt_cli.objective import Problem, minibatches
from dadapt_cli.objective.minibatches import Batches, schedule
from dadapt_cli.preprocessing.labels import encode
from dadapt_cli.solver import stages
from dadapt_cli.solver.monitor import Monitor
from dadapt_cli.solver.samples import Samples

from ..conftest import DATA, random_problem

IRIS = DATA / "iris.scale"
WDBC = DATA / "wdbc.scale.xz"


def fitted(path: Any = IRIS, **options: Any) -> stages.FitResult:
    X, y = read_libsvm(path)
    return fit(X, y, **{"algo": "adam", "l2": 0.0, "reference": "none", "every": 1, **options})


def test_schedule_drops_when_the_epoch_reaches_60_80_95() -> None:
    values = [schedule("paper", epoch) for epoch in range(1, 101)]
    assert values[:59] == [1.0] * 59
    np.testing.assert_allclose(values[59:79], 0.1)
    np.testing.assert_allclose(values[79:94], 0.01)
    np.testing.assert_allclose(values[94:], 0.001)
    assert {schedule("constant", epoch) for epoch in (1, 60, 99)} == {1.0}


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("density", [1.0, 0.1])
@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_gradient_of_one_batch_with_all_samples_is_the_full_one(
    n_classes: int, density: float, l2: float
) -> None:
    problem = random_problem(0, n=40, p=7, n_classes=n_classes, l2=l2, density=density)
    w = np.random.default_rng(1).normal(size=problem.shape) * 30
    several = Batches(problem, 1000, 0)
    ((X, y, c),) = several.epoch()
    full = problem.value_and_gradient(w).g
    np.testing.assert_allclose(several.gradient(X, y, c, w), full, rtol=1e-12, atol=1e-14)


def test_an_epoch_takes_each_sample_once_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minibatches, "CHUNK_BYTES", 8 * 3 * 16 * 2)  # two batches a chunk
    X = np.arange(1.0, 151)[:, None] * np.ones(3)
    problem = Problem(X, encode(np.arange(150) % 2))
    made = Batches(problem, 16, 7)
    for _ in range(2):
        got = [X_batch[:, 0] for X_batch, _, _ in made.epoch()]
        assert [len(b) for b in got] == [16] * 9 + [6]
        assert sorted(np.concatenate(got)) == list(X[:, 0])
        assert not np.array_equal(np.concatenate(got), X[:, 0])


def test_sparse_batches_equal_dense_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    X = sp.random_array((90, 50), density=0.05, random_state=rng, format="csr")
    y = rng.integers(3, size=90)
    runs = []
    for widest in (minibatches.WIDEST_BATCH_BYTES, 0):
        monkeypatch.setattr(minibatches, "WIDEST_BATCH_BYTES", widest)
        runs.append(fit(X, y, algo="adam", l2=0.0, epochs=3, reference="none").w)
    np.testing.assert_allclose(runs[0], runs[1], rtol=1e-9, atol=1e-12)


def test_rows_are_epochs() -> None:
    result = fitted(epochs=7)
    assert [row["epoch"] for row in result.trace] == list(range(8))
    assert [row["k"] for row in result.trace] == [10 * epoch for epoch in range(8)]
    assert result.end["epoch"] == 7
    assert result.end["status"] == "iterations"
    assert all(row["bound"] is None for row in result.trace)
    assert result.start["d0"] == 1e-6
    assert result.start["d0_certified"] is False
    assert result.start["options"]["iterations"] is None
    assert result.start["options"]["epochs"] == 7
    assert [row["epoch"] for row in fitted(epochs=7, every="log").trace] == [0, 1, 2, 5, 7]
    assert min(row["f_last"] for row in result.trace) == result.end["f_best"]


@pytest.mark.parametrize("algo", [n for n, m in table().items() if m.INFO.minibatch])
@pytest.mark.parametrize("path", [IRIS, WDBC])
def test_every_algorithm_lowers_the_loss(algo: str, path: Any) -> None:
    info = find(algo).INFO
    lr = {"lr": 0.1} if "lr" in info.settings else {}
    result = fitted(path, algo=algo, epochs=100, bias=True, **lr)
    assert result.end["f_best"] < 0.4 * result.trace[0]["f_last"]
    assert result.end["accuracy"] > 0.9
    if info.has_d:
        assert result.d is not None
        assert result.d > 1e-3
        assert "no lower bound" in result.end["diagnosis"][0]


def test_seeds() -> None:
    one, again, other = (fitted(epochs=2, seed=seed).w for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, other)


def test_float32_follows_float64() -> None:
    single, double = (fitted(epochs=3, dtype=dtype) for dtype in ("float32", "float64"))
    assert single.w.dtype == np.float32
    assert single.d == pytest.approx(double.d, rel=1e-4)
    assert single.d != double.d


@pytest.mark.parametrize("average", ["uniform", "weighted"])
def test_average_is_of_the_iterates_before_each_step(average: str) -> None:
    X, y = read_libsvm(IRIS)
    problem = Problem(X, encode(y))
    made = Batches(problem, 16, 0)
    algorithm: Any = find("adam")
    state = algorithm.start(problem.zeros(), d0=1e-6)
    iterates, weights = [], []
    for _ in range(3):
        for X_batch, y_batch, c in made.epoch():
            iterates.append(state.x.copy())
            weights.append(1.0 if average == "uniform" else state.d)
            algorithm.step(state, made.gradient(X_batch, y_batch, c, state.x))
    wanted = np.average(iterates, axis=0, weights=weights)
    result = fitted(epochs=3, average=average)
    f = problem.value(problem.scores(wanted), wanted)
    assert result.end["f_average"] == pytest.approx(f, rel=1e-12)
    assert fitted(epochs=3).end["f_average"] is None


def notes_of(**options: Any) -> list[str]:
    X, y = read_libsvm(IRIS)
    notes: list[str] = []
    chosen = stages.Options(
        **{"algo": "adam", "l2": 0.0, "reference": "none", "epochs": 2, **options}
    )
    stages.fit_source(Samples(X, y), chosen, Monitor(note=notes.append))
    return [note for note in notes if "converge" in note]


def test_warning_when_neither_schedule_nor_average_is_asked_for() -> None:
    assert len(notes_of(schedule="constant")) == 1
    assert "--schedule paper" in notes_of(schedule="constant", algo="sgd")[0]
    assert "59 epochs" in notes_of()[0]  # too few for the first drop
    assert notes_of(average="uniform", schedule="constant") == []
    assert notes_of(epochs=60) == []
    assert notes_of(algo="sgd-plain", lr=0.1, schedule="constant") == []


@pytest.mark.usefixtures("ticking")
def test_tolerance_and_time_stop_the_epochs() -> None:
    reached = fitted(l2=0.1, tol=0.05, reference="auto", algo="sgd")
    assert reached.status == "tolerance"
    assert 0 < reached.end["epoch"] < 100
    stopped = fitted(time_limit=1e-6)
    assert stopped.status == "time"
    assert stopped.end["epoch"] == 0
    assert stopped.end["k"] <= 1
    spent = fitted(DATA / "dna.scale.xz", time_limit=0.05, epochs=1000)
    assert spent.status == "time"
    assert 0 < spent.end["k"] < 125_000


def test_signal_stops_within_an_epoch() -> None:
    class Caught:
        caught: int | None = None
        patient = False

        def __init__(self) -> None:
            self.asked = 0

        def __getattribute__(self, name: str) -> Any:
            if name == "caught":
                asked = object.__getattribute__(self, "asked") + 1
                object.__setattr__(self, "asked", asked)
                return 2 if asked > 4 else None
            return object.__getattribute__(self, name)

    X, y = read_libsvm(IRIS)
    monitor = Monitor(interrupts=Caught())  # type: ignore[arg-type]
    options = stages.Options(algo="adam", l2=0.0, reference="none")
    result = stages.fit_source(Samples(X, y), options, monitor)
    assert result.status == "interrupted"
    assert 0 < result.end["k"] < 10
    assert result.end["epoch"] == 0
    assert result.signal == 2


def test_not_finite_is_a_failure_with_the_last_finite_row() -> None:
    X, y = read_libsvm(WDBC)
    with pytest.raises(NumericalError, match="--lr") as caught:
        fit(X * 1e150, y, algo="sgd-plain", lr=1e200, reference="none", epochs=3)
    end = caught.value.result.end
    assert end["status"] == "failed"
    assert end["k"] == 0
    json.dumps(caught.value.result.trace, allow_nan=False)


REFUSED = [
    ("adam", {"iterations": 1000}, "--iterations"),
    ("adam", {"bound": "I"}, "--bound"),
    ("adam", {"gradient_bound": "auto"}, "--gradient-bound"),
    ("adam", {"momentum": 0.9}, "--momentum"),
    ("adam", {"lr": 0.1}, "--lr"),
    ("sgd", {"betas": (0.9, 0.999)}, "--betas"),
    ("sgd-plain", {"lr": 1.0, "d0": 1e-6}, "--d0"),
    ("cocob", {"schedule": "paper"}, "--schedule"),
    ("cocob", {"variant": "pip"}, "--variant"),
    ("gd", {"epochs": 100}, "--epochs"),
    ("dual-avg", {"batch_size": 16}, "--batch-size"),
    ("dual-avg", {"seed": 0}, "--seed"),
    ("safe", {"average": "none"}, "--average"),
    ("adagrad", {"schedule": "paper"}, "--schedule"),
    ("adam-plain", {}, "--lr"),
    ("adam-plain", {"lr": 0.0}, "--lr"),
    ("adam", {"epochs": 0}, "--epochs"),
    ("adam", {"epochs": 1.5}, "--epochs"),
    ("adam", {"batch_size": 0}, "--batch-size"),
    ("adam", {"seed": -1}, "--seed"),
    ("adam", {"schedule": "cosine"}, "--schedule"),
    ("adam", {"average": "median"}, "--average"),
    ("adam", {"betas": (0.9, 1.0)}, "--betas"),
    ("adam", {"betas": 0.9}, "--betas"),
    ("sgd", {"momentum": 1.0}, "--momentum"),
    ("adam", {"variant": "v9"}, "--variant"),
]


@pytest.mark.parametrize(("algo", "options", "word"), REFUSED)
def test_what_would_be_ignored_or_cannot_be_used_is_refused(
    algo: str, options: dict[str, Any], word: str
) -> None:
    X, y = read_libsvm(IRIS)
    with pytest.raises(UsageError, match=word):
        fit(X, y, algo=algo, reference="none", **options)


def test_command_line(cli: Any) -> None:
    common = ("fit", IRIS, "--reference", "none")
    ran = cli(*common, "-a", "adam", "--epochs", 3, "-f", "csv")
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert ran.code == 0
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3"]
    assert "need not converge" in ran.err
    ran = cli(*common, "-a", "adam", "-n", 1000)
    assert ran.code == 2
    assert ran.err.startswith("dadapt: --iterations is not an option of --algo adam")
    assert ran.err.count("\n") == 1
    assert cli(*common, "--seed", 0).code == 2
    assert cli(*common, "-a", "adam", "--betas", "1").code == 2
    ran = cli(*common, "-a", "sgd-plain", "--lr", 0.1, "--epochs", 2, "--momentum", 0.9)
    assert ran.code == 0
    assert "learning rate 0.1 (given with --lr)" in ran.out
    ran = cli(*common, "-a", "adagrad", "--variant", "pip", "--average", "weighted")
    assert ran.code == 0
    assert "the paper's default" in ran.out
    assert "no lower bound" in ran.out
    assert ran.err == ""
    assert logging.getLogger("dadapt").level == logging.WARNING
