"""``dadapt pack``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

import typer

from dadapt_cli.cli._options import Quiet
from dadapt_cli.cli._reading import Input, Reading, require_input
from dadapt_cli.errors import ExitCode, UsageError
from dadapt_cli.solver.declared import declared, option, same

LEAF = 2**22
"""The default of :mod:`dadapt_cli.packed.format`, repeated so that --help need not import NumPy."""

HASH = 10**6
"""The default of ``--hash``: of the order of what click logs are hashed into."""

_packing = partial(option, group="Packing")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """How a text is packed."""

    format: Literal["libsvm", "criteo"] = _packing(
        "libsvm", "Of DATA; criteo: label, 13 integers, 26 categories, between tabs."
    )
    hash: float | None = _packing(
        None, "Columns that Criteo's fields are hashed into; default 1e6.", at_least=1,
        at_most=2**31 - 1, metavar="P",
    )  # fmt: skip
    dtype: Literal["float64", "float32"] = _packing("float64", "Of the values.")
    leaf: int = _packing(
        LEAF, "Entries from which a leaf is closed: of memory and of sums.", at_least=1,
        at_most=2**30, metavar="N",
    )  # fmt: skip
    estimate: bool = _packing(
        False, "Only say how large the folder, and the memory of fits, would be.", "--estimate"
    )
    resume: bool = _packing(False, "Go on with a pack that did not end.", "--resume")
    restart: bool = _packing(False, "Remove what FOLDER holds of a pack.", "--restart")
    zero_based: bool = same(Reading, "zero_based")
    features: int | None = same(Reading, "features")
    lenient: bool = same(Reading, "lenient")
    max_bytes: int = same(Reading, "max_bytes")
    max_ratio: float = same(Reading, "max_ratio")


def main(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A file, - for stdin, or a problem's name.")
    ],
    folder: Annotated[
        str | None, typer.Argument(metavar="[FOLDER]", help="A new folder; not with --estimate.")
    ] = None,
    quiet: Quiet = False,
    *,
    wanted: Wanted,
) -> int:
    """Pack LIBSVM text, or Criteo's, into a folder that fits are made of in bounded memory.

    The text is read once. A pack that was killed goes on with --resume. --estimate packs 16 MiB of
    it and says what all of it would take, and which memory fits need of the text and of the folder.

    Examples
    --------
    dadapt pack --estimate criteo.svm.gz
    dadapt pack criteo.svm.gz criteo
    dadapt pack criteo.svm.gz criteo --resume
    dadapt pack --format criteo --hash 1e6 day_0.gz day_0
    """
    how = _how(wanted)
    if wanted.resume and wanted.restart:
        raise UsageError("--resume goes on and --restart begins anew; leave one out")
    reading = Reading(max_bytes=wanted.max_bytes, max_ratio=wanted.max_ratio)
    reading.arguments()
    found = require_input(data)
    limits = (wanted.max_bytes, wanted.max_ratio)
    if wanted.estimate:
        if folder is not None or wanted.resume or wanted.restart:
            raise UsageError("--estimate writes nothing; leave FOLDER, --resume and --restart out")
        typer.echo(_estimate(found, how, limits))
        return ExitCode.OK
    if folder is None:
        raise UsageError("name a FOLDER to pack into, or --estimate what it would be")

    from dadapt_cli.cli._messages import log_lines, say
    from dadapt_cli.packed.pack import Packing, pack
    from dadapt_cli.render.progress import Progress
    from dadapt_cli.system.signals import Interrupts

    log_lines(quiet=quiet)
    with Interrupts(), Progress(0, quiet=quiet) as shown:
        packed = pack(
            found.path,
            folder,
            Packing(**how),
            resume=wanted.resume,
            restart=wanted.restart,
            limits=limits,
            progress=partial(shown.read, f"packing {found.path}"),
        )
    if found.dataset is not None:
        from dadapt_cli.datasets import verify

        sizes = (*packed.shape, len(packed.classes))
        verify(found.dataset, found.path, packed.about["text"]["sha256"], sizes)
    if not quiet:
        for line in (*packed.notes, *_advice(packed)):
            say(f"{found.path}: {line}")
    typer.echo(
        f"{folder}: {packed.shape[0]} samples, {packed.shape[1]} features, {packed.nnz} nonzeros, "
        f"{len(packed.classes)} labels, {len(packed.leaves)} leaves; sha256 {packed.sha256}"
    )
    return ExitCode.OK


def _how(wanted: Wanted) -> dict[str, Any]:
    """Arguments of :class:`~dadapt_cli.packed.pack.Packing`.

    Raises
    ------
    UsageError
        An option has an invalid value, or is not of this format.
    """
    known = declared(Wanted)
    for name in ("format", "dtype", "leaf", "hash"):
        known[name].check(getattr(wanted, name))
    of_text = {name: getattr(wanted, name) for name in ("dtype", "zero_based", "lenient")}
    how = {"format": wanted.format, "leaf": wanted.leaf}
    if wanted.format == "libsvm":
        if wanted.hash is not None:
            raise UsageError("--hash is of --format criteo; LIBSVM text has indices of its own")
        return {**how, **of_text, "features": wanted.features}
    for name, value in {**of_text, "features": wanted.features}.items():
        if value != known[name].default:
            raise UsageError(
                f"--{known[name].typed} is of LIBSVM text; Criteo's has 39 fields, --hash P says "
                "how many columns they are hashed into, and all values are 1"
            )
    columns = HASH if wanted.hash is None else wanted.hash
    if columns != int(columns):
        raise UsageError(f"--hash {columns}: give an integer")
    return {**how, "features": int(columns), "zero_based": True}


def _advice(packed: Any) -> list[str]:
    """Advice about slow layouts: each leaf computes a gradient of its own."""
    weights = packed.shape[1] * (1 if len(packed.classes) < 3 else len(packed.classes))
    if len(packed.leaves) == 1 or weights <= packed.about["leaf"] // 4:
        return []
    return [
        f"a gradient has {weights} numbers, a leaf only {packed.about['leaf']} entries: "
        f"--leaf {min(4 * weights, 2**30)} makes fits faster, for more memory"
    ]


def _estimate(found: Input, how: dict[str, Any], limits: tuple[int, float]) -> str:
    """The sizes of a text or a folder, and what fits of them need."""
    from dadapt_cli.objective import cores
    from dadapt_cli.packed.estimate import estimate, folder_bytes
    from dadapt_cli.packed.folder import opened
    from dadapt_cli.packed.pack import Packing
    from dadapt_cli.solver.estimate import needs
    from dadapt_cli.system import memory

    if found.packed:
        data, about, least, seconds = opened(found.path), "", "", ""
    else:
        guess = estimate(found.path, Packing(**how), limits)
        data, seconds = guess.data, f"; to pack: about {_time(guess.seconds)}"
        about = "" if guess.whole else "about "
        least = "" if guess.whole or how["features"] else "at least "
        if not guess.whole:
            seconds += f" (by the first {_size(guess.sample)} of {_size(guess.text)} of text)"
    rows, features = data.shape
    threads = cores()
    lines = [
        f"{found.path}: {about}{rows} samples, {least}{features} features, {about}{data.nnz} "
        f"nonzeros, {least}{len(data.classes)} labels",
        f"folder: {about}{_size(folder_bytes(data))}, {len(data.leaves)} leaves{seconds}",
        f"memory of a fit, {threads} threads:",
        f"  {'method':<10}{'text':>10}{'folder':>10}{'held':>10}",
    ]
    table = needs(data, threads)
    for own in table:
        sizes = ("-" if size is None else _size(size) for size in (own.text, own.read, own.held))
        lines.append(f"  {own.method:<10}" + "".join(f"{size:>10}" for size in sizes))
    there = memory.available()
    if there is not None:
        fits = [own.method for own in table if own.text <= there]
        most = f"{_size(there)} are free"
        if len(fits) == len(table):
            lines.append(f"{most}: the text fits in memory, it need not be packed")
        elif fits:
            lines.append(f"{most}: the text fits in memory for {', '.join(fits)}; packed for all")
        else:
            lines.append(f"{most}: the text does not fit in memory; pack it")
    return "\n".join(lines)


def _size(count: int) -> str:
    """Bytes, as people say them."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count} B"


def _time(seconds: float) -> str:
    """A duration, as people say it."""
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.1f} s"
