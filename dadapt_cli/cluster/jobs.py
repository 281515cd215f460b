"""Which cluster is meant by ``cluster`` and ``workers``."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from dadapt_cli.errors import UsageError
from dadapt_cli.packed.folder import Data
from dadapt_cli.packed.share import Settings
from dadapt_cli.packed.sums import Engine

Result = TypeVar("Result")

SCHEMES = ("tcp", "tls")
"""Of the addresses of Dask schedulers."""


class Job(Protocol):
    """The processes that share the work; a context, at whose end they are released.

    Attributes
    ----------
    notes
        What the user should know about them, once :meth:`engine` has asked them.
    """

    notes: list[str]

    @property
    def size(self) -> int:
        """How many there are."""

    @property
    def beside(self) -> int:
        """The most of them on one machine."""

    @property
    def threads(self) -> int:
        """Threads of each by default."""

    def __enter__(self) -> Any: ...

    def __exit__(self, *error: Any) -> None: ...

    def engine(self, data: Data, settings: Settings) -> Engine:
        """Open the folder in every process; return the engine that computes the sums."""


def check(cluster: str | None, workers: int | None) -> None:
    """Refuse what cannot be meant, before anything is started.

    Raises
    ------
    UsageError
        Both are given, or there is no such cluster.
    """
    if cluster is not None and workers is not None:
        raise UsageError("--workers starts processes here, --cluster uses those there are; one")
    if cluster is not None and cluster != "mpi":
        _check_address(cluster)


def require_packed(cluster: str | None, workers: int | None, *, packed: bool) -> None:
    """Refuse both on data that are not packed.

    Raises
    ------
    UsageError
        One is given.
    """
    for name, given in (("cluster", cluster), ("workers", workers)):
        if given is not None and not packed:
            raise UsageError(f"--{name} is for packed data; dadapt pack makes a folder of a text")


def run(
    cluster: str | None, workers: int | None, command: Callable[[Job | None], Result]
) -> Result:
    """Run a command with the processes of a cluster, or None for this process alone.

    Raises
    ------
    MissingExtraError
        The cluster needs a package that is not installed.
    InputOutputError
        No scheduler answers, or it has no workers.
    """
    if cluster == "mpi":
        from dadapt_cli.cluster import mpi

        return mpi.Job().everywhere(command)
    if cluster is None and workers is None:
        return command(None)
    from dadapt_cli.cluster import dask

    with dask.Job(cluster, workers or 1) as job:
        return command(job)


def _check_address(address: str) -> None:
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        port, parts = None, urlsplit("")
    if parts.scheme not in SCHEMES or not parts.hostname or not port:
        raise UsageError(
            f"--cluster {address[:60]!r}: give mpi under mpiexec, or a Dask scheduler's address, "
            "tcp://HOST:PORT"
        )


def installed(name: str) -> bool:
    """Whether a package is there, without importing it."""
    return importlib.util.find_spec(name) is not None
