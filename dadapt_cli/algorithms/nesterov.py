"""Nesterov's accelerated gradient method (1983) with a certified L, as FISTA writes it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._base import Info, State
from dadapt_cli.algorithms._points import include

INFO = Info(
    name="nesterov",
    title="Baseline, Nesterov's accelerated gradient (needs L)",
    theorem="f(x_k) - f* <= 2 L D^2/(k+1)^2 (Beck & Teboulle 2009) at x_k = y_k - g_k/L, one step "
    "behind the points y_k of the rows; L is the certified upper bound",
    symbols="y_k, x_k, t_k",
    d_means="not estimated: L is known, by a certified bound",
    options="--metric (identity)",
    distance="D",
    bounds=(),
    settings=(),
    refuses=("d0", "bound"),
    wants=("L",),
    averages=False,
)


@dataclass(slots=True, kw_only=True)
class Nesterov(State):
    """``x`` is y_k, where gradients are taken; the weights w_i are t_i."""

    L: float
    stepped: Array  # y_{k-1} - g_{k-1}/L
    t: float = 1.0  # t_k


def start(x0: Array, g0: Array, *, L: float) -> Nesterov:
    """Before the first step: y_0 = x_0."""
    return Nesterov(x0=x0, L=L, stepped=x0)


def step(state: Nesterov, g: Array) -> None:
    """Advance from y_k to y_{k+1}; `g` is the gradient at y_k."""
    include(state, state.t, g)
    state.step_size = 1 / state.L
    before, state.stepped = state.stepped, state.x - g / state.L
    t = (1 + math.sqrt(1 + 4 * state.t**2)) / 2  # t_{k+1}
    state.x = state.stepped + (state.t - 1) / t * (state.stepped - before)  # y_{k+1}
    state.t = t
