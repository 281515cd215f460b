"""``dadapt pack --estimate``: the folder that pack would make, from the beginning of the text."""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dadapt_cli.packed import estimate as room
from dadapt_cli.packed.estimate import estimate, folder_bytes
from dadapt_cli.packed.folder import opened
from dadapt_cli.packed.pack import Packing, pack
from dadapt_cli.solver.estimate import METHODS, needs
from dadapt_cli.system import memory

from ..conftest import DATA, Ran

Cli = Callable[..., Ran]

LIMITS = (2**30, 200.0)


def text(path: Path, rows: int, value: str = "1") -> Path:
    rng = np.random.default_rng(0)
    path.write_text(
        "".join(
            f"{row % 2} "
            + " ".join(f"{j}:{value}" for j in np.flatnonzero(rng.random(300) < 0.1) + 1)
            + "\n"
            for row in range(rows)
        )
    )
    return path


@pytest.mark.parametrize(
    ("value", "dtype"), [("1", "float64"), ("0.5", "float32"), ("2", "float64")]
)
@pytest.mark.parametrize("compress", [False, True])
def test_the_estimate_is_near_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, dtype: str, compress: bool
) -> None:
    monkeypatch.setattr(room, "SAMPLE", 2**17)
    how = Packing(dtype=dtype, leaf=5000)  # type: ignore[arg-type]
    path = text(tmp_path / "text", 16_000, value)
    data = pack(str(path), str(tmp_path / "folder"), how)
    if compress:
        path.write_bytes(gzip.compress(path.read_bytes(), 1))
    found = estimate(str(path), how, LIMITS)
    assert not found.whole
    assert found.sample < found.text / 2
    real = sum(p.stat().st_size - 128 for p in (tmp_path / "folder").glob("*.npy"))
    assert folder_bytes(data) == pytest.approx(real, rel=1e-3)  # a row end a leaf, not a shard
    for got, expected in (
        (folder_bytes(found.data), real),
        (found.data.nnz, data.nnz),
        (found.data.shape[0], data.shape[0]),
        (len(found.data.leaves), len(data.leaves)),
        (sum(leaf.entries for leaf in found.data.leaves), data.nnz),
        (needs(found.data, 2)[0].read, needs(data, 2)[0].read),
    ):
        assert got == pytest.approx(expected, rel=0.05)
    assert found.data.shape[1] == data.shape[1]
    assert found.seconds > 0


def test_a_text_within_the_sample_is_exact(tmp_path: Path) -> None:
    path = text(tmp_path / "text", 50)
    data = pack(str(path), str(tmp_path / "folder"), Packing())
    found = estimate(str(path), Packing(), LIMITS)
    assert found.whole
    assert found.data.about == data.about
    assert found.data.leaves == data.leaves


def test_the_command(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    path = text(tmp_path / "text", 16_000)
    ran = cli("pack", "--estimate", path)
    assert ran.code == 0
    assert ran.out.startswith(f"{path}: 16000 samples, 300 features, ")
    assert "fits in memory, it need not be packed" in ran.out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["text"]  # nothing is left
    monkeypatch.setattr(room, "SAMPLE", 2**15)
    ran = cli("pack", "--estimate", path)
    assert "at least 300 features, about " in ran.out
    assert "by the first " in ran.out
    monkeypatch.setattr(memory, "available", lambda: 2**20)
    assert "does not fit in memory; pack it" in cli("pack", "--estimate", path).out
    assert cli("pack", path, tmp_path / "folder").code == 0
    ran = cli("pack", "--estimate", tmp_path / "folder")
    assert f"16000 samples, 300 features, {opened(tmp_path / 'folder').nnz} nonzeros" in ran.out
    for method in METHODS:
        assert f"\n  {method} " in ran.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--estimate", "DATA", "folder"], "--estimate writes nothing"),
        (["--estimate", "DATA", "--resume"], "--estimate writes nothing"),
        (["DATA"], "name a FOLDER"),
    ],
)
def test_usage(cli: Cli, options: list[str], message: str) -> None:
    ran = cli("pack", *[str(DATA / "iris.scale") if o == "DATA" else o for o in options])
    assert ran.code == 2
    assert message in ran.err


def test_a_long_pipe_has_no_size(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SAMPLE", 2**15)
    content = text(tmp_path / "text", 16_000).read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    ran = cli("pack", "--estimate", "-")
    assert ran.code == 2
    assert "a pipe has no size" in ran.err


def test_a_bad_line_is_named_in_the_text(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "text").write_text("1 1:1\n1 1:x\n")
    ran = cli("pack", "--estimate", tmp_path / "text")
    assert ran.code == 3
    assert f"{tmp_path / 'text'}:2: " in ran.err
