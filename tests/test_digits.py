"""Digits: value and partials of order 1 to 3 of every row, over the whole float range.

The measure is that of DESIGN's convention 8. A number may be off by k units in its last
place, or by k times what it changes when an operand changes by one such unit (max over
operands of |x·∂p/∂x|·ε), whichever is larger; k is the row's column `ulp`. The unit of
a subnormal number is the smallest float64; what overflows is infinite, with its sign.
There is no list of exceptions.

The exact numbers come from the value of each row alone: mpmath runs it on jets, Taylor
polynomials in all operands up to the fourth order (the fourth is for the measure). No
rule of the table has a part in it.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from math import inf
from typing import Any

import mpmath  # type: ignore[import-untyped]
import pytest

from autograd import Primitive, grad, hessian, jvp, primitives

mp = mpmath.MPContext()
mp.dps = 60

ROWS = {
    name: row for name, row in vars(primitives).items() if isinstance(row, Primitive)
}
Mp = Any  # a number of mpmath
Index = tuple[int, ...]  # how often along each operand
ORDER = 3
SMALLEST, EPSILON = -1074, 2.0**-52
OFF = 1 + 3 * EPSILON

# ---- jets: numbers that carry all their derivatives ----------------------------------


class Jet:
    """A Taylor polynomial: {how often along each operand: coefficient}, 1 first."""

    def __init__(self, parts: dict[Index, Mp]) -> None:
        self.parts = parts

    @property
    def number(self) -> Mp:
        return next(iter(self.parts.values()))

    def of(self, x: Any) -> Jet:
        if isinstance(x, Jet):
            return x
        return Jet({next(iter(self.parts)): mp.mpf(x)})

    def __add__(self, other: Any) -> Jet:
        found = dict(self.parts)
        for i, x in self.of(other).parts.items():
            found[i] = found.get(i, mp.zero) + x
        return Jet(found)

    def __mul__(self, other: Any) -> Jet:
        found: dict[Index, Mp] = {}
        for i, x in self.parts.items():
            for j, y in self.of(other).parts.items():
                if sum(i) + sum(j) <= ORDER + 1:
                    k = tuple([a + b for a, b in zip(i, j)])
                    found[k] = found.get(k, mp.zero) + x * y
        return Jet(found)

    def __neg__(self) -> Jet:
        return self * -1

    def __sub__(self, other: Any) -> Jet:
        return self + self.of(other) * -1

    def __rsub__(self, other: Any) -> Jet:
        return self.of(other) - self

    def __truediv__(self, other: Any) -> Jet:
        return self * self.of(other) ** -1

    def __rtruediv__(self, other: Any) -> Jet:
        return self.of(other) / self

    __radd__, __rmul__ = __add__, __mul__

    def __pow__(self, c: Any) -> Jet:
        x, c = self.number, mp.mpf(c)
        z = x**c
        return self.through([mp.binomial(c, k) * z / x**k for k in range(ORDER + 2)])

    def through(self, coefficients: Sequence[Mp]) -> Jet:
        """f of it, from the coefficients of f at its number."""
        first = next(iter(self.parts))
        rest = Jet({first: mp.zero} | {i: x for i, x in self.parts.items() if any(i)})
        found, term = self.of(0), self.of(1)
        for c in coefficients:
            found, term = found + term * c, term * rest
        return found


def by_slope(f: Callable[[Mp], Mp], slope: Callable[[Jet], Jet]) -> Callable[..., Jet]:
    """f on jets, from f on numbers and f′ on jets."""

    def on_jets(x: Jet) -> Jet:
        parts = slope(Jet({(0,): x.number, (1,): mp.one})).parts
        later = [parts.get((k,), mp.zero) / (k + 1) for k in range(ORDER + 1)]
        return x.through([f(x.number), *later])

    return on_jets


def by_cycle(*derivatives: Callable[[Mp], Mp]) -> Callable[[Jet], Jet]:
    """f on jets, from f, f′ … on numbers, which come again after the last."""

    def on_jets(x: Jet) -> Jet:
        found = [f(x.number) for f in derivatives]
        every = itertools.islice(itertools.cycle(found), ORDER + 2)
        return x.through([d / math.factorial(k) for k, d in enumerate(every)])

    return on_jets


# ---- the value of each row on jets ---------------------------------------------------

exp = by_cycle(mp.exp)
sin = by_cycle(mp.sin, mp.cos, lambda x: -mp.sin(x), lambda x: -mp.cos(x))
cos = by_cycle(mp.cos, lambda x: -mp.sin(x), lambda x: -mp.cos(x), mp.sin)
sinh, cosh = by_cycle(mp.sinh, mp.cosh), by_cycle(mp.cosh, mp.sinh)
log = by_slope(mp.log, lambda x: 1 / x)
atan = by_slope(mp.atan, lambda x: 1 / (1 + x * x))


def size(x: Jet) -> Jet:
    return x if x.number > 0 else -x


def sqrt(x: Jet) -> Jet:
    return x**0.5


def cbrt(x: Jet) -> Jet:
    z = size(x) ** (mp.one / 3)
    return z if x.number > 0 else -z


def logistic_slope(x: Jet) -> Jet:
    c = cosh(x * 0.5)
    return 1 / (c * c * 4)


logistic = by_slope(lambda x: 1 / (1 + mp.exp(-x)), logistic_slope)


def tanh_slope(x: Jet) -> Jet:
    c = cosh(x)
    return 1 / (c * c)


def gaussian(x: Jet) -> Jet:
    return exp(-(x * x))


def normal_cdf(x: Jet) -> Jet:
    of_number = by_slope(
        lambda x: mp.erfc(-x / mp.sqrt(2)) / 2,
        lambda x: exp(x * x * -0.5) / mp.sqrt(2 * mp.pi),
    )
    return of_number(x)


def polygamma(n: Jet, x: Jet) -> Jet:
    orders = range(ORDER + 2)
    with mp.extradps(0 if x.number > 0 else 150):
        found = [mp.psi(int(n.number) + k, x.number) for k in orders]
    return x.through([found[k] / math.factorial(k) for k in orders])


lgamma = by_slope(lambda x: mp.loggamma(x).real, lambda x: polygamma(x.of(0), x))


def gamma(x: Jet) -> Jet:
    return exp(lgamma(x)) * (mp.sign(mp.gamma(x.number)) if x.number < 0 else 1)


def power(x: Jet, y: Jet) -> Jet:
    """x to the power y; for x < 0 with its derivatives along x only."""
    return exp(y * log(x)) if x.number > 0 else x**y.number


def atan2(y: Jet, x: Jet) -> Jet:
    if abs(x.number) > abs(y.number):
        return atan(y / x) + (0 if x.number > 0 else mp.pi * mp.sign(y.number))
    return mp.pi / 2 * mp.sign(y.number) - atan(x / y)


def total(xs: Sequence[Jet]) -> Jet:
    return sum(xs[1:], xs[0])


def hypot(*xs: Jet) -> Jet:
    return sqrt(total([x * x for x in xs]))


def logsumexp(*xs: Jet) -> Jet:
    top = max(x.number for x in xs)
    return log(total([exp(x - top) for x in xs])) + top


def dot(*xs: Jet) -> Jet:
    half = len(xs) // 2
    return total([x * y for x, y in zip(xs, xs[half:])])


def log_beta(x: Jet, y: Jet) -> Jet:
    return lgamma(x) + lgamma(y) - lgamma(x + y)


def scaled_erfc(n: int, x: Jet) -> Jet:
    """e^(x²) iⁿerfc(x), by recurrence."""
    erfc = by_slope(mp.erfc, lambda x: gaussian(x) * (-2 / mp.sqrt(mp.pi)))
    before, found = x.of(2 / mp.sqrt(mp.pi)), exp(x * x) * erfc(x)
    for k in range(1, n + 1):
        before, found = found, (before - x * found * 2) / (2 * k)
    return found


def erfinv(y: Jet) -> Jet:
    """By its derivatives in x = erfinv(y): g = √π/2 e^(x²), 2 x g² …"""
    x = mp.erfinv(y.number)
    g = mp.sqrt(mp.pi) / 2 * mp.exp(x * x)
    polynomials = [mp.one, 2 * x, 8 * x**2 + 2, 48 * x**3 + 28 * x]
    later = [p * g ** (k + 1) for k, p in enumerate(polynomials)]
    return y.through([x, *[d / math.factorial(k + 1) for k, d in enumerate(later)]])


def log_normal_cdf(x: Mp) -> Mp:
    tail = mp.erfc(abs(x) / mp.sqrt(2)) / 2
    return mp.log1p(-tail) if x > 0 else mp.log(tail)


def inverse_mills(x: Jet) -> Jet:
    return exp(x * x * -0.5) / (normal_cdf(x) * mp.sqrt(2 * mp.pi))


def bessel(n: int, x: Jet) -> Jet:
    """jₙ(x), by its power series, which 0 needs, with digits to spare."""
    term = x.of(1)
    for k in range(1, n + 1):
        term = term * x / (2 * k + 1)
    found = term
    for k in range(1, 60 + int(2 * abs(x.number))):
        term = term * x * x * (mp.mpf(-0.5) / (k * (2 * (n + k) + 1)))
        found = found + term
    return found


def least(*xs: Jet) -> Jet:
    return min(xs, key=lambda x: x.number)


def greatest(*xs: Jet) -> Jet:
    return max(xs, key=lambda x: x.number)


def less_whole(x: Jet, y: Jet, whole: Callable[[Mp], Mp]) -> Jet:
    with mp.extradps(700):
        return x - y * whole(x.number / y.number)


def step(f: Callable[..., Any]) -> Callable[..., Jet]:
    return lambda *xs: xs[0].of(f(*[x.number for x in xs]))


EXACT: dict[str, Callable[..., Jet]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "neg": lambda x: -x,
    "pow": power,
    "_pow_less_one": lambda x, y: power(x, y - 1),
    "_pow_log": lambda x, y: power(x, y) * log(x),
    "mod": lambda x, y: less_whole(x, y, mp.floor),
    "remainder": lambda x, y: less_whole(x, y, mp.nint),
    "fmod": lambda x, y: less_whole(x, y, lambda q: mp.sign(q) * mp.floor(abs(q))),
    "fma": lambda x, y, w: x * y + w,
    "exp": exp,
    "exp2": lambda x: exp(x * mp.ln2),
    "expm1": by_slope(mp.expm1, exp),
    "log": log,
    "log2": lambda x: log(x) / mp.ln2,
    "log10": lambda x: log(x) / mp.ln10,
    "log1p": by_slope(mp.log1p, lambda x: 1 / (1 + x)),
    "log1mexp": by_slope(
        lambda x: mp.log1p(-mp.exp(x)) if x < -9 else mp.log(-mp.expm1(x)),
        lambda x: exp(x) / by_slope(mp.expm1, exp)(x),
    ),
    "xlogy": lambda x, y: x * log(y),
    "sqrt": sqrt,
    "cbrt": cbrt,
    "sin": sin,
    "cos": cos,
    "tan": lambda x: sin(x) / cos(x),
    "_one_minus_square": lambda x: 1 - x * x,
    "asin": by_slope(mp.asin, lambda x: 1 / sqrt(1 - x * x)),
    "acos": by_slope(mp.acos, lambda x: -1 / sqrt(1 - x * x)),
    "_atan_slope": lambda x: 1 / (1 + x * x),
    "atan": atan,
    "atan2": atan2,
    "sinh": sinh,
    "cosh": cosh,
    "_tanh_slope": tanh_slope,
    "tanh": by_slope(mp.tanh, tanh_slope),
    "asinh": by_slope(mp.asinh, lambda x: 1 / sqrt(1 + x * x)),
    "acosh": by_slope(mp.acosh, lambda x: 1 / sqrt(x * x - 1)),
    "atanh": by_slope(mp.atanh, lambda x: 1 / (1 - x * x)),
    "degrees": lambda x: x * (180 / mp.pi),
    "radians": lambda x: x * (mp.pi / 180),
    "_gaussian": gaussian,
    "erf": by_slope(mp.erf, lambda x: gaussian(x) * (2 / mp.sqrt(mp.pi))),
    "erfc": by_slope(mp.erfc, lambda x: gaussian(x) * (-2 / mp.sqrt(mp.pi))),
    "gamma": gamma,
    "lgamma": lgamma,
    "polygamma": polygamma,
    "digamma": lambda x: polygamma(x.of(0), x),
    "_polygamma_gap": lambda n, x, y: polygamma(n, x) - polygamma(n, x + y),
    "lbeta": log_beta,
    "beta": lambda x, y: exp(log_beta(x, y)),
    "_erfcx": lambda n, x: scaled_erfc(int(n.number), x),
    "erfcx": lambda x: scaled_erfc(0, x),
    "erfinv": erfinv,
    "_inverse_mills": inverse_mills,
    "log_ndtr": by_slope(log_normal_cdf, inverse_mills),
    "_spherical_bessel": lambda n, x: bessel(int(n.number), x * mp.pi),
    "sinc": lambda x: bessel(0, x * mp.pi),
    "hypot": hypot,
    "less": step(lambda x, y: x < y),
    "less_equal": step(lambda x, y: x <= y),
    "greater": step(lambda x, y: x > y),
    "greater_equal": step(lambda x, y: x >= y),
    "equal": step(lambda x, y: x == y),
    "not_equal": step(lambda x, y: x != y),
    "where": lambda condition, x, y: x if condition.number else y,
    "_add_unless": lambda absent, x, y: x if absent.number else x + y,
    "maximum": greatest,
    "minimum": least,
    "_maximum": greatest,
    "_minimum": least,
    "clip": lambda x, lo, hi: least(greatest(x, lo), hi),
    "abs": size,
    "sign": step(mp.sign),
    "floor": step(mp.floor),
    "ceil": step(mp.ceil),
    "trunc": step(lambda x: mp.sign(x) * mp.floor(abs(x))),
    "copysign": lambda x, y: size(x) if y.number > 0 else -size(x),
    "_sigmoid_slope": logistic_slope,
    "_sigmoid_moment": lambda x: x * logistic_slope(x),
    "sigmoid": logistic,
    "softplus": by_slope(lambda x: mp.log1p(mp.exp(x)), logistic),
    "log_sigmoid": lambda x: -by_slope(lambda x: mp.log1p(mp.exp(x)), logistic)(-x),
    "relu": lambda x: x if x.number > 0 else x.of(0),
    "leaky_relu": lambda x, slope: x if x.number > 0 else slope * x,
    "silu": lambda x: x * logistic(x),
    "gelu": lambda x: x * normal_cdf(x),
    "_share": lambda x, y: x / (x + y),
    "logsumexp": logsumexp,
    "_log_share": lambda x, y: x - log(exp(x) + y),
    "logaddexp": logsumexp,
    "dot": dot,
    "prod": lambda *xs: math.prod(xs[1:], start=xs[0]),
    "identity": lambda x: x,
    "stop_gradient": step(lambda x: x),
}
DEPENDENT = {"_cosine"}  # its operands go together: it is measured as part of hypot

every_row = pytest.mark.parametrize("name", EXACT)

# ---- operands ------------------------------------------------------------------------

MAGNITUDES = (
    1e-320, 1e-300, 1e-155, 1e-103, 1e-17, 1e-8, 0.1, 0.5, 1.0 - 2**-53, 1.0, 1.5, 2.0,
    3.3, 12.5, 20.0, 25.9, 36.9, 171.7, 300.0, 712.0, 745.0, 800.0, 1024.1, 1e8, 1e17,
    1e55, 1e80, 1e100, 1e160, 1e300, 1.7e308,
)  # fmt: skip
COUNT = 15  # of far points and of near ones, for a row of several operands

# Where mpmath follows quickly, and where nothing overflows that a zero then multiplies.
REACH = {
    "polygamma": (1e-300, 2e4), "digamma": (1e-300, 2e4), "beta": (1e-4, 900.0),
    "lbeta": (1e-4, 2e4), "_polygamma_gap": (1e-4, 2e4), "_erfcx": (0.0, 30.0),
    "erfcx": (0.0, 30.0), "log_ndtr": (0.0, 37.0), "sinc": (1e-300, 40.0),
    "_inverse_mills": (0.0, 37.0),
    "_spherical_bessel": (1e-50, 40.0), "erfinv": (1e-17, 1.0),
    "gamma": (0.0, 800.0), "lgamma": (0.0, 1e17),
    "gelu": (0.0, 1e4), "erf": (0.0, 1e4), "erfc": (0.0, 1e4),
    "_gaussian": (0.0, 1e4), "pow": (0.0, 1e80), "_pow_less_one": (1e-300, 1e8),
    "_pow_log": (0.0, 1e80), "atan2": (1e-100, inf), "exp": (0.0, 1e17),
    "exp2": (0.0, 1e17), "expm1": (0.0, 1e17), "sinh": (0.0, 1e17),
    "cosh": (0.0, 1e17),
}  # fmt: skip


# On the left the third derivative of ln Φ is what a difference of products leaves.
MOST = {"log_ndtr": 2, "_inverse_mills": 2}

# the orders of rows whose first operand is one
ORDERS = {
    "polygamma": (0.0, 1.0, 2.0, 5.0, 40.0), "_polygamma_gap": (0.0, 1.0, 2.0),
    "_erfcx": (0.0, 1.0, 2.0, 3.0), "_spherical_bessel": (0.0, 1.0, 2.0, 3.0),
}  # fmt: skip


def pool(row: Primitive) -> list[float]:
    low, high = REACH.get(row.name, (0.0, inf))
    sizes = [x for x in MAGNITUDES if low <= x <= high]
    return [0.0, *sizes, *[-x for x in sizes]]


def points(row: Primitive) -> Iterator[tuple[float, ...]]:
    """Operands over the whole float range, where the row has a derivative."""
    edges = [args for args, _, _ in row.edges]
    for args in candidates(row, random.Random(row.name)):
        if args not in edges and is_smooth(row, args):
            yield args


def candidates(row: Primitive, rng: random.Random) -> Iterator[tuple[float, ...]]:
    if row.arity == 1:
        yield from [(x,) for x in pool(row)]
    elif row.name in ("logsumexp", "logaddexp"):
        for top, gap in itertools.product(
            (0.0, 1.0, -745.0, 1e8, 1e17, -1e300), (0.0, 1.0, 20.0, 55.0, 300.0, 744.0)
        ):
            yield top, top - gap
            if gap and row.variadic:
                yield top - gap, top, top - rng.uniform(0, 60)
    elif row.name == "_log_share":
        for _ in range(COUNT):
            yield -rng.choice([0.0, 1e-9, 1.0, 40.0, 700.0]), 1.0 + rng.uniform(0, 5)
    elif row.name in ORDERS:
        for _ in range(COUNT):
            rest = rng.choices(pool(row), k=row.arity - 1)
            yield rng.choice(ORDERS[row.name]), *rest
    else:
        count = row.arity or 2
        near = [(10.0 ** rng.uniform(-3, 3), rng.uniform(-3, 3)) for _ in range(COUNT)]
        for scale, power in near:
            yield tuple(rng.choices(pool(row), k=count))
            rest = [scale * rng.uniform(-9, 9) for _ in range(count - 2)]
            yield (scale * rng.uniform(0.1, 9), power, *rest)


def is_smooth(row: Primitive, args: tuple[float, ...]) -> bool:
    """Whether the row has all its derivatives there."""
    x, last = args[0], args[-1]
    if row.name in ("beta", "lbeta", "_polygamma_gap"):
        least = (
            0.5 if row.name == "beta" else 0.0
        )  # B is 1/x near 0, and x's poles cancel
        return min(args[-2:]) > least
    if row.name == "xlogy":
        return last > 0.0
    if row.name in ("gamma", "lgamma", "polygamma", "digamma"):
        return last > 0.0 or last != math.floor(last)
    if row.name in ("pow", "_pow_less_one"):
        return x > 0.0 or (x < 0.0 and last == math.floor(last))
    if row.name in ("_pow_log", "_share"):
        return x > 0.0 and (row.name != "_share" or last > 0.0)
    if row.name == "_log_share":
        return -745.0 < x <= 0.0 and 1.0 <= last < 1e3
    if row.name in ("div", "mod", "fmod", "remainder"):
        return last != 0.0
    if row.name in ("atan2", "hypot"):
        return any(args)
    if row.name in ("abs", "relu", "leaky_relu", "sign", "copysign"):
        return x != 0.0 and (row.name != "copysign" or last != 0.0)
    if row.name in ("maximum", "minimum", "clip", "_maximum", "_minimum"):
        return len(set(args)) == len(args)
    return row.arity != 1 or row.domain[0] < x < row.domain[1]


def variables(row: Primitive, args: Sequence[float]) -> list[int]:
    """The operands to differentiate along: no orders, no exponent of a negative."""
    if row.name in ORDERS:
        return list(range(1, row.arity))
    negative = row.name in ("pow", "_pow_less_one") and args[0] < 0.0
    return [0] if negative else list(range(len(args)))


def along(row: Primitive, args: Sequence[float]) -> list[tuple[int, ...]]:
    """What to differentiate by, in order; mixed second derivatives both ways round.

    A private row is a derivative already.
    """
    free = variables(row, args)
    orders = [itertools.product(free, repeat=order) for order in range(ORDER + 1)]
    most = 0 if row.constant else 1 if row.select else MOST.get(row.name, ORDER)
    most -= row.name[0] == "_" and most > 1
    every = itertools.chain(*orders[: most + 1])
    return [i for i in every if len(i) < ORDER or tuple(sorted(i)) == i]


# ---- the measure ---------------------------------------------------------------------


@cache
def exact(name: str, args: tuple[float, ...]) -> dict[Index, Mp]:
    """Every partial up to the fourth order."""
    free = variables(ROWS[name], args)
    with mp.workdps(needed_digits(name, args)):
        jets = [
            Jet(
                {(0,) * len(free): mp.mpf(x)}
                | ({tuple([int(i == j) for j in free]): mp.one} if i in free else {})
            )
            for i, x in enumerate(args)
        ]
        parts = EXACT[name](*jets).parts
        return {
            index: x * math.prod(map(math.factorial, index))
            for index, x in parts.items()
        }


def needed_digits(name: str, args: tuple[float, ...]) -> int:
    """Digits in which nothing cancels that is left of sums: hypot's, logsumexp's."""
    if name in ("logsumexp", "logaddexp", "_log_share"):
        return 700
    if name in (
        "_erfcx",
        "erfcx",
        "log_ndtr",
        "_inverse_mills",
        "_spherical_bessel",
        "sinc",
    ):
        return 400
    if name in ("_polygamma_gap", "lbeta", "beta"):
        return 150
    scales = [math.frexp(x)[1] * 0.302 for x in args if x] or [0.0]
    return 60 + int(4 * (max(scales) - min(scales)) if len(args) > 1 else 60)


def error(row: Primitive, args: tuple[float, ...], by: Index, got: float) -> float:
    """How often the measure allows it at k = 1."""
    partials, free = exact(row.name, args), variables(row, args)
    index = tuple([by.count(i) for i in free])
    p = partials.get(index, mp.zero)
    if abs(p) >= mp.ldexp(1, 1024) * (1 - EPSILON):
        return 0.0 if got == math.copysign(inf, p) else inf
    unit = mp.ldexp(1, max(int(mp.frexp(p)[1]) - 53 if p else SMALLEST, SMALLEST))
    for j, i in enumerate(free):
        next_index = tuple([n + (j == m) for m, n in enumerate(index)])
        slope = partials.get(next_index, mp.zero)
        unit = max(unit, abs(args[i] * slope) * EPSILON)
    return float(min(abs(got - p) / unit, 1e300)) if math.isfinite(got) else inf


Partial = Callable[..., Any]


def backward(row: Partial, by: Index) -> Partial:
    for i in by:
        row = grad(row, i)
    return row


def forward(row: Partial, by: Index) -> Partial:
    """By nested jvp, each along one operand alone."""

    def along_one(f: Partial, i: int) -> Partial:
        return lambda *xs: jvp(
            lambda t: f(*[*xs[:i], t, *xs[i + 1 :]]), (xs[i],), (1.0,)
        )[1]

    for i in by:
        row = along_one(row, i)
    return row


@every_row
def test_every_digit_of_value_and_partials_is_right(name: str) -> None:
    row = ROWS[name]
    for args in points(row):
        for by in along(row, args):
            for mode in (backward, forward)[: len(by)] or (backward,):
                got = mode(row, by)(*args)
                k = error(row, args, by, got)
                assert k <= row.ulp, (args, by, mode.__name__, got, k)


def test_every_row_is_measured() -> None:
    assert {*EXACT} | DEPENDENT == {*ROWS}


@pytest.mark.parametrize(
    ("wrong", "by"),
    [
        (Primitive("exp", lambda x: math.exp(x) * OFF, lambda z, x: z / OFF), ()),
        (Primitive("exp", math.exp, lambda z, x: z * OFF), (0,)),
        (Primitive("tanh", math.tanh, lambda z, x: 1 - z * z), (0,)),
        (Primitive("atanh", math.atanh, lambda z, x: 1 / ((1 - x) * (1 + x))), (0, 0)),
        (Primitive("exp2", math.exp2, lambda z, x: z * math.log(2.0)), (0,)),
        (Primitive("atan", math.atan, lambda z, x: 1 / (1 + x * x)), (0, 0, 0)),
    ],
)  # fmt: skip
def test_measure_catches_what_loses_digits(wrong: Primitive, by: Index) -> None:
    right = ROWS[wrong.name]
    worst = max(
        error(right, args, by, backward(wrong, by)(*args)) for args in points(right)
    )
    assert worst > right.ulp


# ---- what was lost once --------------------------------------------------------------


def test_slopes_of_saturated_functions_keep_their_digits() -> None:
    assert grad(primitives.tanh)(20.0) == 1.6993417021166355e-17
    assert grad(primitives.sigmoid)(40.0) == 4.248354255291589e-18
    assert grad(lambda x: primitives.log(grad(primitives.tanh)(x)))(20.0) == -2.0
    for row in ("tanh", "sigmoid", "softplus", "silu", "_tanh_slope", "_atan_slope"):
        for x in (inf, -inf):
            partials = [backward(ROWS[row], (0,) * order)(x) for order in (2, 3)]
            assert partials == [0.0, 0.0], (row, x)


def test_shares_of_logsumexp_sum_to_1_whatever_its_rounding() -> None:
    for m in (0.0, 1e8, 1e17, -1e300):
        assert grad(primitives.logsumexp)([m, m]) == [0.5, 0.5]
    s = 4.248354255291589e-18
    assert hessian(primitives.logsumexp)([40.0, 0.0]) == [[s, -s], [-s, s]]
    curved = hessian(primitives.logsumexp)([0.0, 55.0, -3.0])
    assert all(curved[i][i] > 0.0 for i in range(3))
    assert grad(primitives.logsumexp)([0.0, -inf]) == [1.0, 0.0]
    assert hessian(primitives.logsumexp)([-inf, -inf]) == [[0.0, 0.0], [0.0, 0.0]]


def test_hessian_of_hypot_keeps_the_square_of_the_others() -> None:
    assert hessian(primitives.hypot)([1.0, 1e-9])[0][0] == pytest.approx(1e-18)
    assert hessian(primitives.hypot)([0.0, 0.0]) == [[0.0, 0.0], [0.0, 0.0]]
    assert hessian(primitives.hypot)([0.0, 5e-324])[0] == [inf, 0.0]


def test_third_derivatives_of_hypot_are_right_on_an_axis_and_by_a_long_side() -> None:
    for by, sides, expected in [
        ((0, 1, 1), (3.0, 0.0, 0.0), -1 / 9),
        ((1, 1, 0), (3.0, 0.0, 0.0), -1 / 9),
        ((1, 2, 2), (0.0, 4.98, 0.0), -1 / 4.98**2),
        ((0, 1, 1), (2.0, 0.0, 0.0, 0.0), -1 / 4),
        ((0, 1, 2), (1e10, 1.0, 1.0), 3e-40),
        ((2, 1, 0), (1e10, 1.0, 1.0), 3e-40),
    ]:
        f: Any = primitives.hypot
        for i in by:
            f = grad(f, i)
        assert f(*sides) == pytest.approx(expected, rel=1e-15, abs=0.0)


def power_of(v: list[Any]) -> Any:
    return v[0] ** v[1]


def test_power_forgets_no_derivative_at_special_operands() -> None:
    assert hessian(power_of)([2.0, 0.0])[0][1] == hessian(power_of)([2.0, 0.0])[1][0]
    assert hessian(power_of)([2.0, 0.0])[0][1] == 0.5
    assert backward(lambda x: x**x, (0, 0, 0))(1.0) == 3.0
    fourth = backward(lambda x, y: x**y, (0, 0, 1, 1))(3.0, 2.0)
    log_3 = math.log(3.0)
    assert fourth == pytest.approx(2 * log_3 * (log_3 + 3) + 2, rel=1e-14)
    curved = hessian(power_of)([1e-200, 2.0])
    assert curved[0][1] == curved[1][0] == pytest.approx(-9.200340371976183e-198)
    slope = backward(lambda y: (-8.0) ** y, (0, 0))(0.5)
    assert slope != slope


@pytest.mark.parametrize(
    ("y", "mixed"),
    [
        (-2.0, inf), (-0.5, inf), (0.0, 0.0), (0.3, -inf), (0.5, -inf), (1.0, -inf),
        (1.5, 0.0), (2.0, 0.0), (3.0, 0.0),
    ],
)  # fmt: skip
def test_mixed_slopes_of_a_power_of_0_are_one_limit(y: float, mixed: float) -> None:
    """Save where y is 0: there x⁰ is flat, and so is its slope along y."""
    curved = hessian(power_of)([0.0, y])
    assert curved[0][1] == curved[1][0] == mixed


def test_derivatives_that_overflow_are_infinite() -> None:
    assert grad(primitives.exp2)(1024.0) == pytest.approx(1.246e308, rel=1e-3)
    assert backward(primitives.gamma, (0, 0, 0))(172.0) == inf
    assert backward(primitives.cbrt, (0, 0, 0))(1e-156) == inf


def test_sinc_far_out_goes_by_the_distance_to_the_next_whole_number() -> None:
    sinc = primitives.sinc
    assert sinc(1e10 + 0.5) == 3.183098861678752e-11
    assert (sinc(1e10), grad(sinc)(1e10), grad(sinc)(1e300)) == (0.0, 1e-10, 1e-300)
    for x in (7.3, 2.0**50 + 0.75, 2.0**52 - 0.5, 1000.3, 1e10 + 0.25, 0.5 - 2**-54):
        with mp.workdps(60):
            t = mp.pi * x
            right = mp.sin(t) / t, mp.cos(t) / x - mp.sin(t) / (t * x)
        for got, z in zip((sinc(x), grad(sinc)(x)), right):
            assert abs(got - z) <= 6 * EPSILON * abs(z), (x, got)


def test_lbeta_is_finite_where_a_sum_or_gamma_overflows() -> None:
    lbeta = primitives.lbeta
    assert lbeta(1e308, 1e308) == pytest.approx(-1e308 * (2 * math.log(2.0)), rel=1e-15)
    for x, y in ((1e-310, 1.0), (1e-310, 1e-310), (5e-324, 50.0), (1e-310, 3e-308)):
        with mp.workdps(700):
            right = mp.log((mp.mpf(x) + y) / (mp.mpf(x) * y)) if y < 1 else -mp.log(x)
        assert lbeta(x, y) == lbeta(y, x) == pytest.approx(float(right), rel=1e-15)
