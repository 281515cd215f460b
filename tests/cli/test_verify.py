"""``dadapt verify``: proofs, and the referee."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dadapt_cli import libsvm
from dadapt_cli.certificate import proof
from dadapt_cli.certificate.proof import Claim
from dadapt_cli.preprocessing.labels import encode

from ..certificate.conftest import IRIS, prove
from ..conftest import DATA, Ran

Cli = Callable[..., Ran]

WDBC = DATA / "wdbc.scale.xz"


def judged(ran: Ran) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(ran.out)
    return document


# ----------------------------------------------------------------------------------------- proofs


@pytest.fixture
def iris_proof(tmp_path: Path) -> Path:
    proven = prove(IRIS, l2="1/n")
    proof.write(tmp_path / "iris.proof", *proven.parts, proven.claims)
    return tmp_path / "iris.proof"


def test_a_proof_and_its_data(cli: Cli, iris_proof: Path) -> None:
    ran = cli("verify", iris_proof, "iris")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[-1] == "5 of 5 claims are proven"
    assert all(" proven " in line for line in lines[:-1])
    document = judged(cli("verify", iris_proof, IRIS, "--format", "json"))
    assert document["proven"] is True
    assert [row["kind"] for row in document["claims"]] == ["f_star", "D", "D_inf", "d", "bound"]
    assert document["claims"][3]["claimed"][1] is None  # d claims nothing above


def test_a_false_claim_is_1_and_a_tolerance_may_admit_it(cli: Cli, tmp_path: Path) -> None:
    proven = prove(IRIS, l2="1/n")
    path = tmp_path / "p"
    proof.write(path, *proven.parts, [*proven.claims, Claim("d", 1e6, k=1)])
    ran = cli("verify", path, IRIS)
    assert ran.code == 1
    assert "refuted" in ran.out
    assert ran.out.endswith("5 of 6 claims are proven\n")
    low = proven.claims[0].lower
    high = proven.claims[0].upper
    assert low is not None
    assert high is not None
    proof.write(path, *proven.parts, [Claim("f_star", low, (low + high) / 2)])
    assert cli("verify", path, IRIS).code == 1
    ran = cli("verify", path, IRIS, "--tolerance", "1e-12")
    assert ran.code == 0
    assert ran.out.endswith("1 of 1 claims are proven to 1e-12\n")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("{proof}", "wine"), 3, "other data"),
        (("{proof}", "{empty}"), 3, "other data"),
        (("{empty}", "iris"), 3, "not a proof"),
        (("iris", "iris"), 3, "not a proof"),
        (("{proof}",), 2, "give a PROOF and its DATA"),
        (("{proof}", "iris", "iris"), 2, "give a PROOF and its DATA"),
        (("{proof}", "iris", "--l2", "0.1"), 2, "--l2 is for --model"),
        (("{proof}", "iris", "--zero-based"), 2, "--zero-based is for --model"),
        (("{proof}", "iris", "--tolerance", "nan"), 2, "--tolerance nan"),
        (("{proof}", "iris", "--tolerance", "-1"), 2, "--tolerance -1"),
        (("{proof}", "iris", "--format", "xml"), 2, "--format 'xml'"),
        (("-", "iris"), 2, "PROOF -"),
        (("{absent}", "iris"), 2, "no such file"),
        (("{folder}", "iris"), 3, "regular file"),
        (("{esc}", "iris"), 3, r"\x1b"),
    ],
)
def test_what_cannot_be_verified(
    cli: Cli, iris_proof: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    (tmp_path / "empty").touch()
    document = json.loads(iris_proof.read_text())
    document["claims"] = [{"kind": "\x1b[31m\nred"}]
    (tmp_path / "esc").write_text(json.dumps(document))
    names = {name: tmp_path / name for name in ("empty", "absent", "esc")}
    given = [a.format(proof=iris_proof, folder=tmp_path, **names) for a in arguments]
    ran = cli("verify", *given)
    assert (ran.code, ran.out) == (code, "")
    assert words in ran.err
    assert ran.err.count("\n") == 1
    assert "\x1b" not in ran.err


def test_help_does_not_load_numpy() -> None:
    code = (
        "import sys; from dadapt_cli.cli import run; run(['verify', '-h']); "
        "sys.exit('numpy' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


# ---------------------------------------------------------------------------------------- referee


def minimiser(path: Path, **options: Any) -> Any:
    return prove(path, **options).w


def test_the_sentence(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "w.npy"
    np.save(path, minimiser(IRIS, l2="1/n"))
    ran = cli("verify", IRIS, "--model", path)
    assert (ran.code, ran.err) == (0, "")
    last = ran.out.splitlines()[-1]
    assert re.fullmatch(
        re.escape(str(path)) + r" is within \S+e-1[45] of the optimum, proven \(l2 = 1/n\); "
        r"100.0 % of its labels are the optimum's",
        last,
    )
    assert ran.out.startswith("f(w)              0.389166672246")


@pytest.mark.parametrize("reference", ["auto", "none"])
@pytest.mark.parametrize("l2", ["1/n", "0.01"])
def test_the_gap_contains_the_true_one(cli: Cli, tmp_path: Path, reference: str, l2: str) -> None:
    """With a step away from the minimiser; the true gap from an exact quadratic and cubic bound."""
    best = prove(WDBC, l2=l2 if l2 == "1/n" else float(l2))
    rng = np.random.default_rng(0)
    w = best.w + 1e-3 * rng.normal(size=best.w.shape)
    f = [best.problem.value_and_gradient(v).f for v in (w, best.w)]
    np.savetxt(tmp_path / "w.txt", w)
    ran = cli("verify", WDBC, "-m", tmp_path / "w.txt", "--l2", l2, "-f", "json",
              "--reference", reference)  # fmt: skip
    low, high = judged(ran)["gap"]
    assert low <= f[0] - f[1] + 1e-14  # which float64 evaluations of f are exact to
    assert high >= f[0] - f[1] - 1e-14
    if reference == "auto":
        assert high - low <= 1e-12
    assert judged(ran)["gap_alone"] >= f[0] - f[1] - 1e-14


def test_a_tolerance_is_a_check(cli: Cli, tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.zeros(30))
    assert cli("verify", WDBC, "-m", tmp_path / "w.npy", "--tolerance", "0.1").code == 1
    assert cli("verify", WDBC, "-m", tmp_path / "w.npy", "--tolerance", "0.7").code == 0


def test_labels_that_are_not_the_optimums_are_not_called_so(cli: Cli, tmp_path: Path) -> None:
    best = prove(WDBC, l2="1/n")
    X, y = libsvm.read_libsvm(WDBC)
    w = -best.w
    np.save(tmp_path / "w.npy", w)
    found = judged(cli("verify", WDBC, "-m", tmp_path / "w.npy", "-f", "json"))
    assert found["labels_proven"] == 0
    np.save(tmp_path / "w.npy", 0.3 * best.w)
    found = judged(cli("verify", WDBC, "-m", tmp_path / "w.npy", "-f", "json"))
    assert found["labels_proven"] == len(y) == X.shape[0]


def test_a_saved_model_brings_its_objective(cli: Cli, tmp_path: Path) -> None:
    model = tmp_path / "m.npz"
    options = ("--l2", "0.003", "--intercept", "--scale", "standard", "--weight", "1=0.5")
    assert cli("fit", WDBC, "-a", "lbfgs", *options, "--save", model).code == 0
    found = judged(cli("verify", WDBC, "-m", model, "-f", "json"))
    assert found["objective"]["l2"] == 0.003
    assert found["objective"]["intercept"] is True
    assert found["objective"]["weight"] == {"1": 0.5}
    assert found["gap"][1] < 1e-6
    other = judged(cli("verify", WDBC, "-m", model, "-f", "json", "--l2", "0.3"))
    assert other["objective"]["l2"] == 0.3
    assert other["gap"][0] > 1e-3


def test_one_label_against_the_rest(cli: Cli, tmp_path: Path) -> None:
    model = tmp_path / "m.npz"
    assert (
        cli("fit", IRIS, "-a", "lbfgs", "--l2", "1/n", "--positive", 2, "--save", model).code == 0
    )
    found = judged(cli("verify", IRIS, "-m", model, "-f", "json"))
    assert found["objective"]["labels"] == ["rest", 2]
    assert found["gap"][1] < 1e-6


LIBLINEAR = shutil.which("liblinear-train")


@pytest.mark.skipif(LIBLINEAR is None, reason="needs liblinear-train (Debian: liblinear-tools)")
def test_liblinear(cli: Cli, tmp_path: Path) -> None:
    """C = 1 is l2 = 1/n, -B 1 is --bias; several labels are another problem."""
    X, y = libsvm.read_libsvm(WDBC)
    libsvm.write_libsvm(tmp_path / "wdbc", X, y)

    def train(data: Path, *options: str) -> Path:
        command = [str(LIBLINEAR), "-q", "-s", "0", *options, str(data), str(tmp_path / "m")]
        subprocess.run(command, check=True)
        return tmp_path / "m"

    for options in ((), ("-B", "1"), ("-c", "4")):
        model = train(tmp_path / "wdbc", *options, "-e", "1e-10")
        l2 = 1 / (4 * len(y)) if "-c" in options else "1/n"
        ran = cli("verify", WDBC, "--model", model, "--l2", l2, "-f", "json")
        assert ran.code == 0
        assert judged(ran)["objective"]["bias"] == ("-B" in options)
        assert judged(ran)["gap"][1] < 1e-9  # its stopping rule asks for far less
        assert judged(ran)["labels_proven_share"] == 1.0
    several = train(IRIS, "-e", "1e-10")
    ran = cli("verify", IRIS, "--model", several)
    assert (ran.code, ran.out) == (2, "")
    assert "answers another problem" in ran.err
    assert "--positive LABEL" in ran.err
    ran = cli("verify", IRIS, "--model", several, "--positive", 3, "-f", "json")
    assert judged(ran)["gap"][1] < 1e-9
    svm = tmp_path / "svm"
    subprocess.run([str(LIBLINEAR), "-q", "-s", "1", str(IRIS), str(svm)], check=True)
    ran = cli("verify", IRIS, "--model", svm)
    assert ran.code == 2
    assert "support vector machine" in ran.err


@pytest.mark.parametrize("solver", ["lbfgs", "saga", "newton-cholesky", "scipy"])
def test_a9a_at_default_tolerances(shared: Path, cli: Cli, tmp_path: Path, solver: str) -> None:
    """The table of docs/certificates.md, whose figures are of one version: here their order."""
    from scipy.optimize import minimize
    from sklearn.linear_model import LogisticRegression

    path = shared / "data" / "a9a.xz"
    X, y = libsvm.read_libsvm(path)
    if solver == "scipy":
        sign = np.where(encode(y).index == 1, 1.0, -1.0)

        def f(w: Any) -> tuple[float, Any]:
            m = sign * (X @ w)
            slope = -sign * np.exp(-np.logaddexp(0, m)) / len(y)
            return np.logaddexp(0, -m).mean() + w @ w / (2 * len(y)), X.T @ slope + w / len(y)

        w = minimize(f, np.zeros(X.shape[1]), jac=True, method="L-BFGS-B").x
    else:
        table = X.toarray() if solver == "newton-cholesky" else X
        fitted = LogisticRegression(solver=solver, fit_intercept=False, random_state=0)
        w = fitted.fit(table, y).coef_
    np.save(tmp_path / "w.npy", w)
    found = judged(cli("verify", path, "-m", tmp_path / "w.npy", "-f", "json"))
    assert 0 < found["gap"][1] < 1e-3
    assert found["gap"][1] - found["gap"][0] < 1e-13
    assert found["labels_proven_share"] > 0.99


def test_what_is_no_answer(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "w"

    def refused(code: int, words: str, *options: str) -> None:
        ran = cli("verify", WDBC, "--model", path, *options)
        assert (ran.code, ran.out) == (code, ""), ran.err
        assert words in ran.err
        assert ran.err.count("\n") == 1

    path.write_text("1 2 3\n4 5\n")
    refused(3, "no matrix of weights")
    path.write_text("0.5\nnan\n")
    refused(3, "finite weights are needed")
    path.write_text("0.5\n" * 29)
    refused(2, "the objective has (30,)")
    path.write_text("0.5\n" * 31)
    refused(2, "the objective has (30,)")
    path.write_text("hello\n")
    refused(3, "not a LIBLINEAR model")
    path.write_bytes(b"\x80\x04K\x01.")
    refused(3, "pickle")
    with path.open("wb") as file:
        np.save(file, np.array([{}], object), allow_pickle=True)
    refused(3, "no matrix of weights")
    with path.open("wb") as file:
        np.save(file, np.zeros(30))
    content = path.read_bytes()
    path.write_bytes(content[:-8])
    refused(3, "no matrix of weights")
    for rows in (10**9, 10**13):
        with path.open("wb") as file:
            header = {"descr": "<f8", "fortran_order": False, "shape": (rows,)}
            np.lib.format.write_array_header_1_0(file, header)
            file.write(bytes(240))
        refused(3, "no matrix of weights")
    path.write_bytes(content)
    refused(2, "--l2", "--l2", "nan")
    refused(2, "--scale", "--scale", "zscore")
    refused(2, "--reference", "--reference", "0.5")
    refused(2, "one constant feature is enough", "--bias", "--intercept")
    refused(2, "31,", "--bias")
    ran = cli("verify", WDBC, WDBC, "--model", path)
    assert ran.code == 2
    path.unlink()
    os.mkfifo(path)
    refused(4, "regular file")


def test_a_model_of_other_labels(cli: Cli, tmp_path: Path) -> None:
    model = tmp_path / "m.npz"
    assert cli("fit", WDBC, "-n", 5, "--save", model).code == 0
    ran = cli("verify", IRIS, "--model", model)
    assert (ran.code, ran.out) == (2, "")
    assert "labels" in ran.err
