"""What `explain` and the formula printer tell must be true, and complete."""

import math
import re

import pytest

from autograd import (
    Primitive,
    Value,
    dot,
    exp,
    grad,
    logsumexp,
    primitives,
    relu,
    sin,
    sqrt,
    stop_gradient,
    where,
)
from autograd.show.explain import MOST_PATHS, explain
from autograd.show.latex import (
    LATEX,
    PLAIN,
    formula,
    partial_formulas,
    row_formula,
)


def chain():
    x = Value(1.5, label="x")
    return x, exp(sin(x**2))


def test_explain_names_variables_as_a_teacher_would():
    _, y = chain()
    names = [explain(y).names[node] for node in explain(y).order]
    assert names == ["v", "u", "y"]


def test_explain_prints_every_formula_value_and_local_derivative():
    _, y = chain()
    text = explain(y).text
    for piece in [
        "v = x²", "= 2.25", "dv/dx = 2·x", "= 3",
        "u = sin(v)", "= 0.7780732", "du/dv = cos(v)", "= -0.62817362",
        "y = e^u", "= 2.177273", "dy/du = e^u",
        "dy/dx = dy/du · du/dv · dv/dx",
        "= 2.177273 · (-0.62817362) · 3",
        "= -4.1031165",
    ]:  # fmt: skip
        assert piece in text


def test_explain_keeps_labels_and_leaves_no_name_twice():
    x, a = Value(2.0, "x"), Value(3.0, "x")
    u = x * a
    u.label = "u"
    v = u.sin() + u.cos()
    v.label = "y"
    names = explain(v * 2).names
    assert names[x] == "x"
    assert names[a] == "x_2"
    assert names[u] == "u"
    assert names[v] == "y"
    assert len(set(names.values())) == len(names)


def test_explain_sums_every_path():
    x, y = Value(2.0, "x"), Value(3.0, "y")
    found = explain(x * y + x.sin() + x * x)
    by_leaf = {s.leaf.label: s for s in found.sensitivities}
    assert by_leaf["x"].count == 3
    products = [path.product for path in by_leaf["x"].paths]
    assert sorted(products) == sorted([3.0, math.cos(2.0), 4.0])
    assert [abs(p) for p in products] == sorted(map(abs, products), reverse=True)
    assert by_leaf["x"].derivative == pytest.approx(sum(products))
    assert by_leaf["y"].count == 1


def test_explain_counts_an_operand_used_twice_once_with_both_shares():
    x = Value(3.0, "x")
    assert "dy/dx = x + x" in explain(x * x).text
    assert explain(x * x).sensitivities[0].count == 1


def test_explain_says_what_the_paths_it_does_not_show_add_up_to():
    x = y = Value(2.0, "x")
    for _ in range(30):
        y = y + y.sin()
    (found,) = explain(y).sensitivities
    assert found.count == 2**30
    assert len(found.paths) == MOST_PATHS
    x_grad = grad(lambda x: _repeated(x))(2.0)
    assert found.derivative == pytest.approx(x_grad, rel=1e-12)
    shown = sum(path.product for path in found.paths)
    assert found.rest == pytest.approx(x_grad - shown)
    assert f"{2**30 - MOST_PATHS} more paths" in explain(y).text
    assert x.label == "x"


def _repeated(y):
    for _ in range(30):
        y = y + y.sin()
    return y


def test_explain_finds_the_largest_paths():
    x = Value(1.0, "x")
    branches = [x * (1.0 + k) for k in range(40)]
    (found,) = explain(dot(branches, [1.0] * 40)).sensitivities
    assert [p.product for p in found.paths] == [40.0 - k for k in range(MOST_PATHS)]


def test_explain_does_not_touch_gradients():
    x, y = chain()
    explain(y)
    assert not x.reached
    assert not y.reached


def test_explain_of_a_gradient_works():
    x = Value(1.5, label="x")
    slope = grad(lambda x: exp(sin(x * x)))(x)
    second = grad(grad(lambda x: exp(sin(x * x))))(1.5)
    (found,) = explain(slope).sensitivities
    assert found.derivative == pytest.approx(second, rel=1e-12)


def test_explain_leaves_out_what_a_select_left_out():
    x = Value(0.0, "x")
    y = where(x < 1, x, sqrt(x))
    assert "dy/dx = 1" in explain(y).text
    assert "x if x < 1 else" not in explain(y).text  # x < 1 is a plain bool here
    assert explain(relu(Value(-1.0, "x")) + 1.0).sensitivities == []
    assert explain(stop_gradient(x) * x).sensitivities[0].count == 1


def test_explain_summarises_a_large_graph_and_says_so():
    leaves = [Value(k / 100.0, f"w{k}") for k in range(300)]
    y = Value(0.0)
    for leaf in leaves:
        y = y * 0.9 + leaf.sin()
    text = explain(y).text
    assert len(text.splitlines()) < 150
    assert "more variables" in text
    assert "more inputs" in text


def test_explain_of_a_leaf_and_of_no_value():
    assert explain(Value(2.0, "x")).text == "x is an input: nothing to take apart"
    with pytest.raises(TypeError, match="explain: y must be a Value, but is 3.0"):
        explain(3.0)


def test_explain_refuses_a_graph_whose_leaf_was_assigned_since():
    x, y = chain()
    x.data = 2.0
    with pytest.raises(ValueError, match="'x' was assigned after"):
        explain(y)


def test_explain_shows_tables_and_formulas_in_a_notebook():
    x = Value(-2.0, "x")
    markdown = explain(abs(x) * x)._repr_markdown_()
    table = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(table) == 4
    assert {line.count("|") for line in table} == {5}
    assert r"\begin{aligned}" in markdown
    assert markdown.count("$$") == 2


def test_formula_puts_brackets_only_where_they_are_needed():
    x, y = Value(2.0), Value(3.0)
    names = {x: "x", y: "y"}
    for value, text in [
        ((x + y) * x, "(x + y)·x"),
        (x + y * x, "x + y·x"),
        (x - (y - x), "x - (y - x)"),
        (x / (y * x), "x/(y·x)"),
        (-(x + y), "-(x + y)"),
        ((x + y) ** 2, "(x + y)²"),
        (x**-1, "x⁻¹"),
        (x**0.5, "x^0.5"),
        (exp(-x), "e^(-x)"),
        (2 * x, "2·x"),
        (x * -1.0, "-x"),
        (sin(x) ** 2, "sin(x)²"),
    ]:
        assert formula(value, names) == text


def test_partial_formulas_are_what_the_rules_compute():
    """Every symbol in a partial is right: evaluated, it gives the recorded number."""
    meaning = dict(vars(primitives))
    meaning["e"] = math.e
    for row in list(meaning.values()):
        if not isinstance(row, Primitive) or row.arity not in (1, 2):
            continue
        if row.name in ("polygamma", "mod", "identity", "stop_gradient"):
            continue
        ranges = row.sample
        if not isinstance(ranges[0], tuple):
            ranges = (ranges,) * row.arity
        xs = [Value(low + 0.61 * (high - low)) for low, high in ranges]
        names = dict(zip(xs, "xy"))
        point = {name: x.data for x, name in names.items()}
        z = row(*xs)
        for symbols, partial in zip(partial_formulas(z, names), z._partials):
            if partial is not None:
                assert symbols is not None
                found = eval(_python(symbols), {**meaning, **point})
                assert found == pytest.approx(partial, rel=1e-6), (row.name, symbols)


def _python(symbols):
    for power, number in ("²", "**2"), ("³", "**3"), ("·", "*"), ("^", "**"):
        symbols = symbols.replace(power, number)
    return re.sub(r"\|([^|]*)\|", r"abs(\1)", symbols)


def test_every_row_prints_in_both_styles():
    for row in vars(primitives).values():
        if isinstance(row, Primitive):
            count = row.arity or 4
            xs = [Value(0.25 + 0.5 * k) for k in range(count)]
            args = [1.0, *xs[1:]] if row.name == "polygamma" else xs
            z = row(*args)
            names = dict(zip(xs, "xyuv"))
            for style in PLAIN, LATEX:
                text = row_formula(z, names, style)
                assert text and "?" not in text
                assert text.count("(") == text.count(")")
                assert text.count("{") == text.count("}")
                for partial in partial_formulas(z, names, style):
                    assert partial is None or "?" not in partial


def test_a_users_own_primitive_is_explained():
    cube = Primitive("cube", lambda x: x * x * x, lambda z, x: 3 * x * x)
    x = Value(2.0, "x")
    assert "y = cube(x)" in explain(cube(x)).text
    assert "dy/dx = 3·x·x" in explain(cube(x)).text
    assert r"\operatorname{cube}\left(x\right)" in explain(cube(x)).markdown


def test_wide_rows_count_what_they_do_not_show():
    xs = [Value(k / 10, f"w{k}") for k in range(50)]
    y = logsumexp(xs)
    assert "… 42 more" in explain(y).text


def test_latex_escapes_labels():
    x = Value(1.0, r"a_b%{c}\d")
    assert r"\text{a\_b\%\{c\}\textbackslash{}d}" in explain(x.sin()).latex
