"""Files that are whole or not there."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from dadapt_cli.errors import InputOutputError, UsageError


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
        raise UsageError(f"{path}: is the data; name another file for the output")
    if target.is_dir():
        raise InputOutputError(f"{path}: is a folder; name a file in it")
    if not target.parent.is_dir():
        raise InputOutputError(f"{path}: there is no folder {str(target.parent)!r}; make it first")
    if not os.access(target if target.exists() else target.parent, os.W_OK):
        raise InputOutputError(f"{path}: no permission to write there")


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Write a file of which others see the old content or the whole new one, even after a crash.

    The bytes go to a temporary file in the same folder, which is flushed to disk, renamed to
    `path`, and its folder flushed. On any error the temporary file is removed and the old one
    stays.

    Raises
    ------
    InputOutputError
        The folder or the disk does not take the file.
    """
    target = Path(path)
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise InputOutputError(f"{target}: cannot be written ({error.strerror})") from error
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            yield cast(BinaryIO, handle)
            handle.flush()
            os.fsync(handle.fileno())
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # mkstemp's 0600 is for secrets
        temporary.replace(target)
        _flush_folder(target.parent)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise InputOutputError(f"{target}: cannot be written ({error.strerror})") from error
        raise


def _flush_folder(folder: Path) -> None:
    if os.name != "posix":  # other systems cannot open a folder
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
