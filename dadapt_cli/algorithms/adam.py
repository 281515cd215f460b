"""Algorithm 5: Adam with D-Adaptation (Defazio & Mishchenko, ICML 2023; package dadaptation 3)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._base import Info, MinibatchState
from dadapt_cli.algorithms._space import Scalar, norm1, ratchet, ratio, times, total

INFO = Info(
    name="adam",
    title="Algorithm 5, Adam",
    theorem="none; it need not converge without a schedule or averaging",
    symbols="s_k, m_k, v_k, A_k, r_k, d_k, d-hat_k",
    d_means="an estimate of D_inf = ||x_0 - x*||_inf, no lower bound",
    options="--epochs, --batch-size, --schedule, --average, --seed, --betas; --variant preprint "
    "(pip and paper coincide: r takes A_k as the package does, the listing A_{k+1})",
    distance="D_inf",
    bounds=(),
    minibatch=True,
    settings=("d0", "betas", "schedule"),
    variants=("paper", "pip", "preprint"),
)

EPS = 1e-8


@dataclass(slots=True, kw_only=True)
class Adam(MinibatchState):
    """Exponential averages; d_k and the schedule's value are inside m."""

    s: Array  # average of lambda_i g_i with sqrt(beta2)
    m: Array  # average of lambda_i g_i with beta1
    v: Array  # average of g_i^2 with beta2
    a: Array  # A_k = sqrt(v_k) + eps
    t: Array  # work space: a new array for each product costs more than the product
    betas: tuple[float, float]
    r: Scalar = 0.0  # average of lambda_i <g_i, s_i/A_i> with sqrt(beta2)


def start(
    x0: Array,
    *,
    d0: Scalar,
    betas: tuple[float, float] = (0.9, 0.999),
    variant: str = "paper",  # they coincide here; preprint is adam_preprint
) -> Adam:
    """Before the first step: s_0 = m_0 = v_0 = 0."""
    s, m, v, t = (np.zeros_like(x0) for _ in range(4))
    return Adam(x0=x0, x=x0.copy(), s=s, m=m, v=v, a=v + EPS, t=t, d=d0, betas=betas)


def step(state: Adam, g: Array, eta: float = 1.0) -> None:
    """Advance from x_k to x_{k+1}; `g` is a minibatch gradient at x_k."""
    beta1, beta2 = state.betas
    q, t = math.sqrt(beta2), state.t
    lam = state.step_size = state.d * eta
    np.divide(g, state.a, out=t)
    t *= state.s
    state.r = q * state.r + (1 - q) * lam * total(t)  # r_{k+1}: s_k and A_k
    np.multiply(g, g, out=t)
    t *= 1 - beta2
    state.v *= beta2
    state.v += t  # v_{k+1}
    move = times(lam, g, out=g)
    np.multiply(move, 1 - beta1, out=t)
    state.m *= beta1
    state.m += t  # m_{k+1}
    move *= 1 - q
    state.s *= q
    state.s += move  # s_{k+1}
    state.d_hat = ratio(state.r, (1 - q) * norm1(state.s, out=t))
    if eta > 0:
        state.d = ratchet(state.d, state.d_hat)  # d_{k+1}
    np.sqrt(state.v, out=state.a)
    state.a += EPS  # A_{k+1}
    np.divide(state.m, state.a, out=t)
    state.x -= t  # x_{k+1}
