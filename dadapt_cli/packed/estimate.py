"""What a text would be as a packed folder, by the lines at its beginning: they are packed."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dadapt_cli.errors import UsageError
from dadapt_cli.libsvm.streams import Source
from dadapt_cli.packed.folder import Data, opened
from dadapt_cli.packed.format import Kind, Leaf
from dadapt_cli.packed.pack import Packing, head, read_text
from dadapt_cli.packed.writer import Packer

SAMPLE = 2**24
"""Bytes of text that are packed."""


@dataclass(frozen=True)
class Estimate:
    """A folder that is not there.

    Attributes
    ----------
    data
        As it would be opened; it has no files. Features and classes are those of the sample.
    sample, text
        Bytes of the uncompressed text that were packed, and of all of it.
    seconds
        To pack the text.
    """

    data: Data
    sample: int
    text: int
    seconds: float

    @property
    def whole(self) -> bool:
        """Whether the sample is the whole text: then nothing is estimated but the seconds."""
        return self.sample == self.text


def folder_bytes(data: Data) -> int:
    """Bytes of the files of the shards, without headers."""
    return sum(
        leaf.span(part)[1] * np.dtype(dtype).itemsize
        for leaf in data.leaves
        for part, dtype in leaf.kind.dtypes.items()
    )


class _Beginning(Source):
    """The whole lines at the beginning of a text."""

    taken = 0
    """Bytes of them."""

    more = False
    """Whether something follows."""

    def blocks(self) -> Iterator[bytes]:
        """The blocks, as in :class:`Source`, until there are SAMPLE bytes and a line ends."""
        blocks = super().blocks()
        for block in blocks:
            end = block.rfind(b"\n") + 1
            last = self.produced >= SAMPLE and end > 0
            block = block[:end] if last else block
            self.taken += len(block)
            yield block
            if last:
                self.more = self.taken < self.produced or next(blocks, None) is not None
                return


def estimate(path: str, how: Packing, limits: tuple[int, float]) -> Estimate:
    """Pack the beginning of a text into a temporary folder, and take the rest to be like it.

    Parameters
    ----------
    path
        The text, plain or compressed.
    how
        How it would be packed.
    limits
        As in :func:`.pack`.

    Raises
    ------
    DataError, InputOutputError
        As :func:`.pack`.
    UsageError
        It is a pipe, whose size nothing tells.
    """
    begun = time.perf_counter()
    source = _Beginning(path, max_bytes=limits[0], max_ratio=limits[1])
    with tempfile.TemporaryDirectory(prefix="dadapt-") as room:
        packer = Packer(Path(room), path, how.dtype, how.leaf)
        try:
            packer.begin(head(how))
            read_text(packer, source, how, None)
        finally:
            packer.release()
        data = opened(room)
    text = source.taken
    if source.more:
        if source.size is None:
            raise UsageError(f"{path}: a pipe has no size to estimate from; name a file")
        text = max(text, round(source.produced * source.size / source.consumed))
    seconds = (time.perf_counter() - begun) * text / source.taken
    data = _scaled(data, path, text / source.taken) if source.more else data
    return Estimate(data, source.taken, text, seconds)


def _scaled(data: Data, path: str, factor: float) -> Data:
    """The folder of a text that is `factor` times as long."""
    about = dict(data.about)
    about["samples"] = rows = round(data.shape[0] * factor)
    about["nonzeros"] = entries = round(data.nnz * factor)
    about["classes"] = [[label, round(count * factor)] for label, count in data.classes.items()]
    kinds = {leaf.kind for leaf in data.leaves}
    lengths = {kind.row_length for kind in kinds}
    kind = Kind(
        lengths.pop() if len(lengths) == 1 else None,
        max((kind.values for kind in kinds), key=("ones", "f4", "f8").index),
        max((kind.labels for kind in kinds), key=("i1", "i2", "i4").index),
    )
    count = max(1, math.ceil(max(entries, rows) / about["leaf"]))
    ends = np.linspace(0, [rows, entries], count + 1).round().astype(int)
    leaves = tuple(
        Leaf(number, 0, kind, int(own[0]), int(own[1]), 0, 0, 0, {})
        for number, own in enumerate(map(np.subtract, ends[1:], ends[:-1]))
    )
    return Data(path, "", about, leaves)
