"""Entries of the cache are guesses: whatever they say, nothing false is claimed, nothing hangs."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dadapt_cli import reference
from dadapt_cli.objective import Problem
from dadapt_cli.reference import Reference, cache
from dadapt_cli.system.files import cache_folder

from ..conftest import random_problem


def kept_entry() -> tuple[Problem, Reference, Path]:
    problem = random_problem(1, l2=0.1)
    first = reference.find(problem, "content", always=True)
    (path,) = cache_folder().glob("references/*.json")
    return problem, first, path


def same(one: Reference, other: Reference) -> bool:
    """But for the time it took."""
    return replace(one, seconds=None) == replace(other, seconds=None)


def again(problem: Problem) -> Reference:
    return reference.find(problem, "content", always=True)


@pytest.mark.parametrize("value", [None, True, 3, -1.0, "", "w", [], {}, [[1]], 10**400, "////"])
@pytest.mark.parametrize("name", ["version", "how", "seconds", "w", "falling", "direction"])
def test_wrong_types(name: str, value: object) -> None:
    problem, first, path = kept_entry()
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, name: value}))
    assert again(problem).f_star == pytest.approx(first.f_star, abs=first.gap)


@pytest.mark.parametrize(
    "text", ["[" * 200_000, "{", "null", "NaN", "\x00" * 50, '{"version": 3}', "3" * 5000]
)
def test_what_is_not_an_entry(text: str) -> None:
    problem, first, path = kept_entry()
    path.write_text(text)
    assert same(again(problem), first)
    assert json.loads(path.read_text())["version"] == cache.VERSION


@pytest.mark.parametrize("l2", [0.1, 0.0])
def test_a_crafted_witness_proves_nothing_false(l2: float) -> None:
    """Another point is judged by what it proves; a direction that does not separate is no proof."""
    problem = random_problem(1, l2=l2)
    first = again(problem)
    (path,) = cache_folder().glob("references/*.json")
    document = json.loads(path.read_text())
    w = cache._array(document["w"], problem.shape)
    for crafted in (w + 1e-3, w * 0.0, w * 1e300):
        path.write_text(json.dumps({**document, "w": cache._text(crafted)}))
        found = again(problem)
        assert found.f_star - found.gap <= first.f_star
        assert first.f_star - first.gap <= found.f_star
        assert found.gap <= 1e-6
    everything = cache._text(np.packbits(np.ones(problem.n, bool)))
    separable = {"falling": everything, "direction": document["w"]}
    path.write_text(json.dumps({**document, **separable}))
    assert again(problem).f_star == pytest.approx(first.f_star, abs=2 * first.gap)


def test_a_pipe_does_not_hang() -> None:
    problem, first, path = kept_entry()
    path.unlink()
    os.mkfifo(path)
    assert same(again(problem), first)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    problem, first, path = kept_entry()
    target = tmp_path / "precious"
    target.write_text(path.read_text())
    path.unlink()
    path.symlink_to(target)
    before = target.read_text()
    assert cache.read(path.stem, problem) is None
    assert same(again(problem), first)
    assert target.read_text() == before
    assert stat.S_ISREG(path.lstat().st_mode)


def test_a_folder_and_a_large_file(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, first, path = kept_entry()
    monkeypatch.setattr(cache, "MOST_BYTES", 100)
    assert cache.read(path.stem, problem) is None
    path.unlink()
    path.mkdir()
    assert same(again(problem), first)  # and a warning that it is not kept
