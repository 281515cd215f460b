"""``dadapt regress``."""

from __future__ import annotations

from typing import Annotated

import typer

from dadapt_cli.cli._options import Quiet, command_line
from dadapt_cli.errors import ExitCode

FORMATS = ("table", "json", "junit", "markdown")


def main(
    problems: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PROBLEM]...", help="Of the 12; default: the six small ones."),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="FILE", help="Default: the one that comes with the data.")
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Write what these runs measure into the baseline.")
    ] = False,
    algo: Annotated[
        list[str] | None,
        typer.Option("--algo", "-a", help="Only this one; may be given several times."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All 12 problems.")] = False,
    require_all: Annotated[
        bool,
        typer.Option(
            "--require-all", help="A problem not on disk or not in the baseline is a failure."
        ),
    ] = False,
    output: Annotated[
        str, typer.Option("--format", "-f", help="table, json, junit or markdown.")
    ] = "table",
    out: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Where --format goes; the table then goes to stdout."),
    ] = None,
    report_file: Annotated[
        str | None,
        typer.Option("--report", metavar="FILE", help="One HTML page of all runs and figures."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", min=1, help="Processes; default: the cores.")
    ] = None,
    quiet: Quiet = False,
) -> int:
    """Compare the algorithms with a stored baseline; exit 1 when something got worse.

    Examples
    --------
    dadapt regress iris wine
    dadapt regress --format junit --out report.xml
    """
    import sys
    from contextlib import nullcontext
    from pathlib import Path

    from dadapt_cli.cli._messages import say
    from dadapt_cli.objective import cores
    from dadapt_cli.regress import baseline as stored
    from dadapt_cli.regress import gate
    from dadapt_cli.render import html
    from dadapt_cli.render import report as pages
    from dadapt_cli.render.progress import Progress
    from dadapt_cli.render.regress import FORMATS as views
    from dadapt_cli.solver.checks import choice
    from dadapt_cli.solver.trace import environment
    from dadapt_cli.system.files import atomic_write, check_output, check_outputs
    from dadapt_cli.system.lock import held
    from dadapt_cli.system.signals import Interrupts

    choice("format", output, FORMATS)
    chosen = gate.choose(problems or [], every)
    algos = gate.check_algorithms(algo or [])
    path = gate.default_baseline() if baseline is None else Path(baseline)
    if out is not None:
        check_output(out, str(path))
    if report_file is not None:
        html.check(report_file, draws=False)
        check_outputs([report_file, out], str(path))
    if update:
        check_output(str(path), "-")
    locked = held(str(path)) if update else nullcontext()

    with Interrupts(), locked, Progress(0, quiet=quiet) as shown:
        document = stored.empty() if update and not path.exists() else stored.read(path)
        told = shown.say if shown.status is not None or quiet else say
        with gate.workers(jobs or cores()) as side_by_side:
            runs, made = gate.run(
                chosen, algos, document, update=update, side_by_side=side_by_side, progress=told
            )
        report = gate.summarise(runs, str(path), update=update, require_all=require_all)
        if update and report["passed"]:
            stored.write(path, made)
    if out is not None:
        with atomic_write(out) as handle:
            handle.write(views[output](report).encode())
    if report_file is not None:
        html.write(report_file, pages.regress(command_line(), environment(threads=1), report))
    sys.stdout.write(views["table" if out is not None else output](report))
    return ExitCode.OK if report["passed"] else ExitCode.CHECK
