"""The five stages of a fit: prepare, reference, start, loop, finish."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from dadapt_cli import reference
from dadapt_cli._typing import Array, Matrix, Record
from dadapt_cli.algorithms import Algorithm, auto
from dadapt_cli.errors import CertificateError, DataError, NumericalError, UsageError
from dadapt_cli.model.held_out import HeldOut, PackedHeldOut, model_of
from dadapt_cli.objective import Evaluation, Problem, metric
from dadapt_cli.objective.ball import Ball
from dadapt_cli.objective.deduplicate import PAYS_FROM, collapse
from dadapt_cli.packed.folder import Data
from dadapt_cli.preprocessing.prepare import Preparation, Prepared, prepare
from dadapt_cli.reference import Reference
from dadapt_cli.solver import certify, resume, start, trace
from dadapt_cli.solver.monitor import Monitor
from dadapt_cli.solver.options import Options
from dadapt_cli.solver.result import FitResult as FitResult
from dadapt_cli.solver.samples import Samples
from dadapt_cli.solver.stopping import Budget, Stopping
from dadapt_cli.solver.trace import Outcome, Trace, finite
from dadapt_cli.system import blas, memory
from dadapt_cli.system.activity import tell

log = logging.getLogger("dadapt")

Tested: TypeAlias = HeldOut | PackedHeldOut | None

DOUBTED = ("suboptimality", "bound", "d_over_D")
"""Prefixes of the row keys that depend on the reference."""

TESTED = ("test_accuracy", "test_log_loss")
"""Record keys about held-out samples, in a fit that has some."""


def fit_source(
    samples: Samples,
    options: Options,
    monitor: Monitor,
    *,
    init: Any = None,
    held_out: Tested = None,
    known: Reference | None = None,
) -> FitResult:
    """Fit as :func:`dadapt_cli.fit` does, reporting to `monitor`.

    Accuracy and log-loss on `held_out` samples are added to the records. `known` is the reference
    of this problem from x_0 = 0, where the caller has it already.
    """
    with memory.limited(options.memory_bytes):
        setup = _prepare(samples, options, monitor, init, held_out)
    found = _reference(setup, known)
    # Non-finite values are found and reported by the loop. Sparse products, and those of a method
    # that distributes them itself, run on our threads: the dots of single vectors and the small
    # factors that are left to BLAS are too short for threads of its own.
    own = setup.algorithm.INFO.own_threads or not isinstance(setup.problem.X, np.ndarray)
    one = blas.threads(1 if own else setup.problem.threads)
    with np.errstate(all="ignore"), one, resume.advised(monitor.checkpoint):
        run = _start(setup, found)
        outcome = run.loop(setup.algorithm, run.state, run.first, run.stopping, run.trace)
    return _finish(setup, run, outcome)


@dataclass(frozen=True)
class _Setup:
    """Result of the first stage: everything that is known before any point is evaluated."""

    samples: Samples
    options: Options  # of the algorithm that runs, its defaults filled in
    algorithm: Algorithm
    data: Prepared
    problem: Problem  # in the user's variables
    w0: Array | None  # the weights to start from, if not 0
    judge: Callable[[Array | None], Record]
    tested: Matrix | None  # held-out rows, scaled, with the constant feature
    monitor: Monitor
    begin: float


def _prepare(
    samples: Samples,
    options: Options,
    monitor: Monitor,
    init: Any,
    held_out: Tested,
) -> _Setup:
    """The problem, the start, and the algorithm that runs."""
    begin, source = time.perf_counter(), samples.source
    algorithm = options.check()
    resume.check_text(monitor.checkpoint, source.sha256)
    how = Preparation(options.positive, options.weight, options.scale)
    try:
        problem: Problem
        if isinstance(samples.X, Data):
            from dadapt_cli.solver import packed

            packed.check(options, algorithm.INFO, samples.job)
            data, problem = packed.prepared(samples.X, options, algorithm.INFO, samples.job)
        else:
            with resume.blamed(monitor.checkpoint.origin, UsageError):
                data = prepare(samples.X, samples.y, how, samples.sample_weight)
            problem = start.problem_of(data, options)
    except DataError as error:
        raise DataError(str(error), source.path) from error
    kind = "dense" if isinstance(problem.X, np.ndarray) else "sparse"
    log.info("%s, %d x %d, %d non-zeros, %d thread(s)",
             kind, problem.n, problem.p, problem.nonzeros, len(problem.blocks))  # fmt: skip
    judge, about_test = _judge(held_out, problem, data)
    tested = held_out.rows(problem, data.scaling) if held_out and options.stop_when_proven else None
    more = start.notes(options, algorithm.INFO)
    if samples.job is not None:
        more += samples.job.notes
    for line in (*start.unusual(data, problem), *more, *about_test):
        monitor.note(line)
    w0 = None if init is None else start.x0_weights(problem, data.scaling, init)
    resume.identify(monitor.checkpoint, options, problem, source.sha256, w0)
    if options.algo == auto.INFO.name:
        picked, reason = auto.choose(
            problem, metric=options.metric, resumable=monitor.checkpoint.keeps
        )
        options = replace(options, **{**picked, "metric": options.metric or picked.get("metric")})
        algorithm = options.check()
        if problem.sums is not None:
            from dadapt_cli.solver import packed

            packed.check(options, algorithm.INFO, samples.job)
        monitor.note(f"auto picked {reason}")
    resolved = options.resolved(algorithm.INFO)
    return _Setup(samples, resolved, algorithm, data, problem, w0, judge, tested, monitor, begin)


def _judge(
    held_out: Tested, problem: Problem, data: Prepared
) -> tuple[Callable[[Array | None], Record], list[str]]:
    """What held-out samples add to a row; None stands for weights that are not known."""
    if held_out is None:
        return lambda w: {}, []
    verdict_of, notes = held_out.judge(problem, data.scaling)

    def judge(w: Array | None) -> Record:
        if w is None:
            return dict.fromkeys(TESTED)
        verdict = verdict_of(w)
        return dict(zip(TESTED, (verdict.accuracy, finite(verdict.log_loss)), strict=True))

    return judge, notes


@dataclass(frozen=True)
class _Known:
    """Result of the second stage: the reference in the metric of the run, and when it was found."""

    reference: Reference
    exact: Problem  # the float64 objective that the reference is about
    sha256: str | None  # of the data
    time: float


def _reference(setup: _Setup, given: Reference | None) -> _Known:
    """The reference of the float64 objective, whatever the run's dtype, and the data's hash.

    A resumed run keeps the reference it began with.
    """
    options, sha256 = setup.options, setup.samples.source.sha256
    problem: Any = setup.problem
    if problem.sums is not None:
        problem = problem.in_float64()
    elif problem.dtype != np.float64:
        problem = start.problem_of(setup.data, options, np.float64)
    content = ""
    if given is None and options.reference in ("auto", "always"):
        content = reference.cache.content(problem)

    def find() -> Reference:
        if given is not None:
            return given
        if not isinstance(options.reference, str):
            return reference.given(float(options.reference))
        if options.reference == "none":
            return reference.none("not asked for")
        always = options.reference == "always"
        if problem.sums is not None and not always:
            return reference.none("for packed data --reference always computes it")
        return reference.find(problem, content, always=always, x0=setup.w0)

    checkpoint = setup.monitor.checkpoint
    known = find()
    if checkpoint.keeps:  # its words and digits stay those of the first run
        kept = checkpoint.remember("reference", known.document)
        resume.check_reference(checkpoint, kept, known)
        same = kept["status"] == known.status
        ball, witness = (known.ball, known.witness) if same else (None, None)
        known = Reference(**kept, witness=witness, ball=ball)
    now = time.perf_counter()
    log.info("f*: %s, %s (%.2f s)", known.status, known.method or known.reason, now - setup.begin)
    in_metric = known.in_metric(options.metric or "identity")
    return _Known(in_metric, problem, sha256 or content or None, now)


@dataclass(frozen=True)
class _Run:
    """Result of the third stage: a state before its first step, and what monitors it."""

    loop: Callable[..., Outcome]
    state: Any
    first: Evaluation
    stopping: Stopping
    trace: Trace
    start: Record
    known: _Known


def _start(setup: _Setup, known: _Known) -> _Run:
    """The state, the start record, and the rows of the run that is resumed."""
    options, monitor, info = setup.options, setup.monitor, setup.algorithm.INFO
    checkpoint, w0 = monitor.checkpoint, setup.w0
    scale = metric.scale(setup.problem, options.metric or "identity")
    problem = setup.problem.in_metric(scale)
    x0 = problem.zeros() if w0 is None else problem.in_coordinates(w0)
    loop, count = start.loop(options, info, resume.schedule_length(checkpoint, options, info))
    here = setup.problem.sums is None
    merges = here and not info.minibatch and "problem" not in info.wants and count >= PAYS_FROM
    # A run that is resumed for longer changes no digit.
    if checkpoint.remember("merge", lambda: merges):
        problem = collapse(problem)
    first = problem.value_and_gradient(problem.rescaled(x0))
    whole = setup.problem.in_metric(scale)
    g0, f_star = problem.rescaled(first.g), known.reference.f_star
    state = start.start(problem, setup.algorithm, options, x0, g0, f_star)
    source = replace(setup.samples.source, sha256=known.sha256)
    labels = setup.data.labels.classes
    data = trace.describe(setup.samples.X, whole.n, labels, source)
    began = trace.start(data, whole, options, info, known.reference, state.d)
    monitor.record(began)
    tell("solving")
    monitor.interrupts.patient = True
    rows = Trace(problem, known.reference, monitor, setup.judge, info.distance)
    checkpoint.rows = rows.rows
    if checkpoint.saved is not None:
        monitor.note(f"{checkpoint.origin}: resumed from k = {checkpoint.saved.k}")
        rows.resume(checkpoint.saved.rows)
    limit = float("inf") if options.time_limit is None else options.time_limit
    budget = Budget(count, options.tol, limit, options.every, options.stop_when_proven)
    judged = known.exact.X if setup.tested is None else setup.tested
    stopping = Stopping(problem, budget, known.reference, known.exact, judged)
    return _Run(loop, state, first, stopping, rows, began, known)


def _finish(setup: _Setup, run: _Run, outcome: Outcome) -> FitResult:
    """The end record and the result; NumericalError with it where the run failed."""
    options, source, known = setup.options, setup.samples.source, run.known
    now = time.perf_counter() + setup.monitor.checkpoint.seconds
    believed, withdrawn = known.reference, _refuted(known, outcome)
    if withdrawn:
        claim = f"f* = {believed.f_star!r}, certified to {believed.gap:.1e}"
        believed = reference.none(f"f fell below {claim}: that was false and is withdrawn")
        rows = {name: None for name in outcome.row if name.startswith(DOUBTED)}
        outcome = replace(outcome, row={**outcome.row, **rows})
    here = known.exact.sums is None
    proves = not outcome.reason and (here or believed.ball is not None)
    gap, ball = _proven(setup, run, believed, outcome) if proves else (None, None)
    ball = ball if here else None  # labels of packed rows are not proven
    end = trace.end(
        outcome,
        theorem2_k=getattr(run.state, "theorem2_k", None),
        tested=setup.judge(outcome.w),
        diagnosis=[
            *trace.diagnose(outcome, setup.algorithm.INFO, believed, options.tol),
            *trace.rejections(run.state),
            *trace.roughness(run.state),
        ],
        seconds={
            "load": source.load_seconds,
            "reference": known.time - setup.begin,
            "solve": now - known.time,
            "total": source.load_seconds + now - setup.begin,
        },
        threads=setup.problem.threads,
        labels_proven=certify.share_proven(run.stopping.rows, ball, outcome.w),
        gap=gap,
    )
    unproven = _proof(setup, run, believed)
    if unproven is not None:
        end["diagnosis"].append(f"{options.certificate}: no proof is written: {unproven}")
    setup.monitor.record(end)
    average = getattr(run.state, "theorem2_average", None)
    about = {"start": run.start, "steps": run.trace.rows, "end": end, "d": run.state.d}
    result = FitResult(
        w=outcome.w,
        d=run.state.d,
        trace=run.trace.rows,
        reference=believed.record() if withdrawn else run.start["reference"],
        start=run.start,
        end=end,
        theorem2_w=None if average is None else run.trace.problem.rescaled(average),
        classes=setup.data.labels.classes,
        model=replace(
            model_of(setup.problem, setup.data.scaling, outcome.w), about=about, ball=ball
        ),
        signal=outcome.signal,
        proof=None if unproven is not None else options.certificate,
    )
    if withdrawn:
        raise CertificateError(f"{believed.reason}; please report it with the data", result=result)
    if outcome.reason is not None:
        smaller = "--lr" if options.lr else "--d0"
        raise NumericalError(
            f"{outcome.reason}; scale the features or take a smaller {smaller}", result=result
        )
    return result


def _proven(
    setup: _Setup, run: _Run, believed: Reference, outcome: Outcome
) -> tuple[float | None, Ball | None]:
    """The bound on f - f* at the outcome, and a ball around the optimum.

    What stopped the run may have proven a smaller one.
    """
    known, kept = run.known, run.stopping.enclosed
    if kept and believed is known.reference and np.array_equal(kept[0], outcome.w):
        gap, ball = kept[1]
    else:
        gap, ball = certify.gap_at(known.exact, believed, outcome.w)
    tol, stopped = setup.options.tol, outcome.status == "tolerance"
    if stopped and believed.status != "given" and gap is not None and tol is not None:
        gap = min(gap, tol)
    return gap, ball


def _refuted(known: _Known, outcome: Outcome) -> bool:
    """Whether f at the outcome is proven to be below what the reference claims f* to be."""
    f_star, gap = known.reference.f_star, known.reference.gap
    f_best = outcome.row.get("f_best")
    if known.reference.status == "given" or f_star is None or gap is None or f_best is None:
        return False
    if f_best >= f_star - gap:
        return False
    from dadapt_cli.reference.enclosure import enclose

    return enclose(known.exact, outcome.w.astype(np.float64)).f_upper < f_star - gap


def _proof(setup: _Setup, run: _Run, believed: Reference) -> str | None:
    """Write ``--certificate``'s file, if it is asked for; say why where that is not possible."""
    options, info = setup.options, setup.algorithm.INFO
    if options.certificate is None:
        return None
    rows = [] if info.minibatch else run.trace.rows
    exact, w0 = run.known.exact, setup.w0
    return certify.write_proof(setup.samples, options, setup.data, exact, believed, rows, w0)
