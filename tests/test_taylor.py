"""Power series through the rows' rules: against mpmath and nested gradients.

Every row is expanded along a line through its sample; programs of rows are made from
seeds; coefficients are differentiated, compiled, batched and expanded again.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from seeds import seeds

import autograd
from autograd import (
    Primitive,
    Value,
    VectorPrimitive,
    atan2,
    derivatives,
    detect_anomaly,
    exp,
    grad,
    hypot,
    jit,
    lgamma,
    log,
    logsumexp,
    maximum,
    primitives,
    prod,
    relu,
    sin,
    sinc,
    sqrt,
    tanh,
    taylor,
    vmap,
    where,
)
from autograd import abs as abs_

inf = math.inf
ROWS = {
    name: row for name, row in vars(primitives).items() if isinstance(row, Primitive)
}
FIXED = {  # operands that a row takes as settings: an order, a radius
    "polygamma": (0,), "_polygamma_gap": (0,), "_erfcx": (0,),
    "_spherical_bessel": (0,), "_cosine": (0, 3),
}  # fmt: skip


def nested(f: Callable[[Any], Any], x: float, order: int) -> list[float]:
    """The value and derivatives, each the gradient of the one before."""
    found = [float(getattr(f(Value(x)), "data", f(x)))]
    for _ in range(order):
        f = grad(f)
        found.append(f(x))
    return found


def assert_close(found: list[float], wanted: list[float], rel: float = 1e-9) -> None:
    scale = max((abs(x) for x in wanted if math.isfinite(x)), default=0.0)
    assert found == pytest.approx(wanted, rel=rel, abs=1e-12 * scale, nan_ok=True)


def walk(f: Any) -> Any:
    return exp(sin(f**2))


# ---- every row -----------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(ROWS))
def test_every_row_expands_along_a_line_as_nested_gradients_say(name: str) -> None:
    row, chance = ROWS[name], random.Random(name)
    count = row.arity or 4
    ranges: Any = row.sample
    ranges = ranges if isinstance(ranges[0], tuple) else (ranges,) * count
    point = [low + (high - low) * chance.random() for low, high in ranges]
    rates = [chance.uniform(-1.0, 1.0) for _ in point]

    def along(t: Any) -> Any:
        return row(*[
            x if i in FIXED.get(name, ()) else x + rate * t
            for i, (x, rate) in enumerate(zip(point, rates))
        ])  # fmt: skip

    found = derivatives(along, 0.0, 4)
    assert_close(found, nested(along, 0.0, 4))
    assert jit(lambda t: derivatives(along, t, 4))(0.0) == found


@pytest.mark.parametrize(
    "f, same, x",
    [
        (autograd.exp, mpmath.exp, 0.7),
        (autograd.log, mpmath.log, 0.7),
        (autograd.sqrt, mpmath.sqrt, 0.7),
        (autograd.tanh, mpmath.tanh, 0.3),
        (autograd.tan, mpmath.tan, 0.3),
        (autograd.asin, mpmath.asin, 0.3),
        (autograd.atan, mpmath.atan, 0.7),
        (autograd.acosh, mpmath.acosh, 1.7),
        (autograd.erf, mpmath.erf, 0.4),
        (autograd.lgamma, mpmath.loggamma, 2.3),
        (lambda x: x**2.5, lambda x: x ** mpmath.mpf(2.5), 0.7),
        (lambda x: x**-3, lambda x: x**-3, 0.7),
        (lambda x: x**x, lambda x: x**x, 0.7),
        (lambda x: x / (1.0 + x * x), lambda x: x / (1 + x * x), 0.4),
    ],
)
def test_coefficients_of_order_12_are_those_of_mpmath(
    f: Any, same: Any, x: float
) -> None:
    found = taylor(f, x, 12)
    with mpmath.workdps(60):
        wanted = mpmath.taylor(same, mpmath.mpf(x), 12)
    largest = max(abs(c) for c in wanted)
    for c, exact in zip(found, wanted, strict=True):
        assert abs(c - exact) <= 1e-13 * abs(exact) + 1e-15 * largest


@pytest.mark.parametrize("x", [0.5, 0.7, 1.0])
def test_thirtieth_derivative_of_the_example_keeps_its_digits(x: float) -> None:
    found = taylor(walk, x, 30)
    with mpmath.workdps(90):
        wanted = mpmath.taylor(
            lambda x: mpmath.exp(mpmath.sin(x**2)), mpmath.mpf(x), 30
        )
    assert abs(found[30] / wanted[30] - 1) <= 1e-15
    assert abs(found[10] / wanted[10] - 1) <= 1e-15
    largest = max(abs(c) for c in wanted)
    assert max(abs(c - exact) for c, exact in zip(found, wanted)) <= 1e-15 * largest


def test_whole_powers_are_exact_near_zero() -> None:
    assert derivatives(lambda x: x**3, 2.0, 5) == [8.0, 12.0, 12.0, 6.0, 0.0, 0.0]
    assert derivatives(lambda x: x**2, 0.0, 3) == [0.0, 0.0, 2.0, 0.0]
    found = taylor(lambda x: exp(x**6), 1e-3, 30)
    with mpmath.workdps(60):
        wanted = mpmath.taylor(lambda x: mpmath.exp(x**6), mpmath.mpf(1e-3), 30)
    assert max(abs(c / exact - 1) for c, exact in zip(found, wanted)) <= 1e-13


def test_factorials_beyond_floats_do_not_lose_what_is_finite() -> None:
    f = derivatives(lambda x: exp(0.01 * x), 0.0, 150)
    assert f[150] == pytest.approx(1e-300, rel=1e-12)
    assert derivatives(lambda x: exp(0.1 * x), 0.0, 180)[180] == pytest.approx(
        1e-180, rel=1e-12
    )


# ---- edges ---------------------------------------------------------------------------


def test_singular_points_say_so_by_ieee() -> None:
    assert taylor(sqrt, 0.0, 4) == [0.0, inf, -inf, inf, -inf]
    assert taylor(log, 0.0, 3) == [-inf, inf, -inf, inf]
    assert taylor(lambda x: 1 / x, 0.0, 2) == [inf, -inf, inf]
    assert taylor(lambda x: x**2.5, 0.0, 4) == [0.0, 0.0, 0.0, inf, -inf]
    assert all(math.isnan(c) for c in taylor(log, -1.0, 3))


def test_selects_leave_out_what_they_did_not_choose() -> None:
    assert taylor(lambda x: where(x < 1, x, sqrt(x)), 0.0, 2) == [0.0, 1.0, 0.0]
    assert taylor(relu, 0.0, 2) == [0.0, 0.0, 0.0] == taylor(abs_, 0.0, 2)
    assert taylor(lambda x: maximum(x, 0.0), 0.0, 1) == [0.0, 0.5]
    assert taylor(lambda x: maximum(x**2, sqrt(x - 1)), 1.0, 2) == [1.0, 2.0, 1.0]


def test_no_coefficient_is_negative_zero() -> None:
    assert [math.copysign(1.0, c) for c in taylor(sinc, 0.0, 3)] == [1, 1, -1, 1]


def test_anomalies_are_named_in_coefficients() -> None:
    said = "sqrt: the tangent must be finite"
    with pytest.raises(FloatingPointError, match=said), detect_anomaly():
        taylor(sqrt, 0.0, 2)


def test_rows_of_thousands_of_operands_need_no_recursion() -> None:
    few = taylor(lambda x: prod([1.0 + x * 0.001] * 3000), 0.0, 3)
    assert few == pytest.approx([1.0, 3.0, 4.4985, 4.495501], rel=1e-12)
    found = taylor(lambda x: logsumexp([x + i * 0.0 for i in range(1500)]), 0.5, 2)
    assert found == pytest.approx([0.5 + math.log(1500), 1.0, 0.0], abs=1e-12)
    assert math.isfinite(taylor(lgamma, 3.3, 150)[-1])


# ---- users' primitives, and calls ----------------------------------------------------


def polar_pullback(ys: Any, xs: Any, y_bars: Any) -> list[Any]:
    (r, _), (x, y), (r_bar, theta_bar) = ys, xs, y_bars
    t_bar = theta_bar / r**2
    return [r_bar * x / r - t_bar * y, r_bar * y / r + t_bar * x]


own = Primitive(
    "own",
    lambda x: math.sin(x) * x,
    lambda z, x: grad(lambda t: sin(t) * t)(x),
)
polar = VectorPrimitive(
    "polar", lambda x, y: (hypot(x, y), atan2(y, x)), polar_pullback, outputs=2
)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    "f, same",
    [
        (own, lambda x: sin(x) * x),
        (
            lambda x: polar(x, x * x + 1.0)[0] * polar(x, 2.0)[1],
            lambda x: hypot(x, x * x + 1.0) * atan2(2.0, x),
        ),
        (jit(lambda x: sin(x) * x if x > 0 else x), lambda x: sin(x) * x),
    ],
)
def test_primitives_of_users_expand_as_what_they_stand_for(
    f: Any, same: Any, compiled: bool
) -> None:
    found = (jit if compiled else lambda g: g)(lambda x: derivatives(f, x, 3))(0.7)
    assert_close(found, derivatives(same, 0.7, 3), rel=1e-12)


# ---- trees ---------------------------------------------------------------------------


def test_structure_is_that_of_what_f_gives() -> None:
    found = taylor(
        lambda p: {"s": p["a"] * p["b"][0], "q": [p["b"][1] ** 2, 7.0]},
        {"a": 1.0, "b": [2.0, 3.0]},
        2,
        {"a": 1.0, "b": [0.0, 1.0]},
    )
    assert found == [
        {"s": 2.0, "q": [9.0, 7.0]}, {"s": 2.0, "q": [6.0, 0.0]},
        {"s": 0.0, "q": [1.0, 0.0]},
    ]  # fmt: skip
    first = taylor(lambda x: x * x, np.array([1.0, 2.0]), 1, [1.0, 0.0])
    assert [c.tolist() for c in first] == [[1.0, 4.0], [2.0, 0.0]]
    assert taylor(lambda x: 3.0, 0.0, 2) == [3.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "call, error, said",
    [
        (lambda: taylor(sin, 1.0, -1), ValueError, "order must be a whole number"),
        (lambda: taylor(sin, 1.0, 2.5), ValueError, "order must be a whole number"),
        (lambda: taylor(sum, [1.0, 2.0], 1), TypeError, "direction must be given"),
        (lambda: derivatives(sum, [1.0, 2.0], 1), TypeError, "use taylor"),
        (lambda: taylor(sum, [1.0, 2.0], 1, [1.0]), ValueError, "structure of x"),
        (lambda: taylor(3, 1.0, 1), TypeError, "f must be a function"),
    ],
)
def test_bad_input_names_the_remedy(call: Any, error: Any, said: str) -> None:
    with pytest.raises(error, match=said):
        call()


# ---- inside transforms ---------------------------------------------------------------


def test_coefficients_can_be_differentiated() -> None:
    c = taylor(walk, 1.5, 5)
    assert grad(lambda x: taylor(walk, x, 4)[4])(1.5) == pytest.approx(5 * c[5])
    w = Value(2.0)
    found = derivatives(lambda x: w**x * x, 1.5, 3)
    assert [type(d) for d in found] == [Value] * 4
    found[2].backward()
    wanted = grad(lambda v: grad(grad(lambda x: v**x * x))(1.5))(2.0)
    assert w.grad == pytest.approx(wanted, rel=1e-13)


def test_a_taylor_series_of_a_taylor_series_has_mixed_derivatives() -> None:
    c = taylor(walk, 1.5, 7)
    again = taylor(lambda x: taylor(walk, x, 4)[4], 1.5, 3)
    wanted = [c[4 + k] * math.comb(4 + k, k) for k in range(4)]
    assert again == pytest.approx(wanted, rel=1e-12)


def test_compiled_choices_follow_the_constant_terms() -> None:
    def f(x: Any) -> Any:
        branch = x if x > 3 else tanh(x)
        return relu(x) * abs_(x) + maximum(x, 1.0) ** 2.5 + where(x < 0, branch, x * x)

    compiled = jit(lambda x: taylor(f, x, 4))
    batched = vmap(lambda x: taylor(f, x, 4))
    points = [0.5, -0.5, 2.0, 1.0, 0.0, 4.0]
    for x in points:
        assert compiled(x) == taylor(f, x, 4)
    for row, x in zip(batched(points), points):
        assert row == pytest.approx(taylor(f, x, 4), rel=1e-14)


# ---- programs made from seeds --------------------------------------------------------

UNARY = ["sin", "exp", "tanh", "atan", "sigmoid", "softplus", "erf", "silu", "abs",
         "relu", "cosh", "asinh", "expm1", "gelu"]  # fmt: skip
BINARY = ["add", "sub", "mul", "maximum", "minimum", "hypot", "atan2", "logaddexp"]


def program(seed: int) -> Callable[..., Any]:
    """A function of some numbers, of any rows, with choices in it."""
    plan = random.Random(seed)
    steps = [
        (plan.choice(UNARY + 2 * BINARY), plan.random(), plan.random(), plan.random())
        for _ in range(plan.randrange(4, 12))
    ]

    def run(*xs: Any) -> Any:
        known = list(xs)
        for name, i, j, c in steps:
            x, y = known[int(i * len(known))], known[int(j * len(known))]
            row = ROWS[name]
            z = row(x, y) if row.arity == 2 else row(x)
            choice = where(x < c, z, 0.5 * z + c) if c < 0.3 else z
            known.append(tanh(choice) / (1.5 + sin(y)) if c > 0.8 else choice)
        return known[-1] + known[-2] * xs[0]

    return run


@pytest.mark.parametrize("seed", seeds(60))
def test_programs_expand_as_nested_gradients_say(seed: int) -> None:
    f, chance = program(seed), random.Random(seed)
    point = [chance.uniform(-1.5, 1.5) for _ in range(3)]
    rates = [chance.uniform(-1.0, 1.0) for _ in point]

    def along(t: Any) -> Any:
        return f(*[x + rate * t for x, rate in zip(point, rates)])

    wanted = nested(along, 0.0, 4)
    assert_close(derivatives(along, 0.0, 4), wanted)
    series = taylor(lambda xs: f(*xs), point, 4, rates)
    assert_close([c * math.factorial(k) for k, c in enumerate(series)], wanted)
    assert jit(lambda t: derivatives(along, t, 4))(0.0) == derivatives(along, 0.0, 4)
    x_bar = grad(lambda t: derivatives(along, t, 3)[3])(0.0)
    assert_close([*wanted[:4], x_bar], wanted)
