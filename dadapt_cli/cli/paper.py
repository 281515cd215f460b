"""``dadapt paper``: the convex experiments of the paper."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dadapt_cli._typing import Record
from dadapt_cli.cli._options import command_line
from dadapt_cli.errors import UsageError
from dadapt_cli.solver.checks import number
from dadapt_cli.solver.declared import declared, option, same
from dadapt_cli.solver.options import Options

if TYPE_CHECKING:
    from dadapt_cli.paper.beyond import Study as Checked
    from dadapt_cli.paper.protocol import Protocol

HELP = "Repeat the paper's convex experiments, its printed numbers beside the measured ones."

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[PROBLEM]...",
        help="Of the 12; default: all that are on disk (dadapt datasets list).",
    ),
]
Grid = Annotated[
    str | None, typer.Option(metavar="LR,LR,...", help="Of Adam; default: 3e-4 to 10.")
]


@dataclass(frozen=True, kw_only=True)
class Run:
    """Fields of :class:`~dadapt_cli.paper.protocol.Protocol`."""

    seeds: int = option(10, "How many: 0, 1, ...")
    epochs: int = same(Options, "epochs", help="The schedule drops at epochs 60, 80 and 95.")
    batch_size: int = same(Options, "batch_size")
    algo: str = same(
        Options, "algo", "adam", help="In place of D-Adapt Adam: sgd, cocob, adagrad (pip)."
    )
    variant: str = same(Options, "variant", help="paper, pip or preprint.")
    schedule: str | None = same(
        Options, "schedule", None, help="Of --algo: paper (default), none, linear or cosine."
    )
    average: str = same(
        Options, "average", help="Of --algo: none, uniform, weighted, poly8 or schedule-free."
    )
    beta: float = same(Options, "beta")
    dtype: str = same(Options, "dtype", "float32", help="float32, or float64.")
    start: str = option("linear", "x_0: linear (random, as PyTorch's nn.Linear) or zero.")


@dataclass(frozen=True, kw_only=True)
class Output:
    """Where the results go."""

    output: Literal["table", "json"] = option("table", "table or json.", "--format", "-f")
    out: str | None = option(
        None,
        "Write JSON, CSV and (extra plot) figures; finished problems found there are reused.",
        metavar="DIR",
    )
    report: str | None = option(
        None, "One HTML page of the results, to look at and to send.", metavar="FILE"
    )
    quiet: bool = option(False, "Only results.", "--quiet", "-q")


def figure2(problems: Names = None, *, run: Run, grid: Grid = None, output: Output) -> None:
    """D-Adapt Adam against Adam over a grid of learning rates: training accuracy.

    Examples
    --------
    dadapt paper figure2 iris wine --seeds 3
    dadapt paper figure2 --out results
    """
    from dadapt_cli.render import paper

    _over_rates(problems, run, grid, output, ("figure2", paper.figure2))


def table1(problems: Names = None, *, run: Run, grid: Grid = None, output: Output) -> None:
    """The learning rate found, mean and deviation over seeds, beside the best of the grid.

    Examples
    --------
    dadapt paper table1 iris wine
    dadapt paper table1 --grid 0.1,1,10
    """
    from dadapt_cli.render import paper

    if run.algo == "cocob":
        raise UsageError("--algo cocob has no learning rate; adam, sgd and adagrad find one")
    _over_rates(problems, run, grid, output, ("table1", paper.table1))


def _over_rates(
    problems: list[str] | None,
    run: Run,
    grid: str | None,
    output: Output,
    view: tuple[str, Callable[..., Any]],
) -> None:
    """Run the experiment of Figure 2, and show its results with the given view."""
    name, show = view
    from dadapt_cli.paper import figure2 as experiment
    from dadapt_cli.paper.protocol import GRID, Protocol
    from dadapt_cli.render import paper

    protocol = Protocol(**asdict(run), grid=_numbers("grid", grid, GRID))
    results = _run(experiment.run, problems, protocol, output)
    _warn_of_edges(results, output.quiet)
    _report(name, results, output)
    _show(results, output, show)
    _write(output, "figure2", results, paper.draw_figure2)


def figure7(
    problems: Names = None,
    *,
    run: Run,
    d0: Annotated[
        str | None, typer.Option(metavar="D0,D0,...", help="Default: 1e-16 to 1.")
    ] = None,
    output: Output,
) -> None:
    """Final accuracy of D-Adapt Adam against d0.

    Examples
    --------
    dadapt paper figure7 iris wine
    dadapt paper figure7 --out results
    """
    from dadapt_cli.paper import figure7 as experiment
    from dadapt_cli.paper.protocol import D0_GRID, Protocol
    from dadapt_cli.render import paper

    if run.algo == "cocob":
        raise UsageError("--algo cocob has no d0; adam, sgd and adagrad do")
    protocol = Protocol(**asdict(run), d0_grid=_numbers("d0", d0, D0_GRID))
    results = _run(experiment.run, problems, protocol, output)
    _report("figure7", results, output)
    _show(results, output, paper.figure7)
    _write(output, "figure7", results, paper.draw_figure7)


@dataclass(frozen=True, kw_only=True)
class Study:
    """Fields of :class:`~dadapt_cli.paper.beyond.Study`."""

    seeds: int = same(Run, "seeds")
    epochs: int = same(Options, "epochs", help="Of the minibatch runs.")
    gradients: int = option(1000, "Of the full-batch runs.")
    instances: int = option(60, "Random least-absolute-deviation problems.")


def beyond(problems: Names = None, *, study: Study, output: Output) -> None:
    """What goes beyond the paper: acceleration, the last iterate, no schedule.

    Examples
    --------
    dadapt paper beyond iris wine --seeds 3 --epochs 20
    dadapt paper beyond --out results
    """
    from pathlib import Path

    from dadapt_cli.cli._messages import say
    from dadapt_cli.paper import beyond as experiment
    from dadapt_cli.paper.results import Store
    from dadapt_cli.render import beyond as views
    from dadapt_cli.render.paper import can_draw
    from dadapt_cli.system.activity import tell

    if output.report is not None:
        raise UsageError("--report is of figure2, figure7 and table1; here --out")
    chosen = experiment.Study(**asdict(study))
    results = _run(experiment.run, problems, chosen, output)
    with _progress(output.quiet):
        deviations = experiment.deviations(chosen, Store(output.out), tell)
    records = [result["record"] for result in results]
    show = views.as_json if output.output == "json" else views.tables
    show(records, deviations["record"], sys.stdout)
    if output.out is None:
        return
    views.write(Path(output.out), results, deviations)
    if can_draw():
        views.draw(Path(output.out), results, deviations)
    elif not output.quiet:
        say("no figure: it needs the extra 'plot'; pip install 'dadapt[plot]'")


@dataclass(frozen=True, kw_only=True)
class Clicks:
    """Fields of :class:`~dadapt_cli.paper.criteo.Study`, and of the synthetic."""

    seeds: int = same(Run, "seeds", 3)
    epochs: int = same(Options, "epochs", 1, help="The paper's is one.")
    batch_size: int = same(Options, "batch_size", 128)
    make: bool = option(False, "Make FOLDER, of synthetic data in Criteo's shape.", "--make")
    rows: int = option(1_000_000, "Of --make; a tenth more are held out.", metavar="N")


def criteo(
    folder: Annotated[
        str | None, typer.Argument(metavar="[FOLDER]", help="Holds the packed train and test.")
    ] = None,
    *,
    clicks: Clicks,
    grid: Annotated[
        str | None, typer.Option(metavar="LR,LR,...", help="Of Adam; default: 1e-5 to 0.1.")
    ] = None,
    output: Output,
) -> None:
    """Click-through: D-Adapt Adam against Adam over a grid of rates, on held-out rows.

    Sparse logistic regression on hashed fields. Real data: pack two files with --format criteo into
    FOLDER/train and FOLDER/test.

    Examples
    --------
    dadapt paper criteo --make clicks --rows 20000
    dadapt paper criteo clicks --grid 1e-3,1e-2,1e-1 --seeds 1
    """
    from pathlib import Path

    from dadapt_cli.cli._messages import log_lines, say
    from dadapt_cli.paper import criteo as experiment
    from dadapt_cli.paper.results import Store
    from dadapt_cli.render import paper

    if folder is None:
        raise UsageError("name a FOLDER with the packed folders train and test; --make makes one")
    if output.report is not None:
        raise UsageError("--report is of figure2, figure7 and table1; here --out")
    declared(Output)["output"].check(output.output)
    study = experiment.Study(
        clicks.seeds, clicks.epochs, clicks.batch_size, _numbers("grid", grid, experiment.GRID)
    )
    study.check()
    log_lines(quiet=output.quiet)
    if clicks.make:
        number("rows", clicks.rows, at_least=100)
        with _progress(output.quiet):
            made = experiment.make(folder, clicks.rows)
        for data in made:
            typer.echo(f"{data.path}: {data.shape[0]} rows of synthetic data, {data.nnz} nonzeros")
        return
    store = Store(output.out)
    with _progress(output.quiet):
        record = experiment.run(folder, study, store)
    if output.output == "json":
        paper.as_json([record], sys.stdout)
    else:
        paper.criteo(record, sys.stdout)
    if output.out is None:
        return
    kind = "synthetic" if record["synthetic"] else "Criteo's"
    rows = [{"data": kind, "algorithm": "adam-plain", **row} for row in record["grid"]]
    paper.write_rows(Path(output.out, "criteo.csv"), rows)
    if paper.can_draw():
        paper.draw_criteo(Path(output.out), record)
    elif not output.quiet:
        say("no figure: it needs the extra 'plot'; pip install 'dadapt[plot]'")


COMMANDS: dict[str, Callable[..., Any]] = {
    "beyond": beyond,
    "criteo": criteo,
    "figure2": figure2,
    "figure7": figure7,
    "table1": table1,
}


def _numbers(name: str, text: str | None, default: tuple[float, ...]) -> tuple[float, ...]:
    """Parse numbers separated by commas; their range is for the protocol to check."""
    if text is None:
        return default
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--{name} {text[:40]!r}; give numbers with commas between") from None


def _run(
    experiment: Callable[..., Any],
    names: list[str] | None,
    protocol: Protocol | Checked,
    output: Output,
) -> list[Record]:
    """The results of an experiment on each problem, after all options have been checked."""
    from dadapt_cli.cli._messages import log_lines, say
    from dadapt_cli.paper.problems import choose
    from dadapt_cli.paper.results import Store
    from dadapt_cli.render import html
    from dadapt_cli.system.files import check_outputs

    declared(Output)["output"].check(output.output)
    protocol.check()
    log_lines(quiet=output.quiet)
    found, missing = choose(names or [])
    if output.report is not None:
        html.check(output.report)
        check_outputs([output.report], *(str(path) for _, path in found))
    store = Store(output.out)
    if missing and not output.quiet:
        listed = ", ".join(problem.name for problem in missing)
        say(f"skipped, not on disk (dadapt datasets list): {listed}")
    results = []
    with _progress(output.quiet):
        for problem, path in found:
            results.append(experiment(problem, path, protocol, store))
    return results


@contextmanager
def _progress(quiet: bool) -> Iterator[None]:
    """Show what is done on a terminal's standard error, and nothing elsewhere."""
    from dadapt_cli.render.progress import Progress
    from dadapt_cli.system.activity import heard
    from dadapt_cli.system.signals import Interrupts

    with Interrupts(), Progress(0, quiet=quiet) as shown, heard(shown.say):
        yield


def _warn_of_edges(results: list[Record], quiet: bool) -> None:
    from dadapt_cli.cli._messages import say

    for result in results:
        record = result["record"]
        if record["adam"]["at_grid_edge"] and not quiet:
            say(
                f"{record['problem']}: Adam's best rate {record['adam']['lr']:g} is at the edge of "
                "the grid; a wider --grid may favour it further"
            )


def _show(results: list[Record], output: Output, show: Callable[..., Any]) -> None:
    from dadapt_cli.render import paper

    records = [result["record"] for result in results]
    (paper.as_json if output.output == "json" else show)(records, sys.stdout)


def _report(name: str, results: list[Record], output: Output) -> None:
    """The page of ``--report``."""
    from dadapt_cli.render import html, report
    from dadapt_cli.solver.trace import environment

    if output.report is not None:
        page = report.paper(name, command_line(), environment(threads=1), results)
        html.write(output.report, page)


def _write(output: Output, stem: str, results: list[Record], draw: Callable[..., Any]) -> None:
    """The files of ``--out`` besides the JSON that the store has written."""
    from pathlib import Path

    from dadapt_cli.cli._messages import say
    from dadapt_cli.render import paper

    if output.out is None:
        return
    folder = Path(output.out)
    for result in results:
        path = folder / f"{stem}-{result['record']['problem']}.csv"
        if "curves" in result:
            paper.write_curves(path, result["curves"])
        else:
            paper.write_rows(path, result["record"]["d0"])
    if paper.can_draw():
        draw(folder, results)
    elif not output.quiet:
        say("no figure: it needs the extra 'plot'; pip install 'dadapt[plot]'")
