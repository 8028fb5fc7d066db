"""A batch taken apart into columns, and put together again from those of its results.

column    an input or an output: a number for each lane, or one number for all
skeleton  what f gives for one lane, with the places of its outputs for numbers
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..transforms import _alike, _array, _is_array, _like, _values, ravel
from ..value import Value
from .calls import Batch, container
from .structure import NUMBER, Array, Form, flatten

try:
    import numpy as np
except ImportError:  # lists will do
    np = None  # type: ignore[assignment]

Column = Any  # a float, or a list or array of them
Tables = dict[tuple[int, ...], Any]  # by the outputs in their columns


# ---- taken apart ---------------------------------------------------------------------


def length(batched: Sequence[Any]) -> int:
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


def flat(arg: Any) -> tuple[list[Any], Form]:
    """`flatten`, without looking at each number of an array of numbers."""
    if _is_array(arg) and arg.dtype.kind in "fiu":
        return arg.astype(np.float64).ravel().tolist(), Array(arg.shape)
    return flatten(arg, "vmap: an argument")


def lane_of(tree: Any, i: int) -> Any:
    """What f gets for one lane."""
    if isinstance(tree, dict):
        return {key: lane_of(item, i) for key, item in tree.items()}
    if isinstance(tree, tuple):
        return _like(tree, [lane_of(item, i) for item in tree])
    return tree[i]


def has_values(tree: Any) -> Iterator[bool]:
    for leaf in _leaves(tree):
        if _table(leaf, len(leaf)) is None:
            yield next(_values(leaf), None) is not None


def has_arrays(tree: Any) -> Iterator[bool]:
    return (_is_array(leaf) for leaf in _leaves(tree))


def columns_of(tree: Any, n: int) -> tuple[list[Column], Any]:
    """A column for each number of a lane, and a lane (of ones if there is none)."""
    if isinstance(tree, dict):
        found = [columns_of(item, n) for item in tree.values()]
        lanes = dict(zip(tree, [lane for _, lane in found]))
        return [column for columns, _ in found for column in columns], lanes
    if isinstance(tree, tuple):
        found = [columns_of(item, n) for item in tree]
        columns = [column for columns, _ in found for column in columns]
        return columns, _like(tree, [lane for _, lane in found])
    first = tree[0] if n else _ones(tree)
    table = _table(tree, n)
    if table is not None:
        return list(table.reshape(n, -1).T) if n else _no_lanes(first), first
    rows = [_alike("vmap: each lane", "the first", first, lane) for lane in tree]
    columns = [list(column) for column in zip(*rows)] if n else _no_lanes(first)
    return columns if np is None else list(map(np.array, columns)), first


def batches(tree: Any, form: Form) -> Iterator[Any]:
    """What C is told of a batch: a step for each container, and the kind of each leaf.

    The form is that of one lane.
    """
    if isinstance(tree, (tuple, dict)):
        yield container(tree)
        items = tree.values() if isinstance(tree, dict) else tree
        for item, inside in zip(items, form.forms):
            yield from batches(item, inside)
    elif isinstance(tree, list):
        yield Batch(False, form == NUMBER, form)
    else:
        dense = form == NUMBER and tree.strides[0] == 8
        yield Batch(True, dense, form)


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
    return [empty(0) for _ in ravel(lane)[0]]


def empty(n: int) -> Column:
    return [0.0] * n if np is None else np.empty(n)


def point(inputs: Sequence[Column], lane: int) -> list[float]:
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


# ---- put together --------------------------------------------------------------------


def tables_for(skeleton: Any, n: int) -> Tables:
    """An array for each list or array of outputs, to be written column by column."""
    if isinstance(skeleton, (dict, tuple)):
        items = skeleton.values() if isinstance(skeleton, dict) else skeleton
        found = [tables_for(item, n) for item in items]
        return {columns: table for tables in found for columns, table in tables.items()}
    if _is_array(skeleton) or _is_table(skeleton):
        table = np.asarray(skeleton, dtype=np.float64)
        return {_outputs_in(table): np.empty((n, *table.shape))}
    return {}


def _outputs_in(table: Any) -> tuple[int, ...]:
    return tuple([int(j) for j in table.ravel().tolist()])


def gathered(
    skeleton: Any, outs: list[Column], n: int, arrays: bool, tables: Tables
) -> Any:
    """The outputs in f's containers, given with their numbers in place of them."""
    if isinstance(skeleton, dict):
        return {k: gathered(x, outs, n, arrays, tables) for k, x in skeleton.items()}
    if isinstance(skeleton, tuple):
        items = [gathered(item, outs, n, arrays, tables) for item in skeleton]
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
