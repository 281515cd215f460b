"""Labels of text and bools in Python: every result says them as the user gave them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dadapt_cli as dadapt
from dadapt_cli import model as models
from dadapt_cli.errors import DataError, InputOutputError, UsageError
from dadapt_cli.model_selection.cross_validation import cross_validate
from dadapt_cli.model_selection.path import Path as Values
from dadapt_cli.solver.monitor import Monitor
from dadapt_cli.solver.options import Options
from dadapt_cli.solver.samples import Samples
from dadapt_cli.system import memory

from ..conftest import DATA

NAMES = np.array(["", "setosa", "versi\x1b[31mcolor", "10 % virginica"])
"""In another order than the numbers: sorted, the third comes first."""


@pytest.fixture(scope="module")
def iris() -> tuple[Any, Any, Any]:
    X, y = dadapt.read_libsvm(DATA / "iris.scale")
    return X, y, NAMES[y.astype(int)]


def test_a_fit_says_the_labels_and_is_that_of_numbers(iris: Any, tmp_path: Path) -> None:
    X, y, text = iris
    order = [2, 0, 1]  # of the text's classes among the numbers'
    named = dadapt.fit(X, text, iterations=30, reference="none")
    numbered = dadapt.fit(X, y, iterations=30, reference="none")
    assert named.classes == named.model.classes == tuple(sorted(set(text.tolist())))
    assert named.start["data"]["labels"] == list(named.classes)
    np.testing.assert_allclose(named.w, numbered.w[:, order], rtol=1e-9, atol=1e-12)  # sums reorder
    models.save(named.model, tmp_path / "m.npz")
    kept = models.load(tmp_path / "m.npz")
    assert kept.judge(kept.scores(X), text).accuracy == named.end["accuracy"]
    assert np.mean(kept.predict(X) == text) == named.end["accuracy"]
    assert numbered.model.predict(X).dtype.kind == "i"
    again = dadapt.fit(X, text, init=str(tmp_path / "m.npz"), iterations=1, reference="none")
    assert again.trace[0]["f_last"] == pytest.approx(named.end["f_best"], rel=1e-12)
    with pytest.raises(UsageError, match='the data "10 % virginica", setosa, "versi'):
        dadapt.fit(X, text, init=numbered.model)


def test_bools(iris: Any) -> None:
    X, y, _ = iris
    named = dadapt.fit(X, y == 1, iterations=10, reference="none")
    assert named.classes == (False, True)
    assert json.dumps(named.start["data"]["labels"]) == "[false, true]"
    np.testing.assert_array_equal(
        named.w, dadapt.fit(X, (y == 1).astype(int), iterations=10, reference="none").w
    )
    models.liblinear.dumps(named.model).index(b"\nlabel 1 0\n")


def test_positive_and_weights_by_name(iris: Any) -> None:
    X, y, text = iris
    short: dict[str, Any] = {"iterations": 10, "reference": "none"}
    named = dadapt.fit(X, text, positive="setosa", weight={"setosa": 2.0}, **short)
    assert named.classes == ("rest", "setosa")
    numbered = dadapt.fit(X, y, positive=1, weight={1: 2.0}, **short)
    np.testing.assert_array_equal(named.w, numbered.w)
    assert set(named.model.predict(X).tolist()) == {"rest", "setosa"}
    assert set(numbered.model.predict(X).tolist()) == {"rest", 1}
    for options, words in (
        ({"positive": 1}, "--positive 1: no row has it; the labels are "),
        ({"weight": {1: 2.0}}, "--weight 1=2: no row has this label; labels: "),
        ({"weight": {"\x1b": 2.0}}, r'--weight "\\u001b"=2: no row'),
    ):
        with pytest.raises(UsageError, match=words):
            dadapt.fit(X, text, **options)


def test_numpy_numbers_as_options_are_kept_as_json(iris: Any, tmp_path: Path) -> None:
    X, y, _ = iris
    options: dict[str, Any] = {
        "iterations": np.int64(3), "l2": np.float32(0.1), "positive": np.int64(1),
        "weight": {np.int64(1): np.float64(2.0)}, "reference": "none",
    }  # fmt: skip
    result = dadapt.fit(X, y, **options)
    assert json.loads(json.dumps(result.start))["options"]["weight"] == {"1": 2.0}
    assert type(result.classes[1]) is int
    models.save(result.model, tmp_path / "m.npz")
    assert models.load(tmp_path / "m.npz").classes == ("rest", 1)
    assert type(dadapt.fit(X, y, positive=1.0, iterations=1, reference="none").classes[1]) is int


def test_a_label_of_one_sample_has_no_folds(iris: Any) -> None:
    X, _, text = iris
    one = np.array([*text[:149], "only\x1b"])
    with pytest.raises(DataError, match=r'one sample has the label "only\\u001b"; folds need two'):
        cross_validate(Samples(X, one), Options(), 2, Monitor())


def test_a_checkpoint_tells_the_label_1_from_its_text(iris: Any, tmp_path: Path) -> None:
    X, y, _ = iris
    text = y.astype(int).astype(str)
    path = tmp_path / "run"
    options: dict[str, Any] = {"reference": "none", "weight": {"1": 2.0}, "positive": "1"}
    dadapt.fit(X, text, checkpoint=path, iterations=5, **options)
    resumed = dadapt.fit(X, text, resume=path, iterations=10)
    whole = dadapt.fit(X, text, iterations=10, **options)
    np.testing.assert_array_equal(resumed.w, whole.w)
    with pytest.raises(InputOutputError, match="the run has --weight"):
        dadapt.fit(X, text, resume=path, weight={1: 2.0})


def test_folds_and_a_path(iris: Any) -> None:
    X, y, text = iris
    records: list[list[Any]] = []
    for labels in (y, text):
        made: list[Any] = []
        options = Options(iterations=30, threads=1)
        monitor = Monitor(record=made.append)
        cross_validate(Samples(X, labels), options, 3, monitor, Values.parse("1,0.1"))
        records.append(made)
    for one, other in zip(*records, strict=True):
        assert one["event"] == other["event"]
        assert one.get("accuracy") == other.get("accuracy")
    assert records[1][0]["data"]["labels"] == sorted(set(text.tolist()))
    with pytest.raises(UsageError, match='samples with the label "10 % virginica"'):
        cross_validate(Samples(X[:149], text[:149]), Options(), 51, Monitor())


def test_a_comparison(iris: Any) -> None:
    X, _, text = iris
    found = dadapt.compare(X, text, ["newton"], iterations=20)
    assert found.document["comparisons"][0]["problem"]["labels"] == sorted(set(text.tolist()))
    assert "\x1b" not in repr(found)


def test_the_estimator_keeps_them_too(iris: Any) -> None:
    X, _, text = iris
    fitted = dadapt.DAdaptClassifier(iterations=20, tol=1e-3).fit(X, text)
    assert fitted.result_.classes == tuple(fitted.classes_)
    assert pickle.loads(pickle.dumps(fitted)).result_.model.classes == fitted.result_.classes


def test_a_label_a_row_is_refused_before_it_fills_the_memory() -> None:
    y = [f"row {i}" for i in range(100_000)]
    words = "100000 rows and 100000 classes needs .* GiB .* or names of rows"
    with memory.limited(2**33), pytest.raises(DataError, match=words):
        dadapt.fit(np.ones((100_000, 1)), y, reference="none")
