"""The writer: what it writes is exact, whole, and readable by people."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dadapt_cli.certificate import check, proof
from dadapt_cli.certificate.proof import Claim
from dadapt_cli.errors import InputOutputError
from tests.certificate.conftest import Proven


def test_numbers_are_exact_and_shown(tmp_path: Path, iris: Proven) -> None:
    path = tmp_path / "p"
    proof.write(path, *iris.parts, iris.claims)
    document = json.loads(path.read_text())
    first = document["claims"][0]
    assert float.fromhex(first["lower"]) == iris.claims[0].lower == first["lower_decimal"]
    assert float.fromhex(document["objective"]["l2"]) == iris.problem.l2
    w = check.array(document["witness"], "w", *iris.w.shape)
    assert w.tobytes() == iris.w.tobytes()
    assert document["data"]["labels"] == [1, 2, 3]
    assert document["objective"]["loss"] == "softmax"


def test_the_same_proof_has_the_same_bytes(tmp_path: Path, iris: Proven) -> None:
    for name in "ab":
        proof.write(tmp_path / name, *iris.parts, iris.claims)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    "claim",
    [
        Claim("f_star", 0.1),
        Claim("f_star", 0.1, float("inf")),
        Claim("D", float("nan"), 1.0),
        Claim("d", 0.1),
        Claim("d", k=1),
        Claim("bound", 0.1, k=1),
        Claim("certainty", 0.1, 0.2),
        Claim("not-attained"),
        Claim("not-attained", w=np.zeros(3)),
        Claim("f", 0.1, 0.2, k=1, w=np.full((4, 3), np.nan)),
    ],
)
def test_claims_that_cannot_be_written(iris: Proven, claim: Claim) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        iris.document([claim])


def test_no_claims_and_shapes_that_do_not_fit(iris: Proven) -> None:
    with pytest.raises(ValueError, match="claims"):
        iris.document([])
    with pytest.raises(ValueError, match="shape"):
        iris.document(w=np.zeros((3, 4)))
    data, _, witness = iris.parts
    with pytest.raises(ValueError, match="scale"):
        proof.document_of(data, proof.Objective(0.1, scale="minmax"), witness, iris.claims)
    seven = proof.Objective(0.1, sample_weight=np.ones(7))
    with pytest.raises(ValueError, match="shape"):
        proof.document_of(data, seven, witness, iris.claims)


def test_an_existing_file_stays_where_writing_fails(tmp_path: Path, iris: Proven) -> None:
    path = tmp_path / "p"
    path.write_text("old")
    with pytest.raises(ValueError, match="claims"):
        proof.write(path, *iris.parts, [])
    assert path.read_text() == "old"
    with pytest.raises(InputOutputError):
        proof.write(tmp_path / "absent" / "p", *iris.parts, iris.claims)
