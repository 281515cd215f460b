"""orth: its theorem at every row, and the numerical traps that were met on the way."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dadapt_cli import FitResult, fit
from dadapt_cli.algorithms import find, orth
from dadapt_cli.algorithms._subspace import Subspace, pseudo_inverse
from dadapt_cli.objective import Problem, metric, smoothness
from dadapt_cli.objective.losses import Softmax, softmax_columns
from dadapt_cli.preprocessing.labels import encode

from ..conftest import DATA, SMALL, load_problem, random_problem, read

pytestmark = pytest.mark.usefixtures("one_cache")

OPTIONS: tuple[dict[str, object], ...] = (
    {},
    {"inner": "newton"},
    {"memory": 3},
    {"memory": 0},
    {"lbfgs_pairs": 5},
    {"metric": "identity"},
    {"metric": "diagonal", "lbfgs_pairs": 3, "memory": 2},
)


def fitted(path: str, rows: int | None = None, **options: object) -> FitResult:
    X, y = read(path)
    given = {"algo": "orth", "iterations": 100, "every": 1, "l2": "1/n", **options}
    return fit(X[:rows], y[:rows], **given)


def check(result: FitResult, problem: Problem, *, exact: bool) -> None:
    """The bound column, the rate, monotone f and d <= D, at every row."""
    name = result.start["metric"]
    L = smoothness.smoothness(problem.in_metric(metric.scale(problem, name))).L
    D = result.reference["D"] + result.reference["D_error"]
    f = [row["f_last"] for row in result.trace]
    rounding = 1e-14 * f[0]
    assert all(after <= before + rounding for before, after in itertools.pairwise(f))
    for row in result.trace[1:]:
        assert row["suboptimality_best"] <= row["bound"] + rounding
        assert row["d"] <= D * (1 + 1e-9)
        if exact:
            assert row["suboptimality_last"] <= 2 * L * D * D / (row["k"] + 1) ** 2 + rounding
    assert result.trace[0]["bound"] is None
    assert all(row["f_average"] is None for row in result.trace)
    assert result.end["iterate"] in ("last", "best")


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("path", SMALL)
def test_the_theorem_holds_on_real_data(path: str, options: dict[str, object]) -> None:
    result = fitted(path, **options)
    check(result, load_problem(DATA / path, "1/n"), exact=options.get("inner") != "newton")
    assert result.trace[-1]["suboptimality_last"] < 1e-2 * result.trace[0]["suboptimality_last"]


@pytest.mark.parametrize(
    ("path", "rows"),
    [("letter-uci.scale.xz", 1000), ("digits.scale.xz", None), ("dna.scale.xz", None),
     pytest.param("letter-uci.scale.xz", None, marks=pytest.mark.slow)],
)  # fmt: skip
def test_the_theorem_holds_on_the_larger_ones(path: str, rows: int | None) -> None:
    """f* from orth itself, certified by its gradient: Newton's method takes its time on letter."""
    X, y = read(path)
    X, y = X[:rows], y[:rows]
    problem = Problem(X, encode(y), l2=1 / X.shape[0])
    fine = fitted(path, rows, iterations=80, memory=3, reference="none", every=1000)
    result = fitted(path, rows, iterations=25, reference="none")
    f_star = min(row["f_last"] for row in fine.trace)
    gap = fine.end["grad_norm"] ** 2 / (2 * problem.l2)
    c = metric.scale(problem, "half")
    D = float(np.linalg.norm(fine.w / c))
    L = smoothness.smoothness(problem.in_metric(c)).L
    for row in result.trace:
        assert row["f_last"] - f_star <= 2 * L * D * D / (row["k"] + 1) ** 2 + gap
    assert result.d <= D * 1.001


@given(
    seed=st.integers(0, 10**6),
    n_classes=st.integers(2, 4),
    density=st.sampled_from([0.1, 0.5, 1.0]),
    options=st.sampled_from(OPTIONS),
)
@settings(max_examples=40, deadline=None)
def test_the_theorem_holds_on_random_problems(
    seed: int, n_classes: int, density: float, options: dict[str, object]
) -> None:
    problem = random_problem(seed, n_classes=n_classes, density=density, l2=0.01)
    y = np.asarray(problem.labels.classes)[problem.labels.index]
    result = fit(
        problem.X, y, **{"algo": "orth", "iterations": 40, "every": 1, "l2": 0.01, **options}
    )
    check(result, problem, exact=options.get("inner") != "newton")


@pytest.mark.parametrize(
    ("path", "counts"), [("vowel.scale", (6, 9, 18)), ("wine.scale", (4, 6, 10))]
)
def test_it_needs_as_few_gradients_as_its_study_found(
    path: str, counts: tuple[int, int, int]
) -> None:
    """FASTER.md's counts, with a tenth and one more for another rounding."""
    result = fitted(path)
    f0, f_star = result.trace[0]["f_last"], result.reference["f_star"]
    for level, count in zip((1e-2, 1e-3, 1e-6), counts, strict=True):
        reached = [r["k"] for r in result.trace if r["f_best"] - f_star <= level * (f0 - f_star)]
        assert reached[0] + 1 <= 1.1 * count + 1


def test_a_quadratic_ends_as_conjugate_gradients_do() -> None:
    """Tiny scores make the loss quadratic: with p directions to find, p steps and a few."""
    problem = random_problem(3, n=200, p=4)
    X = 1e-4 * (problem.X if isinstance(problem.X, np.ndarray) else problem.X.toarray())
    result = fit(X, problem.labels.index, algo="orth", l2=1e-9, every=1, reference="always")
    reached = [r["k"] for r in result.trace if r["suboptimality_last"] < 1e-9 * r["f_last"]]
    assert reached[0] <= 6


def steps(path: str, count: int, **more: Any) -> tuple[Problem, orth.Orth]:
    """Make `count` steps, or as many as there are before it stops by itself."""
    problem = load_problem(DATA / path, "1/n")
    problem = problem.in_metric(metric.scale(problem, "half"))
    now = problem.value_and_gradient(problem.zeros())
    state = find("orth").start(
        problem.zeros(),
        problem.rescaled(now.g),
        d0=1e-3,
        L=np.inf,
        problem=problem,
        settings=orth.Settings(**more),
    )
    assert isinstance(state, orth.Orth)
    for _ in range(count):
        state.f = now.f
        orth.step(state, problem.rescaled(now.g))
        now = state.evaluate(problem)
        if state.stalled:
            break
    return problem, state


@pytest.mark.parametrize("more", [{}, {"memory": 3}, {"lbfgs_pairs": 5}, {"inner": "newton"}])
@pytest.mark.parametrize("path", SMALL)
def test_margins_have_not_drifted_at_the_end(path: str, more: dict[str, object]) -> None:
    """Margins of a step taken as a difference blow its rounding up: ||g|| grew back to 1e-3."""
    problem, state = steps(path, 1000, **more)
    assert state.stalled
    w = problem.rescaled(state.x)
    drift = np.abs(state.subspace.unflat(state.subspace.Z) - problem.scores(w)).max()
    assert drift <= 1e-9
    at = problem.value_and_gradient(w)
    assert state.f_x == pytest.approx(at.f, rel=1e-13)
    assert np.linalg.norm(at.g) <= 1e-6


@pytest.mark.parametrize("path", SMALL)
def test_the_margins_of_a_step_are_those_of_its_coefficients(path: str) -> None:
    """To the rounding of the step itself, however short it is against the point."""
    problem, state = steps(path, 25)
    search = state.subspace
    exact = problem.scores(problem.rescaled(search.D[orth.STEPS].reshape(problem.shape)))
    margins = search.unflat(search.V[orth.STEPS])
    np.testing.assert_allclose(margins, exact, atol=1e-8 * np.abs(exact).max() + 1e-300)


def test_margins_are_computed_anew_every_fifty_steps() -> None:
    problem, state = steps("vehicle.scale", 10)
    noise = 1e-5 * np.ones_like(state.subspace.Z)
    noise[::2] *= -1
    state.subspace.Z += noise
    for k in range(11, 51):
        now = state.evaluate(problem)
        state.f = now.f
        orth.step(state, problem.rescaled(now.g))
        true = problem.scores(problem.rescaled(state.x))
        drift = np.abs(state.subspace.unflat(state.subspace.Z) - true).max()
        assert (drift > 1e-6) == (k < 50), k


def test_a_step_that_is_cancellation_is_no_direction() -> None:
    _, state = steps("wine.scale", 12)
    assert state.subspace.V[orth.STEPS].any()
    search = state.subspace
    a = np.zeros(len(search.D))
    a[orth.OFFSET] = 1.0
    orth._remember(state, a, 1e-9 * search.D[orth.OFFSET])
    assert not search.V[orth.STEPS].any()
    assert not search.D[orth.STEPS].any()


def test_it_stops_by_itself_where_rounding_hides_the_decrease() -> None:
    result = fitted("wdbc.scale.xz", iterations=2000)
    assert result.status == "precision"
    assert result.end["k"] < 500
    assert abs(result.end["suboptimality_best"]) <= 1e-14


def test_dependent_directions_are_left_out() -> None:
    H = np.array([[4.0, 4.0, 0.0], [4.0, 4.0, 0.0], [0.0, 0.0, 0.0]])
    g = np.array([2.0, 2.0, 0.0])
    p = -pseudo_inverse(H) @ g
    np.testing.assert_allclose(H @ p, -g, atol=1e-12)
    assert p[2] == 0.0


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_the_subspace_has_the_derivatives_of_f(n_classes: int) -> None:
    problem = random_problem(1, n_classes=n_classes)
    rng = np.random.default_rng(2)
    w = rng.normal(size=problem.shape)
    search = Subspace(problem, 3, problem.scores(w))
    search.D[:] = rng.normal(size=search.D.shape)
    for row in range(3):
        search.V[row] = search.flat(problem.scores(search.D[row].reshape(problem.shape)))
    a = rng.normal(size=3)
    loss, slope = search.evaluate(a)
    point = w + (a @ search.D).reshape(problem.shape)
    at = problem.value_and_gradient(point)
    assert loss == pytest.approx(at.f, rel=1e-13)
    np.testing.assert_allclose(slope, search.D @ at.g.ravel(), rtol=1e-10)
    H = search.hessian()
    for row in range(3):
        e = np.eye(3)[row] * 1e-5
        difference = (search.evaluate(a + e)[1] - search.evaluate(a - e)[1]) / 2e-5
        np.testing.assert_allclose(H[row], difference, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("spread", [1e-3, 1.0, 30.0, 300.0])
def test_softmax_by_columns_is_softmax(spread: float) -> None:
    """Also where the loss is tiny: to its own relative precision."""
    rng = np.random.default_rng(0)
    z = spread * rng.normal(size=(500, 5))
    y = np.where(np.arange(500) % 3 > 0, z.argmax(axis=1), rng.integers(5, size=500))
    for rows in (slice(0, 500), y == z.argmax(axis=1)):
        expected, found = np.empty_like(z[rows]), np.empty_like(z[rows].T)
        loss = Softmax(y[rows], 5, 1)(z[rows], expected)
        assert softmax_columns(z[rows].T, y[rows], found) == pytest.approx(loss, rel=1e-12)
        np.testing.assert_allclose(found.T, expected, rtol=1e-10, atol=1e-300)


def test_threads_change_nothing_but_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    from dadapt_cli.objective import directions

    one = fitted("vowel.scale", threads=1, iterations=10)
    monkeypatch.setattr(directions, "SHARED_FROM", 1)
    monkeypatch.setattr(directions, "CHUNK", 100)
    many = fitted("vowel.scale", threads=3, iterations=10)
    again = fitted("vowel.scale", threads=3, iterations=10)
    f = [row["f_last"] for row in one.trace]
    np.testing.assert_allclose([row["f_last"] for row in many.trace], f, rtol=1e-9)
    np.testing.assert_array_equal(many.w, again.w)


def test_float32_reaches_its_own_precision() -> None:
    result = fitted("vehicle.scale", dtype="float32", iterations=300)
    assert result.status in ("precision", "iterations")
    assert result.end["suboptimality_best"] <= 1e-5
    assert result.w.dtype == np.float32
