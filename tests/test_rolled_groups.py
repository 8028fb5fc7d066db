"""Groups find a tape's loops again, and give its numbers to the last bit."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from itertools import product
from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_simplify import ROWS, SPECIAL, bits, random_tape

from autograd import primitives as p
from autograd.compiled.rolled.groups import (
    MASKED,
    NEGATIVE,
    PRODUCT,
    groups,
    ordered,
)
from autograd.compiled.rolled.python import Loops, RolledInPython, compile
from autograd.compiled.tape import Guard, Instruction, Operand, Tape
from autograd.primitives import Primitive

ADD_UNLESS = vars(p).get("_add_unless")


def by_loops(tape: Tape) -> RolledInPython:
    """The tape as it runs where NumPy is not."""
    run = compile(tape)
    vars(run)["_run"] = Loops(run.groups).run
    return run


def same(tape: Tape, points: list[list[float]]) -> None:
    runs = [compile(tape), by_loops(tape)]
    for xs in points:
        want = tape.run(xs)
        for run in runs:
            assert bits(run.scalar(xs)) == bits(want), (str(tape), xs)


class Writer:
    """Writes a tape of vector operations, one number at a time."""

    def __init__(self, rng: random.Random, lanes: int) -> None:
        self.rng, self.lanes = rng, lanes
        self.code: list[Instruction] = []
        self.inputs = 3 * lanes
        self.vectors: list[list[Operand]] = [
            list(range(i * lanes, (i + 1) * lanes)) for i in range(3)
        ]

    def apply(self, row: Primitive, *args: Operand) -> int:
        self.code.append(Instruction(row, args))
        return self.inputs + len(self.code) - 1

    def pick(self) -> list[Operand]:
        """A vector, its lanes in another order, or the same number in each lane."""
        vector = [*self.rng.choice(self.vectors)]
        return self.rng.choice([
            lambda: vector,
            lambda: vector,
            lambda: self.rng.sample(vector, len(vector)),
            lambda: [self.rng.choice(vector)] * self.lanes,
            lambda: [self.rng.choice(SPECIAL)] * self.lanes,
        ])()  # fmt: skip

    def on_each(self, row: Primitive) -> None:
        operands = [self.pick() for _ in range(row.arity or self.rng.choice([2, 4]))]
        self.vectors.append([self.apply(row, *lane) for lane in zip(*operands)])

    def sums(self) -> None:
        """Each lane a sum of terms, of products, with signs and with masks."""
        total = self.pick()
        if self.rng.random() < 0.3:
            mask = self.truths()
            total = [self.apply(p.where, m, -0.0, x) for m, x in zip(mask, total)]
        for _ in range(self.rng.randrange(1, 5)):
            term, mask = self.term(), self.truths()
            how = self.rng.choice([self.added, self.added, self.unless])
            total = [how(x, y, m) for x, y, m in zip(total, term, mask)]
        self.vectors.append(total)

    def term(self) -> list[Operand]:
        kind = self.rng.randrange(3)
        if kind == 0:
            return self.pick()
        found = [self.apply(p.mul, *xy) for xy in zip(self.pick(), self.pick())]
        return [self.apply(p.neg, x) for x in found] if kind == 1 else [*found]

    def truths(self) -> list[Operand]:
        return [self.apply(p.less, *xy) for xy in zip(self.pick(), self.pick())]

    def added(self, x: Operand, y: Operand, mask: Operand) -> int:
        row = self.rng.choice([p.add, p.add, p.sub])
        return self.apply(row, *self.rng.choice([(x, y), (x, y), (y, x)]))

    def unless(self, x: Operand, y: Operand, mask: Operand) -> int:
        if ADD_UNLESS and self.rng.random() < 0.5:
            return self.apply(ADD_UNLESS, mask, x, y)
        total = self.apply(self.rng.choice([p.add, p.sub]), x, y)
        return self.apply(p.where, mask, x, total)

    def across(self) -> None:
        """One number for all lanes, and in another vector the sums so far."""
        sums = [*self.pick()]
        for k in range(1, self.lanes):
            sums[k] = self.apply(p.add, sums[k - 1], sums[k])
        self.vectors += [sums, [sums[-1]] * self.lanes]

    def tape(self, steps: int) -> Tape:
        guards = []
        for _ in range(steps):
            kind = self.rng.randrange(5)
            if kind < 2:
                self.on_each(self.rng.choice(ROWS))
            elif kind < 4:
                self.sums()
            else:
                self.across()
            if self.rng.random() < 0.1:
                slot = self.rng.randrange(self.inputs + len(self.code))
                expected = self.rng.random() < 0.7
                guards.append(Guard(len(self.code), slot, expected))
        outputs = self.vectors[-1] + self.pick() + self.pick()
        return Tape(self.inputs, tuple(self.code), tuple(outputs), tuple(guards))


def points_for(rng: random.Random, count: int) -> list[list[float]]:
    special = [[rng.choice(SPECIAL) for _ in range(count)] for _ in range(3)]
    usual = [[rng.gauss(0, 2) for _ in range(count)] for _ in range(2)]
    return special + usual


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 2**32))
def test_random_lines_give_the_bits_of_the_tape(seed: int) -> None:
    rng = random.Random(seed)
    same(random_tape(rng, ROWS, length=rng.choice([5, 40])), points_for(rng, 3))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 2**32), st.sampled_from([1, 2, 3, 8, 31]))
def test_random_loops_give_the_bits_of_the_tape(seed: int, lanes: int) -> None:
    rng = random.Random(seed)
    writer = Writer(rng, lanes)
    same(writer.tape(rng.randrange(2, 12)), points_for(rng, writer.inputs))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize("lanes", [2, 40])
def test_every_row_gives_its_bits_in_few_lanes_and_in_many(
    row: Primitive, lanes: int
) -> None:
    count = row.arity or 4
    code = [
        Instruction(row, tuple(range(j * count, (j + 1) * count))) for j in range(lanes)
    ]
    inputs = lanes * count
    tape = Tape(inputs, tuple(code), tuple(range(inputs, inputs + lanes)))
    assert len(groups(tape).groups) <= 1
    rng = random.Random(row.name)
    edges = [x for args, _, _ in row.edges for x in args if len(args) == count]
    points = points_for(rng, inputs)
    if edges:
        points.append([edges[k % len(edges)] for k in range(inputs)])
    same(tape, points)


def sum_of_rows(rows: int, terms: int) -> Tape:
    """h[o] = Σ w[o, r]·x[r], and its square."""
    code: list[Instruction] = []
    last, outputs = rows * terms + terms, []

    def apply(row: Primitive, *args: Operand) -> int:
        code.append(Instruction(row, args))
        return last + len(code) - 1

    for o in range(rows):
        total = apply(p.mul, o * terms, rows * terms)
        for r in range(1, terms):
            product = apply(p.mul, o * terms + r, rows * terms + r)
            total = apply(p.add, total, product)
        outputs.append(apply(p.mul, total, total))
    return Tape(last, tuple(code), tuple(outputs))


def test_a_matrix_times_a_vector_is_one_group() -> None:
    found = groups(sum_of_rows(64, 16)).groups
    assert [(g.kind, g.lanes) for g in found] == [((PRODUCT,) * 16, 64), (p.mul, 64)]
    assert [place[:3] for place in found[0].places[:2]] == [
        (0, 16, 32), (1024, 1024, 1024),
    ]  # fmt: skip


def test_signs_go_into_sums() -> None:
    code = (
        Instruction(p.neg, (0,)), Instruction(p.mul, (3, 1)), Instruction(p.neg, (4,)),
        Instruction(p.sub, (2, 5)), Instruction(p.sub, (6, 1)),
    )  # fmt: skip
    tape = Tape(3, code, (7,))
    (group,) = groups(tape).groups
    assert group.kind == (0, PRODUCT | NEGATIVE, NEGATIVE)
    same(tape, [[*xs] for xs in product(SPECIAL[:12], repeat=3)])


@pytest.mark.parametrize("total", [0, -0.0], ids=["added to", "alone"])
def test_masked_terms_keep_every_bit(total: Operand) -> None:
    """Each of three terms there or not, the sign of an empty sum included."""
    code, last = [], total
    for k in range(3):
        mask, term = 1 + 2 * k, 2 + 2 * k
        if last == 0.0 and type(last) is float:
            code.append(Instruction(p.where, (mask, -0.0, term)))
        else:
            code.append(Instruction(p.add, (last, term)))
            code.append(Instruction(p.where, (mask, last, 6 + len(code))))
        last = 6 + len(code)
    tape = Tape(7, tuple(code), (last,))
    (group,) = groups(tape).groups
    start = (0,) if total == 0 and type(total) is int else ()
    assert group.kind == (*start, MASKED, MASKED, MASKED)
    rng = random.Random(1)
    masks = [*product([0.0, -0.0, 1.0, nan], repeat=3)]
    same(tape, [
        [rng.choice(SPECIAL), *[x for m in mask for x in (m, rng.choice(SPECIAL))]]
        for mask in masks for _ in range(20)
    ])  # fmt: skip


def test_a_sum_that_others_need_is_not_taken_apart() -> None:
    code = (
        Instruction(p.add, (0, 1)), Instruction(p.add, (2, 1)),
        Instruction(p.mul, (2, 3)),
    )  # fmt: skip
    kinds = [group.kind for group in groups(Tape(2, code, (4,))).groups]
    assert kinds == [(0, 0), (0, 0), p.mul]


@pytest.mark.parametrize("count", [3, 5, 6, 40])
def test_a_long_product_is_one_operation_in_its_order(count: int) -> None:
    code = [Instruction(p.mul, (0, 1))]
    for k in range(2, count):
        operands = (count + k - 2, k) if k % 3 else (k, count + k - 2)
        code.append(Instruction(p.mul, operands))
    tape = Tape(count, tuple(code), (2 * count - 2,))
    found = groups(tape).groups
    assert len(found) == (1 if count >= 6 else count - 1)
    assert found[0].kind is (p.prod if count >= 6 else p.mul)
    rng = random.Random(count)
    same(tape, [*points_for(rng, count), [1e200] * 2 + [1e-200] * (count - 2)])


def test_what_nothing_needs_is_left_out_and_copies_are_read_through() -> None:
    code = (
        Instruction(p.identity, (0,)), Instruction(p.exp, (1,)),
        Instruction(p.stop_gradient, (1,)), Instruction(p.sin, (3,)),
        Instruction(p.sin, (0,)), Instruction(p.mul, (4, 5)),
    )  # fmt: skip
    found = groups(Tape(1, code, (6,)))
    assert [(group.kind, group.lanes) for group in found.groups] == [
        (p.sin, 1), (p.mul, 1),
    ]  # fmt: skip


def test_zeros_of_both_signs_are_two_constants() -> None:
    code = Instruction(p.div, (0, 0.0)), Instruction(p.div, (0, -0.0))
    tape = Tape(1, code, (1, 2, 0.0, -0.0))
    assert len(groups(tape).constants) == 2
    same(tape, [[1.0], [-2.0], [nan]])


def test_lanes_are_put_in_the_order_in_which_operands_lie() -> None:
    lanes = [(16 + j % 4, 4 * (j % 4) + j // 4) for j in range(16)]
    assert [lanes[j][1] for j in ordered(lanes)] == [*range(16)]


def test_the_first_failing_guard_is_told_after_all_has_run() -> None:
    code = (
        Instruction(p.less, (0, 1.0)), Instruction(p.less, (0, 2.0)),
        Instruction(p.exp, (0,)),
    )  # fmt: skip
    tape = Tape(1, code, (3,), (Guard(1, 1, True), Guard(2, 2, True)))
    for run in (compile(tape), by_loops(tape)):
        assert [run.scalar([x])[1] for x in (0.5, 1.5, 2.5, nan)] == [-1, 0, 0, 0]


def refuse(x: float) -> float:
    if x > 1.0:
        raise RuntimeError("too large")
    return x


@pytest.mark.parametrize("make", [compile, by_loops])
def test_users_rows_never_see_what_a_guard_keeps_out(
    make: Callable[[Tape], RolledInPython],
) -> None:
    seen: list[float] = []
    row = Primitive("seen", lambda x: seen.append(x) or 2.0 * x, 2.0)  # type: ignore[func-returns-value]
    code = Instruction(p.less, (0, 1.0)), Instruction(row, (0,))
    run = make(Tape(1, code, (2,), (Guard(1, 1, True),)))
    found = [run.scalar([x]) for x in (2.0, 0.5, 3.0, nan)]
    assert found == [((), 0), ((1.0,), -1), ((), 0), ((), 0)]
    assert seen == [0.5]


def test_of_two_rows_that_refuse_the_first_one_in_the_program_is_heard() -> None:
    first, second = (Primitive(f"row{i}", refusal(i), 1.0) for i in (1, 2))
    code = Instruction(p.exp, (0,)), Instruction(first, (1,)), Instruction(second, (0,))
    tape = Tape(1, code, (2, 3))
    for run in (compile(tape), by_loops(tape)):
        with pytest.raises(RuntimeError, match="row 1"):
            run.scalar([2.0])


def refusal(i: int) -> Callable[[float], float]:
    def refuse(x: float) -> float:
        raise RuntimeError(f"row {i}")

    return refuse


def test_what_a_row_refuses_behind_a_guard_that_fails_is_not_heard() -> None:
    row = Primitive("refuse", refuse, 1.0)
    code = Instruction(p.less, (0, 1.0)), Instruction(row, (0,))
    guarded = Tape(1, code, (2,), (Guard(1, 1, True),))
    for run in (compile(guarded), by_loops(guarded)):
        assert run.scalar([2.0]) == ((), 0)
    open_to_all = Tape(1, code, (2,))
    for run in (compile(open_to_all), by_loops(open_to_all)):
        with pytest.raises(RuntimeError, match="too large"):
            run.scalar([2.0])


@pytest.mark.parametrize("lanes", [1, 40])
@pytest.mark.parametrize("make", [compile, by_loops])
def test_users_rows_are_called_once_in_each_lane(
    make: Callable[[Tape], RolledInPython], lanes: int
) -> None:
    seen: list[float] = []
    row = Primitive("seen", lambda x: seen.append(x) or 2.0 * x, 2.0)  # type: ignore[func-returns-value]
    code = [Instruction(row, (j,)) for j in range(lanes)]
    tape = Tape(lanes, tuple(code), tuple(range(lanes, 2 * lanes)))
    xs = [float(j) for j in range(lanes)]
    assert make(tape).scalar(xs) == (tuple([2.0 * x for x in xs]), -1)
    assert seen == xs


def test_what_python_raises_is_inf_or_nan_in_its_lane_alone() -> None:
    code = [Instruction(p.log, (j,)) for j in range(30)]
    code += [Instruction(p.div, (0, j)) for j in range(30)]
    tape = Tape(30, tuple(code), tuple(range(30, 90)))
    xs = [1.0, 0.0, -1.0, inf, nan, *[2.0] * 25]
    same(tape, [xs])


def test_generated_python_takes_over_where_groups_are_narrow() -> None:
    code = [Instruction(p.sin, (0,))]
    for k in range(60):
        row = (p.sin, p.tanh, p.exp)[k % 3]
        code.append(Instruction(row, (k + 1,)))
    narrow, wide = Tape(1, tuple(code), (61,)), sum_of_rows(30, 8)
    for tape, is_narrow in ((narrow, True), (wide, False)):
        run, xs = compile(tape), [0.3] * tape.inputs
        found = [run.scalar(xs) for _ in range(40)]
        assert {repr(each) for each in found} == {repr(tape.run(xs))}
        assert (vars(run).get("_straight") is not None) is is_narrow


def test_it_runs_without_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "autograd.compiled.rolled.vectors", raising=False)
    monkeypatch.setitem(sys.modules, "numpy", None)
    tape = sum_of_rows(8, 4)
    run = compile(tape)
    xs = [0.1 * k for k in range(tape.inputs)]
    assert bits(run.scalar(xs)) == bits(tape.run(xs))
    assert "autograd.compiled.rolled.vectors" not in sys.modules


def test_a_long_chain_of_sums_takes_no_stack() -> None:
    count = 20_000
    code = [Instruction(p.mul, (0, 1.0 + k)) for k in range(count)]
    code += [Instruction(p.add, (1, 2))]
    code += [Instruction(p.add, (count + k, 2 + k)) for k in range(1, count - 1)]
    tape = Tape(1, tuple(code), (2 * count - 1,))
    assert len(groups(tape).groups) == 1
    same(tape, [[0.1]])
