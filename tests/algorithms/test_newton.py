"""newton: its plain mathematics, what is proved at every row, and data that break a Hessian."""

from __future__ import annotations

import itertools
import json
import math
import re
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from dadapt_cli import fit
from dadapt_cli.algorithms import _factor, _plan, newton
from dadapt_cli.errors import UsageError
from dadapt_cli.libsvm import read_libsvm
from dadapt_cli.objective import Problem, smoothness
from dadapt_cli.objective.margins import Margins
from dadapt_cli.preprocessing.labels import encode
from dadapt_cli.solver.stages import FitResult
from dadapt_cli.system import memory

from ..conftest import DATA, SMALL, Ran, random_problem
from . import newton_plain

GOLDEN = json.loads((Path(__file__).parent / "newton_golden.json").read_text())


def fitted(X: Any, y: Any, **options: Any) -> FitResult:
    return fit(X, y, **{"algo": "newton", "iterations": 60, "every": 1, "l2": "1/n", **options})


def scaled(path: str) -> tuple[Any, Any]:
    return read_libsvm(DATA / path)


@pytest.mark.parametrize("name", newton_plain.CASES)
def test_trajectory_of_the_plain_mathematics(name: str) -> None:
    golden = GOLDEN[name]
    made = newton_plain.trajectory(*newton_plain.CASES[name])
    np.testing.assert_allclose(made["f"], golden["f"], rtol=1e-12)  # the file is the script's
    X, y, x0 = (np.array(golden[key]) for key in ("X", "y", "x0"))
    start = x0 if x0.any() else None
    result = fitted(X, y, l2=golden["l2"], init=start, iterations=newton_plain.STEPS)
    # The factor for two classes is in double precision; that for more is not, and a direction that
    # is 1e-7 off leaves steps that are 1e-7 off and values of f that are less so.
    rtol = 1e-9 if X.shape == x0.shape[::-1] or x0.ndim == 1 else 1e-6
    k = len(result.trace)
    assert k >= newton_plain.STEPS, "or it has ended before anything was seen"
    np.testing.assert_allclose([row["f_last"] for row in result.trace], golden["f"][:k], rtol=rtol)
    # What rounding may hide is taken off d: 1e-7 of it near the optimum, and all that the plain
    # sums say once f moves by its own rounding.
    d, plain = np.array([row["d"] for row in result.trace]), np.array(golden["d"][:k])
    sure = 1 + np.flatnonzero(np.diff(golden["f"]) < -1e-12).max()
    np.testing.assert_allclose(d[:sure], plain[:sure], rtol=max(rtol, 1e-6))
    # Near the optimum d is a quotient of small differences: steps that are 1e-7 off move it more.
    assert (d <= plain * (1 + (rtol if rtol < 1e-6 else 1e-3))).all()
    np.testing.assert_allclose(result.w.ravel(), golden["x"][k - 1], rtol=100 * rtol, atol=rtol)


def check(result: FitResult, problem: Problem) -> None:
    """Monotone f, the decrease that is checked, its rate, d <= D and the bound, at every row."""
    L, rows = smoothness.frobenius(problem), result.trace
    known, single = result.reference, problem.dtype == np.float32
    eps = float(np.finfo(problem.dtype).eps)
    f_star, D = known["f_star"], known["D"] + known["D_error"]
    told = re.search("the first ([0-9]*) ?steps? w.* single", "".join(result.end["diagnosis"]))
    rough = 0 if told is None else int(told[1] or 1)
    assert bool(rough) == _plan.begins_single(problem)
    if problem.dtype == np.float64:
        assert (
            abs(rows[-1]["f_last"] - problem.value_and_gradient(result.w).f)
            <= 1e-14 * rows[0]["f_last"]
        )
    share = 1.0
    for before, after in itertools.pairwise(rows):
        # Of the sum of a mean and an l2 term, a few times.
        digits = float(np.finfo(np.float32).eps) if before["k"] < rough else eps
        rounding = 16 * digits * rows[0]["f_last"]
        fell = before["f_last"] - after["f_last"]
        assert fell >= -rounding
        if result.status != "precision" or after["k"] < result.end["k"]:
            assert fell >= before["grad_norm"] ** 2 / (2 * L) * (1 - 1e-9) - rounding
        share *= 1 - problem.l2 / L * (not problem.intercept)
        assert after["f_last"] - f_star <= share * (rows[0]["f_last"] - f_star) + rounding
        assert after["suboptimality_best"] <= after["bound"] + rounding
        assert before["d"] <= after["d"] <= D * (1 + (1e-5 if single else 1e-9))
    assert all(row["f_average"] is None for row in rows)


@pytest.mark.parametrize("more", [{}, {"bias": True}, {"intercept": True}, {"dtype": "float32"}],
                         ids=str)  # fmt: skip
@pytest.mark.parametrize("path", SMALL)
def test_what_is_proved_holds_on_real_data(path: str, more: dict[str, Any]) -> None:
    X, y = scaled(path)
    result = fitted(X, y, **more)
    check(result, Problem(X, encode(y), l2=1 / X.shape[0], **more))
    level = 1e-5 if "dtype" in more else 1e-9
    assert result.trace[-1]["suboptimality_last"] < level * result.trace[0]["suboptimality_last"]


@given(
    seed=st.integers(0, 10**6),
    n_classes=st.integers(2, 4),
    density=st.sampled_from([0.1, 0.5, 1.0]),
    p=st.sampled_from([1, 5, 40, 150]),
    kind=st.sampled_from(["plain", "weights", "intercept", "init"]),
    exponent=st.sampled_from([-3, 0, 3]),
)
@settings(max_examples=40, deadline=None)
def test_what_is_proved_holds_on_random_problems(
    seed: int, n_classes: int, density: float, p: int, kind: str, exponent: int
) -> None:
    problem = random_problem(seed, p=p, n_classes=n_classes, density=density)
    rng = np.random.default_rng(seed)
    X, y = problem.X * 10.0**exponent, problem.labels.index
    l2, weights, init = 0.01 * 100.0**exponent, None, None
    if kind == "weights":
        weights = rng.integers(1, 9, size=len(y)) / 3.0
    if kind == "init":
        shape = (p, n_classes) if n_classes > 2 else p
        init = rng.normal(size=shape) * 10.0**-exponent
    more = {"intercept": True} if kind == "intercept" else {}
    result = fitted(X, y, l2=l2, sample_weight=weights, init=init, reference="always", **more)
    check(result, Problem(X, encode(y), l2=l2, sample_weight=weights, **more))


@pytest.mark.parametrize("form", ["binary", "full", "kron>full", "half>binary", "half", "identity"])
def test_every_plan_reaches_the_optimum(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The forms of large data, on small ones: 40 rows a sample, a factor after 6 steps."""
    X, y = scaled("vehicle.scale" if "full" in form else "wdbc.scale.xz")
    first, _, later = form.partition(">")
    rows = 40 if first in ("binary", "full") or later else 0
    chosen = _plan.Plan(first, 5, rows, 40, 1e-4, "a test's", later, 6.0)
    monkeypatch.setattr(newton, "plan", lambda problem: chosen)
    result = fitted(X, y, iterations=400)
    check(result, Problem(X, encode(y), l2=1 / X.shape[0]))
    assert result.trace[-1]["suboptimality_last"] < 1e-10


@pytest.mark.parametrize("form", ["binary", "full", "kron>full", "half>binary"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float32 at first"])
def test_every_plan_resumes_to_the_bit(
    form: str, dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the life of a factor, at a new one, with pairs, and after the margins' refresh."""
    if dtype == "float32 at first":
        monkeypatch.setattr(_plan, "TINY", 0)
        dtype = "float64"
    X, y = scaled("vehicle.scale" if "full" in form else "wdbc.scale.xz")
    first, _, later = form.partition(">")
    chosen = _plan.Plan(first, 3, 40, 40, 1e-4, "a test's", later, 6.0)
    monkeypatch.setattr(newton, "plan", lambda problem: chosen)
    monkeypatch.setattr(newton, "REFRESH", 5)
    more = {"dtype": dtype, "reference": 0.0, "intercept": True}
    whole, path = fitted(X, y, iterations=16, **more), tmp_path / "run"
    assert whole.end["k"] > 9
    fitted(X, y, iterations=3, checkpoint=path, **more)
    for k in (4, 5, 8, 9, 12, 16):
        part = fit(X, y, resume=path, iterations=k)
    assert [r["f_last"] for r in part.trace] == [r["f_last"] for r in whole.trace]
    assert [r["d"] for r in part.trace] == [r["d"] for r in whole.trace]
    np.testing.assert_array_equal(part.w, whole.w)


@pytest.mark.parametrize("more", [{}, {"bias": True}, {"intercept": True}], ids=str)
@pytest.mark.parametrize("path", SMALL)
def test_single_precision_at_first(
    path: str, more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its f is within the error that d and the bound count; what follows has all digits."""
    monkeypatch.setattr(_plan, "TINY", 0)
    X, y = scaled(path)
    problem, seen = Problem(X, encode(y), l2=1 / X.shape[0], **more), []
    certify = newton._certify

    def watched(state: newton.Newton, g: np.ndarray) -> None:
        at, rough = problem.value_and_gradient(state.x), state.rough
        certify(state, g)
        f_error, g_error = abs(at.f - state.f_x), float(np.linalg.norm(at.g - g))
        seen.append((rough, f_error, state.rounding.value, g_error, state.rounding.gradient))

    monkeypatch.setattr(newton, "_certify", watched)
    result = fitted(X, y, **more)
    check(result, problem)
    rough = [row for row in seen if row[0]]
    assert 2 < len(rough) < len(seen)
    assert all(f <= f_most and g <= g_most for _, f, f_most, g, g_most in seen)
    assert max(row[1] for row in rough) > 100 * max(row[1] for row in seen if not row[0])
    assert max(row[2] for row in seen if not row[0]) < 1e-3 * min(row[2] for row in rough)
    assert result.trace[-1]["suboptimality_last"] < 1e-9 * result.trace[0]["suboptimality_last"]
    for k in (1, 3):  # a run that ends so: its last row has all digits nevertheless
        part = fitted(X, y, iterations=k, **more)
        assert part.end["f_last"] == problem.value_and_gradient(part.w).f == part.end["f_best"]


def test_what_is_said_of_a_step_in_single_precision_is_in_double() -> None:
    """And saying it changes no digit of the run; a tolerance is judged by it, too."""
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(5000, 8)), np.where(rng.random(5000) < 0.3, 1, -1)
    problem = Problem(X, encode(y), l2=1e-3)
    seen: list[tuple[float, float]] = []

    def step(record: dict[str, Any]) -> None:
        if record["event"] == "step":
            exact = problem.value_and_gradient(np.zeros(8)) if record["k"] == 0 else None
            seen.append((record["f_last"], record["grad_norm"]))
            assert exact is None or exact.f == record["f_last"]

    each = fit(X, y, algo="newton", l2=1e-3, every=1, callback=step)
    assert "single precision" in "".join(each.end["diagnosis"])
    rare = fit(X, y, algo="newton", l2=1e-3, every=1000)
    np.testing.assert_array_equal(each.w, rare.w)
    for row, (f, norm) in zip(each.trace, seen, strict=True):
        assert (f, norm) == (row["f_last"], row["grad_norm"])
        stopped = fit(X, y, algo="newton", l2=1e-3, iterations=max(row["k"], 1), every=1000)
        at = problem.value_and_gradient(stopped.w)
        if row["k"] == stopped.end["k"]:
            assert row["f_last"] == pytest.approx(at.f, rel=1e-15)  # a sum in another order
            assert row["grad_norm"] == pytest.approx(np.linalg.norm(at.g), rel=1e-9, abs=1e-15)
    f_star = each.trace[-1]["f_last"]
    for row in each.trace[1:-1]:
        gap = row["f_last"] - f_star
        if gap < 1e-12:
            continue
        for tol in (0.99 * gap, 0.9999999 * gap):
            judged = fit(X, y, algo="newton", l2=1e-3, tol=tol, reference=f_star)
            assert judged.trace[-1]["f_last"] - f_star <= tol


def test_single_precision_where_it_holds_and_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    def begins(X: Any, **more: Any) -> bool:
        return _plan.begins_single(Problem(X, encode(np.arange(len(X)) % 2), **more))

    X = np.random.default_rng(0).normal(size=(_plan.TINY, 3))
    assert begins(X)
    assert not begins(X[1:])
    assert not begins(X, dtype=np.float32)
    assert not begins(1e20 * X)
    assert not begins(1e-20 * X)
    problem = Problem(X, encode(np.arange(len(X)) % 2))
    assert _plan.begins_single(problem)
    with memory.limited(1):
        assert not _plan.begins_single(problem)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_threads_change_no_digit(n_classes: int) -> None:
    rng = np.random.default_rng(0)
    n, p = 20000, 150
    X = sp.random(n, p, 0.2, "csr", rng=rng, data_rvs=rng.standard_normal)
    y = (X @ rng.normal(size=p) + rng.logistic(size=n)).astype(int) % n_classes
    assert len(Margins(Problem(X, encode(y))).parts) > 1, "or there is nothing to share"
    one, two = (fitted(X, y, threads=t, iterations=15, reference="none") for t in (1, 2))
    assert [r["f_last"] for r in one.trace] == [r["f_last"] for r in two.trace]
    assert one.d == two.d
    np.testing.assert_array_equal(one.w, two.w)


@pytest.mark.parametrize("path", ["wdbc.scale.xz", "vehicle.scale", "vowel.scale"])
@pytest.mark.parametrize("power", [3, 40])
def test_unequal_columns_cost_no_steps(path: str, power: int) -> None:
    """Columns times 10^U(-power, power), without an l2 term that would see them: the same values.

    The gradient step is the one thing that the scaling changes; it is not needed here.
    """
    X, y = scaled(path)
    factors = 10.0 ** np.random.default_rng(1).uniform(-power, power, X.shape[1])
    plain = fitted(X, y, l2=0.0, reference="none", iterations=12)
    unequal = fitted(X.multiply(factors).tocsr(), y, l2=0.0, reference="none", iterations=12)
    f = [[row["f_last"] for row in r.trace] for r in (plain, unequal)]
    # Products with scaled columns round otherwise, and single precision in the factor is 1e-7.
    np.testing.assert_allclose(f[0][:6], f[1][:6], rtol=1e-5)
    assert f[1][-1] < f[0][-1] * 1.01


def steps_to(result: FitResult, share: float) -> int:
    """The first k at which f - f* is at most this share of what it was."""
    rows = [row["suboptimality_last"] for row in result.trace]
    return next(k for k, left in enumerate(rows) if left <= share * rows[0])


@pytest.mark.parametrize("name", ["german.numer_scale", "diabetes_scale", "australian_scale", ""])
def test_unequal_columns_with_an_l2_term(name: str, request: pytest.FixtureRequest) -> None:
    """Ten draws of columns times 10^U(-3, 3), to 1e-6: as many steps as without, or two more.

    On data that are all but separable the optimum is where the l2 term puts it: four more.
    """
    path, more = DATA / "wdbc.scale.xz", 4
    if name:
        path, more = request.getfixturevalue("shared") / "data" / name, 2
    X, y = read_libsvm(path)

    def steps(factors: Any) -> int:
        result = fitted(X.multiply(factors).tocsr(), y, reference="always", iterations=30)
        return steps_to(result, 1e-6)

    alike, p = steps(np.ones(X.shape[1])), X.shape[1]
    for seed in range(10):
        assert steps(10.0 ** np.random.default_rng(seed).uniform(-3, 3, p)) <= alike + more


@pytest.mark.parametrize("start", [0.0, 3.0])
def test_weights_that_all_classes_share_are_the_l2_terms_alone(start: float) -> None:
    """A sample's factor knows nothing of them: left to it, they leave 0 and return slowly."""
    X, y = scaled("vehicle.scale")
    shape = (X.shape[1], 4)
    init = None if start == 0.0 else np.full(shape, start)
    result = fitted(X, y, init=init, reference="always", iterations=30)
    assert steps_to(result, 1e-9) <= 12
    np.testing.assert_allclose(result.w.sum(axis=1), 0.0, atol=1e-9)


def test_the_form_at_equal_probabilities_is_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the probabilities of then; the size comes from the newest pair."""
    X, y = scaled("digits.scale.xz")
    assert newton.plan(Problem(X, encode(y))).form == "kron"
    steps = []
    for renewed in (1.0, math.inf):
        monkeypatch.setattr(newton, "RENEWED", renewed)
        steps.append(steps_to(fitted(X, y, reference="always"), 1e-6))
    assert steps[0] < 0.75 * steps[1]


@pytest.mark.parametrize("l2", [0.0, "1/n"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_singular_hessians(l2: float | str, n_classes: int) -> None:
    """Columns twice, columns of zeros, a column of one entry, and as many features as rows."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 10))
    rare = np.zeros((80, 1))
    rare[17] = 1e3
    X = np.hstack([X, X, X[:, :3] + X[:, 4:7], np.zeros((80, 3)), rare, 1e-9 * X])
    y = rng.integers(n_classes, size=80)
    result = fitted(X, y, l2=l2, reference="none")
    f = [row["f_last"] for row in result.trace]
    assert all(b <= a * (1 + 1e-14) for a, b in itertools.pairwise(f))
    distinct = fitted(X[:, [*range(10), 26]], y, l2=l2, reference="none")
    if l2 == 0.0:
        assert f[-1] <= distinct.trace[-1]["f_last"] + 1e-6
    assert np.array_equal(result.w[23:26], np.zeros_like(result.w[23:26]))


@pytest.mark.parametrize("broken", [np.nan, np.inf, -1.0])
@pytest.mark.parametrize("path", ["wdbc.scale.xz", "vehicle.scale"])
def test_a_hessian_that_is_none(path: str, broken: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not finite, or indefinite beyond lifting: the method goes on and ends where it should."""
    X, y = scaled(path)
    for name in ("gram", "softmax"):
        right = getattr(_factor.curvature, name)

        def wrong(*args: Any, right: Any = right) -> Any:
            H = right(*args)
            H[0, 1:3] = H[1:3, 0] = broken * 1e9
            return H

        monkeypatch.setattr(_factor.curvature, name, wrong)
    result = fitted(X, y, iterations=400)
    check(result, Problem(X, encode(y), l2=1 / X.shape[0]))
    assert result.trace[-1]["suboptimality_last"] < 1e-6


def test_the_least_lift_that_factors() -> None:
    for dtype in (np.float32, np.float64):
        v = np.random.default_rng(0).normal(size=(20, 3))
        H = (v @ v.T).astype(dtype)  # of rank 3
        lower, scale = _factor.cholesky(H.copy())
        assert lower is not None
        L = np.tril(lower).astype(np.float64)
        lifted = L @ L.T - scale[:, None] * H * scale
        eps = float(np.finfo(dtype).eps)
        np.testing.assert_allclose(lifted, np.diag(np.diagonal(lifted)), atol=20 * eps)
        assert 0 < np.diagonal(lifted).max() < 1e4 * eps
    assert _factor.cholesky(np.array([[1.0, np.nan], [np.nan, 1.0]]))[0] is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("unknowns", [1, 5, _factor.HALVED, 47, _factor.INVERTED])
def test_a_small_factor_is_lapacks(
    monkeypatch: pytest.MonkeyPatch, unknowns: int, dtype: type
) -> None:
    """Inverted, by NumPy, it gives the products that the factor gives, in its precision."""
    rng = np.random.default_rng(unknowns)
    X = rng.normal(size=(4 * unknowns, unknowns)) / math.sqrt(4 * unknowns)
    H, b = (X.T @ X).astype(dtype), rng.normal(size=unknowns)
    found = []
    for most in (_factor.INVERTED, 0):
        monkeypatch.setattr(_factor, "INVERTED", most)
        lower, scale = _factor.cholesky(H.copy())
        assert lower is not None
        assert lower.dtype == dtype
        kept = {"inverse": _factor._inverse(lower)} if most else {"lower": lower}
        assert not most or kept["inverse"].dtype == dtype
        found.append(_factor.Curvature(**kept, scale=scale).solve(b))
    error = 100 * float(np.finfo(dtype).eps) * np.linalg.cond(H.astype(np.float64))
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=error * np.abs(b).max())
    assert np.linalg.norm(H @ found[0] - b) <= error * np.linalg.norm(b)


def test_a_poor_step_gives_way_to_the_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Directions that are all but level: without the check f would hardly fall."""
    X, y = scaled("vehicle.scale")

    def level(g: np.ndarray, pairs: Any, B: Any) -> np.ndarray:
        d = np.roll(g, 1) - g * float(np.vdot(np.roll(g, 1), g) / np.vdot(g, g))
        return d - 1e-9 * g

    monkeypatch.setattr(_factor, "direction", level)
    states = []
    start = newton.start
    monkeypatch.setattr(newton, "start", lambda *a, **m: states.append(start(*a, **m)) or states[0])
    result = fitted(X, y, iterations=30)
    assert states[0].gradient_steps > 0
    check(result, Problem(X, encode(y), l2=1 / X.shape[0]))


@pytest.mark.parametrize(
    ("dtype", "size"), [("float32", 300.0), ("float64", 3000.0), ("float32 at first", 300.0)]
)
@pytest.mark.parametrize("path", ["wdbc.scale.xz", "vehicle.scale"])
def test_exponentials_that_overflow(
    path: str, dtype: str, size: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start with margins of thousands: f is finite, falls, and is what it is elsewhere."""
    digits = "float32" if "32" in dtype else "float64"
    if dtype == "float32 at first":
        monkeypatch.setattr(_plan, "TINY", 0)
        dtype = "float64"
    X, y = scaled(path)
    problem = Problem(X, encode(y), l2=1 / X.shape[0], dtype=dtype)
    start = size * np.random.default_rng(0).normal(size=problem.shape)
    expected = problem.value_and_gradient(start.astype(dtype)).f
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = fitted(X, y, init=start, dtype=dtype, reference="none", iterations=100)
    assert np.isfinite(expected)
    f = [row["f_last"] for row in result.trace]
    assert f[0] == pytest.approx(expected, rel=1e-6)
    assert f[-1] < 1e-2 * f[0]
    rounding = 16 * float(np.finfo(digits).eps)
    assert all(b <= a * (1 + rounding) for a, b in itertools.pairwise(f))


def test_separable_data_without_an_l2_term() -> None:
    X = np.random.default_rng(0).normal(size=(60, 4))
    result = fitted(X, (X[:, 0] > 0).astype(int), l2=0.0, reference="none")
    f = [row["f_last"] for row in result.trace]
    assert all(b <= a for a, b in itertools.pairwise(f))
    assert f[-1] < 1e-6
    assert np.isfinite(result.w).all()


def test_a_metric_is_refused_with_a_word(cli: Any) -> None:
    ran: Ran = cli("fit", DATA / "iris.scale", "-a", "newton", "--metric", "half")
    assert ran.code == 2
    assert "--metric is not an option of --algo newton" in ran.err
    X, y = scaled("iris.scale")
    with pytest.raises(UsageError, match="its curvature is its own"):
        fit(X, y, algo="newton", metric="half")


def shaped(n: int, p: int, n_classes: int = 2, per_row: int | None = None) -> _plan.Plan:
    """The plan for a shape, dense or with some entries a row; no data are made."""
    entries = n * (per_row or p)
    X: Any = np.broadcast_to(1.0, (n, p)) if per_row is None else SimpleNamespace(size=entries)
    shape: Any = SimpleNamespace(
        n=n,
        p=p,
        n_classes=n_classes,
        softmax=n_classes > 2,
        X=X,
        nonzeros=entries,
        stored=entries,
        most_sampled=n,
    )
    return _plan.plan(shape)


def test_the_plan_follows_the_shape() -> None:
    """The study's choices on its problems, by their shapes."""
    for form, later, shape in [
        ("binary", "", (1000, 24)),  # german
        ("binary", "", (11055, 68, 2, 30)),  # phishing
        ("half", "binary", (49749, 300, 2, 12)),  # w8a
        ("identity", "", (62, 2000)),  # colon
        ("full", "", (846, 18, 4)),  # vehicle
        ("full", "", (15000, 16, 26)),  # letter
        ("kron", "full", (7291, 256, 10)),  # usps
        ("identity", "", (15935, 60346, 2, 80)),  # news20, one class against the rest
        ("half", "", (10**6, 50_000, 2, 39)),  # synthetic
    ]:
        plan = shaped(*shape)  # type: ignore[arg-type]
        assert (plan.form, plan.later) == (form, later), (shape, plan)
    assert "too large" in shaped(10**6, 50_000, 2, 39).reason


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_drift_of_margins_is_bounded(
    dtype: str, n_classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 200 steps without a refresh, against products in more digits; searches cut steps."""
    chosen = _plan.Plan("identity", 0, 0, 40, 1e-4, "a test's")
    monkeypatch.setattr(newton, "plan", lambda problem: chosen)
    monkeypatch.setattr(newton, "REFRESH", 10**9)
    monkeypatch.setattr(newton, "FLAT", 10**9)
    problem = random_problem(3, n=60, p=30, n_classes=n_classes)
    X, y = problem.X * 3.0, problem.labels.index
    seen: list[tuple[float, float]] = []
    move = newton._move

    def watched(state: newton.Newton, g: np.ndarray, trial: newton.Trial) -> None:
        move(state, g, trial)
        data, x, at = (a.astype(np.longdouble) for a in (state.problem.X, state.x, state.margins.U))
        exact = data @ x
        if n_classes == 2:
            exact = exact * -state.problem.y
        else:
            exact = exact - exact[np.arange(60), state.problem.y][:, None]
        sizes = np.linalg.norm(data.astype(np.float64), axis=1)
        # Beside the drift there is the product's own error, which no step adds to.
        errors = np.abs(at - exact).reshape(60, -1).max(axis=1) / sizes
        seen.append((float(errors.max()), state.rounding.drift))

    monkeypatch.setattr(newton, "_move", watched)
    fitted(X, y, l2=1e-4, dtype=dtype, iterations=200, reference="none")
    assert len(seen) > 50
    assert all(error <= drift for error, drift in seen)
    error, drift = seen[-1]
    assert 0 < drift < 3e3 * error, "or it is just enormous"
