"""One process at a time on a file that is replaced: a lock that dies with its process.

The lock is the system's (flock) on a file of its own, ``.NAME.lock`` in the same folder, since
renaming replaces the file itself. The process id in it is only for the message. File systems whose
machines do not see each other's locks (some NFS) are out of scope.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dadapt_cli.errors import InputOutputError, UsageError
from dadapt_cli.system.files import open_own, reporting


@contextmanager
def held(path: str) -> Iterator[None]:
    """Hold the lock of `path`, which need not exist, while the block runs.

    Raises
    ------
    InputOutputError
        Another process holds it, or it cannot be made, or another file is in its place that is
        not the user's own (:func:`~dadapt_cli.system.files.open_own`), which is left untouched.
    UsageError
        The system has no such locks (Windows).
    """
    target = Path(os.path.realpath(path))
    lock_file = target.with_name(f".{target.name}.lock")
    descriptor = _claimed(path, lock_file)
    try:
        with reporting(path, "it cannot be locked"):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        lock_file.unlink(missing_ok=True)  # while it is held: no one else's is removed
        os.close(descriptor)


def _claimed(path: str, lock_file: Path) -> int:
    """A descriptor of the locked file."""
    try:
        import fcntl
    except ImportError:
        raise UsageError("--checkpoint needs file locks, which this system lacks") from None
    while True:
        with reporting(path, "it cannot be locked"):
            descriptor = open_own(lock_file)
        try:
            with reporting(path, "it cannot be locked"):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except InputOutputError as error:
            holder = os.read(descriptor, 20).decode(errors="replace").strip()
            os.close(descriptor)
            if isinstance(error.__cause__, BlockingIOError):
                who = holder if holder.isdigit() else "unknown"
                raise InputOutputError(
                    f"{path}: in use by process {who}; wait for it, or name another file"
                ) from error
            raise
        if _is(descriptor, lock_file):
            return descriptor
        os.close(descriptor)  # its holder removed it between our opening and our locking


def _is(descriptor: int, path: Path) -> bool:
    """Whether the path still is the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
