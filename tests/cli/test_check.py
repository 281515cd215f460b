"""``dadapt check``."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from dadapt_cli.libsvm import load

from ..conftest import DATA, Ran

Cli = Callable[..., Ran]


def test_json_describes_the_file(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"\xef\xbb\xbf1 2:3 4:1\n-1 2:3 5:-2.5\n1 2:3 4:1\n1 2:3\n")
    ran = cli("check", "--json", path)
    assert (ran.code, ran.err) == (0, "")
    described = json.loads(ran.out)
    digest = described.pop("sha256")
    assert len(digest) == 64
    assert described == {
        "path": str(path),
        "samples": 4,
        "features": 5,
        "nonzeros": 7,
        "density": 7 / 20,
        "labels": {"-1": 1, "1": 3},
        "index_base": 1,
        "min_index": 2,
        "max_index": 5,
        "value_min": -2.5,
        "value_max": 3.0,
        "empty_columns": 2,
        "constant_columns": 1,
        "empty_rows": 0,
        "duplicate_rows": 1,
        "duplicate_share": 0.25,
        "memory_bytes": 7 * 12 + 5 * 4 + 4 * 8,
        "bytes": path.stat().st_size,
        "encoding": "utf-8-sig",
        "compression": None,
        "notes": [],
    }


def test_a_matrix_without_entries(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"1\n0.5 1:0\n")
    described = json.loads(cli("check", "--json", path).out)
    assert described["labels"] == {"0.5": 1, "1": 1}
    assert described["nonzeros"] == 0
    assert described["empty_rows"] == 2
    assert described["min_index"] is described["value_max"] is None
    assert "none" in cli("check", path).out


def test_the_table_names_every_number(cli: Cli) -> None:
    ran = cli("check", DATA / "wine.scale", DATA / "digits.scale.xz")
    assert (ran.code, ran.err) == (0, "")
    for words in ("samples          178\n", "1 (59), 2 (71), 3 (48)", "text", "xz\n", "density"):
        assert words in ran.out
    assert (
        len(cli("check", "--json", DATA / "wine.scale", DATA / "iris.scale").out.splitlines()) == 2
    )


def test_the_first_bad_file_ends_it_unless_told_to_go_on(cli: Cli, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.write_bytes(b"1 1:x\n")
    worse = tmp_path / "worse"
    worse.write_bytes(b"")
    ran = cli("check", "--json", bad, DATA / "iris.scale", worse)
    assert (ran.code, ran.out) == (3, "")
    assert len(ran.err.splitlines()) == 1
    ran = cli("check", "--json", "--keep-going", bad, DATA / "iris.scale", worse)
    assert ran.code == 3
    assert json.loads(ran.out)["samples"] == 150
    assert [line.split(": ")[1] for line in ran.err.splitlines()] == [f"{bad}:1", f"{worse}:1"]


def test_fix_writes_a_clean_copy(cli: Cli, tmp_path: Path) -> None:
    bad, good = tmp_path / "bad", tmp_path / "good"
    bad.write_bytes(b"\xef\xbb\xbf+1 3:1 1: .50 2:0 # note\r\n\r\n-1 qid:3 2:1e2")
    assert cli("check", bad).code == 3
    ran = cli("check", "--fix", good, bad)
    assert ran.code == 0
    assert "qid ignored" in ran.err
    assert good.read_bytes() == b"1 1:0.5 3:1\n-1 2:100\n"
    assert not stat.S_IMODE(good.stat().st_mode) & 0o111
    assert cli("check", "--strict", good).code == 0


@pytest.mark.parametrize("zero_based", [False, True])
def test_fix_keeps_every_value_of_a_real_file(cli: Cli, tmp_path: Path, zero_based: bool) -> None:
    good = tmp_path / "good"
    options = ["--zero-based"] if zero_based else []
    assert cli("check", *options, "--fix", good, DATA / "vehicle.scale").code == 0
    before, after = (load(p, zero_based=zero_based) for p in (DATA / "vehicle.scale", good))
    assert (before.X != after.X).nnz == 0
    assert before.X.data.tobytes() == after.X.data.tobytes()
    assert before.y.tobytes() == after.y.tobytes()


def test_fix_refuses_or_sums_duplicates(cli: Cli, tmp_path: Path) -> None:
    bad, good = tmp_path / "bad", tmp_path / "good"
    bad.write_bytes(b"1 1:1\n2 3:1 1:2 3:0.5 1:4\n")
    ran = cli("check", "--fix", good, bad)
    assert ran.code == 3
    assert f"{bad}:2: index 3 appears twice, again in '3:0.5'" in ran.err
    assert "--duplicates sum" in ran.err
    assert not good.exists()
    assert cli("check", "--fix", good, "--duplicates", "sum", bad).code == 0
    assert good.read_bytes() == b"1 1:1\n2 1:6 3:1.5\n"
    bad.write_bytes(b"1 1:1\n1 1:1e308 1:1e308\n")
    ran = cli("check", "--fix", good, "--duplicates", "sum", bad)
    assert ran.code == 3
    assert f"{bad}:2: values of index 1 overflow when summed" in ran.err


def test_usage(cli: Cli, tmp_path: Path) -> None:
    path = DATA / "iris.scale"
    for argv, words in (
        ([tmp_path / "none"], "no such file"),
        (["--fix", tmp_path / "x", path, path], "--fix takes one file"),
        (["--fix", path, path], "is the data"),
        (["--duplicates", "sum", path], "--fix"),
        (["--duplicates", "drop", path], "refuse or sum"),
        (["--max-ratio", "nan", path], "--max-ratio"),
        (["--max-ratio", "0.5", path], "--max-ratio"),
        (["--max-bytes", "0", path], "--max-bytes"),
        (["--features", "0", path], "--features"),
        ([], "DATA"),
    ):
        ran = cli("check", *argv)
        assert ran.code == 2, ran.err
        assert words in ran.err
        assert len(ran.err.splitlines()) == 1
    assert cli("check", tmp_path).code == 4
