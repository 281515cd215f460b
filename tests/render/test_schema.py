"""Every record that a command prints is as the published JSON Schema says, and has no other key."""

from __future__ import annotations

import copy
import importlib.resources
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dadapt_cli.algorithms import table
from dadapt_cli.render.fields import RECORDS

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


def test_check_and_datasets(cli: Cli, tmp_path: Path) -> None:
    empty = tmp_path / "d"
    empty.write_text("1\n2\n")
    check("check", *lines(cli("check", "--json", IRIS, empty, DATA / "wdbc.scale.xz").out))
    listed = json.loads(cli("datasets", "list", "--json").out)
    check("dataset", *listed)
    validator().validate(listed)


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


@pytest.mark.usefixtures("one_cache")
def test_a_changed_key_is_noticed(cli: Cli) -> None:
    """Each key of each record of a fit: left out, renamed, or of another type."""
    args = ("fit", IRIS, "-n", 3, "--test", IRIS, "-f", "jsonl")
    start, *steps, end = lines(cli(*args).out)
    for name, record in (("start", start), ("step", steps[-1]), ("end", end)):
        fields = RECORDS[name][0]
        for key in record:
            without = {k: v for k, v in record.items() if k != key}
            if f"{key}?" not in fields:
                assert not validator(name, PUBLISHED).is_valid(without), key
            assert not validator(name).is_valid({**without, f"{key}s": record[key]}), key
            assert not validator(name, PUBLISHED).is_valid({**record, key: [{}, 0]}), key
    inner = copy.deepcopy(start)
    inner["reference"]["f"] = inner["reference"].pop("f_star")
    assert not validator("start", PUBLISHED).is_valid(inner)
    more = {**steps[-1], "another": 1}
    assert validator("step", PUBLISHED).is_valid(more), "a reader minds no further key"
    assert not validator("step").is_valid(more), "but we print none that is not declared"
