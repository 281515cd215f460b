"""Bound C: d <= D in every metric, for every algorithm that takes it, smooth or not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dadapt_cli import fit
from dadapt_cli.algorithms import find, table
from dadapt_cli.algorithms._certificate import Certificate
from dadapt_cli.algorithms._rounding import Rounding
from dadapt_cli.errors import NumericalError
from dadapt_cli.libsvm import read_libsvm
from dadapt_cli.objective.metric import METRICS
from dadapt_cli.solver.stages import FitResult

from ..conftest import DATA, SMALL
from .test_table import absolute_deviations

PAPER = [name for name, module in table().items() if "I" in module.INFO.bounds]
OTHERS = [name for name, module in table().items() if module.INFO.bounds == ("certified",)
          and "metric" not in module.INFO.refuses]  # fmt: skip
pytestmark = pytest.mark.usefixtures("one_cache")

SLACK = 1 + 1e-9  # of d <= D: rounding of d and D, both good to about 1e-12


def fitted(path: str, **options: object) -> FitResult:
    X, y = read_libsvm(DATA / path)
    return fit(X, y, **{"iterations": 150, "every": 1, "l2": "1/n", **options})


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", PAPER)
@pytest.mark.parametrize("path", SMALL[::2])
def test_d_stays_below_D_in_every_metric(path: str, name: str, metric: str) -> None:
    result = fitted(path, algo=name, bound="certified", metric=metric)
    assert result.start["metric"] == metric
    D = result.reference[find(name).INFO.distance] + result.reference["D_error"]
    d = [row["d"] for row in result.trace]
    assert d == sorted(d)
    assert d[0] < d[-1] <= D * SLACK
    for row in result.trace[1:]:
        assert row["suboptimality_average"] <= row["bound"] + 1e-12


@pytest.mark.parametrize("name", PAPER)
def test_the_certificate_is_no_smaller_than_option_two(name: str) -> None:
    """Where it matters: after as many steps d is larger, and the first steps differ already."""
    certified = fitted("wdbc.scale.xz", algo=name, bound="certified", iterations=60)
    paper = fitted("wdbc.scale.xz", algo=name, bound="II", iterations=60)
    assert certified.d > 1.05 * paper.d


@given(
    problem=absolute_deviations(),
    name=st.sampled_from(PAPER),
)
@settings(max_examples=60, deadline=None)
def test_d_stays_below_D_without_smoothness(
    problem: tuple[np.ndarray, np.ndarray], name: str
) -> None:
    """Least absolute deviations, L = infinity, a known minimiser: nothing may exceed D."""
    X, w_star = problem
    algorithm = find(name)
    inf = algorithm.INFO.distance == "D_inf"
    D = float(np.linalg.norm(w_star, np.inf if inf else 2))
    state = None
    x = np.zeros_like(w_star)
    size = np.abs(X).mean(axis=0) if inf else float(np.linalg.norm(X, axis=1).mean())
    for _ in range(200):
        residual = X @ (x - w_star)
        f, g = float(np.abs(residual).mean()), X.T @ np.sign(residual) / len(X)
        if not g.any():  # at the minimiser
            break
        if state is None:
            G = None if name == "dual-avg" else size
            state = algorithm.start(x, g, d0=1e-3 * D, bound="certified", G=G)
        state.f = f
        algorithm.step(state, g)
        assert state.d <= D * SLACK
        x = state.x


def included(
    certificate: Certificate, f: float, g: np.ndarray, move: np.ndarray, at: Rounding
) -> float:
    at.at(f, g, move)
    return certificate.include(f, g, move, 1.0, at)


def test_the_certificate_is_tight_on_one_absolute_value() -> None:
    """|x| from x_0 = 1: one point decides, f_0 - f_b over the slope, once f_b is f*."""
    certificate, one = Certificate(L=np.inf), np.array([1.0])
    at = Rounding.plain(one)
    assert included(certificate, 1.0, one, np.zeros(1), at) == pytest.approx(0.0, abs=1e-14)
    included(certificate, 0.0, np.zeros(1), -one, at)
    assert certificate.bound(1.0, 0.0, at) == pytest.approx(1.0, rel=1e-14)
    assert certificate.bound(1.0, 0.0, at) < 1.0, "the errors are taken off"
    assert certificate.bound(1.0, 1.0, at) < 0.5, "and added to ||s||"


def test_errors_keep_d_below_D_after_convergence() -> None:
    """Without them d/D reaches 1.74 on diabetes: f_i - f_b and <g, x> are rounding, ||g|| less."""
    rng = np.random.default_rng(0)
    H = np.diag([1.0, 0.1])
    x_star = np.array([3.0, -2.0])
    D = float(np.linalg.norm(x_star))
    ats = {charged: Rounding.plain(x_star) for charged in (True, False)}
    ats[True].sums, ats[True].G = 2.2e-16, 1.0  # what is put into g below
    ats[True].value_relative = 8e-16
    ats[False].inner = ats[False].u = ats[False].value_relative = 0.0
    certificates = {charged: Certificate(L=1.0) for charged in ats}
    worst = {True: -np.inf, False: -np.inf}
    for charged, at in ats.items():  # as a run would begin
        f0 = 0.5 * float(x_star @ H @ x_star) + 1
        included(certificates[charged], f0, -H @ x_star, np.zeros(2), at)
    for _ in range(2000):
        x = x_star + rng.normal(size=2) * 1e-16
        g = rng.uniform(-1, 1, size=2) * 1.5e-16  # what is left of it is rounding
        f = 1.0 + float(rng.integers(-2, 3)) * 2.2e-16
        for charged, at in ats.items():
            worst[charged] = max(worst[charged], included(certificates[charged], f, g, x, at))
    assert worst[False] > 1.5 * D, "or the test shows nothing"
    assert worst[True] <= D


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", OTHERS)
def test_d_stays_below_D_after_convergence_on_real_data(name: str, metric: str) -> None:
    for path in ("iris.scale", "wine.scale", "wdbc.scale.xz"):
        result = fitted(path, algo=name, metric=metric, iterations=400)
        D = result.reference["D"] + result.reference["D_error"]
        assert max(row["d"] for row in result.trace) <= D * SLACK, path


def test_an_infinity_in_the_certificate_is_an_error() -> None:
    for name in PAPER:
        g = np.ones(2)
        G = {"dual-avg": None, "gd": 1.0, "adagrad": g}[name]
        state = find(name).start(np.zeros(2), g, d0=0.1, bound="certified", G=G)
        with pytest.raises(NumericalError, match="d_hat is nan"):
            find(name).step(state, g)  # f was never told
