"""Compiled against eager: the same bits on every path and order, and its errors."""

from __future__ import annotations

import copy
import math
import operator
import pickle
import threading
from bisect import bisect
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd as ag
from autograd import Value, grad, hessian, hvp, jit, jvp, value_and_grad, where
from autograd.compiled.paths import MOST_PATHS

EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, math.nan, math.inf, -math.inf, 5e-324, 1e300]


def bits(tree: Any) -> Any:
    """The numbers of a tree, told apart by sign of zero; any NaN is like any other."""
    if isinstance(tree, dict):
        return {key: bits(item) for key, item in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [bits(item) for item in tree]
    if hasattr(tree, "tolist"):
        return bits(tree.tolist())
    return repr(float(tree.data if isinstance(tree, Value) else tree))


def branch(x: Any) -> Any:
    return x * x if x > 0 else -x


@jit
def decorated(x: Any) -> Any:
    return x * x if x > 0 else -x


def readme(a: Any, b: Any) -> Any:
    c = a + b
    d = a * b + b**3
    c = c + c + 1
    c = c + 1 + c + (-a)
    d = d + d * 2 + (b + a).relu()
    d = d + 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    return f / 2.0 + 10.0 / f


# ---- random programs -----------------------------------------------------------------

UNARY = [
    ag.exp, ag.sin, ag.cos, ag.tanh, ag.abs, ag.sqrt, ag.log, ag.neg, ag.sigmoid,
    ag.floor, ag.softplus, ag.sign, ag.gamma, ag.cbrt, ag.erf,
]  # fmt: skip
BINARY = [ag.add, ag.sub, ag.mul, ag.div, ag.add, ag.mul, ag.pow, ag.hypot, ag.atan2]
CHOICES = [ag.relu, ag.leaky_relu, ag.stop_gradient]
SMOOTH = [ag.exp, ag.sin, ag.cos, ag.tanh, ag.neg, ag.sigmoid, ag.softplus]
COMPARED = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq]

numbers = st.one_of(st.sampled_from(EDGES), st.floats(-3, 3))
points = st.lists(st.tuples(numbers, numbers), min_size=2, max_size=6)
Step = tuple[str, Any, tuple[float, ...]]  # a kind, a row, fractions that pick operands


def steps(unary: list[Any], binary: list[Any], kinds: str) -> Any:
    pick = st.floats(0, 1, exclude_max=True)
    one = st.tuples(
        st.sampled_from(kinds),
        st.tuples(
            st.sampled_from(unary), st.sampled_from(binary), st.sampled_from(COMPARED)
        ),
        st.tuples(pick, pick, pick, pick),
    )
    return st.lists(one, min_size=2, max_size=8)


def program(plan: list[Any]) -> Callable[[Any, Any], Any]:
    """A function of two numbers: u unary, b binary, i an if, w a select."""

    def f(x: Any, y: Any) -> Any:
        known = [x, y, 0.5, 1.0]
        for kind, (unary, binary, compare), picks in plan:
            a, b, c, d = (known[int(share * len(known))] for share in picks)
            if kind == "u":
                known.append(unary(a))
            elif kind == "b":
                known.append(binary(a, b))
            elif kind == "w":
                known.append(where(compare(a, b), c, d))
            elif compare(a, b):
                known.append(c * 1.5)
            else:
                known.append(d + 1.0)
        return known[-1] + known[-2] * x

    return f


def agree(f: Callable[..., Any], at: list[tuple[float, float]]) -> None:
    compiled = jit(f)
    for x, y in at:
        assert bits(compiled(x, y)) == bits(f(x, y)), (x, y, compiled.tape())


@settings(max_examples=300, deadline=None, derandomize=True)
@given(steps(UNARY + CHOICES, [*BINARY, ag.maximum, ag.minimum], "ubbwi"), points)
def test_random_program_gives_the_bits_of_eager(plan: Any, at: Any) -> None:
    agree(program(plan), at)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(steps(UNARY, BINARY, "ubbi"), points)
def test_random_gradient_gives_the_bits_of_eager(plan: Any, at: Any) -> None:
    agree(value_and_grad(program(plan), (0, 1)), at)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(steps(SMOOTH, [ag.add, ag.sub, ag.mul], "ubbi"), points)
def test_random_hessian_gives_the_bits_of_eager(plan: Any, at: Any) -> None:
    agree(hessian(program(plan), (0, 1)), at)


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("traced_at", [0.5, -1.0])
@pytest.mark.parametrize("row", [ag.relu, ag.abs, ag.leaky_relu, ag.floor, ag.sign])
def test_kinked_row_gives_what_eager_gives_wherever_it_was_traced(
    row: Any, traced_at: float, order: int
) -> None:
    f = [row, grad(row), grad(grad(row))][order]
    compiled = jit(f)
    compiled(traced_at)
    for x in EDGES:
        assert bits(compiled(x)) == bits(f(x)), x
    assert len(compiled.paths) == 1


SELECTS = [
    lambda x: where(x < 1, x, ag.sqrt(x)),
    lambda x: ag.maximum(x, 0.0) * ag.sqrt(x),
    lambda x: ag.clip(x, 0.0, 1.0) + ag.log(x) * ag.relu(x - 1),
    lambda x: ag.minimum(x, x * x) + x,
    lambda x: where(x > 0, ag.log(x), 0.0) * where(x < 1, 2.0, x),
]


@pytest.mark.parametrize("f", SELECTS)
@pytest.mark.parametrize("transform", [grad, lambda f: grad(grad(f)), value_and_grad])
def test_select_leaves_the_untaken_operand_out_at_every_later_point(
    f: Any, transform: Any
) -> None:
    compiled = jit(transform(f))
    for x in [0.5, *EDGES]:
        assert bits(compiled(x)) == bits(transform(f)(x)), x
    assert len(compiled.paths) == 1


@pytest.mark.parametrize("f", SELECTS)
def test_tangents_of_selects_agree_with_eager(f: Any) -> None:
    def along(x: Any) -> Any:
        return jvp(f, (x,), (1.0,))

    compiled = jit(along)
    for x in [0.5, *EDGES]:
        assert bits(compiled(x)) == bits(along(x)), x


# ---- control flow --------------------------------------------------------------------


def collatz(x: Any) -> Any:
    n = 0
    while x > 1.0:
        x, n = x / 2, n + 1
    return x, n


def euclid(x: Any, y: Any) -> Any:
    return x if y < 1e-6 else euclid(y, x % y)


def early(xs: Any) -> Any:
    for x in xs:
        if x < 0:
            return x * x
    return sum(xs)


FLOWS = [
    (collatz, [(0.5,), (3.0,), (9.0,), (math.nan,), (100.0,)]),
    (euclid, [(12.0, 18.0), (7.0, 3.0), (5.0, 0.0)]),
    (early, [([1.0, 2.0],), ([1.0, -2.0],), ([-3.0, 2.0],)]),
    (sorted, [([3.0, 1.0, 2.0],), ([1.0, 2.0, 3.0],), ([2.0, math.nan, 1.0],)]),
    (max, [(1.0, 2.0), (2.0, 1.0), (math.nan, 1.0), (1.0, math.nan)]),
    (lambda x: bisect([1.0, 2.0, 3.0], x) * x, [(0.0,), (2.5,), (9.0,)]),
    (lambda x, y: y if x != y else x, [(1.0, 1.0), (1.0, 2.0), (math.nan,) * 2]),
    (lambda x, y: x / y if x and y else 0.0, [(1.0, 2.0), (0.0, 2.0), (1.0, -0.0)]),
]


@pytest.mark.parametrize("f, calls", FLOWS)
def test_control_flow_takes_the_branch_that_python_takes(f: Any, calls: Any) -> None:
    compiled = jit(f)
    for args in [*calls, *reversed(calls)]:
        assert bits(compiled(*args)) == bits(f(*args)), args


def test_flipped_branch_is_never_stale() -> None:
    f = jit(branch)
    assert [f(-1.0), f(3.0), f(-2.0), f(0.0)] == [1.0, 9.0, 2.0, -0.0]
    assert [path.taken for path in f.paths] == [1, 3]


def test_paths_print_as_a_tree_with_places_and_counts() -> None:
    f = jit(branch)
    f(-1.0), f(3.0), f(4.0)
    above, count, below, other = repr(f.paths).splitlines()
    assert "x0) is true  # " in above and "test_jit.py" in above
    assert "x0) is false" in below
    assert count.strip() == "taken 2x" and other.strip() == "taken 1x"


def test_paths_of_each_form_of_arguments_are_labelled() -> None:
    f = jit(lambda x, y=1.0: x[0] * y if x[0] > 0 else -y)
    f([1.0, 2.0]), f([-1.0, 2.0]), f([3.0], y=2.0)
    first, *tree, second, below, count = repr(f.paths).splitlines()
    assert (first, second) == ("([x] * 2):", "([x], y=x):")
    assert len(f.paths) == 3 and len(tree) == 4
    assert below.startswith("  less(0.0, x0)") and count == "    taken 1x"
    assert "(" not in repr(jit(lambda x: x).paths)


def steps_to(x: Any) -> Any:
    n = 0
    while n < x:
        n += 1
    return n * x


def crowded() -> Any:
    """A compiled function that has taken as many paths as are kept."""
    f = jit(steps_to)
    for n in range(MOST_PATHS):
        assert f(float(n)) == n * n
    return f


def test_paths_beyond_the_most_are_said_once_with_the_line_and_the_remedy() -> None:
    f = crowded()
    with pytest.warns(RuntimeWarning, match=r"64 paths.*test_jit.py:\d+.*where"):
        assert f(float(MOST_PATHS)) == MOST_PATHS**2
    for n in range(2 * MOST_PATHS):  # warnings are errors here
        assert f(float(n)) == n * n
    assert len(f.paths) == MOST_PATHS


@pytest.mark.filterwarnings("ignore:jit. f has taken")
def test_paths_beyond_the_most_go_with_values_and_all_transforms() -> None:
    f, far = crowded(), 3.0 + MOST_PATHS
    x = Value(far)
    y = f(x)
    y.backward()
    assert (y.data, x.grad) == (far * far, far)
    assert grad(f)(far) == far and jit(grad(f))(far) == far
    w = Value(2.0)
    g = jit(lambda x: w * steps_to(x))
    for n in range(3 * MOST_PATHS):
        y = g(float(n))
        assert (y.data, y.parents) == (2.0 * n * n, (w,))


@pytest.mark.filterwarnings("ignore:jit. f has taken")
def test_path_that_is_asked_for_again_and_again_takes_the_place_of_another() -> None:
    f = crowded()
    for _ in range(3):
        f(3.0)
    for _ in range(MOST_PATHS + 1):
        assert f(200.0) == 40000.0
    taken = max(f.paths, key=lambda path: len(path.long.guards))
    assert len(taken.long.guards) == 201 and len(f.paths) == MOST_PATHS
    assert [f(float(n)) for n in range(90)] == [n * n for n in range(90)]
    assert [f(3.0), f(200.0), f(0.0)] == [9.0, 40000.0, 0.0]
    again = pickle.loads(pickle.dumps(f))
    assert [again(float(n)) for n in (0, 3, 70, 200, 300)] == [0, 9, 4900, 40000, 90000]


def test_branch_on_something_else_than_arguments_is_refused() -> None:
    sign = [1.0]
    f = jit(lambda x: x if sign[0] * x > 0 else -x if x > -1 else x * x)
    f(2.0)
    sign[0] = -1.0
    with pytest.raises(ValueError, match="branch on its arguments alone"):
        f(-2.0)


# ---- transforms outside and inside ---------------------------------------------------


@pytest.mark.parametrize("order", [1, 2, 3])
def test_derivatives_pass_through_a_compiled_function(order: int) -> None:
    def cube(x: Any) -> Any:
        return x * x * x if x > 0 else x * x

    def derived(f: Any) -> Any:
        for _ in range(order):
            f = grad(f)
        return f

    for x in (2.0, -3.0):
        assert derived(jit(cube))(x) == derived(cube)(x) == jit(derived(cube))(x)


def test_jvp_hvp_and_hessian_pass_through_a_compiled_function() -> None:
    def f(x: Any) -> Any:
        return x[0] ** 2 * x[1]

    assert jvp(jit(f), ([2.0, 3.0],), ([1.0, 0.0],)) == (12.0, 12.0)
    assert hvp(jit(f), ([2.0, 3.0],), ([1.0, 0.0],)) == ([6.0, 4.0],)
    assert hessian(jit(f))([2.0, 3.0]) == jit(hessian(f))([2.0, 3.0])


def test_readme_expression_has_its_gradient() -> None:
    f = value_and_grad(readme, (0, 1))
    assert bits(jit(f)(-4.0, 2.0)) == bits(f(-4.0, 2.0))
    assert round(jit(f)(-4.0, 2.0)[0], 4) == 24.7041


def test_compiled_function_is_one_node_on_values() -> None:
    f = jit(readme)
    a, b = Value(-4.0), Value(2.0)
    y = f(a, b)
    assert y.op == "readme" and y.parents == (a, b)
    assert y.partials == value_and_grad(readme, (0, 1))(-4.0, 2.0)[1]
    (y * y).backward()
    assert a.grad == pytest.approx(2 * y.data * y.partials[0], rel=1e-15)


def test_compiled_node_leaves_out_what_a_select_left_out() -> None:
    f = jit(lambda x, y: where(x > 0, y, x * y))
    x, y = Value(1.0), Value(3.0)
    node = f(x, y)
    assert node.parents == (y,)
    (node * math.inf).backward()
    assert (x.grad, y.grad) == (0.0, math.inf)


def test_several_outputs_are_replayed_on_values() -> None:
    f = jit(lambda x: {"square": x * x, "rest": [x > 0, 3.0, None, "text"]})
    x = Value(2.0)
    out = f(x)
    assert out["rest"] == [1.0, 3.0, None, "text"]
    out["square"].backward()
    assert x.grad == 4.0
    assert f(2.0) == {"square": 4.0, "rest": [1.0, 3.0, None, "text"]}


def test_result_is_a_float_unless_it_depends_on_a_value() -> None:
    p = Value(3.0)
    assert type(jit(lambda x: x * 2.0)(1.0)) is float
    assert type(jit(lambda x: x * p)(1.0)) is Value
    assert type(jit(lambda x: where(p > 1, x, 0.0))(1.0)) is float
    assert type(jit(lambda x, y: y * 2.0)(Value(1.0), 1.0)) is float


def test_compiled_function_is_inlined_while_another_is_traced() -> None:
    inner = jit(branch)
    outer = jit(lambda x: inner(x) + 1.0)
    assert [outer(2.0), outer(-2.0)] == [5.0, 3.0]
    assert len(inner.paths) == 0 and len(outer.paths) == 2


def test_whoever_watches_sees_each_operation() -> None:
    f = jit(lambda x: x.log() * 2.0)
    f(1.0)
    with ag.detect_anomaly(), pytest.raises(FloatingPointError, match="log"):
        f(Value(0.0))


# ---- what it closes over, arguments --------------------------------------------------


def test_closed_over_value_is_read_at_every_call() -> None:
    p = Value(3.0)
    f = jit(lambda x: x * p)
    assert f(2.0) == 6.0
    p.data = 5.0
    y = f(2.0)
    y.backward()
    assert y == 10.0 and p.grad == 2.0


def test_closed_over_value_of_a_later_path_is_an_input_too() -> None:
    p, q = Value(3.0), Value(7.0)
    f = jit(lambda x: x * p if x > 0 else x * q + p)
    assert f(1.0) == 3.0
    y = f(-1.0)
    y.backward()
    assert (y.data, p.grad, q.grad) == (-4.0, 1.0, -1.0)
    p.data = 4.0
    assert (f(1.0).data, f(-1.0).data) == (4.0, -3.0)


def test_branch_on_a_closed_over_value_follows_it() -> None:
    p = Value(1.0)
    f = jit(lambda x: x * 2.0 if p > 0 else x * 3.0)
    assert f(1.0) == 2.0
    p.data = -1.0
    assert f(1.0) == 3.0


def test_static_arguments_select_what_is_compiled() -> None:
    power = jit(lambda n, x: sum(x for _ in range(n)), static_argnums=0)
    assert [power(3, 2.0), power(4, 2.0)] == [6.0, 8.0]
    named = jit(lambda x, how: x * 2 if how == "double" else -x)
    assert [named(1.0, "double"), named(1.0, "minus")] == [2.0, -1.0]
    either = jit(lambda x, flag: x + 1 if flag is True else x - 1)
    assert [either(1.0, True), either(1.0, False)] == [2.0, 0.0]


@pytest.mark.parametrize(
    "chosen", [{"static_argnums": 0}, {"static_argnames": "n"}, {"static_argnums": -2}]
)
def test_static_argument_is_given_by_position_or_by_name(chosen: Any) -> None:
    def power(n: int, x: Any) -> Any:
        y = x
        for _ in range(n - 1):
            y = y * x
        return y

    f = jit(power, **chosen)
    for _ in range(3):
        assert f(3, 2.0) == f(n=3, x=2.0) == f(3, x=2.0) == 8.0
        assert f(2, 3.0) == f(x=3.0, n=2) == 9.0
    assert grad(f, argnums=1)(3, 2.0) == 12.0


def test_static_names_reach_what_f_takes_by_any_name() -> None:
    f = jit(lambda x, **how: x * how["times"], static_argnames=("times",))
    assert [f(2.0, times=3), f(2.0, times=5), f(2.0, times=3)] == [6.0, 10.0, 6.0]
    assert len(f.paths) == 2
    with pytest.raises(ValueError, match="which are n, x, but has 'm'"):
        jit(lambda n, x: x, static_argnames="m")
    with pytest.raises(TypeError, match="static_argnames must name arguments, but is"):
        jit(lambda n, x: x, static_argnames=2)


def test_forms_are_forgotten_that_were_used_longest_ago(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("autograd.compiled.jit.MOST_FORMS", 3)
    traced: list[int] = []

    def total(xs: list[Any]) -> Any:
        traced.append(len(xs))
        return sum(x * x for x in xs)

    f = jit(total)
    for n in (1, 2, 3, 1, 4, 1, 3, 2):
        assert f([2.0] * n) == 4.0 * n
    assert traced == [1, 2, 3, 4, 2] and len(f.paths) == 3
    f.clear()
    assert len(f.paths) == 0 and f([1.0]) == 1.0 and traced[5:] == [1]


def test_cleared_function_starts_again_with_what_it_finds_then() -> None:
    scale = [2.0]
    f = jit(lambda x: x * scale[0])
    assert f(3.0) == 6.0
    scale[0] = 5.0
    assert f(3.0) == 6.0  # plain numbers are constants of a trace
    f.clear()
    assert f(3.0) == 15.0


class Pair(NamedTuple):
    """Two numbers."""

    a: Any
    b: Any


def test_containers_go_in_and_come_out() -> None:
    def f(tree: Any, *, scale: Any) -> Any:
        return Pair(tree["w"][0] * scale, {"b": (tree["p"].b,)})

    tree = {"w": [2.0, 1], "p": Pair(1.0, 4.0)}
    out = jit(f)(tree, scale=3)
    assert out == f(tree, scale=3) and type(out) is Pair


def test_arrays_go_in_and_come_out() -> None:
    np = pytest.importorskip("numpy")
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert (jit(lambda a: a * a)(x) == x * x).all()
    assert (jit(grad(lambda a: (a * a).sum()))(x) == 2 * x).all()


def test_result_containers_are_fresh_at_every_call() -> None:
    f = jit(lambda x: [x, x])
    f(1.0).append(3.0)
    assert f(1.0) == [1.0, 1.0]


# ---- refusals ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "f, message",
    [
        (lambda x: x.data * x, "jit: a Value must not be asked for its data"),
        (lambda x: x.grad, "asked for its grad"),
        (lambda x: (x * x).backward(), r"asked for backward\(\)"),
        (lambda x: copy.deepcopy(x), "asked for a copy"),
        (lambda x: int(x), r"asked for int\(v\) inside a compiled.*static_argnums"),
        (lambda x: [1.0, 2.0][x], "asked for v as an index inside"),
        (lambda x: float(x), r"asked for float\(v\) inside"),
        (lambda x: object(), "the result of f must be a number"),
    ],
)
def test_what_would_freeze_a_number_raises(f: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        jit(f)(1.0)
    assert jit(lambda x: x * 2.0)(1.0) == 2.0


def test_data_of_a_closed_over_value_is_refused_too() -> None:
    p = Value(1.0)
    with pytest.raises(TypeError, match="asked for its data"):
        jit(lambda x: x * p.data)(1.0)
    assert p.data == 1.0


def test_leaked_value_raises_when_it_is_used() -> None:
    kept = []

    def f(x: Any) -> Any:
        kept.append(x * 2.0)
        return x

    jit(f)(1.0)
    for use in (
        lambda v: v + 1.0,
        lambda v: 2.0 * v,
        lambda v: v < 1,
        lambda v: v.sin(),
    ):
        with pytest.raises(TypeError, match="left over from compiling.*return it"):
            use(kept[0])


@pytest.mark.parametrize("args", [(object(),), ({1.0, 2.0},), (1j,)])
def test_other_arguments_are_refused_with_the_remedy(args: Any) -> None:
    with pytest.raises(TypeError, match="static_argnums"):
        jit(lambda x: x)(*args)


def test_jit_wants_a_function_and_a_call_before_its_tape() -> None:
    with pytest.raises(TypeError, match="f must be a function"):
        jit(1.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="has no tape yet"):
        jit(branch).tape()


def test_error_inside_f_leaves_no_trace_behind() -> None:
    def fails(x: Any) -> Any:
        raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        jit(fails)(1.0)
    assert (Value(1.0) < 2.0) is True and bool(Value(1.0))


# ---- what can be looked at, pickles, threads -----------------------------------------


def test_tape_and_source_are_readable() -> None:
    f = jit(branch)
    assert str(f.tape(3.0)).splitlines()[-2:] == [
        "    v2 = mul(x0, x0)",
        "    return v2",
    ]
    assert "def compiled(x0):" in f.source()


def test_compiled_node_is_explained_and_printed_by_name() -> None:
    y = jit(branch)(Value(3.0, label="x"))
    assert "branch" in str(ag.explain(y))


@pytest.mark.parametrize("f", [jit(branch), decorated])
def test_pickle_keeps_paths_and_finds_f_again(f: Any) -> None:
    f(2.0)
    there = pickle.loads(pickle.dumps(f))
    assert len(there.paths) == len(f.paths)
    assert [there(3.0), there(-3.0)] == [9.0, 3.0]


def test_pickle_without_f_runs_its_paths_and_names_what_it_lacks() -> None:
    f = jit(lambda x: x if x > 0 else -x)
    f(2.0)
    there = pickle.loads(pickle.dumps(f))
    assert there(3.0) == 3.0
    with pytest.raises(ValueError, match="must be importable to take a new path"):
        there(-3.0)


def test_pickled_node_can_be_swept_and_differentiated() -> None:
    y = pickle.loads(pickle.dumps(jit(branch)(Value(3.0))))
    y.backward()
    assert y.args[0].grad == 6.0


def test_threads_share_a_compiled_function() -> None:
    f, results = jit(grad(branch)), list[list[float]]()

    def work() -> None:
        results.append([f(float(x)) for x in range(-20, 20)])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[grad(branch)(float(x)) for x in range(-20, 20)]] * 4
    assert len(f.paths) == 2
