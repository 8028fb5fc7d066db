"""A tape as generated Python: what runs where no compiler is, and what people can read.

One point is a function of one assignment for each instruction, with the operators and
math functions of the table; where one of them raises, Python's way to say inf or nan,
the point runs again on the tape itself. A long tape is cut into parts that pass a list
of slots on, since Python compiles short functions faster. A batch goes through NumPy
(see `numpy_blocks.py`), or, without it, point by point through the same function.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Generic, TypeVar

from .. import primitives as p
from ..formulas import Language, Line, Printer
from ..primitives import ARITHMETIC_ERRORS, Primitive
from .tape import Guard, Instruction, Operand, Tape

Found = TypeVar("Found")

PART: Final = 500  # instructions in one generated function
PAIRS: Final = 50  # longer dot products and the like are a call
BLOCK: Final = 1024  # points whose sum is one partial sum, without NumPy


def compile(tape: Tape, *, contract: bool = False) -> Source:
    """The tape as a function of Python; contract is of no use here and changes nothing.

    >>> from autograd.primitives import mul, sin
    >>> tape = Tape(1, (Instruction(mul, (0, 0)), Instruction(sin, (1,))), (2,))
    >>> run = compile(tape)
    >>> run.scalar([2.0])
    ((-0.7568024953079282,), -1)
    >>> print(run.text)
    def compiled(x0):
        v1 = x0 * x0
        v2 = sin(v1)
        return (v2,), -1
    """
    return Source(tape)


def combine(totals: Any) -> list[float]:
    """The sums of partial sums, one row for each block, each rounded once.

    >>> combine([[1e16, 1.0], [1.0, 2.0], [-1e16, 3.0]])
    [1.0, 6.0]
    """
    columns = totals.T.tolist() if hasattr(totals, "T") else zip(*totals)
    return [_sum(column) for column in columns]


def _sum(xs: Sequence[float]) -> float:
    try:
        return math.fsum(xs)
    except ARITHMETIC_ERRORS:  # inf - inf, or too large on the way
        return sum(xs, 0.0)


class Once(Generic[Found]):
    """A property that is found once, without a lock, which a fork could leave held.

    Threads that meet here each look for it, and all get what the first of them found:
    C may have its address already.
    """

    def __init__(self, find: Callable[[Any], Found]) -> None:
        self._find = find

    def __set_name__(self, owner: Any, name: str) -> None:
        self._name = name

    def __get__(self, owner: Any, kind: Any = None) -> Found:
        if owner is None:  # who asks the class gets the property itself
            return self  # type: ignore[return-value]
        found: Found = vars(owner).setdefault(self._name, self._find(owner))
        return found


class Source:
    """A tape as an executable of generated Python and, for a batch, NumPy."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape

    @Once
    def text(self) -> str:
        """The generated Python."""
        return self._generated[0]

    def scalar(self, xs: Sequence[float]) -> tuple[tuple[float, ...], int]:
        """(outputs, -1) at a point, or ((), the index of the first guard that fails).

        Bit for bit what the tape itself gives.
        """
        try:
            found: tuple[tuple[float, ...], int] = self._function(*xs)
            return found
        except ARITHMETIC_ERRORS:
            return self.tape.run(xs)

    def entry(self) -> None:
        """There is no machine code that C could call."""

    def batch(
        self, columns: Sequence[Any], n: int, outs: Sequence[Any], failed: Any
    ) -> None:
        """Write each output of each lane into its array, and `failed`."""
        if self._blocks:
            self._blocks.batch(columns, n, outs, failed)
            return
        for lane, (ys, index) in enumerate(self._lanes(columns, n)):
            failed[lane] = index
            for out, y in zip(outs, ys):
                out[lane] = y

    def total(self, columns: Sequence[Any], n: int, failed: Any) -> list[float]:
        """The sum of each output over the lanes that did not fail; writes `failed`."""
        return combine(self.block_totals(columns, n, failed))

    def block_totals(self, columns: Sequence[Any], n: int, failed: Any) -> Any:
        """What `total` adds up: the sum of each output over each block of lanes.

        A batch that is cut at multiples of `block` has the same partial sums.
        """
        if self._blocks:
            return self._blocks.block_totals(columns, n, failed)
        rows: list[tuple[float, ...]] = []
        for lane, (ys, index) in enumerate(self._lanes(columns, n)):
            failed[lane] = index
            rows.append(ys or (0.0,) * len(self.tape.outputs))
        starts = range(0, max(n, 1), BLOCK)
        nothing = [(0.0,) * len(self.tape.outputs)]
        return [
            [_sum(column) for column in zip(*(rows[i : i + BLOCK] or nothing))]
            for i in starts
        ]

    def loop(self, ins: Any, outs: Any) -> None:
        """There is no machine code that C could call."""

    @property
    def block(self) -> int:
        """The lanes that one partial sum is made of."""
        return self._blocks.block if self._blocks else BLOCK

    def _lanes(
        self, columns: Sequence[Any], n: int
    ) -> Iterator[tuple[tuple[float, ...], int]]:
        for lane in range(n):
            point = [
                float(x) if isinstance(x, (int, float)) else float(x[lane])
                for x in columns
            ]
            yield self.scalar(point)

    @Once
    def _blocks(self) -> Any:
        try:
            from .numpy_blocks import Blocks
        except Exception:  # no NumPy, or a broken one
            return None
        return Blocks(self.tape)

    @Once
    def _function(self) -> Callable[..., Any]:
        text, names = self._generated
        exec(text, names)
        found: Callable[..., Any] = names["compiled"]
        return found

    @Once
    def _generated(self) -> tuple[str, dict[str, Any]]:
        writer = _Writer(self.tape)
        lines = writer.whole() if len(self.tape.code) <= PART else writer.in_parts()
        return "\n".join(lines), writer.names


class _Writer:
    """Writes a tape as Python and keeps the names that the text refers to."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.names: dict[str, Any] = {"inf": math.inf, "nan": math.nan}
        self._bound: dict[Primitive, str] = {}
        self._lines: dict[tuple[Primitive, int], list[tuple[str, str]]] = {}
        self._guards: dict[int, list[tuple[int, Guard]]] = {}
        for index, guard in enumerate(tape.guards):
            self._guards.setdefault(guard.after, []).append((index, guard))

    def whole(self) -> Iterator[str]:
        inputs = ", ".join(map(self._name, range(self.tape.inputs)))
        yield f"def compiled({inputs}):"
        for k in range(len(self.tape.code) + 1):
            yield from self._checks(k, "(), {}")
            if k < len(self.tape.code):
                slot = self._name(self.tape.inputs + k)
                yield from self._assigned(slot, self.tape.code[k])
        yield f"    return {self._tuple(map(self._name, self.tape.outputs))}, -1"

    def in_parts(self) -> Iterator[str]:
        count = len(self.tape.code)
        starts = range(0, count, PART)
        for start in starts:
            yield from self._part(start, min(start + PART, count))
        yield "def compiled(*xs):"
        yield f"    s = [*xs, *[0.0] * {count}]"
        yield f"    for part in {self._tuple(f'part{start}' for start in starts)}:"
        yield "        failed = part(s)"
        yield "        if failed >= 0:"
        yield "            return (), failed"
        outputs = [f"s[{x}]" if type(x) is int else repr(x) for x in self.tape.outputs]
        yield f"    return {self._tuple(outputs)}, -1"

    def _part(self, start: int, stop: int) -> Iterator[str]:
        """Instructions start to stop; the last part also checks what comes after."""
        first, last = self.tape.inputs + start, stop == len(self.tape.code)
        lines: list[str] = []
        used: dict[int, None] = {}
        for k in range(start, stop + last):
            used.update((guard.slot, None) for _, guard in self._guards.get(k, ()))
            lines += self._checks(k, "{}")
            if k < stop:
                used.update((x, None) for x in self.tape.code[k].args if type(x) is int)
                slot = self.tape.inputs + k
                lines += self._assigned(self._name(slot), self.tape.code[k])
                lines.append(f"    s[{slot}] = {self._name(slot)}")
        yield f"def part{start}(s):"
        for x in used:
            if x < first:
                yield f"    {self._name(x)} = s[{x}]"
        yield from lines
        yield "    return -1"

    def _checks(self, k: int, result: str) -> Iterator[str]:
        for index, guard in self._guards.get(k, ()):
            negation = "not " if guard.expected else ""
            place = f"  # {guard.place!a}" if guard.place else ""
            yield f"    if {negation}{self._name(guard.slot)}:{place}"
            yield f"        return {result.format(index)}"

    def _assigned(self, name: str, instruction: Instruction) -> Iterator[str]:
        """A line for the instruction, and one for each part that is needed twice."""
        row, args = instruction
        key = row, len(args)
        if key not in self._lines:
            self._lines[key] = [*self._patterns(*key)]
        operands = [*map(self._name, args)]
        for part, text in self._lines[key]:
            yield f"    {part} = {text}".format(*operands, name=name)

    def _patterns(self, row: Primitive, operands: int) -> Iterator[tuple[str, str]]:
        """What `_assigned` fills in: names, and the expressions that they stand for."""
        line = Line(operands, lambda row: row.variadic and operands > 2 * PAIRS)
        z = line.operand(line.apply(row, line.symbols()))
        places = [f"{{{i}}}" for i in range(operands)]
        python = Language("1.0 if {} else 0.0", "{1} if {0} else {2}", repr, self._bind)
        printer = Printer(line, places, python)
        yield from printer.named([z], {}, "{{name}}_{}")
        yield "{name}", printer.text(z)

    def _bind(self, row: Primitive) -> str:
        """A name for the row: its own if the table has it, and may raise, or a new one.

        A user's row goes through `value`, which turns what it gives into a float.
        """
        if row not in self._bound:
            own = vars(p).get(row.name) is row
            name = row.name if own else f"row{len(self._bound)}"
            self._bound[row] = name
            self.names[name] = row.raw if own else row.value
        return self._bound[row]

    def _name(self, x: Operand) -> str:
        if type(x) is float:
            return repr(x)
        return f"{'x' if x < self.tape.inputs else 'v'}{x}"

    @staticmethod
    def _tuple(names: Any) -> str:
        listed = [*names]
        return f"({', '.join(listed)}{',' if len(listed) == 1 else ''})"
