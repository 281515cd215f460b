"""lbfgs and auto: SciPy's solver in our trace, and the choice between it and orth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from dadapt_cli import fit
from dadapt_cli.algorithms import auto, find
from dadapt_cli.algorithms._drive import Iterates, drive
from dadapt_cli.cli import run
from dadapt_cli.errors import NumericalError
from dadapt_cli.libsvm import read_libsvm

from ..conftest import DATA, SMALL, load_problem, random_problem


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
    assert run(["fit", str(DATA / "vehicle.scale"), "-a", "auto", "-n", "5", "--l2", "1/n"]) == 0
    out, err = capfd.readouterr()
    assert "auto picked lbfgs" in err
    assert "L-BFGS-B of SciPy" in out
    result = fit(*read_libsvm(DATA / "vowel.scale"), algo="auto", metric="diagonal", iterations=3)
    assert result.start["algorithm"] == result.start["options"]["algo"] == "lbfgs"
    assert result.start["metric"] == "diagonal", "what the user gives stays"


def test_auto_picks_by_size_and_classes() -> None:
    def picked(n: int, p: int, n_classes: int = 2) -> dict[str, object]:
        options, reason = auto.choose(random_problem(0, n=n, p=p, n_classes=n_classes))
        assert find(options["algo"]).INFO.name in reason
        return options

    assert picked(300, 120) == {"algo": "orth", "inner": "newton"}
    assert picked(300, 120, n_classes=3) == {"algo": "lbfgs"}
    assert picked(100, 120) == {"algo": "lbfgs"}
    assert picked(60_000, 8) == {"algo": "lbfgs", "metric": "half"}
    assert picked(2_000, 20, n_classes=12) == {"algo": "lbfgs", "metric": "half"}
    X = np.random.default_rng(0).normal(size=(300, 120))
    result = fit(X, np.arange(300) % 2, algo="auto", iterations=3, reference="none")
    assert result.start["algorithm"] == "orth"
    assert result.start["options"]["inner"] == "newton"
