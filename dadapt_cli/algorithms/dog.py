"""DoG, distance over gradients (Ivgi, Hinder & Carmon, ICML 2023), as optax.contrib.dog has it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._base import Info, State
from dadapt_cli.algorithms._points import include
from dadapt_cli.algorithms._space import dot, norm, ratchet

INFO = Info(
    name="dog",
    title="Parameter-free, DoG (distance over gradients)",
    theorem="f(average) - f* = O(D G/sqrt(n)) up to logarithms, as long as the iterates stay "
    "bounded (its damped form T-DoG: always)",
    symbols="x_k, rbar_k, eta_k",
    d_means="rbar_k, the largest ||x_i - x_0||_2 so far: an estimate of D, no lower bound",
    options="--d0 (r_eps: 1e-6), --metric (identity)",
    distance="D",
    bounds=(),
    settings=(),
    refuses=("bound",),
    wants=(),
)

EPS = 1e-8
"""Under the root with the squares of the gradients, as in the package."""


@dataclass(slots=True, kw_only=True)
class DoG(State):
    """``d`` is rbar_k and the weights w_i are rbar_i."""

    v: float = 0.0  # sum ||g_i||^2


def start(x0: Array, g0: Array, *, d0: float) -> DoG:
    """Before the first step: rbar_0 = r_eps (1 + ||x_0||)."""
    return DoG(x0=x0, d=d0 * (1 + norm(x0)))


def step(state: DoG, g: Array) -> None:
    """Advance from x_k to x_{k+1}; `g` is the gradient at x_k."""
    include(state, state.d, g, averaged=True)
    state.v += dot(g, g)
    state.step_size = state.d / math.sqrt(state.v + EPS)  # eta_k
    state.x = state.x - state.step_size * g  # x_{k+1}
    state.d_hat = norm(state.x - state.x0)
    state.d = ratchet(state.d, state.d_hat)  # rbar_{k+1}
