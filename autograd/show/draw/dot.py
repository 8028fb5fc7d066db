"""A drawing put into words of DOT, Graphviz's language."""

from __future__ import annotations

import html
from collections.abc import Iterable
from itertools import pairwise
from math import isfinite, sqrt
from typing import Any, Final

from ...primitives import clean
from .cards import PENALTY, Arrow, Card, Picture, home_name
from .collapsed import natural_key

LEGIBLE, CROWDED = 60, 120  # numbers of Values
FONT: Final = "Helvetica"  # alone: Graphviz without Pango knows its widths
FILLS: Final = {
    "param": "#e3f4e8", "input": "#fff2d0", "op": "#e8ebf6", "call": "#efe2f7",
    "neuron": "#d6eef0",
}  # fmt: skip
COLOURS: Final = {
    "plus": "#2b7bba", "minus": "#cb4248", "nan": "#b35900", "grey": "#7d8590",
}  # fmt: skip
BLUE, RED, WHITE, ORANGE = (110, 160, 210), (220, 120, 128), (255, 255, 255), "#ffd0a0"


def dot_text(picture: Picture, *, bare: bool = False) -> str:
    """The picture in DOT; bare, without words below it."""
    import graphviz  # type: ignore[import-untyped]

    graph = graphviz.Digraph(
        graph_attr={
            "rankdir": "LR", "newrank": "true", "bgcolor": "transparent",
            "nodesep": "0.2", "ranksep": "0.4", "labeljust": "l",
            "label": "" if bare else _legend(picture),
            "fontname": FONT, "fontsize": "11",
            "fontcolor": COLOURS["grey"], **_shortcuts(picture),
        },
        node_attr={"shape": "plain", "fontname": FONT, "fontsize": "13"},
        edge_attr={"fontname": FONT, "fontsize": "11", "arrowsize": "0.7"},
    )  # fmt: skip
    _add_cards(graph, picture)
    _add_arrows(graph, picture)
    source: str = graph.source
    return source


def _shortcuts(picture: Picture) -> dict[str, str]:
    """How a large picture is laid out: in straight lines, and with less search."""
    if picture.collapsed:
        around = any(card.head == PENALTY for card in picture.cards)
        return {"ranksep": "1.3", "splines": "true" if around else "line"}
    if picture.count > CROWDED:
        return {"splines": "line", "nslimit": "1"}
    return {}


def _add_arrows(graph: Any, picture: Picture) -> None:
    top = largest_of(arrow.flow for arrow in picture.arrows)
    for arrow in picture.arrows:
        attributes = _arrow_attributes(arrow, top)
        if picture.collapsed:
            attributes |= {"tailport": "e", "headport": "w"}
        elif arrow.factor is not None and picture.count <= CROWDED:
            attributes["label"] = f" ×{arrow.factor:.4g} "
            attributes["labeltooltip"] = attributes["tooltip"]
        if picture.cards[arrow.tail].entry:
            attributes["minlen"] = "2"  # leaves the rank between to the parameters
        graph.edge(f"n{arrow.tail}", f"n{arrow.head}", **attributes)


def _add_cards(graph: Any, picture: Picture) -> None:
    top = largest_of(grad for card in picture.cards for grad in card.grads)
    groups: dict[str, Any] = {}
    for i, card in enumerate(picture.cards):
        groups.setdefault(card.group, []).append((f"n{i}", _card_attributes(card, top)))
    for number, name in enumerate(sorted(groups, key=natural_key)):
        if picture.collapsed or not name:
            _add_column(graph, groups[name], in_order=bool(name))
        else:
            _add_frame(graph, f"cluster_{number}", name, groups[name])
    entries = [f"n{i}" for i, card in enumerate(picture.cards) if card.entry]
    if entries:
        with graph.subgraph(graph_attr={"rank": "min"}) as first:
            for name in entries:
                first.node(name)


def _add_frame(graph: Any, frame: str, name: str, cards: list[Any]) -> None:
    with graph.subgraph(name=frame) as inside:
        inside.attr(
            label=_quotable(clean(home_name(name), 60)), style="rounded", margin="10",
            color=COLOURS["grey"], fontcolor=COLOURS["grey"],
        )  # fmt: skip
        for card, attributes in cards:
            inside.node(card, **attributes)


def _add_column(graph: Any, cards: list[Any], *, in_order: bool) -> None:
    """Cards with no frame; unseen arrows keep an order that the layout would not."""
    for card, attributes in cards:
        graph.node(card, **attributes)
    if in_order:
        with graph.subgraph(graph_attr={"rank": "same"}) as column:
            for (above, _), (below, _) in pairwise(cards):
                column.edge(above, below, style="invis")


def _card_attributes(card: Card, top: float) -> dict[str, str]:
    shade = shade_of(card.grads, top)
    table = (
        '<TABLE BORDER="0" CELLBORDER="1" CELLSPACING="0" CELLPADDING="5" '
        f'COLOR="#8b919b" BGCOLOR="#ffffff"><TR><TD COLSPAN="2" '
        f'BGCOLOR="{FILLS[card.kind]}">{_head(card)}</TD></TR>'
        f"{_row('value', card.values, '#ffffff')}{_row('grad', card.grads, shade)}"
        "</TABLE>"
    )
    return {
        "label": f"<{table}>",
        "tooltip": _quotable(card.tooltip or clean(card.head, 80)),
    }


def _head(card: Card) -> str:
    head, note = _markup(card.head, 24), _markup(card.note, 40)
    if not head:
        return f"<B>{note}</B>"
    gap = "&#160;&#160;" if note else ""
    return f'<B>{head}</B>{gap}<FONT POINT-SIZE="11" COLOR="#57606a">{note}</FONT>'


def _row(name: str, numbers: list[float], fill: str) -> str:
    return (
        f'<TR><TD ALIGN="LEFT"><FONT POINT-SIZE="10" COLOR="#57606a">{name}</FONT></TD>'
        f'<TD ALIGN="RIGHT" BGCOLOR="{fill}"><FONT COLOR="#1f2328">{_span(numbers)}'
        "</FONT></TD></TR>"
    )


def _span(numbers: list[float]) -> str:
    if not numbers:
        return "–"
    low, high = f"{min(numbers):.6g}", f"{max(numbers):.6g}"
    return low if len(numbers) == 1 else f"{low} … {high}"


def largest_of(numbers: Iterable[float | None]) -> float:
    return max((abs(x) for x in numbers if x is not None and isfinite(x)), default=0.0)


def share_of(x: float, top: float) -> float:
    """How strongly x is shown beside the largest, from 0 to 1; an infinity fully."""
    return sqrt(abs(x) / top) if isfinite(x) and top else float(x != 0.0)


def shade_of(grads: list[float], top: float) -> str:
    """White at zero, to blue above and red below."""
    grad = max(grads, key=abs, default=0.0)
    if grad != grad:
        return ORANGE
    hue, share = (BLUE if grad > 0.0 else RED), share_of(grad, top)
    mixed = [round(a + (b - a) * share) for a, b in zip(WHITE, hue)]
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def _kind(flow: float | None) -> str:
    """The class that colours it."""
    if not flow:
        return "grey"
    return "nan" if flow != flow else "plus" if flow > 0.0 else "minus"


def _arrow_attributes(arrow: Arrow, top: float) -> dict[str, str]:
    flow = arrow.flow or 0.0
    kind = _kind(flow)
    return {
        "class": kind,
        "color": COLOURS[kind],
        "fontcolor": COLOURS[kind],
        "penwidth": f"{1 + 2 * share_of(flow, top):.2f}",
        "style": "dotted" if arrow.left_out else "solid",
        "tooltip": _quotable(arrow.tooltip),
    }


def _markup(text: str, width: int) -> str:
    """Text inside a card; Graphviz reads one level of backslashes there."""
    return html.escape(clean(text, width)).replace("\\", r"\\")


def _quotable(text: str) -> str:
    """Text of a tooltip or frame; Graphviz reads two levels of backslashes there."""
    return html.escape(text).replace("\\", r"\\\\")


KINDS: Final = {
    "input": "input", "param": "parameter", "op": "operation", "neuron": "neuron",
    "call": "compiled call",
}  # fmt: skip


def _legend(picture: Picture) -> str:
    """What the colours of this picture mean, and its size where that matters."""
    kinds = {card.kind for card in picture.cards}
    entries = [(FILLS[kind], word) for kind, word in KINDS.items() if kind in kinds]
    signs = {_kind(arrow.flow) for arrow in picture.arrows if arrow.flow}
    words = {"plus": "flows back above zero", "minus": "below", "nan": "not a number"}
    entries += [(COLOURS[kind], words[kind]) for kind in words if kind in signs]
    cells = "".join(_swatch(*entry) for entry in entries)
    note = size_note(picture)
    row = f'<tr><td ALIGN="LEFT" COLSPAN="{2 * len(entries)}">{note}</td></tr>'
    return (
        '<<table BORDER="0" CELLBORDER="0" CELLSPACING="3" CELLPADDING="1">'
        f"<tr>{cells}</tr>{row if note else ''}</table>>"
    )


def _swatch(colour: str, word: str) -> str:
    return (
        f'<td BORDER="1" COLOR="#8b919b" BGCOLOR="{colour}" FIXEDSIZE="TRUE" '
        f'WIDTH="13" HEIGHT="9"></td><td ALIGN="LEFT">{word}&#160;&#160;</td>'
    )


def size_note(picture: Picture) -> str:
    if picture.collapsed:
        return f"{picture.count} Values: each neuron is drawn as one card."
    if picture.count > LEGIBLE:
        where = ", and point at arrows for numbers" if picture.count > CROWDED else ""
        return (
            f"{picture.count} Values: above {LEGIBLE} the cards get small; draw a part "
            f"of the graph to read them{where}."
        )
    return ""
