"""``dadapt show``, and ``--json`` wherever there is ``--format``."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.main import get_command

from dadapt_cli import model
from dadapt_cli.cli import application
from dadapt_cli.cli._messages import LEVELS

from ..conftest import DATA, Ran

Cli = Callable[..., Ran]

IRIS = DATA / "iris.scale"
WDBC = DATA / "wdbc.scale.xz"
KINDS = {"m.npz": "model", "m.model": "model", "run.checkpoint": "checkpoint", "p.proof": "proof",
         "t.jsonl": "trace", "baseline.json": "baseline"}  # fmt: skip


@pytest.fixture
def folder(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_cache: None) -> Path:
    """One file of each kind."""
    monkeypatch.chdir(tmp_path)
    more = ("--checkpoint", "run.checkpoint", "--trace", "t.jsonl", "--certificate", "p.proof")
    assert cli("fit", IRIS, "-a", "orth", "-n", 30, "--save", "m.npz", "-q", *more).code == 0
    assert cli("fit", IRIS, "-a", "orth", "-n", 30, "--save", "m.model", "-q").code == 0
    (tmp_path / "baseline.json").symlink_to(DATA / "baseline.json")
    return tmp_path


def shown(cli: Cli, *args: Any) -> dict[str, Any]:
    ran = cli("show", *args, "--json")
    assert (ran.code, ran.err) == (0, ""), ran.err
    document: dict[str, Any] = json.loads(ran.out)
    assert cli("show", *args, "-f", "json").out == ran.out
    return document


@pytest.mark.usefixtures("folder")
def test_each_kind_is_known_by_its_content(cli: Cli) -> None:
    for name, kind in KINDS.items():
        Path(name).rename("anything")
        assert shown(cli, "anything")["kind"] == kind
        ran = cli("show", "anything")
        assert (ran.code, ran.err) == (0, "")
        assert ran.out.split(None, 2)[:2] == [kind, "anything"]
        Path("anything").rename(name)


@pytest.mark.usefixtures("folder")
def test_a_model(cli: Cli) -> None:
    document, about = shown(cli, "m.npz"), model.load("m.npz").about
    assert document["labels"] == [1, 2, 3]
    assert document["options"] == about["start"]["options"]
    assert (document["l2"], document["d"]) == (1 / 150, about["d"])
    assert document["gap"] == about["end"]["gap"] > 0
    assert document["labels_proven"] == about["end"]["labels_proven"] == 1.0
    assert document["weights"] is None
    lines = cli("show", "m.npz").out.splitlines()
    assert "labels                  1, 2, 3" in lines
    (gap,) = (line.split()[-1] for line in lines if line.startswith("gap "))
    assert document["gap"] <= float(gap) <= 1.1 * document["gap"], "rounded up, to two digits"
    assert any(line.startswith("labels_proven") and "100.0 %" in line for line in lines)
    assert shown(cli, "m.model")["format"] == "liblinear"
    assert shown(cli, "m.model")["algorithm"] == "L2R_LR"


@pytest.mark.usefixtures("folder")
def test_the_largest_weights_class_by_class(cli: Cli) -> None:
    w = model.load("m.npz").w
    found = shown(cli, "m.npz", "--weights")["weights"]
    assert [column["label"] for column in found] == [1, 2, 3]
    for column, own in zip(found, w.T, strict=True):
        order = np.argsort(-np.abs(own))
        assert [row["feature"] for row in column["largest"]] == [int(i) + 1 for i in order]
        assert [row["weight"] for row in column["largest"]] == own[order].tolist()
    assert cli("show", "m.npz", "--weights").out.count("weights for ") == 3


def test_weights_are_those_of_features_as_they_are(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    options = ("-a", "newton", "--scale", "standard", "--bias", "-q")
    assert cli("fit", WDBC, *options, "--save", path).code == 0
    fitted = model.load(path)
    raw = fitted.scaling.raw(fitted.w)
    (column,) = shown(cli, path, "--weights")["weights"]
    assert column["label"] == 1, "a positive score means the second label"
    assert len(column["largest"]) == 10
    assert column["nonzero"] == 31
    for row in column["largest"]:
        assert row["weight"] == raw[30 if row["feature"] == "bias" else row["feature"] - 1]
    sizes = [abs(row["weight"]) for row in column["largest"]]
    assert sizes == sorted(np.abs(raw).tolist())[:-11:-1]
    text = cli("show", path, "--weights").out
    assert "weights for 1: 10 of 31" in text


@pytest.mark.usefixtures("folder")
def test_a_checkpoint_a_proof_a_baseline(cli: Cli) -> None:
    saved = shown(cli, "run.checkpoint")
    assert (saved["algorithm"], saved["options"]["iterations"]) == ("orth", 30)
    assert saved["data"]["samples"] == 150
    assert saved["k"] >= saved["last"]["k"] > 0
    proof = json.loads(Path("p.proof").read_text())
    document = shown(cli, "p.proof")
    kinds = [claim["kind"] for claim in proof["claims"]]
    assert {k: len(v) for k, v in document["claims"].items()} == {k: kinds.count(k) for k in kinds}
    first = proof["claims"][0]
    ends = {"lower": first["lower_decimal"], "upper": first["upper_decimal"]}
    assert document["claims"]["f_star"] == [{"k": None, **ends}]
    stored = json.loads(Path("baseline.json").read_text())["problems"]
    problems = shown(cli, "baseline.json")["problems"]
    assert problems.keys() == stored.keys()
    assert problems["iris.scale"]["algorithms"]["orth"] == [
        *stored["iris.scale"]["algorithms"]["orth"]
    ]


@pytest.mark.usefixtures("folder")
def test_a_trace_that_is_still_written(cli: Cli) -> None:
    lines = Path("t.jsonl").read_bytes().splitlines(keepends=True)
    document = shown(cli, "t.jsonl")
    assert (document["records"], document["complete"]) == (len(lines), True)
    assert document["start"] == json.loads(lines[0])
    assert document["last"] == json.loads(lines[-1])
    Path("t.jsonl").write_bytes(b"".join(lines[:3]) + lines[3][:9])
    document = shown(cli, "t.jsonl")
    assert (document["records"], document["complete"], document["cut_off"]) == (3, False, True)
    assert document["last"] == json.loads(lines[2])


DEEP = '{"event": "start", "a": ' + "[" * 400 + "]" * 400 + "}\n"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", 3),
        (b"1 1:2\n", 3),
        (b"{", 3),
        (b"[1]", 3),
        (b'{"claims": 3}', 3),
        (b'{"schema": 1, "data": {}, "objective": {}, "claims": []}', 3),
        (b'{"problems": {}, "version": 1}', 3),
        (b'{"problems": {}, "version": 9}', 4),
        (b'{"steps": []}', 3),
        (b'{"event": "step"}\n', 3),
        (b'{"event": "start"}', 3),
        (b'{"event": "start"}\n[]\n', 3),
        (b"{" + b'"a":[' * 100_000, 3),
        (b"dadapt checkpoint 3\n", 4),
        (b"PK\3\4 and no more", 3),
        (b"solver_type L2R_LR\n", 3),
        (pickle.dumps([1]), 3),
        (bytes(range(256)), 3),
    ],
)
def test_what_is_none_of_them_or_damaged(
    cli: Cli, tmp_path: Path, content: bytes, code: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    for args in ((), ("--json",), ("--weights",)):
        ran = cli("show", path, *args)
        assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1), ran.err
        assert ran.err.startswith(f"dadapt: {path}")


def test_what_cannot_be_read(cli: Cli, tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path, Path("/dev/null")):
        ran = cli("show", path)
        assert (ran.code, ran.out, ran.err.count("\n")) == (4, "", 1)
    assert cli("show", "-").code == 2


@pytest.mark.parametrize(
    ("options", "records", "points"),
    [
        (("-n", 5), 2 + 4, []),
        (("--path", "1,0.1"), 2 + 2, [1.0, 0.1]),
        (("--cross-validate", 3), 2 + 3, []),
        (("--path", "C=0.1,1", "--cross-validate", 3), 2 + 6 + 2, [None, None]),
    ],
)
def test_the_document_of_a_fit(
    cli: Cli, tmp_path: Path, options: Any, records: int, points: Any
) -> None:
    path = tmp_path / "d.json"
    path.write_text(cli("fit", IRIS, *options, "-q", "--json").out)
    document = shown(cli, path)
    assert (document["kind"], document["records"]) == ("fit", records)
    assert document["start"] == json.loads(path.read_text())["start"]
    assert document["last"]["event"] == "end"
    assert [point["l2"] for point in document["points"]] == points
    lines = cli("show", path).out.splitlines()
    assert lines[0].split() == ["fit", str(path)]
    assert any(line.split()[:3] == ["l2", "C", "gap"] for line in lines) == bool(points)


def test_the_document_of_a_comparison(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    assert cli("compare", IRIS, WDBC, "-a", "newton,lbfgs", "--export", path, "-q").code == 0
    whole, document = json.loads(path.read_text()), shown(cli, path)
    assert document["kind"] == "comparison"
    assert [one["data"] for one in document["comparisons"]] == [str(IRIS), str(WDBC)]
    for one, made in zip(document["comparisons"], whole["comparisons"], strict=True):
        assert one["verdict"] == made["verdict"]
        assert one["f_star"] == made["reference"]["f_star"]
        assert [run["gap"] for run in one["runs"]] == [run["gap"] for run in made["runs"]]
    lines = cli("show", path).out.splitlines()
    assert sum(line.split()[:1] == ["newton"] for line in lines) == 2
    (made, *_) = whole["comparisons"][0]["runs"]
    row = next(line.split() for line in lines if line.split()[:1] == [made["name"]])
    assert made["gap"] <= float(row[2]) <= 1.1 * made["gap"], "rounded up"


def test_the_document_of_the_gate_says_what_failed(cli: Cli, tmp_path: Path) -> None:
    ran = cli("regress", "iris", "-a", "dual-avg", "--json", "-q")
    document = json.loads(ran.out)
    document["runs"][0] |= {"verdict": "worse", "message": "d fell"}
    path = tmp_path / "r.json"
    path.write_text(json.dumps(document))
    found = shown(cli, path)
    assert (found["kind"], found["passed"]) == ("gate", document["passed"])
    assert found["verdicts"] == {"worse": 1, "ok": 1}
    assert [run["message"] for run in found["failed"]] == ["d fell"]
    assert "d fell" in cli("show", path).out


@pytest.mark.usefixtures("folder")
def test_the_document_of_a_prediction(cli: Cli) -> None:
    ran = cli("predict", IRIS, "-m", "m.npz", "--proven", "--json", "-q")
    Path("p.json").write_text(ran.out)
    labels = json.loads(ran.out)["labels"]
    found = shown(cli, "p.json")
    assert (found["kind"], found["samples"], found["proven"]) == ("prediction", 150, 150)
    assert found["predicted"] == {str(n): labels.count(n) for n in labels}
    assert found["accuracy"] == json.loads(ran.out)["accuracy"]


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        ("event,k,d\nstep,0,1\n", "-f json (or --export FILE.json) makes a document"),
        ("-1 3:1 4:2\n", "dadapt check describes data"),
        ("<!DOCTYPE html>", "in a browser"),
        ('[{"name": "iris"}]', "without --json"),
        ('{"path": "x", "samples": 3}', "without --json"),
    ],
)
def test_what_cannot_be_shown_says_what_can_be_done(
    cli: Cli, tmp_path: Path, content: str, remedy: str
) -> None:
    (tmp_path / "x").write_text(content)
    ran = cli("show", tmp_path / "x")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith(f"dadapt: {tmp_path / 'x'}: no model, checkpoint, proof, baseline, ")
    assert remedy in ran.err
    assert "dadapt check describes a folder" in cli("show", tmp_path).err


JUNK: Any = [None, True, -1, 1e300, "\x1b[2J\n", [], {}, [[1]], [{"a": {"b": 2}}], {"runs": 3}]


@pytest.mark.parametrize(
    "frame",
    [
        {"start": {}, "end": {}, "points": 0, "steps": 0},
        {"start": {"data": 0}, "end": {"k": 0}},
        {"command": "compare", "comparisons": 0, "options": 0, "version": 0},
        {"command": "compare", "comparisons": [{"problem": 0, "runs": 0, "reference": 0}]},
        {"command": "compare", "comparisons": [{"runs": [{"gap": 0, "name": 0}], "verdict": 0}]},
        {"baseline": 0, "passed": 0, "runs": 0, "bad": 0},
        {"baseline": 0, "passed": 0, "bad": ["x"], "runs": [{"verdict": "x", "message": 0}]},
        {"classes": 0, "labels": 0, "accuracy": 0, "unknown_labels": 0, "proven": 0},
    ],
)
def test_documents_may_hold_anything(cli: Cli, tmp_path: Path, frame: Any) -> None:
    path = tmp_path / "d.json"
    for junk in JUNK:
        path.write_text(json.dumps(frame).replace(": 0", f": {json.dumps(junk)}"))
        for args in ((), ("--json",)):
            ran = cli("show", path, *args)
            assert (ran.code, ran.err) == (0, ""), ran.err
            assert ran.out.replace("\n", "").isprintable()


@pytest.mark.usefixtures("folder")
def test_options_that_do_not_fit(cli: Cli) -> None:
    ran = cli("show", "t.jsonl", "--weights")
    assert (ran.code, ran.err) == (2, "dadapt: --weights is for models; t.jsonl is a trace\n")
    ran = cli("show", "m.npz", "-f", "xml")
    assert (ran.code, ran.err) == (2, "dadapt: --format 'xml'; choose from table, json\n")


def test_strings_and_depths_of_a_file_do_no_harm(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "t"
    evil = json.dumps({"event": "start", "\x1b[31m": "\x1b]0;x\x07\n\u202e", "n": [1, None]})
    path.write_text(f'{evil}\n{{"event": "end", "gap": "\\u001b", "labels_proven": []}}\n')
    ran = cli("show", path)
    assert (ran.code, ran.err) == (0, "")
    assert "\\x1b]0;x\\x07\\n\\u202e" in ran.out
    assert "\x1b" not in ran.out
    assert "\u202e" not in ran.out
    path.write_text(DEEP + '{"event": "step", "d": NaN, "k": 1e999}\n')
    document = shown(cli, path)
    assert document["last"] == {"event": "step", "d": None, "k": None}
    assert 0 < json.dumps(document["start"]["a"]).count("[") < LEVELS
    assert cli("show", path).code == 0


# ------------------------------------------------------------------------------- --json everywhere


def commands(command: Any, name: str = "dadapt") -> Iterator[tuple[str, dict[str, Any]]]:
    yield name, {flag: parameter for parameter in command.params for flag in parameter.opts}
    for own, sub in getattr(command, "commands", {}).items():
        yield from commands(sub, f"{name} {own}")


def test_json_is_there_wherever_format_is() -> None:
    both = set()
    for name, flags in commands(get_command(application())):
        if name != "dadapt pack":  # whose --format is that of the text
            assert ("--json" in flags) == ("--format" in flags), name
        if "--json" in flags:
            both.add(name)
            assert "-f" in flags, name
            assert flags["--json"].help == "The same as --format json.", name
    printing = ("check", "datasets list", "algorithms", "predict", "verify", "show", "fit")
    assert both >= {f"dadapt {name}" for name in printing}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "line",
    [
        f"check {IRIS}",
        "datasets list",
        "algorithms",
        f"predict {IRIS} --model m.npz -q",
        f"verify p.proof {IRIS}",
        f"verify {IRIS} --model m.npz -q",
    ],
)
def test_json_is_format_json(cli: Cli, line: str) -> None:
    ran = cli(*line.split(), "--json")
    assert (ran.code, ran.err) == (0, "")
    json.loads(ran.out)
    for same in (("-f", "json"), ("--json", "--format", "json")):
        assert cli(*line.split(), *same).out == ran.out
    ran = cli(*line.split(), "--json", "-f", "csv")
    assert (ran.code, ran.err) == (2, "dadapt: --json and --format 'csv': give one of them\n")
    assert cli(*line.split(), "-f", "csv").code == 2


def test_json_of_a_fit(cli: Cli) -> None:
    ran = cli("fit", IRIS, "-n", 3, "--reference", "none", "--json", "-q")
    assert ran.code == 0
    assert list(json.loads(ran.out)) == ["start", "steps", "end"]
    ran = cli("fit", IRIS, "-f", "jsonl", "--json")
    assert (ran.code, ran.err) == (2, "dadapt: --json and --format 'jsonl': give one of them\n")
