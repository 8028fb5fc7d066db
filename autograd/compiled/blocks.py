"""The loop over a batch, as LLVM code: block by block, whatever the strides.

The code of a tape wants lanes side by side. So each block of lanes is first packed into
columns (rows of memory are transposed eight by eight, in registers), the tape's code
runs on the block while it is in the fastest cache, and the results are unpacked. A
column that lies side by side anyway is used where it is, unless it ends within the
block: then it is packed and filled up with copies of its last lane, so that all lanes
run through the same code however a batch is cut.

    group    neighbouring columns with one stride: slot, count, address, stride
    block    BLOCK lanes; sums of outputs are kept for each, so that they add up the
             same when a batch is cut between blocks
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from llvmlite import ir  # type: ignore[import-untyped]

from .lower import WIDTH

BLOCK: Final = 128  # lanes

I32, I64, F64 = ir.IntType(32), ir.IntType(64), ir.DoubleType()
PTR, VOID = ir.PointerType(), ir.VoidType()
LANES, FLAGS = ir.VectorType(F64, WIDTH), ir.VectorType(I32, WIDTH)

# (in, out, failed, shared, workspace, lanes): the code of a tape on one block
BODY: Final = ir.FunctionType(VOID, [PTR] * 5 + [I64])


class Code:
    """An IRBuilder with the few words that loops over arrays need."""

    def __init__(self, module: Any, name: str, kinds: Sequence[Any]) -> None:
        self.function = ir.Function(module, ir.FunctionType(VOID, kinds), name)
        self.function.attributes.add("nounwind")
        self.args = self.function.args
        self.b = ir.IRBuilder(self.function.append_basic_block())

    @contextmanager
    def loop(self, start: Any, stop: Any, step: int = 1) -> Iterator[Any]:
        """for i in range(start, stop, step)."""
        b = self.b
        before = b.block
        head, body = b.append_basic_block(), b.append_basic_block()
        after = b.append_basic_block()
        b.branch(head)
        b.position_at_end(head)
        i = b.phi(I64)
        i.add_incoming(start, before)
        b.cbranch(b.icmp_signed("<", i, stop), body, after)
        b.position_at_end(body)
        yield i
        i.add_incoming(b.add(i, whole(step)), b.block)
        b.branch(head)
        b.position_at_end(after)

    def at(self, base: Any, index: Any, kind: Any = F64) -> Any:
        return self.b.gep(base, [index], source_etype=kind)

    def byte(self, base: Any, offset: Any) -> Any:
        return self.at(base, offset, ir.IntType(8))

    def load(self, place: Any, kind: Any) -> Any:
        return self.b.load(place, typ=kind, align=4 if kind is I32 else 8)

    def item(self, base: Any, index: Any, kind: Any = I64) -> Any:
        return self.load(self.at(base, index, kind), kind)

    def store(self, x: Any, place: Any) -> None:
        self.b.store(x, place, align=4 if x.type in (I32, FLAGS) else 8)

    def least(self, x: Any, y: Any) -> Any:
        return self.b.select(self.b.icmp_signed("<", x, y), x, y)


def whole(x: int) -> Any:
    return ir.Constant(I64, x)


def driver() -> str:
    """The module of `batch` and `total`: see `_drive` for their parameters."""
    module = ir.Module("blocks")
    pack, unpack = _pack(module), _unpack(module)
    _drive(module, pack, unpack, total=False)
    _drive(module, pack, unpack, total=True)
    return str(module)


# ---- between rows and columns --------------------------------------------------------


def _transposed(b: Any, rows: list[Any]) -> list[Any]:
    """Eight vectors of eight, rows for columns: halves, then quarters, then pairs."""
    for half in (4, 2, 1):
        high = [bool(lane & half) for lane in range(WIDTH)]
        upper = [i - half + WIDTH if h else i for i, h in enumerate(high)]
        lower = [i + WIDTH if h else i + half for i, h in enumerate(high)]
        rows = [
            b.shuffle_vector(rows[i - half], rows[i], _mask(lower))
            if h
            else b.shuffle_vector(rows[i], rows[i + half], _mask(upper))
            for i, h in enumerate(high)
        ]
    return rows


def _mask(lanes: list[int]) -> Any:
    return ir.Constant(ir.VectorType(I32, len(lanes)), lanes)


def _pack(module: Any) -> Any:
    """pack(source, stride, columns, lanes, to): a block of rows into columns."""
    code = Code(module, "pack", [PTR, I64, I64, I64, PTR])
    source, stride, columns, lanes, to = code.args
    b = code.b
    last = b.sub(lanes, whole(1))

    def column(j: Any, lane: Any) -> Any:
        return code.at(to, b.add(b.mul(j, whole(BLOCK)), lane))

    wide = b.icmp_signed(">=", columns, whole(WIDTH))
    with code.loop(whole(0), lanes, WIDTH) as lane:
        filled = [code.least(b.add(lane, whole(i)), last) for i in range(WIDTH)]
        rows = [code.byte(source, b.mul(i, stride)) for i in filled]
        with b.if_else(wide) as (many, few):
            with many, code.loop(whole(0), columns, WIDTH) as start:
                j = code.least(start, b.sub(columns, whole(WIDTH)))
                loaded = [code.load(code.at(row, j), LANES) for row in rows]
                for i, x in enumerate(_transposed(b, loaded)):
                    code.store(x, column(b.add(j, whole(i)), lane))
            with few, code.loop(whole(0), columns) as j:
                for i, row in enumerate(rows):
                    x = code.load(code.at(row, j), F64)
                    code.store(x, column(j, b.add(lane, whole(i))))
    b.ret_void()
    return code.function


def _unpack(module: Any) -> Any:
    """unpack(source, stride, columns, lanes, to): a block of columns into rows."""
    code = Code(module, "unpack", [PTR, I64, I64, I64, PTR])
    source, stride, columns, lanes, to = code.args
    b = code.b

    def row(lane: Any) -> Any:
        return code.byte(to, b.mul(lane, stride))

    def column(j: Any, lane: Any) -> Any:
        return code.at(source, b.add(b.mul(j, whole(BLOCK)), lane))

    narrow = b.icmp_signed("<", columns, whole(WIDTH))
    full = b.select(narrow, whole(0), b.and_(lanes, whole(-WIDTH)))
    with (
        code.loop(whole(0), full, WIDTH) as lane,
        code.loop(whole(0), columns, WIDTH) as start,
    ):
        j = code.least(start, b.sub(columns, whole(WIDTH)))
        places = [column(b.add(j, whole(i)), lane) for i in range(WIDTH)]
        loaded = [code.load(place, LANES) for place in places]
        for i, x in enumerate(_transposed(b, loaded)):
            code.store(x, code.at(row(b.add(lane, whole(i))), j))
    with code.loop(full, lanes) as lane, code.loop(whole(0), columns) as j:
        code.store(code.load(column(j, lane), F64), code.at(row(lane), j))
    b.ret_void()
    return code.function


# ---- block after block ---------------------------------------------------------------


def _drive(module: Any, pack: Any, unpack: Any, total: bool) -> None:
    """Define `batch` or `total`: the body on every block of n lanes.

    ins, outs   groups, four numbers for each; their counts
    in_table    room for the addresses of a block's columns, which the body reads
    in_buffer   room for BLOCK lanes of each slot; out_buffer the same of each output
    out         such a table; of a total, room for a vector of sums for each output
    flags       room for the failed guards of a block
    sums        of a total: gets the sum of each output over each block
    """
    kinds = [I64] * 3 + [BODY.as_pointer()] + [PTR] * (9 if total else 10)
    code = Code(module, "total" if total else "batch", kinds)
    b, (n, in_count, outputs, *places) = code.b, code.args
    body, ins, in_table, in_buffer, out, flags, failed, shared, ws, *rest = places
    with code.loop(whole(0), n, BLOCK) as at:
        lanes = code.least(whole(BLOCK), b.sub(n, at))
        inputs = Block(code, at, lanes, in_table, in_buffer)
        inputs.each(ins, in_count, lambda *group: inputs.pack(pack, *group))
        with code.loop(whole(0), lanes, WIDTH) as i:
            code.store(ir.Constant(FLAGS, [-1] * WIDTH), code.at(flags, i, I32))
        if total:
            with code.loop(whole(0), outputs) as i:
                code.store(ir.Constant(LANES, [0.0] * WIDTH), code.at(out, i, LANES))
            b.call(body, [in_table, out, flags, shared, ws, lanes])
            _reduce(code, out, outputs, b.sdiv(at, whole(BLOCK)), rest[0])
        else:
            results = Block(code, at, lanes, out, rest[1])
            results.each(rest[0], outputs, results.place)
            b.call(body, [in_table, out, flags, shared, ws, lanes])
            unpacked = lambda *group: results.unpack(unpack, *group)  # noqa: E731
            results.each(rest[0], outputs, unpacked)
        with code.loop(whole(0), lanes) as i:
            code.store(code.item(flags, i, I32), code.at(failed, b.add(at, i), I32))
    b.ret_void()


class Block(NamedTuple):
    """Where a block's columns are: `table` has their addresses, `buffer` room."""

    code: Code
    at: Any
    lanes: Any
    table: Any
    buffer: Any

    def each(self, groups: Any, count: Any, do: Callable[..., object]) -> None:
        """Call do(slot, count, address in this block, stride) for each group."""
        code, b = self.code, self.code.b
        with code.loop(whole(0), count) as g:
            fields = [b.add(b.mul(g, whole(4)), whole(i)) for i in range(4)]
            slot, columns, address, stride = [code.item(groups, i) for i in fields]
            start = b.add(address, b.mul(self.at, stride))
            do(slot, columns, b.inttoptr(start, PTR), stride)

    def pack(self, pack: Any, slot: Any, count: Any, source: Any, stride: Any) -> None:
        """Put the columns into the buffer, unless the only one can stay."""
        stays = self.place(slot, count, source, stride)
        with self.code.b.if_then(self.code.b.not_(stays)):
            room = self._room(slot)
            self.code.b.call(pack, [source, stride, count, self.lanes, room])

    def unpack(self, unpack: Any, slot: Any, count: Any, to: Any, stride: Any) -> None:
        """Take the columns out of the buffer, unless the only one is in its place."""
        with self.code.b.if_then(self.code.b.not_(self._stays(count, stride))):
            room = self._room(slot)
            self.code.b.call(unpack, [room, stride, count, self.lanes, to])

    def place(self, slot: Any, count: Any, source: Any, stride: Any) -> Any:
        """Say in the table where the columns are; whether the only one stays."""
        stays = self._stays(count, stride)
        with self.code.loop(whole(0), count) as j:
            column = self.code.b.add(slot, j)
            address = self.code.b.select(stays, source, self._room(column))
            self.code.store(address, self.code.at(self.table, column, PTR))
        return stays

    def _stays(self, count: Any, stride: Any) -> Any:
        b = self.code.b
        alone = b.icmp_signed("==", count, whole(1))
        dense = b.icmp_signed("==", stride, whole(8))
        full = b.icmp_signed("==", self.lanes, whole(BLOCK))
        return b.and_(full, b.and_(alone, dense))

    def _room(self, slot: Any) -> Any:
        return self.code.at(self.buffer, self.code.b.mul(slot, whole(BLOCK)))


def _reduce(code: Code, out: Any, outputs: Any, block: Any, sums: Any) -> None:
    """Add up the lanes of each output's vector, neighbours first."""
    row = code.b.mul(block, outputs)
    with code.loop(whole(0), outputs) as i:
        x = code.item(out, i, LANES)
        parts = [code.b.extract_element(x, ir.Constant(I32, k)) for k in range(WIDTH)]
        while len(parts) > 1:
            parts = [code.b.fadd(*pair) for pair in zip(parts[::2], parts[1::2])]
        code.store(parts[0], code.at(sums, code.b.add(row, i)))
