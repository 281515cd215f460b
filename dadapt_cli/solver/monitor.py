"""Callbacks during a fit. Each has a default that does nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dadapt_cli._typing import Record
from dadapt_cli.checkpoint.writer import NoCheckpoint, Writer
from dadapt_cli.system.signals import Interrupts


@dataclass
class Monitor:
    """The callbacks that the loops are given.

    Attributes
    ----------
    record
        Called with each record as it is made.
    note
        Called with each line the user should read.
    progress
        Called now and then with k (or the epoch), d (nan where there is none) and f.
    interrupts
        Checked after each iteration; catches nothing unless it was entered as a context.
    checkpoint
        Given the loop's variables to save (:mod:`dadapt_cli.solver.resume`).
    watch
        Called with the :class:`~dadapt_cli.solver.stopping.Iterate` and the state before each step
        (of a minibatch algorithm: before each epoch).
    """

    record: Callable[[Record], None] = lambda record: None
    note: Callable[[str], None] = lambda line: None
    progress: Callable[[int, float, float], None] = lambda k, d, f: None
    interrupts: Interrupts = field(default_factory=Interrupts)
    checkpoint: Writer | NoCheckpoint = field(default_factory=NoCheckpoint)
    watch: Callable[[Any, Any], None] = lambda now, state: None


class Told:
    """Records and notes of a fit for a callback and the log.

    Attributes
    ----------
    interrupts
        The fit's interrupts; caught, as by signal number 0, once the callback returns True.
    """

    def __init__(self, callback: Callable[[Record], Any] | None, *, verbose: bool = False) -> None:
        self.callback = callback
        self.log = logging.getLogger("dadapt") if verbose else None
        self.interrupts = Interrupts()

    def record(self, record: Record) -> None:
        """Log a step, and hand each record on."""
        if self.log is not None and record["event"] == "step":
            d = "" if record["d"] is None else f", d = {record['d']:.6g}"
            self.log.info("k = %d, f = %.9g%s", record["k"], record["f_last"], d)
        if self.callback is not None and self.callback(record) is True:
            self.interrupts.caught = 0

    def note(self, line: str) -> None:
        """Log a line for the user."""
        if self.log is not None:
            self.log.info("%s", line)
