"""How well the weights of a fit predict samples that it does not see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dadapt_cli._typing import Array, Matrix
from dadapt_cli.errors import DataError
from dadapt_cli.model import Model, Verdict
from dadapt_cli.objective import Problem
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


def model_of(problem: Problem, scaling: Scaling, w: Array) -> Model:
    """The model that weights of a problem make."""
    return Model(
        "softmax" if problem.softmax else "logistic",
        problem.labels.classes,
        np.asarray(w, np.float64),
        1.0 if problem.bias else None,
        scaling,
    )
