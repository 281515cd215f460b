"""Combinations of options on small problems: what holds whatever they are.

``DADAPT_CASES=N`` makes N combinations; ``DADAPT_SEED`` begins elsewhere.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dadapt_cli import algorithms

from ..conftest import DATA, Ran
from . import generators
from .test_files import CASES, CODES, SEED, sound, watched

Cli = Callable[..., Ran]

STEP = {
    "event", "k", "d", "d_hat", "step_size", "f_last", "f_average", "f_best", "suboptimality_last",
    "suboptimality_average", "suboptimality_best", "bound", "grad_norm", "gradients",
    "d_over_D", "rejected", "seconds",
}  # fmt: skip
END = {"status", "iterate", "accuracy", "log_loss", "diagnosis", "theorem2_k", "environment"}

ROUNDING = 1e-9
"""Relative: of differences of f, which is computed to some 1e-15 of a sum of terms of its size."""


def no_constant(word: str) -> Any:
    raise AssertionError(f"{word} in JSON")


def records(ran: Ran) -> list[dict[str, Any]]:
    return [json.loads(line, parse_constant=no_constant) for line in ran.out.splitlines()]


def timeless(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in ("seconds", "environment")} for row in rows]


def claims(rows: list[dict[str, Any]], info: Any, single: bool) -> None:
    """The keys are there; d only grows and is below D where that is claimed; the bound holds."""
    start, *steps = rows
    end = steps.pop() if steps and steps[-1]["event"] == "end" else None
    assert start["event"] == "start"
    assert end is None or set(end) >= END
    for row in steps:
        assert set(row) >= STEP
    grown = [row["d"] for row in steps if row["d"] is not None]
    assert grown == sorted(grown)
    known = start["reference"]
    rounding = (1e-4 if single else ROUNDING) * max(1.0, abs(steps[0]["f_last"] or 1.0))
    if known["status"] == "attained" and not info.minibatch:
        D = known[info.distance]
        if start["d0_certified"] and D is not None and known["D_error"] is not None:
            assert grown[-1] <= (D + known["D_error"]) * (1 + rounding), (grown[-1], D)
            compared = "average" if info.averages else "best"
            for row in steps:
                gap = row[f"suboptimality_{compared}"]
                if row["bound"] is not None and gap is not None:
                    assert gap <= row["bound"] + known["gap"] + rounding, row
    for row in steps:
        if (
            known["status"] in ("attained", "not-attained")
            and row["suboptimality_best"] is not None
        ):
            assert row["suboptimality_best"] >= -known["gap"] - rounding, row


def option(argv: list[str], name: str) -> str | None:
    return argv[argv.index(name) + 1] if name in argv else None


def test_options(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    infos = [module.INFO for module in algorithms.table().values()]
    counts = dict.fromkeys((*CODES, "resumed", "threads"), 0)
    for number in range(SEED, SEED + CASES):
        rng = random.Random(f"options {number}")
        info = rng.choice(infos)
        (folder / "data").write_bytes(generators.data(rng))
        argv = ["fit", "data", "-a", info.name, *generators.options(rng, info), "-f", "jsonl"]
        case = f"{number}: {' '.join(argv)}"
        with watched(folder, "trace", "m.npz", "m"):
            more = rng.choice(((), ("--trace", "trace"), ("--save", rng.choice(("m.npz", "m")))))
            ran = cli(*argv, *more)
        sound(ran, case)
        counts[ran.code] += 1
        if ran.code == 2:
            assert not ran.out, case
            continue
        rows = records(ran)
        if rows and "--dtype" not in argv:
            try:
                claims(rows, info, "--dtype" in argv)
            except AssertionError as error:
                raise AssertionError(f"{case}: {error}") from error
        if ran.code == 0 and info.resumable and rng.random() < 0.2:
            resumes(argv, info, folder, cli, case)
            counts["resumed"] += 1
        if ran.code == 0 and rng.random() < 0.1:
            two = [records(cli(*argv, "--threads", n)) for n in (1, 2)]
            for one, other in zip(*two, strict=True):
                if one["event"] == "step" and one["k"] <= 7 and "--dtype" not in argv:
                    # The order of sums differs; later steps may be chaotic.
                    assert other["f_last"] == pytest.approx(one["f_last"], rel=1e-6), case
            counts["threads"] += 1
        for left in folder.iterdir():
            left.unlink()
    print(counts)
    assert counts[0] > CASES // 3


def resumes(argv: list[str], info: Any, folder: Path, cli: Cli, case: str) -> None:
    """A run that is cut in two and resumed has the digits of a straight one."""
    name = "--epochs" if info.minibatch else "-n"
    rounds = int(option(argv, name) or 0)
    if rounds < 2 or "--threads" in argv:
        return
    at = argv.index(name) + 1
    first = [*argv[:at], str(rounds // 2), *argv[at + 1 :], "--threads", "1"]
    straight = cli(*argv, "--threads", 1, "--checkpoint", "straight")
    if cli(*first, "--checkpoint", "cut").code == 5:  # a failed run is not resumed
        return
    rest = cli(*argv, "--threads", 1, "--resume", "cut")
    assert (rest.code, straight.code) == (straight.code, 0), case
    one, other = records(rest), records(straight)
    assert timeless(one[1:]) == timeless(other[1:]), case


HUGE = "1" + "0" * 400


@pytest.mark.parametrize(
    "words",
    [("-n", HUGE), ("-a", "adam", "--seed", HUGE), ("-a", "adam", "--epochs", HUGE),
     ("--threads", HUGE), ("--every", HUGE), ("-a", "orth", "--memory", HUGE),
     ("-a", "orth", "--lbfgs-pairs", HUGE), ("-a", "adam", "--batch-size", HUGE),
     ("--cross-validate", 3, "--seed", 2**32), ("--weight", f"{HUGE}=1"),
     ("--weight", f"1={HUGE}"), ("--positive", HUGE)],
)  # fmt: skip
def test_integers_that_no_float_holds(words: tuple[Any, ...], cli: Cli) -> None:
    ran = cli("fit", DATA / "iris.scale", *words)
    assert (ran.code, ran.out) == (2, "")
    assert words[-2] in ran.err or "--iterations" in ran.err


def test_a_memory_that_no_machine_has(cli: Cli) -> None:
    ran = cli("fit", DATA / "iris.scale", "-a", "orth", "--memory", 2**62, "--reference", "none")
    assert ran.code == 3
    assert "GiB of memory" in ran.err
