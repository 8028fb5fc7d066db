"""A picture made of rectangles, lines and words, from SVG into Graphviz's own strokes.

So the program that writes PNG and PDF for graphs of Values writes them for networks
too, whose places are computed here: the strokes stand on the background of an empty
graph. See "xdot" in Graphviz's documentation. There y runs upwards.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from math import hypot

_ANCHORS = {"start": -1, "middle": 0, "end": 1}
_SVG = "{http://www.w3.org/2000/svg}"


def strokes_in_dot(svg: str) -> str:
    """The DOT text of a graph without nodes, but with the picture behind it."""
    root = ET.fromstring(svg)
    _, _, width, height = map(float, root.get("viewBox", "0 0 0 0").split())
    strokes = " ".join(_strokes(root, height))
    corner = 'label="" shape=point style=invis width=0 height=0 fixedsize=true'
    return (
        f'graph {{ graph [pad=0 bgcolor=white _background="{strokes}"]\n'
        f'node [{corner}]\na [pos="0,0"]\nb [pos="{width:g},{height:g}"] }}\n'
    )


def _strokes(root: ET.Element, height: float) -> Iterator[str]:
    for element in root:
        tag = element.tag.removeprefix(_SVG)
        if tag == "g" and element.get("stroke"):
            for line in element.iter(f"{_SVG}line"):
                yield from _line(line, element, height)
        elif tag == "g":
            yield from _strokes(element, height)
        elif tag == "rect":
            yield from _rect(element, height)
        elif tag == "text":
            yield from _text(element, height)


def _rect(rect: ET.Element, top: float) -> Iterator[str]:
    x, y, width, height = (
        float(rect.get(key, "0")) for key in ("x", "y", "width", "height")
    )
    low, high = top - y - height, top - y
    fill = rect.get("fill", "none")
    shape = "p" if fill == "none" else "P"
    yield _coloured("c", rect.get("stroke", "#000000"))
    if shape == "P":
        yield _coloured("C", fill)
    yield _width(1.0)
    yield (
        f"{shape} 4 {x:.2f} {low:.2f} {x + width:.2f} {low:.2f} "
        f"{x + width:.2f} {high:.2f} {x:.2f} {high:.2f}"
    )


def _line(line: ET.Element, group: ET.Element, top: float) -> Iterator[str]:
    x1, y1, x2, y2 = (float(line.get(key, "0")) for key in ("x1", "y1", "x2", "y2"))
    y1, y2 = top - y1, top - y2
    opacity = float(line.get("opacity", "1"))
    colour = f"{group.get('stroke')}{round(255 * opacity):02x}"
    yield _coloured("c", colour)
    yield _width(float(line.get("stroke-width", "1")))
    yield f"L 2 {x1:.2f} {y1:.2f} {x2:.2f} {y2:.2f}"
    if group.get("marker-end"):
        length = hypot(x2 - x1, y2 - y1) or 1.0
        dx, dy = (x2 - x1) / length, (y2 - y1) / length
        x, y = x2 - 8 * dx, y2 - 8 * dy
        yield _coloured("C", colour)
        yield (
            f"P 3 {x - 3 * dy:.2f} {y + 3 * dx:.2f} {x2:.2f} {y2:.2f} "
            f"{x + 3 * dy:.2f} {y - 3 * dx:.2f}"
        )


def _text(text: ET.Element, top: float) -> Iterator[str]:
    words = (text.text or "").replace("\\", "\N{FULLWIDTH REVERSE SOLIDUS}")
    if not words:
        return
    bold = "-Bold" if text.get("font-weight") == "bold" else ""
    size, anchor = text.get("font-size", "12"), text.get("text-anchor", "start")
    x, y = float(text.get("x", "0")), top - float(text.get("y", "0"))
    yield _coloured("c", text.get("fill", "#000000"))
    yield f"F {size} {_counted(f'Helvetica{bold}')}"
    room = 0.6 * float(size) * len(words)
    yield f"T {x:.2f} {y:.2f} {_ANCHORS[anchor]} {room:.0f} {_counted(words)}"


def _coloured(kind: str, colour: str) -> str:
    return f"{kind} {_counted(colour)}"


def _width(pixels: float) -> str:
    return f"S {_counted(f'setlinewidth({pixels:g})')}"


def _counted(words: str) -> str:
    """Words with their number of bytes, and quotes as DOT wants them."""
    escaped = words.replace('"', '\\"')
    return f"{len(words.encode())} -{escaped}"
