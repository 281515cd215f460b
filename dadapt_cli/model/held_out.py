"""How well the weights of a fit predict samples that it does not see."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from dadapt_cli._typing import Array, Matrix
from dadapt_cli.errors import DataError, UsageError
from dadapt_cli.model import Model, Verdict
from dadapt_cli.objective import Problem
from dadapt_cli.packed.folder import Data
from dadapt_cli.preprocessing.labels import indices
from dadapt_cli.preprocessing.scaling import Scaling


@dataclass(frozen=True)
class HeldOut:
    """Samples with labels, as read.

    Attributes
    ----------
    X, y
        (n, p) and (n,); p need not be that of the fit.
    path
        For messages.
    strict
        Refuse another p than that of the fit.
    """

    X: Matrix
    y: Array
    path: str | None = None
    strict: bool = False

    def rows(self, problem: Problem, scaling: Scaling) -> Matrix:
        """The samples as the weights of the problem want them, (n, p)."""
        whole = model_of(problem, scaling, problem.zeros())
        return whole.rows(whole.conform(self.X, strict=self.strict)[0])

    def judge(
        self, problem: Problem, scaling: Scaling
    ) -> tuple[Callable[[Array], Verdict], list[str]]:
        """A function that scores weights of the problem, and notes about the samples.

        Raises
        ------
        DataError
            There are no samples, or, where that is strict, they have another p.
        """
        if not len(self.y):
            raise DataError("no data rows", self.path)
        whole = model_of(problem, scaling, problem.zeros())
        try:
            X, lines = whole.conform(self.X, strict=self.strict)
        except DataError as error:
            raise DataError(str(error), self.path) from None
        scaled = scaling.apply(X)

        def verdict(w: Array) -> Verdict:
            model = model_of(problem, Scaling(), w)
            return model.judge(model.scores(scaled), self.y)

        if unknown := verdict(problem.zeros()).unknown:
            lines.append(f"{unknown} labels that the fit does not know; they count as wrong")
        place = "" if self.path is None else f"{self.path}: "
        return verdict, [place + line for line in lines]


@dataclass(frozen=True)
class PackedHeldOut:
    """Samples of a packed folder, read leaf by leaf each time they are asked for.

    Attributes
    ----------
    data
        The folder.
    strict
        As of :class:`HeldOut`.
    """

    data: Data
    strict: bool = False

    def rows(self, problem: Problem, scaling: Scaling) -> Matrix:
        """None: labels of packed samples are not proven."""
        raise UsageError("--stop-when-proven is not for a packed --test; give its text")

    def judge(
        self, problem: Problem, scaling: Scaling
    ) -> tuple[Callable[[Array], Verdict], list[str]]:
        """As :meth:`HeldOut.judge`.

        Raises
        ------
        DataError
            Where that is strict, the samples have another p.
        """
        whole = model_of(problem, scaling, problem.zeros())
        p, wanted = self.data.shape[1], whole.n_features
        if self.strict and p != wanted:
            raise DataError(f"{p} features, the fit has {wanted}", self.data.path)
        lines = []
        if p > wanted:
            lines.append(f"entries beyond the {wanted} features of the fit are ignored")
        unknown = sum(
            count for label, count in self.data.classes.items()
            if (indices(whole.classes, np.array([label])) < 0).all()
        )  # fmt: skip
        if unknown:
            lines.append(f"{unknown} labels that the fit does not know; they count as wrong")

        def verdict(w: Array) -> Verdict:
            model = model_of(problem, scaling, w)
            return add_up([model.judge(model.scores(model.conform(X)[0]), y)
                           for X, y in samples(self.data)])  # fmt: skip

        return verdict, [f"{self.data.path}: {line}" for line in lines]


def samples(data: Data) -> Iterator[tuple[Matrix, Array]]:
    """Rows of a packed folder and their labels, leaf by leaf, float64."""
    from dadapt_cli.packed.stream import rows

    names = np.array(list(data.classes), np.float64)
    for own in rows(data, np.dtype(np.float64)):
        yield own.X, names[own.numbers]


def add_up(verdicts: list[Verdict]) -> Verdict:
    """The verdict on all samples, from those on parts of them."""
    total = sum(one.samples for one in verdicts)
    unknown = sum(one.unknown for one in verdicts)
    known = [(one.log_loss, one.samples - one.unknown) for one in verdicts
             if one.log_loss is not None]  # fmt: skip
    log_loss = None
    if known:
        log_loss = math.fsum(loss * count for loss, count in known) / (total - unknown)
    return Verdict(total, sum(one.right for one in verdicts), unknown, log_loss)


def model_of(problem: Problem, scaling: Scaling, w: Array) -> Model:
    """The model that weights of a problem make."""
    return Model(
        "softmax" if problem.softmax else "logistic",
        problem.labels.classes,
        np.asarray(w, np.float64),
        1.0 if problem.bias else None,
        scaling,
    )
