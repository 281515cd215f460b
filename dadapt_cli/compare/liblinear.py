"""LIBLINEAR's logistic regression: ``liblinear`` (trust region, -s 0), ``liblinear:dual`` (-s 7).

In this process where the package liblinear-official is installed; else its program ``train`` (or
``liblinear-train``, as Debian calls it) is run on a file, and the time of a run that only reads
that file is taken off.
"""

from __future__ import annotations

import functools
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from dadapt_cli import model as models
from dadapt_cli._typing import Array
from dadapt_cli.compare.case import Case
from dadapt_cli.compare.ladder import Answers, Ladder
from dadapt_cli.errors import DataError, InputOutputError, UsageError
from dadapt_cli.libsvm import write_libsvm

SOLVERS = {"liblinear": 0, "liblinear:dual": 7}
"""The number of ``-s``, by name."""

PROGRAMS = ("liblinear-train", "train")

REMEDY = "pip install liblinear-official, or apt install liblinear-tools"

ANYTHING = 1e30
"""A tolerance with which the program reads, evaluates once and writes."""

SHORTEST = 1e-5
"""Seconds: below it the difference of two runs of a program is noise."""


def program() -> str | None:
    """The path of LIBLINEAR's program; another program named ``train`` is not accepted."""
    for name in PROGRAMS:
        path = shutil.which(name)
        if path is not None and _is_liblinear(path):
            return path
    return None


@functools.cache
def _is_liblinear(path: str) -> bool:
    try:
        ran = subprocess.run(
            [path], capture_output=True, stdin=subprocess.DEVNULL, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return b"L2-regularized logistic regression" in ran.stdout + ran.stderr


def require() -> None:
    """Raise UsageError where LIBLINEAR is not installed."""
    if find_spec("liblinear") is None and program() is None:
        raise UsageError(f"--with liblinear: LIBLINEAR is not installed; {REMEDY}")


@dataclass(frozen=True)
class Liblinear(Ladder):
    """One of its two solvers of this objective."""

    name: str
    number: int

    @property
    def library(self) -> str:
        """LIBLINEAR, with its version where that is known: the program does not print it."""
        try:
            return f"LIBLINEAR {version('liblinear-official')}"
        except PackageNotFoundError:
            return f"LIBLINEAR, {program()}"

    def unsuited(self, case: Case) -> str | None:
        """It handles only two classes, an l2 term on all weights, and weights of classes."""
        problem = case.problem
        if problem.softmax:
            return f"it fits {problem.n_classes} classes one against the rest, another problem"
        if problem.l2 == 0:
            return "it needs an l2 term"
        if problem.intercept:
            return "it penalises the intercept"
        return "it has no weights of single samples" if _factors(case) is None else None

    def described(self, case: Case) -> dict[str, object]:
        """The options, as on its command line."""
        problem, factors = case.problem, _factors(case)
        given: dict[str, object] = {"-s": self.number, "-c": 1.0 / (problem.l2 * problem.n_mean)}
        return given | {f"-w{y}": w for y, w in (factors or {}).items()}

    @contextmanager
    def on(self, case: Case) -> Iterator[Answers]:
        """Convert the data to its own form: in memory, or in a file that is removed afterwards."""
        words = [str(part) for pair in self.described(case).items() for part in pair]
        if find_spec("liblinear"):
            yield _InProcess(case, words)
            return
        with tempfile.TemporaryDirectory(prefix="dadapt-compare-") as folder:
            yield _Program(case, words, Path(folder))


def _factors(case: Case) -> dict[int, float] | None:
    """The weight of each class, -1 and 1; None where those of its samples differ."""
    problem = case.problem
    if problem.sample_weight is None:
        return {}
    found = {}
    for label in (-1, 1):
        own = problem.sample_weight[problem.y == label]
        if own.min() != own.max():
            return None
        found[label] = float(own[0])
    return found


class _InProcess:
    """The package's library, called with the data in its own form."""

    def __init__(self, case: Case, words: list[str]) -> None:
        package: Any = import_module("liblinear.liblinear")
        X = case.problem.X
        self.words, self.p = words, case.problem.p
        self.data = package.problem(case.problem.y.astype(float), sp.csr_matrix(X))

    def answer(self, tolerance: float) -> tuple[Array, float | None]:
        """Train on the converted data."""
        train: Any = import_module("liblinear.liblinearutil").train
        begin = time.perf_counter()
        model = train(self.data, ["-q", *self.words, "-e", repr(tolerance)])
        seconds = time.perf_counter() - begin
        sign = 1.0 if model.get_labels()[0] == 1 else -1.0
        return sign * np.array(model.w[: self.p]), seconds


class _Program:
    """The program, on a file that is written once."""

    def __init__(self, case: Case, words: list[str], folder: Path) -> None:
        found = program()
        assert found is not None  # require() has looked
        self.words, self.p = [found, "-q", *words], case.problem.p
        self.data, self.model = str(folder / "data"), str(folder / "model")
        write_libsvm(self.data, sp.csr_array(case.problem.X), case.problem.y)
        self.reading = statistics.median(self._train(ANYTHING)[1] for _ in range(3))

    def answer(self, tolerance: float) -> tuple[Array, float | None]:
        """Train; the seconds are without start and reading."""
        model, seconds = self._train(tolerance)
        w = np.zeros(self.p)
        w[: len(model.w)] = model.w
        return w if model.classes[1] == 1 else -w, max(seconds - self.reading, SHORTEST)

    def _train(self, tolerance: float) -> tuple[Any, float]:
        command = [*self.words, "-e", repr(tolerance), self.data, self.model]
        begin = time.perf_counter()
        try:
            ran = subprocess.run(
                command, capture_output=True, stdin=subprocess.DEVNULL, check=False
            )
        except OSError as error:
            raise InputOutputError(f"{command[0]}: {error.strerror or error}; {REMEDY}") from error
        seconds = time.perf_counter() - begin
        if ran.returncode:
            said = " ".join((ran.stderr or ran.stdout).decode(errors="replace").split())[:80]
            raise DataError(f"{command[0]} failed with exit code {ran.returncode}: {said}")
        return models.load(self.model), seconds
