"""``dadapt fit``."""

from __future__ import annotations

import contextlib
import sys
from typing import Annotated, Any

import typer

from dadapt_cli.cli import reading
from dadapt_cli.errors import ExitCode, UsageError

NAME = "fit"

FORMATS = ("table", "jsonl", "json", "csv")


def main(
    context: typer.Context,
    data: Annotated[
        str,
        typer.Argument(metavar="DATA", help="A LIBSVM file, - for stdin, or a problem's name."),
    ],
    algo: Annotated[
        str,
        typer.Option(
            "--algo", "-a", help="dual-avg, gd, adagrad, safe, orth, sgd, ... (dadapt algorithms)."
        ),
    ] = "dual-avg",
    iterations: Annotated[int, typer.Option("--iterations", "-n", help="Steps.")] = 1000,
    d0: Annotated[
        str, typer.Option(help="Initial lower bound on D: auto (certified) or a number.")
    ] = "auto",
    bound: Annotated[
        str | None,
        typer.Option(help="d-hat: I (default), II or certified; safe and orth: certified."),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(help="identity (default), half (default of safe, orth) or diagonal."),
    ] = None,
    gradient_bound: Annotated[
        str, typer.Option(help="G: auto, initial, lipschitz or a number.")
    ] = "auto",
    l2: Annotated[str, typer.Option(help="Weight of (l2/2)||w||^2: a number or 1/n.")] = "0",
    bias: Annotated[bool, typer.Option(help="Append a constant feature 1.")] = False,
    intercept: Annotated[
        bool, typer.Option("--intercept", help="Append one that the l2 term leaves out.")
    ] = False,
    weight: Annotated[
        list[str] | None,
        typer.Option(metavar="LABEL=W", help="A label's samples count W times; repeatable."),
    ] = None,
    reference: Annotated[
        str, typer.Option(help="f* and its certificate: auto, always, none or a number.")
    ] = "auto",
    tol: Annotated[
        float | None, typer.Option(help="Stop at this certified suboptimality; else exit 1.")
    ] = None,
    time_limit: Annotated[float | None, typer.Option(help="Seconds.")] = None,
    scale: Annotated[
        str, typer.Option(help="Divide: features by minmax or standard (deviation), rows to unit.")
    ] = "none",
    init: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Start x_0; D is measured from there.")
    ] = None,
    positive: Annotated[
        int | None, typer.Option(metavar="LABEL", help="This label against the rest.")
    ] = None,
    every: Annotated[
        str, typer.Option(help="Reported iterations: log (1, 2, 5, 10, ...) or each K-th.")
    ] = "log",
    dtype: Annotated[str, typer.Option(help="float64, or float32 for the arrays.")] = "float64",
    threads: Annotated[
        int | None, typer.Option(help="Row blocks computed at once; default: the cores.")
    ] = None,
    epochs: Annotated[int, typer.Option(help="Of a minibatch algorithm (sgd, adam, ...).")] = 100,
    batch_size: Annotated[int, typer.Option(help="Samples in a minibatch.")] = 16,
    schedule: Annotated[
        str, typer.Option(help="paper (a tenth from epochs 60, 80, 95 on) or constant.")
    ] = "paper",
    average: Annotated[
        str, typer.Option(help="Also average the iterates: none, uniform or weighted by d.")
    ] = "none",
    seed: Annotated[int, typer.Option(help="Of the minibatches, or of the folds.")] = 0,
    momentum: Annotated[float, typer.Option(help="Of sgd and sgd-plain.")] = 0.0,
    betas: Annotated[str, typer.Option(help="Of adam and adam-plain.")] = "0.9,0.999",
    lr: Annotated[
        float | None, typer.Option(help="Learning rate of sgd-plain and adam-plain.")
    ] = None,
    variant: Annotated[
        str, typer.Option(help="paper, pip (package dadaptation) or preprint.")
    ] = "paper",
    memory: Annotated[int, typer.Option(help="Last steps that orth searches along.")] = 1,
    inner: Annotated[
        str, typer.Option(help="Search of orth: exact, or newton (one Newton step).")
    ] = "exact",
    lbfgs_pairs: Annotated[
        int, typer.Option(help="Pairs of the L-BFGS direction that orth adds; 0: none.")
    ] = 0,
    output: Annotated[
        str, typer.Option("--format", "-f", help="table, jsonl, json or csv.")
    ] = "table",
    trace: Annotated[
        str | None, typer.Option(metavar="FILE", help="Also write the JSONL records.")
    ] = None,
    plot: Annotated[
        str | None, typer.Option(metavar="FILE", help="Draw the run: PNG or SVG.")
    ] = None,
    save: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Keep the model: .npz, or else LIBLINEAR's text."),
    ] = None,
    test: Annotated[
        str | None, typer.Option(metavar="FILE", help="Accuracy and log-loss on held-out data.")
    ] = None,
    cross_validate: Annotated[
        int | None,
        typer.Option(metavar="K", help="Fit K times without one part, and judge on it."),
    ] = None,
    checkpoint: Annotated[
        str | None, typer.Option(metavar="FILE", help="Keep the run there, to --resume it.")
    ] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="FILE", help="Go on with the run kept there.")
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="--checkpoint may replace the run in its FILE.")
    ] = False,
    checkpoint_every: Annotated[
        float, typer.Option(metavar="SECONDS", help="Between checkpoints; 0: each iteration.")
    ] = 30.0,
    zero_based: reading.ZeroBased = False,
    features: reading.Features = None,
    lenient: reading.Lenient = False,
    strict: reading.Strict = False,
    max_bytes: reading.MaxBytes = reading.MAX_BYTES,
    max_ratio: reading.MaxRatio = reading.MAX_RATIO,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only results.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="More on stderr.")] = False,
) -> int:
    """Fit logistic regression, binary or softmax, without a learning rate.

    Prints how d_k grows towards D = ||x_0 - x*|| and how the suboptimality falls.
    """
    import time

    from dadapt_cli import model as models
    from dadapt_cli.cli import modelling
    from dadapt_cli.cli.messages import log_lines, say
    from dadapt_cli.model.held_out import HeldOut
    from dadapt_cli.render import machine
    from dadapt_cli.render import plot as plotting
    from dadapt_cli.render.progress import Progress
    from dadapt_cli.solver import resume as durable
    from dadapt_cli.solver.monitor import Monitor
    from dadapt_cli.solver.options import Options
    from dadapt_cli.solver.stages import Samples, fit_source
    from dadapt_cli.solver.trace import Source
    from dadapt_cli.system.files import check_outputs
    from dadapt_cli.system.signals import Interrupts

    options = Options(
        algo=algo,
        iterations=iterations,
        d0=_number_or_word(d0),
        bound=bound,
        gradient_bound=_number_or_word(gradient_bound),
        l2=_number_or_word(l2),
        bias=bias,
        intercept=intercept,
        weight=modelling.weights(weight or []),
        scale=scale,
        init=init,
        reference=_number_or_word(reference),
        tol=tol,
        time_limit=time_limit,
        positive=positive,
        every=int(every) if every.isascii() and every.isdigit() else every,
        dtype=dtype,
        threads=threads,
        epochs=epochs,
        batch_size=batch_size,
        schedule=schedule,
        average=average,
        seed=seed,
        momentum=momentum,
        betas=_pair(betas),
        lr=lr,
        variant=variant,
        metric=metric,
        memory=memory,
        inner=inner,
        lbfgs_pairs=lbfgs_pairs,
        checkpoint=checkpoint,
        resume=resume,
        restart=restart,
        checkpoint_every=checkpoint_every,
    )
    given = _given(context)
    if cross_validate is not None:
        given = modelling.check_folds(given)
    options = durable.resumed(options, given)
    info = options.check(given).INFO
    how = reading.reading(
        zero_based=zero_based,
        features=features,
        lenient=lenient,
        strict=strict,
        max_bytes=max_bytes,
        max_ratio=max_ratio,
    )
    found = reading.require_input(data)
    others = None if test is None else reading.require_input(test)
    views: list[Any] = [_view(output, info, cross_validate is not None)]
    if plot is not None:
        plotting.check(plot)
    outputs = (trace, plot, save, checkpoint or resume)
    check_outputs(outputs, found.path, None if others is None else others.path)
    if save is not None:
        modelling.check_savable(save, options.scale)
    if data == test == "-":
        raise UsageError("--test -: standard input is the data already; name a file")
    start = None
    if options.init is not None:
        reading.require_input(options.init)
        start = models.load(options.init)
    log = log_lines(quiet=quiet, verbose=verbose)
    note = (lambda line: None) if quiet else say
    trace_file = machine.Trace(trace) if trace is not None else None
    if trace_file is not None:
        views.append(trace_file)

    rounds, unit = (options.epochs, "epoch") if info.minibatch else (options.iterations, "k")
    progress = Progress(rounds, unit, quiet=quiet)

    def record(made: machine.Record) -> None:
        silent = output == "table" and made["event"] == "step"
        with contextlib.nullcontext() if silent else progress.hidden():
            for view in views:
                view.record(made)

    kept_open = durable.opened(options, given)
    with kept_open as (options, keeping), Interrupts() as interrupts, progress:
        begin = time.perf_counter()
        loaded = found.load(dtype=options.dtype, **how)
        for line in loaded.notes:
            note(f"{found.path}: {line}")
        log.info("%s: sha256 of the text %s", found.path, loaded.sha256)
        if save is not None:
            modelling.check_savable(save, options.scale, options.positive, loaded.y)
        held_out = None
        if others is not None:
            tested = others.load(dtype=options.dtype, **how)
            for line in tested.notes:
                note(f"{others.path}: {line}")
            held_out = HeldOut(tested.X, tested.y, others.path, strict)
        problem = found.problem(loaded.sha256)
        source = Source(found.path, loaded.sha256, time.perf_counter() - begin, problem)
        samples = Samples(loaded.X, loaded.y, source=source)
        monitor = Monitor(record, note, progress, interrupts, keeping)
        if cross_validate is not None:
            return modelling.folds(samples, options, cross_validate, monitor)
        progress.say("computing f* (--reference none skips it)")
        try:
            with modelling.saving(save, note) as keep:
                result = keep(fit_source(samples, options, monitor, init=start, held_out=held_out))
        finally:
            if trace_file is not None:
                trace_file.close()
        if plot is not None:
            plotting.draw(plot, result.start, result.trace, info.distance, info.d_means)
    if result.signal is not None:
        return 128 + result.signal
    met = options.tol is None or result.status in ("tolerance", "optimal")
    return ExitCode.OK if met else ExitCode.CHECK


def _given(context: typer.Context) -> list[str]:
    """Options that the user gave; the defaults of the others are nobody's wish."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return [name for name, source in sources.items() if source and source.name != "DEFAULT"]


def _pair(text: str) -> tuple[float, float]:
    """Two numbers with a comma between; their range is for the options to check."""
    try:
        first, second = map(float, text.split(","))
    except ValueError:
        raise UsageError(f"--betas {text[:40]!r}; give two numbers, as 0.9,0.999") from None
    return first, second


def _number_or_word(text: str) -> str | float:
    """A float where Python reads one; which words are allowed is for the options to say."""
    try:
        return float(text) if "_" not in text else text
    except ValueError:
        return text


def _view(output: str, info: Any, folds: bool) -> Any:
    """What shows the records on standard output."""
    from dadapt_cli.render import machine, table
    from dadapt_cli.render.folds import FoldTable

    if output not in FORMATS:
        raise UsageError(f"--format {output[:40]!r}; choose from {', '.join(FORMATS)}")
    if output == "table" and folds:
        return FoldTable(sys.stdout)
    if output == "table":
        return table.Table(sys.stdout, info)
    if output == "jsonl":
        return machine.JsonLines(sys.stdout)
    kind = machine.Document if output == "json" else machine.Csv
    return kind(sys.stdout, "fold" if folds else "step")
