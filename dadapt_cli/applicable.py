"""Which options belong to which algorithms, and what the minibatch ones mean.

An option that an algorithm would ignore is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from dadapt_cli import epochs, run
from dadapt_cli.algorithms import Algorithm, Info
from dadapt_cli.arrays import Array
from dadapt_cli.batches import SCHEDULES
from dadapt_cli.checks import choice, number
from dadapt_cli.epochs import AVERAGES, Plan
from dadapt_cli.errors import UsageError
from dadapt_cli.run import Outcome

if TYPE_CHECKING:
    from dadapt_cli.fitting import Options

FULL_BATCH = ("iterations", "bound", "gradient_bound")

MINIBATCH = ("epochs", "batch_size", "seed", "average")

SETTINGS = ("d0", "lr", "momentum", "betas", "schedule")
"""Taken by the minibatch algorithms that say so in ``Info.settings``; d0 by all the others."""

DEFAULT_D0 = 1e-6
"""The paper's."""


def not_for(info: Info) -> tuple[str, ...]:
    """Options, with underscores, that mean nothing to an algorithm."""
    others = FULL_BATCH if info.minibatch else MINIBATCH
    taken = info.settings if info.minibatch else ("d0",)
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


def check_minibatch(options: Options, info: Info) -> None:
    """Raise UsageError at the first minibatch option that cannot be used as given."""
    choice("schedule", options.schedule, SCHEDULES)
    choice("average", options.average, AVERAGES)
    for name, count, least in (
        ("epochs", options.epochs, 1),
        ("batch-size", options.batch_size, 1),
        ("seed", options.seed, 0),
    ):
        number(name, count, at_least=least)
        if count != int(count):
            raise UsageError(f"--{name} {count}; give an integer")
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


def plan(options: Options, info: Info) -> Plan:
    """The plan of the epochs; an algorithm that takes no schedule has a constant one."""
    schedule = options.schedule if "schedule" in info.settings else "constant"
    return Plan(options.batch_size, schedule, options.seed, options.average)


def loop(options: Options, info: Info) -> tuple[Callable[..., Outcome], int]:
    """The loop for an algorithm, and its number of rounds: iterations or epochs."""
    if info.minibatch:
        return partial(epochs.iterate, plan=plan(options, info)), options.epochs
    return run.iterate, options.iterations


def notes(options: Options, info: Info) -> list[str]:
    """Warnings about the options, one line each."""
    if not info.minibatch:
        return []
    return epochs.notes(plan(options, info), options.epochs, "d0" in info.settings)


def start(options: Options, algorithm: Algorithm, x0: Array) -> Any:
    """The state of a minibatch algorithm before the first step."""
    values: dict[str, Any] = {
        "d0": DEFAULT_D0 if options.d0 == "auto" else options.d0,
        "lr": options.lr,
        "momentum": options.momentum,
        "betas": tuple(options.betas),
    }
    taken = {name: values[name] for name in algorithm.INFO.settings if name in values}
    if "d0" in taken:
        taken["variant"] = options.variant
    make: Any = algorithm.start
    return make(x0, **taken)
