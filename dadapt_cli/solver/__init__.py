"""A fit: options, start, the two loops, when to stop, the trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from dadapt_cli._typing import Record
    from dadapt_cli.solver.stages import FitResult


def fit(
    X: Any,
    y: Any = None,
    *,
    sample_weight: Any = None,
    init: Any = None,
    verbose: bool = False,
    callback: Callable[[Record], Any] | None = None,
    cluster: str | None = None,
    workers: int | None = None,
    **options: Any,
) -> FitResult:
    """Fit logistic regression without a learning rate.

    Parameters
    ----------
    X
        Samples, shape (n, p): a SciPy sparse matrix or array, or anything NumPy takes; or
        ``dadapt_cli.packed(FOLDER)``, which has its own labels.
    y
        Labels, shape (n,): all integers, all text or all bools. Two distinct ones give the binary
        model, the greater one is the positive one; more give softmax.
    sample_weight
        How much each sample counts, shape (n,), at least 0; by default 1. The mean of the losses
        and l2 = 1/n are over their sum; 0 leaves a sample out.
    init
        x_0: an array in the shape of the result's ``w``, a model, or the path of one; by default
        0. D is measured from it.
    verbose
        Log a line a reported iteration, and the notes, at level INFO, through the logger
        ``dadapt``.
    callback
        Called with each record as it is made: start, the reported steps (``every``), end. The fit
        ends after the iteration for which it returns True, with the status ``interrupted``.
    cluster
        Who shares packed data: ``"mpi"``, the processes of mpiexec, each of which makes this call
        and gets the result; or the address of a Dask scheduler, ``"tcp://HOST:PORT"``; or None,
        this process alone. The result does not depend on it.
    workers
        Start so many processes here that share packed data, through Dask. A script needs
        ``if __name__ == "__main__":`` around the call, as for any module that starts processes.
    **options
        Fields of :class:`~dadapt_cli.solver.options.Options`: those of ``dadapt fit`` with
        underscores (docs/options.md has them all), such as algo, iterations, l2, tol, epochs.

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
        A checkpoint that cannot be written, or resumed; a cluster that cannot be reached, is lost,
        or does not see the folder.
    MissingExtraError
        The cluster needs a package that is not installed.
    """
    import os
    from dataclasses import replace

    import numpy as np
    import scipy.sparse as sp

    from dadapt_cli.cluster import jobs
    from dadapt_cli.errors import DataError, UsageError
    from dadapt_cli.packed.folder import Data
    from dadapt_cli.solver import resume
    from dadapt_cli.solver.checks import number
    from dadapt_cli.solver.monitor import Monitor, Told
    from dadapt_cli.solver.options import Options
    from dadapt_cli.solver.samples import Samples, Source
    from dadapt_cli.solver.stages import fit_source

    known = set(Options.__dataclass_fields__) - {"init"}
    if unknown := sorted(set(options) - known):
        raise UsageError(f"unknown option {unknown[0]!r}; there are {', '.join(sorted(known))}")
    if isinstance(X, Data):
        if y is not None or sample_weight is not None:
            raise UsageError("packed data have their own labels, and no sample_weight")
    elif y is None:
        raise UsageError("y: give a label for each sample")
    elif not sp.issparse(X):
        X = np.asarray(X)
        if X.dtype.kind not in "fiub":
            raise DataError(f"X is of type {X.dtype}; numbers are needed")
    for name in {"checkpoint", "resume"} & set(options):
        options[name] = options[name] and os.fspath(options[name])
    path = os.fspath(init) if isinstance(init, (str, os.PathLike)) else None
    chosen = Options(**options, init=path)
    given = {*options, *(["init"] if path else [])}
    jobs.check(cluster, workers)
    if workers is not None:
        number("workers", workers, at_least=1, at_most=4096)
    jobs.require_packed(cluster, workers, packed=isinstance(X, Data))

    def run(job: jobs.Job | None) -> FitResult:
        with resume.opened(chosen, given) as (resolved, checkpoint):
            resolved.check(options)
            start = init if resolved.init is None else resume.load_start(resolved, given)
            if isinstance(X, Data):
                source = Source(X.path, X.about["text"]["sha256"], zero_based=X.about["zero_based"])
                samples = Samples(X, np.empty(0), job=job, source=source)
            else:
                samples = Samples(X, y, sample_weight)
            told = Told(callback, verbose=verbose)
            monitor = Monitor(
                told.record, told.note, interrupts=told.interrupts, checkpoint=checkpoint
            )
            result = fit_source(samples, resolved, monitor, init=start)
            return replace(result, signal=None)  # none came: a callback may have ended it

    return jobs.run(cluster, workers, run)
