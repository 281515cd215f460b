"""The solver for benchopt, run by benchopt."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ..conftest import DATA

SOLVER = DATA.parent / "benchmarks" / "benchopt" / "dadapt.py"

OBJECTIVE = '''
import numpy as np
from benchopt import BaseObjective


class Objective(BaseObjective):
    """As in benchmark_logreg_l2."""

    name = "L2 Logistic Regression"
    parameters = {"lmbd": [1.0], "fit_intercept": [True, False]}

    def set_data(self, X, y):
        self.X, self.y = X, y

    def evaluate_result(self, beta):
        w, c = (beta[:-1], beta[-1]) if self.fit_intercept else (beta, 0.0)
        losses = np.logaddexp(0, -self.y * (self.X @ w + c))
        return {"value": losses.sum() + 0.5 * self.lmbd * w @ w}

    def get_one_result(self):
        return {"beta": np.zeros(self.X.shape[1] + self.fit_intercept)}

    def get_objective(self):
        return {"X": self.X, "y": self.y, "lmbd": self.lmbd, "fit_intercept": self.fit_intercept}
'''

DATASET = """
import numpy as np
from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "Simulated"

    def get_data(self):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(80, 5))
        return {"X": X, "y": np.where(X[:, 0] + rng.normal(size=80) > 0.3, 1.0, -1.0)}
"""


@pytest.mark.skipif(importlib.util.find_spec("benchopt") is None, reason="benchopt is missing")
def test_benchopt_runs_the_solver_to_the_optimum(tmp_path: Path) -> None:
    import pandas as pd

    for name, text in {
        "objective.py": OBJECTIVE, "datasets/simulated.py": DATASET, "solvers/dadapt.py": None
    }.items():  # fmt: skip
        target = tmp_path / "bench" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            shutil.copy(SOLVER, target)
        else:
            target.write_text(text)
    config = tmp_path / "benchopt.yml"
    config.touch()
    ran = subprocess.run(
        [sys.executable, "-m", "benchopt", "run", "bench", "-n", "12", "-r", "1", "--no-plot",
         "--output", "found", "--no-display"],
        cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "BENCHOPT_CONFIG": str(config)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = pd.read_parquet(tmp_path / "bench" / "outputs" / "found.parquet")
    best = found.groupby("objective_name").objective_value.min()
    for name, rows in found.groupby(["objective_name", "solver_name"]):
        # The methods get to the same optimum: dual-avg, the slowest, to about 1e-2 in 12 points.
        assert rows.objective_value.min() <= best[name[0]] * 1.02, name
    assert found.solver_name.nunique() == 4
    assert np.isfinite(found.objective_value).all()
