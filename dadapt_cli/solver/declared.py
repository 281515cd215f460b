"""How an option is declared: once, as the field of a dataclass.

The command line, the checks, which algorithms take it, and docs/options.md all follow from it.
Imports no NumPy: ``--help`` needs all this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache, cached_property
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from dadapt_cli.errors import UsageError
from dadapt_cli.solver.checks import Range, choice, number

FULL_BATCH, MINIBATCH, NAMED = ("full-batch",), ("minibatch",), ("named",)
"""Takers of an option: a kind of algorithm, those with it in ``Info.settings``, or a sum."""


@dataclass(frozen=True, kw_only=True)
class Declared:
    """One option, as its field declares it.

    Attributes
    ----------
    name
        With underscores.
    kinds
        The members of its type, without None; the words of a Literal are the choices.
    default
        None if there is none.
    flags
        As typed, long form first; by default ``--name``, or ``--name/--no-name`` if boolean.
    help, group, metavar
        For ``-h``; the group is the heading it stands under.
    takers
        FULL_BATCH, MINIBATCH, NAMED or a sum of them.
    words, at_least, above, below, at_most
        The values allowed: one of the words, or a number in the range.
    budget
        Whether a resumed run may have another value.
    folds
        Whether ``--cross-validate`` has a use for it.
    parser
        Further arguments of ``typer.Option``.
    """

    name: str
    kinds: tuple[Any, ...]
    default: Any
    flags: tuple[str, ...]
    help: str
    group: str | None = None
    metavar: str | None = None
    takers: tuple[str, ...] = FULL_BATCH + MINIBATCH
    words: tuple[str, ...] = ()
    at_least: float | None = None
    above: float | None = None
    below: float | None = None
    at_most: float | None = None
    budget: bool = False
    folds: bool = True
    parser: Mapping[str, Any] = field(default_factory=dict)

    @property
    def typed(self) -> str:
        """The name as typed, without the first dashes."""
        return self.flags[0].lstrip("-") if self.flags else self.name.replace("_", "-")

    @cached_property
    def choices(self) -> tuple[str, ...]:
        """The words of a Literal."""
        return get_args(self.kinds[0]) if get_origin(self.kinds[0]) is Literal else ()

    @cached_property
    def limits(self) -> dict[str, Any]:
        """The range, as far as there is one."""
        given = {name: getattr(self, name) for name in Range._fields}
        return {name: value for name, value in given.items() if value is not None}

    def holds(self, kind: type) -> bool:
        """Whether a value may be of this type."""
        return kind in self._types

    @cached_property
    def _types(self) -> tuple[Any, ...]:
        return tuple(get_origin(kind) or kind for kind in self.kinds)

    def taken_by(self, info: Any) -> bool:
        """Whether the algorithm of this :class:`~dadapt_cli.algorithms.Info` takes it."""
        if self.name in info.refuses:
            return False
        (kind,) = MINIBATCH if info.minibatch else FULL_BATCH
        return kind in self.takers or ("named" in self.takers and self.name in info.settings)

    def check(self, value: Any) -> None:
        """Raise UsageError if `value` is not allowed for the option. Its default is."""
        if value is self.default:
            return
        if self.choices:
            choice(self.typed, value, self.choices)
        elif self.holds(Mapping):
            if not isinstance(value, Mapping):
                (words,) = (get_args(kind) for kind in self.kinds if get_origin(kind) is Literal)
                choice(self.typed, value, words)
                return
            for label, factor in value.items():
                number(f"{self.typed} {label}=", factor, **self.limits)
        elif self.holds(tuple):
            allowed = Range(**self.limits)
            if not isinstance(value, (tuple, list)) or len(value) != 2 or any(
                v not in allowed for v in value
            ):  # fmt: skip
                wanted = f"two {str(allowed).replace('number', 'numbers')} as {self.shown}"
                raise UsageError(f"--{self.typed} {str(value)[:40]!r}; give {wanted}")
        elif self.words or self.limits:
            number(self.typed, value, words=self.words, **self.limits)
            if self.holds(int) and not isinstance(value, str) and value != int(value):
                raise UsageError(f"--{self.typed} {value}; give an integer")

    @property
    def shown(self) -> str:
        """The default as it would be typed."""
        if isinstance(self.default, tuple):
            return ",".join(f"{value:g}" for value in self.default)
        return f"{self.default:g}" if isinstance(self.default, float) else str(self.default)


def plain(value: Any) -> Any:
    """An option's value as JSON can hold it: tuples for lists, Python's numbers for NumPy's."""
    if value is None or type(value) in (str, bool, int, float):
        return value
    if isinstance(value, (list, tuple)):
        return tuple(map(plain, value))
    if isinstance(value, Mapping):
        return {plain(label): plain(factor) for label, factor in value.items()}
    return value.item() if getattr(value, "ndim", None) == 0 else value


def option(default: Any, help: str, *flags: str, **rules: Any) -> Any:
    """A field that declares an option; the rules are attributes of :class:`Declared`."""
    made: Any = {"default_factory": default} if callable(default) else {"default": default}
    return field(**made, metadata={"flags": flags, "help": help, **rules})


def same(cls: type, name: str, default: Any = MISSING, **rules: Any) -> Any:
    """The option as in another dataclass, except for the default and rules given here."""
    known = next(f for f in fields(cls) if f.name == name)
    default = known.default if default is MISSING else default
    return field(default=default, metadata={**known.metadata, "group": None, **rules})


@cache
def declared(cls: type) -> dict[str, Declared]:
    """The options that a dataclass declares, by name.

    Raises
    ------
    TypeError
        A rule that no option has.
    """
    kinds = get_type_hints(cls)
    return {
        f.name: Declared(
            name=f.name,
            kinds=_members(kinds[f.name]),
            default=None if f.default is MISSING else f.default,
            **f.metadata,
        )
        for f in fields(cls)
    }


def _members(kind: Any) -> tuple[Any, ...]:
    """The members of a type, without None: ``str | None`` gives (str,)."""
    if get_origin(kind) not in (Union, UnionType):
        return (kind,)
    return tuple(part for part in get_args(kind) if part is not type(None))
