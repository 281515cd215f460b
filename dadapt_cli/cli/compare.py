"""``dadapt compare``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Annotated, Any, Literal

import typer

from dadapt_cli._typing import Record, Scale
from dadapt_cli.cli._options import command_line
from dadapt_cli.cli._reading import Reading, require_input
from dadapt_cli.errors import ExitCode, UsageError
from dadapt_cli.solver.declared import declared, option, same
from dadapt_cli.solver.options import Options

_data, _objective, _budget = (
    partial(same, Options, group=name) for name in ("Data", "Objective", "Budget")
)
_output = partial(option, group="Output")


@dataclass(frozen=True, kw_only=True)
class Shared:
    """The options of a fit that all runs share."""

    scale: Scale = _data("scale")  # noqa: RUF009
    weight: Mapping[int, float] | Literal["balanced"] = field(
        default_factory=dict,
        metadata={**Options.__dataclass_fields__["weight"].metadata},
    )
    positive: int | None = _data("positive")
    l2: str | float = _objective("l2")
    C: float | None = _objective("C")
    bias: bool = _objective("bias")
    intercept: bool = _objective("intercept")
    reference: str | float = _objective("reference")
    iterations: int = _budget("iterations")
    epochs: int = _budget("epochs")
    tol: float | None = _budget("tol", help="Stop a run at this certified suboptimality.")
    time_limit: float | None = _budget("time_limit", help="Seconds a run.")
    threads: int | None = _budget("threads")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is shown and written of the comparison."""

    repeat: int = option(
        1, "Rounds; the table shows medians and spread.", group="Budget", metavar="R"
    )
    output: Literal["table", "jsonl", "json", "csv"] = _output(
        "table", "table, jsonl, json or csv.", "--format", "-f"
    )
    plot: str | None = _output(None, "Draw it: PNG, SVG or PDF.", metavar="FILE")
    report: str | None = _output(
        None, "One HTML page of the comparison, to look at and to send.", metavar="FILE"
    )
    quiet: bool = _output(False, "Only results.", "--quiet", "-q")


def main(
    context: typer.Context,
    data: Annotated[
        list[str],
        typer.Argument(metavar="DATA...", help="LIBSVM files, or problems' names; - for stdin."),
    ],
    algo: Annotated[
        list[str] | None,
        typer.Option(
            "--algo",
            "-a",
            metavar="NAME,...",
            help="Algorithms, with options of their own: orth:inner=newton.",
        ),
    ] = None,
    others: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="NAME,...",
            help="Other solvers: liblinear, scikit-learn:lbfgs, scipy:l-bfgs-b, ...",
        ),
    ] = None,
    export: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Write it: CSV, JSON, LaTeX (.tex) or Markdown (.md); repeatable.",
            rich_help_panel="Output",
        ),
    ] = None,
    *,
    shared: Shared,
    wanted: Wanted,
    reading: Reading,
) -> int:
    """Compare algorithms and other solvers on the same problem, with certified gaps.

    Gradients and seconds to 1e-2, 1e-3 and 1e-6 of f(0) - f*; the referee judges every answer.

    Examples
    --------
    dadapt compare iris -a newton,accel,dual-avg
    dadapt compare a9a -a auto --with liblinear --repeat 5
    """
    import logging

    from dadapt_cli.cli._messages import log_lines, say
    from dadapt_cli.compare import api
    from dadapt_cli.compare.rounds import Watcher
    from dadapt_cli.render import compare as views
    from dadapt_cli.render import html
    from dadapt_cli.render import report as pages
    from dadapt_cli.render.progress import Progress
    from dadapt_cli.solver.samples import Samples, Source
    from dadapt_cli.system.files import check_outputs
    from dadapt_cli.system.signals import Interrupts

    declared(Wanted)["output"].check(wanted.output)
    given = [f.name for f in fields(Shared) if _given(context, f.name)]
    values = {f.name: getattr(shared, f.name) for f in fields(Shared)}
    plan = api.plan(algo or [], others or [], wanted.repeat, Options(**values), given)
    how = reading.arguments()
    found = [require_input(name) for name in data]
    paths = [one.path for one in found]
    if paths.count("-") > 1:
        raise UsageError("- is named twice; standard input can be read once")
    exports = export or []
    _check_outputs(wanted.plot, exports, paths)
    if wanted.report is not None:
        html.check(wanted.report)
        check_outputs([wanted.report, wanted.plot, *exports], *paths)
    log_lines(quiet=wanted.quiet).setLevel(logging.ERROR if wanted.quiet else logging.WARNING)

    at = {"path": paths[0]}

    def samples() -> Iterator[Samples]:
        import time

        for one in found:
            at["path"] = one.path
            progress.say(f"reading {one.path}")
            begin = time.perf_counter()
            loaded = one.load(**how)
            for line in loaded.notes:
                note(line)
            seconds = time.perf_counter() - begin
            problem = one.problem(loaded.sha256)
            source = Source(one.path, loaded.sha256, seconds, problem, reading.zero_based)
            yield Samples(loaded.X, loaded.y, source=source)

    def note(line: str) -> None:
        if not wanted.quiet:
            with progress.hidden():
                say(f"{at['path']}: {line}")

    with Interrupts() as interrupts, Progress(0, quiet=wanted.quiet) as progress:
        watcher = Watcher(note, progress.say, interrupts)
        done = api.run(plan, samples(), watcher)
    try:
        _write(wanted.plot, exports, done.document)
        if wanted.report is not None:
            html.write(wanted.report, pages.compare(command_line(), done.document))
    finally:  # a full disk must not lose the results
        if wanted.output == "table":
            views.show(done.document, sys.stdout)
        else:
            sys.stdout.write(views.FORMATS[wanted.output](done.document))
    if done.signal is not None:
        return 128 + done.signal
    able = any(one["runs"] for one in done.document["comparisons"])
    return ExitCode.OK if able else ExitCode.USAGE


def _write(plot: str | None, exports: list[str], document: Record) -> None:
    """Write the requested files."""
    from dadapt_cli.render import compare as views
    from dadapt_cli.render import curves

    for path in exports:
        views.export(path, document)
    if plot is not None:
        curves.draw(plot, document)


def _given(context: typer.Context, name: str) -> bool:
    """Whether the user gave the option, rather than leaving it at its default."""
    source: Any = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _check_outputs(plot: str | None, exports: list[str], inputs: list[str]) -> None:
    """Fail before the work starts where a file could not be written."""
    from dadapt_cli.render import compare as views
    from dadapt_cli.render import plot as plotting
    from dadapt_cli.system.files import check_outputs

    if plot is not None:
        plotting.check(plot)
    for path in exports:
        views.check(path)
    check_outputs([plot, *exports], *inputs)
