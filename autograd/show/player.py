"""The sweep of one graph, played step by step: forward, then the error flows backward.

A step computes one Value, or passes one adjoint on to its operands. Python works out
every step: its cards and arrows, its arithmetic in words and numbers, the adjoints that
it changes. The page (`player.html`, in the colours of `player.css`) has a script that
shows them and computes nothing (`player.js`). Where no script may run, an SVG does.

    home    the neuron whose parameters a Value is computed from, as in `draw`
    bars    the adjoints so far: a dict, so that no `grad` of the user's is touched
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib import resources
from string import Template
from typing import Final

from ..files import require_suffix, write_file
from ..primitives import brief, clean
from ..value import Value, require_current, topological
from .draw import (
    LEGIBLE,
    Arrow,
    Card,
    Picture,
    _detailed,
    _dot,
    _largest,
    _neurons,
    _share,
    _values,
)
from .latex import PLAIN, Names, formula, known, made_by, partial_formulas, row_formula
from .names import variable_names
from .render import render

LIMIT: Final = 300  # Values: more steps than a person will watch
LAYOUT_SECONDS: Final = 20.0
MOST_LINES: Final = 8  # of one step
MOST_TERMS: Final = 6  # of a dot product that is written out
WIDTH: Final = 30  # of a name, in characters
LEFT, ROW = 40.0, 26.0  # of a card: its left column and the height of its rows
TALL: Final = 420.0  # pixels: beside such a drawing, text stands on the left

Line = list[str]  # what is equal, part by part: ["u = sin(v)", "= sin(2.25)", "= 0.77"]


def player(y: Value) -> Player:
    """Play how y was computed, and how its derivative flows back to the inputs.

    >>> x = Value(1.5, label="x")
    >>> played = player((x**2).sin())
    >>> for step in played.steps:
    ...     print(step.head, *[" ".join(line) for line in step.lines], sep="; ")
    Start: the inputs hold their numbers; x = 1.5
    Forward 1 of 2; u = x² = 1.5² = 2.25; local derivative du/dx = 2·x = 3
    Forward 2 of 2; y = sin(u) = sin(2.25) = 0.7780732; local derivative ...
    Backward begins at the result; y's adjoint = dy/dy = 1
    Backward 1 of 2; u's adjoint += dy/du · (adjoint of y) = (-0.62817362) · 1 = ...
    Backward 2 of 2; x's adjoint += du/dx · (adjoint of u) = 3 · (-0.62817362) = ...
    Done: the adjoints of the inputs are the derivatives; dy/dx = dy/du · du/dx ...

    A notebook shows it; `save(path)` writes the page. It sweeps by itself: no `grad`
    matters to it, and none changes.
    Raises TypeError unless y is a Value; ValueError if it depends on more than 300
    Values, or if a leaf was assigned since.
    """
    if not isinstance(y, Value):
        raise TypeError(
            f"player: y must be a Value, but is {brief(y)} "
            f"({type(y).__name__}); compute it from Values, as in x = Value(1.5); "
            "player(x.sin())"
        )
    _require_playable(y)
    sweep = _Sweep(y)
    return Player(sweep.title, sweep.steps, sweep.picture)


@dataclass(frozen=True)
class Step:
    """One step: what it says, what it lights, what it changes.

    Cards and arrows are numbers of the picture's; `values` are the cards whose numbers
    appear, `fed` the cards that give to this one or receive from it.
    """

    head: str
    lines: list[Line]
    card: int | None = None
    fed: tuple[int, ...] = ()
    arrows: tuple[int, ...] = ()
    values: tuple[int, ...] = ()
    adjoints: tuple[tuple[int, float], ...] = ()
    back: bool = False


@dataclass(frozen=True)
class Player:
    """What `player` gives: shown by notebooks, written by `save` and `animated_svg`."""

    title: str
    steps: list[Step] = field(repr=False)
    picture: Picture = field(repr=False)

    @cached_property
    def html(self) -> str:
        """The page: one HTML document that asks for nothing from anywhere.

        Raises RuntimeError without a renderer, TimeoutError where the layout takes too
        long.
        """
        script = _resource("player.js")
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        return Template(_resource("player.html")).substitute(
            title=html.escape(self.title),
            drawing_style=_resource("player.css"),
            drawing=_still(self.picture, self._layout),
            steps=_json(self.steps, self.picture),
            last=len(self.steps) - 1,
            rows=self._rows,
            shape="tall" if self._layout.height > TALL else "wide",
            script=script,
            script_hash=f"sha256-{digest}",
        )

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write the page and return the path; `#step=12` in its address opens a step.

        Raises as `html` does, and OSError where the file cannot be written (it is then
        left as it was).
        """
        require_suffix(path, ".html", "player")
        return write_file(path, self.html.encode(), "player")

    def animated_svg(self, path: str | os.PathLike[str] | None = None) -> str:
        """The steps as an SVG that plays by itself, without a script, or its path.

        Where people ask for less motion it shows the end. Raises as `save` does.
        """
        if path is not None:
            require_suffix(path, ".svg", "player")
        svg = _animated(self.title, self.steps, self.picture, self._layout)
        return svg if path is None else write_file(path, svg.encode(), "player")

    def _repr_html_(self) -> str:
        scene = max(180.0, min(self._layout.height, 560.0))
        height = min(900, round(180 + 23 * self._rows + scene))
        return (
            f'<iframe title="{html.escape(self.title)}" sandbox="allow-scripts" '
            f'style="width:100%;height:{height}px;border:0" '
            f'srcdoc="{html.escape(self.html)}"></iframe>'
        )

    @property
    def _rows(self) -> int:
        return max(2, 1 + max(len(step.lines) for step in self.steps))

    @cached_property
    def _layout(self) -> _Layout:
        return _laid_out(self.picture)


def _require_playable(y: Value) -> None:
    """Raise if the graph is too large, walking no further than it takes to know."""
    seen, todo, operands = {y}, [y], 0
    while todo and len(seen) <= LIMIT and operands <= 4 * LIMIT:
        args = todo.pop().args
        operands += len(args)
        new = {arg for arg in args if isinstance(arg, Value)} - seen
        seen |= new
        todo += new
    if len(seen) > LIMIT or operands > 4 * LIMIT:
        raise ValueError(
            f"player: y must depend on at most {LIMIT} Values (as {4 * LIMIT} "
            "operands), but depends on more; play a smaller part, such as one neuron "
            "or one data point, or read explain(y)"
        )


@cache
def _resource(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


# ---- what happens: the steps ---------------------------------------------------------


class _Sweep:
    """The forward and the backward sweep of one graph, taken down step by step."""

    def __init__(self, y: Value) -> None:
        self.y = y
        self.order = topological(y, whole=True)
        for node in self.order:
            require_current(node, "player")
        values = _values([y])
        self.index = {value: i for i, value in enumerate(values)}
        self.leaves = [value for value in values if not value.args]
        self.home = _neurons(values)
        self.names = variable_names(y, self.order, self.leaves)
        self.picture = _detailed(values, self.home)
        self.into: dict[int, list[int]] = {}  # the arrows into each card
        for k, arrow in enumerate(self.picture.arrows):
            self.into.setdefault(arrow.head, []).append(k)
        self.bars: dict[Value, float] = {}
        self.steps = [*self._forward(), *self._backward(), self._result()]
        self._finish_picture(values)

    @property
    def title(self) -> str:
        name = clean(self.names[self.y], WIDTH)
        if 1 < len(self.order) <= 6:  # written out, operands repeat
            leaves = {leaf: clean(self.names[leaf], WIDTH) for leaf in self.leaves}
            name = clean(f"{name} = {formula(self.y, leaves)}", 80)
        return f"{name}, forward and backward"

    def _finish_picture(self, values: list[Value]) -> None:
        """Give cards and arrows this sweep's adjoints, and cards the names of steps."""
        for i, value in enumerate(values):
            card, bar = self.picture.cards[i], self.bars.get(value)
            name = card.head if card.kind == "param" else self.names[value]
            tip = f"{clean(self.names[value], 80)} = {value.data!r}"
            grads = [] if bar is None else [bar]
            self.picture.cards[i] = replace(card, head=name, grads=grads, tooltip=tip)
        for k, arrow in enumerate(self.picture.arrows):
            bar = self.bars.get(values[arrow.head])
            flow = None if arrow.factor is None or bar is None else arrow.factor * bar
            self.picture.arrows[k] = replace(arrow, flow=flow)

    # ---- steps -----------------------------------------------------------------------

    def _forward(self) -> Iterator[Step]:
        lines = [
            [f"{clean(self.names[leaf], WIDTH)} = {PLAIN.number(leaf.data)}"]
            for leaf in self.leaves
        ]
        inputs = tuple(self.index[leaf] for leaf in self.leaves)
        head = "Start: the inputs hold their numbers"
        yield Step(head, _capped(lines), fed=inputs, values=inputs)
        for number, node in enumerate(self.order, start=1):
            card = self.index[node]
            arrows = self.into[card]
            yield Step(
                f"Forward {number} of {len(self.order)}{self._place(node)}",
                _capped([self._arithmetic(node), *self._local_derivatives(node)]),
                card=card,
                fed=self._tails(arrows),
                arrows=tuple(arrows),
                values=(card,),
            )

    def _backward(self) -> Iterator[Step]:
        card, name = self.index[self.y], clean(self.names[self.y], WIDTH)
        self.bars[self.y] = 1.0
        yield Step(
            "Backward begins at the result",
            [[f"{name}'s adjoint = d{name}/d{name}", "= 1"]],
            card=card,
            adjoints=((card, 1.0),),
        )
        nodes = topological(self.y)[::-1]
        uses = self._uses(nodes)
        seen = dict.fromkeys(uses, 0)
        for node in nodes:
            self.bars.setdefault(node, 0.0)
        for number, node in enumerate(nodes, start=1):
            card = self.index[node]
            arrows = self.into[card]
            lines = [self._pass_on(node, k, uses, seen) for k in arrows]
            taken = [k for k in arrows if not self.picture.arrows[k].left_out]
            fed = self._tails(taken)
            yield Step(
                f"Backward {number} of {len(nodes)}{self._place(node)}",
                _capped(lines),
                card=card,
                fed=fed,
                arrows=tuple(taken),
                adjoints=tuple((i, self.bars[self._values[i]]) for i in fed),
                back=True,
            )

    def _result(self) -> Step:
        lines = [self._derivative(leaf) for leaf in self.leaves]
        return Step(
            "Done: the adjoints of the inputs are the derivatives",
            _capped(lines),
            fed=tuple(self.index[leaf] for leaf in self.leaves),
        )

    # ---- words -----------------------------------------------------------------------

    def _place(self, node: Value) -> str:
        home = self.home.get(node)
        return f", in {clean(home, 60)}" if home else ""

    def _near(self, node: Value) -> dict[Value, str]:
        """Names of a result and its operands: short ones where no two are the same."""
        used = [node, *(arg for arg in node.args if isinstance(arg, Value))]
        prefix = f"{self.home.get(node, '')}."
        near = {x: clean(self.names[x].removeprefix(prefix), WIDTH) for x in used}
        if len({*near.values()}) == len(near):
            return near
        return {x: clean(self.names[x], WIDTH) for x in used}

    def _arithmetic(self, node: Value) -> Line:
        """u = sin(v), = sin(2.25), = 0.7780732."""
        names = self._near(node)
        parts = [_row_text(node, names), _row_numbers(node), PLAIN.number(node.data)]
        distinct = list(dict.fromkeys(parts))
        return [f"{names[node]} = {distinct[0]}", *(f"= {x}" for x in distinct[1:])]

    def _local_derivatives(self, node: Value) -> Iterator[Line]:
        names = self._near(node)
        written = zip(node.args, partial_formulas(node, names))
        symbols = [text for arg, text in written if isinstance(arg, Value)]
        for k, text in zip(self.into[self.index[node]], symbols):
            arrow = self.picture.arrows[k]
            arg = self._values[arrow.tail]
            if arrow.factor is None:
                yield [f"{names[arg]} is left out by {made_by(node)}"]
            else:
                parts = dict.fromkeys([text, PLAIN.number(arrow.factor)])
                ratio = self._factor_name(k, names)
                yield [f"local derivative {ratio}", *(f"= {part}" for part in parts)]

    def _factor_name(self, k: int, names: Names) -> str:
        """du/dv; and through which operand, if v is several of them, as in v·v."""
        arrow = self.picture.arrows[k]
        node, arg = self._values[arrow.head], self._values[arrow.tail]
        ratio = _ratio(node, arg, names)
        if sum(x is arg for x in node.args) == 1:
            return ratio
        places = [i for i, x in enumerate(node.args, start=1) if isinstance(x, Value)]
        return f"{ratio} by operand {places[self.into[arrow.head].index(k)]}"

    def _pass_on(
        self, node: Value, k: int, uses: dict[Value, int], seen: dict[Value, int]
    ) -> Line:
        """Add what flows back along one arrow to its operand's adjoint, and say so."""
        arrow, names, bar = self.picture.arrows[k], self._near(node), self.bars[node]
        arg = self._values[arrow.tail]
        if arrow.factor is None:
            return [f"{names[arg]} is left out:", "nothing flows back to it"]
        flow = arrow.factor * bar
        total = self.bars[arg] = self.bars.get(arg, 0.0) + flow
        seen[arg] += 1
        line = [
            f"{names[arg]}'s adjoint += {self._factor_name(k, names)} · "
            f"(adjoint of {names[node]})",
            f"= {_signed(arrow.factor)} · {_signed(bar)}",
            f"= {PLAIN.number(flow)}",
        ]
        if uses[arg] > 1:
            done = "in all" if seen[arg] == uses[arg] else "so far"
            of = f"{seen[arg]} of {uses[arg]}"
            line.append(f"({of}; {done} {PLAIN.number(total)})")
        return line

    def _derivative(self, leaf: Value) -> Line:
        """dy/dx, with the product of local derivatives where the graph is one chain."""
        names = {x: clean(self.names[x], WIDTH) for x in self.index}
        d = "d" if len(self.leaves) == 1 else "∂"
        left = f"{d}{names[self.y]}/{d}{names[leaf]}"
        if leaf not in self.bars:
            return [left, "= 0: every way back was left out"]
        arrows = self.picture.arrows[::-1]
        parts = [PLAIN.number(self.bars[leaf])]
        if len(arrows) == len(self.index) - 1 == len(self.order) and len(arrows) > 1:
            ends = [(self._values[a.head], self._values[a.tail]) for a in arrows]
            factors = [_signed(a.factor) for a in arrows if a.factor is not None]
            if len(factors) == len(arrows) <= MOST_LINES:
                symbols = " · ".join(_ratio(z, x, names) for z, x in ends)
                parts = [symbols, " · ".join(factors), *parts]
        return [left, *(f"= {part}" for part in parts)]

    # ---- parts -----------------------------------------------------------------------

    @cached_property
    def _values(self) -> list[Value]:
        return list(self.index)

    def _tails(self, arrows: list[int]) -> tuple[int, ...]:
        return tuple(dict.fromkeys(self.picture.arrows[k].tail for k in arrows))

    def _uses(self, nodes: list[Value]) -> dict[Value, int]:
        """How many arrows of the sweep flow back to each Value."""
        uses: dict[Value, int] = {}
        for node in nodes:
            for parent in node.parents:
                uses[parent] = uses.get(parent, 0) + 1
        return uses


def _capped(lines: list[Line]) -> list[Line]:
    if len(lines) <= MOST_LINES:
        return lines
    shown = MOST_LINES - 1
    return [*lines[:shown], [f"… and {len(lines) - shown} more"]]


def _signed(x: float) -> str:
    """A number that may stand inside a product."""
    text = PLAIN.number(x)
    return f"({text})" if text.startswith("-") else text


def _ratio(z: Value, x: Value, names: Names) -> str:
    d = "d" if len({*z.parents}) == 1 else "∂"
    return f"{d}{names[z]}/{d}{names[x]}"


def _row_text(node: Value, names: Names) -> str:
    """The formula of one operation; a short dot product is written out."""
    if known(node) == "dot" and len(node.args) <= 2 * MOST_TERMS:
        half = len(node.args) // 2
        written = [names[x] if isinstance(x, Value) else _signed(x) for x in node.args]
        return " + ".join(map("·".join, zip(written[:half], written[half:])))
    return row_formula(node, names)


def _row_numbers(node: Value) -> str:
    """The same with numbers in place of names.

    Each operand gets a sign of its own first: equal numbers must not become a square.
    """
    operands = [arg for arg in node.args if isinstance(arg, Value)]
    signs = {x: chr(0xE000 + i) for i, x in enumerate(dict.fromkeys(operands))}
    text = _row_text(node, signs)
    text = text.translate({ord(sign): _signed(x.data) for x, sign in signs.items()})
    return re.sub(
        r"([(,|] ?)\((-[^(),]*)\)(?=[,)|])", r"\1\2", text
    )  # f((-2)) is f(-2)


# ---- where it stands: the layout -----------------------------------------------------

Point = tuple[float, float]
Place = tuple[float, float, float]  # of a card: left, top, width
Curve = tuple[list[Point], Point, Point]  # of an arrow: its course, tip, label


@dataclass(frozen=True)
class _Layout:
    """Places in pixels, y downwards: of cards, arrows and frames."""

    width: float
    height: float
    cards: list[Place]
    arrows: list[Curve]
    frames: list[tuple[float, float, float, float, str]]


def _laid_out(picture: Picture) -> _Layout:
    """Ask Graphviz where everything of the picture stands."""
    found = json.loads(render(_dot(picture), "json0", LAYOUT_SECONDS))
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
    return _Layout(
        width,
        height,
        [cards[f"n{i}"] for i in range(len(picture.cards))],
        [curves[arrow.tail, arrow.head].pop(0) for arrow in picture.arrows],
        frames,
    )


# ---- how it looks: SVG ---------------------------------------------------------------


def _still(picture: Picture, layout: _Layout) -> str:
    """The drawing of the page, at the end of the sweep; the script turns it back."""
    top, most = _top_adjoint(picture), _largest(arrow.flow for arrow in picture.arrows)
    parts = [_frame_svg(*frame) for frame in layout.frames]
    for arrow, curve in zip(picture.arrows, layout.arrows):
        sign, width = _sign(arrow.flow), _stroke(arrow, most)
        data = f'data-sign="{sign}" data-width="{width}" data-head="{arrow.head}"'
        parts.append(_arrow_svg(arrow, curve, sign, data))
    for card, place in zip(picture.cards, layout.cards):
        grad = card.grads[0] if card.grads else None
        data = f'data-value="{card.values[0]!r}" data-tip="{html.escape(card.tooltip)}"'
        parts.append(_card_svg(card, place, _adjoint_svg(grad, top, place[2]), data))
    crowded = " crowded" if picture.count > LEGIBLE else ""
    return (
        f'<svg class="drawing{crowded}" role="img" aria-label="Graph" '
        f'viewBox="-6 -6 {layout.width + 12:g} {layout.height + 12:g}">'
        + "\n".join(parts)
        + "</svg>"
    )


def _frame_svg(x: float, y: float, width: float, height: float, label: str) -> str:
    return (
        f'<g class="frame"><rect x="{x:g}" y="{y:g}" width="{width:g}" '
        f'height="{height:g}" rx="8"/><text x="{x + 9:g}" y="{y + 14:g}">'
        f"{html.escape(html.unescape(label))}</text></g>"
    )


def _arrow_svg(
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
        f'/><polygon points="{_arrowhead(points, (x, y))}"/>'
        f'<text class="{label}" x="{middle:g}" y="{base + 1.5:g}">{text}</text></g>'
    )


def _arrowhead(points: list[Point], tip: Point) -> str:
    """A triangle from the end of the curve to its tip."""
    (x, y), (tx, ty) = points[-1], tip
    dx, dy = 0.35 * (tx - x), 0.35 * (ty - y)
    corners = [(x - dy, y + dx), (tx, ty), (x + dy, y - dx)]
    return " ".join(f"{px:.1f},{py:.1f}" for px, py in corners)


def _card_svg(
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


def _adjoint_svg(
    adjoint: float | None, top: float, width: float, classes: str = ""
) -> str:
    shown = "–" if adjoint is None else f"{adjoint:.6g}"
    opacity = 0.0 if adjoint is None else _opacity(adjoint, top)
    return (
        f'<g class="{classes}"><rect class="shade {_sign(adjoint)}" x="{LEFT:g}" '
        f'y="{2 * ROW:g}" width="{width - LEFT:.1f}" height="{ROW:g}" '
        f'style="opacity:{opacity:.2f}"/>'
        f'<text class="adjoint" x="{width - 5:.1f}" y="69.5">{shown}</text></g>'
    )


def _top_adjoint(picture: Picture) -> float:
    return _largest(grad for card in picture.cards for grad in card.grads)


def _stroke(arrow: Arrow, most: float) -> str:
    """The width of an arrow, once its share of the adjoint has flowed back."""
    return f"{1 + 2 * _share(arrow.flow or 0.0, most):.2f}"


def _sign(x: float | None) -> str:
    """The class that colours it."""
    if x is None or x == 0.0:
        return "grey"
    return "nan" if x != x else "plus" if x > 0.0 else "minus"


def _opacity(adjoint: float, top: float) -> float:
    return 0.5 * _share(adjoint, top) if adjoint == adjoint else 0.5


def _json(steps: list[Step], picture: Picture) -> str:
    """The steps for the script, safe inside an HTML page: numbers as Python's repr."""
    top = _top_adjoint(picture)
    rows = [
        {
            **{k: getattr(step, k) for k in ("head", "lines", "card", "fed", "arrows")},
            "values": step.values,
            "back": step.back,
            "adjoints": [
                (i, repr(x), f"{x:.6g}", _sign(x), round(_opacity(x, top), 2))
                for i, x in step.adjoints
            ],
        }
        for step in steps
    ]
    text = json.dumps(rows, separators=(",", ":"), ensure_ascii=False)
    for unsafe in "<>&\u2028\u2029":
        text = text.replace(unsafe, f"\\u{ord(unsafe):04x}")
    return text


# ---- an SVG that plays by itself -----------------------------------------------------

STEP_SECONDS, REST_SECONDS = 1.8, 5.0
CAPTION, LINE_HEIGHT, LETTER = 76, 19, 7.6  # characters of a line, pixels of both


class _Clock:
    """CSS classes that show something from one step on, until another or for good."""

    def __init__(self, steps: int) -> None:
        self.seconds = steps * STEP_SECONDS + REST_SECONDS
        self.rules: dict[str, str] = {}

    def shown(self, start: int, end: int | None = None) -> str:
        """The class; at rest, when nothing moves, what has an end is not seen."""
        if start == 0 and end is None:
            return ""
        name = f"t{start}" if end is None else f"t{start}-{end}"
        if name not in self.rules:
            self.rules[name] = self._rule(name, start, end)
        return name

    def _rule(self, name: str, start: int, end: int | None) -> str:
        step = 100 * STEP_SECONDS / self.seconds  # percent of the whole
        a, b = start * step, 100.0 if end is None else end * step
        frames = f"{a + step / 5 if start else 0:.3f}%,{b:.3f}%{{opacity:1}}"
        if start:
            frames = f"0%,{a:.3f}%{{opacity:0}}{frames}"
        if end is not None:
            frames += f"{b + 0.001:.3f}%,to{{opacity:0}}"
        return (
            f"@keyframes {name}{{{frames}}}"
            + (f".{name}{{opacity:0}}" if end is not None else "")
            + "@media (prefers-reduced-motion:no-preference){"
            f".{name}{{animation:{name} {self.seconds:g}s linear infinite}}}}"
        )

    @property
    def style(self) -> str:
        return "".join(self.rules.values())


def _animated(title: str, steps: list[Step], picture: Picture, layout: _Layout) -> str:
    clock = _Clock(len(steps))
    frames = [_frame_svg(*frame) for frame in layout.frames]
    arrows = _animated_arrows(steps, picture, layout, clock)
    cards = _animated_cards(steps, picture, layout, clock)
    drawing = "\n".join([*frames, *arrows, *cards])
    captions = [_caption_lines(step) for step in steps]
    ends = [*range(1, len(steps)), None]
    top = layout.height + 30
    text = "\n".join(
        _caption_svg(lines, top, clock.shown(i, end))
        for i, (lines, end) in enumerate(zip(captions, ends))
    )
    width = round(max(layout.width, CAPTION * LETTER)) + 40
    height = round(top + max(map(len, captions)) * LINE_HEIGHT) + 16
    middle = (width - 40 - layout.width) / 2
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" class="drawing" role="img" '
        f'aria-labelledby="title desc" width="{width}" height="{height}" '
        f'viewBox="-20 -16 {width} {height}">'
        f'<title id="title">{html.escape(title)}</title>'
        f'<desc id="desc">{html.escape(" ".join(captions[-1]))}</desc>'
        f"<style>{_resource('player.css')}{_PLAYING}{clock.style}</style>"
        f'<rect class="page" x="-20" y="-16" width="{width}" height="{height}" '
        f'rx="10"/><g transform="translate({middle:.1f} 0)">{drawing}</g>{text}</svg>\n'
    )


_PLAYING: Final = (
    ".page{fill:var(--page)}.outline{visibility:visible}"
    ".arrow.lit{fill:var(--lit);stroke:var(--lit);stroke-width:2.5}"
    ".drawing .arrow.lit text{font-weight:bold}"
    ".drawing .caption{font-family:ui-monospace,Menlo,Consolas,monospace;"
    "font-size:12.5px}.drawing .caption:first-child{font-weight:bold}"
)


def _animated_arrows(
    steps: list[Step], picture: Picture, layout: _Layout, clock: _Clock
) -> Iterator[str]:
    """Each arrow in grey, then coloured by what has flowed back, and lit in between."""
    most = _largest(arrow.flow for arrow in picture.arrows)
    for k, (arrow, curve) in enumerate(zip(picture.arrows, layout.arrows)):
        lit = [i for i, step in enumerate(steps) if k in step.arrows]
        yield _arrow_svg(arrow, curve, "", label=clock.shown(lit[0]))
        wide = f'style="stroke-width:{_stroke(arrow, most)}"'
        for i in lit:
            if steps[i].back:
                classes = f"{_sign(arrow.flow)} {clock.shown(i)}"
                yield _arrow_svg(arrow, curve, classes, wide)
            yield _arrow_svg(arrow, curve, f"lit {clock.shown(i, i + 1)}")


def _animated_cards(
    steps: list[Step], picture: Picture, layout: _Layout, clock: _Clock
) -> Iterator[str]:
    """Each card, with every adjoint that it has in turn, and an outline while lit."""
    top = _top_adjoint(picture)
    for c, (card, place) in enumerate(zip(picture.cards, layout.cards)):
        known = next(i for i, step in enumerate(steps) if c in step.values)
        changes: list[tuple[int, float | None]] = [(0, None)]
        for i, step in enumerate(steps):
            changes += [(i, adjoint) for at, adjoint in step.adjoints if at == c]
        ends = [*(i for i, _ in changes[1:]), None]
        adjoints = "".join(
            _adjoint_svg(adjoint, top, place[2], clock.shown(i, end))
            for (i, adjoint), end in zip(changes, ends)
        )
        outlines = "".join(
            f'<rect class="outline {clock.shown(i, i + 1)}" {{0}}/>'
            for i, step in enumerate(steps)
            if step.card == c
        )
        shown = clock.shown(known)
        yield _card_svg(card, place, adjoints, value=shown, outline=outlines)


def _caption_lines(step: Step) -> list[str]:
    """What the step says, on lines of a fixed width."""
    lines = [step.head]
    for first, *parts in step.lines:
        lines.append(first)
        for part in parts:
            if len(lines[-1]) + len(part) < CAPTION:
                lines[-1] += f" {part}"
            else:
                lines.append(f"  {part}")
    return [clean(line, CAPTION) for line in lines]


def _caption_svg(lines: list[str], top: float, classes: str) -> str:
    rows = "".join(
        f'<text class="caption" y="{top + i * LINE_HEIGHT:g}">{html.escape(line)}'
        "</text>"
        for i, line in enumerate(lines)
    )
    return f'<g class="{classes}">{rows}</g>'
