"""Rows 94 and 97: closed streams swallow; strings of files reach no terminal raw."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text

from dadapt_cli.regress import baseline
from dadapt_cli.render import paper, regress, screen
from dadapt_cli.render.datasets import table as datasets_table
from dadapt_cli.render.folds import FoldTable
from dadapt_cli.system.terminal import printable

from ..conftest import DATA, Ran

IRIS = DATA / "iris.scale"
DADAPT = f"{sys.executable} -m dadapt_cli"

EVIL = "\x1b]0;owned\x07\x1b[31m\nnext \x9b2J\u202e"
RAW = ("\x1b", "\x07", "\x9b", "\u202e")


FITS = f"fit {IRIS} -n 3 --reference none --save m.npz --trace t"


@pytest.mark.parametrize(
    ("command", "code", "closed"),
    [  # what is closed does not depend on the command: all of it with one, and each that differs
        *((FITS, 0, closed) for closed in (">&-", "2>&-", ">&- 2>&-", "<&-", "<&- >&- 2>&-")),
        (f"fit {IRIS} -n 3 --tol 1e-9 --trace t -f jsonl", 1, ">&-"),
        (f"check {IRIS}", 0, "<&- >&- 2>&-"),
        ("datasets list", 0, ">&-"),
        ("algorithms", 0, ">&- 2>&-"),
        ("fit nothing-here", 2, ">&-"),
        ("fit nothing-here", 2, "<&- >&- 2>&-"),
        (f"fit {DATA / 'README.md'}", 3, "2>&-"),
    ],
)
def test_a_closed_stream_swallows(command: str, code: int, closed: str, tmp_path: Path) -> None:
    shell = f"cd {tmp_path}; {DADAPT} {command} {closed}; echo code $? > code"
    ran = subprocess.run(["bash", "-c", shell], capture_output=True, text=True)
    assert (tmp_path / "code").read_text() == f"code {code}\n", ran.stderr
    assert bool(ran.stdout) == (code < 2 and " >&-" not in f" {closed}")
    assert bool(ran.stderr) == (code > 1 and "2>&-" not in closed)
    if "--trace" in command:
        rows = [json.loads(line) for line in (tmp_path / "t").read_text().splitlines()]
        assert rows[-1]["event"] == "end"
    if "--save" in command:
        assert (tmp_path / "m.npz").read_bytes().startswith(b"PK")


def test_a_closed_standard_input_is_no_empty_file(tmp_path: Path) -> None:
    ran = subprocess.run(
        ["bash", "-c", f"{DADAPT} check - <&-; echo $?"], capture_output=True, text=True
    )
    assert ran.stdout == "4\n"
    assert "standard input is closed" in ran.stderr


def safe(text: str) -> None:
    assert not any(raw in text for raw in RAW), text
    assert "\nnext" not in text


def test_printable() -> None:
    safe(printable(EVIL))
    assert printable("Überfluß λ") == "Überfluß λ"
    narrow = io.TextIOWrapper(io.BytesIO(), "ascii")
    assert printable("λ", narrow) == r"\u03bb"


def spoiled(value: Any) -> Any:
    """The same with every string made evil, also in names that are data."""
    if isinstance(value, str):
        return value + EVIL
    if isinstance(value, dict):
        return {name: spoiled(item) for name, item in value.items()}
    return [spoiled(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("form", regress.FORMATS)
def test_the_report_of_a_gate_with_evil_names(form: str) -> None:
    compared = baseline.compare({}, "a/b", 3, {EVIL: 1.0}, {"d": 2.0}, None)
    run = {"problem": EVIL, "algo": EVIL, "l2": EVIL, "verdict": "changed", "message": None,
           "seconds": 0.0, "figures": compared}  # fmt: skip
    alone = {**run, "algo": None, "message": EVIL, "verdict": "skipped", "figures": []}
    report = {"runs": [run, alone, {**run, "message": EVIL}], "baseline": EVIL, "passed": False,
              "updated": False, "bad": ["changed"]}  # fmt: skip
    shown = regress.FORMATS[form](report)
    safe(shown)
    if form != "json":
        assert "owned" in shown


def test_views_of_records_with_evil_strings() -> None:
    stream = io.StringIO()
    folds = FoldTable(stream)
    data = {"path": EVIL, "samples": 1, "features": 1, "classes": 2}
    folds.record({"event": "start", "folds": 2, "data": data, "algorithm": EVIL})
    folds.record({"event": "fold", "fold": 1, "samples": 1, "accuracy": 1.0, "log_loss": None,
                  "status": EVIL})  # fmt: skip
    rows = [{"name": EVIL, "rows": 1, "features": 1, "classes": 1, "nonzeros": None,
             "verified": None, "sha256": EVIL, "pinned": EVIL, "place": EVIL}]  # fmt: skip
    datasets_table(rows, [(EVIL, Path(EVIL))], stream)
    own = {"accuracy": 1.0, "se": 0.0, "log_loss": None, "d": None, "d_std": None}
    adam = {**own, "lr": 1.0, "at_grid_edge": False}
    record = {"title": EVIL, "algorithm": EVIL, "adam": adam, "sgd": own, "paper": None,
              "dadapt_sgd": own, "difference": None, "difference_in_se": None, "epochs": EVIL,
              "seeds": EVIL, "average": EVIL, "schedule": EVIL, "grid": [{"lr": 1.0}],
              "d0": [{"d0": 1.0, "accuracy": 1.0, "se": 0.0}]}  # fmt: skip
    for view in (paper.figure2, paper.table1, paper.figure7):
        view([record], stream)
    console = screen.console(stream)
    screen.put(console, Text.assemble((EVIL, "bold"), "tail"))
    screen.put_columns(console, [[EVIL, "b"], ["1", EVIL]])
    assert stream.getvalue().count("owned") >= 10
    safe(stream.getvalue())


def test_columns_are_aligned_and_have_no_trailing_blanks() -> None:
    lines = screen.columns([["name", "n", ""], ["a", "10", "ok"], ["bcdef", "7", ""]], 1)
    assert lines == ["name    n", "a      10  ok", "bcdef   7"]
    assert screen.columns([["x", "1"]], 0, widths=[3, 4]) == ["  x     1"]


@pytest.mark.parametrize("form", ["table", "jsonl", "json", "csv"])
def test_a_checkpoint_with_evil_strings(form: str, cli: Callable[..., Ran], tmp_path: Path) -> None:
    from dadapt_cli.checkpoint import file

    run = tmp_path / "run"
    assert cli("fit", IRIS, "-n", 2, "--l2", "1/n", "--checkpoint", run).code == 0
    saved = file.read(str(run))
    told = 0
    for name in ("status", "method", "reason"):
        known = {**saved.head["reference"], name: EVIL, "f_star": None}
        head = {**saved.head, "reference": known}
        file.write(str(run), file.Checkpoint(head, saved.rows, saved.seconds, saved.tree,
                                             saved.arrays))  # fmt: skip
        ran = cli("fit", IRIS, "-n", 3, "--resume", run, "-f", form, "-v")
        assert ran.code in (0, 4)
        safe(ran.out + ran.err)
        told += "owned" in ran.out + ran.err
    assert told


def test_every_string_of_a_model_and_a_checkpoint(cli: Callable[..., Ran], tmp_path: Path) -> None:
    """One after the other, with a right digest: refused or told, never raw."""
    import random

    from dadapt_cli.checkpoint import file
    from dadapt_cli.model import npz
    from dadapt_cli.system import archive, envelope

    from ..fuzz import generators

    def variants(document: Any) -> Any:
        for place in generators.places(document):
            *above, last = place
            copy = json.loads(json.dumps(document))
            at = copy
            for name in above:
                at = at[name]
            if isinstance(at[last], str):
                at[last] = EVIL
                yield copy
            elif isinstance(at, dict):
                at[EVIL] = at.pop(last)
                yield copy

    rng, count = random.Random(0), 0
    path, run = tmp_path / "m.npz", tmp_path / "run"
    fit = ("fit", IRIS, "-n", 1, "--l2", "1/n")
    assert cli(*fit, "--save", path, "--checkpoint", run).code == 0
    members = archive.unpack(path.read_bytes())
    arrays = {"weights": members["weights"]}
    about = archive.document(members["metadata"])
    for document in [*variants({**about, "about": {}}), {**about, "classes": ["rest", EVIL]}]:
        text = json.dumps(document).encode()
        digest = npz._digest(text, arrays)
        whole = {**arrays, "metadata": np_bytes(text), "digest": np_bytes(digest)}
        path.write_bytes(archive.pack(whole))
        ran = cli("predict", IRIS, "-m", path)
        assert ran.code == 3
        safe(ran.out + ran.err)
        count += 1
    body = archive.unpack(envelope.unseal(file.KIND, file.VERSION, run.read_bytes()))
    meta = archive.document(body["meta"], strict=False)
    for document in variants(meta):
        if rng.random() < 0.75:
            continue
        packed = archive.pack({**body, "meta": archive.text(document)})
        run.write_bytes(envelope.seal(file.KIND, file.VERSION, packed) + packed)
        ran = cli("fit", IRIS, "-n", 2, "--resume", run, "-f", rng.choice(("table", "csv")))
        assert ran.code in (0, 4)
        safe(ran.out + ran.err)
        count += 1
    assert count > 40


def np_bytes(content: bytes) -> Any:
    import numpy as np

    return np.frombuffer(content, np.uint8)


def test_views_print_through_the_screen_only() -> None:
    """A new view that prints for itself would print raw; ``algorithms`` has only our own words."""
    import ast

    import dadapt_cli.render

    found = {
        path.name
        for path in Path(dadapt_cli.render.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "print"
    }
    assert found <= {"screen.py", "table.py"}
