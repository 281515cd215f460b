"""Averages and schedules: golden trajectories, Theorem A at every n, Theorem D's last iterate."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dadapt_cli.algorithms import find, gd
from dadapt_cli.algorithms._decay import decay, last_iterate_excess
from dadapt_cli.errors import UsageError

from ..conftest import DATA
from .beyond import LAD_SEEDS, Known, golden, least_absolute_deviations, regression, steps

pytestmark = pytest.mark.usefixtures("one_cache")

RTOL = 1e-11  # sums in another order: measured 1e-13; the issue asks for 1e-9

SLACK = 1 + 1e-12

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "anytime1_I": ("dual-avg", {"bound": "I", "beta": 1.0}),
    "anytime1_II": ("dual-avg", {"bound": "II", "beta": 1.0}),
    "anytime1_II_tight": ("dual-avg", {"bound": "II", "beta": 1.0}),
    "anytime1_II_G1": ("dual-avg", {"bound": "II", "beta": 1.0, "G": 1.0}),
    "schedfree1_II_beta0.9": ("dual-avg", {"bound": "II", "beta": 0.9}),
    "anytime2_g0": ("gd", {"settings": gd.Settings(1.0)}),
    "anytime3_II_G1": ("adagrad", {"bound": "II", "beta": 1.0, "G": np.ones(3)}),
}


@pytest.mark.parametrize("case", CASES)
def test_golden_trajectory(case: str, shared: Path) -> None:
    data, f_and_g = golden(shared)
    expected, (name, settings) = data[case], CASES[case]
    algorithm: Any = find(name)
    x0 = np.zeros(3)
    g0 = f_and_g(x0)[1]
    if name == "gd":
        settings = {**settings, "G": float(np.linalg.norm(g0))}
    state = algorithm.start(x0, g0, d0=0.01, **settings)
    d = [state.d]
    for _ in range(61):
        state.f, g = f_and_g(state.x)
        if not case.endswith("tight"):
            state.rounding.f_best = math.inf  # then there is no surplus
        z = state.z
        algorithm.step(state, g)
        d.append(state.d)
    np.testing.assert_allclose(d, expected["d"], rtol=RTOL)
    np.testing.assert_allclose(state.average, expected["y"], rtol=RTOL)
    np.testing.assert_allclose(z, expected["x_last"], rtol=RTOL)
    assert f_and_g(state.average)[0] == pytest.approx(expected["f"], rel=RTOL)
    assert state.s_norm == pytest.approx(expected["s1"], rel=RTOL)
    assert -state.slack == pytest.approx(expected["num"], rel=RTOL)
    assert state.W == pytest.approx(expected["W"], rel=RTOL)


def test_beta_0_is_the_paper(shared: Path) -> None:
    data = json.loads((shared / "golden.json").read_text())
    _, f_and_g = golden(shared)
    for case, name, bound, G in (
        ("alg1_I", "dual-avg", "I", None),
        ("alg1_II", "dual-avg", "II", None),
        ("alg3_II_G1", "adagrad", "II", np.ones(3)),
    ):
        algorithm: Any = find(name)
        state = algorithm.start(
            np.zeros(3), f_and_g(np.zeros(3))[1], d0=0.01, bound=bound, G=G, beta=0.0
        )
        list(steps(algorithm, f_and_g, state, 61))
        np.testing.assert_allclose(state.x, data[case]["x"], rtol=RTOL)
        np.testing.assert_allclose(state.average, data[case]["xhat"], rtol=RTOL)


def test_golden_schedule(shared: Path) -> None:
    """61 points with eta_k = 1 - k/61: x_60 is the last one evaluated."""
    data, f_and_g = golden(shared)
    expected = data["alg2_linear_g0"]
    g0 = f_and_g(np.zeros(3))[1]
    state = gd.start(
        np.zeros(3), g0, d0=0.01, G=float(np.linalg.norm(g0)),
        settings=gd.Settings(schedule="linear", steps=60),
    )  # fmt: skip
    d = [state.d]
    for k in range(61):
        state.f, state.g = f_and_g(state.x)
        if k == 60:
            np.testing.assert_allclose(state.x, expected["x_last"], rtol=RTOL)
            assert state.f == pytest.approx(expected["f"], rel=RTOL)
            D = float(np.linalg.norm(data["wstar"]))
            assert state.bound_last(D) == pytest.approx(expected["bound_last"], rel=RTOL)
        gd.step(state, state.g)
        d.append(state.d)
    np.testing.assert_allclose(d, expected["d"], rtol=RTOL)
    with pytest.raises(UsageError, match="ends at k = 60; begin another with more --iterations"):
        gd.step(state, state.g)


VARIANTS = [
    (name, bound, beta)
    for name, bound in (("dual-avg", "I"), ("dual-avg", "II"), ("gd", "I"), ("adagrad", "I"),
                        ("adagrad", "II"))
    for beta in (1.0, 0.9, 0.3)
]  # fmt: skip


def begin(known: Known, name: str, bound: str, beta: float, d0: float) -> tuple[Any, Any]:
    algorithm: Any = find(name)
    x0 = np.zeros(known.shape)
    g0 = known.f_and_g(x0)[1]
    more: dict[str, Any] = {"beta": beta}
    if name == "gd":
        more = {"settings": gd.Settings(beta), "G": float(np.linalg.norm(g0))}
    if name == "adagrad":
        more["G"] = known.norms if known.norms.size else np.abs(g0) + 1e-12
    return algorithm, algorithm.start(x0, g0, d0=d0, bound=bound, **more)


def check(known: Known, name: str, bound: str, beta: float, count: int) -> Any:
    """Theorem A after each step, for the average itself; returns the last state."""
    algorithm, state = begin(known, name, bound, beta, 1e-6)
    D = known.D_inf if name == "adagrad" else known.D
    d = state.d
    for f, g in steps(algorithm, known.f_and_g, state, count):
        assert d <= state.d <= D * SLACK
        d = state.d
        at = f if beta == 1 else known.f_and_g(state.average)[0]
        rounding = known.gap + 1e-14 * (abs(f) + D * float(np.abs(g).sum()))
        assert at - known.f_star <= state.bound(D) * (1 + 1e-9) + rounding
    return state


@pytest.mark.parametrize(("name", "bound", "beta"), VARIANTS)
@pytest.mark.parametrize("seed", range(0, 60, 12))
def test_theorem_a_on_least_absolute_deviations(
    seed: int, name: str, bound: str, beta: float
) -> None:
    known = least_absolute_deviations(seed)
    state = check(known, name, bound, beta, 400)
    assert state.d > 1e-5, "d must grow, or nothing was tested"


@pytest.mark.parametrize(("name", "bound", "beta"), VARIANTS)
@pytest.mark.parametrize("path", ["iris.scale", "wine.scale", "glass.scale", "wdbc.scale.xz"])
def test_theorem_a_on_real_data(path: str, name: str, bound: str, beta: float) -> None:
    known, _ = regression(DATA / path)
    check(known, name, bound, beta, 300)


@pytest.mark.parametrize("seed", range(0, 60, 6))
def test_theorem_b_for_the_last_evaluated_point(seed: int) -> None:
    """f(y_n) - f* <= 4 D (d_{n+1}/W_n) sqrt(G^2 + sum ||g_k||^2) with Theorem 2's step, each n."""
    known = least_absolute_deviations(seed)
    algorithm: Any = find("dual-avg")
    x0 = np.zeros(known.shape)
    g0 = known.f_and_g(x0)[1]
    G = max(float(np.linalg.norm(g0)), float(np.linalg.norm(known.norms)))
    state = algorithm.start(x0, g0, d0=1e-6, bound="II", G=G, beta=1.0)
    for f, _ in steps(algorithm, known.f_and_g, state, 500):
        assert f <= 4 * known.D * state.d / state.W * math.sqrt(state.S2) * (1 + 1e-12)


def test_the_average_is_better_than_the_papers_on_least_absolute_deviations() -> None:
    """Geometric mean of f over 60 problems: anytime .364, schedule-free .077 of the paper's."""
    ratios: dict[float, list[float]] = {1.0: [], 0.9: []}
    for seed in LAD_SEEDS:
        known = least_absolute_deviations(seed)
        values = {}
        for beta in (0.0, 1.0, 0.9):
            algorithm, state = begin(known, "dual-avg", "II", beta, 1e-6)
            list(steps(algorithm, known.f_and_g, state, 600))
            values[beta] = known.f_and_g(state.average)[0]
        for beta, ratio in ratios.items():
            ratio.append(math.log(values[beta] / values[0.0]))
    assert math.exp(float(np.mean(ratios[1.0]))) < 0.6
    assert math.exp(float(np.mean(ratios[0.9]))) < 0.3


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("seed", range(0, 60, 6))
def test_theorem_d_bounds_every_last_iterate(seed: int, schedule: str) -> None:
    known = least_absolute_deviations(seed)
    x0 = np.zeros(known.shape)
    g0 = known.f_and_g(x0)[1]
    G = float(np.linalg.norm(g0))
    state = gd.start(x0, g0, d0=1e-6, G=G, settings=gd.Settings(schedule=schedule, steps=300))
    for k in range(301):
        state.f, state.g = known.f_and_g(state.x)
        if not state.g.any():
            break
        if k:
            bound = state.bound_last(known.D)
            assert state.f <= bound * (1 + 1e-9) + 1e-14 * known.D * G
        gd.step(state, state.g)
        assert state.d <= known.D * SLACK


def test_the_excess_is_the_sum_of_the_proof() -> None:
    lam, squares = [0.5, 1.0, 0.25, 0.125], [4.0, 1.0, 9.0, 1.0]
    total = 0.0
    for k in range(3):
        E, E1 = sum(lam[k:]), sum(lam[k + 1 :])
        V = sum(step**2 * square for step, square in zip(lam[k:], squares[k:], strict=True))
        total += lam[k] * V / (2 * E * E1)
    assert last_iterate_excess(lam, squares) == pytest.approx(total, rel=1e-15)
    assert last_iterate_excess([1.0], [1.0]) == 0.0


def test_schedules_begin_at_1_and_end_above_0() -> None:
    for name in ("linear", "cosine"):
        values = [decay(name, k, 10) for k in range(10)]
        assert values[0] == 1.0
        assert values == sorted(values, reverse=True)
        assert values[-1] > 0
    assert decay("linear", 5, 10) == pytest.approx(0.5)
    assert decay("cosine", 5, 10) == pytest.approx(0.5)
