"""accel: golden trajectories, and every line of Theorem C at every step."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dadapt_cli.algorithms import accel, find
from dadapt_cli.checkpoint import state as snapshot
from dadapt_cli.errors import NumericalError
from dadapt_cli.objective import Problem
from dadapt_cli.objective.smoothness import certified_start, smoothness

from ..conftest import DATA, random_problem
from .beyond import (
    LAD_SEEDS,
    LONG,
    Known,
    golden,
    least_absolute_deviations,
    oracle,
    regression,
    steps,
)

pytestmark = pytest.mark.usefixtures("one_cache")

# Sums in another order: measured 2e-12 (N + S), the issue asks for 1e-9.
RTOL = 1e-10

SLACK = 1 + 1e-12  # of d <= D: measured 1.0000000000000 on the problems with one feature
ROUNDING = 1e-9  # relative, of the bound: a tight one is a difference of sums that are W times f

CASES: dict[str, dict[str, Any]] = {
    "accel_c4": {},
    "accel_c1": {"c": 1.0},
    "accel_c4_plain": {},
    "accel3_c4": {"variant": "coordinate"},
}


def begin(known: Known, d0: float, variant: str = "paper", **more: Any) -> tuple[Any, Any]:
    algorithm: Any = find("accel", variant)
    x0 = np.zeros(known.shape)
    return algorithm, algorithm.start(x0, known.f_and_g(x0)[1], d0=d0, **more)


@pytest.mark.parametrize("case", CASES)
def test_golden_trajectory(case: str, shared: Path) -> None:
    data, f_and_g = golden(shared)
    expected, settings = data[case], dict(CASES[case])
    algorithm: Any = find("accel", settings.pop("variant", "paper"))
    x0 = np.zeros(3)
    state = algorithm.start(x0, f_and_g(x0)[1], d0=0.01, **settings)
    d = [state.d]
    for _ in range(61):
        state.f, g = f_and_g(state.x)
        if case.endswith("plain"):
            state.rounding.f_best = math.inf  # then f(y) - f_b = 0: d-hat without the surplus
        algorithm.step(state, g)
        d.append(state.d)
    np.testing.assert_allclose(d, expected["d"], rtol=RTOL)
    np.testing.assert_allclose(state.average, expected["y"], rtol=RTOL)
    assert state.f_y == pytest.approx(expected["f"], rel=RTOL)
    assert state.s_norm == pytest.approx(expected["s1"], rel=RTOL)
    assert -state.slack == pytest.approx(expected["num"], rel=RTOL)
    assert state.W == pytest.approx(expected["W"], rel=RTOL)
    assert state.rejected == expected["rejected"]


def check(known: Known, d0: float, count: int, variant: str = "paper", **more: Any) -> Any:
    """Theorem C after each step; returns the last state."""
    algorithm, state = begin(known, d0, variant, **more)
    D = known.D if variant == "paper" else known.D_inf
    d, size = state.d, 0.0
    for f, g in steps(algorithm, known.f_and_g, state, count):
        size = size or float(np.linalg.norm(g))
        assert d <= state.d <= D * SLACK
        d = state.d
        gap, scale = state.f_y - known.f_star, abs(state.f_y) + D * state.g0_norm
        assert state.S + state.rounding.products >= 0
        assert gap <= state.bound(D) * (1 + ROUNDING) + known.gap + 1e-15 * scale
        assert state.rounding.f_best <= f
        if variant == "paper":
            Q = math.sqrt(state.Q2)
            assert state.S <= 1.92 * d * d * Q + state.rounding.products
            assert state.s_norm <= 2.96 * d * Q * SLACK
            assert gap <= 4.38 * D * d * Q / state.W + known.gap + 1e-15 * scale
            assert state.rejected <= 2 * math.log2(Q / size) + 1e-9
    return state


@pytest.mark.parametrize("variant", ["paper", "coordinate"])
@pytest.mark.parametrize("seed", LAD_SEEDS)
def test_theorem_c_on_least_absolute_deviations(seed: int, variant: str) -> None:
    known = least_absolute_deviations(seed)
    state = check(known, 1e-6, 1000, variant)
    if variant == "paper":
        assert state.d > 0.5 * known.D, "d must grow, or nothing was tested"
    far = check(known, 1e-2 * known.D_inf, 300, variant, c=1.0 + seed % 16)
    assert far.f_y < 0.2 * known.f_and_g(np.zeros(known.shape))[0]


SETS = sorted(p.name for p in DATA.iterdir() if ".scale" in p.name)


@pytest.mark.parametrize("variant", ["paper", "coordinate"])
@pytest.mark.parametrize("path", SETS)
def test_theorem_c_on_real_data(path: str, variant: str) -> None:
    rows = 1500 if path.startswith("letter") and not LONG else None
    known, problem = regression(DATA / path, rows=rows)
    count = 1000 if LONG else 300 if problem.nonzeros < 50_000 else 100
    state = check(known, 1e-6, count, variant)
    g0 = known.f_and_g(np.zeros(known.shape))[1]
    if variant == "paper":
        L = smoothness(problem).L
        assert state.Q2 <= (64 * state.c * L * known.D) ** 2
        check(known, certified_start(problem, g0, L=L), count)
        check(known, 1e-6, 200, bound="certified", L=L)
        k = count - state.rejected
        assert state.f_y - known.f_star <= 4200 * L * known.D**2 / (k - 20) ** 2 + 1e-15


OTHERS = ("german.numer_scale", "diabetes_scale", "heart_scale", "australian_scale", "a1a",
          "mushrooms.xz", "breast-cancer_scale", "phishing.xz")  # fmt: skip


@pytest.mark.slow  # the claim of the test above
@pytest.mark.parametrize("path", OTHERS)
def test_theorem_c_on_more_data(path: str, shared: Path) -> None:
    known, problem = regression(shared / "data" / path)
    count = 1000 if LONG or problem.nonzeros < 50_000 else 300
    for variant in ("paper", "coordinate"):
        check(known, 1e-6, count, variant)
    g0 = known.f_and_g(np.zeros(known.shape))[1]
    check(known, certified_start(problem, g0, L=smoothness(problem).L), count)


def reached(known: Known, share: float, count: int = 200) -> int:
    """Gradients from d0 = 1e-6 until f(y) - f* is at most that share of f(x_0) - f*."""
    algorithm, state = begin(known, 1e-6)
    first = known.f_and_g(np.zeros(known.shape))[0] - known.f_star
    for k, _ in enumerate(steps(algorithm, known.f_and_g, state, count)):
        if state.f_y - known.f_star <= share * first:
            return k + 1
    return count + 1


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("german.numer_scale", (42, 55)),
        ("diabetes_scale", (38, 55)),
        ("heart_scale", (21, 35)),
        ("australian_scale", (36, 53)),
        ("a1a", (65, 105)),
        ("mushrooms.xz", (72, 98)),
    ],
)
def test_gradients_needed_are_those_of_the_study(
    path: str, expected: tuple[int, int], shared: Path
) -> None:
    """Relative 1e-2 and 1e-3, from d0 = 1e-6; rounding and another f* may move them by a step."""
    known, _ = regression(shared / "data" / path)
    for share, count in zip((1e-2, 1e-3), expected, strict=True):
        assert abs(reached(known, share) - count) <= max(1, 0.05 * count)


@pytest.mark.parametrize("variant", ["paper", "coordinate"])
def test_trajectory_is_invariant_under_scaling(variant: str) -> None:
    problem = random_problem(3)
    a = 8.0  # a power of two: scaling itself is exact
    other = Problem(problem.X * a, problem.labels)
    ds = []
    for data, d0 in ((problem, 0.01), (other, 0.01 / a)):
        known = Known(oracle(data), data.shape, 0.0, 0.0, 0.0, np.zeros(0))
        algorithm, state = begin(known, d0, variant)
        ds.append([state.d for _ in steps(algorithm, known.f_and_g, state, 60)])
    np.testing.assert_allclose(np.array(ds[1]) * a, ds[0], rtol=1e-12)
    assert ds[0][-1] > 0.2, "d must grow, or nothing was compared"


def test_a_rejected_point_changes_nothing_but_the_step() -> None:
    """A steep wall behind x_0: the first guess is too long, f and the gradient say so."""
    known = Known(
        lambda x: (float(np.abs(x - 1).sum() + 50 * np.maximum(x - 1, 0).sum()),
                   np.where(x > 1, 51.0, -1.0)),
        (1,), 0.0, 1.0, 1.0, np.zeros(0),
    )  # fmt: skip
    algorithm, state = begin(known, 0.9)
    rejections = 0
    for _ in range(100):
        before = (state.W, state.w, state.d, state.rejected, state.Q2)
        state.f, g = known.f_and_g(state.x)
        algorithm.step(state, g)
        if state.rejected > before[3]:
            rejections += 1
            assert (state.W, state.w, state.d) == before[:3]
            assert state.Q2 == 2 * before[4]
            assert state.fraction == 0
            assert state.d_hat is None
    assert rejections == state.rejected > 0
    assert 2 * math.log2(math.sqrt(state.Q2)) >= rejections
    check(known, 0.9, 200)


def test_gradients_that_cancel_keep_d() -> None:
    algorithm: Any = find("accel")
    g = np.array([1.0, -2.0])
    state = algorithm.start(np.zeros(2), g, d0=0.5, c=1.0)
    state.f = 1.0
    algorithm.step(state, g)
    state.s, state.w = -g, 1.0  # as gradients that cancel would leave it
    algorithm.step(state, g)
    assert state.d_hat is None
    assert state.d == 0.5
    assert np.isfinite(state.x).all()


def test_a_number_that_is_none_is_an_error() -> None:
    for variant in ("paper", "coordinate"):
        algorithm: Any = find("accel", variant)
        state = algorithm.start(np.zeros(2), np.ones(2), d0=0.5)
        state.f = 1.0
        algorithm.step(state, np.ones(2))
        with pytest.raises(NumericalError, match="d_hat is nan"):
            algorithm.step(state, np.array([np.nan, 1.0]))


@pytest.mark.parametrize("variant", ["paper", "coordinate"])
def test_a_state_that_was_kept_goes_on_digit_by_digit(variant: str) -> None:
    known = least_absolute_deviations(7)
    algorithm, one = begin(known, 1e-6, variant)
    list(steps(algorithm, known.f_and_g, one, 40))
    arrays: dict[str, Any] = {}
    tree = snapshot.take(one, arrays)
    arrays = {name: a.copy() for name, a in arrays.items()}
    _, other = begin(known, 1e-6, variant)
    other = snapshot.restore(other, tree, arrays)
    for state in (one, other):
        list(steps(algorithm, known.f_and_g, state, 40))
    assert one.d == other.d
    np.testing.assert_array_equal(one.x, other.x)
    assert one.rejected == other.rejected


def test_it_stops_where_the_gradient_is_rounding() -> None:
    algorithm, state = begin(least_absolute_deviations(0), 1e-6, c=1.0)
    state.f = 1.0
    g = np.full(state.x.shape, 1.0)
    for size, stalled in ((1.0, False), (1e-14, False), (1e-17, True)):
        algorithm.step(state, size * g)
        while state.fraction == 0:  # rejected
            algorithm.step(state, size * g)
        assert state.stalled is stalled


def test_the_row_says_derived_here_and_not_new() -> None:
    info = accel.INFO
    assert "Theorem C" in info.theorem
    assert "derived here" in info.theorem
    assert "new" not in info.theorem.lower().split()
