"""``dadapt datasets``, and problems by name in the other commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dadapt_cli import datasets

from ..conftest import DATA, Ran

Cli = Callable[..., Ran]
IRIS = (DATA / "iris.scale").read_bytes()


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DADAPT_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


def start(ran: Ran) -> dict[str, object]:
    record: dict[str, object] = json.loads(ran.out.splitlines()[0])["data"]
    return record


def test_fit_takes_a_name_from_any_folder(cli: Cli, tmp_path: Path) -> None:
    short = ("-n", 2, "-f", "jsonl", "--reference", "none")
    for name in ("iris.scale", "IRIS", "Iris.Scale"):
        data = start(cli("fit", name, *short))
        assert (data["path"], data["problem"]) == (str(DATA / "iris.scale"), "iris.scale")
    assert start(cli("fit", DATA / "iris.scale", *short))["problem"] == "iris.scale"
    (tmp_path / "other").write_text("1 1:1\n2 1:2\n")
    assert start(cli("fit", "other", *short))["problem"] is None
    (tmp_path / "iris.scale").write_text("1 1:1\n2 1:2\n")  # a path that exists wins over a name
    data = start(cli("fit", "iris.scale", *short))
    assert (data["path"], data["problem"], data["samples"]) == ("iris.scale", None, 2)
    (tmp_path / "gone").symlink_to(tmp_path / "nothing")
    assert cli("fit", "gone").code == 4


def test_a_process_elsewhere(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(DATA.parent)}
    command = [sys.executable, "-m", "dadapt_cli", "fit", "iris.scale", "-q", "-n", "3"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd="/", env=environment)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "150 samples, 4 features" in ran.stdout


def test_check_takes_names(cli: Cli) -> None:
    ran = cli("check", "--json", "iris", "Wine.scale")
    assert [json.loads(line)["samples"] for line in ran.out.splitlines()] == [150, 178]
    assert cli("check", "iris", "--fix", DATA / "iris.scale").code == 2  # OUT is the data


def test_names_that_are_not_there(cli: Cli, tmp_path: Path) -> None:
    ran = cli("fit", "letter")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "dadapt: letter.scale: not on disk; dadapt datasets fetch letter.scale, or name its "
        "folder in DADAPT_DATA\n"
    )
    assert "did you mean the problem 'iris.scale'?" in cli("check", "irsi.scale").err
    for name in ("./iris", "data/iris", "mydata.svm"):
        ran = cli("fit", name)
        assert ran.code == 2
        assert ran.err == f"dadapt: {name}: there is no such file; check the name\n"


def test_a_name_is_the_problem_or_an_error(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "Sensorless").write_bytes((DATA / "vowel.scale").read_bytes())
    (folder / "usps").write_bytes(IRIS)
    monkeypatch.setenv("DADAPT_DATA", str(folder))
    for command in ("fit", "check"):
        ran = cli(command, "sensorless")
        assert ran.code == 3
        assert "subset of Sensorless: 528 of 58,509 rows; move it away" in ran.err
    assert cli("fit", folder / "usps", "-n", 1, "-q").code == 0  # the remedy: its path
    ran = cli("check", "--keep-going", "usps", "iris")
    assert ran.code == 3
    assert "samples          150" in ran.out


def test_list(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ran = cli("datasets", "list")
    assert ran.code == 0
    table, places = ran.out.split("\n\n")
    lines = table.splitlines()
    assert len(lines) == 1 + len(datasets.ALL)
    assert max(map(len, lines)) <= 80
    assert "…" not in table
    rows = {line.split()[0]: line.split()[1:] for line in lines}
    assert rows["iris.scale"] == ["150", "4", "3", "587", "known", "package"]
    assert rows["smallNORB"] == ["24300", "18432", "5", "unknown", "no"]
    assert f"package: {DATA}" in places.splitlines()


def test_list_verifies_and_is_json(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = cli("datasets", "list", "--verify", "--json")
    assert ran.code == 0
    rows = {row["name"]: row for row in json.loads(ran.out)}
    assert rows["iris.scale"]["verified"] is True
    assert rows["iris.scale"]["path"] == str(DATA / "iris.scale")
    assert rows["usps"]["verified"] is None
    assert rows["usps"]["url"].endswith("multiclass/usps.bz2")
    (tmp_path / "iris.scale").write_bytes(IRIS[:-10])
    monkeypatch.setenv("DADAPT_DATA", str(tmp_path))
    ran = cli("datasets", "list", "--verify")
    assert ran.code == 1
    (row,) = (line.split() for line in ran.out.splitlines() if line.startswith("iris"))
    assert row == ["iris.scale", "150", "4", "3", "587", "DIFFERS", "DADAPT_DATA"]
    assert ran.err.startswith(f"dadapt: {tmp_path / 'iris.scale'}:150: ")
    assert "known" in cli("datasets", "list").out


def test_where(cli: Cli) -> None:
    assert cli("datasets", "where", "VOWEL").out == f"{DATA / 'vowel.scale'}\n"
    ran = cli("datasets", "where", "aloi")
    assert (ran.code, ran.out) == (4, "")
    assert "dadapt datasets fetch aloi.scale" in ran.err
    ran = cli("datasets", "where", "irsi")
    assert ran.code == 2
    assert "did you mean 'iris'?" in ran.err
