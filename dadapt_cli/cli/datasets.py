"""``dadapt datasets``: problems by name, on disk or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dadapt_cli.cli._options import FORMATS, Format, Quiet
from dadapt_cli.errors import DadaptError, DataError, ExitCode, InputOutputError, UsageError
from dadapt_cli.solver.checks import choice

if TYPE_CHECKING:
    from dadapt_cli.datasets import Dataset

HELP = "LIBSVM problems by name, the paper's 12 and others: list, fetch, find them."

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="A problem or test file, as iris or vowel.scale.t.")
]
Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME]...", help="Problems or test files, as usps or vowel.scale.t."),
]


def show(
    output: Format = "table",
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", help="Read the files and check their text; exit 1 if one is wrong."
        ),
    ] = False,
) -> int:
    """List problems and test files: shape, on disk or not, whether the sha256 is known.

    Examples
    --------
    dadapt datasets list
    dadapt datasets list --verify
    """
    choice("format", output, FORMATS)

    import sys

    from dadapt_cli import datasets
    from dadapt_cli.cli._messages import log_lines, say
    from dadapt_cli.render import datasets as render

    log_lines()
    rows = [_row(dataset) for dataset in datasets.ALL]
    for dataset, row in zip(datasets.ALL, rows, strict=True):
        if verify and (path := datasets.find(dataset)) is not None:
            try:
                datasets.inspect(dataset, path)
            except DataError as error:
                say(str(error))
                row["verified"] = False
            else:
                row["verified"] = True
    if output == "json":
        render.as_json(rows, sys.stdout)
    else:
        render.table(rows, datasets.places(), sys.stdout)
    return ExitCode.CHECK if any(row["verified"] is False for row in rows) else ExitCode.OK


def _row(dataset: Dataset) -> dict[str, Any]:
    """Return the fields of a problem that ``--json`` shows."""
    from dataclasses import asdict

    from dadapt_cli import datasets

    path = datasets.find(dataset)
    found = [name for name, folder in datasets.places() if path and folder == path.parent]
    return {
        **asdict(dataset),
        "url": datasets.address(dataset),
        "pinned": datasets.pin(dataset),
        "path": None if path is None else str(path),
        "place": found[0] if found else None,
        "verified": None,
    }


def fetch(
    names: Names = None,
    everything: Annotated[
        bool, typer.Option("--all", help="The 12 problems (test files only by name).")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Download problems from LIBSVM's site, check them, and print where they are.

    A file that is on disk already is checked and kept.

    Examples
    --------
    dadapt datasets fetch a9a a9a.t
    dadapt datasets fetch --all
    """
    from dadapt_cli import datasets
    from dadapt_cli.cli._messages import log_lines, say
    from dadapt_cli.datasets import download
    from dadapt_cli.render.progress import Progress
    from dadapt_cli.system.signals import Interrupts

    if everything == bool(names):
        raise UsageError("give the names of problems, or --all; dadapt datasets list shows them")
    chosen = [_named(name) for name in names or []] or datasets.PROBLEMS
    log_lines(quiet=quiet)
    failed: list[DadaptError] = []
    for dataset in dict.fromkeys(chosen):
        try:
            with Interrupts(), Progress(0, quiet=quiet) as shown:
                path = download.ensure(dataset, shown.say)
        except (DataError, InputOutputError) as error:  # the others may be there
            failed.append(error)
        else:
            typer.echo(path)
    for known in failed[:-1]:
        say(str(known))
    if failed:
        raise failed[-1]


def where(name: Name) -> None:
    """Print the path of a problem's file; exit 4 if it is not on disk.

    Examples
    --------
    dadapt datasets where iris
    dadapt datasets where vowel.scale.t
    """
    from dadapt_cli import datasets

    dataset = _named(name)
    if (path := datasets.find(dataset)) is None:
        raise InputOutputError(datasets.absent(dataset))
    typer.echo(path)


def _named(name: str) -> Dataset:
    from dadapt_cli import datasets

    if "/" in name or "\\" in name:
        raise InputOutputError(
            f"{name[:40]!r} is a path; give a name that dadapt datasets list shows"
        )
    return datasets.named(name)


COMMANDS: dict[str, Callable[..., Any]] = {"list": show, "fetch": fetch, "where": where}
