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
    """

    def __init__(self, numbers: Sequence[float]) -> None:
        self.numbers = [*numbers]
        self.steps: list[Step] = []
        self.guards: list[Guard] = []

    def run(self, rule: Any, *constants: float) -> Operand:
        """The place of what the rule gives, or a constant."""
        known = [Known(self, place) for place in range(len(self.numbers))]
        return self._operand(rule(*known, *constants))

    def apply(self, row: Primitive, args: Sequence[Any]) -> Known:
        """One more step."""
        operands = tuple(map(self._operand, args))
        if len(self.numbers) == MOST:
            raise ValueError("rule: it must be short, but goes on; leave it to Python")
        xs = [self.numbers[x] if type(x) is int else x for x in operands]
        self.numbers.append(row.value(*xs))
        self.steps.append((row, operands))
        return Known(self, len(self.numbers) - 1)

    def decide(self, place: int) -> bool:
        """The truth of a number, this time."""
        holds = self.numbers[place] != 0.0
        self.guards.append((len(self.steps), place, holds))
        return holds

    def _operand(self, x: Any) -> Operand:
        return x.place if type(x) is Known else number(x, "rule")


class Known:
    """An operand or a result in a rule that is being written down."""

    __slots__ = ("line", "place")
    known = True  # which side of a branch is to be taken

    def __init__(self, line: Line, place: int) -> None:
        self.line, self.place = line, place

    def _apply(self, row: Primitive, args: Sequence[Any]) -> Known:
        return self.line.apply(row, args)

    def __bool__(self) -> bool:
        return self.line.decide(self.place)

    def __pos__(self) -> Known:
        return self


for _name, _row in {
    "add": p.add, "sub": p.sub, "mul": p.mul, "truediv": p.div, "pow": p.pow,
    "mod": p.mod, "lt": p.less, "le": p.less_equal, "gt": p.greater,
    "ge": p.greater_equal, "eq": p.equal, "ne": p.not_equal,
}.items():  # fmt: skip
    setattr(Known, f"__{_name}__", lambda x, y, row=_row: x._apply(row, (x, y)))
    setattr(Known, f"__r{_name}__", lambda y, x, row=_row: y._apply(row, (x, y)))
for _name, _row in {"neg": p.neg, "abs": p.abs}.items():
    setattr(Known, f"__{_name}__", lambda x, row=_row: x._apply(row, (x,)))
del _name, _row


def written(rule: Any, numbers: Sequence[float]) -> Any:
    """(steps, guards, result) of a rule; None if it is no line of rows.

    >>> written(p.sin.rules[0], [0.0, 1.0])
    ([(<primitive cos>, (1,))], [], 2)
    """
    line = Line(numbers)
    try:
        result = line.run(rule)
    except Exception:  # it needs to know more, or is a function of floats
        return None
    return line.steps, line.guards, result
