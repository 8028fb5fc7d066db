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

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple

from .. import signatures
from ..primitives import brief, clean
from ..signatures import F, seen_as
from ..trees import Form, fill, flatten, is_array, replaced
from ..value import Value
from ..watch import watching
from . import calls
from .axes import Pieces, Spread, are_plain, require_axes, taken_apart
from .batched_nodes import Run
from .branches import Branches, Uncompiled
from .columns import (
    Argument,
    Column,
    Lanes,
    Mixed,
    argument,
    by_form,
    flat,
    for_c,
    gathered,
    length,
    merged,
    numbers_in,
    other_containers,
    point,
    read,
    require_no_text,
    tables_for,
)
from .jit import Compiled
from .running import run_lanes
from .structure import of_call
from .sums import Sums, Total
from .trace import Doubt, numbers_of

try:
    import numpy as np
except Exception:  # lists will do: see machine.py
    np = None  # type: ignore[assignment]

Axes = int | None | Sequence[Any]
Reduce = Literal["sum", "mean"] | None


class Group(NamedTuple):
    """Lanes of one form: which they are, their inputs, and the paths for them."""

    lanes: Any
    inputs: list[Column]
    tree: Branches
    mixed: bool  # whether there are Values in lanes

    def is_on_values(self) -> bool:
        return bool(self.tree.closed) or Value in map(type, self.inputs) or self.mixed

    def numbers(self) -> list[Column]:
        """The inputs without their graphs."""
        return list(map(numbers_in, self.inputs)) if self.mixed else self.inputs


@seen_as(signatures.Vmap)
def vmap(
    f: Callable[..., Any],
    in_axes: Axes = 0,
    reduce: Reduce = None,
    executor: Executor | None = None,
) -> Batched[Any]:
    """The function that applies f to every lane of a batch, compiled.

    >>> vmap(lambda x: x * x if x > 0 else -x)([-1.0, 3.0])
    [1.0, 9.0]
    >>> from autograd import value_and_grad
    >>> loss = lambda w, x, y: (w[0] * x + w[1] - y) ** 2
    >>> step = vmap(value_and_grad(loss), in_axes=(None, 0, 0), reduce="mean")
    >>> step([2.0, 0.0], [0.0, 1.0, 2.0], [1.0, 3.0, 5.0])
    (1.0, [-2.0, -2.0])

    in_axes   0 for an argument that is a batch, None for one that all lanes share; one
              for all arguments, or one for each: another axis of arrays or of nested
              lists, or a container of axes in the place of one
    reduce    "sum" or "mean" of every output over the lanes
    executor  any concurrent.futures.Executor, as of Dask or mpi4py: the batch
              is cut, and the pieces run there, with the same bits as in one process

    A list or an array is a batch, one item for each lane; a tuple, a dict or any other
    container holds one batch in each item. So it is with what comes back: item i of
    each batch in it is what f gives for lane i, in arrays if an argument has arrays,
    else in lists. By name, what holds a list or an array is a batch, and all else is
    shared. For an empty batch, f is run at ones to learn what it returns.

    >>> f = vmap(lambda p, x: p["w"] * x[0] + p["b"], in_axes=({"w": 0, "b": None}, 1))
    >>> f({"w": [1.0, 2.0], "b": 0.5}, [[3.0, 4.0], [0.0, 0.0]])
    [3.5, 8.5]

    What is no number (bool, str, None) makes groups of lanes, at most 64, and f is
    compiled for each:

    >>> vmap(lambda up, x: 2 * x if up else -x)([True, False, None], [3.0, 4.0, 5.0])
    [6.0, -4.0, -5.0]

    Values may be in the batch, shared, or closed over by f: the results are then
    Values, nodes of one call for all lanes, whose derivatives are batches as well.
    """
    if not callable(f):
        raise TypeError(
            f"vmap: f must be a function, but is {type(f).__name__}; write vmap(f) "
            "first and call the result with a batch"
        )
    require_axes(in_axes)
    if reduce not in (None, "sum", "mean"):
        raise ValueError(
            f"vmap: reduce must be 'sum', 'mean' or None, but is {brief(reduce)}; "
            "reduce the result yourself"
        )
    if executor is not None and not _is_executor(executor):
        raise TypeError(
            "vmap: executor must be a concurrent.futures.Executor or None, but is "
            f"{brief(executor)}; pass one that is running, as ProcessPoolExecutor(4) is"
        )
    return Batched(f, in_axes, reduce, executor)


def _is_executor(x: Any) -> bool:
    return callable(getattr(x, "submit", None)) and not isinstance(x, type)


@calls.called_in_c
class Batched(Generic[F]):
    """A function of batches; what it compiled is kept for each form of one lane."""

    ready: Any = None  # the way taken most in the last call, if C can call it

    def __init__(
        self,
        f: Callable[..., Any],
        in_axes: Axes,
        reduce: Reduce,
        executor: Executor | None,
    ) -> None:
        self.lane: Compiled[Any] = Compiled(f)
        self.in_axes = in_axes
        self.lane.caller = "vmap"
        self.reduce, self.executor = reduce, executor
        self._trees: dict[Form, Branches] = {}
        self._spread: dict[Any, Batched[Any]] = {}  # of the pieces of arguments

    __wrapped__ = calls.Wrapped(lambda self: self.lane.f)

    def __repr__(self) -> str:
        how = "" if self.reduce is None else f", reduce={self.reduce!r}"
        axes = "" if self.in_axes == 0 else f", in_axes={self.in_axes!r}"
        return (
            f"<vmap of {clean(self.lane.__qualname__.rpartition('.')[2])}{axes}{how}>"
        )

    @property
    def doubt(self) -> Doubt | None:
        """Why its lanes run op by op, one after the other; None where they do not."""
        found = [each.doubt for each in self._spread.values()]
        return next(filter(None, [self.lane.doubt, *found]), None)

    def _call(self, *args: Any, **names: Any) -> Any:
        axes = self._axes(args, names)
        if names or not are_plain(axes):
            return self._in_pieces(taken_apart(args, axes, names))
        arguments = list(map(argument, args, axes))
        batches = [batch for arg in arguments for batch in arg.batches or ()]
        n = length(batches)
        if self.reduce == "mean" and n == 0:
            raise ValueError(
                "vmap: a batch must hold at least one lane for a mean, but is empty; "
                "the mean of nothing is no number"
            )
        lanes = [read(batch, n) for batch in batches]
        if self.lane.doubt is None and watching() is None:
            try:
                return self._all_at_once(arguments, batches, lanes)
            except Uncompiled:
                pass
        return self._one_by_one(arguments, batches, n)

    if TYPE_CHECKING:
        __call__: F  # what f takes and gives for each lane
    else:
        __call__ = _call

    def _all_at_once(
        self,
        arguments: Sequence[Argument],
        batches: Sequence[Any],
        lanes: Sequence[Lanes],
    ) -> Any:
        """The results by compiled code for all lanes."""
        n = len(batches[0])
        groups = self._grouped(arguments, lanes, n)
        for group in groups:
            try:
                if group.tree.path is None:
                    group.tree.grow((), point(group.numbers(), 0))
            except Uncompiled as found:
                known = {int(i): y for i in group.lanes[:1] for y in found.args}
                return self._one_by_one(arguments, batches, n, known)
        if self.reduce:
            out = self._reduced(groups, n)
        else:
            arrays = any(map(is_array, batches))
            out = merged([(g.lanes, self._stacked(g, arrays)) for g in groups], n)
        self.ready = self._for_c(groups, arguments, n)
        return out

    def _in_pieces(self, pieces: Pieces) -> Any:
        """A call of what takes the pieces of the arguments along their first axes."""
        key, f = (pieces.form, tuple(pieces.axes)), self.lane.f
        if key not in self._spread:
            if f is None:
                raise ValueError(
                    "vmap: f must be importable for a call of another form, but did "
                    "not travel with the pickle; make such a call before pickling"
                )
            spread = Spread(f, pieces.form)
            self._spread[key] = Batched(spread, pieces.axes, self.reduce, self.executor)
        return self._spread[key](*pieces.trees)

    def _axes(self, args: tuple[Any, ...], names: dict[str, Any]) -> Sequence[Any]:
        axes: Sequence[Any]
        if isinstance(self.in_axes, (tuple, list)):
            axes = self.in_axes
        else:
            axes = [self.in_axes] * len(args)
        if len(axes) != len(args):
            raise ValueError(
                f"vmap: in_axes must have one entry for each of the {len(args)} "
                f"argument(s), but has {len(axes)}; write None for a shared one"
            )
        if not names and all(axis is None for axis in axes):
            raise ValueError(
                "vmap: at least one argument must be a batch, but in_axes is "
                f"{brief(self.in_axes)}; call the function itself for a single point"
            )
        return axes

    def _grouped(
        self, arguments: Sequence[Argument], batches: Sequence[Lanes], n: int
    ) -> list[Group]:
        """The lanes by their forms, each group with the paths for such lanes."""
        shared = [flat(a.given) if a.batches is None else ([], None) for a in arguments]
        groups = []
        for forms, lanes in by_form(batches, n):
            columns = iter([batch.of(lanes) for batch in batches])
            inside = iter(forms)
            inputs: list[Column] = []
            whole: list[Form] = []
            for arg, (numbers, form) in zip(arguments, shared):
                inputs += numbers
                for _ in arg.batches or ():
                    inputs += next(columns)
                whole.append(form or replaced(arg.holder, inside))
            mixed = any(type(column) is Mixed for column in inputs)
            groups.append(Group(lanes, inputs, self._tree(of_call(whole)), mixed))
        if n and not any(group.inputs for group in groups):
            require_no_text(arguments)
        return groups

    def _tree(self, form: Form) -> Branches:
        if form not in self._trees:
            self._trees[form] = Branches(self.lane, form)
        elif not self._trees[form].is_current():
            self._trees[form] = self._trees[form].renewed()
            calls.forget(self)
        return self._trees[form]

    def _stacked(self, group: Group, arrays: bool) -> Any:
        n, tree = len(group.lanes), group.tree
        if n and group.is_on_values():
            return self._stacked_values(group, arrays)
        tables, outs = tables_for(tree.outputs_form, n)
        run_lanes(tree, tree.columns(group.inputs), n, outs, self.executor)
        if n and group.is_on_values():  # by a path just traced
            return self._stacked_values(group, arrays)
        if not tree.truths:
            return gathered(tree.outputs_form, outs, n, arrays, tables)
        outs = [_bools(y) if j in tree.truths else y for j, y in enumerate(outs)]
        return gathered(tree.outputs_form, outs, n, arrays)

    def _stacked_values(self, group: Group, arrays: bool) -> Any:
        """The results as components of one call."""
        outs = self._on_values(group, reduced=False)
        truths = group.tree.truths
        outs = [_bools(y) if j in truths else y for j, y in enumerate(outs)]
        return gathered(group.tree.outputs_form, outs, len(group.lanes), arrays)

    def _on_values(self, group: Group, reduced: bool) -> list[Any]:
        """The outputs of one call on Values, with all that its lanes close over."""
        n, inputs, executor = len(group.lanes), group.inputs, self.executor
        run = Run(group.tree, n, (reduced,) * len(group.tree.outputs), executor)
        outs = run(numbers_of(group.numbers()))
        inputs = [*inputs, *group.tree.closed]
        shared = [type(x) in (float, Value) for x in inputs]
        row = run.row(tuple(shared))
        return row.on_values(inputs, outs)

    def _reduced(self, groups: Sequence[Group], n: int) -> Any:
        form = groups[0].tree.outputs_form
        if any(group.tree.outputs_form != form for group in groups):
            raise other_containers()
        return self._added(form, list(map(self._totals, groups)), n)

    def _added(self, form: Form, rows: Sequence[Sequence[Any]], n: int) -> Any:
        """The sums, or means over n lanes, of these rows of outputs."""
        totals = [sum(column[1:], column[0]) for column in zip(*rows)]
        mean = self.reduce == "mean"
        return fill(form, [total / n if mean else total for total in totals])

    def _totals(self, group: Group) -> list[Any]:
        """The sums over a group of lanes: Values where they depend on some."""
        if group.mixed:
            return self._on_values(group, reduced=True)
        sums = Sums(group.tree, group.inputs, len(group.lanes), self.executor)
        totals: list[Any] = sums.totals(group.inputs)
        operands = sums.operands(group.inputs)
        if Value in map(type, operands):
            rows = [Total(sums, j, y) for j, y in enumerate(totals)]
            totals = [Value._apply(row, tuple(operands)) for row in rows]
        return totals

    def _for_c(
        self, groups: Sequence[Group], arguments: Sequence[Argument], n: int
    ) -> Any:
        """The way taken most, for C to make calls like this one."""
        tree = groups[0].tree
        elsewhere = self.executor is not None or n == 0 or len(groups) > 1
        made_here = tree.closed or (tree.truths and not self.reduce) or groups[0].mixed
        if calls.extension is None or elsewhere or made_here:
            return None
        forms = tree.form.forms[0].forms
        told = [
            form if arg.batches is None else for_c(arg, form)
            for arg, form in zip(arguments, forms)
        ]
        way = tree.ways[0]
        key = tuple([tuple(each) for each in told if isinstance(each, list)])
        if key not in way.ready:
            way.ready[key] = calls.mapped(
                way, tree.outputs_form, told, tree.closed, tree.places, self.reduce
            )
        return way.ready[key]

    def _one_by_one(
        self,
        arguments: Sequence[Argument],
        batches: Sequence[Any],
        n: int,
        known: Mapping[int, Any] = MappingProxyType({}),
    ) -> Any:
        """A call for each lane, on Values: recorded, or traced by who traces now.

        known   what some lanes have given already
        """
        if not n:
            raise ValueError(
                "vmap: a batch must hold at least one lane where Values take part, but "
                "is empty; leave it out"
            )
        groups: dict[Form, tuple[list[int], list[list[Any]]]] = {}
        for i in range(n):
            lane = [arg.lane(i) for arg in arguments]
            out = known[i] if i in known else self.lane(*lane)
            numbers, form = flatten(out, "vmap: the result of f")
            lanes, rows = groups.setdefault(form, ([], []))
            lanes.append(i)
            rows.append(numbers)
        if self.reduce and len(groups) > 1:
            raise other_containers()
        if self.reduce:
            return self._added(form, rows, n)
        arrays = any(map(is_array, batches))
        found = []
        for form, (lanes, rows) in groups.items():
            columns = [list(column) for column in zip(*rows)]
            found.append((lanes, gathered(form, columns, len(lanes), arrays)))
        return merged(found, n)

    def __getstate__(self) -> dict[str, Any]:
        kept = {"_trees": dict(self._trees), "_spread": dict(self._spread)}
        return {**self.__dict__, **kept, "executor": None}


calls.connect(Batched)


def _bools(column: Column) -> Column:
    return [y != 0.0 for y in column] if np is None else column != 0.0
