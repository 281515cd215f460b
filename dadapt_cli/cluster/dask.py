"""Workers of a Dask cluster: tasks that any of them can do, so that a lost one is replaced.

A round of sums is one task for each share of the leaves. A worker opens a share when it first gets
a task of it and keeps it for later rounds; which worker that is changes no digit. Dask sends
pickles, so the cluster must be the user's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from dadapt_cli.cluster.worker import (
    Answer,
    Opening,
    attempt,
    differences,
    processor,
    versions,
)
from dadapt_cli.errors import (
    DataError,
    InputOutputError,
    MissingExtraError,
    WorkersLostError,
)
from dadapt_cli.objective import cores
from dadapt_cli.packed.folder import Data
from dadapt_cli.packed.settings import Settings
from dadapt_cli.packed.share import OPERATIONS, Share
from dadapt_cli.packed.tree import Node
from dadapt_cli.system import blas, memory

TRIES, PAUSE = 5, 1.0
"""How often a round is asked, and the seconds between."""

CONNECT, START = 5.0, 60.0
"""Seconds in which a scheduler must answer, and in which workers started here must be there."""

FIRST = ("margins_at", "search_at")
"""Operations that begin to keep numbers; the others of that kind need those."""

OURS = 0.7
"""Of the memory that Dask grants a worker, which it ends at 0.95."""


class Job:
    """The workers of a Dask cluster.

    Used as a context: however the block ends, the workers forget the data, and those that were
    started here end.

    Parameters
    ----------
    address
        Of the scheduler; None starts one on this machine.
    workers
        How many processes are then started.

    Attributes
    ----------
    keeps
        Whether what an operation leaves in a worker is there for the next one.
    notes
        What the user should know about the workers, once :meth:`engine` has asked them.

    Raises
    ------
    MissingExtraError
        Dask's ``distributed`` is not installed.
    InputOutputError
        There is no scheduler at the address, or it has no workers.
    """

    keeps = True  # a worker that is lost with such numbers ends the run; see Engine

    def __init__(self, address: str | None, workers: int = 1) -> None:
        try:
            import distributed
        except ModuleNotFoundError:
            option = "--workers" if address is None else "--cluster"
            raise MissingExtraError(option, "dask") from None
        self.notes: list[str] = []
        self.token = uuid.uuid4().hex
        self.local: Any = None
        self.client: Any = None
        try:
            if address is None:
                self.local = distributed.LocalCluster(
                    n_workers=workers,
                    threads_per_worker=max(1, cores() // workers),
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    memory_limit=None,
                    silence_logs=logging.CRITICAL,
                )
            self.address: str = address or self.local.scheduler_address
            self.client = self._connected()
            wait = (1, CONNECT) if self.local is None else (workers, START)
            try:
                self.client.wait_for_workers(*wait)
            except TimeoutError:
                raise InputOutputError(
                    f"{self.address}: the scheduler has no workers; dask worker {self.address} "
                    "starts one"
                ) from None
            self.there = _workers(self.address)
        except BaseException:
            self.__exit__()
            raise

    @property
    def threads(self) -> int:
        """Threads by default: those that each worker was given."""
        return min((int(about["nthreads"]) for about in self.there.values()), default=1)

    def __enter__(self) -> Job:
        return self

    def __exit__(self, *_: object) -> None:
        if self.client is not None:
            if self.local is None and self.client.status == "running":
                with contextlib.suppress(OSError):  # the scheduler is gone: then they end, too
                    self.client.run(_forget, self.token, on_error="ignore")
            self.client.close(timeout=CONNECT)
        if self.local is not None:
            self.local.close(timeout=CONNECT)

    def _connected(self) -> Any:
        """A client of the scheduler.

        Raises
        ------
        InputOutputError
            None answers.
        """
        import distributed

        _workers(self.address)  # a client would wait for ever for one that is no scheduler
        return distributed.Client(self.address, timeout=CONNECT, set_as_default=False)

    def engine(self, data: Data, settings: Settings) -> Engine:
        """Look at the folder in every worker; return the engine that computes the sums.

        Raises
        ------
        InputOutputError
            A worker cannot see the folder, or has other data or another program; it is named.
        DataError
            A worker finds the folder damaged.
        """
        path = os.path.realpath(data.path)
        settings = replace(settings, lead_bytes=0)  # of this process, which leads
        opening = Opening(path, data.sha256, settings, memory.limit(), versions())
        found = self.client.run(_look, opening, on_error="return")
        abouts = {}
        for address, answer in found.items():
            name = f"worker {address} on {self.there.get(address, {}).get('host', 'its host')}"
            if isinstance(answer, Exception):
                what = f"{type(answer).__name__}: {' '.join(str(answer).split())[:120]}"
                raise InputOutputError(f"{name}: {what}; install dadapt there, as here")
            good, result = answer
            if not good:
                raise result
            abouts[name] = result
        self.notes = differences(processor(), abouts)
        beside = max(Counter(about["host"] for about in self.there.values()).values())
        return Engine(self, Terms(self.token, opening, len(self.there), beside))


@dataclass(frozen=True)
class Terms:
    """What all tasks of a fit have in common.

    Attributes
    ----------
    token
        Of the fit.
    opening
        How the folder is opened.
    shares
        How many there are.
    beside
        How many are on one machine.
    """

    token: str
    opening: Opening
    shares: int
    beside: int


class Engine:
    """Asks the workers; see :class:`~dadapt_cli.packed.sums.Engine`.

    A lost round of sums alone is asked again. Once the workers keep numbers of their samples, which
    another one does not have, it is not.
    """

    def __init__(self, job: Job, terms: Terms) -> None:
        self.job, self.terms = job, terms
        self.kept = False

    def ask(self, operation: str, argument: Any = None) -> list[Node]:
        """Nodes of the tree over all leaves.

        Raises
        ------
        WorkersLostError
            No try of the round came to its end.
        DataError, InputOutputError
            From a worker, which is named.
        """
        why = ""
        self.kept |= operation not in OPERATIONS
        tries = 1 if self.kept else TRIES
        for _ in range(tries):
            try:
                answers = self._round(operation, argument)
            except Exception as error:  # noqa: BLE001 - tasks return theirs: this is communication
                why = " ".join(f"{type(error).__name__}: {error}".split())[:100]
                time.sleep(PAUSE)
                continue
            nodes: list[Node] = []
            for good, result in answers:
                if not good:
                    raise result
                nodes += result
            return nodes
        what = f"{TRIES} times workers were lost before they had answered"
        if self.kept:
            what = "a worker was lost with the numbers that this method keeps there"
        raise WorkersLostError(
            f"{self.job.address}: {what} ({why}); see that the scheduler and dask worker run"
        )

    def _round(self, operation: str, argument: Any) -> list[Answer]:
        """One try; after a lost one with a new client and the workers that are there now."""
        import distributed

        job = self.job
        if job.client is None:
            job.client = job._connected()
            job.there = _workers(job.address)
        client, where = job.client, list(job.there)
        try:
            if not where:
                raise ConnectionError("no worker is left")
            # On one worker, from which the others fetch it: what is on all is lost with any.
            given = None
            if argument is not None:
                (given,) = client.scatter([argument], workers=where[:1], hash=False)
            tasks = [
                client.submit(
                    _task, self.terms, rank, operation, given,
                    workers=[where[rank % len(where)]], pure=False,
                )
                for rank in range(self.terms.shares)
            ]  # fmt: skip
            with client.as_current():
                while True:
                    try:
                        distributed.wait(tasks, timeout=PAUSE)
                        break
                    except TimeoutError:
                        if lost := set(where) - set(_workers(job.address)):
                            raise ConnectionError(f"{min(lost)} is gone") from None
            answers: list[Answer] = client.gather(tasks)
        except Exception:
            job.client = None
            client.close(timeout=PAUSE)
            raise
        return answers


def _workers(address: str) -> dict[str, Any]:
    """What a scheduler says about its workers, by address; an own thread may have a running loop.

    Raises
    ------
    InputOutputError
        No scheduler answers within seconds.
    """
    from distributed.core import rpc
    from distributed.security import Security

    async def identity() -> Any:
        arguments = Security().get_connection_args("client")
        async with rpc(address, timeout=CONNECT, connection_args=arguments) as scheduler:
            return await scheduler.identity()

    try:
        with ThreadPoolExecutor(1) as pool:
            said = pool.submit(asyncio.run, asyncio.wait_for(identity(), CONNECT)).result()
        return dict(sorted(said["workers"].items()))
    except (OSError, ValueError, TimeoutError, KeyError, TypeError) as error:
        what = " ".join(str(error).split())[:80] or "it accepts, and says nothing"
        raise InputOutputError(
            f"{address}: no Dask scheduler answers there ({what}); dask scheduler starts one"
        ) from None


# What follows runs in the workers.

_shares: dict[tuple[str, int], tuple[Share, threading.Lock]] = {}
"""Open shares by fit and rank. A share is lost with its worker, and opened anew by another."""

_opening = threading.Lock()


def _look(opening: Opening, dask_worker: Any) -> Answer:
    """Compare a worker, which Dask hands over, with the driver; it may get a task later."""

    def look() -> dict[str, str]:
        opening.look()
        return processor()

    return attempt(look, _place(dask_worker))


def _task(terms: Terms, rank: int, operation: str, argument: Any) -> Answer:
    """The nodes of a share, in a worker."""
    from distributed import get_worker

    return _answer(get_worker(), terms, rank, operation, argument)


def _answer(worker: Any, terms: Terms, rank: int, operation: str, argument: Any) -> Answer:
    """The nodes of a share, which is opened if it is not."""

    def do() -> list[Node]:
        with _opening:
            if (terms.token, rank) not in _shares:
                if operation not in (*OPERATIONS, *FIRST):
                    raise WorkersLostError("what was kept here is gone")
                _shares[terms.token, rank] = _open(terms, rank, worker), threading.Lock()
            share, used = _shares[terms.token, rank]
        with used, blas.threads(1):  # a lost round may still be at work here
            return share.ask(operation, argument)

    try:
        return attempt(do, _place(worker))
    except Exception as error:  # noqa: BLE001 - a bug, not a lost worker: raised by the driver
        what = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return False, RuntimeError(f"in {_place(worker)}: {what}")


def _forget(token: str) -> None:
    """Close the shares of a fit."""
    for key in [key for key in _shares if key[0] == token]:
        del _shares[key]


def _open(terms: Terms, rank: int, worker: Any) -> Share:
    """Open a share within the memory that Dask grants.

    Where that is short, shares of other fits are closed: a driver that was killed leaves some, and
    one that is alive has them opened again.
    """
    granted = worker.memory_manager.memory_limit
    limits = [terms.opening.limit, None if granted is None else int(OURS * granted)]
    limit = min((n for n in limits if n is not None), default=None)
    opening = replace(terms.opening, limit=limit)
    others = {token for token, _ in _shares} - {terms.token}
    try:
        share = opening.share(terms.shares, rank, terms.beside)
        if share.settings.hold or not others:
            return share
    except DataError:
        if not others:
            raise
    for token in others:
        _forget(token)
    return opening.share(terms.shares, rank, terms.beside)


def _place(worker: Any) -> str:
    """Where an error is from."""
    return f"worker {worker.address} on {socket.gethostname()}"
