"""Every full-batch algorithm x every problem x every invariant that a theorem promises."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dadapt_cli import fit
from dadapt_cli.algorithms import find, names
from dadapt_cli.errors import NumericalError, UsageError
from dadapt_cli.libsvm import read_libsvm
from dadapt_cli.solver.stages import FitResult

from ..conftest import DATA

EVERY = sorted(p.name for p in DATA.iterdir() if ".scale" in p.name)

OPTIONS = [(name, bound) for name in ("dual-avg", "gd", "adagrad") for bound in ("I", "II")]
SLACK = 1 + 1e-9  # of d <= D: rounding of d and D, both good to about 1e-12
RATE = 1e-12  # of the bounds: absolute rounding of f - f*


@pytest.fixture(scope="module")
def one_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each problem's reference is computed once for all algorithms."""
    return tmp_path_factory.mktemp("references")


def fitted(path: str, name: str, bound: str, **more: object) -> FitResult:
    X, y = read_libsvm(DATA / path)
    return fit(X, y, **{"algo": name, "bound": bound, "iterations": 200, "every": 1, **more})


@pytest.mark.parametrize(("name", "bound"), OPTIONS)
@pytest.mark.parametrize("path", EVERY)
def test_theorems_hold_on_real_data(
    path: str, name: str, bound: str, one_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DADAPT_CACHE", str(one_cache))
    result = fitted(path, name, bound, l2="1/n")
    distance = find(name).INFO.distance
    D = result.reference[distance] + result.reference["D_error"]
    d = [row["d"] for row in result.trace]
    assert result.start["d0_certified"]
    assert 0 < d[0]
    assert d == sorted(d)
    assert d[-1] <= D * SLACK
    assert d[-1] > 1.5 * d[0], "d must grow, or the test above is empty"
    for row in result.trace[1:]:
        assert row["suboptimality_average"] <= row["bound"] + RATE
        assert row["suboptimality_best"] >= -RATE
        assert row["f_best"] <= row["f_last"]


@pytest.mark.parametrize(("name", "bound"), OPTIONS)
def test_trajectory_is_invariant_under_scaling(name: str, bound: str) -> None:
    X, y = read_libsvm(DATA / "vehicle.scale")
    c = 8.0  # a power of two: scaling itself is exact
    common = {"algo": name, "bound": bound, "iterations": 100, "every": 1, "reference": "none"}
    one = fit(X, y, d0=0.01, **common)
    other = fit(X * c, y, d0=0.01 / c, **common)
    # Theory: equal. Powers of two scale without rounding; 1e-12 is the tolerance.
    np.testing.assert_allclose(
        [c * row["d"] for row in other.trace], [row["d"] for row in one.trace], rtol=1e-12
    )
    np.testing.assert_allclose(other.w * c, one.w, rtol=1e-9, atol=1e-12)


@st.composite
def absolute_deviations(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """mean |x_i w - b_i| with a known zero at w*: nonsmooth, f* = 0."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    p = draw(st.integers(1, 20))
    X = rng.normal(size=(draw(st.integers(p, 60)), p)) * 10.0 ** draw(st.integers(-3, 3))
    return X, rng.normal(size=p) * 10.0 ** draw(st.integers(-2, 2))


@given(problem=absolute_deviations(), option=st.sampled_from(OPTIONS))
@settings(max_examples=60, deadline=None)
def test_theorems_hold_on_least_absolute_deviations(
    problem: tuple[np.ndarray, np.ndarray], option: tuple[str, str]
) -> None:
    X, w_star = problem
    name, bound = option
    algorithm = find(name)
    inf = algorithm.INFO.distance == "D_inf"
    D = float(np.linalg.norm(w_star, np.inf if inf else 2))

    def f_and_g(w: np.ndarray) -> tuple[float, np.ndarray]:
        residual = X @ (w - w_star)
        return float(np.abs(residual).mean()), X.T @ np.sign(residual) / len(X)

    x0 = np.zeros_like(w_star)
    _, g0 = f_and_g(x0)
    size = np.abs(X).mean(axis=0) if inf else float(np.linalg.norm(X, axis=1).mean())
    state = algorithm.start(
        x0, g0, d0=1e-3 * D, bound=bound, G=None if name == "dual-avg" else size
    )
    for _ in range(300):
        _, g = f_and_g(state.x)
        before = state.d
        algorithm.step(state, g)
        assert before <= state.d <= D * SLACK
        lemma5 = (D * state.s_norm + state.slack) / state.W
        assert f_and_g(state.average)[0] <= lemma5 * SLACK + 1e-12 * size_of(X, D)


def size_of(X: np.ndarray, D: float) -> float:
    """The scale of f, for an absolute tolerance."""
    return float(np.linalg.norm(X)) * D


@pytest.mark.parametrize(
    ("name", "bound", "choice", "expected"),
    [
        ("dual-avg", "I", "auto", 0.5003),
        ("dual-avg", "II", "auto", 0.6145),
        ("gd", "I", 1.0, 0.4726),
        ("adagrad", "I", 1.0, 0.4782),
    ],
)
def test_absolute_value_toy(name: str, bound: str, choice: str | float, expected: float) -> None:
    """f(x) = |x| from x_0 = 1 with d0 = 0.1: d after 100 steps, D = 1."""
    algorithm = find(name)
    x0, g0 = np.array([1.0]), np.array([1.0])
    G = {"dual-avg": None, "gd": 1.0, "adagrad": np.array([1.0])}[name]
    state = algorithm.start(x0, g0, d0=0.1, bound=bound, G=G)
    for _ in range(100):
        algorithm.step(state, np.sign(state.x))
    assert state.d == pytest.approx(expected, abs=5e-5)  # as printed, four digits


@pytest.mark.parametrize("name", ["dual-avg", "adagrad"])
def test_gradients_that_cancel_keep_d(name: str) -> None:
    """s = 0 after +g, -g: d is kept, x returns to x_0, and the next gradient moves it again."""
    algorithm = find(name)
    g = np.array([1.0, -2.0])
    G = {"dual-avg": None, "adagrad": np.full(2, 1e-12)}[name]
    state = algorithm.start(np.zeros(2), g, d0=0.5, bound="II", G=G)
    algorithm.step(state, g)
    algorithm.step(state, -g)
    assert state.d_hat is None
    assert state.d == 0.5
    assert np.array_equal(state.x, np.zeros(2))
    algorithm.step(state, g)
    assert np.all(state.x != 0)


@pytest.mark.parametrize("name", ["dual-avg", "gd", "adagrad"])
def test_a_gradient_that_is_no_number_is_an_error(name: str) -> None:
    algorithm = find(name)
    G = {"dual-avg": None, "gd": 1.0, "adagrad": np.ones(2)}[name]
    state = algorithm.start(np.zeros(2), np.ones(2), d0=0.5, bound="I", G=G)
    algorithm.step(state, np.ones(2))
    with pytest.raises(NumericalError, match="d_hat is nan"):
        algorithm.step(state, np.array([np.nan, 1.0]))


def test_theorem2_returns_the_average_at_the_least_ratio() -> None:
    result = fitted("vehicle.scale", "dual-avg", "II", gradient_bound="lipschitz", iterations=60)
    d = [row["d"] for row in result.trace]
    ratios = [d[k + 1] / sum(d[: k + 1]) for k in range(60)]
    t = int(np.argmin(ratios))
    assert result.end["theorem2_k"] == t
    shorter = fitted(
        "vehicle.scale", "dual-avg", "II", gradient_bound="lipschitz", iterations=t + 1
    )
    np.testing.assert_array_equal(result.theorem2_w, shorter.theorem2_w)
    plain = fitted("vehicle.scale", "dual-avg", "II", iterations=5)
    assert plain.end["theorem2_k"] is None
    assert plain.theorem2_w is None


@pytest.mark.parametrize("choice", ["auto", "initial", "lipschitz", 3.0])
@pytest.mark.parametrize("name", ["dual-avg", "gd", "adagrad"])
def test_any_gradient_bound_keeps_d_below_D(name: str, choice: str | float) -> None:
    result = fitted("glass.scale", name, "I", gradient_bound=choice, l2="1/n")
    D = result.reference[find(name).INFO.distance]
    assert result.trace[-1]["d"] <= D * SLACK
    assert result.trace[-1]["f_best"] < result.trace[0]["f_best"]


def test_columns_of_zeros_stay_zero() -> None:
    X, y = read_libsvm(DATA / "iris.scale")
    wider = X.copy()
    wider.resize((150, 6))
    for name in ("dual-avg", "gd", "adagrad"):
        w = fit(wider, y, algo=name, iterations=20, reference="none").w
        assert np.array_equal(w[4:], np.zeros((2, 3)))


def test_unknown_names_get_a_suggestion() -> None:
    assert set(names()) >= {"dual-avg", "gd", "adagrad"}
    with pytest.raises(UsageError, match=re.escape("did you mean 'dual-avg'?")):
        find("dual_avg")
    with pytest.raises(UsageError, match="there are dual-avg"):
        find("zzz")
