"""The infimum without an l2 term: which losses can be driven to zero together, and the rest.

Each loss is made of terms with a margin that is linear in the weights: y_i <x_i, w> for two
classes, <x_i, w_{y_i} - w_c> for each other class c of more. B has these as rows. A direction v
with B v >= 0, B v != 0 lets the terms with (B v)_i > 0 fall to zero without raising any other, so
the infimum is not attained; let I+ be all terms that can fall so together. Then

    inf f = min of f without the terms of I+,

which is attained (facial reduction). I+ is found from solutions with a small l2: they grow along
v and leave it only where B v = 0. What is found is verified: v must separate I+ strictly and
leave the kept terms alone, and a dual point with all kept terms positive must bound the minimum
from below. Only where that is undecided is a linear programme solved, in the few directions left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from dadapt_cli._typing import Array, Mask
from dadapt_cli.objective import Problem, metric
from dadapt_cli.reference import newton
from dadapt_cli.reference.reference import Reference

LADDER = (1e-4, 1e-6, 1e-8, 1e-10, 1e-12)
"""l2 of the solutions that are looked at, each from the one before."""

RELATIVE_ZERO = 1e-9
"""A margin below this, relative to row and direction, counts as zero (data have 6-17 digits)."""

CLEAR_OF_ZERO = 10.0
"""Multiple of ||B'alpha|| that a dual variable must exceed to count as positive."""

LARGEST_GAP = 1e-10
"""Primal - dual above it, the terms were split wrongly or the solver failed."""


@dataclass(frozen=True)
class _Split:
    """The terms of I+ and a direction along which they, and no others, fall to zero."""

    falling: Mask  # of all terms, (m,)
    direction: Array  # (unknowns,)
    method: str


class _Terms:
    """The terms of a problem: the matrix B of shape (m, unknowns), and which (i, c) they are."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        X = sp.csr_array(problem.X).astype(np.float64)
        index = problem.labels.index
        if not problem.softmax:
            self.where: Any = np.arange(problem.n)
            self.B = sp.csr_array(X * problem.y[:, None])
        else:
            n_classes = problem.n_classes
            pairs = np.ones((problem.n, n_classes), bool)
            pairs[np.arange(problem.n), index] = False
            self.where = np.nonzero(pairs)
            rows, others = self.where
            copies = X[rows]
            length = np.diff(copies.indptr)
            place = copies.indices.astype(np.int64) * n_classes  # weights are row-major (p, C)
            term = np.repeat(np.arange(len(rows)), length)
            self.B = sp.csr_array(
                sp.coo_array(
                    (
                        np.concatenate([copies.data, -copies.data]),
                        (
                            np.concatenate([term, term]),
                            np.concatenate(
                                [
                                    place + np.repeat(index[rows], length),
                                    place + np.repeat(others, length),
                                ]
                            ),
                        ),
                    ),
                    shape=(len(rows), problem.p * n_classes),
                )
            )
        self.norms = np.sqrt(np.asarray((self.B * self.B).sum(axis=1)))

    def margins(self, w: Array) -> Array:
        return np.asarray(self.B @ w.ravel())

    def dual(self, scores: Array) -> Array:
        """alpha: minus the derivative of the summed losses in each term's margin, > 0."""
        residual = self.problem.residuals(scores) * self.problem.n_mean
        alpha: Array = residual[self.where] if self.problem.softmax else np.abs(residual)
        return alpha

    def mask(self, terms: Mask) -> Mask:
        """Terms as :meth:`Problem.restrict` wants them; a row's own class is always kept."""
        if not self.problem.softmax:
            return terms
        kept = np.ones((self.problem.n, self.problem.n_classes), bool)
        kept[self.where] = terms
        return kept

    def null_space(self, terms: Mask) -> Array:
        """Orthonormal columns spanning {v: B v = 0 on `terms`}, shape (unknowns, r)."""
        chosen = self.B[np.flatnonzero(terms)]
        values, vectors = np.linalg.eigh(np.asarray((chosen.T @ chosen).toarray()))
        # Eigenvalues of B'B are squares: rounding reaches 1e-16 of the largest one.
        return np.asarray(vectors[:, values <= 1e-13 * max(float(values[-1]), 1e-300)])


def infimum(problem: Problem, x0: Array) -> Reference:
    """The reference of a problem without l2 term, distances from `x0`."""
    if math.prod(problem.shape) > newton.LARGEST_DENSE:
        return _separable_or_none(problem)
    terms = _Terms(problem)
    w, reason = problem.zeros(), "no l2 was small enough to tell which losses fall to zero"
    for stage, l2 in enumerate(LADDER):
        found = newton.minimise(problem.with_l2(l2), w, warm=stage == 0)
        w = found.w
        if _separates(terms.margins(w), terms.norms, w):
            return _separable(terms.margins(w))
        split = _split(terms, w, terms.dual(found.scores), l2, last=l2 == LADDER[-1])
        if split is None:
            continue
        reference = _reduced(terms, split, w, x0)
        if reference.status != "none":
            return reference
        reason = reference.reason or reason
    return Reference("none", reason=reason)


def _separates(margins: Array, norms: Array, w: Array) -> bool:
    """Whether every term with a non-zero row has a margin clear of rounding, and all rows have."""
    scale = float(np.linalg.norm(w))
    return bool(scale > 0 and norms.min() > 0 and np.all(margins > RELATIVE_ZERO * norms * scale))


def _separable(margins: Array) -> Reference:
    return Reference(
        "not-attained",
        f_star=0.0,
        gap=0.0,
        method=f"a separating direction, least margin {float(margins.min()):.3g}",
        reason="D is infinite: the data are separable, and f comes as near to 0 as one likes",
    )


def _separable_or_none(problem: Problem) -> Reference:
    """For problems too wide for the dense algebra: only separability can be decided."""
    found = newton.minimise(problem.with_l2(1e-8), problem.zeros())
    scores = found.scores
    if problem.softmax:
        rows = np.arange(problem.n)
        own = scores[rows, problem.labels.index]
        scores[rows, problem.labels.index] = -np.inf
        margins = own - scores.max(axis=1)
    else:
        margins = problem.y * scores
    row_norms = np.sqrt(np.asarray((sp.csr_array(problem.X) ** 2).sum(axis=1)))
    if _separates(margins, 2 * row_norms, found.w):
        return _separable(margins)
    return Reference(
        "none",
        reason=f"{math.prod(problem.shape)} weights are too many to certify f* without an l2 term; "
        "--l2 1/n has a certificate",
    )


def _split(terms: _Terms, w: Array, alpha: Array, l2: float, *, last: bool) -> _Split | None:
    """Propose I+ from the solution at a small l2; None when this l2 does not tell.

    The linear programme is for the last l2 only: by then few directions and terms are open.

    For any recession direction v, sum alpha_i (B v)_i = n l2 <w, v> with every summand >= 0.
    So (B v)_i <= n l2 ||w|| ||v||/alpha_i: terms with alpha_i far above n l2 ||w|| stay.
    """
    size = float(np.linalg.norm(w))
    stays = alpha * terms.norms >= 1e4 * terms.problem.n_mean * l2 * size
    stays |= terms.norms == 0
    N = terms.null_space(stays)
    open_terms = np.flatnonzero(~stays)
    R = np.asarray(terms.B[open_terms] @ N)
    moves = np.linalg.norm(R, axis=1) > RELATIVE_ZERO * terms.norms[open_terms]
    falling = np.zeros(len(alpha), bool)
    if not moves.any():
        return _Split(falling, np.zeros(w.size), "no direction of recession")
    u = N.T @ w.ravel()
    slope = R[moves] @ u
    limit = RELATIVE_ZERO * terms.norms[open_terms[moves]] * np.linalg.norm(u)
    if np.all(slope > limit):
        falling[open_terms[moves]] = True
        return _Split(falling, N @ u, "facial reduction")
    found = _linear_programme(R[moves]) if last else None
    if found is None:
        return None
    u, fall = np.asarray(found[0]), found[1]
    falling[open_terms[moves][fall]] = True
    return _Split(falling, N @ u, "facial reduction by linear programme")


def _linear_programme(R: Array) -> tuple[Array, Mask] | None:
    """Find u with R u >= 0 and as many rows positive as possible; None on any doubt.

    First the robust test max 1'R u subject to R u >= 0, |u_j| <= 1: its value is 0 exactly when
    no row can be positive. Then max sum t, R u >= t, 0 <= t <= 1, whose optimal t is 0 or 1.
    """
    from scipy.optimize import linprog

    m, r = R.shape
    R = R / np.linalg.norm(R, axis=1)[:, None]
    test: Any = linprog(-R.sum(axis=0), A_ub=-R, b_ub=np.zeros(m), bounds=(-1, 1))
    if test.status != 0:
        return None
    if -test.fun <= 1e-7:
        return np.zeros(r), np.zeros(m, bool)
    cost = np.concatenate([np.zeros(r), -np.ones(m)])
    limits = [(None, None)] * r + [(0.0, 1.0)] * m
    both = sp.hstack([sp.csr_array(-R), sp.eye_array(m)], format="csr")
    full: Any = linprog(cost, A_ub=both, b_ub=np.zeros(m), bounds=limits)
    if full.status != 0:
        return None
    u, t = full.x[:r], full.x[r:]
    fall = t > 0.5
    slope = R @ u
    clear = np.all(slope[fall] > 0.5) and np.all(np.abs(slope[~fall]) <= 1e-6)
    return (np.asarray(u), fall) if clear else None


def _reduced(terms: _Terms, split: _Split, w: Array, x0: Array) -> Reference:
    """Minimise the kept terms and certify the minimum from both sides."""
    problem, kept = terms.problem, ~split.falling
    if not kept.any():
        return _separable(terms.margins(split.direction))
    restricted = problem.restrict(terms.mask(kept)) if split.falling.any() else problem
    N = terms.null_space(kept)
    start = (w.ravel() - N @ (N.T @ w.ravel())).reshape(problem.shape)
    found = newton.minimise(restricted, start, null_space=N, warm=False)
    lower, residual, alpha = _dual_bound(restricted, found, N)
    if _can_move(terms, kept, alpha, residual):
        return Reference("none", reason="a loss that is kept may be one that can fall to 0")
    upper, w_far = found.f, found.w
    if split.falling.any():
        w_far = found.w + _far_enough(terms, split, found.w).reshape(problem.shape)
        upper = problem.value(problem.scores(w_far), w_far)
    rounding = 4 * np.finfo(float).eps * upper
    gap = max(upper - lower, 0.0) + rounding
    if not gap <= LARGEST_GAP:
        return Reference(
            "none", reason=f"no certificate: primal - dual = {upper - lower:.1e} at l2 = 0"
        )
    n_falling = int(split.falling.sum())
    certificate = f"dual point with ||B'alpha|| = {residual:.1e}"
    if n_falling:
        return Reference(
            "not-attained",
            f_star=upper,
            gap=gap,
            method=f"{split.method}, {found.method}; {certificate}",
            reason=f"D is infinite: the losses of {n_falling} of {kept.size} margins can be "
            "driven to 0, so the infimum is not attained",
        )
    D_error = distance_error(problem, found, N)
    move = (found.w - x0).ravel()
    move = (move - N @ (N.T @ move)).reshape(problem.shape)  # to the nearest minimiser
    return Reference(
        "attained",
        f_star=upper,
        gap=gap,
        method=f"{split.method}, {found.method}; {certificate}",
        distances=metric.distances(problem, move, D_error),
    ).in_metric("identity")


def _can_move(terms: _Terms, kept: Mask, alpha: Array, residual: float) -> bool:
    """Whether a direction that the clearly positive alpha allow changes another kept margin.

    A dual point with alpha > 0 excludes every direction of recession, but rounding makes a tiny
    alpha of a true zero. Terms whose alpha is clear of ||B'alpha|| stay; the directions in which
    they do must move no other kept term.
    """
    numbers = np.flatnonzero(kept)
    clear = alpha * terms.norms[kept] > CLEAR_OF_ZERO * residual
    stays = np.zeros(len(kept), bool)
    stays[numbers[clear]] = True
    others = numbers[~clear]
    moved = np.linalg.norm(np.asarray(terms.B[others] @ terms.null_space(stays)), axis=1)
    return bool(np.any(moved > RELATIVE_ZERO * terms.norms[others]))


def _far_enough(terms: _Terms, split: _Split, w: Array) -> Array:
    """t v with t so large that the falling terms together add less than 1e-20 to f."""
    slope = terms.margins(split.direction)[split.falling]
    here = terms.margins(w)[split.falling]
    wanted = 46.0 + math.log(len(slope))
    t = float(np.max((wanted - here) / slope))
    return max(t, 0.0) * split.direction


def _dual_bound(problem: Problem, found: newton.Minimum, N: Array) -> tuple[float, float, Array]:
    """A lower bound on the minimum from the Fenchel dual, and how far it is from feasible.

    The dual maximises the mean entropy of (1 - sum alpha, alpha) subject to B'alpha = 0. The
    residuals at the minimiser are almost feasible; they are projected, in the metric of the
    Hessian, which keeps every probability positive.

    Returns
    -------
    bound
        Mean entropy; -inf when a probability left [0, 1].
    residual
        ||B'alpha||_2 = ||X' residuals||, sums over samples.
    alpha
        The dual point, one number a kept term; all must be positive for the minimum to exist.
    """
    r = problem.residuals(found.scores) * problem.n_mean
    X: Any = problem.X
    curvature = newton.second_derivatives(problem, found.scores)
    for _ in range(3):
        g = np.asarray(X.T @ r) / problem.n_mean
        step = newton.cholesky_step(problem, found.scores, g, N)
        z = X @ step
        if problem.softmax:
            z = z - (curvature * z).sum(axis=1, keepdims=True)
        r += problem.weighted(curvature * z)
    residual = float(np.linalg.norm(X.T @ r))
    if problem.softmax:
        others = np.ones(r.shape, bool) if problem.dropped is None else ~problem.dropped
        others[np.arange(problem.n), problem.labels.index] = False
        alpha, away = r[others], np.where(others, r, 0.0)
    else:
        alpha = -problem.y * r
        away = alpha[:, None]
    away = problem.unweighted(away)  # the probabilities of the classes that are not the own
    total = away.sum(axis=1)
    if alpha.min(initial=0.0) < 0 or total.max(initial=0.0) > 1:
        return -math.inf, residual, alpha
    from scipy.special import entr, xlog1py

    entropy = problem.weighted(entr(away).sum(axis=1) - xlog1py(1.0 - total, -total))
    return float(entropy.sum()) / problem.n_mean, residual, alpha


def distance_error(problem: Problem, found: newton.Minimum, N: Array) -> float | None:
    r"""Bound on the distance to the minimiser of least norm, without strong convexity.

    Along the segment to it, of length r, the second derivative phi'' falls at most by
    exp(-R r t) with R = max_i ||x_i|| (softmax sqrt(2) times that), as |phi'''| <= R r phi''.
    Integrated, with mu the least curvature orthogonal to N: 1 - exp(-R r) <= R ||g||/mu.
    """
    H = newton.hessian(problem, found.scores)
    scale = float(H.trace())
    mu = float(np.linalg.eigvalsh(H + scale * (N @ N.T))[0])
    rows = np.sqrt(np.asarray((sp.csr_array(problem.X) ** 2).sum(axis=1)))
    R = float(rows.max()) * (math.sqrt(2.0) if problem.softmax else 1.0)
    if R == 0:
        return 0.0
    ratio = R * float(np.linalg.norm(found.g)) / mu if mu > 0 else math.inf
    return -math.log1p(-ratio) / R if ratio < 1 else None
