"""Read LIBSVM text, plain or compressed, from a path or standard input."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from dadapt_cli.errors import DataError, InputOutputError, UsageError

_MAGIC = {b"\x1f\x8b": gzip.decompress, b"BZh": bz2.decompress, b"\xfd7zXZ\x00": lzma.decompress}


@dataclass(frozen=True)
class LoadedData:
    """A data set as read.

    Attributes
    ----------
    X
        CSR matrix of shape (samples, features) without explicit zeros.
    y
        Labels as in the file, float64, shape (samples,).
    path
        The name the user gave, ``-`` for standard input.
    sha256
        Of the uncompressed text.
    notes
        What the user should know about the text (one line each); empty when all is well.
    """

    X: sp.csr_array
    y: np.ndarray[tuple[int], np.dtype[np.float64]]
    path: str
    sha256: str
    notes: tuple[str, ...] = ()


def _bytes_of(path: str) -> bytes:
    if path == "-":
        if sys.stdin.isatty():
            raise UsageError("standard input is a terminal; name a file or pipe data in")
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputOutputError(f"{path}: {error.strerror}; give a readable file") from error


def load(
    path: str | os.PathLike[str],
    *,
    zero_based: bool = False,
    n_features: int | None = None,
    dtype: Any = np.float64,
) -> LoadedData:
    """Read one LIBSVM file.

    Parameters
    ----------
    path
        A path, or ``-`` for standard input. gzip, bzip2 and xz are recognised by content.
    zero_based
        Whether the first feature has index 0; never guessed.
    n_features
        The number of columns; by default the largest index in the file.
    dtype
        Of the values: float64 or float32.

    Raises
    ------
    DataError
        The text is not LIBSVM data.
    InputOutputError
        The file cannot be read.
    """
    from sklearn.datasets import load_svmlight_file

    name = os.fspath(path)
    raw = _bytes_of(name)
    try:
        text = next((undo(raw) for magic, undo in _MAGIC.items() if raw.startswith(magic)), raw)
        X, y = load_svmlight_file(
            io.BytesIO(text), n_features=n_features, zero_based=zero_based, dtype=dtype
        )
    except (EOFError, OSError, lzma.LZMAError) as error:
        raise DataError(f"the compressed file is corrupt ({error})", name) from error
    except (ValueError, OverflowError) as error:
        raise DataError(f"not LIBSVM text ({error})", name) from error
    if X.shape[0] == 0:
        raise DataError("no data rows", name)
    X.eliminate_zeros()
    return LoadedData(sp.csr_array(X), y.astype(np.float64), name, hashlib.sha256(text).hexdigest())


def read_libsvm(
    path: str | os.PathLike[str],
    *,
    zero_based: bool = False,
    n_features: int | None = None,
    dtype: Any = np.float64,
) -> tuple[sp.csr_array, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Read one LIBSVM file as ``(X, y)``; see :func:`load` for the parameters and errors.

    Returns
    -------
    X
        CSR matrix, shape (samples, features).
    y
        Labels as in the file, float64, shape (samples,).
    """
    data = load(path, zero_based=zero_based, n_features=n_features, dtype=dtype)
    return data.X, data.y
