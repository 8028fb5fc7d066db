"""Functions with several results as primitives: one value and one pullback for all.

What is computed together is differentiated together: a sweep collects the adjoints of
all results of a call, and hands them to its pullback once. Forward mode needs no rule
of its own, as the pullback is linear: what it does to adjoints, transposed, is what a
pushforward does to tangents.

    y_bars   the adjoints of the results       x_bars   those of the operands
    x_dots   the tangents of the operands      y_dots   those of the results
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Sequence
from math import nan
from typing import Any

from .absent import ABSENT, Share, all_absent, left_out_where
from .primitives import (
    ARITHMETIC_ERRORS,
    Primitive,
    Total,
    brief,
    clean,
    is_of_math,
    number,
)
from .transforms import vjp
from .value import Value, _components


class Call(Primitive):
    """The row of a node that joins the components of a call: what sweeps ask of it."""

    uses_results = True  # whether `pull` and `push` look at ys

    def __init__(self, name: str) -> None:
        super().__init__(name, _no_value, _no_rule)
        self.call, self.variadic, self.arity = True, True, 0
        self.sealed = False  # whether no Value can be reached from here
        self.doubles = False  # whether there is a `pull_doubles`, of bytes
        self._rows: dict[int, Component] = {}
        self._last: tuple[bytes, tuple[float, ...]] = (b"", ())

    def at(self, xs: Sequence[float]) -> tuple[float, ...]:
        """The results on floats."""
        raise NotImplementedError

    def pull(self, ys: Sequence[Any], xs: Sequence[Any], y_bars: Sequence[Any]) -> Any:
        """x_bars, None for what is left out; floats from floats, else Values.

        A y_bar is None where no adjoint has come.
        """
        raise NotImplementedError

    def push(self, ys: Sequence[Any], xs: Sequence[Any], x_dots: Sequence[Any]) -> Any:
        """y_dots, by the transpose of the pullback; None stands for no tangent."""
        wanted = [i for i, x_dot in enumerate(x_dots) if x_dot is not None]

        def some_bars(*y_bars: Any) -> list[Any]:
            x_bars = self.pull(ys, xs, y_bars)
            return [0.0 if x_bars[i] is None else x_bars[i] for i in wanted]

        _, transpose = vjp(some_bars, *[1.0] * len(ys))
        return transpose([x_dots[i] for i in wanted])

    def pull_in_rows(
        self, ys: Sequence[Any], xs: Sequence[Any], y_bars: Sequence[Any]
    ) -> Any:
        """As `pull`, by ordinary operations: for who writes them in symbols."""
        return self.pull(ys, xs, y_bars)

    def apply(self, xs: Sequence[Any]) -> tuple[Any, ...]:
        """The results on Values and floats."""
        ys = self.at([x._data if type(x) is Value else x for x in xs])
        has_values = Value in map(type, xs)
        return tuple(_components(self, ys, tuple(xs))) if has_values else ys

    def component(self, place: int) -> Component:
        """The row of that result."""
        known = self._rows.get(place)
        if known is None:
            known = self._rows[place] = Component(self, place)
        return known

    def formula_of(self, place: int) -> Callable[..., Any]:
        """The value of that result, as a formula of rows if there is one."""
        return lambda *xs: self.remembered(xs)[place]

    def remembered(self, xs: tuple[float, ...]) -> tuple[float, ...]:
        """The results, once for all components that are asked for one by one."""
        key = array("d", xs).tobytes()
        known, ys = self._last
        if known != key:
            ys = self.at(xs)
            self._last = key, ys
        return ys


def _no_value(*xs: float) -> float:
    raise TypeError("a call with several results has no single value")


def _no_rule(z: Any, *xs: Any) -> Any:
    raise TypeError("a call with several results has no partials of its own")


class Component(Primitive):
    """The row of one result of a call; where that stands alone, its value and rule."""

    def __init__(self, call: Call, place: int) -> None:
        name = f"{call.name}[{place}]"
        super().__init__(name, call.formula_of(place), self._rule)
        self.variadic, self.arity = True, 0
        self._call, self._place = call, place
        self.raw = lambda *xs: call.remembered(xs)[place]

    def __reduce__(self) -> Any:
        return Call.component, (self._call, self._place)

    def _rule(self, z: Any, *xs: Any) -> list[Any]:
        return [0.0 if partial is None else partial for partial in self._slopes(xs)]

    def derivatives(
        self, z: Any, *args: Any, wanted: Sequence[bool] | None = None
    ) -> tuple[Any, ...]:
        """The partials; None for an operand that is left out."""
        return tuple(self._slopes(args))

    def in_rows(self, z: Any, *args: Any) -> list[Any]:
        """The same by ordinary operations."""
        return self._slopes(args, self._call.pull_in_rows)

    def _slopes(
        self, xs: tuple[Any, ...], pull: Callable[..., Any] | None = None
    ) -> list[Any]:
        call = self._call
        ys = call.apply(xs)
        y_bars: list[float | None] = [None] * len(ys)
        y_bars[self._place] = 1.0
        return (pull or call.pull)(ys, xs, y_bars)  # type: ignore[no-any-return]


class VectorPrimitive:
    r"""A function with several results that knows its own pullback, J^T · y_bar.

    >>> from autograd import atan2, grad, hypot
    >>> def pullback(ys, xs, y_bars):
    ...     (r, _), (x, y), (r_bar, theta_bar) = ys, xs, y_bars
    ...     t_bar = theta_bar / r**2
    ...     return [r_bar * x / r - t_bar * y, r_bar * y / r + t_bar * x]
    >>> polar = VectorPrimitive(
    ...     "polar", lambda x, y: (hypot(x, y), atan2(y, x)), pullback, outputs=2
    ... )
    >>> polar(3.0, 4.0)
    (5.0, 0.9272952180016122)
    >>> grad(lambda x, y: polar(x, y)[0] ** 2, (0, 1))(3.0, 4.0)
    (6.0, 8.0)

    On Values it gives Values, whose derivatives of any order, in both modes, follow
    from the pullback, which is why that is written with rows and operators, as rules
    are. Settings are passed by name, and go to value and pullback as they are:

    >>> def solved(a, b, *, transposed=False):
    ...     return (b / a,)
    >>> def shares(ys, xs, y_bars, *, transposed=False):
    ...     c = y_bars[0] / xs[0]
    ...     return [-c * ys[0], c]
    >>> divide = VectorPrimitive("divide", solved, shares, outputs=1, arity=2)
    >>> grad(lambda a: divide(a, 1.0, transposed=True)[0])(2.0)
    -0.25

    value        (*xs, **settings) -> ys, on floats
    pullback     (ys, xs, y_bars, **settings) -> x_bars, linear in y_bars; None for an
                 operand that is left out. Where a result is not used, its y_bar is
                 a zero that stays one even beside an infinite slope
    outputs      how many results there are; None if that depends on the operands
    arity        how many operands there are; None for any number
    pushforward  (ys, xs, x_dots, **settings) -> y_dots, if that is cheaper than the
                 transpose of the pullback

    Raises TypeError or ValueError, with its name, where it is called with another
    number of operands, or value or pullback give another number than they should.
    """

    def __init__(
        self,
        name: str,
        value: Callable[..., Sequence[float]],
        pullback: Callable[..., Sequence[Any]],
        *,
        outputs: int | None,
        arity: int | None = None,
        pushforward: Callable[..., Sequence[Any]] | None = None,
    ) -> None:
        if not isinstance(name, str):
            raise TypeError(
                f"VectorPrimitive: name must be a str, but is {brief(name)}; it is "
                "what errors and drawings call it"
            )
        functions = {"value": value, "pullback": pullback, "pushforward": pushforward}
        for role, f in functions.items():
            if not callable(f) and not (f is None and role == "pushforward"):
                raise TypeError(
                    f"{clean(name)}: {role} must be a function, but is {brief(f)}; "
                    "see help(autograd.VectorPrimitive)"
                )
        for role, count in (("outputs", outputs), ("arity", arity)):
            if count is not None and (type(count) is not int or count < 1):
                raise ValueError(
                    f"{clean(name)}: {role} must be a whole number from 1, or None, "
                    f"but is {brief(count)}; count what value gives and takes"
                )
        self.__name__, self.outputs, self.arity = name, outputs, arity
        self.value, self.pullback, self.pushforward = value, pullback, pushforward
        self._calls: dict[Any, _Called] = {}
        self.__module__ = sys._getframe(1).f_globals.get("__name__", __name__)

    def __repr__(self) -> str:
        return f"<vector primitive {clean(self.__name__)}>"

    def __reduce__(self) -> str:
        return self.__name__

    def __call__(self, /, *xs: Any, **settings: Any) -> tuple[Any, ...]:
        """All results: floats of floats, Values where an operand is a Value."""
        if self.arity not in (None, len(xs)) or not xs:
            raise TypeError(
                f"{clean(self.__name__)}: must be called with "
                f"{self.arity or 'some'} operand(s), but has {len(xs)}; pass each by "
                "position, and settings by name"
            )
        row = self.row(settings)
        for x in xs:
            if hasattr(x, "_apply") and type(x) is not Value:  # what writes rows down
                count = self.outputs or 1
                return tuple([x._apply(row.component(i), xs) for i in range(count)])
        args = tuple([x if type(x) is Value else number(x, self.__name__) for x in xs])
        return row.apply(args)

    def row(self, settings: dict[str, Any]) -> _Called:
        """The row of its calls with these settings."""
        key = tuple(sorted(settings.items(), key=lambda item: item[0]))
        try:
            known = self._calls.get(key)
        except TypeError:  # one of them cannot be a key
            return _Called(self, settings)
        if known is None:
            known = self._calls[key] = _Called(self, settings)
        return known


class _Called(Call):
    """A vector primitive with settings."""

    def __init__(self, vector: VectorPrimitive, settings: dict[str, Any]) -> None:
        super().__init__(vector.__name__)
        self.vector, self.settings = vector, settings

    def __reduce__(self) -> Any:
        return VectorPrimitive.row, (self.vector, self.settings)

    def formula_of(self, place: int) -> Callable[..., Any]:
        if self.settings or self.vector.outputs is None:
            return super().formula_of(place)
        value = self.vector.value
        return lambda *xs: value(*xs)[place]

    def at(self, xs: Sequence[float]) -> tuple[float, ...]:
        """The results on floats, by IEEE 754 where Python's math would raise."""
        vector = self.vector
        try:
            found = vector.value(*xs, **self.settings)
        except ARITHMETIC_ERRORS:
            found = self._totally(vector.value, [*map(Total, xs)], vector.outputs)
        ys = self._counted("value", found, vector.outputs, "results")
        return tuple([number(y, self.name, "a result") for y in ys])

    def pull(self, ys: Sequence[Any], xs: Sequence[Any], y_bars: Sequence[Any]) -> Any:
        given = ys, xs, [ABSENT if bar is None else bar for bar in y_bars]
        run = self.vector.pullback
        return self._run(run, given, "pullback", len(xs), "an adjoint")

    def push(self, ys: Sequence[Any], xs: Sequence[Any], x_dots: Sequence[Any]) -> Any:
        run = self.vector.pushforward
        if run is None:
            return super().push(ys, xs, x_dots)
        given = ys, xs, [ABSENT if dot is None else dot for dot in x_dots]
        return self._run(run, given, "pushforward", len(ys), "a tangent")

    def _run(
        self, f: Any, parts: Sequence[Sequence[Any]], role: str, count: int, what: str
    ) -> list[Any]:
        """What a user's rule gives; None for what is left out."""
        given = [*map(tuple, parts)]
        try:
            found = f(*given, **self.settings)
        except ARITHMETIC_ERRORS:
            found = self._totally(f, [tuple(map(_total, xs)) for xs in given], count)
        found = self._counted(role, found, count, f"{what.split()[1]}s")
        plain = not {Value, Share} & {type(x) for xs in given for x in xs}
        absent = all_absent(given[2])
        return [
            None
            if x is None or x is ABSENT
            else left_out_where(absent, self._share(x, role, what, plain))
            for x in found
        ]

    def _totally(self, f: Any, given: Sequence[Any], count: int | None) -> Any:
        """What f gives by IEEE 754; NaN where functions of math raise even so."""
        try:
            return f(*given, **self.settings)
        except ARITHMETIC_ERRORS as error:
            if count is None or not is_of_math(error):
                raise
            return [nan] * count

    def _counted(
        self, role: str, found: Any, count: int | None, what: str
    ) -> Sequence[Any]:
        """What a user's function has given, if it is as many as it should be."""
        name = clean(self.name)
        if not hasattr(found, "__len__") or isinstance(found, (str, dict, set)):
            raise TypeError(
                f"{name}: {role} must give {count or 'several'} {what}, but gives "
                f"{brief(found)}; return a tuple or list of them"
            )
        if count is not None and len(found) != count:
            of = "operand" if role == "pullback" else "result"
            raise ValueError(
                f"{name}: {role} must give {count} {what}, one for each {of}, but "
                f"gives {len(found)}; return a tuple or list of {count}"
            )
        return found  # type: ignore[no-any-return]

    def _share(self, x: Any, role: str, what: str, plain: bool) -> Any:
        if type(x) is Value and plain:
            raise TypeError(
                f"{clean(self.name)}: {role} must give numbers where its operands are, "
                f"but gives {x!r}; make what it depends on an operand"
            )
        return x if type(x) in (Value, Share) else number(x, self.name, what)


def _total(x: Any) -> Any:
    return Total(x) if type(x) is float else x
