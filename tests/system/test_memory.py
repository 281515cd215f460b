"""When the system is asked what is free."""

from __future__ import annotations

import pytest

from dadapt_cli.errors import DataError
from dadapt_cli.system import memory


def test_memory_is_asked_for_where_much_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def available() -> int:
        asked.append(True)
        return 2**27

    monkeypatch.setattr(memory, "available", available)
    assert memory.fits(memory.ASKED)
    assert not asked
    assert memory.fits(2**27)
    assert not memory.fits(2**27 + 1)
    with pytest.raises(DataError, match=r"work needs 0.2 GiB of memory, 0.1 GiB are available"):
        memory.require(2**28 - 2**25, "work")
    asked.clear()
    with memory.limited(2**30):
        assert memory.fits(1)
    assert asked
