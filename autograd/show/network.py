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
import html
import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from math import isfinite
from typing import Final

from ..files import require_suffix, write_file
from ..primitives import brief, clean
from .draw import COLOURS, FILLS, _largest, _shade, _share
from .render import shown_size

Rows = Mapping[str, float | None]
CardText = tuple[str, str, Rows]
Column = tuple[str, Sequence[CardText]]
Edges = Sequence[Sequence[Sequence[float | None]]]

NAMED: Final = 6  # cards in a column, and lines to a card, where each line has a row
TALL: Final = 12  # cards in a column that have room for all their rows
WIDEST, MOST_LINES, MOST_COLUMNS = 64, 6000, 200
ARROWHEADS, TOOLTIPS, SOLID = 150, 600, 300  # numbers of lines

WIDTH, HEAD, ROW, MARGIN = 150.0, 24.0, 20.0, 14.0
SMALL, SMALL_HEAD = 18.0, 62.0  # cards of one line
NOTE_WIDTH: Final = 66  # characters on a line below the picture
SHADED: Final = ("δ", "grad")  # rows coloured by sign and size
FONTS: Final = "Helvetica,Arial,sans-serif"
DARK: Final = {
    "plus": "#58a6ff", "minus": "#ff7b72", "nan": "#ffa657", "grey": "#9aa4b2",
}  # fmt: skip


@dataclass(frozen=True)
class NetworkDrawing:
    """A drawn network: shown by notebooks, written by `svg`."""

    title: str
    description: str = field(repr=False)
    text: str = field(repr=False)

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


def draw_network(
    columns: Sequence[Column], edges: Edges, *, weight: str = "w", title: str
) -> NetworkDrawing:
    """The picture of columns of cards and of the numbers between them.

    A column is (heading, cards), a card (head, note, {name: number}), and
    edges[c][k][i] the number on the line from card i of column c to card k of the next
    one, or None for no line. `weight` says what these numbers are.

    >>> inputs = ("inputs", [("x0", "", {"value": 0.5}), ("x1", "", {"value": -1.0})])
    >>> layer = ("layer", [("neuron 0", "tanh", {"z": 1.5, "a": 0.905148, "δ": 1.0})])
    >>> draw_network([inputs, layer], [[[1.0, -1.0]]], title="A neuron").description
    'Columns of cards from left to right, of 2, 1. Lines are w, in blue above ...'

    Raises ValueError if edges do not fit the cards, or there are too many columns.
    """
    _require_fitting(columns, edges)
    title, weight = clean(title, 120), clean(weight, 12)
    widest = _widest([len(cards) for _, cards in columns])
    boxes = _boxes(columns, edges, weight, widest)
    lines = _lines(boxes, edges, weight)
    sizes = ", ".join(str(len(cards)) for _, cards in columns)
    notes = _notes(columns, lines, weight, widest)
    description = f"Columns of cards from left to right, of {sizes}. {' '.join(notes)}"
    key = repr((title, weight, columns, edges)).encode(errors="replace")
    prefix = "ag" + hashlib.sha256(key).hexdigest()[:10]
    headings = [heading for heading, _ in columns]
    body = "".join(_body(boxes, lines, headings, prefix))
    text = _svg(body, _extent(boxes), notes, prefix, title, description)
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
    found = [(len(rows), *sorted({len(row) for row in rows})) for rows in edges]
    if found != wanted:
        raise ValueError(
            "draw_network: edges must have, between two columns, a row for each card "
            f"of the second with a number for each of the first, {_brief(wanted)}, "
            f"but have {_brief(found)}; write None where there is no line"
        )


def _brief(shapes: Sequence[tuple[int, ...]]) -> str:
    shown = ", ".join("×".join(map(str, shape)) for shape in shapes[:4])
    return (shown or "none") + (", …" if len(shapes) > 4 else "")


def _widest(sizes: Sequence[int]) -> int:
    """How many cards a column may show, so that there are not too many lines."""
    for widest in range(min(WIDEST, max(sizes)), 1, -1):
        shown = [min(size, widest) for size in sizes]
        if sum(a * b for a, b in pairwise(shown)) <= MOST_LINES:
            return widest
    return 1


# ---- where everything stands ---------------------------------------------------------


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


def _boxes(
    columns: Sequence[Column], edges: Edges, weight: str, widest: int
) -> list[list[Box]]:
    """A list of placed boxes for each column; a clipped one ends in a count."""
    named = max(len(cards) for _, cards in columns) <= NAMED
    boxes = []
    for c, (_, cards) in enumerate(columns):
        column = []
        for k, (head, note, rows) in enumerate(cards[:widest]):
            named_lines = edges[c - 1][k] if named and c else []
            all_rows = [(f"{weight}{i}", x) for i, x in enumerate(named_lines)]
            all_rows += rows.items()
            fill = FILLS["op" if c else "input"]
            small = min(len(cards), widest) > TALL
            column.append(Box(head, note, all_rows, fill, small, named and c > 0))
        if len(cards) > widest:
            more = f"… {len(cards) - widest} more"
            column.append(Box(more, "", [], "none", True, rest=True))
        boxes.append(column)
    _place(boxes)
    return boxes


def _place(boxes: list[list[Box]]) -> None:
    """Columns from left to right, centred; wider gaps where lines are steeper."""
    heights = [_height(column) for column in boxes]
    tallest, x = max(heights), MARGIN
    gap = min(100.0 + 0.15 * tallest, 320.0)
    for column, height in zip(boxes, heights):
        y = MARGIN + ROW + (tallest - height) / 2
        for box in column:
            box.x, box.y = x, y
            y += box.height + _space(column)
        x += WIDTH + gap


def _height(column: list[Box]) -> float:
    return sum(box.height for box in column) + _space(column) * (len(column) - 1)


def _space(column: list[Box]) -> float:
    return 4.0 if column[0].small else 14.0


def _extent(boxes: list[list[Box]]) -> tuple[float, float]:
    last = boxes[-1][0]
    return last.x + WIDTH, max(column[-1].y + column[-1].height for column in boxes)


@dataclass(frozen=True)
class Line:
    """One number between two boxes, with the ends of its line."""

    number: float
    x1: float
    y1: float
    x2: float
    y2: float
    tooltip: str

    @property
    def kind(self) -> str:
        if self.number == 0.0:
            return "grey"
        return "plus" if self.number > 0.0 else "minus" if self.number < 0.0 else "nan"


def _lines(boxes: list[list[Box]], edges: Edges, weight: str) -> list[Line]:
    """The lines between boxes that are shown, the smallest first."""
    found = []
    for (before, after), numbers in zip(pairwise(boxes), edges):
        for box, row in zip(after, numbers):
            tails = [] if box.rest else [tail for tail in before if not tail.rest]
            for i, (tail, x) in enumerate(zip(tails, row)):
                if x is not None:
                    y1, y2 = tail.y + tail.height / 2, box.entry(i, len(tails))
                    tip = f"{tail.head} → {box.head}: {weight}{i} = {x!r}"
                    found.append(Line(x, tail.x + WIDTH, y1, box.x, y2, tip))
    top = _largest(line.number for line in found)
    return sorted(found, key=lambda line: _share(line.number, top))


# ---- words below ---------------------------------------------------------------------


def _notes(
    columns: Sequence[Column], lines: list[Line], weight: str, widest: int
) -> list[str]:
    top = _largest(line.number for line in lines)
    finite = all(isfinite(line.number) for line in lines)
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


def _wrapped(notes: list[str]) -> list[str]:
    """The notes in lines that are narrow enough to stand below any picture."""
    found = [""]
    for word in " ".join(notes).split(" "):
        if len(found[-1]) + len(word) > NOTE_WIDTH:
            found.append("")
        found[-1] = f"{found[-1]} {word}".strip()
    return found


# ---- SVG text ------------------------------------------------------------------------


def _body(
    boxes: list[list[Box]], lines: list[Line], headings: Sequence[str], prefix: str
) -> Iterator[str]:
    if len(lines) <= ARROWHEADS:
        yield f"<defs>{''.join(_arrowhead(kind, prefix) for kind in COLOURS)}</defs>"
    top = _largest(line.number for line in lines)
    for kind, same in groupby(lines, lambda line: line.kind):
        yield from _group(same, kind, prefix, top, len(lines))
    shades = _largest(x for column in boxes for box in column for x in box.shade)
    for heading, column in zip(headings, boxes):
        x, y = column[0].x + WIDTH / 2, column[0].y - 7
        yield _text(x, y, _fitting(heading, WIDTH + MARGIN, 12), 12, prefix, "middle")
        for box in column:
            yield from _card(box, shades, prefix)


def _arrowhead(kind: str, prefix: str) -> str:
    return (
        f'<marker id="{prefix}-{kind}-tip" markerUnits="userSpaceOnUse" '
        'markerWidth="8" markerHeight="8" refX="8" refY="4" orient="auto">'
        f'<path class="{prefix}-{kind}-tip" d="M0,1L8,4L0,7z" '
        f'fill="{COLOURS[kind]}"/></marker>'
    )


def _group(
    lines: Iterable[Line], kind: str, prefix: str, top: float, count: int
) -> Iterator[str]:
    """Lines of one colour; the more there are in all, the thinner and fainter."""
    tip = f' marker-end="url(#{prefix}-{kind}-tip)"' if count <= ARROWHEADS else ""
    yield f'<g class="{prefix}-{kind}" stroke="{COLOURS[kind]}"{tip}>'
    for line in lines:
        share = _share(line.number, top)
        width = 0.8 + 2.2 * share if count <= SOLID else 0.3 + 1.2 * share
        faint = "" if count <= SOLID else f' opacity="{0.04 + 0.6 * share**2:.2f}"'
        shape = (
            f'<line x1="{line.x1:.5g}" y1="{line.y1:.5g}" x2="{line.x2:.5g}" '
            f'y2="{line.y2:.5g}" stroke-width="{width:.2f}"{faint}'
        )
        named = count <= TOOLTIPS
        yield f"{shape}>{_title(line.tooltip)}</line>" if named else f"{shape}/>"
    yield "</g>"


def _title(text: str) -> str:
    return f"<title>{html.escape(clean(text, 240))}</title>"


def _card(box: Box, top: float, prefix: str) -> Iterator[str]:
    if box.rest:
        yield _text(box.x + WIDTH / 2, box.y + 13, box.head, 12, prefix, "middle")
        return
    rows = [f"{name} = {'–' if x is None else repr(x)}" for name, x in box.rows]
    words = [clean(box.head, 80), clean(box.note, 80), "; ".join(rows)]
    yield f'<g class="{prefix}-card">{_title(" ".join(filter(None, words)))}'
    yield from _small(box, top) if box.small else _tall(box, top)
    yield "</g>"


def _tall(box: Box, top: float) -> Iterator[str]:
    yield _rect(box.x, box.y, WIDTH, HEAD, box.fill)
    head = _fitting(box.head, WIDTH - 16, 13)
    room = WIDTH - 22 - _length(head, 13)
    yield _text(box.x + 7, box.y + 16.5, head, 13, bold=True)
    if room > 12:
        note = _fitting(box.note, room, 11)
        yield _text(box.x + WIDTH - 7, box.y + 16.5, note, 11, anchor="end")
    for i, (name, x) in enumerate(box.rows):
        y = box.y + HEAD + ROW * i
        fill = _shade(box.shade, top) if name in SHADED else "#ffffff"
        yield _rect(box.x, y, WIDTH, ROW, fill)
        number = _number(x)
        room = WIDTH - 20 - _length(number, 12)
        yield _text(box.x + 7, y + 14, _fitting(name, room, 11), 11)
        yield _text(box.x + WIDTH - 7, y + 14, number, 12, anchor="end", dark=True)


def _small(box: Box, top: float) -> Iterator[str]:
    """One line: the head, and the last number that is not shown as a colour."""
    plain = [(name, x) for name, x in box.rows if name not in SHADED]
    left, right, y = box.x + SMALL_HEAD, box.x + WIDTH, box.y + 12.5
    yield _rect(box.x, box.y, SMALL_HEAD if box.rows else WIDTH, SMALL, box.fill)
    head = _fitting(box.head, SMALL_HEAD - 6, 10)
    yield _text(box.x + 4, y, head, 10, bold=True)
    if box.rows:
        yield _rect(left, box.y, WIDTH - SMALL_HEAD, SMALL, _shade(box.shade, top))
    if plain:
        name, x = plain[-1]
        number = _number(x)
        room = WIDTH - SMALL_HEAD - 10 - _length(number, 10)
        yield _text(left + 4, y, _fitting(name, room, 9), 9)
        yield _text(right - 4, y, number, 10, anchor="end", dark=True)


def _number(x: float | None) -> str:
    return "–" if x is None else f"{x:.6g}"


def _rect(x: float, y: float, width: float, height: float, fill: str) -> str:
    return (
        f'<rect x="{x:.6g}" y="{y:.6g}" width="{width:g}" height="{height:g}" '
        f'fill="{fill}" stroke="#8b919b"/>'
    )


def _text(
    x: float,
    y: float,
    words: str,
    size: int,
    prefix: str = "",
    anchor: str = "start",
    *,
    bold: bool = False,
    dark: bool = False,
) -> str:
    """A line of text; with a prefix it stands on the page, else on a light card."""
    place = f' class="{prefix}-words"' if prefix else ""
    weight = ' font-weight="bold"' if bold else ""
    fill = COLOURS["grey"] if prefix else "#1f2328" if bold or dark else "#57606a"
    return (
        f'<text{place} x="{x:.6g}" y="{y:.6g}" font-size="{size}" fill="{fill}" '
        f'text-anchor="{anchor}"{weight}>{html.escape(words)}</text>'
    )


def _fitting(words: str, width: float, size: int) -> str:
    """Text clipped to what surely fits into the width."""
    words = clean(words, 80)
    if _length(words, size) <= width:
        return words
    while words and _length(words + "…", size) > width:
        words = words[:-1]
    return words + "…"


def _length(words: str, size: int) -> float:
    """The width of a text in a bold Helvetica, or a little more."""
    return size * sum(map(_letter_width, words))


def _letter_width(letter: str) -> float:
    if unicodedata.east_asian_width(letter) in "WF" or letter in "mwMW@%…":
        return 1.0
    if letter in " .,:;-/'()|ijlt":
        return 0.35
    return 0.6 if letter.islower() or letter.isdecimal() else 0.78


def _svg(
    body: str,
    extent: tuple[float, float],
    notes: list[str],
    prefix: str,
    title: str,
    description: str,
) -> str:
    lines = _wrapped(notes)
    width = max(extent[0], MARGIN + 6.0 * NOTE_WIDTH) + MARGIN
    height = extent[1] + MARGIN * (len(lines) + 2)
    below = "".join(
        _text(MARGIN, extent[1] + MARGIN * (i + 2), line, 11, prefix)
        for i, line in enumerate(lines)
    )
    shown = shown_size(f"{width:.6g}", f"{height:.6g}")
    size = " ".join(f'{name}="{value}"' for name, value in shown.items())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" id="{prefix}" role="img" '
        f'aria-labelledby="{prefix}-title {prefix}-desc" {size} '
        f'viewBox="0 0 {width:.6g} {height:.6g}" font-family="{FONTS}">'
        f'<title id="{prefix}-title">{html.escape(title)}</title>'
        f'<desc id="{prefix}-desc">{html.escape(description)}</desc>'
        f"<style>@media (prefers-color-scheme:dark){{{_dark_rules(prefix)}}}</style>"
        f"{body}{below}</svg>\n"
    )


def _dark_rules(prefix: str) -> str:
    """Lighter lines and words; the cards stay as light as they are."""
    rules = [f"#{prefix} .{prefix}-words{{fill:{DARK['grey']}}}"]
    for kind, colour in DARK.items():
        rules.append(f"#{prefix} .{prefix}-{kind}{{stroke:{colour}}}")
        rules.append(f"#{prefix} .{prefix}-{kind}-tip{{fill:{colour};stroke:none}}")
    return "".join(rules)
