"""Batches called on Values: one call for all lanes, whose pullback is a batch again.

The operands of such a call are the numbers of every lane, column by column, and what
all lanes share once; so are its results, where what is reduced comes once. The pullback
of a lane is a function of the lane's inputs and of the adjoints of its results, on the
same paths: over the batch it is another such call, in which the adjoints of what is
shared are reduced. So on Values it can be differentiated in turn.

present   which results of a lane have an adjoint; lanes that differ are run apart
flags     behind the shares of a lane: 1.0 where a select leaves that operand out
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from typing import Any

from ..transforms import _Recording
from ..trees import NUMBER, Form
from ..value import Value, _components
from ..vector import Call
from .branches import Branches, turns_of
from .columns import Column, empty, point
from .jit import Path, _numbers
from .nodes import sources
from .running import run_lanes
from .sums import Sums
from .tape import Tape
from .trace import OPERATORS, Share

try:
    import numpy as np
except Exception:  # lists will do: see machine.py
    np = None  # type: ignore[assignment]

Present = tuple[bool, ...]


class OfBatch(Call):
    """The row of a call on a batch of n lanes.

    shared    for each input of a lane, whether all lanes share it; at the end those
              that are closed over
    reduced   for each output of a lane, whether it is summed over the lanes
    """

    uses_results = False

    def __init__(
        self,
        tree: Branches,
        n: int,
        shared: Sequence[bool],
        reduced: Sequence[bool],
        executor: Executor | None = None,
        has_flags: bool = False,
    ) -> None:
        super().__init__(getattr(tree.owner, "__name__", "f"))
        self._tree, self._n, self._executor = tree, n, executor
        self._shared, self._reduced = tuple(shared), tuple(reduced)
        self._has_flags = has_flags

    def __reduce__(self) -> Any:
        parts = self._tree, self._n, self._shared, self._reduced, None, self._has_flags
        return OfBatch, parts

    def inside(self, xs: Sequence[Any]) -> None:
        """Nothing: its lanes are too many to be looked at."""

    # ---- values ----------------------------------------------------------------------

    def at(self, xs: Sequence[float]) -> tuple[float, ...]:
        """The results on floats, lane by lane for each output."""
        return tuple(self._flat(self._run([*self._columns(xs)]))[: self.results])

    @property
    def results(self) -> int:
        """How many there are, without flags."""
        each = [1 if once else self._n for once in self._reduced]
        return sum(each[: len(each) // 2] if self._has_flags else each)

    def _columns(self, xs: Sequence[Any]) -> Iterator[Any]:
        """The operands by input: one for all lanes, or a list with one for each."""
        at = 0
        for once in self._shared:
            yield xs[at] if once else xs[at : at + self._n]
            at += 1 if once else self._n

    def _run(self, columns: Sequence[Any]) -> list[Any]:
        """The outputs: a column for each, or a sum where it is reduced."""
        tree, n = self._tree, self._n
        ready = [x if type(x) is float else _column(x) for x in columns]
        if tree.path is None:
            tree.grow((), point(ready, 0))
        own = tree.paths[0].own
        outs: list[Any] = [empty(n) for _ in self._reduced]
        if not all(self._reduced):
            run_lanes(tree, ready, n, outs, self._executor)
        if any(self._reduced):
            sums = Sums(tree, ready[:own], n, self._executor)
            totals = sums.totals(ready[:own], ready[own:])
            outs = [t if once else y for t, y, once in zip(totals, outs, self._reduced)]
        return outs

    def _flat(self, outs: Sequence[Any]) -> list[float]:
        flat: list[float] = []
        for out in outs:
            if type(out) is float:
                flat.append(out)
            else:
                flat += out if isinstance(out, list) else out.tolist()
        return flat

    # ---- derivatives -----------------------------------------------------------------

    def pull(self, ys: Sequence[Any], xs: Sequence[Any], y_bars: Sequence[Any]) -> Any:
        """x_bars: a batch of pullbacks, in which those of what is shared are summed."""
        outputs = self._outputs(y_bars)
        reduced = self._shared
        return self._derive(LanePullback, xs, outputs, self._reduced, reduced)

    def push(self, ys: Sequence[Any], xs: Sequence[Any], x_dots: Sequence[Any]) -> Any:
        """y_dots: a batch of pushforwards."""
        inputs = [*self._columns(x_dots)]
        found = self._derive(LanePushforward, xs, inputs, self._shared, self._reduced)
        return found[: self.results]

    def _outputs(self, ys: Sequence[Any]) -> list[Any]:
        """What was given for results, by output; None for the flags."""
        found, at = [], 0
        for once in self._reduced:
            size = 1 if once else self._n
            given = ys[at] if once and at < len(ys) else list(ys[at : at + size])
            found.append(given if at < len(ys) else None)
            at += size
        return found

    def _derive(
        self,
        kind: type[LaneDerivative],
        xs: Sequence[Any],
        bars: Sequence[Any],
        shared: Sequence[bool],
        reduced: Sequence[bool],
    ) -> list[Any]:
        """What a derivative of each lane gives; lanes that are alike run at once."""
        columns = [*self._columns(xs)]
        totals: list[Any] = [None if once else [None] * self._n for once in reduced]
        for present, lanes in _alike(bars, self._n):
            if not any(present):
                continue
            given = [_some(b, lanes) for b, there in zip(bars, present) if there]
            which = [once for once, there in zip(shared, present) if there]
            row = self._derivative(kind, present, len(lanes), which, reduced)
            operands = [*(_some(x, lanes) for x in columns), *given]
            found, absent = row.with_flags(joined(operands))
            _add(totals, lanes, found, absent)
        return joined(totals)

    def _derivative(
        self,
        kind: type[LaneDerivative],
        present: Present,
        n: int,
        shared: Sequence[bool],
        reduced: Sequence[bool],
    ) -> OfBatch:
        tree = self._tree.kept(_derived, kind, present, len(self._shared))
        every = (*self._shared, *shared), (*reduced, *reduced)
        return tree.kept(OfBatch, n, *every, self._executor, True)

    def with_flags(self, xs: list[Any]) -> tuple[list[Any], list[Any]]:
        """The results by output, Values where operands are, and flags as numbers."""
        numbers = _numbers(xs)
        outs = self._run([*self._columns(numbers)])
        half = len(outs) // 2
        shares: Any = self._flat(outs[:half])
        if Value in set(map(type, xs)):
            shares = _components(self, tuple(shares), tuple(xs))
        every = self._n
        absent = [out == every if type(out) is float else out for out in outs[half:]]
        return self._outputs(shares)[:half], absent

    def on_values(self, xs: Sequence[Any]) -> list[Any]:
        """The outputs by column, where some of the operands are Values."""
        outs = self._run([*self._columns(_numbers(xs))])
        found = self._outputs(_components(self, tuple(self._flat(outs)), tuple(xs)))
        return [
            node if is_node else out
            for node, out, is_node in zip(found, outs, self._nodes(xs))
        ]

    def _nodes(self, xs: Sequence[Any]) -> list[bool]:
        """Which outputs depend on a Value, on any path."""
        mask = 0
        for i, column in enumerate(self._columns(xs)):
            items = column if isinstance(column, (list, tuple)) else [column]
            mask |= (Value in set(map(type, items))) << i
        masks = [sources(path.long) for path in self._tree.paths]
        return [any(each & mask for each in output) for output in zip(*masks)]


def _column(xs: Sequence[float]) -> Column:
    return list(xs) if np is None else np.frombuffer(array("d", xs))


def _some(column: Any, lanes: Sequence[int]) -> Any:
    """The numbers of some lanes; what is shared as it is."""
    if not isinstance(column, (list, tuple)) or len(lanes) == len(column):
        return column
    return [column[i] for i in lanes]


def _derived(
    tree: Branches, kind: type[LaneDerivative], present: Present, inputs: int
) -> Branches:
    return Branches(kind(tree, present, inputs), NUMBER)


def joined(columns: Sequence[Any]) -> list[Any]:
    """The columns one after the other, as a call has them for operands."""
    flat: list[Any] = []
    for column in columns:
        if type(column) in (float, Value) or column is None:
            flat.append(column)
        else:
            flat += column if isinstance(column, (list, tuple)) else column.tolist()
    return flat


def _alike(bars: Sequence[Any], n: int) -> list[tuple[Present, Sequence[int]]]:
    """The lanes for which the same are there, and which."""
    mixed = [isinstance(bar, list) and None in bar for bar in bars]
    if not any(mixed):
        return [(tuple([bar is not None for bar in bars]), range(n))]
    groups: dict[Present, list[int]] = {}
    for i in range(n):
        lane = [bar[i] if isinstance(bar, list) else bar for bar in bars]
        groups.setdefault(tuple([x is not None for x in lane]), []).append(i)
    return list(groups.items())


def _add(
    totals: list[Any], lanes: Sequence[int], found: Sequence[Any], absent: Sequence[Any]
) -> None:
    """Put what some lanes have given in its place, and add up what they share."""
    for k, (shares, gone) in enumerate(zip(found, absent)):
        if not isinstance(totals[k], list):
            if not gone:
                totals[k] = shares if totals[k] is None else totals[k] + shares
            continue
        flags = gone if isinstance(gone, list) else gone.tolist()
        if len(lanes) == len(totals[k]) and not any(flags):
            totals[k] = list(shares)
            continue
        for i, share, flag in zip(lanes, shares, flags):
            totals[k][i] = None if flag else share


# ---- the derivatives of a lane -------------------------------------------------------


class LaneDerivative:
    """A function to trace, on the paths of another one."""

    doubt: Any = None

    def __init__(self, tree: Branches, present: Present, inputs: int) -> None:
        self.tree, self.present, self.inputs = tree, present, inputs
        name = getattr(tree.owner, "__name__", "f")
        self.__name__ = f"{type(self).word}_{name}"

    word = "derivative"

    def roots(self, form: Form) -> list[Any]:
        """Nothing in which Values could be: its tapes have none."""
        return []

    def _recorded(self, xs: Sequence[Any], wanted: Sequence[int]) -> _Recording:
        paths = list(self.tree.paths)
        return _Recording(
            "vmap", lambda *xs: walked(paths, xs), tuple(xs), tuple(wanted), {}
        )

    def _with_flags(
        self, run: _Recording, found: list[Any], given: Sequence[Any]
    ) -> list[Any]:
        absent = [x.absent if type(x) is Share else float(x is None) for x in found]
        shares = run.derivatives([0.0 if x is None else x for x in found], given)
        return shares + absent


class LanePullback(LaneDerivative):
    """(inputs, adjoints of the outputs that are present) -> adjoints, flags."""

    word = "pullback"

    def run(self, form: Form, given: Sequence[Any]) -> list[Any]:
        """Traced, it is the reverse sweep of the lane."""
        xs, bars = given[: self.inputs], given[self.inputs :]
        run = self._recorded(xs, range(len(xs)))
        ys = [y for y, there in zip(run.out, self.present) if there]
        return self._with_flags(run, run.adjoints(ys, bars, missing=None), bars)


class LanePushforward(LaneDerivative):
    """(inputs, tangents of those that are present) -> tangents, flags."""

    word = "pushforward"

    def run(self, form: Form, given: Sequence[Any]) -> list[Any]:
        """Traced, it is the forward sweep of the lane."""
        xs, dots = given[: self.inputs], given[self.inputs :]
        run = self._recorded(xs, [i for i, there in enumerate(self.present) if there])
        return self._with_flags(run, run.tangents(run.out, dots, missing=None), dots)


def walked(paths: Sequence[Path], xs: Sequence[Any]) -> list[Any]:
    """The outputs of the path that holds for these, found by its guards."""
    path = paths[0]
    results: list[Any] = []
    while True:
        slots = [*xs[: path.long.inputs], *results]
        failed = _walk(path.long, slots)
        if failed < 0:
            return [y if type(y) is float else slots[int(y)] for y in path.long.outputs]
        turns = (*turns_of(path)[:failed], not path.long.guards[failed].expected)
        results = slots[path.long.inputs :]
        path = next(p for p in paths if turns_of(p)[: len(turns)] == turns)


def _walk(tape: Tape, slots: list[Any]) -> int:
    """Run the rows of a tape that are left; gives the guard that fails first, or -1."""
    for k, guard in enumerate(tape.guards):
        _advance(tape, slots, guard.after)
        if bool(slots[guard.slot]) is not guard.expected:
            return k
    _advance(tape, slots, len(tape.code))
    return -1


def _advance(tape: Tape, slots: list[Any], stop: int) -> None:
    for row, args in tape.code[len(slots) - tape.inputs : stop]:
        operands = [x if type(x) is float else slots[int(x)] for x in args]
        z = OPERATORS.get(row, row)(*operands)
        slots.append(float(z) if type(z) is bool else z)
