"""Random programs whose parts are calls with several results: of vector primitives,
compiled functions and batches. They give what the plain program gives, to any order."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest
from seeds import seeds

from autograd import (
    Value,
    VectorPrimitive,
    cos,
    exp,
    grad,
    hvp,
    jit,
    jvp,
    maximum,
    relu,
    sin,
    sqrt,
    tanh,
    vjp,
    vmap,
    where,
)

Part = Callable[..., list[Any]]
STEPS: list[tuple[int, Callable[..., Any]]] = [
    (2, lambda x, y: x + y),
    (2, lambda x, y: x - 0.5 * y),
    (2, lambda x, y: x * y),
    (2, lambda x, y: x / (1.5 + y * y)),
    (1, sin),
    (1, cos),
    (1, tanh),
    (1, lambda x: exp(-x * x)),
    (1, lambda x: relu(x - 0.25)),
    (2, maximum),
    (2, lambda x, y: where(x < y, x * y, sqrt(abs(x) + 0.5))),
    (2, lambda x, y: where(y > 0.0, sqrt(where(y > 0.0, y, 1.0)), x)),
    (2, lambda x, y: x if x > y else 2.0 * y),
    (1, lambda x: x * 0.75 - 0.125),
]


def random_part(rng: random.Random, inputs: int, branches: bool) -> Part:
    """A function of some numbers, with several results: steps, operands, constants."""
    steps = []
    for k in range(rng.randrange(1, 7)):
        arity, step = rng.choice(STEPS if branches else STEPS[:12])
        steps.append((step, [rng.randrange(inputs + k) for _ in range(arity)]))
    slots = inputs + len(steps)
    outputs = [rng.randrange(slots) for _ in range(rng.randrange(1, 4))]
    outputs.append(slots - 1)
    constant = rng.random() < 0.2

    def part(*xs: Any) -> list[Any]:
        values = list(xs)
        for step, args in steps:
            values.append(step(*[values[i] for i in args]))
        found = [values[i] for i in outputs]
        return [*found, 0.625] if constant else found

    return part


def as_vector_primitive(part: Part) -> Part:
    """The same as a primitive, whose pullback is the part's own."""

    def shares(ys: Any, xs: Any, y_bars: Any) -> Any:
        return vjp(part, *xs)[1](list(y_bars))

    made = VectorPrimitive("part", lambda *xs: part(*xs), shares, outputs=None)
    return lambda *xs: list(made(*xs))


def as_batch(part: Part) -> Part:
    """The same as one lane of three, of which the others are shifted."""
    batch = vmap(part)

    def lanes(*xs: Any) -> list[Any]:
        columns = [[x, x * 0.5, x + 0.25] for x in xs]
        return [ys[0] + 0.125 * ys[2] for ys in transposed(batch(*columns))]

    return lanes


def lane_by_lane(part: Part) -> Part:
    """What `as_batch` gives, without one."""

    def lanes(*xs: Any) -> list[Any]:
        rows = [xs, [x * 0.5 for x in xs], [x + 0.25 for x in xs]]
        return [ys[0] + 0.125 * ys[2] for ys in zip(*[part(*row) for row in rows])]

    return lanes


def transposed(batch: Any) -> list[list[Any]]:
    return [list(column) for column in zip(*batch)]


GATES: list[Callable[..., Any]] = [
    *[lambda x: x] * 3, relu, lambda x: maximum(x, 0.25, -x),
    lambda x: where(x > 0.25, x, sqrt(abs(x) + 0.25)),
    lambda x: where(x < 0.5, 0.5, x * x),
]  # fmt: skip


def program(parts: list[Part], rng: random.Random, inputs: int) -> Callable[..., Any]:
    """Calls of the parts on inputs and results, selects between, and a sum of some."""
    gates = [[rng.choice(GATES) for _ in range(8)] for _ in parts]
    wiring = [[rng.random() for _ in range(8)] for _ in parts]
    weights = [rng.choice([0.0, 1.0, -0.5, 0.25]) for _ in range(64)]

    def f(xs: Any) -> Any:
        known = list(xs)
        for (part, arity), picks, gate in zip(parts, wiring, gates):  # type: ignore[misc]
            chosen = [known[int(p * len(known))] for p in picks[:arity]]
            operands = [g(x) for g, x in zip(gate, chosen)]
            known += [g(y) for g, y in zip(gate[3:], part(*operands))]
        total = known[-1] * known[0]
        for x, weight in zip(known, weights):
            if weight:
                total = total + x * weight
        return total

    return f


def flat(tree: Any) -> list[float]:
    if isinstance(tree, (list, tuple)):
        return [x for item in tree for x in flat(item)]
    return [float(tree)]


def swept(f: Callable[..., Any], point: list[float]) -> list[float]:
    xs = [Value(x) for x in point]
    y = f(xs)
    if type(y) is Value:
        y.backward()
        (y * 0.5).backward()
    return [x.grad for x in xs]


FORMS: dict[str, tuple[Callable[[Part], Part], Callable[[Part], Part]]] = {
    "vector primitive": (as_vector_primitive, lambda part: part),
    "jit": (lambda part: jit(part), lambda part: part),
    "vmap": (as_batch, lane_by_lane),
    "jit of a primitive": (lambda part: jit(as_vector_primitive(part)), lambda p: p),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", seeds(24))
def test_parts_with_several_results_give_what_plain_ones_do(
    seed: int, form: str
) -> None:
    rng = random.Random(f"{seed} {form}")
    made, plainly = FORMS[form]
    inputs = rng.randrange(1, 4)
    arities = [rng.randrange(1, 4) for _ in range(rng.randrange(1, 4))]
    parts = [random_part(rng, arity, branches=True) for arity in arities]
    state = rng.getstate()
    ours = program([(made(p), a) for p, a in zip(parts, arities)], rng, inputs)  # type: ignore[misc]
    rng.setstate(state)
    plain = program([(plainly(p), a) for p, a in zip(parts, arities)], rng, inputs)  # type: ignore[misc]
    for _ in range(3):
        point = [rng.choice([rng.gauss(0.0, 1.0), 0.0, 0.25]) for _ in range(inputs)]
        direction = [rng.gauss(0.0, 1.0) for _ in range(inputs)]
        checked(ours, plain, point, direction)


def checked(ours: Any, plain: Any, point: list[float], direction: list[float]) -> None:
    for way in (
        lambda f: [f(point)],
        lambda f: swept(f, point),
        lambda f: grad(f)(point),
        lambda f: jvp(f, (point,), (direction,)),
        lambda f: hvp(f, (point,), (direction,)),
        lambda f: grad(lambda xs: jvp(f, (xs,), (direction,))[1])(point),
        lambda f: jit(grad(f))(point),
    ):
        found, expected = flat(way(ours)), flat(way(plain))
        scale = max([1.0, *[abs(x) for x in expected if math.isfinite(x)]])
        assert found == pytest.approx(
            expected, rel=1e-9, abs=1e-12 * scale, nan_ok=True
        )
