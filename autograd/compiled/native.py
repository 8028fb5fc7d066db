"""A tape as machine code, by LLVM: for one point, and for a batch, eight lanes at once.

A scalar call gives the bits of `Tape.run`: IEEE arithmetic as written, not contracted,
and the libm functions that Python's own math calls. A batch runs vectors through the
kernels of `kernels.py`; what all lanes share is computed once, by the scalar code, and
read by every lane. `lower.py` writes the code of a tape, `blocks.py` the loop around.

Each kind of code is compiled when it is first asked for: the batch once for every
choice of shared inputs. A short tape is compiled with care, a long one in haste, so
that the time grows with the length and no faster. Calls run without Python's lock.
"""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, Final, NamedTuple

import numpy as np
from llvmlite import binding, ir  # type: ignore[import-untyped]

from .blocks import BLOCK, driver
from .kernels import vector_function
from .loops import LoopLanes, Looped, LoopTotal, looped, lower_looped
from .lower import (
    LIBM,
    WIDTH,
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
)
from .source import combine
from .tape import Tape

Groups = Sequence[tuple[int, int, bool]]
SHORT: Final = 3000  # instructions: what is longer is compiled in haste

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


@cache
def _know_libm() -> None:
    """Tell LLVM where the functions are that Python's own math calls."""
    library = ctypes.CDLL(getattr(math, "__file__", None))
    for name in [*LIBM, "fma", "floor", "ceil"]:
        function = getattr(library, name, None)
        if function is not None:
            address = ctypes.cast(function, ctypes.c_void_p).value
            binding.add_symbol(name, address)
            binding.add_symbol(f"libm.{name}", address)


@cache
def _driver(features: str) -> tuple[Any, Callable[..., None], Callable[..., None]]:
    """The loops of `blocks.py`, compiled once: the engine, `batch` and `total`."""
    engine = Machine(features, 2).compile(driver(), {})
    signature = [ctypes.c_int64] * 3 + [ctypes.c_void_p] * 10
    total = ctypes.CFUNCTYPE(None, *signature)
    batch = ctypes.CFUNCTYPE(None, *signature, ctypes.c_void_p)
    return (
        engine,
        batch(engine.get_function_address("batch")),
        total(engine.get_function_address("total")),
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

        def kernel(name: str, operands: int) -> str | None:
            fma = machine.multiplies_and_adds()
            function = vector_function(kernels, name, WIDTH, fma=fma)
            if function is None or len(function.args) != operands:
                return None
            return str(function.name)

        self.codes = []
        for plan, target, width in plans:
            new = partial(Writer, width, kernel, called, contract)
            if isinstance(plan, Looped):
                code = lower_looped("lanes", plan, target, new, machine.is_wide())
            else:
                code = lower(plan, target, new)
            self.codes.append(code)
        self.text = _module(self.codes, kernels)
        self._callbacks = [Callback(row, self.raised) for row in called]
        self._engine = machine.compile(
            self.text,
            {f"back.{i}": back.address for i, back in enumerate(self._callbacks)},
        )

    @property
    def calls_back(self) -> bool:
        """Whether a row of it runs Python, which can raise."""
        return bool(self._callbacks)

    def address(self, name: str) -> int:
        return int(self._engine.get_function_address(name))

    def check(self) -> None:
        """Raise what a row raised that was called back."""
        if self.raised:
            error = self.raised.pop()
            self.raised.clear()
            raise error


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
    owned = [0]  # how many steps are the lanes' own, after each instruction
    for k, (row, args) in enumerate(tape.code):
        step = Step(tape.inputs + k, row, args)
        if all(not isinstance(arg, int) or arg in common for arg in args):
            shared.append(step)
            common.add(step.slot)
        else:
            own.append(step)
        owned.append(len(own))
    checks = [
        Check(owned[guard.after], i, guard) for i, guard in enumerate(tape.guards)
    ]
    read = {arg for step in own for arg in step.args if isinstance(arg, int)}
    read |= {guard.slot for guard in tape.guards}
    read |= {y for y in tape.outputs if isinstance(y, int)}
    places = {slot: slot for slot in known}
    for step in shared:
        if step.slot in read:
            places[step.slot] = tape.inputs + len(places) - len(known)
    return Split(shared, own, checks, places)


class Entry(NamedTuple):
    """Machine code at an address: (in, out, workspace) -> the guard that fails, or -1.

    It stays there as long as the executable that gave it.
    """

    address: int
    workspace: int  # doubles


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


class Native:
    """A tape as an executable of machine code: see `tape.Executable`."""

    block = BLOCK

    def __init__(self, tape: Tape, contract: bool, features: str) -> None:
        self.tape = tape
        self._contract = contract
        self._machine = Machine(features, 2 if len(tape.code) <= SHORT else 0)
        self._lock = threading.Lock()
        self._rooms = threading.local()
        self._scalar: Compiled | None = None
        self._lanes: dict[tuple[bool, tuple[bool, ...]], _Lanes] = {}

    # ---- one point -------------------------------------------------------------------

    def scalar(self, xs: Sequence[float]) -> tuple[tuple[float, ...], int]:
        """(outputs, -1), or ((), the index of the first guard that fails)."""
        room = getattr(self._rooms, "scalar", None) or self._scalar_room()
        inputs, outputs, call, compiled = room
        inputs[:] = xs
        failed: int = call()
        if compiled.raised:
            compiled.check()
        return ((), failed) if failed >= 0 else (tuple(outputs), -1)

    def _scalar_room(self) -> Any:
        """This thread's operands, results and workspace, and a call bound to them."""
        compiled = self._compiled_scalar()
        inputs = (ctypes.c_double * self.tape.inputs)()
        outputs = (ctypes.c_double * len(self.tape.outputs))()
        workspace = (ctypes.c_double * compiled.codes[0].places)()
        function = ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_void_p] * 3)(
            compiled.address("scalar")
        )
        addresses = [ctypes.addressof(x) for x in (inputs, outputs, workspace)]

        def call(keep: Any = workspace) -> int:
            return int(function(*addresses))

        self._rooms.scalar = (inputs, outputs, call, compiled)
        return self._rooms.scalar

    def _compiled_scalar(self) -> Compiled:
        with self._lock:
            if self._scalar is None:
                plan = _scalar_plan(self.tape)
                self._scalar = Compiled(
                    [(plan, Target(), 0)], self._machine, self._contract
                )
            return self._scalar

    def entry(self) -> Entry | None:
        """The code of one point for C to call; None if it calls Python back."""
        compiled = self._compiled_scalar()
        if compiled.calls_back:
            return None
        return Entry(compiled.address("scalar"), compiled.codes[0].places)

    def ir(self) -> str:
        """The LLVM code of a call at one point."""
        return self._compiled_scalar().text

    # ---- a batch ---------------------------------------------------------------------

    def batch(
        self, columns: Sequence[Any], n: int, outs: Sequence[Any], failed: Any
    ) -> None:
        """Write each output of each lane into its array, and `failed`."""
        if n:
            self._for(columns, total=False).batch(columns, n, outs, failed)

    def block_totals(self, columns: Sequence[Any], n: int, failed: Any) -> Any:
        """What `total` adds up: the sum of each output over each block of lanes."""
        sums = np.zeros((max(-(-n // BLOCK), 1), len(self.tape.outputs)))
        if n:
            self._for(columns, total=True).total(columns, n, failed, sums)
        return sums

    def total(self, columns: Sequence[Any], n: int, failed: Any) -> list[float]:
        """The sum of each output over the lanes that did not fail; writes `failed`."""
        return combine(self.block_totals(columns, n, failed))

    def loop(self, ins: Groups, outs: Groups | None) -> Loop | None:
        """`batch` for C to call, or without outs `block_totals`; None if it cannot.

        A group has a slot (or an output), so many columns, and may be dense.
        """
        own = {slot + i for slot, count, _ in ins for i in range(count)}
        columns = [np.empty(0) if i in own else 0.0 for i in range(self.tape.inputs)]
        lanes = self._for(columns, total=outs is None)
        return lanes.loop(len(ins), None if outs is None else len(outs))

    def _for(self, columns: Sequence[Any], total: bool) -> _Lanes:
        is_shared = tuple(not isinstance(column, np.ndarray) for column in columns)
        with self._lock:
            key = total, is_shared
            if key not in self._lanes:
                self._lanes[key] = _Lanes(
                    self.tape, is_shared, total, self._machine, self._contract
                )
            return self._lanes[key]


def _scalar_plan(tape: Tape) -> Plan:
    return Plan(
        "scalar",
        [Step(tape.inputs + k, *step) for k, step in enumerate(tape.code)],
        [Check(guard.after, i, guard) for i, guard in enumerate(tape.guards)],
        [Ending(y, i) for i, y in enumerate(tape.outputs)],
    )


class _Lanes:
    """The code of a batch for one choice of shared inputs, and its rooms by thread."""

    def __init__(
        self,
        tape: Tape,
        is_shared: Sequence[bool],
        total: bool,
        machine: Machine,
        contract: bool,
    ) -> None:
        self.tape, self.is_shared = tape, is_shared
        split = _split(tape, is_shared)
        first = [Ending(s.slot, split.places[s.slot]) for s in split.shared
                 if s.slot in split.places]  # fmt: skip
        endings = [Ending(y, i) for i, y in enumerate(tape.outputs)]
        plan = Plan("lanes", split.own, split.checks, endings)
        shared = tape.inputs + len(split.places)
        loops = looped(plan, split.places, shared, total)
        own: Plan | Looped = plan
        if loops is None:
            target = (
                TotalTarget(split.places, bool(tape.guards))
                if total
                else LaneTarget(split.places)
            )
        else:
            own = loops
            first += loops.layout.copies
            shared = loops.layout.next_shared
            target = (
                LoopTotal(split.places, bool(tape.guards))
                if total
                else LoopLanes(split.places)
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
            self._rooms.room = _Room(self.tape, *self.sizes)
        room: _Room = self._rooms.room
        return room

    def batch(
        self, columns: Sequence[Any], n: int, outs: Sequence[Any], failed: Any
    ) -> None:
        room = self.room()
        ins = _groups(columns)
        self._begin(room, columns)
        results = _groups(outs)
        self._batch(
            n, len(ins), len(results), self.body, _address(ins), *room.inputs,
            room.out_table, room.flags, _address(failed), *room.common,
            _address(results), room.out_buffer,
        )  # fmt: skip
        self.compiled.check()

    def total(self, columns: Sequence[Any], n: int, failed: Any, sums: Any) -> None:
        room = self.room()
        ins = _groups(columns)
        self._begin(room, columns)
        self._total(
            n, len(ins), len(self.tape.outputs), self.body, _address(ins),
            *room.inputs, room.out_buffer, room.flags, _address(failed),
            *room.common, _address(sums),
        )  # fmt: skip
        self.compiled.check()

    def loop(self, ins: int, outs: int | None) -> Loop | None:
        """`batch` or `total` for C to call; None if it calls Python back."""
        if self.compiled.calls_back:
            return None

        def room() -> Any:
            own = _Room(self.tape, *self.sizes)
            first: list[int | str] = [
                "n",
                ins,
                len(self.tape.outputs) if outs is None else outs,
            ]
            first += [self.body, "ins", *own.inputs]
            if outs is None:
                first += [own.out_buffer, own.flags, "failed", *own.common, "sums"]
            else:
                first += [own.out_table, own.flags, "failed", *own.common]
                first += ["outs", own.out_buffer]
            return own, *own.common, first

        prologue = self.compiled.address("shared")
        loop: Any = self._total if outs is None else self._batch
        address = ctypes.cast(loop, ctypes.c_void_p).value or 0
        return Loop(prologue, address, room, BLOCK if outs is None else 0, 4)

    def _begin(self, room: _Room, columns: Sequence[Any]) -> None:
        """Compute what all lanes share."""
        room.shared[: len(columns)] = [
            column if shared else 0.0 for column, shared in zip(columns, self.is_shared)
        ]
        self.prologue(room.common[0], *room.common)


class _Room:
    """Memory for one thread: tables and buffers of a block, and what lanes share."""

    def __init__(self, tape: Tape, shared: int, workspace: int) -> None:
        outputs = len(tape.outputs)
        self.shared = np.empty(shared + 1)
        sizes = (
            tape.inputs, tape.inputs * BLOCK, outputs, outputs * BLOCK, BLOCK, workspace
        )  # fmt: skip
        self._arrays = [np.empty(size + WIDTH) for size in sizes]
        in_table, in_buffer, out_table, out_buffer, flags, ws = [
            -(-_address(array) // 64) * 64
            for array in self._arrays  # a cache line
        ]
        self.inputs = in_table, in_buffer
        self.out_table, self.out_buffer, self.flags = out_table, out_buffer, flags
        self.common = _address(self.shared), ws


def _address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


def _groups(columns: Sequence[Any]) -> Any:
    """Neighbouring columns with one stride, as `blocks.py` wants them."""
    groups: list[list[int]] = []
    for slot, column in enumerate(columns):
        if not isinstance(column, np.ndarray):
            continue
        address, stride = _address(column), column.strides[0]
        if groups:
            first, count, start, last_stride = groups[-1]
            next_to = slot == first + count and address == start + 8 * count
            if next_to and stride == last_stride and stride != 8:
                groups[-1][1] += 1
                continue
        groups.append([slot, 1, address, stride])
    return np.array(groups, dtype=np.int64).reshape(len(groups), 4)
