"""Algorithm 5: Adam with D-Adaptation (Defazio & Mishchenko, ICML 2023; package dadaptation 3).

With `beta` gradients are taken between the last point and an average with the weights d_k^2 k^2
(:mod:`._schedule_free`); that takes the place of m, and v_k is corrected for its start at 0: its
first steps would be 31 times too long otherwise, and d four times too small.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._base import Info
from dadapt_cli.algorithms._schedule_free import AVERAGING, Between
from dadapt_cli.algorithms._space import Scalar, norm1, ratchet, ratio, times, total

INFO = Info(
    name="adam",
    title="Algorithm 5, Adam",
    theorem="none; it need not converge without a schedule or averaging",
    symbols="s_k, m_k, v_k, A_k, r_k, d_k, d-hat_k",
    d_means="an estimate of D_inf = ||x_0 - x*||_inf, no lower bound",
    options="--epochs, --batch-size, --schedule, --average, --beta, --seed, --betas; "
    "--variant preprint "
    "(pip and paper coincide: r takes A_k as the package does, the listing A_{k+1})",
    distance="D_inf",
    bounds=(),
    minibatch=True,
    settings=("d0", "betas", "schedule", "beta"),
    averaging=AVERAGING,
    variants=("paper", "pip", "preprint"),
)

EPS = 1e-8


@dataclass(slots=True, kw_only=True)
class Adam(Between):
    """Exponential averages; d_k and the schedule's value are inside m."""

    s: Array  # average of lambda_i g_i with sqrt(beta2)
    m: Array | None  # average of lambda_i g_i with beta1; None: beta in place of beta1
    v: Array  # average of g_i^2 with beta2
    a: Array  # A_k = sqrt(v_k) + eps
    t: Array  # work space: a new array for each product costs more than the product
    betas: tuple[float, float]
    r: Scalar = 0.0  # average of lambda_i <g_i, s_i/A_i> with sqrt(beta2)
    k: int = 0


def start(
    x0: Array,
    *,
    d0: Scalar,
    betas: tuple[float, float] = (0.9, 0.999),
    beta: float | None = None,
    variant: str = "paper",  # they coincide here; preprint is adam_preprint
) -> Adam:
    """Before the first step: s_0 = m_0 = v_0 = 0."""
    s, v, t = (np.zeros_like(x0) for _ in range(3))
    m = v.copy() if beta is None else None
    more = Between.begun(x0, beta)
    return Adam(x0=x0, x=x0.copy(), s=s, m=m, v=v, a=v + EPS, t=t, d=d0, betas=betas, **more)


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
    if state.m is not None:
        np.multiply(move, 1 - beta1, out=t)
        state.m *= beta1
        state.m += t  # m_{k+1}
    else:
        _advance(state, move)
    move *= 1 - q
    state.s *= q
    state.s += move  # s_{k+1}
    state.d_hat = ratio(state.r, (1 - q) * norm1(state.s, out=t))
    if eta > 0:
        state.d = ratchet(state.d, state.d_hat)  # d_{k+1}
    state.k += 1
    if state.m is None:
        state.look((state.d * state.k) ** 2)  # y_{k+1}
        return
    np.sqrt(state.v, out=state.a)
    state.a += EPS  # A_{k+1}
    np.divide(state.m, state.a, out=t)
    state.x -= t  # x_{k+1}


def _advance(state: Adam, move: Array) -> None:
    """A_{k+1} of the corrected v_{k+1}, and z_{k+1} = z_k - lambda_k g_k/A_{k+1}."""
    np.divide(state.v, 1 - state.betas[1] ** (state.k + 1), out=state.a)
    np.sqrt(state.a, out=state.a)
    state.a += EPS
    np.divide(move, state.a, out=state.t)
    state.z -= state.t
