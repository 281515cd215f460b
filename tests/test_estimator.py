"""DAdaptClassifier: scikit-learn's own checks, and that it is the same fit."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import dadapt_cli as dadapt
from dadapt_cli import DAdaptClassifier
from dadapt_cli.libsvm import read_libsvm

from .conftest import DATA

OTHERS: dict[str, dict[str, Any]] = {
    "orth": {"inner": "newton", "lbfgs_pairs": 10},
    "safe": {"iterations": 300},
    "dual-avg": {"iterations": 300, "tol": None},
    "adam": {"l2": 0.01, "epochs": 60},
}
"""What makes each algorithm's checks short."""

EQUIVALENCE = {f"check_sample_weight_equivalence_on_{k}_data" for k in ("dense", "sparse")}
"""They compare weighted with repeated samples, in another order, to 1e-7."""

ORDERED = ("adam", "safe")
"""Minibatches depend on the order of the samples; ``safe`` magnifies the rounding of its sums."""


def wine() -> tuple[Any, Any]:
    X, y = read_libsvm(DATA / "wine.scale")
    return X.toarray(), y


def failures(model: DAdaptClassifier) -> dict[str, Any]:
    results = check_estimator(model, on_fail=None)
    assert len(results) > 40
    return {r["check_name"]: r["exception"] for r in results if r["status"] in ("failed", "xfail")}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learns_checks() -> None:
    assert not failures(DAdaptClassifier())


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize("algo", OTHERS)
def test_scikit_learns_checks_of_other_algorithms(algo: str) -> None:
    failed = failures(DAdaptClassifier(algo, **OTHERS[algo]))
    assert not failed.keys() - (EQUIVALENCE if algo in ORDERED else set()), failed


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("name", ["wine.scale", "vehicle.scale", "wdbc.scale.xz"])
def test_defaults_find_the_optimum_of_logistic_regression(name: str, intercept: bool) -> None:
    """l2 = 1/n is C = 1. Both stop at f - f* of 1e-8 or less: probabilities agree to 1e-3."""
    X, y = read_libsvm(DATA / name)
    ours = DAdaptClassifier(fit_intercept=intercept).fit(X, y)
    theirs = LogisticRegression(C=1.0, fit_intercept=intercept, tol=1e-8, max_iter=5000).fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-3)
    assert ours.coef_.shape == theirs.coef_.shape
    assert ours.intercept_.shape == theirs.intercept_.shape
    assert ours.score(X, y) == pytest.approx(theirs.score(X, y), abs=0.002)


def test_it_is_the_function_below_it() -> None:
    X, y = wine()
    model = DAdaptClassifier("dual-avg", fit_intercept=False, iterations=50, tol=None).fit(X, y)
    result = dadapt.fit(X, y, iterations=50, l2="1/n", reference="none")
    np.testing.assert_array_equal(model.coef_, result.w.T)
    assert model.d_ == result.d
    assert model.n_iter_ == 50
    assert [row["f_last"] for row in model.trace_] == [row["f_last"] for row in result.trace]


def test_labels_of_any_kind() -> None:
    X, y = wine()
    names = np.array(["red", "green", "blue"])[y.astype(int) - 1]
    model = DAdaptClassifier().fit(sp.csr_array(X), names)
    assert model.classes_.tolist() == ["blue", "green", "red"]
    assert (model.predict(X) == names).mean() > 0.95
    binary = names == "red"
    model = DAdaptClassifier().fit(X, binary)
    assert model.decision_function(X).shape == (len(X),)
    assert model.predict(X).dtype == bool
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1.0, rtol=1e-15)


def test_weights_of_classes_and_samples() -> None:
    """An integer weight is a repeated sample, and the run is the same, bit for bit."""
    X, y = wine()
    counts = np.random.default_rng(0).integers(3, size=len(y))
    for kind in (np.asarray, sp.csr_array):
        weighted = DAdaptClassifier().fit(kind(X), y, sample_weight=counts)
        repeated = DAdaptClassifier().fit(kind(np.repeat(X, counts, axis=0)), np.repeat(y, counts))
        np.testing.assert_array_equal(weighted.coef_, repeated.coef_)
        assert weighted.result_.start["data"]["samples"] == np.count_nonzero(counts)
    both = DAdaptClassifier().fit(np.vstack([X, X]), np.r_[y, np.roll(y, 1)])
    assert both.result_.start["data"]["samples"] > len(y), "equal samples, but of another class"
    theirs = LogisticRegression(class_weight="balanced", tol=1e-8, max_iter=5000).fit(X, y)
    ours = DAdaptClassifier(class_weight="balanced").fit(X, y)
    # scikit-learn's objective is the sum, so its C = 1 is 1/sum(c) of the mean, as ours is
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-3)


def test_warm_start_goes_on_where_it_was() -> None:
    X, y = wine()
    model = DAdaptClassifier("orth", warm_start=True).fit(X, y)
    steps = model.n_iter_
    assert model.fit(X, y).n_iter_ < steps / 4
    assert model.fit(X[:, :5], y).coef_.shape == (3, 5), "another shape starts at 0"


def test_with_scikit_learns_tools() -> None:
    X, y = wine()
    pipeline = make_pipeline(StandardScaler(), DAdaptClassifier())
    assert cross_val_score(pipeline, X, y, cv=3).mean() > 0.95
    search = GridSearchCV(DAdaptClassifier(), {"l2": [1e-3, "1/n"], "algo": ["orth", "auto"]}, cv=3)
    assert search.fit(X, y).best_score_ > 0.95
    calibrated = CalibratedClassifierCV(DAdaptClassifier(), cv=3).fit(X, y)
    assert calibrated.score(X, y) > 0.95


def test_partial_fit_learns_from_parts() -> None:
    X, y = wine()
    model = DAdaptClassifier("adam", l2=1e-4, random_state=0)
    order = np.random.default_rng(0).permutation(len(y))
    model.partial_fit(X[order[:90]], y[order[:90]], classes=[1, 2, 3])
    first = model.coef_.copy()
    for _ in range(30):
        model.partial_fit(X[order[90:]], y[order[90:]])
        model.partial_fit(X[order[:90]], y[order[:90]])
    assert model.score(X, y) > 0.95 > 0.5
    assert not np.array_equal(first, model.coef_)
    assert model.n_iter_ > 300
    assert model.d_ > 1e-6


def test_partial_fit_on_the_whole_is_an_epoch_of_fit() -> None:
    """The same generator, the same batches: one epoch of either gives the same weights."""
    X, y = wine()
    parts = DAdaptClassifier("adam", l2=1e-3, random_state=5).partial_fit(X, y, classes=[1, 2, 3])
    whole = DAdaptClassifier(
        "adam", l2=1e-3, random_state=5, epochs=1, schedule="constant", tol=None
    ).fit(X, y)
    last = whole.result_.end["iterate"]
    assert last in ("last", "best")
    np.testing.assert_array_equal(parts.coef_, whole.coef_)


def test_partial_fit_goes_on_from_a_fit() -> None:
    X, y = wine()
    model = DAdaptClassifier("adam", l2=1e-3, random_state=0, epochs=60).fit(X, y)
    fitted = model.coef_.copy()
    model.partial_fit(X[:40], y[:40])
    assert 0 < np.abs(model.coef_ - fitted).max() < 0.1 * np.abs(fitted).max()
    assert not hasattr(model.fit(X, y), "_state"), "a fit starts over"


def test_partial_fit_refuses_what_it_cannot_do() -> None:
    X, y = wine()
    assert not hasattr(DAdaptClassifier(), "partial_fit")
    with pytest.raises(ValueError, match="number for l2"):
        DAdaptClassifier("adam").partial_fit(X, y, classes=[1, 2, 3])
    with pytest.raises(ValueError, match="needs classes"):
        DAdaptClassifier("adam", l2=0.1).partial_fit(X, y)
    with pytest.raises(ValueError, match="not among the classes"):
        DAdaptClassifier("adam", l2=0.1).partial_fit(X, y, classes=[1, 2])


def test_bad_parameters_are_value_errors() -> None:
    X, y = wine()
    with pytest.raises(ValueError, match="did you mean 'orth'"):
        DAdaptClassifier("ort").fit(X, y)
    with pytest.raises(ValueError, match="--l2"):
        DAdaptClassifier(l2=-1.0).fit(X, y)
    with pytest.raises(ValueError, match="not an option"):
        DAdaptClassifier("orth", gradient_bound="lipschitz").fit(X, y)


def test_verbose_speaks_through_the_logger(caplog: pytest.LogCaptureFixture) -> None:
    X, y = wine()
    with caplog.at_level(logging.INFO, logger="dadapt"):
        DAdaptClassifier("orth", iterations=20, tol=None).fit(X, y)
        assert not [r for r in caplog.records if r.message.startswith("k = ")]
        DAdaptClassifier("orth", iterations=20, tol=None, verbose=1).fit(X, y)
    lines = [r.message for r in caplog.records if r.message.startswith("k = ")]
    assert lines[0].startswith("k = 0: ")
    assert len(lines) == 6, "0, 1, 2, 5, 10 and 20"


def test_features_of_any_size_and_a_warning_where_that_is_too_hard() -> None:
    """scikit-learn's wine has columns of .1 and of 1000; its lbfgs stops far from the optimum."""
    for load in (load_wine, load_breast_cancer):
        X, y = load(return_X_y=True)
        model = DAdaptClassifier().fit(X, y)
        assert model.result_.start["algorithm"] == "newton"
        assert model.result_.status == "tolerance"
        assert model.result_.end["gap"] <= model.tol
        best = LogisticRegression(solver="newton-cholesky", max_iter=200, tol=1e-10).fit(X, y)
        np.testing.assert_allclose(model.predict_proba(X), best.predict_proba(X), atol=1e-2)
    with pytest.warns(ConvergenceWarning, match="not certified"):
        DAdaptClassifier(iterations=5).fit(X, y)


def test_jobs_count_as_joblibs() -> None:
    X, y = wine()
    all_cores = DAdaptClassifier(n_jobs=-1).fit(X, y).result_.start["options"]["threads"]
    assert all_cores == DAdaptClassifier().fit(X, y).result_.start["options"]["threads"]
    assert DAdaptClassifier(n_jobs=1).fit(X, y).result_.start["options"]["threads"] == 1


def test_partial_fit_keeps_the_average_that_is_judged() -> None:
    X, y = read_libsvm(DATA / "iris.scale")
    model = DAdaptClassifier(algo="adam", l2=0.0, average="schedule-free", fit_intercept=False)
    for _ in range(3):
        model.partial_fit(X, y, classes=np.unique(y))
    state = model._state
    np.testing.assert_array_equal(model.coef_.T, state.average)
    assert not np.array_equal(state.average, state.x)
