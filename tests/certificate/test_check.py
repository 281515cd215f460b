"""The checker against 50 digits, against false claims, and against what is no proof."""

from __future__ import annotations

import base64
import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dadapt_cli.certificate import check, proof
from dadapt_cli.certificate.proof import Claim
from tests.certificate.conftest import IRIS, Proven, prove
from tests.conftest import DATA, PATIENCE

FILE = Path(check.__file__)

# exp and log1p, correctly rounded (mpmath, 200 bits): the argument and the value
EXP = {
    "-0x1.0000000000000p-40": "0x1.fffffffffe000p-1",
    "-0x1.12e0be826d695p-30": "0x1.fffffff768fa1p-1",
    "-0x1.0624dd2f1a9fcp-10": "0x1.ff7cfe56f1a9ep-1",
    "-0x1.0000000000000p-5": "0x1.f03f56a88b5d8p-1",
    "-0x1.999999999999ap-4": "0x1.cf46d99d52b3ap-1",
    "-0x1.62e42fead449cp-2": "0x1.6a09e669a7145p-1",
    "-0x1.0000000000000p-1": "0x1.368b2fc6f960ap-1",
    "-0x1.6666666666666p-1": "0x1.fc80db9dd5542p-2",
    "-0x1.0000000000000p+0": "0x1.78b56362cef38p-2",
    "-0x1.8000000000000p+0": "0x1.c8f87724b5c1dp-3",
    "-0x1.0000000000000p+1": "0x1.152aaa3bf81ccp-3",
    "-0x1.a000000000000p+1": "0x1.3da368521902dp-5",
    "-0x1.6000000000000p+2": "0x1.0bd4a5aca7728p-8",
    "-0x1.2000000000000p+3": "0x1.02cf22526545ap-13",
    "-0x1.1c00000000000p+4": "0x1.4ff6cb83daa3fp-26",
    "-0x1.259999999999ap+5": "0x1.0998b04bdd190p-53",
    "-0x1.9000000000000p+6": "0x1.a8c1f14e2af5dp-145",
    "-0x1.5e80000000000p+8": "0x1.42ffdfebeef96p-506",
    "-0x1.5900000000000p+9": "0x1.745367beacec7p-996",
    "-0x1.6180000000000p+9": "0x1.029ade2342558p-1020",
}
LOG1P = {
    "0x1.0000000000000p-60": "0x1.0000000000000p-60",
    "0x1.19799812dea11p-40": "0x1.19799812de065p-40",
    "0x1.4f8b588e368f1p-17": "0x1.4f8aea9ae7317p-17",
    "0x1.0624dd2f1a9fcp-10": "0x1.060354f8c3ebfp-10",
    "0x1.eb851eb851eb8p-6": "0x1.e44a9a3bed663p-6",
    "0x1.999999999999ap-4": "0x1.8663f793c46c7p-4",
    "0x1.0000000000000p-2": "0x1.c8ff7c79a9a22p-3",
    "0x1.a7ef9db22d0e5p-2": "0x1.62bc98f798643p-2",
    "0x1.0000000000000p-1": "0x1.9f323ecbf984cp-2",
    "0x1.6666666666666p-1": "0x1.0fae81914a991p-1",
    "0x1.ccccccccccccdp-1": "0x1.48a11293d785cp-1",
    "0x1.0000000000000p+0": "0x1.62e42fefa39efp-1",
    "0x1.b333333333333p+0": "0x1.fc8b7f138bde9p-1",
    "0x1.4000000000000p+1": "0x1.40b512eb53d60p+0",
    "0x1.0000000000000p+3": "0x1.193ea7aad030bp+1",
    "0x1.8000000000000p+4": "0x1.9c041f7ed8d33p+1",
    "0x1.9000000000000p+6": "0x1.275e2271bba31p+2",
    "0x1.56e1fc2f8f359p-997": "0x1.56e1fc2f8f359p-997",
}


@pytest.mark.parametrize(("function", "table"), [(np.exp, EXP), (np.log1p, LOG1P)])
@pytest.mark.parametrize("copies", [0, 1, 50])
def test_numpy_is_within_4_ulp(function: Any, table: dict[str, str], copies: int) -> None:
    """3 ulp of the rounded value are 3.5 of the true one; long arrays take the vector code."""
    x, want = (np.array([float.fromhex(v) for v in side]) for side in (table, table.values()))
    got = np.array([function(v) for v in x]) if not copies else function(np.tile(x, copies))
    got = got[-len(x) :]
    assert (abs(got - want) <= 3 * np.spacing(want)).all()


def test_one_file_of_400_lines_that_imports_nothing_of_the_package() -> None:
    text = FILE.read_text()
    assert len(text.splitlines()) <= 400
    imports = [line.split()[1] for line in text.splitlines() if line.startswith(("import", "from"))]
    foreign = {name.split(".")[0] for name in imports} - set(sys.stdlib_module_names)
    assert foreign == {"numpy"}
    assert "import" not in text.split("import numpy as np")[1]


OBJECTIVES = [
    ("iris.scale", {"l2": "1/n"}),
    ("iris.scale", {"l2": "1/n", "intercept": True}),
    ("iris.scale", {"l2": "1/n", "bias": True, "weight": {1: 0.5, 3: 2.0}}),
    ("iris.scale", {"l2": 0.1, "scale": "unit", "bias": True}),
    ("iris.scale", {"l2": "1/n", "positive": 2, "intercept": True}),
    ("wdbc.scale.xz", {"l2": "1/n"}),
    ("wdbc.scale.xz", {"l2": 1e-3, "intercept": True, "scale": "standard"}),
    ("wdbc.scale.xz", {"l2": 1e-2, "scale": "minmax", "weight": {1: 0.25}}),
    ("vehicle.scale", {"l2": 0.0}),
    ("glass.scale", {"l2": "1/n", "intercept": True}),
    ("wine.scale", {"l2": "1/n"}),
]


@pytest.mark.parametrize(("name", "options"), OBJECTIVES)
def test_what_the_reference_says_is_proven(name: str, options: dict[str, Any]) -> None:
    proven = prove(DATA / name, **options)
    rows = check.judge(proven.document(), check.read_text(str(proven.path)))
    for row in rows:
        assert row["verdict"] == "proven", row
        low, high = row["enclosed"]
        # the widest is D of vehicle without a penalty, 1.7e-7 of 146: its Hessian is near singular
        assert 0 < high - low <= 1e-6 if row["kind"] in ("D", "D_inf", "d") else 1e-12


@pytest.mark.parametrize("shift", [-2.0, 2.0])
def test_a_claim_moved_by_twice_its_half_width_is_not_proven(iris: Proven, shift: float) -> None:
    for claim in iris.claims[:3]:
        assert claim.lower is not None
        assert claim.upper is not None
        half = (claim.upper - claim.lower) / 2
        moved = Claim(claim.kind, claim.lower + shift * half, claim.upper + shift * half)
        assert iris.judge([moved]) == ["refuted"]


def test_a_claim_that_cuts_the_enclosure_is_not_proven_at_either_end(iris: Proven) -> None:
    rows = check.judge(iris.document(iris.claims[:3]), IRIS.read_bytes())
    for row in rows:
        low, high = row["enclosed"]
        middle = (low + high) / 2
        assert iris.judge([Claim(row["kind"], low, high)]) == ["proven"]
        for cut in (Claim(row["kind"], middle, 2 * high), Claim(row["kind"], 0.0, middle)):
            assert iris.judge([cut])[0].startswith("to tolerance")


def test_a_witness_with_one_entry_changed_proves_nothing(iris: Proven) -> None:
    assert set(iris.judge()) == {"proven"}
    w = iris.w.copy()
    w[1, 2] *= 1.01
    assert "proven" not in iris.judge(iris.claims[:3], w)


def test_another_l2_proves_nothing(iris: Proven) -> None:
    document = iris.document(iris.claims[:3])
    document["objective"]["l2"] = (iris.problem.l2 * 1.01).hex()
    rows = check.judge(document, check.read_text(str(IRIS)))
    assert not any(row["verdict"] == "proven" for row in rows)


def test_one_row_of_the_data_changed(iris: Proven) -> None:
    text = IRIS.read_bytes()
    assert check.judge(iris.document(), text)
    with pytest.raises(check.BadInputError, match="other data"):
        check.judge(iris.document(), text.replace(b"-0.555556", b"-0.555557", 1))


def test_a_d_above_the_lower_end_of_D(iris: Proven) -> None:
    low, high = iris.claims[1].lower, iris.claims[1].upper
    assert low is not None
    assert high is not None
    assert iris.judge([Claim("d", low, k=5)]) == ["proven"]
    assert iris.judge([Claim("d", high + (high - low), k=5)]) == ["refuted"]
    middle = iris.judge([Claim("d", (low + high) / 2 + (high - low) / 4, k=5)])[0]
    assert middle.startswith(("to tolerance", "refuted"))


def test_claims_about_an_iterate_are_checked_at_its_weights(iris: Proven) -> None:
    w = 0.5 * iris.w
    f = iris.problem.value_and_gradient(w).f
    gap = f - iris.problem.value_and_gradient(iris.w).f
    claims = [
        Claim("f", f - 1e-14, f + 1e-14, k=9, w=w),
        Claim("f", f - 1e-14, f + 1e-14, k=9),
        Claim("bound", upper=gap + 1e-13, k=9, w=w),
        Claim("bound", upper=gap - 1e-13, k=9, w=w),
    ]
    assert iris.judge(claims) == ["proven", "refuted", "proven", "refuted"]


def test_the_metric_is_that_of_the_distances(iris: Proven) -> None:
    c = np.array([0.5, 1.0, 2.0, 4.0])
    D = float(np.linalg.norm(iris.w / c[:, None]))
    data, objective, witness = iris.parts
    there = proof.Witness(witness.w, None, c)
    document = proof.document_of(data, objective, there, [Claim("D", D - 1e-9, D + 1e-9)])
    assert check.judge(document, IRIS.read_bytes())[0]["verdict"] == "proven"


def test_D_is_measured_from_x0(iris: Proven) -> None:
    x0 = np.ones(iris.w.shape)
    D = float(np.linalg.norm(iris.w - x0))
    data, objective, witness = iris.parts
    there = proof.Witness(witness.w, x0)
    document = proof.document_of(data, objective, there, [Claim("D", D - 1e-9, D + 1e-9)])
    assert check.judge(document, IRIS.read_bytes())[0]["verdict"] == "proven"


def test_far_from_the_minimum_nothing_is_claimed_without_a_penalty() -> None:
    proven = prove(DATA / "vehicle.scale", l2=0.0)
    verdicts = proven.judge(w=np.zeros(proven.w.shape))
    assert not {"proven", "refuted"} & set(verdicts[:3])
    assert verdicts[0].startswith("not checked (w is too far")


# --------------------------------------------------------------------------------- not attained

SEPARABLE = b"1 1:0.1 2:1\n-1 1:-0.3\n1 1:0.30000000000000001 2:5e-1\n-1 2:0.25\n"


def not_attained(text: bytes, v: list[float], **objective: Any) -> str:
    import hashlib

    data = proof.Data(hashlib.sha256(text).hexdigest(), text.count(b"\n"), 2, [-1, 1])
    kind = proof.Objective(objective.pop("l2", 0.0), **objective)
    w = np.array(v)
    document = proof.document_of(
        data, kind, proof.Witness(np.zeros_like(w)), [Claim("not-attained", w=w)]
    )
    verdict: str = check.judge(document, text)[0]["verdict"]
    return verdict


def test_a_direction_is_judged_in_rational_numbers() -> None:
    assert not_attained(SEPARABLE, [1.0, 0.0]) == "proven"
    assert not_attained(SEPARABLE, [0.0, 1.0]) == "refuted"
    assert not_attained(SEPARABLE, [0.0, 0.0]) == "refuted"
    assert not_attained(SEPARABLE, [1.0, 0.0], l2=1e-300) == "refuted"
    # 3 * 0.1 is 0.3 as decimals: in float64 the margin of the first row would be 5.6e-17
    tie = b"1 1:0.3 2:-3\n-1 1:-1\n"
    assert not_attained(tie, [10.0, 1.0]) == "proven"
    assert not_attained(tie, [np.nextafter(10.0, 0), 1.0]) == "refuted"


def test_a_direction_with_divisors_and_a_constant() -> None:
    tie = b"1 1:0.3 2:-3\n-1 1:-1\n"
    assert not_attained(tie, [20.0, 1.0, 0.0], scale=np.array([2.0, 1.0]), bias=True) == "proven"
    assert not_attained(tie, [10.0, 1.0, 0.0], scale=np.array([2.0, 1.0]), bias=True) == "refuted"
    assert not_attained(tie, [10.0, 1.0, 1.0], bias=True) == "proven"
    verdict = not_attained(tie, [10.0, 1.0, 1.0], bias=True, scale="unit")
    assert verdict.startswith("not checked")


def test_a_direction_of_softmax() -> None:
    proven = prove(IRIS, l2="1/n")
    data = proven.parts[0]
    w = np.zeros((4, 3))
    w[3] = [1.0, 0.0, -1.0]
    document = proof.document_of(
        data, proof.Objective(0.0), proof.Witness(w), [Claim("not-attained", w=w)]
    )
    assert check.judge(document, IRIS.read_bytes())[0]["verdict"] == "refuted"
    text = b"1 1:-1\n2 1:0\n3 1:1\n"
    import hashlib

    data = proof.Data(hashlib.sha256(text).hexdigest(), 3, 1, [1, 2, 3])
    for v, verdict in (([-1.0, 0.0, 1.0], "proven"), ([1.0, 1.0, 1.0], "refuted")):
        document = proof.document_of(
            data, proof.Objective(0.0), proof.Witness(np.zeros((1, 3))),
            [Claim("not-attained", w=np.array([v]))],
        )  # fmt: skip
        assert check.judge(document, text)[0]["verdict"] == verdict


def test_separated_data_have_the_infimum_0() -> None:
    """Where B cannot say anything, f* >= 0 and f* <= f(w) are proven all the same."""
    import hashlib

    w = np.array([1e6, 0.0])
    data = proof.Data(hashlib.sha256(SEPARABLE).hexdigest(), 4, 2, [-1, 1])
    claims = [Claim("f_star", 0.0, 0.5), Claim("f_star", 0.0, 1e-3), Claim("D", 1.0, 2.0)]
    document = proof.document_of(data, proof.Objective(0.0), proof.Witness(w), claims)
    rows = check.judge(document, SEPARABLE)
    assert rows[0]["verdict"] == "proven"  # the fourth row stays at log(2)/4
    assert rows[1]["verdict"].startswith("not checked")
    assert rows[2]["verdict"].startswith("not checked")


# ------------------------------------------------------------------------------------ one file


def single(folder: Path, *arguments: Any) -> subprocess.CompletedProcess[str]:
    copy = folder / "check.py"
    shutil.copy(FILE, copy)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-W", "error", "-I", copy, *map(str, arguments)],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip


def test_the_file_alone_in_another_folder(tmp_path: Path, iris: Proven) -> None:
    path = tmp_path / "iris.proof"
    claims = [*iris.claims, Claim("d", 1e3, k=7)]
    proof.write(path, *iris.parts, iris.claims)
    ran = single(tmp_path, path, IRIS)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.count("verdict: proven") == len(iris.claims)
    proof.write(path, *iris.parts, claims)
    ran = single(tmp_path, path, IRIS)
    assert ran.returncode == 1
    assert "kind: d; k: 7; verdict: refuted" in ran.stdout
    ran = single(tmp_path, path, DATA / "wine.scale")
    assert ran.returncode == 3
    assert ran.stderr.count("\n") == 1
    assert single(tmp_path, path, tmp_path / "absent").returncode == 4
    assert single(tmp_path, path).returncode == 2


def test_a_tolerance_admits_what_is_nearly_proven(tmp_path: Path, iris: Proven) -> None:
    low, high = iris.claims[0].lower, iris.claims[0].upper
    assert low is not None
    assert high is not None
    path = tmp_path / "iris.proof"
    proof.write(path, *iris.parts, [Claim("f_star", low, low)])
    text = str(IRIS)
    assert check.main([str(path), text]) == 1
    assert check.main([str(path), text, "--tolerance", "1e-12"]) in (0, 1)
    proof.write(path, *iris.parts, [Claim("f_star", low, (low + high) / 2)])
    assert check.main([str(path), text]) == 1
    assert check.main([str(path), text, "--tolerance", "1e-12"]) == 0
    assert check.main([str(path), text, "--tolerance", "nan"]) == 1


# ------------------------------------------------------------------------------------- bad input


def edit(*keys: str, value: Any) -> Callable[[dict[str, Any]], Any]:
    def change(document: dict[str, Any]) -> None:
        place: Any = document
        for key in keys[:-1]:
            place = place[int(key)] if isinstance(place, list) else place[key]
        place[keys[-1]] = value

    return change


def remove(*keys: str) -> Callable[[dict[str, Any]], Any]:
    def change(document: dict[str, Any]) -> None:
        place: Any = document
        for key in keys[:-1]:
            place = place[key]
        del place[keys[-1]]

    return change


NAN = base64.b64encode(np.full(12, np.nan).tobytes()).decode()

BAD = {
    "schema": edit("schema", value=2),
    "schema true": edit("schema", value=[1]),
    "a list": lambda document: [document],
    "a number": lambda document: 3,
    "null": lambda document: "null",
    "no data": remove("data"),
    "no witness": remove("witness"),
    "data a list": edit("data", value=[]),
    "sha a number": edit("data", "sha256", value=5),
    "other sha": edit("data", "sha256", value="0" * 64),
    "samples": edit("data", "samples", value=149),
    "samples float": edit("data", "samples", value=150.0),
    "samples true": edit("data", "samples", value=True),
    "features fewer": edit("data", "features", value=3),
    "features huge": edit("data", "features", value=10**400),
    "features negative": edit("data", "features", value=-4),
    "labels fewer": edit("data", "labels", value=[1, 2]),
    "labels more": edit("data", "labels", value=[1, 2, 3, 4]),
    "labels others": edit("data", "labels", value=[1, 2, 5]),
    "labels twice": edit("data", "labels", value=[1, 2, 2]),
    "labels float": edit("data", "labels", value=[1, 2, 3.0]),
    "labels lists": edit("data", "labels", value=[[1], [2], [3]]),
    "labels huge": edit("data", "labels", value=[1, 2, 10**400]),
    "labels rest twice": edit("data", "labels", value=["rest", "rest", 1]),
    "labels a word": edit("data", "labels", value=[1, 2, "\x1b[31m"]),
    "zero based": edit("data", "zero_based", value=True),
    "zero based 0": edit("data", "zero_based", value=0),
    "loss": edit("objective", "loss", value="logistic"),
    "l2 a number": edit("objective", "l2", value=0.1),
    "l2 nan": edit("objective", "l2", value="nan"),
    "l2 inf": edit("objective", "l2", value="inf"),
    "l2 negative": edit("objective", "l2", value="-0x1p-3"),
    "l2 too large": edit("objective", "l2", value="0x1p+99999999"),
    "l2 1e400": edit("objective", "l2", value="1" + "0" * 400),
    "l2 no hex": edit("objective", "l2", value="0xzz"),
    "bias 1": edit("objective", "bias", value=1),
    "bias": edit("objective", "bias", value=True),
    "scale": edit("objective", "scale", value="minmax"),
    "scale short": edit("objective", "scale", value="AAAA"),
    "scale zero": edit("objective", "scale", value=base64.b64encode(bytes(32)).decode()),
    "weights short": edit("objective", "sample_weight", value="AAAA"),
    "weights a dict": edit("objective", "sample_weight", value={"1": "0x1p0"}),
    "weights zero": edit(
        "objective", "sample_weight", value=base64.b64encode(bytes(1200)).decode()
    ),
    "shape lies": edit("witness", "shape", value=[4, 4]),
    "shape a word": edit("witness", "shape", value="4"),
    "shape huge": edit("witness", "shape", value=[10**30, 10**30]),
    "w cut": edit("witness", "w", value="AAAA"),
    "w huge": edit("witness", "w", value="A" * 10_000_000),
    "w no base64": edit("witness", "w", value="!" * 128),
    "w not ascii": edit("witness", "w", value="é" * 128),
    "w a list": edit("witness", "w", value=[[0.0] * 3] * 4),
    "w nan": edit("witness", "w", value=NAN),
    "w null": edit("witness", "w", value=None),
    "x0 nan": edit("witness", "x0", value=NAN),
    "metric": edit("witness", "metric", value=base64.b64encode(bytes(32)).decode()),
    "no claims": edit("claims", value=[]),
    "claims a dict": edit("claims", value={}),
    "a claim a word": edit("claims", value=["f_star"]),
    "an unknown kind": edit("claims", value=[{"kind": "\x1b[31mred\n"}]),
    "no kind": edit("claims", value=[{"lower": "0x0p0"}]),
    "no lower": edit("claims", value=[{"kind": "f_star", "upper": "0x1p0"}]),
    "lower nan": edit("claims", value=[{"kind": "D", "lower": "nan", "upper": "0x1p0"}]),
    "k a word": edit("claims", value=[{"kind": "d", "k": "1", "value": "0x1p0"}]),
    "direction": edit("claims", value=[{"kind": "not-attained", "direction": "AAAA"}]),
    "iterate": edit("claims", value=[{"kind": "bound", "k": 1, "value": "0x1p0", "w": "AAAA"}]),
}


@pytest.mark.parametrize("what", BAD)
def test_a_proof_that_lies_is_refused_in_one_line(
    what: str, proof_file: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert check.main([str(proof_file(BAD[what])), str(IRIS)]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "\x1b" not in err
    assert len(err) < 400


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff\xfe{}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"schema": 1, "data": NaN}',
        b'{"schema": 1e400}',
        b'{"schema": ' + b"1" * 10_000 + b"}",
        b"[" + b"1," * 3_000_000 + b"1]",
        gzip.compress(b"[" + b" " * 100_000_000 + b"]"),
        b"PK\x03\x04",
        b"\x80\x04K\x01.",
    ],
    ids=["empty", "cut", "utf-16", "deep list", "deep", "nan", "1e400", "digits", "many", "bomb",
         "zip", "pickle"],
)  # fmt: skip
def test_what_is_no_proof(text: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "proof"
    path.write_bytes(text)
    assert check.main([str(path), str(IRIS)]) == 3
    assert capsys.readouterr().err.count("\n") == 1


def test_every_cut_of_a_proof(proof_file: Callable[..., Path], tmp_path: Path) -> None:
    whole = proof_file().read_bytes()
    path = tmp_path / "cut"
    for at in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:at])
        assert check.main([str(path), str(IRIS)]) == 3


def test_a_fifo_and_a_folder_are_no_proof(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert check.main([str(tmp_path / "fifo"), str(IRIS)]) == 3
    assert check.main([str(tmp_path), str(IRIS)]) == 3


def test_compressed_data_that_are_damaged(
    proof_file: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "iris.gz"
    packed = gzip.compress(IRIS.read_bytes())
    path.write_bytes(packed)
    assert check.main([str(proof_file()), str(path)]) == 0
    for bad in (packed[:-20], packed[:40] + b"\0\0\0" + packed[43:], gzip.compress(bytes(10**8))):
        path.write_bytes(bad)
        assert check.main([str(proof_file()), str(path)]) == 3


def test_numbers_that_overflow_are_not_checked() -> None:
    import hashlib

    text = b"1 1:1e200 2:1\n-1 1:-1e200 2:1\n1 2:-1\n"
    w = np.array([1e200, 0.0])
    data = proof.Data(hashlib.sha256(text).hexdigest(), 3, 2, [-1, 1])
    for l2 in (0.0, 1e-300, 1e300):
        document = proof.document_of(
            data,
            proof.Objective(l2),
            proof.Witness(w),
            [Claim("f_star", 0.1, 0.2), Claim("D", 1, 2)],
        )
        for row in check.judge(document, text):
            assert row["verdict"].startswith("not checked")


def test_text_as_the_reader_takes_it() -> None:
    """BOM, CRLF, comments, qid, a blank before the value, an explicit zero, signs."""
    text = b"\xef\xbb\xbf# head\r\n+1 qid:3 1:0.5 3: .25 # tail\r\n\r\n-1 2:+2e-1 4:0\r\n"
    found = [(label, pairs) for label, pairs in check.lines(text)]
    assert found[0] == (b"+1", [[b"1", b"0.5"], [b"3", b".25"]])
    assert found[1] == (b"-1", [[b"2", b"+2e-1"], [b"4", b"0"]])
    for bad in (b"1 1:nan\n", b"1 1\n", b"1 1:2:3\n", b"1 1:0x1p3\n", b"1 1:1_0\n"):
        with pytest.raises(check.BadInputError):
            list(check.lines(bad))
