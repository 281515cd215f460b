"""Random least-absolute-deviation problems, where nothing is smooth: last iterate and average."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dadapt_cli._typing import Array, Record
from dadapt_cli.algorithms import find, gd

D0 = 1e-6

METHODS: dict[str, tuple[str, str, Record]] = {
    "Algorithm 1, average": ("dual-avg", "paper", {"beta": 0.0}),
    "Algorithm 1, anytime": ("dual-avg", "paper", {"beta": 1.0}),
    "Algorithm 1, schedule-free": ("dual-avg", "paper", {"beta": 0.9}),
    "Algorithm 2, average": ("gd", "paper", {"settings": gd.Settings()}),
    "Algorithm 2, anytime": ("gd", "paper", {"settings": gd.Settings(beta=1.0)}),
    "Algorithm 3, average": ("adagrad", "paper", {"beta": 0.0}),
    "Algorithm 3, anytime": ("adagrad", "paper", {"beta": 1.0}),
    "Algorithm 3, schedule-free": ("adagrad", "paper", {"beta": 0.9}),
    "accel": ("accel", "paper", {}),
    "accel, per coordinate": ("accel", "coordinate", {}),
}
"""Algorithm, variant, and what ``start`` is given, with Option II; the first is the baseline."""

FIRST = next(iter(METHODS))

SMALLEST = 1e-16
"""Share of f(x_0) that a smaller gap is replaced by: below it there is only rounding."""


@dataclass(frozen=True)
class Deviations:
    """f(x) = mean |a_i x - b_i| with b = A x*, so that f* = 0; started at x_0 = 0.

    Attributes
    ----------
    A
        Shape (m, p), features of very different sizes.
    x_star
        Shape (p,).
    """

    A: Array
    x_star: Array

    @classmethod
    def random(cls, seed: int) -> Deviations:
        """p of 1 to 20 features, m of p + 1 to 4 p + 2 rows."""
        rng = np.random.default_rng(seed)
        p = int(rng.integers(1, 21))
        m = int(rng.integers(p + 1, 4 * p + 3))
        A = rng.standard_normal((m, p)) * np.exp(rng.standard_normal(p))
        return cls(A, rng.standard_normal(p) * math.exp(rng.standard_normal()))

    def f_and_g(self, x: Array) -> tuple[float, Array]:
        """f and a subgradient; sign(0) = 0."""
        residual = self.A @ (x - self.x_star)
        return float(np.abs(residual).mean()), self.A.T @ np.sign(residual) / len(residual)

    def distance(self, kind: str) -> float:
        """``D`` or ``D_inf``."""
        moved = np.abs(self.x_star)
        return float(moved.max() if kind == "D_inf" else np.linalg.norm(moved))


def run(method: str, instances: int, gradients: int, progress: Callable[[float], None]) -> Record:
    """Run one method on problems 0, 1, ...

    Returns
    -------
    Record
        By problem: ``gap``, f - f* of the point that the theorem is for, as a share of f(x_0) and
        after so many gradients; ``d_over_D``, the largest. Of all problems and steps looked at:
        ``gap_over_bound``, the largest.
    """
    gaps, shares, worst = [], [], 0.0
    for seed in range(instances):
        gap, share, ratio = _one(METHODS[method], Deviations.random(seed), gradients)
        gaps.append(gap)
        shares.append(share)
        worst = max(worst, ratio)
        progress((seed + 1) / instances)
    return {"gap": gaps, "d_over_D": shares, "gap_over_bound": worst}


def _one(
    method: tuple[str, str, Record], problem: Deviations, gradients: int
) -> tuple[float, float, float]:
    """The last gap, the largest d/D and the largest gap/bound of a run."""
    name, variant, more = method
    algorithm: Any = find(name, variant)
    x0 = np.zeros(problem.x_star.shape)
    first, g = problem.f_and_g(x0)
    D, given = problem.distance(algorithm.INFO.distance), dict(more)
    if name == "adagrad":
        given["G"] = np.abs(problem.A).mean(axis=0)
    elif "G" in algorithm.INFO.wants:
        given["G"] = algorithm.gradient_bound(None, g, "initial")
    state = algorithm.start(x0, g, d0=D0, bound="II", **given)
    ratio, reports = 0.0, {*map(int, np.geomspace(1, gradients, 30)), gradients}
    for k in range(1, gradients + 1):
        state.f, g = problem.f_and_g(state.x)
        if not g.any():
            break
        algorithm.step(state, g)
        if k in reports:
            bound = state.bound(D)
            ratio = max(ratio, problem.f_and_g(state.average)[0] / bound)
    return problem.f_and_g(state.average)[0] / first, float(state.d) / D, ratio


def table(results: dict[str, Record]) -> list[Record]:
    """A row a method: its gaps beside those of the first one, d/D and gap/bound."""
    base = np.maximum(results[FIRST]["gap"], SMALLEST)
    rows = []
    for name, result in results.items():
        ratio = np.maximum(result["gap"], SMALLEST) / base
        rows.append(
            {
                "method": name,
                "ratio": float(np.exp(np.log(ratio).mean())),
                "better": float((ratio < 1).mean()),
                "d_over_D_max": max(result["d_over_D"]),
                "d_over_D_median": float(np.median(result["d_over_D"])),
                "gap_over_bound": result["gap_over_bound"],
            }
        )
    return rows
