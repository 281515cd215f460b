"""Reads leaves for the products: held in memory, or read by one thread into a few buffers."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from dadapt_cli._typing import Array
from dadapt_cli.packed.folder import Data
from dadapt_cli.packed.format import Leaf
from dadapt_cli.packed.reading import Buffers, Rows, read, rows_of, verify

Result = TypeVar("Result")

AHEAD = 2
"""Leaves read ahead of those that threads work on."""


class Stream:
    """Hands the rows of some leaves to functions, any number of times.

    Parameters
    ----------
    data
        The folder.
    leaves
        The numbers of the leaves.
    dtype
        Type of the matrices.
    threads
        Threads that work at once.
    hold
        Keep the leaves in memory once they are read.

    Each leaf is compared with its checksums the first time that it is read.
    """

    def __init__(
        self, data: Data, leaves: range, dtype: np.dtype[Any], threads: int, *, hold: bool
    ) -> None:
        self.data, self.dtype, self.hold = data, dtype, hold
        self.leaves: list[Leaf] = [data.leaves[i] for i in leaves]
        self.threads = max(1, min(threads, len(self.leaves)))
        entries = max((leaf.entries for leaf in self.leaves if leaf.kind.values == "ones"),
                      default=0)  # fmt: skip
        self.ones: Array = np.ones(entries, dtype)
        self._pool = ThreadPoolExecutor(self.threads, "dadapt-leaves") if self.threads > 1 else None
        self._verified: set[int] = set()
        self._held: dict[int, Rows] = {}
        self._buffers: list[Buffers] = []
        self._passes = 0

    def each(self, work: Callable[[Rows], Result]) -> Iterator[tuple[int, Result]]:
        """Leaf numbers and what `work` makes of their rows, which are only lent to it.

        Raises
        ------
        DataError, InputOutputError
            A file is not what was packed, or cannot be read.
        """
        if self.hold:
            yield from self._map(lambda leaf: (leaf.number, work(self._kept(leaf))), self.leaves)
            return
        self._passes += 1
        order = self.leaves[:: 1 if self._passes % 2 else -1]  # back and forth: reuses the cache
        yield from self._read(work, order)

    def one(self, leaf: Leaf) -> Rows:
        """A leaf's rows, in arrays that nobody overwrites."""
        return self._kept(leaf) if self.hold else self._checked(leaf, read(self.data, leaf))

    def without(self, work: Callable[[Leaf], Result]) -> Iterator[tuple[int, Result]]:
        """Leaf numbers and what `work` makes of the leaves, whose rows it does without."""
        yield from self._map(lambda leaf: (leaf.number, work(leaf)), self.leaves)

    def _map(
        self, do: Callable[[Leaf], tuple[int, Result]], order: Sequence[Leaf]
    ) -> Iterator[tuple[int, Result]]:
        return self._pool.map(do, order) if self._pool is not None else map(do, order)

    def _kept(self, leaf: Leaf) -> Rows:
        if leaf.number not in self._held:
            self._held[leaf.number] = self._checked(leaf, read(self.data, leaf))
        return self._held[leaf.number]

    def _checked(self, leaf: Leaf, parts: dict[str, Array]) -> Rows:
        if leaf.number not in self._verified:
            verify(self.data, leaf, parts)
            self._verified.add(leaf.number)
        return rows_of(self.data, leaf, parts, self.ones, self.dtype)

    def _read(
        self, work: Callable[[Rows], Result], order: Sequence[Leaf]
    ) -> Iterator[tuple[int, Result]]:
        """As :meth:`_map`, for leaves that one thread reads ahead."""
        wanted = min(self.threads + AHEAD, len(order))
        self._buffers += [Buffers(self.data) for _ in range(wanted - len(self._buffers))]
        free: queue.SimpleQueue[Buffers | None] = queue.SimpleQueue()
        full: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for buffers in self._buffers:
            free.put(buffers)

        def fill() -> None:
            try:
                for leaf in order:
                    buffers = free.get()
                    if buffers is None:
                        return
                    full.put((leaf, buffers, buffers.read(self.data, leaf)))
            except BaseException as error:  # noqa: BLE001 - it is raised where the leaf is used
                full.put(error)

        def take(_: Leaf) -> tuple[int, Result]:
            got = full.get()
            if isinstance(got, BaseException):
                full.put(got)  # for the other threads
                raise got
            leaf, buffers, parts = got
            try:
                return leaf.number, work(self._checked(leaf, parts))
            except BaseException as error:
                full.put(error)
                raise
            finally:
                free.put(buffers)

        reader = threading.Thread(target=fill, name="dadapt-reader", daemon=True)
        reader.start()
        try:
            yield from self._map(take, order)
        finally:
            free.put(None)
            full.put(RuntimeError("the pass was given up"))  # for threads that still wait
            reader.join()


def rows(data: Data, dtype: np.dtype[Any]) -> Iterator[Rows]:
    """The leaves in order, each checked, one in memory at a time.

    Raises
    ------
    DataError, InputOutputError
        As :meth:`Stream.each`.
    """
    ones: Array = np.ones(data.largest_leaf[1] if data.some_ones else 0, dtype)
    for leaf in data.leaves:
        parts = read(data, leaf)
        verify(data, leaf, parts)
        yield rows_of(data, leaf, parts, ones, dtype)
