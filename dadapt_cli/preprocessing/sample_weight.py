"""How much each sample counts: weights of samples, and of the labels that they have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp

from dadapt_cli._typing import Array, Indices, Label, Mask
from dadapt_cli.errors import DataError, UsageError
from dadapt_cli.preprocessing.labels import rows_of, some
from dadapt_cli.system.terminal import word

FEW, SMALL = 1000, 100_000
"""Samples, and numbers in X, up to which equal samples become one: 2 ms at most."""


def sample_weights(
    y: Array, given: Any, of_labels: Mapping[Label, float] | str, positive: Label | None = None
) -> Array | None:
    """The weight of each sample, or None when all are 1.

    Parameters
    ----------
    y
        Labels, shape (n,).
    given
        A weight for each sample, shape (n,), or None.
    of_labels
        Factors of the samples with these labels, or ``balanced``: n over the number of classes
        and the samples of the own one, as scikit-learn has it.
    positive
        The label that stands against the rest, if one does.

    Returns
    -------
    Array | None
        Shape (n,), float64, at least 0.

    Raises
    ------
    DataError
        Weights that are not numbers, negative, of another length, or all 0.
    UsageError
        A label that no row has.
    """
    if given is None and not of_labels:
        return None
    if y.ndim != 1:
        raise DataError(f"labels have shape {y.shape}; one label a row is needed")
    weights = np.ones(len(y))
    if given is not None:
        weights = np.array(given)
        if weights.shape != y.shape or weights.dtype.kind not in "fiub":
            raise DataError(
                f"sample_weight has shape {weights.shape} and type {weights.dtype}; "
                f"{len(y)} numbers are needed, one a row"
            )
        weights = weights.astype(np.float64)
        bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
        if bad.size:
            raise DataError(
                f"row {bad[0] + 1} has the weight {float(weights[bad[0]])!r}; give 0 or more"
            )
    if isinstance(of_labels, str):
        _, own, counts = np.unique(
            y if positive is None else rows_of(y, positive), return_inverse=True, return_counts=True
        )
        weights *= len(y) / (len(counts) * counts[own])
        of_labels = {}
    for label, factor in of_labels.items():
        rows = rows_of(y, label)
        if not rows.any():
            there = some(f"{v:g}" if isinstance(v, float) else v for v in sorted(set(y.tolist())))
            raise UsageError(
                f"--weight {word(label, 40)}={factor:g}: no row has this label; labels: {there}"
            )
        weights[rows] *= factor
    if not 0 < weights.sum() < np.inf:
        raise DataError("the weights add up to 0 or overflow; some samples must count")
    return weights


def drop_weightless(X: Any, y: Array, weights: Array | None) -> tuple[Any, Array, Array | None]:
    """Leave out the rows of weight 0: not even their labels count."""
    if weights is None or weights.all() or X.shape[0] != len(y):  # Problem refuses unequal lengths
        return X, y, weights
    kept: Mask = weights > 0
    rows = sp.csr_array(X) if sp.issparse(X) else X
    return rows[kept], y[kept], weights[kept]


def merge_equal(X: Any, index: Indices, weights: Array | None) -> tuple[Any, Indices, Array | None]:
    """Few samples with equal ones as one, of the sum of their weights; many as they are.

    How ``newton`` samples curvature depends on the number of rows, so that a sample given twice
    and one of weight 2 would take different paths to within a tolerance of the same optimum.

    Parameters
    ----------
    X
        (n, p), sparse or dense.
    index, weights
        (n,): classes, and weights or None; samples of different classes are not equal.
    """
    n, p = X.shape
    if n > FEW or n * p > SMALL:
        return X, index, weights
    rows = np.column_stack([X.toarray() if sp.issparse(X) else X, index]) + 0.0  # -0.0 is 0.0
    seen: dict[bytes, int] = {}
    group = [seen.setdefault(row.tobytes(), len(seen)) for row in rows]
    if len(seen) == n:
        return X, index, weights
    kept = np.unique(group, return_index=True)[1]
    return X[kept], index[kept], np.bincount(group, weights).astype(np.float64)
