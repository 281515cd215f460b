"""Row 98: checkpoints with a right digest and nonsense inside: refused before any use."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dadapt_cli.checkpoint import file
from dadapt_cli.system import archive, envelope
from dadapt_cli.system.schema import conforms

from ..conftest import DATA, Ran
from ..model.test_hostile import SHAPE, header, zipped

IRIS = DATA / "iris.scale"
Cli = Callable[..., Ran]


@pytest.mark.parametrize(
    ("value", "kind", "good"),
    [
        (1, int, True), (True, int, False), (1.0, int, False), (2**63, int, False),
        (1, float, True), (1.5, float, True), (float("nan"), float, False), (True, float, False),
        (10**400, float, False), (10**400, int, False), ("x", str, True), (None, str, False),
        (None, int | None, True), ("log", str | int, True), (2.5, str | int, False),
        ([1, 2.5], tuple[float, float], True), ([1], tuple[float, float], False),
        ("ab", list[str], False), (["a"], list[str], True), ([1], list[str], False),
        ({"1": 0.5}, Mapping[int, float], True), ({"x": 0.5}, Mapping[int, float], False),
        ({"1": "x"}, Mapping[int, float], False), (0, bool, False), (False, bool, True),
        ([], dict[str, Any], False), ({"a": []}, dict[str, Any], True), (object(), Any, True),
    ],
)  # fmt: skip
def test_what_conforms(value: Any, kind: Any, good: bool) -> None:
    assert conforms(value, kind) is good


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from dadapt_cli.cli import run

    path = tmp_path_factory.mktemp("kept") / "run"
    argv = ["fit", str(IRIS), "-q", "-n", "5", "--l2", "1/n", "--checkpoint", str(path)]
    assert run([*argv, "-a", "orth", "--lbfgs-pairs", "2"]) == 0
    return path


def opened(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    body = envelope.unseal(file.KIND, file.VERSION, path.read_bytes())
    arrays = archive.unpack(body)
    return archive.document(arrays.pop("meta"), strict=False), arrays


def sealed(body: bytes) -> bytes:
    return envelope.seal(file.KIND, file.VERSION, body) + body


def put(*place: Any) -> Callable[[Any], None]:
    """Change the meta: the last of `place` is the new value, or `...` to remove the old one."""
    *above, last, value = place

    def change(meta: Any) -> None:
        for name in above:
            meta = meta[name]
        if value is ...:
            del meta[last]
        else:
            meta[last] = value

    return change


STATE = ("tree", "dict", "state", "Orth")

META: dict[str, Callable[[Any], None]] = {
    **{f"no {name}": put(name, ...) for name in ("head", "rows", "seconds", "tree")},
    **{f"{name} is {value!r}": put(name, value)
       for name in ("head", "rows", "seconds", "tree")
       for value in (None, "x", [1], {"a": 1}, True, -1)},
    **{f"no {name} in the head": put("head", name, ...) for name in ("options", "data")},
    **{f"no {name} in the data": put("head", "data", name, ...)
       for name in ("sha256", "content", "start", "shape", "labels")},
    **{f"{name} of the reference is {value!r}": put("head", "reference", name, value)
       for name, value in (("f_star", "x"), ("gap", [1]), ("status", 3), ("distances", []),
                           ("D", True), ("reason", {}))},
    **{f"option {name} is {value!r}": put("head", "options", name, value)
       for name, value in (("algo", 3), ("algo", "nonsense"), ("l2", []), ("iterations", None),
                           ("betas", [1]), ("weight", {"x": 1.0}), ("threads", "2"), ("new", 1),
                           ("lbfgs_pairs", 1.5), ("every", {}), ("l2", -1.0), ("seed", 10**400))},
    "a positive label that is not in the data": put("head", "options", "positive", 7),
    "a weight of no label in the data": put("head", "options", "weight", {"7": 2.0}),
    **{f"a start from {name!r}": put("head", "options", "init", name)
       for name in ("", "nowhere", "/", str(IRIS))},
    "another f*": put("head", "reference", "f_star", 2147483648),
    "a lower f*": put("head", "reference", "f_star", 1e-3),
    "no option l2": put("head", "options", "l2", ...),
    "options are a list": put("head", "options", []),
    "a shape of two": put("head", "data", "shape", [1, 2]),
    "labels are numbers": put("head", "data", "labels", [1]),
    "merge is text": put("head", "merge", "yes"),
    "a reference without f_star": put("head", "reference", "f_star", ...),
    "a reference of text": put("head", "reference", "x"),
    "NaN seconds": put("seconds", float("nan")),
    "a row is a number": put("rows", [1]),
    "a row without f": put("rows", 0, "f_last", ...),
    "a row of text": put("rows", 0, "d", "\x1b[2J"),
    "a row with a strange name": put("rows", 0, "\x1b[2J", 1.0),
    "a row of another event": put("rows", 0, "event", "end"),
    "rows that go back": put("rows", 1, "k", 0),
    "a tree of a list": put("tree", {"list": []}),
    "k is text": put("tree", "dict", "k", "5"),
    "k is below 0": put("tree", "dict", "k", -5),
    "k is missing": put("tree", "dict", "k", ...),
    "k is an array": put("tree", "dict", "k", {"array": "state.x"}),
    "an array that is not there": put(*STATE, "x", {"array": "none"}),
    "an array twice": put(*STATE, "x", {"array": "state.s"}),
    "an array of a list": put(*STATE, "x", {"array": []}),
    "d is text": put(*STATE, "d", "1"),
    "d is a list": put(*STATE, "d", {"list": [1.0]}),
    "a class of another name": put("tree", "dict", "state", {"Other": {}}),
    "a field more": put(*STATE, "more", 1),
    "a field less": put(*STATE, "d", ...),
    "stalled is a number": put(*STATE, "stalled", 2),
    "pairs are a number": put(*STATE, "pairs", 2),
    "a deque of an object": put(*STATE, "pairs", "Pairs", "pairs", {"deque": {"a": 1}}),
    "two kinds at once": put(*STATE, "x", {"array": "state.x", "list": []}),
    "memory for rows that are not there": put(*STATE, "memory", 100),
}  # fmt: skip


def refused(content: bytes, cli: Cli, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.write_bytes(content)
    ran = cli("fit", IRIS, "-n", 9, "--resume", run)
    assert ran.code == 4, ran
    assert f"--checkpoint {run} --restart starts over" in ran.err
    last = ran.err.splitlines()[-1]
    assert last.startswith(f"dadapt: {run}: ")
    assert "\x1b" not in ran.out + ran.err
    assert run.read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("kind", META)
def test_meta_that_no_run_writes(kind: str, kept: Path, cli: Cli, tmp_path: Path) -> None:
    meta, arrays = opened(kept)
    META[kind](meta)
    refused(sealed(archive.pack({"meta": archive.text(meta), **arrays})), cli, tmp_path)


def test_a_file_to_write_is_never_the_checkpoints_choice(
    kept: Path, cli: Cli, tmp_path: Path
) -> None:
    meta, arrays = opened(kept)
    victim, run = tmp_path / "victim", tmp_path / "run"
    victim.write_text("precious")
    meta["head"]["options"]["certificate"] = str(victim)
    run.write_bytes(sealed(archive.pack({"meta": archive.text(meta), **arrays})))
    assert cli("fit", IRIS, "-n", 9, "--resume", run).code == 0
    assert victim.read_text() == "precious"
    assert cli("fit", IRIS, "-n", 9, "--resume", run, "--certificate", victim).code == 0
    assert victim.read_text() != "precious"


def nan(array: Any) -> Any:
    return np.where(np.arange(array.size).reshape(array.shape) == 0, np.nan, array)


ARRAYS: dict[str, Callable[[Any], Any]] = {
    "NaN": nan,
    "infinite": lambda array: array + np.inf,
    "an axis more": lambda array: array[None],
    "shorter": lambda array: array[:-1],
    "empty": lambda array: array[:0],
    "float32": lambda array: array.astype(np.float32),
    "integers": lambda array: array.astype(np.int64),
}


@pytest.mark.parametrize("kind", ARRAYS)
@pytest.mark.parametrize("name", ["state.x", "best.x", "state.subspace.V"])
def test_arrays_that_no_run_writes(
    kind: str, name: str, kept: Path, cli: Cli, tmp_path: Path
) -> None:
    meta, arrays = opened(kept)
    arrays[name] = ARRAYS[kind](arrays[name])
    refused(sealed(archive.pack({"meta": archive.text(meta), **arrays})), cli, tmp_path)


def test_the_sound_one_is_resumed(kept: Path, cli: Cli, tmp_path: Path) -> None:
    meta, arrays = opened(kept)
    run = tmp_path / "run"
    run.write_bytes(sealed(archive.pack({"meta": archive.text(meta), **arrays})))
    assert cli("fit", IRIS, "-n", 9, "--resume", run).code == 0


DEEP = b"[" * 100_000 + b"]" * 100_000

BODIES: dict[str, Callable[[dict[str, Any], dict[str, Any]], bytes]] = {
    "deep JSON": lambda meta, arrays: archive.pack(
        {"meta": np.frombuffer(json.dumps(meta).encode().replace(b'"seconds"', DEEP), np.uint8)}
    ),
    "deep rows": lambda meta, arrays: archive.pack({"meta": np.frombuffer(
        b'{"head": {}, "seconds": 0, "tree": {}, "rows": ' + DEEP + b"}", np.uint8)}),
    "no meta": lambda meta, arrays: archive.pack(arrays),
    "a deep header": lambda meta, arrays: zipped({"meta.npy": header(SHAPE % ("(" * 9_000))}),
    "a header that lies": lambda meta, arrays: zipped(
        {"meta.npy": header(SHAPE % "(99999999999,)", bytes(8))}
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BODIES)
def test_bodies_that_no_run_writes(kind: str, kept: Path, cli: Cli, tmp_path: Path) -> None:
    refused(sealed(BODIES[kind](*opened(kept))), cli, tmp_path)
