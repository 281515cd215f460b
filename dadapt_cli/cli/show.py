"""``dadapt show``: what a file that this program wrote holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from dadapt_cli.cli._documents import entry as _entry
from dadapt_cli.cli._options import FORMATS, Format
from dadapt_cli.errors import DataError, InputOutputError, UsageError
from dadapt_cli.solver.checks import choice

TOP = 10
"""Number of weights shown per class."""

HEAD = 2**16
"""Bytes that tell a model or a checkpoint from a document."""

OUTCOME = ("gap", "labels_proven", "accuracy")
"""Keys of a model's end record that are shown."""

LAST = ("k", "d", "f_last", "f_best", "suboptimality_best", "bound", "grad_norm")
"""Keys of a checkpoint's last row that are shown."""


def main(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="What fit, compare, regress or predict wrote."),
    ],
    weights: Annotated[
        bool,
        typer.Option(
            "--weights", help=f"A model's {TOP} largest weights, of each class for softmax."
        ),
    ] = False,
    output: Format = "table",
) -> None:
    """Show what a file holds: model, checkpoint, proof, baseline, trace or JSON document.

    Its content tells which. JSON documents are those of fit, compare, regress and predict.
    Nothing is checked against data: dadapt verify does that.

    Examples
    --------
    dadapt show model.npz --weights
    dadapt show run.checkpoint --json
    """
    choice("format", output, FORMATS)
    if file == "-":
        raise UsageError("FILE -: it is read from a file; name it")
    document = _read(file, weights)

    from dadapt_cli.cli._messages import plain, print_json

    if output == "json":
        print_json(document)
        return
    from dataclasses import asdict

    from dadapt_cli.render.show import table
    from dadapt_cli.solver.options import Options

    typer.echo(table(plain(document), plain(asdict(Options()))))


def _read(path: str, weights: bool) -> dict[str, Any]:
    """The file as a document, by the reader of its kind.

    Raises
    ------
    DataError
        The file is of none of the kinds, or damaged.
    InputOutputError
        It cannot be read.
    """
    from dadapt_cli import model
    from dadapt_cli.checkpoint import file as checkpoint
    from dadapt_cli.model import liblinear, npz
    from dadapt_cli.system.files import reporting

    with reporting(path, "it cannot be read"):
        if Path(path).exists() and not Path(path).is_file():
            remedy = "dadapt check describes a folder" if Path(path).is_dir() else "name another"
            raise InputOutputError(f"{path}: is not a regular file; {remedy}")
        with Path(path).open("rb") as stream:
            head = stream.read(HEAD)
    first = (head.split(None, 1) or [b""])[0]
    if head.startswith((npz.MAGIC, b"\x80")) or first in [key.encode() for key in liblinear.KEYS]:
        kind, made = "model", _model(model.load(path), weights)
        made["format"] = "npz" if head.startswith(npz.MAGIC) else "liblinear"
    elif head.startswith(checkpoint.MAGIC):
        kind, made = "checkpoint", _checkpoint(checkpoint.read(path))
    elif first.startswith((b"{", b"[")):
        kind, made = _json(path)
    else:
        _refuse(path, _remedy(head))
    if weights and kind != "model":
        raise UsageError(f"--weights is for models; {path} is a {kind}")
    return {"kind": kind, "path": path, **made}


def _refuse(path: str, remedy: str) -> NoReturn:
    raise DataError(
        "no model, checkpoint, proof, baseline, trace or JSON document of fit, compare, regress or "
        f"predict; {remedy}",
        path,
    )


def _remedy(head: bytes) -> str:
    """What to do with a file that is none of these, by how it begins."""
    line = head.partition(b"\n")[0]
    if line.startswith(b"<"):
        return "open a page or a picture in a browser"
    if b"," in line and line.replace(b",", b"").replace(b"_", b"").strip().isascii():
        return "of what is in CSV, -f json (or --export FILE.json) makes a document"
    if b":" in line:
        return "dadapt check describes data"
    return "name a file that dadapt wrote"


def _json(path: str) -> tuple[str, dict[str, Any]]:
    """The kind of a document, or of a file of records, and what it holds."""
    from dadapt_cli.certificate import check
    from dadapt_cli.cli import _documents as documents
    from dadapt_cli.regress import baseline
    from dadapt_cli.system import memory
    from dadapt_cli.system.files import read_whole

    content = read_whole(path)
    memory.require(2 * len(content), f"a file of {len(content)} bytes", path)
    start = _parsed(content.partition(b"\n")[0])
    if "event" in start:
        return "trace", _trace(path, start, content)
    del content
    try:
        document = check.load(path)
        if isinstance(document, dict) and "claims" in document:
            return "proof", _proof(document)
        if isinstance(document, dict) and (found := documents.describe(document)) is not None:
            return found
    except check.BadInputError as error:
        text = str(error)
        raise DataError(text.removeprefix(f"{path}: "), path) from None
    if isinstance(document, dict) and {"problems", "version"} <= set(document):
        return "baseline", _baseline(baseline.read(Path(path)))
    _refuse(path, "the command that printed it shows it as a table without --json")


def _parsed(line: bytes) -> dict[str, Any]:
    """Parse the JSON object in a line; {} where there is none."""
    from dadapt_cli.certificate.check import MOST_VALUES

    if sum(map(line.count, (b"[", b"{", b","))) >= MOST_VALUES:  # it would grow in memory
        return {}
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _model(model: Any, weights: bool) -> dict[str, Any]:
    """A model, with what its records say of the fit."""
    start, end = model.about.get("start"), model.about.get("end")
    return {
        "format": None,
        "loss": model.kind,
        "labels": list(model.classes),
        "features": model.n_features,
        "bias": model.bias,
        "scale": model.scaling.kind,
        "algorithm": _entry(start, "algorithm") or model.about.get("solver_type"),
        "status": _entry(end, "status"),
        "k": _entry(end, "k"),
        "l2": _entry(start, "objective", "l2"),
        "d": model.about.get("d"),
        "D": _entry(start, "reference", "D"),
        "f_star": _entry(start, "reference", "f_star"),
        **{name: _entry(end, name) for name in OUTCOME},
        "radius": None if model.ball is None else model.ball.radius,
        "data": _entry(start, "data"),
        "options": _entry(start, "options"),
        "weights": _weights(model) if weights else None,
    }


def _weights(model: Any) -> list[dict[str, Any]]:
    """The largest of each class, for unscaled features where the scaling has such weights."""
    import numpy as np

    with np.errstate(all="ignore"):  # a tiny divisor makes a weight infinite
        columns = model.scaling.raw(model.w).reshape(len(model.w), -1)
    one = columns.shape[1] < len(model.classes)  # a score above 0 means the second label
    found = []
    for label, w in zip(model.classes[1:] if one else model.classes, columns.T, strict=True):
        size = np.abs(w)
        order = [int(i) for i in np.argsort(-size, kind="stable")[:TOP] if size[i] > 0]
        rows = [
            {"feature": i + 1 if i < model.n_features else "bias", "weight": float(w[i])}
            for i in order
        ]
        found.append({"label": label, "nonzero": int(np.count_nonzero(w)), "largest": rows})
    return found


def _checkpoint(saved: Any) -> dict[str, Any]:
    """Describe the run that a checkpoint can resume."""
    options, (samples, features, _) = saved.head["options"], saved.head["data"]["shape"]
    last = saved.rows[-1] if saved.rows else None
    return {
        "algorithm": _entry(options, "algo"),
        "k": saved.k,
        "seconds": saved.seconds,
        "rows": len(saved.rows),
        "last": None if last is None else {name: last[name] for name in LAST},
        "f_star": _entry(saved.head, "reference", "f_star"),
        "data": {
            "sha256": saved.head["data"]["sha256"],
            "samples": samples,
            "features": features,
            "labels": saved.head["data"]["labels"],
        },
        "options": options,
    }


def _proof(document: dict[str, Any]) -> dict[str, Any]:
    """Describe the claims of a proof; BadInputError where these cannot be read."""
    from dadapt_cli.certificate import check

    check.need(document.get("schema") == 1, "not a proof of schema 1")
    data, objective = (check.get(document, name, dict) for name in ("data", "objective"))
    claims: dict[str, list[dict[str, Any]]] = {}
    for claim in check.get(document, "claims", list):
        kind = check.get(claim, "kind", str)
        check.need(
            kind in check.ENDS or kind == "not-attained", f"a claim of the kind {kind!r:.40}"
        )
        k = check.get(claim, "k", int) if kind in ("d", "f", "bound") else None
        low, high = (
            check.number(claim, name) if name else None for name in check.ENDS.get(kind, ("", ""))
        )
        claims.setdefault(kind, []).append({"k": k, "lower": low, "upper": high})
    return {
        "loss": check.get(objective, "loss", str),
        "l2": check.number(objective, "l2"),
        "bias": check.get(objective, "bias", bool),
        "intercept": check.get(objective, "intercept", bool),
        "data": {
            "sha256": check.get(data, "sha256", str),
            "samples": check.get(data, "samples", int),
            "features": check.get(data, "features", int),
            "labels": check.get(data, "labels", list),
        },
        "claims": claims,
    }


def _baseline(document: dict[str, Any]) -> dict[str, Any]:
    """Describe a baseline: problems, and the penalties of the runs of each algorithm."""
    return {
        "version": document["version"],
        "problems": {
            name: {
                "samples": problem["shape"]["samples"],
                "sha256": problem["sha256"],
                "algorithms": {a: list(runs) for a, runs in problem["algorithms"].items()},
            }
            for name, problem in document["problems"].items()
        },
    }


def _trace(path: str, start: dict[str, Any], content: bytes) -> dict[str, Any]:
    """Describe a trace by its first and last record; a line still being written is left out."""
    if start["event"] != "start":
        raise DataError("its first record is not the start of a run", path, 1)
    whole = content[: content.rfind(b"\n") + 1].rstrip()
    count = whole.count(b"\n") + 1
    last = _parsed(whole[whole.rfind(b"\n") + 1 :])
    if not isinstance(last.get("event"), str):
        raise DataError("the last whole line is not a record", path, count)
    return {
        "records": count,
        "complete": last["event"] == "end",
        "cut_off": not content.endswith(b"\n"),
        "start": start,
        "last": last,
    }
