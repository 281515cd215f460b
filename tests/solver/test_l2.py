"""The weight of the l2 term: 1/n by default, -C as another way to say it, older checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dadapt_cli.checkpoint import file
from dadapt_cli.errors import InputOutputError, UsageError
from dadapt_cli.estimator import DAdaptClassifier
from dadapt_cli.solver import fit

from ..conftest import DATA, Ran, vehicle

VEHICLE = DATA / "vehicle.scale"
N = 846
COMMON: dict[str, Any] = {"iterations": 3, "reference": "none"}


def l2_of(**options: Any) -> Any:
    return fit(*vehicle(), **COMMON, **options).start["objective"]["l2"]


def test_the_default_is_one_nth_everywhere() -> None:
    assert l2_of() == l2_of(l2="1/n") == l2_of(C=1) == 1 / N
    assert l2_of(weight={1: 3.0}) < 1 / N, "n is the sum of the weights"
    assert l2_of(l2=0) == 0.0
    assert DAdaptClassifier().l2 == "1/n"


def test_C_is_the_l2_that_liblinear_means() -> None:
    assert l2_of(C=0.25) == 1 / (0.25 * N)
    one, other = (fit(*vehicle(), **COMMON, **how) for how in ({"C": 4.0}, {"l2": 1 / (4 * N)}))
    np.testing.assert_array_equal(one.w, other.w)
    rules = [fit(*vehicle(), **COMMON, **how).start["objective"]["l2_rule"]
             for how in ({}, {"C": 2.0}, {"l2": 0.5}, {"l2": 0.0})]  # fmt: skip
    assert rules == ["1/n", "1/(C n)", None, None]


@pytest.mark.parametrize("l2", [0.5, "1/n", 0.0])
def test_C_and_l2_are_not_given_together(l2: Any) -> None:
    with pytest.raises(UsageError, match="leave one out"):
        fit(*vehicle(), C=1.0, l2=l2, **COMMON)


@pytest.mark.parametrize("C", [0.0, -1.0, float("nan"), float("inf"), 1e-320, "1/n", True])
def test_a_C_that_means_nothing_is_refused(C: Any) -> None:
    with pytest.raises(UsageError, match=r"--C .*give a number in \[1e-100, 1e\+100\]"):
        fit(*vehicle(), C=C, **COMMON)


def test_the_heading_says_how_l2_came_about(cli: Callable[..., Ran]) -> None:
    short = ("fit", VEHICLE, "-n", 1, "--reference", "none")
    assert "l2 = 1/n = 0.001182 (--l2 0: none);" in cli(*short).out
    assert "l2 = 1/(C n) = 0.004728, C = 0.25;" in cli(*short, "-C", 0.25).out
    assert "l2 = 0.5;" in cli(*short, "--l2", 0.5).out
    assert "l2" not in cli(*short, "--l2", 0).out.splitlines()[1]
    assert cli(*short, "-C", 1, "--l2", "1/n").code == 2
    assert cli(*short, "-C", 0).code == 2


def test_a_checkpoint_of_before_resumes_with_its_l2(tmp_path: Path) -> None:
    """It has no C, and its l2 was 0, the default then: what it recorded counts."""
    path = str(tmp_path / "run")
    fit(*vehicle(), l2=0.0, checkpoint=path, **COMMON)
    saved = file.read(path)
    del saved.head["options"]["C"]
    file.write(path, saved)
    resumed = fit(*vehicle(), resume=path, iterations=9)
    assert resumed.start["objective"]["l2"] == 0.0
    np.testing.assert_array_equal(
        resumed.w, fit(*vehicle(), l2=0.0, iterations=9, reference="none").w
    )
    with pytest.raises(InputOutputError, match=r"has --l2 0\.0, not 1/n"):
        fit(*vehicle(), resume=path, l2="1/n")
    with pytest.raises(InputOutputError, match=r"has --C its default, not 2\.0"):
        fit(*vehicle(), resume=path, C=2.0)
