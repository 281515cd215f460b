"""From what the user gives to the problem: weights, labels, scaling, and what is unusual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dadapt_cli._typing import Array, Matrix
from dadapt_cli.errors import DataError
from dadapt_cli.objective import Problem
from dadapt_cli.preprocessing import labels, scaling
from dadapt_cli.preprocessing import sample_weight as weighting
from dadapt_cli.preprocessing.labels import Labels
from dadapt_cli.preprocessing.scaling import Scaling
from dadapt_cli.solver.options import Options


@dataclass(frozen=True)
class Prepared:
    """Data ready for a problem: scaled, with the rows that count.

    Attributes
    ----------
    X, labels, weights
        Of the rows whose weight is not 0; weights is None where all are 1.
    scaling
        What was done to X.
    """

    X: Matrix
    labels: Labels
    weights: Array | None
    scaling: Scaling

    @property
    def count(self) -> float:
        """What the mean of the losses is over: n, or the sum of the weights."""
        return self.X.shape[0] if self.weights is None else float(self.weights.sum())


def prepare(X: Any, y: Array, options: Options, sample_weight: Any = None) -> Prepared:
    """Weigh, label and scale the samples.

    Raises
    ------
    DataError, UsageError
        Shapes, labels or weights that cannot be used.
    """
    if X.ndim != 2:
        raise DataError(f"X has shape {X.shape}; one row a sample, one column a feature is needed")
    if y.ndim == 1 and len(y) != X.shape[0]:
        raise DataError(f"{X.shape[0]} rows for {len(y)} labels; one label a row is needed")
    weights = weighting.sample_weights(y, sample_weight, options.weight)
    X, y, weights = weighting.drop_weightless(X, y, weights)
    encoded = labels.encode(y, positive=options.positive)
    how = scaling.fitted(options.scale, X, weights)
    return Prepared(how.apply(X), encoded, weights, how)


def problem_of(data: Prepared, options: Options, dtype: Any = None) -> Problem:
    """The objective; l2 = 1/n is known once the data are."""
    return Problem(
        data.X,
        data.labels,
        l2=1.0 / data.count if options.l2 == "1/n" else float(options.l2),
        bias=options.bias,
        intercept=options.intercept,
        dtype=dtype or options.dtype,
        threads=options.threads,
        weights=data.weights,
    )


def notes(data: Prepared, problem: Problem) -> list[str]:
    """What is unusual about the data, one line each."""
    lines = list(data.labels.notes)
    if data.scaling.divisors is not None:
        lines.append(
            f"--scale {data.scaling.kind} only divides: there is no shift, zeros stay zeros"
        )
    rows = problem.X.any(axis=1) if isinstance(problem.X, np.ndarray) else np.diff(problem.X.indptr)
    empty = int(np.count_nonzero(np.asarray(rows) == 0))
    if empty == problem.n:
        lines.append("no row has a feature: every w has the same loss, log K for K classes")
    elif empty:
        lines.append(f"{empty} of {problem.n} rows have no features")
    return lines
