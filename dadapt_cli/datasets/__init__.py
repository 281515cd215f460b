"""The paper's 12 LIBSVM problems: what they are, where they are, and how to recognise them.

``datasets.toml`` is the table. Nothing here opens a connection: that is :mod:`.download`.
"""

from __future__ import annotations

import difflib
import json
import logging
import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import urlsplit

from dadapt_cli.errors import DataError, InputOutputError, UsageError
from dadapt_cli.system.files import atomic_write, cache_folder, read_whole

if TYPE_CHECKING:
    from dadapt_cli.libsvm import LoadedData

SUFFIXES = ("", ".xz", ".bz2", ".gz")

Shape = tuple[int, int, int]
"""Rows, features, classes."""


@dataclass(frozen=True)
class Dataset:
    """One file of LIBSVM's, a problem or its test part; ``datasets.toml`` explains the fields."""

    name: str
    part: str
    rows: int
    features: int
    classes: int
    sha256: tuple[str, ...]
    complete: bool = True
    title: str | None = None
    suffix: str = ""
    test: str | None = None
    kind: str = "multiclass"
    paper: bool = True
    nonzeros: int | None = None
    bytes: int | None = None
    source: str | None = None
    licence: str | None = None

    @property
    def shape(self) -> Shape:
        """What every copy of it has."""
        return self.rows, self.features, self.classes

    @property
    def settled(self) -> bool:
        """Whether a text with another hash than those of the table is certainly not it."""
        return bool(self.sha256) and self.complete

    @property
    def most_bytes(self) -> int:
        """Of its text: as known, or 24 for an ``index:value`` of every row."""
        return self.bytes or self.rows * (self.features + 1) * 24


def _table() -> tuple[str, tuple[Dataset, ...]]:
    table = tomllib.loads(Path(__file__).with_name("datasets.toml").read_text("utf-8"))
    rows = [Dataset(**{**row, "sha256": tuple(row["sha256"])}) for row in table["dataset"]]
    whole = {row.test: row for row in rows}
    return table["folder"], tuple(
        replace(row, source=whole[row.name].source, licence=whole[row.name].licence)
        if row.part == "test"
        else row
        for row in rows
    )


FOLDER, ALL = _table()
"""The folder on LIBSVM's site, and every file of the table."""

PROBLEMS = tuple(row for row in ALL if row.part != "test" and row.paper)


class Named(Protocol):
    """Anything with a name to look up."""

    @property
    def name(self) -> str:
        """LIBSVM's file name."""


N = TypeVar("N", bound=Named)

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def address(dataset: Dataset) -> str:
    """Where it is fetched from: LIBSVM's site, or the folder that ``DADAPT_MIRROR`` names.

    Raises
    ------
    UsageError
        The mirror is neither https nor on this machine.
    """
    base = os.environ.get("DADAPT_MIRROR") or f"{FOLDER}{dataset.kind}"
    try:
        parts = urlsplit(base)
        local = parts.scheme == "http" and parts.hostname in LOOPBACK
        good = bool(parts.hostname) and (parts.scheme == "https" or local)
    except ValueError:
        good = False
    if not good:
        raise UsageError(
            f"DADAPT_MIRROR {base[:80]!r}; give an https address, or http on the loopback address"
        )
    return f"{base.rstrip('/')}/{dataset.name}{dataset.suffix}"


def places() -> list[tuple[str, Path]]:
    """The folders that are searched, in this order, each with its name for messages."""
    given = [Path(name) for name in os.environ.get("DADAPT_DATA", "").split(":") if name]
    return [
        *(("DADAPT_DATA", folder) for folder in given),
        ("package", shipped()),
        ("cache", downloads()),
    ]


def shipped() -> Path:
    """The folder that comes with the program: the wheel's, or the checkout's."""
    here = Path(__file__).resolve().parent.parent
    return here / "data" if (here / "data").is_dir() else here.parent / "data"


def folders() -> list[Path]:
    """The folders of :func:`places`."""
    return [folder for _, folder in places()]


def downloads() -> Path:
    """Where fetched files and pinned hashes are kept."""
    return cache_folder() / "datasets"


def find(problem: Named) -> Path | None:
    """The first file of that name, plain or compressed; None where there is none."""
    candidates = (f / (problem.name + suffix) for f in folders() for suffix in SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)


def _key(name: str) -> str:
    return name.lower().replace(".scale", "")


def pick(name: str, among: Sequence[N]) -> N:
    """The one of that name, in any case, with or without ``.scale``.

    Raises
    ------
    UsageError
        There is none; the message suggests the nearest.
    """
    known = {_key(problem.name): problem for problem in among}
    if (key := _key(name)) in known:
        return known[key]
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    raise UsageError(f"unknown problem {name[:40]!r}; {hint}")


def named(name: str) -> Dataset:
    """The problem or test file of that name, as :func:`pick` does."""
    return pick(name, ALL)


def knows(name: str) -> bool:
    """Whether :func:`named` finds it."""
    return _key(name) in {_key(dataset.name) for dataset in ALL}


def nearest(name: str) -> str | None:
    """The name that `name` may be a misspelling of, for messages."""
    names = {_key(dataset.name): dataset.name for dataset in ALL}
    near = difflib.get_close_matches(_key(name), names, n=1, cutoff=0.7)
    return names[near[0]] if near else None


def with_text(sha256: str | None) -> Dataset | None:
    """The one whose text has this hash."""
    return next((dataset for dataset in ALL if sha256 in dataset.sha256), None)


def fetch_command(problem: Named) -> str:
    """The command that fetches its file."""
    return f"dadapt datasets fetch {problem.name}"


def absent(problem: Named) -> str:
    """The message that it is not on disk, with the remedy."""
    return (
        f"{problem.name}: not on disk; {fetch_command(problem)}, or name its folder in DADAPT_DATA"
    )


def verify(dataset: Dataset, path: str, sha256: str, shape: Shape) -> None:
    """Refuse a file that is not what its name says.

    Where the table has no hash that decides, the shape does, and the hash of the first such file
    is pinned in the cache; that is said with a warning of the logger ``dadapt``.

    Parameters
    ----------
    dataset
        What it should be.
    path
        For the message.
    sha256, shape
        Of the text; the features are its largest index.

    Raises
    ------
    DataError
        It is something else, or not the file that was used first.
    """
    if sha256 in dataset.sha256:
        return
    if shape != dataset.shape:
        raise DataError(f"{_difference(dataset, shape)}; {_REMEDY}", path)
    if dataset.settled:
        raise DataError(
            f"the shape of {dataset.name}, but not its text (sha256 {sha256[:12]}...); {_REMEDY}",
            path,
        )
    pinned = pin(dataset)
    if pinned is None:
        _write_pin(dataset, path, sha256)
    elif pinned != sha256:
        raise DataError(
            f"sha256 {sha256[:12]}... is not that of the {dataset.name} used before, "
            f"{pinned[:12]}...; remove {_pin_file(dataset)} if this is the right one",
            path,
        )


def verify_loaded(dataset: Dataset, loaded: LoadedData) -> None:
    """:func:`verify` for a file as read, with its hash."""
    features = int(loaded.X.indices.max(initial=-1)) + 1
    classes = len(set(loaded.y.tolist()))
    verify(dataset, loaded.path, loaded.sha256, (loaded.X.shape[0], features, classes))


def inspect(dataset: Dataset, path: Path, url: str | None = None) -> None:
    """:func:`verify` for a file on disk, read in one pass without keeping it in memory.

    Parameters
    ----------
    dataset
        What it should be.
    path
        The file.
    url
        Where it was just fetched from: messages name this, and the text may have no more bytes
        than the problem's.

    Raises
    ------
    DataError
        It is something else, not LIBSVM text, or expands too much.
    InputOutputError
        It cannot be read.
    """
    from dadapt_cli.libsvm.streams import MAX_BYTES
    from dadapt_cli.libsvm.survey import survey

    name, limit = (str(path), MAX_BYTES) if url is None else (url, dataset.most_bytes)
    found = survey(path, name=name, max_bytes=limit)
    verify(dataset, name, found.sha256, (found.rows, found.features, found.classes))


_REMEDY = "move it away and fetch the right one; to use this one as it is, give its path"


def _difference(dataset: Dataset, shape: Shape) -> str:
    rows, features, classes = shape
    if rows < dataset.rows and features <= dataset.features and classes <= dataset.classes:
        return f"this is a subset of {dataset.name}: {rows:,} of {dataset.rows:,} rows"
    return (
        f"this is not {dataset.name}: {rows:,} rows, {features:,} features and {classes:,} "
        f"classes, not {dataset.rows:,}, {dataset.features:,} and {dataset.classes:,}"
    )


_MOST_PIN = 2**16


def _pin_file(dataset: Dataset) -> Path:
    return downloads() / f"{dataset.name}.json"


def pin(dataset: Dataset) -> str | None:
    """The hash of the first file that was used, where the table has none."""
    try:
        document: Any = json.loads(read_whole(_pin_file(dataset), _MOST_PIN, own=True))
        pinned = document["sha256"]
    except (InputOutputError, DataError, ValueError, LookupError, TypeError, RecursionError):
        return None  # none, or not one of ours
    return pinned if isinstance(pinned, str) else None


def _write_pin(dataset: Dataset, path: str, sha256: str) -> None:
    log = logging.getLogger("dadapt")
    text = json.dumps({"name": dataset.name, "sha256": sha256, "first": path}, indent=1) + "\n"
    try:
        _pin_file(dataset).parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(_pin_file(dataset), own=True) as file:
            file.write(text.encode())
    except (OSError, InputOutputError) as error:
        log.warning("the sha256 of %s is not pinned: %s", dataset.name, error)
    else:
        log.warning(
            "%s: its sha256 was not known, the shape is right; pinned as %s... in %s",
            path, sha256[:12], _pin_file(dataset),
        )  # fmt: skip
