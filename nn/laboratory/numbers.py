"""Numbers in four letters each: four significant digits of any float64.

A page of a hundred thousand numbers stays under a megabyte so, and the script has the
digits that Python's own rounding gave: it rounds nothing a second time.

    code   0 zero, 1 nan, 2 inf, 3 -inf; else the place of sign, exponent and mantissa
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, isfinite, nan
from typing import Final

LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
LENGTH: Final = 4  # letters of a number
LOWEST: Final = -324  # exponent of the smallest float64
MANTISSAS: Final = 9000  # 1000 to 9999
SPECIAL: Final = {"nan": 1, "inf": 2, "-inf": 3}
ONE_SIGN: Final = (308 - LOWEST + 1) * MANTISSAS


def packed(numbers: Iterable[float]) -> str:
    """The letters of all numbers.

    >>> packed([0.0, 1.0, -0.12345])
    'AAAALH6kg0pP'
    >>> unpacked(packed([0.0, 1.0, -0.12345, 5e-324]))
    [0.0, 1.0, -0.1235, 5e-324]
    """
    return "".join(map(_letters, numbers))


def unpacked(text: str) -> list[float]:
    """The numbers, to four digits."""
    places = range(0, len(text), LENGTH)
    return [_number(text[i : i + LENGTH]) for i in places]


def in_two(x: float) -> tuple[float, float]:
    """x as four digits and what is left of it, so that the script has eight."""
    head = float(f"{x:.3e}")
    return head, x - head if isfinite(x) else 0.0


def _letters(x: float) -> str:
    code = _code(x)
    return "".join(LETTERS[code >> 6 * i & 63] for i in reversed(range(LENGTH)))


def _code(x: float) -> int:
    if not isfinite(x):
        return SPECIAL[str(float(x))]
    if x == 0.0:
        return 0
    mantissa, exponent = f"{abs(x):.3e}".split("e")
    place = (int(exponent) - LOWEST) * MANTISSAS + round(1000 * float(mantissa)) - 1000
    return 4 + ONE_SIGN * (x < 0.0) + place


def _number(letters: str) -> float:
    code = 0
    for letter in letters:
        code = code * 64 + LETTERS.index(letter)
    if code < 4:
        return (0.0, nan, inf, -inf)[code]
    negative, place = divmod(code - 4, ONE_SIGN)
    exponent, mantissa = divmod(place, MANTISSAS)
    sign = "-" if negative else ""
    return float(f"{sign}{mantissa + 1000}e{exponent + LOWEST - 3}")
