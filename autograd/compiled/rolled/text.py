"""Rolled code as a person would write it: `for o in 0..63: h[o] = Σ_r w[o, r]·x[r]`.

Each name stands for what is computed: z for sums of products, a for what a function of
one number gives, p q s d for products, quotients, sums and differences. Sums add their
terms one by one, from the left, and a condition in brackets leaves a term out where it
does not hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ... import primitives as p
from ...formulas import COMPARISONS
from ...primitives import Primitive, clean
from ..tape import Tape
from .loops import (
    Affine,
    Array,
    Call,
    Check,
    Expression,
    Fold,
    Lookup,
    Loop,
    Number,
    Part,
    Program,
    Read,
    Repeat,
    Statement,
    Var,
    inside,
    reads,
)
from .names import HOLE, Named
from .program import copied, is_axis, program

MOST: Final = 200  # lines
SHOWN: Final = 12  # numbers of a table, parts of a sum
LANES: Final = "ijklm"
TERMS: Final = "rsuvw"
STEPS: Final = "tTnN"


def text(tape: Tape, names: Sequence[Named] | None = None, name: str = "f") -> str:
    """The loops of a tape; names say what its inputs are called.

    >>> from autograd.primitives import add, mul
    >>> from autograd.compiled.tape import Instruction
    >>> square = Tape(2, (
    ...     Instruction(mul, (0, 0)), Instruction(mul, (1, 1)),
    ...     Instruction(add, (2, 3)),
    ... ), (4,))
    >>> print(text(square))
    def f(x[2]):
        # sums add term by term, from the left
        z1 = Σ_r x[r]·x[r]
        return z1
    """
    return "\n".join(Printer(program(tape, names)).lines(name))


# How tightly an expression holds together.
COMPARED, ADDED, SUMMED, MULTIPLIED, SIGNED, RAISED, ALONE = range(7)
Shown = tuple[str, int]  # an expression's text, and how tightly that holds together
Names = dict[Var, str]

SYMBOLS: Final = {
    "olt": "<", "ole": "≤", "ogt": ">", "oge": "≥", "oeq": "=", "une": "≠",
}  # fmt: skip
assert SYMBOLS.keys() == COMPARISONS.keys()
LETTERS: Final = {
    p.mul: "p", p.div: "q", p.neg: "n", p.pow: "u", p.exp: "e", p.log: "l",
    p.where: "w", p.maximum: "m", p.minimum: "m",
}  # fmt: skip


class Printer:
    """Prints a program, once it has given names to what has none."""

    def __init__(self, whole: Program) -> None:
        self.whole = whole
        self.inputs = list(dict.fromkeys([array for array, _ in whole.inputs]))
        self.taken = {array.name.split("[")[0].split(".")[0] for array in self.inputs}
        self.count: dict[str, int] = {}
        self.tables = [*self._tables()]
        values = {
            line.array: line.value for line in whole.flat() if isinstance(line, Loop)
        }
        for array, x in values.items():
            self._name(array, _letter(x))

    def _tables(self) -> Iterator[Array]:
        """The tables that are used, which get names."""
        seen: dict[Array, None] = {}
        values = [line.value for line in self.whole.flat()]
        for x in (*values, *[y for y, _ in self.whole.outputs]):
            for r, _ in reads(x):
                tables = [i.table for i in r.places if isinstance(i, Lookup)]
                for table in (*tables, *([r.array] if r.array.numbers else [])):
                    seen.setdefault(table)
        for table in seen:
            whole = all(type(x) is int for x in table.numbers or ())
            self._name(table, "t" if whole else "c")
            yield table

    def _name(self, array: Array, letter: str) -> None:
        while True:
            self.count[letter] = self.count.get(letter, 0) + 1
            name = f"{letter}{self.count[letter]}"
            if name not in self.taken:
                array.name = name + HOLE * len(array.shape)
                return

    # ---- lines -----------------------------------------------------------------------

    def lines(self, name: str) -> Iterator[str]:
        """The whole text."""
        yield f"def {clean(name)}({', '.join(map(_declared, self.inputs))}):"
        if legend := [*self._legend()]:
            yield f"    # {'; '.join(legend)}"
        for table in self.tables:
            yield f"    {_declared(table)} = {_numbers(table)}"
        body = [text for line in self.whole.lines for text in self._statement(line)]
        if len(body) > MOST:
            left_out = f"… {len(body) - MOST} lines …"
            body[MOST // 2 : -MOST // 2] = [left_out]
        yield from (f"    {line}" for line in body)
        yield f"    return {', '.join(self._outputs())}"

    def _legend(self) -> Iterator[str]:
        """How to read what is written here otherwise than in Python."""
        values = [line.value for line in self.whole.flat()]
        folds = [f for x in values for f in _folds(x) if f.row is None]
        parts = [part for fold in folds for part in fold.parts]
        if any(len(fold.parts) > 1 or fold.parts[0].over for fold in folds):
            yield "sums add term by term, from the left"
        if any(var.down for part in parts for var in part.over):
            yield "r↓ runs down"
        if any(part.mask for part in parts):
            yield "[c] leaves a term out unless c"
        if any(repr(fold.start) != repr(Number(-0.0)) for fold in folds):
            yield "0 + is not shown"

    def _statement(self, line: Statement) -> Iterator[str]:
        if not isinstance(line, Repeat):
            yield self._line(line, {})
            return
        t = next(x for x in STEPS if x not in self.taken)
        yield f"for {t} in {_range(line.var)}:"
        for inner in line.lines:
            assert not isinstance(inner, Repeat)
            yield f"    {self._line(inner, {line.var: t})}"

    def _line(self, line: Loop | Check, outer: Names) -> str:
        names = {**outer, **self._indices(line)}
        ranges = [f"{names[var]} in {_range(var)}" for var in line.over]
        head = f"for {', '.join(ranges)}: " if ranges else ""
        x = self._shown(line.value, names)[0]
        if isinstance(line, Loop):
            index = (*line.ahead, *[Affine(0, ((var, 1),)) for var in line.over])
            written = self._read(Read(line.array, index), names)
            return f"{head}{written} = {x}"
        what = x if line.expected else f"not ({x})"
        place = f"  # {line.place}" if line.place else ""
        return f"{head}assert {what}{place}"

    def _indices(self, line: Loop | Check) -> Names:
        contracts = len(line.over) == 1 and any(
            part.over for fold in _folds(line.value) for part in fold.parts
        )
        letters = [x for x in ("o" * contracts) + LANES if x not in self.taken]
        return dict(zip(line.over, letters))

    def _outputs(self) -> Iterator[str]:
        for y, over in self.whole.outputs:
            names = dict(zip(over, [x for x in LANES if x not in self.taken]))
            y = copied(y) or y
            if isinstance(y, Read) and _is_whole(y, over):
                yield y.array.name.replace(HOLE, "")
                continue
            ranges = [f" for {names[var]} in {_range(var)}" for var in over]
            yield self._shown(y, names)[0] + "".join(ranges)

    # ---- expressions -----------------------------------------------------------------

    def _shown(self, x: Expression, names: Names) -> Shown:
        if isinstance(x, Number):
            return _number(x.value), SIGNED if x.value < 0.0 else ALONE
        if isinstance(x, Read):
            return self._read(x, names), ALONE
        if isinstance(x, Fold):
            return self._fold(x, names)
        return self._call(x, names)

    def _closed(self, x: Expression, names: Names, least: int) -> str:
        """An expression as a part of one that holds together as tightly as that."""
        shown, tight = self._shown(x, names)
        return shown if tight >= least else f"({shown})"

    def _call(self, x: Call, names: Names) -> Shown:
        row, args = x
        if row is p.mul:
            left = self._closed(args[0], names, MULTIPLIED)
            return f"{left}·{self._closed(args[1], names, SIGNED)}", MULTIPLIED
        if row is p.div:
            left = self._closed(args[0], names, MULTIPLIED)
            return f"{left} / {self._closed(args[1], names, SIGNED)}", MULTIPLIED
        if row is p.neg:
            return f"-{self._closed(args[0], names, SIGNED)}", SIGNED
        if row is p.pow:
            base = self._closed(args[0], names, ALONE)
            return f"{base}**{self._closed(args[1], names, RAISED)}", RAISED
        if row.native in SYMBOLS:
            left, right = [self._closed(arg, names, ADDED) for arg in args]
            return f"{left} {SYMBOLS[row.native]} {right}", COMPARED
        if row is p.abs:
            return f"|{self._shown(args[0], names)[0]}|", ALONE
        texts = [self._shown(arg, names)[0] for arg in args]
        return f"{_called(row)}({', '.join(texts)})", ALONE

    def _fold(self, x: Fold, names: Names) -> Shown:
        if same := copied(x):
            return self._shown(same, names)
        if x.row is p.prod:
            return self._product(x, names)
        if x.row is not None:
            terms = [self._operands(part, names) for part in x.parts]
            return f"{_called(x.row)}({', '.join(_some(terms))})", ALONE
        parts = [self._part(part, names) for part in x.parts]
        signs = [part.negative for part in x.parts]
        minus = parts[0].startswith("-")
        first = f"-({parts[0]})" if minus else f"-{parts[0]}"
        first = first if signs[0] else parts[0]
        others = [f"{'-' if s else '+'} {t}" for s, t in zip(signs[1:], parts[1:])]
        alone = SUMMED if x.parts[0].over or x.parts[0].mask else MULTIPLIED
        return " ".join(_some([first, *others])), alone if not others else ADDED

    def _product(self, x: Fold, names: Names) -> Shown:
        texts = []
        for part in x.parts:
            inner = self._with(part.over, names)
            products = [f"Π_{_bound(var, inner[var], part)} " for var in part.over]
            factor = self._closed(part.factors[0], inner, SIGNED)
            texts.append("".join(products) + factor)
        return "·".join(_some(texts)), SUMMED

    def _part(self, part: Part, names: Names) -> str:
        inner = self._with(part.over, names)
        factors = [self._closed(part.factors[0], inner, MULTIPLIED)]
        factors += [self._closed(x, inner, SIGNED) for x in part.factors[1:]]
        sums = [f"Σ_{_bound(var, inner[var], part)} " for var in part.over]
        mask = f"[{self._present(part.mask, inner)}] " if part.mask else ""
        return f"{''.join(sums)}{mask}{'·'.join(factors)}"

    def _operands(self, part: Part, names: Names) -> str:
        inner = self._with(part.over, names)
        ranges = [f" for {inner[var]} in {_range(var)}" for var in part.over]
        return self._shown(part.factors[0], inner)[0] + "".join(ranges)

    def _with(self, over: Sequence[Var], names: Names) -> Names:
        used = {*names.values(), *self.taken}
        return {**names, **dict(zip(over, [x for x in TERMS if x not in used]))}

    def _present(self, mask: Expression, names: Names) -> str:
        """The condition for a term to be there: that its mask is 0."""
        if isinstance(mask, Call) and mask.row in (p.equal, p.not_equal):
            other = "≠" if mask.row is p.equal else "="
            left, right = [self._closed(arg, names, ADDED) for arg in mask.args]
            return f"{left} {other} {right}"
        shown, tight = self._shown(mask, names)
        return f"not {shown}" if tight == COMPARED else f"{shown} = 0"

    def _read(self, x: Read, names: Names) -> str:
        return _filled(x.array.name, [self._index(i, names) for i in x.places])

    def _index(self, i: Affine | Lookup, names: Names) -> str:
        if isinstance(i, Lookup):
            return self._read(Read(i.table, i.places), names)
        shown = ""
        ahead = sorted(i.steps, key=lambda step: step[1] < 0)
        for var, step in ahead:
            size = names[var] if abs(step) == 1 else f"{abs(step)}·{names[var]}"
            shown += f" - {size}" if step < 0 else f" + {size}"
        if ahead and ahead[0][1] < 0:
            return f"{i.start}{shown}"
        start = f" {'-' if i.start < 0 else '+'} {abs(i.start)}" if i.start else ""
        return (shown + start).removeprefix(" + ") or "0"


def _letter(x: Expression) -> str:
    """What the names of such results begin with."""
    if isinstance(x, Fold):
        if x.row is not None:
            return "v"
        if any(len(part.factors) == 2 for part in x.parts):
            return "z"
        return "d" if any(part.negative for part in x.parts) else "s"
    if not isinstance(x, Call):
        return "v"
    if x.row.native in SYMBOLS:
        return "b"
    if x.row.name.endswith("_slope"):
        return "g"
    return LETTERS.get(x.row, "a" if x.row.arity == 1 else "v")


def _called(row: Primitive) -> str:
    """The name of a row; of a private one that is a derivative, with a prime."""
    name = clean(row.name).removeprefix("_")
    return f"{name[:-6]}'" if name.endswith("_slope") else name


def _folds(x: Expression) -> Iterator[Fold]:
    if isinstance(x, Fold):
        yield x
    for part in inside(x):
        yield from _folds(part)


def _declared(array: Array) -> str:
    """The name of an array with its size in place of indices."""
    return _filled(array.name, map(str, array.shape))


def _filled(name: str, texts: Iterable[str]) -> str:
    """A name with its holes filled; those next to each other share their brackets."""
    todo = [*texts]
    for holes in re.findall(r"(?:\[\])+", name):
        count = len(holes) // len(HOLE)
        name = name.replace(holes, f"[{', '.join(todo[:count])}]", 1)
        todo = todo[count:]
    return name


def _numbers(table: Array) -> str:
    shown = [x if type(x) is int else _number(x) for x in table.numbers or ()]
    texts = [*map(str, shown[:SHOWN])]
    return ", ".join(texts) + f", … ({len(shown)})" * (len(shown) > SHOWN)


def _number(x: float) -> str:
    return (
        repr(int(x))
        if x.is_integer() and 0 < abs(x) < 1e15 or repr(x) == "0.0"
        else repr(x)
    )


def _range(var: Var) -> str:
    return f"{var.size - 1}..0" if var.down else f"0..{var.size - 1}"


def _bound(var: Var, name: str, part: Part) -> str:
    """The name of an index of a sum, with its range where no array tells it."""
    every = any(is_axis(var, r) for r, _ in reads(Fold(None, (part,))))
    if every:
        return name + "↓" * var.down
    return f"{{{name}={_range(var)}}}" if var.down else f"{{{name}<{var.size}}}"


def _is_whole(x: Read, over: Sequence[Var]) -> bool:
    sizes = tuple([var.size for var in over])
    exact = tuple([Affine(0, ((var, 1),)) for var in over])
    return x.places == exact and sizes == x.array.shape


def _some(texts: list[str]) -> list[str]:
    """Not more of them than a reader looks at."""
    if len(texts) <= SHOWN:
        return texts
    return [*texts[: SHOWN - 3], f"… ({len(texts) - SHOWN + 1} more) …", *texts[-2:]]
