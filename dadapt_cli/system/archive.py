"""Arrays and JSON in NumPy's ``.npz``: sizes are checked before anything is read.

``numpy.load`` trusts an archive: its members may inflate to gigabytes, their headers are
evaluated, their names may repeat. :func:`pack` needs none of this: its members are stored
uncompressed with headers of one fixed form, so an array is no larger than its share of the file.
Anything else is refused by the directory and the headers alone; nothing is inflated or unpickled.
"""

from __future__ import annotations

import io
import json
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

MAGIC = b"PK\x03\x04"

MOST_MEMBERS = 100_000

ENTRY = b"PK\x01\x02"
"""Before each member in the directory: counted before the directory is made into objects."""

HEADER = re.compile(
    r"\{'descr': '([<>|=][biuf][1248])', 'fortran_order': (True|False), "
    r"'shape': \(((?:\d{1,18}(?:, ?|(?=\))))*)\), \} *\n"
)
"""What :mod:`numpy.lib.format` writes for arrays of numbers."""

DAMAGE = (
    *(ValueError, KeyError, TypeError, LookupError, EOFError, OSError, RuntimeError),
    *(ArithmeticError, NotImplementedError, struct.error, zipfile.BadZipFile, zlib.error),
)
"""What zipfile, NumPy and json raise on bytes that are none of theirs; RecursionError, too."""


class ArchiveError(ValueError):
    """An archive that is damaged, or was not written by :func:`pack`."""


def pack(arrays: Mapping[str, Any]) -> bytes:
    """The bytes of an ``.npz`` with these arrays, the same for the same arrays."""
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, **arrays)
    return out.getvalue()


def unpack(content: bytes) -> dict[str, Any]:
    """The arrays that :func:`pack` was given.

    Raises
    ------
    ArchiveError
        It is anything else.
    """
    if content.count(ENTRY) > MOST_MEMBERS:
        raise ArchiveError("too many members")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            _check(members, len(content))
            return {info.filename[:-4]: _array(archive, info) for info in members}
    except ArchiveError:
        raise
    except DAMAGE as error:
        raise ArchiveError(words(error)) from error


def text(document: Any) -> Any:
    """A JSON document as an array of bytes; floats keep each bit, also inf and nan."""
    return np.frombuffer(json.dumps(document).encode(), np.uint8)


def document(member: Any, *, strict: bool = True) -> Any:
    """The JSON document in such an array; where `strict`, without inf and nan.

    Raises
    ------
    ArchiveError
        It is not JSON, or too deeply nested.
    """
    try:
        return json.loads(member.tobytes().decode(), parse_constant=_refuse if strict else None)
    except DAMAGE as error:
        raise ArchiveError(words(error)) from error


def words(error: BaseException) -> str:
    """An exception in a few words, for a message of one line."""
    return " ".join(str(error).split())[:80] or type(error).__name__


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a JSON number")


def _check(members: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse, by the directory alone, what :func:`pack` does not write."""
    names = {info.filename for info in members}
    if len(names) != len(members):
        raise ArchiveError("two members of one name")
    for info in members:
        if not info.filename.endswith(".npy") or info.flag_bits & 0x41:
            raise ArchiveError(f"{info.filename[:40]!r} is not an array")
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise ArchiveError("compressed members, which this program does not write")
    if sum(info.file_size for info in members) > size:
        raise ArchiveError("members larger than the file")


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Any:
    """A member's array; reading to the end checks the CRC."""
    with archive.open(info) as member:
        return npy(member.read(), info.filename[:-4])


def npy(content: bytes, name: str) -> Any:
    """The array of numbers in the bytes of an .npy file, whose size its header must tell exactly.

    Raises
    ------
    ArchiveError
        It is not one, holds objects, or its size contradicts its shape.
    """
    if len(content) < 10 or content[:6] != b"\x93NUMPY":
        raise ArchiveError(f"{name[:40]!r} is not an array")
    start = 10 + int.from_bytes(content[8:10], "little")
    header = content[10:start].decode("latin-1")
    found = HEADER.fullmatch(header)
    if content[6:8] != b"\x01\x00" or found is None:
        what = "holds Python objects, which are never unpickled" if "O'" in header else ""
        raise ArchiveError(what or f"the array {name[:40]!r} is not one of numbers")
    dtype = np.dtype(found[1])
    shape = tuple(int(part) for part in found[3].split(",") if part.strip())
    if start + math.prod(shape) * dtype.itemsize != len(content):
        raise ArchiveError(f"the array {name[:40]!r} has another size than it says")
    array = np.frombuffer(bytearray(content[start:]), dtype)
    return array.reshape(shape, order="F" if found[2] == "True" else "C")
