"""Every elementary function once, as one row: its value on floats and its derivatives.

A row reads `name, value, one rule per argument`. With z = f(x, y), the rule for x takes
(z, x, y) and gives the partial ∂z/∂x; it may use the result z, and is written with rows
and operators, so that it runs on floats (recording a graph) as well as on Values (which
makes it differentiable again, to any order). A rule that is the same everywhere is just
a number. Rules never branch on values: they select, with `where`.

Everything else in this package loops over these rows; no derivative is written twice,
and no value: it is a formula of rows and operators as well, or one of C's functions,
with its `native` name. To add a row, write it here and run `python -m autograd._rows`,
which writes what C has of it; export it in `__init__.py`.

    z         the result                   inf, nan  IEEE 754: arithmetic never raises
    x, y, w   the operands, in order       inside    keeps a partial to the row's domain
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import accumulate, product
from math import fabs, inf, nan
from numbers import Real
from reprlib import Repr
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, Protocol, overload

from . import special
from .accelerator import bind, in_c

if TYPE_CHECKING:
    from .value import Value


class Scalar(Protocol):
    """What Fraction and NumPy's numbers share, but no Value, Decimal, array or str."""

    def __float__(self) -> float: ...
    def __radd__(self, other: float, /) -> Any: ...
    def __hash__(self) -> int: ...


class Array(Protocol):
    """What arrays have."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    def tolist(self) -> Any: ...
    def __len__(self) -> int: ...


Number = int | float | Scalar  # for type checkers: what `number` takes
Edge = tuple[tuple[float, ...], float, tuple[float, ...]]
Range = tuple[float, float]

ARITHMETIC_ERRORS: Final = (ValueError, ZeroDivisionError, OverflowError)


def clean(text: str, width: int = 40) -> str:
    """Text on one line, clipped, without what is no visible character.

    Control characters would break a page or a message, bidirectional ones reorder what
    is around them, and surrogates cannot be written at all.

    >>> clean("two\\nlines"), clean("a" * 10_000, width=5)
    ('two lines', 'aaaa…')
    """
    line = "".join(
        " " if c.isspace() else c if c.isprintable() else "\ufffd"
        for c in text[: width + 1]
    )
    return line if len(line) <= width else line[: width - 1] + "…"


def brief(x: object, most: int = 60) -> str:
    """The repr of anything, for a message: never long, on one line, never an error.

    >>> brief("a" * 1_000_000, most=12), brief([*range(1000)]), brief(-(10**9999))
    ("'aaaa…aaaa'", '[0, 1, 2, 3, 4, 5, ...]', '<int>')
    """
    short = Repr()
    short.maxlevel, short.maxdict = 3, 6
    short.maxstring = short.maxlong = short.maxother = 2 * most
    try:
        text = short.repr(x)
    except Exception:  # of the object's own, or Python's for an int of many digits
        text = f"<{type(x).__name__}>"
    if len(text) > most:
        text = f"{text[: most // 2 - 1]}…{text[-(most // 2) + 1 :]}"
    return clean(text, most)


def number(x: Any, operation: str = "autograd", argument: str = "operand") -> float:
    """Give x as a float, rounded as Python's float() does, or refuse it by name.

    >>> number(3), number(True)
    (3.0, 1.0)
    >>> number("3", "exp", "x")
    Traceback (most recent call last):
    TypeError: exp: x must be a real number, but is '3' (str); convert it with float()
    """
    if type(x) is float:
        return x
    scalar = type(x).__module__ == "numpy" and getattr(x, "ndim", None) == 0
    if scalar and x.dtype.kind not in "mM":  # neither a date nor a span of time
        x = x.item()  # a NumPy scalar or an array with no axes
    if isinstance(x, Real):
        try:
            return float(x)
        except OverflowError:
            raise ValueError(
                f"{clean(operation)}: {argument} must fit a float64 (below 1.8e308), "
                f"but is a larger {type(x).__name__}; scale it"
            ) from None
    remedy = "convert it with float()"
    if hasattr(x, "_apply"):
        remedy = "use it as it is, or stop_gradient(x) to drop its gradient on purpose"
    elif x is None:
        remedy = "pass a number (a function without return gives None)"
    elif isinstance(x, complex):
        remedy = "differentiate its real and imaginary parts"
    elif hasattr(x, "__iter__") and not isinstance(x, str):
        remedy = "call it once for each element"
    elif callable(x):
        remedy = "call it first, with numbers"
    raise TypeError(
        f"{clean(operation)}: {argument} must be a real number, but is {brief(x)} "
        f"({type(x).__name__}); {remedy}"
    )


class Told:
    """What is told of a row to who asks the row, as help() does; `own` of the class."""

    def __init__(self, name: str, own: str | None = None) -> None:
        self.name, self.own = name, own

    def __get__(self, row: Any, kind: type) -> Any:
        if row is not None:
            from .show import help

            return getattr(help, self.name)(row)
        if self.own is None:
            raise AttributeError(f"{kind.__name__} itself has none")
        return self.own


@in_c
class Primitive:
    """One row of the table: a function that knows its own derivative.

    Called on floats it gives a float, on Values a Value that remembers the operation.
    A row made by a user works everywhere at once:

    >>> cube = Primitive("cube", lambda x: x * x * x, lambda z, x: 3 * x * x)
    >>> cube(2.0)
    8.0

    value    the function on floats; where Python's math raises, `ieee` answers. One of
             rows and operators alone, which never branches, is compiled; others are
             called
    partials one rule (z, *args) -> ∂z/∂arg for each argument, or a number; a row with
             any number of arguments has one rule (z, *args) -> all partials
    latex    a template such as r"\\sqrt{{{0}}}"; {all} stands for all operands
    native   the name of the same function in libm or LLVM (the keys of NATIVE), which
             compiled code calls: it is compared with `value` on the sample, and edges
    domain   where a row of one argument has a value: (lowest, highest)
    sample   where tests try it: one (low, high) for all arguments, or one for each
    edges    kinks and limits that are fixed by convention: (args, value, partials)
    ulp      the accuracy of value and partials, in units in the last place (of the
             largest term where terms cancel; for up to four operands if any number)
    select   a partial of zero leaves its operand out of the sweep altogether
    ieee     the value, a function of the operands, where `value` raises: else that of
             `native`, or what `value` gives where its operators are rows, or NaN
    """

    call = False  # whether it is of the node that joins the components of a call

    def __init__(
        self,
        name: str,
        value: Callable[..., float],
        *partials: Callable[..., Any] | float,
        latex: str | None = None,
        native: str | None = None,
        domain: Range = (-inf, inf),
        sample: Range | tuple[Range, ...] = (-3.0, 3.0),
        edges: Sequence[Edge] = (),
        ulp: float = 2.0,
        select: bool = False,
        ieee: Callable[..., float] | None = None,
    ) -> None:
        if not isinstance(name, str):
            raise TypeError(
                f"Primitive: name must be a str, but is {brief(name)}; it is what "
                "errors and drawings call the row"
            )
        if not partials:
            raise ValueError(
                "Primitive: partials must be one rule for each argument of "
                f"{brief(name)}, but is empty; pass rules such as lambda z, x: 2 * x"
            )
        _require_arguments(name, value, partials)
        self.name, self.formula, self.ieee = name, value, ieee
        self.raw = value  # the formula on floats: see `_bind_to_floats`, at the end
        self.rules = tuple([_rule(name, partial) for partial in partials])
        self.float_rules = self.rules
        self.otherwise: Callable[..., Any] | None = None  # of other numbers of operands
        self.select = bool(select)
        self.fixed = tuple([_fixed(name, partial) for partial in partials])
        plain = tuple([partial for partial in self.fixed if partial is not None])
        self.constant = plain if len(plain) == len(partials) else None
        self.latex, self.native, self.domain = latex, native, domain
        self.sample, self.edges, self.ulp = sample, _edges(name, edges), ulp
        self.defaults: tuple[float, ...] = getattr(value, "__defaults__", None) or ()
        code = getattr(partials[0], "__code__", None)
        self.variadic = len(partials) == 1 and bool(code and code.co_flags & 0x04)
        self.arity = 0 if self.variadic else len(partials)
        _require_template(self)
        _require_options(self)
        if native is not None and NATIVE:
            _require_native(self)
        self.__module__ = sys._getframe(1).f_globals.get("__name__", __name__)

    __signature__ = Told("signature")

    def __repr__(self) -> str:
        return f"<primitive {clean(self.name)}>"

    def __reduce__(self) -> str:
        return self.name

    @overload
    def __call__(self, *args: Number) -> float: ...
    @overload
    def __call__(self, x: Value, /, *args: Value | Number) -> Value: ...
    @overload
    def __call__(self, x: Number, y: Value, /, *args: Value | Number) -> Value: ...
    @overload
    def __call__(self, x: Number, y: Number, w: Value, /) -> Value: ...
    @overload
    def __call__(self, *xs: Sequence[Number]) -> float: ...
    @overload
    def __call__(
        self, xs: Sequence[Value], /, *xss: Sequence[Value | Number] | Array
    ) -> Value: ...
    @overload
    def __call__(self, xs: Sequence[Number], ys: Sequence[Value], /) -> Value: ...
    @overload
    def __call__(self, *xs: Sequence[Value | Number] | Array) -> Any: ...
    def __call__(self, *args: Any, **names: Any) -> Any:
        """Apply the row: floats give a float, any Value among them a Value."""
        if names:
            raise TypeError(
                f"{clean(self.name)}: operands must be given by position, but one has "
                f"the name {[*names][0]!r}; leave out the name"
            )
        if self.variadic:
            args = self._spread(args)
        elif len(args) != self.arity:
            if self.otherwise is not None:
                return self.otherwise(*args)
            args = self._completed(args)
        for arg in args:
            if type(arg) is not float and type(arg) is not bool:
                return self._call_mixed(args)
        return self.value(*args)

    def value(self, *args: float) -> float:
        """The value on floats, by IEEE 754 where Python's math would raise.

        >>> log.value(0.0), exp.value(1000.0), div.value(0.0, 0.0)
        (-inf, inf, nan)
        """
        try:
            z = self.raw(*args)
        except ARITHMETIC_ERRORS:
            z = self._by_ieee(*args)
        if type(z) is float:
            return z
        if isinstance(z, complex):  # Python's power of a negative number
            z = self._by_ieee(*args)
        return number(z, self.name, "the value")

    def _by_ieee(self, *args: float) -> Any:
        if self.ieee is not None:
            return self.ieee(*args)
        known = NATIVE.get(self.native or "", self)
        if known is not self:
            return known.value(*args)
        try:  # the formula, with rows in place of the operators that raise
            return self.formula(*map(Total, args))
        except (*ARITHMETIC_ERRORS, TypeError):
            return nan

    def derivatives(
        self, z: Any, *args: Any, wanted: Sequence[bool] | None = None
    ) -> tuple[Any, ...]:
        """∂z/∂arg for every argument: floats from floats, Values from Values.

        Arguments that are not wanted, such as constants, get 0.0 and no work is done.

        >>> mul.derivatives(6.0, 2.0, 3.0)
        (3.0, 2.0)
        """
        try:
            found = self._run_rules(z, args, wanted)
            if set(map(type, found)) <= {float}:
                return found
            if not any(isinstance(partial, complex) for partial in found):
                return tuple(map(self._exact, found))
        except (*ARITHMETIC_ERRORS, TypeError):  # a row refuses complex by TypeError
            pass
        z, *operands = (Total(x) if type(x) is float else x for x in (z, *args))
        try:
            return tuple(map(self._exact, self._run_rules(z, operands, wanted)))
        except ARITHMETIC_ERRORS as error:  # as of a value in `raw`: math.exp(1000.0)
            if not is_of_math(error):
                raise
            return tuple([nan for _ in args])

    def _exact(self, partial: Any) -> Any:
        """A Value as it is, any other number as a float."""
        if hasattr(partial, "_apply"):
            return partial
        return number(partial, self.name, "a partial")

    def _run_rules(
        self, z: Any, args: Sequence[Any], wanted: Sequence[bool] | None
    ) -> tuple[Any, ...]:
        rules = self.float_rules if type(z) is float else self.rules
        if self.variadic:
            found = tuple(rules[0](z, *args))
            if len(found) != len(args):
                raise TypeError(
                    f"{clean(self.name)}: the rule must give {len(args)} partials, one "
                    f"for each operand, but gives {len(found)}; return a list of them"
                )
            return found
        if wanted is None:
            return tuple([rule(z, *args) for rule in rules])
        return tuple(
            [rule(z, *args) if use else 0.0 for rule, use in zip(rules, wanted)]
        )

    def _call_mixed(self, args: tuple[Any, ...]) -> Any:
        for apply in ("_apply_first", "_apply"):
            for arg in args:
                if hasattr(arg, apply):
                    return getattr(arg, apply)(self, args)
        result = self.value(*[number(arg, self.name) for arg in args])
        return Total(result) if Total in map(type, args) else result

    def _completed(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        missing = self.arity - len(args)
        if 0 < missing <= len(self.defaults):
            return args + self.defaults[-missing:]
        raise TypeError(
            f"{clean(self.name)}: must be called with {self.arity} argument(s), but "
            f"has {len(args)}; see help(autograd.{clean(self.name)})"
        )

    def _spread(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Join sequences of equal length: dot([a, b], [c, d]) has operands a b c d."""
        if not args or not _is_sequence(args[0]):
            return args
        for other in args[1:]:
            if not _is_sequence(other) or len(other) != len(args[0]):
                size = len(other) if _is_sequence(other) else "no length"
                raise ValueError(
                    f"{clean(self.name)}: every sequence must have the length of the "
                    f"first, {len(args[0])}, but one has {size}; pair the elements "
                    "first"
                )
        return tuple([x for sequence in args for x in sequence])


def is_of_math(error: Exception) -> bool:
    """Whether it is what math raises outside a domain, and no error of a user's own."""
    of_domain = "math domain error", "expected a"  # the second from Python 3.14 on
    return type(error) is not ValueError or str(error).startswith(of_domain)


setattr(Primitive, "__doc__", Told("described", Primitive.__doc__))  # noqa: B010


def _require_arguments(name: str, value: Any, partials: Sequence[Any]) -> None:
    """Refuse a value, or rules, that could not be called with the operands of the row.

    >>> Primitive("square", lambda x: x * x, lambda x: 2 * x)
    Traceback (most recent call last):
    TypeError: square: partial 0 must take the result and 1 argument(s), (z, x), but \
takes 1; write lambda z, x: ...
    """
    name, arity = clean(name), len(partials)
    if not callable(value):
        raise TypeError(
            f"{name}: value must be a function of floats, but is {brief(value)}; pass "
            "the rules after it"
        )
    if arity == 1 and _takes(partials[0])[1] == inf:
        return  # the row has any number of arguments
    least, most = _takes(value)
    if not least <= arity <= most:
        raise TypeError(
            f"{name}: partials must be one rule for each of the {least or most} "
            f"argument(s) of value, but are {arity}; pass 0.0 for an argument on which "
            "it does not depend"
        )
    xs = [*"xyw"][:arity] if arity < 4 else [f"x{i}" for i in range(arity)]
    for i, partial in enumerate(partials):
        least, most = _takes(partial)
        if not least <= arity + 1 <= most:
            raise TypeError(
                f"{name}: partial {i} must take the result and {arity} argument(s), "
                f"({', '.join(['z', *xs])}), but takes {least}; write lambda "
                f"{', '.join(['z', *xs])}: ..."
            )


def _takes(f: Any) -> tuple[int, float]:
    """How many arguments a function takes, at least and at most, as far as it says."""
    code = getattr(f, "__code__", None)
    text = getattr(f, "__text_signature__", None) or "=*"
    if code is None and not {"=", "*"} & set(text):  # as of most functions in math
        names = [x for x in text.strip("()").split(", ") if x not in ("$module", "/")]
        return len(names), len(names)
    if code is None or code.co_flags & 0x04:
        return 0, inf
    most = code.co_argcount - hasattr(f, "__self__")
    return most - len(f.__defaults__ or ()), most


def _require_template(row: Primitive) -> None:
    """Refuse a `latex` that could not be filled in with the operands."""
    operands = ["x"] * (row.arity or 1)
    try:
        if row.latex is not None:
            row.latex.format(*operands, all="x")
    except (LookupError, ValueError, AttributeError, TypeError):
        raise ValueError(
            f"{clean(row.name)}: latex must be a template of {{0}} to "
            f"{{{len(operands) - 1}}} and {{all}}, with other braces doubled, but is "
            f"{brief(row.latex)}; write \\sqrt{{{{{{0}}}}}} for a root"
        ) from None


def _require_options(row: Primitive) -> None:
    """Refuse a domain, a sample, edges, ulp or ieee of another shape than they have."""
    n, sample = row.arity, row.sample
    each = (
        isinstance(sample, tuple) and len(sample) == n and all(map(_is_range, sample))
    )
    is_value = row.ieee is None or callable(row.ieee)
    for holds, argument, found, shape in (
        (_is_range(row.domain), "domain", row.domain, "a pair (low, high)"),
        (each or _is_range(sample), "sample", sample, "a pair (low, high), or several"),
        (isinstance(row.ulp, Real), "ulp", row.ulp, "a number"),
        (is_value, "ieee", row.ieee, "a function"),
        *[
            (_is_edge(edge, n), "an edge", edge, "(args, value, partials)")
            for edge in row.edges
        ],
    ):
        if not holds:
            raise TypeError(
                f"{clean(row.name)}: {argument} must be {shape}, but is "
                f"{brief(found)}; see help(autograd.Primitive)"
            )


def _edges(name: str, edges: Any) -> tuple[Edge, ...]:
    if isinstance(edges, (tuple, list)):
        return tuple(edges)
    raise TypeError(
        f"{clean(name)}: edges must be a list of (args, value, partials), but is "
        f"{brief(edges)}; write [edge] for one"
    )


def _is_range(x: Any) -> bool:
    pair = isinstance(x, (tuple, list)) and len(x) == 2
    return pair and all(isinstance(end, Real) for end in x) and x[0] <= x[1]


def _is_edge(x: Any, arity: int) -> bool:
    """Whether it has a number for each argument, and for its partial."""
    try:
        args, value, partials = x
        return len(args) == (arity or len(args)) == len(partials) and value is not None
    except (TypeError, ValueError):
        return False


NATIVE: Final[dict[str, Primitive]] = {}  # filled at the end: the row for each name


def _require_native(row: Primitive) -> None:
    """Refuse a native name that stands for another function than the row's value.

    >>> Primitive("twice", lambda x: 2.0 * x, 2.0, native="exp2")
    Traceback (most recent call last):
    ValueError: twice: native must name the function that value computes, but 'exp2' \
gives 0.125 at (-3.0), where value gives -6.0; leave it out
    """
    name = clean(row.name)
    known = NATIVE.get(row.native) if isinstance(row.native, str) else None
    if known is None:
        raise ValueError(
            f"{name}: native must be a function of libm or LLVM that is known here, "
            f"but is {brief(row.native)}; known are {', '.join(sorted(NATIVE))}"
        )
    if row.arity != known.arity:
        raise ValueError(
            f"{name}: native must take as many operands as the row, "
            f"{row.arity or 'any'}, but {row.native!r} takes {known.arity}; leave it "
            "out"
        )
    for point in _points(row):
        ours, theirs = row.value(*point), known.value(*point)
        if not _agree(ours, theirs):
            at = ", ".join(map(repr, point))
            raise ValueError(
                f"{name}: native must name the function that value computes, but "
                f"{row.native!r} gives {theirs!r} at ({at}), where value gives "
                f"{ours!r}; leave it out"
            )


def _points(row: Primitive) -> Iterator[tuple[float, ...]]:
    """Where a row says what it is: a lattice over its sample, and its edges."""
    sample = row.sample
    ranges = sample if isinstance(sample[0], tuple) else (sample,) * row.arity
    steps = {1: 16, 2: 6}.get(row.arity, 3)
    lattice = [
        [low + (high - low) * k / steps for k in range(steps + 1)]
        for low, high in ranges
    ]
    yield from (point for point in product(*lattice) if _has_value(row, point))
    yield from (args for args, _, _ in row.edges)


def _has_value(row: Primitive, point: tuple[float, ...]) -> bool:
    try:
        row.raw(*point)
    except ARITHMETIC_ERRORS:
        return False
    return True


def _agree(x: float, y: float) -> bool:
    """Whether two ways to compute a number may be of the same function."""
    near = math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-15)
    return near or x != x and y != y


def _rule(name: str, partial: Callable[..., Any] | float) -> Callable[..., Any]:
    if callable(partial):
        return partial
    constant = number(partial, name, "a partial")
    return lambda z, *args: constant


def _fixed(name: str, partial: Callable[..., Any] | float) -> float | None:
    """The partial if it is a number, the same everywhere; None if it is a rule."""
    return None if callable(partial) else number(partial, name, "a partial")


def _is_sequence(x: Any) -> bool:
    return hasattr(x, "__len__") and getattr(x, "ndim", 1) != 0


def _finite(x: Any) -> Any:
    """x, or 0 at ±inf: beside a factor that goes to 0 faster."""
    return where(abs(x) == inf, 0.0, x)


class Total(float):
    """A float whose operators are rows: 1 / Total(0.0) is inf where 1 / 0.0 raises.

    Rules run on plain floats first, which is fast, and on these where that raises or
    turns complex, as (-8.0) ** 0.5 does.
    """

    __slots__ = ()


def _without_each(
    xs: Sequence[Any], join: Callable[..., Any], none: float
) -> list[Any]:
    """For each of them, all others joined: those before it with those after it."""
    if len(xs) < 2:
        return [none] * len(xs)
    before = [*accumulate(xs[:-1], join)]
    after = [*accumulate(xs[:0:-1], join)][::-1]
    return [after[0], *map(join, before[:-1], after[1:]), before[-1]]


def inside(z: Any, partial: Any) -> Any:
    """The partial where the row has a value, NaN where z is NaN: outside the domain."""
    return where(z == z, partial, z)


def _log_to_base(*args: Any) -> Any:
    """log(x, base), or the error of a wrong number of operands."""
    x, base = args if len(args) == 2 else log._completed(args)
    return div(log(x), log(base))


# fmt: off
# ---- arithmetic ----------------------------------------------------------------------


def _divide(x: float, y: float) -> float:
    """x / 0 is ±inf, and 0 / 0 is NaN."""
    return nan if x == 0.0 or x != x else math.copysign(inf, x) * math.copysign(1.0, y)


def _power(x: float, y: float) -> float:
    """x ** y where math.pow raises: a pole, an overflow, or a root of a negative."""
    if y != math.floor(y) and x < 0.0:
        return nan
    odd = fabs(math.fmod(y, 2.0)) == 1.0
    return -inf if odd and math.copysign(1.0, x) < 0.0 else inf


def _either(condition: Any, x: Callable[[], Any], y: Callable[[], Any]) -> Any:
    """where, of whose sides only one is computed if the condition is known."""
    if type(condition) in (bool, float) or hasattr(condition, "known"):
        return x() if condition else y()
    return where(condition, x(), y())


def _power_slope(z: Any, x: Any, y: Any) -> Any:
    """∂(x^y)/∂x: y x^(y - 1), and 0 for y = 0 where x is 0 or NaN.

    Where x is 0 and the power infinite, only the power's own part counts for y.
    Where y is 0, it meets x first: so its slope stays 0 where 1 / x² is infinite.
    """
    power = _pow_less_one(x, y)
    factor = where(power < inf, y, stop_gradient(y))
    slope = inside(z, factor * power)

    def flat() -> Any:
        return where(abs(x) < inf, y / x * z, slope)

    def at_zero() -> Any:
        return _either(abs(x) > 0.0, flat, lambda: 0.0)

    return _either(y == 0.0, at_zero, lambda: slope)


def _one_power_less(x: Any, y: Any) -> Any:
    divisor = where(_is_one_less(y - 1.0, y), 0.0, _finite(x))
    return where(divisor == 0.0, pow(x + 0.0, y - 1.0), pow(x, y) / divisor)


def _is_one_less(less: Any, y: Any) -> Any:
    """Whether y - 1 was not rounded."""
    return where(less == y, 0.0, less + 1.0 == y)


def _power_times_log(x: Any, y: Any) -> Any:
    """x^y ln x, by the root of it where x^y is no normal number and this may be one."""
    z, slope = abs(pow(x, y)), log(x)
    root = pow(x, 0.5 * y) * sqrt(abs(slope))
    limit = where(z == 0.0, z, z * slope)
    extreme = where(abs(slope) < inf, sign(slope) * pow(root, 2.0), limit)
    usual = where(z < SMALLEST_NORMAL, 0.0, z < inf)
    return where(x < 0.0, nan, where(usual, z * slope, extreme))


def _mixed_slope(x: Any, y: Any) -> Any:
    """∂²(x^y)/∂x∂y: x^(y - 1) (1 + y ln x), or its limit; 0 at (0, 0): x⁰ is flat."""
    slope = _pow_less_one(x, y) * (1 + y * log(x))
    end = _pow_log(x, y - 1)
    limit = where(y > 0.0, end, where(y == 0.0, 0.0, -end))
    return where(abs(log(x)) < inf, slope, limit)


def _fma(x: float, y: float, w: float) -> float:
    """x * y + w, rounded once (Python has math.fma only from 3.13 on)."""
    from fractions import Fraction

    if not (math.isfinite(x) and math.isfinite(y)):
        return x * y + w
    if not math.isfinite(w):
        return w  # x * y may overflow on its own
    exact = Fraction(x) * Fraction(y) + Fraction(w)
    try:
        return float(exact) if exact else x * y + w  # a sum of 0 keeps its IEEE sign
    except OverflowError:
        return inf if exact > 0 else -inf


def _remainder(x: Any, y: Any) -> Any:
    """Python's: the sign is that of y."""
    z = fmod(x, y)
    moved = where((y < 0.0) != (z < 0.0), z + y, z)
    return where(z == 0.0, where(y < 0.0, -0.0, 0.0), moved)


def _minus_whole_quotient(z: Any, x: Any, y: Any) -> Any:
    """-floor(x / y) of a remainder z, but floor can be one too high."""
    return -floor(stop_gradient(x / y - z / y + 0.5))


add = Primitive("add", operator.add, 1.0, 1.0, latex="{0} + {1}", native="fadd", ulp=1)
sub = Primitive("sub", operator.sub, 1.0, -1.0, latex="{0} - {1}", native="fsub", ulp=1)
mul = Primitive(
    "mul", operator.mul, lambda z, x, y: y, lambda z, x, y: x,
    latex=r"{0} \cdot {1}", native="fmul", ulp=1,
)
# -0.0 + 0.0 is 0.0: one derivative for both zeros
div = Primitive(
    "div", operator.truediv, lambda z, x, y: 1 / (y + 0.0), lambda z, x, y: -z / y,
    latex=r"\frac{{{0}}}{{{1}}}", native="fdiv", ieee=_divide,
    edges=[((1.0, 0.0), inf, (inf, -inf)), ((0.0, 0.0), nan, (inf, nan))],
)
neg = Primitive("neg", operator.neg, -1.0, latex="-{0}", native="fneg", ulp=1)
# x^(y - 1) to all digits, where y - 1 is rounded as well
_pow_less_one: Primitive = Primitive(
    "_pow_less_one", lambda x, y: _one_power_less(x, y),
    lambda z, x, y: where(
        _is_one_less(y - 1, y), _power_slope(z, x, y - 1),
        (y - 1) * z / where(x == 0.0, 1.0, x)
    ),
    lambda z, x, y: where(abs(log(x)) < inf, z * log(x), _pow_log(x, y - 1)),
    latex="{0}^{{{1} - 1}}", sample=((0.1, 4.0), (-3.0, 3.0)), ulp=3,
)
# x^y ln x, with its limits where x is 0
_pow_log: Primitive = Primitive(
    "_pow_log", lambda x, y: _power_times_log(x, y),
    lambda z, x, y: _mixed_slope(x, y),
    lambda z, x, y: z * where(x == 0.0, -1.0, where(x == inf, 1.0, log(x))),
    latex=r"{0}^{{{1}}} \ln {0}", sample=((0.1, 4.0), (-3.0, 3.0)), ulp=3,
)
pow: Primitive = Primitive(
    "pow", math.pow,
    lambda z, x, y: _power_slope(z, x, y), lambda z, x, y: _pow_log(x, y),
    latex="{0}^{{{1}}}", native="pow", sample=((0.1, 4.0), (-3.0, 3.0)), ulp=3,
    ieee=_power,
    edges=[
        ((0.0, 0.0), 1.0, (0.0, -inf)), ((0.0, 1.0), 0.0, (1.0, 0.0)),
        ((0.0, 2.0), 0.0, (0.0, 0.0)), ((0.0, 0.5), 0.0, (inf, 0.0)),
        ((0.0, -1.0), inf, (-inf, -inf)), ((-8.0, 1 / 3), nan, (nan, nan)),
        ((-2.0, 2.0), 4.0, (-4.0, nan)), ((nan, 0.0), 1.0, (0.0, nan)),
        ((1.0, nan), 1.0, (nan, 0.0)), ((nan, 2.0), nan, (nan, nan)),
        ((2.0, nan), nan, (nan, nan)),
    ],
)
fmod = Primitive(
    "fmod", math.fmod, lambda z, x, y: inside(z, 1.0), _minus_whole_quotient,
    latex=r"\operatorname{{fmod}}\left({0}, {1}\right)", native="fmod", ulp=1,
    sample=((-9.0, 9.0), (0.5, 4.0)),
)
remainder = Primitive(
    "remainder", math.remainder, lambda z, x, y: inside(z, 1.0), _minus_whole_quotient,
    latex=r"\operatorname{{remainder}}\left({0}, {1}\right)", ulp=1,
    sample=((-9.0, 9.0), (0.5, 4.0)),
)
mod = Primitive(
    "mod", _remainder, lambda z, x, y: inside(z, 1.0), _minus_whole_quotient,
    latex=r"{0} \bmod {1}", sample=((-9.0, 9.0), (0.5, 4.0)), ulp=1,
    edges=[((4.0, 2.0), 0.0, (1.0, -2.0)), ((1.0, 0.0), nan, (nan, nan))],
)
fma = Primitive(
    "fma", getattr(math, "fma", _fma), lambda z, x, y, w: y, lambda z, x, y, w: x, 1.0,
    latex=r"{0} \cdot {1} + {2}", native="fma", ulp=1, ieee=_fma,
)

for _name, _row in {
    "add": add, "sub": sub, "mul": mul, "truediv": div, "pow": pow, "mod": mod,
}.items():
    setattr(Total, f"__{_name}__", lambda x, y, row=_row: row(x, y))
    setattr(Total, f"__r{_name}__", lambda y, x, row=_row: row(x, y))
for _name, _call in {
    "neg": lambda x: neg(x), "pos": lambda x: x, "abs": lambda x: abs(x),
}.items():
    setattr(Total, f"__{_name}__", _call)
del _name, _row, _call

# ---- exponentials, logarithms, roots -------------------------------------------------

LN2: Final = math.log(2.0)
LOG2_E: Final = 1 / math.log(2.0)
LOG10_E: Final = 1 / math.log(10.0)

exp = Primitive(
    "exp", math.exp, lambda z, x: z,
    latex="e^{{{0}}}", native="exp", ulp=1, ieee=lambda x: inf,
)
exp2: Primitive = Primitive(
    "exp2", math.exp2,
    lambda z, x: where(z < inf, z * LN2, exp2(x - 1) * (2 * LN2)),
    latex="2^{{{0}}}", native="exp2", ieee=lambda x: inf,
)
expm1 = Primitive(
    "expm1", math.expm1, lambda z, x: exp(x),
    latex=r"\left(e^{{{0}}} - 1\right)", native="expm1", ulp=1, ieee=lambda x: inf,
)
log: Primitive = Primitive(
    "log", math.log, lambda z, x: inside(z, 1 / (x + 0.0)),
    latex=r"\ln {0}", native="log", domain=(0.0, inf), sample=(0.01, 9.0), ulp=1,
    ieee=lambda x: -inf if x == 0.0 else nan,
    edges=[((0.0,), -inf, (inf,)), ((-1.0,), nan, (nan,))],
)
log.otherwise = _log_to_base
log2 = Primitive(
    "log2", math.log2, lambda z, x: inside(z, LOG2_E / (x + 0.0)),
    latex=r"\log_2 {0}", native="log2", domain=(0.0, inf), sample=(0.01, 9.0), ulp=1,
    ieee=lambda x: -inf if x == 0.0 else nan,
    edges=[((0.0,), -inf, (inf,)), ((-1.0,), nan, (nan,))],
)
log10 = Primitive(
    "log10", math.log10, lambda z, x: inside(z, LOG10_E / (x + 0.0)),
    latex=r"\log_{{10}} {0}", native="log10", domain=(0.0, inf), sample=(0.01, 9.0),
    ieee=lambda x: -inf if x == 0.0 else nan,
    edges=[((0.0,), -inf, (inf,)), ((-1.0,), nan, (nan,))],
)
log1p = Primitive(
    "log1p", math.log1p, lambda z, x: inside(z, 1 / (1 + x)),
    latex=r"\ln\left(1 + {0}\right)", native="log1p", domain=(-1.0, inf), ulp=3,
    sample=(-0.99, 9.0), ieee=lambda x: -inf if x == -1.0 else nan,
    edges=[((-1.0,), -inf, (inf,)), ((-2.0,), nan, (nan,))],
)
log1mexp = Primitive(
    "log1mexp",
    lambda x: where(x > -LN2, log(-expm1(x)), log1p(-exp(x))),
    lambda z, x: inside(z, -exp(x) / (0.0 - expm1(x))),
    latex=r"\ln\left(1 - e^{{{0}}}\right)", domain=(-inf, 0.0), sample=(-9.0, -0.01),
    ulp=4, edges=[((0.0,), -inf, (-inf,)), ((1.0,), nan, (nan,))],
)
# 0 where x is 0, be the logarithm infinite
xlogy = Primitive(
    "xlogy", lambda x, y: where(x == 0.0, where(y >= 0.0, 0.0, nan), x * log(y)),
    lambda z, x, y: log(y),
    lambda z, x, y: inside(
        z, where(y > 0.0, x / y, where(x == 0.0, 0.0 - z, x / (y + 0.0)))
    ),
    latex=r"{0} \ln {1}", sample=((-3.0, 3.0), (0.01, 9.0)),
    edges=[
        ((0.0, 0.0), 0.0, (-inf, 0.0)), ((1.0, 0.0), -inf, (-inf, inf)),
        ((0.0, -1.0), nan, (nan, nan)), ((0.0, nan), nan, (nan, nan)),
    ],
)
sqrt = Primitive(
    "sqrt", math.sqrt, lambda z, x: 0.5 / (z + 0.0),
    latex=r"\sqrt{{{0}}}", native="sqrt", domain=(0.0, inf), sample=(0.01, 9.0),
    edges=[((0.0,), 0.0, (inf,)), ((-1.0,), nan, (nan,))],
)
cbrt = Primitive(
    "cbrt", math.cbrt, lambda z, x: 1 / z / z / 3,  # whose derivatives have no sums
    latex=r"\sqrt[3]{{{0}}}", native="cbrt", ulp=9,
    edges=[((0.0,), 0.0, (inf,))],
)

# ---- trigonometric and hyperbolic ----------------------------------------------------

DEGREES: Final = 180 / math.pi
RADIANS: Final = math.pi / 180

sin = Primitive(
    "sin", math.sin, lambda z, x: cos(x),
    latex=r"\sin {0}", native="sin", ulp=1,
)
cos: Primitive = Primitive(
    "cos", math.cos, lambda z, x: -sin(x),
    latex=r"\cos {0}", native="cos", ulp=1,
)
tan = Primitive(
    "tan", math.tan, lambda z, x: 1 + z * z,
    latex=r"\tan {0}", native="tan",
)
_one_minus_square = Primitive(
    "_one_minus_square", lambda x: (1 - x) * (1 + x), lambda z, x: -2 * x,
    latex="1 - {0}^2", ulp=2,
)
asin = Primitive(
    "asin", math.asin, lambda z, x: 1 / sqrt(_one_minus_square(x)),
    latex=r"\arcsin {0}", native="asin", domain=(-1.0, 1.0), sample=(-0.99, 0.99),
    ulp=4,
    edges=[
        ((1.0,), math.pi / 2, (inf,)), ((-1.0,), -math.pi / 2, (inf,)),
        ((2.0,), nan, (nan,)),
    ],
)
acos = Primitive(
    "acos", math.acos, lambda z, x: -1 / sqrt(_one_minus_square(x)),
    latex=r"\arccos {0}", native="acos", domain=(-1.0, 1.0), sample=(-0.99, 0.99),
    ulp=4,
    edges=[((1.0,), 0.0, (-inf,)), ((-1.0,), math.pi, (-inf,)), ((2.0,), nan, (nan,))],
)
_atan_slope: Primitive = Primitive(
    "_atan_slope", lambda x: _inverse_of_one_plus_square(abs(x)),
    lambda z, x: -2 * (_finite(x) * z) * z,
    latex=r"\frac{{1}}{{1 + {0}^{{2}}}}",
)
atan = Primitive(
    "atan", math.atan, lambda z, x: _atan_slope(x),
    latex=r"\arctan {0}", native="atan",
)
atan2 = Primitive(
    "atan2", math.atan2, lambda z, y, x: _turn(x, hypot(y, x)),
    lambda z, y, x: -_turn(y, hypot(y, x)),
    latex=r"\operatorname{{atan2}}\left({0}, {1}\right)", native="atan2", ulp=5,
    edges=[((0.0, 0.0), 0.0, (0.0, 0.0)), ((0.0, -1.0), math.pi, (-1.0, 0.0))],
)
sinh = Primitive(
    "sinh", math.sinh, lambda z, x: cosh(x),
    latex=r"\sinh {0}", native="sinh", ieee=lambda x: math.copysign(inf, x),
)
cosh: Primitive = Primitive(
    "cosh", math.cosh, lambda z, x: sinh(x),
    latex=r"\cosh {0}", native="cosh", ieee=lambda x: inf,
)
_tanh_slope: Primitive = Primitive(
    "_tanh_slope", lambda x: 4 * _bump(exp(-2 * abs(x))), lambda z, x: -2 * z * tanh(x),
    latex=r"1 - \left(\tanh {0}\right)^{{2}}", ulp=3,
)
tanh: Primitive = Primitive(
    "tanh", math.tanh, lambda z, x: _tanh_slope(x),
    latex=r"\tanh {0}", native="tanh", ulp=3,
)
asinh = Primitive(
    "asinh", math.asinh, lambda z, x: 1 / hypot(1.0, x),
    latex=r"\operatorname{{arsinh}} {0}", native="asinh", ulp=5,
)
acosh = Primitive(
    "acosh", math.acosh, lambda z, x: 1 / (sqrt(x - 1) * sqrt(x + 1)),
    latex=r"\operatorname{{arcosh}} {0}", native="acosh", domain=(1.0, inf),
    sample=(1.01, 9.0), ulp=3,
    edges=[((1.0,), 0.0, (inf,)), ((-2.0,), nan, (nan,))],
)
atanh = Primitive(
    "atanh", math.atanh, lambda z, x: inside(z, 1 / _one_minus_square(x)),
    latex=r"\operatorname{{artanh}} {0}", native="atanh", domain=(-1.0, 1.0),
    sample=(-0.99, 0.99),
    ieee=lambda x: math.copysign(inf, x) if fabs(x) == 1.0 else nan,
    edges=[((1.0,), inf, (inf,)), ((-1.0,), -inf, (inf,)), ((2.0,), nan, (nan,))],
)
degrees = Primitive(
    "degrees", lambda x: x * DEGREES, DEGREES,
    latex=r"\operatorname{{degrees}} {0}", ulp=1,
)
radians = Primitive(
    "radians", lambda x: x * RADIANS, RADIANS,
    latex=r"\operatorname{{radians}} {0}", ulp=1,
)


def _inverse_of_one_plus_square(x: Any) -> Any:
    """1 / (1 + x²) for x ≥ 0, without the overflow of the square."""
    return where(x <= 1.0, 1 / (1 + x * x), (1 / x) / (1 / x + x))


def _bump(e: Any) -> Any:
    """e / (1 + e)², all digits of which are in e: what 1 - tanh² and σ(1 - σ) lose."""
    return e / ((1 + e) * (1 + e))


def _turn(side: Any, radius: Any) -> Any:
    """side / radius², without the overflow of a square, and 0 at the origin."""
    return where(radius == 0.0, 0.0, side / radius / radius)


def _over(x: Any, radius: Any) -> Any:
    """x / radius, and 0 at the origin."""
    return where(radius == 0.0, 0.0, x / radius)


# ---- special functions ---------------------------------------------------------------

TWO_OVER_SQRT_PI: Final = 2 / math.sqrt(math.pi)
HALF_SQRT_PI: Final = math.sqrt(math.pi) / 2
SQRT_TWO_OVER_PI: Final = math.sqrt(2 / math.pi)
SQRT_HALF: Final = math.sqrt(0.5)
SQRT_TAU: Final = math.sqrt(math.tau)
SMALLEST_NORMAL: Final = 2.0**-1022
LARGEST: Final = sys.float_info.max
SMALLEST: Final = 5e-324  # added to what is at least 1, unless it is 0
LAST_GAMMA: Final = 171.62437695630272  # beyond it Γ and all its derivatives overflow

def _sinc(x: Any) -> Any:
    """sin(πx) / (πx), the sine by the exact distance to the next whole number."""
    turn = fmod(x, 2.0)
    whole = floor(turn + 0.5)
    sine = sin(math.pi * (turn - whole)) * where(abs(whole) == 1.0, -1.0, 1.0)
    near = where(x == 0.0, 1.0, sine / (math.pi * where(x == 0.0, 1.0, x)))
    return where(abs(x) == inf, 0.0, near)


def _exp_of_minus_square(x: Any) -> Any:
    """exp(-x²) to its last digits: x² is split into an exact head² and the rest.

    Source: W. J. Cody's routine CALERF (1990), which cuts at a sixteenth.
    """
    head = floor(64.0 * x + 0.5) / 64.0
    near = exp(-head * head) * exp((head - x) * (head + x))
    return where(abs(x) < 28.0, near, where(x == x, 0.0, x))


_gaussian: Primitive = Primitive(
    "_gaussian", _exp_of_minus_square, lambda z, x: -2 * x * z,
    latex="e^{{-{0}^2}}", ulp=3,
)
erf = Primitive(
    "erf", math.erf, lambda z, x: TWO_OVER_SQRT_PI * _gaussian(x),
    latex=r"\operatorname{{erf}} {0}", native="erf", ulp=3,
)
erfc = Primitive(
    "erfc", math.erfc, lambda z, x: -TWO_OVER_SQRT_PI * _gaussian(x),
    latex=r"\operatorname{{erfc}} {0}", native="erfc", ulp=3,
)
gamma = Primitive(
    "gamma", math.gamma,
    lambda z, x: where(x > LAST_GAMMA, z, z * polygamma(0.0, x)),
    latex=r"\Gamma\left({0}\right)", sample=(0.2, 9.0), ulp=8,
    ieee=lambda x: math.copysign(inf, x) if x > -1.0 else nan,
    edges=[((0.0,), inf, (-inf,)), ((-1.0,), nan, (nan,))],
)
lgamma = Primitive(
    "lgamma", math.lgamma, lambda z, x: polygamma(0.0, x + 0.0),
    latex=r"\ln\left|\Gamma\left({0}\right)\right|", sample=(0.2, 9.0), ulp=20,
    ieee=lambda x: inf,
    edges=[((0.0,), inf, (-inf,)), ((-1.0,), inf, (nan,))],
)
polygamma: Primitive = Primitive(
    "polygamma", special.polygamma, nan,
    lambda z, n, x: inside(z, polygamma(n + 1, x + 0.0)),
    latex=r"\psi^{{({0})}}\left({1}\right)", sample=((0.0, 0.0), (0.2, 9.0)), ulp=12,
    ieee=special.polygamma_pole,
    edges=[((0.0, 0.0), -inf, (nan, inf))],
)
def _cosines(z: Any, *xs: Any) -> list[Any]:
    """x / z for each, 0 at the origin.

    Of the others each needs only their squares, which are smooth where they are 0; they
    count in a unit near z, a mere number.
    """
    unit = stop_gradient(clip(z, SMALLEST_NORMAL, 2.0**1023))
    sides = [x / unit for x in xs]
    others = _without_each([side * side for side in sides], operator.add, 0.0)
    return [_cosine(z, x, rest, unit) for x, rest in zip(xs, others)]


# x / z, where z² = x² + w² y; z is known, and no variable of its own
_cosine: Primitive = Primitive(
    "_cosine", lambda z, x, y, w: _over(x, z), 0.0,
    lambda cosine, z, x, y, w: _over(y * _over(w, z) * _over(w, z), z),
    lambda cosine, z, x, y, w: -0.5 * cosine * _over(w, z) * _over(w, z), 0.0,
    latex=r"\frac{{{1}}}{{{0}}}",
    sample=((5.0, 5.0), (3.0, 3.0), (4.0, 4.0), (2.0, 2.0)),
)
hypot: Primitive = Primitive(
    "hypot", math.hypot, _cosines,
    latex=r"\operatorname{{hypot}}\left({all}\right)", ulp=4,
    edges=[
        ((0.0, 0.0), 0.0, (0.0, 0.0)), ((inf, nan), inf, (nan, nan)),
        ((1.0, nan), nan, (nan, nan)),
    ],
)

digamma = Primitive(
    "digamma", special.digamma, lambda z, x: polygamma(1.0, x + 0.0),
    latex=r"\psi\left({0}\right)", sample=(0.2, 9.0), ulp=12,
    ieee=lambda x: special.polygamma_pole(0.0, x),
    edges=[((0.0,), -inf, (inf,)), ((-1.0,), nan, (nan,))],
)
_polygamma_gap: Primitive = Primitive(
    "_polygamma_gap", special.polygamma_gap, 0.0,
    lambda z, n, x, y: _polygamma_gap(n + 1, x, y),
    lambda z, n, x, y: inside(z, -polygamma(n + 1, x + y + 0.0)),
    latex=r"\psi^{{({0})}}\left({1}\right) - \psi^{{({0})}}\left({1} + {2}\right)",
    sample=((0.0, 0.0), (0.2, 9.0), (0.2, 9.0)), ulp=6,
)
lbeta = Primitive(
    "lbeta", special.lbeta, lambda z, x, y: _polygamma_gap(0.0, x, y),
    lambda z, x, y: _polygamma_gap(0.0, y, x),
    latex=r"\ln B\left({0}, {1}\right)", sample=(0.2, 9.0), ulp=6,
    ieee=lambda x, y: inf,
)
beta = Primitive(
    "beta", special.beta, lambda z, x, y: z * _polygamma_gap(0.0, x, y),
    lambda z, x, y: z * _polygamma_gap(0.0, y, x),
    latex=r"B\left({0}, {1}\right)", sample=(0.2, 9.0), ulp=12,
    ieee=lambda x, y: inf,
)
_erfcx: Primitive = Primitive(
    "_erfcx", special.erfcx, 0.0, lambda z, n, x: -2 * (n + 1) * _erfcx(n + 1, x),
    latex=r"e^{{{1}^2}} \operatorname{{i}}^{{{0}}} \operatorname{{erfc}} {1}", ulp=12,
    sample=((0.0, 0.0), (-3.0, 9.0)), ieee=lambda n, x: inf,
)
erfcx: Primitive = Primitive(
    "erfcx", lambda x: special.erfcx(0.0, x), lambda z, x: -2 * _erfcx(1.0, x),
    latex=r"\operatorname{{erfcx}} {0}", ulp=12, ieee=lambda x: inf,
)
erfinv = Primitive(
    "erfinv", special.erfinv, lambda z, x: HALF_SQRT_PI / _gaussian(z),
    latex=r"\operatorname{{erf}}^{{-1}} {0}", domain=(-1.0, 1.0),
    sample=(-0.99, 0.99), ulp=8,
    edges=[((1.0,), inf, (inf,)), ((-1.0,), -inf, (inf,)), ((2.0,), nan, (nan,))],
)
# the normal density over its distribution
_inverse_mills: Primitive = Primitive(
    "_inverse_mills", lambda x: SQRT_TWO_OVER_PI / erfcx(-x * SQRT_HALF),
    lambda z, x: -z * where(
        x > 0.0, z + _finite(x),
        _erfcx(1.0, -x * SQRT_HALF) / erfcx(-x * SQRT_HALF) / SQRT_HALF,
    ),
    latex=r"\operatorname{{mills}} {0}", ulp=12,
)
log_ndtr = Primitive(
    "log_ndtr", special.log_ndtr, lambda z, x: _inverse_mills(x),
    latex=r"\ln \operatorname{{ndtr}} {0}", ulp=12,
)
# the derivatives of sin(t) / t, at t = πx
_spherical_bessel: Primitive = Primitive(
    "_spherical_bessel", special.spherical_bessel, 0.0,
    lambda z, n, x: math.pi * (
        n * _spherical_bessel(abs(n - 1), x) - (n + 1) * _spherical_bessel(n + 1, x)
    ) / (2 * n + 1),
    latex=r"j_{{{0}}}\left(\pi {1}\right)", sample=((1.0, 1.0), (-9.0, 9.0)), ulp=6,
)
sinc = Primitive(
    "sinc", lambda x: _sinc(x), lambda z, x: -math.pi * _spherical_bessel(1.0, x),
    latex=r"\operatorname{{sinc}} {0}", ulp=6, edges=[((0.0,), 1.0, (0.0,))],
)

# ---- steps, and choices between operands ---------------------------------------------


def _comparison(
    name: str,
    native: str,
    holds: Callable[[float, float], bool],
    symbol: str,
    tie: float,
    with_nan: float = 0.0,
) -> Primitive:
    """The row of a comparison: 1 or 0, a step without a derivative."""
    return Primitive(
        name,
        lambda x, y: 1.0 if holds(x, y) else 0.0,
        0.0,
        0.0,
        latex=f"{{0}} {symbol} {{1}}",
        native=native,
        edges=[
            ((1.0, 1.0), tie, (0.0, 0.0)),
            ((nan, 1.0), with_nan, (0.0, 0.0)),
            ((1.0, nan), with_nan, (0.0, 0.0)),
        ],
        select=True,
        ulp=1,
    )


def _greater_share(x: Any, y: Any) -> Any:
    """1 where x > y, ½ in a tie, 0 where x < y, NaN beside NaN."""
    tie_or_less = where(x == y, 0.5, where(x < y, 0.0, x + y))
    return where(x > y, 1.0, tie_or_less)


def _parts_of_tie(z: Any, xs: Sequence[Any]) -> list[Any]:
    """1/k for each of the k operands that are z, NaN beside NaN."""
    parts = [where(x == z, 1.0, 0.0) for x in xs]
    count = where(z == z, reduce(operator.add, parts), z) if parts else 1.0
    return [part / count for part in parts]


def isnan(x: Any) -> Any:
    """Whether x is NaN, a comparison: a bool, or a guard where x is traced.

    >>> isnan(nan), isnan(inf)
    (True, False)
    """
    x = x if hasattr(x, "_apply") else number(x, "isnan", "x")
    return x != x


def isfinite(x: Any) -> Any:
    """Whether x is neither infinite nor NaN, a comparison as isnan.

    >>> isfinite(1e308), isfinite(-inf), isfinite(nan)
    (True, False, False)
    """
    x = x if hasattr(x, "_apply") else number(x, "isfinite", "x")
    return abs(x) < inf


less = _comparison("less", "olt", operator.lt, "<", tie=0.0)
less_equal = _comparison("less_equal", "ole", operator.le, r"\le", tie=1.0)
greater = _comparison("greater", "ogt", operator.gt, ">", tie=0.0)
greater_equal = _comparison("greater_equal", "oge", operator.ge, r"\ge", tie=1.0)
equal = _comparison("equal", "oeq", operator.eq, "=", tie=1.0)
not_equal = _comparison("not_equal", "une", operator.ne, r"\ne", tie=0.0, with_nan=1.0)
where: Primitive = Primitive(
    "where", lambda condition, x, y: x if condition else y, 0.0,
    lambda z, condition, x, y: where(condition, 1.0, 0.0),
    lambda z, condition, x, y: where(condition, 0.0, 1.0),
    latex=r"\left({1} \text{{ if }} {0} \text{{ else }} {2}\right)", native="select",
    select=True, ulp=1,
    edges=[
        ((0.0, 1.0, 2.0), 2.0, (0.0, 0.0, 1.0)),
        ((nan, 1.0, 2.0), 1.0, (0.0, 1.0, 0.0)),
        ((1.0, 3.0, nan), 3.0, (0.0, 1.0, 0.0)),
        ((1.0, nan, 3.0), nan, (0.0, 1.0, 0.0)),
    ],
)
# a sum, and one more share of it that a select may have left out
_add_unless: Primitive = Primitive(
    "_add_unless", lambda absent, x, y: where(absent, x, x + y), 0.0, 1.0,
    lambda z, absent, x, y: where(absent, 0.0, 1.0),
    latex=r"{1} + \left({2} \text{{ unless }} {0}\right)", select=True, ulp=1,
)
maximum = Primitive(
    "maximum", lambda x, y: where(x > y, x, where(x == x, y, x)),
    lambda z, x, y: _greater_share(x, y),
    lambda z, x, y: _greater_share(y, x),
    latex=r"\max\left({0}, {1}\right)", select=True, ulp=1,
    edges=[
        ((1.0, 1.0), 1.0, (0.5, 0.5)), ((nan, 1.0), nan, (nan, nan)),
        ((1.0, nan), nan, (nan, nan)),
    ],
)
minimum = Primitive(
    "minimum", lambda x, y: where(x < y, x, where(x == x, y, x)),
    lambda z, x, y: _greater_share(y, x),
    lambda z, x, y: _greater_share(x, y),
    latex=r"\min\left({0}, {1}\right)", select=True, ulp=1,
    edges=[
        ((1.0, 1.0), 1.0, (0.5, 0.5)), ((nan, 1.0), nan, (nan, nan)),
        ((1.0, nan), nan, (nan, nan)),
    ],
)
_maximum = Primitive(
    "_maximum", lambda *xs: reduce(maximum, xs, -inf),
    lambda z, *xs: _parts_of_tie(z, xs),
    latex=r"\max\left({all}\right)", select=True, ulp=1,
)
_minimum = Primitive(
    "_minimum", lambda *xs: reduce(minimum, xs, inf),
    lambda z, *xs: _parts_of_tie(z, xs),
    latex=r"\min\left({all}\right)", select=True, ulp=1,
)
maximum.otherwise, minimum.otherwise = _maximum, _minimum
clip = Primitive(
    "clip", lambda x, lo, hi: minimum(maximum(x, lo), hi),
    lambda z, x, lo, hi: inside(z, where(x > lo, where(x < hi, 1.0, 0.0), 0.0)),
    lambda z, x, lo, hi: inside(z, where(x < lo, where(lo < hi, 1.0, 0.0), 0.0)),
    lambda z, x, lo, hi: inside(z, where(maximum(x, lo) > hi, 1.0, 0.0)),
    latex=r"\operatorname{{clip}}\left({0}, {1}, {2}\right)",
    sample=((-3.0, 3.0), (-2.0, -1.0), (1.0, 2.0)), select=True, ulp=1,
    edges=[
        ((0.0, 0.0, 1.0), 0.0, (0.0, 0.0, 0.0)),
        ((1.0, 0.0, 1.0), 1.0, (0.0, 0.0, 0.0)),
        ((nan, 0.0, 1.0), nan, (nan, nan, nan)),
    ],
)
abs: Primitive = Primitive(
    "abs", math.fabs, lambda z, x: sign(x),
    latex=r"\left|{0}\right|", native="fabs", ulp=1,
    edges=[((0.0,), 0.0, (0.0,)), ((nan,), nan, (nan,))],
)
sign: Primitive = Primitive(
    "sign", lambda x: where(x > 0.0, 1.0, where(x < 0.0, -1.0, x + 0.0)),
    lambda z, x: inside(z, 0.0),
    latex=r"\operatorname{{sign}} {0}", ulp=1,
    edges=[((0.0,), 0.0, (0.0,)), ((nan,), nan, (nan,))],
)
floor: Primitive = Primitive(
    "floor", lambda x: math.copysign(math.floor(x), x), lambda z, x: inside(z, 0.0),
    latex=r"\left\lfloor {0} \right\rfloor", native="floor", ulp=1, ieee=lambda x: x,
    edges=[((2.0,), 2.0, (0.0,)), ((nan,), nan, (nan,))],
)
ceil = Primitive(
    "ceil", lambda x: math.copysign(math.ceil(x), x), lambda z, x: inside(z, 0.0),
    latex=r"\left\lceil {0} \right\rceil", native="ceil", ulp=1, ieee=lambda x: x,
    edges=[((2.0,), 2.0, (0.0,)), ((nan,), nan, (nan,))],
)
trunc: Primitive = Primitive(
    "trunc", lambda x: math.copysign(math.floor(fabs(x)), x),
    lambda z, x: inside(z, 0.0),
    latex=r"\operatorname{{trunc}} {0}", native="trunc", ulp=1, ieee=lambda x: x,
    edges=[((2.0,), 2.0, (0.0,)), ((nan,), nan, (nan,))],
)
# the sign of a NaN is an accident of how it came about, and counts as positive
copysign: Primitive = Primitive(
    "copysign",
    lambda x, y: where(where(y == 0.0, atan2(y, -1.0), y) < 0.0, -abs(x), abs(x)),
    lambda z, x, y: sign(x) * copysign(1.0, y), 0.0,
    latex=r"\operatorname{{copysign}}\left({0}, {1}\right)", ulp=1,
    edges=[
        ((0.0, 1.0), 0.0, (0.0, 0.0)), ((2.0, -0.0), -2.0, (-1.0, 0.0)),
        ((1.0, nan), 1.0, (1.0, 0.0)),
    ],
)

# ---- neural networks -----------------------------------------------------------------


def _sigmoid(x: Any) -> Any:
    e = exp(-abs(x))
    return where(x >= 0.0, 1.0, e) / (1.0 + e)


def _silu(x: Any) -> Any:
    """x σ(x), where e⁻ˣ may lose its digits and x e⁻ˣ not."""
    half = exp(-0.5 * abs(x))
    z = where(x >= 0.0, x, x * half * half) / (1.0 + half * half)
    return where(x == -inf, -0.0, z)


def _moment(x: Any, half: Any) -> Any:
    return _finite(x) * half * half / ((1.0 + half * half) * (1.0 + half * half))


def _gap(x: Any, y: Any) -> Any:
    """x - y, and 0 for two equal infinities."""
    return where(abs(x) < inf, x - y, where(x == y, 0.0, x - y))


def softmax(*xs: Any) -> list[Any]:
    """The share eˣ / Σ eˣ of each operand, a list; of -inf, as in a mask, it is 0.

    Of any number of operands or of one sequence of them. The derivatives keep their
    digits where a share is almost 1, and all shares are 0 where all operands are -inf.

    >>> softmax(0.0, 0.0), softmax([1e3, -inf])
    ([0.5, 0.5], [1.0, 0.0])
    """
    xs = logsumexp._spread(xs)
    return _shares(maximum(xs), *xs)


def log_softmax(*xs: Any) -> list[Any]:
    """ln of the share of each operand: softmax's, and nothing of it is lost near 0.

    >>> log_softmax(40.0, 0.0)
    [-4.248354255291589e-18, -40.0]
    """
    xs = logsumexp._spread(xs)
    largest = maximum(xs)  # and differentiated, too: its own gap stays 0
    top = where(largest == -inf, 0.0, largest)
    gaps = [_gap(x, top) for x in xs]
    return list(map(_log_share, gaps, _without_each(list(map(exp, gaps)), add, 0.0)))


def _logsumexp(*xs: float) -> float:
    top = reduce(maximum, xs, -inf)
    if not -inf < top < inf:
        return top
    return top + math.log1p(math.fsum([-1.0, *[math.exp(x - top) for x in xs]]))


def _shares(z: Any, *xs: Any) -> list[Any]:
    """eˣ / Σ eˣ for each, by the sum of the others, which 1 - p would lose.

    A number near the largest is taken off all; the shares do not depend on it.
    """
    shift = stop_gradient(where(z == inf, LARGEST, _finite(z)))
    terms = [exp(where(x == inf, 0.0, x - shift)) for x in xs]
    others = _without_each(terms, operator.add, 0.0)
    return list(map(_share, terms, others))


def _dot(*operands: Any) -> Any:
    half, odd = divmod(len(operands), 2)
    if odd:
        raise TypeError(
            f"dot: operands must come in two halves, but there are {len(operands)}; "
            "write dot(xs, ys)"
        )
    return reduce(operator.add, map(operator.mul, operands, operands[half:]), 0.0)


def _prod(*xs: Any) -> Any:
    return reduce(operator.mul, xs, 1.0)


def _normal_density(x: Any) -> Any:
    half = _gaussian(0.5 * x)  # x / 2 is exact, where x / sqrt(2) is not
    return half * half / SQRT_TAU


_sigmoid_slope: Primitive = Primitive(
    "_sigmoid_slope", lambda x: _bump(exp(-abs(x))), lambda z, x: -z * tanh(0.5 * x),
    ulp=3,
    latex=r"\sigma\left({0}\right) \cdot \left(1 - \sigma\left({0}\right)\right)",
)
sigmoid = Primitive(
    "sigmoid", _sigmoid, lambda z, x: _sigmoid_slope(x),
    latex=r"\sigma\left({0}\right)", ulp=3,
)
softplus = Primitive(
    "softplus", lambda x: maximum(x, 0.0) + log1p(exp(-abs(x))),
    lambda z, x: sigmoid(x),
    latex=r"\ln\left(1 + e^{{{0}}}\right)", ulp=3,
)
log_sigmoid = Primitive(
    "log_sigmoid", lambda x: -softplus(-x), lambda z, x: sigmoid(-x),
    latex=r"\ln \sigma\left({0}\right)", ulp=3,
)
relu = Primitive(
    "relu", lambda x: where(x <= 0.0, 0.0, x),
    lambda z, x: where(x > 0.0, 1.0, where(x <= 0.0, 0.0, x)),
    latex=r"\operatorname{{relu}} {0}", select=True, ulp=1,
    edges=[((0.0,), 0.0, (0.0,)), ((nan,), nan, (nan,))],
)
leaky_relu = Primitive(
    "leaky_relu", lambda x, slope=0.01: where(x > 0.0, x, slope * x),
    lambda z, x, slope: inside(z, where(x > 0.0, 1.0, slope)),
    lambda z, x, slope: inside(z, where(x > 0.0, 0.0, x)),
    latex=r"\operatorname{{leaky\_relu}}\left({0}, {1}\right)",
    sample=((-3.0, 3.0), (0.01, 0.3)), ulp=1,
    edges=[
        ((0.0, 0.01), 0.0, (0.01, 0.0)), ((nan, 0.01), nan, (nan, nan)),
        ((2.0, nan), 2.0, (1.0, 0.0)),
    ],
)
# x σ′(x), whose digits are there where those of σ′ are not
_sigmoid_moment: Primitive = Primitive(
    "_sigmoid_moment", lambda x: _moment(x, exp(-0.5 * abs(x))),
    lambda z, x: _sigmoid_slope(x) - z * tanh(0.5 * x),
    latex=r"{0} \cdot \sigma'\left({0}\right)", ulp=4,
)
silu = Primitive(
    "silu", _silu,
    lambda z, x: sigmoid(x) + _sigmoid_moment(x),
    latex=r"\operatorname{{silu}} {0}", ulp=4,
    edges=[((-inf,), 0.0, (0.0,)), ((inf,), inf, (1.0,))],
)
gelu = Primitive(
    "gelu", lambda x: where(x == -inf, -0.0, 0.5 * x * erfc(-x * SQRT_HALF)),
    lambda z, x: (
        0.5 * erfc(-x * SQRT_HALF) + _finite(x) * _normal_density(x)
    ),
    latex=r"\operatorname{{gelu}} {0}", ulp=6,
    edges=[((-inf,), 0.0, (0.0,)), ((inf,), inf, (1.0,))],
)
# 0 of 0, where all operands of logsumexp are -inf
_share: Primitive = Primitive(
    "_share", lambda x, y: x / (x + y + SMALLEST),
    lambda z, x, y: y / (x + y + SMALLEST) / (x + y + SMALLEST),
    lambda z, x, y: -x / (x + y + SMALLEST) / (x + y + SMALLEST),
    latex=r"\frac{{{0}}}{{{0} + {1}}}", sample=(0.1, 3.0), ulp=3,
)
_log_share: Primitive = Primitive(
    "_log_share", lambda x, y: where(x == -inf, x, x - log1p(exp(x) - 1 + y)),
    lambda z, x, y: _share(y, exp(x)), lambda z, x, y: -1 / (exp(x) + y),
    latex=r"{0} - \ln\left(e^{{{0}}} + {1}\right)", ulp=4,
    sample=((-3.0, 0.0), (1.0, 3.0)),
)
logsumexp = Primitive(
    "logsumexp", _logsumexp, _shares,
    latex=r"\operatorname{{logsumexp}}\left({all}\right)", ulp=6,
    edges=[((-inf, -inf), -inf, (0.0, 0.0)), ((0.0, -inf), 0.0, (1.0, 0.0))],
)
logaddexp = Primitive(
    "logaddexp", lambda x, y: maximum(x, y) + log1p(exp(-abs(_gap(x, y)))),
    lambda z, x, y: where(z == -inf, 0.0, sigmoid(_gap(x, y))),
    lambda z, x, y: where(z == -inf, 0.0, sigmoid(_gap(y, x))),
    latex=r"\ln\left(e^{{{0}}} + e^{{{1}}}\right)", ulp=4,
    edges=[((-inf, -inf), -inf, (0.0, 0.0)), ((0.0, -inf), 0.0, (1.0, 0.0))],
)
dot = Primitive(
    "dot", _dot,
    lambda z, *xys: xys[len(xys) // 2 :] + xys[: len(xys) // 2],
    latex=r"\operatorname{{dot}}\left({all}\right)", ulp=2,
)
prod = Primitive(
    "prod", _prod, lambda z, *xs: _without_each(xs, operator.mul, 1.0),
    latex=r"\operatorname{{prod}}\left({all}\right)",
    edges=[((0.0, 3.0), 0.0, (3.0, 0.0)), ((0.0, 0.0, 5.0), 0.0, (0.0, 0.0, 0.0))],
)

# ---- the graph itself ----------------------------------------------------------------

identity = Primitive("identity", lambda x: x, 1.0, latex="{0}", ulp=1)
stop_gradient = Primitive(
    "stop_gradient", lambda x: x, 0.0,
    latex=r"\operatorname{{stop\_gradient}} {0}", select=True, ulp=1,
)

# fmt: on
# ---- the same formulas and rules, for floats only ------------------------------------


def _bind_to_floats() -> None:
    """Give each row its formula and rules over plain functions: math.cos for cos.

    On floats they give the same numbers three times as fast, or raise where Python's
    math does: `value` and `derivatives` then run them as they are written.
    """
    names: dict[str, Any] = {}

    def bound(f: Any) -> Any:
        if not isinstance(f, FunctionType) or f.__globals__ is not globals():
            return f
        defaults, closure = f.__defaults__, f.__closure__
        return FunctionType(f.__code__, names, f.__name__, defaults, closure)

    for name, x in list(globals().items()):
        names[name] = bound(x.formula if isinstance(x, Primitive) else x)
    for row in globals().values():
        if isinstance(row, Primitive):
            row.raw = names[row.name]
            row.float_rules = tuple(map(bound, row.rules))
            bind(row)


_bind_to_floats()
NATIVE["copysign"] = Primitive("copysign", math.copysign, 1.0, 0.0)
NATIVE.update({
    row.native: row
    for row in [*globals().values()]
    if isinstance(row, Primitive) and row.native is not None
})  # fmt: skip
