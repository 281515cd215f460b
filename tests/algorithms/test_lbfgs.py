"""lbfgs: SciPy's solver in our trace; auto: newton, or what takes a metric."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize

from dadapt_cli import fit
from dadapt_cli.algorithms import auto, find
from dadapt_cli.algorithms._drive import Iterates, drive
from dadapt_cli.algorithms._plan import plan
from dadapt_cli.cli import run
from dadapt_cli.errors import NumericalError
from dadapt_cli.libsvm import read_libsvm
from dadapt_cli.objective import Problem
from dadapt_cli.preprocessing.labels import encode

from ..conftest import DATA, SMALL, load_problem, random_problem, timeless


@pytest.mark.parametrize("path", SMALL)
def test_its_points_are_scipys(path: str) -> None:
    X, y = read_libsvm(DATA / path)
    problem = load_problem(DATA / path, "1/n")
    values = []

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        at = problem.value_and_gradient(flat.reshape(problem.shape))
        values.append(at.f)
        return at.f, at.g.ravel()

    options = {"maxcor": 10, "ftol": 0.0, "gtol": 0.0, "maxls": 50, "maxfun": 30}
    minimize(objective, problem.zeros().ravel(), jac=True, method="L-BFGS-B", options=options)
    result = fit(X, y, algo="lbfgs", l2="1/n", iterations=25, every=1)
    ours = [row["f_last"] for row in result.trace]
    if result.status == "precision":  # SciPy has ended: its last point stands again
        assert ours.pop() == ours[-1]
    np.testing.assert_array_equal(ours, values[: len(ours)])
    assert len(ours) >= min(len(values), 26)
    D = result.reference["D"] + result.reference["D_error"]
    # D ||g_0||, and the rounding of g_0: at most 1e3 units of G, which is a few times ||g_0||
    bound = result.trace[1]["bound"]
    assert bound == pytest.approx(D * result.trace[0]["grad_norm"], rel=1e-11)
    assert bound >= D * result.trace[0]["grad_norm"]
    for row in result.trace[1:]:
        assert row["suboptimality_best"] <= row["bound"]
        assert row["d"] <= D * (1 + 1e-9)


def test_it_stops_where_scipy_does() -> None:
    X, y = read_libsvm(DATA / "wine.scale")
    result = fit(X, y, algo="lbfgs", l2="1/n", iterations=5000)
    assert result.status == "precision"
    assert abs(result.end["suboptimality_best"]) < 1e-10


def test_the_loop_hears_of_a_number_that_is_none() -> None:
    def iterates() -> Iterates[str]:
        yield np.ones(2)
        state.f = np.nan
        try:
            yield np.ones(2)
        except NumericalError as error:
            return str(error)
        return "no error"

    state = find("lbfgs").start(np.zeros(2), np.ones(2), d0=0.1, L=1.0)
    state.f = 1.0
    assert drive(find("lbfgs"), state, iterates()) == "d_hat is nan"


def test_an_error_in_the_loop_passes_through_scipy() -> None:
    def iterates() -> Iterates[None]:
        yield np.ones(2)
        raise OSError("inside")

    state = find("lbfgs").start(np.zeros(2), np.ones(2), d0=0.1, L=1.0)
    state.f = 1.0
    with pytest.raises(OSError, match="inside"):
        drive(find("lbfgs"), state, iterates())


def test_auto_says_what_it_picked_and_runs_it(capfd: pytest.CaptureFixture[str]) -> None:
    X, y = read_libsvm(DATA / "vehicle.scale")
    assert run(["fit", str(DATA / "vehicle.scale"), "-a", "auto", "-n", "5"]) == 0
    out, err = capfd.readouterr()
    assert err.count("\n") == 1
    assert f"auto picked newton: {plan(Problem(X, encode(y))).reason}" in err
    assert find("newton").INFO.title in out
    named, picked = (fit(X, y, algo=algo, iterations=5) for algo in ("newton", "auto"))
    assert picked.start["algorithm"] == picked.start["options"]["algo"] == "newton"
    assert [timeless(row) for row in picked.trace] == [timeless(row) for row in named.trace]


def test_auto_picks_what_takes_the_metric(tmp_path: Path) -> None:
    X, y = read_libsvm(DATA / "vowel.scale")
    for more, algo in (({}, "lbfgs"), ({"checkpoint": tmp_path / "run"}, "orth")):
        result = fit(X, y, algo="auto", metric="diagonal", iterations=3, **more)
        assert result.start["algorithm"] == result.start["options"]["algo"] == algo
        assert result.start["metric"] == "diagonal", "what the user gives stays"


@pytest.mark.parametrize("resumable", [False, True])
@pytest.mark.parametrize(("n", "p", "classes"), [(300, 120, 2), (20, 60, 3), (2000, 20, 12)])
def test_auto_is_newton_whatever_the_shape(n: int, p: int, classes: int, resumable: bool) -> None:
    problem = random_problem(0, n=n, p=p, n_classes=classes)
    options, reason = auto.choose(problem, resumable=resumable)
    assert options == {"algo": "newton"}
    assert reason == f"newton: {plan(problem).reason}"
