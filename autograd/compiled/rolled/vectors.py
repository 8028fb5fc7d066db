"""Groups of many lanes as vectors of NumPy, with the bits of the rows themselves.

All slots are one array of floats, in which Python's loops and NumPy's vectors both read
and write. A row that is a formula is taken apart, and its parts run on vectors; of
these, those that are rounded correctly everywhere are NumPy's, and for what else there
is, exp and sin and users' rows, the row itself is called in each lane.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from functools import cache, reduce
from typing import Any, Final

import numpy as np

from ... import primitives as p
from ...formulas import COMPARISONS, Line
from ...primitives import ARITHMETIC_ERRORS, Primitive
from .groups import Group, Grouped
from .python import mapped, steps, terms

MANY: Final = 24  # numbers that a group reads, from which vectors are faster
LONG: Final = 100  # operands of a row, from which it is not taken apart

Kernel = Callable[..., Any]  # of vectors, or floats that are the same in all lanes


class Vectors:
    """Groups as vectors, and those of few lanes as loops."""

    def __init__(self, rolled: Grouped) -> None:
        count = sum([group.lanes for group in rolled.groups])
        self.after = array("d", [*rolled.constants, *[0.0] * count])  # the inputs
        self.steps = [_step(group) for group in rolled.groups]

    def run(self, xs: Sequence[float]) -> array[float]:
        """All slots at a point."""
        slots = array("d", xs) + self.after
        view = np.frombuffer(slots)
        with np.errstate(all="ignore"):
            for step in self.steps:
                step(slots, view)
        return slots


def _step(group: Group) -> Callable[[array[float], Any], None]:
    """What writes the lanes of a group."""
    there = slice(group.slot, group.slot + group.lanes)
    if group.lanes * len(group.places) >= MANY:
        vector = _sum(group) if isinstance(group.kind, tuple) else _rows(group)

        def write(slots: array[float], view: Any) -> None:
            view[there] = vector(view)

        return write
    step, otherwise = steps(group)

    def write_few(slots: array[float], view: Any) -> None:
        try:
            slots[there] = array("d", step(slots))
        except ARITHMETIC_ERRORS:  # Python's way to say inf or nan
            slots[there] = array("d", otherwise(slots))

    return write_few


def _sum(group: Group) -> Kernel:
    """A matrix of terms and lanes, added up term by term.

    What is left out is -0.0, which adds nothing.
    """
    parts = terms(group)
    x, y, mask = map(_places, (parts.x, parts.y, parts.mask))
    every = len(parts.products) == len(parts.x)
    products = slice(None) if every else parts.products
    add_up = _accumulated if len(parts.x) > group.lanes else _in_turn

    def vector(view: Any) -> Any:
        values = view.take(x)
        if parts.products:
            values[products] *= view.take(y)
        if parts.negative:
            values[parts.negative] = -values[parts.negative]
        if parts.masked:
            kept = values[parts.masked]
            values[parts.masked] = np.where(view.take(mask) != 0.0, -0.0, kept)
        return add_up(values)

    return vector


def _places(places: Sequence[Sequence[int]]) -> Any:
    return np.array(places, dtype=np.intp)


def _accumulated(values: Any) -> Any:
    return np.add.accumulate(values)[-1]  # np.add.reduce has an order of its own


def _in_turn(values: Any) -> Any:
    return reduce(np.add, values)


# ---- rows ----------------------------------------------------------------------------


def _rows(group: Group) -> Kernel:
    assert isinstance(group.kind, Primitive)
    if vars(p).get(group.kind.name) is not group.kind:  # a user's, which is called
        step = mapped(group.kind.value, group.places)
        return lambda view: [*step(view.tolist())]
    f = kernel(group.kind, len(group.places))
    reads = [_reader(place) for place in group.places]
    return lambda view: f(*[view[read] for read in reads])


def _reader(place: Sequence[int]) -> Any:
    """The index of some slots: a slice where they are in a row, or all the same."""
    first, last = place[0], place[-1]
    if first == last and len({*place}) == 1:
        return slice(first, first + 1)
    if last - first == len(place) - 1 and list(place) == [*range(first, last + 1)]:
        return slice(first, last + 1)
    return np.array(place, dtype=np.intp)


@cache
def kernel(row: Primitive, count: int) -> Kernel:
    """A row of the table on vectors."""
    if row.native in EXACT:
        return EXACT[row.native]
    if row.native is not None or count > LONG:
        return _lane_by_lane(row)
    line = Line(count)
    z = line.operand(line.apply(row, line.symbols()))
    if line.code == [(row, tuple(range(count)))]:  # it is no formula
        return _lane_by_lane(row)
    code = [(kernel(step, len(args)), args) for step, args in line.code]

    def formula(*xs: Any) -> Any:
        known = [*xs]
        for f, args in code:
            known.append(f(*[known[x] if type(x) is int else x for x in args]))
        return known[z] if type(z) is int else z

    return formula


def _lane_by_lane(row: Primitive) -> Kernel:
    def vector(*xs: Any) -> Any:
        lanes = [x.tolist() for x in np.broadcast_arrays(*xs)]
        try:
            return np.array([*map(row.raw, *lanes)])
        except ARITHMETIC_ERRORS:
            return np.array([*map(row.value, *lanes)])

    return vector


def _truth(compare: Kernel) -> Kernel:
    return lambda x, y: compare(x, y).astype(float)


EXACT: Final[dict[str | None, Kernel]] = {
    "fadd": np.add, "fsub": np.subtract, "fmul": np.multiply, "fdiv": np.divide,
    "fneg": np.negative, "fabs": np.fabs, "sqrt": np.sqrt, "fmod": np.fmod,
    "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc,
    "select": lambda c, x, y: np.where(np.not_equal(c, 0.0), x, y),
    "olt": _truth(np.less), "ole": _truth(np.less_equal), "ogt": _truth(np.greater),
    "oge": _truth(np.greater_equal), "oeq": _truth(np.equal),
    "une": _truth(np.not_equal),
}  # fmt: skip
assert EXACT.keys() >= COMPARISONS.keys()
