r"""Minibatch gradients between the last point and the average: no schedule, no horizon.

With the listing's points z_i and weights w_i > 0 (Defazio et al., NeurIPS 2024),

.. math:: x_k = \sum_{i \le k} w_i z_i/\sum_{i \le k} w_i, \qquad
          y_k = (1 - \beta) z_k + \beta x_k,

and g_k is taken at y_k. What is judged, returned and saved is x_k; beta takes the place of a
momentum. There is no theorem for Algorithms 4 and 5, with it or without.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.algorithms._base import MinibatchState
from dadapt_cli.algorithms._space import Scalar, times

AVERAGING = ("none", "uniform", "weighted", "poly8", "schedule-free")
"""Values of ``--average`` of an algorithm that has this form."""


@dataclass(slots=True, kw_only=True)
class Between(MinibatchState):
    """``x`` is y_k, ``average`` the x_k above; without a beta ``x`` is z_k and has no average."""

    beta: float | None = None
    z: Array = field(default=None)  # type: ignore[arg-type]
    average: Array = field(default=None)  # type: ignore[arg-type]
    W: Scalar = 0.0  # sum of the weights

    @staticmethod
    def begun(x0: Array, beta: float | None) -> dict[str, Any]:
        """The fields of this class before the first step; the start itself has no weight."""
        return {} if beta is None else {"beta": beta, "z": x0.copy(), "average": x0.copy()}

    @property
    def point(self) -> Array:
        """The average, where there is one."""
        return self.x if self.beta is None else self.average

    def look(self, weight: Scalar) -> None:
        """Take z_{k+1} into the average with this weight, and go on between the two."""
        assert self.beta is not None
        self.W = self.W + weight
        np.subtract(self.z, self.average, out=self.x)
        self.average += times(weight / self.W, self.x)
        np.subtract(self.z, self.average, out=self.x)
        self.x *= 1 - self.beta
        self.x += self.average
