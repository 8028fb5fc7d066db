"""The sweep as a table: each adjoint once, as the sum of what its users hand on.

    ∂y/∂u = ∂y/∂w · 1 + ∂y/∂v · cos(u) = 1 · 1 + 1 · 0.96017 = 1.96017

Row by row from the result back, so that each adjoint a row needs stands above it. The
sums and products on the way to a neuron's z have no rows of their own: its z is one
row, and gives to its weights and inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ...value import Value
from ..latex import (
    MOST_OPERANDS,
    NAME,
    Formula,
    Style,
    factor_text,
    partial_terms,
    row_formula,
    total,
)
from .equations import Equation, Side, factor, number, sign_of
from .layers import Network, Neuron

MOST_SHARES: Final = 8  # of one adjoint


class Share(NamedTuple):
    """What one user hands on: its adjoint times its local derivative."""

    user: Value
    symbols: Formula
    partial: float


@dataclass(frozen=True)
class Sweep:
    """A graph with its names and adjoints, from which every row is told."""

    y: Value
    order: Sequence[Value]
    leaves: Sequence[Value]
    names: Mapping[Value, str]
    bars: Mapping[Value, float]
    network: Network | None = None
    deltas: Mapping[Value, str] = field(default_factory=dict)  # δ₁[0] for a z

    @property
    def rows(self) -> list[Value]:
        """The computed Values that have a row, in the order of computing."""
        inner = self.network.inner if self.network else set()
        return [node for node in self.order if node not in inner]

    def bar(self, node: Value) -> float:
        return self.bars.get(node, 0.0)

    def adjoint(self, node: Value, style: Style) -> str:
        """The name of an adjoint: ∂y/∂u, or δ₁[0] for a neuron's z."""
        delta = self.deltas.get(node)
        if delta is not None:
            return style.name(delta)
        return style.ratio(self.names[self.y], self.names[node], partial=True)

    # ---- forward ---------------------------------------------------------------------

    def computed(
        self, node: Value, style: Style, names: Mapping[Value, str] | None = None
    ) -> Equation:
        """A variable with its value and its formula, of what has these names."""
        left = style.name(self.names[node])
        sides = [Side([number(node._data, style)])]
        if self.network and node in self.network.neuron_of:
            neuron = self.network.neuron_of[node]
            sides.insert(0, Side(self._neuron_formula(neuron, style)))
        elif node._row is not None:
            formula = row_formula(node, names or self.names, style)
            sides.insert(0, Side(_terms(formula)))
        return Equation(left, sides)

    def _neuron_formula(self, neuron: Neuron, style: Style) -> list[str]:
        """W₁[0,0]·x[0] + … + b₁[0], however the sum was written."""
        terms = [
            style.dot.join([style.name(self.names[w]), self._input(neuron, i, style)])
            for i, w in enumerate(neuron.w)
        ]
        hidden = len(terms) - MOST_OPERANDS
        if hidden > 0:
            terms[MOST_OPERANDS:] = [style.words(f"… {hidden} more")]
        if neuron.b is not None:
            terms.append(style.name(self.names[neuron.b]))
        return sum_pieces(terms)

    def _input(self, neuron: Neuron, i: int, style: Style) -> str:
        """What goes into a neuron: x[0] where it is a number and no Value."""
        x = neuron.x[i]
        if isinstance(x, Value):
            return style.name(self.names[x])
        assert self.network is not None
        return style.name(self.network.input_name(neuron.z, i))

    # ---- backward --------------------------------------------------------------------

    def shares(self, style: Style, of: Iterable[Value]) -> dict[Value, list[Share]]:
        """What comes to each of these from its users, as the sweep adds it up."""
        wanted = set(of)
        found: dict[Value, list[Share]] = {}
        for user in self.users_of(wanted):
            for operand, share in self.handed_on(user, style):
                if operand in wanted:
                    found.setdefault(operand, []).append(share)
        return found

    def users_of(self, values: Iterable[Value]) -> list[Value]:
        """What hands something on to any of these, the last computed first."""
        wanted = set(values)
        return [
            n for n in reversed(self.rows) if not wanted.isdisjoint(self.parents(n))
        ]

    def parents(self, node: Value) -> Iterable[Value]:
        """What a row hands something on to: a neuron's z to its weights and inputs."""
        if self.network and node in self.network.neuron_of:
            neuron = self.network.neuron_of[node]
            inputs = [x for x in neuron.x if isinstance(x, Value)]
            return [*neuron.parameters, *inputs]
        return node.parents

    def handed_on(self, user: Value, style: Style) -> Iterator[tuple[Value, Share]]:
        """Each operand of one Value with its share."""
        symbols: dict[Value, list[Formula]] = {}
        partials: dict[Value, float] = {}
        for operand, term, partial in self._locals(user, style):
            symbols.setdefault(operand, []).append(term)
            partials[operand] = partials.get(operand, 0.0) + partial
        for operand, partial in partials.items():
            yield operand, Share(user, total(symbols[operand], style), partial)

    def _locals(
        self, user: Value, style: Style
    ) -> Iterator[tuple[Value, Formula, float]]:
        if self.network and user in self.network.neuron_of:
            yield from self._neuron_locals(user, style)
            return
        written = partial_terms(user, self.names, style)
        for arg, term, partial in zip(user._args, written, user._partials):
            if isinstance(arg, Value) and partial is not None:
                yield arg, term or (number(partial, style), NAME), partial

    def _neuron_locals(
        self, z: Value, style: Style
    ) -> Iterator[tuple[Value, Formula, float]]:
        assert self.network is not None
        neuron = self.network.neuron_of[z]
        for i, (w, x) in enumerate(zip(neuron.w, neuron.x)):
            name = self._input(neuron, i, style), NAME
            yield w, name, x._data if isinstance(x, Value) else x
            if isinstance(x, Value):
                yield x, (style.name(self.names[w]), NAME), w._data
        if neuron.b is not None:
            yield neuron.b, ("1", NAME), 1.0

    def row(
        self,
        node: Value,
        shares: Sequence[Share],
        style: Style,
        short: int | None = None,
    ) -> Equation:
        """∂y/∂node: in symbols, with the numbers in, and what it comes to.

        In short it has so many terms, and no numbers but the result.
        """
        most = MOST_SHARES if short is None else short
        bar = self.bar(node)
        result = number(bar, style)
        left = self.adjoint(node, style)
        if node not in self.bars:
            return Equation(left, [Side([result, style.words(" (left out)")])])
        if node is self.y or not shares:
            return Equation(left, [Side([result])])
        shown = shares
        if len(shares) > most:
            ranked = sorted(shares, key=lambda s: -_size(self.bar(s.user) * s.partial))
            kept = set(map(id, ranked[:most]))
            shown = [share for share in shares if id(share) in kept]
        symbols = [self._product(share, style) for share in shown]
        numbers = [
            factor_or_first(self.bar(s.user), s.partial, k == 0, style)
            for k, s in enumerate(shown)
        ]
        products = [[self.bar(s.user), s.partial] for s in shown]
        if len(shown) < len(shares):
            hidden = [s for s in shares if id(s) not in kept]
            rest = sum(self.bar(s.user) * s.partial for s in hidden)
            symbols.append(style.words(f"… {len(hidden)} more"))
            numbers.append(factor(rest, style))
            products.append([rest])
        in_all = Side([result], sign_of(products, bar))
        if short is not None:
            return Equation(left, [Side(sum_pieces(symbols)), Side([result])])
        return Equation(
            left, [Side(sum_pieces(symbols)), Side(sum_pieces(numbers)), in_all]
        )

    def _product(self, share: Share, style: Style) -> str:
        dot = r" \cdot " if style.latex else " · "
        symbols = factor_text(share.symbols, style)
        return self.adjoint(share.user, style) + dot + symbols


def factor_or_first(bar: float, partial: float, first: bool, style: Style) -> str:
    """An adjoint times a local derivative, in numbers."""
    dot = r" \cdot " if style.latex else " · "
    front = number(bar, style) if first else factor(bar, style)
    return front + dot + factor(partial, style)


def sum_pieces(terms: Sequence[str]) -> list[str]:
    """Terms in pieces that can stand on lines of their own."""
    return [terms[0], *(f" + {term}" for term in terms[1:])]


def _terms(text: str) -> list[str]:
    """A formula cut before each + or - that is in no bracket."""
    pieces, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += (c in "([{") - (c in ")]}")
        if depth == 0 and i and text[i : i + 3] in (" + ", " - "):
            pieces.append(text[start:i])
            start = i
    return [*pieces, text[start:]]


def _size(x: float) -> float:
    return abs(x) if x == x else float("inf")
