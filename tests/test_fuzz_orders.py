"""Value, gradient and Hessian of random programs: bit for bit, over a batch as well.

A seed makes a program of two numbers out of rows, selects, `if`, `while`, `max` and
early returns. Its value, gradient and Hessian are asked for at points that lie on kinks
and ties as often as between them.
"""

from __future__ import annotations

import math
import operator
import random
from collections.abc import Callable
from typing import Any

import pytest
from seeds import seeds

import autograd as ag
from autograd import Primitive, Value, grad, hessian, jit, vmap, where

# rows of users: one that is compiled, and one that is called
bent = Primitive(
    "bent", lambda x: where(x > 0.5, x * x - 2 * x, x / 4 - 1),
    lambda z, x: where(x > 0.5, 2 * x - 2, 0.25),
)  # fmt: skip
branching = Primitive(
    "branching", lambda x: x * x if x < 1.0 else 2 * x - 1,
    lambda z, x: where(x < 1.0, 2 * x, 2.0),
)  # fmt: skip
EXACT = [
    ag.neg, ag.abs, ag.sqrt, ag.relu, ag.leaky_relu, ag.sign, ag.floor, ag.identity,
    ag.stop_gradient, bent, branching,
]  # fmt: skip
ROUNDED = [
    ag.exp, ag.sin, ag.cos, ag.tanh, ag.sigmoid, ag.softplus, ag.log, ag.erf, ag.atan,
]  # fmt: skip
BINARY = [
    ag.add, ag.add, ag.sub, ag.mul, ag.mul, ag.div, ag.maximum, ag.minimum, ag.copysign,
]  # fmt: skip
COMPARED = [
    operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne,
]  # fmt: skip
CORNERS = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -2.0, 3.0]
Program = Callable[[Any, Any], Any]


def random_program(rng: random.Random, rows: list[Any]) -> Program:
    """A function of two numbers, each of whose steps uses what is known by then."""
    plan = [
        (
            rng.choice(KINDS),
            rng.choice(rows),
            rng.choice(BINARY),
            rng.choice(COMPARED),
            [rng.randrange(rng.choice([0, i]), 4 + i) for _ in range(4)],
        )
        for i in range(rng.randrange(3, 9))
    ]

    def program(x: Any, y: Any) -> Any:
        known = [x, y, 0.5, -1.0]
        for kind, row, binary, compare, picks in plan:
            a, b, c, d = (known[i] for i in picks)
            if kind is early and compare(a, b):
                return c * a + d
            known.append(kind(row, binary, compare, a, b, c, d))
        return known[-1] * x + known[-2] * known[-1]

    return program


def unary(row: Any, binary: Any, compare: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    return row(a)


def both(row: Any, binary: Any, compare: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    return binary(a, b)


def select(row: Any, binary: Any, compare: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    return where(compare(a, b), c * b, d)


def branch(row: Any, binary: Any, compare: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    return c * a if compare(a, b) else d - b


def loop(row: Any, binary: Any, compare: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    turns = 0
    while compare(a, b) and turns < 2:
        a, turns = a * c + d, turns + 1
    return a


def extremes(
    row: Any, binary: Any, compare: Any, a: Any, b: Any, c: Any, d: Any
) -> Any:
    return max(a, b, c) * min(d, b)


def early(row: Any, binary: Any, compare: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    return row(binary(a, c))


KINDS = [unary, unary, both, both, both, select, select, branch, branch, loop, extremes]
KINDS += [early]


def all_orders(f: Program) -> Program:
    return lambda x, y: (f(x, y), grad(f, (0, 1))(x, y), hessian(f, (0, 1))(x, y))


def numbers(tree: Any) -> list[Any]:
    if isinstance(tree, tuple):
        return [number for item in tree for number in numbers(item)]
    return [tree]


def bits(x: Any) -> str:
    """All bits of a number, any NaN being like any other."""
    x = float(x.data if isinstance(x, Value) else x)
    return "nan" if x != x else x.hex()


def at_each(f: Program, points: list[tuple[float, float]]) -> list[list[str]]:
    return [[bits(x) for x in numbers(f(*point))] for point in points]


def over_batch(f: Program, points: list[tuple[float, float]]) -> list[list[str]]:
    columns = numbers(f(*map(list, zip(*points))))
    return [[bits(x) for x in lane] for lane in zip(*columns)]


def random_points(rng: random.Random, count: int) -> list[tuple[float, float]]:
    def coordinate() -> float:
        return rng.choice(CORNERS) if rng.random() < 0.4 else rng.gauss(0.0, 2.0)

    return [(coordinate(), coordinate()) for _ in range(count)]


@pytest.mark.parametrize("rows", [EXACT, EXACT + ROUNDED], ids=["exact", "rounded"])
@pytest.mark.parametrize("chunk", seeds(4))
def test_compiled_programs_give_the_bits_of_eager(chunk: int, rows: list[Any]) -> None:
    for seed in range(100 * chunk, 100 * chunk + 100):
        rng = random.Random(seed)
        f = all_orders(random_program(rng, rows))
        points = random_points(rng, 5)
        assert at_each(jit(f), points) == at_each(f, points), (seed, points)


@pytest.mark.parametrize("chunk", seeds(4))
def test_batched_programs_of_exact_rows_give_the_bits_of_eager(chunk: int) -> None:
    """Rows that IEEE 754 rounds correctly have no bit to choose, in vectors either."""
    pytest.importorskip("numpy")
    for seed in range(30 * chunk, 30 * chunk + 30):
        rng = random.Random(seed)
        f = all_orders(random_program(rng, EXACT))
        points = random_points(rng, 13)
        assert over_batch(vmap(f), points) == at_each(f, points), (seed, points)


def test_sign_of_a_nan_has_no_say_in_compiled_code() -> None:
    """Found by seed 1888: log(-0.5) is a NaN with its sign bit set on some machines."""

    def f(x: Any, y: Any) -> Any:
        z = ag.copysign(x, y)
        for _ in range(100):  # long enough for machine code at a single point
            z = (z + 1.0) * 0.5
        return z, ag.copysign(x, y)

    points = [(1.5, -math.nan), (1.5, math.nan), (-1.5, -math.nan)]
    assert at_each(jit(f), points) == at_each(f, points)
    assert over_batch(vmap(f), points) == at_each(f, points)
