"""A function run once on Values, and written down as a tape while it runs.

The trace watches its thread: every new node becomes an instruction, every bool() of a
Value a guard, every Value from outside f a further input, read at each later call. What
depends on no input is a constant. Derivatives need nothing of their own: transforms run
on the same Values, and leave their sweeps in the tape.

Eager numbers and eager Values behave differently in a transform, so a trace keeps track
of which of its Values stand for plain numbers: the arguments, what is computed of them
alone, comparisons. A select is not taken by the numbers of this one call either: the
share of an operand is computed, and selected as long as the operand may be absent.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from math import nan
from typing import Any, Final, NamedTuple

from ..absent import Share
from ..graph import Graph, rerun, results_and_operands
from ..primitives import brief, equal, where
from ..transforms import copies
from ..value import COMPARISONS, LEFTOVER, Value, tick
from ..watch import caller, watched_by, watching
from .tape import Guard, Instruction, Operand, Tape

OPERATORS: Final = {row: getattr(operator, name) for name, row in COMPARISONS.items()}


class Doubt(NamedTuple):
    """Why a trace may hold for this one call alone, and the line that says so.

    again   whether even for this call f has to run again, on what it was given
    """

    what: str
    place: str
    again: bool


class Trace:
    """The tape of one run: its arguments, its code and guards, what it closed over.

    Slots are numbered as they come up: arguments from 0, Values from outside -1, -2 …
    The first branches go the way that `turns` says, the others as the numbers say.
    """

    def __init__(
        self,
        xs: Sequence[float],
        closed: Sequence[Value],
        turns: Sequence[bool] = (),
    ) -> None:
        self.trace, self.since = self, tick()
        self.arguments = [Value(x) for x in xs]
        self.closed: list[Value] = []
        self.met: dict[Value, str] = {}  # what is new in `closed`, and the line
        self.made: dict[Value, str] = {}  # by f itself, of numbers; and the line
        self.doubts: list[Doubt] = []
        self._turns = turns
        self.code: list[Instruction] = []
        self.guards: list[Guard] = []
        self._slots: dict[Value, Operand] = {x: i for i, x in enumerate(self.arguments)}
        self._numbers = set(self.arguments)  # what eagerly is a float, not a Value
        self.truths: set[Value] = set()  # what eagerly is a bool
        self._leaves: dict[Value, Value] = {}
        self._decided: dict[Operand, bool] = {}
        for x in closed:
            self._close_over(x)

    def run(self, f: Callable[[list[Value]], Any]) -> Any:
        """What f gives for the arguments, while this trace watches."""
        with watched_by(self):
            return f(self.arguments)

    def tape(self, outputs: Sequence[Any]) -> Tape:
        """The tape that computes the outputs from the arguments and `closed`."""
        slots = [self.operand(y) for y in outputs]  # one may be met only now
        own, more = len(self.arguments), len(self.closed)

        def final(operands: Sequence[Operand]) -> tuple[Operand, ...]:
            """The slots with those from outside put between arguments and results."""
            return tuple([
                x if type(x) is float or 0 <= x < own
                else x + more if x >= 0
                else own - 1 - x
                for x in operands
            ])  # fmt: skip

        code = self.code
        if more:
            code = [Instruction(row, final(args)) for row, args in code]
        guards = [g._replace(slot=int(final([g.slot])[0])) for g in self.guards]
        return Tape(own + more, tuple(code), final(slots), tuple(guards))

    def close(self) -> None:
        """Take its Values their numbers, so that none can be used later."""
        watching()  # which forgets a trace that has ended
        for x, slot in self._slots.items():
            if type(slot) is int and x._made >= self.since:
                x._data = LEFTOVER

    # ---- what the engine tells -------------------------------------------------------

    def see_value(self, node: Value) -> None:
        """Write a new node down, unless all of its operands are constants."""
        row, slots, known = node._row, self._slots, node._args
        assert row is not None
        try:
            operands = [slots[x] if type(x) is Value else float(x) for x in known]
        except KeyError:  # one comes from outside
            operands = [self.operand(x) for x in known]
        call = node._call  # with several results, of which this is one
        if int not in map(type, operands):
            slots[node] = node._data
            if call is not None:
                slots[call] = node._data
            return
        slots[node] = len(self.arguments) + len(self.code)
        if call is not None:
            slots[call] = slots[node]
        self.code.append(Instruction(row, tuple(operands)))
        numbers = self._numbers
        absent = [type(x) is float or x in numbers for x in known]
        if False not in absent:
            numbers.update([node] if call is None else [node, call])
        if call is not None:
            call._partials = tuple([
                None if gone else x for gone, x in zip(absent, call._partials)
            ])  # fmt: skip
            return
        fixed = row.fixed if row.select else ()
        node._partials = tuple([  # that they are there: what they are, the rules say
            None if gone or 0.0 in fixed[i : i + 1] else nan
            for i, gone in enumerate(absent)
        ])  # fmt: skip

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
            self.guards.append(Guard(len(self.code), slot, outcome, caller()))
        return self._decided[slot]

    def doubt(self, what: str, again: bool = False) -> None:
        """Note that the run depends on a number in a way that no tape can have."""
        self.doubts.append(Doubt(what, caller(), again))

    def has_made(self, x: Any) -> bool:
        """Whether x is a Value of this run that depends on an input."""
        new = type(x) is Value and x._made >= self.since
        return new and type(self._slots.get(x)) is int

    def follows(self, x: Any) -> bool:
        """Whether x depends on an input."""
        return type(x) is Value and type(self.operand(x)) is int

    def operand(self, x: Any) -> Operand:
        """The slot of x, or its number if it is a constant; what is new is an input."""
        if type(x) is not Value:
            return float(x)
        if x in self._slots:
            return self._slots[x]
        if x._made >= self.since:
            if x._row is None:
                self.made.setdefault(x, caller())
                return x._data
            raise ValueError(
                f"jit: f must compute in one thread, but the result of {brief(x.op)} "
                "was made in another while f was traced; call jit in each thread "
                "instead"
            )
        self.met[x] = caller()
        return self._close_over(x)

    def _close_over(self, x: Value) -> Operand:
        self.closed.append(x)
        self._slots[x] = -len(self.closed)
        return self._slots[x]

    # ---- what transforms ask ---------------------------------------------------------

    def copies(self, xs: Sequence[Any]) -> list[Value]:
        """Fresh inputs: where one stands for a number, its copy does, too."""
        return [
            self.leaf(x) if type(x) is Value and x in self._numbers else copies([x])[0]
            for x in xs
        ]

    def partials_of(self, graph: Graph) -> Callable[[Value], Sequence[Any]]:
        """How a sweep finds the partials of a node: by its rules, if I follow it."""
        again: dict[Value, list[Any]] = {}

        def partials(node: Value) -> Sequence[Any]:
            row, follows = node._row, self.follows(node)
            if row is not None and row.call:
                number = self.number if follows or graph.live(node) else None
                return results_and_operands(graph, node, number)
            if row is None or not (follows or graph.live(node)):
                return node._partials
            if node not in again:
                found = rerun(graph, node, self.number)
                again[node] = self.chosen(found) if follows and row.select else found
            return again[node]

        return partials

    def is_number(self, x: Value) -> bool:
        """Whether x stands for what is a float when f runs eagerly."""
        return x in self._numbers

    def outside(self, xs: Sequence[Any]) -> list[Any]:
        """Those of xs that are Values then, as well."""
        return [x for x in xs if type(x) is Value and x not in self._numbers]

    def plain(self, x: Value) -> float | None:
        """What x stands for where that is a number or a bool."""
        if x in self.truths:
            return x._data != 0.0
        return x._data if x in self._numbers else None

    def truth(self, x: Value) -> Any:
        """The result of a comparison, which stands for a bool."""
        truth = self.number(x)
        self.truths.add(truth)
        return truth

    def number(self, x: Value) -> Any:
        """x cut from its graph: a float, or a Value that stands for one."""
        slot = self.operand(x)
        if type(slot) is float or x in self._numbers:
            return slot if type(slot) is float else x
        if x not in self._leaves:
            self._leaves[x] = self.leaf(x)
            self._numbers.add(self._leaves[x])
        return self._leaves[x]

    def as_value(self, x: Any, outside: Value) -> Any:
        """x, or, where it stands for a number, a constant Value.

        That is one because of a Value from outside, which so is an operand.
        """
        return where(0.0, outside, x) if self._stands_for_number(x) else x

    def leaf(self, x: Value) -> Value:
        """A leaf with the number of x, in the same slot."""
        leaf = Value(x._data)
        self._slots[leaf] = self.operand(x)
        return leaf

    def chosen(self, partials: Sequence[Any]) -> list[Any]:
        """The partials of a select, absent where they are zero."""
        return [self._choice(partial) for partial in partials]

    def _choice(self, partial: Any) -> Any:
        if self.follows(partial):
            return Share(partial, equal(self.number(partial), 0.0))
        return None if partial is None or partial == 0.0 else partial

    def result(self, x: Any) -> Any:
        """A derivative to hand out: 0.0 where it is absent, never -0.0 for a float."""
        if type(x) is Share:  # its total is -0.0 then, which 0.0 is added to
            x = x.total if self._stands_for_number(x.share) else x.number
        return x + 0.0 if type(x) is Value and x in self._numbers else x

    def _stands_for_number(self, x: Any) -> bool:
        return type(x) is not Value or x in self._numbers


def replay(tape: Tape, xs: Sequence[Any]) -> list[Any]:
    """The outputs of a tape on Values and floats, by the rows, without its guards."""
    slots = list(xs)
    for row, args in tape.code:
        operands = [x if type(x) is float else slots[int(x)] for x in args]
        z = OPERATORS.get(row, row)(*operands)
        slots.append(float(z) if type(z) is bool else z)
    return [x if type(x) is float else slots[int(x)] for x in tape.outputs]
