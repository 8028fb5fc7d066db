"""What a drawing shows of a graph: a card for each Value, an arrow for each operand.

A card says what a Value is (its label, the operation), its number and its gradient; an
arrow carries the local derivative and what flows back along it. Leaves with dotted
labels ("layers.0.neurons.1.w0") are parameters; what is computed from one neuron's
parameters belongs to that neuron.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ...primitives import clean
from ...value import Value, require_current, topological
from ..inside import is_closed
from ..latex import known, made_by

SYMBOLS: Final = {
    "add": "+", "sub": "−", "mul": "×", "div": "÷", "pow": "^", "mod": "mod",
    "neg": "−", "less": "<", "less_equal": "≤", "greater": ">", "greater_equal": "≥",
    "equal": "=", "not_equal": "≠",
}  # fmt: skip
ARITHMETIC: Final = frozenset({"add", "sub", "mul", "div", "neg", "pow", "mod"})

PENALTY: Final = "penalty on parameters"  # a frame that no label can name

_neuron = re.compile(r"((?:\w+\.)*)layers\.(\d+)\.neurons\.(\d+)").fullmatch
_dotted = re.compile(r"([^\W\d]\w*(?:\.\w+)*)\.\w+").fullmatch


def all_values(roots: list[Value]) -> list[Value]:
    """All Values under the roots, each after its operands."""
    found: dict[Value, None] = {}
    for node in topological(*roots, whole=True):
        require_current(node, "draw")
        found |= dict.fromkeys(arg for arg in node.args if isinstance(arg, Value))
        found[node] = None
    return [*(found | dict.fromkeys(roots))]


def neurons_of(values: list[Value]) -> dict[Value, str]:
    """The neuron that a Value belongs to: the common prefix of parameters' labels.

    What adds up the parameters' squares or magnitudes gets a place of its own.
    """
    home: dict[Value, str] = {}
    for node in values:
        prefix = _home_of_result(node, home) if node.args else _prefix(node)
        if prefix:
            home[node] = prefix
    return home


def _prefix(leaf: Value) -> str | None:
    match = _dotted(leaf.label or "")
    return match[1] if match else None


def _home_of_result(node: Value, home: dict[Value, str]) -> str | None:
    """Where a parameter is used, or where all operands are: a sum, an activation.

    Arithmetic on nothing but a neuron's output is taken to be the user's (1 − y, say),
    not the neuron's, save adding the product to the 0 that Python's sum() begins with.
    """
    operands = [arg for arg in node.args if isinstance(arg, Value)]
    if _is_penalty(known(node), operands, home):
        return PENALTY
    own = {home[arg] for arg in operands if is_parameter(arg)}
    if not own:
        begins_sum = (
            known(node) == "add" and 0.0 in node.args and known(operands[0]) == "mul"
        )
        if len(operands) == 1 and known(node) in ARITHMETIC and not begins_sum:
            return None
        if any(arg not in home for arg in operands):
            return None
        own = {home[arg] for arg in operands}
    return own.pop() if len(own) == 1 else None


def _is_penalty(op: str, operands: list[Value], home: dict[Value, str]) -> bool:
    """Whether it is a parameter's square or magnitude, or a sum of such."""
    if op == "add":
        return all(home.get(arg) == PENALTY for arg in operands)
    powers = {"pow": 1, "abs": 1, "mul": 2}.get(op) == len(operands)
    return powers and len({*operands}) == 1 and is_parameter(operands[0])


def home_name(home: str) -> str:
    """What a neuron is called: layer 1, neuron 0; others by their attribute.

    >>> home_name("layers.0.neurons.2"), home_name("net.layers.1.neurons.0")
    ('layer 1, neuron 2', 'net, layer 2, neuron 0')
    >>> home_name("encoder.cell")
    'encoder.cell'
    """
    found = _neuron(home)
    if found is None:
        return home
    owner = f"{found[1][:-1]}, " if found[1] else ""
    return f"{owner}layer {int(found[2]) + 1}, neuron {found[3]}"


def is_leaf(node: Value) -> bool:
    return not node.args


def is_parameter(node: Value) -> bool:
    return is_leaf(node) and _prefix(node) is not None


# ---- cards and arrows ----------------------------------------------------------------


@dataclass
class Card:
    """One box of the picture: a Value, or all Values of one neuron."""

    head: str
    note: str
    kind: str
    group: str = ""  # the neuron that frames it; its layer, if it stands for a neuron
    values: list[float] = field(default_factory=list)
    grads: list[float] = field(default_factory=list)
    tooltip: str = ""
    entry: bool = False  # drawn at the left edge, outside all frames


@dataclass
class Arrow:
    """One operand of one result, or all between two cards (then without a factor)."""

    tail: int
    head: int
    factor: float | None
    flow: float | None  # None where no sweep has been
    tooltip: str
    left_out: bool = False  # by a select


@dataclass
class Picture:
    """All that is drawn, before it is put into words of DOT."""

    cards: list[Card]
    arrows: list[Arrow]
    count: int  # of Values
    collapsed: bool


def detailed(values: list[Value], home: dict[Value, str]) -> Picture:
    index = {node: i for i, node in enumerate(values)}
    cards = [card_of(node, home.get(node, "")) for node in values]
    arrows = []
    for node in values:
        for arg, factor in operands_of(node):
            arrows.append(arrow_of(arg, node, factor, index))
            card = cards[index[arg]]
            card.entry |= is_leaf(arg) and arg not in home and node in home
    return Picture(cards, arrows, len(values), False)


def operands_of(node: Value) -> Iterator[tuple[Value, float | None]]:
    """Each operand with its partial, None for what a select left out."""
    taken = iter([*zip(node.parents, node.partials), (None, None)])
    parent, partial = next(taken)
    for arg in node.args:
        if arg is parent:
            yield arg, partial
            parent, partial = next(taken)
        elif isinstance(arg, Value):
            yield arg, None


def arrow_of(
    arg: Value, node: Value, factor: float | None, index: dict[Value, int]
) -> Arrow:
    flow = None if factor is None or not node.reached else factor * node.grad
    tip = _arrow_tip(arg, node, factor, flow)
    return Arrow(index[arg], index[node], factor, flow, tip, factor is None)


def card_of(node: Value, group: str) -> Card:
    kind = _kind(node)
    note = operation_of(node) if node.args else kind
    label = node.label or ""
    if group and kind == "param":
        label = label.removeprefix(group + ".")
    grads = [node.grad] if node.reached else []
    return Card(label, note, kind, group, [node.data], grads, card_tip(node))


def _kind(node: Value) -> str:
    if node.args:
        return "call" if is_closed(node) else "op"
    return "param" if is_parameter(node) else "input"


def operation_of(node: Value) -> str:
    """The operation with its plain numbers in place: "× 2", "1 −", "clip(·, 0, 1)"."""
    symbol = SYMBOLS.get(known(node)) or made_by(node)
    plain = [None if isinstance(arg, Value) else f"{arg:.6g}" for arg in node.args]
    if not any(plain):
        return symbol
    if known(node) == "pow":
        return f"{plain[0] or ''}^{plain[1] or ''}"
    if known(node) in SYMBOLS:
        return " ".join(filter(None, [plain[0], symbol, plain[1]]))
    shown = [number or "·" for number in plain]
    if len(shown) > 6:
        shown = [*shown[:2], "…", *shown[-2:]]
    return f"{symbol}({', '.join(shown)})"


def _name(node: Value) -> str:
    return clean(node.label or made_by(node) or "leaf", 80)


def card_tip(node: Value) -> str:
    grad = repr(node.grad) if node.reached else "– (no sweep has reached it)"
    made = f" ({made_by(node)})" if node.args and node.label else ""
    line = f"; computed at {node.line}" if node.line else ""
    return f"{_name(node)}{made} = {node.data!r}; grad {grad}{clean(line, 120)}"


def _arrow_tip(
    arg: Value, node: Value, factor: float | None, flow: float | None
) -> str:
    names = f"∂{_name(node)}/∂{_name(arg)}"
    if factor is None:
        return f"{made_by(node)} left {_name(arg)} out: nothing flows back"
    if flow is None:
        return f"{names} = {factor!r}"
    return f"{names} = {factor!r}; flows back: {factor!r} × {node.grad!r} = {flow!r}"
