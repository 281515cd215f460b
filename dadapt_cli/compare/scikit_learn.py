"""scikit-learn's LogisticRegression: ``scikit-learn:lbfgs`` and its other solvers."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.compare.case import Case
from dadapt_cli.compare.ladder import Answers, Ladder

SOLVERS = ("lbfgs", "newton-cg", "newton-cholesky", "liblinear", "saga")

PREFIX = "scikit-learn"


@dataclass(frozen=True)
class ScikitLearn(Ladder):
    """One of its solvers; a call of ``fit`` is what is timed."""

    name: str
    solver: str

    @property
    def library(self) -> str:
        """scikit-learn, with its version."""
        return f"scikit-learn {version('scikit-learn')}"

    def unsuited(self, case: Case) -> str | None:
        """Its solver liblinear has no softmax, and penalises the intercept too."""
        problem = case.problem
        if self.solver != "liblinear":
            return None
        if problem.softmax:
            return f"it fits {problem.n_classes} classes one against the rest, another problem"
        if problem.l2 == 0:
            return "it needs an l2 term"
        return "it penalises the intercept" if problem.intercept else None

    def described(self, case: Case) -> dict[str, object]:
        """Arguments of LogisticRegression."""
        problem = case.problem
        return {
            "solver": self.solver,
            "C": None if problem.l2 == 0 else 1.0 / (problem.l2 * problem.n_mean),
            "fit_intercept": problem.intercept,
            "max_iter": case.shared.iterations,
        }

    def on(self, case: Case) -> AbstractContextManager[Answers]:
        """The data as they are."""
        return nullcontext(_Fits(case, self.described(case)))


class _Fits:
    def __init__(self, case: Case, arguments: dict[str, Any]) -> None:
        problem = self.problem = case.problem
        self.arguments = {**arguments, "C": arguments["C"] or np.inf, "random_state": 0}
        self.X = problem.X[:, :-1] if problem.intercept else problem.X
        self.y = problem.labels.index
        self.weights = problem.sample_weight

    def answer(self, tolerance: float) -> tuple[Array, float | None]:
        """Fit at a tolerance."""
        from sklearn.linear_model import LogisticRegression

        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # it did not converge: the referee will tell
            model = LogisticRegression(**self.arguments, tol=tolerance)
            model.fit(self.X, self.y, sample_weight=self.weights)
        w = model.coef_.T
        if self.problem.intercept:
            w = np.concatenate([w, np.reshape(model.intercept_, (1, -1))])
        return w, None
