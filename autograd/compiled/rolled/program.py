"""From a tape to loops over arrays: which operations are one loop, and in which order.

Of the ways to put lanes in order, and to split them into indices, the one is taken that
needs fewest tables, then fewest steps backward, then fewest indices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, groupby, islice, product
from math import copysign, prod
from operator import mul
from typing import Final, NamedTuple

from ...formulas import COMPARISONS
from ...primitives import Primitive
from ..tape import Guard, Tape
from .groups import (
    MASKED,
    NEGATIVE,
    PRODUCT,
    Kind,
    Line,
    Operation,
    folded,
    levels,
    uses,
)
from .loops import (
    Affine,
    Array,
    Call,
    Check,
    Expression,
    Fold,
    Lookup,
    Loop,
    Number,
    Part,
    Program,
    Read,
    Statement,
    Var,
    moved,
    reads,
    replaced,
    size,
)
from .names import Named, shape_of, whole
from .regression import Tables, read, splits
from .repeats import repeated

BRIEF: Final = 12  # parts of an expression that can be written in another
LONG: Final = 18  # parts of one in which all of them are
LEAST: Final = 3  # parts of one that always is
FEW: Final = 4  # lanes, or terms, that are rather written one by one than by a table
LOOKED_AT: Final = 8  # operands, to find splits

Place = tuple[Array, int]
Row = tuple[Array, list[int]]  # where one operand is, in each lane


def program(tape: Tape, names: Sequence[Named] | None = None) -> Program:
    """The loops of a tape; names say what its inputs are called."""
    named = names or [Named("x[]", (i,)) for i in range(tape.inputs)]
    line = with_zeros_ahead(folded(tape))
    return repeated(inlined(_Builder(line, _inputs(named)).program(tape.guards)))


def with_zeros_ahead(line: Line) -> Line:
    """Sums that begin with 0.0 if any of their terms is, and with -0.0 if none.

    Once a sum is 0.0 or any other number it is -0.0 no more: it does not matter where
    0.0 is added, and -0.0 changes nothing. So lanes with and without are alike.
    """
    found = line.first + len(line.constants)
    numbers = [*line.constants, 0.0, -0.0]
    plus, minus = found, found + 1
    operations = dict(line.operations)
    for slot, (kind, operands) in operations.items():
        if not isinstance(kind, Primitive):
            zero, flags, others = minus, list[int](), list[int]()
            places = iter(operands)
            for flag in kind:
                count = 1 + bool(flag & PRODUCT) + bool(flag & MASKED)
                term = tuple(islice(places, count))
                number = numbers[term[0] - line.first] if term[0] >= line.first else 1.0
                if flag & ~NEGATIVE or number != 0.0:
                    flags.append(flag)
                    others += term
                elif (copysign(1.0, number) > 0.0) is not bool(flag):
                    zero = plus
            if not flags:  # it is but zeros
                zero, flags, others = minus, [0], [zero]
            operations[slot] = Operation((0, *flags), (zero, *others))
    return line._replace(constants=numbers, operations=operations)


def _inputs(names: Sequence[Named]) -> list[Place]:
    found: dict[str, list[tuple[int, ...]]] = {}
    for name, index in (known := whole(names)):
        found.setdefault(name, []).append(index)
    arrays = {
        name: Array(shape_of(places), name=name) for name, places in found.items()
    }
    return [(arrays[name], arrays[name].place(index)) for name, index in known]


class _Builder:
    """Loops so far, and where they write what the slots of the tape are."""

    def __init__(self, line: Line, inputs: list[Place]) -> None:
        self.line, self.inputs = line, inputs
        self.tables = Tables()
        self.where: dict[int, Place] = dict(enumerate(inputs))
        constants = Array((len(line.constants),), numbers=line.constants)
        for k in range(len(line.constants)):
            self.where[line.first + k] = constants, k
        self.wanted = {x: i for i, x in reversed([*enumerate(line.outputs)])}

    def program(self, guards: Sequence[Guard]) -> Program:
        lines: list[Loop | Check] = []
        for members in self._alike():
            lines += self._loops(members)
        checks: dict[Array, list[Check]] = {}
        for key, numbers in self._guards(guards).items():
            checks.setdefault(key[0], []).extend(self._checks(key, numbers))
        made = {line.array for line in lines if isinstance(line, Loop)}
        first = [check for array in checks.keys() - made for check in checks[array]]
        placed = [[line, *checks.get(line.array, [])] for line in lines]  # type: ignore[union-attr]
        outputs = [(x, over) for _, x, over in self._ranges(self.line.outputs)]
        return Program(self.inputs, [*first, *chain(*placed)], outputs)

    def _guards(
        self, guards: Sequence[Guard]
    ) -> dict[tuple[Array, bool, str], list[int]]:
        """The guards on elements of one array that come from one line."""
        found: dict[tuple[Array, bool, str], list[int]] = {}
        for k, (slot, expected) in enumerate(self.line.guards):
            key = self.where[slot][0], expected, guards[k].place
            found.setdefault(key, []).append(k)
        return found

    def _checks(
        self, key: tuple[Array, bool, str], numbers: list[int]
    ) -> Iterator[Check]:
        slots = [self.line.guards[k][0] for k in numbers]
        start = 0
        for count, x, over in self._ranges(slots):
            yield Check(numbers[start : start + count], over, x, *key[1:])
            start += count

    def _ranges(
        self, slots: Sequence[int]
    ) -> Iterator[tuple[int, Expression, tuple[Var, ...]]]:
        """Slots in order: how many are of one array, and what they are there."""
        for array, run in groupby(map(self.where.__getitem__, slots), lambda at: at[0]):
            places = [place for _, place in run]
            found = []
            for sizes in splits([(array, places)]):
                over = _variables(sizes)
                found.append(_Way([], over, read(array, places, over, self.tables)))
            best = min(found, key=lambda way: way.cost)
            yield len(places), best.value, best.over

    def _alike(self) -> Iterator[list[int]]:
        """Like operations on one level that read the same arrays, level by level."""
        level = self._levels()
        by_level: dict[int, list[int]] = {}
        for slot in self.line.operations:
            by_level.setdefault(level[slot], []).append(slot)
        for _, slots in sorted(by_level.items()):
            found: dict[tuple[object, ...], list[int]] = {}
            for slot in slots:
                kind, operands = self.line.operations[slot]
                key = kind, *[self.where[x][0] for x in operands]
                found.setdefault(key, []).append(slot)
            for members in found.values():
                yield from self._by_constants(members)

    def _levels(self) -> list[int]:
        """The level of each slot; what guards alone need is computed at once."""
        level, needed = levels(self.line), uses(self.line)
        guards = Counter([slot for slot, _ in self.line.guards])
        for slot in guards.keys() & self.line.operations.keys():
            if needed[slot] == guards[slot]:
                operands = self.line.operations[slot].operands
                made = [level[x] for x in operands if x in self.line.operations]
                level[slot] = 1 + max(made, default=0)
        return level

    def _by_constants(self, members: list[int]) -> Iterator[list[int]]:
        """Few operations with each of few constants have no table of these."""
        found: dict[tuple[int, ...], list[int]] = {}
        for slot in members:
            kind, operands = self.line.operations[slot]
            factors = operands if isinstance(kind, Primitive) else operands[1:]
            constants = tuple([x for x in factors if x >= self.line.first])
            found.setdefault(constants, []).append(slot)
        yield from found.values() if len(found) <= FEW else [members]

    def _loops(self, members: list[int]) -> Iterator[Loop]:
        """The loop over some lanes, or a few if none of these needs a table."""
        best: _Way | None = None
        for order in self._orders(members):
            for way in self._ways(order):
                if best is None or way.cost < best.cost:
                    best = way
            if best and best.cost[:2] == (0, 0):
                break
        assert best
        looked_up = {*_looked_up(best.value)}
        apart = {var for var, step in _steps(best.value) if abs(step) > 1}
        few = [
            var
            for var in best.over
            if var.size <= FEW and var in looked_up or var.size < FEW and var in apart
        ]
        if few:
            for lanes in best.along(few[0]):
                yield from self._loops(lanes)
            return
        array = Array(tuple([var.size for var in best.over]))
        self.where.update((slot, (array, k)) for k, slot in enumerate(best.members))
        yield Loop(array, best.over, best.value)

    def _orders(self, members: list[int]) -> Iterator[list[int]]:
        """Orders of lanes: of the outputs, of the tape, of what they read."""
        if all(slot in self.wanted for slot in members):
            yield sorted(members, key=self.wanted.__getitem__)
        yield members
        places = {slot: self._places(slot) for slot in members}
        yield sorted(members, key=places.__getitem__)
        yield sorted(members, key=lambda slot: places[slot][::-1])
        yield members[::-1]

    def _places(self, slot: int) -> tuple[int, ...]:
        operands = self.line.operations[slot].operands[:3]
        return tuple([self.where[x][1] for x in operands])

    def _ways(self, members: list[int]) -> Iterator[_Way]:
        """The ways to split lanes in that order into indices."""
        operations = [self.line.operations[slot] for slot in members]
        kind = operations[0].kind
        rows: list[Row] = [
            (self.where[place[0]][0], [self.where[x][1] for x in place])
            for place in zip(*[operands for _, operands in operations])
        ]
        looked_at = [*rows[:LOOKED_AT], *rows[-2:]]
        for sizes in splits(looked_at) if rows else [(1,)]:
            over = _variables(sizes)
            yield _Way(members, over, self._value(kind, rows, over))

    def _value(self, kind: Kind, rows: list[Row], over: tuple[Var, ...]) -> Expression:
        if isinstance(kind, Primitive):
            if not kind.variadic:
                args = [read(*row, over, self.tables) for row in rows]
                return Call(kind, tuple(args))
            terms = [(0, [row]) for row in rows]
            return Fold(kind, tuple(self._parts(terms, over)))
        places, terms = iter(rows), []
        for flags in kind:
            count = 1 + bool(flags & PRODUCT) + bool(flags & MASKED)
            terms.append((flags, [next(places) for _ in range(count)]))
        start = read(*rows[0], over, self.tables)
        return Fold(None, tuple(self._parts(terms[1:], over)), start)

    def _parts(
        self, terms: list[tuple[int, list[Row]]], over: tuple[Var, ...]
    ) -> Iterator[Part]:
        """Terms in a row with the same flags, on the same arrays, as one part."""
        for (flags, *_), run in groupby(
            terms, lambda term: (term[0], *[array for array, _ in term[1]])
        ):
            rows = [term for _, term in run]
            part = self._part(flags, rows, over)
            few = len(rows) == 2 and not _goes_along_an_axis(part)
            if few or len(rows) <= FEW and {*_looked_up(*part.factors)} & {*part.over}:
                yield from [self._part(flags, [row], over) for row in rows]
            else:
                yield part

    def _part(self, flags: int, terms: list[list[Row]], over: tuple[Var, ...]) -> Part:
        """A part, its terms split into indices in the best way."""
        found = []
        arrays = [array for array, _ in terms[0]]
        columns = [[term[k][1] for term in terms] for k in range(len(arrays))]
        first = [(a, [row[0] for row in rows]) for a, rows in zip(arrays, columns)]
        for sizes in splits(first):
            variables = _variables(sizes)
            xs = [
                read(array, [*chain(*zip(*rows))], (*over, *variables), self.tables)
                for array, rows in zip(arrays, columns)
            ]
            mask = xs.pop() if flags & MASKED else None
            negative = bool(flags & NEGATIVE)
            part = Part(tuple(xs), negative, mask, variables)
            found.append(_Way([], variables, Fold(None, (part,))))
        best = min(found, key=lambda way: way.cost)
        return _upward(best)


class _Way(NamedTuple):
    """One way to write a loop, or a part of one."""

    members: list[int]
    over: tuple[Var, ...]
    value: Expression

    @property
    def cost(self) -> tuple[int, int, int]:
        """How many tables, steps backward, indices."""
        found = [r for r, _ in reads(self.value)]
        index = [i for r in found for i in r.places]
        tables = sum([isinstance(i, Lookup) for i in index])
        tables += sum([r.array.numbers is not None for r in found])
        return tables, sum([step < 0 for _, step in _steps(self.value)]), len(self.over)

    def along(self, var: Var) -> Iterator[list[int]]:
        """The members for each value of one of its indices."""
        sizes = [v.size for v in self.over]
        axis = self.over.index(var)
        for k in range(var.size):
            places = product(
                *[[k] if i == axis else range(n) for i, n in enumerate(sizes)]
            )
            strides = [prod(sizes[i + 1 :]) for i in range(len(sizes))]
            yield [self.members[sum(map(mul, place, strides))] for place in places]


def _looked_up(*xs: Expression) -> Iterator[Var]:
    """The index of each table that has but one, of those for what loops write."""
    for x in xs:
        for r, _ in reads(x):
            for i in r.places if not r.array.name else ():
                if isinstance(i, Lookup):
                    variables = [var for each in i.places for var, _ in each.steps]
                    yield from variables if len(variables) == 1 else ()


def _steps(x: Expression) -> Iterator[tuple[Var, int]]:
    for r, _ in reads(x):
        for i in r.places:
            for affine in i.places if isinstance(i, Lookup) else (i,):
                yield from affine.steps


def _variables(sizes: Sequence[int]) -> tuple[Var, ...]:
    return tuple([Var(n) for n in sizes if n > 1])


def _upward(way: _Way) -> Part:
    """The part with its indices running down where what it reads does."""
    assert isinstance(way.value, Fold)
    change, over = {}, []
    for var in way.over:
        signs = [step for v, step in _steps(way.value) if v is var]
        down = sum([step < 0 for step in signs]) * 2 > len(signs)
        over.append(Var(var.size, down))
        start, step = (var.size - 1, -1) if down else (0, 1)
        change[var] = Affine(start, ((over[-1], step),))
    (part,) = moved(way.value, change).parts  # type: ignore[union-attr]
    return part._replace(over=tuple(over))


def _goes_along_an_axis(part: Part) -> bool:
    """Whether the terms are all of an axis of what they read."""
    found = [r for r, _ in reads(Fold(None, (part,)))]
    return all(any(is_axis(var, r) for r in found) for var in part.over)


def is_axis(var: Var, x: Read) -> bool:
    """Whether an index is one axis of an array, from end to end."""
    return any(
        i == Affine(0, ((var, 1),)) and n == var.size
        for i, n in zip(x.places, x.array.shape)
    )


# ---- loops within others -------------------------------------------------------------


def inlined(whole: Program) -> Program:
    """The program with what is needed once, and is brief, written where it is."""
    needed: dict[Array, list[tuple[Read, int]]] = {}
    for line in whole.flat():
        for r, times in _reads_of(line.value, line.over):
            needed.setdefault(r.array, []).append((r, times))
    for x, _ in whole.outputs:
        for r, _ in reads(x):
            needed.setdefault(r.array, []).append((r, 0))
    parts: dict[Array, Loop] = {}
    gone: set[Array] = set()
    for line in whole.flat():
        known = {
            r.array: parts[r.array] for r, _ in reads(line.value) if r.array in parts
        }
        known = _brief(line.value, known)
        line.value = replaced(line.value, known)
        gone |= {array for array, loop in known.items() if not _is_copy(loop.value)}
        if isinstance(line, Loop) and _is_part(line, needed.get(line.array, [])):
            parts[line.array] = line
    copies = {array: loop for array, loop in parts.items() if _is_copy(loop.value)}
    gone |= copies.keys()
    lines: list[Statement] = [
        x for x in whole.flat() if isinstance(x, Check) or x.array not in gone
    ]
    outputs = [(replaced(x, copies), over) for x, over in whole.outputs]
    return Program(whole.inputs, lines, outputs)


def _brief(x: Expression, known: dict[Array, Loop]) -> dict[Array, Loop]:
    """What is written in x: all of it, or the least if x would become too long."""
    if size(x) + sum([size(loop.value) - 1 for loop in known.values()]) <= LONG:
        return known
    return {array: loop for array, loop in known.items() if size(loop.value) <= LEAST}


def _is_copy(x: Expression) -> bool:
    """Whether x is an element of an array, or compares one, and is never too long."""
    if isinstance(x, Call) and x.row.native in COMPARISONS:
        return all(isinstance(arg, (Read, Number)) for arg in x.args)
    return isinstance(copied(x), Read)


def copied(x: Expression) -> Expression | None:
    """What x is, but for the sign of a zero."""
    if isinstance(x, Fold) and x.row is None and len(x.parts) == 1:
        (part,) = x.parts
        if len(part.factors) == 1 and part == Part(part.factors):
            return part.factors[0]
    return None


def _reads_of(x: Expression, over: Sequence[Var]) -> Iterator[tuple[Read, int]]:
    return reads(x, prod([var.size for var in over]))


def _is_part(loop: Loop, needed: list[tuple[Read, int]]) -> bool:
    """Whether each element is needed once, in one place, and is brief, or a copy."""
    if _is_copy(loop.value):
        return all(isinstance(i, Affine) for r, _ in needed for i in r.places)
    if len(needed) != 1 or size(loop.value) > BRIEF:
        return False
    r, times = needed[0]
    count = prod(loop.array.shape)
    steps = [i.steps for i in r.places if isinstance(i, Affine)]
    alone = [line[0][0] for line in steps if len(line) == 1 and abs(line[0][1]) == 1]
    return times == count and len({*alone}) == len(r.places)
