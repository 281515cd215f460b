"""Who is told what while a fit runs. Every part has a default that does nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dadapt_cli._typing import Record
from dadapt_cli.checkpoint.writer import NoCheckpoint, Writer
from dadapt_cli.system.signals import Interrupts


@dataclass
class Monitor:
    """Goes whole into the loops.

    Attributes
    ----------
    record
        Called with each record as it is made.
    note
        Called with each line the user should read.
    progress
        Called now and then with k (or the epoch), d (nan where there is none) and f.
    interrupts
        Asked after each iteration; one that was never entered catches nothing.
    checkpoint
        Given the loop's variables to keep (:mod:`dadapt_cli.solver.resume`).
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
