"""``dadapt pack``: a text of any size to a packed folder, in bounded memory, resumable."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from dadapt_cli._typing import Record
from dadapt_cli.errors import DataError, InputOutputError, UsageError
from dadapt_cli.libsvm.explain import Rules
from dadapt_cli.libsvm.pieces import Piece
from dadapt_cli.libsvm.reader import Reading, take_all
from dadapt_cli.libsvm.streams import MAX_BYTES, MAX_RATIO, BadStreamError, Source
from dadapt_cli.packed.criteo import CriteoReading
from dadapt_cli.packed.files import Files
from dadapt_cli.packed.folder import Data, opened
from dadapt_cli.packed.format import (
    FORMAT,
    JOURNAL,
    LEAF,
    MANIFEST,
    VERSION,
    Kind,
    Leaf,
    journal_lines,
)
from dadapt_cli.packed.reading import read, verify
from dadapt_cli.packed.writer import Packer
from dadapt_cli.system import lock
from dadapt_cli.system.files import reporting
from dadapt_cli.system.schema import require

OWN = re.compile(r"\d{5,}\.(indices|indptr|values|labels)\.npy")
"""Names of the files of shards."""

Progress = Callable[[int, int | None, int], None]
"""Called with the bytes of the file read so far, its size (None: not known), and the rows."""


@dataclass(frozen=True, kw_only=True)
class Packing:
    """How a text is packed; the same when a pack is resumed as when it was begun.

    Attributes
    ----------
    format
        Of the text: LIBSVM's, or Criteo's (:mod:`.criteo`).
    dtype
        Of the values.
    leaf
        Entries, or rows, from which a leaf is closed.
    features, zero_based, lenient
        As in :func:`dadapt_cli.libsvm.load`; of Criteo's text `features` is the number of columns
        that its fields are hashed into.
    """

    format: Literal["libsvm", "criteo"] = "libsvm"
    dtype: Literal["float64", "float32"] = "float64"
    leaf: int = LEAF
    features: int | None = None
    zero_based: bool = False
    lenient: bool = False


class _Text(Source):
    """A text that is read again up to where a pack stopped, and parsed from there on.

    Parameters
    ----------
    path, max_bytes, max_ratio
        As in :class:`Source`.
    kept
        From the last kept leaf's line: where to parse from, how much of the text had been read,
        and the hash of that.
    """

    def __init__(self, path: str, max_bytes: int, max_ratio: float, kept: Record | None) -> None:
        super().__init__(path, max_bytes=max_bytes, max_ratio=max_ratio)
        self.kept = kept

    def blocks(self) -> Iterator[bytes]:
        """The blocks, as in :class:`Source`, from where the pack stopped.

        Raises
        ------
        BadStreamError
            Also where what was read before has changed.
        """
        if self.kept is None:
            yield from super().blocks()
            return
        offset, seen = self.kept["offset"], self.kept["seen"]
        before, at, held = hashlib.sha256(), 0, b""
        for block in super().blocks():
            start, at = at, at + len(block)
            if start < seen:  # held back until known to be the same text as before
                before.update(block[: seen - start])
                held += block[max(0, offset - start) :]
                if at < seen:
                    continue
                if before.hexdigest() != self.kept["sha256"]:
                    raise BadStreamError(_CHANGED)
                block, held = held, b""
            if block:
                yield block
        if at < seen:
            raise BadStreamError(_CHANGED)


_CHANGED = "the text has changed since the pack began; pack it anew with --restart"


class _Marking(Reading):
    """Tells the packer where each piece begins, and the user how far the reading is."""

    matrix: Packer

    def __init__(self, path: str, rules: Rules, packer: Packer, tell: Callable[[], None]) -> None:
        super().__init__(path, rules, packer)
        self.offset = 0  # bytes of the text that are not parsed
        self.tell = tell

    def take(self, piece: Piece, share: float | None) -> None:
        """Parse a piece; see :meth:`Reading.take`."""
        if not piece.continues:
            mark = self.matrix.mark
            self.matrix.mark = replace(
                mark, offset=self.offset + piece.begin, lines=self.lines, rows=self.matrix.started
            )
        super().take(piece, share)
        self.tell()


class _MarkingCriteo(_Marking, CriteoReading):
    """The same of Criteo's text."""


def pack(
    path: str,
    folder: str,
    how: Packing,
    *,
    resume: bool = False,
    restart: bool = False,
    limits: tuple[int, float] = (MAX_BYTES, MAX_RATIO),
    progress: Progress = lambda done, size, rows: None,
) -> Data:
    """Pack a text; return the folder as it is opened.

    Memory: about 45 bytes for each of ``how.leaf`` entries, on top of the reader's.

    Parameters
    ----------
    path
        The text, plain or compressed; ``-`` is standard input.
    folder
        The folder to write, created if missing. It must be empty, or hold an earlier pack.
    resume
        Continue an unfinished pack: up to where it stopped, the text is read and hashed again,
        not parsed.
    restart
        Remove an earlier pack, even a finished one.
    limits
        The most a compressed file may expand to, in bytes and as a multiple of its size.

    Raises
    ------
    DataError
        The text is not of its format, or not the one that the pack was begun with.
    InputOutputError
        The text cannot be read, the folder not written, it holds other files, or another process
        packs into it.
    UsageError
        There is nothing to resume, or it was begun with other options.
    """
    place = Path(folder)
    with reporting(folder, "name a folder that can be made"):
        place.mkdir(exist_ok=True)
    if not place.is_dir():
        raise InputOutputError(f"{folder}: is no folder; name a new one")
    with lock.held(str(place / MANIFEST)):
        begun = _there(place, folder, resume=resume, restart=restart)
        if begun and (place / MANIFEST).exists():  # killed between its last two steps
            with reporting(place / JOURNAL, "it cannot be removed"):
                (place / JOURNAL).unlink()
            return opened(folder)
        packer = Packer(place, path, how.dtype, how.leaf)
        try:
            if begun:
                _take_up(packer, how)
            else:
                packer.begin(head(how))
            kept = packer.lines[-1]["text"] if packer.lines else None
            read_text(packer, _Text(path, *limits, kept), how, kept, progress)
        finally:
            packer.release()
    return opened(folder)


def _there(place: Path, folder: str, *, resume: bool, restart: bool) -> bool:
    """Whether there is a pack to continue; otherwise what is there is removed or refused."""
    names = {entry.name for entry in place.iterdir()} - {f".{MANIFEST}.lock"}
    own = {name for name in names if name in (MANIFEST, JOURNAL) or OWN.fullmatch(name)}
    own |= {name for name in names if name.startswith(f".{MANIFEST}.")}
    if foreign := sorted(names - own):
        raise InputOutputError(
            f"{folder}: holds other files ({foreign[0][:40]!r}); name a new folder for the data"
        )
    begun = bool({MANIFEST, JOURNAL} & own)
    if restart:
        # The manifest first: without it the rest counts for nothing.
        for name in sorted(own, key=lambda name: (name != MANIFEST, name != JOURNAL)):
            with reporting(place / name, "it cannot be removed"):
                (place / name).unlink()
        return False
    for name in own - {MANIFEST, JOURNAL}:
        if name.startswith("."):  # of a manifest that was being written
            with reporting(place / name, "it cannot be removed"):
                (place / name).unlink()
    if MANIFEST in own and not (resume and JOURNAL in own):
        raise InputOutputError(f"{folder}: is packed already; --restart packs the text anew")
    if resume and not begun:
        raise UsageError(f"{folder}: there is nothing to resume; leave --resume out")
    if own and not resume:
        raise InputOutputError(
            f"{folder}: holds a pack that did not end; --resume goes on with it, --restart begins "
            "anew"
        )
    return resume


def head(how: Packing) -> Record:
    """The first line of a journal."""
    return {"format": f"{FORMAT} journal", "version": VERSION, "options": asdict(how)}


def _take_up(packer: Packer, how: Packing) -> None:
    """Let the packer continue after the last complete leaf.

    Raises
    ------
    UsageError
        The pack was begun with other options.
    """
    lines, ends = journal_lines(packer.folder)
    if not lines:  # killed before the first line was complete
        packer.begin(head(how))
        return
    first = lines[0]
    if first.get("format") != f"{FORMAT} journal" or first.get("version") != VERSION:
        raise DataError("is of another version; --restart packs anew", str(packer.folder / JOURNAL))
    begun = {**asdict(Packing()), **first["options"]}  # options that came later had no effect
    for option, value in asdict(how).items():
        if begun.get(option) != value:
            flag = "hash" if (option, how.format) == ("features", "criteo") else option
            raise UsageError(
                f"--{flag.replace('_', '-')}: the pack was begun with {begun.get(option)}, not "
                f"{value}; give the same, or begin anew with --restart"
            )
    good: list[Record] = []
    files = Files(packer.folder)
    for line in lines[1:]:
        try:
            leaf = _leaf(files, line)
            if line["last"]:  # the text may have been longer, had it not ended there
                break
            data = Data(str(packer.folder), "", {}, (leaf,))
            verify(data, leaf, read(data, leaf))
        except (DataError, InputOutputError, ValueError):
            break
        files.leaves.append(leaf)
        good.append(line)
    packer.go_on(good, files.leaves, ends[len(good)])


def _leaf(files: Files, line: Record) -> Leaf:
    """The leaf of a line of the journal; ValueError where it is none."""
    numbers = ("shard", "rows", "entries", "features", "longest_row", "empty_rows")
    require(
        {
            **dict.fromkeys(numbers, int),
            "kind": tuple[int | None, str, str],
            "largest_value": float,
            "classes": list[list[int]],
            "files": dict[str, str],
            "last": bool,
        },
        line,
        "a line",
    )
    kinds = dict.fromkeys(("offset", "lines", "skip", "seen"), int)
    require({**kinds, "sha256": str, "encoding": str, "notes": list[str]}, line["text"], "text")
    leaf = files.place(Kind(*line["kind"]), line["rows"], line["entries"])
    if leaf.shard != line["shard"]:
        raise ValueError("a leaf in another shard")
    return replace(leaf, sha256=line["files"])


def read_text(
    packer: Packer,
    source: Source,
    how: Packing,
    kept: Record | None,
    progress: Progress = lambda done, size, rows: None,
) -> None:
    """Read a text to its end, and write the manifest.

    Parameters
    ----------
    kept
        What the line of the last kept leaf says about the text, if there is one.
    """
    path = source.path
    rules = Rules(
        zero_based=how.zero_based,
        n_features=how.features,
        lenient=how.lenient,
        float32=how.dtype == "float32",
    )
    reading = (_MarkingCriteo if how.format == "criteo" else _Marking)(
        path, rules, packer, lambda: progress(source.consumed, source.size, packer.started)
    )
    if kept is not None:
        reading.offset, reading.lines = kept["offset"], kept["lines"]
        reading.encoding, reading.notes = kept["encoding"], list(kept["notes"])
        reading.newline = True  # if nothing follows
    packer.about_text = lambda: {
        "seen": source.produced,
        "sha256": source.sha256,
        "encoding": reading.encoding,
        "notes": list(reading.notes),
    }
    take_all(reading, source)
    text = {
        "sha256": source.sha256,
        "bytes": source.produced,
        "encoding": reading.encoding,
        "notes": reading.notes,
    }
    packer.finish(text, how.zero_based, how.features)
