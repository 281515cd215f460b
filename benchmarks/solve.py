"""Processor time to a relative suboptimality of 1e-3 and 1e-6, for every method on every problem.

    python benchmarks/solve.py run [--problems NAME ...] [--l2 1 0.01 0] [--save FILE] [EARLIER]
    python benchmarks/solve.py show FILE ... [--plot docs/solve.svg]
    python benchmarks/solve.py unscaled

`run` prints a line per cell (a problem, a weight of the l2 term, a level) and then the tables;
`show` prints the tables of saved cells; `unscaled` compares german, diabetes and australian with
columns times 10^U(-3, 3), ten draws, with the columns as they are.

The objective is the mean logistic (softmax) loss with l2 = C/n, for each C of --l2 (at 0 only where
the classes cannot be separated), without a bias, from w = 0; columns of zeros are dropped. A level
is reached where float64's f, by our Problem, is proven to have (f - f*)/(f(0) - f*) below it,
f* being that of ``reference.find`` with its certificate. Our algorithms and SciPy's L-BFGS-B, on
our gradient, get the loaded problem, set-up counted, and stop at the level. `fit` is a whole call
of ``dadapt_cli.fit`` on X and y. scikit-learn's solvers and LIBLINEAR get X and y too, at the
loosest of the tolerances 1, 0.1, 0.01, ... that reaches the level, found beforehand and not
counted. LIBLINEAR runs in this process where liblinear-official is installed, else as the program
less a run that only reads.

Times are processor time, of one thread, BLAS's too. Methods alternate and medians are given; one
that its first run shows to take over ten times the fastest is run once. The search of a peer's
tolerances, and any other run, is cut short after 0.5 s plus 50 times newton's time to 1e-6, 20 s at
most: "-" in the tables. Data that are not there are named, with the remedy.
"""

from __future__ import annotations

import os

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

import argparse
import contextlib
import gc
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import peers
import sklearn.linear_model  # noqa: F401 - imported before the clock runs
import tables
from peers import LEVELS, clock, judged, limit
from scipy.optimize import minimize
from tables import BASE, Cell

import data
from dadapt_cli import fit, reference
from dadapt_cli.algorithms import auto, find
from dadapt_cli.algorithms._drive import Iterates, drive
from dadapt_cli.compare.case import Case
from dadapt_cli.objective import Problem, metric
from dadapt_cli.preprocessing import labels
from dadapt_cli.solver import start
from dadapt_cli.solver.options import Options
from dadapt_cli.solver.samples import Samples

TUNED = tuple(data.FILES)[:19]
"""Problems that the constants of newton's plan were chosen on."""

HELD_OUT = ("w8a-2477", *data.KEEL, *data.SYNTHETIC)
"""In place of w1a, fourclass, splice, svmguide1-3, colon, sonar, ionosphere, segment, satimage,
skin and shuttle, as far as those were not to be had."""

UNSCALED = ("german*0", "diabetes*0", "australian*0")

OURS = ("newton", "auto", "orth", "lbfgs")

CAP = 20.0
"""Seconds of processor time."""

LONG = 5.0
"""Seconds from which a run is not repeated."""

FITS = ("fit newton", "fit auto")


def load(name: str, c: float) -> Case:
    """The problem with l2 = c/n.

    Raises
    ------
    data.MissingError
        The data are not there.
    ValueError
        There is no f*, or the infimum is not attained: the classes can be separated.
    """
    X, y = data.named(name)
    problem = Problem(X, labels.encode(y), l2=c / X.shape[0], threads=1)
    known = reference.find(problem, reference.cache.content(problem), always=True)
    if known.f_star is None or known.status != "attained":
        raise ValueError(f"f* is {known.status}" + (f": {known.reason}" if known.reason else ""))
    f_0 = problem.value_and_gradient(problem.zeros()).f
    return Case(Samples(X, y), problem, known, f_0, Options(iterations=10_000))


Point = tuple[float, float]
"""f and the seconds at which it was known, gradient included."""

Once = Callable[[], tuple[float, Any]]
"""A run: seconds, and the weights it ends at."""


def ours(
    case: Case, chosen: dict[str, Any], goal: float, most: int = 10**6, cap: float = CAP
) -> tuple[list[Point], Any]:
    """Points of one of our algorithms until `goal`, and the last one's weights."""
    points: list[Point] = []
    begin = clock()
    if chosen["algo"] == "auto":
        chosen = auto.choose(case.problem)[0]
    algorithm = find(chosen["algo"])
    options = Options(**chosen).resolved(algorithm.INFO)
    problem = case.problem.in_metric(metric.scale(case.problem, str(options.metric)))
    x0 = problem.zeros()
    now = problem.value_and_gradient(x0)
    state = start.start(problem, algorithm, options, x0, problem.rescaled(now.g))

    def iterates() -> Iterates[None]:
        at = now
        while True:
            f = at.f
            if f <= goal and getattr(state, "rough", False):  # judged in double precision
                f = problem.value_and_gradient(problem.rescaled(state.x)).f
            points.append((f, clock() - begin))
            if f <= goal or state.stalled or len(points) >= most or points[-1][1] > cap:
                break
            state.f = at.f
            yield problem.rescaled(at.g)
            at = state.evaluate(problem)

    with np.errstate(all="ignore"):
        drive(algorithm, state, iterates())
    return points, problem.rescaled(state.x)


def scipys(case: Case, goal: float, most: int = 10**6, cap: float = CAP) -> tuple[list[Point], Any]:
    """SciPy's L-BFGS-B on our gradient, as anybody would call it; returned as :func:`ours`."""
    points: list[Point] = []
    problem, last = case.problem, case.problem.zeros()
    begin = clock()

    def objective(flat: Any) -> tuple[float, Any]:
        w = flat.reshape(problem.shape)
        at = problem.value_and_gradient(w)
        points.append((at.f, clock() - begin))
        if at.f <= goal or len(points) >= most or points[-1][1] > cap:
            np.copyto(last, w)
            raise StopIteration
        return at.f, at.g.ravel()

    options = {"maxcor": 10, "ftol": 0.0, "gtol": 1e-14, "maxls": 50, "maxfun": most,
               "maxiter": most}  # fmt: skip
    with contextlib.suppress(StopIteration):
        x0 = problem.zeros().ravel()
        found = minimize(objective, x0, jac=True, method="L-BFGS-B", options=options)
        np.copyto(last, found.x.reshape(problem.shape))
    return points, last


def fitted(case: Case, algo: str, goal: float, cap: float = CAP) -> tuple[float, Any]:
    """A whole call of ``dadapt_cli.fit``."""
    f_star, X, y = case.known.f_star, case.samples.X, case.samples.y
    assert f_star is not None  # load() has looked
    begin = clock()
    result = fit(X, y, algo=algo, l2=case.problem.l2, threads=1, reference=f_star,
                 tol=goal - f_star, iterations=10**6, time_limit=3 * cap)  # fmt: skip
    return clock() - begin, result.w


def quiet(once: Once, case: Case, level: str) -> float:
    """Seconds of a run without garbage collections; infinite where it missed the level."""
    gc.collect()  # of what the last run left: cells() has frozen the rest
    gc.disable()
    try:
        seconds, w = once()
    finally:
        gc.enable()
    return seconds if judged(case, w) <= limit(case, level) else math.inf


def cells(name: str, c: float, repeat: int, known: Sequence[Cell]) -> Iterable[Cell]:
    """Time a problem: one record a level; `known` are earlier ones, with peers' tolerances."""
    case = load(name, c)
    gc.freeze()
    seconds = quiet(partial(own(case, CAP)["newton"], case.threshold(LEVELS[-1])), case, LEVELS[-1])
    cap = min(CAP, 0.5 + 50 * seconds)
    mine = own(case, cap)
    for once in mine.values():  # a warm-up
        once(case.threshold(LEVELS[0]))
    first = {v: {n: quiet(partial(once, case.threshold(v)), case, v) for n, once in mine.items()}
             for v in LEVELS}  # fmt: skip
    with contextlib.ExitStack() as stack:
        others = peers.installed()
        unsuited = {one.name: why for one in others if (why := peers.unsuited(one, case))}
        searched = {}
        for one in others:
            if one.name in unsuited:
                continue
            made = searched[one.name] = peers.ready(stack.enter_context(one.on(case)))
            for cell in known:
                if (tolerance := cell["tolerance"].get(one.name)) is not None:
                    made.found[cell["level"]] = tolerance, cell["seconds"][one.name]
            if not known:
                peers.search(case, one.name, made, cap)
        for level in LEVELS:
            runs: dict[str, Once] = {
                n: partial(once, case.threshold(level)) for n, once in mine.items()
            }
            times = dict(first[level])
            for n, one in searched.items():
                tolerance, times[n] = one.found.get(level, (0.0, math.inf))
                runs[n] = partial(one.once, tolerance)
            fastest = min(times.values())
            always = (BASE, *tables.COUNTED)
            close = [n for n in runs if times[n] < (LONG if n in always else 10 * fastest)]
            seconds: dict[str, list[float]] = {n: [] for n in close}
            for turn in range(repeat if fastest > 5e-3 else 3 * repeat):
                for n in close if turn % 2 else close[::-1]:
                    seconds[n].append(quiet(runs[n], case, level))
            times |= {n: statistics.median(s) for n, s in seconds.items()}
            yield {
                "problem": name,
                "shape": [case.problem.n, *case.problem.shape],
                "l2_times_n": c,
                "level": level,
                "seconds": {n: t if t < math.inf else None for n, t in times.items()},
                "tolerance": {
                    n: o.found[level][0] for n, o in searched.items() if level in o.found
                },
                "unsuited": unsuited,
                "cap": cap,
                "date": time.strftime("%Y-%m-%d"),
                "load": round(os.getloadavg()[0], 1),
            }


def own(case: Case, cap: float) -> dict[str, Callable[[float], tuple[float, Any]]]:
    """Runs of ours and of SciPy's, given the f to reach."""

    def timed(solve: Callable[..., tuple[list[Point], Any]], *given: Any) -> tuple[float, Any]:
        points, w = solve(case, *given, cap=cap)
        return points[-1][1], w

    return {
        BASE: partial(timed, scipys),
        **{name: partial(timed, ours, {"algo": name}) for name in OURS},
        **{name: partial(fitted, case, name.split()[1], cap=cap) for name in FITS},
    }


def saved(files: list[str]) -> list[Cell]:
    """The cells in files."""
    lines = [line for file in files for line in Path(file).read_text().splitlines()]
    return [json.loads(line) for line in lines]


def run(
    names: list[str], weights: list[float], repeat: int, save: str | None, earlier: Sequence[Cell]
) -> None:
    """Time the problems, print what is missing, and the tables; go on with a file of cells."""
    done = saved([save]) if save is not None and Path(save).exists() else []
    there = {(cell["problem"], cell["l2_times_n"]) for cell in done}
    for c in weights:
        for name in names:
            if (name, c) in there:
                continue
            begin = clock()
            try:
                known = [x for x in earlier if (x["problem"], x["l2_times_n"]) == (name, c)]
                for cell in list(cells(name, c, repeat, known)):  # all of a problem or none
                    done.append(cell)
                    best, who = tables.best_peer(cell)
                    times = {n: cell["seconds"][n] for n in ("newton", BASE, *FITS)} | {who: best}
                    text = ", ".join(f"{n} {tables.milliseconds(t)}" for n, t in times.items())
                    print(f"{name}, l2 = {c:g}/n, to {cell['level']}, ms: {text}", flush=True)
                    if save is not None:
                        with Path(save).open("a") as file:
                            file.write(json.dumps(cell) + "\n")
            except (data.MissingError, ValueError) as error:
                print(f"{name}, l2 = {c:g}/n: left out: {error}", flush=True)
            print(f"  {clock() - begin:.1f} s", file=sys.stderr)
    if done:
        tables.show(done)


def unscaled(draws: int, repeat: int) -> None:
    """Print times to 1e-6 with scaled columns, and the others' as multiples of those."""
    level = LEVELS[-1]
    for base in (name.split("*")[0] for name in UNSCALED):
        some = [load(base, 1.0), *(load(f"{base}*{i}", 1.0) for i in range(draws))]
        gc.freeze()
        for name in ("newton", *FITS):
            runs = [(case, partial(own(case, CAP)[name], case.threshold(level))) for case in some]
            times = [[quiet(once, case, level) for case, once in runs] for _ in range(repeat)]
            scaled, *others = (statistics.median(column) for column in zip(*times, strict=True))
            ratios = sorted(t / scaled for t in others)
            print(f"{base}, {name}: {tables.milliseconds(scaled)} ms to {level}; {draws} draws: "
                  f"median {statistics.median(ratios):.2f} x, worst {ratios[-1]:.2f} x, reached "
                  f"{sum(r < math.inf for r in ratios)}", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=["run", "show", "unscaled"])
    parser.add_argument(
        "files",
        nargs="*",
        help="of cells: to show, or with the peers' tolerances for run",
    )
    parser.add_argument("--problems", nargs="+", default=[*TUNED, *HELD_OUT, *UNSCALED])
    parser.add_argument("--l2", nargs="+", type=float, default=[1.0, 0.01, 0.0], help="over n")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--save", help="a file of cells to go on with, one a line")
    parser.add_argument("--plot", help="draw the profile of the files of show")
    args = parser.parse_args()
    if args.what == "run":
        run(args.problems, args.l2, args.repeat, args.save, saved(args.files))
    elif args.what == "unscaled":
        unscaled(args.draws, args.repeat)
    else:
        found = saved(args.files)
        tables.show(found)
        if args.plot:
            tables.draw(args.plot, found)


if __name__ == "__main__":
    main()
