"""A tape as rolled code: in C (`_rolled.c`), or by Python where that was not built.

C gets the arrays of the tape as they are, and for each row the number that it knows it
by, or a function to call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ... import primitives
from ...accelerator import load
from ...primitives import Primitive
from ..source import Once
from ..tape import Arrays, Entry, Tape
from . import python

extension, reason = load("compiled.rolled._rolled")


def compile(tape: Tape) -> RolledInC | python.RolledInPython:
    """The tape as rolled code, which gives what `Tape.run` gives.

    >>> from autograd.primitives import mul, sin
    >>> from autograd.compiled.tape import Instruction
    >>> tape = Tape(1, (Instruction(mul, (0, 0)), Instruction(sin, (1,))), (2,))
    >>> compile(tape).scalar([2.0])
    ((-0.7568024953079282,), -1)
    """
    return python.compile(tape) if extension is None else RolledInC(tape)


class RolledInC:
    """A tape as rolled code in C, found when it first runs."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape

    @Once
    def code(self) -> Any:
        """The groups, and what runs them."""
        return roll(self.tape.arrays)

    def scalar(self, xs: Sequence[float], /) -> tuple[tuple[float, ...], int]:
        """(outputs, -1), or ((), the index of the first guard that fails)."""
        found: tuple[tuple[float, ...], int] = self.code.scalar(xs)
        return found

    def entry(self) -> Entry | None:
        """Where C can call it; None if it calls Python back."""
        found = self.code.entry()
        return found and Entry(*found)

    @property
    def blocks(self) -> int:
        """How many loops there are."""
        count: int = self.code.counts["blocks"]
        return count


def roll(arrays: Arrays, set: str | None = None) -> Any:
    """The arrays of a tape, rolled by C, which must be there.

    set   the instructions that run it, of `extension.sets`, or "groups", one by one
    """
    rows = tuple(map(kind, arrays.rows))
    return extension.Rolled(arrays.inputs, rows, *arrays[2:], set)


def kind(row: Primitive) -> int | Callable[..., float]:
    """What a row is in C: the number of one of the table, or its value, called back."""
    is_known = vars(primitives).get(row.name) is row and row.name in extension.kinds
    return extension.kinds[row.name] if is_known else row.value
