"""The metric is a change of variables and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dadapt_cli import fit, reference
from dadapt_cli.algorithms import find, table
from dadapt_cli.objective import Problem, metric, smoothness
from dadapt_cli.preprocessing.labels import encode
from dadapt_cli.reference import newton

from ..conftest import DATA, load_problem, random_problem, read, vehicle

FULL_BATCH = [name for name, module in table().items() if not module.INFO.minibatch]
TAKING = [name for name in FULL_BATCH if "metric" not in find(name).INFO.refuses]


def hessian_norm(problem: Problem, w: np.ndarray) -> float:
    """Largest eigenvalue of the Hessian in the problem's metric, from differences of gradients."""
    size = w.size
    H = np.empty((size, size))
    step = 1e-6
    for j in range(size):
        e = np.zeros(size)
        e[j] = step
        e = e.reshape(w.shape)
        up = problem.value_and_gradient(problem.rescaled(w + e)).g
        down = problem.value_and_gradient(problem.rescaled(w - e)).g
        H[:, j] = problem.rescaled(up - down).ravel() / (2 * step)
    return float(np.linalg.eigvalsh((H + H.T) / 2)[-1])


@pytest.mark.parametrize("name", metric.METRICS)
@given(seed=st.integers(0, 10**6), n_classes=st.integers(2, 4), l2=st.sampled_from([0.0, 0.03]))
@settings(max_examples=15, deadline=None)
def test_L_bounds_the_hessian_in_the_metric(
    name: str, seed: int, n_classes: int, l2: float
) -> None:
    problem = random_problem(seed, n=40, p=4, n_classes=n_classes, l2=l2, density=0.6)
    twin = problem.in_metric(metric.scale(problem, name))
    assert hessian_norm(twin, problem.zeros()) <= smoothness.smoothness(twin).L * (1 + 1e-6)


@pytest.mark.parametrize("name", metric.METRICS)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_constants_in_a_metric_are_those_of_scaled_data(name: str, n_classes: int) -> None:
    """With l2 = 0 the metric is the same as data whose columns were multiplied beforehand."""
    problem = random_problem(5, n_classes=n_classes, density=0.7)
    c = metric.scale(problem, name)
    twin = problem.in_metric(c)
    X = problem.X.toarray() if not isinstance(problem.X, np.ndarray) else problem.X
    scaled = Problem(X if c is None else X * c.ravel(), problem.labels)
    for of in (
        lambda q: smoothness.smoothness(q).L,
        smoothness.smoothness_inf,
        smoothness.lipschitz,
        smoothness.lipschitz_coordinates,
    ):
        np.testing.assert_allclose(of(twin), of(scaled), rtol=1e-12)


def test_the_scale_is_the_formula() -> None:
    problem = load_problem(DATA / "vowel.scale", "1/n")
    X = problem.X.toarray() if not isinstance(problem.X, np.ndarray) else problem.X
    K = problem.n_classes
    h = (1 - 1 / K) / K * (X**2).mean(axis=0) + problem.l2
    np.testing.assert_allclose(metric.scale(problem, "half"), h[:, None] ** -0.25, rtol=1e-12)
    np.testing.assert_allclose(metric.scale(problem, "diagonal"), h[:, None] ** -0.5, rtol=1e-12)
    assert metric.scale(problem, "identity") is None


def test_columns_of_zeros_have_a_finite_scale() -> None:
    X = np.array([[1.0, 0.0], [2.0, 0.0], [-1.0, 0.0]])
    problem = Problem(X, encode(np.array([0, 1, 1])))
    for name in ("half", "diagonal"):
        scale = metric.scale(problem, name)
        assert scale is not None
        assert np.isfinite(scale).all()


def test_records_keep_to_the_users_variables() -> None:
    X, y = read("wdbc.scale.xz")
    problem = load_problem(DATA / "wdbc.scale.xz", "1/n")
    for algo in TAKING:
        result = fit(X, y, algo=algo, metric="half", l2="1/n", iterations=30, every=1)
        at = problem.value_and_gradient(result.w)
        iterate = result.end["iterate"]
        assert at.f == pytest.approx(result.end[f"f_{iterate}"], rel=1e-12)
        if iterate == "last":
            assert np.linalg.norm(at.g) == pytest.approx(result.end["grad_norm"], rel=1e-6)
        at_zero = problem.value_and_gradient(problem.zeros())
        assert np.linalg.norm(at_zero.g) == pytest.approx(result.trace[0]["grad_norm"], rel=1e-12)


@pytest.mark.parametrize("l2", ["1/n", 0.0])
def test_the_reference_knows_D_in_each_metric(l2: float | str) -> None:
    X, y = read("vowel.scale")
    problem = load_problem(DATA / "vowel.scale", l2)
    known = {}
    for name in metric.METRICS:  # the second and third from the cache
        result = fit(X, y, metric=name, l2=l2, iterations=1)
        known[name] = result.reference
        best = fit(X, y, algo="orth", memory=3, l2=l2, iterations=3000, reference="none").w
        c = metric.scale(problem, name)
        v = best if c is None else best / c
        # With l2 = 0 the minimiser is one of many: D is that of the one of least norm.
        assert result.reference["D"] == pytest.approx(np.linalg.norm(v), rel=1e-2)
        assert result.reference["D_inf"] == pytest.approx(np.abs(v).max(), rel=1e-2)
    assert len({reference["D"] for reference in known.values()}) == 3
    assert len({reference["f_star"] for reference in known.values()}) == 1
    assert known["half"]["D_error"] != known["identity"]["D_error"]


FAST = [a for a in FULL_BATCH if not find(a).INFO.averages and find(a).INFO.bounds]


@pytest.mark.parametrize("algo", FAST)
def test_tol_is_on_the_gradient_in_the_users_variables(algo: str) -> None:
    X, y = vehicle()
    n, more = X.shape[0], {"metric": "diagonal"} if algo in TAKING else {}
    result = fit(X, y, algo=algo, l2="1/n", tol=1e-4, reference="none", every=1, **more)
    assert result.status == "tolerance"
    gaps = [row["grad_norm"] ** 2 / (2 / n) for row in result.trace]
    assert gaps[-1] <= 1e-4
    assert min(gaps[:-1]) > 1e-4
    at = load_problem(DATA / "vehicle.scale", "1/n").value_and_gradient(result.w)
    assert np.linalg.norm(at.g) ** 2 / (2 / n) <= 1e-4 * (1 + 1e-6)


def test_the_reference_of_a_wide_problem_is_from_orth() -> None:
    """More weights than a Hessian is factored for: certified all the same, in every metric."""
    problem = random_problem(4, n=300, p=2000, density=0.02, l2=1e-3)
    known = reference.find(problem, reference.cache.content(problem), always=True)
    assert known.status == "attained"
    assert str(known.method).startswith("orth")
    assert known.gap is not None
    assert known.f_star is not None
    assert 0 <= known.gap <= 1e-12 * known.f_star
    w = problem.zeros()
    for _ in range(20):  # Newton's method with a factored Hessian, as the independent judge
        at = problem.value_and_gradient(w)
        w = w + newton.cholesky_step(problem, problem.scores(w), at.g, None)
    assert abs(problem.value_and_gradient(w).f - known.f_star) <= known.gap + 1e-15
    for name in metric.METRICS:
        c = metric.scale(problem, name)
        D, _, error = known.distances[name]
        assert D is not None
        assert error is not None
        assert abs(np.linalg.norm(w if c is None else w / c) - D) <= error
