"""What a trace writes down while f runs: new nodes, as rows on slots and constants.

What depends on an input has a slot: the arguments come first, then what instructions
give, one after the other. Values from outside f are inputs, too, which turn up as f
uses them: here their slots count down from -1, in the tape they stand between arguments
and results. What depends on no input is a constant.

Eager numbers and eager Values behave differently in a transform, so a recorder keeps
track of which Values stand for plain numbers: the arguments, what is computed of them
alone, comparisons.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from math import nan
from typing import Any, Final, NamedTuple

from .accelerator import in_c
from .primitives import Primitive
from .transforms import copies
from .value import LEFTOVER, Value, tick

Operand = int | float  # a slot, or a constant
MOST_ROWS: Final = 1 << 16  # which 16 bits can name


class Recorded(NamedTuple):
    """Instructions as `Arrays` of compiled/tape.py has them, each array as bytes."""

    rows: tuple[Primitive, ...]
    row: bytes
    start: bytes
    operand: bytes
    constants: bytes
    outputs: bytes


@in_c
class Recorder:
    """The instructions of one run on arguments with these numbers.

    since       the time at which it began: what was made before is from outside
    arguments   what f is to be called with
    closed      Values from outside that f used
    count       of the instructions so far

    Who extends it says in `meet(x)` what becomes of a Value it does not know: an input,
    by `close_over(x)`, or a constant, by `fix(x)`; or raises.
    """

    def __init__(self, xs: Sequence[float]) -> None:
        self.since = tick()
        self.arguments = [Value(x) for x in xs]
        self.closed: list[Value] = []
        self._rows: dict[Primitive, int] = {}
        self._code: list[tuple[Primitive, tuple[Operand, ...]]] = []
        self._slots: dict[Value, int | None] = {}  # None: a constant
        self._slots.update((x, i) for i, x in enumerate(self.arguments))
        self._numbers = set(self.arguments)  # what eagerly is a float, not a Value
        self._truths: set[Value] = set()  # what eagerly is a bool
        self._leaves: dict[Value, Value] = {}

    @property
    def count(self) -> int:
        return len(self._code)

    def see_value(self, node: Value) -> None:
        """Write a new node down, unless all of its operands are constants."""
        row, slots, known = node._row, self._slots, node._args
        assert row is not None
        operands = [self.operand(x) for x in known]
        nodes = [node] if node._call is None else [node, node._call]
        if int not in map(type, operands):
            slots.update(dict.fromkeys(nodes))
            return
        self._name(row)
        slots.update(dict.fromkeys(nodes, len(self.arguments) + len(self._code)))
        self._code.append((row, tuple(operands)))
        absent = [type(x) is float or x in self._numbers for x in known]
        if False not in absent:
            self._numbers.update(nodes)
        if node._call is not None:
            node._call._partials = tuple([
                None if gone else x for gone, x in zip(absent, node._call._partials)
            ])  # fmt: skip
            return
        fixed = row.fixed if row.select else ()
        node._partials = tuple([  # that they are there: what they are, the rules say
            None if gone or 0.0 in fixed[i : i + 1] else nan
            for i, gone in enumerate(absent)
        ])  # fmt: skip

    def _name(self, row: Primitive) -> None:
        """Give a row its number in the tape."""
        if self._rows.setdefault(row, len(self._rows)) >= MOST_ROWS:
            raise ValueError(
                f"jit: f must use at most {MOST_ROWS} primitives, but uses more; make "
                "each once, outside f"
            )

    # ---- slots -----------------------------------------------------------------------

    def operand(self, x: Any) -> Operand:
        """The slot of x, or its number if it is a constant; what is new is met."""
        if type(x) is not Value:
            return float(x)
        if x not in self._slots:
            self.meet(x)
        slot = self._slots[x]
        return x._data if slot is None else slot

    def meet(self, x: Value) -> None:
        """Say what becomes of a Value that is not known, or raise."""
        raise NotImplementedError

    def close_over(self, x: Value) -> None:
        """Take x for one more input."""
        self.closed.append(x)
        self._slots[x] = -len(self.closed)

    def fix(self, x: Value) -> None:
        """Take x for a constant."""
        self._slots[x] = None

    def has_made(self, x: Any) -> bool:
        """Whether x is a Value of this run that depends on an input."""
        new = type(x) is Value and x._made >= self.since
        return new and self._slots.get(x) is not None

    def follows(self, x: Any) -> bool:
        """Whether x depends on an input."""
        return type(x) is Value and type(self.operand(x)) is int

    def leaf(self, x: Value) -> Value:
        """A leaf with the number of x, in the same slot."""
        self.operand(x)
        leaf = Value(x._data)
        self._slots[leaf] = self._slots[x]
        return leaf

    # ---- what stands for a plain number ----------------------------------------------

    def copies(self, xs: Sequence[Any]) -> list[Value]:
        """Fresh inputs: a leaf for what stands for a number, else as `copies` does."""
        return [self.leaf(x) if self.is_number(x) else copies([x])[0] for x in xs]

    def number(self, x: Value) -> Any:
        """x cut from its graph: a float, or a Value that stands for one."""
        slot = self.operand(x)
        if type(slot) is float or x in self._numbers:
            return slot if type(slot) is float else x
        if x not in self._leaves:
            self._leaves[x] = self.leaf(x)
            self._numbers.add(self._leaves[x])
        return self._leaves[x]

    def truth(self, x: Value) -> Any:
        """The result of a comparison, which stands for a bool."""
        truth = self.number(x)
        if type(truth) is Value:
            self._truths.add(truth)
        return truth

    def is_number(self, x: Any) -> bool:
        """Whether x stands for what is a float when f runs eagerly."""
        return type(x) is Value and x in self._numbers

    def is_truth(self, x: Any) -> bool:
        """Whether x stands for what is a bool when f runs eagerly."""
        return type(x) is Value and x in self._truths

    def outside(self, xs: Iterable[Any]) -> list[Any]:
        """Those of xs that are Values then, as well."""
        return [x for x in xs if type(x) is Value and x not in self._numbers]

    # ---- what comes of it ------------------------------------------------------------

    def recorded(self, outputs: Sequence[Any]) -> Recorded:
        """The instructions and outputs, with Values from outside among the inputs."""
        slots = [self.operand(y) for y in outputs]  # one may be met only now
        row, start, operand = array("H"), array("i", [0]), array("i")
        constants, places = array("d"), dict[str, int]()  # by their bits; one NaN

        def final(x: Operand) -> int:
            if isinstance(x, int):
                return self.final(x)
            if (key := x.hex()) not in places:
                places[key] = len(constants)
                constants.append(x)
            return ~places[key]

        for each, operands in self._code:
            row.append(self._rows[each])
            operand.extend(map(final, operands))
            start.append(len(operand))
        outs = array("i", map(final, slots))
        arrays = row, start, operand, constants, outs
        return Recorded(tuple(self._rows), *[each.tobytes() for each in arrays])

    def final(self, slot: int) -> int:
        """That slot in the tape, where those from outside follow the arguments."""
        own, more = len(self.arguments), len(self.closed)
        return own - 1 - slot if slot < 0 else slot + more if slot >= own else slot

    def close(self) -> None:
        """Take the Values of this run their numbers, so that none can be used later."""
        for x, slot in self._slots.items():
            if slot is not None and x._made >= self.since:
                x._data = LEFTOVER
