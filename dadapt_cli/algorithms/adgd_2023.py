"""``adgd --variant 2023``: AdGD with longer steps (Malitsky & Mishchenko, 2023, Algorithm 2)."""

from __future__ import annotations

import math
from dataclasses import replace

from dadapt_cli._typing import Array
from dadapt_cli.algorithms import adgd
from dadapt_cli.algorithms._space import norm
from dadapt_cli.algorithms.adgd import AdGD

INFO = replace(
    adgd.INFO,
    name="adgd-2023",
    title="Parameter-free, AdGD with the longer steps of 2023",
    options="--metric (identity)",
    variants=("paper",),
)

THETA = 1 / 3
"""theta_0."""


def start(x0: Array, g0: Array) -> AdGD:
    """Before the first step."""
    return AdGD(x0=x0, lam=adgd.FIRST_STEP, theta=THETA, x_before=x0, g_before=g0)


def step(state: AdGD, g: Array) -> None:
    """Advance from x_k to x_{k+1}; `g` is the gradient at x_k."""
    if state.W > 0:
        dx, dg = norm(state.x - state.x_before), norm(g - state.g_before)
        curved = 2 * (state.lam * dg / dx) ** 2 - 1 if dx > 0 else 0.0  # 2 lambda^2 L_k^2 - 1
        longest = math.sqrt(2 / 3 + state.theta) * state.lam
        lam = min(longest, state.lam / math.sqrt(curved)) if curved > 0 else longest
    else:
        lam = state.lam
    adgd.move(state, g, lam)
