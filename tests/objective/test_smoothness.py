"""L is an upper bound, G a gradient bound, and the certified starts lie below D."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dadapt_cli import reference
from dadapt_cli.objective import smoothness

from ..conftest import DATA, SMALL, load_problem, random_problem

KINDS = st.builds(
    random_problem,
    st.integers(0, 10**6),
    n=st.integers(8, 40),
    p=st.integers(1, 12),
    n_classes=st.integers(2, 4),
    l2=st.sampled_from([0.0, 0.01]),
    density=st.sampled_from([0.15, 0.6, 1.0]),
)


@given(KINDS)
@settings(max_examples=60, deadline=None)
def test_smoothness_bounds_the_curvature(problem) -> None:  # type: ignore[no-untyped-def]
    X = np.asarray(problem.X.toarray() if hasattr(problem.X, "toarray") else problem.X)
    c = 0.5 if problem.softmax else 0.25
    exact = c * np.linalg.eigvalsh(X.T @ X)[-1] / problem.n + problem.l2
    L = smoothness.smoothness(problem).L
    assert L >= exact * (1 - 1e-12)
    frobenius = c * (X**2).sum() / problem.n + problem.l2
    assert L <= frobenius * (1 + 1e-10)
    v, w = np.random.default_rng(0).normal(size=(2, *problem.shape))
    change = problem.value_and_gradient(v).g - problem.value_and_gradient(w).g
    assert np.linalg.norm(change) <= L * np.linalg.norm(v - w) * (1 + 1e-12)


@given(KINDS, st.floats(0.01, 100))
@settings(max_examples=60, deadline=None)
def test_gradients_stay_below_their_bounds(problem, size: float) -> None:  # type: ignore[no-untyped-def]
    w = size * np.random.default_rng(1).normal(size=problem.shape)
    g = problem.value_and_gradient(w).g - problem.l2 * w
    assert np.linalg.norm(g) <= smoothness.lipschitz(problem) * (1 + 1e-12)
    assert np.all(np.abs(g) <= smoothness.lipschitz_coordinates(problem) * (1 + 1e-12) + 1e-15)


@pytest.mark.parametrize("path", SMALL)
@pytest.mark.parametrize("l2", [0.0, "1/n"])
def test_certified_starts_lie_below_the_distances(path: str, l2: float | str) -> None:
    problem = load_problem(DATA / path, l2)
    known = reference.find(problem, reference.cache.content(problem), always=True)
    g0 = problem.value_and_gradient(problem.zeros()).g
    start, start_inf = (
        f(problem, g0) for f in (smoothness.certified_start, smoothness.certified_start_inf)
    )
    assert start > 0
    assert start_inf > 0
    if known.status == "attained":
        assert known.D is not None
        assert known.D_inf is not None
        assert start <= known.D
        assert start_inf <= known.D_inf


def test_collatz_wielandt_is_the_better_bound_on_one_hot_data(shared) -> None:  # type: ignore[no-untyped-def]
    problem = load_problem(shared / "data" / "a1a", "1/n")
    found = smoothness.smoothness(problem)
    assert found.method == "collatz-wielandt"
    assert 1.5678 <= found.L <= 1.02 * 1.5678  # the exact value, to the digits that are known
