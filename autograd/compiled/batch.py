"""A function over a batch: compiled once, run for every lane, regrouped by branches.

All lanes run on the path taken most. Those that fail a guard of it are collected and
run on the path that goes the other way there, which is traced if no one has been on it,
and so on until no lane is left. The outcomes of the guards alone say which path a lane
is on, so it does not matter which others are in the batch, or how that is cut.

    lane      one point of the batch            turns   the outcomes of a path's guards
    column    an input: a number for each lane, or one number for all (shared)
    part      the sums of the outputs over one block of lanes, on one path
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from typing import Any, Final, Literal

from ..primitives import Primitive
from ..transforms import _alike, _array, _is_array, _like, _values, ravel
from ..value import Value, watching
from .jit import MOST_PATHS, Compiled, Path, Tree, _numbers, _Shares, executable
from .simplify import simplify
from .source import Source, combine
from .structure import NUMBER, Array, Entries, Form, Items, fill, flatten
from .tape import Executable, Guard, Instruction, Operand, Tape
from .trace import Trace

try:
    import numpy as np
except ImportError:  # lists will do
    np = None  # type: ignore[assignment]

BLOCK: Final = 1024  # lanes that are summed together; cuts are made between blocks
MOST_PIECES: Final = 64  # that a batch is cut into for an executor
WORTH_A_THREAD: Final = 2**20  # instructions times lanes: some 300 µs of machine code

Axes = int | None | Sequence[int | None]
Reduce = Literal["sum", "mean"] | None
Column = Any  # a float, or a list or array of them
Turns = tuple[bool, ...]
Group = tuple[Turns, Any]  # the lanes whose guards begin with these turns
Span = tuple[Turns, int, int, int]  # turns, a first and a last block, a lane in them


def vmap(
    f: Callable[..., Any],
    in_axes: Axes = 0,
    reduce: Reduce = None,
    executor: Executor | None = None,
) -> Batched:
    """The function that applies f to every lane of a batch, compiled.

    >>> vmap(lambda x: x * x if x > 0 else -x)([-1.0, 3.0])
    [1.0, 9.0]
    >>> from autograd import value_and_grad
    >>> loss = lambda w, x, y: (w[0] * x + w[1] - y) ** 2
    >>> step = vmap(value_and_grad(loss), in_axes=(None, 0, 0), reduce="mean")
    >>> step([2.0, 0.0], [0.0, 1.0, 2.0], [1.0, 3.0, 5.0])
    (1.0, [-2.0, -2.0])

    in_axes   0 for an argument that is a batch, None for one that all lanes share; one
              for all arguments, or one for each
    reduce    "sum" or "mean" of every output over the lanes
    executor  any concurrent.futures.Executor: the batch is cut, and the pieces run
              there, with the same bits as in one process

    A list or an array is a batch, one item for each lane; a tuple or a dict holds one
    batch in each item. So it is with what comes back: item i of each batch in it is
    what f gives for lane i, in arrays if an argument has arrays, else in lists. The
    function takes no keyword arguments. For an empty batch, f is run at ones to learn
    what it returns.

    Values may be shared, as an argument or because f closes over them. With reduce,
    each output is then one node; without, each lane is a call of `jit(f)`.
    """
    if not callable(f):
        raise TypeError(
            f"vmap: f must be a function, but is {type(f).__name__}; write vmap(f) "
            "first and call the result with a batch"
        )
    axes: Any = in_axes if isinstance(in_axes, (tuple, list)) else (in_axes,)
    for axis in axes:
        if axis is not None and (type(axis) is not int or axis != 0):
            raise ValueError(
                f"vmap: in_axes must be 0 or None for each argument, but is "
                f"{in_axes!r}; move the batch to the front (numpy.moveaxis)"
            )
    if reduce not in (None, "sum", "mean"):
        raise ValueError(
            f"vmap: reduce must be 'sum', 'mean' or None, but is {reduce!r}; "
            "reduce the result yourself"
        )
    return Batched(f, in_axes, reduce, executor)


class Batched:
    """A function of batches; what it compiled is kept for each form of one lane."""

    def __init__(
        self,
        f: Callable[..., Any],
        in_axes: Axes,
        reduce: Reduce,
        executor: Executor | None,
    ) -> None:
        self.lane, self.in_axes = Compiled(f, ()), in_axes
        self.reduce, self.executor = reduce, executor
        self._trees: dict[Form, Branches] = {}

    def __call__(self, *args: Any) -> Any:
        axes = self._axes(args)
        batched = [arg for arg, axis in zip(args, axes) if axis == 0]
        n = _length(batched)
        if self.reduce == "mean" and n == 0:
            raise ValueError(
                "vmap: a batch must hold at least one lane for a mean, but is empty; "
                "the mean of nothing is no number"
            )
        if watching() is not None or any(chain(*map(_has_values, batched))):
            return self._one_by_one(args, axes, n)
        inputs, tree = self._read(args, axes, n)
        if tree.path is None:
            tree.grow((), _point(inputs, 0))
        if self.reduce:
            return self._reduced(tree, inputs, n)
        if tree.closed or Value in map(type, inputs):
            return self._one_by_one(args, axes, n)
        arrays = any(chain(*map(_has_arrays, batched)))
        out = self._stacked(tree, inputs, n, arrays)
        if tree.closed:  # a branch just traced is the first to use a Value
            return self._one_by_one(args, axes, n)
        return out

    def _axes(self, args: tuple[Any, ...]) -> Sequence[int | None]:
        axes: Sequence[int | None]
        if isinstance(self.in_axes, (tuple, list)):
            axes = self.in_axes
        else:
            axes = [self.in_axes] * len(args)  # type: ignore[list-item]
        if len(axes) != len(args):
            raise ValueError(
                f"vmap: in_axes must have one entry for each of the {len(args)} "
                f"argument(s), but has {len(axes)}; write None for a shared one"
            )
        if 0 not in axes:
            raise ValueError(
                "vmap: at least one argument must be a batch, but in_axes is "
                f"{self.in_axes!r}; call the function itself for a single point"
            )
        return axes

    def _read(
        self, args: tuple[Any, ...], axes: Sequence[int | None], n: int
    ) -> tuple[list[Column], Branches]:
        """A column for each number of one lane, and the paths for such lanes."""
        inputs: list[Column] = []
        forms: list[Form] = []
        for arg, axis in zip(args, axes):
            if axis == 0:
                columns, arg = _columns(arg, n)
            numbers, form = _flat(arg)
            inputs += numbers if axis is None else columns
            forms.append(form)
        form = Items(tuple, (Items(tuple, tuple(forms)), Entries((), ())))
        if form not in self._trees:
            self._trees[form] = Branches(self.lane, form)
        return inputs, self._trees[form]

    def _stacked(
        self, tree: Branches, inputs: list[Column], n: int, arrays: bool
    ) -> Any:
        skeleton = fill(tree.outputs_form, map(float, range(len(tree.outputs))))
        outs = [_empty(n) for _ in tree.outputs]
        tables = {} if np is None else _tables(skeleton, n)
        for columns, table in tables.items():
            for j, column in zip(columns, table.reshape(n, len(columns)).T):
                outs[j] = column
        _run_lanes(tree, tree.columns(inputs), n, outs, self.executor)
        return _gathered(skeleton, outs, n, arrays, tables)

    def _reduced(self, tree: Branches, inputs: list[Column], n: int) -> Any:
        sums = Sums(tree, inputs, n, self.executor)
        totals: list[Any] = sums.totals(inputs)
        operands = sums.operands(inputs)
        if Value in map(type, operands):
            rows = [Total(sums, j, y) for j, y in enumerate(totals)]
            totals = [Value._apply(row, tuple(operands)) for row in rows]
        if self.reduce == "mean":
            totals = [total / n for total in totals]
        return fill(tree.outputs_form, totals)

    def _one_by_one(
        self, args: tuple[Any, ...], axes: Sequence[int | None], n: int
    ) -> Any:
        """A call for each lane, on Values: recorded, or traced by who traces now."""
        lanes = [
            self.lane(*[_lane(x, i) if axis == 0 else x for x, axis in zip(args, axes)])
            for i in range(n)
        ]
        if not lanes:
            raise ValueError(
                "vmap: a batch must hold at least one lane where Values take part, but "
                "is empty; leave it out"
            )
        flat = [ravel(lane, "vmap: the result of f")[0] for lane in lanes]
        outs = list(zip(*flat))
        if self.reduce:
            totals = [sum(column[1:], column[0]) for column in outs]
            scale = n if self.reduce == "mean" else 1
            return ravel(lanes[0])[1]([total / scale for total in totals])
        batched = [arg for arg, axis in zip(args, axes) if axis == 0]
        arrays = any(chain(*map(_has_arrays, batched)))
        skeleton = ravel(lanes[0])[1]([float(i) for i in range(len(outs))])
        return _gathered(skeleton, [list(column) for column in outs], n, arrays, {})

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "executor": None}


# ---- a batch taken apart into columns ------------------------------------------------


def _length(batched: Sequence[Any]) -> int:
    """The number of lanes, which every batch must have."""
    lengths = [len(leaf) for arg in batched for leaf in _leaves(arg)]
    for n in lengths:
        if n != lengths[0]:
            raise ValueError(
                f"vmap: every batch must have the length of the first, {lengths[0]}, "
                f"but one has {n}; cut them alike, or share one by in_axes=None"
            )
    if not lengths:
        raise ValueError(
            "vmap: a batched argument must hold a batch, but is empty; "
            "share it by in_axes=None"
        )
    return lengths[0]


def _leaves(tree: Any) -> Iterator[Any]:
    """The batches in an argument: lists and arrays, held by tuples and dicts."""
    if isinstance(tree, (tuple, dict)):
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from _leaves(item)
    elif isinstance(tree, list) or _is_array(tree):
        yield tree
    else:
        raise TypeError(
            f"vmap: a batch must be a list or an array, but is {tree!r}; "
            "share it by in_axes=None"
        )


def _flat(arg: Any) -> tuple[list[Any], Form]:
    """`flatten`, without looking at each number of an array of numbers."""
    if _is_array(arg) and arg.dtype.kind in "fiu":
        return arg.astype(np.float64).ravel().tolist(), Array(arg.shape)
    return flatten(arg, "vmap: an argument")


def _lane(tree: Any, i: int) -> Any:
    """What f gets for one lane."""
    if isinstance(tree, dict):
        return {key: _lane(item, i) for key, item in tree.items()}
    if isinstance(tree, tuple):
        return _like(tree, [_lane(item, i) for item in tree])
    return tree[i]


def _has_values(tree: Any) -> Iterator[bool]:
    for leaf in _leaves(tree):
        if _table(leaf, len(leaf)) is None:
            yield next(_values(leaf), None) is not None


def _has_arrays(tree: Any) -> Iterator[bool]:
    return (_is_array(leaf) for leaf in _leaves(tree))


def _columns(tree: Any, n: int) -> tuple[list[Column], Any]:
    """A column for each number of a lane, and a lane (of ones if there is none)."""
    if isinstance(tree, dict):
        found = [_columns(item, n) for item in tree.values()]
        lanes = dict(zip(tree, [lane for _, lane in found]))
        return [column for columns, _ in found for column in columns], lanes
    if isinstance(tree, tuple):
        found = [_columns(item, n) for item in tree]
        columns = [column for columns, _ in found for column in columns]
        return columns, _like(tree, [lane for _, lane in found])
    first = tree[0] if n else _ones(tree)
    table = _table(tree, n)
    if table is not None:
        return list(table.reshape(n, -1).T) if n else _no_lanes(first), first
    rows = [_alike("vmap: each lane", "the first", first, lane) for lane in tree]
    columns = [list(column) for column in zip(*rows)] if n else _no_lanes(first)
    return columns if np is None else list(map(np.array, columns)), first


def _table(batch: Any, n: int) -> Any:
    """The batch as an array of float64, if it is one of numbers through and through."""
    if np is None:
        return None
    try:
        table = np.asarray(batch)
    except ValueError:  # a ragged list, which is told off lane by lane
        return None
    if table.dtype.kind not in "fiub" or len(table) != n:
        return None
    if isinstance(batch, list) and n and isinstance(batch[0], dict):
        return None
    return np.require(table, np.float64, "A")


def _ones(batch: Any) -> Any:
    return 1.0 if isinstance(batch, list) else np.ones(batch.shape[1:])


def _no_lanes(lane: Any) -> list[Column]:
    return [_empty(0) for _ in ravel(lane)[0]]


def _empty(n: int) -> Column:
    return [0.0] * n if np is None else np.empty(n)


def _point(inputs: Sequence[Column], lane: int) -> list[float]:
    """The numbers of one lane; ones if there is none."""
    return [
        x._data
        if type(x) is Value
        else x
        if type(x) is float
        else float(x[lane])
        if len(x)
        else 1.0
        for x in inputs
    ]


Tables = dict[tuple[int, ...], Any]  # by the outputs in their columns


def _tables(skeleton: Any, n: int) -> Tables:
    """An array for each list or array of outputs, to be written column by column."""
    if isinstance(skeleton, (dict, tuple)):
        items = skeleton.values() if isinstance(skeleton, dict) else skeleton
        found = [_tables(item, n) for item in items]
        return {columns: table for tables in found for columns, table in tables.items()}
    if _is_array(skeleton) or _is_table(skeleton):
        table = np.asarray(skeleton, dtype=np.float64)
        return {_outputs_in(table): np.empty((n, *table.shape))}
    return {}


def _outputs_in(table: Any) -> tuple[int, ...]:
    return tuple([int(j) for j in table.ravel().tolist()])


def _gathered(
    skeleton: Any, outs: list[Column], n: int, arrays: bool, tables: Tables
) -> Any:
    """The outputs in f's containers, given with their numbers in place of them."""
    if isinstance(skeleton, dict):
        return {k: _gathered(x, outs, n, arrays, tables) for k, x in skeleton.items()}
    if isinstance(skeleton, tuple):
        items = [_gathered(item, outs, n, arrays, tables) for item in skeleton]
        return _like(skeleton, items)
    if type(skeleton) is float:
        column = outs[int(skeleton)]
        return _as_array(column) if arrays else _plain(column)
    if _is_array(skeleton) or (np is not None and _is_table(skeleton)):
        table = np.asarray(skeleton, dtype=np.float64)
        found = tables.get(_outputs_in(table))
        if found is None:
            columns = [_as_array(outs[j]) for j in _outputs_in(table)]
            found = np.stack(columns, 1) if columns else np.empty((n, 0))
            found = found.reshape(n, *table.shape)
        return found if arrays or _is_array(skeleton) else found.tolist()
    return _each_lane(skeleton, [_plain(column) for column in outs], n)


def _each_lane(skeleton: Any, outs: list[list[Any]], n: int) -> list[Any]:
    """What f gave for each lane, in a list."""
    numbers, _ = flatten(skeleton)
    if not numbers:
        return [skeleton for _ in range(n)]
    _, rebuild = ravel(skeleton)
    return [rebuild(row) for row in zip(*[outs[int(j)] for j in numbers])]


def _is_table(x: Any) -> bool:
    """Whether x is a list of numbers, or of such lists of one length."""
    if not isinstance(x, list):
        return False
    if all(type(item) is float for item in x):
        return True
    return all(map(_is_table, x)) and len({len(item) for item in x}) == 1


def _as_array(column: Column) -> Any:
    return _array(column, (len(column),)) if isinstance(column, list) else column


def _plain(column: Column) -> list[Any]:
    return column if isinstance(column, list) else list(column.tolist())


# ---- the paths, and which lanes are on which -----------------------------------------


@dataclass
class Way:
    """A path ready to run: the turns that lead to it, and how many lanes took it."""

    turns: Turns
    tape: Tape
    guards: tuple[int, ...]  # which turn each guard that is left on the tape checks
    executable: Executable
    taken: int = 0

    def other(self, k: int) -> Turns:
        """The turns of a lane that fails guard k of the tape first."""
        turn = self.guards[k]
        return (*self.turns[:turn], not self.turns[turn])


class Branches(Tree):
    """The paths of one lane; a new one can be made to take given turns.

    A lane of a batch can miss a guard that its numbers pass one by one, since vector
    code rounds its functions differently. It is on the path that its batch says.
    """

    def __init__(self, owner: Any, form: Form) -> None:
        super().__init__(owner, form)
        self._ways: list[Way] = []
        self._turns: Turns = ()

    def __getstate__(self) -> Any:
        return super().__getstate__(), [way.taken for way in self._ways]

    def __setstate__(self, state: Any) -> None:
        tree, taken = state
        super().__setstate__(tree)
        self._ways, self._turns = list(map(_way, self.paths)), ()
        for way, count in zip(self._ways, taken):
            way.taken = count

    @property
    def ways(self) -> list[Way]:
        """The paths known, those that were taken most first."""
        return sorted(self._ways, key=lambda way: -way.taken)

    @property
    def outputs(self) -> tuple[Operand, ...]:
        return self.paths[0].long.outputs

    @property
    def outputs_form(self) -> Form:
        return self.paths[0].form

    def columns(self, inputs: Sequence[Column]) -> list[Column]:
        """The inputs, and those closed over, as numbers."""
        return _numbers([*inputs, *self.closed])

    def grow(self, turns: Turns, xs: list[float]) -> None:
        """Trace the path that begins with these turns, at a point."""
        with self._lock:
            if _way_of(self._ways, turns) is not None:
                return  # another thread has been here
            if len(self.paths) >= MOST_PATHS:
                place = self._place(turns)
                raise ValueError(
                    f"vmap: f must take at most {MOST_PATHS} paths, but the comparison "
                    f"at {place} leads to one more; write where(condition, a, b) there"
                )
            self._turns = turns
            path = self._traced(xs)
            if self.paths and path.form != self.outputs_form:
                raise TypeError(
                    "vmap: f must give the same containers for every lane, but a "
                    "branch gives others; return the same structure from each"
                )
            self.paths.append(path)
            self.path = self.path or path
            self._ways.append(_way(path))

    def _place(self, turns: Turns) -> str:
        """The source line of the last of these turns."""
        k = len(turns) - 1
        known = (path for path in self.paths if _turns(path)[:k] == turns[:k])
        return next(known).long.guards[k].place

    def _traced(self, xs: Sequence[float]) -> Path:
        trace = _Turned(xs, self.closed, self._turns)
        try:
            out = trace.run(lambda values: self.owner.run(self.form, values))
            ys, form = flatten(out, "vmap: the result of f")
            tape = trace.tape(ys)
        finally:
            trace.close()
        self.closed = trace.closed
        return Path(tape, form, len(xs))


class _Turned(Trace):
    """A trace whose first branches go as they are told."""

    def __init__(
        self, xs: Sequence[float], closed: Sequence[Value], turns: Turns
    ) -> None:
        self._told = turns
        super().__init__(xs, closed)

    def decide(self, x: Value) -> bool:
        index = len(self.guards)
        outcome, slot = super().decide(x), self.operand(x)
        if type(slot) is float:
            return outcome
        if index < len(self.guards) and index < len(self._told):
            self._decided[slot] = self._told[index]
            self.guards[index] = self.guards[index]._replace(expected=self._told[index])
        return self._decided[slot]


def _turns(path: Path) -> Turns:
    return tuple([guard.expected for guard in path.long.guards])


def _way(path: Path) -> Way:
    return Way(_turns(path), path.short, _kept(path.long), path.executable)


def _kept(tape: Tape) -> tuple[int, ...]:
    """Which of its guards a tape still has when it is simplified."""
    numbered = [g._replace(place=str(i)) for i, g in enumerate(tape.guards)]
    short = simplify(replace(tape, guards=tuple(numbered)))
    return tuple([int(guard.place) for guard in short.guards])


def _way_of(ways: Sequence[Way], turns: Turns) -> Way | None:
    """The first way that begins with these turns."""
    known = (way for way in ways if way.turns[: len(turns)] == turns)
    return next(known, None)


# ---- lanes, each with its results ----------------------------------------------------


def _run_lanes(
    tree: Branches,
    columns: list[Column],
    n: int,
    outs: list[Column],
    executor: Executor | None,
) -> None:
    """Write the outputs of every lane, tracing the paths that no one has been on."""
    todo: list[Group] = [((), range(n))]
    if executor is not None and n:
        todo = _lanes_elsewhere(executor, tree.ways, columns, n, outs)
    while todo:
        todo = _run_groups(tree.ways, columns, n, outs, todo)
        if todo:
            turns, lanes = todo[0]
            columns = tree.columns(columns[: tree.paths[0].own])
            tree.grow(turns, _point(columns, int(lanes[0])))
            columns = tree.columns(columns[: tree.paths[0].own])


def _run_groups(
    ways: list[Way],
    columns: list[Column],
    n: int,
    outs: list[Column],
    todo: list[Group],
) -> list[Group]:
    """Run groups of lanes until none is left; gives those whose path is not known."""
    missing = []
    while todo:
        turns, lanes = todo.pop()
        way = _way_of(ways, turns)
        if way is None:
            missing.append((turns, lanes))
            continue
        failed = _run_group(way, columns, n, outs, lanes)
        way.taken += len(lanes)
        for k, left in _by_guard(failed, lanes):
            way.taken -= len(left)
            todo.append((way.other(k), left))
    return missing


def _run_group(
    way: Way, columns: list[Column], n: int, outs: list[Column], lanes: Any
) -> Any:
    """Run some lanes on one path; gives the guard that failed for each, or -1."""
    columns = columns[: way.tape.inputs]
    if len(lanes) == n:
        return _batch(way, columns, n, outs)
    some = [_empty(len(lanes)) for _ in outs]
    picked = [c if type(c) is float else _picked(c, lanes) for c in columns]
    failed = _batch(way, picked, len(lanes), some)
    for out, column in zip(outs, some):
        if np is not None:
            out[lanes] = column
        else:
            for lane, y in zip(lanes, column):
                out[lane] = y
    return failed


def _picked(column: Column, lanes: Any) -> Column:
    return [column[lane] for lane in lanes] if np is None else column[lanes]


def _by_guard(failed: Any, lanes: Any) -> list[tuple[int, Any]]:
    """(guard, the lanes that fail it first) for each guard that has any."""
    if np is not None:
        guards = np.unique(failed[failed >= 0]).tolist() if len(failed) else []
        return [(k, np.asarray(lanes)[failed == k]) for k in guards]
    groups: dict[int, list[int]] = {}
    for k, lane in zip(failed, lanes):
        if k >= 0:
            groups.setdefault(k, []).append(lane)
    return sorted(groups.items())


def _batch(way: Way, columns: list[Column], n: int, outs: list[Column]) -> Any:
    """Run lanes at once; gives the guard that failed for each, or -1."""
    failed = _no_guards(n)

    def run(start: int, stop: int) -> None:
        way.executable.batch(
            _cut(columns, start, stop),
            stop - start,
            [out[start:stop] for out in outs],
            failed[start:stop],
        )

    if np is None:  # a part of a list is a copy
        way.executable.batch(columns, n, outs, failed)
    else:
        _in_threads(run, way, n)
    return failed


def _in_threads(work: Callable[[int, int], Any], way: Way, n: int) -> list[Any]:
    """work(start, stop) for the parts of a batch, in threads if each has enough to do.

    Only machine code runs without the interpreter's lock; generated Python would wait
    for it most of the time.
    """
    most = n * len(way.tape.code) // WORTH_A_THREAD
    threads = min(most, os.cpu_count() or 1)
    if threads < 2 or isinstance(way.executable, Source):
        return [work(0, n)]
    step = -(-n // (threads * BLOCK)) * BLOCK
    starts = range(0, n, step)
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, starts, [min(i + step, n) for i in starts]))


def _no_guards(n: int) -> Any:
    return [-1] * n if np is None else np.full(n, -1, np.int32)


# ---- sums over lanes -----------------------------------------------------------------


class Sums:
    """The sums over a batch of what each lane gives, as functions of what is shared.

    Its gradient is another: that of each lane's gradient, by the same paths. `chain`
    says which outputs were differentiated on the way here.
    """

    def __init__(
        self,
        tree: Branches,
        inputs: list[Column],
        n: int,
        executor: Executor | None,
        chain: tuple[int, ...] = (),
    ) -> None:
        self.tree, self.n, self.executor = tree, n, executor
        self.inputs, self.chain = inputs, chain
        self.shared = [i for i, x in enumerate(inputs) if type(x) in (float, Value)]
        self._ways: dict[tuple[Turns, int], Way] = {}  # by the number of Values, too

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "executor": None, "_ways": {}}

    def operands(self, inputs: Sequence[Any]) -> list[Any]:
        """What the sums depend on: the shared inputs, and those closed over."""
        return [*(inputs[i] for i in self.shared), *self.tree.closed]

    def at(self, operands: Sequence[Any]) -> list[float]:
        """The sums where the shared inputs have these numbers."""
        inputs = list(self.inputs)
        for i, x in zip(self.shared, operands):
            inputs[i] = x
        return self.totals(inputs, operands[len(self.shared) :])

    def totals(
        self, inputs: Sequence[Any], closed: Sequence[float] = ()
    ) -> list[float]:
        """The sum of each output over all lanes; `closed` replaces what was used."""
        parts: list[Sequence[float]] = []
        todo: list[Span] = [((), 0, -(-self.n // BLOCK), 0)] if self.n else []
        columns = [*inputs, *closed]
        columns = _numbers([*columns, *self.tree.closed[len(closed) :]])
        if self.executor is not None and self.n:
            todo = _parts_elsewhere(self.executor, self.ways(), columns, self.n, parts)
        while todo:
            todo = _run_spans(self.ways(), columns, self.n, parts, todo)
            if todo:
                turns, _, _, lane = todo[0]
                self.tree.grow(turns, _point(columns[: len(inputs)], lane))
                used = len(columns) - len(inputs)
                columns += _numbers(self.tree.closed[used:])
        return _combined(parts, len(self._tape(self.tree.paths[0]).outputs))

    def ways(self) -> list[Way]:
        """The tree's paths, those taken most first, as they are run here."""
        if not self.chain:
            return self.tree.ways
        width = len(self.tree.closed)
        for path in self.tree.paths:
            key = (_turns(path), width)
            if key not in self._ways:
                tape = self._tape(path)
                short = simplify(tape)
                self._ways[key] = Way(key[0], short, _kept(tape), executable(short))
        return [self._ways[way.turns, width] for way in self.tree.ways]

    def gradient(self, j: int) -> Sums:
        """The sums of ∂(output j)/∂(each operand)."""
        chain = (*self.chain, j)
        return Sums(self.tree, self.inputs, self.n, self.executor, chain)

    def _tape(self, path: Path) -> Tape:
        tape, own = path.long, len(self.inputs)
        for j in self.chain:
            every = range(own, own + len(self.tree.closed))
            closed = [i if i < tape.inputs else None for i in every]
            tape = _gradient_tape(tape, j, [*self.shared, *closed])
        return tape


class Total(Primitive):
    """One output summed over a batch, as a primitive of the shared inputs."""

    def __init__(self, sums: Sums, j: int, known: float | None = None) -> None:
        name = f"sum_{sums.tree.owner.__name__}"
        latex = rf"\operatorname{{{{{name}}}}}\left({{all}}\right)"
        super().__init__(name, self._value, self._rule, latex=latex)
        self.variadic, self.arity = True, 0
        self._sums, self._j = sums, j
        self._known = known  # the value where the node is made, asked for once
        self._gradient: Sums | None = None

    def __reduce__(self) -> Any:
        return Total, (self._sums, self._j)

    def value(self, *xs: float) -> float:
        known, self._known = self._known, None
        return self._value(*xs) if known is None else known

    def _value(self, *xs: float) -> float:
        return self._sums.at(xs)[self._j]

    def _rule(self, z: Any, *xs: Any) -> list[Any]:
        if self._gradient is None:
            self._gradient = self._sums.gradient(self._j)
        found: list[Any] = self._gradient.at(_numbers(xs))[: len(xs)]
        if Value in map(type, xs):
            rows = [Total(self._gradient, i, y) for i, y in enumerate(found)]
            found = [Value._apply(row, tuple(xs)) for row in rows]
        return found


def _gradient_tape(tape: Tape, j: int, wanted: Sequence[int | None]) -> Tape:
    """The tape, its guards, and then the partials of output j by the inputs wanted."""
    one = replace(tape, outputs=(tape.outputs[j],), guards=())
    shares = Tree(_Shares(one), NUMBER).add([1.0] * tape.inputs).long
    moved = len(tape.code)

    def slot(x: Operand) -> Operand:
        return x if type(x) is float or x < tape.inputs else x + moved

    code = [Instruction(row, tuple(map(slot, args))) for row, args in shares.code]
    guards = [
        Guard(g.after + moved, int(slot(g.slot)), g.expected, g.place)
        for g in shares.guards
    ]
    outputs = [0.0 if i is None else slot(shares.outputs[i]) for i in wanted]
    return Tape(
        tape.inputs, (*tape.code, *code), tuple(outputs), (*tape.guards, *guards)
    )


def _run_spans(
    ways: list[Way],
    columns: list[Column],
    n: int,
    parts: list[Sequence[float]],
    todo: list[Span],
) -> list[Span]:
    """Sum spans of blocks, each path over all of them that have a lane on it.

    A lane counts on the one path whose guards it passes, in its own place in its
    block, so that the sums do not depend on which path was tried first.
    """
    missing = []
    while todo:
        turns, start, stop, witness = todo.pop()
        way = _way_of(ways, turns)
        if way is None:
            missing.append((turns, start, stop, witness))
            continue
        first, last = start * BLOCK, min(stop * BLOCK, n)
        cut = _cut(columns[: way.tape.inputs], first, last)
        found, failed = _parts(way, cut, last - first)
        parts += found
        way.taken += last - first
        for k, lanes in _by_guard(failed, range(first, last)):
            _require_known_guard(way, k)
            way.taken -= len(lanes)
            if way.guards[k] >= len(turns):
                low, high = int(lanes[0]), int(lanes[-1])
                todo.append((way.other(k), low // BLOCK, high // BLOCK + 1, low))
    return missing


def _require_known_guard(way: Way, k: int) -> None:
    if way.guards[k] >= len(way.turns):
        raise ValueError(
            "vmap: a rule for a partial must not branch on numbers, but one does at "
            f"{way.tape.guards[k].place}; write where(condition, a, b) there"
        )


def _parts(
    way: Way, columns: list[Column], n: int
) -> tuple[list[Sequence[float]], Any]:
    """The sums of each block, and the guard that failed for each lane, or -1."""
    runs: Any = way.executable
    failed = _no_guards(n)
    if np is None:
        return runs.block_totals(columns, n, failed), failed

    def run(start: int, stop: int) -> Any:
        cut = _cut(columns, start, stop)
        return runs.block_totals(cut, stop - start, failed[start:stop])

    return [part for parts in _in_threads(run, way, n) for part in parts], failed


def _combined(parts: list[Sequence[float]], outputs: int) -> list[float]:
    """The sum of all parts for each output: rounded once, so in any order."""
    if not parts:
        return [0.0] * outputs
    if len(parts) == 1:
        return [float(total) + 0.0 for total in parts[0]]
    return [total + 0.0 for total in combine(parts if np is None else np.array(parts))]


# ---- elsewhere: pieces of a batch on an executor -------------------------------------


def _pieces(n: int) -> list[range]:
    """The lanes cut between blocks into pieces of about equal length."""
    blocks = -(-n // BLOCK)
    step = -(-blocks // min(blocks, MOST_PIECES)) * BLOCK
    return [range(i, min(i + step, n)) for i in range(0, n, step)]


def _cut(columns: list[Column], start: int, stop: int) -> list[Column]:
    return [c if type(c) is float else c[start:stop] for c in columns]


@lru_cache(maxsize=64)
def _loaded(ways: bytes) -> list[Way]:
    """The ways that a pickle holds, compiled once in each process."""
    found: list[tuple[Turns, Tape, tuple[int, ...]]] = pickle.loads(ways)
    return [Way(turns, tape, kept, executable(tape)) for turns, tape, kept in found]


def _packed(ways: list[Way]) -> bytes:
    return pickle.dumps([(way.turns, way.tape, way.guards) for way in ways])


def _lanes_there(ways: bytes, columns: list[Column], n: int) -> Any:
    """On the executor: the outputs of a piece, and the lanes on paths not known."""
    known = _loaded(ways)
    outs = [_empty(n) for _ in known[0].tape.outputs]
    return outs, _run_groups(known, columns, n, outs, [((), range(n))])


def _parts_there(ways: bytes, columns: list[Column], n: int) -> Any:
    """On the executor: the sums of a piece, and the spans on paths not known."""
    parts: list[Sequence[float]] = []
    todo: list[Span] = [((), 0, -(-n // BLOCK), 0)]
    missing = _run_spans(_loaded(ways), columns, n, parts, todo)
    return parts, missing


def _lanes_elsewhere(
    executor: Executor, ways: list[Way], columns: list[Column], n: int, outs: list[Any]
) -> list[Group]:
    missing: list[Group] = []
    for lanes, (found, left) in _mapped(executor, _lanes_there, ways, columns, n):
        for out, column in zip(outs, found):
            out[lanes.start : lanes.stop] = column
        for turns, some in left:
            moved = [lanes.start + int(lane) for lane in some]
            missing.append((turns, moved if np is None else np.array(moved)))
    return missing


def _parts_elsewhere(
    executor: Executor,
    ways: list[Way],
    columns: list[Column],
    n: int,
    parts: list[Sequence[float]],
) -> list[Span]:
    missing = []
    for lanes, (found, left) in _mapped(executor, _parts_there, ways, columns, n):
        parts += found
        first = lanes.start // BLOCK
        for turns, start, stop, witness in left:
            missing.append((turns, first + start, first + stop, lanes.start + witness))
    return missing


def _mapped(
    executor: Executor, work: Any, ways: list[Way], columns: list[Column], n: int
) -> Iterator[tuple[range, Any]]:
    """(lanes, result) for each piece, all of which were submitted at once."""
    pieces, packed = _pieces(n), _packed(ways)
    futures = [
        executor.submit(
            work, packed, _cut(columns, lanes.start, lanes.stop), len(lanes)
        )
        for lanes in pieces
    ]
    for lanes, future in zip(pieces, futures):
        yield lanes, future.result()
