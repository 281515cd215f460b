"""The files of data/ are what data/README.md says, and what LIBSVM's files say."""

import functools
import hashlib
import importlib.util
import lzma
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

REPO = Path(__file__).resolve().parent.parent.parent
DATA = REPO / "data"
SHARED = Path(os.environ.get("DADAPT_SHARED") or REPO.parent / "shared") / "data"
ROW = re.compile(
    r"^\| `(\S+)` \| (\d+) \| (\d+) \| (\d+) \| ([^|]+) \| (\d+) \| `([0-9a-f]{64})` \|$", re.M
)
LISTED = {name: rest for name, *rest in ROW.findall((DATA / "README.md").read_text("utf-8"))}
NAMES = sorted(LISTED)


def load_make():
    spec = importlib.util.spec_from_file_location("data_make", DATA / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text_of(path):
    raw = path.read_bytes()
    return lzma.decompress(raw) if path.suffix == ".xz" else raw


def shared_text(name):
    for path in (SHARED / name, SHARED / f"{name}.xz"):
        if path.exists():
            return text_of(path)
    return pytest.skip(f"no {name} in {SHARED}; set DADAPT_SHARED to the folder that holds data/")


@functools.cache
def parse(text):
    """Read LIBSVM text into labels, a dense matrix and the number of entries written."""
    labels, entries = [], []
    for i, line in enumerate(text.decode("ascii").splitlines()):
        label, *pairs = line.split()
        labels.append(float(label))
        columns = [int(pair.partition(":")[0]) for pair in pairs]
        assert columns == sorted(set(columns)), f"line {i + 1}: indices do not increase"
        assert not columns or columns[0] >= 1
        entries += [(i, j, float(p.partition(":")[2])) for j, p in zip(columns, pairs, strict=True)]
    i, j, v = (np.array(column) for column in zip(*entries, strict=True))
    dense = np.zeros((len(labels), j.max()))
    dense[i, j - 1] = v
    return np.array(labels), dense, len(entries)


def label_set(cell):
    """Expand the README's ``1..3, 5..7``."""
    ends = (part.partition("..") for part in cell.split(", "))
    return [k for a, _, b in ends for k in range(int(a), int(b or a) + 1)]


def describe(text):
    y, X, nnz = parse(text)
    assert np.abs(X).max() <= 1
    return [len(y), X.shape[1], np.unique(y).tolist(), nnz, hashlib.sha256(text).hexdigest()]


def listed(name):
    rows, features, classes, labels, nnz, sha256 = LISTED[name]
    assert len(label_set(labels)) == int(classes)
    return [int(rows), int(features), label_set(labels), int(nnz), sha256]


def test_the_table_lists_exactly_the_files():
    found = {path.name for path in DATA.glob("*.scale*")}
    assert found == set(LISTED)
    assert len(LISTED) == 9
    assert sum(path.stat().st_size for path in DATA.glob("*.scale*")) < 700_000


@pytest.mark.parametrize("name", NAMES)
def test_file_is_as_listed(name):
    assert describe(text_of(DATA / name)) == listed(name)


@pytest.mark.parametrize("name", NAMES)
def test_an_altered_file_is_noticed(name):
    text = text_of(DATA / name)
    middle = text.rindex(b":", 0, len(text) // 2) + 1
    altered = text[:middle] + b"0.0123 " + text[text.index(b" ", middle) + 1 :]
    assert describe(altered) != listed(name)
    lines = text.splitlines(keepends=True)
    lines[0], lines[-1] = lines[-1], lines[0]
    assert describe(b"".join(lines)) != listed(name)


@pytest.mark.parametrize("name", NAMES)
def test_the_reader_of_the_package_agrees(name):
    from dadapt_cli import read_libsvm

    X, y = read_libsvm(DATA / name)
    labels, dense, nnz = parse(text_of(DATA / name))
    np.testing.assert_array_equal(y, labels)
    np.testing.assert_allclose(X.toarray(), dense, rtol=1e-15)
    assert X.nnz == nnz


@pytest.mark.parametrize("name", [name for name in NAMES if name != "dna.scale.xz"])
def test_each_feature_spans_the_interval_or_is_zero(name):
    _, X, _ = parse(text_of(DATA / name))
    varies = np.abs(X).max(axis=0) > 0
    assert (X[:, varies].min(axis=0) == -1).all()
    assert (X[:, varies].max(axis=0) == 1).all()
    assert np.flatnonzero(~varies).tolist() == ([0, 32, 39] if name.startswith("digits") else [])


@pytest.mark.parametrize("name", ["iris", "wine", "glass", "vehicle", "vowel", "dna"])
def test_agrees_with_libsvms_file_row_for_row(name):
    (path,) = DATA.glob(f"{name}.scale*")
    y, X, _ = parse(text_of(path))
    y_shared, X_shared, _ = parse(shared_text(f"{name}.scale"))
    np.testing.assert_array_equal(y, y_shared)
    np.testing.assert_allclose(X, X_shared, rtol=0, atol=1e-5)


def test_letter_has_the_rows_of_libsvms_two_files_in_another_order():
    both = shared_text("letter.scale") + shared_text("letter.scale.t")
    ours = text_of(DATA / "letter-uci.scale.xz")
    tables = []
    for text in (ours, both):
        y, X, _ = parse(text)
        table = np.column_stack([y, X])
        # Scaled values are odd multiples of 1/15 (the data are 0 to 15): sorting on integers keeps
        # a difference in the last digit from changing the order.
        tables.append(table[np.lexsort(np.rint(table * 15).T)])
    np.testing.assert_allclose(tables[0], tables[1], rtol=0, atol=1e-5)


def test_files_from_scikit_learn_are_rebuilt_byte_for_byte():
    built = load_make().from_sklearn()
    assert len(built) == 4
    for name, text in built.items():
        assert text == text_of(DATA / name), name


def test_all_files_are_rebuilt_by_the_script():
    done = subprocess.run(
        [sys.executable, DATA / "make.py", "--check"], capture_output=True, text=True
    )
    if done.returncode == 4:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(line.split()[1] for line in done.stdout.splitlines()) == NAMES


def test_check_names_altered_missing_and_corrupt_files(tmp_path, monkeypatch, capsys):
    make = load_make()
    texts = {name: text_of(DATA / name) for name in NAMES}
    for name in NAMES:
        shutil.copy(DATA / name, tmp_path)
    monkeypatch.setattr(make, "HERE", tmp_path)
    monkeypatch.setattr(make, "from_sklearn", lambda: texts)
    monkeypatch.setattr(make, "from_mlbench", dict)
    assert make.main(["--check"]) == 0
    (tmp_path / "iris.scale").write_bytes(texts["iris.scale"].replace(b"0.25", b"0.26", 1))
    (tmp_path / "dna.scale.xz").write_bytes(b"not xz")
    (tmp_path / "wine.scale").unlink()
    capsys.readouterr()
    assert make.main(["--check"]) == 1
    out = capsys.readouterr().out
    assert re.findall(r"  (\S+)  DIFFERS", out) == ["dna.scale.xz", "iris.scale", "wine.scale"]
    assert not (tmp_path / "wine.scale").exists(), "--check wrote"
    assert make.main([]) == 0
    assert make.changed(texts, tmp_path) == []


def test_without_r_the_script_names_the_command_and_exits_4(monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    assert load_make().main(["--check"]) == 4
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "apt-get install -y --no-install-recommends r-base-core r-cran-mlbench" in error


def test_svm_scale_handles_a_constant_column_and_exact_ends():
    make = load_make()
    X = np.array([[3.0, 5.0], [3.0, 6.0], [3.0, 8.0]])
    scaled = make.svm_scale(X)
    np.testing.assert_allclose(scaled, [[0, -1], [0, -1 / 3], [0, 1]], atol=1e-15)
    assert make.libsvm_text([1, 2, 3], scaled) == b"1 2:-1 \n2 2:-0.333333 \n3 2:1 \n"
