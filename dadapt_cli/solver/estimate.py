"""How much memory a fit takes, of text and of a packed folder, by method."""

from __future__ import annotations

from dataclasses import dataclass

from dadapt_cli import algorithms
from dadapt_cli.errors import UsageError
from dadapt_cli.objective import VECTORS
from dadapt_cli.packed.folder import Data
from dadapt_cli.packed.objective import PROGRAM, bytes_needed
from dadapt_cli.packed.share import Settings
from dadapt_cli.solver.options import Options
from dadapt_cli.solver.packed import check, keeping

METHODS = ("dual-avg", "gd", "adagrad", "safe", "accel", "lbfgs", "orth", "newton")

ENTRY, SAMPLE = 15, 165
"""Bytes of a fit of text for each non-zero and each sample (of a class, from three on), measured:
benchmarks/packed.py memory. The matrix alone is 12 and 12."""

MORE = {"orth": 90, "newton": 40}
"""Further bytes for each sample."""

PAIRS = {"lbfgs": 20}
"""Further vectors of the size of the weights."""


@dataclass(frozen=True)
class Needs:
    """Bytes that fits by one method take.

    Attributes
    ----------
    text
        Of the text, all in memory.
    read, held
        Of the packed folder, with its leaves read or held; None where it is not taken.
    """

    method: str
    text: int
    read: int | None
    held: int | None


def needs(data: Data, threads: int) -> list[Needs]:
    """What each method needs, in float64."""
    numbers = tuple(range(len(data.classes)))
    settings = Settings("float64", False, numbers, threads, False)
    columns = len(numbers) if len(numbers) > 2 else 1
    weights = 8 * data.shape[1] * columns
    found = []
    for method in METHODS:
        options, info = Options(algo=method), algorithms.find(method).INFO
        own = PAIRS.get(method, 0) * weights
        sample = (SAMPLE + MORE.get(method, 0)) * columns
        text = PROGRAM + ENTRY * data.nnz + sample * data.shape[0] + VECTORS * weights + own
        try:
            check(options, info)
            working, leaves = bytes_needed(data, keeping(settings, info, options, data))
            packed: tuple[int | None, int | None] = working + own, working + leaves + own
        except UsageError:
            packed = None, None
        found.append(Needs(method, text, *packed))
    return found
