r"""``lbfgs``: SciPy's L-BFGS-B on the same gradient, the field's baseline in the same trace.

Not of the paper. A step is one evaluation of f and gradient, line searches included. d and the
bound column need no theorem of L-BFGS: bound C and Lemma 5 hold for any points, with weights 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._base import Info, State
from dadapt_cli.algorithms._certificate import Certificate
from dadapt_cli.algorithms._drive import Iterates, advance
from dadapt_cli.algorithms._points import include
from dadapt_cli.algorithms._space import ratchet

INFO = Info(
    name="lbfgs",
    title="L-BFGS-B of SciPy, a baseline",
    theorem="none; the bound column and d <= D hold for the points of any method",
    symbols="none of the paper's",
    d_means="a certified lower bound on D = ||x_0 - x*||_2, in the metric; reported, not used",
    options="--metric (identity)",
    distance="D",
    bounds=("certified",),
    settings=(),
    wants=("any L",),
    averages=False,
    resumable=False,
)

PAIRS = 10
"""SciPy's default."""


@dataclass(slots=True, kw_only=True)
class LBFGS(State):
    """The weights w_i are 1."""

    certificate: Certificate


def start(x0: Array, g0: Array, *, d0: float, bound: str = "certified", L: float) -> LBFGS:
    """Before the first step."""
    return LBFGS(x0=x0, d=d0, certificate=Certificate(L=L))


def lead(state: LBFGS, iterates: Iterates[Any]) -> None:
    """Let SciPy ask for f and gradient: each point it asks for after x_0 is a step."""
    from scipy.optimize import minimize

    g: Array | None = None

    def objective(flat: Array) -> tuple[float, Array]:
        nonlocal g
        if g is None:  # SciPy begins at x_0, where the loop is already
            g = next(iterates)
        else:
            x = flat.reshape(g.shape).astype(g.dtype)  # a copy: SciPy reuses its own array
            g = advance(iterates, partial(_move, state, g, x))
        return state.f, g.ravel().astype(np.float64)

    options = {"maxcor": PAIRS, "ftol": 0.0, "gtol": 0.0, "maxls": 50}
    limits = {"maxiter": 10**9, "maxfun": 10**9}
    flat = state.x0.ravel().astype(np.float64)
    minimize(objective, flat, jac=True, method="L-BFGS-B", options={**options, **limits})
    state.stalled = True  # no lower f in this precision
    if g is not None:
        advance(iterates, partial(_move, state, g, state.x))


def _move(state: LBFGS, g: Array, x: Array) -> None:
    """Take in x_k, where the gradient is `g`, and go to `x`."""
    include(state, 1.0, g)
    state.d_hat = state.bound_C()
    state.d = ratchet(state.d, state.d_hat)
    state.x = x
