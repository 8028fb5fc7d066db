"""check_grads must catch wrong rules and name them, and must not call a kink a bug.

Physicists check Coulomb's law in metres, and students log at -1: rules are right or
wrong at any scale, and where nothing can be compared the message says so.
"""

import math
import random
import re

import pytest

from autograd import (
    Primitive,
    Value,
    VectorPrimitive,
    acos,
    acosh,
    asin,
    atan2,
    cbrt,
    ceil,
    check_grads,
    clip,
    copysign,
    cos,
    dot,
    erfc,
    exp,
    floor,
    gamma,
    grad,
    hypot,
    jit,
    leaky_relu,
    lgamma,
    log,
    logsumexp,
    maximum,
    mod,
    primitives,
    relu,
    sigmoid,
    sign,
    sin,
    sqrt,
    stop_gradient,
    tan,
    tanh,
    vmap,
    where,
)
from nn import MLP


def message(f, args, order=2):
    with pytest.raises(AssertionError) as caught:
        check_grads(f, args, order)
    return str(caught.value)


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
            smooth = [i for i, (low, high) in enumerate(ranges) if low < high]

            def along(*xs, row=row, point=point, smooth=smooth):
                full = list(point)
                for i, x in zip(smooth, xs):
                    full[i] = x
                # a slope that shows no digits: then every node is looked at by itself
                return [row(*full), 0.0 * sum(xs)]

            check_grads(along, tuple(point[i] for i in smooth), order=2)


def test_check_grads_passes_a_function_that_closes_over_values():
    w = Value(2.0)
    model, point = MLP(2, [3, 1], seed=0), ([0.3, 0.4],)
    for f, args in [
        (lambda x: w * x, (1.0,)),
        (lambda x: [sin(w * x), w * w, x], (1.0,)),
        (jit(lambda x: exp(w * x) * w), (1.0,)),
        (lambda xs: vmap(lambda x: exp(w * x) * w)(xs), ([1.0, 0.5],)),
        (grad(lambda x: w * x**4), (1.3,)),
        (model, point),
        (jit(model), point),
    ]:
        check_grads(f, args, order=3)
    bad = Primitive("bad", lambda x: x * x, lambda z, x: x)
    assert "partial of 'bad'" in message(lambda x: w * bad(x), (1.5,))
    assert "must be finite, but is inf" in message(lambda x: w * sqrt(x), (0.0,))
    assert "same at every call" in message(lambda x: w * x * random.random(), (1.0,))


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
    assert "must be finite, but is inf" in message(sqrt, (0.0,))
    assert "must be finite, but is inf" in message(cbrt, (0.0,))
    text = message(lambda x: sqrt(x) ** 2, (0.0,))
    assert "must be finite, but is nan (differences give 0.99999" in text


@pytest.mark.parametrize(
    ("f", "args", "said"),
    [
        (lambda x, y: x**y, (0.0, 1.0), "must be finite, but is"),
        (lambda x: x**math.inf, (0.5,), "is nan"),
        (lambda y: (-1.0) ** y, (1e17,), "is nan"),
        (lambda y: (-1.0) ** y, (2.0,), "is nan"),
        (lambda x: hypot(x, math.inf) * 0.0 + x, (1.0,), "must be finite, but is nan"),
    ],
)
def test_check_grads_accuses_no_row_of_what_a_convention_makes_not_finite(
    f, args, said
):
    text = message(f, args)
    assert said in text
    assert "correct the rule" not in text


def test_check_grads_accuses_no_slope_that_diverges_like_a_logarithm():
    slow = Primitive(
        "slow", lambda x: x * math.log(x) if x else 0.0, lambda z, x: log(x) + 1
    )
    text = message(slow, (0.0,), order=1)
    assert "must be finite, but is -inf" in text
    assert "correct the rule" not in text
    for limit in math.inf, math.nan:
        bad = Primitive("bad", slow.value, lambda z, x, limit=limit: limit)
        assert "partial of 'bad'" in message(bad, (0.0,), order=1)


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


# ---- at any scale --------------------------------------------------------------------


def lennard_jones(r):
    return 4 * 1.65e-21 * ((3.4e-10 / r) ** 12 - (3.4e-10 / r) ** 6)


@pytest.mark.parametrize(
    ("f", "args"),
    [
        (lennard_jones, (3.8e-10,)),
        (lennard_jones, (3.4e-10 * 2 ** (1 / 6),)),  # its minimum
        (lambda q: sin(q / 1e-9), (3.8e-10,)),
        (lambda q: sin(q / 1e-9), (0.0,)),
        (lambda q: sin(q / 1e-9), (1.0,)),
        (lambda r: 8.99e9 * 1.6e-19**2 / r, (1e-10,)),
        (lambda t: 1.38e-23 * t * log(t), (300.0,)),
        (lambda v: 9e16 + v * v / 2, (1.0,)),
        (lambda x, y: [1e10 * x * y, 1e-30 * x / y], (1.5, 2.0)),
        (lambda x: tanh(x / 1.7e-19), (0.0,)),
        (lambda x: sin(x / 1e-290), (0.0,)),
        (exp, (1e-300,)),
        (exp, (-700.0,)),
        (cos, (0.0,)),
        (cos, (math.pi,)),
        (cos, (1e-12,)),
        (sin, (1e15,)),
        (sin, (1e17,)),
        (lambda x: sin(2000 * math.pi * x), (1.0,)),
        (lambda x: exp(-x * x), (4e-10,)),
        (log, (1e-100,)),
        (lambda x: 1 / x, (1e-50,)),
        (lambda x: x * x, (1e100,)),
        (lambda x: x / 3, (1.7e308,)),
        (lambda x: x * 3, (5e-324,)),
        (lambda x: x * 3, (1e-310,)),
        (lambda x: (x * 1e-200) * 1e-200 * 1e300, (1.0,)),
        (lambda x: (x + 1e16) - 1e16, (1.3,)),
        (lambda x: dot(x, [1e16, 1.0, -1e16]), ([1.0, 2.0, 3.0],)),
        (logsumexp, ([1000.0, 1000.5, -1000.0],)),
        (lambda *xs: hypot(*xs), (3e-200, 4e-200, 1e-201)),
        (lambda x, y: hypot(x, y) + x * 0.0, (3.0, 1e-20)),
        (gamma, (170.0,)),
        (lgamma, (1e10,)),
        (erfc, (26.0,)),
        (sigmoid, (-700.0,)),
        (tanh, (40.0,)),
        (tan, (math.pi / 2,)),  # a pole is nearer than the next float
        (acos, (1 - 1e-10,)),
        (asin, (1 - 2**-53,)),
        (lambda x: asin(x / 2), (-1.9999,)),
        (lambda x: maximum(x, 1 + 1e-12), (1.0,)),
        (lambda x: maximum(x, 1 - 1e-12), (1.0,)),
        (relu, (1e-300,)),
        (relu, (-1e-300,)),
        (lambda x: clip(x, -1, 1), (1e-9,)),
        (floor, (2.5,)),
        (lambda x: mod(x, 1.0), (2.5,)),
        (lambda y, x: atan2(y, x), (1e-12, -1.0)),
        (copysign, (1.0, 2.0)),
        (lambda x: x**0, (0.0,)),
        (lambda x: 3.0, (1.0,)),
        (lambda: 3.0, ()),
        (jit(lambda x: sin(x) * x if x > 1 else -x), (1.5,)),
    ],
)
def test_check_grads_passes_right_derivatives_at_any_scale(f, args):
    check_grads(f, args, order=2)


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda x: x**1.5, 0.0),
        (lambda x: where(x < 1, x, sqrt(x)), 0.0),
        (lambda x: (1 - x) ** 1.5, 1.0),
    ],
)
def test_check_grads_passes_right_derivatives_at_the_end_of_a_domain(f, x):
    check_grads(f, (x,), order=1)


def wrong(value, slope, factor=1.001):
    """A row whose rule is off by a factor."""
    return Primitive("bad", value, lambda z, x: factor * slope(x))


@pytest.mark.parametrize(
    ("bad", "x"),
    [
        (wrong(lambda x: 1e-30 * x * x, lambda x: 2e-30 * x), 1.0),
        (wrong(lambda x: 1.38e-23 * x, lambda x: 1.38e-23), 300.0),
        (wrong(lambda r: 2.3e-28 / r, lambda r: -2.3e-28 / r**2), 1e-10),
        (wrong(lambda x: 1e200 * x, lambda x: 1e200), 1e-5),
        (wrong(math.sin, cos), 1.0),
        (wrong(math.sin, cos), 1e15),
        (wrong(math.sin, cos, factor=1 + 1e-5), 1.0),
        (wrong(math.sin, cos, factor=-1.0), 1e-12),
        (wrong(math.sin, cos, factor=0.0), 1.0),
        (wrong(math.sin, cos, factor=math.inf), 1.0),
        (wrong(math.sin, cos, factor=math.nan), 1.0),
        (wrong(math.sin, cos, factor=-math.inf), 0.0),
        (wrong(lambda x: math.sin(x / 1e-9), lambda x: 1e9 * cos(x / 1e-9)), 0.0),
        (wrong(lambda x: math.sin(x / 1e-9), lambda x: 1e9 * cos(x / 1e-9)), 1.0),
        (wrong(lambda x: math.exp(x / 1e20), lambda x: 1e-20 * exp(x / 1e20)), 1.0),
        (wrong(lambda x: 1 / (2 + x * x), lambda x: x, factor=0.0), 1e-8),
        (wrong(math.cos, lambda x: 1.0), 0.0),
        (wrong(math.cos, lambda x: 1e-10), math.pi),
        (wrong(lambda x: x**3, lambda x: 1e-3), 0.0),
        (wrong(lambda x: x * abs(x), lambda x: 1.0), 0.0),
        (wrong(lambda x: x**1.5, lambda x: 1.0), 0.0),
        (wrong(math.cbrt, lambda x: 5.0), 0.0),
        (wrong(lambda r: r**-12 - r**-6, lambda r: -12 * r**-13), 1.2),  # half of it
    ],
)
def test_check_grads_fails_wrong_rules_at_any_scale(bad, x):
    text = message(bad, (x,), order=1)
    assert f"the partial of 'bad' with respect to operand 0 of bad({x!r})" in text
    assert "correct the rule" in text


def test_check_grads_fails_wrong_rules_that_rounding_hides_in_the_result():
    bad = wrong(lambda x: 1e-30 * x, lambda x: 1e-30)
    assert "'bad'" in message(lambda x: 1 + bad(x), (1.0,))
    assert "'bad'" in message(lambda x: [1e10 * x, bad(x)], (1.5,))
    assert "'bad'" in message(lambda x, y: 1e10 * x + bad(y), (1.0, 2.0))


def test_check_grads_names_the_one_of_many_operands_that_is_wrong():
    bad = Primitive(
        "bad_sum", lambda *xs: math.fsum(xs), lambda z, *xs: [1, 1, 1.001, 1][: len(xs)]
    )
    assert "operand 2 of bad_sum(" in message(bad, (1e-20, 2.0, 3e-20, 4.0))
    check_grads(bad, (1.0, 2.0))


def test_check_grads_catches_a_second_derivative_that_is_cut_off():
    cube = Primitive("cube", lambda x: x**3, lambda z, x: 3 * stop_gradient(x) ** 2)
    text = message(cube, (1e-10,), order=2)
    assert "every partial is right by itself" in text
    assert "must be 6" in text and "e-10" in text


# ---- where nothing can be compared ---------------------------------------------------


@pytest.mark.parametrize(
    ("f", "x", "cause"),
    [
        (log, -1.0, "nan, since log(-1.0) is nan"),
        (exp, 1000.0, "inf, since exp(1000.0) is inf"),
        (lambda x: 1 / x, 0.0, "inf, since div(1.0, 0.0) is inf"),
        (lambda x: x**2, 1e200, "inf, since pow(1e+200, 2.0) is inf"),
        (acosh, 0.1, "nan, since acosh(0.1) is nan"),
        (lambda x: sin(log(x)), 0.0, "nan, since log(0.0) is -inf"),
        (lambda x: [x, log(x)], -1.0, "nan, since log(-1.0) is nan"),
        (sin, math.nan, "nan, since sin(nan) is nan"),
        (lambda x: math.nan, 1.0, "nan; no difference"),
        (tanh, math.inf, "is 0.0, but no difference can be had"),
    ],
)
def test_check_grads_says_that_no_difference_can_be_had(f, x, cause):
    text = message(f, (x,))
    assert cause in text
    assert "no difference can be had" in text
    assert "report" not in text


def test_check_grads_says_that_a_point_has_no_neighbour():
    text = message(lambda x: where(x == 0, 5.0 * x, log(-abs(x))), (0.0,))
    assert "f is not finite beside this point" in text


def test_check_grads_takes_what_f_raises_beside_the_point_as_no_value():
    def f(x):
        if x < 1:
            raise ValueError("x must be 1 or more")
        return x**3

    check_grads(f, (1.0,), order=2)


@pytest.mark.parametrize(
    ("f", "x", "what"),
    [
        (ceil, 2.0, "jump of 1"),
        (sign, 0.0, "jump of 2"),
        (lambda x: leaky_relu(x), 0.0, "0.01 to the left and 1 to the right"),
        (lambda x: x if x > 1 else 2 + x, 1.0, "jump of -2"),
        (lambda x: 2 * x - 1 if x > 1 else x, 1.0, "1 to the left and 2 to the right"),
        (lambda x: abs(x) / 1e-19, 0.0, "of sign(0.0) is at a kink: there is a jump"),
        (lambda q: relu(q - 1.6e-19), 1.6e-19, "0 to the left and 1 to the right"),
    ],
)
def test_check_grads_sees_kinks_at_any_scale(f, x, what):
    text = message(f, (x,))
    assert what in text
    assert "no bug" in text


class Counter:
    """A function with a state: it counts its calls."""

    calls = 0

    def __call__(self, x):
        self.calls += 1
        return x * self.calls


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x * random.random(),
        lambda x: x * (1 + 1e-9 * random.random()),
        lambda x: (x - 1) * random.random(),  # whose value is always 0
        lambda x: [x] * random.choice([1, 2, 3, 4, 5, 6, 7, 8]),
        Counter(),
    ],
)
def test_check_grads_names_a_function_that_does_not_repeat_itself(f):
    random.seed(3)
    text = message(f, (1.0,))
    assert "f must give the same at every call" in text
    assert "report" not in text


def test_check_grads_names_a_function_that_changes_in_the_end():
    calls = iter(range(10_000))
    text = message(lambda x: x if next(calls) < 6 else 2 * x, (1.0,))
    assert "f must give the same at every call" in text


def test_check_grads_names_a_function_that_keeps_what_it_computed():
    for use in (
        lambda kept, x: kept,
        lambda kept, x: kept + x,
        lambda kept, x: [x, sin(kept)],
    ):
        memo = {}

        def f(x, use=use, memo=memo):
            return use(memo.setdefault("y", x * x), x)

        assert "of an earlier call; keep no state" in message(f, (1.5,))
    memo = {}
    text = message(lambda x: memo.setdefault("x", x), (1.5,))
    assert "of an earlier call; keep no state" in text


CANCELLING = [
    lambda x: (1 - cos(x)) / (x * x),
    lambda x: (sin(x) - x) / x**3,
    lambda x: (exp(x) - 1) / x,
    lambda x: log(1 + x) / x,
    lambda x: sqrt(x * x + 1) - 1,
]


@pytest.mark.parametrize("f", CANCELLING)
def test_check_grads_blames_no_one_for_what_rounding_does_to_a_derivative(f):
    for exponent in range(-8, 1):
        check_grads(f, (10.0**exponent,))


def test_check_grads_sees_what_leaves_the_graph_where_rounding_is_large():
    for x in (1e-4, 1e-2, 1.0):
        text = message(lambda x: (1 - cos(x)) / (x.data * x.data), (x,), order=1)
        assert "leaves the graph" in text


def test_check_grads_doubts_a_pushforward_that_is_not_the_pullback_transposed() -> None:
    wrong = VectorPrimitive(
        "wrong", lambda x: (sin(x),), lambda ys, xs, b: [b[0] * cos(xs[0])],
        pushforward=lambda ys, xs, dots: [dots[0] * sin(xs[0])], outputs=1,
    )  # fmt: skip
    with pytest.raises(AssertionError, match="both modes.*correct the pushforward"):
        check_grads(lambda x: wrong(x)[0], (1.0,))
