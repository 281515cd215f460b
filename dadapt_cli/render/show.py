"""What a file holds, for people: one line per entry, and a table where there are many of a kind."""

from __future__ import annotations

import decimal
import math
import sys
from collections.abc import Iterator
from typing import Any

from dadapt_cli._typing import Record
from dadapt_cli.render.screen import columns
from dadapt_cli.system.terminal import printable

WIDTH = 24
"""Width of the column of names."""

MOST = 20
"""Items of a list that are shown."""

LONGEST = 200
"""Characters of one value."""

_UP = decimal.Context(prec=2, rounding=decimal.ROUND_CEILING)

APART = ("options", "weights", "claims", "problems", "comparisons", "points", "failed")
"""Entries with a layout of their own."""


def table(document: Record, defaults: Record) -> str:
    """Return the lines.

    Parameters
    ----------
    document
        Arbitrary JSON values: the document comes from a file.
    defaults
        Default values of options, which are not shown.
    """
    lines = [f"{document['kind']:<{WIDTH}}{_cut(str(document['path']))}"]
    lines += _entries(
        {name: document[name] for name in document if name not in APART}, defaults, ""
    )
    lines += _options(document.get("options"), defaults, "")
    for column in document.get("weights") or []:
        lines += _weights(column)
    lines += _claims(document.get("claims") or {})
    lines += _problems(document.get("problems") or {})
    for one in document.get("comparisons") or []:
        lines.append(f"{'data':<{WIDTH}}{_shown(one['data'])}")
        lines += _entries({n: one[n] for n in one if n not in ("data", "runs")}, defaults, "  ")
        lines += _records(one["runs"])
    for name in ("points", "failed"):
        lines += _records(document.get(name) or [])
    return "\n".join(printable(line, sys.stdout) for line in lines)


def _entries(entries: Record, defaults: Record, indent: str) -> Iterator[str]:
    """One line per known entry; nested entries are indented."""
    for name, value in entries.items():
        if name in ("kind", "path") and not indent:
            continue
        if name == "options":
            yield from _options(value, defaults, indent)
        elif isinstance(value, dict) and value:
            yield f"{indent}{_cut(name)}"
            yield from _entries(value, defaults, indent + "  ")
        elif value is not None and value not in ({}, []):
            shown = _bound(name, value)
            yield f"{indent}{_cut(name):<{max(WIDTH - len(indent), 0)}}{shown}"


def _bound(name: str, value: Any, *, short: bool = False) -> str:
    """Format a value; a proven bound is never rounded to a stronger one."""
    if isinstance(value, float) and name == "gap" and value > 0:
        most = f"{float(_UP.create_decimal_from_float(value)):.2g}"
        return most if short else f"at most {most}"
    if isinstance(value, float) and name == "labels_proven" and 0 <= value <= 1:
        return f"{math.floor(1000 * value) / 10:.1f} % of the labels are the optimum's"
    return _shown(value)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        more = f", and {len(value) - MOST} more" if len(value) > MOST else ""
        return _cut(", ".join(_shown(v) for v in value[:MOST])) + more
    if isinstance(value, dict):
        return _cut(", ".join(f"{name}={_shown(v)}" for name, v in value.items()))
    return "none" if value is None else _cut(str(value))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _options(options: Any, defaults: Record, indent: str) -> Iterator[str]:
    """The options that were given and differ from the default."""
    if not isinstance(options, dict):
        return
    given = {
        name: value
        for name, value in options.items()
        if value is not None and value != {} and (name, value) not in defaults.items()
    }
    if given:
        yield f"{indent}{'options':<{WIDTH - len(indent)}}{_shown(given)}"


def _weights(column: Record) -> Iterator[str]:
    """The largest weights of one class."""
    yield f"weights for {column['label']}: {len(column['largest'])} of {column['nonzero']}"
    rows = [(str(row["feature"]), f"{row['weight']:.6g}") for row in column["largest"]]
    yield from _aligned([("feature", "weight"), *rows])


def _claims(claims: Record) -> Iterator[str]:
    """One line per kind of claim: how many, and the last one."""
    if not claims:
        return
    yield "claims (dadapt verify checks them)"
    rows: list[tuple[str, ...]] = [("kind", "number", "last k", "at least", "at most")]
    for kind, listed in claims.items():
        last = listed[-1]
        ends = ["" if last[end] is None else f"{last[end]:.17g}" for end in ("lower", "upper")]
        k = "" if last["k"] is None else str(last["k"])
        rows.append((kind, str(len(listed)), k, ends[0], ends[1]))
    yield from _aligned(rows)


def _records(rows: list[Record]) -> Iterator[str]:
    """A table of records with the same keys."""
    if rows:
        cells = [
            [
                "-" if value is None else _bound(name, value, short=True)
                for name, value in row.items()
            ]
            for row in rows
        ]
        yield from _aligned([tuple(rows[0]), *map(tuple, cells)])


def _problems(problems: Record) -> Iterator[str]:
    """Runs by algorithm and problem."""
    if not problems:
        return
    yield "runs, by algorithm and problem"
    algorithms = dict.fromkeys(a for problem in problems.values() for a in problem["algorithms"])
    rows: list[tuple[str, ...]] = [("", *map(_cut, problems))]
    for name in algorithms:
        counts = [len(problem["algorithms"].get(name, [])) for problem in problems.values()]
        rows.append((_cut(name), *(str(count or "-") for count in counts)))
    yield from _aligned(rows)


def _aligned(rows: list[tuple[str, ...]]) -> Iterator[str]:
    yield from (f"  {line.rstrip()}" for line in columns(rows, stream=sys.stdout))
