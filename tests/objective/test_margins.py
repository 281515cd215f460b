"""Margins and curvature, against the objective and dense Hessians."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from dadapt_cli.objective import Problem, curvature, margins, smoothness
from dadapt_cli.objective.margins import Margins
from dadapt_cli.preprocessing.labels import encode


def problem_of(n_classes: int, kind: str, seed: int = 0) -> Problem:
    rng = np.random.default_rng(seed)
    X: Any = rng.normal(size=(50, 6)) * (rng.random((50, 6)) < (0.2 if "sparse" in kind else 1.0))
    X = sp.csr_array(X) if "sparse" in kind else X
    weights = rng.random(50) + 0.5 if "weights" in kind else None
    y = np.arange(50) % n_classes
    return Problem(X, encode(y), l2=0.1, sample_weight=weights, intercept="intercept" in kind)


KINDS = pytest.mark.parametrize("kind", ["dense", "sparse", "dense weights", "sparse intercept"])
CLASSES = pytest.mark.parametrize("n_classes", [2, 3, 5])


def hessian(problem: Problem, w: np.ndarray) -> np.ndarray:
    """Of the mean loss by central differences of the gradient, unknowns in w's order."""
    h, columns = 1e-5, []
    for j in range(w.size):
        e = np.zeros(w.size)
        e[j] = h
        e = e.reshape(w.shape)
        up, down = (problem.value_and_gradient(w + t * e).g for t in (1, -1))
        columns.append((up - down).ravel() / (2 * h))
    H = np.array(columns)
    return H - np.diag(np.broadcast_to(problem.ridge, problem.shape).ravel())


@KINDS
@CLASSES
@pytest.mark.parametrize("size", [1.0, 2000.0])
@pytest.mark.parametrize("blocks", [1, 7])
def test_loss_and_gradient(
    n_classes: int, kind: str, size: float, blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At ordinary scores, and where the exponential overflows."""
    if blocks > 1:
        monkeypatch.setattr(margins, "SCORES", 8 * n_classes)
        monkeypatch.setattr(margins, "GRADIENTS", 0)
        monkeypatch.setattr(margins, "THREADS_FROM", 0)
        monkeypatch.setattr(margins, "BLOCK", 1)
    problem, rng = problem_of(n_classes, kind), np.random.default_rng(1)
    x, d = (size * rng.normal(size=problem.shape) for _ in range(2))
    m = Margins(problem)
    assert (len(m.parts) > 1) == (blocks > 1)
    m.at(x)
    m.along(d)
    with np.errstate(all="ignore"):
        loss = m.loss()
        expected = problem.value_and_gradient(x + d)
        # Margins are added, not computed from x + d: rounding of a few scores of `size`.
        assert loss + problem.l2_term(x + d) == pytest.approx(expected.f, rel=1e-12)
        g = m.gradient() + problem.ridge * (x + d)
        np.testing.assert_allclose(g, expected.g, rtol=1e-9, atol=1e-12 * size)
        m.accept()
        assert m.loss(moved=False) == pytest.approx(loss, rel=1e-14)
        assert m.at(x + d) is None
        assert m.loss(moved=False) == pytest.approx(loss, rel=1e-12)


@KINDS
@CLASSES
def test_curvature_along_a_direction(n_classes: int, kind: str) -> None:
    problem, rng = problem_of(n_classes, kind), np.random.default_rng(2)
    x, d = (rng.normal(size=problem.shape) for _ in range(2))
    m = Margins(problem)
    m.at(x)
    m.loss(moved=False)
    m.along(d)
    expected = float(d.ravel() @ hessian(problem, x) @ d.ravel())
    assert m.curvature() == pytest.approx(expected, rel=1e-7)


@KINDS
@CLASSES
def test_zero_weights_need_no_exponential(n_classes: int, kind: str) -> None:
    problem = problem_of(n_classes, kind)
    plain, known = Margins(problem), Margins(problem)
    assert known.equal() == pytest.approx(plain.loss(moved=False), rel=1e-14)
    np.testing.assert_allclose(known.R, plain.R, rtol=1e-14)
    np.testing.assert_array_equal(known.U, plain.U)


@KINDS
@CLASSES
@pytest.mark.parametrize("numbers", [40, 10**6])
def test_the_hessian_of_all_rows(
    n_classes: int, kind: str, numbers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curvature, "NUMBERS", numbers)
    monkeypatch.setattr(curvature, "LONG", 0 if numbers == 40 else 1e9)
    problem = problem_of(n_classes, kind)
    x = np.random.default_rng(3).normal(size=problem.shape)
    m = Margins(problem)
    m.at(x)
    m.loss(moved=False)
    weights = (
        np.full(50, 1 / 50)
        if problem.sample_weight is None
        else problem.sample_weight / problem.n_mean
    )
    rows, ones = slice(0, 50), np.ones(problem.p)
    q = m.probabilities(rows)
    if problem.softmax:
        np.testing.assert_allclose(q.sum(axis=1), 1.0, rtol=1e-14)
        H = curvature.softmax(problem, rows, q * np.sqrt(weights)[:, None], ones, np.float64)
        C, p = n_classes, problem.p
        H = H.reshape(C, p, C, p).transpose(1, 0, 3, 2).reshape(p * C, p * C)
    else:
        H = curvature.gram(problem, rows, weights * (q - q * q), ones, np.float64)
    np.testing.assert_allclose(H, hessian(problem, x), rtol=1e-6, atol=1e-9)


def test_rows_are_sampled_from_all_over() -> None:
    chosen = curvature.sampled(1000, 100, 0)
    assert isinstance(chosen, np.ndarray)
    assert np.array_equal(chosen // 10, np.arange(100))
    assert np.array_equal(chosen, curvature.sampled(1000, 100, 0))
    assert not np.array_equal(chosen, curvature.sampled(1000, 100, 1))
    assert curvature.sampled(10, 10, 0) == slice(0, 10)


@KINDS
def test_column_sums(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoothness, "CACHED", 4)
    problem = problem_of(3, kind)
    X = problem.X if isinstance(problem.X, np.ndarray) else problem.X.toarray()
    w = np.ones(50) if problem.sample_weight is None else problem.sample_weight
    np.testing.assert_allclose(smoothness.column_squares(problem), w @ X**2, rtol=1e-13)
    np.testing.assert_allclose(smoothness.column_entries(problem), w @ (X != 0), rtol=1e-13)
