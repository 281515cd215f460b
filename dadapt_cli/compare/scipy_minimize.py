"""``scipy.optimize.minimize`` on our gradient: ``scipy:l-bfgs-b`` and its other methods."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from typing import ClassVar

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.compare.case import Attempt, Case, Crossings, Point, blas, limit
from dadapt_cli.objective import Problem

PREFIX = "scipy"

NEVER: dict[str, dict[str, float]] = {
    "l-bfgs-b": {"ftol": 0.0, "gtol": 0.0, "maxfun": 10**9, "maxls": 50},
    "cg": {"gtol": 0.0},
    "bfgs": {"gtol": 0.0},
    "newton-cg": {"xtol": 0.0},
    "tnc": {"ftol": 0.0, "gtol": 0.0, "xtol": 0.0, "maxfun": 10**9},
    "trust-ncg": {"gtol": 0.0},
    "trust-krylov": {"gtol": 0.0},
}
"""Methods, with options that keep them from stopping while they can still make progress."""

METHODS = tuple(NEVER)

HESSIAN = ("newton-cg", "trust-ncg", "trust-krylov")
"""Methods that are given products with the Hessian."""

LARGEST_DENSE = 5000
"""Unknowns up to which ``bfgs`` is run: it keeps a matrix of that size."""


class _EnoughError(Exception):
    """Raised to end a run at its current point."""


@dataclass(frozen=True)
class Minimize:
    """One of its methods."""

    kind: ClassVar[str] = "solver"
    name: str
    method: str

    @property
    def library(self) -> str:
        """SciPy, with its version."""
        return f"scipy {version('scipy')}"

    def unsuited(self, case: Case) -> str | None:
        """Refuse a method whose dense matrix would be too large."""
        unknowns = int(np.prod(case.problem.shape))
        if self.method == "bfgs" and unknowns > LARGEST_DENSE:
            return f"it keeps a matrix of {unknowns} x {unknowns} numbers"
        return None

    def warm_up(self, case: Case) -> None:
        """Make three evaluations."""
        _Run(case, self, 3).minimize()

    def run(self, case: Case) -> Attempt:
        """Run until ``--tol`` (by the certified f*), the budget, or no further progress."""
        return _Run(case, self, case.shared.iterations + 1).minimize()


class _Run:
    """The objective as SciPy calls it; counts the evaluations and stores the points."""

    def __init__(self, case: Case, method: Minimize, most: int) -> None:
        self.case, self.method, self.most = case, method, most
        self.count, self.steps = 0, 0
        self.crossed, self.made = Crossings(case), Attempt(status="precision")
        self.best = np.inf
        self.tol = case.goal if case.shared.tol is not None else -np.inf
        self.limit = limit(case.shared)
        self.curvature: Curvature | None = None
        self.at: Array = np.empty(0)

    def minimize(self) -> Attempt:
        from scipy.optimize import minimize

        case, made, method = self.case, self.made, self.method.method
        options = {"maxiter": 10**9, **NEVER[method]}
        made.options = {"method": method, **NEVER[method]}
        x0 = case.problem.zeros().ravel()
        more = {"hessp": self.product} if method in HESSIAN else {}
        with (
            warnings.catch_warnings(),
            np.errstate(all="ignore"),
            blas(case.problem),
        ):
            warnings.simplefilter("ignore")  # of no further progress: the referee will tell
            self.begin = time.perf_counter()
            try:
                minimize(self.objective, x0, jac=True, method=method, options=options, **more)
            except _EnoughError as end:
                made.status = str(end)
        made.seconds = made.points[-1].seconds
        return made

    def objective(self, x: Array) -> tuple[float, Array]:
        """f and gradient; ends the run where there is reason to."""
        w = x.reshape(self.case.problem.shape)
        at = self.case.problem.value_and_gradient(w)
        now = time.perf_counter() - self.begin
        self.count += 1
        size, points = float(np.linalg.norm(at.g)), self.made.points
        points.append(Point(self.steps, self.count, float(self.count), now, at.f, size))
        self.steps += 1
        if at.f < self.best:
            self.best, self.made.answer = at.f, w.copy()
        if self.crossed(at.f):
            self.made.reached[len(points) - 1] = w.copy()
        if at.f <= self.tol:
            raise _EnoughError("tolerance")
        if size == 0.0:
            raise _EnoughError("optimal")
        self._budget(now)
        return at.f, at.g.ravel()

    def product(self, x: Array, v: Array) -> Array:
        """The Hessian at x times v: two products with the data, as a gradient."""
        problem = self.case.problem
        if self.curvature is None or not np.array_equal(self.at, x):
            self.curvature = Curvature(problem, x.reshape(problem.shape))
            self.at = x.copy()
        self.count += 1
        self._budget(time.perf_counter() - self.begin)
        return self.curvature.times(v.reshape(problem.shape)).ravel()

    def _budget(self, now: float) -> None:
        if self.count >= self.most:
            raise _EnoughError("iterations")
        if now >= self.limit:
            raise _EnoughError("time")


class Curvature:
    """The Hessian of the objective at weights w."""

    def __init__(self, problem: Problem, w: Array) -> None:
        self.problem = problem
        scores = problem.scores(w)
        if problem.softmax:
            scores -= scores.max(axis=1, keepdims=True)
            self.q = np.exp(scores, out=scores)
            self.q /= self.q.sum(axis=1, keepdims=True)
        else:
            e = np.exp(-np.abs(scores))
            self.q = e / (1.0 + e) ** 2

    def times(self, v: Array) -> Array:
        """The Hessian times v, both in the shape of the weights."""
        z = self.problem.scores(v)
        if self.problem.softmax:
            r = self.q * (z - (self.q * z).sum(axis=1, keepdims=True))
        else:
            r = self.q * z
        return self.problem.gradient(self.problem.weighted(r) / self.problem.n_mean, v)
