"""The inverse curvature of ``newton``: a Cholesky factor of a sampled Hessian, or a diagonal."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._space import dot
from dadapt_cli.objective import Problem, curvature
from dadapt_cli.objective.margins import Margins
from dadapt_cli.objective.smoothness import column_entries, column_squares

LIFTS = 12
"""Times that ten more rounding units, then ten times as many, go on the diagonal."""

DOUBLE = 64
"""Unknowns up to which a factor in double precision costs no more than calls."""

FACTORS = ("binary", "full", "kron")

UNEQUAL = 8.0
"""Sizes of a column's entries, over those of the middle one, that are left as they are."""

Pairs: TypeAlias = deque[tuple[Array, Array, float]]
"""Steps s, gradient differences y, <s, y>; float64, shape of the weights."""


@dataclass(slots=True, kw_only=True)
class Curvature:
    """B, near the inverse of the Hessian: scale (L L')^-1 scale, or scale^2 without a factor.

    ``scale`` is (p,) or, with the classes one after the other, (C p,); None: 1.
    """

    lower: Array | None = None
    scale: Array | None = None

    def solve(self, g: Array) -> Array:
        """B g, float64, for g of shape (p,) or (p, C)."""
        if self.scale is None:
            return g.astype(np.float64)
        whole = len(self.scale) != len(g)
        rows = g.T.reshape(-1) if whole else g
        scale = self.scale if rows.ndim == 1 else self.scale[:, None]
        b = rows * scale
        if self.lower is not None:
            from scipy.linalg import lapack

            solve = lapack.spotrs if self.lower.dtype == np.float32 else lapack.dpotrs
            b = solve(self.lower, b.astype(self.lower.dtype, copy=False), lower=1)[0]
        b = b * scale
        return np.ascontiguousarray(b.reshape(g.shape[::-1]).T) if whole else b


def direction(g: Array, pairs: Pairs, B: Curvature) -> Array:
    """-B g with the pairs' corrections: L-BFGS's two loops with B as the initial matrix.

    A B without a factor has no scale of its own: it gets that of the newest pair.
    """
    q, alphas = -g, []
    for s, y, sy in reversed(pairs):
        alphas.append(dot(s, q) / sy)
        q -= alphas[-1] * y
    d = B.solve(q)
    if pairs and B.lower is None:
        _, y, sy = pairs[-1]
        d *= sy / dot(y, B.solve(y))
    for (s, y, sy), alpha in zip(pairs, reversed(alphas), strict=True):
        d += (alpha - dot(y, d) / sy) * s
    return d


def equilibration(problem: Problem) -> Array:
    """A power of two for each column, (p,): 1, or what brings the size of its entries to 1.

    All are 1 unless one column's differs from the middle one's by more than UNEQUAL. The size is
    the root mean square of the stored entries, so that rare features are not unequal ones.
    """
    entries, squares = column_entries(problem), column_squares(problem)
    used = (entries > 0) & (squares > 0)
    if not used.any():
        return np.ones(problem.p)
    size = np.sqrt(squares[used] / entries[used])
    spread = size / np.median(size)
    scale = np.ones(problem.p)
    if spread.max() > UNEQUAL or spread.min() < 1 / UNEQUAL:
        scale[used] = np.exp2(-np.round(np.log2(size)))
    return scale


def diagonal(problem: Problem, form: str) -> Curvature:
    """``identity``, or ``half``: the root of the Hessian's diagonal at equal probabilities."""
    c = equilibration(problem)
    if form == "identity":
        return Curvature(scale=None if (c == 1).all() else c)
    h = _spread(problem) * column_squares(problem) / problem.n_mean + np.ravel(problem.ridge)
    h = np.where(h > 0, h * c * c, 1.0)
    return Curvature(scale=c * h**-0.25)


@dataclass(frozen=True)
class Sample:
    """Rows of the data and what stands beside their Hessian.

    Attributes
    ----------
    rows
        Which.
    sample_weight
        Of the rows, (m,) float64: they add up to 1.
    scale
        A power of two for each column, which changes no digit and keeps products within float32.
    least
        Mean square of each column over *all* rows, scaled, where the sample is not all of them:
        a feature that it lacks must not have the l2 term's curvature only.
    ridge
        Of the l2 term, scaled.
    """

    rows: Any
    sample_weight: Array
    scale: Array
    least: Array
    ridge: Array


def _sample(problem: Problem, rows: int, seed: int) -> Sample:
    chosen = curvature.sampled(problem.n, rows, seed)
    mean_squares = column_squares(problem) / problem.n_mean
    ridge = np.broadcast_to(np.ravel(problem.ridge), problem.p).astype(np.float64)
    size = mean_squares + ridge
    c = np.exp2(-np.round(0.5 * np.log2(np.where(size > 0, size, 1.0))))
    weights = (
        np.ones(min(rows, problem.n))
        if problem.sample_weight is None
        else problem.sample_weight[chosen]
    )
    weights = weights.astype(np.float64) / float(weights.sum(dtype=np.float64))
    least = mean_squares * c * c if rows < problem.n else np.zeros(problem.p)
    return Sample(chosen, weights, c, least, ridge * c * c)


def factor(problem: Problem, margins: Margins, form: str, rows: int, seed: int) -> Curvature | None:
    """A factor of the Hessian at the margins' point on sampled rows; None where there is none.

    Parameters
    ----------
    form
        ``binary``, ``full``, or ``kron``: at equal probabilities, whatever the point.
    rows, seed
        How many, and which.
    """
    sample = _sample(problem, rows, seed)
    c = sample.scale
    if form == "full":
        H, c = _softmax(problem, margins.probabilities(sample.rows), sample), np.tile(c, margins.C)
    else:
        weights = sample.sample_weight * _spread(problem)
        if form == "binary":
            q = margins.probabilities(sample.rows).astype(np.float64)
            weights = sample.sample_weight * (q - q * q)
        single = np.float32 if problem.p > DOUBLE else np.float64
        H = curvature.gram(problem, sample.rows, weights, c, single)
        least = float(weights.sum()) * sample.least
        _set_diagonal(H, np.maximum(H.diagonal(), least) + sample.ridge)
    lower, scale = cholesky(H)
    return None if lower is None else Curvature(lower=lower, scale=c * scale)


def _softmax(problem: Problem, q: Array, sample: Sample) -> Array:
    """The softmax Hessian with its diagonal kept above that of all rows."""
    p, C = problem.p, problem.n_classes
    q = q.astype(np.float64)
    root = np.sqrt(sample.sample_weight)[:, None]
    H = curvature.softmax(problem, sample.rows, q * root, sample.scale, np.float32)
    least = np.maximum(sample.sample_weight @ (q - q * q), 0.0)[:, None] * sample.least
    d = np.maximum(H.diagonal().reshape(C, p), least) + sample.ridge
    _set_diagonal(H, d.ravel())
    # Along equal weights of all classes the loss is constant: any positive curvature will do.
    every = np.arange(p)
    H.reshape(C, p, C, p)[:, every, :, every] += (d.sum(axis=0) / (C * C))[:, None, None]
    return H


def _spread(problem: Problem) -> float:
    """Second derivative of a sample's loss in one score at equal probabilities."""
    C = problem.n_classes
    return (1 - 1 / C) / C if problem.softmax else 0.25


def _set_diagonal(H: Array, d: Array) -> None:
    """Set it; where it is 0, nothing depends on that weight."""
    H.reshape(-1)[:: len(H) + 1] = np.where(d > 0, d, 1.0)


def cholesky(H: Array) -> tuple[Array | None, Array]:
    """L and s with L L' = s H s, lifted just enough; H, (D, D) with a positive diagonal, is lost.

    s = diag(H)^-1/2. L is None where no lift helps: an entry is not finite.
    """
    from scipy.linalg import lapack

    scale = 1.0 / np.sqrt(H.diagonal().astype(np.float64))
    H *= scale.astype(H.dtype)
    H *= scale.astype(H.dtype)[:, None]
    potrf = lapack.spotrf if H.dtype == np.float32 else lapack.dpotrf
    lift, least = 0.0, 10 * float(np.finfo(H.dtype).eps)
    for _ in range(LIFTS):
        lower, failed = potrf(H.T, lower=1, clean=0)
        if not failed and math.isfinite(float(lower.diagonal().sum())):
            return lower, scale
        more = max(10 * lift, least)
        H.reshape(-1)[:: len(H) + 1] += more - lift
        lift = more
    return None, scale
