"""DoWG, distance over weighted gradients (Khaled, Mishchenko & Jin, NeurIPS 2023)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._base import Info, State
from dadapt_cli.algorithms._points import include
from dadapt_cli.algorithms._space import dot, norm, ratchet

INFO = Info(
    name="dowg",
    title="Parameter-free, DoWG (distance over weighted gradients)",
    theorem="f(average) - f* = O(D G/sqrt(n)), and O(L D^2/n) if f is smooth, both up to "
    "logarithms; on a bounded set, which is not imposed here",
    symbols="x_k, rbar_k, v_k, eta_k",
    d_means="rbar_k, the largest ||x_i - x_0||_2 so far: an estimate of D, no lower bound",
    options="--d0 (r_eps: 1e-6), --metric (identity)",
    distance="D",
    bounds=(),
    settings=(),
    refuses=("bound",),
    wants=(),
)


@dataclass(slots=True, kw_only=True)
class DoWG(State):
    """``d`` is rbar_k and the weights w_i are rbar_i^2."""

    v: float = 0.0  # sum rbar_i^2 ||g_i||^2


def start(x0: Array, g0: Array, *, d0: float) -> DoWG:
    """Before the first step: rbar_0 = r_eps."""
    return DoWG(x0=x0, d=d0)


def step(state: DoWG, g: Array) -> None:
    """Advance from x_k to x_{k+1}; `g` is the gradient at x_k."""
    square = state.d * state.d
    include(state, square, g, averaged=True)
    state.v += square * dot(g, g)
    state.step_size = square / math.sqrt(state.v)  # eta_k
    state.x = state.x - state.step_size * g  # x_{k+1}
    state.d_hat = norm(state.x - state.x0)
    state.d = ratchet(state.d, state.d_hat)  # rbar_{k+1}
