"""Rolled code in C gives the bits of the tape, and a plan that holds together."""

from __future__ import annotations

import random
from array import array
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from in_python import needs_c
from test_simplify import ROWS, SPECIAL, bits, random_tape

from autograd import Primitive
from autograd import primitives as p
from autograd.compiled.rolled.code import in_c
from autograd.compiled.tape import Guard, Instruction, Operand, Tape

pytestmark = needs_c

NEGATIVE, PRODUCT, MASKED = 1, 2, 4
LANES, FEW = 8, 4
VARIADIC = [p.prod, p.dot, p.logsumexp, p._maximum, p._minimum, p.hypot]
SUMS = [p.add, p.sub, p.mul, p.neg]
ADD_UNLESS = p._add_unless


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
    """Rolled code that gives what the tape gives at all of these points."""
    code = in_c(tape.arrays)
    check_plan(code, tape.inputs)
    for xs in points:
        assert bits(code.scalar(xs)) == bits(tape.run(xs)), (str(tape), xs)
    return code


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
