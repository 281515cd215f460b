"""Hostile files and option combinations, from a seed: the same seed makes the same case."""

from __future__ import annotations

import base64
import io
import json
import random
import struct
import zipfile
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np

from dadapt_cli.system import archive

ESC = "\x1b[31mred\x07\nline \u202e \x9b2J"

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 7, 2**31, 2**53 + 1, 2**63, 10**400, 0.0, -0.0, 0.5, -2.5,
    1e308, -1e308, 5e-324, float("inf"), float("nan"), "", "x", "rest", ESC, "1", "gd", "log",
    [], [[]], [0], ["a", None], {}, {"a": 1}, {"dict": {}}, {"array": "x"}, {"scalar": "k"},
    {"tuple": [1, 2]}, {"deque": []}, [1] * 50,
)  # fmt: skip


DEEP = "@deep@"
"""Stands for lists within lists, which :func:`dumped` writes: no encoder would."""


def dumped(document: Any) -> bytes:
    """The document as JSON, also where it is deeper than a reader can go."""
    nested = "[" * 50_000 + "]" * 50_000
    return json.dumps(document).replace(json.dumps(DEEP), nested).encode()


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to all values of a JSON document."""
    found = [path] if path else []
    if isinstance(document, (dict, list)):
        items = document.items() if isinstance(document, dict) else enumerate(document)
        for name, item in items:
            found += places(item, (*path, name))
    return found


def spoiled(document: Any, rng: random.Random) -> Any:
    """The document with up to three of its values replaced, removed, renamed or repeated."""
    document = json.loads(json.dumps(document))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        known = places(document)
        if not known:
            break
        # A short path as often as a long one: a trace is most of a document.
        depth = rng.choice(sorted({len(path) for path in known}))
        *above, last = rng.choice([path for path in known if len(path) == depth])
        at = document
        for name in above:
            at = at[name]
        action = rng.random()
        value = DEEP if rng.random() < 0.03 else deepcopy(rng.choice(VALUES))
        if action < 0.6:
            at[last] = value
        elif action < 0.75:
            del at[last]
        elif action < 0.9 and isinstance(at, dict):
            at[rng.choice((ESC, "x", "__class__", last + "_"))] = at.pop(last)
        elif isinstance(at, list):
            at.insert(last, deepcopy(rng.choice((value, at[last]))))
        else:
            at[rng.choice(("more", ESC))] = value
    return document


def cut_or_flipped(content: bytes, rng: random.Random) -> bytes:
    """The bytes with a few flipped, inserted, repeated or cut off."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5))):
        place = rng.randrange(len(data) + 1)
        action = rng.random()
        if action < 0.5 and data:
            data[place % len(data)] ^= 1 << rng.randrange(8)
        elif action < 0.65:
            data[place:place] = rng.choice(
                (b"\0", b"\xff" * 9, b"\x1b[2J", b"\n", b" 1:1e999", b"-")
            )
        elif action < 0.8:
            del data[place : place + rng.randrange(1, 40)]
        elif action < 0.9:
            data[place:place] = data[: rng.randrange(1, 200)]
        else:
            del data[place:]
    return bytes(data)


def spoiled_array(array: Any, rng: random.Random) -> Any:
    """The array of another type, shape or content."""
    array = np.array(array)
    action = rng.randrange(7)
    if action == 0 and array.size:
        array = array.astype(np.float64)
        array.flat[rng.randrange(array.size)] = rng.choice((np.nan, np.inf, 1e308, -1.0, 1e-320))
        return array
    if action == 1:
        return array.astype(rng.choice(("f4", "i8", "u1", "?", "f8", ">f8", "c16", "U3")))
    if action == 2:
        return array[..., None]
    if action == 3:
        return array.ravel()[: rng.randrange(array.size + 1)]
    if action == 4:
        return np.zeros(rng.choice(((), (0,), (0, 3), (3, 0), (1,), (40,), (2, 2, 2))))
    if action == 5:
        return np.array([{"an": "object"}], object)
    return np.asfortranarray(array)


def npz(arrays: dict[str, Any], rng: random.Random) -> bytes:
    """An archive, a third of them with something wrong in its directory, headers or sizes."""
    if rng.random() < 0.66:
        out = io.BytesIO()
        np.savez(out, **arrays)
        return out.getvalue()
    out, bombed = io.BytesIO(), rng.choice(list(arrays))
    method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
    with zipfile.ZipFile(out, "w", method) as made:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.save(buffer, array, allow_pickle=True)
            body = buffer.getvalue()
            if name == bombed:
                body = forged(body, rng)
            made.writestr(rng.choice((name, name, name, "../" + name)) + ".npy", body)
    return out.getvalue()


def forged(body: bytes, rng: random.Random) -> bytes:
    """An array's file whose header lies, is deep, or promises more than there is."""
    shape = rng.choice(("(1000000000000,)", "(-1,)", "(2, 99)", "3", "(" * 400 + ")" * 400, "()"))
    descr = rng.choice(("'<f8'", "'|O'", "'<f8' * 9", "[('a', '<f8')]", "'<M8[s]'", "'<f3'"))
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    version = rng.choice((b"\x01\x00", b"\x01\x00", b"\x02\x00", b"\x09\x00"))
    zeros = bytes(rng.choice((0, 80, 8_000_000)))
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + (zeros or body[128:])


def model(good: dict[str, Any], rng: random.Random, digest: Callable[..., bytes]) -> bytes:
    """A model's ``.npz`` with a right digest and nonsense inside, or a damaged one."""
    arrays = {name: good[name] for name in good if name not in ("metadata", "digest")}
    document = json.loads(good["metadata"].tobytes())
    if rng.random() < 0.8:
        document = spoiled(document, rng)
    if rng.random() < 0.4:
        name = rng.choice(list(arrays))
        arrays[name] = spoiled_array(arrays[name], rng)
    text = dumped(document)
    seal = np.frombuffer(digest(text, arrays), np.uint8)
    whole = {**arrays, "metadata": np.frombuffer(text, np.uint8), "digest": seal}
    if rng.random() < 0.1:
        del whole[rng.choice(list(whole))]
    content = npz(whole, rng)
    return cut_or_flipped(content, rng) if rng.random() < 0.1 else content


def checkpoint_body(body: bytes, rng: random.Random) -> bytes:
    """The npz of a checkpoint, spoiled; to be sealed with a right digest."""
    arrays = archive.unpack(body)
    meta = json.loads(arrays.pop("meta").tobytes())
    if rng.random() < 0.85:
        meta = spoiled(meta, rng)
    if arrays and rng.random() < 0.3:
        name = rng.choice(list(arrays))
        arrays[name] = spoiled_array(arrays[name], rng)
    if arrays and rng.random() < 0.1:
        arrays.pop(rng.choice(list(arrays)))
    return npz({"meta": np.frombuffer(dumped(meta), np.uint8), **arrays}, rng)


@np.errstate(all="ignore")
def nudged(text: str, rng: random.Random) -> str:
    """A hex number or numbers in base64, of the same form but a little or very different."""
    if "0x" in text or text.endswith("inf"):
        return (float.fromhex(text) * rng.choice((1 + 1e-15, 1 - 1e-9, 1.1, -1.0, 1e300))).hex()
    values = np.frombuffer(base64.b64decode(text), "<f8").copy()
    values[rng.randrange(values.size)] *= rng.choice((1 + 1e-15, 1 - 1e-6, 2, -1, 1e-300, 1e200))
    return base64.b64encode(values.tobytes()).decode()


def proof(good: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """A proof with some of its numbers moved, of its claims repeated, or anything spoiled."""
    document = json.loads(json.dumps(good))
    for _ in range(rng.choice((1, 1, 2, 4))):
        table = rng.choice((document["objective"], document["witness"], *document["claims"]))
        names = [name for name, value in table.items() if isinstance(value, str)
                 and name not in ("kind", "loss") and value != "unit"]  # fmt: skip
        if names:
            name = rng.choice(names)
            table[name] = nudged(table[name], rng)
    if rng.random() < 0.2:
        document["claims"] += rng.choices(document["claims"], k=3)
    return spoiled(document, rng) if rng.random() < 0.4 else document


TOKENS = (
    "1", "-1", "+1", "0", "2", "1.5", "nan", "1e300", "1:1", "2:-0.5", "3:1e-300", "0:1", "-1:2",
    "1:nan", "7:inf", "1:1e400", "2147483648:1", "2147483647:1", "9" * 30 + ":1", "1:", ":1",
    "1 : 2", "qid:3", "# word", "1:0x1p3", "1,2", "\t", "\r\n", "\n", "\n\n", "\ufeff", "\x00",
    "\x1b[2J", "\u2212" + "1", "<html>", "1:1:1", "1:1_000", "1:1d3", "label", '"1"',
)  # fmt: skip


def libsvm(rng: random.Random) -> bytes:
    """LIBSVM text, sound or with a word of something else, now and then damaged."""
    rows = []
    for _ in range(rng.randrange(30)):
        entries = sorted(rng.sample(range(1, 9), rng.randrange(6)))
        row = [str(rng.choice((1, -1, 2))), *(f"{i}:{rng.gauss(0, 1):.6g}" for i in entries)]
        if rng.random() < 0.08:
            row.insert(rng.randrange(len(row) + 1), rng.choice(TOKENS))
        rows.append(rng.choice((" ", " ", "  ")).join(row))
    content = "\n".join(rows).encode() + rng.choice((b"\n", b"\n", b""))
    return cut_or_flipped(content, rng) if rng.random() < 0.3 else content


def data(rng: random.Random) -> bytes:
    """A small sound problem: separable or not, scales up to a million apart, few rows or many."""
    n, p, classes = rng.randrange(4, 40), rng.randrange(1, 7), rng.choice((2, 2, 2, 3, 4))
    scales = [10.0 ** rng.choice((0, 0, 0, -3, 3)) for _ in range(p)]
    rows = []
    for i in range(n):
        label = i if i < classes else rng.randrange(classes)
        values = [f"{j + 1}:{(rng.gauss(0, 1) + label * rng.choice((0, 2))) * scales[j]:.9g}"
                  for j in range(p) if rng.random() < 0.8]  # fmt: skip
        rows.append(" ".join([str(label), *values]))
    return ("\n".join(rows) + "\n").encode()


def options(rng: random.Random, algorithm: Any) -> list[str]:
    """Options of ``fit`` for an algorithm: most of them its own, some of others, some nonsense."""

    def sometimes(share: float, *words: Any) -> list[str]:
        return [str(word) for word in words] if rng.random() < share else []

    number = rng.choice(("0", "-1", "nan", "1e-300", "1e300", "0.5", "1e-6", "3", "x", "1_0",
                         "9" * 400, "9223372036854775807", "\x1b[2J"))  # fmt: skip
    some: list[str] = []
    if algorithm.minibatch:
        some += ["--epochs", str(rng.randrange(1, 5))]
        some += sometimes(0.5, "--batch-size", rng.choice((1, 3, 16, 999)))
        some += sometimes(0.3, "--average", rng.choice(algorithm.averaging))
        some += sometimes(0.3, "--schedule", rng.choice(("paper", "constant", "none", "linear")))
        some += sometimes(0.3, "--momentum", rng.choice((0, 0.9)))
        if "lr" in algorithm.settings:
            some += ["--lr", rng.choice(("0.1", "1", "1e-9", "1e9"))]
    else:
        some += ["-n", str(rng.choice((1, 2, 7, 30)))]
        if algorithm.bounds:
            some += sometimes(0.4, "--bound", rng.choice(algorithm.bounds))
        some += sometimes(0.4, "--metric", rng.choice(("identity", "half", "diagonal")))
        some += sometimes(0.3, "--gradient-bound", rng.choice(("auto", "initial", "lipschitz", 2)))
        if "lbfgs_pairs" in algorithm.settings:
            some += sometimes(0.5, "--lbfgs-pairs", rng.choice((0, 1, 10)))
            some += sometimes(0.3, "--memory", rng.choice((0, 1, 3)))
            some += sometimes(0.3, "--inner", rng.choice(("exact", "newton")))
    some += sometimes(0.6, "--l2", rng.choice(("0", "1/n", "1e-3", "10")))
    some += sometimes(0.2, rng.choice(("--bias", "--intercept")))
    some += sometimes(0.3, "--scale", rng.choice(("none", "minmax", "standard", "unit")))
    some += sometimes(0.3, "--reference", rng.choice(("auto", "none", "always", "0.1")))
    some += sometimes(0.2, "--tol", rng.choice(("1e-3", "1e-12", "10")))
    some += sometimes(0.2, "--every", rng.choice(("log", "1", "3")))
    some += sometimes(0.1, "--dtype", "float32")
    some += sometimes(0.1, "--positive", rng.randrange(4))
    some += sometimes(0.1, "--weight", f"{rng.randrange(3)}={rng.choice((0, 0.5, 3))}")
    some += sometimes(0.1, "--d0", rng.choice(("auto", "1e-6", "1e-100", "100")))
    some += sometimes(0.1, "--seed", rng.randrange(9))
    names = ("--l2", "--tol", "--d0", "--lr", "--seed", "--every", "--threads", "--memory", "-n")
    name = rng.choice(names)
    if name == "-n" and number == str(2**63 - 1):  # taken, and then the run would not end
        number = "0"
    return some + sometimes(0.05, name, number)
