"""Cost of a minibatch step: one replica, 10 seeds x 10 rates, and the package dadaptation.

    python benchmarks/minibatch.py            us per step and replica, shapes of four problems
    python benchmarks/minibatch.py --large    one epoch on data of Aloi's and smallNORB's shape

Data are synthetic, float32, batches of 16, bias included in p. All is run on one thread, in
alternation; CPU time is counted and medians are taken, because the machine may be shared. PyTorch
(dadaptation.DAdaptAdam on a linear layer, cross-entropy, slices of shuffled tensors) is one run a
seed and rate.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from dadapt_cli.algorithms import find
from dadapt_cli.objective import Problem
from dadapt_cli.objective.minibatches import CHUNK_BYTES, Batches
from dadapt_cli.paper import replicas
from dadapt_cli.paper.replicas import Samples
from dadapt_cli.preprocessing.labels import Labels

SHAPES = {  # samples, features with the bias, classes
    "iris": (150, 5, 3),
    "letter": (15_000, 17, 26),
    "dna": (2_000, 181, 3),
    "usps": (7_291, 257, 10),
}
LARGE = {"aloi": (108_000, 129, 1000), "smallNORB": (24_300, 18_433, 5)}
BATCH = 16
SEEDS = RATES = 10


def samples(shape: tuple[int, int, int]) -> Samples:
    """Random samples of a shape; the last column is the bias."""
    n, p, C = shape
    rng = np.random.default_rng(0)
    X = rng.random((n, p), dtype=np.float32)
    X[:, -1] = 1
    return Samples(X, rng.integers(C, size=n), C)


def one_replica(data: Samples, steps: int) -> Callable[[], float]:
    """us a step of the loop of ``dadapt fit --algo adam``."""
    labels = Labels(tuple(range(data.n_classes)), data.y)
    problem = Problem(data.X, labels, dtype=np.float32, threads=1)
    algorithm: Any = find("adam")

    def run() -> float:
        batches = Batches(problem, BATCH, 0)
        state = algorithm.start(problem.zeros(), d0=1e-6)
        k, begin = 0, time.process_time()
        while k < steps:
            for X, y, c in batches.epoch():
                algorithm.step(state, batches.gradient(X, y, c, state.x))
                k += 1
        return (time.process_time() - begin) / k * 1e6

    return run


def many_replicas(data: Samples, steps: int) -> Callable[[], float]:
    """us a step and replica of a sweep, in its blocks, without the judgement of epochs."""
    algorithm: Any = find("adam")
    blocks = list(replicas._blocks(SEEDS, RATES, data.X.shape[1], data.n_classes, BATCH))
    d0 = np.logspace(-8, -2, RATES).reshape(1, 1, 1, RATES)

    def run() -> float:
        seconds, k = 0.0, 0
        for seeds, settings in blocks:
            d0s = d0[..., settings]
            block = replicas._Block(data, range(SEEDS)[seeds], d0s.size, BATCH)
            state = algorithm.start(block.start("zero"), d0=d0s)
            k, begin = 0, time.process_time()
            while k < steps:
                for X, own in block.epoch():
                    algorithm.step(state, block.gradient(X, own, state.x))
                    k += 1
                    if k == steps:
                        break
            seconds += time.process_time() - begin
        return seconds / (k * SEEDS * RATES) * 1e6

    return run


def pytorch(data: Samples, steps: int) -> Callable[[], float]:
    """us a step of the package dadaptation."""
    import torch
    from dadaptation import DAdaptAdam

    torch.set_num_threads(1)
    X, y = torch.from_numpy(data.X[:, :-1].copy()), torch.from_numpy(data.y)

    def run() -> float:
        torch.manual_seed(0)
        model = torch.nn.Linear(X.shape[1], data.n_classes)
        optimizer = DAdaptAdam(model.parameters(), lr=1.0)
        loss = torch.nn.CrossEntropyLoss()
        k, begin = 0, time.process_time()
        while k < steps:
            order = torch.randperm(len(y))
            X_shuffled, y_shuffled = X[order], y[order]
            for i in range(0, len(y), BATCH):
                optimizer.zero_grad()
                loss(model(X_shuffled[i : i + BATCH]), y_shuffled[i : i + BATCH]).backward()
                optimizer.step()
                k += 1
                if k == steps:
                    break
        return (time.process_time() - begin) / k * 1e6

    return run


def small(rounds: int, steps: int) -> None:
    """Print the table of step costs."""
    have_torch = True
    try:
        import dadaptation  # noqa: F401
    except ImportError:
        have_torch = False
        print("dadaptation and PyTorch are not installed: no comparison", file=sys.stderr)
    print("| shape | weights | PyTorch, us/step | one replica, us/step | times faster | "
          "10 x 10, us/step and replica | times faster |")  # fmt: skip
    print("|---|---|---|---|---|---|---|")
    for name, shape in SHAPES.items():
        data = samples(shape)
        runs = {"one": one_replica(data, steps), "many": many_replicas(data, steps)}
        if have_torch:
            runs["torch"] = pytorch(data, steps)
        for run in runs.values():
            run()
        times: dict[str, list[float]] = {kind: [] for kind in runs}
        for _ in range(rounds):
            for kind, run in runs.items():
                times[kind].append(run())
        median = {kind: statistics.median(t) for kind, t in times.items()}
        ratio = {
            kind: statistics.median(a / b for a, b in zip(times["torch"], times[kind], strict=True))
            if have_torch
            else float("nan")
            for kind in ("one", "many")
        }
        peer = f"{median['torch']:.0f}" if have_torch else ""
        print(f"| {name} {shape[1]} x {shape[2]} | {shape[1] * shape[2]} | {peer} | "
              f"{median['one']:.1f} | {ratio['one']:.1f} | {median['many']:.2f} | "
              f"{ratio['many']:.0f} |", flush=True)  # fmt: skip


def peak() -> float:
    """Peak memory of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def large_one(name: str, seeds: int, rates: int) -> None:
    """One epoch of a sweep, judgement included; prints JSON."""
    data = samples(LARGE[name])
    before = peak()
    begin = time.process_time()
    values = np.logspace(-8, -2, rates).tolist() if rates > 1 else [1e-6]
    replicas.sweep(data, find("adam"), replicas.Sweep(range(seeds), "d0", values, epochs=1))
    print(json.dumps({"seconds": time.process_time() - begin, "data": data.X.nbytes / 2**20,
                      "before": before, "peak": peak()}))  # fmt: skip


def large() -> None:
    """Print time and memory of one epoch on the two large shapes."""
    print("| shape | replicas | epoch, s | us/step and replica | data, MiB | peak beyond the data "
          "and the interpreter, MiB | weights of the block, MiB |")  # fmt: skip
    print("|---|---|---|---|---|---|---|")
    for name, (n, p, C) in LARGE.items():
        for seeds, rates in ((1, 1), (1, RATES)):
            command = [sys.executable, __file__, "--one", name, str(seeds), str(rates)]
            ran = subprocess.run(command, capture_output=True, text=True, check=True)
            got = json.loads(ran.stdout)
            steps = -(-n // BATCH)
            rows, columns = next(replicas._blocks(seeds, rates, p, C, BATCH))
            block = len(range(seeds)[rows]) * len(range(rates)[columns])
            per = got["seconds"] / (steps * seeds * rates) * 1e6
            print(f"| {name} {n} x {p}, {C} classes | {seeds} x {rates} | {got['seconds']:.1f} | "
                  f"{per:.0f} | {got['data']:.0f} | {got['peak'] - got['before']:.0f} | "
                  f"{p * C * block * 4 / 2**20:.1f} |", flush=True)  # fmt: skip
    print(f"(gathered samples: {CHUNK_BYTES / 2**20:g} MiB at a time, or one batch)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        large_one(options.one[0], int(options.one[1]), int(options.one[2]))
    elif options.large:
        large()
    else:
        with contextlib.suppress(KeyboardInterrupt):
            small(options.rounds, options.steps)


if __name__ == "__main__":
    main()
