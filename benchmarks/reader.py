"""Read the same LIBSVM files with this reader and with others, alternating; medians and memory.

    python benchmarks/reader.py                 # speed, about two minutes
    python benchmarks/reader.py --memory        # also peak memory on a file of 500 MB
    python benchmarks/reader.py --cpu           # processor time, for a machine that others use
    python benchmarks/reader.py --check         # exit 1 when a bound of the reader is not met

Peers that are not installed are left out (``pip install 'dadapt[bench]'``). Memory is
measured on Linux only. The real files are
those of the folder ../shared/data beside the project's main checkout (DADAPT_SHARED); the wide,
the varied and the large file are made here, always the same.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import lzma
import os
import random
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from dadapt_cli.libsvm import load, read_libsvm

SHARED = Path(os.environ.get("DADAPT_SHARED", Path(__file__).parent.parent.parent / "shared"))
REPEATS = 5
BLOCK = 8 * 2**20  # the chunk that the memory bound counts in
LEAST, LEAST_ON_TWO = 6.5, 10.0


def wide_text(size: int, seed: int = 0) -> Iterator[bytes]:
    """Rows of 50 to 200 pairs ``index:0.123456`` with indices of five digits."""
    rng = np.random.default_rng(seed)
    made = 0
    while made < size:
        count = int(rng.integers(50, 200))
        indices = np.sort(rng.choice(np.arange(10_000, 100_000), count, replace=False))
        values = rng.uniform(size=count)
        pairs = " ".join(f"{i}:{v:.6f}" for i, v in zip(indices, values, strict=True))
        row = f"{rng.choice([-1, 1])} {pairs}\n".encode()
        made += len(row)
        yield row


def varied_text() -> Iterator[bytes]:
    """12,000 rows of 60 pairs, values of both signs as ``%.6g``: digits vary in number."""
    rng = np.random.default_rng(0)
    for _ in range(12_000):
        indices = np.sort(rng.choice(90_000, 60, replace=False)) + 1
        values = rng.normal(size=60)
        pairs = " ".join(f"{i}:{v:.6g}" for i, v in zip(indices, values, strict=True))
        yield f"{rng.choice([-1, 1]):+d} {pairs}\n".encode()


def make_files(folder: Path) -> dict[str, Path]:
    """Write the four files to read."""
    names = ("a9a x 20", "wide real values", "varied real values", "news20")
    files = {name: folder / name for name in names}
    data = SHARED / "data"
    files["a9a x 20"].write_bytes(lzma.decompress((data / "a9a.xz").read_bytes()) * 20)
    files["wide real values"].write_bytes(b"".join(wide_text(40_000_000)))
    files["varied real values"].write_bytes(b"".join(varied_text()))
    files["news20"].write_bytes(lzma.decompress((data / "news20.xz").read_bytes()))
    return files


def readers() -> dict[str, Callable[[str], Any]]:
    """Each reader that is installed, by name."""
    found: dict[str, Callable[[str], Any]] = {
        "dadapt": read_libsvm,
        "dadapt, with sha256": load,
    }
    with contextlib.suppress(ImportError):
        sklearn = importlib.import_module("sklearn.datasets")
        found["scikit-learn"] = lambda path: sklearn.load_svmlight_file(path, zero_based=False)
    with contextlib.suppress(ImportError):
        svmloader = importlib.import_module("svmloader")
        found["svmloader"] = lambda path: svmloader.load_svmfile(path)
    with contextlib.suppress(ImportError):
        xgboost = importlib.import_module("xgboost")
        found["xgboost, one thread"] = lambda path: xgboost.DMatrix(
            f"{path}?format=libsvm", nthread=1, silent=True
        )
    with contextlib.suppress(ImportError):
        polars = importlib.import_module("polars")

        def lines(path: str) -> Any:
            """Only split into tokens: polars has no reader of the format."""
            frame = polars.read_csv(path, has_header=False, separator="\n", new_columns=["line"])
            return frame.select(polars.col("line").str.split(" "))

        found["polars, tokens only"] = lines
    return found


def measure(
    files: dict[str, Path], repeats: int, clock: Callable[[], float]
) -> dict[str, dict[str, float]]:
    """Median MB/s of each reader on each file; the readers take turns."""
    speeds: dict[str, dict[str, float]] = {}
    for name, path in files.items():
        megabytes = path.stat().st_size / 1e6
        seconds: dict[str, list[float]] = {}
        turns = list(readers().items())
        shuffle = random.Random(0).shuffle
        for _ in range(repeats):
            shuffle(turns)  # nobody always follows the same one
            for reader, read in turns:
                begin = clock()
                result = read(str(path))
                seconds.setdefault(reader, []).append(clock() - begin)
                del result
        speeds[name] = {reader: megabytes / median(seconds[reader]) for reader in readers()}
    return speeds


def report(speeds: dict[str, dict[str, float]]) -> None:
    """Print MB/s, and how many times as fast as scikit-learn."""
    for name, row in speeds.items():
        print(f"\n{name}")
        slowest = row.get("scikit-learn")
        for reader, speed in row.items():
            ratio = f"{speed / slowest:6.1f} x scikit-learn" if slowest else ""
            print(f"  {reader:<22}{speed:8.1f} MB/s{ratio}")


def broken_bounds(speeds: dict[str, dict[str, float]]) -> list[str]:
    """The bounds on speed that are not met."""
    broken = []
    ratios = {}
    for name, row in speeds.items():
        ratios[name] = row["dadapt"] / row["scikit-learn"]
        if ratios[name] < LEAST:
            broken.append(f"{name}: {ratios[name]:.1f} times scikit-learn, not {LEAST}")
        if row.get("svmloader", 0.0) >= row["dadapt"]:
            broken.append(f"{name}: svmloader is faster")
    if sum(ratio >= LEAST_ON_TWO for ratio in ratios.values()) < 2:
        broken.append(f"fewer than two files at {LEAST_ON_TWO} times scikit-learn")
    return broken


PEAK = """
import re, sys
from pathlib import Path
from dadapt_cli.libsvm import load

def peak():  # not ru_maxrss, which a child inherits from the process that started it
    return int(re.search("VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

load(sys.argv[1])  # what the interpreter and the libraries take, with a small file
base = peak()
data = load(sys.argv[2])
X = data.X
csr = sum(a.nbytes for a in (X.data, X.indices, X.indptr, data.y))
print(base, peak(), csr)
"""


def measure_memory(folder: Path) -> list[str]:
    """Peak memory on a file of 500 MB, as a file and through a pipe; the bounds not met."""
    large, small = folder / "large", folder / "small"
    small.write_bytes(b"1 1:1\n")
    part = b"".join(wide_text(50_000_000, seed=1))
    with large.open("wb") as file:
        for _ in range(10):
            file.write(part)
    broken = []
    print(f"\npeak memory, {large.stat().st_size / 1e6:.0f} MB of wide real values")
    for how in ("file", "pipe"):
        argument = str(large) if how == "file" else "-"
        with large.open("rb") as text:
            ran = subprocess.run(
                [sys.executable, "-c", PEAK, str(small), argument],
                stdin=text if how == "file" else subprocess.Popen(
                    ["cat", str(large)], stdout=subprocess.PIPE
                ).stdout,
                capture_output=True,
                text=True,
                check=True,
            )  # fmt: skip
        base, peak, csr = map(int, ran.stdout.split())
        extra = peak - base - csr
        print(
            f"  {how}: matrix {csr / 2**20:.0f} MiB, peak {(peak - base) / 2**20:.0f} MiB above "
            f"the {base / 2**20:.0f} MiB of the bare process: {extra / BLOCK:.2f} chunks of 8 MiB"
        )
        if extra > 4 * BLOCK:
            broken.append(f"memory, {how}: {extra / BLOCK:.1f} chunks beside the matrix, not 4")
    return broken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--memory", action="store_true", help="also measure peak memory")
    parser.add_argument("--cpu", action="store_true", help="processor time: for a busy machine")
    parser.add_argument("--check", action="store_true", help="exit 1 when a bound is not met")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    options = parser.parse_args()
    if not (SHARED / "data").is_dir():
        print(f"there is no folder {SHARED / 'data'} with the real files (DADAPT_SHARED)")
        return 2
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="xgboost")  # that it no longer likes text files
        folder = Path(name)
        clock = time.process_time if options.cpu else time.perf_counter
        speeds = measure(make_files(folder), options.repeats, clock)
        report(speeds)
        broken = broken_bounds(speeds) if "scikit-learn" in speeds["news20"] else []
        if options.memory:
            broken += measure_memory(folder)
    for line in broken:
        print(f"NOT MET: {line}")
    return 1 if options.check and broken else 0


if __name__ == "__main__":
    sys.exit(main())
