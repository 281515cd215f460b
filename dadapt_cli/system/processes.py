"""Work side by side in forked processes: what is loaded is shared, what they return is pickled.

A fork costs milliseconds where a new interpreter with NumPy costs half a second. It needs Linux,
whose BLAS libraries let a fork begin with threads of its own; elsewhere the work is done here.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from dadapt_cli.errors import InputOutputError
from dadapt_cli.system.signals import SIGNALS

FORKS = sys.platform == "linux"

POLL = 0.1
"""Seconds until a signal is noticed."""


def each(
    tasks: Sequence[Callable[[], Any]], jobs: int, stop: Callable[[], bool] = lambda: False
) -> Iterator[Any]:
    """What the tasks return, in their order, as soon as those before are done.

    Parameters
    ----------
    tasks
        Functions whose results can be pickled. They print nothing.
    jobs
        Processes at once; with 1 the tasks run in this one.
    stop
        Asked now and then while others work: whether to end without the rest.

    Raises
    ------
    InputOutputError
        A process was killed from outside. What a task raises is raised here in its turn. No
        process outlives the iterator.
    """
    if min(jobs, len(tasks)) <= 1 or not FORKS:
        for task in tasks:
            yield task()
        return
    context = multiprocessing.get_context("fork")
    left = deque(enumerate(tasks))
    running: dict[Any, tuple[int, Any]] = {}
    done: dict[int, tuple[bool, Any]] = {}
    try:
        for turn in range(len(tasks)):
            while turn not in done:
                while left and len(running) < jobs:
                    number, task = left.popleft()
                    here, there = context.Pipe(duplex=False)
                    process = context.Process(target=_work, args=(task, there), daemon=True)
                    with warnings.catch_warnings():  # that there are threads: the display's
                        warnings.simplefilter("ignore", DeprecationWarning)
                        process.start()
                    there.close()
                    running[here] = number, process
                for ready in wait(list(running), POLL):
                    number, process = running[ready]
                    done[number] = _received(ready)
                    del running[ready]
                    process.join()
                if stop():
                    return
            failed, value = done.pop(turn)
            if failed:
                raise value
            yield value
    finally:
        for _, process in running.values():
            process.kill()
            process.join()


def _received(ready: Any) -> tuple[bool, Any]:
    """Whether a task failed, and what it returned or raised."""
    try:
        found: tuple[bool, Any] = ready.recv()
    except EOFError:
        raise InputOutputError(
            "a worker was killed from outside, as when memory runs out; fewer --threads need less"
        ) from None
    finally:
        ready.close()
    return found


def _work(task: Callable[[], Any], there: Connection) -> None:
    """In a worker: do it, send the result, and leave without this copy's exit handlers."""
    serve()
    try:
        found = False, task()
    except Exception as error:  # noqa: BLE001 - the parent raises it
        vars(error).pop("result", None)  # of a failed fit: large
        found = True, error
    there.send(found)
    there.close()
    os._exit(0)


def serve() -> None:
    """In a worker: signals are the parent's business, and without it there is nothing to do."""
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
