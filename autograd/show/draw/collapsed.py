"""A network too large for a card for each Value: one for each neuron, and its inputs.

The plain numbers that a first layer looks at are no Values, but get cards all the same,
x[0], x[1] …, each with the numbers of all points. What ends the graph is called L.
"""

from __future__ import annotations

from typing import Final

from ...value import Value
from ..latex import known
from .cards import (
    Arrow,
    Card,
    Picture,
    arrow_of,
    card_of,
    card_tip,
    home_name,
    is_parameter,
    operands_of,
    operation_of,
)

MOST_INPUTS: Final = 16  # of more, one card stands for all

Numbers = dict[int, dict[float, None]]  # each input's, in the order of use


def by_neuron(values: list[Value], home: dict[Value, str]) -> Picture:
    """One card per neuron, for its results: what no other Value of the neuron uses."""
    neurons = sorted(set(home.values()), key=natural_key)
    outside = [node for node in values if node not in home]
    units: list[Value | str] = [*neurons, *outside]
    index = {unit: i for i, unit in enumerate(units)}
    where = {node: index[home.get(node, node)] for node in values}
    cards = [Card(home_name(name), "", "neuron", layer_of(name)) for name in neurons]
    cards += [card_of(node, "") for node in outside]
    inner = {
        arg
        for node in values
        for arg in node.args
        if isinstance(arg, Value) and where[arg] == where[node]
    }
    for node in values:
        if node in home and node.args and node not in inner:
            card = cards[where[node]]
            card.note, card.tooltip = operation_of(node), card_tip(node)
            card.values.append(node.data)
            card.grads += [node.grad] if node.reached else []
    loss = loss_of(values, home)
    if loss is not None:
        cards[where[loss]].head = "L"
    arrows = _merged(values, where)
    inputs, lines = _inputs(values, where, len(cards))
    return Picture([*cards, *inputs], [*arrows, *lines], len(values), True)


def loss_of(values: list[Value], home: dict[Value, str]) -> Value | None:
    """What ends the graph, if that is no neuron's, has no name and no other is L."""
    used = {arg for node in values for arg in node.args if isinstance(arg, Value)}
    ends = [node for node in values if node not in used]
    if len(ends) > 1 or ends[0] in home or ends[0].label or not ends[0].args:
        return None
    return None if any(node.label == "L" for node in values) else ends[0]


def _inputs(
    values: list[Value], where: dict[Value, int], first: int
) -> tuple[list[Card], list[Arrow]]:
    """Cards of the plain numbers that neurons look at, and arrows to these neurons."""
    numbers: Numbers = {}
    heads: dict[int, None] = {}
    for node in values:
        for i, x in _plain_inputs(node):
            numbers.setdefault(i, {})[x] = None
            heads[where[node]] = None
    if len(numbers) > MOST_INPUTS:
        joined = {x: None for i in sorted(numbers) for x in numbers[i]}
        card = _input(f"x[0] … x[{max(numbers)}]", joined)
        return [card], [_line(first, head) for head in heads]
    names = {i: f"x[{i}]" if len(numbers) > 1 else "x" for i in sorted(numbers)}
    cards = [_input(name, numbers[i]) for i, name in names.items()]
    lines = [_line(first + k, head) for k in range(len(cards)) for head in heads]
    return cards, lines


def _plain_inputs(node: Value) -> list[tuple[int, float]]:
    """The places and numbers that a neuron's own weights are multiplied by."""
    if known(node) != "dot":
        return []
    half = len(node.args) // 2
    pairs = [*zip(node.args[:half], node.args[half:])]
    return [
        (i, x)
        for i, (w, x) in enumerate(pairs)
        if isinstance(w, Value) and is_parameter(w) and not isinstance(x, Value)
    ]


def _input(name: str, numbers: dict[float, None]) -> Card:
    shown = ", ".join(f"{x:.6g}" for x in list(numbers)[:20])
    return Card(name, "input", "input", "inputs", [*numbers], [], f"{name}: {shown}")


def _line(tail: int, head: int) -> Arrow:
    return Arrow(tail, head, None, None, "plain numbers: nothing flows back to them")


def _merged(values: list[Value], where: dict[Value, int]) -> list[Arrow]:
    """One arrow between two cards, for all that flows back between their Values."""
    arrows: dict[tuple[int, int], Arrow] = {}
    for node in values:
        for arg, factor in operands_of(node):
            new = arrow_of(arg, node, factor, where)
            old = arrows.setdefault((new.tail, new.head), new)
            if old is not new:
                arrows[new.tail, new.head] = _sum(old, new)
    return [arrow for arrow in arrows.values() if arrow.tail != arrow.head]


def _sum(a: Arrow, b: Arrow) -> Arrow:
    flows = [flow for flow in (a.flow, b.flow) if flow is not None]
    flow = sum(flows) if flows else None
    tip = "no sweep has been" if flow is None else f"flows back in all: {flow!r}"
    return Arrow(a.tail, a.head, None, flow, tip, a.left_out and b.left_out)


def layer_of(neuron: str) -> str:
    before, _, last = neuron.rpartition(".")
    return before if last.isdecimal() else ""


def natural_key(text: str) -> list[tuple[int, str]]:
    """Sort key that puts neurons.2 before neurons.10."""
    return [(len(part) * part.isdecimal(), part) for part in text.split(".")]
