"""Which second partials a row has, read off its rules.

A rule that runs on symbols writes down the rows that it applies. From these lines
follows on which operands a partial depends; the second partials themselves are formulas
of `tangents.py`. Both are found once for a row of the table; of a user's row, whose
rules may read what changes, once in each sweep.

A partial that is other than zero beside a NaN alone counts as zero, as those of steps
do: in `where(z == z, 0, z)` only a NaN leads to the last operand.

    slot    in a line: 0 is the result z, 1 … the operands, then each step's result
    lane    an operand of a `where` that can be selected
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from math import copysign
from operator import or_
from typing import Any, Final, NamedTuple

from .. import primitives
from ..formulas import Line, Operand
from ..primitives import (
    Primitive,
    equal,
    greater,
    greater_equal,
    less,
    less_equal,
    not_equal,
    where,
)
from .tangents import Formula, Pairs, written

RELATIONS: Final = {  # between two numbers, where a comparison holds
    less: "<", less_equal: "<=", greater: ">", greater_equal: ">=", equal: "=",
    not_equal: "<>",
}  # fmt: skip
FLIPPED: Final = str.maketrans("<>", "><")
FEW: Final = 6  # operands of a row whose second partials are a formula
MANY: Final = 200  # operands, of which all are taken to move a row
OF_TABLE: Final = frozenset(
    [row for row in vars(primitives).values() if isinstance(row, Primitive)]
)

Lanes = dict[tuple[Any, Any], frozenset[str]]  # the relations that lead somewhere


class Slopes(NamedTuple):
    """The partials of a row with so many operands.

    moving    for each operand, whether anything may be other than zero
    ones      the pairs of operands, if all second partials are 1, as of a product
    below     else for each operand those up to it that have one with it: a bit each
    lopsided  whether rules hold an operand fixed, as one that follows from the others:
              then only the mean of both mixed partials counts
    formula   of the second partials, where rules are lines of rows
    """

    moving: tuple[bool, ...]
    ones: Pairs | None
    below: tuple[int, ...]
    lopsided: bool
    formula: Formula | None

    def pairs(self, chosen: Sequence[int]) -> Pairs:
        """The pairs of operands among these that have a second partial."""
        if self.ones is not None:
            there = set(chosen)
            return tuple([(a, b) for a, b in self.ones if a in there and b in there])
        return tuple([
            (a, b)
            for i, a in enumerate(chosen)
            for b in (chosen[: i + 1] if self.below[a] else ())
            if self.below[a] >> b & 1
        ])  # fmt: skip


def opaque(count: int) -> Slopes:
    """All may depend on all."""
    every = tuple([(2 << a) - 1 for a in range(count)])
    return Slopes((True,) * count, None, every, False, None)


class SlopesOfRows:
    """What the rules of rows say, found once for each number of operands."""

    def __init__(self) -> None:
        self._slopes: dict[tuple[Primitive, int], Slopes] = {}
        self._moved: dict[tuple[Primitive, int], tuple[bool, ...]] = {}

    def of(self, row: Primitive, count: int) -> Slopes:
        """The partials of a row; where its rules are no lines, nothing is known."""
        if row in OF_TABLE and self is not TABLE:
            return TABLE.of(row, count)
        if (row, count) not in self._slopes:
            try:
                found = self._found(row, count)
            except Exception:  # a rule branches, or is a function of floats
                found = opaque(count)
            self._slopes[row, count] = found
        return self._slopes[row, count]

    def moved(self, row: Primitive, count: int) -> tuple[bool, ...]:
        """For each operand, whether its partial is anywhere other than zero."""
        if row in OF_TABLE and self is not TABLE:
            return TABLE.moved(row, count)
        if count > MANY:
            return (True,) * count
        if (row, count) not in self._moved:
            try:
                line, partials = written(row, count)
                found = tuple([not _is_zero(line, p, {}) for p in partials])
            except Exception:
                found = (True,) * count
            self._moved[row, count] = found
        return self._moved[row, count]

    def _found(self, row: Primitive, count: int) -> Slopes:
        line, partials = written(row, count)
        moving = [not _is_zero(line, p, {}) for p in partials]
        if all(type(p) is float or 0 < p <= count for p in partials):
            return Slopes(tuple(moving), _ones(partials), (), False, None)
        masks = self._masks(line, partials, moving)
        mixed = [mask if moves else 0 for mask, moves in zip(masks, moving)]
        there = sum([1 << a for a, moves in enumerate(moving) if moves])
        held = reduce(or_, mixed, 0) & ~there
        formula = None if held or count > FEW else Formula(row, count)
        moves = tuple([moves or bool(held >> a & 1) for a, moves in enumerate(moving)])
        return Slopes(moves, None, _below(mixed), bool(held), formula)

    def _masks(
        self, line: Line, partials: Sequence[Operand], moving: Sequence[bool]
    ) -> list[int]:
        """For each partial the operands that it depends on, a bit each."""
        own = sum([1 << a for a, moves in enumerate(moving) if moves])
        known = [own, *(1 << a for a in range(len(moving)))]
        for row, args in line.code:
            if row is where:
                known.append(_lane_mask(line, known, len(known), {}))
                continue
            mask = 0
            for x, moves in zip(args, self.moved(row, len(args))):
                mask |= known[x] if moves and type(x) is int else 0
            known.append(mask)
        return [_lane_mask(line, known, p, {}) for p in partials]


TABLE: Final = SlopesOfRows()


def _ones(partials: Sequence[Operand]) -> Pairs:
    """The pairs of a row each of whose partials is an operand, or a number."""
    pairs = [(a, int(p) - 1) for a, p in enumerate(partials) if type(p) is int]
    return tuple(dict.fromkeys([(max(pair), min(pair)) for pair in pairs]))


def _below(mixed: Sequence[int]) -> tuple[int, ...]:
    """For each operand, those up to it with which it has a mixed second partial."""
    below = [mask & ((2 << a) - 1) for a, mask in enumerate(mixed)]
    for b, mask in enumerate(mixed):
        above = mask >> (b + 1)
        while above:
            lowest = above & -above
            below[b + lowest.bit_length()] |= 1 << b
            above ^= lowest
    return tuple(below)


# ---- on what partials depend ---------------------------------------------------------


def _lane_mask(line: Line, known: list[int], x: Operand, lanes: Lanes) -> int:
    """What an operand depends on, less those that only a NaN leads to."""
    if type(x) is float:
        return 0
    found = _selects(line, x)
    if found is None:
        return known[int(x)]
    mask = 0
    for lane, inside in _lanes(line, found, lanes):
        mask |= _lane_mask(line, known, lane, inside)
    return mask


def _is_zero(line: Line, x: Operand, lanes: Lanes) -> bool:
    """Whether a partial is zero wherever there is no NaN."""
    if type(x) is float:
        return x == 0.0
    found = _selects(line, x)
    if found is None:
        return False
    return all(_is_zero(line, lane, s) for lane, s in _lanes(line, found, lanes))


def _selects(line: Line, x: Operand) -> tuple[Operand, ...] | None:
    """The operands of the `where` that gives x, if one does."""
    k = int(x) - line.inputs
    return line.code[k][1] if k >= 0 and line.code[k][0] is where else None


def _lanes(
    line: Line, operands: tuple[Operand, ...], lanes: Lanes
) -> Iterator[tuple[Operand, Lanes]]:
    """The operands that a `where` can select, and what holds then."""
    condition, *sides = operands
    for side, holds in zip(sides, (True, False)):
        inside = _narrowed(line, condition, holds, lanes)
        if inside is not None:
            yield side, inside


def _narrowed(
    line: Line, condition: Operand, holds: bool, lanes: Lanes
) -> Lanes | None:
    """What holds besides if that condition does, or not; None if it cannot be."""
    if type(condition) is float:
        return lanes if (condition != 0.0) is holds else None
    k = int(condition) - line.inputs
    row, args = line.code[k] if k >= 0 else (where, ())
    if row not in RELATIONS:
        return lanes
    (x, y), relations = args, RELATIONS[row]
    if not holds:
        relations = "".join([r for r in "<=>" if r not in relations])
    key, flipped = ((x, y), (y, x)), _order(x) > _order(y)
    relations = relations.translate(FLIPPED) if flipped else relations
    before = lanes.get(key[flipped], frozenset("=" if x == y else "<=>"))
    now = before & set(relations)
    return {**lanes, key[flipped]: now} if now else None


def _order(x: Operand) -> tuple[bool, float, float]:
    return type(x) is float, float(x), copysign(1.0, x)
