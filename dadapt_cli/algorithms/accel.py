r"""``accel``: accelerated D-Adaptation, which needs neither L nor G nor D.

Not of the paper; derived here from three known parts: the gradient is taken at the weighted average
y of the points z (anytime averaging, Cutkosky 2019), the last gradient is a hint for the next step
(optimism; Joulani et al. 2020, Kavis et al. 2019), and d is D-Adaptation's certified lower bound,
with what convexity leaves over between two averages,

.. math:: S = \sum_k W_{k-1} \left(f(y_{k-1}) - f(y_k) - \langle g_k, y_{k-1} - y_k\rangle\right)
          \ge 0 .

The weights w_k = sqrt(c W_k d_k) grow like k. Theorem C, for convex f and 1 <= c <= 16: d_k <= D
always; f(y_n) - f* <= 4.38 D d_{n+1} Q_n/W_n for every n, which is O(L D^2/n^2) once d has grown
if f is L-smooth, and O(D G/sqrt(n)) if its gradients are bounded by G (docs/theory.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._base import Info, State
from dadapt_cli.algorithms._certificate import Certificate
from dadapt_cli.algorithms._rounding import EPS
from dadapt_cli.algorithms._space import dot, norm, norm1, ratchet

INFO = Info(
    name="accel",
    title="Beyond the paper, accelerated D-Adaptation",
    theorem="Theorem C (derived here): d <= D and f(y) - f* <= 4.38 D d Q/W, which is "
    "O(L D^2/n^2) if f is smooth and O(D G/sqrt(n)) if not, without L, G or D",
    symbols="y_k, z_k, s_k, w_k, W_k, Q_k, N_k, S_k, d_k, d-hat_k",
    d_means="a lower bound on D = ||x_0 - x*||_2, in the metric",
    options="--c (4), --variant paper|coordinate, --bound II|certified, --metric (identity)",
    distance="D",
    bounds=("II", "certified"),
    settings=("c",),
    variants=("paper", "coordinate"),
    wants=("L",),
)

CONVERGED = 4.0
"""Rounding units of ||g_0||_*: a gradient no larger is rounding."""


@dataclass(slots=True, kw_only=True)
class Accelerated(State):
    """``x`` is the point tried; ``average`` is y_k, the last one accepted: the theorem's point.

    The weights w_i are those of the points z_i; s_k sums the accepted gradients alone.
    """

    inf: bool = False  # distances in the l-infinity norm, gradients in l1
    c: float
    z: Array  # the point that x takes into the average
    w: float  # its weight
    g: Array  # gradient at y_k
    f_y: float = 0.0  # f(y_k)
    y_error: float = 0.0  # of it
    N: float = 0.0  # sum w_i <g_i, x_0 - z_i>
    S: float = 0.0  # sum W_{i-1} B(y_{i-1}, y_i), the Bregman slack
    g0_norm: float = 0.0  # ||g_0||_*
    rejected: int = 0  # gradients at points that were not accepted

    def accept(self, g: Array) -> None:
        """The point tried is y_{k+1}."""
        at, before, before_error = self.rounding, self.W, self.y_error
        move = self.average - self.x
        self.weigh(self.w, g, self.z)
        self.y_error = at.value
        at.displaced(self.W, self.w / self.W)
        self.S += before * (self.f_y - self.f - dot(g, move))
        length = float(np.abs(move).max(initial=0)) if self.inf else norm(move)
        terms = abs(self.f_y) + abs(self.f) + at.size * length
        errors = before_error + at.value + at.gradient * length
        errors += (at.inner + 4 * at.u) * at.size * length + (at.steps + 4) * EPS * terms
        at.products += before * errors + EPS * abs(self.S)
        self.N += self.w * dot(g, self.x0 - self.z)
        self.slack = -(self.N + self.S)
        self.s += self.w * g
        self.average, self.f_y, self.g = self.x, self.f, g
        self.fraction = 1.0
        self.s_norm = norm1(self.s) if self.inf else norm(self.s)
        self.d_hat = None
        if self.s_norm != 0:  # also where it is NaN, which ratchet refuses
            surplus = at.surplus(self.W)
            self.d_hat = (self.N + self.S + surplus) / self.s_norm
            self.d_hat = self.certified(self.d_hat, abs(self.N) + abs(self.S) + surplus)
            self.d = ratchet(self.d, self.d_hat)
        self.stalled = at.size <= CONVERGED * float(np.finfo(g.dtype).eps) * self.g0_norm

    def reject(self, g: Array) -> None:
        """The same step is tried again, shorter; all that changes is Q."""
        self.rejected += 1
        self.rounding.at(self.f, g, self.x - self.x0)
        self.fraction, self.d_hat = 0.0, None

    def propose(self, step: float | Array) -> None:
        """Try the average of y_k and z = x_0 - step (s_k + w g_k); the last gradient is a hint."""
        self.w = math.sqrt(self.c * self.W * self.d)
        self.z = self.x0 - step * (self.s + self.w * self.g)
        self.x = self.average + self.w / (self.W + self.w) * (self.z - self.average)


@dataclass(slots=True, kw_only=True)
class Accel(Accelerated):
    """One step size for all coordinates."""

    Q2: float = 0.0  # Q_k^2 = ||g_0||^2 + sum (w_i/d_i)^2 ||g_i - g_{i-1}||^2, doubled at times


def start(
    x0: Array, g0: Array, *, d0: float, bound: str = "II", L: float = math.inf, c: float = 4.0
) -> Accel:
    """Before the first step: z_0 = y_0 = x_0. `L` is for bound C, under which Theorem C holds."""
    certificate = Certificate(L=L) if bound == "certified" else None
    return Accel(x0=x0, d=d0, certificate=certificate, c=c, z=x0, w=d0, g=g0)


def step(state: Accel, g: Array) -> None:
    """Accept or reject the point tried, where the gradient is `g`, and try another."""
    if state.W == 0:  # x_0 is accepted
        state.Q2, state.g0_norm = dot(g, g), norm(g)
        state.accept(g)
    else:
        change = g - state.g
        q = (state.w / state.d) ** 2 * dot(change, change)
        if q > state.Q2:
            state.Q2 *= 2
            state.reject(g)
        else:
            state.accept(g)
            state.Q2 += q
    state.step_size = 1 / math.sqrt(state.Q2)
    state.propose(state.step_size)
