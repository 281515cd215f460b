"""Turn a solver that calls its objective into one that is asked for its next point."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from dadapt_cli.arrays import Array

Objective = Callable[[Array], tuple[float, Array]]


class _Closed(Exception):
    """Nobody will answer any more."""


class Reverse:
    """A solver that runs in a thread of its own and waits there for each f and gradient.

    The two threads never run at once. The solver's ends with this object.

    Parameters
    ----------
    solver
        Called with an objective; whatever it returns is ignored.
    """

    def __init__(self, solver: Callable[[Objective], Any]) -> None:
        points: SimpleQueue[Array | BaseException | None] = SimpleQueue()
        answers: SimpleQueue[tuple[float, Array] | None] = SimpleQueue()
        self._points, self._answers = points, answers

        def objective(x: Array) -> tuple[float, Array]:
            points.put(x.copy())  # the solver may go on in the same array
            answer = answers.get()
            if answer is None:
                raise _Closed
            return answer

        def run() -> None:
            try:
                solver(objective)
            except _Closed:
                return
            except Exception as error:  # noqa: BLE001 - raised again in the thread that asks
                points.put(error)
            else:
                points.put(None)

        weakref.finalize(self, answers.put, None)
        threading.Thread(target=run, name="dadapt-solver", daemon=True).start()

    def ask(self) -> Array | None:
        """The next point the solver wants to know, or None where it has ended."""
        point = self._points.get()
        if isinstance(point, BaseException):
            raise point
        return point

    def tell(self, f: float, g: Array) -> None:
        """Answer the last point."""
        self._answers.put((f, g))
