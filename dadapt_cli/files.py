"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dadapt_cli.errors import InputOutputError


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Write a file that appears, complete and on the disk, when the block ends without error.

    The bytes go to a temporary file in the same folder, which is then renamed; whatever goes
    wrong before, an existing file stays as it was and the temporary one is removed. A symbolic
    link is followed: the file it names is replaced. The mode of an existing file is kept.

    Parameters
    ----------
    path
        The file to create or replace.

    Yields
    ------
    BinaryIO
        Open for writing.

    Raises
    ------
    InputOutputError
        The file cannot be written; ``path`` and the system's reason are named.
    """
    name = os.fspath(path)
    target = Path(os.path.realpath(name))
    temporary: Path | None = None
    try:
        if target.is_dir():
            raise IsADirectoryError(None, "Is a directory", name)
        handle, made = tempfile.mkstemp(prefix=f".{target.name[:100]}.", dir=target.parent)
        temporary = Path(made)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(_mode(target))
        temporary.replace(target)
        temporary = None
        _sync_folder(target.parent)
    except OSError as error:
        raise InputOutputError(
            f"{name}: {error.strerror or error}; nothing was written there"
        ) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):  # the error on its way out says more
                temporary.unlink()


def _mode(target: Path) -> int:
    """Permissions of the file that is replaced, or those that the umask gives a new one."""
    try:
        return target.stat().st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where folders can be opened (not on Windows)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
