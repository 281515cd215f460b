"""Hostile files of each kind: a documented exit code, one line, nothing else written, no memory.

``DADAPT_CASES=N`` makes N files of each kind in place of a few; ``DADAPT_SEED`` begins elsewhere.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dadapt_cli import model as models
from dadapt_cli.certificate import check
from dadapt_cli.checkpoint import file as checkpoint
from dadapt_cli.datasets import named
from dadapt_cli.errors import DataError, InputOutputError
from dadapt_cli.model import npz
from dadapt_cli.paper.protocol import Protocol
from dadapt_cli.regress import baseline, cases, gate
from dadapt_cli.render.regress import FORMATS
from dadapt_cli.system import archive, envelope
from dadapt_cli.system.terminal import printable

from ..conftest import DATA, Ran
from . import generators

CASES = int(os.environ.get("DADAPT_CASES", "20"))
"""Files of each kind, and combinations of options; more in .ci/run, thousands now and then."""

SEED = int(os.environ.get("DADAPT_SEED", "0"))

MEGABYTES = 200
"""That reading hostile files of at most a few megabytes may add to this process."""

IRIS = DATA / "iris.scale"
Cli = Callable[..., Ran]

CODES = {0, 1, 2, 3, 4, 5}
ODD = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")
"""What a terminal would obey; a newline ends a line."""


def sound(ran: Ran, case: str) -> None:
    """What holds whatever the file was."""
    assert ran.code in CODES, (case, ran)
    assert "Traceback" not in ran.err, (case, ran)
    assert not ODD.search(ran.out + ran.err), (case, ran)
    lines = ran.err.splitlines()
    assert all(line.startswith("dadapt: ") for line in lines), (case, ran)
    if ran.code in (3, 4):
        assert "internal error" not in ran.err
        assert lines, case


def look(cli: Cli, path: Path, case: str) -> None:
    """What ``dadapt show`` makes of it: a document, or one line."""
    for more in ((), ("--json",)):
        with watched(path.parent):
            ran = cli("show", path, *more)
        sound(ran, case)
        assert ran.code in (0, 3, 4), (case, ran)
        assert bool(ran.out) == (ran.code == 0), (case, ran)
        assert len(ran.err.splitlines()) == (ran.code != 0), (case, ran)
        assert not (more and ran.out) or json.loads(ran.out), case


@contextlib.contextmanager
def watched(folder: Path, *named: str) -> Iterator[None]:
    """Nothing appears in, changes in or leaves a folder, but the files named."""

    def content() -> dict[str, bytes]:
        return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*")
                if p.is_file() and p.name not in named}  # fmt: skip

    before = content()
    yield
    assert content() == before


def seeds(kind: str) -> Iterator[tuple[str, random.Random]]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(SEED, SEED + CASES):
        yield f"{kind} {number}", random.Random(f"{kind} {number}")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 1024
    assert grown < MEGABYTES, f"{grown:.0f} MB more than before"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of a run."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def good_models(tmp_path: Path, cli: Cli) -> list[dict[str, Any]]:
    made = []
    for i, more in enumerate(((), ("--scale", "minmax"), ("--positive", 2), ("--bias",))):
        path = tmp_path / f"m{i}.npz"
        assert cli("fit", IRIS, "-n", 3, "--reference", "none", "--save", path, *more).code == 0
        made.append(archive.unpack(path.read_bytes()))
    return made


def test_models(good_models: list[dict[str, Any]], folder: Path, cli: Cli) -> None:
    taken = 0
    for case, rng in seeds("model"):
        path = folder / "m.npz"
        path.write_bytes(generators.model(rng.choice(good_models), rng, npz._digest))
        with watched(folder):
            ran = cli(
                "predict", IRIS, "-m", path, *(["--probability"] if rng.random() < 0.5 else [])
            )
        sound(ran, case)
        look(cli, path, case)
        assert ran.code in (0, 3), (case, ran)
        taken += ran.code == 0
        if ran.code == 0:
            words = [word for line in ran.out.splitlines() for word in line.split()[:1]]
            assert all(re.fullmatch(r"-?\d+|rest|labels", word) for word in words), case
    assert 0 < taken < CASES


def test_text_models(folder: Path, cli: Cli) -> None:
    good = b"solver_type L2R_LR\nnr_class 3\nlabel 1 2 3\nnr_feature 2\nbias 1\nw\n"
    good += b"0.5 1 2 \n-2 1e-3 0 \n1 2 3 \n"
    swaps = (b"9007199254740993", b"1e308", b"nan", b"-1", b"MCSVM_CS", b"2147483647", b"\x1b[2J")
    for case, rng in seeds("text model"):
        content = generators.cut_or_flipped(good, rng)
        if rng.random() < 0.6:
            words = good.split(b" ")
            words[rng.randrange(len(words))] = rng.choice(swaps)
            content = b" ".join(words)
        (folder / "m").write_bytes(content)
        with watched(folder):
            ran = cli("predict", IRIS, "-m", folder / "m")
        sound(ran, case)
        look(cli, folder / "m", case)
        assert ran.code in (0, 3), (case, ran)


def begun(folder: Path, cli: Cli) -> list[tuple[Path, list[str]]]:
    """Checkpoints of several algorithms, each with the options that go on with it."""
    made = []
    for i, (rounds, *options) in enumerate((
        ("-n", "-a", "dual-avg", "--l2", "1/n"), ("-n", "-a", "orth", "--lbfgs-pairs", "2"),
        ("-n", "-a", "safe"), ("-n", "-a", "adagrad", "--bound", "certified"),
        ("--epochs", "-a", "adam", "--average", "weighted"), ("--epochs", "-a", "sgd"),
    )):  # fmt: skip
        path = folder / f"good{i}"
        ran = cli("fit", IRIS, *options, rounds, 3, "--checkpoint", path)
        assert ran.code == 0, ran
        made.append((path, [rounds, "5"]))
    return made


REMEDIES = ("--restart", "name another file", "give the same", "begin another run")


def test_checkpoints(tmp_path: Path, folder: Path, cli: Cli) -> None:
    good = [(path.read_bytes(), more) for path, more in begun(tmp_path, cli)]
    refused = 0
    for case, rng in seeds("checkpoint"):
        content, more = rng.choice(good)
        body = envelope.unseal(checkpoint.KIND, checkpoint.VERSION, content)
        if rng.random() < 0.9:
            body = generators.checkpoint_body(body, rng)
            content = envelope.seal(checkpoint.KIND, checkpoint.VERSION, body) + body
        else:
            content = generators.cut_or_flipped(content, rng)
        (folder / "run").write_bytes(content)
        look(cli, folder / "run", case)
        form = rng.choice(("table", "jsonl", "csv", "json"))
        with watched(folder, "run"):
            ran = cli("fit", IRIS, "--resume", folder / "run", *more, "-f", form, "--threads", 1)
        sound(ran, case)
        assert ran.code in (0, 1, 4, 5), (case, ran)
        refused += ran.code == 4
        if ran.code == 4:
            assert (folder / "run").read_bytes() == content, case
            assert any(words in ran.err for words in REMEDIES), (case, ran)
            assert len(ran.err.splitlines()) <= 3, (case, ran)
    assert refused > CASES // 2


FIGURES = {
    "d": 0.5, "suboptimality_last": 0.1, "suboptimality_average": 0.2, "step_sizes": 2.0,
    "iterations_1e-2": 5, "iterations_1e-3": None, "iterations": 9, "accuracy": 0.9,
}  # fmt: skip


def measured(case: cases.Case) -> Any:
    """In place of a run: what it makes of the baseline, and figures."""
    known = cases.Reference(**case.reference)
    options = cases._options(case, known, 3)
    return {"figures": dict(FIGURES), "share": cases._share(0.5, known, options), "error": None,
            "seconds": 0.0}  # fmt: skip


def taken(path: Path, case: str) -> Any:
    """The baseline, or None where it is refused."""
    try:
        return baseline.read(path)
    except (DataError, InputOutputError) as error:
        sound(Ran(error.exit_code, "", f"dadapt: {printable(str(error))}\n"), case)
        return None


def test_traces(tmp_path: Path, folder: Path, cli: Cli) -> None:
    trace = tmp_path / "t.jsonl"
    assert cli("fit", IRIS, "-n", 3, "--trace", trace).code == 0
    records = [json.loads(line) for line in trace.read_bytes().splitlines()]
    for case, rng in seeds("trace"):
        lines = list(records)
        place = rng.choice((0, -1))
        lines[place] = generators.spoiled(lines[place], rng)
        content = b"\n".join(map(generators.dumped, lines)) + b"\n"
        if rng.random() < 0.2:
            content = generators.cut_or_flipped(content, rng)
        (folder / "t").write_bytes(content)
        look(cli, folder / "t", case)


def test_baselines(folder: Path, cli: Cli) -> None:
    document = json.loads((DATA / "baseline.json").read_bytes())
    name = named("iris").name
    document["problems"] = {name: document["problems"][name]}
    text, path, read = json.dumps(document, indent=1), folder / "b.json", 0
    for case, rng in seeds("baseline"):
        content = generators.dumped(generators.spoiled(document, rng))
        if rng.random() < 0.2:
            content = generators.cut_or_flipped(text.encode(), rng)
        path.write_bytes(content)
        kept = taken(path, case)
        look(cli, path, case)
        if kept is None:
            continue
        read += 1
        runs, made = gate.run(
            [named("iris")], ["gd", "sgd"], kept, update=False,
            side_by_side=lambda function, work: iter([measured(each) for each in work]),
            progress=lambda line: None,
        )  # fmt: skip
        report = gate.summarise(runs, str(path), update=False, require_all=True)
        for form, view in FORMATS.items():
            shown = view(report)
            assert not ODD.search(shown), (case, form)
            assert form != "json" or json.loads(shown)
        baseline.write(folder / "again", made)
    assert 0 < read < CASES


def test_cache_entries(tmp_path: Path, folder: Path, cli: Cli, monkeypatch: Any) -> None:
    cache = tmp_path / "its-cache"
    monkeypatch.setenv("DADAPT_CACHE", str(cache))
    fit = ("fit", IRIS, "-a", "gd", "-n", 2, "--l2", "1/n", "-f", "jsonl", "--threads", 1)

    def reference(ran: Ran) -> Any:
        known = json.loads(ran.out.splitlines()[0])["reference"]
        return {name: value for name, value in known.items() if name != "seconds"}

    right = reference(cli(*fit))
    (entry,) = [path for path in cache.rglob("*") if path.is_file()]
    good = entry.read_bytes()
    for case, rng in seeds("cache"):
        content = generators.cut_or_flipped(good, rng)
        with contextlib.suppress(ValueError):
            if rng.random() < 0.6:
                content = generators.dumped(generators.spoiled(json.loads(good), rng))
        entry.write_bytes(content)
        with watched(folder):
            ran = cli(*fit)
        sound(ran, case)
        assert ran.code == 0, (case, ran)
        found = reference(ran)
        # Computed anew, or proven from what the file holds: wider perhaps, never beside the truth.
        assert found["f_star"] >= right["f_star"] - right["gap"]
        assert found["f_star"] - found["gap"] <= right["f_star"]
        assert abs(found["D"] - right["D"]) <= found["D_error"] + right["D_error"]
    shutil.rmtree(cache)


PROVEN = (
    ("--l2", "1/n"),
    ("--l2", "1/n", "--intercept"),
    ("--l2", 0.1, "--scale", "unit"),
    ("--l2", "1/n", "--positive", 2, "--scale", "minmax", "--metric", "diagonal"),
)


def truths(proof: dict[str, Any], path: Path) -> dict[str, tuple[float, float]]:
    """What the numbers of a sound proof are known to lie in."""
    rows = check.judge(proof, check.read_text(str(path)))
    assert {row["verdict"] for row in rows} == {"proven"}
    return {row["kind"]: row["enclosed"] for row in rows}


def test_proofs(tmp_path: Path, folder: Path, cli: Cli, capfd: Any) -> None:
    """Also: what is called proven is true, and the checker that stands alone says the same."""
    good = []
    for more in PROVEN:
        made = tmp_path / "good.json"
        ran = cli("fit", IRIS, "-a", "dual-avg", "-n", 5, *more, "--certificate", made)
        assert ran.code == 0, ran
        proof = json.loads(made.read_bytes())
        good.append((proof, truths(proof, IRIS)))
    codes = set()
    for case, rng in seeds("proof"):
        proof, known = rng.choice(good)
        document = generators.proof(proof, rng)
        content = generators.dumped(document)
        if rng.random() < 0.1:
            content = generators.cut_or_flipped(content, rng)
        (folder / "p.json").write_bytes(content)
        look(cli, folder / "p.json", case)
        argv = [str(folder / "p.json"), str(IRIS)]
        with watched(folder):
            ran = cli("verify", *argv, "-f", "json")
        sound(ran, case)
        assert ran.code in (0, 1, 3), (case, ran)
        codes.add(ran.code)
        assert check.main(argv) == ran.code, case
        assert not ODD.search("".join(capfd.readouterr())), case
        try:
            read = json.loads(content)
            same = all(read[part] == proof[part] for part in ("objective", "data"))
            same &= all(read["witness"][part] == proof["witness"][part] for part in
                        ("x0", "metric"))  # fmt: skip
        except (ValueError, RecursionError, LookupError, TypeError):
            same = False
        for row in json.loads(ran.out)["claims"] if same and ran.out else ():
            if row["verdict"] == "proven" and row["kind"] in ("f_star", "D", "D_inf"):
                low, high = known[row["kind"]]
                assert row["claimed"][0] <= high, (case, row)
                assert row["claimed"][1] >= low, (case, row)
            if row["verdict"] == "proven" and row["kind"] == "d":
                assert row["claimed"][0] <= known["D"][1], (case, row)
    assert codes == {0, 1, 3}


@pytest.mark.parametrize("experiment", ["figure2", "figure7"])
def test_results_of_experiments(
    experiment: str, folder: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = folder / "out"
    grid = ("--grid", "0.1,1,10") if experiment == "figure2" else ("--d0", "1e-6,1")
    command = ("paper", experiment, "iris", "--seeds", 2, "--epochs", 2, *grid, "--out", out, "-q")
    assert cli(*command).code == 0
    (path,) = out.glob("*.json")
    good = json.loads(path.read_bytes())
    monkeypatch.setattr("dadapt_cli.render.paper.can_draw", lambda: False)
    # Computed anew, a result is the same again: each run of the experiment is made once.
    real, runs = Protocol.run, dict[str, Any]()

    def run(self: Protocol, samples: Any, algo: str, *args: Any, **options: Any) -> Any:
        if algo not in runs:
            runs[algo] = real(self, samples, algo, *args, **options)
        return runs[algo]

    monkeypatch.setattr(Protocol, "run", run)
    for case, rng in seeds(experiment):
        content = generators.dumped(generators.spoiled(good, rng))
        if rng.random() < 0.1:
            content = generators.cut_or_flipped(content, rng)
        path.write_bytes(content)
        form = rng.choice(("table", "json"))
        with watched(folder, *(made.name for made in out.iterdir())):
            ran = cli(*command, "-f", form)
        sound(ran, case)
        assert ran.code == 0, (case, ran)
        if form == "json":
            (record,) = json.loads(ran.out)
            for name in ("problem", "title", "algorithm", "seeds", "epochs"):
                assert record[name] == good["result"]["record"][name], case
        # Used as it is, or made anew: what is there now is a result of this command.
        assert set(json.loads(path.read_bytes())) == {"key", "result"}


def test_libsvm_text(folder: Path, cli: Cli) -> None:
    path = folder / "data"
    for case, rng in seeds("libsvm"):
        path.write_bytes(generators.libsvm(rng))
        command = rng.choice((
            ("check", path), ("check", path, "--json"), ("check", path, "--lenient"),
            ("fit", path, "-n", 2, "--reference", "none", "-f", "jsonl"),
        ))  # fmt: skip
        with watched(folder):
            ran = cli(*command)
        sound(ran, case)
        assert ran.code in (0, 3, 5), (case, ran)


def test_a_model_that_is_sound_stays_so(good_models: list[dict[str, Any]], folder: Path) -> None:
    """The generators spoil what they say they do: unspoiled, all is taken."""
    for good in good_models:
        (folder / "m.npz").write_bytes(archive.pack(good))
        assert models.load(folder / "m.npz").classes
