"""What a fit proves beyond its records: labels that are the optimum's, and the proof file."""

from __future__ import annotations

import math

import numpy as np

from dadapt_cli._typing import Array, Matrix, Record
from dadapt_cli.errors import UsageError
from dadapt_cli.objective import Problem, metric
from dadapt_cli.objective.ball import Ball
from dadapt_cli.objective.rounding import down, up
from dadapt_cli.packed.folder import Data
from dadapt_cli.preprocessing.prepare import Prepared
from dadapt_cli.preprocessing.sample_weight import sample_weights
from dadapt_cli.reference import Reference
from dadapt_cli.reference.enclosure import enclose
from dadapt_cli.reference.intercept import lower_bound
from dadapt_cli.solver.options import Options
from dadapt_cli.solver.samples import Samples

WIDER = 1.01
"""How much wider intervals are claimed than they are known: the checker's own bounds of errors are
rounded up by 0.1 %, and where w is not exact to rounding, the gradient is what both are made of."""


def ball_at(exact: Problem, known: Reference, w: Array) -> Ball | None:
    """A ball that contains a minimiser: the reference's, or what the weights w prove themselves.

    None if no such ball is known: there is neither an l2 term nor a reference.
    """
    if known.ball is not None or exact.l2 == 0:
        return known.ball
    return enclose(exact, w.astype(np.float64), curvature=False).ball


def gap_at(
    exact: Problem, known: Reference, w: Array, *, curvature: bool | None = False
) -> tuple[float | None, Ball | None]:
    """A bound on f(w) - f*, all rounding counted, and the ball of :func:`ball_at`.

    The bound is None where there is no l2 term and no certified f*.

    Parameters
    ----------
    exact, w
        The float64 objective and weights, in the user's variables.
    known
        The reference; one that the user merely supplied proves nothing.
    curvature
        As in :func:`~dadapt_cli.reference.enclosure.enclose`.
    """
    certified = -math.inf
    if known.status != "given" and known.f_star is not None and known.gap is not None:
        certified = down(known.f_star - known.gap)
    elif exact.l2 == 0:
        return None, known.ball
    w = w.astype(np.float64)
    at = enclose(exact, w, curvature=curvature)
    lower = max(at.lower, certified)
    if exact.intercept:
        lower = max(lower, lower_bound(exact, w, exact.scores(w)))
    gap = up(at.f_upper - lower)
    ball = known.ball if known.ball is not None or exact.l2 == 0 else at.ball
    return gap if math.isfinite(gap) else None, ball


def share_proven(X: Matrix, ball: Ball | None, w: Array) -> float | None:
    """Share of the rows whose label by the weights w is proven to be that of the exact optimum.

    Parameters
    ----------
    X
        Scaled rows, (n, p), with the constant feature where the weights have one.
    ball
        Contains a minimiser; None if no such ball is known, and then the share is None too.
    """
    if ball is None:
        return None
    scores = np.asarray(X @ w.astype(np.float64))
    chosen = scores.argmax(axis=1) if scores.ndim > 1 else (scores > 0).astype(np.intp)
    return float(np.mean(ball.proves(X, chosen)))


def write_proof(
    samples: Samples,
    options: Options,
    data: Prepared,
    exact: Problem,
    known: Reference,
    rows: list[Record],
    w0: Array | None,
) -> str | None:
    """Write ``--certificate``'s file: f*, D, D_inf, and each d_k of the run.

    Parameters
    ----------
    exact
        The float64 objective in the user's variables.
    known
        f* and D, the latter in the metric of the run.
    rows
        The step records, if their d is a lower bound on D.
    w0
        The weights that the run started from, if not 0.

    Returns
    -------
    str | None
        Why there is no proof; None if the file was written.

    Raises
    ------
    UsageError
        The data were not read from a file.
    InputOutputError
        The file cannot be written; an existing one is left unchanged.
    """
    from dadapt_cli.certificate import proof

    assert options.certificate is not None
    sha256, zero_based, weights = samples.source.sha256, samples.source.zero_based, None
    if isinstance(samples.X, Data):
        sha256, zero_based = samples.X.sha256, samples.X.about["zero_based"]
    else:
        weights = sample_weights(samples.y, samples.sample_weight, options.weight, options.positive)
    if sha256 is None:
        raise UsageError("certificate: a proof names its data by their text; use dadapt fit FILE")
    if known.status != "attained" or known.witness is None or known.f_star is None:
        return known.reason or "there is no certified f*"
    scale = metric.scale(exact, options.metric or "identity")
    claims = [proof.Claim("f_star", down(known.f_star - WIDER * (known.gap or 0.0)), known.f_star)]
    for name in ("D", "D_inf"):
        least, most = known.least_distance(name), known.distance(name)
        if least is not None and most is not None:
            room = (WIDER - 1.0) * (most - least)
            claims.append(proof.Claim(name, max(0.0, down(least - room)), up(most + room)))
    claims += [proof.Claim("d", row["d"], k=row["k"]) for row in rows if row["d"] is not None]
    proof.write(
        options.certificate,
        proof.Data(
            sha256,
            samples.X.shape[0],
            samples.X.shape[1],
            data.labels.classes,
            zero_based,
        ),
        proof.Objective(
            exact.l2,
            options.bias,
            options.intercept,
            "unit" if options.scale == "unit" else data.scaling.divisors,
            weights,
        ),
        proof.Witness(known.witness, w0, None if scale is None else scale.ravel()),
        claims,
    )
    return None
