"""The objective against finite differences, scikit-learn, and itself in other layouts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from dadapt_cli.errors import DataError
from dadapt_cli.objective import Problem
from dadapt_cli.objective.losses import Logistic, Softmax
from dadapt_cli.preprocessing.labels import encode

from ..conftest import DATA, load_problem, random_problem


@pytest.mark.parametrize("n_classes", [2, 3, 7])
@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_gradient_is_the_derivative(n_classes: int, l2: float) -> None:
    problem = random_problem(1, n_classes=n_classes, l2=l2)
    rng = np.random.default_rng(2)
    w, v = rng.normal(size=(2, *problem.shape))
    h = 1e-5  # central differences: error h^2 f'''/6 + eps/h, some 1e-10
    slope = (problem.value_and_gradient(w + h * v).f - problem.value_and_gradient(w - h * v).f) / (
        2 * h
    )
    assert slope == pytest.approx(np.vdot(problem.value_and_gradient(w).g, v), rel=1e-8)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_sparse_dense_and_threads_agree(n_classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    n, p = 4000, 200
    X = sp.random(n, p, density=0.2, format="csr", random_state=4)
    labels = encode(rng.integers(n_classes, size=n))
    shape = (p, n_classes) if n_classes > 2 else (p,)
    w = rng.normal(size=shape)
    monkeypatch.setattr("dadapt_cli.objective.blocks.THREADS_FROM", 10**9)
    sparse = Problem(X, labels, l2=0.1, threads=1)
    monkeypatch.setattr("dadapt_cli.objective.blocks.THREADS_FROM", 1000)
    monkeypatch.setattr("dadapt_cli.objective.blocks.BLOCK", 1000)
    tripled = sp.vstack([X] * 3, format="csr"), encode(np.tile(labels.index, 3))
    forked, alone = (Problem(*tripled, l2=0.1, threads=threads) for threads in (3, 1))
    monkeypatch.setattr("dadapt_cli.objective.blocks.DENSE_FROM", 0.1)
    dense = Problem(X, labels, l2=0.1)
    assert sp.issparse(sparse.X)
    assert isinstance(dense.X, np.ndarray)
    assert len(sparse.blocks) == 1
    assert len(forked.blocks) > 3
    one, three = sparse.value_and_gradient(w), forked.value_and_gradient(w)
    # Sums of some 10^4 numbers in another order: relative 1e-13.
    for other in (three, dense.value_and_gradient(w)):
        assert other.f == pytest.approx(one.f, rel=1e-13)
        np.testing.assert_allclose(other.g, one.g, rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(three.scores[:n], X @ w, rtol=1e-12)
    for again in (forked.value_and_gradient(w), alone.value_and_gradient(w)):
        assert again.f == three.f
        assert np.array_equal(again.g, three.g)


def test_layout_is_chosen_by_density() -> None:
    labels = encode(np.array([0, 1] * 50))
    thin = sp.random(100, 50, density=0.05, format="csr", random_state=0)
    assert sp.issparse(Problem(thin, labels).X)
    assert sp.issparse(Problem(thin.toarray(), labels).X)
    thick = sp.csr_array(np.ones((100, 3)))
    assert isinstance(Problem(thick, labels).X, np.ndarray)
    np.testing.assert_array_equal(Problem(thick, labels, bias=True).X[:, -1], 1.0)
    assert Problem(thin, labels, bias=True).X[:, [-1]].sum() == 100


@given(st.floats(-1e4, 1e4), st.sampled_from([-1.0, 1.0]))
def test_logistic_is_exact_at_any_margin(z: float, y: float) -> None:
    residual = np.empty(1)
    loss = Logistic(np.array([y]), 1)(np.array([z]), residual)
    m = y * z
    expected = math.log1p(math.exp(-m)) if m > -30 else -m + math.log1p(math.exp(m))
    assert loss == pytest.approx(expected, rel=4e-15, abs=0)
    derivative = -y * (math.exp(-m) / (1 + math.exp(-m)) if m > 0 else 1 / (1 + math.exp(m)))
    assert residual[0] == pytest.approx(derivative, rel=4e-15, abs=0)


@given(st.lists(st.floats(-1e4, 1e4), min_size=3, max_size=6), st.integers(0, 2))
@settings(max_examples=200)
def test_softmax_is_exact_at_any_margin(z: list[float], y: int) -> None:
    residual = np.empty((1, len(z)))
    scores = np.array([z])
    loss = Softmax(np.array([y]), len(z), 1)(scores, residual)
    top = max(z)
    others = [math.exp(v - top) for i, v in enumerate(z) if i != z.index(top)]
    expected = math.log1p(math.fsum(others)) + (top - z[y])
    assert loss == pytest.approx(expected, rel=1e-14, abs=0)
    # Rounding must not leak from one class to another: rows sum to zero, the small keep digits.
    assert abs(residual.sum()) <= 1e-15 * len(z)
    own = -math.fsum(math.exp(v - top) for i, v in enumerate(z) if i != y) / (1 + math.fsum(others))
    assert residual[0, y] == pytest.approx(own, rel=1e-13, abs=0)


def test_float32_sums_in_float64() -> None:
    problem = load_problem(DATA / "vehicle.scale", "1/n")
    single = load_problem(DATA / "vehicle.scale", "1/n", dtype=np.float32)
    w = np.random.default_rng(0).normal(size=problem.shape)
    exact, rough = problem.value_and_gradient(w), single.value_and_gradient(w.astype(np.float32))
    assert rough.g.dtype == np.float32
    assert rough.f == pytest.approx(exact.f, rel=1e-6)  # float32 scores have 7 digits
    np.testing.assert_allclose(rough.g, exact.g, rtol=1e-4, atol=1e-6)


def test_average_scores_are_the_scores_of_the_average() -> None:
    problem = random_problem(5, n_classes=3, l2=0.1)
    a, b = np.random.default_rng(6).normal(size=(2, *problem.shape))
    scores = 0.25 * problem.scores(a) + 0.75 * problem.scores(b)
    w = 0.25 * a + 0.75 * b
    assert problem.value(scores, w) == pytest.approx(problem.value_and_gradient(w).f, rel=1e-14)


def test_restricted_terms_are_left_out() -> None:
    problem = random_problem(7, n_classes=3)
    w = np.random.default_rng(8).normal(size=problem.shape)
    kept = np.random.default_rng(9).random((problem.n, 3)) < 0.5
    kept[np.arange(problem.n), problem.labels.index] = True
    z = problem.X @ w
    m = z[np.arange(problem.n), problem.labels.index][:, None] - z
    terms = np.where(kept, np.exp(-m), 0.0)
    terms[np.arange(problem.n), problem.labels.index] = 0.0
    expected = np.log1p(terms.sum(axis=1)).mean()
    assert problem.restrict(kept).value_and_gradient(w).f == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (np.array([[1.0], [np.nan]]), "not finite"),
        (np.array([[1.0], [1e200]]), "square overflows"),
        (np.ones((3, 1)), "one label a row"),
        (sp.csr_array(([1.0, 1.0], ([0, 1], [0, 2**31 - 2])), shape=(2, 2**31 - 1)), "GiB"),
    ],
)
def test_unusable_data_is_refused(X: object, words: str) -> None:
    with pytest.raises(DataError, match=words):
        Problem(X, encode(np.array([0, 1])))
