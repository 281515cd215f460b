"""Rows 95 and 98: models with a right digest and nonsense inside; archives that inflate."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dadapt_cli import model as models
from dadapt_cli.errors import DataError, UsageError
from dadapt_cli.model import Model, npz
from dadapt_cli.preprocessing.labels import REST
from dadapt_cli.system import archive

from ..conftest import DATA, Ran

IRIS = DATA / "iris.scale"
Cli = Callable[..., Ran]

GOOD = {"format": "dadapt model", "version": 1, "kind": "logistic", "classes": [-1, 1],
        "bias": None, "scale": "none", "about": {}}  # fmt: skip
WEIGHTS = np.array([0.5, -1.0, 2.0, 0.0])


def sealed(text: bytes, **arrays: Any) -> bytes:
    digest = npz._digest(text, arrays)
    members = {"metadata": text, "digest": digest}
    return archive.pack({**arrays, **{n: np.frombuffer(b, np.uint8) for n, b in members.items()}})


def made(weights: Any = WEIGHTS, **changes: Any) -> bytes:
    return sealed(json.dumps({**GOOD, **changes}).encode(), weights=weights)


def test_the_honest_one_is_taken(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(made())
    assert models.load(tmp_path / "m").classes == (-1, 1)
    (tmp_path / "m").write_bytes(made(classes=["rest", 3], bias=1))
    assert models.load(tmp_path / "m").classes == ("rest", 3)


@pytest.mark.parametrize(
    "classes",
    [("cat", "dog"), ("", "\x1b[2J\n"), ("rest", "walk"), (REST, "rest"), (REST, 3), (False, True)],
)
def test_labels_come_back_as_they_were(classes: tuple[Any, Any], tmp_path: Path) -> None:
    models.save(Model("logistic", classes, WEIGHTS), tmp_path / "m.npz")
    back = models.load(tmp_path / "m.npz").classes
    assert back == classes
    assert [type(label) for label in back] == [type(label) for label in classes]


def test_labels_of_text_are_no_liblinear_model(tmp_path: Path) -> None:
    model = Model("logistic", ("cat\x1b", "dog"), WEIGHTS)
    with pytest.raises(UsageError, match=r'integer labels only, not "cat\\u001b"; save as \.npz'):
        models.save(model, tmp_path / "m.model")
    assert not (tmp_path / "m.model").exists()


def test_labels_of_text_are_escaped_on_every_way_out(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    labels = ("\x1b[2J\n", "\x9b31m\x7f b", "", 'a"b', "plain", "r\u202eight")
    models.save(Model("softmax", labels, np.eye(4, 6)), path)
    (tmp_path / "x").write_text("1 1:1\n1 2:1\n1 3:1\n1 4:1\n1 1:-1 2:-1 3:-1 4:-1\n")
    ran = cli("predict", tmp_path / "x", "--model", path)
    assert ran.code == 0
    assert ran.out.splitlines()[0] == '"\\u001b[2J\\n"'
    assert [json.loads(line) for line in ran.out.splitlines()[:4]] == list(labels[:4])
    assert ran.out.splitlines()[4] == "plain"
    assert "5 labels that the model does not know" in ran.err
    ran = cli("predict", tmp_path / "x", "--model", path, "--json")
    assert json.loads(ran.out)["labels"] == [*labels[:4], "plain"]
    for more in ((), ("--probability",)):
        out = cli("predict", tmp_path / "x", "--model", path, *more).out
        assert out.replace("\n", "").isprintable()
    for more in ((), ("--weights",), ("--json", "--weights")):
        ran = cli("show", path, *more)
        assert ran.code == 0
        assert ran.out.replace("\n", "").isprintable()
    assert json.loads(ran.out)["labels"] == list(labels)


DEEP = json.dumps(GOOD).replace("{}", '{"x": ' + "[" * 100_000 + "]" * 100_000 + "}").encode()

HOSTILE: dict[str, bytes] = {
    "a list as label": made(classes=[[1], [2]]),
    "an object as label": made(classes=[{"a": 1}, 2]),
    "a huge label": made(classes=[1, 10**400]),
    "a label above 2^53": made(classes=[1, 2**53 + 1]),
    "a label twice": made(classes=[1, 1]),
    "a null label": made(classes=[None, 1]),
    "a boolean label": made(classes=[True, 2]),
    "a float label": made(classes=[1.0, 2]),
    "text and a number": made(classes=["a", 1]),
    "a label of text twice": made(classes=["a", "a"]),
    "a bool twice": made(classes=[True, True]),
    "null before a number": made(classes=[None, 3]),
    "null among text": made(np.zeros((4, 3)), kind="softmax", classes=[None, "a", "b"]),
    "a label too long": made(classes=["a", "b" * 1001]),
    "a label with a NUL": made(classes=["a", "b\0"]),
    "a label with half a character": made(classes=["a", "\ud800"]),
    "an escape as label": made(classes=["\x1b[2J", 1]),
    "rest in the wrong place": made(classes=[1, "rest"]),
    "rest and two more": made(np.zeros((4, 3)), kind="softmax", classes=["rest", 1, 2]),
    "one class": made(np.zeros((4, 1)), kind="softmax", classes=[1]),
    "no class": made(np.zeros((4, 0)), kind="softmax", classes=[]),
    "classes are text": made(classes="12"),
    "softmax with 1-d weights": made(kind="softmax"),
    "logistic with 2-d weights": made(np.zeros((4, 2))),
    "weights without axes": made(np.float64(1.0)),
    "integer weights": made(np.arange(4)),
    "weights that overflow": made(WEIGHTS * 1e200),
    "NaN weights": made(WEIGHTS * np.nan),
    "a bias of text": made(bias="1"),
    "a bias of a list": made(bias=[1]),
    "a boolean bias": made(bias=True),
    "a bias of 1e308": made(bias=1e308),
    "an infinite bias": sealed(
        json.dumps(GOOD).replace('"bias": null', '"bias": 1e999').encode(), weights=WEIGHTS
    ),
    "a bias without rows": made(np.zeros(0), bias=1.0),
    "a kind of a list": made(kind=["logistic"]),
    "a scale of an object": made(scale={}),
    "minmax without divisors": made(scale="minmax"),
    "about of a list": made(about=[]),
    "no fields": sealed(b"{}", weights=WEIGHTS),
    "a list": sealed(b"[]", weights=WEIGHTS),
    "a number": sealed(b"1", weights=WEIGHTS),
    "deep JSON": sealed(DEEP, weights=WEIGHTS),
    "NaN in JSON": sealed(json.dumps({**GOOD, "about": {"d": float("nan")}}).encode(),
                          weights=WEIGHTS),
    "a long number": sealed(json.dumps(GOOD).replace("-1", "1" * 5000).encode(), weights=WEIGHTS),
    "divisors of zeros": sealed(json.dumps({**GOOD, "scale": "minmax"}).encode(),
                                weights=WEIGHTS, divisors=np.zeros(4)),
    "infinite divisors": sealed(json.dumps({**GOOD, "scale": "minmax"}).encode(),
                                weights=WEIGHTS, divisors=np.full(4, np.inf)),
}  # fmt: skip


def header(text: str, body: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    content = text.encode() + b"\n"
    return b"\x93NUMPY" + version + len(content).to_bytes(2, "little") + content + body


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def twice() -> bytes:
    """Two members of one name, which zipfile would warn of."""
    one = zipped({"aa.npy": header("x"), "ab.npy": header("y")})
    return one.replace(b"ab.npy", b"aa.npy")


SHAPE = "{'descr': '<f8', 'fortran_order': False, 'shape': %s, }"

HOSTILE |= {
    "a deep header": zipped({"w.npy": header(SHAPE % ("(" * 9_000 + ")" * 9_000))}),
    "a shape that lies": zipped({"w.npy": header(SHAPE % "(1000000000000,)", bytes(8))}),
    "a shape below 0": zipped({"w.npy": header(SHAPE % "(-1,)", bytes(8))}),
    "a structured type": zipped({"w.npy": header(SHAPE.replace("'<f8'", "[('a', '<f8')]") % "(1,)",
                                                 bytes(8))}),
    "code in a header": zipped({"w.npy": header("__import__('os').system('true')")}),
    "another version": zipped({"w.npy": header(SHAPE % "(1,)", bytes(8), b"\x03\x00")}),
    "a member twice": twice(),
    "a member that is not an array": zipped({"w.txt": b"x"}),
    "an object array": zipped({"w.npy": header(SHAPE.replace("<f8", "|O") % "(1,)", b"N.")}),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_model_is_bad_data_in_one_line(kind: str, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "m.npz").write_bytes(HOSTILE[kind])
    ran = cli("predict", IRIS, "--model", tmp_path / "m.npz", "--probability")
    assert (ran.code, ran.out) == (3, ""), ran
    assert ran.err.startswith(f"dadapt: {tmp_path / 'm.npz'}: ")
    assert ran.err.count("\n") == 1
    assert "\x1b" not in ran.err


BOMBS: dict[str, Callable[[], bytes]] = {
    "weights": lambda: bomb({"weights": SHAPE % "(40000000,)"}),
    "another member": lambda: bomb({"x": SHAPE % "(40000000,)", "y": SHAPE % "(40000000,)"}),
    "a header": lambda: zipped({"w.npy": b"\x93NUMPY\x02\x00" + b"\xff\xff\xff\x5f"
                                + bytes(16_000_000)}, zipfile.ZIP_DEFLATED),
    "many members": lambda: zipped({f"{i}.npy": b"" for i in range(120_000)}),
}  # fmt: skip


def bomb(members: dict[str, str]) -> bytes:
    """A small archive whose members inflate to 320 MB each."""
    out = io.BytesIO()
    zeros = bytes(2**24)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                member.write(header(text))
                for _ in range(320_000_000 // 2**24):
                    member.write(zeros)
                member.write(bytes(320_000_000 % 2**24))
    return out.getvalue()


# The peak of this program alone: getrusage would tell that of the process it was forked from.
MEASURE = """
import sys
from dadapt_cli.cli import run
code = run(["predict", sys.argv[2], "-m", sys.argv[1]])
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(code, int(peak.split()[1]) // 1024)
"""


@pytest.mark.parametrize("kind", BOMBS)
def test_an_archive_that_inflates_is_refused_before(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    path.write_bytes(BOMBS[kind]())
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, path, IRIS], capture_output=True, text=True
    )
    code, megabytes = map(int, ran.stdout.split())
    assert code == 3, ran.stderr
    assert megabytes < 200  # the whole process; NumPy and SciPy are half of it


def test_a_model_larger_than_max_bytes(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    path.write_bytes(made())
    assert cli("predict", IRIS, "-m", path).code == 0
    path.write_bytes(made(about={"x": "y" * 9000}))
    ran = cli("predict", IRIS, "-m", path, "--max-bytes", 8000)
    assert ran.code == 3
    assert "more than the 8000 bytes of --max-bytes" in ran.err


TEXT = "solver_type L2R_LR\nnr_class 2\nlabel 1 -1\nnr_feature 2\nbias 1\nw\n0.5\n-2\n1\n"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("label 1 -1", f"label 1 {2**53 + 1}", ":3: labels are integers of at most 2^53"),
        ("label 1 -1", f"label -{10**400} 1", ":3: labels are integers of at most 2^53"),
        ("bias 1", "bias 1e308", ":5: bias '1e308' is not valid"),
        ("0.5", "1e200", ":7: '1e200' exceeds 1e+150"),
    ],
)
def test_numbers_that_liblinear_text_cannot_mean(
    old: str, new: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "m").write_text(TEXT)
    assert models.load(tmp_path / "m").bias == 1.0
    (tmp_path / "m").write_text(TEXT.replace(old, new))
    with pytest.raises(DataError) as caught:
        models.load(tmp_path / "m")
    assert words in str(caught.value)


def test_scores_that_overflow_are_no_labels(cli: Cli, tmp_path: Path) -> None:
    models.save(Model("logistic", (-1, 1), np.array([1e150, -1e150])), tmp_path / "m.npz")
    (tmp_path / "data").write_text("1 1:1 2:1\n-1 1:1e200 2:1e200\n")
    ran = cli("predict", tmp_path / "data", "-m", tmp_path / "m.npz")
    assert (ran.code, ran.out) == (3, "")
    assert "row 2: the score overflows" in ran.err
