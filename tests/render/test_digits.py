"""Only digits that hold are printed."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dadapt_cli.render.digits import digits


@pytest.mark.parametrize(
    ("upper", "gap", "text"),
    [
        (0.726311536223151, 2.3e-16, "0.7263115362231509 +- 2e-16"),
        (0.7263115362231909, 8e-14, "0.72631153622315 +- 5e-14"),
        (0.0, 2.3e-308, "0.0"),
        (0.5, 0.25, "0.4 +- 2e-1"),
        (123456.7, 1.0, "123456.2 +- 6e-1"),
    ],
)
def test_examples(upper: float, gap: float, text: str) -> None:
    assert digits(upper, gap) == text


@given(
    upper=st.floats(-1e300, 1e300), gap=st.floats(1e-290, 1e300), share=st.sampled_from([1, 1e-16])
)
def test_the_printed_interval_contains_the_other(upper: float, gap: float, share: float) -> None:
    gap = max(gap * share, 1e-290)
    value, _, error = digits(upper, gap).partition(" +- ")
    middle, half = Fraction(value), Fraction(error)
    assert middle - half <= Fraction(upper) - Fraction(gap)
    assert middle + half >= Fraction(upper)
    ulp = Fraction(math.ulp(upper))  # a float has no more digits
    assert half <= 12 * Fraction(gap) + 10 * ulp
