"""The contenders of a comparison: names as typed, and what they stand for."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from dadapt_cli.errors import UsageError
from dadapt_cli.solver.declared import Declared, declared
from dadapt_cli.solver.options import Options

if TYPE_CHECKING:
    from dadapt_cli.compare.case import Contender

OWN = (
    *(name for name, one in declared(Options).items()
      if one.group == "Algorithm" and name not in ("algo", "init")),
    "dtype",
)  # fmt: skip
"""Options that may follow a name, after colons."""

SHARED = (
    "scale", "weight", "positive", "l2", "C", "bias", "intercept", "reference", "iterations",
    "epochs", "tol", "time_limit", "threads",
)  # fmt: skip
"""Options that all runs share."""

NOT_FOR_SOLVERS = ("epochs",)
"""Shared options that other solvers have no use for."""


def known_solvers() -> list[str]:
    """Names of ``--with``."""
    from dadapt_cli.compare import liblinear, scikit_learn, scipy_minimize

    return [
        *liblinear.SOLVERS,
        *(f"{scikit_learn.PREFIX}:{name}" for name in scikit_learn.SOLVERS),
        *(f"{scipy_minimize.PREFIX}:{name}" for name in scipy_minimize.METHODS),
    ]


def find(
    algorithms: Iterable[str], others: Iterable[str], shared: Options, given: Collection[str]
) -> list[Contender]:
    """Return the requested contenders, in their order, with their options checked.

    Parameters
    ----------
    algorithms
        NAME or NAME:OPTION=VALUE:..., several separated by commas.
    others
        Other solvers, likewise without options.
    shared
        Options of all runs.
    given
        Which of these the user gave: one that no contender takes is refused.

    Raises
    ------
    UsageError
        A name or an option that does not exist, no contender, one named twice, or a solver
        that is not installed.
    """
    ours, theirs = _split(algorithms), _split(others)
    if not ours and not theirs:
        raise UsageError(
            "nobody to compare; name algorithms (-a newton,lbfgs,dual-avg: dadapt algorithms) and "
            "other solvers (--with liblinear,scikit-learn:lbfgs)"
        )
    found: list[Contender] = []
    left = set(given)
    for text in ours:
        found.append(_ours(text, shared, given, left))
    for text in theirs:
        found.append(_solver(text))
        left &= set(NOT_FOR_SOLVERS)
    for name in sorted(left):
        raise UsageError(f"--{declared(Options)[name].typed}: none of {_listed(found)} takes it")
    names = [one.name for one in found]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{name}: is named twice; once is enough, --repeat repeats")
    return found


def _split(texts: Iterable[str]) -> list[str]:
    if isinstance(texts, str):
        texts = [texts]
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]


def _listed(found: list[Contender]) -> str:
    names = [one.name for one in found]
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")


def _ours(text: str, shared: Options, given: Collection[str], left: set[str]) -> Contender:
    """Parse an algorithm; remove the shared options that it uses from `left`."""
    from dadapt_cli import algorithms
    from dadapt_cli.compare.ours import Ours

    name, *settings = text.split(":")
    if name not in algorithms.names() and text.lower().replace("sklearn", "scikit-learn") in (
        known_solvers()
    ):
        raise UsageError(f"-a {text}: is another solver; --with {text} compares it")
    values: dict[str, Any] = {}
    for setting in settings:
        option, equals, value = setting.partition("=")
        option = option.replace("-", "_")
        if option not in OWN or not equals:
            near = difflib.get_close_matches(option, OWN, n=1)
            hint = f"did you mean {near[0]}=...?" if near else f"as {name}:bound=II"
            if option in SHARED:
                hint = f"--{option.replace('_', '-')} is for all of them"
            raise UsageError(f"-a {text[:60]!r}: {setting[:40]!r} is no option of its own; {hint}")
        values[option] = _value(declared(Options)[option], value)
    common = {f.name: getattr(shared, f.name) for f in fields(Options) if f.name in SHARED}
    options = Options(**{**common, "algo": name, **values})
    info = algorithms.find(name, str(options.variant)).INFO
    taken = {one for one in given if declared(Options)[one].taken_by(info)}
    left -= taken
    options.check({*taken, *values})
    return Ours(text, options, info)


def _value(one: Declared, text: str) -> Any:
    """Convert the text to a value; its range is for the option to check."""
    if one.holds(bool):
        if text not in ("true", "false"):
            raise UsageError(f"{one.typed}={text[:40]}: give true or false")
        return text == "true"
    if one.holds(tuple):
        raise UsageError(f"{one.typed}: two numbers have no place in a name; its default is taken")
    if one.holds(int) and not one.holds(float):
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else text
    if one.holds(float):
        try:
            return float(text) if "_" not in text else text
        except ValueError:
            return text
    return text


def _solver(text: str) -> Contender:
    """Parse the name of another solver."""
    from dadapt_cli.compare import liblinear, scikit_learn
    from dadapt_cli.compare.liblinear import Liblinear
    from dadapt_cli.compare.scikit_learn import ScikitLearn
    from dadapt_cli.compare.scipy_minimize import Minimize

    name = text.lower().replace("sklearn:", "scikit-learn:")
    known = known_solvers()
    if name not in known:
        from dadapt_cli import algorithms

        if name in algorithms.names():
            raise UsageError(f"--with {text}: is an algorithm of ours; -a {name} compares it")
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        near = near or [other for other in known if name in other.split(":")]
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
        raise UsageError(f"--with {text[:40]!r}: unknown solver; {hint}")
    if name in liblinear.SOLVERS:
        liblinear.require()
        return Liblinear(name, liblinear.SOLVERS[name])
    library, _, method = name.partition(":")
    if library == scikit_learn.PREFIX:
        return ScikitLearn(name, method)
    return Minimize(name, method)
