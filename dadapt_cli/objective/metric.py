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
from dadapt_cli.errors import DataError
from dadapt_cli.objective import Problem
from dadapt_cli.objective.rounding import LEAST, U, norm_bounds, norm_up, up
from dadapt_cli.objective.smoothness import column_squares, require_size

POWERS = {"identity": 0.0, "half": -0.25, "diagonal": -0.5}
"""The power in c = h^power."""

METRICS: tuple[Metric, ...] = get_args(Metric)


def scale(problem: Problem, metric: str) -> Array | None:
    """c of `metric`, shape (p,), or (p, 1) for softmax, in the problem's dtype.

    None for the identity. A feature that is zero in every row has h = l2; with l2 = 0 its weight
    never moves, and c is 1.

    Raises
    ------
    DataError
        The squares of a feature underflow or overflow: c would be no function of the data.
    """
    if metric == "identity":
        return None
    K = problem.n_classes
    c0 = (1.0 - 1.0 / K) / K if problem.softmax else 0.25
    h = c0 * column_squares(problem) / problem.n_mean + np.ravel(problem.ridge)
    for extreme in (h[h > 0].min(initial=1.0), h.max(initial=1.0)):
        require_size(float(extreme), "the curvature of a feature")
    c = np.where(h > 0, h, 1.0) ** POWERS[metric]
    return c.astype(problem.dtype).reshape(-1, *(1 for _ in problem.shape[1:]))


def distances(
    problem: Problem, move: Array, radius: float, each: Array | None = None
) -> dict[str, list[float | None]]:
    """D, D_inf and their error, in every metric, of a minimiser near x_0 + `move`.

    Parameters
    ----------
    problem
        The objective.
    move
        The difference to x_0, shape of the weights, in the user's variables.
    radius
        How far the minimiser's may be from it, in the 2-norm.
    each
        The same for single weights, where it is known.

    Returns
    -------
    dict
        [D, D_inf, D_error] by metric: both true distances lie within D_error, rounding counted.
        [None, None, None] where a number is too large, or the metric's factors are lost.
    """
    found: dict[str, list[float | None]] = {}
    for metric in METRICS:
        try:
            c = scale(problem, metric)
        except DataError:
            found[metric] = [None, None, None]
            continue
        with np.errstate(all="ignore"):
            v = move if c is None else move / c
            error = radius if c is None else radius / float(c.min())
            if each is not None:
                error = min(error, norm_up(each if c is None else each / c))
            low, high = norm_bounds(v)
            D_inf = float(np.abs(v).max(initial=0.0))
            error = up(error * (1.0 + 8.0 * U) + (high - low) + 8.0 * U * high + LEAST)
        known = [0.5 * low + 0.5 * high, D_inf, error]
        found[metric] = [*known] if np.isfinite(known).all() else [None, None, None]
    return found
