"""The reader on real files, and what it promises about types and memory."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dadapt_cli
from dadapt_cli.cli import _reading as reading
from dadapt_cli.errors import DataError, InputOutputError
from dadapt_cli.libsvm import load, read_libsvm, streams, write_libsvm


def test_every_real_file_has_its_published_size(shared: Path) -> None:
    with (shared / "data" / "PROVENANCE.tsv").open() as table:
        files = list(csv.DictReader(table, delimiter="\t"))
    assert len(files) > 25
    for row in files:
        data = load(shared / "data" / row["file"])
        zeros = 2 if row["name"] == "usps" else 0  # written out as -0.000000
        assert data.X.shape == (int(row["rows"]), int(row["max_feature_index"])), row["name"]
        assert data.X.nnz == int(row["nnz"]) - zeros, row["name"]
        assert data.sha256 == row["sha256_uncompressed"]
        assert data.bytes == int(row["bytes"])
        assert set(data.y) == set(map(float, row["labels"].split(",")))


def test_every_value_of_the_real_files_equals_float(shared: Path) -> None:
    for name in ("vowel.scale", "usps.t.xz", "Sensorless.sub2200.xz", "heart_scale", "a1a"):
        path = shared / "data" / name
        text = b"".join(streams.Source(str(path)).blocks())
        tokens = [p.split(b":") for line in text.splitlines() for p in line.split()[1:]]
        expected = np.array([v for v in (float(value) for _, value in tokens) if v])
        assert load(path).X.data.tobytes() == expected.tobytes()


def test_types(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"1 1:0.1\n-1 3:2\n")
    for dtype in (np.float64, np.float32):
        X, y = read_libsvm(path, dtype=dtype)
        assert X.dtype == dtype
        assert X.data[0] == dtype(0.1)
        assert X.indices.dtype == X.indptr.dtype == np.int32
        assert y.dtype == np.float64
    assert load(path, digest=False).sha256 == ""
    with pytest.raises(ValueError, match="float64 or float32"):
        load(path, dtype=np.int32)


def test_values_beyond_single_precision(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"1 1:1\n1 1:1e39\n")
    assert load(path).X.data[1] == 1e39
    with pytest.raises(DataError, match=r":2: value in '1:1e39' overflows float32"):
        load(path, dtype=np.float32)
    largest = np.finfo(np.float32).max
    path.write_bytes(b"1 1:%r 2:3.4028235677973362e38\n" % float(largest))
    assert load(path, dtype=np.float32, n_features=2).X.data[0] == largest
    path.write_bytes(b"1 1:1e-50\n")
    assert load(path, dtype=np.float32).X.nnz == 0


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputOutputError, match=str(path)):
            load(path)


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, dadapt_cli.cli, dadapt_cli.libsvm, dadapt_cli.libsvm.describe; "
        "print([m for m in ('sklearn', 'scipy.optimize', 'scipy.linalg') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "sklearn" not in ran.stdout
    assert "scipy.optimize" not in ran.stdout
    code = "import sys, dadapt_cli.cli; print('numpy' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_the_defaults_of_the_options_are_the_reader_s() -> None:
    assert (reading.MAX_BYTES, reading.MAX_RATIO) == (streams.MAX_BYTES, streams.MAX_RATIO)


def test_writer_refuses_what_text_cannot_hold(tmp_path: Path) -> None:
    path = tmp_path / "data"
    for X, y in (
        ([[np.nan]], [1]),
        ([[np.inf]], [1]),
        ([[1.0]], [np.nan]),
        ([[1.0]], [2.0**54]),
        (np.zeros((0, 1)), []),
    ):
        with pytest.raises(DataError):
            write_libsvm(path, np.array(X), y)
    with pytest.raises(ValueError, match="2 rows"):
        write_libsvm(path, np.ones((2, 1)), [1])
    assert list(tmp_path.iterdir()) == []


def test_the_library_names_are_exported() -> None:
    assert dadapt_cli.write_libsvm is write_libsvm
    assert dadapt_cli.read_libsvm is read_libsvm


def test_more_nonzeros_than_int32_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"1 1:1 2:2\n-1 3:3\n1 2:4 3:5\n")
    expected = load(path).X
    for limit in (1, 2, 4):
        monkeypatch.setattr("dadapt_cli.libsvm.assemble._INT32_MAX", limit)
        monkeypatch.setattr("dadapt_cli.libsvm.pieces.PIECE", 10)  # switch on the way
        X = load(path).X
        assert X.indices.dtype == X.indptr.dtype == np.int64
        assert (X != expected).nnz == 0


def test_a_dense_beginning_does_not_decide_about_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first piece that promises more than there is, before a file that is mostly comments."""
    path = tmp_path / "data"
    row = b"1 " + b" ".join(b"%d:1" % i for i in range(1, 200)) + b"\n"
    path.write_bytes(row * 200 + b"# nothing but a long comment here\n" * 600_000)
    monkeypatch.setattr("dadapt_cli.libsvm.assemble._CHECKED_FROM", 2**20)
    monkeypatch.setattr("dadapt_cli.system.memory.available", lambda: 2**25)
    assert load(path).X.nnz == 200 * 199


@pytest.mark.parametrize("rows", [1, 20])
@pytest.mark.parametrize("digits", range(1, 21))
def test_numbers_of_each_length_among_short_ones(tmp_path, digits, rows):
    """A machine integer must hold the longest number of a piece, alone or one in twenty."""
    nines = "9" * digits
    tokens = [nines, f"0.{nines}", f"-{nines[:-1]}.9", f"{nines}e-3"]
    for token in tokens:
        path = tmp_path / "data"
        path.write_text(f"1 1:{token}\n" + "1 1:0.5 2:3\n" * (rows - 1))
        X, _ = read_libsvm(path)
        assert X.data[0] == float(token), token
