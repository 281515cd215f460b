"""``--cluster`` and ``--workers``: which process this is, and how the others are started."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dadapt_cli.cli._messages import say
from dadapt_cli.errors import ExitCode, InputOutputError, MissingExtraError, UsageError

RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK")
"""Where launchers of MPI jobs tell a process its rank, before MPI itself is loaded."""


def speaks(argv: list[str]) -> bool:
    """Whether this process reports errors: of an MPI job, only rank 0 does."""
    rank = next((os.environ[name] for name in RANKS if name in os.environ), "0")
    return rank == "0" or not ("mpi" in argv or "--cluster=mpi" in argv)


def run(cluster: str, command: Callable[[Any], int]) -> int:
    """Run a command with the processes of a cluster; in ranks other than 0, serve it.

    Raises
    ------
    UsageError, MissingExtraError
        The cluster cannot be used.
    InputOutputError
        No scheduler answers, or it has no workers.
    """
    if cluster == "mpi":
        from dadapt_cli.cluster.mpi import Job

        job = Job()
        if job.rank:
            job.serve()
            return ExitCode.OK
        with job:
            return command(job)
    return _with_dask(cluster, 1, command)


def _with_dask(address: str | None, workers: int, command: Callable[[Any], int]) -> int:
    from dadapt_cli.cluster.dask import Job

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters is said in one line
    with Job(address, workers) as job:
        return command(job)


def start(workers: int, argv: list[str], command: Callable[[Any], int], *, quiet: bool) -> int:
    """Run a command with so many processes of this machine: through mpiexec, or else Dask.

    Parameters
    ----------
    argv
        The command line without ``--workers``; under mpiexec each process is given it.

    Raises
    ------
    MissingExtraError
        Neither mpi4py nor Dask is installed.
    UsageError
        There is mpi4py alone, without an mpiexec.
    """
    from dadapt_cli.cluster.jobs import installed

    launcher = _mpiexec() if installed("mpi4py") else None
    if launcher is None and not installed("distributed"):
        if installed("mpi4py"):
            raise UsageError(
                "--workers: there is no mpiexec; pip install mpich, or load the site's"
            )
        raise MissingExtraError("--workers", "dask")
    if not quiet:
        say(f"{workers} processes here, through {launcher or 'Dask'}")
    if launcher is None:
        return _with_dask(None, workers, command)
    program = [sys.executable, "-m", "dadapt_cli", *argv, "--cluster", "mpi"]
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execv(launcher, [launcher, "-n", str(workers), *program])
    except OSError as error:
        raise InputOutputError(f"{launcher}: {error.strerror}; reinstall it") from error


def _mpiexec() -> str | None:
    own = Path(sys.executable).with_name("mpiexec")
    return str(own) if own.exists() else shutil.which("mpiexec")
