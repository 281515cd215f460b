"""COCOB-Backprop (Orabona & Tommasi, NeurIPS 2017, Algorithm 2), as optax.contrib.cocob has it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._base import Info, MinibatchState

INFO = Info(
    name="cocob",
    title="Baseline, COCOB (coin betting, coordinate-wise)",
    theorem="a regret bound for the version with known gradient bounds; none for this one",
    symbols="L_k, G_k, R_k, theta_k",
    d_means="not estimated: there is no learning rate",
    options="--epochs, --batch-size, --average, --seed (no schedule is possible)",
    distance="D",
    bounds=(),
    minibatch=True,
    settings=(),
)

ALPHA = 100.0
"""The first bets are at most 1/ALPHA of the wealth."""

FIRST_L = 1e-8


@dataclass(slots=True, kw_only=True)
class Cocob(MinibatchState):
    """Each coordinate bets on the sign of its next gradient."""

    L: Array  # largest |g_i| so far
    G: Array  # sum |g_i|
    R: Array  # reward: sum -g_i (x_i - x_0), not below 0
    theta: Array  # -sum g_i


def start(x0: Array) -> Cocob:
    """Before the first step."""
    G, R, theta = (np.zeros_like(x0) for _ in range(3))
    return Cocob(x0=x0, x=x0.copy(), L=np.full_like(x0, FIRST_L), G=G, R=R, theta=theta)


def step(state: Cocob, g: Array, eta: float = 1.0) -> None:
    """Advance from x_k to x_{k+1}; `g` is a minibatch gradient at x_k, `eta` is always 1."""
    size = np.abs(g)
    np.maximum(state.L, size, out=state.L)
    state.G += size
    state.R -= g * (state.x - state.x0)
    np.maximum(state.R, 0.0, out=state.R)
    state.theta -= g
    share = state.theta / (state.L * np.maximum(state.G + state.L, ALPHA * state.L))
    state.x = state.x0 + share * (state.L + state.R)  # x_{k+1}
