"""``dadapt compare``: the command, its files, and what it refuses."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dadapt_cli.cli.compare import Shared
from dadapt_cli.compare import liblinear
from dadapt_cli.compare.case import Crossings
from dadapt_cli.compare.contenders import SHARED
from dadapt_cli.solver.declared import declared
from dadapt_cli.solver.options import Options

from ..conftest import DATA, Ran

Cli = Callable[..., Ran]

pytestmark = pytest.mark.usefixtures("one_cache")

IRIS = DATA / "iris.scale"
WINE = DATA / "wine.scale"
FEW = ("-a", "newton,gd", "--l2", "0.1", "-n", "20")
EVIL = "\x1b[31m[red]<b>$x$&_"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "nobody to compare"),
        (("-a", "newtn"), 2, "did you mean 'newton'?"),
        (("-a", "newton", "--with", "sklearn:lbgfs"), 2, "did you mean scikit-learn:lbfgs"),
        (("--with", "saga"), 2, "did you mean scikit-learn:saga?"),
        (("--with", "newton"), 2, "-a newton compares it"),
        (("-a", "scikit-learn:lbfgs"), 2, "--with scikit-learn:lbfgs compares it"),
        (("-a", "gd,newton,gd"), 2, "gd: is named twice"),
        (("-a", "newton", "--epochs", 3), 2, "--epochs: none of newton takes it"),
        (("-a", "sgd", "-n", 3), 2, "--iterations: none of sgd takes it"),
        (("-a", "newton:momentum=0.3"), 2, "--momentum is not an option of --algo newton"),
        (("-a", "gd:bnd=II"), 2, "did you mean bound=...?"),
        (("-a", "gd:bound"), 2, "is no option of its own"),
        (("-a", "gd:bound=V"), 2, "choose from"),
        (("-a", "newton:l2=3"), 2, "--l2 is for all of them"),
        (("-a", "gd:checkpoint=x"), 2, "is no option of its own"),
        (("-a", "adam:betas=0.9"), 2, "two numbers have no place"),
        (("-a", "sgd-plain"), 2, "needs --lr"),
        (("-a", "gd", "--l2", "-1"), 2, "--l2"),
        (("-a", "gd", "--tol", "nan"), 2, "--tol"),
        (("-a", "gd", "--repeat", 0), 2, "--repeat '0'"),
        (("--with", "scipy:cg", "-C", "1", "--l2", "1"), 2, "leave out -C or --l2"),
        (("-a", "gd", "--bias", "--intercept"), 2, "one constant feature is enough"),
        (("-a", "gd", "-f", "xml"), 2, "choose from table"),
        (("-a", "gd", "--plot", "x.gif"), 2, ".png, .svg or .pdf"),
        (("-a", "gd", "--export", "x.xls"), 2, ".csv, .json, .tex, .md"),
        (("-a", "gd", "--export", "/no/such/folder/x.csv"), 4, "make it first"),
        (("-a", "gd", "--export", "x.csv", "--export", "./x.csv"), 2, "named for two outputs"),
        (("-a", "gd", "--plot", "{data}"), 2, "name a file that ends in"),
        (("no-such-file", "-a", "gd"), 2, "there is no such file"),
        (("-", "-", "-a", "gd"), 2, "- is named twice"),
    ],
)
def test_what_is_refused(
    arguments: tuple[Any, ...], code: int, words: str, cli: Cli, tmp_path: Path
) -> None:
    os.chdir(tmp_path)
    given = [str(a).replace("{data}", str(IRIS)) for a in arguments]
    ran = cli("compare", IRIS, *given)
    assert (ran.code, ran.out) == (code, "")
    assert words in ran.err
    assert ran.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_solver_that_is_not_installed(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liblinear, "find_spec", lambda name: None)
    monkeypatch.setattr(liblinear, "program", lambda: None)
    ran = cli("compare", IRIS, "--with", "liblinear")
    assert ran.code == 2
    assert "pip install liblinear-official, or apt install liblinear-tools" in ran.err


def test_another_program_called_train_is_not_liblinear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "train").write_text("#!/bin/sh\necho choo choo\n")
    (tmp_path / "train").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert liblinear.program() is None


def test_the_table_fits_a_screen(cli: Cli) -> None:
    longest = "scikit-learn:newton-cholesky,scipy:l-bfgs-b"
    ran = cli("compare", IRIS, *FEW, "--with", longest, "--repeat", 2)
    assert ran.code == 0
    lines = ran.out.splitlines()
    first = next(i for i, line in enumerate(lines) if "seconds to" in line)
    table = lines[first : first + 13]
    assert max(map(len, table)) <= 80
    head = table[1].split()
    assert head == ["1e-2", "1e-3", "1e-6", "1e-2", "1e-3", "1e-6", "+-"]
    assert "\x1b" not in ran.out
    assert lines[-2].split()[1:4] == ["reached", "1e-6", "first:"]
    assert lines[-1].endswith("none of it timed")


def test_formats_are_views_of_the_same_records(cli: Cli) -> None:
    document = json.loads(cli("compare", IRIS, WINE, *FEW, "-f", "json").out)
    assert [c["problem"]["problem"] for c in document["comparisons"]] == [
        "iris.scale",
        "wine.scale",
    ]
    assert document["profile"]["problems"] == 2
    assert {one["reached"] for one in document["profile"]["solvers"]} <= {0, 1, 2}
    lines = cli("compare", IRIS, WINE, *FEW, "-f", "jsonl").out.splitlines()
    events = [json.loads(line) for line in lines]
    assert [e["event"] for e in events] == [
        "start", *["comparison", "run", "run"] * 2, "end"
    ]  # fmt: skip
    assert {k for e in events if e["event"] == "run" for k in e} - {"event", "path"} == set(
        document["comparisons"][0]["runs"][0]
    )
    rows = list(csv.DictReader(io.StringIO(cli("compare", IRIS, WINE, *FEW, "-f", "csv").out)))
    assert [row["path"] for row in rows] == [str(IRIS)] * 2 + [str(WINE)] * 2
    gradients = {
        (c["problem"]["path"], run["name"]): run["gradients_to"]["1e-3"]
        for c in document["comparisons"]
        for run in c["runs"]
    }
    for row in rows:
        wanted = gradients[row["path"], row["name"]]
        assert row["gradients_to_1e-3"] == ("" if wanted is None else str(wanted))


def test_files_are_written_and_the_same_as_what_is_printed(cli: Cli, tmp_path: Path) -> None:
    names = [tmp_path / f"x.{kind}" for kind in ("csv", "json", "tex", "md")]
    exports = [part for name in names for part in ("--export", name)]
    plots = tmp_path / "x.pdf"
    ran = cli("compare", IRIS, *FEW, *exports, "--plot", plots, "-f", "json", "-q")
    assert (ran.code, ran.err) == (0, "")
    assert (tmp_path / "x.json").read_text() == ran.out
    assert plots.read_bytes().startswith(b"%PDF")
    tex = (tmp_path / "x.tex").read_text()
    assert tex.count(r"\begin{tabular}") == tex.count(r"\end{tabular}") == 1
    assert r"\cdot 10^{-" in tex
    head, rule, *rows = [
        line for line in (tmp_path / "x.md").read_text().splitlines() if line.startswith("|")
    ]
    assert {line.count("|") for line in (head, rule, *rows)} == {head.count("|")}
    assert len(rows) == 2


def test_names_with_markup_reach_no_reader_raw(cli: Cli, tmp_path: Path) -> None:
    data = tmp_path / EVIL.replace("/", "")
    data.write_bytes(IRIS.read_bytes())
    names = {kind: tmp_path / f"x.{kind}" for kind in ("csv", "tex", "md", "svg")}
    exports = [part for kind in ("csv", "tex", "md") for part in ("--export", names[kind])]
    ran = cli("compare", data, *FEW, "-a", "sgd", *exports, "--plot", names["svg"])
    assert ran.code == 0
    for text in (ran.out, ran.err, *(name.read_text() for name in names.values())):
        assert "\x1b" not in text
    assert r"\$x\$\&\_" in names["tex"].read_text()
    assert "&lt;b&gt;" in names["md"].read_text()
    assert "<b>" not in names["svg"].read_text().split("<metadata>")[-1].split("</metadata>")[-1]


def test_a_cell_is_no_formula() -> None:
    from dadapt_cli.render.compare import as_csv

    run = {"name": "=1+1", "gradients_to": {}, "passes_to": {}, "seconds_to": {}, "spread_to": {}}
    document = {"levels": [], "comparisons": [{"problem": {"path": "@x"}, "runs": [run]}]}
    assert as_csv(document) == "path,name\n'@x,'=1+1\n"


def test_results_are_printed_though_a_file_cannot_be_written(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "x.csv"
    old.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dadapt_cli.system.files.os.fsync", full)
    ran = cli("compare", IRIS, *FEW, "--export", old, "-f", "csv")
    assert ran.code == 4
    assert "No space left on device" in ran.err
    assert ran.out.startswith("path,name,")
    assert old.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.csv"]


def test_without_a_reference_it_is_said_loudly(cli: Cli) -> None:
    ran = cli("compare", IRIS, *FEW, "--reference", "none")
    assert ran.code == 0
    assert "NO CERTIFIED f* (not asked for)" in ran.out
    assert "NO CERTIFIED f*" in ran.err
    assert "NO CERTIFIED f*" in cli("compare", IRIS, *FEW, "--reference", "none", "-q").out


def test_nobody_who_can_be_run(cli: Cli) -> None:
    ran = cli("compare", IRIS, "--with", "scikit-learn:liblinear", "-f", "json")
    assert ran.code == 2
    (found,) = json.loads(ran.out)["comparisons"]
    assert found["runs"] == []
    assert "one against the rest" in ran.err


def test_standard_input_and_data_options() -> None:
    options = ["--positive", "2", "--weight", "2=3", "--scale", "standard", "--bias", "-f", "json"]
    command = [sys.executable, "-m", "dadapt_cli", "compare", "-", *FEW, *options]
    with IRIS.open("rb") as file:
        ran = subprocess.run(command, stdin=file, capture_output=True)
    assert ran.returncode == 0, ran.stderr
    (found,) = json.loads(ran.stdout)["comparisons"]
    problem = found["problem"]
    assert problem["labels"] == ["rest", 2]
    assert (problem["bias"], problem["scale"], problem["weighted"]) == (True, "standard", True)


def test_an_interrupted_comparison_shows_what_is_done(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = itertools.count()

    def watched(self: Crossings, f: float) -> bool:
        if next(calls) == 30:  # after two warm-ups of three points
            signal.raise_signal(signal.SIGTERM)
        return False

    monkeypatch.setattr(Crossings, "__call__", watched)
    ran = cli("compare", IRIS, "-a", "gd,newton", "-n", 50, "--l2", "0.1", "-f", "json")
    assert ran.code == 143
    (found,) = json.loads(ran.out)["comparisons"]
    assert [(run["name"], run["status"], run["k"]) for run in found["runs"]] == [
        ("gd", "interrupted", 24)
    ]


def test_a_terminal_of_80_columns_without_colour(tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "80", "TERM": "xterm"}
    command = [sys.executable, "-m", "dadapt_cli", "compare", str(IRIS), *FEW, "-q",
               "--with", "scikit-learn:newton-cholesky", "--repeat", "2"]  # fmt: skip
    process = subprocess.Popen(command, stdout=follower, stderr=-1, env=environment)
    os.close(follower)
    out = b""
    while True:
        try:
            block = os.read(leader, 4096)
        except OSError:
            break
        if not block:
            break
        out += block
    os.close(leader)
    assert process.wait() == 0
    if process.stderr is not None:
        process.stderr.close()
    plain = re.sub(rb"\x1b\[[0-9;]*m", b"", out).decode()
    assert max(len(line) for line in plain.splitlines()) <= 80
    assert b"\x1b[3" not in out  # no colour


def test_shared_options_are_those_of_a_fit() -> None:
    own, fits = declared(Shared), declared(Options)
    assert tuple(own) == SHARED
    for name, one in own.items():
        assert (one.default, one.limits, one.words, one.typed, one.group) == (
            fits[name].default, fits[name].limits, fits[name].words, fits[name].typed,
            fits[name].group,
        ), name  # fmt: skip
