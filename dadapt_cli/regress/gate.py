"""The regression gate: every gated algorithm on the paper's problems against a stored baseline."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from dadapt_cli import __version__
from dadapt_cli._typing import Record
from dadapt_cli.datasets import PROBLEMS, Dataset, absent, find, pick, shipped
from dadapt_cli.errors import InputOutputError, UsageError
from dadapt_cli.regress import baseline
from dadapt_cli.regress.cases import BUDGETS, PENALTIES, Case, describe, measure
from dadapt_cli.solver.checks import choice
from dadapt_cli.solver.trace import environment
from dadapt_cli.system.processes import serve

Map = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[Any]]
"""``map`` of the interpreter, or of a pool: results in the order of the work."""

SMALL = ("iris.scale", "wine.scale", "glass.scale", "vehicle.scale", "vowel.scale", "dna.scale")
"""Problems run by default: half a minute on two cores, and they come with the program."""


def default_baseline() -> Path:
    """The baseline that comes with the program's data."""
    return shipped() / "baseline.json"


def choose(names: Sequence[str], every: bool) -> list[Dataset]:
    """The problems named, all 12, or the small ones.

    Raises
    ------
    UsageError
        No such problem; or both names and all were asked for.
    """
    if names and every:
        raise UsageError("give the names of problems, or --all")
    if every:
        return list(PROBLEMS)
    return list(dict.fromkeys(pick(name, PROBLEMS) for name in names or SMALL))


def check_algorithms(algos: Sequence[str]) -> tuple[str, ...]:
    """The algorithms to run, all gated ones where none is named.

    Raises
    ------
    UsageError
        One that the gate does not cover.
    """
    for algo in algos:
        choice("algo", algo, tuple(BUDGETS))
    return tuple(dict.fromkeys(algos)) or tuple(BUDGETS)


def run(
    problems: Sequence[Dataset],
    algos: Sequence[str],
    document: Record,
    *,
    update: bool,
    side_by_side: Map,
    progress: Callable[[str], None],
) -> tuple[list[Record], Record]:
    """Measure, and compare with a baseline.

    Parameters
    ----------
    problems, algos
        What to run.
    document
        The baseline.
    update
        Whether what the file says of these runs is replaced; references are computed anew where
        no other run in the file is measured from them. The verdicts tell what changed.
    side_by_side
        What runs the work (:func:`workers`).
    progress
        Called with a line as each problem is done.

    Returns
    -------
    list
        A record a run: ``problem``, ``algo``, ``l2``, ``verdict`` (the worst of its figures'),
        ``message`` or None, ``seconds`` and ``figures`` (:func:`baseline.compare`); a problem
        that did not run has one record, algo and l2 None.
    Record
        The baseline with the new figures; the one given is left as it was.

    Raises
    ------
    DataError
        A file is not LIBSVM data, or not the one that the baseline was made from.
    InputOutputError
        A worker died.
    """
    paths = {problem.name: find(problem) for problem in problems}
    there = {name: path for name, path in paths.items() if path is not None}
    made = deepcopy(document)
    entries: Record = made["problems"]
    if update:
        made["tolerances"] = {**baseline.empty()["tolerances"], **made["tolerances"]}
        progress("computing f*")
        others = {
            name: {
                algo: penalties
                for algo, penalties in entries.get(name, {"algorithms": {}})["algorithms"].items()
                if algo in BUDGETS and algo not in algos
            }
            for name in there
        }  # measured from the references that are there
        work = [(n, path, entries[n] if others[n] else {}) for n, path in there.items()]
        for name, new in zip(there, side_by_side(describe, work), strict=True):
            same = entries.get(name, {}).get("sha256") == new["sha256"]
            kept = others[name] if same else {}
            entries[name] = {**new, "algorithms": kept, "environment": _environment()}
    cases = {
        name: [
            Case(name, path, algo, l2, entries[name]["sha256"], known)
            for algo in algos
            for l2 in PENALTIES
            if (known := entries[name]["references"].get(f"l2={l2}"))
        ]
        for name, path in there.items()
        if name in entries
    }
    results = side_by_side(measure, [case for group in cases.values() for case in group])
    stated = baseline.tolerances(made)
    reports = []
    for name, path in paths.items():
        if path is None:
            reports.append(_report(name, "skipped", message=absent(pick(name, PROBLEMS))))
        elif name not in cases:
            reports.append(_report(name, "new", message="not in the baseline; --update adds it"))
        else:
            before = document["problems"].get(name, {})
            if before.get("sha256") != entries[name]["sha256"]:  # those are figures of other data
                before = {}
            done = [
                _judge(case, next(results), before, stated, entries[name]) for case in cases[name]
            ]
            reports += [*done, *_missing(name, algos, before, cases[name])]
            progress(f"{name}: {len(done)} runs, {sum(r['seconds'] for r in done):.1f} s")
    return reports, made


def _environment() -> Record:
    """What made the figures: the digits may depend on it."""
    return {"dadapt": __version__, **environment(threads=1)}


def _report(problem: str, verdict: str, **more: Any) -> Record:
    return {"problem": problem, "algo": None, "l2": None, "verdict": verdict, "message": None,
            "seconds": 0.0, "figures": [], **more}  # fmt: skip


def _judge(
    case: Case,
    result: Record,
    before: Record,
    stated: dict[str, baseline.Tolerance],
    entry: Record,
) -> Record:
    """The report of one run; its figures are put into the new baseline's entry."""
    run = {"algo": case.algo, "l2": case.l2, "seconds": result["seconds"]}
    if result["figures"] is None:
        return _report(case.problem, "failed", message=result["error"], **run)
    key = f"l2={case.l2}"
    known = before.get("algorithms", {}).get(case.algo, {}).get(key)
    compared = baseline.compare(
        stated,
        f"{case.problem}/{case.algo}",
        entry["shape"]["samples"],
        known,
        result["figures"],
        result["share"],
    )
    entry["algorithms"].setdefault(case.algo, {})[key] = result["figures"]
    gravest = max((c["verdict"] for c in compared), key=baseline.VERDICTS.index)
    return _report(case.problem, gravest, figures=compared, **run)


def _missing(name: str, algos: Sequence[str], before: Record, cases: list[Case]) -> list[Record]:
    """Reports of the runs of these algorithms that the baseline has and that were not made."""
    made = {(case.algo, f"l2={case.l2}") for case in cases}
    asked = before.get("algorithms", {}) if len(algos) == len(BUDGETS) else algos
    return [
        _report(name, "missing", algo=algo, l2=key.removeprefix("l2="),
                message="in the baseline, but the gate has no such run")
        for algo, penalties in before.get("algorithms", {}).items()
        for key in penalties
        if algo in asked and (algo, key) not in made
    ]  # fmt: skip


def summarise(runs: list[Record], path: str, *, update: bool, require_all: bool) -> Record:
    """The whole report: whether the gate is passed, which verdicts fail it, and the runs.

    An update fails only where there is nothing to store: a run that failed, a d above D.
    """
    bad = ["wrong", "failed"] if update else list(baseline.BAD)
    if require_all:
        bad += ["skipped"] if update else ["skipped", "new"]
    passed = not any(run["verdict"] in bad for run in runs)
    return {"schema": 1, "baseline": path, "passed": passed, "updated": update, "bad": bad,
            "runs": runs}  # fmt: skip


@contextmanager
def workers(jobs: int) -> Iterator[Map]:
    """A map in `jobs` processes, or in this one if `jobs` is 1; none outlives the block."""
    if jobs == 1:
        yield map
        return
    context = multiprocessing.get_context("spawn")  # a fork would break BLAS's threads
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=serve)
    try:
        yield pool.map
    except BrokenProcessPool as error:
        raise InputOutputError(
            "a worker was killed from outside, as when memory runs out; fewer --jobs need less"
        ) from error
    except BaseException:
        for child in multiprocessing.active_children():
            child.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
