"""Equal samples as one sample with a weight: the same objective with fewer rows.

LIBSVM's one-hot files repeat rows (a9a 20 %, w8a 30 %, phishing 47 % of them), and an iteration
costs what its rows cost. Sums run in another order, so results differ by rounding only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dadapt_cli._typing import Indices, Matrix
from dadapt_cli.objective import Problem
from dadapt_cli.preprocessing.labels import Labels

SMALLEST_SHARE = 0.1
"""Share of repeated rows from which collapsing gains; measured in benchmarks/gradient.py."""

PAYS_FROM = 200
"""Iterations that repay the search for equal rows (a9a: 10 ms, for 0.09 ms an iteration)."""

FEWEST_ROWS = 1000
"""Rows below which an iteration is all overhead."""


def collapse(problem: Problem) -> Problem:
    """Return the objective with equal rows of equal class merged, or `problem` itself.

    Weights keep their shape and f its value to rounding; scores have fewer rows. Not to be
    used where single samples matter: the reference, minibatches.
    """
    if problem.n < FEWEST_ROWS or problem.dropped is not None:
        return problem
    index = problem.labels.index
    first, inverse, counts = _groups(problem.X, index)
    if problem.sample_weight is not None:
        counts = np.bincount(inverse, weights=problem.sample_weight)
    if len(first) > (1.0 - SMALLEST_SHARE) * problem.n:
        return problem
    copies = np.flatnonzero(first[inverse] != np.arange(problem.n))
    if not _equal(problem.X, copies, first[inverse[copies]]):
        return problem  # two different rows share a hash: rare, and then nothing is merged
    order = np.argsort(first)  # the file's order: neighbours stay neighbours
    rows = first[order]
    merged = Problem(
        problem.X[rows],
        Labels(problem.labels.classes, index[rows]),
        l2=problem.l2,
        dtype=problem.dtype,
        threads=problem.threads,
        n_mean=problem.n_mean,
        sample_weight=counts[order].astype(problem.dtype),
    )
    merged.bias, merged.intercept = problem.bias, problem.intercept  # the column is in X already
    merged.metric_scale = problem.metric_scale
    return merged


def _groups(X: Matrix, index: Indices) -> tuple[Indices, Indices, Indices]:
    """First row, group of each row, and size, of the rows with the same hash and class."""
    hashed: Any = X @ np.random.default_rng(0).random(X.shape[1])
    keys = hashed.astype(np.float64).view(np.int64) * np.int64(31) + index
    _, first, inverse, counts = np.unique(
        keys, return_index=True, return_inverse=True, return_counts=True
    )
    return first, inverse, counts


def _equal(X: Matrix, some: Indices, others: Indices) -> bool:
    """Whether each row of `some` is, entry by entry, the same row of `others`."""
    a, b = X[some], X[others]
    if isinstance(X, np.ndarray):
        return bool(np.array_equal(a, b))
    return all(
        np.array_equal(getattr(a, part), getattr(b, part)) for part in ("indptr", "indices", "data")
    )
