"""LIBLINEAR's text format of models, as its ``train`` writes and its ``predict`` reads it.

A header of keys (solver_type, nr_class, label, nr_feature, bias), then ``w`` and a line of weights
a feature, the bias feature last. With two classes there is one column, and a positive score means
the first label. More classes are one against the rest there; probabilities are the sigmoids of the
scores, normalised. Weights of softmax give the same labels in this format, other probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from dadapt_cli._typing import Label
from dadapt_cli.errors import DataError, UsageError
from dadapt_cli.model.model import LARGEST, Model
from dadapt_cli.preprocessing.labels import LARGEST_LABEL, Rest
from dadapt_cli.system.terminal import word

LOGISTIC = ("L2R_LR", "L1R_LR", "L2R_LR_DUAL")

SVM = ("L2R_L2LOSS_SVC_DUAL", "L2R_L2LOSS_SVC", "L2R_L1LOSS_SVC_DUAL", "MCSVM_CS",
       "L1R_L2LOSS_SVC")  # fmt: skip

OTHER = ("L2R_L2LOSS_SVR", "L2R_L2LOSS_SVR_DUAL", "L2R_L1LOSS_SVR_DUAL", "ONECLASS_SVM")

KEYS = ("solver_type", "nr_class", "label", "nr_feature", "bias")

MOST_CLASSES = 2**31 - 1


def check(scale: str, classes: tuple[Label, ...] = ()) -> None:
    """Raise UsageError for what the format cannot express: unit rows, labels of text."""
    if scale == "unit":
        raise UsageError(
            "--scale unit cannot be written in LIBLINEAR's format, which has no scaling; "
            "save as .npz"
        )
    if any(isinstance(label, Rest) for label in classes):
        raise UsageError("LIBLINEAR's format has no label for the rest of --positive; save as .npz")
    for label in classes:
        if isinstance(label, str):
            raise UsageError(
                f"LIBLINEAR's format has integer labels only, not {word(label, 40)}; save as .npz"
            )


def dumps(model: Model) -> bytes:
    """Return the file's bytes; scaled features are folded into the weights.

    Raises
    ------
    UsageError
        The format cannot express the model.
    """
    check(model.scaling.kind, model.classes)
    w = model.scaling.raw(model.w)
    labels = model.classes[::-1] if w.ndim == 1 else model.classes
    head = [
        "solver_type L2R_LR",
        f"nr_class {len(labels)}",
        "label " + " ".join(str(int(label)) for label in labels),
        f"nr_feature {model.n_features}",
        f"bias {-1 if model.bias is None else model.bias:.17g}",
        "w",
    ]
    columns = w.reshape(len(w), -1).tolist()
    rows = ["".join(f"{v:.17g} " for v in row) for row in columns]
    return ("\n".join([*head, *rows]) + "\n").encode()


def loads(content: bytes, path: str) -> Model:
    """Read such bytes.

    Raises
    ------
    DataError
        With the line, the token and what is wrong with it.
    """
    texts = content.split(b"\n")
    if texts[-1]:
        _tokens(texts[0], path, 1)
        raise DataError("the last line has no end; the model was cut off", path, len(texts))
    lines = iter(enumerate(texts, start=1))
    head: dict[str, list[str]] = {}
    number = 0
    for number, line in lines:
        key, *values = _tokens(line, path, number)
        if key == "w":
            break
        if key not in KEYS:
            hint = "not a LIBLINEAR model" if number == 1 else f"the keys are {', '.join(KEYS)}, w"
            raise DataError(f"unknown key {key[:40]!r}; {hint}", path, number)
        if key in head:
            raise DataError(f"{key} appears twice", path, number)
        head[key] = values
        _check(key, values, path, number)
    else:
        raise DataError("the model ends before its weights; it was cut off", path, number)
    for key in KEYS:
        if key not in head:
            raise DataError(f"no {key} before the weights", path, number)
    labels = [int(label) for label in head["label"]]
    classes, solver = int(head["nr_class"][0]), head["solver_type"][0]
    if len(labels) != classes or len(set(labels)) != classes:
        raise DataError(f"{classes} classes, but the labels {labels[:8]}", path, number)
    bias = float(head["bias"][0])
    one = classes == 2 and solver != "MCSVM_CS"
    rows = int(head["nr_feature"][0]) + (bias >= 0)
    w = _weights(lines, rows, 1 if one else classes, path, number)
    logistic = "logistic" if one else "one-vs-rest"
    return Model(
        "svm" if solver in SVM else logistic,
        tuple(labels[::-1] if one else labels),
        w[:, 0] if one else w,
        bias if bias >= 0 else None,
        about={"solver_type": solver},
    )


def _tokens(line: bytes, path: str, number: int) -> list[str]:
    """The words of a line, at least one."""
    try:
        tokens = line.decode("ascii").split()
    except UnicodeDecodeError:
        raise DataError(f"no text: {line[:20]!r}; not a LIBLINEAR model", path, number) from None
    if not tokens:
        raise DataError("an empty line inside the model; it was cut off", path, number)
    return tokens


def _check(key: str, values: list[str], path: str, number: int) -> None:
    """Raise DataError at a header line with invalid values."""
    if key == "solver_type":
        if values and values[0] in OTHER:
            raise DataError(f"{values[0]} is not a classifier; train with -s 0", path, number)
        good = len(values) == 1 and values[0] in (*LOGISTIC, *SVM)
    elif key == "label":
        labels = [_integer(v) for v in values]
        if any(v is not None and abs(v) > LARGEST_LABEL for v in labels):
            raise DataError("labels are integers of at most 2^53", path, number)
        good = bool(labels) and None not in labels
    elif key == "bias":
        good = len(values) == 1 and abs(_float(values[0])) <= LARGEST
    else:
        count = _integer(values[0]) if len(values) == 1 else None
        good = count is not None and (key == "nr_class") <= count <= MOST_CLASSES
    if not good:
        raise DataError(f"{key} {' '.join(values)[:40]!r} is not valid", path, number)


def _weights(
    lines: Iterator[tuple[int, bytes]], rows: int, columns: int, path: str, number: int
) -> Any:
    """The weights, (rows, columns); each line has a row, blank lines may follow."""
    found: list[list[float]] = []
    for number, line in lines:
        if not line.strip():
            if len(found) < rows:
                break
            continue
        if len(found) == rows:
            raise DataError(f"more than the {rows} rows of weights announced", path, number)
        tokens = _tokens(line, path, number)
        if len(tokens) != columns:
            raise DataError(f"{len(tokens)} weights in a row of {columns}", path, number)
        values = [_float(token) for token in tokens]
        for token, value in zip(tokens, values, strict=True):
            if not abs(value) <= LARGEST:
                what = f"exceeds {LARGEST:g}" if math.isfinite(value) else "is not a finite number"
                raise DataError(f"{token[:40]!r} {what}", path, number)
        found.append(values)
    if len(found) < rows:
        raise DataError(f"{len(found)} of {rows} rows of weights; it was cut off", path, number)
    return np.array(found, np.float64).reshape(rows, columns)


def _integer(token: str) -> int | None:
    try:
        return int(token) if "_" not in token else None
    except ValueError:
        return None


def _float(token: str) -> float:
    """NaN where the token is not a number."""
    try:
        return float(token) if "_" not in token else math.nan
    except ValueError:
        return math.nan
