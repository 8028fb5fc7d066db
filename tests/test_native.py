"""Machine code against the tape: bit for bit at one point, within 4 ulp in a batch."""

from __future__ import annotations

import gc
import math
import random
import re
import struct
import threading
from collections.abc import Sequence
from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest

pytest.importorskip("llvmlite")

import numpy as np

from autograd import Primitive
from autograd import primitives as p
from autograd.compiled.kernels import FAMILIES
from autograd.compiled.lower import CHUNK
from autograd.compiled.native import BLOCK, compile
from autograd.compiled.simplify import simplify
from autograd.compiled.source import combine
from autograd.compiled.tape import Guard, Instruction, Tape

SPECIAL = (0.0, -0.0, 1.0, -1.0, inf, -inf, nan, 5e-324, 1e308, -1e308, 0.5, 1e22)
ROWS = [row for row in vars(p).values() if isinstance(row, Primitive)]
EXACT = [p.add, p.sub, p.mul, p.div, p.where, p.maximum, p.clip, p.sqrt, p.dot, p.abs]


def bits(x: float) -> int:
    """The bits of x, the same for every NaN."""
    return struct.unpack("<q", struct.pack("<d", nan if x != x else x))[0]


def random_number(source: random.Random) -> float:
    return source.choice([source.choice(SPECIAL), source.gauss(0.0, 2.0)])


def random_tape(
    seed: int, length: int = 30, rows: Sequence[Primitive] = ROWS, guards: int = 0
) -> Tape:
    source = random.Random(seed)
    inputs = source.randrange(1, 5)
    code = []
    for k in range(length):
        row = source.choice(rows)
        count = row.arity or 2 * source.randrange(1, 4)
        slots = range(max(0, inputs + k - 12), inputs + k)
        args = [
            random_number(source) if source.random() < 0.15 else source.choice(slots)
            for _ in range(count)
        ]
        code.append(Instruction(row, tuple(args)))
    outputs = [source.randrange(inputs + length) for _ in range(3)] + [0, 2.5]
    after = sorted(source.sample(range(1, length + 1), guards))
    tests = [
        Guard(k, source.randrange(inputs + k), source.random() < 0.8) for k in after
    ]
    return Tape(inputs, tuple(code), tuple(outputs), tuple(tests))


def random_point(source: random.Random, inputs: int) -> list[float]:
    return [random_number(source) for _ in range(inputs)]


def columns_of(points: Sequence[Sequence[float]]) -> list[Any]:
    return [np.array(column) for column in zip(*points)]


def run_batch(
    executable: Any, columns: Sequence[Any], n: int
) -> tuple[list[Any], list[int]]:
    outs = [np.full(n, 7.0) for _ in executable.tape.outputs]
    failed = np.full(n, 99, dtype=np.int32)
    executable.batch(columns, n, outs, failed)
    return outs, failed.tolist()


def same(a: Sequence[Any], b: Sequence[Any]) -> bool:
    return [x.tobytes() for x in a] == [x.tobytes() for x in b]


# ---- one point -----------------------------------------------------------------------


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_gives_pythons_bits(row: Primitive) -> None:
    source = random.Random(row.name)
    count = row.arity or 4
    executable = compile(
        Tape(count, (Instruction(row, tuple(range(count))),), (count,))
    )
    for _ in range(300):
        xs = random_point(source, count)
        (y,), _ = executable.scalar(xs)
        assert bits(y) == bits(row.value(*xs)), xs


@pytest.mark.parametrize("seed", range(40))
def test_a_scalar_call_gives_the_bits_of_the_tape(seed: int) -> None:
    tape = random_tape(seed, guards=seed % 4)
    executable = compile(tape)
    source = random.Random(seed)
    for _ in range(50):
        xs = random_point(source, tape.inputs)
        ys, failed = tape.run(xs)
        found, found_failed = executable.scalar(xs)
        assert failed == found_failed
        assert [*map(bits, ys)] == [*map(bits, found)]


def test_a_long_tape_in_many_chunks_gives_the_bits_of_the_tape() -> None:
    tape = random_tape(1, length=5000, rows=[p.sin, p.add, p.mul, p.tanh], guards=9)
    executable = compile(tape)
    source = random.Random(1)
    for _ in range(30):
        xs = [source.gauss(0.0, 1.0) for _ in range(tape.inputs)]
        assert executable.scalar(xs) == tape.run(xs)


def test_a_tape_without_code_gives_its_inputs_and_constants() -> None:
    assert compile(Tape(2, (), (1, 2.5, 0))).scalar([3.0, 4.0]) == ((4.0, 2.5, 3.0), -1)


def test_a_power_is_never_rewritten_as_a_product() -> None:
    executable = compile(Tape(1, (Instruction(p.pow, (0, 2.0)),), (1,)))
    source = random.Random(0)
    xs = [source.uniform(0.0, 9.0) for _ in range(3000)]
    assert [executable.scalar([x])[0][0] for x in xs] == [math.pow(x, 2.0) for x in xs]


def test_a_users_row_is_called_back_and_its_error_raised() -> None:
    def value(x: float) -> float:
        if x > 1.0:
            raise LookupError("no such x")
        return 2.0 * x

    row = Primitive("twice", value, 2.0)
    executable = compile(Tape(1, (Instruction(row, (0,)),), (1,)))
    assert executable.scalar([0.5]) == ((1.0,), -1)
    with pytest.raises(LookupError, match="no such x"):
        executable.scalar([3.0])
    assert executable.scalar([0.25]) == ((0.5,), -1)
    with pytest.raises(LookupError, match="no such x"):
        run_batch(executable, [np.array([0.0, 3.0])], 2)


def test_a_users_row_does_not_pass_for_the_built_in_row_of_its_name() -> None:
    row = Primitive("mul", lambda x, y: x - y, 1.0, -1.0)
    tape = Tape(2, (Instruction(row, (0, 1)),), (2,))
    assert compile(tape).scalar([5.0, 3.0]) == ((2.0,), -1)


# ---- a batch -------------------------------------------------------------------------

ONE_ROUNDING = [  # rows whose value is exact, or made of roundings that lanes have
    p.add, p.sub, p.mul, p.div, p.neg, p.fma, p.sqrt, p.mod, p.abs, p.sign, p.floor,
    p.ceil, p.copysign, p.maximum, p.minimum, p.where, p.clip, p.relu, p.leaky_relu,
    p.degrees, p.radians, p.identity, p.stop_gradient, p.less, p.less_equal, p.greater,
    p.greater_equal, p.equal, p.not_equal, p.dot, p.prod, p.fmod, p._add_unless,
]  # fmt: skip


@pytest.mark.parametrize("features", ["", "-avx512f,-avx2,-avx,-fma,-sse4.1"])
def test_rows_of_one_rounding_give_pythons_bits_in_lanes(features: str) -> None:
    source = random.Random(4)
    code = tuple(Instruction(row, (*range(row.arity or 4),)) for row in ONE_ROUNDING)
    executable = compile(Tape(4, code, (*range(4, 4 + len(code)),)), features=features)
    points = [random_point(source, 4) for _ in range(2000)]
    outs, _ = run_batch(executable, columns_of(points), len(points))
    for (row, args), out in zip(code, outs):
        for y, xs in zip(out.tolist(), points):
            assert bits(y) == bits(row.value(*xs[: len(args)])), (row.name, xs)


@pytest.mark.parametrize("seed", range(40))
def test_a_batch_of_exact_rows_gives_the_bits_of_the_tape(seed: int) -> None:
    tape = random_tape(seed, rows=EXACT, guards=seed % 4)
    source = random.Random(seed)
    n = 13
    points = [random_point(source, tape.inputs) for _ in range(n)]
    outs, failed = run_batch(compile(tape), columns_of(points), n)
    for lane, xs in enumerate(points):
        ys, index = tape.run(xs)
        assert failed[lane] == index
        if index < 0:
            assert [bits(out[lane]) for out in outs] == [*map(bits, ys)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_in_a_batch_is_within_4_ulp_of_the_row_itself(row: Primitive) -> None:
    source = random.Random(row.name)
    count = row.arity or 4
    executable = compile(
        Tape(count, (Instruction(row, tuple(range(count))),), (count,))
    )
    points = [random_point(source, count) for _ in range(200)]
    (out,), _ = run_batch(executable, columns_of(points), len(points))
    for y, xs in zip(out.tolist(), points):
        z = row.value(*xs)
        largest = xs[0] / 2 if row is p.gelu else z  # it cancels below zero
        close = y == z or abs(y - z) <= (4 + row.ulp) * math.ulp(largest)
        assert bits(y) == bits(z) or close, (xs, y, z)


@pytest.mark.parametrize("names", FAMILIES, ids="+".join)
@pytest.mark.parametrize("features", ["", "-fma,-avx512f,-avx2"])
def test_rows_of_a_family_have_the_bits_of_each_alone(
    names: tuple[str, ...], features: str
) -> None:
    source = random.Random(4)
    sizes = (1e-300, 1.0, 20.0, 300.0, 1e5, 1e8, 1e300)
    xs = [*SPECIAL, *[source.gauss(0.0, s) for s in sizes for _ in range(200)]]
    source.shuffle(xs)
    code = [Instruction(vars(p)[name], (0,)) for name in names]
    code += code[::-1]  # as in a tape that is not simplified
    outputs = tuple(range(1, 1 + len(code)))
    both = compile(Tape(1, tuple(code), outputs), features=features)
    found, _ = run_batch(both, [np.array(xs)], len(xs))
    for step, together in zip(code, found, strict=True):
        alone = compile(Tape(1, (step,), (1,)), features=features)
        (z,), _ = run_batch(alone, [np.array(xs)], len(xs))
        assert [*map(bits, z)] == [*map(bits, together)]


@pytest.mark.parametrize("between", [3, 2 * CHUNK])
def test_a_row_and_its_slope_share_an_exponential_across_chunks_and_guards(
    between: int,
) -> None:
    """The slope is asked for at the end, behind guards that look at what is between."""
    code = [Instruction(p.tanh, (0,)), Instruction(p.sigmoid, (0,))]
    code += [Instruction(p.mul, (k, 1.0 + 2.0**-k)) for k in range(2, 2 + between)]
    slopes = 1 + len(code), 2 + len(code)
    code += [Instruction(p._tanh_slope, (0,)), Instruction(p._sigmoid_slope, (0,))]
    guards = (
        Guard(1, 1, True), Guard(3, 3, True), Guard(len(code) - 2, slopes[0] - 1, True),
        Guard(len(code) - 1, slopes[0], True), Guard(len(code), slopes[1], True),
    )  # fmt: skip
    executable = compile(Tape(1, tuple(code), (1, 2, *slopes), guards))
    xs = np.random.default_rng(2).normal(size=50)
    xs[7], xs[8], xs[9] = 0.0, 500.0, 900.0
    found, flags = run_batch(executable, [xs], 50)
    assert {k: flag for k, flag in enumerate(flags) if flag >= 0} == {7: 0, 8: 3, 9: 3}
    (lanes,) = executable._lanes.values()
    kernels = set(re.findall(r'call .*@"([^"]+\.v8)"', lanes.compiled.text))
    assert kernels == {"tanh+_tanh_slope.v8", "sigmoid+_sigmoid_slope.v8"}
    for lane in (0, 1, 49):
        want, _ = executable.scalar([xs[lane]])
        got = [column[lane] for column in found]
        assert got == pytest.approx(want, rel=1e-15, abs=0.0)


def test_a_square_and_a_product_by_itself_are_one_in_a_batch() -> None:
    code = (
        Instruction(p.pow, (1, 2.0)), Instruction(p.mul, (1, 1)),
        Instruction(p.mul, (1, 1.0)), Instruction(p.mul, (1.0, 1)),
    )  # fmt: skip
    xs = np.array([*SPECIAL, 3.7, -1e-200])
    found, _ = run_batch(compile(Tape(2, code, (2, 3, 4, 5))), [xs, xs], len(xs))
    square = np.array([x * x for x in xs.tolist()])
    want = [square, square, xs, xs]
    for z, y in zip(found, want, strict=True):
        assert [*map(bits, z)] == [*map(bits, y)]


@pytest.mark.parametrize("n", range(18))
def test_lanes_do_not_depend_on_where_a_batch_is_cut(n: int) -> None:
    tape = random_tape(3, rows=[p.sin, p.exp, p.mul, p.add, p.tanh, p.mod], guards=1)
    rng = np.random.default_rng(3)
    columns = [rng.normal(size=300) for _ in range(tape.inputs)]
    executable = compile(tape)
    whole, flags = run_batch(executable, columns, 300)
    first, first_flags = run_batch(executable, [c[:n] for c in columns], n)
    rest, rest_flags = run_batch(executable, [c[n:] for c in columns], 300 - n)
    joined = [np.concatenate(pair) for pair in zip(first, rest)]
    assert first_flags + rest_flags == flags
    kept = np.array(flags) < 0
    assert same([x[kept] for x in joined], [x[kept] for x in whole])


@pytest.mark.parametrize("features", ["", "-avx512f", "-avx512f,-avx2,-fma"])
def test_rows_are_read_and_written_on_any_processor(features: str) -> None:
    """Groups of 15 columns go through blocks of 8, 4, 2 and 1."""
    code = [Instruction(p.mul, (j, 2.0 + j)) for j in range(15)]
    executable = compile(Tape(15, tuple(code), tuple(range(15, 30))), features=features)
    x = np.random.default_rng(1).normal(size=(21, 15))
    out, failed = np.empty((21, 15)), np.empty(21, dtype=np.int32)
    executable.batch([*x.T], 21, [*out.T], failed)
    assert (out == x * (2.0 + np.arange(15))).all()
    assert (failed == -1).all()


@pytest.mark.parametrize("seed", range(30))
def test_a_simplified_tape_over_rows_gives_the_bits_of_the_tape(seed: int) -> None:
    """Zeros, signs and NaN at every other operand: whatever a rule could get wrong."""
    rows = [*EXACT, p.neg, p.equal, p.not_equal, p.less, p.identity, p.sign, p.relu]
    source = random.Random(seed)
    tape = random_tape(seed, length=60, rows=rows, guards=seed % 3)
    plus = [Instruction(p.add, (slot, 0.0)) for slot in range(tape.inputs + 60)]
    outputs = range(tape.inputs + 60, tape.inputs + 60 + len(plus))
    tape = replace(tape, code=(*tape.code, *plus), outputs=tuple(outputs))
    points = [random_point(source, tape.inputs) for _ in range(40)]
    x, out = np.array(points), np.empty((40, len(plus)))
    failed = np.empty(40, dtype=np.int32)
    compile(simplify(tape)).batch([*x.T], 40, [*out.T], failed)
    for lane, xs in enumerate(points):
        ys, index = tape.run(xs)
        assert (failed.tolist()[lane] < 0) is (index < 0)
        if index < 0:
            assert [*map(bits, out[lane])] == [*map(bits, ys)]


@pytest.mark.slow
@pytest.mark.parametrize("k", [3, 11])
def test_a_tape_in_many_parts_takes_any_layout(k: int) -> None:
    """Rows, columns, and both mixed with an input that all lanes share."""
    source = random.Random(k)
    code = [
        Instruction(row, tuple(source.choices(range(k + i), k=row.arity)))
        for i, row in enumerate(source.choices([p.add, p.sin, p.mul], k=3000))
    ]
    outputs = tuple(source.sample(range(k + 3000), 13))
    executable, n = compile(Tape(k, tuple(code), outputs)), 21
    x = np.random.default_rng(k).normal(size=(n, k))
    dense = [x[:, j].copy() for j in range(k)]
    want, _ = run_batch(executable, dense, n)
    totals = executable.total(dense, n, np.empty(n, np.int32))
    rows = [x[:, j] for j in range(k)]
    for columns in (rows, [*rows[:2], *dense[2:]], [dense[0], *rows[1:]]):
        table, failed = np.empty((n, 13)), np.empty(n, np.int32)
        executable.batch(columns, n, [table[:, j] for j in range(13)], failed)
        assert same(want, [table[:, j].copy() for j in range(13)])
        assert executable.total(columns, n, failed) == totals
    columns = [2.5, *rows[1:]]
    shared, _ = run_batch(executable, columns, n)
    filled, _ = run_batch(executable, [np.full(n, 2.5), *rows[1:]], n)
    np.testing.assert_allclose(shared, filled, rtol=1e-9)


@pytest.mark.parametrize("k", [1, 2, 7, 8, 9, 10, 17, 64])
@pytest.mark.parametrize("n", [1, 9, BLOCK, 3 * BLOCK + 5])
def test_any_stride_gives_the_same_lanes(k: int, n: int) -> None:
    code = [Instruction(p.add, (j, float(j))) for j in range(k)]
    executable = compile(Tape(k, tuple(code), tuple(range(k, 2 * k))))
    rows = np.random.default_rng(k).normal(size=(n, k))
    expected = rows + np.arange(k)
    for x in (rows, np.asfortranarray(rows), rows[::-1].copy()[::-1]):
        out, failed = np.empty((n, k)), np.empty(n, dtype=np.int32)
        columns = [x[:, j] for j in range(k)]
        executable.batch(columns, n, [out[:, j] for j in range(k)], failed)
        assert (out == expected).all() and (failed == -1).all()
        back = np.empty((n, k))[::-1]
        executable.batch(columns, n, [back[:, j] for j in range(k)], failed)
        assert (back == expected).all()


def test_shared_inputs_are_numbers_that_every_lane_reads() -> None:
    tape = Tape(
        3, (Instruction(p.mul, (0, 1)), Instruction(p.add, (3, 2))), (4, 3, 0, 1)
    )
    x = np.arange(21.0)
    outs, _ = run_batch(compile(tape), [2.0, 3.5, x], 21)
    assert [out.tolist() for out in outs] == [
        (x + 7.0).tolist(), [7.0] * 21, [2.0] * 21, [3.5] * 21
    ]  # fmt: skip


def test_a_lane_that_is_nan_stays_alone() -> None:
    tape = Tape(1, (Instruction(p.sin, (0,)), Instruction(p.exp, (1,))), (2,))
    x = np.linspace(-3.0, 3.0, 40)
    clean, _ = run_batch(compile(tape), [x], 40)
    x[[3, 17, 39]] = nan, inf, nan
    (out,), _ = run_batch(compile(tape), [x], 40)
    assert np.isnan(out).nonzero()[0].tolist() == [3, 17, 39]
    others = ~np.isnan(out)
    assert (out[others] == clean[0][others]).all()


@pytest.mark.parametrize(
    "features", ["-avx512f", "-avx512f,-avx2,-fma", "-avx512f,-avx2,-avx,-fma,-sse4.1"]
)
def test_a_lesser_processor_gives_the_same_exact_lanes(features: str) -> None:
    tape = random_tape(8, rows=EXACT)
    rng = np.random.default_rng(8)
    columns = [rng.normal(size=77) for _ in range(tape.inputs)]
    here, _ = run_batch(compile(tape), columns, 77)
    there, _ = run_batch(compile(tape, features=features), columns, 77)
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(here, there))


def test_threads_do_not_share_their_workspaces() -> None:
    tape = random_tape(2, length=2000, rows=[p.sin, p.add, p.mul])
    executable = compile(tape)
    rng = np.random.default_rng(2)
    batches = [[rng.normal(size=999) for _ in range(tape.inputs)] for _ in range(4)]
    expected = [run_batch(executable, columns, 999)[0] for columns in batches]
    found: list[Any] = [None] * 4

    def work(i: int) -> None:
        for _ in range(5):
            found[i] = run_batch(executable, batches[i], 999)[0]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(map(same, found, expected))


# ---- sums ----------------------------------------------------------------------------


def test_totals_lose_no_digits_at_a_million_points() -> None:
    n = 1_000_003
    x = np.random.default_rng(0).normal(size=n) * 1e3 + 0.1
    executable = compile(Tape(1, (Instruction(p.mul, (0, 1.0)),), (1, 0)))
    failed = np.empty(n, dtype=np.int32)
    for total in executable.total([x], n, failed):
        assert abs(total - math.fsum(x)) <= 4e-16 * math.fsum(abs(x))


def test_totals_leave_out_lanes_that_failed() -> None:
    tape = Tape(
        1,
        (Instruction(p.less, (0, 0.0)), Instruction(p.sqrt, (0,))),
        (2, 1.0),
        (Guard(1, 1, False),),
    )
    x = np.array([4.0, -1.0, 9.0, nan, -2.0] * 40)
    failed = np.empty(200, dtype=np.int32)
    x[3::5] = 16.0
    assert compile(tape).total([x], 200, failed) == [9.0 * 40, 120.0]
    assert failed.tolist() == [-1, 0, -1, -1, 0] * 40


def test_totals_cut_between_blocks_have_the_same_bits() -> None:
    n = 5 * BLOCK + 3
    x = np.random.default_rng(1).normal(size=n)
    executable = compile(Tape(1, (Instruction(p.exp, (0,)),), (1,)))
    failed = np.empty(n, dtype=np.int32)
    whole = executable.block_totals([x], n, failed)
    cut = 2 * BLOCK
    parts = [
        executable.block_totals([x[:cut]], cut, failed[:cut]),
        executable.block_totals([x[cut:]], n - cut, failed[cut:]),
    ]
    assert np.concatenate(parts).tobytes() == whole.tobytes()
    assert combine(whole) == executable.total([x], n, failed)


def test_an_empty_batch_sums_to_zero() -> None:
    executable = compile(Tape(1, (Instruction(p.exp, (0,)),), (1,)))
    assert executable.total([np.empty(0)], 0, np.empty(0, dtype=np.int32)) == [0.0]


# ---- memory --------------------------------------------------------------------------


@pytest.mark.slow
def test_memory_stays_flat_over_compilations_that_are_dropped() -> None:
    def resident() -> int:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * 4096

    def compile_some(count: int) -> None:
        for seed in range(count):
            tape = random_tape(seed % 7, length=40, rows=EXACT)
            compile(tape).scalar([1.0] * tape.inputs)
        gc.collect()

    compile_some(200)
    before = resident()
    compile_some(1000)
    assert resident() - before < 8e6
