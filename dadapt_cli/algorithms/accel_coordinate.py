"""``accel --variant coordinate``: accelerated D-Adaptation with a step size per coordinate.

As ``accel``, with Q_j for each coordinate, ||s||_1 and D_inf. d <= D_inf and the bound column are
proved by the same lines; no rate is: a point is rejected by a sum over the coordinates, where the
proof would need each of them to pass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms import accel
from dadapt_cli.algorithms._certificate import Certificate
from dadapt_cli.algorithms._rounding import Rounding
from dadapt_cli.algorithms._space import norm1, total

INFO = replace(
    accel.INFO,
    name="accel-coordinate",
    title="Beyond the paper, accelerated D-Adaptation per coordinate",
    theorem="d <= D_inf and the bound column, as Theorem C (derived here); no rate is proved",
    d_means="a lower bound on D_inf = ||x_0 - x*||_inf, in the metric",
    options="--c (4), --bound II|certified, --metric (identity)",
    distance="D_inf",
    variants=("paper",),
)

SMALLEST_SQUARE = 1e-24
"""Added to g_0j^2, as g_0j = 0 would give 0/0."""


@dataclass(slots=True, kw_only=True)
class AccelCoordinate(accel.Accelerated):
    """A step size per coordinate."""

    Q2: Array  # Q_kj^2


def start(
    x0: Array, g0: Array, *, d0: float, bound: str = "II", L: float = math.inf, c: float = 4.0
) -> AccelCoordinate:
    """Before the first step: z_0 = y_0 = x_0. `L` is L_inf, for bound C in that norm."""
    return AccelCoordinate(
        x0=x0,
        d=d0,
        certificate=Certificate(L=L) if bound == "certified" else None,
        rounding=Rounding.plain(x0, inf=True),
        inf=True,
        c=c,
        z=x0,
        w=d0,
        g=g0,
        Q2=np.zeros_like(x0),
    )


def step(state: AccelCoordinate, g: Array) -> None:
    """Accept or reject the point tried, where the gradient is `g`, and try another."""
    if state.W == 0:  # x_0 is accepted
        state.Q2, state.g0_norm = g * g + SMALLEST_SQUARE, norm1(g)
        state.accept(g)
    else:
        change, Q = g - state.g, np.sqrt(state.Q2)
        q = (state.w / state.d) ** 2 * change * change
        if total(q / Q) > total(Q):
            state.Q2 = np.where(q > state.Q2, 2 * state.Q2, state.Q2)
            state.reject(g)
        else:
            state.accept(g)
            state.Q2 = state.Q2 + q
    state.propose(1 / np.sqrt(state.Q2))
