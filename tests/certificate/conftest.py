"""A problem with its text, its witness and a proof of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dadapt_cli import libsvm, reference
from dadapt_cli._typing import Array
from dadapt_cli.certificate import check, proof
from dadapt_cli.certificate.proof import Claim
from dadapt_cli.objective import Problem
from dadapt_cli.preprocessing.labels import encode
from dadapt_cli.preprocessing.prepare import Preparation, prepare
from dadapt_cli.solver import start
from dadapt_cli.solver.options import Options

IRIS = Path(__file__).parent.parent.parent / "data" / "iris.scale"


@dataclass
class Proven:
    """What a fit would hand to the writer."""

    path: Path
    problem: Problem
    parts: tuple[proof.Data, proof.Objective, proof.Witness]
    claims: list[Claim]

    @property
    def w(self) -> Array:
        return self.parts[2].w

    def document(self, claims: list[Claim] | None = None, w: Array | None = None) -> dict[str, Any]:
        data, objective, witness = self.parts
        if w is not None:
            witness = proof.Witness(w, witness.x0, witness.metric)
        return proof.document_of(
            data, objective, witness, self.claims if claims is None else claims
        )

    def judge(self, claims: list[Claim] | None = None, w: Array | None = None) -> list[str]:
        rows = check.judge(self.document(claims, w), check.read_text(str(self.path)))
        return [row["verdict"] for row in rows]


def prove(path: Path, **options: Any) -> Proven:
    """Fit to rounding, and claim what the reference says, its intervals as they are."""
    loaded = libsvm.load(path)
    chosen = Options(**{"l2": 0.0, **options})
    how = Preparation(chosen.positive, chosen.weight, chosen.scale)
    data = prepare(loaded.X, loaded.y, how)
    problem = start.problem_of(data, chosen)
    known = reference.find(problem, loaded.sha256, always=True)
    assert known.witness is not None, known.reason
    assert known.f_star is not None
    assert known.gap is not None
    scale: Any = "unit" if chosen.scale == "unit" else data.scaling.divisors
    weights = None
    if chosen.weight:
        weights = np.array([chosen.weight.get(int(v), 1.0) for v in loaded.y])
    labels = encode(loaded.y, positive=chosen.positive).classes
    parts = (
        proof.Data(loaded.sha256, *loaded.X.shape, labels),
        proof.Objective(problem.l2, chosen.bias, chosen.intercept, scale, weights),
        proof.Witness(known.witness),
    )
    claims = [Claim("f_star", np.nextafter(known.f_star - known.gap, -1.0), known.f_star)]
    for name in ("D", "D_inf"):
        low, high = known.least_distance(name), known.distance(name)
        claims.append(Claim(name, low, high))
    claims.append(Claim("d", 0.9 * claims[1].lower, k=3))
    claims.append(Claim("bound", upper=1e-9, k=3))
    return Proven(path, problem, parts, claims)


@pytest.fixture
def iris() -> Proven:
    return prove(IRIS, l2="1/n")


@pytest.fixture
def proof_file(tmp_path: Path, iris: Proven) -> Callable[..., Path]:
    """Write a document, by default the proof of iris, changed by a function."""
    import json

    def write(change: Callable[[dict[str, Any]], Any] = lambda document: None) -> Path:
        document = iris.document()
        replaced = change(document)
        path = tmp_path / "proof.json"
        path.write_text(json.dumps(document if replaced is None else replaced))
        return path

    return write
