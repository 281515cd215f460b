"""Ranks of an MPI job: the bits of one process, one line for what goes wrong, no one left waiting.

Needs mpi4py and an ``mpiexec`` beside this Python or on the path (pip install mpi4py mpich).
"""

from __future__ import annotations

import copy
import csv
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import dadapt_cli
from dadapt_cli.cluster.mpi import Job, partners
from dadapt_cli.packed.pack import Packing, pack
from dadapt_cli.packed.tree import Tree, share

from ..conftest import DATA, PATIENCE

OWN = Path(sys.executable).with_name("mpiexec")
MPIEXEC = str(OWN) if OWN.exists() else shutil.which("mpiexec")


def runs() -> bool:
    """Whether a job can be started: mpi4py, an mpiexec, and the library that both are for."""
    if MPIEXEC is None or importlib.util.find_spec("mpi4py") is None:
        return False
    command = [MPIEXEC, "-n", "2", sys.executable, "-c", "from mpi4py.MPI import COMM_WORLD as c; "
               "assert c.size == 2"]  # fmt: skip
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not runs(), reason="no MPI job runs: pip install mpi4py mpich")

DADAPT = [sys.executable, "-m", "dadapt_cli"]


def job(ranks: int, *argv: Any) -> subprocess.CompletedProcess[str]:
    command = [str(MPIEXEC), "-n", str(ranks), *DADAPT, *map(str, argv), "--cluster", "mpi"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)


def rows(text: str) -> list[dict[str, str]]:
    found = list(csv.DictReader(text.splitlines()))
    return [{name: cell for name, cell in row.items() if name != "seconds"} for row in found]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight leaves."""
    made = tmp_path_factory.mktemp("mpi") / "folder"
    data = pack(str(DATA / "wdbc.scale.xz"), str(made), Packing(leaf=2400))
    assert len(data.leaves) == 8
    return made


def alone(cli: Any, *argv: Any) -> list[dict[str, str]]:
    """The rows of this process."""
    ran = cli(*argv)
    assert ran.code == 0, ran.err
    return rows(ran.out)


FIT = ("-n", 12, "--l2", "1/n", "-f", "csv", "--save")


@pytest.mark.parametrize(
    ("algo", "numbers"),
    [("dual-avg", (1, 9)), ("adagrad", (2,)), ("lbfgs", (3,)), ("newton", (2, 9)), ("orth", (8,))],
)  # with 9, one has no leaf
def test_the_bits_do_not_depend_on_the_number_of_workers(
    folder: Path, algo: str, numbers: tuple[int, ...], cli: Any
) -> None:
    argv = ("fit", folder, "-a", algo, *FIT)
    expected = alone(cli, *argv, folder.parent / "one.npz")
    assert len(expected) >= 5
    for ranks in numbers:
        ran = job(ranks, *argv, folder.parent / f"{ranks}.npz", "--threads", 1 + ranks % 2)
        assert ran.returncode == 0, ran.stderr
        assert rows(ran.stdout) == expected, ranks


def test_workers_are_started_here(folder: Path, cli: Any) -> None:
    argv = ("fit", folder, *FIT)
    command = [*DADAPT, *map(str, argv), str(folder.parent / "w.npz"), "--workers", "2"]
    started = subprocess.run(command, capture_output=True, text=True, check=True)
    assert rows(started.stdout) == alone(cli, *argv, folder.parent / "one.npz")


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (("-n", 0), 2, "--iterations"),
        (("-a", "adam"), 2, "--cluster"),
        (("--l2", "1/n", "--tol", 1e-9, "-n", 2), 1, ""),
        (("--workers", 2), 2, "--workers"),
        (("--no-such-option",), 2, "--no-such-option"),
    ],
)
def test_exit_codes_and_one_line(
    folder: Path, argv: tuple[Any, ...], code: int, words: str
) -> None:
    ran = job(2, "fit", folder, "-q", *argv)
    assert ran.returncode == code, ran
    if words:
        (line,) = [line for line in ran.stderr.splitlines() if line.startswith("dadapt:")]
        assert words in line


def test_text_is_refused_once(folder: Path) -> None:
    ran = job(2, "fit", DATA / "iris.scale")
    assert ran.returncode == 2
    assert ran.stderr.count("dadapt pack") == 1


def test_a_worker_that_finds_damage_is_named(folder: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    shutil.copytree(folder, bad)
    place = max(bad.glob("*.values.npy"))
    content = bytearray(place.read_bytes())
    content[-3] ^= 1
    place.write_bytes(content)
    ran = job(2, "fit", bad, "-q")
    assert ran.returncode == 3
    assert ran.stderr.count("\n") == 1
    assert "worker 1 on" in ran.stderr
    assert place.name in ran.stderr


RAISES = """
import sys
from dadapt_cli.packed import share
def fails(self, w):
    raise ZeroDivisionError("planted")
from mpi4py import MPI
if MPI.COMM_WORLD.Get_rank() == int(sys.argv.pop(1)):
    share.Share.value_and_gradient = fails
from dadapt_cli.cli import run
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.parametrize(("rank", "words"), [(1, "internal error in worker 1"), (0, "planted")])
def test_a_rank_that_raises_ends_the_job(folder: Path, rank: int, words: str) -> None:
    command = [str(MPIEXEC), "-n", "3", sys.executable, "-c", RAISES, str(rank)]
    command += ["fit", str(folder), "-q", "--cluster", "mpi"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert ran.returncode != 0
    assert sum(line.startswith("dadapt:") for line in ran.stderr.splitlines()) == 1
    assert words in ran.stderr


LIBRARY = """
import sys, dadapt_cli
from dadapt_cli.errors import UsageError
data = dadapt_cli.packed(sys.argv[1])
made = dadapt_cli.fit(data, algo="gd", iterations=4, cluster="mpi").w.tobytes().hex()
try:
    dadapt_cli.fit(data, iterations=0, cluster="mpi")
except UsageError as error:
    print(made, error, end=";", flush=True)
"""


def test_every_rank_of_a_program_gets_the_result_or_the_error(folder: Path) -> None:
    command = [str(MPIEXEC), "-n", "3", sys.executable, "-c", LIBRARY, str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    own = dadapt_cli.fit(dadapt_cli.packed(folder), algo="gd", iterations=4).w.tobytes().hex()
    assert ran.stdout == 3 * f"{own} --iterations '0'; give a number of at least 1;"


@pytest.mark.parametrize("size", [1, 2, 3, 8, 9, 13, 64])
def test_along_the_tree_each_rank_sends_once_and_whole_ranges_meet(size: int) -> None:
    plans = [list(partners(rank, size)) for rank in range(size)]
    assert len(plans[0]) == (size - 1).bit_length()
    holds = [[rank] for rank in range(size)]
    done = [0] * size

    def receive(rank: int) -> list[int]:
        for receives, other in plans[rank]:
            if receives:
                holds[rank] += receive(other)
            else:
                assert (False, other) == plans[rank][-1]
                assert (True, rank) in plans[other]
        done[rank] += 1
        return holds[rank]

    assert receive(0) == list(range(size))  # in order: siblings that meet are neighbours
    assert done == [1] * size


def test_the_tree_of_ranks_adds_what_one_process_adds() -> None:
    leaves, size = 11, 9
    rng = np.random.default_rng(0)
    parts = [(float(x), rng.normal(size=3)) for x in rng.normal(size=leaves) * 1e8]
    one = Tree(leaves)
    for i, part in enumerate(parts):
        one.add(0, i, copy.deepcopy(part))

    class Share:
        data = SimpleNamespace(leaves=range(leaves))

    def answer(rank: int) -> Any:
        job = object.__new__(Job)
        job.share = Share()  # type: ignore[assignment]
        nodes = [(0, i, copy.deepcopy(parts[i])) for i in share(leaves, size, rank)]
        own = (True, nodes)
        for receives, other in partners(rank, size):
            if receives:
                own = job._both(own, answer(other))
        return own

    good, nodes = answer(0)
    assert good
    ((level, i, total),) = nodes
    assert (level, i) == (one.top, 0)
    assert total[0] == one.total[0]
    assert total[1].tobytes() == one.total[1].tobytes()
    rows = [(0, 0, (np.ones(2),))]
    job = object.__new__(Job)
    assert job._both((True, rows), (False, "x")) == (False, "x")
    assert job._both((False, "x"), (True, rows)) == (False, "x")


def test_a_killed_rank_ends_the_job_and_the_checkpoint_goes_on(
    folder: Path, tmp_path: Path, cli: Any
) -> None:
    argv = ["fit", str(folder), "-a", "dual-avg", "-f", "csv"]
    file = tmp_path / "checkpoint"
    command = [str(MPIEXEC), "-n", "2", *DADAPT, *argv, "-n", "1000000", "--cluster", "mpi"]
    command += ["--checkpoint", str(file), "--checkpoint-every", "0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + PATIENCE
    while not file.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    found = subprocess.run(["pgrep", "-f", f"dadapt_cli fit {folder}.*{file}"],
                           capture_output=True, text=True, check=True)  # fmt: skip
    ranks = [int(pid) for pid in found.stdout.split() if int(pid) != process.pid]
    own = [pid for pid in ranks if "mpiexec" not in Path(f"/proc/{pid}/cmdline").read_text()]
    os.kill(max(own), signal.SIGKILL)
    assert process.wait(PATIENCE) != 0
    resumed = alone(cli, "fit", folder, "--resume", file, "-f", "csv", "-n", 400)
    assert alone(cli, *argv, "-n", 400)[-1] == resumed[-1]


def test_missing_extra(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dadapt_cli.cli import run

    monkeypatch.setitem(sys.modules, "mpi4py", None)
    assert run(["fit", str(folder), "--cluster", "mpi"]) == 2
    assert "pip install 'dadapt[mpi]'" in capsys.readouterr().err
    assert run(["fit", str(folder), "--cluster", "spark"]) == 2


def test_help_and_library_do_without_mpi() -> None:
    code = "import sys, dadapt_cli, dadapt_cli.cli; assert 'mpi4py' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
