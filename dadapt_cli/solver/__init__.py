"""A fit: options, start, the two loops, when to stop, the trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dadapt_cli.solver.stages import FitResult


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
        A checkpoint that cannot be written, or resumed.
    """
    import os

    import numpy as np
    import scipy.sparse as sp

    from dadapt_cli.errors import DataError, UsageError
    from dadapt_cli.solver import resume
    from dadapt_cli.solver.monitor import Monitor
    from dadapt_cli.solver.options import Options
    from dadapt_cli.solver.samples import Samples
    from dadapt_cli.solver.stages import fit_source

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
    given = {*options, *(["init"] if path else [])}
    with resume.opened(chosen, given) as (chosen, checkpoint):
        chosen.check(options)
        start = init if chosen.init is None else resume.load_start(chosen, given)
        samples = Samples(X, np.asarray(y), sample_weight)
        return fit_source(samples, chosen, Monitor(checkpoint=checkpoint), init=start)
