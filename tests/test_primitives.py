"""The table of primitives against 50 digits: values, partials, edges, orders 1 to 3.

Every test loops over the rows. What a row says of itself (its accuracy, its sample
range, its edges) is read from its columns; only what the table cannot know stands here:
the same function in mpmath, and the largest term of rows that add terms which cancel.
"""

from __future__ import annotations

import copy
import itertools
import math
import pickle
import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from math import inf, nan
from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd
from autograd import Primitive, Value, grad, hessian, jacobian, jvp, primitives
from autograd.primitives import Total
from autograd.value import topological

mp = mpmath.MPContext()
mp.dps = 50

ROWS = {
    name: row for name, row in vars(primitives).items() if isinstance(row, Primitive)
}
OPERANDS_OF_VARIADIC = 4
SMALLEST_NORMAL = 2.0**-1022
ZEROS = (0.0, 0.0, 0.0)

every_row = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)

# ---- the oracle: each row's value and partials in mpmath -----------------------------

Mp = Any  # a number of mpmath


def power(x: Mp, y: Mp) -> Mp:
    """x to the power y, real or NaN, and without forming numbers of 10**300 digits."""
    if y == 0:
        return mp.mpf(1)
    if x == 0:
        return mp.mpf(0) if y > 0 else mp.inf
    if x < 0 and y != mp.floor(y):
        return mp.nan
    sign = -1 if x < 0 and mp.floor(y / 2) * 2 != y else 1
    growth = y * mp.log(abs(x))
    if abs(growth) > 10**5:
        return sign * mp.inf if growth > 0 else mp.mpf(0)
    return sign * mp.exp(growth)


def log_of_sum(*xs: Mp) -> Mp:
    top = max(xs)
    return top + mp.log(sum(mp.exp(x - top) for x in xs))


def gaussian(x: Mp) -> Mp:
    return mp.exp(-x * x)


def bell(x: Mp) -> Mp:
    return mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


def normal_cdf(x: Mp) -> Mp:
    return mp.erfc(-max(x, -mp.mpf(10**9)) / mp.sqrt(2)) / 2


def logistic(x: Mp) -> Mp:
    return 1 / (1 + mp.exp(-x)) if x >= 0 else mp.exp(x) / (1 + mp.exp(x))


def log_1_plus_exp(x: Mp) -> Mp:
    return max(x, mp.mpf(0)) + mp.log1p(mp.exp(-abs(x)))


def on(domain: Callable[..., bool], f: Callable[..., Mp]) -> Callable[..., Mp]:
    """f inside the domain, NaN outside (where mpmath would turn complex)."""
    return lambda *xs: f(*xs) if domain(*xs) else mp.nan


def products_of_others(*xs: Mp) -> list[Mp]:
    return [mp.fprod(xs[:i] + xs[i + 1 :]) for i in range(len(xs))]


def whole_turns(x: Mp, y: Mp) -> Mp:
    """-⌊x / y⌋, to all its digits."""
    with mp.workdps(700):
        return -mp.floor(x / y)


def remainder(x: Mp, y: Mp) -> Mp:
    """x - y ⌊x / y⌋, to all its digits."""
    with mp.workdps(700):
        return x + y * whole_turns(x, y)


def halves(*xs: Mp) -> tuple[tuple[Mp, ...], tuple[Mp, ...]]:
    return xs[: len(xs) // 2], xs[len(xs) // 2 :]


def positive(x: Mp) -> bool:
    return bool(x >= 0)


def positive_first(x: Mp, y: Mp) -> bool:
    return bool(x > 0)


def in_unit(x: Mp) -> bool:
    return bool(abs(x) <= 1)


def compared(holds: Callable[[Mp, Mp], bool]) -> tuple[Callable[..., Mp], Mp, Mp]:
    return lambda x, y: mp.mpf(bool(holds(x, y))), 0, 0


def gamma(x: Mp) -> Mp:
    """Γ, capped where float64 has long overflowed or underflowed."""
    if x > 200:
        return mp.inf
    return mp.mpf(0) if x < -250 else mp.gamma(x)


def polygamma(order: int, x: Mp) -> Mp:
    """ψ, with digits to spare for what cancels between two poles."""
    with mp.extradps(0 if x > 0 else 150):
        return mp.psi(order, x)


def exactly(f: Callable[[], Mp]) -> Mp:
    with mp.workdps(700):
        return f()


def log_1_minus_exp(x: Mp) -> Mp:
    return mp.log1p(-mp.exp(x)) if x < -9 else mp.log(-mp.expm1(x))


def both_positive(x: Mp, y: Mp) -> bool:
    return bool(x > 0 and y > 0)


def gap(n: Mp, x: Mp, y: Mp) -> Mp:
    with mp.extradps(350):
        return mp.psi(int(n), x) - mp.psi(int(n), x + y)


def log_beta(x: Mp, y: Mp) -> Mp:
    with mp.extradps(350):
        return mp.loggamma(x) + mp.loggamma(y) - mp.loggamma(x + y)


def scaled_erfc(n: int, x: Mp) -> Mp:
    """e^(x²) iⁿerfc(x), by recurrence with digits to spare."""
    if abs(x) > 10**6:
        return mp.inf if x < 0 else 2 / mp.sqrt(mp.pi) / (2 * x) ** (n + 1)
    with mp.extradps(250):
        before, found = 2 / mp.sqrt(mp.pi), mp.exp(x * x) * mp.erfc(x)
        for k in range(1, n + 1):
            before, found = found, (before - 2 * x * found) / (2 * k)
        return found


def log_normal_cdf(x: Mp) -> Mp:
    if abs(x) > 10**6:
        return mp.mpf(0) if x > 0 else -x * x / 2
    tail = mp.erfc(abs(x) / mp.sqrt(2)) / 2
    return mp.log1p(-tail) if x > 0 else mp.log(tail)


def inverse_mills(x: Mp) -> Mp:
    return mp.sqrt(2 / mp.pi) / scaled_erfc(0, -x / mp.sqrt(2))


def bessel(n: int, x: Mp) -> Mp:
    if x == 0:
        return mp.mpf(n == 0)
    with mp.extradps(1300):
        before, found = mp.cos(x) / x, mp.sin(x) / x
        for k in range(n):
            before, found = found, (2 * k + 1) / x * found - before
        return found if n >= 0 else mp.cos(x) / x


# name -> (value, one partial for each argument); for any number of arguments
# name -> (value, all partials). A number stands for a constant partial.
ORACLE: dict[str, tuple[Any, ...]] = {
    "add": (lambda x, y: x + y, 1, 1),
    "sub": (lambda x, y: x - y, 1, -1),
    "mul": (lambda x, y: x * y, lambda x, y: y, lambda x, y: x),
    "div": (lambda x, y: x / y, lambda x, y: 1 / y, lambda x, y: -x / y**2),
    "neg": (lambda x: -x, -1),
    "_pow_less_one": (
        on(lambda x, y: x > 0 or y == mp.floor(y), lambda x, y: power(x, y - 1)),
        lambda x, y: (y - 1) * power(x, y - 2),
        lambda x, y: power(x, y - 1) * mp.log(x),
    ),
    "_pow_log": (
        on(positive_first, lambda x, y: power(x, y) * mp.log(x)),
        lambda x, y: power(x, y - 1) * (1 + y * mp.log(x)),
        lambda x, y: power(x, y) * mp.log(x) ** 2,
    ),
    "pow": (
        power,
        on(lambda x, y: x > 0 or y == mp.floor(y), lambda x, y: y * power(x, y - 1)),
        lambda x, y: mp.nan if x < 0 else power(x, y) * mp.log(x),
    ),
    "fmod": (
        lambda x, y: mp.sign(x) * remainder(abs(x), abs(y)),
        1,
        lambda x, y: mp.sign(x) * mp.sign(y) * whole_turns(abs(x), abs(y)),
    ),
    "mod": (
        remainder,
        1,
        whole_turns,
    ),
    "fma": (
        lambda x, y, w: x * y + w,
        lambda x, y, w: y,
        lambda x, y, w: x,
        1,
    ),
    "exp": (mp.exp, mp.exp),
    "exp2": (lambda x: power(mp.mpf(2), x), lambda x: power(mp.mpf(2), x) * mp.ln2),
    "expm1": (mp.expm1, mp.exp),
    "log": (on(positive, mp.log), on(positive, lambda x: 1 / x)),
    "log2": (
        on(positive, lambda x: mp.log(x) / mp.ln2),
        on(positive, lambda x: 1 / (x * mp.ln2)),
    ),
    "log10": (
        on(positive, mp.log10),
        on(positive, lambda x: 1 / (x * mp.ln10)),
    ),
    "log1p": (
        on(lambda x: x >= -1, mp.log1p),
        on(lambda x: x >= -1, lambda x: 1 / (1 + x)),
    ),
    "remainder": (
        lambda x, y: exactly(lambda: x - y * mp.nint(x / y)),
        1,
        lambda x, y: exactly(lambda: -mp.nint(x / y)),
    ),
    "log1mexp": (
        on(lambda x: x <= 0, lambda x: log_1_minus_exp(x)),
        on(lambda x: x <= 0, lambda x: mp.exp(x) / mp.expm1(x)),
    ),
    "xlogy": (
        lambda x, y: mp.nan if y < 0 else x * mp.log(y) if x else mp.mpf(0),
        lambda x, y: mp.nan if y < 0 else mp.log(y),
        lambda x, y: mp.nan if y < 0 else x / y,
    ),
    "sqrt": (on(positive, mp.sqrt), on(positive, lambda x: 1 / (2 * mp.sqrt(x)))),
    "cbrt": (
        lambda x: mp.sign(x) * mp.cbrt(abs(x)),
        lambda x: 1 / (3 * mp.cbrt(abs(x)) ** 2),
    ),
    "sin": (mp.sin, mp.cos),
    "cos": (mp.cos, lambda x: -mp.sin(x)),
    "tan": (mp.tan, lambda x: mp.sec(x) ** 2),
    "_one_minus_square": (lambda x: 1 - x * x, lambda x: -2 * x),
    "asin": (on(in_unit, mp.asin), on(in_unit, lambda x: 1 / mp.sqrt(1 - x * x))),
    "acos": (on(in_unit, mp.acos), on(in_unit, lambda x: -1 / mp.sqrt(1 - x * x))),
    "_atan_slope": (
        lambda x: 1 / (1 + x * x),
        lambda x: -2 * x / (1 + x * x) ** 2,
    ),
    "atan": (mp.atan, lambda x: 1 / (1 + x * x)),
    "atan2": (
        mp.atan2,
        lambda y, x: x / (x * x + y * y),
        lambda y, x: -y / (x * x + y * y),
    ),
    "sinh": (mp.sinh, mp.cosh),
    "cosh": (mp.cosh, mp.sinh),
    "_tanh_slope": (
        lambda x: mp.sech(x) ** 2,
        lambda x: -2 * mp.sech(x) ** 2 * mp.tanh(x),
    ),
    "tanh": (mp.tanh, lambda x: mp.sech(x) ** 2),
    "asinh": (mp.asinh, lambda x: 1 / mp.sqrt(1 + x * x)),
    "acosh": (
        on(lambda x: x >= 1, mp.acosh),
        on(lambda x: x >= 1, lambda x: 1 / mp.sqrt(x * x - 1)),
    ),
    "atanh": (
        on(in_unit, mp.atanh),
        on(in_unit, lambda x: 1 / (1 - x * x)),
    ),
    "degrees": (mp.degrees, 180 / mp.pi),
    "radians": (mp.radians, mp.pi / 180),
    "_gaussian": (gaussian, lambda x: -2 * x * gaussian(x)),
    "erf": (mp.erf, lambda x: 2 / mp.sqrt(mp.pi) * gaussian(x)),
    "erfc": (
        lambda x: mp.erfc(min(x, mp.mpf(10**9))),
        lambda x: -2 / mp.sqrt(mp.pi) * gaussian(x),
    ),
    "gamma": (gamma, lambda x: gamma(x) * polygamma(0, x)),
    "lgamma": (lambda x: mp.loggamma(x).real, lambda x: polygamma(0, x)),
    "polygamma": (
        lambda n, x: polygamma(int(n), x),
        mp.nan,
        lambda n, x: polygamma(int(n) + 1, x),
    ),
    "_cosine": (
        lambda z, x, y, w: x / z,
        0,
        lambda z, x, y, w: y * w * w / z**3,
        lambda z, x, y, w: -x * w * w / (2 * z**3),
        0,
    ),
    "digamma": (lambda x: polygamma(0, x), lambda x: polygamma(1, x)),
    "_polygamma_gap": (
        lambda n, x, y: mp.nan if x < 0 or x + y < 0 else gap(n, x, y),
        0,
        lambda n, x, y: mp.nan if x < 0 or x + y < 0 else gap(n + 1, x, y),
        lambda n, x, y: mp.nan if x < 0 or x + y < 0 else -polygamma(int(n) + 1, x + y),
    ),
    "lbeta": (
        on(both_positive, lambda x, y: log_beta(x, y)),
        on(both_positive, lambda x, y: gap(0, x, y)),
        on(both_positive, lambda x, y: gap(0, y, x)),
    ),
    "beta": (
        on(both_positive, lambda x, y: mp.exp(log_beta(x, y))),
        on(both_positive, lambda x, y: mp.exp(log_beta(x, y)) * gap(0, x, y)),
        on(both_positive, lambda x, y: mp.exp(log_beta(x, y)) * gap(0, y, x)),
    ),
    "_erfcx": (
        lambda n, x: scaled_erfc(int(n), x),
        0,
        lambda n, x: -2 * (n + 1) * scaled_erfc(int(n) + 1, x),
    ),
    "erfcx": (
        lambda x: scaled_erfc(0, x),
        lambda x: -2 * scaled_erfc(1, x),
    ),
    "erfinv": (
        on(in_unit, lambda x: mp.erfinv(x)),
        on(in_unit, lambda x: mp.sqrt(mp.pi) / 2 * mp.exp(mp.erfinv(x) ** 2)),
    ),
    "_inverse_mills": (
        inverse_mills,
        lambda x: -inverse_mills(x) * (inverse_mills(x) + x),
    ),
    "log_ndtr": (
        lambda x: log_normal_cdf(x),
        lambda x: mp.sqrt(2 / mp.pi) / scaled_erfc(0, -x / mp.sqrt(2)),
    ),
    "_spherical_bessel": (
        lambda n, x: bessel(int(n), mp.pi * x),
        0,
        lambda n, x: (
            mp.pi
            * (
                n * bessel(int(n) - 1, mp.pi * x)
                - (n + 1) * bessel(int(n) + 1, mp.pi * x)
            )
            / (2 * n + 1)
        ),
    ),
    "sinc": (
        lambda x: bessel(0, mp.pi * x),
        lambda x: -mp.pi * bessel(1, mp.pi * x),
    ),
    "hypot": (
        lambda *xs: mp.sqrt(sum(x * x for x in xs)),
        lambda *xs: [x / mp.sqrt(sum(x * x for x in xs)) for x in xs],
    ),
    "less": compared(lambda x, y: x < y),
    "less_equal": compared(lambda x, y: x <= y),
    "greater": compared(lambda x, y: x > y),
    "greater_equal": compared(lambda x, y: x >= y),
    "equal": compared(lambda x, y: x == y),
    "not_equal": compared(lambda x, y: x != y),
    "where": (
        lambda condition, x, y: x if condition else y,
        0,
        lambda condition, x, y: mp.mpf(condition != 0),
        lambda condition, x, y: mp.mpf(condition == 0),
    ),
    "_add_unless": (
        lambda absent, x, y: x if absent else x + y,
        0,
        1,
        lambda absent, x, y: mp.mpf(absent == 0),
    ),
    "maximum": (
        lambda x, y: max(x, y),
        lambda x, y: (1 + mp.sign(x - y)) / 2,
        lambda x, y: (1 + mp.sign(y - x)) / 2,
    ),
    "minimum": (
        lambda x, y: min(x, y),
        lambda x, y: (1 + mp.sign(y - x)) / 2,
        lambda x, y: (1 + mp.sign(x - y)) / 2,
    ),
    "_maximum": (
        lambda *xs: max(xs),
        lambda *xs: [mp.mpf(x == max(xs)) / xs.count(max(xs)) for x in xs],
    ),
    "_minimum": (
        lambda *xs: min(xs),
        lambda *xs: [mp.mpf(x == min(xs)) / xs.count(min(xs)) for x in xs],
    ),
    "clip": (
        lambda x, lo, hi: min(max(x, lo), hi),
        lambda x, lo, hi: mp.mpf(lo < x < hi),
        lambda x, lo, hi: mp.mpf(x < lo < hi),
        lambda x, lo, hi: mp.mpf(max(x, lo) > hi),
    ),
    "abs": (abs, mp.sign),
    "sign": (mp.sign, 0),
    "floor": (mp.floor, 0),
    "ceil": (mp.ceil, 0),
    "trunc": (lambda x: mp.sign(x) * mp.floor(abs(x)), 0),
    "copysign": (
        lambda x, y: abs(x) if y > 0 else -abs(x),
        lambda x, y: mp.sign(x) * mp.sign(y),
        0,
    ),
    "_sigmoid_slope": (
        lambda x: logistic(x) * logistic(-x),
        lambda x: -logistic(x) * logistic(-x) * mp.tanh(x / 2),
    ),
    "sigmoid": (logistic, lambda x: logistic(x) * logistic(-x)),
    "softplus": (log_1_plus_exp, logistic),
    "log_sigmoid": (lambda x: -log_1_plus_exp(-x), lambda x: logistic(-x)),
    "relu": (lambda x: max(x, mp.mpf(0)), lambda x: mp.mpf(x > 0)),
    "leaky_relu": (
        lambda x, slope: x if x > 0 else slope * x,
        lambda x, slope: mp.mpf(1) if x > 0 else slope,
        lambda x, slope: mp.mpf(0) if x > 0 else x,
    ),
    "_sigmoid_moment": (
        lambda x: x * logistic(x) * logistic(-x),
        lambda x: logistic(x) * logistic(-x) * (1 - x * mp.tanh(x / 2)),
    ),
    "silu": (
        lambda x: x * logistic(x),
        lambda x: logistic(x) * (1 + x * logistic(-x)),
    ),
    "gelu": (
        lambda x: x * normal_cdf(x),
        lambda x: normal_cdf(x) + x * bell(x),
    ),
    "_share": (
        lambda x, y: x / (x + y),
        lambda x, y: y / (x + y) ** 2,
        lambda x, y: -x / (x + y) ** 2,
    ),
    "logsumexp": (
        log_of_sum,
        lambda *xs: [mp.exp(x - log_of_sum(*xs)) for x in xs],
    ),
    "_log_share": (
        on(lambda x, y: mp.exp(x) + y > 0, lambda x, y: x - mp.log(mp.exp(x) + y)),
        lambda x, y: y / (mp.exp(x) + y),
        lambda x, y: -1 / (mp.exp(x) + y),
    ),
    "logaddexp": (
        log_of_sum,
        lambda x, y: logistic(x - y),
        lambda x, y: logistic(y - x),
    ),
    "dot": (
        lambda *xs: mp.fdot(*halves(*xs)),
        lambda *xs: [*halves(*xs)[1], *halves(*xs)[0]],
    ),
    "prod": (lambda *xs: mp.fprod(xs), products_of_others),
    "identity": (lambda x: x, 1),
    "stop_gradient": (lambda x: x, 0),
}

# Where terms are added that may cancel: name -> (the largest term of the value, and of
# each partial); None where nothing cancels. "In units in the last place of the largest
# term" then means of the largest of these and the result.
LARGEST_TERM: dict[str, tuple[Any, ...]] = {
    # the exponent y - 1 is rounded
    "pow": (None, lambda x, y: y * power(x, y - 1) * mp.log(abs(x)), None),
    "tanh": (None, lambda x: 1),  # 1 - z²
    "sigmoid": (None, logistic),  # z · (1 - z)
    # (x - ½) (ln(x + g - ½) - 1) and the logarithm of Lanczos's sum; by reflection, the
    # logarithm of the sine
    "lgamma": (
        lambda x: max(3, abs(mp.loggamma(abs(x)).real), mp.log(abs(x) + 1)),
        lambda x: largest_of_polygamma(0, x),
    ),
    "gamma": (None, lambda x: gamma(x) * largest_of_polygamma(0, x)),
    "polygamma": (
        lambda n, x: largest_of_polygamma(n, x),
        None,
        lambda n, x: largest_of_polygamma(n + 1, x),
    ),
    "logsumexp": (
        lambda *xs: max(map(abs, xs)),
        lambda *xs: [
            mp.exp(x - log_of_sum(*xs)) * max(abs(x), abs(log_of_sum(*xs)), 1)
            for x in xs
        ],
    ),
    "dot": (lambda *xs: max(abs(x * y) for x, y in zip(*halves(*xs))), None),
    "silu": (None, lambda x: max(logistic(x), abs(x * logistic(x) * logistic(-x)))),
    # erfc's operand x/√2 is rounded, which it magnifies x² times on the left
    "gelu": (
        lambda x: x * normal_cdf(x) * max(1, x * x if x < 0 else 0),
        lambda x: max(normal_cdf(x), abs(x * bell(x))),
    ),
}


def moved(name: str) -> Callable[..., Mp]:
    """What moves a row's value most: the largest |x·∂z/∂x|."""
    return lambda *xs: max(
        abs(x * slope(*xs)) for x, slope in zip(xs, ORACLE[name][1:]) if callable(slope)
    )


LARGEST_TERM["_log_share"] = (
    lambda x, y: max(abs(x), 1, 1 / abs(mp.exp(x) + y)), None, None
)  # fmt: skip
LARGEST_TERM |= {
    name: (moved(name), *[None] * (len(ORACLE[name]) - 1))
    for name in (
        "digamma", "_polygamma_gap", "lbeta", "beta", "_erfcx", "erfcx",
        "_inverse_mills", "log_ndtr", "_spherical_bessel", "sinc",
    )
}  # fmt: skip


def largest_of_polygamma(n: Mp, x: Mp) -> Mp:
    """ψ's terms: those of the recurrence, of the logarithm, and of the reflection."""
    order = int(n)
    scale = 1 + order  # powers magnify the rounding of x + k as often as they multiply
    right = abs(polygamma(order, x if x > 0 else 1 - x))
    if order == 0:
        right = max(right, mp.mpf(3))
    left = abs(polygamma(order, x)) if x < 0 else 0
    return scale * (right + left)


# ---- operands ------------------------------------------------------------------------

MAGNITUDES = [
    5e-324, 1e-310, SMALLEST_NORMAL, 1e-300, 1e-200, 1e-155, 1e-100, 1e-20, 1e-9, 1e-4,
    0.1, 0.25, 0.5, 0.7, 1.0 - 2**-53, 1.0, 1.0 + 2**-52, 1.2785, 1.4616321449683623,
    1.5, math.pi / 2, 2.0, 3.0, math.pi, 5.5, 6.5, 12.0, 20.3, 26.0, 27.2, 36.9, 38.5,
    100.3, 170.6, 171.7, 700.1, 709.9, 745.2, 1e3, 12345.678, 1e8, 1e16, 1e22, 1e77,
    1e100, 1e154, 1e155, 1e200, 1e300, 1e308, 1.7976931348623157e308,
]  # fmt: skip


# Where mpmath follows quickly, and where the product of some factors cannot overflow.
REACH = {
    "polygamma": (1e-300, 2e4),
    "prod": (1e-60, 1e60),
    "_pow_less_one": (0.0, 1e22),
    "_polygamma_gap": (1e-4, 2e4),
    "lbeta": (1e-4, 1e6),
    "beta": (1e-4, 1e6),
    "_erfcx": (0.0, 1e2),
    "erfcx": (0.0, 1e2),
    "log_ndtr": (0.0, 1e4),
    "_inverse_mills": (0.0, 1e2),
    "_spherical_bessel": (1e-20, 1e9),
    "_log_share": (1e-9, 700.0),
}


def ranges(row: Primitive) -> list[tuple[float, float]]:
    """One (low, high) for each operand that tests give the row."""
    count = row.arity or OPERANDS_OF_VARIADIC
    if isinstance(row.sample[0], tuple):
        return list(row.sample)
    return [row.sample] * count


def samples(row: Primitive, count: int, seed: int = 0) -> list[tuple[float, ...]]:
    rng = random.Random(f"{row.name} {seed}")
    return [
        tuple(rng.uniform(low, high) for low, high in ranges(row)) for _ in range(count)
    ]


def is_whole(row: Primitive, i: int) -> bool:
    """Whether operand i is a whole number: an order, no variable."""
    return ranges(row)[i][0] == ranges(row)[i][1]


def wide(row: Primitive) -> Iterator[tuple[float, ...]]:
    """Huge, tiny and subnormal operands, of both signs, and near the domain's ends."""
    rng = random.Random(row.name)
    magnitudes = MAGNITUDES + [10 ** rng.uniform(-20, 4) for _ in range(20)]
    low, high = REACH.get(row.name, (0.0, inf))
    magnitudes = [x for x in magnitudes if low <= x <= high]
    near_ends = [
        end + side * step
        for end in row.domain
        if math.isfinite(end)
        for side in (-1.0, 1.0)
        for step in (5e-324, 2**-53, 2**-52, 1e-9, 1e-3)
    ]
    pool = [sign * x for x in magnitudes for sign in (1.0, -1.0)] + near_ends
    if row.arity == 1:
        yield from [(x,) for x in [0.0, *pool]]
        return
    orders = [0, 1, 2, 3] if row.name[0] == "_" else [0, 1, 2, 3, 7, 40, 100]
    for _ in range(150):
        yield tuple(
            float(rng.choice(orders)) if is_whole(row, i)
            else rng.choice(pool)
            for i in range(len(ranges(row)))
        )  # fmt: skip


# ---- 1. value and partials in units in the last place --------------------------------


def ulps(got: float, exact: Mp, largest: Mp) -> float:
    """|got - exact| in units in the last place of the largest of exact and largest."""
    if mp.isnan(exact) or math.isnan(got):
        return 0.0 if mp.isnan(exact) and math.isnan(got) else inf
    if mp.isinf(exact) or abs(exact) >= 2**1024 - 2**969:
        return 0.0 if got == float(mp.sign(exact)) * inf else inf
    if math.isinf(got):
        got = math.copysign(2.0**1023, got) * mp.mpf(2)
    scale = max(abs(exact), abs(largest))
    exponent = int(mp.frexp(scale)[1]) - 53 if scale else -1074
    unit = mp.ldexp(1, max(exponent, -1074))
    return float(abs(got - exact) / unit)


def spread(found: Any, args: tuple[Mp, ...], variadic: bool) -> list[Any]:
    """The entries of one oracle row at args: value first, then the partials."""
    value, *partials = [
        None if f is None else f(*args) if callable(f) else mp.mpf(f) for f in found
    ]
    if variadic:
        partials = [None] * len(args) if partials[0] is None else partials[0]
    return [value, *partials]


def oracle(row: Primitive, args: tuple[float, ...]) -> tuple[list[Any], list[Any]]:
    exact_args = tuple(map(mp.mpf, args))
    exact = spread(ORACLE[row.name], exact_args, row.variadic)
    nothing = (None,) * (2 if row.variadic else 1 + row.arity)
    terms = spread(LARGEST_TERM.get(row.name, nothing), exact_args, row.variadic)
    return exact, [0 if term is None else term for term in terms]


def test_ulps_count_the_last_place_and_nothing_else() -> None:
    third = mp.mpf(1) / 3
    assert 0.0 < ulps(1 / 3, third, 0) <= 0.5
    assert 0.5 < ulps(math.nextafter(1 / 3, 1.0), third, 0) <= 1.5
    assert ulps(math.nextafter(1.0, 2.0), mp.mpf(1), 0) == 1.0
    assert ulps(math.nextafter(1.0, 2.0), mp.mpf(1), 4) == 0.25
    assert ulps(1e-323, mp.mpf(0), 0) == 2.0
    assert ulps(inf, mp.mpf(10) ** 400, 0) == 0.0 == ulps(nan, mp.nan, 0)
    assert ulps(nan, third, 0) == inf == ulps(0.0, mp.nan, 0)


@every_row
def test_oracle_partials_are_the_derivatives_of_its_value(row: Primitive) -> None:
    """The oracle itself, by numerical differentiation with 50 digits."""
    if row.constant == ZEROS[: row.arity]:
        return  # a step, or stop_gradient: no derivative, by definition
    for args in samples(row, 2, seed=1):
        exact, _ = oracle(row, args)
        for i, partial in enumerate(exact[1:]):
            if not is_whole(row, i):
                direction = [float(i == j) for j in range(len(args))]
                slope = mp.diff(oracle_path(row, args, direction), 0)
                assert abs(slope - partial) <= mp.mpf(10) ** -20 * (1 + abs(slope))


def oracle_path(
    row: Primitive, args: tuple[float, ...], direction: list[float]
) -> Callable[[Mp], Mp]:
    return lambda t: ORACLE[row.name][0](
        *[mp.mpf(x) + t * mp.mpf(d) for x, d in zip(args, direction)]
    )


# ---- 2. edges, and the conventions that hold for every row ---------------------------


def same(x: float, y: float) -> bool:
    """Equal numbers (0.0 equals -0.0), or both NaN."""
    return x == y or (x != x and y != y)


def number_of(x: Any) -> float:
    return x.data if isinstance(x, Value) else float(x)


def all_same(xs: Any, ys: Any) -> bool:
    return len(xs) == len(ys) and all(map(same, xs, ys))


def z_and_partials(row: Primitive, args: tuple[float, ...]) -> tuple[float, ...]:
    z = row.value(*args)
    return (z, *row.derivatives(z, *args))


SPECIAL = (0.0, -0.0, 1.0, -1.0, 2.0, 0.3, -2.5, inf, -inf, nan, 5e-324, -1e308)


def special_operands(row: Primitive) -> list[tuple[float, ...]]:
    """Every combination of special operands, a few of them where there are many."""
    every = itertools.product(SPECIAL, repeat=row.arity or 3)
    combinations = [args * 2 if row.name == "dot" else args for args in every]
    return random.Random(1).sample(combinations, min(len(combinations), 400))


@every_row
def test_edges_are_exact_in_value_and_partials(row: Primitive) -> None:
    for args, z, partials in row.edges:
        assert all_same(z_and_partials(row, args), (z, *partials)), args


@every_row
def test_edges_are_exact_in_a_recorded_graph(row: Primitive) -> None:
    for args, z, partials in row.edges:
        operands = [Value(x) for x in args]
        result = row(*operands)
        result.backward()
        assert same(result.data, z)
        assert all_same([x.grad for x in operands], partials), args


# Of DESIGN.md, conventions 1 and 2: what the edges column must hold.
CONVENTIONS = [
    ("div", (1.0, 0.0), inf, (inf, -inf)),
    ("log", (0.0,), -inf, (inf,)),
    ("pow", (-8.0, 1 / 3), nan, (nan, nan)),
    ("relu", (nan,), nan, (nan,)),
    ("clip", (nan, 0.0, 1.0), nan, (nan, nan, nan)),
    ("maximum", (nan, 1.0), nan, (nan, nan)),
    ("maximum", (1.0, nan), nan, (nan, nan)),
    ("abs", (nan,), nan, (nan,)),
    ("relu", (0.0,), 0.0, (0.0,)),
    ("abs", (0.0,), 0.0, (0.0,)),
    ("leaky_relu", (0.0, 0.01), 0.0, (0.01, 0.0)),
    ("clip", (0.0, 0.0, 1.0), 0.0, (0.0, 0.0, 0.0)),
    ("clip", (1.0, 0.0, 1.0), 1.0, (0.0, 0.0, 0.0)),
    ("maximum", (1.0, 1.0), 1.0, (0.5, 0.5)),
    ("minimum", (1.0, 1.0), 1.0, (0.5, 0.5)),
    ("sqrt", (0.0,), 0.0, (inf,)),
    ("pow", (0.0, 0.0), 1.0, (0.0, -inf)),
    ("pow", (-2.0, 2.0), 4.0, (-4.0, nan)),
    ("hypot", (0.0, 0.0), 0.0, (0.0, 0.0)),
    ("atan2", (0.0, 0.0), 0.0, (0.0, 0.0)),
    ("logsumexp", (-inf, -inf), -inf, (0.0, 0.0)),
    ("prod", (0.0, 3.0), 0.0, (3.0, 0.0)),
]


@pytest.mark.parametrize(("name", "args", "z", "partials"), CONVENTIONS)
def test_edges_column_holds_every_convention(
    name: str, args: tuple[float, ...], z: float, partials: tuple[float, ...]
) -> None:
    assert any(
        all_same(edge[0], args) and same(edge[1], z) and all_same(edge[2], partials)
        for edge in ROWS[name].edges
    )


@every_row
def test_rows_never_raise_and_give_floats_on_special_operands(row: Primitive) -> None:
    for args in special_operands(row):
        found = z_and_partials(row, args)
        assert len(found) == 1 + len(args)
        assert {type(x) for x in found} == {float}, args


@every_row
@settings(max_examples=15, deadline=None, database=None)
@given(data=st.data())
def test_rows_never_raise_and_give_floats(row: Primitive, data: st.DataObject) -> None:
    count = row.arity or 2 * data.draw(st.integers(0, 3))
    args = data.draw(st.tuples(*[st.floats()] * count))
    found = z_and_partials(row, args)
    assert len(found) == 1 + count
    assert {type(x) for x in found} == {float}


@every_row
def test_recorded_partials_are_those_of_the_rule(row: Primitive) -> None:
    for args in special_operands(row)[:150]:
        z, *partials = z_and_partials(row, args)
        operands = [Value(x) for x in args]
        recorded = row(*operands)
        used = zip(recorded.parents, recorded.partials)
        assert same(recorded.data, z)
        assert {type(x) for x in (recorded.data, *recorded.partials)} == {float}
        shares = {id(parent): partial for parent, partial in used}
        out = 0.0 if row.select else nan
        assert all_same([shares.get(id(x), out) for x in operands], partials), args


@every_row
def test_methods_record_what_the_row_records(row: Primitive) -> None:
    if row.arity != 1:
        return
    for x in SPECIAL:
        leaf: Any = Value(x)
        by_method, by_row = getattr(leaf, row.name)(), row(leaf)
        assert by_method.op == row.name
        assert all_same(entries(by_method), entries(by_row)), x


def entries(y: Any) -> list[float]:
    found = [y.data, *y.partials]
    assert {type(x) for x in found} == {float}
    return found


def test_operators_record_what_the_row_records() -> None:
    for name, apply in OPERATORS.items():
        for x, y in itertools.product((*SPECIAL, 3, True), repeat=2):
            for left, right in ((Value(x), Value(y)), (Value(x), y), (x, Value(y))):
                by_operator, by_row = apply(left, right), ROWS[name](left, right)
                assert all_same(entries(by_operator), entries(by_row)), (name, x, y)


def depends(row: Primitive, args: tuple[float, ...], i: int, j: int) -> bool:
    """Whether entry j (the value, then the partials) changes with operand i."""
    tried = [
        z_and_partials(row, (*args[:i], x, *args[i + 1 :]))[j]
        for x in (args[i], -0.7, 0.3, 0.9, 2.3, 1e3, -1e3)
    ]
    return any(a < b or a > b for a, b in itertools.combinations(tried, 2))


def states_nan(row: Primitive, i: int) -> bool:
    """Whether edges say that NaN as operand i only gives something else than NaN."""
    stated = [z for args, z, _ in row.edges if args[i] != args[i]] if row.arity else []
    return bool(stated) and all(z == z for z in stated)


@every_row
def test_nan_in_gives_nan_out_in_value_and_partials(row: Primitive) -> None:
    for args in samples(row, 4):
        for i in range(len(args)):
            if states_nan(row, i):
                continue
            found = z_and_partials(row, (*args[:i], nan, *args[i + 1 :]))
            for j, x in enumerate(found):
                assert x != x or not depends(row, args, i, j), (args, i, j)


@every_row
def test_outside_the_domain_value_and_partials_are_nan(row: Primitive) -> None:
    low, high = row.domain
    outside = [low - step for step in (1e-9, 1.0, inf) if low > -inf]
    outside += [high + step for step in (1e-9, 1.0, inf) if high < inf]
    for x in outside:
        assert all_same(z_and_partials(row, (x,)), (nan, nan)), x


@every_row
def test_derivatives_at_minus_zero_are_those_at_zero(row: Primitive) -> None:
    """Save where the row itself jumps there, as copysign does."""
    for args in special_operands(row):
        for i in [i for i, x in enumerate(args) if x == 0.0]:
            plus, minus = [(*args[:i], x, *args[i + 1 :]) for x in (0.0, -0.0)]
            z, other = row.value(*plus), row.value(*minus)
            pole = math.isinf(z) and all(map(math.isfinite, args))
            if pole or same(z, other):
                found = row.derivatives(z, *plus), row.derivatives(other, *minus)
                assert all_same(*found), args


@every_row
def test_unary_rows_reach_their_limits_at_infinity(row: Primitive) -> None:
    if row.arity != 1:
        return
    for x in (inf, -inf):
        try:
            far = [oracle(row, (math.copysign(size, x),))[0] for size in (1e300, 2e300)]
        except (ZeroDivisionError, ValueError):
            continue  # poles all the way
        for got, *limits in zip(z_and_partials(row, (x,)), *far):
            assert any(math.isclose(got, limit(y)) for y in limits) or (
                got != got and (limits[0] != limits[1])
            ), (x, got, limits)


def limit(far: Mp) -> float:
    """The limit of what has a value of far at 1e300: 0, ±inf, or a number."""
    if mp.isnan(far) or 1e-100 < abs(far) < 100:
        return float(far)
    return float(mp.sign(far)) * (inf if abs(far) > 1 else 0.0)


# ---- the rules on plain floats, on Total floats, on Values ---------------------------


@every_row
def test_rules_on_total_floats_agree_with_rules_on_floats(row: Primitive) -> None:
    for args in special_operands(row)[:150]:
        z = row.value(*args)
        total = row._run_rules(Total(z), [Total(x) for x in args], None)
        assert all_same(total, row.derivatives(z, *args)), args


@every_row
def test_rules_on_values_agree_with_rules_on_floats(row: Primitive) -> None:
    for args in samples(row, 3) + special_operands(row)[:40]:
        z = row.value(*args)
        on_values = row.derivatives(Value(z), *map(Value, args))
        assert all_same([number_of(x) for x in on_values], row.derivatives(z, *args)), (
            args
        )


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda x, y: x + y, "sub": lambda x, y: x - y, "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y, "pow": lambda x, y: x**y, "mod": lambda x, y: x % y,
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("x", [-2.0, -0.0, 0.0, 2, inf])
@pytest.mark.parametrize("y", [-0.5, 0.0, 3, 2000.0, nan])
def test_total_floats_mix_with_floats_and_values(name: str, x: float, y: float) -> None:
    row, apply = ROWS[name], OPERATORS[name]
    z = row(x, y)
    kinds_of_number: list[Any] = [float, Total, Value]
    for left, right in itertools.product(kinds_of_number, repeat=2):
        kinds = {left, right} - {float}
        if not kinds:
            continue
        expected = Value if Value in kinds else Total
        for a, b in [(left(x), right(y)), (x if left is float else left(x), right(y))]:
            got = apply(a, b)
            assert type(got) is expected
            assert same(number_of(got), z)


@pytest.mark.parametrize("x", SPECIAL)
def test_total_floats_keep_their_kind_under_signs(x: float) -> None:
    for got, z in [
        (-Total(x), -x),
        (+Total(x), x),
        (builtin_abs(Total(x)), math.fabs(x)),
    ]:
        assert type(got) is Total
        assert same(got, z)


builtin_abs = abs


@every_row
def test_rows_on_total_floats_give_total_floats(row: Primitive) -> None:
    for args in samples(row, 1):
        assert type(row(*map(Total, args))) is Total
        assert type(row(*args)) is float


# ---- 3. orders 1 to 3 ----------------------------------------------------------------


def bound_of_rounding(y: Value | float, ulp: float) -> float:
    """The sum of absolute terms of y, each with the accuracy of the row that made it.

    A node's share is what an error of `row.ulp` last places in it does to y: its
    adjoint times itself (or times the largest of the terms that were added in it). A
    number that needs no node is good to the given ulp.
    """
    if not isinstance(y, Value) or not y.args:
        return ulp * 2**-52 * builtin_abs(number_of(y))
    y.backward()
    total = 0.0
    for node in topological(y):
        row = ROWS[node.op]
        args = [number_of(x) for x in node.args]
        size = builtin_abs(node.data)
        if LARGEST_TERM.get(row.name, (None,))[0]:
            size = max(size, float(oracle(row, tuple(args))[1][0]))
        total += row.ulp * size * builtin_abs(node.grad)
    assert math.isfinite(total)
    return total * 2**-52


def derivative(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda t: jvp(f, (t,), (1.0,))[1]


@every_row
def test_orders_1_to_3_by_every_mode(row: Primitive) -> None:
    """Along a line t -> row(x + t·d), so that mixed derivatives count too."""
    rng = random.Random(row.name)
    step = row.constant == ZEROS[: row.arity]
    if all(is_whole(row, i) for i in range(row.arity or 1)):
        return  # no operand of its own: `_cosine`, whose operands go together
    for args in samples(row, 2, seed=2):
        direction = [
            0.0 if is_whole(row, i) else rng.choice([0.5, 1.0, -0.75, 1.25])
            for i in range(len(args))
        ]

        def f(t: Any, args: Any = args, direction: Any = direction) -> Any:
            return row(*[x + t * d if d else x for x, d in zip(args, direction)])

        t = Value(0.0)
        f(t).backward()
        exact_f = oracle_path(row, args, direction)
        reverse: Callable[[Any], Any] = f
        forward: Callable[[Any], Any] = f
        for order in (1, 2, 3):
            reverse, forward = grad(reverse), derivative(forward)
            exact = mp.mpf(0) if step else mp.diff(exact_f, 0, order)
            recorded = reverse(Value(0.0))
            bound = bound_of_rounding(recorded, row.ulp) + 1e-25
            for got in (reverse(0.0), forward(0.0), *([t.grad] if order == 1 else [])):
                assert type(got) is float
                assert abs(got - exact) <= bound, (order, args, got, exact, bound)


# ---- 4. a user's own rows ------------------------------------------------------------

# Its rule overflows on plain floats (1000.0**200), which Python raises for.
steep = Primitive("steep", lambda x: x**100, lambda z, x: 100 * x**200 / x**101)
# Its value and rule turn complex on plain floats, left of zero.
root = Primitive(
    "root",
    lambda x: x**0.5,
    lambda z, x: 0.5 * x**-0.5,
    domain=(0.0, inf),
    sample=(0.5, 4.0),
)
# Its rule hands a complex number to a row, and divides by a zero.
gate = Primitive(
    "gate",
    lambda x: math.sqrt(x) if x > 0.0 else 0.0,
    lambda z, x: ROWS["where"](x > 0, 0.5 * x**-0.5, 0),
    select=True,
)
triple = Primitive("triple", lambda x: 3 * x, 3)  # an int as a rule
cube = Primitive(
    "cube", lambda x: x * x * x, lambda z, x: 3 * x**2, latex="{0}^3", ulp=3
)
ramp = Primitive("ramp", lambda x: int(x > 0), lambda z, x: 0)  # ints all the way
weighted = Primitive(
    "weighted", lambda x, y: x * x * y, lambda z, x, y: 2 * x * y, lambda z, x, y: x**2
)
halved = Primitive("halved", lambda x, y=2.0: x / y, lambda z, x, y: 1 / y, 0.0)
sum_of_cubes = Primitive(
    "sum_of_cubes",
    lambda *xs: sum(x**3 for x in xs),
    lambda z, *xs: [3 * x * x for x in xs],
)

USERS = [steep, root, gate, triple, cube, ramp, weighted, halved, sum_of_cubes]
SMOOTH: dict[Primitive, Callable[..., Any]] = {
    root: mp.sqrt,
    triple: lambda x: 3 * x,
    cube: lambda x: x**3,
    weighted: lambda x, y: x * x * y,
    sum_of_cubes: lambda *xs: sum(x**3 for x in xs),
}


@pytest.mark.parametrize("row", USERS, ids=lambda row: row.name)
def test_own_rows_give_floats_and_never_raise(row: Primitive) -> None:
    for args in itertools.product(SPECIAL, repeat=row.arity or 2):
        found = z_and_partials(row, args)
        assert {type(x) for x in found} == {float}, (args, found)


def test_own_rules_that_raise_or_turn_complex_follow_ieee() -> None:
    assert steep.derivatives(inf, 1000.0) == (inf,)
    assert math.isnan(root(-4.0)) and math.isnan(root.derivatives(nan, -4.0)[0])
    assert root.derivatives(0.0, 0.0) == (inf,)
    assert gate.derivatives(0.0, -4.0) == gate.derivatives(0.0, 0.0) == (0.0,)
    assert halved.derivatives(inf, 1.0, 0.0) == (inf, 0.0)


@pytest.mark.parametrize("row", SMOOTH, ids=lambda row: row.name)
def test_own_rows_go_through_every_transform(row: Primitive) -> None:
    low, high = ranges(row)[0]
    rng = random.Random(row.name)
    args = [rng.uniform(max(low, 0.5), high) for _ in range(row.arity or 3)]
    first, second, third = [
        [float(mp.diff(path, 0, order)) for path in along_axes(row, args)]
        for order in (1, 2, 3)
    ]
    leaves = [Value(x) for x in args]
    y = row(*leaves)
    y.backward()
    whole = hessian(lambda xs: row(*xs))(args)
    assert y.data == row(*args)
    assert y.op == row.name
    assert [x.grad for x in leaves] == pytest.approx(first, rel=1e-14)
    assert [whole[i][i] for i in range(len(args))] == pytest.approx(second, rel=1e-14)
    assert jacobian(lambda xs: row(*xs))(args) == pytest.approx(first, rel=1e-14)
    for i in range(len(args)):
        along = grad(row, i)
        assert along(*args) == pytest.approx(first[i], rel=1e-14)
        assert grad(along, i)(*args) == pytest.approx(second[i], rel=1e-14)
        assert grad(grad(along, i), i)(*args) == pytest.approx(third[i], rel=1e-14)
        unit = [float(i == j) for j in range(len(args))]
        assert jvp(row, args, unit)[1] == pytest.approx(first[i], rel=1e-14)


def along_axes(row: Primitive, args: list[float]) -> list[Callable[[Mp], Mp]]:
    def axis(i: int) -> Callable[[Mp], Mp]:
        return lambda t: SMOOTH[row](
            *[mp.mpf(x) + t * (i == j) for j, x in enumerate(args)]
        )

    return [axis(i) for i in range(len(args))]


def test_own_mixed_second_derivative_is_right() -> None:
    assert hessian(lambda xs: weighted(*xs))([3.0, 5.0]) == [[10.0, 6.0], [6.0, 0.0]]


def test_own_select_leaves_operands_out_of_the_sweep() -> None:
    x = Value(0.0)
    (gate(primitives.sqrt(x) - 1.0) + x).backward()
    assert x.grad == 1.0  # not inf · 0


def test_own_default_operand_can_be_left_out() -> None:
    assert halved(3.0) == 1.5
    assert grad(halved)(3.0) == 0.5


@pytest.mark.parametrize("row", [*ROWS.values(), *USERS], ids=lambda row: row.name)
def test_rows_pickle_and_copy_as_themselves(row: Primitive) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(row, protocol)) is row
    assert copy.deepcopy(row) is row is copy.copy(row)
    assert repr(row) == f"<primitive {row.name}>"


def test_graphs_of_own_rows_pickle() -> None:
    y = pickle.loads(pickle.dumps(cube(Value(2.0, label="x"))))
    y.backward()
    assert (y.op, y.data, y.args[0].label, y.args[0].grad) == ("cube", 8.0, "x", 12.0)


def test_own_row_without_rules_is_refused() -> None:
    with pytest.raises(
        ValueError, match="Primitive: partials must be one rule for each"
    ):
        Primitive("bare", math.exp)


@pytest.mark.parametrize("rule", ["2", None, 1j])
def test_own_row_with_a_rule_that_is_no_number_is_refused(rule: Any) -> None:
    with pytest.raises(TypeError, match="odd: a partial must be a real number"):
        Primitive("odd", math.exp, rule)


def test_own_value_that_is_no_number_is_refused() -> None:
    with pytest.raises(
        TypeError, match="lost: the value must be a real number.*return"
    ):
        Primitive("lost", lambda x: None, 1.0)(1.0)  # type: ignore[arg-type, return-value]


def test_own_rule_with_a_partial_too_few_is_refused() -> None:
    few = Primitive("few", lambda *xs: math.fsum(xs), lambda z, *xs: [1.0] * 2)
    with pytest.raises(
        TypeError, match="^few: the rule must give 3 partials.*gives 2;"
    ):
        few(1.0, 2.0, Value(3.0))


def test_own_rule_that_is_wrong_by_design_raises_its_own_error() -> None:
    def refuse(z: Any, x: Any) -> Any:
        raise ValueError("no derivative here")

    with pytest.raises(ValueError, match="no derivative here"):
        Primitive("stern", lambda x: x, refuse)(Value(1.0))


# ---- 5. the columns, and what a row accepts ------------------------------------------


def test_every_row_has_an_oracle_and_no_oracle_is_without_a_row() -> None:
    assert set(ORACLE) == set(ROWS)
    assert set(LARGEST_TERM) | set(REACH) <= set(ROWS)


def test_every_row_is_exported() -> None:
    for name, row in ROWS.items():
        if not name.startswith("_"):
            assert getattr(autograd, name) is row
            assert name in autograd.__all__


@every_row
def test_names_are_those_of_the_module(row: Primitive) -> None:
    assert getattr(primitives, row.name) is row
    assert row.__module__ == "autograd.primitives"
    assert row.name.isidentifier()


@every_row
def test_latex_template_takes_every_operand(row: Primitive) -> None:
    letters = ["alpha", "beta", "eta"][: row.arity]
    assert row.latex is not None
    text = row.latex.format(*letters, all="alpha, beta")
    assert all(letter in text for letter in letters or ["alpha, beta"])
    assert text.count("{") == text.count("}")
    assert text.count(r"\left") == text.count(r"\right")


@every_row
def test_sample_lies_in_the_domain(row: Primitive) -> None:
    low, high = row.domain
    assert len(ranges(row)) == (row.arity or OPERANDS_OF_VARIADIC)
    assert all(a <= b for a, b in ranges(row))
    assert row.ulp > 0
    if row.arity == 1:
        assert low <= ranges(row)[0][0] < ranges(row)[0][1] <= high
    for args in samples(row, 10):
        found = z_and_partials(row, args)
        stated = [j for j in range(len(found)) if j == 0 or not is_whole(row, j - 1)]
        assert all(math.isfinite(found[j]) for j in stated)


@every_row
def test_edges_have_the_shape_of_the_row(row: Primitive) -> None:
    for args, _, partials in row.edges:
        assert len(partials) == len(args)
        assert row.variadic or len(args) == row.arity
    keys = [repr(args) for args, _, _ in row.edges]
    assert len(set(keys)) == len(keys)


@every_row
def test_selects_leave_out_exactly_the_operands_with_partial_zero(
    row: Primitive,
) -> None:
    """An operand left out gets nothing even from an infinite adjoint."""
    left_out = 0
    for args in samples(row, 20):
        operands = [Value(x) for x in args]
        result = row(*operands)
        kept = {id(parent) for parent in result.parents}
        partials = row.derivatives(result.data, *args)
        for x, partial in zip(operands, partials):
            assert (id(x) in kept) == (partial != 0.0 or not row.select)
            left_out += id(x) not in kept
    assert (left_out > 0) == row.select


def test_number_kinds_are_taken_as_floats() -> None:
    kinds: list[Any] = [
        2, True, Fraction(1, 2), np.float64(0.5), np.float32(0.5), np.int64(2),
        np.bool_(True), np.array(0.5), Total(0.5),
    ]  # fmt: skip
    for row, x in itertools.product(ROWS.values(), kinds):
        count = row.arity or OPERANDS_OF_VARIADIC
        for args in ([x] * count, [x] + [0.5] * (count - 1), [0.5] * (count - 1) + [x]):
            z = row(*args)
            assert type(z) is (Total if type(x) is Total else float)
            assert same(z, row.value(*[float(arg) for arg in args])), (row, args)


@pytest.mark.parametrize(
    ("x", "remedy"),
    [
        ("3", r"'3' \(str\); "),
        (1 + 2j, r"\(1\+2j\) \(complex\); differentiate its real and imaginary"),
        (Decimal("0.5"), r"Decimal\('0.5'\) \(Decimal\); convert it with float\(\)"),
        (None, r"None \(NoneType\); pass a number"),
        ([1.0], r"\[1.0\] \(list\); call it once for each element"),
    ],
)
def test_what_is_no_real_number_is_refused_by_name(x: Any, remedy: str) -> None:
    for row in ROWS.values():
        count = row.arity or OPERANDS_OF_VARIADIC
        pattern = f"^{row.name}: operand must be a real number, but is {remedy}"
        with pytest.raises(TypeError, match=pattern):
            row(*[0.5] * (count - 1), x) if count > 1 else row(x)
        if count > 1:
            with pytest.raises(TypeError, match=pattern):
                row(*[Value(0.5)] * (count - 1), x)


def test_numbers_beyond_float64_are_refused_by_name() -> None:
    for x in (10**400, Fraction(10**400, 3)):
        with pytest.raises(
            ValueError, match="^exp: operand must fit a float64.*scale it"
        ):
            primitives.exp(x)


@every_row
def test_wrong_number_of_operands_is_refused_by_name(row: Primitive) -> None:
    if row.variadic or row.otherwise in ROWS.values():
        return
    for count in {
        0,
        row.arity + (2 if row.otherwise else 1),
        row.arity - 1 - len(row.defaults),
    }:
        pattern = (
            rf"^{row.name}: must be called with {row.arity} argument.*has {count};"
        )
        with pytest.raises(TypeError, match=pattern):
            row(*[0.5] * count)


VARIADIC = [row for row in ROWS.values() if row.variadic]


@pytest.mark.parametrize("row", VARIADIC, ids=lambda row: row.name)
def test_sequences_of_operands_are_the_same_as_operands(row: Primitive) -> None:
    flat = (0.5, 1.5, 2.5, -1.0)
    for pack in (list, tuple, np.array):
        assert row(pack(flat[:2]), pack(flat[2:])) == row(*flat)
    values = [Value(x) for x in flat]
    assert row(values[:2], values[2:]).data == row(*flat)


@pytest.mark.parametrize("row", VARIADIC, ids=lambda row: row.name)
def test_sequences_of_unequal_length_are_refused_by_name(row: Primitive) -> None:
    for other in ([1.0], [1.0, 2.0, 3.0], 4.0, np.array(4.0)):
        with pytest.raises(ValueError, match=f"^{row.name}: every sequence must have"):
            row([1.0, 2.0], other)


def test_operands_of_dot_that_make_no_pairs_are_refused() -> None:
    with pytest.raises(
        TypeError, match="^dot: operands must come in two halves, but there are 3"
    ):
        primitives.dot(1.0, 2.0, Value(3.0))


@pytest.mark.parametrize(
    ("row", "neutral"),
    [
        ("dot", 0.0),
        ("prod", 1.0),
        ("logsumexp", -inf),
        ("hypot", 0.0),
        ("_maximum", -inf),
        ("_minimum", inf),
    ],
)
def test_no_operands_give_the_neutral_number(row: str, neutral: float) -> None:
    assert ROWS[row]() == ROWS[row]([]) == neutral
    assert ROWS[row].derivatives(neutral) == ()
    assert len(VARIADIC) == 6


# ---- rows with a story of their own --------------------------------------------------


@settings(max_examples=300, deadline=None, database=None)
@given(*[st.floats(allow_nan=False, allow_infinity=False)] * 3)
def test_fma_rounds_once(x: float, y: float, w: float) -> None:
    exact = Fraction(x) * Fraction(y) + Fraction(w)
    for fma in (primitives.fma, primitives._fma):
        z = fma(x, y, w)
        if math.isinf(z):
            assert builtin_abs(exact) >= Fraction(2) ** 1024 - Fraction(2) ** 970
            assert (z > 0) == (exact > 0)
        elif exact:
            neighbours = (math.nextafter(z, inf), math.nextafter(z, -inf))
            miss = builtin_abs(Fraction(z) - exact)
            finite = [n for n in neighbours if math.isfinite(n)]
            assert all(miss <= builtin_abs(Fraction(n) - exact) for n in finite)
        else:
            assert z == 0.0


def test_fma_keeps_the_sign_of_zero_and_the_digits_that_cancel() -> None:
    fma = primitives._fma
    assert math.copysign(1.0, fma(-0.0, 1.0, -0.0)) == -1.0
    assert math.copysign(1.0, fma(2.0, 3.0, -6.0)) == 1.0
    assert math.copysign(1.0, fma(-5e-324, 5e-324, 0.0)) == -1.0
    assert fma(0.1, 10.0, -1.0) == 2.0**-54
    assert fma(1e308, 10.0, -1e308) == inf == -fma(-1e308, 10.0, 5.0)
    assert fma(1e200, 1e200, -inf) == -inf


@settings(max_examples=200, deadline=None, database=None)
@given(
    st.floats(-1e15, 1e15, allow_subnormal=False),
    st.floats(1e-3, 1e15) | st.floats(-1e15, -1e-3),
)
def test_mod_counts_its_turns_exactly(x: float, y: float) -> None:
    """∂(x mod y)/∂y is minus the whole number of times that y goes into x."""
    turns = -math.floor(Fraction(x) / Fraction(y))
    z = primitives.mod(x, y)
    if z != y:  # a tiny negative x, for which Python rounds x mod y up to y
        assert primitives.mod.derivatives(z, x, y)[1] == pytest.approx(
            turns, rel=2**-51
        )


def test_mod_counts_its_turns_where_a_difference_would_overflow() -> None:
    x, y = 1.7e308, -1e308
    assert primitives.mod.derivatives(primitives.mod(x, y), x, y) == (1.0, 2.0)


@pytest.mark.parametrize("n", [-1.0, 0.5, 171.0, 1e300, inf, nan])
def test_polygamma_of_no_order_is_nan(n: float) -> None:
    assert math.isnan(primitives.polygamma(n, 2.0))
    assert math.isnan(grad(primitives.polygamma, 1)(n, 2.0))


def test_total_floats_do_not_leak_into_results() -> None:
    x = Value(0.0)
    y: Value = primitives.div(1, x)
    y.backward()
    assert (type(y.data), type(x.grad)) == (float, float)
    assert (y.data, x.grad) == (inf, -inf)


def tan(x):
    return autograd.tan(x)


# ---- native names --------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, value, partials",
    [
        ("exp", math.exp, 1), ("log", math.log, 1), ("atan2", math.atan2, 2),
        ("sqrt", math.sqrt, 1), ("fmod", math.fmod, 2), ("pow", math.pow, 2),
        ("expm1", lambda x: math.exp(x) - 1.0, 1), ("tan", lambda x: tan(x), 1),
        ("fadd", lambda x, y: x + y, 2), ("fma", lambda x, y, w: x * y + w, 3),
    ],
)  # fmt: skip
def test_native_name_of_the_same_function_is_taken(name, value, partials):
    row = Primitive("own", value, *[1.0] * partials, native=name)
    assert row.native == name and row(*[0.5] * partials) == value(*[0.5] * partials)


@pytest.mark.parametrize(
    "name, value, partials, reason",
    [
        ("cos", math.sin, 1, r"'cos' gives -0.98\d+ at \(-3.0\), where .* -0.14"),
        ("exp", lambda x: math.exp(min(x, 2.0)), 1, r"at \(2.25\), where .* 7.38"),
        ("exp", lambda x: 1.0 + x, 1, "where value gives -2.0"),
        ("exp", lambda x: math.nan, 1, "where value gives nan"),
        ("atan2", math.pow, 2, r"at \(-3.0, -3.0\)"),
        ("atan2", lambda x, y: math.atan2(y, x), 2, "where value gives"),
        ("pow", math.sin, 1, "operands as the row, 1, but 'pow' takes 2"),
        ("sin", math.atan2, 2, "operands as the row, 2, but 'sin' takes 1"),
        ("fadd", lambda *xs: sum(xs), 0, "as the row, any, but 'fadd' takes 2"),
        ("sine", math.sin, 1, "function of libm or LLVM that is .* but is 'sine'"),
        ("", math.sin, 1, "but is ''"),
        (math.sin, math.sin, 1, "but is <built-in function sin>"),
    ],
)  # fmt: skip
def test_native_name_of_another_function_is_refused(name, value, partials, reason):
    rules = [1.0] * partials or [lambda z, *xs: [1.0] * len(xs)]
    with pytest.raises(ValueError, match=f"^own: native must .*{reason}"):
        Primitive("own", value, *rules, native=name)


def test_native_name_is_tried_at_the_edges():
    edges = [((1e3,), 7.0, (0.0,))]
    with pytest.raises(ValueError, match=r"inf at \(1000.0\), where value gives 7.0"):
        Primitive(
            "own", lambda x: math.exp(x) if x < 99 else 7.0, lambda z, x: z,
            native="exp", edges=edges,
        )  # fmt: skip


def test_every_native_name_is_that_of_a_row_that_agrees_with_it():
    for name, row in primitives.NATIVE.items():
        assert row.native in (name, None) and not row.variadic


# ---- shares, ties, and other numbers of operands -------------------------------------


def test_softmax_gives_shares_of_operands_or_of_a_sequence() -> None:
    xs = [0.3, -1.0, 2.5]
    exact = [mp.exp(mp.mpf(x)) / mp.fsum(mp.exp(mp.mpf(y)) for y in xs) for x in xs]
    for found in (autograd.softmax(xs), autograd.softmax(*xs)):
        assert found == pytest.approx([float(p) for p in exact], rel=1e-15)
    values = autograd.softmax([Value(x) for x in xs])
    assert [p.data for p in values] == autograd.softmax(xs)
    assert autograd.softmax([0.0, -inf]) == [1.0, 0.0]
    assert autograd.softmax([-inf, -inf]) == [0.0, 0.0]
    assert autograd.softmax([1e308, 1e308]) == [0.5, 0.5]
    assert autograd.softmax([]) == autograd.log_softmax([]) == []


def test_derivatives_of_softmax_are_products_of_shares_and_of_sums_of_others() -> None:
    xs = [0.0, 55.0, -3.0]
    with mp.workdps(80):
        e = [mp.exp(mp.mpf(x)) for x in xs]
        p = [x / mp.fsum(e) for x in e]
        exact = [[float(p[i] * ((i == j) - p[j])) for j in range(3)] for i in range(3)]
    found = jacobian(lambda v: autograd.softmax(v))(xs)
    assert all(found[i] == pytest.approx(exact[i], rel=1e-14) for i in range(3))


def test_log_softmax_keeps_its_digits_and_those_of_its_derivatives() -> None:
    share = 4.248354255291589e-18
    assert autograd.log_softmax(40.0, 0.0) == [-share, -40.0]
    slopes = jacobian(lambda v: autograd.log_softmax(v))([40.0, 0.0])
    assert slopes[0] == pytest.approx([share, -share], rel=1e-15, abs=0.0)
    assert slopes[1] == pytest.approx([-1.0, 1.0], rel=1e-15)
    curved = hessian(lambda v: autograd.log_softmax(v)[0])([40.0, 0.0])
    assert curved[0] == pytest.approx([-share, share], rel=1e-14, abs=0.0)
    assert autograd.log_softmax([-inf, 0.0]) == [-inf, 0.0]


def test_curvature_of_log_softmax_keeps_its_digits_along_every_pair() -> None:
    for xs in ([40.0, 0.0], [40.0, 0.0, 3.0], [0.0, 55.0, -3.0], [1.0, 1.0, -20.0]):
        with mp.workdps(80):
            e = [mp.exp(mp.mpf(x)) for x in xs]
            p = [x / mp.fsum(e) for x in e]
            exact = [[float(q * (r - (q is r))) for r in p] for q in p]
        for i in range(len(xs)):
            found = hessian(lambda v, i=i: autograd.log_softmax(v)[i])(xs)
            for row, expected in zip(found, exact):
                assert row == pytest.approx(expected, rel=1e-14, abs=0.0)
    curved = grad(grad(lambda x: autograd.log_softmax([x, 0.0])[1]))(20.0)
    assert curved == pytest.approx(-2.0611536139418488e-09, rel=1e-15)


def test_an_infinite_operand_has_the_whole_share() -> None:
    assert autograd.softmax([inf, 0.0, -inf]) == [1.0, 0.0, 0.0]
    assert autograd.log_softmax([inf, 0.0]) == [0.0, -inf]
    assert grad(autograd.logsumexp)([inf, 0.0]) == [1.0, 0.0]
    assert grad(autograd.logsumexp)([inf, inf]) == [0.5, 0.5]
    assert hessian(autograd.logsumexp)([inf, 0.0]) == [[0.0, 0.0], [0.0, 0.0]]
    assert autograd.jit(grad(autograd.logsumexp))([0.0, inf]) == [0.0, 1.0]


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_a_tie_of_k_gives_each_a_kth(name: str) -> None:
    row = getattr(autograd, name)
    low = 0.0 if name == "maximum" else 9.0
    assert grad(row, (0, 1, 2))(1.0, 1.0, 1.0) == (1 / 3, 1 / 3, 1 / 3)
    assert grad(row)([2.0, low, 2.0, 2.0]) == [1 / 3, 0.0, 1 / 3, 1 / 3]
    assert grad(row)([2.0, 2.0]) == [0.5, 0.5]
    assert row([4.0, 4.0, low]) == row(4.0, low, 4) == 4.0
    assert row(3.0) == row([3.0]) == 3.0
    assert all(x != x for x in grad(row)([2.0, nan, 1.0]))
    y = row([Value(1.0), Value(low), Value(1.0)])
    assert len(y.parents) == 2
    compiled = autograd.jit(grad(lambda v: row(v)))
    assert compiled([2.0, low, 2.0, 2.0]) == [1 / 3, 0.0, 1 / 3, 1 / 3]


def test_logarithm_takes_a_base() -> None:
    assert autograd.log(8.0, 2.0) == math.log(8.0, 2.0)
    base_slope = grad(autograd.log, 1)(8.0, 2.0)
    assert base_slope == pytest.approx(-math.log(8) / (2 * math.log(2) ** 2))
    assert autograd.log(Value(8.0), 2).partials == (1 / math.log(2.0),)
    for x, result in ((3.0, inf), (0.5, -inf), (1.0, nan)):
        for found in (autograd.log(x, 1.0), autograd.log(Value(x), 1.0).data):
            assert repr(found) == repr(result)


def test_slopes_of_x_log_y_at_the_end_of_its_domain_have_slopes() -> None:
    def slope(by: tuple[int, ...], *point: float) -> float:
        f: Any = autograd.xlogy
        for i in by:
            f = grad(f, i)
        return float(f(*point))

    for by in ((0, 1), (1, 0)):
        assert slope(by, 0.0, 0.0) == slope(by, 1.0, 0.0) == inf
    for by in ((0, 1, 1), (1, 0, 1), (1, 1, 0)):
        assert slope(by, 0.0, 0.0) == slope(by, 1.0, 0.0) == -inf
    assert (slope((1, 1), 1.0, 0.0), slope((1, 1), -1.0, 0.0)) == (-inf, inf)
    assert (slope((1, 1), 0.0, 0.0), slope((1, 1, 1), 0.0, 0.0)) == (0.0, 0.0)


def test_derivatives_of_whole_powers_end_in_0_near_0_too() -> None:
    def third(n: int) -> Any:
        return grad(grad(grad(lambda x: x**n)))

    for x in (1e-155, -1e-155, 1e-200, 1e-307):
        for n in (0, 1, 2):
            assert third(n)(x) == autograd.jit(third(n))(x) == 0.0, (x, n)
        assert grad(grad(lambda x: x**0))(x) == 0.0
    assert third(2)(1e-320) == third(1)(5e-324) == 0.0
    curved = autograd.hessian(lambda v: v[0] ** v[1])([1e-200, 0.0])
    assert curved[0][0] == 0.0 and curved[0][1] == curved[1][0] == 1e200
    assert grad(grad(grad(autograd.pow), 1))(1e-200, 0.0) == -inf
    assert grad(grad(autograd.pow), 1)(inf, 0.0) == 0.0


def test_a_rule_that_overflows_gives_nan_as_such_a_value_does() -> None:
    row = Primitive("steep", lambda x: x, lambda z, x: math.exp(800 * x))
    assert math.isnan(Value(1.0)._apply(row, (Value(1.0),)).partials[0])
    assert math.isnan(grad(row)(1.0)) and grad(row)(0.0) == 1.0
    outside = Primitive("outside", lambda x: x, lambda z, x: math.log(x))
    assert math.isnan(grad(outside)(-1.0))
    both = Primitive("both", lambda *xs: sum(xs), lambda z, *xs: [math.exp(z)] * 2)
    assert all(map(math.isnan, grad(both, (0, 1))(500.0, 300.0)))


def test_isnan_and_isfinite_are_comparisons() -> None:
    assert autograd.isnan(nan) is True and autograd.isnan(Value(1.0)) is False
    assert autograd.isfinite(Value(1.0)) is True and autograd.isfinite(-inf) is False
    safe = autograd.jit(lambda x: 0.0 if autograd.isnan(x) else x * x)
    assert [safe(x) for x in (3.0, nan, 2.0)] == [9.0, 0.0, 4.0]
    with pytest.raises(TypeError, match="^isnan: x must be a real number, but is 'a'"):
        autograd.isnan("a")


@every_row
def test_whole_numbers_and_truths_beside_a_value_are_taken_as_floats(
    row: Primitive,
) -> None:
    if row.arity < 2:
        return
    for other in (2, True, False, -1):
        rest = [other] * (row.arity - 1)
        got = row(Value(0.5), *rest)
        want = row(Value(0.5), *map(float, rest))
        assert all_same(entries(got), entries(want)), other
        assert {type(x) for x in got.args} <= {float, Value}
