"""What a tape cannot have: text and hashes of numbers, refusals that f swallows, and
arguments that f writes to. Such a function is answered, and runs op by op from then on.
"""

from __future__ import annotations

import bisect
import collections
import functools
import io
import json
import math
import pickle
import statistics
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from copy import deepcopy
from typing import Any

import numpy as np
import pytest

from autograd import Value, exp, grad, jit, record_lines, sin, value_and_grad, vmap
from nn import MLP, SGD, Module, fit, mse

F = Callable[[Any], Any]
XS = [1.26, 2.0, 0.5, -3.75, 1.26, 7.0]
TABLE = {"1.3": 10.0, "2.0": 20.0}


def swallow(action: Callable[[Any], Any]) -> F:
    """action(x), or -x where that is refused."""

    def f(x: Any) -> Any:
        try:
            return x * action(x)
        except (TypeError, ValueError):
            return -x

    return f


TEXTS: dict[str, F] = {
    "f-string": lambda x: x * float(f"{x:.1f}"),
    "plain f-string": lambda x: x * len(f"{x}"[:3]),
    "format": lambda x: x * float(format(x, ".1f")),
    "method": lambda x: x * float("{:.1f}".format(x)),  # noqa: UP032
    "key": lambda x: x * TABLE.get(f"{x:.1f}", 1.0),
    "membership": lambda x: x if f"{x:.0f}" in "12" else -x,
    "in a container": lambda x: x * str([x])[:2].count("["),
    "print": lambda x: print(x, file=io.StringIO()) or x * 2,  # type: ignore[func-returns-value]
}
REFUSED: dict[str, F] = {
    "float": swallow(float),
    "int": swallow(int),
    "round": swallow(round),
    "floor division": swallow(lambda x: x // 2),
    "divmod": swallow(lambda x: divmod(x, 2)[1]),
    "math.sin": swallow(math.sin),
    "percent": swallow(lambda x: float("%.1f" % x)),  # noqa: UP031
    "array": swallow(lambda x: float(np.array([x], np.float64)[0])),
    "mean": swallow(lambda x: statistics.mean([x, 1.0])),
    "is_integer": swallow(lambda x: 2.0 if x.is_integer() else 3.0),
    "hex": swallow(lambda x: len(x.hex())),
    "copy": swallow(lambda x: deepcopy(x) and 2.0),
    "pickle": swallow(lambda x: pickle.loads(pickle.dumps(x))),
    "set": swallow(lambda x: 5.0 if x in {1.26, 2.0} else 6.0),
    "dict": swallow(lambda x: {2.0: 10.0, 7.0: 20.0}.get(x, 0.0)),
    "index": swallow(lambda x: [1.0, 2.0, 3.0][int(x) % 3]),
}
HASHED: dict[str, F] = {
    "set": lambda x: 1.0 if x in {1.26, 2.0} else 0.0,
    "frozenset": lambda x: 1.0 if x in frozenset([2.0]) else 0.0,
    "dict": lambda x: {2.0: 10.0}.get(x, 0.0),
    "item": lambda x: {1.26: 3.0}[x],
    "counter": lambda x: float(len(collections.Counter([x, 2.0]))),
    "set of results": lambda x: float(len({x, x + 0.0})),
    "hash": lambda x: float(hash(x) % 2),
    "cached": lambda x: functools.lru_cache(lambda y: 1.0)(x),
    "new key": lambda x: collections.defaultdict(float)[x],
}
KEPT: dict[str, F] = {  # what looks like one of these, and is none
    "list": lambda x: 1.0 if x in [1.26, 2.0] else 0.0,
    "tuple": lambda x: float((1.26, 2.0).count(x)),
    "range": lambda x: 1.0 if x in range(3) else 0.0,
    "order": lambda x: float(bisect.bisect([0.0, 1.0, 3.0], x)),
    "identity": lambda x: float(id(x) == id(x)) * x,
    "text of what stays": lambda x: x * float(f"{TABLE['1.3']:.1f}"),
}


def expected(f: F, x: float) -> Any:
    """What f gives for a plain number."""
    return f(x)


def quiet(f: Callable[..., Any], *args: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return f(*args)


@pytest.mark.parametrize("name", [*TEXTS, *REFUSED])
def test_function_that_no_tape_holds_gives_what_it_gives_for_numbers(name: str) -> None:
    f = {**TEXTS, **REFUSED}[name]
    compiled = jit(f)
    for x in XS:
        assert quiet(compiled, x) == expected(f, x)
    assert compiled.paths == ()


@pytest.mark.parametrize("name", [*TEXTS, *REFUSED])
def test_lanes_that_no_tape_holds_are_run_one_by_one(name: str) -> None:
    f = {**TEXTS, **REFUSED}[name]
    single = [expected(f, x) for x in XS]
    assert quiet(vmap(f), XS) == single
    assert list(quiet(vmap(f), np.array(XS))) == single
    assert quiet(vmap(f, reduce="sum"), XS) == pytest.approx(sum(single), abs=1e-12)
    with ThreadPoolExecutor(2) as pool:
        assert quiet(vmap(f, executor=pool), XS) == single


@pytest.mark.parametrize("name", TEXTS)
def test_derivatives_of_what_no_tape_holds_are_right(name: str) -> None:
    f = TEXTS[name]
    slope = jit(value_and_grad(lambda x: f(sin(x)) * x))
    for x in XS:
        assert quiet(slope, x) == value_and_grad(lambda x: f(sin(x)) * x)(x)


@pytest.mark.parametrize("name", KEPT)
def test_function_that_only_looks_like_one_is_compiled(name: str) -> None:
    f, compiled = KEPT[name], jit(KEPT[name])
    for x in XS:
        assert compiled(x) == f(x)
    assert compiled.paths and compiled.doubt is None


@pytest.mark.parametrize("transform", [jit, lambda f: lambda x: vmap(f)([x])])
@pytest.mark.parametrize("name", HASHED)
def test_hash_of_a_number_is_refused_in_a_trace(name: str, transform: Any) -> None:
    with pytest.raises(TypeError, match="set, dict or hash must not be asked"):
        transform(HASHED[name])(2.0)


def test_hash_of_a_variable_is_by_identity_in_a_trace_as_without() -> None:
    w = Value(2.0)
    f = jit(lambda x: x * w if w in {w} and w not in {2.0} else x)
    assert f(3.0).data == 6.0

    def g(x: Any) -> Any:
        return x * (1.0 if x in {3.0} else 2.0) * len({x, x})

    assert jit(grad(g))(3.0) == grad(g)(3.0) == 2.0


@pytest.mark.parametrize("text", [str, repr, "{}".format])
@pytest.mark.parametrize("x", [2.0, -0.125, 1e300])
def test_text_of_a_number_is_the_one_that_f_would_see(text: Any, x: float) -> None:
    def f(x: Any) -> Any:
        return float(text(x)) * len(text(x)) + {"True": 1.0, "False": 2.0}[text(x > 1)]

    compiled, lanes = jit(f), vmap(f)
    assert [quiet(compiled, x), compiled(x)] == [f(x)] * 2
    assert [*quiet(lanes, [x, 3.5]), *lanes([x])] == [f(x), f(3.5), f(x)]


def elsewhere(f: Any, x: Any) -> Any:
    """f(x), in another thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(f, x).result()


ELSEWHERE = {
    "comparison": lambda x: 1.0 if x > 3.0 else 2.0,
    "truth": lambda x: 1.0 if x else 2.0,
    "result": lambda x: 1.0 if x * 2.0 > 6.0 else 2.0,
    "data": lambda x: x if type(x) is float else x.data,
    "text": lambda x: len(f"{x:.3g}"),
    "set": lambda x: x in {2.0},
    "product": lambda x: x * x,
}


@pytest.mark.parametrize("name", ELSEWHERE)
@pytest.mark.parametrize("transform", [jit, lambda f: lambda x: vmap(f)([x])])
def test_thread_that_f_asks_is_refused_its_numbers(name: str, transform: Any) -> None:
    with pytest.raises(ValueError, match="f must compute in one thread"):
        transform(lambda x: elsewhere(ELSEWHERE[name], x) * x)(2.0)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_refusal_in_another_thread_is_not_swallowed_for_good(name: str) -> None:
    def f(x: Any) -> Any:
        with suppress(ValueError):
            return elsewhere(ELSEWHERE[name], x) * x
        return 0.0 * x

    compiled = jit(f)
    assert [quiet(compiled, x) for x in (2.0, 5.25, 2.0)] == [f(2.0), f(5.25), f(2.0)]


def test_other_thread_may_compute_while_one_traces() -> None:
    w = Value(2.0)
    found = []

    def f(x: Any) -> Any:
        found.append(elsewhere(lambda v: (v * v > 3.0, f"{v}", v.data, v in {w}), w))
        return w * x

    assert jit(f)(3.0).data == 6.0
    assert found == [(True, "2.0", 2.0, True)]


def test_warning_is_given_once_and_names_the_line() -> None:
    f = jit(TEXTS["f-string"])
    with pytest.warns(RuntimeWarning, match=r"make text.*test_op_by_op.py:\d+") as seen:
        f(1.0)
        f(2.0)
    assert len(seen) == 1 and seen[0].filename.endswith("test_op_by_op.py")


def test_error_with_a_number_in_its_text_passes_and_leaves_f_compiled() -> None:
    def f(x: Any) -> Any:
        if x < 0:
            raise ValueError(f"x must not be negative, but is {x:.1f}")
        return x * 2

    compiled = jit(f)
    with pytest.raises(ValueError, match=r"but is -1\.5"):
        compiled(-1.5)
    assert compiled(2.0) == 4.0 and compiled.doubt is None
    with pytest.raises(ValueError, match=r"but is -2\.5"):
        compiled(-2.5)


def test_text_on_a_branch_met_later_ends_the_compiled_calls() -> None:
    f = jit(lambda x: x * 2 if x < 2 else x * float(f"{x:.1f}"))
    assert [f(1.0) for _ in range(200)] == [2.0] * 200
    assert quiet(f, 2.26) == 2.26 * 2.3
    assert (f(3.14), f(1.0)) == (3.14 * 3.1, 2.0)
    assert f.doubt is not None


def test_lanes_that_meet_text_on_a_branch_are_all_right() -> None:
    def f(x: Any) -> Any:
        return x * 2 if x < 2 else x * float(f"{x:.1f}")

    xs = [1.0, 2.26, 0.5, 3.14]
    assert quiet(vmap(f), xs) == [f(x) for x in xs]
    assert quiet(vmap(f, reduce="mean"), xs) == pytest.approx(sum(map(f, xs)) / 4)


def test_op_by_op_calls_have_methods_and_results_as_compiled_ones() -> None:
    def f(x: Any, w: Any) -> Any:
        print(x, file=io.StringIO())
        return {"y": x.exp() * w, "n": 3, "on": x > 0}

    compiled = jit(f)
    first = quiet(compiled, 0.0, 2.0)
    assert first == compiled(0.0, 2.0) == {"y": 2.0, "n": 3.0, "on": False}
    assert type(compiled(0.0, 2.0)["y"]) is type(compiled(0.0, 2.0)["n"]) is float
    w = Value(2.0)
    compiled(1.0, w)["y"].backward()
    assert w.grad == math.e


def test_watched_call_of_a_compiled_function_has_methods_too() -> None:
    with record_lines():
        assert jit(lambda x: x.exp())(0.0) == 1.0
    inner = jit(lambda x: x.exp())
    assert jit(lambda x: x * inner(0.0))(3.0) == 3.0


def test_side_effects_of_text_happen_once_a_call() -> None:
    out = io.StringIO()
    f = jit(lambda x: print(f"{x:.1f}", file=out) or x)  # type: ignore[func-returns-value]
    for x in (1.0, 2.0, 3.0):
        quiet(f, x)
    assert out.getvalue() == "1.0\n2.0\n3.0\n"


def test_warnings_as_errors_leave_f_as_right_as_before() -> None:
    f = jit(TEXTS["f-string"])
    with pytest.raises(RuntimeWarning):
        f(1.26)
    assert (f(1.26), f(2.0)) == (1.26 * 1.3, 4.0)


def test_nested_compiled_functions_are_doubted_together() -> None:
    inner = jit(TEXTS["f-string"])
    outer = jit(lambda x: inner(x) + 1.0)
    for x in XS:
        assert quiet(outer, x) == TEXTS["f-string"](x) + 1.0


def test_json_of_a_traced_number_is_no_number() -> None:
    with pytest.raises(TypeError):
        jit(lambda x: x * len(json.dumps(x)))(1.0)


class Rounding(Module):
    """A model that looks at the text of what it computes."""

    def __init__(self) -> None:
        self.net = MLP(1, [3, 1], activation="tanh", seed=0)

    def __call__(self, x: Any) -> Any:
        y = self.net(x)
        return y * 2 if f"{y:.1f}" == "0.0" else y


def test_fit_trains_a_model_that_makes_text_as_a_plain_loop_does() -> None:
    xs = np.linspace(-1, 1, 400).reshape(-1, 1).tolist()
    ys = [math.sin(3 * x) for (x,) in xs]

    def trained(epochs: int, batch: int | None) -> list[float]:
        model = Rounding()
        sgd = SGD(model.parameters(), lr=0.1)
        quiet(
            lambda: fit(
                model, xs, ys, loss=mse, optimizer=sgd, epochs=epochs,
                batch_size=batch, progress=False,
            )
        )  # fmt: skip
        return [p.data for p in model.parameters()]

    def by_hand(epochs: int) -> list[float]:
        model = Rounding()
        sgd = SGD(model.parameters(), lr=0.1)
        for _ in range(epochs):
            loss = mse([model(x) for x in xs], ys)
            sgd.zero_grad()
            loss.backward()
            sgd.step()
        return [p.data for p in model.parameters()]

    assert trained(60, None) == by_hand(60)


# ---- arguments that f writes to ------------------------------------------------------


def set_item(xs: Any) -> Any:
    xs[0] = -xs[1]
    return xs[0]


def appended(xs: Any) -> Any:
    xs.append(xs[0])
    return xs[0]


def popped(xs: Any) -> Any:
    return xs.pop()


def sorted_there(xs: Any) -> Any:
    xs.sort()
    return xs[0]


def updated(d: Any) -> Any:
    d["new"] = d["x"] * 2
    return d["x"]


def deleted(d: Any) -> Any:
    return d.pop("x") * 2


def set_inside(d: Any) -> Any:
    d["xs"][0] += 1.0
    return d["xs"][0]


def set_to_a_number(xs: Any) -> Any:
    xs[1] = 7.0
    return xs[0]


def set_to_text(xs: Any) -> Any:
    xs[1] = object()
    return xs[0]


@pytest.mark.parametrize(
    "f, arg",
    [
        (set_item, [1.0, 2.0]), (set_item, np.array([1.0, 2.0])),
        (appended, [1.0, 2.0]), (popped, [1.0, 2.0]), (sorted_there, [2.0, 1.0]),
        (updated, {"x": 1.0}), (deleted, {"x": 1.0, "y": 2.0}),
        (set_inside, {"xs": [1.0, 2.0]}), (set_to_a_number, [1.0, 2.0]),
        (set_to_text, [1.0, 2.0]),
    ],
)  # fmt: skip
def test_write_to_an_argument_is_refused_where_it_would_be_lost(f: F, arg: Any) -> None:
    stack: Any = np.stack if isinstance(arg, np.ndarray) else list
    for transform, g, given in (
        (jit, f, deepcopy(arg)),
        (vmap, f, stack([deepcopy(arg), deepcopy(arg)])),
        (jit, lambda d: f(d["outer"]), {"outer": deepcopy(arg)}),
    ):
        before = repr(given)
        with pytest.raises(TypeError, match="f must leave its arguments as they are"):
            transform(g)(given)
        assert repr(given) == before


def test_write_to_a_keyword_argument_is_refused() -> None:
    def f(x: Any, out: Any = None) -> Any:
        out[0] = x
        return x

    with pytest.raises(TypeError, match="f must leave its arguments as they are"):
        jit(f)(1.0, out=[0.0])


def test_write_to_a_copy_and_swaps_that_change_nothing_are_allowed() -> None:
    def f(xs: Any) -> Any:
        ys = list(xs)
        ys[0] = exp(ys[1])
        xs.reverse()
        xs.reverse()
        return ys[0]

    assert jit(f)([1.0, 0.0]) == 1.0
