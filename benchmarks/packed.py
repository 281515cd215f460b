"""Packed folders against their bars: each line has the figure and, in brackets, the bar.

    python benchmarks/packed.py pass [--size 1GB]      a pass under a limit of a seventh of the data
    python benchmarks/packed.py peak [--size 1GB]      peak memory against what is asked for
    python benchmarks/packed.py pack [--text 200MB]    dadapt pack against reading alone
    python benchmarks/packed.py workers [--size 1GB]   two MPI workers against two threads
    python benchmarks/packed.py memory                 peak memory of fits of text, by method
    python benchmarks/packed.py whole [--size 500MB]   pack and fit against LIBLINEAR's train

The data are synthetic, one-hot, 39 entries a row as Criteo's, written as packed files without
text, and deleted afterwards (``--room`` says where). The limit is a memory control group
where one can be made (root, cgroup v1 or v2); else there is none, and the line says so. Seconds
are processor time with ``--cpu``, for a busy machine; medians are shown.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from dadapt_cli.libsvm import load
from dadapt_cli.libsvm.rows import Rows
from dadapt_cli.packed.folder import Data, opened
from dadapt_cli.packed.objective import PROGRAM, bytes_needed, classes_of
from dadapt_cli.packed.pack import Packing, pack
from dadapt_cli.packed.share import Settings
from dadapt_cli.packed.writer import Packer
from dadapt_cli.system.memory import size

FIELDS = 39
WORKER = "--worker"
PASSES = 3


def make(folder: Path, entries: int, leaf: int, features: int) -> Data:
    """A folder of one-hot rows: field k has its own columns, few of them often and most rarely."""
    folder.mkdir()
    packer = Packer(folder, "synthetic", np.float64, leaf)
    packer.begin({"format": "synthetic"})
    rng = np.random.default_rng(0)
    wide = features // FIELDS
    at, left = 2**15, -(-entries // FIELDS)
    values, weights = np.ones(at * FIELDS), rng.normal(size=features)
    while left > 0:
        n = min(at, left)
        own = (rng.random((n, FIELDS)) ** 3 * wide).astype(np.int32)
        own += np.arange(FIELDS, dtype=np.int32) * wide
        scores = weights[own].sum(axis=1) / 3 + rng.logistic(size=n)
        counts = np.full(n, FIELDS, np.int64)
        packer.add(
            Rows((scores > 0) * 1.0, counts, own.ravel(), values[: n * FIELDS]), 0, False, None
        )
        left -= n
    packer.finish({"sha256": "", "bytes": 0, "encoding": "none", "notes": []}, True, features)
    return opened(folder)


def evict(data: Data) -> None:
    """Let the system forget the folder's pages: a group is charged for what it brings in."""
    for place in Path(data.path).glob("*.npy"):
        with place.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@contextmanager
def control_group(limit: int) -> Iterator[Path | None]:
    """The file of processes of a new group with at most `limit` bytes; None if none can be made."""
    base = Path("/sys/fs/cgroup")
    first = (base / "memory", "memory.limit_in_bytes", "cgroup.procs")
    kind = first if first[0].is_dir() else (base, "memory.max", "cgroup.procs")
    group = kind[0] / f"dadapt-benchmark-{os.getpid()}"
    try:
        group.mkdir()
        (group / kind[1]).write_text(str(limit))
    except OSError:
        with suppress(OSError):
            group.rmdir()
        yield None
        return
    try:
        yield group / kind[2]
    finally:
        for _ in range(50):  # until the last process has left it
            try:
                group.rmdir()
                break
            except OSError:
                time.sleep(0.1)


def status(field: str) -> int:
    """A number of /proc/self/status, in bytes."""
    found = re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def bytes_read() -> int:
    """Bytes that this process has had read from the disk."""
    found = re.search(r"^read_bytes: (\d+)", Path("/proc/self/io").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def worker(how: dict[str, Any]) -> None:
    """In a process of its own, perhaps in a group: passes over a folder; prints what they took."""
    if how["group"]:
        Path(how["group"]).write_text(str(os.getpid()))
    from dadapt_cli.packed.share import Share

    data = opened(how["folder"])
    _, numbers = classes_of(data, None)
    share = Share(data, range(len(data.leaves)),
                  Settings("float64", False, numbers, how["threads"], how["hold"]))  # fmt: skip
    bare, w = status("VmRSS"), np.full(data.shape[1], 1e-3)
    for _ in range(1 + how["passes"]):  # the first one compares the checksums
        wall, cpu, read = time.perf_counter(), time.process_time(), bytes_read()
        share.ask("value_and_gradient", w)
        line = {
            "wall": time.perf_counter() - wall,
            "cpu": time.process_time() - cpu,
            "read": bytes_read() - read,
            "peak": status("VmHWM") - bare,
        }
        print(json.dumps(line), flush=True)


def passes(data: Data, group: Path | None = None, **how: Any) -> list[dict[str, float]]:
    """What :func:`worker` prints, without its first pass."""
    wanted = {"folder": data.path, "group": group and str(group), "threads": 2, "hold": False,
              "passes": PASSES, **how}  # fmt: skip
    command = [sys.executable, __file__, WORKER, json.dumps(wanted)]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if ran.returncode:
        sys.exit(
            f"the worker ended with {ran.returncode}; -9: killed, the group is too small: more "
            "--size, less --leaf or --features"
        )
    return [json.loads(line) for line in ran.stdout.splitlines()][1:]


def median(rows: list[dict[str, float]], name: str) -> float:
    return statistics.median(row[name] for row in rows)


def folder_of(options: argparse.Namespace, room: Path) -> tuple[Data, int]:
    wanted = size(options.size.removesuffix("B"))
    data = make(room / "folder", wanted // 4, options.leaf, options.features)
    whole = sum(path.stat().st_size for path in Path(data.path).iterdir())
    print(f"{whole / 1e6:.0f} MB, {data.nnz} non-zeros, {len(data.leaves)} leaves", flush=True)
    return data, whole


def one_pass(options: argparse.Namespace, room: Path) -> None:
    """Bar 1, and the peak of bar 2 in a group."""
    data, whole = folder_of(options, room)
    clock = "cpu" if options.cpu else "wall"
    evict(data)
    begin = time.perf_counter()
    for place in Path(data.path).glob("*.npy"):
        with place.open("rb", buffering=0) as file:
            while file.read(2**22):
                pass
    disk = whole / (time.perf_counter() - begin)
    held = passes(data, hold=True)
    cached = passes(data)
    rate = median(held, clock) / median(cached, clock)
    print(f"rate from the cache / held: {rate:.2f} [0.80]", flush=True)
    evict(data)
    with control_group(whole // 7) as group:
        limited = passes(data, group)
    seconds = {"held": median(held, clock), "cached": median(cached, clock),
               "limited": median(limited, clock)}  # fmt: skip
    each = {name: 1e9 * value / data.nnz for name, value in seconds.items()}
    how = (
        f"a control group of {whole / 7e6:.0f} MB" if group else "NO LIMIT (no control group here)"
    )
    print(f"raw reads {disk / 1e6:.0f} MB/s; {clock} ns a non-zero: held {each['held']:.1f}, from "
          f"the system's cache {each['cached']:.1f}, in {how} {each['limited']:.1f}")  # fmt: skip
    read = median(limited, "read") / whole
    print(f"read from the disk in each pass: {read:.2f} of the data")
    bound = max(seconds["held"], 0.0 if options.cpu else read * whole / disk)
    print(f"rate under the limit / lower of held and disk: {bound / seconds['limited']:.2f} [0.80]")


def peak(options: argparse.Namespace, room: Path) -> None:
    """Bar 2."""
    data, whole = folder_of(options, room)
    _, numbers = classes_of(data, None)
    asked = bytes_needed(data, Settings("float64", False, numbers, 2, False))[0]
    with control_group(max(whole // 7, asked)) as group:
        evict(data)
        found = passes(data, group, passes=3)[-1]["peak"]
    beyond = asked - PROGRAM
    print(f"peak beyond the imports {found / 1e6:.0f} MB of {beyond / 1e6:.0f} MB asked for: "
          f"{found / beyond:.2f} [1.10], {'in a' if group else 'no'} control group")  # fmt: skip


def text_of(path: Path, wanted: int, features: int) -> None:
    """LIBSVM text of the synthetic rows."""
    rng = np.random.default_rng(1)
    wide = features // FIELDS
    weights = rng.normal(size=features)
    with path.open("w") as out:
        while out.tell() < wanted:
            own = (rng.random((2000, FIELDS)) ** 3 * wide).astype(int) + np.arange(FIELDS) * wide
            labels = (weights[own].sum(axis=1) / 3 + rng.logistic(size=2000) > 0) * 1
            out.write(
                "".join(
                    f"{label} " + ":1 ".join(map(str, row)) + ":1\n"
                    for label, row in zip(labels.tolist(), (own + 1).tolist(), strict=True)
                )
            )


def packing(options: argparse.Namespace, room: Path) -> None:
    """Bar 4: speed in turns in this process, the peak in processes of their own."""
    text = room / "text"
    text_of(text, size(options.text.removesuffix("B")), options.features)
    clock = time.process_time if options.cpu else time.perf_counter
    seconds: dict[str, list[float]] = {"load": [], "pack": []}
    for turn in range(options.repeat):
        for name in seconds:
            begin = clock()
            if name == "load":
                load(text)
            else:
                pack(str(text), str(room / f"folder{turn}"), Packing())
            seconds[name].append(clock() - begin)
    speed = {k: text.stat().st_size / 1e6 / statistics.median(v) for k, v in seconds.items()}
    print(f"load {speed['load']:.0f} MB/s, pack {speed['pack']:.0f} MB/s: "
          f"{speed['pack'] / speed['load']:.2f} [0.80]", flush=True)  # fmt: skip
    program = """
import re, sys
from pathlib import Path
from dadapt_cli.packed.pack import Packing, pack
if len(sys.argv) > 1:
    pack(sys.argv[1], sys.argv[2], Packing(leaf=int(sys.argv[3])))
print(re.search("VmHWM:\\\\s+(\\\\d+)", Path("/proc/self/status").read_text())[1])
"""
    for leaf in (10**6, 2**22):
        own = [str(text), str(room / f"leaf{leaf}"), str(leaf)]
        run = subprocess.run([sys.executable, "-c", program, *own], check=True, capture_output=True)
        found, bar = 1024 * int(run.stdout), 60e6 + 45 * leaf
        print(f"peak with leaves of {leaf}: {found / 1e6:.0f} MB [{bar / 1e6:.0f} MB]")


def workers(options: argparse.Namespace, room: Path) -> None:
    """Bar 6: whole runs of two lengths, so that the start cancels out."""
    data, _ = folder_of(options, room)
    base = [
        sys.executable,
        "-m",
        "dadapt_cli",
        "fit",
        data.path,
        "-a",
        "dual-avg",
        "-q",
        "-f",
        "jsonl",
    ]
    kinds = {"threads": ["--threads", "2"], "MPI": ["--threads", "1", "--workers", "2"]}
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(options.repeat):
        for name, more in kinds.items():
            took = []
            for steps in (2, 12):
                begin = time.perf_counter()
                subprocess.run([*base, *more, "-n", str(steps)], check=True, capture_output=True)
                took.append(time.perf_counter() - begin)
            seconds[name].append((took[1] - took[0]) / 10)
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"a step: two threads {middle['threads']:.2f} s, two MPI workers {middle['MPI']:.2f} s: "
          f"{middle['threads'] / middle['MPI']:.2f} [0.80]")  # fmt: skip


PEAK = """
import re, sys
from pathlib import Path
from dadapt_cli.cli import run
if len(sys.argv) > 1:
    run(sys.argv[1:])
print("PEAK", re.search("VmHWM:\\\\s+(\\\\d+)", Path("/proc/self/status").read_text())[1])
"""


def peak_of(*command: str) -> int:
    """Peak memory of a command of dadapt's, in bytes."""
    run = subprocess.run([sys.executable, "-c", PEAK, *command], check=True, capture_output=True)
    return 1024 * int(run.stdout.split()[-1])


def memory_of_text(options: argparse.Namespace, room: Path) -> None:
    """Bytes a non-zero and a sample, by method: solver/estimate.py's constants."""
    rng = np.random.default_rng(0)
    shapes = {}
    for name, n, k in (("short", 10**6, 2), ("long", 3 * 10**5, 40)):
        with (room / name).open("w") as out:
            for _ in range(0, n, 10**4):
                own = np.sort(rng.integers(1, 1000 // k, (10**4, k)) + np.arange(k) * (1000 // k))
                out.write("".join(f"{row[0] % 2} " + ":1 ".join(map(str, row)) + ":1\n"
                                  for row in own.tolist()))  # fmt: skip
        shapes[name] = n, n * k
    (room / "tiny").write_text("1 1:1\n0 2:1\n")
    for method in ("dual-avg", "gd", "safe", "accel", "lbfgs", "orth", "newton"):
        fit = ["-a", method, "-n", "3", "--reference", "none", "-q"]
        found = {name: peak_of("fit", str(room / name), *fit) for name in ("tiny", *shapes)}
        A = np.array([[entries, n] for n, entries in shapes.values()])
        entry, row = np.linalg.solve(A, [found[name] - found["tiny"] for name in shapes])
        print(f"{method:10} {entry:5.1f} bytes a non-zero, {row:6.1f} a sample", flush=True)


FIT = "dadapt fit FOLDER, auto, --tol 1e-4"


def timed(*command: str) -> tuple[float, float, float]:
    """Wall seconds, processor seconds and peak memory in MB of a process that must succeed."""
    begin, process = time.perf_counter(), subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, code, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(code)
    if process.returncode:
        sys.exit(f"{' '.join(command[:5])} ended with {process.returncode} (1: short of the goal)")
    wall = time.perf_counter() - begin
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e3


def whole(options: argparse.Namespace, room: Path) -> None:
    """Pack and fit `auto` against LIBLINEAR on the same text."""
    text, packed, model = room / "text", room / "packed", room / "model"
    text_of(text, size(options.size.removesuffix("B")), options.features)
    print(f"{text.stat().st_size / 1e6:.0f} MB of text", flush=True)
    dadapt = [sys.executable, "-m", "dadapt_cli"]
    jobs: dict[str, list[str]] = {
        "dadapt pack": [*dadapt, "pack", str(text), str(packed), "-q"],
        FIT: [
            *dadapt, "fit", str(packed), "-a", "auto", "--l2", "1/n", "--tol", "1e-4", "-q",
        ],
    }  # fmt: skip
    if shutil.which("liblinear-train"):
        train = ["liblinear-train", "-s", "0", "-c", "1", "-e", "0.01", "-q", str(text), str(model)]
        jobs["LIBLINEAR train -s 0 -e 0.01"] = train
    for name, command in jobs.items():
        wall, cpu, most = timed(*command)
        print(f"{name:38} {wall:7.1f} s, {cpu:7.1f} s of processor, {most:6.0f} MB", flush=True)
    if model.exists():
        from dadapt_cli.cluster.local import Local
        from dadapt_cli.packed.objective import Packed

        data = opened(packed)
        labels, numbers = classes_of(data, None)
        settings = Settings("float64", False, numbers, 2, False)
        problem = Packed(data, labels, Local(data, settings), settings,
                         l2=1 / data.shape[0], intercept=False)  # fmt: skip
        head, lines = model.read_text().split("\nw\n")
        w = np.array(lines.split(), float) * (1 if "label 1" in head else -1)
        print(f"f of LIBLINEAR's model: {problem.value_of(np.pad(w, (0, problem.p - len(w)))):.8f}")


COMMANDS: dict[str, Callable[[argparse.Namespace, Path], None]] = {
    "pass": one_pass,
    "peak": peak,
    "pack": packing,
    "workers": workers,
    "memory": memory_of_text,
    "whole": whole,
}


def main() -> None:
    if sys.argv[1:2] == [WORKER]:
        worker(json.loads(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=COMMANDS)
    parser.add_argument("--size", default="500M", help="of the folder, or of whole's text")
    parser.add_argument("--text", default="200M", help="of pack's text")
    parser.add_argument("--leaf", type=int, default=2**22)
    parser.add_argument("--features", type=int, default=10**6)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--cpu", action="store_true", help="processor time: for a busy machine")
    parser.add_argument("--room", help="a folder for the data")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.room) as room:
        COMMANDS[options.what](options, Path(room))


if __name__ == "__main__":
    main()
