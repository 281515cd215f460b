"""Models: round trips, damaged files, LIBLINEAR's own library, scaling, and starts from models."""

from __future__ import annotations

import ctypes
import io
import lzma
import pickle
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from dadapt_cli import fit
from dadapt_cli import model as models
from dadapt_cli.errors import DataError, InputOutputError, UsageError
from dadapt_cli.libsvm import read_libsvm
from dadapt_cli.model import Model, npz
from dadapt_cli.preprocessing import scaling
from dadapt_cli.solver.stages import FitResult

from ..conftest import DATA

TRAIN, PREDICT = shutil.which("liblinear-train"), shutil.which("liblinear-predict")

GOOD = "solver_type L2R_LR\nnr_class 2\nlabel 1 -1\nnr_feature 2\nbias -1\nw\n0.5 \n-2 \n"


def fitted(name: str = "vehicle.scale", **options: Any) -> tuple[Any, np.ndarray, FitResult]:
    X, y = read_libsvm(DATA / name)
    given = {"iterations": 60, "l2": "1/n", "reference": "none", "algo": "lbfgs", **options}
    return X, y, fit(X, y, **given)


@pytest.mark.parametrize("scale", scaling.SCALES)
@pytest.mark.parametrize("positive", [None, 2])
def test_npz_keeps_everything(scale: str, positive: int | None, tmp_path: Path) -> None:
    X, y, result = fitted(scale=scale, positive=positive, intercept=True)
    models.save(result.model, tmp_path / "m.npz")
    back = models.load(tmp_path / "m.npz")
    assert np.array_equal(back.scores(X), result.model.scores(X))
    assert (back.kind, back.classes, back.bias) == (
        "softmax" if positive is None else "logistic", result.classes, 1.0,
    )  # fmt: skip
    assert back.about["d"] == result.d
    assert back.about["start"]["algorithm"] == "lbfgs"
    assert back.about["steps"] == result.trace
    verdict = back.judge(back.scores(X), y)
    assert verdict.accuracy == pytest.approx(result.end["accuracy"], abs=1e-12)
    assert verdict.log_loss == pytest.approx(result.end["log_loss"], rel=1e-12)
    models.save(back, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "m.npz").read_bytes()


@pytest.mark.parametrize("scale", ["none", "minmax", "standard"])
@pytest.mark.parametrize("name", ["vehicle.scale", "wdbc.scale.xz"])
def test_text_gives_the_same_labels(name: str, scale: str, tmp_path: Path) -> None:
    X, y, result = fitted(name, scale=scale, bias=True)
    models.save(result.model, tmp_path / "m")
    back = models.load(tmp_path / "m")
    assert back.bias == 1.0
    scores = result.model.scores(X)
    # Folding the divisors into the weights rounds once more.
    np.testing.assert_allclose(back.scores(X), scores, rtol=1e-10, atol=1e-10)
    assert np.array_equal(back.decide(scores), result.model.decide(scores))
    if result.model.kind == "logistic":
        assert back.judge(scores, y).log_loss == pytest.approx(result.end["log_loss"], rel=1e-9)
    else:
        assert back.kind == "one-vs-rest"


def test_what_text_cannot_express_is_refused(tmp_path: Path) -> None:
    for options, words in (({"scale": "unit"}, "unit"), ({"positive": 2}, "the rest")):
        _, _, result = fitted(**options)
        with pytest.raises(UsageError, match=words):
            models.save(result.model, tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cut off"),
        ("hello\n", ":1: unknown key 'hello'; not a LIBLINEAR model"),
        (GOOD.replace("bias -1", "offset 3"), ":5: unknown key 'offset'; the keys are"),
        (GOOD.replace("label 1 -1", "label 1 -1 3"), "2 classes, but the labels"),
        (GOOD.replace("label 1 -1", "label 1 1"), "2 classes, but the labels"),
        (GOOD.replace("label 1 -1", "label 1 x"), ":3: label '1 x' is not valid"),
        (GOOD.replace("nr_class 2", "nr_class 0"), ":2: nr_class '0' is not valid"),
        (GOOD.replace("nr_class 2", "nr_class 2\nnr_class 2"), ":3: nr_class appears twice"),
        (GOOD.replace("L2R_LR", "L2R_L2LOSS_SVR"), ":1: L2R_L2LOSS_SVR is not a classifier"),
        (GOOD.replace("L2R_LR", "MAGIC"), ":1: solver_type 'MAGIC' is not valid"),
        (GOOD.replace("bias -1\n", ""), ":5: no bias before the weights"),
        (GOOD.replace("bias -1", "bias nan"), ":5: bias 'nan' is not valid"),
        (GOOD.replace("0.5 ", "nan "), ":7: 'nan' is not a finite number"),
        (GOOD.replace("0.5 ", "0,5 "), ":7: '0,5' is not a finite number"),
        (GOOD.replace("0.5 ", "0.5 1 "), ":7: 2 weights in a row of 1"),
        (GOOD.replace("-2 \n", ""), "1 of 2 rows of weights; it was cut off"),
        (GOOD + "3 \n", ":9: more than the 2 rows"),
        (GOOD[:-2], ":8: the last line has no end"),
        (GOOD[:30], "cut off"),
        (GOOD.replace("w\n0.5 \n-2 \n", ""), "cut off"),
    ],
)
def test_bad_text_names_the_line(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "m"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        models.load(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_older_and_other_liblinear_models(tmp_path: Path) -> None:
    path = tmp_path / "m"
    path.write_text(
        GOOD.replace("L2R_LR", "MCSVM_CS").replace("0.5 ", "0.5 1").replace("-2 ", "0 2")
    )
    two = models.load(path)
    assert (two.kind, two.classes, two.w.shape) == ("svm", (1, -1), (2, 2))
    with pytest.raises(DataError, match="no probabilities"):
        two.log_probabilities(np.zeros((1, 2)))
    path.write_text(GOOD.replace("bias -1", "bias 2.5") + "4\n\n")
    biased = models.load(path)
    assert biased.scores(np.zeros((1, 2))) == 10.0
    assert biased.classes == (-1, 1)  # positive scores mean the first label of the file
    assert biased.judge(np.array([0.0, 1e-9]), np.array([-1.0, 1.0])).right == 2


def test_damaged_npz(tmp_path: Path) -> None:
    _, _, result = fitted(scale="minmax")
    content = npz.dumps(result.model)
    path = tmp_path / "m.npz"

    def refused(data: bytes, words: str) -> None:
        path.write_bytes(data)
        with pytest.raises(DataError) as caught:
            models.load(path)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)

    for size in (4, 100, len(content) // 2, len(content) - 1):
        refused(content[:size], "damaged")
    refused(pickle.dumps({"w": 1}), "never read")
    refused(b"\xfd7zXZ" + lzma.compress(b"x"), "not a LIBLINEAR model")

    def archive(**members: Any) -> bytes:
        out = io.BytesIO()
        np.savez(out, **members)
        return out.getvalue()

    refused(archive(weights=np.array([{}], object)), "never unpickled")
    refused(archive(x=np.zeros(3)), "no dadapt model")
    with np.load(io.BytesIO(content)) as kept:
        members = {name: kept[name] for name in kept.files}
    text = members["metadata"].tobytes()
    for old, new, words in (
        (b'"version": 1', b'"version": 2', "a model of version 2; this program reads 1"),
        (b'"bias": null', b'"bias": 1.00', "digest"),
        (b"dadapt model", b"other models", "of the format 'other models'"),
    ):
        assert old in text
        changed = {**members, "metadata": np.frombuffer(text.replace(old, new), np.uint8)}
        refused(archive(**changed), words)
    refused(archive(**{**members, "weights": members["weights"] * 2}), "digest")
    for bad in ({"classes": (1, 2)}, {"kind": "tree"}, {"w": np.full((18, 4), np.inf)}):
        refused(npz.dumps(replace(result.model, **bad)), "no dadapt model")
    with pytest.raises(InputOutputError, match="Is a directory"):
        models.load(tmp_path)


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=150, deadline=None)
def test_a_flipped_bit_is_noticed_or_harmless(place: float, bit: int) -> None:
    wanted = Model("logistic", (-1, 1), np.array([1.0, -2.0]), 1.0, about={"d": 0.5})
    content = bytearray(npz.dumps(wanted))
    content[int(place * len(content))] ^= 1 << bit
    try:
        back = npz.loads(bytes(content), "m.npz")
    except DataError:
        pass
    else:  # a date, say: what is read is what was written
        assert np.array_equal(back.w, wanted.w)
        assert (back.classes, back.bias, back.about) == ((-1, 1), 1.0, {"d": 0.5})


class Node(ctypes.Structure):
    _fields_ = (("index", ctypes.c_int), ("value", ctypes.c_double))


def liblinear_probabilities(path: Path, X: Any, n_classes: int) -> np.ndarray:
    """By the C library itself: its program prints six digits."""
    try:
        library = ctypes.CDLL("liblinear.so.4")
    except OSError:
        pytest.skip("needs liblinear.so.4 (Debian: liblinear4)")
    library.load_model.restype = library.predict_probability.restype = None
    library.load_model.restype = ctypes.c_void_p
    library.predict_probability.restype = ctypes.c_double
    loaded = ctypes.c_void_p(library.load_model(str(path).encode()))
    assert loaded
    out = np.empty((X.shape[0], n_classes))
    made = (ctypes.c_double * n_classes)()
    for i in range(X.shape[0]):
        row = range(X.indptr[i], X.indptr[i + 1])
        # The program appends the bias feature to each row; so does this.
        nodes = [Node(int(X.indices[j]) + 1, X.data[j]) for j in row]
        library.get_nr_feature.restype = ctypes.c_int
        nodes.append(Node(library.get_nr_feature(loaded) + 1, 1.0))
        array = (Node * (len(nodes) + 1))(*nodes, Node(-1, 0.0))
        library.predict_probability(loaded, array, made)
        out[i] = made[:]
    return out


needs_liblinear = pytest.mark.skipif(
    TRAIN is None or PREDICT is None, reason="needs Debian's liblinear-tools"
)


@needs_liblinear
@pytest.mark.parametrize("options", [{}, {"bias": True}, {"intercept": True, "scale": "minmax"}])
def test_our_model_in_liblinear(options: dict[str, Any], shared: Path, tmp_path: Path) -> None:
    X, y = read_libsvm(shared / "data" / "a9a.xz")
    result = fit(X, y, algo="lbfgs", iterations=40, l2="1/n", reference="none", **options)
    models.save(result.model, tmp_path / "m")
    test = tmp_path / "a9a.t"
    test.write_bytes(lzma.decompress((shared / "data" / "a9a.t.xz").read_bytes()))
    command = [str(PREDICT), str(test), str(tmp_path / "m"), str(tmp_path / "out")]
    subprocess.run(command, check=True, capture_output=True)
    raw, _ = read_libsvm(test)
    X_test, _ = result.model.conform(raw)
    scores = result.model.scores(X_test)
    labels = np.array(result.classes)[result.model.decide(scores)]
    assert np.array_equal(np.loadtxt(tmp_path / "out"), labels)
    few = 500
    theirs = liblinear_probabilities(tmp_path / "m", X_test[:few], 2)
    ours = np.exp(result.model.log_probabilities(scores[:few]))[:, ::-1]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


@needs_liblinear
@pytest.mark.parametrize("bias", ["-1", "1", "2"])
@pytest.mark.parametrize("name", ["a9a", "vehicle.scale"])
def test_liblinears_model_in_ours(name: str, bias: str, shared: Path, tmp_path: Path) -> None:
    train, path = tmp_path / "train", tmp_path / "m"
    if name == "a9a":
        train.write_bytes(lzma.decompress((shared / "data" / "a9a.xz").read_bytes()))
        test = tmp_path / "test"
        test.write_bytes(lzma.decompress((shared / "data" / "a9a.t.xz").read_bytes()))
    else:
        train = test = DATA / name
    command = [str(TRAIN), "-q", "-s", "0", "-B", bias, str(train), str(path)]
    subprocess.run(command, check=True)
    out = tmp_path / "out"
    command = [str(PREDICT), "-b", "1", str(test), str(path), str(out)]
    subprocess.run(command, check=True, capture_output=True)
    header, *rows = out.read_text().splitlines()
    loaded = models.load(path)
    raw, _ = read_libsvm(test)
    X, _ = loaded.conform(raw)
    scores = loaded.scores(X)
    order = slice(None, None, -1) if scores.ndim == 1 else slice(None)
    assert header.split()[1:] == [str(c) for c in loaded.classes[order]]
    labels = np.array(loaded.classes)[loaded.decide(scores)]
    assert [int(row.split()[0]) for row in rows] == labels.tolist()
    p = np.exp(loaded.log_probabilities(scores))[:, order]
    theirs = np.array([[float(v) for v in row.split()[1:]] for row in rows])
    np.testing.assert_allclose(p, theirs, rtol=5e-6, atol=1e-9)  # printed with six digits
    if bias == "1":
        exact = liblinear_probabilities(path, X[:300], len(loaded.classes))
        np.testing.assert_allclose(p[:300], exact, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["minmax", "standard", "unit"])
def test_scaling_is_scikit_learns_without_shift(kind: str) -> None:
    from sklearn.preprocessing import MaxAbsScaler, Normalizer, StandardScaler

    rng = np.random.default_rng(0)
    X = rng.normal(1.0, 3.0, size=(50, 6)) * (rng.random((50, 6)) < 0.5)
    X[:, 2], X[:, 3], X[7] = 0.0, 4.0, 0.0
    c = rng.integers(1, 4, size=50).astype(float)
    peer = {"minmax": MaxAbsScaler(), "standard": StandardScaler(with_mean=False),
            "unit": Normalizer()}[kind]  # fmt: skip
    wanted = peer.fit(np.repeat(X, c.astype(int), axis=0)).transform(X)
    for data in (X, sp.csr_array(X)):
        made = scaling.fitted(kind, data, c).apply(data)
        assert sp.issparse(made) == sp.issparse(data)
        made = made.toarray() if sp.issparse(made) else made
        np.testing.assert_allclose(made, wanted, rtol=1e-12, atol=1e-14)
    assert scaling.fitted("none", X, None).apply(X) is X


def test_a_fit_of_scaled_data_is_the_fit_of_data_scaled_before() -> None:
    X, y, result = fitted(scale="standard", bias=True)
    by_hand = fit(
        scaling.fitted("standard", X, None).apply(X), y, algo="lbfgs", iterations=60, l2="1/n",
        reference="none", bias=True,
    )  # fmt: skip
    assert np.array_equal(result.w, by_hand.w)


@pytest.mark.parametrize("suffix", [".npz", ""])
@pytest.mark.parametrize("positive", [None, 2])
def test_start_from_a_model(suffix: str, positive: int | None, tmp_path: Path) -> None:
    X, y = read_libsvm(DATA / "vehicle.scale")
    y = np.where(y == 2, 2, 1) if positive else y
    options: dict[str, Any] = {"l2": "1/n", "bias": True, "algo": "gd", "iterations": 3}
    first = fit(X, y, **{**options, "algo": "lbfgs", "iterations": 500}, positive=positive)
    path = tmp_path / f"m{suffix}"
    models.save(first.model, path)
    again = fit(X, y, init=path, **options)
    assert again.start["options"]["init"] == str(path)
    assert again.trace[0]["f_last"] == pytest.approx(first.end["f_best"], abs=1e-12)
    assert again.reference["D"] <= 1e-3 * first.reference["D"]
    assert again.d <= again.reference["D"] + again.reference["D_error"]
    wider = sp.csr_array((X.data, X.indices, X.indptr), shape=(846, 20))
    more = fit(wider, y, init=first.model, **options)
    assert np.array_equal(more.trace[0]["f_last"], again.trace[0]["f_last"])
    # Two labels the other way round: the same function with the opposite sign.
    if positive:
        other = fit(X, y, init=first.model, positive=1, **options)
        assert other.trace[0]["f_last"] == pytest.approx(again.trace[0]["f_last"], rel=1e-12)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"bias": False}, "a constant feature, this fit has none"),
        ({"scale": "minmax"}, "--scale none, not minmax"),
        ({"positive": 1}, "the labels 1, 2, 3, 4, the data rest, 1"),
    ],
)
def test_models_that_do_not_fit(changed: dict[str, Any], words: str) -> None:
    X, y, first = fitted(bias=True)
    with pytest.raises(UsageError, match=words):
        fit(X, y, init=first.model, **{"bias": True, **changed})
    with pytest.raises(UsageError, match="18 features, the data 5"):
        fit(X[:, :5], y, init=first.model, bias=True)


def test_start_with_other_divisors_is_the_same_function() -> None:
    X, y, first = fitted(scale="minmax")
    half = fit(X * 0.5, y, init=first.model, scale="minmax", iterations=1, l2=0.0)
    whole = fit(X, y, init=first.model, scale="minmax", iterations=1, l2=0.0)
    z = first.model.scores(X * 0.5)  # weights are for raw features, whatever the divisors
    log_loss = first.model.judge(z, y).log_loss
    assert half.trace[0]["f_last"] == pytest.approx(log_loss, rel=1e-12)
    assert whole.trace[0]["f_last"] == pytest.approx(first.end["log_loss"], rel=1e-12)
