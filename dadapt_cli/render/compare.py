"""Views of a comparison: tables, CSV, JSON, LaTeX, Markdown."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from dadapt_cli._typing import Record
from dadapt_cli.errors import UsageError
from dadapt_cli.render import screen
from dadapt_cli.render.digits import digits
from dadapt_cli.system.files import atomic_write
from dadapt_cli.system.terminal import printable

ENDED = {
    "iterations": "all steps",
    "tolerance": "tolerance",
    "time": "time limit",
    "optimal": "gradient 0",
    "precision": "precision",
    "level": "level",
}
"""Statuses in a word or two; the others are readable as they are."""

BY_LEVEL = ("gradients_to", "passes_to", "seconds_to", "spread_to")
"""Keys of a run with one number per level; in flat tables each level is a column."""

NESTED = (*BY_LEVEL, "seconds_each", "options", "curve")
"""Keys of a run that are no numbers of their own."""

REPR_WIDTH = 80


# ------------------------------------------------------------------------------- for people


def show(document: Record, stream: TextIO) -> None:
    """Print the tables; a terminal's width decides which columns there are."""
    where = screen.console(stream, file_width=None)
    for line, bold in _lines(document, where.width):
        screen.put(where, line, "bold" if bold else "")


def text(document: Record, width: int | None = None) -> str:
    """Return the tables as text, wrapped at `width`, by default the screen's, at most 80."""
    width = width or min(REPR_WIDTH, shutil.get_terminal_size().columns)
    out = []
    for line, _ in _lines(document, width):
        safe = printable(line)
        out += [safe] if len(safe) <= width else textwrap.wrap(safe, width)
    return "\n".join(out) + "\n"


def _lines(document: Record, width: int) -> Iterator[tuple[str, bool]]:
    """Lines, and whether they are headers."""
    for i, one in enumerate(document["comparisons"]):
        if i:
            yield "", False
        for line in _heading(one):
            yield line, False
        if one["runs"]:
            yield "", False
            yield from _table(one, document["levels"], document["repeat"], width)
            yield "", False
            yield from _answers(one)
        yield "", False
        if one["target"]["kind"] == "best-seen":
            yield from ((line, False) for line in one["notes"][:1])
        yield one["verdict"], False
        spent = one["seconds"]
        judged = f"judging took {_time(spent['judging'])} s, none of it timed"
        yield f"{_time(spent['solve'])} s were timed in all; {judged}", False
    if document["profile"] is not None:
        yield "", False
        yield from _profile(document["profile"])


def _heading(one: Record) -> Iterator[str]:
    problem, aim, known = one["problem"], one["target"], one["reference"]
    yield (
        f"{problem['path'] or 'data'}: {problem['samples']} samples, {problem['features']} "
        f"features, {problem['nonzeros']} non-zeros, {problem['classes']} classes"
    )
    more = {"bias": "bias feature", "intercept": "unpenalised intercept",
            "weighted": "weighted samples"}  # fmt: skip
    loss = f"{problem['loss']} loss"
    if problem["l2"]:
        loss += f" + l2/2 ||w||^2, l2 = {problem['l2']:.4g}"
    yield ", ".join([loss, *(words for name, words in more.items() if problem[name])])
    if aim["kind"] == "certified":
        line = f"f* = {digits(aim['f_star'], aim['gap'])} (certified)"
        if known["D"] is not None:
            line += f", D = {known['D']:.6g}"
        elif known["status"] == "not-attained":
            line += ", an infimum, not attained"
        yield line
    elif aim["kind"] == "given":
        yield f"f* = {aim['f_star']:.15g} (given)"
    else:
        yield f"f* UNKNOWN; measured from the best f seen, {aim['f_star']:.15g}"


def _table(
    one: Record, levels: Sequence[str], repeat: int, width: int
) -> Iterator[tuple[str, bool]]:
    """Gradients and seconds to each level; a narrow screen omits the coarse levels."""
    unit, finest = one["unit"], one["level"] or levels[-1]
    columns: list[tuple[str, str, list[str]]] = []
    for name in levels:
        cells = [_count(run[f"{unit}_to"][name]) for run in one["runs"]]
        columns.append((f"{unit} to", name, cells))
    for name in levels:
        columns.append(("seconds to", name, [_time(r["seconds_to"][name]) for r in one["runs"]]))
    if repeat > 1:
        columns.append(("", "+-", [_time(run["spread_to"][finest]) for run in one["runs"]]))
    names = ["", *(printable(run["name"]) for run in one["runs"])]
    least = max(map(len, names))

    def sized() -> int:
        return least + sum(2 + max(len(head), *map(len, cells)) for _, head, cells in columns)

    for group, name in [("", "+-"), *((g, n) for n in levels[:-1] for g in
                                      (f"{unit} to", "seconds to"))]:  # fmt: skip
        if sized() > width:
            columns = [c for c in columns if c[:2] != (group, name)]
    wide = [max(len(head), *map(len, cells)) for _, head, cells in columns]
    groups = " " * least
    for i, (group, _, _) in enumerate(columns):
        first = i == 0 or columns[i - 1][0] != group
        at = least + sum(2 + w for w in wide[:i]) + 2
        if first and group:
            groups = groups.ljust(at) + group
    yield groups.rstrip(), True
    rows = [[name, *cells] for name, *cells in zip(
        names, *([head, *cells] for _, head, cells in columns), strict=True)]  # fmt: skip
    for i, line in enumerate(screen.columns(rows)):
        yield line, i == 0


def _answers(one: Record) -> Iterator[tuple[str, bool]]:
    """What each run returned, as the referee judges it, and why it ended."""
    rows = [["", "certified gap", "d/D", "accuracy", "ended"]]
    for run in one["runs"]:
        rows.append(
            [
                run["name"],
                "none" if run["gap"] is None else up(run["gap"]),
                "" if run["d_over_D"] is None else f"{run['d_over_D']:.3f}",
                "" if run["accuracy"] is None else f"{100 * run['accuracy']:.2f} %",
                ENDED.get(run["status"], run["status"]),
            ]
        )
    last = [row.pop() for row in rows]
    for i, (line, ended) in enumerate(zip(_padded(rows), last, strict=True)):
        yield f"{line}  {ended}", i == 0


def _padded(rows: Sequence[Sequence[str]]) -> list[str]:
    """Pad the rows to lines of the same length."""
    lines = screen.columns(rows)
    return [line.ljust(max(map(len, lines))) for line in lines]


def _profile(profile: Record) -> Iterator[tuple[str, bool]]:
    """The share of problems solved within a factor of the fastest."""
    factors = (1.0, 2.0, 5.0, 10.0, 100.0)
    yield (
        (
            f"of {profile['problems']} problems, the share on which {profile['level']} is proven "
            "to be reached within this factor of the fastest (Dolan-More):"
        ),
        False,
    )
    rows = [["", *(f"{factor:g}" for factor in factors), "ever"]]
    for one in sorted(profile["solvers"], key=lambda one: -_area(one["ratios"])):
        counts = [sum(ratio <= factor for ratio in one["ratios"]) for factor in factors]
        shares = [count / profile["problems"] for count in (*counts, one["reached"])]
        rows.append([one["name"], *(f"{share:.2f}" for share in shares)])
    for i, line in enumerate(screen.columns(rows)):
        yield line, i == 0


def _area(ratios: Sequence[float]) -> float:
    return sum(1.0 / ratio for ratio in ratios)


def up(value: float) -> str:
    """Two digits, rounded up, so that a bound remains a bound."""
    if value <= 0 or not math.isfinite(value):
        return f"{value:.1e}"
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    shown = f"{math.ceil(value / unit) * unit:.1e}"
    return shown if float(shown) >= value else f"{value + unit:.1e}"


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:g}" if value < 1e6 else f"{value:.1e}"


def _time(value: float | None) -> str:
    if value is None:
        return ""
    if value < 1e-4:
        return f"{value:.0e}"
    return f"{value:.4f}" if value < 0.1 else f"{value:.3f}" if value < 10 else f"{value:.1f}"


# ------------------------------------------------------------------------------- for machines


def rows(document: Record) -> list[Record]:
    """One flat record per run: its figures, the levels in columns, the problem in front."""
    found = []
    for one in document["comparisons"]:
        for run in one["runs"]:
            flat = {"path": one["problem"]["path"]}
            for key, value in run.items():
                if key in BY_LEVEL:
                    flat |= {f"{key}_{name}": value[name] for name in document["levels"]}
                elif key not in NESTED:
                    flat[key] = value
            found.append(flat)
    return found


def events(document: Record) -> Iterator[Record]:
    """The document as a sequence of records: start, comparison, run, ..., end."""
    later = ("comparisons", "profile", "seconds")
    yield {"event": "start", **{k: v for k, v in document.items() if k not in later}}
    for one in document["comparisons"]:
        yield {"event": "comparison", **{k: v for k, v in one.items() if k != "runs"}}
        for run in one["runs"]:
            yield {"event": "run", "path": one["problem"]["path"], **run}
    yield {"event": "end", "profile": document["profile"], "seconds": document["seconds"]}


def as_json(document: Record) -> str:
    """Return one JSON document."""
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def as_jsonl(document: Record) -> str:
    """Return JSON lines, one record per line."""
    return "".join(json.dumps(event, allow_nan=False) + "\n" for event in events(document))


def as_csv(document: Record) -> str:
    """Return CSV with one row per run; an unknown number is an empty field."""
    made, out = rows(document), io.StringIO()
    if made:
        writer = csv.DictWriter(out, list(made[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: _cell(v) for k, v in row.items()} for row in made)
    return out.getvalue()


def _cell(value: object) -> object:
    """Put an apostrophe before a string that a spreadsheet would take for a formula."""
    if isinstance(value, str):
        safe = printable(value)
        return f"'{safe}" if safe.startswith(("=", "+", "-", "@")) else safe
    return value


# ------------------------------------------------------------------------------- for papers

MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*_[]|"} | {"<": "&lt;", ">": "&gt;"})

LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}",
       "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "*": r"\(*\)"}
)  # fmt: skip


def _paper(one: Record, levels: Sequence[str], repeat: int) -> tuple[list[str], list[list[str]]]:
    """Headers and cells of the table of a paper, unescaped."""
    unit = one["unit"]
    finest = one["level"] or levels[-1]
    head = ["", *(f"{unit} to {n}" for n in levels), *(f"s to {n}" for n in levels)]
    head += [*(["+-"] if repeat > 1 else []), "certified gap", "d/D", "accuracy (%)"]
    body = []
    for run in one["runs"]:
        cells = [run["name"], *(_count(run[f"{unit}_to"][n]) for n in levels)]
        cells += [_time(run["seconds_to"][n]) for n in levels]
        cells += [_time(run["spread_to"][finest])] if repeat > 1 else []
        cells += [
            "" if run["gap"] is None else up(run["gap"]),
            "" if run["d_over_D"] is None else f"{run['d_over_D']:.3f}",
            "" if run["accuracy"] is None else f"{100 * run['accuracy']:.2f}",
        ]
        body.append(cells)
    return head, body


def as_markdown(document: Record) -> str:
    """Return a table and the verdict for each problem."""
    blocks = []
    for one in document["comparisons"]:
        head, body = _paper(one, document["levels"], document["repeat"])
        lines = ["### " + _plain(Path(one["problem"]["path"] or "data").name, MARKDOWN), ""]
        lines += [f"| {' | '.join(_plain(c, MARKDOWN) for c in head)} |",
                  "|---|" + "---:|" * (len(head) - 1)]  # fmt: skip
        lines += [f"| {' | '.join(_plain(c, MARKDOWN) for c in cells)} |" for cells in body]
        lines += ["", _plain(one["verdict"], MARKDOWN)]
        lines += ["", *(f"- {_plain(note, MARKDOWN)}" for note in one["notes"])]
        blocks.append("\n".join(lines).rstrip())
    return "\n\n".join(blocks) + "\n"


def as_latex(document: Record) -> str:
    """Return one ``tabular`` per problem, with the rules of the package booktabs."""
    blocks = []
    for one in document["comparisons"]:
        head, body = _paper(one, document["levels"], document["repeat"])
        name = _plain(Path(one["problem"]["path"] or "data").name, LATEX)
        lines = [f"% {name}, dadapt {document['version']}; needs \\usepackage{{booktabs}}",
                 f"\\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}", "\\toprule"]  # fmt: skip
        lines += [f"{' & '.join(_tex(c) for c in head)} \\\\", "\\midrule"]
        lines += [f"{' & '.join(_tex(c) for c in cells)} \\\\" for cells in body]
        lines += ["\\bottomrule", "\\end{tabular}", f"% {_plain(one['verdict'], LATEX)}"]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _tex(cell: str) -> str:
    """Typeset a cell for LaTeX, numbers with an exponent as powers of ten."""
    mantissa, e, exponent = cell.partition("e")
    try:
        float(cell)
    except ValueError:
        return _plain(cell, LATEX).replace("+-", r"\(\pm\)")
    if not e:
        return f"\\({cell}\\)"
    return f"\\({mantissa} \\cdot 10^{{{int(exponent)}}}\\)"


def _plain(text: str, escapes: dict[int, str]) -> str:
    return printable(text).translate(escapes)


EXPORTS: dict[str, Callable[[Record], str]] = {
    ".csv": as_csv,
    ".json": as_json,
    ".tex": as_latex,
    ".md": as_markdown,
}

FORMATS: dict[str, Callable[[Record], str]] = {
    "json": as_json,
    "jsonl": as_jsonl,
    "csv": as_csv,
}


def check(path: str) -> None:
    """Raise UsageError for a file that :func:`export` would not know how to write."""
    if Path(path).suffix.lower() not in EXPORTS:
        known = ", ".join(EXPORTS)
        raise UsageError(f"--export {path[:40]!r}; name a file that ends in {known}")


def export(path: str, document: Record) -> None:
    """Write the file, whole or not at all."""
    made = EXPORTS[Path(path).suffix.lower()](document)
    with atomic_write(path) as file:
        file.write(made.encode("utf-8"))
