"""AdGD, adaptive gradient descent without descent (Malitsky & Mishchenko, ICML 2020)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._base import Info, State
from dadapt_cli.algorithms._points import include
from dadapt_cli.algorithms._space import norm

INFO = Info(
    name="adgd",
    title="Parameter-free, AdGD (adaptive gradient descent)",
    theorem="f(best) - f* = O(L D^2/n) without L or D, for smooth f",
    symbols="x_k, lambda_k, theta_k",
    d_means="not estimated: the local curvature is",
    options="--variant paper|2023, --metric (identity)",
    distance="D",
    bounds=(),
    settings=(),
    refuses=("d0", "bound"),
    variants=("paper", "2023"),
    wants=(),
    averages=False,
)

FIRST_STEP = 1e-6
"""lambda_0; the second step is as long as the curvature seen on the first one allows."""

THETA = 1e12
"""theta_0, for that."""


@dataclass(slots=True, kw_only=True)
class AdGD(State):
    """The weights w_i are lambda_i."""

    lam: float  # lambda_k
    theta: float  # lambda_k/lambda_{k-1}
    x_before: Array  # x_{k-1}
    g_before: Array  # g_{k-1}


def start(x0: Array, g0: Array) -> AdGD:
    """Before the first step."""
    return AdGD(x0=x0, lam=FIRST_STEP, theta=THETA, x_before=x0, g_before=g0)


def step(state: AdGD, g: Array) -> None:
    """Advance from x_k to x_{k+1}; `g` is the gradient at x_k."""
    if state.W > 0:
        dx, dg = norm(state.x - state.x_before), norm(g - state.g_before)
        longest = math.sqrt(1 + state.theta) * state.lam
        lam = min(longest, dx / (2 * dg)) if dg > 0 else longest
    else:
        lam = state.lam
    move(state, g, lam)


def move(state: AdGD, g: Array, lam: float) -> None:
    """Make the step lambda_k."""
    if state.W > 0:
        state.theta = lam / state.lam
    include(state, lam, g)
    state.lam = state.step_size = lam
    state.x_before, state.g_before = state.x, g
    state.x = state.x - lam * g  # x_{k+1}
    state.stalled = bool((state.x == state.x_before).all())
