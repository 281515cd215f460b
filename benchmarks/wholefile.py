"""Whole processes on one large file, reading included: ours, LIBLINEAR, scikit-learn, SciPy.

The file is the first 250,000 rows of the synthetic problem as LIBSVM text (some 140 MB). Each line
shows the median processor time of all threads and of the system, the median seconds from start to
exit, both also as multiples of LIBLINEAR's at its default tolerance, and the relative suboptimality
that was reached, (f - f*)/(f(0) - f*) with l2 = 1/n; f* is our certified reference, computed first.

    python benchmarks/wholefile.py [--repeat 3] [--all]

`--all` adds other levels, algorithms and tolerances, scikit-learn and SciPy.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from dadapt_cli import reference, write_libsvm
from dadapt_cli.compare import liblinear
from dadapt_cli.objective import Problem
from dadapt_cli.preprocessing.labels import encode
from data import synthetic

ROWS = 250_000

LEVEL = 1e-6

DEFAULT = "LIBLINEAR train -s 0"
"""At its default tolerance, 0.01."""

SCIPY = """
import sys, numpy as np
from scipy.optimize import minimize
from dadapt_cli import read_libsvm
from dadapt_cli.preprocessing.labels import encode
from dadapt_cli.objective import Problem
X, y = read_libsvm(sys.argv[1])
problem, goal, best = Problem(X, encode(y), l2=1 / X.shape[0]), float(sys.argv[2]), [np.inf]
class Reached(Exception): pass
def f_and_g(w):
    at = problem.value_and_gradient(w)
    best[0] = min(best[0], at.f)
    if at.f <= goal: raise Reached
    return at.f, at.g
try: minimize(f_and_g, problem.zeros(), jac=True, method="L-BFGS-B", options={"ftol": 0, "gtol": 0})
except Reached: pass
print(best[0])
"""

SKLEARN = """
import sys, numpy as np
from sklearn.datasets import load_svmlight_file
from sklearn.linear_model import LogisticRegression
X, y = load_svmlight_file(sys.argv[1])
fit = LogisticRegression(C=1.0, fit_intercept=False, tol=float(sys.argv[2]), max_iter=1000)
w = fit.fit(X, y).coef_[0]
print(np.logaddexp(0, -np.where(y > 0, 1, -1) * (X @ w)).mean() + w @ w / (2 * len(y)))
"""


def output(*command: str) -> str:
    """What a process printed; fails when it does."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def processor_time() -> float:
    """Seconds of the processes that have ended, all threads and the system's share."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--all", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, model = str(Path(folder) / "synthetic.svm"), str(Path(folder) / "model")
        X, y = synthetic()
        X, y = X[:ROWS], y[:ROWS]
        write_libsvm(path, X, y)
        problem = Problem(X, encode(y), l2=1 / X.shape[0])
        del X
        known = reference.find(problem, reference.cache.content(problem), always=True)
        assert known.f_star is not None, known.reason
        f0 = math.log(2)
        print(f"{Path(path).stat().st_size / 1e6:.0f} MB, {problem.nonzeros} non-zeros, "
              f"f* = {known.f_star:.12f} (gap {known.gap:.0e})", flush=True)  # fmt: skip

        def dadapt(algo: str, level: float) -> float:
            tol = level * (f0 - known.f_star)
            command = f"-m dadapt_cli fit {path} --l2 1/n -a {algo} --reference {known.f_star!r}"
            out = output(sys.executable, *command.split(), "--tol", repr(tol), "-f", "jsonl", "-q")
            return float(json.loads(out.splitlines()[-1])["f_best"])

        def train(*tolerance: str) -> float:
            output(found, "-s", "0", "-c", "1", *tolerance, "-q", path, model)
            head, weights = Path(model).read_text().split("\nw\n")
            w = np.array(weights.split(), float) * (1 if "label 1" in head else -1)
            return problem.value_and_gradient(np.pad(w, (0, problem.p - len(w)))).f

        def script(text: str, argument: float) -> float:
            return float(output(sys.executable, "-c", text, path, repr(argument)))

        jobs: dict[str, Callable[[], float]] = {}
        for level in (LEVEL, 1e-3) if args.all else (LEVEL,):
            goal = known.f_star + level * (f0 - known.f_star)
            for algo in ("auto", "newton", *(("orth", "lbfgs") if args.all else ())):
                jobs[f"dadapt fit -a {algo} to {level:g}"] = partial(dadapt, algo, level)
            if args.all:
                jobs[f"our reader + SciPy L-BFGS-B to {level:g}"] = partial(script, SCIPY, goal)
        if (found := liblinear.program()) is None:
            print(f"LIBLINEAR is left out: {liblinear.REMEDY}")
        else:
            jobs[DEFAULT] = train
            if args.all:
                jobs[f"{DEFAULT} -e 0.001"] = partial(train, "-e", "0.001")
        if args.all:
            jobs["scikit-learn's loader + lbfgs, tol 1e-6"] = partial(script, SKLEARN, 1e-6)
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
        reached: dict[str, float] = {}
        for _ in range(args.repeat):
            for name, job in jobs.items():
                wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
                f = job()
                after, wall = (
                    resource.getrusage(resource.RUSAGE_CHILDREN),
                    time.perf_counter() - wall,
                )
                cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                times[name].append((cpu, wall))
                reached[name] = (f - known.f_star) / (f0 - known.f_star)
        middle = {
            name: [statistics.median(column) for column in zip(*pairs, strict=True)]
            for name, pairs in times.items()
        }
        print(f"load {os.getloadavg()[0]:.1f}")
        base = middle.get(DEFAULT, [math.nan, math.nan])
        for name, (cpu, wall) in middle.items():
            print(f"{name:42} processor {cpu:6.2f} s ({cpu / base[0]:.2f}), wall {wall:6.2f} s "
                  f"({wall / base[1]:.2f}), reached {reached[name]:.1e}")  # fmt: skip


if __name__ == "__main__":
    main()
