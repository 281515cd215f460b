"""``dadapt paper criteo``: the synthetic, the table, the record, and taking up again."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dadapt_cli import fit, packed
from dadapt_cli.errors import InputOutputError, UsageError
from dadapt_cli.packed import criteo as hashing
from dadapt_cli.packed import reading
from dadapt_cli.packed.check import check
from dadapt_cli.packed.pack import Packing, pack
from dadapt_cli.paper import criteo

QUICK = ("--seeds", 2, "--grid", "1e-3,1e-2,0.1", "-q")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("criteo") / "made"
    criteo.make(str(place), 3000, columns=400)
    return place


def test_the_synthetic_is_of_criteos_shape(folder: Path, tmp_path: Path) -> None:
    for name, rows in (("train", 3000), ("test", 300)):
        data = packed(folder / name)
        check(data)
        assert data.shape == (rows, 400)
        assert data.about["longest_row"] <= 39
        assert 36 * rows < data.nnz < 39 * rows  # fields that fell into one column
        assert {leaf.kind.values for leaf in data.leaves} == {"ones"}
        assert 0.05 * rows < data.classes[1] < 0.95 * rows
        assert "synthetic" in data.about["text"]["encoding"]
    lines = criteo._lines(np.random.default_rng(0), 500)
    assert all(hashing.explain(line) is None for line in lines.splitlines())
    fields = np.array([line.split(b"\t") for line in lines.splitlines()])
    assert (fields[:, 1] == b"").mean() == pytest.approx(0.5, abs=0.1)
    assert len(np.unique(fields[:, 14])) <= 10 < len(np.unique(fields[:, 19]))
    criteo.make(str(tmp_path / "again"), 3000, columns=400)
    assert packed(tmp_path / "again" / "train").sha256 == packed(folder / "train").sha256
    with pytest.raises(InputOutputError):
        criteo.make(str(folder), 100)


def test_the_record(folder: Path, cli: Any) -> None:
    ran = cli("paper", "criteo", folder, *QUICK, "-f", "json")
    assert ran.code == 0
    (record,) = json.loads(ran.out)
    assert record["synthetic"] is True
    assert (record["samples"], record["test_samples"], record["features"]) == (3000, 300, 400)
    assert [row["lr"] for row in record["grid"]] == [1e-3, 1e-2, 0.1]
    best = max(record["grid"], key=lambda row: row["accuracy"])
    assert record["adam"]["accuracy"] == best["accuracy"]
    # the numbers of a fit by hand, judged on the held-out rows by hand
    data = packed(folder / "test")
    (leaf,) = data.leaves
    parts = reading.read(data, leaf)
    rows = reading.rows_of(data, leaf, parts, np.ones(leaf.entries), np.dtype(np.float64))
    y = np.array(list(data.classes))[rows.numbers]
    assert record["clicks"] == pytest.approx(y.mean())
    accuracy, loss = [], []
    for seed in range(2):
        made = fit(packed(folder / "train"), algo="adam", epochs=1, batch_size=128, seed=seed,
                   schedule="none", l2=0.0)  # fmt: skip
        z = rows.X @ made.w
        accuracy.append(100 * np.mean((z > 0) == y))
        loss.append(np.mean(np.logaddexp(0, np.where(y == 1, -z, z))))
    own = record["dadapt_adam"]
    assert own["accuracy"] == pytest.approx(np.mean(accuracy))
    assert own["log_loss"] == pytest.approx(np.mean(loss))
    assert own["se"] == pytest.approx(abs(accuracy[0] - accuracy[1]) / 2)
    assert own["d"] > 1e-4
    # it learns: better than saying no to all
    share = max(y.mean(), 1 - y.mean())
    assert record["adam"]["log_loss"] < -(share * np.log(share) + (1 - share) * np.log(1 - share))


def test_every_output_says_synthetic(folder: Path, cli: Any, tmp_path: Path) -> None:
    ran = cli("paper", "criteo", folder, *QUICK, "--out", tmp_path / "out")
    assert ran.code == 0
    assert "SYNTHETIC data of Criteo's shape, 3000 rows, 400 columns" in ran.out
    assert "D-Adapt Adam" in ran.out
    with (tmp_path / "out" / "criteo.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["lr"]) for row in rows] == [1e-3, 1e-2, 0.1]
    assert {row["data"] for row in rows} == {"synthetic"}


def test_finished_runs_are_reused(
    folder: Path, cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    ran: list[Any] = []

    def counted(*given: Any, **options: Any) -> Any:
        ran.append((options["algo"], options["seed"]))
        if len(ran) == 4:
            raise KeyboardInterrupt
        return fit(*given, **options)

    monkeypatch.setattr(criteo, "fit", counted)
    study = criteo.Study(seeds=2, grid=(1e-3, 1e-2))
    store = criteo.Store(str(out))
    with pytest.raises(KeyboardInterrupt):
        criteo.run(str(folder), study, store)
    first = criteo.run(str(folder), study, store)
    assert len(ran) == 4 + 3  # three were stored
    assert criteo.run(str(folder), study, store) == first
    assert len(ran) == 7
    criteo.run(str(folder), criteo.Study(seeds=2, epochs=2, grid=(1e-3, 1e-2)), store)
    assert len(ran) == 13  # other options, other results


def test_real_text_is_not_called_synthetic(tmp_path: Path, cli: Any) -> None:
    (tmp_path / "real").mkdir()
    how = Packing(format="criteo", features=300, zero_based=True)
    for name, seed in (("train", 1), ("test", 2)):
        lines = criteo._lines(np.random.default_rng(seed), 200).splitlines()
        text = b"".join(b"%d" % (i % 2) + line[1:] + b"\n" for i, line in enumerate(lines))
        (tmp_path / name).write_bytes(text)
        pack(str(tmp_path / name), str(tmp_path / "real" / name), how)
    ran = cli("paper", "criteo", tmp_path / "real", "--seeds", 1, "--grid", "1e-2", "-q")
    assert ran.code == 0
    assert "Criteo's text, 200 rows" in ran.out
    assert "synthetic" not in ran.out.lower()


def test_usage(folder: Path, cli: Any, tmp_path: Path) -> None:
    for options, message in (
        ([], "--make makes one"),
        ([folder, "--grid", "1,0.1"], "ascending"),
        ([folder, "--seeds", 0], "--seeds"),
        ([folder, "--report", "x.html"], "--report is of"),
        ([tmp_path / "new", "--make", "--rows", 3], "--rows"),
    ):
        ran = cli("paper", "criteo", *options)
        assert ran.code == 2
        assert message in ran.err
    ran = cli("paper", "criteo", tmp_path)
    assert ran.code == 3
    assert "dadapt pack" in ran.err
    ran = cli("paper", "criteo", tmp_path / "new", "--make", "--rows", 200)
    assert ran.code == 0
    assert ran.out.count("synthetic") == 2
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed" / "train").symlink_to(folder / "train")
    (tmp_path / "mixed" / "test").symlink_to(tmp_path / "new" / "test")
    with pytest.raises(UsageError, match="same --hash"):
        criteo.pair(str(tmp_path / "mixed"))
