"""The command line: parse, call, render. Nothing is computed here.

:func:`run` is the one place where exceptions become exit codes and one-line messages.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Annotated, Any

import typer

from dadapt_cli import __version__
from dadapt_cli.cli import algorithms, fit
from dadapt_cli.errors import DadaptError, ExitCode

app = typer.Typer(
    name="dadapt",
    help="Fit logistic regression without a learning rate (D-Adaptation), with certificates.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (fit, algorithms):
    app.command(command.NAME)(command.main)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dadapt {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    pass


def _say(message: str) -> None:
    """Put one line on standard error; control characters in it are shown, not obeyed."""
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)
    with contextlib.suppress(OSError):  # nobody is left to tell when stderr is gone too
        print(f"dadapt: {line}", file=sys.stderr, flush=True)


def _discard_stdout() -> None:
    """Keep the interpreter from reporting, while it shuts down, that stdout cannot be flushed."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _finish(argv: list[str]) -> int:
    code: Any = app(args=argv or ["--help"], prog_name="dadapt", standalone_mode=False)
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
    try:
        return _finish(argv)
    except DadaptError as error:
        if os.environ.get("DADAPT_DEBUG") == "1":
            raise
        _say(str(error))
        return error.exit_code
    except KeyboardInterrupt as error:
        return getattr(error, "exit_code", ExitCode.INT)
    except BrokenPipeError:
        _discard_stdout()
        return ExitCode.PIPE
    except MemoryError as error:
        _say(f"out of memory ({error or 'no size given'}); use a machine with more, or less data")
        return ExitCode.IO
    except OSError as error:
        if os.environ.get("DADAPT_DEBUG") == "1":
            raise
        _discard_stdout()
        _say(f"{error.filename or 'output'}: {error.strerror or error}")
        return ExitCode.IO
    except Exception as error:  # noqa: BLE001 - the last resort, as the message says
        return _other(error, argv)


def _other(error: Exception, argv: list[str]) -> int:
    """Turn the parser's own complaints into usage errors, and the rest into exit code 70."""
    explain = getattr(error, "format_message", None)
    if explain is None:
        if os.environ.get("DADAPT_DEBUG") == "1":
            raise error
        _say(
            f"internal error: {type(error).__name__}: {error}; please report it with the traceback "
            "that DADAPT_DEBUG=1 shows"
        )
        return ExitCode.BUG
    context = getattr(error, "ctx", None)
    where = context.command_path if context is not None else "dadapt"
    _say(f"{' '.join(explain().split())} See '{where} -h'.")
    return ExitCode.USAGE
