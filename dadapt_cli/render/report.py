"""What ``--report`` shows of a fit, the paper's experiments, the gate and a comparison."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import ROUND_CEILING, Context
from pathlib import PurePath
from typing import Any

from dadapt_cli import __version__
from dadapt_cli._typing import Record
from dadapt_cli.render import html
from dadapt_cli.render.compare import up
from dadapt_cli.render.curves import LEAST
from dadapt_cli.render.digits import digits
from dadapt_cli.render.html import Chart, Line, Page
from dadapt_cli.render.paper import own_part
from dadapt_cli.render.table import Info, Table

FULL_BATCH = {"gradients": "gradients", "seconds": "seconds", "iterations": "k"}
MINIBATCH = {"passes": "gradients", "seconds": "seconds", "steps": "k"}
"""Axes, and the keys of a step record that they show."""

NAMES = {"adam": "D-Adapt Adam", "sgd": "D-Adapt SGD", "adagrad": "D-Adapt AdaGrad",
         "cocob": "COCOB", "adam-plain": "Adam, best rate"}  # fmt: skip


class FitReport:
    """Collects the records of a fit; a view like the others, but completed by :meth:`write`."""

    def __init__(self, path: str, argv: Sequence[str], table: Table) -> None:
        self.path = path
        self.argv = argv
        self.table = table  # has the wording of the summary
        self.start: Record = {}
        self.steps: list[Record] = []
        self.end: Record | None = None

    def record(self, record: Record) -> None:
        """Take the next record."""
        if record["event"] == "start":
            self.start = record
            self.table.begin(record)
        elif record["event"] == "step":
            self.steps.append(record)
        else:
            self.end = record

    def write(self) -> None:
        """Write the report of a run that has ended, for whatever reason."""
        if self.end is not None:
            html.write(self.path, self.page(self.end))

    def page(self, end: Record) -> Page:
        """The report."""
        start, steps, info = self.start, self.steps, self.table.info
        data, of = start["data"], end["environment"]
        facts = [
            *_command(self.argv),
            ("Data", f"{data['path'] or 'data'}, {data['samples']} samples, {data['features']} "
             f"features, {data['nonzeros']} non-zeros, {data['classes']} classes"),
            ("sha256", data["sha256"] or "unknown"),
            ("Algorithm", f"{start['algorithm']}: {info.title}"),
            *_machine(of),
        ]  # fmt: skip
        options = [[n, _said(v)] for n, v in start["options"].items() if v is not None]
        return Page(
            f"{_name(data)}, {start['algorithm']}",
            facts,
            [
                ("Certificate", _certificate(start, end, info), []),
                ("Result", self.table.summary(end), []),
                ("Curves", [], list(_charts(start, steps, info))),
                ("Rows", [], [_rows("Reported iterations", steps)]),
                ("Options", [], [html.Table("Options of the run", ("option", "value"), options)]),
            ],
        )


def _command(argv: Sequence[str]) -> list[tuple[str, str]]:
    return [("Command", shlex.join(["dadapt", *argv])), ("Program", f"dadapt {__version__}")]


def _name(data: Record) -> str:
    """The problem's name, or the file's without its folders."""
    return str(data["problem"] or PurePath(data["path"] or "data").name)


def _machine(of: Record) -> list[tuple[str, str]]:
    return [
        ("Versions", f"Python {of['python']}, NumPy {of['numpy']}, SciPy {of['scipy']}"),
        ("Machine", f"{of['platform']}, {of['cpus']} cores, {of['threads']} threads"),
    ]


def _said(value: Any) -> str:
    """An option's value as it is typed."""
    if isinstance(value, dict):
        return " ".join(f"{name}={factor:g}" for name, factor in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def at_most(value: float) -> str:
    """Two digits, rounded up."""
    return f"{Context(prec=2, rounding=ROUND_CEILING).create_decimal(value):.1e}"


def _certificate(start: Record, end: Record, info: Info) -> list[str]:
    """What is proven, in sentences."""
    known, lines = start["reference"], []
    D, name, best = known[info.distance], info.distance, end["suboptimality_best"]
    if known["f_star"] is None:
        lines.append(f"Nothing is known of the minimum: {known['reason']}.")
    elif known["status"] == "given":
        lines.append(f"f* = {known['f_star']!r} was given with --reference; it is not certified.")
    else:
        value = digits(known["f_star"], known["gap"]).replace("+-", "\N{PLUS-MINUS SIGN}")
        what = "minimum" if known["status"] == "attained" else "infimum, which is not attained,"
        lines.append(f"The {what} of f is {value}, proven ({known['method']}).")
        if best is not None:
            lines.append(
                f"f at the {end['iterate']} iterate, as computed, is at most "
                f"{at_most(max(best, 0.0) + known['gap'])} above the true {what.split(',')[0]}."
            )
    if D is not None:
        norm = "2" if name == "D" else "infinity"
        metric = "" if start["metric"] == "identity" else f", metric {start['metric']}"
        lines.append(
            f"{name} = {D:.10g}, the distance from x_0 to the nearest minimiser (norm {norm}"
            f"{metric}), to within {at_most(known['D_error'])}."
        )
    elif known["status"] == "not-attained":
        lines.append(f"{name} is infinite: no point attains the infimum.")
    if end["d"] is not None:
        share = "" if end["d_over_D"] is None else f"; d/{name} = {end['d_over_D']:.4f}"
        lines.append(f"d = {end['d']:.6g} is {info.d_means}{share}.")
        if start["d0_certified"]:
            lines.append(f"d began at {start['d0']:.6g}, certified not to exceed {name}.")
    if end["suboptimality_best"] is None and known["f_star"] is not None:
        lines.append("The certificate was withdrawn: see the result.")
    return lines


def _line(steps: Sequence[Record], axes: dict[str, str], key: str, name: str, **more: Any) -> Line:
    x = {axis: [step[of] for step in steps] for axis, of in axes.items()}
    return Line(name, x, [step.get(key) for step in steps], **more)


def _positive(lines: Iterable[Line]) -> list[Line]:
    """Lines for a logarithmic axis: what is 0 or below, by rounding, is left out."""
    return [
        Line(line.name, line.x, [y if y is not None and y > 0 else None for y in line.y],
             quiet=line.quiet, color=line.color)
        for line in lines
    ]  # fmt: skip


def _charts(start: Record, steps: Sequence[Record], info: Info) -> Iterable[Chart]:
    """The charts of a run."""
    axes = MINIBATCH if info.minibatch else FULL_BATCH
    known = start["reference"]["f_star"] is not None
    kind = "suboptimality" if known else "f"
    lines = [_line(steps, axes, f"{kind}_{which}", which, color=i)
             for i, which in enumerate(("last", "average", "best"))]  # fmt: skip
    if known:
        lines.append(_line(steps, axes, "bound", "proven bound", quiet=True))
        yield Chart("Suboptimality f - f*", "f - f*", list(axes), _positive(lines))
    else:
        yield Chart("Objective", "f", list(axes), lines, log_y=False)
    if any(step["d"] for step in steps):
        lines, D = [_line(steps, axes, "d", "d", color=0)], start["reference"][info.distance]
        if D is not None:
            level = [{**step, "D": D} for step in steps]
            lines.append(_line(level, axes, "D", info.distance, quiet=True))
        yield Chart(f"d: {info.d_means}", "distance", list(axes), _positive(lines))
    lines = [_line(steps, axes, "grad_norm", "gradient", color=0)]
    yield Chart("Norm of the gradient at the last iterate", "norm", list(axes), _positive(lines))
    if any(step.get("test_accuracy") is not None for step in steps):
        lines = [_line(steps, axes, "test_accuracy", "held-out accuracy", color=0)]
        yield Chart("Accuracy on held-out samples", "share", list(axes), lines, log_y=False)


def _rows(caption: str, records: Sequence[Record], *notes: str) -> html.Table:
    """Records as a table, without what none of them has."""
    names = dict.fromkeys(name for record in records for name in record if name != "event")
    header = [name for name in names if any(record.get(name) is not None for record in records)]
    return html.Table(
        caption, header, [[record.get(name) for name in header] for record in records], notes
    )


def paper(name: str, argv: Sequence[str], of: Record, results: Sequence[Record]) -> Page:
    """The report of ``dadapt paper NAME``.

    Parameters
    ----------
    of
        The environment, as in an end record.
    results
        The records that the experiments return.
    """
    parts: list[Chart | html.Table] = []
    rows: list[Record] = []
    for result in results:
        record = result["record"]
        head = {"problem": record["problem"]}
        if "d0" in record:
            rows += [{**head, **row} for row in record["d0"]]
            line = _mean_line(
                "accuracy",
                "d0",
                [row["d0"] for row in record["d0"]],
                {k: [row[k] for row in record["d0"]] for k in ("accuracy", "se")},
            )
            parts.append(Chart(record["title"], "training accuracy, %", ["d0"], [line],
                               log_y=False))  # fmt: skip
            continue
        own, printed = own_part(record), record["paper"] or {}
        rows.append({
            **head,
            **own,
            **{f"Adam {k}": v for k, v in record["adam"].items() if k != "at_grid_edge"},
            "Adam at grid's edge": "yes" if record["adam"]["at_grid_edge"] else "no",
            **{f"paper {k}": v for k, v in printed.items()},
            "difference": record["difference"],
            "difference in SE": record["difference_in_se"],
        })  # fmt: skip
        lines = [
            _mean_line(NAMES.get(which, which), "epochs", range(1, len(curve["accuracy"]) + 1),
                       curve)
            for which, curve in result.get("curves", {}).items()
        ]  # fmt: skip
        parts.append(Chart(record["title"], "training accuracy, %", ["epochs"], lines,
                           log_x=False, log_y=False))  # fmt: skip
    first: Record = results[0]["record"] if results else {"seeds": 0, "epochs": 0, "algorithm": ""}
    note = (
        f"Training accuracy in percent at the end of epoch {first['epochs']}, mean over "
        f"{first['seeds']} seeds (se: its standard error); bands are two standard errors."
    )
    facts = [
        *_command(argv),
        ("Algorithm", NAMES.get(first["algorithm"], first["algorithm"])),
        *((f"sha256 of {one['record']['problem']}", one["sha256"]) for one in results),
        *_machine(of),
    ]
    sections: list[tuple[str, Sequence[str], Sequence[Chart | html.Table]]] = [
        ("Results", [note], [_rows("Measured beside printed", rows)]),
        ("Curves", [], parts),
    ]
    return Page(f"The paper's convex experiments: {name}", facts, sections)


def _mean_line(name: str, axis: str, x: Iterable[float], of: Record) -> Line:
    """A mean with a band of two standard errors."""
    return Line(name, {axis: list(x)}, of["accuracy"], band=[2 * error for error in of["se"]])


def regress(argv: Sequence[str], of: Record, report: Record) -> Page:
    """The report of ``dadapt regress``; `of` is the environment, as in an end record."""
    from dadapt_cli.render.regress import summary

    runs = [{name: run[name] for name in ("problem", "algo", "l2", "verdict", "seconds", "message")}
            for run in report["runs"]]  # fmt: skip
    figures = [{"problem": run["problem"], "algo": run["algo"], "l2": run["l2"], **figure}
               for run in report["runs"] for figure in run["figures"]]  # fmt: skip
    differing = [figure for figure in figures if figure["verdict"] != "ok"]
    facts = [*_command(argv), ("Baseline", report["baseline"]), *_machine(of)]
    sections: list[tuple[str, Sequence[str], Sequence[Chart | html.Table]]] = [
        ("Verdict", [summary(report)], [_rows("Runs", runs)]),
    ]
    if differing:
        sections.append(("Not as in the baseline", [], [_rows("Figures that differ", differing)]))
    sections.append(("All figures", [], [_rows("Figures", figures)]))
    return Page("dadapt regress", facts, sections)


def compare(argv: Sequence[str], document: Record) -> Page:
    """The report of ``dadapt compare``; the document is that of docs/compare.md."""
    facts = [*_command(argv), *_machine(document["environment"])]
    sections: list[tuple[str, Sequence[str], Sequence[Chart | html.Table]]] = []
    for one in document["comparisons"]:
        data, known, target = one["problem"], one["reference"], one["target"]
        facts.append((_name(data), f"{data['samples']} samples, {data['features']} features, "
                      f"{data['classes']} classes, l2 = {data['l2']:.4g}, "
                      f"sha256 {data['sha256'] or 'unknown'}"))  # fmt: skip
        words = [one["verdict"], *one["notes"]]
        if target["kind"] == "certified":
            value = digits(target["f_star"], target["gap"]).replace("+-", "\N{PLUS-MINUS SIGN}")
            words.append(f"Measured from the minimum of f, {value}, proven ({known['method']}).")
        words += [f"{skipped['name']} was left out: {skipped['reason']}"
                  for skipped in one["skipped"]]  # fmt: skip
        sections.append((_name(data), words, [*_compared(one), _standing(document, one)]))
    title = "dadapt compare: " + ", ".join(name for name, _, _ in sections)
    if document["profile"] is not None:
        sections.append(("Profile", [], [_profile(document["profile"])]))
    return Page(title, facts, sections)


def _compared(one: Record) -> Iterable[Chart]:
    """The charts of one problem; a suboptimality that float64 cannot tell from 0 is drawn there."""
    axes = {one["unit"]: one["unit"], "seconds": "seconds"}
    runs = [(run["name"], run["curve"], i) for i, run in enumerate(one["runs"])]
    for key, title, log in (
        ("relative", "Relative suboptimality (f - f*)/(f(x_0) - f*)", True),
        ("d_over_D", "d/D, in one norm", False),
    ):
        lines = [_line(curve, axes, key, name, color=i) for name, curve, i in runs]
        if log:
            lines = [replace(line, y=[None if y is None else max(y, LEAST) for y in line.y])
                     for line in lines]  # fmt: skip
        label = "relative suboptimality" if log else "d/D"
        yield Chart(title, label, list(axes), lines, log_y=log)


def _standing(document: Record, one: Record) -> html.Table:
    """The table of one problem."""
    unit, rows = one["unit"], []
    for run in one["runs"]:
        row = {"name": run["name"], "library": run["library"]}
        for key, name in ((f"{unit}_to", unit), ("seconds_to", "seconds"), ("spread_to", "spread")):
            at = {level: run[key][level] for level in document["levels"]}
            row |= {f"{name} to {level}": _rough(value) for level, value in at.items()}
        gap = None if run["gap"] is None else float(up(run["gap"]))
        row |= {"certified gap": gap, "d/D": run["d_over_D"]}
        kept = ("accuracy", "labels_proven", unit, "seconds", "status", "reason")
        row |= {name.replace("_", " "): run[name] for name in kept}
        rows.append({**row, "seconds": _rough(run["seconds"])})
    note = "certified gap: proven upper bound on f - inf f at the answer, whoever gave it"
    repeats = f"; seconds: median of {document['repeat']} runs, spread: half their quartiles' range"
    return _rows("Fastest first", rows, note + (repeats if document["repeat"] > 1 else ""))


def _rough(value: float | None) -> float | None:
    """Round a time to three digits; counts are unchanged."""
    return float(f"{value:.3g}") if isinstance(value, float) and value % 1 else value


def _profile(profile: Record) -> Chart:
    """Share of the problems that are solved within a factor of the fastest."""
    most = max((r for one in profile["solvers"] for r in one["ratios"]), default=1.0)
    lines = []
    for i, one in enumerate(profile["solvers"]):
        tau, share = [1.0], [sum(r <= 1.0 for r in one["ratios"]) / profile["problems"]]
        for solved, ratio in enumerate(one["ratios"], 1):
            tau += [ratio, ratio]
            share += [share[-1], max(share[-1], solved / profile["problems"])]
        lines.append(Line(one["name"], {"factor": [*tau, most]}, [*share, share[-1]], color=i))
    title = f"Share of problems solved to {profile['level']} within a factor of the fastest"
    return Chart(title, "share", ["factor"], lines, log_y=False)
