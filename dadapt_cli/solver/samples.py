"""What is fitted, and where it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dadapt_cli._typing import Array
from dadapt_cli.preprocessing.labels import as_array


@dataclass(frozen=True)
class Source:
    """Where the data came from.

    Attributes
    ----------
    path, sha256
        The file, and the hash of its text.
    load_seconds
        Time spent reading.
    problem
        LIBSVM's file name, where it is one of the paper's problems.
    zero_based
        The first feature has index 0 in the file.
    """

    path: str | None = None
    sha256: str | None = None
    load_seconds: float = 0.0
    problem: str | None = None
    zero_based: bool = False


@dataclass(frozen=True)
class Samples:
    """What is fitted.

    Attributes
    ----------
    X, y
        As in :func:`dadapt_cli.fit`; arrays. y becomes that of
        :func:`~dadapt_cli.preprocessing.labels.as_array`.
    sample_weight
        How much each sample counts, or None.
    job
        For packed data, the processes that share the work; None: this process alone.
    source
        Where the samples came from.
    """

    X: Any
    y: Array
    sample_weight: Any = None
    job: Any = None
    source: Source = field(default_factory=Source)

    def __post_init__(self) -> None:
        object.__setattr__(self, "y", as_array(self.y))
