"""Values and rules as straight lines: what they do with numbers, found by symbols.

A row's value is a formula of rows and operators, and so is each of its rules. Given
symbols in place of numbers, they write down every row that they apply. C, LLVM, NumPy
and generated Python print such lines, so that nothing is said twice; each knows the few
rows that are made of nothing else, the ones with a `native` name.
"""

from __future__ import annotations

import builtins
import dis
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from itertools import accumulate, chain
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
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
    [('abs', (0,)), ('mul', (-0.5, 1)), ('exp', (2,))]

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
        self._results: dict[tuple[object, ...], Any] = {}  # of rows taken apart
        self._formulas: dict[tuple[Primitive, int], bool | None] = {}

    def symbols(self) -> list[Symbol]:
        """The inputs."""
        return [Symbol(self, slot) for slot in range(self.inputs)]

    def apply(self, row: Primitive, args: Sequence[Any]) -> Any:
        """The symbol of a row on symbols and numbers, or a number that it always is."""
        whole = row.native is not None or self._is_whole(row)
        if whole or not self._is_formula(row, len(args)):
            return self.write(row, args)
        operands = [x if type(x) is Symbol else number(x, row.name) for x in args]
        key = _key(row, map(self.operand, operands))
        if key not in self._results:
            z: Any = row.formula(*operands)
            self._results[key] = z if type(z) is Symbol else number(z, row.name)
        return self._results[key]

    def write(self, row: Primitive, args: Iterable[Any]) -> Symbol:
        """The symbol of a row that is not taken apart."""
        operands = tuple([self.operand(x, row.name) for x in args])
        if row is p.abs:
            operands = self._without_sign(operands[0])
        key = _key(row, operands)
        if key not in self._slots:
            self._slots[key] = self.inputs + len(self.code)
            self.code.append((row, operands))
        return Symbol(self, self._slots[key])

    def _without_sign(self, x: Operand) -> tuple[Operand, ...]:
        """The operand of abs: |-x| is |x|."""
        place = x - self.inputs if type(x) is int else -1
        row, args = self.code[place] if place >= 0 else (p.abs, (x,))
        return args if row is p.neg else (x,)

    def needs(self, output: Operand) -> set[Operand]:
        """The slots that an output is made of."""
        found = {output}
        for k in reversed(range(len(self.code))):
            if self.inputs + k in found:
                found.update([x for x in self.code[k][1] if type(x) is int])
        return found

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
            self._formulas[key] = trial._takes(row)
        return bool(self._formulas[key])

    def _takes(self, row: Primitive) -> bool:
        of_table = vars(p).get(row.name) is row
        try:
            if not of_table and (row.ieee or not _only_computes(row.formula, set())):
                return False
            self.operand(row.formula(*self.symbols()))
            return of_table or _is_of_floats(self)
        except Exception:  # it branches, or is a function of floats
            return False


def _key(row: Primitive, operands: Iterable[Operand]) -> tuple[object, ...]:
    return row, *[x if type(x) is int else repr(x) for x in operands]


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


def _as_float(x: Any) -> Any:
    """What an operator takes: Python compares whole numbers before they are rounded."""
    if isinstance(x, int) and float(x) != x:
        raise TypeError(f"formula: {x} must be a float64, but is rounded")
    return x


for _name, _row in {
    "add": p.add, "sub": p.sub, "mul": p.mul, "truediv": p.div, "pow": p.pow,
    "mod": p.mod, "lt": p.less, "le": p.less_equal, "gt": p.greater,
    "ge": p.greater_equal, "eq": p.equal, "ne": p.not_equal,
}.items():  # fmt: skip
    setattr(
        Symbol, f"__{_name}__", lambda x, y, row=_row: x._apply(row, (x, _as_float(y)))
    )
    setattr(
        Symbol, f"__r{_name}__", lambda y, x, row=_row: y._apply(row, (_as_float(x), y))
    )
for _name, _row in {"neg": p.neg, "pos": p.identity, "abs": p.abs}.items():
    setattr(Symbol, f"__{_name}__", lambda x, row=_row: x._apply(row, (x,)))
del _name, _row


# ---- values of users -----------------------------------------------------------------

# A user's value can be taken apart where a line that was found once stands for all of
# its calls: if it reads nothing but numbers (which are looked at again at each call of
# a compiled function), rows and operators, changes nothing, and does with floats what
# its rows do. What does more is called.

MOST: Final = 1000  # steps of a value
HARMLESS: Final[tuple[Any, ...]] = (
    abs, accumulate, enumerate, len, list, map, pow, range, reduce, reversed, tuple,
    zip, *([sum] if sys.version_info < (3, 12) else []),  # which rounds once since
)  # fmt: skip
MODULES: Final = frozenset({
    "functools", "itertools", "math", "operator", __package__, Primitive.__module__,
})  # fmt: skip
# what changes things, or asks what kind of thing an operand is
REFUSED: Final = re.compile(
    "STORE_(GLOBAL|NAME|ATTR)|DELETE_|IMPORT_|FORMAT|CONVERT|BUILD_STRING|IS_OP|"
    "CONTAINS_OP|LOAD_BUILD_CLASS|MATCH_|PUSH_EXC_INFO"
)


def _only_computes(f: Any, seen: set[Any]) -> bool:
    """Whether a function reads and changes nothing that may be otherwise next time."""
    if isinstance(f, BuiltinFunctionType):
        return f.__module__ == "_operator"
    if not isinstance(f, FunctionType):
        return False
    if f in seen:
        return True
    seen.add(f)
    defaults = [*(f.__defaults__ or ()), *(f.__kwdefaults__ or {}).values()]
    reads = chain(defaults, _reads(f, f.__code__))
    return all(_is_known(x) or _only_computes(x, seen) for x in reads)


def _is_known(x: Any) -> bool:
    if isinstance(x, ModuleType):
        return x.__name__ in MODULES
    known = isinstance(x, Primitive) or any(x is each for each in HARMLESS)
    return known or type(x) in (int, float, bool)


def _reads(f: FunctionType, code: CodeType) -> Iterator[Any]:
    """What some code of f has from around it; None where it does what is refused."""
    cells = dict(zip(f.__code__.co_freevars, f.__closure__ or ()))
    last: Any = None
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _reads(f, inner)
    for step in dis.get_instructions(code):
        name, before, last = step.argval, last, None
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield (last := f.__globals__.get(name, vars(builtins).get(name)))
        elif step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            last = getattr(before, name) if isinstance(before, ModuleType) else None
            yield last
        elif name in cells and step.opname.endswith("_DEREF"):
            reads = not step.opname.startswith("STORE")
            yield (last := cells[name].cell_contents if reads else None)
        elif REFUSED.match(step.opname):
            yield None


def _is_of_floats(line: Line) -> bool:
    """Whether a line is not too long, and its rows do what operators do with floats.

    Python's power may turn complex, which some rows refuse and abs does not; its truths
    are whole numbers, which have no -0.0 and do not divide as floats do.
    """
    complexes, truths = set[int](), set[int]()
    for slot, (row, args) in enumerate(line.code, start=line.inputs):
        slots = {x for x in args if type(x) is int}
        if slots & complexes:
            if row.native not in OPERATORS:
                return False
            complexes.add(slot)
        counts = slots & truths and row.native not in (*COMPARISONS, "select")
        if counts and (row.native != "fmul" or slots <= truths):
            return False
        if row.native in COMPARISONS:
            truths.add(slot)
        if row is p.pow and not (type(args[1]) is float and args[1].is_integer()):
            complexes.add(slot)
    return len(line.code) <= MOST


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
