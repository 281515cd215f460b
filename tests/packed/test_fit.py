"""Fits on packed folders: the numbers of the text, the same bits however the leaves are read."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import dadapt_cli
from dadapt_cli import algorithms
from dadapt_cli.algorithms import auto
from dadapt_cli.algorithms._rounding import Rounding
from dadapt_cli.cli import _reading
from dadapt_cli.cli import pack as pack_command
from dadapt_cli.cluster.local import Local
from dadapt_cli.errors import DataError, InputOutputError, UsageError
from dadapt_cli.libsvm import write_libsvm
from dadapt_cli.objective import Problem, smoothness
from dadapt_cli.packed import format, share, tree
from dadapt_cli.packed.folder import Data, opened
from dadapt_cli.packed.objective import Packed, bytes_needed, classes_of
from dadapt_cli.packed.pack import Packing, pack
from dadapt_cli.packed.stream import Stream
from dadapt_cli.packed.tree import Tree
from dadapt_cli.preprocessing.labels import encode
from dadapt_cli.reference.enclosure import enclose
from dadapt_cli.solver.options import Options
from dadapt_cli.solver.packed import keeping
from dadapt_cli.system import memory

from ..conftest import DATA, Ran, timeless
from ..conftest import read as read_text

Cli = Callable[..., Ran]

METHODS = ("dual-avg", "gd", "adagrad", "safe", "accel", "lbfgs")


def problem(
    data: Data,
    *,
    hold: bool = False,
    threads: int = 1,
    bias: bool = False,
    dtype: str = "float64",
    l2: float = 0.0,
) -> Packed:
    labels, numbers = classes_of(data, None)
    settings = share.Settings(dtype, bias, numbers, threads, hold)
    return Packed(data, labels, Local(data, settings), settings, l2=l2, intercept=False)


def twin(name: str, **options: Any) -> Problem:
    X, y = read_text(name)
    return Problem(X, encode(y), **options)


def test_the_tree_adds_the_same_numbers_in_any_order_and_split() -> None:
    rng = np.random.default_rng(3)
    for leaves in (1, 2, 3, 5, 8, 11, 13):
        parts = [(float(x), rng.normal(size=3)) for x in rng.normal(size=leaves) * 1e8]
        totals = set()
        for workers in (1, 2, 3, leaves + 2):
            top = Tree(leaves)
            for rank in rng.permutation(workers):
                own = Tree(leaves)
                for i in rng.permutation(list(tree.share(leaves, workers, int(rank)))):
                    own.add(0, int(i), (parts[i][0], parts[i][1].copy()))
                assert len(own.parts()) <= 2 * max(1, leaves.bit_length())
                for level, i, part in own.parts():
                    top.add(level, i, part)
            totals.add((top.total[0], top.total[1].tobytes()))
        assert len(totals) == 1
        assert next(iter(totals))[0] == pytest.approx(sum(x for x, _ in parts), rel=1e-9)
    lacking = Tree(3)
    lacking.add(0, 1, (1.0,))
    with pytest.raises(ValueError, match="without some"):
        _ = lacking.total


@pytest.mark.parametrize("name", ["wdbc.scale.xz", "dna.scale.xz"])
@pytest.mark.parametrize("bias", [False, True])
def test_sums_are_those_of_the_text(folders: dict[str, Path], name: str, bias: bool) -> None:
    """To 1e-11 relative: sums of at most 2000 terms; 1e-9 where bounds on rounding are put in."""
    data = opened(folders[name])
    ours, text = problem(data, bias=bias, l2=0.1), twin(name, bias=bias, l2=0.1)
    w = np.random.default_rng(1).normal(size=ours.shape) / 9
    one, other = ours.value_and_gradient(w), text.value_and_gradient(w)
    assert one.f == pytest.approx(other.f, rel=1e-12)
    np.testing.assert_allclose(one.g, other.g, rtol=1e-11, atol=1e-14)
    assert ours.value_of(w) == pytest.approx(other.f, rel=1e-12)
    assert ours.judged(w) == pytest.approx(text.judged(w), rel=1e-12)
    assert (ours.nonzeros, ours.shape) == (text.nonzeros, text.shape)
    for scale in (None, np.linspace(0.5, 2.0, ours.p).reshape(-1, *(1 for _ in ours.shape[1:]))):
        a, b = ours.in_metric(scale), text.in_metric(scale)
        for of in ("smoothness_inf", "lipschitz", "lipschitz_inf", "frobenius"):
            own = getattr(smoothness, of)
            assert own(a) == pytest.approx(own(b), rel=1e-9), of
        assert smoothness.smoothness(a).L == pytest.approx(smoothness.smoothness(b).L, rel=1e-9)
        for vector in (
            smoothness.lipschitz_coordinates,
            smoothness.column_squares,
            smoothness.column_entries,
        ):
            np.testing.assert_allclose(vector(a), vector(b), rtol=1e-11)
        g0 = b.rescaled(b.value_and_gradient(b.zeros()).g)
        for start in (smoothness.certified_start, smoothness.certified_start_inf):
            assert start(a, g0) == pytest.approx(start(b, g0), rel=1e-9)
        mine, theirs = Rounding.of(a, a.zeros()), Rounding.of(b, b.zeros())
        assert (mine.G, mine.L) == pytest.approx((theirs.G, theirs.L), rel=1e-9)
        assert 0 < mine.margins <= theirs.margins  # dense rows count as wide as they are
        X = b.X if isinstance(b.X, np.ndarray) else b.X.toarray()
        assert mine.column == np.count_nonzero(X, axis=0).max()


def test_an_enclosure_meets_that_of_the_text(folders: dict[str, Path]) -> None:
    """Both contain the exact value; leaf by leaf rounding costs a few units."""
    for name in ("wdbc.scale.xz", "dna.scale.xz"):
        ours, text = problem(opened(folders[name]), l2=0.01), twin(name, l2=0.01)
        w = np.random.default_rng(1).normal(size=ours.shape) / 9
        one, other = enclose(ours, w), enclose(text, w, curvature=False)
        assert max(one.f_lower, other.f_lower) <= min(one.f_upper, other.f_upper)
        assert one.f_upper - one.f_lower < 1e-11
        assert max(one.lower, other.lower) <= min(one.upper, other.upper)
        assert one.ball is not None
        assert other.ball is not None
        assert one.ball.radius == pytest.approx(other.ball.radius, rel=1e-9)


@pytest.mark.parametrize("name", ["wdbc.scale.xz", "dna.scale.xz", "vehicle.scale"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_bits_do_not_depend_on_memory_or_threads(
    folders: dict[str, Path], name: str, dtype: Any
) -> None:
    data = opened(folders[name])
    assert len(data.leaves) > 2
    w = np.random.default_rng(1).normal(size=problem(data).shape).astype(dtype) / 9
    w = w.astype(dtype)
    found = set()
    for hold in (False, True):
        for threads in (1, 2, 3):
            own = problem(data, hold=hold, threads=threads, dtype=dtype)
            for _ in range(3):  # forwards and backwards
                e = own.value_and_gradient(w)
                found.add((e.f, e.g.tobytes(), str(e.g.dtype)))
    assert len(found) == 1
    assert next(iter(found))[2] == dtype


@pytest.mark.parametrize("algo", METHODS)
def test_runs_are_the_same_bit_for_bit_and_near_those_of_the_text(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, algo: str
) -> None:
    """Near to 1e-6: 25 steps carry rounding on, and bounds on it are of other blocks."""
    data, runs = opened(folders["wdbc.scale.xz"]), []
    for hold in (False, True):
        monkeypatch.setattr("dadapt_cli.solver.packed.require_memory", lambda *a, h=hold: h)
        for threads in (1, 2):
            made = dadapt_cli.fit(data, algo=algo, iterations=25, l2="1/n", threads=threads)
            runs.append(([timeless(row) for row in made.trace], made.w.tobytes(), made.d))
    assert all(run == runs[0] for run in runs)
    X, y = read_text("wdbc.scale.xz")
    text = dadapt_cli.fit(X, y, algo=algo, iterations=25, l2="1/n", reference="none")
    for ours, theirs in zip(runs[0][0], text.trace, strict=True):
        for name in ("d", "f_last", "f_average", "f_best", "grad_norm"):
            same = theirs[name] is None or pytest.approx(theirs[name], rel=1e-6)
            assert (ours[name] is None) if same is True else ours[name] == same, name
    assert text.end["accuracy"] == made.end["accuracy"]
    assert text.end["iterate"] == made.end["iterate"]


def test_a_tolerance_and_a_given_f_star(folders: dict[str, Path]) -> None:
    data = opened(folders["wdbc.scale.xz"])
    X, y = read_text("wdbc.scale.xz")
    known = dadapt_cli.fit(X, y, l2="1/n", iterations=1).reference
    made = dadapt_cli.fit(data, algo="lbfgs", l2="1/n", tol=1e-4, iterations=500)
    assert made.status == "tolerance"
    assert made.trace[-1]["f_last"] - known["f_star"] <= 1e-4
    assert made.d is not None
    assert made.d <= known["D"]
    given = dadapt_cli.fit(data, l2="1/n", reference=known["f_star"], iterations=20)
    assert given.trace[-1]["suboptimality_average"] > 0


def test_checkpoints(folders: dict[str, Path], tmp_path: Path) -> None:
    data, file = opened(folders["dna.scale.xz"]), tmp_path / "checkpoint"
    whole = dadapt_cli.fit(data, algo="dual-avg", iterations=30)
    dadapt_cli.fit(data, algo="dual-avg", iterations=11, checkpoint=file)
    assert file.stat().st_size < 20 * 180 * 3 * 8  # vectors of weights, none of samples
    resumed = dadapt_cli.fit(data, resume=file, iterations=30)
    assert resumed.w.tobytes() == whole.w.tobytes()
    with pytest.raises(InputOutputError, match="data"):
        dadapt_cli.fit(opened(folders["vehicle.scale"]), resume=file, iterations=40)


def test_auto_picks_what_packed_data_take(
    tmp_path: Path, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """newton where there is a factor, or where leaves are held; with its reason."""
    text = tmp_path / "text"
    rng = np.random.default_rng(0)
    rows = [" ".join(f"{j}:1" for j in np.unique(rng.integers(1, 9000, 9))) for _ in range(2000)]
    text.write_text("".join(f"{1 - 2 * (i % 2)} {row} 9001:1\n" for i, row in enumerate(rows)))
    wide = pack(str(text), str(tmp_path / "folder"), Packing(leaf=5000))
    small = opened(folders["wdbc.scale.xz"])

    choose = auto.choose

    def picked(data: Data, hold: bool | None, **options: Any) -> str:
        lines: list[str] = []

        def watched(*args: Any, **more: Any) -> Any:
            chosen, reason = choose(*args, **more)
            lines.append(reason)
            return chosen, reason

        if hold is not None:
            monkeypatch.setattr("dadapt_cli.solver.packed.require_memory", lambda *a: hold)
        monkeypatch.setattr(auto, "choose", watched)
        made = dadapt_cli.fit(data, algo="auto", iterations=1, **options)
        (line,) = lines
        assert line.startswith(made.start["algorithm"])
        return line

    file = tmp_path / "checkpoint"
    assert picked(small, False).startswith("newton: a factor of 30 unknowns")
    assert picked(wide, True).startswith("newton: the leaves are held in memory; ")
    assert picked(wide, False).startswith("lbfgs")
    assert picked(wide, False, checkpoint=file).startswith("newton: a checkpoint can hold it; ")
    assert picked(wide, False, resume=file).startswith("newton: a checkpoint can hold it; ")
    assert picked(small, True, metric="half").startswith("lbfgs")
    assert picked(small, True, metric="half", checkpoint=tmp_path / "2").startswith("accel")
    monkeypatch.undo()
    _, numbers = classes_of(small, None)
    plain = share.Settings("float64", False, numbers, 1, False)
    there = bytes_needed(small, plain)[0] - 60 * 2**20  # just enough, beside the program
    monkeypatch.setattr(memory, "available", lambda: there)
    monkeypatch.setattr(memory, "ASKED", 0)  # what is free is asked for little, too
    assert picked(small, None, threads=1).startswith("lbfgs")
    with pytest.raises(DataError, match="--leaf"):
        picked(small, None, threads=1, checkpoint=tmp_path / "3")


def test_C_is_another_name_for_l2(folders: dict[str, Path]) -> None:
    data = opened(folders["wdbc.scale.xz"])
    one = dadapt_cli.fit(data, C=10.0, iterations=5)
    assert one.w.tobytes() == dadapt_cli.fit(data, l2=1 / 5690, iterations=5).w.tobytes()
    assert one.w.tobytes() != dadapt_cli.fit(data, iterations=5).w.tobytes()


def test_positive(folders: dict[str, Path]) -> None:
    X, y = read_text("dna.scale.xz")
    ours = dadapt_cli.fit(opened(folders["dna.scale.xz"]), iterations=5, positive=3)
    text = dadapt_cli.fit(X, y, iterations=5, positive=3, reference="none")
    assert ours.classes == text.classes == ("rest", 3)
    np.testing.assert_allclose(ours.w, text.w, rtol=1e-9, atol=1e-12)
    two = dadapt_cli.fit(opened(folders["wdbc.scale.xz"]), iterations=2, positive=-1)
    assert two.classes == (1, -1)
    with pytest.raises(UsageError, match="no row has it"):
        dadapt_cli.fit(opened(folders["dna.scale.xz"]), positive=9)


@pytest.mark.parametrize(
    "options",
    [
        ("--scale", "unit"),
        ("--weight", "1=2"),
        ("--certificate", "proof"),
        ("--stop-when-proven", 0.5, "--l2", "1/n"),
        ("--cross-validate", 3),
        ("--path", "1,0.1"),
        ("--reference", "always", "--l2", 0),
        ("--reference", "always", "--intercept"),
        ("--reference", "always", "--dtype", "float32"),
        ("--tol", 1e-3, "--l2", 0),
        ("--tol", 1e-3, "--l2", 0.1, "--intercept"),
        ("--zero-based",),
        ("--features", 9),
        ("--lenient",),
        ("--memory-limit", "many"),
    ],
)
def test_options_that_packed_data_do_not_take(
    folders: dict[str, Path], cli: Cli, options: tuple[Any, ...]
) -> None:
    ran = cli("fit", folders["wdbc.scale.xz"], *options)
    assert ran.code == 2, ran
    assert str(options[0]).lstrip("-") in ran.err or "--algo" in ran.err
    assert ran.err.count("\n") == 1


def test_the_command_line(folders: dict[str, Path], cli: Cli, tmp_path: Path) -> None:
    folder, text = folders["dna.scale.xz"], DATA / "dna.scale.xz"
    ran = cli("fit", folder, "-n", 9, "--test", folder, "--save", tmp_path / "m.npz", "-f", "jsonl")
    assert ran.code == 0, ran
    first, *_, end = [json.loads(line) for line in ran.out.splitlines()]
    assert first["data"]["samples"] == 2000
    assert first["data"]["problem"] == "dna.scale"
    assert end["test_accuracy"] == end["accuracy"]
    assert end["test_log_loss"] == pytest.approx(end["log_loss"], rel=1e-12)
    both = [cli("predict", x, "-m", tmp_path / "m.npz", "--probability") for x in (folder, text)]
    assert both[0].out == both[1].out
    assert both[0].err.partition(": accuracy")[2] == both[1].err.partition(": accuracy")[2] != ""
    js = [cli("predict", x, "-m", tmp_path / "m.npz", "--probability", "--json")
          for x in (folder, text)]  # fmt: skip
    found, whole = (json.loads(ran.out) for ran in js)
    assert list(found) == list(whole)
    assert found.pop("log_loss") == pytest.approx(whole.pop("log_loss"), rel=1e-12)
    assert found == whole
    assert js[0].err.partition(": accuracy")[2] == both[0].err.partition(": accuracy")[2]
    cross = cli("fit", text, "-n", 2, "--reference", "none", "--test", folder, "-f", "jsonl")
    assert json.loads(cross.out.splitlines()[-1])["test_accuracy"] is not None
    (tmp_path / "empty").mkdir()
    assert cli("fit", tmp_path / "empty").code in (2, 4)


def test_damage_during_a_run_is_no_signal(folders: dict[str, Path], tmp_path: Path) -> None:
    """Checksums are compared once; what could lead outside an array is looked at each time."""
    for part, first in (
        ("indices", b"\xff\xff\xff\x7f"),
        ("indices", b"\xff\xff\xff\xff"),
        ("indptr", b"\0\0\0\0\0\0\0\1"),
        ("labels", b"\x7f"),
        ("labels", b"\x80"),
        ("indices", b""),
    ):
        room = tmp_path / f"{part}{first.hex()}"
        room.mkdir()
        for path in folders["dna.scale.xz"].iterdir():
            (room / path.name).write_bytes(path.read_bytes())
        own = problem(opened(room))
        w = own.zeros()
        own.value_and_gradient(w)
        place = room / format.name(0, part)
        content = bytearray(place.read_bytes())
        if first:
            content[format.HEADER + 8 : format.HEADER + 8 + len(first)] = first
        else:
            del content[200:]
        place.write_bytes(content)
        with pytest.raises(DataError, match=r"damaged|cut short"):
            own.value_and_gradient(w)


def test_an_error_ends_the_threads(folders: dict[str, Path]) -> None:
    data = opened(folders["wdbc.scale.xz"])
    for threads in (1, 3):
        stream = Stream(data, range(len(data.leaves)), np.dtype(float), threads, hold=False)

        def work(rows: Any) -> int:
            if rows.leaf.number == 2:
                raise ZeroDivisionError
            return 0

        with pytest.raises(ZeroDivisionError):
            list(stream.each(work))
        assert len(list(stream.each(lambda rows: rows.leaf.rows))) == len(data.leaves)


def test_text_larger_than_the_memory_is_refused_with_the_remedy(tmp_path: Path, cli: Cli) -> None:
    """Before memory is taken: 2 % of the text are read."""
    text = tmp_path / "text"
    row = "1 " + " ".join(f"{j}:0.5" for j in range(1, 9000)) + "\n"
    with text.open("w") as out:
        for i in range(3500):
            out.write(("-" if i % 2 else "") + row)
    taken = memory._fields("/proc/self/status")["VmRSS"] * 1024
    ran = cli("fit", text, "--memory-limit", taken + 2**28, "-n", 1)
    assert ran.code == 3
    assert "dadapt pack" in ran.err
    assert ran.err.count("\n") == 1


REFUSED = """
import re, sys
from pathlib import Path
from dadapt_cli.cli import run
def memory(field):
    return 1024 * int(re.search(field + ":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
run(["fit", sys.argv[1], "-n", "1", "-q"])  # the imports
limit = memory("VmRSS") + int(sys.argv[3])
code = run(["fit", sys.argv[2], "-n", "1", "--memory-limit", str(limit)])
print(int(code), memory("VmHWM"), limit)
"""


@pytest.mark.parametrize("kind", ["plain", "gzip"])
def test_a_small_limit_is_kept_too(tmp_path: Path, kind: str) -> None:
    """The matrix is 120 MB, 64 MiB are allowed: refused before they are taken."""
    row = b"1 " + b" ".join(b"%d:2" % j for j in range(1, 9000)) + b"\n"
    text = tmp_path / "text"
    content = (row + b"-" + row) * 560
    text.write_bytes(content if kind == "plain" else gzip.compress(content, 1))
    (tmp_path / "small").write_text("1 1:1\n-1 2:1\n")
    command = [sys.executable, "-c", REFUSED, str(tmp_path / "small"), str(text), str(2**26)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    code, peak, limit = map(int, ran.stdout.split("\n")[-2].split())
    assert code == 3
    assert "dadapt pack makes a folder" in ran.stderr
    assert peak < limit


def test_sizes_and_limits(folders: dict[str, Path]) -> None:
    assert memory.size("8G") == 2**33
    assert memory.size("1.5M") == 3 * 2**19
    assert memory.size("123") == 123
    for bad in ("", "G", "-1G", "1e9", "0", "8g", "1_0"):
        with pytest.raises(ValueError, match="no size"):
            memory.size(bad)
    with memory.limited(2**20):
        assert memory.available() == 0
    assert memory.available() != 0
    with pytest.raises(DataError, match="--leaf"):
        dadapt_cli.fit(opened(folders["wdbc.scale.xz"]), memory_limit="1M")


PEAK = """
import sys
import tracemalloc
import dadapt_cli
data = dadapt_cli.packed(sys.argv[1])
if len(sys.argv) > 2:
    more = {"epochs": 1} if sys.argv[3] == "adam" else {"iterations": 8}
    dadapt_cli.fit(data, algo=sys.argv[3], threads=2, memory_limit=sys.argv[2], **more)
else:
    import dadapt_cli.solver.stages, scipy.linalg
from dadapt_cli.system import memory  # not ru_maxrss: it has the peak of the parent before exec
print(memory._fields("/proc/self/status")["VmHWM"] * 1024)
"""


@pytest.mark.parametrize("algo", ["dual-avg", "newton", "orth", "adam"])
def test_the_peak_of_memory_is_what_is_asked_for(tmp_path: Path, algo: str) -> None:
    """Beyond the imports, of a folder larger than that. A fifth is the allocator's."""
    rng = np.random.default_rng(0)
    X = sp.random_array((40_000, 3000), density=0.02, rng=rng, format="csr")
    write_libsvm(tmp_path / "text", X, np.where(rng.random(40_000) < 0.5, 1, -1))
    data = pack(str(tmp_path / "text"), str(tmp_path / "folder"), Packing(leaf=90_000))
    _, numbers = classes_of(data, None)
    info, plain = algorithms.find(algo).INFO, share.Settings("float64", False, numbers, 2, False)
    streaming, held = bytes_needed(data, keeping(plain, info, Options(algo=algo), data))
    assert held > bytes_needed(data, plain)[0] - 60 * 2**20
    command = [sys.executable, "-c", PEAK, str(tmp_path / "folder")]
    bare = int(subprocess.run(command, check=True, capture_output=True).stdout)
    limit = bare + int(1.3 * (streaming - 60 * 2**20))
    run = subprocess.run([*command, str(limit), algo], check=True, capture_output=True)
    print(algo, bare >> 20, int(run.stdout) - bare >> 20, streaming - 60 * 2**20 >> 20)
    assert int(run.stdout) - bare < 1.2 * (streaming - 60 * 2**20)


def test_constants_that_are_repeated() -> None:
    assert (format.MANIFEST, format.JOURNAL) == _reading.PACKED
    assert pack_command.LEAF == format.LEAF


def test_python_can_say_packed(folders: dict[str, Path]) -> None:
    data = dadapt_cli.packed(folders["wdbc.scale.xz"])
    assert data.shape == (569, 30)
    with pytest.raises(UsageError, match="own labels"):
        dadapt_cli.fit(data, np.ones(569))
    with pytest.raises(UsageError, match="y: give"):
        dadapt_cli.fit(np.ones((3, 2)))


def test_a_pass_copies_no_indices(tmp_path: Path) -> None:
    """Of leaves in reused buffers, which are views: the transposed product must not copy them."""
    text = tmp_path / "text"
    row = " ".join(f"{j}:1" for j in range(1, 1001))
    text.write_text("".join(f"{i % 2} {row}\n" for i in range(400)))
    data = pack(str(text), str(tmp_path / "folder"), Packing(leaf=100_000))
    own = problem(data)
    w = own.zeros()
    own.value_and_gradient(w)  # the buffers are made
    tracemalloc.start()
    try:
        own.value_and_gradient(w)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 200_000  # the indices of a leaf are 400 000 bytes
