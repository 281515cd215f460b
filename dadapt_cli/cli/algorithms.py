"""``dadapt algorithms``."""

from __future__ import annotations

from typing import Annotated

import typer

NAME = "algorithms"


def main(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON list.")] = False,
) -> None:
    """List the algorithms: the paper's number and symbols, theorem, options, what d means.

    Examples
    --------
    dadapt algorithms
    dadapt algorithms --json
    """
    from dadapt_cli import algorithms
    from dadapt_cli.render.table import algorithms as render

    infos = [module.INFO for module in algorithms.table().values()]
    if as_json:
        import json
        from dataclasses import asdict

        typer.echo(json.dumps([asdict(info) for info in infos], indent=1, allow_nan=False))
    else:
        render(infos)
