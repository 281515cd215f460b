r"""The metric: a change of variables by the data's column sums of squares.

In place of w an algorithm may run on v with w = c v, feature by feature. It is the same f; only
distances change: D = ||v_0 - v*||_2 and its dual norm are those of v, so every algorithm and
theorem holds unchanged in v. With the curvature scale of a feature

.. math:: h_j = c_0 \frac1n \sum_i x_{ij}^2 + \lambda, \qquad c_0 = 1/4,
          \text{ softmax } (1 - 1/K)/K

(the second derivative of f at w = 0, but for the factors of the labels), ``identity`` is c = 1,
``half`` is c = h^(-1/4) and ``diagonal`` is c = h^(-1/2). ``diagonal`` undoes any scaling of the
features; ``half`` goes half of the way, which on text and one-hot data keeps rare features from
dominating.
"""

from __future__ import annotations

from typing import get_args

import numpy as np

from dadapt_cli._typing import Array, Metric
from dadapt_cli.objective import Problem
from dadapt_cli.objective.smoothness import column_squares

POWERS = {"identity": 0.0, "half": -0.25, "diagonal": -0.5}
"""c = h^power."""

METRICS: tuple[Metric, ...] = get_args(Metric)


def scale(problem: Problem, metric: str) -> Array | None:
    """c of `metric`, shape (p,), or (p, 1) for softmax, in the problem's dtype.

    None for the identity. A feature that is zero in every row has h = l2; with l2 = 0 its weight
    never moves, and c is 1.
    """
    if metric == "identity":
        return None
    K = problem.n_classes
    c0 = (1.0 - 1.0 / K) / K if problem.softmax else 0.25
    h = c0 * column_squares(problem) / problem.n_mean + np.ravel(problem.ridge)
    c = np.where(h > 0, h, 1.0) ** POWERS[metric]
    return c.astype(problem.dtype).reshape(-1, *(1 for _ in problem.shape[1:]))


def distances(problem: Problem, w: Array, error: float | None) -> dict[str, list[float | None]]:
    """D, D_inf and D_error of a minimiser w, ||w - w*|| <= error, in every metric.

    v = w/c, so that ||v - v*|| <= error/min c. Where the minimiser is not unique, ||v|| of the
    one that is given bounds the distance to the nearest one.
    """
    found: dict[str, list[float | None]] = {}
    for metric in METRICS:
        c = scale(problem, metric)
        v = w if c is None else w / c
        least = 1.0 if c is None else float(c.min())
        D, D_inf = float(np.linalg.norm(v)), float(np.abs(v).max(initial=0.0))
        found[metric] = [D, D_inf, None if error is None else error / least]
    return found
