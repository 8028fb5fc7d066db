"""The drawing that a sweep over Values plays on: its layout by Graphviz, its SVG."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from ...primitives import clean
from ..draw.cards import Arrow, Card, Picture
from ..draw.dot import LEGIBLE, dot_text, largest_of, share_of
from ..draw.render import render

LAYOUT_SECONDS: Final = 20.0
LEFT, ROW = 40.0, 26.0  # of a card: its left column and the height of its rows


@cache
def resource(name: str) -> str:
    """A file of this folder."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


# ---- where it stands: the layout -----------------------------------------------------

Point = tuple[float, float]
Place = tuple[float, float, float]  # of a card: left, top, width
Curve = tuple[list[Point], Point, Point]  # of an arrow: its course, tip, label


@dataclass(frozen=True)
class Layout:
    """Places in pixels, y downwards: of cards, arrows and frames."""

    width: float
    height: float
    cards: list[Place]
    arrows: list[Curve]
    frames: list[tuple[float, float, float, float, str]]


def laid_out(picture: Picture) -> Layout:
    """Ask Graphviz where everything of the picture stands."""
    found = json.loads(render(dot_text(picture, bare=True), "json0", LAYOUT_SECONDS))
    _, _, width, height = map(float, found["bb"].split(","))

    def place(text: str) -> Point:
        x, y = map(float, text.split(","))
        return round(x, 1), round(height - y, 1)

    cards: dict[str, Place] = {}
    frames = []
    for item in found["objects"]:
        if item["name"].startswith("cluster"):
            x0, y0, x1, y1 = map(float, item["bb"].split(","))
            frames.append((x0, height - y1, x1 - x0, y1 - y0, item["label"]))
        elif "pos" in item:
            (x, y), wide = place(item["pos"]), 72 * float(item["width"])
            cards[item["name"]] = (x - wide / 2, y - 1.5 * ROW, wide)
    curves: dict[tuple[int, int], list[Curve]] = {}
    numbers = {item["_gvid"]: item["name"] for item in found["objects"]}
    for edge in found.get("edges", ()):
        ends = int(numbers[edge["tail"]][1:]), int(numbers[edge["head"]][1:])
        tip, *curve = edge["pos"].removeprefix("e,").split(" ")
        points = [place(point) for point in curve]
        label = place(edge["lp"]) if "lp" in edge else points[len(points) // 2]
        curves.setdefault(ends, []).append((points, place(tip), label))
    return Layout(
        width,
        height,
        [cards[f"n{i}"] for i in range(len(picture.cards))],
        [curves[arrow.tail, arrow.head].pop(0) for arrow in picture.arrows],
        frames,
    )


# ---- how it looks: SVG ---------------------------------------------------------------


def still(picture: Picture, layout: Layout) -> str:
    """The drawing of the page, at the end of the sweep; the script turns it back."""
    top, most = top_adjoint(picture), largest_of(arrow.flow for arrow in picture.arrows)
    parts = [frame_svg(*frame) for frame in layout.frames]
    for arrow, curve in zip(picture.arrows, layout.arrows):
        kind, width = sign(arrow.flow), stroke(arrow, most)
        data = f'data-sign="{kind}" data-width="{width}" data-head="{arrow.head}"'
        back = "" if arrow.flow is None else " back"
        parts.append(arrow_svg(arrow, curve, kind + back, data))
    for card, place in zip(picture.cards, layout.cards):
        grad = card.grads[0] if card.grads else None
        data = f'data-value="{card.values[0]!r}" data-tip="{html.escape(card.tooltip)}"'
        parts.append(card_svg(card, place, adjoint_svg(grad, top, place[2]), data))
    crowded = " crowded" if picture.count > LEGIBLE else ""
    return (
        f'<svg class="drawing{crowded}" role="img" aria-label="Graph" '
        f'viewBox="-6 -6 {layout.width + 12:g} {layout.height + 12:g}">'
        + "\n".join(parts)
        + "</svg>"
    )


def frame_svg(x: float, y: float, width: float, height: float, label: str) -> str:
    return (
        f'<g class="frame"><rect x="{x:g}" y="{y:g}" width="{width:g}" '
        f'height="{height:g}" rx="8"/><text x="{x + 9:g}" y="{y + 14:g}">'
        f"{html.escape(html.unescape(label))}</text></g>"
    )


def arrow_svg(
    arrow: Arrow,
    curve: Curve,
    classes: str,
    data: str = "",
    label: str = "",
) -> str:
    points, (x, y), (middle, base) = curve
    start, *bends = [f"{px:g} {py:g}" for px, py in points]
    left = " left-out" if arrow.left_out else ""
    text = "" if arrow.factor is None else f"×{arrow.factor:.4g}"
    return (
        f'<g class="arrow {classes}{left}" {data}><path d="M{start}C{" ".join(bends)}"'
        f'/><polygon class="onward" points="{_arrowhead(points[-1], (x, y))}"/>'
        f'<polygon class="backward" points="{_arrowhead(*_start(points))}"/>'
        f'<text class="{label}" x="{middle:g}" y="{base + 1.5:g}">{text}</text></g>'
    )


def _start(points: list[Point]) -> tuple[Point, Point]:
    """Where an arrowhead at the beginning of the curve has its base and its tip."""
    (x, y), (ax, ay) = points[:2]
    size = ((ax - x) ** 2 + (ay - y) ** 2) ** 0.5 or 1.0
    return (x + 7.4 * (ax - x) / size, y + 7.4 * (ay - y) / size), (x, y)


def _arrowhead(base: Point, tip: Point) -> str:
    """A triangle from its base to its tip."""
    (x, y), (tx, ty) = base, tip
    dx, dy = 0.35 * (tx - x), 0.35 * (ty - y)
    corners = [(x - dy, y + dx), (tx, ty), (x + dy, y - dx)]
    return " ".join(f"{px:.1f},{py:.1f}" for px, py in corners)


def card_svg(
    card: Card,
    place: Place,
    adjoint: str,
    data: str = "",
    value: str = "",
    outline: str = '<rect class="outline" {}/>',
) -> str:
    """One card: name and operation, value, adjoint; and its outline while it is lit."""
    x, y, width = place
    head = f'<tspan class="name">{html.escape(clean(card.head, 24))}</tspan>'
    note = f'<tspan class="note" dx="8">{html.escape(clean(card.note, 40))}</tspan>'
    around = f'x="-2" y="-2" width="{width + 4:.1f}" height="{3 * ROW + 4:g}" rx="3"'
    return (
        f'<g class="card {card.kind}" transform="translate({x:.1f} {y:.1f})" {data}>'
        f"<title>{html.escape(card.tooltip)}</title>"
        f'<rect class="box" width="{width:.1f}" height="{3 * ROW:g}"/>'
        f'<rect class="top" width="{width:.1f}" height="{ROW:g}"/>{adjoint}'
        f'<path class="rule" d="M0 {ROW:g}H{width:.1f}M0 {2 * ROW:g}H{width:.1f}'
        f'M{LEFT:g} {ROW:g}V{3 * ROW:g}M0 0H{width:.1f}V{3 * ROW:g}H0Z"/>'
        f'<text class="head" x="{width / 2:.1f}" y="17.5">{head}{note}</text>'
        f'<text class="soft" x="4" y="42">value</text>'
        f'<text class="value {value}" x="{width - 5:.1f}" y="43.5">'
        f"{card.values[0]:.6g}</text>"
        f'<text class="soft" x="4" y="68">adjoint</text>{outline.format(around)}</g>'
    )


def adjoint_svg(
    adjoint: float | None, top: float, width: float, classes: str = ""
) -> str:
    shown = "–" if adjoint is None else f"{adjoint:.6g}"
    strong = 0.0 if adjoint is None else opacity(adjoint, top)
    return (
        f'<g class="{classes}"><rect class="shade {sign(adjoint)}" x="{LEFT:g}" '
        f'y="{2 * ROW:g}" width="{width - LEFT:.1f}" height="{ROW:g}" '
        f'style="opacity:{strong:.2f}"/>'
        f'<text class="adjoint" x="{width - 5:.1f}" y="69.5">{shown}</text></g>'
    )


def top_adjoint(picture: Picture) -> float:
    return largest_of(grad for card in picture.cards for grad in card.grads)


def stroke(arrow: Arrow, most: float) -> str:
    """The width of an arrow, once its share of the adjoint has flowed back."""
    return f"{1 + 2 * share_of(arrow.flow or 0.0, most):.2f}"


def sign(x: float | None) -> str:
    """The class that colours it."""
    if x is None or x == 0.0:
        return "grey"
    return "nan" if x != x else "plus" if x > 0.0 else "minus"


def opacity(adjoint: float, top: float) -> float:
    return 0.5 * share_of(adjoint, top) if adjoint == adjoint else 0.5
