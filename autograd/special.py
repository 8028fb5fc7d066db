"""Functions on floats that no formula of rows gives: their series, and where they end.

Each row of `primitives.py` that needs one has it as its value, so Python computes it.
"""

from __future__ import annotations

import math
from math import fabs, inf, nan
from typing import Final

SQRT_PI: Final = math.sqrt(math.pi)
SQRT_HALF: Final = math.sqrt(0.5)

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


def digamma(x: float) -> float:
    """ψ(x), the derivative of ln Γ."""
    return polygamma(0.0, x)


def polygamma_gap(n: float, x: float, y: float) -> float:
    """ψ⁽ⁿ⁾(x) - ψ⁽ⁿ⁾(x + y) for x > 0 and x + y > 0, term by term; else NaN."""
    if not 0.0 <= n <= 100.0 or n != math.floor(n) or not (x > 0.0 and x + y > 0.0):
        return nan
    order, steps = int(n), max(0, math.ceil(16.0 + n - min(x, x + y)))
    last = x + steps
    whole = math.factorial(order)
    terms = [whole * _drop(order + 1, x + k, y) for k in range(steps)]
    if order:
        terms.append(math.factorial(order - 1) * _drop(order, last, y))
    else:
        terms.append(math.log1p(y / last))
    terms.append(0.5 * whole * _drop(order + 1, last, y))
    for k, b in enumerate(BERNOULLI, start=1):
        rising = math.factorial(2 * k + order - 1) / math.factorial(2 * k)
        terms.append(b * rising * _drop(2 * k + order, last, y))
    return math.fsum(terms) * (1.0 if order % 2 else -1.0)


def _drop(m: int, x: float, y: float) -> float:
    """x⁻ᵐ - (x + y)⁻ᵐ."""
    return -math.expm1(-m * math.log1p(y / x)) * x ** (-m)


def lbeta(x: float, y: float) -> float:
    """ln B(x, y) for x, y ≥ 0, else NaN.

    By Stirling's series where an operand is large, whose leading terms cancel.
    Source: A. R. DiDonato and A. H. Morris, ACM TOMS 18 (1992), in the form of R's.
    """
    p, q = min(x, y), max(x, y)
    if x != x or y != y:
        return nan
    if not p > 0.0 or q == inf:
        return inf if p == 0.0 and q < inf else -inf if p > 0.0 else nan
    if p < 1e-300:  # whose gamma overflows
        return math.log1p(p / q) - math.log(p)
    if q < 10.0:
        return math.log(math.gamma(p) * (math.gamma(q) / math.gamma(p + q)))
    gap = -math.log1p(p / q)
    if p < 10.0:
        rest = _stirling_rest(q) - _stirling_rest(p + q)
        return math.lgamma(p) + rest + p - p * math.log(p + q) + (q - 0.5) * gap
    rest = _stirling_rest(p) + _stirling_rest(q) - _stirling_rest(p + q)
    near = 0.5 * math.log(math.tau / q) + rest
    return near + (0.5 - p) * math.log1p(q / p) + q * gap


def beta(x: float, y: float) -> float:
    """B(x, y) for x, y ≥ 0, else NaN."""
    if max(x, y) < 10.0 and min(x, y) > 0.0:
        return math.gamma(x) * (math.gamma(y) / math.gamma(x + y))
    return math.exp(lbeta(x, y))


def _stirling_rest(x: float) -> float:
    """ln Γ(x) - ((x - ½) ln x - x + ½ ln 2π), for x ≥ 10."""
    return math.fsum(
        b / (2 * k * (2 * k - 1) * x ** (2 * k - 1))
        for k, b in enumerate(BERNOULLI, start=1)
        if x < 1e20
    )


# ---- spherical Bessel functions ------------------------------------------------------


def spherical_bessel(n: float, x: float) -> float:
    """jₙ(πx) for whole n ≥ 0, else NaN; j₀(t) is sin(t) / t.

    By its power series up to where upward recurrence is stable.
    Source: Abramowitz & Stegun 10.1.2, 10.1.11 and 10.1.19.
    """
    if not 0.0 <= n < 1000.0 or n != math.floor(n) or x != x:
        return nan
    order, size = int(n), abs(x)
    if size == inf:
        return 0.0
    t = math.pi * size
    found = _by_series(order, t) if t < order + 2 else _upwards(order, size)
    return -found if x < 0.0 and order % 2 else found


def _by_series(order: int, t: float) -> float:
    term = 1.0
    for k in range(1, 2 * order + 2, 2):
        term *= (t if k > 1 else 1.0) / k
    terms, k = [term], 0
    while abs(terms[-1]) > 1e-18 * abs(terms[0]):
        k += 1
        terms.append(terms[-1] * (-0.5 * t * t) / (k * (2 * (order + k) + 1)))
    return math.fsum(terms)


def _upwards(order: int, x: float) -> float:
    t = math.pi * x
    before, found = _cos_of_pi(x) / t, _cos_of_pi(x % 2.0 - 0.5) / t
    for k in range(order):
        before, found = found, (2 * k + 1) / t * found - before
    return found


def _cos_of_pi(x: float) -> float:
    """cos(πx), by the sine near its zeros: π times a distance that is exact."""
    turn = fabs(math.remainder(x, 2.0))
    if 0.25 < turn < 0.75:
        return math.sin(math.pi * (0.5 - turn))
    return math.cos(math.pi * turn)


# ---- the scaled complement of the error function -------------------------------------


def erfcx(n: float, x: float) -> float:
    """e^(x²) iⁿerfc(x): n integrals of erfc, scaled; for n = 0 it is e^(x²) erfc(x).

    For whole n ≥ -1, else NaN. By a continued fraction for the quotients of neighbours,
    and near 0 and left of it by upward recurrence, whose terms have one sign there.
    Source: Abramowitz & Stegun 7.2.5; W. Gautschi, SIAM Rev. 9 (1967).
    """
    if not -1.0 <= n < 1000.0 or n != math.floor(n) or x != x:
        return nan
    before = 2.0 / SQRT_PI
    if n == -1.0 or x == inf:
        return before if n == -1.0 else 0.0
    order = int(n)
    if x < (0.5 if order else 2.0):
        found = _exp_of_square(x) * math.erfc(x)
        for k in range(1, order + 1):
            before, found = found, (before - 2.0 * x * found) / (2 * k)
        return found
    quotient, found = 0.0, before
    quotients = []
    for k in range(int(175.0 / (x * x)) + 12 + 2 * order, -1, -1):
        quotient = 1.0 / (2.0 * x + 2 * (k + 1) * quotient)
        quotients.append(quotient)
    for quotient in quotients[: -order - 2 : -1]:
        found *= quotient
    return found


def _exp_of_square(x: float) -> float:
    """exp(x²) to its last digits: x² is split into an exact head² and the rest."""
    head = math.floor(64.0 * x + 0.5) / 64.0
    return math.exp(head * head) * math.exp((x - head) * (x + head))


def erfinv(y: float) -> float:
    """The x whose erf is y: a guess, and steps of Newton's and Halley's.

    Source of the guess: S. Winitzki, 2008.
    """
    if not -1.0 < y < 1.0:
        return math.copysign(inf, y) if abs(y) == 1.0 else nan
    size = abs(y)
    if size < 1e-8:
        return y * (SQRT_PI / 2)
    log = math.log1p(-size) + math.log1p(size)
    half = 2 / (math.pi * 0.147) + 0.5 * log
    x = math.sqrt(math.sqrt(half * half - log / 0.147) - half)
    for _ in range(3):
        miss = math.erf(x) - size if size < 0.5 else (1.0 - size) - math.erfc(x)
        step = miss * SQRT_PI / 2 * _exp_of_square(x)
        x -= step / (1.0 + x * step)
    return math.copysign(x, y)


def log_ndtr(x: float) -> float:
    """ln Φ(x), the logarithm of the normal distribution."""
    t = -x * SQRT_HALF
    if x > -1.0:
        return math.log1p(-0.5 * math.erfc(-t))
    return math.log(0.5 * erfcx(0.0, t)) - 0.5 * x * x if x > -inf else x
