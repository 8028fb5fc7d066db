"""A tape made shorter, without changing one bit of what it gives.

One pass, in order: each instruction is looked at once, on what its operands have
become by then. It is computed if all of them are constants, replaced by an operand or a
cheaper instruction where a rule of this file says so, taken from above if the same was
computed there, and written down otherwise. A rule holds for every float, -0.0, NaN and
the infinities included (any NaN equals any NaN); pow, whose last bit is the library's,
has one for the exponents 0 and 1 alone. What neither an output nor a guard needs is
then left out.

Two things are found out beside: which numbers are NaN together, so that a select that
only keeps NaN falls away, and which zeros hide their sign from every output, so that
nothing has to be added to rid them of it.

Guards are simplified by what stands before them alone, so two paths of a function keep
the same guards up to the one where they part. (What zeros hide from outputs is for the
code after the last guard, since another path has other outputs.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import floor, frexp, inf, isfinite
from typing import Final

from .. import primitives as p
from ..primitives import Primitive
from ..value import COMPARISONS
from .tape import Guard, Instruction, Operand, Tape


def simplify(tape: Tape) -> Tape:
    """The same outputs and the same failing guards from fewer instructions.

    >>> from autograd.primitives import add, mul, sin
    >>> x = 0
    >>> tape = Tape(1, (
    ...     Instruction(sin, (x,)), Instruction(mul, (1.0, 1)), Instruction(sin, (x,)),
    ...     Instruction(mul, (2, 3)),
    ... ), (4,))
    >>> print(simplify(tape))
    def tape(x0):
        v1 = sin(x0)
        v2 = mul(v1, v1)
        return v2

    A guard whose outcome is known by then is dropped; the others are numbered anew.
    """
    written = _Written(tape.inputs)
    now: list[Operand] = list(range(tape.inputs))  # what each slot of tape has become
    guards = list(reversed(tape.guards))
    shows: bytearray | None = None
    for k, (row, args) in enumerate(tape.code):
        while guards and guards[-1].after <= k:
            written.check(guards[-1], now[guards.pop().slot])
        seen = tuple([now[x] if type(x) is int else x for x in args])
        if row is p.add and not guards and (zero := _plus_zero(seen)) is not None:
            shows = shows or _signs_that_show(tape)
            if not shows[tape.inputs + k]:
                now.append(zero)
                continue
        now.append(written.apply(row, seen))
    while guards:
        written.check(guards[-1], now[guards.pop().slot])
    outputs = tuple([_seen(now, x) for x in tape.outputs])
    whole = Tape(tape.inputs, tuple(written.code), outputs, tuple(written.guards))
    return without_dead_code(whole)


def without_dead_code(tape: Tape) -> Tape:
    """The tape without the instructions that neither outputs nor guards depend on."""
    inputs, old = tape.inputs, tape.code
    live = bytearray(inputs + len(old))
    for x in (*tape.outputs, *[guard.slot for guard in tape.guards]):
        if type(x) is int:
            live[x] = True
    for k in range(len(old) - 1, -1, -1):
        if live[inputs + k]:
            for x in old[k][1]:
                if type(x) is int:
                    live[x] = True
    if all(live[inputs:]):
        return tape
    now: list[Operand] = list(range(inputs))
    code: list[Instruction] = []
    for k, (row, args) in enumerate(old, start=inputs):
        now.append(inputs + len(code))
        if live[k]:
            code.append(_instruction(row, [_seen(now, x) for x in args]))
    now.append(inputs + len(code))
    guards = [
        guard._replace(
            after=int(now[inputs + guard.after]) - inputs, slot=int(now[guard.slot])
        )
        for guard in tape.guards
    ]
    outputs = tuple([_seen(now, x) for x in tape.outputs])
    return Tape(inputs, tuple(code), outputs, tuple(guards))


def _instruction(row: Primitive, args: Iterable[Operand]) -> Instruction:
    """Instruction(row, tuple(args)) in half the time."""
    return tuple.__new__(Instruction, (row, tuple(args)))


def _plus_zero(args: tuple[Operand, ...]) -> Operand | None:
    """x of x + 0.0, which is x save for the sign of a zero."""
    for x, other in (args, args[::-1]):
        if type(other) is float and other == 0.0:
            return x
    return None


def _signs_that_show(tape: Tape) -> bytearray:
    """For each slot, whether an output may depend on the sign of a zero in it."""
    shows = bytearray(tape.inputs + len(tape.code))
    for y in tape.outputs:
        if type(y) is int:
            shows[y] = True
    for k in reversed(range(len(tape.code))):
        row, args = tape.code[k]
        if row in HIDING:
            continue
        if row in ODD:
            if not shows[tape.inputs + k]:
                continue
        elif row in SIGNED:
            args = SIGNED[row](args, bool(shows[tape.inputs + k]))
        for x in args:
            if type(x) is int:
                shows[x] = True
    return shows


class _Written:
    """What has been written so far, and what is known about it."""

    def __init__(self, inputs: int) -> None:
        self.inputs = inputs
        self.code: list[Instruction] = []
        self.guards: list[Guard] = []
        self._slots: dict[tuple[object, ...], int] = {}  # where it was computed
        self.minus: dict[Operand, Operand] = {}  # -x for each slot x that is a negation
        self._truths: dict[int, bool] = {}  # of slots that a guard has looked at
        self._never_minus_zero: set[int] = set()
        self._nan_with: dict[int, int] = {}  # the first slot that is NaN when this is

    def apply(self, row: Primitive, args: tuple[Operand, ...]) -> Operand:
        """The slot or constant that holds row(*args)."""
        while int in map(type, args):
            rule = RULES.get(row)
            found = rule(self, *args) if rule else None
            if found is None:
                return self._find_or_write(row, args)
            if type(found) is not Instruction:
                return found  # type: ignore[return-value]
            row, args = found
        return row.value(*[float(x) for x in args])

    def check(self, guard: Guard, x: Operand) -> None:
        """Write a guard on x, unless it is known to hold."""
        truth = self.truth(x)
        if truth is guard.expected:
            return
        if type(x) is not int:  # a path that no point takes: there for its guard
            x = self._write(p.identity, (x,))
        self.guards.append(guard._replace(after=len(self.code), slot=x))
        self._truths.setdefault(x, guard.expected)

    def truth(self, x: Operand) -> bool | None:
        """Whether x is other than 0.0, if that is known."""
        return x != 0.0 if type(x) is float else self._truths.get(int(x))

    def operands(self, row: Primitive, x: Operand) -> tuple[Operand, ...]:
        """The operands of x if it was computed by that row, else nothing."""
        if type(x) is not int or x < self.inputs:
            return ()
        instruction = self.code[x - self.inputs]
        return instruction.args if instruction.row is row else ()

    def may_be_minus_zero(self, x: Operand) -> bool:
        return _is(x, -0.0) if type(x) is float else x not in self._never_minus_zero

    def nan_with(self, x: Operand) -> int | None:
        """The first slot known to be NaN exactly when x is; none for a constant."""
        return self._nan_with.get(x, x) if type(x) is int else None

    def _find_or_write(self, row: Primitive, args: tuple[Operand, ...]) -> int:
        key: tuple[object, ...] = (row, args)
        if float in map(type, args):  # 1.0 is no slot 1, and 0.0 not -0.0
            key = (row, *[x.hex() if type(x) is float else x for x in args])
        elif row in COMMUTATIVE and args[0] > args[1]:
            key = (row, args[::-1])
        slot = self._slots.get(key)
        if slot is None:
            slot = self._slots[key] = self._write(row, args)
        return slot

    def _write(self, row: Primitive, args: tuple[Operand, ...]) -> int:
        slot = self.inputs + len(self.code)
        self.code.append(_instruction(row, args))
        if row in ARITHMETIC:
            self._note_arithmetic(slot, row, *args)
        elif row in CHOICES and not any(
            map(self.may_be_minus_zero, args[CHOICES[row]])
        ):
            self._never_minus_zero.add(slot)
        elif row is p.neg:
            self.minus[slot] = args[0]
        elif row in NEVER_MINUS_ZERO:
            self._never_minus_zero.add(slot)
        if row in NAN_FOR_NAN:
            self._note_nan(slot, args[0])
        return slot

    def _note_nan(self, slot: int, cause: Operand) -> None:
        if type(cause) is int:
            self._nan_with[slot] = self._nan_with.get(cause, cause)

    def _note_arithmetic(
        self, slot: int, row: Primitive, x: Operand, y: Operand
    ) -> None:
        """When a result is NaN, if one operand decides, and whether it may be -0.0.

        A sum is -0.0 only if both terms are, a difference only as -0.0 - 0.0.
        """
        if row is p.add:
            positive = not (self.may_be_minus_zero(x) and self.may_be_minus_zero(y))
        elif row is p.sub:
            positive = not self.may_be_minus_zero(x)
        else:
            positive = row is p.mul and type(x) is type(y) is int and x == y
            if positive:
                self._note_nan(slot, x)
        if positive:
            self._never_minus_zero.add(slot)
        for cause, c in ((x, y), (y, x)):
            if type(c) is float and _decides(row, c) and (row is not p.pow or c is y):
                self._note_nan(slot, cause)


def _signed_add(args: tuple[Operand, ...], shown: bool) -> tuple[Operand, ...]:
    """A constant takes the sign of a zero away, unless it is -0.0."""
    hidden = any(type(x) is float and not _is(x, -0.0) for x in args)
    return args if shown and not hidden else ()


def _signed_sub(args: tuple[Operand, ...], shown: bool) -> tuple[Operand, ...]:
    x, y = args
    hidden = type(x) is float and not _is(x, -0.0)
    hidden = hidden or type(y) is float and not _is(y, 0.0)
    return args if shown and not hidden else ()


def _signed_pow(args: tuple[Operand, ...], shown: bool) -> tuple[Operand, ...]:
    """Odd powers of zeros are zeros; of roots and inverses, nothing is said."""
    x, y = args
    return (x,) if shown or not (_is_whole(y) and y > 0.0) else ()


def _decides(row: Primitive, c: float) -> bool:
    """Whether row(x, c) is NaN for no other x than NaN."""
    if row is p.pow:
        return _is_whole(c) and c != 0.0
    return isfinite(c) and (c != 0.0 or row in (p.add, p.sub))


def _seen(now: list[Operand], x: Operand) -> Operand:
    return now[x] if type(x) is int else x


def _is(x: Operand, constant: float) -> bool:
    """Whether x is that constant to the last bit; a slot never is."""
    return type(x) is float and x == constant and x.hex() == constant.hex()


def _is_whole(x: Operand) -> bool:
    return type(x) is float and isfinite(x) and x == floor(x)


def _same(x: Operand, y: Operand) -> bool:
    return x == y if type(x) is type(y) is int else type(y) is float and _is(x, y)


# ---- the rules: a row on operands -> an operand or another instruction ---------------

Found = Operand | Instruction | None


def _add(written: _Written, x: Operand, y: Operand) -> Found:
    for one, other in ((x, y), (y, x)):
        if type(other) is float:
            if _is(other, -0.0):
                return one
            if _is(other, 0.0) and not written.may_be_minus_zero(one):
                return one
        elif other in written.minus:
            return Instruction(p.sub, (one, written.minus[other]))
    return None


def _sub(written: _Written, x: Operand, y: Operand) -> Found:
    if type(y) is float:
        return x if _is(y, 0.0) else None  # not for -0.0: -0.0 - -0.0 is 0.0
    return Instruction(p.add, (x, written.minus[y])) if y in written.minus else None


def _mul(written: _Written, x: Operand, y: Operand) -> Found:
    if type(x) is type(y) is int:
        if x in written.minus or y in written.minus:
            return _sign_outside(written, p.mul, x, y)
        return None
    one, c = (x, y) if type(y) is float else (y, float(x))
    if c == 1.0:
        return one
    if c == -1.0:
        return Instruction(p.neg, (one,))
    if one in written.minus:
        return Instruction(p.mul, (written.minus[one], -c))
    return _scaled_twice(written, one, c)


def _scaled_twice(written: _Written, x: Operand, c: float) -> Instruction | None:
    """(x·b)·c as x·(b·c), where no more than one of the two products was rounded.

    That is so if one of b and c is a power of two, the other a whole number, and none
    less than 1: then nothing is lost below, and what overflows first would do so later.
    """
    for y, b in _each_way(written.operands(p.mul, x)):
        if type(b) is float and _is_whole(b) and _is_whole(c):
            exact = frexp(b)[0] in (0.5, -0.5) or frexp(c)[0] in (0.5, -0.5)
            if exact and b != 0.0 != c and isfinite(b * c):
                return Instruction(p.mul, (y, b * c))
    return None


def _each_way(args: tuple[Operand, ...]) -> tuple[tuple[Operand, ...], ...]:
    return (args, args[::-1]) if args else ()


def _div(written: _Written, x: Operand, y: Operand) -> Found:
    """x / 2ᵏ is x · 2⁻ᵏ, rounded once, wherever 2⁻ᵏ is a float."""
    if type(y) is float and frexp(y)[0] in (0.5, -0.5) and -inf < 1 / y < inf:
        return Instruction(p.mul, (x, 1 / y))
    return _sign_outside(written, p.div, x, y)


def _sign_outside(written: _Written, row: Primitive, x: Operand, y: Operand) -> Found:
    """(-x)·y as -(x·y), where a sum can take the sign in."""
    size, signs = [], 0
    for operand in (x, y):
        minus = type(operand) is int and operand in written.minus
        size.append(written.minus[operand] if minus else operand)
        signs += minus
    if signs == 1:
        return Instruction(p.neg, (written.apply(row, tuple(size)),))
    return Instruction(row, tuple(size)) if signs else None


def _pow(written: _Written, x: Operand, y: Operand) -> Found:
    if type(y) is float and y == 0.0:
        return 1.0
    return 1.0 if _is(x, 1.0) else x if _is(y, 1.0) else None


def _pow_less_one(written: _Written, x: Operand, y: Operand) -> Found:
    """x^(y - 1) where y is known and y - 1 exact."""
    if type(y) is float and y != y - 1.0 and y - 1.0 + 1.0 == y:
        return Instruction(p.pow, (written.apply(p.add, (x, 0.0)), y - 1.0))
    return None


def _neg(written: _Written, x: Operand) -> Found:
    return written.minus.get(int(x))


def _abs(written: _Written, x: Operand) -> Found:
    if written.operands(p.abs, x):
        return x
    return Instruction(p.abs, (written.minus[x],)) if x in written.minus else None


def _where(written: _Written, condition: Operand, x: Operand, y: Operand) -> Found:
    truth = written.truth(condition)
    if truth is not None:
        return x if truth else y
    if _same(x, y) or _keeps_nan(written, condition, x, y):
        return x
    asked = _asked(written, condition)
    if asked and not _is(x, -0.0):  # which a sum of shares begins with, as it stands
        inner, straight = asked
        return Instruction(p.where, (inner, x, y) if straight else (inner, y, x))
    chosen, other = written.operands(p.where, x), written.operands(p.where, y)
    if chosen and chosen[0] == condition:  # the same question again
        return Instruction(p.where, (condition, chosen[1], y))
    if other and other[0] == condition:
        return Instruction(p.where, (condition, x, other[2]))
    return None


def _add_unless(written: _Written, absent: Operand, x: Operand, y: Operand) -> Found:
    truth = written.truth(absent)
    if truth is not None:
        return x if truth else Instruction(p.add, (x, y))
    if _is(y, -0.0):
        return x
    if _is(x, -0.0):
        return Instruction(p.where, (absent, x, y))
    if asked := _asked(written, absent):
        inner, straight = asked
        if straight:
            return Instruction(p._add_unless, (inner, x, y))
    return None


def _keeps_nan(written: _Written, condition: Operand, x: Operand, y: Operand) -> bool:
    """Whether this asks for NaN in z where x and y are NaN anyway when z is."""
    for z in written.operands(p.equal, condition)[:1]:
        if _same(*written.operands(p.equal, condition)):
            cause = written.nan_with(z)
            return cause == written.nan_with(x) == written.nan_with(y)
    return False


def _asked(written: _Written, condition: Operand) -> tuple[Operand, bool] | None:
    """(c, whether straight or negated), if the condition is nothing but c's truth."""
    for row, straight in ((p.not_equal, True), (p.equal, False)):
        args = written.operands(row, condition)
        for c, other in (args, args[::-1]) if args else ():
            if type(other) is float and other == 0.0:
                return c, straight
    if args := written.operands(p.where, condition):
        truth = written.truth(args[1])
        if truth is not None and written.truth(args[2]) is (not truth):
            return args[0], truth
    return None


def _ordered(written: _Written, x: Operand, y: Operand) -> Found:
    return 0.0 if _same(x, y) else None  # NaN is not less than itself either


def _turned(row: Primitive) -> Callable[[_Written, Operand, Operand], Found]:
    return lambda written, x, y: Instruction(row, (y, x))


def _either(written: _Written, x: Operand, y: Operand) -> Found:
    return x if _same(x, y) else None


def _itself(written: _Written, x: Operand) -> Found:
    return x


RULES: Final[dict[Primitive, Callable[..., Found]]] = {
    p.add: _add, p.sub: _sub, p.mul: _mul, p.div: _div, p.neg: _neg, p.abs: _abs,
    p.pow: _pow, p._pow_less_one: _pow_less_one,
    p.where: _where, p._add_unless: _add_unless, p.maximum: _either, p.minimum: _either,
    p.less: _ordered, p.greater: _turned(p.less),
    p.greater_equal: _turned(p.less_equal),
    p.identity: _itself, p.stop_gradient: _itself,
}  # fmt: skip

COMMUTATIVE: Final = frozenset({p.add, p.mul, p.equal, p.not_equal})

ARITHMETIC: Final = frozenset({p.add, p.sub, p.mul, p.div, p.pow})

TRUTHS: Final = frozenset(COMPARISONS.values())

# the operands of which one has to be -0.0 where the result is
CHOICES: Final = {p.where: slice(1, 3), p._add_unless: slice(1, 2)}

NEVER_MINUS_ZERO: Final = TRUTHS | {p.abs, p.sign, p.relu, p.exp, p.dot}

# What is true of rows of one operand is found by asking them.
UNARY: Final = [
    row for row in vars(p).values() if isinstance(row, Primitive) and row.arity == 1
]


def _only_nan_gives_nan(row: Primitive) -> bool:
    """Whether it has a value on the whole line, as its domain, ends and edges say."""
    known = [x for (x,), _, _ in row.edges if x == x]
    numbers = [row.value(x) for x in (-inf, inf, *row.domain, *known)]
    return row.domain == (-inf, inf) and all(z == z for z in numbers)


NAN_FOR_NAN: Final = frozenset(filter(_only_nan_gives_nan, UNARY))

# the same for 0.0 and -0.0
HIDING: Final = TRUTHS | {p.hypot} | {
    row for row in UNARY if row.value(0.0).hex() == row.value(-0.0).hex()
}  # fmt: skip

# the same for 0.0 and -0.0, save for the sign of a zero that comes out
ODD: Final = frozenset({
    p.fma, p.dot, p.prod, p.maximum, p.minimum, p.clip, p.leaky_relu,
    *[row for row in UNARY if row.value(0.0) == row.value(-0.0) == 0.0],
}) - HIDING  # fmt: skip

# the operands in which it shows, by whether it does in the result
SIGNED: Final[
    dict[Primitive, Callable[[tuple[Operand, ...], bool], tuple[Operand, ...]]]
] = {
    p.add: _signed_add, p.sub: _signed_sub, p.pow: _signed_pow,
    p.mul: lambda args, shown: args if shown and not _same(*args) else (),
    p.div: lambda args, shown: args if shown else args[1:],
    p.where: lambda args, shown: args[1:] if shown else (),
    p._add_unless: lambda args, shown: args[1:] if shown else (),
}  # fmt: skip
