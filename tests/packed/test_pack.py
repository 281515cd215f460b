"""Text to a packed folder: the same numbers, the same bytes after any kill."""

from __future__ import annotations

import bz2
import contextlib
import json
import lzma
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dadapt_cli import fit, packed
from dadapt_cli.errors import DadaptError, DataError, InputOutputError, UsageError
from dadapt_cli.libsvm import load, pieces, write_libsvm
from dadapt_cli.packed import files, format, reading, writer
from dadapt_cli.packed.check import check
from dadapt_cli.packed.folder import opened
from dadapt_cli.packed.pack import Packing, pack
from dadapt_cli.system import lock

from ..conftest import DATA, Ran
from ..conftest import read as read_data

Cli = Callable[..., Ran]

CASES = int(os.environ.get("DADAPT_CASES", "100"))
"""Damages to a folder; 1000 were made once, see CHANGELOG."""

KILLS = int(os.environ.get("DADAPT_KILLS", "4"))

TEXT = "\n".join(
    f"{row % 3 - 1} " + " ".join(f"{j}:{(row * j) % 7 - 2 if row > 40 else 1}" for j in
                                 range(1 + row % 5, 12, 1 + row % 3))
    for row in range(120)
) + "\n"  # fmt: skip
"""Ones at first and other values later, explicit zeros, rows of several lengths."""


def bits(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def same_as(folder: Path, text: Path, dtype: Any = np.float64, **how: Any) -> None:
    """The folder holds what the reader reads, entry by entry."""
    data, loaded = opened(folder), load(text, dtype=dtype, **how)
    assert data.shape == loaded.X.shape
    assert data.nnz == loaded.X.nnz
    assert data.about["text"]["sha256"] == loaded.sha256
    assert data.notes == loaded.notes
    names = np.array(list(data.classes))
    for leaf in data.leaves:
        parts = reading.read(data, leaf)
        reading.verify(data, leaf, parts)
        ones = np.ones(leaf.entries, dtype)
        rows = reading.rows_of(data, leaf, parts, ones, np.dtype(dtype))
        span = slice(leaf.start, leaf.start + leaf.rows)
        expected = loaded.X[span]
        assert np.array_equal(rows.X.indices, expected.indices)
        assert np.array_equal(rows.X.indptr, expected.indptr)
        assert np.array_equal(rows.X.data, expected.data)
        assert np.array_equal(names[rows.numbers], loaded.y[span])
    check(data)


@pytest.mark.parametrize("leaf", [1, 7, 50, 10**6])
@pytest.mark.parametrize("piece", [16, 37, 2**18])
def test_a_folder_holds_what_the_reader_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaf: int, piece: int
) -> None:
    monkeypatch.setattr(pieces, "PIECE", piece)  # rows go on in the next piece
    text = tmp_path / "text"
    text.write_text("# a comment longer than a piece\n" + TEXT)
    pack(str(text), str(tmp_path / "folder"), Packing(leaf=leaf))
    same_as(tmp_path / "folder", text)


@pytest.mark.parametrize("name", ["iris.scale", "wdbc.scale.xz", "dna.scale.xz", "vowel.scale"])
def test_real_files(tmp_path: Path, name: str) -> None:
    pack(str(DATA / name), str(tmp_path / "folder"), Packing(leaf=900))
    same_as(tmp_path / "folder", DATA / name)


def test_options_of_reading(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("1 0:1e-60 5: 2\n-1 3:1 2:7\n1\n-1 1:1")
    pack(
        str(text), str(tmp_path / "folder"),
        Packing(dtype="float32", leaf=2, features=9, zero_based=True, lenient=True),
    )  # fmt: skip
    how = {"n_features": 9, "zero_based": True, "lenient": True}
    same_as(tmp_path / "folder", text, np.float32, **how)
    about = opened(tmp_path / "folder").about
    assert (about["empty_rows"], about["longest_row"], about["largest_value"]) == (1, 2, 7.0)


def test_a_leaf_is_closed_at_the_first_row_end_from_its_size_on(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("1 1:1 2:1\n" * 3 + "-1 1:1\n" * 2 + "1\n" * 9)
    data = pack(str(text), str(tmp_path / "folder"), Packing(leaf=3))
    assert [(leaf.rows, leaf.entries) for leaf in data.leaves] == [(2, 4), (2, 3), (3, 1)] + [
        (3, 0)
    ] * 2 + [(1, 0)]
    assert [leaf.kind.row_length for leaf in data.leaves] == [2, None, None, 0, 0, 0]
    assert {leaf.kind.values for leaf in data.leaves} == {"ones"}
    np.load(tmp_path / "folder" / "00000.indices.npy", allow_pickle=False)


def test_class_numbers_grow_with_the_classes(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("".join(f"{1000 - row} 1:1\n" for row in range(300)))
    data = pack(str(text), str(tmp_path / "folder"), Packing(leaf=20))
    assert [leaf.kind.labels for leaf in data.leaves] == ["i1"] * 6 + ["i2"] * 9
    same_as(tmp_path / "folder", text)


def test_the_same_bytes_from_plain_and_compressed_text_and_standard_input(
    tmp_path: Path,
) -> None:
    plain = tmp_path / "text"
    plain.write_text(TEXT)
    (tmp_path / "text.xz").write_bytes(lzma.compress(TEXT.encode()))
    (tmp_path / "text.bz2").write_bytes(bz2.compress(TEXT.encode()))
    for name in ("text", "text.xz", "text.bz2"):
        pack(str(tmp_path / name), str(tmp_path / f"{name}.packed"), Packing(leaf=100))
    command = [sys.executable, "-m", "dadapt_cli", "pack", "-", str(tmp_path / "stdin.packed")]
    subprocess.run([*command, "--leaf", "100"], input=TEXT.encode(), check=True)
    first = bits(tmp_path / "text.packed")
    assert set(first) > {"manifest.json", "00000.indices.npy", "00000.labels.npy"}
    for name in ("text.xz", "text.bz2", "stdin"):
        assert bits(tmp_path / f"{name}.packed") == first


@pytest.mark.parametrize("kind", ["plain", "xz"])
def test_a_pack_that_stops_anywhere_goes_on_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(pieces, "PIECE", 64)
    text = tmp_path / "text"
    content = TEXT.encode() + b"2 qid:3 1:1"
    text.write_bytes(content if kind == "plain" else lzma.compress(content))
    how = Packing(leaf=40)
    pack(str(text), str(tmp_path / "whole"), how)
    whole, write, seal = bits(tmp_path / "whole"), files.Files.write, writer.sealed
    parsed: list[int] = []
    for stop in range(1, 14):
        folder = tmp_path / f"stopped{stop}"
        left = stop

        def once(*arguments: Any, own: Any, before: bool) -> Any:
            nonlocal left
            left -= 1
            if before and left == 0:
                raise KeyboardInterrupt
            made = own(*arguments)
            if left == 0:
                raise KeyboardInterrupt
            return made

        before = bool(stop % 2)
        monkeypatch.setattr(
            files.Files, "write", lambda *a, b=before: once(*a, own=write, before=b)
        )
        monkeypatch.setattr(writer, "sealed", lambda *a: once(*a, own=seal, before=False))
        with pytest.raises(KeyboardInterrupt):
            pack(str(text), str(folder), how)
        monkeypatch.setattr(files.Files, "write", write)
        monkeypatch.setattr(writer, "sealed", seal)
        with pytest.raises(DataError, match="--resume finishes it"):
            opened(folder)
        with pytest.raises(InputOutputError, match="--resume goes on"):
            pack(str(text), str(folder), how)
        take = writer.Packer.add
        seen = 0

        def counted(self: Any, rows: Any, *more: Any, own: Any = take) -> None:
            nonlocal seen
            seen += len(rows.counts)
            own(self, rows, *more)

        monkeypatch.setattr(writer.Packer, "add", counted)
        pack(str(text), str(folder), how, resume=True)
        monkeypatch.setattr(writer.Packer, "add", take)
        parsed.append(seen)
        assert bits(folder) == whole, stop
    assert parsed == sorted(parsed, reverse=True)  # what is kept is not parsed again
    assert parsed[-1] < parsed[0]


def test_a_text_that_has_changed_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    text, folder = tmp_path / "text", tmp_path / "folder"
    text.write_text(TEXT)
    monkeypatch.setattr(writer.Packer, "finish", lambda *a: (_ for _ in ()).throw(OSError))
    with pytest.raises(OSError):  # noqa: PT011
        pack(str(text), str(folder), Packing(leaf=50))
    monkeypatch.undo()
    for other in (TEXT.replace("1:1", "1:2", 1), TEXT[: len(TEXT) // 2]):
        text.write_text(other)
        with pytest.raises(DataError, match="text has changed"):
            pack(str(text), str(folder), Packing(leaf=50), resume=True)
    text.write_text(TEXT)
    with pytest.raises(UsageError, match="--leaf"):
        pack(str(text), str(folder), Packing(leaf=51), resume=True)
    pack(str(text), str(folder), Packing(leaf=50), resume=True)
    same_as(folder, text)


@pytest.mark.parametrize("damage", ["journal", "shard", "cut"])
def test_what_a_crash_of_the_machine_has_lost_is_packed_again(
    tmp_path: Path, monkeypatch: Any, damage: str
) -> None:
    text, folder = tmp_path / "text", tmp_path / "folder"
    text.write_text(TEXT)
    pack(str(text), str(tmp_path / "whole"), Packing(leaf=50))
    monkeypatch.setattr(writer.Packer, "finish", lambda *a: (_ for _ in ()).throw(OSError))
    with pytest.raises(OSError):  # noqa: PT011
        pack(str(text), str(folder), Packing(leaf=50))
    monkeypatch.undo()
    target = folder / ("journal.jsonl" if damage == "journal" else "00000.indices.npy")
    content = bytearray(target.read_bytes())
    if damage == "cut":
        del content[len(content) // 2 :]
    else:
        content[len(content) // 2] ^= 1
    target.write_bytes(content)
    pack(str(text), str(folder), Packing(leaf=50), resume=True)
    assert bits(folder) == bits(tmp_path / "whole")


def test_kill_9_at_random_moments(tmp_path: Path) -> None:
    text, folder = tmp_path / "text", tmp_path / "folder"
    X, y = read_data("dna.scale.xz")
    with text.open("wb") as out:
        write_libsvm(tmp_path / "one", X, y)
        for _ in range(12):
            out.write((tmp_path / "one").read_bytes())
    command = [sys.executable, "-m", "dadapt_cli", "pack", str(text)]
    options = ["--leaf", "20000", "-q"]
    subprocess.run([*command, str(tmp_path / "whole"), *options], check=True)
    rng, journal = random.Random(5), folder / "journal.jsonl"

    def kept() -> int:
        with contextlib.suppress(FileNotFoundError):
            return journal.read_bytes().count(b"\n")
        return 0

    for _ in range(KILLS):
        wanted = kept() + rng.randint(0, 12)  # of 55 leaves
        process = subprocess.Popen(
            [*command, str(folder), *options, *(["--resume"] if folder.exists() and
                                                any(folder.glob("[j0]*")) else ["--restart"])]
        )  # fmt: skip
        while process.poll() is None and kept() < wanted:
            time.sleep(0.001)
        time.sleep(rng.uniform(0.0, 0.01))
        process.kill()
        assert process.wait() in (0, -signal.SIGKILL)
        if (folder / "manifest.json").exists():
            if (folder / "journal.jsonl").exists():  # killed between the last two steps
                subprocess.run([*command, str(folder), *options, "--resume"], check=True)
            left = bits(folder)
            left.pop(".manifest.json.lock", None)  # whose holder is dead: it holds nobody up
            assert left == bits(tmp_path / "whole")
            shutil.rmtree(folder)
    if not (folder / "manifest.json").exists():
        begun = any(folder.glob("[j0]*"))
        subprocess.run([*command, str(folder), *options, *(["--resume"] * begun)], check=True)
    assert bits(folder) == bits(tmp_path / "whole")


def test_a_pack_killed_in_its_last_steps(tmp_path: Path) -> None:
    text, folder = tmp_path / "text", tmp_path / "folder"
    text.write_text(TEXT)
    pack(str(text), str(folder), Packing(leaf=50))
    whole = bits(folder)
    (folder / "journal.jsonl").write_text("as the last step left it")
    (folder / ".manifest.json.ab12.part").write_text("half")
    pack(str(text), str(folder), Packing(leaf=50), resume=True)
    assert bits(folder) == whole
    with pytest.raises(InputOutputError, match="packed already"):
        pack(str(text), str(folder), Packing(leaf=50), resume=True)


def test_one_pack_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "text").write_text(TEXT)
    (tmp_path / "folder").mkdir()
    with (
        lock.held(str(tmp_path / "folder" / "manifest.json")),
        pytest.raises(InputOutputError, match="in use by process"),
    ):
        pack(str(tmp_path / "text"), str(tmp_path / "folder"), Packing())


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    (tmp_path / "text").write_text(TEXT * 40)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    command = [sys.executable, "-m", "dadapt_cli", "pack", str(tmp_path / "text")]
    command += [str(tmp_path / "folder"), "--leaf", "200"]
    ran = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True, check=False)
    assert ran.returncode == 4, ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert "--resume" in ran.stderr
    subprocess.run([*command, "--resume"], check=True, capture_output=True)
    same_as(tmp_path / "folder", tmp_path / "text")


def test_folders_that_are_not_the_packs_own(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "text").write_text(TEXT)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("x")
    for options in ((), ("--restart",)):
        ran = cli("pack", tmp_path / "text", other, *options)
        assert ran.code == 4
        assert "thesis.tex" in ran.err
    assert (other / "thesis.tex").read_text() == "x"
    assert cli("pack", tmp_path / "text", tmp_path / "text").code == 4
    assert cli("pack", tmp_path / "text", tmp_path / "no" / "folder").code == 4
    assert cli("pack", tmp_path / "text", tmp_path / "new", "--resume").code == 2
    assert cli("pack", tmp_path / "text", tmp_path / "new", "--resume", "--restart").code == 2
    assert cli("pack", tmp_path / "text", tmp_path / "new", "--leaf", 0).code == 2


def test_links_are_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "text").write_text(TEXT)
    (tmp_path / "precious").write_text("x")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "00000.indices.npy").symlink_to(tmp_path / "precious")
    with pytest.raises(InputOutputError):
        pack(str(tmp_path / "text"), str(folder), Packing())
    (folder / "journal.jsonl").write_text("")
    with pytest.raises(InputOutputError, match="link"):
        pack(str(tmp_path / "text"), str(folder), Packing(), resume=True)
    assert (tmp_path / "precious").read_text() == "x"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 1:1\n0.5 1:1\n", "label 0.5, no integer"),
        ("1 1:1\n-1 1:nan\n", "text:2"),
        ("", "is empty"),
        ("# nothing\n", "no data rows"),
    ],
)
def test_bad_text(tmp_path: Path, cli: Cli, text: str, words: str) -> None:
    (tmp_path / "text").write_text(text)
    ran = cli("pack", tmp_path / "text", tmp_path / "folder")
    assert ran.code == 3
    assert words in ran.err
    assert cli("check", tmp_path / "folder").code == 3


def test_check_describes_a_folder(tmp_path: Path, cli: Cli) -> None:
    assert cli("pack", "iris", tmp_path / "folder", "--leaf", 100).code == 0
    ran = cli("check", tmp_path / "folder", "--json")
    found, text = json.loads(ran.out), json.loads(cli("check", "iris", "--json").out)
    for name in ("samples", "features", "nonzeros", "labels", "min_index", "max_index",
                 "value_min", "value_max", "empty_columns", "empty_rows"):  # fmt: skip
        assert found[name] == text[name], name
    assert "leaves" in cli("check", tmp_path / "folder").out


# What can happen to a folder.


def damages(rng: random.Random, folder: Path) -> str:
    """Do something to a packed folder; say what."""
    files = sorted(folder.glob("*.npy"))
    place = rng.choice([*files, folder / "manifest.json"])
    content = bytearray(place.read_bytes())
    what = rng.choice(["cut", "flip", "lengthen", "swap", "link", "remove", "fifo", "folder",
                       "version", "lie", "zeros", "journal"])  # fmt: skip
    if what == "cut":
        place.write_bytes(content[: rng.randrange(len(content))])
    elif what == "flip":
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        place.write_bytes(content)
    elif what == "lengthen":
        place.write_bytes(bytes(content) + rng.randbytes(rng.choice([1, 4, 8, 4096])))
    elif what == "swap":
        one, other = rng.sample(files, 2)
        one.rename(folder / "x")
        other.rename(one)
        (folder / "x").rename(other)
    elif what in ("link", "remove", "fifo", "folder"):
        place.rename(folder.parent / "away")
        if what == "link":
            place.symlink_to(folder.parent / "away")
        elif what == "fifo":
            os.mkfifo(place)
        elif what == "folder":
            place.mkdir()
    elif what == "zeros":
        at = rng.randrange(len(content))
        size = min(len(content) - at, rng.choice([8, 512]))
        content[at : at + size] = bytes(byte ^ 255 for byte in content[at : at + size])
        place.write_bytes(content)
    elif what == "journal":
        (folder / "manifest.json").rename(folder / "journal.jsonl")
    else:
        _lie(rng, folder / "manifest.json", what)
    return f"{what} of {place.name}"


def _lie(rng: random.Random, place: Path, what: str) -> None:
    """A manifest of another version, or one that is sealed and says what is not so."""
    about = format.unsealed(place.read_bytes())
    if what == "version":
        about["version"] = rng.choice([0, 2, "1", 1.0, None])
    else:
        odd: list[Any] = [0, -1, 1, 2**31, 2**70, 0.5, None, "x", [], True, 7]
        name = rng.choice(["samples", "features", "nonzeros", "classes", "shards", "text",
                           "longest_row", "rows", "entries", "row_length", "values"])  # fmt: skip
        shard = rng.choice(about["shards"])
        owner = (
            rng.choice(shard["leaves"]) if name in ("rows", "entries")
            else shard if name in ("row_length", "values") else about
        )  # fmt: skip
        before = json.dumps(owner[name])
        while json.dumps(owner[name]) == before or (
            name == "features" and owner[name] == 2**31 - 1
        ):
            owner[name] = rng.choice(odd)
    place.write_bytes(format.sealed(about))


def run(folder: Path) -> float:
    return float(fit(packed(folder), iterations=2).trace[-1]["f_last"])


def refused(folder: Path, also: Callable[[], Any] | None = None) -> DadaptError | None:
    try:
        check(opened(folder)) if also is None else also()
    except DadaptError as error:
        return error
    return None


def test_no_damage_gives_a_wrong_number_or_a_signal(tmp_path: Path) -> None:
    """In this process: a signal would end the tests."""
    text = tmp_path / "text"
    text.write_text(TEXT)
    whole = tmp_path / "whole"
    pack(str(text), str(whole), Packing(leaf=60))
    right = run(whole)
    kept, rng = bits(whole), random.Random(int(os.environ.get("DADAPT_SEED", "0")))
    for case in range(CASES):
        room = tmp_path / f"case{case}"
        folder = room / "folder"
        folder.mkdir(parents=True)
        for name, content in kept.items():
            (folder / name).write_bytes(content)
        what = damages(rng, folder)
        by_fit = case % 4 == 0  # a number that a fit gives must be the right one
        found = refused(folder, (lambda at=folder: run(at)) if by_fit else None)
        if by_fit and found is None:
            found = refused(folder)
            assert run(folder) == right, (case, what)
        assert found is not None, f"case {case}: {what} was not found"
        assert found.exit_code in (3, 4), (case, what, found)
        assert str(folder) in str(found), (case, what, found)
        assert "\n" not in str(found)
