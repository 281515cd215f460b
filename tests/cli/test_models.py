"""``dadapt predict``, and what ``fit`` does with models, held-out data and folds, from a shell."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dadapt_cli import fit
from dadapt_cli import model as models
from dadapt_cli.libsvm import read_libsvm, write_libsvm

from ..conftest import DATA, Ran
from .test_fit import lines

IRIS, VEHICLE = DATA / "iris.scale", DATA / "vehicle.scale"
Cli = Callable[..., Ran]
QUICK = ("-n", 30, "--l2", "1/n", "--reference", "none", "-q")


@pytest.mark.parametrize("scale", ["none", "minmax", "standard", "unit"])
def test_predict_repeats_the_fit(scale: str, cli: Cli, tmp_path: Path) -> None:
    path, out = tmp_path / "m.npz", tmp_path / "out"
    fitted = cli("fit", IRIS, *QUICK, "--scale", scale, "--intercept", "--save", path, "-f", "json")
    end = json.loads(fitted.out)["end"]
    ran = cli("predict", IRIS, "--model", path)
    y = read_libsvm(IRIS)[1]
    labels = np.array(ran.out.split(), float)
    assert (labels == y).mean() == end["accuracy"]
    assert f"accuracy {100 * end['accuracy']:.4f} %" in ran.err
    assert f"log-loss {end['log_loss']:.6f}" in ran.err
    quiet = cli("predict", IRIS, "-m", path, "--probability", "-o", out, "-q")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")
    header, *rows = out.read_text().splitlines()
    assert header == "labels 1 2 3"
    p = np.array([[float(v) for v in row.split()] for row in rows])
    assert np.array_equal(p[:, 0], labels)
    assert np.array_equal(p[:, 1:].argmax(axis=1) + 1, labels)
    np.testing.assert_allclose(p[:, 1:].sum(axis=1), 1.0, rtol=1e-14)


def test_text_says_what_it_loses_and_refuses_what_it_cannot(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "m"
    ran = cli("fit", IRIS, *QUICK[:-1], "--save", path)
    assert ran.code == 0
    assert "its probabilities are not those of softmax" in ran.err
    assert path.read_text().startswith("solver_type L2R_LR\nnr_class 3\nlabel 1 2 3\nnr_feature 4")
    path.unlink()
    for more in (("--scale", "unit"), ("--positive", 2)):
        refused = cli("fit", IRIS, *QUICK, *more, "--save", path)
        assert (refused.code, refused.out) == (2, "")
        assert "save as .npz" in refused.err
    assert not path.exists()


@pytest.mark.parametrize("column", [2, 9])
def test_other_widths_are_conformed_and_strict_refuses(
    column: int, cli: Cli, tmp_path: Path
) -> None:
    model, data = tmp_path / "m", tmp_path / "d"
    assert cli("fit", IRIS, *QUICK, "--save", model).code == 0
    data.write_text(f"1 1:1 {column}:0.5\n7 2:1\n")
    ran = cli("predict", data, "-m", model)
    assert ran.code == 0
    assert len(ran.out.split()) == 2
    assert ("5 features (1 entries) beyond the 4 of the model are ignored" in ran.err) == (
        column == 9
    )
    assert "1 labels that the model does not know count as wrong" in ran.err
    for command in (("predict", data, "-m", model), ("fit", IRIS, *QUICK, "--test", data)):
        strict = cli(*command, "--strict")
        assert strict.code == 3
        assert strict.err.count("\n") == 1
        assert f"{data}: {column} features, the model has 4" in strict.err


def test_bad_models_are_one_line(cli: Cli, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.write_text("solver_type L2R_LR\nnr_class two\n")
    for command in (("predict", IRIS, "-m", bad), ("fit", IRIS, *QUICK, "--init", bad)):
        ran = cli(*command)
        assert (ran.code, ran.out) == (3, "")
        assert ran.err == f"dadapt: {bad}:2: nr_class 'two' is not valid\n"
    assert cli("predict", IRIS, "-m", IRIS).code == 3
    assert cli("predict", IRIS, "-m", tmp_path / "none").code == 2
    assert cli("predict", IRIS, "-m", tmp_path).code == 4
    bad.write_text(
        "solver_type L2R_L2LOSS_SVC\nnr_class 2\nlabel 1 2\nnr_feature 1\nbias -1\nw\n1\n"
    )
    assert cli("predict", IRIS, "-m", bad).code == 0
    assert cli("predict", IRIS, "-m", bad, "--probability").code == 2


def test_outputs_are_checked_before_the_work(cli: Cli, tmp_path: Path) -> None:
    data, link = tmp_path / "d", tmp_path / "link"
    data.write_bytes(IRIS.read_bytes())
    link.symlink_to(data)
    model = tmp_path / "m"
    assert cli("fit", data, *QUICK, "--save", model).code == 0
    cases = (
        (("fit", data, *QUICK, "--save", data), 2),
        (("fit", data, *QUICK, "--save", link), 2),
        (("fit", IRIS, *QUICK, "--test", data, "--save", link), 2),
        (("fit", data, *QUICK, "--save", tmp_path / "x", "--trace", tmp_path / "x"), 2),
        (("fit", data, *QUICK, "--save", tmp_path), 4),
        (("fit", data, *QUICK, "--save", tmp_path / "no" / "m"), 4),
        (("predict", data, "-m", model, "-o", link), 2),
        (("predict", data, "-m", model, "-o", model), 2),
        (("predict", data, "-m", model, "-o", tmp_path), 4),
    )
    for command, code in cases:
        ran = cli(*command)
        assert (ran.code, ran.out) == (code, ""), command
        assert ran.err.count("\n") == 1
    assert data.read_bytes() == IRIS.read_bytes()
    real = tmp_path / "real"
    (tmp_path / "to").symlink_to(real)
    assert cli("fit", data, *QUICK, "--save", tmp_path / "to").code == 0
    assert (tmp_path / "to").is_symlink()
    assert real.exists()


def test_full_disk_keeps_the_old_model(cli: Cli, tmp_path: Path) -> None:
    model = tmp_path / "m.npz"
    model.write_bytes(b"old")
    fit = f"{sys.executable} -m dadapt_cli fit {VEHICLE} -n 200 --every 1 -q --save {model}"
    ran = subprocess.run(
        ["bash", "-c", f"ulimit -f 2; trap '' XFSZ; exec {fit} --reference none"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 4
    assert ran.stderr == f"dadapt: {model}: File too large; nothing was written there\n"
    assert model.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [model]
    full = cli("fit", IRIS, *QUICK, "--save", "/dev/full")
    assert full.code == 4
    assert "/dev/full: No space left on device" in full.err
    assert Path("/dev/full").is_char_device()


def test_a_model_is_saved_on_failure(cli: Cli, tmp_path: Path) -> None:
    model = tmp_path / "m.npz"
    ran = cli("fit", IRIS, "-a", "gd", "--d0", "1e300", "--l2", "1e10", "--save", model, "-q")
    assert ran.code == 5
    assert models.load(model).about["end"]["status"] == "failed"


def test_held_out_rows(cli: Cli, tmp_path: Path) -> None:
    X, y = read_libsvm(VEHICLE)
    train, test = tmp_path / "train", tmp_path / "test"
    write_libsvm(train, X[:600], y[:600])
    write_libsvm(test, X[600:], y[600:])
    args = ("fit", train, *QUICK, "-a", "orth", "--scale", "standard", "--test", test)
    _, *steps, end = lines(cli(*args, "-f", "jsonl").out)
    assert all("test_accuracy" in row for row in steps)
    rows = list(csv.DictReader(io.StringIO(cli(*args, "-f", "csv").out)))
    assert float(rows[-1]["test_log_loss"]) == steps[-1]["test_log_loss"]
    options = {"l2": "1/n", "reference": "none", "algo": "orth", "scale": "standard"}
    for row in (steps[2], steps[-1]):
        model = fit(X[:600], y[:600], iterations=row["k"], **options).model
        verdict = model.judge(model.scores(X[600:]), y[600:])
        assert row["test_accuracy"] == verdict.accuracy
        assert row["test_log_loss"] == pytest.approx(verdict.log_loss, rel=1e-12)
    assert end["test_accuracy"] == steps[-1]["test_accuracy"]
    table = cli(*args).out
    assert f"held-out accuracy {100 * end['test_accuracy']:.2f} %" in table
    assert "test acc" in table
    assert max(map(len, table.split("\n\n")[1].splitlines())) <= 80
    without = lines(cli(*args[:-2], "-f", "jsonl").out)
    assert not any("test_accuracy" in row for row in without)
    weird = tmp_path / "weird"
    weird.write_text("9 1:1\n1 1:1\n")
    ran = cli("fit", train, "-n", 2, "--reference", "none", "--test", weird)
    assert ran.code == 0
    assert f"{weird}: 1 labels that the fit does not know; they count as wrong" in ran.err


def test_folds(cli: Cli, tmp_path: Path) -> None:
    args = ("fit", VEHICLE, "-n", 40, "--l2", "1/n", "-q", "-a", "orth", "--scale", "minmax",
            "--cross-validate", 4)  # fmt: skip
    start, *folds, end = lines(cli(*args, "-f", "jsonl").out)
    assert [fold["fold"] for fold in folds] == [1, 2, 3, 4]
    assert sum(fold["samples"] for fold in folds) == 846
    for name in ("accuracy", "log_loss"):
        values = np.array([fold[name] for fold in folds])
        assert end[name] == pytest.approx(values.mean(), rel=1e-14)
        assert end[f"{name}_se"] == pytest.approx(values.std(ddof=1) / 2, rel=1e-12)
    assert end["log_loss"] < np.log(4) / 1.5
    again = json.loads(cli(*args, "-f", "json").out)
    assert [f["log_loss"] for f in again["folds"]] == [f["log_loss"] for f in folds]
    other = list(csv.DictReader(io.StringIO(cli(*args, "--seed", 1, "-f", "csv").out)))
    assert float(other[0]["log_loss"]) != folds[0]["log_loss"]
    assert f"mean accuracy {100 * end['accuracy']:.2f} % (SE" in cli(*args).out
    # The first fold by hand: fitted, and scaled, on what is not in it.
    from sklearn.model_selection import StratifiedKFold

    X, y = read_libsvm(VEHICLE)
    train, out = next(StratifiedKFold(4, shuffle=True, random_state=0).split(y, y))
    model = fit(X[train], y[train], iterations=40, l2="1/n", algo="orth", scale="minmax",
                reference="none").model  # fmt: skip
    assert folds[0]["log_loss"] == model.judge(model.scores(X[out]), y[out]).log_loss
    assert start["folds"] == 4


def test_folds_refuse_what_they_have_no_use_for(cli: Cli, tmp_path: Path) -> None:
    for more in (("--save", tmp_path / "m"), ("--trace", tmp_path / "t"), ("--test", IRIS),
                 ("--reference", "always"), ("--init", tmp_path / "m")):  # fmt: skip
        ran = cli("fit", IRIS, "--cross-validate", 3, *more)
        assert ran.code == 2
        assert f"{more[0]} is for a single fit" in ran.err
    for count in (1, 51):
        ran = cli("fit", IRIS, "--cross-validate", count)
        assert ran.code == 2
        assert "give 2 to 50, the number of samples with the label 1" in ran.err
    unmet = cli("fit", IRIS, "--cross-validate", 3, "-n", 2, "--tol", "1e-12", "--l2", "1/n")
    assert unmet.code == 1
    assert cli("fit", IRIS, "-n", 2, "--seed", 1).code == 2


def test_weights_of_labels_on_the_command_line(cli: Cli) -> None:
    args = ("fit", IRIS, "-n", 5, "-f", "json", "-q")
    options = json.loads(cli(*args, "--weight", "1=2", "--weight", "3=0.5").out)["start"]["options"]
    assert options["weight"] == {"1": 2.0, "3": 0.5}
    for bad, words in (("1", "give LABEL=W"), ("1=x", "give LABEL=W"), ("1=-1", "at least 0"),
                       ("1=nan", "at least 0"), ("8=1", "no row has this label")):  # fmt: skip
        ran = cli(*args, "--weight", bad)
        assert ran.code == 2
        assert words in ran.err
    assert cli(*args, "--weight", "1=2", "--weight", "1=3").code == 2
    table = cli("fit", DATA / "iris.scale", "-n", 2, "--weight", "1=2").out
    assert "weighted training accuracy" in table
    assert cli(*args, "--scale", "huge").code == 2


def test_what_is_no_model_is_told(cli: Cli, tmp_path: Path) -> None:
    kept = tmp_path / "run"
    assert cli("fit", DATA / "iris.scale", "-n", 2, "--checkpoint", kept, "-q").code == 0
    ran = cli("predict", DATA / "iris.scale", "--model", kept)
    assert ran.code == 3
    assert "a checkpoint, not a model" in ran.err
    ran = cli("predict", DATA / "iris.scale", "--model", "/dev/zero")
    assert ran.code == 4
    assert "is a device" in ran.err


def test_predictions_and_algorithms_as_json(cli: Cli, tmp_path: Path) -> None:
    model = tmp_path / "m.npz"
    assert cli("fit", IRIS, *QUICK, "--l2", "1/n", "--save", model).code == 0
    args = ("predict", IRIS, "-m", model, "-q")
    made = json.loads(cli(*args, "-f", "json", "--probability", "--proven").out)
    lines = cli(*args, "--probability", "--proven").out.splitlines()
    assert lines[0].split()[1:-1] == [str(label) for label in made["classes"]]
    for label, p, mark, line in zip(
        made["labels"], made["probabilities"], made["proven"], lines[1:], strict=True
    ):
        assert [label, *p, mark] == [float(word) for word in line.split()]
    assert made["accuracy"] == np.mean(np.array(made["labels"]) == read_libsvm(IRIS)[1])
    assert "probabilities" not in json.loads(cli(*args, "-f", "json").out)
    assert cli(*args, "-f", "xml").code == 2
    names = [info["name"] for info in json.loads(cli("algorithms", "--json").out)]
    assert {"dual-avg", "gd", "auto"} <= set(names)
