"""The loop over a batch, as LLVM code: vector by vector, and the lanes left at the end.

The code of a tape takes eight lanes at once, straight from the arrays and back into
them (see `rows.py`). The lanes that do not fill a vector are copied into a buffer, the
last of them as often as it takes, and run through the same code, so that a lane has the
same bits however a batch is cut.

    group    neighbouring columns with one stride: count, address, stride
    block    BLOCK lanes; sums of outputs are kept for each, so that they add up the
             same when a batch is cut between blocks
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from llvmlite import ir  # type: ignore[import-untyped]

from .rows import WIDTH

BLOCK: Final = 128  # lanes

I32, I64, F64 = ir.IntType(32), ir.IntType(64), ir.DoubleType()
PTR, VOID = ir.PointerType(), ir.VoidType()
LANES, FLAGS = ir.VectorType(F64, WIDTH), ir.VectorType(I32, WIDTH)

# (in, out, failed, shared, workspace, first, last): the code of a tape on some lanes
BODY: Final = ir.FunctionType(VOID, [PTR] * 5 + [I64] * 2)


class Builder:
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
    """The module of `batch` and `total`: see there for their parameters."""
    module = ir.Module("blocks")
    _batch(module)
    _total(module)
    return str(module)


def _batch(module: Any) -> None:
    """Define `batch`: the body on n lanes.

    ins, outs   groups, three numbers for each; their counts
    failed      gets the guard that fails for each lane, or -1
    tail_ins    groups that have room for a vector; tail_outs likewise, and flags
    """
    code = Builder(module, "batch", [I64] * 3 + [BODY.as_pointer()] + [PTR] * 8)
    n, in_count, out_count, body, ins, outs, failed, *rooms = code.args
    shared, ws, tail_ins, tail_outs, flags = rooms
    b = code.b
    _fill_flags(code, failed, n)
    full = b.and_(n, whole(-WIDTH))
    rest = b.sub(n, full)
    with b.if_then(b.icmp_signed(">", full, whole(0))):
        b.call(body, [ins, outs, failed, shared, ws, whole(0), full])
    with b.if_then(b.icmp_signed(">", rest, whole(0))):
        _copy_in(code, ins, in_count, tail_ins, full, rest)
        code.store(ir.Constant(FLAGS, [-1] * WIDTH), flags)
        b.call(body, [tail_ins, tail_outs, flags, shared, ws, whole(0), rest])
        _copy_out(code, outs, out_count, tail_outs, full, rest)
        _copy_flags(code, flags, failed, full, rest)
    b.ret_void()


def _total(module: Any) -> None:
    """Define `total`: the sums of the body's outputs over each block of n lanes.

    sums        gets the sum of each output over each block
    vectors     room for a vector of sums for each output; the others as for `batch`
    """
    code = Builder(module, "total", [I64] * 3 + [BODY.as_pointer()] + [PTR] * 8)
    n, in_count, outputs, body, ins, vectors, failed, *rooms = code.args
    shared, ws, tail_ins, flags, sums = rooms
    b = code.b
    _fill_flags(code, failed, n)
    with code.loop(whole(0), n, BLOCK) as at:
        lanes = code.least(whole(BLOCK), b.sub(n, at))
        full = b.add(at, b.and_(lanes, whole(-WIDTH)))
        rest = b.sub(b.add(at, lanes), full)
        with code.loop(whole(0), outputs) as i:
            code.store(ir.Constant(LANES, [0.0] * WIDTH), code.at(vectors, i, LANES))
        with b.if_then(b.icmp_signed(">", full, at)):
            b.call(body, [ins, vectors, failed, shared, ws, at, full])
        with b.if_then(b.icmp_signed(">", rest, whole(0))):
            _copy_in(code, ins, in_count, tail_ins, full, rest)
            code.store(ir.Constant(FLAGS, [-1] * WIDTH), flags)
            b.call(body, [tail_ins, vectors, flags, shared, ws, whole(0), rest])
            _copy_flags(code, flags, failed, full, rest)
        _reduce(code, vectors, outputs, b.sdiv(at, whole(BLOCK)), sums)
    b.ret_void()


# ---- the lanes at the end ------------------------------------------------------------


def _group(code: Builder, groups: Any, g: Any) -> tuple[Any, Any, Any]:
    """The count, address and stride of a group."""
    first = code.b.mul(g, whole(3))
    count, address, stride = [
        code.item(groups, code.b.add(first, whole(i))) for i in range(3)
    ]
    return count, code.b.inttoptr(address, PTR), stride


def _copy_in(
    code: Builder, ins: Any, count: Any, tails: Any, at: Any, rest: Any
) -> None:
    """Copy the rows from `at` on, the last one once and again."""
    b = code.b
    with code.loop(whole(0), count) as g, code.loop(whole(0), whole(WIDTH)) as i:
        columns, source, stride = _group(code, ins, g)
        _, to, _ = _group(code, tails, g)
        lane = b.add(at, code.least(i, b.sub(rest, whole(1))))
        row = code.byte(source, b.mul(lane, stride))
        with code.loop(whole(0), columns) as j:
            place = code.at(to, b.add(b.mul(i, columns), j))
            code.store(code.item(row, j, F64), place)


def _copy_out(
    code: Builder, outs: Any, count: Any, tails: Any, at: Any, rest: Any
) -> None:
    """Copy rows back to where they belong."""
    b = code.b
    with code.loop(whole(0), count) as g, code.loop(whole(0), rest) as i:
        columns, to, stride = _group(code, outs, g)
        _, source, _ = _group(code, tails, g)
        row = code.byte(to, b.mul(b.add(at, i), stride))
        with code.loop(whole(0), columns) as j:
            x = code.item(source, b.add(b.mul(i, columns), j), F64)
            code.store(x, code.at(row, j))


def _fill_flags(code: Builder, failed: Any, n: Any) -> None:
    none, full = ir.Constant(FLAGS, [-1] * WIDTH), code.b.and_(n, whole(-WIDTH))
    with code.loop(whole(0), full, WIDTH) as i:
        code.store(none, code.at(failed, i, I32))
    with code.loop(full, n) as i:
        code.store(ir.Constant(I32, -1), code.at(failed, i, I32))


def _copy_flags(code: Builder, flags: Any, failed: Any, at: Any, rest: Any) -> None:
    with code.loop(whole(0), rest) as i:
        place = code.at(failed, code.b.add(at, i), I32)
        code.store(code.item(flags, i, I32), place)


def _reduce(code: Builder, out: Any, outputs: Any, block: Any, sums: Any) -> None:
    """Add up the lanes of each output's vector, neighbours first, eight at a time."""
    b = code.b
    to = code.at(sums, b.mul(block, outputs))
    many = b.and_(outputs, whole(-WIDTH))
    with code.loop(whole(0), many, WIDTH) as i:
        parts = [code.item(out, b.add(i, whole(k)), LANES) for k in range(WIDTH)]
        while len(parts) > 1:
            parts = [_neighbours(b, *pair) for pair in zip(parts[::2], parts[1::2])]
        code.store(parts[0], code.at(to, i))
    with code.loop(many, outputs) as i:
        x = code.item(out, i, LANES)
        parts = [b.extract_element(x, ir.Constant(I32, k)) for k in range(WIDTH)]
        while len(parts) > 1:
            parts = [b.fadd(*pair) for pair in zip(parts[::2], parts[1::2])]
        code.store(parts[0], code.at(to, i))


def _neighbours(b: Any, x: Any, y: Any) -> Any:
    """The sums of neighbours in x, then those in y."""
    kind = ir.VectorType(I32, WIDTH)
    even, odd = [
        b.shuffle_vector(x, y, ir.Constant(kind, list(range(start, 2 * WIDTH, 2))))
        for start in (0, 1)
    ]
    return b.fadd(even, odd)
