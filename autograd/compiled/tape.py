"""A function as a straight line: one instruction after the other, no branch, no loop.

Every number has a slot. The inputs come first, and instruction k, a row of the table on
slots and constants, writes the slot after those of its predecessors. Where the function
branched, a guard says which way it went: the tape holds for the points at which every
guard is as it was, and gives nothing at the others, where another tape is needed.

    slot       a number's place, an int      constant   a number by itself, a float
    guard      a slot whose truth (it is not 0.0, so NaN is true) decided a branch
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

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
    code: tuple[Instruction, ...]
    outputs: tuple[Operand, ...]
    guards: tuple[Guard, ...] = ()  # in the order of `after`

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


class Executable(Protocol):
    """A tape made fast: `scalar` gives what `Tape.run` gives, the others for a batch.

    A column is the input of one slot: an array of length n, or one number for all. A
    lane is one point of the batch; `failed` gets the index of its first failed guard,
    or -1, and what a failed lane gives otherwise is of no consequence.
    """

    @property
    def tape(self) -> Tape:
        """What it computes."""

    def scalar(self, xs: Sequence[float]) -> tuple[tuple[float, ...], int]:
        """(outputs, -1), or ((), the index of the first guard that fails)."""

    def entry(self) -> Any:
        """Where C can call the code of one point, or None: see `native.Entry`."""

    def batch(
        self, columns: Sequence[Any], n: int, outs: Sequence[Any], failed: Any
    ) -> None:
        """Write each output of each lane into its array, and `failed`."""

    def loop(self, ins: Any, outs: Any) -> Any:
        """Where C can call `batch` or `total`, or None: see `native.Loop`."""

    def total(self, columns: Sequence[Any], n: int, failed: Any) -> list[float]:
        """The sum of each output over the lanes that did not fail; writes `failed`."""
