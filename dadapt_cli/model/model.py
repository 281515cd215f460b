"""A linear model: scores, labels, probabilities, and how well they fit labels that are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp

from dadapt_cli._typing import Array, Indices, Label, Mask, Matrix
from dadapt_cli.errors import DataError, UsageError
from dadapt_cli.objective.ball import Ball
from dadapt_cli.preprocessing.labels import indices
from dadapt_cli.preprocessing.scaling import Scaling

KINDS = ("logistic", "softmax", "one-vs-rest", "svm")

LARGEST = 1e150
"""Magnitude of a weight or bias in a file: the product of two is a number."""


@dataclass(frozen=True)
class Verdict:
    """How well a model predicts samples whose labels are known.

    Attributes
    ----------
    samples, right
        How many there are, and how many get their label.
    unknown
        How many have a label that the model does not know; they count as wrong.
    log_loss
        Mean of -log(probability of the own label) over the samples with known labels; None where
        there is none, or the model has no probabilities.
    """

    samples: int
    right: int
    unknown: int
    log_loss: float | None

    @property
    def accuracy(self) -> float:
        """Share of the samples that get their label."""
        return self.right / self.samples


@dataclass(frozen=True)
class Model:
    """Weights and what they mean.

    Attributes
    ----------
    kind
        ``logistic`` (one column: the probability of the second class is sigma(score)),
        ``softmax``, ``one-vs-rest`` (each column a sigma, normalised, as LIBLINEAR does) or
        ``svm`` (labels only).
    classes
        The labels. With one column a score above 0 means the second, else the first.
    w
        Weights, float64: (p,) or (p, C), one row more where there is a bias.
    bias
        Value of the constant feature, None where there is none.
    scaling
        Applied to data first.
    about
        What else is known of the fit: the records, the last d. JSON values.
    ball
        Contains a minimiser, for the scaled features; None where none is known.
    """

    kind: str
    classes: tuple[Label, ...]
    w: Array
    bias: float | None = None
    scaling: Scaling = field(default_factory=Scaling)
    about: Mapping[str, Any] = field(default_factory=dict)
    ball: Ball | None = field(default=None, compare=False)

    @property
    def n_features(self) -> int:
        """Number of features p, without the bias."""
        return len(self.w) - (self.bias is not None)

    def rows(self, X: Matrix) -> Matrix:
        """Scaled rows with the constant feature, (n, p) for weights of p rows."""
        X = self.scaling.apply(X)
        if self.bias is None:
            return X
        constant = np.full((X.shape[0], 1), self.bias)
        return (
            sp.hstack([X, constant], format="csr") if sp.issparse(X) else np.hstack([X, constant])
        )

    def proven(self, X: Matrix) -> Mask:
        """The samples whose label is proven to be the exact optimum's, (n,).

        Raises
        ------
        UsageError
            The model keeps no ball that contains the optimum.
        """
        if self.ball is None:
            raise UsageError(
                "the model has no radius around the optimum; fit with an l2 term and save an .npz"
            )
        return self.ball.proves(self.rows(X), self.decide(self.scores(X)))

    def conform(self, X: Matrix, *, strict: bool = False) -> tuple[Matrix, list[str]]:
        """Give data the model's number of features; return it with what is to be said about it.

        Raises
        ------
        DataError
            `strict` was asked for, and the numbers differ.
        """
        p, n_features = X.shape[1], self.n_features
        if p == n_features:
            return X, []
        if strict:
            raise DataError(
                f"{p} features, the model has {n_features}; leave --strict out, or give "
                f"--features {n_features} if that is what they are"
            )
        X = sp.csr_array(X)
        if p > n_features:
            entries = X.nnz
            X = X[:, :n_features]
            return X, [
                f"{p - n_features} features ({entries - X.nnz} entries) beyond the "
                f"{n_features} of the model are ignored"
            ]
        return sp.csr_array((X.data, X.indices, X.indptr), shape=(X.shape[0], n_features)), []

    def scores(self, X: Matrix) -> Array:
        """Scores of n samples with the model's number of features, (n,) or (n, C)."""
        X = self.scaling.apply(X)
        z: Array = X @ self.w[: self.n_features]
        return z if self.bias is None else z + self.bias * self.w[-1]

    def finite_scores(self, X: Matrix) -> Array:
        """:meth:`scores`, all of them numbers.

        Raises
        ------
        DataError
            One overflows, so that there is neither a label nor a probability.
        """
        with np.errstate(all="ignore"):
            z = self.scores(X)
        bad = np.flatnonzero(~np.isfinite(z).reshape(len(z), -1).all(axis=1))
        if bad.size:
            raise DataError(f"row {bad[0] + 1}: the score overflows; scale the features")
        return z

    def decide(self, scores: Array) -> Indices:
        """The number of the class of each sample, (n,); ties go LIBLINEAR's way."""
        if scores.ndim == 1:
            return (scores > 0).astype(np.intp)
        return np.asarray(scores.argmax(axis=1))

    def predict(self, X: Matrix) -> Any:
        """Labels of n samples with the model's number of features, (n,); as :meth:`decide`."""
        same = len({type(label) for label in self.classes}) == 1  # not ``rest`` and an integer
        return np.array(self.classes, None if same else object)[self.decide(self.scores(X))]

    def log_probabilities(self, scores: Array) -> Array:
        """Logarithms of the class probabilities, (n, number of classes).

        Raises
        ------
        DataError
            The model has none.
        """
        if self.kind == "svm":
            raise DataError("a support vector machine has no probabilities; only labels")
        if self.kind == "softmax":
            return scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
        if scores.ndim == 1:
            return -np.logaddexp(0.0, np.column_stack([scores, -scores]))
        each = -np.logaddexp(0.0, -scores)
        return np.asarray(each - np.logaddexp.reduce(each, axis=1, keepdims=True))

    def judge(self, scores: Array, y: Array) -> Verdict:
        """Compare with the labels y, (n,)."""
        index = indices(self.classes, y)
        known = index >= 0
        log_loss = None
        if self.kind != "svm" and known.any():
            log_p = self.log_probabilities(scores[known])
            log_loss = -float(log_p[np.arange(len(log_p)), index[known]].mean())
        right = int(np.count_nonzero(self.decide(scores) == index))
        return Verdict(len(y), right, int(np.count_nonzero(~known)), log_loss)
