"""The ranks of an MPI job: rank 0 leads, the others do what it asks for (``mpiexec -n 8 ...``).

A rank that fails says so in place of its nodes, and rank 0 raises that; a rank that dies, or fails
in a way that is not expected, ends the job, which is MPI's own way. Messages are pickles between
the processes of one job.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any, TypeVar

from dadapt_cli.cluster.worker import (
    Answer,
    Opening,
    attempt,
    differences,
    processor,
    versions,
)
from dadapt_cli.errors import ExitCode, MissingExtraError, UsageError
from dadapt_cli.objective import cores
from dadapt_cli.packed.folder import Data
from dadapt_cli.packed.settings import Settings
from dadapt_cli.packed.share import Share
from dadapt_cli.packed.tree import Node, Tree
from dadapt_cli.system import blas, memory

Result = TypeVar("Result")

ALONG = 8
"""Ranks from which sums travel along a tree: rank 0 receives log2 of them in place of all."""


class Job:
    """The part of one process in an MPI job.

    Used as a context by rank 0: however the block ends, the other ranks are released.

    Attributes
    ----------
    notes
        What the user should know about the other processes, once :meth:`engine` has asked them.

    Raises
    ------
    MissingExtraError
        mpi4py is not installed.
    UsageError
        There is no MPI library for it.
    """

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
        self.notes: list[str] = []
        self.share: Share | None = None
        self._asking = False

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
        if self._asking:  # interrupted within a message: the others can no longer be told anything
            self.comm.Abort(int(getattr(error, "exit_code", ExitCode.BUG)))
        self.comm.bcast(("stop", None), root=0)

    def serve(self) -> None:
        """On other ranks: do what rank 0 asks for until it is done. Signals are for rank 0."""
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {signum: signal.signal(signum, signal.SIG_IGN) for signum in signals}
        with blas.threads(1):
            while True:
                what, argument = self.comm.bcast(None, root=0)
                if what == "stop":
                    break
                self._collect(what, self._answer(what, argument))
        for signum, handler in before.items():
            signal.signal(signum, handler)

    def everywhere(self, command: Callable[[Job], Result]) -> Result:
        """Run a command in rank 0, which has the job; return its result, or raise, in all ranks."""
        outcome: Answer = False, None
        if self.rank:
            self.serve()
        else:
            try:
                with self:
                    outcome = True, command(self)
            except Exception as error:  # noqa: BLE001 - raised below
                outcome = False, error
        good, result = self.comm.bcast(outcome, root=0)
        if not good:
            raise result
        own: Result = result
        return own

    def engine(self, data: Data, settings: Settings) -> Engine:
        """Open the folder in every rank; return the engine that computes the sums.

        Raises
        ------
        InputOutputError
            A rank cannot read the folder, or has other data or another program; it is named.
        DataError
            A rank finds the folder damaged, or has not enough memory.
        """
        path = os.path.realpath(data.path)
        opening = Opening(path, data.sha256, settings, memory.limit(), versions())
        own, *others = self.ask("open", opening)
        self.notes = differences(own[1], dict(others))
        return Engine(self)

    def ask(self, what: str, argument: Any = None) -> list[Any]:
        """The nodes of all ranks, rank 0 included; for "open" what each says about itself."""
        self._asking = True
        self.comm.bcast((what, argument), root=0)
        good, result = self._collect(what, self._answer(what, argument))
        self._asking = False
        if not good:
            raise result
        found: list[Any] = result
        return found

    def _answer(self, what: str, argument: Any) -> Answer:
        """Whether it succeeded, and its result or error."""
        place = f"worker {self.rank} on {self.host}" if self.rank else ""
        try:
            return attempt(lambda: self._do(what, argument), place)
        except BaseException as error:
            if not self.rank:  # raised once the other ranks have answered, too
                return False, error
            # The others wait for this rank: without it none of them can continue.
            print(
                f"dadapt: internal error in {place}: "
                f"{type(error).__name__}: {' '.join(str(error).split())[:200]}",
                file=sys.stderr,
                flush=True,
            )
            self.comm.Abort(int(ExitCode.BUG))
            raise

    def _do(self, what: str, argument: Any) -> Any:
        if what == "open":
            if self.rank:
                settings = replace(argument.settings, lead_bytes=0)
                argument = replace(argument, settings=settings)
            self.share = argument.share(self.size, self.rank, self.beside)
            return [(f"worker {self.rank} on {self.host}", processor())]
        assert self.share is not None
        return self.share.ask(what, argument)

    def _collect(self, what: str, own: Answer) -> Answer:
        """On rank 0 the results of all ranks, or the first error; on the others nothing of use."""
        if self.size < ALONG or what == "open":
            answers = self.comm.gather(own, root=0) or [own]
            failed = next((answer for answer in answers if not answer[0]), None)
            return failed or (True, [one for _, results in answers for one in results])
        for receives, other in partners(self.rank, self.size):
            if receives:
                own = self._both(own, self.comm.recv(source=other))
            else:
                self.comm.send(own, dest=other)
        return own

    def _both(self, own: Answer, more: Answer) -> Answer:
        """The nodes of two ranges of leaves that follow each other, siblings added; or an error."""
        if not (own[0] and more[0]):
            return more if own[0] else own
        assert self.share is not None
        tree = Tree(len(self.share.data.leaves))
        for node in (*own[1], *more[1]):
            tree.add(*node)
        return True, tree.parts()


class Engine:
    """Asks all ranks of a job; see :class:`~dadapt_cli.packed.sums.Engine`."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def ask(self, operation: str, argument: Any = None) -> list[Node]:
        """Nodes of the tree over all leaves."""
        return self.job.ask(operation, argument)


def partners(rank: int, size: int) -> Iterator[tuple[bool, int]]:
    """With whom a rank exchanges sums: whether it receives, and the other rank, in order.

    Rank r receives all of ranks r to r + 2^k - 1 by its k-th message, and then sends them on.
    """
    step = 1
    while step < size:
        if rank & step:
            yield False, rank - step
            break
        if rank + step < size:
            yield True, rank + step
        step *= 2
