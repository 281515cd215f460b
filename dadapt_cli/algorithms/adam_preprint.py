"""Adam with D-Adaptation as in the preprint (arXiv 2301.07733v2, there Algorithm 4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._base import Info, MinibatchState
from dadapt_cli.algorithms._space import Scalar, dot, norm1, ratchet, ratio, times

INFO = Info(
    name="adam-preprint",
    title="Algorithm 5, Adam as in the preprint (--algo adam --variant preprint)",
    theorem="none; it need not converge without a schedule or averaging",
    symbols="s_k, m_k, v_k, A_k, r_k, d_k, d-hat_k",
    d_means="an estimate of D_inf = ||x_0 - x*||_inf, no lower bound",
    options="--epochs, --batch-size, --schedule, --average, --seed, --betas",
    distance="D_inf",
    bounds=(),
    minibatch=True,
    settings=("d0", "betas", "schedule"),
)

EPS = 1e-8


@dataclass(slots=True, kw_only=True)
class AdamPreprint(MinibatchState):
    """Exponential averages; the numerator is that of Option I."""

    s: Array  # average of lambda_i g_i with beta2
    m: Array  # average of lambda_i g_i with beta1
    v: Array  # average of g_i^2 with beta2
    betas: tuple[float, float]
    r: Scalar = 0.0  # average of lambda_i^2 <g_i, g_i/A_{i+1}> with beta2


def start(
    x0: Array,
    *,
    d0: Scalar,
    betas: tuple[float, float] = (0.9, 0.999),
    variant: str = "preprint",  # the only one here
) -> AdamPreprint:
    """Before the first step: s_0 = m_0 = v_0 = 0."""
    s, m, v = (np.zeros_like(x0) for _ in range(3))
    return AdamPreprint(x0=x0, x=x0.copy(), s=s, m=m, v=v, d=d0, betas=betas)


def step(state: AdamPreprint, g: Array, eta: float = 1.0) -> None:
    """Advance from x_k to x_{k+1}; `g` is a minibatch gradient at x_k."""
    beta1, beta2 = state.betas
    lam = state.step_size = state.d * eta
    state.v *= beta2
    state.v += (1 - beta2) * (g * g)  # v_{k+1}
    a = np.sqrt(state.v)
    a += EPS  # A_{k+1}
    state.r = beta2 * state.r + (1 - beta2) * lam**2 * dot(g / a, g)  # r_{k+1}
    move = times(lam, g)
    state.m *= beta1
    state.m += (1 - beta1) * move  # m_{k+1}
    state.s *= beta2
    state.s += (1 - beta2) * move  # s_{k+1}
    num = dot(state.s / a, state.s) / (1 - beta2) - state.r
    state.d_hat = ratio(num, norm1(state.s))
    if eta > 0:
        state.d = ratchet(state.d, state.d_hat)  # d_{k+1}
    state.x -= state.m / a  # x_{k+1}
