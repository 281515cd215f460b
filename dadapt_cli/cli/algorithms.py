"""``dadapt algorithms``."""

from __future__ import annotations

import typer

from dadapt_cli.cli._options import FORMATS, Format
from dadapt_cli.solver.checks import choice


def main(output: Format = "table") -> None:
    """List the algorithms: the paper's number and symbols, theorem, options, what d means.

    Examples
    --------
    dadapt algorithms
    dadapt algorithms --json
    """
    choice("format", output, FORMATS)

    import json

    from dadapt_cli.render import algorithms as render

    if output == "json":
        typer.echo(render.text(), nl=False)
    else:
        typer.echo("\n".join(render.lines(json.loads(render.text()))))
