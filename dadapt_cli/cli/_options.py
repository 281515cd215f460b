"""Commands from declarations: parameters of a dataclass's type become its options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial, wraps
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from dadapt_cli.errors import UsageError
from dadapt_cli.solver.declared import Declared, declared

_EXAMPLES = "\n\nExamples\n--------\n"


def command_line() -> tuple[str, ...]:
    """The arguments of the command that is running, as they were typed."""
    return tuple(_TYPED.get())


_TYPED: ContextVar[tuple[str, ...]] = ContextVar("typed", default=())


@contextmanager
def typed(argv: Sequence[str]) -> Iterator[None]:
    """Let :func:`command_line` know the arguments while the block runs."""
    token = _TYPED.set(tuple(argv))
    try:
        yield
    finally:
        _TYPED.reset(token)


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only results.")]

Format = Annotated[str, typer.Option("--format", "-f", help="table or json.")]
"""Output formats; a command with ``--format``, this or one of its own, takes ``--json`` too."""

FORMATS = ("table", "json")
"""The values of :data:`Format`."""


class _Whole:
    """Help in a list of commands: the first paragraph, not cut off."""

    help: str | None

    def get_short_help_str(self, limit: int = 45) -> str:
        """Return the first paragraph on one line; the list wraps a text longer than `limit`."""
        return " ".join(inspect.cleandoc(self.help or "").partition("\n\n")[0].split())


class _Quick:
    """What needs no conversion gets none: the parser's own imports pydantic, half of a start."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, those that the parser adds included."""
        parameters: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for one in parameters:
            if not isinstance(one.process_value, partial):
                one.process_value = partial(_process, one, one.process_value)
        return parameters


def _process(parameter: Any, convert: Callable[[Any, Any], Any], ctx: Any, value: Any) -> Any:
    """Return the value of a parameter; `convert` does it, and says what is wrong, in other cases.

    The defaults here are of their options' types.
    """
    source: Any = ctx.get_parameter_source(parameter.name)
    several = parameter.multiple or parameter.nargs != 1
    kind = getattr(getattr(parameter, "type_descriptor", None), "annotation", None)
    limits = (getattr(parameter, name, None) for name in ("min", "max"))
    if (parameter.required and value in (None, ())) or (
        source.name != "DEFAULT" and any(limit is not None for limit in limits)
    ):
        return convert(ctx, value)
    if several and value is None:
        value = ()
    elif several and kind == list[str]:
        value = list(value)
    elif kind is int and type(value) is str and value.isascii() and value.isdigit():
        value = int(value)
    elif kind is float and type(value) is str and type(number_or_word(value)) is float:
        value = float(value)
    elif source.name != "DEFAULT" and not (kind is str and type(value) is str):
        return convert(ctx, value)
    return value if parameter.callback is None else parameter.callback(ctx, parameter, value)


class Group(_Whole, _Quick, TyperGroup):
    """A command that has subcommands."""


class Command(_Whole, _Quick, TyperCommand):
    """A command whose ``-h`` has a section for each group of options, and examples.

    The examples are the lines of the docstring's section Examples.
    """

    @property
    def examples(self) -> list[str]:
        """Command lines, as they are typed."""
        return inspect.cleandoc(self.help or "").partition(_EXAMPLES)[2].splitlines()

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write what the command does."""
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(inspect.cleandoc(self.help or "").partition(_EXAMPLES)[0])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples as they are: a line that wraps cannot be copied."""
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples:
                    formatter.write(f"  {line}\n")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and the groups, in the order in which they come."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if (shown := parameter.get_help_record(ctx)) is not None:
                own = "Arguments" if parameter.param_type_name == "argument" else "Options"
                group = getattr(parameter, "rich_help_panel", None) or own
                sections.setdefault(group, []).append(shown)
        width = max(len(names) for rows in sections.values() for names, _ in rows)
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl([(names.ljust(width), text) for names, text in rows])


def deferred(main: Callable[..., Any]) -> Callable[..., Any]:
    """The function that the parser calls for a command: it returns the call, ready to be made.

    A closed pipe inside a command would be turned into exit code 1 by the parser. A parameter of
    `main` whose type is a dataclass of declared options is replaced by these. After ``--format``
    comes ``--json``, which gives it the value ``json``.
    """
    wanted = inspect.signature(main, eval_str=True).parameters.values()
    made = {p.name: p.annotation for p in wanted if hasattr(p.annotation, "__dataclass_fields__")}

    @wraps(main)
    def parsed(**arguments: Any) -> Callable[[], Any]:
        return partial(_call, main, made, form, arguments)

    parameters = [
        own.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for p in wanted
        for own in (_parameters(made[p.name]) if p.name in made else [p])
    ]
    form = next(filter(_is_format, parameters), None)
    if form is not None:
        parameters.insert(parameters.index(form) + 1, _json(form))
    vars(parsed)["__signature__"] = inspect.Signature(parameters)
    parsed.__annotations__ = {}
    return parsed


def _is_format(parameter: inspect.Parameter) -> bool:
    """Whether it is ``--format``; an Option in an annotation stores its first flag as default."""
    (info, *_) = getattr(parameter.annotation, "__metadata__", [None])
    return getattr(info, "default", None) == "--format"


def _json(form: inspect.Parameter) -> inspect.Parameter:
    """Return the parameter ``--json``, in the same group as ``--format``."""
    group = form.annotation.__metadata__[0].rich_help_panel
    info = typer.Option("--json", help="The same as --format json.", rich_help_panel=group)
    return form.replace(name="json", default=False, annotation=Annotated[bool, info])


def _call(
    main: Callable[..., Any],
    made: Mapping[str, type],
    form: inspect.Parameter | None,
    arguments: dict[str, Any],
) -> Any:
    """Make the dataclasses out of what was typed, and run the command."""
    if form is not None and arguments.pop("json"):
        typed = arguments[form.name]
        if typed not in (form.default, "json"):
            raise UsageError(f"--json and --format {typed[:40]!r}: give one of them")
        arguments[form.name] = "json"
    for name, cls in made.items():
        values = {n: _value(one, arguments.pop(n)) for n, one in declared(cls).items()}
        arguments[name] = cls(**values)
    return main(**arguments)


def _parameters(cls: type) -> Iterator[inspect.Parameter]:
    """The parameters as the parser reads them: text for pairs, and where words are allowed."""
    for name, one in declared(cls).items():
        kind: Any = one.kinds[0]
        default = one.default
        if one.holds(Mapping):
            kind = list[str]
        elif set(one.kinds) == {int, str} and not one.words:  # a label: integers in a file
            kind = int
        elif kind not in (bool, int, float) or len(one.kinds) > 1:
            kind, default = str, None if default is None else one.shown
        info = typer.Option(
            *one.flags,
            help=one.help,
            metavar=one.metavar,
            rich_help_panel=one.group,
            **one.parser,
        )
        yield inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=default,
            annotation=Annotated[kind if default is not None else kind | None, info],
        )


def _value(one: Declared, given: Any) -> Any:
    """Convert the text to a value; its range is for the option to check."""
    if one.holds(Mapping):
        return factors(one.typed, given or [])
    if not isinstance(given, str):
        return given
    if one.holds(tuple):
        return _pair(one, given)
    if one.holds(float):
        return number_or_word(given)
    return int(given) if one.holds(int) and given.isascii() and given.isdigit() else given


def factors(name: str, texts: list[str]) -> dict[int, float] | str:
    """Parse factors of labels, none twice; or the one word that is allowed in their place."""
    if texts == ["balanced"]:
        return "balanced"
    found: dict[int, float] = {}
    for text in texts:
        label, _, factor = text.partition("=")
        try:
            if int(label) in found:
                raise UsageError(f"--{name} {text[:40]!r}: label {label} has a weight already")
            found[int(label)] = float(factor)
        except ValueError:
            raise UsageError(f"--{name} {text[:40]!r}; give LABEL=W, as -1=0.5") from None
    return found


def _pair(one: Declared, text: str) -> tuple[float, float]:
    """Parse two numbers separated by a comma."""
    try:
        first, second = map(float, text.split(","))
    except ValueError:
        raise UsageError(f"--{one.typed} {text[:40]!r}; give two numbers, as {one.shown}") from None
    return first, second


def number_or_word(text: str) -> str | float:
    """Return a float if Python can read one, else the text."""
    try:
        return float(text) if "_" not in text else text
    except ValueError:
        return text
