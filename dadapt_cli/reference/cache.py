"""Witnesses kept between runs, by the content of the data and the objective.

Nothing in a file is trusted but as a guess: what it claims is proven anew, by one evaluation,
whenever it is read, so a crafted or damaged file costs time and nothing else. Only regular files
are read, without following links and without waiting, and only MOST_BYTES of them; writing
replaces the name, never what a link there points to.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import logging
import math
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from dadapt_cli._typing import Array, Mask
from dadapt_cli.objective import Problem
from dadapt_cli.reference.witness import HOW, Witness
from dadapt_cli.system.files import PART, cache_folder

VERSION = 3
"""Of the files: those of another version are not read."""

MOST_BYTES = 2**26
"""Of a file that is read."""


@dataclass(frozen=True)
class Entry:
    """A witness, and how many seconds it took to find."""

    witness: Witness
    seconds: float


def content(problem: Problem) -> str:
    """SHA-256 of the data as stored (with the bias feature), the class numbers and the weights."""
    if problem.sums is not None:
        return str(problem.sums.content)
    X: Any = problem.X
    parts = [X.data, X.indices, X.indptr] if sp.issparse(X) else [X]
    digest = hashlib.sha256()
    parts += [
        problem.labels.index,
        *([] if problem.sample_weight is None else [problem.sample_weight]),
    ]
    for part in parts:
        array = np.ascontiguousarray(part)
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(array.data.cast("B"))
    return digest.hexdigest()


def key(problem: Problem, content: str, x0: Array | None = None) -> str:
    """SHA-256 of the data's hash, the objective and, where it is not 0, the start."""
    objective = [VERSION, content, problem.p, problem.n_classes, problem.l2.hex()]
    if problem.intercept:
        objective.append("intercept")
    if x0 is not None:
        objective.append(hashlib.sha256(np.ascontiguousarray(x0, np.float64).data).hexdigest())
    return hashlib.sha256(json.dumps(objective).encode()).hexdigest()


def _path(key: str) -> Path:
    return cache_folder() / "references" / f"{key}.json"


def read(key: str, problem: Problem) -> Entry | None:
    """The kept witness of a problem, or None where there is none that could be one."""
    try:
        document = json.loads(_bytes(_path(key)))
        if document["version"] != VERSION or document["how"] not in HOW:
            return None
        seconds = float(document["seconds"])
        w = _array(document["w"], problem.shape)
        falling = _mask(document["falling"], problem)
        direction = None
        if falling is not None:
            direction = _array(document["direction"], problem.shape)
        if not (0.0 <= seconds < math.inf):
            return None
        return Entry(Witness(w, document["how"], falling, direction), seconds)
    # Not there, not a regular file, or not one of ours: a RecursionError is deep JSON.
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def _bytes(path: Path) -> bytes:
    """A regular file's content; OSError for anything else, at once."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    handle = os.open(path, flags | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError("not a regular file")
        read = file.read(MOST_BYTES + 1)
    if len(read) > MOST_BYTES:
        raise OSError("too large")
    return read


def _array(text: str, shape: tuple[int, ...]) -> Array:
    """Little-endian float64 in base64, of a shape that is known."""
    values = np.frombuffer(base64.b64decode(text, validate=True), "<f8").astype(np.float64)
    if values.size != math.prod(shape) or not np.isfinite(values).all():
        raise ValueError("weights of another shape, or not finite")
    return values.reshape(shape)


def _mask(text: str | None, problem: Problem) -> Mask | None:
    if text is None:
        return None
    count = problem.n * (problem.n_classes - 1 if problem.softmax else 1)
    bits = np.unpackbits(np.frombuffer(base64.b64decode(text, validate=True), np.uint8))
    if not 0 <= bits.size - count < 8:
        raise ValueError("terms of another number")
    return bits[:count].astype(bool)


def write(key: str, entry: Entry) -> None:
    """Keep `entry`; a cache that cannot be written costs time later, nothing else."""
    witness = entry.witness
    document = {
        "version": VERSION,
        "how": witness.how,
        "seconds": entry.seconds,
        "w": _text(witness.w.astype("<f8")),
        "falling": None if witness.falling is None else _text(np.packbits(witness.falling)),
        "direction": None if witness.direction is None else _text(witness.direction.astype("<f8")),
    }
    try:
        _replace(_path(key), json.dumps(document, indent=1).encode())
    except OSError as error:
        logging.getLogger("dadapt").warning("the reference is not kept: %s", error)


def _text(array: Any) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def _replace(path: Path, content: bytes) -> None:
    """Write a file that appears whole; a link of that name is replaced, not followed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, made = tempfile.mkstemp(PART, f".{path.name[:100]}.", path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(made).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):  # the error on its way out says more
            Path(made).unlink()
        raise
