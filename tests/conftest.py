"""Fixtures that several tests share."""

from __future__ import annotations

import functools
import itertools
import json
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dadapt_cli.cli import run
from dadapt_cli.libsvm import read_libsvm
from dadapt_cli.objective import Problem
from dadapt_cli.preprocessing.labels import encode

DATA = Path(__file__).parent.parent / "data"
SHARED = Path(os.environ.get("DADAPT_SHARED", Path(__file__).parent.parent.parent / "shared"))
SMALL = ("iris.scale", "wine.scale", "glass.scale", "vehicle.scale", "vowel.scale", "wdbc.scale.xz")


PATIENCE = 600.0
"""Seconds after which a process that should end counts as hanging; speed is not tested."""

TESTS = itertools.count()


@pytest.fixture(scope="session")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("caches")


@pytest.fixture(autouse=True)
def _own_cache(caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or leaves anything in the user's cache, or in another test's."""
    monkeypatch.setenv("DADAPT_CACHE", str(caches / str(next(TESTS))))
    monkeypatch.delenv("DADAPT_DEBUG", raising=False)


@pytest.fixture
def one_cache(caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that only use references: each is computed once for all of them."""
    monkeypatch.setenv("DADAPT_CACHE", str(caches / "references"))


@pytest.fixture(autouse=True)
def _fresh_logger() -> Iterator[None]:
    """The command line sets the logger up for its process; here many runs share one."""
    yield
    log = logging.getLogger("dadapt")
    log.handlers = []
    log.setLevel(logging.NOTSET)


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock on which a millisecond goes by whenever it is read, however busy the machine is."""
    readings = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: 1e-3 * next(readings))


@pytest.fixture(scope="session")
def shared() -> Path:
    if not (SHARED / "golden.json").exists():
        pytest.skip(f"needs the folder {SHARED} with golden.json and real data (DADAPT_SHARED)")
    return SHARED


@pytest.fixture
def golden(shared: Path) -> dict[str, Any]:
    """Trajectories made elsewhere: 61 steps on a closed-form 12 x 3 problem."""
    return dict(json.loads((shared / "golden.json").read_text()))


def on_a_terminal(command: list[Any], **more: str) -> str:
    """What a program shows on a terminal of 80 columns; it must end with exit code 0."""
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"}
    env.pop("NO_COLOR", None)
    leader, follower = os.openpty()
    process = subprocess.Popen(
        [*map(str, command)], stdout=follower, stderr=follower, env={**env, **more}
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # how the other end's close is told
            break
        if not part:
            break
        shown += part
    os.close(leader)
    assert process.wait(PATIENCE) == 0
    return shown.decode()


@dataclass
class Ran:
    code: int
    out: str
    err: str


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run a command line in this process; return its exit code and what it printed."""

    def call(*argv: Any) -> Ran:
        capfd.readouterr()
        code = run([str(arg) for arg in argv])
        out, err = capfd.readouterr()
        return Ran(code, out, err)

    return call


def listening() -> None:
    """In a child: obey INT and HUP even where the tests run in the background or under nohup."""
    for signum in (signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, signal.SIG_DFL)


@functools.cache
def read(name: str) -> tuple[Any, Any]:
    """The samples and labels of a file in ``data/``, read once; nobody may write into them."""
    X, y = read_libsvm(DATA / name)
    for array in (X.data, X.indices, X.indptr, y):
        array.flags.writeable = False
    return X, y


def vehicle() -> tuple[Any, Any]:
    """846 dense rows of 4 classes: small, not separable, and no algorithm is done with it soon."""
    return read("vehicle.scale")


def timeless(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what differs between two runs that are the same."""
    return {key: value for key, value in record.items() if key not in ("seconds", "environment")}


def load_problem(path: Path, l2: float | str = 0.0, **options: Any) -> Problem:
    X, y = read(path.name) if path.parent == DATA else read_libsvm(path)
    return Problem(X, encode(y), l2=1 / X.shape[0] if l2 == "1/n" else float(l2), **options)


def random_problem(
    seed: int, *, n: int = 60, p: int = 5, n_classes: int = 2, l2: float = 0.0, density: float = 1.0
) -> Problem:
    """A non-separable problem with known sizes."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * (rng.random((n, p)) < density)
    y = rng.integers(n_classes, size=n)
    y[:n_classes] = np.arange(n_classes)
    return Problem(X, encode(y), l2=l2)
