"""One gated run: an algorithm on a problem, and the figures that are compared with a baseline.

The figures are deterministic, and reproducible because a run ends before rounding takes over
(:data:`STOP`, :data:`BUDGETS`, :data:`HORIZONS`); ``benchmarks/gate_noise.py`` measures by how much
they move when nothing but the rounding changes. No figure is a time.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dadapt_cli import reference
from dadapt_cli._typing import Record
from dadapt_cli.algorithms import find
from dadapt_cli.datasets import named, verify_loaded
from dadapt_cli.errors import DataError, NumericalError
from dadapt_cli.libsvm import load
from dadapt_cli.objective import Problem
from dadapt_cli.preprocessing import labels
from dadapt_cli.reference import Reference
from dadapt_cli.solver.monitor import Monitor
from dadapt_cli.solver.options import Options
from dadapt_cli.solver.samples import Samples, Source
from dadapt_cli.solver.stages import FitResult, fit_source

STOP = 1e-6
"""Relative suboptimality at which a full-batch run ends: later rows are dominated by rounding."""

BUDGETS = {"dual-avg": 1000, "gd": 1000, "adagrad": 1000, "safe": 50, "orth": 50, "accel": 60,
          "dual-avg II": 200, "dual-avg certified": 200, "adagrad II": 200,
          "dual-avg-anytime": 1000, "dual-avg-schedule-free": 1000,
          "sgd": 100, "adam": 100, "adam-schedule-free": 100}  # fmt: skip
"""The gated algorithms, some with a --bound of their own; most iterations, or epochs, which
include all three drops of the schedule.

The steps of ``safe`` and ``orth`` react to what they have seen, and so to rounding: after 50 of
them d moves by up to 4e-8 of itself, after 200 by up to half. d of ``accel`` moves by 2e-13 in 50
steps, by 2e-7 in 100 and by 9e-3 in 200, where there is no l2 term.
"""

AVERAGES: dict[str, tuple[str, Any]] = {
    "dual-avg-anytime": ("dual-avg", "anytime"),
    "dual-avg-schedule-free": ("dual-avg", "schedule-free"),
    "adam-schedule-free": ("adam", "schedule-free"),
}
"""Runs gated under their own names: the algorithm and its ``--average``."""

HORIZONS = {
    ("glass.scale", "dual-avg"): 100,
    ("letter.scale", "dual-avg"): 200,
    ("letter.scale", "dual-avg certified"): 40,
    ("pendigits", "dual-avg"): 300,
    ("vehicle.scale", "dual-avg"): 100,
    ("vowel.scale", "dual-avg certified"): 50,
}
"""Most iterations where the run is chaotic: d of Algorithm 1 on vehicle moves by 1e-15 of
itself until k = 100 and by 1e-2 from k = 200 on; with ``--bound certified`` that on vowel by 1e-15
until k = 50, by 2e-13 at 60, by 3e-8 at 75 and by 2e-3 at 200, and on letter by less than 1e-9 at
40 and by 2e-8 at 60, where the bound and f move by 1e-6 and 1e-4.

By problem and name in BUDGETS; one without a bound is for all bounds, not for averages.
"""

PENALTIES = ("1/n", "0")

LEVELS = {"iterations_1e-2": 1e-2, "iterations_1e-3": 1e-3}


@dataclass(frozen=True)
class Case:
    """One run of the gate.

    Attributes
    ----------
    problem
        LIBSVM's file name.
    path
        The file.
    algo
        One of BUDGETS: the algorithm's name, with its bound where that is not its default.
    l2
        ``1/n`` or ``0``.
    sha256
        Of the text that the baseline was made from; None accepts any.
    reference
        f*, D and their certificates, as the baseline has them (:func:`stored`).
    """

    problem: str
    path: Path
    algo: str
    l2: str
    sha256: str | None
    reference: Record


def stored(known: Reference) -> Record:
    """A reference as a baseline keeps it: all but the seconds it took."""
    kept = known.document()
    del kept["seconds"]
    return kept


def describe(found: tuple[str, Path, Record]) -> Record:
    """What a baseline keeps of a problem before any run: hash, shape and references.

    Parameters
    ----------
    found
        The problem's name, its file, and what a baseline has of it that is to be kept if the text
        is still the same; may be empty.

    Returns
    -------
    Record
        ``sha256`` of the text, ``shape`` (samples, features, classes) and ``references`` by
        penalty; a penalty whose f* could not be certified is not among them.

    Raises
    ------
    DataError
        The file is not LIBSVM data, or not the problem's.
    """
    name, path, kept = found
    loaded = load(path)
    verify_loaded(named(name), loaded)
    if kept.get("sha256") == loaded.sha256:
        return {key: kept[key] for key in ("sha256", "shape", "references")}
    try:
        classes = labels.encode(loaded.y)
    except DataError as error:
        raise DataError(str(error), str(path)) from error
    n, p = loaded.X.shape
    references = {}
    for l2 in PENALTIES:
        problem = Problem(loaded.X, classes, l2=_weight(l2, n), threads=1)
        known = reference.find(problem, reference.cache.content(problem), always=True)
        if known.f_star is not None:
            references[f"l2={l2}"] = stored(known)
    shape = {"samples": n, "features": p, "classes": classes.n_classes}
    return {"sha256": loaded.sha256, "shape": shape, "references": references}


def measure(case: Case) -> Record:
    """Run a case and return its figures.

    Returns
    -------
    Record
        ``figures``, or None where the run failed with ``error``; ``share``, d/D with D from
        above, None where d is no bound or D is infinite; ``seconds``, for information.

    Raises
    ------
    DataError
        The file is not LIBSVM data, or not what the baseline was made from.
    """
    begin = time.perf_counter()
    loaded = load(case.path)
    if case.sha256 not in (None, loaded.sha256):
        raise DataError(
            f"its text has sha256 {loaded.sha256[:12]}..., the baseline's {case.problem} "
            f"{str(case.sha256)[:12]}...; take that file",
            str(case.path),
        )
    known = Reference(**case.reference)
    options = _options(case, known, len(set(loaded.y.tolist())))
    measured: Record = {"figures": None, "share": None, "error": None}
    try:
        samples = Samples(loaded.X, loaded.y, source=Source(str(case.path)))
        result = fit_source(samples, options, Monitor(), known=known)  # D too: the bound needs it
    except NumericalError as error:
        measured["error"] = str(error)
    else:
        measured["figures"] = _figures(result)
        measured["share"] = _share(result.d, known, options)
    return {**measured, "seconds": time.perf_counter() - begin}


def in_minibatches(case: Case) -> bool:
    """Whether the run depends on the order of the rows."""
    named = AVERAGES.get(case.algo, (case.algo, ""))[0]
    return find(named.partition(" ")[0]).INFO.minibatch


def _weight(l2: str, n: int) -> float:
    return 1.0 / n if l2 == "1/n" else 0.0


def _options(case: Case, known: Reference, classes: int) -> Options:
    """The options as for a user's run, with every row, and on one thread."""
    assert known.f_star is not None
    named, average = AVERAGES.get(case.algo, (case.algo, "none"))
    algo, _, bound = named.partition(" ")
    options = Options(
        algo=algo,
        average=average,
        bound=bound or None,
        l2=case.l2 if case.l2 == "1/n" else 0.0,
        every=1,
        threads=1,
    )
    gated = {case.algo, case.algo.partition(" ")[0]}  # a bound of its own is no less chaotic
    steps = min(HORIZONS.get((case.problem, name), BUDGETS[case.algo]) for name in gated)
    if find(algo).INFO.minibatch:
        own: Any = "weighted" if average == "none" else average
        return replace(options, epochs=steps, average=own)
    return replace(options, iterations=steps, tol=STOP * (math.log(classes) - known.f_star))


def _figures(result: FitResult) -> Record:
    """The figures of a finished run.

    Suboptimalities are shares of that of x_0. Step sizes are summed over the rows: minibatch runs
    have a row an epoch, so the sum shows a schedule that drops too late even where that helps.
    """
    whole = result.trace[0]["suboptimality_last"]
    last = result.trace[-1]
    figures: Record = {"d": last["d"], "suboptimality_last": last["suboptimality_last"] / whole}
    if last["suboptimality_average"] is not None:
        figures["suboptimality_average"] = last["suboptimality_average"] / whole
    if last["bound"] is not None:
        figures["bound"] = last["bound"] / whole
    steps = [row["step_size"] for row in result.trace if row["step_size"] is not None]
    if steps:
        figures["step_sizes"] = math.fsum(steps)
    for name, level in LEVELS.items():
        reached = (row["k"] for row in result.trace if row["suboptimality_last"] <= level * whole)
        figures[name] = next(reached, None)
    figures["iterations"] = last["k"]
    figures["accuracy"] = result.end["accuracy"]
    return figures


def _share(d: float | None, known: Reference, options: Options) -> float | None:
    """d/D in the metric of the run."""
    info = find(options.algo).INFO
    if info.minibatch:
        return None
    D = known.in_metric(options.resolved(info).metric or "identity").distance(info.distance)
    return None if D is None or d is None else d / D
