"""Matrix products of a tape as loops over arrays, in the code for lanes.

`matrices.py` finds them; here the numbers that they read and write get neighbouring
places, so that one short loop does the work of many instructions. A product runs for
one vector of lanes, several outputs at a time, so that no addition waits for another.
An outer product waits until all vectors of a block have run: then each of its sums
stays in a register for the whole block.

    place     of a number that a loop reads or writes: a vector in the workspace
    kept      places that are there once for each vector of a block
    access    where the numbers of a matrix are: `base` + i · `down` + j · `across`
    tile      the outputs that are computed at the same time
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product as pairs
from typing import Final, Literal, NamedTuple

from .. import primitives as p
from .blocks import BLOCK
from .lower import (
    CHUNK,
    Check,
    Code,
    Ending,
    LaneTarget,
    Plan,
    Step,
    TotalTarget,
    Writer,
    lower_chunk,
    travelling_places,
)
from .matrices import Line, Outer, Presence, Product, find, with_signs_inside
from .rows import WIDTH
from .tape import Operand

UNROLLED: Final = 32  # products of a tile that are written out one by one
SUMS, FEW_SUMS = 8, 4  # of a product at a time: what registers hold, AVX-512 or not
OUTER_SUMS, FEW_OUTER_SUMS = 16, 4

Rows = Sequence[Sequence[Operand]]


class Access(NamedTuple):
    """Where the numbers of a matrix are.

    what   "shared": an array that all lanes read; "kept", "place": the workspace
    """

    what: Literal["shared", "kept", "place"]
    base: int
    down: int
    across: int


class ProductLoop(NamedTuple):
    """A product and where its numbers are; no access for constants and what is not.

    start   the step after which it runs, of the plan in which it was found
    """

    product: Product
    start: int
    outputs: Access
    inits: Access | None
    a: Access
    b: Access
    left_out: Access | None


class OuterLoop(NamedTuple):
    """An outer product, where its numbers are, and the masks of its rows."""

    outer: Outer
    rows: Access
    columns: Access
    mask: int
    mask_step: int  # 0 if all rows have the same


Item = Step | ProductLoop


# ---- where everything is -------------------------------------------------------------


@dataclass
class Layout:
    """Where everything is that loops read or write.

    shared    places of the numbers that all lanes share
    own       the numbers made by steps, which lanes have for themselves
    copies    numbers to be copied to a shared place
    steps     further steps, which give numbers a place: for each number those that
              follow as soon as it is made; for -1 those that come first
    """

    shared: dict[int, int]
    own: set[int]
    next_shared: int
    next_slot: int
    places: dict[int, int] = field(default_factory=dict)
    kept: int = 0  # how many of the places are kept
    copies: list[Ending] = field(default_factory=list)
    steps: dict[int, list[Step]] = field(default_factory=dict)
    _slots: dict[object, int] = field(default_factory=dict)
    _arrays: dict[object, Access] = field(default_factory=dict)

    def access(self, rows: Rows) -> Access | None:
        """Where a matrix is, once its numbers have places; None if scattered."""
        flat = [x for row in rows for x in row]
        if all(type(x) is float or x in self.shared for x in flat):
            return self._shared(rows, flat)
        table = [[self._place(x) for x in row] for row in rows]
        kept = {place < self.kept for row in table for place in row}
        if len(kept) > 1:
            return None
        return _affine("kept" if kept == {True} else "place", table)

    def vector(self, xs: Sequence[Operand]) -> Access:
        """Where numbers lie side by side: as they are, or in a copy."""
        found = self.access([xs])
        if found is None:
            copies = [self._copy(x) for x in xs]
            found = self.access([copies])
            assert found is not None
        return found

    def output(self, xs: Sequence[int]) -> Access | None:
        return self.access([[x] for x in xs])

    def keep(self) -> None:
        """From here on places are used again for the next vector of lanes."""
        self.kept = len(self.places)

    def _place(self, x: Operand) -> int:
        if type(x) is not int or x not in self.own:
            key = x if type(x) is int else float(x).hex()
            if key not in self._slots:
                self._slots[key] = self._copy(x)
            x = self._slots[key]
        return self.places.setdefault(x, len(self.places))

    def _copy(self, x: Operand) -> int:
        """A slot of its own for the number of x."""
        slot, self.next_slot = self.next_slot, self.next_slot + 1
        self.own.add(slot)
        after = x if type(x) is int and x in self.own else -1
        self.steps.setdefault(after, []).append(Step(slot, p.identity, (x,)))
        return slot

    def _shared(self, rows: Rows, flat: Sequence[Operand]) -> Access:
        """Where shared numbers are: as they lie, or side by side in a copy."""
        if all(type(x) is int for x in flat):
            table = [[self.shared[int(x)] for x in row] for row in rows]
            if found := _affine("shared", table):
                return found
        key = (len(rows), *[x if type(x) is int else float(x).hex() for x in flat])
        if key not in self._arrays:
            start = self.next_shared
            self.copies += [Ending(x, start + i) for i, x in enumerate(flat)]
            self.next_shared += len(flat)
            self._arrays[key] = Access("shared", start, len(rows[0]), 1)
        return self._arrays[key]


def _affine(
    what: Literal["shared", "kept", "place"], table: Sequence[Sequence[int]]
) -> Access | None:
    base = table[0][0]
    down = table[1][0] - base if len(table) > 1 else 0
    across = table[0][1] - base if len(table[0]) > 1 else 0
    for i, row in enumerate(table):
        for j, x in enumerate(row):
            if x != base + i * down + j * across:
                return None
    return Access(what, base, down, across)


# ---- a plan with loops ---------------------------------------------------------------


@dataclass
class Looped:
    """A plan in which loops stand for many steps.

    masks    what each outer product asks of a lane, one after the other
    """

    items: list[Item]
    checks: list[Check]
    endings: list[Ending]
    outers: list[OuterLoop]
    masks: list[Presence]
    layout: Layout


def looped(
    plan: Plan, shared: dict[int, int], next_shared: int, total: bool
) -> Looped | None:
    """The plan with loops for what is a matrix product, if anything is."""
    new = 1 + max([*shared, *_slots(plan)], default=0)
    plan = with_signs_inside(plan, shared, new)
    line = Line(plan, shared)
    found = find(line, total)
    own = set(line.made)
    layout = Layout(shared, own, next_shared, 1 + max([new, *own]))
    outers, masks = _outer_loops(found.outers, layout)
    layout.keep()
    loops = list(_product_loops(found.products, line, layout))
    if not outers and not loops:
        return None
    claimed = {w for outer in outers for w in _which(outer.outer)}
    endings = [e for e in plan.endings if e.which not in claimed]
    items, checks = _merged(plan, loops, layout)
    result = Looped(items, checks, endings, outers, masks, layout)
    _leave_out_dead_code(result)
    return result


def _slots(plan: Plan) -> Iterator[int]:
    for step in plan.steps:
        yield step.slot
        yield from [x for x in step.args if type(x) is int]
    yield from [e.operand for e in plan.endings if type(e.operand) is int]


def _which(outer: Outer) -> Iterator[int]:
    for i in range(len(outer.rows)):
        for j in range(len(outer.columns)):
            yield outer.first + i * outer.down + j * outer.across


def _outer_loops(
    outers: Sequence[Outer], layout: Layout
) -> tuple[list[OuterLoop], list[Presence]]:
    loops: list[OuterLoop] = []
    masks: list[Presence] = []
    for outer in outers:
        rows, columns = layout.vector(outer.rows), layout.vector(outer.columns)
        present = list(outer.present)
        step = int(len({*present}) > 1)
        loops.append(OuterLoop(outer, rows, columns, len(masks), step))
        masks += present if step else present[:1]
    return loops, masks


def _product_loops(
    products: Sequence[Product], line: Line, layout: Layout
) -> Iterator[ProductLoop]:
    """The loops for products, as long as none has to wait for one that waits for it."""
    for product in products:
        start = line.start(product)
        if start is not None and (loop := _product_loop(product, start, layout)):
            line.move(product, start)
            yield loop


def _product_loop(product: Product, start: int, layout: Layout) -> ProductLoop | None:
    """The loop for a product, unless its matrix or its outputs are scattered."""
    a = layout.access(product.a)
    outputs = layout.output(product.outputs)
    if a is None or outputs is None:
        return None
    constant = type(product.inits[0]) is float
    return ProductLoop(
        product,
        start,
        outputs,
        None if constant else layout.vector(product.inits),
        a,
        layout.vector(product.b),
        layout.vector(product.left_out) if product.left_out else None,
    )


def _merged(
    plan: Plan, loops: Sequence[ProductLoop], layout: Layout
) -> tuple[list[Item], list[Check]]:
    """Steps and loops in an order in which everything is made before it is used."""
    replaced = {slot for loop in loops for slot in loop.product.outputs}
    after: dict[int, list[ProductLoop]] = {}
    for loop in loops:
        after.setdefault(loop.start, []).append(loop)
    items: list[Item] = [*layout.steps.get(-1, ())]
    counts = []
    for k in range(-1, len(plan.steps)):
        if k >= 0 and plan.steps[k].slot not in replaced:
            items += plan.steps[k], *layout.steps.get(plan.steps[k].slot, ())
        for loop in after.get(k, ()):
            items.append(loop)
            for slot in loop.product.outputs:
                items += layout.steps.get(slot, ())
        counts.append(len(items))
    return items, [c._replace(after=counts[c.after]) for c in plan.checks]


def _leave_out_dead_code(looped: Looped) -> None:
    """Take out the steps that nothing needs any more."""
    live = {ending.operand for ending in looped.endings}
    live |= {check.guard.slot for check in looped.checks}
    live |= {mask.slot for mask in looped.masks}
    slot_at = {place: slot for slot, place in looped.layout.places.items()}
    for loop in looped.outers:
        live |= {slot_at[x] for x in _read(loop.rows, 1, len(loop.outer.rows))}
        live |= {slot_at[x] for x in _read(loop.columns, 1, len(loop.outer.columns))}
    kept: list[bool] = []
    for item in reversed(looped.items):
        if isinstance(item, Step):
            kept.append(item.slot in live)
            reads = item.args if kept[-1] else ()
        else:
            kept.append(True)
            reads = tuple(slot_at[x] for x in _places_read(item))
        live.update(x for x in reads if type(x) is int)
    kept.reverse()
    before = [0]
    for stays in kept:
        before.append(before[-1] + stays)
    looped.items = [item for item, stays in zip(looped.items, kept) if stays]
    looped.checks = [c._replace(after=before[c.after]) for c in looped.checks]


def _places_read(loop: ProductLoop) -> Iterator[int]:
    outputs, terms = len(loop.product.outputs), len(loop.product.b)
    yield from _read(loop.a, outputs, terms)
    yield from _read(loop.b, 1, terms)
    yield from _read(loop.inits, 1, outputs)
    yield from _read(loop.left_out, 1, terms)


def _read(access: Access | None, rows: int, columns: int) -> Iterator[int]:
    """The places that an access reads."""
    if access is not None and access.what != "shared":
        for i in range(rows):
            for j in range(columns):
                yield access.base + i * access.down + j * access.across


# ---- the code of a plan with loops ---------------------------------------------------


class LoopTarget(LaneTarget):
    """As for lanes, with places in the workspace, and outer products after each block.

    The workspace has, in this order: numbers that travel from chunk to chunk, places,
    the kept places of each vector of a block, and its masks.
    """

    looped: Looped
    travelling = 0  # how many numbers travel

    def places(self) -> int:
        """The size of the workspace, in vectors."""
        vectors = BLOCK // WIDTH
        masks = -(-vectors * len(self.looped.masks) // (8 * WIDTH))
        return self._fixed() + vectors * self.looped.layout.kept + masks

    def _fixed(self) -> int:
        layout = self.looped.layout
        return self.travelling + len(layout.places) - layout.kept

    def place(self, w: Writer, place: int) -> str:
        """The address of a travelling number, or below 0 of a kept one."""
        if place >= 0:
            return super().place(w, place)
        return w.at(self.kept(w, "%at"), (-1 - place) * WIDTH)

    def number(self, place: int) -> int:
        """A place of the layout as `place` wants it."""
        kept = self.looped.layout.kept
        return -1 - place if place < kept else self.travelling + place - kept

    def kept(self, w: Writer, at: str) -> str:
        """Where the kept places of a vector are."""
        inside = w.line(f"and i64 {at}, {BLOCK - 1}")
        offset = w.line(f"mul i64 {inside}, {self.looped.layout.kept}")
        start = w.at("%ws", self._fixed() * WIDTH)
        return w.line(f"getelementptr double, ptr {start}, i64 {offset}")

    def masks(self, w: Writer, at: str) -> str:
        """Where the masks of a vector are, a byte for each."""
        inside = w.line(f"and i64 {at}, {BLOCK - 1}")
        vector = w.line(f"lshr i64 {inside}, {WIDTH.bit_length() - 1}")
        offset = w.line(f"mul i64 {vector}, {len(self.looped.masks)}")
        fixed = self._fixed() * WIDTH + self.looped.layout.kept * BLOCK
        start = w.at("%ws", fixed)
        return w.line(f"getelementptr i8, ptr {start}, i64 {offset}")

    def whole(self, name: str, chunks: int) -> str:
        """Then come the outer products, for all lanes together."""
        parameters = self.parameters.replace("%at", "0").replace("%lanes", "%count")
        lines = ["  %count = sub i64 %lanes, %first\n"]
        lines += [
            f"  call void @{name}.{chunks + k}({parameters})\n"
            for k in range(len(self.looped.outers))
        ]
        text = super().whole(name, chunks)
        return text.replace("  ret void\n", "".join(lines) + "  ret void\n")


class LoopLanes(LoopTarget):
    """Lanes whose outputs are kept."""


class LoopTotal(LoopTarget, TotalTarget):
    """Lanes whose outputs are summed; masks are outputs below 0."""

    def write(self, w: Writer, index: int, x: str) -> None:
        if index >= 0:
            super().write(w, index, x)
            return
        how = "une" if self.looped.masks[-1 - index].when else "oeq"
        there = w.compare(how, x, w.constant(0.0))
        self.live = self.live or self._live(w)
        mask = w.line(f"and {w.truth} {self.live}, {there}")
        byte = w.line(f"bitcast {w.truth} {mask} to i{w.width}")
        to = w.line(f"getelementptr i8, ptr {self.masks(w, '%at')}, i64 {-1 - index}")
        w.lines.append(f"  store i{w.width} {byte}, ptr {to}")


def lower_looped(
    name: str, looped: Looped, target: LoopTarget, new: Callable[[], Writer], wide: bool
) -> Code:
    """Functions as `lower` gives them: chunks of steps, loops, outer products.

    wide   whether the processor has registers for many vectors
    """
    target.looped = looped
    chunks = _cut(name, looped)
    plans = [c if isinstance(c, Plan) else Plan(name, (), (), ()) for c in chunks]
    made = {step.slot: k for k, plan in enumerate(plans) for step in plan.steps}
    due = _due(looped, target, chunks, made)
    layout = looped.layout
    travels = {x: k for x, k in made.items() if x not in layout.places}
    places, target.travelling = travelling_places(travels, plans, due)
    places |= {x: target.number(place) for x, place in layout.places.items()}
    made |= dict.fromkeys(layout.places, -1)
    made |= {step.slot: k for k, plan in enumerate(plans) for step in plan.steps}
    texts, declared = [], set()
    for k, chunk in enumerate([*chunks, *looped.outers]):
        w = new()
        if isinstance(chunk, Plan):
            lower_chunk(w, target, chunk, due[k], places, made)
        elif isinstance(chunk, ProductLoop):
            _ProductWriter(w, target, chunk, SUMS if wide else FEW_SUMS).write()
        else:
            sums = OUTER_SUMS if wide else FEW_OUTER_SUMS
            _OuterWriter(w, target, chunk, sums).write()
        texts.append(
            f"define internal {target.result} @{name}.{k}({target.parameters}) "
            "#0 {\n" + "\n".join(w.lines) + "\n}"
        )
        declared |= w.declared
    texts.append(target.whole(name, len(chunks)))
    return Code("\n".join(texts), declared, target.places())


def _cut(name: str, looped: Looped) -> list[Plan | ProductLoop]:
    """Chunks of steps between loops, the last one for endings; a guard goes with the
    step before it, or with the next chunk."""
    chunks: list[Plan | ProductLoop] = []
    checks = list(reversed(looped.checks))
    steps: list[Step] = []

    def close(done: int) -> None:
        start, found = done - len(steps), []
        while checks and checks[-1].after <= done:
            check = checks.pop()
            found.append(check._replace(after=max(check.after - start, 0)))
        chunks.append(Plan(name, tuple(steps), found, ()))
        steps.clear()

    for k, item in enumerate(looped.items):
        if isinstance(item, Step):
            steps.append(item)
        if steps and (len(steps) == CHUNK or not isinstance(item, Step)):
            close(k + isinstance(item, Step))
        if not isinstance(item, Step):
            chunks.append(item)
    close(len(looped.items))
    return chunks


def _due(
    looped: Looped,
    target: LoopTarget,
    chunks: Sequence[Plan | ProductLoop],
    made: dict[int, int],
) -> list[list[Ending]]:
    """The outputs that each chunk of steps writes; masks are written by the last."""
    due: list[list[Ending]] = [[] for _ in chunks]
    for ending in looped.endings:
        early = type(ending.operand) is int and not target.late
        due[made.get(int(ending.operand), -1) if early else -1].append(ending)
    due[-1] += [Ending(m.slot, -1 - k) for k, m in enumerate(looped.masks)]
    return due


# ---- loops as text -------------------------------------------------------------------


class _LoopWriter:
    """Writes loops over what is at an `Access`."""

    def __init__(self, w: Writer, target: LoopTarget) -> None:
        self.w, self.target = w, target
        target.start(w)

    def loop(
        self,
        stop: int | str,
        step: int,
        carried: Sequence[str],
        body: Callable[[str, Sequence[str]], Sequence[str]],
    ) -> Sequence[str]:
        """for i in range(0, stop, step), at least once, with what it hands on."""
        w, n = self.w, self.w.count
        w.count += 1
        w.lines += [f"  br label %pre{n}", f"pre{n}:", f"  br label %head{n}"]
        w.lines.append(f"head{n}:")
        start, i = len(w.lines), f"%i{n}"
        names = [f"%c{n}.{k}" for k in range(len(carried))]
        results = body(i, names)
        w.lines[start:start] = [
            f"  {i} = phi i64 [0, %pre{n}], [%next{n}, %end{n}]",
            *[
                f"  {name} = phi {w.kind} [{x}, %pre{n}], [{y}, %end{n}]"
                for name, x, y in zip(names, carried, results)
            ],
        ]
        w.lines += [
            f"  br label %end{n}",
            f"end{n}:",
            f"  %next{n} = add i64 {i}, {step}",
            f"  %more{n} = icmp slt i64 %next{n}, {stop}",
            f"  br i1 %more{n}, label %head{n}, label %done{n}",
            f"done{n}:",
        ]
        return results

    def tiles(
        self, count: int, tile: int, body: Callable[[str | None, int], None]
    ) -> None:
        """Call body with the start and the size of each tile, the last one smaller."""
        rest = count % tile
        if count // tile == 1:
            body(None, tile)
        else:

            def one(i: str, _: Sequence[str]) -> Sequence[str]:
                body(i, tile)
                return ()

            self.loop(count - rest, tile, (), one)
        if rest:
            body(self.w.line(f"add i64 0, {count - rest}"), rest)

    def start(self, access: Access, at: str = "%at") -> str:
        """The address of its first number, for the lanes at `at`."""
        if access.what == "shared":
            return self.w.at("%shared", access.base)
        place = self.target.number(access.base)
        if place >= 0:
            return self.w.at("%ws", place * WIDTH)
        return self.w.at(self.target.kept(self.w, at), access.base * WIDTH)

    def moved(self, start: str, access: Access, step: int, count: str | None) -> str:
        """The address that is `count` times `step` numbers further."""
        if count is None or step == 0:
            return start
        size = step if access.what == "shared" else step * WIDTH
        offset = self.w.line(f"mul i64 {count}, {size}")
        return self.w.line(f"getelementptr double, ptr {start}, i64 {offset}")

    def load(self, start: str, access: Access, index: int) -> str:
        w = self.w
        if access.what != "shared":
            return w.load(w.at(start, index * WIDTH))
        x = w.load(w.at(start, index), "double")
        one = w.line(f"insertelement {w.kind} poison, double {x}, i32 0")
        zeros = f"<{w.width} x i32> zeroinitializer"
        return w.line(f"shufflevector {w.kind} {one}, {w.kind} poison, {zeros}")

    def truth(self, x: str) -> str:
        return self.w.compare("une", x, self.w.constant(0.0))


class _ProductWriter(_LoopWriter):
    """Writes a product: the sums of a tile grow together, term by term."""

    def __init__(
        self, w: Writer, target: LoopTarget, loop: ProductLoop, most: int
    ) -> None:
        super().__init__(w, target)
        self.work = loop
        self.outputs, self.terms = len(loop.product.outputs), len(loop.product.b)
        self.most = most

    def write(self) -> None:
        self.tiles(self.outputs, _tile(self.outputs, self.most), self._tile)
        self.target.end(self.w)

    def _tile(self, first: str | None, tile: int) -> None:
        self.tile, work = tile, self.work
        self.a = self.moved(self.start(work.a), work.a, work.a.down, first)
        self.b = self.start(work.b)
        self.flags = self.start(work.left_out) if work.left_out else ""
        sums = self._inits(first)
        if self.terms * self.tile <= UNROLLED:
            for r in range(self.terms):
                sums = self._add(sums, None, r)
        else:
            sums = [*self.loop(self.terms, 1, sums, lambda r, xs: self._add(xs, r, 0))]
        start = self.start(work.outputs)
        to = self.moved(start, work.outputs, work.outputs.down, first)
        for k, x in enumerate(sums):
            self.w.store(x, self.w.at(to, k * work.outputs.down * WIDTH))

    def _inits(self, first: str | None) -> list[str]:
        inits = self.work.inits
        if inits is None:
            return [self.w.constant(self.work.product.inits[0])] * self.tile
        start = self.moved(self.start(inits), inits, inits.across, first)
        return [self.load(start, inits, k * inits.across) for k in range(self.tile)]

    def _terms(self, r: str | None, more: int) -> list[str]:
        """Term r + more of each sum."""
        a, b = self.work.a, self.work.b
        start = self.moved(self.a, a, a.across, r)
        y = self.load(self.moved(self.b, b, b.across, r), b, more * b.across)
        return [
            self.w.op(
                "fmul", self.load(start, a, k * a.down + more * a.across), y
            )
            for k in range(self.tile)
        ]  # fmt: skip

    def _add(self, sums: Sequence[str], r: str | None, more: int) -> list[str]:
        terms = self._terms(r, more)
        larger = [self.w.op("fadd", x, y) for x, y in zip(sums, terms)]
        flags = self.work.left_out
        if flags is None:
            return larger
        start = self.moved(self.flags, flags, flags.across, r)
        left_out = self.truth(self.load(start, flags, more * flags.across))
        return [self.w.select(left_out, x, y) for x, y in zip(sums, larger)]


class _OuterWriter(_LoopWriter):
    """Writes an outer product: a tile of sums over all lanes of the block."""

    def __init__(
        self, w: Writer, target: LoopTarget, loop: OuterLoop, most: int
    ) -> None:
        super().__init__(w, target)
        self.work, self.outer = loop, loop.outer
        rows, columns = len(loop.outer.rows), len(loop.outer.columns)
        self.down, self.across = _tile_of_both(rows, columns, most)

    def write(self) -> None:
        self.tiles(len(self.outer.rows), self.down, self._tiles)
        self.target.end(self.w)

    def _tiles(self, i: str | None, down: int) -> None:
        columns = len(self.outer.columns)
        self.tiles(columns, self.across, lambda j, n: self._tile(i, down, j, n))

    def _tile(self, i: str | None, down: int, j: str | None, across: int) -> None:
        w, outer = self.w, self.outer
        out = Access("place", 0, outer.down, outer.across)
        to = self.moved(w.at("%out", outer.first * WIDTH), out, outer.down, i)
        to = self.moved(to, out, outer.across, j)
        index = [
            (r * outer.down + c * outer.across) * WIDTH
            for r, c in pairs(range(down), range(across))
        ]
        sums = [w.load(w.at(to, k)) for k in index]
        found = self.loop(
            "%lanes", WIDTH, sums,
            lambda at, xs: self._add(xs, at, (i, down), (j, across)),
        )  # fmt: skip
        for k, x in zip(index, found):
            w.store(x, w.at(to, k))

    def _add(
        self,
        sums: Sequence[str],
        at: str,
        down: tuple[str | None, int],
        across: tuple[str | None, int],
    ) -> list[str]:
        w = self.w
        xs = self._vector(self.work.rows, at, *down)
        ys = self._vector(self.work.columns, at, *across)
        masks = self._masks(at, *down)
        return [
            w.select(mask, w.op("fadd", total, w.op("fmul", x, y)), total)
            for total, ((mask, x), y) in zip(sums, pairs(zip(masks, xs), ys))
        ]

    def _vector(self, access: Access, at: str, i: str | None, count: int) -> list[str]:
        start = self.moved(self.start(access, at), access, access.across, i)
        return [self.load(start, access, k * access.across) for k in range(count)]

    def _masks(self, at: str, i: str | None, count: int) -> list[str]:
        w, step = self.w, self.work.mask_step
        start = w.at(self.target.masks(w, at), self.work.mask, "i8")
        if i is not None and step:
            start = w.line(f"getelementptr i8, ptr {start}, i64 {i}")
        masks = []
        for k in range(count if step else 1):
            byte = w.load(w.at(start, k, "i8"), f"i{w.width}", align=1)
            masks.append(w.line(f"bitcast i{w.width} {byte} to {w.truth}"))
        return masks if step else masks * count


def _tile(count: int, most: int) -> int:
    """How many of them at a time, so that few are computed twice."""
    return min(
        range(1, min(count, most) + 1), key=lambda n: (-(-count // n) * (n + 1), -n)
    )


def _tile_of_both(rows: int, columns: int, most: int) -> tuple[int, int]:
    """So many rows and columns that few sums, and few operands, are read twice."""

    def cost(tile: tuple[int, int]) -> tuple[float, int]:
        down, across = tile
        tiles = -(-rows // down) * -(-columns // across)
        return tiles * (down * across + 0.5 * (down + across)), -down

    choices = pairs(range(1, min(rows, most) + 1), range(1, min(columns, most) + 1))
    return min((c for c in choices if c[0] * c[1] <= most), key=cost)
