"""Schedule-free SGD with full gradients (Defazio et al., NeurIPS 2024), package schedulefree."""

from __future__ import annotations

from dataclasses import dataclass

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._base import Info, State
from dadapt_cli.algorithms._space import dot, norm

INFO = Info(
    name="schedule-free",
    title="Baseline, schedule-free gradient descent (step 1/L)",
    theorem="f(average) - f* = O(D G/sqrt(n)) with the step D/(G sqrt(n)); here it is 1/L, L the "
    "certified upper bound",
    symbols="x_k, y_k, z_k",
    d_means="not estimated: the learning rate is given by L",
    options="--metric (identity)",
    distance="D",
    bounds=(),
    settings=(),
    refuses=("d0", "bound"),
    wants=("L",),
)

BETA = 0.9


@dataclass(slots=True, kw_only=True)
class ScheduleFree(State):
    """``x`` is y_k, where gradients are taken; ``average`` is the listing's x_k.

    It averages z_1..z_k with equal weights: z_0 = x_0 has none, so it begins with the second
    step.
    """

    L: float
    z: Array  # z_k
    ahead: Array  # the average with z_k in it, from which y_k is made
    k: int = 0


def start(x0: Array, g0: Array, *, L: float) -> ScheduleFree:
    """Before the first step: y_0 = z_0 = x_0."""
    return ScheduleFree(x0=x0, L=L, z=x0, ahead=x0)


def step(state: ScheduleFree, g: Array) -> None:
    """Advance from y_k to y_{k+1}; `g` is the gradient at y_k."""
    if state.k > 0:  # Lemma 5's sums for the points z_1..z_k, weights 1
        state.weigh(1.0, g, state.z)
        state.average = state.ahead
        share = 1 / state.W
        state.rounding.averaged(share)
        state.rounding.displaced(state.W, share)
        state.fraction = share / (1 - BETA + share * BETA)  # of y_k in the average
        state.slack += dot(g, state.z - state.x0)
        state.s += g
        state.s_norm = norm(state.s)
    state.k += 1
    state.step_size = 1 / state.L
    state.z = state.z - g / state.L  # z_{k+1}
    state.ahead = state.average + (state.z - state.average) / (state.W + 1)
    state.x = state.ahead + (1 - BETA) * (state.z - state.ahead)  # y_{k+1}
