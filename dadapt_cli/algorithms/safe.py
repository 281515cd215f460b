r"""``safe``: gradient descent with the certified d as a safety budget.

Not of the paper: Algorithm 2 whose step is any proposal within a cap. With steps
:math:`\lambda_i \ge 1/L`, Lam their sum, f_b the least f of x_0..x_n and

.. math:: cost = \sum \lambda_i (\lambda_i - 1/L) \|g_i\|^2, \qquad
          spent = cost - 2 \sum \lambda_i (f_i - f_b),

the descent inequality gives 2 Lam (f_b - f*) <= D^2 + spent. ``spent`` only falls between steps;
the cap keeps it at most d_k^2 <= D^2, hence f_b - f* <= (D^2 + spent)/(2 Lam) <= L D^2/(n + 1)
whatever is proposed. Proposed is the Barzilai-Borwein step <dx, dg>/<dg, dg>.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._base import Info, State
from dadapt_cli.algorithms._certificate import Certificate
from dadapt_cli.algorithms._rounding import EPS, OUTWARD
from dadapt_cli.algorithms._space import dot, norm, ratchet

INFO = Info(
    name="safe",
    title="Safe steps: Algorithm 2 with the certified d as a budget",
    theorem="f(best) - f* <= (D^2 + spent)/(2 Lam) <= L D^2/k after k gradients, any proposal",
    symbols="s_k, lambda_k, d_k, spent, Lam",
    d_means="a lower bound on D = ||x_0 - x*||_2, in the metric",
    options="--metric (half)",
    distance="D",
    bounds=("certified",),
    settings=(),
    wants=("L",),
    metric="half",
    averages=False,
)

FLAT = 10
"""Steps in a row without a lower f that rounding can show, after which a gradient that is within
its own error ends the run."""

FLAT_FALL = 8
"""Units of rounding of f that can be seen: 4 eps, as in ``orth``."""


@dataclass(slots=True, kw_only=True)
class Safe(State):
    """The weights w_i are lambda_i; x_k = x_0 - s_k."""

    certificate: Certificate
    L: float
    cost: float = 0.0  # sum lambda_i (lambda_i - 1/L) ||g_i||^2
    lf: float = 0.0  # sum lambda_i f_i
    num: float = 0.0  # sum lambda_i <g_i, s_i>
    lam: float = 0.0  # lambda_{k-1}
    inexact: float = 0.0  # sum lambda_i ||error of g_i|| + ||error of the step||
    spent_error: float = 0.0  # of cost - 2 lf
    flat: int = 0  # steps since f_b fell by what rounding can show
    x_before: Array | None = None  # x_{k-1}
    g_before: Array | None = None  # g_{k-1}

    def spent(self) -> float:
        """What the steps so far have used of the budget d^2, given the best f so far."""
        return self.cost - 2 * (self.lf - self.W * self.certificate.f_best)

    def bound(self, D: float) -> float | None:
        """(D^2 + spent)/(2 Lam) >= min over i < k of f(x_i) - f*; none at k = 0.

        Rounded up: a step that is off by r moves ||x - x*||^2 by at most 2 ||r|| ||x - x*||.
        """
        if self.W <= 0:
            return None
        at, best = self.rounding, self.certificate
        farthest = D + 2 * at.reach + self.s_norm
        error = self.spent_error + 2 * self.inexact * farthest + 2 * self.W * best.best_error
        rest = (
            (at.steps + 8)
            * EPS
            * (D * D + self.cost + 2 * (abs(self.lf) + self.W * abs(best.f_best)))
        )
        bound = max(0.0, D * D + self.spent() + OUTWARD * (error + rest)) / (2 * self.W)
        return bound * (1 + (at.steps + 8) * EPS) + 2 * at.worst_value


def start(x0: Array, g0: Array, *, d0: float, bound: str = "certified", L: float) -> Safe:
    """Before the first step. `L` is a certified upper bound, finite."""
    return Safe(x0=x0, d=d0, L=L, certificate=Certificate(L=L))


def step(state: Safe, g: Array) -> None:
    """Advance from x_k to x_{k+1}; `g` is the gradient at x_k."""
    gg, move, f_best = dot(g, g), state.x - state.x0, state.certificate.f_best
    state.rounding.at(state.f, g, move)
    # Bound C with any weights: lambda_{k-1}, since lambda_k needs the d it makes.
    state.hyperplane = state.certificate.include(state.f, g, move, state.lam, state.rounding)
    C = state.certificate.from_sum(g, state.lam, state.rounding)
    state.d = ratchet(ratchet(state.d, state.hyperplane), C)
    budget = max(0.0, state.d**2 - state.spent())
    cap = 1 / (2 * state.L) + math.sqrt(1 / (4 * state.L**2) + budget / gg)
    lam = state.step_size = max(1 / state.L, min(_proposal(state, g), cap))  # lambda_k
    state.cost += lam * (lam - 1 / state.L) * gg
    state.lf += lam * state.f
    state.W += lam  # Lam
    _charge(state, lam)
    state.num += lam * dot(g, state.s)
    state.s += lam * g  # s_{k+1}
    state.s_norm = norm(state.s)
    state.d_hat = max(state.hyperplane, C)
    if state.s_norm != 0:  # also where it is NaN, which ratchet refuses
        state.d_hat = ratchet(
            state.d_hat, state.rounding.lower(state.num / state.s_norm, state.s_norm)
        )
        state.d = ratchet(state.d, state.d_hat)  # d_{k+1}
    state.lam, state.x_before, state.g_before = lam, state.x, g
    state.x = state.x0 - state.s  # x_{k+1}
    fell = f_best - state.certificate.f_best > FLAT_FALL * state.rounding.u * abs(state.f)
    state.flat = 0 if fell else state.flat + 1
    state.stalled = state.flat >= FLAT and state.rounding.size <= state.rounding.gradient


def _charge(state: Safe, lam: float) -> None:
    """Take the errors of the step lambda_k into those of d-hat and of the bound."""
    at = state.rounding
    step = at.u * (8 * lam * at.size + 2 * state.s_norm) + 2 * at.shift
    at.add(lam, state.s_norm)
    state.inexact += lam * at.gradient + step
    square = (2 * at.gradient + at.inner * at.size) * at.size + at.gradient**2
    state.spent_error += lam * (lam - 1 / state.L) * square + 2 * lam * at.value
    state.spent_error += EPS * (state.cost + 2 * abs(state.lf))


def _proposal(state: Safe, g: Array) -> float:
    """Barzilai and Borwein's second step; 1/L where there is none yet or dg is rounding."""
    if state.x_before is None or state.g_before is None:
        return 0.0
    dx, dg = state.x - state.x_before, g - state.g_before
    dgdg = dot(dg, dg)
    return dot(dx, dg) / dgdg if dgdg > 0 else 0.0
