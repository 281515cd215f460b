"""In-memory fits of text, and the reader, beside those of another checkout.

    git worktree add --detach ../old COMMIT
    python benchmarks/against.py ../old [--repeat 15] [--problems NAME ...] [--synthetic]

A process for each checkout, asked in turn. Printed: the median processor time, on one thread, of a
``fit`` of 10 iterations, of one more iteration, and of reading, and the median and the quartiles of
the ratios of each round. Only public names are used, which both have.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dadapt_cli import fit
from data import shared, synthetic

ALGORITHMS = ("dual-avg", "gd", "adagrad")

OPTIONS = {"every": 1000, "reference": "none", "threads": 1, "l2": "1/n"}

FEW, MORE = 10, 60
"""Iterations; a fit of many more would merge equal rows."""

NAMES = ("a9a", "w8a", "letter.scale", "news20")


def timed(job: Callable[[], object]) -> float:
    """Seconds of processor time."""
    begin = time.process_time()
    job()
    return time.process_time() - begin


def serve(names: list[str], with_synthetic: bool) -> None:
    """Name the jobs; then run each that is asked for, and print its seconds."""
    jobs: dict[str, Callable[[], float]] = {}

    def add(name: str, X: Any, y: Any, algo: str) -> None:
        def fitted(iterations: int) -> float:
            return timed(lambda: fit(X, y, algo=algo, iterations=iterations, **OPTIONS))

        jobs[f"{name}: {algo}, fit"] = lambda: fitted(FEW)
        jobs[f"{name}: {algo}, iteration"] = lambda: (fitted(MORE) - fitted(FEW)) / (MORE - FEW)

    for name in names:
        X, y = shared(f"{name}.xz")
        y = np.where(y == 1, 1, -1) if name == "news20" else y  # not the softmax of 20 classes
        for algo in ALGORITHMS:
            add(name, X, y, algo)
        jobs[f"{name}: reading"] = partial(timed, partial(shared, f"{name}.xz"))
    if with_synthetic:
        add("synthetic", *synthetic(), "gd")
    print(json.dumps(list(jobs)), flush=True)
    for line in sys.stdin:
        print(jobs[line.strip()](), flush=True)


def started(checkout: Path, asked: list[str]) -> tuple[Any, list[str]]:
    """The process of a checkout, and the names of its jobs."""
    command = [sys.executable, __file__, "--serve", *asked]
    environment = os.environ | {"PYTHONPATH": str(checkout), "OPENBLAS_NUM_THREADS": "1"}
    server = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert server.stdout is not None
    return server, json.loads(server.stdout.readline())


def ask(server: Any, name: str) -> float:
    """Seconds of a job."""
    print(name, file=server.stdin, flush=True)
    return float(server.stdout.readline())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", nargs="?", type=Path)
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--synthetic", action="store_true", help="10^6 rows, 39 M entries, too")
    parser.add_argument("--problems", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.problems, args.synthetic)
        return
    if args.checkout is None or not (args.checkout / "dadapt_cli").is_dir():
        parser.error("name a folder that holds another checkout")
    pair = (args.checkout.resolve(), Path(__file__).resolve().parent.parent)
    asked = ["--problems", *args.problems, *(["--synthetic"] if args.synthetic else [])]
    (other, names), (here, _) = (started(checkout, asked) for checkout in pair)
    for name in names:
        rounds = [(ask(other, name), ask(here, name)) for _ in range(args.repeat + 1)][1:]
        ratios = [new / old for old, new in rounds]
        old, new = (1e3 * statistics.median(column) for column in zip(*rounds, strict=True))
        first, middle, third = statistics.quantiles(ratios, n=4)
        print(f"{name:26} {old:9.3f} ms, here {new:9.3f} ms; ratio {middle:.3f} "
              f"(quartiles {first:.3f}, {third:.3f})", flush=True)  # fmt: skip
    for server in (other, here):
        server.communicate()
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
