"""How many threads BLAS takes."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any


@cache
def _controller() -> Any:
    """Of the libraries that are loaded; to look for them takes a millisecond."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def threads(count: int) -> AbstractContextManager[Any]:
    """BLAS on so many: small products lose by more than one, and digits depend on the number."""
    limited: AbstractContextManager[Any] = _controller().limit(limits=count, user_api="blas")
    return limited


def core() -> str:
    """The kind of processor that each BLAS takes this one for; decided as it is loaded."""
    found = {lib.get("architecture", lib["internal_api"]) for lib in _controller().info()}
    return " ".join(sorted(found))
