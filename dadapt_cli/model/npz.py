"""Models as ``.npz``: arrays and JSON, with a digest over both; objects are refused."""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import struct
import zipfile
import zlib
from typing import Any

import numpy as np

from dadapt_cli.errors import DataError
from dadapt_cli.model.model import KINDS, Model
from dadapt_cli.preprocessing.scaling import SCALES, Scaling

MAGIC = b"PK\x03\x04"

FORMAT, VERSION = "dadapt model", 1

DAMAGE = (
    *(ValueError, KeyError, TypeError, EOFError, OSError, RuntimeError, struct.error),
    *(NotImplementedError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
"""What NumPy and zipfile raise on bytes that are no such file."""


def dumps(model: Model) -> bytes:
    """Return the file's bytes, the same for the same model."""
    text = json.dumps(
        {
            "format": FORMAT,
            "version": VERSION,
            "kind": model.kind,
            "classes": list(model.classes),
            "bias": model.bias,
            "scale": model.scaling.kind,
            "about": dict(model.about),
        },
        allow_nan=False,
    ).encode()
    arrays: dict[str, Any] = {"weights": np.ascontiguousarray(model.w, np.float64)}
    if model.scaling.divisors is not None:
        arrays["divisors"] = np.ascontiguousarray(model.scaling.divisors, np.float64)
    digest = np.frombuffer(_digest(text, arrays), np.uint8)
    out = io.BytesIO()
    arrays |= {"metadata": np.frombuffer(text, np.uint8), "digest": digest}
    np.savez(out, allow_pickle=False, **arrays)
    return out.getvalue()


def loads(content: bytes, path: str) -> Model:
    """Read such bytes.

    Raises
    ------
    DataError
        They are damaged, of another program or version, or hold objects.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            members: dict[str, Any] = {name: archive[name] for name in archive.files}
    except DAMAGE as error:
        if "allow_pickle" in str(error):
            raise DataError("holds Python objects, which are never unpickled", path) from None
        raise DataError(f"damaged ({_words(error)}); save the model again", path) from None
    try:
        text = members["metadata"].tobytes()
        about = json.loads(text)
        if about["format"] != FORMAT:
            raise DataError(f"of the format {str(about['format'])[:40]!r}, no {FORMAT}", path)
        if about["version"] != VERSION:
            raise DataError(
                f"a model of version {str(about['version'])[:40]}; this program reads {VERSION}",
                path,
            )
        arrays: dict[str, Any] = {
            name: members[name] for name in ("weights", "divisors") if name in members
        }
        if members["digest"].tobytes() != _digest(text, arrays):
            raise DataError("damaged (its digest is another one); save the model again", path)
        return _model(about, arrays)
    except DAMAGE as error:
        raise DataError(f"no {FORMAT} ({_words(error)}); see dadapt fit --save", path) from None


def _model(about: dict[str, Any], arrays: dict[str, Any]) -> Model:
    """The model, whose parts must fit; ValueError where they do not."""
    w, divisors, bias = arrays["weights"], arrays.get("divisors"), about["bias"]
    classes, kind, scale = tuple(about["classes"]), about["kind"], about["scale"]
    columns = 1 if w.ndim == 1 else w.shape[1] if w.ndim == 2 else 0
    if kind not in KINDS or columns != (1 if len(classes) == 2 and w.ndim == 1 else len(classes)):
        raise ValueError(f"{kind} with weights {w.shape} for {len(classes)} classes")
    if w.dtype != np.float64 or not np.isfinite(w).all():
        raise ValueError("weights that are not finite")
    p = len(w) - (bias is not None)
    if scale not in SCALES or (divisors is not None) != (scale in ("minmax", "standard")):
        raise ValueError(f"scale {scale!r}")
    if divisors is not None and not (divisors.shape == (p,) and (divisors > 0).all()):
        raise ValueError("divisors that do not fit")
    return Model(kind, classes, w, bias, Scaling(scale, divisors), about["about"])


def _digest(text: bytes, arrays: dict[str, Any]) -> bytes:
    digest = hashlib.sha256(text)
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.digest()


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:80] or type(error).__name__
