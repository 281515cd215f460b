"""The exit codes and the exceptions that carry them; nothing else in the package defines either."""

from __future__ import annotations

from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    """What the process returns to the shell."""

    OK = 0
    CHECK = 1
    """A check that was asked for is not met (``--tol``, the regression gate)."""
    USAGE = 2
    DATA = 3
    IO = 4
    NUMERICAL = 5
    BUG = 70
    HUP = 129
    INT = 130
    PIPE = 141
    TERM = 143


class DadaptError(Exception):
    """Base of every error that is reported to the user as one line.

    The message says what is wrong and what to do about it, on one line.
    """

    exit_code: ExitCode = ExitCode.BUG


class UsageError(DadaptError):
    """An option or argument that cannot be used as given."""

    exit_code = ExitCode.USAGE


class DataError(DadaptError):
    """Input data that cannot be trusted.

    Parameters
    ----------
    message
        What is wrong, with the offending token by ``repr``, and the remedy.
    path, line
        Where; ``line`` counts from 1. Both are put in front of the message.
    """

    exit_code = ExitCode.DATA

    def __init__(self, message: str, path: str | None = None, line: int | None = None) -> None:
        place = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        super().__init__(place + message)
        self.path = path
        self.line = line


class InputOutputError(DadaptError):
    """A file that cannot be read or written."""

    exit_code = ExitCode.IO


class WorkersLostError(InputOutputError):
    """No process of a cluster is left, or none can be reached; the run itself is sound."""


class NumericalError(DadaptError):
    """A NaN or an infinity where the mathematics allows none.

    Attributes
    ----------
    result
        The last finite state (:class:`~dadapt_cli.solver.stages.FitResult`), where there is one.
    """

    exit_code = ExitCode.NUMERICAL

    def __init__(self, message: str, result: Any = None) -> None:
        super().__init__(message)
        self.result = result


class CertificateError(DadaptError):
    """A certificate that turned out to be false: a bug of ours.

    Attributes
    ----------
    result
        What the fit left, the reference withdrawn.
    """

    exit_code = ExitCode.BUG

    def __init__(self, message: str, result: Any = None) -> None:
        super().__init__(message)
        self.result = result


class Interrupted(BaseException):
    """A signal that ends the program where it stands; no ``except Exception`` swallows it.

    Parameters
    ----------
    signum
        INT, TERM or HUP.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(f"signal {signum}")
        self.exit_code = ExitCode(128 + signum)


class MissingExtraError(DadaptError):
    """An optional dependency that is not installed."""

    exit_code = ExitCode.USAGE

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra {extra!r}; pip install 'dadapt[{extra}]'")
