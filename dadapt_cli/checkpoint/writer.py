"""When a loop's variables are saved, and how they are restored."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from dadapt_cli._typing import Record
from dadapt_cli.checkpoint import file, state
from dadapt_cli.checkpoint.file import HINT, Checkpoint
from dadapt_cli.errors import InputOutputError

SOON = 1.0
"""Seconds after which a run that is killed has not been for nothing."""


class NoCheckpoint:
    """Saves nothing and resumes nothing."""

    keeps = False
    saved: Checkpoint | None = None
    origin = ""
    seconds = 0.0

    def __init__(self) -> None:
        self.rows: list[Record] = []

    def remember(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make` makes."""
        return make()

    def due(self, *, ending: bool) -> bool:
        """Never."""
        return False

    def keep(self, seconds: float, **parts: Any) -> None:
        """Nothing: it is never due."""

    def restored(self, **parts: Any) -> Record:
        """The loop's variables as given."""
        return parts


class Writer:
    """Writes the checkpoints of one run.

    Parameters
    ----------
    path
        The file, which this process has locked.
    every
        Seconds between two checkpoints; 0: after each iteration. The first is written at once, so
        that a disk that takes none is found out before the work is done, and another after SOON.
    saved, origin
        What the run resumes, and the file it was read from.

    Attributes
    ----------
    head
        What identifies the run; to be set before the loop.
    rows
        The step records so far; the list that the run appends to, to be set before the loop.
    """

    keeps = True

    def __init__(
        self, path: str, every: float, saved: Checkpoint | None = None, origin: str = ""
    ) -> None:
        self.path = path
        self.every = every
        self.saved = saved
        self.origin = origin
        self.head: Record = {}
        self.rows: list[Record] = []
        same = saved is not None and origin == path
        self._next = time.perf_counter() + min(SOON, every) if same else -math.inf
        self._soon = not same

    @property
    def seconds(self) -> float:
        """Seconds that the loop had taken when the resumed state was saved."""
        return 0.0 if self.saved is None else self.saved.seconds

    def remember(self, name: str, make: Callable[[], Any]) -> Any:
        """What the head holds under `name`; a run that begins puts there what `make` makes."""
        if name not in self.head:
            self.head[name] = make()
        return self.head[name]

    def due(self, *, ending: bool) -> bool:
        """Whether to save the state now; always when the run ends."""
        return ending or time.perf_counter() >= self._next

    def keep(self, seconds: float, **parts: Any) -> None:
        """Write a checkpoint of the loop's variables, after `seconds` of it.

        Raises
        ------
        InputOutputError
            It cannot be written; the last one is whole.
        """
        arrays: state.Arrays = {}
        tree = state.take(parts, arrays)
        file.write(self.path, Checkpoint(self.head, self.rows, seconds, tree, arrays))
        self._next = time.perf_counter() + (min(SOON, self.every) if self._soon else self.every)
        self._soon = False

    def restored(self, **parts: Any) -> Record:
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
            kept: Record = state.restore(parts, self.saved.tree, self.saved.arrays)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputOutputError(
                f"{self.origin}: the checkpoint's state does not fit this program ({error}); "
                f"{HINT.format(path=self.origin)}"
            ) from error
        return kept
