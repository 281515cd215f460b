"""Where a long piece of work is: told by who does it, heard by who shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

Listener: TypeAlias = Callable[[str, float | None], None]

_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


def tell(what: str, share: float | None = None) -> None:
    """Say what is being done, and how much of it is done where that is known (0 to 1).

    Costs next to nothing where nobody listens.
    """
    if (listener := _LISTENER.get()) is not None:
        listener(what, share)


@contextmanager
def heard(listener: Listener) -> Iterator[None]:
    """Let `listener` hear what is told in the block; it is called on the thread that works."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)
