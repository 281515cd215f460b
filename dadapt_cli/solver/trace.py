"""The first and the last record of a fit; the loops make those between (``rounds``)."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy
import scipy.sparse as sp

from dadapt_cli import __version__
from dadapt_cli.algorithms import Info
from dadapt_cli.objective import Problem
from dadapt_cli.reference import Reference
from dadapt_cli.solver.diagnosis import diagnose
from dadapt_cli.solver.options import Options, not_for
from dadapt_cli.solver.stopping import Outcome, Record, finite

SCHEMA = 1
"""Of the records: a renamed or removed key makes it 2."""


@dataclass(frozen=True)
class Source:
    """Where the data came from.

    Attributes
    ----------
    path, sha256
        The file, and the hash of its text.
    load_seconds
        What reading took.
    problem
        LIBSVM's file name, where it is one of the paper's problems.
    """

    path: str | None = None
    sha256: str | None = None
    load_seconds: float = 0.0
    problem: str | None = None


def start(
    X: Any,
    problem: Problem,
    options: Options,
    info: Info,
    known: Reference,
    source: Source,
    *,
    d0: float | None,
) -> Record:
    """The start record.

    Parameters
    ----------
    X
        As given, before scaling and a constant feature.
    options
        With the algorithm's own defaults filled in.
    d0
        The state's d before the first step.
    """
    return {
        "event": "start",
        "version": __version__,
        "algorithm": options.algo,
        "data": {
            "path": source.path,
            "problem": source.problem,
            "sha256": source.sha256,
            "samples": problem.n,
            "features": X.shape[1],
            "nonzeros": int(X.nnz) if sp.issparse(X) else int(np.count_nonzero(X)),
            "classes": problem.n_classes,
            "labels": list(problem.labels.classes),
        },
        "objective": {
            "loss": "softmax" if problem.softmax else "logistic",
            "l2": problem.l2,
            "bias": options.bias,
            "intercept": options.intercept,
            "weighted": problem.weights is not None,
        },
        "options": {
            **asdict(options),
            "l2": problem.l2,
            "threads": problem.threads,
            **dict.fromkeys(not_for(info)),
        },
        "d0": d0,
        "d0_certified": options.d0 == "auto" and not info.minibatch,
        "schema": SCHEMA,
        "metric": options.metric or "identity",
        "reference": known.record(),
    }


def end(
    outcome: Outcome,
    tested: Record,
    info: Info,
    known: Reference,
    options: Options,
    *,
    theorem2_k: int | None,
    seconds: Record,
    threads: int,
) -> Record:
    """The end record; `tested` is what held-out samples say of the outcome's weights."""
    return {
        "event": "end",
        "status": outcome.status,
        **{name: value for name, value in outcome.row.items() if name not in ("event", "seconds")},
        "theorem2_k": theorem2_k,
        "iterate": outcome.iterate,
        "accuracy": outcome.accuracy,
        "log_loss": finite(outcome.log_loss),
        **tested,
        "diagnosis": diagnose(outcome, info, known, options.tol),
        "seconds": seconds,
        "environment": environment(threads),
    }


def environment(threads: int) -> Record:
    """What the digits may depend on: versions, processor and threads."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "threads": threads,
    }
