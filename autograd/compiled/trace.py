"""A function run once on Values, and written down as a tape while it runs.

The trace watches its thread: every new node becomes an instruction, every bool() of a
Value a guard, every Value from outside f a further input, read at each later call. What
depends on no input is a constant. Derivatives need nothing of their own: transforms run
on the same Values, and leave their sweeps in the tape.

What is written down is the recorder's: see `recorder.py`. A select is not taken by the
numbers of this one call: the share of an operand is computed, and selected as long as
the operand may be absent.
"""

from __future__ import annotations

import operator
import warnings
from array import array
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from ..graph import Graph
from ..primitives import brief, where
from ..recorder import Recorder
from ..traced import Traced
from ..value import COMPARISONS, Value
from ..watch import caller, require_own, watched_by, watching
from .tape import Arrays, Guard, Operand, Tape

OPERATORS: Final = {row: getattr(operator, name) for name, row in COMPARISONS.items()}


class Doubt(NamedTuple):
    """Why a trace may hold for this one call alone, and the line that says so.

    again   whether even for this call f has to run again, on what it was given
    """

    what: str
    place: str
    again: bool

    def tell(self, operation: str) -> None:
        """Say, at the line that is the cause, that f runs op by op from now on."""
        warn_at(
            self.place,
            f"{operation}: a compiled function must not {self.what}, which changes "
            f"from call to call, but f does at {self.place}; it runs op by op from "
            "now on",
        )


def warn_at(place: str, message: str) -> None:
    """Warn as if that line of the user's, "file:line", did."""
    file, _, line = place.rpartition(":")
    warnings.warn_explicit(message, RuntimeWarning, file, int(line))


class Trace(Recorder):
    """The tape of one run: its arguments, its code and guards, what it closed over.

    The first branches go the way that `turns` says, the others as the numbers say.
    """

    def __init__(
        self,
        xs: Sequence[float],
        closed: Sequence[Value],
        turns: Sequence[bool] = (),
    ) -> None:
        super().__init__(xs)
        self.met: dict[Value, str] = {}  # what is new in `closed`, and the line
        self.made: dict[Value, str] = {}  # by f itself, of numbers; and the line
        self.doubts: list[Doubt] = []
        self._turns = turns
        self.guards: list[Guard] = []
        self._decided: dict[Operand, bool] = {}
        for x in closed:
            self.close_over(x)

    @property
    def trace(self) -> Trace:
        """Itself: who watches without being a trace names the one around it."""
        return self

    def run(self, f: Callable[[list[Value]], Any]) -> Any:
        """What f gives for the arguments, while this trace watches."""
        with watched_by(self):
            return f(self.arguments)

    def tape(self, outputs: Sequence[Any]) -> Tape:
        """The tape that computes the outputs from the arguments and `closed`."""
        rows, row, start, operand, constants, outs = self.recorded(outputs)
        guards = [g._replace(slot=self.final(g.slot)) for g in self.guards]
        return Arrays(
            len(self.arguments) + len(self.closed),
            rows,
            array("H", row),
            array("i", start),
            array("i", operand),
            array("d", constants),
            array("i", outs),
            tuple(guards),
        ).tape()

    def close(self) -> None:
        """Take its Values their numbers, so that none can be used later."""
        watching()  # which forgets a trace that has ended
        super().close()

    # ---- what the engine tells -------------------------------------------------------

    def see_adjoints(self, adjoints: dict[Any, Any], order: list[Value]) -> None:
        """Sweeps show themselves: they compute with Values."""

    see_tangents = see_adjoints

    def decide(self, x: Value) -> bool:
        """The truth of x, which the tape guards from now on."""
        outcome, slot = x._data != 0.0, self.operand(x)
        if isinstance(slot, float):
            return outcome
        if slot not in self._decided:
            if len(self.guards) < len(self._turns):
                outcome = self._turns[len(self.guards)]
            self._decided[slot] = outcome
            self.guards.append(Guard(self.count, slot, outcome, caller()))
        return self._decided[slot]

    def doubt(self, what: str, again: bool = False) -> None:
        """Note that the run depends on a number in a way that no tape can have."""
        self.doubts.append(Doubt(what, caller(), again))

    def meet(self, x: Value) -> None:
        """Take what is new for an input, or, if f has made it, for a constant."""
        require_own(x)
        if x._made < self.since:
            self.met[x] = caller()
            self.close_over(x)
        elif x._row is None:
            self.made.setdefault(x, caller())
            self.fix(x)
        else:
            raise ValueError(
                f"jit: f must compute in one thread, but the result of {brief(x.op)} "
                "was made in another while f was traced; call jit in each thread "
                "instead"
            )

    # ---- what transforms ask ---------------------------------------------------------

    def partials_of(self, graph: Graph) -> Traced:
        """How a sweep finds the partials of a node: by its rules, if I follow it."""
        return Traced(self, graph)

    def plain(self, x: Value) -> float | None:
        """What x stands for where that is a number or a bool."""
        if self.is_truth(x):
            return x._data != 0.0
        return x._data if self.is_number(x) else None

    def as_value(self, x: Any, outside: Value) -> Any:
        """x, or, where it stands for a number, a constant Value.

        That is one because of a Value from outside, which so is an operand.
        """
        number = type(x) is not Value or self.is_number(x)
        return where(0.0, outside, x) if number else x


def numbers_of(xs: Sequence[Any]) -> list[float]:
    """Those of Values and floats."""
    if Value not in map(type, xs):
        return [*xs]
    return [x._data if type(x) is Value else x for x in xs]


def replay(tape: Tape, xs: Sequence[Any]) -> list[Any]:
    """The outputs of a tape on Values and floats, by the rows, without its guards."""
    slots = list(xs)
    for row, args in tape.code:
        operands = [x if type(x) is float else slots[int(x)] for x in args]
        z = OPERATORS.get(row, row)(*operands)
        slots.append(float(z) if type(z) is bool else z)
    return [x if type(x) is float else slots[int(x)] for x in tape.outputs]
