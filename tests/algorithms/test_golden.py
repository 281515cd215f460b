"""The trajectories of golden.json: 61 steps on a closed-form 12 x 3 problem."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dadapt_cli import fit
from dadapt_cli.algorithms import find
from dadapt_cli.objective import Problem
from dadapt_cli.preprocessing.labels import encode

# The same arithmetic in another order of summation: measured 1e-15, the issue asks for 1e-9.
RTOL = 1e-12

CASES = {
    "alg1_I": ("dual-avg", "I", "auto"),
    "alg1_II": ("dual-avg", "II", "initial"),
    "alg1_II_G1": ("dual-avg", "II", 1.0),
    "alg2_g0": ("gd", "I", "initial"),
    "alg2_G1": ("gd", "II", 1.0),
    "alg3_I_G1": ("adagrad", "I", 1.0),
    "alg3_II_G1": ("adagrad", "II", 1.0),
}


@pytest.mark.parametrize("case", CASES)
def test_trajectory(case: str, shared: Path) -> None:
    golden = json.loads((shared / "golden.json").read_text())
    name, bound, choice = CASES[case]
    algorithm = find(name)
    problem = Problem(np.array(golden["X"]), encode(np.array(golden["y"])), l2=0.1)
    x0 = problem.zeros()
    g0 = problem.value_and_gradient(x0).g
    G = algorithm.gradient_bound(problem, g0, choice)
    state = algorithm.start(x0, g0, d0=0.01, bound=bound, G=G)
    d = [state.d]
    for _ in range(61):
        algorithm.step(state, problem.value_and_gradient(state.x).g)
        d.append(state.d)
    np.testing.assert_allclose(d, golden[case]["d"], rtol=RTOL)
    np.testing.assert_allclose(state.x, golden[case]["x"], rtol=RTOL)
    np.testing.assert_allclose(state.average, golden[case]["xhat"], rtol=RTOL)


@pytest.mark.parametrize("case", CASES)
def test_fit_gives_the_same_rows(case: str, shared: Path) -> None:
    golden = json.loads((shared / "golden.json").read_text())
    name, bound, choice = CASES[case]
    result = fit(
        np.array(golden["X"]),
        np.array(golden["y"]),
        algo=name,
        bound=bound,
        gradient_bound=choice,
        d0=0.01,
        l2=0.1,
        iterations=61,
        every=1,
    )
    np.testing.assert_allclose([row["d"] for row in result.trace], golden[case]["d"], rtol=RTOL)
    assert result.reference["f_star"] == pytest.approx(golden["fstar"], rel=1e-14)
    assert result.reference["D"] == pytest.approx(np.linalg.norm(golden["wstar"]), rel=1e-12)
