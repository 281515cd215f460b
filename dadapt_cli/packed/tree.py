"""The order of every sum over samples: a fixed binary tree over the leaves.

Node (l, i) covers those of the leaves [i 2^l, (i+1) 2^l) that exist; it is left + right, or left
alone. Which numbers are added, and in which order, depends on the number of leaves alone: not on
threads, processes, or which is ready first. A process reduces its consecutive leaves to the
fewest whole nodes, which are then added to those of the other processes.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Part: TypeAlias = tuple[Any, ...]
"""Numbers, arrays, or lists, whose sums are those of left and right; entry by entry."""

Node: TypeAlias = tuple[int, int, Part]
"""Level, place in the level, and sum."""


class Tree:
    """Sums of nodes; siblings are added as soon as both are there.

    Parameters
    ----------
    leaves
        How many there are in all.
    """

    def __init__(self, leaves: int) -> None:
        self.leaves = leaves
        self.top = max(0, (leaves - 1).bit_length())
        self.nodes: dict[tuple[int, int], Part] = {}

    def add(self, level: int, i: int, part: Part) -> None:
        """Put a node in. Its arrays become the tree's, which adds in their memory."""
        while level < self.top:
            sibling = i ^ 1
            if sibling << level < self.leaves:
                other = self.nodes.pop((level, sibling), None)
                if other is None:
                    break
                part = _sum(part, other) if i < sibling else _sum(other, part)
            level, i = level + 1, i >> 1
        self.nodes[level, i] = part

    def parts(self) -> list[Node]:
        """The nodes that have no sibling yet."""
        return [(level, i, part) for (level, i), part in self.nodes.items()]

    @property
    def total(self) -> Part:
        """The sum over all leaves.

        Raises
        ------
        ValueError
            Some are missing.
        """
        if set(self.nodes) != {(self.top, 0)}:
            raise ValueError(f"a sum over {self.leaves} leaves without some of them")
        return self.nodes[self.top, 0]


def _sum(left: Part, right: Part) -> Part:
    """left + right, entry by entry, in the memory of the left arrays."""
    return tuple(
        np.add(a, b, out=a) if isinstance(a, np.ndarray) else a + b
        for a, b in zip(left, right, strict=True)
    )


def share(leaves: int, workers: int, rank: int) -> range:
    """The consecutive leaves of worker `rank`; may be empty with fewer leaves than workers."""
    return range(rank * leaves // workers, (rank + 1) * leaves // workers)
