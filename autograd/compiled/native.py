"""A tape as machine code, by LLVM: for one point, and for a batch, eight lanes at once.

A scalar call gives the bits of `Tape.run`: IEEE arithmetic as written, not contracted,
and the libm functions that Python's own math calls. A batch runs vectors through the
kernels of `kernels.py`; what all lanes share is computed once, by the scalar code, and
read by every lane. `lower.py` writes the code of a tape, `blocks.py` the loop around.

Each kind of code is compiled when it is first asked for: the batch once for every
choice of shared inputs. A short tape is compiled with care, a long one in haste, so
that the time grows with the length and no faster. Calls run without Python's lock.

Memory: of every tape its code, some 10 to 100 bytes for an instruction; of every thread
that runs a batch 64 bytes for each input and each output, and a workspace of 64 more
for each number that one part of long code hands to another, never for all of them.
"""

from __future__ import annotations

import ctypes
import math
import re
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from struct import Struct
from typing import Any, Final, NamedTuple

import numpy as np
from llvmlite import binding, ir  # type: ignore[import-untyped]

from .. import primitives as p
from .blocks import BLOCK, driver
from .kernels import vector_function
from .lower import (
    LIBM,
    MANY,
    Check,
    Code,
    Ending,
    LaneTarget,
    Plan,
    Row,
    Step,
    Target,
    TotalTarget,
    Writer,
    lower,
    relatives,
)
from .machine import announced, compiling, go_on
from .product_loops import (
    Looped,
    LoopLanes,
    LoopTarget,
    LoopTotal,
    looped,
    lower_looped,
)
from .rows import WIDTH, Group, address_of, find_groups
from .source import combine
from .tape import Entry, Operand, Tape

Groups = Sequence[tuple[int, int, bool]]
SHORT: Final = 3000  # instructions: what is longer is compiled in haste
SELDOM: Final = 2  # calls of a kernel, up to which it is built in

binding.initialize_native_target()
binding.initialize_native_asmprinter()


def compile(tape: Tape, *, contract: bool = False, features: str = "") -> Native:
    """The tape as machine code for this processor.

    contract   lets a product and a sum be rounded once, where the processor can
    features   changes to the processor's features, such as "-avx512f,-avx2"

    >>> from autograd.primitives import mul, sin
    >>> from autograd.compiled.tape import Instruction
    >>> tape = Tape(1, (Instruction(mul, (0, 0)), Instruction(sin, (1,))), (2, 0.5))
    >>> compile(tape).scalar([2.0])
    ((-0.7568024953079282, 0.5), -1)
    """
    return Native(tape, contract, features)


# ---- LLVM ----------------------------------------------------------------------------


class Machine(NamedTuple):
    """What code is compiled for: the features of the processor, and how much care."""

    features: str
    care: int  # LLVM's codegen level, from 0 to 3

    def compile(self, text: str, addresses: dict[str, int]) -> Any:
        """An engine that holds the machine code of a module."""
        _know_libm()
        own = binding.get_host_cpu_features().flatten()
        target = binding.Target.from_default_triple().create_target_machine(
            cpu=binding.get_host_cpu_name(),
            features=f"{own},{self.features}" if self.features else own,
            opt=self.care,
            jit=True,
        )
        module = binding.parse_assembly(text)
        if self.care:
            _build_in(module, target)
        engine = binding.create_mcjit_compiler(module, target)
        for name, address in addresses.items():
            engine.add_global_mapping(module.get_function(name), address)
        engine.finalize_object()
        return engine

    def is_wide(self) -> bool:
        """Whether one register holds a vector of lanes, and there are 32 of them."""
        own = binding.get_host_cpu_features().get("avx512f", False)
        return own and "-avx512f" not in self.features.split(",")

    def multiplies_and_adds(self) -> bool | None:
        """Whether in one step; None if that is for this processor to say."""
        return False if "-fma" in self.features.split(",") else None


def _build_in(module: Any, target: Any) -> None:
    """Put kernels that are called seldom where they are called, for their registers."""
    builder = binding.create_pass_builder(
        target, binding.create_pipeline_tuning_options(speed_level=0)
    )
    passes = binding.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.run(module, builder)


@cache
def _know_libm() -> None:
    """Tell LLVM where the functions are that Python's own math calls."""
    library = ctypes.CDLL(getattr(math, "__file__", None))
    for name in [*LIBM, "fma", "floor", "ceil", "trunc"]:
        function = getattr(library, name, None)
        if function is not None:
            address = ctypes.cast(function, ctypes.c_void_p).value
            binding.add_symbol(name, address)
            binding.add_symbol(f"libm.{name}", address)


@cache
def _driver(features: str) -> tuple[Any, Callable[..., None], Callable[..., None]]:
    """The loops of `blocks.py`, compiled once: the engine, `batch` and `total`."""
    engine = Machine(features, 2).compile(driver(), {})
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3, *[ctypes.c_void_p] * 9)
    return (
        engine,
        kind(engine.get_function_address("batch")),
        kind(engine.get_function_address("total")),
    )


class Callback:
    """A row that is called back: machine code passes the address of its operands.

    ctypes would print an exception and go on, so it is kept until the call returns.
    """

    def __init__(self, row: Row, raised: list[BaseException]) -> None:
        def value(operands: Any) -> float:
            try:
                return row.row.value(*operands[: row.operands])
            except BaseException as error:
                raised.append(error)
                return math.nan

        kind = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.POINTER(ctypes.c_double))
        self.function = kind(value)

    @property
    def address(self) -> int:
        return ctypes.cast(self.function, ctypes.c_void_p).value or 0


# ---- code for a tape -----------------------------------------------------------------


class Compiled:
    """One function of a tape as machine code, and the room that it works in."""

    def __init__(
        self,
        plans: Sequence[tuple[Plan | Looped, Target, int]],
        machine: Machine,
        contract: bool,
    ) -> None:
        self.raised: list[BaseException] = []
        called: dict[Row, int] = {}
        kernels = ir.Module()
        uses: Counter[Any] = Counter()  # of each kernel

        def kernel(name: str, operands: int) -> str | None:
            fma = machine.multiplies_and_adds()
            function = vector_function(kernels, name, WIDTH, fma=fma)
            if function is None or len(function.args) != operands:
                return None
            uses[function] += 1
            return str(function.name)

        self.codes = []
        for plan, target, width in plans:
            new = partial(Writer, width, kernel, called, contract)
            if isinstance(plan, Looped) and isinstance(target, LoopTarget):
                code = lower_looped("lanes", plan, target, new, machine.is_wide())
            else:
                assert isinstance(plan, Plan)
                code = lower(plan, target, new)
            self.codes.append(code)
        for function, count in uses.items():
            if count <= SELDOM and machine.care:
                function.attributes.add("alwaysinline")
        self._callbacks = [Callback(row, self.raised) for row in called]
        addresses = {f"back.{i}": x.address for i, x in enumerate(self._callbacks)}
        modules = [*_parts(self.codes), _module(self.codes, kernels)]
        self.text = "\n".join(modules)
        steps = sum([len(plan.steps) for plan, _, _ in plans if type(plan) is Plan])
        with announced(f"compiling {steps:,} instructions by LLVM"):
            self._engines = [self._compile(machine, m, addresses) for m in modules]

    @staticmethod
    def _compile(machine: Machine, module: str, addresses: dict[str, int]) -> Any:
        """A module as machine code; what it defines gets an address for the others."""
        go_on()
        declared = {*re.findall(r'declare .*@"?([\w.]+)', module)}
        known = {name: addresses[name] for name in declared & addresses.keys()}
        engine = machine.compile(module, known)
        for name in re.findall(r"define i32 @(\w+\.\d+)\(", module):
            addresses[name] = engine.get_function_address(name)
        return engine

    @property
    def calls_back(self) -> bool:
        """Whether a row of it runs Python, which can raise."""
        return bool(self._callbacks)

    def address(self, name: str) -> int:
        return int(self._engines[-1].get_function_address(name))

    def check(self) -> None:
        """Raise what a row raised that was called back."""
        if self.raised:
            error = self.raised.pop()
            self.raised.clear()
            raise error


def _parts(codes: Sequence[Code]) -> Iterator[str]:
    """The modules before the last one, with some chunks of long code in each."""
    for code in codes:
        for i in range(0, len(code.parts), MANY):
            some = "\n".join(code.parts[i : i + MANY])
            yield _module([code._replace(text=some)], ir.Module())


def _module(codes: Sequence[Code], kernels: Any) -> str:
    """The text of a module: kernels, declarations, functions."""
    declared = set().union(*[code.declared for code in codes])
    known = kernels.globals
    texts = [
        str(kernels),
        *sorted(d for d in declared if d.split("@")[1].split("(")[0] not in known),
        *[code.text for code in codes],
        'attributes #0 = { nounwind "min-legal-vector-width"="512" '
        '"prefer-vector-width"="512" }',
    ]
    return "\n".join(texts)


class Split(NamedTuple):
    """A tape in two: what all lanes share, and what each lane has for itself."""

    shared: list[Step]
    own: list[Step]
    checks: list[Check]
    places: dict[int, int]  # of shared numbers that lanes read


def _split(tape: Tape, is_shared: Sequence[bool]) -> Split:
    known = [slot for slot, shared in enumerate(is_shared) if shared]
    common = set(known)
    shared: list[Step] = []
    own: list[Step] = []
    squares: dict[Operand, int] = {}
    owned = [0]  # how many steps are the lanes' own, after each instruction
    for k, (row, args) in enumerate(tape.code):
        step = Step(tape.inputs + k, row, args)
        if all(not isinstance(arg, int) or arg in common for arg in args):
            shared.append(step)
            common.add(step.slot)
        else:
            own.append(_square_once(step, squares))
        owned.append(len(own))
    checks = [
        Check(owned[guard.after], i, guard) for i, guard in enumerate(tape.guards)
    ]
    own, checks = _relatives_together(own, checks)
    read = {arg for step in own for arg in step.args if isinstance(arg, int)}
    read |= {guard.slot for guard in tape.guards}
    read |= {y for y in tape.outputs if isinstance(y, int)}
    places = {slot: slot for slot in known}
    for step in shared:
        if step.slot in read:
            places[step.slot] = tape.inputs + len(places) - len(known)
    return Split(shared, own, checks, places)


def _relatives_together(
    own: list[Step], checks: list[Check]
) -> tuple[list[Step], list[Check]]:
    """Each family on one operand behind its first step, so that no chunk parts them."""
    first = {slot: family[0].slot for slot, family in relatives(own).items()}
    position = {step.slot: k for k, step in enumerate(own)}
    place = {step.slot: position[first.get(step.slot, step.slot)] for step in own}
    own = sorted(own, key=lambda step: place[step.slot])
    places = sorted(place.values())
    return own, [c._replace(after=bisect_left(places, c.after)) for c in checks]


class Loop(NamedTuple):
    """The code of a batch for C to call, as long as the executable is there.

    The shared inputs are written into a room first, and `prologue` called on it; then
    the loop, whose arguments are those of the room: addresses, and by name the number
    of lanes (n), groups (ins, outs), the flags (failed) and the sums of blocks (sums).
    """

    prologue: int  # where it is, as `address` is where the loop is
    address: int
    room: Callable[[], Any]  # its owner, shared numbers, workspace, arguments
    block: int  # lanes that are summed together; 0 where none are
    fields: int  # of a group: the last ones of slot, count, address and stride


def _square_once(step: Step, squares: dict[Operand, int]) -> Step:
    """x·x for x ** 2, as vectors have it; the same as before, if it is known."""
    slot, row, args = step
    if row is not p.mul and row is not p.pow:
        return step
    if row is p.pow and type(args[1]) is float and args[1] == 2.0:
        row, args = p.mul, (args[0], args[0])
    x = args[0]
    if row is not p.mul or type(x) is not int or x != args[1] or type(args[1]) is float:
        return step
    if squares.setdefault(x, slot) != slot:
        return Step(slot, p.identity, (squares[x],))
    return Step(slot, row, args)


class Native:
    """A tape as an executable of machine code: see `tape.Executable`."""

    block = BLOCK

    def __init__(self, tape: Tape, contract: bool, features: str) -> None:
        self.tape = tape
        self._contract = contract
        self._machine = Machine(features, 2 if len(tape.code) <= SHORT else 0)
        self._rooms = threading.local()
        self._scalar: Compiled | None = None
        self._lanes: dict[Layout, _Lanes] = {}

    # ---- one point -------------------------------------------------------------------

    def scalar(self, xs: Sequence[float]) -> tuple[tuple[float, ...], int]:
        """(outputs, -1), or ((), the index of the first guard that fails)."""
        room = getattr(self._rooms, "scalar", None) or self._scalar_room()
        put, get, call, compiled = room
        put(*xs)
        failed: int = call()
        if compiled.raised:
            compiled.check()
        return ((), failed) if failed >= 0 else (get(), -1)

    def _scalar_room(self) -> Any:
        """What puts operands into this thread's room, gets results, and calls there."""
        compiled = self._compiled_scalar()
        ins, outs = self.tape.inputs, len(self.tape.outputs)
        inputs, outputs = (ctypes.c_double * ins)(), (ctypes.c_double * outs)()
        workspace = (ctypes.c_double * compiled.codes[0].places)()
        function = ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_void_p] * 3)(
            compiled.address("scalar")
        )
        addresses = [ctypes.addressof(x) for x in (inputs, outputs, workspace)]

        def call(keep: Any = workspace) -> int:
            return int(function(*addresses))

        put = partial(Struct(f"{ins}d").pack_into, inputs, 0)
        get = partial(Struct(f"{outs}d").unpack, outputs)
        self._rooms.scalar = (put, get, call, compiled)
        return self._rooms.scalar

    def _compiled_scalar(self) -> Compiled:
        if self._scalar is None:
            with compiling:
                self._scalar = self._scalar or Compiled(
                    [(_scalar_plan(self.tape), Target(), 0)],
                    self._machine,
                    self._contract,
                )
        return self._scalar

    def entry(self) -> Entry | None:
        """The code of one point for C to call; None if it calls Python back."""
        compiled = self._compiled_scalar()
        if compiled.calls_back:
            return None
        return Entry(compiled.address("scalar"), 0, compiled.codes[0].places)

    def ir(self) -> str:
        """The LLVM code of a call at one point."""
        return self._compiled_scalar().text

    # ---- a batch ---------------------------------------------------------------------

    def batch(
        self, columns: Sequence[Any], n: int, outs: Sequence[Any], failed: Any
    ) -> None:
        """Write each output of each lane into its array, and `failed`."""
        if n:
            ins, results = find_groups(columns), find_groups(outs)
            lanes = self._for(Layout(ins.groups, results.groups))
            lanes.batch(columns, n, ins.table, results.table, failed)

    def block_totals(self, columns: Sequence[Any], n: int, failed: Any) -> Any:
        """What `total` adds up: the sum of each output over each block of lanes."""
        sums = np.zeros((max(-(-n // BLOCK), 1), len(self.tape.outputs)))
        if n:
            ins = find_groups(columns)
            lanes = self._for(Layout(ins.groups, None))
            lanes.total(columns, n, ins.table, failed, sums)
        return sums

    def total(self, columns: Sequence[Any], n: int, failed: Any) -> list[float]:
        """The sum of each output over the lanes that did not fail; writes `failed`."""
        return combine(self.block_totals(columns, n, failed))

    def loop(self, ins: Groups, outs: Groups | None) -> Loop | None:
        """`batch` for C to call, or without outs `block_totals`; None if it cannot.

        A group has a slot (or an output), so many columns, and may be dense.
        """
        groups = tuple([Group(*group) for group in ins])
        results = None if outs is None else tuple([Group(*group) for group in outs])
        return self._for(Layout(groups, results)).loop()

    def _for(self, layout: Layout) -> _Lanes:
        if layout not in self._lanes:
            with compiling:
                if layout not in self._lanes:  # no other thread has been here
                    self._lanes[layout] = _Lanes(
                        self.tape, layout, self._machine, self._contract
                    )
        return self._lanes[layout]


class Layout(NamedTuple):
    """How a batch lies in memory, for which its code is made; no outputs for sums.

    An input that is in no group is shared by all lanes.
    """

    ins: tuple[Group, ...]
    outs: tuple[Group, ...] | None

    def is_shared(self, inputs: int) -> tuple[bool, ...]:
        own = {i for g in self.ins for i in range(g.slot, g.slot + g.size)}
        return tuple([i not in own for i in range(inputs)])


def _scalar_plan(tape: Tape) -> Plan:
    return Plan(
        "scalar",
        [Step(tape.inputs + k, *step) for k, step in enumerate(tape.code)],
        [Check(guard.after, i, guard) for i, guard in enumerate(tape.guards)],
        [Ending(y, i) for i, y in enumerate(tape.outputs)],
    )


class _Lanes:
    """The code of a batch for one layout of it, and its rooms by thread."""

    def __init__(
        self, tape: Tape, layout: Layout, machine: Machine, contract: bool
    ) -> None:
        self.tape, self.layout = tape, layout
        self.is_shared = layout.is_shared(tape.inputs)
        split = _split(tape, self.is_shared)
        first = [Ending(s.slot, split.places[s.slot]) for s in split.shared
                 if s.slot in split.places]  # fmt: skip
        endings = [Ending(y, i) for i, y in enumerate(tape.outputs)]
        plan = Plan("lanes", split.own, split.checks, endings)
        shared = tape.inputs + len(split.places)
        loops = looped(plan, split.places, shared, layout.outs is None)
        own: Plan | Looped = plan
        if loops is None:
            target = (
                TotalTarget(split.places, layout.ins, bool(tape.guards))
                if layout.outs is None
                else LaneTarget(split.places, layout.ins, layout.outs)
            )
        else:
            own = loops
            first += loops.layout.copies
            shared = loops.layout.next_shared
            target = (
                LoopTotal(split.places, layout.ins, bool(tape.guards))
                if layout.outs is None
                else LoopLanes(split.places, layout.ins, layout.outs)
            )
            if len(loops.items) <= SHORT:
                machine = machine._replace(care=2)
        self.compiled = Compiled(
            [(Plan("shared", split.shared, [], first), Target(), 0),
             (own, target, WIDTH)],
            machine,
            contract,
        )  # fmt: skip
        self.sizes = (
            shared,
            max(self.compiled.codes[0].places, self.compiled.codes[1].places * WIDTH),
        )
        self.prologue = ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_void_p] * 3)(
            self.compiled.address("shared")
        )
        self.body = self.compiled.address("lanes")
        _, self._batch, self._total = _driver(machine.features)
        self._rooms = threading.local()

    def room(self) -> _Room:
        """This thread's workspace."""
        if not hasattr(self._rooms, "room"):
            self._rooms.room = _Room(self.tape, self.layout, *self.sizes)
        room: _Room = self._rooms.room
        return room

    def batch(
        self, columns: Sequence[Any], n: int, ins: Any, outs: Any, failed: Any
    ) -> None:
        room = self._begin(columns, ins)
        room.outs[:] = outs
        self._batch(
            n, len(ins) // 3, len(outs) // 3, self.body, room.addresses[0],
            room.addresses[1], address_of(failed), *room.common, *room.tails,
            room.flags,
        )  # fmt: skip
        self.compiled.check()

    def total(
        self, columns: Sequence[Any], n: int, ins: Any, failed: Any, sums: Any
    ) -> None:
        room = self._begin(columns, ins)
        self._total(
            n, len(ins) // 3, len(self.tape.outputs), self.body, room.addresses[0],
            room.vectors, address_of(failed), *room.common, room.tails[0],
            room.flags, address_of(sums),
        )  # fmt: skip
        self.compiled.check()

    def loop(self) -> Loop | None:
        """`batch` or `total` for C to call; None if it calls Python back."""
        if self.compiled.calls_back:
            return None
        sums = self.layout.outs is None

        def room() -> Any:
            own = _Room(self.tape, self.layout, *self.sizes)
            arguments: list[int | str] = ["n", len(self.layout.ins)]
            if sums:
                arguments += [len(self.tape.outputs), self.body, "ins", own.vectors]
                arguments += ["failed", *own.common, own.tails[0], own.flags, "sums"]
            else:
                arguments += [len(self.layout.outs or ()), self.body, "ins", "outs"]
                arguments += ["failed", *own.common, *own.tails, own.flags]
            return own, *own.common, arguments

        prologue = self.compiled.address("shared")
        loop: Any = self._total if sums else self._batch
        address = ctypes.cast(loop, ctypes.c_void_p).value or 0
        return Loop(prologue, address, room, BLOCK if sums else 0, 3)

    def _begin(self, columns: Sequence[Any], ins: Any) -> _Room:
        """Compute what all lanes share, and say where the inputs are."""
        room = self.room()
        room.ins[:] = ins
        room.shared[: len(columns)] = [
            column if shared else 0.0 for column, shared in zip(columns, self.is_shared)
        ]
        self.prologue(room.common[0], *room.common)
        return room


class _Room:
    """Memory for one thread: tables, a vector of each input and output, what is shared,
    and the workspace."""

    def __init__(self, tape: Tape, layout: Layout, shared: int, workspace: int) -> None:
        self.shared = np.empty(shared + 1)
        groups = layout.ins, layout.outs or ()
        self.ins, self.outs = tables = [np.empty(3 * len(g), np.int64) for g in groups]
        self.addresses = [address_of(table) for table in tables]
        sizes = tape.inputs * WIDTH, len(tape.outputs) * WIDTH, WIDTH, workspace
        self._arrays = [np.empty(size + WIDTH) for size in sizes]
        in_rows, out_rows, flags, ws = [
            -(-address_of(array) // 64) * 64
            for array in self._arrays  # a cache line
        ]
        tails = [_tail(g, rows) for g, rows in zip(groups, (in_rows, out_rows))]
        self._arrays += tails
        self.tails = [address_of(tail) for tail in tails]
        self.vectors, self.flags = out_rows, flags
        self.common = address_of(self.shared), ws


def _tail(groups: Sequence[Group], rows: int) -> Any:
    """A table of groups, one after the other in the room for a vector of rows."""
    table: list[int] = []
    for group in groups:
        table += (group.size, rows, 8 * group.size)
        rows += 8 * WIDTH * group.size
    return np.array(table, np.int64)
