"""What a row's rules say of its second partials: which there are, and their formulas.

A rule that runs on symbols writes down the rows that it applies. From these lines
follows on which operands a partial depends, and its derivative for each of them, by
forward mode over the lines: so no second derivative is written here. Both are found
once for a row and a number of operands.

A partial that is other than zero beside a NaN alone counts as zero, as those of steps
do: in `where(z == z, 0, z)` only a NaN leads to the last operand.

    slot    in a line: 0 is the result z, 1 … the operands, then each step's result
    lane    an operand of a `where` that can be selected
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, reduce
from math import copysign
from operator import or_
from typing import Any, Final, NamedTuple

from ..absent import Share, may_be_absent
from ..formulas import Line, Operand, Symbol
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

RELATIONS: Final = {  # between two numbers, where a comparison holds
    less: "<", less_equal: "<=", greater: ">", greater_equal: ">=", equal: "=",
    not_equal: "<>",
}  # fmt: skip
FLIPPED: Final = str.maketrans("<>", "><")
MOST_STEPS: Final = 400  # of formulas that are worth keeping

Lanes = dict[tuple[Any, Any], frozenset[str]]  # the relations that lead somewhere
Tangent = Any  # ONE, or the place of an instruction
ONE: Final = "one"


class Slopes(NamedTuple):
    """The partials of a row with so many operands.

    moving    for each operand, whether anything may be other than zero
    below     for each operand, those up to it of which its partial may depend: bits
    fixed     whether all second partials are the number 1, as those of a product
    lopsided  whether rules hold an operand fixed, as one that follows from the others:
              then only the mean of both mixed partials counts
    formula   of the second partials, where rules are lines of rows
    """

    moving: tuple[bool, ...]
    below: tuple[int, ...]
    fixed: bool
    lopsided: bool
    formula: Formula | None

    def pairs(self, chosen: Sequence[int]) -> Iterator[tuple[int, int]]:
        """The pairs of operands among these that have a second partial."""
        for i, a in enumerate(chosen):
            mask = self.below[a]
            for b in chosen[: i + 1] if mask else ():
                if mask >> b & 1:
                    yield a, b


@lru_cache(maxsize=4096)
def slopes(row: Primitive, count: int) -> Slopes:
    """What the rules of a row say; where they are no lines, all may depend on all."""
    try:
        line, partials = written(row, count)
    except Exception:  # it branches, or is a function of floats
        every = tuple([(2 << a) - 1 for a in range(count)])
        return Slopes((True,) * count, every, False, False, None)
    moving = [not _is_zero(line, p, {}) for p in partials]
    masks = _masks(line, partials, moving)
    mixed = [mask if moves else 0 for mask, moves in zip(masks, moving)]
    there = sum([1 << a for a, moves in enumerate(moving) if moves])
    held = reduce(or_, mixed, 0) & ~there
    fixed = all(_is_operand(p, count) for p, m in zip(partials, mixed) if m)
    formula = None if fixed or held else Formula(row, count)
    moves = tuple([moves or bool(held >> a & 1) for a, moves in enumerate(moving)])
    return Slopes(moves, _below(mixed), fixed, bool(held), formula)


def written(row: Primitive, count: int) -> tuple[Line, list[Operand]]:
    """The line of a row's rules, and where in it the partials are."""
    line = Line(count + 1, lambda row: True)
    z, *xs = line.symbols()
    rules: Any = row.rules
    found = rules[0](z, *xs) if row.variadic else [rule(z, *xs) for rule in rules]
    partials = [line.operand(p, row.name) for p in found]
    if len(partials) != count:
        raise ValueError("slopes: there must be one partial for each operand")
    return line, partials


def _is_operand(x: Operand, count: int) -> bool:
    return type(x) is int and 0 < x <= count


def _below(mixed: Sequence[int]) -> tuple[int, ...]:
    """For each operand, those up to it with which it has a mixed second partial."""
    count = len(mixed)
    below = [mask & ((2 << a) - 1) for a, mask in enumerate(mixed)]
    for b, mask in enumerate(mixed):
        above = mask >> (b + 1)
        while above:
            lowest = above & -above
            below[b + lowest.bit_length()] |= 1 << b
            above ^= lowest
    assert len(below) == count
    return tuple(below)


# ---- on what partials depend ---------------------------------------------------------


def _masks(
    line: Line, partials: Sequence[Operand], moving: Sequence[bool]
) -> list[int]:
    """For each partial the operands that it depends on, a bit each."""
    own = sum([1 << a for a, moves in enumerate(moving) if moves])
    known = [own, *(1 << a for a in range(len(moving)))]
    for row, args in line.code:
        if row is where:
            known.append(_lane_mask(line, known, len(known), {}))
            continue
        mask = 0
        for x, moves in zip(args, moved_by(row, len(args))):
            mask |= known[x] if moves and type(x) is int else 0
        known.append(mask)
    return [_lane_mask(line, known, p, {}) for p in partials]


@lru_cache(maxsize=4096)
def moved_by(row: Primitive, count: int) -> tuple[bool, ...]:
    """For each operand of a row, whether its partial is anywhere other than zero."""
    try:
        line, partials = written(row, count)
    except Exception:
        return (True,) * count
    return tuple([not _is_zero(line, p, {}) for p in partials])


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


# ---- their derivatives ---------------------------------------------------------------


class Formula:
    """The second partials of a row, by forward mode over the lines of its rules.

    Where a `where` selects, a tangent that is not there is absent, not zero.
    """

    def __init__(self, row: Primitive, count: int) -> None:
        self.line, self.partials = written(row, count)
        self.written = len(self.line.code)  # steps of the rules themselves
        self.code: list[tuple[str, Any, Any, Any]] = []  # of tangents
        self.places: dict[tuple[int, int], Tangent] = {}
        self.plans: dict[Any, tuple[list[int], list[int]] | None] = {}
        self.tangents: dict[int, dict[int, Tangent] | None] = {}

    def plan(
        self, pairs: tuple[tuple[int, int], ...]
    ) -> tuple[list[int], list[int]] | None:
        """The steps and instructions that these need; None if they have no formula."""
        if pairs not in self.plans:
            self.plans[pairs] = self._plan(pairs)
        return self.plans[pairs]

    def _plan(self, pairs: Any) -> tuple[list[int], list[int]] | None:
        for a, b in pairs:
            if not self._find(a, b):
                return None
        slots, needed = set[Operand](), set[int]()
        todo = [self.places[pair] for pair in pairs]
        for place in todo:  # which grows meanwhile
            if type(place) is not int or place in needed:
                continue
            needed.add(place)
            _, factor, *others = self.code[place]
            slots |= {factor} if type(factor) is int else set()
            todo += others
        for k in reversed(range(len(self.line.code))):
            if self.line.inputs + k in slots:
                slots |= {x for x in self.line.code[k][1] if type(x) is int}
        first = self.line.inputs
        steps = [int(x) - first for x in slots if x >= first]
        return sorted(steps), sorted(needed)

    def _find(self, a: int, b: int) -> bool:
        """Have the tangent of partial a where operand b moves."""
        if b not in self.tangents:
            try:
                self.tangents[b] = self._tangents(b)
            except Exception:  # of a row inside whose rule is no line
                self.tangents[b] = None
        dots = self.tangents[b]
        if dots is None or len(self.line.code) > MOST_STEPS:
            return False
        self.places[a, b] = dots.get(self.partials[a])  # type: ignore[arg-type]
        return True

    def _tangents(self, b: int) -> dict[int, Tangent]:
        """The tangent of each slot of the rules that has one."""
        dots: dict[int, Tangent] = {b + 1: ONE}
        own = self._product(self.partials[b], ONE)
        dots[0] = own
        for k in range(self.written):
            row, args = self.line.code[k]
            slot = self.line.inputs + k
            there = [dots.get(x) if type(x) is int else None for x in args]
            dot = self._step(row, slot, args, there)
            if dot is not None:
                dots[slot] = dot
        return dots

    def _step(
        self, row: Primitive, slot: int, args: tuple[Operand, ...], there: list[Tangent]
    ) -> Tangent:
        if row is where:
            _, x, y = there
            return None if x is None and y is None else self._add("or", args[0], x, y)
        if row.select:
            if row.constant is None or any(row.constant):
                raise ValueError("slopes: what selects by ties has no formula")
            return None
        total = None
        for k, dot in enumerate(there):
            if dot is not None:
                share = self._product(self._partial(row, k, slot, args), dot)
                total = share if total is None else self._add("+", None, total, share)
        return total

    def _partial(
        self, row: Primitive, k: int, slot: int, args: Sequence[Operand]
    ) -> Operand:
        """The partial of a step inside, written down as well."""
        given: Sequence[Any] = slot, *args
        z, *xs = [Symbol(self.line, x) if type(x) is int else x for x in given]
        rules: Any = row.rules
        found = rules[0](z, *xs)[k] if row.variadic else rules[k](z, *xs)
        return self.line.operand(found, row.name)

    def _product(self, partial: Operand, dot: Tangent) -> Tangent:
        one = type(partial) is float and partial == 1.0
        return dot if one else self._add("*", partial, dot, None)

    def _add(self, kind: str, factor: Any, x: Tangent, y: Tangent) -> int:
        self.code.append((kind, factor, x, y))
        return len(self.code) - 1

    def run(
        self, values: Sequence[Any], pairs: tuple[tuple[int, int], ...]
    ) -> list[Any] | None:
        """The second partials at z and the operands: numbers, or Values in a trace."""
        plan = self.plan(pairs)
        if plan is None:
            return None
        slots = [*values, *[None] * len(self.line.code)]
        for k in plan[0]:
            row, args = self.line.code[k]
            xs = [slots[x] if type(x) is int else x for x in args]
            slots[self.line.inputs + k] = row(*xs)
        dots: dict[Any, Any] = {ONE: 1.0, None: None}
        for k in plan[1]:
            kind, factor, x, y = self.code[k]
            factor = slots[factor] if type(factor) is int else factor
            dots[k] = TANGENTS[kind](factor, dots[x], dots[y])
        return [dots[self.places[pair]] for pair in pairs]


def scaled(factor: Any, x: Any, _: Any = None) -> Any:
    """factor · x, without a product by 1; None if x is left out."""
    if x is None or factor is None:
        return None
    if type(x) is float and x == 1.0:
        return factor
    return x if type(factor) is float and factor == 1.0 else factor * x


def total(_: Any, x: Any, y: Any) -> Any:
    """x + y, of those that are there."""
    if x is None or y is None:
        return y if x is None else x
    return x + y


def _chosen(condition: Any, x: Any, y: Any) -> Any:
    """x or y; where the condition is known only later, what is not there is absent."""
    if type(condition) is float:
        return x if condition else y
    if not any(each is None or may_be_absent(each) for each in (x, y)):
        return where(condition, x, y)
    absent = where(condition, _absent(x), _absent(y))
    return Share(where(condition, _present(x), _present(y)), absent)


def _absent(x: Any) -> Any:
    return 1.0 if x is None else x.absent if type(x) is Share else 0.0


def _present(x: Any) -> Any:
    return 0.0 if x is None else x.share if type(x) is Share else x


TANGENTS: Final[dict[str, Callable[..., Any]]] = {
    "*": scaled, "+": total, "or": _chosen,
}  # fmt: skip
