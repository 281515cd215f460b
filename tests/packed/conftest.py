"""Folders that the tests of fits share."""

from __future__ import annotations

from pathlib import Path

import pytest

from dadapt_cli.packed.pack import Packing, pack

from ..conftest import DATA


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two classes, three with ones alone, and four; an odd number of leaves."""
    room = tmp_path_factory.mktemp("packed")
    sizes = {"wdbc.scale.xz": 2400, "dna.scale.xz": 20_000, "vehicle.scale": 3500}
    for name, leaf in sizes.items():
        pack(str(DATA / name), str(room / name), Packing(leaf=leaf))
    return {name: room / name for name in sizes}
