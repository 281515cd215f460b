"""The inverse curvature of ``newton``: a Cholesky factor of a sampled Hessian, or a diagonal."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, TypeAlias

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._space import dot
from dadapt_cli.objective import Problem, curvature
from dadapt_cli.objective.margins import Marginal, Sample
from dadapt_cli.objective.smoothness import column_entries, column_squares

LIFTS = 12
"""Most lifts of the diagonal: ten rounding units, then each time ten times as much."""

LEVEL = 1e-8
"""Least curvature along equal weights, over the features' own: less would only amplify rounding."""

DOUBLE = 64
"""Unknowns up to which a double-precision factor costs no more than its calls."""

INVERTED = 64
"""Unknowns up to which NumPy factors and the triangle is inverted, which takes a tenth of a ms:
scipy.linalg would take longer to import than such a fit takes (benchmarks/startup.py)."""

HALVED = 32
"""Rows from which a triangle is inverted by halves: NumPy inverts any matrix, at 8 x the cost."""

FACTORS = ("binary", "full", "kron")

UNEQUAL = 64.0
"""Ratio of the 90 % to the 10 % quantile of the column sizes that leaves columns unscaled."""

Pairs: TypeAlias = deque[tuple[Array, Array, float]]
"""Steps s, gradient differences y, <s, y>; float64, shape of the weights."""


@cache
def _lapack() -> Any:
    from scipy.linalg import lapack

    return lapack


@dataclass(slots=True, kw_only=True)
class Curvature:
    """B, near the inverse of the Hessian: scale (L L')^-1 scale, or scale^2 without a factor.

    ``lower`` is L; up to INVERTED unknowns ``inverse``, its inverse, is there instead.

    ``scale`` is (p,) or, with the classes one after the other, (C p,); None: 1.

    Along equal weights of all classes a softmax loss does not change, only the l2 term: there the
    curvature is ``equal``, (p,), and the factor is for the rest. A sample's noise in the factor
    would otherwise lead out of that rest, in which the optimum lies, and slowly back.

    ``scaled`` says that B is of the inverse Hessian's size, not only of its form.
    """

    lower: Array | None = None
    inverse: Array | None = None
    scale: Array | None = None
    equal: Array | None = None
    scaled: bool = False

    @property
    def factored(self) -> bool:
        """Whether there is a factor."""
        return self.lower is not None or self.inverse is not None

    def solve(self, g: Array) -> Array:
        """B g, float64, for g of shape (p,) or (p, C)."""
        if self.equal is not None:
            mean = g.mean(axis=1, keepdims=True)
            rest = self._solve(g - mean)
            rest += mean / self.equal[:, None] - rest.mean(axis=1, keepdims=True)
            return rest
        return self._solve(g)

    def _solve(self, g: Array) -> Array:
        if self.scale is None:
            return g.astype(np.float64)
        whole = len(self.scale) != len(g)
        rows = g.T.reshape(-1) if whole else g
        scale = self.scale if rows.ndim == 1 else self.scale[:, None]
        b = rows * scale
        if self.inverse is not None:
            M = self.inverse
            b = M.T @ (M @ b.astype(M.dtype, copy=False))
        elif self.lower is not None:
            single = self.lower.dtype == np.float32
            solve = _lapack().spotrs if single else _lapack().dpotrs
            b = solve(self.lower, b.astype(self.lower.dtype, copy=False), lower=1)[0]
        b = b * scale
        return np.ascontiguousarray(b.reshape(g.shape[::-1]).T) if whole else b


def direction(g: Array, pairs: Pairs, B: Curvature) -> Array:
    """-B g with the pairs' corrections: L-BFGS's two loops with B as the initial matrix.

    A B that has only the form gets the size of the newest pair.
    """
    q, alphas = -g, []
    for s, y, sy in reversed(pairs):
        alphas.append(dot(s, q) / sy)
        q -= alphas[-1] * y
    d = B.solve(q)
    if pairs and not B.scaled:
        _, y, sy = pairs[-1]
        d *= sy / dot(y, B.solve(y))
    for (s, y, sy), alpha in zip(pairs, reversed(alphas), strict=True):
        d += (alpha - dot(y, d) / sy) * s
    return d


class Columns:
    """What a problem's columns say about its curvature; each is computed once, when needed.

    Attributes
    ----------
    mean_squares, ridge
        (p,) float64: means over all rows of the squared entries; curvature of the l2 term.
    unit
        A power of two for each column, which changes no digit and keeps its products, and its
        ridge, within float32.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    @cached_property
    def mean_squares(self) -> Array:
        return column_squares(self.problem) / self.problem.n_mean

    @cached_property
    def ridge(self) -> Array:
        return np.zeros(self.problem.p) + np.ravel(self.problem.ridge)

    @cached_property
    def unit(self) -> Array:
        size = self.mean_squares + self.ridge
        return np.exp2(-np.round(0.5 * np.log2(np.where(size > 0, size, 1.0))))

    def equilibration(self) -> Array:
        """A power of two for each column, (p,): 1, or what brings the size of its entries to 1.

        All are 1 unless the columns' sizes spread by more than UNEQUAL, a tenth left out on
        either side: a few odd columns among thousands do not mean mixed units. The size is the
        root mean square of the entries that are not 0: rare features are not unequal ones.
        """
        problem, scale = self.problem, np.ones(self.problem.p)
        entries, squares = column_entries(problem), column_squares(problem)
        used = (entries > 0) & (squares > 0)
        if not used.any():
            return scale
        size = np.log2(squares[used] / entries[used]) / 2
        low, high = np.quantile(size, [0.1, 0.9])
        if high - low > math.log2(UNEQUAL):
            scale[used] = np.exp2(-np.round(size))
        return scale


def diagonal(problem: Problem, columns: Columns, form: str) -> Curvature:
    """``identity``, or ``half``: the root of the Hessian's diagonal at equal probabilities."""
    c = columns.equilibration()
    if form == "identity":
        return Curvature(scale=None if (c == 1).all() else c)
    h = _spread(problem) * columns.mean_squares + columns.ridge
    h = np.where(h > 0, h * c * c, 1.0)
    return Curvature(scale=c * h**-0.25)


def factor(
    columns: Columns, margins: Marginal, form: str, rows: int, seed: int
) -> Curvature | None:
    """A factor of the Hessian at the margins' point on sampled rows; None where there is none.

    Its diagonal is at least that of all rows at the sample's mean curvature: a feature that the
    sample lacks must not be left with the l2 term alone.

    Parameters
    ----------
    form
        ``binary``, ``full``, or ``kron``: with the mean curvature of a row's classes for each of
        them, which is the Hessian at equal probabilities, but for a factor, and less elsewhere.
    rows, seed
        How many, and which.
    """
    problem, equal = columns.problem, None
    unit: Array | None
    sample = margins.sample(rows, seed)
    shares, q = _shares(sample), sample.q.astype(np.float64, copy=False)
    whole = rows >= problem.n
    if form == "full":
        H, equal = _softmax(columns, sample, q, shares, whole)
        unit = np.tile(columns.unit, margins.C)
    else:
        c = q - q * q
        c = shares * (c.mean(axis=1) if problem.softmax else c)
        single = problem.p > DOUBLE
        unit, dtype = (columns.unit, np.float32) if single else (None, np.float64)
        H = curvature.gram(sample.problem, sample.rows, c, unit, dtype)
        least = None if whole else float(c.sum()) * columns.mean_squares
        _set_diagonal(H, columns.ridge, least, unit)
    lower, scale = cholesky(H)
    if lower is None:
        return None
    scale = scale if unit is None else unit * scale
    made = Curvature(scale=scale, equal=equal, scaled=form != "kron")
    if len(lower) <= INVERTED:
        made.inverse = _inverse(lower)
    else:
        made.lower = lower
    return made


def _shares(sample: Sample) -> Array:
    """The weights of the chosen samples; they add up to 1."""
    if sample.problem.sample_weight is None:
        m = len(sample.q)
        return np.full(m, 1.0 / m)
    weights = sample.problem.sample_weight[sample.rows].astype(np.float64)
    return np.asarray(weights / weights.sum())


def _softmax(
    columns: Columns, sample: Sample, q: Array, shares: Array, whole: bool
) -> tuple[Array, Array]:
    """The softmax Hessian with its diagonal at least that of all rows, and `equal`."""
    problem = columns.problem
    p, C = problem.p, problem.n_classes
    scaled = q * np.sqrt(shares)[:, None]
    H = curvature.softmax(sample.problem, sample.rows, scaled, columns.unit, np.float32)
    least = None
    if not whole:
        least = np.maximum(shares @ (q - q * q), 0.0)[:, None] * columns.mean_squares
    d = _set_diagonal(H, columns.ridge, least, columns.unit).reshape(C, p)
    # For a factor to exist; what it says along equal weights is not used.
    every, mean = np.arange(p), d.sum(axis=0) / C
    H.reshape(C, p, C, p)[:, every, :, every] += (mean / C)[:, None, None]
    return H, np.maximum(columns.ridge, LEVEL * mean / columns.unit**2)


def _set_diagonal(H: Array, ridge: Array, least: Array | None, unit: Array | None) -> Array:
    """Lift H's diagonal to `least`, add the ridge, (p,) or (C, p) in the problem's units; return H.

    Where it is 0, nothing depends on that weight, and it becomes 1.
    """
    square: Any = 1.0 if unit is None else unit * unit
    d = H.diagonal().reshape(-1, len(ridge)).astype(np.float64)
    if least is not None:
        d = np.maximum(d, least * square)
    d = (d + ridge * square).reshape(-1)
    d = np.where(d > 0, d, 1.0)
    H.reshape(-1)[:: len(H) + 1] = d
    return d


def _spread(problem: Problem) -> float:
    """Second derivative of a sample's loss in one score at equal probabilities."""
    C = problem.n_classes
    return (1 - 1 / C) / C if problem.softmax else 0.25


def cholesky(H: Array) -> tuple[Array | None, Array]:
    """L and s with L L' = s H s, lifted just enough; H, (D, D) with a positive diagonal, is lost.

    s = diag(H)^-1/2. L is None if no lift helps: an entry is not finite.
    """
    scale = 1.0 / np.sqrt(H.diagonal().astype(np.float64))
    H *= scale.astype(H.dtype)
    H *= scale.astype(H.dtype)[:, None]
    lift, least = 0.0, 10 * float(np.finfo(H.dtype).eps)
    for _ in range(LIFTS):
        lower = _triangle(H)
        if lower is not None and math.isfinite(float(lower.diagonal().sum())):
            return lower, scale
        more = max(10 * lift, least)
        H.reshape(-1)[:: len(H) + 1] += more - lift
        lift = more
    return None, scale


def _triangle(H: Array) -> Array | None:
    """L with L L' = H, of H's dtype; None if H is not positive definite.

    What is above the diagonal of a larger one than INVERTED is undefined.
    """
    if len(H) <= INVERTED:
        try:
            return np.linalg.cholesky(H)
        except np.linalg.LinAlgError:
            return None
    potrf = _lapack().spotrf if H.dtype == np.float32 else _lapack().dpotrf
    lower, failed = potrf(H.T, lower=1, clean=0)
    return None if failed else lower


def _inverse(L: Array) -> Array:
    """The inverse of a lower triangle, 0 above its diagonal, in its dtype."""
    if len(L) < HALVED:
        return np.linalg.inv(L)
    half, M = len(L) // 2, np.zeros_like(L)
    M[:half, :half], M[half:, half:] = _inverse(L[:half, :half]), _inverse(L[half:, half:])
    M[half:, :half] = -M[half:, half:] @ (L[half:, :half] @ M[:half, :half])
    return M
