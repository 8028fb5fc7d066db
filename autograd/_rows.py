"""Writes `_rows.h`: the rows of the table in C, printed from their formulas and rules.

`python -m autograd._rows` writes it anew; it is part of the sources, since C is built
where this package cannot be imported yet.

    x, y, w   the operands       z   the value       d   the partials
    v3, …     what is needed more than once
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from . import primitives
from .formulas import Line, Operand, Step
from .primitives import Primitive

PLACE: Final = Path(__file__).with_suffix(".h")
OPERANDS: Final = "xyw"

# how a row is written in C by its native name, if not as a call
COMPARISONS: Final = {
    "olt": "<", "ole": "<=", "ogt": ">", "oge": ">=", "oeq": "==", "une": "!=",
}  # fmt: skip
WRITTEN: Final = {
    "fadd": "({0} + {1})", "fsub": "({0} - {1})", "fmul": "({0} * {1})",
    "fdiv": "({0} / {1})", "fneg": "(-{0})", "pow": "power({0}, {1})",
}  # fmt: skip
NUMBERS: Final = {"inf": "INFINITY", "-inf": "-INFINITY", "nan": "NAN"}


def header() -> str:
    """The text of the header: a function for the value of each row that C can compute,
    one that records it, and the names of the rows by the number of their operands."""
    rows = [row for row in vars(primitives).values() if isinstance(row, Primitive)]
    kernels = {row: text for row in rows if (text := kernel(row))}
    lists = []
    for count, size in enumerate(("ONE", "TWO", "THREE"), start=1):
        names = [row.name for row in kernels if row.arity == count]
        calls = " \\\n".join(f"    ROW({name})" for name in names)
        lists.append(f"#define ROWS_OF_{size}(ROW) \\\n{calls}\n")
    opening = "/* Written by `python -m autograd._rows` from primitives.py. */\n"
    return "\n".join([opening, *kernels.values(), *lists])


def kernel(row: Primitive) -> str | None:
    """A row in C, or None if its value or a rule is made of what C has not."""
    if not 1 <= row.arity <= len(OPERANDS):
        return None
    line = Line(row.arity)
    xs = line.symbols()
    try:
        z = line.apply(row, xs)
        outputs = [z, *[rule(z, *xs) for rule in row.rules]]
        slots = [line.operand(y, row.name) for y in outputs]
    except TypeError:
        return None
    return "\n".join(_Printer(row, line.code, slots).lines())


class _Printer:
    """Prints the line of one row, the value first among its outputs."""

    def __init__(
        self, row: Primitive, code: Sequence[Step], outputs: Sequence[Operand]
    ) -> None:
        self.row, self.code, self.outputs = row, code, outputs
        self.names: dict[Operand, str] = dict(enumerate(OPERANDS[: row.arity]))

    def lines(self) -> Iterator[str]:
        name, z = self.row.name, self.outputs[0]
        yield f"static double compute_{name}(const double *args)"
        yield "{"
        yield from self._prepared([z])
        yield f"    return {self._text(z)};"
        yield "}\n"
        self.names = dict(enumerate(OPERANDS[: self.row.arity]))
        parameters = "const double *args, double *d, unsigned wanted"
        yield f"static double record_{name}({parameters})"
        yield "{"
        yield from self._prepared(self.outputs, z)
        if self.row.arity == 1:
            yield "    (void)wanted;"
            yield f"    d[0] = {self._text(self.outputs[1])};"
        else:
            for i, partial in enumerate(self.outputs[1:]):
                yield f"    d[{i}] = wanted & {1 << i}u ? {self._text(partial)} : 0.0;"
        yield f"    return {self._text(z)};"
        yield "}\n"

    def _prepared(
        self, outputs: Sequence[Operand], z: Operand | None = None
    ) -> Iterator[str]:
        """Declare the operands that are used, and z and all that is needed twice."""
        uses = self._uses(outputs, z)
        used = [f"{self.names[i]} = args[{i}]" for i in self.names if uses[int(i)]]
        if used:
            yield f"    double {', '.join(used)};"
        for k in range(self.row.arity, len(uses)):
            if self._is_named(k, uses, z):
                text = self._text(k)
                self.names[k] = "z" if k == z else f"v{k}"
                yield f"    double {self.names[k]} = {text};"

    def _is_named(self, slot: int, uses: Sequence[int], z: Operand | None) -> bool:
        row, _ = self.code[slot - self.row.arity]
        return slot == z or uses[slot] > 1 and row.native not in COMPARISONS

    def _uses(self, outputs: Sequence[Operand], z: Operand | None) -> list[int]:
        """How often each slot stands in the text, once what is shared has a name."""
        first = self.row.arity
        uses = [0] * (first + len(self.code))
        for y in outputs:
            if type(y) is int:
                uses[y] += 1
        for k in range(len(uses) - 1, first - 1, -1):
            times = min(uses[k], 1) if self._is_named(k, uses, z) else uses[k]
            for x in self.code[k - first][1]:
                if type(x) is int:
                    uses[x] += times
        return uses

    def _text(self, x: Operand) -> str:
        """An operand as an expression, in brackets unless it is a name or a call."""
        if type(x) is float:
            return NUMBERS.get(repr(x), repr(x))
        if x in self.names:
            return self.names[x]
        row, args = self.code[int(x) - self.row.arity]
        if row.native in COMPARISONS:
            return f"(double)({self._truth(x)})"
        first, *rest = args
        if row.native == "select":
            return "({} ? {} : {})".format(self._truth(first), *map(self._text, rest))
        call = f"{row.native}({', '.join(map('{{{}}}'.format, range(len(args))))})"
        return WRITTEN.get(str(row.native), call).format(*map(self._text, args))

    def _truth(self, x: Operand) -> str:
        """An operand as a condition."""
        if type(x) is int and x not in self.names:
            row, args = self.code[x - self.row.arity]
            if row.native in COMPARISONS:
                return f" {COMPARISONS[row.native]} ".join(map(self._text, args))
        return f"{self._text(x)} != 0.0"


if __name__ == "__main__":
    PLACE.write_text(header(), encoding="utf-8")
