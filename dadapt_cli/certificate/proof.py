"""Proof files: what is claimed of a problem, and what a stranger needs to check it.

One JSON document; numbers are exact hex floats, with decimals for people, arrays are base64 of
little-endian float64. The format is described in docs/certificates.md, and :mod:`check` reads it.
"""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dadapt_cli._typing import Array, Label
from dadapt_cli.system.files import atomic_write

SCHEMA = 1

INTERVALS = ("f_star", "D", "D_inf", "f")
"""Kinds that claim an interval; ``d`` claims d <= D, ``bound`` f(w) - f* <= bound."""


@dataclass(frozen=True)
class Data:
    """Which text the claims are about.

    Attributes
    ----------
    sha256
        Of the uncompressed text.
    samples, features
        Rows, and columns without a constant one.
    labels
        The classes: ascending, for two the positive one second; ``rest`` is all others.
    zero_based
        The first feature has index 0 in the text.
    """

    sha256: str
    samples: int
    features: int
    labels: Sequence[Label]
    zero_based: bool = False


@dataclass(frozen=True)
class Objective:
    """The objective on these data.

    Attributes
    ----------
    l2
        Weight of (l2/2) ||w||^2.
    bias, intercept
        A constant feature that is penalised, and one that is not.
    scale
        Divisors of the features, (features,), ``unit`` for rows of length 1, None for none.
    sample_weight
        (samples,), at least 0; None where each counts 1.
    """

    l2: float
    bias: bool = False
    intercept: bool = False
    scale: Array | str | None = None
    sample_weight: Array | None = None


@dataclass(frozen=True)
class Witness:
    """The point from which the claims follow.

    Attributes
    ----------
    w
        Weights of the scaled features, (p,) or (p, C), the constant feature's last.
    x0
        The start that D is measured from, in the shape of w; None for 0.
    metric
        Positive, (p,): distances (D, D_inf, d) are those of w/metric; None for 1.
    """

    w: Array
    x0: Array | None = None
    metric: Array | None = None


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes
    ----------
    kind
        ``f_star``, ``D``, ``D_inf``: a number in [lower, upper]; ``f``: f at iterate k, likewise;
        ``d``: at iterate k it is ``lower``, and D is no less; ``bound``: at iterate k f - f* is at
        most ``upper``; ``not-attained``: along w no loss rises and one falls.
    lower, upper
        As the kind says; the other one is None.
    k
        The iterate of ``d``, ``f`` and ``bound``.
    w
        The weights of that iterate, for ``f`` and ``bound``, where they are not the witness's; the
        direction of ``not-attained``. In the shape of the witness's.
    """

    kind: str
    lower: float | None = None
    upper: float | None = None
    k: int | None = None
    w: Array | None = None


def document_of(
    data: Data, objective: Objective, witness: Witness, claims: Sequence[Claim]
) -> dict[str, Any]:
    """Return the document.

    Raises
    ------
    ValueError
        No claims, a number or an array that is not finite, or shapes that do not fit.
    """
    p = data.features + (objective.bias or objective.intercept)
    shape = (p,) if len(data.labels) == 2 else (p, len(data.labels))
    if not claims:
        raise ValueError("a proof without claims")
    scale: str | None = None
    if isinstance(objective.scale, str):
        if objective.scale != "unit":
            raise ValueError(f"scale {objective.scale!r}; give divisors, or 'unit'")
        scale = objective.scale
    elif objective.scale is not None:
        scale = _array(objective.scale, (data.features,))
    return {
        "schema": SCHEMA,
        "data": {
            "sha256": data.sha256,
            "samples": int(data.samples),
            "features": int(data.features),
            "labels": list(data.labels),
            "zero_based": bool(data.zero_based),
        },
        "objective": {
            "loss": "logistic" if len(data.labels) == 2 else "softmax",
            **_number("l2", objective.l2),
            "bias": bool(objective.bias),
            "intercept": bool(objective.intercept),
            "scale": scale,
            "sample_weight": _optional(objective.sample_weight, (data.samples,)),
        },
        "witness": {
            "w": _array(witness.w, shape),
            "shape": list(shape),
            "x0": _optional(witness.x0, shape),
            "metric": _optional(witness.metric, (p,)),
        },
        "claims": [_claim(claim, shape) for claim in claims],
    }


def write(
    path: str | os.PathLike[str],
    data: Data,
    objective: Objective,
    witness: Witness,
    claims: Sequence[Claim],
) -> None:
    """Write a proof file, whole or not at all.

    Raises
    ------
    ValueError
        As :func:`document_of`.
    InputOutputError
        The file cannot be written; an existing one is as it was.
    """
    document = document_of(data, objective, witness, claims)
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    with atomic_write(path) as file:
        file.write(text.encode())


def _claim(claim: Claim, shape: tuple[int, ...]) -> dict[str, Any]:
    made: dict[str, Any] = {"kind": claim.kind}
    if claim.kind == "not-attained":
        return made | {"direction": _array(claim.w, shape)}
    if claim.kind in ("d", "f", "bound"):
        if claim.k is None:
            raise ValueError(f"a claim {claim.kind!r} without its k")
        made["k"] = int(claim.k)
    if claim.kind in INTERVALS:
        made |= _number("lower", claim.lower) | _number("upper", claim.upper)
    elif claim.kind in ("d", "bound"):
        made |= _number("value", claim.lower if claim.kind == "d" else claim.upper)
    else:
        raise ValueError(f"no claim is called {claim.kind!r}")
    if claim.w is not None:
        made["w"] = _array(claim.w, shape)
    return made


def _number(name: str, value: float | None) -> dict[str, Any]:
    """The number as hex, which is exact, and as a decimal."""
    if value is None or not math.isfinite(value):
        raise ValueError(f"{name} is {value}; a proof holds finite numbers")
    return {name: float(value).hex(), f"{name}_decimal": float(value)}


def _optional(values: Array | None, shape: tuple[int, ...]) -> str | None:
    return None if values is None else _array(values, shape)


def _array(values: Array | None, shape: tuple[int, ...]) -> str:
    array = np.ascontiguousarray(values, "<f8")
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"an array of the shape {array.shape}; {shape} finite numbers are needed")
    return base64.b64encode(array.tobytes()).decode("ascii")
