"""``dadapt paper``: the convex experiments of the paper."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dadapt_cli.errors import UsageError

if TYPE_CHECKING:
    from dadapt_cli.paper.protocol import Protocol

NAME = "paper"
HELP = "Repeat the paper's convex experiments, its printed numbers beside the measured ones."

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[PROBLEM]...",
        help="Of the 12; default: all that are on disk (dadapt datasets list).",
    ),
]
Seeds = Annotated[int, typer.Option(help="How many: 0, 1, ...")]
Epochs = Annotated[int, typer.Option(help="The schedule drops at epochs 60, 80 and 95.")]
BatchSize = Annotated[int, typer.Option(help="Samples in a minibatch.")]
Algo = Annotated[
    str, typer.Option("--algo", "-a", help="In place of D-Adapt Adam: sgd, cocob, adagrad (pip).")
]
Variant = Annotated[str, typer.Option(help="paper, pip or preprint.")]
Grid = Annotated[
    str | None, typer.Option(metavar="LR,LR,...", help="Of Adam; default: 3e-4 to 10.")
]
DType = Annotated[str, typer.Option(help="float32, or float64.")]
Start = Annotated[str, typer.Option(help="x_0: linear (random, as PyTorch's nn.Linear) or zero.")]
Format = Annotated[str, typer.Option("--format", "-f", help="table or json.")]
Out = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="Write JSON, CSV and (extra plot) figures; finished problems found there are reused.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only results.")]


def figure2(
    problems: Names = None,
    seeds: Seeds = 10,
    epochs: Epochs = 100,
    batch_size: BatchSize = 16,
    algo: Algo = "adam",
    variant: Variant = "paper",
    grid: Grid = None,
    dtype: DType = "float32",
    start: Start = "linear",
    output: Format = "table",
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """D-Adapt Adam against Adam over a grid of learning rates: training accuracy."""
    from dadapt_cli.paper import figure2 as experiment
    from dadapt_cli.paper.protocol import GRID, Protocol
    from dadapt_cli.render import paper

    protocol = Protocol(seeds, epochs, batch_size, algo, variant,
                        _numbers("grid", grid, GRID), dtype=dtype, start=start)  # fmt: skip
    results = _run(experiment.run, problems, protocol, output, out, quiet)
    _warn_of_edges(results, quiet)
    records = [result["record"] for result in results]
    (paper.as_json if output == "json" else paper.figure2)(records, sys.stdout)
    _write(out, "figure2", results, paper.draw_figure2, quiet)


def table1(
    problems: Names = None,
    seeds: Seeds = 10,
    epochs: Epochs = 100,
    batch_size: BatchSize = 16,
    algo: Algo = "adam",
    variant: Variant = "paper",
    grid: Grid = None,
    dtype: DType = "float32",
    start: Start = "linear",
    output: Format = "table",
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """The learning rate found, mean and deviation over seeds, beside the best of the grid."""
    from dadapt_cli.paper import figure2 as experiment
    from dadapt_cli.paper.protocol import GRID, Protocol
    from dadapt_cli.render import paper

    if algo == "cocob":
        raise UsageError("--algo cocob has no learning rate; adam, sgd and adagrad find one")
    protocol = Protocol(seeds, epochs, batch_size, algo, variant,
                        _numbers("grid", grid, GRID), dtype=dtype, start=start)  # fmt: skip
    results = _run(experiment.run, problems, protocol, output, out, quiet)
    _warn_of_edges(results, quiet)
    records = [result["record"] for result in results]
    (paper.as_json if output == "json" else paper.table1)(records, sys.stdout)
    _write(out, "figure2", results, paper.draw_figure2, quiet)


def figure7(
    problems: Names = None,
    seeds: Seeds = 10,
    epochs: Epochs = 100,
    batch_size: BatchSize = 16,
    algo: Algo = "adam",
    variant: Variant = "paper",
    d0: Annotated[
        str | None, typer.Option(metavar="D0,D0,...", help="Default: 1e-16 to 1.")
    ] = None,
    dtype: DType = "float32",
    start: Start = "linear",
    output: Format = "table",
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """Final accuracy of D-Adapt Adam against d0."""
    from dadapt_cli.paper import figure7 as experiment
    from dadapt_cli.paper.protocol import D0_GRID, Protocol
    from dadapt_cli.render import paper

    if algo == "cocob":
        raise UsageError("--algo cocob has no d0; adam, sgd and adagrad do")
    protocol = Protocol(seeds, epochs, batch_size, algo, variant,
                        d0_grid=_numbers("d0", d0, D0_GRID), dtype=dtype, start=start)  # fmt: skip
    results = _run(experiment.run, problems, protocol, output, out, quiet)
    records = [result["record"] for result in results]
    (paper.as_json if output == "json" else paper.figure7)(records, sys.stdout)
    _write(out, "figure7", results, paper.draw_figure7, quiet)


COMMANDS: dict[str, Callable[..., Any]] = {
    "figure2": figure2,
    "figure7": figure7,
    "table1": table1,
}


def _numbers(name: str, text: str | None, default: tuple[float, ...]) -> tuple[float, ...]:
    """Numbers with commas between; their range is for the protocol to check."""
    if text is None:
        return default
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--{name} {text[:40]!r}; give numbers with commas between") from None


def _run(
    experiment: Callable[..., Any],
    names: list[str] | None,
    protocol: Protocol,
    output: str,
    out: str | None,
    quiet: bool,
) -> list[dict[str, Any]]:
    """The results of an experiment on each problem, after all options have been checked."""
    from dadapt_cli.cli.messages import log_lines, say
    from dadapt_cli.paper.problems import choose
    from dadapt_cli.paper.results import Store

    if output not in ("table", "json"):
        raise UsageError(f"--format {output[:40]!r}; choose from table, json")
    protocol.check()
    log_lines(quiet=quiet)
    found, missing = choose(names or [])
    store = Store(out)
    if missing and not quiet:
        listed = ", ".join(problem.name for problem in missing)
        say(f"skipped, not on disk (dadapt datasets list): {listed}")
    results = []
    with _progress(quiet) as progress:
        for problem, path in found:
            results.append(experiment(problem, path, protocol, store, progress))
    return results


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[str], None]]:
    """What shows a line on a terminal's standard error, and nothing elsewhere."""
    from dadapt_cli.render.progress import Progress
    from dadapt_cli.system.signals import Interrupts

    with Interrupts(), Progress(0, quiet=quiet) as shown:
        yield shown.say


def _warn_of_edges(results: list[dict[str, Any]], quiet: bool) -> None:
    from dadapt_cli.cli.messages import say

    for result in results:
        record = result["record"]
        if record["adam"]["at_grid_edge"] and not quiet:
            say(
                f"{record['problem']}: Adam's best rate {record['adam']['lr']:g} is at the edge of "
                "the grid; a wider --grid may favour it further"
            )


def _write(
    out: str | None,
    stem: str,
    results: list[dict[str, Any]],
    draw: Callable[..., Any],
    quiet: bool,
) -> None:
    """The files of ``--out`` beside the JSON that the store has written."""
    from pathlib import Path

    from dadapt_cli.cli.messages import say
    from dadapt_cli.render import paper

    if out is None:
        return
    folder = Path(out)
    for result in results:
        path = folder / f"{stem}-{result['record']['problem']}.csv"
        if "curves" in result:
            paper.write_curves(path, result["curves"])
        else:
            paper.write_rows(path, result["record"]["d0"])
    if paper.can_draw():
        draw(folder, results)
    elif not quiet:
        say("no figure: it needs the extra 'plot'; pip install 'dadapt[plot]'")
