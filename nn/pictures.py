"""Networks as pictures: what `MLP.draw` shows, and what `player(model, x, y)` plays.

Here numbers are gathered, in plain lists; autograd draws them and knows nothing of
models. A layer counts from 1 at the input, as in the textbook's δ₁, W₁, a₁.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from autograd import Value, brief

from .layers import MLP, Picture, _features
from .textbook import (
    BackpropTable,
    Floats,
    Loss,
    backprop_table,
    forward,
    plain,
    plain_inputs,
    shown_name,
)

MOST_NAMED: Final = 8  # layers, whose widths make a title
MOST_TARGETS: Final = 6  # with a row each

# ---- one pass, to be played ----------------------------------------------------------


@dataclass(frozen=True)
class PlayedNeuron:
    """One neuron's numbers; δ and ∂L/∂w are those of the engine's own sweep."""

    activation: str
    w: Floats
    b: float
    z: float
    a: float
    slope: float
    arriving: float
    delta: float
    weights: Floats


@dataclass(frozen=True)
class Play:
    """One point's way through a network, forward and backward."""

    title: str
    inputs: list[tuple[str, float]]
    layers: list[list[PlayedNeuron]]
    arriving: Floats  # W₁ᵀδ₁
    target: str
    loss_name: str
    loss: float
    difference: float


def play(model: MLP, x: Any, y: Any, loss: Loss) -> Play:
    """What `MLP._play_` gives."""
    table = backprop_table(model, plain_inputs("player", model, x), y, loss)
    layers = [
        [
            PlayedNeuron(
                row.activation, [w.data for w in neuron.w], neuron.b.data,
                row.z, row.a, row.slope, row.arriving,
                row.engine_delta, row.engine_weights,
            )
            for neuron, row in zip(layer.neurons, rows.neurons)
        ]
        for layer, rows in zip(model.layers, reversed(table.layers))
    ]  # fmt: skip
    return Play(
        f"{_brief_name(model)}, forward and backward",
        _named_inputs("player", model, x),
        layers,
        _back_to_inputs(layers[0]),
        _target(y),
        getattr(loss, "__name__", "loss"),
        table.loss,
        table.max_difference,
    )


def _brief_name(model: MLP) -> str:
    """The model's repr; of many layers their number."""
    count = len(model.layers)
    if count <= MOST_NAMED:
        return repr(model)
    nin = len(model.layers[0].neurons[0].w)
    return f"MLP of {count} layers, from {nin} to {len(model.layers[-1].neurons)}"


def _back_to_inputs(first: list[PlayedNeuron]) -> Floats:
    """W₁ᵀδ₁, without the neurons that a choice left out."""
    on = [n for n in first if n.delta != 0.0]
    return [
        sum((n.w[i] * n.delta for n in reversed(on)), 0.0)
        for i in range(len(first[0].w))
    ]


def _target(y: Any) -> str:
    """The target in few letters: a number, or the numbers of a list."""
    if hasattr(y, "tolist"):
        y = y.tolist()
    if isinstance(y, Sequence) and not isinstance(y, str):
        return f"[{', '.join(map(_target, y))}]"
    return brief(y, 24) if isinstance(y, str) else f"{plain(y):.6g}"


def _input_name(i: int, nin: int) -> str:
    return f"x[{i}]" if nin > 1 else "x"


def _named_inputs(operation: str, model: MLP, x: Any) -> list[tuple[str, float]]:
    nin = len(model.layers[0].neurons[0].w)
    named = []
    for i, feature in enumerate(_features(operation, x, nin)):
        label = feature.label if isinstance(feature, Value) else None
        default = _input_name(i, nin)
        named.append((label or default, plain(feature)))
    return named


# ---- a drawing -----------------------------------------------------------------------


def network_drawing(
    model: MLP, x: Any, y: Any, loss: Loss, by: str, backward: bool, outcome: bool
) -> Picture:
    """What `MLP.draw` gives: a description in plain lists, drawn by autograd."""
    from autograd import draw_network  # only who draws pays for importing it

    _require_point(x, y, by, backward or outcome)
    points = None if x is None else forward(model, plain_inputs("MLP.draw", model, x))
    table = None if y is None else backprop_table(model, x, y, loss)
    columns: list[Any] = [("inputs", _input_cards(model, x))]
    for c, layer in enumerate(model.layers):
        cards = [
            (f"neuron {k}", shown_name(n), {"b": n.b.data})
            for k, n in enumerate(layer.neurons)
        ]
        for k, (_, _, rows) in enumerate(cards):
            if points is not None:
                rows |= {"z": points[c][k].z, "a": points[c][k].a}
            if table is not None:
                rows |= _errors(table, c, k, backward)
        activations = dict.fromkeys(note for _, note, _ in cards)
        columns.append((f"layer {c + 1} · {', '.join(activations)}", cards))
    edges, weight = _edges(model, table, by)
    if outcome and table is not None:
        columns.append(("loss", [_outcome(table, y, loss)]))
        edges = [*edges, None]
    return draw_network(columns, edges, weight=weight, title=repr(model))


def _require_point(x: Any, y: Any, by: str, backward: bool) -> None:
    if by not in ("weight", "grad"):
        raise ValueError(
            f"MLP.draw: by must be 'weight' or 'grad', but is {brief(by)}; it says "
            "what the lines show"
        )
    if x is None and y is not None:
        raise ValueError(
            "MLP.draw: x must be given where y is, but is None; pass the point too"
        )
    if backward and y is None:
        raise ValueError(
            "MLP.draw: y must be given with backward or outcome, but is None; pass the "
            "point and its target, draw(x, y, …)"
        )


def _errors(table: BackpropTable, c: int, k: int, backward: bool) -> dict[str, float]:
    """δ, and on demand what it is the product of."""
    neuron, last = table.layers[-1 - c].neurons[k], c + 1 == len(table.layers)
    if not backward:
        return {"δ": neuron.delta}
    arriving = "∂L/∂a" if last else "Wᵀδ"
    return {"σ′(z)": neuron.slope, arriving: neuron.arriving, "δ": neuron.delta}


def _outcome(
    table: BackpropTable, y: Any, loss: Loss
) -> tuple[str, str, dict[str, float]]:
    """The card of the loss: its targets, if they are few numbers, and L."""
    if hasattr(y, "tolist"):
        y = y.tolist()
    targets = [y] if not isinstance(y, Sequence) or isinstance(y, str) else [*y]
    shown = targets if len(targets) <= MOST_TARGETS else []
    names = (
        ["target"] if len(shown) == 1 else [f"target {i}" for i in range(len(shown))]
    )
    rows = {name: plain(target) for name, target in zip(names, shown)}
    return "L", getattr(loss, "__name__", "loss"), rows | {"L": table.loss}


def _input_cards(model: MLP, x: Any) -> list[tuple[str, str, dict[str, float]]]:
    if x is None:
        nin = len(model.layers[0].neurons[0].w)
        return [(_input_name(i, nin), "", {}) for i in range(nin)]
    named = _named_inputs("MLP.draw", model, x)
    return [(name, "", {"x": feature}) for name, feature in named]


def _edges(
    model: MLP, table: BackpropTable | None, by: str
) -> tuple[Sequence[Any], str]:
    """The numbers between the columns, and what they are."""
    neurons = [layer.neurons for layer in model.layers]
    if by == "weight":
        return [[[w.data for w in n.w] for n in layer] for layer in neurons], "w"
    if table is not None:
        layers = reversed(table.layers)
        return [[n.weights for n in layer.neurons] for layer in layers], "∂L/∂w"
    if not any(p.reached for p in model.parameters()):
        raise ValueError(
            "MLP.draw: by='grad' must have gradients to show, but no sweep has reached "
            "the model; pass x and y, or call backward() on a loss first"
        )
    return [[[w.grad for w in n.w] for n in layer] for layer in neurons], "∂L/∂w"
