"""A tape over a batch, by NumPy: each instruction once for a block of lanes.

The block is short enough that its rows, one for each slot that is alive at a time, stay
in the processor's cache. What depends on shared inputs alone is computed once. A row of
the table that NumPy has not, or not to four last places, goes lane by lane.

Every call sees contiguous rows whose length is a multiple of 16 (the last lane is
repeated), so that a lane's bits do not depend on where the batch was cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import repeat
from math import nan
from typing import Any, Final

import numpy as np

from .. import primitives as p
from ..formulas import COMPARISONS
from ..primitives import Primitive
from .tape import Guard, Operand, Tape, taken_apart

WORKSPACE: Final = 2**17  # floats: 1 MB
WIDTH: Final = 16  # lanes; no vector is wider

Kernel = Callable[..., Any]  # (*operands, out): rows, or floats where shared


@dataclass
class Plan:
    """What to do for each block, once it is known which inputs are shared."""

    rows: int = 0
    place: dict[int, int] = field(default_factory=dict)  # a slot's row
    truths: set[int] = field(default_factory=set)  # slots that hold bools
    once: list[Guard | int] = field(default_factory=list)  # of shared inputs alone
    steps: list[tuple[Kernel, tuple[Operand, ...], int]] = field(default_factory=list)


class Blocks:
    """A tape that runs on blocks of lanes."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape = taken_apart(tape, KERNELS.__contains__)
        self._plans: dict[tuple[bool, ...], Plan] = {}
        rows = self._plan((True,) * tape.inputs).rows
        fitting = 2 ** max(0, (WORKSPACE // max(rows, 1)).bit_length() - 1)
        self.block = max(64, min(1024, fitting))  # divides 1024

    def batch(
        self, columns: Sequence[Any], n: int, outs: Sequence[Any], failed: Any
    ) -> None:
        with np.errstate(all="ignore"):
            for start, stop, ys, bad in self._run(columns, n):
                failed[start:stop] = bad
                for out, y in zip(outs, ys):
                    out[start:stop] = y

    def block_totals(self, columns: Sequence[Any], n: int, failed: Any) -> Any:
        totals = np.zeros((-(-n // self.block), len(self.tape.outputs)))
        with np.errstate(all="ignore"):
            for start, stop, ys, bad in self._run(columns, n):
                failed[start:stop] = bad
                good = bad < 0
                for i, y in enumerate(ys):
                    kept = np.where(good, y, 0.0)
                    totals[start // self.block, i] = np.add.reduce(kept)
        return totals

    def _run(self, columns: Sequence[Any], n: int) -> Iterator[tuple[Any, ...]]:
        """(start, stop, outputs, failed) of each block; the arrays are used again."""
        shared = [isinstance(x, (int, float)) for x in columns]
        plan = self._plan(tuple([not alone for alone in shared]))
        known = self._shared_slots(plan, columns)
        width = 0
        for start in range(0, n, self.block):
            stop = min(start + self.block, n)
            if width != -(-(stop - start) // WIDTH) * WIDTH:
                width = -(-(stop - start) // WIDTH) * WIDTH
                rows = np.empty((plan.rows, width))
                bad = np.empty(width, dtype=np.int32)
                slots = {
                    x: _as_bools(rows[place]) if x in plan.truths else rows[place]
                    for x, place in plan.place.items()
                } | known
                steps = [
                    (
                        kernel,
                        [slots[x] if type(x) is int else x for x in args],
                        rows[place] if place >= 0 else bad,
                    )
                    for kernel, args, place in plan.steps
                ]
            lanes = stop - start
            bad[:lanes], bad[lanes:] = -1, 0
            for x, column in enumerate(columns):
                if not shared[x] and x in plan.place:
                    row = rows[plan.place[x]]
                    row[:lanes] = column[start:stop]
                    row[lanes:] = row[lanes - 1]
            for kernel, operands, out in steps:
                if isinstance(kernel, _LaneByLane):
                    kernel(bad, *operands, out)
                else:
                    kernel(*operands, out)
            ys = [slots[x] if type(x) is int else x for x in self.tape.outputs]
            yield start, stop, [_cut(y, lanes) for y in ys], bad[:lanes]

    def _shared_slots(self, plan: Plan, columns: Sequence[Any]) -> dict[int, Any]:
        """The numbers that are the same in all lanes; NaN where none gets so far."""
        known: dict[int, Any] = {
            x: float(column)
            for x, column in enumerate(columns)
            if isinstance(column, (int, float))
        }
        stopped = False
        for item in plan.once:
            if isinstance(item, Guard):
                stopped |= (known[item.slot] != 0.0) is not item.expected
            else:
                row, args = self.tape.code[item - self.tape.inputs]
                operands = [known[x] if type(x) is int else x for x in args]
                known[item] = nan if stopped else row.value(*operands)
        return known

    def _plan(self, varies: tuple[bool, ...]) -> Plan:
        if varies not in self._plans:
            self._plans[varies] = _planned(self.tape, varies)
        return self._plans[varies]


def _as_bools(row: Any) -> Any:
    """The memory of a row as that of bools."""
    return row.view(bool)[: len(row)]


def _cut(y: Any, lanes: int) -> Any:
    return y if isinstance(y, float) else y[:lanes]


def _planned(tape: Tape, inputs_vary: tuple[bool, ...]) -> Plan:
    """Order the steps and give every slot a row, used again after its last use."""
    plan, varies = Plan(), list(inputs_vary)
    plan.truths, last = _truths(tape), _last_uses(tape)
    free: list[int] = []
    ends: dict[int, list[int]] = {}  # the slots that nothing needs after a step

    def take(slot: int, k: int) -> int:
        if not free:
            free.append(plan.rows)
            plan.rows += 1
        plan.place[slot] = free.pop()
        ends.setdefault(max(last.get(slot, k), k), []).append(slot)
        return plan.place[slot]

    for slot in range(tape.inputs):
        if varies[slot] and slot in last:
            take(slot, -1)
    guards = list(reversed([*enumerate(tape.guards)]))
    for k in range(len(tape.code) + 1):
        while guards and guards[-1][1].after <= k:
            index, guard = guards.pop()
            plan.steps.append((_Check(index, guard.expected), (guard.slot,), -1))
            if not varies[guard.slot]:
                plan.once.append(guard)
        if k == len(tape.code):
            break
        row, args = tape.code[k]
        slot = tape.inputs + k
        varies.append(any(type(x) is int and varies[x] for x in args))
        if varies[slot]:
            kernel = _kernel(row, args)
            kernel = _Truth(kernel) if slot in plan.truths else kernel
            plan.steps.append((kernel, args, take(slot, k)))
        else:
            plan.once.append(slot)
        free += [plan.place[x] for x in ends.pop(k, ())]
    return plan


def _truths(tape: Tape) -> set[int]:
    """The comparisons that only selects, guards and outputs ask for."""
    truths = {
        slot
        for slot, (row, _) in enumerate(tape.code, start=tape.inputs)
        if row.native in COMPARISONS
    }
    for row, args in tape.code:
        truths.difference_update(args[row is p.where :])
    return truths


def _last_uses(tape: Tape) -> dict[int, int]:
    """After which instruction no one reads a slot any more."""
    last = {
        x: k for k, (_, args) in enumerate(tape.code) for x in args if type(x) is int
    }
    for guard in tape.guards:
        last[guard.slot] = max(last.get(guard.slot, 0), guard.after)
    last.update((x, len(tape.code) + 1) for x in tape.outputs if type(x) is int)
    return last


@dataclass(frozen=True)
class _Check:
    """A guard: marks the lanes in which it is the first to fail."""

    index: int
    expected: bool

    def __call__(self, x: Any, failed: Any) -> None:
        wrong = np.not_equal(x, 0.0) != self.expected
        failed[wrong & (failed < 0)] = self.index


@dataclass(frozen=True)
class _Truth:
    """A comparison whose result stays a bool."""

    compare: Kernel

    def __call__(self, x: Any, y: Any, out: Any) -> None:
        self.compare(x, y, _as_bools(out))


@dataclass(frozen=True)
class _LaneByLane:
    """A row on one lane after the other, save those that failed before."""

    row: Primitive

    def __call__(self, failed: Any, *operands: Any) -> None:
        *args, out = operands
        value = self.row.value
        lists = [repeat(x) if isinstance(x, float) else x.tolist() for x in args]
        out[:] = [
            value(*xs) if index < 0 else nan
            for index, *xs in zip(failed.tolist(), *lists)
        ]


def _kernel(row: Primitive, args: tuple[Operand, ...]) -> Kernel:
    if row is p.hypot and len(args) > 3:
        return _LaneByLane(row)
    if row in KERNELS:
        return KERNELS[row]
    name = row.native or ""
    function = NATIVE.get(name) or getattr(np, SPELLINGS.get(name, name), None)
    return function or _LaneByLane(row)


# ---- rows that take more than one call -----------------------------------------------


def _pow(x: Any, y: Any, out: Any) -> None:
    """On whole rows: for a single exponent of 0.5 NumPy takes a root, of -inf too."""
    full = np.empty_like(out)
    full[:] = y
    np.power(x, full, out)


def _where(condition: Any, x: Any, y: Any, out: Any) -> None:
    known = getattr(condition, "dtype", out.dtype).kind == "b"
    out[:] = np.where(condition if known else np.not_equal(condition, 0.0), x, y)


def _copy(x: Any, out: Any) -> None:
    out[:] = x


def _hypot(*operands: Any) -> None:
    *xs, out = operands
    out[:] = reduce(np.hypot, xs) if len(xs) > 1 else np.fabs(xs[0])


def _logsumexp(*operands: Any) -> None:
    """As the row has it, with the rounding of the sum carried along."""
    *xs, out = operands
    top = reduce(np.maximum, xs)
    total, lost = np.zeros_like(out), np.zeros_like(out)
    for x in xs:
        term = np.exp(x - top)
        larger = total + term
        back = larger - total
        lost += (total - (larger - back)) + (term - back)
        total = larger
    near = top + np.log1p((total - 1.0) + lost)
    out[:] = np.where(np.isfinite(top), near, top)


NATIVE: Final[dict[str, Kernel]] = {
    "fadd": np.add, "fsub": np.subtract, "fmul": np.multiply, "fdiv": np.divide,
    "fneg": np.negative, "olt": np.less, "ole": np.less_equal, "ogt": np.greater,
    "oge": np.greater_equal, "oeq": np.equal, "une": np.not_equal, "select": _where,
    "pow": _pow,
}  # fmt: skip
SPELLINGS: Final = {
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2",
    "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh",
}  # fmt: skip
KERNELS: Final[dict[Primitive, Kernel]] = {
    p.identity: _copy, p.hypot: _hypot, p.logsumexp: _logsumexp,
}  # fmt: skip
