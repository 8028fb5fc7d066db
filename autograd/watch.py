"""Who is shown what a thread computes: a trace, or a block that looks for something.

`record_lines` keeps the source line of each node, `detect_anomaly` finds where a number
stops being finite, and a trace writes a function down. Each is a block of a `with`, and
holds for its thread until that ends, however it ends. An interrupt (Ctrl-C) may come
between any two bytecodes, so no Python runs where a block opens or closes: its `with`
calls C to be entered in `watchers`, and holds a lock that C lets go of. A block whose
lock is free, or gone with the frame that held it, is over: whoever looks drops it.
"""

from __future__ import annotations

import os
import sys
from _thread import LockType, allocate_lock, get_ident
from collections import deque
from collections.abc import Callable
from functools import partial
from math import isfinite
from typing import Any, Final, NoReturn
from weakref import ref

from .accelerator import in_c, twin
from .primitives import clean

_HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGES: Final = (_HERE + os.sep, os.path.join(os.path.dirname(_HERE), "nn") + os.sep)


class Block:
    """A block that was opened, by whoever holds its lock."""

    __slots__ = ("lock", "watcher")

    def __init__(self, watcher: Any, lock: LockType) -> None:
        self.watcher, self.lock = watcher, ref(lock)


watchers: Final[dict[Block, int]] = {}  # the thread of each block, as they were opened
watch: Callable[[Block, int], None] = twin("watch", watchers.__setitem__)
new_lock: Callable[[], LockType] = twin("Hold", allocate_lock)


@in_c
def unwatch(block: Block) -> None:
    """Show nothing to the watcher of a block any more."""
    watchers.pop(block, None)


class Part:
    """A method of C's own for `with`; who asks the class gets a call of it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, each: Watching | None, kind: type) -> Callable[..., None]:
        if each is None:
            return lambda each, *error: self.__get__(each, kind)(*error)
        part: Callable[..., None] = getattr(each, self.name)
        return part


class Watching:
    """What `with` takes to open a block, once."""

    __enter__, __exit__ = Part("enter"), Part("exit")

    def __init__(
        self, name: str, enter: Callable[..., None], exit: Callable[..., None]
    ) -> None:
        self.name, self.enter, self.exit = name, enter, exit

    def __repr__(self) -> str:
        return f"<{self.name}: enter it by with>"


def watched_by(watcher: Any, name: str = "trace") -> Watching:
    """Show this thread's new nodes and sweeps to the watcher, inside a `with`."""
    lock = new_lock()
    lock.acquire()
    enter = partial(watch, Block(watcher, lock), get_ident())
    return Watching(name, enter, lock.__exit__)


def watching() -> Any:
    """Who is shown the nodes and sweeps of this thread, or None."""
    if not watchers:
        return None
    here, found = get_ident(), None
    for block, thread in [*watchers.items()]:
        lock = block.lock()
        if lock is None or not lock.locked():
            unwatch(block)
        elif thread == here:
            found = block.watcher
    return found


def tracing() -> Any:
    """The trace that this thread is making of a function to compile, or None."""
    watcher = watching()
    return None if watcher is None else watcher.trace


def tracing_elsewhere() -> list[Any]:
    """The traces that other threads are making."""
    here = get_ident()
    watching = [b.watcher for b, thread in [*watchers.items()] if thread != here]
    return [each for each in watching if each.trace is each]


def require_own(*xs: Any) -> None:
    """Raise if an x is of a trace that another thread is making.

    That one would not be told of what this thread does with it.
    """
    for trace in tracing_elsewhere():
        if any(map(trace.has_made, xs)):
            trace.doubt("compute in another thread", again=True)
            raise ValueError(
                "jit: f must compute in one thread, but uses its numbers in another "
                "while it is traced; call jit in each thread instead"
            )


def recording() -> Any:
    """The trace that is shown what this thread makes, or None if no trace itself is."""
    watcher = watching()
    return watcher if watcher is not None and watcher.trace is watcher else None


def _forget_other_threads() -> None:
    """In a forked process, where they do not run."""
    for block, thread in list(watchers.items()):
        if thread != get_ident():
            unwatch(block)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_other_threads)


# ---- source lines, and the first number that is not finite ---------------------------


def record_lines() -> Watching:
    """Keep, in `line`, the line of the caller's source that computed each Value.

    It holds for the thread that enters it, and makes recording slower. Inside
    `detect_anomaly`, or around it, lines are kept and anomalies are found. As long as
    it is open, it also knows which lines compared Values, for `why` to tell.

    >>> from autograd import Value
    >>> x = Value(2.0)
    >>> with record_lines():
    ...     y = x * x
    >>> y.line.split(":")[-1], (x * x).line
    ('2', None)
    """
    both = isinstance(watching(), _Anomalies)  # who looks for anomalies keeps lines too
    return watched_by(_Anomalies() if both else _Lines(), "record_lines()")


def detect_anomaly() -> Watching:
    """Turn the first value or adjoint that is not finite into a FloatingPointError.

    The message names the operation, its operands and the line of the caller's source.
    It holds for the thread that enters it, and makes recording slower.

    >>> from autograd import Value
    >>> with detect_anomaly():
    ...     Value(0.0, label="x").log()
    Traceback (most recent call last):
    FloatingPointError: log: the value must be finite, but is -inf at x=0.0; ...
    """
    if tracing() is not None:
        raise TypeError(
            "detect_anomaly: it must be entered outside a compiled function, but is "
            "inside; write it around the call"
        )
    return watched_by(_Anomalies(), "detect_anomaly()")


MOST_COMPARED: Final = 64  # of one line, that are kept


class Compared:
    """What a line compared, the latest times: Values, with what stood beside them."""

    def __init__(self) -> None:
        self.count = 0
        self.pairs: deque[tuple[Any, Any]] = deque(maxlen=MOST_COMPARED)


def note_comparison(x: Any, other: Any) -> None:
    """Keep the line that compared two numbers, in blocks that keep lines."""
    watcher = watching()
    if isinstance(watcher, _Lines):
        watcher.see_comparison(x, other)


def comparisons() -> dict[str, Compared]:
    """What this thread has compared, by lines, in the blocks that it is inside of."""
    if watching() is None:
        return {}
    known = [block.watcher for block, at in [*watchers.items()] if at == get_ident()]
    inside = [each.compared for each in known if isinstance(each, _Lines)]
    return {line: found for each in inside for line, found in each.items()}


class _Lines:
    """Notes on each new node the line that computed it, and what lines compare."""

    def __init__(self) -> None:
        self.compared: dict[str, Compared] = {}

    @property
    def trace(self) -> Any:
        """The trace around it, which sees what it sees, as long as that is made."""
        known = [
            block.watcher for block, at in [*watchers.items()] if at == get_ident()
        ]
        traces = [each for each in known if not isinstance(each, _Lines)]
        return traces[-1] if traces else None

    def see_value(self, node: Any) -> None:
        trace = self.trace
        if trace is not None:
            trace.see_value(node)
        node._note = (node.label, caller())

    def see_comparison(self, x: Any, other: Any) -> None:
        """Keep both on the line that compared them, as long as the block is open."""
        found = self.compared.setdefault(caller(), Compared())
        found.count += 1
        found.pairs.append((x, other))

    def see_adjoints(self, adjoints: dict[Any, Any], order: list[Any]) -> None:
        """Sweeps compute no node."""

    def see_tangents(self, tangents: dict[Any, Any], order: list[Any]) -> None:
        """Nor do forward sweeps."""


class _Anomalies(_Lines):
    """Looks at each new node, and at the adjoints of each finished sweep."""

    def see_value(self, node: Any) -> None:
        super().see_value(node)
        if not isfinite(node._data):
            _complain(node, "the value", node._data)

    def see_adjoints(self, adjoints: dict[Any, Any], order: list[Any]) -> None:
        """Name the first step, from the result down, whose share is not finite."""
        sums: dict[Any, float] = {}
        for node in reversed(order):
            adjoint = _number(adjoints[node])
            for parent, local in zip(node.parents, node.partials):
                if parent not in adjoints:  # nobody asked for its derivative
                    continue
                share = local * adjoint
                if not isfinite(share):
                    what = f"the local derivative {local!r} times the adjoint"
                    _complain(node, f"{what} {adjoint!r}", share)
                sums[parent] = sums.get(parent, 0.0) + share
                if not isfinite(sums[parent]):
                    _complain(node, "the sum of adjoints of an operand", sums[parent])

    def see_tangents(self, tangents: dict[Any, Any], order: list[Any]) -> None:
        """Name the first node, from the inputs up, whose tangent is not finite."""
        for node in order:
            tangent = _number(tangents.get(node, 0.0))
            if not isfinite(tangent):
                _complain(node, "the tangent", tangent)


def _number(x: Any) -> Any:
    """The number of a Value, or of what is one itself."""
    return getattr(x, "_data", x)


def _complain(node: Any, what: str, number: float) -> NoReturn:
    shown = [
        repr(arg)
        if type(arg) is float
        else f"{clean(arg.label or arg.op or 'a leaf')}={arg._data!r}"
        for arg in node._args[:4]
    ]
    operands = ", ".join(shown) + (", …" if len(node._args) > 4 else "")
    place = node.line or "its source: compute it under detect_anomaly to see the line"
    raise FloatingPointError(
        f"{clean(node.op)}: {what} must be finite, but is {number!r} at {operands}; "
        f"look at {place}"
    )


def caller() -> str:
    """The innermost line of source outside this project and NumPy: "file:line"."""
    inside: tuple[str, ...] = PACKAGES
    numpy = getattr(sys.modules.get("numpy"), "__file__", None)
    if numpy is not None:  # it calls operators for each element of an array
        inside += (os.path.dirname(numpy) + os.sep,)
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(inside):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def point_at(f: Any, error: TypeError, operation: str) -> None:
    """Note where f is defined, if it could not be called: the error's line is ours."""
    code, place = getattr(f, "__code__", None), error.__traceback__
    if code is not None and place is not None and place.tb_next is None:
        error.add_note(
            f"{operation}: f is {clean(f.__name__)} at {code.co_filename}:"
            f"{code.co_firstlineno}; call what {operation} gives as you would call f"
        )
