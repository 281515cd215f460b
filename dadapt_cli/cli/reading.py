"""The options of reading, the same on every command that reads LIBSVM files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from dadapt_cli.errors import UsageError

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


def require_input(path: str) -> None:
    """Refuse a file that is not there as what it most often is, a mistyped command line.

    Raises
    ------
    UsageError
        Nothing has this name.
    """
    if path != "-" and not Path(path).exists():
        raise UsageError(f"{path}: there is no such file; check the name")
