"""Solvers of other libraries, each at the loosest tolerance that reaches a level."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import resource
import signal
import statistics
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from dadapt_cli.compare import liblinear
from dadapt_cli.compare.case import Case
from dadapt_cli.compare.ladder import BLIND, RUNGS
from dadapt_cli.compare.scikit_learn import PREFIX, SOLVERS, ScikitLearn
from dadapt_cli.errors import UsageError

LEVELS = ("1e-3", "1e-6")

LARGEST = 4000
"""Unknowns up to which newton-cholesky is run: it keeps a matrix of that size."""


def clock() -> float:
    """Processor time of this process, and of the programs that it has run."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def unsuited(solver: Any, case: Case) -> str | None:
    """Why a solver is not run on the problem, or None."""
    if solver.name.endswith("cholesky") and math.prod(case.problem.shape) > LARGEST:
        return "its matrix is too large"
    why: str | None = solver.unsuited(case)
    return why


def installed() -> list[Any]:
    """The solvers of scikit-learn, and LIBLINEAR's where it is there."""
    found: list[Any] = [ScikitLearn(f"{PREFIX}:{name}", name) for name in SOLVERS]
    try:
        liblinear.require()
    except UsageError as error:
        print(f"left out: {error}", file=sys.stderr)
        return found
    return [*found, liblinear.Liblinear("liblinear", liblinear.SOLVERS["liblinear"])]


def judged(case: Case, w: Any) -> float:
    """f in float64, by our Problem."""
    w = np.ascontiguousarray(w, np.float64).reshape(case.problem.shape)
    with np.errstate(all="ignore"):
        return float(case.problem.value_and_gradient(w).f)


def limit(case: Case, level: str) -> float:
    """f at or below which a level is reached, whatever f* is within its gap."""
    assert case.known.f_star is not None
    return case.threshold(level) + 1e-6 * float(level) * (case.f_0 - case.known.f_star)


@dataclass(frozen=True)
class Peer:
    """A solver of another library on one problem, and the tolerances that reach the levels."""

    answers: Any
    reading: float  # seconds of an answer that are not its own
    found: dict[str, tuple[float, float]]  # by level: tolerance, seconds

    def once(self, tolerance: float) -> tuple[float, Any]:
        """Solve."""
        begin = clock()
        w = self.answers.answer(tolerance)[0]
        return max(clock() - begin - self.reading, liblinear.SHORTEST), w


def ready(answers: Any) -> Peer:
    """A solver with its data converted; how long LIBLINEAR's program takes to read is measured."""
    bare = Peer(answers, 0.0, {})
    if not isinstance(answers, liblinear._Program):
        return bare
    seconds = statistics.median(bare.once(liblinear.ANYTHING)[0] for _ in range(3))
    return Peer(answers, seconds, {})


def search(case: Case, name: str, one: Peer, cap: float) -> None:
    """Find the loosest tolerances, in a process that the system kills at the cap."""
    fork = multiprocessing.get_context("fork")
    receive, send = fork.Pipe(duplex=False)
    child = fork.Process(target=_search, args=(case, one, math.ceil(cap), send))
    child.start()
    send.close()
    with contextlib.suppress(EOFError):
        while True:
            level, tolerance, seconds = receive.recv()
            one.found[level] = tolerance, seconds
    child.join()
    if child.exitcode not in (0, -signal.SIGXCPU):
        raise RuntimeError(f"{name} on {case.problem.shape}: exit code {child.exitcode}")


def _search(case: Case, one: Peer, cap: int, send: Any) -> None:
    """Send level, tolerance and seconds of each level as it is reached."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cap, cap + 1))
    left, best, blind = list(LEVELS), math.inf, 0
    for tolerance in (1.0, *RUNGS):
        seconds, w = one.once(tolerance)
        f = judged(case, w)
        while left and f <= limit(case, left[0]):
            send.send((left.pop(0), tolerance, seconds))
        blind, best = (0, f) if f < best else (blind + 1, best)
        if not left or blind == BLIND:
            return
