"""Bytes in: files, pipes and standard input, plain or compressed, one pass, in bounded memory."""

from __future__ import annotations

import bz2
import hashlib
import lzma
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from dadapt_cli.errors import InputOutputError, UsageError
from dadapt_cli.system.files import reporting

BLOCK = 2**20
MAX_BYTES = 8 * 2**30
MAX_RATIO = 200.0

_INPUT = 2**18  # compressed bytes handed to a decompressor at a time
_RATIO_FROM = 2**20  # tiny files may compress as well as they like
_XZ_MEMORY = 2**29  # xz -9 needs 65 MB; a hostile header may ask for 4 GB
_DECOMPRESSORS: dict[bytes, tuple[str, Callable[[], Any]]] = {
    b"\x1f\x8b": ("gzip", lambda: zlib.decompressobj(wbits=31)),
    b"BZh": ("bzip2", bz2.BZ2Decompressor),
    b"\xfd7zXZ\x00": ("xz", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)),
}
_FOREIGN = {
    b"PK\x03\x04": ("a zip archive", "unzip -p"),
    b"PK\x05\x06": ("an empty zip archive", "unzip -p"),
    b"\x28\xb5\x2f\xfd": ("zstandard data", "zstd -dc"),
    b"\x04\x22\x4d\x18": ("lz4 data", "lz4 -dc"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "7z x -so"),
    b"Rar!\x1a\x07": ("a rar archive", "unrar p -inul"),
    b"\x1f\x9d": ("compress (.Z) data", "uncompress -c"),
    b"\x5d\x00\x00": ("old lzma data", "xz --format=lzma -dc"),
}


class BadStreamError(Exception):
    """Compressed data that is damaged, too large or of a kind not read here, and what to do."""


def open_input(path: str) -> BinaryIO:
    """Open ``path`` (``-``: standard input) for one pass.

    Raises
    ------
    UsageError
        Standard input is a terminal.
    InputOutputError
        The file cannot be opened.
    """
    if path == "-":
        if sys.stdin is None or sys.stdin.closed:
            raise InputOutputError("standard input is closed; name a file or pipe data in")
        if sys.stdin.isatty():
            raise UsageError("standard input is a terminal; name a file or pipe data in")
        return sys.stdin.buffer
    if "\0" in path:
        raise InputOutputError(f"{path}: no file has such a name; give a readable file")
    with reporting(path, "give a readable file"):
        return Path(path).open("rb")


class Source:
    """The text of one file, in blocks.

    Parameters
    ----------
    path
        A path, or ``-`` for standard input.
    max_bytes
        The most a compressed file may expand to, in bytes.
    max_ratio
        The most bytes of text for a byte of compressed data, once there is 1 MiB of text.
    digest
        Whether to hash the text.

    Attributes
    ----------
    compression
        ``gzip``, ``bzip2``, ``xz`` or None; recognised by the first bytes, never by the name.
    size
        Bytes of the file on disk; None for a pipe.
    consumed, produced
        Bytes read so far, before and after decompression.
    """

    def __init__(
        self,
        path: str,
        *,
        max_bytes: int = MAX_BYTES,
        max_ratio: float = MAX_RATIO,
        digest: bool = True,
    ) -> None:
        self.path = path
        self.compression: str | None = None
        self.size: int | None = None
        self.consumed = self.produced = 0
        self._max_bytes, self._max_ratio = max_bytes, max_ratio
        self._sha256 = hashlib.sha256() if digest else None

    @property
    def sha256(self) -> str:
        """Hash of the text of the blocks read so far; empty when none was wanted."""
        return "" if self._sha256 is None else self._sha256.hexdigest()

    def share(self, parsed: int) -> float | None:
        """Part of the file that ``parsed`` bytes of text are; None when its size is unknown."""
        if not self.size:
            return None
        return min(1.0, parsed / self.produced * self.consumed / self.size)

    def blocks(self) -> Iterator[bytes]:
        """Yield the text, uncompressed, in blocks of at most 1 MiB.

        Raises
        ------
        BadStreamError
            The compressed data is corrupt, cut off, too large, or of a kind not read here.
        InputOutputError, UsageError
            The file cannot be opened or read.
        """
        with _opened(self.path) as file:
            self.size = _regular_size(file)
            head = self._read(file, _INPUT)
            for magic, (what, tool) in _FOREIGN.items():
                if head.startswith(magic):
                    raise BadStreamError(
                        f"{what} {head[:4]!r}, which is not read here; unpack it with {tool!r}"
                    )
            found = next((known for magic, known in _DECOMPRESSORS.items()
                          if head.startswith(magic)), None)  # fmt: skip
            if found is None:
                blocks = self._plain(file, head)
            else:
                self.compression = found[0]
                blocks = self._unpacked(file, head)
            for block in blocks:
                self.produced += len(block)
                if self._sha256 is not None:
                    self._sha256.update(block)
                yield block

    def _plain(self, file: BinaryIO, head: bytes) -> Iterator[bytes]:
        block = head + self._read(file, BLOCK - len(head))
        while block:
            yield block
            block = self._read(file, BLOCK)

    def _unpacked(self, file: BinaryIO, data: bytes) -> Iterator[bytes]:
        """Decompress stream after stream; what follows the last may only be zero bytes."""
        while data:
            make = next((make for magic, (_, make) in _DECOMPRESSORS.items()
                         if data.startswith(magic)), None)  # fmt: skip
            if make is None:
                raise BadStreamError(
                    f"trailing garbage {data[:12]!r} after the {self.compression} data; "
                    "fetch the file again"
                )
            stream = make()
            while not stream.eof:
                text = self._some(stream, data)
                data = b"" if stream.eof else getattr(stream, "unconsumed_tail", b"")
                if text:
                    self._check_size(len(text))
                    yield text
                hungry = getattr(stream, "needs_input", not data)
                if hungry and not stream.eof:
                    data = self._read(file, _INPUT)
                    if not data:
                        raise BadStreamError("compressed file ends early; fetch the file again")
            data = self._after(file, stream.unused_data)

    def _after(self, file: BinaryIO, rest: bytes) -> bytes:
        """Skip the zero padding behind a stream; enough of what follows to recognise it."""
        while not (rest := rest.lstrip(b"\0")):
            rest = self._read(file, _INPUT)
            if not rest:
                return b""
        return rest + self._read(file, _INPUT) if len(rest) < 6 else rest

    def _some(self, stream: Any, data: bytes) -> bytes:
        try:
            return bytes(stream.decompress(data, BLOCK))
        except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
            raise BadStreamError(
                f"the {self.compression} data is corrupt ({error}); fetch the file again"
            ) from error

    def _check_size(self, more: int) -> None:
        total = self.produced + more
        if total > self._max_bytes:
            raise BadStreamError(
                f"the {self.compression} data expands to more than {self._max_bytes} bytes; "
                "raise --max-bytes if you trust the file"
            )
        if total > _RATIO_FROM and total > self._max_ratio * self.consumed:
            raise BadStreamError(
                f"the {self.compression} data expands {total / self.consumed:.0f} times, more "
                f"than {self._max_ratio:g}; raise --max-ratio if you trust the file"
            )

    def _read(self, file: BinaryIO, count: int) -> bytes:
        with reporting(self.path, "give a readable file"):
            data = file.read(count)
        self.consumed += len(data)
        return data


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    file = open_input(path)
    try:
        yield file
    finally:
        if path != "-":
            file.close()


def _regular_size(file: BinaryIO) -> int | None:
    """Size of a regular file, None for whatever else was opened."""
    import stat

    try:
        status = os.fstat(file.fileno())
    except (OSError, ValueError):  # standard input replaced by an object without descriptor
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
