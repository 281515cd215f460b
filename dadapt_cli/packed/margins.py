"""The margins of a packed problem: kept by the processes that have the samples."""

from __future__ import annotations

from typing import Any

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.objective import Problem
from dadapt_cli.objective.losses import SCORES
from dadapt_cli.objective.margins import PARTS, Sample
from dadapt_cli.packed.kept import sample_of

ANEW = 10
"""Steps after which margins are computed anew: half a product in twenty."""


class PackedMargins:
    """Margins as those of :class:`~dadapt_cli.objective.margins.Margins`, asked for by sums.

    A checkpoint holds none of them. They are computed anew from x every ANEW steps, in each run, so
    that one resumed from a checkpoint of such a step has the same digits.

    Parameters
    ----------
    problem
        Packed, in the user's variables.
    sums
        Asks the processes (:class:`~dadapt_cli.packed.sums.Sums`).
    """

    REMADE = ("sums", "U", "C", "anew", "_loss", "_curvature", "_moved")  # or asked for anew

    def __init__(self, problem: Problem, sums: Any) -> None:
        self.problem, self.sums = problem, sums
        self.C = problem.n_classes if problem.softmax else 1
        self.U, self.anew = None, float(ANEW)
        self._loss = self._curvature = 0.0
        self._moved = False

    @property
    def lengths(self) -> list[int]:
        """Rows of each sum: at most those of a leaf, with one for each block of the fullest."""
        rows = list(self.sums.lengths)
        return rows + [1] * (PARTS + max(rows) * self.C // SCORES)

    def at(self, x: Array) -> None:
        """Make the margins those of `x`."""
        self._moved = False
        (self._loss,) = self.sums.ask("margins_at", x)

    def equal(self) -> float:
        """Make the margins those of weights 0; return the mean loss there."""
        self.at(self.problem.zeros())
        return self.loss(moved=False)

    def along(self, d: Array) -> None:
        """Make V the margins of the direction `d`."""
        d = np.ascontiguousarray(d, self.problem.dtype)
        (self._curvature,) = self.sums.ask("margins_along", d)

    def curvature(self) -> float:
        """V'HV, H the Hessian of the mean loss at the point."""
        return float(self._curvature)

    def loss(self, a: float = 1.0, *, moved: bool = True) -> float:
        """Mean loss at U + V, after V is multiplied by `a`, or at U where that was just made."""
        if moved:
            (self._loss,) = self.sums.ask("margins_loss", a)
        return float(self._loss)

    def accept(self) -> None:
        """Go to U + V, with the next gradient."""
        self._moved = True

    def gradient(self) -> Array:
        """X' residual over the divisor of the mean, float64, without the l2 term."""
        moved, self._moved = self._moved, False
        g: Array = self.sums.ask("margins_gradient", moved)[0]
        return g

    def sample(self, count: int, seed: int) -> Sample:
        """So many rows, at the point, in this process."""
        problem, part = self.problem, self.sums.ask("sample", (count, seed))
        return sample_of(part, problem.p, problem.n, self.sums.settings)
