"""The options of a fit: each declared once, here.

An option that an algorithm would ignore is refused. Imports no NumPy: ``--help`` needs this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Literal

from dadapt_cli._typing import Label, Metric, Scale
from dadapt_cli.errors import UsageError
from dadapt_cli.solver.checks import choice, number
from dadapt_cli.solver.declared import FULL_BATCH, MINIBATCH, NAMED, declared, option, plain
from dadapt_cli.system import memory

if TYPE_CHECKING:
    from dadapt_cli.algorithms import Algorithm, Info

SMALLEST_D0 = {"float64": 1e-100, "float32": 1e-30}
"""Least d0 by dtype: below it the entries of s = d0 g underflow and d would silently stay at d0."""

_data, _objective, _algorithm, _output = (
    partial(option, group=name) for name in ("Data", "Objective", "Algorithm", "Output")
)
_budget = partial(option, group="Budget", budget=True)
_durability = partial(option, group="Durability", folds=False)

DECAYS = ("linear", "cosine")
"""Schedules that end: their length is part of them."""

DEFAULT_BETAS = (0.9, 0.999)


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a fit, as on the command line (:func:`.declared.option` says what is what).

    ``bound`` and ``metric`` are None for the algorithm's own default.
    """

    scale: Scale = _data(  # noqa: RUF009
        "none", "Divide: features by minmax or standard (deviation), rows to unit."
    )
    weight: Mapping[Label, float] | Literal["balanced"] = _data(
        dict,
        "A label's samples count W times; repeatable. balanced: each class counts the same.",
        at_least=0.0,
        metavar="LABEL=W",
    )
    positive: Label | None = _data(  # noqa: RUF009
        None, "This label against the rest.", metavar="LABEL"
    )
    dtype: Literal["float64", "float32"] = _data("float64", "float64, or float32 for the arrays.")

    l2: str | float = _objective(
        "1/n", "Weight of (l2/2)||w||^2: a number or 1/n.", words=("1/n",), at_least=0.0
    )
    C: float | None = _objective(
        None,
        "Another way to say l2 = 1/(C n): LIBLINEAR's C; not with --l2.",
        "--C",
        "-C",
        at_least=1e-100,
        at_most=1e100,
    )
    bias: bool = _objective(False, "Append a constant feature 1.")
    intercept: bool = _objective(
        False, "Append a constant feature 1, without an l2 penalty.", "--intercept"
    )
    reference: str | float = _objective(
        "auto",
        "f* and its certificate: auto, always, none or a number.",
        folds=False,
        words=("auto", "always", "none"),
    )

    algo: str = _algorithm(
        "dual-avg",
        "dual-avg, gd, adagrad, safe, orth, sgd, ... (dadapt algorithms).",
        "--algo",
        "-a",
    )
    variant: str = _algorithm("paper", "paper, pip (package dadaptation) or preprint.")
    init: str | None = _algorithm(
        None, "Start x_0; D is measured from there.", folds=False, metavar="MODEL"
    )
    d0: str | float = _algorithm(
        "auto", "Initial lower bound on D: auto (certified) or a number.", takers=FULL_BATCH + NAMED
    )
    bound: str | None = _algorithm(
        None, "d-hat: I (default), II or certified; safe and orth: certified.", takers=FULL_BATCH
    )
    metric: Metric | None = _algorithm(  # noqa: RUF009
        None, "identity (default), half (default of safe, orth) or diagonal.", takers=FULL_BATCH
    )
    gradient_bound: str | float = _algorithm(
        "auto",
        "G: auto, initial, lipschitz or a number.",
        takers=NAMED,
        words=("auto", "initial", "lipschitz"),
        above=0.0,
    )
    memory: int = _algorithm(
        1, "How many of the last steps orth searches along.", takers=NAMED, at_least=0
    )
    inner: Literal["exact", "newton"] = _algorithm(
        "exact", "Search of orth: exact, or newton (one Newton step).", takers=NAMED
    )
    lbfgs_pairs: int = _algorithm(
        0, "Pairs of the L-BFGS direction that orth adds; 0: none.", takers=NAMED, at_least=0
    )
    batch_size: int = _algorithm(16, "Samples in a minibatch.", takers=MINIBATCH, at_least=1)
    c: float = _algorithm(
        4.0,
        "Constant of accel's weights sqrt(c W d), 1 to 16.",
        takers=NAMED,
        at_least=1.0,
        at_most=16.0,
    )
    schedule: Literal["paper", "constant", "none", "linear", "cosine"] = _algorithm(
        "paper", "paper (a tenth from epochs 60, 80, 95 on), none, linear, cosine.", takers=NAMED
    )
    average: Literal["none", "uniform", "weighted", "poly8", "anytime", "schedule-free"] = (
        _algorithm(
            "none",
            "Average of minibatch iterates: uniform, weighted (by d) or poly8; anytime and "
            "schedule-free take gradients at the average.",
            takers=MINIBATCH + NAMED,
        )
    )
    beta: float = _algorithm(
        0.9,
        "The weight beta of --average schedule-free.",
        takers=NAMED,
        at_least=0.0,
        at_most=1.0,
    )
    seed: int = _algorithm(
        0, "Random seed of the minibatches, or of the folds.", takers=MINIBATCH, at_least=0
    )
    momentum: float = _algorithm(
        0.0, "Momentum of sgd and sgd-plain.", takers=NAMED, at_least=0.0, below=1.0
    )
    betas: tuple[float, float] = _algorithm(
        DEFAULT_BETAS, "Decay rates of adam and adam-plain.", takers=NAMED, at_least=0.0, below=1.0
    )
    lr: float | None = _algorithm(
        None, "Learning rate of sgd-plain and adam-plain.", takers=NAMED, above=0.0
    )

    iterations: int = _budget(
        1000,
        "Steps of a full-batch algorithm.",
        "--iterations",
        "-n",
        takers=FULL_BATCH,
        at_least=1,
    )
    epochs: int = _budget(
        100,
        "Passes over the data of a minibatch algorithm (sgd, adam, ...).",
        takers=MINIBATCH,
        at_least=1,
    )
    tol: float | None = _budget(
        None, "Stop once f - f* is proven to be at most this; if it is not, exit 1.", above=0.0
    )
    stop_when_proven: float | None = _budget(
        None,
        "Stop once this share of the labels is proven the optimum's; if it is not, exit 1.",
        metavar="SHARE",
        above=0.0,
    )
    time_limit: float | None = _budget(None, "Stop after this many seconds.", above=0.0)
    threads: int | None = _budget(
        None, "Row blocks computed at once; default: the cores.", at_least=1
    )

    memory_limit: str | None = _budget(
        None, "Most memory of the process, as 8G or 500M; default: what is free.", metavar="SIZE"
    )

    every: str | int = _output(
        "log",
        "Reported iterations: log (1, 2, 5, ...), auto (some 100) or each K-th.",
        budget=True,
        words=("log", "auto"),
        at_least=1,
    )
    certificate: str | None = _output(
        None,
        "Write a proof of f*, D and each d_k, for dadapt verify.",
        budget=True,
        folds=False,
        metavar="FILE",
    )

    checkpoint: str | None = _durability(
        None, "Keep the run there, to --resume it.", metavar="FILE"
    )
    resume: str | None = _durability(None, "Go on with the run kept there.", metavar="FILE")
    restart: bool = _durability(False, "--checkpoint may replace the run in its FILE.", "--restart")
    checkpoint_every: float = _durability(
        30.0, "Seconds between checkpoints; 0: one each iteration.", at_least=0.0, metavar="SECONDS"
    )

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if (made := plain(value)) is not value:
                object.__setattr__(self, name, made)

    def check(self, given: Iterable[str] = ()) -> Algorithm:
        """Return the algorithm; raise UsageError at the first option that cannot be used.

        `given` names the options that the user gave, with underscores: one that the algorithm
        does not take is refused, not ignored.
        """
        from dadapt_cli import algorithms

        own: type = type(self)
        algorithm = algorithms.find(self.algo, self.variant)
        info = algorithm.INFO
        refuse(info, self.algo, given, own)
        self._check_averaging(info, given)
        for name, one in declared(own).items():
            if one.taken_by(info):
                one.check(getattr(self, name))
        if info.bounds:
            choice("bound", self.bound or info.bounds[0], info.bounds)
        number("d0", self.d0, at_least=SMALLEST_D0[self.dtype], words=("auto",))
        if "lr" in info.settings and self.lr is None:
            raise UsageError(f"--algo {self.algo} needs --lr, a learning rate")
        if self.C is not None and ("l2" in given or self.l2 != "1/n"):
            raise UsageError(
                f"-C {self.C:g} is l2 = 1/({self.C:g} n), so --l2 cannot be given as well; "
                "leave one out"
            )
        if self.bias and self.intercept:
            raise UsageError(
                "--bias and --intercept: one constant feature is enough; leave one out"
            )
        for label in () if isinstance(self.weight, str) else self.weight:
            if not isinstance(label, str):
                number("weight", int(label) if isinstance(label, bool) else label)
        try:
            _ = self.memory_bytes
        except ValueError as error:
            raise UsageError(f"--memory-limit: {error}; give 8G, 500M or a number") from None
        if self.stop_when_proven is not None:
            if self.stop_when_proven > 1:
                raise UsageError(f"--stop-when-proven {self.stop_when_proven:g}; give at most 1")
            if self.l2 in ("0", 0):
                raise UsageError("--stop-when-proven needs an l2 term: leave --l2 0 out")
        if self.checkpoint is not None and not info.resumable:
            raise UsageError(
                f"--checkpoint: the state of --algo {self.algo} is inside another library and "
                "cannot be kept; --algo orth can"
            )
        return algorithm

    @property
    def memory_bytes(self) -> int | None:
        """``memory_limit`` in bytes; ValueError if it is not a size."""
        return None if self.memory_limit is None else memory.size(self.memory_limit)

    def resolved(self, info: Info) -> Options:
        """Options with the algorithm's defaults filled in; schedule ``none`` is ``constant``."""
        filled: dict[str, Any] = {}
        if self.schedule == "none" or (info.minibatch and self.average == "schedule-free"):
            filled["schedule"] = "constant"
        if info.minibatch:
            return replace(self, **filled)
        defaults: dict[str, Any] = {"bound": next(iter(info.bounds), None), "metric": info.metric}
        filled |= {name: getattr(self, name) or defaults[name] for name in defaults}
        if self.schedule not in info.scheduling:  # the default, which is for minibatches
            filled["schedule"] = info.scheduling[0]
        return replace(self, **filled)

    def _check_averaging(self, info: Info, given: Iterable[str]) -> None:
        """Raise UsageError at an average or a schedule that is not one of the algorithm's."""
        if "average" in info.settings or info.minibatch:
            choice("average", self.average, info.averaging)
        if "schedule" in info.settings and (info.minibatch or "schedule" in given):
            choice("schedule", self.schedule, info.scheduling)
        if "beta" in given and self.average != "schedule-free":
            raise UsageError("--beta is of --average schedule-free; add that, or leave --beta out")
        scheduled = self.schedule in DECAYS or (self.schedule == "paper" and "schedule" in given)
        if self.average in ("anytime", "schedule-free") and scheduled:
            raise UsageError(
                f"--average {self.average} is there to need no schedule; leave --schedule out"
            )
        budget = "epochs" if info.minibatch else "iterations"
        if self.schedule in DECAYS and "schedule" in given and budget not in given:
            raise UsageError(
                f"--schedule {self.schedule} falls to 0 over the whole run and must know how long "
                f"that is; give --{budget}"
            )
        if info.minibatch and self.average == "schedule-free":
            self._check_no_momentum(info)

    def _check_no_momentum(self, info: Info) -> None:
        """Raise UsageError at a momentum, whose place the beta of an average takes."""
        if "momentum" in info.settings and self.momentum:
            raise UsageError(
                "--momentum: with --average schedule-free --beta takes its place; leave it out"
            )
        if "betas" in info.settings and self.betas[0] != DEFAULT_BETAS[0]:
            raise UsageError(
                f"--betas {self.betas[0]:g},{self.betas[1]:g}: with --average schedule-free --beta "
                f"takes the place of the first; give {DEFAULT_BETAS[0]:g},{self.betas[1]:g}"
            )

    def met(self, status: str) -> bool:
        """Whether a fit with this status reached the ``tol`` or share asked for, if any."""
        asked = {"tolerance": self.tol, "proven": self.stop_when_proven}
        reached = asked.get(status) is not None or status == "optimal"
        return reached or not any(value is not None for value in asked.values())


LATER = ("C",)
"""Options that checkpoints of this version may lack: added later, they then had their defaults."""

BUDGETS = tuple(name for name, one in declared(Options).items() if one.budget)
"""Options that may differ from those of the run that is resumed."""

OWN = tuple(name for name, one in declared(Options).items() if one.group == "Durability")
"""Options that are about the checkpoint and not about the run."""

WRITTEN = tuple(name for name, one in declared(Options).items() if one.metavar == "FILE")
"""Options that name a file to write, which only the user may choose, never a checkpoint."""


@cache
def not_for(info: Info, options: type = Options) -> tuple[str, ...]:
    """Options, with underscores, that mean nothing to an algorithm."""
    return tuple(name for name, one in declared(options).items() if not one.taken_by(info))


def refuse(info: Info, algo: str, given: Iterable[str], options: type = Options) -> None:
    """Raise UsageError at the first option given that the algorithm does not take."""
    known = declared(options)
    for name in given:
        if name in known and not known[name].taken_by(info):
            raise UsageError(
                f"--{name.replace('_', '-')} is not an option of --algo {algo}; "
                f"it takes {info.options}"
            )
