"""A drawn network's cards, lines and words as SVG."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from ...primitives import clean
from .boxes import (
    HEAD,
    MARGIN,
    ROW,
    SHADED,
    SMALL,
    SMALL_HEAD,
    WIDTH,
    Box,
    Line,
    height_of,
)
from .dot import COLOURS, FILLS, largest_of, shade_of, share_of
from .render import shown_size

ARROWHEADS, TOOLTIPS, SOLID = 150, 600, 300  # numbers of lines
NOTE_WIDTH: Final = 66  # characters on a line below the picture
FONTS: Final = "Helvetica,Arial,sans-serif"
DARK: Final = {
    "plus": "#58a6ff", "minus": "#ff7b72", "nan": "#ffa657", "grey": "#9aa4b2",
}  # fmt: skip


def body_of(
    boxes: list[list[Box]], lines: list[Line], headings: Sequence[str], prefix: str
) -> Iterator[str]:
    if len(lines) <= ARROWHEADS:
        yield f"<defs>{''.join(_arrowhead(kind, prefix) for kind in COLOURS)}</defs>"
    top = largest_of(line.number for line in lines)
    for kind, same in groupby(lines, lambda line: line.kind):
        yield from _group(same, kind, prefix, top, len(lines))
    shades = largest_of(x for column in boxes for box in column for x in box.shade)
    for c, (heading, column) in enumerate(zip(headings, boxes)):
        if not column:
            yield from _gap(heading, boxes[c - 1], boxes[c + 1], prefix)
            continue
        x, y = column[0].x + WIDTH / 2, column[0].y - 7
        yield _text(x, y, _fitting(heading, WIDTH + MARGIN, 12), 12, prefix, "middle")
        for box in column:
            yield from _card(box, shades, prefix)


def _gap(words: str, before: list[Box], after: list[Box], prefix: str) -> Iterator[str]:
    """In place of the columns that are not drawn: how many there are."""
    x = (before[0].x + WIDTH + after[0].x) / 2
    middle = before[0].y + height_of(before) / 2
    start, *inner, end = words.split()
    for i, line in enumerate([start, " ".join(inner[:2]), " ".join(inner[2:]), end]):
        yield _text(x, middle + 18 * (i - 1.5), line, 14, prefix, "middle")


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
        share = share_of(line.number or 0.0, top)
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
        fill = shade_of(box.shade, top) if name in SHADED else "#ffffff"
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
        yield _rect(left, box.y, WIDTH - SMALL_HEAD, SMALL, shade_of(box.shade, top))
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


def svg_of(
    body: str,
    extent: tuple[float, float],
    notes: list[str],
    prefix: str,
    title: str,
    description: str,
) -> str:
    lines = wrapped(notes)
    legend = "".join(_legend(body, extent[1] + MARGIN * 2, prefix))
    width = max(extent[0], MARGIN + 6.0 * NOTE_WIDTH) + MARGIN
    height = extent[1] + MARGIN * (len(lines) + 3.5)
    below = "".join(
        _text(MARGIN, extent[1] + MARGIN * (i + 3.5), line, 11, prefix)
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
        f"{body}{legend}{below}</svg>\n"
    )


def _legend(body: str, y: float, prefix: str) -> Iterator[str]:
    """The colours that the picture has, each with what it means."""
    meant = [
        (FILLS["input"], "input"),
        (FILLS["op"], "neuron"),
        (FILLS["call"], "loss"),
        (COLOURS["plus"], "above zero"),
        (COLOURS["minus"], "below"),
        (COLOURS["nan"], "not a number"),
    ]
    x = MARGIN
    for colour, words in meant:
        of = "fill" if colour in FILLS.values() else "stroke"
        if f'{of}="{colour}"' in body:
            yield _rect(x, y - 9, 14, 10, colour)
            yield _text(x + 19, y, words, 11, prefix)
            x += 36 + 6.2 * len(words)


def _dark_rules(prefix: str) -> str:
    """Lighter lines and words; the cards stay as light as they are."""
    rules = [f"#{prefix} .{prefix}-words{{fill:{DARK['grey']}}}"]
    for kind, colour in DARK.items():
        rules.append(f"#{prefix} .{prefix}-{kind}{{stroke:{colour}}}")
        rules.append(f"#{prefix} .{prefix}-{kind}-tip{{fill:{colour};stroke:none}}")
    return "".join(rules)


def wrapped(notes: list[str]) -> list[str]:
    """The notes in lines that are narrow enough to stand below any picture."""
    found = [""]
    for word in " ".join(notes).split(" "):
        if len(found[-1]) + len(word) > NOTE_WIDTH:
            found.append("")
        found[-1] = f"{found[-1]} {word}".strip()
    return found
