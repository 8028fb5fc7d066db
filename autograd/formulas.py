"""Values and rules as straight lines: what they do with numbers, found by symbols.

A row's value is a formula of rows and operators, and so is each of its rules. Given
symbols in place of numbers, they write down every row that they apply. C, LLVM, NumPy
and generated Python print such lines, so that nothing is said twice; each knows the few
rows that are made of nothing else, the ones with a `native` name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from . import primitives as p
from .primitives import Primitive, number

Operand = int | float  # a slot, or a constant
Step = tuple[Primitive, tuple[Operand, ...]]


class Line:
    """Rows on slots and constants, one after the other, each once on the same operands.

    The inputs have the first slots, and each step the slot after that of the last one.

    >>> line = Line(1)
    >>> z = p.silu(*line.symbols())
    >>> [(row.name, args) for row, args in line.code][:3]
    [('equal', (0, -inf)), ('abs', (0,)), ('neg', (2,))]

    is_whole   which rows to leave as they are: the others are taken apart, those with a
               native name never
    """

    def __init__(
        self, inputs: int, is_whole: Callable[[Primitive], bool] = lambda row: False
    ) -> None:
        self.inputs = inputs
        self.code: list[Step] = []
        self._is_whole = is_whole
        self._slots: dict[tuple[object, ...], int] = {}

    def symbols(self) -> list[Symbol]:
        """The inputs."""
        return [Symbol(self, slot) for slot in range(self.inputs)]

    def apply(self, row: Primitive, args: Iterable[Any]) -> Any:
        """The symbol of a row on symbols and numbers; what its formula may raise."""
        if row.native is None and not self._is_whole(row):
            return row.formula(*args)
        operands = tuple([self.operand(x, row.name) for x in args])
        key = row, *[x if type(x) is int else repr(x) for x in operands]
        if key not in self._slots:
            self._slots[key] = self.inputs + len(self.code)
            self.code.append((row, operands))
        return Symbol(self, self._slots[key])

    def operand(self, x: Any, operation: str) -> Operand:
        """The slot of a symbol, or a number as it is."""
        if type(x) is Symbol and x.line is self:
            return x.slot
        return number(x, operation)


class Symbol:
    """A number that is known only when the line runs."""

    __slots__ = ("line", "slot")

    def __init__(self, line: Line, slot: int) -> None:
        self.line, self.slot = line, slot

    def _apply(self, row: Primitive, args: Sequence[Any]) -> Any:
        return self.line.apply(row, args)

    def __bool__(self) -> bool:
        raise TypeError(
            "formula: it must select, but branches on a number that is not known yet; "
            "write where(condition, x, y)"
        )


OPERATORS: Final = {
    "add": p.add, "sub": p.sub, "mul": p.mul, "truediv": p.div, "pow": p.pow,
    "mod": p.mod, "lt": p.less, "le": p.less_equal, "gt": p.greater,
    "ge": p.greater_equal, "eq": p.equal, "ne": p.not_equal,
}  # fmt: skip

for _name, _row in OPERATORS.items():
    setattr(Symbol, f"__{_name}__", lambda x, y, row=_row: x._apply(row, (x, y)))
    setattr(Symbol, f"__r{_name}__", lambda y, x, row=_row: y._apply(row, (x, y)))
for _name, _row in {"neg": p.neg, "pos": p.identity, "abs": p.abs}.items():
    setattr(Symbol, f"__{_name}__", lambda x, row=_row: x._apply(row, (x,)))
del _name, _row
