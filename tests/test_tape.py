"""The straight line: what it gives, where it stops, how it reads, how it travels."""

from __future__ import annotations

import pickle
from math import nan

import pytest

from autograd import greater, less, log, mul, sin, where
from autograd.compiled.tape import Guard, Instruction, Tape

WAVE = Tape(1, (Instruction(mul, (0, 0)), Instruction(sin, (1,))), (2, 0.5))
RIGHT = Tape(
    1,
    (
        Instruction(greater, (0, 0.0)),
        Instruction(log, (0,)),
        Instruction(less, (2, 1.0)),
    ),
    (2,),
    (Guard(1, 1, True, "f.py:3"), Guard(3, 3, False)),
)


def test_run_gives_outputs_in_order_with_constants() -> None:
    assert WAVE.run([2.0]) == ((sin(4.0), 0.5), -1)


@pytest.mark.parametrize(
    "x, failed", [(-1.0, 0), (nan, 0), (2.0, 1), (5.0, -1), (0.0, 0)]
)
def test_run_stops_at_the_first_guard_that_fails(x: float, failed: int) -> None:
    ys, index = RIGHT.run([x])
    assert index == failed
    assert ys == ((log(x),) if failed < 0 else ())


def test_guard_takes_nan_for_true_as_python_does() -> None:
    tape = Tape(1, (), (0,), (Guard(0, 0, True),))
    assert tape.run([nan])[1] == tape.run([-0.5])[1] == -1
    assert tape.run([0.0])[1] == tape.run([-0.0])[1] == 0


def test_run_leaves_its_inputs_alone() -> None:
    xs = [2.0]
    WAVE.run(xs)
    assert xs == [2.0]


def test_tape_without_code_passes_inputs_through() -> None:
    assert Tape(2, (), (1, 0)).run([3.0, 4.0]) == ((4.0, 3.0), -1)


def test_printed_tape_shows_guards_where_they_are_checked() -> None:
    assert str(RIGHT).splitlines() == [
        "def tape(x0):",
        "    v1 = greater(x0, 0.0)",
        "    assert v1  # f.py:3",
        "    v2 = log(x0)",
        "    v3 = less(v2, 1.0)",
        "    assert not v3",
        "    return v2",
    ]


def test_pickled_tape_is_equal_and_keeps_rows_by_name() -> None:
    copy = pickle.loads(pickle.dumps(RIGHT))
    assert copy == RIGHT
    assert copy.code[1].row is log


def test_select_takes_its_operand_whatever_the_other_is() -> None:
    tape = Tape(2, (Instruction(where, (0, 1, nan)),), (2,))
    assert tape.run([1.0, 7.0]) == ((7.0,), -1)
    assert repr(tape.run([0.0, 7.0])[0]) == "(nan,)"


def test_arrays_hold_a_tape_to_the_last_bit() -> None:
    tape = Tape(
        1,
        (Instruction(mul, (0, -0.0)), Instruction(where, (1, 0.0, nan))),
        (2, 0.0, -0.0, 0),
        (Guard(1, 1, True, "f.py:3"),),
    )
    arrays = tape.arrays
    assert list(arrays.row) == [0, 1] and list(arrays.start) == [0, 2, 5]
    assert [str(arrays.constants[~x]) for x in arrays.operand if x < 0] == [
        "-0.0", "0.0", "nan",
    ]  # fmt: skip
    again = arrays.tape()
    assert str(again) == str(tape) and again.rows == tape.rows == {mul, where}
    assert again.arrays[:4] == arrays[:4] and again.arrays.outputs == arrays.outputs


def test_tape_of_arrays_is_equal_and_travels() -> None:
    again = RIGHT.arrays.tape()
    assert again == RIGHT and hash(again) == hash(RIGHT)
    assert again != WAVE and again.code[0] == RIGHT.code[0]
    assert pickle.loads(pickle.dumps(again)) == RIGHT
    assert pickle.loads(pickle.dumps(again)).run([2.0]) == RIGHT.run([2.0])
