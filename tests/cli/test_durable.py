"""``--checkpoint`` and ``--resume`` as a shell sees them: kills, signals, locks and full disks."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dadapt_cli.checkpoint import file as checkpoint

from ..conftest import DATA, PATIENCE, Ran, listening
from ..conftest import timeless as without_times
from .test_fit import DADAPT, lines

VEHICLE = DATA / "vehicle.scale"
Cli = Callable[..., Ran]

KILLS = int(os.environ.get("DADAPT_KILLS", "5"))
"""Of each kind of run; 200 were made once, see CHANGELOG."""

RUNS: dict[str, tuple[str, ...]] = {
    "full batch": ("-a", "dual-avg", "--reference", "none", "-n"),
    "minibatch": ("-a", "adam", "--average", "weighted", "--reference", "none", "--epochs"),
}
ENDLESS = "100000000"


def timeless(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [without_times(record) for record in records]


def until(condition: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def stamp(path: Path) -> tuple[int, int] | None:
    try:
        return path.stat().st_ino, path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def survives(tmp_path: Path, options: tuple[str, ...], kills: int) -> dict[str, int]:
    """Kill a run without end again and again, let it make 30 more rounds; count what kills hit.

    A quarter of them fall anywhere between the start of the process and a little after the time
    that the first one took to its third checkpoint, however slow the machine is. The others are
    made once three checkpoints have been seen, the later ones of a further iteration.
    """
    moments = random.Random(20230601)
    run, whole = tmp_path / "run", tmp_path / "whole"
    args = [str(arg) for arg in ("fit", VEHICLE, "-q", "-f", "jsonl")]
    trace = tmp_path / "trace"
    counts = {"kills": 0, "during a write": 0, "before the first": 0, "moved": 0,
              "seen to move": 0}  # fmt: skip
    reached, startup = -1, 0.0
    for _ in range(kills):
        began = time.monotonic()
        before = stamp(run)
        begun = (["--resume", str(run)] if before else
                 [*options, ENDLESS, "--checkpoint", str(run)])  # fmt: skip
        process = subprocess.Popen(
            [*DADAPT, *args, *begun, "--checkpoint-every", "0", "--trace", str(trace)], stdout=-3
        )
        if startup and moments.random() < 0.25:
            time.sleep(moments.uniform(0.0, 1.2 * startup))
        else:
            seen = {before}
            until(lambda seen=seen: seen.add(stamp(run)) or len(seen) > 3, process)
            counts["seen to move"] += 1
            startup = startup or time.monotonic() - began
            time.sleep(moments.uniform(0.0, 0.02))
        process.kill()
        assert process.wait() == -signal.SIGKILL
        counts["kills"] += 1
        counts["before the first"] += not run.exists()
        counts["during a write"] += any(tmp_path.glob(".run.*.dadapt-part"))
        if run.exists():
            k = checkpoint.read(str(run)).k
            assert k >= reached
            counts["moved"] += k > reached
            reached = k
        if trace.exists():
            assert all(json.loads(line) for line in trace.read_text().split("\n")[:-1])
    rounds = [options[-1], str(reached + 30)]
    last = subprocess.run(
        [*DADAPT, *args, "--resume", run, *rounds, "--trace", trace], stdout=-1, text=True
    )
    alone = subprocess.run(
        [*DADAPT, *args, *options[:-1], *rounds, "--checkpoint", whole], stdout=-1, text=True
    )
    assert last.returncode == alone.returncode == 0
    mine, theirs = lines(last.stdout), lines(alone.stdout)
    assert timeless(mine[1:]) == timeless(theirs[1:])
    assert lines(trace.read_text()) == mine
    one, other = checkpoint.read(str(run)), checkpoint.read(str(whole))
    for saved in (one, other):
        at = saved.tree["dict"].get("at", {"_Epochs": {}})["_Epochs"]
        row = at.get("unreported") or {"dict": {}}
        row["dict"]["seconds"] = None
    assert one.tree == other.tree
    assert set(one.arrays) == set(other.arrays) >= {"state.x"}
    for name, array in one.arrays.items():  # weights, sums, averages: bit for bit
        assert array.tobytes() == other.arrays[name].tobytes(), name
    leftovers = {path.name for path in tmp_path.iterdir()} - {"run", "whole", "trace"}
    assert not leftovers
    return counts


@pytest.mark.parametrize("kind", RUNS)
def test_a_run_survives_being_killed(kind: str, tmp_path: Path) -> None:
    counts = survives(tmp_path, RUNS[kind], KILLS)
    assert counts["kills"] == KILLS
    assert counts["moved"] >= counts["seen to move"] > KILLS // 4
    print(kind, counts)


def running(run: Path, *more: Any) -> subprocess.Popen[str]:
    """A fit that takes minutes, once it has made a checkpoint."""
    process = subprocess.Popen(
        [*DADAPT, "fit", VEHICLE, "-n", "100000000", "--reference", "none",
         "--checkpoint", run, *map(str, more)],
        stdout=-1, stderr=-1, text=True, preexec_fn=listening,
    )  # fmt: skip
    until(run.exists, process)
    return process


def test_a_signal_keeps_the_iteration_it_ends_with(cli: Cli, tmp_path: Path) -> None:
    run, trace = tmp_path / "run", tmp_path / "trace"
    process = running(run, "--trace", trace)
    until(lambda: trace.exists() and trace.read_text().count("\n") > 3, process)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (143, "")
    end = lines(trace.read_text())[-1]
    assert end["status"] == "interrupted"
    assert end["k"] == checkpoint.read(str(run)).k > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "trace"]
    resumed = cli("fit", VEHICLE, "--resume", run, "-n", end["k"] + 9, "-f", "jsonl")
    alone = cli("fit", VEHICLE, "--reference", "none", "-n", end["k"] + 9, "-f", "jsonl")
    assert (resumed.code, resumed.err) == (0, f"dadapt: {run}: resumed from k = {end['k']}\n")
    assert timeless(lines(resumed.out)[1:]) == timeless(lines(alone.out)[1:])


def waits_for_a_reader(pid: int) -> bool:
    """Whether a process has taken all signals sent to it, and is held up by its standard output."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    pending = [line for line in status if line.startswith(("SigPnd", "ShdPnd")) and "1" in line]
    call = Path(f"/proc/{pid}/syscall").read_text().split()  # its number and arguments, in hex
    return not pending and call[1:2] == ["0x1"]


@pytest.mark.skipif(not Path("/proc/self/syscall").exists(), reason="needs Linux's /proc")
def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    """The first comes while a row cannot be written to a full pipe, which would wait for ever."""
    run = tmp_path / "run"
    process = running(run, "--every", 1, "-f", "jsonl", "--checkpoint-every", 0)
    until(lambda: waits_for_a_reader(process.pid), process)
    reached = checkpoint.read(str(run)).k
    process.send_signal(signal.SIGINT)
    until(lambda: waits_for_a_reader(process.pid), process)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 130
    process.communicate()
    assert checkpoint.read(str(run)).k == reached
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_closed_pipe_is_quiet_and_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    run, trace = tmp_path / "run", tmp_path / "trace"
    command = (
        f"{sys.executable} -m dadapt_cli fit {VEHICLE} -n 3000 --every 1 -f jsonl "
        f"--reference none --checkpoint {run} --checkpoint-every 0 --trace {trace} "
        "| head -n 1 > /dev/null; echo ${PIPESTATUS[0]}"
    )
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == ("141\n", "")
    assert checkpoint.read(str(run)).k >= 0
    assert lines(trace.read_text())[0]["event"] == "start"  # whole lines, however many
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "trace"]


def test_two_runs_on_one_checkpoint(cli: Cli, tmp_path: Path) -> None:
    run = tmp_path / "run"
    first = running(run, "--checkpoint-every", 0)
    for option in (("--resume", run), ("--checkpoint", run), ("--checkpoint", run, "--restart")):
        ran = cli("fit", VEHICLE, *option)
        assert ran.code == 4
        assert f"{run}: in use by process {first.pid}; " in ran.err
        assert ran.err.count("\n") == 1
        assert ran.out == ""
    first.kill()
    first.communicate()
    assert cli("fit", VEHICLE, "--resume", run, "-n", 1, "-q").code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.fixture
def kept(cli: Cli, tmp_path: Path) -> Path:
    run = tmp_path / "run"
    assert cli("fit", VEHICLE, "-n", 5, "--reference", "none", "--checkpoint", run).code == 0
    return run


@pytest.mark.parametrize("blocks", [0, 1, 8])
def test_a_full_disk_leaves_the_old_checkpoint_and_nothing_else(blocks: int, kept: Path) -> None:
    before = kept.read_bytes()
    fit = f"{sys.executable} -m dadapt_cli fit {VEHICLE} -q --resume {kept} -n 99"
    limited = f"ulimit -f {blocks}; trap '' XFSZ; exec {fit}"
    ran = subprocess.run(["bash", "-c", limited], capture_output=True, text=True)
    assert ran.returncode == 4
    what = "nothing was written there" if blocks else "it cannot be locked"
    assert ran.stderr == f"dadapt: {kept}: File too large; {what}\n"
    assert kept.read_bytes() == before
    assert [path.name for path in kept.parent.iterdir()] == ["run"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_a_file_system_without_space(kept: Path) -> None:
    """A tmpfs that holds one checkpoint and not two, in a mount name space of its own."""
    fit = f"{sys.executable} -m dadapt_cli fit {VEHICLE} -q --reference none"
    copy = kept.parent.parent / f"copy-of-{kept.parent.name}"
    copy.write_bytes(kept.read_bytes())
    script = f"""
        mount -t tmpfs -o size={kept.stat().st_size // 1024 + 24}k none {kept.parent} || exit 99
        cd {kept.parent}; cp {copy} run
        {fit} --resume run > /dev/null; echo $?; cmp run {copy}; ls -A
    """
    ran = subprocess.run(["unshare", "-m", "bash", "-c", script], capture_output=True, text=True)
    if ran.returncode == 99 or "unshare" in ran.stderr:
        pytest.skip(f"no mounts here: {ran.stderr}")
    assert ran.stderr == "dadapt: run: No space left on device; nothing was written there\n"
    assert ran.stdout.split() == ["4", "run"]


def test_places_that_take_no_checkpoint(cli: Cli, tmp_path: Path) -> None:
    fit = ("fit", VEHICLE, "--reference", "none")
    assert cli(*fit, "--checkpoint", tmp_path / "none" / "run").code == 4
    assert cli(*fit, "--checkpoint", tmp_path).code == 4
    assert cli(*fit, "--checkpoint", VEHICLE).code in (2, 4)
    if Path("/proc").is_dir():  # takes no files even from root
        ran = cli(*fit, "--checkpoint", "/proc/run")
        assert ran.code == 4
        assert ran.err.count("\n") == 1
    if os.geteuid() != 0:
        tmp_path.chmod(0o500)
        assert cli(*fit, "--checkpoint", tmp_path / "run").code == 4
        tmp_path.chmod(0o700)
    assert list(tmp_path.iterdir()) == []
    trace = tmp_path / "both"
    ran = cli(*fit, "--checkpoint", trace, "--trace", trace)
    assert ran.code == 2
    assert "two outputs" in ran.err


REFUSED = [
    (("--checkpoint", "RUN"), 4, "holds a run at k = 5; --resume RUN resumes it, "
     "--checkpoint RUN --restart starts over"),
    (("--resume", "RUN", "--restart"), 2, "--restart"),
    (("--resume", "gone"), 2, "gone: there is no such checkpoint"),
    (("--resume", "RUN", "-a", "gd"), 4, "the run has --algo dual-avg, not gd"),
    (("--resume", "RUN", "--epochs", "3"), 2, "--epochs is not an option of --algo dual-avg"),
    (("--resume", "RUN", "--zero-based"), 4, "are read with other options"),
    (("--resume", str(VEHICLE)), 4, "is not a checkpoint"),
    (("--checkpoint", "new", "-a", "lbfgs"), 2, "--algo orth can"),
    (("--checkpoint", "new", "--checkpoint-every", "nan"), 2, "--checkpoint-every"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "code", "words"), REFUSED)
def test_refusals(options: tuple[str, ...], code: int, words: str, cli: Cli, kept: Path) -> None:
    before = kept.read_bytes()
    ran = cli("fit", VEHICLE, *(o.replace("RUN", str(kept)) for o in options))
    assert ran.code == code
    assert words.replace("RUN", str(kept)) in ran.err
    assert ran.err.count("\n") == 1
    assert ran.out == ""
    assert kept.read_bytes() == before
    assert [path.name for path in kept.parent.iterdir()] == ["run"]


def test_changed_data_are_refused(cli: Cli, kept: Path) -> None:
    data = kept.with_name("data")
    data.write_bytes(VEHICLE.read_bytes())
    assert cli("fit", data, "--resume", kept, "-q").code == 0  # another name, the same text
    data.write_bytes(VEHICLE.read_bytes() + b"1 1:0.5\n")
    ran = cli("fit", data, "--resume", kept)
    assert ran.code == 4
    assert "data changed since checkpoint (sha256 f5bcfc5545c0f674... then, " in ran.err


@pytest.mark.parametrize("damage", ["flip", "cut", "version", "empty"])
def test_a_damaged_checkpoint_is_told_and_can_be_replaced(
    damage: str, cli: Cli, kept: Path
) -> None:
    content = bytearray(kept.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 4
    damaged = {
        "flip": bytes(content),
        "cut": bytes(content[:-1]),
        "version": bytes(content).replace(b"checkpoint 3", b"checkpoint 2", 1),
        "empty": b"",
    }[damage]
    kept.write_bytes(damaged)
    for option in ("--resume", "--checkpoint"):
        ran = cli("fit", VEHICLE, option, kept)
        assert ran.code == 4
        assert f"--checkpoint {kept} --restart starts over" in ran.err
        assert ran.err.count("\n") == 1
        assert kept.read_bytes() == damaged
    again = ("fit", VEHICLE, "-n", 4, "--checkpoint", kept, "--restart", "--reference", "none")
    assert cli(*again).code == 0
    assert checkpoint.read(str(kept)).k == 4


def test_what_is_no_checkpoint_is_never_replaced(cli: Cli, kept: Path) -> None:
    kept.write_bytes(b"1 1:0.5\n")
    for options in (
        ("--resume", kept),
        ("--checkpoint", kept),
        ("--checkpoint", kept, "--restart"),
    ):
        ran = cli("fit", VEHICLE, *options)
        assert ran.code == 4
        assert "is not a checkpoint; name another file" in ran.err
        assert kept.read_bytes() == b"1 1:0.5\n"
    ran = cli("fit", VEHICLE, "--checkpoint", "/dev/full")
    assert ran.code == 4
    assert "not a regular file" in ran.err


def test_a_finished_run_tells_its_records_again(cli: Cli, kept: Path) -> None:
    fit = ("fit", VEHICLE, "-f", "jsonl")
    begun = lines(cli(*fit, "-n", 5, "--reference", "none").out)
    ran = cli(*fit, "--resume", kept)
    assert ran.code == 0
    again = lines(ran.out)
    assert timeless(again[1:]) == timeless(begun[1:])
    own = {"checkpoint", "resume", "restart", "checkpoint_every"}
    options = [
        {k: v for k, v in r["options"].items() if k not in own} for r in (begun[0], again[0])
    ]
    assert options[0] == options[1]
    assert again[0]["options"]["resume"] == str(kept)
    assert np.all(np.diff([row["seconds"] for row in again[1:-1]]) >= 0)


def test_held_out_data_may_come_and_go(cli: Cli, kept: Path) -> None:
    """Rows from before have no figures of a --test that is new; CSV keeps one header."""
    tested = cli("fit", VEHICLE, "--resume", kept, "-n", 10, "--test", VEHICLE, "-f", "csv")
    header, *rows = (line.split(",") for line in tested.out.splitlines())
    at = header.index("test_accuracy")
    assert [int(row[header.index("k")]) for row in rows] == [0, 1, 2, 5, 10]
    assert [bool(row[at]) for row in rows] == [False] * 3 + [True] * 2, "kept at 5, before its row"
    plain = cli("fit", VEHICLE, "--resume", kept, "-n", 20, "-f", "csv")
    assert plain.code == 0
    assert "test_accuracy" not in plain.out
