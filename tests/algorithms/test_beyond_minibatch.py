"""Algorithms 4 and 5 between the last point and an average, schedules that end, averages."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from dadapt_cli import fit
from dadapt_cli.algorithms import find
from dadapt_cli.algorithms._decay import eta
from dadapt_cli.objective.minibatches import Batches
from dadapt_cli.paper.replicas import Samples, Sweep, sweep
from dadapt_cli.solver.minibatch import Average

from ..conftest import DATA, load_problem, read

RTOL = 1e-11  # of another order of the same operations, over 200 steps: measured 3e-14


def gradients(problem: Any, seed: int, count: int) -> Any:
    """The minibatches of a fit, one after the other."""
    made = Batches(problem, 16, seed)
    while True:
        for batch in made.epoch():
            yield lambda w, batch=batch: made.gradient(*batch, w)
            count -= 1
            if not count:
                return


def sgd_listing(problem: Any, beta: float, count: int) -> tuple[list[float], Any]:
    """Algorithm 4 at y: the study's listing, line by line."""
    z = x = y = np.zeros(problem.shape)
    s, num, W, d, size, ds = np.zeros(problem.shape), 0.0, 0.0, 1e-6, None, []
    for gradient in gradients(problem, 3, count):
        g = gradient(y)
        size = size or float(np.linalg.norm(g))
        lam = d / size
        num += lam * float(np.sum(g * s))
        s = s + lam * g
        d = max(d, 2 * num / float(np.linalg.norm(s)))
        z = -s
        W += d
        x = x + d / W * (z - x)
        y = x + (1 - beta) * (z - x)
        ds.append(d)
    return ds, x


def adam_listing(
    problem: Any, beta: float, count: int, b2: float = 0.999
) -> tuple[list[float], Any]:
    """Algorithm 5 at y, v corrected for its start."""
    z = x = y = np.zeros(problem.shape)
    s, v, A, r, W, d, ds = z, z, z + 1e-8, 0.0, 0.0, 1e-6, []
    q = math.sqrt(b2)
    for k, gradient in enumerate(gradients(problem, 3, count)):
        g = gradient(y)
        r = q * r + (1 - q) * d * float(np.sum(g * s / A))
        v = b2 * v + (1 - b2) * g * g
        A = np.sqrt(v / (1 - b2 ** (k + 1))) + 1e-8
        s = q * s + (1 - q) * d * g
        z = z - d * g / A
        d = max(d, r / ((1 - q) * float(np.abs(s).sum())))
        w = d**2 * (k + 1) ** 2
        W += w
        x = x + w / W * (z - x)
        y = x + (1 - beta) * (z - x)
        ds.append(d)
    return ds, x


@pytest.mark.parametrize("beta", [0.0, 0.9, 1.0])
@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_schedule_free_is_the_listing(name: str, beta: float) -> None:
    problem = load_problem(DATA / "vowel.scale", bias=True)
    expected_d, expected_x = {"sgd": sgd_listing, "adam": adam_listing}[name](problem, beta, 200)
    algorithm: Any = find(name)
    state, d = algorithm.start(problem.zeros(), d0=1e-6, beta=beta), []
    for gradient in gradients(problem, 3, 200):
        algorithm.step(state, gradient(state.x))
        d.append(state.d)
    np.testing.assert_allclose(d, expected_d, rtol=RTOL)
    scale = np.abs(expected_x).max()
    assert scale > 1e-3, "nothing moved: nothing was compared"
    np.testing.assert_allclose(state.point, expected_x, rtol=0, atol=RTOL * scale)
    assert state.point is state.average
    assert not np.array_equal(state.point, state.x) or beta == 1.0


def test_without_a_beta_the_paper_is_left_alone() -> None:
    for name in ("sgd", "adam"):
        algorithm: Any = find(name)
        state = algorithm.start(np.zeros(3), d0=1e-6)
        assert state.point is state.x
        assert state.average is None
    # beta = 0 takes gradients at z: for Algorithm 4 that is the paper's run
    problem = load_problem(DATA / "iris.scale")
    sgd: Any = find("sgd")
    states = [sgd.start(problem.zeros(), d0=1e-6, beta=beta) for beta in (None, 0.0)]
    for state in states:
        for gradient in gradients(problem, 0, 60):
            sgd.step(state, gradient(state.x))
    assert states[0].d == pytest.approx(states[1].d, rel=1e-12)
    np.testing.assert_allclose(states[0].x, states[1].z, rtol=1e-9, atol=1e-12)


def test_schedules_that_end() -> None:
    linear, cosine = ([eta(name, k, 8, 1) for k in range(8)] for name in ("linear", "cosine"))
    assert linear == [1 - k / 8 for k in range(8)]
    np.testing.assert_allclose(cosine, (1 + np.cos(np.pi * np.arange(8) / 8)) / 2, rtol=1e-15)
    assert eta("none", 5, 8, 99) == eta("constant", 5, 8, 99) == 1.0
    assert eta("paper", 5, 8, 60) == pytest.approx(0.1)
    X, y = read("iris.scale")
    common: dict[str, Any] = {"epochs": 5, "every": 1, "reference": "none"}
    rows = fit(X, y, algo="sgd-plain", lr=0.5, schedule="linear", **common).trace
    # the step that made row 5's point was the last of 5 * 10
    assert rows[-1]["step_size"] == pytest.approx(0.5 * (1 - 49 / 50), rel=1e-12)


def test_poly8_weighs_as_the_eighth_power() -> None:
    rng = np.random.default_rng(0)
    iterates = rng.normal(size=(40, 3))
    made = Average("poly8", np.zeros(3))
    state: Any = find("cocob").start(np.zeros(3))  # type: ignore[attr-defined]
    for x in iterates:
        state.x = x
        made.include(state, 1.0)
    weights = [math.prod(range(k + 1, k + 9)) for k in range(40)]
    np.testing.assert_allclose(made.x, np.average(iterates, axis=0, weights=weights), rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("sgd", {"average": "schedule-free"}),
        ("adam", {"average": "schedule-free", "beta": 0.8}),
        ("adam", {"average": "poly8", "schedule": "none"}),
        ("adam", {"average": "weighted", "schedule": "linear"}),
        ("sgd", {"schedule": "cosine"}),
        ("adam-plain", {"schedule": "linear", "lr": 0.1}),
    ],
)
def test_a_replica_is_what_fit_does(name: str, more: dict[str, Any]) -> None:
    """With its schedule and its average, at every epoch, in float64 to rounding."""
    problem = load_problem(DATA / "iris.scale", bias=True)
    X, y = read("iris.scale")
    single = fit(
        X, y, algo=name, seed=2, bias=True, every=1, epochs=12, reference="none", l2=0, **more
    )
    settings = {"lr": more["lr"]} if "lr" in more else {"d0": 1e-6}
    average, schedule = more.get("average", "none"), more.get("schedule", "constant")
    if average == "schedule-free":
        settings["beta"] = more.get("beta", 0.9)
    plan = Sweep((2, 5), settings=settings, epochs=12, schedule=schedule, average=average)
    curves = sweep(Samples.of(problem), find(name), plan)  # type: ignore[arg-type]
    key = "f_last" if average == "none" else "f_average"
    losses = [row[key] for row in single.trace[1:]]
    np.testing.assert_allclose(curves.log_loss[:, 0, 0], losses, rtol=1e-9)
    assert not np.allclose(curves.log_loss[:, 1, 0], losses, rtol=1e-6), "seeds must differ"


def test_the_average_is_what_is_judged_and_returned() -> None:
    X, y = read("vehicle.scale")
    problem = load_problem(DATA / "vehicle.scale", 0.0, bias=True)
    for name in ("sgd", "adam"):
        result = fit(X, y, algo=name, average="schedule-free", epochs=20, bias=True,
                     l2=0, reference="none", every=1)  # fmt: skip
        assert result.end["iterate"] in ("average", "best")
        assert all(row["f_average"] == row["f_last"] for row in result.trace)
        f = problem.value(problem.scores(result.w), result.w)
        assert f == pytest.approx(result.end["f_best"], rel=1e-12)
        assert result.start["options"]["schedule"] == "constant"
        # what schedule-free is for: lower than the last point of a constant step
        other = fit(X, y, algo=name, schedule="constant", epochs=20, bias=True, l2=0,
                    reference="none")  # fmt: skip
        assert result.end["f_last"] < other.end["f_last"]
