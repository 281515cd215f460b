"""Plain SGD with a given learning rate and heavy-ball momentum, as torch.optim.SGD has it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._base import Info, MinibatchState
from dadapt_cli.algorithms._space import Scalar, times

INFO = Info(
    name="sgd-plain",
    title="Baseline, SGD with a given learning rate",
    theorem="f(average) - f* = O(D G/sqrt(n)) with the learning rate D/(G sqrt(n))",
    symbols="x_k, eta_k",
    d_means="not estimated: the learning rate is given",
    options="--lr (required); --epochs, --batch-size, --schedule, --average, --seed, --momentum",
    distance="D",
    bounds=(),
    minibatch=True,
    settings=("lr", "momentum", "schedule"),
)


@dataclass(slots=True, kw_only=True)
class PlainSGD(MinibatchState):
    """x_{k+1} = x_k - lr eta_k b_{k+1}."""

    b: Array  # b_{k+1} = momentum b_k + g_k
    lr: Scalar
    momentum: float


def start(x0: Array, *, lr: Scalar, momentum: float = 0.0) -> PlainSGD:
    """Before the first step: b_0 = 0."""
    return PlainSGD(x0=x0, x=x0.copy(), b=np.zeros_like(x0), lr=lr, momentum=momentum)


def step(state: PlainSGD, g: Array, eta: float = 1.0) -> None:
    """Advance from x_k to x_{k+1}; `g` is a minibatch gradient at x_k."""
    state.step_size = state.lr * eta
    if state.momentum:
        state.b *= state.momentum
        state.b += g
        g = state.b
    state.x -= times(state.step_size, g)
