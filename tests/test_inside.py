"""A compiled call is one node to look at, and its operations where one looks inside."""

from __future__ import annotations

import math

import pytest

from autograd import (
    Primitive,
    Value,
    cos,
    draw,
    exp,
    explain,
    jit,
    player,
    record_lines,
    rounding_error,
    sin,
    sqrt,
    vmap,
    where,
    why,
)
from autograd.show.inside import is_closed, opened
from autograd.value import topological


def bump(x, w):
    return exp(sin(x * w)) if x > 0 else -x * w


def used_twice(f, x, w):
    """Two calls below one result, with something before, between and after them."""
    y = f(x + 1, w) ** 2 + f(w, x)
    y.label = "y"
    return y


def leaves():
    return Value(1.5, label="x"), Value(0.7, label="w")


def content(values):
    return [
        (v.op, v.data, v.label, v.grad if v.reached else None, v.partials)
        for v in values
    ]


def test_opened_graph_is_the_one_that_eager_code_records():
    (x, w), (a, b) = leaves(), leaves()
    y, eager = used_twice(jit(bump), x, w), used_twice(bump, a, b)
    y.backward()
    eager.backward()
    shown = opened([y], "draw").roots[0]
    assert content(topological(shown)) == content(topological(eager))


def test_opening_leaves_the_graph_as_it_was():
    x, w = leaves()
    y = used_twice(jit(bump), x, w)
    y.backward()
    before = content([x, w, *topological(y)])
    shown = opened([y], "draw").roots[0]
    assert content([x, w, *topological(y)]) == before
    assert {x, w} <= {arg for node in topological(shown) for arg in node.args}
    first = y.args[0].args[0].args[0]  # x + 1, below every call
    assert first in topological(shown)


def test_graph_without_compiled_calls_is_its_own_inside():
    x, w = leaves()
    y = used_twice(bump, x, w)
    assert opened([y, x], "draw").roots == [y, x]
    assert opened([y], "draw").roots[0] is y


def test_adjoints_inside_are_missing_where_no_sweep_has_been():
    y = used_twice(jit(bump), *leaves())
    shown = opened([y], "draw").roots[0]
    assert not any(node.reached for node in topological(shown))


def test_any_row_that_tells_its_inside_is_opened():
    class Squared(Primitive):
        def inside(self, xs):
            return xs[0] * xs[0]

    row = Squared("squared", lambda x: x * x, lambda z, x: 2 * x)
    y = row(Value(3.0)) + 1
    assert [node.op for node in topological(y)] == ["squared", "add"]
    shown = opened([y], "draw").roots[0]
    assert [node.op for node in topological(shown)] == ["mul", "add"]


def test_call_that_hands_its_operand_through_is_that_operand():
    x = Value(2.0, label="x")
    same = jit(lambda x, w: x if w > 0 else x * w)
    y = same(x.sin(), Value(1.0)) + 1
    shown = opened([y], "draw")
    assert [node.op for node in topological(shown.roots[0])] == ["sin", "add"]
    assert not shown.calls


def test_select_inside_leaves_out_what_it_did_not_choose():
    f = jit(lambda x: where(x < 1, x * 3, sqrt(x - 1)))
    x = Value(0.5)
    y = f(x)
    y.backward()
    shown = opened([y], "draw").roots[0]
    by_name = {node.op: node for node in topological(shown, whole=True)}
    assert by_name["mul"].grad == 1.0 and not by_name["sqrt"].reached
    assert x.grad == 3.0


# ---- drawings ------------------------------------------------------------------------


def test_compiled_call_is_one_card_with_its_name_and_partials():
    x, w = leaves()
    y = jit(bump)(x, w)
    y.backward()
    dot = draw(y).dot
    assert dot.count("<TABLE") == 3 and "<B>bump</B>" in dot
    assert f"×{x.grad:.4g}" in dot and f"×{w.grad:.4g}" in dot
    assert draw(bump(x, w)).dot.count("<TABLE") == 5


def test_open_card_is_a_frame_for_each_call():
    y = used_twice(jit(bump), *leaves())
    dot = draw(y, inside=True).dot
    assert dot.count("subgraph cluster_") == 2
    assert "label=bump " in dot and 'label="bump (2)"' in dot
    assert "<B>bump</B>" not in dot and dot.count("<B>sin</B>") == 2


def test_several_results_are_opened_together():
    x, w = leaves()
    common = jit(bump)(x, w)
    dot = draw([common + 1, common * 2], inside=True).dot
    assert dot.count("<B>sin</B>") == 1


def test_inside_that_is_too_large_is_refused_and_its_card_is_not():
    def long(x):
        for _ in range(2001):
            x = x + 1
        return x

    y = jit(long)(Value(1.0))
    assert draw(y).dot.count("<TABLE") == 2
    with pytest.raises(ValueError, match="draw: y must depend on at most 2000 Values"):
        draw(y, inside=True)


def test_assigned_leaf_is_told_off_before_anything_is_opened():
    x, w = leaves()
    y = used_twice(jit(bump), x, w)
    x.data = 3.0
    for show in (draw, explain):
        with pytest.raises(ValueError, match=f"{show.__name__}: the graph must be as"):
            show(y, inside=True)


def test_compiled_call_plays():
    x, w = leaves()
    steps = player(jit(bump)(x, w) * 2).steps
    assert ["u = bump(x, w)", "= bump(1.5, 0.7)"] in [
        line[:2] for step in steps for line in step.lines
    ]


# ---- words ---------------------------------------------------------------------------


def test_explain_derives_a_short_compiled_function_in_symbols():
    x, w = leaves()
    text = explain(jit(bump)(x, w)).text
    assert "y = bump(x, w)" in text
    assert "∂y/∂x = ∂y/∂y · w·cos(x·w)·e^(sin(x·w)) = 1 · " in text


def test_explain_inside_is_that_of_eager_code():
    y = used_twice(jit(bump), *leaves())
    eager = used_twice(bump, *leaves())
    assert explain(y, inside=True).text == explain(eager).text


def test_explain_gives_numbers_for_a_long_compiled_function():
    def long(x):
        for _ in range(300):
            x = x * sin(x) + 1
        return x

    y = jit(long)(Value(0.5, label="x"))
    explanation = explain(y)
    assert f"dy/dx = {y.partials[0]:.8g}" in explanation.text
    assert len(explanation.markdown) < 500


def test_why_finds_the_cause_and_the_line_inside():
    f = jit(lambda x: sqrt(x) ** 2)
    x = Value(0.0, label="x")
    with record_lines():
        y = f(x) + 1
    (cause, *_) = why(y, x).causes
    assert (cause.kind, cause.node.op) == ("0·inf", "sqrt")
    assert cause.line is not None and "test_inside" in cause.line


def test_why_knows_values_before_and_after_a_call():
    x, w = leaves()
    before = x * 2
    y = jit(bump)(before, w)
    after = y + 1
    assert why(after, before).gradient == y.partials[0]
    assert why(after, y).gradient == 1.0
    assert why(before, after).causes[0].kind == "swapped"


def test_rounding_error_sees_the_cancellation_inside():
    x = Value(1e-4, label="x")
    found = rounding_error(jit(lambda x: 1 - cos(x))(x))
    expected = rounding_error(1 - cos(x))
    assert (
        (found.digits, found.total)
        == (expected.digits, expected.total)
        == (
            7,
            math.ulp(1.0) / 2,
        )
    )
    assert found.text == expected.text


# ---- sums over a batch ---------------------------------------------------------------


def squares(a, b, x, y):
    return (a * x + b - y) ** 2


def summed():
    a, b = Value(0.5, label="a"), Value(0.1, label="b")
    total = vmap(squares, in_axes=(None, None, 0, 0), reduce="sum")
    return total(a, b, [0.0, 1.0, 2.0], [1.0, 0.0, 3.0]) + a * a


def test_sum_over_a_batch_stays_one_card():
    y = summed()
    assert draw(y).dot.count("<B>sum_squares</B>") == 1
    assert draw(y, inside=True).dot.count("<B>sum_squares</B>") == 1
    assert [is_closed(node) for node in topological(y)] == [True, False, False]


def test_partial_of_a_sum_is_named_by_its_operand():
    text = explain(summed()).text
    assert "∂y/∂a = ∂y/∂u · 2·a + ∂y/∂v · D1_sum_squares(a, b)" in text
    assert "∂y/∂b = ∂y/∂v · D2_sum_squares(a, b) = " in text


def test_rounding_error_refuses_what_it_cannot_look_into():
    with pytest.raises(ValueError, match="rounding_error: every operation must be kn"):
        rounding_error(summed())
