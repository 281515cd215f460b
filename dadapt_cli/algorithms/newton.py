r"""``newton``: steps on margins with sampled curvature, no search over steps and no learning rate.

Not of the paper. With u the margins of x_k, B near the inverse of the Hessian (a Cholesky factor
of the Hessian on sampled rows, made anew once the steps have cost as much as it does, or a
diagonal; L-BFGS pairs on top), and e the last step, a step is

.. math:: d = -B g_k, \quad v = X d, \quad
          s = \arg\min_{s \in \mathrm{span}\{d, e\}} \langle g_k, s\rangle + s'H(x_k)s/2 ,

with the exact Hessian H: its curvatures along d and e are sums over v and the margins of e, without
an exponential. Then f(x_k + t s) for t = 1, and shorter while f has not fallen by 1e-4 of the
slope: one link each, and no product.

A step that lowers f by less than ||g_k||^2/(2L), L a certified bound on the smoothness, gives way
to x_k - g_k/L, which lowers it by that much. So what is proved of gradient descent holds, checked
in every step: f(x_k) - f* <= 2 L R^2/(k+4), R the radius about x* of the level set of x_0, and
(1 - l2/L)^k (f(x_0) - f*).

Sources of the pieces: Boehning 1992 (the Hessian at equal probabilities), Byrd et al. 2011 and
Roosta-Khorasani & Mahoney 2016 (sampled Hessians), Narkiss & Zibulevsky 2005 (margins).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms import _factor
from dadapt_cli.algorithms._base import Info, State
from dadapt_cli.algorithms._certificate import Certificate
from dadapt_cli.algorithms._factor import FACTORS, Curvature, Pairs
from dadapt_cli.algorithms._plan import GROWTH, SHARE, TINY, Plan, build_seconds, plan
from dadapt_cli.algorithms._space import dot, norm, ratchet
from dadapt_cli.objective import Evaluation, Problem
from dadapt_cli.objective.margins import Margins
from dadapt_cli.system import blas

INFO = Info(
    name="newton",
    title="Newton's method on margins: sampled curvature, no learning rate",
    theorem="f(x_k) - f* <= 2 L R^2/(k+4) and (1 - l2/L)^k (f(x_0) - f*): each step is checked to "
    "lower f by ||g_k||^2/(2L); the bound column and d <= D hold for any points",
    symbols="none of the paper's",
    d_means="a certified lower bound on D = ||x_0 - x*||_2; reported, not used",
    options="no --metric: its curvature is its own",
    distance="D",
    bounds=("certified",),
    settings=(),
    wants=("any L", "problem"),
    averages=False,
    without=("metric",),
)

ARMIJO = 1e-4
"""Of the slope, that f must fall by."""

SHORTEST = 1e-6
"""Of the step s, that is tried."""

DEPENDENT = 1e-6
"""Of A C: a determinant below it says that d and e are one direction."""

CURVED = 1e-10
"""Of sum |s_j y_j|, whatever the features' units: a pair with less <s, y> is rounding."""

FLAT = 3
"""Steps in a row without a decrease that rounding can show, after which there is none."""

REFRESH = 50
"""Steps after which the margins X x are computed anew, against the drift of adding steps up."""

MARGIN = 4
"""What a rounding of margins counts for: one of u_ic = z_ic - z_iy, which is up to
||x_i||(||w_c|| + ||w_y||), moves loss and residual by up to 2.6 times what one of z_ic does; and
one of x.
"""


@dataclass(slots=True, kw_only=True)
class Newton(State):
    """The weights w_i are 1; f never rises by more than its rounding."""

    REMADE = ("plan",)  # from the problem, when a run is taken up again

    problem: Problem
    margins: Margins
    certificate: Certificate
    plan: Plan
    L: float
    f_x: float  # f(x_k)
    g_x: Array  # its gradient
    k: int = 0
    flat: int = 0  # steps in a row without a visible decrease
    B: Curvature = field(default_factory=Curvature)
    later: bool = False  # the plan's later form has begun
    error: float = 0.0  # bound on |V - X s| of the last step, row by row in units of ||x_i||
    rows: int = 0  # in the next sample
    since: int = 0  # steps with this factor
    wait: float = 0.0  # steps after which the next one is made
    builds: int = 0
    rejected: int = 0  # trial points
    gradient_steps: int = 0  # -g/L
    pairs: Pairs
    last: Array | None = None  # the last step e

    def evaluate(self, problem: Problem) -> Evaluation:
        """f and gradient at x_k: the step has computed them."""
        return Evaluation(self.f_x, self.g_x.copy(), self.margins.U)


def start(
    x0: Array, g0: Array, *, d0: float, bound: str = "certified", L: float, problem: Problem
) -> Newton:
    """Before the first step: the margins of x_0, no curvature."""
    margins, chosen = Margins(problem), plan(problem)
    if x0.any():
        margins.at(x0)
    return Newton(
        x0=x0,
        x=x0,
        s=np.zeros_like(x0),
        average=x0,
        d=d0,
        problem=problem,
        margins=margins,
        certificate=Certificate(L=L),
        plan=chosen,
        L=L,
        f_x=margins.loss(moved=False) + problem.l2_term(x0),
        g_x=g0,
        rows=chosen.rows,
        pairs=deque(maxlen=chosen.pairs),
    )


def step(state: Newton, g: Array) -> None:
    """Advance from x_k to x_{k+1}; `g` is the gradient at x_k."""
    _certify(state, g)
    g = g.astype(np.float64)
    with blas.one_thread():
        _renew_curvature(state)
        d = _direction(state, g)
        s = _model_minimum(state, g, d)
        loss, f, s = _search(state, g, s)
        promised = dot(g, g) / (2 * state.L)
        if not state.f_x - f >= (promised if promised > _rounding(state) else 0.0):
            loss, f, s = _gradient_step(state, g)
        state.stalled = not f < state.f_x
        if not state.stalled:
            _move(state, g, s, loss)


def _certify(state: Newton, g: Array) -> None:
    """Take x_k into d and the bound, as for the points of any method."""
    if state.k == 0:
        state.rounding.sum_blocks(state.problem, state.margins.lengths)
    state.weigh(1.0, g)
    state.slack += dot(g, state.x - state.x0)
    state.s += g
    state.s_norm = norm(state.s)
    state.d_hat = state.bound_C()
    state.d = ratchet(state.d, state.d_hat)


def _renew_curvature(state: Newton) -> None:
    """Make B anew where the steps since it was made have paid for that."""
    problem, plan, C = state.problem, state.plan, state.margins.C
    if plan.later and not state.later and state.k >= plan.after:
        state.later, state.wait = True, 0.0
    wanted = plan.later if state.later else plan.form
    if state.since < state.wait:
        return
    state.since, state.wait = 0, math.inf
    if wanted not in FACTORS:
        state.B = _factor.diagonal(problem, wanted)
        return
    equal = state.k == 0 and not state.x0.any()  # probabilities: the full matrix is a small one's
    form = "kron" if equal and wanted == "full" else wanted
    rows = plan.few if form == "kron" else state.rows
    made = _factor.factor(problem, state.margins, form, rows, state.builds)
    state.builds += 1
    state.B = state.B if made is None else made
    if wanted == "kron":
        return
    if form != "kron":
        state.rows = min(problem.n, GROWTH * rows)
    full = wanted == "full"
    build = build_seconds(problem, state.rows, problem.p * (C if full else 1))
    least = 5 if full and problem.n * C < TINY else 3
    state.wait = max(least, SHARE * build / plan.step)


def _direction(state: Newton, g: Array) -> Array:
    """d = -B g, or -g where rounding or a curvature gone wrong leaves no descent."""
    d = _factor.direction(g, state.pairs, state.B)
    if dot(g, d) < 0:
        return d
    state.pairs.clear()
    state.B = Curvature()
    return -g


def _model_minimum(state: Newton, g: Array, d: Array) -> Array:
    """s = t1 d + t2 e, the minimum of the quadratic model over their span; V is its margins."""
    margins, e, ridge = state.margins, state.last, state.problem.ridge
    margins.along(d)
    A, B, C = margins.curvature(both=e is not None)
    slope, A = dot(g, d), A + dot(ridge * d, d)
    t1, t2 = -slope / A if A > 0 else 1.0, 0.0
    if e is not None:
        B, C = B + dot(ridge * d, e), C + dot(ridge * e, e)
        determinant, along = A * C - B * B, dot(g, e)
        if determinant > DEPENDENT * A * C:
            t1 = (along * B - slope * C) / determinant
            t2 = (slope * B - along * A) / determinant
    margins.combine(t1, t2)
    errors = state.rounding.u * MARGIN
    before, state.error = state.error, abs(t1) * (_product_error(state, d) + 3 * errors * norm(d))
    if e is None or not t2:
        return t1 * d
    state.error += abs(t2) * (before + 3 * errors * norm(e))
    return t1 * d + t2 * e


def _product_error(state: Newton, d: Array) -> float:
    """Bound on |V - X d| of margins just computed, row by row in units of ||x_i||."""
    return float((state.rounding.margins + MARGIN * state.rounding.u) * norm(d))


def _search(state: Newton, g: Array, s: Array) -> tuple[float, float, Array]:
    """Mean loss, f and t s at the first t = 1, ... where f has fallen enough; else f is infinite.

    V and R are those of the point.
    """
    margins, slope, length, t = state.margins, dot(g, s), norm(s), 1.0
    while t >= SHORTEST:
        loss = margins.loss()
        f = loss + state.problem.l2_term(state.x + t * s)
        if f <= state.f_x + ARMIJO * t * slope:
            return loss, f, t * s
        state.rejected += 1
        least = -slope * t / (2 * (f - state.f_x - slope * t))  # of the parabola through both
        shorter = min(max(least, 0.1), 0.5) if math.isfinite(least) else 0.25
        margins.scale(shorter)
        t *= shorter
        state.error = shorter * state.error + 2 * MARGIN * state.rounding.u * t * length
    return math.inf, math.inf, s


def _gradient_step(state: Newton, g: Array) -> tuple[float, float, Array]:
    """Mean loss, f and s at x - g/L: f falls by at least ||g||^2/(2L)."""
    s = -g / state.L
    state.margins.along(s)
    state.error = _product_error(state, s)
    state.gradient_steps += 1
    loss = state.margins.loss()
    return loss, loss + state.problem.l2_term(state.x + s), s


def _move(state: Newton, g: Array, s: Array, loss: float) -> None:
    """Go to x + s, whose margins are U + V and whose mean loss is known."""
    problem, margins, before = state.problem, state.margins, state.f_x
    margins.accept()
    state.x = (state.x + s).astype(problem.dtype)  # x_{k+1}
    state.last = s
    at = state.rounding
    at.drift += state.error + MARGIN * at.u * (at.reach + norm(s))
    state.k += 1
    state.since += 1
    if state.k % REFRESH == 0:
        margins.at(state.x)
        at.drift = 0.0
        loss = margins.loss(moved=False)
    state.f_x = loss + problem.l2_term(state.x)
    new = margins.gradient() + problem.ridge * state.x
    state.g_x = new.astype(problem.dtype, copy=False)
    y = new - g
    sy = dot(s, y)
    if sy > CURVED * dot(np.abs(s), np.abs(y)):
        state.pairs.append((s, y, sy))
    state.flat = state.flat + 1 if before - state.f_x <= _rounding(state) else 0
    state.stalled = state.flat >= FLAT


def _rounding(state: Newton) -> float:
    """Of f."""
    return 4 * float(np.finfo(state.problem.dtype).eps) * abs(state.f_x)
