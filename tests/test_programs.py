"""Whole programs: random ones held against four other ways to get the same derivative,
and the two classic nested ones, in all four mixes of forward and reverse mode.

    program   a list of steps; each picks a row and its operands from what is there
    S         the sum over all paths of the product of |partials|: the size of the terms
              that a derivative is the sum of, and so the unit of its rounding error
"""

from __future__ import annotations

import copy
import itertools
import math
import pickle
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import autograd as ag
from autograd import (
    Value,
    grad,
    hessian,
    hvp,
    jacfwd,
    jacrev,
    jvp,
    value_and_grad,
    vjp,
    where,
)
from autograd.value import topological

EPSILON = 2.0**-52

# ---- random programs -----------------------------------------------------------------

UNARY: dict[str, Callable[[Any], Any]] = {
    "neg": lambda x: -x,
    "abs": lambda x: ag.abs(x + 7.5),
    "sin": ag.sin,
    "cos": ag.cos,
    "tan": lambda x: ag.tan(ag.tanh(x)),
    "asin": lambda x: ag.asin(0.9 * ag.sin(x)),
    "acos": lambda x: ag.acos(0.9 * ag.cos(x)),
    "atan": ag.atan,
    "sinh": lambda x: ag.sinh(ag.sin(x)),
    "cosh": lambda x: ag.cosh(ag.sin(x)),
    "tanh": ag.tanh,
    "asinh": ag.asinh,
    "acosh": lambda x: ag.acosh(1.5 + x * x),
    "atanh": lambda x: ag.atanh(0.9 * ag.tanh(x)),
    "exp": lambda x: ag.exp(ag.sin(x)),
    "exp2": lambda x: ag.exp2(ag.cos(x)),
    "expm1": lambda x: ag.expm1(ag.tanh(x)),
    "log": lambda x: ag.log(1.5 + ag.sin(x)),
    "log2": lambda x: ag.log2(1.0 + x * x),
    "log10": lambda x: ag.log10(2.0 + ag.cos(x)),
    "log1p": lambda x: ag.log1p(x * x),
    "sqrt": lambda x: ag.sqrt(0.5 + x * x),
    "cbrt": lambda x: ag.cbrt(2.0 + ag.sin(x)),
    "erf": ag.erf,
    "erfc": ag.erfc,
    "gamma": lambda x: ag.gamma(2.0 + ag.tanh(x)),
    "lgamma": lambda x: ag.lgamma(2.5 + ag.sin(x)),
    "polygamma": lambda x: ag.polygamma(0, 2.5 + ag.sin(x)),
    "sigmoid": ag.sigmoid,
    "softplus": ag.softplus,
    "silu": ag.silu,
    "gelu": ag.gelu,
    "radians": ag.radians,
    "square": lambda x: (x * 0.5) ** 2,
    "scaled": lambda x: 1.25 - 3 * x / 4,
}
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * ag.tanh(y),
    "div": lambda x, y: x / (1.0 + y * y),
    "pow": lambda x, y: (1.5 + ag.sin(x)) ** ag.tanh(y),
    "fma": lambda x, y: ag.fma(ag.sin(x), y, x),
    "atan2": lambda x, y: ag.atan2(x, 1.0 + y * y),
    "hypot": lambda x, y: ag.hypot(x, y, 1.0),
    "logsumexp": lambda x, y: ag.logsumexp([x, y, 0.5]),
    "dot": lambda x, y: ag.dot([x, 2.0, y], [0.3, y, 0.7]),
    "prod": lambda x, y: ag.prod([ag.sin(x), ag.cos(y), 1.5]),
    "nested": lambda x, y: grad(lambda t: ag.sin(t * y) * t)(x),
}
KINKED: dict[str, Callable[[Any, Any], Any]] = {
    "maximum": ag.maximum,
    "minimum": ag.minimum,
    "relu": lambda x, y: ag.relu(x) + y,
    "leaky_relu": lambda x, y: ag.leaky_relu(x - y),
    "clip": lambda x, y: ag.clip(x, -0.5, y + 0.5),
    "where": lambda x, y: where(x < y, x * 2.0, ag.sin(y)),
    "mod": lambda x, y: x % 1.5 + y,
    "copysign": ag.copysign,
    "abs": lambda x, y: abs(x) - abs(y),
    "floor": lambda x, y: ag.floor(x) * y,
    "if": lambda x, y: x if x > y else y * x,
    "stop": lambda x, y: ag.stop_gradient(x) * y,
}

Step = tuple[str, int, int]
Program = Callable[..., Any]


def program_of(steps: Sequence[Step], inputs: int) -> Program:
    """The function of so many numbers that runs the steps and joins the last three."""

    def program(*xs: Any, trace: list[Any] | None = None) -> Any:
        seen = list(xs) if trace is None else trace
        seen[:] = xs
        for name, i, j in steps:
            x, y = seen[i % len(seen)], seen[j % len(seen)]
            if name.startswith("1 "):
                seen.append(UNARY[name[2:]](x))
            else:
                seen.append((BINARY | KINKED)[name[2:]](x, y))
        return seen[-1] + seen[-2] * 0.5 + seen[-3] * xs[0] + xs[inputs - 1] * 0.25

    return program


def programs(*tables: dict[str, Any], size: int = 8) -> st.SearchStrategy[Any]:
    """Random (program, point): up to `size` steps on three numbers."""
    names = [
        ("1 " if table is UNARY else "2 ") + name for table in tables for name in table
    ]
    step = st.tuples(st.sampled_from(names), st.integers(0, 30), st.integers(0, 30))
    numbers = st.floats(-2.0, 2.0, allow_subnormal=False)
    return st.tuples(
        st.lists(step, min_size=1, max_size=size).map(lambda s: program_of(s, 3)),
        st.tuples(numbers, numbers, numbers),
    )


smooth_programs = programs(UNARY, BINARY)
all_programs = programs(UNARY, BINARY, KINKED, size=12)
some = settings(max_examples=150, deadline=None, derandomize=True)


def path_sums(y: Any, xs: Sequence[Value]) -> tuple[list[Fraction], list[float], int]:
    """∂y/∂x for each x, exactly from the recorded partials; S; the graph's size."""
    order = topological(y) if isinstance(y, Value) else []
    exact: dict[Value, Fraction] = {y: Fraction(1)}
    size: dict[Value, float] = {y: 1.0}
    for node in reversed(order):
        for parent, partial in zip(node.parents, node.partials):
            share = Fraction(partial) * exact[node]
            exact[parent] = exact.get(parent, Fraction(0)) + share
            size[parent] = size.get(parent, 0.0) + abs(partial) * size[node]
    found = [exact.get(x, Fraction(0)) for x in xs]
    return found, [size.get(x, 0.0) for x in xs], len(order) + 1


@some
@given(all_programs)
def test_reverse_mode_sums_all_paths_to_the_last_few_bits(case: Any) -> None:
    program, point = case
    xs = [Value(x) for x in point]
    y = program(*xs)
    exact, sizes, count = path_sums(y, xs)
    found = grad(program, (0, 1, 2))(*point)
    for slope, sum_of_paths, size in zip(found, exact, sizes):
        assert abs(slope - float(sum_of_paths)) <= count * EPSILON * size


@some
@given(all_programs)
def test_forward_mode_equals_reverse_mode_to_the_last_few_bits(case: Any) -> None:
    program, point = case
    xs = [Value(x) for x in point]
    _, sizes, count = path_sums(program(*xs), xs)
    x_dot = (0.6, -1.0, 0.3)
    y, y_dot = jvp(program, point, x_dot)
    y_again, pullback = vjp(program, *point)
    assert y == y_again
    along = sum(a * b for a, b in zip(pullback(1.0), x_dot))
    size = sum(s * abs(d) for s, d in zip(sizes, x_dot))
    assert abs(along - y_dot) <= (2 * count + 3) * EPSILON * size


@some
@given(all_programs)
def test_backward_equals_grad_bit_for_bit(case: Any) -> None:
    program, point = case
    xs = [Value(x) for x in point]
    y = program(*xs)
    y.backward()
    assert value_and_grad(program, (0, 1, 2))(*point) == (
        y.data,
        tuple(x.grad for x in xs),
    )


@some
@given(all_programs)
def test_other_results_do_not_change_a_bit_of_a_gradient(case: Any) -> None:
    program, point = case
    chosen = (0, 1, 2)
    expected = grad(program, chosen)(*point)

    def with_trace(*xs: Any) -> Any:
        trace: list[Any] = []
        return program(*xs, trace=trace), trace

    found, _ = grad(with_trace, chosen, has_aux=True)(*point)
    assert found == expected
    assert jacrev(with_trace, chosen)(*point)[0] == expected


@some
@given(all_programs)
def test_jacobians_by_both_modes_agree(case: Any) -> None:
    program, point = case

    def with_trace(*xs: Any) -> Any:
        trace: list[Any] = []
        return [program(*xs, trace=trace), *trace]

    rows = jacfwd(with_trace, (0, 1, 2))(*point)
    for row, other in zip(rows, jacrev(with_trace, (0, 1, 2))(*point), strict=True):
        scale = max((abs(x) for x in other if math.isfinite(x)), default=0.0)
        assert row == pytest.approx(other, rel=1e-9, abs=1e-9 * scale, nan_ok=True)


@some
@given(all_programs)
def test_values_compute_what_floats_compute_bit_for_bit(case: Any) -> None:
    program, point = case
    assert program(*[Value(x) for x in point]).data == program(*point)


@some
@given(all_programs)
def test_copies_sweep_to_the_same_bits(case: Any) -> None:
    program, point = case
    xs = [Value(x) for x in point]
    y = program(*xs)
    for twin, leaves in (
        copy.deepcopy((y, xs)),
        pickle.loads(pickle.dumps((y, xs))),
    ):
        twin.backward()
        assert tuple(x.grad for x in leaves) == grad(program, (0, 1, 2))(*point)


def slope_of(f: Callable[[float], float], x: float, step: float) -> float:
    """f′(x) by central differences, Richardson's extrapolation of two steps."""
    wide = (f(x + step) - f(x - step)) / (2 * step)
    narrow = (f(x + step / 2) - f(x - step / 2)) / step
    return narrow + (narrow - wide) / 3


def close_to_differences(
    found: float, f: Callable[[float], float], x: float, size: float
) -> bool:
    """Whether found is f′(x), as far as differences that agree can say."""
    coarse, fine = slope_of(f, x, 2e-3), slope_of(f, x, 1e-3)
    uncertain = abs(coarse - fine)
    assume(uncertain <= 1e-6 * (1.0 + size))
    return abs(found - fine) <= 4 * uncertain + 1e-9 * (1.0 + size)


@some
@given(smooth_programs)
def test_gradient_equals_central_differences(case: Any) -> None:
    program, point = case
    xs = [Value(x) for x in point]
    _, sizes, _ = path_sums(program(*xs), xs)
    for i, slope in enumerate(grad(program, (0, 1, 2))(*point)):
        assert close_to_differences(slope, along(program, point, i), point[i], sizes[i])


def along(
    f: Callable[..., Any], point: Sequence[float], i: int
) -> Callable[[float], float]:
    """f as a function of its ith number alone."""
    return lambda x: f(*point[:i], x, *point[i + 1 :])


@settings(some, max_examples=80)
@given(programs(UNARY, BINARY, size=5))
def test_second_derivatives_agree_in_all_mixes_and_with_differences(case: Any) -> None:
    program, point = case
    xs = [Value(x) for x in point]
    v = (0.5, -0.25, 1.0)
    slopes = grad(program, (0, 1, 2))(*xs)
    sizes = [path_sums(slope, xs)[1] for slope in slopes]
    unit = 1.0 + max(max(row) for row in sizes)
    h = hessian(program, (0, 1, 2))(*point)
    for i, j in itertools.product(range(3), range(3)):
        assert abs(h[i][j] - h[j][i]) <= 1e-12 * unit
        first = along(lambda *p, i=i: grad(program, i)(*p), point, j)
        assert close_to_differences(h[i][j], first, point[j], unit)
    expected = [sum(a * b for a, b in zip(row, v)) for row in h]
    reverse_over_forward = grad(lambda *p: jvp(program, p, v)[1], (0, 1, 2))(*point)
    for found in (hvp(program, point, v), reverse_over_forward):
        assert all(abs(a - b) <= 1e-12 * unit for a, b in zip(found, expected))
    twice_forward = jvp(lambda *p: jvp(program, p, v)[1], point, v)[1]
    twice = sum(a * b for a, b in zip(expected, v))
    assert abs(twice_forward - twice) <= 1e-12 * unit


# ---- two classic nested programs -----------------------------------------------------
#
# Pearlmutter and Siskind (2008), Using programming language theory to make automatic
# differentiation sound and efficient. Both take a gradient inside a gradient; the inner
# one and the outer one can be forward or reverse, and must not see each other.

Vector = list[Any]
Gradient = Callable[[Callable[[Vector], Any]], Callable[[Vector], Vector]]


def by_reverse(f: Callable[[Vector], Any]) -> Callable[[Vector], Vector]:
    return grad(f)


def by_forward(f: Callable[[Vector], Any]) -> Callable[[Vector], Vector]:
    def gradient(x: Vector) -> Vector:
        units = [[float(i == j) for j in range(len(x))] for i in range(len(x))]
        return [jvp(f, (x,), (unit,))[1] for unit in units]

    return gradient


def moved(x: Vector, factor: Any, direction: Vector) -> Vector:
    return [a + factor * b for a, b in zip(x, direction)]


def magnitude(x: Vector) -> Any:
    return ag.sqrt(sum(a * a for a in x))


def minimise(f: Callable[[Vector], Any], x: Vector, gradient: Gradient) -> Vector:
    """Naive gradient descent: failure halves the step, ten successes double it."""
    slope = gradient(f)
    y, g, step, successes = f(x), slope(x), 1e-5, 0
    while magnitude(g) > 1e-5:
        if successes == 10:
            step, successes = step * 2, 0
            continue
        new = moved(x, -step, g)
        if magnitude(moved(x, -1.0, new)) <= 1e-5:
            break
        lower = f(new)
        if lower < y:
            x, y, g, successes = new, lower, slope(new), successes + 1
        else:
            step, successes = step / 2, 0
    return x


def saddle_point(outer: Gradient, inner: Gradient) -> Vector:
    """min over x₁, y₁ of max over x₂, y₂ of (x₁² + y₁²) - (x₂² + y₂²)."""

    def f(u: Vector, v: Vector) -> Any:
        return (u[0] * u[0] + u[1] * u[1]) - (v[0] * v[0] + v[1] * v[1])

    def highest(u: Vector) -> Vector:
        return minimise(lambda v: -f(u, v), [1.0, 1.0], inner)

    u = minimise(lambda u: f(u, highest(u)), [1.0, 1.0], outer)
    return u + highest(u)


def landing(w: Any, gradient: Gradient) -> Any:
    """x² where the charged particle crosses the axis, its force by `gradient`."""
    charges = [[10.0, 10.0 - w], [10.0, 0.0]]

    def potential(x: Vector) -> Any:
        return sum(1.0 / magnitude(moved(x, -1.0, charge)) for charge in charges)

    force, step = gradient(potential), 0.1
    x, velocity = [0.0, 8.0], [0.75, 0.0]
    while True:
        acceleration = force(x)
        new = moved(x, step, velocity)
        if new[1] <= 0.0:
            crossing = -x[1] / velocity[1]
            return (x[0] + crossing * velocity[0]) ** 2
        x, velocity = new, moved(velocity, -step, acceleration)


def all_mixes(*fast: tuple[Gradient, Gradient]) -> list[Any]:
    mixes = itertools.product((by_reverse, by_forward), repeat=2)
    return [
        pytest.param(*mix, marks=() if mix in fast else pytest.mark.slow)
        for mix in mixes
    ]


def saddle_by_hand() -> Vector:
    """The same descent with the derivatives written out: both parts are |u|² apart."""

    def doubled(f: Callable[[Vector], Any]) -> Callable[[Vector], Vector]:
        return lambda x: [a + a for a in x]

    return saddle_point(doubled, doubled)


@pytest.mark.parametrize("outer, inner", all_mixes((by_reverse, by_reverse)))
def test_saddle_point_is_found_by_nested_descent(
    outer: Gradient, inner: Gradient
) -> None:
    found = saddle_point(outer, inner)
    assert all(abs(x) < 1e-5 for x in found)
    assert found == saddle_by_hand()


def landing_by_hand(w: float) -> float:
    """The same flight in plain floats, with the force -grad written out."""

    def coulomb(potential: Any) -> Callable[[Vector], Vector]:
        def slope(x: Vector) -> Vector:
            total = [0.0, 0.0]
            for charge in ([10.0, 10.0 - w], [10.0, 0.0]):
                away = moved(x, -1.0, charge)
                total = moved(total, -1.0 / math.hypot(*away) ** 3, away)
            return total

        return slope

    return float(landing(w, coulomb))


@pytest.mark.parametrize("inner", [by_reverse, by_forward])
def test_particle_flies_as_with_the_force_written_out(inner: Gradient) -> None:
    for w in (0.0, 0.2, -0.3):
        assert landing(w, inner) == pytest.approx(landing_by_hand(w), rel=1e-11)


@pytest.mark.parametrize("inner", [by_reverse, by_forward])
@pytest.mark.parametrize("outer", [by_reverse, by_forward])
def test_particle_gradient_equals_differences_in_all_mixes(
    outer: Gradient, inner: Gradient
) -> None:
    (slope,) = outer(lambda w: landing(w[0], inner))([0.0])
    assert slope == pytest.approx(slope_of(landing_by_hand, 0.0, 1e-3), rel=1e-7)


def newton(
    w: float, steps: int, outer: Gradient, inner: Gradient, scale: Callable[[Any], Any]
) -> float:
    """w after steps of -g / scale(h), g and h the landing's two derivatives."""
    slope = outer(lambda w: landing(w[0], inner))
    curvature = outer(lambda w: slope(w)[0])
    for _ in range(steps):
        w -= slope([w])[0] / scale(curvature([w])[0])
    return w


@pytest.mark.slow
def test_particle_is_steered_by_newton_downhill() -> None:
    w = newton(0.0, 5, by_reverse, by_reverse, scale=abs)
    assert w == pytest.approx(0.20719946, abs=5e-9)
    assert landing_by_hand(w) < landing_by_hand(0.0)


@pytest.mark.parametrize("outer, inner", all_mixes((by_reverse, by_reverse)))
def test_particle_is_steered_to_the_same_point_in_all_mixes(
    outer: Gradient, inner: Gradient
) -> None:
    w = newton(0.2078, 2, outer, inner, scale=abs)
    assert w == pytest.approx(0.20719946, abs=5e-9)


@pytest.mark.slow
def test_particle_plain_newton_finds_the_other_root() -> None:
    w = newton(0.0, 5, by_reverse, by_reverse, scale=lambda h: h)
    assert w == pytest.approx(-0.26652341, abs=5e-9)


@pytest.mark.slow
def test_particle_naive_descent_stops_where_the_paper_stops() -> None:
    (w,) = minimise(lambda w: landing(w[0], by_reverse), [0.0], by_reverse)
    assert w == pytest.approx(0.20719187, abs=5e-9)


# ---- against PyTorch -----------------------------------------------------------------


def test_program_with_branches_equals_pytorch() -> None:
    torch = pytest.importorskip("torch")

    def program(x: Any, y: Any, m: Any) -> Any:
        total = x * 0.0
        for k in range(4):
            total = total + m.sin(x * k) * m.exp(-y)
            if total > 0.5:
                total = total * m.tanh(y) - m.log(1.0 + x * x)
        return total + m.sqrt(1.0 + total * total)

    x, y = (
        torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.7, 0.3)
    )
    theirs = program(x, y, torch)
    gx, gy = torch.autograd.grad(theirs, (x, y), create_graph=True)
    gxx, gxy = torch.autograd.grad(gx, (x, y))
    value, ours = value_and_grad(lambda x, y: program(x, y, ag), (0, 1))(0.7, 0.3)
    assert value == pytest.approx(theirs.item(), rel=1e-14)
    assert ours == pytest.approx((gx.item(), gy.item()), rel=1e-13)
    h = hessian(lambda x, y: program(x, y, ag), (0, 1))(0.7, 0.3)
    assert h[0] == pytest.approx((gxx.item(), gxy.item()), rel=1e-12)


def test_network_gradient_equals_pytorch() -> None:
    torch = pytest.importorskip("torch")
    rows = [[math.sin(3.0 * i + j) for j in range(4)] for i in range(5)]
    tail = [math.cos(2.0 * i) for i in range(5)]
    x, target = [0.5, -0.25, 1.0, 0.1], 1.0

    def ours(w: Any, v: Any) -> Any:
        hidden = [ag.tanh(ag.dot(row, x)) for row in w]
        return ag.softplus(-target * ag.dot(v, hidden))

    w = torch.tensor(rows, dtype=torch.float64, requires_grad=True)
    v = torch.tensor(tail, dtype=torch.float64, requires_grad=True)
    hidden = torch.tanh(w @ torch.tensor(x, dtype=torch.float64))
    loss = torch.nn.functional.softplus(-target * (v @ hidden))
    loss.backward()
    value, (w_bar, v_bar) = value_and_grad(ours, (0, 1))(rows, tail)
    assert value == pytest.approx(loss.item(), rel=1e-14)
    assert v_bar == pytest.approx(v.grad.tolist(), rel=1e-13)
    for row, expected in zip(w_bar, w.grad.tolist()):
        assert row == pytest.approx(expected, rel=1e-13)
