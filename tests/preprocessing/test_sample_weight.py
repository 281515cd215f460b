"""Weights of samples and labels, an unpenalised intercept, and a start that is not 0."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from dadapt_cli import fit, reference
from dadapt_cli.algorithms import find, names
from dadapt_cli.errors import DataError, UsageError
from dadapt_cli.libsvm import read_libsvm
from dadapt_cli.objective import Problem
from dadapt_cli.objective.deduplicate import collapse
from dadapt_cli.objective.minibatches import Batches
from dadapt_cli.preprocessing.labels import encode
from dadapt_cli.reference import cache, intercept, newton

from ..conftest import DATA, random_problem, vehicle

FULL_BATCH = [name for name in names() if not find(name).INFO.minibatch]
WITH_D = [name for name in FULL_BATCH if find(name).INFO.bounds]  # d is a bound
MINIBATCH = [name for name in names() if find(name).INFO.minibatch]


def data(n_classes: int, density: float = 1.0) -> tuple[Any, np.ndarray, np.ndarray]:
    """X, y, and weights 0, 1, 2, 3 such that each class is left."""
    rng = np.random.default_rng(n_classes)
    X = rng.normal(size=(70, 4)) * (rng.random((70, 4)) < density)
    y = rng.integers(n_classes, size=70)
    return sp.csr_array(X) if density < 1 else X, y, rng.integers(4, size=70)


PLANNED = ("newton", "auto")
"""Whose curvature is from sampled rows, as many as their number suggests: they meet at the end."""


def close(a: float | None, b: float | None) -> bool:
    return a is b is None or bool(np.isclose(a, b, rtol=1e-6, atol=1e-9))


@pytest.mark.parametrize(("density", "l2"), [(1.0, "1/n"), (0.2, 0.0)])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", [*FULL_BATCH, "full batch of sgd"])
def test_integer_weights_are_repeated_rows_and_zero_is_no_row(
    name: str, n_classes: int, density: float, l2: float | str
) -> None:
    X, y, c = data(n_classes, density)
    repeated = np.repeat(np.arange(70), c)
    options: dict[str, Any] = {"algo": name, "iterations": 8, "l2": l2, "intercept": True}
    if name not in FULL_BATCH:
        options = {"algo": "sgd", "epochs": 20, "batch_size": 1000, "l2": l2}
    if name in PLANNED:
        options["iterations"] = 100
    one = fit(X, y, sample_weight=c, **options)
    other = fit(X[repeated], y[repeated], **options)
    # The same sums in another order; few steps, for those that magnify rounding (safe, lbfgs).
    keys: tuple[str, ...] = ("d", "f_last", "f_average", "f_best", "bound", "grad_norm")
    rows = list(zip(one.trace, other.trace, strict=name not in PLANNED))
    if name in PLANNED:
        keys, rows = ("f_best",), [(one.trace[-1], other.trace[-1])]
    for row, wanted in rows:
        for key in keys:
            assert close(row[key], wanted[key]), key
    d0 = other.start["d0"]
    assert one.start["d0"] == (None if d0 is None else pytest.approx(d0, rel=1e-12))
    assert one.reference["status"] == other.reference["status"]
    if one.reference["f_star"] is not None:
        assert one.reference["f_star"] == pytest.approx(other.reference["f_star"], abs=1e-12)
    if one.reference["D"] is not None:
        assert one.reference["D"] == pytest.approx(other.reference["D"], rel=1e-5)
    for key in ("accuracy", "log_loss"):
        assert close(one.end[key], other.end[key]), key


@pytest.mark.parametrize("softmax", [False, True])
def test_weighted_optimum_is_scikit_learns(softmax: bool) -> None:
    from sklearn.linear_model import LogisticRegression

    X, y = read_libsvm(DATA / "vehicle.scale")
    if not softmax:
        y = np.where(y == 2, 1, -1)
    factors = {1: 2.5, 2: 0.3} if softmax else {1: 2.5, -1: 0.7}
    c = np.random.default_rng(0).random(len(y)) * 2
    result = fit(X, y, sample_weight=c, weight=factors, intercept=True, l2="1/n", iterations=5)
    peer = LogisticRegression(C=1.0, class_weight=factors, tol=1e-10, max_iter=20_000)
    peer.fit(X, y, sample_weight=c)
    w = np.vstack([peer.coef_.T, peer.intercept_])
    full = c * np.array([factors.get(int(label), 1.0) for label in y])
    problem = Problem(X, encode(y), l2=1 / full.sum(), intercept=True, sample_weight=full)
    w = w if softmax else w[:, 0]
    gap = problem.value_and_gradient(w).f - result.reference["f_star"]
    assert -1e-14 <= gap <= 1e-10  # the peer stops at its tolerance, ours is certified
    assert result.reference["gap"] <= 1e-12


def test_labels_weights_are_liblinears_wi() -> None:
    X, y = read_libsvm(DATA / "vehicle.scale")
    by_label = fit(X, y, weight={1: 3.0}, l2="1/n", iterations=10)
    by_row = fit(X, y, sample_weight=np.where(y == 1, 3.0, 1.0), l2="1/n", iterations=10)
    assert np.array_equal(by_label.w, by_row.w)
    assert by_label.start["options"]["l2"] == 1 / (len(y) + 2 * (y == 1).sum())
    assert by_label.start["options"]["weight"] == {1: 3.0}


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (np.r_[-1.0, np.ones(69)], "row 1 has the weight -1.0"),
        (np.r_[1.0, np.nan, np.ones(68)], "row 2 has the weight nan"),
        (np.zeros(70), "add up to 0"),
        (np.ones(69), "70 numbers are needed"),
        (["a"] * 70, "70 numbers are needed"),
        (np.full(70, 1e308), "overflow"),
    ],
)
def test_bad_sample_weights(weights: Any, words: str) -> None:
    X, y, _ = data(2)
    with np.errstate(over="ignore"), pytest.raises(DataError, match=words):
        fit(X, y, sample_weight=weights)


def test_bad_label_weights() -> None:
    X, y, _ = data(2)
    with pytest.raises(UsageError, match="--weight 7=2: no row has this label; labels: 0, 1"):
        fit(X, y, weight={7: 2.0})
    for factor in (-1.0, np.nan, np.inf):
        with pytest.raises(UsageError, match="a number of at least 0"):
            fit(X, y, weight={0: factor})
    with pytest.raises(DataError, match="rows have the label 1"):
        fit(X, y, weight={0: 0.0})
    with pytest.raises(UsageError, match="leave one out"):
        fit(X, y, bias=True, intercept=True)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_expectation_of_minibatches_is_the_gradient(n_classes: int) -> None:
    X, y, c = data(n_classes)
    problem = Problem(X, encode(y), l2=0.1, intercept=True, sample_weight=c + 0.5)
    w = np.random.default_rng(0).normal(size=problem.shape)
    batches = Batches(problem, 7, 0)  # divides 70: each sample has the same share
    mean = np.mean([batches.gradient(*batch, w) for batch in batches.epoch()], axis=0)
    np.testing.assert_allclose(mean, problem.value_and_gradient(w).g, rtol=1e-12, atol=1e-15)


def test_equal_rows_with_weights_are_merged() -> None:
    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(size=(500, 4)), 3, axis=0)
    y = np.repeat(rng.integers(2, size=500), 3)
    problem = Problem(X, encode(y), l2=0.1, intercept=True, sample_weight=rng.random(1500) + 0.1)
    merged = collapse(problem)
    assert merged.n == 500
    w = rng.normal(size=5)
    one, other = problem.value_and_gradient(w), merged.value_and_gradient(w)
    assert other.f == pytest.approx(one.f, rel=1e-14)
    np.testing.assert_allclose(other.g, one.g, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_intercept_has_a_dual_certificate(n_classes: int) -> None:
    problem = random_problem(5, n=80, p=4, n_classes=n_classes)
    problem = Problem(
        problem.X, problem.labels, l2=0.01, intercept=True,
        sample_weight=np.random.default_rng(1).random(80) + 0.1,
    )  # fmt: skip
    rng = np.random.default_rng(2)
    known = reference.find(problem, cache.content(problem), always=True)
    assert known.gap <= 1e-13
    best = known.witness
    for size in (1e-3, 1e-1, 3.0):  # far from the minimiser too, a bound from below it must be
        w = best + size * rng.normal(size=problem.shape)
        lower = intercept.lower_bound(problem, w, problem.scores(w))
        assert lower <= known.f_star
        if size < 1e-2:
            assert lower >= known.f_star - 1e-2
    assert problem.l2_term(best) == pytest.approx(0.005 * np.sum(best[:-1] ** 2), rel=1e-12)


def test_intercept_distance_is_covered(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = read_libsvm(DATA / "vehicle.scale")
    options: dict[str, Any] = {"l2": "1/n", "intercept": True, "iterations": 20}
    known = fit(X, y, **options)
    assert known.reference["D_error"] is not None
    assert known.trace[-1]["bound"] >= known.trace[-1]["suboptimality_average"]
    monkeypatch.setattr(newton, "LARGEST_DENSE", 10)
    monkeypatch.setenv("DADAPT_CACHE", "/dev/null/none")
    wide = fit(X, y, **options)
    assert wide.reference["f_star"] == pytest.approx(known.reference["f_star"], rel=1e-7)
    apart = abs(wide.reference["D"] - known.reference["D"])
    assert apart <= wide.reference["D_error"] + known.reference["D_error"]
    assert wide.trace[-1]["bound"] >= wide.trace[-1]["suboptimality_average"]


def test_the_gradient_proves_nothing_of_an_intercept() -> None:
    """One label in 1000, no feature: ||g||^2/(2 l2) is a five-hundredth of the true gap."""
    y = np.arange(1000) == 0
    f_star = -(0.001 * np.log(0.001) + 0.999 * np.log(0.999))
    result = fit(
        np.zeros((1000, 1)), y.astype(float),
        algo="gd", l2=1.0, intercept=True, tol=1e-6, reference="none", iterations=10**5, every=1,
    )  # fmt: skip
    assert result.status == "tolerance"
    early = next(row for row in result.trace if row["grad_norm"] ** 2 / 2 <= 1e-6)
    assert early["f_last"] - f_star > 1e-5, "or the test shows nothing"
    assert -1e-15 <= result.end["f_best"] - f_star <= 1e-6


def test_intercept_is_not_penalised() -> None:
    X, y = read_libsvm(DATA / "iris.scale")
    y = np.where(y == 1, 1, 0)
    free = fit(X, y, l2=1.0, algo="lbfgs", intercept=True, reference="none")
    assert free.status == "precision"
    # With l2 = 1 the weights explain nothing, and a free intercept makes the mean right.
    scores = np.column_stack([X.toarray(), np.ones(150)]) @ free.w
    assert np.mean(1 / (1 + np.exp(-scores))) == pytest.approx(1 / 3, abs=1e-6)


def test_intercept_without_l2_is_the_bias() -> None:
    X, y, _ = data(3)
    one, other = (fit(X, y, l2=0, iterations=20, **{key: True}) for key in ("intercept", "bias"))
    assert np.array_equal(one.w, other.w)
    assert one.reference["f_star"] == other.reference["f_star"]
    assert one.start["objective"]["intercept"] is True


@pytest.mark.parametrize("case", ["l2", "intercept", "no l2"])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", WITH_D)
def test_d_and_bound_hold_from_any_start(name: str, n_classes: int, case: str) -> None:
    rng = np.random.default_rng(n_classes)
    X, y, _ = data(n_classes)
    options: dict[str, Any] = {"algo": name, "iterations": 100, "every": 1}
    options |= {"l2": 0.0 if case == "no l2" else 0.05, "intercept": case == "intercept"}
    start = rng.normal(size=(4 + (case == "intercept"), 3)[: 1 + (n_classes > 2)]) * 3
    result = fit(X, y, init=start, **options)
    known = result.reference
    assert known["status"] == "attained"
    inf = find(name, "paper").INFO.distance == "D_inf"
    D = known["D_inf" if inf else "D"] + known["D_error"]
    d = [row["d"] for row in result.trace]
    assert 0 < d[0]
    assert d == sorted(d)
    assert d[-1] <= D * (1 + 1e-9)  # rounding of d and D
    assert result.trace[0]["f_last"] > result.trace[-1]["f_best"]
    for row in result.trace[1:]:
        bounded = row["suboptimality_average"]
        bounded = row["suboptimality_best"] if bounded is None else bounded
        assert bounded <= row["bound"] + 1e-12
    if name != "auto" and find(name).INFO.metric == "identity" and not inf:
        # The distance that is claimed is that to the minimiser, which a long run finds.
        end = fit(X, y, init=start, **{**options, "algo": "lbfgs", "iterations": 2000}).w
        assert np.linalg.norm(start - end) == pytest.approx(known["D"], rel=1e-4)


@pytest.fixture(scope="module")
def vehicle_best() -> np.ndarray:
    return fit(*vehicle(), l2="1/n", algo="lbfgs", iterations=2000, reference="none").w


@pytest.mark.usefixtures("one_cache")
@pytest.mark.parametrize("name", WITH_D)
def test_a_start_near_the_optimum_has_a_tiny_D(name: str, vehicle_best: np.ndarray) -> None:
    (X, y), best = vehicle(), vehicle_best
    near = best + 1e-5 * np.random.default_rng(0).normal(size=best.shape)
    more = {"metric": "identity"} if "metric" not in find(name).INFO.refuses else {}
    result = fit(X, y, l2="1/n", init=near, algo=name, iterations=50, **more)
    D = result.reference[find(name).INFO.distance]
    assert D <= 2e-4
    assert 0 < result.trace[0]["d"] <= result.d <= D * (1 + 1e-6)
    assert result.trace[-1]["suboptimality_best"] <= result.trace[0]["suboptimality_best"]


@pytest.mark.parametrize("name", MINIBATCH)
def test_minibatch_algorithms_start_there_too(name: str) -> None:
    X, y = read_libsvm(DATA / "vehicle.scale")
    start = np.random.default_rng(0).normal(size=(18, 4))
    lr = {"lr": 0.1} if "lr" in find(name).INFO.settings else {}
    result = fit(X, y, init=start, algo=name, l2=0, epochs=3, reference="none", **lr)
    problem = Problem(X, encode(y))
    assert result.trace[0]["f_last"] == problem.value_and_gradient(start).f
    assert result.trace[-1]["f_last"] != result.trace[0]["f_last"]


def test_starts_that_do_not_fit() -> None:
    X, y, _ = data(3)
    for bad in (np.zeros(4), np.zeros((5, 3)), np.full((4, 3), np.nan), np.full((4, 3), "a")):
        with pytest.raises(UsageError, match="init"):
            fit(X, y, init=bad)


@pytest.mark.parametrize("counts", [[90, 10], [70, 20, 10]])
def test_the_dual_point_bounds_from_below_at_any_weights(counts: list[int]) -> None:
    """Without features f* is the labels' entropy; that of w = 0, log C, is above it."""
    y = np.repeat(np.arange(len(counts)), counts)
    problem = Problem(np.zeros((100, 1)), encode(y), l2=0.01, intercept=True)
    share = np.array(counts) / 100
    f_star = -float(share @ np.log(share))
    rng = np.random.default_rng(0)
    for size in (0.0, 0.1, 1.0, 3.0):
        w = size * rng.normal(size=problem.shape)
        bound = intercept.lower_bound(problem, w, problem.scores(w))
        assert bound <= f_star + 1e-12
        if size == 0.0:
            assert bound == pytest.approx(f_star, rel=1e-4), "the mixed point is the optimum"
