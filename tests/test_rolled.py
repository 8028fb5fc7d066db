"""Rolled code in C gives the bits of the tape, and a plan that holds together."""

from __future__ import annotations

import ctypes
import gc
import math
import os
import random
import subprocess
import sys
import threading
import weakref
from array import array
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from itertools import product
from math import inf, nan
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from in_python import needs_c
from seeds import seeds
from test_simplify import ROWS, SPECIAL, bits, random_tape

from autograd import Primitive
from autograd import primitives as p
from autograd.compiled.rolled.code import extension, kind, roll
from autograd.compiled.tape import Guard, Instruction, Operand, Tape

pytestmark = needs_c

NEGATIVE, PRODUCT, MASKED = 1, 2, 4
LANES, FEW = 8, 4
VARIADIC = [p.prod, p.dot, p.logsumexp, p._maximum, p._minimum, p.hypot]
SUMS = [p.add, p.sub, p.mul, p.neg]
ADD_UNLESS = p._add_unless
SETS = extension.sets if extension else ()


# ---- what holds of every plan --------------------------------------------------------


class Group(NamedTuple):
    """A group as C tells of it."""

    level: int
    kind: Any
    lanes: int
    width: int
    slot: int
    flags: bytes
    operand: bytes

    @property
    def padded(self) -> int:
        return self.lanes if self.lanes < FEW else -(-self.lanes // LANES) * LANES

    @property
    def places(self) -> list[list[int]]:
        """The slots of each operand of each lane, those of padding included."""
        slots, count = array("i", self.operand).tolist(), self.padded
        assert len(slots) == count * self.width
        return [slots[i : i + count] for i in range(0, len(slots), count or 1)]


def groups(code: Any) -> list[Group]:
    return [Group(*group) for group in code.groups()]


def check_plan(code: Any, inputs: int) -> None:
    """Every slot is written once, before it is read, and on the level that is said."""
    level = dict.fromkeys(range(inputs + len(code.constants)), 0)
    last = 0
    for group in groups(code):
        assert group.level >= last >= 0
        last = group.level
        assert sum(map(width, group.flags)) == group.width or not group.flags
        for slots in group.places:
            assert slots[group.lanes :] == slots[group.lanes - 1 : group.lanes] * (
                group.padded - group.lanes
            )
            for slot in slots:
                assert level[slot] < group.level, f"slot {slot} is read too early"
        for slot in range(group.slot, group.slot + group.padded):
            assert slot not in level, f"slot {slot} is written twice"
            level[slot] = group.level
        if group.lanes >= FEW:
            assert group.slot % LANES == 0
    assert max(level, default=-1) < code.counts["slots"]
    assert set(code.outputs) <= level.keys()
    assert {guard[0] for guard in code.guards if guard} <= level.keys()


def width(flags: int) -> int:
    return 1 + bool(flags & PRODUCT) + bool(flags & MASKED)


# ---- against the tape ----------------------------------------------------------------


def check(tape: Tape, points: Sequence[Sequence[float]]) -> Any:
    """Rolled code that gives what the tape gives, by every set of instructions."""
    codes = [roll(tape.arrays, name) for name in ("groups", *SETS)]
    for code in codes:
        check_plan(code, tape.inputs)
        assert code.is_sound(), str(tape)
    for xs in points:
        want = bits(tape.run(xs))
        for code in codes:
            assert bits(code.scalar(xs)) == want, (code.set, str(tape), xs)
    return codes[0]


def random_points(source: random.Random, inputs: int, count: int) -> list[list[float]]:
    return [
        [source.choice([source.choice(SPECIAL), source.gauss(0.0, 2.0)]) for _ in xs]
        for xs in [range(inputs)] * count
    ]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_gives_the_bits_of_its_value(row: Primitive) -> None:
    source = random.Random(row.name)
    for operands in (row.arity,) if row.arity else (0, 2, 6, 40):
        for lanes in (1, 3, 4, 9):
            count = operands * lanes
            code = [
                Instruction(row, tuple(range(i * operands, (i + 1) * operands)))
                for i in range(lanes)
            ]
            outputs = tuple(range(count, count + lanes))
            tape = Tape(count, tuple(code), outputs)
            check(tape, random_points(source, count, 40))


@pytest.mark.parametrize("seed", range(60))
def test_random_tapes_keep_their_bits(seed: int) -> None:
    source = random.Random(seed)
    rows = source.choice([ROWS, SUMS, [*SUMS, ADD_UNLESS, p.where, p.maximum, p.less]])
    tape = random_tape(source, rows, length=source.choice([1, 4, 25, 120]))
    check(tape, random_points(source, tape.inputs, 12))


class Writer:
    """Writes a tape of operations on vectors, one number at a time."""

    def __init__(self, source: random.Random, lanes: int) -> None:
        self.source, self.lanes = source, lanes
        self.inputs = 3 * lanes
        self.code: list[Instruction] = []
        self.vectors: list[list[Operand]] = [
            [*range(i * lanes, (i + 1) * lanes)] for i in range(3)
        ]

    def apply(self, row: Primitive, *args: Operand) -> int:
        self.code.append(Instruction(row, args))
        return self.inputs + len(self.code) - 1

    def numbers(self) -> list[Operand]:
        """A vector from before, in some order, or one number for all lanes."""
        vector = self.source.choice(self.vectors)
        kind = self.source.randrange(6)
        if kind == 0:
            return [self.source.choice(vector)] * self.lanes
        if kind == 1:
            return [self.source.choice(SPECIAL)] * self.lanes
        if kind == 2:
            return self.source.sample(vector, self.lanes)
        return vector

    def mask(self) -> list[Operand]:
        x, y = self.numbers(), self.numbers()
        row = self.source.choice([p.less, p.equal, p.not_equal, p.sub])
        return [self.apply(row, *pair) for pair in zip(x, y)]

    def rows(self) -> None:
        row = self.source.choice([*ROWS, p.add, p.mul, p.exp, p.neg, p.maximum])
        vectors = [self.numbers() for _ in range(row.arity or 4)]
        self.vectors.append([self.apply(row, *args) for args in zip(*vectors)])

    def term(self, total: Operand, j: int, plan: tuple[Any, ...]) -> int:
        """One more term, of the same kind in every lane."""
        kind, x, y, mask, first = plan
        share = self.apply(p.mul, x[j], y[j]) if kind & PRODUCT else x[j]
        if kind & NEGATIVE and (kind & MASKED or first):
            share = self.apply(p.neg, share)
        if kind & MASKED:
            return self.apply(ADD_UNLESS, mask[j], total, share)
        if kind & NEGATIVE and not first:
            return self.apply(p.sub, total, share)
        ends = (share, total) if first else (total, share)
        return self.apply(p.add, *ends)

    def sums(self) -> None:
        """Sums of the same terms in all lanes, some of which are left out."""
        starts = self.numbers()
        if self.source.random() < 0.5:
            masks = self.mask()
            starts = [self.apply(p.where, m, -0.0, x) for m, x in zip(masks, starts)]
        plans = []
        for _ in range(self.source.randrange(1, 7)):
            kind = self.source.randrange(8)
            mask = self.mask() if kind & MASKED else []
            first = self.source.random() < 0.3
            plans.append((kind, self.numbers(), self.numbers(), mask, first))
        out: list[Operand] = []
        for j in range(self.lanes):
            total = starts[j]
            for plan in plans:
                total = self.term(total, j, plan)
            out.append(total)
        self.vectors.append(out)

    def chains(self) -> None:
        """Products, and the largest of many."""
        row = self.source.choice([p.mul, p.maximum, p.minimum, p.add])
        vectors = [self.numbers() for _ in range(self.source.randrange(2, 9))]
        out = []
        for args in zip(*vectors):
            z = args[0]
            for x in args[1:]:
                flipped = self.source.random() < 0.2
                z = self.apply(row, *((x, z) if flipped else (z, x)))
            out.append(z)
        self.vectors.append(out)

    def reductions(self) -> None:
        row = self.source.choice(VARIADIC)
        out = []
        for _ in range(self.lanes):
            xs = self.numbers()[: self.lanes // 2 * 2]
            out.append(self.apply(row, *xs))
        self.vectors.append(out)

    def tape(self) -> Tape:
        count = self.inputs + len(self.code)
        last = [x for vector in self.vectors[-4:] for x in vector]
        outputs = self.source.sample(last, min(len(last), 20))
        outputs += [self.source.randrange(count), 0, 2.5, -0.0]
        places = sorted(self.source.choices(range(len(self.code) + 1), k=3))
        guards = [
            Guard(k, self.source.randrange(self.inputs + k), self.source.random() < 0.9)
            for k in places
            if self.source.random() < 0.3
        ]
        return Tape(self.inputs, tuple(self.code), tuple(outputs), tuple(guards))


@settings(max_examples=150, deadline=None)
def knotted(source: random.Random) -> Tape:
    """Few rows, signs above all, whose results are used here and there, and put out."""
    inputs, code = source.choice([1, 2, 3]), []
    rows = [p.mul, p.neg, p.mul, p.neg, p.add, p.sub, ADD_UNLESS, p.where]
    rows = source.sample(rows, source.randrange(2, len(rows)))
    for k in range(source.randrange(1, 40)):
        row, last = source.choice(rows), inputs + k - 1
        near = [max(last - source.randrange(4), 0) for _ in range(row.arity)]
        far = [source.randrange(last + 1) for _ in range(row.arity)]
        args: list[Any] = [source.choice(each) for each in zip(near, far)]
        if row is p.where and source.random() < 0.7:
            args[1] = -0.0
        code.append(Instruction(row, tuple(args)))
    slots = range(inputs + len(code))
    share = source.choice([0.1, 0.5, 1.0])
    outputs = [k for k in slots if k == slots[-1] or source.random() < share]
    return Tape(inputs, tuple(code), tuple(outputs))


@pytest.mark.parametrize("seed", seeds(8))
def test_signs_and_sums_that_share_their_parts_keep_their_bits(seed: int) -> None:
    source = random.Random(seed)
    for _ in range(300):
        tape = knotted(source)
        check(tape, random_points(source, tape.inputs, 2))


def test_sign_stays_of_a_product_that_is_a_part_of_it() -> None:
    code = (p.mul, (0, 0)), (p.neg, (2,)), (p.mul, (3, 1)), (p.neg, (4,))
    tape = Tape(2, tuple([Instruction(*step) for step in code]), (3, 5))
    check(tape, [[3.0, 0.5], [-0.0, 1.0]])


@given(st.integers(0, 2**32), st.sampled_from([1, 2, 3, 5, 8, 13, 40]))
def test_programs_of_vectors_keep_their_bits(seed: int, lanes: int) -> None:
    source = random.Random(seed)
    writer = Writer(source, lanes)
    for _ in range(source.randrange(1, 8)):
        write = source.choice(
            [writer.rows, writer.sums, writer.sums, writer.chains, writer.reductions]
        )
        write()
    check(writer.tape(), random_points(source, writer.inputs, 6))


# ---- sums ----------------------------------------------------------------------------


def lanes_of(terms: Sequence[int], lanes: int) -> Tape:
    """Sums of terms of these flags, with operands x, y and a mask of their own each."""
    per_lane = 1 + 3 * len(terms)
    code: list[Instruction] = []
    inputs = per_lane * lanes
    outputs = []

    def apply(row: Primitive, *args: Operand) -> int:
        code.append(Instruction(row, args))
        return inputs + len(code) - 1

    for lane in range(lanes):
        total = lane * per_lane
        for i, flags in enumerate(terms):
            x, y, mask = (lane * per_lane + 1 + 3 * i + j for j in range(3))
            share = apply(p.mul, x, y) if flags & PRODUCT else x
            if flags & MASKED:
                share = apply(p.neg, share) if flags & NEGATIVE else share
                total = apply(ADD_UNLESS, mask, total, share)
            else:
                total = apply(p.sub if flags & NEGATIVE else p.add, total, share)
        outputs.append(total)
    return Tape(inputs, tuple(code), tuple(outputs))


@pytest.mark.parametrize("terms", [*product(range(8), repeat=2)])
def test_every_pair_of_terms_is_one_sum(terms: tuple[int, int]) -> None:
    source = random.Random(repr(terms))
    for lanes in (1, 5, 16):
        tape = lanes_of(terms, lanes)
        code = check(tape, random_points(source, tape.inputs, 30))
        (group,) = groups(code)
        assert (group.kind, group.lanes) == ("sum", lanes)
        assert list(group.flags) == [0, *terms]


ENDS = (0.0, -0.0, 1.0, -2.5, inf, -inf, nan)


@pytest.mark.parametrize("mask", [0.0, -0.0, 1.0, nan, -inf, 5e-324])
def test_a_mask_leaves_a_term_out_unless_it_is_zero(mask: float) -> None:
    tape = Tape(3, (Instruction(ADD_UNLESS, (0, 1, 2)),), (3,))
    check(tape, [[mask, x, y] for x, y in product(ENDS, ENDS)])


def test_a_sum_of_which_no_term_is_there_is_minus_zero() -> None:
    start = Instruction(p.where, (0, -0.0, 1))
    tape = Tape(4, (start, Instruction(ADD_UNLESS, (2, 4, 3))), (5,))
    code = check(tape, [[m, x, n, y] for m, n in product((0.0, 1.0, nan), repeat=2)
                        for x, y in product(ENDS, ENDS)])  # fmt: skip
    assert [group.flags for group in groups(code)] == [bytes([MASKED, MASKED])]
    assert math.copysign(1.0, code.scalar([1.0, 3.0, 1.0, 4.0])[0][0]) == -1.0


def test_a_number_that_something_else_needs_stays_whole() -> None:
    code = (
        Instruction(p.mul, (0, 1)),  # a term, and an output
        Instruction(p.add, (2, 3)),  # the sum so far, and an operand of sin
        Instruction(p.add, (4, 2)),
        Instruction(p.sin, (4,)),
    )
    done = check(
        Tape(3, code, (3, 5, 6)), [[a, b, 0.5] for a, b in product(ENDS, ENDS)]
    )
    assert done.counts["operations"] == 4


def test_signs_go_into_the_terms_that_have_them() -> None:
    code = (
        Instruction(p.neg, (0,)),
        Instruction(p.mul, (3, 1)),  # -x · y
        Instruction(p.neg, (4,)),
        Instruction(p.add, (2, 4)),
        Instruction(p.sub, (6, 5)),
    )
    tape = Tape(3, code, (7,))
    done = check(tape, [[a, b, c] for a, b, c in product(ENDS, ENDS, ENDS)])
    assert [group.kind for group in groups(done)] == ["sum", "sum"]


def test_chains_of_products_and_of_choices_are_one_operation() -> None:
    chains = (p.mul, "prod"), (p.maximum, "_maximum"), (p.minimum, "_minimum")
    for each, name in chains:
        code = [Instruction(each, (0, 1))]
        for i in range(2, 7):
            code.append(Instruction(each, (5 + i, i)))
        source = random.Random(name)
        done = check(Tape(7, tuple(code), (12,)), random_points(source, 7, 200))
        assert [(group.kind, group.width) for group in groups(done)] == [(name, 7)]


def test_a_long_sum_is_one_operation_and_a_long_line_many() -> None:
    for row, count in ((p.add, 1), (p.sin, 10_000)):
        code = [Instruction(row, (0, 1)[: row.arity])]
        for k in range(9_999):
            code.append(Instruction(row, (2 + k, 1)[: row.arity]))
        done = check(Tape(2, tuple(code), (10_001,)), [[0.3, 0.1]])
        assert done.counts["operations"] == count


# ---- what is left out ----------------------------------------------------------------


@pytest.mark.parametrize("row", [p.add, p.mul, p.sub, p.div, p.neg, p.pow, p.where])
def test_rules_with_constants_keep_every_bit(row: Primitive) -> None:
    choices: list[Operand] = [0, 1, *SPECIAL]
    every = [*product(choices, repeat=row.arity)]
    source = random.Random(row.name)
    code = [
        Instruction(row, args) for args in source.sample(every, min(300, len(every)))
    ]
    tape = Tape(2, tuple(code), tuple(range(2, 2 + len(code))))
    check(tape, [*product(SPECIAL, repeat=2)])


def test_what_is_computed_twice_or_for_nothing_is_there_once_or_not() -> None:
    code = (
        Instruction(p.mul, (0, 1)),
        Instruction(p.mul, (1, 0)),
        Instruction(p.sin, (2,)),
        Instruction(p.sin, (3,)),
        Instruction(p.identity, (5,)),
        Instruction(p.exp, (0,)),
        Instruction(p.sub, (0, 1)),
        Instruction(p.sub, (1, 0)),
    )
    done = check(Tape(2, code, (4, 6, 8, 9)), [[2.0, 3.0], [nan, -0.0]])
    assert [(g.kind, g.lanes) for g in groups(done)] == [
        ("mul", 1),
        ("sub", 2),
        ("sin", 1),
    ]
    assert done.counts["instructions"] == 8


def test_constants_differ_by_their_bits() -> None:
    code = tuple(Instruction(p.copysign, (0, x)) for x in (0.0, -0.0, 1.0, 1.0))
    done = check(Tape(1, code, (1, 2, 3, 4)), [[2.0], [-0.0]])
    assert done.counts["operations"] == 3


def test_outputs_may_be_inputs_and_constants_and_the_code_empty() -> None:
    done = check(Tape(2, (), (1, 0.5, 0, -0.0, 1)), [[nan, 3.0]])
    assert groups(done) == []
    check(Tape(0, (), ()), [[]])
    check(Tape(0, (Instruction(p.exp, (1.0,)),), (0,)), [[]])


# ---- guards and callbacks ------------------------------------------------------------


def row(value: Callable[..., float], operands: int = 1) -> Primitive:
    return Primitive("own", value, *[0.0] * operands)


def test_the_first_guard_that_fails_is_told() -> None:
    code = (Instruction(p.less, (0, 1)), Instruction(p.less, (1, 2)))
    guards = (
        Guard(0, 0, True),
        Guard(1, 3, True),
        Guard(2, 4, False),
        Guard(2, 3, True),
    )
    points = [[*xs] for xs in product((0.0, 1.0, 2.0, nan), repeat=3)]
    check(Tape(3, code, (0, 4), guards), points)


def test_guards_on_constants_hold_or_fail_in_their_place() -> None:
    code = (Instruction(p.sin, (0.0,)), Instruction(p.sin, (0,)))
    for expected in (True, False):
        guards = (Guard(1, 0, True), Guard(1, 1, expected), Guard(2, 2, True))
        check(Tape(1, code, (2,), guards), [[0.0], [1.0], [nan]])


def test_own_rows_are_called_in_order_behind_the_guards_before_them() -> None:
    calls: list[tuple[str, float]] = []

    def named(name: str) -> Primitive:
        def value(x: float) -> float:
            calls.append((name, x))
            return x + 1.0

        return row(value)

    first, second, third = map(named, "abc")
    code = (
        Instruction(p.exp, (0,)),
        Instruction(first, (1,)),  # behind the first guard
        Instruction(second, (0,)),
        Instruction(p.less, (3, 2)),
        Instruction(first, (3,)),
        Instruction(third, (5,)),  # behind both
        Instruction(second, (0,)),  # computed before
    )
    tape = Tape(1, code, (6, 7), (Guard(1, 1, True), Guard(4, 4, True)))
    done = roll(tape.arrays)
    check_plan(done, 1)
    assert done.entry() is None
    for x in (0.0, 2.0, -inf, nan):
        calls.clear()
        want = tape.run([x])
        told = [*calls]
        calls.clear()
        assert bits(done.scalar([x])) == bits(want)
        names = [name for name, _ in told]
        if names.count("b") > 1:
            told.pop()
        assert [*map(repr, calls)] == [*map(repr, told)]


def test_what_an_own_row_raises_comes_out_and_leaves_all_in_order() -> None:
    class OwnError(Exception):
        pass

    def value(x: float) -> float:
        if x > 1.0:
            raise OwnError(x)
        return -x

    code = (Instruction(p.exp, (0,)), Instruction(row(value), (1,)))
    done = roll(Tape(1, code, (2,)).arrays)
    for _ in range(3):
        with pytest.raises(OwnError):
            done.scalar([1.0])
        assert done.scalar([0.0]) == ((-1.0,), -1)


def test_what_math_refuses_is_nan_in_an_own_row() -> None:
    own = row(lambda x: math.acosh(x))
    check(Tape(1, (Instruction(own, (0,)),), (1,)), [[0.0], [2.0], [nan], [inf]])


def test_an_own_row_takes_any_number_of_operands_and_calls_again() -> None:
    inner = roll(Tape(1, (Instruction(p.sin, (0,)),), (1,)).arrays)
    own = Primitive("many", lambda *xs: sum(xs), lambda z, *xs: [1.0] * len(xs))
    again = row(lambda x: inner.scalar([x])[0][0])
    code = (
        Instruction(own, (0, 1, 0)),
        Instruction(own, ()),
        Instruction(again, (2,)),
    )
    check(Tape(2, code, (2, 3, 4)), [[1.0, 2.0], [nan, 0.0]])


# ---- calls ---------------------------------------------------------------------------


def called(done: Any, xs: Sequence[float], outputs: int) -> tuple[list[float], int]:
    """What C gets that calls the entry."""
    address, context = done.entry()
    vector = ctypes.POINTER(ctypes.c_double)
    kind = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, vector, vector)
    ins = (ctypes.c_double * max(len(xs), 1))(*xs)
    outs = (ctypes.c_double * max(outputs, 1))(*[7.0] * outputs)
    failed = kind(address)(context, ins, outs)
    return [*outs][:outputs], failed


def test_entry_writes_outputs_unless_a_guard_fails() -> None:
    code = (Instruction(p.less, (0, 1)), Instruction(p.mul, (0, 1)))
    tape = Tape(2, code, (3, 0, 2.5), (Guard(1, 2, True),))
    done = roll(tape.arrays)
    assert called(done, [2.0, 3.0], 3) == ([6.0, 2.0, 2.5], -1)
    assert called(done, [3.0, 2.0], 3) == ([7.0, 7.0, 7.0], 0)


def test_threads_share_a_program_and_no_number() -> None:
    source = random.Random(5)
    writer = Writer(source, 40)
    for _ in range(6):
        writer.sums()
    tape = writer.tape()
    done = roll(tape.arrays)
    points = random_points(source, tape.inputs, 8)
    wants = [bits(tape.run(xs)) for xs in points]
    wrong: list[int] = []

    def work(k: int) -> None:
        for _ in range(60):
            ys, failed = called(done, points[k], len(tape.outputs))
            found = bits((tuple(ys), failed) if failed < 0 else ((), failed))
            if found != wants[k]:
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_scalar_takes_what_is_a_number_and_refuses_others() -> None:
    done = roll(Tape(2, (Instruction(p.add, (0, 1)),), (2,)).arrays)
    assert done.scalar((1, 2.5)) == ((3.5,), -1)
    assert done.scalar(array("d", [1.0, 2.0])) == ((3.0,), -1)
    for xs in ([1.0], [1.0, 2.0, 3.0], [1.0, "a"], None):
        with pytest.raises((TypeError, ValueError)):
            done.scalar(xs)


def test_a_program_with_own_rows_is_freed_though_they_refer_to_it() -> None:
    class Own:
        done: Any = None

        def value(self, x: float) -> float:
            return x

    own = Own()
    code = (
        array("H", [0]),
        array("i", [0, 1]),
        array("i", [0]),
        array("d"),
        array("i", [1]),
    )
    own.done = extension.Rolled(1, (own.value,), *code, ())
    there = weakref.ref(own)
    del own
    gc.collect()
    assert there() is None


# ---- arrays that are no tape ---------------------------------------------------------


def refused(**changes: Any) -> pytest.ExceptionInfo[Exception]:
    """How arrays of x0 + x1 are refused with these changes."""
    given: dict[str, Any] = {
        "inputs": 2, "rows": ("add",), "row": [0], "start": [0, 2], "operand": [0, 1],
        "constants": [], "outputs": [2], "guards": (), **changes,
    }  # fmt: skip
    types = {"row": "H", "start": "i", "operand": "i", "constants": "d", "outputs": "i"}
    for name, code in types.items():
        if isinstance(given[name], list):
            given[name] = array(code, given[name])
    rows = given["rows"]
    if isinstance(rows, tuple):
        given["rows"] = tuple(
            extension.kinds[x] if isinstance(x, str) else x for x in rows
        )
    with pytest.raises((TypeError, ValueError)) as told:
        extension.Rolled(**given)
    return told


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": -1}, {"inputs": 2**31 - 1}, {"rows": ()}, {"rows": (-1,)},
        {"rows": (10**6,)}, {"rows": (10**30,)}, {"rows": (2.5,)}, {"rows": [0]},
        {"row": [1]}, {"row": array("i", [0])}, {"row": array("B", [0])},
        {"start": [0]}, {"start": [0, 1]}, {"start": [1, 2]}, {"start": [0, 3]},
        {"start": [0, 2, 2]}, {"start": array("d", [0, 2])}, {"start": [0, -2]},
        {"operand": [0, 2]}, {"operand": [0, -1]}, {"operand": [0, -(2**31)]},
        {"operand": [0, 2**31 - 1]}, {"operand": [0]}, {"operand": None},
        {"rows": ("sin",)}, {"rows": ("fma",)}, {"constants": array("f", [1])},
        {"outputs": [3]}, {"outputs": [-1]}, {"outputs": array("q", [2])},
        {"guards": []}, {"guards": (1,)}, {"guards": ((0, 2, True),)},
        {"guards": ((2, 0, True),)}, {"guards": ((-1, 0, True),)},
        {"guards": ((1, -1, True),)}, {"guards": ((1, 0, True), (0, 0, True))},
        {"guards": (("a", 0, True),)}, {"guards": ((1, 0),)},
    ],
    ids=repr,
)  # fmt: skip
def test_arrays_that_are_no_tape_are_refused_before_anything_runs(
    changes: dict[str, Any],
) -> None:
    refused(**changes)


def test_dot_needs_its_operands_in_two_halves() -> None:
    told = refused(rows=("dot",), start=[0, 1], operand=[0])
    assert "operation 0 must have as many operands as its row" in str(told.value)


def test_numbers_of_rows_are_those_of_the_table() -> None:
    for name in extension.kinds:
        assert isinstance(vars(p)[name], Primitive)
        assert kind(vars(p)[name]) == extension.kinds[name]


# ---- memory that runs out ------------------------------------------------------------


def roll_without_memory() -> None:
    import _testcapi

    writer = Writer(random.Random(3), 9)
    for write in (writer.sums, writer.chains, writer.rows):
        write()
    tape = writer.tape()
    roll(tape.arrays)
    for n in range(5000):
        done = None
        _testcapi.set_nomemory(n, n + 1)
        try:
            done = roll(tape.arrays)
        except MemoryError:
            pass
        finally:
            _testcapi.remove_mem_hooks()
        if done is not None and n > 300:
            break
    assert done is not None
    check(tape, [[0.5] * tape.inputs])


def test_rolling_without_memory_is_an_error_and_no_crash() -> None:
    if find_spec("_testcapi") is None:
        pytest.skip("this Python has no _testcapi to make allocations fail")
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c",
         "import test_rolled; test_rolled.roll_without_memory()"],
        env={**os.environ, "PYTHONPATH": f"{here}{os.pathsep}{here.parent}"},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
