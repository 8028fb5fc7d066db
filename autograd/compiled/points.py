"""The code that runs a path at one point, and what takes its place when that pays.

A short tape is simplified, printed as Python, and compiled by LLVM once it was called
often. A long one is rolled at once: LLVM would take longer than thousands of its runs.
Where there is no structure to roll, a thread has LLVM compile it as soon as its calls
have cost about what that will, or sooner if LLVM is quick; till then they go on as
before.

    kept   which guards of the path those of the code are
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from . import calls, rolled, source
from .machine import native
from .simplify import simplify
from .tape import AtPoint, Executable, Tape

LONG: Final = 200  # instructions from which machine code pays off at one point
BULKY: Final = 3 * LONG  # what is longer is rolled unsimplified: it will not be short
WITH_CARE: Final = 3000  # instructions that LLVM makes the fastest code of
NARROW: Final = 7  # operations in a block of rolled code, which costs as much as these
COMPILING: Final = 8e-5  # seconds that it takes to simplify and compile an instruction
RUNNING: Final = 3e-8  # and to run a block
SOON: Final = 1000  # calls after which LLVM has a try at what it is quick with
NEVER: Final = 2**62


class PathCode(NamedTuple):
    """What runs at one point."""

    tape: Tape  # that it was made of
    kept: Sequence[int]
    executable: AtPoint
    scalar: Callable[[Sequence[float]], tuple[tuple[float, ...], int]]
    often: int = 0  # calls after which C gets it
    simple: bool = False  # whether the tape was simplified


def code_of(tape: Tape) -> PathCode:
    """What runs at first."""
    if len(tape.code) <= BULKY:
        short = short_code(tape)
        if len(short.tape.code) <= LONG:
            return short
    return _rolled(tape)


def short_code(tape: Tape) -> PathCode:
    """The tape simplified, as Python for its first calls and by LLVM."""
    short, kept = shortened(tape)
    run = executable(short)
    brief = len(short.code) <= LONG  # a call of machine code has its price
    at_point = source.compile(short) if brief else run
    often = calls.OFTEN if brief else 0
    return PathCode(short, kept, run, at_point.scalar, often, simple=True)


def _rolled(tape: Tape) -> PathCode:
    run = rolled.compile(tape)
    return PathCode(tape, range(len(tape.guards)), run, run.scalar)


def patience(code: PathCode) -> int:
    """How many calls cost about as much as LLVM does, if that is worth a try.

    What LLVM compiles in less than a second, it gets after fewer, for calls to come.
    """
    if code.simple or native()[0] is None:
        return NEVER
    run: Any = code.executable
    count, blocks = len(code.tape.code), run.blocks
    if not blocks or count > max(WITH_CARE, NARROW * blocks):
        return NEVER
    worth = int(count * COMPILING / (blocks * RUNNING)) + 1
    return min(worth, SOON) if count <= WITH_CARE else worth


def uncompiled(tape: Tape) -> PathCode:
    """What runs once, and never again."""
    return PathCode(tape, range(len(tape.guards)), source.compile(tape), tape.run)


def shortened(tape: Tape) -> tuple[Tape, tuple[int, ...]]:
    """The tape simplified, and which of its guards each one left there was."""
    numbered = [g._replace(place=str(i)) for i, g in enumerate(tape.guards)]
    short = simplify(replace(tape, guards=tuple(numbered)))
    kept = tuple([int(guard.place) for guard in short.guards])
    places = [tape.guards[i].place for i in kept]
    guards = [g._replace(place=place) for g, place in zip(short.guards, places)]
    return replace(short, guards=tuple(guards)), kept


def executable(tape: Tape) -> Executable:
    """The fastest way to run a short tape, or a batch: by LLVM, or as Python source."""
    found, _ = native()
    run: Executable = (found or source).compile(tape)
    return run
