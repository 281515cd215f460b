"""``dadapt algorithms``."""

from __future__ import annotations

import typer

from dadapt_cli.cli._options import FORMATS, Format
from dadapt_cli.solver.checks import choice

NAME = "algorithms"


def main(output: Format = "table") -> None:
    """List the algorithms: the paper's number and symbols, theorem, options, what d means.

    Examples
    --------
    dadapt algorithms
    dadapt algorithms --json
    """
    choice("format", output, FORMATS)

    from dadapt_cli import algorithms
    from dadapt_cli.render.table import algorithms as render

    infos = [module.INFO for module in algorithms.table().values()]
    if output == "json":
        import json
        from dataclasses import asdict

        typer.echo(json.dumps([asdict(info) for info in infos], indent=1, allow_nan=False))
    else:
        render(infos)
