"""Click-through as the paper's recommendation row has it: D-Adapt Adam against Adam over rates.

The paper trains a DLRM on Criteo's logs; here it is sparse logistic regression on hashed fields,
the convex part of that. Each run sees a packed folder in batches, and is judged on another one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dadapt_cli import __version__, algorithms
from dadapt_cli._typing import Array, Record
from dadapt_cli.errors import UsageError
from dadapt_cli.packed import criteo
from dadapt_cli.packed.folder import Data, opened
from dadapt_cli.packed.pack import Packing, head
from dadapt_cli.packed.writer import Packer
from dadapt_cli.paper.figure2 import best_of
from dadapt_cli.paper.results import Store
from dadapt_cli.solver import fit
from dadapt_cli.solver.checks import number
from dadapt_cli.solver.options import Options
from dadapt_cli.solver.packed import prepared
from dadapt_cli.system.activity import tell
from dadapt_cli.system.files import reporting

GRID = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)

SYNTHETIC = f"{criteo.ENCODING}, synthetic"
"""What a manifest says of data that were made here."""

TRAIN, TEST = "train", "test"
"""Folders in the folder: rows to train on, and rows held out."""

AT_ONCE = 10_000
"""Rows that are made at once."""

SIZES = tuple(int(10 ** (1 + k % 6)) for k in range(criteo.CATEGORIES))
"""How many categories a field of the synthetic has, from 10 to 1 000 000 as Criteo's do."""

RUN = {"accuracy": float, "log_loss": float, "d": float | None}


@dataclass(frozen=True)
class Study:
    """What is run.

    Attributes
    ----------
    seeds
        Their number: 0, 1, ...
    epochs, batch_size
        Of each run; the paper's is one epoch, in batches of 128.
    grid
        Values of Adam's learning rate.
    """

    seeds: int = 3
    epochs: int = 1
    batch_size: int = 128
    grid: tuple[float, ...] = GRID

    def check(self) -> None:
        """Raise UsageError at the first value that cannot be used."""
        for name in ("seeds", "epochs", "batch_size"):
            number(name.replace("_", "-"), getattr(self, name), at_least=1)
        if not self.grid or not all(1e-30 <= v < math.inf for v in self.grid):
            raise UsageError("--grid: give positive numbers with commas between")
        if list(self.grid) != sorted(set(self.grid)):
            raise UsageError("--grid: give each number once, in ascending order")


def make(folder: str, rows: int, columns: int = 10**6, seed: int = 0) -> tuple[Data, Data]:
    """Pack a synthetic of Criteo's shape: `rows` to train on, a tenth as many held out.

    Integers are log-normal and may be missing, categories are Zipf's over 10 to 10^6 values. Lines
    are made as text and hashed as Criteo's are. A row is a click with the probability that weights
    of its columns give, drawn once: a model of the kind that is fitted is the true one.

    Raises
    ------
    InputOutputError
        The folder is there already, or cannot be made.
    """
    place = Path(folder)
    with reporting(folder, "name a folder that can be made"):
        place.mkdir()
    rng = np.random.default_rng(seed)
    weights = rng.normal(scale=0.25, size=columns)
    made = []
    for name, count in ((TRAIN, rows), (TEST, max(2, rows // 10))):
        how = Packing(format="criteo", features=columns, zero_based=True)
        (place / name).mkdir()
        packer = Packer(place / name, f"{folder}/{name}", how.dtype, how.leaf)
        try:
            packer.begin(head(how))
            for done in range(0, count, AT_ONCE):
                text = _lines(rng, min(AT_ONCE, count - done))
                found = criteo.parse(text, columns)
                assert found is not None
                starts = np.cumsum(found.counts) - found.counts
                scores = np.add.reduceat(weights[found.indices], starts) - 1.0
                clicked = scores + rng.logistic(size=len(starts)) > 0
                packer.add(found._replace(labels=clicked * 1.0), 0, False, None)
                tell(f"{folder}: making {name}", (done + len(starts)) / count)
            about = {"sha256": "", "bytes": 0, "encoding": SYNTHETIC, "notes": []}
            packer.finish(about, how.zero_based, columns)
        finally:
            packer.release()
        made.append(opened(place / name))
    return made[0], made[1]


def _lines(rng: np.random.Generator, rows: int) -> bytes:
    """Lines as Criteo's, all labelled 0."""
    integers = np.floor(rng.lognormal(1.5, 2.0, (rows, criteo.INTEGERS))).astype(np.int64)
    known = rng.random(integers.shape) < np.linspace(0.5, 1.0, criteo.INTEGERS)
    ranks = rng.random((rows, criteo.CATEGORIES))
    categories = (np.array(SIZES) ** ranks).astype(np.uint64)  # P(rank) falls as 1/rank
    words = (categories * np.uint64(0x9E3779B1) + np.arange(criteo.CATEGORIES, dtype=np.uint64)) & (
        np.uint64(0xFFFFFFFF)
    )
    lines = []
    for own, there, tokens in zip(integers.tolist(), known.tolist(), words.tolist(), strict=True):
        fields = [str(v) if yes else "" for v, yes in zip(own, there, strict=True)]
        lines.append("\t".join(["0", *fields, *(f"{token:08x}" for token in tokens)]))
    return ("\n".join(lines) + "\n").encode()


def pair(folder: str) -> tuple[Data, Data]:
    """The two folders in a folder.

    Raises
    ------
    UsageError
        They have other columns or labels, or none of the two labels.
    DataError, InputOutputError
        As :func:`~dadapt_cli.packed.folder.opened`.
    """
    train, test = (opened(Path(folder, name)) for name in (TRAIN, TEST))
    if train.shape[1] != test.shape[1]:
        raise UsageError(
            f"{folder}: train has {train.shape[1]} columns, test {test.shape[1]}; pack both with "
            "the same --hash"
        )
    if set(train.classes) != {0, 1} or set(test.classes) != {0, 1}:
        raise UsageError(f"{folder}: the labels of train and test are not 0 and 1; more rows")
    return train, test


def run(folder: str, study: Study, store: Store, progress: Callable[..., Any] = tell) -> Record:
    """All runs, or what the store has of them.

    Returns
    -------
    dict
        What ``dadapt paper criteo -f json`` prints.
    """
    train, test = pair(folder)
    judge = prepared(test, Options(algo="gd", l2=0.0), algorithms.find("gd").INFO)[1]
    kinds = [("adam", None), *(("adam-plain", lr) for lr in study.grid)]
    total, done = len(kinds) * study.seeds, 0
    summaries = []
    for algo, lr in kinds:
        found = []
        for seed in range(study.seeds):
            progress(f"{folder}: {algo}" + ("" if lr is None else f" {lr:g}"), done / total)
            found.append(_one((train, test), judge, study, store, (algo, lr, seed)))
            done += 1
        summaries.append(_summary(found))
    grid = [{"lr": lr, **own} for lr, own in zip(study.grid, summaries[1:], strict=True)]
    for row in grid:
        del row["d"]
    best = best_of(grid)
    return {
        "folder": folder,
        "synthetic": SYNTHETIC in (train.about["text"]["encoding"], test.about["text"]["encoding"]),
        "samples": train.shape[0],
        "test_samples": test.shape[0],
        "features": train.shape[1],
        "clicks": test.classes[1] / test.shape[0],
        "seeds": study.seeds,
        "epochs": study.epochs,
        "batch_size": study.batch_size,
        "dadapt_adam": summaries[0],
        "adam": {**grid[best], "at_grid_edge": best in (0, len(grid) - 1)},
        "grid": grid,
    }


def _one(
    folders: tuple[Data, Data],
    judge: Any,
    study: Study,
    store: Store,
    what: tuple[str, float | None, int],
) -> Record:
    """One run: accuracy in percent and mean log-loss on the held-out rows, and d."""
    algo, lr, seed = what
    train, test = folders
    key = {k: v for k, v in asdict(study).items() if k not in ("seeds", "grid")}
    key |= {"algo": algo, "lr": lr, "seed": seed, "train": train.sha256, "test": test.sha256}
    key["version"] = __version__
    name = f"{algo}-{'found' if lr is None else f'{lr:g}'}-{seed}"
    known = store.find("criteo", name, key, RUN)
    if known is None:
        own: dict[str, Any] = {} if lr is None else {"lr": lr}
        made = fit(
            train, algo=algo, epochs=study.epochs, batch_size=study.batch_size, seed=seed,
            schedule="none", l2=0.0, reference="none", every=study.epochs, **own,
        )  # fmt: skip
        w: Array = np.ascontiguousarray(made.w, np.float64)
        accuracy, loss = judge.judged(w)
        known = {"accuracy": 100 * accuracy, "log_loss": loss, "d": made.trace[-1].get("d")}
        store.keep("criteo", name, key, known)
    return known


def _summary(runs: list[Record]) -> Record:
    """Means over the seeds; the standard error is null for one."""
    accuracy = np.array([own["accuracy"] for own in runs])
    n = len(runs)
    found = [own["d"] for own in runs if own["d"] is not None]
    return {
        "accuracy": float(accuracy.mean()),
        "se": float(accuracy.std(ddof=1) / math.sqrt(n)) if n > 1 else None,
        "log_loss": float(np.mean([own["log_loss"] for own in runs])),
        "d": float(np.mean(found)) if found else None,
    }
