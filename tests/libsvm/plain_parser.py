"""What LIBSVM text means, in as few lines as will say it: split and float."""

from __future__ import annotations


def number(token: bytes) -> float:
    if set(token) - set(b"0123456789+-.eE"):
        raise ValueError(token)
    value = float(token)
    if abs(value) == float("inf"):
        raise ValueError(token)
    return value


def parse(text: bytes, lowest: int = 1) -> tuple[list[float], list[dict[int, float]]]:
    """Labels, and one {index: value} a row; ValueError where the text is not LIBSVM's."""
    labels, rows = [], []
    for line in text.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        line = line.split(b"#")[0].removesuffix(b"\r")
        label, *pairs = [t for t in line.replace(b"\t", b" ").split(b" ") if t] or [b""]
        if not label:
            continue
        if pairs and pairs[0].startswith(b"qid:") and pairs[0][4:].isdigit():
            pairs = pairs[1:]
        row: dict[int, float] = {}
        for pair in pairs:
            index, value = pair.split(b":")
            if not index.isdigit() or not max(row, default=lowest - 1) < int(index) < 2**31:
                raise ValueError(pair)
            row[int(index)] = number(value)
        if abs(number(label)) > 2**53:
            raise ValueError(label)
        labels.append(number(label))
        rows.append(row)
    if not labels:
        raise ValueError("no data rows")
    return labels, rows
