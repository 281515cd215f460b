"""The options of the full-batch algorithms on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from dadapt_cli.algorithms import table

from ..conftest import DATA

Cli = Callable[..., Any]
WINE = DATA / "wine.scale"


@pytest.mark.parametrize(
    ("algo", "option", "value"),
    [
        ("dual-avg", "--memory", "2"),
        ("gd", "--inner", "newton"),
        ("safe", "--lbfgs-pairs", "3"),
        ("safe", "--gradient-bound", "initial"),
        ("orth", "--gradient-bound", "auto"),
        ("lbfgs", "--memory", "1"),
        ("auto", "--memory", "1"),
    ],
)
def test_an_option_of_another_algorithm_is_a_usage_error(
    cli: Cli, algo: str, option: str, value: str
) -> None:
    ran = cli("fit", WINE, "-a", algo, option, value)
    assert ran.code == 2
    assert f"{option} is not an option of --algo {algo}" in ran.err
    assert ran.out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-a", "orth", "--bound", "I"), "choose from certified"),
        (("-a", "safe", "--bound", "II"), "choose from certified"),
        (("--bound", "III"), "choose from I, II, certified"),
        (("--metric", "Half"), "choose from identity, half, diagonal"),
        (("-a", "orth", "--inner", "x"), "choose from exact, newton"),
        (("-a", "orth", "--memory", "-1"), "at least 0"),
        (("-a", "orth", "--lbfgs-pairs", "-2"), "at least 0"),
    ],
)
def test_values_that_cannot_be_used(cli: Cli, arguments: tuple[str, ...], message: str) -> None:
    ran = cli("fit", WINE, *arguments)
    assert ran.code == 2
    assert message in ran.err


FULL_BATCH = {
    name: module.INFO
    for name, module in table().items()
    if not module.INFO.minibatch and name != "auto"  # which says what it picked in its place
}


@pytest.mark.parametrize("algo", FULL_BATCH)
def test_records_say_metric_bound_and_what_was_not_taken(cli: Cli, algo: str) -> None:
    ran = cli("fit", WINE, "-a", algo, "-n", 5, "--l2", "1/n", "-f", "json")
    assert ran.code == 0
    start = json.loads(ran.out)["start"]
    info = FULL_BATCH[algo]
    assert start["metric"] == info.metric
    assert start["options"]["metric"] == (None if "metric" in info.refuses else info.metric)
    assert start["options"]["bound"] == (info.bounds[0] if info.bounds else None)
    for name in ("memory", "inner", "lbfgs_pairs", "gradient_bound"):
        assert (start["options"][name] is None) == (name not in info.settings)
    assert set(start["reference"]) == {
        "status", "f_star", "gap", "D", "D_inf", "D_error", "method", "seconds", "reason",
    }  # fmt: skip


def test_a_tolerance_below_the_precision_is_not_met(cli: Cli) -> None:
    ran = cli("fit", WINE, "-a", "orth", "--l2", "1/n", "--tol", "1e-60", "-n", 500,
              "--reference", "none")  # fmt: skip
    assert ran.code == 1
    assert "f can be lowered no further in this precision" in ran.out


def test_algorithms_says_what_orth_is(cli: Cli) -> None:
    out = " ".join(cli("algorithms").out.split())
    assert "Nemirovski 1982" in out
    assert "The learning rate is removed, not estimated" in out
    assert "the rate is not claimed" in out
