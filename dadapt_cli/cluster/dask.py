"""Workers of a Dask cluster: tasks that any of them can do, so that a lost one is replaced.

A round of sums is one task for each share of the leaves. A worker opens a share when it first gets
a task of it and keeps it for later rounds; which worker that is changes no digit. Where rounds go
out from what earlier ones left there (margins), a share that is opened anew does those again. Dask
sends pickles, so the cluster must be the user's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from dadapt_cli.cluster import dask_tasks
from dadapt_cli.cluster.dask_tasks import BEHIND, POINTS, Terms, forget, look_at, task
from dadapt_cli.cluster.worker import (
    Answer,
    Opening,
    differences,
    processor,
    versions,
)
from dadapt_cli.errors import (
    InputOutputError,
    MissingExtraError,
    WorkersLostError,
)
from dadapt_cli.objective import cores
from dadapt_cli.packed.folder import Data
from dadapt_cli.packed.settings import Settings
from dadapt_cli.packed.share import OPERATIONS
from dadapt_cli.packed.tree import Node
from dadapt_cli.system import memory

TRIES, PAUSE = 5, 1.0
"""How often a round is asked, and the seconds between."""

CONNECT, START = 5.0, 60.0
"""Seconds in which a scheduler must answer, and in which workers started here must be there."""


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
    notes
        What the user should know about the workers, once :meth:`engine` has asked them.

    Raises
    ------
    MissingExtraError
        Dask's ``distributed`` is not installed.
    InputOutputError
        There is no scheduler at the address, or it has no workers.
    """

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
                    preload=[dask_tasks.__name__],
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
    def size(self) -> int:
        """Workers."""
        return len(self.there)

    @property
    def beside(self) -> int:
        """The most workers on one machine."""
        return max(Counter(about["host"] for about in self.there.values()).values())

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
                    self.client.run(forget, self.token, on_error="ignore")
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
        found = self.client.run(look_at, opening, on_error="return")
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
        return Engine(self, Terms(self.token, opening, self.size, self.beside))


class Engine:
    """Asks the workers; see :class:`~dadapt_cli.packed.sums.Engine`."""

    def __init__(self, job: Job, terms: Terms) -> None:
        self.job, self.terms = job, terms
        self._since: list[tuple[str, Any]] = []  # rounds from the last point given on
        self._number = 0  # of the next round that leaves something

    def ask(self, operation: str, argument: Any = None) -> list[Node]:
        """Nodes of the tree over all leaves.

        Raises
        ------
        WorkersLostError
            No try of the round came to its end.
        DataError, InputOutputError
            From a worker, which is named.
        """
        why, number = "", None
        if operation not in OPERATIONS:
            number, self._number = self._number, self._number + 1
            if operation in POINTS:
                self._since.clear()
            self._since.append((operation, argument))
        for _ in range(TRIES):
            try:
                answers = self._round([(operation, argument)], number, range(self.terms.shares))
                behind = [rank for rank, answer in enumerate(answers) if answer == BEHIND]
                again = self._round(self._since, number, behind)
                for rank, answer in zip(behind, again, strict=True):
                    answers[rank] = answer
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
        raise WorkersLostError(
            f"{self.job.address}: {TRIES} times the workers were lost before they had answered "
            f"({why}); see that the scheduler and dask worker run"
        )

    def _round(
        self, asked: list[tuple[str, Any]], number: int | None, ranks: Sequence[int]
    ) -> list[Answer]:
        """One try; after a lost one with a new client and the workers that are there now.

        Parameters
        ----------
        asked
            Operations in order; the last one's results are returned.
        number
            That of the last one, where they leave something behind.
        ranks
            Of the shares that are asked.
        """
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
            (given,) = client.scatter([asked], workers=where[:1], hash=False)
            tasks = [
                client.submit(
                    task, self.terms, rank, number, given,
                    workers=[where[rank % len(where)]], pure=False,
                )
                for rank in ranks
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
