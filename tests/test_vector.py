"""Primitives with several results: their nodes, their pullback in every transform."""

from __future__ import annotations

import copy
import gc
import math
import pickle
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

import autograd
from autograd import (
    Value,
    VectorPrimitive,
    atan2,
    check_grads,
    cos,
    detect_anomaly,
    draw,
    exp,
    explain,
    grad,
    hessian,
    hvp,
    hypot,
    jacobian,
    jit,
    jvp,
    record_lines,
    rounding_error,
    sin,
    sqrt,
    vjp,
    vmap,
    why,
)
from autograd.value import topological


def polar_shares(ys: Any, xs: Any, y_bars: Any) -> list[Any]:
    (r, _), (x, y), (r_bar, theta_bar) = ys, xs, y_bars
    t_bar = theta_bar / r**2
    return [r_bar * x / r - t_bar * y, r_bar * y / r + t_bar * x]


def plain_polar(x: Any, y: Any) -> tuple[Any, ...]:
    return hypot(x, y), atan2(y, x)


polar = VectorPrimitive("polar", plain_polar, polar_shares, outputs=2, arity=2)


def plain_solve(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> tuple[Any, ...]:
    det = a * d - b * c
    return (d * e - b * f) / det, (a * f - c * e) / det


def solve_shares(ys: Any, xs: Any, y_bars: Any) -> list[Any]:
    """A⁻ᵀ y_bar for the right side, and its product with the result for A."""
    a, b, c, d, _, _ = xs
    u, v = plain_solve(a, c, b, d, *y_bars)
    x, y = ys
    return [-u * x, -u * y, -v * x, -v * y, u, v]


solve = VectorPrimitive("solve", plain_solve, solve_shares, outputs=2)


def plain_sincos(x: Any) -> tuple[Any, ...]:
    return sin(x), cos(x)


sincos = VectorPrimitive(
    "sincos",
    plain_sincos,
    lambda ys, xs, y_bars: [y_bars[0] * ys[1] - y_bars[1] * ys[0]],
    outputs=2,
    arity=1,
    pushforward=lambda ys, xs, x_dots: [x_dots[0] * ys[1], -x_dots[0] * ys[0]],
)


def program(polar: Any, solve: Any, sincos: Any) -> Callable[[Any], Any]:
    """A function of two numbers through all three, each more than once."""

    def f(v: Sequence[Any]) -> Any:
        r, t = polar(v[0] * v[1], v[1] + 2.0)
        s, c = sincos(r)
        x, y = solve(3.0, s, c, 2.5, v[0], t)
        r, _ = polar(x, y)
        return exp(r) * y + sincos(t)[1] * s * s

    return f


ours, plain = (
    program(polar, solve, sincos),
    program(plain_polar, plain_solve, plain_sincos),
)
POINT = [0.7, 1.3]
DIRECTION = [0.5, -2.0]
TRANSFORMS: dict[str, Callable[..., Any]] = {
    "grad": lambda f: grad(f)(POINT),
    "jacobian": lambda f: jacobian(lambda v: [f(v), v[0], f(v)])(POINT),
    "hessian": lambda f: hessian(f)(POINT),
    "third": lambda f: hessian(lambda v: sum(grad(f)(v)))(POINT),
    "jvp": lambda f: jvp(f, (POINT,), (DIRECTION,)),
    "hvp": lambda f: hvp(f, (POINT,), (DIRECTION,)),
    "forward twice": lambda f: jvp(
        lambda v: jvp(f, (v,), (DIRECTION,))[1], (POINT,), (DIRECTION,)
    ),
    "reverse over forward": lambda f: grad(lambda v: jvp(f, (v,), (DIRECTION,))[1])(
        POINT
    ),
    "vjp twice": lambda f: [vjp(f, POINT)[1](bar) for bar in (1.0, 2.0)],
}


def flat(tree: Any) -> list[float]:
    return (
        [x for item in tree for x in flat(item)]
        if hasattr(tree, "__len__")
        else [float(tree)]
    )


@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_transform_differentiates_through_a_vector_primitive(name: str) -> None:
    transform = TRANSFORMS[name]
    assert flat(transform(ours)) == pytest.approx(flat(transform(plain)), rel=1e-11)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_compiled_transforms_of_a_vector_primitive_give_what_eager_ones_do(
    name: str,
) -> None:
    transform = TRANSFORMS[name]
    compiled = jit(lambda v, d: transform_at(name, v, d))
    assert flat(compiled(POINT, DIRECTION)) == pytest.approx(
        flat(transform(plain)), rel=1e-11
    )


def transform_at(name: str, point: Any, direction: Any) -> Any:
    """The transform of that name where point and direction are traced."""
    f = ours
    return {
        "grad": lambda: grad(f)(point),
        "jacobian": lambda: jacobian(lambda v: [f(v), v[0], f(v)])(point),
        "hessian": lambda: hessian(f)(point),
        "third": lambda: hessian(lambda v: sum(grad(f)(v)))(point),
        "jvp": lambda: jvp(f, (point,), (direction,)),
        "hvp": lambda: hvp(f, (point,), (direction,)),
        "forward twice": lambda: jvp(
            lambda v: jvp(f, (v,), (direction,))[1], (point,), (direction,)
        ),
        "reverse over forward": lambda: grad(lambda v: jvp(f, (v,), (direction,))[1])(
            point
        ),
        "vjp twice": lambda: [vjp(f, point)[1](bar) for bar in (1.0, 2.0)],
    }[name]()


def test_check_grads_accepts_right_pullbacks_and_names_a_wrong_one() -> None:
    check_grads(ours, (POINT,), order=3)
    wrong = VectorPrimitive(
        "wrong", plain_sincos, lambda ys, xs, bars: [bars[0] * ys[1]], outputs=2
    )
    with pytest.raises(AssertionError, match=r"wrong\[1\]"):
        check_grads(lambda x: wrong(x)[1], (0.7,), order=1)


def test_floats_give_floats_and_values_values() -> None:
    assert polar(3.0, 4.0) == (5.0, math.atan2(4.0, 3.0))
    r, t = polar(Value(3.0), 4)
    assert (type(r), r.data, r.op, t.op) == (Value, 5.0, "polar[0]", "polar[1]")
    assert r.args[1] == 4.0
    assert type(r.args[1]) is float


def test_backward_calls_a_pullback_once_for_all_results() -> None:
    calls = []

    def shares(ys: Any, xs: Any, y_bars: Any) -> list[Any]:
        calls.append((ys, xs, y_bars))
        return polar_shares(ys, xs, y_bars)

    counted = VectorPrimitive("counted", plain_polar, shares, outputs=2)
    x, y = Value(3.0), Value(4.0)
    r, t = counted(x, y)
    (r * t + r).backward()
    assert calls == [((5.0, t.data), (3.0, 4.0), (t.data + 1.0, 5.0))]
    twin_x, twin_y = Value(3.0), Value(4.0)
    r, t = plain_polar(twin_x, twin_y)
    (r * t + r).backward()
    assert (x.grad, y.grad) == pytest.approx((twin_x.grad, twin_y.grad), rel=1e-15)


def test_a_result_that_is_not_used_adds_nothing_even_beside_an_infinite_slope() -> None:
    roots = VectorPrimitive(
        "roots",
        lambda x: (sqrt(x), 2.0 * x),
        lambda ys, xs, bars: [bars[0] / (2.0 * ys[0]) + 2.0 * bars[1]],
        outputs=2,
    )
    x = Value(0.0)
    roots(x)[1].backward()
    assert x.grad == 2.0
    assert grad(lambda x: roots(x)[1])(0.0) == 2.0
    assert grad(grad(lambda x: x * roots(x)[1]))(0.0) == 4.0
    assert roots(x)[0].partials == (math.inf,)


def test_none_leaves_an_operand_out_of_the_sweep() -> None:
    first = VectorPrimitive(
        "first", lambda x, y: (x,), lambda ys, xs, bars: [bars[0], None], outputs=1
    )
    x, z = Value(2.0), Value(0.0)
    (y,) = first(x, sqrt(z))
    y.backward()
    assert (x.grad, z.reached) == (1.0, False)
    assert y.parents == (x,)
    assert y.partials == (1.0,)
    assert grad(lambda x, z: first(x, sqrt(z))[0], (0, 1))(2.0, 0.0) == (1.0, 0.0)
    assert jvp(lambda x, z: first(x, sqrt(z))[0], (2.0, 0.0), (1.0, 1.0))[1] == 1.0


def test_results_used_twice_and_operands_given_twice_add_up() -> None:
    x = Value(1.5)
    r, t = polar(x, x)
    (r * r + t).backward()
    assert x.grad == pytest.approx(4 * 1.5, rel=1e-15)
    x.grad = 0
    (r + r).backward()
    (r + r).backward()
    assert x.grad == pytest.approx(4 * math.sqrt(2), rel=1e-15)


def test_settings_reach_value_and_pullback() -> None:
    seen = []

    def value(x: Any, *, power: int, how: Any = None) -> tuple[Any, ...]:
        return x**power, x * power

    def shares(ys: Any, xs: Any, bars: Any, *, power: int, how: Any = None) -> Any:
        seen.append((power, how))
        return [bars[0] * power * xs[0] ** (power - 1) + bars[1] * power]

    f = VectorPrimitive("f", value, shares, outputs=2, arity=1)
    assert f(2.0, power=3) == (8.0, 6.0)
    assert grad(lambda x: sum(f(x, power=3)))(2.0) == 15.0
    assert grad(lambda x: sum(f(x, power=2, how=[1])))(2.0) == 6.0
    assert jit(grad(lambda x: sum(f(x, power=3))))(2.0) == 15.0
    assert seen[:2] == [(3, None), (2, [1])]


def test_number_of_results_may_depend_on_the_operands() -> None:
    halves = VectorPrimitive(
        "halves",
        lambda *xs: [x / 2.0 for x in xs],
        lambda ys, xs, bars: [bar / 2.0 for bar in bars],
        outputs=None,
    )
    assert halves(1.0, 2.0, 3.0) == (0.5, 1.0, 1.5)
    xs = [Value(1.0), Value(2.0)]
    sum(halves(*xs)).backward()
    assert [x.grad for x in xs] == [0.5, 0.5]
    assert jit(grad(lambda v: sum(halves(*v)) ** 2))([1.0, 2.0]) == [1.5, 1.5]


def test_values_beyond_python_arithmetic_follow_ieee() -> None:
    divided = VectorPrimitive(
        "divided",
        lambda x: (1.0 / x, x),
        lambda ys, xs, bars: [-bars[0] / (xs[0] * xs[0]) + bars[1]],
        outputs=2,
    )
    x = Value(0.0)
    assert divided(0.0) == (math.inf, 0.0)
    divided(x)[0].backward()
    assert x.grad == -math.inf


# ---- bad input -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "value, shares, outputs, message",
    [
        (lambda x: (x,), polar_shares, 2, "value must give 2 results, .* gives 1"),
        (lambda x: x, polar_shares, 2, "value must give 2 results"),
        (lambda x: ("a", x), polar_shares, 2, "a result must be a real number"),
        (lambda x: (x, x), lambda *_: [1.0, 2.0], 2, "pullback must give 1 adjoints"),
        (lambda x: (x, x), lambda *_: 1.0, 2, "pullback must give 1 adjoints"),
        (lambda x: (x, x), lambda *_: ["a"], 2, "an adjoint must be a real number"),
        (lambda x: (x, x), lambda *_: [Value(1.0)], 2, "must give numbers where"),
    ],
)
def test_a_wrong_number_of_results_or_adjoints_is_refused_by_name(
    value: Any, shares: Any, outputs: int, message: str
) -> None:
    f = VectorPrimitive("mine", value, shares, outputs=outputs)
    x, other = Value(2.0), Value(1.0)
    with pytest.raises((TypeError, ValueError), match=f"^mine: .*{message}"):
        (other * f(x)[0]).backward()
    assert not (x.reached or other.reached)


def test_wrong_calls_and_definitions_are_refused() -> None:
    with pytest.raises(TypeError, match="polar: must be called with 2 operand"):
        polar(1.0)
    with pytest.raises(TypeError, match="polar: operand must be a real number"):
        polar("a", 1.0)
    with pytest.raises(TypeError, match="VectorPrimitive: name must be a str"):
        VectorPrimitive(3, plain_polar, polar_shares, outputs=2)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="p: pullback must be a function"):
        VectorPrimitive("p", plain_polar, None, outputs=2)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="p: outputs must be a whole number from 1"):
        VectorPrimitive("p", plain_polar, polar_shares, outputs=0)


def test_a_pullback_that_raises_leaves_all_adjoints_as_they_were() -> None:
    def shares(ys: Any, xs: Any, bars: Any) -> Any:
        raise RuntimeError("no")

    broken = VectorPrimitive("broken", plain_polar, shares, outputs=2)
    x, w = Value(1.0), Value(3.0)
    (w * x).backward()
    y = w * broken(x * 2.0, w)[0]
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no"):
            y.backward()
    assert (x.grad, w.grad, y.reached) == (3.0, 1.0, False)
    (w * x).backward()
    assert (x.grad, w.grad) == (6.0, 2.0)


def test_a_pullback_may_sweep_itself() -> None:
    inner = Value(2.0)

    def shares(ys: Any, xs: Any, bars: Any) -> Any:
        (inner * inner).backward()
        return [bars[0]]

    same = VectorPrimitive("same", lambda x: (x,), shares, outputs=1)
    x = Value(3.0)
    y = inner * same(x)[0]
    y.backward()
    assert (x.grad, y.grad) == (2.0, 1.0)


# ---- the point where it was recorded -------------------------------------------------


def test_sweeps_stay_true_to_the_recorded_point() -> None:
    x, y = Value(3.0), Value(4.0)
    r, _ = polar(x, y)
    x.data = 100.0
    r.backward()
    assert (x.grad, y.grad) == pytest.approx((0.6, 0.8), rel=1e-15)
    assert r.partials == pytest.approx((0.6, 0.8), rel=1e-15)


def test_a_rule_that_is_run_again_refuses_what_was_assigned_since() -> None:
    x = Value(3.0)

    def f(t: Any) -> Any:
        r = polar(t, x)[0]
        x.data = 5.0
        return r

    with pytest.raises(ValueError, match="grad: the graph must be as it was recorded"):
        grad(f)(2.0)


# ---- copies --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_copies_keep_results_of_one_call_together(copied: Callable[..., Any]) -> None:
    x, y = Value(3.0, label="x"), Value(4.0)
    r, t = polar(x, y)
    z = r * t + r
    z.backward()
    z2, r2, x2, t2 = copied((z, r, x, t))
    assert (r2.data, r2.grad, r2.op, x2.label) == (r.data, r.grad, "polar[0]", "x")
    assert r2.args[0] is x2
    assert t2._call is r2._call is not None
    x2.grad = 0.0
    z2.backward()
    assert (x2.grad, z2.parents[1]) == (x.grad, r2)
    assert copy.copy(r).args == r.args


def test_what_was_stale_stays_stale_in_a_copy() -> None:
    x = Value(3.0)
    r, _ = polar(x, 4.0)
    x.data = 100.0
    x2, r2 = copy.deepcopy((x, r))
    r2.backward()
    assert (x2.data, x2.grad) == (100.0, pytest.approx(0.6))


# ---- memory --------------------------------------------------------------------------


def test_a_long_chain_of_calls_is_swept_copied_and_freed_without_recursion() -> None:
    done = []

    def work() -> None:
        x = Value(0.5)
        y = x
        for _ in range(20_000):
            y, _ = sincos(y)
        y.backward()
        assert math.isfinite(x.grad)
        copied = pickle.loads(pickle.dumps(y))
        assert copied.data == y.data
        del y, copied
        done.append(True)

    size = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(size)
    assert done


def test_a_cycle_through_a_vector_primitive_is_collected() -> None:
    class Mark:
        pass

    def make() -> Any:
        kept: list[Any] = []
        mark = Mark()
        f = VectorPrimitive(
            "f", lambda x: (x, 2 * x), lambda ys, xs, bars: [(kept, mark)], outputs=2
        )
        kept.extend(f(Value(1.0)))
        import weakref

        return weakref.ref(mark)

    ref = make()
    gc.collect()
    assert ref() is None


def test_results_hold_no_copy_of_the_operands() -> None:
    many = VectorPrimitive(
        "many",
        lambda *xs: [sum(xs)] * 100,
        lambda ys, xs, bars: [sum(bars)] * len(xs),
        outputs=100,
    )
    xs = [Value(float(i)) for i in range(1000)]
    ys = many(*xs)
    assert sys.getsizeof(ys[0]) < 200
    sum(ys).backward()
    assert [x.grad for x in xs] == [100.0] * 1000
    if autograd.accelerated:
        assert sys.getsizeof(ys[0]._call) > 16 * 1000 + 8 * 100


# ---- who looks -----------------------------------------------------------------------


def test_the_call_itself_is_shown_to_no_one() -> None:
    x, y = Value(3.0, label="x"), Value(4.0, label="y")
    r, t = polar(x, y)
    z = r * t
    assert [node.op for node in topological(z)] == ["polar[0]", "polar[1]", "mul"]
    assert r.parents == r.args == (x, y)
    assert r.partials == pytest.approx((0.6, 0.8))
    text = explain(z).text
    assert "polar[0](x, y)" in text
    assert "x/polar[0](x, y)" in text
    assert "polar[1]" in draw(z).dot
    assert rounding_error(z).total > 0.0
    z.backward()
    assert "ordinary number" in str(why(z, x))


def test_lines_and_anomalies_are_told_of_results() -> None:
    with record_lines():
        r, _ = polar(Value(3.0), 4.0)
    assert "test_vector.py" in (r.line or "")
    with detect_anomaly():
        polar(Value(3.0), 4.0)[0].backward()
        with pytest.raises(FloatingPointError, match=r"polar\[1\]: the local deriv"):
            polar(Value(0.0), Value(0.0))[1].backward()
    log = VectorPrimitive(
        "log", lambda x: (autograd.log(x),), lambda ys, xs, b: [b[0] / xs[0]], outputs=1
    )
    with detect_anomaly(), pytest.raises(FloatingPointError, match="the value must be"):
        log(Value(0.0))


# ---- compiled ------------------------------------------------------------------------


def test_compiled_code_has_a_vector_primitive_inlined_or_calls_it_once() -> None:
    assert "hypot" in str(jit(ours).tape(POINT)) or "polar" in str(
        jit(ours).tape(POINT)
    )
    calls = []

    def value(x: Any) -> tuple[float, ...]:
        calls.append(x)
        return math.sin(x), math.cos(x)

    foreign = VectorPrimitive("foreign", value, lambda ys, xs, b: [b[0]], outputs=2)
    f = jit(lambda x: foreign(x)[0] * foreign(x)[1])
    f(0.5)
    calls.clear()
    assert f(0.25) == math.sin(0.25) * math.cos(0.25)
    assert calls == [0.25]


root = VectorPrimitive(
    "root", lambda x, y: (math.sqrt(x), y),
    lambda ys, xs, y_bars: [y_bars[0] * 0.5 / ys[0], y_bars[1]], outputs=2,
)  # fmt: skip
rooted = VectorPrimitive(
    "rooted", lambda x, y: (autograd.sqrt(x), y),
    lambda ys, xs, y_bars: [
        autograd.dot([y_bars[0], y_bars[1]], [0.5 / ys[0], 0.0]),
        autograd.fma(0.5 / ys[0], autograd.mul(0.0 * xs[1], y_bars[0]), y_bars[1]),
    ], outputs=2,
)  # fmt: skip
through_vjp = VectorPrimitive(
    "through_vjp", lambda x, y: (autograd.sqrt(x), y),
    lambda ys, xs, y_bars: autograd.vjp(
        lambda x, y: (autograd.sqrt(x), y), *xs
    )[1](tuple(y_bars)), outputs=2,
)  # fmt: skip


@pytest.mark.parametrize("made", [root, rooted, through_vjp], ids=str)
@pytest.mark.parametrize("x", [4.0, 0.5, 0.0])
def test_what_a_select_leaves_out_is_absent_in_compiled_code_too(
    made: VectorPrimitive, x: float
) -> None:
    def f(xs: Any) -> Any:
        r, y = made(*xs)
        return autograd.where(xs[0] < 1.0, xs[0], r) + autograd.relu(y - 5.0) * y

    def plain(xs: Any) -> Any:
        return autograd.where(xs[0] < 1.0, xs[0], autograd.sqrt(xs[0])) + (
            autograd.relu(xs[1] - 5.0) * xs[1]
        )

    def pushed(f: Any) -> Any:
        return lambda xs: jvp(f, (xs,), ([1.0, 0.5],))[1]

    for y in (7.0, 3.0):
        for way in (grad, hessian, pushed, lambda f: hessian(pushed(f))):
            expected = flat(way(plain)([x, y]))
            for found in (way(f), jit(way(f))):
                assert flat(found([x, y])) == pytest.approx(expected, rel=1e-12)
            lanes = [[x, y], [2.0, 3.0]]
            assert flat(vmap(way(f))(lanes)) == pytest.approx(
                flat([way(plain)(lane) for lane in lanes]), rel=1e-11
            )


def test_what_is_compiled_does_not_branch_on_the_first_result() -> None:
    def f(x: Any) -> Any:
        return rooted(x, x)[0] * x

    slopes = jit(hessian(f))
    assert not slopes.tape(4.0).guards
    assert slopes(4.0) == pytest.approx(hessian(f)(4.0))
    assert math.isnan(slopes(0.0))


def test_where_math_raises_there_is_nan_and_errors_of_ones_own_come_through() -> None:
    steep = VectorPrimitive(
        "steep", lambda x, *, self: (math.exp(x), x),
        lambda ys, xs, b, *, self: [b[0] * math.log(xs[0]) + b[1]], outputs=2,
    )  # fmt: skip
    assert all(map(math.isnan, steep(1000.0, self=1)))
    assert math.isnan(grad(lambda x: steep(x, self=1)[0])(-1.0))

    def refuse(*what: Any) -> Any:
        raise ValueError("not today")

    stern = VectorPrimitive("stern", lambda x: (x,), refuse, outputs=1)
    with pytest.raises(ValueError, match="^not today$"):
        grad(lambda x: stern(x)[0])(1.0)


def test_rules_take_operands_and_selects_as_they_come_in_a_trace() -> None:
    both = VectorPrimitive(
        "both", lambda x, y: (x, y),
        lambda ys, xs, b: [
            b[0] * 2.0 if b[0] > 0.5 else abs(b[0]) ** 1.0 + 0.0 * autograd.sin(b[1]),
            (0.0 - (-b[1] - 1.0 * b[0])) - b[0] / 1.0,
        ], outputs=2,
    )  # fmt: skip

    def f(xs: Any) -> Any:
        x, y = both(autograd.relu(xs[0]), autograd.maximum(xs[1], 0.0))
        return autograd.relu(x - 1.0) + autograd.maximum(y, 0.5) * xs[0]

    for point in ([2.0, 3.0], [-2.0, 3.0], [2.0, 0.25], [0.5, -1.0]):
        assert jit(grad(f))(point) == pytest.approx(grad(f)(point), rel=1e-15)


def test_batches_run_a_vector_primitive_in_each_lane() -> None:
    lanes = [[0.7, 1.3], [0.2, 0.3], [1.0, -2.0]]
    assert flat(vmap(grad(ours))(lanes)) == pytest.approx(
        flat([grad(plain)(v) for v in lanes]), rel=1e-11
    )
