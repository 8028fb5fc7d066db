"""A batch gives what its lanes give one by one, however it is cut or ordered."""

import math
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograd import (
    Value,
    exp,
    explain,
    grad,
    hessian,
    log,
    relu,
    sin,
    sqrt,
    value_and_grad,
    where,
)
from autograd.compiled import batch, calls, points, source, sums
from autograd.compiled.batch import vmap
from autograd.compiled.branches import Branches
from autograd.compiled.jit import jit

np = pytest.importorskip("numpy")


def kinked(x):
    return x * x if x > 0 else -x


def loss(w, x, y):
    return (w[0] * x + w[1] - y) ** 2


def branching(w, x):
    if x < -1.0:
        return sin(w * x)
    if x * w > 0.5:
        return exp(-x) * w
    return x * x + w


def same(x, y):
    """Whether two numbers have the same bits, any NaN being like any other."""
    both_nan = x != x and y != y
    return both_nan or (x == y and math.copysign(1, x) == math.copysign(1, y))


POINTS = np.random.default_rng(0).normal(size=5000)


# ---- what comes in, what comes out ---------------------------------------------------


def test_lists_give_lists_and_arrays_give_arrays():
    f = vmap(kinked)
    assert f([-1.0, 3.0]) == [1.0, 9.0]
    out = f(np.array([-1.0, 3.0]))
    assert isinstance(out, np.ndarray) and out.tolist() == [1.0, 9.0]


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f8", "i1", "u2", "i8", "?", "f8"])
def test_any_dtype_is_taken(dtype):
    xs = np.array([0, 1, 1, 0, 1]).astype(dtype)
    assert vmap(lambda x: x + 0.5)(xs).tolist() == [0.5, 1.5, 1.5, 0.5, 1.5]


def test_strided_reversed_broadcast_and_read_only_arrays_are_taken():
    table = np.arange(24.0).reshape(6, 4)
    table.flags.writeable = False
    expected = [row[3] * row[0] for row in table[::-2].tolist()]
    assert vmap(lambda row: row[3] * row[0])(table[::-2]).tolist() == expected
    constant = np.broadcast_to(np.float64(3.0), 5)
    assert vmap(lambda x: x * x)(constant).tolist() == [9.0] * 5
    fortran = np.asfortranarray(table)
    assert vmap(lambda row: row[1])(fortran).tolist() == table[:, 1].tolist()


def test_rows_of_an_array_are_arrays_and_rows_of_a_list_are_lists():
    gradient = vmap(grad(lambda x: x[0] * x[1] + x[0]))
    rows = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    expected = [[3.0, 1.0], [5.0, 3.0], [7.0, 5.0]]
    assert gradient(rows) == expected
    out = gradient(np.array(rows))
    assert out.shape == (3, 2) and out.tolist() == expected
    curved = vmap(hessian(lambda x: x[0] * x[0] * x[1]))(np.array(rows))
    assert curved.shape == (3, 2, 2)
    assert curved[1].tolist() == [[8.0, 6.0], [6.0, 0.0]]


def test_tuples_and_dicts_hold_a_batch_in_each_item():
    f = vmap(lambda d: {"sum": d["x"] + d["p"][1], "both": (d["x"], d["p"][0])})
    out = f({"x": [1.0, 2.0], "p": ([3.0, 4.0], [5.0, 6.0])})
    assert out == {"sum": [6.0, 8.0], "both": ([1.0, 2.0], [3.0, 4.0])}


def test_lanes_that_are_tuples_or_dicts_are_handed_over_as_such():
    assert vmap(lambda p: p[0] * p[1])([(1.0, 2.0), (3.0, 4.0)]) == [2.0, 12.0]
    assert vmap(lambda p: p["a"] + 1)([{"a": 1.0}, {"a": 2.0}]) == [2.0, 3.0]


def test_what_is_not_batched_is_shared():
    f = vmap(lambda w, x, mode: w[0] * x if mode == "up" else -x, (None, 0, None))
    assert f([2.0], [1.0, 2.0], "up") == [2.0, 4.0]
    assert f([2.0], [1.0, 2.0], "down") == [-1.0, -2.0]


def test_batch_of_one_and_empty_batch_keep_the_structure():
    f = vmap(value_and_grad(lambda x: x * x))
    assert f([3.0]) == ([9.0], [6.0])
    assert f([]) == ([], [])
    value, gradient = f(np.empty(0))
    assert value.shape == gradient.shape == (0,)
    rows = vmap(grad(lambda x: x[0] * x[1]))
    assert rows(np.empty((0, 2))).shape == (0, 2)
    assert vmap(lambda x: x * x, reduce="sum")([]) == 0.0


@pytest.mark.parametrize(
    "axes, args, complaint",
    [
        (0, ([1.0], [1.0, 2.0]), "every batch must have the length of the first, 1"),
        (0, (1.5, [1.0]), "a batch must be a list or an array, but is 1.5"),
        ((0, 0), ([1.0],), "in_axes must have one entry for each of the 1 arg"),
        ((None, None), (1.0, 2.0), "at least one argument must be a batch"),
    ],
)
def test_vmap_refuses_arguments_that_do_not_fit(axes, args, complaint):
    with pytest.raises((TypeError, ValueError), match=f"^vmap: {complaint}"):
        vmap(lambda x, y: x + y, in_axes=axes)(*args)


def test_vmap_refuses_ragged_rows_and_what_is_no_number():
    with pytest.raises(ValueError, match="vmap: each lane must have the structure"):
        vmap(lambda x: x[0])([[1.0], [1.0, 2.0]])
    with pytest.raises(TypeError, match="vmap: .* must be a real number"):
        vmap(lambda x: x)(["a", "b"])
    with pytest.raises(ValueError, match="vmap: in_axes must be a whole number or N"):
        vmap(sin, in_axes=1.5)
    with pytest.raises(ValueError, match="vmap: reduce must be 'sum', 'mean' or None"):
        vmap(sin, reduce="max")
    with pytest.raises(ValueError, match="at least one lane for a mean"):
        vmap(sin, reduce="mean")([])


# ---- lanes on paths ------------------------------------------------------------------


def test_lanes_on_every_branch_get_what_eager_code_gives():
    f = vmap(branching, in_axes=(None, 0))
    expected = [branching(0.7, x) for x in POINTS.tolist()]
    assert f(0.7, POINTS) == pytest.approx(expected, rel=1e-14)


def test_nan_stays_in_its_lane_and_takes_the_path_that_python_takes():
    assert vmap(kinked)([1.0, math.nan, -2.0])[::2] == [1.0, 2.0]
    out = vmap(lambda x: 1.0 if x < 0 else 2.0)([math.nan, -1.0])
    assert out == [2.0, 1.0]


@pytest.mark.parametrize("cuts", [[1], [7, 8, 9], [1000, 1024, 3000], [4999]])
def test_lanes_have_the_same_bits_however_the_batch_is_cut(cuts):
    f = vmap(value_and_grad(branching, argnums=(0, 1)), in_axes=(None, 0))
    whole = f(0.7, POINTS)[1][1]
    pieces = [f(0.7, piece)[1][1] for piece in np.split(POINTS, cuts)]
    assert whole.tobytes() == np.concatenate(pieces).tobytes()


def test_untaken_operand_of_a_select_is_left_out_in_every_lane():
    f = vmap(grad(lambda x: where(x < 1, x, log(x - 1))))
    assert f([0.5, 1.0, 3.0]) == [1.0, math.inf, 0.5]


def steps(x):
    n = 0
    while x > n:
        n += 1
    return x * n


def test_more_paths_than_are_kept_are_said_once_and_lanes_run_one_by_one():
    f, xs = vmap(steps), [float(i) for i in range(100)]
    with pytest.warns(RuntimeWarning, match="jit: f has taken 64 paths.*test_batch"):
        ys = f(xs)
    assert ys == f(xs) == [steps(x) for x in xs]  # and warnings are errors here
    assert f(xs[:3]) == [steps(x) for x in xs[:3]]


def test_more_paths_than_are_kept_sum_and_differentiate_all_the_same():
    total, xs = vmap(steps, reduce="sum"), [float(i) for i in range(80)]
    with pytest.warns(RuntimeWarning, match="64 paths"):
        y = total(xs)
    assert y == sum(steps(x) for x in xs)
    slopes = vmap(grad(steps))
    with pytest.warns(RuntimeWarning, match="64 paths"):
        found = slopes(xs)
    assert found == [grad(steps)(x) for x in xs]


def test_a_branch_may_be_forced_that_the_single_point_does_not_take():
    f = vmap(kinked)
    f([1.0])
    tree = Branches(jit(kinked), next(iter(f._trees)))
    tree.grow((), [1.0])
    tree.grow((False,), [1.0])  # as if the batch had rounded differently
    assert [way.turns for way in tree.ways] == [(True,), (False,)]
    assert tree.paths[1].long.run([2.0]) == ((), 0)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    xs=st.lists(st.floats(-4, 4), min_size=1, max_size=40),
    cuts=st.lists(st.floats(-3, 3), min_size=1, max_size=4),
    kinds=st.lists(st.integers(0, 4), min_size=5, max_size=5),
)
def test_random_programs_with_branches_agree_with_eager_lanes(xs, cuts, kinds):
    operations = [sin, lambda y: y * y, lambda y: y - 1.5, exp, lambda y: -y]

    def program(x):
        y = x
        for cut, kind in zip(cuts, kinds):
            y = operations[kind](y) if y < cut else y * 0.5 + x
        return y

    both = value_and_grad(program)
    ys, slopes = vmap(both)(xs)
    for x, y, slope in zip(xs, ys, slopes):
        expected = both(x)
        assert y == pytest.approx(expected[0], rel=1e-13, abs=1e-13)
        assert slope == pytest.approx(expected[1], rel=1e-12, abs=1e-12)


# ---- sums ----------------------------------------------------------------------------


def test_mean_of_loss_and_gradient_is_a_training_step():
    step = vmap(value_and_grad(loss), in_axes=(None, 0, 0), reduce="mean")
    assert step([2.0, 0.0], [0.0, 1.0, 2.0], [1.0, 3.0, 5.0]) == (1.0, [-2.0, -2.0])


def test_sum_over_a_million_points_loses_no_digits():
    xs = np.random.default_rng(1).uniform(size=10**6)
    assert vmap(lambda x: x, reduce="sum")(xs) == pytest.approx(
        math.fsum(xs), rel=4e-16
    )


def test_sum_counts_each_lane_once_whatever_its_path():
    f = vmap(branching, in_axes=(None, 0))
    total = vmap(branching, in_axes=(None, 0), reduce="sum")
    assert total(0.7, POINTS) == pytest.approx(math.fsum(f(0.7, POINTS)), rel=1e-15)


def test_sum_has_the_same_bits_whichever_path_was_met_first():
    found = set()
    for first in ([-2.0], [0.1], [3.0]):
        f = vmap(branching, in_axes=(None, 0), reduce="sum")
        f(0.7, first)
        found.add(f(0.7, POINTS))
    assert len(found) == 1


def test_sum_with_values_is_one_node_with_the_gradient_as_partials():
    nll = vmap(loss, in_axes=(None, 0, 0), reduce="sum")
    w = [Value(1.0), Value(0.5)]
    total = nll(w, POINTS, 2 * POINTS)
    assert total.parents == tuple(w)
    expected = vmap(grad(loss), in_axes=(None, 0, 0), reduce="sum")(
        [1.0, 0.5], POINTS, 2 * POINTS
    )
    assert list(total.partials) == expected
    assert grad(lambda w: nll(w, POINTS, 2 * POINTS) + w[0] ** 2)([1.0, 0.5])[
        0
    ] == pytest.approx(expected[0] + 2.0)


def test_gradient_of_a_sum_is_compiled_once(monkeypatch):
    compiled = []

    def executable(tape):
        compiled.append(tape)
        return points.executable(tape)

    monkeypatch.setattr(sums, "executable", executable)
    nll = vmap(loss, in_axes=(None, 0, 0), reduce="sum")
    for k in range(3):
        w = [Value(1.0 + k), Value(0.5)]
        nll(w, POINTS, 2 * POINTS).backward()
        assert (
            w[0].grad == grad(lambda w: nll(w, POINTS, 2 * POINTS))([1.0 + k, 0.5])[0]
        )
    assert len(compiled) == 1


def test_sum_leaves_out_what_a_select_leaves_out_in_every_lane():
    def f(w, v, x):
        return where(x > 0, w * x, sqrt(v) + relu(v - 10.0)) + 0.0 * w

    total = vmap(f, in_axes=(None, None, 0), reduce="sum")
    w, v = Value(2.0), Value(0.0)
    above = total(w, v, np.array([1.0, 3.0]))
    assert above.parents == (w,) and above.partials == (4.0,)
    (above * math.inf).backward()
    assert (w.grad, v.grad) == (math.inf, 0.0)
    mixed = total(w, v, np.array([1.0, -3.0]))
    assert mixed.parents == (w, v) and mixed.partials == (1.0, math.inf)
    zero = vmap(lambda w, x: w * x, in_axes=(None, 0), reduce="sum")(w, [1.0, -1.0])
    assert (zero.parents, zero.partials) == ((w,), (0.0,))


def test_sum_with_values_has_further_derivatives():
    nll = vmap(loss, in_axes=(None, 0, 0), reduce="sum")
    found = hessian(lambda w: nll(w, POINTS, 2 * POINTS))([1.0, 0.5])
    square, total = 2 * math.fsum(POINTS**2), 2 * math.fsum(POINTS)
    expected = [[square, total], [total, 2.0 * len(POINTS)]]
    assert found == [pytest.approx(row, rel=1e-13) for row in expected]


def test_closed_over_values_are_shared_and_read_at_every_call():
    w = Value(2.0)
    f = vmap(lambda x: w * x if x > 0 else w * w, reduce="sum")
    total = f([1.0, 2.0, -1.0])
    assert total.data == 10.0 and total.parents == (w,)
    assert total.partials == (7.0,)
    w.data = 3.0
    assert f([1.0, 2.0, -1.0]).data == 18.0
    mean = vmap(lambda x: w * x, reduce="mean")([1.0, 3.0])
    mean.backward()
    assert (mean.data, w.grad) == (6.0, 2.0)


def test_branches_met_first_with_values_have_their_gradients():
    f = vmap(branching, in_axes=(None, 0), reduce="sum")
    slope = grad(lambda w: f(w, POINTS))(0.7)
    eager = math.fsum(grad(branching)(0.7, x) for x in POINTS.tolist())
    assert slope == pytest.approx(eager, rel=1e-13)


def test_a_value_used_on_a_later_branch_only_takes_part():
    w = Value(2.0)
    ys = vmap(lambda x: x if x > 0 else w * x)([1.0, -3.0])
    assert ys[1].data == -6.0 and ys[1].parents == (w,)
    total = vmap(lambda x: x if x > 0 else w * x, reduce="sum")([1.0, -3.0])
    assert (total.data, total.partials) == (-5.0, (-3.0,))


def test_node_of_a_sum_is_copied_pickled_and_explained():
    nll = vmap(branching, in_axes=(None, 0), reduce="sum")
    total = nll(Value(0.7, label="w"), POINTS)
    copied = pickle.loads(pickle.dumps(total))
    assert (copied.data, copied.partials) == (total.data, total.partials)
    assert "sum_branching" in str(explain(total))


def test_values_without_reduce_give_values_lane_by_lane():
    w = Value(2.0)
    ys = vmap(lambda w, x: w * x, in_axes=(None, 0))(w, [1.0, 3.0])
    assert [y.data for y in ys] == [2.0, 6.0]
    sum(ys).backward()
    assert w.grad == 4.0


def test_batches_of_values_give_each_its_own_gradient():
    total = vmap(lambda x: x * x, reduce="sum")
    assert grad(total)([1.0, 2.0, 3.0]) == [2.0, 4.0, 6.0]
    assert grad(lambda x: vmap(sin, reduce="sum")(x))(np.zeros(2)).tolist() == [1, 1]


def test_vmap_nests_and_is_inlined_by_jit():
    inner = vmap(lambda x: x * x if x > 1 else x, reduce="sum")
    assert vmap(lambda row: inner(row))([[1.0, 2.0], [3.0, 4.0]]) == [5.0, 25.0]
    assert jit(lambda row: inner(row))([1.0, 2.0]) == 5.0


def test_pickled_vmap_gives_the_same():
    f = vmap(kinked)
    f([1.0])
    assert pickle.loads(pickle.dumps(f))([-1.0, 2.0]) == [1.0, 4.0]


# ---- without NumPy -------------------------------------------------------------------


def test_lists_work_without_numpy(tmp_path):
    import subprocess
    import sys
    from pathlib import Path

    program = """
import sys
sys.modules["numpy"] = sys.modules["llvmlite"] = None
from autograd import Value, grad, value_and_grad
from autograd.compiled.batch import vmap

f = vmap(lambda x: x * x if x > 0 else -x)
assert f([-1.0, 3.0, -2.0]) == [1.0, 9.0, 2.0]
assert f([]) == []
loss = lambda w, x, y: (w[0] * x + w[1] - y) ** 2
step = vmap(value_and_grad(loss), in_axes=(None, 0, 0), reduce="mean")
assert step([2.0, 0.0], [0.0, 1.0, 2.0], [1.0, 3.0, 5.0]) == (1.0, [-2.0, -2.0])
assert vmap(grad(lambda x: x[0] * x[1]))([[1.0, 2.0]]) == [[2.0, 1.0]]
g = lambda b, x: 2 * x if b else -x
assert vmap(g)([True, None, "a"], [3.0, 4.0, 5.0]) == [6.0, -4.0, 10.0]
assert vmap(g, reduce="sum")([True, None, "a"], [3.0, 4.0, 5.0]) == 12.0
total = vmap(loss, in_axes=(None, 0, 0), reduce="sum")
assert grad(lambda w: total(w, [1.0], [0.0]))([1.0, 1.0]) == [4.0, 4.0]
print("done")
"""
    root = Path(batch.__file__).resolve().parents[2]
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True
    )
    assert (found.stdout, found.stderr) == ("done\n", "")


# ---- lanes that differ in what is no number ------------------------------------------


def chosen(b, x):
    return 2 * x if b else -x


SIGNS = [
    [True, False, True],
    [1.0, None, True],
    ["a", "", "b"],
    [1, 0, 2.5],
    [3.0, False, 1],
]


def kinds_of(batch):
    yield batch
    yield np.array(batch, dtype=object)
    if len(set(map(type, batch))) == 1:
        yield np.array(batch)
        yield list(np.array(batch))


@pytest.mark.parametrize("without", ["nothing", "llvmlite", "c"])
@pytest.mark.parametrize("signs", SIGNS, ids=str)
def test_lanes_are_grouped_by_what_is_no_number(signs, without, monkeypatch):
    if without == "llvmlite":
        monkeypatch.setattr(points, "executable", source.compile)
    if without == "c":
        monkeypatch.setattr(calls, "extension", None)
    f = vmap(chosen)
    for bs in kinds_of(signs):
        for _ in range(3):
            assert list(f(bs, [3.0, 4.0, 5.0])) == [6.0, -4.0, 10.0]
            assert f(bs, np.array([3.0, 4.0, 5.0])).tolist() == [6.0, -4.0, 10.0]
        assert vmap(chosen, reduce="sum")(bs, [3.0, 4.0, 5.0]) == 12.0
        assert vmap(chosen, reduce="mean")(bs, [3.0, 4.0, 5.0]) == 4.0
        assert list(vmap(grad(chosen, 1))(bs, [3.0, 4.0, 5.0])) == [2.0, -1.0, 2.0]
        with ThreadPoolExecutor(2) as pool:
            there = vmap(chosen, executor=pool)
            assert list(there(bs, [3.0, 4.0, 5.0])) == [6.0, -4.0, 10.0]
            total = vmap(chosen, reduce="sum", executor=pool)
            assert total(bs, [3.0, 4.0, 5.0]) == 12.0


def test_batches_that_change_from_call_to_call_are_told_apart():
    f, xs = vmap(chosen), [3.0, 4.0, 5.0]
    for _ in range(3):
        assert f([True, False, True], xs) == [6.0, -4.0, 10.0]
        assert f([True, True, True], xs) == [6.0, 8.0, 10.0]
        assert f([False, False, False], xs) == [-3.0, -4.0, -5.0]
        assert f([1.0, 0.0, 1.0], xs) == [6.0, -4.0, 10.0]
        assert f([1.0, 0.0, True], xs) == [6.0, -4.0, 10.0]
        assert f([None, "", "x"], xs) == [-3.0, -4.0, 10.0]


def test_settings_inside_lanes_and_holders_group_them():
    def f(p):
        if p["how"] == "double" and p["on"] is not False:
            return p["x"] * 2.0
        return p["x"] if p["on"] is None else -p["x"]

    how, on = ["double", "same", "double", "same"], [True, None, False, False]
    xs = [1.0, 2.0, 3.0, 4.0]
    lanes = [dict(zip(("how", "on", "x"), lane)) for lane in zip(how, on, xs)]
    expected = list(map(f, lanes))
    assert expected == [2.0, 2.0, -3.0, -4.0]
    assert vmap(f)(lanes) == vmap(f)({"how": how, "on": on, "x": xs}) == expected
    table = {"how": np.array(how), "on": np.array(on, object), "x": np.array(xs)}
    assert vmap(f)(table).tolist() == expected
    assert vmap(f)({"how": "double", "on": None, "x": xs}) == [2.0, 4.0, 6.0, 8.0]
    rows = [(b, x) for b, x in zip(on, xs)]
    assert vmap(lambda row: chosen(*row))(rows) == [2.0, -2.0, -3.0, -4.0]
    assert vmap(lambda x: 0.0 if x is None else 2 * x)([1.0, True, None]) == [2, 2, 0]


def test_lanes_in_another_order_or_container_are_lanes_of_their_own():
    first = vmap(lambda d: next(iter(d.values())))
    assert first([{"a": 1.0, "b": 2.0}, {"b": 3.0, "a": 4.0}]) == [1.0, 3.0]
    sized = vmap(lambda p: p[0] if isinstance(p, list) else -p[0])
    assert sized([[1.0, 2.0], (3.0, 4.0), [5.0, 6.0]]) == [1.0, -3.0, 5.0]


def test_results_of_groups_are_put_back_in_order():
    def f(b, x):
        return {"y": [x, -x] if b else [-x, x], "text": "yes" if b else "no"}

    bs = [True, False, False, True]
    out = vmap(f)(bs, [1.0, 2.0, 3.0, 4.0])
    assert out["y"] == [[1.0, -1.0], [-2.0, 2.0], [-3.0, 3.0], [4.0, -4.0]]
    assert out["text"] == ["yes", "no", "no", "yes"]
    array = vmap(lambda b, x: np.array([x, b * x]))(bs, np.arange(4.0))
    assert array.tolist() == [[0, 0], [1, 0], [2, 0], [3, 3]]
    assert vmap(lambda x: None if x is None else x)([1.0, None]) == [1.0, None]


@pytest.mark.parametrize("xs", [[1.0, 2.0], np.array([1.0, 2.0])])
@pytest.mark.parametrize("reduce", [None, "sum"])
def test_groups_must_give_results_that_go_together(xs, reduce):
    if reduce is None and isinstance(xs, list):
        f = vmap(lambda b, x: (x,) if b else {"x": x})
    else:
        f = vmap(lambda b, x: x if b else None, reduce=reduce)
    with pytest.raises(TypeError, match="must give the same containers for every lane"):
        f([True, False], xs)


def test_values_take_part_in_grouped_lanes():
    w = Value(3.0)
    f = vmap(lambda w, b, x: w * x if b else -x, (None, 0, 0), reduce="sum")
    total = f(w, [True, False, True], [3.0, 4.0, 5.0])
    total.backward()
    assert (total.data, w.grad) == (20.0, 8.0)
    flags = [True, False]
    assert grad(lambda w: f(w, flags, [3.0, 4.0]))(2.0) == 3.0
    assert hessian(lambda w: f(w * w, flags, [3.0, 4.0]))(2.0) == 6.0
    closed = vmap(lambda b, x: w * x if b else -x)
    assert [float(getattr(y, "data", y)) for y in closed(flags, [3.0, 4.0])] == [9, -4]
    assert jit(lambda x: vmap(chosen)(flags, [x, x]))(3.0) == [6.0, -3.0]
    nested = vmap(lambda bs, xs: vmap(chosen)(bs, xs))
    assert nested([flags, flags[::-1]], [[1.0, 2.0], [3.0, 4.0]]) == [[2, -2], [-3, 8]]


def test_truths_of_a_numpy_array_are_what_its_items_are():
    eager = lambda a, b: (a + b) * 1.0  # noqa: E731
    flags = np.array([True, True, False])
    expected = [float(eager(a, b)) for a, b in zip(flags, flags)]
    assert vmap(eager)(flags, flags).tolist() == expected == [1.0, 1.0, 0.0]
    rows = np.array([[True, False], [False, True]])
    xs = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert vmap(lambda m, x: m[0] * x[0] + m[1] * x[1])(rows, xs).tolist() == [1, 4]


def test_forms_of_lanes_have_a_bound_and_texts_need_a_number():
    names = [str(i) for i in range(100)]
    for texts in (names, np.array(names)):
        with pytest.raises(ValueError, match="vmap: what is no number must have at m"):
            vmap(lambda name, x: x)(texts, [1.0] * 100)
    many = vmap(lambda name, x: x * len(name))(names[:64] * 2, [1.0] * 128)
    assert many == [float(len(name)) for name in names[:64] * 2]
    assert vmap(lambda b: 1.0 if b else 2.0)([True, False]) == [1.0, 2.0]
    assert vmap(lambda b: 1.0 if b else 2.0, reduce="sum")([True, False]) == 3.0


def test_grouped_batch_is_pickled_and_may_be_large():
    f = vmap(chosen)
    flags, xs = POINTS > 0, np.arange(5000.0)
    expected = np.where(flags, 2 * xs, -xs)
    assert (f(flags, xs) == expected).all()
    assert (pickle.loads(pickle.dumps(f))(flags, xs) == expected).all()
    assert vmap(chosen, reduce="sum")(flags, xs) == expected.sum()
