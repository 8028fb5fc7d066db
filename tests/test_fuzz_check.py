"""Random functions of any scale: check_grads passes right rules, and names wrong ones.

shape     a function of a pure number u, with its digits; f(x) = size * shape(x / scale)
size      of f: that of Coulomb's energy in joules, of a price, of anything
scale     of x: that of an atom, of an angle, of a galaxy
wrong     what a rule is mistaken for: a factor, a sign, a limit
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest
from seeds import seeds

import autograd as ag
from autograd import Primitive, check_grads, grad

SHAPES: list[Callable[[Any], Any]] = [
    ag.sin, ag.exp, ag.tanh, ag.sigmoid, ag.gelu, ag.atan, ag.log, ag.sqrt, ag.lgamma,
    lambda u: u * u * u - 2 * u,
    lambda u: 1 / (2 + u * u),
    lambda u: u**-12 - u**-6,
    lambda u: ag.cbrt(u) * ag.cos(u),
    lambda u: ag.hypot(u, 1.0) + ag.maximum(u, 0.1),
    lambda u: ag.logsumexp([u, 0.5, -u]),
    lambda u: ag.where(u > 0.1, ag.expm1(u), u) - 0.5 * u,
]  # fmt: skip
WRONG: list[Callable[[Any], Any]] = [
    lambda slope: slope * 1.001,
    lambda slope: slope * 0.999,
    lambda slope: -slope,
    lambda slope: slope * 0.0,
    lambda slope: slope * 1e6,
    lambda slope: slope * math.inf,
    lambda slope: slope * math.nan,
]


def function(source: random.Random) -> tuple[Callable[[Any], Any], float, float]:
    """A function of random size and scale, a point for it, and its slope there."""
    shape, u = source.choice(SHAPES), source.uniform(0.2, 2.5)
    size = source.choice([1.0, 10.0 ** source.uniform(-60, 60)])
    scale = source.choice([1.0, 10.0 ** source.uniform(-30, 30)])

    def f(x: Any) -> Any:
        return size * shape(x / scale)

    return f, u * scale, grad(f)(u * scale)


def rule(f: Callable[[Any], Any], mistaken: Callable[[Any], Any]) -> Any:
    return lambda z, x: mistaken(grad(f)(x))


def flat(x: float, y: float, size: float) -> bool:
    """Whether a slope is too near to 0 to be seen beside what f is."""
    return abs(y) < 1e-3 * abs(size / x)


@pytest.mark.parametrize("seed", seeds(4))
def test_check_grads_passes_random_functions_of_any_scale(seed: int) -> None:
    for k in range(10):
        f, x, _ = function(random.Random(100 * seed + k))
        check_grads(f, (x,), order=1 + k % 3)


@pytest.mark.parametrize("seed", seeds(4))
def test_check_grads_passes_random_functions_of_several_scales(seed: int) -> None:
    for k in range(4):
        source = random.Random(100 * seed + k)
        (f, x, _), (g, y, _) = function(source), function(source)
        check_grads(lambda p, f=f, g=g: {"f": f(p[0]), "g": [g(p[1])]}, ([x, y],))


@pytest.mark.parametrize("seed", seeds(4))
def test_check_grads_names_random_wrong_rules_of_any_scale(seed: int) -> None:
    for k in range(20):
        source = random.Random(100 * seed + k)
        f, x, slope = function(source)
        if flat(x, slope, f(x)):
            continue
        bad = Primitive("bad", f, rule(f, source.choice(WRONG)))
        around = source.choice([ag.identity, ag.neg, lambda y: y + y, lambda y: [y, y]])
        with pytest.raises(AssertionError, match="partial of 'bad' with respect to"):
            check_grads(lambda x, bad=bad, g=around: g(bad(x)), (x,), order=1)


@pytest.mark.parametrize("seed", seeds(4))
def test_check_grads_names_the_wrong_one_of_random_operands(seed: int) -> None:
    for k in range(5):
        source = random.Random(100 * seed + k)
        terms = [function(source) for _ in range(source.choice([2, 3, 5]))]
        j = source.randrange(len(terms))
        fs, xs, slopes = zip(*terms)
        if flat(xs[j], slopes[j], fs[j](xs[j])):
            continue
        rows = [Primitive(f"row{i}", f, rule(f, ag.identity)) for i, f in enumerate(fs)]
        rows[j] = Primitive("bad", fs[j], rule(fs[j], source.choice(WRONG)))
        with pytest.raises(AssertionError, match="partial of 'bad' with respect"):
            check_grads(
                lambda *xs, rows=rows: [row(x) for row, x in zip(rows, xs)], xs, order=1
            )
