"""Runs that are interrupted and resumed, against runs that are not: equal to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dadapt_cli import algorithms, fit
from dadapt_cli.checkpoint import file
from dadapt_cli.errors import CertificateError, InputOutputError, NumericalError, UsageError
from dadapt_cli.objective import Problem, directions
from dadapt_cli.solver import resume as durable
from dadapt_cli.solver import stages
from dadapt_cli.solver.monitor import Monitor
from dadapt_cli.solver.options import Options
from dadapt_cli.solver.samples import Samples, Source
from dadapt_cli.solver.stages import FitResult, fit_source
from dadapt_cli.system.signals import Interrupts

from ..conftest import timeless, vehicle

EXTRA: list[dict[str, Any]] = [
    {"algo": "dual-avg", "bound": "certified", "gradient_bound": "lipschitz", "bias": True},
    {"algo": "dual-avg", "dtype": "float32", "metric": "diagonal"},
    {"algo": "adagrad", "bound": "certified", "positive": 2},
    {"algo": "orth", "memory": 3, "lbfgs_pairs": 2, "dtype": "float32"},
    {"algo": "orth", "inner": "newton", "memory": 0, "positive": 1},
    {"algo": "newton", "intercept": True, "dtype": "float32"},
    {"algo": "newton", "positive": 1, "bias": True},
    {"algo": "sgd", "momentum": 0.9, "average": "weighted", "seed": 5},
    {"algo": "accel", "c": 16.0, "bound": "certified", "metric": "half"},
    {"algo": "dual-avg", "average": "schedule-free", "beta": 0.5},
    {"algo": "sgd", "average": "schedule-free", "seed": 5},
    {"algo": "adam", "average": "schedule-free", "dtype": "float32"},
    {"algo": "adam", "average": "poly8", "schedule": "constant"},
    {"algo": "adagrad", "average": "anytime", "dtype": "float32"},
    {"algo": "gd", "average": "anytime"},
    {"algo": "adam", "average": "uniform", "variant": "preprint", "dtype": "float32"},
    {"algo": "adagrad", "variant": "pip", "batch_size": 7},
    {"algo": "sgd-plain", "lr": 0.5, "momentum": 0.9},
]


def assert_equal(one: FitResult, other: FitResult) -> None:
    """Bit for bit: what is compared are floats, not tolerances."""
    assert one.d == other.d
    np.testing.assert_array_equal(one.w, other.w)
    if other.theorem2_w is not None:
        np.testing.assert_array_equal(one.theorem2_w, other.theorem2_w)
    assert [timeless(row) for row in one.trace] == [timeless(row) for row in other.trace]
    assert timeless(one.end) == timeless(other.end)


class Stops:
    """Makes an algorithm's steps and interrupts a run after the one with a given number."""

    def __init__(self, name: str, variant: str, patch: pytest.MonkeyPatch) -> None:
        module: Any = algorithms.find(name, variant)
        self.step, self.made, self.at = module.step, 0, -1
        self.interrupts = Interrupts()
        patch.setattr(module, "step", self)

    def __call__(self, *args: Any) -> None:
        self.step(*args)
        self.made += 1
        if self.made == self.at:
            self.interrupts.caught = 2

    def run(self, data: tuple[Any, Any], at: int, **options: Any) -> FitResult:
        self.at, self.interrupts = at, Interrupts()
        self.interrupts.caught = 2 if at == self.made else None
        with durable.opened(Options(**options), options) as (chosen, checkpoint):
            monitor = Monitor(interrupts=self.interrupts, checkpoint=checkpoint)
            return fit_source(Samples(*data), chosen, monitor)


def in_pieces(given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run with the options `given` in pieces, and compare with the run in one.

    Pieces end before the first step, between rows, at rows, and within epochs (of 53 steps).
    """
    path, data = str(tmp_path / "run"), vehicle()
    variant = given.get("variant", "paper")
    minibatch = algorithms.find(given["algo"], variant).INFO.minibatch
    common = {**given, **({"epochs": 3} if minibatch else {"iterations": 110})}
    common |= {"l2": "1/n", "reference": 0.5}
    picked = {**common, "algo": "newton"} if given["algo"] == "auto" else common
    whole = fit(*data, **picked)
    stops = Stops(picked["algo"], variant, monkeypatch)
    made = stops.run(data, 0, checkpoint=path, checkpoint_every=0, **common)
    assert made.signal == 2
    for k in (1, 7, 53, 54, 100):
        if k >= whole.end["k"]:
            break
        made = stops.run(data, k, resume=path, checkpoint_every=float(k != 7))
        assert made.status == "interrupted"
        assert made.end["k"] == file.read(path).k == k
    for _ in range(2):  # what is finished already is told again
        made = fit(*data, resume=path)
        assert_equal(made, whole)
        assert stops.made == whole.end["k"]


@pytest.mark.parametrize("given", EXTRA, ids=str)
def test_a_run_in_pieces_is_the_run_in_one(
    given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the defaults of each algorithm, which are in the table."""
    in_pieces(given, tmp_path, monkeypatch)


def test_a_finished_run_goes_on_when_its_budget_grows(tmp_path: Path) -> None:
    """Also where equal rows are merged, which only the longer run would have begun with."""
    X, y = vehicle()
    data = np.vstack([X.toarray(), X.toarray()]), np.concatenate([y, y])
    path = str(tmp_path / "run")
    whole = fit(*data, iterations=150)
    fit(*data, iterations=40, checkpoint=path)
    assert_equal(fit(*data, iterations=150, resume=path), whole)
    longer = fit(*data, iterations=300, resume=path)
    assert [timeless(r) for r in longer.trace[:8]] == [timeless(r) for r in whole.trace[:8]]
    assert longer.end["k"] == 300
    merged = fit(*data, iterations=300, checkpoint=path, restart=True)
    assert_equal(fit(*data, iterations=300), merged)
    assert [r["f_last"] for r in merged.trace] != [r["f_last"] for r in longer.trace]
    fit(*data, iterations=230, checkpoint=path, restart=True)
    assert_equal(fit(*data, iterations=300, resume=path), merged)


@pytest.mark.usefixtures("ticking")
def test_time_and_tolerance_are_of_the_whole_run(tmp_path: Path) -> None:
    data, path = vehicle(), str(tmp_path / "run")
    spent = fit(*data, algo="adam", epochs=10**6, time_limit=0.05, checkpoint=path)
    assert spent.status == "time"
    again = fit(*data, resume=path)
    assert again.status == "time"
    assert again.end["k"] == spent.end["k"]
    assert again.end["seconds"]["solve"] >= 0.05
    more = fit(*data, resume=path, time_limit=0.1)
    assert more.end["k"] > spent.end["k"]
    fit(*data, l2="1/n", iterations=5, checkpoint=path, restart=True)
    reached = fit(*data, resume=path, tol=1e-3, iterations=10_000)
    assert_equal(reached, fit(*data, l2="1/n", tol=1e-3, iterations=10_000))
    assert fit(*data, resume=path).status == "tolerance"


def test_the_reference_is_that_of_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, path = vehicle(), str(tmp_path / "run")
    begun = fit(*data, l2="1/n", iterations=3, metric="half", checkpoint=path)
    gone = stages.reference.none("gone")  # whatever is found now, the records keep to the old one
    monkeypatch.setattr(stages.reference, "find", lambda *_, **__: gone)
    assert fit(*data, resume=path).reference == begun.reference


def test_threads_are_those_of_the_beginning_and_change_no_digit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directions, "SHARED_FROM", 1000)
    data, path = vehicle(), str(tmp_path / "run")
    common: dict[str, Any] = {"algo": "orth", "reference": "none", "l2": 0.1}
    whole = fit(*data, iterations=30, threads=1, **common)
    begun = fit(*data, iterations=9, threads=3, checkpoint=path, **common)
    assert fit(*data, resume=path).start["options"]["threads"] == 3
    assert begun.end["k"] == 9
    # The products of these dense data are one block each; the searches are shared by the threads.
    assert_equal(fit(*data, iterations=30, resume=path), whole)
    assert_equal(fit(*data, iterations=30, resume=path, threads=2), whole)


def test_a_failure_leaves_the_last_good_state(tmp_path: Path) -> None:
    X, y = vehicle()
    path = str(tmp_path / "run")
    with pytest.raises(NumericalError):
        fit(X, y, d0=1e300, reference="none", checkpoint=path, checkpoint_every=0)
    assert file.read(path).k == 0
    with pytest.raises(NumericalError, match="iteration 1"):
        fit(X, y, resume=path)


def test_a_failure_within_an_epoch_shows_the_last_finite_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With rows at epochs 0, 1, 2, 5, one is due for epoch 3 when epoch 4 fails."""
    data, path = vehicle(), str(tmp_path / "run")
    stops = Stops("adam", "paper", monkeypatch)
    common = {"algo": "adam", "reference": "none", "checkpoint": path, "epochs": 9}
    stops.run(data, 170, **common)

    def fails(*args: Any) -> None:
        raise NumericalError("boom")

    monkeypatch.setattr(algorithms.find("adam"), "step", fails)
    with pytest.raises(NumericalError, match="step 171: boom") as caught:
        fit(*data, resume=path)
    assert [row["epoch"] for row in caught.value.result.trace] == [0, 1, 2, 3]


@pytest.fixture
def kept(tmp_path: Path) -> str:
    path = str(tmp_path / "run")
    fit(*vehicle(), l2=0.1, iterations=3, checkpoint=path, reference="none")
    return path


OTHERS: list[tuple[dict[str, Any], str]] = [
    ({"algo": "gd"}, "--algo dual-avg, not gd"),
    ({"l2": 0.2}, "--l2 0.1, not 0.2"),
    ({"bias": True}, "--bias False, not True"),
    ({"bound": "II"}, "--bound I, not II"),
    ({"dtype": "float32"}, "--dtype float64, not float32"),
    ({"reference": "auto"}, "--reference none, not auto"),
    ({"positive": 2}, "--positive its default, not 2"),
    ({"d0": 1e-3}, "--d0 auto, not 0.001"),
    ({"lr": 1.0}, "--lr its default, not 1.0"),
]


@pytest.mark.parametrize(("other", "words"), OTHERS)
def test_another_objective_or_algorithm_is_refused(
    other: dict[str, Any], words: str, kept: str
) -> None:
    before = Path(kept).read_bytes()
    with pytest.raises(InputOutputError, match=words):
        fit(*vehicle(), resume=kept, **other)
    assert Path(kept).read_bytes() == before


def test_what_is_the_same_may_be_given_again(kept: str) -> None:
    same: dict[str, Any] = {"algo": "dual-avg", "l2": 0.1, "bound": "I", "metric": "identity"}
    assert fit(*vehicle(), resume=kept, iterations=4, **same).end["k"] == 4


def test_options_may_be_lists_and_numbers_of_numpy(tmp_path: Path) -> None:
    path = tmp_path / "run"
    common: dict[str, Any] = {"algo": "adam", "seed": np.int64(3), "betas": [0.9, np.float64(0.99)]}
    fit(*vehicle(), epochs=np.int64(1), checkpoint=path, reference="none", **common)
    whole = fit(*vehicle(), epochs=2, reference="none", **common)
    assert_equal(fit(*vehicle(), epochs=2, resume=path, **common), whole)


def test_other_data_are_refused(kept: str) -> None:
    X, y = vehicle()
    for other in ((X * 2.0, y), (X[:-1], y[:-1]), (X, np.roll(y, 1)), (X[:, :-1], y), (X, y + 1)):
        with pytest.raises(InputOutputError, match="not those of the checkpoint's run"):
            fit(*other, resume=kept)
    with durable.opened(Options(resume=kept), ["resume"]) as (options, writer):
        writer.saved.head["data"]["sha256"] = "a" * 64  # type: ignore[union-attr]
        samples = Samples(X, y, source=Source(sha256="b" * 64))
        with pytest.raises(InputOutputError, match=r"data changed since checkpoint \(sha256 aaaa"):
            fit_source(samples, options, Monitor(checkpoint=writer))


def test_a_state_that_does_not_fit_is_refused(kept: str) -> None:
    saved = file.read(kept)
    saved.arrays["state.x"] = np.zeros(7)
    file.write(kept, saved)
    with pytest.raises(InputOutputError, match=r"does not fit .*state\.x is .*--restart"):
        fit(*vehicle(), resume=kept)
    del saved.tree["dict"]["best"]
    file.write(kept, saved)
    with pytest.raises(InputOutputError, match="another loop"):
        fit(*vehicle(), resume=kept)


def test_the_run_can_go_on_in_another_file(kept: str, tmp_path: Path) -> None:
    other, before = tmp_path / "other", Path(kept).read_bytes()
    result = fit(*vehicle(), resume=kept, iterations=9, checkpoint=other)
    assert Path(kept).read_bytes() == before
    assert file.read(str(other)).k == 9
    assert_equal(result, fit(*vehicle(), l2=0.1, iterations=9, reference="none"))
    with pytest.raises(InputOutputError, match="holds a run at k = 9"):
        fit(*vehicle(), resume=kept, checkpoint=other)
    assert fit(*vehicle(), resume=kept, checkpoint=kept, iterations=5).end["k"] == 5


MISUSES: list[tuple[dict[str, Any], str]] = [
    ({"restart": True}, "--restart"),
    ({"checkpoint": "x", "checkpoint_every": -1.0}, "--checkpoint-every"),
    ({"checkpoint": "x", "checkpoint_every": float("nan")}, "--checkpoint-every"),
    ({"checkpoint_every": 1.0}, "--checkpoint-every has nothing to keep"),
    ({"checkpoint": "x", "algo": "lbfgs"}, "--algo orth can"),
    ({"resume": "nothing/there"}, "no such checkpoint"),
]


@pytest.mark.parametrize(("options", "words"), MISUSES)
def test_misuse(
    options: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=words):
        fit(*vehicle(), **options)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_between_two_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the beginning and at the end, and the clock alone decides in between."""
    written: list[int] = []
    monkeypatch.setattr(file, "write", lambda path, made: written.append(made.k))
    common: dict[str, Any] = {"iterations": 20, "checkpoint": str(tmp_path / "run")}
    fit(*vehicle(), reference="none", checkpoint_every=1e9, **common)
    assert written == [0, 20]
    written.clear()
    fit(*vehicle(), reference="none", checkpoint_every=0, **common)
    assert written == list(range(21))


def test_no_gradient_is_wasted_by_keeping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, real = 0, Problem.value_and_gradient

    def counted(self: Problem, w: Any) -> Any:
        nonlocal calls
        calls += 1
        return real(self, w)

    monkeypatch.setattr(Problem, "value_and_gradient", counted)
    common: dict[str, Any] = {"iterations": 20, "reference": "none"}
    fit(*vehicle(), **common)
    alone, calls = calls, 0
    fit(*vehicle(), checkpoint=str(tmp_path / "run"), checkpoint_every=0, **common)
    assert calls == alone


@pytest.mark.parametrize("kind", [ValueError, CertificateError])
def test_a_run_that_turns_out_to_be_forged_leaves_its_file(
    kind: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its numbers may carry it through steps and checkpoints before one of them gives it away."""
    X, y = vehicle()
    path = tmp_path / "run"
    fit(X, y, checkpoint=path, iterations=3, reference="none")
    before, written = path.read_bytes(), []

    def finish(*_: Any) -> Any:
        written.append(path.read_bytes())
        raise kind("a number that no run has")

    monkeypatch.setattr(stages, "_finish", finish)
    with pytest.raises(InputOutputError, match="the run it holds cannot be resumed"):
        fit(X, y, resume=path, iterations=6)
    assert written[0] != before, "the run wrote a checkpoint"
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith(".")) == ["run"]
