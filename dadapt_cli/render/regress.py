"""Views of the regression gate's report: table, JSON, JUnit XML, Markdown."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

from dadapt_cli._typing import Record
from dadapt_cli.render.screen import columns
from dadapt_cli.system.terminal import printable

COLUMNS = (
    ("d", "d", "#.4g"),
    ("last", "suboptimality_last", ".1e"),
    ("average", "suboptimality_average", ".1e"),
    ("1e-2", "iterations_1e-2", "d"),
    ("1e-3", "iterations_1e-3", "d"),
    ("k", "iterations", "d"),
    ("accuracy", "accuracy", ".4f"),
)
"""Header, figure, format."""


MARKUP = str.maketrans({"|": r"\|", "<": "&lt;", "`": r"\`"})
"""Escapes of the characters that Markdown interprets."""


def _escaped(value: Any, escape: Callable[[str], str]) -> Any:
    """The report with all its strings escaped: names in a baseline may hold anything."""
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, dict):
        return {name: _escaped(item, escape) for name, item in value.items()}
    return [_escaped(item, escape) for item in value] if isinstance(value, list) else value


def summary(report: Record) -> str:
    """One line: how many runs of each verdict, against what, and what that means."""
    counts = Counter(run["verdict"] for run in report["runs"])
    listed = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    remedy = "" if not counts["better"] + counts["new"] else "; --update takes them in"
    if report["updated"]:
        remedy = "; the baseline is written" if report["passed"] else "; nothing is written"
    return f"{'passed' if report['passed'] else 'FAILED'}: {listed} ({report['baseline']}){remedy}"


def _name(run: Record) -> str:
    return run["problem"] if run["algo"] is None else f"{run['algo']}, l2 = {run['l2']}"


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.10g}"


def _percent(figure: Record) -> str:
    return "" if figure["change"] is None else f"{100 * figure['change']:+.3g} %"


def _allowed(figure: Record) -> str:
    return "" if figure["allowed"] is None else f"{figure['allowed']:.2g}"


def _differing(run: Record) -> list[Record]:
    """The figures worth a line; those of a run without a baseline are in the table."""
    new = run["verdict"] == "new"
    return [f for f in run["figures"] if f["verdict"] != "ok" and not new]


def _line(figure: Record) -> str:
    """Describe in a line how one figure changed."""
    text = f"{figure['figure']} {figure['verdict']}: {_shown(figure['baseline'])} -> "
    details = [_percent(figure)]
    if figure["verdict"] == "wrong":
        details = ["more than the certified distance"]
    elif figure["allowed"] is not None:
        details.append(f"allowed {_allowed(figure)}")
    more = ", ".join(filter(None, details))
    return text + _shown(figure["measured"]) + (f" ({more})" if more else "")


def _cells(run: Record) -> list[str]:
    measured = {f["figure"]: f["measured"] for f in run["figures"]}
    return [
        "" if measured.get(key) is None else format(measured[key], form) for _, key, form in COLUMNS
    ]


def table(report: Record) -> str:
    """One row per run, then a line for each figure that has changed."""
    report = _escaped(report, printable)
    rows = [["problem", "algorithm", "l2", *(header for header, _, _ in COLUMNS), ""]]
    for run in report["runs"]:
        if run["algo"] is not None:
            rows.append([run["problem"], run["algo"], run["l2"], *_cells(run), run["verdict"]])
    notes = [
        f"{run['problem']}, {_name(run)}: {text}"
        for run in report["runs"]
        if run["algo"] is not None
        for text in ([run["message"]] if run["message"] else map(_line, _differing(run)))
    ]
    others = [
        f"{run['problem']}: {run['verdict']}, {run['message']}"
        for run in report["runs"]
        if run["algo"] is None
    ]
    blocks = [columns(rows, 3) if len(rows) > 1 else [], notes, others, [summary(report)]]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def document(report: Record) -> str:
    """Return the whole report as JSON."""
    return json.dumps(report, indent=1, allow_nan=False) + "\n"


def junit(report: Record) -> str:
    """JUnit XML: one test case per run, or per problem that did not run."""
    report = _escaped(report, printable)  # XML does not allow control characters
    suite = ET.Element("testsuite", name="dadapt regress")
    for run in report["runs"]:
        case = ET.SubElement(suite, "testcase", classname=run["problem"], name=_name(run),
                             time=f"{run['seconds']:.3f}")  # fmt: skip
        text = run["message"] or "\n".join(map(_line, _differing(run)))
        if run["verdict"] in report["bad"]:  # names what got worse, and nothing else
            worse = [one for one in _differing(run) if one["verdict"] in report["bad"]]
            failed = run["message"] or "\n".join(map(_line, worse))
            ET.SubElement(case, "failure", type=run["verdict"], message=failed)
        elif run["algo"] is None:
            ET.SubElement(case, "skipped", message=text)
        elif text:
            ET.SubElement(case, "system-out").text = text
    for counted, tag in (("tests", "testcase"), ("failures", "failure"), ("skipped", "skipped")):
        suite.set(counted, str(sum(1 for _ in suite.iter(tag))))
    suite.set("errors", "0")
    suite.set("time", f"{sum(run['seconds'] for run in report['runs']):.3f}")
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites, " ")
    text = ET.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def markdown(report: Record) -> str:
    """One summary per problem, then each figure that has changed."""
    report = _escaped(report, lambda text: printable(text).translate(MARKUP))
    lines = [f"### dadapt regress {summary(report)}", "", "| problem | runs | verdicts |",
             "|---|---:|---|"]  # fmt: skip
    for problem in dict.fromkeys(run["problem"] for run in report["runs"]):
        runs = [run for run in report["runs"] if run["problem"] == problem]
        counts = Counter(run["verdict"] for run in runs)
        listed = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        made = sum(run["algo"] is not None for run in runs)
        lines.append(f"| {problem} | {made} | {listed} |")
    differing = [(run, figure) for run in report["runs"] for figure in _differing(run)]
    if differing:
        lines += ["", "| problem | run | figure | baseline | measured | change | allowed | |",
                  "|---|---|---|---:|---:|---:|---:|---|"]  # fmt: skip
    for run, figure in differing:
        cells = (run["problem"], _name(run), figure["figure"], _shown(figure["baseline"]),
                 _shown(figure["measured"]), _percent(figure), _allowed(figure),
                 figure["verdict"])  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    told = [f"- {run['problem']}, {_name(run)}: {run['message']}" for run in report["runs"]
            if run["message"]]  # fmt: skip
    return "\n".join([*lines, *([""] if told else []), *told]) + "\n"


FORMATS: dict[str, Callable[[Record], str]] = {
    "table": table,
    "json": document,
    "junit": junit,
    "markdown": markdown,
}
