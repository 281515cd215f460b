"""AdaGrad with D-Adaptation as the package dadaptation 3 has it: not Algorithm 3 of the paper."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._base import Info, MinibatchState
from dadapt_cli.algorithms._space import Scalar, dot, norm1, ratchet, ratio, times

INFO = Info(
    name="adagrad-pip",
    title="Algorithm 3, AdaGrad as in the package (--algo adagrad --variant pip)",
    theorem="none: without Algorithm 3's factor 1/2, and with A_{k+1} in both sums",
    symbols="s_k, a_k, d_k, d-hat_k",
    d_means="an estimate of D_inf = ||x_0 - x*||_inf, no lower bound",
    options="--epochs, --batch-size, --schedule, --average, --seed, --momentum",
    distance="D_inf",
    bounds=(),
    minibatch=True,
    settings=("d0", "momentum", "schedule"),
)

EPS = 1e-6
FIRST_A2 = 1e-6


@dataclass(slots=True, kw_only=True)
class AdaGradPip(MinibatchState):
    """x_k follows z_k = x_0 - s_k/(a_k + eps) with momentum."""

    s: Array  # s_k = sum_{i<k} lambda_i g_i, lambda_i = d_i eta_i
    a2: Array  # a_k^2 = 1e-6 + sum_{i<k} g_i^2
    momentum: float
    num1: Scalar = 0.0  # sum lambda_i^2 <g_i, g_i/(a_{i+1} + eps)>


def start(
    x0: Array,
    *,
    d0: Scalar,
    momentum: float = 0.0,
    variant: str = "pip",  # the only one here
) -> AdaGradPip:
    """Before the first step: s_0 = 0."""
    return AdaGradPip(x0=x0, x=x0.copy(), s=np.zeros_like(x0), a2=np.full_like(x0, FIRST_A2),
                      d=d0, momentum=momentum)  # fmt: skip


def step(state: AdaGradPip, g: Array, eta: float = 1.0) -> None:
    """Advance from x_k to x_{k+1}; `g` is a minibatch gradient at x_k."""
    lam = state.step_size = state.d * eta
    state.a2 += g * g
    a = np.sqrt(state.a2)
    a += EPS  # a_{k+1} + eps
    state.num1 += lam**2 * dot(g / a, g)
    state.s += times(lam, g)  # s_{k+1}
    move = state.s / a
    state.d_hat = ratio(dot(move, state.s) - state.num1, norm1(state.s))
    if eta > 0:
        state.d = ratchet(state.d, state.d_hat)  # d_{k+1}
    if state.momentum:
        state.x *= state.momentum
        state.x += (1 - state.momentum) * (state.x0 - move)  # z_{k+1}
    else:
        np.subtract(state.x0, move, out=state.x)
