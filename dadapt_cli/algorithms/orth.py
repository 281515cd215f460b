r"""``orth``: dual averaging with free subspace search.

Not of the paper, and not a form of D-Adaptation: it keeps Algorithm 1's s_k and x_0, but each
step minimises f over

.. math:: x_k + \mathrm{span}\{g_k,\ x_k - x_0,\ s_{k+1},\ \text{the last steps}\},
          \qquad s_{k+1} = \sum_{i \le k} w_i g_i, \quad
          w_0 = 1,\ w_i = 1/2 + \sqrt{1/4 + w_{i-1}^2},

so there is no learning rate, and d is reported as a certificate and not used. It is Nemirovski's
ORTH (1982); with past steps, SESOP (Narkiss & Zibulevsky 2005). Margins are linear, so a step
costs the two products of one gradient. With exact minimisation g_{k+1} is orthogonal to
x_{k+1} - x_0 and s_{k+1}, and f(x_k) - f* <= 2 L D^2/(k+1)^2 without knowing L or D. The minimum
is found to a relative 1e-5 of the decrement, so the bound column holds the form that is computed
from what happened: [D ||s_k|| + sum w_i <g_i, x_i - x_0>]/sum w_i.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._base import Info, State
from dadapt_cli.algorithms._certificate import Certificate
from dadapt_cli.algorithms._pairs import Pairs
from dadapt_cli.algorithms._points import include
from dadapt_cli.algorithms._space import ratchet
from dadapt_cli.algorithms._subspace import (
    GRADIENT,
    OFFSET,
    STEPS,
    SUM,
    PackedSubspace,
    Subspace,
    subspace_of,
)
from dadapt_cli.objective import Evaluation, Problem

INFO = Info(
    name="orth",
    title="Orthogonal search: Algorithm 1's s and x_0, the step by free subspace search",
    theorem="f(x_k) - f* <= 2 L D^2/(k+1)^2 without L, D or a step (Nemirovski 1982; SESOP, "
    "Narkiss & Zibulevsky 2005); exact search. The learning rate is removed, not estimated",
    symbols="s_k, w_k, d_k",
    d_means="a certified lower bound on D = ||x_0 - x*||_2, in the metric; reported, not used",
    options="--memory (1), --inner exact|newton, --lbfgs-pairs (0), --metric (half)",
    distance="D",
    bounds=("certified",),
    settings=("memory", "inner", "lbfgs_pairs"),
    wants=("any L", "problem"),
    metric="half",
    averages=False,
)

INNER_STEPS = {"exact": 12, "newton": 1}
"""Newton steps in the subspace, at most; ``exact`` ends earlier, at a small decrement."""

REFRESH = 50
"""Steps after which the margins X x are recomputed."""

SMALLEST_STEP = 1e-7
"""A step shorter than this share of its parts is their cancellation, not a direction."""

FLAT = 2
"""Steps in a row without a decrease that rounding can show, after which there is none."""


@dataclass(slots=True, kw_only=True)
class Orth(State):
    """The weights w_i are those above; f never rises."""

    problem: Problem
    subspace: Subspace | PackedSubspace
    certificate: Certificate
    inner_steps: int
    memory: int
    pairs: Pairs | None
    f_x: float  # f(x_k)
    w: float = 1.0  # w_k
    k: int = 0
    flat: int = 0  # steps in a row without a visible decrease
    kept: int = field(default=0)  # steps among the directions

    def evaluate(self, problem: Problem) -> Evaluation:
        """f and gradient at x_k: margins and residuals are known, one product is left."""
        return Evaluation(self.f_x, *self.subspace.gradient(problem.rescaled(self.x)))

    @property
    def complete(self) -> bool:
        """Whether margins that a checkpoint leaves out are those of what it holds."""
        return self.subspace.anew == math.inf or self.k % self.subspace.anew == 0

    def resumed(self) -> None:
        """Make the margins, if the checkpoint has left them out."""
        if self.subspace.anew < math.inf:
            self.subspace.refresh(self.problem.rescaled(self.x))


@dataclass(frozen=True)
class Settings:
    """The options of this algorithm, as on the command line."""

    memory: int = 1
    inner: str = "exact"
    lbfgs_pairs: int = 0


def start(
    x0: Array,
    g0: Array,
    *,
    d0: float,
    bound: str = "certified",
    L: float,
    problem: Problem,
    settings: Settings = Settings(),
) -> Orth:
    """Before the first step: the margins of x_0, no direction."""
    weights, pairs = problem.rescaled(x0), settings.lbfgs_pairs
    directions = STEPS + settings.memory + (pairs > 0)
    subspace = subspace_of(problem, directions, weights)
    return Orth(
        x0=x0,
        x=x0,
        s=np.zeros_like(x0),
        average=x0,
        d=d0,
        problem=problem,
        subspace=subspace,
        certificate=Certificate(L=L),
        inner_steps=INNER_STEPS[settings.inner],
        memory=settings.memory,
        pairs=Pairs(pairs) if pairs else None,
        f_x=subspace.loss + problem.l2_term(weights),
    )


def step(state: Orth, g: Array) -> None:
    """Advance from x_k to x_{k+1}; `g` is the gradient at x_k."""
    problem, search, w = state.problem, state.subspace, state.w
    include(state, w, g)  # s_{k+1}
    state.d_hat = state.bound_C()
    state.d = ratchet(state.d, state.d_hat)
    state.w = 0.5 + math.sqrt(0.25 + w * w)

    search.D[SUM] = state.s.ravel()
    search.along(g, w, _charge_gradient(state, w), state.pairs)
    a = search.minimise(problem.rescaled(state.x), state.inner_steps)
    move = a.astype(g.dtype) @ search.D
    state.step_size = None
    state.x = state.x + move.reshape(g.shape)  # x_{k+1}
    state.k += 1
    _remember(state, a, move)
    weights = problem.rescaled(state.x)
    if state.k % min(REFRESH, search.anew) == 0:
        search.refresh(weights)
    state.rounding.drift = search.error
    before, state.f_x = state.f_x, search.loss + problem.l2_term(weights)
    rounding = 4 * float(np.finfo(g.dtype).eps) * abs(before)
    state.flat = state.flat + 1 if before - state.f_x <= rounding else 0
    state.stalled = state.flat >= FLAT


def _charge_gradient(state: Orth, w: float) -> float:
    """Bound the errors of the margins of g_k, which is returned, and of s_{k+1}."""
    at, errors = state.rounding, state.subspace.errors
    errors[GRADIENT] = at.margins * at.size
    errors[SUM] += w * errors[GRADIENT] + at.u * (3 * state.s_norm + 8 * w * at.size)
    return float(errors[GRADIENT])


def _remember(state: Orth, a: Array, move: Array) -> None:
    """Take the step among the directions, x_k - x_0 and the pairs."""
    search, at = state.subspace, state.rounding
    sizes, length = np.linalg.norm(search.D, axis=1), float(np.linalg.norm(move))
    parts = float(np.abs(a) @ sizes)
    error = float(np.abs(a) @ search.errors) + 2 * (len(a) + 4) * at.u * parts
    search.errors[OFFSET] += error + 2 * at.u * (float(sizes[OFFSET]) + length)
    search.error += error + 2 * at.u * (at.reach + length)
    search.D[OFFSET] += move
    search.add_step()
    last = slice(STEPS, STEPS + state.memory)
    if length <= SMALLEST_STEP * parts:
        search.forget(last)
        state.kept = 0
        if state.pairs is not None:
            state.pairs.forget()
        return
    if state.memory:
        row = STEPS + state.kept % state.memory
        search.remember(row, move, error)
        state.kept += 1
    if state.pairs is not None:
        state.pairs.moved(move, search.moved, error)
