"""A straight line as groups of like operations, each of them a loop over lanes.

The tape of a real program is a few hundred vector operations, written out. Five passes
find them again, each linear in its length:

    cleaned   each instruction once, without copies and without what nothing needs
    folded    long products are one operation, and additions one after the other one
              sum, in their order: of products where nothing else needs those, and of
              terms that a mask may leave out
    levels    how many operations come before: each as soon as its operands are there,
              or as late as its users allow, whichever makes fewer groups
    groups    like operations on one level, which may run in any order
    lanes     in the order that puts more operands in a row

A sum is -0.0 and its terms, one after the other: -0.0 + t is t to the last bit, so it
is what the additions were, bit for bit. C does likewise, in a hundredth of the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from operator import add, eq
from typing import Final, NamedTuple

from ... import primitives as p
from ...primitives import Primitive
from ..tape import Operand, Tape

NEGATIVE: Final = 1  # a term that is taken from the sum
PRODUCT: Final = 2  # one of two factors
MASKED: Final = 4  # one with a last operand, and left out unless that is 0.0

Kind = Primitive | tuple[int, ...]  # a row, or the flags of each term of a sum

COPIES: Final = frozenset({p.identity, p.stop_gradient})
COMMUTATIVE: Final = frozenset({p.add, p.mul, p.equal, p.not_equal})
ADD_UNLESS: Final = vars(p).get("_add_unless")  # absent, total, share
FEW: Final = 16  # lanes that need no order
LONG: Final = 6  # factors of a product that is one operation


class Term(NamedTuple):
    """A slot that is added or taken off, or two factors; the mask may leave it out."""

    factors: tuple[int, ...]
    negative: bool = False
    mask: int | None = None


class Operation(NamedTuple):
    """What one lane computes: a row on its operands, or a sum, term after term."""

    kind: Kind
    operands: tuple[int, ...]


class Line(NamedTuple):
    """The operations of a tape, each by its slot there and after what it needs.

    first   the slot of the first constant: they come after all others
    """

    inputs: int
    first: int
    constants: list[float]
    operations: dict[int, Operation]
    outputs: list[int]
    guards: list[tuple[int, bool]]


class Group(NamedTuple):
    """Like operations on one level: lane j writes the slot `slot` + j.

    places   for each operand of an operation, those of all lanes
    """

    kind: Kind
    level: int
    lanes: int
    slot: int
    places: list[tuple[int, ...]]


class Grouped(NamedTuple):
    """Rolled code: slots are inputs, then constants, then the lanes of each group."""

    inputs: int
    constants: list[float]
    groups: list[Group]
    outputs: list[int]
    guards: list[tuple[int, bool]]


def groups(tape: Tape) -> Grouped:
    """The groups of a tape, in an order in which they can run.

    >>> from autograd.primitives import add, mul
    >>> from autograd.compiled.tape import Instruction
    >>> dot = Tape(4, (
    ...     Instruction(mul, (0, 2)), Instruction(mul, (1, 3)),
    ...     Instruction(add, (4, 5)),
    ... ), (6,))
    >>> groups(dot).groups
    [Group(kind=(2, 2), level=1, lanes=1, slot=4, places=[(0,), (2,), (1,), (3,)])]
    """
    line = folded(tape)
    level, shape = levels(line), shapes(line.operations)
    found: dict[tuple[int, int], list[int]] = {}
    for slot in line.operations:
        found.setdefault((level[slot], shape[slot]), []).append(slot)
    return _placed(line, sorted(found.items(), key=lambda item: item[0][0]))


# ---- cleaned -------------------------------------------------------------------------


def cleaned(tape: Tape) -> Line:
    """The tape with each instruction once, and none that is a copy."""
    first = tape.inputs + len(tape.code)
    now = list(range(first))  # what each slot has become
    constants: dict[object, int] = {}
    numbers: list[float] = []
    computed: dict[Operation, int] = {}
    code: dict[int, Operation] = {}

    def seen(x: Operand) -> int:
        if type(x) is int:
            return now[x]
        key = x or repr(x)  # as numbers, 0.0 and -0.0 are one
        if key not in constants:
            constants[key] = first + len(numbers)
            numbers.append(float(x))
        return constants[key]

    for slot, (row, args) in enumerate(tape.code, tape.inputs):
        operands = tuple([seen(x) for x in args])
        if row in COPIES:
            now[slot] = operands[0]
            continue
        if row is p.dot:
            seen(0.0)  # which its sum starts from
        swapped = row in COMMUTATIVE and operands[0] > operands[1]
        key = Operation(row, operands[::-1] if swapped else operands)
        now[slot] = computed.setdefault(key, slot)
        if now[slot] == slot:
            code[slot] = Operation(row, operands)
    guards = [(now[guard.slot], guard.expected) for guard in tape.guards]
    return Line(tape.inputs, first, numbers, code, [*map(seen, tape.outputs)], guards)


def uses(line: Line) -> list[int]:
    """How often each slot is needed, by what is needed itself."""
    found = [0] * (line.first + len(line.constants))
    for x in (*line.outputs, *[slot for slot, _ in line.guards]):
        found[x] += 1
    for slot, (_, operands) in reversed(line.operations.items()):
        if found[slot]:
            for x in operands:
                found[x] += 1
    return found


# ---- folded --------------------------------------------------------------------------


def folded(tape: Tape) -> Line:
    """The tape, cleaned, with sums in place of additions."""
    line = with_products(cleaned(tape))
    folding = _Folding(line)
    for slot, (row, operands) in line.operations.items():
        if folding.uses[slot]:
            folding.see(slot, row, operands)
    return line._replace(operations=folding.operations())


def with_products(line: Line) -> Line:
    """The line with long products, x·y·w…, as one operation, factor after factor.

    1·x is x, so that the row prod does the same.
    """
    needed, found = uses(line), dict[int, tuple[list[int], list[int]]]()
    for slot, (row, operands) in line.operations.items():
        if row is p.mul and needed[slot]:
            x, y = operands
            if y in found and needed[y] == 1 and not (x in found and needed[x] == 1):
                x, y = y, x
            goes_on = x in found and needed[x] == 1
            factors, parts = found.pop(x) if goes_on else ([x], [])
            factors.append(y)
            parts.append(slot)
            found[slot] = factors, parts
    code = dict(line.operations)
    for slot, (factors, parts) in found.items():
        if len(factors) >= LONG:
            code[slot] = Operation(p.prod, tuple(factors))
            for part in parts[:-1]:
                del code[part]
    return line._replace(operations=code)


class _Folding:
    """Sums found so far: each takes in the one it goes on with, if no one else does."""

    def __init__(self, line: Line) -> None:
        self.code, self.uses = line.operations, uses(line)
        self.numbers = [repr(x) for x in line.constants]
        self.first = line.first
        self.sums: dict[int, list[Term]] = {}
        self.gone: set[int] = set()  # slots that are part of a sum now

    def see(self, slot: int, row: Kind, operands: tuple[int, ...]) -> None:
        """Note an instruction, if it is a sum."""
        if row is p.add:
            self.sums[slot] = self._added(*operands)
        elif row is p.sub:
            self.sums[slot] = self._and(operands[0], Term(operands[1:], True))
        elif row is ADD_UNLESS:
            absent, total, share = operands
            self.sums[slot] = self._and(total, Term((share,), mask=absent))
        elif row is p.dot:
            zero = self.first + self.numbers.index("0.0")
            half = len(operands) // 2
            pairs = zip(operands[:half], operands[half:])
            self.sums[slot] = [Term((zero,)), *map(Term, pairs)]
        elif row is p.where:
            terms = self._selected(*operands)
            if terms:
                self.sums[slot] = terms

    def _added(self, x: int, y: int) -> list[Term]:
        if self._length(y) and not self._length(x):
            x, y = y, x
        return self._and(x, Term((y,)))

    def _length(self, x: int) -> int:
        return len(self.sums.get(x, ())) if self.uses[x] == 1 else 0

    def _and(self, total: int, term: Term) -> list[Term]:
        """The terms of a sum so far and one more."""
        terms = [Term((total,))]
        if self._length(total):
            terms = self.sums.pop(total)
            self.gone.add(total)
        terms.append(term)
        return terms

    def _selected(self, absent: int, total: int, other: int) -> list[Term] | None:
        """A select as a sum: of one term or none, or with one more term or not."""
        if total >= self.first and self.numbers[total - self.first] == "-0.0":
            return [Term((other,), mask=absent)]
        terms = self.sums[other] if self._length(other) == 2 else ()
        if not terms or terms[0] != Term((total,)) or terms[1].mask is not None:
            return None
        del self.sums[other]
        self.gone.add(other)
        self.uses[total] -= 1
        return self._and(total, terms[1]._replace(mask=absent))

    def operations(self) -> dict[int, Operation]:
        """What is left to compute."""
        sums = {slot: self._sum(terms) for slot, terms in self.sums.items()}
        return {
            slot: sums.get(slot, operation)
            for slot, operation in self.code.items()
            if self.uses[slot] and slot not in self.gone
        }

    def _sum(self, terms: list[Term]) -> Operation:
        flags, operands = [], []
        for term in terms:
            factors, negative = self._factors(term)
            masks = [] if term.mask is None else [term.mask]
            operands += [*factors, *masks]
            product = PRODUCT * (len(factors) == 2)
            flags.append(NEGATIVE * negative | product | MASKED * len(masks))
        return Operation(tuple(flags), tuple(operands))

    def _factors(self, term: Term) -> tuple[list[int], bool]:
        """What is multiplied for a term, and whether that is taken off."""
        xs, negative = term.factors, term.negative
        if len(xs) == 1:
            x, negative = self._without_sign(xs[0], negative)
            xs = self._taken(x, p.mul) or (x,)
        found = []
        for x in xs:
            x, negative = self._without_sign(x, negative)
            found.append(x)
        return found, negative

    def _without_sign(self, x: int, negative: bool) -> tuple[int, bool]:
        while minus := self._taken(x, p.neg):
            (x,), negative = minus, not negative
        return x, negative

    def _taken(self, x: int, row: Primitive) -> tuple[int, ...]:
        """The operands of x, if it is of that row, and no one else needs it."""
        if self.uses[x] != 1 or x not in self.code or self.code[x].kind is not row:
            return ()
        self.gone.add(x)
        return self.code[x].operands


# ---- levels and groups ---------------------------------------------------------------


def shapes(operations: dict[int, Operation]) -> dict[int, int]:
    """A number for each operation, the same for like ones."""
    known: dict[tuple[Kind, int], int] = {}
    return {
        slot: known.setdefault((kind, len(operands)), len(known))
        for slot, (kind, operands) in operations.items()
    }


def levels(line: Line) -> list[int]:
    """The level of each slot, soon or late, whichever makes fewer groups."""
    shape = shapes(line.operations)
    soon = _soon(line)
    late = _late(line, max(soon))
    return min(soon, late, key=lambda level: len({(level[k], shape[k]) for k in shape}))


def _soon(line: Line) -> list[int]:
    level = [0] * (line.first + len(line.constants))
    for slot, (_, operands) in line.operations.items():
        level[slot] = 1 + max(map(level.__getitem__, operands), default=0)
    return level


def _late(line: Line, last: int) -> list[int]:
    level = [last + 1] * (line.first + len(line.constants))
    for slot, (_, operands) in reversed(line.operations.items()):
        level[slot] -= 1
        for x in operands:
            level[x] = min(level[x], level[slot])
    return level


# ---- lanes ---------------------------------------------------------------------------


def _placed(line: Line, found: Iterable[tuple[tuple[int, int], list[int]]]) -> Grouped:
    """Slots for the lanes of each group, one group after the other."""
    size, count = line.first + len(line.constants), len(line.constants)
    now = list(range(size))
    now[line.first :] = range(line.inputs, line.inputs + count)
    slot, made = line.inputs + count, []
    for (level, _), members in found:
        operations = [line.operations[k] for k in members]
        lanes = [tuple([now[x] for x in operands]) for _, operands in operations]
        order = ordered(lanes)
        for j, lane in enumerate(order):
            now[members[lane]] = slot + j
        places = [*zip(*[lanes[lane] for lane in order])]
        made.append(Group(operations[0].kind, level, len(lanes), slot, places))
        slot += len(lanes)
    outputs = [now[x] for x in line.outputs]
    guards = [(now[x], expected) for x, expected in line.guards]
    return Grouped(line.inputs, line.constants, made, outputs, guards)


def ordered(lanes: Sequence[tuple[int, ...]]) -> Sequence[int]:
    """The order in which most operands are in a row: that of the tape, or sorted."""
    every = range(len(lanes))
    if len(lanes) < FEW or not lanes[0]:
        return every
    heads = [lane[:2] for lane in lanes]
    orders = [
        every,
        sorted(every, key=heads.__getitem__),
        sorted(every, key=[head[::-1] for head in heads].__getitem__),
    ]
    return max(orders, key=lambda order: _in_a_row([heads[j] for j in order]))


def _in_a_row(lanes: Sequence[tuple[int, ...]]) -> int:
    """How many operands, of the first two, are right behind those of the lane before.

    The same operand as there is almost as good.
    """
    found = 0
    for place in zip(*lanes):
        found += 2 * sum(map(eq, place[1:], map(add, place, repeat(1))))
        found += sum(map(eq, place[1:], place))
    return found
