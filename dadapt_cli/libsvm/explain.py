"""The slow parser: one line at a time, with a message for everything that can be wrong.

It runs only on text that the fast parser refused, and defines what LIBSVM text is: a label, then
``index:value`` pairs with increasing indices, separated by blanks or tabs; ``#`` starts a
comment; empty lines count for nothing; ``qid:N`` behind the label is ignored.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass

from dadapt_cli.libsvm.fast import MAX_INDEX, MAX_LABEL, NUMBER
from dadapt_cli.libsvm.rows import FLOAT32_LIMIT

QID = re.compile(rb"qid:\d+")
_LOOSE_COLON = re.compile(rb"[ \t]*:[ \t]*")
_SEPARATE = re.compile(rb"[ \t]+")


@dataclass(frozen=True)
class Rules:
    """What the text may hold.

    Attributes
    ----------
    zero_based
        Whether indices start at 0.
    n_features
        The number of columns when the user fixed it.
    lenient
        Accept blanks around colons and indices in any order.
    sum_duplicates
        With ``lenient``: accept an index twice in a row.
    float32
        Values must fit in single precision.
    """

    zero_based: bool = False
    n_features: int | None = None
    lenient: bool = False
    sum_duplicates: bool = False
    float32: bool = False

    @property
    def lowest(self) -> int:
        """The lowest index allowed."""
        return 0 if self.zero_based else 1

    @property
    def highest(self) -> int:
        """The highest index allowed: the number of columns must fit in 31 bits."""
        columns = MAX_INDEX if self.n_features is None else self.n_features
        return columns - 1 + self.lowest


class BadLine(Exception):
    """What is wrong with a line, and what to do about it."""


def show(token: bytes) -> str:
    """``repr`` of a token, cut to 40 characters; bytes that are not text stay visible."""
    text = repr(token[:64].decode("utf-8", "backslashreplace"))
    return text if len(text) <= 40 else text[:36] + "..." + text[0]


def parse_line(
    line: bytes, rules: Rules, previous: int = -1
) -> tuple[float, list[int], list[float], bool] | None:
    """Parse one line.

    Parameters
    ----------
    line
        Without its newline.
    rules
        What is allowed.
    previous
        The index that the first one must exceed; for the rest of a line cut in pieces.

    Returns
    -------
    (label, indices, values, qid) or None
        Indices as in the text and in its order; None for a line without data.

    Raises
    ------
    BadLine
        The line is not LIBSVM text.
    """
    line = line.removesuffix(b"\r")
    text = line.partition(b"#")[0]
    if rules.lenient:
        text = _LOOSE_COLON.sub(b":", text)
    text = text.strip(b" \t")
    if not text:
        return None
    _check_characters(text)
    tokens = _SEPARATE.split(text)
    label = _label(tokens[0], text)
    qid = len(tokens) > 1 and QID.fullmatch(tokens[1]) is not None
    indices: list[int] = []
    values: list[float] = []
    sums: dict[int, float] = {}
    pairs = tokens[2:] if qid else tokens[1:]
    for place, token in enumerate(pairs):
        index, value = _pair(token, pairs[place + 1 : place + 2], rules)
        if rules.lenient:
            if index in sums and not rules.sum_duplicates:
                raise BadLine(
                    f"index {index} appears twice, again in {show(token)}; keep one of them, or "
                    "sum them with 'dadapt check --fix OUT --duplicates sum'"
                )
            sums[index] = sums.get(index, 0.0) + value
            if abs(sums[index]) >= (FLOAT32_LIMIT if rules.float32 else math.inf):
                raise BadLine(f"values of index {index} overflow when summed; scale the feature")
        elif index == previous:
            raise BadLine(f"index {index} appears twice, again in {show(token)}; keep one of them")
        elif index < previous:
            raise BadLine(
                f"indices are not increasing: {show(token)} follows index {previous}; sort them "
                "with 'dadapt check --fix', or read with --lenient"
            )
        previous = index
        indices.append(index)
        values.append(value)
    return label, indices, values, qid


def _check_characters(text: bytes) -> None:
    """Refuse what is not printable ASCII, blank or tab, by its most likely cause."""
    if b"\r" in text:
        raise BadLine(
            f"carriage return inside a line {show(text)}: old Mac line ends; convert with "
            "tr '\\r' '\\n'"
        )
    control = re.search(rb"[^\t\x20-\x7e]", text)
    if control is None:
        return
    around = show(text[max(0, control.start() - 8) : control.start() + 16])
    try:
        letters = text.decode("utf-8")
    except UnicodeDecodeError:
        raise BadLine(
            f"not LIBSVM text: bytes {text[:9]!r}; give a text file, plain, gzip, bzip2 or xz"
        ) from None
    character = next(c for c in letters if not ("\x20" <= c <= "\x7e" or c == "\t"))
    if character == "\0":
        raise BadLine(f"NUL byte in {around}; the file is damaged or binary, fetch it again")
    name = unicodedata.name(character, "a control character")
    raise BadLine(
        f"U+{ord(character):04X} ({name}) in {around}; replace it by its plain ASCII counterpart"
    )


def _label(token: bytes, text: bytes) -> float:
    """Read the first token of a line."""
    shown = show(token)
    if NUMBER.fullmatch(token):
        label = float(token)
        if abs(label) > MAX_LABEL:
            raise BadLine(f"label {shown} is too large; labels are integers, at most 2^53")
        return label
    lower = text[:64].lstrip().lower()
    if lower.startswith((b"<!doctype", b"<html", b"<head", b"<body", b"<?xml")):
        raise BadLine(f"{shown} looks like HTML; a failed download?")
    if lower.startswith((b"svm_type", b"solver_type")):
        raise BadLine(f"not LIBSVM text: {shown} begins a model file; give the data file")
    if b":" not in text and re.search(rb"[,;]", text):
        raise BadLine(f"{show(text)} looks like CSV; convert it to 'label index:value ...' lines")
    if b":" in token:
        raise BadLine(
            f"missing label: the line starts with {shown}; put a class label in front "
            "(0 where it is unknown)"
        )
    if re.fullmatch(rb"[+-]?[\d.]+([,;][+-]?[\d.]+)+[,;]?", token):
        raise BadLine(f"label {shown}: multilabel is not supported; keep one label a line")
    if re.fullmatch(rb"[+-]?nan", token, re.IGNORECASE):
        raise BadLine(f"label {shown} is not a number; remove the line or give it a label")
    if re.fullmatch(rb"[+-]?inf(inity)?", token, re.IGNORECASE):
        raise BadLine(f"label {shown} is infinite; labels are integers, at most 2^53")
    if token[:1] in (b'"', b"'"):
        raise BadLine(f"quoted label {show(token)}; remove the quotes, labels are numbers")
    raise BadLine(f"label {shown} is not a number; map text labels to integers first")


def _pair(token: bytes, following: list[bytes], rules: Rules) -> tuple[int, float]:
    """Read one ``index:value``; the next token only helps to explain."""
    left, colon, right = token.partition(b":")
    shown = show(token)
    spaced = "remove the space beside ':', or read with --lenient"
    if not colon:
        if following and following[0].startswith(b":"):
            raise BadLine(f"space before ':' after {shown}; {spaced}")
        raise BadLine(f"missing ':' in {shown}; features are index:value")
    if b":" in right:
        raise BadLine(f"more than one ':' in {shown}; features are index:value")
    if not left:
        raise BadLine(f"no index before ':' in {shown}; {spaced}")
    if not right and following and b":" not in following[0]:
        raise BadLine(f"space after ':' in {shown}; {spaced}")
    return _index(left, shown, rules), _value(right, shown, rules)


def _index(token: bytes, shown: str, rules: Rules) -> int:
    if re.fullmatch(rb"-\d+", token):
        raise BadLine(f"negative index in {shown}; indices start at {rules.lowest}")
    if not re.fullmatch(rb"\d+", token):
        raise BadLine(
            f"index {show(token)} in {shown} is not a whole number; features are index:value, "
            "separated by blanks"
        )
    stripped = token.lstrip(b"0") or b"0"
    index = int(stripped) if len(stripped) < 20 else None
    if index is not None and index < rules.lowest:
        raise BadLine(
            f"index 0 in {shown}, but indices start at 1; if the file counts from 0, read it "
            "with --zero-based"
        )
    if index is None or index > MAX_INDEX - 1 + rules.lowest:
        raise BadLine(
            f"index {show(stripped)[1:-1]} in {shown} is too large; the largest is "
            f"{MAX_INDEX - 1 + rules.lowest}"
        )
    if index > rules.highest:
        raise BadLine(
            f"index {index} in {shown} is beyond the {rules.n_features} features asked for; "
            "raise --features"
        )
    return index


def _value(token: bytes, shown: str, rules: Rules) -> float:
    if NUMBER.fullmatch(token):
        value = float(token)
        if math.isinf(value):
            raise BadLine(f"value in {shown} overflows a float; scale the feature")
        if rules.float32 and abs(value) >= FLOAT32_LIMIT:
            raise BadLine(f"value in {shown} overflows float32; use --dtype float64, or scale")
        return value
    if not token:
        raise BadLine(f"no value after ':' in {shown}; write index:value, or leave the pair out")
    if re.fullmatch(rb"[+-]?nan(\(.*\))?", token, re.IGNORECASE):
        raise BadLine(f"value in {shown} is NaN; impute it, or leave the pair out for 0")
    if re.fullmatch(rb"[+-]?inf(inity)?", token, re.IGNORECASE):
        raise BadLine(f"value in {shown} is infinite; give a finite number")
    if re.fullmatch(rb"[+-]?\d*,\d+", token):
        raise BadLine(f"decimal comma in {shown}; write a decimal point")
    if re.match(rb"[+-]?0[xX]", token):
        raise BadLine(f"hexadecimal value in {shown}; write it in decimal")
    if b"_" in token:
        raise BadLine(f"underscore in {shown}; write the number without")
    if re.fullmatch(rb"[+-]?[\d.]+[dD][+-]?\d+", token):
        raise BadLine(f"Fortran exponent in {shown}; write 'e' for 'd'")
    raise BadLine(f"value {show(token)} in {shown} is not a number; is a blank missing?")


def name_file(text: bytes) -> str | None:
    """Say what kind of file begins like this, when it is one that no line of it explains."""
    utf16 = text.startswith((b"\xff\xfe", b"\xfe\xff"))
    if utf16 or re.match(rb"(?:[\x20-\x7e]\0){4}|(?:\0[\x20-\x7e]){4}", text):
        return f"UTF-16 text {show(text[:8])}; convert with iconv -f UTF-16 -t UTF-8"
    if text.startswith((b"\x7fELF", b"%PDF", b"\x89PNG", b"\x93NUMPY", b"\x89HDF", b"PAR1")):
        return f"not LIBSVM text: bytes {text[:9]!r}; give a text file, plain, gzip, bzip2 or xz"
    return None
