"""What a comparison's records say: curves, levels, medians, who was first, profiles."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dadapt_cli._typing import Record
from dadapt_cli.compare.case import LEVELS, Attempt, Case, Contender, Point
from dadapt_cli.objective import metric
from dadapt_cli.reference.referee import Judgement
from dadapt_cli.solver.trace import finite

MOST_POINTS = 200
"""Largest number of points of a curve."""

MOST_NAMED = 5
"""Number of other contenders named in the verdict."""


@dataclass(frozen=True)
class Target:
    """What suboptimality is measured from.

    Attributes
    ----------
    kind
        ``certified``, ``given``, or ``best-seen``: the least f that any contender evaluated.
    f_star, gap
        The infimum lies in [f_star - gap, f_star]; of the best seen nothing is known.
    f_0
        f at the start.
    """

    kind: str
    f_star: float
    gap: float | None
    f_0: float

    def record(self) -> Record:
        """Return it as it appears in the records."""
        return {"kind": self.kind, "f_star": self.f_star, "gap": self.gap, "f_0": self.f_0}

    def relative(self, f: float) -> float | None:
        """(f - f*)/(f(0) - f*); None where the start is optimal."""
        fall = self.f_0 - self.f_star
        return finite((f - self.f_star) / fall) if fall > 0 else None


def target(case: Case, attempts: Sequence[Attempt]) -> Target:
    """f*, or in its place the least f of all points."""
    known = case.known
    if known.f_star is not None:
        kind = "certified" if case.certified else "given"
        return Target(kind, known.f_star, known.gap, case.f_0)
    seen = [point.f for made in attempts for point in made.points if math.isfinite(point.f)]
    return Target("best-seen", min([case.f_0, *seen]), None, case.f_0)


def run_record(
    contender: Contender, attempts: Sequence[Attempt], case: Case, aim: Target
) -> Record:
    """Build the record of one run from its repeats."""
    hits = [_hits(made, case, aim) for made in attempts]
    middle = sorted(range(len(attempts)), key=lambda i: attempts[i].seconds)[
        (len(attempts) - 1) // 2
    ]
    made, hit = attempts[middle], hits[middle]
    each = {
        name: [None if h[name] is None else h[name].seconds for h in hits]  # type: ignore[union-attr]
        for name in LEVELS
    }
    last = made.points[-1] if made.points else None
    verdict = made.judged.get(-1)
    f = None if verdict is None else finite(sum(verdict.f) / 2)
    return {
        "name": contender.name,
        "kind": contender.kind,
        "library": contender.library,
        "options": made.options,
        "status": made.status,
        "reason": made.reason,
        "gradients_to": {n: None if p is None else p.gradients for n, p in hit.items()},
        "passes_to": {n: None if p is None else p.passes for n, p in hit.items()},
        "seconds_to": {n: _median(times) for n, times in each.items()},
        "spread_to": {n: _spread(times) for n, times in each.items()},
        "seconds_each": each,
        "f": f,
        "suboptimality": None if f is None else f - aim.f_star,
        "relative": None if f is None else aim.relative(f),
        "gap": None if verdict is None else finite(verdict.gap[1]),
        "gap_least": None if verdict is None else finite(verdict.gap[0]),
        "d": None if last is None else last.d,
        "norm": made.norm,
        **_shares(None if last is None else last.d, made, case),
        **_labels(made, case),
        "labels_proven": None if verdict is None else verdict.share,
        "k": None if last is None else last.k,
        "gradients": None if last is None else last.gradients,
        "passes": None if last is None else last.passes,
        "seconds": _median([one.seconds for one in attempts]),
        "curve": _curve(made, hit, case, aim),
    }


def _hits(made: Attempt, case: Case, aim: Target) -> dict[str, Point | None]:
    """The first (for answers: the fastest) point at each level, if the referee confirms it."""
    answers = bool(made.points) and made.points[0].k is None
    found: dict[str, Point | None] = {}
    for name, level in LEVELS.items():
        limit = case.threshold(name)
        if aim.kind == "best-seen":
            limit = aim.f_star + level * (aim.f_0 - aim.f_star)
        reached = [i for i, p in enumerate(made.points) if p.f <= limit]
        if case.certified:
            least = (case.known.f_star or 0.0) - (case.known.gap or 0.0)
            allowed = level * (aim.f_0 - aim.f_star)
            judged = {i: made.judged.get(i) for i in reached}
            reached = [i for i, j in judged.items() if _proves(j, least + allowed)]
        if answers and reached:
            reached = [min(reached, key=lambda i: made.points[i].seconds)]
        found[name] = made.points[reached[0]] if reached else None
    return found


def _proves(judged: Judgement | None, limit: float) -> bool:
    return judged is not None and judged.f[1] <= limit


def _curve(made: Attempt, hit: dict[str, Point | None], case: Case, aim: Target) -> list[Record]:
    """The points of a run, thinned out evenly on a logarithmic scale."""
    points = made.points
    order = list(range(len(points)))
    if points and points[0].k is None:
        order.sort(key=lambda i: points[i].seconds)
    kept = _thinned(len(order))
    kept |= {i for i, at in enumerate(order) if points[at] in hit.values()}
    best, rows = math.inf, []
    for i, at in enumerate(order):
        point = points[at]
        best = min(best, point.f)
        if i not in kept:
            continue
        judged = made.judged.get(at)
        rows.append(
            {
                "k": point.k,
                "gradients": point.gradients,
                "passes": point.passes,
                "seconds": point.seconds,
                "f_last": finite(point.f),
                "f_best": finite(best),
                "suboptimality": finite(best - aim.f_star),
                "relative": aim.relative(best),
                "suboptimality_last": finite(point.f - aim.f_star),
                "grad_norm": finite(point.grad_norm),
                "d": point.d,
                **_shares(point.d, made, case),
                "gap": None if judged is None else finite(judged.gap[1]),
                "tolerance": point.tolerance,
            }
        )
    return rows


def _thinned(count: int) -> set[int]:
    """Which of `count` points are kept: all, or MOST_POINTS and the last."""
    if count <= MOST_POINTS:
        return set(range(count))
    at = np.geomspace(1, count, MOST_POINTS).astype(int) - 1
    return {*at.tolist(), count - 1}


def _shares(d: float | None, made: Attempt, case: Case) -> Record:
    """The ratio d/D: in the 2-norm of the user's variables, and in the norm that d is measured in.

    With v = w/c, ||w||_2 >= min_j c_j ||v||_2, and ||v||_2 >= ||v||_inf: so d min c, too, is a
    lower bound on ||x_0 - x*||_2 where d is one.
    """
    D = case.known.in_metric("identity").D
    own = case.known.in_metric(made.metric)
    own_D = own.D_inf if (made.norm or "").startswith("inf") else own.D
    factors = None if made.metric == "identity" else metric.scale(case.problem, made.metric)
    least = 1.0 if factors is None else float(factors.min())
    return {
        "d_over_D": None if d is None or not D else d * least / D,
        "d_over_own_D": None if d is None or not own_D else d / own_D,
    }


def _labels(made: Attempt, case: Case) -> Record:
    """Accuracy and log-loss of the answer on the training data."""
    if made.answer is None:
        return {"accuracy": None, "log_loss": None}
    scores = case.problem.scores(made.answer)
    return {
        "accuracy": case.problem.accuracy(scores),
        "log_loss": finite(case.problem.mean_loss(scores)),
    }


def _median(times: Sequence[float | None]) -> float | None:
    """The median time; None where more than half did not reach the level."""
    reached = sorted(math.inf if t is None else t for t in times)
    return (
        finite(reached[(len(reached) - 1) // 2])
        if len(reached) % 2
        else finite((reached[len(reached) // 2 - 1] + reached[len(reached) // 2]) / 2)
    )


def _spread(times: Sequence[float | None]) -> float | None:
    """Half the interquartile range; None where it is not known."""
    known = [t for t in times if t is not None]
    if len(known) < 2:
        return None
    first, _, third = statistics.quantiles(known, n=4, method="inclusive")
    return (third - first) / 2


def verdict(runs: list[Record], aim: Target) -> Record:
    """Who reached the finest level first, and the others' times as multiples of that.

    Ratios are taken within a round, where both ran under the same load, and their median is given.
    """
    reached = [name for name in LEVELS if any(run["seconds_to"][name] is not None for run in runs)]
    if not runs:
        return {"level": None, "first": None, "times": [],
                "verdict": "nobody that was asked for can be run on this problem"}  # fmt: skip
    if not reached:
        level = next(iter(LEVELS))
        return {"level": None, "first": None, "times": [],
                "verdict": f"nobody reached {level}; more --iterations (-n), or --time-limit"
                }  # fmt: skip
    level = reached[-1]
    runs = sorted(runs, key=lambda run: _key(run, level))
    first, times, late = runs[0], [], []
    for run in runs[1:]:
        if run["seconds_to"][level] is None:
            late.append(run["name"])
            continue
        pairs = zip(run["seconds_each"][level], first["seconds_each"][level], strict=True)
        ratios = [a / b for a, b in pairs if a is not None and b]
        times.append({"name": run["name"], "ratio": _median(ratios), "spread": _spread(ratios)})
    return {"level": level, "first": first["name"], "times": times,
            "verdict": _sentence(level, first, times, late, aim)}  # fmt: skip


def _sentence(level: str, first: Record, times: list[Record], late: list[str], aim: Target) -> str:
    text = f"{first['name']} reached {level}"
    if aim.kind == "best-seen":
        text += " (of the best f seen)"
    text += f"{' first' if times or late else ''}: {seconds(first['seconds_to'][level])} s"
    for i, one in enumerate(times[:MOST_NAMED]):
        ratio = number(one["ratio"], one["spread"])
        text += f", {ratio} times {'faster than' if i == 0 else 'than'} {one['name']}"
    if len(times) > MOST_NAMED:
        text += f", and {len(times) - MOST_NAMED} more"
    if late:
        text += f"; not reached by {', '.join(late)}"
    return text


def seconds(value: float) -> str:
    """Two digits or more."""
    return f"{value:.2f}" if value >= 10 else f"{value:#.2g}" if value >= 1e-4 else f"{value:.1e}"


def number(value: float, spread: float | None = None) -> str:
    """A ratio with two digits, or down to the first one of its spread; at most two places."""
    least = value if spread is None else 10 * min(spread, value)
    places = min(2, max(0, 1 - math.floor(math.log10(least)))) if least > 0 else 2
    return f"{value:.{places}f}" + ("" if spread is None else f" +- {spread:.{places}f}")


def _key(run: Record, level: str) -> tuple[float, str]:
    time = run["seconds_to"][level]
    return (math.inf if time is None else time, run["name"])


def ordered(runs: list[Record]) -> list[Record]:
    """Sort by speed to the finest level; runs that did not reach it, by the next coarser one."""

    def key(run: Record) -> tuple[Any, ...]:
        times = [run["seconds_to"][name] for name in reversed(LEVELS)]
        relative = run["relative"]
        return (*(math.inf if t is None else t for t in times),
                math.inf if relative is None else relative)  # fmt: skip

    return sorted(runs, key=key)


def profile(comparisons: list[Record]) -> Record | None:
    """The profile of Dolan and Moré, over seconds to the finest level reached on every problem."""
    if len(comparisons) < 2:
        return None
    levels = [c["level"] for c in comparisons]
    solved = [c for c in comparisons if c["level"] is not None]
    if not solved:
        return None
    level = max((name for name in levels if name), key=lambda name: LEVELS[name])
    names = list(dict.fromkeys(run["name"] for c in comparisons for run in c["runs"]))
    ratios: dict[str, list[float]] = {name: [] for name in names}
    for one in solved:
        times = {run["name"]: run["seconds_to"][level] for run in one["runs"]}
        known = {name: time for name, time in times.items() if time is not None}
        least = min(known.values())
        for name, time in known.items():
            ratios[name].append(time / least)
    return {
        "level": level,
        "problems": len(comparisons),
        "solvers": [
            {"name": name, "reached": len(found), "ratios": sorted(found)}
            for name, found in ratios.items()
        ],
    }
