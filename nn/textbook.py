"""The back-propagation of error as textbooks write it, beside the engine's own numbers.

    δ_L = ∂L/∂a_L ⊙ σ′(z_L)             at the output
    δ_l = (W_{l+1}ᵀ δ_{l+1}) ⊙ σ′(z_l)  in every layer before it, however many
    ∂L/∂W_l = δ_l a_{l-1}ᵀ              ∂L/∂b_l = δ_l

Here they are plain loops over floats. The engine knows nothing of layers or δ; it gets
the same numbers by sweeping its graph, and `backprop_table` shows how nearly the same.

    z   pre-activation, W a + b     a   activation, σ(z); of the layer before in δ aᵀ
    δ   ∂L/∂z                       σ′  by the activation's own row, kinks by convention
"""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from math import inf
from numbers import Real
from typing import Any, Final

import autograd
from autograd import Primitive, Value, dot, grad, vjp

from .layers import MLP, Layer, Neuron, _features, _name
from .losses import mse, require_loss

Loss = Callable[[Any, Any], Any]
Floats = list[float]

MOST_NEURONS: Final = 6  # of one layer, beyond these a person no longer reads
MOST_WEIGHTS: Final = 4  # of one neuron
NEAR_OUTPUT, NEAR_INPUT = 8, 2  # layers shown, of more than both together

_SUBSCRIPTS: Final = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


@dataclass(frozen=True)
class NeuronRow:
    """One neuron's numbers; differences are relative, as in `max_difference`."""

    activation: str
    z: float
    a: float
    slope: float  # σ′(z)
    arriving: float  # Wᵀδ of the layer after; at the output the loss's own slope, ∂L/∂a
    delta: float  # by the recursion; ∂L/∂b too
    weights: Floats  # δ aⱼ, which is ∂L/∂wⱼ
    engine_delta: float
    engine_weights: Floats
    difference: float
    weights_difference: float


@dataclass(frozen=True)
class LayerRows:
    """One layer of the table; layers are counted from 1 at the input."""

    number: int
    neurons: list[NeuronRow]


@dataclass(frozen=True)
class Table:
    """Rows for people to read, before they are text, Markdown or HTML."""

    title: str
    header: list[str]
    rows: list[list[str]]
    notes: list[str]


class BackpropTable:
    """What `backprop_table` gives: print it, or read `.layers` from the output back."""

    def __init__(self, loss: float, layers: list[LayerRows]) -> None:
        self.loss, self.layers = loss, layers

    @property
    def max_difference(self) -> float:
        """The largest difference between the recursion and the engine, relative.

        Each difference is divided by what the recursion would give if all its terms
        were positive: the sum of the magnitudes of all paths from the loss. Where terms
        cancel, digits are lost by any order of adding; by this measure a right answer
        is still within a few units of 2.2e-16, and a wrong derivative far from it.
        """
        return max(
            max(neuron.difference, neuron.weights_difference)
            for layer in self.layers
            for neuron in layer.neurons
        )

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return self.markdown

    @property
    def text(self) -> str:
        """The table for a terminal."""
        parts = [self._head()]
        for layer in self._shown():
            if isinstance(layer, str):
                parts.append(layer)
                continue
            parts.append(f"{self._title(layer)}: {self._formula(layer)}")
            parts += ["\n".join(_aligned(table)) for table in self._tables(layer)]
        return "\n\n".join([*parts, self._foot()])

    @property
    def markdown(self) -> str:
        """The table for a notebook."""
        parts = [self._head()]
        for layer in self._shown():
            if isinstance(layer, str):
                parts.append(layer)
                continue
            parts.append(f"**{self._title(layer)}:** ${self._latex(layer)}$")
            for table in self._tables(layer):
                parts += [table.title] if table.title else []
                lines = [table.header, ["---:"] * len(table.header), *table.rows]
                parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
                parts += table.notes
        return "\n\n".join([*parts, self._foot()])

    @property
    def html(self) -> str:
        """The table for a page."""
        parts = [f"<p>{html.escape(self._head())}</p>"]
        for layer in self._shown():
            if isinstance(layer, str):
                parts.append(f"<p>{html.escape(layer)}</p>")
                continue
            title = f"{self._title(layer)}: {self._formula(layer)}"
            parts.append(f"<h4>{html.escape(title)}</h4>")
            parts += [_html(table) for table in self._tables(layer)]
        parts.append(f"<p>{html.escape(self._foot())}</p>")
        return f'<section class="backprop">{"".join(parts)}</section>'

    # ---- parts -----------------------------------------------------------------------

    def _shown(self) -> Iterator[LayerRows | str]:
        """The layers from the output back; of many, a count stands for the middle."""
        hidden = len(self.layers) - NEAR_OUTPUT - NEAR_INPUT
        if hidden <= 0:
            yield from self.layers
            return
        yield from self.layers[:NEAR_OUTPUT]
        plural = "s" if hidden > 1 else ""
        yield f"… and {hidden} more layer{plural}; .layers holds all"
        yield from self.layers[-NEAR_INPUT:]

    def _head(self) -> str:
        return f"L = {self.loss:.6g}. From the output back to the input:"

    def _foot(self) -> str:
        """How near the engine is, and where it is furthest."""
        if self.max_difference == 0.0:
            return (
                "The engine's own adjoints, by backward(), are the same in every bit."
            )
        name, textbook, engine = self._furthest()
        return (
            "The engine's own adjoints, by backward(), differ by at most "
            f"{self.max_difference:.6g}, relative to the terms added up: "
            f"{name} is {textbook!r} here and {engine!r} there."
        )

    def _furthest(self) -> tuple[str, float, float]:
        """The name of what differs most, the recursion's number and the engine's."""
        layer, k, row = max(
            (
                (layer, k, row)
                for layer in self.layers
                for k, row in enumerate(layer.neurons)
            ),
            key=lambda item: max(item[2].difference, item[2].weights_difference),
        )
        if row.difference >= row.weights_difference:
            place = f"[{k}]" if len(layer.neurons) > 1 else ""
            name = _sub("δ", layer.number) + place
            return name, row.delta, row.engine_delta
        pairs = [*zip(row.weights, row.engine_weights)]
        i = max(range(len(pairs)), key=lambda i: _apart(*pairs[i], 1.0))
        return f"∂L/∂{_sub('W', layer.number)}[{k},{i}]", *pairs[i]

    def _title(self, layer: LayerRows) -> str:
        activations = ", ".join(
            dict.fromkeys(neuron.activation for neuron in layer.neurons)
        )
        return f"Layer {layer.number} of {len(self.layers)} ({activations})"

    def _formula(self, layer: LayerRows) -> str:
        delta, z = (_sub(letter, layer.number) for letter in "δz")
        return f"{delta} = {self._arriving(layer)} ⊙ σ′({z})"

    def _arriving(self, layer: LayerRows) -> str:
        """What travels: the error that comes back through the next layer's weights."""
        if layer.number == len(self.layers):
            return f"∂L/∂{_sub('a', layer.number)}"
        weights, delta = (_sub(letter, layer.number + 1) for letter in "Wδ")
        return f"({weights}ᵀ{delta})"

    def _latex(self, layer: LayerRows) -> str:
        here, after = layer.number, layer.number + 1
        first = rf"(W_{{{after}}}^\top \delta_{{{after}}})"
        if here == len(self.layers):
            first = rf"\frac{{\partial L}}{{\partial a_{{{here}}}}}"
        return rf"\delta_{{{here}}} = {first} \odot \sigma'(z_{{{here}}})"

    def _tables(self, layer: LayerRows) -> Iterator[Table]:
        """Two for a layer: its neurons' way to δ, and ∂L/∂W."""
        shown, number = layer.neurons[:MOST_NEURONS], layer.number
        notes = _hidden(len(layer.neurons), MOST_NEURONS, "neuron")
        z, a, delta = (_sub(letter, number) for letter in "zaδ")
        header = ["neuron", z, a, f"σ′({z})", self._arriving(layer).strip("()"), delta]
        cells = [
            [str(k), *map(_number, (n.z, n.a, n.slope, n.arriving, n.delta))]
            for k, n in enumerate(shown)
        ]
        yield Table("", header, cells, notes)
        count = len(shown[0].weights)
        weights = _sub("W", number)
        shown_weights = range(min(count, MOST_WEIGHTS))
        header = ["neuron", *(f"{weights}[·,{i}]" for i in shown_weights)]
        below = _sub("a", number - 1) if number > 1 else "x"
        bias = f"∂L/∂{_sub('b', number)} = {delta}"
        title = f"∂L/∂{weights} = {delta} {below}ᵀ and {bias}:"
        cells = [
            [str(k), *map(_number, n.weights[:MOST_WEIGHTS])]
            for k, n in enumerate(shown)
        ]
        notes = notes + _hidden(count, MOST_WEIGHTS, "weight", " of each neuron")
        yield Table(title, header, cells, notes)


def backprop_table(model: MLP, x: Any, y: Any, loss: Loss = mse) -> BackpropTable:
    """The textbook's back-propagation for one point, beside the engine's adjoints.

    x     the point's features, as for `model(x)`
    y     its target, as for `loss(model(x), y)`
    loss  one of nn's or any function of (predictions, targets) that gives one number

    >>> table = backprop_table(MLP(2, [3, 1], "tanh", seed=0), [0.5, -1.0], 1.0)
    >>> [len(layer.neurons) for layer in table.layers]
    [1, 3]
    >>> neuron = table.layers[1].neurons[0]
    >>> abs(neuron.slope - (1 - neuron.a**2)) < 1e-15
    True
    >>> table.max_difference < 1e-15
    True

    It has `.text`, `.markdown` and `.html`, which clip wide layers and count what they
    leave out. The model is left as it was, gradients included. A penalty that loss
    puts on the model's own parameters is no error of an output, and has no part in δ.

    Raises TypeError if model is not an MLP or loss does not give one number, ValueError
    for another number of features.
    """
    features = plain_inputs("backprop_table", model, x)
    points = forward(model, features)
    outputs = [point.a for point in points[-1]]
    found, arriving, reached = _loss_and_slopes(loss, outputs, y)
    engine = _engine_adjoints(model, features, y, loss)
    layers = []
    scales = [abs(bar) for bar in arriving]
    for number in range(len(points), 0, -1):
        here = [
            replace(point, off=point.off or not is_reached)
            for point, is_reached in zip(points[number - 1], reached)
        ]
        deltas = [
            0.0 if point.off else bar * point.slope
            for point, bar in zip(here, arriving)
        ]
        scales = [scale * abs(point.slope) for point, scale in zip(here, scales)]
        rows = map(_row, here, arriving, deltas, scales, engine[number - 1])
        layers.append(LayerRows(number, list(rows)))
        arriving = _transposed_product(here, deltas)
        scales = _transposed_product(here, scales, size=True)
        reached = [not all(point.off for point in here)] * len(arriving)
    return BackpropTable(found, layers)


# ---- the textbook, in floats ---------------------------------------------------------


@dataclass(frozen=True)
class _Point:
    """One neuron as the forward pass leaves it."""

    activation: str
    w: Floats
    x: Floats  # what it looks at: the activations of the layer before
    z: float
    a: float
    slope: float
    off: bool  # choices, such as relu's, left z out: nothing flows back, not even NaN


def forward(model: MLP, a: Floats) -> list[list[_Point]]:
    points = []
    for layer in model.layers:
        points.append([_point(neuron, a) for neuron in layer.neurons])
        a = [point.a for point in points[-1]]
    return points


def _point(neuron: Neuron, x: Floats) -> _Point:
    w = [weight.data for weight in neuron.w]
    z = dot(w, x) + neuron.b.data
    name = shown_name(neuron)
    if neuron.activation == "linear":
        return _Point(name, w, x, z, z, 1.0, False)
    row = neuron.activation
    if not isinstance(row, Primitive):
        row = getattr(autograd, row)
    rest = row.defaults[len(row.defaults) - max(row.arity - 1, 0) :]
    a = row(z, *rest)
    slope = row.derivatives(a, z, *rest)[0]
    return _Point(name, w, x, z, a, slope, row.select and slope == 0.0)


def _transposed_product(
    layer: list[_Point], deltas: Floats, *, size: bool = False
) -> Floats:
    """Wᵀ δ: what arrives at each activation of the layer before; or |W|ᵀ δ."""
    arriving = [0.0] * len(layer[0].w)
    for point, delta in zip(reversed(layer), reversed(deltas)):  # as the sweep adds up
        if not point.off:
            for i, w in enumerate(point.w):
                arriving[i] += (abs(w) if size else w) * delta
    return arriving


def _row(
    point: _Point,
    arriving: float,
    delta: float,
    scale: float,
    engine: tuple[Floats, float],
) -> NeuronRow:
    engine_weights, engine_delta = engine
    weights = [0.0 if point.off else delta * x for x in point.x]
    apart = [
        _apart(w, engine_w, scale * abs(x))
        for w, engine_w, x in zip(weights, engine_weights, point.x)
    ]
    return NeuronRow(
        point.activation, point.z, point.a, point.slope, arriving, delta, weights,
        engine_delta, engine_weights, _apart(delta, engine_delta, scale), max(apart),
    )  # fmt: skip


def _apart(textbook: float, engine: float, scale: float) -> float:
    """|textbook - engine| / scale; any NaN equals any NaN."""
    if textbook == engine or (textbook != textbook and engine != engine):
        return 0.0
    apart = abs(textbook - engine) / max(scale, sys.float_info.min)
    return apart if apart == apart else inf


# ---- the engine ----------------------------------------------------------------------


def _engine_adjoints(
    model: MLP, x: Floats, y: Any, loss: Loss
) -> list[list[tuple[Floats, float]]]:
    """(∂L/∂w, ∂L/∂b) for each neuron, by one sweep of the model's own graph.

    A neuron's ∂L/∂b is its ∂L/∂z, bit for bit, since b is only added to make z. The
    sweep leaves no trace: it runs on shallow copies that hold fresh parameters.
    """

    def run(parameters: Any) -> Any:
        return _loss_of(loss, _with_parameters(model, parameters)(x), y)

    parameters = [
        [([w.data for w in neuron.w], neuron.b.data) for neuron in layer.neurons]
        for layer in model.layers
    ]
    return [
        [([plain(w) for w in w_bar], plain(b_bar)) for w_bar, b_bar in layer]
        for layer in grad(run)(parameters)
    ]


def _with_parameters(model: MLP, parameters: Any) -> MLP:
    """A copy of the model that shares all but its parameters, which are untied."""
    twin = copy(model)
    twin.layers = [copy(layer) for layer in model.layers]
    for layer, inner in zip(twin.layers, parameters):
        layer.neurons = [copy(neuron) for neuron in layer.neurons]
        for neuron, (w, b) in zip(layer.neurons, inner):
            neuron.w, neuron.b = w, b
    return twin


def _loss_and_slopes(
    loss: Loss, outputs: Floats, y: Any
) -> tuple[float, Floats, list[bool]]:
    """L, ∂L/∂a for each output a, and whether the loss let anything flow back to it.

    A choice in the loss, such as hinge's, can leave an output out: an infinite adjoint
    of L tells that from a slope of 0, which it turns into NaN.
    """

    def of_outputs(a: list[Any]) -> Any:
        return _loss_of(loss, a[0] if len(a) == 1 else a, y)

    found, pullback = vjp(of_outputs, outputs)
    (a_bar,), (flow,) = pullback(1.0), pullback(inf)
    reached = [plain(bar) != 0.0 for bar in flow]
    return plain(found), [plain(bar) for bar in a_bar], reached


def _loss_of(loss: Loss, predictions: Any, y: Any) -> Any:
    require_loss("backprop_table", loss)
    found = loss(predictions, y)
    if not isinstance(found, (Value, Real)):
        raise TypeError(
            "backprop_table: loss must give one number, but gives "
            f"{type(found).__name__}; add up or average what it returns"
        )
    return found


def plain(x: Any) -> float:
    """A plain number, also where the loss depends on Values of its own."""
    return x.data if isinstance(x, Value) else float(x)


def plain_inputs(operation: str, model: Any, x: Any) -> Floats:
    if not isinstance(model, MLP) or not all(
        isinstance(layer, Layer) for layer in model.layers
    ):
        raise TypeError(
            f"{operation}: model must be an MLP of Layers, but is "
            f"{type(model).__name__}; for other models see explain(loss)"
        )
    nin = len(model.layers[0].neurons[0].w)
    return [plain(feature) for feature in _features(operation, x, nin)]


# ---- for people to read --------------------------------------------------------------


def shown_name(neuron: Neuron) -> str:
    """The activation's name, without what would end a cell, a tag or a line."""
    return re.sub(r"[^\w. ]", "?", _name(neuron.activation))[:24]


def _sub(letter: str, layer: int) -> str:
    """δ₁: a letter with its layer's number."""
    return letter + str(layer).translate(_SUBSCRIPTS)


def _hidden(count: int, most: int, what: str, whose: str = "") -> list[str]:
    plural = "s" if count - most > 1 else ""
    return [f"… and {count - most} more {what}{plural}{whose}"] if count > most else []


def _number(x: float) -> str:
    return f"{x + 0.0:.6g}"  # -0.0 as 0


def _aligned(table: Table) -> list[str]:
    lines = [table.header, *table.rows]
    widths = [max(map(len, column)) for column in zip(*lines)]
    rows = [
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths)).rstrip()
        for line in lines
    ]
    title = [table.title] if table.title else []
    return [f"  {line}" for line in [*title, *rows, *table.notes]]


def _html(table: Table) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in table.header)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
        for row in table.rows
    )
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in table.notes)
    title = f"<p>{html.escape(table.title)}</p>" if table.title else ""
    return (
        f"{title}"
        '<div style="overflow-x:auto">'
        '<table style="text-align:right;border-spacing:1em 0">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{notes}"
    )
