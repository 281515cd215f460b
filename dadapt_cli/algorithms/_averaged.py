r"""Gradients at, or near, the weighted average: then the last point evaluated is what is proved.

With weights w_i > 0 known before g_i, the listing's points z_i and 0 <= beta <= 1,

.. math:: \bar x_k = \sum_{i \le k} w_i z_i/W_k, \qquad y_k = (1 - \beta) z_k + \beta \bar x_k,

and g_k taken at y_k, Theorem A: sum w_k <g_k, z_k - x*> >= W_n (f(xbar_n) - f*) >= 0. So d-hat is
at most D as in the paper, and Lemma 5 holds for xbar_n at every n. beta = 0 is the paper, 1 the
anytime form (Cutkosky 2019), those between are schedule-free (Defazio et al. 2024).
"""

from __future__ import annotations

from dataclasses import dataclass

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._base import State


@dataclass(slots=True, kw_only=True)
class Averaged(State):
    """``x`` is y_k, where gradients are taken; with beta = 0 it is z_k."""

    z: Array = None  # type: ignore[assignment]  # z_k; by default x_0
    beta: float = 0.0

    def __post_init__(self) -> None:
        State.__post_init__(self)
        if self.z is None:
            self.z = self.x0

    def include(self, weight: float, g: Array) -> None:
        """Take z_k into the average, and y_k with its gradient into bound C, where there is one."""
        self.weigh(weight, g, self.z if self.beta > 0 else None)
        share = weight / self.W
        self.average += share * (self.z - self.average)
        # xbar_k as an average of xbar_{k-1} and y_k, for the loop's X @ xbar
        self.fraction = share / (1 - self.beta + share * self.beta)
        self.rounding.averaged(share)
        if self.beta > 0:
            self.rounding.displaced(self.W, share)

    def surplus(self) -> float:
        """W_k (f(y_k) - least f), which Theorem A adds to num if beta = 1; rounded down.

        For beta < 1 it is 0: f(xbar_k) is not known.
        """
        return 0.0 if self.beta < 1 else self.rounding.surplus(self.W)

    def look(self, z: Array, weight: float) -> None:
        """Continue from z_{k+1}, which will have this weight."""
        self.z = self.x = z
        if self.beta > 0:
            ahead = self.average + weight / (self.W + weight) * (z - self.average)
            self.x = ahead + (1 - self.beta) * (z - ahead)  # y_{k+1}
