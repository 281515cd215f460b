"""A replica of a sweep is the single run with its seed and setting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dadapt_cli import fit
from dadapt_cli._typing import Array
from dadapt_cli.algorithms import find
from dadapt_cli.libsvm import read_libsvm
from dadapt_cli.objective import Problem
from dadapt_cli.objective.minibatches import Batches, schedule
from dadapt_cli.paper import replicas
from dadapt_cli.paper.replicas import Samples, Sweep, linear_start, sweep

from ..conftest import DATA, load_problem

SEEDS = (0, 5, 7)
TOLERANCE = 1e-12  # relative to the largest weight; the issue's
JUMPY = 1e-10  # the preprint's d jumps in its first steps, which magnifies their rounding


def single(
    problem: Problem, name: str, seed: int, x0: Array, epochs: int, **settings: Any
) -> tuple[Any, Array]:
    """The single run: the algorithm's file and the batches of ``fit``."""
    algorithm: Any = find(name)
    state = algorithm.start(x0, **settings)
    batches = Batches(problem, 16, seed)
    for _ in range(epochs):
        for X, y, c in batches.epoch():
            algorithm.step(state, batches.gradient(X, y, c, state.x))
    return state, problem.scores(state.x)


@pytest.mark.parametrize("weights_in_a_block", [1, 10**6])
@pytest.mark.parametrize("start", ["zero", "linear"])
@pytest.mark.parametrize(
    ("name", "axis", "values"),
    [
        ("adam", "d0", (1e-6, 1e-3)),
        ("adam-preprint", "d0", (1e-6, 1e-3)),
        ("sgd", "d0", (1e-6, 1e-3)),
        ("adagrad-pip", "d0", (1e-6, 1e-2)),
        ("adam-plain", "lr", (0.1, 1.0)),
        ("sgd-plain", "lr", (0.1, 1.0)),
        ("cocob", None, ()),
    ],
)
def test_replica_is_the_single_run(
    name: str,
    axis: str | None,
    values: tuple[float, ...],
    start: str,
    weights_in_a_block: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replicas, "BLOCK_WEIGHTS", weights_in_a_block)
    problem = load_problem(DATA / "vowel.scale", bias=True)
    curves = sweep(
        Samples.of(problem), find(name),
        Sweep(SEEDS, axis, values, epochs=4, schedule="constant", start=start, keep_weights=True),
    )  # fmt: skip
    assert curves.weights is not None
    for s, seed in enumerate(SEEDS):
        for i, value in enumerate(values or (None,)):
            x0 = problem.zeros()
            if start == "linear":
                x0 += linear_start(seed, *problem.shape)
            settings = {} if axis is None else {axis: value}
            state, scores = single(problem, name, seed, x0, 4, **settings)
            scale = np.abs(state.x).max()
            tolerance = JUMPY if name == "adam-preprint" else TOLERANCE
            assert np.abs(curves.weights[s, :, :, i] - state.x).max() <= tolerance * scale
            assert scale > 1e-5
            assert curves.accuracy[-1, s, i] == problem.accuracy(scores)
            assert curves.log_loss[-1, s, i] == pytest.approx(problem.mean_loss(scores), rel=1e-11)
            if state.d is None:
                assert np.isnan(curves.d[-1, s, i])
            else:
                assert curves.d[-1, s, i] == pytest.approx(state.d, rel=tolerance)


def test_replica_is_what_fit_does() -> None:
    """With its schedule, at every epoch."""
    problem = load_problem(DATA / "iris.scale", bias=True)
    curves = sweep(Samples.of(problem), find("adam"), Sweep((2,), "d0", (1e-6,)))
    X, y = read_libsvm(DATA / "iris.scale")
    trace = fit(X, y, algo="adam", l2=0, seed=2, bias=True, every=1, reference="none").trace
    np.testing.assert_allclose(curves.d[:, 0, 0], [row["d"] for row in trace[1:]], rtol=TOLERANCE)
    losses = [row["f_last"] for row in trace[1:]]
    np.testing.assert_allclose(curves.log_loss[:, 0, 0], losses, rtol=1e-9)


def test_schedule_reaches_the_replicas() -> None:
    problem = load_problem(DATA / "iris.scale", bias=True)
    samples = Samples.of(problem)
    paper, constant = (
        sweep(samples, find("adam"), Sweep((0,), settings={"d0": 1e-6}, epochs=70,
              schedule=name)).log_loss[:, 0, 0]
        for name in ("paper", "constant")
    )  # fmt: skip
    assert schedule("paper", 59) == 1.0
    np.testing.assert_array_equal(paper[:59], constant[:59])
    assert (paper[59:] != constant[59:]).all()


def test_ties_go_to_the_first_class() -> None:
    X = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    samples = Samples(X, np.array([0, 1, 2]), 3)
    block = replicas._Block(samples, (0,), 1, 16)
    accuracy, loss = block.judge(np.zeros((1, 2, 3, 1)))
    assert accuracy[0, 0] == pytest.approx(1 / 3)
    assert loss[0, 0] == pytest.approx(np.log(3), rel=1e-15)
    w = np.array([[0.0, 1.0, 1.0], [0.0, 1.0, 1.0]]).reshape(1, 2, 3, 1)
    assert block.judge(w)[0][0, 0] == pytest.approx(1 / 3)  # only the row of class 1


def test_linear_start_is_that_of_a_linear_layer() -> None:
    w = linear_start(3, 17, 1000)
    assert np.abs(w).max() <= 0.25
    assert np.abs(w).max() > 0.249
    assert abs(w.mean()) < 0.01
    np.testing.assert_array_equal(w, linear_start(3, 17, 1000))
    assert not np.array_equal(w, linear_start(4, 17, 1000))


def test_float32_samples_make_float32_weights() -> None:
    problem = load_problem(DATA / "iris.scale", bias=True, dtype=np.float32)
    curves = sweep(
        Samples.of(problem), find("adam"),
        Sweep((0, 1), "d0", (1e-16, 1e-6), epochs=20, keep_weights=True),
    )  # fmt: skip
    assert curves.weights is not None
    assert curves.weights.dtype == np.float32
    assert curves.d.dtype == np.float64
    assert (curves.d[-1] > 1e-3).all()


def test_progress_ends_at_one() -> None:
    problem = load_problem(DATA / "iris.scale", bias=True)
    shares: list[float] = []
    plan = Sweep((0, 1), epochs=3, schedule="constant")
    sweep(Samples.of(problem), find("cocob"), plan, shares.append)
    assert shares == pytest.approx([1 / 3, 2 / 3, 1])
