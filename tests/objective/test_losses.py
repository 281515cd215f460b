"""The links against plain ones, which take out the maximum and one logarithm a sample."""

from __future__ import annotations

import numpy as np
import pytest

from dadapt_cli.objective import losses
from dadapt_cli.objective.losses import Logistic, Softmax, softmax_columns

LENGTHS = [1, 9, 4103, 60001]
"""One sample, a few, products of eight with samples left over, and several chunks."""


def plain(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Losses and derivatives for scores (n, C) and class numbers, without cancellation."""
    rows = np.arange(len(y))
    top = z.argmax(axis=1)
    e = np.exp(z - z[rows, top][:, None])
    others = e.copy()
    others[rows, top] = 0.0
    o = others.sum(axis=1)
    residual = e / (1.0 + o)[:, None]
    wrong = others.copy()
    wrong[rows, top] = 1.0
    wrong[rows, y] = 0.0
    residual[rows, y] = -wrong.sum(axis=1) / (1.0 + o)
    return np.log1p(o) + (z[rows, top] - z[rows, y]), residual


def scores_of(n: int, C: int, size: float, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and classes; `shift` is added to the own class, so that losses are small."""
    rng = np.random.default_rng(n)
    z, y = size * rng.normal(size=(n, C)), rng.integers(C, size=n)
    z[np.arange(n), y] += shift
    return z, y


SCORES = pytest.mark.parametrize(
    ("size", "shift"), [(1.0, 0.0), (1.0, 9.0), (1.0, 40.0), (30.0, 0.0), (900.0, 0.0)]
)


@SCORES
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("C", [3, 26])
def test_softmax_is_the_plain_one(
    n: int, C: int, size: float, shift: float, weighted: bool
) -> None:
    z, y = scores_of(n, C, size, shift)
    c = np.random.default_rng(1).random(n) + 0.5 if weighted else np.ones(n)
    each, expected = plain(z, y)
    found = np.empty_like(z)
    loss = Softmax(y, C, n, c if weighted else None)(z, found)
    # Relative, however small the loss: a few units for each term, and of exp(u) |u| units.
    assert loss == pytest.approx(float(each @ c), rel=1e-13, abs=0)
    np.testing.assert_allclose(found, expected * (c / n)[:, None], rtol=3e-12, atol=1e-300)
    columns = np.empty((C, n))
    assert softmax_columns(
        np.ascontiguousarray(z.T), y, columns, c if weighted else None
    ) == pytest.approx(loss, rel=1e-13, abs=0)
    np.testing.assert_allclose(columns.T / n, found, rtol=3e-12, atol=1e-300)


@SCORES
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n", LENGTHS)
def test_logistic_is_the_softmax_of_two(n: int, size: float, shift: float, weighted: bool) -> None:
    z, y = scores_of(n, 2, size, shift)
    c = np.random.default_rng(1).random(n) + 0.5 if weighted else np.ones(n)
    each, expected = plain(z, y)
    found, sign = np.empty(n), np.where(y == 1, 1.0, -1.0)
    loss = Logistic(sign, n, c if weighted else None)(z[:, 1] - z[:, 0], found)
    assert loss == pytest.approx(float(each @ c), rel=1e-13, abs=0)
    np.testing.assert_allclose(found, expected[:, 1] * (c / n), rtol=3e-12, atol=1e-300)


@pytest.mark.parametrize("C", [2, 5])
@pytest.mark.parametrize("size", [1.0, 30.0, 1e4])
def test_float32_is_float64_to_its_digits(C: int, size: float) -> None:
    z, y = scores_of(60001, C, size, 0.0)
    z = z.astype(np.float32)
    each, expected = plain(z.astype(np.float64), y)
    found = np.empty(z.shape if C > 2 else len(z), np.float32)
    if C > 2:
        loss = Softmax(y, C, 1)(z, found)
    else:
        sign = np.where(y == 1, 1.0, -1.0).astype(np.float32)
        loss = Logistic(sign, 1)(z[:, 1] - z[:, 0], found)
        expected = expected[:, 1]
    # A margin is rounded to 6e-8 of itself; the derivatives are at most 1/2 and 1 there.
    assert loss == pytest.approx(float(each.sum()), rel=1e-6)
    np.testing.assert_allclose(found, expected, rtol=0, atol=6e-8 * (4 + size))


@pytest.mark.parametrize("o", [1e-12, 1e-3, 1 / 64, 1.0, float(np.exp(losses.LARGEST))])
def test_products_of_eight_keep_the_digits(o: float) -> None:
    many = np.full(2 * losses.PRODUCTS_FROM + 5, o)
    found = losses._total_log1p(many, 1.0 + many, None)
    assert found == pytest.approx(len(many) * np.log1p(o), rel=2e-14, abs=0)


@pytest.mark.parametrize("C", [2, 4])
def test_scores_that_are_no_numbers_make_no_number(C: int) -> None:
    z = np.zeros((3, C))
    z[1, 1] = np.nan
    if C == 2:
        loss = Logistic(np.ones(3), 3)(z[:, 1], np.empty(3))
    else:
        loss = Softmax(np.zeros(3, int), C, 3)(z, np.empty_like(z))
    assert np.isnan(loss)


def test_dropped_classes_have_no_derivative() -> None:
    z = np.array([[0.0, -np.inf, 1.0], [500.0, -np.inf, 0.0]])
    residual = np.empty_like(z)
    loss = Softmax(np.array([0, 2]), 3, 1)(z, residual)
    assert loss == pytest.approx(np.log1p(np.e) + 500.0, rel=1e-15)
    assert np.array_equal(residual[:, 1], [0.0, 0.0])
