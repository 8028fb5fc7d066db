"""A number that remembers how it was computed, and the sweep that reads it backwards.

Computing with Values records a graph: each result keeps its operands and, for each,
the local derivative (the partial) at that point. `backward()` puts the graph in
topological order and walks it in reverse: the adjoint of a node, ∂y/∂node, times the
partial of each parent is that parent's share, and shares add up. That is the chain
rule, and all of it:

    parent's adjoint  +=  partial · node's adjoint

Where a choice was made (where, relu, maximum …), only the operand chosen takes part:
the others have the partial None, as plain numbers do, and no sweep enters them.
"""

from __future__ import annotations

import numbers
import operator
import sys
from array import array
from collections.abc import Callable, Sequence
from itertools import count
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NoReturn, Union, final, overload

from . import primitives as p
from .accelerator import connect, in_c, python_twins
from .primitives import (
    ARITHMETIC_ERRORS,
    Array,
    Number,
    Primitive,
    brief,
    clean,
    number,
)
from .rules import written
from .watch import (
    PACKAGES,
    note_comparison,
    recording,
    require_own,
    tracing,
    watchers,
    watching,
)

Operand = Union["Value", Number]  # for type checkers: what stands beside a Value
UNREACHED: Final = float("0.0")  # a zero of its own: no sweep has touched it

_clock = count(1)  # each node has a time of its own, as its operands were made before


@in_c
def tick() -> int:
    """The time: what was made before has an earlier one, what comes a later one."""
    return next(_clock)


@in_c
@final
class Value:
    """A float64 that records the operations it takes part in.

    >>> x = Value(1.5, label="x")
    >>> y = (x**2).sin().exp()
    >>> y.backward()
    >>> round(y.data, 6), round(x.grad, 6)
    (2.177273, -4.103116)

    Raises TypeError for what is no real number (complex, Decimal, str, another Value).
    """

    __slots__ = ("_args", "_data", "_grad", "_made", "_note", "_partials", "_row")

    _args: tuple[Value | float, ...]
    _data: float
    _grad: float
    _made: int
    _note: str | tuple[str | None, str] | None
    _partials: Sequence[float | None]
    _row: Primitive | None

    def __init__(self, data: Number, label: str | None = None) -> None:
        self._data = number(data, "Value", "data")
        self._grad = UNREACHED
        self._row, self._args, self._partials = None, (), ()
        self._note, self._made = None, next(_clock)
        if label is not None:
            self.label = label

    # ---- what it holds ---------------------------------------------------------------

    @property
    def data(self) -> float:
        """The number. A leaf's can be assigned; a computed Value's follows from it."""
        if watchers:
            _refuse_in_trace(self, "its data")
        return self._data

    @data.setter
    def data(self, new: Number) -> None:
        if watchers:
            _refuse_in_trace(self, "its data")
        if self._row is not None:
            raise TypeError(
                "Value.data: only a leaf can be assigned, but this is the result of "
                f"{brief(self.op)}; assign its operands, or start anew with "
                "Value(number)"
            )
        self._data = number(new, "Value.data", "data")
        self._partials = (tick(),)  # of no use to a leaf otherwise: see `_assigned`

    @property
    def grad(self) -> float:
        """The adjoint ∂y/∂self: of all sweeps on a leaf, of the last one elsewhere."""
        if watchers:
            _refuse_in_trace(self, "its grad")
        return self._grad

    @grad.setter
    def grad(self, new: Number) -> None:
        if watchers:
            _refuse_in_trace(self, "its grad")
        if self._row is not None:
            raise TypeError(
                "Value.grad: only a leaf's can be assigned, but this is the result of "
                f"{brief(self.op)}; every sweep starts it from zero by itself"
            )
        self._grad = number(new, "Value.grad", "grad")

    @property
    def reached(self) -> bool:
        """Whether a sweep has given this Value an adjoint; drawings show a dash if not.

        >>> x = Value(-1.0); y = x.relu(); y.backward(); x.reached
        False
        """
        return self._grad is not UNREACHED

    @property
    def label(self) -> str | None:
        """A name given by the user, shown in drawings and explanations."""
        return self._note[0] if isinstance(self._note, tuple) else self._note

    @label.setter
    def label(self, new: str | None) -> None:
        if new is not None and not isinstance(new, str):
            raise TypeError(
                f"Value.label: label must be a str or None, but is {brief(new)}; "
                "write str(...) around it"
            )
        if new is not None:
            new = str.__str__(new)  # not a subclass, which could hold this Value
        line = self.line
        self._note = new if line is None else (new, line)

    @property
    def line(self) -> str | None:
        """The source line that computed it ("file:line"), where lines were recorded."""
        return self._note[1] if isinstance(self._note, tuple) else None

    @property
    def op(self) -> str:
        """The name of the primitive that computed it; "" on a leaf."""
        return "" if self._row is None else self._row.name

    @property
    def args(self) -> tuple[Value | float, ...]:
        """The operands in order: Values, and floats for plain numbers."""
        return self._args

    @property
    def parents(self) -> tuple[Value, ...]:
        """The Values it depends on: its operands, less those that a select left out."""
        return tuple(
            arg
            for arg, partial in zip(self._args, self._partials)
            if partial is not None and isinstance(arg, Value)
        )

    @property
    def partials(self) -> tuple[float, ...]:
        """∂self/∂parent for each parent, as recorded when self was computed."""
        if watchers:
            _refuse_in_trace(self, "its partials")
        return tuple(
            partial
            for _, partial in zip(self._args, self._partials)
            if partial is not None
        )

    @property
    def _call(self) -> Value | None:
        """The call that it is a component of: see `_components`."""
        slopes = self._partials
        return slopes.call if type(slopes) is _Slopes else None

    @property
    def _place(self) -> int:
        """Which component of it."""
        slopes = self._partials
        return slopes.place if type(slopes) is _Slopes else 0

    @property
    def _assigned(self) -> float:
        """The time of a leaf's last assignment, kept where others have partials."""
        if self._row is not None:
            return 0
        (time,) = self._partials or (0,)
        return time or 0

    # ---- the sweep -------------------------------------------------------------------

    def backward(self) -> None:
        """Reverse-mode sweep: give every Value below its adjoint, ∂self/∂value.

        Leaves add to what they have, so that two sweeps count twice:

        >>> x = Value(2.0)
        >>> y = x * x * x
        >>> y.backward(); x.grad
        12.0
        >>> y.backward(); x.grad
        24.0
        """
        if watchers:
            _refuse_in_trace(self, "backward()")
        order, watcher = topological(self, calls=True), watching()
        if watcher or any(node._row.call for node in order if node._row):
            bars = _adjoints(self, order)  # apart: a watcher or a pullback may raise
            if watcher:
                watcher.see_adjoints(bars, [node for node in order if node in bars])
            for x, bar in bars.items():
                x._grad = bar
            return
        for node in order:
            node._grad = 0.0
        self._grad = self._grad + 1.0 if self._row is None else 1.0
        for node in reversed(order):
            adjoint = node._grad
            for parent, partial in zip(node._args, node._partials):
                if partial is not None:
                    parent._grad += partial * adjoint  # type: ignore[union-attr]

    # ---- arithmetic: each operator and method is a row of the table ------------------

    if TYPE_CHECKING:  # what `_install_methods` adds, for type checkers

        def _of_one(self) -> Value: ...
        @overload
        def _of_two(self, other: Operand, /) -> Value: ...
        @overload
        def _of_two(self, other: Array, /) -> Any: ...
        def _of_two(self, other: Any, /) -> Any: ...
        def leaky_relu(self, slope: Operand = 0.01, /) -> Value: ...
        def clip(self, lo: Operand, hi: Operand, /) -> Value: ...

        __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _of_two
        __truediv__ = __rtruediv__ = __pow__ = __rpow__ = __mod__ = __rmod__ = _of_two
        atan2 = arctan2 = hypot = _of_two
        __neg__ = __abs__ = __floor__ = __ceil__ = _of_one
        exp = exp2 = expm1 = log = log2 = log10 = log1p = sqrt = cbrt = _of_one
        sin = cos = tan = asin = acos = atan = arcsin = arccos = arctan = _of_one
        sinh = cosh = tanh = asinh = acosh = atanh = _of_one
        arcsinh = arccosh = arctanh = _of_one
        erf = erfc = gamma = lgamma = abs = absolute = sign = floor = ceil = _of_one
        degrees = radians = rad2deg = deg2rad = neg = identity = _of_one
        sigmoid = softplus = relu = silu = gelu = stop_gradient = _of_one
        log1mexp = digamma = erfcx = erfinv = log_ndtr = sinc = log_sigmoid = _of_one
        trunc = _of_one

    @staticmethod
    def _apply(row: Primitive, args: tuple[Any, ...]) -> Value:
        """Record any row on any operands, at least one of them a Value."""
        method = _METHODS.get(row)
        if method is not None and type(args[0]) is Value:
            result: Value = method(*args)
            if result is not NotImplemented:
                return result
        if not _PLAIN.issuperset(map(type, args)):
            args = tuple([x if type(x) is Value else number(x, row.name) for x in args])
        return _record(row, args)

    def __pos__(self) -> Value:
        """Itself, as its conjugate is."""
        return self

    def __bool__(self) -> bool:
        return _decided(self) if watchers else self._data != 0.0

    def __eq__(self, other: object) -> bool:
        return _compared("eq", self, other) if watchers else self._data == _plain(other)

    def __ne__(self, other: object) -> bool:
        return _compared("ne", self, other) if watchers else self._data != _plain(other)

    def __lt__(self, other: Operand) -> bool:
        return _compared("lt", self, other) if watchers else self._data < _plain(other)

    def __le__(self, other: Operand) -> bool:
        return _compared("le", self, other) if watchers else self._data <= _plain(other)

    def __gt__(self, other: Operand) -> bool:
        return _compared("gt", self, other) if watchers else self._data > _plain(other)

    def __ge__(self, other: Operand) -> bool:
        return _compared("ge", self, other) if watchers else self._data >= _plain(other)

    def __hash__(self) -> int:
        """By identity: equal numbers are not the same variable.

        So a set or a dict finds a Value by itself, not by its number:

        >>> x = Value(2.0)
        >>> x in {x}, x == 2.0, Value(2.0) in {2.0: "two"}
        (True, True, False)
        """
        if watchers:
            _refuse_hash(self, sys._getframe(1).f_code.co_filename)
        return object.__hash__(self)

    # ---- text -----------------------------------------------------------------------

    def __repr__(self) -> str:
        plain = _plain_in_trace(self) if watchers else None
        if plain is not None:
            return repr(plain)
        label = "" if self.label is None else f", label={self.label!r}"
        grad = f", grad={self._grad!r}" if self.reached else ""
        return f"Value({self._data!r}{grad}{label})"

    def __format__(self, spec: str) -> str:
        plain = _plain_in_trace(self) if watchers else None
        if plain is not None:
            return format(plain, spec)
        return format(self._data, spec)

    def _repr_svg_(self) -> str | None:
        from .show.draw.draw import value_svg

        return value_svg(self)

    def _repr_mimebundle_(self, **kwargs: object) -> dict[str, str]:
        from .show.draw.draw import value_outputs

        return value_outputs(self)

    def __init_subclass__(cls) -> None:
        raise TypeError(
            "Value: must not be subclassed, since every operation gives a plain Value; "
            "write functions of Values, or a Primitive for a new operation"
        )


numbers.Number.register(Value)  # tqdm shows the number of what is one


@in_c
def topological(
    *roots: Value, since: int = 0, whole: bool = False, calls: bool = False
) -> list[Value]:
    """The computed Values that the roots depend on, operands before results.

    That is the order in which they were made: an operand is there before what is
    computed from it. So the order in which adjoints are added is fixed as well, and
    with it their last bit. No recursion: any depth will do. The search does not enter
    what was made before `since`, nor (unless `whole`) operands that a select left out.
    What joins the components of a call is there only for who asks for `calls`.

    >>> x = Value(2.0)
    >>> [node.op for node in topological((x * x).sin())]
    ['mul', 'sin']
    """
    found: dict[Any, None] = {}
    todo: list[Any] = list(roots)
    for node in todo:  # which grows meanwhile
        computed = type(node) is Value and node._row is not None
        if computed and node._made >= since and node not in found:
            found[node] = None
            call = node._call
            if call is not None and calls:
                todo.append(call)
            else:
                select = (node._row.select or call is not None) and not whole
                todo.extend(node.parents if select else node._args)
    return sorted(found, key=attrgetter("_made"))


def require_current(node: Value, operation: str) -> None:
    """Raise if a leaf among the operands was assigned after node was computed."""
    for arg in node._args:
        if type(arg) is Value and arg._assigned > node._made:
            name = brief(arg.label) if arg.label else "a leaf"
            raise ValueError(
                f"{operation}: the graph must be as it was recorded, but {name} was "
                f"assigned after {brief(node.op)} was computed; compute the result "
                "again"
            )


# ---- how operators record ------------------------------------------------------------


@in_c
def _node(
    row: Primitive,
    z: float,
    args: tuple[Value | float, ...],
    partials: Sequence[float | None],
) -> Value:
    node = _new(Value)
    node._data, node._grad = z, UNREACHED
    node._row, node._args, node._partials = row, args, partials
    node._note, node._made = None, next(_clock)
    if watchers:
        _show(node)
    return node


# ---- several results of one call -----------------------------------------------------

# A call with several results is a node that no user sees: it holds the operands, their
# numbers where the others have partials, and the numbers of the results. Each result is
# a component of it, a node with the one operand `_call`; to who asks for its operands
# and partials it shows the call's operands, and a row of the Jacobian.


@in_c
def _components(
    row: Primitive, ys: tuple[float, ...] | bytes, args: tuple[Value | float, ...]
) -> list[Value]:
    """The results of a call of that row, with these numbers, on Values and floats."""
    ys = tuple(array("d", ys)) if isinstance(ys, bytes) else ys
    point = tuple([x._data if type(x) is Value else None for x in args])
    call = _call_node(row, tuple(ys), args, point)
    return [_component(call, i) for i in range(len(ys))]


@in_c
def _call_node(
    row: Primitive,
    ys: tuple[float, ...],
    args: tuple[Value | float, ...],
    point: tuple[float | None, ...],
) -> Value:
    call: Any = _new(Value)
    call._data, call._grad, call._row, call._args = ys, UNREACHED, row, args
    call._partials, call._note, call._made = point, None, next(_clock)
    return call  # type: ignore[no-any-return]


@in_c
def _component(call: Any, place: int) -> Value:
    """A node for that result of a call, be it the first one for it or not."""
    row = call._row.component(place)
    return _node(row, call._data[place], call._args, _Slopes(call, place))


class _Slopes(Sequence[float | None]):
    """The partials of a component, computed when they are asked for."""

    __slots__ = ("_found", "call", "place")

    def __init__(self, call: Value, place: int) -> None:
        self.call, self.place = call, place
        self._found: tuple[float | None, ...] | None = None

    def __getitem__(self, i: Any) -> Any:
        if self._found is None:
            self._found = _slopes(self.call, self.place)
        return self._found[i]

    def __len__(self) -> int:
        return len(self.call._args)


def _slopes(call: Any, place: int) -> tuple[float | None, ...]:
    """A row of the Jacobian; None for plain numbers, and for what is left out."""
    y_bars: list[float | None] = [None] * len(call._data)
    y_bars[place] = 1.0
    return tuple(_pulled(call, y_bars))


def _pulled(call: Any, y_bars: list[float | None]) -> list[float | None]:
    """The shares of a call's operands, at the point where it was recorded."""
    shares = call._row.pull(call._data, point_of(call), y_bars)
    return [None if x is None else share for x, share in zip(call._partials, shares)]


def point_of(call: Value) -> list[float]:
    """The operands of a call as they were when it was recorded."""
    pairs: Any = zip(call._partials, call._args)
    return [arg if x is None else x for x, arg in pairs]


def gather(y_bars: list[Any], place: int, bar: Any) -> None:
    """Add an adjoint to those of a call's results: None where none has come."""
    before = y_bars[place]
    y_bars[place] = bar if before is None else before if bar is None else before + bar


def _adjoints(root: Value, order: list[Value]) -> dict[Any, Any]:
    """The adjoint of all that a sweep reaches; a leaf's begins with what it has."""
    bars: dict[Any, Any] = {root: root._grad + 1.0 if root._row is None else 1.0}
    for node in reversed(order):
        bar, call = bars.get(node), node._call
        if bar is None:
            continue
        if call is not None:
            gather(bars.setdefault(call, [None] * len(call._data)), node._place, bar)  # type: ignore[arg-type]
            continue
        if node._row.call:  # type: ignore[union-attr]
            shares = _pulled(node, bars.pop(node))
        else:
            shares = [None if d is None else d * bar for d in node._partials]
        for arg, share in zip(node._args, shares):
            if share is not None:
                before = bars.get(arg, 0.0 if arg._row else arg._grad)  # type: ignore[union-attr]
                bars[arg] = before + share
    return bars


@in_c
def doubles(xs: list[Any]) -> tuple[bytes, bool] | None:
    """The numbers of a list of Values and floats as bytes, and whether any is a Value.

    None for any other list.

    >>> numbers, has_values = doubles([Value(2.0), 0.5])
    >>> array("d", numbers).tolist(), has_values, doubles([1, "a"])
    ([2.0, 0.5], True, None)
    """
    kinds = set(map(type, xs))
    if type(xs) is not list or not kinds <= _PLAIN or any(map(_is_leftover, xs)):
        return None
    numbers = array("d", [x._data if type(x) is Value else x for x in xs])
    return numbers.tobytes(), Value in kinds


def _is_leftover(x: Any) -> bool:
    return type(x) is Value and x._data is LEFTOVER


def _show(node: Value) -> None:
    """Show a new node to who watches this thread."""
    watcher = watching()
    if watcher is None or len(watchers) > 1:  # another thread is watched, too
        _own_trace(*node._args)
    if watcher is not None:
        watcher.see_value(node)


_new = object.__new__
_PLAIN: Final = frozenset({Value, float})


def _record(row: Primitive, args: tuple[Any, ...]) -> Value:
    """Any row on operands that are Values and floats: the general way."""
    floats = [x._data if type(x) is Value else x for x in args]
    depends = [type(x) is Value for x in args]
    z = row.value(*floats)
    found = row.derivatives(z, *floats, wanted=depends)
    for partial in found:
        if type(partial) is Value:
            raise TypeError(
                f"{row.name}: a partial must be a number where its operands are, but "
                f"is {partial!r}; make what it depends on an operand of the row"
            )
    if row.select:
        depends = [use and d != 0.0 for use, d in zip(depends, found)]
    partials = [d if use else None for d, use in zip(found, depends, strict=True)]
    return _node(row, z, args, tuple(partials))


def _unary(row: Primitive) -> Callable[[Value], Value]:
    """The method of a row with one argument: as `_record`, but faster."""
    raw, rule, select = row.raw, row.float_rules[0], row.select

    def method(self: Value) -> Value:
        x = self._data
        try:
            z = raw(x)
            partial = rule(z, x)
        except ARITHMETIC_ERRORS:
            return _record(row, (self,))
        if select and partial == 0.0:
            partial = None
        return _node(row, z, (self,), (partial,))

    return _named(method, row)


def _binary(row: Primitive) -> Callable[[Value, Any], Any]:
    """The operator of a row with two arguments, with a Value on its left."""
    raw, (rule_x, rule_y), constant = row.raw, row.float_rules, row.constant

    def method(self: Value, other: Any, modulus: Any = None) -> Any:
        if modulus is not None:
            raise TypeError(
                f"{clean(row.name)}: modulus must be left out, but is given; write "
                "pow(x, y) % modulus"
            )
        kind = type(other)
        if kind is not Value and kind is not float:
            other = _operand(other, row.name)
            if other is NotImplemented:
                return other
        x = self._data
        try:
            if kind is Value:
                y = other._data
                z = raw(x, y)
                partials = constant or (rule_x(z, x, y), rule_y(z, x, y))
            else:
                z = raw(x, other)
                partials = (rule_x(z, x, other), None)
        except ARITHMETIC_ERRORS:
            return _record(row, (self, other))
        return _node(row, z, (self, other), partials)

    return _named(method, row)


def _reflected(row: Primitive) -> Callable[[Value, Any], Any]:
    """The operator of a row with two arguments, with a plain number on its left."""

    def method(self: Value, other: Any) -> Any:
        other = _operand(other, row.name)
        return other if other is NotImplemented else Value._apply(row, (other, self))

    return _named(method, row)


def _named(method: Callable[..., Any], row: Primitive) -> Callable[..., Any]:
    method.__name__, method.__qualname__ = row.name, f"Value.{row.name}"
    method.__doc__ = f"The row {row.name!r} of self: see help(autograd.{row.name})."
    vars(method)["__wrapped__"] = row  # whose signature it has
    return method


def _operand(x: Any, operation: str) -> Any:
    """A plain operand as a float; NotImplemented for an array, which goes first."""
    return NotImplemented if _leave_to_other(x) else number(x, operation)


def _leave_to_other(x: Any) -> bool:
    """Whether x is an array or vector, which applies operators to its elements.

    Or a number with a way of its own to have rows applied.
    """
    if hasattr(x, "__array_function__") or hasattr(x, "_apply"):
        return True
    foreign = type(x).__module__ not in ("builtins", "decimal", "numpy")
    return foreign and hasattr(x, "__rmul__") and not isinstance(x, numbers.Real)


def _plain(x: Any) -> Any:
    return x._data if type(x) is Value else x


def _refuse(call: str, remedy: str) -> Callable[..., NoReturn]:
    def method(self: Value, *args: Any) -> NoReturn:
        if watchers:
            _refuse_in_trace(self, call)
        raise TypeError(
            f"{call}: v must be a plain number, but is a Value, whose gradient this "
            f"would lose; {remedy}"
        )

    method.__doc__ = f"Refused, since {call} would lose the gradient: {remedy}."
    return method


# ---- what a trace asks to be told ----------------------------------------------------

COMPARISONS: Final = {
    "eq": p.equal, "ne": p.not_equal, "lt": p.less, "le": p.less_equal,
    "gt": p.greater, "ge": p.greater_equal,
}  # fmt: skip


def _own_trace(*xs: Any) -> Any:
    """The trace that this thread is making; raises if an x is of another thread's."""
    own = tracing()
    require_own(*xs)
    return own


def _compared(name: str, x: Value, other: Any) -> bool:
    """A plain bool, or what a trace can make a select or a guard of: a Value."""
    trace = _own_trace(x, other)
    if trace is None or not (trace.follows(x) or trace.follows(other)):
        if trace is None:
            note_comparison(x, other)
        holds: bool = getattr(operator, name)(x._data, _plain(other))
        return holds
    if type(other) is not Value:
        if not isinstance(other, numbers.Real):
            return NotImplemented  # type: ignore[no-any-return]
        other = number(other, name)
    truth: bool = trace.truth(_record(COMPARISONS[name], (x, other)))
    return truth


def _decided(x: Value) -> bool:
    trace = _own_trace(x)
    if trace is None:
        note_comparison(x, 0.0)
        return x._data != 0.0
    truth: bool = trace.decide(x)
    return truth


def _refuse_in_trace(x: Value, what: str) -> None:
    """Raise if a trace follows x: the number it has now is that of this call alone."""
    trace = _own_trace(x)
    if trace is not None and trace.follows(x):
        trace.doubt(f"ask a Value for {what}", again=True)
        raise TypeError(
            f"jit: a Value must not be asked for {what} inside a compiled function, "
            "whose numbers change from call to call; compute with the Value itself, "
            "take derivatives by grad, or pass the number in static_argnums"
        )


def _refuse_hash(x: Value, filename: str) -> None:
    """Raise if f, on plain numbers, would look this one up by its number.

    Who calls is told by the source file: the engine's own tables are by identity.
    """
    if filename.startswith(PACKAGES):
        return
    trace = _own_trace(x)
    if trace is None or not trace.is_number(x):
        return
    trace.doubt("look a number up in a set or dict", again=True)
    raise TypeError(
        "jit: a set, dict or hash must not be asked for a number inside a compiled "
        "function, where it would be found by identity; compare with ==, choose with "
        "where, or pass the number in static_argnums"
    )


def _plain_in_trace(x: Value) -> float | None:
    """The number or bool that x stands for, for a text; None if it is a Value.

    The trace is told: the number is that of one call.
    """
    trace = _own_trace(x)
    if trace is None or not trace.follows(x):
        return None
    trace.doubt("make text of a number")
    plain: float | None = trace.plain(x)
    return plain


class _Leftover:
    """What a trace that has ended leaves its Values for a number: any use raises."""


def _refuse_leftover(*args: Any) -> NoReturn:
    raise TypeError(
        "Value: an operand must be of this call, but is left over from compiling a "
        "function that kept it; return it from that function"
    )


for _name in (
    "abs", "add", "bool", "ceil", "deepcopy", "eq", "float", "floor", "format", "ge",
    "gt", "index", "int", "le", "lt", "mod", "mul", "ne", "neg", "pow", "radd",
    "reduce_ex", "repr", "rmod", "rmul", "rpow", "rsub", "rtruediv", "sub", "truediv",
    "trunc",
):  # fmt: skip
    setattr(_Leftover, f"__{_name}__", _refuse_leftover)

LEFTOVER: Final[Any] = _Leftover()


def is_left_over(x: Value) -> bool:
    """Whether x has lost its number, as the trace that made it has ended."""
    try:
        return x._data is LEFTOVER
    except TypeError:  # what C raises
        return True


_METHODS: Final[dict[Primitive, Callable[..., Any]]] = {}  # the rows that have one
_ALIASES: Final = {
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2",
    "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh",
    "rad2deg": "degrees", "deg2rad": "radians", "__neg__": "neg", "__abs__": "abs",
    "__floor__": "floor", "__ceil__": "ceil", "absolute": "abs", "conjugate": "__pos__",
}  # fmt: skip


_PLAINLY: Final = "use v.data, or stop_gradient(v) to go on without its gradient"
_REFUSED: Final = (
    ("__float__", "float(v)", f"write autograd.sin(v), or {_PLAINLY}"),
    ("__int__", "int(v)", _PLAINLY),
    ("__index__", "v as an index", _PLAINLY),
    ("__trunc__", "math.trunc(v)", _PLAINLY),
    ("__round__", "round(v)", f"format it with f'{{v:.3f}}', or {_PLAINLY}"),
    ("__complex__", "complex(v)", _PLAINLY),
    ("__divmod__", "divmod(v, y)", "write v % y and floor(v / y)"),
    ("__rdivmod__", "divmod(y, v)", "write y % v and floor(y / v)"),
    ("__floordiv__", "v // y", "write floor(v / y)"),
    ("__rfloordiv__", "y // v", "write floor(y / v)"),
    ("is_integer", "v.is_integer()", f"write floor(v) == v, or {_PLAINLY}"),
    ("hex", "v.hex()", _PLAINLY),
    (
        "as_integer_ratio",
        "v.as_integer_ratio()",
        "for a mean write sum(values) / len(values)",
    ),
)


def _install_methods() -> None:
    """Give Value its operators, a method for each row, and NumPy's spellings."""
    for row in list(vars(p).values()):
        if isinstance(row, Primitive) and row.arity == 1:
            _METHODS[row] = _unary(row)
            _give(row.name, _METHODS[row])
    for row in (p.atan2, p.hypot, p.leaky_relu, p.clip):
        _give(row.name, _named(lambda *args, row=row: row(*args), row))
    for alias, name in _ALIASES.items():
        _give(alias, getattr(Value, name))
    for name, row in {
        "add": p.add, "sub": p.sub, "mul": p.mul, "truediv": p.div, "pow": p.pow,
        "mod": p.mod,
    }.items():  # fmt: skip
        _METHODS[row] = _binary(row)
        _give(f"__{name}__", _METHODS[row])
        _give(f"__r{name}__", _reflected(row))
    for name, call, remedy in _REFUSED:
        _give(name, _refuse(call, remedy))


def _give(name: str, method: Any) -> None:
    """Set a method of Value that C has not."""
    if name not in vars(Value):
        setattr(Value, name, method)


_install_methods()

connect(
    value=python_twins.get(Value), primitive=python_twins.get(Primitive),
    number=number, operand=_operand, record=_record, shown=_show, watchers=watchers,
    watching=watching, recording=recording, unreached=UNREACHED, leftover=LEFTOVER,
    current=require_current, written=written, hashed=_refuse_hash, packages=PACKAGES,
    slopes=_slopes, topological=python_twins.get(topological),
)  # fmt: skip
