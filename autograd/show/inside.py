"""Compiled calls opened: in place of each node, the operations that it is made of.

A call of a compiled function is one node of a graph, with a value and a partial for
each operand. Its row can say what happens inside, by the method `inside`: given the
operands it returns the result as it is computed by ordinary operations, or None where
these are too many, as in a sum over a batch. With that the graph is copied as far as it
depends on such calls; the leaves and all that lies before them stay the same Values.

No compiled function is known here, so that a row of any origin can be opened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from ..value import Value, _node, require_current, tick, topological
from .latex import made_by


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
    for node in topological(*roots, whole=True):
        require_current(node, operation)
        args = tuple([found.copy(x) if isinstance(x, Value) else x for x in node._args])
        since = tick()
        result = _inside(node, args)
        if result is not None:
            name = made_by(node)
            names[name] += 1
            number = f" ({names[name]})" if names[name] > 1 else ""
            inner = topological(result, since=since, whole=True)
            found.calls.update(dict.fromkeys(inner, name + number))
            _tell(inner, result, node)
        elif any(new is not old for new, old in zip(args, node._args)):
            assert node._row is not None
            result = _node(node._row, node._data, args, node._partials)
            result._note = node._note
            if node.reached:
                result._grad = node._grad
        if result is not None:
            found.copies[node] = result
    found.roots.extend(map(found.copy, roots))
    return found


def is_closed(node: Value) -> bool:
    """Whether it is a call with an inside that could not be opened."""
    return hasattr(node._row, "inside")


def _inside(node: Value, args: tuple[Value | float, ...]) -> Value | None:
    """The result of a call, computed by the operations inside; None where it has none.

    >>> _inside(Value(2.0).sin(), (Value(2.0),))
    """
    if not is_closed(node):
        return None
    result: Value | None = node._row.inside(args)  # type: ignore[union-attr]
    return result


def _tell(inner: list[Value], result: Value, call: Value) -> None:
    """Pass on what a call knows: its label to its result; to all, line and adjoints."""
    place = None if call.line is None else (None, call.line)
    for node in inner:
        node._note = call._note if node is result else place
    if not call.reached:
        return
    bars = {result: call._grad}
    for node in reversed(inner):
        if node in bars:
            node._grad = bars[node]
            for parent, partial in zip(node.parents, node.partials):
                bars[parent] = bars.get(parent, 0.0) + partial * bars[node]
