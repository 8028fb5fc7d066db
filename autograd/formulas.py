"""Values and rules as straight lines: what they do with numbers, found by symbols.

A row's value is a formula of rows and operators, and so is each of its rules. Given
symbols in place of numbers, they write down every row that they apply. C, LLVM, NumPy
and generated Python print such lines, so that nothing is said twice; each knows the few
rows that are made of nothing else, the ones with a `native` name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

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

    is_whole   which rows to leave as they are: the others are taken apart, if they have
               no native name and their value is a formula
    """

    def __init__(
        self, inputs: int, is_whole: Callable[[Primitive], bool] = lambda row: False
    ) -> None:
        self.inputs = inputs
        self.code: list[Step] = []
        self._is_whole = is_whole
        self._slots: dict[tuple[object, ...], int] = {}
        self._formulas: dict[tuple[Primitive, int], bool | None] = {}

    def symbols(self) -> list[Symbol]:
        """The inputs."""
        return [Symbol(self, slot) for slot in range(self.inputs)]

    def apply(self, row: Primitive, args: Sequence[Any]) -> Any:
        """The symbol of a row on symbols and numbers, or a number that it always is."""
        whole = row.native is not None or self._is_whole(row)
        if whole or not self._is_formula(row, len(args)):
            return self.write(row, args)
        return row.formula(*args)

    def write(self, row: Primitive, args: Iterable[Any]) -> Symbol:
        """The symbol of a row that is not taken apart."""
        operands = tuple([self.operand(x, row.name) for x in args])
        key = row, *[x if type(x) is int else repr(x) for x in operands]
        if key not in self._slots:
            self._slots[key] = self.inputs + len(self.code)
            self.code.append((row, operands))
        return Symbol(self, self._slots[key])

    def operand(self, x: Any, operation: str = "formula") -> Operand:
        """The slot of a symbol, or a number as it is."""
        if type(x) is Symbol and x.line is self:
            return x.slot
        return number(x, operation)

    def _is_formula(self, row: Primitive, operands: int) -> bool:
        """Whether the value can be taken apart, found by doing it."""
        key = row, operands
        if self._formulas.get(key, True) is None:
            raise RecursionError(f"{row.name}: its value is made of itself")
        if key not in self._formulas:
            self._formulas[key] = None
            trial = Line(operands, self._is_whole)
            trial._formulas = self._formulas
            try:
                trial.operand(row.formula(*trial.symbols()))
                self._formulas[key] = True
            except Exception:  # it branches, or is a function of floats
                self._formulas[key] = False
        return bool(self._formulas[key])


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


for _name, _row in {
    "add": p.add, "sub": p.sub, "mul": p.mul, "truediv": p.div, "pow": p.pow,
    "mod": p.mod, "lt": p.less, "le": p.less_equal, "gt": p.greater,
    "ge": p.greater_equal, "eq": p.equal, "ne": p.not_equal,
}.items():  # fmt: skip
    setattr(Symbol, f"__{_name}__", lambda x, y, row=_row: x._apply(row, (x, y)))
    setattr(Symbol, f"__r{_name}__", lambda y, x, row=_row: y._apply(row, (x, y)))
for _name, _row in {"neg": p.neg, "pos": p.identity, "abs": p.abs}.items():
    setattr(Symbol, f"__{_name}__", lambda x, row=_row: x._apply(row, (x,)))
del _name, _row


# ---- lines as text -------------------------------------------------------------------

COMPARISONS: Final = {
    "olt": "<", "ole": "<=", "ogt": ">", "oge": ">=", "oeq": "==", "une": "!=",
}  # fmt: skip
OPERATORS: Final = {
    "fadd": "{} + {}", "fsub": "{} - {}", "fmul": "{} * {}", "fdiv": "{} / {}",
    "fneg": "-{}",
}  # fmt: skip


DEPTH: Final = 60  # of brackets in each other


class Language(NamedTuple):
    """What C and Python write in different ways."""

    truth: str  # a condition as 1.0 or 0.0
    choice: str  # a condition and what it chooses from
    number: Callable[[float], str]
    function: Callable[[Primitive], str]  # the name of a row that is called


def _deep(line: Line) -> set[int]:
    """Slots to give a name, so that no expression is too deep for a parser."""
    depths, deep = [0] * line.inputs, set()
    for _, args in line.code:
        depths.append(1 + max([depths[x] for x in args if type(x) is int], default=0))
        if depths[-1] == DEPTH:
            deep.add(len(depths) - 1)
            depths[-1] = 0
    return deep


class Printer:
    """Prints the steps of a line, each inside the one that it is for.

    What is needed more than once gets a name first: `named` says which and what it is.

    names   those of the inputs, then of whatever gets one
    """

    def __init__(self, line: Line, names: Sequence[str], language: Language) -> None:
        self.names: dict[Operand, str] = dict(enumerate(names))
        self._first, self._code, self._language = line.inputs, line.code, language
        self._deep = _deep(line)

    def named(
        self, outputs: Sequence[Operand], names: dict[Operand, str], other: str
    ) -> Iterator[tuple[str, str]]:
        """Each name and what it stands for: these of these slots, others by pattern."""
        uses = self.uses(outputs, names)
        for k in range(self._first, len(uses)):
            if self._has_name(k, uses, names):
                text = self.text(k)
                self.names[k] = names.get(k) or other.format(k)
                yield self.names[k], text

    def uses(self, outputs: Sequence[Operand], names: Iterable[Operand]) -> list[int]:
        """How often each slot stands in the text, once what is shared has a name."""
        uses = [0] * (self._first + len(self._code))
        for y in outputs:
            if type(y) is int:
                uses[y] += 1
        for k in range(len(uses) - 1, self._first - 1, -1):
            times = min(uses[k], 1) if self._has_name(k, uses, names) else uses[k]
            for x in self._code[k - self._first][1]:
                if type(x) is int:
                    uses[x] += times
        return uses

    def _has_name(self, k: int, uses: list[int], names: Iterable[Operand]) -> bool:
        row, _ = self._code[k - self._first]
        again = uses[k] > 1 and row.native not in COMPARISONS
        return k in names or k in self._deep or again

    def text(self, x: Operand) -> str:
        """An operand as an expression."""
        if type(x) is float:
            return self._language.number(x)
        if x in self.names:
            return self.names[x]
        row, args = self._code[int(x) - self._first]
        if row.native in COMPARISONS:
            return self._language.truth.format(self._truth(x))
        if row.native == "select":
            chosen = map(self._closed, args[1:])
            return self._language.choice.format(self._truth(args[0]), *chosen)
        if row.native in OPERATORS:
            return OPERATORS[row.native].format(*map(self._closed, args))
        return f"{self._language.function(row)}({', '.join(map(self.text, args))})"

    def _closed(self, x: Operand) -> str:
        """An operand as an expression that can be part of another."""
        if type(x) is float or x in self.names:
            return self.text(x)
        native = self._code[int(x) - self._first][0].native
        alone = native not in (*OPERATORS, *COMPARISONS, "select")
        return self.text(x) if alone else f"({self.text(x)})"

    def _truth(self, x: Operand) -> str:
        """An operand as a condition."""
        if type(x) is int and x not in self.names:
            row, args = self._code[x - self._first]
            if row.native in COMPARISONS:
                return f" {COMPARISONS[row.native]} ".join(map(self._closed, args))
        return f"{self._closed(x)} != 0.0"
