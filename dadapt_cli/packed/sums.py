"""Sums over the leaves of a folder, by an engine."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Any, Protocol

from dadapt_cli._typing import Array
from dadapt_cli.objective import Problem
from dadapt_cli.packed.batches import PackedBatches
from dadapt_cli.packed.folder import Data
from dadapt_cli.packed.margins import PackedMargins
from dadapt_cli.packed.settings import Settings
from dadapt_cli.packed.tree import Node, Part, Tree
from dadapt_cli.preprocessing.labels import Labels


class Engine(Protocol):
    """Computes the sums; see :mod:`dadapt_cli.cluster`."""

    def ask(self, operation: str, argument: Any = None) -> list[Node]:
        """Nodes that make up the tree over all leaves."""


class Sums:
    """What :mod:`dadapt_cli.objective.smoothness` needs from data that are not in memory.

    Attributes
    ----------
    content
        SHA-256 of the data and of the classes assigned to them.
    longest_row, empty_rows
        Entries of the longest row, the constant feature included; rows without any.
    lengths
        Rows of each leaf.
    held, roomy
        Whether the leaves are held in memory, and whether there is room for margins.
    """

    def __init__(self, data: Data, engine: Engine, settings: Settings, labels: Labels) -> None:
        self.data, self.engine, self.settings = data, engine, settings
        bias = settings.bias
        self.content = hashlib.sha256(f"{data.sha256} {labels.classes}".encode()).hexdigest()
        self.longest_row: int = data.about["longest_row"] + bias
        self.empty_rows: int = 0 if bias else data.about["empty_rows"]
        self.held, self.roomy = settings.hold, settings.sample_bytes > 0
        self.lengths = [leaf.rows for leaf in data.leaves]

    def ask(self, operation: str, argument: Any = None) -> Part:
        """The sum over all leaves."""
        tree = Tree(len(self.data.leaves))
        for level, i, part in self.engine.ask(operation, argument):
            tree.add(level, i, part)
        return tree.total

    def margins(self, problem: Problem) -> PackedMargins:
        """The margins of the problem that these sums are of, kept where its samples are."""
        return PackedMargins(problem, self)

    def batches(self, problem: Problem, size: int, seed: int) -> PackedBatches:
        """The minibatches of the problem that these sums are of."""
        return PackedBatches(problem, size, seed, self)

    @cached_property
    def columns(self) -> tuple[Array, Array, Array]:
        """Entries of each feature, sums of |x| and of x^2; one pass, once."""
        counts, sizes, squares = self.ask("columns")
        return counts, sizes, squares

    def longest_column(self, most: int) -> int:
        """Entries of a feature within a block of `most` rows, at most."""
        return min(most, int(self.columns[0].max()))

    def rows(self, scale: Array | None) -> tuple[float, float, float]:
        """Means over the samples of |a|_2, |a|_1 and |a|_1^2, columns times `scale`."""
        n = self.data.shape[0]
        two, one, square = self.ask("rows", scale)
        return two / n, one / n, square / n

    def magnitude(self, v: Array) -> Array:
        """|X|' (|X| v)."""
        product: Array = self.ask("magnitude", v)[0]
        return product
