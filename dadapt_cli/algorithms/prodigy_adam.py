"""Prodigy, its Adam (Mishchenko & Defazio, ICML 2024), as the package prodigyopt 1.1 has it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._base import Info, MinibatchState
from dadapt_cli.algorithms._space import Scalar, dot, norm1, ratchet, ratio, times

INFO = Info(
    name="prodigy-adam",
    title="Parameter-free, Prodigy (Adam)",
    theorem="none; it need not converge without a schedule or averaging",
    symbols="x_k, m_k, v_k, r_k, s_k, d_k, d-hat_k",
    d_means="an estimate of D_inf = ||x_0 - x*||_inf, no lower bound",
    options="--epochs, --batch-size, --schedule, --average, --seed, --betas",
    distance="D_inf",
    bounds=(),
    minibatch=True,
    settings=("d0", "betas", "schedule"),
)

EPS = 1e-8


@dataclass(slots=True, kw_only=True)
class ProdigyAdam(MinibatchState):
    """Exponential averages; d_k is inside m, v and s."""

    d0: Scalar
    s: Array  # average of (d_i/d_0) lambda_i g_i with sqrt(beta2), lambda_i = d_i eta_i
    m: Array  # average of d_i g_i with beta1
    v: Array  # average of d_i^2 g_i^2 with beta2
    t: Array  # work space
    betas: tuple[float, float]
    r: Scalar = 0.0  # average of (d_i/d_0) lambda_i <g_i, x_0 - x_i> with sqrt(beta2)


def start(
    x0: Array,
    *,
    d0: Scalar,
    betas: tuple[float, float] = (0.9, 0.999),
    variant: str = "paper",  # there is one
) -> ProdigyAdam:
    """Before the first step: s_0 = m_0 = v_0 = 0."""
    s, m, v, t = (np.zeros_like(x0) for _ in range(4))
    return ProdigyAdam(x0=x0, x=x0.copy(), d=d0, d0=d0, s=s, m=m, v=v, t=t, betas=betas)


def step(state: ProdigyAdam, g: Array, eta: float = 1.0) -> None:
    """Advance from x_k to x_{k+1}; `g` is a minibatch gradient at x_k."""
    beta1, beta2 = state.betas
    q, t, d = math.sqrt(beta2), state.t, state.d
    lam = state.step_size = d * eta
    np.subtract(state.x0, state.x, out=t)
    state.r = q * state.r + d / state.d0 * lam * dot(g, t)
    state.s *= q
    state.s += times(d / state.d0 * lam, g, out=t)
    move = times(d, g, out=g)
    state.m *= beta1
    state.m += np.multiply(move, 1 - beta1, out=t)
    state.v *= beta2
    np.multiply(move, move, out=t)
    t *= 1 - beta2
    state.v += t
    state.d_hat = ratio(state.r, norm1(state.s, out=t))
    if eta > 0:
        state.d = ratchet(d, state.d_hat)  # d_{k+1}
    np.sqrt(state.v, out=t)
    t += times(state.d * EPS, np.ones_like(t))
    np.divide(state.m, t, out=t)
    state.x -= times(lam, t, out=t)  # x_{k+1}
