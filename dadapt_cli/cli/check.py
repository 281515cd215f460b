"""``dadapt check``: read and describe LIBSVM files without training."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from dadapt_cli.cli._options import FORMATS, Format
from dadapt_cli.cli._reading import Reading, require_input
from dadapt_cli.errors import DataError, ExitCode, UsageError
from dadapt_cli.solver.checks import choice

if TYPE_CHECKING:
    from dadapt_cli.libsvm.describe import Description

_LABELS_SHOWN = 20


def main(
    data: Annotated[
        list[str],
        typer.Argument(metavar="DATA...", help="LIBSVM files, - for stdin, or problems' names."),
    ],
    output: Format = "table",
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Report every bad file, not only the first.")
    ] = False,
    fix: Annotated[
        str | None,
        typer.Option(
            metavar="OUT",
            help="Read leniently and write a clean copy: sorted, plain blanks and newlines, no "
            "comments, qid, zeros or BOM.",
        ),
    ] = None,
    duplicates: Annotated[
        str, typer.Option(help="With --fix, an index twice in a row: refuse, or sum its values.")
    ] = "refuse",
    *,
    reading: Reading,
) -> int:
    """Read LIBSVM files and describe them, without training; exit 3 at the first bad one.

    With --json one JSON object a file, a line each.

    Examples
    --------
    dadapt check train.svm test.svm
    dadapt check broken.svm --fix mended.svm
    """
    choice("format", output, FORMATS)
    as_json = output == "json"
    arguments = reading.arguments()
    arguments["lenient"] |= fix is not None
    if duplicates not in ("refuse", "sum"):
        raise UsageError(f"--duplicates {duplicates!r}: give refuse or sum")
    if duplicates == "sum" and fix is None:
        raise UsageError("--duplicates sum is for --fix OUT; add it, or leave --duplicates out")
    if fix is not None and len(data) > 1:
        raise UsageError(f"--fix takes one file, {len(data)} were given; run it for each")
    inputs = [require_input(name) for name in data]

    from dadapt_cli.cli._messages import log_lines, say
    from dadapt_cli.libsvm import write_libsvm
    from dadapt_cli.libsvm.describe import describe
    from dadapt_cli.packed.folder import is_packed
    from dadapt_cli.system.files import check_output

    if fix is not None and is_packed(inputs[0].path):
        raise UsageError("--fix writes text; this is packed data, which dadapt pack makes anew")

    if fix is not None:
        check_output(fix, inputs[0].path)
        arguments["duplicates"] = duplicates
    log_lines()
    code = ExitCode.OK
    for place, given in enumerate(inputs):
        try:
            if is_packed(given.path):
                typer.echo(_packed(given.path, place, as_json=as_json))
                continue
            loaded = given.load(**arguments)
            description = describe(loaded, index_base=0 if reading.zero_based else 1)
        except DataError as error:
            if not keep_going:
                raise
            say(str(error))
            code = ExitCode.DATA
            continue
        for note in description.notes:
            say(f"{given.path}: {note}")
        if fix is not None:
            write_libsvm(fix, loaded.X, loaded.y, zero_based=reading.zero_based)
        del loaded
        typer.echo(_json(description) if as_json else _table(description, place))
    return code


def _packed(path: str, place: int, *, as_json: bool) -> str:
    """Check a packed folder and describe it."""
    import json

    from dadapt_cli.cli._messages import printable, say
    from dadapt_cli.packed.check import check
    from dadapt_cli.packed.folder import opened
    from dadapt_cli.render.progress import Progress

    data = opened(path)
    with Progress(0) as shown:
        found = check(data, partial(shown.read, f"checking {path}"))
    for note in data.notes:
        say(f"{path}: {note}")
    if as_json:
        return json.dumps(found, allow_nan=False)
    labels = [f"{label} ({count})" for label, count in found["labels"].items()]
    more = len(labels) - _LABELS_SHOWN
    text = found["text"]
    entries = {
        "samples": found["samples"],
        "features": found["features"],
        "nonzeros": f"{found['nonzeros']} (density {found['density']:.4g})",
        "labels": ", ".join(labels[:_LABELS_SHOWN]) + (f", and {more} more" if more > 0 else ""),
        "indices": "none"
        if found["min_index"] is None
        else f"{found['min_index']} to {found['max_index']}, counted from {found['index_base']}",
        "values": "none"
        if found["value_min"] is None
        else f"{found['value_min']:g} to {found['value_max']:g}",
        "empty columns": found["empty_columns"],
        "empty rows": found["empty_rows"],
        "longest row": found["longest_row"],
        "leaves": f"{found['leaves']} of {found['leaf']} entries",
        "text": f"{text['bytes']} bytes, {text['encoding']}, sha256 {text['sha256']}",
        "sha256": found["sha256"],
    }
    lines = [f"{name:<17}{value}" for name, value in entries.items()]
    return "\n".join([*([""] if place else []), printable(path), *lines])


def _json(description: Description) -> str:
    import json
    from dataclasses import asdict

    return json.dumps(asdict(description), allow_nan=False)


def _table(description: Description, place: int) -> str:
    """Return the description as aligned lines, an empty one between two files."""
    from dadapt_cli.cli._messages import printable

    d = description
    labels = [f"{label} ({count})" for label, count in d.labels.items()]
    more = len(labels) - _LABELS_SHOWN
    shown = ", ".join(labels[:_LABELS_SHOWN]) + (f", and {more} more" if more > 0 else "")
    none = "none"
    entries = {
        "samples": d.samples,
        "features": d.features,
        "nonzeros": f"{d.nonzeros} (density {d.density:.4g})",
        "labels": shown,
        "indices": none
        if d.min_index is None
        else f"{d.min_index} to {d.max_index}, counted from {d.index_base}",
        "values": none if d.value_min is None else f"{d.value_min:g} to {d.value_max:g}",
        "empty columns": d.empty_columns,
        "constant columns": d.constant_columns,
        "empty rows": d.empty_rows,
        "duplicate rows": f"{d.duplicate_rows} ({d.duplicate_share:.2%})",
        "memory": f"{d.memory_bytes / 2**20:.1f} MiB",
        "text": f"{d.bytes} bytes, {d.encoding}, {d.compression or 'not compressed'}",
        "sha256": d.sha256,
    }
    lines = [f"{name:<17}{value}" for name, value in entries.items()]
    return "\n".join([*([""] if place else []), printable(d.path), *lines])
