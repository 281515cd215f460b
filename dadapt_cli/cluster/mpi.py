"""The ranks of an MPI job: rank 0 leads, the others do what it asks for (``mpiexec -n 8 ...``).

A rank that fails says so in place of its nodes, and rank 0 raises that; a rank that dies ends the
job, which is MPI's own way. Messages are pickles between the processes of one job.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from types import TracebackType
from typing import Any

import numpy as np
import scipy

import dadapt_cli
from dadapt_cli.errors import (
    DadaptError,
    DataError,
    InputOutputError,
    MissingExtraError,
    UsageError,
)
from dadapt_cli.objective import cores
from dadapt_cli.packed.folder import Data, opened
from dadapt_cli.packed.objective import require_memory
from dadapt_cli.packed.settings import Settings
from dadapt_cli.packed.share import Share
from dadapt_cli.packed.tree import Node, share
from dadapt_cli.system import blas

ERRORS = {kind.__name__: kind for kind in (DataError, InputOutputError, UsageError)}
"""Errors that a rank may report; any other one is a bug, and ends the job."""


class Job:
    """The part of one process in an MPI job.

    Used as a context by rank 0: however the block ends, the other ranks are released.

    Attributes
    ----------
    keeps
        Whether what an operation leaves in a process is there for the next one.

    Raises
    ------
    MissingExtraError
        mpi4py is not installed.
    UsageError
        There is no MPI library for it.
    """

    keeps = True  # a rank that is lost ends the job

    def __init__(self) -> None:
        try:
            from mpi4py import MPI
        except ModuleNotFoundError:
            raise MissingExtraError("--cluster mpi", "mpi") from None
        except (ImportError, RuntimeError) as error:
            what = " ".join(str(error).split())[:100]
            raise UsageError(
                f"--cluster mpi: there is no MPI library ({what}); pip install mpich, or load the "
                "site's"
            ) from None
        self.comm: Any = MPI.COMM_WORLD
        self.rank, self.size = self.comm.Get_rank(), self.comm.Get_size()
        self.beside: int = self.comm.Split_type(MPI.COMM_TYPE_SHARED).Get_size()
        self.host: str = MPI.Get_processor_name()
        self.share: Share | None = None

    @property
    def threads(self) -> int:
        """Threads by default: the cores of the host, divided among the ranks on it."""
        return max(1, cores() // self.beside)

    def __enter__(self) -> Job:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.comm.bcast(("stop", None), root=0)

    def serve(self) -> None:
        """On other ranks: do what rank 0 asks for until it is done. Signals are for rank 0."""
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, signal.SIG_IGN)
        with blas.threads(1):
            while True:
                what, argument = self.comm.bcast(None, root=0)
                if what == "stop":
                    return
                self.comm.gather(self._answer(what, argument), root=0)

    def engine(self, data: Data, settings: Settings) -> Engine:
        """Open the folder in every rank; return the engine that computes the sums.

        Raises
        ------
        InputOutputError
            A rank cannot read the folder, or has other data or another program; it is named.
        DataError
            A rank finds the folder damaged, or has not enough memory.
        """
        self.ask("open", (os.path.realpath(data.path), data.sha256, settings, _versions()))
        return Engine(self, data)

    def ask(self, what: str, argument: Any = None) -> list[Any]:
        """The answers of all ranks, rank 0 included."""
        self.comm.bcast((what, argument), root=0)
        answers = self.comm.gather(self._answer(what, argument), root=0)
        for good, answer in answers:
            if not good:
                kind, message = answer
                raise ERRORS[kind](message)
        return [answer for _, answer in answers]

    def _answer(self, what: str, argument: Any) -> tuple[bool, Any]:
        """Whether it succeeded, and its result or error."""
        try:
            if what == "open":
                self._open(*argument)
                return True, None
            return True, self._share(what, argument)
        except tuple(ERRORS.values()) as error:
            name = next(name for name, kind in ERRORS.items() if isinstance(error, kind))
            place = f"worker {self.rank} on {self.host}: " if self.rank else ""
            return False, (name, place + str(error))
        except DadaptError:
            raise
        except Exception as error:
            if not self.rank:
                raise
            # The others wait for this rank: without it none of them can continue.
            print(
                f"dadapt: internal error in worker {self.rank} on {self.host}: "
                f"{type(error).__name__}: {' '.join(str(error).split())[:200]}",
                file=sys.stderr,
                flush=True,
            )
            self.comm.Abort(70)
            raise

    def _open(self, path: str, sha256: str, settings: Settings, versions: dict[str, str]) -> None:
        for name, own in _versions().items():
            if own != versions[name]:
                raise InputOutputError(
                    f"has {name} {own}, the driver {versions[name]}; install the same everywhere"
                )
        data = opened(path)
        if data.sha256 != sha256:
            raise InputOutputError(
                f"{path}: has other data than the driver's ({data.sha256[:16]}... in place of "
                f"{sha256[:16]}...); name a folder that all see"
            )
        if self.rank:
            settings = replace(settings, lead_bytes=0)
        hold = require_memory(data, settings, self.size, self.beside)
        leaves = share(len(data.leaves), self.size, self.rank)
        self.share = Share(data, leaves, replace(settings, hold=hold))

    def _share(self, operation: str, argument: Any) -> list[Node]:
        assert self.share is not None
        return self.share.ask(operation, argument)


class Engine:
    """Asks all ranks of a job; see :class:`~dadapt_cli.packed.sums.Engine`."""

    def __init__(self, job: Job, data: Data) -> None:
        self.job = job

    def ask(self, operation: str, argument: Any = None) -> list[Node]:
        """Nodes of the tree over all leaves."""
        return [node for nodes in self.job.ask(operation, argument) for node in nodes]


def _versions() -> dict[str, str]:
    """Versions of what the digits depend on."""
    return {
        "dadapt": dadapt_cli.__version__,
        "NumPy": np.__version__,
        "SciPy": scipy.__version__,
    }
