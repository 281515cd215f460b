"""AC-FGM, the auto-conditioned fast gradient method (Li & Lan, 2023), without its line search."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._base import Info, State
from dadapt_cli.algorithms._points import include
from dadapt_cli.algorithms._space import dot, norm

INFO = Info(
    name="ac-fgm",
    title="Parameter-free, AC-FGM (auto-conditioned fast gradient method)",
    theorem="f(x_k) - f* = O(L D^2/n^2) without L or D, for smooth f",
    symbols="x_k, y_k, z_k, eta_k, tau_k, L_k",
    d_means="not estimated: the local curvature is",
    options="--metric (identity)",
    distance="D",
    bounds=(),
    settings=(),
    refuses=("d0", "bound"),
    wants=(),
    averages=False,
)

BETA = 1 - math.sqrt(6) / 3
ALPHA = 0.1
PROBE = 1e-4
"""Distance of the second gradient, whose estimate of L replaces the first line search."""
TINY = float(np.finfo(np.float64).tiny)


@dataclass(slots=True, kw_only=True)
class ACFGM(State):
    """The weights w_i are 1: the theorem is for x_k, the bound for the best of all."""

    y: Array  # y_k
    g: Array  # gradient at x_{k-1}
    x_before: Array  # x_{k-1}
    f_before: float = 0.0  # f(x_{k-1})
    eta: float = 0.0  # eta_k
    tau: float = 1.0  # tau_k
    tau_before: float = 0.0
    k: int = 0


def start(x0: Array, g0: Array) -> ACFGM:
    """Before the first step: y_0 = x_0."""
    return ACFGM(x0=x0, y=x0, g=g0, x_before=x0)


def step(state: ACFGM, g: Array) -> None:
    """Advance from x_k to x_{k+1}; `g` is the gradient at x_k. The second point is the probe."""
    include(state, 1.0, g)
    state.k += 1
    if state.k == 1:
        state.f_before = state.f
        state.x = state.x0 - PROBE / norm(g) * g
        return
    change = g - state.g
    if state.k == 2:  # from the probe back to x_0, and the first step from there
        L = norm(change) / norm(state.x - state.x0)
        state.eta = 1 / (2.5 * max(L, TINY))
        state.step_size = state.eta
        state.x = state.x0 - state.eta * state.g
        return
    if state.k == 3:
        L = norm(change) / norm(state.x - state.x_before)
        state.eta = min((1 - BETA) * state.eta, 1 / (4 * max(L, TINY)))
    else:
        curved = 2 * (state.f_before - state.f - dot(g, state.x_before - state.x))
        L = dot(change, change) / curved if curved > 0 else 0.0
    _advance(state, g, L)


def _advance(state: ACFGM, g: Array, L: float) -> None:
    """One iteration of the listing, with the last local estimate of L."""
    eta, tau = state.eta, state.tau
    if L > 0:
        eta = min(4 / 3 * eta, (state.tau_before + 1) / tau * eta, tau / (4 * L))
    state.eta = state.step_size = eta
    state.tau_before, state.tau = tau, tau + 2 * (1 - ALPHA) * eta * L / tau + ALPHA / 2
    z = state.y - eta * g
    state.y = (1 - BETA) * state.y + BETA * z
    state.x_before, state.f_before, state.g = state.x, state.f, g
    state.x = (z + state.tau * state.x) / (1 + state.tau)
