"""One digest of a fit on a packed folder, whatever computes it.

Each fit is done by this process, by the ranks of MPI jobs and by the workers of Dask clusters, with
leaves held in memory and read each time, with one thread and two; the sha256 of its weights and of
every reported number must be the same. Without FOLDER, one is made in a temporary folder, and
removed: rows in the shape of Criteo's, synthetic, 39 features of value 1 each.

    python benchmarks/digest.py [FOLDER] [--algos dual-avg,gd] [--steps 3] [--workers 1,2,3]
        [--engines mpi,dask] [--nonzeros 128e6] [--some]

With --some, not every way of reading is combined with every number of workers, only each at least
once. Ends with 1 if digests differ.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

import dadapt_cli
from dadapt_cli.algorithms import table
from dadapt_cli.cli._cluster import _mpiexec
from dadapt_cli.cluster.mpi import Job
from dadapt_cli.errors import UsageError
from dadapt_cli.libsvm.rows import Rows
from dadapt_cli.packed.format import LEAF
from dadapt_cli.packed.writer import Packer
from dadapt_cli.solver import packed
from dadapt_cli.solver.options import Options

MAIN = ("dual-avg", "gd", "adagrad", "accel", "newton", "orth")
WAYS = tuple(itertools.product(("memory", "reader"), (1, 2)))
FIELDS = 39

Line: TypeAlias = dict[str, Any]
"""Algorithm, where the leaves are, threads, seconds, digest."""


def on_folders() -> list[str]:
    """The algorithms that take packed data on a cluster without further options."""
    found = []
    for name, algorithm in table().items():
        try:
            options = Options(algo=name)
            options.check()
            packed.check(options, algorithm.INFO, Job)
        except UsageError:
            continue
        found.append(name)
    return found


def digest(result: Any) -> str:
    """Of the weights and of every number of the rows but the seconds."""
    rows = [{name: v for name, v in row.items() if name != "seconds"} for row in result.trace]
    return hashlib.sha256(result.w.tobytes() + repr(rows).encode()).hexdigest()[:16]


def hold(way: str) -> None:
    """In this process, hold the leaves or not, whether or not they fit."""
    from dadapt_cli.cluster import worker

    def decide(*_: Any) -> bool:
        return way == "memory"

    worker.require_memory = decide
    packed.require_memory = decide  # type: ignore[attr-defined]


def made(
    folder: str, algos: list[str], steps: int, engine: str, ways: Any
) -> Iterator[dict[str, Any]]:
    """A line for each fit by this process, or by the cluster it belongs to."""
    data = dadapt_cli.packed(folder)
    for (way, threads), algo in itertools.product(ways, algos):
        hold(way)
        if engine not in ("one", "mpi"):
            _everywhere(engine, way)
        cluster = None if engine == "one" else engine
        begin = time.perf_counter()
        result = dadapt_cli.fit(
            data, algo=algo, iterations=steps, threads=threads, reference="none", cluster=cluster
        )
        seconds = round(time.perf_counter() - begin, 2)
        yield {"algo": algo, "leaves": way, "threads": threads, "seconds": seconds,
               "digest": digest(result)}  # fmt: skip


def _everywhere(address: str, way: str) -> None:
    """:func:`hold` in each worker of a scheduler."""
    import distributed

    with distributed.Client(address, set_as_default=False) as client:
        client.run(hold, way)


def by_mpi(arguments: list[str], workers: int) -> Iterator[Line]:
    """The lines of rank 0 of a job of this script."""
    launcher = _mpiexec()
    if launcher is None:
        sys.exit("there is no mpiexec; --engines dask does without")
    command = [launcher, "-n", str(workers), sys.executable, __file__, *arguments, "--rank"]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    yield from map(json.loads, ran.stdout.splitlines())


def by_dask(
    folder: str, algos: list[str], steps: int, workers: int, ways: Any
) -> Iterator[dict[str, Any]]:
    """The lines of a cluster that is started for them."""
    import distributed

    cluster = distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=None,
        host="127.0.0.1", silence_logs=50,
    )  # fmt: skip
    with cluster:
        yield from made(folder, algos, steps, cluster.scheduler_address, ways)


def synthetic(folder: Path, nonzeros: int, p: int = 1_000_000, seed: int = 0) -> None:
    """Pack rows of 39 categories, skewed as those of clicks are, without a text in between.

    Each field has its own p / 39 columns. The labels are from a plane, with noise.
    """
    rng = np.random.default_rng(seed)
    width = p // FIELDS
    plane = rng.normal(size=p)
    packer = Packer(folder, "synthetic", np.float64, LEAF)
    folder.mkdir()
    packer.begin({})
    left = nonzeros // FIELDS
    while left:
        rows = min(left, 100_000)
        left -= rows
        which = (width * rng.random((rows, FIELDS)) ** 6).astype(np.int64)
        indices = (which + width * np.arange(FIELDS)).ravel()
        score = plane[indices].reshape(rows, FIELDS).sum(axis=1) + 3 * rng.normal(size=rows)
        labels = np.where(score > 0, 1.0, -1.0)
        counts = np.full(rows, FIELDS, np.int64)
        packer.add(Rows(labels, counts, indices, np.ones(indices.size)), 0, False, None)
    text = {"sha256": "0" * 64, "bytes": 0, "encoding": "none", "notes": ["synthetic"]}
    packer.finish(text, True, p)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--algos")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--workers", default="1,2,3")
    parser.add_argument("--engines", default="mpi,dask")
    parser.add_argument("--nonzeros", type=float, default=128e6)
    parser.add_argument("--ways", help=argparse.SUPPRESS)
    parser.add_argument("--some", action="store_true")
    parser.add_argument("--rank", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    folders = on_folders()
    algos = given.algos.split(",") if given.algos else [name for name in MAIN if name in folders]
    if given.rank:
        for line in made(given.folder, algos, given.steps, "mpi", json.loads(given.ways)):
            if os.environ.get("PMI_RANK", os.environ.get("OMPI_COMM_WORLD_RANK", "0")) == "0":
                print(json.dumps(line), flush=True)
        return
    with tempfile.TemporaryDirectory() as room:
        folder = given.folder or str(Path(room, "folder"))
        if given.folder is None:
            begin = time.perf_counter()
            synthetic(Path(folder), int(given.nonzeros))
            print(f"synthetic, packed in {time.perf_counter() - begin:.0f} s")
        data = dadapt_cli.packed(folder)
        print(f"{data.shape[0]} x {data.shape[1]}, {data.nnz} non-zeros, {len(data.leaves)} leaves")
        seen: dict[str, set[str]] = {}
        for engine, workers, line in runs(folder, algos, given):
            seen.setdefault(line["algo"], set()).add(line["digest"])
            algo, leaves, threads, seconds, found = line.values()
            what = f"{algo} {leaves}, {threads} threads, {seconds:.2f} s: {found}"
            print(f"{engine} {workers}: {what}", flush=True)
    for algo, digests in seen.items():
        print(f"{algo}: {'one digest' if len(digests) == 1 else 'DIGESTS DIFFER'}")
    sys.exit(any(len(digests) > 1 for digests in seen.values()))


def runs(folder: str, algos: list[str], given: Any) -> Iterator[tuple[str, int, Line]]:
    """Engine, number of workers, and what was made."""
    ways = [WAYS[0], WAYS[-1]] if given.some else list(WAYS)
    yield from (("one", 1, line) for line in made(folder, algos, given.steps, "one", ways))
    engines = [name for name in given.engines.split(",") if name]
    workers_of = [int(number) for number in given.workers.split(",") if number]
    for turn, (engine, workers) in enumerate(itertools.product(engines, workers_of)):
        ways = [WAYS[turn % 4]] if given.some else list(WAYS)
        if engine == "mpi":
            arguments = [folder, "--algos", ",".join(algos), "--steps", str(given.steps),
                         "--ways", json.dumps(ways)]  # fmt: skip
            lines = by_mpi(arguments, workers)
        else:
            lines = by_dask(folder, algos, given.steps, workers, ways)
        yield from ((engine, workers, line) for line in lines)


if __name__ == "__main__":
    main()
