"""A network as a picture: columns of cards, and between them its weights as lines.

Positions are computed here, so that layers stand in order from left to right and
neurons from top to bottom, and no program is needed to lay the picture out. A line is
blue where its number is above zero and red below, and wider where it is larger. What
would not be legible is left out in steps, and the picture says so: small networks name
each weight on the card it leads to, wide columns get cards of one line, and the widest
end in a card that counts the rest.

    columns[c]       (heading, cards) of one column; a card is (head, note, rows)
    rows             {name: number or None}: a dash stands for None
    edges[c][k][i]   the number on the line from card i of column c to card k of c + 1
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import isfinite
from typing import Final

from ...files import require_suffix, write_file
from ...primitives import brief, clean
from ..notebook import picture_outputs
from .boxes import TALL, Column, Edges, Line, boxes_of, extent_of, lines_of
from .dot import largest_of
from .network_svg import body_of, svg_of
from .render import render
from .saving import save_picture
from .xdot import strokes_in_dot

WIDEST, MOST_LINES, MOST_COLUMNS = 64, 6000, 200
DEEPEST: Final = 10  # columns; of more, FIRST and LAST are drawn, and a count
FIRST, LAST = 3, 2
RENDER_SECONDS: Final = 20.0


@dataclass(frozen=True)
class NetworkDrawing:
    """A drawn network: shown by notebooks, written by `save` and `svg`."""

    title: str
    description: str = field(repr=False)
    text: str = field(repr=False)

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write an SVG, PNG or PDF, as the path's suffix says, and return the path.

        Raises ValueError for another suffix, RuntimeError where PNG or PDF find no
        Graphviz, OSError where the file cannot be written.
        """
        writers = {
            ".svg": self.text.encode,
            ".png": lambda: self._rendered("png"),
            ".pdf": lambda: self._rendered("pdf"),
        }
        return save_picture(path, writers, "draw_network")

    def _rendered(self, form: str) -> bytes:
        return render(strokes_in_dot(self.text), form, RENDER_SECONDS, placed=True)

    def svg(self, path: str | os.PathLike[str] | None = None) -> str:
        """The SVG text or, given a path, the path it is written to.

        Raises OSError where the file cannot be written; it is then left as it was.
        """
        if path is None:
            return self.text
        require_suffix(path, ".svg", "draw_network")
        return write_file(path, self.text.encode(), "draw_network")

    def _repr_svg_(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **kwargs: object) -> dict[str, str]:
        return picture_outputs(self.text, self.title)


def draw_network(
    columns: Sequence[Column], edges: Edges, *, weight: str = "w", title: str
) -> NetworkDrawing:
    """The picture of columns of cards and of the numbers between them.

    A column is (heading, cards), a card (head, note, {name: number}), and
    edges[c][k][i] the number on the line from card i of column c to card k of the next
    one, or None for no line; edges[c] is None where plain lines lead from every card to
    every one. `weight` says what these numbers are.

    >>> inputs = ("inputs", [("x0", "", {"value": 0.5}), ("x1", "", {"value": -1.0})])
    >>> layer = ("layer", [("neuron 0", "tanh", {"z": 1.5, "a": 0.905148, "δ": 1.0})])
    >>> draw_network([inputs, layer], [[[1.0, -1.0]]], title="A neuron").description
    'Columns of cards from left to right, of 2, 1. Lines are w, in blue above ...'

    Raises ValueError if edges do not fit the cards, or there are too many columns.
    """
    _require_fitting(columns, edges)
    title, weight = clean(title, 120), clean(weight, 12)
    key = repr((title, weight, columns, edges)).encode(errors="replace")
    columns, edges = _elided(columns, edges)
    widest = _widest([len(cards) for _, cards in columns])
    boxes = boxes_of(columns, edges, weight, widest)
    lines = lines_of(boxes, edges, weight)
    sizes = ", ".join(str(len(cards) or heading) for heading, cards in columns)
    notes = notes_of(columns, lines, weight, widest)
    description = f"Columns of cards from left to right, of {sizes}. {' '.join(notes)}"
    prefix = "ag" + hashlib.sha256(key).hexdigest()[:10]
    headings = [heading for heading, _ in columns]
    body = "".join(body_of(boxes, lines, headings, prefix))
    text = svg_of(body, extent_of(boxes), notes, prefix, title, description)
    return NetworkDrawing(title, description, text)


# ---- what fits -----------------------------------------------------------------------


def _require_fitting(columns: Sequence[Column], edges: Edges) -> None:
    for argument, given in (("columns", columns), ("edges", edges)):
        if not isinstance(given, Sequence):
            raise TypeError(
                f"draw_network: {argument} must be a list, but is {brief(given)}; see "
                "help(autograd.draw_network)"
            )
    sizes = [len(cards) for _, cards in columns]
    if not 1 <= len(sizes) <= MOST_COLUMNS or 0 in sizes:
        raise ValueError(
            f"draw_network: columns must be 1 to {MOST_COLUMNS}, each with a card, but "
            f"are {len(sizes)} with {min(sizes, default=0)} or more; draw a part of "
            "the network"
        )
    wanted = [(after, before) for before, after in pairwise(sizes)]
    found = [
        wanted[c : c + 1][0]
        if rows is None and c < len(wanted)
        else (len(rows or ()), *sorted({len(row) for row in rows or ()}))
        for c, rows in enumerate(edges)
    ]
    if found != wanted:
        raise ValueError(
            "draw_network: edges must have, between two columns, a row for each card "
            f"of the second with a number for each of the first, {_brief(wanted)}, "
            f"but have {_brief(found)}; write None where there is no line"
        )


def _brief(shapes: Sequence[tuple[int, ...]]) -> str:
    shown = ", ".join("×".join(map(str, shape)) for shape in shapes[:4])
    return (shown or "none") + (", …" if len(shapes) > 4 else "")


def _elided(columns: Sequence[Column], edges: Edges) -> tuple[Sequence[Column], Edges]:
    """The first and last columns, and between them one without cards that counts."""
    hidden = len(columns) - FIRST - LAST
    if len(columns) <= DEEPEST:
        return columns, edges
    last = LAST + (edges[-1] is None)  # what plain lines lead to is no layer
    hidden = len(columns) - FIRST - last
    gap: Column = (f"… {hidden} layers like this …", [])
    shown = [*columns[:FIRST], gap, *columns[-last:]]
    return shown, [*edges[: FIRST - 1], [], [], *edges[1 - last :]]


def _widest(sizes: Sequence[int]) -> int:
    """How many cards a column may show, so that there are not too many lines."""
    for widest in range(min(WIDEST, max(sizes)), 1, -1):
        shown = [min(size, widest) for size in sizes]
        if sum(a * b for a, b in pairwise(shown)) <= MOST_LINES:
            return widest
    return 1


# ---- words below ---------------------------------------------------------------------


def notes_of(
    columns: Sequence[Column], lines: list[Line], weight: str, widest: int
) -> list[str]:
    top = largest_of(line.number for line in lines)
    finite = all(isfinite(line.number or 0.0) for line in lines)
    notes = [
        f"Lines are {weight}, in blue above zero, in red below, wider where larger; "
        f"the largest {'' if finite else 'finite one '}is {top:.6g} in size."
    ]
    hidden = sum(max(0, len(cards) - widest) for _, cards in columns)
    if hidden:
        notes.append(
            f"Columns show at most {widest} of their cards; not drawn are {hidden} "
            "more, and the lines from and to these."
        )
    if max(min(len(cards), widest) for _, cards in columns) > TALL:
        notes.append(
            "Small cards show one number, and δ as a colour; point at one for all."
        )
    return notes
