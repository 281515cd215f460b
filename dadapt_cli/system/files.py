"""Files written whole or not at all, and the folder of those that can be made again."""

from __future__ import annotations

import contextlib
import glob
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dadapt_cli.errors import InputOutputError, UsageError

PART = ".dadapt-part"
"""End of a temporary file's name; a process that is killed leaves it behind."""


def check_outputs(paths: Iterable[str | None], *inputs: str | None) -> None:
    """Fail before the work starts when one of the outputs asked for cannot be written.

    Raises
    ------
    UsageError
        Two of them are the same file; and as :func:`check_output`.
    InputOutputError
        As :func:`check_output`.
    """
    seen: set[str] = set()
    for path in paths:
        if path is None:
            continue
        for data in filter(None, inputs):
            check_output(path, data)
        if (real := os.path.realpath(path)) in seen:
            raise UsageError(f"{path}: is named for two outputs; give each a file of its own")
        seen.add(real)


def cache_folder() -> Path:
    """``DADAPT_CACHE``, or the platform's cache folder."""
    if chosen := os.environ.get("DADAPT_CACHE"):
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "dadapt"
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "dadapt"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dadapt"


def check_output(path: str, data: str) -> None:
    """Fail before the work starts when `path` cannot be written, or is the data itself.

    Raises
    ------
    UsageError
        The file is the one that is read.
    InputOutputError
        A folder, or a folder that does not exist or takes no files.
    """
    target = Path(path)
    if data != "-" and target.exists() and Path(data).exists() and target.samefile(data):
        raise UsageError(f"{path}: is the data or another input; name another file for the output")
    if target.is_dir():
        raise InputOutputError(f"{path}: is a folder; name a file in it")
    if not target.parent.is_dir():
        raise InputOutputError(f"{path}: there is no folder {str(target.parent)!r}; make it first")
    if not os.access(target if target.exists() else target.parent, os.W_OK):
        raise InputOutputError(f"{path}: no permission to write there")


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
        Open for writing; its ``name`` is the temporary file's.

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
        if target.exists() and not target.is_file():  # a device or a pipe is not to be replaced
            with target.open("wb") as stream:
                yield stream
            return
        handle, made = tempfile.mkstemp(PART, f".{target.name[:100]}.", target.parent)
        temporary = Path(made)
        os.close(handle)
        with temporary.open("wb") as file:
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


def remove_leftovers(path: str) -> None:
    """Remove what killed writers of `path` left; only for who has it locked."""
    target = Path(os.path.realpath(path))
    for left in target.parent.glob(f".{glob.escape(target.name[:100])}.????????{PART}"):
        left.unlink(missing_ok=True)


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
