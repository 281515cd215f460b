"""Algorithm 4: SGD with D-Adaptation (Defazio & Mishchenko, ICML 2023; package dadaptation 3).

With `beta` gradients are taken between the last point and an average with the weights d_k
(:mod:`._schedule_free`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._base import Info
from dadapt_cli.algorithms._schedule_free import AVERAGING, Between
from dadapt_cli.algorithms._space import (
    Scalar,
    dot,
    first,
    norm,
    ratchet,
    ratio,
    settled,
    times,
)

INFO = Info(
    name="sgd",
    title="Algorithm 4, SGD",
    theorem="none; it need not converge without a schedule or averaging",
    symbols="s_k, lambda_k, z_k, d_k, d-hat_k",
    d_means="an estimate of D = ||x_0 - x*||_2, no lower bound",
    options="--epochs, --batch-size, --schedule, --average, --beta, --seed, --momentum; "
    "--variant: all coincide",
    distance="D",
    bounds=(),
    minibatch=True,
    settings=("d0", "momentum", "schedule", "beta"),
    averaging=AVERAGING,
    variants=("paper", "pip", "preprint"),
)


@dataclass(slots=True, kw_only=True)
class SGD(Between):
    """x_k follows z_k = x_0 - s_k with momentum."""

    s: Array  # s_k = sum_{i<k} lambda_i g_i
    momentum: float
    g0_norm: Scalar = 0.0  # ||g_0|| of the first minibatch gradient that is not 0
    num: Scalar = 0.0  # sum lambda_i <g_i, s_i>


def start(
    x0: Array,
    *,
    d0: Scalar,
    momentum: float = 0.0,
    beta: float | None = None,
    variant: str = "paper",  # the preprint's numerator ||s||^2 - sum lambda^2 ||g||^2 is 2 num
) -> SGD:
    """Before the first step: s_0 = 0."""
    s = np.zeros_like(x0)
    return SGD(x0=x0, x=x0.copy(), s=s, d=d0, momentum=momentum, **Between.begun(x0, beta))


def step(state: SGD, g: Array, eta: float = 1.0) -> None:
    """Advance from x_k to x_{k+1}; `g` is a minibatch gradient at x_k."""
    if not settled(state.g0_norm):
        state.g0_norm = first(state.g0_norm, norm(g))
    lam = state.step_size = ratio(state.d * eta, state.g0_norm)  # lambda_k
    state.num += lam * dot(g, state.s)
    state.s += times(lam, g)  # s_{k+1}
    state.d_hat = ratio(2 * state.num, norm(state.s))
    if eta > 0:
        state.d = ratchet(state.d, state.d_hat)  # d_{k+1}
    if state.beta is not None:
        np.subtract(state.x0, state.s, out=state.z)  # z_{k+1}
        state.look(state.d)  # y_{k+1}
    elif state.momentum:
        state.x *= state.momentum
        state.x += (1 - state.momentum) * (state.x0 - state.s)  # z_{k+1}
    else:
        np.subtract(state.x0, state.s, out=state.x)
