"""The drawing that the steps of a network play on: small cards, to fit a phone.

A card has a above and δ below, in three digits; its tooltip has all of them. The loss
stands under the output. Places are computed here: no program lays this out.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from ....primitives import clean
from ...draw.dot import largest_of, share_of
from ..scene import opacity, sign
from .cast import Cast, Column, Edge
from .words import number

CARD, ROW, HEAD = 58.0, 14.0, 28.0
NARROW: Final = 56.0  # the place of a gap
PHONE: Final = 300.0  # what columns fill where they can: on a phone, a fifth larger
GAP, WIDE_GAP = 36.0, 84.0
SPACE, WIDE_SPACE, FEW = 7.0, 20.0, 5  # between cards, of which a few get more
LETTER: Final = 10.5

Place = tuple[float, float]


@dataclass(frozen=True)
class NetworkScene:
    """The cards and edges of a cast, where they stand and how they look."""

    cast: Cast
    digits, scale = 3, 1.6
    legend = "A card: activation a, error δ = ∂L/∂z (∂: of L). A dash: not yet."

    @property
    def height(self) -> float:
        """As high as a notebook should show it."""
        return 1.5 * self._extent[1]

    @property
    def top(self) -> float:
        layers = self.cast.play.layers
        return largest_of(neuron.delta for layer in layers for neuron in layer)

    def still(self) -> str:
        """The drawing at the end; the script turns it back."""
        width, height = self._extent
        parts = [*self._headings(), *self._arrows(), *self._cards()]
        return (
            '<svg class="drawing net" role="img" aria-label="Network" '
            f'data-letter="{LETTER:g}" viewBox="-2 0 {width + 4:g} {height:g}">'
            + "\n".join(parts)
            + "</svg>"
        )

    # ---- places ----------------------------------------------------------------------

    @cached_property
    def _stacks(self) -> list[tuple[float, int, int]]:
        """Width, cards and hidden neurons of each column.

        The loss stands below the output, or where there are several beside them.
        """
        columns = self.cast.columns
        found = [
            (NARROW if column.is_gap else CARD, column.shown, column.hidden)
            for column in columns
        ]
        if self._below:
            found[-1] = CARD, 2, 0
        else:
            found.append((CARD, 1, 0))
        return found

    @property
    def _below(self) -> bool:
        last = self.cast.columns[-1]
        return last.shown == 1 and not last.hidden

    @cached_property
    def _lefts(self) -> list[float]:
        """Where each column begins, and where the last one ends."""
        widths = [width for width, _, _ in self._stacks]
        gap = (PHONE - sum(widths)) / max(1, len(widths) - 1)
        gap = min(max(gap, GAP), WIDE_GAP)
        lefts = [sum(widths[:i]) + i * gap for i in range(len(widths) + 1)]
        return [*lefts[:-1], lefts[-1] - gap]

    @property
    def _space(self) -> float:
        return SPACE if max(n for _, n, _ in self._stacks) > FEW else WIDE_SPACE

    @cached_property
    def _tallest(self) -> float:
        return max(self._tall(count, hidden) for _, count, hidden in self._stacks)

    def _tall(self, count: int, hidden: int) -> float:
        """The height of cards, and of the line that counts what is hidden."""
        return count * (2 * ROW + self._space) - self._space + ROW * (hidden > 0)

    @property
    def _extent(self) -> tuple[float, float]:
        return self._lefts[-1], HEAD + self._tallest + 4

    @cached_property
    def _places(self) -> list[Place]:
        """The top left corner of each card, the loss's last."""
        places = []
        for (_, count, hidden), x in zip(self._stacks, self._lefts):
            apart = (self._tallest - self._tall(count, hidden)) / max(1, count)
            step = 2 * ROW + self._space + apart
            places += [(x, HEAD + apart / 2 + k * step) for k in range(count)]
        return places

    # ---- SVG -------------------------------------------------------------------------

    def _headings(self) -> Iterator[str]:
        for column, x in zip(self.cast.columns, self._lefts):
            middle = x + (NARROW if column.is_gap else CARD) / 2
            if column.is_gap:
                yield from self._gap(column, middle)
                continue
            for i, words in enumerate(self._heading(column)):
                yield _text("soft", middle, 10 + 11 * i, words)
            if column.hidden:
                _, y = self._places[self.cast.cards[column.layer, column.shown - 1]]
                rest = f"… {column.hidden} more"
                yield _text("soft", middle, y + 3 * ROW - 1, rest)

    def _heading(self, column: Column) -> list[str]:
        if column.layer == 0:
            return ["inputs"]
        layer = self.cast.play.layers[column.layer - 1]
        names = ", ".join(dict.fromkeys(neuron.activation for neuron in layer))
        return [f"layer {column.layer}", clean(names, 14)]

    def _gap(self, column: Column, middle: float) -> Iterator[str]:
        plural = "s" if column.count > 1 else ""
        y = HEAD + self._tallest / 2 - 14
        for i, words in enumerate(["…", f"{column.count} layer{plural}", "like this"]):
            yield _text("soft", middle, y + 13 * i, words)

    def _arrows(self) -> Iterator[str]:
        most = largest_of(map(self.cast.flow, self.cast.edges))
        for edge in self.cast.edges:
            flow = self.cast.flow(edge)
            width = f"{0.6 + 1.8 * share_of(flow, most):.2f}"
            yield self._arrow(edge, sign(flow), width)

    def _arrow(self, edge: Edge, kind: str, width: str) -> str:
        tail, head = self.cast.ends(edge)
        a, b = self._ends(edge, tail, head)
        return (
            f'<g class="arrow {kind}" data-sign="{kind}" data-width="{width}" '
            f'data-head="{head}"><path d="M{a[0]:.1f} {a[1]:.1f}L{b[0]:.1f} '
            f'{b[1]:.1f}"/>{_tip(a, b, "onward")}{_tip(b, a, "backward")}</g>'
        )

    def _ends(self, edge: Edge, tail: int, head: int) -> tuple[Place, Place]:
        """From the right of a card to the left of the next; the loss is below."""
        (x1, y1), (x2, y2) = self._places[tail], self._places[head]
        if head == self.cast.loss and self._below:
            return (x1 + CARD / 2, y1 + 2 * ROW), (x2 + CARD / 2, y2)
        return (x1 + CARD, y1 + ROW), (x2, y2 + ROW)

    def _cards(self) -> Iterator[str]:
        play = self.cast.play
        for i, (name, x) in enumerate(play.inputs[: self.cast.columns[0].shown]):
            yield self._card(i, "input", name, x, play.arriving[i], f"{name} = {x!r}")
        for (layer, k), i in self.cast.cards.items():
            if layer:
                neuron = play.layers[layer - 1][k]
                tip = (
                    f"layer {layer}, neuron {k}, {neuron.activation}: "
                    f"z = {neuron.z!r}, a = {neuron.a!r}, σ′(z) = {neuron.slope!r}"
                )
                yield self._card(i, "op", "a", neuron.a, neuron.delta, tip)
        tip = f"{play.loss_name} = {play.loss!r}, target {play.target}"
        yield self._card(self.cast.loss, "call", "L", play.loss, 1.0, tip)

    def _card(
        self, i: int, kind: str, name: str, x: float, bar: float, tip: str
    ) -> str:
        left, y = self._places[i]
        below = "δ" if kind == "op" else "∂"
        tip, strong = html.escape(clean(tip, 240)), opacity(bar, self.top)
        if kind == "call":
            strong = 0.0
        return (
            f'<g class="card {kind}" transform="translate({left:.1f} {y:.1f})" '
            f'data-value="{x!r}" data-tip="{tip}"><title>{tip}</title>'
            f'<rect class="box" width="{CARD:g}" height="{2 * ROW:g}" rx="2"/>'
            f'<rect class="top" width="{CARD:g}" height="{ROW:g}" rx="2"/>'
            f'<rect class="shade {sign(bar)}" y="{ROW:g}" width="{CARD:g}" '
            f'height="{ROW:g}" style="opacity:{strong:.2f}"/>'
            f'<rect class="rule" width="{CARD:g}" height="{2 * ROW:g}" rx="2"/>'
            f'<text class="soft" x="3.5" y="10.5">{html.escape(clean(name, 5))}</text>'
            f'<text class="value" x="{CARD - 3:g}" y="10.5">{number(x)}</text>'
            f'<text class="soft" x="3.5" y="{ROW + 10.5:g}">{below}</text>'
            f'<text class="adjoint" x="{CARD - 3:g}" y="{ROW + 10.5:g}">{number(bar)}'
            f'</text><rect class="outline" x="-1" y="-1" width="{CARD + 2:g}" '
            f'height="{2 * ROW + 2:g}" rx="3"/></g>'
        )


def _text(kind: str, x: float, y: float, words: str) -> str:
    return (
        f'<text class="{kind}" text-anchor="middle" x="{x:.1f}" y="{y:.1f}">'
        f"{html.escape(words)}</text>"
    )


def _tip(a: Place, b: Place, kind: str) -> str:
    """An arrowhead at b."""
    (x1, y1), (x2, y2) = a, b
    size = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5 or 1.0
    dx, dy = (x2 - x1) / size, (y2 - y1) / size
    x, y = x2 - 6 * dx, y2 - 6 * dy
    return (
        f'<polygon class="{kind}" points="{x - 3 * dy:.1f},{y + 3 * dx:.1f} '
        f'{x2:.1f},{y2:.1f} {x + 3 * dy:.1f},{y - 3 * dx:.1f}"/>'
    )
