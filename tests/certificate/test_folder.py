"""The checker on packed folders: 50 digits, false claims, damage, and manifests that lie."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dadapt_cli
from dadapt_cli.certificate import check, folder, proof
from dadapt_cli.packed.folder import opened
from dadapt_cli.packed.pack import Packing, pack
from tests.conftest import DATA, PATIENCE, Ran

Cli = Callable[..., Ran]

SIZES = {"wdbc.scale.xz": 2400, "dna.scale.xz": 20_000, "vehicle.scale": 3500}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders: two classes; three, of ones alone; four."""
    room = tmp_path_factory.mktemp("folders")
    for name, leaf in SIZES.items():
        pack(str(DATA / name), str(room / name), Packing(leaf=leaf))
    return {name: room / name for name in SIZES}


def prove(path: Path, place: Path, **options: Any) -> dict[str, Any]:
    """The proof of a fit on a folder."""
    chosen = {"l2": 0.1, "reference": "always", "iterations": 30, "algo": "dual-avg", **options}
    made = dadapt_cli.fit(opened(path), certificate=str(place), **chosen)
    assert made.proof == str(place)
    document: dict[str, Any] = check.load(str(place))
    return document


@pytest.fixture(scope="module")
def proven(packed: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The proof on wdbc, with a bias."""
    place = tmp_path_factory.mktemp("proof") / "proof.json"
    return prove(packed["wdbc.scale.xz"], place, bias=True)


def copied(document: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(document))
    return made


def judge(document: dict[str, Any], path: Path) -> list[dict[str, Any]]:
    return check.judge(document, str(path), folder.Folder)


FITS: list[dict[str, Any]] = [
    {"l2": "1/n"},
    {"l2": 0.01, "bias": True},
    {"l2": "1/n", "positive": 1, "metric": "half", "algo": "gd"},
]


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("options", FITS)
def test_what_a_fit_claims_is_proven(
    packed: dict[str, Path], tmp_path: Path, cli: Cli, name: str, options: dict[str, Any]
) -> None:
    words = [("--" + k, *([] if v is True else [v])) for k, v in options.items()]
    fitted = ("fit", packed[name], "--reference", "always", "-n", 60, "-q")
    place = tmp_path / "proof.json"
    ran = cli(*fitted, *(w for pair in words for w in pair), "--certificate", place)
    assert ran.code == 0, ran
    ran = cli("verify", place, packed[name], "--format", "json")
    assert ran.code == 0, ran
    found = json.loads(ran.out)["claims"]
    assert [row["kind"] for row in found[:3]] == ["f_star", "D", "D_inf"]
    assert sum(row["kind"] == "d" for row in found) >= 5
    for row in found[:3]:
        low, high = row["enclosed"]
        assert 0 < high - low <= (1e-12 if row["kind"] == "f_star" else 1e-4 * high)


def test_two_files_alone_in_another_folder(
    packed: dict[str, Path], proven: dict[str, Any], tmp_path: Path
) -> None:
    for own in (check, folder):
        shutil.copy(str(own.__file__), tmp_path)
    place = tmp_path / "proof.json"
    place.write_text(json.dumps(proven))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}

    def run(path: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", "folder.py", place, path], cwd=tmp_path,
            env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE,
        )  # fmt: skip

    ran = run(packed["wdbc.scale.xz"])
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.count("verdict: proven") == len(proven["claims"])
    other = run(packed["vehicle.scale"])
    assert (other.returncode, other.stderr.count("\n")) == (3, 1)
    assert run(tmp_path / "absent").returncode == 4


def test_pieces_change_nothing_but_rounding(
    packed: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One entry at a time or a leaf at once, and as text: enclosures of the same numbers."""
    for name, path in packed.items():
        document = prove(path, tmp_path / "p", bias=True)
        document["claims"] += [{"kind": "f", "k": 0, "lower": "0x0p0", "upper": "0x1p9"}]
        text = check.read_text(str(DATA / name))
        same = copied(document)
        same["data"]["sha256"] = hashlib.sha256(text).hexdigest()
        found = [check.judge(same, text)]
        for entries in (1, 100, 2**18):
            monkeypatch.setattr(folder, "ENTRIES", entries)
            found.append(judge(document, path))
        for rows in zip(*found, strict=True):
            assert {row["verdict"] for row in rows} == {"proven"}
            ends = np.array([row["enclosed"] for row in rows])
            assert ends[:, 0].max() < ends[:, 1].min()
            widths = ends[:, 1] - ends[:, 0]
            assert widths.max() <= 3 * widths.min()


@pytest.mark.parametrize("name", SIZES)
def test_pieces_are_small_and_all_rows_are_in_one(
    packed: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(folder, "ENTRIES", 150)
    document = prove(packed[name], tmp_path / "p")
    data = opened(packed[name])
    most = max(150, data.about["longest_row"])
    rows = entries = 0
    for q, y, row, column, x in folder.Folder(document, str(packed[name])).parts:
        assert 0 < len(y) == len(q) <= 150
        assert len(row) == len(column) == len(x) <= most
        rows, entries = rows + len(y), entries + len(x)
    assert (rows, entries) == (data.shape[0], data.nnz)


# --------------------------------------------------------------------------------- false claims


def test_moved_claims_and_a_d_above_D_are_refuted(
    packed: dict[str, Path], proven: dict[str, Any]
) -> None:
    for at in range(3):
        for shift in (-2.0, 2.0):
            document = copied(proven)
            claim = document["claims"][at]
            low, high = (float.fromhex(claim[end]) for end in ("lower", "upper"))
            claim["lower"] = (low + shift * (high - low)).hex()
            claim["upper"] = (high + shift * (high - low)).hex()
            assert judge(document, packed["wdbc.scale.xz"])[at]["verdict"] == "refuted"
    document = copied(proven)
    document["claims"][-1]["value"] = (1.001 * float.fromhex(proven["claims"][1]["upper"])).hex()
    assert judge(document, packed["wdbc.scale.xz"])[-1]["verdict"] == "refuted"


@pytest.mark.parametrize("what", ["w", "l2", "bias", "labels", "x0"])
def test_another_objective_proves_nothing(
    packed: dict[str, Path], proven: dict[str, Any], what: str
) -> None:
    document = copied(proven)
    w = check.array(document["witness"], "w", 31).copy()
    if what == "w":
        w[3] *= 1.01
        document["witness"]["w"] = proof._array(w, (31,))
    elif what == "l2":
        document["objective"]["l2"] = (0.1 * 1.01).hex()
    elif what == "x0":
        document["witness"]["x0"] = proof._array(np.full(31, 0.01), (31,))
        document["claims"] = document["claims"][1:]
    elif what == "bias":
        document["objective"]["bias"] = False
        document["witness"] |= {"w": proof._array(w[:30], (30,)), "shape": [30]}
    else:
        document["data"]["labels"].reverse()
    rows = judge(document, packed["wdbc.scale.xz"])
    assert not any(row["verdict"] == "proven" for row in rows if row["kind"] != "d")


def test_one_row_changed(proven: dict[str, Any], tmp_path: Path) -> None:
    text = check.read_text(str(DATA / "wdbc.scale.xz")).decode().splitlines(keepends=True)
    place, own = tmp_path / "text", tmp_path / "folder"
    text[400] = text[400].replace("1:", "1:-", 1).replace("1:--", "1:", 1)
    place.write_text("".join(text))
    pack(str(place), str(own), Packing(leaf=2400))
    document = copied(proven)
    with pytest.raises(check.BadInputError, match="for other data"):
        judge(document, own)
    document["data"]["sha256"] = opened(own).sha256
    rows = judge(document, own)[:3]
    assert "proven" not in {row["verdict"] for row in rows}


def test_without_the_l2_term_nothing_is_proven(
    packed: dict[str, Path], proven: dict[str, Any]
) -> None:
    document = copied(proven)
    document["objective"]["intercept"] = True
    direction = {"kind": "not-attained", "direction": document["witness"]["w"]}
    document["claims"] = [*document["claims"][1:3], direction]
    for row in judge(document, packed["wdbc.scale.xz"]):
        assert row["verdict"].startswith("not checked")


@pytest.mark.parametrize(
    ("where", "name", "value"),
    [
        ("objective", "scale", "unit"),
        ("objective", "sample_weight", proof._array(np.ones(569), (569,))),
        ("data", "samples", 568),
        ("data", "zero_based", True),
        ("data", "labels", [-1, 2]),
        ("data", "labels", [-1, "rest"]),
        ("data", "labels", ["rest", 2]),
        ("data", "sha256", "0" * 64),
        ("witness", "metric", proof._array(np.zeros(31), (31,))),
    ],
)
def test_a_proof_that_does_not_fit_is_refused(
    packed: dict[str, Path], proven: dict[str, Any], where: str, name: str, value: Any
) -> None:
    document = copied(proven)
    document[where][name] = value
    if value == [-1, "rest"]:  # it fits: all others are one class
        assert {row["verdict"] for row in judge(document, packed["wdbc.scale.xz"])} == {"proven"}
        return
    with pytest.raises((check.BadInputError, folder.DamagedError)):
        judge(document, packed["wdbc.scale.xz"])


# ------------------------------------------------------------------------- damage, and manifests

PARTS = ("indices", "indptr", "values", "labels")
FILES = ("manifest.json", *(f"00000.{part}.npy" for part in PARTS))


@pytest.fixture(scope="module")
def ragged(packed: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder with files of all parts, and its proof."""
    place = tmp_path_factory.mktemp("proof") / "proof.json"
    prove(packed["vehicle.scale"], place)
    return packed["vehicle.scale"], place


def flipped(at: int) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[at if at >= 0 else len(content) + at] ^= 1
        path.write_bytes(content)

    return change


def linked(path: Path) -> None:
    path.rename(path.with_suffix(".other"))
    path.symlink_to(path.with_suffix(".other"))


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES: dict[str, tuple[Callable[[Path], Any], int]] = {
    "cut": (lambda path: os.truncate(path, path.stat().st_size - 1), 3),
    "empty": (lambda path: path.write_bytes(b""), 3),
    "longer": (lambda path: path.write_bytes(path.read_bytes() + b"\0"), 3),
    "first byte": (flipped(0), 3),
    "header": (flipped(25), 3),
    "number": (flipped(136), 3),
    "last number": (flipped(-3), 3),
    "absent": (lambda path: path.unlink(), 4),
    "link": (linked, 4),
    "fifo": (fifo, 4),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_refused_with_the_files_name(
    ragged: tuple[Path, Path], tmp_path: Path, cli: Cli, name: str, damage: str
) -> None:
    path, own = ragged[1], tmp_path / "folder"
    shutil.copytree(ragged[0], own)
    change, code = DAMAGES[damage]
    change(own / name)
    ran = cli("verify", path, own)
    assert (ran.code, ran.out) == (code, ""), ran
    assert ran.err.count("\n") == 1
    assert name in ran.err or (name == "manifest.json" and "for other data" in ran.err)


def resealed(own: Path, document: dict[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """Change the manifest of a folder, with the checksums of its files as they are now; its proof.

    Whoever writes a folder can write the proof, too.
    """
    about = json.loads((own / "manifest.json").read_text())
    for number, shard in enumerate(about["shards"]):
        row = entry = 0
        for leaf in shard["leaves"]:
            for part in leaf["sha256"]:
                numbers = np.load(own / f"{number:05d}.{part}.npy")
                first, count = (entry, leaf["entries"]) if part in ("indices", "values") else (
                    row, leaf["rows"] + (part == "indptr"))  # fmt: skip
                content = numbers[first : first + count].tobytes()
                leaf["sha256"][part] = hashlib.sha256(content).hexdigest()
            row, entry = row + leaf["rows"], entry + leaf["entries"]
    replaced = change(about)
    (own / "manifest.json").write_text(json.dumps(about if replaced is None else replaced))
    made = copied(document)
    made["data"]["sha256"] = hashlib.sha256((own / "manifest.json").read_bytes()).hexdigest()
    return made


def put(part: str, at: int, value: float) -> Callable[[Path], None]:
    def change(own: Path) -> None:
        numbers = np.load(own / f"00000.{part}.npy")
        numbers[at] = value
        np.save(own / f"00000.{part}.npy", numbers)

    return change


NUMBERS = {
    "an index that is p": (put("indices", 17, 18), "indices"),
    "a negative index": (put("indices", 0, -1), "indices"),
    "an index twice": (put("indices", 1, 0), "indices"),
    "an infinite value": (put("values", 5, np.inf), "values"),
    "no number": (put("values", 5, np.nan), "values"),
    "a class too many": (put("labels", 5, 4), "labels"),
    "a negative class": (put("labels", 5, -1), "labels"),
    "other classes": (put("labels", [0, 1, 2, 3, 4, 5], 0), "manifest"),
    "ends that fall": (put("indptr", 3, 1), "indptr"),
    "ends far away": (put("indptr", 3, 2**62), "indptr"),
    "ends that wrap": (put("indptr", [3, 4], [2**63 - 1, -2]), "indptr"),
    "a start that is not 0": (put("indptr", 0, 1), "indptr"),
}


@pytest.mark.parametrize("what", NUMBERS)
def test_numbers_with_their_checksums_are_looked_at(
    ragged: tuple[Path, Path], tmp_path: Path, what: str
) -> None:
    own = tmp_path / "folder"
    shutil.copytree(ragged[0], own)
    document = check.load(str(ragged[1]))
    same = resealed(own, document, lambda about: None)
    assert {row["verdict"] for row in judge(same, own)} == {"proven"}
    change, part = NUMBERS[what]
    change(own)
    with pytest.raises(folder.DamagedError, match=part):
        judge(resealed(own, document, lambda about: None), own)


def entry(*keys: Any, value: Any) -> Callable[[Any], None]:
    def change(about: Any) -> None:
        for key in keys[:-1]:
            about = about[key]
        about[keys[-1]] = value

    return change


SHARD, LEAF = ("shards", 0), ("shards", 0, "leaves", 0)
LIES: dict[str, Callable[[Any], Any]] = {
    "a list": lambda about: [about],
    "format": entry("format", value="other"),
    "version": entry("version", value=2),
    "version true": entry("version", value=True),
    "samples": entry("samples", value=845),
    "features": entry("features", value=19),
    "nonzeros": entry("nonzeros", value=14926),
    "zero based": entry("zero_based", value=True),
    "classes": entry("classes", 0, 1, value=1),
    "a class twice": entry("classes", 1, 0, value=1),
    "a class of words": entry("classes", 1, value=["2", 217]),
    "no shards": entry("shards", value=[]),
    "values": entry(*SHARD, "values", value="f8,O"),
    "values f4": entry(*SHARD, "values", value="f4"),
    "labels": entry(*SHARD, "labels", value="../i1"),
    "row length": entry(*SHARD, "row_length", value=18),
    "negative length": entry(*SHARD, "row_length", value=-18),
    "leaves": entry(*SHARD, "leaves", value={}),
    "rows": entry(*LEAF, "rows", value=0),
    "rows huge": entry(*LEAF, "rows", value=10**400),
    "entries": entry(*LEAF, "entries", value=-1),
    "checksums": entry(*LEAF, "sha256", value={}),
    "a checksum": entry(*LEAF, "sha256", "labels", value="0" * 64),
}


@pytest.mark.parametrize("what", LIES)
def test_a_manifest_that_lies(
    ragged: tuple[Path, Path], tmp_path: Path, cli: Cli, what: str
) -> None:
    own, place = tmp_path / "folder", tmp_path / "proof"
    shutil.copytree(ragged[0], own)
    document = resealed(own, check.load(str(ragged[1])), LIES[what])
    place.write_text(json.dumps(document))
    ran = cli("verify", place, own)
    assert (ran.code, ran.out) == (3, ""), ran
    assert ran.err.count("\n") == 1
    assert str(own) in ran.err
    if what in ("samples", "features"):  # and where the proof lies with it
        document["data"][what] = json.loads((own / "manifest.json").read_text())[what]
        with pytest.raises((check.BadInputError, folder.DamagedError)):
            judge(document, own)


def test_a_proof_of_text_and_one_of_a_folder_are_not_mixed_up(
    ragged: tuple[Path, Path], tmp_path: Path, cli: Cli
) -> None:
    ran = cli("verify", ragged[1], DATA / "vehicle.scale")
    assert ran.code == 3
    assert "for other data" in ran.err
    text = DATA / "vehicle.scale"
    assert cli("fit", text, "--l2", 1, "--certificate", tmp_path / "p", "-q").code == 0
    ran = cli("verify", tmp_path / "p", ragged[0])
    assert ran.code == 3
    assert "for other data" in ran.err
    assert cli("verify", ragged[1], tmp_path).code == 4


# --------------------------------------------------------------------------------------- memory


def test_memory_is_that_of_a_leaf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight times as many samples take no more; one leaf of them all would."""
    monkeypatch.setattr(folder, "ENTRIES", 2000)
    text = check.read_text(str(DATA / "vehicle.scale"))
    (tmp_path / "long").write_bytes(8 * text)
    peaks = []
    for name, source, leaf in (
        ("short", DATA / "vehicle.scale", 14_000),
        ("long in leaves", tmp_path / "long", 14_000),
        ("long in one", tmp_path / "long", 200_000),
    ):
        pack(str(source), str(tmp_path / f"{name}.packed"), Packing(leaf=leaf))
        data = opened(tmp_path / f"{name}.packed")
        document = prove(Path(data.path), tmp_path / "proof")
        judge(document, Path(data.path))
        tracemalloc.start()
        rows = judge(document, Path(data.path))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert {row["verdict"] for row in rows} == {"proven"}
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[2] > 2 * peaks[1]


# ------------------------------------------------------------------------------------ 50 digits


@pytest.mark.parametrize("seed", range(8))
def test_enclosures_contain_the_value_in_50_digits(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mp = pytest.importorskip("mpmath", reason="needs the extra 'verify'")
    from tests.certificate.exact import DIGITS, Exact

    mp.mp.dps = DIGITS
    rng = np.random.default_rng(seed)
    C, n, p, bias = 2 + seed % 2, 14, 3, seed % 4 < 2
    table = rng.normal(size=(n, p)) * 10.0 ** rng.uniform(-2, 2, p) * (rng.random((n, p)) < 0.8)
    y = rng.permutation(np.arange(n) % C)
    place, l2 = tmp_path / "text", 10.0 ** rng.uniform(-4, 0)
    place.write_text("".join(
        f"{c} " + " ".join(f"{j + 1}:{v!r}" for j, v in enumerate(row) if v) + "\n"
        for c, row in zip(y.tolist(), table.tolist(), strict=True)
    ))  # fmt: skip
    own = tmp_path / "folder"
    pack(str(place), str(own), Packing(leaf=9))
    document = prove(own, tmp_path / "proof", l2=l2, bias=bias)
    document["claims"] += [{"kind": "f", "k": 0, "lower": "0x0p0", "upper": "0x1p9"}]
    monkeypatch.setattr(folder, "ENTRIES", 5)
    found = {row["kind"]: row for row in judge(document, own)}
    rows = [[*map(mp.mpf, row), *[mp.mpf(1)] * bias] for row in table.tolist()]
    size = len(rows[0])
    exact = Exact(rows, y.tolist(), C, [mp.mpf(1)] * n, [mp.mpf(float(l2))] * size)
    w = check.array(document["witness"], "w", size, C if C > 2 else 1)
    point = mp.matrix([mp.mpf(float(v)) for v in w.T.ravel()])
    f_star, best = exact.minimise(point)
    values = {
        "f": exact.losses(point)[0],
        "f_star": f_star,
        "D": mp.norm(best),
        "D_inf": max(abs(v) for v in best),
    }
    for kind, value in values.items():
        low, high = found[kind]["enclosed"]
        assert mp.mpf(low) <= value <= mp.mpf(high), (kind, low, value, high)
        assert found[kind]["verdict"] == "proven"
    found_f, g, g_error, *_ = folder.Folder(document, str(own)).evaluate(2 * w)
    f, gradient, _ = exact.losses(2 * point)
    assert mp.mpf(found_f[0]) <= f <= mp.mpf(found_f[1])
    rounding = 2.0**-53 * abs(table).mean(axis=0)[:, None] * 0.01  # of products with residuals
    assert (g_error[:p] > rounding).all()
    for at, value in enumerate(gradient):
        own_g, error = (v.T.ravel()[at] for v in (g, g_error))
        assert abs(mp.mpf(float(own_g)) - value) <= mp.mpf(float(error))
