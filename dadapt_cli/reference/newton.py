"""Minimise a :class:`~dadapt_cli.objective.Problem` to rounding level, for its reference.

Up to LARGEST_DENSE unknowns L-BFGS is followed by Newton's method with a Cholesky factor of the
Hessian. Beyond, ``orth`` runs until its certificate is small; on news20 that is several times
faster than L-BFGS followed by Newton's method with conjugate gradients, which only has to finish
where ``orth`` stops early. On packed data ``newton`` does it alone: all that it needs are sums over
the samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dadapt_cli._typing import Array, Indices
from dadapt_cli.objective import Evaluation, Problem, smoothness
from dadapt_cli.reference.activity import Nearness
from dadapt_cli.reference.hessian import full_hessian, second_derivatives

LARGEST_DENSE = 1500
"""Unknowns up to which the Hessian is formed and factored."""

NEWTON_STEPS = 60

MOST_STEPS = 1000
"""Of ``orth`` or ``newton``."""

ENOUGH = 1e-12
"""Certificate, relative to f, at which they may stop."""


@dataclass(frozen=True)
class Minimum:
    """A point at which Newton's method could no longer improve, with f, gradient and scores.

    On packed data there are no scores: None.
    """

    w: Array
    f: float
    g: Array
    scores: Any
    method: str


def minimise(
    problem: Problem, start: Array, *, basis: Indices | None = None, warm: bool = True
) -> Minimum:
    """Minimise f from `start`.

    Parameters
    ----------
    problem
        Any l2 >= 0; with l2 = 0 a minimiser must exist. float64.
    start
        Weights, shape (p,) or (p, C).
    basis
        Numbers of the unknowns that Newton's method moves, where others make up for the rest
        (:mod:`~dadapt_cli.reference.dependences`); by default all.
    warm
        Whether L-BFGS, or ``orth``, goes first.

    Returns
    -------
    Minimum
        Whatever was reached; the caller computes the certificate.
    """
    if problem.sums is not None:
        w = _until_certified("newton", problem, start, Nearness(problem, dense=False))
        now = problem.value_and_gradient(w)
        return Minimum(w, now.f, now.g, None, "newton")
    unknowns = start.size
    dense = unknowns <= LARGEST_DENSE
    w = start
    if warm:
        told = Nearness(problem, dense=dense)
        w = (
            _lbfgs(problem, start, told)
            if dense
            else _until_certified("orth", problem, start, told)
        )
    now = problem.value_and_gradient(w)
    if not dense and _certified(problem, now):
        return Minimum(w, now.f, now.g, now.scores.copy(), "orth")
    grad_norm = np.linalg.norm(now.g)
    for count in range(NEWTON_STEPS):
        if warm:
            told.newton(count)
        if dense:
            step = cholesky_step(problem, now.scores, now.g, basis)
        else:
            step = _conjugate_gradient_step(problem, now.scores, now.g)
        slope = float(np.vdot(now.g, step))
        if not np.isfinite(slope) or slope >= 0:
            break
        t, following = 1.0, problem.value_and_gradient(w + step)
        # Near the optimum f no longer resolves the decrease; then a smaller gradient decides.
        while not (
            following.f <= now.f + 1e-4 * t * slope
            or (abs(slope) <= 1e-12 * abs(now.f) and np.linalg.norm(following.g) < grad_norm)
        ):
            t *= 0.5
            if t < 1e-10:
                break
            following = problem.value_and_gradient(w + t * step)
        new_norm = np.linalg.norm(following.g)
        if t < 1e-10 or not (following.f < now.f or new_norm < grad_norm):
            break
        settled = new_norm > 0.5 * grad_norm and abs(slope) <= 1e-15 * abs(now.f)
        w, now, grad_norm = w + t * step, following, new_norm
        if settled or grad_norm == 0:
            break
    now = problem.value_and_gradient(w)
    method = "newton-cholesky" if dense else "newton-cg"
    return Minimum(w, now.f, now.g, now.scores.copy(), method)


def _lbfgs(problem: Problem, start: Array, told: Nearness) -> Array:
    from scipy.optimize import minimize

    def f_and_g(flat: Array) -> tuple[float, Array]:
        at = problem.value_and_gradient(flat.reshape(problem.shape))
        told.at(at)
        return at.f, at.g.ravel()

    options = {"maxiter": 200, "maxcor": 20, "ftol": 1e-12, "gtol": 0.0}
    found: Any = minimize(f_and_g, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    return np.asarray(found.x).reshape(problem.shape)


def _certified(problem: Problem, now: Evaluation) -> bool:
    """Whether ||g||^2/(2 l2) is a small share of f."""
    grad_square = float(np.vdot(now.g, now.g))
    return problem.l2 > 0 and grad_square <= ENOUGH * 2 * problem.l2 * abs(now.f)


def _until_certified(name: str, problem: Problem, start: Array, told: Nearness) -> Array:
    """``orth`` or ``newton``, in the user's variables, until it is certified or stops by itself."""
    from dadapt_cli.algorithms import newton, orth

    now = problem.value_and_gradient(start)
    if not now.g.any():
        return start
    state: Any
    step: Any
    if name == "orth":
        state, step = orth.start(start, now.g, d0=0.0, L=math.inf, problem=problem), orth.step
    else:
        L = smoothness.frobenius(problem)
        state, step = newton.start(start, now.g, d0=0.0, L=L, problem=problem), newton.step
    for _ in range(MOST_STEPS):
        if state.stalled or _certified(problem, now):
            break
        state.f = now.f
        step(state, now.g)
        now = state.evaluate(problem)
        told.at(now)
    x: Array = state.x
    return x


def cholesky_step(problem: Problem, scores: Array, g: Array, basis: Indices | None) -> Array:
    """-H^-1 g in the unknowns of `basis` (None: all of them); 0 in the others."""
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    H = full_hessian(problem, scores)
    flat = g.ravel()
    if basis is not None:
        H, flat = H[np.ix_(basis, basis)], flat[basis]
    step = np.zeros(g.size)
    if not len(H):
        return step.reshape(g.shape)
    scale = float(H.trace()) / len(H)
    lift = 0.0
    for _ in range(20):
        try:
            factor = cho_factor(H)
            break
        except (LinAlgError, ValueError):  # numerically singular: lift the diagonal just enough
            more = max(10 * lift, 1e-15 * scale)
            H[np.diag_indices_from(H)] += more - lift
            lift = more
    else:
        return step.reshape(g.shape)
    step[slice(None) if basis is None else basis] = -np.asarray(cho_solve(factor, flat))
    return step.reshape(g.shape)


def _conjugate_gradient_step(problem: Problem, scores: Array, g: Array) -> Array:
    """Newton step by conjugate gradients on Hessian-vector products."""
    from scipy.sparse.linalg import LinearOperator, cg

    q, _ = second_derivatives(problem, scores)
    X: Any = problem.X

    def product(flat: Array) -> Array:
        v = flat.reshape(problem.shape)
        z = X @ v
        z = q * (z - (q * z).sum(axis=1, keepdims=True)) if problem.softmax else q * z
        return np.asarray(X.T @ problem.weighted(z) / problem.n_mean + problem.ridge * v).ravel()

    operator = LinearOperator((g.size, g.size), matvec=product, dtype=np.float64)
    rtol = min(0.1, float(np.sqrt(np.linalg.norm(g))))
    step, _ = cg(operator, -g.ravel(), rtol=rtol, maxiter=500)
    return np.asarray(step).reshape(g.shape)
