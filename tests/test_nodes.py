"""Compiled functions called on Values: nodes that share one compiled pullback."""

from __future__ import annotations

import copy
import gc
import math
import pickle
import random
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from autograd import (
    Value,
    check_grads,
    detect_anomaly,
    draw,
    exp,
    explain,
    grad,
    hessian,
    hvp,
    jacobian,
    jit,
    jvp,
    maximum,
    relu,
    sin,
    sqrt,
    tanh,
    value_and_grad,
    vmap,
    where,
)
from autograd.value import topological

OFTEN = 130  # calls after which C makes them, where it was built


def units(x: Any, h: Any, w: Any, u: Any, b: Any) -> Any:
    """A layer of recurrent units, unit by unit."""
    return [
        tanh(x * wi + sum(a * c for a, c in zip(ui, h)) + bi)
        for wi, ui, bi in zip(w, u, b)
    ]


def lstm(x: Any, state: Any, p: Any) -> Any:
    """A cell that gives (h, c), of a dict of weights."""
    h, c = state
    i = [tanh(x * a + b * y) for a, b, y in zip(p["a"], p["b"], h)]
    c = [y * 0.5 + z for y, z in zip(c, i)]
    return [tanh(y) * p["scale"] for y in c], c


WEIGHTS = [[0.3, -0.2, 0.5], [[0.1, 0.2, -0.4]] * 3, [0.05, 0.0, -0.1]]
GATES = {"a": [0.3, -0.7], "b": [0.2, 0.9], "scale": 1.5}


def through_units(cell: Callable[..., Any], steps: int = 4) -> Callable[[Any], Any]:
    def f(p: Any) -> Any:
        h: Any = [0.1, 0.0, -0.2]
        for t in range(steps):
            h = cell(math.sin(t), h, *p)
        return sum(h) * h[0]

    return f


def through_lstm(cell: Callable[..., Any], steps: int = 4) -> Callable[[Any], Any]:
    def f(p: Any) -> Any:
        h, c = [0.1, 0.2], [0.0, 0.3]
        for t in range(steps):
            h, c = cell(math.cos(t), (h, c), p)
        return h[0] * c[1] + h[1]

    return f


def leaves(tree: Any) -> Any:
    """The same containers with Values for numbers."""
    if isinstance(tree, dict):
        return {key: leaves(item) for key, item in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(map(leaves, tree))
    return Value(tree)


def flat(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        return flat(list(tree.values()))
    if isinstance(tree, (list, tuple)):
        return [x for item in tree for x in flat(item)]
    return [tree]


def swept(f: Callable[[Any], Any], point: Any) -> tuple[float, list[float]]:
    p = leaves(point)
    y = f(p)
    y.backward()
    return y.data, [x.grad for x in flat(p)]


PROGRAMS = {
    "units": (through_units, units, WEIGHTS),
    "lstm": (through_lstm, lstm, GATES),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_compiled_cell_on_values_gives_what_the_plain_cell_does(name: str) -> None:
    program, cell, point = PROGRAMS[name]
    compiled = jit(cell)
    expected = swept(program(cell), point)
    for _ in range(OFTEN // 4):  # by Python first, and by C at last
        y, bars = swept(program(compiled), point)
        assert y == expected[0]
        assert bars == pytest.approx(expected[1], rel=1e-14, abs=1e-16)


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_transform_goes_through_a_compiled_cell(name: str) -> None:
    program, cell, point = PROGRAMS[name]
    ours, plain = program(jit(cell), 3), program(cell, 3)
    rng = random.Random(1)
    direction = jit(lambda p: p)(point)
    direction = jvp(lambda p: p, (point,), (point,))[1]
    assert flat(grad(ours)(point)) == pytest.approx(flat(grad(plain)(point)), rel=1e-13)
    for transform in (
        lambda f: jvp(f, (point,), (direction,)),
        lambda f: hvp(f, (point,), (direction,)),
        lambda f: hessian(f)(point),
        lambda f: jvp(grad(f), (point,), (direction,)),
        lambda f: jit(grad(f))(point),
        lambda f: jit(value_and_grad(f))(point),
        lambda f: grad(lambda p: jvp(f, (p,), (direction,))[1])(point),
    ):
        assert flat(transform(ours)) == pytest.approx(
            flat(transform(plain)), rel=1e-11, abs=1e-14
        )
    assert rng is not None
    check_grads(ours, (point,), order=2)


def test_third_derivatives_go_through_compiled_calls() -> None:
    f = jit(lambda x, y: (sin(x) * y, exp(x * y)))

    def g(v: Any) -> Any:
        a, b = f(*v)
        return a * b + a

    def plain(v: Any) -> Any:
        a, b = sin(v[0]) * v[1], exp(v[0] * v[1])
        return a * b + a

    point = [0.7, -0.3]
    third = hessian(lambda v: grad(g)(v)[0])(point)
    assert flat(third) == pytest.approx(
        flat(hessian(lambda v: grad(plain)(v)[0])(point)), rel=1e-12
    )


def test_a_jit_of_value_and_grad_on_values_is_differentiated_in_turn() -> None:
    step = jit(value_and_grad(lambda w, x: (w[0] * x + w[1]) ** 2))
    w = [Value(0.5), Value(-1.0)]
    loss, (a, b) = step(w, 3.0)
    (loss + a * b).backward()
    twin = [Value(0.5), Value(-1.0)]
    loss, (a, b) = value_and_grad(lambda w, x: (w[0] * x + w[1]) ** 2)(twin, 3.0)
    (loss + a * b).backward()
    assert [x.grad for x in w] == pytest.approx([x.grad for x in twin], rel=1e-14)


# ---- what a select leaves out --------------------------------------------------------


def selects(x: Any, y: Any, z: Any) -> Any:
    """Branches whose untaken sides have no finite slope at 0."""
    return where(x < y, x * y, sqrt(x)), relu(x) + z, maximum(x, y), z


@pytest.mark.parametrize("point", [(0.0, 1.0, 2.0), (4.0, 1.0, 0.0), (-1.0, -2.0, 1.0)])
@pytest.mark.parametrize("calls", [1, OFTEN])
def test_what_a_select_leaves_out_adds_no_nan(point: Any, calls: int) -> None:
    compiled = jit(selects)
    for _ in range(calls):
        ours, plain = [*map(Value, point)], [*map(Value, point)]
        below = sqrt(ours[0] * ours[0]), sqrt(plain[0] * plain[0])
        for xs, f, root in ((ours, compiled, below[0]), (plain, selects, below[1])):
            a, b, c, d = f(*xs)
            (a * b + c + d).backward()
            assert root.reached is False
    assert [x.grad for x in ours] == pytest.approx(
        [x.grad for x in plain], rel=1e-15, nan_ok=True
    )


def test_an_operand_that_is_left_out_is_not_reached() -> None:
    f = jit(lambda x, y: (where(x < 1.0, x, sqrt(y)), 2.0 * x))
    for _ in range(OFTEN):
        x, y = Value(0.0), Value(0.0)
        inner = sqrt(y)
        a, _ = f(x, inner)
        a.backward()
        assert (x.grad, inner.reached, y.reached) == (1.0, False, False)
        assert grad(lambda x, y: f(x, sqrt(y))[0], (0, 1))(0.0, 0.0) == (1.0, 0.0)


def test_a_result_that_is_not_used_takes_no_part() -> None:
    f = jit(lambda x: (sqrt(x), x * 2.0))
    for _ in range(OFTEN):
        x = Value(0.0)
        f(x)[1].backward()
        assert x.grad == 2.0
    assert grad(lambda x: f(x)[1])(0.0) == 2.0
    assert jacobian(lambda x: [*f(x)])(0.0) == [math.inf, 2.0]


# ---- what comes back -----------------------------------------------------------------


def test_operands_and_constants_come_back_as_they_are() -> None:
    f = jit(lambda x, y: (x, 3.0, x < y, x * y, y))
    for _ in range(OFTEN):
        x, y = Value(2.0), Value(5.0)
        a, constant, truth, product, b = f(x, y)
        assert a is x
        assert b is y
        assert (constant, truth) == (3.0, True)
        assert type(constant) is float
        assert product.op == "f[3]" or product.op.endswith("[3]")


def test_floats_and_values_may_be_mixed() -> None:
    f = jit(lambda x, y: (x * y, x + 1.0, y * 3.0))
    for _ in range(OFTEN):
        x = Value(2.0)
        a, b, c = f(x, 5.0)
        assert (type(a), type(b), c) == (Value, Value, 15.0)
        (a * b).backward()
        assert x.grad == 5.0 * 3.0 + 10.0


def test_a_result_used_twice_and_an_operand_given_twice_add_up() -> None:
    f = jit(lambda x, y: (x * y, x + y))
    for _ in range(OFTEN):
        x = Value(3.0)
        a, b = f(x, x)
        (a * a + b).backward()
        assert x.grad == 2 * 9.0 * 6.0 + 2.0


class State(NamedTuple):
    h: Any
    c: Any


def test_results_come_in_the_containers_of_f() -> None:
    f = jit(lambda s: State([s.h[0] * s.c["k"]], {"k": s.h[0] + s.c["k"]}))
    for _ in range(OFTEN):
        x, y = Value(2.0), Value(3.0)
        out = f(State([x], {"k": y}))
        assert type(out) is State
        (out.h[0] + out.c["k"]).backward()
        assert (x.grad, y.grad) == (4.0, 3.0)


def test_values_closed_over_are_operands_read_at_every_call() -> None:
    w = Value(2.0)
    f = jit(lambda x: (w * x, w + x))
    for _ in range(OFTEN):
        w.grad = 0.0
        a, b = f(3.0)
        (a * b).backward()
        assert w.grad == 3.0 * 5.0 + 6.0
    w.data = 7.0
    assert f(3.0)[0].data == 21.0


def test_a_pullback_belongs_to_the_path_that_was_taken() -> None:
    f = jit(lambda x: (x * x, x) if x > 0.0 else (-x, 2.0 * x))
    for _ in range(OFTEN):
        for point, slope in ((3.0, 6.0), (-3.0, -1.0)):
            x = Value(point)
            y = f(x)[0]
            x.data = -point
            y.backward()
            assert x.grad == slope


def test_one_output_of_many_inputs_is_one_node() -> None:
    f = jit(lambda xs: sum(x * x for x in xs))
    for _ in range(OFTEN):
        xs = [Value(float(i)) for i in range(300)]
        y = f(xs)
        assert len(topological(y)) == 1
        y.backward()
        assert [x.grad for x in xs] == [2.0 * i for i in range(300)]


def test_no_tape_is_run_on_values_where_derivatives_are_of_first_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from autograd.compiled import jit as module
    from autograd.compiled import nodes

    f, g = jit(lambda x, y: (x * y, x / y)), jit(lambda x, y: sin(x) * y)
    for h in (lambda x, y: sum(f(x, y)), g):
        grad(h)(1.0, 2.0), jvp(h, (1.0, 2.0), (1.0, 1.0))

    def refuse(*args: Any) -> Any:
        raise AssertionError("replayed")

    monkeypatch.setattr(nodes, "replay", refuse)
    monkeypatch.setattr(module, "replay", refuse)
    x, y = Value(1.0), Value(2.0)
    (sum(f(x, y)) + g(x, y)).backward()
    assert x.reached
    assert grad(lambda x: sum(f(x, y.data)) * g(x, 2.0))(1.0) != 0.0


# ---- as nodes ------------------------------------------------------------------------


def test_compiled_calls_draw_explain_copy_and_pickle() -> None:
    f = jit(pair)
    x, y = Value(1.5, label="x"), Value(0.5, label="y")
    a, b = f(x, y)
    z = a * b
    z.backward()
    assert [node.op for node in topological(z)] == ["pair[0]", "pair[1]", "mul"]
    assert a.parents == (x, y)
    assert a.partials == pytest.approx((math.cos(1.5) * 0.5, math.sin(1.5)))
    assert "pair[0](x, y)" in explain(z).text
    assert "cos(x)" in explain(z).text
    assert "pair[1]" in draw(z).dot
    inside = draw(z, inside=True).dot
    assert "pair[1]" not in inside
    assert "sin" in inside
    for copied in (copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))):
        z2, x2, a2 = copied((z, x, a))
        x2.grad = 0.0
        z2.backward()
        assert (x2.grad, a2.data) == (x.grad, a.data)


def pair(x: Any, y: Any) -> Any:
    return sin(x) * y, exp(y)


def test_the_inside_of_a_call_has_the_adjoints_of_all_its_results() -> None:
    f = jit(shared)
    x = Value(0.5, label="x")
    a, b = f(x)
    (a + b).backward()
    text = explain(a + b, inside=True).text
    assert text.count("e^x") >= 1
    assert "shared[" not in text


def shared(x: Any) -> Any:
    e = exp(x)
    return e * 2.0, sin(e)


def test_graphs_of_compiled_calls_are_freed() -> None:
    class Mark:
        pass

    def make() -> Any:
        mark, kept = Mark(), []
        f = jit(lambda x: (x * 2.0, x + 1.0) if mark else x)
        for _ in range(OFTEN):
            kept.append(f(Value(1.0)))
        kept.append(f)
        return weakref.ref(mark)

    ref = make()
    gc.collect()
    assert ref() is None


def test_anomalies_inside_compiled_calls_are_found() -> None:
    f = jit(lambda x: (sqrt(x), x * 2.0))
    f(Value(1.0))
    with detect_anomaly(), pytest.raises(FloatingPointError, match="sqrt"):
        f(Value(-1.0))
    x = Value(0.0)
    a, _ = f(x)
    with detect_anomaly(), pytest.raises(FloatingPointError, match="local derivative"):
        a.backward()
    assert not x.reached


# ---- batches -------------------------------------------------------------------------


def bent(w: Any, x: Any) -> Any:
    """A lane with a branch, and a select whose other side has no slope at 0."""
    y = w[0] * x if x > 0.0 else w[1] - x
    return sin(y) + where(x < 0.5, x, sqrt(x - 0.5)), relu(y)


def lane_by_lane(w: Any, xs: Any) -> Any:
    return [list(ys) for ys in zip(*[bent(w, x) for x in xs])]


BATCH = [[0.7, -1.2], [0.3, -0.4, 0.5, 1.5, 0.0]]


@pytest.mark.parametrize("reduce", [None, "sum", "mean"])
@pytest.mark.parametrize(
    "transform",
    [
        lambda f: swept(f, BATCH),
        lambda f: grad(f)(BATCH),
        lambda f: jvp(f, (BATCH,), (BATCH,)),
        lambda f: hvp(f, (BATCH,), (BATCH,)),
        lambda f: hessian(f)(BATCH),
        lambda f: grad(lambda v: jvp(f, (v,), (v,))[1])(BATCH),
        lambda f: jit(grad(f))(BATCH),
    ],
)
def test_a_batch_on_values_gives_what_its_lanes_do(reduce: Any, transform: Any) -> None:
    batch = vmap(bent, in_axes=(None, 0), reduce=reduce)

    def ours(v: Any) -> Any:
        a, b = batch(*v)
        return a * b if reduce else sum(x * y for x, y in zip(a, b))

    def plain(v: Any) -> Any:
        a, b = lane_by_lane(*v)
        if reduce is None:
            return sum(x * y for x, y in zip(a, b))
        return sum(a) * sum(b) / (25.0 if reduce == "mean" else 1.0)

    assert flat(transform(ours)) == pytest.approx(
        flat(transform(plain)), rel=1e-10, abs=1e-13, nan_ok=True
    )


def test_a_batch_on_values_is_one_call_for_all_lanes() -> None:
    xs = [Value(0.25 * i) for i in range(100)]
    ys = vmap(lambda x: exp(sin(x)))(xs)
    assert len({y._call for y in ys}) == 1
    assert len(ys[0].args) == 100
    sum(ys).backward()
    assert [x.grad for x in xs] == pytest.approx(
        [math.cos(x.data) * math.exp(math.sin(x.data)) for x in xs], rel=1e-14
    )


def test_lanes_without_an_adjoint_take_no_part() -> None:
    xs = [Value(0.0), Value(4.0), Value(9.0)]
    ys = vmap(sqrt)(xs)
    (ys[1] + 2.0 * ys[2]).backward()
    assert [x.grad for x in xs] == [0.0, 0.25, 2.0 / 6.0]
    assert not xs[0].reached


def test_batches_take_values_closed_over_mixed_with_floats_and_in_arrays() -> None:
    np = pytest.importorskip("numpy")
    w = Value(2.0)
    f = vmap(lambda x: w * x * x)
    x = Value(3.0)
    a, b = f([x, 5.0])
    (a + b).backward()
    assert (x.grad, w.grad) == (12.0, 34.0)
    found = f(np.array([x, 5.0], dtype=object))
    assert found.shape == (2,)
    assert found[1].data == 50.0
    rows = vmap(lambda row: row[0] * row[1])([[x, 2.0], [1.0, Value(4.0)]])
    assert [y.data for y in rows] == [6.0, 4.0]


def test_lanes_take_new_paths_over_values_closed_over() -> None:
    weights = [Value(2.0), Value(3.0), Value(-1.0)]

    def f(x: Any) -> Any:
        total = x
        for w in weights:
            total = total + w * x
            if total > 1.0:
                total = total - w
        return total

    lanes = vmap(f)
    for xs in ([0.1, 0.2], [0.1, 5.0, 0.2], [-1.0, 0.4]):
        ys = lanes(xs)
        assert [y.data for y in ys] == [f(x).data for x in xs]
        assert all(len(y.parents) == len(weights) for y in ys)


def test_graphs_of_batches_copy_pickle_and_outlive_their_function() -> None:
    xs = [Value(0.5), Value(1.5)]
    y = sum(vmap(squares)(xs))
    gc.collect()
    for copied in (copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))):
        y2, xs2 = copied((y, xs))
        y2.backward()
        assert [x.grad for x in xs2] == [1.0, 3.0]
    y.backward()
    assert [x.grad for x in xs] == [1.0, 3.0]


def squares(x: Any) -> Any:
    return x * x


def test_a_cycle_through_a_batch_is_freed() -> None:
    class Mark:
        pass

    def make() -> Any:
        mark, kept = Mark(), []
        f = vmap(lambda x: x * 2.0 if mark and kept is not None else x)
        kept.append(f([Value(1.0), Value(2.0)]))
        kept.append(f)
        return weakref.ref(mark)

    ref = make()
    gc.collect()
    assert ref() is None
