"""The direction of L-BFGS, with its margins: the two-loop recursion is linear in both."""

from __future__ import annotations

from collections import deque
from typing import Any, TypeAlias

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._space import dot, norm

Both: TypeAlias = tuple[Any, Any, float]
"""A direction, (unknowns,), its margins, (n C,), and their error in units of ||x_i||."""


class Pairs:
    """The last pairs of steps and gradient differences, at most `size` of them."""

    def __init__(self, size: int) -> None:
        self.pairs: deque[tuple[Both, Both, float]] = deque(maxlen=size)
        self.step: Both | None = None
        self.last: Both | None = None  # gradient

    def moved(self, step: Array, margins: Array, error: float) -> None:
        """Remember the step just made; its gradient difference is known with the next gradient."""
        self.step = (np.copy(step), np.copy(margins), error)

    def forget(self) -> None:
        """Drop everything: the steps have become rounding noise."""
        self.pairs.clear()
        self.step = None

    def direction(self, g: Array, margins: Array, error: float) -> Both:
        """-H g with its margins, H the L-BFGS matrix; `g` and `margins` are those of now."""
        unit = 4 * float(np.finfo(g.dtype).eps)
        if self.step is not None and self.last is not None:
            dg, dz = np.subtract(g, self.last[0]), np.subtract(margins, self.last[1])
            rounded = unit * (norm(g) + norm(self.last[0]))
            curvature = dot(self.step[0], dg)
            if curvature > np.finfo(g.dtype).eps * dot(dg, dg):
                difference = (dg, dz, error + self.last[2] + rounded)
                self.pairs.append((self.step, difference, curvature))
        self.step, self.last = None, (np.copy(g), np.copy(margins), error)
        q: Array = -g
        z: Array = -margins
        size = norm(q)  # of the parts of q, without their cancellation

        def add(factor: float, part: Both) -> None:
            nonlocal size, error
            np.add(q, factor * part[0], out=q)
            np.add(z, factor * part[1], out=z)
            size += abs(factor) * norm(part[0])
            error += abs(factor) * part[2] + unit * size

        alphas = []
        for s, y, curvature in reversed(self.pairs):
            alphas.append(dot(s[0], q) / curvature)
            add(-alphas[-1], y)
        if self.pairs:
            _, y, curvature = self.pairs[-1]
            factor = curvature / dot(y[0], y[0])
            q *= factor
            z *= factor
            size, error = factor * size, factor * (error + unit * size)
        for (s, y, curvature), alpha in zip(self.pairs, reversed(alphas), strict=True):
            add(alpha - dot(y[0], q) / curvature, s)
        return q, z, error
