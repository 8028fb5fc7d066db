"""Rolled code as text: read as a person would write it, and true to the last bit."""

from __future__ import annotations

import inspect
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from rolled_reader import Reader
from test_rolled_groups import points_for
from test_simplify import bits

from autograd import (
    exp,
    grad,
    jit,
    logsumexp,
    relu,
    sigmoid,
    sin,
    tanh,
    value_and_grad,
)
from autograd import primitives as p
from autograd.compiled.rolled import names, text
from autograd.compiled.rolled.names import Named
from autograd.compiled.rolled.program import program
from autograd.compiled.tape import Instruction, Tape
from autograd.trees import flatten


def written(f: Any, *args: Any, of: Any = None) -> list[str]:
    """The text of a compiled function at a point, once it was found to be true."""
    parameters = [*inspect.signature(of or f).parameters]
    compiled = jit(f)
    compiled(*args)
    tape = compiled.tape(*args)
    numbers, form = flatten((args, {}))
    named = names.of_arguments(form, parameters)
    rng = random.Random(0)
    whole = program(tape, named)
    for xs in (numbers, *points_for(rng, tape.inputs)):
        assert bits(whole.run(xs)) == bits(tape.run(xs))
    assert read_back(tape, named, numbers) == [*tape.run(numbers)[0]]
    lines = text.text(tape, named, (of or f).__name__).splitlines()
    return [line.removeprefix("    ") for line in lines[1:]]


def read_back(tape: Tape, named: Sequence[Named], xs: Sequence[float]) -> list[float]:
    """What the text itself gives at a point, read with all of its tables."""
    inputs = {}
    for (name, places), x in zip(names.whole(named), xs):
        inside = iter(places)
        index = [int(i or next(inside)) for i in re.findall(r"\[(\d*)\]", name)]
        inputs[re.sub(r"\[\d*\]", "[]", name), tuple(index)] = x
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "SHOWN", 10**9)
        return Reader(text.text(tape, named), inputs).run()


def of_shape(*shape: int) -> Any:
    rng = random.Random(repr(shape))
    if not shape:
        return rng.gauss(0, 1)
    return [of_shape(*shape[1:]) for _ in range(shape[0])]


def dense(w: Any, x: Any) -> list[Any]:
    return [sum(a * b for a, b in zip(row, x)) for row in w]


def network(w: Any, b: Any, v: Any, x: Any, y: Any) -> Any:
    h = [tanh(z + bias) for z, bias in zip(dense(w, x), b)]
    return sum((z - target) ** 2 for z, target in zip(dense(v, h), y))


NETWORK = of_shape(16, 4), of_shape(16), of_shape(3, 16), of_shape(4), of_shape(3)


# ---- what it looks like --------------------------------------------------------------


def test_a_matrix_times_a_vector_is_a_line() -> None:
    assert written(dense, of_shape(64, 16), of_shape(16)) == [
        "# sums add term by term, from the left; 0 + is not shown",
        "for o in 0..63: z1[o] = Σ_r w[o, r]·x[r]",
        "return z1",
    ]


def test_a_network_and_its_gradient_read_as_in_a_book() -> None:
    assert written(network, *NETWORK)[1:] == [
        "for o in 0..15: a1[o] = tanh(Σ_r w[o, r]·x[r] + b[o])",
        "s1 = Σ_r (Σ_s v[r, s]·a1[s] - y[r])**2",
        "return s1",
    ]
    slopes = value_and_grad(network, argnums=(0, 1, 2))
    assert written(slopes, *NETWORK, of=network) == [
        "# sums add term by term, from the left; r↓ runs down; 0 + is not shown",
        "for o in 0..15: z1[o] = Σ_r w[o, r]·x[r] + b[o]",
        "for i in 0..15: a1[i] = tanh(z1[i])",
        "for o in 0..2: z2[o] = Σ_r v[o, r]·a1[r] - y[o]",
        "for i in 0..2: p1[i] = 2·z2[i]",
        "for o in 0..15: p2[o] = tanh'(z1[o])·(Σ_r↓ v[r, o]·p1[r])",
        "s1 = Σ_r z2[r]**2",
        "for i in 0..15, j in 0..3: z3[i, j] = x[j]·p2[i]",
        "for i in 0..2, j in 0..15: z4[i, j] = a1[j]·p1[i]",
        "return s1, z3, p2, z4",
    ]


def attention(x: Any, wq: Any, wk: Any, wv: Any) -> Any:
    q, k, v = ([dense(w, row) for row in x] for w in (wq, wk, wv))
    out = []
    for query in q:
        e = [exp(sum(a * b for a, b in zip(query, key)) / 2) for key in k]
        total = sum(e)
        out.append([
            sum(share / total * row[c] for share, row in zip(e, v)) for c in range(4)
        ])  # fmt: skip
    return out


def test_an_attention_head_has_a_line_for_each_of_its_steps() -> None:
    args = of_shape(5, 8), of_shape(4, 8), of_shape(4, 8), of_shape(4, 8)
    assert written(attention, *args)[1:] == [
        "for i in 0..4, j in 0..3: z1[i, j] = Σ_r wq[j, r]·x[i, r]",
        "for i in 0..4, j in 0..3: z2[i, j] = Σ_r wk[j, r]·x[i, r]",
        "for i in 0..4, j in 0..3: z3[i, j] = Σ_r wv[j, r]·x[i, r]",
        "for i in 0..4, j in 0..4: e1[i, j] = exp((Σ_r z1[i, r]·z2[j, r])·0.5)",
        "for o in 0..4: s1[o] = Σ_r e1[o, r]",
        "for i in 0..4, j in 0..4: q1[i, j] = e1[i, j] / s1[i]",
        "for i in 0..4, j in 0..3: z4[i, j] = Σ_r q1[i, r]·z3[r, j]",
        "return z4",
    ]


def lstm_cell(p: Any, x: Any, h: Any, c: Any) -> Any:
    def gate(name: str) -> list[Any]:
        sums = zip(dense(p[name]["w"], x), dense(p[name]["u"], h))
        return [wx + uh for wx, uh in sums]

    i, f, o = [[sigmoid(z) for z in gate(name)] for name in "ifo"]
    g = [tanh(z) for z in gate("g")]
    c = [keep * old + new * value for keep, old, new, value in zip(f, c, i, g)]
    return [out * tanh(cell) for out, cell in zip(o, c)], c


def test_a_cell_names_its_weights_by_their_keys() -> None:
    weights = {name: {"w": of_shape(6, 3), "u": of_shape(6, 6)} for name in "ifog"}
    assert written(lstm_cell, weights, of_shape(3), of_shape(6), of_shape(6))[1:] == [
        *[
            f"for o in 0..5: a{k}[o] = {row}"
            f"(Σ_r p.{name}.w[o, r]·x[r] + (Σ_r p.{name}.u[o, r]·h[r]))"
            for k, row, name in (
                (1, "sigmoid", "i"), (2, "sigmoid", "f"), (3, "tanh", "g"),
            )
        ],
        "for i in 0..5: z1[i] = a2[i]·c[i] + a1[i]·a3[i]",
        "for o in 0..5: p1[o] = sigmoid(Σ_r p.o.w[o, r]·x[r] + (Σ_r p.o.u[o, r]·h[r]))"
        "·tanh(z1[o])",
        "return p1, z1",
    ]  # fmt: skip


def rosenbrock(x: Any) -> Any:
    return sum(100 * (b - a**2) ** 2 + (1 - a) ** 2 for a, b in zip(x, x[1:]))


def test_rosenbrocks_gradient_has_its_ends_and_its_middle() -> None:
    assert written(grad(rosenbrock), of_shape(10), of=rosenbrock)[1:] == [
        "for i in 0..8: d1[i] = 1 - x[i]",
        "for i in 0..8: p1[i] = (x[i + 1] - x[i]**2)·200",
        "for i in 0..8: p2[i] = 2·x[i]",
        "z1 = -2·d1[0] - p2[0]·p1[0]",
        "for i in 0..7: z2[i] = -2·d1[i + 1] - p2[i + 1]·p1[i + 1] + p1[i]",
        "return z1, z2, p1[8]",
    ]


def mixture(weight: Any, mean: Any, scale: Any, x: Any) -> Any:
    total = logsumexp(weight)
    return sum(
        logsumexp([
            w - total - sum(((a - m) * exp(-s)) ** 2 for a, m, s in zip(point, mu, sd))
            for w, mu, sd in zip(weight, mean, scale)
        ])
        for point in x
    )  # fmt: skip


def test_a_mixture_keeps_its_logsumexp() -> None:
    args = of_shape(5), of_shape(5, 3), of_shape(5, 3), of_shape(20, 3)
    assert written(mixture, *args)[1:] == [
        "v1 = logsumexp(weight[r] for r in 0..4)",
        "for i in 0..4: d1[i] = weight[i] - v1",
        "for i in 0..4, j in 0..2: e1[i, j] = exp(-scale[i, j])",
        "s1 = Σ_r logsumexp("
        "d1[s] - (Σ_u ((x[r, u] - mean[s, u])·e1[s, u])**2) for s in 0..4)",
        "return s1",
    ]


def pendulum(steps: int) -> Callable[[Any, Any, Any], Any]:
    def swing(x: Any, v: Any, g: Any) -> Any:
        for _ in range(steps):
            v = v - g * sin(x)
            x = x + v / 8
        return x, v

    return swing


def test_steps_in_time_are_a_loop_from_the_state_before() -> None:
    assert written(pendulum(50), 1.0, 0.0, 9.81) == [
        "# sums add term by term, from the left",
        "z1[0] = v",
        "z2[0] = x",
        "for t in 0..49:",
        "    z1[t + 1] = z1[t] - g·sin(z2[t])",
        "    z2[t + 1] = z2[t] + z1[t + 1]·0.125",
        "return z2[50], z1[50]",
    ]


def recurrent(w: Any, u: Any, xs: Any, h: Any) -> Any:
    for x in xs:
        sums = zip(dense(w, x), dense(u, h))
        h = [tanh(a + b) for a, b in sums]
    return sum(h)


def test_a_gradient_goes_back_through_the_steps() -> None:
    args = of_shape(4, 3), of_shape(4, 4), of_shape(12, 3), of_shape(4)
    found = written(grad(recurrent, argnums=(0, 1)), *args, of=recurrent)
    step = "Σ_r w[o, r]·xs[{0}, r] + (Σ_r u[o, r]·a1[{0}, r])"
    assert found[1:] == [
        "for i in 0..3: a1[0, i] = h[i]",
        "for t in 0..10:",
        f"    for o in 0..3: z1[t, o] = {step.format('t')}",
        "    for i in 0..3: a1[t + 1, i] = tanh(z1[t, i])",
        f"for o in 0..3: p1[11, o] = tanh'({step.format(11)})",
        "for t in 10..0:",
        "    for o in 0..3: p1[t, o] = tanh'(z1[t, o])·(Σ_r↓ u[r, o]·p1[t + 1, r])",
        "for i in 0..3, j in 0..2: z2[i, j] = Σ_r↓ xs[r, j]·p1[r, i]",
        "for i in 0..3, j in 0..3: "
        "z3[i, j] = Σ_{r=10..0} a1[r + 1, j]·p1[r + 1, i] + h[j]·p1[0, i]",
        "return z2, z3",
    ]


def test_branches_in_each_step_are_asserted_in_the_loop() -> None:
    def halved(x: Any) -> Any:
        while x > 1.0:
            x = x / 2 - x**3 / 1e6
        return x

    line = halved.__code__.co_firstlineno + 1
    found = written(halved, 60.0)
    assert found[1:] == [
        "z1[0] = x",
        "for t in 0..5:",
        f"    assert 1 < z1[t]  # {__file__}:{line}",
        "    z1[t + 1] = z1[t]·0.5 - z1[t]**3 / 1000000",
        f"assert not (1 < z1[6])  # {__file__}:{line}",
        "return z1[6]",
    ]


def test_like_lines_become_one_with_an_index_more() -> None:
    def separate(a: Any, b: Any, c: Any, x: Any) -> Any:
        return [sum(dense(w, x)) for w in (a, b, c)]

    args = of_shape(3, 5), of_shape(3, 5), of_shape(3, 5), of_shape(5)
    assert len(written(separate, *args)) >= 4  # of three arrays, three lines

    def together(w: Any, x: Any) -> Any:
        return [[tanh(z) * z for z in dense(each, x)] for each in w]

    assert written(together, of_shape(3, 3, 5), of_shape(5))[1:] == [
        "for i in 0..2, j in 0..2: z1[i, j] = Σ_r w[i, j, r]·x[r]",
        "for i in 0..2, j in 0..2: p1[i, j] = tanh(z1[i, j])·z1[i, j]",
        "return p1",
    ]


def test_lines_that_read_what_other_lines_wrote_become_one() -> None:
    def fan(w: Any, a: Any) -> Any:
        parts = [
            [x * 2 for x in a], [exp(x) for x in a],
            [sin(x) for x in a], [x / 3 for x in a],
        ]  # fmt: skip
        return [sum(tanh(z) * z for z in dense(w, part)) for part in parts]

    def total(w: Any, a: Any) -> Any:
        return sum(fan(w, a))

    both = [
        "for i in 0..2: q1[0, i] = a[i]·2",
        "for i in 0..2: q1[1, i] = exp(a[i])",
        "for i in 0..2: q1[2, i] = sin(a[i])",
        "for i in 0..2: q1[3, i] = a[i] / 3",
        "for i in 0..3, j in 0..4: z1[i, j] = Σ_r w[j, r]·q1[i, r]",
    ]
    args = of_shape(5, 3), of_shape(3)
    assert written(fan, *args)[1:] == [
        *both,
        "for o in 0..3: z2[o] = Σ_r tanh(z1[o, r])·z1[o, r]",
        "return z2",
    ]
    assert written(grad(total), *args, of=fan)[1:] == [
        *both,
        "for i in 0..3, j in 0..4: "
        "z2[i, j] = tanh(z1[i, j]) + tanh'(z1[i, j])·z1[i, j]",
        "for i in 0..4, j in 0..2: z3[i, j] = Σ_r↓ q1[r, j]·z2[r, i]",
        "return z3",
    ]


def test_long_products_are_one() -> None:
    def product(x: Any) -> Any:
        y = x[0]
        for each in x[1:]:
            y = y * each
        return y

    assert written(product, of_shape(10)) == ["v1 = Π_r x[r]", "return v1"]


def test_guards_are_asserted_where_they_are_known() -> None:
    def first_negative(x: Any) -> Any:
        for each in x:
            if each < 0.0:
                return -each
        return sum(x)

    line = first_negative.__code__.co_firstlineno + 2
    found = written(first_negative, [1.0, 2.0, 3.0])
    assert found[1:] == [
        f"for i in 0..2: assert not (x[i] < 0)  # {__file__}:{line}",
        "s1 = Σ_r x[r]",
        "return s1",
    ]


def test_terms_that_may_be_left_out_have_their_condition() -> None:
    code: list[Instruction] = []
    total = 6
    for k in range(3):
        code.append(Instruction(p.add, (total, 3 + k)))
        code.append(Instruction(p.where, (k, total, 6 + len(code))))
        total = 6 + len(code)
    tape = Tape(7, tuple(code), (total,))
    named = [Named("m[]", (k,)) for k in range(3)]
    named += [Named("x[]", (k,)) for k in range(3)] + [Named("a", ())]
    assert text.text(tape, named).splitlines()[1:] == [
        "    # sums add term by term, from the left; [c] leaves a term out unless c",
        "    s1 = a + Σ_r [m[r] = 0] x[r]",
        "    return s1",
    ]


def test_scattered_operands_are_looked_up_in_a_table() -> None:
    def picked(x: Any, y: Any) -> Any:
        order = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8]
        return [x[k] * y[j] for j, k in enumerate(order)]

    assert written(picked, of_shape(10), of_shape(12)) == [
        "t1[12] = 3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8",
        "for i in 0..11: p1[i] = x[t1[i]]·y[i]",
        "return p1",
    ]


def test_rows_of_a_table_are_looked_up_whole() -> None:
    def embedded(w: Any, x: Any) -> Any:
        rows = zip((7, 2, 7, 1, 8, 2, 8), x)
        return sum(tanh(a * b) for k, row in rows for a, b in zip(w[k], row))

    assert written(embedded, of_shape(9, 4), of_shape(7, 4))[1:] == [
        "t1[7] = 7, 2, 7, 1, 8, 2, 8",
        "s1 = Σ_r Σ_s tanh(w[t1[r], s]·x[r, s])",
        "return s1",
    ]


def test_numbers_that_differ_are_a_table_and_long_ones_are_cut() -> None:
    data = [0.5 + k * k for k in range(40)]

    def scaled(x: Any) -> Any:
        return [a * c for a, c in zip(x, data)]

    assert written(scaled, of_shape(40)) == [
        "c1[40] = 0.5, 1.5, 4.5, 9.5, 16.5, 25.5, 36.5, 49.5, 64.5, 81.5, 100.5, "
        "121.5, … (40)",
        "for i in 0..39: p1[i] = x[i]·c1[i]",
        "return p1",
    ]


def test_layers_of_different_sizes_have_names_of_their_own() -> None:
    def deep(layers: Any, x: Any) -> Any:
        for w in layers:
            x = [relu(z) for z in dense(w, x)]
        return x

    layers = [of_shape(6, 4), of_shape(5, 6)]
    assert written(deep, layers, of_shape(4))[1:] == [
        "for o in 0..5: a1[o] = relu(Σ_r layers[0][o, r]·x[r])",
        "for o in 0..4: a2[o] = relu(Σ_r layers[1][o, r]·a1[r])",
        "return a2",
    ]


def test_names_do_not_clash_with_those_of_arguments() -> None:
    def clash(a1: Any, o: Any, i: Any) -> Any:
        return [tanh(x) * o * i for x in a1]

    assert written(clash, of_shape(3), 1.0, 2.0) == [
        "for j in 0..2: p1[j] = tanh(a1[j])·o·i",
        "return p1",
    ]


@pytest.mark.parametrize("f, line", [
    (lambda x, y: (x - y) - (y - x), "d1 = x - y - (y - x)"),
    (lambda x, y: x / y / (x * y), "q1 = x / y / (x·y)"),
    (lambda x, y: (x + y) * (x - y), "p1 = (x + y)·(x - y)"),
    (lambda x, y: -((x / y) ** 3), "n1 = -(x / y)**3"),
    (lambda x, y: (-x) ** y, "u1 = (-x)**y"),
    (lambda x, y: abs(x - y) + 1e-3, "s1 = |x - y| + 0.001"),
    (lambda x, y: p.where(x < y, x, -1.5), "w1 = where(x < y, x, -1.5)"),
    (lambda x, y: 2 - x * -3, "z1 = 2 - x·-3"),
    (lambda x, y: x - (y + 1) * 2, "z1 = x - (y + 1)·2"),
])  # fmt: skip
def test_brackets_are_where_the_order_needs_them(
    f: Callable[[Any, Any], Any], line: str
) -> None:
    assert line in written(f, 1.25, 3.5)


def test_a_long_program_is_cut_to_some_hundred_lines() -> None:
    rng, code = random.Random(3), []
    for k in range(1000):
        row = rng.choice([p.sin, p.cos, p.exp, p.sqrt, p.tanh, p.log])
        code.append(Instruction(row, (2 * k,)))
        code.append(Instruction(p.mul, (2 * k, 2 * k + 1)))
    lines = text.text(Tape(1, tuple(code), (2000,))).splitlines()
    left_out = [line for line in lines if "lines …" in line]
    assert len(lines) < text.MOST + 10
    assert len(left_out) == 1 and int(left_out[0].split()[1]) > 500
