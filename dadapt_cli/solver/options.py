"""The options of a fit, what they may be, and which belong to which algorithm.

An option that an algorithm would ignore is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dadapt_cli import algorithms
from dadapt_cli.algorithms import Algorithm, Info
from dadapt_cli.errors import UsageError
from dadapt_cli.objective.metric import METRICS
from dadapt_cli.objective.minibatches import AVERAGES, SCHEDULES
from dadapt_cli.preprocessing.scaling import SCALES
from dadapt_cli.solver.checks import choice, number

SMALLEST_D0 = {"float64": 1e-100, "float32": 1e-30}
"""Below it the entries of s = d0 g underflow and d would stay at d0 without a word."""


FULL_BATCH = ("iterations", "bound", "metric")

MINIBATCH = ("epochs", "batch_size", "seed", "average")

SETTINGS = (
    *("gradient_bound", "memory", "inner", "lbfgs_pairs"),
    *("d0", "lr", "momentum", "betas", "schedule"),
)
"""Taken by the algorithms that say so in ``Info.settings``; d0 by all full-batch ones."""

INNER = ("exact", "newton")


@dataclass(frozen=True)
class Options:
    """The options of a fit, as on the command line; see INTERFACE and ``dadapt fit -h``.

    ``bound`` and ``metric`` are None for the algorithm's own default.
    """

    algo: str = "dual-avg"
    iterations: int = 1000
    d0: str | float = "auto"
    bound: str | None = None
    gradient_bound: str | float = "auto"
    metric: str | None = None
    memory: int = 1
    inner: str = "exact"
    lbfgs_pairs: int = 0
    epochs: int = 100
    batch_size: int = 16
    schedule: str = "paper"
    seed: int = 0
    average: str = "none"
    momentum: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    lr: float | None = None
    variant: str = "paper"
    l2: str | float = 0.0
    bias: bool = False
    intercept: bool = False
    weight: Mapping[int, float] = field(default_factory=dict)
    scale: str = "none"
    init: str | None = None
    positive: int | None = None
    reference: str | float = "auto"
    tol: float | None = None
    time_limit: float | None = None
    every: str | int = "log"
    dtype: str = "float64"
    threads: int | None = None
    checkpoint: str | None = None
    resume: str | None = None
    restart: bool = False
    checkpoint_every: float = 30.0

    def check(self, given: Iterable[str] = ()) -> Algorithm:
        """Return the algorithm; raise UsageError at the first option that cannot be used.

        `given` names the options that the user gave, with underscores: one that the algorithm
        does not take is refused, not ignored.
        """
        algorithm = algorithms.find(self.algo, self.variant)
        refuse(algorithm.INFO, self.algo, given)
        if algorithm.INFO.minibatch:
            _check_minibatch(self, algorithm.INFO)
        else:
            _check_full_batch(self, algorithm.INFO)
        choice("scale", self.scale, SCALES)
        choice("dtype", self.dtype, tuple(SMALLEST_D0))
        number("d0", self.d0, at_least=SMALLEST_D0[self.dtype], words=("auto",))
        number("l2", self.l2, at_least=0.0, words=("1/n",))
        if self.bias and self.intercept:
            raise UsageError(
                "--bias and --intercept: one constant feature is enough; leave one out"
            )
        for label, factor in self.weight.items():
            number(f"weight {label}=", factor, at_least=0.0)
        number("reference", self.reference, words=("auto", "always", "none"))
        number("every", self.every, at_least=1, words=("log",))
        if self.tol is not None:
            number("tol", self.tol, above=0.0)
        if self.time_limit is not None:
            number("time-limit", self.time_limit, above=0.0)
        if self.threads is not None:
            number("threads", self.threads, at_least=1)
        if self.checkpoint is not None and not algorithm.INFO.resumable:
            raise UsageError(
                f"--checkpoint: the state of --algo {self.algo} is inside another library and "
                "cannot be kept; --algo orth can"
            )
        return algorithm

    def resolved(self, info: Info) -> Options:
        """With the algorithm's defaults of ``bound`` and ``metric`` filled in."""
        if info.minibatch:
            return self
        return replace(self, bound=self.bound or info.bounds[0], metric=self.metric or info.metric)


def not_for(info: Info) -> tuple[str, ...]:
    """Options, with underscores, that mean nothing to an algorithm."""
    others = FULL_BATCH if info.minibatch else MINIBATCH
    if not (info.minibatch or info.takes_metric):
        others = (*others, "metric")
    taken = info.settings if info.minibatch else (*info.settings, "d0")
    return (*others, *(name for name in SETTINGS if name not in taken))


def refuse(info: Info, algo: str, given: Iterable[str]) -> None:
    """Raise UsageError at the first option given that the algorithm does not take."""
    foreign = not_for(info)
    for name in given:
        if name in foreign:
            raise UsageError(
                f"--{name.replace('_', '-')} is not an option of --algo {algo}; "
                f"it takes {info.options}"
            )


def _check_full_batch(options: Options, info: Info) -> None:
    """Raise UsageError at the first option of full-batch algorithms that cannot be used."""
    number("iterations", options.iterations, at_least=1)
    choice("bound", options.bound or info.bounds[0], info.bounds)
    choice("metric", options.metric or info.metric, METRICS)
    choice("inner", options.inner, INNER)
    number("gradient-bound", options.gradient_bound, above=0.0,
           words=("auto", "initial", "lipschitz"))  # fmt: skip
    _integer("memory", options.memory, 0)
    _integer("lbfgs-pairs", options.lbfgs_pairs, 0)


def _integer(name: str, count: int, least: int) -> None:
    number(name, count, at_least=least)
    if count != int(count):
        raise UsageError(f"--{name} {count}; give an integer")


def _check_minibatch(options: Options, info: Info) -> None:
    """Raise UsageError at the first minibatch option that cannot be used as given."""
    choice("schedule", options.schedule, SCHEDULES)
    choice("average", options.average, AVERAGES)
    _integer("epochs", options.epochs, 1)
    _integer("batch-size", options.batch_size, 1)
    _integer("seed", options.seed, 0)
    if not _share(options.momentum):
        raise UsageError(f"--momentum {str(options.momentum)[:40]!r}; give a number in [0, 1)")
    betas = options.betas
    if not isinstance(betas, (tuple, list)) or len(betas) != 2 or not all(map(_share, betas)):
        raise UsageError(f"--betas {str(betas)[:40]!r}; give two numbers in [0, 1) as 0.9,0.999")
    if "lr" not in info.settings:
        return
    if options.lr is None:
        raise UsageError(f"--algo {options.algo} needs --lr, a learning rate")
    number("lr", options.lr, above=0.0)


def _share(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1
