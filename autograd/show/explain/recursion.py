"""The back-propagation of error through a network in vectors, with its numbers.

    δ₂ = ∂L/∂z₂        δ₁ = (W₂ᵀδ₂) ⊙ tanh′(z₁)        ∂L/∂W₁ = δ₁xᵀ

One block for the network that `layers` found: forward at the first point, the same
point backward, a line for every other point, and the parameters' gradients as sums over
the points. The numbers are the sweep's own; that the equations hold between them has
been tried before a network was found at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from ...primitives import clean
from ...value import Value
from ..latex import Style, known
from ..names import layer_heading, vector_name
from .adjoints import Sweep
from .equations import (
    MOST_ENTRIES,
    Equation,
    Section,
    Side,
    factor,
    norm,
    sign_of,
    vector,
)
from .equations import number as short
from .layers import Layer, Network, layer_attribute
from .tables import Part, Table

MOST_LAYERS: Final = 4  # beyond these, and beyond so many neurons, the middle ones
MOST_NEURONS: Final = 24  # are told in one line
MOST_POINTS: Final = 8
MOST_TOGETHER: Final = 5  # entries of a matrix's row that stay on one line
MOST_NESTED: Final = 40  # operations without a name
MOST_LOSS: Final = 12  # operations from the output to L
MOST_OUTPUTS: Final = 4  # whose δs have lines of their own
MOST_LENGTHS: Final = 4  # of δs, in the line of a point
FORWARD: Final = ("vector", "value", "from the layer before it")
VECTORS: Final = ("adjoint", "value", "from the layer after it")


def network_sections(sweep: Sweep, style: Style) -> list[Part]:
    """The parts that tell of a network, from the input to its gradients.

    Where few operations make L of the output, they tell these too.
    """
    assert sweep.network is not None
    point = telling_point(sweep, sweep.network)
    told = _Told(_at_point(sweep, point), sweep.network, style, point)
    parts: list[Part] = [told.overview(), told.forward(), told.backward()]
    if len(sweep.network.points) > 1:
        parts.append(told.points())
    return [*parts, told.gradients()]


def loss_nodes(sweep: Sweep, network: Network, point: int) -> list[Value]:
    """What makes L of the output at this point, if these are few, in order."""
    seen = set(network.points[point][-1].a)
    found = []
    for node in sweep.order:
        if node not in seen and not seen.isdisjoint(node.parents):
            seen.add(node)
            found.append(node)
    return found if len(found) <= MOST_LOSS else []


def telling_point(sweep: Sweep, network: Network) -> int:
    """The first point at which an error flows back through all layers, else the first.

    At x = [0, 0] a network without biases gives 0 and its weights have no gradient.
    """
    for p, layers in enumerate(network.points):
        if all(any(sweep.bar(z) for z in layer.z) for layer in layers):
            return p
    return 0


def _at_point(sweep: Sweep, point: int) -> Sweep:
    """The sweep with the names that its Values have where one point is meant."""
    assert sweep.network is not None
    raised = vector_name("", None, point + 1)
    layers = sweep.network.points[point]
    values = {x for layer in layers for x in (*layer.z, *layer.a, *layer.x)}
    own = {x for x in values if isinstance(x, Value)}
    names, deltas = dict(sweep.names), dict(sweep.deltas)
    for found in (names, deltas):
        found |= {x: found[x].replace(raised, "") for x in own if x in found}
    return replace(sweep, names=names, deltas=deltas)


@dataclass(frozen=True)
class _Told:
    sweep: Sweep
    network: Network
    style: Style
    point: int

    # ---- words -----------------------------------------------------------------------

    @property
    def depth(self) -> int:
        return len(self.network.layers)

    @property
    def top(self) -> str:
        return self.style.name(self.sweep.names[self.sweep.y])

    def layer(self, number: int) -> Layer:
        return self.network.points[self.point][number - 1]

    def letter(self, name: str) -> str:
        """The letter that names have, which may be another than this one."""
        return self.letters.get(name, name)

    @property
    def delta(self) -> str:
        return self.letter("δ")

    def length(self, name: str) -> str:
        return rf"\left|{name}\right|" if self.style.latex else f"|{name}|"

    @cached_property
    def letters(self) -> dict[str, str]:
        return self.network.letters(self.sweep.y, self.sweep.leaves)

    def v(self, letter: str, number: int) -> str:
        """A layer's vector, such as z₁; the x of layer 1 for its a₀."""
        if letter == "a" and number == 0 and "x" in self.letters:
            return "x"
        if letter == "a" and number and not any(self.layer(number).activations):
            letter = "z"
        return self.style.name(vector_name(self.letter(letter), number))

    def bar(self, name: str) -> str:
        """∂L/∂ of a vector."""
        if self.style.latex:
            return rf"\frac{{\partial {self.top}}}{{\partial {name}}}"
        return f"∂{self.top}/∂{name}"

    def transposed(self, name: str) -> str:
        return f"{name}^{{T}}" if self.style.latex else f"{name}ᵀ"

    def activation(self, number: int, prime: bool = False) -> str:
        """The layer's activation of its z: its name if that is one word, else σ."""
        names = set(self.layer(number).activations)
        name = names.pop() if len(names) == 1 else ""
        mark = ("'" if self.style.latex else "′") if prime else ""
        z = self.v("z", number)
        if not self.style.latex:
            return f"{name if name.isidentifier() else 'σ'}{mark}({z})"
        upright = name.isascii() and name.isidentifier()
        word = name.replace("_", r"\_")
        shown = rf"\operatorname{{{word}}}" if upright else r"\sigma"
        return rf"{shown}{mark}\left({z}\right)"

    def numbers(self, values: Sequence[Value]) -> list[float]:
        return [value._data for value in values]

    def deltas(self, number: int, point: int | None = None) -> list[float]:
        layers = self.network.points[self.point if point is None else point]
        return [self.sweep.bar(z) for z in layers[number - 1].z]

    def elided(self) -> list[int]:
        """The layers in the middle of a deep network, which one line tells of."""
        widths = [min(len(layer.z), MOST_ENTRIES) for layer in self.network.layers]
        if self.depth <= MOST_LAYERS or sum(widths) <= MOST_NEURONS:
            return []
        return list(range(3, self.depth - 1))

    # ---- sections --------------------------------------------------------------------

    def overview(self) -> Section:
        network, points = self.network, len(self.network.points)
        name, y = self.sweep.names[self.sweep.y], self.sweep.y
        of_points = f" at {points} points" if points > 1 else ""
        title = (
            f"{name} = {short(y._data)}, from a network of "
            f"{_count(self.depth, 'layer')}{of_points}, with "
            f"{_count(len(network.parameters), 'parameter')}"
        )
        notes = [
            f"∂{name}/∂v, the adjoint of v, says how {name} changes with v. That of a "
            f"{self.letter('z')} is called {self.delta}: the error. Each is computed "
            "once, from those of the layer after it."
        ]
        return Section(title, [], notes)

    def forward(self) -> Section:
        layers = self.network.points[self.point]
        equations = [Equation(self.v("a", 0), [self.vector(_floats(layers[0].x))])]
        elided = self.elided()
        for number, layer in enumerate(layers, start=1):
            if number not in elided:
                equations += self.forward_of(number, layer)
            elif number == elided[0]:
                dots = self.style.words(f"… {len(elided)} layers by the same lines")
                equations.append(Equation("", [Side([dots], "")]))
        mixed = [n for n in range(1, self.depth + 1) if n not in elided]
        notes = [note for number in mixed for note in self.mixture(number)]
        names = self.loss_names()
        for node in self.loss_nodes():
            equations.append(self.sweep.computed(node, self.style, names))
        notes += self.not_told()
        first = ", the first with an error" if self.point else ""
        title = f"Forward{self.at_point()}{first}"
        return Section(title, equations, notes, head=FORWARD)

    def not_told(self) -> list[str]:
        """A word on the operations of a loss too long to be told."""
        top, last = self.sweep.y, self.layer(self.depth)
        if self.loss_nodes() or top in last.a or top in last.z:
            return []
        output, y = self.v("a", self.depth), self.sweep.names[top]
        if self.style.latex:
            output = vector_name("a" if any(last.activations) else "z", self.depth)
        return [
            f"From {output} to {y} there are more than {MOST_LOSS} operations; "
            f"explain({y}, node) opens any of them."
        ]

    def mixture(self, number: int) -> list[str]:
        """What σ is where the neurons of a layer differ, or its name is no word."""
        names = self.layer(number).activations
        if len(set(names)) == 1 and names[0].isidentifier() or not any(names):
            return []
        shown = [name or "linear" for name in names[:MOST_ENTRIES]]
        more = [f"… {len(names) - len(shown)} more"] if len(names) > len(shown) else []
        return [f"σ in {layer_heading(number)}: {', '.join([*shown, *more])}"]

    def at_point(self) -> str:
        several = len(self.network.points) > 1
        return f" at point {self.point + 1}" if several else ""

    def loss_nodes(self) -> list[Value]:
        return loss_nodes(self.sweep, self.network, self.point)

    def loss_names(self) -> dict[Value, str]:
        """Names for the loss's formulas, in which all else is written out."""
        points = self.network.points
        outputs = [a for layers in points for a in layers[-1].a]
        named = {*outputs, *self.sweep.leaves, *self.loss_nodes()}
        named |= too_deep(self.sweep.order, named)
        return {x: self.sweep.names[x] for x in named if x in self.sweep.names}

    def forward_of(self, number: int, layer: Layer) -> Iterator[Equation]:
        w, b = self.v("W", number), self.v("b", number)
        weighted = f"{w}{self.gap}{self.v('a', number - 1)}"
        bias = f" + {b}" if layer.neurons[0].b is not None else ""
        sides = [Side([weighted + bias]), self.vector(self.numbers(layer.z))]
        yield Equation(self.v("z", number), sides)
        if any(layer.activations):
            sides = [Side([self.activation(number)])]
            sides.append(self.vector(self.numbers(layer.a)))
            yield Equation(self.v("a", number), sides)

    @property
    def gap(self) -> str:
        return r"{\,}" if self.style.latex else ""  # in braces no line ends there

    def vector(self, numbers: Sequence[float]) -> Side:
        return vector(numbers, self.style)

    def backward(self) -> Section:
        elided = self.elided()
        equations = [*self.in_loss(), *self.at_output()]
        for number in range(self.depth - 1, 0, -1):
            if number not in elided:
                equations.append(self.recursion(number))
            elif number == elided[-1]:
                equations.append(self.recursion_elided(elided))
        title = (
            f"Backward{self.at_point()}: each {self.delta} once, from the one after it"
        )
        return Section(title, equations, head=VECTORS, is_backward=True)

    def in_loss(self) -> list[Equation]:
        """The adjoints from L to what follows the output."""
        nodes = self.loss_nodes()[::-1]
        shares = self.sweep.shares(self.style, nodes)
        return [self.sweep.row(x, shares.get(x, []), self.style) for x in nodes]

    def at_output(self) -> Iterator[Equation]:
        """δ at the output: what the loss hands back, times σ′ if there is one."""
        last, layer = self.depth, self.layer(self.depth)
        deltas, delta = self.deltas(last), self.v("δ", last)
        handed = self.handed_to(layer.a) if len(layer.a) == 1 else []
        if not any(layer.activations):
            sides = [Side([self.bar(self.v("z", last))]), *handed]
            yield Equation(delta, [*sides, self.vector(deltas)])
            yield from self.entries(layer)
            return
        back = [self.sweep.bar(a) for a in layer.a]
        a_bar = self.bar(self.v("a", last))
        yield Equation(a_bar, [*handed, self.vector(back)])
        yield from self.entries(layer)
        yield Equation(delta, self.times_slope(last, a_bar, back))

    def entries(self, layer: Layer) -> list[Equation]:
        """What the loss hands to each of several outputs, if all of that is told."""
        if not 1 < len(layer.a) <= MOST_OUTPUTS or not self.loss_nodes():
            return []
        shares = self.sweep.shares(self.style, layer.a)
        rows = [self.sweep.row(a, shares.get(a, []), self.style) for a in layer.a]
        told = set(self.loss_nodes())
        users = {s.user for a in layer.a for s in shares.get(a, [])}
        return rows if users <= told else []

    def handed_to(self, outputs: Sequence[Value]) -> list[Side]:
        """What the loss hands to the only output, in symbols and in numbers."""
        if not self.loss_nodes():
            return []
        (a,) = outputs
        shares = self.sweep.shares(self.style, outputs).get(a, [])
        return list(self.sweep.row(a, shares, self.style).sides[:-1])

    def recursion(self, number: int) -> Equation:
        """δₗ = (Wₗ₊₁ᵀδₗ₊₁) ⊙ σ′(zₗ), with the numbers of both factors."""
        layer = self.layer(number)
        w = self.transposed(self.v("W", number + 1))
        back = [self.sweep.bar(a) for a in layer.a]
        product = f"{w}{self.gap}{self.v('δ', number + 1)}"
        if any(layer.activations):
            left, right = (r"\left(", r"\right)") if self.style.latex else "()"
            product = f"{left}{product}{right}"
        return Equation(self.v("δ", number), self.times_slope(number, product, back))

    def times_slope(self, number: int, product: str, back: list[float]) -> list[Side]:
        layer, deltas = self.layer(number), self.deltas(number)
        if not any(layer.activations):
            return [Side([product]), self.vector(deltas)]
        slopes = layer.slopes()
        hadamard = r" \odot " if self.style.latex else " ⊙ "
        symbols = [product, hadamard + self.activation(number, prime=True)]
        terms = zip(back, slopes, deltas)
        signs = {sign_of([[x, slope]], delta) for x, slope, delta in terms}
        return [
            Side(symbols),
            self.vector(back),
            Side(self.vector(slopes).pieces, "⊙"),
            Side(self.vector(deltas).pieces, max(signs)),
        ]

    def recursion_elided(self, elided: list[int]) -> Equation:
        """One line for the layers in the middle, with how large their δ is."""
        sizes = [norm(self.deltas(number)) for number in reversed(elided)]
        first, last = elided[-1], elided[0]
        words = f"layers {first} to {last} by the same line, with "
        low, high = short(min(sizes), self.style), short(max(sizes), self.style)
        size = self.length(self.style.name(self.delta))
        pieces = [self.style.words(f"… {words}") + f"{size} "]
        pieces.append(self.style.words("from ") + f"{low} ")
        pieces.append(self.style.words("to ") + high)
        return Equation("", [Side(pieces, "")])

    def points(self) -> Table:
        """A line for each of the other points."""
        count = len(self.network.points)
        others = [p for p in range(count) if p != self.point]
        shown = others[:MOST_POINTS]
        columns = [self.columns(p) for p in shown]
        head = ["point", *(self.math(name) for name, _ in columns[0])]
        rows = [
            [str(p + 1), *(self.math(cell) for _, cell in found)]
            for p, found in zip(shown, columns)
        ]
        hidden = len(others) - len(shown)
        notes = [f"… and {_count(hidden, 'more point')}"] if hidden else []
        if any("|" in name for name in head):
            notes.append(f"|{self.delta}| is the length of the vector {self.delta}")
        spare = (2, 1, *range(len(head) - 1, 3, -1))
        return Table("The other points, in the same way", head, rows, notes, spare)

    def math(self, text: str) -> str:
        return f"${text}$" if self.style.latex else text

    def columns(self, p: int) -> list[tuple[str, str]]:
        """What a point has in the table: x, the output, and δ or its length."""
        layers, last = self.network.points[p], self.depth
        found = [(self.v("a", 0), self.brief(_floats(layers[0].x)))]
        output = self.brief(self.numbers(layers[-1].a))
        found.append((self.v("a", last), output))
        shown = [number for number in range(last, 0, -1) if number not in self.elided()]
        for number in shown[:MOST_LENGTHS]:
            deltas, name = self.deltas(number, p), self.v("δ", number)
            if len(deltas) > 1:
                name = self.length(name)
            size = norm(deltas) if len(deltas) > 1 else deltas[0]
            found.append((name, short(size, self.style)))
        return found

    def brief(self, numbers: list[float]) -> str:
        """A vector in few characters, for a cell."""
        if len(numbers) == 1:
            return short(numbers[0], self.style)
        shown = [f"{x:.3g}" for x in numbers[:3]]
        more = [self.style.words("…")] if len(numbers) > 3 else []
        return f"[{', '.join([*shown, *more])}]"

    # ---- gradients -------------------------------------------------------------------

    def gradients(self) -> Section:
        equations: list[Equation] = []
        elided = self.elided()
        for number in range(self.depth, 0, -1):
            if number not in elided:
                equations += self.gradients_of(number)
        several = len(self.network.points) > 1
        title = f"The parameters' gradients, each {self.delta} times what came in"
        title += f", summed over {len(self.network.points)} points" if several else ""
        held = [
            f"{self.v('W', n)} is held by {layer_attribute(layer)}"
            for n, layer in enumerate(self.network.layers, start=1)
            if n not in elided and layer_attribute(layer)
        ]
        notes = [", ".join(held)] if held and not self.style.latex else []
        head = ("adjoint", "value", f"from {self.delta}")
        return Section(title, equations, notes, head=head, is_backward=True)

    def gradients_of(self, number: int) -> Iterator[Equation]:
        layer = self.layer(number)
        x = self.transposed(self.v("a", number - 1))
        delta = self.v("δ", number)
        several = len(self.network.points) > 1
        sum_sign = (r"\sum " if self.style.latex else "Σ ") if several else ""
        outside = self.from_outside(layer)
        product = f"{sum_sign}{delta}{self.gap}{x}"
        weights = [n.w for n in layer.neurons]
        sides = [Side([product, *outside]), *self.matrix_of(weights, bool(outside))]
        yield Equation(self.bar(self.v("W", number)), sides)
        if several and not outside and number in (1, self.depth):
            yield self.one_weight(number)
        biases = [n.b for n in layer.neurons if n.b is not None]
        if biases:
            bars = [self.sweep.bar(b) for b in biases]
            sides = [Side([f"{sum_sign}{delta}", *outside])]
            sides += self.matrix_of([biases], bool(outside))
            if several and len(biases) == 1 and not outside:
                sides[1:] = self.sum_of_deltas(number, bars[0])
            yield Equation(self.bar(self.v("b", number)), sides)

    def from_outside(self, layer: Layer) -> list[str]:
        """A word on what comes to parameters from elsewhere, such as a penalty."""
        own = self.network.neuron_of
        within = {*own, *self.network.inner}
        parameters = {p for n in layer.neurons for p in n.parameters}
        users = [n for n in self.sweep.order if not parameters.isdisjoint(n.parents)]
        others = [user for user in users if user not in within]
        words = " + what comes from outside the layers"
        return [self.style.words(words)] if others else []

    def matrix_of(
        self, parameters: Sequence[Sequence[Value]], outside: bool
    ) -> list[Side]:
        """Their gradients, as what the layers give plus the rest if there is any."""
        found = [[self.sweep.bar(p) for p in row] for row in parameters]
        if not outside:
            return [self.matrix(found)]
        rest = [[self.outside.get(p, 0.0) for p in row] for row in parameters]
        own = [[self.own.get(p, 0.0) for p in row] for row in parameters]
        signs = {
            sign_of([[a], [b]], c)
            for rows in zip(own, rest, found)
            for a, b, c in zip(*rows)
        }
        return [
            self.matrix(own),
            Side(self.matrix(rest).pieces, "+"),
            Side(self.matrix(found).pieces, max(signs)),
        ]

    @cached_property
    def own(self) -> dict[Value, float]:
        """What each parameter gets from the layers: δ times what came in."""
        found: dict[Value, float] = {}
        neurons = (
            n for layers in self.network.points for x in layers for n in x.neurons
        )
        for n in neurons:
            delta = self.sweep.bar(n.z)
            for w, x in zip(n.w, _floats(n.x)):
                found[w] = found.get(w, 0.0) + delta * x
            if n.b is not None:
                found[n.b] = found.get(n.b, 0.0) + delta
        return found

    @cached_property
    def outside(self) -> dict[Value, float]:
        """What each Value gets from operations that are in no layer."""
        within = {*self.network.neuron_of, *self.network.inner}
        found: dict[Value, float] = {}
        for node in self.sweep.order:
            if node not in within:
                for x, partial in zip(node.parents, node.partials):
                    found[x] = found.get(x, 0.0) + self.sweep.bar(node) * partial
        return found

    def matrix(self, rows: Sequence[Sequence[float]]) -> Side:
        """∂L/∂W: a row for each neuron, the first alone where they are too many."""
        if len(rows) == 1:
            return self.vector(rows[0])
        small = len(rows) * len(rows[0]) <= MOST_ENTRIES
        shown = [self.row(row) for row in (rows if small else rows[:1])]
        if not small:
            more = _count(len(rows) - 1, "more row")
            shown.append([self.style.words(f"… {more}")])
        pieces: list[str] = []
        for k, row in enumerate(shown):
            end = "]" if k == len(shown) - 1 else ", "
            row = row if len(row) > MOST_TOGETHER else ["".join(row)]
            pieces += [*row[:-1], row[-1] + end]
        return Side(["[" + pieces[0], *pieces[1:]])

    def row(self, numbers: Sequence[float]) -> list[str]:
        first, *rest = self.vector(numbers).pieces
        return [first, *rest] if rest else [f"[{first}]"]

    def one_weight(self, number: int) -> Equation:
        """One entry as the sum over the points, in symbols and in numbers."""
        neuron = self.layer(number).neurons[0]
        terms = []
        for layers in self.network.points[:MOST_POINTS]:
            of_point = layers[number - 1].neurons[0]
            (x,) = _floats(of_point.x[:1])
            terms.append((self.sweep.bar(of_point.z), x))
        x_0, weight, dot = neuron.x[0], neuron.w[0], self.style.dot
        input_name = self.sweep.names[x_0] if isinstance(x_0, Value) else "x[0]"
        names = [self.sweep.deltas[neuron.z], input_name]
        sigma = r"\sum " if self.style.latex else "Σ "
        symbols = sigma + dot.join(map(self.style.name, names))
        shown = [
            (factor if k else short)(d, self.style) + dot + factor(x, self.style)
            for k, (d, x) in enumerate(terms)
        ]
        bar = self.sweep.bar(weight)
        sides = [Side([symbols]), *self.sum_of(shown, terms, bar)]
        return Equation(self.bar(self.style.name(self.sweep.names[weight])), sides)

    def sum_of_deltas(self, layer: int, bar: float) -> list[Side]:
        points = self.network.points[:MOST_POINTS]
        deltas = [self.sweep.bar(layers[layer - 1].z[0]) for layers in points]
        first, *rest = deltas
        shown = [short(first, self.style), *(factor(x, self.style) for x in rest)]
        return self.sum_of(shown, [[x] for x in deltas], bar)

    def sum_of(
        self, shown: list[str], terms: Sequence[Sequence[float]], bar: float
    ) -> list[Side]:
        """The terms added up, and the sum."""
        hidden = len(self.network.points) > len(shown)
        sign = "=" if hidden else sign_of(terms, bar)
        return [Side(self.added(shown)), Side([short(bar, self.style)], sign)]

    def added(self, terms: list[str]) -> list[str]:
        hidden = len(self.network.points) - len(terms)
        more = [self.style.words(f"… {hidden} more")] if hidden else []
        return [terms[0], *(f" + {term}" for term in [*terms[1:], *more])]


def too_deep(order: Sequence[Value], named: set[Value]) -> set[Value]:
    """What needs a name too, lest formulas nest deeper than they can be written."""
    depths: dict[Value, int] = {}
    found = set()
    for node in order:
        below = [depths.get(x, 0) for x in node.parents]
        is_sum = known(node) == "add"  # which is written term by term
        depth = 0 if node in named else max(below, default=0) + (not is_sum)
        depths[node] = 0 if depth > MOST_NESTED else depth
        if depth > MOST_NESTED:
            found.add(node)
    return found


def _floats(xs: Sequence[Value | float]) -> list[float]:
    return [x._data if isinstance(x, Value) else float(x) for x in xs]


def _count(n: int, what: str) -> str:
    return f"{n} {clean(what)}{'s' * (n != 1)}"
