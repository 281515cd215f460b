"""The command line: parse, call, render. Nothing is computed here.

:func:`run` is the one place where exceptions become exit codes and one-line messages.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any

import typer

from dadapt_cli import __version__
from dadapt_cli.cli import _cluster
from dadapt_cli.cli._messages import say
from dadapt_cli.cli._options import Command, Group, deferred, typed
from dadapt_cli.errors import DadaptError, ExitCode, Interrupted

COMMANDS = (
    *("fit", "predict", "check", "compare", "pack"),
    *("verify", "show", "regress", "algorithms"),
)
GROUPS = ("datasets", "paper")
"""The modules of this package, each for the command of its name; imported where they are run."""

CONTEXT = {"help_option_names": ["-h", "--help"]}


def application(name: str | None = None) -> typer.Typer:
    """The parser of all commands, or of the one called `name`, which starts sooner."""
    app = typer.Typer(
        name="dadapt",
        cls=Group,
        help="Fit logistic regression without a learning rate (D-Adaptation), with certificates.",
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=CONTEXT,
    )
    for own in COMMANDS if name is None else {name}.intersection(COMMANDS):
        app.command(own, cls=Command)(deferred(_module(own).main))
    for own in GROUPS if name is None else {name}.intersection(GROUPS):
        group = _module(own)
        commands = typer.Typer(
            cls=Group, help=group.HELP, rich_markup_mode=None, context_settings=CONTEXT
        )
        for part, main in group.COMMANDS.items():
            commands.command(part, cls=Command)(deferred(main))
        app.add_typer(commands, name=own)
    app.callback()(_root)
    return app


def _module(name: str) -> Any:
    return import_module(f"{__name__}.{name}")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dadapt {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    pass


def _discard_stdout() -> None:
    """Keep the interpreter from reporting, while it shuts down, that stdout cannot be flushed."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _finish(argv: list[str]) -> int:
    app = application(argv[0] if argv and argv[0] in (*COMMANDS, *GROUPS) else None)
    parsed: Any = app(args=argv or ["--help"], prog_name="dadapt", standalone_mode=False)
    code = parsed() if callable(parsed) else parsed  # help and version leave nothing to call
    sys.stdout.flush()
    return int(code or ExitCode.OK)


def run(argv: list[str]) -> int:
    """Run one command line.

    Parameters
    ----------
    argv
        The arguments after the program's name.

    Returns
    -------
    int
        The exit code (:class:`~dadapt_cli.errors.ExitCode`). No exception leaves this function
        unless ``DADAPT_DEBUG=1`` asks for the traceback.
    """
    debug = os.environ.get("DADAPT_DEBUG") == "1"
    try:
        with typed(argv):
            return _finish(argv)
    except Interrupted as error:
        return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.INT
    except BrokenPipeError:
        _discard_stdout()
        return ExitCode.PIPE
    except Exception as error:
        if debug:
            raise
        return _explain(error, say if _cluster.speaks(argv) else lambda line: None)


def _explain(error: Exception, say: Callable[[str], None]) -> int:
    """Say in one line what went wrong; return the exit code."""
    if isinstance(error, DadaptError):
        say(str(error))
        return error.exit_code
    if isinstance(error, MemoryError):
        say(f"out of memory ({error or 'no size given'}); use less data or a larger machine")
        return ExitCode.IO
    if isinstance(error, OSError):
        _discard_stdout()
        say(f"{error.filename or 'output'}: {error.strerror or error}")
        return ExitCode.IO
    if explain := getattr(error, "format_message", None):  # the parser's own complaints
        context = getattr(error, "ctx", None)
        where = context.command_path if context is not None else "dadapt"
        say(f"{' '.join(explain().split())} See '{where} -h'.")
        return ExitCode.USAGE
    say(
        f"internal error: {type(error).__name__}: {error}; please report it with the traceback "
        "that DADAPT_DEBUG=1 shows"
    )
    return ExitCode.BUG
