"""One self-contained HTML page: words, tables and curves, drawn without a network.

The page lets no address be loaded: its Content-Security-Policy names the digests of its own
scripts and nothing else. Text from files is escaped wherever it goes: into HTML, into the JSON
that the script reads, and (by the script) into what plotly takes for markup.
"""

from __future__ import annotations

import base64
import hashlib
import html
import importlib.resources
import importlib.util
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template
from typing import Any

from dadapt_cli.errors import MissingExtraError, UsageError
from dadapt_cli.system.files import atomic_write
from dadapt_cli.system.terminal import printable

SUFFIXES = (".html", ".htm")
OPTION = "--report"


@dataclass(frozen=True)
class Table:
    """A table: cells are text or numbers, None an empty one; all rows have as many as the header.

    ``notes`` stand below it.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Line:
    """A curve: its values, and where they stand on each axis of its chart, None where unknown.

    Attributes
    ----------
    name
        Name in the legend.
    x
        Positions by the names of the chart's axes.
    y
        The values, one per position.
    band
        As many half widths of a band around the curve.
    quiet
        Whether it is thin and dashed, as for a bound or a distance.
    color
        Curves with the same number have one colour; by default each its own.
    """

    name: str
    x: Mapping[str, Sequence[float | None]]
    y: Sequence[float | None]
    band: Sequence[float | None] | None = None
    quiet: bool = False
    color: int | None = None


@dataclass(frozen=True)
class Chart:
    """Curves over one of several axes: the first is shown until another is chosen.

    Attributes
    ----------
    title, y
        Titles of the chart, and of its vertical axis.
    axes
        Names of the horizontal ones.
    lines
        What is drawn; those without a value are left out.
    log_x, log_y
        Whether the scales are logarithmic at first.
    """

    title: str
    y: str
    axes: Sequence[str]
    lines: Sequence[Line]
    log_x: bool = True
    log_y: bool = True


@dataclass(frozen=True)
class Page:
    """What a report shows, from top to bottom.

    Attributes
    ----------
    title
        Title at the head of the page.
    facts
        Names and values: what was run.
    sections
        A heading, sentences, and the charts and tables below them.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[tuple[str, Sequence[str], Sequence[Chart | Table]]]


def check(path: str, *, draws: bool = True) -> None:
    """Fail before the work starts when the report could not be made.

    Raises
    ------
    UsageError
        The name does not end in .html.
    MissingExtraError
        The report `draws` curves and plotly is not installed.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        raise UsageError(f"{OPTION} {path[:40]!r}; name a file that ends in .html")
    if draws and importlib.util.find_spec("plotly") is None:
        raise MissingExtraError(OPTION, "report")


def write(path: str, page: Page) -> None:
    """Write the page, whole or not at all.

    Raises
    ------
    InputOutputError
        The file cannot be written; an existing file is unchanged.
    """
    with atomic_write(path) as handle:
        handle.write(text(page).encode())


def text(page: Page) -> str:
    """The page as HTML, ASCII and UTF-8 alike."""
    charts: list[Chart] = []
    parts = [_section(*section, charts) for section in page.sections]
    scripts = [_own("page.js")]
    if charts:
        scripts.insert(0, _plotly())
    digests = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    return Template(_own("page.html")).substitute(
        policy=f"default-src 'none'; script-src {digests}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'",
        title=escaped(page.title),
        style=_own("page.css"),
        facts="".join(f"<dt>{escaped(n)}</dt><dd>{escaped(v)}</dd>" for n, v in page.facts),
        sections="\n".join(parts),
        data=script_json([_drawn(chart) for chart in charts]),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )


def escaped(value: str) -> str:
    """Text as HTML shows it; control characters as backslash escapes."""
    return html.escape(printable(value, io.StringIO()))


def script_json(value: Any) -> str:
    """JSON that cannot end a script element or begin a comment, whatever its strings hold."""
    made = json.dumps(value, allow_nan=False)
    return made.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _section(
    title: str, words: Sequence[str], parts: Sequence[Chart | Table], charts: list[Chart]
) -> str:
    """Return a section as HTML; its charts are appended to the list."""
    made = [f"<h2>{escaped(title)}</h2>", *(f"<p>{escaped(line)}</p>" for line in words)]
    for part in parts:
        if isinstance(part, Table):
            made.append(_table(part))
        elif any(_known(line) for line in part.lines):
            made.append(
                f'<figure class="chart" data-chart="{len(charts)}">'
                f"<figcaption>{escaped(part.title)}</figcaption></figure>"
            )
            charts.append(part)
    return f"<section>\n{chr(10).join(made)}\n</section>"


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escaped(name)}</th>' for name in table.header)
    body = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.rows)
    notes = "".join(f'<p class="note">{escaped(line)}</p>' for line in table.notes)
    return (
        '<div class="table"><button type="button" class="copy">Copy</button><div class="scroll">'
        f"<table><caption>{escaped(table.caption)}</caption><thead><tr>{head}</tr></thead>\n"
        f"<tbody>{body}</tbody></table></div>{notes}</div>"
    )


def _cell(value: Any) -> str:
    """Return a cell; numbers are rounded for reading, integers are exact."""
    if value is None:
        return "<td></td>"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        shown = str(value) if isinstance(value, int) else f"{value:.6g}"
        return f'<td class="number">{shown}</td>'
    return f"<td>{escaped(str(value))}</td>"


def _known(line: Line) -> bool:
    return any(value is not None for value in line.y)


def _drawn(chart: Chart) -> dict[str, Any]:
    """Return the data the script draws: strings made safe to display, not yet for plotly."""
    made = asdict(chart)
    made["lines"] = [
        {**asdict(line), "name": printable(line.name, io.StringIO())}
        for line in chart.lines
        if _known(line)
    ]
    return made


def _own(name: str) -> str:
    """Read a file in the folder of this module."""
    return (importlib.resources.files(__package__) / name).read_text(encoding="utf-8").strip()


def _plotly() -> str:
    """Return plotly's script, from the extra, such that it cannot end a script element."""
    found = importlib.resources.files("plotly") / "package_data" / "plotly.min.js"
    return found.read_text(encoding="utf-8").replace("</script", "<\\/script").strip()


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
