"""Files that are written whole or not at all, and the cache folder.

Names are of two kinds. One that the user types is followed where it is a symbolic link, unless
somebody else planted the link. One that this program chooses (a lock, a temporary file, a cache
entry, a file in a folder of results) must not be a link: it is opened without following it, and
must be a regular file that the user owns before anything is written to it.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dadapt_cli.errors import DataError, InputOutputError, UsageError

PART = ".dadapt-part"
"""End of a temporary file's name; a process that is killed leaves it behind."""

MAX_BYTES = 8 * 2**30
"""Most bytes of a file that is read at once."""

MOUNTS = "/proc/self/mountinfo"

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_LINKS = 40
_BLOCK = 2**20


@contextmanager
def reporting(path: str | os.PathLike[str], remedy: str) -> Iterator[None]:
    """Turn the system's errors in the block into ``PATH: its reason; remedy``.

    Raises
    ------
    InputOutputError
        In place of any OSError.
    """
    try:
        yield
    except OSError as error:
        raise InputOutputError(f"{os.fspath(path)}: {error.strerror or error}; {remedy}") from error


def cache_folder() -> Path:
    """``DADAPT_CACHE``, or the platform's cache folder."""
    if chosen := os.environ.get("DADAPT_CACHE"):
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "dadapt"
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "dadapt"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dadapt"


def check_outputs(
    paths: Iterable[str | None], *inputs: str | None, grows: str | None = None
) -> None:
    """Fail before the work starts when one of the outputs asked for cannot be written.

    Parameters
    ----------
    paths
        Written whole, by :func:`atomic_write`.
    grows
        Written line by line, by :func:`open_to_grow`.

    Raises
    ------
    UsageError
        Two of them are the same file; and as :func:`check_output`.
    InputOutputError
        As :func:`check_output`.
    """
    seen: set[str] = set()
    for path in (grows, *paths):
        if path is None:
            continue
        for data in filter(None, inputs):
            check_output(path, data, grows=path == grows)
        if (real := os.path.realpath(path)) in seen:
            raise UsageError(f"{path}: is named for two outputs; give each a file of its own")
        seen.add(real)


def check_output(path: str, data: str, *, grows: bool = False) -> None:
    """Fail before the work starts when `path` cannot be written, or is the data itself.

    A temporary file is made in its folder and removed, which writing it will have to do as well;
    a file that only `grows` needs none.

    Raises
    ------
    UsageError
        The file is the one that is read.
    InputOutputError
        A folder, a folder that does not exist or takes no files, a file that cannot be replaced.
    """
    target = Path(path)
    if data != "-" and target.exists() and Path(data).exists() and target.samefile(data):
        raise UsageError(f"{path}: is the data or another input; name another file for the output")
    if target.is_dir():
        raise InputOutputError(f"{path}: is a folder; name a file in it")
    if _special(target):
        if not os.access(target, os.W_OK):
            raise InputOutputError(f"{path}: no permission to write there")
        return
    target = _destination(path)
    if not target.parent.is_dir():
        raise InputOutputError(f"{path}: there is no folder {str(target.parent)!r}; make it first")
    if target.exists():
        if not os.access(target, os.W_OK):
            raise InputOutputError(f"{path}: no permission to write there")
        if grows:
            return
        if _mounted(target):
            raise InputOutputError(
                f"{path}: is mounted by itself and cannot be replaced; name a file in a folder "
                "that is mounted whole"
            )
    with reporting(path, "no file can be made in its folder; name one elsewhere"):
        handle, made = _temporary(target)
        os.close(handle)
        Path(made).unlink()


@contextmanager
def atomic_write(path: str | os.PathLike[str], *, own: bool = False) -> Iterator[BinaryIO]:
    """Write a file that appears, complete and on the disk, when the block ends without error.

    The bytes go to a temporary file in the same folder, which is then renamed; whatever goes
    wrong before, an existing file stays as it was and the temporary one is removed. The mode of
    an existing file is kept.

    Parameters
    ----------
    path
        The file to create or replace. A symbolic link is followed: the file it names is replaced.
    own
        The name is this program's choice: a symbolic link is refused.

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
    temporary: Path | None = None
    try:
        with reporting(name, "nothing was written there"):
            if Path(name).is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
            if _special(Path(name)) and not own:  # a device or a pipe is not to be replaced
                with os.fdopen(os.open(name, os.O_WRONLY), "wb") as stream:
                    yield stream
                return
            target = _destination(name, own=own)
            handle, made = _temporary(target)
            temporary = Path(made)
            with open(made, "wb", opener=lambda name, flags: handle) as file:
                yield file
                file.flush()
                if hasattr(os, "fchmod"):
                    os.fchmod(handle, _mode(target))
                os.fsync(handle)
            temporary.replace(target)
            temporary = None
            _sync_folder(target.parent)
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):  # the error on its way out says more
                temporary.unlink()


def open_to_grow(path: str) -> int:
    """Open what the user named, emptied, to be written bit by bit; return the descriptor.

    Links are followed as :func:`atomic_write` does; a device or a pipe stays what it is.

    Raises
    ------
    OSError, InputOutputError
        It cannot be opened.
    """
    if _special(Path(path)):
        return os.open(path, os.O_WRONLY)
    flags = os.O_WRONLY | os.O_CREAT | _NO_FOLLOW
    descriptor = os.open(_destination(path), flags, 0o666)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.ftruncate(descriptor, 0)
    return descriptor


def open_own(path: Path) -> int:
    """Open or create a file whose name is this program's choice; return the descriptor.

    Nothing is written or cut off: the file is as it was.

    Raises
    ------
    OSError
        It cannot be opened.
    InputOutputError
        It is not a regular file, has a second name (a hard link), or another owner.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _NO_FOLLOW, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise InputOutputError(_planted(path, "a symbolic link")) from error
        raise
    try:
        if what := _foreign(os.fstat(descriptor)):
            raise InputOutputError(_planted(path, what))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_whole(path: str | os.PathLike[str], most: int = MAX_BYTES, *, own: bool = False) -> bytes:
    """Read a file, or a pipe to its end.

    Parameters
    ----------
    most
        In bytes.
    own
        The name is this program's choice: only a regular file that the user or root owns.

    Raises
    ------
    InputOutputError
        It cannot be read, or is a device.
    DataError
        It is larger than that.
    """
    name = os.fspath(path)
    with reporting(name, "it cannot be read"):
        descriptor = os.open(path, os.O_RDONLY | (_NO_FOLLOW if own else 0))
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
                raise InputOutputError(f"{name}: is a device; name a file")
            if own and (what := _foreign(status, reading=True)):
                raise InputOutputError(_planted(Path(name), what))
            size, blocks = status.st_size, []
            while size <= most and (block := file.read(max(status.st_size, _BLOCK))):
                blocks.append(block)
                size = max(size, sum(map(len, blocks)))
    if size > most:
        raise DataError(f"more than the {most} bytes of --max-bytes", name)
    return b"".join(blocks)


def remove_leftovers(path: str) -> None:
    """Remove the temporary files of killed writers of `path`; only while it is locked."""
    target = Path(os.path.realpath(path))
    for left in target.parent.glob(f".{glob.escape(target.name[:100])}.????????{PART}"):
        left.unlink(missing_ok=True)


def _special(path: Path) -> bool:
    """Whether it exists and is neither a file nor a folder."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _destination(name: str, *, own: bool = False) -> Path:
    """The file that is written for `name`, its links followed.

    A link is followed as Linux does with ``protected_symlinks``: if it belongs to this user, to
    the system, or to the owner of its folder.
    """
    place = Path(name)
    for _ in range(_LINKS):
        if not place.is_symlink():
            return Path(os.path.realpath(place))
        if own:
            raise InputOutputError(_planted(place, "a symbolic link"))
        owner = place.lstat().st_uid
        if owner not in (0, _user(), place.parent.stat().st_uid):
            raise InputOutputError(_planted(place, f"a symbolic link of user {owner}"))
        place = place.parent / place.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)


def _temporary(target: Path) -> tuple[int, str]:
    """A new file in the folder of `target`: its descriptor and its name."""
    return tempfile.mkstemp(PART, f".{target.name[:100]}.", target.parent)


def _planted(path: Path, what: str) -> str:
    return f"{path}: is {what}, where only a file of your own is written; remove it"


def _user() -> int:
    return os.geteuid() if hasattr(os, "geteuid") else 0


def _foreign(status: os.stat_result, *, reading: bool = False) -> str | None:
    """What is wrong with a file that should be the user's, if anything; root's may be read."""
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    if status.st_nlink > 1 and not reading:
        return "a second name of another file (a hard link)"
    if hasattr(os, "geteuid") and status.st_uid not in (_user(), 0 if reading else None):
        return f"a file of user {status.st_uid}"
    return None


def _mounted(target: Path) -> bool:
    """Whether a file is a mount of its own, which no other can be renamed to (Linux)."""
    try:
        lines = Path(MOUNTS).read_bytes().splitlines()
    except OSError:  # not Linux: the rename itself will tell
        return False
    escaped = os.fsencode(target)
    for character in b"\\ \t\n":
        escaped = escaped.replace(bytes([character]), b"\\%03o" % character)
    return any(line.split()[4:5] == [escaped] for line in lines)


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
