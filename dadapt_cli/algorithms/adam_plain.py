"""Plain Adam with a given learning rate (Kingma & Ba 2015), as torch.optim.Adam has it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._base import Info, MinibatchState
from dadapt_cli.algorithms._space import Scalar, times

INFO = Info(
    name="adam-plain",
    title="Baseline, Adam with a given learning rate",
    theorem="none; it need not converge",
    symbols="m_k, v_k",
    d_means="not estimated: the learning rate is given",
    options="--lr (required); --epochs, --batch-size, --schedule, --average, --seed, --betas",
    distance="D_inf",
    bounds=(),
    minibatch=True,
    settings=("lr", "betas", "schedule"),
)

EPS = 1e-8


@dataclass(slots=True, kw_only=True)
class PlainAdam(MinibatchState):
    """Exponential averages with bias correction."""

    m: Array  # average of g_i with beta1
    v: Array  # average of g_i^2 with beta2
    t: Array  # work space
    lr: Scalar
    betas: tuple[float, float]
    k: int = 0


def start(x0: Array, *, lr: Scalar, betas: tuple[float, float] = (0.9, 0.999)) -> PlainAdam:
    """Before the first step: m_0 = v_0 = 0."""
    m, v, t = (np.zeros_like(x0) for _ in range(3))
    return PlainAdam(x0=x0, x=x0.copy(), m=m, v=v, t=t, lr=lr, betas=betas)


def step(state: PlainAdam, g: Array, eta: float = 1.0) -> None:
    """Advance from x_k to x_{k+1}; `g` is a minibatch gradient at x_k."""
    beta1, beta2 = state.betas
    state.k += 1
    state.step_size = state.lr * eta
    t = state.t
    np.multiply(g, 1 - beta1, out=t)
    state.m *= beta1
    state.m += t  # m_{k+1}
    np.multiply(g, g, out=t)
    t *= 1 - beta2
    state.v *= beta2
    state.v += t  # v_{k+1}
    np.sqrt(state.v, out=t)
    t *= 1 / math.sqrt(1 - beta2**state.k)
    t += EPS
    np.divide(state.m, t, out=t)
    state.x -= times(state.step_size / (1 - beta1**state.k), t, out=t)  # x_{k+1}
