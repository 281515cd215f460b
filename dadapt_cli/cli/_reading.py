"""The reading options, the same on every command that reads LIBSVM files."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dadapt_cli.errors import UsageError
from dadapt_cli.solver.declared import option

if TYPE_CHECKING:
    from dadapt_cli.datasets import Dataset
    from dadapt_cli.libsvm import LoadedData
    from dadapt_cli.packed.folder import Data

# The defaults of libsvm.streams, repeated here so that --help need not import NumPy; a test
# compares them.
MAX_BYTES = 8 * 2**30
MAX_RATIO = 200.0

_reading = partial(option, group="Reading")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How LIBSVM's text is read."""

    zero_based: bool = _reading(
        False, "The first feature has index 0; never guessed.", "--zero-based"
    )
    features: int | None = _reading(
        None,
        "Number of columns; default: as read.",
        metavar="P",
        parser={"min": 1, "max": 2**31 - 1},
    )
    lenient: bool = _reading(False, "Accept '63: .50' and sort the indices of a row.", "--lenient")
    strict: bool = _reading(False, "A missing final newline is an error.", "--strict")
    max_bytes: int = _reading(
        MAX_BYTES, "Most bytes of decompressed text.", metavar="N", parser={"min": 1}
    )
    max_ratio: float = _reading(MAX_RATIO, "Most bytes of text for a compressed byte.", metavar="R")

    def arguments(self) -> dict[str, Any]:
        """The options as arguments of :func:`dadapt_cli.libsvm.load`.

        Raises
        ------
        UsageError
            An option has an invalid value.
        """
        if not (math.isfinite(self.max_ratio) and self.max_ratio >= 1):
            raise UsageError(f"--max-ratio {self.max_ratio}: give a finite number of at least 1")
        arguments = asdict(self)
        arguments["n_features"] = arguments.pop("features")
        return arguments


@dataclass(frozen=True)
class Read:
    """Samples as read.

    Attributes
    ----------
    path
        As given.
    X, y
        As in :class:`~dadapt_cli.libsvm.LoadedData`; for a packed folder, it and no labels.
    labels
        An array in which every label occurs.
    sha256, notes
        The sha256 of the text, and the notes about it.
    zero_based
        Whether the first feature has index 0.
    folder
        The packed folder, if the data is one.
    """

    path: str
    X: Any
    y: Any
    labels: Any
    sha256: str
    notes: tuple[str, ...]
    zero_based: bool
    folder: Data | None = None


PACKED = ("manifest.json", "journal.jsonl")
"""From :mod:`dadapt_cli.packed.format`, repeated so this need not import NumPy; a test compares
them."""


@dataclass(frozen=True)
class Input:
    """What DATA names: the file to read, and the problem, where it was given by name."""

    path: str
    dataset: Dataset | None = None

    def load(self, **how: Any) -> LoadedData:
        """Read it with :func:`dadapt_cli.libsvm.load`; a problem's file must be the problem's.

        Raises
        ------
        DataError, InputOutputError, UsageError
            As the reader; DataError also as :func:`dadapt_cli.datasets.verify`.
        """
        from dadapt_cli import libsvm
        from dadapt_cli.datasets import verify_loaded

        loaded = libsvm.load(self.path, **how)
        if self.dataset is not None:
            verify_loaded(self.dataset, loaded)
        return loaded

    @property
    def packed(self) -> bool:
        """Whether it is a folder of ``dadapt pack``."""
        return any(os.path.lexists(Path(self.path, name)) for name in PACKED)

    def samples(self, **how: Any) -> Read:
        """Read the text, or open the folder; the options of reading are for text.

        Raises
        ------
        DataError, InputOutputError, UsageError
            As :meth:`load`, or as a folder is opened.
        """
        import numpy as np

        if not self.packed:
            loaded = self.load(**how)
            return Read(self.path, loaded.X, loaded.y, loaded.y, loaded.sha256,
                        loaded.notes, how["zero_based"])  # fmt: skip
        from dadapt_cli.packed.folder import opened

        data = opened(self.path)
        labels = np.array(list(data.classes))
        sha256, base = data.about["text"]["sha256"], data.about["zero_based"]
        return Read(self.path, data, np.empty(0), labels, sha256, data.notes, base, data)

    def problem(self, sha256: str) -> str | None:
        """LIBSVM's name of the problem, by name or by the sha256 of the text; else None."""
        from dadapt_cli.datasets import with_text

        dataset = self.dataset or with_text(sha256)
        return None if dataset is None else dataset.name


def require_input(data: str) -> Input:
    """Find the file that DATA names: a path, ``-``, or the name of a problem.

    Raises
    ------
    UsageError
        Nothing has this name, most often because the command line is mistyped; or the problem is
        not on disk.
    """
    if data == "-" or (os.path.lexists(data) and not Path(data).is_dir()):
        return Input(data)
    from dadapt_cli import datasets

    if Input(data).packed or (
        Path(data).is_dir() and not datasets.knows(data)
    ):  # the reader says what is wrong with it
        return Input(data)
    if "/" in data or os.sep in data:
        raise UsageError(f"{data}: there is no such file; check the name")
    if not datasets.knows(data):
        near = datasets.nearest(data)
        hint = "check the name" if near is None else f"did you mean the problem {near!r}?"
        raise UsageError(f"{data}: there is no such file; {hint}")
    dataset = datasets.named(data)
    if (path := datasets.find(dataset)) is None:
        raise UsageError(datasets.absent(dataset))
    return Input(str(path), dataset)
