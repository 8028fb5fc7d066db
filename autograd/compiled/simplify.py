"""A tape made shorter, without changing one bit of what it gives.

One pass, in order: each instruction is looked at once, on what its operands have
become by then. It is computed if all of them are constants, replaced by an operand or a
cheaper instruction where a rule of this file says so, taken from above if the same was
computed there, and written down otherwise. A rule holds for every float, -0.0, NaN and
the infinities included (any NaN equals any NaN); pow, whose last bit is the library's,
has none. What neither an output nor a guard needs is then left out.

Guards are simplified by what stands before them alone, so two paths of a function keep
the same guards up to the one where they part.
"""

from __future__ import annotations

from collections.abc import Callable
from math import frexp, inf
from typing import Final

from .. import primitives as p
from ..primitives import Primitive
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
    for k, (row, args) in enumerate(tape.code):
        while guards and guards[-1].after <= k:
            written.check(guards[-1], now[guards.pop().slot])
        now.append(written.apply(row, tuple([_seen(now, x) for x in args])))
    while guards:
        written.check(guards[-1], now[guards.pop().slot])
    outputs = tuple([_seen(now, x) for x in tape.outputs])
    whole = Tape(tape.inputs, tuple(written.code), outputs, tuple(written.guards))
    return without_dead_code(whole)


def without_dead_code(tape: Tape) -> Tape:
    """The tape without the instructions that neither outputs nor guards depend on."""
    live = [False] * (tape.inputs + len(tape.code))
    for x in (*tape.outputs, *[guard.slot for guard in tape.guards]):
        if type(x) is int:
            live[x] = True
    for k in reversed(range(len(tape.code))):
        if live[tape.inputs + k]:
            for x in tape.code[k].args:
                if type(x) is int:
                    live[x] = True
    now: list[Operand] = list(range(tape.inputs))
    code: list[Instruction] = []
    kept = [0]  # of the first k instructions
    for k, (row, args) in enumerate(tape.code):
        now.append(tape.inputs + len(code))
        if live[tape.inputs + k]:
            code.append(Instruction(row, tuple([_seen(now, x) for x in args])))
        kept.append(len(code))
    guards = [
        guard._replace(after=kept[guard.after], slot=int(now[guard.slot]))
        for guard in tape.guards
    ]
    outputs = tuple([_seen(now, x) for x in tape.outputs])
    return Tape(tape.inputs, tuple(code), outputs, tuple(guards))


class _Written:
    """What has been written so far, and what is known about it."""

    def __init__(self, inputs: int) -> None:
        self.inputs = inputs
        self.code: list[Instruction] = []
        self.guards: list[Guard] = []
        self._slots: dict[tuple[object, ...], int] = {}  # where it was computed
        self._truths: dict[int, bool] = {}  # of slots that a guard has looked at
        self._never_minus_zero: set[int] = set()

    def apply(self, row: Primitive, args: tuple[Operand, ...]) -> Operand:
        """The slot or constant that holds row(*args)."""
        rule = RULES.get(row)
        while not {*map(type, args)} <= {float}:
            found = rule and rule(self, *args)
            if found is None:
                return self._find_or_write(row, args)
            if not isinstance(found, Instruction):
                return found
            row, args = found
            rule = RULES.get(row)
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

    def _find_or_write(self, row: Primitive, args: tuple[Operand, ...]) -> int:
        keys = [x.hex() if isinstance(x, float) else x for x in args]
        if row in COMMUTATIVE:
            keys.sort(key=str)
        key = (row, *keys)
        slot = self._slots.get(key)
        if slot is None:
            slot = self._slots[key] = self._write(row, args)
        return slot

    def _write(self, row: Primitive, args: tuple[Operand, ...]) -> int:
        self.code.append(Instruction(row, args))
        slot = self.inputs + len(self.code) - 1
        if row in NEVER_MINUS_ZERO or self._shows_no_minus_zero(row, args):
            self._never_minus_zero.add(slot)
        return slot

    def _shows_no_minus_zero(self, row: Primitive, args: tuple[Operand, ...]) -> bool:
        """A sum is -0.0 only if both terms are, a difference only as -0.0 - 0.0."""
        if row is p.add:
            return not all(map(self.may_be_minus_zero, args))
        if row is p.sub:
            return not self.may_be_minus_zero(args[0])
        if row is p.where:
            return not any(map(self.may_be_minus_zero, args[1:]))
        return row is p.mul and _same(*args)


def _seen(now: list[Operand], x: Operand) -> Operand:
    return now[x] if type(x) is int else x


def _is(x: Operand, constant: float) -> bool:
    """Whether x is that constant to the last bit; a slot never is."""
    return type(x) is float and x == constant and x.hex() == constant.hex()


def _same(x: Operand, y: Operand) -> bool:
    return x == y if type(x) is type(y) is int else type(y) is float and _is(x, y)


# ---- the rules: a row on operands -> an operand or another instruction ---------------

Found = Operand | Instruction | None


def _add(written: _Written, x: Operand, y: Operand) -> Found:
    for one, other in ((x, y), (y, x)):
        if _is(other, -0.0):
            return one
        if _is(other, 0.0) and not written.may_be_minus_zero(one):
            return one
        if minus := written.operands(p.neg, other):
            return Instruction(p.sub, (one, *minus))
    return None


def _sub(written: _Written, x: Operand, y: Operand) -> Found:
    if _is(y, 0.0):  # not for -0.0: -0.0 - -0.0 is 0.0
        return x
    if minus := written.operands(p.neg, y):
        return Instruction(p.add, (x, *minus))
    return None


def _mul(written: _Written, x: Operand, y: Operand) -> Found:
    for one, other in ((x, y), (y, x)):
        if _is(other, 1.0):
            return one
        if _is(other, -1.0):
            return Instruction(p.neg, (one,))
        if type(other) is float and (minus := written.operands(p.neg, one)):
            return Instruction(p.mul, (*minus, -other))
    return _without_signs(written, p.mul, x, y)


def _div(written: _Written, x: Operand, y: Operand) -> Found:
    """x / 2ᵏ is x · 2⁻ᵏ, rounded once, wherever 2⁻ᵏ is a float."""
    if type(y) is float and frexp(y)[0] in (0.5, -0.5) and -inf < 1 / y < inf:
        return Instruction(p.mul, (x, 1 / y))
    return _without_signs(written, p.div, x, y)


def _without_signs(written: _Written, row: Primitive, x: Operand, y: Operand) -> Found:
    minus_x, minus_y = written.operands(p.neg, x), written.operands(p.neg, y)
    return Instruction(row, minus_x + minus_y) if minus_x and minus_y else None


def _neg(written: _Written, x: Operand) -> Found:
    minus = written.operands(p.neg, x)
    return minus[0] if minus else None


def _abs(written: _Written, x: Operand) -> Found:
    if written.operands(p.abs, x):
        return x
    minus = written.operands(p.neg, x)
    return Instruction(p.abs, minus) if minus else None


def _where(written: _Written, condition: Operand, x: Operand, y: Operand) -> Found:
    truth = written.truth(condition)
    if truth is not None:
        return x if truth else y
    if _same(x, y):
        return x
    if asked := _asked(written, condition):
        inner, straight = asked
        return Instruction(p.where, (inner, x, y) if straight else (inner, y, x))
    chosen, other = written.operands(p.where, x), written.operands(p.where, y)
    if chosen and chosen[0] == condition:  # the same question again
        return Instruction(p.where, (condition, chosen[1], y))
    if other and other[0] == condition:
        return Instruction(p.where, (condition, x, other[2]))
    return None


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
    p.where: _where, p.maximum: _either, p.minimum: _either,
    p.less: _ordered, p.greater: _turned(p.less),
    p.greater_equal: _turned(p.less_equal),
    p.identity: _itself, p.stop_gradient: _itself,
}  # fmt: skip

COMMUTATIVE: Final = frozenset({p.add, p.mul, p.equal, p.not_equal})

NEVER_MINUS_ZERO: Final = frozenset({
    p.abs, p.sign, p.relu, p.exp, p.dot, p.less, p.less_equal, p.greater,
    p.greater_equal, p.equal, p.not_equal,
})  # fmt: skip
