"""What runs in the workers of a Dask cluster: tasks on shares of the leaves."""

from __future__ import annotations

import signal
import socket
import threading
from dataclasses import dataclass, replace
from typing import Any

from dadapt_cli.cluster.worker import Answer, Opening, attempt, processor
from dadapt_cli.errors import DataError
from dadapt_cli.packed.share import Share
from dadapt_cli.packed.tree import Node
from dadapt_cli.system import blas

POINTS = ("margins_at", "search_at")
"""Those that need nothing of what is there: all is made from the point they give."""

BEHIND: Answer = (True, None)
"""What a share answers that lacks what a round goes out from."""

OURS = 0.7
"""Of the memory that Dask grants a worker, which it ends at 0.95."""


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


@dataclass
class _Open:
    """A share that is open, and the number of the last round that left something in it."""

    share: Share
    used: threading.Lock
    last: int = -1


shares: dict[tuple[str, int], _Open] = {}
"""Open shares by fit and rank. A share is lost with its worker, and opened anew by another."""

_opening = threading.Lock()


def look_at(opening: Opening, dask_worker: Any) -> Answer:
    """Compare a worker, which Dask hands over, with the driver; it may get a task later."""

    def look() -> dict[str, str]:
        opening.look()
        return processor()

    return attempt(look, place(dask_worker))


def task(terms: Terms, rank: int, number: int | None, asked: list[tuple[str, Any]]) -> Answer:
    """The nodes of a share, for the last of some rounds; BEHIND if it lacks what they go out from.

    A share is also behind where a round was asked twice and done once: done again, it would differ.
    """
    from distributed import get_worker

    worker = get_worker()

    def do() -> list[Node] | None:
        with _opening:
            if (terms.token, rank) not in shares:
                shares[terms.token, rank] = _Open(_open(terms, rank, worker), threading.Lock())
            own = shares[terms.token, rank]
        nodes: list[Node] = []
        with own.used, blas.threads(1):  # a lost round may still be at work here
            if number is not None:
                if asked[0][0] not in POINTS and own.last != number - len(asked):
                    return None
                own.last = number
            for operation, argument in asked:
                nodes = own.share.ask(operation, argument)
        return nodes

    try:
        return attempt(do, place(worker))
    except Exception as error:  # noqa: BLE001 - a bug, not a lost worker: raised by the driver
        what = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return False, RuntimeError(f"in {place(worker)}: {what}")


def forget(token: str) -> None:
    """Close the shares of a fit."""
    for key in [key for key in shares if key[0] == token]:
        del shares[key]


def _open(terms: Terms, rank: int, worker: Any) -> Share:
    """Open a share within the memory that Dask grants.

    Where that is short, shares of other fits are closed: a driver that was killed leaves some, and
    one that is alive has them opened again.
    """
    granted = worker.memory_manager.memory_limit
    limits = [terms.opening.limit, None if granted is None else int(OURS * granted)]
    limit = min((n for n in limits if n is not None), default=None)
    opening = replace(terms.opening, limit=limit)
    others = {token for token, _ in shares} - {terms.token}
    try:
        share = opening.share(terms.shares, rank, terms.beside)
        if share.settings.hold or not others:
            return share
    except DataError:
        if not others:
            raise
    for token in others:
        forget(token)
    return opening.share(terms.shares, rank, terms.beside)


def place(worker: Any) -> str:
    """Where an error is from."""
    return f"worker {worker.address} on {socket.gethostname()}"


def dask_setup(worker: Any) -> None:
    """Called by Dask in a worker that a driver starts on its own machine, as this is a preload.

    What the terminal sends to all processes is for the driver, as in :meth:`.mpi.Job.serve`.
    """
    for signum in (signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
