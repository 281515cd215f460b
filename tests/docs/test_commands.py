"""Every command and program in README.md and docs/*.md runs, and prints what it says there.

A block of ``sh`` must end with exit code 0, one of ``python`` without an exception; after a ``$``
line of ``console`` comes the output, but for times. Blocks of a file run in its order, in one
folder with ``data``. ``DADAPT_REWRITE=1`` puts the output into the files, to be looked at.
"""

from __future__ import annotations

import lzma
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..conftest import DATA, SHARED

ROOT = DATA.parent
FILES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^```(sh|console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

TIMES = [
    (re.compile(r"\d+\.\d+ s\b|(load|reference|solve) \d+\.\d+"), "_ s"),
    (re.compile(r" +\d+\.\d+$", re.MULTILINE), " _"),  # the column of seconds
]
"""What two runs differ in."""

NEEDS = {
    "liblinear-": lambda: shutil.which("liblinear-train") is not None,
    "a9a": lambda: (SHARED / "data" / "a9a.xz").exists(),
    "paper figure2": lambda: False,  # minutes; tests/paper runs it on little
    "pip install": lambda: False,  # .ci/run
    "pipx ": lambda: False,
    "mpiexec": lambda: shutil.which("mpiexec") is not None,
}
"""Words of blocks that only run where something is there."""


def blocks(path: Path) -> Iterator[tuple[str, str]]:
    for match in BLOCK.finditer(path.read_text("utf-8")):
        yield match[1], match[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as a reader's, with the program on the path."""
    (tmp_path / "data").symlink_to(DATA)
    program = tmp_path / "bin" / "dadapt"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dadapt_cli "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("DADAPT_DATA", str(SHARED / "data"))
    for name in ("a9a", "a9a.t"):  # as they are once fetched
        if (packed := SHARED / "data" / f"{name}.xz").exists():
            (tmp_path / name).write_bytes(lzma.decompress(packed.read_bytes()))
    return tmp_path


def ran(kind: str, text: str, folder: Path) -> str:
    """The output of a block; what fails is the test's failure."""
    command = [sys.executable, "-c"] if kind == "python" else ["bash", "-euo", "pipefail", "-c"]
    done = subprocess.run(
        [*command, text], cwd=folder, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, f"{text}\n{done.stdout}"
    return done.stdout


def session(text: str, folder: Path) -> str:
    """A console block with the output as it is today; a line ``...`` leaves the rest out."""
    shown = []
    for part in re.split(r"^(?=\$ )", text, flags=re.MULTILINE)[1:]:
        command, _, wanted = part.partition("\n")
        found = ran("sh", command[2:] + " || true", folder)
        if wanted.endswith("...\n"):
            found = "".join(found.splitlines(True)[: wanted.count("\n") - 1]) + "...\n"
        shown.append(f"{command}\n{found}")
    return "".join(shown)


def without_times(text: str) -> str:
    for pattern, by in TIMES:
        text = pattern.sub(by, text)
    return text


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_commands_of(path: Path, folder: Path) -> None:
    missing = set()
    for kind, text in blocks(path):
        if lacks := [word for word, there in NEEDS.items() if word in text and not there()]:
            missing.update(lacks)
        elif kind != "console":
            ran(kind, text, folder)
        elif without_times(text) != without_times(found := session(text, folder)):
            if os.environ.get("DADAPT_REWRITE") != "1":
                assert without_times(found) == without_times(text)
            path.write_text(path.read_text("utf-8").replace(text, found), "utf-8")
    if missing - {"pip install", "pipx ", "paper figure2"}:
        pytest.skip(f"blocks with {', '.join(sorted(missing))} were left out: not there")


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


def test_links_lead_somewhere() -> None:
    for path in FILES:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text("utf-8")):
            assert target.startswith("https://") or (path.parent / target).exists(), (path, target)
