"""The direction of L-BFGS, with its margins: the two-loop recursion is linear in both."""

from __future__ import annotations

from collections import deque
from typing import Any, TypeAlias

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._space import dot

Both: TypeAlias = tuple[Any, Any]
"""A direction, (unknowns,), and its margins, (n C,)."""


class Pairs:
    """The last pairs of steps and gradient differences, at most `size` of them."""

    def __init__(self, size: int) -> None:
        self.pairs: deque[tuple[Both, Both, float]] = deque(maxlen=size)
        self.step: Both | None = None
        self.last: Both | None = None  # gradient

    def moved(self, step: Array, margins: Array) -> None:
        """Remember the step just made; its gradient difference is known with the next gradient."""
        self.step = (np.copy(step), np.copy(margins))

    def forget(self) -> None:
        """Drop everything: the steps have become rounding noise."""
        self.pairs.clear()
        self.step = None

    def direction(self, g: Array, margins: Array) -> Both:
        """-H g with its margins, H the L-BFGS matrix; `g` and `margins` are those of now."""
        if self.step is not None and self.last is not None:
            y: Both = (np.subtract(g, self.last[0]), np.subtract(margins, self.last[1]))
            curvature = dot(self.step[0], y[0])
            if curvature > np.finfo(g.dtype).eps * dot(y[0], y[0]):
                self.pairs.append((self.step, y, curvature))
        self.step, self.last = None, (np.copy(g), np.copy(margins))
        q: Array = -g
        z: Array = -margins
        alphas = []
        for s, y, curvature in reversed(self.pairs):
            alphas.append(dot(s[0], q) / curvature)
            q -= alphas[-1] * y[0]
            z -= alphas[-1] * y[1]
        if self.pairs:
            _, y, curvature = self.pairs[-1]
            q *= curvature / dot(y[0], y[0])
            z *= curvature / dot(y[0], y[0])
        for (s, y, curvature), alpha in zip(self.pairs, reversed(alphas), strict=True):
            beta = alpha - dot(y[0], q) / curvature
            q += beta * s[0]
            z += beta * s[1]
        return q, z
