"""A small network that plays by itself: an SVG in which numbers run along its edges.

Forward, an activation leaves a card, passes the weight on its edge and arrives as their
product. Backward, an error leaves by the same edge, passes the same weight and adds up
with the others that arrive; times σ′ it is the δ that goes on. Nothing here computes:
the numbers are those of the pass that was recorded, in three digits.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ....primitives import clean
from ...names import vector_name
from ..clock import Clock, Point
from ..scene import resource, sign
from .played import Neuron, Play
from .words import (
    back_words,
    forward_words,
    is_linear,
    last_words,
    number,
    sum_words,
    vector,
    weights_words,
)

MOST_LAYERS, MOST_NEURONS = 4, 4  # whose numbers people can follow as they run

MARGIN, GAP, ROW = 12.0, 90.0, 21.5
INPUT, CARD = 92.0, 110.0  # widths
SPACE: Final = 22.0  # between cards of a column
GATE: Final = 0.37  # of an edge: where its weight stands
LINE: Final = 22.0  # of the words below
RUN, BEAT, READ, REST = 2.0, 0.8, 2.6, 7.0  # seconds


def animated_network(play: Play) -> str:
    """The SVG; raises ValueError for a network in which nobody would follow them."""
    if not can_follow(play):
        raise ValueError(
            f"player: animated_svg takes at most {MOST_LAYERS} layers of "
            f"{MOST_NEURONS} neurons, but has {len(play.layers)} of up to "
            f"{_widest(play)}; write the page with save(path)"
        )
    return _Film(play).svg


def can_follow(play: Play) -> bool:
    """Whether the network is small enough for its numbers to be watched as they run."""
    return len(play.layers) <= MOST_LAYERS and _widest(play) <= MOST_NEURONS


def _widest(play: Play) -> int:
    return max(len(play.inputs), *map(len, play.layers))


# ---- where it stands -----------------------------------------------------------------


@dataclass
class _Row:
    """One number of a card: its name, and from when on it is seen."""

    name: str
    x: float
    since: float
    back: bool = False
    words: str = ""  # in place of the number


@dataclass
class _Box:
    """A card and its place."""

    x: float
    y: float
    width: float
    kind: str
    title: str
    rows: list[_Row] = field(default_factory=list)
    count: int = 0  # of rows, for which there is room

    @property
    def height(self) -> float:
        return ROW * self.count

    def left(self, i: int, count: int) -> Point:
        """Where edge i of so many ends."""
        return self.x, self._level(i, count)

    def right(self, i: int, count: int) -> Point:
        return self.x + self.width, self._level(i, count)

    def _level(self, i: int, count: int) -> float:
        apart = min(ROW, self.height / count)
        return self.y + self.height / 2 + (i - (count - 1) / 2) * apart


def _between(a: Point, b: Point, share: float) -> Point:
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share


class _Film:
    """The whole round: boxes, edges, what runs along them, words below."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.columns = self._columns()
        self.words: list[tuple[float, list[str]]] = []
        self.runs: list[tuple[float, int, bool]] = []  # start, layer, whether backward
        self.loss_at = self.turn = self.end = 0.0
        self._direct()
        self.clock = Clock(self.end + REST)

    def _columns(self) -> list[list[_Box]]:
        """The inputs, the layers, and under the last one the loss."""
        columns = [
            [
                _Box(MARGIN, 0.0, INPUT, "input", clean(name, 40), count=2)
                for name, _ in self.play.inputs
            ]
        ]
        for c, layer in enumerate(self.play.layers):
            x = MARGIN + INPUT + GAP + c * (CARD + GAP)
            column = []
            for k, neuron in enumerate(layer):
                title = f"layer {c + 1}, neuron {k + 1}, {neuron.activation}"
                count = 2 if is_linear(neuron) else 5
                count += is_linear(neuron) and c + 1 < len(self.play.layers)
                column.append(_Box(x, 0.0, CARD, "op", title, count=count))
            columns.append(column)
        columns[-1].append(
            _Box(columns[-1][0].x, 0.0, CARD, "call", "the loss", count=2)
        )
        tallest = max(map(_height, columns))
        for column in columns:
            space = (tallest - _height(column)) / len(column)
            y = MARGIN + space / 2
            for box in column:
                box.y = y
                y += box.height + SPACE + space
        return columns

    @property
    def loss(self) -> _Box:
        return self.columns[-1][-1]

    # ---- when what happens -----------------------------------------------------------

    def _direct(self) -> None:
        now = self._forward(0.6)
        now = self._turn(now)
        for number_ in range(len(self.play.layers), 0, -1):
            now = self._back(now, number_)
        self.words.append((now, weights_words(self.play)))
        self.words.append((now + READ + 1.6, last_words(self.play)))
        self.end = now + READ + 1.6

    def _forward(self, now: float) -> float:
        for box, (name, x) in zip(self.columns[0], self.play.inputs):
            box.rows.append(_Row(clean(name, 6), x, 0.0))
        for c, layer in enumerate(self.play.layers):
            self.runs.append((now, c, False))
            self.words.append((0.0 if c == 0 else now, forward_words(self.play, c)))
            arrived = now + RUN
            for box, neuron in zip(self.columns[c + 1], layer):
                name = vector_name("z", c + 1)
                if is_linear(neuron):
                    name += f" = {vector_name('a', c + 1)}"
                box.rows.append(_Row(name, neuron.z, arrived))
                if not is_linear(neuron):
                    later = arrived + BEAT
                    box.rows.append(_Row(vector_name("a", c + 1), neuron.a, later))
            now = arrived + 2 * BEAT
        return now

    def _turn(self, now: float) -> float:
        """The loss, and the error that it sends back."""
        self.loss_at = now
        target = clean(self.play.target, 8)
        self.loss.rows = [
            _Row("target t", 0.0, 0.0, words=target),
            _Row("L", self.play.loss, now + BEAT),
        ]
        out = vector_name("a", len(self.play.layers))
        found = f"L = {clean(self.play.loss_name, 24)}({out}, t)"
        self.words.append((now, ["How wrong is it?", f"{found} = {self._loss}"]))
        now = self.turn = now + READ
        last, c = self.play.layers[-1], len(self.play.layers)
        name = vector_name("δ", c)
        for box, neuron in zip(self.columns[-1], last):
            self._error_rows(box, neuron, c, f"∂L/∂{out}", now + BEAT)
        error = (
            f"{name} = ∂L/∂{vector_name('z', c)} = {vector([n.delta for n in last])}"
        )
        self.words.append((now, ["Backward: the error begins at the loss", error]))
        return now + READ + BEAT

    @property
    def _loss(self) -> str:
        return number(self.play.loss)

    def _error_rows(
        self, box: _Box, neuron: Neuron, layer: int, name: str, now: float
    ) -> None:
        """∂L/∂a, σ′(z) and their product δ, one after the other."""
        whole = box.count > 2
        if whole:
            box.rows.append(_Row(name, neuron.arriving, now, True))
        if not is_linear(neuron):
            slope = f"σ′({vector_name('z', layer)})"
            box.rows.append(_Row(slope, neuron.slope, now + BEAT, True))
        later = now + 2 * BEAT * whole
        box.rows.append(_Row(vector_name("δ", layer), neuron.delta, later, True))

    def _back(self, now: float, layer: int) -> float:
        """The errors of one layer run back to the one before."""
        self.runs.append((now, layer - 1, True))
        arrived, name = (
            now + RUN,
            f"{vector_name('W', layer)}ᵀ{vector_name('δ', layer)}",
        )
        if layer > 1:
            before = self.play.layers[layer - 2]
            for box, neuron in zip(self.columns[layer - 1], before):
                self._error_rows(box, neuron, layer - 1, name, arrived)
            self.words.append((now, back_words(self.play, layer)))
            return arrived + 2 * BEAT + READ
        for box, x in zip(self.columns[0], self.play.arriving):
            box.rows.append(_Row(name, x, arrived + 0.2, True))
        self.words.append((now, sum_words(self.play, name)))
        return arrived + READ + BEAT

    # ---- SVG -------------------------------------------------------------------------

    @property
    def svg(self) -> str:
        body = "".join([*self._edges(), *self._boxes(), *self._tokens()])
        below = MARGIN + max(map(_height, self.columns)) + 34
        text = "".join(self._captions(below))
        width = self.columns[-1][0].x + CARD + MARGIN
        height = below + LINE * (max(len(lines) for _, lines in self.words) - 1) + 18
        title = html.escape(clean(self.play.title, 120))
        desc = html.escape(" ".join(self.words[-1][1]))
        return (
            '<svg xmlns="http://www.w3.org/2000/svg" class="film" role="img" '
            f'aria-labelledby="title desc" width="{1.2 * width:.0f}" '
            f'height="{1.2 * height:.0f}" viewBox="0 0 {width:g} {height:g}">'
            f'<title id="title">{title}</title><desc id="desc">{desc}</desc>'
            f"<style>{resource('player.css')}{_STYLE}{self.clock.style}</style>"
            f'<rect class="page" width="{width:g}" height="{height:g}" rx="10"/>'
            f"{body}{text}</svg>\n"
        )

    def _edges(self) -> Iterator[str]:
        for start, c, back in self.runs:
            for k, neuron in enumerate(self.play.layers[c]):
                for i in range(len(neuron.w)):
                    ends = self._ends(c, i, k)
                    if back:
                        kind = sign(neuron.w[i] * neuron.delta)
                        yield self._line(ends[::-1], kind, start)
                    else:
                        until = self._runs_back(c)
                        yield self._line(ends, "grey", 0.0, until)
                    yield self._line(ends[::-1] if back else ends, "lit", start)
        for box in self._neurons(len(self.columns) - 1)[-1:]:
            middle = box.x + box.width / 2
            ends = (middle, box.y + box.height), (middle, self.loss.y)
            yield self._line(ends, "grey", 0.0, self.turn)
            yield self._line(ends, "lit", self.loss_at)
            yield self._line(ends[::-1], "grey", self.turn)

    def _ends(self, c: int, i: int, k: int) -> tuple[Point, Point]:
        """Of the edge from card i of column c to card k of the next one."""
        tails, heads = self.columns[c], self._neurons(c + 1)
        return tails[i].right(k, len(heads)), heads[k].left(i, len(tails))

    def _runs_back(self, c: int) -> float:
        return next(start for start, layer, back in self.runs if layer == c and back)

    def _neurons(self, column: int) -> list[_Box]:
        boxes = self.columns[column]
        return boxes[:-1] if column == len(self.columns) - 1 else boxes

    def _line(
        self, ends: tuple[Point, Point], kind: str, since: float, until: float = 0.0
    ) -> str:
        """An edge with its arrowhead, which points the way things flow."""
        if kind == "lit":
            until = since + (RUN if since != self.loss_at else 1.2)
        seen = self.clock.shown(since, until or None)
        (x1, y1), (x2, y2) = ends
        size = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
        dx, dy = (x2 - x1) / size, (y2 - y1) / size
        x, y = x2 - 9 * dx, y2 - 9 * dy
        corners = f"{x - 4 * dy:.1f},{y + 4 * dx:.1f} {x2:.1f},{y2:.1f} "
        corners += f"{x + 4 * dy:.1f},{y - 4 * dx:.1f}"
        return (
            f'<g class="edge {kind} {seen}"><path d="M{x1:.1f} {y1:.1f}L{x:.1f} '
            f'{y:.1f}"/><polygon points="{corners}"/></g>'
        )

    def _boxes(self) -> Iterator[str]:
        for column in self.columns:
            for box in column:
                yield self._box(box)
        for c, layer in enumerate(self.play.layers):
            for k, neuron in enumerate(layer):
                for i, w in enumerate(neuron.w):
                    x, y = _between(*self._ends(c, i, k), GATE)
                    yield _gate(x, y, w)

    def _box(self, box: _Box) -> str:
        rows = "".join(
            self._row(box, row, box.y + i * ROW) for i, row in enumerate(box.rows)
        )
        forward = sum(not row.back for row in box.rows)
        inside = "".join(
            f"M{box.x:g} {box.y + i * ROW:g}h{box.width:g}" for i in range(1, box.count)
        )
        place = f'x="{box.x:g}" y="{box.y:g}" width="{box.width:g}"'
        return (
            f'<g class="{box.kind}"><title>{html.escape(box.title)}</title>'
            f'<rect class="box" {place} height="{box.height:g}" rx="3"/>'
            f'<rect class="top" {place} height="{forward * ROW:g}" rx="3"/>{rows}'
            f'<path class="thin" d="{inside}"/>'
            f'<rect class="rule" {place} height="{box.height:g}" rx="3"/></g>'
        )

    def _row(self, box: _Box, row: _Row, y: float) -> str:
        seen = self.clock.shown(row.since)
        shade = ""
        if row.back and row.name[0] == "δ":
            shade = (
                f'<rect class="shade {sign(row.x)} {seen}" x="{box.x:g}" y="{y:g}" '
                f'width="{box.width:g}" height="{ROW:g}"/>'
            )
        return (
            f'{shade}<text class="soft {seen if row.back else ""}" '
            f'x="{box.x + 6:g}" y="{y + 15:g}">{html.escape(row.name)}</text>'
            f'<text class="value {seen}" x="{box.x + box.width - 6:g}" y="{y + 15:g}">'
            f"{html.escape(row.words) or number(row.x)}</text>"
        )

    def _tokens(self) -> Iterator[str]:
        """What runs along each edge: one number up to the weight, another after it."""
        for start, c, back in self.runs:
            for k, neuron in enumerate(self.play.layers[c]):
                for i in range(len(neuron.w)):
                    before = self._activation(c, i)
                    ends, leaving, gate = self._ends(c, i, k), before, GATE
                    kind = "onward"
                    if back:
                        ends, leaving, gate = ends[::-1], neuron.delta, 1 - GATE
                        kind = sign(neuron.w[i] * neuron.delta)
                    arriving = leaving * neuron.w[i]
                    middle = _between(*ends, gate)
                    passing = start + RUN * gate
                    first = sign(leaving) if back else kind
                    yield self._token(leaving, first, start, passing, ends[0], middle)
                    yield self._token(
                        arriving, kind, passing, start + RUN, middle, ends[1]
                    )

    def _activation(self, c: int, i: int) -> float:
        return self.play.layers[c - 1][i].a if c else self.play.inputs[i][1]

    def _token(
        self, x: float, kind: str, start: float, end: float, a: Point, b: Point
    ) -> str:
        width = 11 + 8 * len(number(x))
        moved = self.clock.moved(start, end, (a, b))
        return (
            f'<g class="token {kind} {moved}"><rect x="{-width / 2:.1f}" y="-10" '
            f'width="{width:.1f}" height="20" rx="10"/><text y="5">{number(x)}</text>'
            "</g>"
        )

    def _captions(self, top: float) -> Iterator[str]:
        ends = [start for start, _ in self.words[1:]]
        for (start, lines), end in zip(self.words, [*ends, None]):
            rows = "".join(
                f'<text x="{MARGIN:g}" y="{top + i * LINE:g}">'
                f"{_bold(line, whole=i == 0 and end is not None)}</text>"
                for i, line in enumerate(lines)
            )
            yield f'<g class="words {self.clock.shown(start, end)}">{rows}</g>'


def _gate(x: float, y: float, w: float) -> str:
    """The weight that stands on an edge."""
    words = f"× {number(w)}"
    width = 6 + 6.6 * len(words)
    return (
        f'<rect class="page" x="{x - width / 2:.1f}" y="{y - 9:.1f}" '
        f'width="{width:.1f}" height="18"/>'
        f'<text class="gate" x="{x:.1f}" y="{y + 5:.1f}">{words}</text>'
    )


def _height(column: list[_Box]) -> float:
    return sum(box.height for box in column) + SPACE * (len(column) - 1)


def _bold(line: str, *, whole: bool) -> str:
    """A heading, or a line with its first word as one."""
    head, colon, rest = (line, "", "") if whole else line.rpartition(": ")
    return f"<tspan>{html.escape(head + colon)}</tspan>{html.escape(rest)}"


_STYLE: Final = (
    "text{font:15.5px Helvetica,Arial,sans-serif;fill:var(--text)}"
    ".page{fill:var(--page)}.soft{fill:var(--soft);font-size:15px}"
    ".value{text-anchor:end}.thin{stroke:var(--line);stroke-width:.5;opacity:.5}"
    ".gate{text-anchor:middle;font-size:14.5px}"
    ".edge path{fill:none;stroke-width:1.6}.edge.grey{fill:var(--grey);"
    "stroke:var(--grey)}.edge.plus{fill:var(--plus);stroke:var(--plus)}"
    ".edge.minus{fill:var(--minus);stroke:var(--minus)}"
    ".edge.nan{fill:var(--nan);stroke:var(--nan)}"
    ".edge.lit{fill:var(--lit);stroke:var(--lit)}.edge.lit path{stroke-width:3}"
    ".token rect{fill:var(--page);stroke:var(--text);stroke-width:1.6}"
    ".token text{text-anchor:middle;font-weight:bold}"
    ".token.plus rect{stroke:var(--plus)}.token.plus text{fill:var(--plus)}"
    ".token.minus rect{stroke:var(--minus)}.token.minus text{fill:var(--minus)}"
    ".shade{fill-opacity:.25;opacity:1}.words tspan{font-weight:bold}"
)
