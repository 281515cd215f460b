"""A fit: options, start, the two loops, when to stop, the trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dadapt_cli.solver.stages import FitResult


def fit(
    X: Any, y: Any = None, *, sample_weight: Any = None, init: Any = None, **options: Any
) -> FitResult:
    """Fit logistic regression without a learning rate.

    Parameters
    ----------
    X
        Samples, shape (n, p): a SciPy sparse matrix or array, or anything NumPy takes; or
        ``dadapt_cli.packed(FOLDER)``, which has its own labels.
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
        gradient_bound, l2 (1/n unless given), C, bias, intercept, weight (a dict of labels, or
        "balanced"), scale, reference, tol, time_limit, positive, every, dtype, threads, metric,
        memory, inner, lbfgs_pairs, epochs, batch_size, schedule, seed, average, beta, c, momentum, betas,
        lr, variant, checkpoint, resume, restart, checkpoint_every, memory_limit.

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
        A checkpoint that cannot be written, or resumed.
    """
    import os

    import numpy as np
    import scipy.sparse as sp

    from dadapt_cli import model
    from dadapt_cli.errors import DataError, UsageError
    from dadapt_cli.packed.folder import Data
    from dadapt_cli.solver import resume
    from dadapt_cli.solver.monitor import Monitor
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
    with resume.opened(chosen, {*options, *(["init"] if path else [])}) as (chosen, checkpoint):
        chosen.check(options)
        start = init if chosen.init is None else model.load(chosen.init)
        if isinstance(X, Data):
            source = Source(X.path, X.about["text"]["sha256"], zero_based=X.about["zero_based"])
            samples = Samples(X, np.empty(0), source=source)
        else:
            samples = Samples(X, np.asarray(y), sample_weight)
        return fit_source(samples, chosen, Monitor(checkpoint=checkpoint), init=start)
