"""The infimum without an l2 term: which losses can be driven to zero together, and the rest.

Each loss is made of terms with a margin that is linear in the weights
(:mod:`~dadapt_cli.reference.terms`). B has these as rows. A direction v with B v >= 0, B v != 0
lets the terms with (B v)_i > 0 fall to zero without raising any other, so the infimum is not
attained; let I+ be all terms that can fall so together. Then

    inf f = min of f without the terms of I+,

which is attained (facial reduction). I+ is found from solutions with a small l2: they grow along
v and leave it only where B v = 0; only where that is undecided a linear programme is solved, in
the few directions left. No claim depends on this choice: losses are not negative, so for any terms
that are left out the minimum of the others bounds f* from below, and f at any point bounds it from
above. All claims are proven from the :class:`Witness` alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from dadapt_cli._typing import Array, Mask
from dadapt_cli.objective import Problem
from dadapt_cli.objective.rounding import TINY, up
from dadapt_cli.reference import dependences, newton
from dadapt_cli.reference.dependences import Dependences
from dadapt_cli.reference.enclosure import (
    CURVATURE,
    enclose,
    of_columns,
    structural,
)
from dadapt_cli.reference.evaluation import mean_of, scores_with_error
from dadapt_cli.reference.reference import Reference
from dadapt_cli.reference.self_concordance import exponents, scaled
from dadapt_cli.reference.terms import Terms
from dadapt_cli.reference.witness import SEPARATES, Witness, attained, enough

LADDER = (1e-4, 1e-6, 1e-8, 1e-10, 1e-12)
"""l2 of the solutions that are looked at, each from the one before."""

RELATIVE_ZERO = 1e-9
"""A margin below this, relative to row and direction, counts as zero when terms are chosen."""

NAMED = 3
"""Features of a direction that are named."""


@dataclass(frozen=True)
class _Split:
    """The terms of I+ and a direction along which they, and no others, fall to zero."""

    falling: Mask  # of all terms, (m,)
    direction: Array  # (unknowns,)
    method: str


def infimum(problem: Problem, x0: Array) -> tuple[Reference, Witness | None]:
    """The reference of a problem without l2 term, distances from `x0`, and its witness."""
    exponent = exponents(problem.X)
    even = Problem(
        scaled(problem.X, exponent), problem.labels, sample_weight=problem.sample_weight,
        n_mean=problem.n_mean, threads=problem.threads,
    )  # fmt: skip
    if math.prod(problem.shape) > newton.LARGEST_DENSE:
        return _separable_or_none(problem, even)
    terms = Terms(problem)
    level = terms.scaled(even, exponent)
    powers = exponent.reshape(-1, *(1 for _ in problem.shape[1:]))
    w, reason = problem.zeros(), "no l2 was small enough to tell which losses fall to zero"
    for stage, l2 in enumerate(LADDER):
        found = newton.minimise(even.with_l2(l2), w, warm=stage == 0)
        w = found.w
        if _separates(level.margins(w), level.norms, w):
            every = np.ones(len(terms), bool)
            split: _Split | None = _Split(every, w.ravel(), SEPARATES)
        else:
            split = _split(level, w, level.dual(found.scores), l2, last=l2 == LADDER[-1])
        if split is None:
            continue
        kept = ~split.falling
        known = _known(terms, kept)
        left, start = even, w
        if not kept.all():
            left = even.restrict(level.mask(kept))
        if kept.any():
            start = np.ldexp(known.reduce(np.ldexp(w, -powers)), powers)
            start = newton.minimise(left, start, basis=known.basis, warm=False).w
        v = np.ldexp(split.direction.reshape(problem.shape), -powers)
        witness = Witness(np.ldexp(start, -powers), split.method, split.falling, v)
        reference = certify(problem, witness, x0, terms, known)
        if reference.status != "none":
            return reference, witness
        reason = reference.reason or reason
    return Reference("none", reason=reason), None


def _known(terms: Terms, kept: Mask) -> Dependences:
    """The exact dependences of the kept terms' columns."""
    if kept.all():
        return of_columns(terms.problem)
    return dependences.find(terms.B[np.flatnonzero(kept)], structural(terms.problem))


def certify(
    problem: Problem,
    witness: Witness,
    x0: Array,
    terms: Terms | None = None,
    known: Dependences | None = None,
) -> Reference:
    """Prove what follows from a witness, without an l2 term; status ``none`` where nothing does."""
    terms = Terms(problem) if terms is None else terms
    falling = witness.falling
    if falling is None or len(falling) != len(terms):
        falling = np.zeros(len(terms), bool)
    known = _known(terms, ~falling) if known is None else known
    if not falling.any() or witness.direction is None:
        found = enclose(problem, witness.w, curvature=True, x0=x0, known=known)
        return attained(problem, found, witness, x0)
    mean, lower, upper = mean_of(problem), 0.0, 0.0
    if not falling.all():
        left = problem.restrict(terms.mask(~falling))
        found = enclose(left, witness.w, curvature=True, known=known, mean=mean)
        if found.reason is not None and found.lower <= 0.0:
            return Reference("none", reason=found.reason)
        lower, upper = found.lower, found.upper
    v = witness.direction
    with np.errstate(all="ignore"):
        proven = terms.falls_exactly(falling, v, known)
        if not proven:  # then f* is at most f at a point far along the direction
            far = known.reduce(witness.w) + _far_enough(terms, falling, v, witness.w)
            upper = enclose(problem, far, curvature=False).f_upper
    gap = max(up(upper - lower), TINY)
    if not enough(gap, upper, 0.0):
        return Reference("none", reason=f"no certificate: f* is only known to {gap:.1e} at l2 = 0")
    return Reference(
        "not-attained",
        f_star=upper,
        gap=gap,
        method=f"{witness.how}; {CURVATURE}",
        reason=_in_words(problem, falling, v, proven),
        witness=witness.w,
        direction=v,
    )


def _in_words(problem: Problem, falling: Mask, v: Array, proven: bool) -> str:
    """What separates the samples, and whether that is proven."""
    count = int(falling.sum())
    begin = "D is infinite: " if proven else "not attained, to 1e-12: "
    if count == falling.size:
        what = "the data are separable, and f comes as near to 0 as one likes"
        kind = "complete separation"
    else:
        what = f"the losses of {count} of {falling.size} margins can be driven to 0"
        what += ", so the infimum is not attained" if proven else ""
        kind = "quasi-complete separation"
    X = problem.X
    largest = np.abs(X).max(axis=0) if isinstance(X, np.ndarray) else abs(X).max(axis=0).toarray()
    reach = np.abs(v).reshape(problem.p, -1).max(axis=1) * np.ravel(largest)
    order = np.argsort(-reach, kind="stable")[:NAMED]
    order = order[reach[order] > 1e-3 * reach.max(initial=0.0)]
    constant = problem.p if problem.bias else 0
    names = ["the constant" if j + 1 == constant else str(j + 1) for j in order.tolist()]
    features = f"; most along feature{'s' * (len(names) > 1)} {', '.join(names)}" if names else ""
    return f"{begin}{what} ({kind}{features})"


def _separates(margins: Array, norms: Array, w: Array) -> bool:
    """Whether every term with a non-zero row has a margin clear of rounding, and all rows have."""
    scale = float(np.linalg.norm(w))
    return bool(scale > 0 and norms.min() > 0 and np.all(margins > RELATIVE_ZERO * norms * scale))


def _separable_or_none(problem: Problem, even: Problem) -> tuple[Reference, Witness | None]:
    """For problems too wide to be factored: only separability can be decided."""
    found = newton.minimise(even.with_l2(1e-8), problem.zeros())
    exponent = exponents(problem.X).reshape(-1, *(1 for _ in problem.shape[1:]))
    witness = Witness(np.ldexp(found.w, -exponent), SEPARATES)
    reference = certify_wide(problem, witness)
    return reference, None if reference.status == "none" else witness


def certify_wide(problem: Problem, witness: Witness) -> Reference:
    """Prove that the witness separates the samples; status ``none`` where it does not."""
    with np.errstate(all="ignore"):
        scores, error = scores_with_error(problem, witness.w)
        if problem.softmax:
            line, own = np.arange(problem.n), problem.labels.index
            best = scores[line, own].copy()
            scores[line, own] = -np.inf
            margins = best - scores.max(axis=1)
        else:
            margins = problem.y * scores
        separated = bool(np.all(margins > 4.0 * error))
    if not separated:
        return Reference(
            "none",
            reason=f"{math.prod(problem.shape)} weights are too many to certify f* without an l2 "
            "term; --l2 1/n has a certificate",
        )
    every = np.ones(problem.n, bool)
    return Reference(
        "not-attained",
        f_star=0.0,
        gap=TINY,
        method=f"{witness.how}, clear of rounding",
        reason=_in_words(problem, every, witness.w, True),
        witness=witness.w,
        direction=witness.w,
    )


def _split(terms: Terms, w: Array, alpha: Array, l2: float, *, last: bool) -> _Split | None:
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


def _far_enough(terms: Terms, falling: Mask, v: Array, w: Array) -> Array:
    """t v with t so large that the falling terms together add less than 1e-20 to f."""
    slope, here = terms.margins(v)[falling], terms.margins(w)[falling]
    wanted = 46.0 + math.log(len(slope))
    t = float(np.max((wanted - here) / slope))
    return max(t, 0.0) * v
