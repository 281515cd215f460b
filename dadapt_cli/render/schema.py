"""The JSON Schema of every record, and the rows of docs/records.md, from :mod:`.records`.

``python -m dadapt_cli.cli.docs`` writes both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dadapt_cli._typing import Record
from dadapt_cli.render.fields import Fields, Named
from dadapt_cli.render.records import DOCUMENTS, LISTS, RECORDS

FILE = "records.schema.json"
"""The schema's file, in the folder of this module."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def _type(kind: Any) -> Record:
    """The schema of a type."""
    if isinstance(kind, list):
        return {"type": "array", "items": _type(kind[0])}
    if isinstance(kind, Named):
        if kind.words:
            return {"enum": [*kind.words, *([None] if kind.null else [])]}
        what, of = ("array", "items") if kind.values is None else ("object", "additionalProperties")
        made = {of: _type(kind.values or kind.items)}
        return {"type": [what, "null"] if kind.null else what, **made}
    if isinstance(kind, Mapping):
        own = {name: value for name, value in kind.items() if name != "?"}
        made = _object(own)
        return made if len(own) == len(kind) else {"anyOf": [made, {"type": "null"}]}
    words = kind.split("|")
    return {"type": words[0] if len(words) == 1 else words}


def _object(fields: Fields) -> Record:
    """The schema of an object, which may have more keys than these."""
    return {
        "type": "object",
        "properties": {
            name.removesuffix("?"): {**_type(kind), "description": text}
            for name, (kind, text) in fields.items()
        },
        "required": [name for name in fields if not name.endswith("?")],
    }


def schema(options: Fields, shared: Iterable[str]) -> Record:
    """The JSON Schema of everything that a command prints for machines.

    Parameters
    ----------
    options
        Options of a fit, for ``options`` of the start records.
    shared
        Names of the options that all runs of a comparison share.
    """
    made = {name: {**_object(fields), "description": text}
            for name, (fields, text) in RECORDS.items()}  # fmt: skip
    common = {name: options[name] for name in shared}
    for names, own in (
        (("start", "folds_start", "path_start"), options),
        (("compare", "compare_start"), common),
    ):
        for name in names:
            text = RECORDS[name][0]["options"][1]
            made[name]["properties"]["options"] = {**_object(own), "description": text}
    known = [{"$ref": f"#/$defs/{name}"} for name in made]
    for name, (first, many, last) in DOCUMENTS.items():
        made[f"{name}_document"] = {
            "description": f"`dadapt fit -f json`: {first}, lists of "
            f"{' and of '.join(many.values())}, {last}.",
            "type": "object",
            "properties": {
                "start": {"$ref": f"#/$defs/{first}"},
                **{key: {"type": "array", "items": {"$ref": f"#/$defs/{one}"}}
                   for key, one in many.items()},
                "end": {"$ref": f"#/$defs/{last}"},
            },
            "required": ["start", *many, "end"],
            "additionalProperties": False,
        }  # fmt: skip
        known.append({"$ref": f"#/$defs/{name}_document"})
    lists = {"type": "array", "items": {"anyOf": [{"$ref": f"#/$defs/{n}"} for n in LISTS]}}
    return {
        "$schema": DIALECT,
        "title": "Records of dadapt",
        "anyOf": [*known, lists],
        "$defs": made,
    }


def rows(fields: Fields, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Key, type and meaning of each field, those of objects after them."""
    for name, (kind, text) in fields.items():
        if name == "?":
            continue
        key = prefix + name.removesuffix("?")
        inner = kind[0] if isinstance(kind, list) else kind
        rest = "[]" if isinstance(kind, list) else ""
        yield key + rest, _words(inner) + (", or left out" if name.endswith("?") else ""), text
        if isinstance(inner, Mapping):
            yield from rows(inner, f"{key}{rest}.")


def _words(kind: Any) -> str:
    """A type in a word or two."""
    if isinstance(kind, Named):
        if kind.words:
            return " ".join(f"`{word}`" for word in kind.words)
        return "object"
    if isinstance(kind, Mapping):
        return "object or null" if "?" in kind else "object"
    return str(kind).replace("|", " or ")
