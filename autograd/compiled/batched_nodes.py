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

from ..absent import Share
from ..transforms import Recording
from ..trees import NUMBER, Form
from ..value import Value, _components
from ..vector import Call
from .branches import Branches, Way, turns_of
from .calls import threads_for
from .columns import Column, Mixed, empty, point
from .nodes import sources
from .paths import Path
from .pieces import no_guards
from .places import is_of_table
from .running import run_lanes
from .sums import Sums, combined
from .tape import Tape
from .trace import OPERATORS, numbers_of

try:
    import numpy as np
except Exception:  # lists will do: see machine.py
    np = None  # type: ignore[assignment]

Present = tuple[bool, ...]


class Run:
    """The lanes of a batch run by the paths of a tree: each output, or its sum."""

    def __init__(
        self,
        tree: Branches,
        n: int,
        reduced: tuple[bool, ...],
        executor: Executor | None,
        has_flags: bool = False,
    ) -> None:
        self.tree, self.n, self.reduced = tree, n, reduced
        self.executor, self.has_flags = executor, has_flags

    def __call__(self, columns: Sequence[Any]) -> list[Any]:
        """Of columns of numbers: arguments, and perhaps what is closed over."""
        tree, n = self.tree, self.n
        if tree.path is None:
            tree.grow((), point(columns, 0))
        known = self._at_once(tree.ways[0], columns)
        if known is not None:
            return known
        own = tree.paths[0].own
        outs: list[Any] = [empty(n) for _ in self.reduced]
        closed = numbers_of(columns[own:])
        if not all(self.reduced):
            more = numbers_of(tree.closed[len(closed) :])
            run_lanes(tree, [*columns, *more], n, outs, self.executor)
        if any(self.reduced):
            sums = Sums(tree, list(columns[:own]), n, self.executor)
            totals = sums.totals(columns[:own], closed)
            outs = [t if once else y for t, y, once in zip(totals, outs, self.reduced)]
        return outs

    def _at_once(self, way: Way, columns: Sequence[Any]) -> list[Any] | None:
        """The outputs where all lanes go the usual way, and here in one thread."""
        n, reduced, inputs = self.n, set(self.reduced), way.tape.inputs
        alone = self.executor is None and len(reduced) == 1 and np is not None
        if not alone or len(columns) < inputs or threads_for(way, n) > 1:
            return None
        failed, runs, ready = no_guards(n), way.executable, columns[:inputs]
        outs: list[Any]
        if reduced == {True}:
            parts = runs.block_totals(ready, n, failed)  # type: ignore[attr-defined]
            outs = combined(list(parts), len(self.reduced))
        else:
            outs = [empty(n) for _ in self.reduced]
            runs.batch(ready, n, outs, failed)
        if way.guards and failed.max() >= 0:
            return None
        way.counted += n
        return outs

    def row(self, shared: tuple[bool, ...]) -> OfBatch:
        """The row of calls like this one, on the paths that are known by now."""
        what = self.n, self.reduced, self.executor, self.has_flags
        return self.tree.alone().kept(_row, *what, shared)


def _row(tree: Branches, *what: Any) -> OfBatch:
    return OfBatch(Run(tree, *what[:-1]), what[-1])


class OfBatch(Call):
    """The row of a call on a batch.

    shared    for each input of a lane, whether all lanes share it; at the end those
              that are closed over
    """

    uses_results = False

    def __init__(self, run: Run, shared: tuple[bool, ...]) -> None:
        super().__init__(getattr(run.tree.owner, "__name__", "f"))
        self._run, self._shared, self._n = run, shared, run.n
        self._reduced = run.reduced
        count = len(run.reduced) // 2 if run.has_flags else len(run.reduced)
        self._given = run.reduced[:count]  # without flags
        rows = {row for path in run.tree.paths for row in path.long.rows}
        self.sealed = run.executor is None and all(map(is_of_table, rows))
        self.doubles = np is not None
        self._pull_of_all: OfBatch | None = None

    def __reduce__(self) -> Any:
        run = self._run
        parts = run.tree, run.n, run.reduced, None, run.has_flags
        return _row, (*parts, self._shared)

    def inside(self, xs: Sequence[Any]) -> None:
        """Nothing: its lanes are too many to be looked at."""

    # ---- values ----------------------------------------------------------------------

    def at(self, xs: Sequence[float]) -> tuple[float, ...]:
        """The results on floats, lane by lane for each output."""
        columns = [*map(_column, self._columns(xs))]
        outs = self._run(columns)[: len(self._given)]
        return tuple(array("d", _bits(outs)))

    def on_values(self, inputs: Sequence[Any], outs: Sequence[Any]) -> list[Any]:
        """The results of a call on these, column by column, whose numbers are known."""
        nodes = self._nodes([type(x) in (Value, Mixed) for x in inputs])
        items: list[Any] = [x.items if type(x) is Mixed else x for x in inputs]
        operands = items[0] if self._shared == (False,) else joined(items)
        found = self._outputs(_components(self, _bits(outs), tuple(operands)))
        return [y if is_node else out for y, out, is_node in zip(found, outs, nodes)]

    def _nodes(self, values: Sequence[bool]) -> list[bool]:
        """Which outputs depend, on any path, on inputs that are Values."""
        mask = sum([1 << i for i, is_value in enumerate(values) if is_value])
        masks = [sources(path.long) for path in self._run.tree.paths]
        return [any(each & mask for each in output) for output in zip(*masks)]

    def _columns(self, xs: Sequence[Any]) -> Iterator[Any]:
        """The operands by input: one for all lanes, or one for each."""
        at = 0
        for once in self._shared:
            yield xs[at] if once else xs[at : at + self._n]
            at += 1 if once else self._n

    def _outputs(self, ys: Sequence[Any]) -> list[Any]:
        """What was given for results, by output."""
        if self._given == (False,):
            return [ys if isinstance(ys, list) else list(ys)]
        found, at = [], 0
        for once in self._given:
            found.append(ys[at] if once else list(ys[at : at + self._n]))
            at += 1 if once else self._n
        return found

    # ---- derivatives -----------------------------------------------------------------

    def pull(self, ys: Sequence[Any], xs: Sequence[Any], y_bars: Sequence[Any]) -> Any:
        """x_bars: a batch of pullbacks, in which those of what is shared are summed."""
        bars = self._outputs(y_bars)
        return self._derive(LanePullback, xs, bars, self._given, self._shared)

    def push(self, ys: Sequence[Any], xs: Sequence[Any], x_dots: Sequence[Any]) -> Any:
        """y_dots: a batch of pushforwards."""
        dots = [*self._columns(x_dots)]
        return self._derive(LanePushforward, xs, dots, self._shared, self._given)

    def pull_doubles(self, xs: bytes, y_bars: bytes) -> bytes | None:
        """As `pull`, of doubles where all results have an adjoint; None if not all
        operands have one then."""
        row = self._pull_of_all
        if row is None:
            what = (True,) * len(self._given), self._n, self._given, self._shared
            row = self._pull_of_all = self._derivative(LanePullback, *what)
        bars: Any = np.frombuffer(y_bars)
        operands: Any = np.frombuffer(xs)
        columns = [*self._columns(operands)]
        at = 0
        for once in self._given:
            columns.append(bars[at] if once else bars[at : at + self._n])
            at += 1 if once else self._n
        columns = [x if x.ndim else float(x) for x in columns]
        outs = row._run(columns)
        half = len(outs) // 2
        if row.may_leave_out() and any(map(_any, outs[half:])):
            return None
        return _bits(outs[:half])

    def may_leave_out(self) -> bool:
        """Whether a flag of its lanes may be set, on any path."""
        outputs = [path.long.outputs for path in self._run.tree.paths]
        flags = [y for each in outputs for y in each[len(each) // 2 :]]
        return any(type(y) is int or y != 0.0 for y in flags)

    def _derive(
        self,
        kind: type[LaneDerivative],
        xs: Sequence[Any],
        bars: Sequence[Any],
        shared: tuple[bool, ...],
        reduced: tuple[bool, ...],
    ) -> list[Any]:
        """What a derivative of each lane gives; lanes that are alike run at once."""
        columns = [*self._columns(xs)]
        totals: list[Any] = [None if once else [None] * self._n for once in reduced]
        for present, lanes in _alike(bars, self._n):
            if not any(present):
                continue
            given = [_some(b, lanes) for b, there in zip(bars, present) if there]
            which = tuple([once for once, there in zip(shared, present) if there])
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
        shared: tuple[bool, ...],
        reduced: tuple[bool, ...],
    ) -> OfBatch:
        sizes = len(self._shared), len(self._given)
        tree = self._run.tree.kept(_derived, kind, present, *sizes)
        run = Run(tree, n, (*reduced, *reduced), self._run.executor, True)
        every = *self._shared, *shared
        return run.row(every)

    def with_flags(self, xs: list[Any]) -> tuple[list[Any], list[Any]]:
        """The results by output, Values where operands are, and flags as numbers."""
        outs = self._run([*map(_column, self._columns(numbers_of(xs)))])
        half = len(outs) // 2
        shares: Any = array("d", _bits(outs[:half]))
        if Value in set(map(type, xs)):
            shares = _components(self, shares.tobytes(), tuple(xs))
        every = self._n
        absent = [out == every if type(out) is float else out for out in outs[half:]]
        return self._outputs(shares), absent


def _any(flags: Any) -> bool:
    if type(flags) is float:
        return flags != 0.0
    return bool(flags.any())


def _bits(outs: Sequence[Any]) -> bytes:
    """The outputs one after the other, as doubles."""
    if np is None:
        return array("d", joined(outs)).tobytes()
    return b"".join(
        [array("d", [y]).tobytes() if type(y) is float else y.tobytes() for y in outs]
    )


def _column(xs: Any) -> Column:
    """Numbers of all lanes as a column, or the one that they share."""
    if type(xs) is float:
        return xs
    return list(xs) if np is None else np.frombuffer(array("d", xs))


def _derived(
    tree: Branches, kind: type[LaneDerivative], present: Present, *sizes: int
) -> Branches:
    return Branches(kind(tree, present, *sizes), NUMBER)


def _some(column: Any, lanes: Sequence[int]) -> Any:
    """The numbers of some lanes; what is shared as it is."""
    if type(column) in (float, Value) or len(lanes) == len(column):
        return column
    return [column[i] for i in lanes]


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

    def __init__(
        self, tree: Branches, present: Present, inputs: int, outputs: int
    ) -> None:
        self.tree, self.present = tree, present
        self.inputs, self.outputs = inputs, outputs  # of the lane, without flags
        name = getattr(tree.owner, "__name__", "f")
        self.__name__ = f"{type(self).word}_{name}"

    word = "derivative"

    def roots(self, form: Form) -> list[Any]:
        """Nothing in which Values could be: its tapes have none."""
        return []

    def _recorded(self, xs: Sequence[Any], wanted: Sequence[int]) -> Recording:
        paths, outputs = list(self.tree.paths), self.outputs

        def lane(*xs: Any) -> list[Any]:
            return walked(paths, xs)[:outputs]

        return Recording("vmap", lane, tuple(xs), tuple(wanted), {})

    def _with_flags(
        self, run: Recording, found: list[Any], given: Sequence[Any]
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
