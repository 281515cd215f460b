"""Schedules of the step that know their number of steps, and the last iterate they are made for."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dadapt_cli.objective import minibatches


def decay(name: str, k: int, count: int) -> float:
    """The schedule's value at step k of 0..count - 1: from 1 down, never 0."""
    return 1 - k / count if name == "linear" else (1 + math.cos(math.pi * k / count)) / 2


def eta(name: str, k: int, count: int, epoch: int) -> float:
    """A schedule's value at minibatch step k of 0..count - 1, in an epoch counted from 1."""
    falls = name in ("linear", "cosine")
    return decay(name, k, count) if falls else minibatches.schedule(name, epoch)


def last_iterate_excess(lam: Sequence[float], squares: Sequence[float]) -> float:
    """What Theorem D adds to the average's bound for the last one of the points x_0..x_n.

    sum_{k<n} lam_k V_k/(2 E_k E_{k+1}), E_k = sum_{t>=k} lam_t, V_k = sum_{t>=k} lam_t^2 ||g_t||^2,
    for steps x_{k+1} = x_k - lam_k g_k of any lengths lam_k > 0; `squares` are ||g_k||^2.
    """
    steps = np.asarray(lam)
    E = np.cumsum(steps[::-1])[::-1]
    V = np.cumsum((steps**2 * np.asarray(squares))[::-1])[::-1]
    return float(np.sum(steps[:-1] * V[:-1] / (2 * E[:-1] * E[1:])))
