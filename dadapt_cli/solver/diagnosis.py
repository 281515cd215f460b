"""What a run's numbers mean, in words."""

from __future__ import annotations

from dadapt_cli.algorithms import Info
from dadapt_cli.reference import Reference
from dadapt_cli.solver.stopping import Outcome

SLACK = 1e-9
"""Relative rounding allowed before d > D is called so."""


def diagnose(outcome: Outcome, info: Info, reference: Reference, tol: float | None) -> list[str]:
    """Sentences for the end record: what a reader of the numbers would ask about."""
    row = outcome.row
    lines: list[str] = []
    if outcome.status == "optimal" and row["k"] == 0:
        lines.append("already optimal: the gradient at x_0 is zero")
    elif row:
        lines += _growth(outcome, info, reference)
    if outcome.status not in ("tolerance", "optimal") and tol is not None:
        lines.append(f"the tolerance {tol:g} was not reached")
    if reference.status == "given" and row and row["suboptimality_best"] < 0:
        lines.append("f fell below the given f*: that value is not the minimum")
    elif reference.reason is not None:
        none = "no reference for f* and D: " if reference.status == "none" else ""
        lines.append(none + reference.reason)
    if outcome.reason is not None:
        lines.append(outcome.reason)
    return lines


def _growth(outcome: Outcome, info: Info, reference: Reference) -> list[str]:
    """Whether d still grows, and whether it can be what it is called."""
    k, d = outcome.row["k"], outcome.row["d"]
    D = reference.distance(info.distance)
    if d is None:
        return []
    if info.minibatch:
        return [f"d = {d:.4g} is {info.d_means}"]
    if D is not None and d > D * (1 + SLACK):
        return [
            f"d = {d:.4g} exceeds {info.distance} = {D:.4g}: d0 was no lower bound, so the "
            "theorems do not apply; --d0 auto is certified"
        ]
    if k - outcome.last_growth < max(10, k // 10):
        return []
    since = f"k = {outcome.last_growth}" if outcome.last_growth else "the start"
    if D is not None and d >= D / 4:
        return [
            f"d has not grown since {since}; d_hat < d is normal once d is near {info.distance}/2"
        ]
    return [f"d has not grown since {since}: every d_hat since then was smaller"]
