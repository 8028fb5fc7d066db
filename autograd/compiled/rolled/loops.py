"""A tape as loops over arrays, to be read: h[o] = Σ_r w[o, r]·x[r]. Tests run it, too.

Like operations that read the same arrays are one loop. Where they read is found by
regression: the places of lane o and term r are a + b·o + c·r along each axis, and o may
be two or three indices; what fits no such line is looked up in a table. What only one
other loop needs, each number once, is written there.

    array     numbers by a name and indices: inputs, tables, and what a loop writes
    over      the indices that a loop, or a sum, runs over
    part      terms of a sum that are alike
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, NamedTuple

from ...primitives import Primitive


@dataclass(eq=False)
class Array:
    """Numbers in order, the last index first; those of a table are known."""

    shape: tuple[int, ...]
    name: str = ""
    numbers: list[Any] | None = None

    def place(self, index: Sequence[int]) -> int:
        at = 0
        for i, size in zip(index, self.shape):
            at = at * size + i
        return at


@dataclass(eq=False)
class Var:
    """An index that runs from 0 to size - 1, or down to 0."""

    size: int
    down: bool = False

    def values(self) -> range:
        return range(self.size - 1, -1, -1) if self.down else range(self.size)


class Affine(NamedTuple):
    """start + step·var + …"""

    start: int
    steps: tuple[tuple[Var, int], ...] = ()

    def at(self, now: dict[Var, int]) -> int:
        return self.start + sum([step * now[var] for var, step in self.steps])

    def after(self, change: dict[Var, Affine]) -> Affine:
        """The same with variables replaced by what they are in others."""
        start, steps = self.start, dict[Var, int]()
        for var, step in self.steps:
            inner = change.get(var, Affine(0, ((var, 1),)))
            start += step * inner.start
            for other, more in inner.steps:
                steps[other] = steps.get(other, 0) + step * more
        return Affine(start, tuple([(v, step) for v, step in steps.items() if step]))


class Lookup(NamedTuple):
    """A number of a table."""

    table: Array
    places: tuple[Affine, ...]

    def at(self, now: dict[Var, int]) -> int:
        assert self.table.numbers is not None
        place = self.table.place([each.at(now) for each in self.places])
        return int(self.table.numbers[place])

    def after(self, change: dict[Var, Affine]) -> Lookup:
        return Lookup(self.table, tuple([each.after(change) for each in self.places]))


class Number(NamedTuple):
    """A constant."""

    value: float


class Read(NamedTuple):
    """An element of an array."""

    array: Array
    places: tuple[Affine | Lookup, ...]


class Call(NamedTuple):
    """A row on expressions."""

    row: Primitive
    args: tuple[Expression, ...]


class Part(NamedTuple):
    """Terms of a sum: one, or one for each value of the indices that it is over."""

    factors: tuple[Expression, ...]
    negative: bool = False
    mask: Expression | None = None
    over: tuple[Var, ...] = ()


class Fold(NamedTuple):
    """A sum, term after term; or a row of any number of operands, which are terms.

    start   what a sum begins with: -0.0, which is nothing, or 0.0, as in Python's sum
    """

    row: Primitive | None
    parts: tuple[Part, ...]
    start: Expression = Number(-0.0)


Expression = Number | Read | Call | Fold


@dataclass(eq=False)
class Loop:
    """For each value of the indices, one element of an array.

    ahead   indices of the array before these: which part of it is written
    """

    array: Array
    over: tuple[Var, ...]
    value: Expression
    ahead: tuple[Affine, ...] = ()


@dataclass(eq=False)
class Check:
    """What has to be true, or false, for each value of the indices."""

    guards: list[int]  # their numbers, in the order of the indices
    over: tuple[Var, ...]
    value: Expression
    expected: bool
    place: str
    ahead: tuple[Affine, ...] = ()


@dataclass(eq=False)
class Repeat:
    """Lines that are run for each value of an index, one after the other."""

    var: Var
    lines: list[Statement]


Statement = Loop | Check | Repeat


@dataclass
class Program:
    """Loops and checks in an order in which they can run.

    inputs    the array and the place in it of each input
    outputs   expressions, each with the indices that it is for
    """

    inputs: list[tuple[Array, int]]
    lines: list[Statement]
    outputs: list[tuple[Expression, tuple[Var, ...]]]

    def run(self, xs: Sequence[float]) -> tuple[tuple[float, ...], int]:
        """(outputs, -1) at a point, or ((), the index of the first guard that fails).

        What it gives is what the text says, number by number.
        """
        stored: dict[Array, list[float]] = {}
        for (array, place), x in zip(self.inputs, xs):
            _numbers(array, stored)[place] = x
        failed = [k for line in self.lines for k in _failed(line, {}, stored)]
        if failed:
            return (), min(failed)
        ys = [value(y, now, stored) for y, over in self.outputs for now in each(over)]
        return tuple(ys), -1

    def flat(self) -> Iterator[Loop | Check]:
        """The lines, and those within them."""
        for line in self.lines:
            for inner in line.lines if isinstance(line, Repeat) else [line]:
                assert not isinstance(inner, Repeat)
                yield inner


def _failed(
    line: Statement, now: dict[Var, int], stored: dict[Array, list[float]]
) -> Iterator[int]:
    """Run a line; gives the guards that fail."""
    if isinstance(line, Repeat):
        for k in line.var.values():
            for inner in line.lines:
                yield from _failed(inner, {**now, line.var: k}, stored)
        return
    found = [value(line.value, {**now, **more}, stored) for more in each(line.over)]
    start = 0
    for i, n in zip(line.ahead, line.array.shape if isinstance(line, Loop) else (0,)):
        start = start * n + i.at(now)
    start *= len(found)
    if isinstance(line, Loop):
        _numbers(line.array, stored)[start : start + len(found)] = found
        return
    for guard, x in zip(line.guards[start:], found):
        if (x != 0.0) is not line.expected:
            yield guard


def _numbers(array: Array, stored: dict[Array, list[float]]) -> list[float]:
    if array not in stored:
        stored[array] = [0.0] * prod(array.shape)
    return stored[array]


def each(over: Iterable[Var]) -> Iterator[dict[Var, int]]:
    """All values of some indices, the last one first."""
    variables = [*over]
    for values in product(*[var.values() for var in variables]):
        yield dict(zip(variables, values))


def value(
    x: Expression, now: dict[Var, int], stored: dict[Array, list[float]]
) -> float:
    """An expression for some values of the indices."""
    if isinstance(x, Number):
        return x.value
    if isinstance(x, Read):
        numbers = x.array.numbers or stored[x.array]
        return float(numbers[x.array.place([i.at(now) for i in x.places])])
    if isinstance(x, Call):
        return x.row.value(*[value(arg, now, stored) for arg in x.args])
    terms = [
        (part, term)
        for part in x.parts
        for more in each(part.over)
        if (term := _term(part, {**now, **more}, stored)) is not None
    ]
    if x.row is not None:
        return x.row.value(*[term for _, term in terms])
    total = value(x.start, now, stored)
    for part, term in terms:
        total = total - term if part.negative else total + term
    return total


def _term(
    part: Part, now: dict[Var, int], stored: dict[Array, list[float]]
) -> float | None:
    """A term, or None where it is left out."""
    if part.mask is not None and value(part.mask, now, stored) != 0.0:
        return None
    x, *others = [value(factor, now, stored) for factor in part.factors]
    return x * others[0] if others else x


# ---- expressions within others -------------------------------------------------------


def inside(x: Expression) -> Iterator[Expression]:
    """The expressions that one is made of."""
    if isinstance(x, Call):
        yield from x.args
    elif isinstance(x, Fold):
        for part in x.parts:
            yield from part.factors
            if part.mask is not None:
                yield part.mask


def size(x: Expression) -> int:
    return 1 + sum(map(size, inside(x)))


def reads(x: Expression, times: int = 1) -> Iterator[tuple[Read, int]]:
    """Each element that is read, and how often for one value of an expression."""
    if isinstance(x, Read):
        yield x, times
    elif isinstance(x, Call):
        for arg in x.args:
            yield from reads(arg, times)
    elif isinstance(x, Fold):
        for part in x.parts:
            often = times * prod([var.size for var in part.over])
            for factor in (*part.factors, *([part.mask] if part.mask else [])):
                yield from reads(factor, often)


def changed(x: Expression, change: Callable[[Read], Expression]) -> Expression:
    """An expression in which every element that is read has become something else."""
    if isinstance(x, Read):
        return change(x)
    if isinstance(x, Call):
        return Call(x.row, tuple([changed(arg, change) for arg in x.args]))
    if isinstance(x, Fold):
        parts = [
            part._replace(
                factors=tuple([changed(factor, change) for factor in part.factors]),
                mask=changed(part.mask, change) if part.mask else None,
            )
            for part in x.parts
        ]
        return Fold(x.row, tuple(parts), changed(x.start, change))
    return x


def replaced(x: Expression, known: dict[Array, Loop]) -> Expression:
    """An expression in which the elements of some arrays are what they are."""

    def change(r: Read) -> Expression:
        loop = known.get(r.array)
        if loop is None:
            return r
        places = zip(loop.over, r.places)
        return moved(loop.value, {v: i for v, i in places if isinstance(i, Affine)})

    return changed(x, change)


def moved(x: Expression, change: dict[Var, Affine]) -> Expression:
    """An expression at other values of its indices."""
    return changed(
        x, lambda r: Read(r.array, tuple([i.after(change) for i in r.places]))
    )
