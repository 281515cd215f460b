"""Fitted models: what they predict, and files that keep them.

Nothing here, or anywhere in the package, unpickles anything.
"""

from __future__ import annotations

import os
from pathlib import Path

from dadapt_cli.errors import DataError
from dadapt_cli.model import liblinear, npz
from dadapt_cli.model.model import Model, Verdict
from dadapt_cli.system import memory
from dadapt_cli.system.files import MAX_BYTES, atomic_write, read_whole

__all__ = ["Model", "Verdict", "load", "save", "text_format"]


def text_format(path: str | os.PathLike[str]) -> bool:
    """Whether a model saved there is LIBLINEAR's text: unless the name ends in ``.npz``."""
    return Path(path).suffix.lower() != ".npz"


def save(model: Model, path: str | os.PathLike[str]) -> None:
    """Write a model, whole or not at all: ``.npz`` with everything, else LIBLINEAR's text.

    Raises
    ------
    UsageError
        LIBLINEAR's format cannot express the model (:func:`liblinear.check`).
    InputOutputError
        The file cannot be written; an existing one is as it was.
    """
    content = liblinear.dumps(model) if text_format(path) else npz.dumps(model)
    with atomic_write(path) as handle:
        handle.write(content)


def load(path: str | os.PathLike[str], max_bytes: int = MAX_BYTES) -> Model:
    """Read a model that :func:`save` or LIBLINEAR's ``train`` wrote; the content tells which.

    Raises
    ------
    DataError
        It is neither, or it is damaged, or larger than `max_bytes`; the place and the reason are
        named.
    InputOutputError
        The file cannot be read.
    """
    name = os.fspath(path)
    content = read_whole(name, max_bytes)
    memory.require(3 * len(content), f"a model of {len(content)} bytes", name)
    if content.startswith(npz.MAGIC):
        return npz.loads(content, name)
    if content.startswith(b"\x80"):
        raise DataError("a pickle, which is never read; save models with dadapt fit --save", name)
    if content.startswith(b"dadapt checkpoint"):
        raise DataError(
            "a checkpoint, not a model; dadapt fit DATA --resume it with --save MODEL makes one",
            name,
        )
    return liblinear.loads(content, name)
