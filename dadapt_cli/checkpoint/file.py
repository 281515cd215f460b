"""The file of a checkpoint: a line with the version, one with the SHA-256 of the rest, an npz.

The digest covers every byte after it, so a flipped bit or a cut is found before anything is
believed; nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dadapt_cli.checkpoint.state import Arrays
from dadapt_cli.errors import InputOutputError
from dadapt_cli.system.files import atomic_write

MAGIC = b"dadapt checkpoint "

VERSION = b"1"
"""Of the file, and of what is in it: a change of either makes it 2."""

META = "meta"
"""The member that holds the JSON text, as bytes."""

HINT = "--checkpoint {path} --restart begins anew"


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Attributes
    ----------
    head
        What identifies the run (:mod:`dadapt_cli.solver.resume`).
    rows
        The step records so far.
    seconds
        That its loop has taken.
    tree, arrays
        Of :func:`dadapt_cli.checkpoint.state.take`.
    """

    head: dict[str, Any]
    rows: list[dict[str, Any]]
    seconds: float
    tree: Any
    arrays: Arrays

    @property
    def k(self) -> int:
        """Steps made."""
        return int(self.tree["dict"]["k"])


def write(path: str, checkpoint: Checkpoint) -> None:
    """Replace the file, whole or not at all (:func:`~dadapt_cli.system.files.atomic_write`)."""
    meta = {name: getattr(checkpoint, name) for name in ("head", "rows", "seconds", "tree")}
    text = np.frombuffer(json.dumps(meta).encode(), np.uint8)  # repr keeps each bit, inf and nan
    body = io.BytesIO()
    members: Any = {META: text, **checkpoint.arrays}
    np.savez(body, **members)
    with atomic_write(path) as file:
        file.write(MAGIC + VERSION + b"\n")
        file.write(hashlib.sha256(body.getbuffer()).hexdigest().encode() + b"\n")
        file.write(body.getbuffer())


def read(path: str) -> Checkpoint:
    """Return what the file holds.

    Raises
    ------
    InputOutputError
        It cannot be read, is no checkpoint, is one of another version, or is damaged.
    """
    try:
        if not Path(path).is_file():
            raise InputOutputError(f"{path}: is no regular file; name one for the checkpoint")
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputOutputError(f"{path}: {error.strerror}; it cannot be read") from error
    hint = HINT.format(path=path)
    if MAGIC.startswith(content) and content != MAGIC:
        raise InputOutputError(f"{path}: the checkpoint is cut short; {hint}")
    if not content.startswith(MAGIC):
        raise InputOutputError(f"{path}: is no checkpoint; name another file")
    line, _, rest = content.partition(b"\n")
    version = line[len(MAGIC) :]
    if version != VERSION:
        raise InputOutputError(
            f"{path}: a checkpoint of version {version[:20].decode(errors='replace')!r}, this "
            f"program has version {VERSION.decode()!r}; {hint}"
        )
    digest, _, body = rest.partition(b"\n")
    if digest != hashlib.sha256(body).hexdigest().encode():
        raise InputOutputError(f"{path}: the checkpoint is damaged or cut short; {hint}")
    try:
        return _decoded(body)
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, OSError, NotImplementedError,
            zipfile.BadZipFile, zlib.error) as error:  # fmt: skip
        raise InputOutputError(
            f"{path}: the checkpoint holds what none of ours does "
            f"({' '.join(str(error).split())[:120]}); {hint}"
        ) from error


def was_one(path: str) -> bool:
    """Whether a file is, or before it was damaged began as, a checkpoint of any version."""
    if not Path(path).is_file():
        return False
    with Path(path).open("rb") as file:
        return MAGIC.startswith(file.read(len(MAGIC)))


def _decoded(body: bytes) -> Checkpoint:
    with np.load(io.BytesIO(body), allow_pickle=False) as members:
        arrays = {name: members[name] for name in members.files}
    return Checkpoint(arrays=arrays, **json.loads(arrays.pop(META).tobytes()))
