"""A comparison from beginning to end: contenders, problems, document."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp

from dadapt_cli import __version__
from dadapt_cli._typing import Record
from dadapt_cli.compare import contenders, rounds, summary
from dadapt_cli.compare.case import LEVELS, Contender
from dadapt_cli.compare.contenders import SHARED
from dadapt_cli.compare.result import Comparison
from dadapt_cli.compare.rounds import SCHEMA, Watcher
from dadapt_cli.errors import DataError, UsageError
from dadapt_cli.objective import cores
from dadapt_cli.solver import trace
from dadapt_cli.solver.checks import number
from dadapt_cli.solver.declared import declared
from dadapt_cli.solver.options import Options
from dadapt_cli.solver.samples import Samples

MOST_REPEATS = 1000


@dataclass(frozen=True)
class Plan:
    """Who is compared, and how.

    Attributes
    ----------
    contenders
        In the order of the first round.
    shared
        The options of all runs.
    repeat
        How many rounds.
    """

    contenders: Sequence[Contender]
    shared: Options
    repeat: int = 1


@dataclass
class Finished:
    """The result of :func:`run`: the document, and the signal that cut it short."""

    document: Record = field(default_factory=dict)
    signal: int | None = None


def plan(
    algo: str | Iterable[str],
    others: str | Iterable[str],
    repeat: int,
    shared: Options,
    given: Collection[str],
) -> Plan:
    """Check everything that was asked for.

    Raises
    ------
    UsageError
        The comparison cannot be run as requested.
    """
    number("repeat", repeat, at_least=1, at_most=MOST_REPEATS)
    if repeat != int(repeat):
        raise UsageError(f"--repeat {repeat}; give an integer")
    for name in SHARED:
        declared(Options)[name].check(getattr(shared, name))
    if shared.C is not None and "l2" in given:
        raise UsageError(f"-C {shared.C:g} is l2 = 1/({shared.C:g} n); leave out -C or --l2")
    if shared.bias and shared.intercept:
        raise UsageError("--bias and --intercept: one constant feature is enough; leave one out")
    return Plan(contenders.find(algo, others, shared, given), shared, int(repeat))


def run(plan: Plan, problems: Iterable[Samples], watcher: Watcher) -> Finished:
    """Compare on each of the problems; an interrupted one is the last."""
    begin, done = time.perf_counter(), Finished()
    comparisons: list[Record] = []
    for samples in problems:
        record, done.signal = rounds.compare_on(
            samples, plan.contenders, plan.shared, plan.repeat, watcher
        )
        comparisons.append(record)
        if done.signal is not None:
            break
    parts = ("load", "reference", "solve", "judging")
    sums = {part: sum(one["seconds"][part] for one in comparisons) for part in parts}
    threads = plan.shared.threads or cores()
    done.document = {
        "schema": SCHEMA,
        "command": "compare",
        "version": __version__,
        "options": {name: asdict(plan.shared)[name] for name in SHARED},
        "repeat": plan.repeat,
        "levels": list(LEVELS),
        "comparisons": comparisons,
        "profile": summary.profile(comparisons),
        "environment": trace.environment(threads),
        "seconds": {**sums, "total": time.perf_counter() - begin},
    }
    return done


def compare(
    X: Any,
    y: Any,
    algo: str | Iterable[str],
    *,
    others: str | Iterable[str],
    repeat: int,
    sample_weight: Any,
    **options: Any,
) -> Comparison:
    """Implement :func:`dadapt_cli.compare`."""
    if unknown := sorted(set(options) - set(SHARED)):
        raise UsageError(f"unknown option {unknown[0]!r}; there are {', '.join(sorted(SHARED))}")
    made = plan(algo, others, repeat, Options(**options), options)
    if not sp.issparse(X):
        X = np.asarray(X)
        if X.dtype.kind not in "fiub":
            raise DataError(f"X is of type {X.dtype}; numbers are needed")

    def only() -> Iterator[Samples]:
        yield Samples(X, y, sample_weight)

    return Comparison(run(made, only(), Watcher()).document)
