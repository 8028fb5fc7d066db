"""Formulas on symbols: the lines that every back end prints, and the header in C."""

from __future__ import annotations

import math
from typing import Any

import pytest
from test_accelerator import points

from autograd import Primitive, _rows, primitives
from autograd.formulas import Language, Line, Operand, Printer

ROWS = {
    name: row for name, row in vars(primitives).items() if isinstance(row, Primitive)
}
OPAQUE = {"gamma", "lgamma", "polygamma", "hypot", "logsumexp"}  # Python alone has them


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


@pytest.mark.parametrize("name", sorted(OPAQUE))
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
    line = Line(1, lambda row: row is primitives.sigmoid)
    primitives.silu(*line.symbols())
    assert [row.name for row, _ in line.code] == ["equal", "sigmoid", "mul", "where"]


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
    assert missing == {"gamma", "lgamma", "polygamma", "atan2", "asinh"}
