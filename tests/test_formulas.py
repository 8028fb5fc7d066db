"""Formulas on symbols: the lines that every back end prints, and the header in C."""

from __future__ import annotations

import math
import operator
import random
import sys
from collections.abc import Callable
from functools import reduce
from itertools import accumulate
from typing import Any

import numpy as np
import pytest
from test_accelerator import SPECIAL, points

import autograd
from autograd import Primitive, _rows, exp, jit, maximum, primitives, vmap, where
from autograd.formulas import Language, Line, Operand, Printer

ROWS = {
    name: row for name, row in vars(primitives).items() if isinstance(row, Primitive)
}
BY_SERIES = {
    "gamma", "lgamma", "polygamma", "digamma", "_polygamma_gap", "lbeta", "beta",
    "_erfcx", "erfcx", "erfinv", "_inverse_mills", "log_ndtr", "_spherical_bessel",
    "remainder",
}  # fmt: skip
OPAQUE = BY_SERIES | {"hypot", "logsumexp"}  # Python alone has them


def line_of(row: Primitive, operands: int) -> tuple[Line, Operand]:
    line = Line(operands)
    return line, line.operand(line.apply(row, line.symbols()), row.name)


def run(line: Line, z: Operand, xs: tuple[float, ...]) -> float:
    slots = list(xs)
    for row, args in line.code:
        assert row.native
        slots.append(row.value(*[x if type(x) is float else slots[x] for x in args]))
    return z if type(z) is float else slots[int(z)]


def bits(x: float) -> str:
    return "nan" if x != x else x.hex()


@pytest.mark.parametrize("name", sorted(ROWS.keys() - OPAQUE))
def test_line_of_a_row_gives_its_value_in_every_bit(name: str) -> None:
    row = ROWS[name]
    lines: dict[int, Any] = {}
    for xs in points(name, 300):
        if len(xs) not in lines:
            lines[len(xs)] = line_of(row, len(xs))
        assert bits(run(*lines[len(xs)], xs)) == bits(row.value(*xs)), xs


@pytest.mark.parametrize("name", sorted(OPAQUE - {"_inverse_mills"}))
def test_row_that_only_python_has_is_left_whole(name: str) -> None:
    line, z = line_of(ROWS[name], ROWS[name].arity or 2)
    assert [row for row, _ in line.code] == [ROWS[name]] and z == line.inputs


def test_row_whose_value_is_made_of_itself_is_left_whole() -> None:
    endless = Primitive("endless", lambda x: 2.0 * endless(x), 2.0)
    line, _ = line_of(endless, 1)
    assert [row.name for row, _ in line.code] == ["endless"]


def test_line_has_each_step_once_and_tells_zeros_apart() -> None:
    line = Line(1)
    (x,) = line.symbols()
    assert (x + 0.0).slot == (x + 0.0).slot != (x + -0.0).slot
    assert (x * 1.0).slot != (x * x).slot
    assert len(line.code) == 4


def test_line_leaves_whole_what_it_is_told_to() -> None:
    line = Line(1, lambda row: row is primitives.maximum)
    primitives.softplus(*line.symbols())
    names = [row.name for row, _ in line.code]
    assert names == ["maximum", "abs", "neg", "exp", "log1p", "add"]


def test_line_takes_the_sign_off_what_abs_takes_it_off() -> None:
    line = Line(1)
    (x,) = line.symbols()
    assert abs(-x).slot == abs(x).slot != abs(x * 2.0).slot


def test_line_says_what_an_output_is_made_of() -> None:
    line = Line(2)
    x, y = line.symbols()
    product, unused, total = x * x, y * y, x * x + 1.0
    assert line.needs(total.slot) == {x.slot, product.slot, total.slot}
    assert line.needs(unused.slot) == {y.slot, unused.slot}


def test_symbol_refuses_to_branch_to_be_a_number_and_to_leave_its_line() -> None:
    (x,), (y,) = Line(1).symbols(), Line(1).symbols()
    with pytest.raises(TypeError, match="^formula: it must select, but branches"):
        bool(x > 0.0)
    for use in (math.sin, float, int, round, lambda x: x // 2.0, lambda x: x + y):
        with pytest.raises(TypeError):
            use(x)


def test_long_line_is_printed_in_pieces_that_a_parser_takes() -> None:
    line = Line(1)
    (x,) = line.symbols()
    z = x
    for _ in range(1000):
        z = z * x + 1.0
    python = Language("{}", "{1} if {0} else {2}", repr, lambda row: row.name)
    printer = Printer(line, ["x"], python)
    names = {"x": 0.5}
    for name, text in printer.named([line.operand(z)], {}, "v{}"):
        names[name] = eval(text, dict(names))
    assert len(names) > 30
    assert eval(printer.text(line.operand(z)), dict(names)) == 2.0


def test_header_in_c_is_what_the_table_says() -> None:
    assert _rows.PLACE.read_text(encoding="utf-8") == _rows.header(), (
        "write it anew: python -m autograd._rows"
    )


def test_every_row_of_which_all_is_native_is_in_c() -> None:
    missing = {
        name
        for name, row in ROWS.items()
        if row.arity and f"compute_{name}(" not in _rows.header()
    }
    of_four_operands = {"_cosine"}
    assert missing == BY_SERIES | {"sinc", "atan2", "asinh"} | of_four_operands


# ---- values of users -----------------------------------------------------------------

SCALE, flag = 2.5, True
square = Primitive("square", lambda x: x * x, lambda z, x: 2.0 * x)


def horner(x: Any) -> Any:
    total = 0
    for k in range(6):
        total = total * x + k
    return total


def unrolled(x: Any) -> Any:
    xs = [x * k for k in range(1, 4)]
    return xs[0] + xs[-1] * len(xs)


COMPILED: dict[str, Callable[..., Any]] = {
    "cube": lambda x: x * x * x,
    "power": lambda x: x**3 - 2 * x**2 + 1 / x,
    "root at the end": lambda x: 1 - x**0.5,
    "base": lambda x: 2**x,
    "rows": lambda x: exp(-x) + autograd.sin(x) * autograd.primitives.tanh(x),
    "select": lambda x: where(x > 0, 1 / x, x % 3),
    "selects": lambda x: maximum(abs(x), 0.5) - autograd.clip(x, -1.0, 1.0),
    "numbers around": lambda x: SCALE * x + math.pi,
    "static branch": lambda x: x + 1 if flag else x - 1,
    "row of one's own": lambda x: square(x) - square(3.0),
    "loop": horner,
    "list": unrolled,
    "operator": operator.neg,
    "of a truth": lambda x: (x > 1.0) * x,
    "truth": lambda x: x == 1.0,
    "constant": lambda x: 4,
    "itself": lambda x: +x,
    "default": lambda x, y=2.0: x / y,
    "other function": lambda x: horner(x) + unrolled(x),
    "accumulated": lambda x: reduce(operator.add, accumulate([x, 0.1, 2 * x])),
}
calls: list[float] = []


def counted(x: float) -> float:
    calls.append(x)
    return 2.0 * x


def caught(x: float) -> float:
    try:
        return math.sqrt(x)
    except ValueError:
        return -1.0


def deep(x: Any) -> Any:
    for _ in range(3000):
        x = x * 0.999 + 0.001
    return x


def stateful() -> Callable[[float], float]:
    count = 0

    def value(x: float) -> float:
        nonlocal count
        count += 1
        return x * count

    return value


CALLED: dict[str, Callable[..., Any]] = {
    "branch": lambda x: x * x if x > 0 else -x,
    "and": lambda x: x > 0 and x,
    "max": lambda x: max(x, 0.0),
    "math": lambda x: math.atan(x),
    "isinstance": lambda x: 2.0 * x if isinstance(x, float) else 0.0,
    "type": lambda x: 2.0 * x if type(x) is float else 0.0,
    "method": lambda x: float(x.is_integer()),
    "text": lambda x: float(f"{x:.3f}"),
    "length of a text": lambda x: len(f"{x}") * 1.0,
    "other function that is called": lambda x: caught(x) + 1.0,
    "mutable": lambda x: x + len(calls),
    "side effect": counted,
    "state": stateful(),
    "exception": caught,
    "complex and back": lambda x: abs(x**0.5),
    "whole number": lambda x: -(x > 0),
    "quotient of truths": lambda x: (x > 0) / (x < 0),
    "floor": lambda x: x // 1.0,
    "unknown where it is not asked": lambda x: x * 1.0 if flag else unknown,  # noqa: F821
    "long": deep,
}


def own_row(value: Callable[..., Any], arity: int = 1) -> Primitive:
    return Primitive("own", value, *[0.0] * arity)


def is_taken_apart(row: Primitive) -> bool:
    line, _ = line_of(row, row.arity)
    return row not in [part for part, _ in line.code]


@pytest.mark.parametrize("name", COMPILED)
def test_value_of_operators_and_rows_is_compiled_and_keeps_every_bit(name: str) -> None:
    row = own_row(COMPILED[name])
    assert is_taken_apart(row)
    f, xs = jit(lambda x: row(x) + 0.0), [*SPECIAL, 1e200, -8.0, 0.3]
    for x in xs:
        assert bits(f(x)) == bits(row(x) + 0.0), x
    batch = vmap(lambda x: row(x))(np.array(xs))
    assert batch == pytest.approx([row(x) for x in xs], rel=1e-13, nan_ok=True)


@pytest.mark.parametrize("name", CALLED)
def test_value_that_does_more_is_called(name: str) -> None:
    row = own_row(CALLED[name])
    assert not is_taken_apart(row)
    if name == "state":
        return
    f = jit(lambda x: row(x) * 1.0)
    for x in (0.5, 4.0, -4.0, 2.25):
        assert bits(f(x)) == bits(row(x) * 1.0), x


def test_sum_is_taken_apart_where_it_rounds_each_time() -> None:
    row = Primitive("own", lambda *xs: sum(x**3 for x in xs), lambda z, *xs: xs)
    line, _ = line_of(row, 3)
    assert (row in [part for part, _ in line.code]) is (sys.version_info >= (3, 12))
    f, xs = jit(lambda x: row(x, 0.1, 3.0) * 1.0), [0.1, -7.3, 1e10]
    assert [f(x) for x in xs] == [row(x, 0.1, 3.0) for x in xs]


def test_whole_numbers_in_a_compiled_value_are_floats_where_rows_make_them() -> None:
    zero = Primitive("zero", lambda x: 0, 0.0)
    minus = Primitive("minus", lambda x, y: -y * x, 0.0, 0.0)
    for value in (lambda x: -zero(x) * abs(x), lambda x: minus(abs(x), 0) * 1.0):
        row = own_row(value)
        assert is_taken_apart(row)
        assert bits(jit(lambda x, row=row: row(x) * 1.0)(1.0)) == bits(row(1.0))
        assert bits(row(1.0)) == bits(-0.0)


def test_value_is_called_where_it_has_a_whole_number_that_no_float_is() -> None:
    row = own_row(lambda x: x < 2**53 + 1)
    assert not is_taken_apart(row) and is_taken_apart(own_row(lambda x: x < 2**53))
    assert jit(lambda x: row(x) * 1.0)(2.0**53) == row(2.0**53) == 1.0


def test_row_that_is_used_twice_at_every_level_is_taken_apart_once() -> None:
    def twice(inner: Primitive) -> Primitive:
        return own_row(lambda x: inner(x) * 0.5 + inner(x) * 0.5)

    row = square
    for _ in range(40):
        row = twice(row)
    line, _ = line_of(row, 1)
    assert len(line.code) == 1 + 2 * 40  # each is a product and a sum


def test_value_with_an_answer_of_its_own_for_what_raises_is_called() -> None:
    row = Primitive("own", lambda x: 1 / x, 0.0, ieee=lambda x: 7.0)
    assert not is_taken_apart(row)
    f = jit(lambda x: row(x) * 1.0)
    assert (f(2.0), f(0.0)) == (0.5, 7.0)


@pytest.mark.parametrize("name", ["exp", "log", "sinh", "lgamma", "sqrt"])
def test_value_with_a_native_name_is_the_same_compiled_where_it_raises(
    name: str,
) -> None:
    native = None if name == "lgamma" else name
    row = Primitive("own", getattr(math, name), 0.0, native=native)
    f = jit(lambda x: row(x) * 1.0)
    for x in (1.0, 1000.0, 0.0, -1.0, -1000.0, 1.0):
        assert bits(f(x)) == bits(row(x) * 1.0), x
    assert row.value(1000.0) == primitives.__dict__[name].value(1000.0)


def test_value_that_changes_what_it_computes_is_asked_each_time() -> None:
    calls.clear()
    row = own_row(counted)
    f = jit(lambda x: row(x) * 1.0)
    found = [f(float(x)) for x in range(5)]
    assert found == [0.0, 2.0, 4.0, 6.0, 8.0] and calls[-4:] == [1.0, 2.0, 3.0, 4.0]
    assert {type(x) for x in calls} == {float}


@pytest.mark.parametrize("calls", [1, 100])
def test_what_a_compiled_value_reads_may_change(calls: int) -> None:
    factor = 2.0
    inner = Primitive("inner", lambda x: factor * x, lambda z, x: factor)
    outer = Primitive("outer", lambda x: inner(x) + 1.0, lambda z, x: factor)
    f, batch = jit(lambda x: outer(x) * x), vmap(lambda x: outer(x) * x)
    for _ in range(calls):
        assert (f(3.0), batch([3.0])) == (21.0, [21.0])
    factor = 5.0
    for _ in range(calls):
        assert (f(3.0), batch([3.0])) == (48.0, [48.0])
    inner = Primitive("inner", lambda x: helper(x), -1.0)
    helper = operator.neg
    for _ in range(calls):
        assert (f(3.0), batch([3.0])) == (-6.0, [-6.0])
    helper = lambda x: factor + x  # noqa: E731
    for _ in range(calls):
        assert (f(3.0), batch([3.0])) == (27.0, [27.0])
    factor = 1.0
    for _ in range(calls):
        assert (f(3.0), batch([3.0])) == (15.0, [15.0])


@pytest.mark.parametrize("calls", [1, 100])
def test_helper_of_a_compiled_value_may_get_other_defaults_and_code(
    monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    def helper(x: Any, a: float = 2.0, *, b: float = 3.0) -> Any:
        return a * x + b * math.pi

    row = Primitive("own", lambda x: helper(x) + 0.0, 0.0)
    f, batch = jit(lambda x: row(x) * 1.0), vmap(lambda x: row(x) * 1.0)

    def check(a: float, b: float) -> None:
        for _ in range(calls):
            assert f(5.0) == batch([5.0])[0] == a * 5.0 + b

    check(2.0, 3.0 * math.pi)
    helper.__defaults__ = (4.0,)
    check(4.0, 3.0 * math.pi)
    assert helper.__kwdefaults__ is not None
    helper.__kwdefaults__["b"] = 7.0
    check(4.0, 7.0 * math.pi)
    helper.__kwdefaults__ = {"b": 1.0}
    check(4.0, math.pi)
    with monkeypatch.context() as patch:
        patch.setattr(math, "pi", 3.0)
        check(4.0, 3.0)
    check(4.0, math.pi)
    helper.__code__ = (lambda x, a=0.0, *, b=0.0: x * a * b).__code__
    check(4.0, 0.0)


def random_formula(chance: random.Random, depth: int) -> str:
    """The text of any formula of x and y: operators, truths, rows and numbers."""
    if depth == 0:
        return chance.choice(["x", "y", "x", "y", "2", "0.5", "-1.0", "0", "-0.0"])
    a, b = (random_formula(chance, depth - 1) for _ in range(2))
    sign = chance.choice(["+", "-", "*", "/", "%", "**", "<", ">=", "==", "!="])
    return chance.choice(
        [f"({a} {sign} {b})"] * 6
        + [f"(-{a})", f"abs({a})", f"p.exp({a})", f"p.where({a}, {b}, x)"]
        + [f"p.maximum({a}, {b})", f"p.sign({a})"]
    )


def test_any_formula_gives_the_same_compiled_and_called() -> None:
    chance, taken = random.Random(5), 0
    for _ in range(400):
        text = f"lambda x, y: {random_formula(chance, chance.choice([1, 2, 3]))}"
        row = own_row(eval(text, {"p": primitives}), 2)
        line, z = line_of(row, 2)
        if row in [part for part, _ in line.code]:
            continue
        taken += 1
        for _ in range(30):
            xs = chance.choice(SPECIAL), chance.choice([*SPECIAL, -1.5])
            assert bits(run(line, z, xs)) == bits(row.value(*xs)), (text, xs)
    assert taken > 100
