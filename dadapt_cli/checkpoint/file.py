"""The file of a checkpoint: an envelope (:mod:`dadapt_cli.system.envelope`) around an npz.

Nothing is ever unpickled, and nothing is used before :mod:`.schema` has checked it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dadapt_cli.checkpoint import schema
from dadapt_cli.checkpoint.state import Arrays
from dadapt_cli.errors import CertificateError, InputOutputError
from dadapt_cli.system import archive, envelope, memory
from dadapt_cli.system.files import atomic_write, read_whole, reporting
from dadapt_cli.system.schema import require, require_fields

KIND = "checkpoint"

MAGIC = envelope.magic(KIND)

VERSION = 3
"""Version of the file and its content: a change of either needs another number."""

META = "meta"
"""The member that holds the JSON text, as bytes."""

MOST = 2**62
"""Bytes of a file: in effect no limit, as the free memory sets it."""

FORGED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, CertificateError)
"""What a state of the right form with senseless numbers in it can raise."""

HINT = "--checkpoint {path} --restart starts over"


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
    body = archive.pack({META: archive.text(meta), **checkpoint.arrays})
    with atomic_write(path) as file:
        file.write(envelope.seal(KIND, VERSION, body))
        file.write(body)


def read(
    path: str,
    options: type | None = None,
    reference: type | None = None,
    own: Any = (),
    later: Any = (),
) -> Checkpoint:
    """Return what the file holds.

    Parameters
    ----------
    options, reference
        The dataclasses whose fields the head's objects of these names must have; `own` are fields
        of either that are not kept, `later` options that an older file may lack.

    Raises
    ------
    InputOutputError
        It cannot be read, is not a checkpoint, is of another version, is damaged, or holds what no
        run writes.
    """
    with reporting(path, "it cannot be read"):
        if not Path(path).is_file():
            raise InputOutputError(f"{path}: is not a regular file; name one for the checkpoint")
        size = Path(path).stat().st_size
    memory.require(3 * size, f"a checkpoint of {size} bytes", path)
    content = read_whole(path, MOST)  # by now it may be a larger one
    hint = HINT.format(path=path)
    try:
        body = envelope.unseal(KIND, VERSION, content)
    except envelope.EnvelopeError as error:
        if error.other:
            raise InputOutputError(f"{path}: {error}; name another file") from error
        raise InputOutputError(f"{path}: the checkpoint {error}; {hint}") from error
    try:
        saved = _decoded(body)
        if options is not None:
            require_fields(options, saved.head["options"], "the options", own, later)
        if reference is not None and "reference" in saved.head:
            require_fields(reference, saved.head["reference"], "the reference", own)
        return saved
    except (ValueError, RecursionError) as error:
        raise InputOutputError(
            f"{path}: the checkpoint holds what no run writes ({archive.words(error)}); {hint}"
        ) from error


@contextmanager
def usable(path: str) -> Iterator[None]:
    """Turn errors of a resumed run that a sound state cannot cause into one line about the file.

    Types and shapes are checked before, but not the numbers of a state: a forged one may ask for
    a row that does not exist. What such a run has written in place of the file is undone.

    Raises
    ------
    InputOutputError
        In place of errors that would be bugs in a run that was not resumed.
    """
    with Path(path).open("rb") as original:  # still open where another file has taken its name
        try:
            yield
        except FORGED as error:
            if not os.path.samestat(os.fstat(original.fileno()), Path(path).stat()):
                with atomic_write(path) as file:
                    shutil.copyfileobj(original, file)
            what = archive.words(error)
            raise InputOutputError(
                f"{path}: the run it holds cannot be resumed ({type(error).__name__}: {what}); "
                f"{HINT.format(path=path)}"
            ) from error


def was_one(path: str) -> bool:
    """Whether a file is a checkpoint of any version, perhaps a damaged one."""
    if not Path(path).is_file():
        return False
    with Path(path).open("rb") as file:
        return MAGIC.startswith(file.read(len(MAGIC)))


def _decoded(body: bytes) -> Checkpoint:
    """The checkpoint in an npz; ValueError where none can be."""
    arrays = archive.unpack(body)
    if META not in arrays:
        raise ValueError(f"no member {META!r}")
    meta = archive.document(arrays.pop(META), strict=False)  # a state may hold inf
    require({"head": Any, "rows": Any, "seconds": Any, "tree": Any}, meta, "it")
    if len(meta) != 4:
        raise ValueError("more than a checkpoint")
    schema.check(**meta, arrays=arrays)
    return Checkpoint(arrays=arrays, **meta)
