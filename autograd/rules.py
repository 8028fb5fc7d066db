"""A rule written down while it runs: the rows that it applies, one after the other.

The engine in C runs such lines on Values as it runs rows on numbers, where Python would
have to be called for every node of a sweep that records. A line holds for all numbers
that decide the rule's branches as these did; others get a line of their own.

    place   of an operand: 0 is the result z, 1 … the operands, then that of each step
    step    a row, and its operands: places, or constants
    guard   how many steps come before it, a place, and whether it is true
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from . import primitives as p
from .primitives import Primitive, number

Operand = int | float
Step = tuple[Primitive, tuple[Operand, ...]]
Guard = tuple[int, int, bool]
MOST: Final = 60  # places


class Line:
    """What a rule does with these numbers.

    >>> line = Line([9.0, 3.0])
    >>> line.run(p.pow.rules[0], 2.0), line.steps[0]
    (7, (<primitive _pow_less_one>, (1, 2.0)))

    kinds   what stands at the first places: for numbers of no matter what kind, `Known`
    """

    def __init__(self, numbers: Sequence[float], kinds: Sequence[Kind] = ()) -> None:
        self.numbers, self.kinds = [*numbers], kinds or [Known] * len(numbers)
        self.steps: list[Step] = []
        self.guards: list[Guard] = []

    def run(self, rule: Any, *constants: float) -> Operand:
        """The place of what the rule gives, or a constant."""
        known = [kind(self, place) for place, kind in enumerate(self.kinds)]
        return self._operand(rule(*known, *constants))

    def apply(self, row: Primitive, args: Sequence[Any]) -> Symbol:
        """One more step."""
        operands = tuple(map(self._operand, args))
        if len(self.numbers) == MOST:
            raise ValueError("rule: it must be short, but goes on; leave it to Python")
        xs = [self.numbers[x] if type(x) is int else x for x in operands]
        self.numbers.append(row.value(*xs))
        self.steps.append((row, operands))
        kinds = {*map(type, args)}
        kind = Unknown if Unknown in kinds else Known if Known in kinds else Plain
        return kind(self, len(self.numbers) - 1)

    def decide(self, place: int) -> bool:
        """The truth of a number, this time."""
        holds = self.numbers[place] != 0.0
        self.guards.append((len(self.steps), place, holds))
        return holds

    def _operand(self, x: Any) -> Operand:
        return x.place if isinstance(x, Symbol) else number(x, "rule")


class Symbol:
    """An operand or a result in a rule that is being written down."""

    __slots__ = ("line", "place")

    def __init__(self, line: Line, place: int) -> None:
        self.line, self.place = line, place

    def _apply(self, row: Primitive, args: Sequence[Any]) -> Symbol:
        return self.line.apply(row, args)

    def _compare(self, row: Primitive, x: Any, y: Any) -> Any:
        """A truth, which is a float if no trace asks."""
        found = self.line.apply(row, (x, y))
        return found if type(found) is Unknown else Plain(found.line, found.place)

    def __pos__(self) -> Symbol:
        return self


class Known(Symbol):
    """A number that is the same as long as guards hold."""

    __slots__ = ()
    known = True  # which side of a branch is to be taken

    def __bool__(self) -> bool:
        return self.line.decide(self.place)


class Plain(Symbol):
    """Likewise, of a float, which leaves comparisons with a Value to that."""

    __slots__ = ()
    known = True

    __bool__ = Known.__bool__

    def _compare(self, row: Primitive, x: Any, y: Any) -> Any:
        if Unknown in (type(x), type(y)):
            return NotImplemented
        return super()._compare(row, x, y)


class Unknown(Symbol):
    """A number that a trace writes down: no rule may branch on it."""

    __slots__ = ()

    def __bool__(self) -> bool:
        raise ValueError("rule: it must select, but branches on what is traced")


Kind = type[Symbol]
OF_LIVE: Final = (Plain, Known, Unknown)  # as C numbers them


for _name, _row in {
    "add": p.add, "sub": p.sub, "mul": p.mul, "truediv": p.div, "pow": p.pow,
    "mod": p.mod,
}.items():  # fmt: skip
    setattr(Symbol, f"__{_name}__", lambda x, y, row=_row: x._apply(row, (x, y)))
    setattr(Symbol, f"__r{_name}__", lambda y, x, row=_row: y._apply(row, (x, y)))
for _name, _row in {
    "lt": p.less, "le": p.less_equal, "gt": p.greater, "ge": p.greater_equal,
    "eq": p.equal, "ne": p.not_equal,
}.items():  # fmt: skip
    setattr(Symbol, f"__{_name}__", lambda x, y, row=_row: x._compare(row, x, y))
for _name, _row in {"neg": p.neg, "abs": p.abs}.items():
    setattr(Symbol, f"__{_name}__", lambda x, row=_row: x._apply(row, (x,)))
del _name, _row


def written(rule: Any, numbers: Sequence[float], kinds: Sequence[int] = ()) -> Any:
    """(steps, guards, result) of a rule; None if it is no line of rows.

    A trace says of what kind its operands are: floats, Values that it has not written
    down, or others, by their places in `OF_LIVE`.

    >>> written(p.sin.rules[0], [0.0, 1.0])
    ([(<primitive cos>, (1,))], [], 2)
    """
    line = Line(numbers, [OF_LIVE[kind] for kind in kinds])
    try:
        result = line.run(rule)
    except Exception:  # it needs to know more, or is a function of floats
        return None
    return line.steps, line.guards, result
