"""Rows 92, 93 and 96: files planted in the place of ours; folders that take nothing; mounts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dadapt_cli.datasets import download, named
from dadapt_cli.errors import DataError, InputOutputError
from dadapt_cli.render.machine import Trace
from dadapt_cli.system import files
from dadapt_cli.system.files import atomic_write, check_output, check_outputs, read_whole
from dadapt_cli.system.lock import held

from ..conftest import DATA

IRIS = DATA / "iris.scale"
STRANGER = 12345

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.mark.parametrize("kind", ["link", "dangling", "hard link", "pipe", "folder"])
def test_a_lock_is_only_a_file_of_its_own(kind: str, tmp_path: Path) -> None:
    victim, beside = tmp_path / "p.txt", tmp_path / ".run.ckpt.lock"
    victim.write_text("precious")
    if kind == "link":
        beside.symlink_to(victim)
    elif kind == "dangling":
        beside.symlink_to(tmp_path / "elsewhere")
    elif kind == "hard link":
        beside.hardlink_to(victim)
    elif kind == "pipe":
        os.mkfifo(beside)
    else:
        beside.mkdir()
    before = {path.name: path.lstat().st_ino for path in tmp_path.iterdir()}
    with pytest.raises(InputOutputError, match=r"run\.ckpt") as caught:
        held(str(tmp_path / "run.ckpt")).__enter__()
    assert "\n" not in str(caught.value)
    assert victim.read_text() == "precious"
    assert {path.name: path.lstat().st_ino for path in tmp_path.iterdir()} == before


def test_a_resume_through_a_planted_lock_leaves_the_target(cli: Any, tmp_path: Path) -> None:
    run, victim = tmp_path / "run.ckpt", tmp_path / "p.txt"
    assert cli("fit", IRIS, "-n", 2, "--reference", "none", "--checkpoint", run).code == 0
    victim.write_text("precious")
    (tmp_path / ".run.ckpt.lock").symlink_to(victim)
    ran = cli("fit", IRIS, "-n", 3, "--resume", run)
    assert ran.code == 4
    assert "symbolic link" in ran.err
    assert victim.read_text() == "precious"
    assert (tmp_path / ".run.ckpt.lock").is_symlink()


@as_root
def test_a_lock_of_somebody_else(tmp_path: Path) -> None:
    beside = tmp_path / ".run.lock"
    beside.write_text("theirs")
    os.chown(beside, STRANGER, STRANGER)
    with pytest.raises(InputOutputError, match=f"a file of user {STRANGER}"):
        held(str(tmp_path / "run")).__enter__()
    assert beside.read_text() == "theirs"


def write(path: Path, *, own: bool) -> None:
    with atomic_write(path, own=own) as file:
        file.write(b"new")


@pytest.mark.parametrize("dangling", [False, True])
def test_a_name_of_ours_is_never_followed(dangling: bool, tmp_path: Path) -> None:
    victim, link = tmp_path / "victim", tmp_path / "link"
    if not dangling:
        victim.write_text("precious")
    link.symlink_to(victim)
    with pytest.raises(InputOutputError, match="symbolic link"):
        write(link, own=True)
    assert (victim.read_text() if victim.exists() else None) == (None if dangling else "precious")
    write(link, own=False)  # the user's name is followed, on purpose
    assert link.is_symlink()
    assert victim.read_text() == "new"


@as_root
def test_a_link_that_somebody_else_planted_is_not_followed(cli: Any, tmp_path: Path) -> None:
    victim, link = tmp_path / "victim", tmp_path / "link"
    victim.write_text("precious")
    link.symlink_to(victim)
    os.lchown(link, STRANGER, STRANGER)
    fit = ("fit", IRIS, "-n", 1, "--reference", "none")
    for option in ("--save", "--trace", "--checkpoint"):
        ran = cli(*fit, option, link)
        assert ran.code == 4
        assert f"a symbolic link of user {STRANGER}" in ran.err
    with pytest.raises(InputOutputError, match="symbolic link"):
        Trace(str(link)).record({})
    assert victim.read_text() == "precious"
    os.chown(tmp_path, STRANGER, STRANGER)  # who owns the folder may
    assert cli(*fit, "--trace", link).code == 0
    assert victim.read_text() != "precious"


def test_a_planted_entry_of_the_cache_leaves_its_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path))
    iris, victim = named("iris"), tmp_path / "victim"
    victim.write_text("precious")
    target = tmp_path / "datasets" / (iris.name + iris.suffix)
    target.parent.mkdir()
    target.symlink_to(victim)

    def nothing(*given: Any) -> None:
        pytest.fail("nothing may be fetched for it")

    monkeypatch.setattr(download, "_receive", nothing)
    with pytest.raises(InputOutputError, match="symbolic link"):
        download.fetch(iris)
    assert victim.read_text() == "precious"


def test_what_is_read_has_a_size_and_is_no_device(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"12345")
    assert read_whole(path, 5) == b"12345"
    with pytest.raises(DataError, match="more than the 4 bytes of --max-bytes"):
        read_whole(path, 4)
    for device in ("/dev/zero", "/dev/null"):
        with pytest.raises(InputOutputError, match="is a device"):
            read_whole(device)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(path)
    for name, words in (("pipe", "not a regular file"), ("link", "symbolic links")):
        with pytest.raises(InputOutputError, match=words):  # at once: nobody writes to the pipe
            read_whole(tmp_path / name, own=True)


@pytest.fixture
def closed_folder() -> Iterator[Path]:
    """A folder with a file that may be written, which takes no new ones; not for root."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "out").write_text("old")
        (folder / "out").chmod(0o666)
        folder.chmod(0o555)
        if os.geteuid() == 0:
            os.seteuid(STRANGER)
        try:
            yield folder
        finally:
            if os.getuid() == 0:
                os.seteuid(0)
            folder.chmod(0o755)


def test_a_folder_that_takes_no_files_is_found_out_before_work(closed_folder: Path) -> None:
    out = str(closed_folder / "out")
    with pytest.raises(InputOutputError, match="no file can be made in its folder"):
        check_output(out, "-")
    with pytest.raises(InputOutputError, match="no file can be made in its folder"):
        check_outputs([out], "-")
    check_outputs([], "-", grows=out)  # a trace is written in place
    Trace(out).record({"event": "start"})
    assert (closed_folder / "out").read_text() == '{"event": "start"}\n'
    assert [path.name for path in closed_folder.iterdir()] == ["out"]


def test_a_check_leaves_nothing(tmp_path: Path) -> None:
    check_outputs([str(tmp_path / "a"), str(tmp_path / "b")], "-", grows=str(tmp_path / "c"))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_a_mount_cannot_be_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out of this world"
    out.write_text("old")
    check_output(str(out), "-")
    escaped = str(out).replace(" ", r"\040")
    (tmp_path / "mounts").write_text(f"36 35 8:1 / {escaped} rw - ext4 /dev/sda rw\n")
    monkeypatch.setattr(files, "MOUNTS", str(tmp_path / "mounts"))
    with pytest.raises(InputOutputError, match="mounted by itself"):
        check_output(str(out), "-")
    check_output(str(out), "-", grows=True)


@as_root
def test_a_bind_mounted_file_in_a_name_space_of_its_own(tmp_path: Path) -> None:
    out, other, trace = tmp_path / "out", tmp_path / "other", tmp_path / "trace"
    for path in (out, other, trace):
        path.write_text("old")
    fit = f"{sys.executable} -m dadapt_cli fit {IRIS} -n 2 -q"
    script = f"""
        mount --bind {other} {out} && mount --bind {other} {trace} || exit 99
        {fit} --save {out}; echo $?; cat {out}; {fit} --trace {trace} > /dev/null; echo $?
    """
    ran = subprocess.run(["unshare", "-m", "bash", "-c", script], capture_output=True, text=True)
    if ran.returncode == 99 or "unshare" in ran.stderr:
        pytest.skip(f"no mounts here: {ran.stderr}")
    assert ran.stdout.splitlines() == ["4", "old0"]
    assert re.fullmatch(r"dadapt: .*out: is mounted by itself .*\n", ran.stderr)
    assert other.read_text().startswith('{"event": "start"')
