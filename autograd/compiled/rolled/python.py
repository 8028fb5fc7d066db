"""Groups run by Python: what runs where C was not built, and where NumPy is not either.

A group is a step: from the slots so far it gives the numbers of its lanes, in order.
Few lanes are a loop of Python over floats, which `map` goes through; many are vectors
of NumPy, if it is there. NumPy's arithmetic, comparisons and roots are rounded as
Python's; its exponentials and sines are not those of the C library, so they and the
users' rows go lane by lane through the row itself. The bits are those of the tape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from itertools import count
from operator import add, eq, itemgetter, mul, sub
from typing import Any, Final, NamedTuple

from ... import primitives as p
from ...primitives import ARITHMETIC_ERRORS
from ..source import Once, Source
from ..tape import Tape
from .groups import MASKED, NEGATIVE, PRODUCT, Group, Grouped, groups

Slots = Any  # a list or an array of floats
Step = Callable[[Slots], Iterable[float]]

NARROW: Final = 25  # instructions in a group: Python runs as many in the time of one
OFTEN: Final = 30  # calls that cost as much as to generate Python


def compile(tape: Tape) -> RolledInPython:
    """The tape as rolled code in Python.

    >>> from autograd.primitives import mul, sin
    >>> from autograd.compiled.tape import Instruction
    >>> tape = Tape(1, (Instruction(mul, (0, 0)), Instruction(sin, (1,))), (2,))
    >>> compile(tape).scalar([2.0])
    ((-0.7568024953079282,), -1)
    """
    return RolledInPython(tape)


class RolledInPython:
    """A tape that runs group by group, at one point.

    Where groups have few lanes, generated Python is faster once it is there: it takes
    over after some calls.
    """

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self._calls = 0

    @Once
    def _straight(self) -> Source | None:
        """Generated Python, if it is faster, or must be: it looks at guards in time."""
        narrow = len(self.tape.code) < NARROW * len(self.groups.groups)
        return Source(self.tape) if narrow or self._keeps_out else None

    @Once
    def _keeps_out(self) -> bool:
        """Whether users' rows stand behind guards, and must not see what those stop."""
        first = self.tape.guards[0].after if self.tape.guards else len(self.tape.code)
        known = vars(p)
        return any(known.get(row.name) is not row for row, _ in self.tape.code[first:])

    @Once
    def groups(self) -> Grouped:
        """What runs."""
        return groups(self.tape)

    @property
    def blocks(self) -> int:
        """How many loops there are."""
        return len(self.groups.groups)

    @Once
    def _run(self) -> Callable[[Sequence[float]], Slots]:
        try:
            from .vectors import Vectors
        except Exception:  # no NumPy, or a broken one
            return Loops(self.groups).run
        return Vectors(self.groups).run

    def scalar(self, xs: Sequence[float]) -> tuple[tuple[float, ...], int]:
        """(outputs, -1) at a point, or ((), the index of the first guard that fails).

        Everything runs before guards are looked at, if it is of the table. Users' rows
        are called in another order than theirs: which refuses first, the tape says.
        """
        if self._calls < OFTEN and not self._keeps_out:
            self._calls += 1
        elif self._straight:
            return self._straight.scalar(xs)
        try:
            slots = self._run(xs)
        except Exception:
            return self.tape.run(xs)
        for index, (slot, expected) in enumerate(self.groups.guards):
            if (slots[slot] != 0.0) is not expected:
                return (), index
        return tuple([slots[x] for x in self.groups.outputs]), -1

    def entry(self) -> None:
        """There is no machine code that C could call."""


class Loops:
    """Groups as loops over floats."""

    def __init__(self, rolled: Grouped) -> None:
        self.constants = rolled.constants
        self.steps = [(group.slot, *steps(group)) for group in rolled.groups]

    def run(self, xs: Sequence[float]) -> list[float]:
        """All slots at a point."""
        slots = [*xs, *self.constants]
        for slot, step, otherwise in self.steps:
            try:
                slots += step(slots)
            except ARITHMETIC_ERRORS:  # Python's way to say inf or nan
                del slots[slot:]
                slots += otherwise(slots)
        return slots


def steps(group: Group) -> tuple[Step, Step]:
    """A group as a loop, and the same for where Python's arithmetic raises."""
    if isinstance(group.kind, tuple):
        return (summed(group),) * 2
    row = group.kind
    fast = row.raw if vars(p).get(row.name) is row else row.value
    return mapped(fast, group.places), mapped(row.value, group.places)


def mapped(f: Callable[..., float], places: Sequence[Sequence[int]]) -> Step:
    """f on the operands of each lane."""
    if not places:
        return lambda slots: [f()]
    if len(places) == 1:
        read = reader(places[0])
        return lambda slots: map(f, read(slots))
    if len(places) == 2:
        left, right = map(reader, places)
        return lambda slots: map(f, left(slots), right(slots))
    reads = [reader(place) for place in places]
    return lambda slots: map(f, *[read(slots) for read in reads])


def reader(place: Sequence[int]) -> Callable[[Slots], Sequence[float]]:
    """What gives the numbers of some slots."""
    if len(place) < 2:
        return lambda slots: [slots[x] for x in place]
    if all(map(eq, place, count(place[0]))):
        return itemgetter(slice(place[0], place[-1] + 1))
    return itemgetter(*place)


# ---- sums ----------------------------------------------------------------------------


class Terms(NamedTuple):
    """A sum by its terms: what they are, which have a factor, a sign, a mask."""

    x: list[tuple[int, ...]]  # of each term, in all lanes
    products: list[int]
    y: list[tuple[int, ...]]  # the other factors of those
    negative: list[int]
    masked: list[int]
    mask: list[tuple[int, ...]]


def terms(group: Group) -> Terms:
    """The terms of a group that is a sum."""
    found, places = Terms([], [], [], [], [], []), iter(group.places)
    for i, flags in enumerate(group.kind if isinstance(group.kind, tuple) else ()):
        found.x.append(next(places))
        if flags & PRODUCT:
            found.products.append(i)
            found.y.append(next(places))
        if flags & NEGATIVE:
            found.negative.append(i)
        if flags & MASKED:
            found.masked.append(i)
            found.mask.append(next(places))
    return found


def summed(group: Group) -> Step:
    """A sum: with more lanes than terms each term in all lanes, else lane by lane."""
    parts = terms(group)
    if len(parts.x) <= group.lanes:
        return _by_terms(parts, group.lanes)
    totals = [_of_lane(parts, lane) for lane in range(group.lanes)]
    return lambda slots: [total(slots) for total in totals]


def _by_terms(parts: Terms, lanes: int) -> Step:
    factors = dict(zip(parts.products, parts.y))
    masks = {i: reader(mask) for i, mask in zip(parts.masked, parts.mask)}
    steps = [
        (
            mapped(mul, [x, factors[i]]) if i in factors else reader(x),
            sub if i in parts.negative else add,
            masks.get(i),
        )
        for i, x in enumerate(parts.x)
    ]

    def step(slots: Slots) -> Sequence[float]:
        total = [-0.0] * lanes
        for value, sign, mask in steps:
            more = map(sign, total, value(slots))
            total = [*map(_unless, mask(slots), total, more)] if mask else [*more]
        return total

    return step


def _unless(absent: float, total: float, more: float) -> float:
    return total if absent else more


def _of_lane(parts: Terms, lane: int) -> Callable[[Slots], float]:
    """The sum in one lane: what is left out is -0.0, which adds nothing."""
    x, y, mask = (
        reader([place[lane] for place in places])
        for places in (parts.x, parts.y, parts.mask)
    )
    if len(parts.y) == len(parts.x) and not (parts.negative or parts.masked):
        return lambda slots: reduce(add, map(mul, x(slots), y(slots)), -0.0)

    def total(slots: Slots) -> float:
        values = [*x(slots)]
        for i, factor in zip(parts.products, y(slots)):
            values[i] *= factor
        for i in parts.negative:
            values[i] = -values[i]
        for i, absent in zip(parts.masked, mask(slots)):
            if absent:
                values[i] = -0.0
        return reduce(add, values, -0.0)

    return total
