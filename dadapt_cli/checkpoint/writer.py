"""When a loop's state is kept, and what it goes on from."""

from __future__ import annotations

import math
import time
from typing import Any

from dadapt_cli.checkpoint import file
from dadapt_cli.checkpoint import state as snapshot
from dadapt_cli.checkpoint.file import HINT, Checkpoint
from dadapt_cli.errors import InputOutputError


class Keeper:
    """Writes the checkpoints of one run.

    Parameters
    ----------
    path
        The file, which this process has locked.
    every
        Seconds between two checkpoints; 0: after each iteration. The first is written at once, so
        that a disk that takes none is found out before the work is done.
    saved, origin
        What the run goes on from, and the file it was read from.

    Attributes
    ----------
    head
        What identifies the run; to be set before the loop.
    rows
        The step records so far; the list that the run appends to, to be set before the loop.
    """

    def __init__(
        self, path: str, every: float, saved: Checkpoint | None = None, origin: str = ""
    ) -> None:
        self.path = path
        self.every = every
        self.saved = saved
        self.origin = origin
        self.head: dict[str, Any] = {}
        self.rows: list[dict[str, Any]] = []
        same = saved is not None and origin == path
        self._next = time.perf_counter() + every if same else -math.inf

    @property
    def seconds(self) -> float:
        """What the loop had taken when the state that is gone on from was kept."""
        return 0.0 if self.saved is None else self.saved.seconds

    def due(self, *, ending: bool) -> bool:
        """Whether to keep the state now; always when the run ends."""
        return ending or time.perf_counter() >= self._next

    def keep(self, seconds: float, **parts: Any) -> None:
        """Write a checkpoint of the loop's variables, after `seconds` of it.

        Raises
        ------
        InputOutputError
            It cannot be written; the last one is whole.
        """
        arrays: snapshot.Arrays = {}
        tree = snapshot.take(parts, arrays)
        file.write(self.path, Checkpoint(self.head, self.rows, seconds, tree, arrays))
        self._next = time.perf_counter() + self.every

    def restored(self, **parts: Any) -> dict[str, Any]:
        """The loop's variables as they were kept, objects overwritten in place; else as given.

        Raises
        ------
        InputOutputError
            They do not fit: the file is of a version whose states were others.
        """
        if self.saved is None:
            return parts
        try:
            if set(self.saved.tree["dict"]) != set(parts):
                raise ValueError("it is of another loop")
            kept: dict[str, Any] = snapshot.restore(parts, self.saved.tree, self.saved.arrays)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputOutputError(
                f"{self.origin}: the checkpoint's state does not fit this program ({error}); "
                f"{HINT.format(path=self.origin)}"
            ) from error
        return kept
