"""The rounds of a comparison: one contender after another, timed; then all are judged."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dadapt_cli import reference
from dadapt_cli._typing import Record
from dadapt_cli.compare import summary
from dadapt_cli.compare.case import Attempt, Case, Contender
from dadapt_cli.errors import DataError
from dadapt_cli.objective import Problem
from dadapt_cli.preprocessing.prepare import Preparation, prepare
from dadapt_cli.reference import Reference
from dadapt_cli.solver import start, trace
from dadapt_cli.solver.options import Options
from dadapt_cli.solver.samples import Samples
from dadapt_cli.system.signals import Interrupts

SCHEMA = 1
"""Version of the records: a renamed or removed key makes it 2."""


@dataclass
class Watcher:
    """Receivers of lines, and interrupts; see :class:`~dadapt_cli.solver.monitor.Monitor`."""

    note: Callable[[str], None] = lambda line: None
    progress: Callable[[str], None] = lambda line: None
    interrupts: Interrupts = field(default_factory=Interrupts)


def compare_on(
    samples: Samples,
    contenders: Sequence[Contender],
    shared: Options,
    repeat: int,
    watcher: Watcher,
) -> tuple[Record, int | None]:
    """Run a comparison on one data set; return it, and the signal that cut it short.

    Raises
    ------
    DataError, UsageError
        Data or options that cannot be used.
    """
    begin = time.perf_counter()
    case, data = _case(samples, shared, watcher)
    referenced = time.perf_counter()
    able, skipped = [], []
    for one in contenders:
        if (reason := one.unsuited(case)) is None:
            able.append(one)
        else:
            skipped.append({"name": one.name, "reason": reason})
            watcher.note(f"{one.name} is left out: {reason}")
    attempts, signal = _rounds(able, case, repeat)
    judging = time.perf_counter()
    _judge(attempts, case)
    made = [one for rounds in attempts.values() for one in rounds]
    aim = summary.target(case, made)
    runs = [
        summary.run_record(one, attempts[one.name], case, aim) for one in able if attempts[one.name]
    ]
    notes = _notes(runs, case, aim)
    for line in notes:
        watcher.note(line)
    record = {
        "problem": {**data, **_objective(case)},
        "reference": case.known.record(),
        "target": aim.record(),
        "unit": "passes" if any(_minibatch(run) for run in runs) else "gradients",
        "runs": summary.ordered(runs),
        "skipped": skipped,
        **summary.verdict(runs, aim),
        "notes": notes,
        "seconds": {
            "load": samples.source.load_seconds,
            "reference": referenced - begin,
            "solve": sum(one.seconds for one in made),
            "judging": time.perf_counter() - judging + sum(one.judging for one in made),
        },
    }
    return record, signal


def _case(samples: Samples, shared: Options, watcher: Watcher) -> tuple[Case, Record]:
    """The problem, its reference and its record."""
    source = samples.source
    how = Preparation(shared.positive, shared.weight, shared.scale)
    try:
        data = prepare(samples.X, samples.y, how, samples.sample_weight)
        problem = start.problem_of(data, shared, np.float64)
    except DataError as error:
        raise DataError(str(error), source.path) from error
    for line in start.unusual(data, problem):
        watcher.note(line)
    watcher.progress("computing f* (--reference none skips it)")
    known = _reference(problem, shared)
    with np.errstate(all="ignore"):
        f_0 = problem.value_and_gradient(problem.zeros()).f
    case = Case(samples, problem, known, f_0, shared, **vars(watcher))
    return case, trace.describe(samples.X, problem.n, data.labels.classes, source)


def _reference(problem: Problem, shared: Options) -> Reference:
    wanted = shared.reference
    if not isinstance(wanted, str):
        return reference.given(float(wanted))
    if wanted == "none":
        return reference.none("not asked for")
    content = reference.cache.content(problem)
    return reference.find(problem, content, always=wanted == "always")


def _objective(case: Case) -> Record:
    problem, shared = case.problem, case.shared
    return {
        "loss": "softmax" if problem.softmax else "logistic",
        "l2": problem.l2,
        "bias": shared.bias,
        "intercept": shared.intercept,
        "weighted": problem.sample_weight is not None,
        "scale": shared.scale,
    }


def _rounds(
    able: Sequence[Contender], case: Case, repeat: int
) -> tuple[dict[str, list[Attempt]], int | None]:
    """Run everything: a warm-up each, then rounds, every second one in reverse order.

    Garbage of one run is collected before the next begins, and none is collected while a contender
    runs.
    """
    attempts: dict[str, list[Attempt]] = {one.name: [] for one in able}
    for one in able:
        case.progress(f"{one.name}: warming up")
        one.warm_up(case)
    for turn in range(repeat):
        for one in able if turn % 2 == 0 else reversed(able):
            case.progress(f"{one.name}: run {turn + 1} of {repeat}")
            gc.collect()
            enabled = gc.isenabled()
            gc.disable()
            try:
                made = one.run(case if turn == 0 else replace(case, note=lambda line: None))
            finally:
                if enabled:
                    gc.enable()
            attempts[one.name].append(made)
            if made.signal is not None:
                return attempts, made.signal
    return attempts, None


def _judge(attempts: dict[str, list[Attempt]], case: Case) -> None:
    """Ask the referee of the answers, and of the points at which levels were reached."""
    for name, rounds in attempts.items():
        case.progress(f"{name}: judging")
        for made in rounds:
            if -1 not in made.judged and made.answer is not None:
                made.judged[-1] = case.referee(made.answer)
            for at, w in made.reached.items():
                made.judged[at] = case.referee(w)
            made.reached.clear()


def _minibatch(run: Record) -> bool:
    return run["kind"] == "algorithm" and run["gradients"] is None


def _notes(runs: list[Record], case: Case, aim: summary.Target) -> list[str]:
    """What a reader of the table should know."""
    lines = []
    if aim.kind == "best-seen":
        why = case.known.reason or case.known.status
        lines.append(
            "NO CERTIFIED f* (" + why + "): suboptimality is measured from the least f that "
            "anybody here evaluated, which favours whoever came lowest; gaps are proven from each "
            "answer alone"
        )
    elif aim.kind == "given":
        lines.append("f* was given with --reference: levels rest on that number, gaps do not")
    by_passes = [run["name"] for run in runs if _minibatch(run)]
    if by_passes:
        lines.append(
            f"{', '.join(by_passes)}: minibatches, so all are counted by passes over the data; "
            "f is known at the ends of epochs only"
        )
    uncounted = [run["name"] for run in runs if run["passes"] is None and run["curve"]]
    if uncounted:
        lines.append(f"{', '.join(uncounted)}: no count of gradients; each answer is a run of its "
                     "own at one tolerance")  # fmt: skip
    converted = [r["name"] for r in runs
                 if r["d_over_D"] is not None and r["norm"] not in (None, "2")]  # fmt: skip
    if converted:
        lines.append(
            "d/D: D = ||x_0 - x*||_2 for all; "
            + ", ".join(
                f"{r['name']} measures in the norm {r['norm']} (there {r['d_over_own_D']:.3f})"
                for r in runs
                if r["name"] in converted and r["d_over_own_D"] is not None
            )
        )
    for run in runs:
        if run["reason"] is not None:
            lines.append(f"{run['name']}: {run['reason']}")
    return lines
