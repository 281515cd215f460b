"""The paper's 12 convex problems: names, what the paper printed for them, and where they lie."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dadapt_cli import labels
from dadapt_cli.errors import DataError, InputOutputError, UsageError
from dadapt_cli.experiments.replicas import Samples
from dadapt_cli.libsvm import load

ROWS_AT_ONCE = 1024
"""To make dense: beside the sparse and the dense data there is only this block."""

SUFFIXES = ("", ".xz", ".bz2", ".gz")


@dataclass(frozen=True)
class Printed:
    """Training accuracies in percent and their standard errors in the paper's Figure 2."""

    adam: float
    adam_se: float
    dadapt_adam: float
    dadapt_adam_se: float


@dataclass(frozen=True)
class PaperProblem:
    """One problem.

    Attributes
    ----------
    name
        LIBSVM's file name.
    title
        For people.
    printed
        None for a subset, which is not the paper's problem.
    """

    name: str
    title: str
    printed: Printed | None


PROBLEMS = (
    PaperProblem("Sensorless", "Sensorless", Printed(89.5, 0.01, 90.0, 0.07)),
    PaperProblem("aloi.scale", "Aloi", Printed(94.1, 0.01, 97.1, 0.01)),
    PaperProblem("dna.scale", "DNA", Printed(100.0, 0.0, 100.0, 0.0)),
    PaperProblem("glass.scale", "Glass", Printed(72.0, 0.16, 72.3, 0.19)),
    PaperProblem("iris.scale", "Iris", Printed(98.3, 0.11, 98.6, 0.0)),
    PaperProblem("letter.scale", "Letter", Printed(77.8, 0.01, 77.7, 0.01)),
    PaperProblem("pendigits", "Pendigits", Printed(96.2, 0.02, 95.8, 0.02)),
    PaperProblem("smallNORB", "smallNORB", Printed(92.9, 0.03, 95.8, 0.04)),
    PaperProblem("usps", "USPS", Printed(98.6, 0.01, 98.6, 0.01)),
    PaperProblem("vehicle.scale", "Vehicle", Printed(82.1, 0.08, 81.9, 0.16)),
    PaperProblem("vowel.scale", "Vowel", Printed(77.4, 0.11, 77.4, 0.15)),
    PaperProblem("wine.scale", "Wine", Printed(100.0, 0.0, 100.0, 0.0)),
)

SUBSETS = (PaperProblem("Sensorless.sub2200", "Sensorless, 2,200 of 58,509 rows", None),)
"""Run only when named, and never as the problem they are a part of."""


def folders() -> list[Path]:
    """Where the files are looked for: DADAPT_DATA, then data/ of a checkout."""
    named = [Path(name) for name in os.environ.get("DADAPT_DATA", "").split(":") if name]
    return [*named, Path(__file__).resolve().parents[2] / "data"]


def find(problem: PaperProblem) -> Path | None:
    """The first file of that name, plain or compressed; None where there is none."""
    candidates = (f / (problem.name + suffix) for f in folders() for suffix in SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)


def _key(name: str) -> str:
    return name.lower().removesuffix(".scale")


def named(name: str) -> PaperProblem:
    """The problem of that name, in any case, with or without ``.scale``.

    Raises
    ------
    UsageError
        There is none; the message suggests the nearest.
    """
    known = {_key(problem.name): problem for problem in (*PROBLEMS, *SUBSETS)}
    if (key := _key(name)) in known:
        return known[key]
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    raise UsageError(f"unknown problem {name[:40]!r}; {hint}")


def choose(names: Sequence[str]) -> tuple[list[tuple[PaperProblem, Path]], list[PaperProblem]]:
    """The problems to run with their files, and those that are missing.

    Without names it is all 12, as far as they are there.

    Raises
    ------
    UsageError
        No such problem.
    InputOutputError
        A problem that was asked for is missing, or all of them are.
    """
    wanted = list(dict.fromkeys(named(name) for name in names)) or list(PROBLEMS)
    files = [(problem, find(problem)) for problem in wanted]
    found = [(problem, path) for problem, path in files if path is not None]
    missing = [problem for problem, path in files if path is None]
    if missing and (names or not found):
        raise InputOutputError(
            f"{', '.join(problem.name for problem in missing)}: no such file in "
            f"{', '.join(map(str, folders()))}; name the folder in DADAPT_DATA"
        )
    return found, missing


def read(path: Path, dtype: str) -> tuple[Samples, str]:
    """The samples, features as in the file plus a bias, and the sha256 of the text.

    Raises
    ------
    DataError
        Not LIBSVM data, or only two classes: the paper's problems have more.
    """
    loaded = load(path, dtype=np.dtype(dtype))
    try:
        classes = labels.encode(loaded.y)
    except DataError as error:
        raise DataError(str(error), str(path)) from error
    if classes.n_classes < 3:
        raise DataError("two classes; the experiments need three or more", str(path))
    if not np.isfinite(loaded.X.data).all():
        raise DataError("a value is not finite", str(path))
    n, p = loaded.X.shape
    X = np.ones((n, p + 1), dtype)  # the last column is the bias
    for begin in range(0, n, ROWS_AT_ONCE):
        rows = slice(begin, begin + ROWS_AT_ONCE)
        X[rows, :p] = loaded.X[rows].toarray()
    return Samples(X, classes.index, classes.n_classes), loaded.sha256
