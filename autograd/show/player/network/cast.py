"""Which layers and neurons of a network are shown, and the numbers of their cards.

Nobody watches fifty layers that do the same: of more than eight, the first two and the
last two are shown and a gap stands for the rest; of a wide layer, the first neurons.

    layer 0        the inputs
    card           (layer, neuron), as a number of the drawing's
    edge           (layer, neuron, i): from card i of the layer before
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import product as pairs
from typing import Final

from .played import Play

MOST_LAYERS, KEPT = 8, 2  # beyond so many, so many are kept at each end
MOST_NEURONS: Final = 10

Card = tuple[int, int]
Edge = tuple[int, int, int]


@dataclass(frozen=True)
class Column:
    """One layer, of which so many are shown; or a gap, from this layer to another."""

    layer: int
    shown: int
    hidden: int = 0
    until: int = 0

    @property
    def is_gap(self) -> bool:
        return self.until > 0

    @property
    def count(self) -> int:
        """How many layers are in the gap."""
        return self.until - self.layer + 1


def kept_layers(count: int, most: int = MOST_LAYERS) -> list[int | range]:
    """The numbers of layers that are shown, and a range for those that are not.

    >>> kept_layers(3), kept_layers(51)
    ([1, 2, 3], [1, 2, range(3, 50), 50, 51])
    """
    if count <= most:
        return [*range(1, count + 1)]
    last = count - KEPT + 1
    return [*range(1, KEPT + 1), range(KEPT + 1, last), *range(last, count + 1)]


@dataclass(frozen=True)
class Cast:
    """The cards and edges of a play, numbered as they are drawn."""

    play: Play
    columns: list[Column] = field(init=False)

    def __post_init__(self) -> None:
        found = [_column(0, len(self.play.inputs))]
        for layer in kept_layers(len(self.play.layers)):
            if isinstance(layer, range):
                found.append(Column(layer[0], 0, until=layer[-1]))
            else:
                found.append(_column(layer, len(self.play.layers[layer - 1])))
        object.__setattr__(self, "columns", found)

    @cached_property
    def cards(self) -> dict[Card, int]:
        order = [(c.layer, k) for c in self.columns for k in range(c.shown)]
        return {card: i for i, card in enumerate(order)}

    @property
    def loss(self) -> int:
        """The card of the loss, which is the last one."""
        return len(self.cards)

    @cached_property
    def edges(self) -> dict[Edge, int]:
        """Between cards of neighbouring layers; the loss is one layer further."""
        found: list[Edge] = []
        for before, column in zip(self.columns, self.columns[1:]):
            places = pairs(range(column.shown), range(before.shown))
            found += [(column.layer, k, i) for k, i in places]
        last = self.columns[-1]
        found += [(last.layer + 1, 0, i) for i in range(last.shown)]
        return {edge: i for i, edge in enumerate(found)}

    def ends(self, edge: Edge) -> tuple[int, int]:
        """The cards that it leads from and to."""
        layer, k, i = edge
        return self.cards[layer - 1, i], self.cards.get((layer, k), self.loss)

    def into(self, layer: int, k: int) -> tuple[int, ...]:
        """The edges that lead to a card."""
        found = self.edges.items()
        return tuple(n for (at, to, _), n in found if (at, to) == (layer, k))

    def out_of(self, layer: int, i: int) -> tuple[int, ...]:
        found = self.edges.items()
        return tuple(n for (at, _, of), n in found if (at, of) == (layer + 1, i))

    def flow(self, edge: Edge) -> float:
        """What flows back along an edge: w · δ, or the loss's own slope."""
        layer, k, i = edge
        if layer > len(self.play.layers):
            return self.play.layers[-1][i].arriving
        neuron = self.play.layers[layer - 1][k]
        return neuron.w[i] * neuron.delta


def _column(layer: int, width: int) -> Column:
    if width <= MOST_NEURONS:
        return Column(layer, width)
    return Column(layer, MOST_NEURONS - 1, width - MOST_NEURONS + 1)
