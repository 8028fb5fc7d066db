"""Implicit functions: solutions against mpmath and closed forms, derivatives of every
order in every mode, and what happens where there is no solution."""

from __future__ import annotations

import copy
import math
import pickle
import random
from typing import Any

import mpmath
import numpy as np
import pytest
from in_python import on_both
from seeds import seeds

from autograd import (
    Value,
    VectorPrimitive,
    bracket,
    check_grads,
    cos,
    derivatives,
    detect_anomaly,
    draw,
    erfc,
    exp,
    explain,
    fixed_point,
    grad,
    hessian,
    hvp,
    jacfwd,
    jacobian,
    jacrev,
    jit,
    jvp,
    log,
    player,
    record_lines,
    root,
    rounding_error,
    sign,
    sin,
    sqrt,
    tan,
    tanh,
    taylor,
    value_and_grad,
    vjp,
    vmap,
    where,
    why,
)

inf, nan = math.inf, math.nan


def kepler(u: Any, e: Any, m: Any) -> Any:
    return u - e * sin(u) - m


def mean_anomaly(e: Any, m: Any) -> Any:
    return m


anomaly = root(kepler, mean_anomaly)


def circle(x: Any, r: Any) -> Any:
    """Where x₁ = x₂ on a circle: √(r/2), both."""
    return [x[0] ** 2 + x[1] ** 2 - r, x[0] - x[1]]


def three(x: Any, p: Any) -> Any:
    return [
        x[0] + x[1] * x[2] - p[0],
        x[0] * x[0] - x[1] + sin(x[2]) - p[1],
        exp(x[0]) * x[2] - p[2],
    ]


meeting = root(circle, [1.0, 2.0])
triple = root(three, [1.0, 1.0, 1.0])
POINT = [1.0, 0.5, 0.7]


def black_scholes(s: Any, price: Any, spot: Any, strike: Any, t: Any, r: Any) -> Any:
    d1 = (log(spot / strike) + (r + s * s / 2) * t) / (s * sqrt(t))
    d2 = d1 - s * sqrt(t)
    above, below = erfc(-d1 / math.sqrt(2)), erfc(-d2 / math.sqrt(2))
    return 0.5 * (spot * above - strike * exp(-r * t) * below) - price


volatility = bracket(black_scholes, 1e-3, 5.0)
OPTION = (10.0, 100.0, 105.0, 1.5, 0.02)


# ---- against other means -------------------------------------------------------------


@pytest.mark.parametrize("e, m", [(0.0, 2.0), (0.1, 0.5), (0.9, 0.1), (0.999, 3.0)])
def test_keplers_equation_agrees_with_mpmath_to_third_order(e: float, m: float) -> None:
    with mpmath.workdps(40):

        def exact(e: Any) -> Any:
            return mpmath.findroot(lambda u: u - e * mpmath.sin(u) - m, m)

        wanted = [float(mpmath.diff(exact, e, n)) for n in range(4)]
    found = [
        anomaly(e, m),
        grad(anomaly)(e, m),
        grad(grad(anomaly))(e, m),
        grad(grad(grad(anomaly)))(e, m),
    ]
    assert found == pytest.approx(wanted, rel=1e-12, abs=1e-13)
    assert derivatives(lambda e: anomaly(e, m), e, 3) == pytest.approx(
        wanted, rel=1e-12, abs=1e-13
    )


def test_an_implied_volatility_gives_its_price_back_and_the_known_sensitivities() -> (
    None
):
    s = volatility(*OPTION)
    assert black_scholes(s, *OPTION) == pytest.approx(0.0, abs=1e-13)
    by_s, *others = grad(black_scholes, tuple(range(6)))(s, *OPTION)
    wanted = tuple([-d / by_s for d in others])
    assert grad(volatility, tuple(range(5)))(*OPTION) == pytest.approx(
        wanted, rel=1e-14
    )
    check_grads(volatility, OPTION, order=2)


def test_van_der_waals_has_the_textbook_compressibility() -> None:
    gas, a, b = 0.08314, 3.64, 0.04267

    def state(v: Any, p: Any, t: Any) -> Any:
        return (p + a / v**2) * (v - b) - gas * t

    volume = root(state, lambda p, t: gas * t / p)
    v = volume(20.0, 350.0)
    slope = -gas * 350.0 / (v - b) ** 2 + 2 * a / v**3  # ∂p/∂v
    by_t = gas / (v - b)  # ∂p/∂t
    assert grad(volume, (0, 1))(20.0, 350.0) == pytest.approx(
        (1 / slope, -by_t / slope), rel=1e-12
    )
    check_grads(volume, (20.0, 350.0), order=3)


def test_a_system_has_derivatives_of_all_its_unknowns() -> None:
    assert meeting(8.0) == [2.0, 2.0]
    assert jacobian(meeting)(8.0) == [0.125, 0.125]
    by_r = derivatives(lambda r: meeting(r)[1], 8.0, 3)
    assert by_r == [2.0, 0.125, -0.0078125, 0.00146484375]
    check_grads(triple, (POINT,), order=3)


def test_a_system_agrees_with_mpmath() -> None:
    with mpmath.workdps(40):

        def exact(p0: Any, p1: Any, p2: Any) -> Any:
            def f(x: Any, y: Any, z: Any) -> Any:
                return [
                    x + y * z - p0,
                    x * x - y + mpmath.sin(z) - p1,
                    mpmath.exp(x) * z - p2,
                ]

            return mpmath.findroot(f, (0.85, 0.5, 0.3))

        x = [float(v) for v in exact(*POINT)]
        slopes = [
            [
                float(mpmath.diff(lambda *p, i=i: exact(*p)[i], POINT, order))
                for order in ((1, 0, 0), (0, 1, 0), (0, 0, 1))
            ]
            for i in range(3)
        ]
        mixed = float(mpmath.diff(lambda *p: exact(*p)[0], POINT, (1, 0, 1)))
    assert triple(POINT) == pytest.approx(x, rel=1e-15)
    assert np.allclose(jacobian(triple)(POINT), slopes, rtol=1e-13, atol=0)
    assert hessian(lambda p: triple(p)[0])(POINT)[0][2] == pytest.approx(mixed, 1e-12)


def cell(z: Any, w: Any, x: Any) -> Any:
    """A layer of three neurons whose outputs are its inputs, too."""
    return [tanh(sum(a * b for a, b in zip(row, z)) + c) for row, c in zip(w, x)]


WEIGHTS = [[0.3, -0.8, 0.1], [0.5, 0.2, -0.4], [-0.6, 0.7, 0.2]]


def test_a_deep_equilibrium_is_that_of_many_repetitions_and_so_are_its_slopes() -> None:
    def repeated(w: Any, x: Any) -> Any:
        z = [0.0, 0.0, 0.0]
        for _ in range(300):
            z = cell(z, w, x)
        return z

    settled = fixed_point(cell, [0.0, 0.0, 0.0])
    x = [0.2, -0.1, 0.4]
    assert settled(WEIGHTS, x) == pytest.approx(repeated(WEIGHTS, x), rel=1e-14)
    for argnum in (0, 1):
        found = np.array(jacobian(settled, argnum)(WEIGHTS, x))
        wanted = np.array(jacobian(repeated, argnum)(WEIGHTS, x))
        assert np.allclose(found, wanted, rtol=1e-12, atol=1e-14)
    loss = jit(grad(lambda w: sum(z * z for z in settled(w, x))))
    assert loss(WEIGHTS) == grad(lambda w: sum(z * z for z in settled(w, x)))(WEIGHTS)


def test_a_fixed_point_that_repeating_runs_away_from_is_found() -> None:
    other = fixed_point(lambda x, r: r * x * (1 - x), 0.6)
    assert other(3.7) == pytest.approx(1 - 1 / 3.7, rel=1e-15)
    assert grad(other)(3.7) == pytest.approx(1 / 3.7**2, rel=1e-13)


@pytest.mark.parametrize("low, high", [(0.0, 10.0), (10.0, 0.0), (-1e300, 1e300)])
def test_a_bracket_finds_a_cube_root_to_the_last_digits(
    low: float, high: float
) -> None:
    side = bracket(lambda x, v: x**3 - v, low, high)
    for v in (8.0, 20.0, 0.3, 1e-5):
        assert side(v) == pytest.approx(math.cbrt(v), rel=5e-16, abs=0.0)
        assert grad(side)(v) == pytest.approx(math.cbrt(v) / (3 * v), rel=1e-14)


def test_a_bracket_that_has_its_zero_at_an_end() -> None:
    line = bracket(lambda x, p: x - p, 0.0, lambda p: 2 * p + 1.0)
    assert line(0.0) == 0.0 and grad(line)(0.0) == 1.0
    assert bracket(lambda x, p: x - p, 0.0, 1.0)(1.0) == 1.0


# ---- every mode ----------------------------------------------------------------------


def test_compiled_gradients_have_the_bits_of_eager_ones_on_few_paths() -> None:
    both = value_and_grad(anomaly, (0, 1))
    compiled = jit(both)
    for i in range(200):
        e, m = 0.99 * (i % 20) / 20, 0.1 + 3.0 * i / 200
        assert compiled(e, m) == both(e, m)
    assert len(compiled.paths) <= 2


@pytest.mark.parametrize("order", [1, 2])
def test_compiled_systems_have_the_bits_of_eager_ones(order: int) -> None:
    f = jacobian(triple) if order == 1 else hessian(lambda p: triple(p)[1])
    compiled = jit(f)
    for p in (POINT, [1.2, 0.9, 0.3], [0.8, 0.2, 0.4]):
        found, wanted = np.array(compiled(p)), np.array(f(p))
        if order == 1:
            assert found.tolist() == wanted.tolist()
        assert np.allclose(found, wanted, rtol=1e-14, atol=1e-15)


def test_a_compiled_call_goes_on_where_more_steps_are_needed_than_were_traced() -> None:
    f = root(lambda x, p: exp(x) - p, 0.0)
    compiled = jit(value_and_grad(f))
    for p in (1.0, 3.0, 1e5, 1e-9, 1e-30, 1e40, 2.0):
        assert compiled(p) == value_and_grad(f)(p)
        assert compiled(p)[0] == pytest.approx(math.log(p), rel=1e-14)
    assert 1 < len(compiled.paths) <= 5


def test_a_compiled_volatility_has_the_bits_of_the_eager_one() -> None:
    both = value_and_grad(volatility, (0, 1, 2, 3, 4))
    compiled = jit(both)
    for price in (4.0, 10.0, 30.0, 60.0, 95.0):
        assert compiled(price, *OPTION[1:]) == both(price, *OPTION[1:])


def test_lanes_of_a_batch_are_solved_each_for_itself() -> None:
    e = np.linspace(0.0, 0.99, 60)
    m = np.linspace(0.05, 6.2, 60)
    ys, (by_e, by_m) = vmap(value_and_grad(anomaly, (0, 1)))(e, m)
    for i in range(60):
        y, (a, b) = value_and_grad(anomaly, (0, 1))(float(e[i]), float(m[i]))
        assert ys[i] == pytest.approx(y, rel=1e-14)
        assert (by_e[i], by_m[i]) == pytest.approx((a, b), rel=1e-11, abs=1e-13)
    slopes = vmap(jacobian(triple))(np.array([POINT, [1.2, 0.9, 0.3]]))
    assert np.allclose(slopes[0], jacobian(triple)(POINT), rtol=1e-13)
    hard = root(lambda x, p: exp(x) - p, 0.0)  # 6, 12 … steps
    assert np.allclose(vmap(hard)([1.0, 1e5, 1e-9]), np.log([1.0, 1e5, 1e-9]))


def test_a_lane_that_is_done_a_digit_before_its_trace_is_solved() -> None:
    for d in (-3, -1, 0, 5, 6, 10):  # a first path each: 16 steps, or some more
        price = 32.92168461696327 * (1 + d * 2.0**-52)
        one = vmap(volatility, in_axes=(0, None, None, None, None))
        (s,) = one([price], 100.0, 70.0, 1.0, 0.03)
        assert s == pytest.approx(0.27812742668, rel=1e-10)


def test_a_batch_called_on_values_has_their_derivatives() -> None:
    def batched(s: Any) -> Any:
        return sum(vmap(lambda e: anomaly(e * s, 1.0))([0.1, 0.5]))

    def one_by_one(s: Any) -> Any:
        return anomaly(0.1 * s, 1.0) + anomaly(0.5 * s, 1.0)

    assert grad(batched)(1.0) == pytest.approx(grad(one_by_one)(1.0), rel=1e-14)
    second = grad(grad(batched))(1.0)
    assert second == pytest.approx(grad(grad(one_by_one))(1.0), rel=1e-13)


def test_a_compiled_function_called_on_values_is_differentiated_to_third_order() -> (
    None
):
    compiled = jit(anomaly)
    for f in (grad, lambda f: grad(grad(f)), lambda f: grad(grad(grad(f)))):
        assert f(compiled)(0.5, 1.0) == pytest.approx(f(anomaly)(0.5, 1.0), rel=1e-13)
    system = jit(triple)
    found = hessian(lambda p: system(p)[2])(POINT)
    wanted = hessian(lambda p: triple(p)[2])(POINT)
    assert np.allclose(found, wanted, rtol=1e-12, atol=1e-14)


def test_forward_and_reverse_mode_agree() -> None:
    assert np.allclose(jacfwd(triple)(POINT), jacrev(triple)(POINT), rtol=1e-14)
    _, x_dot = jvp(triple, (POINT,), ([1.0, -2.0, 0.5],))
    wanted = np.array(jacobian(triple)(POINT)) @ [1.0, -2.0, 0.5]
    assert np.allclose(x_dot, wanted, rtol=1e-13)
    _, pullback = vjp(triple, POINT)
    assert np.allclose(
        pullback([1.0, -2.0, 0.5])[0],
        [1.0, -2.0, 0.5] @ np.array(jacobian(triple)(POINT)),
        rtol=1e-13,
    )
    (product,) = hvp(lambda p: triple(p)[1], (POINT,), ([1.0, 0.0, 2.0],))
    wanted = np.array(hessian(lambda p: triple(p)[1])(POINT)) @ [1.0, 0.0, 2.0]
    assert np.allclose(product, wanted, rtol=1e-12)


def test_power_series_go_through_a_solution() -> None:
    assert taylor(meeting, 8.0, 3) == [
        [2.0, 2.0],
        [0.125, 0.125],
        [-0.00390625, -0.00390625],
        [0.000244140625, 0.000244140625],
    ]
    compiled = jit(lambda e: derivatives(lambda t: anomaly(t, 1.0), e, 5))
    assert compiled(0.5) == derivatives(lambda t: anomaly(t, 1.0), 0.5, 5)
    third = grad(lambda e: taylor(lambda t: anomaly(t, 1.0), e, 3)[3])(0.5)
    fourth = derivatives(lambda e: anomaly(e, 1.0), 0.5, 4)[4]
    assert third == pytest.approx(fourth / 6, rel=1e-12)


TERMS: dict[str, Any] = {
    "wave": lambda u, p: sin(u) * p[0],
    "squash": lambda u, p: tanh(u + p[1]),
    "growth": lambda u, p: exp(0.3 * u) * p[0],
    "log": lambda u, p: log(1.0 + u * u) + p[1] * u,
    "select": lambda u, p: where(u > p[1], u * u, u * p[0]),
    "branch": lambda u, p: u**3 if u > 0.2 else u * p[1],
}


def random_system(seed: int) -> tuple[Any, random.Random]:
    """Σx² at the solution of one to three equations of random terms."""
    source = random.Random(seed)
    n = source.choice([1, 1, 2, 3])
    weights = [[source.uniform(-1.0, 1.0) for _ in range(n + 2)] for _ in range(n)]
    terms = [TERMS[source.choice([*TERMS])] for _ in range(n)]

    def f(xs: Any, p: Any) -> Any:
        return [
            2 * x + sum(a * u for a, u in zip(w, xs)) + term(x, p) - w[n] * p[1] - w[-1]
            for x, w, term in zip(xs, weights, terms)
        ]

    solved = root(f, [0.5] * n)
    return lambda p: sum(x * x for x in solved(p)), source


@pytest.mark.parametrize("seed", seeds(30))
def test_random_systems_are_alike_eager_and_compiled_and_right(seed: int) -> None:
    f, source = random_system(seed)
    first, second = value_and_grad(f), hessian(f)
    compiled = jit(first), jit(second)
    for _ in range(2):
        p = [source.uniform(-2.0, 2.0), source.uniform(-2.0, 2.0)]
        try:
            wanted = first(p)
        except ValueError:  # there is no solution, or none that is near
            with pytest.raises(ValueError, match="root: f must become zero"):
                compiled[0](p)
            continue
        assert compiled[0](p) == wanted
        assert np.allclose(compiled[1](p), second(p), rtol=1e-11, atol=1e-11)
        check_grads(f, (p,), order=1)


def test_a_value_is_one_node_that_is_explained_drawn_and_copied() -> None:
    e, m = Value(0.5, "e"), Value(1.0, "M")
    u = anomaly(e, m)
    u.label = "E"
    assert u.op == "root" and u.parents == (e, m)
    text = explain(u).text
    assert "E = root(1.4987, e, M)" in text and "sin(E)" in text
    assert "root" in draw(u)._repr_svg_() and "root" in player(u).html
    assert "nothing is wrong" in why(u, e).verdict
    assert rounding_error(u).total > 0.0
    for again in (pickle.loads(pickle.dumps(u)), copy.deepcopy(u)):
        again.backward()
        assert [x.grad for x in again.parents] == [*grad(anomaly, (0, 1))(0.5, 1.0)]
    u.backward()
    assert (e.grad, m.grad) == grad(anomaly, (0, 1))(0.5, 1.0)


def test_functions_and_compiled_functions_are_pickled() -> None:
    again = pickle.loads(pickle.dumps(anomaly))
    assert again(0.5, 1.0) == anomaly(0.5, 1.0)
    compiled = jit(grad_of_anomaly)
    compiled(0.5, 1.0)
    there = pickle.loads(pickle.dumps(compiled))
    assert there(0.6, 1.1) == grad_of_anomaly(0.6, 1.1)


def grad_of_anomaly(e: Any, m: Any) -> Any:
    return grad(anomaly)(e, m)


def _on_engine(engine: Any, name: str) -> Any:
    """One of several programs, on an engine."""

    def f(u: Any, e: Any, m: Any) -> Any:
        return u - e * engine.sin(u) - m

    solved = engine.root(f, 1.0)
    if name == "values":
        y = solved(engine.Value(0.5), engine.Value(1.0))
        y.backward()
        return y, [x.grad for x in y.parents]
    if name == "hessian":
        return engine.hessian(lambda p: solved(p[0], p[1]))([0.5, 1.0])
    if name == "bracket":
        held = engine.bracket(f, 0.0, 4.0)
        return held(0.5, 1.0), engine.grad(held, (0, 1))(0.5, 1.0)
    if name == "system":
        return engine.jacobian(engine.root(circle, [1.0, 2.0]))(8.0)
    return engine.root(lambda x, p: x * x + p, 1.0)(1.0)  # an error


@pytest.mark.parametrize("name", ["values", "hessian", "bracket", "system", "error"])
def test_both_engines_agree_in_every_bit(name: str) -> None:
    first, second = on_both(_on_engine, name)
    assert first == second


# ---- what f may be -------------------------------------------------------------------


def test_of_several_roots_the_start_decides() -> None:
    square = root(lambda x, p, x0: x * x - p, lambda p, x0: x0)
    assert (square(4.0, 1.0), square(4.0, -1.0)) == (2.0, -2.0)
    assert grad(square, (0, 1))(4.0, -1.0) == (-0.25, 0.0)


def test_a_parameter_without_a_say_has_derivative_zero() -> None:
    f = root(lambda x, a, b: x**3 - a, 1.0)
    assert grad(f, (0, 1))(8.0, 5.0) == (1 / 12, 0.0)
    both = root(lambda x, a, b: x**3 - where(True, a, b), 1.0)
    assert grad(both, (0, 1))(8.0, nan) == (1 / 12, 0.0)


@pytest.mark.parametrize("start", [1, np.float64(1.0), Value(1.0), np.array(1.0)])
def test_a_start_may_be_any_number(start: Any) -> None:
    assert root(lambda x, p: x * x - p, start)(4.0) == 2.0
    assert bracket(lambda x, p: x * x - p, start, 5)(4.0) == 2.0


def test_a_start_that_is_a_value_is_not_differentiated() -> None:
    slope = grad(lambda a: a * root(lambda x, p: x * x - p, a)(4.0))(1.0)
    assert slope == 2.0
    low = Value(0.0)
    x = bracket(lambda x, p: x * x - p, low, 5.0)(Value(4.0))
    assert low not in x.parents


def test_unknowns_and_parameters_have_any_structure() -> None:
    def f(x: Any, p: Any) -> Any:
        return {"product": x["u"] * x["v"] - p["k"][0], "gap": x["u"] - x["v"]}

    solved = root(f, {"u": 1.0, "v": 2.0})
    assert solved({"k": [4.0]}) == {"u": 2.0, "v": 2.0}
    assert jacobian(solved)({"k": [4.0]}) == {"u": {"k": [0.25]}, "v": {"k": [0.25]}}
    squares = root(lambda x, p: x * x - p, np.array([1.0, 2.0]))
    p = np.array([4.0, 9.0])
    assert squares(p).tolist() == [2.0, 3.0]
    for slopes in (jacobian(squares), jit(jacobian(squares))):
        assert np.allclose(slopes(p), [[1 / 4, 0.0], [0.0, 1 / 6]], rtol=1e-15)
    assert [type(x) for x in squares(Value(4.0))] == [Value, Value]


def test_settings_are_handed_to_f() -> None:
    def f(x: Any, p: Any, kind: str, *, power: int = 2) -> Any:
        return x**power - p if kind == "power" else x - p

    assert root(f, 1.0)(8.0, "power", power=3) == 2.0
    assert grad(lambda p: root(f, 1.0)(p, "other"))(8.0) == 1.0

    def repeated(x: Any, p: Any, times: int, holder: Any) -> Any:
        for _ in range(times):
            x = x * x
        return x - p * holder.scale

    class Holder:
        scale = Value(2.0, "scale")

    fourth = root(repeated, 1.0)
    slope = grad(lambda p: fourth(p, 2, Holder))(8.0)
    assert slope.data == pytest.approx(2 / 32, rel=1e-15)
    x = fourth(np.array([8.0], dtype=object)[0], 2, Holder)
    assert x.parents == (Holder.scale,) and x.data == 2.0


def test_values_that_f_closes_over_are_parameters_as_well() -> None:
    def outer(a: Any) -> Any:
        return root(lambda x, p: x * x - a * p, 1.0)(2.0)

    wanted = [4.0, 0.25, -0.015625]
    assert [outer(8.0), grad(outer)(8.0), grad(grad(outer))(8.0)] == wanted
    for f in (outer, grad(outer), grad(grad(outer))):
        assert jit(f)(8.0) == f(8.0)
    assert derivatives(outer, 8.0, 2) == wanted
    a = Value(8.0, "a")
    y = root(lambda x, p: x * x - a * p, 1.0)(2.0)
    assert y.parents == (a,)
    y.backward()
    assert a.grad == 0.25


def test_compiled_code_reads_the_values_that_f_closes_over_at_each_call() -> None:
    a = Value(8.0)
    solved = jit(lambda p: root(lambda x, p: x * x - a * p, 1.0)(p))
    assert solved(2.0).data == 4.0
    a.data = 2.0
    assert solved(2.0).data == 2.0
    y = solved(Value(2.0))
    y.backward()
    assert a.grad == 0.5


def test_derivatives_that_f_takes_are_part_of_the_equation() -> None:
    def lowest(a: Any) -> Any:
        """The minimum of x⁴/4 + a·x, where the slope is zero: -a^(1/3)."""
        slope = grad(lambda x, a: x**4 / 4 + a * x)
        return root(slope, -1.5)(a)

    third = [-2.0, -1 / 12, 2 / 9 * 8 ** (-5 / 3)]
    for found in (derivatives(lowest, 8.0, 2), [lowest(8.0), grad(lowest)(8.0)]):
        assert found == pytest.approx(third[: len(found)], rel=1e-14)
    assert grad(grad(lowest))(8.0) == pytest.approx(third[2], rel=1e-14)
    assert jit(grad(grad(lowest)))(8.0) == grad(grad(lowest))(8.0)
    compiled = jit(grad(lowest))
    assert compiled(8.0) == grad(lowest)(8.0) and compiled(1.0) == grad(lowest)(1.0)


def nested(a: Any) -> Any:
    def g(y: Any, a: Any) -> Any:
        x = root(lambda x, y: x**3 + x * a - y, 1.0)(y)
        return x * y - a

    return root(g, 2.0)(a)


def test_a_root_in_a_root_has_derivatives_of_every_order_in_every_mode() -> None:
    check_grads(nested, (1.5,), order=3)
    for f in (nested, grad(nested), grad(grad(nested))):
        compiled = jit(f)
        assert compiled(1.5) == f(1.5) and compiled(2.5) == f(2.5)
        batch = vmap(f)([1.5, 2.5, 0.3])
        assert batch == pytest.approx([f(1.5), f(2.5), f(0.3)], rel=1e-13)
    assert derivatives(nested, 1.5, 2) == pytest.approx(
        [nested(1.5), grad(nested)(1.5), grad(grad(nested))(1.5)], rel=1e-13
    )


def _pullback(ys: Any, xs: Any, y_bars: Any) -> list[Any]:
    (s, c), (s_bar, c_bar) = ys, y_bars
    return [s_bar * c - c_bar * s]


sincos = VectorPrimitive(
    "sincos", lambda x: (sin(x), cos(x)), _pullback, outputs=2, arity=1
)
powers = jit(lambda x: [x * x, exp(x)])
square = jit(lambda x, p: x * x * p)
lanes = vmap(lambda a, x: exp(a * x), in_axes=(0, None))


@pytest.mark.parametrize(
    "f",
    [
        lambda x, p: sincos(x)[0] + p * sincos(x)[1] + p * x * x - 0.1 * exp(x),
        lambda x, p: sin(x) + p * cos(x) + p * powers(x)[0] - 0.1 * powers(x)[1],
        lambda x, p: sin(x) + p * cos(x) + square(x, p) - 0.1 * exp(x),
        lambda x, p: sin(x) + p * cos(x) + p * x * x - 0.1 * sum(lanes([1.0], x)),
    ],
    ids=["vector primitive", "compiled, several", "compiled, one", "batch"],
)
def test_calls_inside_f_are_part_of_the_equation(f: Any) -> None:
    def plain(x: Any, p: Any) -> Any:
        return sin(x) + p * cos(x) + p * x * x - 0.1 * exp(x)

    found, wanted = root(f, -0.2), root(plain, -0.2)
    for of in (lambda g: g, grad, lambda g: grad(grad(g))):
        assert of(found)(0.3) == pytest.approx(of(wanted)(0.3), rel=1e-13)
        assert jit(of(found))(0.3) == pytest.approx(of(wanted)(0.3), rel=1e-13)
    y = copy.deepcopy(found(Value(0.3)))
    y.backward()
    assert y.parents[0].grad == pytest.approx(grad(wanted)(0.3), rel=1e-13)


def test_a_branch_of_f_counts_as_it_is_at_the_solution() -> None:
    bent = root(lambda x, p: (x * x if x > 1 else x) - p, 2.0)
    compiled = jit(grad(bent))
    for p, slope in [(4.0, 0.25), (0.5, 1.0), (0.9, 1.0), (9.0, 1 / 6)]:
        assert grad(bent)(p) == compiled(p) == slope


def implicit_euler(p: Any) -> Any:
    """y' = -p·y³ in twenty implicit steps."""
    y: Any = 1.0
    for _ in range(20):
        y = root(lambda x, y, p: x - y + 0.1 * p * x**3, lambda y, p: y)(y, p)
    return y


def test_a_root_in_each_step_of_an_integrator_keeps_to_one_path() -> None:
    both = value_and_grad(implicit_euler)
    compiled = jit(both)
    for p in (2.0, 3.0, 0.1, 10.0):
        assert compiled(p) == both(p)
    assert len(compiled.paths) == 1
    check_grads(implicit_euler, (2.0,), order=2)


def test_far_starts_arrive_by_damped_steps() -> None:
    from autograd import atan

    assert root(lambda x, p: atan(x) - p, 50.0)(1.0) == pytest.approx(math.tan(1.0))
    assert root(lambda x, p: log(x) - p, 50.0)(1.0) == pytest.approx(math.e, 1e-15)
    assert root(lambda x, p: exp(x) - p, 50.0)(2.0) == pytest.approx(math.log(2.0))
    big = root(lambda x, p: [x[0] * x[1] - p, x[0] - 1e20 * x[1]], [1e10, 1e-10])
    assert big(2.0) == pytest.approx([1e10 * math.sqrt(2), 1e-10 * math.sqrt(2)], 1e-15)


def test_a_root_at_zero_and_one_under_rounding_are_found() -> None:
    assert root(lambda x, p: sin(x) - p, 0.5)(0.0) == 0.0
    assert abs(root(lambda x: sin(x + math.pi), 0.5)()) < 4e-16
    assert abs(root(lambda x: (x + 1e8) - 1e8, 0.3)()) < 1e-7
    pair = root(lambda x, p: [x[0] - p, (x[0] - 0.1) + x[1] - (p - 0.1)], [2.0, 1.0])
    x, y = pair(1.0)
    assert x == 1.0 and abs(y) < 1e-15


def test_lines_are_kept_and_anomalies_looked_for_around_it() -> None:
    with record_lines():
        y = anomaly(Value(0.5), 1.0)
    assert y.line is not None and "test_implicit.py" in y.line
    with detect_anomaly():
        assert anomaly(0.5, 1.0) == y.data


# ---- where there is none -------------------------------------------------------------


def test_no_convergence_says_where_it_stands() -> None:
    message = r"root: f must become zero, but after \d+ steps stands at x = .*, where "
    never = root(lambda x, p: x * x + p, 1.0)
    for f in (never, grad(never), jit(never), vmap(never)):
        argument: Any = [1.0, 2.0] if isinstance(f, type(vmap(never))) else 1.0
        with pytest.raises(ValueError, match=message + r"f is [1-9].*; start nearer"):
            f(argument)
    two = root(lambda x, p: [x[0] ** 2 + p, x[1] - x[0]], [1.0, 2.0])
    with pytest.raises(ValueError, match=r"at x = \[.*\], where f is \[1\.0.*, .*\];"):
        two(1.0)
    with pytest.raises(ValueError, match=r"fixed_point: g\(x\) - x must become zero"):
        fixed_point(lambda x, p: x * x + x + p, 1.0)(1.0)


def test_a_compiled_function_goes_on_after_an_error() -> None:
    compiled = jit(grad(root(lambda x, p: exp(x) - p, 0.0)))
    assert compiled(2.0) == 0.5
    with pytest.raises(ValueError, match="root: f must become zero"):
        compiled(-1.0)
    assert compiled(4.0) == 0.25


@pytest.mark.parametrize(
    "f, x0, p",
    [
        (lambda x, p: x * x - p, 1.0, nan),
        (lambda x, p: x * x - p, 1.0, inf),
        (lambda x, p: x * x - p, 0.0, 1.0),  # where the slope is zero
        (lambda x, p: log(x) - p, -1.0, 1.0),
        (lambda x, p: 0.0 * x + p, 1.0, 1.0),
        (lambda x, p: p, 1.0, 1.0),
        (lambda x, p: [x[0] + x[1] - p, 2 * x[0] + 2 * x[1] - p], [1.0, 1.0], 1.0),
        (lambda x, p: [x[0] / 3 + x[1] / 7 - p, 0.1 * (x[0] / 3 + x[1] / 7 - p)],
         [0.3, 0.1], 1.0),  # singular, but for rounding
    ],
)  # fmt: skip
def test_a_start_from_which_no_step_leads_is_an_error(f: Any, x0: Any, p: Any) -> None:
    for solved in (root(f, x0), jit(root(f, x0))):
        with pytest.raises(ValueError, match="must be finite at x0, and the slope not"):
            solved(p)


def test_a_slope_of_zero_at_the_solution_is_infinite_or_an_error() -> None:
    touching = root(lambda x, p: (x - 1.0) ** 2 - p, 2.0)
    assert touching(0.0) == 1.0
    for slope in (grad(touching), jit(grad(touching))):
        assert abs(slope(0.0)) == inf
    with pytest.raises(ValueError, match="root: f must become zero"):
        root(lambda x, p: x * x - p, 1.0)(0.0)
    pair = root(lambda x, p: [x[0] - p, (x[1] - 1.0) ** 2], [2.0, 3.0])
    assert pair(5.0) == [5.0, 1.0]
    assert all(not math.isfinite(d) for d in jacobian(pair)(5.0))


@pytest.mark.parametrize(
    "f", [lambda x, p: x * x + p, lambda x, p: x - 5.0 * p, lambda x, p: x * nan]
)
def test_no_change_of_sign_is_an_error(f: Any) -> None:
    for solved in (bracket(f, -1.0, 1.0), jit(bracket(f, -1.0, 1.0))):
        with pytest.raises(ValueError, match=r"bracket: f must have opposite signs at"):
            solved(1.0)


@pytest.mark.parametrize(
    "f",
    [
        lambda x, p: 1.0 / (x - p),
        lambda x, p: tan(x - p + math.pi / 2),
        lambda x, p: sign(x - p),
        lambda x, p: x - p + 0.5 * sign(x - p),
        lambda x, p: where(x > p, 1.0, -1.0) * exp(x),
        lambda x, p: where((x - p) ** 2 < 1e-2, nan, x - p),
    ],
)
def test_a_jump_a_pole_and_a_gap_are_no_zero(f: Any) -> None:
    for solved in (bracket(f, 0.0, 1.0), jit(bracket(f, 0.0, 1.0))):
        with pytest.raises(
            ValueError, match="bracket: f must go through zero where it"
        ):
            solved(0.3)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: root(3.0, 1.0), TypeError, "root: its first argument must be a func"),
        (lambda: bracket(None, 1.0, 2.0), TypeError, "bracket: its first argument"),
        (lambda: root(circle, [1.0])(8.0), IndexError, "index out of range"),
        (lambda: root(lambda x, p: x[0] - p, [1.0, 2.0])(1.0), ValueError,
         r"root: the result of f must hold 2 number\(s\), .* but holds 1"),
        (lambda: root(lambda x, p: [x, p], 1.0)(1.0), ValueError, "but holds 2"),
        (lambda: root(lambda x, p: x - p, [])(1.0), ValueError, "root: x0 must hold a"),
        (lambda: root(lambda x, p: x - p, "1")(1.0), ValueError, "root: x0 must hold"),
        (lambda: root(lambda x, p: x - p, 1j)(1.0), TypeError, "root: x0 must be"),
        (lambda: fixed_point(lambda x: (x[0],), [1.0, 2.0])(), ValueError,
         "fixed_point: the result of g must have the structure of x0"),
        (lambda: bracket(lambda x: x, [0.0], 1.0)(), TypeError,
         "bracket: low must be a number, or a function"),
        (lambda: bracket(lambda x: x, 0.0, lambda: [1.0, 2.0])(), TypeError,
         "bracket: high must be a number, or a function"),
    ],
)  # fmt: skip
def test_what_cannot_be_solved_is_refused_by_name(
    call: Any, error: Any, message: str
) -> None:
    with pytest.raises(error, match=message):
        call()


def test_scipy_finds_the_same() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    for a in (0.1, 1.0, 7.0):
        wanted = optimize.brentq(
            lambda x, a=a: math.cos(x) - a * x, 0.0, 2.0, rtol=1e-15
        )
        assert bracket(lambda x, a: cos(x) - a * x, 0.0, 2.0)(a) == pytest.approx(
            wanted, rel=1e-14
        )
    there = optimize.root(lambda x: np.array(three(x, POINT), float), [1.0, 1.0, 1.0])
    assert triple(POINT) == pytest.approx(there.x.tolist(), rel=1e-8)
