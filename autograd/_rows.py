"""Writes `_rows.h`: the rows of the table in C, printed from their formulas and rules.

`python -m autograd._rows` writes it anew; it is part of the sources, since C is built
where this package cannot be imported yet.

    x, y, w   the operands       z    the value       d   the partials
    v3, …     what is needed more than once
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from . import primitives
from .formulas import Language, Line, Operand, Printer
from .primitives import Primitive

PLACE: Final = Path(__file__).with_suffix(".h")
OPERANDS: Final = "xyw"
NUMBERS: Final = {"inf": "INFINITY", "-inf": "-INFINITY", "nan": "NAN"}
C: Final = Language(
    truth="(double)({})",
    choice="{} ? {} : {}",
    number=lambda x: NUMBERS.get(repr(x), repr(x)),
    function=lambda row: "power" if row is primitives.pow else str(row.native),
)


def header() -> str:
    """The text of the header: a function for the value of each row that C can compute,
    one that records it, unless ONLY_VALUES are asked for, and the names of the rows by
    the number of their operands."""
    rows = [row for row in vars(primitives).values() if isinstance(row, Primitive)]
    kernels = {row: texts for row in rows if (texts := kernel(row))}
    values, records = zip(*kernels.values())
    lists = []
    for count, size in enumerate(("ONE", "TWO", "THREE"), start=1):
        names = [row.name for row in kernels if row.arity == count]
        calls = " \\\n".join(f"    ROW({name})" for name in names)
        lists.append(f"#define ROWS_OF_{size}(ROW) \\\n{calls}\n")
    opening = "/* Written by `python -m autograd._rows` from primitives.py. */\n"
    recording = ["#ifndef ONLY_VALUES\n", *records, "#endif\n"]
    return "\n".join([opening, *values, *recording, *lists])


def kernel(row: Primitive) -> tuple[str, str] | None:
    """A row in C, value and record, or None if C has not what they are made of."""
    if not 1 <= row.arity <= len(OPERANDS):
        return None
    line = Line(row.arity)
    xs = line.symbols()
    z = line.apply(row, xs)
    outputs = [line.operand(y) for y in (z, *[rule(z, *xs) for rule in row.rules])]
    if any(row.native is None for row, _ in line.code):
        return None
    value = "\n".join(_compute(row.name, line, outputs[0]))
    return value, "\n".join(_record(row, line, outputs))


def _compute(row: str, line: Line, z: Operand) -> Iterator[str]:
    printer = Printer(line, OPERANDS[: line.inputs], C)
    yield f"static double compute_{row}(const double *args)"
    yield "{"
    yield from _operands(printer, line.inputs, [z])
    for name, text in printer.named([z], {}, "v{}"):
        yield f"    double {name} = {text};"
    yield f"    return {printer.text(z)};"
    yield "}\n"


def _record(row: Primitive, line: Line, outputs: Sequence[Operand]) -> Iterator[str]:
    printer = Printer(line, OPERANDS[: line.inputs], C)
    z, *partials = outputs
    parameters = "const double *args, double *d, unsigned wanted"
    yield f"static double record_{row.name}({parameters})"
    yield "{"
    yield from _operands(printer, line.inputs, outputs)
    named = dict(printer.named(outputs, {z: "z"}, "v{}"))
    needs = [{printer.names.get(k) for k in line.needs(y)} for y in outputs]
    own = [_own(named, needs, i) if row.arity > 1 else [] for i in range(len(needs))]
    for name in [name for name in named if all(name not in names for names in own)]:
        yield f"    double {name} = {named[name]};"
    if row.arity == 1:
        yield "    (void)wanted;"
        yield f"    d[0] = {printer.text(partials[0])};"
    else:
        for i, partial in enumerate(partials):
            declared = [f"double {name} = {named[name]};" for name in own[i + 1]]
            yield from _if_wanted(i, declared, printer.text(partial))
    yield f"    return {printer.text(z)};"
    yield "}\n"


def _own(
    named: Iterable[str], needs: Sequence[set[str | None]], i: int
) -> Sequence[str]:
    """The names that only output i needs: a partial, and not the value."""
    others = set[str | None]().union(*needs[:i], *needs[i + 1 :])
    return [name for name in named if i and name in needs[i] - others]


def _if_wanted(i: int, declared: Sequence[str], partial: str) -> Iterator[str]:
    wanted = f"wanted & {1 << i}u"
    if not declared:
        yield f"    d[{i}] = {wanted} ? {partial} : 0.0;"
        return
    yield f"    d[{i}] = 0.0;"
    yield f"    if ({wanted}) {{"
    yield from [f"        {text}" for text in declared]
    yield f"        d[{i}] = {partial};"
    yield "    }"


def _operands(
    printer: Printer, count: int, outputs: Sequence[Operand]
) -> Iterator[str]:
    """Declare the operands that are used."""
    uses = printer.uses(outputs, ())
    used = [f"{OPERANDS[i]} = args[{i}]" for i in range(count) if uses[i]]
    if used:
        yield f"    double {', '.join(used)};"


if __name__ == "__main__":
    PLACE.write_text(header(), encoding="utf-8")
