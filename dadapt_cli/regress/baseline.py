"""The stored baseline: its file, its tolerances, and what differs from it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from dadapt_cli._typing import Record
from dadapt_cli.errors import DataError, InputOutputError, UsageError
from dadapt_cli.reference import Reference
from dadapt_cli.reference.reference import ARRAYS
from dadapt_cli.system.files import atomic_write, read_whole, reporting
from dadapt_cli.system.schema import conforms, require, require_fields

VERSION = 1
"""Version of the file's format."""


@dataclass(frozen=True)
class Tolerance:
    """How far a figure may be from the baseline's before it counts as different.

    Attributes
    ----------
    relative
        Share of the baseline's figure.
    absolute
        In the figure's own unit.
    samples
        Number of samples, for a figure that is a share of them.
    """

    relative: float = 0.0
    absolute: float = 0.0
    samples: float = 0.0

    def allowed(self, figure: float, samples: int) -> float:
        """The change allowed; `samples` is the number there are."""
        return max(self.relative * abs(figure), self.absolute, self.samples / samples)


TOLERANCES = {
    "d": Tolerance(relative=1e-6),
    "step_sizes": Tolerance(relative=1e-6, absolute=1e-4),
    "suboptimality_last": Tolerance(relative=1e-4, absolute=1e-9),
    "suboptimality_average": Tolerance(relative=1e-4, absolute=1e-9),
    "bound": Tolerance(relative=1e-4, absolute=1e-9),
    "iterations_1e-2": Tolerance(relative=0.01),
    "iterations_1e-3": Tolerance(relative=0.01),
    "iterations": Tolerance(relative=0.01),
    "accuracy": Tolerance(samples=1.0),
    # Adam divides by gradients that are nearly 0 at the border of the pictures.
    "usps/adam/suboptimality_last": Tolerance(relative=0.25),
    "usps/adam/suboptimality_average": Tolerance(relative=0.1),
    "usps/adam/iterations_1e-2": Tolerance(relative=0.2),
    "usps/adam/iterations_1e-3": Tolerance(relative=0.2),
    "usps/adam/accuracy": Tolerance(samples=8.0),
}
"""Tolerances of a new baseline; a gate uses those that its baseline states.

By figure, or by problem/algorithm/figure where rounding grows more than elsewhere. Chosen from
``benchmarks/gate_noise.py``: nine times or more the largest change that threads, order
of summation, storage, processor or a last bit of the data made in any gated run.
"""

BEST = {"suboptimality_last": -1, "suboptimality_average": -1, "iterations_1e-2": -1,
        "iterations_1e-3": -1, "iterations": -1, "accuracy": 1}  # fmt: skip
"""The sign of an improvement. d and the step sizes are not here: they have none, and any change
of them needs a look and ``--update``."""

BAD = ("changed", "missing", "worse", "wrong", "failed")
"""Verdicts that make the gate fail, the most serious last."""

VERDICTS = ("ok", "skipped", "new", "better", *BAD)

PROBLEM = {
    "sha256": str,
    "shape": dict[str, Any],
    "environment": dict[str, Any],
    "references": dict[str, Any],
    "algorithms": dict[str, dict[str, Any]],
}
"""What a problem in a baseline has."""

ROUNDING = 1e-12
"""Share by which d may exceed the certified D: its own rounding."""


def read(path: Path) -> Record:
    """Read a baseline.

    Raises
    ------
    UsageError
        There is no such file.
    InputOutputError
        It cannot be read, or is of another version.
    DataError
        It is not a baseline, or a damaged one.
    """
    try:
        with reporting(path, "it cannot be read"):
            if not path.exists():
                raise UsageError(
                    f"{path}: there is no such file; --update makes one, --baseline names another"
                )
        text = read_whole(path).decode()
    except UnicodeDecodeError:
        _refuse(path, "not text")
    try:
        document = json.loads(text, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise DataError(f"not JSON: {error.msg}; {_REMEDY}", str(path), error.lineno) from error
    except (ValueError, RecursionError) as error:
        _refuse(path, str(error)[:120])
    if not isinstance(document, dict) or "version" not in document:
        _refuse(path, "not a baseline: it has no version")
    if document["version"] != VERSION:
        raise InputOutputError(
            f"{path}: version {str(document['version'])[:40]!r} of the format, this program reads "
            f"{VERSION}; remove it and make a new one with --update"
        )
    try:
        _check(document)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        _refuse(path, f"not a whole baseline: {what[:120]}")
    return document


_REMEDY = "take it from version control, or remove it and make a new one with --update"


def _refuse(path: Path, what: str) -> NoReturn:
    raise DataError(f"{what}; {_REMEDY}", str(path))


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word!r} is not a finite number")


def _check(document: Record) -> None:
    """Raise KeyError, TypeError, AttributeError or ValueError at what a gate could not use."""
    require({"tolerances": dict[str, dict[str, float]], "problems": dict[str, Any]}, document, "it")
    for name, stated in tolerances(document).items():
        if min(asdict(stated).values()) < 0:
            raise ValueError(f"the tolerance of {name!r} is negative")
    for name, problem in document["problems"].items():
        require(PROBLEM, problem, name)
        require({"samples": int}, problem["shape"], f"the shape of {name}")
        if problem["shape"]["samples"] < 1:
            raise ValueError("a problem without samples")
        for known in problem["references"].values():
            require_fields(Reference, known, "a reference", ["seconds", *ARRAYS])
            require({"f_star": float}, known, "a reference")
            for lengths in known["distances"].values():
                if len(lengths) != 3:
                    raise ValueError("distances that are not D, D_inf and D_error")
        for algorithm, penalties in problem["algorithms"].items():
            if not conforms(penalties, dict[str, dict[str, float | None]]):
                raise ValueError(f"the runs of {algorithm} are not figures")
            for key, figures in penalties.items():
                if not key.startswith("l2=") or "suboptimality_last" not in figures:
                    raise ValueError("a run without figures")


def tolerances(document: Record) -> dict[str, Tolerance]:
    """The tolerances that a baseline states, which may be tighter or wider than TOLERANCES."""
    return {name: Tolerance(**parts) for name, parts in document["tolerances"].items()}


def empty() -> Record:
    """A baseline of no problems."""
    stated = {
        name: {part: value for part, value in asdict(tolerance).items() if value}
        for name, tolerance in TOLERANCES.items()
    }
    return {"version": VERSION, "tolerances": stated, "problems": {}}


def write(path: Path, document: Record) -> None:
    """Write a baseline: keys sorted, one figure a line, floats to the last bit."""
    text = json.dumps(document, indent=1, sort_keys=True, allow_nan=False)
    with atomic_write(path) as handle:
        handle.write(text.encode() + b"\n")


def compare(
    stated: dict[str, Tolerance],
    run: str,
    samples: int,
    before: Record | None,
    now: Record,
    share: float | None,
) -> list[Record]:
    """Compare the figures of one run with the baseline's.

    Parameters
    ----------
    stated
        Tolerances by figure; a figure without one may not change at all.
    run
        problem/algorithm, for tolerances of its own.
    samples
        Their number in the problem.
    before, now
        The figures; before is None where the baseline has none of this run.
    share
        d/D, D from above, or None: more than 1 is wrong whatever the baseline says.

    Returns
    -------
    list
        A record a figure: ``figure``, ``baseline``, ``measured``, ``change`` (relative to the
        baseline), ``allowed`` (absolute) and ``verdict``, one of VERDICTS.
    """
    compared = []
    for name in (*now, *(name for name in before or {} if name not in now)):
        old, new = (before or {}).get(name), now.get(name)
        own = stated.get(f"{run}/{name}", stated.get(name, Tolerance()))
        allowed = None if old is None else own.allowed(old, samples)
        verdict = "new" if before is None or name not in before else _verdict(name, old, new, now)
        if allowed is not None and new is not None and abs(new - old) <= allowed:
            verdict = "ok"
        if name == "d" and share is not None and share > 1 + ROUNDING:
            verdict = "wrong"
        change = None if not old or new is None else (new - old) / abs(old)
        compared.append({"figure": name, "baseline": old, "measured": new,
                         "change": _number(change), "allowed": _number(allowed),
                         "verdict": verdict})  # fmt: skip
    return compared


def _number(value: float | None) -> float | None:
    """None for an overflow: a baseline's figures may be as small or as large as floats are."""
    return value if value is None or math.isfinite(value) else None


def _verdict(name: str, old: float | None, new: float | None, now: Record) -> str:
    """Verdict on a figure outside its tolerance; None of an iteration count is "never"."""
    if name not in now:
        return "missing"
    if old == new:
        return "ok"
    if name not in BEST:
        return "changed"
    if old is None or new is None:
        return "worse" if new is None else "better"
    return "better" if (new - old) * BEST[name] > 0 else "worse"
