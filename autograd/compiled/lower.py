"""The rows of the table as LLVM code: one tape in, the text of straight functions out.

A row is lowered by its formula, run on names of LLVM values, the same for one number
and for a vector of lanes. What formulas are made of is exact by IEEE 754, so a scalar
gives the bits that Python gives, or is the libm function that Python's own math calls;
vectors take the kernels of `kernels.py` first. What is no formula is called back.

One huge function takes LLVM more than linear time, so a tape is cut into chunks, each a
function; a number that a later chunk needs travels through a place in the workspace,
which is given to another number when the last reader has run.

    w      the writer of a function     x, y   names of LLVM values, or constants
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from typing import Final, NamedTuple

from .. import primitives as p
from ..formulas import COMPARISONS, Line
from ..primitives import NATIVE, Primitive
from .kernels import FAMILIES, KERNELS
from .rows import WIDTH, Block, Group, Rows
from .tape import Guard, Operand

MANY: Final = 8  # chunks of scalar code, from which they come in modules of so many
CHUNK: Final = 700  # instructions: small enough for LLVM, large enough for registers

OPERATORS: Final = frozenset({"fadd", "fsub", "fmul", "fdiv"})
INTRINSICS: Final = frozenset({
    "fabs", "sqrt", "floor", "ceil", "trunc", "copysign", "fma",
})  # fmt: skip
FAMILY: Final = {vars(p)[name]: names for names in FAMILIES for name in names}
LIBM: Final = NATIVE.keys() - OPERATORS - INTRINSICS - {"fneg", *COMPARISONS, "select"}


class Row(NamedTuple):
    """A row that is called back, with its number of operands."""

    row: Primitive
    operands: int


class Writer:
    """The text of one function: each method adds a line and gives the name it defines.

    width     0 for a scalar function, else the number of lanes
    kernel    the name of a vector kernel for a row, or None
    called    the rows that are called back, in the order of their addresses
    """

    def __init__(
        self,
        width: int,
        kernel: Callable[[str, int], str | None],
        called: dict[Row, int],
        contract: bool,
    ) -> None:
        self.width, self.kernel, self.called = width, kernel, called
        self.kind = f"<{width} x double>" if width else "double"
        self.truth = f"<{width} x i1>" if width else "i1"
        self.suffix = f"v{width}f64" if width else "f64"
        self.fast = " contract" if contract else ""
        self.lines: list[str] = []
        self.declared: set[str] = set()
        self.broadcast: dict[int, str] = {}
        self.constants: dict[str, str] = {}
        self.truths: dict[str, str] = {}  # what comparisons were before being numbers
        self.families: dict[tuple[str, tuple[str, ...]], dict[str, str]] = {}
        self.formulas: dict[tuple[Primitive, int], tuple[Line, Operand]] = {}
        self.count = 0

    def line(self, text: str) -> str:
        name = f"%t{self.count}"
        self.count += 1
        self.lines.append(f"  {name} = {text}")
        return name

    def constant(self, x: float) -> str:
        text = f"0x{struct.unpack('<Q', struct.pack('<d', x))[0]:016X}"
        if not self.width:
            return text
        if text not in self.constants:
            each = ", ".join([f"double {text}"] * self.width)
            self.constants[text] = f"<{each}>"
        return self.constants[text]

    def op(self, name: str, x: str, y: str) -> str:
        return self.line(f"{name}{self.fast} {self.kind} {x}, {y}")

    def neg(self, x: str) -> str:
        return self.line(f"fneg {self.kind} {x}")

    def compare(self, how: str, x: str, y: str) -> str:
        return self.line(f"fcmp {how} {self.kind} {x}, {y}")

    def select(self, condition: str, x: str, y: str) -> str:
        kind = self.kind
        return self.line(f"select {self.truth} {condition}, {kind} {x}, {kind} {y}")

    def intrinsic(self, name: str, *xs: str) -> str:
        name = f"llvm.{name}.{self.suffix}"
        kinds = ", ".join([self.kind] * len(xs))
        self.declared.add(f"declare {self.kind} @{name}({kinds})")
        return self.call(f"@{name}", *xs)

    def call(self, function: str, *xs: str) -> str:
        operands = ", ".join(f"{self.kind} {x}" for x in xs)
        return self.line(f"call {self.kind} {function}({operands})")

    def together(self, x: str, names: tuple[str, ...]) -> dict[str, str]:
        """What rows of one family give for x, all at once, for lanes."""
        if (x, names) not in self.families:
            kind = f"{{{', '.join([self.kind] * len(names))}}}"
            kernel = self.kernel("+".join(names), 1)
            results = self.line(f'call {kind} @"{kernel}"({self.kind} {x})')
            self.families[x, names] = {
                name: self.line(f"extractvalue {kind} {results}, {i}")
                for i, name in enumerate(names)
            }
        return self.families[x, names]

    def libm(self, name: str, *xs: str) -> str:
        """A vector kernel if there is one, else libm, for each lane in turn."""
        if self.width and (kernel := self.kernel(name, len(xs))):
            return self.call(f'@"{kernel}"', *xs)
        kinds = ", ".join(["double"] * len(xs))
        # a name of our own: LLVM must not turn pow(x, 2) into x * x
        self.declared.add(f"declare double @libm.{name}({kinds})")
        return self.each_lane(
            lambda *ys: self.line(
                f"call double @libm.{name}({', '.join(f'double {y}' for y in ys)})"
            ),
            *xs,
        )

    def each_lane(self, f: Callable[..., str], *xs: str) -> str:
        if not self.width:
            return f(*xs)
        z = "poison"
        for i in range(self.width):
            lane = [self.line(f"extractelement {self.kind} {x}, i32 {i}") for x in xs]
            found = f(*lane)
            z = self.line(f"insertelement {self.kind} {z}, double {found}, i32 {i}")
        return z

    def call_back(self, row: Primitive, xs: Sequence[str]) -> str:
        """Ask Python for each lane: operands go through memory, see `Callback`."""
        index = self.called.setdefault(Row(row, len(xs)), len(self.called))
        self.declared.add(f"declare double @back.{index}(ptr)")
        room = self.line("call ptr @llvm.stacksave.p0()")
        place = self.line(f"alloca double, i32 {max(len(xs), 1)}")
        self.declared.add("declare ptr @llvm.stacksave.p0()")
        self.declared.add("declare void @llvm.stackrestore.p0(ptr)")

        def one(*ys: str) -> str:
            for i, y in enumerate(ys):
                to = self.line(f"getelementptr double, ptr {place}, i32 {i}")
                self.lines.append(f"  store double {y}, ptr {to}")
            return self.line(f"call double @back.{index}(ptr {place})")

        z = self.each_lane(one, *xs)
        self.lines.append(f"  call void @llvm.stackrestore.p0(ptr {room})")
        return z

    # ---- memory ----------------------------------------------------------------------

    def at(self, base: str, index: int, kind: str = "double") -> str:
        return self.line(f"getelementptr {kind}, ptr {base}, i64 {index}")

    def load(self, place: str, kind: str | None = None, align: int = 8) -> str:
        return self.line(f"load {kind or self.kind}, ptr {place}, align {align}")

    def store(self, x: str, place: str) -> None:
        self.lines.append(f"  store {self.kind} {x}, ptr {place}, align 8")

    def shared(self, place: int) -> str:
        """A number that all lanes share, in every lane."""
        if place not in self.broadcast:
            x = self.load(self.at("%shared", place), "double")
            one = self.line(f"insertelement {self.kind} poison, double {x}, i32 0")
            self.broadcast[place] = self.line(
                f"shufflevector {self.kind} {one}, {self.kind} poison, "
                f"<{self.width} x i32> zeroinitializer"
            )
        return self.broadcast[place]


# ---- the rows ------------------------------------------------------------------------


def _lower(w: Writer, row: Primitive, xs: Sequence[str]) -> str:
    """The value of a row: one step, or by its kernel, its formula, its own Python."""
    if row.native is not None:
        return _native(w, row, xs)
    if w.width and row is p.logsumexp and xs:
        return _logsumexp(w, *xs)
    if _has_kernel(w, row) and (kernel := w.kernel(row.name, len(xs))):
        return w.call(f'@"{kernel}"', *xs)
    key = row, len(xs)
    if key not in w.formulas:
        line = Line(len(xs), lambda part: part is not row and _has_kernel(w, part))
        w.formulas[key] = line, line.operand(line.apply(row, line.symbols()))
    line, z = w.formulas[key]
    if line.code and line.code[0][0] is row:
        return w.call_back(row, xs)
    names = [*xs]
    for part, args in line.code:
        names.append(_lower(w, part, [_name(w, names, x) for x in args]))
    return _name(w, names, z)


def _name(w: Writer, names: Sequence[str], x: Operand) -> str:
    return names[x] if type(x) is int else w.constant(x)


def _has_kernel(w: Writer, row: Primitive) -> bool:
    return w.width > 0 and vars(p).get(row.name) is row and row.name in KERNELS


def _native(w: Writer, row: Primitive, xs: Sequence[str]) -> str:
    name = str(row.native)
    if name in OPERATORS:
        return w.op(name, *xs)
    if name == "fneg":
        return w.neg(*xs)
    if name in COMPARISONS:
        return _comparison(w, name, *xs)
    if name == "select":
        return _select(w, *xs)
    if name in INTRINSICS:
        return w.intrinsic(name, *xs)
    if w.width and name == "pow" and (power := _whole_power(w, *xs)):
        return power
    return w.libm(name, *xs)


def _comparison(w: Writer, how: str, x: str, y: str) -> str:
    truth = w.compare(how, x, y)
    z = w.select(truth, w.constant(1.0), w.constant(0.0))
    w.truths[z] = truth
    return z


def _select(w: Writer, condition: str, x: str, y: str) -> str:
    truth = w.truths.get(condition) or w.compare("une", condition, w.constant(0.0))
    return w.select(truth, x, y)


def _logsumexp(w: Writer, *xs: str) -> str:
    """For lanes: what the sum's rounding lost is carried along (Knuth's two-sum)."""
    top = reduce(lambda x, y: _lower(w, p.maximum, (x, y)), xs)
    total = lost = w.constant(0.0)
    for x in xs:
        term = w.libm("exp", w.op("fsub", x, top))
        larger = w.op("fadd", total, term)
        back = w.op("fsub", larger, total)
        lost_total = w.op("fsub", total, w.op("fsub", larger, back))
        lost_term = w.op("fsub", term, back)
        lost = w.op("fadd", lost, w.op("fadd", lost_total, lost_term))
        total = larger
    above = w.op("fadd", w.op("fsub", total, w.constant(1.0)), lost)
    near = w.op("fadd", top, w.libm("log1p", above))
    finite = w.compare("olt", w.intrinsic("fabs", top), w.constant(math.inf))
    return w.select(finite, near, top)


def _whole_power(w: Writer, x: str, y: str) -> str | None:
    """A small power as products, for lanes: at least as close as pow is."""
    if y == w.constant(1.0):
        return x
    if y == w.constant(2.0):
        return w.op("fmul", x, x)
    if y == w.constant(3.0):
        return w.op("fmul", w.op("fmul", x, x), x)
    if y == w.constant(-1.0):
        return w.op("fdiv", w.constant(1.0), x)
    return None


# ---- a tape, cut into chunks ---------------------------------------------------------


class Step(NamedTuple):
    """An instruction and the slot it writes."""

    slot: int
    row: Primitive
    args: tuple[Operand, ...]


class Check(NamedTuple):
    """A guard, at the place among the steps where it is tested."""

    after: int
    which: int
    guard: Guard


class Ending(NamedTuple):
    """An output: what goes out, and which of the outputs it is."""

    operand: Operand
    which: int


class Code(NamedTuple):
    """A function as text, what it needs declared, and the size of its workspace."""

    text: str
    declared: set[str]
    places: int
    parts: tuple[str, ...] = ()  # functions that it calls, for modules of their own


class Plan(NamedTuple):
    """Steps to lower, with their guards and outputs."""

    name: str
    steps: Sequence[Step]
    checks: Sequence[Check]
    endings: Sequence[Ending]


class Target:
    """What a function's parameters are, where its inputs are and where outputs go."""

    parameters = "ptr %in, ptr %out, ptr %ws"
    arguments = parameters
    result = "i32"
    late = False  # whether outputs wait for the last guard

    def start(self, w: Writer) -> None:
        pass

    def read(self, w: Writer, slot: int) -> str:
        return w.load(w.at("%in", slot))

    def place(self, w: Writer, place: int) -> str:
        """The address of a number that travels from chunk to chunk."""
        return w.at("%ws", place * max(w.width, 1))

    def costly(self, slot: int) -> bool:
        """Whether an input is read once, then kept in the workspace."""
        return False

    def write(self, w: Writer, index: int, x: str) -> None:
        w.store(x, w.at("%out", index))

    def together(self, index: int) -> Iterable[int]:
        """The outputs that are written in one go, this one among them."""
        return (index,)

    def check(self, w: Writer, index: int, wrong: str) -> None:
        """Leave with the index of the guard."""
        n = w.count = w.count + 1
        w.lines += [
            f"  br i1 {wrong}, label %bad{n}, label %good{n}",
            f"bad{n}:",
            f"  ret i32 {index}",
            f"good{n}:",
        ]

    def end(self, w: Writer) -> None:
        w.lines.append("  ret i32 -1")

    def whole(self, name: str, chunks: int) -> str:
        """The function that runs all chunks, or those before a guard that fails."""
        lines = [f"define i32 @{name}({self.parameters}) {{", "  br label %c0"]
        for k in range(chunks):
            lines += [
                f"c{k}:",
                f"  %r{k} = call i32 @{name}.{k}({self.arguments})",
                f"  %b{k} = icmp ne i32 %r{k}, -1",
                f"  br i1 %b{k}, label %bad{k}, label %c{k + 1}",
                f"bad{k}:",
                f"  ret i32 %r{k}",
            ]
        return "\n".join([*lines, f"c{chunks}:", "  ret i32 -1", "}"])


class LaneTarget(Target):
    """Lanes `%at` and following of the columns in tables `%in` and `%out`: see `Rows`.

    `shared` gives the place of what all lanes share in the array `%shared`.
    """

    parameters = (
        "ptr %in, ptr %out, ptr %failed, ptr %shared, ptr %ws, i64 %at, i64 %lanes"
    )
    result = "void"

    def __init__(
        self, shared: dict[int, int], ins: Sequence[Group], outs: Sequence[Group]
    ) -> None:
        self.shared = shared
        self.ins, self.outs = Rows("%in", ins), Rows("%out", outs)
        self.loaded: dict[int, str] = {}
        self.due: dict[int, str] = {}
        self.failed = ""

    def start(self, w: Writer) -> None:
        self.ins.start()
        self.outs.start()
        self.loaded, self.due, self.failed = {}, {}, ""

    def read(self, w: Writer, slot: int) -> str:
        if slot in self.shared:
            return w.shared(self.shared[slot])
        if slot not in self.loaded:
            block, _ = self.ins.blocks[slot]
            first = self.ins.groups[block.group].slot + block.start
            self.loaded.update(enumerate(self.ins.load(w, block), start=first))
        return self.loaded[slot]

    def costly(self, slot: int) -> bool:
        block = self.ins.blocks.get(slot)
        return block is not None and not self.ins.groups[block[0].group].dense

    def write(self, w: Writer, index: int, x: str) -> None:
        self.due[index] = x
        block, _ = self.outs.blocks[index]
        together = self.together(index)
        if self.due.keys() >= {*together}:
            self.outs.store(w, block, [self.due.pop(i) for i in together])

    def together(self, index: int) -> Iterable[int]:
        block, place = self.outs.blocks[index]
        return range(index - place, index - place + block.size)

    def _load_failed(self, w: Writer) -> str:
        if not self.failed:
            place = w.line("getelementptr i32, ptr %failed, i64 %at")
            self.failed = w.load(place, f"<{w.width} x i32>", align=4)
        return self.failed

    def _none_failed(self, w: Writer) -> str:
        none = _each(w.width, "i32", [-1] * w.width)
        return w.line(f"icmp eq <{w.width} x i32> {self._load_failed(w)}, {none}")

    def check(self, w: Writer, index: int, wrong: str) -> None:
        """Give the lanes that fail here, and nowhere before, the index of the guard."""
        first = w.line(f"and {w.truth} {wrong}, {self._none_failed(w)}")
        kind = f"<{w.width} x i32>"
        here = _each(w.width, "i32", [index] * w.width)
        self.failed = w.line(
            f"select {w.truth} {first}, {kind} {here}, {kind} {self.failed}"
        )
        place = w.line("getelementptr i32, ptr %failed, i64 %at")
        w.lines.append(f"  store {kind} {self.failed}, ptr {place}, align 4")

    def end(self, w: Writer) -> None:
        """Write the outputs whose neighbours belong to other chunks, and return."""
        for index, x in self.due.items():
            block, place = self.outs.blocks[index]
            alone = Block(block.group, block.start + place, 1)
            self.outs.store(w, alone, [x])
        w.lines.append("  ret void")

    def whole(self, name: str, chunks: int) -> str:
        """The function that runs all chunks on one vector of lanes after the other."""
        width = WIDTH
        calls = [f"  call void @{name}.{k}({self.parameters})" for k in range(chunks)]
        parameters = self.parameters.replace("%at", "%first")
        return "\n".join(
            [
                f"define void @{name}({parameters}) {{",
                "  br label %vector",
                "vector:",
                "  %at = phi i64 [%first, %0], [%next, %vector]",
                *calls,
                f"  %next = add i64 %at, {width}",
                "  %more = icmp slt i64 %next, %lanes",
                "  br i1 %more, label %vector, label %done",
                "done:",
                "  ret void",
                "}",
            ]
        )


class TotalTarget(LaneTarget):
    """As for lanes, but outputs are added to vectors of sums that begin at `%out`.

    Lanes that failed, or are no points but fill up the last vector, add nothing.
    """

    def __init__(
        self, shared: dict[int, int], ins: Sequence[Group], guarded: bool
    ) -> None:
        super().__init__(shared, ins, ())
        self.late = guarded
        self.live = ""

    def start(self, w: Writer) -> None:
        super().start(w)
        self.live = ""

    def write(self, w: Writer, index: int, x: str) -> None:
        if not self.live:
            self.live = self._live(w)
        place = w.at("%out", index * w.width)
        counted = w.select(self.live, x, w.constant(0.0))
        w.store(w.line(f"fadd {w.kind} {w.load(place)}, {counted}"), place)

    def together(self, index: int) -> Iterable[int]:
        return (index,)

    def _live(self, w: Writer) -> str:
        kind, width = f"<{w.width} x i64>", w.width
        left = w.line("sub i64 %lanes, %at")
        one = w.line(f"insertelement {kind} poison, i64 {left}, i32 0")
        zeros = f"<{width} x i32> zeroinitializer"
        all_left = w.line(f"shufflevector {kind} {one}, {kind} poison, {zeros}")
        lane = _each(width, "i64", range(width))
        live = w.line(f"icmp slt {kind} {lane}, {all_left}")
        if not self.late:
            return live
        return w.line(f"and {w.truth} {live}, {self._none_failed(w)}")


def _each(width: int, kind: str, xs: Iterable[int]) -> str:
    return f"<{', '.join(f'{kind} {x}' for x in xs)}>"


def lower(plan: Plan, target: Target, new: Callable[[], Writer]) -> Code:
    """The steps as functions `name.0`, `name.1` … and one, `name`, that calls them."""
    chunks = _chunked(plan)
    last = len(chunks) - 1
    made = {s.slot: k for k, chunk in enumerate(chunks) for s in chunk.steps}
    due = _due(plan.endings, target, made, last)
    if last:
        for k, chunk in enumerate(chunks):
            for slot in _read_in(chunk, due[k]):
                if slot not in made and target.costly(slot):
                    made[slot] = k
    places, size = travelling_places(made, chunks, due)
    texts, declared = [], set()
    for k, chunk in enumerate(chunks):
        w = new()
        lower_chunk(w, target, chunk, due[k], places, made, k)
        texts.append(
            f"define {target.result} @{plan.name}.{k}({target.parameters}) "
            "#0 {\n" + "\n".join(w.lines) + "\n}"
        )
        declared |= w.declared
    whole = target.whole(plan.name, len(chunks))
    if w.width or last < MANY:
        return Code("\n".join([*texts, whole]), declared, size)
    heads = [f"{text.split(' #0 ')[0]}".replace("define", "declare") for text in texts]
    return Code("\n".join([*heads, whole]), declared, size, tuple(texts))


def _due(
    endings: Sequence[Ending], target: Target, made: dict[int, int], last: int
) -> list[list[Ending]]:
    """The outputs that each chunk writes: as soon as all that go together are there."""
    chunk_of = {
        ending.which: last
        if target.late
        else 0
        if isinstance(ending.operand, float)
        else made.get(ending.operand, 0)
        for ending in endings
    }
    due: list[list[Ending]] = [[] for _ in range(last + 1)]
    for ending in endings:
        due[max(chunk_of[i] for i in target.together(ending.which))].append(ending)
    return due


def _read_in(chunk: Plan, endings: Sequence[Ending]) -> Iterator[int]:
    """The slots that a chunk reads."""
    for step in chunk.steps:
        for arg in step.args:
            if type(arg) is int:
                yield arg
    yield from [check.guard.slot for check in chunk.checks]
    yield from [e.operand for e in endings if type(e.operand) is int]


def _chunked(plan: Plan) -> list[Plan]:
    """The plan in pieces; a guard goes with the step before it."""
    steps, chunks = plan.steps, []
    starts = list(range(0, len(steps), CHUNK)) or [0]
    for start in starts:
        stop = start + CHUNK
        final = start == starts[-1]
        checks = [
            c._replace(after=c.after - start)
            for c in plan.checks
            if start < c.after <= stop
            or (start == c.after == 0)
            or (final and c.after > stop)
        ]
        chunks.append(Plan(plan.name, steps[start:stop], checks, ()))
    return chunks


def travelling_places(
    made: dict[int, int], chunks: Sequence[Plan], due: Sequence[Sequence[Ending]]
) -> tuple[dict[int, int], int]:
    """A place in the workspace for each number that a later chunk reads."""
    last: dict[int, int] = {}
    for k, chunk in enumerate(chunks):
        last.update(dict.fromkeys(_read_in(chunk, due[k]), k))
    starts: list[list[int]] = [[] for _ in chunks]
    ends: list[list[int]] = [[] for _ in chunks]
    for slot, end in last.items():
        if slot in made and end > made[slot]:
            starts[made[slot]].append(slot)
            ends[end].append(slot)
    places: dict[int, int] = {}
    free: list[int] = []
    for begun, ended in zip(starts, ends):
        for slot in begun:
            places[slot] = free.pop() if free else len(places)
        free += [places[slot] for slot in ended]
    return places, 1 + max(places.values(), default=-1)


def relatives(steps: Iterable[Step]) -> dict[int, list[Step]]:
    """For each step, by its slot, all of its family on that operand, if others are."""
    found: dict[tuple[object, ...], list[Step]] = {}
    for step in steps:
        if step.row in FAMILY:
            found.setdefault((FAMILY[step.row], step.args), []).append(step)
    families = [each for each in found.values() if len({step.row for step in each}) > 1]
    return {step.slot: family for family in families for step in family}


def lower_chunk(
    w: Writer,
    target: Target,
    chunk: Plan,
    endings: Sequence[Ending],
    places: dict[int, int],
    made: dict[int, int],
    here: int | None = None,
) -> None:
    """Write one chunk; a number from another one is read at its place."""
    names: dict[int, str] = {}

    def value(operand: Operand) -> str:
        if not isinstance(operand, int):
            return w.constant(operand)
        if operand not in names:
            if made.get(operand, here) != here:
                names[operand] = w.load(target.place(w, places[operand]))
            else:
                names[operand] = target.read(w, operand)
                if operand in places:
                    w.store(names[operand], target.place(w, places[operand]))
        return names[operand]

    def check_all(after: int) -> None:
        while checks and checks[-1].after <= after:
            check = checks.pop()
            how = "oeq" if check.guard.expected else "une"
            wrong = w.compare(how, value(check.guard.slot), w.constant(0.0))
            target.check(w, check.which, wrong)

    target.start(w)
    checks = list(reversed(chunk.checks))
    check_all(0)
    families = relatives(chunk.steps) if w.width else {}
    for done, (slot, row, args) in enumerate(chunk.steps, start=1):
        if slot in families:
            rows = {step.row.name for step in families[slot]}
            wanted = tuple([name for name in FAMILY[row] if name in rows])
            names[slot] = w.together(value(args[0]), wanted)[row.name]
        else:
            names[slot] = _lower(w, row, [value(arg) for arg in args])
        if slot in places:
            w.store(names[slot], target.place(w, places[slot]))
        check_all(done)
    check_all(len(chunk.steps) + CHUNK)
    for operand, index in endings:
        target.write(w, index, value(operand))
    target.end(w)
