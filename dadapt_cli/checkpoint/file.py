"""The file of a checkpoint: an envelope (:mod:`dadapt_cli.system.envelope`) around an npz.

Nothing is ever unpickled, and nothing believed before :mod:`.schema` has seen it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dadapt_cli.checkpoint import schema
from dadapt_cli.checkpoint.state import Arrays
from dadapt_cli.errors import InputOutputError
from dadapt_cli.system import archive, envelope, memory
from dadapt_cli.system.files import atomic_write, read_whole, reporting
from dadapt_cli.system.schema import require, require_fields

KIND = "checkpoint"

MAGIC = envelope.magic(KIND)

VERSION = 3
"""Of the file, and of what is in it: a change of either makes it 2."""

META = "meta"
"""The member that holds the JSON text, as bytes."""

MOST = 2**62
"""Bytes of a file: the memory there is sets the limit."""

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
        It cannot be read, is no checkpoint, is one of another version, is damaged, or holds what
        no run writes.
    """
    with reporting(path, "it cannot be read"):
        if not Path(path).is_file():
            raise InputOutputError(f"{path}: is no regular file; name one for the checkpoint")
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
            f"{path}: the checkpoint holds what none of ours does ({archive.words(error)}); {hint}"
        ) from error


@contextmanager
def usable(path: str) -> Iterator[None]:
    """Blame the checkpoint that a run goes on from for what only a state of no run brings about.

    Types and shapes are checked before, the numbers of a state cannot be: a forged one may ask
    for a row that is not there. It is the file's fault, in one line, as far as can be known.

    Raises
    ------
    InputOutputError
        In place of errors that are bugs in a run that began here.
    """
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        what = archive.words(error)
        raise InputOutputError(
            f"{path}: the run it holds cannot be resumed ({type(error).__name__}: {what}); "
            f"{HINT.format(path=path)}"
        ) from error


def was_one(path: str) -> bool:
    """Whether a file is, or before it was damaged began as, a checkpoint of any version."""
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
