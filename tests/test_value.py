"""What a Value is, holds, refuses and survives: DESIGN.md's attribute table and
conventions 3 to 7, a test for each line of them.
"""

from __future__ import annotations

import copy
import gc
import math
import operator
import pickle
import statistics
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from types import FrameType
from typing import Any

import numpy as np
import pytest

import autograd as ag
from autograd import Primitive, Value, detect_anomaly, grad, stop_gradient, where
from autograd import value as engine

nan, inf = math.nan, math.inf


def here(offset: int = 0) -> str:
    """The caller's own "file:line", so many lines further down."""
    frame = sys._getframe(1)
    return f"{frame.f_code.co_filename}:{frame.f_lineno + offset}"


def same(a: float, b: float) -> bool:
    """Equal bit for bit but for the payload of a NaN."""
    both_nan = a != a and b != b
    return both_nan or (a == b and math.copysign(1.0, a) == math.copysign(1.0, b))


# ---- the table of attributes ---------------------------------------------------------


def test_leaf_holds_a_float_and_no_history() -> None:
    x = Value(3)
    assert type(x.data) is float and x.data == 3.0
    assert (x.grad, x.reached, x.label, x.line) == (0.0, False, None, None)
    assert (x.op, x.args, x.parents, x.partials) == ("", (), (), ())


def test_computed_value_records_operands_parents_and_partials() -> None:
    x, y = Value(3.0), Value(4.0)
    z = x * y
    assert (z.data, z.op, z.grad, z.reached) == (12.0, "mul", 0.0, False)
    assert z.args[0] is x and z.args[1] is y
    assert z.parents[0] is x and z.parents[1] is y
    assert z.partials == (4.0, 3.0)


def test_plain_number_is_an_operand_but_no_parent() -> None:
    x = Value(3.0)
    z = 5 - x
    assert z.args[0] == 5.0 and type(z.args[0]) is float and z.args[1] is x
    assert len(z.parents) == 1 and z.parents[0] is x
    assert z.partials == (-1.0,)


def test_operand_used_twice_is_two_parents() -> None:
    a = Value(3.0)
    z = a * a
    assert [p is a for p in z.parents] == [True, True]
    assert z.partials == (3.0, 3.0)
    z.backward()
    assert a.grad == 6.0


def test_partials_are_those_of_forward_time() -> None:
    x = Value(2.0)
    z = x * x
    x.data = 100.0
    assert z.partials == (2.0, 2.0)


def test_label_names_leaf_and_computed_value() -> None:
    x = Value(1.0, label="x")
    y = x + 1.0
    y.label = "y"
    assert (x.label, y.label) == ("x", "y")
    y.label = None
    assert y.label is None


@pytest.mark.parametrize("label", [3, b"x", ["x"]])
def test_label_refuses_what_is_no_str(label: Any) -> None:
    x = Value(1.0, label="x")
    with pytest.raises(TypeError, match=r"label: label must be a str or None, but is"):
        x.label = label
    assert x.label == "x"
    with pytest.raises(TypeError, match="label must be a str"):
        Value(1.0, label)


@pytest.mark.parametrize(
    "name", ["args", "line", "op", "parents", "partials", "reached"]
)
def test_history_is_read_only(name: str) -> None:
    for v in (Value(1.0), Value(1.0) * 2.0):
        with pytest.raises(AttributeError):
            setattr(v, name, None)


def test_misspelt_attribute_is_an_error() -> None:
    with pytest.raises(AttributeError):
        Value(1.0).gard = 0.0  # type: ignore[attr-defined]


def test_data_of_a_leaf_is_assignable() -> None:
    x = Value(1.0)
    x.data = np.float32(2.5)
    assert type(x.data) is float and (x * 2).data == 5.0


def test_data_of_a_computed_value_refuses_assignment() -> None:
    y = Value(2.0) * 3.0
    with pytest.raises(TypeError, match=r"Value\.data: only a leaf .* 'mul'; assign"):
        y.data = 1.0
    assert y.data == 6.0


def test_grad_of_a_leaf_is_assignable() -> None:
    x = Value(2.0)
    (x * x).backward()
    x.grad = 0
    assert x.grad == 0.0 and type(x.grad) is float
    (x * x).backward()
    assert x.grad == 4.0


def test_grad_of_a_computed_value_refuses_assignment() -> None:
    x = Value(2.0)
    y = x * 3.0
    y.backward()
    with pytest.raises(TypeError, match=r"Value\.grad: only a leaf's .* 'mul'; every"):
        y.grad = 0.0
    assert y.grad == 1.0


@pytest.mark.parametrize("bad", ["1", 1j, Decimal(1), None, [1.0], Value(1.0)])
@pytest.mark.parametrize("name", ["data", "grad"])
def test_refused_assignment_changes_nothing(name: str, bad: Any) -> None:
    x = Value(2.0)
    (x * x).backward()
    with pytest.raises(TypeError, match=rf"Value\.{name}: {name} must be a real numb"):
        setattr(x, name, bad)
    assert (x.data, x.grad) == (2.0, 4.0)


def test_subclassing_is_refused() -> None:
    with pytest.raises(TypeError, match="Value: must not be subclassed.*; write"):
        type("Tensor", (Value,), {})


# ---- the sweep -----------------------------------------------------------------------


def test_backward_twice_adds_twice_to_the_leaves() -> None:
    x = Value(2.0)
    y = x * x * x
    y.backward()
    assert x.grad == 12.0
    y.backward()
    assert x.grad == 24.0  # micrograd gives 36: its computed nodes add up as well


def test_grad_of_a_computed_value_is_the_last_sweeps_adjoint() -> None:
    x = Value(2.0)
    u = x * x
    y = u * 5.0
    y.backward()
    y.backward()
    assert (y.grad, u.grad, x.grad) == (1.0, 5.0, 40.0)
    (u * 7.0).backward()
    assert (u.grad, x.grad) == (7.0, 68.0)


def test_backward_of_two_roots_adds_into_their_leaf() -> None:
    x = Value(3.0)
    (x * x).backward()
    (2.0 * x).backward()
    assert x.grad == 8.0


def test_backward_on_a_leaf_counts_one() -> None:
    x = Value(3.0)
    x.backward()
    x.backward()
    assert x.grad == 2.0 and x.reached


def test_backward_reaches_every_value_below_and_none_beside() -> None:
    x, y, other = Value(1.0), Value(2.0), Value(3.0)
    u = x * y
    beside = u * other
    root = u.sin()
    root.backward()
    assert x.reached and y.reached and u.reached and root.reached
    assert not other.reached and not beside.reached


def test_reached_tells_a_zero_gradient_from_none() -> None:
    x, y = Value(0.0), Value(5.0)
    x.cos().backward()
    assert (x.grad, x.reached) == (0.0, True)
    assert (y.grad, y.reached) == (0.0, False)


def test_backward_sums_all_paths_of_the_chain_rule() -> None:
    x = Value(1.5)
    v = x * x
    u = v.sin()
    y = u.exp() + u * v
    y.backward()
    dy_du = math.exp(math.sin(2.25)) + 2.25
    dy_dv = dy_du * math.cos(2.25) + math.sin(2.25)
    assert u.grad == pytest.approx(dy_du, rel=1e-15)
    assert v.grad == pytest.approx(dy_dv, rel=1e-15)
    assert x.grad == pytest.approx(dy_dv * 3.0, rel=1e-15)


# ---- selects -------------------------------------------------------------------------


def test_untaken_branch_cannot_poison_a_gradient() -> None:
    x = Value(0.0)
    y = where(x < 1, x, x.sqrt())
    y.backward()
    assert (y.data, x.grad) == (0.0, 1.0)


def test_untaken_branch_cannot_poison_when_it_comes_first() -> None:
    x = Value(0.0)
    where(x >= 1, x.log(), 2 * x).backward()
    assert x.grad == 2.0


@pytest.mark.parametrize(
    "select, a, b, left_out",
    [
        (ag.maximum, -1.0, 2.0, 0),
        (ag.minimum, -1.0, 2.0, 1),
        (lambda a, b: where(True, a, b), -1.0, 2.0, 1),
        (lambda a, b: where(a, b, 0.0), -1.0, 2.0, 0),
        (lambda a, b: ag.clip(a, b, 3.0), -1.0, 2.0, 0),
        (lambda a, b: ag.clip(a, -3.0, b), -1.0, 2.0, 1),
        (lambda a, b: ag.relu(a) + b, -1.0, 2.0, 0),
        (lambda a, b: ag.relu(a) + b, 0.0, 2.0, 0),
        (lambda a, b: stop_gradient(a) + b, -1.0, 2.0, 0),
        (lambda a, b: ag.less(a, 0.0) + b, -1.0, 2.0, 0),
        (lambda a, b: ag.equal(b, 1.0) + a, -1.0, 2.0, 1),
    ],
)
def test_operand_left_out_is_not_reached(
    select: Callable[[Value, Value], Value], a: float, b: float, left_out: int
) -> None:
    operands = [Value(a), Value(b)]
    select(*operands).backward()
    assert [x.reached for x in operands] == [left_out == 1, left_out == 0]
    assert operands[left_out].grad == 0.0
    assert operands[1 - left_out].grad == 1.0


def test_operand_left_out_stays_an_argument_but_is_no_parent() -> None:
    x, y = Value(1.0), Value(2.0)
    z = ag.maximum(x, y)
    assert z.args[0] is x and z.args[1] is y
    assert len(z.parents) == 1 and z.parents[0] is y and z.partials == (1.0,)


def test_computed_operand_left_out_shows_no_adjoint() -> None:
    x = Value(-2.0)
    u = x.sqrt()
    ag.maximum(3.0 * x, ag.relu(x) + where(False, u, x)).backward()
    assert not u.reached and x.grad == 1.0


@pytest.mark.parametrize("select", [ag.maximum, ag.minimum])
def test_tie_gives_each_operand_half(select: Primitive) -> None:
    x, y = Value(1.0), Value(1.0)
    select(x, y).backward()
    assert (x.grad, y.grad) == (0.5, 0.5)


@pytest.mark.parametrize(
    "f",
    [
        ag.relu,
        ag.abs,
        ag.leaky_relu,
        lambda x: ag.clip(x, 0.0, 1.0),
        lambda x: ag.maximum(x, 1.0),
        lambda x: ag.minimum(1.0, x),
    ],
)
def test_nan_goes_through_selects_in_value_and_gradient(f: Callable[..., Any]) -> None:
    x = Value(nan)
    y = f(x)
    y.backward()
    assert math.isnan(y.data) and math.isnan(x.grad)


def test_zero_times_infinity_is_nan_where_nothing_was_left_out() -> None:
    x = Value(0.0)
    (x.sqrt() ** 2).backward()
    assert math.isnan(x.grad)


def test_stop_gradient_keeps_the_number_and_drops_the_gradient() -> None:
    x = Value(3.0)
    y = x * stop_gradient(x)
    y.backward()
    assert (y.data, x.grad) == (9.0, 3.0)
    assert stop_gradient(2.0) == 2.0


# ---- what is refused, since it would lose the gradient -------------------------------


@pytest.mark.parametrize(
    "call, remedy",
    [
        (math.sin, r"autograd\.sin\(v\)"),
        (math.hypot, "autograd"),
        (float, r"v\.data"),
        (int, r"v\.data"),
        (round, r":\.3f"),
        (lambda v: round(v, 2), r":\.3f"),
        (complex, r"v\.data"),
        (math.trunc, r"v\.data"),
        (operator.index, r"v\.data"),
        (lambda v: [1, 2][v], r"v\.data"),
        (range, r"v\.data"),
        (hex, r"v\.data"),
        (lambda v: statistics.mean([v, v]), r"sum\(values\) / len\(values\)"),
        (lambda v: statistics.fmean([v, v]), r"v\.data"),
        (lambda v: math.fsum([v]), r"v\.data"),
        (lambda v: v // 2, r"floor\(v / y\)"),
        (lambda v: 2 // v, r"floor\("),
        (lambda v: divmod(v, 2), r"v % y"),
        (lambda v: divmod(2, v), "%"),
        (np.float64, r"v\.data"),
        (lambda v: np.array([v], dtype=float), r"v\.data"),
        (Value, "stop_gradient"),
    ],
)
def test_losing_the_gradient_is_refused_with_a_remedy(
    call: Callable[[Any], Any], remedy: str
) -> None:
    with pytest.raises(TypeError, match=remedy):
        call(Value(1.0))


def test_refusals_follow_the_shape_of_all_errors() -> None:
    with pytest.raises(TypeError) as caught:
        math.sin(Value(1.0))  # type: ignore[arg-type]
    text = str(caught.value)
    operation, rest = text.split(": ", 1)
    assert operation == "float(v)" and " must be " in rest and "; " in rest


# ---- operands ------------------------------------------------------------------------

NUMBERS = [
    2,
    2.0,
    True,
    Fraction(1, 2),
    np.float64(2.0),
    np.float32(0.1),
    np.int64(3),
    np.bool_(True),
    np.array(2.5),
]
OPERATORS = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.pow,
    operator.mod,
]


@pytest.mark.parametrize("other", NUMBERS, ids=lambda x: type(x).__name__)
@pytest.mark.parametrize("op", OPERATORS)
def test_operators_take_numbers_on_either_side(
    op: Callable[[Any, Any], Any], other: Any
) -> None:
    number, step = float(other), 1e-6
    x = Value(1.75)
    right, left = op(x, other), op(other, x)
    assert type(right) is Value and right.data == op(1.75, number)
    assert type(left) is Value and left.data == op(number, 1.75)
    right.backward()
    slope = (op(1.75 + step, number) - op(1.75 - step, number)) / (2 * step)
    assert x.grad == pytest.approx(slope, rel=1e-7)
    x.grad = 0
    left.backward()
    slope = (op(number, 1.75 + step) - op(number, 1.75 - step)) / (2 * step)
    assert x.grad == pytest.approx(slope, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("other", NUMBERS, ids=lambda x: type(x).__name__)
def test_value_takes_the_numbers_that_operators_take(other: Any) -> None:
    assert Value(other).data == float(other)


@pytest.mark.parametrize(
    "bad, name",
    [
        (1j, "complex"),
        (np.complex128(1), "complex"),
        (Decimal(1), "Decimal"),
        ("1", "str"),
        (np.str_("1"), "str"),
        (None, "NoneType"),
        ([1.0], "list"),
    ],
)
@pytest.mark.parametrize("op", OPERATORS)
def test_operators_refuse_by_name_what_is_no_real_number(
    op: Callable[[Any, Any], Any], bad: Any, name: str
) -> None:
    x = Value(1.0)
    with pytest.raises(TypeError, match=rf"must be a real number, .*{name}.*; "):
        op(x, bad)
    if op is operator.mod and isinstance(bad, str):
        return  # "1" % x is formatting, and str decides
    with pytest.raises(TypeError, match=rf"must be a real number, .*{name}.*; "):
        op(bad, x)
    with pytest.raises(TypeError, match=rf"Value: data must be a real .*{name}.*; "):
        Value(bad)


def test_integer_beyond_float64_is_refused() -> None:
    for call in (Value, lambda n: Value(1.0) * n, lambda n: n + Value(1.0)):
        with pytest.raises(ValueError, match="must fit a float64"):
            call(10**400)


def test_unary_operators_are_rows() -> None:
    x = Value(-2.0)
    assert ((-x).op, abs(x).op) == ("neg", "abs")
    assert +x is x
    (-abs(x)).backward()
    assert x.grad == 1.0


def test_math_floor_and_ceil_give_values() -> None:
    x = Value(1.5)
    assert (math.floor(x).op, math.floor(x).data) == ("floor", 1.0)
    assert (math.ceil(x).op, math.ceil(x).data) == ("ceil", 2.0)


def test_builtins_sum_max_min_abs_pow_keep_the_gradient() -> None:
    xs = [Value(1.0), Value(-3.0), Value(2.0)]
    assert max(xs) is xs[2] and min(xs) is xs[1]
    (sum(xs) + pow(xs[2], 2) + pow(2, xs[0]) + abs(xs[1])).backward()
    assert [x.grad for x in xs] == [1.0 + 2.0 * math.log(2.0), 0.0, 5.0]


def test_augmented_assignment_makes_a_new_value() -> None:
    x = Value(1.0)
    y = x
    y += 2.0
    y *= y
    assert x.data == 1.0 and y.data == 9.0
    y.backward()
    assert x.grad == 6.0


def test_rows_take_numbers_beside_values() -> None:
    x = Value(3.0)
    assert ag.hypot(x, 4, np.float64(0.0)).data == 5.0
    assert ag.atan2(Fraction(3), x).data == math.pi / 4
    with pytest.raises(TypeError, match="atan2: operand must be a real number.*str"):
        ag.atan2("1", x)


# ---- NumPy ---------------------------------------------------------------------------


def values(*numbers: float) -> np.ndarray[Any, Any]:
    return np.array([Value(x) for x in numbers])


NUMPY_FUNCTIONS = """sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arctanh
    exp exp2 expm1 log log2 log10 log1p sqrt cbrt floor ceil absolute degrees radians
    rad2deg deg2rad negative"""


@pytest.mark.parametrize("name", NUMPY_FUNCTIONS.split())
def test_numpy_function_on_an_object_array_is_a_row(name: str) -> None:
    xs = values(0.25, 0.5)
    ys = getattr(np, name)(xs)
    assert [type(y) for y in ys] == [Value, Value]
    expected = getattr(np, name)(np.array([0.25, 0.5]))
    assert [y.data for y in ys] == pytest.approx(expected.tolist(), rel=1e-15)
    assert ys[0].parents[0] is xs[0]


def test_numpy_arccosh_and_two_argument_functions_are_rows() -> None:
    xs, ys = values(1.5, 3.0), values(2.0, 4.0)
    assert np.arccosh(xs)[0].op == "acosh"
    assert [h.data for h in np.hypot(xs, ys)] == [2.5, 5.0]
    assert [a.op for a in np.arctan2(xs, ys)] == ["atan2", "atan2"]


def test_numpy_function_on_a_single_value_gives_a_value() -> None:
    x = Value(0.5)
    y = np.sin(x)  # type: ignore[call-overload]
    assert type(y) is Value and y.op == "sin"


def test_numpy_maximum_passes_the_gradient_to_the_greater() -> None:
    xs, ys = values(1.0, 5.0), values(2.0, 3.0)
    np.maximum(xs, ys).sum().backward()
    assert [x.grad for x in xs] == [0.0, 1.0]
    assert [y.grad for y in ys] == [1.0, 0.0]


def test_numpy_matrix_product_of_object_arrays_keeps_the_gradient() -> None:
    w = values(1.0, 2.0, 3.0, 4.0).reshape(2, 2)
    x = values(5.0, 6.0)
    (w @ x).sum().backward()
    assert [v.grad for v in w.ravel()] == [5.0, 6.0, 5.0, 6.0]
    assert [v.grad for v in x] == [4.0, 6.0]
    x = values(1.0, 3.0)
    (x @ x).backward()
    assert [v.grad for v in x] == [2.0, 6.0]


@pytest.mark.parametrize("op", [*OPERATORS])
@pytest.mark.parametrize("kind", [float, object])
def test_value_and_array_combine_element_by_element(
    op: Callable[[Any, Any], Any], kind: type
) -> None:
    v = Value(2.0)
    numbers = [1.5, 3.0]
    array = values(*numbers) if kind is object else np.array(numbers)
    for result, expected in (
        (op(v, array), [op(2.0, x) for x in numbers]),
        (op(array, v), [op(x, 2.0) for x in numbers]),
    ):
        assert result.shape == (2,) and result.dtype == object
        assert [type(y) for y in result] == [Value, Value]
        assert [y.data for y in result] == expected


def test_array_of_no_axes_that_holds_a_value_is_an_operand() -> None:
    v = Value(2.0)
    boxed = np.empty((), dtype=object)
    boxed[()] = Value(3.0)
    assert (boxed * v).data == 6.0
    assert (v * boxed).data == 6.0


def test_comparing_with_an_array_gives_an_array_of_bools() -> None:
    v = Value(2.0)
    assert (values(1.0, 3.0) < v).tolist() == [True, False]
    assert (v < np.array([1.0, 3.0])).tolist() == [False, True]


def test_integer_array_times_value_records_floats() -> None:
    v = Value(0.5)
    scaled: Any = np.arange(3) * v
    y = scaled.sum()
    y.backward()
    assert (y.data, v.grad) == (1.5, 3.0)


# ---- comparisons, truth, identity, text ----------------------------------------------


@pytest.mark.parametrize(
    "op", [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]
)
@pytest.mark.parametrize("pair", [(1.0, 2.0), (2.0, 2.0), (2.0, 1.0), (nan, 1.0)])
def test_comparisons_compare_numbers_and_give_bools(
    op: Callable[[Any, Any], Any], pair: tuple[float, float]
) -> None:
    x, y = pair
    for found in (op(Value(x), Value(y)), op(Value(x), y), op(x, Value(y))):
        assert type(found) is bool and found == op(x, y)


def test_equality_with_anything_else_is_false() -> None:
    v = Value(2.0)
    for other in ("2", None, [2.0], object()):
        assert (v == other, v != other) == (False, True)
    with pytest.raises(TypeError):
        v < "2"  # noqa: B015


def test_bool_is_whether_the_number_is_nonzero() -> None:
    assert [bool(Value(x)) for x in (0.0, -0.0, 1.0, -2.0, nan)] == [
        False, False, True, True, True,
    ]  # fmt: skip


def test_hash_is_by_identity() -> None:
    a, b = Value(1.0), Value(1.0)
    assert a == b and len({a, b}) == 2
    assert {a: "a", b: "b"}[b] == "b"
    before = hash(a)
    a.data = 5.0
    assert hash(a) == before


def test_format_takes_the_specs_of_floats() -> None:
    v = Value(2 / 3)
    assert (f"{v:.3f}", f"{v:>8.2e}", f"{v:+g}") == ("0.667", "6.67e-01", "+0.666667")


def test_repr_shows_number_label_and_gradient_once_there_is_one() -> None:
    x = Value(2.0, label="x")
    assert repr(x) == str(x) == "Value(2.0, label='x')" and f"{x}" == "2.0"
    (x * x).backward()
    assert repr(x) == "Value(2.0, grad=4.0, label='x')"


# ---- copies --------------------------------------------------------------------------

Copier = Callable[[Any], Any]


def pickled(x: Any) -> Any:
    return pickle.loads(pickle.dumps(x))


COPIERS: list[Copier] = [pickled, copy.deepcopy]
both_copiers = pytest.mark.parametrize("copier", COPIERS)


@both_copiers
def test_copied_leaf_keeps_number_label_and_gradient(copier: Copier) -> None:
    x = Value(2.0, label="x")
    fresh = copier(x)
    assert fresh is not x
    assert (fresh.data, fresh.label, fresh.reached) == (2.0, "x", False)
    (x * x).backward()
    fresh = copier(x)
    assert (fresh.grad, fresh.reached) == (4.0, True)
    x.grad = 0
    x.cos().backward()
    assert fresh.grad == 4.0


@both_copiers
def test_copied_graph_keeps_all_attributes_and_its_own_leaves(copier: Copier) -> None:
    x, y = Value(1.5, label="x"), Value(0.5)
    u = x * y
    u.label = "u"
    z = ag.maximum(u.sin(), ag.log(y)) + 2.0
    z.backward()
    twin = copier(z)
    twin_u = twin.args[0].args[0].args[0]
    assert (twin.data, twin.op, twin.grad, twin.partials) == (
        z.data,
        "add",
        1.0,
        (1.0,),
    )
    assert (twin_u.label, twin_u.op, twin_u.grad) == ("u", "mul", u.grad)
    assert not twin.args[0].args[1].reached
    twin_x, twin_y = twin_u.args
    assert (twin_x.label, twin_x.grad, twin_y.grad) == ("x", x.grad, y.grad)
    assert twin.args[0].args[1].args[0] is twin_y
    twin.backward()
    assert (twin_x.grad, x.grad) == (2 * u.grad * y.data, u.grad * y.data)


@both_copiers
def test_leaves_keep_identity_within_one_copy(copier: Copier) -> None:
    model = {"w": Value(2.0, label="w"), "b": Value(1.0)}
    loss = (model["w"] * 3.0 + model["b"]) ** 2
    twin = copier({"model": model, "loss": loss, "again": [model["w"]]})
    twin["loss"].backward()
    assert twin["model"]["w"].grad == 42.0 and twin["model"]["b"].grad == 14.0
    assert twin["again"][0] is twin["model"]["w"]
    assert not model["w"].reached


@both_copiers
def test_leaves_keep_identity_when_the_graph_comes_first(copier: Copier) -> None:
    w = Value(2.0)
    loss, twin = copier([w * w, w])
    loss.backward()
    assert twin.grad == 4.0


@both_copiers
def test_copied_graph_keeps_its_shape(copier: Copier) -> None:
    x = Value(1.0)
    for _ in range(40):
        x = x + x
    twin = copier(x)
    assert twin.args[0] is twin.args[1]
    assert len(engine.topological(twin)) == 40


@both_copiers
def test_copied_graph_can_be_differentiated_again(copier: Copier) -> None:
    x = Value(2.0)
    slope = copier([grad(lambda t: t**3 * x)(3.0), x])
    slope[0].backward()
    assert (slope[0].data, slope[1].grad) == (54.0, 27.0)


def test_shallow_copy_of_a_graph_shares_its_leaves() -> None:
    x = Value(3.0)
    twin = copy.copy(x * x)
    twin.backward()
    assert x.grad == 6.0


def test_shallow_copy_of_a_leaf_is_a_leaf_of_its_own() -> None:
    x = Value(3.0)
    twin = copy.copy(x)
    twin.data = 5.0
    assert (x.data, twin.data) == (3.0, 5.0)


@both_copiers
def test_nan_and_infinity_survive_a_copy(copier: Copier) -> None:
    x = Value(0.0)
    y = x.log()
    y.backward()
    twin = copier([y, x])
    assert (twin[0].data, twin[0].partials, twin[1].grad) == (-inf, (inf,), inf)
    assert math.isnan(copier(Value(nan)).data)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_pickle_protocol_will_do(protocol: int) -> None:
    x = Value(2.0)
    twin = pickle.loads(pickle.dumps(x.exp(), protocol))
    assert (twin.data, twin.op, twin.args[0].data) == (math.exp(2.0), "exp", 2.0)


# ---- a leaf assigned after recording -------------------------------------------------


def test_first_order_sweep_stays_true_to_the_point_of_recording() -> None:
    x = Value(3.0)
    y = x * x
    x.data = 100.0
    y.backward()
    assert (y.data, x.grad) == (9.0, 6.0)


def test_rerunning_rules_after_an_assignment_raises() -> None:
    w, c = Value(2.0, label="w"), Value(5.0)
    for f in (lambda x: c * (w * x), lambda x: (w * x).sin()):
        _, pullback = ag.vjp(f, 3.0)
        w.data = 7.0
        with pytest.raises(ValueError, match="as it was recorded, but 'w' was assig"):
            pullback(1.0)


def test_pullback_that_reruns_no_stale_rule_stays_true_to_the_recording() -> None:
    w = Value(2.0)
    _, pullback = ag.vjp(lambda x: w * w * x, 3.0)
    w.data = 7.0
    (slope,) = pullback(1.0)
    slope.backward()
    assert (slope.data, w.grad) == (4.0, 4.0)


def test_drawing_a_stale_graph_raises() -> None:
    x = Value(2.0, label="x")
    y = x * x
    x.data = 3.0
    with pytest.raises(ValueError, match="as it was recorded, but 'x' was assigned"):
        ag.draw(y).dot  # noqa: B018


def test_graph_made_after_the_assignment_is_current() -> None:
    x = Value(2.0)
    x.data = 3.0
    y = x * x
    engine.require_current(y, "test")
    x.data = x.data
    with pytest.raises(ValueError, match="a leaf was assigned after 'mul'"):
        engine.require_current(y, "test")


@both_copiers
def test_copied_graph_stays_stale_or_current(copier: Copier) -> None:
    x = Value(2.0, label="x")
    stale = x * x
    x.data = 3.0
    current = x * x
    stale, current = copier([stale, current])
    engine.require_current(current, "test")
    with pytest.raises(ValueError, match="'x' was assigned after 'mul'"):
        engine.require_current(stale, "test")


@both_copiers
def test_copies_of_current_graphs_that_share_a_leaf_stay_current(
    copier: Copier,
) -> None:
    x = Value(2.0, label="x")
    x.data = 3.0
    for y in copier([x * x, x + 1.0]):
        engine.require_current(y, "test")


def test_assigning_a_gradient_does_not_make_a_graph_stale() -> None:
    x = Value(2.0)
    y = x * x
    x.grad = 0
    engine.require_current(y, "test")
    assert y.args[0] is x


# ---- detect_anomaly ------------------------------------------------------------------


def test_detect_anomaly_names_operation_operands_and_line() -> None:
    x = Value(-1.0, label="depth")
    with pytest.raises(FloatingPointError) as caught, detect_anomaly():
        line = here(1)
        x.sqrt() + 1.0
    text = str(caught.value)
    assert text.startswith("sqrt: the value must be finite, but is nan at depth=-1.0; ")
    assert text.endswith(line)


def test_detect_anomaly_names_an_operand_that_is_a_plain_number() -> None:
    message = r"div: .* inf at x=1\.0, 0\.0; look"
    with pytest.raises(FloatingPointError, match=message), detect_anomaly():
        Value(1.0, label="x") / 0.0


def test_detect_anomaly_names_the_line_of_a_bad_local_derivative() -> None:
    x = Value(0.0, label="x")
    with detect_anomaly():
        line = here(1)
        u = x.sqrt()
        y = u * 2.0
        with pytest.raises(FloatingPointError) as caught:
            y.backward()
    text = str(caught.value)
    assert text.startswith("sqrt: the local derivative inf times the adjoint 2.0 must")
    assert "x=0.0" in text and text.endswith(line)


def test_detect_anomaly_looks_at_a_graph_made_before_it() -> None:
    x = Value(0.0)
    y = x.sqrt()
    message = "sqrt: .*under detect_anomaly"
    with pytest.raises(FloatingPointError, match=message), detect_anomaly():
        y.backward()


def test_detect_anomaly_watches_the_sum_that_reaches_a_leaf() -> None:
    x = Value(0.5)
    with detect_anomaly():
        y = x * 1e308 + x * 1e308
        with pytest.raises(FloatingPointError, match="mul: the sum of adjoints"):
            y.backward()


def test_detect_anomaly_works_in_transforms() -> None:
    with pytest.raises(FloatingPointError) as caught, detect_anomaly():
        line = here(1)
        grad(lambda x: ag.sqrt(x) * 2.0)(0.0)
    assert str(caught.value).startswith("sqrt: the local derivative inf")
    assert str(caught.value).endswith(line)


def test_detect_anomaly_leaves_out_what_a_select_leaves_out() -> None:
    x = Value(0.0)
    with detect_anomaly():
        where(x < 1, x, x.sqrt()).backward()
    assert x.grad == 1.0


def test_detect_anomaly_is_silent_about_a_sound_second_derivative() -> None:
    with detect_anomaly():
        assert grad(grad(lambda x: x**2))(-2.0) == 2.0
        assert grad(grad(lambda x: x**3))(-2.0) == -12.0


@pytest.mark.parametrize("point", [-2.0, 0.0, 2.0])
def test_detect_anomaly_is_silent_about_untaken_branches_of_rules(point: float) -> None:
    third = grad(grad(grad(lambda x: x**2 + ag.hypot(x, 1.0) + ag.maximum(x, 9.0))))
    expected = third(point)
    with detect_anomaly():
        assert third(point) == expected


def test_detect_anomaly_looks_only_at_the_derivatives_asked_for() -> None:
    n = Value(2.0)
    with detect_anomaly():
        slope = grad(lambda x: x**n)(-2.0)
    assert slope.data == -4.0


def test_detect_anomaly_points_into_the_callers_file_through() -> None:
    with pytest.raises(FloatingPointError) as caught, detect_anomaly():
        line = here(1)
        ag.log(ag.stop_gradient(Value(0.0)))
    assert str(caught.value).endswith(line)


def test_detect_anomaly_points_to_the_line_of_a_numpy_call() -> None:
    with pytest.raises(FloatingPointError) as caught, detect_anomaly():
        line = here(1)
        np.log(values(1.0, 0.0))
    assert str(caught.value).endswith(line)


def test_detect_anomaly_nests() -> None:
    x = Value(0.0)
    with detect_anomaly():
        with detect_anomaly():
            pass
        with pytest.raises(FloatingPointError):
            x.log()
    assert x.log().data == -inf


def test_detect_anomaly_leaves_nothing_on_after_an_error() -> None:
    for _ in range(2):
        with pytest.raises(FloatingPointError), detect_anomaly():
            Value(0.0).log()
    with pytest.raises(KeyError), detect_anomaly():
        raise KeyError
    assert Value(0.0).log().data == -inf
    with detect_anomaly():
        generator = (x.log() for x in [Value(0.0)])
    assert next(generator).data == -inf


def test_detect_anomaly_is_per_thread() -> None:
    seen: list[float] = []
    with detect_anomaly():
        run_in_thread(lambda: seen.append(Value(0.0).log().data))
    assert seen == [-inf]


def test_detect_anomaly_keeps_labels() -> None:
    with detect_anomaly():
        line = here(1)
        y = Value(1.0) * 2.0
        y.label = "y"
    assert (y.label, y.line) == ("y", line)


def test_detect_anomaly_accepts_non_finite_operands_of_finite_results() -> None:
    with detect_anomaly():
        assert ag.exp(Value(-inf)).data == 0.0


# ---- size ----------------------------------------------------------------------------


# CPython 3.13 frees nested objects of any type 10 000 deep before it unwinds; that
# alone takes more than 512 KB.
SMALL_STACK = (512 if sys.version_info < (3, 13) else 2048) * 1024


def run_in_thread(job: Callable[[], Any], stack: int = 0) -> None:
    """Run job in a thread with so many bytes of stack, and raise what it raises."""
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    before = threading.stack_size(stack)
    try:
        thread = threading.Thread(target=guarded)
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    if errors:
        raise errors[0]


def chain(x: Value, n: int) -> Value:
    y = x
    for _ in range(n):
        y = y + 1.0
    return y


sizes = pytest.mark.parametrize(
    "n", [10**5, pytest.param(10**6, marks=pytest.mark.slow)]
)


@sizes
def test_deep_chain_records_sweeps_and_is_freed_on_a_small_stack(n: int) -> None:
    def job() -> None:
        x = Value(0.0)
        y = chain(x, n)
        y.backward()
        assert (y.data, x.grad) == (float(n), 1.0)
        del y  # frees the chain here, on this stack

    run_in_thread(job, stack=SMALL_STACK)


@sizes
def test_deep_chain_is_deep_copied_on_a_small_stack(n: int) -> None:
    def job() -> None:
        x = Value(0.0)
        twin, leaf = copy.deepcopy([chain(x, n), x])
        twin.backward()
        assert (leaf.grad, x.reached) == (1.0, False)

    run_in_thread(job, stack=SMALL_STACK)


@sizes
def test_deep_chain_is_pickled_on_a_small_stack(n: int) -> None:
    def job() -> None:
        x = Value(0.0)
        text = pickle.dumps([chain(x, n), x])
        twin, leaf = pickle.loads(text)
        twin.backward()
        assert (leaf.grad, x.reached) == (1.0, False)

    run_in_thread(job, stack=SMALL_STACK)


@sizes
def test_deep_chain_goes_through_transforms_on_a_small_stack(n: int) -> None:
    def job() -> None:
        assert grad(lambda x: chain(x, n))(0.0) == 1.0
        assert ag.jvp(lambda x: chain(x, n), (0.0,), (2.0,)) == (float(n), 2.0)

    run_in_thread(job, stack=SMALL_STACK)


@pytest.mark.slow
def test_deep_chain_has_a_second_derivative_on_a_small_stack() -> None:
    def f(x: Any) -> Any:
        y = x * x
        for _ in range(10**5):
            y = y * 1.0
        return y

    def job() -> None:
        assert grad(grad(f))(3.0) == 2.0

    run_in_thread(job, stack=SMALL_STACK)


@sizes
def test_wide_graph_sums_as_many_leaves(n: int) -> None:
    xs = [Value(float(i % 7)) for i in range(n)]
    total = xs[0]
    for x in xs[1:]:
        total = total + x
    total.backward()
    assert {x.grad for x in xs} == {1.0}
    assert total.data == float(sum(i % 7 for i in range(n)))


@sizes
def test_one_leaf_feeds_a_wide_graph(n: int) -> None:
    x = Value(1.0)
    ag.dot([x] * (n // 2), [x] * (n // 2)).backward()
    assert x.grad == float(n)


def test_exponentially_many_paths_take_linear_time() -> None:
    leaf = Value(1.0)
    x = leaf
    for _ in range(60):
        x = x + x
    x.backward()
    assert x.data == leaf.grad == 2.0**60
    assert grad(lambda t: doubled(t, 60))(1.0) == 2.0**60
    assert ag.jvp(lambda t: doubled(t, 60), (1.0,), (1.0,))[1] == 2.0**60


def test_second_derivative_over_exponentially_many_paths_takes_linear_time() -> None:
    second = grad(grad(lambda t: doubled(t, 60) * t))(1.0)
    assert second == 2.0**61


def doubled(x: Any, times: int) -> Any:
    for _ in range(times):
        x = x + x
    return x


@pytest.mark.parametrize(
    "row, total",
    [
        (ag.prod, 10.0**5),
        (ag.logsumexp, 1.0),
        (ag.hypot, math.sqrt(10.0**5)),
        (ag.dot, 2 * 10.0**5),
    ],
)
def test_many_computed_operands_of_one_node_take_linear_time(
    row: Primitive, total: float
) -> None:
    n = 10**5
    x = Value(0.5)
    operands = [x + 0.5 for _ in range(n)]
    y = row(operands, operands) if row is ag.dot else row(operands)
    y.backward()
    assert x.grad == pytest.approx(total, rel=1e-9)


# ---- interruptions and threads -------------------------------------------------------


@contextmanager
def interrupted_after(lines: int) -> Iterator[None]:
    """Raise KeyboardInterrupt so many lines into the sweep, as Ctrl-C would."""
    left = lines

    def on_line(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal left
        left -= event == "line"
        if left <= 0:
            raise KeyboardInterrupt
        return on_line

    def on_call(frame: FrameType, event: str, arg: Any) -> Any:
        return on_line if frame.f_code is Value.backward.__code__ else None

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        yield
    finally:
        sys.settrace(before)


@pytest.mark.skipif(ag.accelerated, reason="the C sweep has no Python lines")
@pytest.mark.parametrize("lines", [1, 2, 5, 10, 40, 100])
def test_interrupted_sweep_leaves_the_graph_usable(lines: int) -> None:
    x = Value(2.0)
    y = x
    for _ in range(20):
        y = y * 1.5 + x
    with pytest.raises(KeyboardInterrupt), interrupted_after(lines):
        y.backward()
    x.grad = 0
    y.backward()
    untouched = grad(lambda t: repeated(t))(2.0)
    assert x.grad == untouched


def repeated(t: Any) -> Any:
    y = t
    for _ in range(20):
        y = y * 1.5 + t
    return y


def test_rule_that_raises_leaves_the_graph_usable() -> None:
    broken = True

    def rule(z: Any, x: Any) -> Any:
        if broken:
            raise KeyboardInterrupt
        return 2 * x

    square = Primitive("square", lambda x: x * x, rule)
    x = Value(3.0)
    with pytest.raises(KeyboardInterrupt):
        square(x)
    broken = False
    (square(x) + x).backward()
    assert x.grad == 7.0


def test_threads_sweep_separate_graphs() -> None:
    def work(k: int, out: dict[int, list[float]]) -> None:
        x = Value(0.1 * k)
        for _ in range(30):
            (x.sin() * x).exp().backward()
            x.data = x.data + 0.01
        out[k] = [x.data, x.grad]

    assert_same_in_threads(work)


def test_threads_run_transforms_side_by_side() -> None:
    def work(k: int, out: dict[int, list[float]]) -> None:
        w = Value(0.3 * k)
        for _ in range(15):
            slope = grad(lambda x: grad(lambda y: (x * y * w).sin())(x) * w)(0.7)
            slope.backward()
            w.data = w.data + 0.01
        out[k] = [w.data, w.grad]

    assert_same_in_threads(work)


def assert_same_in_threads(work: Callable[[int, dict[int, list[float]]], None]) -> None:
    alone: dict[int, list[float]] = {}
    together: dict[int, list[float]] = {}
    for k in range(4):
        work(k, alone)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(k, together)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert together == alone


# ---- what micrograd gets wrong -------------------------------------------------------


def test_negative_base_with_a_fraction_for_exponent_is_nan_not_complex() -> None:
    x = Value(-8.0)
    y = x**0.5
    y.backward()
    assert type(y.data) is float and math.isnan(y.data) and math.isnan(x.grad)


def test_value_of_zero_is_falsy_and_equals_its_number() -> None:
    assert not Value(0.0) and Value(2.0) == 2.0 and Value(2.0) == 2


def test_ten_thousand_operations_need_no_recursion() -> None:
    x = Value(1.0)
    chain(x, 10_000).backward()
    assert x.grad == 1.0


def test_graphs_are_freed_without_the_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        x = Value(0.5)
        for _ in range(10):
            y = (x * x).sin() + ag.maximum(x, 0.0) + ag.hypot(x, x)
            y.backward()
        grad(grad(lambda t: t.sin() * t))(0.5)
        del x, y
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_power_takes_a_value_for_exponent() -> None:
    x, y = Value(2.0), Value(3.0)
    (x**y).backward()
    assert x.grad == 12.0
    assert same(y.grad, 8.0 * math.log(2.0))


def test_division_by_zero_follows_ieee() -> None:
    x = Value(0.0)
    y = 1 / x
    y.backward()
    assert (y.data, x.grad) == (inf, -inf)
