"""A graph of Values as a picture: one card per Value, one arrow per local derivative.

A card says what a Value is (its label, the operation), its number and its gradient; a
dash stands where no sweep has been. An arrow carries the local derivative, the factor
of the chain rule; what flows back along it in the sweep, that factor times the adjoint
of the result, gives its colour (blue above zero, red below) and its width.

Leaves with dotted labels ("layers.0.neurons.1.w0") are parameters, and what is computed
from one neuron's parameters is framed with them. A graph too large for that shows each
neuron as one card, and one that is larger still is refused with advice.
"""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from math import isfinite, sqrt
from typing import Any, Final

from ..files import require_suffix, write_file
from ..primitives import brief, clean
from ..value import Value, require_current, topological
from .inside import is_closed, opened
from .latex import known, made_by, require_switch
from .render import embeddable, render

LEGIBLE, CROWDED, LIMIT = 60, 120, 2000  # numbers of Values
ARROWS: Final = 4 * LIMIT
LAYOUT_SECONDS, NOTEBOOK_SECONDS = 20.0, 5.0

SYMBOLS: Final = {
    "add": "+", "sub": "−", "mul": "×", "div": "÷", "pow": "^", "mod": "mod",
    "neg": "−", "less": "<", "less_equal": "≤", "greater": ">", "greater_equal": "≥",
    "equal": "=", "not_equal": "≠",
}  # fmt: skip
ARITHMETIC: Final = frozenset({"add", "sub", "mul", "div", "neg", "pow", "mod"})

PENALTY: Final = "penalty on parameters"  # a frame that no label can name

FONT: Final = "Helvetica"  # alone: Graphviz without Pango knows its widths
FILLS: Final = {
    "param": "#e3f4e8", "input": "#fff2d0", "op": "#e8ebf6", "call": "#efe2f7",
}  # fmt: skip
COLOURS: Final = {
    "plus": "#2b7bba", "minus": "#cb4248", "nan": "#b35900", "grey": "#7d8590",
}  # fmt: skip
BLUE, RED, WHITE, ORANGE = (110, 160, 210), (220, 120, 128), (255, 255, 255), "#ffd0a0"

_dotted = re.compile(r"([^\W\d]\w*(?:\.\w+)*)\.\w+").fullmatch


@dataclass(frozen=True)
class Drawing:
    """A drawn graph: shown by notebooks, written by `svg` and `png`.

    `dot` is its text in Graphviz's language, `title` and `description` its words.
    """

    dot: str = field(repr=False)
    title: str
    description: str = field(repr=False)

    def svg(self, path: str | os.PathLike[str] | None = None) -> str:
        """The SVG text or, given a path, the path it is written to.

        Raises RuntimeError without a renderer, TimeoutError where the layout takes too
        long, OSError where the file cannot be written (it is then left as it was).
        """
        if path is None:
            return self._svg
        require_suffix(path, ".svg", "draw")
        return write_file(path, self._svg.encode(), "draw")

    def png(self, path: str | os.PathLike[str]) -> str:
        """Write a PNG on a white ground and return its path; raises as `svg` does."""
        require_suffix(path, ".png", "draw")
        opaque = self.dot.replace("bgcolor=transparent", "bgcolor=white", 1)
        return write_file(path, render(opaque, "png", LAYOUT_SECONDS), "draw")

    def _repr_svg_(self) -> str:
        return self._svg

    @cached_property
    def _svg(self) -> str:
        return self.laid_out(LAYOUT_SECONDS)

    def laid_out(self, seconds: float) -> str:
        """The SVG text, if the layout is done in so many seconds; else TimeoutError."""
        svg = render(self.dot, "svg", seconds)
        return embeddable(svg, self.dot, self.title, self.description)


def draw(y: Any, inside: bool = False) -> Drawing:
    """The picture of how y, a Value or several in a list, was computed.

    Each Value has a card; a network of more than 120 Values has one for each neuron.
    The layout is made later, when the picture is asked for.

    >>> x = Value(1.5, label="x")
    >>> picture = draw((x**2).sin().exp())
    >>> picture.description
    'A graph of 4 Values, from operands on the left to results on the right. ...'

    A call of a compiled function is one card; with inside=True it is a frame, in which
    its operations have their cards, at these numbers and with their adjoints.

    Anything else is drawn by its own method `_draw_`, which returns a drawing; without
    one it raises TypeError. Above 2000 Values, and where a leaf was assigned since the
    graph was recorded, this raises ValueError.
    """
    require_switch("draw", inside)
    if not isinstance(y, Value | list | tuple):
        if not hasattr(y, "_draw_"):
            raise _no_value("y", y)
        drawn: Drawing = y._draw_()
        return drawn
    roots = [y] if isinstance(y, Value) else list(y)
    if not roots:
        raise ValueError(
            f"draw: y must hold at least one Value, but is {brief(y)}; pass the results"
        )
    for i, root in enumerate(roots):
        if not isinstance(root, Value):
            raise _no_value(f"y[{i}]", root)
    _require_drawable(roots)
    if not inside:
        return _drawing(roots, {})
    shown = opened(roots, "draw")
    _require_drawable(shown.roots)
    return _drawing(shown.roots, shown.calls)


def value_svg(y: Value) -> str | None:
    """What a notebook shows for a Value: its graph, or None to fall back on its repr.

    A cell must not fail for showing its last line, so this is None where `draw` raises:
    too large a graph, a leaf assigned since (as after a training step), no renderer;
    and where the layout takes more than a moment. `draw(y)` says which.
    """
    try:
        return draw(y).laid_out(NOTEBOOK_SECONDS)
    except (ValueError, RuntimeError, OSError):
        return None


# ---- which Values --------------------------------------------------------------------


def _no_value(name: str, y: object) -> TypeError:
    return TypeError(
        f"draw: {name} must be a Value, but is {brief(y)} ({type(y).__name__}); pass "
        "the result of a computation on Values, or a list of such results"
    )


def _require_drawable(roots: list[Value]) -> None:
    """Raise if the graph is too large, walking no further than it takes to know."""
    seen, todo, arrows = set(roots), [*roots], 0
    while todo and len(seen) <= LIMIT and arrows <= ARROWS:
        args = todo.pop().args
        arrows += len(args)
        new = {arg for arg in args if isinstance(arg, Value)} - seen
        seen |= new
        todo += new
    if len(seen) > LIMIT or arrows > ARROWS:
        raise ValueError(
            f"draw: y must depend on at most {LIMIT} Values (as {ARROWS} operands), "
            "but depends on more; draw a smaller part, such as one neuron, one data "
            "point or an intermediate result"
        )


def _values(roots: list[Value]) -> list[Value]:
    """All Values under the roots, each after its operands."""
    found: dict[Value, None] = {}
    for node in topological(*roots, whole=True):
        require_current(node, "draw")
        found |= dict.fromkeys(arg for arg in node.args if isinstance(arg, Value))
        found[node] = None
    return [*(found | dict.fromkeys(roots))]


def _neurons(values: list[Value]) -> dict[Value, str]:
    """The neuron that a Value belongs to: the common prefix of parameters' labels.

    What adds up the parameters' squares or magnitudes gets a place of its own.
    """
    home: dict[Value, str] = {}
    for node in values:
        prefix = _home_of_result(node, home) if node.args else _prefix(node)
        if prefix:
            home[node] = prefix
    return home


def _prefix(leaf: Value) -> str | None:
    match = _dotted(leaf.label or "")
    return match[1] if match else None


def _home_of_result(node: Value, home: dict[Value, str]) -> str | None:
    """Where a parameter is used, or where all operands are: a sum, an activation.

    Arithmetic on nothing but a neuron's output is taken to be the user's (1 − y, say),
    not the neuron's, save adding the product to the 0 that Python's sum() begins with.
    """
    operands = [arg for arg in node.args if isinstance(arg, Value)]
    if _is_penalty(known(node), operands, home):
        return PENALTY
    own = {home[arg] for arg in operands if _is_parameter(arg)}
    if not own:
        begins_sum = (
            known(node) == "add" and 0.0 in node.args and known(operands[0]) == "mul"
        )
        if len(operands) == 1 and known(node) in ARITHMETIC and not begins_sum:
            return None
        if any(arg not in home for arg in operands):
            return None
        own = {home[arg] for arg in operands}
    return own.pop() if len(own) == 1 else None


def _is_penalty(op: str, operands: list[Value], home: dict[Value, str]) -> bool:
    """Whether it is a parameter's square or magnitude, or a sum of such."""
    if op == "add":
        return all(home.get(arg) == PENALTY for arg in operands)
    powers = {"pow": 1, "abs": 1, "mul": 2}.get(op) == len(operands)
    return powers and len({*operands}) == 1 and _is_parameter(operands[0])


def _is_leaf(node: Value) -> bool:
    return not node.args


def _is_parameter(node: Value) -> bool:
    return _is_leaf(node) and _prefix(node) is not None


# ---- cards and arrows ----------------------------------------------------------------


@dataclass
class Card:
    """One box of the picture: a Value, or all Values of one neuron."""

    head: str
    note: str
    kind: str
    group: str = ""  # the neuron that frames it; its layer, if it stands for a neuron
    values: list[float] = field(default_factory=list)
    grads: list[float] = field(default_factory=list)
    tooltip: str = ""
    entry: bool = False  # drawn at the left edge, outside all frames


@dataclass
class Arrow:
    """One operand of one result, or all between two cards (then without a factor)."""

    tail: int
    head: int
    factor: float | None
    flow: float | None  # None where no sweep has been
    tooltip: str
    left_out: bool = False  # by a select


@dataclass
class Picture:
    """All that is drawn, before it is put into words of DOT."""

    cards: list[Card]
    arrows: list[Arrow]
    count: int  # of Values
    collapsed: bool


def _drawing(roots: list[Value], calls: dict[Value, str]) -> Drawing:
    """The drawing; `calls` names the frame of what is inside compiled calls."""
    values = _values(roots)
    home = _neurons(values) | calls
    collapsed = len(values) > CROWDED and any(map(_layer, home.values()))
    picture = _collapsed(values, home) if collapsed else _detailed(values, home)
    names = [clean(root.label or made_by(root) or "a leaf", 40) for root in roots]
    title = "Graph of " + ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    return Drawing(_dot(picture), title, _description(picture))


def _description(picture: Picture) -> str:
    note = _size_note(picture)
    return (
        f"A graph of {picture.count} Values, from operands on the left to results on "
        "the right. A card shows a value and its gradient, a dash where no sweep has "
        "been; an arrow shows the local derivative, in blue where what flows back is "
        "above zero, in red below, wider where it is larger, dotted where a choice "
        f"left the operand out.{' ' if note else ''}{note}"
    )


def _size_note(picture: Picture) -> str:
    if picture.collapsed:
        return f"{picture.count} Values: each neuron is drawn as one card."
    if picture.count > LEGIBLE:
        where = ", and point at arrows for numbers" if picture.count > CROWDED else ""
        return (
            f"{picture.count} Values: above {LEGIBLE} the cards get small; draw a part "
            f"of the graph to read them{where}."
        )
    return ""


def _detailed(values: list[Value], home: dict[Value, str]) -> Picture:
    index = {node: i for i, node in enumerate(values)}
    cards = [_card(node, home.get(node, "")) for node in values]
    arrows = []
    for node in values:
        for arg, factor in _operands(node):
            arrows.append(_arrow(arg, node, factor, index))
            card = cards[index[arg]]
            card.entry |= _is_leaf(arg) and arg not in home and node in home
    return Picture(cards, arrows, len(values), False)


def _operands(node: Value) -> Iterator[tuple[Value, float | None]]:
    """Each operand with its partial, None for what a select left out."""
    taken = iter([*zip(node.parents, node.partials), (None, None)])
    parent, partial = next(taken)
    for arg in node.args:
        if arg is parent:
            yield arg, partial
            parent, partial = next(taken)
        elif isinstance(arg, Value):
            yield arg, None


def _arrow(
    arg: Value, node: Value, factor: float | None, index: dict[Value, int]
) -> Arrow:
    flow = None if factor is None or not node.reached else factor * node.grad
    tip = _arrow_tip(arg, node, factor, flow)
    return Arrow(index[arg], index[node], factor, flow, tip, factor is None)


def _card(node: Value, group: str) -> Card:
    kind = _kind(node)
    note = _operation(node) if node.args else kind
    label = node.label or ""
    if group and kind == "param":
        label = label.removeprefix(group + ".")
    grads = [node.grad] if node.reached else []
    return Card(label, note, kind, group, [node.data], grads, _card_tip(node))


def _kind(node: Value) -> str:
    if node.args:
        return "call" if is_closed(node) else "op"
    return "param" if _is_parameter(node) else "input"


def _operation(node: Value) -> str:
    """The operation with its plain numbers in place: "× 2", "1 −", "clip(·, 0, 1)"."""
    symbol = SYMBOLS.get(known(node)) or made_by(node)
    plain = [None if isinstance(arg, Value) else f"{arg:.6g}" for arg in node.args]
    if not any(plain):
        return symbol
    if known(node) == "pow":
        return f"{plain[0] or ''}^{plain[1] or ''}"
    if known(node) in SYMBOLS:
        return " ".join(filter(None, [plain[0], symbol, plain[1]]))
    shown = [number or "·" for number in plain]
    if len(shown) > 6:
        shown = [*shown[:2], "…", *shown[-2:]]
    return f"{symbol}({', '.join(shown)})"


def _name(node: Value) -> str:
    return clean(node.label or made_by(node) or "leaf", 80)


def _card_tip(node: Value) -> str:
    grad = repr(node.grad) if node.reached else "– (no sweep has reached it)"
    made = f" ({made_by(node)})" if node.args and node.label else ""
    line = f"; computed at {node.line}" if node.line else ""
    return f"{_name(node)}{made} = {node.data!r}; grad {grad}{clean(line, 120)}"


def _arrow_tip(
    arg: Value, node: Value, factor: float | None, flow: float | None
) -> str:
    names = f"∂{_name(node)}/∂{_name(arg)}"
    if factor is None:
        return f"{made_by(node)} left {_name(arg)} out: nothing flows back"
    if flow is None:
        return f"{names} = {factor!r}"
    return f"{names} = {factor!r}; flows back: {factor!r} × {node.grad!r} = {flow!r}"


def _collapsed(values: list[Value], home: dict[Value, str]) -> Picture:
    """One card per neuron, for its results: what no other Value of the neuron uses."""
    neurons = sorted(set(home.values()), key=_natural)
    outside = [node for node in values if node not in home]
    units: list[Value | str] = [*neurons, *outside]
    index = {unit: i for i, unit in enumerate(units)}
    where = {node: index[home.get(node, node)] for node in values}
    cards = [Card(name, "", "op", _layer(name)) for name in neurons]
    cards += [_card(node, "") for node in outside]
    inner = {
        arg
        for node in values
        for arg in node.args
        if isinstance(arg, Value) and where[arg] == where[node]
    }
    for node in values:
        if node in home and node.args and node not in inner:
            card = cards[where[node]]
            card.note, card.tooltip = _operation(node), _card_tip(node)
            card.values.append(node.data)
            card.grads += [node.grad] if node.reached else []
    return Picture(cards, _merged(values, where), len(values), True)


def _merged(values: list[Value], where: dict[Value, int]) -> list[Arrow]:
    """One arrow between two cards, for all that flows back between their Values."""
    arrows: dict[tuple[int, int], Arrow] = {}
    for node in values:
        for arg, factor in _operands(node):
            new = _arrow(arg, node, factor, where)
            old = arrows.setdefault((new.tail, new.head), new)
            if old is not new:
                arrows[new.tail, new.head] = _sum(old, new)
    return [arrow for arrow in arrows.values() if arrow.tail != arrow.head]


def _sum(a: Arrow, b: Arrow) -> Arrow:
    flows = [flow for flow in (a.flow, b.flow) if flow is not None]
    flow = sum(flows) if flows else None
    tip = "no sweep has been" if flow is None else f"flows back in all: {flow!r}"
    return Arrow(a.tail, a.head, None, flow, tip, a.left_out and b.left_out)


def _layer(neuron: str) -> str:
    before, _, last = neuron.rpartition(".")
    return before if last.isdecimal() else ""


def _natural(text: str) -> list[tuple[int, str]]:
    """Sort key that puts neurons.2 before neurons.10."""
    return [(len(part) * part.isdecimal(), part) for part in text.split(".")]


# ---- DOT text ------------------------------------------------------------------------


def _dot(picture: Picture) -> str:
    import graphviz  # type: ignore[import-untyped]

    graph = graphviz.Digraph(
        graph_attr={
            "rankdir": "LR", "newrank": "true", "bgcolor": "transparent",
            "nodesep": "0.2", "ranksep": "0.4", "labeljust": "l",
            "label": _size_note(picture), "fontname": FONT, "fontsize": "11",
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
    top = _largest(arrow.flow for arrow in picture.arrows)
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
    top = _largest(grad for card in picture.cards for grad in card.grads)
    groups: dict[str, Any] = {}
    for i, card in enumerate(picture.cards):
        groups.setdefault(card.group, []).append((f"n{i}", _card_attributes(card, top)))
    for number, name in enumerate(sorted(groups, key=_natural)):
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
            label=_quotable(clean(name, 60)), style="rounded", margin="10",
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
    shade = _shade(card.grads, top)
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


def _largest(numbers: Iterable[float | None]) -> float:
    return max((abs(x) for x in numbers if x is not None and isfinite(x)), default=0.0)


def _share(x: float, top: float) -> float:
    """How strongly x is shown beside the largest, from 0 to 1; an infinity fully."""
    return sqrt(abs(x) / top) if isfinite(x) and top else float(x != 0.0)


def _shade(grads: list[float], top: float) -> str:
    """White at zero, to blue above and red below."""
    grad = max(grads, key=abs, default=0.0)
    if grad != grad:
        return ORANGE
    hue, share = (BLUE if grad > 0.0 else RED), _share(grad, top)
    mixed = [round(a + (b - a) * share) for a, b in zip(WHITE, hue)]
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def _arrow_attributes(arrow: Arrow, top: float) -> dict[str, str]:
    flow = arrow.flow or 0.0
    kind = "nan" if flow != flow else "plus" if flow > 0.0 else "minus"
    if flow == 0.0:
        kind = "grey"
    return {
        "class": kind,
        "color": COLOURS[kind],
        "fontcolor": COLOURS[kind],
        "penwidth": f"{1 + 2 * _share(flow, top):.2f}",
        "style": "dotted" if arrow.left_out else "solid",
        "tooltip": _quotable(arrow.tooltip),
    }


def _markup(text: str, width: int) -> str:
    """Text inside a card; Graphviz reads one level of backslashes there."""
    return html.escape(clean(text, width)).replace("\\", r"\\")


def _quotable(text: str) -> str:
    """Text of a tooltip or frame; Graphviz reads two levels of backslashes there."""
    return html.escape(text).replace("\\", r"\\\\")
