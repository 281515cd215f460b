"""Criteo's click logs as one-hot rows: a label, 13 integers and 26 categories, tab separated.

A field is hashed into one of P columns, whose value is 1. With 64-bit unsigned arithmetic that
wraps around, and mix the finaliser of splitmix64 (Steele, Lea, Flood 2014)::

    mix(h):  h ^= h >> 30;  h *= 0xbf58476d1ce4e5b9;  h ^= h >> 27
             h *= 0x94d049bb133111eb;  h ^= h >> 31
    h = mix(256 field + bytes of the token)                  field: 1 to 39
    for each 8 bytes of the token, little-endian, the last ones padded with zeros, at least one:
        h = mix(h ^ these bytes as a number)
    column = ((h >> 32) P) >> 32                             counted from 0

The token of an integer v is its bin as a 64-bit number in two's complement: 0 for 0, and
sign(v) (1 + 4 e + m) otherwise, with e the exponent of |v| in binary and m the two bits after its
leading one: four bins for each doubling, 1 to 7 in bins of their own. An empty field is the empty
token: that something is missing is information, and has a column. Two fields of a row in one column
are one entry: the column says that some field was hashed there. So all values are 1, whatever P is.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np

from dadapt_cli.libsvm.explain import show
from dadapt_cli.libsvm.pieces import Piece
from dadapt_cli.libsvm.reader import Reading
from dadapt_cli.libsvm.rows import Array, Rows

INTEGERS, CATEGORIES = 13, 26
FIELDS = INTEGERS + CATEGORIES
ENCODING = "criteo-1"
"""What a manifest says of the text; another hash would have another number."""

LONGEST = 64
"""Most bytes of a category; Criteo's have eight."""

DIGITS = 15
"""Most digits of an integer: all such numbers are floats."""

_PAD = 16  # bytes in front: two groups of eight digits are read without a bounds check
_TAIL = LONGEST + 8
_TAB = 9  # the newline is the byte that follows
_ZEROS, _SIXES, _HIGH = (np.uint64(int(byte * 8, 16)) for byte in ("30", "06", "f0"))
_LOW_BYTES: Array = np.array([(1 << 8 * count) - 1 for count in range(9)], np.uint64)
_INTEGER = re.compile(rb"-?\d{1,15}")


def mix(h: Array) -> Array:
    """The finaliser of splitmix64, in place."""
    h ^= h >> np.uint64(30)
    h *= np.uint64(0xBF58476D1CE4E5B9)
    h ^= h >> np.uint64(27)
    h *= np.uint64(0x94D049BB133111EB)
    h ^= h >> np.uint64(31)
    return h


@cache
def _starts() -> Array:
    """Hashes before the first eight bytes, by field and length of the token."""
    fields: Array = np.arange(1, FIELDS + 1, dtype=np.uint64)[:, None]
    return mix(fields * np.uint64(256) + np.arange(LONGEST + 1, dtype=np.uint64))


def parse(text: bytes, columns: int) -> Rows | None:
    """Parse and hash complete lines, each ended by a newline.

    Parameters
    ----------
    text
        The lines.
    columns
        Into how many the fields are hashed, at most 2^31 - 1.

    Returns
    -------
    Rows or None
        None where a line is not Criteo's. Indices count from 0.
    """
    padded = np.frombuffer(b"".join((b"\n" * _PAD, text, b"\n" * _TAIL)), np.uint8)
    at = np.flatnonzero(padded[_PAD : _PAD + len(text)] - np.uint8(_TAB) < 2)
    if len(at) % (FIELDS + 1):
        return None
    ends = at.reshape(-1, FIELDS + 1)
    kinds: Array = padded[_PAD:].take(ends)
    if (kinds[:, -1] == _TAB).any() or (kinds[:, :-1] != _TAB).any():
        return None
    starts = np.concatenate(([0], at[:-1] + 1)).reshape(ends.shape)
    # The eight bytes from each place on, as a number: views, whatever the alignment.
    words: Array = np.ndarray((len(padded) - 7,), "<u8", padded.data, strides=(1,))
    labels = padded[_PAD:].take(starts[:, 0]) - np.uint8(ord("0"))
    if (ends[:, 0] != starts[:, 0] + 1).any() or (labels > 1).any():
        return None
    numbers = _bins(padded, words, starts[:, 1 : INTEGERS + 1], ends[:, 1 : INTEGERS + 1])
    tokens = slice(INTEGERS + 1, None)
    start, length = starts[:, tokens] + _PAD, (ends - starts)[:, tokens]
    longest = int(length.max())
    if numbers is None or longest > LONGEST:
        return None
    integer, given = numbers
    sizes = np.concatenate((np.where(given, 8, 0), length), axis=1)
    hashes: Array = _starts().take(np.arange(FIELDS) * (LONGEST + 1) + sizes)
    hashes[:, :INTEGERS] ^= integer
    hashes[:, INTEGERS:] ^= _word(words, start, length)
    mix(hashes)
    for word in range(1, -(-longest // 8)):
        own = hashes[:, INTEGERS:]
        more = mix(own ^ _word(words, start + 8 * word, length - 8 * word))
        np.copyto(own, more, where=length > 8 * word)
    found = ((hashes >> np.uint64(32)) * np.uint64(columns)) >> np.uint64(32)
    return _one_hot(labels, np.sort(found.astype(np.int32), axis=1))


def _word(words: Array, start: Array, length: Array) -> Array:
    """The bytes from `start` on as a number, those from `length` on as zeros."""
    value = words.take(start, mode="clip").astype(np.uint64, copy=False)
    value &= _LOW_BYTES.take(length, mode="clip")
    return value


def _bins(padded: Array, words: Array, starts: Array, ends: Array) -> tuple[Array, Array] | None:
    """The bins of integers as words, and where there is one; None where something else is."""
    given = ends > starts
    minus = (padded[_PAD:].take(starts) == ord("-")) & given
    length = ends - starts - minus
    longest = int(length.max())
    if longest > DIGITS or (length < given).any():
        return None
    value: Array = np.zeros(starts.shape, np.uint64)
    for group in range(-(-longest // 8)):
        # The last eight digits, those before them, ...: what stands before the token is a zero.
        eight = words.take(ends + (_PAD - 8 * (group + 1))).astype(np.uint64, copy=False)
        foreign = _LOW_BYTES.take(8 - np.clip(length - 8 * group, 0, 8))
        eight = (eight & ~foreign) | (_ZEROS & foreign)
        digits = ((eight & _HIGH) == _ZEROS) & (((eight + _SIXES) & _HIGH) == _ZEROS)
        if not digits.all():
            return None
        eight -= _ZEROS  # from here: pairs, fours and all eight digits, each in the lowest byte
        eight = (eight * np.uint64(10) + (eight >> np.uint64(8))) & np.uint64(0x00FF00FF00FF00FF)
        eight = (eight * np.uint64(100) + (eight >> np.uint64(16))) & np.uint64(0x0000FFFF0000FFFF)
        eight = (eight * np.uint64(10**4) + (eight >> np.uint64(32))) & np.uint64(0xFFFFFFFF)
        value += eight * np.uint64(10 ** (8 * group))
    number: Array = value.astype(np.float64).view(np.int64)
    number >>= 50  # sign, exponent and two bits
    number -= 4 * 1023 - 1
    np.maximum(number, 0, out=number)
    np.negative(number, out=number, where=minus)
    return number.view(np.uint64), given


def _one_hot(labels: Array, columns: Array) -> Rows:
    """Rows with a 1 in each of their columns, which are sorted in each row."""
    first = np.ones(columns.shape, bool)
    np.not_equal(columns[:, 1:], columns[:, :-1], out=first[:, 1:])
    counts = np.full(len(columns), FIELDS, np.int64)
    indices = columns.ravel()
    if not first.all():
        counts, indices = first.sum(axis=1), indices[first.ravel()]
    return Rows(labels.astype(np.float64), counts, indices, np.ones(len(indices)))


def explain(line: bytes) -> str | None:
    """What is wrong with a line, with the field and what to do; None where nothing is."""
    fields = line.split(b"\t")
    if len(fields) != FIELDS + 1:
        what = f"{len(fields)} fields, not {FIELDS + 1}"
        if len(fields) == FIELDS:
            return f"{what}; a test set has no labels: give the training data"
        for other in (b",", b";", b"|", b" "):
            if line.count(other) == FIELDS:
                return f"{what}; separated by {show(other)}? tr {show(other)} '\\t' makes tabs"
        return f"{what} separated by tabs: a label, {INTEGERS} integers, {CATEGORIES} categories"
    if fields[0] not in (b"0", b"1"):
        return f"label {show(fields[0])} in field 1; give 0 or 1 (clicked)"
    for number, token in enumerate(fields[1 : INTEGERS + 1], 2):
        if token and not _INTEGER.fullmatch(token):
            return (
                f"{show(token)} in field {number} is no integer of at most {DIGITS} digits; leave "
                "the field empty where it is missing"
            )
    for number, token in enumerate(fields[INTEGERS + 1 :], INTEGERS + 2):
        if len(token) > LONGEST:
            return (
                f"category {show(token)} in field {number} has {len(token)} bytes; at most "
                f"{LONGEST}: give a hash of it"
            )
    return None


class CriteoReading(Reading):
    """The reading of one file of Criteo's, from text to hashed rows; lines are never cut."""

    KIND = "Criteo's text"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.encoding = ENCODING

    @property
    def longest_line(self) -> float | None:
        """Lines are taken whole, up to what no line of Criteo's has."""
        return 2.0**20

    def take(self, piece: Piece, share: float | None) -> None:
        """Parse a piece and hand its rows on.

        Raises
        ------
        DataError
            A line is not Criteo's; line and field are named.
        """
        self.newline = piece.text.endswith(b"\n")
        text = piece.text if self.newline else piece.text + b"\n"
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n")
        rows = parse(text, self.rules.highest + 1)
        if rows is None:
            for ahead, line in enumerate(text.split(b"\n")):
                if (wrong := explain(line)) is not None:
                    self.fail(wrong, ahead)
            raise AssertionError("lines that neither parser refuses")
        self.matrix.add(rows, 0, False, share)
        self.lines += len(rows.labels)
