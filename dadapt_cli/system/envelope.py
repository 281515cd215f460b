"""A file that says what it is and whether it is whole: its kind, its version, a SHA-256.

The first line is ``dadapt KIND VERSION``, the second the digest of every byte after it, so a
flipped bit or a missing end is found before anything is used. It is not a signature: whoever writes
the file can compute it, so the content is checked all the same.
"""

from __future__ import annotations

import hashlib


class EnvelopeError(ValueError):
    """Another kind of file (`other`), one of another version, or a damaged one."""

    def __init__(self, message: str, *, other: bool = False) -> None:
        super().__init__(message)
        self.other = other


def magic(kind: str) -> bytes:
    """The bytes that every version of a kind begins with."""
    return f"dadapt {kind} ".encode()


def seal(kind: str, version: int, body: bytes) -> bytes:
    """The header to write before the body."""
    digest = hashlib.sha256(body).hexdigest()
    return magic(kind) + f"{version}\n{digest}\n".encode()


def unseal(kind: str, version: int, content: bytes) -> bytes:
    """The body after what :func:`seal` made.

    Raises
    ------
    EnvelopeError
        It is something else, of another version, damaged or cut short.
    """
    start = magic(kind)
    if start.startswith(content) and content != start:
        raise EnvelopeError("is cut short")
    if not content.startswith(start):
        raise EnvelopeError(f"is not a {kind}", other=True)
    line, _, _ = content[:200].partition(b"\n")
    found = line[len(start) :]
    if found != str(version).encode():
        shown = found[:20].decode(errors="replace")
        raise EnvelopeError(f"is of version {shown!r}, this program has version '{version}'")
    begin = len(line) + 1
    end = begin + 64
    body = content[end + 1 :]
    if content[begin : end + 1] != hashlib.sha256(body).hexdigest().encode() + b"\n":
        raise EnvelopeError("is damaged or cut short")
    return body
