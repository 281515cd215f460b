"""INT, TERM and HUP: stop at once while nothing is at stake, after the iteration in the loop."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from dadapt_cli.errors import Interrupted

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Interrupts:
    """A context in which a first signal during the loop only sets :attr:`caught`.

    Outside the loop (``patient`` False), and for a second signal in it, :class:`Interrupted` is
    raised where the program stands. A signal that was ignored on entry (nohup) stays ignored.
    """

    def __init__(self) -> None:
        self.caught: int | None = None
        self.patient = False
        self._before: dict[int, Any] = {}

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if not self.patient or self.caught is not None:
            raise Interrupted(signum)
        self.caught = signum

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for signum in SIGNALS:
                if signal.getsignal(signum) is not signal.SIG_IGN:
                    self._before[signum] = signal.signal(signum, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        self._before.clear()
