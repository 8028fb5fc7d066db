"""Matrix products recovered from tapes: the same bits as the line that they replace."""

from __future__ import annotations

import random
from collections.abc import Callable
from math import inf, nan
from typing import Any

import pytest

pytest.importorskip("llvmlite")

import numpy as np

from autograd import dot, exp, logsumexp, relu, tanh, value_and_grad, vmap, where
from autograd import primitives as p
from autograd.compiled import product_loops
from autograd.compiled.jit import jit
from autograd.compiled.native import Native, compile
from autograd.compiled.tape import Guard, Instruction, Tape

FEATURES = ("", "-avx512f,-avx512vl", "-avx512f,-avx512vl,-avx2,-avx,-fma")
Net = Callable[[list[float], list[float], float], Any]


def weighted(w: list[Any], x: list[Any], b: Any) -> Any:
    """b + Σ wᵢ xᵢ, one product and one sum at a time."""
    for w_i, x_i in zip(w, x):
        b = b + w_i * x_i
    return b


def network(widths: list[int], activation: Any, by_dot: bool) -> Net:
    """A loss of a network, written as a user might who knows nothing of loops."""

    def loss(parameters: list[Any], x: list[Any], y: Any) -> Any:
        rest = iter(parameters)
        for i, (fan_in, fan_out) in enumerate(zip(widths, widths[1:])):
            z = []
            for _ in range(fan_out):
                w, b = [next(rest) for _ in range(fan_in)], next(rest)
                z.append(dot(w, x) + b if by_dot else weighted(w, x, b))
            x = z if i == len(widths) - 2 else [activation(v) for v in z]
        return relu(1.0 - y * x[0]) if len(x) == 1 else logsumexp(x) - y * x[0]

    return loss


def count(widths: list[int]) -> int:
    return sum((a + 1) * b for a, b in zip(widths, widths[1:]))


def tape_of(net: Net, widths: list[int]) -> Tape:
    """The tape of the loss and its gradient by the parameters."""
    gradient = jit(value_and_grad(net))
    source = random.Random(0)
    gradient(numbers(source, count(widths)), numbers(source, widths[0]), 1.0)
    (path,) = gradient.paths
    tape: Tape = path.short
    return tape


def numbers(source: random.Random, n: int) -> list[float]:
    return [source.uniform(-1.0, 1.0) for _ in range(n)]


def batch_of(tape: Tape, shared: int, n: int, seed: int = 0) -> list[Any]:
    """Columns: so many numbers that all lanes share, then arrays of n."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, tape.inputs - shared))
    return [*rng.normal(size=shared).tolist(), *rows.T]


def line(monkeypatch: pytest.MonkeyPatch, tape: Tape, **options: Any) -> Native:
    """The tape compiled without loops."""
    executable = compile(tape, **options)
    of_executable = executable._for

    def without(layout: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr("autograd.compiled.native.looped", lambda *_: None)
            return of_executable(layout)

    monkeypatch.setattr(executable, "_for", without)
    return executable


def lanes_of(executable: Native, columns: list[Any], n: int) -> tuple[Any, Any]:
    outs = [np.full(n, 7.0) for _ in executable.tape.outputs]
    failed = np.full(n, 99, dtype=np.int32)
    executable.batch(columns, n, outs, failed)
    return np.array(outs).reshape(len(outs), n), failed


def sums_of(executable: Native, columns: list[Any], n: int) -> tuple[Any, Any]:
    failed = np.full(n, 99, dtype=np.int32)
    return executable.block_totals(columns, n, failed), failed


def bits(xs: Any) -> bytes:
    """The bits of an array, the same for every NaN."""
    return bytes(np.where(np.isnan(xs), nan, xs).tobytes())


def require_same(
    monkeypatch: pytest.MonkeyPatch, tape: Tape, columns: list[Any], n: int, **how: Any
) -> None:
    """Lanes and sums with loops are those without, in every bit."""
    ours, theirs = compile(tape, **how), line(monkeypatch, tape, **how)
    for run in (lanes_of, sums_of):
        (found, failed), (wanted, wanted_failed) = (
            run(executable, columns, n) for executable in (ours, theirs)
        )
        assert failed.tolist() == wanted_failed.tolist()
        if run is lanes_of:
            found, wanted = found[:, failed < 0], wanted[:, failed < 0]
        assert bits(found) == bits(wanted)


def code_of(executable: Native, shared: int, n: int = 9) -> str:
    """The code for the sums of a batch."""
    sums_of(executable, batch_of(executable.tape, shared, n), n)
    (lanes,) = executable._lanes.values()
    return str(lanes.compiled.text)


# ---- networks ------------------------------------------------------------------------


@pytest.mark.parametrize("by_dot", [True, False], ids=["dot", "sums"])
@pytest.mark.parametrize(
    ("widths", "activation"),
    [
        ([2, 8, 8, 1], relu),
        ([3, 5, 7, 3], tanh),
        ([11, 4, 2], relu),
        ([1, 13, 13, 1], lambda z: where(z > 0.5, z * z, z)),
        ([6, 9, 5], lambda z: z),
    ],
)
def test_a_network_in_loops_gives_the_bits_of_the_line(
    monkeypatch: pytest.MonkeyPatch, widths: list[int], activation: Any, by_dot: bool
) -> None:
    tape = tape_of(network(widths, activation, by_dot), widths)
    shared = count(widths)
    columns = batch_of(tape, shared, 150)
    require_same(monkeypatch, tape, columns, 150)
    found, _ = lanes_of(compile(tape), columns, 150)
    for i in range(0, 150, 7):
        point = [x if isinstance(x, float) else float(x[i]) for x in columns]
        wanted = tape.run(point)[0]
        np.testing.assert_allclose(found[:, i], wanted, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("by_dot", [True, False], ids=["dot", "sums"])
def test_a_network_becomes_shorter_code(
    monkeypatch: pytest.MonkeyPatch, by_dot: bool
) -> None:
    widths = [16, 24, 10, 1]
    tape = tape_of(network(widths, relu, by_dot), widths)
    ours = code_of(compile(tape), count(widths))
    theirs = code_of(line(monkeypatch, tape), count(widths))
    assert len(ours) < 0.4 * len(theirs)


def test_gradients_of_a_batch_are_those_of_eager() -> None:
    widths = [3, 6, 6, 1]
    net, source = network(widths, relu, by_dot=False), random.Random(1)
    parameters = numbers(source, count(widths))
    xs = [numbers(source, 3) for _ in range(40)]
    ys = [source.choice([-1.0, 1.0]) for _ in xs]
    step = vmap(value_and_grad(net), in_axes=(None, 0, 0), reduce="sum")
    value, gradient = step(parameters, xs, ys)
    each = [value_and_grad(net)(parameters, x, y) for x, y in zip(xs, ys)]
    assert value == pytest.approx(sum(v for v, _ in each), rel=1e-13)
    for j, g in enumerate(gradient):
        assert g == pytest.approx(sum(gs[j] for _, gs in each), rel=1e-11, abs=1e-12)


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("contract", [False, True])
def test_a_network_is_right_on_other_processors(features: str, contract: bool) -> None:
    widths = [4, 10, 6, 1]
    tape = tape_of(network(widths, relu, by_dot=True), widths)
    columns = batch_of(tape, count(widths), 37)
    plain, _ = sums_of(compile(tape), columns, 37)
    found, _ = sums_of(compile(tape, contract=contract, features=features), columns, 37)
    if contract:
        np.testing.assert_allclose(found, plain, rtol=1e-12, atol=1e-12)
    else:
        assert bits(found) == bits(plain)


# ---- products that need each other ---------------------------------------------------


def require_lanes_of_eager(f: Callable[..., Any], *arguments: Any) -> None:
    """A batch gives what f gives lane by lane; a list of numbers is shared by all."""
    shared = [type(x) is list for x in arguments]
    found = np.array(vmap(f, in_axes=[None if s else 0 for s in shared])(*arguments))
    for i, lane in enumerate(found):
        one = [x if s else x[i].tolist() for x, s in zip(arguments, shared)]
        np.testing.assert_allclose(lane, f(*one), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("count", range(4, 14))
def test_residuals_with_signs_outside_of_products_are_those_of_eager(
    count: int,
) -> None:
    """The first is another sum than the rest: its copies must not come too early."""

    def f(a: Any, w: Any, x: Any) -> Any:
        rows = range(count)
        b = [sum([-(w[0] * x[r]), -(w[1] * x[count + r])]) for r in rows]
        return [sum(a[count * o + r] * b[r] for r in rows) for o in range(2)]

    rng = np.random.default_rng(count)
    w, x = rng.normal(size=(9, 2)), rng.normal(size=(9, 2 * count))
    require_lanes_of_eager(f, rng.normal(size=2 * count).tolist(), w, x)


@pytest.mark.parametrize("needed", range(1, 8))
def test_a_product_waits_for_one_that_it_needs_a_part_of(needed: int) -> None:
    def f(a: Any, w: Any, x: Any) -> Any:
        y = [w[0] * exp(x[i]) + w[1] * exp(x[7 + i]) for i in range(7)]
        return [sum(a[7 * o + r] * y[r] for r in range(needed)) for o in range(6)] + y

    rng = np.random.default_rng(needed)
    w, x = rng.normal(size=(9, 2)), rng.normal(size=(9, 14))
    require_lanes_of_eager(f, rng.normal(size=42).tolist(), w, x)


@pytest.mark.parametrize("terms", range(4, 10))
def test_products_that_need_each_other_are_not_both_loops(terms: int) -> None:
    def f(w: Any, v: Any, x: Any, y: Any) -> Any:
        first, second = weighted(w, x, y[0]), weighted(v, x[terms:], y[1])
        third = weighted(v, x[2 * terms :], first)
        return [first, second, third, weighted(w, x[3 * terms :], second)]

    sizes = terms, terms, 4 * terms, 2
    rng = np.random.default_rng(terms)
    require_lanes_of_eager(f, *[rng.normal(size=(9, size)) for size in sizes])


@pytest.mark.parametrize("terms", range(1, 9))
def test_a_row_that_begins_with_another_one_waits_for_it(terms: int) -> None:
    """Their sums end side by side, and so nothing of them is used in between."""

    def f(w: Any, x: Any, y: Any) -> Any:
        first = [weighted(w, x[k * terms :], y[k]) for k in range(8)]
        second = weighted(w, x[8 * terms :], first[7])
        return [*first, second, weighted(w, x[9 * terms :], second)]

    rng = np.random.default_rng(terms)
    sizes = terms, 10 * terms, 8
    require_lanes_of_eager(f, *[rng.normal(size=(9, size)) for size in sizes])


# ---- lanes that are special ----------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 128, 129])
def test_a_batch_of_any_length_gives_the_bits_of_the_line(
    monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    widths = [2, 8, 8, 1]
    tape = tape_of(network(widths, relu, by_dot=False), widths)
    require_same(monkeypatch, tape, batch_of(tape, count(widths), n), n)


def test_lanes_have_the_same_bits_however_a_batch_is_cut() -> None:
    widths = [2, 8, 8, 1]
    tape = tape_of(network(widths, tanh, by_dot=True), widths)
    columns, executable = batch_of(tape, count(widths), 300), compile(tape)
    whole, _ = lanes_of(executable, columns, 300)
    sums, _ = sums_of(executable, columns, 300)
    for cut in (1, 128, 137, 256):
        parts = [
            [x if isinstance(x, float) else x[some] for x in columns]
            for some in (slice(0, cut), slice(cut, 300))
        ]
        sizes = cut, 300 - cut
        found = [lanes_of(executable, part, n)[0] for part, n in zip(parts, sizes)]
        assert bits(np.hstack(found)) == bits(whole)
        if cut % executable.block == 0:
            found = [sums_of(executable, part, n)[0] for part, n in zip(parts, sizes)]
            assert bits(np.vstack(found)) == bits(sums)


@pytest.mark.parametrize("special", [nan, inf, -inf])
def test_what_is_not_finite_stays_in_its_lane(special: float) -> None:
    widths = [2, 8, 8, 1]
    tape = tape_of(network(widths, relu, by_dot=False), widths)
    columns, executable = batch_of(tape, count(widths), 20), compile(tape)
    before, _ = lanes_of(executable, columns, 20)
    columns[-2] = columns[-2].copy()
    columns[-2][5] = special
    after, _ = lanes_of(executable, columns, 20)
    others = np.arange(20) != 5
    assert bits(before[:, others]) == bits(after[:, others])


def test_a_share_that_a_select_left_out_adds_no_nan() -> None:
    """Where every neuron is shut, an infinite input has no say in the gradient."""
    widths = [2, 8, 1]
    tape = tape_of(network(widths, relu, by_dot=True), widths)
    columns = batch_of(tape, count(widths), 16)
    for i in range(8):
        columns[3 * i], columns[3 * i + 1] = -1.0, 0.0
    columns[-3] = np.where(np.arange(16) == 3, inf, columns[-3])
    found, _ = lanes_of(compile(tape), columns, 16)
    point = [x if isinstance(x, float) else float(x[3]) for x in columns]
    wanted = tape.run(point)[0]
    assert bits(found[:, 3]) == bits(np.array(wanted))
    sums, _ = sums_of(compile(tape), columns, 16)
    finite = [i for i, y in enumerate(wanted) if y == y]
    assert np.isfinite(sums[0, finite[1:]]).all()


# ---- tapes with guards, near misses, random ones -------------------------------------


def random_tape(seed: int) -> tuple[Tape, int]:
    """Matrix products with slips in them, and how many of its inputs are shared."""
    source = random.Random(seed)
    rows, terms, lanes = (source.randrange(2, 9) for _ in range(3))
    shared = rows * terms
    inputs = shared + terms + lanes
    code: list[Instruction] = []

    def write(row: Any, *args: Any) -> int:
        code.append(Instruction(row, args))
        return inputs + len(code) - 1

    def slip() -> bool:
        return source.random() < 0.03

    layer: list[Any] = list(range(shared, shared + terms))
    zs: list[int] = []
    signed = source.random() < 0.5
    for i in range(rows):
        ws: list[Any] = list(range(i * terms, (i + 1) * terms))
        if slip():
            source.shuffle(ws)
        if slip():
            ws[0] = source.choice([0.0, -0.0, 1.0, 2.5])
        if slip():
            ws[-1] = layer[0]
        if source.random() < 0.5:
            zs.append(write(p.dot, *ws, *layer))
            continue
        z: Any = source.choice([-0.0, 0.0, 1.0, inputs - 1])
        for w, x in zip(ws, layer):
            term = write(p.mul, *((w, x) if source.random() < 0.7 else (x, w)))
            z = write(p.sub if signed or slip() else p.add, z, term)
            if slip():
                zs.append(write(p.sin, z))
        zs.append(z)
    flags = [write(p.less, z, source.choice([0.0, 0.5])) for z in zs]
    bars = [write(p.relu, z) if slip() else write(p.tanh, z) for z in zs]
    back: list[int] = []
    for j in range(terms):
        total: Any = write(p.where, flags[0], -0.0, write(p.mul, j, bars[0]))
        if slip():
            total = source.choice([-0.0, 2.5, zs[0], j])
        for i in range(1, rows):
            term = write(p.mul, min(i * terms + j, shared - 1), bars[i % len(bars)])
            left_out = flags[i % len(flags)]
            if slip():
                left_out = source.choice([zs[0], shared - 1])
            total = write(p._add_unless, left_out, total, term)
            if slip():
                zs.append(write(p.sin, total))
        back.append(total)
    outputs: list[Any] = [*zs[:2], *back]
    for bar, flag in zip(bars, flags):
        for x in layer:
            product = write(p.mul, bar, x)
            if signed:
                product = write(p.neg, product)
            chosen = write(p.where, flag, 0.0, product)
            outputs.append(write(p.add, chosen, 0.0) if source.random() < 0.97 else bar)
    return Tape(inputs, tuple(code), tuple(outputs)), shared


@pytest.mark.parametrize("seed", range(60))
def test_a_random_tape_gives_the_bits_of_the_line(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    tape, shared = random_tape(seed)
    if seed % 3 == 0:  # guards, wherever they come
        source = random.Random(seed)
        after = sorted(source.sample(range(1, len(tape.code)), 3))
        guards = [
            Guard(k, tape.inputs + source.randrange(k), source.random() < 0.5)
            for k in after
        ]
        tape = Tape(tape.inputs, tape.code, tape.outputs, tuple(guards))
    require_same(
        monkeypatch, tape, batch_of(tape, 0 if seed % 5 == 4 else shared, 21, seed), 21
    )


def test_a_matrix_that_all_lanes_compute_alike_is_a_matrix() -> None:
    def f(w: list[Any], x: list[Any]) -> Any:
        ws = [exp(v) for v in w]
        return sum(relu(dot(ws[i::5], x)) for i in range(5))

    step = vmap(value_and_grad(f), in_axes=(None, 0), reduce="sum")
    source = random.Random(2)
    w, xs = numbers(source, 20), [numbers(source, 4) for _ in range(11)]
    value, gradient = step(w, xs)
    each = [value_and_grad(f)(w, x) for x in xs]
    assert value == pytest.approx(sum(v for v, _ in each), rel=1e-13)
    for j, g in enumerate(gradient):
        assert g == pytest.approx(sum(gs[j] for _, gs in each), rel=1e-12, abs=1e-13)


def test_a_layer_that_needs_its_own_result_stays_a_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sums that share an operand, each of which needs the one before."""
    code, z = [], 16
    for i in range(4):
        terms = [*range(4 * i, 4 * i + 3), z, 17, 18, 19, 20]
        code.append(Instruction(p.dot, tuple(terms)))
        z = 20 + i + 1
    tape = Tape(21, tuple(code), (21, 22, 23, 24))
    require_same(monkeypatch, tape, batch_of(tape, 16, 10), 10)


def test_tiles_cover_everything_once() -> None:
    for count_ in range(1, 40):
        tile = product_loops._tile(count_, 8)
        assert 1 <= tile <= min(8, count_)
