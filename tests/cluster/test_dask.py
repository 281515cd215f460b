"""Workers of a Dask cluster: the bits of one process, whoever is lost; one line for errors.

Needs distributed (pip install 'dadapt[dask]'; the extra dev has it).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dadapt_cli
from dadapt_cli.algorithms import table
from dadapt_cli.cli import _cluster, run
from dadapt_cli.cluster import dask, dask_tasks, worker
from dadapt_cli.cluster.worker import differences, processor
from dadapt_cli.errors import DataError, InputOutputError, UsageError, WorkersLostError
from dadapt_cli.packed.folder import Data
from dadapt_cli.packed.pack import Packing, pack
from dadapt_cli.packed.share import Settings
from dadapt_cli.solver import packed
from dadapt_cli.solver.options import Options
from dadapt_cli.system import memory

from ..conftest import DATA, timeless

distributed = pytest.importorskip("distributed", reason="needs pip install 'dadapt[dask]'")

HERE = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "silence_logs": 50}


def local(workers: int, **options: Any) -> Any:
    return distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, memory_limit=None, **HERE, **options
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen leaves."""
    made = tmp_path_factory.mktemp("dask") / "folder"
    assert len(pack(str(DATA / "wdbc.scale.xz"), str(made), Packing(leaf=1200)).leaves) == 15
    return made


@pytest.fixture(scope="module")
def two() -> Iterator[Any]:
    """A cluster of two processes, which are started anew when they are killed.

    By default it gives one up that takes over 15 s to start, as on a busy machine.
    """
    from dask import config

    with config.set({"distributed.deploy.lost-worker-timeout": "1 hour"}), local(2) as cluster:
        yield cluster


@pytest.fixture
def address(two: Any) -> str:
    """Of that cluster, once both are there."""
    deadline = time.monotonic() + 60
    while len(dask._workers(two.scheduler_address)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return str(two.scheduler_address)


def told(address: str, do: Any, *arguments: Any) -> list[Any]:
    """What a function returns in each worker."""
    with distributed.Client(address, set_as_default=False) as client:
        return list(client.run(do, *arguments).values())


def fit(folder: Path | Data, **options: Any) -> tuple[bytes, list[Any]]:
    data = folder if isinstance(folder, Data) else dadapt_cli.packed(folder)
    result = dadapt_cli.fit(data, **{"iterations": 4, "threads": 1, **options})
    return result.w.tobytes(), [timeless(row) for row in result.trace]


def _shares() -> int:
    from dadapt_cli.cluster import dask_tasks

    return len(dask_tasks.shares)


def on_folders() -> list[str]:
    found = []
    for name, algorithm in table().items():
        try:
            packed.check(Options(algo=name), algorithm.INFO, job="any")
            Options(algo=name).check()
        except UsageError:
            continue
        found.append(name)
    assert {"dual-avg", "gd", "adagrad", "accel"} <= set(found)
    return found


@pytest.mark.parametrize("algo", on_folders())
def test_the_bits_of_every_algorithm_are_those_of_one_process(
    folder: Path, address: str, algo: str
) -> None:
    if algo == "polyak":
        options: dict[str, Any] = {"algo": algo, "reference": 0.05}
    else:
        options = {"algo": algo}
    assert fit(folder, cluster=address, **options) == fit(folder, **options)
    assert told(address, _shares) == [0, 0]


@pytest.mark.parametrize(
    ("algo", "k"), [("dual-avg", 3), ("newton", 3), ("newton", 10), ("orth", 3)]
)
def test_a_killed_worker_is_replaced_and_changes_no_digit(
    folder: Path, address: str, algo: str, k: int
) -> None:
    """Also where it had margins, which another one makes again from the last point given."""
    pids = told(address, os.getpid)
    killed = []

    def callback(record: Any) -> None:
        if record.get("k") == k and not killed:
            shares = told(address, _shares)
            assert sorted(shares) == [1, 1]  # both take part
            os.kill(pids[0], signal.SIGKILL)
            killed.append(pids[0])

    options = {"algo": algo, "iterations": 13, "every": 1, "l2": 1e-7}
    expected = fit(folder, **options)
    assert fit(folder, cluster=address, callback=callback, **options) == expected
    assert killed
    assert killed[0] not in told(address, os.getpid)


def test_a_round_that_half_of_the_workers_did_is_done_once(
    folder: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked again, a step of the margins must not be made twice where it was made."""
    own, lost = dask.Engine._round, []

    def once_more(self: Any, asked: Any, number: int | None, ranks: Any) -> Any:
        answers = own(self, asked, number, ranks)
        if number in (3, 7, 8) and number not in lost and len(asked) == 1:
            lost.append(number)
            raise ConnectionError("the answers are lost")
        return answers

    monkeypatch.setattr(dask, "PAUSE", 0.01)
    options = {"algo": "newton", "iterations": 6, "every": 1, "l2": 1e-7}
    expected = fit(folder, **options)
    monkeypatch.setattr(dask.Engine, "_round", once_more)
    assert fit(folder, cluster=address, **options) == expected
    assert lost == [3, 7, 8]


def test_all_workers_lost_names_the_checkpoint_that_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask, "PAUSE", 0.1)
    file = tmp_path / "checkpoint"
    options = {"algo": "gd", "iterations": 8, "every": 1}
    with local(1) as cluster:

        def callback(record: Any) -> None:
            if record.get("k") == 4:
                cluster.scale(0)
                while dask._workers(cluster.scheduler_address):
                    time.sleep(0.05)

        with pytest.raises(WorkersLostError, match=f"5 times .*--resume {file}") as error:
            fit(folder, cluster=cluster.scheduler_address, callback=callback, checkpoint=str(file),
                checkpoint_every=0, **options)  # fmt: skip
        assert error.value.exit_code == 4
        cluster.scale(1)
        cluster.wait_for_workers(1)
        went_on = fit(folder, cluster=cluster.scheduler_address, resume=str(file), **options)
    assert went_on[0] == fit(folder, **options)[0]


def test_a_scheduler_that_ends_is_a_lost_round(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask, "PAUSE", 0.1)
    monkeypatch.setattr(dask, "CONNECT", 1.0)
    cluster = local(1)

    def callback(record: Any) -> None:
        if record.get("k") == 1:
            cluster.close()

    with pytest.raises(WorkersLostError, match="--checkpoint FILE would keep the run"):
        fit(folder, cluster=cluster.scheduler_address, callback=callback, every=1)


def test_a_folder_that_is_seen_nowhere_or_is_another(
    folder: Path, address: str, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    pack(str(DATA / "wine.scale"), str(own), Packing())
    data = dadapt_cli.packed(own)
    other = replace(data, sha256="0" * 64)
    with pytest.raises(InputOutputError, match=r"worker tcp://.* on .*own: has other data"):
        fit(other, cluster=address)
    own.rename(tmp_path / "moved")
    host = socket.gethostname()
    with pytest.raises(InputOutputError, match=f"worker tcp://.* on {host}: .*own: cannot be seen"):
        fit(data, cluster=address)
    own.mkdir()
    with pytest.raises(DataError, match=r"worker tcp://.* no packed data"):
        fit(data, cluster=address)


def test_a_worker_with_other_versions_is_named(folder: Path, address: str) -> None:
    def plant(version: str | None) -> None:
        from dadapt_cli.cluster import worker

        if version is None:
            worker.np.__version__ = worker._kept
        else:
            worker._kept, worker.np.__version__ = worker.np.__version__, version

    told(address, plant, "1.99")
    try:
        with pytest.raises(InputOutputError, match=r"worker tcp://.*has NumPy 1\.99, the driver"):
            fit(folder, cluster=address)
    finally:
        told(address, plant, None)


def test_a_bug_in_a_worker_is_no_lost_round(folder: Path, address: str) -> None:
    def plant(broken: bool) -> None:
        from dadapt_cli.packed.share import Share

        def fails(self: Any, w: Any) -> None:
            raise ZeroDivisionError("planted")

        if broken:
            Share._kept, Share.value_and_gradient = Share.value_and_gradient, fails
        else:
            Share.value_and_gradient = Share._kept

    told(address, plant, True)
    try:
        begin = time.monotonic()
        with pytest.raises(RuntimeError, match=r"in worker tcp://.*ZeroDivisionError: planted"):
            fit(folder, cluster=address)
        assert time.monotonic() - begin < 60
    finally:
        told(address, plant, False)


def test_damage_is_found_by_the_worker_that_reads_it(
    folder: Path, address: str, tmp_path: Path
) -> None:
    bad = tmp_path / "bad"
    pack(str(DATA / "wine.scale"), str(bad), Packing())
    place = next(bad.glob("*.values.npy"))
    content = bytearray(place.read_bytes())
    content[-3] ^= 1
    place.write_bytes(content)
    with pytest.raises(DataError, match=rf"worker tcp://.*{place.name}"):
        fit(bad, cluster=address)


def test_shares_of_other_fits_are_closed_where_memory_is_short(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = dadapt_cli.packed(folder)
    settings = Settings("float64", False, (0, 1), 1, False)

    class Worker:
        class memory_manager:
            memory_limit: int | None = None

    def open_as(token: str) -> None:
        opening = worker.Opening(data.path, data.sha256, settings, None, worker.versions())
        terms = dask_tasks.Terms(token, opening, 1, 1)
        share = dask_tasks._open(terms, 0, Worker())
        dask_tasks.shares[token, 0] = dask_tasks._Open(share, threading.Lock())

    monkeypatch.setattr(dask_tasks, "shares", {})
    open_as("a")
    open_as("b")
    assert [key[0] for key in dask_tasks.shares] == ["a", "b"]
    monkeypatch.setattr(Worker.memory_manager, "memory_limit", 2**30)
    open_as("c")
    assert len(dask_tasks.shares) == 3  # there was enough
    monkeypatch.setattr(worker, "require_memory", lambda *_: len(dask_tasks.shares) == 0)
    open_as("d")
    assert [key[0] for key in dask_tasks.shares] == ["d"]
    assert dask_tasks.shares["d", 0].share.settings.hold
    monkeypatch.setattr(worker, "require_memory", lambda *_: memory.limit())
    monkeypatch.setattr(Worker.memory_manager, "memory_limit", 1000)
    open_as("e")
    assert dask_tasks.shares["e", 0].share.settings.hold == 700


def test_notes_name_what_differs() -> None:
    own = processor()
    assert set(own) == {"BLAS core", "CPU features"}
    assert all(own.values())
    assert differences(own, {"worker 1 on a": dict(own)}) == []
    other = {**own, "BLAS core": "Sandybridge"}
    (note,) = differences(own, {"worker 1 on a": dict(own), "worker 2 on b": other})
    assert "1 of 2 workers" in note
    assert "worker 2 on b" in note
    assert "Sandybridge" in note


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_no_scheduler_there(
    folder: Path,
    address: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refused(there: str, words: str) -> None:
        begin = time.monotonic()
        assert run(["fit", str(folder), "-q", "--cluster", there]) == 4
        assert time.monotonic() - begin < 20
        (line,) = capsys.readouterr().err.splitlines()
        assert there in line
        assert words in line

    monkeypatch.setattr(dask, "CONNECT", 1.0)
    refused(f"tcp://127.0.0.1:{_free_port()}", "dask scheduler")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        refused(f"tcp://127.0.0.1:{silent.getsockname()[1]}", "says nothing")
    refused(next(iter(dask._workers(address))), "no Dask scheduler")
    with distributed.LocalCluster(n_workers=0, **HERE) as empty:
        refused(empty.scheduler_address, "has no workers")


def test_usage(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for wrong in (
        "spark",
        "tcp://",
        "tcp://host",
        "tcp://host:0",
        "tcp://host:99999",
        "http://a:1",
    ):
        assert run(["fit", str(folder), "--cluster", wrong]) == 2
        assert "tcp://HOST:PORT" in capsys.readouterr().err
    with pytest.raises(UsageError, match="--workers"):
        fit(folder, workers=0)
    with pytest.raises(UsageError, match="one"):
        fit(folder, workers=2, cluster="mpi")
    with pytest.raises(UsageError, match="dadapt pack"):
        dadapt_cli.fit(np.ones((2, 1)), [0, 1], workers=2)
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert run(["fit", str(folder), "--cluster", "tcp://127.0.0.1:1"]) == 2
    assert "pip install 'dadapt[dask]'" in capsys.readouterr().err


DASK = "dadapt: 2 processes here, through Dask\n"


def test_workers_go_through_mpiexec_or_else_dask(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["fit", str(folder), "-n", "4", "-f", "csv"]
    assert run(argv) == 0
    expected = [line.split(",")[:-1] for line in capsys.readouterr().out.splitlines()]
    with_workers = [*argv, "--workers", "2"]
    monkeypatch.setattr(sys, "argv", ["dadapt", *with_workers])
    there = {"mpi4py": True, "distributed": True}
    monkeypatch.setattr("dadapt_cli.cluster.jobs.installed", there.get)
    monkeypatch.setattr(_cluster, "_mpiexec", lambda: "/mpi/mpiexec")
    started: list[Any] = []
    monkeypatch.setattr(os, "execv", lambda *arguments: started.append(arguments))
    run(with_workers)
    assert "through /mpi/mpiexec" in capsys.readouterr().err
    ((_, command),) = started
    assert command[1:3] == ["-n", "2"]
    assert command[-2:] == ["--cluster", "mpi"]
    there["mpi4py"] = False
    assert run(with_workers) == 0
    out, err = capsys.readouterr()
    assert err.startswith(DASK)
    assert [line.split(",")[:-1] for line in out.splitlines()] == expected
    there["distributed"] = False
    assert run(with_workers) == 2
    assert "pip install 'dadapt[dask]'" in capsys.readouterr().err


WITHOUT_MPI = """
import sys
sys.modules["mpi4py"] = None
from dadapt_cli.cli import run
if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
"""


def test_an_interrupt_from_the_terminal_is_for_the_driver(folder: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_MPI, "fit", str(folder), "--workers", "2"]
    command += ["-n", "1000000", "--every", "1", "-f", "csv"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               start_new_session=True)  # fmt: skip
    assert process.stdout is not None
    for _ in range(3):
        assert process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err


def test_help_and_library_do_without_dask() -> None:
    code = (
        "import sys, dadapt_cli, dadapt_cli.cli; dadapt_cli.fit; "
        "assert not {'dask', 'distributed', 'mpi4py'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
