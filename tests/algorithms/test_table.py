"""Every algorithm x every problem x every invariant.

A new algorithm has its rows by its file being there: one for each of its bounds. What its INFO
cannot say, what it runs with beside its defaults and which invariant it does not promise, is a row
of MORE or of EXCEPT.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from dadapt_cli import FitResult, fit
from dadapt_cli._typing import Array
from dadapt_cli.algorithms import Info, find, names, table
from dadapt_cli.errors import NumericalError, UsageError
from dadapt_cli.objective import Problem, metric
from dadapt_cli.preprocessing.labels import encode

from ..conftest import DATA, random_problem, read, vehicle
from ..solver.test_resume import in_pieces

pytestmark = pytest.mark.usefixtures("one_cache")

Row = dict[str, Any]
"""Options of a fit, its algorithm among them."""

MORE: dict[str, tuple[Row, ...]] = {
    "dual-avg": ({"gradient_bound": "lipschitz"}, {"average": "anytime"}),
    "gd": ({"average": "schedule-free", "beta": 0.5}, {"schedule": "linear"}),
    "adagrad": ({"average": "anytime"},),
    "orth": ({"inner": "newton"}, {"memory": 3, "lbfgs_pairs": 2}, {"memory": 0}),
    "sgd": ({"momentum": 0.9, "average": "weighted"}, {"average": "schedule-free"}),
    "adam": ({"average": "uniform"}, {"average": "schedule-free"}),
    "sgd-plain": ({"average": "poly8", "schedule": "constant"},),
}

EXCEPT: dict[str, set[str]] = {
    "lbfgs": {"scaling"},  # the first step of SciPy is g/||g||
    **{name: {"scaling"} for name in ("dog", "adgd", "adgd-2023", "ac-fgm")},  # absolute first step
    "auto": {"scaling"},  # asked for with a metric, where it picks lbfgs
    "newton": {"metric"},  # it takes none
}


def info_of(row: Row) -> Info:
    return find(row["algo"], row.get("variant", "paper")).INFO


def least(row: Row) -> str:
    """No --reference, unless the algorithm needs f*."""
    return "auto" if "f_star" in info_of(row).wants else "none"


def taken(info: Info, options: Row) -> Row:
    """The options but for those that mean nothing to the algorithm."""
    return {name: value for name, value in options.items() if name not in info.refuses}


def rows_of(info: Info) -> list[Row]:
    plain: Row = {"algo": info.name, **({"lr": 0.1} if "lr" in info.settings else {})}
    bounds = [{"bound": bound} for bound in info.bounds] or [{}]
    return [{**plain, **more} for more in (*bounds, *MORE.get(info.name, ()))]


ROWS = [row for module in table().values() for row in rows_of(module.INFO)]
FULL_BATCH = [row for row in ROWS if not info_of(row).minibatch]
PAPER = [row for row in FULL_BATCH if {"I", "II"} & {row.get("bound")}]  # for nonsmooth f too
ALONE = [name for name, module in table().items()
         if "problem" not in module.INFO.wants and hasattr(module, "step")]  # fmt: skip


def promising(invariant: str, rows: list[Row]) -> Any:
    """Run a test on the rows that promise what it asserts."""
    kept = [row for row in rows if invariant not in EXCEPT.get(row["algo"], ())]
    return pytest.mark.parametrize("row", kept, ids=lambda row: " ".join(map(str, row.values())))


SLACK = 1 + 1e-9  # of d <= D: rounding of d and D, both good to about 1e-12
ROUNDING = 1e-12  # of f - f*, absolute
GOLDEN_RTOL = 1e-12  # the same arithmetic in another order of summation: measured 8e-15

LARGE = {"letter-uci.scale.xz": 800, "dna.scale.xz": 500}
"""Of these files so many rows always, and all of them where slow tests run."""

PROBLEMS: list[Any] = [
    *((path.name, {"l2": "1/n"}) for path in sorted(DATA.iterdir()) if ".scale" in path.name),
    *(pytest.param(name, {"l2": "1/n", "whole": True}, marks=pytest.mark.slow) for name in LARGE),
    ("vehicle.scale", {"l2": 0.0}),  # D is that of one minimiser among many
    ("wine.scale", {"l2": 0.0}),  # separable: D is infinite
    ("wdbc.scale.xz", {"l2": "1/n", "intercept": True}),
    ("glass.scale", {"l2": "1/n", "metric": "half"}),
]

STEP_KEYS = [
    *("event", "k", "d", "d_hat", "step_size", "f_last", "f_average", "f_best"),
    *("suboptimality_last", "suboptimality_average", "suboptimality_best"),
    *("bound", "grad_norm", "gradients", "d_over_D", "rejected", "seconds"),
]
START_KEYS = [
    *("event", "version", "algorithm", "data", "objective", "options"),
    *("d0", "d0_certified", "schema", "metric", "reference"),
]
REFERENCE_KEYS = {"status", "f_star", "gap", "D", "D_inf", "D_error", "method", "seconds"}
END_KEYS = {*STEP_KEYS, "status", "theorem2_k", "iterate", "accuracy", "log_loss", "diagnosis",
            "environment"}  # fmt: skip


@dataclass
class Ran:
    """A run with a row for each k, and what it was a run of."""

    info: Info
    row: Row
    problem: Problem
    result: FitResult

    @functools.cached_property
    def D(self) -> float | None:
        """An upper bound on the distance that d is compared with."""
        known = self.result.reference
        distance = known[self.info.distance]
        return None if distance is None else distance + known["D_error"]

    def column(self, key: str) -> list[Any]:
        return [row[key] for row in self.result.trace]


def records_have_all_keys(ran: Ran) -> None:
    result, keys = ran.result, STEP_KEYS + ["epoch"] * ran.info.minibatch
    if "schedule" in ran.row and ran.D is not None and not ran.info.minibatch:
        keys = [*keys, "bound_last"]
    assert list(result.start) == START_KEYS
    assert set(result.start["reference"]) >= REFERENCE_KEYS
    assert all(list(row) == keys for row in result.trace)
    assert set(result.end) >= END_KEYS
    last, end = result.trace[-1], result.end
    assert {key: end[key] for key in keys if key not in ("event", "seconds")} == {
        key: last[key] for key in keys if key not in ("event", "seconds")
    }
    json.dumps([result.start, *result.trace, end], allow_nan=False)


def f_is_finite_and_its_best_never_rises(ran: Ran) -> None:
    f, best = ran.column("f_last"), ran.column("f_best")
    assert np.isfinite(f).all()
    assert np.isfinite(ran.column("grad_norm")).all()
    assert best == list(itertools.accumulate(f, min))
    assert best[-1] < f[0]
    assert all(s is None or s >= -ROUNDING for s in ran.column("suboptimality_best"))


def d_never_falls(ran: Ran) -> None:
    d = ran.column("d")
    assert ran.result.start["d0"] == d[0]
    assert ran.result.d == d[-1]
    if not ran.info.has_d:
        assert set(d) == {None}
        return
    assert d[0] > 0
    assert d == sorted(d)
    assert d[0] < d[-1] or ran.result.end["k"] < 100, "d must grow, or this says nothing"


def d_is_at_most_D(ran: Ran) -> None:
    certified = bool(ran.info.bounds)
    assert ran.result.start["d0_certified"] == certified
    if certified and ran.D is not None:
        assert ran.result.trace[-1]["d"] <= ran.D * SLACK


def the_bound_holds_for_what_the_guarantee_is_for(ran: Ran) -> None:
    kind = "average" if ran.info.averages else "best"
    first, *others = ran.result.trace
    assert first["bound"] is None
    possible = not ran.info.minibatch and ran.D is not None
    for row in others:
        if row["bound"] is None:
            assert not (possible and ran.info.has_d)
        else:
            assert possible
            assert row[f"suboptimality_{kind}"] <= row["bound"] + ROUNDING


def an_average_is_where_there_is_one(ran: Ran) -> None:
    averages = ran.info.averages
    if ran.info.minibatch:
        averages = ran.row.get("average", "none") != "none"
    assert {f is not None for f in ran.column("f_average")} == {averages}


def the_weights_are_the_iterate_with_the_least_f(ran: Ran) -> None:
    end = ran.result.end
    f = {name: end[f"f_{name}"] for name in ("last", "average", "best")}
    assert f[end["iterate"]] == min(value for value in f.values() if value is not None)
    w = ran.result.w
    # Margins are summed up for 50 steps, and may be reordered: 2e-12 of f were measured.
    at = ran.problem.value(ran.problem.scores(w), w)
    assert at == pytest.approx(f[end["iterate"]], rel=1e-11, abs=1e-14)


INVARIANTS = (
    records_have_all_keys,
    f_is_finite_and_its_best_never_rises,
    d_never_falls,
    d_is_at_most_D,
    the_bound_holds_for_what_the_guarantee_is_for,
    an_average_is_where_there_is_one,
    the_weights_are_the_iterate_with_the_least_f,
)


@pytest.mark.parametrize(("path", "options"), PROBLEMS, ids=str)
@promising("invariants", ROWS)
def test_invariants(path: str, options: Row, row: Row) -> None:
    options, (X, y), info = dict(options), read(path), info_of(row)
    if path in LARGE and not options.pop("whole", False):
        X, y = X[: LARGE[path]], y[: LARGE[path]]
    l2 = 1 / X.shape[0] if options["l2"] == "1/n" else options["l2"]
    problem = Problem(X, encode(y), l2=l2, intercept=options.get("intercept", False))
    work = X.nnz * problem.n_classes  # of a gradient; the small problems have at most 1e5
    options = taken(info, options)
    if info.minibatch:
        options = {name: value for name, value in options.items() if name != "metric"}
        budget = {"epochs": min(20, max(1, 2_000_000 // work))}
    else:
        budget = {"iterations": min(150, max(8, 4_000_000 // work))}
    result = fit(X, y, every=1, **budget, **options, **row)
    chosen = find(result.start["algorithm"], row.get("variant", "paper")).INFO  # by auto
    for holds in INVARIANTS:
        holds(Ran(chosen, row, problem, result))


@promising("scaling", FULL_BATCH)
def test_scaled_data_scale_the_trajectory(row: Row) -> None:
    """X -> c X and d0 -> d0/c: f is the same, d and w are divided by c. With c = 8, to rounding."""
    X, y = vehicle()
    common = {"iterations": 50, "every": 1, "l2": 0.0, "reference": least(row), **row}
    common |= taken(info_of(row), {"metric": "identity"})
    given = info_of(row).has_d
    one = fit(X, y, **common, **({"d0": 0.01} if given else {}))
    other = fit(X * 8.0, y, **common, **({"d0": 0.01 / 8} if given else {}))
    for key, factor in (("f_last", 1.0), ("d", 8.0))[: 1 + given]:
        values = [[r[key] for r in result.trace] for result in (one, other)]
        np.testing.assert_allclose(np.multiply(values[1], factor), values[0], rtol=1e-12)
    np.testing.assert_allclose(other.w * 8, one.w, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in metric.METRICS if name != "identity"])
@promising("metric", FULL_BATCH)
def test_a_metric_is_data_scaled_beforehand(row: Row, name: str) -> None:
    """Without l2, the same d, f and predictions as on data scaled by hand; weights unscaled."""
    X, y = vehicle()
    X = X.toarray()
    c = metric.scale(Problem(X, encode(y)), name)
    assert c is not None
    common = {"iterations": 8, "every": 1, "l2": 0.0, "reference": least(row), **row}
    here = fit(X, y, metric=name, **common)
    there = fit(X * c.ravel(), y, metric="identity", **common)
    for key in ("d", "f_last")[not info_of(row).has_d :]:
        values = [[r[key] for r in result.trace] for result in (here, there)]
        np.testing.assert_allclose(values[0], values[1], rtol=1e-7)
    np.testing.assert_allclose(here.w, there.w * c, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("n_classes", [2, 3])
@promising("threads", ROWS)
def test_threads_change_no_digit_on_sparse_data(
    row: Row, n_classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dadapt_cli.objective.blocks.THREADS_FROM", 1)
    monkeypatch.setattr("dadapt_cli.objective.blocks.BLOCK", 300)
    monkeypatch.setattr("dadapt_cli.objective.margins.THREADS_FROM", 1)
    monkeypatch.setattr("dadapt_cli.algorithms._subspace.SHARED_FROM", 1)
    problem = random_problem(0, n=300, p=20, n_classes=n_classes, density=0.2)
    X, y = sp.csr_array(problem.X), problem.labels.index
    budget = {"epochs": 3} if info_of(row).minibatch else {"iterations": 60}
    one, *others = (
        fit(X, y, threads=threads, l2=0.0, reference=least(row), every=20, **budget, **row)
        for threads in (1, 2, 3)
    )
    for other in others:
        np.testing.assert_array_equal(other.w, one.w)
        assert [r["d"] for r in other.trace] == [r["d"] for r in one.trace]


@promising("resumed", [row for row in ROWS if info_of(row).resumable])
def test_a_run_in_pieces_is_the_run_in_one(
    row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_pieces(row, tmp_path, monkeypatch)


def begun(name: str, x0: Array, g0: Array, *, d0: Any = 0.1, **more: Any) -> Any:
    """The state before the first step, without a problem; what the listing does not take is left
    out, G is from g_0 unless `gradient_bound` says otherwise, and L is 1."""
    algorithm: Any = find(name, more.get("variant", "paper"))
    info, choice = algorithm.INFO, more.pop("gradient_bound", "initial")
    if info.has_d:
        more["d0"] = d0
    if info.minibatch:
        return algorithm.start(x0, **more, **({"lr": 0.1} if "lr" in info.settings else {}))
    if info.bounds:
        more.setdefault("bound", info.bounds[0])
    if "G" in info.wants:
        more["G"] = algorithm.gradient_bound(None, g0, choice)
    if {"L", "any L"} & {*info.wants}:
        more.setdefault("L", 1.0)
    return algorithm.start(x0, g0, **more)


GOLDEN: dict[str, Row] = {
    "alg1_I": {"algo": "dual-avg", "bound": "I", "gradient_bound": "auto"},
    "alg1_II": {"algo": "dual-avg", "bound": "II", "gradient_bound": "initial"},
    "alg1_II_G1": {"algo": "dual-avg", "bound": "II", "gradient_bound": 1.0},
    "alg2_g0": {"algo": "gd", "bound": "I", "gradient_bound": "initial"},
    "alg2_G1": {"algo": "gd", "bound": "II", "gradient_bound": 1.0},
    "alg3_I_G1": {"algo": "adagrad", "bound": "I", "gradient_bound": 1.0},
    "alg3_II_G1": {"algo": "adagrad", "bound": "II", "gradient_bound": 1.0},
    "alg4": {"algo": "sgd"},
    "alg4_mom0.9": {"algo": "sgd", "variant": "pip", "momentum": 0.9},
    "alg5": {"algo": "adam"},
    "pip_adagrad": {"algo": "adagrad", "variant": "pip"},
}


def golden_run(golden: dict[str, Any], row: Row) -> tuple[list[float], Any]:
    """d and the last state; the schedule of a minibatch algorithm drops after 40 steps."""
    options = {**row}
    algorithm: Any = find(options.pop("algo"), options.get("variant", "paper"))
    problem = Problem(np.array(golden["X"]), encode(np.array(golden["y"])), l2=0.1)
    x0 = problem.zeros()
    g0 = problem.value_and_gradient(x0).g
    state = begun(row["algo"], x0, g0, d0=0.01, **options)
    d = [state.d]
    for k in range(61):
        g = problem.value_and_gradient(state.x).g
        algorithm.step(state, g, *([1.0 if k < 40 else 0.1] * algorithm.INFO.minibatch))
        d.append(state.d)
    return d, state


@pytest.mark.parametrize("case", GOLDEN)
def test_golden_trajectory(case: str, golden: dict[str, Any]) -> None:
    d, state = golden_run(golden, GOLDEN[case])
    np.testing.assert_allclose(d, golden[case]["d"], rtol=GOLDEN_RTOL)
    np.testing.assert_allclose(state.x, golden[case]["x"], rtol=GOLDEN_RTOL)
    if not info_of(GOLDEN[case]).minibatch:
        np.testing.assert_allclose(state.average, golden[case]["xhat"], rtol=GOLDEN_RTOL)


@pytest.mark.parametrize("case", [c for c, row in GOLDEN.items() if not info_of(row).minibatch])
def test_fit_gives_the_golden_rows(case: str, golden: dict[str, Any]) -> None:
    X, y = np.array(golden["X"]), np.array(golden["y"])
    result = fit(X, y, d0=0.01, l2=0.1, iterations=61, every=1, **GOLDEN[case])
    d = [row["d"] for row in result.trace]
    np.testing.assert_allclose(d, golden[case]["d"], rtol=GOLDEN_RTOL)
    assert result.reference["f_star"] == pytest.approx(golden["fstar"], rel=1e-14)
    assert result.reference["D"] == pytest.approx(np.linalg.norm(golden["wstar"]), rel=1e-12)


@st.composite
def absolute_deviations(draw: st.DrawFn) -> tuple[Array, Array]:
    """mean |x_i w - b_i| with a known zero at w*: nonsmooth, f* = 0."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    p = draw(st.integers(1, 20))
    X = rng.normal(size=(draw(st.integers(p, 60)), p)) * 10.0 ** draw(st.integers(-3, 3))
    return X, rng.normal(size=p) * 10.0 ** draw(st.integers(-2, 2))


@given(problem=absolute_deviations(), row=st.sampled_from(PAPER))
@settings(max_examples=60, deadline=None)
def test_theorems_hold_on_least_absolute_deviations(problem: tuple[Array, Array], row: Row) -> None:
    X, w_star = problem
    algorithm = find(row["algo"])
    D = float(np.linalg.norm(w_star, np.inf if algorithm.INFO.distance == "D_inf" else 2))

    def f_and_g(w: Array) -> tuple[float, Array]:
        residual = X @ (w - w_star)
        return float(np.abs(residual).mean()), X.T @ np.sign(residual) / len(X)

    x0 = np.zeros_like(w_star)
    state = begun(row["algo"], x0, f_and_g(x0)[1], d0=1e-3 * D, bound=row["bound"], L=np.inf)
    for _ in range(300):
        state.f, g = f_and_g(state.x)
        before = state.d
        algorithm.step(state, g)
        assert before <= state.d <= D * SLACK
        bound = state.bound(D)
        # Rounding of f is relative to the size of X and D: f itself may be 0.
        size = float(np.linalg.norm(X)) * D
        assert f_and_g(state.average)[0] <= bound * SLACK + 1e-12 * size


@pytest.mark.parametrize(
    ("name", "bound", "choice", "expected"),
    [
        ("dual-avg", "I", "auto", 0.5003),
        ("dual-avg", "II", "auto", 0.6145),
        ("gd", "I", 1.0, 0.4726),
        ("adagrad", "I", 1.0, 0.4782),
    ],
)
def test_absolute_value_toy(name: str, bound: str, choice: str | float, expected: float) -> None:
    """f(x) = |x| from x_0 = 1 with d0 = 0.1: d after 100 steps, D = 1."""
    state = begun(name, np.ones(1), np.ones(1), bound=bound, gradient_bound=choice)
    for _ in range(100):
        find(name).step(state, np.sign(state.x))
    assert state.d == pytest.approx(expected, abs=5e-5)  # as printed, four digits


@pytest.mark.parametrize("name", ["dual-avg", "adagrad"])
def test_gradients_that_cancel_keep_d(name: str) -> None:
    """s = 0 after +g, -g: d is kept, x returns to x_0, and the next gradient moves it again."""
    g = np.array([1.0, -2.0])
    # AdaGrad forgets a_0 = 1e-12, so that its second step is exactly the first one's opposite.
    choice = "auto" if name == "dual-avg" else 1e-12
    state = begun(name, np.zeros(2), g, d0=0.5, bound="II", gradient_bound=choice)
    for gradient in (g, -g):
        find(name).step(state, gradient)
    assert state.d_hat is None
    assert state.d == 0.5
    assert np.array_equal(state.x, np.zeros(2))
    find(name).step(state, g)
    assert np.all(state.x != 0)


@pytest.mark.parametrize("name", [name for name in ALONE if find(name).INFO.has_d])
def test_a_gradient_that_is_no_number_is_an_error(name: str) -> None:
    """Also for one of several replicas."""
    shapes = [(2,), (1, 2, 1, 2)] if find(name).INFO.minibatch else [(2,)]
    for shape in shapes:
        state = begun(name, np.zeros(shape), np.ones(shape))
        if not find(name).INFO.minibatch:
            state.f = 1.0
        find(name).step(state, np.ones(shape))
        g = np.ones(shape)
        g[0, ...] = np.nan
        with pytest.raises(NumericalError, match=r"d_hat is (nan|not finite in one of the rep)"):
            find(name).step(state, g)


def test_theorem2_returns_the_average_at_the_least_ratio() -> None:
    common = {"algo": "dual-avg", "bound": "II", "l2": 0.0, "every": 1}
    result = fit(*vehicle(), gradient_bound="lipschitz", iterations=60, **common)
    d = [row["d"] for row in result.trace]
    ratios = [d[k + 1] / sum(d[: k + 1]) for k in range(60)]
    t = int(np.argmin(ratios))
    assert result.end["theorem2_k"] == t
    shorter = fit(*vehicle(), gradient_bound="lipschitz", iterations=t + 1, **common)
    np.testing.assert_array_equal(result.theorem2_w, shorter.theorem2_w)
    plain = fit(*vehicle(), iterations=5, **common)
    assert plain.end["theorem2_k"] is None
    assert plain.theorem2_w is None


GUESSING = [name for name, module in table().items() if "gradient_bound" in module.INFO.settings]


@pytest.mark.parametrize("choice", ["auto", "initial", "lipschitz", 3.0])
@pytest.mark.parametrize("name", GUESSING)
def test_any_gradient_bound_keeps_d_below_D(name: str, choice: str | float) -> None:
    result = fit(*read("glass.scale"), algo=name, gradient_bound=choice, l2="1/n", iterations=200)
    D = result.reference[find(name).INFO.distance]
    assert result.trace[-1]["d"] <= D * SLACK
    assert result.trace[-1]["f_best"] < result.trace[0]["f_best"]


@promising("zeros", FULL_BATCH)
def test_columns_of_zeros_stay_zero(row: Row) -> None:
    X, y = read("iris.scale")
    wider = sp.csr_array((X.data, X.indices, X.indptr), shape=(150, 6))
    for name in metric.METRICS:
        chosen = taken(info_of(row), {"metric": name})
        w = fit(wider, y, iterations=20, l2=0.0, reference=least(row), **chosen, **row).w
        assert np.array_equal(w[4:], np.zeros((2, 3)))


@promising("optimal", FULL_BATCH)
def test_an_optimal_start_ends_at_once(row: Row) -> None:
    X, y = sp.csr_array((4, 2)), np.array([0, 1, 0, 1])
    row = {**row, "epochs" if info_of(row).minibatch else "iterations": 100}
    result = fit(X, y, l2=0.0, **row)
    assert result.status == "optimal"
    assert [r["k"] for r in result.trace] == [0]
    assert "already optimal" in result.end["diagnosis"][0]
    assert np.array_equal(result.w, [0.0, 0.0])
    if info_of(row).has_d:
        assert result.d == 0.0
        assert fit(X, y, l2=0.0, d0=0.5, **row).d == 0.5


def test_unknown_names_get_a_suggestion() -> None:
    with pytest.raises(UsageError, match=re.escape("did you mean 'dual-avg'?")):
        find("dual_avg")
    with pytest.raises(UsageError, match=re.escape(f"there are {', '.join(names())}")):
        find("zzz")
