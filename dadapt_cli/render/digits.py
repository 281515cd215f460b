"""Numbers known to lie in an interval, printed with the digits that are certain."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal, localcontext

MOST_DIGITS = 17
"""Significant digits of the value; a float has no more."""


def digits(upper: float, gap: float) -> str:
    """The middle of [upper - gap, upper] and its half width, such as ``0.7263115 +- 2e-8``.

    The half width has one digit and is rounded up, so that the printed interval contains the
    whole one; the value ends at that digit. A value that is exact to its last digit stands alone.

    Parameters
    ----------
    upper
        Upper end, finite.
    gap
        Width of the interval, >= 0.

    Returns
    -------
    str
        ASCII; the value alone where `gap` is 0 or far below the least number that is not 0.
    """
    with localcontext() as context:
        context.prec = 800  # floats are exact decimals; none has more digits than this
        high, width = Decimal(upper), Decimal(gap)
        middle = high - width / 2
        if width == 0 or (upper == 0.0 and gap < 1e-300):
            return repr(upper)
        half = width / 2
        place = half.adjusted()
        # The value is rounded at a digit, by at most half a unit of it: that widens the interval.
        while True:
            unit = Decimal(1).scaleb(place)
            value = middle.quantize(unit, ROUND_HALF_EVEN)
            error = (half + abs(middle - value)).quantize(unit, ROUND_CEILING)
            if error < 10 * unit:
                break
            place += 1
        if value.adjusted() - place >= MOST_DIGITS:  # narrower than a float can say
            error = width + abs(Decimal(repr(upper)) - high)  # repr is the shortest, not exact
            unit = Decimal(1).scaleb(error.adjusted())
            return f"{upper!r} +- {error.quantize(unit, ROUND_CEILING):.0e}"
        return f"{_plain(abs(value) if value == 0 else value)} +- {error:.0e}"


def _plain(value: Decimal) -> str:
    """Format without an exponent where that is short."""
    if value == 0 or -5 <= value.adjusted() < MOST_DIGITS:
        text = f"{value:f}"
        return text if len(text) <= 2 * MOST_DIGITS else f"{value:e}"
    return f"{value:e}"
