"""A function over a batch: compiled once, run for every lane, regrouped by branches.

All lanes run on the path taken most. Those that fail a guard of it are collected and
run on the path that goes the other way there, which is traced if no one has been on it,
and so on until no lane is left. The outcomes of the guards alone say which path a lane
is on, so it does not matter which others are in the batch, or how that is cut.

    lane      one point of the batch            turns   the outcomes of a path's guards
    column    an input: a number for each lane, or one number for all (shared)

Read `branches.py` (the paths), `columns.py` (what comes in and goes out), `sums.py`
(what `reduce` gives) and `pieces.py` (threads and executors) beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from itertools import chain
from typing import Any, Literal

from ..transforms import ravel
from ..value import Value, watching
from . import calls
from .branches import Branches, Turns, Uncompiled, Way, way_of
from .columns import (
    Column,
    batches,
    columns_of,
    empty,
    flat,
    gathered,
    has_arrays,
    has_values,
    lane_of,
    length,
    point,
    tables_for,
)
from .jit import Compiled
from .pieces import by_guard, cut, in_threads, loaded, mapped, no_guards
from .structure import Entries, Form, Items, fill
from .sums import Sums, Total
from .trace import Doubt

try:
    import numpy as np
except ImportError:  # lists will do
    np = None  # type: ignore[assignment]

Axes = int | None | Sequence[int | None]
Reduce = Literal["sum", "mean"] | None
Group = tuple[Turns, Any]  # the lanes whose guards begin with these turns


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
    executor  any concurrent.futures.Executor, as of Dask or mpi4py: the batch
              is cut, and the pieces run there, with the same bits as in one process

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


@calls.called_in_c
class Batched:
    """A function of batches; what it compiled is kept for each form of one lane."""

    ready: Any = None  # the way taken most in the last call, if C can call it

    def __init__(
        self,
        f: Callable[..., Any],
        in_axes: Axes,
        reduce: Reduce,
        executor: Executor | None,
    ) -> None:
        self.lane, self.in_axes = Compiled(f, ()), in_axes
        self.lane.caller = "vmap"
        self.reduce, self.executor = reduce, executor
        self._trees: dict[Form, Branches] = {}

    @property
    def doubt(self) -> Doubt | None:
        """Why its lanes run op by op, one after the other; None where they do not."""
        return self.lane.doubt

    def __call__(self, *args: Any) -> Any:
        axes = self._axes(args)
        batched = [arg for arg, axis in zip(args, axes) if axis == 0]
        n = length(batched)
        if self.reduce == "mean" and n == 0:
            raise ValueError(
                "vmap: a batch must hold at least one lane for a mean, but is empty; "
                "the mean of nothing is no number"
            )
        values = watching() is not None or any(chain(*map(has_values, batched)))
        if self.lane.doubt is None and not values:
            try:
                return self._all_at_once(args, axes, n)
            except Uncompiled:
                pass
        return self._one_by_one(args, axes, n)

    def _all_at_once(
        self, args: tuple[Any, ...], axes: Sequence[int | None], n: int
    ) -> Any:
        """The results by compiled code for all lanes."""
        batched = [arg for arg, axis in zip(args, axes) if axis == 0]
        inputs, tree = self._read(args, axes, n)
        if tree.path is None:
            tree.grow((), point(inputs, 0))
        if self.reduce:
            totals = self._reduced(tree, inputs, n)
            self.ready = self._for_c(tree, args, axes, n)
            return totals
        if tree.closed or Value in map(type, inputs):
            return self._one_by_one(args, axes, n)
        arrays = any(chain(*map(has_arrays, batched)))
        out = self._stacked(tree, inputs, n, arrays)
        if tree.closed:  # a branch just traced is the first to use a Value
            return self._one_by_one(args, axes, n)
        self.ready = self._for_c(tree, args, axes, n)
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
                columns, arg = columns_of(arg, n)
            numbers, form = flat(arg)
            inputs += numbers if axis is None else columns
            forms.append(form)
        form = Items(tuple, (Items(tuple, tuple(forms)), Entries((), ())))
        if form not in self._trees:
            self._trees[form] = Branches(self.lane, form)
        elif not self._trees[form].is_current():
            self._trees[form] = self._trees[form].renewed()
        return inputs, self._trees[form]

    def _stacked(
        self, tree: Branches, inputs: list[Column], n: int, arrays: bool
    ) -> Any:
        skeleton = fill(tree.outputs_form, map(float, range(len(tree.outputs))))
        tables = {} if np is None else tables_for(skeleton, n)
        found = {
            j: column
            for columns, table in tables.items()
            for j, column in zip(columns, table.reshape(n, len(columns)).T)
        }
        outs = [found[j] if j in found else empty(n) for j in range(len(tree.outputs))]
        _run_lanes(tree, tree.columns(inputs), n, outs, self.executor)
        if tree.truths:
            tables = {}
            outs = [_bools(y) if j in tree.truths else y for j, y in enumerate(outs)]
        return gathered(skeleton, outs, n, arrays, tables)

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

    def _for_c(
        self, tree: Branches, args: Sequence[Any], axes: Sequence[int | None], n: int
    ) -> Any:
        """The way taken most, for C to make calls like this one."""
        elsewhere = self.executor is not None or n == 0
        made_here = tree.closed or (tree.truths and not self.reduce)
        if calls.extension is None or elsewhere or made_here:
            return None
        forms = tree.form.forms[0].forms
        arguments = [
            form if axis is None else list(batches(arg, form))
            for arg, axis, form in zip(args, axes, forms)
        ]
        way = tree.ways[0]
        key = tuple([x for x, axis in zip(map(tuple, arguments), axes) if axis == 0])
        if key not in way.ready:
            way.ready[key] = calls.mapped(
                way, tree.outputs_form, arguments, tree.closed, tree.places, self.reduce
            )
        return way.ready[key]

    def _one_by_one(
        self, args: tuple[Any, ...], axes: Sequence[int | None], n: int
    ) -> Any:
        """A call for each lane, on Values: recorded, or traced by who traces now."""
        lanes = [
            self.lane(
                *[lane_of(x, i) if axis == 0 else x for x, axis in zip(args, axes)]
            )
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
        arrays = any(chain(*map(has_arrays, batched)))
        skeleton = ravel(lanes[0])[1]([float(i) for i in range(len(outs))])
        return gathered(skeleton, [list(column) for column in outs], n, arrays, {})

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "executor": None}


calls.connect(Batched)


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
            tree.grow(turns, point(columns, int(lanes[0])))
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
        way = way_of(ways, turns)
        if way is None:
            missing.append((turns, lanes))
            continue
        failed = _run_group(way, columns, n, outs, lanes)
        way.counted += len(lanes)
        for k, left in by_guard(failed, lanes):
            way.counted -= len(left)
            todo.append((way.other(k), left))
    return missing


def _run_group(
    way: Way, columns: list[Column], n: int, outs: list[Column], lanes: Any
) -> Any:
    """Run some lanes on one path; gives the guard that failed for each, or -1."""
    columns = columns[: way.tape.inputs]
    if len(lanes) == n:
        return _batch(way, columns, n, outs)
    some = [empty(len(lanes)) for _ in outs]
    picked = [c if type(c) is float else _picked(c, lanes) for c in columns]
    failed = _batch(way, picked, len(lanes), some)
    for out, column in zip(outs, some):
        if np is not None:
            out[lanes] = column
        else:
            for lane, y in zip(lanes, column):
                out[lane] = y
    return failed


def _bools(column: Column) -> Column:
    return [y != 0.0 for y in column] if np is None else column != 0.0


def _picked(column: Column, lanes: Any) -> Column:
    return [column[lane] for lane in lanes] if np is None else column[lanes]


def _batch(way: Way, columns: list[Column], n: int, outs: list[Column]) -> Any:
    """Run lanes at once; gives the guard that failed for each, or -1."""
    failed = no_guards(n)

    def run(start: int, stop: int) -> None:
        way.executable.batch(
            cut(columns, start, stop),
            stop - start,
            [out[start:stop] for out in outs],
            failed[start:stop],
        )

    if np is None:  # a part of a list is a copy
        way.executable.batch(columns, n, outs, failed)
    else:
        in_threads(run, way, n)
    return failed


# ---- elsewhere -----------------------------------------------------------------------


def _lanes_there(ways: bytes, columns: list[Column], n: int) -> Any:
    """On the executor: the outputs of a piece, and the lanes on paths not known."""
    known = loaded(ways)
    outs = [empty(n) for _ in known[0].tape.outputs]
    return outs, _run_groups(known, columns, n, outs, [((), range(n))])


def _lanes_elsewhere(
    executor: Executor, ways: list[Way], columns: list[Column], n: int, outs: list[Any]
) -> list[Group]:
    missing: list[Group] = []
    for lanes, (found, left) in mapped(executor, _lanes_there, ways, columns, n):
        for out, column in zip(outs, found):
            out[lanes.start : lanes.stop] = column
        for turns, some in left:
            moved = [lanes.start + int(lane) for lane in some]
            missing.append((turns, moved if np is None else np.array(moved)))
    return missing
