"""The table of problems, the look-up, and files that are not what their name says."""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import logging
import lzma
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from dadapt_cli import datasets
from dadapt_cli.datasets import ALL, PROBLEMS, find, inspect, named, verify
from dadapt_cli.errors import DataError, UsageError
from dadapt_cli.libsvm import load

from ..conftest import DATA

REPO = DATA.parent
IRIS = (DATA / "iris.scale").read_bytes()


@pytest.fixture(autouse=True)
def _no_other_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DADAPT_DATA", raising=False)


def test_the_table_is_that_of_libsvm() -> None:
    assert len(PROBLEMS) == 12
    tests = sorted(row.name for row in ALL if row.part == "test")
    assert tests == sorted(row.test for row in ALL if row.test)
    assert {row.name: row.shape for row in PROBLEMS if not row.sha256} == {
        "Sensorless": (58_509, 48, 11),
        "aloi.scale": (108_000, 128, 1000),
        "smallNORB": (24_300, 18_432, 5),
    }
    assert all(row.source and row.licence and row.part in ("all", "train", "test") for row in ALL)
    assert all(len(bytes.fromhex(sha256)) == 32 for row in ALL for sha256 in row.sha256)
    assert named("vowel.scale.t").source == named("vowel").source


def test_the_table_is_what_the_copies_of_libsvms_files_are(shared: Path) -> None:
    with (shared / "data" / "PROVENANCE.tsv").open() as file:
        known = {row["name"]: row for row in csv.DictReader(file, delimiter="\t")}
    for row in ALL:
        if row.name not in known:
            assert not row.settled
            continue
        listed = known[row.name]
        assert listed["sha256_uncompressed"] in row.sha256
        assert row.shape == tuple(int(listed[c]) for c in ("rows", "max_feature_index", "classes"))
        assert row.bytes == (int(listed["bytes"]) if row.complete else None)
        path = shared / "data" / listed["file"]
        if path.stat().st_size < 200_000:
            inspect(row, path)
            loaded = load(path)
            assert (loaded.X.nnz, loaded.bytes) == (row.nonzeros, row.bytes or loaded.bytes)


def test_the_wheel_takes_all_of_data_but_the_script() -> None:
    build = tomllib.loads((REPO / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    taken = build["targets"]["wheel"]["force-include"]
    files = {f"data/{p.name}" for p in DATA.iterdir() if p.is_file() and p.name[0] != "."}
    assert set(taken) == files - {"data/make.py"}
    assert all(target == f"dadapt_cli/{source}" for source, target in taken.items())


def test_lookup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, cache = tmp_path / "a", tmp_path / "b", tmp_path / "c" / "datasets"
    for folder in (first, second, cache):
        folder.mkdir(parents=True)
    (second / "iris.scale").write_bytes(IRIS)
    (first / "letter.scale.xz").write_bytes(lzma.compress(IRIS))
    (second / "usps.gz").write_bytes(gzip.compress(IRIS))
    (cache / "aloi.scale.bz2").write_bytes(bz2.compress(IRIS))
    (cache / "wine.scale").write_bytes(IRIS)
    monkeypatch.setenv("DADAPT_DATA", f"{first}:{second}")
    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path / "c"))
    assert find(named("iris")) == second / "iris.scale"
    assert find(named("Letter")) == first / "letter.scale.xz"
    assert find(named("USPS")) == second / "usps.gz"
    assert find(named("wine")) == DATA / "wine.scale"  # the package's before the cache's
    assert find(named("ALOI")) == cache / "aloi.scale.bz2"
    assert find(named("sensorless")) is None
    assert find(named("letter.t")) is None
    with pytest.raises(UsageError, match="did you mean 'vowel'"):
        named("vowels")
    with pytest.raises(UsageError, match="there are sensorless, aloi"):
        named("qqq")
    (tmp_path / "Sensorless.sub2200").write_bytes(IRIS)
    monkeypatch.setenv("DADAPT_DATA", str(tmp_path))
    assert find(named("Sensorless")) is None


def test_a_hash_that_is_known_decides(tmp_path: Path) -> None:
    iris, path = named("iris"), tmp_path / "iris.scale.xz"
    path.write_bytes(lzma.compress(IRIS))
    inspect(iris, path)
    lines = IRIS.splitlines(keepends=True)
    for text, reason in (
        (b"".join(lines[:-1]), r"subset of iris\.scale: 149 of 150 rows; move"),
        (IRIS.replace(b"0.25", b"0.26", 1), r"the shape of iris\.scale, but not its text"),
        (IRIS + lines[0], r"not iris\.scale: 151 rows, 4 features and 3 classes, not 150, 4 and 3"),
        (IRIS.replace(b"4:", b"9:", 1), r"not iris\.scale: 150 rows, 9 features"),
        (b"<!DOCTYPE html>\n" + IRIS, "HTML"),
        (IRIS + b"1 1:x\n", ":151: "),
    ):
        path.write_bytes(lzma.compress(text))
        with pytest.raises(DataError, match=reason):
            inspect(iris, path)
        if b"x" not in text and b"<" not in text:
            with pytest.raises(DataError, match=reason):
                datasets.verify_loaded(iris, load(path))


def test_the_letters_of_data_are_not_libsvms() -> None:
    with pytest.raises(DataError, match="20,000 rows"):
        inspect(named("letter"), DATA / "letter-uci.scale.xz")


def test_without_a_hash_the_shape_decides_and_the_first_is_pinned(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unknown = replace(named("iris"), sha256=(), bytes=None)
    path = tmp_path / "iris.scale"
    path.write_bytes(IRIS[:-20])
    with pytest.raises(DataError):
        inspect(unknown, path)
    assert datasets.pin(unknown) is None
    with caplog.at_level(logging.WARNING, "dadapt"):
        inspect(unknown, DATA / "iris.scale")
        inspect(unknown, DATA / "iris.scale")
    assert len(caplog.messages) == 1
    assert "pinned as c03bd66fd6c4" in caplog.text
    assert datasets.pin(unknown) == named("iris").sha256[0]
    path.write_bytes(IRIS.replace(b"0.25", b"0.26", 1))
    with pytest.raises(DataError, match=r"not that of the iris\.scale used before.*remove /") as e:
        inspect(unknown, path)
    Path(str(e.value).partition("remove ")[2].partition(" if ")[0]).unlink()
    inspect(unknown, path)  # the remedy works
    with pytest.raises(DataError, match="used before"):
        inspect(unknown, DATA / "iris.scale")


@pytest.mark.parametrize("text", ["", "{ half", "[]", '{"sha256": 1}', "null", "\0\xff"])
def test_a_damaged_pin_is_made_again(text: str, caplog: pytest.LogCaptureFixture) -> None:
    unknown = replace(named("iris"), sha256=())
    pin = datasets.downloads() / "iris.scale.json"
    pin.parent.mkdir(parents=True)
    pin.write_text(text)
    inspect(unknown, DATA / "iris.scale")
    assert "pinned as" in caplog.text
    assert json.loads(pin.read_text())["sha256"] == named("iris").sha256[0]


def test_a_pin_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path / "file"))
    inspect(replace(named("iris"), sha256=()), DATA / "iris.scale")
    assert "not pinned" in caplog.text


def test_good_copies_where_libsvms_own_file_is_not_known(caplog: pytest.LogCaptureFixture) -> None:
    test = named("vowel.t")
    verify(test, "path", test.sha256[0], (1, 1, 1))
    assert datasets.pin(test) is None
    verify(test, "path", "a" * 64, test.shape)
    assert datasets.pin(test) == "a" * 64
    verify(test, "path", test.sha256[0], test.shape)
    with pytest.raises(DataError, match="used before"):
        verify(test, "path", "b" * 64, test.shape)
    assert len(caplog.messages) == 1
