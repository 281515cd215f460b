"""``dadapt fit``."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal

import typer

from dadapt_cli._typing import Record
from dadapt_cli.cli import _modelling
from dadapt_cli.cli._options import command_line
from dadapt_cli.cli._reading import Reading, require_input
from dadapt_cli.errors import ExitCode, UsageError
from dadapt_cli.solver.declared import declared, option
from dadapt_cli.solver.options import Options

_output = partial(option, group="Output")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the command does with a fit, besides the options of the fit itself."""

    test: str | None = option(
        None,
        "Report accuracy and log-loss on held-out data.",
        group="Data",
        folds=False,
        metavar="FILE",
    )
    cross_validate: int | None = option(
        None, "Fit K times, without one of K parts, and judge on that.", group="Data", metavar="K"
    )
    path: str | None = option(
        None,
        "Fit for several l2 (0.01,0.1,1) or C (C=1,10,100), warm-started.",
        group="Objective",
        metavar="VALUES",
    )
    choose: Literal["best", "one-se"] = option(
        "best",
        "The point of a cross-validated path that --save keeps: the best, or the strongest l2 "
        "within one standard error of it.",
        group="Objective",
    )
    cluster: str | None = option(
        None, "Who shares a packed folder: mpi, those of mpiexec, or a Dask scheduler's workers.",
        group="Budget", folds=False, metavar="mpi|tcp://HOST:PORT",
    )  # fmt: skip
    workers: int | None = option(
        None, "Start N processes here that share it, by mpiexec or Dask.", group="Budget",
        folds=False, metavar="N", at_least=1, at_most=4096,
    )  # fmt: skip
    output: Literal["table", "jsonl", "json", "csv"] = _output(
        "table", "table, jsonl, json or csv.", "--format", "-f"
    )
    trace: str | None = _output(None, "Also write the JSONL records.", folds=False, metavar="FILE")
    plot: str | None = _output(
        None, "Draw the run: PNG, SVG or PDF; - for the terminal.", folds=False, metavar="FILE"
    )
    report: str | None = _output(
        None, "One HTML page of the run, to look at and to send.", folds=False, metavar="FILE"
    )
    save: str | None = _output(
        None, "Keep the model: .npz, or else LIBLINEAR's text.", folds=False, metavar="MODEL"
    )
    quiet: bool = _output(False, "Only results.", "--quiet", "-q")
    verbose: bool = _output(False, "More on stderr.", "--verbose", "-v")


def main(
    context: typer.Context,
    data: Annotated[
        str,
        typer.Argument(metavar="DATA", help="A LIBSVM file, - for stdin, or a problem's name."),
    ],
    options: Options,
    wanted: Wanted,
    reading: Reading,
) -> int:
    """Fit logistic regression, binary or softmax, without a learning rate.

    Prints how d_k grows towards D = ||x_0 - x*|| and how the suboptimality falls.

    Examples
    --------
    dadapt fit iris
    dadapt fit train.svm --test test.svm --save model.npz
    """

    def fit(job: Any = None) -> int:
        return _fit(context, data, options, wanted, reading, job)

    if wanted.cluster is None and wanted.workers is None:
        return fit()
    from dadapt_cli.cli import _cluster
    from dadapt_cli.cluster import jobs

    jobs.check(wanted.cluster, wanted.workers)
    if wanted.cluster is not None:
        return _cluster.run(wanted.cluster, fit)
    jobs.require_packed(None, wanted.workers, packed=require_input(data).packed)
    declared(Wanted)["workers"].check(wanted.workers)
    argv = _without_workers(sys.argv[1:])
    return _cluster.start(wanted.workers or 1, argv, fit, quiet=wanted.quiet)


def _without_workers(argv: list[str]) -> list[str]:
    """The command line for each of the workers."""
    at = next(i for i, word in enumerate(argv) if word.startswith("--workers"))
    return argv[:at] + argv[at + (1 if "=" in argv[at] else 2) :]


def _fit(
    context: typer.Context,
    data: str,
    options: Options,
    wanted: Wanted,
    reading: Reading,
    job: Any,
) -> int:
    """Fit, in the process that reads and writes; `job` has the others, if there are any."""
    import time

    from dadapt_cli.cli._messages import log_lines, say
    from dadapt_cli.render import machine
    from dadapt_cli.render import plot as plotting
    from dadapt_cli.render.progress import Progress
    from dadapt_cli.solver import resume
    from dadapt_cli.solver.monitor import Monitor
    from dadapt_cli.solver.options import Options
    from dadapt_cli.solver.samples import Samples, Source
    from dadapt_cli.solver.stages import fit_source
    from dadapt_cli.system import memory
    from dadapt_cli.system.activity import heard
    from dadapt_cli.system.files import check_outputs
    from dadapt_cli.system.signals import Interrupts

    given = _given(context)
    dense = wanted.report is not None or wanted.plot == "-"
    if dense and "every" not in given:  # a curve needs more points
        options, given = replace(options, every="auto"), [*given, "every"]
    if wanted.cluster is not None:
        from dadapt_cli.cluster import jobs

        jobs.require_packed(wanted.cluster, None, packed=require_input(data).packed)
    several = (wanted.path, wanted.cross_validate)
    if several != (None, None):
        given = _modelling.check_several(given, *several, Options, Wanted)
    elif "choose" in given:
        raise UsageError(_modelling.CHOOSE)
    declared(Wanted)["choose"].check(wanted.choose)
    options = resume.resumed(options, given)
    info = options.check(given).INFO
    how = reading.arguments()
    found = require_input(data)
    others = None if wanted.test is None else require_input(wanted.test)
    _modelling.check_packed(found, given)
    views: list[Any] = [_view(wanted.output, *several)]
    terminal = wanted.plot == "-"
    if terminal and wanted.output != "table":
        raise UsageError(
            f"--plot - would draw among the records; leave out --format {wanted.output}"
        )
    if wanted.plot is not None and not terminal:
        plotting.check(wanted.plot)
    if wanted.report is not None:
        from dadapt_cli.render import html

        html.check(wanted.report)
    outputs = (
        None if terminal else wanted.plot,
        wanted.report,
        wanted.save,
        options.certificate,
        options.checkpoint or options.resume,
    )
    read = (found.path, None if others is None else others.path)
    check_outputs(outputs, *read, grows=wanted.trace)
    if wanted.save is not None:
        _modelling.check_savable(wanted.save, options.scale)
    if data == wanted.test == "-":
        raise UsageError("--test -: standard input is the data already; name a file")
    if "init" in given:
        require_input(str(options.init))
    start = resume.load_start(options, given)
    log = log_lines(quiet=wanted.quiet, verbose=wanted.verbose)
    note = (lambda line: None) if wanted.quiet else say
    trace_file = machine.Trace(wanted.trace) if wanted.trace is not None else None
    if trace_file is not None:
        views.append(trace_file)
    report = None
    if wanted.report is not None:
        from dadapt_cli.render.report import FitReport

        report = FitReport(wanted.report, command_line(), _view("table", None, None))
        views.append(report)

    count, unit = (options.epochs, "epoch") if info.minibatch else (options.iterations, "k")
    progress = Progress(count, unit, quiet=wanted.quiet, seconds=options.time_limit)

    def record(made: Record) -> None:
        with progress.hidden():
            for view in views:
                view.record(made)

    opened = resume.opened(options, given)
    with opened as (options, checkpoint), Interrupts() as interrupts, progress, heard(progress.say):
        begin = time.perf_counter()
        with memory.limited(options.memory_bytes):
            loaded = found.samples(dtype=options.dtype, **how)
            tested = None if others is None else others.samples(dtype=options.dtype, **how)
        for one in filter(None, (loaded, tested)):
            for line in one.notes:
                note(f"{one.path}: {line}")
        log.info("%s: sha256 of the text %s", found.path, loaded.sha256)
        if wanted.save is not None:
            _modelling.check_savable(wanted.save, options.scale, options.positive, loaded.labels)
        held_out = None
        if tested is not None:
            held_out = _modelling.held_out(tested, strict=reading.strict)
        problem = found.problem(loaded.sha256)
        seconds = time.perf_counter() - begin
        source = Source(found.path, loaded.sha256, seconds, problem, loaded.zero_based)
        samples = Samples(loaded.X, loaded.y, job=job, source=source)
        monitor = Monitor(record, note, progress, interrupts, checkpoint)
        if several != (None, None):
            return _modelling.several(samples, options, wanted, monitor, held_out)
        progress.say("computing f* (--reference none skips it)")
        try:
            with _modelling.saving(wanted.save, note) as keep:
                result = keep(fit_source(samples, options, monitor, init=start, held_out=held_out))
        finally:
            if trace_file is not None:
                trace_file.close()
            if report is not None:
                report.write()
        if terminal:
            from dadapt_cli.render import braille

            with progress.hidden():
                about = (info.distance, info.d_means)
                braille.draw(sys.stdout, result.start, result.trace, *about)
        elif wanted.plot is not None:
            plotting.draw(wanted.plot, result.start, result.trace, info.distance, info.d_means)
    if result.signal is not None:
        return 128 + result.signal
    met = options.met(result.status) and result.proof == options.certificate
    return ExitCode.OK if met else ExitCode.CHECK


def _given(context: typer.Context) -> list[str]:
    """Options that the user gave; the defaults of the others do not count."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return [name for name, source in sources.items() if source and source.name != "DEFAULT"]


def _view(output: str, path: str | None, folds: int | None) -> Any:
    """Return the view that shows the records on standard output."""
    from dadapt_cli.algorithms import find
    from dadapt_cli.render import machine, table

    declared(Wanted)["output"].check(output)
    if output == "table" and path is not None:
        from dadapt_cli.render.path import PathTable

        return PathTable(sys.stdout)
    if output == "table" and folds is not None:
        from dadapt_cli.render.folds import FoldTable

        return FoldTable(sys.stdout)
    if output == "table":
        return table.Table(sys.stdout, lambda name, variant: find(name, variant).INFO)
    if output == "jsonl":
        return machine.JsonLines(sys.stdout)
    row = "point" if path is not None else "fold" if folds is not None else "step"
    if output == "csv":
        return machine.Csv(sys.stdout, row)
    return machine.Document(sys.stdout, *(["fold"] if folds is not None else []), row)
