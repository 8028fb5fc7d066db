"""Reads the text of rolled code, and does what it says: a check that it is true.

It knows nothing of how the text was made. A bare index, as in Σ_r w[o, r], runs along
the axis that it stands on, as a reader would take it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import Any

from autograd import primitives as p
from autograd.primitives import Primitive

TOKEN = re.compile(
    r"\s*(\d+\.\.\d+|\d+\.?\d*(?:e[+-]?\d+)?|[A-Za-z_]\w*'?|\*\*|[ΣΠ]_(?:\{[^}]*\}|\w↓?)"
    r"|[-+·/()\[\],|<≤>≥=≠.])"
)
COMPARISONS = {
    "<": p.less, "≤": p.less_equal, ">": p.greater, "≥": p.greater_equal,
    "=": p.equal, "≠": p.not_equal,
}  # fmt: skip
Tree = tuple[Any, ...]


class Parser:
    """Expressions as nested tuples."""

    def __init__(self, text: str) -> None:
        self.tokens, at = [], 0
        while at < len(text.rstrip()):
            found = TOKEN.match(text, at)
            assert found, text[at:]
            self.tokens.append(found[1])
            at = found.end()
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, *wanted: str) -> str:
        token = self.peek()
        if wanted and token not in wanted:
            return ""
        self.at += 1
        return token

    def condition(self) -> Tree:
        if self.take("not"):
            return "not", self.condition()
        left = self.sum()
        if (sign := self.take(*COMPARISONS)) and sign:
            return "call", COMPARISONS[sign], [left, self.sum()]
        return left

    def sum(self) -> Tree:
        terms = [(self.take("-") == "-", self.term())]
        while sign := self.take("+", "-"):
            terms.append((sign == "-", self.term()))
        return terms[0][1] if terms == [(False, terms[0][1])] else ("sum", terms)

    def term(self) -> Tree:
        over, mask = [], None
        while self.peek().startswith("Σ"):
            over.append(self.take()[2:])
        if self.take("["):
            mask = self.condition()
            assert self.take("]")
        body = self.product()
        return ("term", over, mask, body) if over or mask else body

    def product(self) -> Tree:
        left = self.factor(("number", 1.0))
        while sign := self.take("·", "/"):
            row = p.mul if sign == "·" else p.div
            left = self.factor(left, row)
        return left

    def factor(self, left: Tree, row: Primitive = p.mul) -> Tree:
        if self.peek().startswith("Π"):
            over = [self.take()[2:]]
            return "product", over, self.unary(), left
        x = self.unary()
        return x if left == ("number", 1.0) else ("call", row, [left, x])

    def unary(self) -> Tree:
        if self.take("-"):
            return "call", p.neg, [self.unary()]
        base = self.atom()
        return ("call", p.pow, [base, self.unary()]) if self.take("**") else base

    def atom(self) -> Tree:
        if self.take("("):
            inner = self.condition()
            assert self.take(")")
            return inner
        if self.take("|"):
            inner = self.sum()
            assert self.take("|")
            return "call", p.abs, [inner]
        name = self.take()
        if name[0].isdigit() or name in ("inf", "nan"):
            return "number", float(name)
        if self.take("("):
            return self.called(name)
        index: list[Tree] = []
        while sign := self.take("[", "."):
            if sign == ".":
                name += f".{self.take()}"
                continue
            name += "[]"
            index.append(self.sum())
            while self.take(","):
                name += "[]"
                index.append(self.sum())
            assert self.take("]")
        return "read", name, index

    def called(self, name: str) -> Tree:
        args = []
        while not self.take(")"):
            arg = self.condition()
            ranges = []
            while self.take("for"):
                index = self.take()
                assert self.take("in")
                ranges.append((index, _range(self.take())))
            args.append((arg, ranges))
            self.take(",")
        plain = not any(ranges for _, ranges in args)
        return "called", _row(name, len(args) if plain else 0), args


def _row(name: str, operands: int) -> Primitive:
    """The row that has such a name; of any number of operands where these are 0."""
    slope = f"_{name[:-1]}_slope" if name.endswith("'") else ""
    found = [vars(p).get(each) for each in (name, f"_{name}", slope)]
    rows = [row for row in found if isinstance(row, Primitive)]
    return next((row for row in rows if row.arity == operands), rows[-1])


def _range(text: str) -> range:
    first, last = map(int, text.split(".."))
    return range(first, last + 1) if first <= last else range(first, last - 1, -1)


class Reader:
    """A text, line by line, at a point."""

    def __init__(self, text: str, inputs: dict[tuple[str, tuple[int, ...]], float]):
        self.stored = dict(inputs)
        self.lines = text.splitlines()[1:]

    def run(self) -> list[float]:
        """What the text returns; AssertionError where it asserts what is not so."""
        k = 0
        while k < len(self.lines):
            line = self.lines[k].strip()
            if re.fullmatch(r"for \w in \S+:", line):
                index, values = self._ranges(line[4:-1])[0]
                k += 1
                body = []
                while self.lines[k].startswith(" " * 8):
                    body.append(self.lines[k].strip())
                    k += 1
                for value in values:
                    for inner in body:
                        self._line(inner, {index: value})
                continue
            if line.startswith("return "):
                return [y for part in _outputs(line[7:]) for y in self._returned(part)]
            if not line.startswith("#"):
                self._line(line, {})
            k += 1
        raise AssertionError("it returns nothing")

    def _ranges(self, text: str) -> list[tuple[str, range]]:
        pairs = [each.split(" in ") for each in text.split(", ")]
        return [(index, _range(values)) for index, values in pairs]

    def _line(self, line: str, now: dict[str, int]) -> None:
        head = re.match(r"for (.*?): ", line)
        ranges = self._ranges(head[1]) if head else []
        rest = line[head.end() :] if head else line
        rest = re.sub(r"  # \S+:\d+$", "", rest)
        if re.match(r"[tc]\d+\[[\d, ]+\] = ", rest):
            self._table(rest)
            return
        what, _, right = rest.partition(" = ")
        is_check = rest.startswith("assert ")
        tree = Parser(rest[7:] if is_check else right).condition()
        target = None if is_check else Parser(what).atom()
        for values in product(*[values for _, values in ranges]):
            here = {**now, **dict(zip([index for index, _ in ranges], values))}
            x = self.value(tree, here)
            if target is None:
                assert x != 0.0, line
            else:
                self.stored[self._place(target, here)] = x

    def _table(self, line: str) -> None:
        name, shape, numbers = re.match(r"(\w+)\[([\d, ]+)\] = (.*)", line).groups()  # type: ignore[union-attr]
        sizes = [int(n) for n in shape.split(", ")]
        places = product(*map(range, sizes))
        for place, x in zip(places, numbers.split(", ")):
            self.stored[name + "[]" * len(sizes), place] = float(x)

    def _place(self, tree: Tree, now: dict[str, int]) -> tuple[str, tuple[int, ...]]:
        _, name, index = tree
        return name, tuple([int(self.value(i, now)) for i in index])

    def _returned(self, part: str) -> Iterator[float]:
        text, *ranges = part.split(" for ")
        tree = Parser(text).condition()
        if tree[0] == "read" and not tree[2] and (tree[1], ()) not in self.stored:
            known = [key for key in self.stored if key[0].split("[")[0] == tree[1]]
            yield from [self.stored[key] for key in sorted(known)]
            return
        pairs = [self._ranges(each)[0] for each in ranges]
        for values in product(*[values for _, values in pairs]):
            yield self.value(tree, dict(zip([index for index, _ in pairs], values)))

    # ---- expressions -----------------------------------------------------------------

    def value(self, tree: Tree, now: dict[str, int]) -> float:
        kind = tree[0]
        if kind == "number":
            return float(tree[1])
        if kind == "read":
            if not tree[2] and tree[1] in now:
                return float(now[tree[1]])
            return self.stored[self._place(tree, now)]
        if kind == "call":
            return float(tree[1].value(*[self.value(arg, now) for arg in tree[2]]))
        if kind == "not":
            return float(not self.value(tree[1], now))
        if kind == "called":
            return float(tree[1].value(*self._operands(tree[2], now)))
        if kind == "product":
            factors = [self.value(tree[2], each) for each in self._each(tree, now)]
            return p.prod.value(self.value(tree[3], now), *factors)
        return self._sum(tree[1] if kind == "sum" else [(False, tree)], now)

    def _operands(self, args: list[Any], now: dict[str, int]) -> Iterator[float]:
        for arg, ranges in args:
            for values in product(*[values for _, values in ranges]):
                more = dict(zip([index for index, _ in ranges], values))
                yield self.value(arg, {**now, **more})

    def _sum(self, terms: list[Any], now: dict[str, int]) -> float:
        total = -0.0
        for negative, term in terms:
            for x in self._terms(term, now):
                total = total - x if negative else total + x
        return total

    def _terms(self, tree: Tree, now: dict[str, int]) -> Iterator[float]:
        if tree[0] != "term":
            yield self.value(tree, now)
            return
        _, _, mask, body = tree
        for here in self._each(tree, now):
            if mask is None or self.value(mask, here) != 0.0:
                yield self.value(body, here)

    def _each(self, tree: Tree, now: dict[str, int]) -> Iterator[dict[str, int]]:
        names, ranges = [], []
        for bound in tree[1]:
            known = re.fullmatch(r"\{(\w)(?:<(\d+)|=(\S+))\}", bound)
            names.append(known[1] if known else bound[0])
            if known:
                ranges.append(range(int(known[2])) if known[2] else _range(known[3]))
            else:
                along = range(self._axis(names[-1], tree, now))
                ranges.append(along[::-1] if bound.endswith("↓") else along)
        for values in product(*ranges):
            yield {**now, **dict(zip(names, values))}

    def _axis(self, index: str, tree: Any, now: dict[str, int]) -> int:
        """How long the axis is on which an index stands alone."""
        if isinstance(tree, tuple) and tree[:1] == ("read",):
            _, name, places = tree
            for axis, place in enumerate(places):
                if place == ("read", index, []):
                    found = [key[1] for key in self.stored if key[0] == name]
                    fixed = [
                        int(each[1]) if each[0] == "number" else None for each in places
                    ]
                    return 1 + max(
                        key[axis]
                        for key in found
                        if all(f is None or f == k for f, k in zip(fixed, key))
                    )
        inner = tree if isinstance(tree, (tuple, list)) else ()
        return max([self._axis(index, each, now) for each in inner], default=0)


def _outputs(text: str) -> list[str]:
    """The parts of a return, at commas that no bracket holds."""
    parts, depth = [""], 0
    for c in text:
        depth += (c in "([") - (c in ")]")
        if c == "," and not depth:
            parts.append("")
        else:
            parts[-1] += c
    return [part.strip() for part in parts]
