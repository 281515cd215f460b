"""One full-batch iteration against its floor, on one thread and two.

The floor is what SciPy's two products and a link with a single exponential take, timed alternately
in the same run. Also, with the extra ``bench``, a step of the package ``dadaptation`` (PyTorch on
the CPU) on the same data.

    python benchmarks/gradient.py [--no-synthetic] [--repeat 40]
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from dadapt_cli.algorithms import find
from dadapt_cli.objective import Problem
from dadapt_cli.preprocessing.labels import encode
from data import shared, synthetic

ALGORITHMS = ("dual-avg", "gd", "adagrad")


def alternate(jobs: dict[str, Callable[[], object]], repeat: int) -> dict[str, float]:
    """Median seconds of each job, run in turn."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for job in jobs.values():
        job()
    for _ in range(repeat):
        for name, job in jobs.items():
            begin = time.perf_counter()
            job()
            times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(t) for name, t in times.items()}


def link(m: np.ndarray) -> float:
    """The floor's link: one exponential a row, written plainly."""
    e = np.exp(-np.abs(m))
    loss = np.log1p(e).sum() - np.minimum(m, 0.0).sum()
    np.where(m > 0, e, 1.0) / (1.0 + e)
    return float(loss)


def iteration(problem: Problem, name: str) -> Callable[[], None]:
    """One step of the loop: value, gradient, the algorithm, and the average's scores."""
    algorithm = find(name)
    x0 = problem.zeros()
    g0 = problem.value_and_gradient(x0).g
    G = algorithm.gradient_bound(problem, g0, "auto")
    state = algorithm.start(x0, g0, d0=0.1, bound="I", G=G)
    average = np.zeros(problem.n)
    work = np.empty(problem.n)

    def once() -> None:
        now = problem.value_and_gradient(state.x)
        algorithm.step(state, now.g)
        np.subtract(now.scores, average, out=work)
        np.multiply(work, state.fraction, out=work)
        np.add(average, work, out=average)

    return once


def torch_step(X: sp.csr_array, y: np.ndarray) -> Callable[[], None] | None:
    """A full-batch step of dadaptation's DAdaptSGD; None where it is not installed."""
    if not all(importlib.util.find_spec(name) for name in ("torch", "dadaptation")):
        return None
    import torch
    from dadaptation import DAdaptSGD

    torch.set_num_threads(1)  # as ours; its pool would also spin beside the others
    warnings.filterwarnings("ignore", message=".*[Ss]parse.*")
    A = torch.sparse_csr_tensor(
        torch.from_numpy(X.indptr), torch.from_numpy(X.indices), torch.from_numpy(X.data), X.shape
    )
    t = torch.from_numpy(y)
    w = torch.zeros(X.shape[1], dtype=torch.float64, requires_grad=True)
    optimiser = DAdaptSGD([w], lr=1.0)

    def once() -> None:
        optimiser.zero_grad()
        torch.nn.functional.softplus(-t * (A @ w)).mean().backward()
        optimiser.step()

    return once


def report(name: str, X: Any, y: np.ndarray, repeat: int, *, peers: bool) -> None:
    """Print the lines of one problem."""
    labels = encode(y)
    rng = np.random.default_rng(0)
    one = Problem(X, labels, threads=1)
    w, r = rng.normal(size=one.p) / np.sqrt(one.p), rng.normal(size=one.n)
    scores, XT = one.X @ w, one.X.T
    with threadpool_limits(1):
        jobs: dict[str, Callable[[], object]] = {
            "X@w": lambda: one.X @ w,
            "X.T@r": lambda: XT @ r,
            "link": lambda: link(scores),
            **{a: iteration(one, a) for a in ALGORITHMS},
        }
        if len(one.blocks) > 1:
            two = copy.copy(one)  # the same arrays and work space: the cache is not shared with it
            two.threads = 2
            jobs |= {f"{a}, 2 threads": iteration(two, a) for a in ALGORITHMS}
        if peers and (step := torch_step(sp.csr_array(X), np.where(labels.index == 1, 1.0, -1.0))):
            jobs["dadaptation"] = step
        ms = {job: 1e3 * t for job, t in alternate(jobs, repeat).items()}
    floor = ms["X@w"] + ms["X.T@r"] + ms["link"]
    print(f"{name}: {one.n} x {one.p}, {one.nonzeros} non-zeros; floor {floor:.3f} ms = "
          f"X@w {ms['X@w']:.3f} + X.T@r {ms['X.T@r']:.3f} + link {ms['link']:.3f}")  # fmt: skip
    for a in ALGORITHMS:
        line = f"  {a:9} {ms[a]:8.3f} ms, {ms[a] / floor:.2f} x floor"
        if (both := ms.get(f"{a}, 2 threads")) is not None:
            line += f"; 2 threads {both:8.3f} ms, {both / ms[a]:.2f} x one"
        if peer := ms.get("dadaptation"):
            line += f"; dadaptation {peer:.3f} ms a step, {peer / ms[a]:.1f} x ours"
        print(line, flush=True)


def problems(with_synthetic: bool) -> Iterator[tuple[str, Any, np.ndarray, bool]]:
    """Name, data, labels, and whether the peers run on it."""
    for name in ("a9a.xz", "w8a.xz"):
        yield name.removesuffix(".xz"), *shared(name), True
    X, y = shared("news20.xz")
    yield "news20, class 1 against the rest", X, (y == 1).astype(float), False
    if with_synthetic:
        yield "synthetic", *synthetic(), False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-synthetic", action="store_true")
    parser.add_argument("--repeat", type=int, default=40)
    args = parser.parse_args()
    for name, X, y, peers in problems(not args.no_synthetic):
        repeat = args.repeat if name != "synthetic" else max(5, args.repeat // 4)
        report(name, X, y, repeat, peers=peers)


if __name__ == "__main__":
    main()
