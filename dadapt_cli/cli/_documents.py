"""The JSON documents of fit, compare, regress and predict, for ``dadapt show``.

They come from files, so any value may be missing or of any type: it is then null, or left out.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

LISTS = ("steps", "folds", "points")
"""The lists of ``fit -f json`` between its start and its end."""

RUN = ("name", "status", "gap", "d_over_D", "accuracy", "seconds")
"""Keys of a run of a comparison that are shown."""

PROBLEM = ("samples", "features", "classes", "loss", "l2")

POINT = ("l2", "C", "gap", "accuracy", "log_loss", "status")
"""Keys of a point of a path that are shown."""

VERDICT = ("problem", "algo", "l2", "verdict", "message")
"""Keys of a run of the gate that are shown where it did not pass."""


def describe(document: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The kind of a document and what it holds; None if it is of another kind."""
    if isinstance(document.get("start"), dict) and isinstance(document.get("end"), dict):
        return "fit", _fit(document)
    if document.get("command") == "compare" and "comparisons" in document:
        return "comparison", _comparison(document)
    if {"baseline", "passed", "runs"} <= set(document):
        return "gate", _gate(document)
    if {"classes", "labels", "accuracy", "unknown_labels"} <= set(document):
        return "prediction", _prediction(document)
    return None


def entry(table: Any, *names: str) -> Any:
    """Look up a nested entry, or None: the JSON of a file may be anything."""
    for name in names:
        table = table.get(name) if isinstance(table, dict) else None
    return table


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _picked(table: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """These entries, as far as they are a number, a text or a truth value."""
    found = {name: entry(table, name) for name in names}
    return {name: None if isinstance(v, (dict, list)) else v for name, v in found.items()}


def _fit(document: dict[str, Any]) -> dict[str, Any]:
    """As a trace with the same records; of a path also its points."""
    return {
        "records": 2 + sum(len(_list(document.get(name))) for name in LISTS),
        "start": document["start"],
        "last": document["end"],
        "points": [_picked(point, POINT) for point in _list(document.get("points"))],
    }


def _comparison(document: dict[str, Any]) -> dict[str, Any]:
    """Who reached what, problem by problem."""
    return {
        "version": document.get("version"),
        "repeat": document.get("repeat"),
        "options": entry(document, "options"),
        "comparisons": [
            {
                "data": entry(one, "problem", "path"),
                **_picked(entry(one, "problem"), PROBLEM),
                **_picked(entry(one, "reference"), ("f_star", "D")),
                "verdict": entry(one, "verdict"),
                "runs": [_picked(run, RUN) for run in _list(entry(one, "runs"))],
            }
            for one in _list(document["comparisons"])
        ],
    }


def _gate(document: dict[str, Any]) -> dict[str, Any]:
    """How many runs have which verdict, and those that failed."""
    runs = _list(document["runs"])
    bad = {str(word) for word in _list(document.get("bad"))}
    return {
        "baseline": document["baseline"],
        "passed": document["passed"],
        "verdicts": dict(Counter(str(entry(run, "verdict")) for run in runs)),
        "failed": [_picked(run, VERDICT) for run in runs if str(entry(run, "verdict")) in bad],
    }


def _prediction(document: dict[str, Any]) -> dict[str, Any]:
    """How many samples got which label."""
    labels, proven = _list(document["labels"]), document.get("proven")
    return {
        "samples": len(labels),
        "predicted": dict(Counter(map(str, labels))),
        "proven": sum(mark is True for mark in proven) if isinstance(proven, list) else None,
        "probabilities": "probabilities" in document,
        **_picked(document, ("accuracy", "log_loss", "unknown_labels")),
    }
