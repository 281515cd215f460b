"""A solver for benchopt's benchmark_logreg_l2: copy it into the benchmark's folder ``solvers``.

Its objective is the sum of the losses plus lmbd/2 ||beta||^2, n times ours with l2 = lmbd/n.
"""

from benchopt import BaseSolver

import dadapt_cli as dadapt


class Solver(BaseSolver):
    """Each run makes the steps that benchopt asks for, from zero."""

    name = "dadapt"
    install_cmd = "conda"
    requirements = ("pip::dadapt",)
    references = ("Defazio & Mishchenko, Learning-Rate-Free Learning by D-Adaptation, ICML 2023.",)
    sampling_strategy = "iteration"
    parameters = {"algo": ["dual-avg", "accel", "orth", "newton"]}  # noqa: RUF012 - benchopt's name

    def set_objective(self, X, y, lmbd, fit_intercept=False):  # noqa: D102 - benchopt's methods
        self.X, self.y = X, y
        self.how = {"l2": lmbd / len(y), "intercept": fit_intercept, "reference": "none"}
        self.run(2)  # what is imported and computed once is not the algorithm's time

    def run(self, stop_val):  # noqa: D102
        steps = max(stop_val, 1)
        result = dadapt.fit(
            self.X, self.y, algo=self.algo, iterations=steps, every=steps, **self.how
        )
        self.beta = result.w if stop_val else 0 * result.w

    def get_result(self):  # noqa: D102
        return {"beta": self.beta}
