"""DADA, dual averaging with distance adaptation (Moshtaghifar, Rodomanov, Vankov & Stich, 2025)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._base import Info, State
from dadapt_cli.algorithms._points import include
from dadapt_cli.algorithms._space import norm, ratchet

INFO = Info(
    name="dada",
    title="Parameter-free, DADA (dual averaging with distance adaptation)",
    theorem="f(best) - f* = O(D G/sqrt(n)), and the rates of smooth f, up to log(D/d0); "
    "exact gradients only",
    symbols="x_k, rbar_k, a_k, s_k",
    d_means="rbar_k, the largest ||x_i - x_0||_2 so far: an estimate of D, no lower bound",
    options="--d0 (1e-6), --metric (identity)",
    distance="D",
    bounds=(),
    settings=(),
    refuses=("bound",),
    wants=(),
    averages=False,
)

C = 2 * math.sqrt(2)


@dataclass(slots=True, kw_only=True)
class Dada(State):
    """``d`` is rbar_k; the weights w_i are a_i = rbar_i/||g_i||; x_k = x_0 - s_k/(C sqrt(k+1))."""

    k: int = 0


def start(x0: Array, g0: Array, *, d0: float) -> Dada:
    """Before the first step: s_0 = 0."""
    return Dada(x0=x0, d=d0)


def step(state: Dada, g: Array) -> None:
    """Advance from x_k to x_{k+1}; `g` is the gradient at x_k."""
    include(state, state.d / norm(g), g)  # s_{k+1}
    state.k += 1
    state.step_size = 1 / (C * math.sqrt(state.k + 1))
    state.x = state.x0 - state.step_size * state.s  # x_{k+1}
    state.d_hat = norm(state.x - state.x0)
    state.d = ratchet(state.d, state.d_hat)  # rbar_{k+1}
