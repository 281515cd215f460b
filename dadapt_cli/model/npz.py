"""Models as ``.npz``: arrays and JSON, with a digest over both; objects are refused."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import numpy as np

from dadapt_cli._typing import Label
from dadapt_cli.errors import DataError
from dadapt_cli.model.model import KINDS, LARGEST, Model
from dadapt_cli.objective.ball import Ball
from dadapt_cli.preprocessing.labels import LARGEST_LABEL, REST, Rest, text_fault
from dadapt_cli.preprocessing.scaling import SCALES, Scaling
from dadapt_cli.system import archive
from dadapt_cli.system.archive import ArchiveError, words

MAGIC = archive.MAGIC

FORMAT, VERSION = "dadapt model", 1

KEYS = {"format", "version", "kind", "classes", "bias", "scale", "about"}

ARRAYS = ("weights", "divisors", "centre")
"""Members besides the metadata; ``centre`` is that of the ball around the optimum."""


def dumps(model: Model) -> bytes:
    """Return the file's bytes, the same for the same model."""
    text = json.dumps(
        {
            "format": FORMAT,
            "version": VERSION,
            "kind": model.kind,
            "classes": _named(model.classes),
            "bias": model.bias,
            "scale": model.scaling.kind,
            "about": dict(model.about),
            **({} if model.ball is None else {"radius": model.ball.radius}),
        },
        allow_nan=False,
    ).encode()
    arrays: dict[str, Any] = {"weights": np.ascontiguousarray(model.w, np.float64)}
    if model.scaling.divisors is not None:
        arrays["divisors"] = np.ascontiguousarray(model.scaling.divisors, np.float64)
    if model.ball is not None:
        arrays["centre"] = np.ascontiguousarray(model.ball.centre, np.float64)
    digest = np.frombuffer(_digest(text, arrays), np.uint8)
    arrays |= {"metadata": np.frombuffer(text, np.uint8), "digest": digest}
    return archive.pack(arrays)


def loads(content: bytes, path: str) -> Model:
    """Read such bytes.

    Raises
    ------
    DataError
        They are damaged, of another program or version, hold objects, or a model that cannot be.
    """
    try:
        members = archive.unpack(content)
    except ArchiveError as error:
        if "never unpickled" in str(error):
            raise DataError(str(error), path) from None
        raise DataError(f"damaged ({error}); save the model again", path) from None
    try:
        about, arrays = _opened(members)
        if about["format"] != FORMAT:
            raise DataError(f"of the format {str(about['format'])[:40]!r}, no {FORMAT}", path)
        if about["version"] != VERSION:
            shown = str(about["version"])[:40]
            raise DataError(f"a model of version {shown}; this program reads {VERSION}", path)
        if members["digest"].tobytes() != _digest(members["metadata"].tobytes(), arrays):
            raise DataError("damaged (its digest is another one); save the model again", path)
        return _model(about, arrays)
    except ValueError as error:
        raise DataError(f"no {FORMAT} ({words(error)}); see dadapt fit --save", path) from None


def _opened(members: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The metadata and the arrays of a file that has what every version has."""
    if missing := {"metadata", "digest", "weights"} - set(members):
        raise ValueError(f"no {min(missing)}")
    about = archive.document(members["metadata"])
    if not isinstance(about, dict) or not {"format", "version"} <= set(about):
        raise ValueError("no format and version")
    return about, {name: members[name] for name in ARRAYS if name in members}


def _model(about: dict[str, Any], arrays: dict[str, Any]) -> Model:
    """The model, whose parts must fit; ValueError where they do not."""
    if set(about) - {"radius"} != KEYS or not isinstance(about["about"], dict):
        raise ValueError("other fields than a model's")
    w, divisors, bias = arrays["weights"], arrays.get("divisors"), about["bias"]
    kind, scale, classes = about["kind"], about["scale"], _classes(about["classes"])
    if kind not in KINDS or scale not in SCALES:  # strings: nothing else is equal to one
        raise ValueError(f"kind {str(kind)[:20]!r}, scale {str(scale)[:20]!r}")
    one = w.ndim == 1 and len(classes) == 2 and kind in ("logistic", "svm")
    many = w.ndim == 2 and w.shape[1] == len(classes) and kind != "logistic"
    if not (one or many):
        raise ValueError(f"{kind} with weights {w.shape} for {len(classes)} classes")
    if not _numbers(w):
        raise ValueError("weights that are not finite")
    if bias is not None and not (type(bias) in (int, float) and abs(bias) <= LARGEST):
        raise ValueError(f"bias {str(bias)[:20]!r}")
    p = len(w) - (bias is not None)
    if p < 0 or (divisors is not None) != (scale in ("minmax", "standard")):
        raise ValueError(f"scale {scale!r}, {len(w)} rows of weights")
    if divisors is not None and not (
        divisors.shape == (p,) and _numbers(divisors) and (divisors > 0).all()
    ):
        raise ValueError("divisors that do not fit")
    value = None if bias is None else float(bias)
    ball = _ball(about.get("radius"), arrays.get("centre"), w)
    return Model(kind, classes, w, value, Scaling(scale, divisors), about["about"], ball)


def _ball(radius: Any, centre: Any, w: Any) -> Ball | None:
    """The ball around the optimum; ValueError where its parts do not fit each other."""
    if radius is None and centre is None:
        return None
    if centre is None or centre.shape != w.shape or not _numbers(centre):
        raise ValueError("a centre that does not fit the weights")
    if type(radius) is not float or not 0.0 <= radius < math.inf:
        raise ValueError(f"radius {str(radius)[:20]!r}")
    return Ball(centre, radius)


def _named(classes: tuple[Label, ...]) -> list[Label | None]:
    """The labels in the file: REST is null before text, and ``rest`` before an integer."""
    text = isinstance(classes[-1], str)
    return [None if text and isinstance(label, Rest) else label for label in classes]


def _classes(labels: Any) -> tuple[Label, ...]:
    """The labels: different ones of one type, or REST and one."""
    if not isinstance(labels, list) or len(labels) < 2:
        raise ValueError("fewer than two labels")
    whole = labels
    if len(labels) == 2 and labels[0] == (None if isinstance(labels[1], str) else "rest"):
        whole, labels = labels[1:], [REST, labels[1]]
    kinds = {type(label) for label in whole}
    if kinds not in ({int}, {str}, {bool}):
        raise ValueError("labels that are not all integers, all text or all bools")
    if kinds == {int} and any(abs(label) > LARGEST_LABEL for label in whole):
        raise ValueError("labels that are not integers of at most 2^53")
    for fault in (text_fault(label) for label in whole if kinds == {str}):
        if fault is not None:
            raise ValueError(f"a label {fault}")
    if len(set(whole)) != len(whole):
        raise ValueError("a label twice")
    return tuple(labels)


def _numbers(array: Any) -> bool:
    """Whether it is of finite numbers whose products are finite."""
    return array.dtype == np.float64 and bool((np.abs(array) <= LARGEST).all())


def _digest(text: bytes, arrays: dict[str, Any]) -> bytes:
    digest = hashlib.sha256(text)
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.digest()
