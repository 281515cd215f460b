"""How far the figures of ``dadapt regress`` move when nothing but the rounding changes.

    python benchmarks/gate_noise.py [PROBLEM]... [ALGO]...

Each gated run is repeated with the order of summation, the storage, the threads, the last bits of
the data and the processor's instructions changed, and compared with the baseline that is shipped.
Printed is, for each figure and algorithm, the largest change and the share of its tolerance that
it takes: the tolerances and the horizons of the gate are chosen from this table.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np

from dadapt_cli.datasets import named
from dadapt_cli.objective import blocks
from dadapt_cli.regress import baseline, cases, gate

INSTRUCTIONS = (
    {"OPENBLAS_CORETYPE": "Haswell"},
    {"OPENBLAS_CORETYPE": "Sandybridge"},
    {"OPENBLAS_CORETYPE": "Prescott"},
    {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
    {"NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512_SKX AVX512_ICL AVX512_SPR"},
    {"NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512_SKX AVX512_ICL AVX512_SPR"},
    {"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR"},  # as NumPy 2.4 names them
)


def loaded(change: Callable[[Any], Any]) -> Any:
    """The gate's reader, with what it read changed."""
    return patch.object(cases, "load", lambda path, load=cases.load: change(load(path)))


def rows(seed: int) -> Any:
    def change(data: Any) -> Any:
        order = np.random.default_rng(seed).permutation(len(data.y))
        return replace(data, X=data.X[order], y=data.y[order])

    return loaded(change)


def columns(seed: int) -> Any:
    def change(data: Any) -> Any:
        X = data.X[:, np.random.default_rng(seed).permutation(data.X.shape[1])]
        X.sort_indices()
        return replace(data, X=X)

    return loaded(change)


def last_bits(seed: int) -> Any:
    def change(data: Any) -> Any:
        X = data.X.copy()
        X.data *= 1 + 2.0**-52 * np.random.default_rng(seed).integers(-1, 2, X.data.size)
        return replace(data, X=X)

    return loaded(change)


def dense_from(density: float) -> Any:
    return patch.object(blocks, "DENSE_FROM", density)


@contextmanager
def threads(count: int) -> Iterator[None]:
    def options(*arguments: Any, before: Any = cases._options) -> Any:
        return replace(before(*arguments), threads=count)

    with patch.object(cases, "_options", options):
        yield


VARIANTS = {
    "rows permuted 1": rows(1),
    "rows permuted 2": rows(2),
    "columns permuted 1": columns(1),
    "columns permuted 2": columns(2),
    "last bits 1": last_bits(1),
    "last bits 2": last_bits(2),
    "sparse": dense_from(2.0),
    "dense": dense_from(0.0),
    "threads 2": threads(2),
}


def measured(case: cases.Case) -> Any:
    return cases.measure(case)["figures"]


def main() -> None:
    given = [name for name in sys.argv[1:] if name != "--plain"]
    names = [name for name in given if name not in cases.BUDGETS]
    algos = [name for name in given if name in cases.BUDGETS] or [*cases.BUDGETS]
    document = baseline.read(gate.default_baseline())
    stated = baseline.tolerances(document)
    gated = [
        cases.Case(name, path, algo, l2, None, known)
        for name, entry in document["problems"].items()
        if (path := gate.find(named(name))) and (name in names if names else name in gate.SMALL)
        for algo in algos
        for l2 in cases.PENALTIES
        if (known := entry["references"].get(f"l2={l2}"))
    ]
    if "--plain" in sys.argv:
        json.dump([measured(case) for case in gated], sys.stdout)
        return
    runs: dict[str, list[Any]] = {"here": [measured(case) for case in gated]}
    for setting in INSTRUCTIONS:
        command = [sys.executable, "-W", "ignore", __file__, "--plain", *given]
        done = subprocess.run(command, env={**os.environ, **setting}, capture_output=True)
        if done.returncode:  # a feature that this NumPy or processor does not have
            print("not run:", setting, done.stderr.decode().splitlines()[-1:])
        else:
            runs[" ".join(map("=".join, setting.items()))] = json.loads(done.stdout)
    for name, variant in VARIANTS.items():
        with variant:
            runs[name] = [
                # rows in another order are other batches
                None if "rows" in name and cases.in_minibatches(case) else measured(case)
                for case in gated
            ]
    worst: dict[tuple[str, str], tuple[float, float, str]] = {}
    for variant, results in runs.items():
        for case, now in zip(gated, results, strict=True):
            if now is None:
                continue
            entry = document["problems"][case.problem]
            before = entry["algorithms"][case.algo][f"l2={case.l2}"]
            samples = entry["shape"]["samples"]
            run = f"{case.problem}/{case.algo}"
            for figure in baseline.compare(stated, run, samples, before, now, None):
                old, new = figure["baseline"], figure["measured"]
                change = np.inf if (old is None) != (new is None) else abs((new or 0) - (old or 0))
                share = change / figure["allowed"] if figure["allowed"] else change
                place = f"{case.problem}, l2 = {case.l2}, {variant}"
                key = (figure["figure"], case.algo)
                worst[key] = max(worst.get(key, (-1.0, 0.0, "")), (share, change, place))
    for (figure, algo), (share, change, place) in sorted(worst.items()):
        print(f"{figure:22} {algo:22} {change:8.1e} {share:8.1e}  {place if change else ''}")


if __name__ == "__main__":
    main()
