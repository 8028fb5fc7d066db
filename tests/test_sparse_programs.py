"""Sparse derivatives of random programs of every public row: against dense ones.

Each runs on both engines, which must agree in every bit, and compiled.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from in_python import ROWS, needs_c, on_both, row_of
from matrices import entries, require_equal
from seeds import seeds

import autograd
from autograd import grad, hessian, hypot, jacobian, jit, lbeta

PUBLIC = [name for name in ROWS if not name.startswith("_")]
Plan = list[tuple[str, list[int], list[float | None]]]


def random_plan(chance: random.Random, size: int) -> Plan:
    """So many rows; each on picks of what there is by then, or on numbers."""
    plan: Plan = []
    for _ in range(size):
        name = chance.choice(PUBLIC)
        count = row_of(autograd, name).arity or 2 * chance.randint(1, 3)
        picks = [chance.randrange(1000) for _ in range(count)]
        plain = [chance.choice([None, None, None, 0.5, -2.0, 3.0]) for _ in picks]
        plan.append((name, picks, [2.0] * count if name == "polygamma" else plain))
    return plan


def results(engine: Any, plan: Plan, xs: Any) -> list[Any]:
    pool = list(xs)
    for name, picks, plain in plan:
        args = [pool[p % len(pool)] if c is None else c for p, c in zip(picks, plain)]
        pool.append(row_of(engine, name)(*args))
    return pool[len(xs) :]


def sound(plan: Plan, point: list[float]) -> Plan:
    """Its rows that give a number there: beside a NaN, a dense zero may be another."""
    kept: Plan = []
    pool = list(point)
    for name, picks, plain in plan:
        args = [pool[p % len(pool)] if c is None else c for p, c in zip(picks, plain)]
        y = row_of(autograd, name)(*args)
        if math.isfinite(y):
            pool.append(y)
            kept.append((name, picks, plain))
    return kept


def total(engine: Any, plan: Plan) -> Callable[[Any], Any]:
    return lambda xs: sum([0.25 * y for y in results(engine, plan, xs)], start=0.0)


def random_point(chance: random.Random, special: bool) -> list[float]:
    odd = [0.0, 1.0, -0.0, math.inf, math.nan]
    return [
        chance.choice(odd) if special and chance.random() < 0.2 else x
        for x in (chance.uniform(-1.5, 1.5) for _ in range(4))
    ]


def derivatives_of(engine: Any, plan: Plan, point: list[float]) -> list[Any]:
    f = total(engine, plan)
    h = engine.hessian(f, sparse=True)(point)
    j = engine.jacobian(lambda xs: results(engine, plan, xs)[-5:], sparse=True)(point)
    return [each.tolist() for m in (h, j) for each in (m.indptr, m.indices, m.data)]


def check_plan(plan: Plan, point: list[float]) -> None:
    plan = sound(plan, point)
    f = total(autograd, plan)
    require_equal(hessian(f, sparse=True)(point), hessian(f)(point))

    def several(xs: Any) -> list[Any]:
        return results(autograd, plan, xs)[-5:]

    require_equal(jacobian(several, sparse=True)(point), jacobian(several)(point))


@pytest.mark.parametrize("name", PUBLIC)
def test_every_row_agrees_with_the_dense_hessian(name: str) -> None:
    row, chance = row_of(autograd, name), random.Random(name)
    count = row.arity or 4
    low, high = row.sample if type(row.sample[0]) is float else (0.2, 0.9)
    for _ in range(5):
        point = [chance.uniform(low, high) for _ in range(count)]
        scale = [chance.uniform(0.5, 1.5) for _ in range(count)]

        def f(xs: Any, scale: list[float] = scale) -> Any:
            inner = [a * x for a, x in zip(scale, xs)]
            if name == "polygamma":
                inner[0] = 1.0
            return row(*inner) * (1.0 + xs[-1] * xs[0])

        require_equal(hessian(f, sparse=True)(point), hessian(f)(point), 1e-13)
        require_equal(jit(hessian(f, sparse=True))(point), hessian(f)(point), 1e-13)


@pytest.mark.parametrize("seed", seeds(8))
def test_random_programs_agree_with_dense_derivatives(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(60):
        check_plan(
            random_plan(chance, chance.randint(1, 14)), random_point(chance, False)
        )


@needs_c
@pytest.mark.parametrize("seed", seeds(8))
def test_engines_agree_in_every_bit(seed: int) -> None:
    chance = random.Random(100 + seed)
    for _ in range(60):
        plan = random_plan(chance, chance.randint(1, 14))
        point = random_point(chance, True)
        one, other = on_both(derivatives_of, plan, point)
        assert one == other, (plan, point)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32), st.lists(st.floats(-2.0, 2.0), min_size=4, max_size=4))
def test_programs_at_any_point_agree_with_dense_derivatives(
    seed: int, point: list[float]
) -> None:
    f = total(autograd, sound(random_plan(random.Random(seed), 6), point))
    sparse, dense = hessian(f, sparse=True)(point), np.asarray(hessian(f)(point))
    found = sparse.toarray()
    both = np.isfinite(dense) & np.isfinite(found)
    size = 1.0 + np.max(np.abs(dense[both]), initial=0.0)
    assert np.all(np.abs(dense[both] - found[both]) <= 1e-12 * size)


@pytest.mark.parametrize("seed", seeds(6))
def test_compiled_matrices_are_eager_ones(seed: int) -> None:
    chance = random.Random(200 + seed)
    for _ in range(12):
        plan = random_plan(chance, chance.randint(1, 10))
        f = total(autograd, plan)
        for made in (hessian(f, sparse=True),
                     jacobian(lambda xs, plan=plan: results(autograd, plan, xs)[-5:],
                              sparse=True)):  # fmt: skip
            compiled = jit(made)
            for _ in range(3):
                point = random_point(chance, False)
                one, other = made(point), compiled(point)
                assert entries(one) == entries(other)
                require_equal(other, one.toarray())


@pytest.mark.parametrize("seed", seeds(6))
def test_derivatives_inside_f_are_differentiated_twice_more(seed: int) -> None:
    chance = random.Random(300 + seed)
    for _ in range(15):
        inner = total(autograd, random_plan(chance, chance.randint(1, 5)))

        def f(xs: Any, inner: Any = inner) -> Any:
            slopes = grad(inner)(xs)
            return sum([float(i) * slope for i, slope in enumerate(slopes, 1)])

        point = random_point(chance, False)
        require_equal(hessian(f, sparse=True)(point), hessian(f)(point), 1e-11)


@pytest.mark.parametrize("f", [hypot, lbeta])
def test_rules_that_hold_an_operand_fixed_are_differentiated_right(f: Any) -> None:
    def slope(x: Any) -> Any:
        return grad(lambda y: f(y[0], y[1]) * y[2] ** 2)(x)[0] * x[1]

    for made in (hessian(slope, sparse=True), jit(hessian(slope, sparse=True))):
        require_equal(made([0.3, 0.7, 1.2]), hessian(slope)([0.3, 0.7, 1.2]), 1e-14)
