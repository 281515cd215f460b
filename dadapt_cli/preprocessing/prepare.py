"""Weights, labels and scaling: from the user's data to what a problem takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dadapt_cli._typing import Array, Label, Matrix
from dadapt_cli.errors import DataError
from dadapt_cli.preprocessing.labels import Labels, encode
from dadapt_cli.preprocessing.sample_weight import drop_weightless, sample_weights
from dadapt_cli.preprocessing.scaling import Scaling, fitted


@dataclass(frozen=True)
class Preparation:
    """How samples are prepared: options of a fit.

    Attributes
    ----------
    positive
        The label that is told apart from all the others, if any.
    weight
        Factors of the samples with these labels, or ``balanced``.
    scale
        One of :data:`~dadapt_cli.preprocessing.scaling.SCALES`.
    """

    positive: Label | None = None
    weight: Mapping[Label, float] | str = field(default_factory=dict)
    scale: str = "none"


@dataclass(frozen=True)
class Prepared:
    """Data ready for a problem: scaled, with the rows that count.

    Attributes
    ----------
    X, labels, sample_weight
        Of the rows whose weight is not 0; sample_weight is None where all are 1.
    scaling
        What was done to X.
    """

    X: Matrix
    labels: Labels
    sample_weight: Array | None
    scaling: Scaling

    @property
    def count(self) -> float:
        """What the mean of the losses is over: n, or the sum of the weights."""
        weights = self.sample_weight
        return self.X.shape[0] if weights is None else float(weights.sum())


def prepare(X: Any, y: Array, how: Preparation, sample_weight: Any = None) -> Prepared:
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
    weights = sample_weights(y, sample_weight, how.weight, how.positive)
    X, y, weights = drop_weightless(X, y, weights)
    labels = encode(y, positive=how.positive)
    scaling = fitted(how.scale, X, weights)
    return Prepared(scaling.apply(X), labels, weights, scaling)
