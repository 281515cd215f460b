"""The options of reading, the same on every command that reads LIBSVM files."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dadapt_cli.errors import UsageError

if TYPE_CHECKING:
    from dadapt_cli.datasets import Dataset
    from dadapt_cli.libsvm import LoadedData

# The defaults of libsvm.streams, repeated here so that --help need not import NumPy; a test
# compares them.
MAX_BYTES = 8 * 2**30
MAX_RATIO = 200.0

ZeroBased = Annotated[
    bool, typer.Option("--zero-based", help="The first feature has index 0; never guessed.")
]
Features = Annotated[
    int | None,
    typer.Option(
        "--features", metavar="P", min=1, max=2**31 - 1, help="Number of columns; default: as read."
    ),
]
Lenient = Annotated[
    bool, typer.Option("--lenient", help="Accept '63: .50' and sort the indices of a row.")
]
Strict = Annotated[bool, typer.Option("--strict", help="A missing final newline is an error.")]
MaxBytes = Annotated[
    int,
    typer.Option("--max-bytes", metavar="N", min=1, help="Most bytes of decompressed text."),
]
MaxRatio = Annotated[
    float,
    typer.Option("--max-ratio", metavar="R", help="Most bytes of text for a compressed byte."),
]


def reading(
    *,
    zero_based: bool,
    features: int | None,
    lenient: bool,
    strict: bool,
    max_bytes: int,
    max_ratio: float,
) -> dict[str, Any]:
    """Turn the options into arguments of :func:`dadapt_cli.libsvm.load`.

    Raises
    ------
    UsageError
        An option has a value that means nothing.
    """
    if not (math.isfinite(max_ratio) and max_ratio >= 1):
        raise UsageError(f"--max-ratio {max_ratio}: give a finite number of at least 1")
    return {
        "zero_based": zero_based,
        "n_features": features,
        "lenient": lenient,
        "strict": strict,
        "max_bytes": max_bytes,
        "max_ratio": max_ratio,
    }


@dataclass(frozen=True)
class Input:
    """What DATA stands for: the file to read, and the problem it was called by, if it was."""

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

    def problem(self, sha256: str) -> str | None:
        """LIBSVM's name of the problem, by name or by the sha256 of the text; else None."""
        from dadapt_cli.datasets import with_text

        dataset = self.dataset or with_text(sha256)
        return None if dataset is None else dataset.name


def require_input(data: str) -> Input:
    """Find the file that DATA stands for: a path, ``-``, or the name of a problem.

    Raises
    ------
    UsageError
        Nothing has this name, most often because the command line is mistyped; or the problem is
        not on disk.
    """
    if data == "-" or (os.path.lexists(data) and not Path(data).is_dir()):
        return Input(data)
    from dadapt_cli import datasets

    if Path(data).is_dir() and not datasets.knows(data):  # the reader says what is wrong with it
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
