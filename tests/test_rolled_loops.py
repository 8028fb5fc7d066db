"""Loops over arrays give the numbers of the tape, and their text says so; its parts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from math import nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_rolled_groups import Writer, points_for
from test_rolled_text import read_back, rosenbrock
from test_simplify import ROWS, SPECIAL, bits, random_tape

from autograd import (
    Value,
    grad,
    jit,
)
from autograd import primitives as p
from autograd.compiled.rolled import names, text
from autograd.compiled.rolled.groups import folded
from autograd.compiled.rolled.loops import Array, Lookup, Repeat, Var, reads
from autograd.compiled.rolled.names import Named
from autograd.compiled.rolled.program import program, with_zeros_ahead
from autograd.compiled.rolled.regression import Tables, line_through, read, splits
from autograd.compiled.tape import Guard, Instruction, Operand, Tape
from autograd.trees import flatten

# ---- that it is true -----------------------------------------------------------------


def same_but_for_signs_of_zeros(xs: Sequence[float], ys: Sequence[float]) -> bool:
    pairs = zip(xs, ys)
    return len(xs) == len(ys) and all(x == y or x != x and y != y for x, y in pairs)


@pytest.mark.parametrize("lanes", [0, 1, 2, 5])
@pytest.mark.parametrize("seed", range(30))
def test_who_reads_the_text_finds_what_the_tape_gives(seed: int, lanes: int) -> None:
    rng = random.Random(seed)
    writer = Writer(rng, lanes)
    tape = writer.tape(rng.randrange(2, 10)) if lanes else in_time(rng, 2, 6)
    tape = replace(tape, guards=())
    xs = [rng.gauss(0, 1) for _ in range(tape.inputs)]
    named = [Named("x[]", (i,)) for i in range(tape.inputs)]
    found, want = read_back(tape, named, xs), tape.run(xs)[0]
    assert same_but_for_signs_of_zeros(found, want), text.text(tape, named)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.integers(0, 2**32), st.sampled_from([1, 2, 3, 6, 12]))
def test_programs_of_random_loops_give_the_bits_of_the_tape(
    seed: int, lanes: int
) -> None:
    rng = random.Random(seed)
    writer = Writer(rng, lanes)
    tape = writer.tape(rng.randrange(2, 10))
    whole = program(tape)
    for xs in points_for(rng, tape.inputs):
        assert bits(whole.run(xs)) == bits(tape.run(xs)), (str(tape), xs)


def in_time(rng: random.Random, width: int, steps: int) -> Tape:
    """The same random operations on states and inputs, step after step."""
    inputs, size = width + 3 * steps, rng.randrange(2, 6)
    code: list[Instruction] = []
    rows = [rng.choice(ROWS[:12]) for _ in range(size)]
    plans = [
        [rng.randrange(width + 3 + k) for _ in range(row.arity or 2)]
        for k, row in enumerate(rows)
    ]
    plans[0][0] = plans[1][0] = 0  # there is a state, and what it comes from
    carried = [rng.randrange(width + 3, width + 3 + size) for _ in range(width)]
    states: list[Operand] = list(range(width))
    guards = []
    for t in range(steps):
        known: list[Operand] = [
            *states,
            *range(2 * width + 3 * t, 2 * width + 3 * t + 3),
        ]
        for row, plan in zip(rows, plans):
            code.append(Instruction(row, tuple([known[k] for k in plan])))
            known.append(inputs + len(code) - 1)
        states = [known[k] for k in carried]
        if rng.random() < 0.1:
            slot = inputs + len(code) - 1
            guards.append(Guard(len(code), slot, True))
    outputs = [*states, rng.choice(range(inputs + len(code)))]
    return Tape(inputs, tuple(code), tuple(outputs), tuple(guards))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(0, 2**32), st.sampled_from([1, 2, 4]), st.integers(3, 9))
def test_programs_of_random_steps_give_the_bits_of_the_tape(
    seed: int, width: int, steps: int
) -> None:
    rng = random.Random(seed)
    tape = in_time(rng, width, steps)
    whole = program(tape)
    assert text.text(tape)
    for xs in points_for(rng, tape.inputs):
        assert bits(whole.run(xs)) == bits(tape.run(xs)), (str(tape), xs)


def test_random_steps_often_are_a_loop() -> None:
    programs = [program(in_time(random.Random(seed), 2, 6)) for seed in range(60)]
    loops = [any(isinstance(x, Repeat) for x in whole.lines) for whole in programs]
    assert sum(loops) >= 15


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.integers(0, 2**32))
def test_programs_of_random_lines_give_the_bits_of_the_tape(seed: int) -> None:
    rng = random.Random(seed)
    tape = random_tape(rng, ROWS, length=rng.choice([5, 40]))
    whole = program(tape)
    assert text.text(tape)
    for xs in points_for(rng, 3):
        assert bits(whole.run(xs)) == bits(tape.run(xs)), (str(tape), xs)


def test_where_a_zero_is_added_makes_no_difference() -> None:
    """Each place in a sum of three terms, against the same sum with it ahead."""
    for place in range(4):
        for zero in (0.0, -0.0):
            terms: list[Operand] = [0, 1, 2]
            terms.insert(place, zero)
            code, last = [], terms[0]
            for term in terms[1:]:
                code.append(Instruction(p.add, (last, term)))
                last = 2 + len(code)
            tape = Tape(3, tuple(code), (last,))
            line = with_zeros_ahead(folded(tape))
            (operation,) = line.operations.values()
            assert operation.operands[1:] == (0, 1, 2)
            whole = program(tape)
            for x in SPECIAL[:8]:
                for y in SPECIAL[:8]:
                    for z in SPECIAL[:8]:
                        xs = [x, y, z]
                        assert bits(whole.run(xs)) == bits(tape.run(xs))


def test_the_first_guard_that_fails_is_told() -> None:
    code = Instruction(p.less, (0, 1.0)), Instruction(p.less, (1, 1.0))
    guards = Guard(2, 3, True), Guard(2, 2, True), Guard(2, 0, True)
    whole = program(Tape(2, code, (0,), guards))
    points = [[0.5, 0.5], [2.0, 0.5], [0.5, 2.0], [2.0, 2.0], [0.0, 0.0], [nan, 0.5]]
    assert [whole.run(xs)[1] for xs in points] == [-1, 1, 0, 0, 2, 1]


# ---- its parts -----------------------------------------------------------------------


def test_names_come_from_the_structure_of_the_arguments() -> None:
    args = ({"w": [[1.0, 2.0]], "a b": 3.0}, [4.0, (5.0, 6.0)], True, 7.0)
    form = flatten((args, {"k": 8.0}))[1]
    found = names.whole(names.of_arguments(form, ["p", "x", "how"]))
    assert [f"{each.name} {each.places}" for each in found] == [
        "p.w[][] (0, 0)", "p.w[][] (0, 1)", "p['a b'] ()", "x[0] ()",
        "x[1][] (0,)", "x[1][] (1,)", "x3 ()", "k ()",
    ]  # fmt: skip


def test_labels_of_parameters_are_places_in_arrays() -> None:
    labels = [
        f"layers.{i}.neurons.{j}.w{k}"
        for i, (m, n) in enumerate([(3, 2), (1, 3)])
        for j in range(m)
        for k in range(n)
    ]
    found = names.whole([names.of_label(x, i) for i, x in enumerate(labels)])
    assert found[3] == Named("layers[0].neurons[].w[]", (1, 1))
    assert found[8] == Named("layers[1].neurons[].w[]", (0, 2))
    twice = names.whole([names.of_label(x, 0) for x in ("b", "b", None)])
    assert [each.name for each in twice] == ["b_1", "b_2", "closed[]"]


def test_arrays_of_numbers_have_their_shape() -> None:
    np = pytest.importorskip("numpy")
    form = flatten(((np.zeros((2, 3)),), {}))[1]
    found = names.of_arguments(form, ["x"])
    assert found[4] == Named("x[][]", (1, 1)) and len(found) == 6


def test_lines_go_through_places_or_not() -> None:
    assert line_through([5, 7, 9, 11], [4]) == (5, [2])
    assert line_through([0, 1, 2, 10, 11, 12], [2, 3]) == (0, [10, 1])
    assert line_through([3, 3, 3], [3]) == (3, [0])
    assert line_through([0, 1, 3], [3]) is None


def test_a_line_that_goes_around_the_end_of_an_axis_is_looked_up() -> None:
    array, tables = Array((3, 4)), Tables()
    found = read(array, [2, 3, 4, 5], [Var(4)], tables)
    assert all(isinstance(i, Lookup) for r, _ in reads(found) for i in r.places)
    assert {tuple(t.numbers or ()) for t in tables.all.values()} == {
        (0, 0, 1, 1), (2, 3, 0, 1),
    }  # fmt: skip


def test_splits_are_where_steps_change_and_axes_end() -> None:
    places: Sequence[int] = [i * 8 + j for i in range(5) for j in range(3)]
    assert (5, 3) in splits([(Array((40,)), places)])
    assert (4, 6) in splits([(Array((4, 6)), range(24))])
    scattered = [i * 9 + j for i in range(6) for j in (4, 0, 3)]
    assert (6, 3) in splits([(Array((54,)), scattered)])


def test_values_closed_over_have_names_too() -> None:
    w = [Value(0.5, label=f"w{i}") for i in range(3)]
    f = jit(lambda x: sum(a * b for a, b in zip(w, x)))
    f([1.0, 2.0, 3.0])
    named = [Named("x[]", (i,)) for i in range(3)]
    named += [names.of_label(v.label, i) for i, v in enumerate(w)]
    shown = text.text(f.tape([1.0, 2.0, 3.0]), named).splitlines()
    assert shown[-2].endswith("z1 = Σ_r w[r]·x[r]")


def test_names_of_a_call_are_those_of_the_parameters() -> None:
    form = flatten((([1.0], 2.0), {"k": 3.0}))[1]
    found = names.of_call(lambda w, x, k: w, form, ["b", None])
    assert [each.name for each in found] == ["w[]", "x", "k", "b", "closed[]"]
    assert names.parameters_of(max) == []
    assert names.parameters_of(grad(rosenbrock)) == ["x"]


def test_no_key_and_no_label_spoils_a_name() -> None:
    args = ({"a[]": [1.0, 2.0, 3.0], "b\nc": 4.0},)
    named = names.of_arguments(flatten((args, {}))[1], ["x"])
    assert [each.name for each in named[2:]] == ["x['a[ ]'][]", "x['b\\nc']"]
    code = [Instruction(p.mul, (k, 3)) for k in range(3)]
    shown = text.text(Tape(4, tuple(code), (4, 5, 6)), named)
    assert "p1[i] = x['a[ ]'][i]·x['b\\nc']" in shown
    assert names.of_label("w[]\n1", 0) == Named("w[ ] []", (1,))
    assert names.of_label("9" * 5, 0) == Named("closed[]", (99999,))
