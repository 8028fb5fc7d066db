"""Sparse derivatives through users' primitives and compiled calls."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from in_python import python_engine
from matrices import entries, lower, require_equal, rosenbrock

import autograd
from autograd import (
    Primitive,
    VectorPrimitive,
    exp,
    grad,
    hessian,
    jacobian,
    jit,
    prod,
    sin,
    sparsity,
    where,
)

cube = Primitive("cube", lambda x: x * x * x, lambda z, x: 3 * x * x)
branches = Primitive(
    "branches", lambda x: x * x, lambda z, x: 2 * x if x > 0 else x + x
)
of_floats = Primitive("of_floats", lambda x: math.sin(x), lambda z, x: autograd.cos(x))
nary = Primitive(
    "nary", lambda *xs: xs[0] * xs[1] + math.exp(xs[2]),
    lambda z, *xs: [xs[1], xs[0], exp(xs[2])],
)  # fmt: skip
ramp = Primitive(
    "ramp", lambda x: x * x if x > 0 else 0.0, lambda z, x: where(x > 0, 2 * x, 0.0),
    select=True,
)  # fmt: skip
by_grad = Primitive("by_grad", lambda x: x**3, lambda z, x: grad(lambda t: t**3)(x))

PROGRAMS: dict[str, Callable[[Any], Any]] = {
    "cube": lambda x: cube(x[0]) * x[1],
    "branches": lambda x: branches(x[0]) * x[1] + branches(x[1]),
    "of_floats": lambda x: of_floats(x[0]) * x[1],
    "nary": lambda x: nary(x[0], x[1], x[2]) * x[1],
    "ramp": lambda x: ramp(x[0]) * x[1] + ramp(x[1]),
    "by_grad": lambda x: by_grad(x[0] * x[1]),
    "jit": lambda x: jit(lambda a, b: sin(a) * b + a**3)(x[0], x[1]) * x[2],
    "jit of several": lambda x: prod(jit(lambda a, b: [sin(a) * b, a + b])(x[0], x[1])),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_users_rows_and_compiled_calls_agree_with_dense(name: str) -> None:
    f, point = PROGRAMS[name], [0.3, -0.7, 1.2]
    require_equal(hessian(f, sparse=True)(point), hessian(f)(point), 1e-14)
    require_equal(jacobian(f, sparse=True)(point), [jacobian(f)(point)], 1e-14)
    require_equal(jit(hessian(f, sparse=True))(point), hessian(f)(point), 1e-14)


def test_users_row_has_the_pattern_of_its_rule() -> None:
    assert lower(sparsity(lambda x: nary(*x))([1.0, 2.0, 3.0])) == {(1, 0), (2, 2)}
    linear = Primitive("linear", lambda x, y: 2 * x + y, lambda z, x, y: 2.0, 1.0)
    assert lower(sparsity(lambda x: linear(x[0], x[1] ** 2))([1.0, 2.0])) == {(1, 1)}


def test_compiled_function_inside_keeps_its_pattern() -> None:
    x = [0.1 * i for i in range(12)]
    assert hessian(jit(rosenbrock), sparse=True)(x).nnz == 3 * 12 - 2

    @jit
    def several(x: Any) -> list[Any]:
        return [x[0] * x[1], sin(x[2]), where(x[0] < 1, x[1] ** 2, x[3])]

    def f(x: Any) -> list[Any]:
        a, b, c = several(x)
        return [a, b * x[0], c]

    expected = {(0, 0), (0, 1), (1, 0), (1, 2), (2, 1), (2, 3)}
    found = jacobian(f, sparse=True)(x[:4])
    assert entries(found) == entries(jit(jacobian(f, sparse=True))(x[:4])) == expected
    require_equal(found, jacobian(f)(x[:4]), 1e-15)
    second = sparsity(lambda x: f(x)[1] + f(x)[2], order=2)(x[:4])
    assert lower(second) == {(1, 1), (2, 0), (2, 2)}


def test_rule_that_reads_what_changes_is_read_in_each_sweep() -> None:
    factor = [2.0]
    row = Primitive("row", lambda x: x * x, lambda z, x: factor[0] * x)
    h = hessian(lambda x: row(x[0]), sparse=True)
    first = h([3.0]).data.tolist()
    factor[0] = 5.0
    assert (first, h([3.0]).data.tolist()) == ([2.0], [5.0])


def test_constant_operands_of_many_values_are_right() -> None:
    powers = [0.5 + 0.25 * i for i in range(150)]

    def f(x: Any) -> Any:
        return sum([a**p for a, p in zip(x, powers)])

    x = [1.0 + 0.001 * i for i in range(150)]
    wanted = [p * (p - 1.0) * a ** (p - 2.0) for a, p in zip(x, powers)]
    for made in (hessian(f, sparse=True), python_engine.hessian(f, sparse=True)):
        np.testing.assert_allclose(made(x).data, wanted, rtol=1e-13, atol=1e-13)


def _polar(x: float, y: float) -> tuple[float, float]:
    return math.hypot(x, y), math.atan2(y, x)


def _polar_shares(ys: Any, xs: Any, y_bars: Any) -> list[Any]:
    (r, _), (x, y), (r_bar, t_bar) = ys, xs, y_bars
    t = t_bar / r**2
    return [r_bar * x / r - t * y, r_bar * y / r + t * x]


polar = VectorPrimitive("polar", _polar, _polar_shares, outputs=2, arity=2)


def of_polar(x: Any) -> Any:
    r, theta = polar(x[0], x[1])
    return sin(r) * theta + x[2] ** 2 * theta


def test_vector_primitives_agree_with_dense() -> None:
    point = [0.3, 0.7, 1.2]
    for made in (hessian(of_polar, sparse=True), jit(hessian(of_polar, sparse=True))):
        require_equal(made(point), hessian(of_polar)(point), 1e-14)

    def both(x: Any) -> Any:
        return [*polar(x[0], x[1]), x[2]]

    for made in (jacobian(both, sparse=True), jit(jacobian(both, sparse=True))):
        assert entries(made(point)) == {(0, 0), (0, 1), (1, 0), (1, 1), (2, 2)}
        require_equal(made(point), jacobian(both)(point), 1e-14)
