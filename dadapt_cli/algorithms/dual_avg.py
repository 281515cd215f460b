"""Algorithm 1: dual averaging with D-Adaptation (Defazio & Mishchenko, ICML 2023)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._averaged import Averaged
from dadapt_cli.algorithms._base import Info
from dadapt_cli.algorithms._certificate import Certificate
from dadapt_cli.algorithms._space import dot, norm, ratchet
from dadapt_cli.objective import Problem
from dadapt_cli.objective.smoothness import lipschitz

INFO = Info(
    name="dual-avg",
    title="Algorithm 1, dual averaging",
    theorem="Theorems 1 and 2: f(average) - f* = O(D G/sqrt(n)) without knowing D",
    symbols="s_k, gamma_k, d_k, d-hat_k",
    d_means="a lower bound on D = ||x_0 - x*||_2",
    options="--bound I|II|certified; --gradient-bound lipschitz or G: Theorem 2's step and "
    "its iterate; --average anytime|schedule-free, --beta",
    distance="D",
    bounds=("I", "II", "certified"),
    settings=("gradient_bound", "average", "beta"),
    averaging=("none", "anytime", "schedule-free"),
)


def gradient_bound(problem: Problem, g0: Array, choice: str | float) -> float | None:
    """G of Theorem 2's step; None for the plain step, which needs no G."""
    if choice in ("auto", "initial"):
        return None
    return lipschitz(problem) if choice == "lipschitz" else float(choice)


@dataclass(slots=True, kw_only=True)
class DualAveraging(Averaged):
    """The weights w_i are d_i; z_k = x_0 - gamma_k s_k."""

    option: str
    gamma: float  # gamma_k
    S2: float  # [G^2 +] sum_{i<k} ||g_i||^2
    num1: float = 0.0  # sum gamma_i d_i^2 ||g_i||^2
    num2: float = 0.0  # sum gamma_i d_i <g_i, s_i>
    k: int = 0
    theorem2_ratio: float = math.inf  # least d_{i+1}/sum_{j<=i} d_j so far


def start(
    x0: Array,
    g0: Array,
    *,
    d0: float,
    bound: str = "I",
    G: float | None = None,
    L: float = math.inf,
    beta: float = 0.0,
) -> DualAveraging:
    """Before the first step: s_0 = 0 and gamma_0 = 1/||g_0||, or 1/G for Theorem 2.

    `L` is for bound C; Theorems 1 and 2 need of d only that it is nondecreasing, at most D and
    at least d-hat, so they hold with it.
    """
    return DualAveraging(
        x0=x0,
        beta=beta,
        d=d0,
        certificate=Certificate(L=L) if bound == "certified" else None,
        option=bound,
        gamma=1.0 / norm(g0) if G is None else 1.0 / G,
        S2=0.0 if G is None else G * G,
        theorem2_k=None if G is None else 0,
    )


def step(state: DualAveraging, g: Array) -> None:
    """Advance from x_k to x_{k+1}; `g` is the gradient at x_k."""
    d, gamma, gg = state.d, state.gamma, dot(g, g)
    state.include(d, g)
    state.num2 += gamma * d * dot(g, state.s)
    state.num1 += gamma * d * d * gg
    state.slack = -state.num2  # z_i - x_0 = -gamma_i s_i
    state.s += d * g  # s_{k+1}
    state.S2 += gg
    state.gamma = state.step_size = 1.0 / math.sqrt(state.S2)  # gamma_{k+1}
    state.s_norm = norm(state.s)
    state.d_hat = None
    if state.s_norm != 0:  # also where it is NaN, which ratchet refuses
        if state.option == "I":
            state.d_hat = (state.gamma * state.s_norm**2 - state.num1) / (2 * state.s_norm)
            state.d_hat = state.certified(state.d_hat, state.num1)
        else:
            state.d_hat = state.certified((state.num2 + state.surplus()) / state.s_norm)
        state.d = ratchet(d, state.d_hat)  # d_{k+1}
    state.look(state.x0 - state.gamma * state.s, state.d)  # z_{k+1}
    _remember_theorem2(state)
    state.k += 1


def _remember_theorem2(state: DualAveraging) -> None:
    """Keep xhat_t, t = argmin_{k<=n} d_{k+1}/sum_{i<=k} d_i: the iterate Theorem 2 returns."""
    if state.theorem2_k is not None and state.d / state.W < state.theorem2_ratio:
        state.theorem2_ratio = state.d / state.W
        state.theorem2_k = state.k
        state.theorem2_average = state.average.copy()
