"""Polyak's step (1969), which needs f*: a baseline that knows the optimum's value."""

from __future__ import annotations

from dataclasses import dataclass

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._base import Info, State
from dadapt_cli.algorithms._points import include
from dadapt_cli.algorithms._space import dot

INFO = Info(
    name="polyak",
    title="Baseline, Polyak's step (needs f*)",
    theorem="f(best) - f* = O(D G/sqrt(n)), O(L D^2/n) if f is smooth and linear if it is also "
    "strongly convex (Hazan & Kakade 2019), for those who know f*",
    symbols="x_k, eta_k",
    d_means="not estimated: f* is known, from the reference",
    options="--metric (identity)",
    distance="D",
    bounds=(),
    settings=(),
    refuses=("d0", "bound"),
    wants=("f_star",),
    averages=False,
)


@dataclass(slots=True, kw_only=True)
class Polyak(State):
    """The weights w_i are eta_i."""

    f_star: float


def start(x0: Array, g0: Array, *, f_star: float) -> Polyak:
    """Before the first step."""
    return Polyak(x0=x0, f_star=f_star)


def step(state: Polyak, g: Array) -> None:
    """Advance from x_k to x_{k+1}; `g` is the gradient at x_k."""
    eta = state.step_size = (state.f - state.f_star) / dot(g, g)  # eta_k
    if eta <= 0:  # f* is reached, to rounding
        state.stalled = True
        return
    include(state, eta, g)
    state.x = state.x - eta * g  # x_{k+1}
