"""Every record that a command prints is as the published JSON Schema says, and has no other key."""

from __future__ import annotations

import copy
import csv
import importlib.resources
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dadapt_cli.algorithms import table
from dadapt_cli.compare.case import LEVELS
from dadapt_cli.paper import criteo
from dadapt_cli.render.records import RECORDS

from ..conftest import DATA, Ran

jsonschema = pytest.importorskip("jsonschema")
Cli = Callable[..., Ran]
IRIS = DATA / "iris.scale"

PUBLISHED = json.loads(
    (importlib.resources.files("dadapt_cli.render") / "records.schema.json").read_text()
)


def closed(node: Any) -> Any:
    """The schema without the room for more keys that it leaves its readers."""
    if isinstance(node, list):
        return [closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {name: closed(value) for name, value in node.items()}
    if "properties" in made and made.get("type") == "object":
        made["additionalProperties"] = False
    return made


STRICT = closed(PUBLISHED)


def validator(name: str | None = None, whole: dict[str, Any] = STRICT) -> Any:
    """Of one record, or of whatever a command prints."""
    own = whole if name is None else {"$ref": f"#/$defs/{name}", "$defs": whole["$defs"]}
    return jsonschema.Draft202012Validator(own)


def check(name: str, *records: Any) -> None:
    assert records
    for record in records:
        validator(name).validate(record)
        validator().validate(record)


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def check_fit(records: list[Any]) -> None:
    start, *steps, end = records
    check("start", start)
    check("step", *steps)
    check("end", end)


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(PUBLISHED)
    jsonschema.Draft202012Validator.check_schema(STRICT)


@pytest.mark.usefixtures("one_cache")
@pytest.mark.parametrize("name", table())
def test_fit(name: str, cli: Cli) -> None:
    info = table()[name].INFO
    length = ("--epochs", 2) if info.minibatch else ("-n", 6)
    more = ("--lr", 0.1) if "lr" in info.settings else ()
    args = ("fit", IRIS, "-a", name, "--l2", "1/n", *length, *more, "-q")
    check_fit(lines(cli(*args, "-f", "jsonl").out))
    document = json.loads(cli(*args, "-f", "json").out)
    check("fit_document", document)


@pytest.mark.parametrize(
    "args",
    [
        ("--reference", "none"),
        ("--reference", "0.1", "--tol", "1e-9"),
        ("--test", IRIS, "--every", "auto"),
        ("--weight", "1=2", "--scale", "minmax", "--bias"),
        ("--gradient-bound", "lipschitz", "--time-limit", 60),
        ("-a", "gd", "--schedule", "linear", "-n", 20),
        ("-a", "adam", "--epochs", 3, "--average", "uniform", "--betas", "0.8,0.99"),
        ("-a", "accel", "--variant", "coordinate", "--l2", "1/n"),
        ("--d0", "1e300", "--l2", "1/n"),
    ],
    ids=lambda args: " ".join(str(a) for a in args if a != IRIS),
)
def test_fits_with_options(args: tuple[Any, ...], cli: Cli, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    ran = cli("fit", IRIS, *args, "-f", "jsonl", "--trace", trace, "-q")
    assert ran.code in (0, 1, 5), ran.err
    records = lines(ran.out)
    check_fit(records)
    assert lines(trace.read_text()) == records
    hidden = {key for key in RECORDS["step"][0] if key.endswith("?")}
    seen = {"test_accuracy?", "epoch?", "bound_last?"} & {f"{key}?" for key in records[1]}
    assert seen <= hidden


def test_separable_data(cli: Cli) -> None:
    check_fit(lines(cli("fit", DATA / "wine.scale", "-n", 5, "-f", "jsonl").out))


def test_folds(cli: Cli) -> None:
    args = ("fit", IRIS, "-n", 5, "--cross-validate", 3, "-q")
    start, *folds, end = lines(cli(*args, "-f", "jsonl").out)
    check("folds_start", start)
    check("fold", *folds)
    check("folds_end", end)
    check("folds_document", json.loads(cli(*args, "-f", "json").out))


def test_paths(cli: Cli) -> None:
    for values, more in (
        ("0.01,0.1", ("--test", IRIS)),
        ("C=1,10", ()),
        ("C=1,2", ("-a", "adagrad")),
    ):
        args = ("fit", IRIS, "-n", 5, "--path", values, *more, "-q")
        start, *points, end = lines(cli(*args, "-f", "jsonl").out)
        check("path_start", start)
        check("point", *points)
        check("path_end", end)
        check("path_document", json.loads(cli(*args, "-f", "json").out))
        header = cli(*args, "-f", "csv").out.splitlines()[0].split(",")
        assert header == list(points[0])


def test_paths_with_folds(cli: Cli) -> None:
    args = ("fit", IRIS, "-n", 5, "--path", "C=1,10", "--cross-validate", 3, "-q")
    start, *between, end = lines(cli(*args, "-f", "jsonl").out)
    check("path_start", start)
    assert start["folds"] == 3
    check("path_fold", *(one for one in between if one["event"] == "fold"))
    check("path_folds_point", *(one for one in between if one["event"] == "point"))
    check("path_folds_end", end)
    check("path_folds_document", json.loads(cli(*args, "-f", "json").out))


CONTENDERS = ("-a", "newton,dual-avg,adam", "--with", "scikit-learn:lbfgs,scipy:cg,liblinear")


@pytest.mark.usefixtures("one_cache")
@pytest.mark.parametrize(
    "args",
    [
        (IRIS, *CONTENDERS, "--epochs", 3),
        (IRIS, DATA / "wine.scale", "-a", "newton,gd", "-n", 30, "--repeat", 3),
        (IRIS, "-a", "gd", "-n", 5, "--reference", "none"),
        (IRIS, "-a", "gd", "-n", 5, "--reference", "0.1", "--tol", "1e-3"),
    ],
    ids=["others", "profile", "best-seen", "given"],
)
def test_compare(args: tuple[Any, ...], cli: Cli, tmp_path: Path) -> None:
    kept, table_ = tmp_path / "c.json", tmp_path / "c.csv"
    ran = cli("compare", *args, "-f", "jsonl", "--export", kept, "--export", table_)
    assert ran.code == 0, ran.err
    start, *between, end = lines(ran.out)
    document = json.loads(kept.read_text())
    check("compare", document)
    check("compare_start", start)
    check("comparison", *(one for one in between if one["event"] == "comparison"))
    check("run", *(one for one in between if one["event"] == "run"))
    check("compare_end", end)
    assert {one["event"] for one in between} == {"comparison", "run"}
    own = PUBLISHED["$defs"]["compare_row"]["properties"]
    rows = list(csv.DictReader(table_.read_text().splitlines()))
    check("compare_row", *({key: cell(row[key], own.get(key)) for key in row} for row in rows))
    assert document["levels"] == list(LEVELS)


def cell(text: str, kind: dict[str, Any] | None) -> Any:
    """A field of a CSV file as it would stand in JSON."""
    if text == "":
        return None
    words = str((kind or {}).get("type", "enum"))
    return json.loads(text) if "number" in words or "integer" in words else text


def test_check_and_datasets(cli: Cli, tmp_path: Path) -> None:
    empty = tmp_path / "d"
    empty.write_text("1\n2\n")
    check("check", *lines(cli("check", "--json", IRIS, empty, DATA / "wdbc.scale.xz").out))
    listed = json.loads(cli("datasets", "list", "--json").out)
    check("dataset", *listed)
    validator().validate(listed)
    assert cli("pack", IRIS, tmp_path / "packed", "-q").code == 0
    check("packed_check", *lines(cli("check", "--json", tmp_path / "packed").out))


def test_algorithms_and_predictions(cli: Cli, tmp_path: Path) -> None:
    listed = json.loads(cli("algorithms", "--json").out)
    check("algorithm", *listed)
    validator().validate(listed)
    assert [one["name"] for one in listed] == list(table())
    model = tmp_path / "m.npz"
    cli("fit", IRIS, "-n", 20, "--save", model, "-q")
    for more in ((), ("--probability",), ("--probability", "--proven")):
        ran = cli("predict", IRIS, "--model", model, "-f", "json", *more)
        prediction = json.loads(ran.out)
        check("prediction", prediction)
        assert ("proven" in prediction) == ("--proven" in more)


def test_beyond(cli: Cli) -> None:
    args = ("--seeds", 2, "--epochs", 2, "--gradients", 10, "--instances", 2)
    ran = cli("paper", "beyond", "iris.scale", *args, "-f", "json", "-q")
    assert ran.code == 0, ran.err
    check("beyond", json.loads(ran.out))


def test_criteo(cli: Cli, tmp_path: Path) -> None:
    criteo.make(str(tmp_path / "made"), 300, columns=60)
    args = (tmp_path / "made", "--grid", "0.01,0.1", "-f", "json", "-q")
    for seeds in (1, 2):
        ran = cli("paper", "criteo", *args, "--seeds", seeds)
        check("criteo", json.loads(ran.out)[0])


@pytest.mark.parametrize("algo", ["adam", "sgd", "adagrad", "cocob"])
def test_paper(algo: str, cli: Cli) -> None:
    more = ("--variant", "pip") if algo == "adagrad" else ()
    args = ("iris.scale", "--seeds", 2, "--epochs", 2, "--algo", algo, *more)
    for command in ("figure2", "table1", "figure7"):
        if algo == "cocob" and command != "figure2":
            continue
        grid = () if command == "figure7" else ("--grid", "0.1,1")
        ran = cli("paper", command, *args, *grid, "-f", "json", "-q")
        assert ran.code == 0, ran.err
        records = json.loads(ran.out)
        check("figure7" if command == "figure7" else "figure2", *records)
        validator().validate(records)


def test_regress(cli: Cli) -> None:
    ran = cli("regress", "iris.scale", "-a", "gd", "-f", "json", "-q", "-j", 1)
    check("regress", json.loads(ran.out))


def test_verify(cli: Cli, tmp_path: Path) -> None:
    model, proof = tmp_path / "m.npz", tmp_path / "p.json"
    cli("fit", IRIS, "--l2", "1/n", "-n", 50, "--save", model, "--certificate", proof, "-q")
    check("verify", json.loads(cli("verify", IRIS, "--model", model, "-f", "json").out))
    check("proof", json.loads(cli("verify", proof, IRIS, "-f", "json").out))


def refuse_changes(name: str, record: dict[str, Any]) -> None:
    """Each key of a record left out, renamed, or of another type is against the schema."""
    fields = RECORDS[name][0]
    for key in record:
        without = {k: v for k, v in record.items() if k != key}
        if f"{key}?" not in fields:
            assert not validator(name, PUBLISHED).is_valid(without), key
        assert not validator(name).is_valid({**without, f"{key}s": record[key]}), key
        assert not validator(name, PUBLISHED).is_valid({**record, key: [{}, 0]}), key


@pytest.mark.usefixtures("one_cache")
def test_a_changed_key_is_noticed_elsewhere(cli: Cli, tmp_path: Path) -> None:
    kept = tmp_path / "c.json"
    start, *between, end = lines(
        cli("compare", IRIS, "-a", "newton", "-n", 5, "-f", "jsonl", "--export", kept).out
    )
    named = {"compare_start": start, "comparison": between[0], "run": between[1],
             "compare_end": end, "compare": json.loads(kept.read_text())}  # fmt: skip
    path = ("fit", IRIS, "-n", 2, "--path", "0.1,1", "-f", "jsonl", "-q")
    start, point, _, end = lines(cli(*path).out)
    named |= {"path_start": start, "point": point, "path_end": end}
    folds = lines(cli(*path, "--cross-validate", 2).out)
    named |= {"path_fold": folds[1], "path_folds_point": folds[-2], "path_folds_end": folds[-1]}
    named["algorithm"] = json.loads(cli("algorithms", "--json").out)[0]
    cli("pack", IRIS, tmp_path / "packed", "-q")
    named["packed_check"] = json.loads(cli("check", "--json", tmp_path / "packed").out)
    for name, record in named.items():
        check(name, record)
        refuse_changes(name, record)
    inner = copy.deepcopy(between[1])
    inner["curve"][0]["gradient"] = inner["curve"][0].pop("gradients")
    assert not validator("run", PUBLISHED).is_valid(inner)
    inner = copy.deepcopy(between[1])
    inner["seconds_to"]["1e-4"] = inner["seconds_to"].pop("1e-3")
    assert not validator("run", PUBLISHED).is_valid(inner)


@pytest.mark.usefixtures("one_cache")
def test_a_changed_key_is_noticed(cli: Cli) -> None:
    """Each key of each record of a fit: left out, renamed, or of another type."""
    args = ("fit", IRIS, "-n", 3, "--test", IRIS, "-f", "jsonl")
    start, *steps, end = lines(cli(*args).out)
    for name, record in (("start", start), ("step", steps[-1]), ("end", end)):
        refuse_changes(name, record)
    inner = copy.deepcopy(start)
    inner["reference"]["f"] = inner["reference"].pop("f_star")
    assert not validator("start", PUBLISHED).is_valid(inner)
    more = {**steps[-1], "another": 1}
    assert validator("step", PUBLISHED).is_valid(more), "a reader minds no further key"
    assert not validator("step").is_valid(more), "but we print none that is not declared"
