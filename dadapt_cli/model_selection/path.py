"""A regularisation path: fits for several weights of the l2 term, each from the last one's end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace

from dadapt_cli import __version__
from dadapt_cli._typing import Record
from dadapt_cli.errors import DataError, UsageError
from dadapt_cli.preprocessing import labels
from dadapt_cli.preprocessing.labels import Labels
from dadapt_cli.solver.monitor import Monitor
from dadapt_cli.solver.options import Options, not_for
from dadapt_cli.solver.samples import Samples
from dadapt_cli.solver.stages import FitResult, Tested, fit_source
from dadapt_cli.solver.trace import SCHEMA, describe

RELATIVE = 1e-6
"""Certified suboptimality over f(0) that suffices for a choice. On a9a the accuracy of folds is
that of fits to machine precision, to .01 points (benchmarks/README.md)."""

MOST = 1000
"""Largest number of values of a path."""


@dataclass(frozen=True)
class Path:
    """Weights of the l2 term, the strongest first.

    Attributes
    ----------
    by
        ``l2``, or ``C`` for l2 = 1/(C n).
    values
        Each above 0, none twice.
    """

    by: str
    values: tuple[float, ...]

    @classmethod
    def parse(cls, text: str) -> Path:
        """Read ``0.01,0.1,1``, or ``C=0.1,1,10`` for values of C.

        Raises
        ------
        UsageError
            A value that is no number, or not above 0; fewer than two; too many; one twice.
        """
        by, _, given = text.rpartition("=")
        if by not in ("", "l2", "C"):
            raise UsageError(f"--path {text[:40]!r}; give values of l2, as 0.01,0.1,1, or C=1,10")
        by = by or "l2"
        try:
            values = [float(part) for part in given.split(",") if "_" not in part or 1 / 0]
        except (ValueError, ZeroDivisionError):
            raise UsageError(
                f"--path {text[:40]!r}; give numbers with commas between, as 0.01,0.1,1 or C=1,10"
            ) from None
        for value in values:
            if not (math.isfinite(value) and 1e-100 <= value <= 1e100):
                raise UsageError(f"--path {value:g}; give values of l2 or C from 1e-100 to 1e100")
        if not 2 <= len(set(values)) == len(values) <= MOST:
            raise UsageError(f"--path {text[:40]!r}; give 2 to {MOST} different values")
        return cls(by, tuple(sorted(values, reverse=by == "l2")))

    def options(self, options: Options) -> list[Options]:
        """The options of the fits, in the order in which they are made."""
        if self.by == "l2":
            return [replace(options, l2=value) for value in self.values]
        return [replace(options, C=value) for value in self.values]

    def record(self, value: float, l2: float | None) -> Record:
        """The keys that name a point in a record: l2 where it is known, C where that was given."""
        if self.by == "l2":
            return {"l2": value, "C": None}
        return {"l2": l2, "C": value}


def tolerance(options: Options, encoded: Labels) -> Options:
    """Options with a tolerance sufficient for a choice, unless another stopping rule is given."""
    minibatch = options.check().INFO.minibatch
    if minibatch or options.tol is not None or options.stop_when_proven is not None:
        return options
    return replace(options, tol=RELATIVE * math.log(max(2, len(encoded.classes))))


def encode(samples: Samples, options: Options) -> Labels:
    """The labels; DataError, with the file's name, where there are not two."""
    try:
        return labels.encode(samples.y, positive=options.positive)
    except DataError as error:
        raise DataError(str(error), samples.source.path) from error


def began(samples: Samples, options: Options, encoded: Labels, path: Path | None) -> Record:
    """The start record of a path, or of folds."""
    info = options.check().INFO
    foreign = [name for name in not_for(info) if name != "seed"]
    if path is not None:
        foreign += ["l2", "C"]
    resolved = {**asdict(options.resolved(info)), **dict.fromkeys(foreign), "reference": "none"}
    values = None if path is None else [path.record(value, None) for value in path.values]
    return {
        "event": "start",
        "version": __version__,
        "algorithm": options.algo,
        "data": describe(samples.X, samples.X.shape[0], encoded.classes, samples.source),
        "options": resolved,
        "path": values,
        "schema": SCHEMA,
    }


def along(
    samples: Samples, options: list[Options], monitor: Monitor, held_out: Tested = None
) -> Iterator[FitResult]:
    """Fit with these options in turn, each from the previous weights; a signal ends the path."""
    w = None
    for chosen in options:
        part = replace(chosen, reference="none")
        result = fit_source(samples, part, monitor, init=w, held_out=held_out)
        yield result
        if result.signal is not None:
            return
        w = result.w


def once(note: Callable[[str], None]) -> Callable[[str], None]:
    """Wrap `note` so that it gives each line only once: every fit has the same notes."""
    said: set[str] = set()

    def say(line: str) -> None:
        if line not in said:
            said.add(line)
            note(line)

    return say


def follow(
    samples: Samples,
    options: Options,
    path: Path,
    monitor: Monitor,
    held_out: Tested = None,
) -> tuple[list[Record], int | None]:
    """Fit along a path, reporting each point to `monitor`: f, its certified gap, accuracy.

    No f* is computed: the l2 term bounds f - f* at each point.

    Returns
    -------
    points
        One record per point.
    signal
        The signal that interrupted the fits, or None.

    Raises
    ------
    UsageError, DataError, NumericalError
        As for a fit.
    """
    begin = time.perf_counter()
    encoded = encode(samples, options)
    chosen = tolerance(options, encoded)
    monitor.record(began(samples, chosen, encoded, path))
    inner = Monitor(
        note=once(monitor.note), progress=monitor.progress, interrupts=monitor.interrupts
    )
    points: list[Record] = []
    signal: int | None = None
    fits = along(samples, path.options(chosen), inner, held_out)
    for value, result in zip(path.values, fits, strict=False):
        signal, end = result.signal, result.end
        tested = {name: end[name] for name in end if name.startswith("test_")}
        points.append(
            {
                "event": "point",
                **path.record(value, result.start["objective"]["l2"]),
                "k": end["k"],
                "status": end["status"],
                "f": end["f_best"],
                "gap": end["gap"],
                "d": result.d,
                "accuracy": end["accuracy"],
                "log_loss": end["log_loss"],
                **tested,
                "labels_proven": end["labels_proven"],
                "seconds": end["seconds"]["total"] - end["seconds"]["load"],
            }
        )
        monitor.record(points[-1])
    load = samples.source.load_seconds
    monitor.record(
        {
            "event": "end",
            "status": "path" if signal is None else "interrupted",
            "points": len(points),
            "seconds": {"load": load, "total": load + time.perf_counter() - begin},
        }
    )
    return points, signal
