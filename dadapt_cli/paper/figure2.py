"""Figure 2 and Table 1: D-Adapt Adam against Adam over a grid of learning rates."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from dadapt_cli._typing import Record
from dadapt_cli.paper.problems import PaperProblem, read
from dadapt_cli.paper.protocol import FINAL, SUMMARY, Protocol, curve, summary
from dadapt_cli.paper.replicas import Samples
from dadapt_cli.paper.results import Store
from dadapt_cli.system.activity import tell


def best_of(rows: list[Record]) -> int:
    """The rate with the highest accuracy.

    Among equal ones, one that is not at the edge of the grid, then the least log-loss.
    """
    last = len(rows) - 1

    def rank(i: int) -> tuple[float, bool, float]:
        loss = rows[i]["log_loss"]
        return rows[i]["accuracy"], 0 < i < last, -math.inf if loss is None else -loss

    return max(range(len(rows)), key=rank)


def run(problem: PaperProblem, path: Path, protocol: Protocol, store: Store) -> Record:
    """Run one problem, or take it from the store.

    Returns
    -------
    dict
        INTERFACE's object for ``--format json`` under ``record``, and the means over the seeds
        after each epoch under ``curves``; ``sha256`` of the text.
    """
    tell(f"{problem.name}: reading")
    samples, sha256 = read(problem, path, protocol.dtype)
    key = protocol.key(sha256, "d0_grid")
    known = store.find("figure2", problem.name, key, _kind(problem, samples, protocol))
    if known is None:
        known = _compute(problem, samples, protocol)
        store.keep("figure2", problem.name, key, known)
    return {**known, "sha256": sha256}


OWN = {"adam": "dadapt_adam", "sgd": "dadapt_sgd", "adagrad": "dadapt_adagrad"}
"""Names in a record of what is compared with Adam; others keep their own."""


def _kind(problem: PaperProblem, samples: Samples, protocol: Protocol) -> Record:
    """What a stored result looks like: what is known before, and the types of the rest."""
    curves = {name: [kind] * protocol.epochs for name, kind in FINAL.items()}
    record = {
        "problem": problem.name,
        "title": problem.title,
        "paper": problem.printed and asdict(problem.printed),
        OWN.get(protocol.algo, protocol.algo): SUMMARY,
        "adam": FINAL | {"lr": float, "at_grid_edge": bool},
        "difference": float | None,
        "difference_in_se": float | None,
        "grid": [FINAL | {"lr": lr} for lr in protocol.grid],
        **protocol.described(samples),
    }
    both = dict.fromkeys((protocol.algo, "adam-plain"), curves)
    return {"record": record, "measured": SUMMARY, "curves": both}


def _compute(problem: PaperProblem, samples: Samples, protocol: Protocol) -> Record:
    def share(what: str) -> Callable[[float], None]:
        return lambda done: tell(f"{problem.name}: {what}", done)

    ours = protocol.run(samples, protocol.algo, protocol.variant, progress=share(protocol.algo))
    adam = protocol.run(
        samples, "adam-plain", axis="lr", values=protocol.grid, progress=share("Adam")
    )
    rows = [
        {"lr": lr, **{k: v for k, v in summary(adam, i).items() if not k.startswith("d")}}
        for i, lr in enumerate(protocol.grid)
    ]
    best = best_of(rows)
    at_edge = best in (0, len(rows) - 1)
    measured = summary(ours)
    printed = problem.printed
    difference = error = None
    if printed is not None and protocol.algo == "adam":
        difference = measured["accuracy"] - printed.dadapt_adam
        error = math.hypot(measured["se"], printed.dadapt_adam_se)
    record = {
        "problem": problem.name,
        "title": problem.title,
        "paper": printed and asdict(printed),
        OWN.get(protocol.algo, protocol.algo): measured,
        "adam": {**rows[best], "at_grid_edge": at_edge},
        "difference": difference,
        "difference_in_se": difference / error if difference is not None and error else None,
        "grid": rows,
        **protocol.described(samples),
    }
    curves = {protocol.algo: curve(ours), "adam-plain": curve(adam, best)}
    return {"record": record, "measured": measured, "curves": curves}
