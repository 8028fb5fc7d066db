"""Matrix products found again in a straight line of operations.

A network traced at one point is a long line of scalar products and sums. Most of it is
of two kinds, whatever the program was that wrote it:

    product   z_o = init_o + a_o0·b_0 + a_o1·b_1 + …   for outputs o that share their b:
              layers on the way forward, and on the way back their transposes
    outer     Σ over lanes of r_i·c_j, for every i and j: the gradient of weights that
              all lanes share

Each chain of additions is followed from its first term to its last, once; chains that
share an operand are put together, and so are outputs that are products of the same two
lists of numbers. That takes time in proportion to the length of the line. What does not
fit stays as it is, and the order of every sum is kept, so that no bit changes.

Where a select may leave a share out of a sum, the sum has the form

    _add_unless(left_out, sum, term)

begun at where(left_out, -0.0, term): a number to which any other adds itself.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain as joined
from math import inf
from typing import Final, NamedTuple, TypeVar

from .. import primitives as p
from ..primitives import Primitive
from .lower import Ending, Plan, Step
from .tape import Operand

FEWEST: Final = 12  # products that are worth a loop

Operands = tuple[Operand, ...]

T = TypeVar("T")


class Product(NamedTuple):
    """z_o = init_o + Σ_r a_or · b_r without the terms that are left out.

    left_out   a slot for each term that is true where the term is left out, or nothing
    """

    outputs: tuple[int, ...]
    inits: Operands
    a: tuple[Operands, ...]
    b: Operands
    left_out: Operands

    def read(self) -> set[int]:
        """The slots that it depends on."""
        every = (*joined(*self.a), *self.b, *self.inits, *self.left_out)
        return {x for x in every if type(x) is int}


class Presence(NamedTuple):
    """A slot that says, by being true or by not being, that a number is to be added."""

    slot: Operand
    when: bool


class Outer(NamedTuple):
    """Outputs first + i·down + j·across are the sums over lanes of rows_i · columns_j.

    present   for each row, in which lanes it is added
    """

    rows: Operands
    columns: Operands
    present: tuple[Presence, ...]
    first: int
    down: int
    across: int


class Matrices(NamedTuple):
    """What was found, each outer product with the endings that it stands for."""

    products: list[Product]
    outers: list[Outer]


def find(line: Line, outers: bool) -> Matrices:
    """The matrix products in a line; outer products if its endings are to be summed."""
    found = list(_outers(line)) if outers else []
    return Matrices(_products(line), found)


class Line:
    """A plan, and for each slot where it is made and used.

    shared   the slots that are the same in all lanes
    """

    def __init__(self, plan: Plan, shared: Container[int]) -> None:
        self.plan, self.shared = plan, shared
        self.made = {step.slot: step for step in plan.steps}
        self.position = {step.slot: k for k, step in enumerate(plan.steps)}
        self.uses: dict[int, int] = {}
        self.first_use: dict[int, float] = {}
        for k, step in enumerate(plan.steps):
            for x in step.args:
                self._use(x, k)
        for check in plan.checks:
            self._use(check.guard.slot, check.after)
        for ending in plan.endings:
            self._use(ending.operand, inf)
        self.taken: set[int] = set()  # outputs that an outer product stands for

    def _use(self, x: Operand, k: float) -> None:
        if type(x) is int:  # slot 1 is not the number 1.0, though they are equal
            self.uses[x] = self.uses.get(x, 0) + 1
            self.first_use[x] = min(k, self.first_use.get(x, inf))

    def step(self, x: Operand, row: Primitive, uses: int) -> Operands:
        """The operands of x if that row made it and it is used so often, else none."""
        step = self.made.get(x) if isinstance(x, int) else None
        if step is None or step.row is not row or self.uses.get(step.slot) != uses:
            return ()
        return step.args

    def is_own(self, x: Operand) -> bool:
        """Whether x may be another number in each lane."""
        return type(x) is int and x not in self.shared

    def last_made(self, xs: Iterable[int]) -> int:
        """The step after which all of them are there; -1 for the start."""
        return max([self.position.get(x, -1) for x in xs], default=-1)

    def start(self, product: Product) -> int | None:
        """The step after which a product can run as a whole, or None if there is none.

        What it reads may then be made too late: by a product that was moved before.
        """
        made = self.last_made(product.read())
        used = [self.first_use.get(y, inf) for y in product.outputs]
        return made if made < min(used) else None

    def move(self, product: Product, start: int) -> None:
        """From now on the product runs after that step, and those moved there before.

        So is what it gives made there, and what it reads used there.
        """
        self.position.update(dict.fromkeys(product.outputs, start))
        for x in product.read():
            self.first_use[x] = min(start, self.first_use[x])


# ---- signs that stand outside of products --------------------------------------------


def with_signs_inside(plan: Plan, shared: Container[int], new: int) -> Plan:
    """The plan with -(x·y) and z - x·y written as x·(-y) and z + x·(-y): the same bits.

    So a row of products whose signs were taken out is a row of products again.

    new    the first slot that is free for the numbers -y
    """
    signed = _only_signed(plan)
    if not signed:
        return plan
    now: dict[Operand, Operand] = {}  # by slot: what stands for it
    minus: dict[int, int] = {}  # by slot: where its negative is
    steps: list[Step] = []
    counts = [0]
    for slot, row, given in plan.steps:
        args = tuple([now.get(x, x) if type(x) is int else x for x in given])
        if row is p.mul and slot in signed:
            x, y = _negated_last(args, minus, shared)
            if type(y) is int and y not in minus:
                minus[y], new = new, new + 1
                steps.append(Step(minus[y], p.neg, (y,)))
            steps.append(Step(slot, p.mul, (x, minus[y] if type(y) is int else -y)))
        elif row is p.sub and args[1] in signed and type(args[1]) is int:
            steps.append(Step(slot, p.add, args))
        elif row is p.neg and type(args[0]) is int and args[0] in signed:
            now[slot] = args[0]
        elif row is p.neg and type(args[0]) is int and args[0] in minus:
            now[slot] = minus[args[0]]
        else:
            steps.append(Step(slot, row, args))
            if row is p.neg and type(args[0]) is int:
                minus[args[0]] = slot
        counts.append(len(steps))
    checks = [
        check._replace(
            after=counts[check.after],
            guard=check.guard._replace(
                slot=int(now.get(check.guard.slot, check.guard.slot))
            ),
        )
        for check in plan.checks
    ]
    endings = [
        e._replace(operand=now.get(e.operand, e.operand))
        if type(e.operand) is int
        else e
        for e in plan.endings
    ]
    return plan._replace(steps=steps, checks=checks, endings=endings)


def _only_signed(plan: Plan) -> set[int]:
    """The products that are only negated or subtracted."""
    signed = {step.slot for step in plan.steps if step.row is p.mul}
    negated: set[Operand] = set()
    for step in plan.steps:
        first = step.args[:1] if step.row is p.sub else step.args
        if step.row is p.neg or step.row is p.sub:
            negated.update(x for x in step.args[-1:] if type(x) is int)
        if step.row is not p.neg:
            signed.difference_update(x for x in first if type(x) is int)
    signed.difference_update(c.guard.slot for c in plan.checks)
    signed.difference_update(e.operand for e in plan.endings if type(e.operand) is int)
    return signed & {int(x) for x in negated}


def _negated_last(
    args: Operands, minus: Container[Operand], shared: Container[Operand]
) -> Operands:
    """The operands, with the one last whose negative is there or else is to be made."""
    x, y = args
    if y not in minus and (x in minus or y in shared and x not in shared):
        return y, x
    return x, y


# ---- sums over the terms of a chain --------------------------------------------------


@dataclass
class Chain:
    """A sum of products: see `Product`."""

    slot: int
    init: Operand
    terms: list[Operands]
    left_out: list[Operand] = field(default_factory=list)
    whole: bool = False  # nothing can be added any more

    def read(self) -> set[int]:
        """The slots that it depends on."""
        every = (*joined(*self.terms), self.init, *self.left_out)
        return {x for x in every if type(x) is int}

    def add(self, slot: int, term: Operands) -> None:
        self.terms.append(term)
        self.slot = slot


class _Chains:
    """The chains of a line, by the slot in which each ends so far."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.ends: dict[int, Chain] = {}
        for step in line.plan.steps:
            self._look(step)

    def _look(self, step: Step) -> None:
        if step.row is p.add:
            self._sum(step.slot, *step.args)
        elif step.row is p._add_unless:
            self._sum_unless(step.slot, *step.args)
        elif step.row is p.dot and len(step.args) % 2 == 0:
            half = len(step.args) // 2
            terms: list[Operands] = [*zip(step.args, step.args[half:])]
            self.ends[step.slot] = Chain(step.slot, 0.0, terms, whole=True)

    def _sum(self, slot: int, x: Operand, y: Operand) -> None:
        for total, other in ((x, y), (y, x)):
            chain = self._open(total, uses=1)
            term = self.line.step(other, p.mul, uses=1)
            if chain and term and not chain.left_out:
                self._extend(chain, slot, term)
                return
        self._begin(slot, x, y)

    def _begin(self, slot: int, x: Operand, y: Operand) -> None:
        first, second = [self.line.step(z, p.mul, uses=1) for z in (x, y)]
        if first and second:
            self.ends[slot] = Chain(slot, -0.0, [first, second])
        elif first or second:
            self.ends[slot] = Chain(slot, y if first else x, [first or second])

    def _sum_unless(self, slot: int, out: Operand, total: Operand, x: Operand) -> None:
        """A sum from which a term may be left out; it begins at any number."""
        term = self.line.step(x, p.mul, uses=1)
        if not term:
            return
        chain = self._open(total, uses=1)
        if chain is None or not chain.left_out:
            chain = self._first(total) or Chain(slot, total, [])
            self.ends[chain.slot] = chain
        self._extend(chain, slot, term)
        chain.left_out.append(out)

    def _first(self, total: Operand) -> Chain | None:
        """The chain of the term that a sum of shares begins with."""
        out, zero, x = self.line.step(total, p.where, uses=1) or (0.0, 0.0, 0.0)
        term = self.line.step(x, p.mul, uses=1)
        if not term or type(zero) is not float or zero.hex() != "-0x0.0p+0":
            return None
        return Chain(int(total), -0.0, [term], left_out=[out])

    def _open(self, x: Operand, uses: int) -> Chain | None:
        chain = self.ends.get(x) if isinstance(x, int) else None
        if chain is None or chain.whole or self.line.uses.get(chain.slot) != uses:
            return None
        return chain

    def _extend(self, chain: Chain, slot: int, term: Operands) -> None:
        del self.ends[chain.slot]
        chain.add(slot, term)
        self.ends[slot] = chain


# ---- chains that share an operand ----------------------------------------------------


def _products(line: Line) -> list[Product]:
    chains = [c for c in _Chains(line).ends.values() if len(c.terms) > 1]
    for chain in chains:
        chain.terms = [_turned(line, *term) for term in chain.terms]
    found: list[Product] = []
    for shared in (1, 0):  # the operand by which they are grouped
        groups: dict[object, list[Chain]] = {}
        for chain in chains:
            common = [term[shared] for term in chain.terms]
            init = chain.init if type(chain.init) is float else -1
            key = [_key(xs) for xs in (common, chain.left_out, [init])]
            groups.setdefault((*key,), []).append(chain)
        chains = []
        for group in groups.values():
            for part in _in_order(line, group):
                if len(part) > 1 and len(part) * len(part[0].terms) >= FEWEST:
                    found.append(_product(part, shared))
                else:
                    chains += part
    return found


def _key(xs: Iterable[Operand]) -> tuple[int | str, ...]:
    return tuple([x if type(x) is int else float(x).hex() for x in xs])


def _turned(line: Line, x: Operand, y: Operand) -> Operands:
    """What varies first: a shared number, else the one that is used less often."""
    own_x, own_y = line.is_own(x), line.is_own(y)
    if own_x == own_y and type(x) is type(y) is int:
        return (x, y) if line.uses[x] <= line.uses[y] else (y, x)
    return (x, y) if own_y else (y, x)


def _in_order(line: Line, group: list[Chain]) -> Iterable[list[Chain]]:
    """The chains in parts, each with all operands made before an output is used."""
    part: list[Chain] = []
    start, stop = -1, inf
    read: set[int] = set()
    given: set[int] = set()
    for chain in group:
        own = chain.read()
        made, used = line.last_made(own), line.first_use.get(chain.slot, inf)
        apart = chain.slot not in read and given.isdisjoint(own)
        if part and not (apart and max(start, made) < min(stop, used)):
            yield part
            part, start, stop, read, given = [], -1, inf, set(), set()
        part.append(chain)
        start, stop = max(start, made), min(stop, used)
        read |= own
        given.add(chain.slot)
    yield part


def _product(chains: Sequence[Chain], shared: int) -> Product:
    first = chains[0]
    return Product(
        tuple([chain.slot for chain in chains]),
        tuple([chain.init for chain in chains]),
        tuple([tuple([t[1 - shared] for t in chain.terms]) for chain in chains]),
        tuple([term[shared] for term in first.terms]),
        tuple(first.left_out),
    )


# ---- outputs that are products -------------------------------------------------------


class _Entry(NamedTuple):
    """An output that is x·y where it is present, else 0.0."""

    which: int
    x: Operand
    y: Operand
    present: Presence


def _outers(line: Line) -> Iterable[Outer]:
    entries = [e for ending in line.plan.endings if (e := _entry(line, ending))]
    rows: dict[Operand, list[_Entry]] = {}
    for entry in entries:
        rows.setdefault(entry.x, []).append(entry)
        if entry.y != entry.x:
            rows.setdefault(entry.y, []).append(entry._replace(x=entry.y, y=entry.x))
    alike: dict[object, list[list[_Entry]]] = {}
    for row in rows.values():
        for run in _runs(row, lambda e: e.which, lambda e: e.present):
            key = tuple([(e.y, e.which - run[0].which) for e in run]), run[0].present[1]
            alike.setdefault(key, []).append(run)
    for group in sorted(alike.values(), key=_size, reverse=True):
        for runs in _runs(group, lambda run: run[0].which, len):
            if len(runs) > 1 and _size(runs) >= FEWEST and not _taken(line, runs):
                line.taken.update(e.which for run in runs for e in run)
                yield _outer(runs)


def _size(rows: Sequence[Sequence[_Entry]]) -> int:
    return len(rows) * len(rows[0])


def _taken(line: Line, rows: Sequence[Sequence[_Entry]]) -> bool:
    return any(e.which in line.taken for row in rows for e in row)


def _runs(
    items: Sequence[T], place: Callable[[T], int], kind: Callable[[T], object]
) -> Iterable[list[T]]:
    """The items in runs of one kind whose places are equally far apart."""
    run: list[T] = []
    for item in items:
        if run and (
            kind(item) != kind(run[0])
            or len(run) > 1
            and place(item) - place(run[-1]) != place(run[1]) - place(run[0])
        ):
            yield run
            run = []
        run.append(item)
    if run:
        yield run


def _entry(line: Line, ending: Ending) -> _Entry | None:
    """The output as a product; adding 0.0 to it changes no sum that begins at 0.0."""
    x, present = ending.operand, Presence(0.0, False)
    for one, other in (args, args[::-1]) if (args := line.step(x, p.add, 1)) else ():
        if type(other) is float and other == 0.0:
            x = one
    if choice := line.step(x, p.where, uses=1):
        condition, one, other = choice
        for term, zero, when in ((one, other, True), (other, one, False)):
            if type(zero) is float and zero == 0.0:
                x, present = term, Presence(condition, when)
    factors = line.step(x, p.mul, uses=1)
    if not factors or {*map(type, factors)} != {int}:
        return None
    return _Entry(ending.which, factors[0], factors[1], present)


def _outer(rows: Sequence[Sequence[_Entry]]) -> Outer:
    first = rows[0]
    return Outer(
        tuple([row[0].x for row in rows]),
        tuple([entry.y for entry in first]),
        tuple([row[0].present for row in rows]),
        first[0].which,
        rows[1][0].which - first[0].which,
        first[1].which - first[0].which if len(first) > 1 else 0,
    )
