from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from dadapt_cli.objective import Problem
from dadapt_cli.objective.deduplicate import collapse
from dadapt_cli.preprocessing.labels import encode


def repeated(n_classes: int, density: float, dtype: type = np.float64) -> Problem:
    rng = np.random.default_rng(0)
    X = sp.random(600, 12, density=density, format="csr", random_state=1)
    X = sp.vstack([X, X[rng.integers(600, size=1400)]], format="csr")
    y = rng.integers(n_classes, size=2000)
    y[600:1500] = y[rng.integers(600, size=900)]
    return Problem(X, encode(y), l2=0.1, bias=True, dtype=dtype)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("density", [0.1, 0.9])
def test_objective_stays_the_same(n_classes: int, density: float) -> None:
    problem = repeated(n_classes, density)
    merged = collapse(problem)
    assert merged.n < problem.n
    assert merged.sample_weight is not None
    assert merged.sample_weight.sum() == problem.n
    w = np.random.default_rng(2).normal(size=problem.shape)
    one, other = problem.value_and_gradient(w), merged.value_and_gradient(w)
    assert other.f == pytest.approx(one.f, rel=1e-14)  # the same terms in another order
    np.testing.assert_allclose(other.g, one.g, rtol=1e-12, atol=1e-16)
    assert merged.value(merged.scores(w), w) == pytest.approx(one.f, rel=1e-14)
    assert merged.accuracy(merged.scores(w)) == pytest.approx(problem.accuracy(one.scores))
    assert collapse(merged) is merged


def test_float32_stays_float32() -> None:
    merged = collapse(repeated(3, 0.1, np.float32))
    at = merged.value_and_gradient(merged.zeros())
    assert at.g.dtype == np.float32
    assert at.f == pytest.approx(np.log(3), rel=1e-6)


def test_distinct_rows_and_small_problems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    X = sp.random(2000, 50, density=0.2, format="csr", random_state=0)
    distinct = Problem(X, encode(np.arange(2000) % 2))
    assert collapse(distinct) is distinct
    few = Problem(np.ones((20, 1)), encode(np.arange(20) % 2))
    assert collapse(few) is few
    # A hash that says that all rows are equal must not merge them.
    monkeypatch.setattr(
        "dadapt_cli.objective.deduplicate._groups",
        lambda X, index: (
            np.array([0, 1]),
            index,
            np.array([1000, 1000]),
        ),
    )
    assert collapse(distinct) is distinct
