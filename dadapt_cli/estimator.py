"""``DAdaptClassifier``: a fit behind scikit-learn's interface."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from dadapt_cli import algorithms
from dadapt_cli._typing import Array, Record
from dadapt_cli.errors import DataError, UsageError
from dadapt_cli.objective import Problem, cores
from dadapt_cli.objective.minibatches import Batches
from dadapt_cli.preprocessing.labels import Labels
from dadapt_cli.preprocessing.sample_weight import merge_equal
from dadapt_cli.solver import stages, start
from dadapt_cli.solver.monitor import Monitor
from dadapt_cli.solver.options import Options, not_for
from dadapt_cli.solver.samples import Samples

log = logging.getLogger("dadapt")

RENAMED = {"fit_intercept": "intercept", "n_jobs": "threads"}
"""Options of a fit under scikit-learn's names."""

OWN = ("class_weight", "random_state", "warm_start", "verbose")
"""Parameters that are not options of a fit."""


@contextmanager
def _as_scikit_learn_says() -> Iterator[None]:
    """Turn errors about parameters or data into ValueError, as scikit-learn does."""
    try:
        yield
    except (UsageError, DataError) as error:
        raise ValueError(str(error)) from error


def _learns_in_parts(self: DAdaptClassifier) -> bool:
    """Whether the algorithm is a minibatch one: only these can go on with other samples."""
    return self.algo in algorithms.table() and algorithms.find(self.algo).INFO.minibatch


class DAdaptClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    r"""Logistic regression; unlike in a fit, ``auto``, an intercept, and a `tol` to stop at.

    Binary or softmax, without a learning rate: minimises the weighted mean of the losses plus
    (l2/2) ||coef||^2. With ``l2="1/n"``, the default, n the sum of the weights, that is the
    objective of ``LogisticRegression(C=1)``. In these defaults it differs from the fits of the
    command line, which run ``dual-avg`` without an intercept to the end of their iterations.

    Parameters
    ----------
    algo
        ``auto`` (``newton``; with a `metric` ``lbfgs``), ``orth``, ``safe``, ``lbfgs``,
        ``dual-avg``, ``gd``, ``adagrad``, or a minibatch one: ``sgd``, ``adam``, ...
    l2
        Weight of the l2 term: a number, or ``"1/n"``.
    fit_intercept
        An intercept, which is not penalised.
    tol
        Stop once f is certified to lie within `tol` of its minimum; absolute, as f is a mean. Where
        that is not reached there is a ConvergenceWarning. None goes on until `iterations`, or until
        f can be lowered no further. Minibatch algorithms run all their epochs unless a value
        other than the default is given.
    class_weight
        None, ``"balanced"``, or a weight for each class; times the samples' weights.
    random_state
        Seed of the minibatches.
    warm_start
        Start from the last fit, where classes and features are the same.
    verbose
        Log one line per reported iteration, at level INFO, through the logger ``dadapt``.
    n_jobs
        Threads; None or -1 for all cores.
    iterations, d0, bound, gradient_bound, metric, memory, inner, lbfgs_pairs, epochs, \
batch_size, c, schedule, average, beta, momentum, betas, lr, variant, reference, time_limit, every
        As for :func:`dadapt_cli.fit`; no reference is computed unless asked for.

    Attributes
    ----------
    classes_
        The labels, sorted, shape (C,).
    coef_, intercept_
        Shape (1, p) and (1,) for two classes, (C, p) and (C,) for more.
    n_iter_
        Steps made.
    d_
        The last d_k, a lower bound on ||x_0 - x*|| in the algorithm's metric (an estimate for
        minibatch algorithms); None for baselines without one.
    trace_
        The step records.
    result_
        The :class:`~dadapt_cli.solver.stages.FitResult`; not after ``partial_fit``.
    n_features_in_, feature_names_in_
        As scikit-learn sets them.

    Notes
    -----
    D-Adaptation: Defazio & Mishchenko, ICML 2023. ``dadapt algorithms`` says what is proven.
    """

    _state: Any
    _generator: np.random.Generator

    def __init__(
        self,
        algo: str = "auto",
        *,
        l2: str | float = "1/n",
        fit_intercept: bool = True,
        tol: float | None = 1e-8,
        iterations: int = 1000,
        class_weight: Any = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        n_jobs: int | None = None,
        d0: str | float = "auto",
        bound: str | None = None,
        gradient_bound: str | float = "auto",
        metric: str | None = None,
        memory: int = 1,
        inner: str = "exact",
        lbfgs_pairs: int = 0,
        epochs: int = 100,
        batch_size: int = 16,
        c: float = 4.0,
        schedule: str = "paper",
        average: str = "none",
        beta: float = 0.9,
        momentum: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.999),
        lr: float | None = None,
        variant: str = "paper",
        reference: str | float = "none",
        time_limit: float | None = None,
        every: str | int = "log",
    ) -> None:
        self.algo = algo
        self.l2 = l2
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.iterations = iterations
        self.class_weight = class_weight
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.n_jobs = n_jobs
        self.d0 = d0
        self.bound = bound
        self.gradient_bound = gradient_bound
        self.metric = metric
        self.memory = memory
        self.inner = inner
        self.lbfgs_pairs = lbfgs_pairs
        self.epochs = epochs
        self.batch_size = batch_size
        self.c = c
        self.schedule = schedule
        self.average = average
        self.beta = beta
        self.momentum = momentum
        self.betas = betas
        self.lr = lr
        self.variant = variant
        self.reference = reference
        self.time_limit = time_limit
        self.every = every

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @_as_scikit_learn_says()
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> DAdaptClassifier:
        """Fit the model.

        Parameters
        ----------
        X
            Samples, shape (n, p), sparse or dense.
        y
            Labels, shape (n,), of any type that sorts.
        sample_weight
            Shape (n,), >= 0; None for 1 each. A sample of weight 0 counts as left out.

        Raises
        ------
        ValueError
            Data or parameters that cannot be used.
        """
        X, y, weights = self._samples(X, y, sample_weight)
        classes = np.unique(y)
        if len(classes) < 2:
            raise ValueError(f"y has one class, {classes.tolist()}; two are needed")
        init = self._start(classes, X.shape[1]) if self.warm_start else None
        self.classes_ = classes
        self.__dict__.pop("_state", None)  # of partial_fit
        options = self._options()
        chosen = Options(**options)
        if not chosen.check(options).INFO.minibatch:
            index = np.searchsorted(classes, y)
            X, index, weights = merge_equal(X, index, weights)
            y = classes[index]
        result = stages.fit_source(Samples(X, y, weights), chosen, self._monitor(), init=init)
        self.result_ = result
        self._keep(result.w, X.shape[1])
        self.n_iter_, self.d_, self.trace_ = int(result.end["k"]), result.d, result.trace
        if not chosen.met(result.status) and result.status != "precision":
            warnings.warn(
                f"f is not certified to be within tol = {chosen.tol:g} of its minimum after "
                f"{self.n_iter_} steps; scale the features, or allow more iterations or a larger "
                "tol",
                ConvergenceWarning,
                stacklevel=3,
            )
        return self

    def _samples(self, X: Any, y: Any, sample_weight: Any, reset: bool = True) -> tuple[Any, ...]:
        """Return the samples without those of weight 0; the weights are None if all are 1."""
        X, y = validate_data(
            self, X, y, accept_sparse="csr", dtype=np.float64, reset=reset, y_numeric=False
        )
        check_classification_targets(y)
        if sample_weight is None and self.class_weight is None:
            return X, y, None
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        if self.class_weight is not None:
            weights = weights * compute_sample_weight(self.class_weight, y)
        kept = weights > 0
        return X[kept], y[kept], weights[kept]

    def _options(self) -> dict[str, Any]:
        """Options of a fit: those that differ from the fit's own defaults.

        A default of this class that the algorithm does not take is dropped.
        """
        info = algorithms.find(self.algo, self.variant).INFO
        mine = type(self)().get_params()
        foreign = (*not_for(info), *(["tol"] if info.minibatch else []))
        options = {
            RENAMED.get(name, name): value
            for name, value in self.get_params().items()
            if name not in OWN and not (name in foreign and value == mine[name])
        }
        options["intercept"] = bool(self.fit_intercept)
        if self.n_jobs is not None and self.n_jobs < 0:  # as joblib counts: -1 is all cores
            options["threads"] = max(1, cores() + 1 + self.n_jobs)
        if info.minibatch:
            options["seed"] = int(check_random_state(self.random_state).randint(2**31))
        defaults = Options()
        return {k: v for k, v in options.items() if v != getattr(defaults, k)}

    def _start(self, classes: Array, p: int) -> Array | None:
        """x_0 from the last fit, or None where its classes or features differ."""
        if not hasattr(self, "coef_") or not np.array_equal(classes, self.classes_):
            return None
        if self.coef_.shape[1] != p:
            return None
        w = self.coef_.T
        if self.fit_intercept:
            w = np.vstack([w, self.intercept_])
        return np.ascontiguousarray(w if len(classes) > 2 else w[:, 0])

    def _keep(self, w: Array, p: int) -> None:
        """coef_ and intercept_ from weights of shape (p,) or (p, C), the intercept below."""
        w = w.reshape(len(w), -1).T
        self.coef_ = np.ascontiguousarray(w[:, :p])
        self.intercept_ = w[:, p] if self.fit_intercept else np.zeros(len(w))

    @available_if(_learns_in_parts)  # type: ignore[untyped-decorator]
    @_as_scikit_learn_says()
    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> DAdaptClassifier:
        """Go on, also after :meth:`fit`, with one epoch over more samples; a constant schedule.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`fit`.
        classes
            All labels that will ever come; needed where nothing has been fitted yet.

        Raises
        ------
        ValueError
            Labels that are not in `classes`, or ``l2="1/n"``, whose n would differ from call to
            call.
        """
        begins = not hasattr(self, "_state")
        known = None if begins and classes is not None else getattr(self, "classes_", None)
        if known is None and classes is None:
            raise ValueError("the first call of partial_fit needs classes, all of them")
        if self.l2 == "1/n":
            raise ValueError("partial_fit needs a number for l2; n differs from call to call")
        X, y, weights = self._samples(X, y, sample_weight, reset=known is None)
        if known is None:
            self.classes_ = np.unique(classes)
            self.__dict__.pop("coef_", None)
        index = np.searchsorted(self.classes_, y).clip(max=len(self.classes_) - 1)
        if (unknown := self.classes_[index] != y).any():
            raise ValueError(f"label {y[unknown][0]!r} is not among the classes given at first")
        given = self._options()
        options = Options(**given)
        algorithm = options.check(given)
        problem = Problem(
            X,
            Labels(tuple(range(len(self.classes_))), index.astype(np.intp)),
            l2=float(self.l2),
            intercept=self.fit_intercept,
            sample_weight=weights,
            threads=self.n_jobs,
        )
        batches = Batches(problem, self.batch_size, options.seed)
        if begins:
            before = self._start(self.classes_, X.shape[1])
            x0 = problem.zeros() if before is None else before
            self._state = start.start(problem, algorithm, options, x0, x0)
            self.n_iter_, self.trace_ = 0, []
        else:
            batches.generator = self._generator
        self._generator = batches.generator
        for batch in batches.epoch():
            algorithm.step(self._state, batches.gradient(*batch, self._state.x))
            self.n_iter_ += 1
        self._keep(self._state.point, X.shape[1])
        self.d_ = self._state.d
        return self

    def decision_function(self, X: Any) -> Array:
        """Scores: shape (n,) for two classes, positive for the second; (n, C) for more."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float64, reset=False)
        scores: Array = X @ self.coef_.T + self.intercept_
        return scores if len(self.classes_) > 2 else scores[:, 0]

    def predict(self, X: Any) -> Array:
        """Label of the class with the largest score, shape (n,)."""
        scores = self.decision_function(X)
        index = scores.argmax(axis=1) if scores.ndim > 1 else (scores > 0).astype(np.intp)
        return np.asarray(self.classes_[index])

    def predict_proba(self, X: Any) -> Array:
        """Probability of each class, shape (n, C)."""
        scores = self.decision_function(X)
        if scores.ndim > 1:
            return np.asarray(softmax(scores, axis=1))
        return np.column_stack([expit(-scores), expit(scores)])

    def predict_log_proba(self, X: Any) -> Array:
        """Logarithm of the probability of each class, without underflow."""
        scores = self.decision_function(X)
        if scores.ndim > 1:
            return np.asarray(log_softmax(scores, axis=1))
        return np.column_stack([log_expit(-scores), log_expit(scores)])

    def _monitor(self) -> Monitor:
        """Return a monitor that logs notes always, and rows if ``verbose``."""
        return Monitor(record=_log_row, note=log.info) if self.verbose else Monitor(note=log.info)


def _log_row(record: Record) -> None:
    if record["event"] == "step":
        d = "" if record["d"] is None else f", d = {record['d']:.6g}"
        log.info("k = %d: f = %.9g%s", record["k"], record["f_last"], d)
