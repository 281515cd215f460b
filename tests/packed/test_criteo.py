"""Criteo's text to one-hot rows: the documented hash, the same bytes however the text comes."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dadapt_cli.errors import DataError, UsageError
from dadapt_cli.libsvm import pieces
from dadapt_cli.packed import criteo, reading
from dadapt_cli.packed.check import check
from dadapt_cli.packed.folder import Data, opened
from dadapt_cli.packed.pack import Packing, pack
from dadapt_cli.packed.writer import Packer

from ..conftest import Ran
from .test_pack import bits

Cli = Callable[..., Ran]

WRAP = 2**64 - 1


def mix(h: int) -> int:
    h ^= h >> 30
    h = h * 0xBF58476D1CE4E5B9 & WRAP
    h ^= h >> 27
    h = h * 0x94D049BB133111EB & WRAP
    return h ^ h >> 31


def column(field: int, token: bytes, columns: int) -> int:
    """The hash as the module's docstring has it, in integers of Python."""
    if field <= 13 and token:
        v = abs(int(token))
        code = 0
        if v:
            exponent = v.bit_length() - 1
            code = 1 + 4 * exponent + ((v << 2 >> exponent) & 3)
        token = ((-code if token.startswith(b"-") else code) & WRAP).to_bytes(8, "little")
    h = mix(256 * field + len(token))
    for at in range(0, max(1, len(token)), 8):
        h = mix(h ^ int.from_bytes(token[at : at + 8], "little"))
    return ((h >> 32) * columns) >> 32


def row(seed: int) -> bytes:
    """Integers of all sizes and signs, categories of all lengths, and missing ones."""
    rng = random.Random(seed)
    integers = [
        rng.choice(
            ["", "0", "-1", "7", "00012", str(rng.randrange(-99, 10 ** rng.randrange(1, 16)))]
        )
        for _ in range(13)
    ]
    categories = [
        rng.choice(["", f"{rng.getrandbits(32):08x}", f"{rng.getrandbits(32):08x}", "é", "a b:1",
                    "x" * rng.randrange(1, 65)])
        for _ in range(26)
    ]  # fmt: skip
    return "\t".join([rng.choice("01"), *integers, *categories]).encode()


ROWS = [row(seed) for seed in range(300)]
TEXT = b"\n".join(ROWS) + b"\n"


def content(data: Data) -> tuple[list[list[int]], list[int]]:
    """The columns of each row, and the labels."""
    columns: list[list[int]] = []
    labels: list[int] = []
    names = np.array(list(data.classes))
    for leaf in data.leaves:
        assert leaf.kind.values == "ones"
        parts = reading.read(data, leaf)
        rows = reading.rows_of(data, leaf, parts, np.ones(leaf.entries), np.dtype(np.float64))
        columns += [own.tolist() for own in np.split(rows.X.indices, rows.X.indptr[1:-1])]
        labels += names[rows.numbers].tolist()
    return columns, labels


@pytest.mark.parametrize("columns", [1, 60, 1000, 10**6, 2**31 - 1])
@pytest.mark.parametrize("piece", [100, 2**18])
def test_each_field_is_where_the_documented_hash_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int, piece: int
) -> None:
    monkeypatch.setattr(pieces, "PIECE", piece)
    text = tmp_path / "day_0"
    text.write_bytes(TEXT)
    data = pack(
        str(text), str(tmp_path / "folder"),
        Packing(format="criteo", features=columns, zero_based=True, leaf=2000),
    )  # fmt: skip
    found, labels = content(data)
    fields = [own.split(b"\t") for own in ROWS]
    expected = [
        sorted({column(k, token, columns) for k, token in enumerate(own[1:], 1)}) for own in fields
    ]
    assert found == expected
    assert labels == [int(own[0]) for own in fields]
    assert data.shape == (300, columns)
    assert data.about["text"]["encoding"] == criteo.ENCODING
    check(data)


GOLDEN = [235654, 198202, 95102]
"""Computed once."""


def test_the_hash_never_changes() -> None:
    """Another hash would make other data of the same text: it needs another ENCODING."""
    line = b"1\t5\t\t-2" + b"\t0" * 10 + b"\t68fd1e64\t" + b"\tbeef" * 24 + b"\n"
    rows = criteo.parse(line, 10**6)
    assert rows is not None
    first = [column(1, b"5", 10**6), column(2, b"", 10**6), column(14, b"68fd1e64", 10**6)]
    assert first == GOLDEN
    assert set(GOLDEN) < set(rows.indices.tolist())


def test_columns_are_filled_evenly() -> None:
    """Counters as categories, the worst kind of token: chi-squared within 5 deviations."""
    n, columns = 2000, 500
    line = b"0" + b"\t" * 13
    text = b"".join(
        line + b"".join(b"\t%d" % (26 * i + k) for k in range(26)) + b"\n" for i in range(n)
    )
    rows = criteo.parse(text, columns)
    assert rows is not None
    counts = np.bincount(rows.indices, minlength=columns)
    often = np.array([counts[column(k, b"", columns)] for k in range(1, 14)])
    assert (often == n).all()
    rest = counts[counts < n]
    spread = ((rest - rest.mean()) ** 2 / rest.mean()).sum()
    assert abs(spread - len(rest)) < 5 * np.sqrt(2 * len(rest))


def test_the_same_bytes_from_text_gzip_and_carriage_returns(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(TEXT)
    (tmp_path / "gzip").write_bytes(gzip.compress(TEXT))
    (tmp_path / "returns").write_bytes(TEXT.replace(b"\n", b"\r\n"))
    how = Packing(format="criteo", features=10**4, zero_based=True, leaf=2000)
    for name in ("plain", "gzip", "returns"):
        pack(str(tmp_path / name), str(tmp_path / f"{name}.packed"), how)
    first = bits(tmp_path / "plain.packed")
    assert bits(tmp_path / "gzip.packed") == first
    assert content(opened(tmp_path / "returns.packed")) == content(
        opened(tmp_path / "plain.packed")
    )


def test_a_stopped_pack_goes_on_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "PIECE", 1000)
    text = tmp_path / "text"
    text.write_bytes(TEXT.removesuffix(b"\n"))
    how = Packing(format="criteo", features=10**6, zero_based=True, leaf=2000)
    whole = pack(str(text), str(tmp_path / "whole"), how)
    assert whole.notes == ("last line has no newline; file may be cut off",)
    write, seen = Packer._write, []

    def stop(self: Packer, *given: object, **more: object) -> None:
        if len(seen) == stop_at:
            raise KeyboardInterrupt
        seen.append(self.totals.rows)
        write(self, *given, **more)  # type: ignore[arg-type]

    for stop_at in range(len(whole.leaves)):
        folder = tmp_path / f"stopped{stop_at}"
        seen.clear()
        monkeypatch.setattr(Packer, "_write", stop)
        with pytest.raises(KeyboardInterrupt):
            pack(str(text), str(folder), how)
        monkeypatch.setattr(Packer, "_write", write)
        if stop_at == 2:
            with pytest.raises(UsageError, match="--format: the pack was begun with criteo"):
                pack(str(text), str(folder), Packing(leaf=2000), resume=True)
            with pytest.raises(UsageError, match="--hash: the pack was begun with 1000000, not 9"):
                pack(str(text), str(folder), replace(how, features=9), resume=True)
        pack(str(text), str(folder), how, resume=True)
        assert bits(folder) == bits(tmp_path / "whole")


GOOD = ROWS[0].split(b"\t")


def changed(field: int, token: bytes) -> bytes:
    return b"\t".join([*GOOD[: field - 1], token, *GOOD[field:]])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"\t".join(GOOD[1:]), "39 fields, not 40; a test set has no labels"),
        (b"\t".join([*GOOD, b""]), "41 fields, not 40 separated by tabs: a label"),
        (b"\t".join(GOOD * 2), "80 fields, not 40 separated by tabs"),
        (b"", "1 fields, not 40"),
        (b",".join([b"1"] * 40), "1 fields, not 40; separated by ','? tr"),
        (changed(1, b"2"), "label '2' in field 1; give 0 or 1"),
        (changed(1, b""), "label '' in field 1"),
        (changed(1, b"-1"), "label '-1' in field 1"),
        (changed(2, b"1.5"), "'1.5' in field 2 is no integer"),
        (changed(14, b"12345678/"), "'12345678/' in field 14 is no integer"),
        (changed(14, b":2345678"), "':2345678' in field 14 is no integer"),
        (changed(9, b"-"), "'-' in field 9 is no integer"),
        (changed(9, b"--1"), "'--1' in field 9 is no integer"),
        (changed(9, b"1-1"), "'1-1' in field 9 is no integer"),
        (changed(9, b"1" * 16), "'1111111111111111' in field 9 is no integer of at most 15"),
        (changed(9, "٣".encode()), "in field 9 is no integer"),
        (changed(40, b"x" * 65), "in field 40 has 65 bytes; at most 64"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, cli: Cli, line: bytes, message: str) -> None:
    text = tmp_path / "text"
    text.write_bytes(b"\n".join([*ROWS[:7], line, *ROWS[:7]]) + b"\n")
    ran = cli("pack", "--format", "criteo", text, tmp_path / "folder")
    assert ran.code == 3
    assert f"{text}:8: " in ran.err
    assert message in ran.err
    assert ran.err.count("\n") == 1


def test_text_without_lines(tmp_path: Path) -> None:
    how = Packing(format="criteo", features=9, zero_based=True)
    text = tmp_path / "text"
    text.write_bytes(b"1\t" * 2**21)
    with pytest.raises(DataError, match="no newline within 1048576 bytes; this is not Criteo's"):
        pack(str(text), str(tmp_path / "folder"), how)
    text.write_bytes(b"")
    with pytest.raises(DataError, match="the file is empty"):
        pack(str(text), str(tmp_path / "empty"), how)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--hash", "1e6"], "--hash is of --format criteo"),
        (["--format", "criteo", "--features", "9"], "--features is of LIBSVM text"),
        (["--format", "criteo", "--lenient"], "--lenient is of LIBSVM text"),
        (["--format", "criteo", "--zero-based"], "--zero-based is of LIBSVM text"),
        (["--format", "criteo", "--dtype", "float32"], "--dtype is of LIBSVM text"),
        (["--format", "criteo", "--hash", "0"], "--hash '0.0'"),
        (["--format", "criteo", "--hash", "1.5"], "--hash 1.5: give an integer"),
        (["--format", "criteo", "--hash", "1e10"], "--hash '10000000000.0'"),
        (["--format", "avazu"], "libsvm"),
    ],
)
def test_options_of_the_other_format(
    tmp_path: Path, cli: Cli, options: list[str], message: str
) -> None:
    text = tmp_path / "text"
    text.write_bytes(TEXT)
    ran = cli("pack", text, tmp_path / "folder", *options)
    assert ran.code == 2
    assert message in ran.err
    assert not (tmp_path / "folder").exists()


def test_the_command(tmp_path: Path, cli: Cli) -> None:
    text = tmp_path / "text"
    text.write_bytes(TEXT)
    assert cli("pack", "--format", "criteo", text, tmp_path / "folder").code == 0
    assert opened(tmp_path / "folder").shape == (300, 10**6)
    ran = cli("pack", "--format", "criteo", "--hash", "1e3", text, tmp_path / "small")
    assert ran.code == 0
    assert "300 samples, 1000 features" in ran.out
    assert cli("fit", tmp_path / "small", "--algo", "lbfgs", "-n", 3).code == 0
    ran = cli("check", tmp_path / "small")
    assert "criteo-1" in ran.out
