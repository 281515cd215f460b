"""One digest over engines, numbers of workers, threads, and leaves held or read.

The script of benchmarks/ does it; here it is run on small data.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dadapt_cli.packed.pack import Packing, pack

from ..conftest import DATA, SHARED
from .test_mpi import runs

SCRIPT = DATA.parent / "benchmarks" / "digest.py"

engines = [
    *(["mpi"] if runs() else []),
    *(["dask"] if importlib.util.find_spec("distributed") else []),
]


def digests(folder: Path, *argv: str) -> list[tuple[str, str]]:
    """Engine with workers, and digest, of each fit."""
    command = [sys.executable, str(SCRIPT), str(folder), "--some", *argv]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return re.findall(r"^(\w+ \d): .*: (\w{16})$", ran.stdout, re.MULTILINE)


@pytest.mark.skipif(not engines, reason="needs mpiexec with mpi4py, or pip install distributed")
@pytest.mark.parametrize(
    ("path", "leaf", "leaves", "algos"),
    [
        (DATA / "wdbc.scale.xz", 2400, 8, ["--algos", "dual-avg,newton"]),
        (SHARED / "data" / "a9a.xz", 42_000, 11, []),  # all six
    ],
    ids=["wdbc", "a9a"],
)
def test_one_digest(tmp_path: Path, path: Path, leaf: int, leaves: int, algos: list[str]) -> None:
    if not path.exists():
        pytest.skip(f"needs {path.name} in DADAPT_SHARED/data")
    folder = tmp_path / "folder"
    assert len(pack(str(path), str(folder), Packing(leaf=leaf)).leaves) == leaves
    made = digests(folder, "--steps", "2", "--engines", ",".join(engines), *algos)
    expected = {"one 1", *(f"{engine} {workers}" for engine in engines for workers in (1, 2, 3))}
    assert {name for name, _ in made} == expected


def test_digests_that_differ_are_seen(tmp_path: Path) -> None:
    """The script's own check: the same fits on a machine whose threads add otherwise."""
    folder = tmp_path / "folder"
    pack(str(DATA / "wdbc.scale.xz"), str(folder), Packing(leaf=2400))
    broken = (
        "import runpy, sys; from dadapt_cli.packed import share; old = share.Share.ask\n"
        "def ask(self, *arguments):\n"
        "    nodes = old(self, *arguments)\n"
        "    wrong = 1 + 1e-15 * (self.settings.threads - 1)\n"
        "    return [(l, i, tuple(x * wrong for x in part)) for l, i, part in nodes]\n"
        "share.Share.ask = ask; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], "
        "run_name='__main__')"
    )
    command = [sys.executable, "-c", broken, str(SCRIPT), str(folder), "--algos", "gd"]
    command += ["--engines", "", "--workers", "", "--steps", "2"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "gd: DIGESTS DIFFER" in ran.stdout
