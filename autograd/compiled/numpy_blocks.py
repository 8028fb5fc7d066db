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
from math import inf, nan
from typing import Any, Final

import numpy as np

from .. import primitives as p
from ..primitives import Primitive
from .tape import Guard, Operand, Tape

WORKSPACE: Final = 2**17  # floats: 1 MB
WIDTH: Final = 16  # lanes; no vector is wider

Kernel = Callable[..., Any]  # (*operands, out): rows, or floats where shared


@dataclass
class Plan:
    """What to do for each block, once it is known which inputs are shared."""

    rows: int = 0
    place: dict[int, int] = field(default_factory=dict)  # a slot's row
    once: list[Guard | int] = field(default_factory=list)  # of shared inputs alone
    steps: list[tuple[Kernel, tuple[Operand, ...], int]] = field(default_factory=list)


class Blocks:
    """A tape that runs on blocks of lanes."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
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
                slots = {x: rows[place] for x, place in plan.place.items()} | known
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


def _cut(y: Any, lanes: int) -> Any:
    return y if isinstance(y, float) else y[:lanes]


def _planned(tape: Tape, inputs_vary: tuple[bool, ...]) -> Plan:
    """Order the steps and give every slot a row, used again after its last use."""
    plan, varies = Plan(), list(inputs_vary)
    last = _last_uses(tape)
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
            plan.steps.append((_kernel(row, args), args, take(slot, k)))
        else:
            plan.once.append(slot)
        free += [plan.place[x] for x in ends.pop(k, ())]
    return plan


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
    if row is p.hypot:
        return _hypot if len(args) <= 3 else _LaneByLane(row)
    if row is p.dot and len(args) % 2:
        return _LaneByLane(row)
    return KERNELS.get(row) or _LaneByLane(row)


# ---- rows that take more than one call -----------------------------------------------


def _pow(x: Any, y: Any, out: Any) -> None:
    """On whole rows: for a single exponent of 0.5 NumPy takes a root, of -inf too."""
    full = np.empty_like(out)
    full[:] = y
    np.power(x, full, out)


def _where(condition: Any, x: Any, y: Any, out: Any) -> None:
    out[:] = np.where(np.not_equal(condition, 0.0), x, y)


def _maximum(x: Any, y: Any, out: Any) -> None:
    out[:] = np.where(np.greater(x, y) | np.not_equal(x, x), x, y)


def _minimum(x: Any, y: Any, out: Any) -> None:
    out[:] = np.where(np.less(x, y) | np.not_equal(x, x), x, y)


def _clip(x: Any, lo: Any, hi: Any, out: Any) -> None:
    _maximum(x, lo, out)
    _minimum(out, hi, out)


def _relu(x: Any, out: Any) -> None:
    np.maximum(x, 0.0, out=out)
    np.add(out, 0.0, out)  # 0.0, not -0.0


def _leaky_relu(x: Any, slope: Any, out: Any) -> None:
    out[:] = np.where(np.greater(x, 0.0), x, np.multiply(slope, x))


def _copy(x: Any, out: Any) -> None:
    out[:] = x


def _sigmoid(x: Any, out: Any) -> None:
    e = np.exp(-np.fabs(x))
    np.divide(np.where(x >= 0.0, 1.0, e), 1.0 + e, out)


def _softplus(x: Any, out: Any) -> None:
    np.add(np.maximum(x, 0.0), np.log1p(np.exp(-np.fabs(x))), out)


def _silu(x: Any, out: Any) -> None:
    _sigmoid(x, out)
    out[:] = np.where(x == -inf, -0.0, x * out)


def _gaussian(x: Any, out: Any) -> None:
    head = np.floor(64.0 * x + 0.5) / 64.0
    near = np.exp(-head * head) * np.exp((head - x) * (head + x))
    out[:] = np.where(np.fabs(x) < 28.0, near, np.where(x != x, x, 0.0))


def _hypot(*operands: Any) -> None:
    *xs, out = operands
    out[:] = reduce(np.hypot, xs) if len(xs) > 1 else np.fabs(xs[0])


def _copysign(x: Any, y: Any, out: Any) -> None:
    np.copysign(x, np.where(np.isnan(y), 1.0, y), out)  # a NaN counts as positive


def _dot(*operands: Any) -> None:
    *xys, out = operands
    half = len(xys) // 2
    out[:] = 0.0
    for x, y in zip(xys, xys[half:]):
        np.add(out, np.multiply(x, y), out)


def _prod(*operands: Any) -> None:
    *xs, out = operands
    out[:] = 1.0
    for x in xs:
        np.multiply(out, x, out)


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
    near = top + np.log(total + lost)
    out[:] = np.where(np.isfinite(top), near, top)


KERNELS: Final[dict[Primitive, Kernel]] = {
    p.add: np.add, p.sub: np.subtract, p.mul: np.multiply, p.div: np.divide,
    p.neg: np.negative, p.mod: np.remainder, p.pow: _pow,
    p.exp: np.exp, p.exp2: np.exp2, p.expm1: np.expm1, p.log: np.log, p.log2: np.log2,
    p.log10: np.log10, p.log1p: np.log1p, p.sqrt: np.sqrt, p.cbrt: np.cbrt,
    p.sin: np.sin, p.cos: np.cos, p.tan: np.tan, p.asin: np.arcsin, p.acos: np.arccos,
    p.atan: np.arctan, p.atan2: np.arctan2, p.sinh: np.sinh, p.cosh: np.cosh,
    p.tanh: np.tanh, p.asinh: np.arcsinh, p.acosh: np.arccosh, p.atanh: np.arctanh,
    p.degrees: np.degrees, p.radians: np.radians, p.abs: np.fabs, p.sign: np.sign,
    p.floor: np.floor, p.ceil: np.ceil, p.copysign: _copysign, p.less: np.less,
    p.less_equal: np.less_equal, p.greater: np.greater, p.equal: np.equal,
    p.greater_equal: np.greater_equal, p.not_equal: np.not_equal, p.where: _where,
    p.maximum: _maximum, p.minimum: _minimum, p.clip: _clip, p.relu: _relu,
    p.leaky_relu: _leaky_relu, p.identity: _copy, p.stop_gradient: _copy,
    p.sigmoid: _sigmoid, p.softplus: _softplus, p.silu: _silu, p._gaussian: _gaussian,
    p.dot: _dot, p.prod: _prod, p.logsumexp: _logsumexp,
}  # fmt: skip
