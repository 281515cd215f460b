"""``--checkpoint`` and ``--resume``: which run a file holds, and whether this fit may resume it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from dadapt_cli import algorithms
from dadapt_cli._typing import Array, Record
from dadapt_cli.algorithms import Info, auto
from dadapt_cli.checkpoint import file
from dadapt_cli.checkpoint.file import HINT, Checkpoint
from dadapt_cli.checkpoint.writer import NoCheckpoint, Writer
from dadapt_cli.errors import (
    DadaptError,
    DataError,
    InputOutputError,
    UsageError,
    WorkersLostError,
)
from dadapt_cli.model import Model, load
from dadapt_cli.objective import Problem
from dadapt_cli.reference import Reference, cache
from dadapt_cli.reference.reference import ARRAYS
from dadapt_cli.solver.declared import plain
from dadapt_cli.solver.options import BUDGETS, DECAYS, LATER, OWN, WRITTEN, Options
from dadapt_cli.system import lock
from dadapt_cli.system.files import remove_leftovers


def resumed(options: Options, given: Collection[str]) -> Options:
    """The options of the run that ``--resume`` names, with what was `given` for this one.

    Raises
    ------
    UsageError
        The options contradict each other, or there is no such file.
    InputOutputError
        The file holds no run to continue, or one with another value of a given option.
    """
    if options.restart and options.checkpoint is None:
        raise UsageError("--restart begins the run of --checkpoint FILE anew; name that file")
    if "checkpoint_every" in given and options.checkpoint is None and options.resume is None:
        raise UsageError("--checkpoint-every has nothing to keep; name a --checkpoint FILE")
    if options.resume is None:
        return options
    return _merged(options, set(given), _read(options.resume))


@contextmanager
def opened(
    options: Options, given: Collection[str] = ()
) -> Iterator[tuple[Options, Writer | NoCheckpoint]]:
    """Lock the files of a run for the duration of the block; yield its options and its writer.

    Raises
    ------
    UsageError, InputOutputError
        As for :func:`resumed`; also if another process uses a file, or if the file to write
        already holds something and ``--restart`` was not given.
    """
    options = resumed(options, given)
    target = options.checkpoint or options.resume
    if target is None:
        yield options, NoCheckpoint()
        return
    with ExitStack() as locks:
        saved, origin = None, options.resume
        if origin is not None:
            locks.enter_context(lock.held(origin))
            saved = _read(origin)  # again: only now nobody else writes it
            if os.path.realpath(origin) == os.path.realpath(target):
                target = origin
        if target != origin:
            locks.enter_context(lock.held(target))
            _refuse_to_lose(target, restart=options.restart)
        remove_leftovers(target)
        if origin is not None:
            locks.enter_context(file.usable(origin))
        yield options, Writer(target, options.checkpoint_every, saved, origin or "")


def _read(path: str) -> Checkpoint:
    if not Path(path).exists():
        raise UsageError(f"{path}: there is no such checkpoint; --checkpoint {path} begins one")
    saved = file.read(path, Options, Reference, (*OWN, *ARRAYS), LATER)
    for name in LATER:
        saved.head["options"].setdefault(name, getattr(Options(), name))
    try:
        _of(saved).check()
    except UsageError as error:
        hint = HINT.format(path=path)
        raise InputOutputError(f"{path}: holds options that no run has: {error}; {hint}") from error
    return saved


def _of(saved: Checkpoint) -> Options:
    """The options of the run in a file."""
    kept = {name: plain(value) for name, value in saved.head["options"].items()}
    if isinstance(kept["weight"], dict):
        kept["weight"] = {_label(text): factor for text, factor in kept["weight"].items()}
    return Options(**kept)


def _label(text: str) -> Any:
    """The label in a key that :func:`identify` made; UsageError where there is none."""
    try:
        label = json.loads(text)
    except (ValueError, RecursionError):
        label = None
    if not isinstance(label, (int, str)):
        raise UsageError(f"--weight {text[:40]!r}: this is no label")
    return label


def _refuse_to_lose(path: str, *, restart: bool) -> None:
    """Raise InputOutputError if the file exists, naming what it holds; `restart` discards runs."""
    if not Path(path).exists():
        return
    if restart and file.was_one(path):
        return
    saved = file.read(path)
    raise InputOutputError(
        f"{path}: holds a run at k = {saved.k}; --resume {path} resumes it, "
        f"{HINT.format(path=path)}"
    )


def _merged(options: Options, given: set[str], saved: Checkpoint) -> Options:
    """The saved options, with the budgets given; any other one given must be the same."""
    kept, before = saved.head["options"], _of(saved)
    after = replace(before, **{n: plain(getattr(options, n)) for n in kept if n in given})
    meant_before, meant_after = asdict(_meant(before)), asdict(_meant(after))
    for name in kept:
        one, other = meant_after[name], meant_before[name]
        if name not in BUDGETS and one != other:
            option = "--" + name.replace("_", "-")
            raise InputOutputError(
                f"{options.resume}: the run has {option} {_shown(other)}, not {_shown(one)}; "
                f"leave {option} out, or begin another run with --checkpoint"
            )
    budgets = {name: getattr(after, name) for name in BUDGETS}
    own = {name: getattr(options, name) for name in (*OWN, *WRITTEN)}
    return replace(before, **{**budgets, **own})


def _meant(options: Options) -> Options:
    """The options with the algorithm's defaults, if it is known before the data are."""
    info = algorithms.find(options.algo, options.variant).INFO
    return options if info.name == auto.INFO.name else options.resolved(info)


def _shown(value: Any) -> str:
    """An option's value as it is typed."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "its default" if value is None else str(value)


def identify(
    checkpoint: Writer | NoCheckpoint,
    options: Options,
    problem: Problem,
    sha256: str | None,
    w0: Array | None,
) -> None:
    """Make the head of the checkpoints; refuse to resume on other data.

    Other entries in the head of the run that is resumed are taken over unchanged.

    Parameters
    ----------
    options
        As given, before any of them is chosen by looking at the data.
    problem
        In the user's variables.
    sha256
        Hash of the text, if there is one.
    w0
        The weights to start from, if not 0.

    Raises
    ------
    InputOutputError
        The data are not those of the run.
    """
    if isinstance(checkpoint, NoCheckpoint):  # hashing the data costs as much as an iteration
        return
    data = {
        "sha256": sha256,
        "content": cache.content(problem),
        "start": None if w0 is None else hashlib.sha256(np.ascontiguousarray(w0).data).hexdigest(),
        "shape": [problem.n, problem.p, problem.n_classes],
        "labels": [str(label) for label in problem.labels.classes],
    }
    head: dict[str, Any] = {}
    if checkpoint.saved is not None:
        head = checkpoint.saved.head
        data["sha256"] = sha256 or head["data"]["sha256"]
        if {**data, "sha256": None} != {**head["data"], "sha256": None}:  # check_text saw to that
            raise InputOutputError(
                f"{checkpoint.origin}: the data are not those of the checkpoint's run, or are read "
                "with other options (--zero-based, --features), or start elsewhere or weigh "
                "otherwise (--init, --weight, sample_weight); give the same"
            )
    kept = {name: plain(value) for name, value in asdict(options).items() if name not in OWN}
    if isinstance(kept["weight"], dict):  # JSON keys are text: "1" of the label 1, "\"1\"" of "1"
        kept["weight"] = {json.dumps(label): factor for label, factor in kept["weight"].items()}
    kept["threads"] = problem.threads  # the digits of dense products may depend on them
    checkpoint.head = {**head, "options": kept, "data": data}


def schedule_length(checkpoint: Writer | NoCheckpoint, options: Options, info: Info) -> int:
    """Length T of the schedule, in the steps or epochs that the run was begun with.

    Raises
    ------
    UsageError
        The schedule ends, and more steps or epochs are asked for.
    """
    budget = "epochs" if info.minibatch else "iterations"
    asked = int(getattr(options, budget))
    length = int(checkpoint.remember("length", lambda: asked))
    if "schedule" in info.settings and options.schedule in DECAYS and asked > length:
        raise UsageError(
            f"--{budget} {asked}: the --schedule {options.schedule} of this run was made for "
            f"{length} and ends there; leave --{budget} out, or begin another run"
        )
    return length


@contextmanager
def blamed(origin: str | None, *kinds: type[DadaptError]) -> Iterator[None]:
    """Name the resumed file where one of its options turns out to be unusable.

    Parameters
    ----------
    origin
        The file; None or empty for a run that resumes none.
    kinds
        The errors that its options can cause here.

    Raises
    ------
    InputOutputError
        In place of those.
    """
    try:
        yield
    except kinds as error:
        if not origin:
            raise
        raise InputOutputError(
            f"{origin}: an option of its run cannot be used: {error}; {HINT.format(path=origin)}"
        ) from error


@contextmanager
def advised(checkpoint: Writer | NoCheckpoint) -> Iterator[None]:
    """Say how to go on where all workers are lost in the block.

    Raises
    ------
    WorkersLostError
        With the checkpoint's name.
    """
    try:
        yield
    except WorkersLostError as error:
        how = "--checkpoint FILE would keep the run"
        if isinstance(checkpoint, Writer):
            how = f"--resume {checkpoint.path} goes on"
        raise WorkersLostError(f"{error}; {how}") from error


def load_start(options: Options, given: Collection[str]) -> Model | None:
    """The model of ``init``, which a resumed run reads again; None if the start is not a model.

    Raises
    ------
    DataError, InputOutputError
        It cannot be read; where the checkpoint named it, always InputOutputError.
    """
    if options.init is None:
        return None
    with blamed(None if "init" in given else options.resume, DataError, InputOutputError):
        return load(options.init)


def check_reference(checkpoint: Writer | NoCheckpoint, saved: Record, found: Reference) -> None:
    """Raise InputOutputError where the saved reference contradicts the one that is known now.

    Two enclosures of the same f* intersect; where one of them is missing, nothing is compared.
    """
    if checkpoint.saved is None:
        return
    f, gap, f_now, gap_now = saved["f_star"], saved["gap"], found.f_star, found.gap
    if f is None or gap is None or f_now is None or gap_now is None:
        return
    if f < f_now - gap_now or f_now < f - gap:
        raise InputOutputError(
            f"{checkpoint.origin}: its f* = {f:.15g} is not that of the data, {f_now:.15g}; "
            f"{HINT.format(path=checkpoint.origin)}"
        )


def check_text(checkpoint: Writer | NoCheckpoint, sha256: str | None) -> None:
    """Raise InputOutputError where the text of the data has changed, as far as both are known."""
    before = None if checkpoint.saved is None else checkpoint.saved.head["data"]["sha256"]
    if sha256 is not None and before is not None and sha256 != before:
        raise InputOutputError(
            f"{checkpoint.origin}: data changed since checkpoint (sha256 {before[:16]}... then, "
            f"{sha256[:16]}... now); give the data of then, or begin another run with --checkpoint"
        )
