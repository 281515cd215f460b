"""For ``dadapt verify --model``: turn an answer, data and options into a problem and a point."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dadapt_cli import model as models
from dadapt_cli._typing import Array, Label
from dadapt_cli.errors import DataError, InputOutputError, UsageError
from dadapt_cli.libsvm import LoadedData
from dadapt_cli.model import Model
from dadapt_cli.objective import Problem
from dadapt_cli.preprocessing.labels import REST, Rest
from dadapt_cli.preprocessing.prepare import Preparation, prepare
from dadapt_cli.solver import start
from dadapt_cli.solver.options import Options
from dadapt_cli.system import archive

LARGEST = 2**30
"""Largest size of a file of weights, in bytes."""


@dataclass(frozen=True)
class Answer:
    """A model, or weights alone, as read from `path`."""

    path: str
    model: Model | None
    weights: Array | None = None


def read(path: str) -> Answer:
    """Read what a solver left: a model, ``.npy``, or a text matrix; its bytes say which.

    Raises
    ------
    DataError
        It is none of them, or damaged.
    InputOutputError
        It cannot be read.
    """
    if not Path(path).is_file():
        raise InputOutputError(f"{path}: is not a regular file; name a file of weights")
    try:
        with Path(path).open("rb") as file:
            start = file.read(2**16)
            numeric = _numeric(start)
            content = (
                start + file.read(LARGEST) if numeric or start.startswith(b"\x93NUMPY") else b""
            )
    except OSError as error:
        raise InputOutputError(f"{path}: {error.strerror or error}") from error
    if not content:
        return Answer(path, models.load(path))
    if len(content) > LARGEST:
        raise DataError(f"more than {LARGEST} bytes of weights", path)
    try:
        if numeric:
            values = np.array(
                [[float(v) for v in row.split()] for row in content.splitlines() if row.strip()]
            )
        else:
            values = archive.npy(content, path)
    except (ValueError, EOFError, MemoryError, OverflowError) as error:
        words = " ".join(str(error).split())[:80]
        raise DataError(f"no matrix of weights ({words}); see dadapt verify -h", path) from None
    if values.dtype.kind not in "fiu" or values.ndim not in (1, 2) or not np.isfinite(values).all():
        raise DataError(
            f"an array {values.shape} of {values.dtype}; finite weights are needed", path
        )
    return Answer(path, None, values.astype(np.float64))


def _numeric(start: bytes) -> bool:
    """Whether a text begins with a number, as a matrix does and no model."""
    words = start.split(maxsplit=1)
    try:
        return bool(words) and math.isfinite(float(words[0]))
    except ValueError:
        return False


def options(answer: Answer, given: Mapping[str, Any]) -> Options:
    """The objective asked for; what is not given is the model's, or l2 = 1/n and nothing else.

    Raises
    ------
    UsageError
        Options that cannot be used, or a model that minimises no logistic loss.
    """
    chosen: dict[str, Any] = {"l2": "1/n"}
    model = answer.model
    if model is not None:
        chosen |= _recorded(answer.path, model)
    chosen |= given
    if chosen.get("bias") and chosen.get("intercept"):  # the one given on the command line wins
        chosen |= {name: bool(given.get(name)) for name in ("bias", "intercept")}
    wanted = Options(**chosen)
    wanted.check()
    return wanted


def _recorded(path: str, model: Model) -> dict[str, Any]:
    """The objective that a model says it was fitted with."""
    found: dict[str, Any] = {"scale": model.scaling.kind, "bias": model.bias is not None}
    if isinstance(model.classes[0], Rest):
        found["positive"] = model.classes[1]
    try:
        began = model.about["start"]
        found["l2"] = float(began["objective"]["l2"])
        kept = began["options"]
        if model.bias is not None and kept["intercept"] is True:
            found |= {"bias": False, "intercept": True}
        found["weight"] = kept["weight"]
        if kept["weight"] != "balanced":
            found["weight"] = {int(label): float(w) for label, w in dict(kept["weight"]).items()}
        if isinstance(kept["positive"], int):
            found["positive"] = kept["positive"]
    except KeyError:  # LIBLINEAR's models do not record it
        return found
    except (TypeError, ValueError, OverflowError):
        raise DataError("the model's records make no sense; save it again", path) from None
    return found


def problem(
    answer: Answer, loaded: LoadedData, wanted: Options
) -> tuple[Problem, Array, list[str]]:
    """Return the objective on the data, the answer as a point of it, and notes for the user.

    Raises
    ------
    DataError, UsageError
        Data that cannot be used; an answer to another problem.
    """
    try:
        how = Preparation(wanted.positive, wanted.weight, wanted.scale)
        data = prepare(loaded.X, loaded.y, how)
        objective = start.problem_of(data, wanted)
    except DataError as error:
        raise DataError(str(error), loaded.path) from error
    if answer.weights is not None:
        return objective, _oriented(answer, objective), start.unusual(data, objective)
    model = _logistic(answer, wanted.positive)
    try:
        w = start.x0_weights(objective, data.scaling, model)
    except UsageError as error:
        raise UsageError(str(error).replace("--init: ", f"{answer.path}: ")) from None
    return objective, w, start.unusual(data, objective)


def _logistic(answer: Answer, positive: Label | None) -> Model:
    """Return the model; for one against the rest, the column of the requested label."""
    model = answer.model
    assert model is not None
    if model.kind == "svm":
        raise UsageError(
            f"{answer.path}: answers another problem: a support vector machine has another loss"
        )
    if model.kind != "one-vs-rest":
        return model
    if positive is None or positive not in model.classes:
        raise UsageError(
            f"{answer.path}: answers another problem: {len(model.classes)} labels, each against "
            "the rest, are not softmax; give --positive LABEL to judge one of them"
        )
    column = model.w[:, model.classes.index(positive)]
    return Model("logistic", (REST, positive), column, model.bias, model.scaling, model.about)


def _oriented(answer: Answer, problem: Problem) -> Array:
    """Weights in the problem's shape; given by rows of features, or as scikit-learn's ``coef_``."""
    w = answer.weights
    assert w is not None
    columns = problem.shape[1] if problem.softmax else 1
    table = w.reshape(-1, 1) if w.ndim == 1 else w
    if table.shape != (problem.p, columns) and table.T.shape == (problem.p, columns):
        table = table.T
    if table.shape != (problem.p, columns):
        raise UsageError(
            f"{answer.path}: weights of the shape {w.shape}; the objective has {problem.shape} "
            "(--features; with --bias or --intercept the constant's is the last)"
        )
    return np.ascontiguousarray(table.reshape(problem.shape))
