"""Stratified cross-validation: fits on K - 1 parts of the data, judged on the part left out."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, replace

import numpy as np

from dadapt_cli import __version__
from dadapt_cli._typing import Record
from dadapt_cli.errors import UsageError
from dadapt_cli.preprocessing import labels
from dadapt_cli.solver.monitor import Monitor
from dadapt_cli.solver.options import Options, not_for
from dadapt_cli.solver.samples import Samples
from dadapt_cli.solver.stages import fit_source
from dadapt_cli.solver.trace import SCHEMA, describe, finite
from dadapt_cli.system.activity import tell


def cross_validate(
    samples: Samples, options: Options, folds: int, monitor: Monitor
) -> tuple[list[Record], int | None]:
    """Tell `monitor` how each fold does, and their mean.

    The parts have the classes in the data's shares and are drawn by ``options.seed``. Weights of
    labels and the scaling concern the fits; what is left out is judged sample by sample, without
    weights. No f* is computed.

    Returns
    -------
    folds
        A record a fold that was finished.
    signal
        What interrupted them, or None.

    Raises
    ------
    UsageError
        `folds` is below 2 or above the size of the smallest class.
    DataError, NumericalError
        As of a fit.
    """
    from sklearn.model_selection import StratifiedKFold

    begin = time.perf_counter()
    X, y, source = samples.X, samples.y, samples.source
    encoded = labels.encode(y, positive=options.positive)
    sizes = np.bincount(encoded.index)
    if not 2 <= folds <= sizes.min():
        raise UsageError(
            f"--cross-validate {folds}; give 2 to {sizes.min()}, the number of samples with the "
            f"label {encoded.classes[int(sizes.argmin())]}"
        )
    if options.seed >= 2**32:
        raise UsageError(f"--seed {options.seed}; with folds give one below 2^32")
    info = options.check().INFO
    resolved = asdict(options.resolved(info))
    foreign = [name for name in not_for(info) if name != "seed"]
    monitor.record(
        {
            "event": "start",
            "version": __version__,
            "algorithm": options.algo,
            "data": describe(X, X.shape[0], encoded.classes, source),
            "options": {**resolved, **dict.fromkeys(foreign), "reference": "none"},
            "folds": folds,
            "schema": SCHEMA,
        }
    )
    said: set[str] = set()

    def note(line: str) -> None:
        if line not in said:
            said.add(line)
            monitor.note(line)

    unit, steps = ("epoch", options.epochs) if info.minibatch else ("k", options.iterations)
    number = 0

    def progress(k: int, d: float, f: float) -> None:
        share = (number - 1 + k / steps) / folds
        tell(f"fold {number} of {folds}: {unit} = {k} of {steps}, f = {f:.6f}", share)

    inner = Monitor(note=note, progress=progress, interrupts=monitor.interrupts)
    done: list[Record] = []
    signal: int | None = None
    parts = StratifiedKFold(folds, shuffle=True, random_state=options.seed)
    for number, (train, left_out) in enumerate(parts.split(encoded.index, encoded.index), start=1):
        since = time.perf_counter()
        part = replace(options, reference="none")
        result = fit_source(Samples(X[train], y[train]), part, inner)
        if result.signal is not None:
            signal = result.signal
            break
        verdict = result.model.judge(result.model.scores(X[left_out]), y[left_out])
        done.append(
            {
                "event": "fold",
                "fold": number,
                "samples": verdict.samples,
                "status": result.status,
                "accuracy": verdict.accuracy,
                "log_loss": finite(verdict.log_loss),
                "seconds": time.perf_counter() - since,
            }
        )
        monitor.record(done[-1])
    end: Record = {
        "event": "end",
        "status": "folds" if signal is None else "interrupted",
        "folds": len(done),
    }
    for name in ("accuracy", "log_loss"):
        end[name], end[f"{name}_se"] = _mean([fold[name] for fold in done])
    total = source.load_seconds + time.perf_counter() - begin
    monitor.record({**end, "seconds": {"load": source.load_seconds, "total": total}})
    return done, signal


def _mean(values: list[float | None]) -> tuple[float | None, float | None]:
    """Mean and its standard error, None where a value is unknown or there are too few."""
    known = [v for v in values if v is not None]
    if not known or len(known) < len(values):
        return None, None
    error = float(np.std(known, ddof=1)) / math.sqrt(len(known)) if len(known) > 1 else None
    return float(np.mean(known)), error
