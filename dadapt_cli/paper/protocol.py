"""What the paper's experiments have in common: seeds, epochs, replicas, means and their errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np

from dadapt_cli import __version__, algorithms
from dadapt_cli._typing import Array, Record
from dadapt_cli.algorithms import MinibatchAlgorithm
from dadapt_cli.errors import UsageError
from dadapt_cli.paper.replicas import STARTS, Curves, Samples, Sweep, sweep
from dadapt_cli.solver.checks import choice
from dadapt_cli.solver.options import Options
from dadapt_cli.solver.start import DEFAULT_D0
from dadapt_cli.solver.trace import finite

GRID = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Learning rates for plain Adam; the paper does not print its grid."""

D0_GRID = (1e-16, 1e-14, 1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2, 1e-1, 1.0)

BETA = Options().beta


@dataclass(frozen=True)
class Protocol:
    """The paper's: 100 epochs of batches of 16, drops at 60, 80, 95, 10 seeds.

    Attributes
    ----------
    seeds
        Their number: 0, 1, ...
    algo, variant, schedule, average, beta
        What is compared with plain Adam over the grid, which keeps the paper's schedule. None is
        that schedule, or with ``schedule-free`` none.
    grid
        Values of Adam's learning rate.
    dtype
        Of the arrays; scalars are float64.
    start
        ``linear``: random, as PyTorch starts a linear layer, which the paper's code is built on;
        ``zero``. It matters where features are large: on pendigits (0 to 100) d becomes .07 or
        .001.
    """

    seeds: int = 10
    epochs: int = 100
    batch_size: int = 16
    algo: str = "adam"
    variant: str = "paper"
    schedule: str | None = None
    average: str = "none"
    beta: float = BETA
    grid: tuple[float, ...] = GRID
    d0_grid: tuple[float, ...] = D0_GRID
    dtype: str = "float32"
    start: str = "linear"

    def check(self) -> MinibatchAlgorithm:
        """Return the algorithm; raise UsageError at the first value that cannot be used."""
        algorithm = algorithms.find(self.algo, self.variant)
        if not algorithm.INFO.minibatch:
            raise UsageError(f"--algo {self.algo} takes no minibatches; sgd, adam or cocob do")
        if "lr" in algorithm.INFO.settings:
            raise UsageError(
                f"--algo {self.algo} needs a learning rate; choose an algorithm that finds one"
            )
        for name, value, least in (("seeds", self.seeds, 2), ("epochs", self.epochs, 1),
                                   ("batch-size", self.batch_size, 1)):  # fmt: skip
            if value < least:
                raise UsageError(f"--{name} {value}; give {least} or more")
        for name, grid in (("grid", self.grid), ("d0", self.d0_grid)):
            if not grid or not all(1e-30 <= v < math.inf for v in grid):
                raise UsageError(f"--{name}: give positive numbers with commas between")
            if list(grid) != sorted(set(grid)):
                raise UsageError(f"--{name}: give each number once, in ascending order")
        given = {"schedule"} if self.schedule is not None else set()
        given |= {"beta"} if self.beta != BETA else set()
        self.options().check({*given, "epochs"})
        choice("dtype", self.dtype, ("float32", "float64"))
        choice("start", self.start, STARTS)
        return cast(MinibatchAlgorithm, algorithm)

    def options(self) -> Options:
        """What a fit would be given."""
        schedule, average = cast(Any, self.schedule or "paper"), cast(Any, self.average)
        return Options(
            algo=self.algo,
            variant=self.variant,
            schedule=schedule,
            average=average,
            beta=self.beta,
            epochs=self.epochs,
            batch_size=self.batch_size,
        )

    def key(self, sha256: str, *unused: str) -> Record:
        """What a stored result depends on, except the options in `unused`."""
        options = {k: v for k, v in asdict(self).items() if k not in unused}
        tuples = {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()}
        return {**tuples, "sha256": sha256, "version": __version__}

    def described(self, samples: Samples) -> Record:
        """What a record says about the runs, whatever their results."""
        info = algorithms.find(self.algo, self.variant).INFO
        ran = self.options().resolved(info)
        return {
            "algorithm": self.algo,
            "variant": self.variant,
            "schedule": ran.schedule if "schedule" in info.settings else None,
            "average": ran.average,
            "samples": len(samples.y),
            "seeds": self.seeds,
            "epochs": self.epochs,
        }

    def run(
        self,
        samples: Samples,
        algo: str,
        variant: str = "paper",
        *,
        axis: str | None = None,
        values: Sequence[float] = (),
        progress: Callable[[float], None] = lambda share: None,
    ) -> Curves:
        """Sweep one algorithm under this protocol."""
        algorithm = cast(MinibatchAlgorithm, algorithms.find(algo, variant))
        info = algorithm.INFO
        settings: Record = {}
        if "d0" in info.settings:
            settings["variant"] = variant
            if axis != "d0":
                settings["d0"] = DEFAULT_D0
        options = Options(epochs=self.epochs)
        if algo == self.algo:
            options = self.options().resolved(info)
            if options.average == "schedule-free":
                settings["beta"] = self.beta
        plan = Sweep(
            seeds=range(self.seeds),
            axis=axis,
            values=values,
            settings=settings,
            epochs=self.epochs,
            batch_size=self.batch_size,
            schedule=options.schedule if "schedule" in info.settings else "constant",
            average=options.average,
            start=self.start,
        )
        return sweep(samples, algorithm, plan, progress)


PERCENT = (0.0, 100.0)

FINAL = {"accuracy": PERCENT, "se": PERCENT, "log_loss": float | None}
"""Types of a :func:`summary` without d: what is known of any algorithm at the end."""

SUMMARY = FINAL | {"d": float | None, "d_std": float | None}
"""Types of a :func:`summary`."""


def deviation(values: Array) -> Array:
    """Standard deviation over the last axis, the seeds; exactly 0 where they all agree."""
    return np.where(np.ptp(values, axis=-1) > 0, values.std(axis=-1, ddof=1), 0.0)


def summary(curves: Curves, setting: int = 0) -> Record:
    """Final accuracy in percent with its error, log-loss, and d with its spread over seeds."""
    percent = 100.0 * curves.accuracy[-1, :, setting]
    d = curves.d[-1, :, setting]
    known = bool(np.isfinite(d).all())
    return {
        "accuracy": float(percent.mean()),
        "se": float(deviation(percent)) / math.sqrt(len(percent)),
        "log_loss": finite(float(curves.log_loss[-1, :, setting].mean())),
        "d": float(d.mean()) if known else None,
        "d_std": float(deviation(d)) if known else None,
    }


def curve(curves: Curves, setting: int = 0) -> Record:
    """Means over the seeds after each epoch, accuracy in percent with its standard error."""
    percent = 100.0 * curves.accuracy[:, :, setting]
    error = deviation(percent) / math.sqrt(percent.shape[1])
    return {
        "accuracy": percent.mean(axis=1).tolist(),
        "se": error.tolist(),
        "log_loss": [finite(v) for v in curves.log_loss[:, :, setting].mean(axis=1).tolist()],
    }
