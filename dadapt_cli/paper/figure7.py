"""Figure 7: the final accuracy does not depend on d0, over many orders of magnitude."""

from __future__ import annotations

from pathlib import Path

from dadapt_cli._typing import Record
from dadapt_cli.paper.problems import PaperProblem, read
from dadapt_cli.paper.protocol import SUMMARY, Protocol, summary
from dadapt_cli.paper.results import Store
from dadapt_cli.system.activity import tell


def run(problem: PaperProblem, path: Path, protocol: Protocol, store: Store) -> Record:
    """Run one problem with every d0 at once, or take it from the store.

    Returns
    -------
    dict
        The problem's object for ``--format json`` under ``record``.
    """
    tell(f"{problem.name}: reading")
    samples, sha256 = read(problem, path, protocol.dtype)
    key = protocol.key(sha256, "grid")
    named = {"problem": problem.name, "title": problem.title}
    described = protocol.described(samples)
    rows = [{"d0": d0, **SUMMARY} for d0 in protocol.d0_grid]
    known = store.find("figure7", problem.name, key, {"record": named | {"d0": rows} | described})
    if known is not None:
        return {**known, "sha256": sha256}
    curves = protocol.run(
        samples, protocol.algo, protocol.variant, axis="d0", values=protocol.d0_grid,
        progress=lambda done: tell(problem.name, done),
    )  # fmt: skip
    rows = [{"d0": d0, **summary(curves, i)} for i, d0 in enumerate(protocol.d0_grid)]
    result = {"record": named | {"d0": rows} | described}
    store.keep("figure7", problem.name, key, result)
    return {**result, "sha256": sha256}
