"""How Values are copied and pickled: at linear cost, and without recursion.

What is copied together stays linked: where one Value is computed from another, so is
its copy from the other's. `deepcopy` and `pickle` see to that by remembering what they
have met; but they would walk a graph by recursion, from a result to its operands. So
the first result they meet gives them its whole history, oldest node first: each node
then finds its operands copied already.

A later result adds only what is new. `deepcopy` tells what it has met, by its memo.
Pickle does not; but it keeps what it has met alive, and reduces it only once. So each
pickle gets a `_Ledger` of what it was given, which lives as long as its memo does, and
is asked to reduce itself a second time by no pickle but a foreign one.

Where a leaf was assigned after something was computed from it, that is part of the
history: what was stale stays stale, and what was current stays current, unless it is
met before what is stale: then both are.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Container, Iterator
from copy import deepcopy
from operator import itemgetter
from typing import Any
from weakref import ref

from .primitives import Primitive, brief
from .value import (
    Value,
    _call_node,
    _component,
    _node,
    _refuse_in_trace,
    require_current,
)

Reduced = tuple[Any, tuple[Any, ...]]


def _shallow_copy(x: Value) -> Value:
    """A Value like x, of the same operands.

    >>> from copy import copy
    >>> x = Value(3.0); y = copy(x * x); y.backward(); x.grad
    6.0

    Raises ValueError if one of them was assigned since: the copy would look current.
    """
    _refuse_in_trace(x, "a copy")
    require_current(x, "copy")
    return _restored(*_kept(x), *_parts(x))


def _deep_copy(x: Value, memo: dict[int, Any]) -> Any:
    """A Value computed like x, from copies of the leaves.

    >>> u = Value(3.0) ** 2; y = u.sin()
    >>> u2, y2 = deepcopy((u, y)); y2.parents[0] is u2
    True
    """
    _refuse_in_trace(x, "a copy")
    if x._row is None:
        return _restored(*_kept(x))
    for item in _history(x, memo):
        if item._row is None:
            _assign_again(deepcopy(item, memo))
        else:
            made_by, operands, partials = _parts(item)
            args = [deepcopy(y, memo) if type(y) is Value else y for y in operands]
            memo[id(item)] = _restored(*_kept(item), made_by, tuple(args), partials)
    return memo[id(x)]


def _history(x: Value, copied: Container[int]) -> list[Value]:
    """The computed Values that x is made of, and x: oldest first, less those copied.

    A leaf in between was assigned at that time, after it had been an operand.
    """
    found, assigned = {id(x): x}, {}
    todo = [x]
    for node in todo:  # which grows meanwhile
        for arg in _parts(node)[1]:
            if type(arg) is not Value:
                continue
            if arg._assigned > node._made:
                assigned[id(arg)] = arg
            if arg._row is not None and id(arg) not in found and id(arg) not in copied:
                found[id(arg)] = arg
                todo.append(arg)
    times: list[tuple[float, Value]] = [(node._made, node) for node in todo]
    times += [(leaf._assigned, leaf) for leaf in assigned.values()]
    return [item for _, item in sorted(times, key=itemgetter(0))]


def _assign_again(leaf: Value) -> None:
    """Make stale what was computed from a leaf so far."""
    leaf.data = leaf.data


def _kept(x: Value) -> tuple[float, Any, float | None]:
    """What a copy has in common with x, leaf or not."""
    return x._data, x._note, x._grad if x.reached else None


def _parts(x: Value) -> tuple[Primitive | int | None, tuple[Any, ...], Any]:
    """What made x, of which operands, with which partials; a place in their call."""
    if x._call is not None:
        return x._place, (x._call,), ()
    return x._row, x._args, tuple(x._partials)


def _restored(
    data: Any,
    note: Any,
    grad: float | None,
    made_by: Primitive | int | None = None,
    args: tuple[Any, ...] = (),
    partials: tuple[float | None, ...] = (),
) -> Value:
    if made_by is None:
        x = Value(data)
    elif isinstance(made_by, int):
        x = _component(args[0], made_by)
    else:
        make = _call_node if made_by.call else _node
        x = make(made_by, data, args, partials)
    x._note = note
    if grad is not None:
        x._grad = grad
    return x


# ---- pickle --------------------------------------------------------------------------


def _reduced(x: Value) -> Reduced:
    """What pickle writes for x: how to restore it, of operands it has written already.

    Where it has not, it is given x's history instead. That includes x: when pickle
    comes back from there it has x, and drops what it was about to write.
    """
    row, ledger = x._row, _ledger()
    if row is not None and id(x) in ledger.due:
        return _unpickled, (version(), *_kept(x), *_parts(x))
    _refuse_in_trace(x, "a copy")
    if row is None:
        return _unpickled, (version(), *_kept(x))
    return _last, (ledger, _History(x))


def version() -> str:
    """The version of this package, which pickles bear."""
    found: str = sys.modules[__package__].__version__
    return found


def require_version(what: str, theirs: Any) -> None:
    """Refuse a pickle of another version, whose parts may mean something else."""
    if theirs != version():
        raise ValueError(
            f"pickle: {what} must be of this version of scalar-autograd, {version()}, "
            f"but is of {brief(theirs)}; make it anew, or load it with that version "
            "and save its numbers"
        )


class Version:
    """What stands first in a pickle, to be looked at before anything else is read."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __reduce__(self) -> Reduced:
        return require_version, (self.what, version())


def _unpickled(version: Any, *parts: Any) -> Value:
    require_version("a Value", version)
    return _restored(*parts)


class _Ledger:
    """What one pickle has of all graphs (`given`), and is being given (`due`).

    Looking for a node in `due` moves on to it: what it passes over was there already.
    """

    def __init__(self) -> None:
        self.given: set[int] = set()
        self.due: Iterator[int] = iter(())
        self._in_a_pickle = False

    def __reduce__(self) -> Reduced:
        if self._in_a_pickle:  # and this is another one, which begins anew
            return _last, (_new_ledger(),)
        self._in_a_pickle = True
        return _last, (None,)


class _History:
    """The history of x, found out when pickle gets there and the ledger is right."""

    def __init__(self, x: Value) -> None:
        self.x = x

    def __reduce__(self) -> Reduced:
        ledger = _ledger()
        items = _history(self.x, ledger.given)
        ledger.due = map(id, items)
        ledger.given.update(map(id, items))
        return _last, tuple([
            _Assignment(item) if item._row is None else item for item in items
        ])  # fmt: skip


class _Assignment:
    """A leaf's, as an item of a history."""

    def __init__(self, leaf: Value) -> None:
        self.leaf = leaf

    def __reduce__(self) -> Reduced:
        return _assign_again, (self.leaf,)


def _last(*items: Any) -> Any:
    return items[-1]


class _Ledgers(threading.local):
    """Those of the pickles that this thread is making, one inside another."""

    def __init__(self) -> None:
        self.stack: list[ref[_Ledger]] = []


_ledgers = _Ledgers()


def _new_ledger() -> _Ledger:
    ledger = _Ledger()
    _ledgers.stack.append(ref(ledger))
    return ledger


def _ledger() -> _Ledger:
    """The latest ledger of which the pickle is there still, or a new one."""
    while _ledgers.stack:
        ledger = _ledgers.stack[-1]()
        if ledger is not None:
            return ledger
        _ledgers.stack.pop()
    return _new_ledger()


for _name, _method in (
    ("__copy__", _shallow_copy),
    ("__deepcopy__", _deep_copy),
    ("__reduce__", _reduced),
):
    setattr(Value, _name, _method)
