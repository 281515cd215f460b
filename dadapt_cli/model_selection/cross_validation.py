"""Stratified cross-validation: fits on K - 1 parts of the data, judged on the part left out."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import scipy.optimize  # noqa: F401 - before the forks, and before BLAS is told its threads

from dadapt_cli._typing import Indices, Record
from dadapt_cli.errors import DataError, UsageError
from dadapt_cli.model_selection.path import Path, along, began, encode, once, tolerance
from dadapt_cli.objective import cores
from dadapt_cli.solver.monitor import Monitor
from dadapt_cli.solver.options import Options
from dadapt_cli.solver.samples import Samples
from dadapt_cli.solver.trace import finite
from dadapt_cli.system import memory
from dadapt_cli.system.activity import tell
from dadapt_cli.system.processes import each
from dadapt_cli.system.terminal import word

COPIES = 4
"""Copies of the samples a fold holds at most: its own, their blocks, and what steps need."""


@dataclass(frozen=True)
class Validated:
    """What a cross-validation found.

    Attributes
    ----------
    folds
        One record per finished fold; for a path, one per fold and point.
    points
        For a path: one record per point, with means and standard errors.
    best, one_se
        For a path: the place of the point with the least mean log-loss, and of the strongest l2
        within one standard error of it; None where folds are missing.
    signal
        What interrupted them, or None.
    """

    folds: list[Record]
    points: list[Record]
    best: int | None
    one_se: int | None
    signal: int | None


def cross_validate(
    samples: Samples, options: Options, folds: int, monitor: Monitor, path: Path | None = None
) -> Validated:
    """Report to `monitor` the result of each fold, and their mean.

    The parts have the classes in the data's shares and are drawn by ``options.seed``. Weights of
    labels and the scaling concern the fits; what is left out is judged sample by sample, without
    weights. No f* is computed; without a
    tolerance, :data:`~dadapt_cli.model_selection.path.RELATIVE` is enough.

    Folds run side by side in as many processes as ``options.threads``, by default the cores; each
    is a fit on one thread, so the digits are the same for any number.

    Raises
    ------
    UsageError
        `folds` is below 2 or above the size of the smallest class.
    DataError, NumericalError
        As for a fit; also a label that one sample has.
    """
    begin = time.perf_counter()
    encoded = encode(samples, options)
    sizes = np.bincount(encoded.index)
    rarest = word(encoded.classes[int(sizes.argmin())], 40)
    if sizes.min() < 2:
        raise DataError(
            f"one sample has the label {rarest}; folds need two or more of each: leave it out, or "
            "--cross-validate",
            samples.source.path,
        )
    if not 2 <= folds <= sizes.min():
        raise UsageError(
            f"--cross-validate {folds}; give 2 to {sizes.min()}, the number of samples with the "
            f"label {rarest}"
        )
    if options.seed >= 2**32:
        raise UsageError(f"--seed {options.seed}; with folds give one below 2^32")
    chosen = tolerance(options, encoded)
    monitor.record({**began(samples, chosen, encoded, path), "folds": folds})
    jobs = _jobs(samples, options, folds)
    fits = [replace(one, threads=1) for one in (path.options(chosen) if path else [chosen])]
    fold = _Fold(samples, fits, path, monitor if jobs == 1 else Monitor())
    parts = stratified(encoded.index, folds, options.seed)
    cuts = ((np.flatnonzero(parts != i), np.flatnonzero(parts == i)) for i in range(folds))
    tasks = [partial(fold, i, *cut) for i, cut in enumerate(cuts, start=1)]
    interrupts, note = monitor.interrupts, once(monitor.note)
    interrupts.patient = True
    done: list[Record] = []
    finished = 0
    for rows, notes in each(tasks, jobs, lambda: interrupts.caught is not None):
        for line in notes:
            note(line)
        if rows is None:  # interrupted
            break
        finished += 1
        tell(f"{finished} of {folds} folds", finished / folds)
        done += rows
        for row in rows:
            monitor.record(row)
    points = _points(done, path, fits) if path is not None and finished == folds else []
    for point in points:
        monitor.record(point)
    best, one_se = _choices(points)
    end: Record = {
        "event": "end",
        "status": "folds" if finished == folds else "interrupted",
        "folds": finished,
        **_means(done if path is None else []),
    }
    if path is not None:
        for name, place in (("best", best), ("one_se", one_se)):
            end[name] = None if place is None else path.record(path.values[place], None)
    load = samples.source.load_seconds
    total = load + time.perf_counter() - begin
    monitor.record({**end, "seconds": {"load": load, "total": total}})
    return Validated(done, points, best, one_se, interrupts.caught if finished < folds else None)


@dataclass(frozen=True)
class _Fold:
    """One fold as a task: its fits, judged on what they did not see."""

    samples: Samples
    options: list[Options]
    path: Path | None
    monitor: Monitor

    def __call__(
        self, number: int, train: Indices, left_out: Indices
    ) -> tuple[list[Record] | None, list[str]]:
        """Return the fold's records, None where a signal ended it, and its notes."""
        X, y, weights = self.samples.X, self.samples.y, self.samples.sample_weight
        own = None if weights is None else weights[train]
        notes: list[str] = []
        inner = Monitor(
            note=notes.append,
            progress=self.monitor.progress,
            interrupts=self.monitor.interrupts,
        )
        rows: list[Record] = []
        since = time.perf_counter()
        fits = along(Samples(X[train], y[train], own), self.options, inner)
        tested, known = X[left_out], y[left_out]
        for place, result in enumerate(fits):
            if result.signal is not None:
                return None, notes
            verdict = result.model.judge(result.model.scores(tested), known)
            now = time.perf_counter()
            value = {} if self.path is None else self.path.record(self.path.values[place], None)
            rows.append(
                {
                    "event": "fold",
                    "fold": number,
                    **value,
                    "samples": verdict.samples,
                    "status": result.status,
                    "accuracy": verdict.accuracy,
                    "log_loss": finite(verdict.log_loss),
                    "seconds": now - since,
                }
            )
            since = now
        return rows, notes


def stratified(index: Indices, folds: int, seed: int) -> Indices:
    """The part of each sample, (n,): those of scikit-learn's shuffled ``StratifiedKFold``.

    Importing scikit-learn for it takes as much time as five folds of a9a.

    Parameters
    ----------
    index
        The number of the class of each sample, (n,).
    """
    _, first, own = np.unique(index, return_index=True, return_inverse=True)
    classes = np.argsort(np.argsort(first))[own]  # in the order in which they appear
    order, count = np.sort(classes), len(first)
    shares = np.array([np.bincount(order[i::folds], minlength=count) for i in range(folds)])
    rng = np.random.RandomState(seed)
    parts = np.empty(len(index), np.intp)
    for k in range(count):
        mine = np.arange(folds).repeat(shares[:, k])
        rng.shuffle(mine)
        parts[classes == k] = mine
    return parts


def _jobs(samples: Samples, options: Options, folds: int) -> int:
    """The number of simultaneous processes: what cores (or ``threads``) and memory allow."""
    wanted = min(folds, options.threads or cores())
    X = samples.X
    size = sum(a.nbytes for a in (X.data, X.indices, X.indptr)) if hasattr(X, "nnz") else X.nbytes
    there = memory.available()
    return wanted if there is None else max(1, min(wanted, there // (COPIES * size + 1)))


def _points(done: list[Record], path: Path, fits: Sequence[Options]) -> list[Record]:
    """Means over the folds at each point of a path."""
    count = len(fits)
    made = []
    for place, value in enumerate(path.values):
        rows = done[place::count]
        made.append(
            {
                "event": "point",
                **path.record(value, None),
                **_means(rows),
                "seconds": math.fsum(row["seconds"] for row in rows),
            }
        )
    return made


def _choices(points: list[Record]) -> tuple[int | None, int | None]:
    """The point with the least mean log-loss, and the strongest l2 within its standard error."""
    if not points or any(point["log_loss"] is None for point in points):
        return None, None
    means = [point["log_loss"] for point in points]
    best = means.index(min(means))
    most = means[best] + (points[best]["log_loss_se"] or 0.0)
    return best, next(i for i, mean in enumerate(means) if mean <= most)


def _means(rows: list[Record]) -> Record:
    """Means over folds with their standard errors."""
    made: Record = {}
    for name in ("accuracy", "log_loss"):
        made[name], made[f"{name}_se"] = _mean([row[name] for row in rows])
    return made


def _mean(values: list[Any]) -> tuple[float | None, float | None]:
    """Mean and its standard error, None where a value is unknown or there are too few."""
    known = [v for v in values if v is not None]
    if not known or len(known) < len(values):
        return None, None
    error = float(np.std(known, ddof=1)) / math.sqrt(len(known)) if len(known) > 1 else None
    return float(np.mean(known)), error
