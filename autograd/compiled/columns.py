"""A batch taken apart into columns, and put together again from those of its results.

Lists and arrays are batches, and hold an item for each lane; other containers hold a
batch in each item. What is no number in a lane belongs to its form, so lanes of several
forms make groups, which are run one after the other.

column    an input or an output: a number for each lane, or one number for all
holder    the form of what holds batches, each in the place of a number
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from types import NoneType
from typing import Any, Final, NamedTuple

from ..primitives import brief, number
from ..trees import (
    NUMBER,
    Container,
    Form,
    Static,
    array_of,
    described,
    fill,
    flatten,
    has_names,
    is_array,
    is_static,
    items_of,
    outline,
    parts,
    rebuilt,
    size,
)
from ..value import Value, doubles
from .calls import Batch, container, holds_array, shape_of, steps

try:
    import numpy as np
except Exception:  # lists will do: see machine.py
    np = None  # type: ignore[assignment]

Column = Any  # a float, or a list or array of them
MOST_FORMS: Final = 64  # of the lanes of one batch
_TEXTS: Final = frozenset((bool, str, NoneType))


# ---- taken apart ---------------------------------------------------------------------


class Lanes(NamedTuple):
    """A list or an array, read: columns if its lanes are alike, else rows.

    forms   that lanes have; with more than one, `which` says the one of each lane
    """

    forms: Sequence[Form]
    columns: list[Column]
    rows: Sequence[Sequence[Any]] = ()
    which: Sequence[int] = ()

    def of(self, lanes: Any) -> list[Column]:
        """The columns of some lanes, which are alike."""
        if len(self.forms) == 1:
            return [picked(column, lanes) for column in self.columns]
        return _columns([self.rows[i] for i in lanes])

    def has_values(self) -> bool:
        """Whether any lane has some."""
        if self.columns:
            return any(type(column) is Mixed for column in self.columns)
        return Value in set(map(type, chain.from_iterable(self.rows)))


class Mixed(NamedTuple):
    """A column with Values in it, and their numbers."""

    items: list[Any]
    numbers: Column

    def of(self, lanes: Any) -> Mixed:
        """That of some lanes."""
        return Mixed([self.items[i] for i in lanes], picked(self.numbers, lanes))


class Argument(NamedTuple):
    """An argument: its batches and their holder; without any, all lanes share it."""

    given: Any
    batches: list[Any] | None = None
    holder: Form = NUMBER

    def lane(self, i: int) -> Any:
        """What f gets for one lane."""
        if self.batches is None:
            return self.given
        return fill(self.holder, [batch[i] for batch in self.batches])


def argument(arg: Any, axis: int | None) -> Argument:
    """An argument with its batches: the lists and arrays, held by other containers."""
    if axis is None:
        return Argument(arg)
    batches: list[Any] = []
    return Argument(arg, batches, _holder(arg, batches))


def _holder(tree: Any, batches: list[Any], named: bool = False) -> Form:
    if isinstance(tree, list) or is_array(tree):
        _require_no_batches(tree)
        batches.append(tree)
        return NUMBER
    if named and is_static(tree):  # a setting, for all lanes
        return Static(type(tree), tree)
    found = parts(tree, "vmap: an argument")
    if found is None:
        raise TypeError(
            f"vmap: a batch must be a list or an array, but is {brief(tree)}; "
            "share it by in_axes=None"
        )
    items, names, rest = found
    named = has_names(type(tree), names)
    forms = tuple([_holder(item, batches, named) for item in items])
    return Container(type(tree), names, rest, forms)


def _require_no_batches(tree: Any) -> None:
    """Refuse a list of arrays of one length: is each a lane, or a batch itself?"""
    if not isinstance(tree, list) or not tree or not all(map(is_array, tree)):
        return
    if len(set(map(len, tree))) == 1:
        places = ", ".join(["0"] * min(len(tree), 3)) + ", …" * (len(tree) > 3)
        raise TypeError(
            f"vmap: a list must hold an item for each lane, but has {len(tree)} arrays "
            f"of length {len(tree[0])}; for batches side by side make it a tuple, or "
            f"pass in_axes=([{places}],); for lanes use numpy.stack"
        )


def length(batches: Sequence[Any]) -> int:
    """The number of lanes, which every batch must have."""
    lengths = list(map(len, batches))
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


def flat(arg: Any) -> tuple[list[Any], Form]:
    """The numbers and the form of what all lanes share."""
    return flatten(arg, "vmap: an argument")


def read(batch: Any, n: int) -> Lanes:
    """The lanes of a batch; for none, a lane of ones says what they would be."""
    if not n:
        form = flatten(1.0 if isinstance(batch, list) else np.ones(batch.shape[1:]))[1]
        return Lanes([form], [empty(0) for _ in range(size(form))])
    column = _column_of(batch)
    if column is not None:
        return Lanes([NUMBER], [column])
    table = _table(batch, n)
    if table is not None:
        form = flatten(batch[0], "vmap: each lane")[1]
        return Lanes([form], list(table.reshape(n, -1).T))
    if is_array(batch) and batch.ndim == 1 and batch.dtype.kind in "bU":
        items, places = np.unique(batch, return_inverse=True)
        forms = [flatten(item)[1] for item in items]
        _require_few(forms)
        return Lanes(forms, [], [()] * n, places.tolist())
    known: dict[Form, int] = {}
    rows, which = [], []
    for lane in batch:
        row, form = _row(lane)
        rows.append(row)
        which.append(known.setdefault(form, len(known)))
        if len(known) > MOST_FORMS:
            break
    _require_few(forms := list(known))
    _require_alike(forms)
    return Lanes(forms, _columns(rows) if len(forms) == 1 else [], rows, which)


def _column_of(batch: Any) -> Column | None:
    """A list of floats and Values, or an array of objects that is one, as a column."""
    items = batch
    if is_array(batch) and batch.ndim == 1 and batch.dtype == object:
        items = batch.tolist()
    found = doubles(items) if type(items) is list else None
    if found is None:
        return None
    bits, has_values = found
    numbers = array("d", bits).tolist() if np is None else np.frombuffer(bits)
    return Mixed(items, numbers) if has_values else numbers


def _row(lane: Any) -> tuple[Sequence[Any], Form]:
    kind = type(lane)
    return (
        ((), Static(kind, lane)) if kind in _TEXTS else flatten(lane, "vmap: each lane")
    )


def _require_few(forms: Sequence[Form]) -> None:
    if len(forms) > MOST_FORMS:
        raise ValueError(
            f"vmap: what is no number must have at most {MOST_FORMS} forms in a batch, "
            f"but {described(forms[MOST_FORMS])} is one more; pass numbers, such as "
            "np.array(x, float), or call f lane by lane"
        )


def _require_alike(forms: Sequence[Form]) -> None:
    for form in forms:
        if outline(form) != outline(forms[0]):
            raise ValueError(
                "vmap: each lane must have the structure of the first, "
                f"{described(forms[0])}, but one is {described(form)}; give the same "
                "containers for each"
            )


def _columns(rows: Sequence[Sequence[Any]]) -> list[Column]:
    columns = [list(column) for column in zip(*rows)]
    if np is None:
        return [_mixed(column) or column for column in columns]
    return [_mixed(column) or np.array(column) for column in columns]


def _mixed(column: list[Any]) -> Mixed | None:
    """The column with its numbers apart, if it has Values."""
    if Value not in set(map(type, column)):
        return None
    return Mixed(column, numbers_in(column))


def require_no_text(arguments: Sequence[Argument]) -> None:
    """Refuse texts where there is no number at all to compile f for."""
    for batch in chain.from_iterable([arg.batches or () for arg in arguments]):
        if isinstance(batch[0], str):
            number(batch[0], "vmap", "a lane")


def by_form(batches: Sequence[Lanes], n: int) -> list[tuple[list[Form], Any]]:
    """The lanes that are alike in all batches: their forms, and which they are."""
    if all(len(batch.forms) == 1 for batch in batches):
        return [([batch.forms[0] for batch in batches], range(n))]
    groups: dict[tuple[int, ...], list[int]] = {}
    which = [batch.which if len(batch.forms) > 1 else [0] * n for batch in batches]
    for lane, key in enumerate(zip(*which)):
        groups.setdefault(key, []).append(lane)
    return [
        (
            [batch.forms[k] for batch, k in zip(batches, key)],
            lanes if np is None else np.array(lanes),
        )
        for key, lanes in groups.items()
    ]


def picked(column: Column, lanes: Any) -> Column:
    """The numbers of some lanes."""
    if isinstance(lanes, range) or type(column) in (float, Value):
        return column
    if type(column) is Mixed:
        return column.of(lanes)
    return [column[lane] for lane in lanes] if np is None else column.take(lanes)


def for_c(arg: Argument, form: Form) -> list[Any]:
    """What C is told of a batch: a step for each container, and the kind of each leaf.

    The form is that of one lane.
    """
    return list(_for_c(arg.given, form))


def _for_c(tree: Any, form: Form) -> Iterator[Any]:
    if isinstance(tree, list):
        yield Batch(False, size(form) == 1, form)
    elif is_array(tree):
        in_place = tree.dtype == np.float64  # numbers of other types are copied
        dense = size(form) == 1 and (tree.strides[0] == 8 or not in_place)
        yield Batch(True, dense, form)
    elif isinstance(form, Static):
        yield from steps(form)
    else:
        yield container(form, plain=False)
        for item, inside in zip(items_of(tree), form.forms):
            yield from _for_c(item, inside)


def _table(batch: Any, n: int) -> Any:
    """The batch as an array of float64, if it is one of numbers through and through."""
    if np is None or isinstance(batch, list) and not _is_plain(batch):
        return None
    try:
        table = np.asarray(batch)
    except ValueError:  # a ragged list, which is told off lane by lane
        return None
    kinds = "fiu" if table.ndim == 1 else "fiub"  # rows of truths are numbers
    if table.dtype.kind not in kinds or type(table) not in (np.ndarray, np.memmap):
        return None
    return np.require(table, np.float64, "A")


def numbers_in(column: Any) -> Column:
    """A column, or what all lanes share, without the graphs of Values in it."""
    if type(column) in (float, Value):
        return column
    if type(column) is Mixed:
        return column.numbers
    xs = [x._data if type(x) is Value else float(x) for x in column]
    return xs if np is None else np.array(xs, float)


def _is_plain(items: Iterable[Any]) -> bool:
    """Whether these are all numbers, or all lists or all tuples or arrays of them."""
    kinds = set(map(type, items))
    if kinds <= {float, int}:
        return True
    if len(kinds) == 1 and kinds <= {list, tuple}:
        return _is_plain([*chain.from_iterable(items)])
    if kinds == {np.ndarray}:
        return all(item.dtype.kind in "fiub" and item.ndim for item in items)
    return all(issubclass(kind, np.number) for kind in kinds - {float, int})


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


def tables_for(form: Form, n: int) -> tuple[list[Any], list[Column]]:
    """An array for each list or array of outputs, and the columns to be written."""
    tables: list[Any] = []
    outs: list[Column] = []
    for leaf in _leaves(form):
        shape = None if np is None else shape_of(leaf)
        table = np.empty((n, *shape)) if shape else None
        tables.append(table)
        if table is None:
            outs += [empty(n) for _ in range(size(leaf))]
        else:
            outs += list(table.reshape(n, size(leaf)).T)
    return tables, outs


def _leaves(form: Form) -> list[Form]:
    """The forms in a result that are given for each lane, in other containers."""
    if isinstance(form, Container) and not issubclass(form.kind, list):
        return [leaf for item in form.forms for leaf in _leaves(item)]
    return [form]


def _held(form: Form) -> Form:
    """The form with a number in the place of each leaf."""
    if isinstance(form, Container) and not issubclass(form.kind, list):
        return form._replace(forms=tuple(map(_held, form.forms)))
    return NUMBER


def gathered(
    form: Form,
    outs: Sequence[Column],
    n: int,
    arrays: bool,
    tables: Sequence[Any] | None = None,
) -> Any:
    """The outputs in f's containers, each leaf of them for all lanes."""
    leaves = _leaves(form)
    found, slot = [], 0
    for leaf, table in zip(leaves, tables or [None] * len(leaves)):
        columns = outs[slot : slot + size(leaf)]
        found.append(_gathered(leaf, columns, n, arrays, table))
        slot += size(leaf)
    return fill(_held(form), found)


def _gathered(
    leaf: Form, outs: Sequence[Column], n: int, arrays: bool, table: Any
) -> Any:
    if leaf == NUMBER:
        return _as_array(outs[0]) if arrays else _plain(outs[0])
    shape = None if np is None else shape_of(leaf)
    if shape is None:
        return _each_lane(leaf, [_plain(column) for column in outs], n)
    if table is None:
        columns = [_as_array(column) for column in outs]
        table = np.stack(columns, 1) if columns else np.empty((n, 0))
        table = table.reshape(n, *shape)
    return table if arrays or holds_array(leaf) else table.tolist()


def _each_lane(leaf: Form, outs: Sequence[list[Any]], n: int) -> list[Any]:
    """What f gave for each lane, in a list."""
    return [fill(leaf, row) for row in (zip(*outs) if outs else [()] * n)]


def merged(found: Sequence[tuple[Any, Any]], n: int) -> Any:
    """What groups of lanes gave as one batch, each lane in its place."""
    (_, first), *others = found
    if not others:
        return first
    if all(type(tree) is list for _, tree in found):
        out = [None] * n
        for lanes, tree in found:
            for lane, item in zip(lanes, tree):
                out[lane] = item
        return out
    if all(is_array(tree) and tree.shape[1:] == first.shape[1:] for _, tree in found):
        return _merged_arrays(found, n)
    if len({_container_of(tree) for _, tree in found}) > 1:
        raise other_containers()
    columns = zip(*[items_of(tree) for _, tree in found])
    groups = [lanes for lanes, _ in found]
    return rebuilt(first, [merged([*zip(groups, column)], n) for column in columns])


def _container_of(tree: Any) -> Any:
    found = parts(tree)
    if found is None or isinstance(tree, list):
        raise other_containers()
    items, names, rest = found
    return type(tree), len(items), names, rest


def _merged_arrays(found: Sequence[tuple[Any, Any]], n: int) -> Any:
    _, first = found[0]
    kind = np.result_type(*[tree for _, tree in found])
    out = np.empty((n, *first.shape[1:]), kind)
    for lanes, tree in found:
        out[lanes] = tree
    return out


def other_containers() -> TypeError:
    """The refusal of lanes whose results do not go into one batch."""
    return TypeError(
        "vmap: f must give the same containers for every lane, but a branch gives "
        "others; return the same structure from each"
    )


def _as_array(column: Column) -> Any:
    return array_of(column, (len(column),)) if isinstance(column, list) else column


def _plain(column: Column) -> list[Any]:
    return column if isinstance(column, list) else list(column.tolist())
