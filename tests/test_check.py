"""check_grads must catch wrong rules and name them, and must not call a kink a bug."""

import math
import re

import pytest

from autograd import (
    Primitive,
    Value,
    check_grads,
    exp,
    floor,
    log,
    maximum,
    primitives,
    relu,
    sin,
    sqrt,
)
from autograd.check import difference


def message(f, args, order=2):
    with pytest.raises(AssertionError) as caught:
        check_grads(f, args, order)
    return str(caught.value)


def test_difference_reaches_nine_digits_on_smooth_functions():
    for f, slope, x in [
        (math.sin, math.cos, 1.0),
        (math.exp, math.exp, 3.0),
        (log, lambda x: 1 / x, 0.01),
        (math.atan, lambda x: 1 / (1 + x * x), 1e4),
    ]:
        found, error = difference(f, x)
        assert found == pytest.approx(slope(x), rel=1e-9)
        assert abs(found - slope(x)) <= 10 * error + 1e-15


def test_difference_from_one_side_sees_that_side_only():
    assert difference(abs, 0.0, side=1)[0] == 1.0
    assert difference(abs, 0.0, side=-1)[0] == -1.0


def test_check_grads_passes_right_gradients_of_nested_arguments():
    def f(w, x):
        return exp(w["a"][0] * x) + w["a"][1] ** 3 * sin(x)

    check_grads(f, ({"a": [0.3, -0.8]}, 1.2), order=3)


def test_check_grads_passes_every_smooth_row_at_every_order():
    steps = {"floor", "ceil", "sign", "copysign", "stop_gradient", "mod"}
    for row in vars(primitives).values():
        if isinstance(row, Primitive) and row.arity and row.name not in steps:
            ranges = row.sample
            if not isinstance(ranges[0], tuple):
                ranges = (ranges,) * row.arity
            point = [
                low + (0.37 + 0.11 * k) * (high - low)
                for k, (low, high) in enumerate(ranges)
            ]
            smooth = range(1 if row.name == "polygamma" else 0, row.arity)

            def along(*xs, row=row, point=point, smooth=smooth):
                full = list(point)
                for i, x in zip(smooth, xs):
                    full[i] = x
                return row(*full)

            check_grads(along, tuple(point[i] for i in smooth), order=2)


def test_check_grads_checks_several_results():
    check_grads(lambda x: [x.sin(), x * x], (0.4,), order=3)
    bad = Primitive("bad", lambda x: x * x, lambda z, x: x)
    assert "'bad'" in message(lambda x: [x.sin(), bad(x)], (0.4,))


def test_check_grads_names_a_wrong_rule_and_both_numbers():
    bad = Primitive("bad_cube", lambda x: x**3, lambda z, x: 2 * x * x)
    text = message(lambda x: sin(bad(x) * 2), (2.0,))
    assert "partial of 'bad_cube'" in text
    numeric = float(re.search(r"must be ([\d.]+)", text)[1])
    assert numeric == pytest.approx(12.0, rel=1e-9)
    assert "its rule gives 8.0" in text


def test_check_grads_names_the_operand_whose_partial_is_wrong():
    bad = Primitive(
        "bad_mul", lambda x, y: x * y, lambda z, x, y: y, lambda z, x, y: -x
    )
    text = message(lambda x, y: bad(x, y), (2.0, 3.0))
    assert "operand 1 of bad_mul(2.0, 3.0)" in text


def test_check_grads_catches_a_rule_that_is_wrong_at_second_order_only():
    def lossy(z, x):
        return 3 * getattr(x, "data", x) ** 2

    cube = Primitive("lossy_cube", lambda x: x**3, lossy)
    check_grads(cube, (2.0,), order=1)
    assert "order 2" in message(cube, (2.0,), order=2)


def test_check_grads_catches_a_gradient_that_leaves_the_graph():
    text = message(lambda x: x * x.data, (2.0,))
    assert "leaves the graph" in text
    assert "is 2.0" in text


@pytest.mark.parametrize(
    ("f", "x", "name"),
    [
        (relu, 0.0, "relu(0.0)"),
        (lambda x: maximum(x, 1.0), 1.0, "maximum(1.0, 1.0)"),
        (lambda x: (x * x).relu() + x, 0.0, "relu(0.0)"),
        (abs, 0.0, "sign(0.0)"),
        (floor, 2.0, "floor(2.0)"),
    ],
)
def test_check_grads_tells_a_kink_from_a_bug(f, x, name):
    text = message(f, (x,))
    assert "kink" in text
    assert "no bug" in text
    assert name in text


def test_check_grads_passes_a_smooth_function_of_a_kinked_one():
    check_grads(lambda x: x * abs(x), (0.0,), order=1)
    check_grads(lambda x: abs(x) ** 3, (0.0,), order=1)
    check_grads(lambda x: relu(x) ** 2, (0.0,), order=1)


def test_check_grads_says_where_a_derivative_is_not_finite():
    text = message(sqrt, (0.0,))
    assert "must be finite, but is inf" in text


def test_check_grads_refuses_bad_arguments():
    with pytest.raises(TypeError, match=r"write \(x,\)"):
        check_grads(sin, 1.0)
    with pytest.raises(TypeError, match="pass x.data"):
        check_grads(sin, (Value(1.0),))
    with pytest.raises(ValueError, match="above 0"):
        check_grads(sin, (1.0,), order=0)


def test_check_grads_works_close_to_the_end_of_a_domain():
    check_grads(log, (1e-9,))
    check_grads(sqrt, (1e-9,))


def test_check_grads_does_not_call_a_steep_function_a_kink():
    steep = Primitive(
        "steep", lambda x: math.tanh(1e4 * x), lambda z, x: 3e4 * (1 - z * z)
    )
    assert "partial of 'steep'" in message(steep, (1e-5,), order=1)
