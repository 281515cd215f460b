"""Algorithm 2: gradient descent with D-Adaptation (Defazio & Mishchenko, ICML 2023)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._base import Info, State
from dadapt_cli.algorithms._certificate import Certificate
from dadapt_cli.algorithms._space import dot, norm, ratchet
from dadapt_cli.objective import Problem
from dadapt_cli.objective.smoothness import lipschitz

INFO = Info(
    name="gd",
    title="Algorithm 2, gradient descent",
    theorem="Theorem 3: f(average) - f* = O(D G log(n)/sqrt(n))",
    symbols="s_k, lambda_k, d_k, d-hat_k",
    d_means="a lower bound on D = ||x_0 - x*||_2",
    options="--bound I|II|certified (I and II coincide); --gradient-bound auto|initial or G",
    distance="D",
    bounds=("I", "II", "certified"),
)


def gradient_bound(problem: Problem, g0: Array, choice: str | float) -> float:
    """G of lambda_k; only the rate needs it, d_k <= D holds for any."""
    if choice == "initial":
        return float(norm(g0))
    return lipschitz(problem) if choice in ("auto", "lipschitz") else float(choice)


@dataclass(slots=True, kw_only=True)
class GradientDescent(State):
    """The weights w_i are lambda_i; x_k = x_0 - s_k."""

    A: float  # G^2 + sum_{i<k} ||g_i||^2
    num: float = 0.0  # sum lambda_i <g_i, s_i>


def start(
    x0: Array, g0: Array, *, d0: float, bound: str = "I", G: float, L: float = math.inf
) -> GradientDescent:
    """Before the first step: s_0 = 0, A = G^2. `L` is for bound C, under which Theorem 3 holds."""
    return GradientDescent(
        x0=x0,
        x=x0,
        s=np.zeros_like(x0),
        average=x0.copy(),
        d=d0,
        certificate=Certificate(L=L) if bound == "certified" else None,
        A=G * G,
    )


def step(state: GradientDescent, g: Array) -> None:
    """Advance from x_k to x_{k+1}; `g` is the gradient at x_k."""
    state.A += dot(g, g)
    lam = state.step_size = state.d / math.sqrt(state.A)  # lambda_k
    state.include(lam, g)
    state.num += lam * dot(g, state.s)
    state.slack = -state.num  # x_i - x_0 = -s_i
    state.s += lam * g  # s_{k+1}
    state.s_norm = norm(state.s)
    state.d_hat = None
    if state.s_norm != 0:  # also when it is no number: the ratchet refuses that
        state.d_hat = state.certified(state.num / state.s_norm)
        state.d = ratchet(state.d, state.d_hat)  # d_{k+1}
    state.x = state.x0 - state.s  # x_{k+1}
