"""The search of ``orth`` where its Hessian cannot be factorised as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dadapt_cli import fit
from dadapt_cli.algorithms import _subspace
from dadapt_cli.algorithms._subspace import pseudo_inverse

from ..conftest import random_problem


def test_tiny_directions_are_inverted_like_others() -> None:
    """Their factors are 1e200 each: the product would overflow, and eigh be given a NaN."""
    H = np.array([[2.0, 1.0], [1.0, 3.0]])
    size = np.array([1e-150, 1e-150])
    wanted = np.linalg.inv(H) / np.outer(size, size)
    tiny = pseudo_inverse(H * size[:, None] * size)
    np.testing.assert_allclose(tiny, wanted, rtol=1e-12)  # a matrix of condition 4
    zero = pseudo_inverse(np.diag([4.0, 0.0]))
    np.testing.assert_array_equal(zero, np.diag([0.25, 0.0]))


@pytest.mark.parametrize("seed", [1, 3, 5])
def test_separable_data_with_many_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(30, 6)) * 10.0 ** rng.integers(-3, 4, size=6)
    y = (X @ rng.normal(size=6) > 0).astype(int)
    options = {"lbfgs_pairs": 10, "scale": "minmax", "reference": "none", "iterations": 300}
    made = fit(X, y, algo="orth", l2=0, **options)
    f = [row["f_last"] for row in made.trace]
    assert f == sorted(f, reverse=True)
    assert f[-1] < 1e-6  # of log 2 at first


def test_a_factorisation_that_fails_is_steepest_descent(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(H: Any) -> Any:
        raise np.linalg.LinAlgError("Eigenvalues did not converge")

    problem = random_problem(0)
    monkeypatch.setattr(_subspace.np.linalg, "eigh", fails)
    H = np.array([[2.0, 1.0], [1.0, 3.0]])
    inverse = pseudo_inverse(H)
    assert (np.linalg.eigvalsh(np.linalg.inv(inverse) - H) >= -1e-12).all()  # no step is too long
    made = fit(problem.X, problem.y, algo="orth", l2=0, reference="none", iterations=50)
    f = [row["f_last"] for row in made.trace]
    assert f == sorted(f, reverse=True)
    assert f[-1] < f[0]
