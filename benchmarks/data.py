"""The data of the benchmarks: real files beside the checkout, and a large synthetic problem."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from dadapt_cli import read_libsvm

SHARED = Path(os.environ.get("DADAPT_SHARED", Path(__file__).parent.parent.parent / "shared"))


def shared(name: str) -> tuple[sp.csr_array, np.ndarray[Any, Any]]:
    """Read a file of the folder of real data (``DADAPT_SHARED``, or ../shared)."""
    path = SHARED / "data" / name
    if not path.exists():
        sys.exit(f"{path} is missing; set DADAPT_SHARED to the folder that holds data/{name}")
    return read_libsvm(path)


def synthetic(
    n: int = 1_000_000, p: int = 50_000, row: int = 39, seed: int = 0
) -> tuple[sp.csr_array, np.ndarray[Any, Any]]:
    """Make n rows of `row` distinct uniform features, values in (0, 1), labels from a plane.

    Returns X (n, p) with about 39 M entries by default, and labels -1, 1 of which a tenth is
    wrong.
    """
    rng = np.random.default_rng(seed)
    indices = np.sort(rng.integers(p, size=(n, row), dtype=np.int32), axis=1)
    first = np.ones((n, row), bool)
    first[:, 1:] = indices[:, 1:] != indices[:, :-1]
    indptr = np.concatenate([[0], first.sum(axis=1).cumsum()]).astype(np.int32)
    kept = indices[first]
    X = sp.csr_array(((rng.random(kept.size) + 1e-6).round(6), kept, indptr), shape=(n, p))
    scores = X @ rng.normal(size=p)
    wrong = rng.random(n) < 0.1
    return X, np.where((scores > np.median(scores)) ^ wrong, 1.0, -1.0)
