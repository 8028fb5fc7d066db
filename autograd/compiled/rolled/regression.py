"""Where like operations read: lines through the places of their operands.

Places that many operations read in one array are start + step·i + step·j + …, for some
split of their number into indices i, j …; the splits that are tried are the lengths of
the axes of what they read, and where the steps change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, Final

from .loops import Affine, Array, Lookup, Number, Read, Var

SPLITS: Final = 6  # that are tried


class Tables:
    """Tables of numbers or of indices, each once."""

    def __init__(self) -> None:
        self.all: dict[tuple[str, tuple[int, ...]], Array] = {}

    def get(self, numbers: list[float] | list[int], shape: tuple[int, ...]) -> Array:
        key = repr(numbers), shape
        return self.all.setdefault(key, Array(shape, numbers=numbers))


def splits(rows: Sequence[tuple[Array, Sequence[int]]]) -> list[tuple[int, ...]]:
    """Ways to split the operations into indices, given where their operands are."""
    count = len(rows[0][1]) if rows else 1
    found: dict[int, None] = {}
    for array, places in rows:
        for n in (*_breaks(places), *_ends(array.shape, places)):
            if 1 < n < count and count % n == 0 and len(found) < SPLITS:
                found[n] = None
    pairs = [(m, n) for m in found for n in found if n < m and m % n == 0]
    return [
        (count,),
        *[(count // n, n) for n in found],
        *[(count // m, m // n, n) for m, n in pairs],
    ]


def _ends(shape: tuple[int, ...], places: Sequence[int]) -> Iterator[int]:
    """After how many places, of a line through an array, one of its axes ends."""
    step = abs(places[1] - places[0]) if len(places) > 1 else 0
    for k in range(1, len(shape)):
        size = prod(shape[k:])
        if step and size % step == 0:
            yield size // step


def _breaks(places: Sequence[int]) -> Iterator[int]:
    """After how many places the step between two changes, and the step of that."""
    steps = [b - a for a, b in zip(places, places[1:])]
    if not steps:
        return
    first = next((k for k, step in enumerate(steps) if step != steps[0]), None)
    if first is not None:
        yield first + 1
        outer = places[:: first + 1]
        yield from ((first + 1) * n for n in _breaks(outer) if len(outer) > 2)
        yield _period(steps)


def _period(steps: Sequence[int]) -> int:
    """After how many steps they come again, by the borders of what starts them."""
    borders = [0] * len(steps)
    size = 0
    for k in range(1, len(steps)):
        while size and steps[k] != steps[size]:
            size = borders[size - 1]
        size += steps[k] == steps[size]
        borders[k] = size
    return len(steps) - size


def line_through(
    values: Sequence[int], sizes: Sequence[int]
) -> tuple[int, list[int]] | None:
    """start and a step for each index, if the values are on a line."""
    start, stride, steps = values[0], len(values), []
    expected = [start]
    for n in sizes:
        stride //= n
        step = values[stride] - start if n > 1 else 0
        expected = [x + step * k for x in expected for k in range(n)]
        steps.append(step)
    return (start, steps) if expected == values else None


def read(
    array: Array, places: list[int], over: Sequence[Var], tables: Tables
) -> Read | Number:
    """What is read for each value of the indices, by line or by table."""
    if array.numbers is not None:
        return _number([array.numbers[k] for k in places], over, tables)
    sizes = [var.size for var in over]
    line = line_through(places, sizes)
    index = _along_axes(array.shape, *line, sizes, over) if line else None
    if index is None:
        axes = zip(*[unravelled(k, array.shape) for k in places])
        index = tuple([_axis([*axis], over, tables) for axis in axes])
    return Read(array, index)


def unravelled(place: int, shape: Sequence[int]) -> list[int]:
    index = []
    for n in reversed(shape):
        place, i = divmod(place, n)
        index.append(i)
    return index[::-1]


def _along_axes(
    shape: tuple[int, ...],
    start: int,
    steps: list[int],
    sizes: list[int],
    over: Sequence[Var],
) -> tuple[Affine | Lookup, ...] | None:
    """The same line in each axis, if it goes around no end of one."""
    origin = unravelled(start, shape)
    lines: list[list[tuple[Var, int]]] = [[] for _ in shape]
    low, high = [*origin], [*origin]
    for var, step, n in zip(over, steps, sizes):
        if not step:
            continue
        end = start + step * (n - 1)
        if not 0 <= end < prod(shape):
            return None
        for axis, i in enumerate(unravelled(end, shape)):
            each, rest = divmod(i - origin[axis], n - 1)
            if rest:
                return None
            low[axis] += min(0, i - origin[axis])
            high[axis] += max(0, i - origin[axis])
            if each:
                lines[axis].append((var, each))
    if min(low, default=0) < 0 or any(i >= n for i, n in zip(high, shape)):
        return None
    return tuple([Affine(a, tuple(line)) for a, line in zip(origin, lines)])


def _axis(values: list[int], over: Sequence[Var], tables: Tables) -> Affine | Lookup:
    line = line_through(values, [var.size for var in over])
    if line:
        steps = [(var, step) for var, step in zip(over, line[1]) if step]
        return Affine(line[0], tuple(steps))
    values, over = without_needless(values, over)
    shape = tuple([var.size for var in over])
    index = tuple([Affine(0, ((var, 1),)) for var in over])
    return Lookup(tables.get(values, shape), index)


def _number(values: list[float], over: Sequence[Var], tables: Tables) -> Read | Number:
    if len({*map(repr, values)}) == 1:
        return Number(values[0])
    values, over = without_needless(values, over)
    shape = tuple([var.size for var in over])
    return Read(
        tables.get(values, shape), tuple([Affine(0, ((var, 1),)) for var in over])
    )


def without_needless(
    values: list[Any], over: Sequence[Var]
) -> tuple[list[Any], list[Var]]:
    """The values without the indices that they do not depend on."""
    kept, stride = [*over], len(values)
    for var in over:
        stride //= var.size
        block = stride * var.size
        first = [
            x
            for start in range(0, len(values), block)
            for x in values[start : start + stride]
        ]
        again = [
            x
            for start in range(0, len(first), stride)
            for x in first[start : start + stride] * var.size
        ]
        if list(map(repr, again)) == list(map(repr, values)):
            values = first
            kept.remove(var)
    return values, kept
