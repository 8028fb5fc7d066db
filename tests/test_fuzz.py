"""Thousands of small random programs, full of branches: compiled against eager code.

program   a list of steps; each takes operands among the latest numbers, or any
jit       gives the bits of eager code, for values and gradients: everywhere
vmap      gives the same bits for a lane wherever the batch is cut, and those of
          eager code save for the last digits of exp and its like
order 2   Hessians and their products have the bits of eager code in all but about
          one random program of a thousand, which the bound of this file admits: a
          select whose adjoint is 1 leaves no node in an eager graph, where a trace
          cannot know the 1, and so a sum can be taken in another order
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from seeds import seeds

import autograd as ag
from autograd import hessian, hvp, jit, value_and_grad, vmap, where
from autograd.compiled import calls

EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, math.inf, -math.inf, math.nan, 5e-324, 1e300]
UNARY: list[Callable[[Any], Any]] = [
    ag.sin, ag.exp, ag.tanh, ag.sigmoid, ag.relu, ag.abs, ag.leaky_relu, ag.neg,
    lambda x: ag.clip(x, -0.5, 0.75),
    lambda x: ag.sqrt(ag.abs(x) + 1.0),
]  # fmt: skip
BINARY: list[Callable[[Any, Any], Any]] = [
    ag.add, ag.mul, ag.sub, ag.maximum, ag.minimum,
    lambda x, y: where(x < y, x * y, x + y),
    lambda x, y: where(x > 0.1, x, y),
    lambda x, y: x / (2.0 + ag.sin(y)),
    lambda x, y: ag.dot([x, y, x], [y, 0.5, 2.0]),
]  # fmt: skip
BRANCHES: list[Callable[[Any, Any], Any]] = [
    lambda x, y: x * y if x < y else x - y,
    lambda x, y: ag.sin(x) if x >= 0.0 and y != 1.0 else y,
]
Point = list[float]


def program(source: random.Random, branches: bool) -> Callable[[Any], Any]:
    """A random function of three numbers: of selects, and of Python's own branches."""
    several = BINARY + BRANCHES * 2 if branches else BINARY
    steps = [
        (source.choice(UNARY) if source.random() < 0.45 else None,
         source.choice(several), source.random(), source.random())
        for _ in range(source.choice([4, 8, 14]))
    ]  # fmt: skip
    exit_at = source.randrange(len(steps)) if branches else -1

    def f(xs: Any) -> Any:
        known = list(xs)
        for k, (one, two, near, any_) in enumerate(steps):
            x = known[-1 - int(near * min(len(known), 5))]
            known.append(one(x) if one else two(x, known[int(any_ * len(known))]))
            if k == exit_at and known[-1] > 1.5:
                return known[-1] * xs[0]
        return known[-1] + known[-2] * known[3]

    return f


def points(source: random.Random, edges: bool) -> list[Point]:
    """Ordinary points, and some with zeros, kinks and what is not finite in them."""
    ordinary = [[source.gauss(0.0, 1.0) for _ in range(3)] for _ in range(4)]
    odd = [
        [x if source.random() < 0.4 else source.choice(EDGES) for x in point]
        for point in ordinary
    ]
    return ordinary + odd if edges else ordinary


def numbers(tree: Any) -> Iterator[float]:
    if isinstance(tree, (list, tuple)):
        for item in tree:
            yield from numbers(item)
    else:
        assert type(tree) is float
        yield tree


def bits(tree: Any) -> list[str]:
    """All bits of the numbers of a tree, except that any NaN equals any other."""
    return ["nan" if x != x else x.hex() for x in numbers(tree)]


def outcome(f: Callable[..., Any], *args: Any) -> Any:
    """The bits of what f returns, or the type of what it raises."""
    try:
        return bits(f(*args))
    except (ArithmeticError, ValueError) as error:
        return type(error).__name__


def assert_near(found: Any, expected: Any, ulps: int) -> None:
    """That numbers agree to so many ulp of the largest of them, or of 1."""
    pairs = [*zip(numbers(found), numbers(expected), strict=True)]
    size = max(1.0, *[abs(y) for _, y in pairs if math.isfinite(y)])
    for x, y in pairs:
        assert bits(x) == bits(y) or abs(x - y) <= ulps * math.ulp(size), pairs


@pytest.mark.parametrize("seed", seeds(20))
def test_gradients_of_random_programs_have_the_bits_of_eager_code(seed: int) -> None:
    for k in range(75):
        source = random.Random(1000 * seed + k)
        eager = value_and_grad(program(source, branches=k % 3 > 0))
        compiled = jit(eager)
        for x in points(source, edges=True):
            assert outcome(compiled, x) == outcome(eager, x), (k, x)


@pytest.mark.parametrize("seed", seeds(4))
def test_machine_code_of_random_programs_has_the_bits_of_eager_code(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("llvmlite")
    monkeypatch.setattr(calls, "OFTEN", 1)
    for k in range(12):
        source = random.Random(1000 * seed + k + 500)
        eager = value_and_grad(program(source, branches=k % 2 > 0))
        compiled = jit(eager)
        ran = False
        for x in points(source, edges=True):
            for _ in range(4):
                found = outcome(compiled, x)
                assert found == outcome(eager, x), (k, x)
            ran = ran or compiled.ready is not None
        assert ran or not ag.accelerated


@pytest.mark.parametrize("seed", seeds(4))
def test_rolled_code_of_random_programs_has_the_bits_of_eager_code(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LONG", "BULKY"):  # what is called at one point is rolled
        monkeypatch.setattr(f"autograd.compiled.points.{name}", -1)
    for k in range(25):
        source = random.Random(1000 * seed + k + 900)
        eager = value_and_grad(program(source, branches=k % 3 > 0))
        compiled = jit(eager)
        for x in 2 * points(source, edges=True):
            assert outcome(compiled, x) == outcome(eager, x), (k, x)
        assert compiled.paths and not any(path.code.simple for path in compiled.paths)


@pytest.mark.parametrize("seed", seeds(4))
def test_lanes_of_random_programs_agree_however_they_are_cut(seed: int) -> None:
    for k in range(10):
        source = random.Random(1000 * seed + k + 700)
        eager = value_and_grad(program(source, branches=k % 2 > 0))
        batched = vmap(eager)
        batch = [x for _ in range(3) for x in points(source, edges=False)]
        ys, slopes = batched(batch)
        cut = source.randrange(1, len(batch))
        parts = [batched(batch[:cut]), batched(batch[cut:])]
        assert bits([y for part in parts for y in part[0]]) == bits(ys), k
        assert bits([x for part in parts for x in part[1]]) == bits(slopes), k
        for x, y, slope in zip(batch, ys, slopes):
            assert_near((y, slope), eager(x), ulps=64)


def product(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: hvp(f, (x,), ([0.5, -1.25, 2.0],))


@pytest.mark.parametrize("seed", seeds(10))
@pytest.mark.parametrize("second", [hessian, product])
def test_second_derivatives_of_random_programs_agree(seed: int, second: Any) -> None:
    differing = set()
    for k in range(15):
        source = random.Random(1000 * seed + k + 800)
        eager = second(program(source, branches=k % 3 > 0))
        compiled = jit(eager)
        for x in points(source, edges=False):
            found, expected = compiled(x), eager(x)
            assert_near(found, expected, ulps=2)
            if bits(found) != bits(expected):
                differing.add(k)
    assert len(differing) <= 1
