"""Algorithm 2: gradient descent with D-Adaptation (Defazio & Mishchenko, ICML 2023).

With an average the weight lambda_k must be known before g_k: then A_k is without it. A schedule
multiplies lambda_k; Theorem D bounds f at its last iterate (docs/theory.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._averaged import Averaged
from dadapt_cli.algorithms._base import Info
from dadapt_cli.algorithms._certificate import Certificate
from dadapt_cli.algorithms._decay import decay, last_iterate_excess
from dadapt_cli.algorithms._rounding import EPS, OUTWARD
from dadapt_cli.algorithms._space import dot, norm, ratchet
from dadapt_cli.errors import UsageError
from dadapt_cli.objective import Evaluation, Problem
from dadapt_cli.objective.smoothness import lipschitz

INFO = Info(
    name="gd",
    title="Algorithm 2, gradient descent",
    theorem="Theorem 3: f(average) - f* = O(D G log(n)/sqrt(n))",
    symbols="s_k, lambda_k, d_k, d-hat_k",
    d_means="a lower bound on D = ||x_0 - x*||_2",
    options="--bound I|II|certified (I and II coincide); --gradient-bound auto|initial or G; "
    "--average anytime|schedule-free, --beta; --schedule none|linear|cosine",
    distance="D",
    bounds=("I", "II", "certified"),
    settings=("gradient_bound", "average", "beta", "schedule"),
    averaging=("none", "anytime", "schedule-free"),
    scheduling=("constant", "none", "linear", "cosine"),
)


@dataclass(frozen=True)
class Settings:
    """How Algorithm 2 may differ from the paper's.

    Attributes
    ----------
    beta
        Where gradients are taken (:mod:`._averaged`); None is the paper, whose A_k contains g_k.
    schedule
        ``constant``, ``linear`` or ``cosine``: of lambda_k.
    steps
        After which the schedule ends; f is evaluated at one point more, x_steps.
    """

    beta: float | None = None
    schedule: str = "constant"
    steps: int = 0


def gradient_bound(problem: Problem, g0: Array, choice: str | float) -> float:
    """G of lambda_k; only the rate needs it, d_k <= D holds for any."""
    if choice == "initial":
        return float(norm(g0))
    return lipschitz(problem) if choice in ("auto", "lipschitz") else float(choice)


@dataclass(slots=True, kw_only=True)
class GradientDescent(Averaged):
    """The weights w_i are lambda_i; z_k = x_0 - s_k."""

    A: float  # G^2 + sum_{i<k} ||g_i||^2
    ahead: bool  # lambda_k without g_k in A_k
    schedule: str
    steps: int
    k: int = 0
    num: float = 0.0  # sum lambda_i <g_i, s_i>
    lam: list[float] = field(default_factory=list)  # lambda_0..lambda_{k-1}, of a schedule
    squares: list[float] = field(default_factory=list)  # ||g_0||^2..||g_{k-1}||^2, ditto
    g: Array | None = None  # g_k, of a schedule

    def evaluate(self, problem: Problem) -> Evaluation:
        """As of every state; a schedule's bound wants the gradient."""
        evaluation = Averaged.evaluate(self, problem)
        if self.schedule != "constant":
            self.f, self.g = evaluation.f, problem.rescaled(evaluation.g)
        return evaluation

    def weight(self, square: float) -> float:
        """lambda_k, for ||g_k||^2 in A_k or, with an average, 0."""
        eta = 1.0 if self.schedule == "constant" else decay(self.schedule, self.k, self.steps + 1)
        return float(self.d * eta / math.sqrt(self.A + square))

    def bound_last(self, D: float) -> float | None:
        """Theorem D: a bound on f(x_k) - f* at the last point of a schedule; none at k = 0."""
        if self.g is None or self.ahead or self.k > self.steps:
            return None
        g, square = self.g, dot(self.g, self.g)
        lam = self.weight(square)
        move, at = self.x - self.x0, replace(self.rounding)
        at.at(self.f, g, move)
        at.add(lam, self.s_norm)
        slack = self.slack + lam * dot(g, move)
        mean = at.upper(D, norm(self.s + lam * g), slack, self.W + lam)
        excess = last_iterate_excess([*self.lam, lam], [*self.squares, square])
        # Its proof has <g_i, x_i - x_j>, i >= j, with weights that add up to at most 1/lambda_k.
        errors = 4 * OUTWARD * at.s * at.reach / lam
        return mean + excess * (1 + 2 * at.inner + 4 * (at.steps + 4) * EPS) + errors


def start(
    x0: Array,
    g0: Array,
    *,
    d0: float,
    bound: str = "I",
    G: float,
    L: float = math.inf,
    settings: Settings = Settings(),
) -> GradientDescent:
    """Before the first step: s_0 = 0, A = G^2. `L` is for bound C, under which Theorem 3 holds."""
    return GradientDescent(
        x0=x0,
        x=x0,
        z=x0,
        beta=settings.beta or 0.0,
        s=np.zeros_like(x0),
        average=x0.copy(),
        d=d0,
        certificate=Certificate(L=L) if bound == "certified" else None,
        A=G * G,
        ahead=settings.beta is not None,
        schedule=settings.schedule,
        steps=settings.steps,
    )


def step(state: GradientDescent, g: Array) -> None:
    """Advance from x_k to x_{k+1}; `g` is the gradient at x_k."""
    if state.schedule != "constant" and state.k > state.steps:
        raise UsageError(
            f"--schedule {state.schedule}: this run's schedule ends at k = {state.steps}; "
            "begin another with more --iterations"
        )
    gg = dot(g, g)
    lam = state.step_size = state.weight(0.0 if state.ahead else gg)  # lambda_k
    state.A += gg
    state.include(lam, g)
    state.num += lam * dot(g, state.s)
    state.slack = -state.num  # z_i - x_0 = -s_i
    state.s += lam * g  # s_{k+1}
    state.s_norm = norm(state.s)
    state.d_hat = None
    if state.s_norm != 0:  # also when it is no number: the ratchet refuses that
        state.d_hat = state.certified((state.num + state.surplus()) / state.s_norm)
        state.d = ratchet(state.d, state.d_hat)  # d_{k+1}
    if state.schedule != "constant":
        state.lam.append(lam)
        state.squares.append(gg)
    state.k += 1
    state.look(state.x0 - state.s, state.weight(0.0) if state.ahead else 0.0)  # z_{k+1}
