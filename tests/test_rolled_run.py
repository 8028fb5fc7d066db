"""Blocks give the bits of their groups: every kind, shape of operands, number of lanes
and set of instructions that this machine has."""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import pytest
from in_python import needs_c
from test_simplify import ROWS, SPECIAL, bits

from autograd import Primitive
from autograd import primitives as p
from autograd.compiled.rolled.code import extension, roll
from autograd.compiled.tape import Instruction, Operand, Tape

pytestmark = needs_c

NEGATIVE, PRODUCT, MASKED = 1, 2, 4
LANES = range(1, 41)
VARIADIC = [p.prod, p._maximum, p._minimum, p.logsumexp]
SHAPES = ("one", "row", "any")
PLACES = 5  # operands at most that a lane of these tests has of its own
WIDTH = 300  # inputs for each of them


def slots(place: int, shape: str, lanes: int) -> list[int]:
    """The slots of an operand: the same for all lanes, in a row, or anywhere."""
    start = place * WIDTH + 3 * place
    step = {"one": 0, "row": 1, "any": 2 + place}[shape]
    return [start + step * j for j in range(lanes)]


def shape(found: Sequence[int]) -> str:
    steps = {y - x for x, y in zip(found, found[1:])}
    return "one" if steps <= {0} else "row" if steps == {1} else "any"


def point(source: random.Random, count: int) -> list[float]:
    return [
        source.choice(SPECIAL) if source.random() < 0.3 else source.gauss(0.0, 2.0)
        for _ in range(count)
    ]


def check(tape: Tape, source: random.Random, points: int = 2) -> Any:
    """Blocks of all sets against groups as they stand, and these against the tape."""
    groups = roll(tape.arrays, "groups")
    codes = [roll(tape.arrays, name) for name in extension.sets]
    for xs in [point(source, tape.inputs) for _ in range(points)]:
        want = bits(groups.scalar(xs))
        assert want == bits(tape.run(xs)), str(tape)
        for code in codes:
            assert bits(code.scalar(xs)) == want, (code.set, str(tape), xs)
    for code in codes:
        assert code.is_sound()
    return groups


def side_by_side(row: Primitive, vectors: Sequence[Sequence[int]]) -> Tape:
    """A row on these operands, lane by lane."""
    inputs = PLACES * WIDTH
    code = [Instruction(row, args) for args in zip(*vectors)]
    return Tape(inputs, tuple(code), tuple(range(inputs, inputs + len(code))))


def shapes_of(group: Any) -> list[str]:
    _, _, lanes, width, _, _, operand = group
    found = array("i", operand).tolist()
    padded = len(found) // width
    return [shape(found[i * padded :][:lanes]) for i in range(width)]


def in_turn(count: int) -> Iterator[tuple[str, ...]]:
    """The shapes of so many operands, one choice for each number of lanes; never all of
    them one number, since then all lanes are one operation."""
    choices = [*product(SHAPES, repeat=count)][1:]
    source = random.Random(count)
    while True:
        source.shuffle(choices)
        yield from choices


# ---- rows ----------------------------------------------------------------------------


@pytest.mark.parametrize("row", [x for x in ROWS if x.arity], ids=lambda row: row.name)
def test_rows_keep_their_bits_in_every_shape(row: Primitive) -> None:
    source = random.Random(row.name)
    for lanes, shapes in zip(LANES, in_turn(row.arity)):
        vectors = [slots(i, s, lanes) for i, s in enumerate(shapes)]
        check(side_by_side(row, vectors), source)


@pytest.mark.parametrize("row", VARIADIC, ids=lambda row: row.name)
@pytest.mark.parametrize("count", [2, 3, 5, 17])
def test_rows_of_any_number_of_operands_keep_their_bits(
    row: Primitive, count: int
) -> None:
    source = random.Random(f"{row.name} {count}")
    for lanes, shapes in zip(LANES, in_turn(min(count, PLACES))):
        vectors = [
            [slot + i // PLACES for slot in slots(i % PLACES, s, lanes)]
            for i, s in zip(range(count), shapes * count)
        ]
        check(side_by_side(row, vectors), source)


def test_rows_come_in_the_shapes_that_are_asked_for() -> None:
    source = random.Random(0)
    seen = set()
    for lanes in (8, 24, 37):
        for shapes in product(SHAPES, repeat=2):
            if shapes != ("one", "one"):
                vectors = [slots(i, s, lanes) for i, s in enumerate(shapes)]
                code = check(side_by_side(p.div, vectors), source)
                (group,) = code.groups()
                seen.add(tuple(shapes_of(group)))
    assert len(seen) == 8


# ---- sums ----------------------------------------------------------------------------


class Writer:
    """Writes sums, lane by lane."""

    def __init__(self, inputs: int) -> None:
        self.inputs = inputs
        self.code: list[Instruction] = []

    def apply(self, row: Primitive, *args: Operand) -> int:
        self.code.append(Instruction(row, args))
        return self.inputs + len(self.code) - 1

    def add(self, total: Operand, flags: int, x: int, y: int, mask: int) -> int:
        share = self.apply(p.mul, x, y) if flags & PRODUCT else x
        if flags & MASKED:
            share = self.apply(p.neg, share) if flags & NEGATIVE else share
            return self.apply(p._add_unless, mask, total, share)
        return self.apply(p.sub if flags & NEGATIVE else p.add, total, share)

    def tape(self, outputs: Sequence[int]) -> Tape:
        return Tape(self.inputs, tuple(self.code), tuple(outputs))


def sums(terms: Sequence[int], shapes: Sequence[str], shift: int, lanes: int) -> Tape:
    """A sum of terms of these flags in each lane; the operands of a term lie `shift`
    slots behind those of the term before."""
    writer = Writer(PLACES * WIDTH)
    outputs = []
    start = slots(3, "any", lanes)
    vectors = [slots(i, s, lanes) for i, s in enumerate(shapes)]
    for j in range(lanes):
        total: Operand = start[j]
        for t, flags in enumerate(terms):
            x, y, mask = (vector[j] + shift * t for vector in vectors)
            total = writer.add(total, flags, x, y, mask)
        outputs.append(total)
    return writer.tape([int(x) for x in outputs])


@pytest.mark.parametrize("flags", range(8))
@pytest.mark.parametrize("shapes", [*product(SHAPES, repeat=3)], ids="-".join)
def test_runs_of_like_terms_keep_their_bits(
    flags: int, shapes: tuple[str, ...]
) -> None:
    source = random.Random(f"{flags} {shapes}")
    for lanes in source.sample(LANES, 8):
        terms = [flags] * source.choice([1, 2, 3, 9])
        check(sums(terms, shapes, source.choice([0, 1, 2]), lanes), source)


@pytest.mark.parametrize("lanes", LANES)
def test_terms_of_all_flags_keep_their_order(lanes: int) -> None:
    source = random.Random(lanes)
    for _ in range(8):
        terms = source.choices(range(8), k=source.randrange(1, 9))
        shapes = source.choices(SHAPES, k=3)
        check(sums(terms, shapes, source.choice([1, 5]), lanes), source)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_short_sums_of_few_lanes_have_a_code_for_every_choice(count: int) -> None:
    source = random.Random(count)
    for terms in product(range(4), repeat=count - 1):
        check(sums(terms, ("any", "any", "any"), 1, 2), source)


@pytest.mark.parametrize("rows", [1, 3, 4, 8, 17, 40])
@pytest.mark.parametrize("columns", [1, 2, 5, 16])
def test_matrices_times_vectors_keep_their_bits(rows: int, columns: int) -> None:
    """W x for two x, then Wᵀ of that: rows of W lie anywhere, and are packed."""
    source = random.Random(rows * columns)
    size = rows * columns
    writer = Writer(size + 2 * columns)

    def dot(xs: Sequence[int], ys: Sequence[int]) -> int:
        total = writer.apply(p.mul, xs[0], ys[0])
        for x, y in zip(xs[1:], ys[1:]):
            total = writer.apply(p.add, total, writer.apply(p.mul, x, y))
        return total

    w = [range(o * columns, (o + 1) * columns) for o in range(rows)]
    xs = [range(size + i * columns, size + (i + 1) * columns) for i in range(2)]
    forward = [[dot(line, x) for line in w] for x in xs]
    back = [[dot(line, y) for line in zip(*w)] for y in forward]
    check(writer.tape([y for part in (*forward, *back) for y in part]), source, 5)


# ---- instructions --------------------------------------------------------------------


def test_the_best_set_is_first_and_runs_unless_another_is_named() -> None:
    tape = Tape(1, (Instruction(p.sin, (0,)),), (1,))
    assert roll(tape.arrays).set == extension.sets[0]
    assert extension.sets[-1] == "plain"
    assert [roll(tape.arrays, name).set for name in extension.sets] == [*extension.sets]


def test_a_set_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match='set must be one of .* but is "mmx"'):
        roll(Tape(1, (), (0,)).arrays, "mmx")
