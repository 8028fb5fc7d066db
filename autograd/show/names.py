"""What everything is called, in explanations and in drawings: a textbook's names.

In a network, layers count from 1 at the input (x is what goes into layer 1). Neurons,
inputs and weights keep the places they have in Python, from 0, in brackets, and one
point of several is raised in round brackets, as in many textbooks:

    z₁, a₁          pre-activations W₁x + b₁ and activations of layer 1, as vectors
    z₁[0], a₁[0]    those of its neuron 0; of a layer with one neuron simply z₁, a₁
    W₂[1,0], b₂[1]  neuron 1's weight for a₁[0], and its bias
    z₁⁽³⁾[0]        z₁[0] at point 3, where there are several
    x[0]            input 0, in formulas its number where it is no Value
    L               the loss of a network
    δ₁[0]           ∂L/∂z₁[0]: only the adjoint of a z is called δ
    ∂L/∂v           the adjoint of any other v; "adjoint" is the word for all of them

Headings say "layer 1" and "neuron 0". Where the attribute itself is meant, it has its
own name: layers.0.neurons.0.w0. A label that the user gave stays as it is. What has
none gets letters that are no label of the user's, nor near one: beside a user's x or
x0 there is no x₁.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from ..primitives import clean
from ..value import Value

SUBSCRIPTS: Final = str.maketrans("-0123456789", "₋₀₁₂₃₄₅₆₇₈₉")
RAISED: Final = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
LETTERS: Final = "uvwtsrqpkhgabc"  # for results on the way, the last one first
INPUTS: Final = "xwpqsctrk"  # for leaves


def vector_name(letter: str, layer: int | None, point: int | None = None) -> str:
    """The name of a layer's vector, at one point of several where that is given.

    >>> vector_name("z", 1), vector_name("δ", 12), vector_name("a", 1, point=3)
    ('z₁', 'δ₁₂', 'a₁⁽³⁾')
    """
    number = "" if layer is None else str(layer).translate(SUBSCRIPTS)
    raised = "" if point is None else f"⁽{str(point).translate(RAISED)}⁾"
    return letter + number + raised


def neuron_name(
    letter: str, layer: int, neuron: int, width: int, point: int | None = None
) -> str:
    """The name of one neuron's number, in a layer of so many neurons.

    >>> neuron_name("z", 1, 0, width=3), neuron_name("z", 2, 0, width=1)
    ('z₁[0]', 'z₂')
    """
    place = f"[{neuron}]" if width > 1 else ""
    return vector_name(letter, layer, point) + place


def weight_name(layer: int, neuron: int, i: int, letter: str = "W") -> str:
    """The name of the weight that leads from input i of a layer to one neuron.

    >>> weight_name(2, 1, 0)
    'W₂[1,0]'
    """
    return f"{vector_name(letter, layer)}[{neuron},{i}]"


def layer_heading(layer: int, attribute: str = "") -> str:
    """What a layer is called, with the attribute that holds it.

    >>> layer_heading(1, "layers.0")
    'layer 1 (layers.0)'
    """
    return f"layer {layer} ({attribute})" if attribute else f"layer {layer}"


def family(name: str) -> str:
    """The letter of a name that is one letter with a number or mark, else "".

    >>> family("x"), family("X_2"), family("layers.0.neurons.1.w0"), family("alpha")
    ('x', 'x', 'w', '')
    """
    last = name.rpartition(".")[2]
    return last[0].lower() if last[:1].isalpha() and not last[1:2].isalpha() else ""


def free_letters(letters: Iterable[str], names: Iterable[str]) -> list[str]:
    """Those letters that no name has, nor anything near it.

    >>> free_letters("uvw", ["v", "W1"])
    ['u']
    """
    near = {family(name) for name in names}
    return [letter for letter in letters if letter.lower() not in near]


def input_values(y: Value, order: list[Value]) -> list[Value]:
    """The leaves below y, also those that a select left out, in the order of use."""
    operands = (arg for node in order for arg in node._args if isinstance(arg, Value))
    return list(dict.fromkeys(x for x in (y, *operands) if x._row is None))


def variable_names(
    y: Value,
    order: list[Value],
    leaves: list[Value],
    given: Mapping[Value, str] | None = None,
) -> dict[Value, str]:
    """A name for every Value: its label, or x, y, u, v, w … as a teacher has it.

    Names that are given, those of a network say, come first. No two are the same.

    >>> x = Value(2.0, label="x"); u = x.sin(); y = u * 3
    >>> list(variable_names(y, [u, y], [x]).values())
    ['x', 'y', 'u']
    """
    names = _Names(given or {})
    for value in dict.fromkeys([*leaves, *order]):
        label = clean(value.label or "").strip()
        if label and value not in names.found:
            names.label(value, label)
    users = list(names.taken)
    if y not in names.found:
        names.give(y, *free_letters("yzf", users), stem="result")
    leaves = [leaf for leaf in leaves if leaf not in names.found]
    free = free_letters(INPUTS, names.taken)
    names.give_all(leaves, free[: len(leaves) == 1], free[0] if free else "input")
    inner = [node for node in reversed(order) if node not in names.found]
    free = free_letters(LETTERS, names.taken)
    if len(inner) > len(free):
        inner.reverse()
        free = [letter for letter in "vutsrqpkhgabcw" if letter in free]
        names.give_all(inner, [], free[0] if free else "node")
    else:
        names.give_all(inner, free, "node")
    return names.found


class _Names:
    """Names as they are given, each once."""

    def __init__(self, given: Mapping[Value, str]) -> None:
        self.found = dict(given)
        self.taken = set(self.found.values())
        self.serials: Counter[str] = Counter()

    def label(self, value: Value, label: str) -> None:
        """The label or, of the second with the same one, label_2."""
        stem = label + "_"
        self.serials[stem] = max(1, self.serials[stem])
        self.give(value, label, stem=stem)

    def give(self, value: Value, *choices: str, stem: str) -> None:
        """The first choice that is free, or else the stem with the next number."""
        name = next((choice for choice in choices if choice not in self.taken), None)
        while name is None or name in self.taken:
            self.serials[stem] += 1
            number = str(self.serials[stem])
            name = stem + (number.translate(SUBSCRIPTS) if len(stem) == 1 else number)
        self.found[value] = name
        self.taken.add(name)

    def give_all(self, values: list[Value], letters: list[str], stem: str) -> None:
        """A letter for each, if there are enough, else the stem with numbers."""
        for k, value in enumerate(values):
            self.give(value, *letters[k : k + 1], stem=stem)
