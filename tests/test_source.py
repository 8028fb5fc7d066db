"""Generated Python against the tape itself; NumPy's blocks against 50 digits."""

from __future__ import annotations

import math
import random
import sys
import threading
from itertools import chain

import numpy as np
import pytest
from test_primitives import oracle, samples, ulps, wide
from test_simplify import EXACT, ROWS, SPECIAL, bits, random_tape

from autograd import primitives as p
from autograd.compiled.source import Once, Source, combine, compile
from autograd.compiled.tape import Guard, Instruction, Tape
from autograd.primitives import Primitive

SMALLEST_NORMAL = 2.0**-1022


def one_row(row: Primitive, count: int) -> Tape:
    return Tape(count, (Instruction(row, tuple(range(count))),), (count,))


def outputs_and_failed(
    run: Source, columns: list[np.ndarray | float], n: int
) -> tuple[list[np.ndarray], np.ndarray]:
    outs = [np.empty(n) for _ in run.tape.outputs]
    failed = np.empty(n, dtype=np.int32)
    run.batch(columns, n, outs, failed)
    return outs, failed


@pytest.mark.parametrize("seed", range(4))
def test_scalar_gives_the_bits_of_the_tape(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(80):
        tape = random_tape(rng, ROWS)
        run = compile(tape)
        for _ in range(6):
            xs = [rng.choice([*SPECIAL, rng.gauss(0, 2)]) for _ in range(3)]
            assert bits(run.scalar(xs)) == bits(tape.run(xs)), (str(tape), xs)


def test_scalar_in_parts_gives_the_bits_of_the_tape() -> None:
    rng = random.Random(7)
    for _ in range(4):
        tape = random_tape(rng, EXACT, length=1700)
        run = compile(tape)
        for _ in range(5):
            xs = [rng.gauss(0, 2) for _ in range(3)]
            assert bits(run.scalar(xs)) == bits(tape.run(xs))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_batch_is_within_4_ulp_of_50_digits(row: Primitive) -> None:
    points = [*samples(row, 25), *wide(row)]
    (got,), _ = outputs_and_failed(
        compile(one_row(row, len(points[0]))),
        [np.array(column) for column in zip(*points)],
        len(points),
    )
    for z, args in zip(got.tolist(), points):
        try:
            exact, terms = oracle(row, args)
        except (ZeroDivisionError, ValueError):
            continue  # a pole, which is an edge
        lost = not row.native and abs(z - exact[0]) < SMALLEST_NORMAL
        assert lost or ulps(z, exact[0], terms[0]) <= max(4, row.ulp), (args, z)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_batch_keeps_the_conventions_at_edges(row: Primitive) -> None:
    for args, z, _ in row.edges:
        (got,), _ = outputs_and_failed(
            compile(one_row(row, len(args))), [np.array([x]) for x in args], 1
        )
        assert got[0] == z or (got[0] != got[0] and z != z), args


@pytest.mark.parametrize("seed", range(4))
def test_exact_rows_in_a_batch_give_the_bits_of_the_tape(seed: int) -> None:
    """With lanes that fail, and with some inputs shared."""
    rng = random.Random(seed)
    rows = [row for row in EXACT if row is not p.exp]
    rows += [p.mod, p.clip, p.leaky_relu, p.copysign, p.prod, p.degrees]
    for _ in range(60):
        tape = random_tape(rng, rows)
        table = [[rng.choice(SPECIAL) for _ in range(37)] for _ in range(3)]
        shared = [rng.random() < 0.4 for _ in range(3)]
        columns = [
            column[0] if alone else np.array(column)
            for column, alone in zip(table, shared)
        ]
        outs, failed = outputs_and_failed(compile(tape), columns, 37)
        for lane in range(37):
            xs = [c[0] if alone else c[lane] for c, alone in zip(table, shared)]
            ys, index = tape.run(xs)
            assert failed[lane] == index, (str(tape), xs)
            if index < 0:
                found = tuple(float(out[lane]) for out in outs)
                assert bits((found, -1)) == bits((ys, -1)), (str(tape), xs)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_lanes_do_not_depend_on_where_the_batch_is_cut(row: Primitive) -> None:
    points = list(chain(samples(row, 90), wide(row)))[:130]
    run = compile(one_row(row, len(points[0])))
    columns = [np.array(column) for column in zip(*points)]
    (whole,), _ = outputs_and_failed(run, columns, len(points))
    for start, stop in ((0, 1), (1, 18), (5, 6), (3, 70), (64, len(points))):
        pieces = [column[start:stop] for column in columns]
        (part,), _ = outputs_and_failed(run, pieces, stop - start)
        np.testing.assert_array_equal(part, whole[start:stop])


def test_strided_columns_and_outs_are_taken() -> None:
    tape = Tape(2, (Instruction(p.sub, (0, 1)),), (2, 0))
    x = np.arange(30.0).reshape(10, 3)
    y = np.zeros((10, 2))
    compile(tape).batch([x[:, 2], x[::-1, 0]], 10, [y[:, 0], y[:, 1]], np.empty(10))
    np.testing.assert_array_equal(y[:, 0], x[:, 2] - x[::-1, 0])
    np.testing.assert_array_equal(y[:, 1], x[:, 2])


def test_totals_lose_no_digits_and_are_cut_at_blocks() -> None:
    rng = np.random.default_rng(8)
    tape = Tape(1, (Instruction(p.less, (0, 3.0)),), (0, 2.0), (Guard(1, 1, True),))
    run, n = compile(tape), 100_000
    x = rng.normal(0, 1, n) + 0.1
    failed = np.empty(n, dtype=np.int32)
    got = run.total([x], n, failed)
    kept = x[x < 3.0]
    assert got[0] == pytest.approx(math.fsum(kept), rel=1e-15)
    assert got[1] == 2.0 * len(kept) and (failed >= 0).sum() == n - len(kept)
    cut = 7 * run.block
    parts = [run.block_totals([x[:cut]], cut, failed[:cut])]
    parts.append(run.block_totals([x[cut:]], n - cut, failed[cut:]))
    assert combine(np.concatenate(parts)) == got


def test_without_numpy_lists_go_through_the_same_function(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "autograd.compiled.numpy_blocks", raising=False)
    monkeypatch.setitem(sys.modules, "numpy", None)
    tape = Tape(2, (Instruction(p.mul, (0, 1)),), (2, 0), (Guard(1, 2, True),))
    run, out, failed = compile(tape), [[0.0] * 4, [0.0] * 4], [9] * 4
    run.batch([[1.0, 0.0, -2.0, 3.0], 2.0], 4, out, failed)
    assert failed == [-1, 0, -1, -1]
    assert [out[0][i] for i in (0, 2, 3)] == [2.0, -4.0, 6.0]
    assert run.total([[1.0, 0.0, -2.0, 3.0], 2.0], 4, failed) == [4.0, 2.0]
    assert run.total([[], 2.0], 0, []) == [0.0, 0.0]


def test_an_empty_batch_is_taken() -> None:
    run = compile(Tape(1, (Instruction(p.sin, (0,)),), (1,)))
    assert run.total([np.empty(0)], 0, np.empty(0, dtype=np.int32)) == [0.0]


def test_no_thread_waits_for_what_another_generates():
    entered, done = threading.Event(), threading.Event()

    class Slow(Source):
        @Once
        def _generated(self):
            if self.waits:
                entered.set()
                assert done.wait(10.0)
            return "def compiled(x): return ((x,), -1)", {}

    slow, other = (Slow(one_row(p.neg, 1)) for _ in range(2))
    slow.waits, other.waits = True, False
    thread = threading.Thread(target=slow.scalar, args=([1.0],))
    thread.start()
    try:
        assert entered.wait(10.0)
        assert other.scalar([2.0]) == ((2.0,), -1)
        assert thread.is_alive()
    finally:
        done.set()
        thread.join()


def test_threads_that_find_the_same_get_one_object() -> None:
    """C may have the address of what the first of them has found."""
    both = threading.Barrier(2)

    class Slow:
        @Once
        def found(self) -> object:
            both.wait(60.0)
            return object()

    slow, seen = Slow(), []
    thread = threading.Thread(target=lambda: seen.append(slow.found))
    thread.start()
    seen.append(slow.found)
    thread.join()
    assert seen[0] is seen[1] is slow.found
