"""The file of a checkpoint: damage, forgeries, versions; and that nothing is ever unpickled."""

from __future__ import annotations

import ast
import io
import json
import os
import pickle
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dadapt_cli
from dadapt_cli.checkpoint import file, schema, writer
from dadapt_cli.checkpoint.file import Checkpoint
from dadapt_cli.errors import InputOutputError, UsageError
from dadapt_cli.system import envelope, lock

ROW = {**dict.fromkeys(schema.ROW), **dict.fromkeys(schema.NEEDED_NUMBERS, 0.5), "k": 0}
ROW["event"] = "step"

HEAD: dict[str, Any] = {
    "options": {"algo": "gd"},
    "data": {"sha256": None, "content": "0", "start": None, "shape": [3, 2, 2], "labels": ["1"]},
}

SMALL = Checkpoint(
    HEAD, [ROW], 0.25, {"dict": {"k": 0, "x": {"array": "x"}}}, {"x": np.arange(3.0)}
)


@pytest.fixture
def path(tmp_path: Path) -> str:
    file.write(str(tmp_path / "run"), SMALL)
    return str(tmp_path / "run")


def test_what_is_written_is_read(path: str) -> None:
    back = file.read(path)
    assert (back.head, back.rows, back.seconds, back.tree) == (
        SMALL.head, SMALL.rows, SMALL.seconds, SMALL.tree
    )  # fmt: skip
    np.testing.assert_array_equal(back.arrays["x"], SMALL.arrays["x"])
    assert back.k == 0


def test_every_flipped_byte_is_found(path: str) -> None:
    content = Path(path).read_bytes()
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        Path(path).write_bytes(damaged)
        hint = f"--checkpoint {path} --restart|is not a checkpoint; name another"
        with pytest.raises(InputOutputError, match=hint):
            file.read(path)


def test_every_cut_is_found(path: str) -> None:
    content = Path(path).read_bytes()
    for length in range(len(content)):
        Path(path).write_bytes(content[:length])
        with pytest.raises(InputOutputError, match=r"cut short|version") as caught:
            file.read(path)
        assert "\n" not in str(caught.value)


class Evil:
    """Unpickling it makes a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.mark),)


def npz(**members: Any) -> bytes:
    body = io.BytesIO()
    np.savez(body, **members)
    return body.getvalue()


def text(**meta: Any) -> Any:
    return np.frombuffer(json.dumps(meta).encode(), np.uint8)


def npy(value: Any) -> bytes:
    body = io.BytesIO()
    np.save(body, value)
    return body.getvalue()


def other_member() -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("meta.npy", b"no array")
    return body.getvalue()


FORGED: dict[str, Callable[[Evil], bytes]] = {
    "pickle": pickle.dumps,
    "object array": lambda evil: npz(meta=np.array([evil], dtype=object)),
    "object beside": lambda evil: npz(
        meta=text(head={}, rows=[], seconds=0, tree={}), x=np.array([evil], dtype=object)
    ),
    "pickled npy": lambda evil: npy(np.array([evil], dtype=object)),
    "npy": lambda evil: npy(np.zeros(3)),
    "no meta": lambda evil: npz(x=np.zeros(3)),
    "other keys": lambda evil: npz(meta=text(head={})),
    "no JSON": lambda evil: npz(meta=np.zeros(3, np.uint8)),
    "no array": lambda evil: other_member(),
    "empty": lambda evil: b"",
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_forgery_with_the_right_digest_is_refused_unopened(kind: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    body = FORGED[kind](Evil(mark))
    (tmp_path / "run").write_bytes(envelope.seal(file.KIND, file.VERSION, body) + body)
    with pytest.raises(InputOutputError, match="--restart") as caught:
        file.read(str(tmp_path / "run"))
    assert "\n" not in str(caught.value)
    assert not mark.exists()


def test_a_plain_pickle_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(pickle.dumps(Evil(tmp_path / "mark")))
    with pytest.raises(InputOutputError, match="is not a checkpoint"):
        file.read(str(tmp_path / "run"))
    assert not (tmp_path / "mark").exists()
    pickle.loads((tmp_path / "run").read_bytes())  # it would have been noticed
    assert (tmp_path / "mark").is_dir()


def test_another_version_is_named(path: str) -> None:
    content = Path(path).read_bytes()
    Path(path).write_bytes(content.replace(b"checkpoint 3\n", b"checkpoint 27\n", 1))
    with pytest.raises(InputOutputError, match="version '27', this program has version '3'"):
        file.read(path)


def calls() -> Iterator[tuple[Path, ast.AST]]:
    for module in sorted(Path(dadapt_cli.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(module.read_text())):
            yield module, node


def test_no_module_can_unpickle() -> None:
    """No import of what unpickles, and no np.load: archives are read by their own rules."""
    banned = re.compile(r"^(_?pickle|cPickle|joblib|marshal|shelve|dill|cloudpickle|torch)\b")
    for module, node in calls():
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        assert not any(banned.match(name) for name in names), (module, names)
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        assert node.func.attr not in ("load_npz", "read_pickle", "read_array"), module
        numpys = ast.unparse(node.func.value) in ("np", "numpy")
        assert not (node.func.attr == "load" and numpys), (module, node.lineno)


HOLDER = """
import sys, time
from dadapt_cli.system.lock import held
with held(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(path: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, path], stdin=-1, stdout=-1, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("death", ["end", "kill"])
def test_a_lock_lives_as_long_as_its_process(death: str, path: str) -> None:
    process = holder(path)
    link = Path(path).with_name("link")
    link.symlink_to(path)
    for name in (path, str(link)):
        with pytest.raises(InputOutputError, match=f"{name}: in use by process {process.pid}"):
            lock.held(name).__enter__()
    if death == "kill":
        process.kill()
    process.communicate()
    beside = Path(path).with_name(".run.lock")
    assert beside.exists() == (death == "kill")
    with lock.held(path):
        assert beside.read_text() == f"{os.getpid()}\n"
    assert not beside.exists()


def test_a_lock_file_removed_while_it_is_waited_for_is_none(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    beside, real, tries = Path(path).with_name(".run.lock"), fcntl.flock, 0

    def flock(descriptor: int, operation: int) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:  # its holder ended between our opening and our locking
            beside.unlink()
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with lock.held(path):
        assert tries == 2
        assert beside.exists()


def test_a_system_without_locks_says_so(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with pytest.raises(UsageError, match="file locks"):
        lock.held(path).__enter__()


def test_a_run_is_kept_at_once_after_a_second_and_then_as_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(writer.time, "perf_counter", lambda: now)
    made = writer.Writer(str(tmp_path / "run"), 30.0)
    made.head = {"options": {}, "data": {}}
    kept = []
    for now in (100.0, 100.5, 101.0, 101.5, 130.0, 131.0, 140.0, 161.0):
        if made.due(ending=False):
            made.keep(0.0, k=len(kept))
            kept.append(now)
    assert kept == [100.0, 101.0, 131.0, 161.0]
    resumed = file.Checkpoint({}, [], 0.0, {}, {})
    again = writer.Writer("run", 30.0, resumed, "run")
    assert not again.due(ending=False), "what is there is as good"
    now = 162.0
    assert again.due(ending=False)
    assert writer.Writer("run", 0.0, resumed, "run").due(ending=False)
