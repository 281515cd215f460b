"""Prodigy, its gradient descent (Mishchenko & Defazio, ICML 2024): Algorithm 2 with d^2 weights."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._base import Info, State
from dadapt_cli.algorithms._certificate import Certificate
from dadapt_cli.algorithms._space import dot, norm, ratchet
from dadapt_cli.algorithms.gd import gradient_bound

__all__ = ["INFO", "gradient_bound", "start", "step"]

INFO = Info(
    name="prodigy-gd",
    title="Parameter-free, Prodigy (gradient descent)",
    theorem="f(average) - f* = O(D G sqrt(log(D/d0))/sqrt(n)) at the best n so far",
    symbols="x_k, eta_k, d_k, d-hat_k",
    d_means="a lower bound on D = ||x_0 - x*||_2",
    options="--bound II|certified; --gradient-bound auto|initial or G; --metric (identity)",
    distance="D",
    bounds=("II", "certified"),
)


@dataclass(slots=True, kw_only=True)
class ProdigyGD(State):
    """The weights w_i are eta_i; x_k = x_0 - s_k."""

    G: float
    A: float = 0.0  # sum d_i^2 ||g_i||^2
    num: float = 0.0  # sum eta_i <g_i, x_0 - x_i>


def start(
    x0: Array, g0: Array, *, d0: float, bound: str = "II", G: float, L: float = math.inf
) -> ProdigyGD:
    """Before the first step: s_0 = 0. `L` is for bound C."""
    certificate = Certificate(L=L) if bound == "certified" else None
    return ProdigyGD(x0=x0, d=d0, certificate=certificate, G=G)


def step(state: ProdigyGD, g: Array) -> None:
    """Advance from x_k to x_{k+1}; `g` is the gradient at x_k."""
    d = state.d
    state.A += d * d * dot(g, g)
    eta = state.step_size = d * d / math.sqrt(d * d * state.G**2 + state.A)  # eta_k
    state.include(eta, g)
    state.num += eta * dot(g, state.s)  # x_0 - x_k = s_k
    state.slack = -state.num
    state.s += eta * g
    state.s_norm = norm(state.s)  # ||x_{k+1} - x_0||
    state.d_hat = None
    if state.s_norm != 0:  # also where it is NaN, which ratchet refuses
        state.d_hat = state.certified(state.num / state.s_norm)
        state.d = ratchet(d, state.d_hat)  # d_{k+1}
    state.x = state.x0 - state.s  # x_{k+1}
