"""Steps of a sweep over Values: its arithmetic in words and numbers, one by one.

home    the neuron whose parameters a Value is computed from, as in `draw`
bars    the adjoints so far: a dict, so that no `grad` of the user's is touched
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from ...primitives import clean
from ...value import Value, require_current, topological
from ..draw.cards import all_values, detailed, home_name, neurons_of
from ..latex import PLAIN, Names, formula, known, made_by, partial_formulas, row_formula
from ..names import variable_names

LIMIT: Final = 300  # Values: more steps than a person will watch
MOST_LINES: Final = 8  # of one step
MOST_TERMS: Final = 6  # of a dot product that is written out
WIDTH: Final = 30  # of a name, in characters

Line = list[str]  # what is equal, part by part: ["u = sin(v)", "= sin(2.25)", "= 0.77"]


@dataclass(frozen=True)
class Step:
    """One step: what it says, what it lights, what it changes.

    Cards and arrows are numbers of the picture's; `values` are the cards whose numbers
    appear, `fed` the cards that give to this one or receive from it.
    """

    head: str
    lines: list[Line]
    card: int | None = None
    fed: tuple[int, ...] = ()
    arrows: tuple[int, ...] = ()
    values: tuple[int, ...] = ()
    adjoints: tuple[tuple[int, float], ...] = ()
    back: bool = False


def capped(lines: list[Line]) -> list[Line]:
    if len(lines) <= MOST_LINES:
        return lines
    shown = MOST_LINES - 1
    return [*lines[:shown], [f"… and {len(lines) - shown} more"]]


def require_playable(y: Value) -> None:
    """Raise if the graph is too large, walking no further than it takes to know."""
    seen, todo, operands = {y}, [y], 0
    while todo and len(seen) <= LIMIT and operands <= 4 * LIMIT:
        args = todo.pop().args
        operands += len(args)
        new = {arg for arg in args if isinstance(arg, Value)} - seen
        seen |= new
        todo += new
    if len(seen) > LIMIT or operands > 4 * LIMIT:
        raise ValueError(
            f"player: y must depend on at most {LIMIT} Values (as {4 * LIMIT} "
            "operands), but depends on more; play a smaller part, such as one neuron "
            "or one data point, a network by player(model, x, y), or read explain(y)"
        )


class Sweep:
    """The forward and the backward sweep of one graph, taken down step by step."""

    def __init__(self, y: Value) -> None:
        self.y = y
        self.order = topological(y, whole=True)
        for node in self.order:
            require_current(node, "player")
        values = all_values([y])
        self.index = {value: i for i, value in enumerate(values)}
        self.leaves = [value for value in values if not value.args]
        self.home = neurons_of(values)
        self.names = variable_names(y, self.order, self.leaves)
        self.picture = detailed(values, self.home)
        self.into: dict[int, list[int]] = {}  # the arrows into each card
        for k, arrow in enumerate(self.picture.arrows):
            self.into.setdefault(arrow.head, []).append(k)
        self.bars: dict[Value, float] = {}
        self.steps = [*self._forward(), *self._backward(), self._result()]
        self._finish_picture(values)

    @property
    def title(self) -> str:
        name = clean(self.names[self.y], WIDTH)
        if 1 < len(self.order) <= 6:  # written out, operands repeat
            leaves = {leaf: clean(self.names[leaf], WIDTH) for leaf in self.leaves}
            name = clean(f"{name} = {formula(self.y, leaves)}", 80)
        return f"{name}, forward and backward"

    def _finish_picture(self, values: list[Value]) -> None:
        """Give cards and arrows this sweep's adjoints, and cards the names of steps."""
        for i, value in enumerate(values):
            card, bar = self.picture.cards[i], self.bars.get(value)
            name = card.head if card.kind == "param" else self.names[value]
            tip = f"{clean(self.names[value], 80)} = {value.data!r}"
            grads = [] if bar is None else [bar]
            self.picture.cards[i] = replace(card, head=name, grads=grads, tooltip=tip)
        for k, arrow in enumerate(self.picture.arrows):
            bar = self.bars.get(values[arrow.head])
            flow = None if arrow.factor is None or bar is None else arrow.factor * bar
            self.picture.arrows[k] = replace(arrow, flow=flow)

    # ---- steps -----------------------------------------------------------------------

    def _forward(self) -> Iterator[Step]:
        lines = [
            [f"{clean(self.names[leaf], WIDTH)} = {PLAIN.number(leaf.data)}"]
            for leaf in self.leaves
        ]
        inputs = tuple(self.index[leaf] for leaf in self.leaves)
        head = "Start: the inputs hold their numbers"
        yield Step(head, capped(lines), fed=inputs, values=inputs)
        for number, node in enumerate(self.order, start=1):
            card = self.index[node]
            arrows = self.into[card]
            yield Step(
                f"Forward {number} of {len(self.order)}{self._place(node)}",
                capped([self._arithmetic(node), *self._local_derivatives(node)]),
                card=card,
                fed=self._tails(arrows),
                arrows=tuple(arrows),
                values=(card,),
            )

    def _backward(self) -> Iterator[Step]:
        card, name = self.index[self.y], clean(self.names[self.y], WIDTH)
        self.bars[self.y] = 1.0
        yield Step(
            "Backward begins at the result",
            [[f"{name}'s adjoint = d{name}/d{name}", "= 1"]],
            card=card,
            adjoints=((card, 1.0),),
        )
        nodes = topological(self.y)[::-1]
        uses = self._uses(nodes)
        seen = dict.fromkeys(uses, 0)
        for node in nodes:
            self.bars.setdefault(node, 0.0)
        for number, node in enumerate(nodes, start=1):
            card = self.index[node]
            arrows = self.into[card]
            lines = [self._pass_on(node, k, uses, seen) for k in arrows]
            taken = [k for k in arrows if not self.picture.arrows[k].left_out]
            fed = self._tails(taken)
            yield Step(
                f"Backward {number} of {len(nodes)}{self._place(node)}",
                capped(lines),
                card=card,
                fed=fed,
                arrows=tuple(taken),
                adjoints=tuple((i, self.bars[self._values[i]]) for i in fed),
                back=True,
            )

    def _result(self) -> Step:
        lines = [self._derivative(leaf) for leaf in self.leaves]
        return Step(
            "Done: the adjoints of the inputs are the derivatives",
            capped(lines),
            fed=tuple(self.index[leaf] for leaf in self.leaves),
        )

    # ---- words -----------------------------------------------------------------------

    def _place(self, node: Value) -> str:
        home = self.home.get(node)
        return f", in {clean(home_name(home), 60)}" if home else ""

    def _near(self, node: Value) -> dict[Value, str]:
        """Names of a result and its operands: short ones where no two are the same."""
        used = [node, *(arg for arg in node.args if isinstance(arg, Value))]
        prefix = f"{self.home.get(node, '')}."
        near = {x: clean(self.names[x].removeprefix(prefix), WIDTH) for x in used}
        if len({*near.values()}) == len(near):
            return near
        return {x: clean(self.names[x], WIDTH) for x in used}

    def _arithmetic(self, node: Value) -> Line:
        """u = sin(v), = sin(2.25), = 0.7780732."""
        names = self._near(node)
        parts = [_row_text(node, names), _row_numbers(node), PLAIN.number(node.data)]
        distinct = list(dict.fromkeys(parts))
        return [f"{names[node]} = {distinct[0]}", *(f"= {x}" for x in distinct[1:])]

    def _local_derivatives(self, node: Value) -> Iterator[Line]:
        names = self._near(node)
        written = zip(node.args, partial_formulas(node, names))
        symbols = [text for arg, text in written if isinstance(arg, Value)]
        for k, text in zip(self.into[self.index[node]], symbols):
            arrow = self.picture.arrows[k]
            arg = self._values[arrow.tail]
            if arrow.factor is None:
                yield [f"{names[arg]} is left out by {made_by(node)}"]
            else:
                parts = dict.fromkeys([text, PLAIN.number(arrow.factor)])
                ratio = self._factor_name(k, names)
                yield [f"local derivative {ratio}", *(f"= {part}" for part in parts)]

    def _factor_name(self, k: int, names: Names) -> str:
        """du/dv; and through which operand, if v is several of them, as in v·v."""
        arrow = self.picture.arrows[k]
        node, arg = self._values[arrow.head], self._values[arrow.tail]
        ratio = _ratio(node, arg, names)
        if sum(x is arg for x in node.args) == 1:
            return ratio
        places = [i for i, x in enumerate(node.args, start=1) if isinstance(x, Value)]
        return f"{ratio} by operand {places[self.into[arrow.head].index(k)]}"

    def _pass_on(
        self, node: Value, k: int, uses: dict[Value, int], seen: dict[Value, int]
    ) -> Line:
        """Add what flows back along one arrow to its operand's adjoint, and say so."""
        arrow, names, bar = self.picture.arrows[k], self._near(node), self.bars[node]
        arg = self._values[arrow.tail]
        if arrow.factor is None:
            return [f"{names[arg]} is left out:", "nothing flows back to it"]
        flow = arrow.factor * bar
        total = self.bars[arg] = self.bars.get(arg, 0.0) + flow
        seen[arg] += 1
        line = [
            f"{names[arg]}'s adjoint += {self._factor_name(k, names)} · "
            f"(adjoint of {names[node]})",
            f"= {_signed(arrow.factor)} · {_signed(bar)}",
            f"= {PLAIN.number(flow)}",
        ]
        if uses[arg] > 1:
            done = "in all" if seen[arg] == uses[arg] else "so far"
            of = f"{seen[arg]} of {uses[arg]}"
            line.append(f"({of}; {done} {PLAIN.number(total)})")
        return line

    def _derivative(self, leaf: Value) -> Line:
        """dy/dx, with the product of local derivatives where the graph is one chain."""
        names = {x: clean(self.names[x], WIDTH) for x in self.index}
        d = "d" if len(self.leaves) == 1 else "∂"
        left = f"{d}{names[self.y]}/{d}{names[leaf]}"
        if leaf not in self.bars:
            return [left, "= 0: every way back was left out"]
        arrows = self.picture.arrows[::-1]
        parts = [PLAIN.number(self.bars[leaf])]
        if len(arrows) == len(self.index) - 1 == len(self.order) and len(arrows) > 1:
            ends = [(self._values[a.head], self._values[a.tail]) for a in arrows]
            factors = [_signed(a.factor) for a in arrows if a.factor is not None]
            if len(factors) == len(arrows) <= MOST_LINES:
                symbols = " · ".join(_ratio(z, x, names) for z, x in ends)
                parts = [symbols, " · ".join(factors), *parts]
        return [left, *(f"= {part}" for part in parts)]

    # ---- parts -----------------------------------------------------------------------

    @cached_property
    def _values(self) -> list[Value]:
        return list(self.index)

    def _tails(self, arrows: list[int]) -> tuple[int, ...]:
        return tuple(dict.fromkeys(self.picture.arrows[k].tail for k in arrows))

    def _uses(self, nodes: list[Value]) -> dict[Value, int]:
        """How many arrows of the sweep flow back to each Value."""
        uses: dict[Value, int] = {}
        for node in nodes:
            for parent in node.parents:
                uses[parent] = uses.get(parent, 0) + 1
        return uses


def _signed(x: float) -> str:
    """A number that may stand inside a product."""
    text = PLAIN.number(x)
    return f"({text})" if text.startswith("-") else text


def _ratio(z: Value, x: Value, names: Names) -> str:
    d = "d" if len({*z.parents}) == 1 else "∂"
    return f"{d}{names[z]}/{d}{names[x]}"


def _row_text(node: Value, names: Names) -> str:
    """The formula of one operation; a short dot product is written out."""
    if known(node) == "dot" and len(node.args) <= 2 * MOST_TERMS:
        half = len(node.args) // 2
        written = [names[x] if isinstance(x, Value) else _signed(x) for x in node.args]
        return " + ".join(map("·".join, zip(written[:half], written[half:])))
    return row_formula(node, names)


def _row_numbers(node: Value) -> str:
    """The same with numbers in place of names.

    Each operand gets a sign of its own first: equal numbers must not become a square.
    """
    operands = [arg for arg in node.args if isinstance(arg, Value)]
    signs = {x: chr(0xE000 + i) for i, x in enumerate(dict.fromkeys(operands))}
    text = _row_text(node, signs)
    text = text.translate({ord(sign): _signed(x.data) for x, sign in signs.items()})
    return re.sub(
        r"([(,|] ?)\((-[^(),]*)\)(?=[,)|])", r"\1\2", text
    )  # f((-2)) is f(-2)
