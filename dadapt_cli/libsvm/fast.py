"""The vectorised parser: all tokens of one piece of LIBSVM text at once.

The piece is seen through the positions of its bytes that are not digits. In well-formed text
these come in a fixed order (blank, colon, perhaps a sign and a point, blank, ...), so walking
along the list of positions with a few array operations both finds every token and proves that
nothing else is there. Whatever is not proved well-formed is refused as a whole (``None``); the
caller then asks :mod:`dadapt_cli.libsvm.explain`.

Digits become numbers through one table per piece: ``quad[i]`` is the value of the last four (or
fewer) digits of the run of digits that ends at byte i. Values are exact: m / 10^k and m * 10^k
are correctly rounded while m < 2^53 and k <= 22, because both operands are exact; up to 19
digits are divided in double-double arithmetic, and the few quotients that lie too near to the
middle of two floats, with everything longer, go through Python's ``float``.
"""

from __future__ import annotations

import re

import numpy as np

from dadapt_cli.libsvm.rows import Array, Rows

MAX_INDEX = 2**31 - 1
MAX_LABEL = 2.0**53
NUMBER = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")

_PAD = 24  # bytes in front: five groups of four digits are looked up without a bounds check
_TAIL = b"\n" * 6  # behind: the longest walk from a colon to the end of its value is six
_NEWLINE, _BLANK, _PLUS, _MINUS, _POINT, _COLON, _E = b"\n +-.:e"
_POWERS = np.array([float(10**k) for k in range(23)])
_DIVISORS = np.roll(_POWERS[::-1], 1)  # 10^k at -k
_INT_POWERS = np.array([10**k for k in range(20)], dtype=np.uint64)


class _Piece:
    """A piece of text, the list of its bytes that are not digits, and the table of digit runs."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        padded = np.frombuffer(b"".join((b"\n" * _PAD, text, _TAIL)), np.uint8)
        digit = padded - np.uint8(48)
        is_digit = digit < 10
        one = is_digit.view(np.uint8)
        digit *= one
        pair = np.empty_like(digit)  # the last two digits of the run that ends here
        pair[0] = 0
        np.multiply(digit[:-1], np.uint8(10), out=pair[1:])
        pair *= one
        pair += digit
        np.bitwise_and(one[1:], one[:-1], out=digit[1:])  # from here: two digits end here
        digit[2:] *= pair[:-2]  # the two digits before them
        quad = digit.astype(np.uint16)
        quad *= np.uint16(100)
        quad += pair.astype(np.uint16)
        quad[:2] = 0
        self.quad = quad
        self.at = np.flatnonzero(~is_digit[_PAD:])
        self.byte = padded[_PAD:].take(self.at)

    def number(self, end: Array, length: Array, longest: int) -> Array:
        """Value of the digits [end - length, end), at most 20, as an unsigned integer.

        ``longest`` is the maximum of the lengths.
        """
        value = self.quad[_PAD - 1 :].take(end)
        if longest <= 4:
            return value
        value = value.astype(np.uint32 if longest <= 9 else np.uint64)
        for group in range(1, min(5, -(-longest // 4))):
            quad = self.quad[_PAD - 1 - 4 * group :]
            power = value.dtype.type(10 ** (4 * group))
            longer = length > 4 * group
            count = np.count_nonzero(longer)
            if 8 * count < len(longer):
                some = np.flatnonzero(longer)
                value[some] += quad.take(end[some]).astype(value.dtype) * power
                continue
            higher = quad.take(end)
            if count < len(longer):
                # Operands of one type: NumPy converts others through small buffers.
                higher *= longer.astype(np.uint16)
            higher = higher.astype(value.dtype)
            higher *= power
            value += higher
        return value


def parse(text: bytes) -> Rows | None:
    """Parse complete lines, separated by single blanks and ended by a newline.

    A blank before the newline is accepted, as many files have it; other blanks, empty lines,
    comments and carriage returns must have been removed.

    Parameters
    ----------
    text
        Lines of LIBSVM text, each ended by a newline.

    Returns
    -------
    Rows or None
        None when the text is not proved well-formed. Indices are neither checked for order
        nor against a range, except that none is above 10**16.
    """
    piece = _Piece(text)
    at, byte = piece.at, piece.byte
    newlines = np.flatnonzero(byte[: len(byte) - len(_TAIL)] == _NEWLINE)
    labels = _labels(piece, newlines)
    if labels is None:
        return None
    label, label_end = labels
    colon = np.flatnonzero(byte == _COLON)
    with_features = (byte[label_end] == _BLANK) & (byte[label_end + 1] != _NEWLINE)
    counts = np.zeros(len(newlines), np.int64)
    if not len(colon):
        bare = _line_ends(piece, newlines, label_end)
        return Rows(label, counts, np.empty(0, np.int32), np.empty(0)) if bare else None
    colon_at = at.take(colon)
    parsed = _values(piece, colon, colon_at)
    if parsed is None:
        return None
    value, last, end_at, stop = parsed
    # The chain: a colon follows the end of the value before it, or else the end of a label.
    begins = np.ones(len(colon), bool)
    np.not_equal(colon[1:] - 1, last[:-1], out=begins[1:])
    first = np.flatnonzero(begins)
    if len(first) != np.count_nonzero(with_features):
        return None
    if not np.array_equal(colon[first], label_end[with_features] + 1):
        return None
    beyond = np.append(first[1:], len(colon))
    ends = label_end.copy()
    ends[with_features] = last[beyond - 1]
    if not _line_ends(piece, newlines, ends):
        return None
    # All values end at a blank, but for those that a newline ends.
    closed = np.count_nonzero(stop == _BLANK)
    if closed + np.count_nonzero((ends == newlines) & with_features) != len(colon):
        return None
    length = colon_at.copy()
    length[1:] -= end_at[:-1]
    length[first] = colon_at[first] - at[colon[first] - 1]
    length -= 1
    longest = int(length.max())
    if length.min() < 1 or longest > 16:
        return None
    index = piece.number(colon_at, length, longest)
    counts[with_features] = beyond - first
    return Rows(label, counts, index.astype(np.int32 if longest < 10 else np.int64), value)


def _line_ends(piece: _Piece, newlines: Array, ends: Array) -> bool:
    """Whether the last token of each line is ended by the newline, or a blank right before it."""
    trailing = newlines != ends
    if not trailing.any():
        return True
    newline, end = newlines[trailing], ends[trailing]
    adjacent = (newline == end + 1) & (piece.at[newline] == piece.at[end] + 1)
    return bool((adjacent & (piece.byte[end] == _BLANK)).all())


def _labels(piece: _Piece, newlines: Array) -> tuple[Array, Array] | None:
    """Read the label of each line; also where, in the list of non-digits, each one ends."""
    at, byte = piece.at, piece.byte
    first = np.zeros(len(newlines), np.intp)
    start = np.zeros(len(newlines), np.intp)
    np.add(newlines[:-1], 1, out=first[1:])
    np.add(at.take(newlines[:-1]), 1, out=start[1:])
    leader = byte.take(first)
    minus = leader == _MINUS
    signed = minus | (leader == _PLUS)
    signed &= at.take(first) == start
    end = first + signed
    stop = byte.take(end)
    plain = (stop == _BLANK) | (stop == _NEWLINE)
    odd = np.flatnonzero(~plain)
    end_at = at.take(end)
    length = end_at - start
    length -= signed
    longest = int(length.max())
    if longest > 16 or (length.min() < 1 and (length < 1)[plain].any()):
        return None
    label = piece.number(end_at, length, longest).astype(np.float64)
    np.negative(label, out=label, where=minus)
    known: dict[bytes, float] = {}
    for row in odd.tolist():  # labels such as 1.0; few distinct ones in any file
        stop_at = int(end[row])
        while byte[stop_at] not in (_BLANK, _NEWLINE):
            stop_at += 1
        token = piece.text[start[row] : at[stop_at]]
        if token not in known:
            if not NUMBER.fullmatch(token):
                return None
            known[token] = float(token)
        label[row], end[row] = known[token], stop_at
    if (longest > 15 or len(odd)) and not (np.abs(label) <= MAX_LABEL).all():
        return None
    return label, end


def _values(
    piece: _Piece, colon: Array, colon_at: Array
) -> tuple[Array, Array, Array, Array] | None:
    """Read the number after each colon.

    Also where each one ends, in the list of non-digits and in the text, and the byte there.
    """
    at, byte = piece.at, piece.byte
    begin = colon_at + 1
    whole_end = colon + 1
    follower = byte.take(whole_end)
    minus = follower == _MINUS
    signed = minus | (follower == _PLUS)
    sign = signed.any()
    if sign:
        signed &= at.take(whole_end) == begin
        step = signed.astype(np.intp)
        begin += step
        whole_end += step
        follower = byte.take(whole_end)
    point = follower == _POINT
    points = np.count_nonzero(point)
    point_at = at.take(whole_end)
    digits: Array
    if points:
        one = point.astype(np.intp) if points < len(point) else 1
        last = whole_end + one
        stop = byte.take(last)
        end_at = at.take(last)
        places = end_at - point_at
        places -= one
        digits = end_at - begin
        digits -= one
    else:
        last, stop, end_at, places = whole_end, follower, point_at, None
        digits = end_at - begin
    most = int(digits.max())
    if digits.min() < 1:
        return None
    if places is None:
        mantissa, scale = piece.number(point_at, digits, most), np.zeros(1, np.int64)
    else:
        before = point_at - begin
        whole = piece.number(point_at, before, int(before.max()))
        fewest, longest = int(places.min()), int(places.max())
        scale = places[:1] if fewest == longest else places
        mantissa = piece.number(end_at, places, longest)
        if points < len(point):  # without a point, the digits before the end are the whole part
            mantissa *= point.astype(mantissa.dtype)
        if most > 4:
            mantissa = mantissa.astype(np.uint32 if most <= 9 else np.uint64, copy=False)
        if whole.any():
            power = _INT_POWERS.astype(mantissa.dtype).take(scale, mode="clip")
            mantissa += whole.astype(mantissa.dtype, copy=False) * power
    power10 = -scale
    some = np.flatnonzero((stop | np.uint8(32)) == _E)
    if len(some):
        if len(power10) == 1:
            power10 = np.full(len(colon), power10[0])
        exponents = _exponents(piece, last[some])
        if exponents is None:
            return None
        power, final = exponents
        power10[some] += power
        last[some], stop[some], end_at[some] = final, byte[final], at[final]
    value, slow = _scaled(mantissa, power10, digits, most)
    if sign:
        bits = value.view(np.uint64)
        bits |= minus.astype(np.uint64) << np.uint64(63)
    if slow is not None:
        text = piece.text
        start = begin[slow]
        if sign:
            start -= signed[slow]
        spans = zip(start.tolist(), end_at[slow].tolist(), strict=True)
        value[slow] = [_float(text[a:b]) for a, b in spans]
        if not np.isfinite(value[slow]).all():
            return None
    return value, last, end_at, stop


def _float(token: bytes) -> float:
    """Python's own conversion; NaN, which the caller refuses, for what is not a plain number."""
    return float(token) if NUMBER.fullmatch(token) else np.nan


def _exponents(piece: _Piece, letter: Array) -> tuple[Array, Array] | None:
    """Read the exponent after each ``e``; also where, in the list of non-digits, it ends."""
    at, byte = piece.at, piece.byte
    end = letter + 1
    after = byte.take(end)
    begin = at.take(letter) + 1
    signed = (after == _MINUS) | (after == _PLUS)
    signed &= at.take(end) == begin
    end += signed
    end_at = at.take(end)
    length = end_at - begin - signed
    if length.min() < 1:
        return None
    # Five digits or more are beyond any fast conversion: say so by an enormous exponent.
    power = np.where(length > 4, 10**6, piece.quad[_PAD - 1 :].take(end_at)).astype(np.int64)
    return np.where(after == _MINUS, -power, power), end


def _scaled(
    mantissa: Array, power10: Array, digits: Array, most: int
) -> tuple[Array, Array | None]:
    """Correctly rounded mantissa * 10^power10, and the places where that is not proved.

    ``power10`` has one entry when all are the same.
    """
    least, largest = int(power10.min()), int(power10.max())
    value = mantissa.astype(np.float64)
    if largest <= 0 and least >= -22:
        if len(power10) > 1:
            value /= _DIVISORS.take(power10)
        elif least:
            value /= _POWERS[-least]
        if most <= 15:
            return value, None
        slow = digits > 15
    else:
        value /= _POWERS.take(np.clip(-power10, 0, 22))
        value *= _POWERS.take(np.clip(power10, 0, 22))
        slow = (digits > 15) | (np.abs(power10) > 22)
    many = np.flatnonzero((digits > 15) & (digits <= 19) & (power10 >= -22) & (power10 <= 0))
    if len(many):
        power = power10 if len(power10) == 1 else power10[many]
        value[many], proved = _divide(mantissa[many].astype(np.uint64), _POWERS[-power])
        slow[many] = ~proved
    return value, np.flatnonzero(slow)


def _divide(mantissa: Array, divisor: Array) -> tuple[Array, Array]:
    """Mantissa / divisor for integers below 10^19, and where it is proved correctly rounded.

    Below 2^53 both operands are exact and one division is. Above, the quotient is formed in
    double-double with a relative error below 2^-90, so that the nearest float is certain unless
    the remainder is within a relative 2^-30 of half a unit in the last place.
    """
    low_part = mantissa & np.uint64(2047)
    high = (mantissa - low_part).astype(np.float64)  # at most 53 bits: exact
    low = low_part.astype(np.float64)
    quotient = high / divisor
    product, error = _two_product(quotient, divisor)
    rest = (((high - product) - error) + low) / divisor
    value = quotient + rest
    remainder = np.abs(rest - (value - quotient))
    half = 0.5 * (value - np.nextafter(value, 0.0))  # the smaller gap, below a power of two
    small = mantissa < np.uint64(2**53)
    np.divide(mantissa.astype(np.float64), divisor, out=value, where=small)
    return value, small | (remainder < half * (1 - 2.0**-30))


def _two_product(a: Array, b: Array) -> tuple[Array, Array]:
    """Veltkamp and Dekker: a * b as an unevaluated sum of two floats."""
    product = a * b
    split = 134217729.0  # 2^27 + 1
    t = split * a
    a_high = t - (t - a)
    a_low = a - a_high
    t = split * b
    b_high = t - (t - b)
    b_low = b - b_high
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, error
