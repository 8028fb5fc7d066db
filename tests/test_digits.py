"""Digits: value and partials of order 1 to 3 of every row, over the whole float range.

The measure is that of DESIGN's convention 8. A number may be off by k units in the last
place of the number itself, or by k times what it changes when an operand changes by one
such unit (max over operands of |x·∂p/∂x|·ε), whichever is larger; k is the row's column
`ulp`. The unit of a subnormal number is the smallest float64; what overflows is
infinite, with its sign. There is no list of exceptions.

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

from autograd import Primitive, grad, jvp, primitives

mp = mpmath.MPContext()
ROWS = {
    name: row for name, row in vars(primitives).items() if isinstance(row, Primitive)
}
Mp = Any  # a number of mpmath
Index = tuple[int, ...]  # how often along each operand
ORDER = 3
SMALLEST, SMALLEST_NORMAL, EPSILON = -1074, -1022, 2.0**-52

# ---- jets: numbers that carry all their derivatives ----------------------------------


class Jet:
    """A Taylor polynomial: {how often along each operand: coefficient}."""

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
        return self * (self.of(other) ** -1)

    def __rtruediv__(self, other: Any) -> Jet:
        return self.of(other) / self

    __radd__, __rmul__ = __add__, __mul__

    def __pow__(self, c: float | Mp) -> Jet:
        x, c = self.number, mp.mpf(c)
        return self.through(
            [mp.binomial(c, k) * x ** (c - k) for k in range(ORDER + 2)]
        )

    def through(self, coefficients: Sequence[Mp]) -> Jet:
        """f of it, from the coefficients of f at its number."""
        zero = next(iter(self.parts))
        rest = Jet({zero: mp.zero} | {i: x for i, x in self.parts.items() if any(i)})
        found, term = self.of(0), self.of(1)
        for c in coefficients:
            found, term = found + term * c, term * rest
        return found


def integral(f: Callable[[Mp], Mp], slope: Callable[[Jet], Jet]) -> Callable[[Jet], Jet]:
    """f on jets, from f on numbers and f′ on jets."""

    def on_jets(x: Jet) -> Jet:
        parts = slope(Jet({(0,): x.number, (1,): mp.one})).parts
        later = [parts.get((k,), mp.zero) / (k + 1) for k in range(ORDER + 1)]
        return x.through([f(x.number), *later])

    return on_jets


def exp(x: Jet) -> Jet:
    e = mp.exp(x.number)
    return x.through([e / math.factorial(k) for k in range(ORDER + 2)])


def sin(x: Jet, quarters: int = 0) -> Jet:
    s, c = mp.sin(x.number), mp.cos(x.number)
    cycle = [s, c, -s, -c] * 2
    return x.through(
        [cycle[k + quarters] / math.factorial(k) for k in range(ORDER + 2)]
    )


def cos(x: Jet) -> Jet:
    return sin(x, 1)


log = integral(lambda x: mp.log(x), lambda x: x**-1)


def sqrt(x: Jet) -> Jet:
    return x ** mp.mpf(0.5)


def polygamma(n: Jet, x: Jet) -> Jet:
    order = int(n.number)
    return x.through(
        [mp.psi(order + k, x.number) / math.factorial(k) for k in range(ORDER + 2)]
    )


def gaussian(x: Jet) -> Jet:
    return exp(-(x * x))


def size(x: Jet) -> Jet:
    return x if x.number > 0 else -x


def cbrt(x: Jet) -> Jet:
    z = size(x) ** (mp.one / 3)
    return z if x.number > 0 else -z


def tanh(x: Jet) -> Jet:
    return 1 - 2 / (exp(2 * x) + 1)


def logistic(x: Jet) -> Jet:
    return 1 / (1 + exp(-x))


def share(x: Jet, y: Jet) -> Jet:
    return x / (x + y)


def normal_cdf(x: Jet) -> Jet:
    phi = integral(
        lambda x: mp.erfc(-x / mp.sqrt(2)) / 2,
        lambda x: exp(x * x * -0.5) / mp.sqrt(2 * mp.pi),
    )
    return phi(x)


def lgamma(x: Jet) -> Jet:
    slope = polygamma(x.of(0), x)
    parts = slope.parts
    later = [parts.get((k,), mp.zero) / (k + 1) for k in range(ORDER + 1)]
    return x.through([mp.loggamma(x.number).real, *later])


def gamma(x: Jet) -> Jet:
    return exp(lgamma(x)) * mp.sign(mp.gamma(x.number))


def total(xs: Sequence[Jet]) -> Jet:
    return sum(xs[1:], xs[0])


def hypot(*xs: Jet) -> Jet:
    return sqrt(total([x * x for x in xs]))


def power(x: Jet, y: Jet) -> Jet:
    if x.number > 0:
        return exp(y * log(x))
    return Jet({i: c for i, c in (x ** y.number).parts.items()})


def atan2(y: Jet, x: Jet) -> Jet:
    if abs(x.number) > abs(y.number):
        z = atan(y / x)
        return z if x.number > 0 else z + mp.pi * mp.sign(y.number)
    return mp.pi / 2 * mp.sign(y.number) - atan(x / y)


atan = integral(lambda x: mp.atan(x), lambda x: 1 / (1 + x * x))


def logsumexp(*xs: Jet) -> Jet:
    top = max(x.number for x in xs)
    return log(total([exp(x - top) for x in xs])) + top


def product_of(xs: Sequence[Jet]) -> Jet:
    return math.prod(xs[1:], start=xs[0])


def dot(*xs: Jet) -> Jet:
    half = len(xs) // 2
    return total([x * y for x, y in zip(xs, xs[half:])])


def least(*xs: Jet) -> Jet:
    return min(xs, key=lambda x: x.number)


def greatest(*xs: Jet) -> Jet:
    return max(xs, key=lambda x: x.number)


def step(f: Callable[..., Any]) -> Callable[..., Jet]:
    return lambda *xs: xs[0].of(f(*[x.number for x in xs]))


ORACLE: dict[str, Callable[..., Jet]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "neg": lambda x: -x,
    "pow": power,
    "mod": lambda x, y: x - y * mp.floor(x.number / y.number),
    "fma": lambda x, y, w: x * y + w,
    "_fmod": lambda x, y: x - y * mp.sign(x.number * y.number) * mp.floor(abs(x.number / y.number)),
    "_pow_less_one": lambda x, y: power(x, y - 1),
    "_pow_log": lambda x, y: power(x, y) * log(x),
    "_one_minus_square": lambda x: 1 - x * x,
    "_atan_slope": lambda x: 1 / (1 + x * x),
    "_tanh_slope": lambda x: 4 / ((exp(x) + exp(-x)) * (exp(x) + exp(-x))),
    "_sigmoid_slope": lambda x: logistic(x) * logistic(-x),
    "_share": share,
    "exp": exp,
    "exp2": lambda x: exp(x * mp.ln2),
    "expm1": lambda x: exp(x) - 1,
    "log": log,
    "log2": lambda x: log(x) / mp.ln2,
    "log10": lambda x: log(x) / mp.ln10,
    "log1p": lambda x: log(1 + x),
    "sqrt": sqrt,
    "cbrt": cbrt,
    "sin": sin,
    "cos": cos,
    "tan": lambda x: sin(x) / cos(x),
    "asin": integral(lambda x: mp.asin(x), lambda x: 1 / sqrt(1 - x * x)),
    "acos": integral(lambda x: mp.acos(x), lambda x: -1 / sqrt(1 - x * x)),
    "atan": atan,
    "atan2": atan2,
    "sinh": lambda x: (exp(x) - exp(-x)) / 2,
    "cosh": lambda x: (exp(x) + exp(-x)) / 2,
    "tanh": tanh,
    "asinh": integral(lambda x: mp.asinh(x), lambda x: 1 / sqrt(1 + x * x)),
    "acosh": integral(lambda x: mp.acosh(x), lambda x: 1 / sqrt(x * x - 1)),
    "atanh": integral(lambda x: mp.atanh(x), lambda x: 1 / (1 - x * x)),
    "degrees": lambda x: x * (180 / mp.pi),
    "radians": lambda x: x * (mp.pi / 180),
    "_gaussian": gaussian,
    "erf": integral(lambda x: mp.erf(x), lambda x: gaussian(x) * (2 / mp.sqrt(mp.pi))),
    "erfc": integral(
        lambda x: mp.erfc(x), lambda x: gaussian(x) * (-2 / mp.sqrt(mp.pi))
    ),
    "gamma": gamma,
    "lgamma": lgamma,
    "polygamma": polygamma,
    "hypot": hypot,
    "less": step(lambda x, y: x < y),
    "less_equal": step(lambda x, y: x <= y),
    "greater": step(lambda x, y: x > y),
    "greater_equal": step(lambda x, y: x >= y),
    "equal": step(lambda x, y: x == y),
    "not_equal": step(lambda x, y: x != y),
    "where": lambda condition, x, y: x if condition.number else y,
    "maximum": greatest,
    "minimum": least,
    "clip": lambda x, lo, hi: least(greatest(x, lo), hi),
    "abs": size,
    "sign": step(lambda x: mp.sign(x)),
    "floor": step(lambda x: mp.floor(x)),
    "ceil": step(lambda x: mp.ceil(x)),
    "copysign": lambda x, y: size(x) if y.number > 0 else -size(x),
    "sigmoid": logistic,
    "softplus": lambda x: log(1 + exp(x)),
    "relu": lambda x: x if x.number > 0 else x.of(0),
    "leaky_relu": lambda x, slope: x if x.number > 0 else slope * x,
    "silu": lambda x: x * logistic(x),
    "gelu": lambda x: x * normal_cdf(x),
    "logsumexp": logsumexp,
    "dot": dot,
    "prod": lambda *xs: product_of(xs),
    "identity": lambda x: x,
    "stop_gradient": step(lambda x: x),
}

# ---- operands ------------------------------------------------------------------------

MAGNITUDES = (
    1e-320, 1e-300, 1e-200, 1e-155, 1e-103, 1e-50, 1e-17, 1e-8, 1e-4, 0.1, 0.25, 0.5,
    0.7, 1.0 - 2**-53, 1.0, 1.0 + 2**-52, 1.2, 1.5, 2.0, 3.3, 7.1, 12.5, 20.0, 26.7,
    36.9, 38.2, 100.3, 171.7, 300.0, 708.5, 712.0, 745.0, 800.0, 1023.7, 1e4, 1e8,
    1e17, 1e55, 1e77, 1e80, 1e100, 1e154, 1e160, 1e200, 1e300, 1.7e308,
)  # fmt: skip
OPERANDS_OF_VARIADIC = 3

# Where mpmath follows quickly.
REACH = {
    "polygamma": (1e-300, 2e4),
    "gamma": (0.0, 800.0),
    "lgamma": (0.0, 1e17),
    "gelu": (0.0, 1e4),
    "erf": (0.0, 1e4),
    "erfc": (0.0, 1e4),
    "_gaussian": (0.0, 1e4),
}


def pool(row: Primitive) -> list[float]:
    low, high = REACH.get(row.name, (0.0, inf))
    sizes = [x for x in MAGNITUDES if low <= x <= high]
    return [0.0, *sizes, *[-x for x in sizes]]


def points(row: Primitive) -> Iterator[tuple[float, ...]]:
    """Operands over the whole float range, where the row has a derivative."""
    count = row.arity or OPERANDS_OF_VARIADIC
    rng = random.Random(row.name)
    if count == 1:
        every = [(x,) for x in pool(row)]
    else:
        every = [tuple(rng.choices(pool(row), k=count)) for _ in range(60)]
        near = [10.0 ** rng.uniform(-3, 3) for _ in range(20)]
        every += [
            tuple([x * rng.choice([-1, 1]) * rng.uniform(0.1, 10) for _ in range(count)])
            for x in near
        ]
    if row.name == "polygamma":
        every = [(float(rng.choice([0, 1, 2, 5, 40])), x) for _, x in every]
    edges = [args for args, _, _ in row.edges]
    return (args for args in every if args not in edges and regular(row, args))


def regular(row: Primitive, args: tuple[float, ...]) -> bool:
    """Whether the row is smooth there."""
    x, *others = args
    if row.name in ("gamma", "lgamma", "polygamma"):
        x = args[-1]
        return x > 0.0 or x != math.floor(x)
    if row.name in ("_pow_log", "_share"):
        return x > 0.0
    if row.name in ("pow", "_pow_less_one"):
        return x > 0.0 or (x < 0.0 and others[0] == math.floor(others[0]))
    if row.name in ("div", "mod", "_fmod"):
        return others[0] != 0.0
    if row.name in ("atan2", "hypot"):
        return any(args)
    if row.name in ("abs", "relu", "leaky_relu", "sign"):
        return x != 0.0
    if row.name == "copysign":
        return x != 0.0 != others[0]
    if row.name in ("maximum", "minimum", "clip"):
        return len(set(args)) == len(args)
    if row.arity == 1:
        return row.domain[0] < x < row.domain[1]
    return True


def variables(row: Primitive, count: int) -> list[int]:
    """Which operands are no whole numbers."""
    return [1] if row.name == "polygamma" else list(range(count))


def digits_for(args: Sequence[float]) -> int:
    scales = [math.frexp(x)[1] * 0.31 for x in args if x] or [0.0]
    span = max(scales) - min(scales) if len(args) > 1 else abs(scales[0])
    return int(60 + (4 if len(args) > 1 else 3) * max(span, max(0.0, max(map(abs,scales)) if len(args)==1 else 0)))


@cache
def exact_partials(name: str, args: tuple[float, ...]) -> dict[Index, Mp]:
    """Every partial up to the fourth order."""
    row = ROWS[name]
    free = variables(row, len(args))
    with mp.workdps(digits_for(args)):
        jets = [
            Jet({(0,) * len(free): mp.mpf(x)}
                | ({tuple(int(j == i) for j in free): mp.one} if i in free else {}))
            for i, x in enumerate(args)
        ]
        parts = ORACLE[name](*jets).parts
        return {
            index: c * math.prod(map(math.factorial, index))
            for index, c in parts.items()
        }


def allowance(exact: dict[Index, Mp], args: Sequence[float], free: Sequence[int], index: Index) -> tuple[Mp, Mp]:
    """The number at that index and what k = 1 allows."""
    p = exact.get(index, mp.zero)
    unit = mp.ldexp(1, max(int(mp.frexp(p)[1]) - 53 if p else SMALLEST, SMALLEST))
    moves = [
        abs(args[i] * exact.get(tuple(n + (j == m) for m, n in enumerate(index)), mp.zero)) * EPSILON
        for j, i in enumerate(free)
    ]
    return p, max([unit, *moves])


def miss(got: float, exact: Mp, unit: Mp) -> float:
    """The error in units; 0 for the infinity of what overflows."""
    if abs(exact) >= mp.ldexp(1, 1024):
        if got == math.copysign(inf, exact):
            return 0.0
        return float(min(abs(got - exact) / unit, mp.mpf(1e300))) if math.isfinite(got) else inf
    if math.isinf(got) and got * exact > 0:
        got = mp.sign(exact) * mp.ldexp(1, 1024)
    if got != got or math.isinf(got):
        return inf
    return float(min(abs(got - exact) / unit, mp.mpf(1e300)))


def sequences(count: int) -> list[tuple[int, ...]]:
    return [s for order in range(ORDER + 1) for s in itertools.product(range(count), repeat=order) if tuple(sorted(s)) == s or order == 2]


def nested(f: Callable[..., Any], along: Sequence[int]) -> Callable[..., Any]:
    for i in along:
        f = grad(f, i)
    return f
def forward(f: Callable[..., Any], along: Sequence[int]) -> Callable[..., Any]:
    for i in along:
        f = (lambda f,i: lambda *xs: jvp(f, xs, tuple(float(i == j) for j in range(len(xs))))[1])(f,i)
    return f
