"""Hash and shape of a LIBSVM text, in one pass and without a matrix."""

from __future__ import annotations

import os
from dataclasses import dataclass

from dadapt_cli.libsvm import streams
from dadapt_cli.libsvm.explain import Rules
from dadapt_cli.libsvm.reader import Reading, take_all
from dadapt_cli.libsvm.rows import Rows


@dataclass(frozen=True)
class Survey:
    """Hash of the uncompressed text, rows, largest index and number of distinct labels."""

    sha256: str
    rows: int
    features: int
    classes: int


class _Tally:
    """Takes rows as the :class:`Assembler` does, and only counts."""

    def __init__(self) -> None:
        self.rows = self.features = 0
        self.labels: set[float] = set()

    def add(self, rows: Rows, lowest: int, continues: bool, share: float | None) -> None:
        """Count some rows; with ``continues`` the first one is the rest of the last one so far."""
        labels = rows.labels[1:] if continues else rows.labels
        self.rows += len(labels)
        self.labels.update(labels.tolist())
        self.features = max(self.features, int(rows.indices.max(initial=lowest - 1)) - lowest + 1)


def survey(path: str | os.PathLike[str], *, name: str, max_bytes: int) -> Survey:
    """Read a file as :func:`~dadapt_cli.libsvm.load` does, in a few blocks of memory.

    Parameters
    ----------
    path
        The file, plain or compressed.
    name
        Its name in messages.
    max_bytes
        Largest size of its uncompressed text.

    Raises
    ------
    DataError
        It is not LIBSVM text, damaged, or too large.
    InputOutputError
        It cannot be read.
    """
    tally = _Tally()
    source = streams.Source(os.fspath(path), max_bytes=max_bytes)
    take_all(Reading(name, Rules(), tally), source)
    return Survey(source.sha256, tally.rows, tally.features, len(tally.labels))
