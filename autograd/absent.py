"""Adjoints and tangents that may be absent: a zero that stays one whatever it meets.

What a select leaves out, or a result that nothing depends on, hands on nothing. That
is more than a zero, which would be NaN beside an infinite slope. Where all is known,
`ABSENT` stands for it. A trace holds for other numbers as well: there a `Share` says,
by a number, whether it is absent.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any, Final

from .accelerator import in_c, twin
from .primitives import (
    Primitive,
    _add_unless,
    add,
    div,
    dot,
    fma,
    maximum,
    mul,
    neg,
    sub,
    where,
)


class _Absent(float):
    """The adjoint of a result that nothing depends on.

    It adds nothing where a slope is infinite, and where nothing else is added, the
    operand is left out.
    """

    __slots__ = ()

    def __mul__(self, other: Any) -> Any:
        return self

    __rmul__ = __truediv__ = __mul__

    def __neg__(self) -> Any:
        return self

    def __add__(self, other: Any) -> Any:
        return other

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return -other

    def __rsub__(self, other: Any) -> Any:
        return other

    def _apply(self, row: Primitive, args: tuple[Any, ...]) -> Any:
        return applied(row, args)

    _apply_first = _apply  # where a Value is an operand, too


def _nothing(absent: Any) -> None:
    """Where the engine is in Python, no one has to be told."""


ABSENT: Final = _Absent(0.0)
tell: Callable[[Any], None] = twin("_absent", _nothing)
tell(ABSENT)


@in_c
class Share:
    """What an operand of a select adds to a sum, or nothing: then `absent` is 1.0.

    Being absent is not being zero: a share that is absent adds no NaN and no node.
    """

    __slots__ = ("_total", "absent", "share")

    def __init__(self, share: Any, absent: Any, total: Any = None) -> None:
        self.share, self.absent, self._total = share, absent, total

    @property
    def total(self) -> Any:
        """What a sum begins with: the share, or -0.0, to which all add themselves."""
        if self._total is None:
            self._total = where(self.absent, -0.0, self.share)
        return self._total

    @property
    def number(self) -> Any:
        """What it is for all that is no product and no sum."""
        return where(self.absent, 0.0, self.share)

    def __mul__(self, other: Any) -> Any:
        if other is ABSENT:
            return other
        if type(other) is not Share:
            return Share(self.share * other, self.absent)
        if self.absent is other.absent:
            return Share(self.share * other.share, self.absent)
        return Share(self.share * other.share, maximum(self.absent, other.absent))

    def __rmul__(self, other: Any) -> Share:
        return Share(other * self.share, self.absent)

    def __truediv__(self, other: Any) -> Share:
        return Share(self.share / _number(other), self.absent)

    def __rtruediv__(self, other: Any) -> Any:
        return other / self.number

    def __neg__(self) -> Share:
        return Share(-self.share, self.absent)

    def __pos__(self) -> Share:
        return self

    def __add__(self, other: Any) -> Any:
        """The sum so far, self, and one more share."""
        if other is ABSENT:
            return self
        if type(other) is not Share:
            return self.total + other
        if self.absent is other.absent:
            return Share(self.share + other.share, self.absent)
        total = _add_unless(other.absent, self.total, other.share)
        return Share(total, mul(self.absent, other.absent), total)

    def __radd__(self, total: Any) -> Any:
        return _add_unless(self.absent, total, self.share)

    def __sub__(self, other: Any) -> Any:
        return self + -other

    def __rsub__(self, total: Any) -> Any:
        return _add_unless(self.absent, total, -self.share)

    def __bool__(self) -> bool:
        return bool(self.number)

    def _apply(self, row: Primitive, args: tuple[Any, ...]) -> Any:
        return applied(row, args)

    _apply_first = _apply  # where a Value is an operand, too


def _by_number(name: str) -> tuple[Any, Any]:
    """An operator, and the reflected one, on what a share is as a number."""
    apply = getattr(operator, name)
    return (
        lambda x, *ys: apply(x.number, *map(_number, ys)),
        lambda y, x: apply(x, y.number),
    )


for _name in ("pow", "mod", "abs", "lt", "le", "gt", "ge"):
    _plain, _reflected = _by_number(_name)
    setattr(Share, f"__{_name}__", _plain)
    if _name in ("pow", "mod"):
        setattr(Share, f"__r{_name}__", _reflected)
del _name, _plain, _reflected

# The rows that are sums and products, by the methods that keep absence.
LINEAR: Final = {
    add: ("__add__", "__radd__"),
    sub: ("__sub__", "__rsub__"),
    mul: ("__mul__", "__rmul__"),
    div: ("__truediv__", "__rtruediv__"),
    neg: ("__neg__",),
}


def applied(row: Primitive, args: tuple[Any, ...]) -> Any:
    """A row on operands that may be absent: for all that is no product, a zero."""
    for x, method in zip(args, LINEAR.get(row, ())):
        if may_be_absent(x) and method != "__rtruediv__":
            rest = [y for y in args if y is not x]
            return getattr(x, method)(*rest or args[1:])
    xs = [*args]
    for i, j in _factors(row, len(args)):
        xs[i], xs[j] = _beside(args[j], xs[i]), _beside(args[i], xs[j])
    return row(*map(_number, xs))


def _factors(row: Primitive, count: int) -> Iterator[tuple[int, int]]:
    """The places of operands that are multiplied."""
    if row is fma:
        yield 0, 1
    if row is dot:
        yield from zip(range(count // 2), range(count // 2, count))


def _beside(factor: Any, x: Any) -> Any:
    """x, or 0.0 where a factor of it is absent."""
    if factor is ABSENT:
        return 0.0
    return where(factor.absent, 0.0, x) if type(factor) is Share else x


def _number(x: Any) -> Any:
    if type(x) is Share:
        return x.number
    return 0.0 if x is ABSENT else x


def may_be_absent(x: Any) -> bool:
    """Whether x is no number like another."""
    return x is ABSENT or type(x) is Share


def all_absent(xs: Any) -> Any:
    """1.0 where every one of these is absent, a number in a trace; 0.0 if never."""
    flags = {id(x.absent): x.absent for x in xs if type(x) is Share}
    if any(not may_be_absent(x) for x in xs) or not flags:
        return 0.0
    first, *others = flags.values()
    for flag in others:
        first = mul(first, flag)
    return first


def left_out_where(absent: Any, x: Any) -> Any:
    """x as a share that is absent there, too."""
    if type(absent) is float:
        return x
    if type(x) is Share:
        return Share(x.share, maximum(x.absent, absent))
    return Share(x, absent)
