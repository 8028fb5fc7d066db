"""grad, vjp, jvp, jacobian, hessian, hvp, ravel: each row of DESIGN.md's table, the
structures they take and give back, and derivatives of derivatives in any nesting.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest

import autograd as ag
from autograd import (
    Primitive,
    Value,
    grad,
    hessian,
    hvp,
    jacfwd,
    jacobian,
    jacrev,
    jvp,
    ravel,
    value_and_grad,
    vjp,
    where,
)

Function = Callable[[Any], Any]

inf = math.inf


def forward(f: Function) -> Function:
    return lambda x: jvp(f, (x,), (1.0,))[1]


def reverse(f: Function) -> Function:
    return lambda x: grad(f)(x)


MODES = [forward, reverse]


def smooth(x: Any) -> Any:
    return ag.exp(ag.sin(x * x)) + x / (1.0 + x * x) ** 1.5


class Point(NamedTuple):
    x: Any
    y: Any


# ---- grad and value_and_grad ---------------------------------------------------------


def test_grad_is_the_derivative_and_a_float() -> None:
    slope = grad(lambda x: x**3)(2.0)
    assert type(slope) is float and slope == 12.0


def test_value_and_grad_gives_both() -> None:
    assert value_and_grad(lambda x: x * x)(3.0) == (9.0, 6.0)


def test_value_and_grad_runs_f_once() -> None:
    calls = []

    def f(x: Any) -> Any:
        calls.append(x)
        return x * x

    value_and_grad(f)(3.0)
    grad(f)(3.0)
    assert len(calls) == 2


@pytest.mark.parametrize(
    "argnums, expected",
    [
        (0, 12.0),
        (1, 8.0),
        (2, 6.0),
        (-1, 6.0),
        (-3, 12.0),
        ((0,), (12.0,)),
        ((0, 2), (12.0, 6.0)),
        ((2, 0), (6.0, 12.0)),
        ((-1, 1), (6.0, 8.0)),
        ((), ()),
    ],
)
def test_argnums_name_arguments_by_position(argnums: Any, expected: Any) -> None:
    assert grad(lambda x, y, z: x * y * z, argnums)(2.0, 3.0, 4.0) == expected
    both = value_and_grad(lambda x, y, z: x * y * z, argnums)(2.0, 3.0, 4.0)
    assert both == (24.0, expected)


@pytest.mark.parametrize(
    "argnums, message",
    [
        (2, "argnums must name arguments by position, 0 to 1"),
        (-3, "argnums must name arguments by position, 0 to 1"),
        ((0, 5), "argnums must name arguments by position"),
        ("x", "argnums must name arguments by position"),
        ((0, 0), "argnums must be distinct"),
        ((1, -1), "argnums must be distinct"),
    ],
)
@pytest.mark.parametrize("transform", [grad, value_and_grad, jacobian, hessian])
def test_argnums_that_name_no_argument_are_an_error(
    transform: Any, argnums: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=f"{message}.*; "):
        transform(lambda x, y: x * y, argnums)(2.0, 3.0)


def test_arguments_not_named_reach_f_untouched() -> None:
    seen: list[Any] = []

    def f(x: Any, *rest: Any, **options: Any) -> Any:
        seen.extend([*rest, options])
        return x * 2

    array = np.array([1.0])
    assert grad(f)(1.0, "mode", None, array, key=3) == 2.0
    assert seen[:2] == ["mode", None] and seen[2] is array and seen[3] == {"key": 3}


def test_keyword_arguments_are_passed_on() -> None:
    def f(x: Any, *, power: float) -> Any:
        return x**power

    assert grad(f)(2.0, power=3) == 12.0
    assert value_and_grad(f)(2.0, power=3) == (8.0, 12.0)
    assert jacobian(f)(2.0, power=3) == 12.0
    assert hessian(f)(2.0, power=3) == 12.0


def test_has_aux_gives_gradient_and_aux() -> None:
    def f(x: Any) -> Any:
        return x * x, {"steps": 3, "trace": [x, x + 1.0], "name": "run"}

    slope, aux = grad(f, has_aux=True)(2.0)
    assert slope == 4.0
    assert aux == {"steps": 3, "trace": [2.0, 3.0], "name": "run"}
    assert [type(v) for v in aux["trace"]] == [float, float]
    (value, aux), slope = value_and_grad(f, has_aux=True)(2.0)
    assert (value, slope, aux["trace"]) == (4.0, 4.0, [2.0, 3.0])


def test_has_aux_lowers_values_in_arrays_and_named_tuples() -> None:
    _, aux = grad(lambda x: (x * x, Point(x, 2 * x)), has_aux=True)(3.0)
    assert aux == Point(3.0, 6.0) and type(aux) is Point
    _, aux = grad(lambda x: (x * x, np.array([x, 2 * x])), has_aux=True)(3.0)
    assert [type(v) for v in aux] != [Value, Value]
    assert aux.tolist() == [3.0, 6.0]


def test_has_aux_passes_on_anything_else() -> None:
    things = {"f": np.sin, "kind": np.dtype(float), "text": "a", "none": None, "n": 3}
    slope, aux = grad(lambda x: (x * x, things), has_aux=True)(2.0)
    assert slope == 4.0 and aux == things


@pytest.mark.parametrize("out", [3.0, (1.0,), (1.0, 2.0, 3.0), [1.0, 2.0]])
def test_has_aux_asks_for_a_pair(out: Any) -> None:
    with pytest.raises(TypeError, match=r"f must return \(y, aux\).*; return a tuple"):
        grad(lambda x: out, has_aux=True)(1.0)


@pytest.mark.parametrize(
    "out, name",
    [
        ([1.0, 2.0], "list"),
        ((1.0, 2.0), "tuple"),
        (np.array([1.0]), "ndarray"),
        (None, "NoneType"),
        ("1", "str"),
        (1j, "complex"),
        ({}, "dict"),
    ],
)
def test_grad_refuses_a_result_that_is_not_one_number(out: Any, name: str) -> None:
    for transform in (grad, value_and_grad, hessian):
        with pytest.raises(TypeError, match=rf"f must return one .*returned {name}; "):
            transform(lambda x: out)(1.0)


@pytest.mark.parametrize("out", [3, 3.0, True, np.float32(3.0), np.array(3.0)])
def test_gradient_of_a_constant_is_zero(out: Any) -> None:
    value, slope = value_and_grad(lambda x: out)(1.0)
    assert (value, slope) == (float(out), 0.0) and type(slope) is float


def test_array_of_no_axes_is_one_number() -> None:
    def boxed(x: Any) -> Any:
        out = np.empty((), dtype=object)
        out[()] = x * x
        return out

    assert value_and_grad(boxed)(np.array(3.0)) == (9.0, 6.0)


def test_gradient_of_identity_and_of_an_unused_argument() -> None:
    assert grad(lambda x: x)(5.0) == 1.0
    assert value_and_grad(lambda x, y: y, argnums=(0, 1))(5.0, 6.0) == (6.0, (0.0, 1.0))


@pytest.mark.parametrize(
    "transform",
    [
        lambda: grad(3.0),  # type: ignore[arg-type]
        lambda: value_and_grad(None),  # type: ignore[arg-type]
        lambda: jacobian(grad(abs)(1.0)),
        lambda: hessian([abs])(1.0),  # type: ignore[arg-type]
        lambda: vjp(3.0, 1.0),  # type: ignore[arg-type]
        lambda: jvp("f", (1.0,), (1.0,)),  # type: ignore[arg-type]
        lambda: hvp(2.0, (1.0,), (1.0,)),  # type: ignore[arg-type]
    ],
)
def test_transforms_refuse_what_is_no_function(transform: Callable[[], Any]) -> None:
    with pytest.raises(TypeError, match="f must be a function, but is .*; write"):
        transform()


@pytest.mark.parametrize("bad", ["1", 1j, None, [1.0, "x"], {"a": {1.0}}])
def test_transforms_refuse_arguments_that_hold_no_numbers(bad: Any) -> None:
    calls = (
        lambda: grad(lambda x: 1.0)(bad),
        lambda: vjp(lambda x: 1.0, bad),
        lambda: jvp(lambda x: 1.0, (bad,), (1.0,)),
        lambda: jacobian(lambda x: 1.0)(bad),
    )
    for call in calls:
        with pytest.raises(TypeError, match="an argument must be a real number.*; "):
            call()


def test_f_gets_fresh_values_and_arguments_stay_untouched() -> None:
    x = Value(2.0, label="x")
    seen: list[Any] = []

    def f(t: Any) -> Any:
        seen.append(t)
        return t * t

    grad(f)(x)
    assert seen[0] is not x and seen[0].label == "x"
    assert not x.reached


def test_backward_inside_f_does_not_disturb_the_transform() -> None:
    def f(x: Any) -> Any:
        y = x * x
        y.backward()
        return y * x

    assert grad(f)(2.0) == 12.0


def test_grads_go_through_python_control_flow() -> None:
    def f(x: Any, n: int) -> Any:
        total = 0.0
        for k in range(n):
            if x > k:
                total = total + x**k
                continue
            total = total - x
        while total > 100.0:
            total = total / 2
        return total

    assert grad(f)(2.5, 4) == 1.0 + 2 * 2.5 - 1.0
    assert grad(f)(1.0, 0) == 0.0


def test_grads_go_through_recursion_and_generators() -> None:
    def power(x: Any, n: int) -> Any:
        return 1.0 if n == 0 else x * power(x, n - 1)

    assert grad(power)(2.0, 10) == 10 * 2.0**9
    assert grad(lambda x: sum(x * k for k in range(5)))(3.0) == 10.0


# ---- structures ----------------------------------------------------------------------


def square_sum(tree: Any) -> Any:
    return sum((x * x for x in ravel(tree)[0]), 0.0)


@pytest.mark.parametrize(
    "tree, expected",
    [
        (3, 6.0),
        (True, 2.0),
        (Fraction(1, 2), 1.0),
        (np.float32(1.5), 3.0),
        ([1.0, 2], [2.0, 4.0]),
        ((1.0, [2.0, (3.0,)]), (2.0, [4.0, (6.0,)])),
        ({"a": [(1.0, 2.0), (3.0,)], "b": {}}, {"a": [(2.0, 4.0), (6.0,)], "b": {}}),
        (Point(1.0, {"p": 2.0}), Point(2.0, {"p": 4.0})),
        ([], []),
        ({}, {}),
        ((), ()),
        ([[], ()], [[], ()]),
    ],
)
def test_gradient_has_the_structure_of_the_argument(tree: Any, expected: Any) -> None:
    found = grad(square_sum)(tree)
    assert found == expected and type(found) is type(expected)
    assert all(type(x) is float for x in ravel(found)[0])


def test_dict_keeps_its_keys_in_order() -> None:
    found = grad(square_sum)(OrderedDict([("z", 1.0), ("a", 2.0)]))
    assert list(found) == ["z", "a"] and dict(found) == {"z": 2.0, "a": 4.0}


@pytest.mark.parametrize(
    "array",
    [
        np.array([1.0, 2.0]),
        np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
        np.arange(4),
        np.array([1.0, 2.0], dtype=np.float32),
        np.array([True, False]),
        np.zeros((0,)),
        np.zeros((2, 0)),
        np.arange(6.0).reshape(2, 3).T,
    ],
)
def test_array_argument_gives_an_array_of_its_shape(array: Any) -> None:
    value, found = value_and_grad(lambda x: (x * x).sum())(array)
    assert type(found) is np.ndarray and found.dtype == np.float64
    assert found.shape == array.shape
    assert found.tolist() == (2.0 * array).tolist()
    assert value == float((array.astype(float) ** 2).sum())


def test_array_of_no_axes_gives_a_number() -> None:
    assert grad(lambda x: x * x)(np.array(3.0)) == 6.0


def test_arrays_inside_containers_keep_their_place() -> None:
    tree = {"w": np.array([[1.0, 2.0]]), "b": [3.0, np.array([4.0])]}
    found = grad(
        lambda p: (p["w"] ** 2).sum() + p["b"][0] ** 2 + (p["b"][1] ** 2).sum()
    )(tree)
    assert found["w"].tolist() == [[2.0, 4.0]]
    assert found["b"][0] == 6.0 and found["b"][1].tolist() == [8.0]


def test_array_argument_is_not_written_to() -> None:
    array = np.array([1.0, 2.0])
    grad(lambda x: x[0] * x[1])(array)
    assert array.dtype == np.float64 and array.tolist() == [1.0, 2.0]


def test_numpy_functions_work_inside_f() -> None:
    w = np.array([[1.0, 2.0], [3.0, 4.0]])

    def f(x: Any) -> Any:
        return np.sum(np.tanh(w @ x) ** 2)

    x = np.array([0.1, -0.2])
    t = np.tanh(w @ x)
    expected = w.T @ (2 * t * (1 - t * t))
    assert grad(f)(x) == pytest.approx(expected, rel=1e-14)


def test_array_of_outer_values_comes_back_as_an_object_array() -> None:
    w = Value(2.0)
    found = grad(lambda x: (x * x).sum() * w)(np.array([1.0, 3.0]))
    assert found.dtype == object
    found.sum().backward()
    assert w.grad == 8.0


def test_f_may_write_to_the_containers_it_receives() -> None:
    def f(p: Any) -> Any:
        p["w"][0] = p["w"][0] * p["w"][1]
        p["extra"] = 1.0
        return p["w"][0] ** 2

    tree = {"w": [2.0, 3.0]}
    assert grad(f)(tree) == {"w": [36.0, 24.0]}
    assert tree == {"w": [2.0, 3.0]}


def test_jacobian_of_the_identity_is_the_unit_matrix() -> None:
    assert jacobian(lambda x: x)([1.0, 2.0]) == [[1.0, 0.0], [0.0, 1.0]]
    assert jacobian(lambda x: x)(np.array([1.0, 2.0])).tolist() == [[1.0, 0], [0, 1.0]]


# ---- ravel ---------------------------------------------------------------------------


def test_ravel_gives_flat_numbers_and_the_way_back() -> None:
    tree = {"w": [1, (2.0, Fraction(3))], "b": np.array([[4, 5]])}
    flat, unravel = ravel(tree)
    assert flat == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert all(type(x) is float for x in flat)
    back = unravel([5.0, 4.0, 3.0, 2.0, 1.0])
    assert back["w"] == [5.0, (4.0, 3.0)] and back["b"].tolist() == [[2.0, 1.0]]


def test_ravel_keeps_values_as_they_are() -> None:
    x = Value(1.0)
    flat, unravel = ravel([x, 2.0])
    assert flat[0] is x and unravel(flat)[0] is x


def test_unravel_takes_the_array_that_an_optimizer_passes() -> None:
    _, unravel = ravel({"w": np.array([1.0, 2.0]), "b": 3.0})
    back = unravel(np.array([4.0, 5.0, 6.0]))  # type: ignore[arg-type]
    assert back["w"].dtype == np.float64
    assert np.sin(back["w"]).tolist() == np.sin([4.0, 5.0]).tolist()
    assert back["b"] == 6.0


@pytest.mark.parametrize("count", [0, 2, 4])
def test_unravel_refuses_another_length(count: int) -> None:
    _, unravel = ravel([1.0, [2.0, 3.0]])
    with pytest.raises(ValueError, match=rf"must have length 3, but has {count}; "):
        unravel([0.0] * count)


def test_ravel_refuses_what_is_no_number() -> None:
    with pytest.raises(TypeError, match="ravel: the tree must be a real number.*str"):
        ravel([1.0, "2"])


def test_ravel_and_grad_minimise_a_flat_vector() -> None:
    start, unravel = ravel({"a": 4.0, "b": [2.0, -1.0]})

    def loss(p: Any) -> Any:
        return (p["a"] - 1.0) ** 2 + square_sum(p["b"])

    flat = start
    for _ in range(100):
        slope, _ = ravel(grad(loss)(unravel(flat)))
        flat = [x - 0.2 * d for x, d in zip(flat, slope)]
    assert flat == pytest.approx([1.0, 0.0, 0.0], abs=1e-9)


# ---- vjp and jvp ---------------------------------------------------------------------


def test_vjp_gives_the_value_and_one_adjoint_per_primal() -> None:
    y, pullback = vjp(lambda x, y: [x * y, x + y], 2.0, 3.0)
    assert y == [6.0, 5.0]
    assert pullback([1.0, 0.0]) == (3.0, 2.0)
    assert pullback([0.0, 1.0]) == (1.0, 1.0)
    assert pullback([2.0, 10.0]) == (16.0, 14.0)


def test_vjp_of_one_primal_still_gives_a_tuple() -> None:
    y, pullback = vjp(lambda x: x * x, 3.0)
    assert (y, pullback(1.0)) == (9.0, (6.0,))


def test_vjp_keeps_structures_on_both_sides() -> None:
    y, pullback = vjp(
        lambda p: {"s": p["a"] * p["b"][0], "t": (p["a"],)},
        {"a": 2.0, "b": np.array([3.0, 4.0])},
    )
    assert y == {"s": 6.0, "t": (2.0,)}
    (bar,) = pullback({"s": 1.0, "t": (10.0,)})
    assert bar["a"] == 13.0 and bar["b"].tolist() == [2.0, 0.0]


def test_vjp_adds_adjoints_of_a_result_returned_twice() -> None:
    y, pullback = vjp(lambda x: [x, x, x * x], 3.0)
    assert y == [3.0, 3.0, 9.0]
    assert pullback([1.0, 10.0, 100.0]) == (611.0,)


@pytest.mark.parametrize("y_bar", [1.0, [1.0], [1.0, 2.0, 3.0]])
def test_vjp_refuses_adjoints_of_another_structure(y_bar: Any) -> None:
    _, pullback = vjp(lambda x: [x, x], 3.0)
    with pytest.raises(ValueError, match=r"y_bar must have the structure of y.*; give"):
        pullback(y_bar)


def test_adjoints_and_tangents_are_matched_by_key_not_by_position() -> None:
    _, pullback = vjp(lambda x: {"a": x * 1.0, "b": x * 10.0}, 1.0)
    assert pullback({"b": 0.0, "a": 1.0}) == (1.0,)

    def f(d: Any) -> Any:
        return d["a"] * d["a"] + 10.0 * d["b"]

    primal = {"a": 1.0, "b": 1.0}
    assert jvp(f, (primal,), ({"b": 0.0, "a": 1.0},))[1] == 2.0
    assert hvp(f, (primal,), ({"b": 0.0, "a": 1.0},)) == ({"a": 2.0, "b": 0.0},)


@pytest.mark.parametrize(
    ("primal", "tangent"),
    [
        ([1.0, 2.0], [[1.0], 2.0]),
        ({"a": 1.0}, {"b": 1.0}),
        ({"a": 1.0}, [1.0]),
        (np.ones((2, 3)), np.ones((3, 2))),
        (1.0, [1.0]),
    ],
)
def test_jvp_refuses_tangents_of_another_shape(primal: Any, tangent: Any) -> None:
    with pytest.raises(ValueError, match="tangents must have the structure of the pri"):
        jvp(lambda x: 1.0, (primal,), (tangent,))


def test_jvp_gives_the_value_and_the_tangent() -> None:
    assert jvp(lambda x, y: x * y, (2.0, 3.0), (1.0, 10.0)) == (6.0, 23.0)
    y, y_dot = jvp(lambda x: {"a": [x * x], "b": 7.0}, [3.0], [1.0])
    assert (y, y_dot) == ({"a": [9.0], "b": 7.0}, {"a": [6.0], "b": 0.0})


def test_jvp_takes_structures() -> None:
    primal = {"w": np.array([1.0, 2.0]), "b": 3.0}
    tangent = {"w": np.array([1.0, 0.0]), "b": 10.0}
    y, y_dot = jvp(lambda p: (p["w"] ** 2).sum() * p["b"], (primal,), (tangent,))
    assert (y, y_dot) == (15.0, 56.0)


@pytest.mark.parametrize("tangents", [(), (1.0, 2.0), ([1.0, 2.0],)])
def test_jvp_refuses_tangents_of_another_structure(tangents: Any) -> None:
    with pytest.raises(ValueError, match=r"tangents must have the structure.*; give"):
        jvp(lambda x: x, (3.0,), tangents)


@pytest.mark.parametrize("call", [jvp, hvp])
def test_primals_that_are_no_sequence_are_refused_by_name(call: Any) -> None:
    with pytest.raises(TypeError, match=r"primals must be a .*; write \("):
        call(lambda x: x * x, 2.0, 1.0)


def test_forward_and_reverse_are_dual() -> None:
    def f(x: Any, p: Any) -> Any:
        return [ag.sin(x) * p[0], ag.atan2(p[1], x), ag.maximum(x, p[0]) * p[1] ** x]

    primals = (0.7, [1.3, 2.1])
    x_dot: Any = (0.3, [-1.1, 0.4])
    y_bar = [0.9, -2.0, 0.25]
    y, y_dot = jvp(f, primals, x_dot)
    y_again, pullback = vjp(f, *primals)
    x_bar = pullback(y_bar)
    assert y == y_again
    left = sum(a * b for a, b in zip(y_bar, y_dot))
    right = sum(a * b for a, b in zip(ravel(x_bar)[0], ravel(x_dot)[0]))
    assert left == pytest.approx(right, rel=1e-14)


@pytest.mark.parametrize("mode", MODES)
def test_untaken_branch_cannot_poison_in_either_direction(mode: Any) -> None:
    assert mode(lambda x: where(x < 1, x, ag.sqrt(x)))(0.0) == 1.0
    assert mode(lambda x: where(x > 1, ag.log(x), 2 * x))(0.0) == 2.0
    assert mode(lambda x: ag.relu(x - 1.0) * ag.sqrt(x + 4.0))(0.0) == 0.0
    assert mode(lambda x: ag.maximum(ag.minimum(ag.sqrt(x), -1.0), 3 * x))(0.0) == 3.0
    assert mode(lambda x: ag.clip(ag.cbrt(x), 1.0, 2.0) + x)(0.0) == 1.0
    assert mode(lambda x: ag.stop_gradient(ag.sqrt(x)) + x)(0.0) == 1.0


@pytest.mark.parametrize("modes", list(itertools.product(MODES, MODES)))
def test_untaken_branch_cannot_poison_a_second_derivative(modes: Any) -> None:
    outer, inner = modes

    def f(x: Any) -> Any:
        return where(x < 1, x**3, ag.sqrt(x)) + ag.maximum(x * x, ag.cbrt(x) - 1.0)

    assert outer(inner(f))(0.0) == 2.0


@pytest.mark.parametrize("mode", MODES)
def test_zero_times_infinity_is_nan_in_either_direction(mode: Any) -> None:
    assert math.isnan(mode(lambda x: ag.sqrt(x) ** 2)(0.0))


# ---- jacobian, hessian, hvp ----------------------------------------------------------


def test_jacobian_has_the_structure_of_y_outside_and_of_x_inside() -> None:
    def f(x: Any) -> Any:
        return [x[0] * x[1], x[0] + x[1], 5.0]

    assert jacobian(f)([2.0, 3.0]) == [[3.0, 2.0], [1.0, 1.0], [0.0, 0.0]]
    assert jacobian(lambda p: {"s": p["a"] * 2})({"a": 1.0}) == {"s": {"a": 2.0}}
    assert jacobian(lambda x: x * x)(3.0) == 6.0
    assert jacobian(lambda x: (x, 2 * x))(3.0) == (1.0, 2.0)


def test_jacobian_with_several_argnums_gives_tuples_inside() -> None:
    f = jacobian(lambda x, y: [x * y, x - y], (0, 1))
    assert f(2.0, 3.0) == [(3.0, 2.0), (1.0, -1.0)]
    assert jacobian(lambda x, y: [x * y], 1)(2.0, 3.0) == [2.0]


def test_jacobian_of_an_array_is_an_array() -> None:
    w = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    found = jacobian(lambda x: w @ x)(np.array([0.5, 0.25]))
    assert found.dtype == np.float64 and found.tolist() == w.tolist()
    found = jacobian(lambda x: x * x)(np.arange(4.0).reshape(2, 2))
    assert found.shape == (2, 2, 2, 2)
    assert found[1, 0].tolist() == [[0.0, 0.0], [4.0, 0.0]]
    assert jacobian(lambda x: np.array([x, x * x]))(3.0).tolist() == [1.0, 6.0]


def test_jacobian_of_an_array_in_several_arguments_is_a_tuple_of_arrays() -> None:
    f = jacobian(lambda x, y: x * y, (0, 1))
    by_x, by_y = f(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    assert by_x.tolist() == [[3.0, 0.0], [0.0, 4.0]]
    assert by_y.tolist() == [[1.0, 0.0], [0.0, 2.0]]


@pytest.mark.parametrize("jac", [jacobian, jacfwd, jacrev])
def test_jacobian_leaves_out_what_does_not_move_beside_an_infinite_slope(
    jac: Any,
) -> None:
    f = jac(lambda x: [ag.sqrt(x[0]), x[1], x[0] * x[1]])
    assert f([0.0, 2.0]) == [[inf, 0.0], [0.0, 1.0], [2.0, 0.0]]


@pytest.mark.parametrize("jac", [jacobian, jacfwd, jacrev])
def test_jacobian_is_of_values_where_one_from_outside_has_a_say(jac: Any) -> None:
    w = Value(2.0)
    rows = jac(lambda x: [x[0] * w, x[1] * x[1], 5.0])([3.0, 4.0])
    assert [[type(x) for x in row] for row in rows] == [[Value, Value]] * 3
    assert rows == [[2.0, 0.0], [0.0, 8.0], [0.0, 0.0]]
    assert grad(lambda v: jac(lambda x: [x * v, x])(3.0)[0])(2.0) == 1.0


def test_jacobian_is_forward_where_f_takes_fewer_numbers_than_it_gives() -> None:
    pulled: list[int] = []

    def pullback(ys: Any, xs: Any, y_bars: Any) -> list[Any]:
        pulled.append(1)
        return [3.0 * y_bars[0]]

    def pushforward(ys: Any, xs: Any, x_dots: Any) -> list[Any]:
        return [3.0 * x_dots[0]]

    three = ag.VectorPrimitive(
        "three", lambda x: [3.0 * x], pullback, outputs=1, pushforward=pushforward
    )
    assert jacobian(lambda x: [*three(x), x * x])(2.0) == [3.0, 4.0] and not pulled
    assert jacobian(lambda x: [*three(x), 7.0])(2.0) == [3.0, 0.0] and not pulled
    assert jacobian(lambda x: [*three(x)])(2.0) == [3.0] and pulled == [1]


def test_jacobian_has_the_bits_of_the_same_sweeps_compiled() -> None:
    """Another argument is a Value where the function is compiled."""

    def f(x: list[Any], w: float) -> list[Any]:
        a = x[0] * 0.1 + x[1] * 0.7 + x[0] * x[1] * 0.3
        return [a * a * x[0] + a * x[1], w * w]

    xs = [[0.1 * i - 0.7, 0.3 * i + 0.1] for i in range(20)]
    for jac in (jacobian(f), jacobian(lambda x, w: [*f(x, w), *f(x, w)])):
        compiled = ag.jit(jac)
        assert [compiled(x, 0.3) for x in xs] == [jac(x, 0.3) for x in xs]
    three = jacobian(lambda x, w: [*f(x, w), w])
    assert [ag.jit(three)(x, 0.3) for x in xs] == [three(x, 0.3) for x in xs]


@pytest.mark.parametrize("inputs", [1, 3, 64, 65, 130])
def test_jacfwd_takes_any_number_of_inputs(inputs: int) -> None:
    xs = [0.01 * i for i in range(inputs)]

    def f(x: Any) -> Any:
        head = sum(x) * x[0]
        return [head, *[ag.sin(a) * b + head for a, b in zip(x, reversed(x))]]

    forward, reverse = jacfwd(f)(xs), jacrev(f)(xs)
    for row, other in zip(forward, reverse, strict=True):
        assert row == pytest.approx(other, rel=1e-14, abs=1e-300)


def test_tangents_and_adjoints_may_be_lists_for_arrays_and_arrays_for_lists() -> None:
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    y, y_dot = jvp(lambda x: (x * x).sum(), (x,), ([[1.0, 0.0], [0.0, 10.0]],))
    assert (y, y_dot) == (30.0, 82.0)
    assert jvp(lambda x: x[0] * x[1], ([2.0, 3.0],), (np.array([1.0, 0.0]),))[1] == 3.0
    _, pullback = vjp(lambda x: [x, x * x], 3.0)
    assert pullback(np.array([1.0, 10.0])) == (61.0,)
    with pytest.raises(ValueError, match="tangents must have the structure"):
        jvp(lambda x: x.sum(), (x,), ([1.0, 0.0, 0.0, 1.0],))


def test_jacobian_without_inputs_is_empty() -> None:
    assert jacobian(lambda x: [1.0, 2.0])([]) == [[], []]
    assert jacfwd(lambda x: [1.0, 2.0])([]) == [[], []]


def test_jacobian_runs_f_once() -> None:
    calls = []

    def f(x: Any) -> Any:
        calls.append(x)
        return [x[0], x[1], x[0] * x[1]]

    jacobian(f)([1.0, 2.0])
    assert len(calls) == 1


def test_hessian_is_exact_and_symmetric() -> None:
    assert hessian(lambda x: x[0] ** 2 * x[1])([2.0, 3.0]) == [[6.0, 4.0], [4.0, 0.0]]
    assert hessian(lambda x: x**3)(2.0) == 12.0

    def f(x: Any) -> Any:
        return ag.exp(x[0] * x[1]) * ag.sin(x[2]) + ag.hypot(*x) * x[1] / x[2]

    h = hessian(f)([0.3, -0.7, 1.1])
    for i, j in itertools.combinations(range(3), 2):
        assert h[i][j] == pytest.approx(h[j][i], rel=1e-14)


def test_hessian_in_several_arguments_is_a_block_of_tuples() -> None:
    def f(x: Any, y: Any) -> Any:
        return x * x * y

    assert hessian(f, (0, 1))(2.0, 3.0) == ((6.0, 4.0), (4.0, 0.0))
    assert hessian(f, 1)(2.0, 3.0) == 0.0


def test_hessian_of_an_array_is_an_array() -> None:
    h = hessian(lambda x: (x**3).sum() + x[0] * x[1])(np.array([1.0, 2.0]))
    assert h.dtype == np.float64 and h.tolist() == [[6.0, 1.0], [1.0, 12.0]]


def test_hessian_in_several_arrays_is_a_block_of_arrays() -> None:
    def f(x: Any, y: Any) -> Any:
        return (x * x * y).sum()

    (xx, xy), (yx, yy) = hessian(f, (0, 1))(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    assert xx.tolist() == [[6.0, 0.0], [0.0, 8.0]]
    assert xy.tolist() == yx.tolist() == [[2.0, 0.0], [0.0, 4.0]]
    assert yy.tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_hessian_of_a_dict_of_arrays_nests_dicts_of_arrays() -> None:
    h = hessian(lambda p: (p["w"] * p["w"]).sum() * p["b"])(
        {"w": np.array([1.0, 2.0]), "b": 3.0}
    )
    assert h["w"]["w"].tolist() == [[6.0, 0.0], [0.0, 6.0]]
    assert h["w"]["b"].tolist() == h["b"]["w"].tolist() == [2.0, 4.0]
    assert h["b"]["b"] == 0.0


def test_hvp_is_the_hessian_times_the_tangents() -> None:
    def f(x: Any, y: Any) -> Any:
        return ag.exp(x[0] * y) * ag.sin(x[1]) + x[0] ** 3 * y

    primals: tuple[Any, ...] = ([0.4, 1.2], -0.3)
    tangents: tuple[Any, ...] = ([1.5, -0.5], 2.0)
    found = ravel(hvp(f, primals, tangents))[0]
    flat, unravel = ravel(primals)
    h = hessian(lambda p: f(*unravel(p)))(flat)
    v = ravel(tangents)[0]
    expected = [sum(a * b for a, b in zip(row, v)) for row in h]
    assert found == pytest.approx(expected, rel=1e-13)


def test_hvp_gives_a_tuple_like_the_primals() -> None:
    assert hvp(lambda x: x**3, (2.0,), (1.0,)) == (12.0,)
    found = hvp(lambda x, y: (x * x).sum() * y, (np.array([1.0, 2.0]), 3.0),
                (np.array([1.0, 0.0]), 0.0))  # fmt: skip
    assert type(found) is tuple
    assert found[0].tolist() == [6.0, 0.0] and found[1] == 2.0


# ---- derivatives of derivatives ------------------------------------------------------


@pytest.mark.parametrize("modes", list(itertools.product(MODES, repeat=2)))
def test_all_mixes_of_two_derivatives_agree(modes: Any) -> None:
    x = 0.8
    reference = reverse(reverse(smooth))(x)
    step = 1e-4
    slope = reverse(smooth)
    assert reference == pytest.approx(
        (slope(x + step) - slope(x - step)) / (2 * step), rel=1e-7
    )
    assert modes[0](modes[1](smooth))(x) == pytest.approx(reference, rel=1e-14)


@pytest.mark.parametrize("modes", list(itertools.product(MODES, repeat=3)))
def test_all_mixes_of_three_derivatives_agree(modes: Any) -> None:
    x = 0.8
    third = modes[0](modes[1](modes[2](smooth)))
    second = reverse(reverse(smooth))
    step = 1e-4
    numeric = (second(x + step) - second(x - step)) / (2 * step)
    assert third(x) == pytest.approx(numeric, rel=1e-6)
    assert third(x) == pytest.approx(reverse(reverse(reverse(smooth)))(x), rel=1e-13)


def test_derivatives_of_high_order_are_exact() -> None:
    f: Function = lambda x: x**6  # noqa: E731
    expected = 1.0
    for k in range(7):
        expected = math.perm(6, k) * 2.0 ** (6 - k)
        assert f(2.0) == expected
        f = grad(f)
    assert f(2.0) == 0.0


@pytest.mark.parametrize("outer", MODES)
@pytest.mark.parametrize("inner", MODES)
class TestPerturbationConfusion:
    """Inner derivatives that must not see the outer variable's perturbation."""

    def test_sum(self, inner: Any, outer: Any) -> None:
        assert outer(lambda x: x * inner(lambda y: x + y)(1.0))(1.0) == 1.0

    def test_product(self, inner: Any, outer: Any) -> None:
        assert outer(lambda x: x * inner(lambda y: x * y)(1.0))(3.0) == 6.0

    def test_inner_derivative_at_the_outer_variable(
        self, inner: Any, outer: Any
    ) -> None:
        assert outer(lambda x: x * inner(lambda y: x * y * y)(x))(2.0) == 24.0

    def test_constant_inner_function(self, inner: Any, outer: Any) -> None:
        assert outer(lambda x: inner(lambda y: x)(x))(2.0) == 0.0
        assert outer(lambda x: inner(lambda y: x * x)(2.0) + x)(2.0) == 1.0

    def test_same_function_inside_and_outside(self, inner: Any, outer: Any) -> None:
        def f(x: Any) -> Any:
            return x * x * x

        assert outer(lambda x: f(x) * inner(f)(x))(2.0) == 5 * 3 * 2.0**4

    def test_curried_function(self, inner: Any, outer: Any) -> None:
        """Manzyuk, Pearlmutter, Radul, Rush and Siskind (2019), section 4."""

        def shift(u: Any) -> Any:
            return lambda f: lambda x: f(x + u)

        def d_shift(f: Function) -> Function:
            return lambda x: outer(lambda u: shift(u)(f)(x))(0.0)

        def cube(x: Any) -> Any:
            return x**3

        assert d_shift(cube)(2.0) == 12.0
        assert d_shift(d_shift(cube))(2.0) == 12.0
        assert inner(d_shift(cube))(2.0) == 12.0
        assert d_shift(inner(cube))(2.0) == 12.0
        assert d_shift(d_shift(d_shift(cube)))(2.0) == 6.0

    def test_user_closures_between_the_transforms(self, inner: Any, outer: Any) -> None:
        def newton(g: Function, y: Any, steps: int) -> Any:
            for _ in range(steps):
                y = y - g(y) / inner(g)(y)
            return y

        def root(x: Any) -> Any:
            return newton(lambda y: y * y - x, 1.0, 6)

        assert outer(root)(2.0) == pytest.approx(0.5 / math.sqrt(2.0), rel=1e-12)

    def test_three_levels_with_a_mix_in_the_middle(
        self, inner: Any, outer: Any
    ) -> None:
        def f(x: Any) -> Any:
            return outer(lambda y: x * inner(lambda z: x * y * z * z)(y))(x)

        # d/dz gives 2xyz, at z=y 2xy²; d/dy of 2x²y² is 4x²y, at y=x 4x³.
        assert f(3.0) == 108.0
        assert inner(f)(3.0) == 108.0
        assert outer(inner(f))(3.0) == 72.0


def test_jvp_inside_grad_inside_jvp_in_closures() -> None:
    def f(a: Any) -> Any:
        def g(b: Any) -> Any:
            _, c_dot = jvp(lambda c: a * b * c**3, (b,), (a,))
            return c_dot * b

        return grad(g)(a) * a

    # c_dot = 3a²b³; g = 3a²b⁴; g' = 12a²b³, at b=a 12a⁵; f = 12a⁶.
    assert f(1.5) == pytest.approx(12 * 1.5**6, rel=1e-14)
    assert jvp(f, (1.5,), (1.0,))[1] == pytest.approx(72 * 1.5**5, rel=1e-14)
    assert grad(f)(1.5) == pytest.approx(72 * 1.5**5, rel=1e-14)


def test_tangents_and_adjoints_can_be_differentiated() -> None:
    assert grad(lambda t: jvp(ag.sin, (0.5,), (t * t,))[1])(3.0) == 6 * math.cos(0.5)
    assert grad(lambda t: vjp(ag.sin, 0.5)[1](t * t)[0])(3.0) == 6 * math.cos(0.5)
    _, pullback = vjp(ag.sin, 0.5)
    assert jvp(lambda t: pullback(t)[0], (3.0,), (1.0,)) == (
        3 * math.cos(0.5),
        math.cos(0.5),
    )


def test_user_primitive_is_differentiated_to_any_order() -> None:
    cube = Primitive("cube", lambda x: x * x * x, lambda z, x: 3 * x * x)
    assert grad(cube)(2.0) == 12.0
    for outer, inner in itertools.product(MODES, MODES):
        assert outer(inner(cube))(2.0) == 12.0
    assert grad(grad(grad(lambda x: cube(x) * 1.0)))(2.0) == 6.0


def test_rule_written_with_the_result_is_differentiated_again() -> None:
    own_tanh = Primitive("own_tanh", math.tanh, lambda z, x: 1 - z * z)
    t = math.tanh(0.3)
    assert grad(grad(own_tanh))(0.3) == pytest.approx(-2 * t * (1 - t * t), rel=1e-15)


# ---- what depends on Values from outside ---------------------------------------------


def test_result_is_a_float_where_no_value_from_outside_was_recorded() -> None:
    w = Value(2.0)
    assert type(grad(lambda x: x * Value(5.0))(3.0)) is float
    assert type(grad(lambda x: x * w.data)(3.0)) is float
    assert type(jvp(lambda x: x * w.data, (3.0,), (1.0,))[1]) is float


def test_result_is_a_constant_value_where_what_was_recorded_has_no_say() -> None:
    w = Value(2.0)
    for f, slope in (
        (lambda x: x * x + w, 6.0),
        (lambda x: x * ag.stop_gradient(w), 2.0),
        (lambda x: ag.maximum(x, w) * x, 6.0),
    ):
        found = grad(f)(3.0)
        assert (found.data, found.parents) == (slope, ())


def test_result_is_a_value_where_something_outside_has_a_say() -> None:
    w = Value(2.0)
    for found in (
        grad(lambda x: x * x * w)(3.0),
        jvp(lambda x: x * x * w, (3.0,), (1.0,))[1],
        jvp(lambda x: x * x * w, (3.0,), (1.0,))[0],
        vjp(lambda x: x * x * w, 3.0)[1](1.0)[0],
        jacobian(lambda x: [x * x * w])(3.0)[0],
        value_and_grad(lambda x: x * x + w)(3.0)[0],
        hessian(lambda x: x**3 * w)(3.0),
        hvp(lambda x: x**3 * w, (3.0,), (1.0,))[0],
    ):
        assert type(found) is Value


def test_vjp_value_depends_on_values_from_outside() -> None:
    w = Value(2.0)
    y, _ = vjp(lambda x: x * w, 3.0)
    assert type(y) is Value
    y.backward()
    assert w.grad == 3.0


@pytest.mark.parametrize("mode", MODES)
def test_vjp_value_keeps_an_outer_derivative(mode: Any) -> None:
    assert mode(lambda x: vjp(ag.sin, x)[0])(1.0) == math.cos(1.0)


@pytest.mark.parametrize("mode", MODES)
def test_jvp_and_grad_values_keep_an_outer_derivative(mode: Any) -> None:
    assert mode(lambda x: jvp(ag.sin, (x,), (1.0,))[0])(1.0) == math.cos(1.0)
    assert mode(lambda x: value_and_grad(ag.sin)(x)[0])(1.0) == math.cos(1.0)


@pytest.mark.parametrize("mode", MODES)
def test_aux_keeps_an_outer_derivative(mode: Any) -> None:
    def f(x: Any) -> Any:
        return grad(lambda t: (t * t, [ag.sin(t)]), has_aux=True)(x)[1][0]

    assert mode(f)(1.0) == math.cos(1.0)


@pytest.mark.parametrize("mode", MODES)
def test_outer_derivative_is_kept_where_the_inner_result_is_constant_in_x(
    mode: Any,
) -> None:
    assert mode(lambda w: grad(lambda x: w)(1.0) + w)(2.0) == 1.0
    assert mode(lambda w: value_and_grad(lambda x: w * w)(1.0)[0])(2.0) == 4.0
    assert mode(lambda w: jvp(lambda x: w * w, (1.0,), (1.0,))[0])(2.0) == 4.0
    assert mode(lambda w: vjp(lambda x: [w * w, x], 1.0)[0][0])(2.0) == 4.0


def test_backward_on_a_gradient_reaches_values_closed_over() -> None:
    w, v = Value(2.0), Value(0.5)
    slope = grad(lambda x: (w * x * x).sin() * v)(3.0)
    slope.backward()
    # ∂/∂x = 2wxv·cos(wx²)
    inside = 2.0 * 9.0
    by_w = 2 * 3 * 0.5 * (math.cos(inside) - inside * math.sin(inside))
    assert w.grad == pytest.approx(by_w, rel=1e-14)
    assert v.grad == pytest.approx(12 * math.cos(inside), rel=1e-14)


def test_backward_on_a_gradient_reaches_a_value_passed_in() -> None:
    x = Value(3.0)
    slope = grad(lambda t: t**3)(x)
    assert type(slope) is Value and slope.data == 27.0
    slope.backward()
    assert x.grad == 18.0


def test_gradient_in_a_dict_of_values_reaches_them_all() -> None:
    model: dict[str, Any] = {"w": [Value(1.0), Value(2.0)], "b": Value(3.0)}
    slope = grad(lambda p: p["w"][0] ** 2 * p["w"][1] * p["b"])(model)
    assert [s.data for s in slope["w"]] == [12.0, 3.0] and slope["b"].data == 2.0
    slope["w"][0].backward()
    assert [v.grad for v in model["w"]] == [12.0, 6.0] and model["b"].grad == 4.0


def test_gradient_penalty_reaches_parameters_closed_over() -> None:
    w = [Value(0.5), Value(-0.3)]

    def net(x: Any) -> Any:
        return (w[0] * x[0] + w[1] * x[1]).tanh()

    g = grad(net)([1.0, 2.0])
    (g[0] ** 2 + g[1] ** 2).backward()

    def penalty(a: float, b: float) -> float:
        s = 1 - math.tanh(a + 2 * b) ** 2
        return (s * a) ** 2 + (s * b) ** 2

    step = 1e-6
    by_a = (penalty(0.5 + step, -0.3) - penalty(0.5 - step, -0.3)) / (2 * step)
    by_b = (penalty(0.5, -0.3 + step) - penalty(0.5, -0.3 - step)) / (2 * step)
    assert [v.grad for v in w] == pytest.approx([by_a, by_b], rel=1e-8)


def test_value_made_inside_f_is_a_constant() -> None:
    def f(x: Any) -> Any:
        scale = Value(4.0)
        return x * scale

    assert value_and_grad(f)(3.0) == (12.0, 4.0)
    assert grad(lambda w: grad(lambda x: x * (Value(2.0) * w))(1.0))(5.0) == 2.0


def test_gradients_leave_no_mark_on_values_closed_over() -> None:
    w = Value(2.0)
    grad(lambda x: x * w * w)(3.0)
    grad(grad(lambda x: x**2 * w))(3.0)
    assert not w.reached


def test_argument_that_argnums_leaves_out_is_outside() -> None:
    w = Value(2.0)
    slope = grad(lambda x, y: x * x * y)(3.0, w)
    assert type(slope) is Value
    slope.backward()
    assert w.grad == 6.0


def test_pullback_gives_the_same_at_any_later_time() -> None:
    w = Value(2.0)
    _, pullback = vjp(lambda x: (x * w).sin(), 0.5)
    first = pullback(1.0)[0]
    grad(lambda x: x * w)(1.0)
    again = pullback(1.0)[0]
    assert first.data == again.data == 2.0 * math.cos(1.0)
    assert grad(lambda t: pullback(t)[0])(3.0).data == first.data
    (first + again).backward()
    assert w.grad == pytest.approx(2 * (math.cos(1.0) - math.sin(1.0)), rel=1e-15)


def test_pullback_made_inside_a_transform_serves_it() -> None:
    def f(x: Any) -> Any:
        y, pullback = vjp(lambda t: t**3, x)
        return y + pullback(x)[0]

    assert grad(f)(2.0) == 3 * 4.0 + 9 * 4.0


@pytest.mark.parametrize("mode", MODES)
def test_leaf_assigned_inside_f_still_counts_as_outside(mode: Any) -> None:
    w = Value(2.0)

    def f(x: Any) -> Any:
        w.data = 3.0
        return x * x * w

    slope = mode(f)(2.0)
    assert type(slope) is Value
    slope.backward()
    assert (slope.data, w.grad) == (12.0, 4.0)


def test_leaf_assigned_between_recording_and_rerun_raises() -> None:
    w = Value(2.0, label="w")

    def f(x: Any) -> Any:
        y = w * x
        w.data = 5.0
        return y * x

    with pytest.raises(ValueError, match="grad: .*as it was recorded, but 'w' was"):
        grad(f)(1.0)


# ---- bit for bit ---------------------------------------------------------------------


def awkward(x: Any, y: Any) -> Any:
    u = x * y + x / 3.0
    v = ag.sin(u) * u + ag.exp(-u) * y
    w = ag.prod([u, v, x]) + ag.dot([u, v], [x, y]) + ag.logsumexp([u, v, x, y])
    return (w * v + u**1.7 - ag.hypot(x, u, w)) * ag.maximum(x, y) / (v + 3.0)


def test_grad_equals_backward_bit_for_bit() -> None:
    for x, y in [(0.7, 1.3), (1.1, 0.1), (2.3, 2.9), (0.01, 5.0)]:
        a, b = Value(x), Value(y)
        root = awkward(a, b)
        root.backward()
        value, slope = value_and_grad(awkward, (0, 1))(x, y)
        assert (value, slope) == (root.data, (a.grad, b.grad))
        y_again, pullback = vjp(awkward, x, y)
        assert (y_again, pullback(1.0)) == (root.data, (a.grad, b.grad))


def test_gradient_is_the_same_bits_with_values_closed_over() -> None:
    y = Value(1.3)
    live = grad(lambda x: awkward(x, y))(0.7)
    assert type(live) is Value
    assert live.data == grad(lambda x: awkward(x, 1.3))(0.7)


def test_second_derivative_by_backward_equals_grad_of_grad() -> None:
    x = Value(0.8)
    grad(smooth)(x).backward()
    assert x.grad == grad(grad(smooth))(0.8)


def test_no_gradient_is_plain_zero_never_minus_zero() -> None:
    for slope in (
        grad(lambda x: -(x * 0.0))(1.0),
        grad(lambda x: -ag.cos(x))(0.0),
        jvp(lambda x: x * -0.0, (1.0,), (1.0,))[1],
        grad(lambda x: 1.0)(1.0),
    ):
        assert math.copysign(1.0, slope) == 1.0 and slope == 0.0


# ---- depth, errors inside f, threads -------------------------------------------------


def test_transform_of_a_long_loop_needs_no_recursion() -> None:
    def f(x: Any) -> Any:
        y = x
        for _ in range(5000):
            y = y * 0.9999 + 0.0001
        return y

    scale = 1.0
    for _ in range(5000):
        scale *= 0.9999
    assert grad(f)(2.0) == pytest.approx(scale, rel=1e-12)
    assert grad(grad(lambda x: f(x) * x))(2.0) == pytest.approx(2 * scale, rel=1e-12)
    assert hvp(lambda x: f(x) * x, (2.0,), (1.0,))[0] == pytest.approx(2 * scale)


def test_sweeps_do_not_walk_what_was_made_before_their_inputs() -> None:
    def seconds(w: Any) -> float:
        start = time.thread_time()
        for _ in range(50):
            grad(lambda x: x * x * w)(1.0)
            jvp(lambda x: x * x * w, (1.0,), (1.0,))
        return time.thread_time() - start

    old = Value(1.0)
    for _ in range(50_000):
        old = old * 1.0
    seconds(old)
    assert seconds(old) < 10 * seconds(Value(1.0)) + 0.1


def test_error_inside_f_leaves_transforms_usable() -> None:
    def f(x: Any) -> Any:
        raise KeyError("inside")

    for transform in (grad, jacobian, hessian):
        with pytest.raises(KeyError, match="inside"):
            transform(f)(1.0)
    assert grad(grad(lambda x: x**3))(2.0) == 12.0


def test_transforms_in_threads_inside_f_share_their_argument() -> None:
    def f(x: Any) -> Any:
        parts: dict[int, Any] = {}

        def work(k: int) -> None:
            parts[k] = grad(lambda t: t**k * x)(x)

        threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return parts[1] + parts[2] + parts[3] + parts[4]

    # Σ k·xᵏ, whose derivative is Σ k²·xᵏ⁻¹
    assert f(2.0) == sum(k * 2.0**k for k in range(1, 5))
    assert grad(f)(2.0) == sum(k * k * 2.0 ** (k - 1) for k in range(1, 5))


def test_gradient_at_a_pole_is_infinite_and_never_raises() -> None:
    assert grad(ag.log)(0.0) == inf
    assert grad(ag.sqrt)(0.0) == inf
    assert grad(lambda x: 1 / x)(0.0) == -inf
    assert math.isnan(grad(ag.log)(-1.0))
    assert grad(ag.exp)(1000.0) == inf
