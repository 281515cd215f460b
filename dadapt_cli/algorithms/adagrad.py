"""Algorithm 3: AdaGrad with D-Adaptation (Defazio & Mishchenko, ICML 2023)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._averaged import Averaged
from dadapt_cli.algorithms._base import Info
from dadapt_cli.algorithms._certificate import Certificate
from dadapt_cli.algorithms._rounding import Rounding
from dadapt_cli.algorithms._space import dot, norm1, ratchet
from dadapt_cli.objective import Problem
from dadapt_cli.objective.smoothness import lipschitz_coordinates

INFO = Info(
    name="adagrad",
    title="Algorithm 3, AdaGrad (coordinate-wise dual averaging)",
    theorem="Theorem 4: f(average) - f* = O(p G_inf D_inf/sqrt(n)), for --bound I and II; "
    "with certified, d <= D_inf and the bound column are proved, the rate is not claimed",
    symbols="s_k, a_k, d_k, d-hat_k",
    d_means="a lower bound on D_inf = ||x_0 - x*||_inf",
    options="--bound I|II|certified (bound C in the l-infinity norm); --gradient-bound auto (per "
    "coordinate), initial, lipschitz or G_inf; --average anytime|schedule-free, --beta",
    distance="D_inf",
    bounds=("I", "II", "certified"),
    variants=("paper", "pip"),
    settings=("gradient_bound", "average", "beta"),
    averaging=("none", "anytime", "schedule-free"),
)

SMALLEST_BOUND = 1e-12
"""Replaces a_0j = 0, of a feature that is zero in every row, which would give 0/0."""


def gradient_bound(problem: Problem, g0: Array, choice: str | float) -> Array:
    """a_0: a bound on each |g_j| ('auto'), or one number for all coordinates as in the paper."""
    if choice in ("auto", "lipschitz"):
        a0 = lipschitz_coordinates(problem)
        if choice == "lipschitz":
            a0 = np.full(g0.shape, a0.max())
    else:
        a0 = np.full(g0.shape, np.abs(g0).max() if choice == "initial" else float(choice))
    return np.where(a0 > 0, a0, SMALLEST_BOUND).astype(g0.dtype)


@dataclass(slots=True, kw_only=True)
class AdaGrad(Averaged):
    """The weights w_i are d_i; z_k = x_0 - s_k/a_k, coordinate by coordinate."""

    option: str
    a2: Array  # a_k^2 = G_inf^2 + sum_{i<k} g_i^2
    a: Array  # a_k
    num1: float = 0.0  # sum d_i^2 <g_i, g_i/a_i>
    num2: float = 0.0  # sum d_i <g_i, s_i/a_i>


def start(
    x0: Array,
    g0: Array,
    *,
    d0: float,
    bound: str = "I",
    G: Array,
    L: float = math.inf,
    beta: float = 0.0,
) -> AdaGrad:
    """Before the first step: s_0 = 0, a_0 = G_inf. `L` is L_inf, for bound C in that norm."""
    return AdaGrad(
        x0=x0,
        beta=beta,
        d=d0,
        certificate=Certificate(L=L) if bound == "certified" else None,
        rounding=Rounding.plain(x0, inf=True),
        option=bound,
        a2=G * G,
        a=G.copy(),
    )


def step(state: AdaGrad, g: Array) -> None:
    """Advance from x_k to x_{k+1}; `g` is the gradient at x_k."""
    d, scaled = state.d, g / state.a  # a_k, before the update
    state.include(d, g)
    state.num1 += d * d * dot(g, scaled)
    state.num2 += d * dot(state.s, scaled)
    state.slack = -state.num2  # z_i - x_0 = -s_i/a_i
    state.s += d * g  # s_{k+1}
    state.a2 += g * g
    state.a = np.sqrt(state.a2)  # a_{k+1}
    move = state.s / state.a
    state.s_norm = norm1(state.s)
    state.d_hat = None
    if state.s_norm != 0:  # also where it is NaN, which ratchet refuses
        if state.option == "I":
            state.d_hat = (dot(state.s, move) - state.num1) / (2 * state.s_norm)
            state.d_hat = state.certified(state.d_hat, state.num1)
        else:
            state.d_hat = state.certified((state.num2 + state.surplus()) / state.s_norm)
        state.d = ratchet(d, state.d_hat)  # d_{k+1}
    state.look(state.x0 - move, state.d)  # z_{k+1}
