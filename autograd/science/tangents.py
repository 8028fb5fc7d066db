"""The second partials of a row as a formula, found from the lines of its rules.

The rules write down on symbols which rows they apply; forward mode over these lines
gives the tangents of the partials where one operand moves. What is known beforehand, as
a constant exponent is, is worked out once: a choice that it makes is made then.

    slot    in a line: 0 is the result z, 1 … the operands, then each step's result
    dot     a tangent: ONE, None where there is none, or its place among instructions
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from ..absent import Share, may_be_absent
from ..formulas import Line, Operand, Symbol
from ..primitives import Primitive, where

Dot = Any
ONE: Final = "one"
Pairs = tuple[tuple[int, int], ...]
Step = tuple[int, Primitive, tuple[Operand, ...]]  # slot, row, operands
Instruction = tuple[int, str, Any, Dot, Dot]  # place, kind, factor, dots
MOST_PROGRAMS: Final = 64  # of one formula, for different constants


def written(row: Primitive, count: int) -> tuple[Line, list[Operand]]:
    """The line of a row's rules, and where in it the partials are."""
    line = Line(count + 1, lambda row: True)
    z, *xs = line.symbols()
    rules: Any = row.rules
    found = rules[0](z, *xs) if row.variadic else [rule(z, *xs) for rule in rules]
    partials = [line.operand(p, row.name) for p in found]
    if len(partials) != count:
        raise ValueError("slopes: there must be one partial for each operand")
    return line, partials


class Program(NamedTuple):
    """What a formula does where some operands are constants, and no more."""

    room: int
    steps: list[Step]
    code: list[Instruction]
    results: list[Dot]

    def run(self, values: Sequence[Any]) -> list[Any]:
        """The second partials at z and the operands: numbers, or Values in a trace."""
        slots = [*values, *[None] * self.room]
        for slot, row, args in self.steps:
            slots[slot] = row(*[slots[x] if type(x) is int else x for x in args])
        dots: dict[Any, Any] = {ONE: 1.0, None: None}
        for place, kind, factor, x, y in self.code:
            factor = slots[factor] if type(factor) is int else factor
            dots[place] = DOTS[kind](factor, dots[x], dots[y])
        return [dots[result] for result in self.results]


class Formula:
    """The second partials of a row, as programs: each for some pairs and constants."""

    def __init__(self, row: Primitive, count: int) -> None:
        self.row, self.count = row, count
        self.programs: dict[Any, Program | None] = {}

    def run(
        self, values: Sequence[Any], chosen: Sequence[int], pairs: Pairs
    ) -> list[Any] | None:
        """The second partials for these pairs, if they have a formula."""
        fixed = [
            (k, x)
            for k, x in enumerate(values[1:], 1)
            if type(x) is float and k - 1 not in chosen
        ]
        program = self.program(fixed, pairs)
        return None if program is None else program.run(values)

    def program(
        self, fixed: Sequence[tuple[int, float]], pairs: Pairs
    ) -> Program | None:
        """What to do where these slots have these numbers."""
        key = pairs, tuple([(k, x.hex()) for k, x in fixed])
        if key not in self.programs:
            if fixed and len(self.programs) >= MOST_PROGRAMS:
                return self.program([], pairs)
            self.programs[key] = self._found(dict(fixed), pairs)
        return self.programs[key]

    def _found(self, fixed: dict[int, float], pairs: Pairs) -> Program | None:
        """One made of lines of its own, as other threads may make theirs meanwhile."""
        try:
            tangents = Tangents(self.row, self.count)
            dots = {b: tangents.where_moves(b) for b in sorted({b for _, b in pairs})}
        except Exception:  # of a row inside whose rule is no line
            return None
        roots = [dots[b].get(tangents.partials[a]) for a, b in pairs]
        return Folded(tangents.line, tangents.code, fixed).program(roots)


class Tangents:
    """Forward mode over the lines of a row's rules.

    Where a `where` selects, a tangent that is not there is absent, not zero.
    """

    def __init__(self, row: Primitive, count: int) -> None:
        self.line, self.partials = written(row, count)
        self.written = len(self.line.code)  # steps of the rules themselves
        self.code: list[tuple[str, Any, Dot, Dot]] = []

    def where_moves(self, b: int) -> dict[Operand, Dot]:
        """The tangent of each slot of the rules that has one, if operand b moves."""
        dots: dict[Operand, Dot] = {b + 1: ONE}
        dots[0] = self._product(self.partials[b], ONE)
        for k in range(self.written):
            row, args = self.line.code[k]
            slot = self.line.inputs + k
            there = [dots.get(x) if type(x) is int else None for x in args]
            dot = self._step(row, slot, args, there)
            if dot is not None:
                dots[slot] = dot
        return dots

    def _step(
        self, row: Primitive, slot: int, args: tuple[Operand, ...], there: list[Dot]
    ) -> Dot:
        if row is where:
            _, x, y = there
            return None if x is None and y is None else self._add("or", args[0], x, y)
        if row.select:
            if row.constant is None or any(row.constant):
                raise ValueError("slopes: what selects by ties has no formula")
            return None
        total = None
        for k, dot in enumerate(there):
            if dot is not None:
                share = self._product(self._partial(row, k, slot, args), dot)
                total = share if total is None else self._add("+", None, total, share)
        return total

    def _partial(
        self, row: Primitive, k: int, slot: int, args: Sequence[Operand]
    ) -> Operand:
        """The partial of a step inside, written down as well."""
        given: Sequence[Any] = slot, *args
        z, *xs = [Symbol(self.line, x) if type(x) is int else x for x in given]
        rules: Any = row.rules
        found = rules[0](z, *xs)[k] if row.variadic else rules[k](z, *xs)
        return self.line.operand(found, row.name)

    def _product(self, partial: Operand, dot: Dot) -> Dot:
        return dot if _is_one(partial) else self._add("*", partial, dot, None)

    def _add(self, kind: str, factor: Any, x: Dot, y: Dot) -> int:
        self.code.append((kind, factor, x, y))
        return len(self.code) - 1


def _is_one(x: Any) -> bool:
    return type(x) is float and x == 1.0


# ---- with constants ------------------------------------------------------------------


class Folded:
    """The steps of a line and of tangents, where the numbers in some slots are known.

    same   what stands for a slot: a number, or the slot that a known choice takes
    """

    def __init__(
        self, line: Line, code: Sequence[Any], fixed: dict[int, float]
    ) -> None:
        self.line, self.code = line, code
        self.same: dict[Operand, Operand] = dict(fixed.items())
        for k, (row, args) in enumerate(line.code):
            xs = list(map(self.slot, args))
            if set(map(type, xs)) == {float}:
                self.same[line.inputs + k] = row.value(*xs)
            elif row is where and type(xs[0]) is float:
                self.same[line.inputs + k] = xs[1] if xs[0] else xs[2]
        self.alike: dict[Dot, Dot] = {}
        for place, (kind, factor, x, y) in enumerate(code):
            known = self.slot(factor)
            if kind == "or" and type(known) is float:
                self.alike[place] = self.dot(x if known else y)
            elif kind == "*" and _is_one(known):
                self.alike[place] = self.dot(x)

    def slot(self, x: Any) -> Any:
        return self.same.get(x, x) if type(x) is int else x

    def dot(self, x: Dot) -> Dot:
        return self.alike.get(x, x)

    def program(self, roots: Sequence[Dot]) -> Program:
        """What these tangents need."""
        results = list(map(self.dot, roots))
        places, slots = set[int](), set[Operand]()
        todo = list(results)
        for place in todo:  # which grows meanwhile
            if type(place) is int and place not in places:
                places.add(place)
                _, factor, x, y = self.code[place]
                slots.add(self.slot(factor))
                todo += [self.dot(x), self.dot(y)]
        code = []
        for place in sorted(places):
            kind, factor, x, y = self.code[place]
            code.append((place, kind, self.slot(factor), self.dot(x), self.dot(y)))
        return Program(len(self.line.code), self.steps(slots), code, results)

    def steps(self, slots: set[Operand]) -> list[Step]:
        """The steps that give what is in these slots, and what that needs."""
        steps = []
        for k in reversed(range(len(self.line.code))):
            slot = self.line.inputs + k
            if slot in slots:
                row, args = self.line.code[k]
                xs = tuple(map(self.slot, args))
                slots |= set(xs)
                steps.append((slot, row, xs))
        return steps[::-1]


# ---- what is done with tangents ------------------------------------------------------


def scaled(factor: Any, x: Any, _: Any = None) -> Any:
    """factor · x, without a product by 1; None if x is left out."""
    if x is None or factor is None:
        return None
    if type(x) is float and x == 1.0:
        return factor
    return x if type(factor) is float and factor == 1.0 else factor * x


def total(_: Any, x: Any, y: Any) -> Any:
    """x + y, of those that are there."""
    if x is None or y is None:
        return y if x is None else x
    return x + y


def _chosen(condition: Any, x: Any, y: Any) -> Any:
    """x or y; where the condition is known only later, what is not there is absent."""
    if type(condition) is float:
        return x if condition else y
    if not any(each is None or may_be_absent(each) for each in (x, y)):
        return where(condition, x, y)
    absent = where(condition, _absent(x), _absent(y))
    return Share(where(condition, _present(x), _present(y)), absent)


def _absent(x: Any) -> Any:
    return 1.0 if x is None else x.absent if type(x) is Share else 0.0


def _present(x: Any) -> Any:
    return 0.0 if x is None else x.share if type(x) is Share else x


DOTS: Final[dict[str, Callable[..., Any]]] = {
    "*": scaled, "+": total, "or": _chosen,
}  # fmt: skip
