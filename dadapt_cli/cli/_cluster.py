"""``--cluster`` and ``--workers``: which process this is, and how the others are started."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dadapt_cli.errors import ExitCode, InputOutputError, MissingExtraError, UsageError

CLUSTERS = ("mpi",)


def run(cluster: str, command: Callable[[Any], int]) -> int:
    """Run a command in rank 0, with the job; the other ranks serve it.

    Raises
    ------
    UsageError, MissingExtraError
        There is no such cluster.
    """
    from dadapt_cli.cluster.mpi import Job

    if cluster not in CLUSTERS:
        raise UsageError(f"--cluster {cluster[:40]!r}; give mpi, and start it with mpiexec")
    job = Job()
    if job.rank:
        job.serve()
        return ExitCode.OK
    with job:
        return command(job)


def start(workers: int, argv: list[str]) -> int:
    """Become ``mpiexec`` with so many processes of this command line on this machine.

    Raises
    ------
    MissingExtraError
        mpi4py is not installed.
    UsageError
        There is no mpiexec.
    """
    if importlib.util.find_spec("mpi4py") is None:
        raise MissingExtraError("--workers", "mpi")
    own = Path(sys.executable).with_name("mpiexec")
    launcher = str(own) if own.exists() else shutil.which("mpiexec")
    if launcher is None:
        raise UsageError("--workers: there is no mpiexec; pip install mpich, or load the site's")
    program = [sys.executable, "-m", "dadapt_cli", *argv, "--cluster", "mpi"]
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execv(launcher, [launcher, "-n", str(workers), *program])
    except OSError as error:
        raise InputOutputError(f"{launcher}: {error.strerror}; reinstall it") from error


def check(cluster: str | None, workers: int | None, *, packed: bool) -> None:
    """Refuse these options on data that is not packed, and both of them at once.

    Raises
    ------
    UsageError
        One of them is given where it has no meaning.
    """
    for name, given in (("cluster", cluster), ("workers", workers)):
        if given is not None and not packed:
            raise UsageError(f"--{name} is for packed data; dadapt pack makes a folder of a text")
    if cluster is not None and workers is not None:
        raise UsageError("--workers starts processes here, --cluster uses those there are; one")
