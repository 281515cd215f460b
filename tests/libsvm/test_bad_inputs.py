"""The rows of the table of bad inputs, through the command line: exit code, line and words."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import json
import lzma
import os
import pty
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dadapt_cli.libsvm import load, pieces
from dadapt_cli.system import memory

from ..conftest import PATIENCE, Ran

Cli = Callable[..., Ran]
GOOD = b"1 1:0.5 2:1\n-1 2:-3\n"

# row of the table, text, line, words of the message
REFUSED: list[tuple[str, bytes, int, tuple[str, ...]]] = [
    ("1", b"", 1, ("is empty",)),
    ("1 bom", b"\xef\xbb\xbf", 1, ("no data rows",)),
    ("2 newlines", b"\n\n\n", 3, ("no data rows",)),
    ("2 comments", b"# a\n# b\n", 2, ("no data rows",)),
    ("6", b"1 1:1\n1 2:1 3", 2, ("missing ':'", "'3'")),
    ("8", b"1 1:1\r2 1:3\r", 1, ("old Mac line ends", "convert with tr")),
    ("8 label", b"1\r2\r", 1, ("old Mac line ends",)),
    ("10 le", "1 1:1\n".encode("utf-16"), 1, ("UTF-16 text", "convert with iconv")),
    ("10 be", b"\xfe\xff" + "1 1:1\n".encode("utf-16-be"), 1, ("UTF-16 text", "iconv")),
    ("10 no bom", "1 1:1 2:1\n".encode("utf-16-le"), 1, ("UTF-16 text", "iconv")),
    ("13", b"1 1:1\n1 0:5 2:1\n", 2, ("index 0", "'0:5'", "--zero-based")),
    ("14", b"1 1:1\n1 -2:5\n", 2, ("negative index", "'-2:5'")),
    ("15", b"1 3:1\n1 5:1 4:2\n", 2, ("not increasing", "'4:2'", "dadapt check --fix")),
    ("16", b"1 3:1\n\n1 4:1 4:2\n", 3, ("index 4 appears twice", "'4:2'")),
    ("17", b"1 1:1\n1 2147483648:1\n", 2, ("index 2147483648", "too large")),
    ("18", b"1 9223372036854775808:1\n", 1, ("index 9223372036854775808", "too large")),
    ("18 more", b"1 " + b"9" * 99 + b":1\n", 1, ("too large",)),
    ("20", b"1 1.5:1\n", 1, ("'1.5'", "not a whole number")),
    ("21", b"1 abc:1\n", 1, ("'abc'", "not a whole number")),
    ("22", b"1 1:\n", 1, ("no value", "'1:'")),
    ("22 inside", b"1 1: 2:1\n", 1, ("no value", "'1:'")),
    ("23", b"1 2:1\n1 2 3:1\n", 2, ("missing ':'", "'2'")),
    ("24", b"1 1:2:3\n", 1, ("more than one ':'", "'1:2:3'")),
    ("25 both", b"1 1 : 2\n", 1, ("space", "--lenient")),
    ("25 after", b"1 62:1 63: .50\n", 1, ("space after ':'", "'63:'", "--lenient")),
    ("25 before", b"1 62:1 63 :.50\n", 1, ("space before ':'", "'63'", "--lenient")),
    ("26", b"1 6:1\n1 7:1.5e-0114:8.7\n", 2, ("'7:1.5e-0114:8.7'",)),
    ("26 token", b"1 6:1\n1 e-0114:8.7\n", 2, ("'e-0114'", "'e-0114:8.7'")),
    ("27", b"1 1:1\n1 1:nan\n", 2, ("NaN", "'1:nan'")),
    ("27 sign", b"1 1:-NaN\n", 1, ("NaN",)),
    ("28", b"1 1:1\n1 1:-inf\n", 2, ("infinite", "'1:-inf'")),
    ("28 long", b"1 1:Infinity\n", 1, ("infinite",)),
    ("29", b"1 1:1e400\n", 1, ("overflows", "'1:1e400'")),
    ("31", b"1 1:0x1p3\n", 1, ("hexadecimal", "'1:0x1p3'")),
    ("32", b"1 1:0,5\n", 1, ("decimal comma", "decimal point")),
    ("33", b"1 1:1_000\n", 1, ("underscore", "'1:1_000'")),
    ("34", b"1 1:1d3\n", 1, ("Fortran", "'1:1d3'")),
    ("36", b"1 1:1\n1 1:\x002\n", 2, ("NUL byte",)),
    ("37 garbage", b"1 1:1\n\x80\x9f\xff\xc0 \x01\n", 2, ("not LIBSVM text", "x80")),
    ("37 elf", b"\x7fELF\x02\x01\x01\n", 1, ("not LIBSVM text", "ELF")),
    ("37 liblinear", b"solver_type L2R_LR\nnr_class 2\n", 1, ("not LIBSVM text", "model")),
    ("37 libsvm", b"svm_type c_svc\n", 1, ("not LIBSVM text", "model")),
    ("38", b"5.1,3.5,1.4,0\n4.9,3.0,1.4,0\n", 1, ("looks like CSV",)),
    ("38 header", b"sepal;petal;class\n1;2;3\n", 1, ("looks like CSV",)),
    ("39", b"<!DOCTYPE html>\n<html>\n", 1, ("looks like HTML", "failed download")),
    ("39 tag", b"<html><body>404: not found</body></html>\n", 1, ("looks like HTML",)),
    ("40 space", "1 1:1\n1 1:1\u00a02:1\n".encode(), 2, ("U+00A0", "NO-BREAK SPACE")),
    ("40 minus", "1 1:\u22121\n".encode(), 1, ("U+2212", "MINUS SIGN")),
    ("41", b"1 1:1\nspam 1:1\n", 2, ("'spam'", "text labels")),
    ("42", b"1 1:1\n1:0.5\n", 2, ("missing label", "'1:0.5'")),
    ("43", b"1,2 1:1\n", 1, ("multilabel is not supported", "'1,2'")),
    ("44", b"1 1:1\nnan 1:1\n", 2, ("'nan'", "not a number")),
    ("44 inf", b"-inf 1:1\n", 1, ("'-inf'", "infinite")),
    ("45", b"1e300 1:1\n", 1, ("'1e300'", "labels are integers, at most 2^53")),
    ("45 next", b"9007199254740994 1:1\n", 1, ("at most 2^53",)),
    ("60 zip", b"PK\x03\x04rest", 1, ("zip", "unzip")),
    ("60 zst", b"\x28\xb5\x2f\xfdrest", 1, ("zst", "zstd")),
    ("60 7z", b"7z\xbc\xaf\x27\x1crest", 1, ("7z",)),
    ("83", b"1 \x1b[31m:1\n", 1, ("\\x1b[31m", "U+001B")),
    ("83 markup", b"1 [red]:1\n", 1, ("'[red]'",)),
    ("89", b'"1" 1:1\n', 1, ("quoted label", "'\"1\"'")),
    ("long token", b"1 " + b"x" * 500 + b":1\n", 1, ("xxx...'",)),
]

# row of the table, text, the rows as dictionaries from column to value, a note's words
ACCEPTED: list[tuple[str, bytes, list[dict[int, float]], str]] = [
    ("3", b"1 1:1\n\n1 2:1\n", [{0: 1}, {1: 1}], ""),
    ("4", b"1 1:1\n1 2:1", [{0: 1}, {1: 1}], "last line has no newline; file may be cut off"),
    ("5", b"1 3:-0.", [{}], "last line has no newline; file may be cut off"),
    ("7", b"1 1:1\r\n1 2:1\r\n", [{0: 1}, {1: 1}], ""),
    ("9", b"\xef\xbb\xbf1 1:1\n", [{0: 1}], ""),
    ("11", b"# head 1:2\n1 1:1 # tail\n1 2:1# \xff\x00\n", [{0: 1}, {1: 1}], ""),
    ("12", b"1 qid:1 1:1\n1 qid:2 2:1\n", [{0: 1}, {1: 1}], "qid ignored"),
    ("30", b"1 1:1e-400 2:1\n", [{1: 1}], ""),
    ("51", b"1\n2 \n1 1:1\n", [{}, {}, {0: 1}], ""),
    ("52", b"1 1:0 2:1 3:-0.0 4:0e9\n2 1:0\n", [{1: 1}, {}], ""),
    ("88 tabs", b"1\t1:1\t2:3\n", [{0: 1, 1: 3}], ""),
    ("88 blanks", b"  1   1:1  2:3  \n \t \n", [{0: 1, 1: 3}], ""),
    ("88 numbers", b"+1 1:+0.5 2:.5 3:5. 04:0.5\n", [{0: 0.5, 1: 0.5, 2: 5, 3: 0.5}], ""),
]


def only_line(err: str) -> str:
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].isprintable()
    return lines[0]


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row[0])
def test_refused(cli: Cli, tmp_path: Path, row: tuple[str, bytes, int, tuple[str, ...]]) -> None:
    _, text, line, words = row
    path = tmp_path / "data"
    path.write_bytes(text)
    ran = cli("check", path)
    assert ran.code == 3
    assert ran.out == ""
    said = only_line(ran.err)
    assert said.startswith(f"dadapt: {path}:{line}: ")
    for word in words:
        assert word in said
    for quoted in said.removeprefix(f"dadapt: {path}").split("'")[1::2]:
        assert len(quoted) <= 40
    assert any(mark in said.removeprefix(f"dadapt: {path}") for mark in "; ?:")


@pytest.mark.parametrize("row", ACCEPTED, ids=lambda row: row[0])
def test_accepted(
    cli: Cli, tmp_path: Path, row: tuple[str, bytes, list[dict[int, float]], str]
) -> None:
    _, text, rows, note = row
    path = tmp_path / "data"
    path.write_bytes(text)
    ran = cli("check", path, "--json")
    assert ran.code == 0, ran.err
    assert ran.err == (f"dadapt: {path}: {note}\n" if note else "")
    described = json.loads(ran.out)
    assert described["samples"] == len(rows)
    assert described["nonzeros"] == sum(map(len, rows))
    X = load(path).X
    for i, entries in enumerate(rows):
        span = slice(X.indptr[i], X.indptr[i + 1])
        assert dict(zip(X.indices[span].tolist(), X.data[span].tolist(), strict=True)) == entries


def test_strict_wants_the_last_newline(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"1 1:1\n1 3:-0.")
    ran = cli("check", "--strict", path)
    assert ran.code == 3
    assert only_line(ran.err).startswith(f"dadapt: {path}:2: last line has no newline")
    path.write_bytes(b"1 1:1\n1 3:-0.\n")
    assert cli("check", "--strict", path).code == 0


def test_zero_based_is_an_option_and_never_a_guess(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"1 0:5 2:1\n")
    assert json.loads(cli("check", "--json", "--zero-based", path).out)["features"] == 3
    path.write_bytes(b"1 1:5 2:1\n")
    assert json.loads(cli("check", "--json", "--zero-based", path).out)["features"] == 3
    assert json.loads(cli("check", "--json", path).out)["features"] == 2


def test_row_19_weights_beyond_memory(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"1 1:1\n-1 2147483647:1\n")
    monkeypatch.setattr(memory, "available", lambda: 2**35)
    ran = cli("check", path)
    assert ran.code == 3
    assert "2147483647 features needs 64.0 GiB of memory, 32.0 GiB are available" in ran.err
    monkeypatch.setattr(memory, "available", lambda: 2**40)
    described = json.loads(cli("check", "--json", path).out)
    assert described["features"] == 2**31 - 1
    assert described["empty_columns"] == 2**31 - 3


def test_lenient_accepts_spaces_around_colons_and_sorts(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"1 63: .50 4 : 2 5 :1\n-1 2:1 1:3\n")
    ran = cli("check", "--lenient", path)
    assert (ran.code, ran.err) == (0, "")
    X = load(path, lenient=True).X.toarray()
    assert {(i, j): X[i, j] for i, j in np.argwhere(X)} == {
        (0, 3): 2,
        (0, 4): 1,
        (0, 62): 0.5,
        (1, 0): 3,
        (1, 1): 1,
    }
    path.write_bytes(b"1 2:1 1:3 2:4\n")
    ran = cli("check", "--lenient", path)
    assert ran.code == 3
    assert "index 2 appears twice" in only_line(ran.err)


def test_features_fixes_the_width(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(GOOD)
    assert json.loads(cli("check", "--json", "--features", "7", path).out)["features"] == 7
    ran = cli("check", "--features", "1", path)
    assert ran.code == 3
    assert "index 2" in only_line(ran.err)
    assert f"{path}:1: " in ran.err


def test_huge_values_are_pointed_out(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"1 1:1.79e308\n-1 1:1\n")
    ran = cli("check", path)
    assert ran.code == 0
    assert "scale" in only_line(ran.err)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
class TestCompressed:
    def test_by_content_whatever_the_name(self, cli: Cli, tmp_path: Path, pack: Any) -> None:
        for name in ("data.svm", "data.gz", "data.bz2", "data.xz"):
            path = tmp_path / name
            path.write_bytes(pack(GOOD))
            ran = cli("check", "--json", path)
            assert (ran.code, ran.err) == (0, "")
            assert json.loads(ran.out)["samples"] == 2

    def test_several_streams_and_zero_padding(self, cli: Cli, tmp_path: Path, pack: Any) -> None:
        path = tmp_path / "data"
        path.write_bytes(pack(GOOD) + pack(GOOD[:7]) + pack(GOOD[7:]) + b"\0" * 8)
        assert json.loads(cli("check", "--json", path).out)["samples"] == 4

    def test_trailing_garbage(self, cli: Cli, tmp_path: Path, pack: Any) -> None:
        path = tmp_path / "data"
        path.write_bytes(pack(GOOD) + b"garbage")
        ran = cli("check", path)
        assert ran.code == 3
        assert "trailing garbage" in only_line(ran.err)

    def test_cut(self, cli: Cli, tmp_path: Path, pack: Any) -> None:
        rng = np.random.default_rng(0)
        text = b"".join(b"1 1:%.9f\n" % v for v in rng.normal(size=3000))
        packed = pack(text)
        path = tmp_path / "data"
        for size in (len(packed) - 1, len(packed) // 2, 12):
            path.write_bytes(packed[:size])
            ran = cli("check", path)
            assert ran.code == 3
            assert "compressed file ends early" in only_line(ran.err)

    def test_flipped_byte(self, cli: Cli, tmp_path: Path, pack: Any) -> None:
        rng = np.random.default_rng(0)
        packed = bytearray(pack(b"".join(b"1 1:%.9f\n" % v for v in rng.normal(size=3000))))
        packed[len(packed) // 2] ^= 0x55
        path = tmp_path / "data"
        path.write_bytes(packed)
        ran = cli("check", path)
        assert ran.code == 3
        said = only_line(ran.err)
        assert "corrupt" in said or "ends early" in said

    def test_limits(self, cli: Cli, tmp_path: Path, pack: Any) -> None:
        path = tmp_path / "data"
        path.write_bytes(pack(b"1 1:1\n" * 200_000))  # 1.2 MB: below 1 MiB any ratio will do
        ran = cli("check", path)
        assert ran.code == 3
        assert "--max-ratio" in only_line(ran.err)
        ran = cli("check", "--max-ratio", "1e9", "--max-bytes", "1000000", path)
        assert ran.code == 3
        assert "more than 1000000 bytes; raise --max-bytes" in only_line(ran.err)
        assert cli("check", "--max-ratio", "1e9", path).code == 0


def test_gz_name_but_plain_text(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "data.gz"
    path.write_bytes(GOOD)
    assert cli("check", path).code == 0


def test_gzip_checksum(cli: Cli, tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(GOOD))
    packed[-6] ^= 1
    path = tmp_path / "data"
    path.write_bytes(packed)
    ran = cli("check", path)
    assert ran.code == 3
    assert "corrupt" in only_line(ran.err)


@pytest.fixture(scope="module")
def bare_peak(tmp_path_factory: pytest.TempPathFactory) -> int:
    """The peak memory of a check of two short lines."""
    return run_apart("check", "--json", str(good_file(tmp_path_factory.mktemp("bare"))))[2]


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"1 1:1 #", "expands 20"),
        (b"1 1:", f"no blank between pairs within {pieces.LONGEST_TOKEN} bytes"),
    ],
)
def test_bomb_of_one_line_stays_small(
    tmp_path: Path, start: bytes, words: str, bare_peak: int
) -> None:
    """200 KB that would become a line of 200 MB: refused after little of it."""
    path = tmp_path / "bomb"
    packer = zlib.compressobj(9, wbits=31)
    with path.open("wb") as file:
        file.write(packer.compress(start))
        for _ in range(200):
            file.write(packer.compress(b"0" * 2**20))
        file.write(packer.flush())
    code, err, peak = run_apart("check", str(path))
    assert code == 3
    assert words in err
    assert peak < bare_peak + 80 * 2**20


def test_row_53_a_line_of_19_megabytes(tmp_path: Path, bare_peak: int) -> None:
    path = tmp_path / "wide"
    count = 2_000_000
    with path.open("wb") as file:
        file.write(b"1")
        for start in range(0, count, 1000):
            file.write(b"".join(b" %d:1" % (i + 1) for i in range(start, start + 1000)))
        file.write(b"\n-1 5:2\n")
    assert path.stat().st_size > 19_000_000 * 0.9
    X = load(path).X
    assert X.shape == (2, count)
    assert X.nnz == count + 1
    assert np.array_equal(X.indices[:count], np.arange(count))
    code, err, peak = run_apart("check", "--json", str(path))
    assert code == 0, err
    described = 16 * count  # the counts of each column, and which are full
    assert peak < bare_peak + 12 * count + described + 32 * 2**20


def good_file(folder: Path) -> Path:
    path = folder / "good"
    path.write_bytes(GOOD)
    return path


def run_apart(*argv: str) -> tuple[int, str, int]:
    """Run a command line in a process of its own: exit code, standard error, peak memory."""
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("needs /proc to measure peak memory")
    code = (
        "import re, sys; from pathlib import Path; from dadapt_cli.cli import run; "
        "code = run(sys.argv[1:]); "
        "print(re.search('VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]); "
        "sys.exit(code)"
    )
    command = [sys.executable, "-c", code, *argv]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return ran.returncode, ran.stderr, int(ran.stdout.split()[-1]) * 1024


def test_row_62_pipes(cli: Cli, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dadapt_cli", "check", "--json"]
    packed = gzip.compress(GOOD)
    for name in ("-", "/dev/stdin"):
        ran = subprocess.run([*command, name], input=packed, capture_output=True, check=True)
        assert json.loads(ran.stdout)["samples"] == 2
        assert ran.stderr == b""
    end, other = os.pipe()
    os.write(other, GOOD)
    os.close(other)
    assert json.loads(cli("check", "--json", f"/dev/fd/{end}").out)["samples"] == 2  # <(...)
    os.close(end)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(GOOD * 100_000,))
    writer.start()
    described = json.loads(cli("check", "--json", fifo).out)
    writer.join()
    assert described["samples"] == 200_000


def test_an_error_in_a_pipe_names_its_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    text = GOOD * 200_000 + b"1 1:x\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    ran = cli("check", "-")
    assert ran.code == 3
    assert "dadapt: -:400001: value 'x' in '1:x' is not a number" in ran.err


def test_row_63_terminal() -> None:
    ours, theirs = pty.openpty()
    try:
        command = [sys.executable, "-m", "dadapt_cli", "check", "-"]
        ran = subprocess.run(
            command, stdin=theirs, capture_output=True, check=False, timeout=PATIENCE
        )
    finally:
        os.close(ours)
        with contextlib.suppress(OSError):
            os.close(theirs)
    assert ran.returncode == 2
    assert b"standard input is a terminal" in ran.stderr


def test_row_76_the_matrix_is_estimated_first(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"1 " + b" ".join(b"%d:1" % i for i in range(1, 400)) + b"\n")
    path.write_bytes(path.read_bytes() * 20_000)
    monkeypatch.setattr("dadapt_cli.libsvm.assemble._CHECKED_FROM", 2**20)
    monkeypatch.setattr(memory, "available", lambda: 2**24)
    ran = cli("check", path)
    assert ran.code == 3
    assert "the rest of the matrix of some 8e+06 nonzeros needs 0.1 GiB" in only_line(ran.err)


def test_row_76_a_pipe_ends_when_memory_does(tmp_path: Path) -> None:
    """Under a real limit of the address space: one line, no traceback, exit 3 or 4."""
    code = (
        "import resource, sys, dadapt_cli.libsvm; from pathlib import Path; "
        "from dadapt_cli.cli import run; "
        "pages = int(Path('/proc/self/statm').read_text().split()[0]); "
        "limit = 150 * 2**20 + pages * resource.getpagesize(); "
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit)); "
        "sys.exit(run(['check', '-']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        block = (b"1 " + b" ".join(b"%d:1" % i for i in range(1, 9)) + b"\n") * 30_000
        with contextlib.suppress(BrokenPipeError):
            for _ in range(300):
                process.stdin.write(block)
            process.stdin.close()
        err = process.stderr.read().decode()
        code = process.wait()
    assert code in (3, 4), err
    assert "memory" in only_line(err)


def test_row_83_hostile_names(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[31m[red]b\n"
    path.write_bytes(b"1 1:x\n")
    ran = cli("check", path)
    assert ran.code == 3
    assert "\x1b" not in only_line(ran.err)
    assert "[red]" in ran.err
    path.write_bytes(GOOD)
    ran = cli("check", path)
    assert ran.code == 0
    assert "\x1b" not in ran.out
    assert "[red]" in ran.out.splitlines()[0]
    assert json.loads(cli("check", "--json", path).out)["path"] == str(path)


def test_row_84_locales(tmp_path: Path) -> None:
    path = good_file(tmp_path)
    outputs = []
    for kinds in ({"LC_ALL": "C"}, {"LC_CTYPE": "tr_TR.UTF-8", "LC_NUMERIC": "de_DE.UTF-8"}):
        env = {**os.environ, "LC_ALL": "", **kinds}
        ran = subprocess.run(
            [sys.executable, "-m", "dadapt_cli", "check", str(path)],
            env=env,
            capture_output=True,
            check=True,
        )
        outputs.append((ran.stdout, ran.stderr))
    assert len(set(outputs)) == 1
    assert outputs[0][1] == b""
