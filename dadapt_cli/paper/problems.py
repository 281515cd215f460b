"""The paper's 12 convex problems: what the paper printed for them, and their samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dadapt_cli import datasets
from dadapt_cli.datasets import Dataset
from dadapt_cli.errors import DataError, InputOutputError
from dadapt_cli.libsvm import load
from dadapt_cli.paper.replicas import Samples
from dadapt_cli.preprocessing import labels

ROWS_AT_ONCE = 1024
"""Rows made dense at once: the only memory besides the sparse and the dense data."""


@dataclass(frozen=True)
class Printed:
    """Training accuracies in percent and their standard errors in the paper's Figure 2."""

    adam: float
    adam_se: float
    dadapt_adam: float
    dadapt_adam_se: float


PRINTED = {
    "Sensorless": Printed(89.5, 0.01, 90.0, 0.07),
    "aloi.scale": Printed(94.1, 0.01, 97.1, 0.01),
    "dna.scale": Printed(100.0, 0.0, 100.0, 0.0),
    "glass.scale": Printed(72.0, 0.16, 72.3, 0.19),
    "iris.scale": Printed(98.3, 0.11, 98.6, 0.0),
    "letter.scale": Printed(77.8, 0.01, 77.7, 0.01),
    "pendigits": Printed(96.2, 0.02, 95.8, 0.02),
    "smallNORB": Printed(92.9, 0.03, 95.8, 0.04),
    "usps": Printed(98.6, 0.01, 98.6, 0.01),
    "vehicle.scale": Printed(82.1, 0.08, 81.9, 0.16),
    "vowel.scale": Printed(77.4, 0.11, 77.4, 0.15),
    "wine.scale": Printed(100.0, 0.0, 100.0, 0.0),
}


@dataclass(frozen=True)
class PaperProblem:
    """One problem.

    Attributes
    ----------
    name
        LIBSVM's file name.
    title
        The name shown to readers.
    printed, dataset
        None for a subset, which is not the paper's problem and not one of LIBSVM's.
    """

    name: str
    title: str
    printed: Printed | None = None
    dataset: Dataset | None = None


PROBLEMS = tuple(
    PaperProblem(dataset.name, dataset.title or dataset.name, PRINTED[dataset.name], dataset)
    for dataset in datasets.PROBLEMS
)

SUBSETS = (PaperProblem("Sensorless.sub2200", "Sensorless, 2,200 of 58,509 rows"),)
"""Run only if named; never a substitute for the problem they are a part of."""


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
    known = (*PROBLEMS, *SUBSETS)
    wanted = list(dict.fromkeys(datasets.pick(name, known) for name in names)) or list(PROBLEMS)
    files = [(problem, datasets.find(problem)) for problem in wanted]
    found = [(problem, path) for problem, path in files if path is not None]
    missing = [problem for problem, path in files if path is None]
    if missing and (names or not found):
        raise InputOutputError(
            f"{', '.join(problem.name for problem in missing)}: no such file in "
            f"{', '.join(map(str, datasets.folders()))}; "
            f"{datasets.fetch_command(missing[0])}, or name the folder in DADAPT_DATA"
        )
    return found, missing


def read(problem: PaperProblem, path: Path, dtype: str) -> tuple[Samples, str]:
    """The samples, features as in the file plus a bias, and the sha256 of the text.

    Raises
    ------
    DataError
        Not LIBSVM data, not the problem, or only two classes: the paper's problems have more.
    """
    loaded = load(path, dtype=np.dtype(dtype))
    if problem.dataset is not None:
        datasets.verify_loaded(problem.dataset, loaded)
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
