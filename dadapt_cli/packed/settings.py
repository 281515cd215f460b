"""How the leaves of a folder are interpreted, and what a method keeps beside them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """How the leaves are interpreted; the same in every process.

    Attributes
    ----------
    dtype
        Type of the matrices and the weights, ``float64`` or ``float32``.
    bias
        Whether a constant feature 1 is appended.
    classes
        The number, in the order of the labels, of each class as numbered on disk.
    threads
        Threads that work at once in a process.
    hold
        Keep the leaves in memory.
    sample_bytes, leaf_bytes
        Bytes that the method keeps for each sample and each leaf, in the process that has it.
    lead_bytes
        Bytes that it takes in the leading process besides.
    """

    dtype: str
    bias: bool
    classes: tuple[int, ...]
    threads: int
    hold: bool
    sample_bytes: int = 0
    leaf_bytes: int = 0
    lead_bytes: int = 0

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return max(self.classes) + 1
