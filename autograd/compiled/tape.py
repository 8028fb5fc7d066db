"""A function as a straight line: one instruction after the other, no branch, no loop.

Every number has a slot. The inputs come first, and instruction k, a row of the table on
slots and constants, writes the slot after those of its predecessors. Where the function
branched, a guard says which way it went: the tape holds for the points at which every
guard is as it was, and gives nothing at the others, where another tape is needed.

    slot       a number's place, an int      constant   a number by itself, a float
    guard      a slot whose truth (it is not 0.0, so NaN is true) decided a branch
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, overload

from ..formulas import Line
from ..formulas import Operand as Operand
from ..primitives import Primitive, clean, identity


class Instruction(NamedTuple):
    """A row of the table, applied to slots and constants."""

    row: Primitive
    args: tuple[Operand, ...]


class Guard(NamedTuple):
    """The way that a branch went, checked once `after` instructions have run."""

    after: int
    slot: int
    expected: bool
    place: str = ""  # "file:line" of the comparison


class Arrays(NamedTuple):
    """A tape as arrays, the one form between a trace and whatever runs it.

    Instruction k is `rows[row[k]]` on the operands from start[k] to start[k + 1]; an
    operand is a slot, or, if it is negative, a constant: ~operand says which one.

    row                       unsigned, of 16 bits
    start, operand, outputs   of 32 bits
    constants                 float64
    """

    inputs: int
    rows: tuple[Primitive, ...]
    row: Any
    start: Any
    operand: Any
    constants: Any
    outputs: Any
    guards: tuple[Guard, ...] = ()

    @property
    def code(self) -> Instructions:
        """The instructions, made when one is asked for."""
        return Instructions(
            self.rows, self.row, self.start, self.operand, self.constants
        )

    def tape(self) -> Tape:
        """The tape that these are the arrays of."""
        constants = self.constants
        outputs = [x if x >= 0 else constants[~x] for x in self.outputs]
        return Tape(self.inputs, self.code, tuple(outputs), self.guards)


class Instructions(Sequence[Instruction]):
    """Instructions in arrays: see `Arrays`. As a sequence, it is as a tuple of them."""

    def __init__(
        self,
        rows: tuple[Primitive, ...],
        row: Any,
        start: Any,
        operand: Any,
        constants: Any,
    ) -> None:
        self.rows, self.row, self.start = rows, row, start
        self.operand, self.constants = operand, constants
        self._made: tuple[Instruction, ...] | None = None

    @classmethod
    def of(cls, code: Iterable[tuple[Primitive, tuple[Operand, ...]]]) -> Instructions:
        """The arrays of these instructions."""
        numbers: dict[Primitive, int] = {}
        constants = Constants()
        row, start, operand = array("H"), array("i", [0]), array("i")
        for each, args in code:
            row.append(numbers.setdefault(each, len(numbers)))
            operand.extend([constants.place(x) for x in args])
            start.append(len(operand))
        return cls(tuple(numbers), row, start, operand, constants.array)

    @property
    def made(self) -> tuple[Instruction, ...]:
        """The instructions, each an object."""
        if self._made is None:
            self._made = tuple(self._make())
        return self._made

    def _make(self) -> Iterator[Instruction]:
        constants, rows, start = self.constants, self.rows, self.start
        args = [x if x >= 0 else constants[~x] for x in self.operand]
        for k, row in enumerate(self.row):
            operands = tuple(args[start[k] : start[k + 1]])
            yield tuple.__new__(Instruction, (rows[row], operands))

    @overload
    def __getitem__(self, k: int) -> Instruction: ...
    @overload
    def __getitem__(self, k: slice) -> tuple[Instruction, ...]: ...
    def __getitem__(self, k: Any) -> Any:
        return self.made[k]

    def __len__(self) -> int:
        return len(self.row)

    def __iter__(self) -> Iterator[Instruction]:
        return iter(self.made)

    def __eq__(self, other: Any) -> bool:
        if isinstance(other, (Instructions, tuple)):
            return len(self) == len(other) and self.made == tuple(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self.made)

    def __repr__(self) -> str:
        return repr(self.made)

    def __reduce__(self) -> Any:
        return Instructions, (self.rows, *map(_copied, self.arrays))

    @property
    def arrays(self) -> tuple[Any, Any, Any, Any]:
        """row, start, operand, constants."""
        return self.row, self.start, self.operand, self.constants


def _copied(numbers: Any) -> array[Any]:
    return array(memoryview(numbers).format, memoryview(numbers))


class Constants:
    """The constants of a tape, each once: 0.0 and -0.0 are two, and any NaN is one."""

    def __init__(self, known: Iterable[float] = ()) -> None:
        self.array = array("d", known)
        self._places = {x.hex(): i for i, x in enumerate(self.array)}

    def place(self, x: Operand) -> int:
        """An operand as an integer."""
        if type(x) is not float:
            return int(x)
        key = x.hex()
        if key not in self._places:
            self._places[key] = len(self.array)
            self.array.append(x)
        return ~self._places[key]


@dataclass(frozen=True)
class Tape:
    """One path of a function, from its inputs to its outputs.

    >>> from autograd.primitives import mul, sin
    >>> tape = Tape(1, (Instruction(mul, (0, 0)), Instruction(sin, (1,))), (2, 0.5))
    >>> print(tape)
    def tape(x0):
        v1 = mul(x0, x0)
        v2 = sin(v1)
        return v2, 0.5
    >>> tape.run([2.0])
    ((-0.7568024953079282, 0.5), -1)
    """

    inputs: int
    code: Sequence[Instruction]
    outputs: tuple[Operand, ...]
    guards: tuple[Guard, ...] = ()  # in the order of `after`

    @property
    def arrays(self) -> Arrays:
        """The same as arrays."""
        code = (
            self.code
            if isinstance(self.code, Instructions)
            else Instructions.of(self.code)
        )
        constants = Constants(code.constants)
        outputs = array("i", [constants.place(y) for y in self.outputs])
        row, start, operand, _ = code.arrays
        kept = row, start, operand, constants.array, outputs
        return Arrays(self.inputs, code.rows, *kept, self.guards)

    @property
    def rows(self) -> frozenset[Primitive]:
        """The rows of the table that it uses."""
        if isinstance(self.code, Instructions):
            return frozenset(self.code.rows)
        return frozenset([row for row, _ in self.code])

    def run(self, xs: Sequence[float]) -> tuple[tuple[float, ...], int]:
        """(outputs, -1) at a point, or ((), the index of the first guard that fails).

        This is the reference that every faster way of running a tape has to match.
        """
        slots, done = list(xs), 0
        for index, guard in enumerate(self.guards):
            self._advance(slots, done, guard.after)
            done = guard.after
            if (slots[guard.slot] != 0.0) is not guard.expected:
                return (), index
        self._advance(slots, done, len(self.code))
        return tuple([_read(slots, output) for output in self.outputs]), -1

    def _advance(self, slots: list[float], start: int, stop: int) -> None:
        for row, args in self.code[start:stop]:
            slots.append(row.value(*[_read(slots, arg) for arg in args]))

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        """The tape as the Python that it amounts to."""
        yield f"def tape({', '.join(map(self._name, range(self.inputs)))}):"
        guards = list(reversed(self.guards))
        for k in range(len(self.code) + 1):
            while guards and guards[-1].after == k:
                yield self._guard_line(guards.pop())
            if k < len(self.code):
                yield f"    {self._name(self.inputs + k)} = {self.formula(k)}"
        yield f"    return {', '.join(map(self._name, self.outputs))}"

    def formula(self, k: int) -> str:
        """What instruction k computes, as text."""
        row, args = self.code[k]
        return f"{clean(row.name)}({', '.join(map(self._name, args))})"

    def _guard_line(self, guard: Guard) -> str:
        place = f"  # {guard.place}" if guard.place else ""
        negation = "" if guard.expected else "not "
        return f"    assert {negation}{self._name(guard.slot)}{place}"

    def _name(self, operand: Operand) -> str:
        if isinstance(operand, float):
            return repr(operand)
        return f"{'x' if operand < self.inputs else 'v'}{operand}"


def _read(slots: list[float], operand: Operand) -> float:
    return operand if isinstance(operand, float) else slots[operand]


def taken_apart(tape: Tape, is_whole: Callable[[Primitive], bool]) -> Tape:
    """The tape with each row that is a formula in the parts that it is made of.

    >>> from autograd.primitives import relu
    >>> tape = Tape(1, (Instruction(relu, (0,)),), (1,))
    >>> print(taken_apart(tape, lambda row: False))
    def tape(x0):
        v1 = less_equal(x0, 0.0)
        v2 = where(v1, 0.0, x0)
        return v2
    """
    line = Line(tape.inputs, is_whole)
    now: list[Any] = [*line.symbols()]  # what each slot has become
    guards, found = list(reversed(tape.guards)), []

    def check_all(done: int) -> None:
        while guards and guards[-1].after <= done:
            guard = guards.pop()
            slot = line.operand(now[guard.slot])
            if type(slot) is not int:
                slot = line.write(identity, (slot,)).slot
            found.append(guard._replace(after=len(line.code), slot=slot))

    for k, (row, args) in enumerate(tape.code):
        check_all(k)
        now.append(line.apply(row, [now[x] if type(x) is int else x for x in args]))
    check_all(len(tape.code))
    outputs = [line.operand(now[y] if type(y) is int else y) for y in tape.outputs]
    code = tuple([Instruction(*step) for step in line.code])
    return Tape(tape.inputs, code, tuple(outputs), tuple(found))


def joined(first: Tape, second: Tape) -> Tape:
    """A tape and another one on the same inputs, one after the other."""
    moved = len(first.code)

    def slot(x: Operand) -> Operand:
        return x if type(x) is float or x < first.inputs else x + moved

    code = [Instruction(row, tuple(map(slot, args))) for row, args in second.code]
    guards = [
        g._replace(after=g.after + moved, slot=int(slot(g.slot))) for g in second.guards
    ]
    return Tape(
        first.inputs,
        (*first.code, *code),
        (*first.outputs, *map(slot, second.outputs)),
        (*first.guards, *guards),
    )


class AtPoint(Protocol):
    """A tape made fast, at one point: `scalar` gives what `Tape.run` gives."""

    @property
    def tape(self) -> Tape:
        """What it computes."""

    def scalar(self, xs: Sequence[float], /) -> tuple[tuple[float, ...], int]:
        """(outputs, -1), or ((), the index of the first guard that fails)."""

    def entry(self) -> Any:
        """Where C can call the code, or None: see `Entry`."""


class Entry(NamedTuple):
    """Code at an address: (in, out, workspace) -> the guard that fails, or -1.

    Rolled code is called with (context, in, out). It stays there as long as the
    executable that gave it.
    """

    address: int
    context: int = 0
    workspace: int = 0  # doubles


class Executable(AtPoint, Protocol):
    """A tape made fast, at one point and for a batch.

    A column is the input of one slot: an array of length n, or one number for all. A
    lane is one point of the batch; `failed` gets the index of its first failed guard,
    or -1, and what a failed lane gives otherwise is of no consequence.
    """

    def batch(
        self, columns: Sequence[Any], n: int, outs: Sequence[Any], failed: Any
    ) -> None:
        """Write each output of each lane into its array, and `failed`."""

    def loop(self, ins: Any, outs: Any) -> Any:
        """Where C can call `batch` or `total`, or None: see `native.Loop`."""

    def total(self, columns: Sequence[Any], n: int, failed: Any) -> list[float]:
        """The sum of each output over the lanes that did not fail; writes `failed`."""
