"""Beyond the paper: acceleration, last iterates and no schedule, against the paper's methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dadapt_cli import __version__, datasets
from dadapt_cli._typing import Record
from dadapt_cli.libsvm import load
from dadapt_cli.libsvm.reader import LoadedData
from dadapt_cli.paper import lad
from dadapt_cli.paper.problems import PaperProblem, read
from dadapt_cli.paper.protocol import FINAL, SUMMARY, Protocol, curve, summary
from dadapt_cli.paper.results import Store
from dadapt_cli.solver.checks import number
from dadapt_cli.solver.monitor import Monitor
from dadapt_cli.solver.options import Options
from dadapt_cli.solver.samples import Samples, Source
from dadapt_cli.solver.stages import FitResult, fit_source
from dadapt_cli.solver.trace import finite
from dadapt_cli.system.activity import tell

Progress = Callable[[str], None]

DESCENTS: dict[str, tuple[Record, str]] = {
    "Algorithm 1, average": ({"algo": "dual-avg", "bound": "II", "d0": 1e-6}, "average"),
    "Algorithm 1, anytime": (
        {"algo": "dual-avg", "bound": "II", "d0": 1e-6, "average": "anytime"},
        "average",
    ),
    "accel": ({"algo": "accel", "d0": 1e-6}, "average"),
    "Nesterov 1/L": ({"algo": "nesterov"}, "last"),
}
"""Options of a fit, and the point that its theorem is for."""

LEVELS = (1e-2, 1e-3, 1e-6)
"""Relative suboptimality, f - f* as a share of that of x_0."""

POINTS = 200
"""Most points of a curve: each gradient at first, then evenly on a logarithmic axis."""

SCHEDULES: dict[str, Record] = {
    "paper": {},
    "linear": {"schedule": "linear"},
    "schedule-free": {"average": "schedule-free"},
}


@dataclass(frozen=True)
class Study:
    """What is run.

    Attributes
    ----------
    seeds, epochs
        Of the minibatch runs.
    gradients
        Number for each full-batch run.
    instances
        Random least-absolute-deviation problems.
    """

    seeds: int = 10
    epochs: int = 100
    gradients: int = 1000
    instances: int = 60

    def check(self) -> None:
        """Raise UsageError at the first value that cannot be used."""
        self.protocol("adam", "paper").check()
        number("gradients", self.gradients, at_least=1)
        number("instances", self.instances, at_least=1)

    def protocol(self, algo: str, form: str) -> Protocol:
        """The protocol of Figure 2 with another algorithm, schedule or average."""
        return replace(Protocol(self.seeds, self.epochs), algo=algo, **SCHEDULES[form])


def run(problem: PaperProblem, path: Path, study: Study, store: Store,
        progress: Progress = tell) -> Record:  # fmt: skip
    """Run one problem, or take what the store has of it.

    Returns
    -------
    dict
        Under ``record`` the problem with ``descent``, a row a full-batch method, and ``schedules``,
        a row an algorithm and schedule; under ``curves`` the same two by name.
    """
    progress(f"{problem.name}: reading")
    loaded = load(path)
    if problem.dataset is not None:
        datasets.verify_loaded(problem.dataset, loaded)
    key = {"sha256": loaded.sha256, "version": __version__, "gradients": study.gradients}
    descent = store.find("beyond-descent", problem.name, key, _descent_kind(study))
    if descent is None:
        descent = _descents(problem, loaded, study, progress)
        store.keep("beyond-descent", problem.name, key, descent)
    rows, curves = [], {}
    for algo in ("adam", "sgd"):
        for form in SCHEDULES:
            protocol = study.protocol(algo, form)
            key = protocol.key(loaded.sha256, "grid", "d0_grid")
            stem = f"beyond-{algo}-{form}"
            known = store.find(stem, problem.name, key, _schedule_kind(protocol, form))
            if known is None:
                known = _schedule(problem, path, protocol, form, progress)
                store.keep(stem, problem.name, key, known)
            rows.append(known["row"])
            curves[f"{algo}, {form}"] = known["curve"]
    record = {
        "problem": problem.name,
        "title": problem.title,
        "samples": len(loaded.y),
        "descent": descent["record"],
        "schedules": {"seeds": study.seeds, "epochs": study.epochs, "rows": rows},
    }
    return {"record": record, "curves": {"descent": descent["curves"], "schedules": curves}}


def _descent_kind(study: Study) -> Record:
    """What the stored results of the full-batch methods look like, where f* is known."""
    row = {
        "gradients_to": {f"{level:g}": int | None for level in LEVELS},
        "at_100": float | None,
        "at_end": float | None,
        "d_over_D": float | None,
        "gap_over_bound": float | None,
        "rejected": int | None,
    }
    curve = {
        "gradients": list[int],
        "suboptimality": list[float],
        "d_over_D": list[float | None],
    }
    known = {"status": str, "f_star": float, **dict.fromkeys(("gap", "D", "D_error"), float | None)}
    rows = [{"method": name, **row} for name in DESCENTS]
    record = {**known, "gradients": study.gradients, "rows": rows}
    return {"record": record, "curves": dict.fromkeys(DESCENTS, curve)}


def _schedule_kind(protocol: Protocol, form: str) -> Record:
    """What the stored result of an algorithm with a schedule looks like."""
    row = {"algorithm": protocol.algo, "schedule": form, **SUMMARY}
    return {"row": row, "curve": {name: [kind] * protocol.epochs for name, kind in FINAL.items()}}


def _descents(
    problem: PaperProblem, loaded: LoadedData, study: Study, progress: Progress
) -> Record:
    """The full-batch methods on the l2 = 1/n problem from x_0 = 0, against its certified f*."""
    rows, curves, known = [], {}, {}
    for name, (options, point) in DESCENTS.items():
        progress(f"{problem.name}: {name}")
        chosen = Options(l2="1/n", iterations=study.gradients, every=1, **options)
        samples = Samples(loaded.X, loaded.y, source=Source(problem.name))
        result = fit_source(samples, chosen, Monitor())
        known = {key: result.reference[key] for key in ("status", "f_star", "gap", "D", "D_error")}
        if known["f_star"] is None:
            return {"record": {**known, "gradients": study.gradients, "rows": []}, "curves": {}}
        row, curves[name] = _descent(result, point, study.gradients)
        rows.append({"method": name, **row})
    return {"record": {**known, "gradients": study.gradients, "rows": rows}, "curves": curves}


def _descent(result: FitResult, point: str, gradients: int) -> tuple[Record, Record]:
    """The row and the curve of a run; `point` is what the theorem is for.

    The average at row k has k gradients in it, the last point at row k - 1 was evaluated by the
    k-th: with it the row's f is known.
    """
    shift = 0 if point == "average" else 1
    steps = [row for row in result.trace if 1 <= row["k"] + shift <= gradients]
    gaps = np.array([row[f"suboptimality_{point}"] for row in steps])
    counts = np.array([row["k"] + shift for row in steps])
    whole = result.trace[0]["suboptimality_last"]
    D = result.reference["D"]
    shares = [None if row["d"] is None or not D else row["d"] / D for row in steps]
    reached = {}
    for level in LEVELS:
        found = np.flatnonzero(gaps <= level * whole)
        reached[f"{level:g}"] = int(counts[found[0]]) if found.size else None
    bounds = [
        gap / row["bound"]
        for gap, row in zip(gaps, steps, strict=True)
        if row["bound"] and gap > result.reference["gap"]
    ]
    record = {
        "gradients_to": reached,
        "at_100": finite(float(gaps[99])) if len(gaps) > 99 else None,
        "at_end": finite(float(gaps[-1])),
        "d_over_D": shares[-1],
        "gap_over_bound": max(bounds) if bounds and shift == 0 else None,
        "rejected": result.trace[-1].get("rejected"),
    }
    kept = np.unique(np.geomspace(1, len(steps), POINTS).astype(int)) - 1
    return record, {
        "gradients": counts[kept].tolist(),
        "suboptimality": gaps[kept].tolist(),
        "d_over_D": [shares[i] for i in kept],
    }


def _schedule(
    problem: PaperProblem, path: Path, protocol: Protocol, form: str, progress: Progress
) -> Record:
    """One algorithm with one schedule, all seeds."""
    samples, _ = read(problem, path, protocol.dtype)
    told = f"{problem.name}: {protocol.algo}, {form}"
    curves = protocol.run(
        samples, protocol.algo, progress=lambda done: progress(f"{told}, {100 * done:.0f} %")
    )
    row = {"algorithm": protocol.algo, "schedule": form, **summary(curves)}
    return {"row": row, "curve": curve(curves)}


def deviations(study: Study, store: Store, progress: Progress) -> Record:
    """All methods on the least-absolute-deviation problems, or what the store has of them.

    Returns
    -------
    dict
        ``record`` with the table, and ``results``, :func:`.lad.run`'s by method.
    """
    key = {"version": __version__, "gradients": study.gradients, "instances": study.instances}
    results = {}
    for number_of, method in enumerate(lad.METHODS, 1):
        gaps = [float] * study.instances
        kind = {"gap": gaps, "d_over_D": gaps, "gap_over_bound": float}
        known = store.find("beyond-lad", str(number_of), {**key, "method": method}, kind)
        if known is None:
            known = lad.run(
                method, study.instances, study.gradients,
                lambda done, method=method: progress(  # type: ignore[misc]
                    f"least absolute deviations: {method}, {100 * done:.0f} %"
                ),
            )  # fmt: skip
            store.keep("beyond-lad", str(number_of), {**key, "method": method}, known)
        results[method] = known
    record = {
        "instances": study.instances,
        "gradients": study.gradients,
        "rows": lad.table(results),
    }
    return {"record": record, "results": results}
