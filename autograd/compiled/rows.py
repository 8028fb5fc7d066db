"""Rows of memory as vectors of lanes, and back, as the text of LLVM code.

A point's numbers often lie side by side, (N, k) arrays hold nothing else, but the code
of a tape wants the lanes side by side. So up to eight rows by eight columns at a time
are loaded, transposed in registers and used where they are, and results go back the
same way. A column that is side by side anyway is one load.

    group    neighbouring columns of one stride: all that the code has to know before
    block    8, 4, 2 columns or 1 of a group, which are transposed together
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from .lower import Writer

WIDTH: Final = 8  # lanes of a vector, on every processor: LLVM splits it where it must
BLOCKS: Final = (8, 4, 2, 1)


class Group(NamedTuple):
    """Columns next to each other: from a slot (or an output) on, so many.

    dense   one column whose lanes are next to each other
    """

    slot: int
    size: int
    dense: bool


class Block(NamedTuple):
    """Columns of a group that travel together: which group, from where, how many."""

    group: int
    start: int
    size: int


def blocks_of(groups: Sequence[Group]) -> dict[int, tuple[Block, int]]:
    """For each slot, its block and its place there.

    >>> [block for block, i in blocks_of([Group(0, 11, False)]).values() if i == 0]
    [Block(group=0, start=0, size=8), Block(group=0, start=8, size=2), \
Block(group=0, start=10, size=1)]
    """
    found = {}
    for g, group in enumerate(groups):
        start = 0
        while start < group.size:
            size = next(b for b in BLOCKS if b <= group.size - start)
            block = Block(g, start, size)
            for i in range(size):
                found[group.slot + start + i] = block, i
            start += size
    return found


class Rows:
    """The code that reaches the rows of a table of groups, for one vector of lanes.

    The table has three numbers for each group: how many columns, the address of its
    first row, and the distance from row to row in bytes.
    """

    def __init__(self, table: str, groups: Sequence[Group]) -> None:
        self.table, self.groups = table, groups
        self.blocks = blocks_of(groups)
        self._rows: dict[int, list[str]] = {}

    def start(self) -> None:
        """Forget the names of the function before."""
        self._rows = {}

    def load(self, w: Writer, block: Block) -> list[str]:
        """The columns of a block as vectors."""
        places = self._places(w, block)
        if self.groups[block.group].dense:
            return [w.load(places[0])]
        size = block.size
        if size == 1:
            return [_together(w, [w.load(place, "double") for place in places])]
        rows = [w.load(place, f"<{size} x double>") for place in places]
        return _columns(w, rows, size)

    def store(self, w: Writer, block: Block, columns: Sequence[str]) -> None:
        """Write vectors to the columns of a block."""
        places = self._places(w, block)
        size = block.size
        if self.groups[block.group].dense:
            w.store(columns[0], places[0])
            return
        kind = f"<{size} x double>" if size > 1 else "double"
        for row, place in zip(_rows(w, columns, size), places):
            w.lines.append(f"  store {kind} {row}, ptr {place}, align 8")

    def _places(self, w: Writer, block: Block) -> list[str]:
        if block.group not in self._rows:
            self._rows[block.group] = list(self._first_places(w, block.group))
        rows = self._rows[block.group]
        return [w.at(row, block.start) if block.start else row for row in rows]

    def _first_places(self, w: Writer, g: int) -> Iterator[str]:
        """Where the group's columns begin in each of eight rows."""
        address = w.load(w.at(self.table, 3 * g + 1, "i64"), "ptr")
        if self.groups[g].dense:
            yield w.line(f"getelementptr double, ptr {address}, i64 %at")
            return
        stride = w.load(w.at(self.table, 3 * g + 2, "i64"), "i64")
        offset = w.line(f"mul i64 %at, {stride}")
        row = w.line(f"getelementptr i8, ptr {address}, i64 {offset}")
        yield row
        for _ in range(WIDTH - 1):
            row = w.line(f"getelementptr i8, ptr {row}, i64 {stride}")
            yield row


def shuffle(w: Writer, x: str, y: str, size: int, lanes: Sequence[int]) -> str:
    """These lanes of two vectors of a size, those of y counted on from those of x."""
    mask = ", ".join([f"i32 {i}" for i in lanes])
    kind = f"<{size} x double>"
    return w.line(
        f"shufflevector {kind} {x}, {kind} {y}, <{len(lanes)} x i32> <{mask}>"
    )


def _together(w: Writer, numbers: Sequence[str]) -> str:
    z = "poison"
    for i, x in enumerate(numbers):
        z = w.line(f"insertelement <{WIDTH} x double> {z}, double {x}, i32 {i}")
    return z


def _columns(w: Writer, rows: list[str], size: int) -> list[str]:
    """Eight rows of so many numbers as that many vectors of eight."""
    held = size
    while held < WIDTH:  # in vector i come rows i, i + size, i + 2·size …
        every = range(2 * held)
        pairs = [
            (rows[first + i], rows[first + size + i])
            for first in range(0, len(rows), 2 * size)
            for i in range(size)
        ]
        rows = [shuffle(w, x, y, held, every) for x, y in pairs]
        held *= 2
    return _transposed(w, rows)


def _rows(w: Writer, columns: Sequence[str], size: int) -> list[str]:
    """The reverse: vectors of eight as eight rows of so many numbers."""
    if size == 1:
        return [
            w.line(f"extractelement <{WIDTH} x double> {columns[0]}, i32 {i}")
            for i in range(WIDTH)
        ]
    rows, held = _transposed(w, list(columns)), WIDTH
    while held > size:
        held //= 2
        halves = range(held), range(held, 2 * held)
        rows = [
            shuffle(w, row, "poison", 2 * held, half)
            for first in range(0, len(rows), size)
            for half in halves
            for row in rows[first : first + size]
        ]
    return rows


def _transposed(w: Writer, rows: list[str]) -> list[str]:
    """The squares in vectors of eight turned: 8 by 8, or two 4 by 4, or four 2 by 2.

    Halves of the squares change places, then their quarters …; it is its own reverse.
    """
    half = len(rows) // 2
    while half:
        high = [bool(lane & half) for lane in range(WIDTH)]
        upper = [i - half + WIDTH if h else i for i, h in enumerate(high)]
        lower = [i + WIDTH if h else i + half for i, h in enumerate(high)]
        rows = [
            shuffle(w, rows[i - half], row, WIDTH, lower)
            if i & half
            else shuffle(w, row, rows[i + half], WIDTH, upper)
            for i, row in enumerate(rows)
        ]
        half //= 2
    return rows


# ---- what lies in memory -------------------------------------------------------------


class Found(NamedTuple):
    """The groups of some columns, and the table that tells the code where they are."""

    groups: tuple[Group, ...]
    table: list[int]


def find_groups(columns: Sequence[Any]) -> Found:
    """Columns next to each other in groups; what is no array is left out."""
    found: list[list[int]] = []
    after = -1  # the address of a column that would go on with the group
    for slot, column in enumerate(columns):
        if not isinstance(column, np.ndarray):
            continue
        address, stride = column.__array_interface__["data"][0], column.strides[0]
        if address == after:
            last = found[-1]
            if stride == last[3] and slot == last[0] + last[1]:
                last[1] += 1
                after += 8
                continue
        found.append([slot, 1, address, stride])
        after = -1 if stride == 8 else address + 8
    groups = [Group(slot, size, stride == 8) for slot, size, _, stride in found]
    return Found(tuple(groups), [x for group in found for x in group[1:]])


def address_of(array: Any) -> int:
    return int(array.__array_interface__["data"][0])
