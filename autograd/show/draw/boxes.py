"""Where the cards and lines of a drawn network stand: columns from left to right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from .dot import FILLS, largest_of, share_of

Rows = Mapping[str, float | None]
CardText = tuple[str, str, Rows]
Column = tuple[str, Sequence[CardText]]
Numbers = Sequence[Sequence[float | None]]
Edges = Sequence[Numbers | None]

NAMED: Final = 6  # cards in a column, and lines to a card, where each line has a row
TALL: Final = 12  # cards in a column that have room for all their rows
SHADED: Final = ("δ", "grad")  # rows coloured by sign and size

WIDTH, HEAD, ROW, MARGIN = 150.0, 24.0, 20.0, 14.0
NARROW: Final = 40.0  # a column that counts those that are not drawn
SMALL, SMALL_HEAD = 18.0, 62.0  # cards of one line


@dataclass
class Box:
    """One card with its place, its top left corner."""

    head: str
    note: str
    rows: list[tuple[str, float | None]]
    fill: str
    small: bool
    named: bool = False  # whether its first rows are the lines leading here
    rest: bool = False  # whether it counts the cards that are not shown
    x: float = 0.0
    y: float = 0.0

    @property
    def height(self) -> float:
        return SMALL if self.small else HEAD + ROW * len(self.rows)

    def entry(self, i: int, lines: int) -> float:
        """The height at which line i of so many arrives: its row, or spread evenly."""
        if self.named:
            return self.y + HEAD + ROW * (i + 0.5)
        if self.small:
            return self.y + self.height / 2
        return self.y + self.height * (i + 1) / (lines + 1)

    @property
    def shade(self) -> list[float]:
        return [x for name, x in self.rows if name in SHADED and x is not None]


def boxes_of(
    columns: Sequence[Column], edges: Edges, weight: str, widest: int
) -> list[list[Box]]:
    """A list of placed boxes for each column; a clipped one ends in a count."""
    named = max(len(cards) for _, cards in columns) <= NAMED
    boxes = []
    for c, (_, cards) in enumerate(columns):
        column = []
        for k, (head, note, rows) in enumerate(cards[:widest]):
            rows_here = edges[c - 1] if c else None
            named_lines = rows_here[k] if named and rows_here else []
            all_rows = [(f"{weight}{i}", x) for i, x in enumerate(named_lines)]
            all_rows += rows.items()
            ends = c > 0 and edges[c - 1] is None
            fill = FILLS["call" if ends else "op" if c else "input"]
            small = min(len(cards), widest) > TALL
            column.append(Box(head, note, all_rows, fill, small, bool(named_lines)))
        if len(cards) > widest:
            more = f"… {len(cards) - widest} more"
            column.append(Box(more, "", [], "none", True, rest=True))
        boxes.append(column)
    _place(boxes)
    return boxes


def _place(boxes: list[list[Box]]) -> None:
    """Columns from left to right, centred; wider gaps where lines are steeper."""
    heights = [height_of(column) for column in boxes]
    tallest, x = max(heights), MARGIN
    elided = not all(boxes)
    gap = 80.0 if elided else min(100.0 + 0.15 * tallest, 320.0)
    for column, height in zip(boxes, heights):
        y = MARGIN + ROW + (tallest - height) / 2
        for box in column:
            box.x, box.y = x, y
            y += box.height + _space(column)
        x += (WIDTH if column else NARROW) + gap


def height_of(column: list[Box]) -> float:
    return (
        0.0
        if not column
        else sum(box.height for box in column) + _space(column) * (len(column) - 1)
    )


def _space(column: list[Box]) -> float:
    return 4.0 if column and column[0].small else 14.0


def extent_of(boxes: list[list[Box]]) -> tuple[float, float]:
    last = boxes[-1][0]
    return last.x + WIDTH, max(
        column[-1].y + column[-1].height for column in boxes if column
    )


@dataclass(frozen=True)
class Line:
    """One number between two boxes, with the ends of its line."""

    number: float | None  # none of a plain line
    x1: float
    y1: float
    x2: float
    y2: float
    tooltip: str

    @property
    def kind(self) -> str:
        if not self.number:
            return "grey"
        return "plus" if self.number > 0.0 else "minus" if self.number < 0.0 else "nan"


def lines_of(boxes: list[list[Box]], edges: Edges, weight: str) -> list[Line]:
    """The lines between boxes that are shown, the smallest first."""
    found = []
    for (before, after), numbers in zip(pairwise(boxes), edges):
        plain = [[0.0] * len(before)] * len(after)
        for box, row in zip(after, plain if numbers is None else numbers):
            tails = [] if box.rest else [tail for tail in before if not tail.rest]
            for i, (tail, x) in enumerate(zip(tails, row)):
                if x is not None:
                    y1, y2 = tail.y + tail.height / 2, box.entry(i, len(tails))
                    tip = f"{tail.head} → {box.head}"
                    number = None if numbers is None else x
                    tip += "" if number is None else f": {weight}{i} = {x!r}"
                    found.append(Line(number, tail.x + WIDTH, y1, box.x, y2, tip))
    top = largest_of(line.number for line in found)
    return sorted(found, key=lambda line: share_of(line.number or 0.0, top))
