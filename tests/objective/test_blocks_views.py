"""Blocks share the memory of the data: a copy of each would double what a fit takes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp

from dadapt_cli.objective import Problem, ball
from dadapt_cli.objective.blocks import rows_of, transposed
from dadapt_cli.preprocessing.labels import encode


def data() -> sp.csr_array:
    return sp.random_array((60_000, 50), density=0.2, rng=np.random.default_rng(0), format="csr")


def test_the_blocks_of_a_problem_copy_nothing() -> None:
    X = data()
    problem = Problem(X, encode(np.arange(60_000) % 2))
    assert len(problem.blocks) > 1
    for block in problem.blocks:
        for part in (block.X, block.XT):
            assert np.shares_memory(part.data, X.data)
            assert np.shares_memory(part.indices, X.indices)


@pytest.mark.parametrize("rows", [slice(0, 10), slice(100, 60_000)])
def test_a_transposed_block_has_the_same_products(rows: slice) -> None:
    X = rows_of(data(), rows)
    r = np.random.default_rng(1).normal(size=(X.shape[0], 3))
    assert np.array_equal(transposed(X) @ r, X.T @ r)
    assert np.array_equal(transposed(X).toarray(), X.toarray().T)
    dense = X.toarray()
    assert np.array_equal(transposed(dense), dense.T)


def test_norms_of_rows_in_parts_are_those_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    X = data()[:500]
    X.data[:300] = 0.0
    X = sp.vstack([X, sp.csr_array((3, 50)), X], format="csr")
    whole = ball.row_norms_up(X)
    for entries in (1, 37, 4000):
        monkeypatch.setattr(ball, "AT_ONCE", entries)
        assert np.array_equal(ball.row_norms_up(X), whole)
    assert len(ball.row_norms_up(sp.csr_array((0, 50)))) == 0


@pytest.mark.parametrize("unit", [1.0, 1e150, 1e-160, 1e-300, 1e300])
def test_row_norms_are_upper_bounds_of_any_size(unit: float) -> None:
    """1e-6 is for what cannot be told from underflow; without it a sum's rounding is 1e-14."""
    X = data()[:200]
    X.data = unit * (1.0 + np.abs(X.data))
    X.data[::7] *= -1.0
    X = sp.vstack([X, sp.csr_array((2, X.shape[1]))], format="csr")
    for i, norm in enumerate(ball.row_norms_up(X)):
        square = sum(Fraction(float(x)) ** 2 for x in X.data[X.indptr[i] : X.indptr[i + 1]])
        assert square <= Fraction(float(norm)) ** 2
        assert not square or Fraction(float(norm)) ** 2 <= square * Fraction(1 + 1e-6)
