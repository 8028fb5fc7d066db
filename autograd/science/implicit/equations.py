"""An equation f(x, …) = 0 as the row of its solution: the implicit function theorem.

At a solution, what f recorded is written down once: rows on slots, whose inputs are the
unknowns and every Value that f met from outside, a parameter or closed over. So

    dx = -(∂f/∂x)⁻¹ · (∂f/∂p) · dp

is computed of ordinary rows, on floats or on Values, and can be differentiated in turn.
How x was found has no say in it.

The row takes the solution as its first operands, and gives them back: a compiled path
finds it anew at each call, and this row adds the derivatives, at no price.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import nan
from typing import Any
from weakref import WeakValueDictionary

from ...primitives import Primitive, div
from ...transforms import vjp
from ...value import Value, topological
from ...vector import Call, Component
from ...watch import tracing
from .choices import Matrix, inverted, plain
from .solvers import NEWTON, newton

Slot = int | float  # a place, or a constant
Step = tuple[Primitive | None, tuple[Slot, ...]]  # no row: a place of a call's results


class Equation:
    """What f gives, of its unknowns and the operands from outside, as rows on slots."""

    def __init__(self, code: list[Step], outputs: list[Slot]) -> None:
        self.code, self.outputs = code, outputs

    def __call__(self, unknowns: Sequence[Any], operands: Sequence[Any]) -> list[Any]:
        slots: list[Any] = [*unknowns, *operands]
        for row, places in self.code:
            if row is None:
                call, place = map(int, places)
                slots.append(slots[call][place])
                continue
            args = [slots[x] if type(x) is int else x for x in places]
            slots.append(row.apply(args) if row.call else row(*args))  # type: ignore[attr-defined]
        return [slots[y] if type(y) is int else y for y in self.outputs]


def written(
    unknowns: Sequence[Value], ys: Sequence[Any], since: int
) -> tuple[Equation, list[Value]]:
    """The equation that f has recorded since then, and the operands from outside."""
    roots = [y for y in ys if type(y) is Value]
    nodes = topological(*roots, since=since, whole=True, calls=True)
    slots: dict[Any, Slot] = {x: i for i, x in enumerate(unknowns)}
    outside = [x for x in _operands(nodes, roots, unknowns) if _is_outside(x, since)]
    for x in dict.fromkeys(outside):
        slots[x] = len(slots)
    first, code = len(slots), list[Step]()
    for i, node in enumerate(nodes, start=first):
        code.append(_step(node, slots))
        slots[node] = i
    return Equation(code, [_slot(y, slots) for y in ys]), [*dict.fromkeys(outside)]


def _operands(
    nodes: Sequence[Value], roots: Sequence[Value], unknowns: Sequence[Value]
) -> list[Value]:
    """The Values that nodes are made of and that are no unknowns."""
    own = set(unknowns)
    args = [x for node in nodes if node._call is None for x in node._args]
    return [x for x in (*args, *roots) if type(x) is Value and x not in own]


def _is_outside(x: Value, since: int) -> bool:
    """Whether it is from before f ran, or stands for a number that a trace follows."""
    if x._made < since:
        return True
    trace = tracing()
    return x._row is None and trace is not None and bool(trace.follows(x))


def _step(node: Value, slots: dict[Any, Slot]) -> Step:
    if node._call is not None:
        return None, (slots[node._call], node._place)
    return node._row, tuple([_slot(x, slots) for x in node._args])


def _slot(x: Any, slots: dict[Any, Slot]) -> Slot:
    if type(x) is not Value:
        return float(x)
    return slots.get(x, x._data)  # or a constant, made by f


class Implicit(Call):
    """The solution of an equation, of the numbers that it has and its operands."""

    def __init__(self, name: str, equation: Equation, unknowns: int) -> None:
        super().__init__(name)
        self.equation, self.unknowns = equation, unknowns
        self._known: WeakValueDictionary[int, Unknown] = WeakValueDictionary()

    def __reduce__(self) -> Any:
        return Implicit, (self.name, self.equation, self.unknowns)

    def component(self, place: int) -> Component:
        """The row of that unknown, the same as long as a node has it."""
        known = self._known.get(place)
        if known is None:
            known = self._known[place] = Unknown(self, place)
        return known

    def formula_of(self, place: int) -> Callable[..., Any]:
        return lambda *xs: xs[place]

    def at(self, xs: Sequence[float]) -> tuple[float, ...]:
        return tuple(xs[: self.unknowns])

    def pull(self, ys: Sequence[Any], xs: Sequence[Any], y_bars: Sequence[Any]) -> Any:
        n = self.unknowns
        by_unknowns, by_operands = self.slopes(ys, xs[n:])
        if n == 1:
            (row,), ((slope,),) = by_operands, by_unknowns
            bars = [
                None if y is None else y * -div(c, slope) for y in y_bars for c in row
            ]
            return [None, *bars]
        inverse = inverted(by_unknowns)
        weights = [_combined(y_bars, column) for column in zip(*inverse)]
        bars = [_combined(weights, column) for column in zip(*by_operands)]
        return [None] * n + [None if bar is None else -bar for bar in bars]

    def push(self, ys: Sequence[Any], xs: Sequence[Any], x_dots: Sequence[Any]) -> Any:
        n = self.unknowns
        by_unknowns, by_operands = self.slopes(ys, xs[n:])
        dots = x_dots[n:]
        if n == 1:
            (row,), ((slope,),) = by_operands, by_unknowns
            return [_combined(dots, [-div(c, slope) for c in row])]
        rates = [_combined(dots, row) for row in by_operands]
        found = [_combined(rates, row) for row in inverted(by_unknowns)]
        return [None if dot is None else -dot for dot in found]

    def slopes(
        self, unknowns: Sequence[Any], operands: Sequence[Any]
    ) -> tuple[Matrix, Matrix]:
        """∂f/∂x and ∂f/∂p, a row for each equation."""
        return self.looked_at(unknowns, operands)[1:]

    def looked_at(
        self, unknowns: Sequence[Any], operands: Sequence[Any]
    ) -> tuple[list[Any], Matrix, Matrix]:
        """f, ∂f/∂x and ∂f/∂p."""
        ys, pullback = vjp(self.equation, [*unknowns], [*operands])
        units = [[float(i == j) for j in range(len(ys))] for i in range(len(ys))]
        rows = [pullback(unit) for unit in units]
        halves = [[[*map(_settled, half)] for half in row] for row in rows]
        return ys, [half for half, _ in halves], [half for _, half in halves]

    def near(self, xs: Sequence[float]) -> list[float]:
        """The solution for operands that may have moved, near that which there was."""
        start, operands = [*xs[: self.unknowns]], xs[self.unknowns :]
        stand = newton(lambda xs: self.looked_at(xs, operands)[:2], start, NEWTON[:2])
        return stand.xs if stand.done else [nan for _ in start]


class Unknown(Component):
    """The row of one unknown, with the plain name where it is the only one.

    Nothing leads from the call back to it, so that both go when their nodes do.
    """

    _call: Implicit

    def __init__(self, call: Implicit, place: int) -> None:
        name = call.name if call.unknowns == 1 else f"{call.name}[{place}]"
        Primitive.__init__(self, name, call.formula_of(place), _no_rule)
        self.variadic, self.arity = True, 0
        self._call, self._place = call, place

    def moved(self, *xs: float) -> float:
        """The solution where operands are others than it was found for."""
        return self._call.near(xs)[self._place]

    def derivatives(
        self, z: Any, *args: Any, wanted: Sequence[bool] | None = None
    ) -> tuple[Any, ...]:
        """The partials; None for the numbers that the solution is."""
        if self._call.unknowns > 1:  # the others have a say, too
            return super().derivatives(z, *args, wanted=wanted)
        return tuple(self._call.pull([z], args, [1.0]))

    def in_rows(self, z: Any, *args: Any) -> list[Any]:
        """The same by ordinary operations."""
        return [*self.derivatives(z, *args)]


def _no_rule(z: Any, *xs: Any) -> Any:
    raise TypeError("an unknown has no partials without its call")


def _settled(x: Any) -> Any:
    """A plain number where a slope is a constant."""
    return plain(x) if type(x) is Value and x._row is None else x


def _combined(weights: Sequence[Any], column: Sequence[Any]) -> Any:
    """Σ wᵢ·cᵢ of those that there are; None without any."""
    total = None
    for weight, c in zip(weights, column):
        if weight is not None:
            total = weight * c if total is None else total + weight * c
    return total
