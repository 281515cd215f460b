r"""``newton``: steps on margins with sampled curvature, no search over steps and no learning rate.

Not from the paper. With u the margins of x_k and B near the inverse Hessian (a Cholesky factor
of the Hessian on sampled rows, computed anew once the steps have cost as much, or a
diagonal; L-BFGS pairs on top), a step is

.. math:: d = -B g_k, \quad v = X d, \quad
          s = t_1 d, \quad t_1 = \arg\min_t\ t \langle g_k, d\rangle + t^2 d'H(x_k)d/2 ,

with the exact Hessian H: its curvature along d is a sum over v, without an exponential.
Then f(x_k + t s) is tried for t = 1, and for shorter t until f has fallen by 1e-4 of the
slope: one link each, and no product.

On large data products and links are in single precision, half as dear, until a step promises less
than what shows there; then all is computed anew in double precision, and the run goes on. d and
the bound count the errors of whichever it was.

A step that lowers f by less than ||g_k||^2/(2L), L a certified bound on the smoothness, gives way
to x_k - g_k/L, which lowers it by that much. So what is proved for gradient descent holds, checked
in every step: f(x_k) - f* <= 2 L R^2/(k+4), R the radius about x* of the level set of x_0, and
(1 - l2/L)^k (f(x_0) - f*).

Sources of the pieces: Boehning 1992 (the Hessian at equal probabilities), Byrd et al. 2011 and
Roosta-Khorasani & Mahoney 2016 (sampled Hessians), Narkiss & Zibulevsky 2005 (margins).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms import _factor
from dadapt_cli.algorithms._base import Info, State
from dadapt_cli.algorithms._certificate import Certificate
from dadapt_cli.algorithms._factor import FACTORS, Columns, Curvature, Pairs
from dadapt_cli.algorithms._plan import (
    GROWTH,
    RENEWED,
    SHARE,
    Plan,
    begins_single,
    build_seconds,
    plan,
)
from dadapt_cli.algorithms._space import dot, norm, ratchet
from dadapt_cli.objective import Evaluation, Problem
from dadapt_cli.objective.margins import Marginal, margins_of

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
    own_threads=True,
    refuses=("metric",),
)

ARMIJO = 1e-4
"""Share of the slope that f must fall by."""

MEMORY = 10
"""L-BFGS pairs if the plan has none besides a factor and the factor could not be made."""

SHORTEST = 1e-6
"""Shortest share of the step s that is tried."""

CURVED = 1e-10
"""Share of sum |s_j y_j|, in any units of the features: a pair with less <s, y> is rounding."""

LEAST = 3
"""Fewest steps with a factor."""

FLAT = 3
"""Steps in a row without a decrease beyond rounding, after which the run has stalled."""

REFRESH = 50
"""Steps after which the margins X x are computed anew, against the drift from adding up steps."""

TO_DOUBLE = 3e-7
"""Decrease of f promised, over f, from which single precision does not show it: 5 units of it."""

MARGIN = 4
"""What a rounding of margins counts for: one of u_ic = z_ic - z_iy, which is up to
||x_i||(||w_c|| + ||w_y||), moves loss and residual by up to 2.6 times what one of z_ic does; and
one of x.
"""


@dataclass(slots=True, kw_only=True)
class Newton(State):
    """The state of a run. The weights w_i are 1; f never rises by more than its rounding."""

    REMADE = ("plan", "columns")  # from the problem, when a run is resumed

    problem: Problem
    columns: Columns
    margins: Marginal
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
    wait: float = 0.0  # steps after which the next factor is made
    builds: int = 0
    rejected: int = 0  # trial points
    rejection_costs: ClassVar[bool] = False  # no gradient
    gradient_steps: int = 0  # -g/L
    rough: bool = False  # margins and links are in single precision
    rough_steps: int = 0  # made so
    pairs: Pairs

    def evaluate(self, problem: Problem) -> Evaluation:
        """f and gradient at x_k: the step has computed them."""
        return Evaluation(self.f_x, self.g_x, self.margins.U)

    @property
    def complete(self) -> bool:
        """Whether margins that a checkpoint leaves out are those of x_k alone."""
        return self.margins.anew == math.inf or self.k % self.margins.anew == 0

    def resumed(self) -> None:
        """Make the margins of x_k, if the checkpoint has left them out."""
        if self.margins.anew < math.inf:
            self.margins.at(self.x)
            self.margins.loss(moved=False)

    def like(self, kept: dict[str, Any]) -> None:
        """Have the margins of a checkpoint's precision, before its numbers are put here."""
        if self.rough != kept["rough"]:
            self.rough = bool(kept["rough"])
            self.margins = margins_of(self.problem, np.float32 if self.rough else None)


def start(
    x0: Array, g0: Array, *, d0: float, bound: str = "certified", L: float, problem: Problem
) -> Newton:
    """Before the first step: the margins of x_0, no curvature."""
    chosen, rough = plan(problem), begins_single(problem)
    margins = margins_of(problem, np.float32 if rough else None)
    if x0.any():
        margins.at(x0)
        loss = margins.loss(moved=False)
    else:
        loss = margins.equal()
    return Newton(
        x0=x0,
        x=x0,
        s=np.zeros_like(x0),
        average=x0,
        d=d0,
        problem=problem,
        columns=Columns(problem),
        margins=margins,
        certificate=Certificate(L=L),
        plan=chosen,
        L=L,
        f_x=loss + problem.l2_term(x0),
        g_x=g0,
        rough=rough,
        rows=chosen.rows,
        pairs=deque(maxlen=chosen.pairs or MEMORY),
    )


def step(state: Newton, g: Array) -> None:
    """Advance from x_k to x_{k+1}; `g` is the gradient at x_k."""
    _certify(state, g)
    g = g.astype(np.float64, copy=False)
    _renew_curvature(state)
    trial = _next(state, g)
    if trial is None:
        g = _to_double(state)
        trial = _next(state, g)
        assert trial is not None
    state.stalled = not trial.f < state.f_x
    if not state.stalled:
        _move(state, g, trial)


def _next(state: Newton, g: Array) -> Trial | None:
    """The point to go to; None where single precision no longer shows that f falls."""
    d = _direction(state, g)
    t1, slope, length = _model_minimum(state, g, d)
    if state.rough and (state.flat >= FLAT or -0.5 * t1 * slope <= TO_DOUBLE * abs(state.f_x)):
        return None
    trial = _search(state, t1, slope, t1 * d, length)
    promised = dot(g, g) / (2 * state.L)
    if not state.f_x - trial.f >= (promised if promised > _rounding(state) else 0.0):
        trial = _gradient_step(state, g)
    return None if state.rough and not trial.f < state.f_x else trial


def _to_double(state: Newton) -> Array:
    """Go on in double precision from the same point; return its gradient."""
    state.rough, state.flat, state.margins = False, 0, margins_of(state.problem)
    at, certificate = state.rounding, state.certificate
    at.charge(state.problem, float(np.finfo(state.problem.dtype).eps) / 2)
    at.sum_blocks(state.margins.lengths)
    _refresh(state)
    g = _gradient(state)
    at.at(state.f_x, g, state.x - state.x0)
    certificate.f_best, certificate.best_error = state.f_x, at.value  # what is known better
    at.f_best, at.best_error = state.f_x, at.value
    return g


def _refresh(state: Newton) -> None:
    """Compute margins and f at x_k anew."""
    state.margins.at(state.x)
    state.rounding.drift = 0.0
    state.f_x = state.margins.loss(moved=False) + state.problem.l2_term(state.x)


def _gradient(state: Newton) -> Array:
    """At x_k, from the link there; float64."""
    g = state.margins.gradient()
    if state.problem.l2:
        g += state.problem.ridge * state.x
    return g


def _certify(state: Newton, g: Array) -> None:
    """Take x_k into d and the bound, as for the points of any method."""
    if state.k == 0:
        if state.rough:
            state.rounding.charge(state.problem, float(np.finfo(np.float32).eps) / 2)
        state.rounding.sum_blocks(state.margins.lengths)
    state.weigh(1.0, g)
    state.slack += state.certificate.inner
    state.s += g
    state.s_norm = norm(state.s)
    state.d_hat = state.bound_C()
    state.d = ratchet(state.d, state.d_hat)


def _renew_curvature(state: Newton) -> None:
    """Compute B anew once the steps since the last one have cost as much as that."""
    problem, plan = state.problem, state.plan
    if plan.later and not state.later and state.k >= plan.after:
        state.later, state.wait = True, 0.0
    wanted = plan.later if state.later else plan.form
    if state.since < state.wait:
        return
    state.since, state.wait = 0, math.inf
    if wanted not in FACTORS:
        state.B = _factor.diagonal(problem, state.columns, wanted)
        return
    equal = state.k == 0 and not state.x0.any()  # probabilities: the full matrix is a small one's
    form = "kron" if equal and wanted == "full" else wanted
    rows = plan.few if form == "kron" else state.rows
    made = _factor.factor(state.columns, state.margins, form, rows, state.builds)
    state.builds += 1
    state.B = state.B if made is None else made
    if wanted == "kron":
        state.wait = RENEWED * max(LEAST, build_seconds(problem, rows, problem.p) / plan.step)
        return
    if form != "kron":
        state.rows = min(problem.most_sampled, GROWTH * rows)
    unknowns = problem.p * (state.margins.C if wanted == "full" else 1)
    build = build_seconds(problem, state.rows, unknowns)
    state.wait = max(LEAST, SHARE * build / plan.step)


def _direction(state: Newton, g: Array) -> Array:
    """d = -B g, or -g if rounding or a faulty curvature leaves no descent."""
    d = _factor.direction(g, state.pairs, state.B)
    if dot(g, d) < 0:
        return d
    state.pairs.clear()
    state.B = Curvature()
    return -g


def _model_minimum(state: Newton, g: Array, d: Array) -> tuple[float, float, float]:
    """t1, the minimum of the quadratic model along d; slope and length of d; V is its margins."""
    problem, margins, at = state.problem, state.margins, state.rounding
    margins.along(d)
    slope, square = dot(g, d), dot(d, d)
    l2 = dot(problem.ridge * d, d) if problem.intercept else problem.l2 * square
    curvature = margins.curvature() + l2
    t1, length = -slope / curvature if curvature > 0 else 1.0, math.sqrt(square)
    state.error = abs(t1) * (at.margins + 4 * MARGIN * at.u) * length
    return t1, slope, length


class Trial(NamedTuple):
    """A point that has been tried: U + V are its margins.

    Attributes
    ----------
    f
        The value there; infinite if no point was accepted.
    x
        In the problem's dtype.
    s, length
        The step to it, float64, and its norm.
    """

    f: float
    x: Array
    s: Array
    length: float


def _search(state: Newton, t1: float, slope: float, s: Array, length: float) -> Trial:
    """x + t s for the first t = 1, ... where f has fallen enough; V becomes its margins."""
    slope, t, a = t1 * slope, 1.0, t1  # a: the factor for V
    while t >= SHORTEST:
        trial = _trial(state, s if t == 1.0 else t * s, t * abs(t1) * length, a)
        if trial.f <= state.f_x + ARMIJO * t * slope:
            return trial
        state.rejected += 1
        least = -slope * t / (2 * (trial.f - state.f_x - slope * t))  # of the parabola
        a = min(max(least, 0.1), 0.5) if math.isfinite(least) else 0.25
        t *= a
        state.error = a * state.error + 2 * MARGIN * state.rounding.u * trial.length
    return Trial(math.inf, state.x, s, 0.0)


def _gradient_step(state: Newton, g: Array) -> Trial:
    """x - g/L: f falls by at least ||g||^2/(2L)."""
    s = -g / state.L
    length = norm(s)
    state.margins.along(s)
    state.error = (state.rounding.margins + MARGIN * state.rounding.u) * length
    state.gradient_steps += 1
    return _trial(state, s, length)


def _trial(state: Newton, s: Array, length: float, a: float = 1.0) -> Trial:
    """f at x + s, whose margins are U + a V."""
    x = (state.x + s).astype(state.problem.dtype, copy=False)
    return Trial(state.margins.loss(a) + state.problem.l2_term(x), x, s, length)


def _move(state: Newton, g: Array, trial: Trial) -> None:
    """Go to the point that was tried last."""
    problem, at, before = state.problem, state.rounding, state.f_x
    state.margins.accept()
    state.x, state.f_x = trial.x, trial.f  # x_{k+1}
    at.drift += state.error + MARGIN * at.u * (at.reach + trial.length)
    state.k += 1
    state.since += 1
    state.rough_steps += state.rough
    if state.k % min(REFRESH, state.margins.anew) == 0:
        _refresh(state)
    new = _gradient(state)
    state.g_x = new.astype(problem.dtype, copy=False)
    if state.plan.pairs or not state.B.factored:  # no factor: the pairs are all there is
        y = new - g
        sy = dot(trial.s, y)
        if sy > CURVED * dot(np.abs(trial.s), np.abs(y)):
            state.pairs.append((trial.s, y, sy))
    state.flat = state.flat + 1 if before - state.f_x <= _rounding(state) else 0
    state.stalled = state.flat >= FLAT and not state.rough


def _rounding(state: Newton) -> float:
    """Bound on the rounding of f."""
    return 8 * state.rounding.u * abs(state.f_x)
