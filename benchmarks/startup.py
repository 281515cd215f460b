"""What starting costs: whole processes beside the imports they cannot do without.

python benchmarks/startup.py [--repeat 15]
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
from pathlib import Path

IRIS = str(Path(__file__).parent.parent / "data" / "iris.scale")
PAIRS = {
    "dadapt --help": (["-m", "dadapt_cli", "--help"], ["-c", "import typer, rich.table"]),
    "dadapt fit data/iris.scale -a auto (reference cached)": (
        ["-m", "dadapt_cli", "fit", IRIS, "-a", "auto"],
        ["-c", "import numpy, scipy.sparse"],
    ),
    "dadapt algorithms": (["-m", "dadapt_cli", "algorithms"], ["-m", "dadapt_cli", "--help"]),
    "dadapt datasets list": (
        ["-m", "dadapt_cli", "datasets", "list"],
        ["-m", "dadapt_cli", "--help"],
    ),
}


def seconds(arguments: list[str]) -> float:
    """Processor time of one Python process, which may keep its bytecode."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    begin = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *arguments], check=True, env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    return end.ru_utime - begin.ru_utime + end.ru_stime - begin.ru_stime


def slowest_imports(arguments: list[str], most: int = 8) -> list[tuple[str, float]]:
    """Own import time in ms of the slowest modules, by ``python -X importtime``."""
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments], check=True, capture_output=True, text=True
    )
    lines = re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", ran.stderr)
    return sorted(((name, int(us) / 1e3) for us, name in lines), key=lambda x: -x[1])[:most]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=15)
    repeat = parser.parse_args().repeat
    for name, (ours, floor) in PAIRS.items():
        seconds(ours), seconds(floor)  # the first run fills caches: bytecode, the reference
        pairs = [(seconds(ours), seconds(floor)) for _ in range(repeat)]
        a, b = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(x / y for x, y in pairs)
        beside = f"python {floor[0]} {floor[-1]!r} ({1e3 * b:.0f} ms)"
        print(f"{name}: {1e3 * a:.0f} ms, {ratio:.2f} x {beside}")
        shown = ", ".join(f"{module} {ms:.0f}" for module, ms in slowest_imports(ours))
        print(f"  slowest imports, own ms: {shown}")


if __name__ == "__main__":
    main()
