"""Gradients from d0 = 1e-6 to a relative 1e-2, 1e-3 and 1e-6, and the time of an accel iteration.

    DADAPT_SHARED=... python benchmarks/beyond.py counts [PROBLEM]...
    DADAPT_SHARED=... python benchmarks/beyond.py time

Counted is every gradient, rejected ones too; judged is the least f at a point that was evaluated,
so that no method is held to its average alone (`dadapt paper beyond` has the averages' own values).
Objective: mean logistic or softmax loss, l2 = 1/n, from 0, without a bias but for vowel, as in the
study; f* is certified; G of Algorithms 2, 3 and Prodigy from g_0: smaller than the Lipschitz
constant. In brackets: the study's counts for accel, which judge its last accepted point.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from dadapt_cli import reference
from dadapt_cli.algorithms import find
from dadapt_cli.libsvm import read_libsvm
from dadapt_cli.objective import Problem
from dadapt_cli.preprocessing.labels import encode
from dadapt_cli.solver import full_batch, start
from dadapt_cli.solver.monitor import Monitor
from dadapt_cli.solver.options import Options
from dadapt_cli.solver.stopping import Budget, Stopping
from dadapt_cli.solver.trace import Trace

HERE = Path(__file__).parent.parent
SHARED = Path(os.environ.get("DADAPT_SHARED", HERE.parent / "shared"))
FILES = {
    "a1a": "a1a",
    "a9a": "a9a.xz",
    "w8a": "w8a.xz",
    "mushrooms": "mushrooms.xz",
    "german": "german.numer_scale",
    "vowel": "vowel.scale",
}
STUDY = {"a1a": "65/105/477", "mushrooms": "72/98/512", "german": "42/55/206", "vowel": "43/47/129"}
LEVELS = (1e-2, 1e-3, 1e-6)
LIMIT = 1000
D0 = 1e-6

PAPER: dict[str, dict[str, Any]] = {
    f"{name} {how} {bound}": {
        "algo": name,
        "bound": bound,
        "average": how,
        "d0": D0,
        "gradient_bound": "initial",
    }
    for name in ("dual-avg", "gd", "adagrad")
    for how in ("none", "anytime", "schedule-free")
    for bound in ("I", "II")
    if not (name == "gd" and bound == "I")  # the two coincide
}
METHODS: dict[str, dict[str, Any]] = {
    "accel": {"algo": "accel", "d0": D0},
    "accel coordinate": {"algo": "accel", "variant": "coordinate", "d0": D0},
    **PAPER,
    "dog": {"algo": "dog", "d0": D0},
    "dowg": {"algo": "dowg", "d0": D0},
    "cocob": {"algo": "cocob"},
    "dada": {"algo": "dada", "d0": D0},
    "prodigy-gd": {"algo": "prodigy-gd", "d0": D0, "gradient_bound": "initial"},
}


def counts(problem: Problem, f_star: float, chosen: dict[str, Any]) -> list[int | None]:
    """Gradients until the least f is within each level."""
    algorithm: Any = find(chosen["algo"], chosen.get("variant", "paper"))
    info, x0 = algorithm.INFO, problem.zeros()
    first = problem.value_and_gradient(x0)
    if info.minibatch:
        state = algorithm.start(x0)
    else:
        options = Options(**chosen).resolved(info)
        state = start.start(problem, algorithm, options, x0, first.g, f_star)
    reached: list[int | None] = [None] * len(LEVELS)
    for k in range(LIMIT):
        now = problem.value_and_gradient(state.x)
        for i, level in enumerate(LEVELS):
            if reached[i] is None and now.f - f_star <= level * (first.f - f_star):
                reached[i] = k + 1
        if reached[-1] is not None:
            break
        if not info.minibatch:
            state.f = now.f
        algorithm.step(state, now.g)
    return reached


def load(name: str) -> Problem:
    X, y = read_libsvm(SHARED / "data" / FILES[name])
    return Problem(X, encode(y), l2=1 / X.shape[0], bias=name == "vowel", threads=1)


def table(names: list[str]) -> None:
    """A column a problem."""
    found: dict[str, list[str]] = {method: [] for method in METHODS}
    for name in names:
        problem = load(name)
        known = reference.find(problem, reference.cache.content(problem), always=True)
        assert known.f_star is not None
        for method, chosen in METHODS.items():
            made = counts(problem, known.f_star, chosen)
            text = "/".join("-" if count is None else str(count) for count in made)
            if method == "accel" and name in STUDY:
                text += f" ({STUDY[name]})"
            found[method].append(text)
            print(f"{name}: {method}: {text}", file=sys.stderr, flush=True)
    print("| method |", " | ".join(names), "|")
    print("|---" * (len(names) + 1) + "|")
    for method, cells in found.items():
        print(f"| {method} |", " | ".join(cells), "|")


def seconds(problem: Problem, chosen: Options, steps: int) -> float:
    """Processor time of an iteration in the loop of a fit, without the reference and the start."""
    algorithm: Any = find(chosen.algo)
    x0 = problem.zeros()
    first = problem.value_and_gradient(x0)
    state = start.start(problem, algorithm, chosen.resolved(algorithm.INFO), x0, first.g)
    unknown = reference.none("not asked for")
    stopping = Stopping(problem, Budget(steps), unknown, problem)
    begin = time.process_time()
    full_batch.iterate(algorithm, state, first, stopping, Trace(problem, unknown, Monitor()))
    return (time.process_time() - begin) / steps


def times(repeats: int = 15, steps: int = 60) -> None:
    """accel beside gd on a9a, alternating; the ratio of each round, and their median."""
    problem = load("a9a")
    ratios, own = [], []
    for _ in range(repeats):
        made = {n: seconds(problem, Options(algo=n, d0=D0), steps) for n in ("gd", "accel")}
        own.append(made)
        ratios.append(made["accel"] / made["gd"])
    medians = {n: 1e3 * statistics.median(made[n] for made in own) for n in ("gd", "accel")}
    print(
        f"a9a, ms of processor time an iteration: gd {medians['gd']:.3f}, accel "
        f"{medians['accel']:.3f}; ratio {statistics.median(ratios):.3f} (quartiles "
        f"{np.quantile(ratios, 0.25):.3f} and {np.quantile(ratios, 0.75):.3f}); "
        f"load {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["time"]:
        times()
    elif sys.argv[1:2] == ["counts"]:
        table(sys.argv[2:] or list(FILES))
    else:
        sys.exit(__doc__)
