"""References kept between runs, by the content of the data and the objective.

A file holds the reference and a digest of itself; one that is damaged, of another version, or
under another key is ignored and computed anew, never trusted.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from dadapt_cli._typing import Array
from dadapt_cli.errors import InputOutputError
from dadapt_cli.objective import Problem
from dadapt_cli.reference.reference import Reference
from dadapt_cli.system.files import atomic_write, cache_folder

VERSION = 2
"""Of the computation: a change that makes better references makes the old ones invalid."""


def content(problem: Problem) -> str:
    """SHA-256 of the data as stored (with the bias feature), the class numbers and the weights."""
    X: Any = problem.X
    parts = [X.data, X.indices, X.indptr] if sp.issparse(X) else [X]
    digest = hashlib.sha256()
    parts += [problem.labels.index, *([] if problem.weights is None else [problem.weights])]
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


def read(key: str) -> Reference | None:
    """The kept reference, or None where there is none that can be trusted."""
    try:
        document = json.loads(_path(key).read_bytes())
        body = document["reference"]
        trusted = document["digest"] == _digest(key, body)
        names = {field.name for field in fields(Reference)}
        if not trusted or set(body) != names:
            return None
        lengths = [v for kept in body["distances"].values() for v in kept]
        numbers = [v for v in (*body.values(), *lengths) if isinstance(v, float)]
        return Reference(**body) if all(math.isfinite(v) for v in numbers) else None
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ):  # not there, or not one of ours
        return None


def write(key: str, reference: Reference) -> None:
    """Keep `reference`; a cache that cannot be written costs time later, nothing else."""
    body = asdict(reference)
    text = json.dumps({"reference": body, "digest": _digest(key, body)}, indent=1)
    try:
        _path(key).parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(_path(key)) as handle:
            handle.write(text.encode())
    except (OSError, InputOutputError) as error:
        import logging

        logging.getLogger("dadapt").warning("the reference is not kept: %s", error)


def _digest(key: str, body: dict[str, Any]) -> str:
    return hashlib.sha256(
        f"{VERSION} {key} {json.dumps(body, sort_keys=True)}".encode()
    ).hexdigest()
