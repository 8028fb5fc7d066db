"""A layered network found in a graph of Values: its layers, or nothing.

A neuron is a sum of products, each of a parameter and what comes in, perhaps with a
bias, and behind it perhaps one operation on the sum alone, its activation. It is found
by its operations, however it is written (`dot`, sums of products, `fma`); labels say
which leaves are parameters: dotted ones, as models give, or w and b with a number.

Neurons with the same inputs are a layer, layers whose outputs are the inputs of the
next a network, and each run of it a point. Nothing is guessed: where anything else
uses a neuron on the way, a parameter serves twice, or points differ, there is no
network, and none where δ = (Wᵀδ) ⊙ σ′ would miss an adjoint.

    x   inputs, of the first layer or of any     w, b   parameters
    z   the sum     a   what the layer gives on, z itself without an activation
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, isclose
from typing import Final

from ...primitives import clean
from ...value import Value
from ..latex import known, made_by, row_formula
from ..names import family, neuron_name, vector_name, weight_name

# At the output what follows z may be part of the loss; these are activations there too.
OUTPUT_ACTIVATIONS: Final = {"tanh", "sigmoid", "relu", "leaky_relu", "silu", "gelu"}

NEURON: Final = re.compile(r"(^|\.)neurons\.\d+$")  # in a label, the neuron's place

Operand = Value | float
Pair = tuple[Value, Operand]
Bars = Mapping[Value, float]
Floats = list[float]


@dataclass(frozen=True, eq=False)
class Neuron:
    """One neuron at one point."""

    z: Value
    w: tuple[Value, ...]
    x: tuple[Operand, ...]
    b: Value | None
    inner: tuple[Value, ...]  # products and sums on the way to z

    @property
    def parameters(self) -> tuple[Value, ...]:
        return self.w if self.b is None else (*self.w, self.b)

    @property
    def signature(self) -> tuple[int, ...]:
        """Which parameters it has: Values are equal where their numbers are."""
        return (*map(id, self.w), id(self.b))

    def permuted(self, x: tuple[Operand, ...]) -> Neuron | None:
        """The same neuron with its inputs in this order; None if it has others."""
        mine, order = list(map(_key, self.x)), list(map(_key, x))
        if mine == order:
            return self
        if sorted(mine, key=repr) != sorted(order, key=repr) or len(set(mine)) < len(x):
            return None
        w = tuple(self.w[mine.index(key)] for key in order)
        return Neuron(self.z, w, x, self.b, self.inner)


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer at one point: its neurons, and what each gives on."""

    neurons: tuple[Neuron, ...]
    a: tuple[Value, ...]

    @property
    def x(self) -> tuple[Operand, ...]:
        return self.neurons[0].x

    @property
    def z(self) -> tuple[Value, ...]:
        return tuple(neuron.z for neuron in self.neurons)

    @property
    def signature(self) -> tuple[tuple[int, ...], ...]:
        return tuple(neuron.signature for neuron in self.neurons)

    @property
    def activations(self) -> list[str]:
        """What made each a out of its z: "" where that is z itself."""
        return [_activation(a, z) for a, z in zip(self.a, self.z)]

    def slopes(self) -> Floats:
        """σ′(z) for each neuron: 0 where a choice left it out."""
        pairs = zip(self.a, self.z)
        return [1.0 if a is z else a._partials[0] or 0.0 for a, z in pairs]

    def back(self, bars: Bars) -> Floats:
        """Wᵀδ: what comes back to each input."""
        deltas = [bars.get(z, 0.0) for z in self.z]
        return [
            sum([n.w[i]._data * delta for n, delta in zip(self.neurons, deltas)])
            for i in range(len(self.x))
        ]


class Network:
    """Layers at every point; `points[p][l]` is layer l + 1 at point p + 1."""

    def __init__(self, points: list[list[Layer]]) -> None:
        self.points = points
        self.layers = points[0]  # at the first point
        found = [n for layers in points for layer in layers for n in layer.neurons]
        self.neuron_of = {neuron.z: neuron for neuron in found}
        self.inner = {node for neuron in found for node in neuron.inner}
        self._point_of = {
            z: p
            for p, layers in enumerate(points, start=1)
            for layer in layers
            for z in layer.z
        }

    def input_name(self, z: Value, i: int) -> str:
        """x[0], or x⁽²⁾[0] at one of several points, for a number that z is given."""
        point = self._point_of[z] if len(self.points) > 1 else None
        return f"{vector_name('x', None, point)}[{i}]"

    @property
    def parameters(self) -> list[Value]:
        return [p for layer in self.layers for n in layer.neurons for p in n.parameters]

    def names(self, y: Value, leaves: Sequence[Value]) -> dict[Value, str]:
        """z₁[0], a₁[0], W₁[0,1], b₁[0] …, for all but what has a user's own label."""
        letters = self.letters(y, leaves)
        found: dict[Value, str] = {}
        for p, layers in enumerate(self.points, start=1):
            point = p if len(self.points) > 1 else None
            raised = vector_name("x", None, point)
            for i, x in enumerate(layers[0].x):
                if isinstance(x, Value) and "x" in letters:
                    found.setdefault(x, f"{raised}[{i}]")
            for number, layer in enumerate(layers, start=1):
                found |= _layer_names(layer, number, point, letters)
        if y not in found and not y.label and "L" in letters:
            found[y] = "L"
        return {x: name for x, name in found.items() if not _named_by_user(x)}

    def deltas(self, delta: str = "δ") -> dict[Value, str]:
        """δ₁[0] …, the adjoint's name, for every z."""
        several = len(self.points) > 1
        return {
            n.z: neuron_name(
                delta, number, k, len(layer.neurons), p if several else None
            )
            for p, layers in enumerate(self.points, start=1)
            for number, layer in enumerate(layers, start=1)
            for k, n in enumerate(layer.neurons)
        }

    def letters(self, y: Value, leaves: Sequence[Value]) -> dict[str, str]:
        """The letter for each idea: another where the user has names near it."""
        own = set(self.parameters)
        near = {family(x.label or "") for x in [y, *leaves] if x not in own}
        found = {}
        others = [("z", "s"), ("a", "h"), ("W", "V"), ("b", "c"), ("δ", "ε")]
        for letter, other in others:
            found[letter] = other if letter.lower() in near else letter
        return found | {c: c for c in "xL" if c.lower() not in near}


def _layer_names(
    layer: Layer, number: int, point: int | None, letters: Mapping[str, str]
) -> Iterator[tuple[Value, str]]:
    width = len(layer.neurons)
    for k, (neuron, a) in enumerate(zip(layer.neurons, layer.a)):
        yield neuron.z, neuron_name(letters["z"], number, k, width, point)
        if a is not neuron.z:
            yield a, neuron_name(letters["a"], number, k, width, point)
        for i, w in enumerate(neuron.w):
            yield w, weight_name(number, k, i, letters["W"])
        if neuron.b is not None:
            yield neuron.b, neuron_name(letters["b"], number, k, width)


def _activation(a: Value, z: Value) -> str:
    """tanh or, of a row with other operands than by default, such as z²."""
    if a is z or a._row is None:
        return ""
    others, defaults = a._args[1:], a._row.defaults
    usual = others == defaults[len(defaults) - len(others) :]
    return made_by(a) if usual else row_formula(a, {z: "z"})


def _named_by_user(x: Value) -> bool:
    """Whether it has a label of its own: that of a model is its attribute's name."""
    return bool(x.label) and "." not in (x.label or "")


def layer_attribute(layer: Layer) -> str:
    """The name of the attribute that holds a layer, "" where labels do not say.

    layers.0 for layers.0.neurons.0.w0 and layers.0.neurons.1.w0.
    """
    labels = [p.label or "" for n in layer.neurons for p in n.parameters]
    stems = {NEURON.sub("", label.rpartition(".")[0]) for label in labels}
    return clean(stems.pop()) if len(stems) == 1 else ""


# ---- finding it ----------------------------------------------------------------------


def find_network(order: Sequence[Value], bars: Bars) -> Network | None:
    """The network in a graph, given whole and in order, with its adjoints; or None."""
    uses = _uses(order)
    parameters = _parameters(order)
    neurons = _neurons(order, uses, parameters)
    if not neurons:
        return None
    points = _points(neurons, uses)
    if points is None or not _is_one_network(points, neurons):
        return None
    if _depends(order, parameters, [x for layers in points for x in layers[0].x]):
        return None
    if not all(_holds(layers, bars) for layers in points):
        return None
    return Network(points)


def _parameters(order: Sequence[Value]) -> set[Value]:
    """The leaves that are parameters: with dotted labels or, if none has, w and b."""
    args = [arg for node in order for arg in node._args]
    leaves = {x for x in args if isinstance(x, Value) and x._row is None and x.label}
    dotted = {x for x in leaves if "." in (x.label or "")}
    return dotted or {x for x in leaves if family(x.label or "") in ("w", "b")}


def _depends(
    order: Sequence[Value], parameters: set[Value], inputs: Sequence[Operand]
) -> bool:
    """Whether an input of the first layer is computed from any parameter."""
    depends = set(parameters)
    for node in order:
        if not depends.isdisjoint(x for x in node._args if isinstance(x, Value)):
            depends.add(node)
    return not depends.isdisjoint(x for x in inputs if isinstance(x, Value))


def _uses(order: Sequence[Value]) -> dict[Value, list[Value]]:
    """Which operations take each Value, once for each time."""
    uses: dict[Value, list[Value]] = {}
    for node in order:
        for arg in node._args:
            if isinstance(arg, Value):
                uses.setdefault(arg, []).append(node)
    return uses


@dataclass
class _Sum:
    """What a node is a sum of: products with parameters, and at most one bias."""

    pairs: list[Pair]
    bias: Value | None
    inner: list[Value]


def _neurons(
    order: Sequence[Value], uses: dict[Value, list[Value]], parameters: set[Value]
) -> list[Neuron]:
    sums: dict[Value, _Sum] = {}
    for node in order:
        found = _sum(node, sums, uses, parameters)
        if found is not None:
            for part in found.inner:
                sums.pop(part, None)
            sums[node] = found
    neurons = []
    for z, found in sums.items():
        if found.pairs:
            w, x = zip(*found.pairs)
            neurons.append(Neuron(z, w, x, found.bias, tuple(found.inner)))
    return neurons


def _sum(
    node: Value,
    sums: dict[Value, _Sum],
    uses: dict[Value, list[Value]],
    parameters: set[Value],
) -> _Sum | None:
    args, name = node._args, known(node)
    if name == "mul":
        return _products([args], parameters)
    if name == "dot":
        half = len(args) // 2
        return _products(list(zip(args[:half], args[half:])), parameters)
    if name not in ("add", "fma"):
        return None
    found = _products([args[:2]] if name == "fma" else [], parameters)
    if found is None:
        return None
    for arg in args[2:] if name == "fma" else args:
        if not _added(found, arg, sums, uses, parameters):
            return None
    return found


def _products(
    pairs: Sequence[tuple[Operand, ...]], parameters: set[Value]
) -> _Sum | None:
    """Products of one parameter each; that of a bias with 1 is the bias."""
    found = _Sum([], None, [])
    for x, y in pairs:
        if x not in parameters:
            x, y = y, x
        if not isinstance(x, Value) or x not in parameters or y in parameters:
            return None
        if y == 1.0 and not isinstance(y, Value) and _letter(x) == "b":
            if found.bias is not None:
                return None
            found.bias = x
        else:
            found.pairs.append((x, y))
    return found


def _added(
    found: _Sum,
    arg: Operand,
    sums: dict[Value, _Sum],
    uses: dict[Value, list[Value]],
    parameters: set[Value],
) -> bool:
    """Add one operand to a sum; False if it has no place in a neuron's."""
    if not isinstance(arg, Value):
        return arg == 0.0  # where sum() starts
    if arg in parameters:
        part = _Sum([], arg, [])
    elif arg in sums and len(uses[arg]) == 1:
        part = sums[arg]
        found.inner += [*part.inner, arg]
    else:
        return False
    if part.bias is not None and found.bias is not None:
        return False
    found.bias = part.bias if found.bias is None else found.bias
    found.pairs += part.pairs
    return True


def _letter(x: Value) -> str:
    last = (x.label or "").rpartition(".")[2]
    return family(last) or last[:1].lower()


def _key(x: Operand) -> object:
    return id(x) if isinstance(x, Value) else (x, str(x))


def _points(
    neurons: list[Neuron], uses: dict[Value, list[Value]]
) -> list[list[Layer]] | None:
    """The layers of each point, found from its outputs back; None if there are none."""
    owner = {node: n for n in neurons for node in (n.z, *n.inner)}
    gives = {n.z: _given_on(n.z, uses, owner) for n in neurons}
    by_a = {gives[n.z]: n for n in neurons}
    takers: dict[Neuron, set[Neuron]] = {}
    for neuron in neurons:
        users = uses.get(gives[neuron.z], [])
        taken = [owner[user] for user in users if user in owner]
        if taken and len(taken) < len(users):
            return None
        takers[neuron] = set(taken)
    points = []
    for group in _outputs([n for n in neurons if not takers[n]]):
        layers = _layers(group, gives, by_a, takers)
        if layers is None:
            return None
        points.append(layers)
    return points


def _given_on(
    z: Value, uses: dict[Value, list[Value]], owner: Mapping[Value, Neuron]
) -> Value:
    """What the neuron gives on: its activation, or z itself."""
    users = uses.get(z, [])
    if len(users) != 1 or users[0] in owner:
        return z
    (a,) = users
    values = [x for x in a._args if isinstance(x, Value)]
    alone = len(values) == 1 and a._args[0] is z
    taken_on = [user for user in uses.get(a, []) if user in owner]
    return a if alone and (taken_on or known(a) in OUTPUT_ACTIVATIONS) else z


def _outputs(neurons: list[Neuron]) -> list[list[Neuron]]:
    """Neurons of the last layer, those of one point together."""
    groups: dict[object, list[list[Neuron]]] = {}
    found: list[list[Neuron]] = []
    for neuron in neurons:
        key = tuple(sorted(map(repr, map(_key, neuron.x))))
        for group in groups.get(key, []):
            if all(neuron.signature != other.signature for other in group):
                group.append(neuron)
                break
        else:
            groups.setdefault(key, []).append([neuron])
            found.append(groups[key][-1])
    return found


def _layers(
    group: list[Neuron],
    gives: Mapping[Value, Value],
    by_a: Mapping[Value, Neuron],
    takers: Mapping[Neuron, set[Neuron]],
) -> list[Layer] | None:
    found: list[Layer] = []
    while True:
        layer = [neuron.permuted(group[0].x) for neuron in group]
        same = [neuron for neuron in layer if neuron is not None]
        if len(same) < len(layer):
            return None
        found.append(Layer(tuple(same), tuple(gives[n.z] for n in same)))
        xs = group[0].x
        before = [by_a[x] for x in xs if isinstance(x, Value) and x in by_a]
        if not before:
            return found[::-1]
        if len(before) < len(xs) or len(set(before)) < len(xs):
            return None
        if any(takers[neuron] != set(group) for neuron in before):
            return None
        group = before


def _is_one_network(points: list[list[Layer]], neurons: list[Neuron]) -> bool:
    """Whether all points are runs of the same layers, with all neurons there are."""
    signature = [layer.signature for layer in points[0]]
    if any([layer.signature for layer in layers] != signature for layers in points):
        return False
    if any(len({n.b is None for n in layer.neurons}) > 1 for layer in points[0]):
        return False
    parameters = Network(points).parameters
    if max(Counter(map(id, parameters)).values()) > 1:
        return False
    if sum(len(layer.neurons) for layers in points for layer in layers) < len(neurons):
        return False
    dotted = all("." in (p.label or "") for p in parameters)
    return len(signature) > 1 or dotted  # w*x + b is a line, and no network yet


def _holds(layers: list[Layer], bars: Bars) -> bool:
    """Whether the textbook's recursion gives the adjoints of this point."""
    for layer, after in pairwise(layers):
        room, back = _rounding(after, bars), after.back(bars)
        if not all(_same(x, bars.get(a, 0.0), room) for a, x in zip(layer.a, back)):
            return False
    return all(
        _same(bars.get(a, 0.0) * slope, bars.get(z, 0.0), 0.0)
        for layer in layers
        for a, z, slope in zip(layer.a, layer.z, layer.slopes())
    )


def _rounding(layer: Layer, bars: Bars) -> float:
    """What rounding may change in Wᵀδ, by the size of the terms that are added."""
    deltas = max(abs(bars.get(z, 0.0)) for z in layer.z)
    weights = max(abs(w._data) for n in layer.neurons for w in n.w)
    room = deltas * weights * 1e-12
    return room if room < inf else 0.0


def _same(found: float, bar: float, room: float) -> bool:
    """Equal but for rounding; NaN equals NaN."""
    if found != found or bar != bar:
        return found != found and bar != bar
    return isclose(found, bar, rel_tol=1e-12, abs_tol=room)
