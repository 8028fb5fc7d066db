"""Simplified tapes give the numbers of the tape they came from, bit for bit."""

from __future__ import annotations

import itertools
import random
import struct
from math import inf, nan

import pytest

from autograd import primitives as p
from autograd.compiled.simplify import HIDING, NAN_FOR_NAN, ODD, SIGNED, simplify
from autograd.compiled.tape import Guard, Instruction, Operand, Tape
from autograd.primitives import Primitive

SPECIAL = (
    0.0, -0.0, 1.0, -1.0, 2.0, 0.5, -2.5, 3.7, inf, -inf, nan, 5e-324, -1e-310,
    1e308, -1e308, 2.0**-1022, 1e16,
)  # fmt: skip
ROWS = [row for row in vars(p).values() if isinstance(row, Primitive)]
EXACT = [
    p.add, p.sub, p.mul, p.div, p.neg, p.abs, p.where, p.maximum, p.minimum, p.less,
    p.less_equal, p.greater, p.greater_equal, p.equal, p.not_equal, p.identity,
    p.stop_gradient, p.relu, p.sign, p.dot, p.exp, p.pow, p._add_unless,
]  # fmt: skip


def bits(result: tuple[tuple[float, ...], int]) -> tuple[list[str], int]:
    """What tells -0.0 from 0.0 and takes any NaN for any NaN."""
    return [x.hex() for x in result[0]], result[1]


def random_tape(rng: random.Random, rows: list[Primitive], length: int = 25) -> Tape:
    """Instructions on recent slots and special constants, some guards, any outputs."""
    code: list[Instruction] = []

    def operand() -> Operand:
        known = 3 + len(code)
        recent = rng.randrange(max(0, known - 6), known)
        return rng.choice([recent, recent, rng.randrange(known), rng.choice(SPECIAL)])

    for _ in range(length):
        row = rng.choice(rows)
        code.append(Instruction(row, tuple(operand() for _ in range(row.arity or 4))))
    places = sorted(rng.randrange(length + 1) for _ in range(rng.choice([0, 0, 2, 5])))
    guards = [
        Guard(after, rng.randrange(3 + after), rng.random() < 0.6) for after in places
    ]
    outputs = tuple(operand() for _ in range(3))
    return Tape(3, tuple(code), outputs, tuple(guards))


def same_failure(tape: Tape, shorter: Tape, xs: tuple[float, ...]) -> None:
    """Equal outputs, or both fail (a guard known to hold has no number any more)."""
    want, got = tape.run(xs), shorter.run(xs)
    assert (want[1] < 0) == (got[1] < 0), (str(tape), str(shorter), xs)
    assert bits(want)[0] == bits(got)[0], (str(tape), str(shorter), xs)


@pytest.mark.parametrize("row", EXACT, ids=lambda row: row.name)
def test_one_row_on_special_operands_keeps_every_bit(row: Primitive) -> None:
    """Each operand an input, an input negated, or a constant."""
    neg = Instruction(p.neg, (0,)), Instruction(p.neg, (1,))
    choices: tuple[Operand, ...] = (0, 1, 3, 4, *SPECIAL)
    count = row.arity or 2
    combinations = list(itertools.product(choices, repeat=count))
    for args in random.Random(row.name).sample(
        combinations, min(400, len(combinations))
    ):
        tape = Tape(3, (*neg, Instruction(row, args)), (5, 3))
        shorter = simplify(tape)
        for xs in itertools.product(SPECIAL, SPECIAL[:11]):
            same_failure(tape, shorter, (*xs, 1.0))


@pytest.mark.parametrize("rows", [EXACT, ROWS], ids=["exact", "all"])
@pytest.mark.parametrize("seed", range(4))
def test_random_tapes_keep_every_bit(rows: list[Primitive], seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(150):
        tape = random_tape(rng, rows)
        shorter = simplify(tape)
        assert len(shorter.code) <= len(tape.code) + len(tape.guards)
        for _ in range(8):
            xs = tuple(rng.choice([*SPECIAL, rng.gauss(0, 3)]) for _ in range(3))
            same_failure(tape, shorter, xs)


def test_a_power_of_two_is_divided_by_exactly() -> None:
    rng = random.Random(5)
    for exponent in range(-1074, 1024):
        tape = Tape(1, (Instruction(p.div, (0, 2.0**exponent)),), (1,))
        shorter = simplify(tape)
        for x in (rng.gauss(0, 1), 5e-324, -1.5e-310, 1.7e308, 2.0**-1000 / 3):
            assert bits(tape.run([x])) == bits(shorter.run([x])), (x, exponent)


def any_float(rng: random.Random) -> float:
    """A float of any size: every pattern of bits is as likely as every other."""
    return float(struct.unpack("<d", rng.randbytes(8))[0])


def test_trivial_powers_are_those_of_the_library() -> None:
    rng = random.Random(7)
    tape = Tape(1, tuple(
        Instruction(p.pow, args) for args in ((0, 1.0), (0, 0.0), (0, -0.0), (1.0, 0))
    ), (1, 2, 3, 4))  # fmt: skip
    for x in (*SPECIAL, *[any_float(rng) for _ in range(20_000)]):
        same_failure(tape, simplify(tape), (x,))


@pytest.mark.parametrize("factors", [
    (2.0, 100.0), (100.0, 2.0), (2.0, 2.0), (-4.0, 3.0), (3.0, -8.0), (1e300, 2.0),
    (0.5, 3.0), (2.0, 0.5), (3.0, 0.5), (2.0, 1.1), (3.0, 5.0), (2.0**1000, 2.0**900),
    (2.0, 1e308), (0.0, 2.0), (2.0, inf), (2.0, nan), (2.0, -0.0), (1.5, 2.0),
])  # fmt: skip
def test_products_of_products_keep_every_bit(factors: tuple[float, float]) -> None:
    rng = random.Random(8)
    code = Instruction(p.mul, (0, factors[0])), Instruction(p.mul, (factors[1], 1))
    tape = Tape(1, code, (2,))
    near = [f * 2.0**-1074 for f in (1, 3, 5, 7, 9, 1001)]
    for x in (*SPECIAL, *near, *[any_float(rng) for _ in range(1000)]):
        same_failure(tape, simplify(tape), (x,))


KEEPING = [
    *[(row, (0,)) for row in NAN_FOR_NAN | {p.sin, p.log, p.sqrt, p.tan}],
    *[(p.pow, (0, y)) for y in (-2.0, -1.0, 0.5, 2.0, 3.0, 1e300, inf, nan)],
    *[(p.pow, (y, 0)) for y in (-2.0, 0.0, 2.0)], (p.mul, (0, 0)), (p.mul, (0, 1)),
    *[(row, args) for row in (p.add, p.sub, p.mul, p.div, p.maximum)
      for c in (0.0, 2.0, inf, nan) for args in ((0, c), (c, 0))],
]  # fmt: skip


@pytest.mark.parametrize("row, args", KEEPING)
def test_a_select_that_keeps_nan_keeps_every_bit(
    row: Primitive, args: tuple[Operand, ...]
) -> None:
    rng = random.Random(9)
    tape = Tape(2, (
        Instruction(row, args), Instruction(p.equal, (2, 2)),
        Instruction(p.mul, (2.0, 0)), Instruction(p.where, (3, 4, 2)),
        Instruction(p.mul, (2, 2)), Instruction(p.where, (3, 1, 6)),
        Instruction(p.where, (3, 0.0, 2)), Instruction(p.where, (3, 0, 1.0)),
    ), (5, 7, 8, 9))  # fmt: skip
    shorter = simplify(tape)
    for xs in itertools.product([*SPECIAL, any_float(rng)], repeat=2):
        same_failure(tape, shorter, xs)


@pytest.mark.parametrize("seed", range(4))
def test_signs_of_zeros_are_kept_where_they_show(seed: int) -> None:
    """Half of the instructions only add 0.0, as transforms do to what they give."""
    rng = random.Random(seed)
    rows = sorted(HIDING | ODD | {*SIGNED, p.atan2, p.copysign}, key=lambda r: r.name)
    plus = Instruction(p.add, (0, 0.0))
    for _ in range(200):
        tape = random_tape(rng, rows, length=8)
        code = [step for each in tape.code for step in (each, plus)]
        for k in range(1, len(code), 2):
            code[k] = Instruction(p.add, (3 + rng.randrange(k), rng.choice([0.0, 1.0])))
        outputs = tuple(rng.sample(range(3 + len(code)), 3))
        for last in (tape, Tape(3, tuple(code), outputs), _without_signs(code)):
            shorter = simplify(last)
            for _ in range(8):
                xs = tuple(rng.choice([0.0, -0.0, *SPECIAL]) for _ in range(3))
                same_failure(last, shorter, xs)


def _without_signs(code: list[Instruction]) -> Tape:
    """Every result plus 0.0, so that no sign of a zero comes out."""
    count = 3 + len(code)
    plus = [Instruction(p.add, (slot, 0.0)) for slot in range(3, count)]
    return Tape(3, (*code, *plus), tuple(range(count, count + len(plus))))


def test_guards_of_a_common_beginning_stay_the_same() -> None:
    rng = random.Random(6)
    for _ in range(400):
        tape = random_tape(rng, rng.choice([EXACT, [p.add, p.mul, p.sub]]), length=15)
        if not tape.guards:
            continue
        end = tape.guards[-1].after
        first = Tape(3, tape.code[:end], (), tape.guards)
        assert [(g.expected, g.place) for g in simplify(first).guards] == [
            (g.expected, g.place) for g in simplify(tape).guards
        ]


def test_a_guard_that_never_holds_is_kept() -> None:
    impossible = Tape(1, (Instruction(p.less, (2.0, 1.0)),), (0,), (Guard(1, 1, True),))
    assert simplify(impossible).run([3.0]) == ((), 0)


def test_outputs_that_are_inputs_or_constants_are_kept() -> None:
    tape = Tape(2, (Instruction(p.exp, (0.0,)),), (1, 2, 0, -0.0))
    assert bits(simplify(tape).run([3.0, nan])) == bits(((nan, 1.0, 3.0, -0.0), -1))
