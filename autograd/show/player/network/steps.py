"""Steps through a network, neuron by neuron: forward, then the error flows backward.

Forward, a step gives one neuron's z and a. Backward, one gathers its error from the
layer after and multiplies by σ′, δ = (Σ w·δ)·σ′(z), and one gives its weights' share.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from ....primitives import clean
from ...names import neuron_name, vector_name, weight_name
from ..steps import Line, Step
from .cast import Cast, Column
from .played import Neuron
from .words import is_linear, last_words, number

DIGITS: Final = 6
MOST_TERMS: Final = 5  # of a sum that is written out
MOST_WEIGHTS: Final = 5  # whose gradients one step shows


def network_steps(cast: Cast) -> list[Step]:
    """All steps: those of one direction are numbered."""
    steps = _Steps(cast)
    forward = [*steps.forward()]
    backward = [*steps.backward()]
    return [
        steps.start(),
        *_numbered("Forward", forward),
        steps.turn(),
        *_numbered("Backward", backward),
        steps.result(),
    ]


def _numbered(direction: str, steps: list[Step]) -> Iterator[Step]:
    for i, step in enumerate(steps, start=1):
        yield replace(step, head=f"{direction} {i} of {len(steps)}: {step.head}")


class _Steps:
    """What is said at each step, of the cast that is drawn."""

    def __init__(self, cast: Cast) -> None:
        self.cast, self.play = cast, cast.play
        self.depth = len(self.play.layers)

    def start(self) -> Step:
        inputs = tuple(range(self.cast.columns[0].shown))
        lines = [[f"{clean(name, 30)} = {_six(x)}"] for name, x in self.play.inputs]
        lines = [*_few(lines, 6), [f"target t = {clean(self.play.target, 60)}"]]
        head = "Start: the inputs hold their numbers"
        return Step(head, lines, fed=inputs, values=inputs)

    # ---- forward ---------------------------------------------------------------------

    def forward(self) -> Iterator[Step]:
        for column in self.cast.columns[1:]:
            if column.is_gap:
                yield Step(f"{_layers(column)} in the same way", [_alike(column)])
                continue
            for k in range(column.shown):
                yield self._activate(column.layer, k)
            if column.hidden:
                last = column.shown + column.hidden - 1
                names = f"{self._name('a', column.layer, column.shown)} …"
                line = [f"{names} {self._name('a', column.layer, last)} follow alike"]
                yield Step(f"{_rest(column)} in the same way", [line])
        yield self._lose()

    def _activate(self, layer: int, k: int) -> Step:
        neuron, card = self.play.layers[layer - 1][k], self.cast.cards[layer, k]
        edges = self.cast.into(layer, k)
        return Step(
            _place(layer, k),
            [*self._activation(layer, k, neuron)],
            card=card,
            fed=self._tails(edges),
            arrows=edges,
            values=(card,),
        )

    def _activation(self, layer: int, k: int, neuron: Neuron) -> Iterator[Line]:
        z, a = self._name("z", layer, k), self._name("a", layer, k)
        below = self._below(layer)
        terms = [*zip(neuron.w, [x for _, x in below])]
        names = [
            f"{weight_name(layer, k, i)}·{name}" for i, (name, _) in enumerate(below)
        ]
        bias = self._name("b", layer, k)
        yield [
            f"{z} = {' + '.join(_ends(names))} + {bias}",
            *_sum(terms, neuron.z, neuron.b),
        ]
        if is_linear(neuron):
            yield [f"{a} = {z}", f"= {_six(neuron.a)}"]
            return
        name = clean(neuron.activation, 24)
        yield [
            f"{a} = {name}({z})",
            f"= {name}({_six(neuron.z)})",
            f"= {_six(neuron.a)}",
        ]

    def _lose(self) -> Step:
        out, name = vector_name("a", self.depth), clean(self.play.loss_name, 30)
        found = ", ".join(_ends([_six(n.a) for n in self.play.layers[-1]]))
        several = len(self.play.layers[-1]) > 1
        found = f"[{found}]" if several else found
        line = [
            f"L = {name}({out}, t)",
            f"= {name}({found}, {clean(self.play.target, 40)})",
            f"= {_six(self.play.loss)}",
        ]
        loss = self.cast.loss
        edges = self.cast.into(self.depth + 1, 0)
        fed = self._tails(edges)
        return Step("the loss", [line], loss, fed, edges, values=(loss,))

    # ---- backward --------------------------------------------------------------------

    def turn(self) -> Step:
        loss = self.cast.loss
        line = ["dL/dL", "= 1"]
        head = "Backward begins at the loss"
        return Step(head, [line], card=loss, adjoints=((loss, 1.0),))

    def backward(self) -> Iterator[Step]:
        for column in self.cast.columns[:0:-1]:
            if column.is_gap:
                yield Step(f"{_layers(column)} in the same way", [_alike(column, "δ")])
                continue
            for k in range(column.shown):
                yield self._err(column.layer, k)
            if column.hidden:
                yield Step(f"{_rest(column)} in the same way", [["their δ alike"]])
            for k in range(column.shown):
                yield self._weigh(column.layer, k)
        yield self._reach_inputs()

    def _err(self, layer: int, k: int) -> Step:
        neuron, card = self.play.layers[layer - 1][k], self.cast.cards[layer, k]
        edges = self.cast.out_of(layer, k)
        return Step(
            f"{_place(layer, k)}, its error δ",
            [*self._error(layer, k, neuron)],
            card=card,
            fed=tuple(dict.fromkeys(self._heads(edges))),
            arrows=edges,
            adjoints=((card, neuron.delta),),
            back=True,
        )

    def _error(self, layer: int, k: int, neuron: Neuron) -> Iterator[Line]:
        bar = f"∂L/∂{self._name('a', layer, k)}"
        if layer == self.depth:
            yield [f"{bar}, the loss's own slope,", f"= {_six(neuron.arriving)}"]
        else:
            yield self._gathered(layer, k, bar, neuron.arriving)
        delta, z = self._name("δ", layer, k), self._name("z", layer, k)
        if is_linear(neuron):
            yield [f"{delta} = {bar}", f"= {_six(neuron.delta)}"]
        elif neuron.slope == 0.0 == neuron.delta:
            name = clean(neuron.activation, 24)
            yield [f"{delta} = {bar} · {name}′({z})", "= 0: here it lets nothing back"]
        else:
            numbers = _sum([(neuron.arriving, neuron.slope)], neuron.delta)
            yield [f"{delta} = {bar} · {clean(neuron.activation, 24)}′({z})", *numbers]

    def _gathered(self, layer: int, k: int, bar: str, found: float) -> Line:
        """(Wᵀδ)[k], the sum of what comes back along all edges out of a card."""
        after = self.play.layers[layer]
        terms = [(n.w[k], n.delta) for n in after]
        names = [
            f"{weight_name(layer + 1, j, k)}·{self._name('δ', layer + 1, j)}"
            for j in range(len(after))
        ]
        return [f"{bar} = {' + '.join(_ends(names))}", *_sum(terms, found)]

    def _weigh(self, layer: int, k: int) -> Step:
        neuron, card = self.play.layers[layer - 1][k], self.cast.cards[layer, k]
        edges = self.cast.into(layer, k)
        return Step(
            f"{_place(layer, k)}, its weights: δ times what they multiplied",
            [*self._gradients(layer, k, neuron)],
            card=card,
            fed=self._tails(edges),
            arrows=edges,
        )

    def _gradients(self, layer: int, k: int, neuron: Neuron) -> Iterator[Line]:
        delta, lines = self._name("δ", layer, k), []
        for i, (name, x) in enumerate(self._below(layer)):
            numbers = _sum([(neuron.delta, x)], neuron.weights[i])
            left = f"∂L/∂{weight_name(layer, k, i)} = {delta}·{name}"
            lines.append([left, *numbers])
        yield from _few(lines, MOST_WEIGHTS)
        bias = self._name("b", layer, k)
        yield [f"∂L/∂{bias} = {delta}", f"= {_six(neuron.delta)}"]

    def _reach_inputs(self) -> Step:
        """W₁ᵀδ₁: nothing is trained by it, but a layer before would get it."""
        lines = [
            self._gathered(0, i, f"∂L/∂{clean(name, 30)}", found)
            for i, ((name, _), found) in enumerate(
                zip(self.play.inputs, self.play.arriving)
            )
        ]
        shown = range(self.cast.columns[0].shown)
        edges = [n for i in shown for n in self.cast.out_of(0, i)]
        return Step(
            "the inputs: what a layer before them would get",
            _few(lines, 4),
            fed=tuple(dict.fromkeys(self._heads(tuple(edges)))),
            arrows=tuple(edges),
            adjoints=tuple((i, self.play.arriving[i]) for i in shown),
            back=True,
        )

    def result(self) -> Step:
        lines = [[line.strip()] for line in last_words(self.play)]
        apart = self.play.difference
        same = f"differ by at most {apart:.2g}, relatively" if apart else "agree"
        head = "Done: each error was computed once, and handed on"
        last = [f"This recursion and backward(), which has no layers, {same}"]
        return Step(head, [*_few(lines, 6), last])

    # ---- parts -----------------------------------------------------------------------

    def _name(self, letter: str, layer: int, k: int) -> str:
        return neuron_name(letter, layer, k, len(self.play.layers[layer - 1]))

    def _below(self, layer: int) -> list[tuple[str, float]]:
        """The names and numbers that a layer looks at."""
        if layer == 1:
            return [(clean(name, 30), x) for name, x in self.play.inputs]
        before = self.play.layers[layer - 2]
        return [(self._name("a", layer - 1, k), n.a) for k, n in enumerate(before)]

    def _tails(self, edges: Sequence[int]) -> tuple[int, ...]:
        order = [*self.cast.edges]
        return tuple(self.cast.ends(order[n])[0] for n in edges)

    def _heads(self, edges: Sequence[int]) -> tuple[int, ...]:
        order = [*self.cast.edges]
        return tuple(self.cast.ends(order[n])[1] for n in edges)


def _place(layer: int, k: int) -> str:
    return f"layer {layer}, neuron {k}"


def _layers(column: Column) -> str:
    plural = f"s {column.layer} to {column.until}" if column.count > 1 else ""
    return f"layer{plural or f' {column.layer}'}"


def _rest(column: Column) -> str:
    first, last = column.shown, column.shown + column.hidden - 1
    plural = f"s {first} to {last}" if last > first else f" {first}"
    return f"layer {column.layer}, neuron{plural}"


def _alike(column: Column, letter: str = "a") -> Line:
    first, last = (vector_name(letter, n) for n in (column.layer, column.until))
    if letter == "δ":
        first, last = last, first
    times = f"{column.count} layer{'s' if column.count > 1 else ''} like this"
    return [f"{first} … {last}:", times]


def _ends(parts: list[str]) -> list[str]:
    """The parts, or of too many the first and the last ones."""
    if len(parts) <= MOST_TERMS:
        return parts
    return [*parts[: MOST_TERMS - 2], "…", parts[-1]]


def _few(lines: list[Line], most: int) -> list[Line]:
    hidden = len(lines) - most + 1
    return lines if hidden <= 1 else [*lines[:-hidden], [f"… and {hidden} more"]]


def _six(x: float) -> str:
    return number(x, DIGITS)


def _in_product(x: float) -> str:
    return f"({_six(x)})" if _six(x).startswith("-") else _six(x)


def _sum(
    terms: Sequence[tuple[float, float]], found: float, rest: float | None = None
) -> Line:
    """A sum of products in numbers; ≈ where the digits shown do not give the result."""
    written = [f"{_in_product(a)}·{_in_product(b)}" for a, b in terms]
    written = _ends(written) + ([] if rest is None else [_in_product(rest)])
    rough = sum(float(_six(a)) * float(_six(b)) for a, b in terms)
    rough += float(_six(rest or 0.0))
    sign = "=" if _six(rough) == _six(found) else "≈"
    return [f"= {' + '.join(written)}", f"{sign} {_six(found)}"]
