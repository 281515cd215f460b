"""``fit``: options, problem, reference, start, loop, and the records around them."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from dadapt_cli import model, reference
from dadapt_cli._typing import Array
from dadapt_cli.algorithms import auto
from dadapt_cli.checkpoint.writer import Keeper
from dadapt_cli.errors import DataError, NumericalError, UsageError
from dadapt_cli.model import Model
from dadapt_cli.model.held_out import HeldOut, model_of
from dadapt_cli.objective import Problem, metric
from dadapt_cli.objective.deduplicate import PAYS_FROM, collapse
from dadapt_cli.preprocessing import prepare
from dadapt_cli.reference import Reference
from dadapt_cli.solver import resume, warm
from dadapt_cli.solver import start as starting
from dadapt_cli.solver import trace as records
from dadapt_cli.solver.options import Options
from dadapt_cli.solver.stopping import Budget, Record, finite
from dadapt_cli.solver.trace import Source
from dadapt_cli.system.signals import Interrupts

log = logging.getLogger("dadapt")

TESTED = ("test_accuracy", "test_log_loss")
"""Of held-out samples, in the records of a fit that has some."""


@dataclass
class FitResult:
    """What a fit leaves.

    Attributes
    ----------
    w
        Weights of the iterate with the least f, shape (p,), or (p, C) for C >= 3 classes; the
        bias or intercept, where there is one, is the last row. With a ``scale`` they are those
        of the scaled features.
    d
        The last d_k; None for the baselines, which have none.
    trace
        The step records, in order.
    reference
        f*, D and their certificate, as in the start record.
    start, end
        The first and the last record.
    theorem2_w
        The iterate that Theorem 2 returns, when its step was taken, else None.
    classes
        The labels; with two of them the second is the positive one.
    model
        The same weights as a :class:`~dadapt_cli.model.Model`, to predict with or to save.
    signal
        The signal that interrupted the run, or None.
    """

    w: Array
    d: float | None
    trace: list[Record]
    reference: Record
    start: Record
    end: Record
    theorem2_w: Array | None
    classes: tuple[int | str, ...]
    model: Model
    signal: int | None

    @property
    def status(self) -> str:
        """Why the run ended, as in the end record."""
        return str(self.end["status"])


@dataclass
class Watcher:
    """Who is told what while a fit runs.

    Attributes
    ----------
    record
        Called with each record as it is made.
    note
        Called with each line the user should read.
    progress
        Called now and then with k, d and f.
    interrupts
        Asked after each iteration.
    keeper
        Given the state to keep (:mod:`dadapt_cli.solver.resume`).
    """

    record: Callable[[Record], None] = lambda record: None
    note: Callable[[str], None] = lambda line: None
    progress: Callable[[int, float, float], None] | None = None
    interrupts: Interrupts | None = None
    keeper: Keeper | None = None


def fit(
    X: Any, y: Any, *, sample_weight: Any = None, init: Any = None, **options: Any
) -> FitResult:
    """Fit logistic regression without a learning rate.

    Parameters
    ----------
    X
        Samples, shape (n, p): a SciPy sparse matrix or array, or anything NumPy takes.
    y
        Integer labels, shape (n,). Two distinct ones give the binary model, more give softmax.
    sample_weight
        How much each sample counts, shape (n,), at least 0; by default 1. The mean of the losses
        and l2 = 1/n are over their sum; 0 leaves a sample out.
    init
        x_0: an array in the shape of the result's ``w``, a model, or the path of one; by default
        0. D is measured from it.
    **options
        The command line's options with underscores: algo, iterations, d0, bound,
        gradient_bound, l2, bias, intercept, weight (a dict of labels), scale, reference,
        tol, time_limit, positive, every, dtype, threads, metric, memory, inner, lbfgs_pairs,
        epochs, batch_size, schedule, seed, average, momentum, betas, lr, variant, checkpoint,
        resume, restart, checkpoint_every.

    Returns
    -------
    FitResult
        Weights, trace and certificates.

    Raises
    ------
    UsageError
        An option that does not exist or cannot be used as given.
    DataError
        Data that cannot be used.
    NumericalError
        A NaN or an infinity turned up; ``error.result`` holds the last finite state.
    InputOutputError
        A checkpoint that cannot be written, or gone on with.
    """
    known = set(Options.__dataclass_fields__) - {"init"}
    if unknown := sorted(set(options) - known):
        raise UsageError(f"unknown option {unknown[0]!r}; there are {', '.join(sorted(known))}")
    if not sp.issparse(X):
        X = np.asarray(X)
        if X.dtype.kind not in "fiub":
            raise DataError(f"X is of type {X.dtype}; numbers are needed")
    for name in {"checkpoint", "resume"} & set(options):
        options[name] = options[name] and os.fspath(options[name])
    path = os.fspath(init) if isinstance(init, (str, os.PathLike)) else None
    chosen = Options(**options, init=path)
    with resume.opened(chosen, {*options, *(["init"] if path else [])}) as (chosen, keeper):
        chosen.check(options)
        start = init if chosen.init is None else model.load(chosen.init)
        return fit_source(
            X, np.asarray(y), chosen, Source(), Watcher(keeper=keeper),
            sample_weight=sample_weight, init=start,
        )  # fmt: skip


def fit_source(
    X: Any,
    y: Array,
    options: Options,
    source: Source,
    watcher: Watcher,
    *,
    sample_weight: Any = None,
    init: Any = None,
    held_out: HeldOut | None = None,
) -> FitResult:
    """Fit as :func:`fit` does, telling `watcher` about it on the way.

    Accuracy and log-loss on `held_out` samples are added to the records.
    """
    begin = time.perf_counter()
    algorithm, keeper = options.check(), watcher.keeper
    if keeper is not None:
        resume.check_text(keeper, source.sha256)
    try:
        data = prepare.prepare(X, y, options, sample_weight)
        problem = prepare.problem_of(data, options)
    except DataError as error:
        raise DataError(str(error), source.path) from error
    log.info(
        "%s, %d x %d, %d non-zeros, %d thread(s)",
        "dense" if isinstance(problem.X, np.ndarray) else "sparse",
        problem.n,
        problem.p,
        problem.nonzeros,
        len(problem.blocks),
    )
    judge, about_test = held_out.judge(problem, data.scaling) if held_out else (None, [])
    unusual = prepare.notes(data, problem)
    for line in (*unusual, *starting.notes(options, algorithm.INFO), *about_test):
        watcher.note(line)
    w0 = None if init is None else warm.weights(problem, data.scaling, init)
    if keeper is not None:
        resume.identify(keeper, options, problem, source.sha256, w0)
    if options.algo == auto.INFO.name:
        picked, reason = auto.choose(problem, resumable=keeper is not None)
        options = replace(options, **{**picked, "metric": options.metric or picked.get("metric")})
        algorithm = options.check()
        watcher.note(f"auto picked {reason}")
    info = algorithm.INFO
    options = options.resolved(info)
    name = options.metric or "identity"
    exact = problem
    if problem.dtype != np.float64:
        exact = prepare.problem_of(data, options, np.float64)
    known, sha256 = _reference(exact, options, source, w0, keeper)
    known = known.in_metric(name)
    problem = problem.in_metric(metric.scale(problem, name))
    referred = time.perf_counter()
    log.info("f*: %s, %s (%.2f s)", known.status, known.method or known.reason, referred - begin)
    trace: list[Record] = []

    def tested(w: Array | None) -> Record:
        """What is held out for, in a row: of the weights of x_k, where they are known."""
        if judge is None:
            return {}
        if w is None:
            return dict.fromkeys(TESTED)
        verdict = judge(w)
        return dict(zip(TESTED, (verdict.accuracy, finite(verdict.log_loss)), strict=True))

    def report(row: Record, x: Array | None) -> None:
        row.update(tested(None if x is None else problem.rescaled(x)))
        trace.append(row)
        watcher.record(row)

    # What is not finite is found, and told, by the loop. Sparse products run on our threads: the
    # dots of single vectors that are left to BLAS are too short for threads of its own.
    blas = problem.threads if isinstance(problem.X, np.ndarray) else 1
    with np.errstate(all="ignore"), threadpool_limits(blas, user_api="blas"):
        x0 = problem.zeros() if w0 is None else problem.in_coordinates(w0)
        loop, count = starting.loop(options, info)
        merge = not info.minibatch and "problem" not in info.wants and count >= PAYS_FROM
        if keeper is not None:  # a run that is gone on with for longer changes no digit
            merge = keeper.head.setdefault("merge", merge)
        light = collapse(problem) if merge else problem
        first = light.value_and_gradient(light.rescaled(x0))
        state = starting.start(problem, algorithm, options, x0, problem.rescaled(first.g))
        told = replace(source, sha256=sha256)
        start = records.start(X, problem, options, info, known, told, d0=state.d)
        watcher.record(start)
        if watcher.interrupts is not None:
            watcher.interrupts.patient = True
        if keeper is not None:
            keeper.rows = trace
            if keeper.saved is not None:
                watcher.note(f"{keeper.origin}: going on from k = {keeper.saved.k}")
                if judge is None and any(TESTED[0] in row for row in keeper.saved.rows):
                    watcher.note("the run had --test; without it here the figures are left out")
                for row in keeper.saved.rows:
                    trace.append({n: v for n, v in row.items() if n not in TESTED})
                    trace[-1].update({n: row.get(n) for n in tested(None)})
                    watcher.record(trace[-1])
        budget = Budget(count, options.tol, options.time_limit, options.every)
        outcome = loop(
            light, algorithm, state, first, budget, known,
            report=report, progress=watcher.progress, interrupts=watcher.interrupts,
            keeper=keeper,
        )  # fmt: skip
    now = time.perf_counter() + (0.0 if keeper is None else keeper.seconds)
    end = records.end(
        outcome, tested(outcome.w), info, known, options,
        theorem2_k=getattr(state, "theorem2_k", None),
        seconds={
            "load": source.load_seconds,
            "reference": referred - begin,
            "solve": now - referred,
            "total": source.load_seconds + now - begin,
        },
        threads=problem.threads,
    )  # fmt: skip
    watcher.record(end)
    average = getattr(state, "theorem2_average", None)
    result = FitResult(
        w=outcome.w,
        d=state.d,
        trace=trace,
        reference=start["reference"],
        start=start,
        end=end,
        theorem2_w=None if average is None else problem.rescaled(average),
        classes=problem.labels.classes,
        model=replace(
            model_of(problem, data.scaling, outcome.w),
            about={"start": start, "steps": trace, "end": end, "d": state.d},
        ),
        signal=outcome.signal,
    )
    if outcome.reason is not None:
        smaller = "--lr" if options.lr else "--d0"
        raise NumericalError(
            f"{outcome.reason}; scale the features or take a smaller {smaller}", result=result
        )
    return result


def _reference(
    problem: Problem, options: Options, source: Source, w0: Array | None, keeper: Keeper | None
) -> tuple[Reference, str | None]:
    """The reference of the float64 objective, whatever the run's dtype, and the data's hash.

    A run that is gone on with keeps the reference it began with.
    """
    if keeper is not None:
        if "reference" not in keeper.head:
            keeper.head["reference"] = _reference(problem, options, source, w0, None)[0].document()
        known = Reference(**keeper.head["reference"])
        return known, source.sha256 or keeper.head["data"]["content"]
    wanted = options.reference
    if not isinstance(wanted, str):
        return reference.given(float(wanted)), source.sha256
    if wanted == "none":
        return reference.none("not asked for"), source.sha256
    content = reference.cache.content(problem)
    known = reference.find(problem, content, always=wanted == "always", x0=w0)
    return known, source.sha256 or content
