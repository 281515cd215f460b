"""``dadapt algorithms``."""

from __future__ import annotations

NAME = "algorithms"


def main() -> None:
    """List the algorithms: the paper's number and symbols, theorem, options, what d means.

    Examples
    --------
    dadapt algorithms
    """
    from dadapt_cli import algorithms
    from dadapt_cli.render.table import algorithms as render

    render([module.INFO for module in algorithms.table().values()])
