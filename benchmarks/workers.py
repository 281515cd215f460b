"""How well workers share a pass over a packed folder, and what a model makes of more machines.

Measured are the processor seconds that the slower worker takes for its share of a gradient, which
other load on the machine does not lengthen, and the shortest round of two vectors of the size of
the weights, out and back, over the messages of MPI and of Dask. The efficiency of W workers is

    (seconds of one process) / (W ((seconds of the slowest share) + (seconds of a round)))

The model counts 16 ns of a core a non-zero, 16 cores a machine, 3 GB/s of disk a machine where the
data do not fit in 100 GB of it, and 10 Gbit/s: computed, not run.

    python benchmarks/workers.py [--nonzeros 16e6] [--features 1e6] [--repeat 15]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from digest import synthetic

import dadapt_cli
from dadapt_cli.cli._cluster import _mpiexec
from dadapt_cli.cluster import dask, mpi
from dadapt_cli.cluster.local import Local
from dadapt_cli.packed.share import Settings, Share


def watch() -> None:
    """In this process, note in Share.spent the processor seconds that a share's gradient takes."""
    ask, spent = Share.ask, []
    Share.spent = spent  # type: ignore[attr-defined]

    def watched(self: Share, operation: str, argument: Any = None) -> Any:
        if operation == "columns":  # an empty round: a vector comes, and one goes back
            return [(0, leaf.number, (argument,)) for leaf in self.stream.leaves[:1]]
        begin = time.process_time()
        nodes = ask(self, operation, argument)
        spent.append(time.process_time() - begin)
        return nodes

    Share.ask = watched  # type: ignore[method-assign]


def taken() -> float:
    """Median of what this process noted."""
    return statistics.median(Share.spent[1:])  # type: ignore[attr-defined]


def measured(engine: Any, p: int, repeat: int) -> float:
    """Ask for some gradients; return the seconds of the shortest empty round."""
    w = np.random.default_rng(0).normal(size=p) * 1e-3
    for _ in range(repeat + 1):
        engine.ask("value_and_gradient", w)
    rounds = []
    for _ in range(10 * repeat):
        begin = time.perf_counter()
        engine.ask("columns", w)
        rounds.append(time.perf_counter() - begin)
    return min(rounds)


def settings() -> Settings:
    return Settings("float64", False, (0, 1), 1, False)


def rank(folder: str, repeat: int) -> None:
    """A rank of an MPI job."""
    watch()
    job = mpi.Job()
    data = dadapt_cli.packed(folder)

    def lead(own: Any) -> float:
        return measured(own.engine(data, settings()), data.shape[1], repeat)

    shortest = job.everywhere(lead)
    slowest = job.comm.allreduce(taken(), op=max)
    if not job.rank:
        print(json.dumps([slowest, shortest]))


def by_dask(folder: str, repeat: int, workers: int) -> tuple[float, float]:
    """Slowest share and shortest round of so many workers here."""
    data = dadapt_cli.packed(folder)
    with dask.Job(None, workers) as job:
        job.client.run(watch)
        shortest = measured(job.engine(data, settings()), data.shape[1], repeat)
        return max(job.client.run(taken).values()), shortest


def model(nonzeros: float, packed: float, p: float, machines: int, *, tree: bool) -> float:
    """Seconds a pass, by the model."""
    held = packed / machines <= 100e9
    reading = 0.0 if held else packed / (3e9 * machines)
    hops = math.log2(machines) if tree else machines - 1
    return max(16e-9 * nonzeros / (16 * machines), reading) + 16 * p * hops / 1.25e9


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nonzeros", type=float, default=16e6)
    parser.add_argument("--features", type=float, default=1e6)
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--rank", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.rank:
        rank(given.rank, given.repeat)
        return
    with tempfile.TemporaryDirectory() as room:
        folder = str(Path(room, "folder"))
        synthetic(Path(folder), int(given.nonzeros), int(given.features))
        data = dadapt_cli.packed(folder)
        watch()
        measured(Local(data, settings()), data.shape[1], given.repeat)
        one = taken()
        print(
            f"{data.nnz} non-zeros, p = {data.shape[1]}, {len(data.leaves)} leaves, read each time"
        )
        print(f"one process: {one:.3f} s of processor a gradient")
        for engine, workers in (("mpi", 1), ("mpi", 2), ("dask", 1), ("dask", 2)):
            if engine == "mpi":
                command = [str(_mpiexec()), "-n", str(workers), sys.executable, __file__,
                           "--rank", folder, "--repeat", str(given.repeat)]  # fmt: skip
                ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                slowest, shortest = json.loads(ran.stdout)
            else:
                slowest, shortest = by_dask(folder, given.repeat, workers)
            share = one / (workers * (slowest + shortest))
            print(f"{engine} {workers}: slowest share {slowest:.3f} s, shortest round "
                  f"{1000 * shortest:.1f} ms, efficiency {share:.2f}")  # fmt: skip
    print("computed, not run: seconds a pass (efficiency), p = 1e6")
    for name, nonzeros, packed in (("Criteo", 1.8e9, 7.2e9), ("terabyte", 1.7e11, 682e9)):
        alone = model(nonzeros, packed, 1e6, 1, tree=False)
        cells = [f"1 machine {alone:.2f}"]
        for machines, tree in ((8, False), (8, True), (64, False), (64, True)):
            seconds = model(nonzeros, packed, 1e6, machines, tree=tree)
            how = "along the tree" if tree else "driver receives"
            cells.append(f"{machines} {how} {seconds:.2f} ({alone / machines / seconds:.2f})")
        print(f"{name}: {'; '.join(cells)}")


if __name__ == "__main__":
    main()
