"""What the tests of the methods beyond the paper share: problems, their optima, and a run."""

from __future__ import annotations

import functools
import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.libsvm import read_libsvm
from dadapt_cli.objective import Problem
from dadapt_cli.preprocessing.labels import encode
from dadapt_cli.solver import fit

LONG = int(os.environ.get("DADAPT_CASES", "6")) >= 60
"""More problems and steps; made once, nothing was beyond its limit."""

LAD_SEEDS = range(60) if LONG else range(0, 60, 4)

Oracle = Callable[[Array], tuple[float, Array]]


@dataclass
class Known:
    """A convex function with its optimum, started at 0."""

    f_and_g: Oracle
    shape: tuple[int, ...]
    f_star: float
    D: float
    D_inf: float
    norms: Array  # bounds on |g_j|
    gap: float = 0.0  # f* may be this much lower


def least_absolute_deviations(seed: int) -> Known:
    """mean |a_i x - b_i| with b = A x*, p in 1..20 features of very different sizes: f* = 0."""
    rng = np.random.default_rng(seed)
    p = int(rng.integers(1, 21))
    m = int(rng.integers(p + 1, 4 * p + 3))
    A = rng.standard_normal((m, p)) * np.exp(rng.standard_normal(p))
    x_star = rng.standard_normal(p) * math.exp(rng.standard_normal())

    def f_and_g(x: Array) -> tuple[float, Array]:
        residual = A @ (x - x_star)
        return float(np.abs(residual).mean()), A.T @ np.sign(residual) / m

    return Known(
        f_and_g, (p,), 0.0, float(np.linalg.norm(x_star)), float(np.abs(x_star).max()),
        np.abs(A).mean(axis=0),
    )  # fmt: skip


@functools.cache
def regression(
    path: Path, l2: str | float = "1/n", rows: int | None = None
) -> tuple[Known, Problem]:
    """Logistic regression or softmax on a file, with the certified reference; made once."""
    X, y = read_libsvm(path)
    X, y = X[:rows], y[:rows]
    reference = fit(X, y, iterations=1, l2=l2).reference
    problem = Problem(X, encode(y), l2=1 / X.shape[0] if l2 == "1/n" else float(l2))
    D, D_inf, error = (reference[name] for name in ("D", "D_inf", "D_error"))
    known = Known(
        oracle(problem), problem.shape, reference["f_star"], D + error, D_inf + error,
        np.zeros(0), reference["gap"],
    )  # fmt: skip
    return known, problem


def oracle(problem: Problem) -> Oracle:
    """f and gradient of a problem in its own variables."""

    def f_and_g(x: Array) -> tuple[float, Array]:
        now = problem.value_and_gradient(x)
        return now.f, now.g

    return f_and_g


def steps(algorithm: Any, f_and_g: Oracle, state: Any, count: int) -> Iterator[tuple[float, Array]]:
    """Make `count` steps; yield f and the gradient that each was given, once it is made."""
    for _ in range(count):
        state.f, g = f_and_g(state.x)
        if not g.any():
            return
        algorithm.step(state, g)
        yield state.f, g


def golden(shared: Path) -> tuple[dict[str, Any], Oracle]:
    """The trajectories of golden_beyond.json and f of their 12 x 3 problem."""
    data = json.loads((shared / "golden_beyond.json").read_text())
    problem = Problem(np.array(data["X"]), encode(np.array(data["y"])), l2=0.1)
    return data, oracle(problem)
