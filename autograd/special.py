"""Functions on floats that no formula of rows gives: their series, and where they end.

Each row of `primitives.py` that needs one has it as its value, so Python computes it.
"""

from __future__ import annotations

import math
from math import fabs, inf, nan
from typing import Final

# B₂ₖ, the Bernoulli numbers of the asymptotic series (Abramowitz & Stegun, 6.4.11).
BERNOULLI: Final = (
    1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510,
    43867 / 798, -174611 / 330, 854513 / 138, -236364091 / 2730,
)  # fmt: skip


def polygamma(n: float, x: float) -> float:
    """ψ⁽ⁿ⁾(x) for whole n from 0 to 170 (171! is no float64), else NaN.

    Source: Abramowitz & Stegun 6.4.6, 6.4.7 (reflection) and 6.4.11.
    """
    if not 0.0 <= n <= 170.0 or n != math.floor(n) or x != x or x == -inf:
        return nan
    order = int(n)
    if x == inf:
        return inf if order == 0 else 0.0
    if x > 0.0:
        return _polygamma_right(order, x)
    if x == math.floor(x):
        return polygamma_pole(n, x) if x == 0.0 else nan
    mirrored = _polygamma_right(order, 1.0 - x)
    turned = math.pi ** (order + 1) * _cot_derivative(order, x)
    return (mirrored if order % 2 == 0 else -mirrored) - turned


def polygamma_pole(n: float, x: float) -> float:
    """±inf, by which side of the nearest pole x lies on, where ψ⁽ⁿ⁾(x) overflows."""
    return inf if n % 2.0 else -math.copysign(inf, max(x, math.remainder(x, 1.0)))


def _polygamma_right(order: int, x: float) -> float:
    """ψ⁽ⁿ⁾(x) for x > 0: recurrence up to a large y, then the asymptotic series.

    Every term is summed without rounding in between.
    """
    steps = max(0, math.ceil(16.0 + order - x))
    y = x + steps
    terms = [_over_power(order, x + k) for k in range(steps)]
    lead = _over_power(order - 1, y) if order else 1.0
    terms += [lead if order else -math.log(y), lead * max(order, 1) / (2.0 * y)]
    rising = lead * max(order, 1) / y  # lead · n(n+1)…(n+2k-1) / y²ᵏ, from k = ½ on
    for k, b in enumerate(BERNOULLI, start=1):
        rising *= (order + 2 * k - 1) / y
        terms.append(b * rising / math.factorial(2 * k))
        rising *= (order + 2 * k) / y
    return math.fsum(terms) * (1.0 if order % 2 else -1.0)


def _over_power(order: int, x: float) -> float:
    """n! / xⁿ⁺¹, without the overflow of either: the exponent of x goes in last."""
    mantissa, exponent = math.frexp(x)
    scaled = math.factorial(order) * (2.0 * mantissa) ** -(order + 1.0)
    return math.ldexp(scaled, (1 - exponent) * (order + 1))


def _cot_derivative(order: int, x: float) -> float:
    """The nth derivative of cot at πx: a polynomial in cot, since cot′ = -1 - cot²."""
    turn = math.remainder(x, 1.0)
    cot = 1.0 / math.tan(math.pi * turn)
    if fabs(turn) > 0.25:  # exact where it is 0, halfway between two poles
        cot = math.copysign(math.tan(math.pi * (0.5 - fabs(turn))), turn)
    polynomial = [0.0, 1.0]
    for _ in range(order):
        slope = [k * c for k, c in enumerate(polynomial)][1:]
        polynomial = [-c for c in slope] + [0.0, 0.0]
        for k, c in enumerate(slope):
            polynomial[k + 2] -= c
    return math.fsum(c * cot**k for k, c in enumerate(polynomial) if c)
