"""What is known of the optimum."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from dadapt_cli._typing import Array
from dadapt_cli.objective.ball import Ball
from dadapt_cli.objective.rounding import down, up

ARRAYS = ("witness", "ball", "direction")
"""Fields that no record and no document holds."""


@dataclass(frozen=True)
class Reference:
    """What is known of the optimum. Distances are from x_0; None is unknown or infinite.

    Attributes
    ----------
    status
        ``attained``, ``not-attained`` (f* is an infimum; D is infinite where `reason` says so
        without "to 1e-12"), ``given`` or ``none``.
    f_star, gap
        The true infimum lies in [f_star - gap, f_star], all rounding counted; a certified gap is
        never 0.
    D, D_inf
        ||x_0 - w*||_2 and ||x_0 - w*||_inf of the minimiser, of the one nearest to x_0 where
        there are several, each within `D_error`.
    D_error
        Bound on the error of both.
    method
        How it was computed.
    seconds
        How long that took, at the time it was computed.
    reason
        Why there is no reference, or what a reader should know of this one.
    distances
        D, D_inf and D_error of the minimiser in each metric (:mod:`dadapt_cli.objective.metric`).
    witness
        The point from which all of this was proven, shape of the weights.
    ball
        Contains a minimiser.
    direction
        Along which losses fall to 0, where the infimum is not attained; shape of the weights.
    """

    status: str
    f_star: float | None = None
    gap: float | None = None
    D: float | None = None
    D_inf: float | None = None
    D_error: float | None = None
    method: str | None = None
    seconds: float | None = None
    reason: str | None = None
    distances: dict[str, list[float | None]] = field(default_factory=dict)
    witness: Array | None = field(default=None, compare=False, repr=False)
    ball: Ball | None = field(default=None, compare=False, repr=False)
    direction: Array | None = field(default=None, compare=False, repr=False)

    def in_metric(self, metric: str) -> Reference:
        """Return the same reference with the distances of `metric`."""
        D, D_inf, D_error = self.distances.get(metric, (None, None, None))
        return replace(self, D=D, D_inf=D_inf, D_error=D_error)

    def distance(self, name: str) -> float | None:
        """Upper bound on the distance called ``D`` or ``D_inf``."""
        value = self.D if name == "D" else self.D_inf
        return None if value is None or self.D_error is None else up(value + self.D_error)

    def least_distance(self, name: str) -> float | None:
        """Lower bound on the distance called ``D`` or ``D_inf``."""
        value = self.D if name == "D" else self.D_inf
        if value is None or self.D_error is None:
            return None
        return max(0.0, down(value - self.D_error))

    def certified(self, f: float) -> float | None:
        """Upper bound on f - inf f, or None."""
        if self.f_star is None or self.gap is None:
            return None
        return f - self.f_star + self.gap

    def document(self) -> dict[str, Any]:
        """All that can be written as JSON: the fields but the ARRAYS."""
        return {name: value for name, value in vars(self).items() if name not in ARRAYS}

    def record(self) -> dict[str, Any]:
        """The object of the start record."""
        known = self.document()
        del known["distances"]
        return known
