"""Compiled calls opened: in place of each node, the operations that it is made of.

A call of a compiled function is one node of a graph, with a value and a partial for
each operand, or several that share their operands. Its row can say what happens inside,
by the method `inside`: given the operands it returns the result, or all of them, as
computed by ordinary operations, or None where these are too many, as in a sum over a
batch. With that the graph is copied as far as it depends on such calls; the leaves and
all that lies before them stay the same Values.

No compiled function is known here, so that a row of any origin can be opened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..value import Value, _node, require_current, tick, topological
from .latex import made_by


class Inside(NamedTuple):
    """A call opened: when, its results by ordinary operations, and its number."""

    since: int
    results: Sequence[Any] | None
    number: int


NOT_CLOSED = Inside(0, None, 0)


class Opened(NamedTuple):
    """Roots whose graph is opened, what stands for each Value, and the calls' names."""

    roots: list[Value]
    copies: dict[Value, Value]
    calls: dict[Value, str]  # for each operation from the inside of one

    def copy(self, x: Value) -> Value:
        """What stands for x, which is x itself where it depends on no compiled call."""
        return self.copies.get(x, x)


def opened(roots: Sequence[Value], operation: str) -> Opened:
    """The graph with the inside of all compiled calls, and the adjoints of last time.

    >>> from autograd import jit
    >>> x = Value(2.0)
    >>> square = jit(lambda x: x * x)
    >>> y = square(x) + 1
    >>> [node.op for node in topological(y)]
    ['f', 'add']
    >>> [node.op for node in topological(opened([y], "draw").roots[0])]
    ['mul', 'add']

    Raises ValueError if a leaf was assigned since the graph was recorded.
    """
    found = Opened([], {}, {})
    names: Counter[str] = Counter()
    calls: dict[Value, Inside] = {}  # by their nodes, or what joins their components
    for node in topological(*roots, whole=True):
        require_current(node, operation)
        args = tuple([found.copy(x) if isinstance(x, Value) else x for x in node._args])
        call = node if node._call is None else node._call
        result: Value | None = None
        if is_closed(node) and call not in calls:
            begin, opened = tick(), _inside(node, args)
            names[made_by(call)] += opened is not None
            calls[call] = Inside(begin, opened, names[made_by(call)])
        inside = calls.get(call, NOT_CLOSED)
        if inside.results is not None:
            result = inside.results[node._place]
            inner = topological(result, since=inside.since, whole=True)
            number = f" ({inside.number})" if inside.number > 1 else ""
            name = made_by(call) + number
            new = [x for x in inner if x not in found.calls]
            found.calls.update(dict.fromkeys(new, name))
            _tell(inner, new, result, node)
        elif any(new is not old for new, old in zip(args, node._args)):
            assert node._row is not None
            result = _node(node._row, node._data, args, tuple(node._partials))
            result._note = node._note
            if node.reached:
                result._grad = node._grad
        if result is not None:
            found.copies[node] = result
    found.roots.extend(map(found.copy, roots))
    return found


def is_closed(node: Value) -> bool:
    """Whether it is a call with an inside that could not be opened."""
    call = node if node._call is None else node._call
    return hasattr(call._row, "inside")


def _inside(node: Value, args: tuple[Value | float, ...]) -> Sequence[Any] | None:
    """The results of a call, computed by the operations inside; None if it has none."""
    call = node._call
    if call is not None:
        results: Sequence[Any] | None = call._row.inside(args)  # type: ignore[union-attr]
        return results
    result = node._row.inside(args)  # type: ignore[union-attr]
    return None if result is None else [result]


def _tell(inner: list[Value], new: list[Value], result: Value, call: Value) -> None:
    """Pass on what a call knows: its label to its result; to all, line and adjoints.

    What several results of a call share has the sum of their adjoints.
    """
    place = None if call.line is None else (None, call.line)
    for node in new:
        node._note = place
    result._note = call._note
    if not call.reached:
        return
    bars = {result: call._grad}
    for node in reversed(inner):
        if node in bars:
            node._grad = node._grad + bars[node] if node.reached else bars[node]
            for parent, partial in zip(node.parents, node.partials):
                bars[parent] = bars.get(parent, 0.0) + partial * bars[node]
