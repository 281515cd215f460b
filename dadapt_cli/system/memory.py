"""How much memory is free: checked before something large is allocated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dadapt_cli.errors import DataError

_limits: list[int] = []
"""Of this process, as the user said; the last one counts."""

ASKED = 2**26
"""Bytes from which memory is asked for, if the user sets no limit: reading what is free takes half
a millisecond, and what is smaller than this a process takes as it starts."""

UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def size(text: str) -> int:
    """Bytes: ``8G``, ``500M``, or a number.

    Raises
    ------
    ValueError
        It is none.
    """
    number, unit = (text[:-1], UNITS[text[-1]]) if text[-1:] in UNITS else (text, 1)
    if not number.isascii() or not number.replace(".", "", 1).isdigit() or not float(number):
        raise ValueError(f"{text[:40]!r} is no size")
    return int(float(number) * unit)


@contextmanager
def limited(most: int | None) -> Iterator[None]:
    """Let :func:`available` leave this process no more than `most` bytes in all, in the block."""
    if most is None:
        yield
        return
    _limits.append(most)
    try:
        yield
    finally:
        _limits.pop()


def limit() -> int | None:
    """The bytes in all that :func:`limited` allows here; None without limit."""
    return _limits[-1] if _limits else None


def available() -> int | None:
    """Bytes this process may still take; None where the system does not tell.

    The least of what the kernel calls available, what the control group leaves, what the address
    space limit (``ulimit -v``) leaves, and of what :func:`limited` allows beyond what is taken.
    """
    found = [_kernel(), *_control_group(), _address_space(), _left()]
    return min((n for n in found if n is not None), default=None)


def fits(needed: int) -> bool:
    """Whether so many bytes may be taken: up to ASKED, unless there is a limit, or what is free."""
    if needed <= ASKED and limit() is None:
        return True
    there = available()
    return there is None or needed <= there


def require(
    needed: int,
    what: str,
    path: str | None = None,
    *,
    remedy: str = "use a larger machine, or less data",
) -> None:
    """Refuse what does not fit in memory.

    Parameters
    ----------
    needed
        In bytes.
    what
        What needs it, with its size; begins the message.
    path
        The data file that would need it.
    remedy
        Ends the message.

    Raises
    ------
    DataError
        Less is free.
    """
    if not fits(needed):
        there = available() or 0
        raise DataError(
            f"{what} needs {needed / 2**30:.1f} GiB of memory, {there / 2**30:.1f} GiB are "
            f"available; {remedy}",
            path,
        )


def _left() -> int | None:
    most = limit()
    if most is None:
        return None
    taken = 1024 * _fields("/proc/self/status").get("VmRSS", 0)
    return max(0, most - taken)


def _fields(path: str) -> dict[str, int]:
    """First number after each ``Name:``, in a file of the kernel's; empty when there is none."""
    try:
        lines = Path(path).read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    pairs = (line.split()[:2] for line in lines)
    return {p[0].rstrip(":"): int(p[1]) for p in pairs if len(p) == 2 and p[1].isdigit()}


def _kernel() -> int | None:
    kilobytes = _fields("/proc/meminfo").get("MemAvailable")
    return None if kilobytes is None else kilobytes * 1024


def _control_group() -> list[int]:
    places = [("memory.max", "memory.current")]
    places += [("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")]
    left = []
    for limit, usage in places:
        try:
            most = Path("/sys/fs/cgroup", limit).read_text(encoding="ascii").strip()
            used = int(Path("/sys/fs/cgroup", usage).read_text(encoding="ascii"))
        except (OSError, ValueError):  # no such controller here
            continue
        if most.isdigit():
            cached = _fields("/sys/fs/cgroup/memory.stat").get("inactive_file", 0)
            left.append(max(0, int(most) - used + cached))
    return left


def _address_space() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    pages = _fields("/proc/self/status").get("VmSize")
    if limit == resource.RLIM_INFINITY or pages is None:
        return None
    return max(0, limit - pages * 1024)
