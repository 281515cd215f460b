"""Methods that keep numbers for each sample, and minibatch methods, on packed folders."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dadapt_cli
from dadapt_cli.algorithms import _plan, newton, sgd
from dadapt_cli.checkpoint.file import read as read_checkpoint
from dadapt_cli.cluster.local import Local
from dadapt_cli.errors import DataError
from dadapt_cli.libsvm import read_libsvm
from dadapt_cli.objective import Problem
from dadapt_cli.objective.margins import Margins
from dadapt_cli.packed import kept
from dadapt_cli.packed.batches import BUFFER, PackedBatches
from dadapt_cli.packed.folder import Data, opened
from dadapt_cli.packed.objective import Packed, bytes_needed, classes_of
from dadapt_cli.packed.pack import Packing, pack
from dadapt_cli.packed.settings import Settings
from dadapt_cli.packed.share import Share
from dadapt_cli.packed.tree import share as leaves_of
from dadapt_cli.preprocessing.labels import encode
from dadapt_cli.solver.options import Options
from dadapt_cli.solver.packed import keeping

from ..conftest import DATA, Ran, timeless
from ..conftest import read as read_text

Cli = Callable[..., Ran]


@pytest.fixture(scope="module")
def a9a(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Data:
    """Eleven leaves."""
    folder = tmp_path_factory.mktemp("a9a") / "folder"
    data = pack(str(shared / "data" / "a9a.xz"), str(folder), Packing(leaf=42_000))
    assert len(data.leaves) == 11
    return data


class Split:
    """An engine of so many workers in this process, each with its own leaves, asked in turn."""

    def __init__(self, data: Data, settings: Settings, workers: int) -> None:
        count = len(data.leaves)
        shares = [leaves_of(count, workers, rank) for rank in range(workers)]
        self.shares = [Share(data, leaves, settings) for leaves in shares]

    def ask(self, operation: str, argument: Any = None) -> list[Any]:
        return [node for own in self.shares[::-1] for node in own.ask(operation, argument)]


def runs(
    data: Data, monkeypatch: pytest.MonkeyPatch, ways: list[tuple[bool, int, int]], **options: Any
) -> list[Any]:
    """What a fit gives, read or held, with so many threads and workers."""
    found = []
    for hold, threads, workers in ways:
        monkeypatch.setattr("dadapt_cli.solver.packed.require_memory", lambda *a, h=hold: h)
        monkeypatch.setattr(
            "dadapt_cli.solver.packed.Local",
            lambda data, settings, w=workers: (
                Local(data, settings) if w == 1 else Split(data, settings, w)
            ),
        )
        made = dadapt_cli.fit(data, threads=threads, **options)
        found.append(([timeless(row) for row in made.trace], made.w.tobytes(), made.d))
    return found


WAYS = [(False, 1, 1), (True, 2, 1), (False, 2, 2), (True, 1, 3)]

FORMS = {
    "binary": "wdbc.scale.xz", "half>binary": "wdbc.scale.xz", "identity": "wdbc.scale.xz",
    "full": "vehicle.scale", "kron>full": "dna.scale.xz", "kron": "vehicle.scale",
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "more", [{}, {"bias": True, "dtype": "float32"}, {"intercept": True}], ids=str
)
def test_newton_is_that_of_the_text_and_one_bit_pattern(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, form: str, more: dict[str, Any]
) -> None:
    """Near to 1e-9 in float64: the sampled rows and all steps are the same, to rounding."""
    first, _, later = form.partition(">")
    rows = 60 if first in ("binary", "full") or later else 0
    chosen = _plan.Plan(first, 5, rows, 60, 1e-4, "a test's", later, 4.0)
    monkeypatch.setattr(newton, "plan", lambda problem: chosen)
    monkeypatch.setattr(newton, "begins_single", lambda problem: False)  # of the text
    options = {"algo": "newton", "iterations": 14, "l2": 0.01, **more}
    found = runs(opened(folders[FORMS[form]]), monkeypatch, WAYS, **options)
    assert all(run == found[0] for run in found)
    text = dadapt_cli.fit(*read_text(FORMS[form]), reference="none", **options)
    near = 1e-5 if "dtype" in more else 1e-9
    theirs = {row["k"]: row["f_last"] for row in text.trace}
    assert near > 1e-9 or len(theirs) == len(found[0][0])  # rounding ends a run in float32
    for row in found[0][0]:
        assert row["f_last"] == pytest.approx(theirs.get(row["k"], row["f_last"]), rel=near)
    w = np.frombuffer(found[0][1], text.w.dtype).reshape(text.w.shape)
    np.testing.assert_allclose(w, text.w, rtol=0, atol=1000 * near * np.abs(text.w).max())


SEARCHES: list[dict[str, Any]] = [
    {"memory": 2}, {"inner": "newton", "bias": True, "metric": "identity"},
    {"lbfgs_pairs": 2, "memory": 0}, {"dtype": "float32", "intercept": True},
]  # fmt: skip


@pytest.mark.parametrize("name", ["wdbc.scale.xz", "vehicle.scale"])
@pytest.mark.parametrize("more", SEARCHES, ids=str)
def test_orth_is_that_of_the_text_and_one_bit_pattern(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, name: str, more: dict[str, Any]
) -> None:
    """Near to 1e-9; pairs, whose margins are not stored, carry more rounding on."""
    options = {"algo": "orth", "iterations": 28, "l2": 0.01, **more}  # all is computed anew at 25
    found = runs(opened(folders[name]), monkeypatch, WAYS, **options)
    assert all(run == found[0] for run in found)
    text = dadapt_cli.fit(*read_text(name), reference="none", **options)
    near = 1e-5 if "dtype" in more else 1e-6 if "lbfgs_pairs" in more else 1e-9
    theirs = {row["k"]: row["f_last"] for row in text.trace}
    compared = [row for row in found[0][0] if row["k"] in theirs]
    assert len(compared) > 4
    for row in compared:
        assert row["f_last"] == pytest.approx(theirs[row["k"]], rel=near)


@pytest.mark.parametrize("algo", ["newton", "orth"])
def test_runs_on_a9a(a9a: Data, shared: Path, monkeypatch: pytest.MonkeyPatch, algo: str) -> None:
    monkeypatch.setattr(newton, "begins_single", lambda problem: False)  # of the text
    options = {"algo": algo, "iterations": 12, "l2": "1/n"}
    found = runs(a9a, monkeypatch, WAYS, **options)
    assert all(run == found[0] for run in found)
    text = dadapt_cli.fit(*read_libsvm(shared / "data" / "a9a.xz"), reference="none", **options)
    assert found[0][0][-1]["f_last"] == pytest.approx(text.trace[-1]["f_last"], rel=1e-12)
    assert found[0][0][-1]["f_last"] < {"newton": 0.32342, "orth": 0.33}[algo]


def test_sampled_rows_are_those_of_the_text(folders: dict[str, Path]) -> None:
    for name in folders:
        data = opened(folders[name])
        labels, numbers = classes_of(data, None)
        settings = Settings("float64", True, numbers, 1, False)
        ours = Packed(data, labels, Split(data, settings, 2), settings, l2=0.1, intercept=False)
        X, y = read_text(name)
        text = Problem(X, encode(y), bias=True)
        w = np.random.default_rng(2).normal(size=ours.shape) / 9
        own, plain = ours.sums.margins(ours), Margins(text)
        for margins in (own, plain):
            margins.at(w)
            margins.loss(moved=False)
        for count in (40, text.n, 2 * text.n):
            one, other = own.sample(count, 3), plain.sample(count, 3)
            dense = other.problem.X if isinstance(text.X, np.ndarray) else text.X.toarray()
            np.testing.assert_array_equal(one.problem.X.toarray(), dense[other.rows])
            np.testing.assert_allclose(one.q, other.q, rtol=1e-12)


def test_a_sample_is_as_large_as_the_leading_process_has_room_for(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dadapt_cli.packed.objective.SAMPLE", 900)
    monkeypatch.setattr(_plan, "NOTHING", 0)
    seen = []
    sample = kept.sample_of

    def watched(part: Any, *more: Any) -> Any:
        seen.append(sum(map(len, part[2])))
        return sample(part, *more)

    monkeypatch.setattr("dadapt_cli.packed.margins.sample_of", watched)
    made = dadapt_cli.fit(opened(folders["wdbc.scale.xz"]), algo="newton", iterations=30)
    assert set(seen) == {30}  # rows of 30 entries
    assert made.trace[-1]["grad_norm"] < 1e-4


KILLED = """
import json, os, signal, sys
import dadapt_cli
def killed(row):
    if row.get("k", 0) >= int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)
dadapt_cli.fit(dadapt_cli.packed(sys.argv[1]), algo=sys.argv[2], checkpoint=sys.argv[3],
               checkpoint_every=0, iterations=99, every=1, callback=killed,
               **json.loads(sys.argv[5]))
"""


@pytest.mark.parametrize(
    ("algo", "name", "more"),
    [
        ("newton", "dna.scale.xz", {}),
        ("newton", "vehicle.scale", {"l2": 1e-9}),
        ("orth", "vehicle.scale", {"lbfgs_pairs": 2, "memory": 2}),
        ("orth", "dna.scale.xz", {"inner": "newton"}),
    ],
)
def test_a_killed_run_goes_on_to_the_same_bits(
    folders: dict[str, Path], tmp_path: Path, algo: str, name: str, more: dict[str, Any]
) -> None:
    """At a step whose margins no checkpoint determines, with other threads."""
    file, last = tmp_path / "checkpoint", 16 if algo == "newton" else 40
    command = [sys.executable, "-c", KILLED, str(folders[name]), algo, str(file), str(last - 3)]
    command.append(json.dumps(more))
    assert subprocess.run(command, check=False).returncode == -9
    data = opened(folders[name])
    whole = dadapt_cli.fit(data, algo=algo, iterations=last, every=1, threads=2, **more)
    assert read_checkpoint(str(file)).k == {"newton": 10, "orth": 25}[algo]
    resumed = dadapt_cli.fit(data, resume=file, iterations=last)
    assert resumed.w.tobytes() == whole.w.tobytes()
    assert [timeless(row) for row in resumed.trace] == [timeless(row) for row in whole.trace]


@pytest.mark.parametrize("algo", ["newton", "orth"])
def test_checkpoints_hold_no_number_a_sample(
    folders: dict[str, Path], tmp_path: Path, algo: str
) -> None:
    data, file = opened(folders["dna.scale.xz"]), tmp_path / "checkpoint"
    dadapt_cli.fit(data, algo=algo, iterations=50, checkpoint=file, checkpoint_every=0)
    kept_run = read_checkpoint(str(file))
    assert kept_run.k >= 25
    n = data.shape[0]
    assert not any({n, 3 * n} & set(array.shape) for array in kept_run.arrays.values())


def test_memory_is_asked_for_before_work(folders: dict[str, Path]) -> None:
    data = opened(folders["vehicle.scale"])
    _, numbers = classes_of(data, None)
    batch = keeping(Settings("float64", False, numbers, 1, False), sgd.INFO, Options(), data)
    assert batch.lead_bytes > 5 * 12 * data.largest_leaf[1]
    plain = Settings("float64", False, numbers, 1, False)
    more = keeping(plain, newton.INFO, Options(), data)
    asked = bytes_needed(data, more)[0] - bytes_needed(data, plain)[0]
    assert asked >= data.shape[0] * 8 * 3 * 4 + 12 * 72**2
    own = bytes_needed(data, more)[0] - 60 * 2**20
    with pytest.raises(DataError, match="--leaf"):
        dadapt_cli.fit(data, algo="newton", memory_limit="1M")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dadapt_cli.system.memory.ASKED", 0)  # also for little
        patch.setattr("dadapt_cli.system.memory.available", lambda: own - 1)
        with pytest.raises(DataError, match="--leaf"):
            dadapt_cli.fit(data, algo="newton", iterations=1)
        dadapt_cli.fit(data, algo="lbfgs", iterations=1)


@pytest.fixture
def few(tmp_path: Path) -> Data:
    """As many leaves as are shuffled together."""
    data = pack(str(DATA / "vehicle.scale"), str(tmp_path / "few"), Packing(leaf=4000))
    assert len(data.leaves) == BUFFER
    return data


@pytest.mark.parametrize("algo", ["sgd", "adam", "adam-plain", "prodigy-adam", "cocob"])
@pytest.mark.parametrize("more", [{}, {"bias": True}, {"average": "uniform", "dtype": "float32"}],
                         ids=str)  # fmt: skip
def test_minibatches_of_few_leaves_are_those_of_the_text(
    few: Data, algo: str, more: dict[str, Any]
) -> None:
    """The same rows in the same order: to rounding, which 4 epochs of 53 steps carry on."""
    options = {"algo": algo, "epochs": 4, "l2": 0.01, **more}
    if "plain" in algo:
        options["lr"] = 0.01
    ours = dadapt_cli.fit(few, **options)
    text = dadapt_cli.fit(*read_text("vehicle.scale"), reference="none", **options)
    near = 1e-3 if "dtype" in more else 1e-8
    for one, other in zip(ours.trace, text.trace, strict=True):
        for name in ("f_last", "f_average", "d", "gradients"):
            same = other[name] is None or pytest.approx(other[name], rel=near)
            assert (one[name] is None) if same is True else one[name] == same, name


def batches(data: Data, size: int, seed: int = 3) -> PackedBatches:
    labels, numbers = classes_of(data, None)
    settings = Settings("float64", False, numbers, 1, False)
    own = Packed(data, labels, Local(data, settings), settings, l2=0.1, intercept=False)
    return own.sums.batches(own, size, seed)


@pytest.mark.parametrize("size", [1, 16, 100, 569])
def test_an_epoch_has_each_row_once_and_goes_on_anywhere(
    folders: dict[str, Path], size: int
) -> None:
    """Rows of wdbc are all different. A batch that two buffers share is whole."""
    data = opened(folders["wdbc.scale.xz"])
    assert len(data.leaves) > BUFFER
    X, y = read_text("wdbc.scale.xz")
    rows = sorted((*x, label) for x, label in zip(X.toarray().tolist(), y, strict=True))
    for densify in (True, False):
        own = batches(data, size)
        own.densify = densify
        first, second = (list(own.epoch()) for _ in range(2))
        assert len(first) == own.count
        for epoch in (first, second):
            assert {len(y) for _, y, _ in epoch[:-1]} <= {size}
            dense = [(A if densify else A.toarray(), y) for A, y, _ in epoch]
            seen = [(*x, label) for A, y in dense for x, label in zip(A.tolist(), y, strict=True)]
            assert sorted(seen) == rows
        assert not np.array_equal(first[0][1], second[0][1]) or size == 1
        for done in (0, 1, 7, own.count // 2, own.count - 1, own.count):
            again = batches(data, size)
            again.densify = densify
            rest = list(again.epoch(done))
            assert len(rest) == max(0, own.count - done)
            for (A, a, _), (B, b, _) in zip(rest, first[done:], strict=True):
                assert (A != B).sum() == 0
                assert a.tobytes() == b.tobytes()
            (A, a, _), *_ = again.epoch()
            assert a.tobytes() == second[0][1].tobytes()


def test_rows_of_an_epoch_are_shuffled_within_buffers_of_leaves(folders: dict[str, Path]) -> None:
    """Leaves, too, in another order each time; which of them meet changes."""
    data = opened(folders["wdbc.scale.xz"])
    X, _ = read_text("wdbc.scale.xz")
    place = {tuple(x): i for i, x in enumerate(X.toarray().tolist())}
    leaf_of = np.repeat(np.arange(len(data.leaves)), [leaf.rows for leaf in data.leaves])
    own, groups = batches(data, 1), []
    for _ in range(3):
        order = [leaf_of[place[tuple(A[0].tolist())]] for A, _, _ in own.epoch()]
        rows = sum(int((leaf_of == leaf).sum()) for leaf in dict.fromkeys(order[:200]))
        first = set(order[:rows])
        assert len(first) == BUFFER
        assert not first & set(order[rows:])
        assert order[:rows] != sorted(order[:rows])
        groups.append(frozenset(first))
    assert len(set(groups)) > 1


@pytest.mark.parametrize("algo", ["sgd", "adam"])
def test_minibatch_runs_are_one_bit_pattern_and_resume(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algo: str
) -> None:
    """However leaves are read; stopped within an epoch, in a batch that two buffers share."""
    data, file = opened(folders["wdbc.scale.xz"]), tmp_path / "checkpoint"
    options: dict[str, Any] = {"algo": algo, "epochs": 5, "seed": 5, "batch_size": 7}
    found = runs(data, monkeypatch, [(False, 1, 1), (True, 2, 1), (False, 2, 1)], **options)
    assert all(run == found[0] for run in found)
    other = runs(data, monkeypatch, [(False, 1, 1)], **{**options, "seed": 6})
    assert other[0] != found[0]
    steps = 0
    module = sys.modules[f"dadapt_cli.algorithms.{algo}"]
    step = module.step

    def stopped(*args: Any) -> None:
        nonlocal steps
        steps += 1
        if steps == 200:
            raise KeyboardInterrupt
        step(*args)

    with monkeypatch.context() as patch:
        patch.setattr(module, "step", stopped)
        with pytest.raises(KeyboardInterrupt):
            dadapt_cli.fit(data, checkpoint=file, checkpoint_every=0, **options)
    resumed = dadapt_cli.fit(data, resume=file)
    assert resumed.w.tobytes() == found[0][1]
    assert [timeless(row) for row in resumed.trace] == found[0][0]


def test_minibatch_methods_learn_as_from_text(a9a: Data, shared: Path) -> None:
    """Another order of the rows, the same data: f of the average within 2 % of the text's."""
    options: dict[str, Any] = {"algo": "adam", "epochs": 3, "batch_size": 64}
    options["average"] = "schedule-free"
    ours = dadapt_cli.fit(a9a, **options)
    X, y = read_libsvm(shared / "data" / "a9a.xz")
    text = dadapt_cli.fit(X, y, reference="none", **options)
    name = "f_average"
    assert ours.trace[-1][name] == pytest.approx(text.trace[-1][name], rel=0.02)
    assert ours.trace[-1][name] < 0.34


@pytest.mark.parametrize("name", ["wdbc.scale.xz", "dna.scale.xz", "vehicle.scale"])
def test_a_reference_is_that_of_the_text(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, name: str, caches: Path
) -> None:
    """By passes alone: f* within both certified gaps, the same D; d/D and f - f* have values."""
    options: dict[str, Any] = {"reference": "always", "l2": 0.01, "iterations": 20, "bias": True}
    text = dadapt_cli.fit(*read_text(name), **options)
    found = []
    for hold, threads, workers in WAYS[:3]:
        monkeypatch.setenv("DADAPT_CACHE", str(caches / f"{name}{len(found)}"))
        found += runs(opened(folders[name]), monkeypatch, [(hold, threads, workers)], **options)
    assert all(run == found[0] for run in found)
    ours = dadapt_cli.fit(opened(folders[name]), **options)  # from the cache, proven anew
    one, other = ours.reference, text.reference
    assert one["status"] == "attained"
    assert abs(one["f_star"] - other["f_star"]) <= max(one["gap"], other["gap"])
    assert one["gap"] < 1e-9 * one["f_star"]
    for distance in ("D", "D_inf"):
        error = one["D_error"] + other["D_error"]
        assert abs(one[distance] - other[distance]) <= error < 1e-3 * one["D"]
    for row in ours.trace:
        assert row["suboptimality_last"] >= 0
        assert 0 < row["d_over_D"] <= 1
        assert row["bound"] is None or row["bound"] >= row["suboptimality_average"]
    gap = ours.end["gap"]
    assert ours.end["suboptimality_best"] <= gap <= 1.001 * ours.end["suboptimality_best"] + 1e-9
    assert "newton" in one["method"]


def test_polyak_takes_the_reference(folders: dict[str, Path]) -> None:
    data = opened(folders["wdbc.scale.xz"])
    made = dadapt_cli.fit(data, algo="polyak", reference="always", l2=0.1, iterations=50)
    assert 0 <= made.end["suboptimality_best"] < 0.05
