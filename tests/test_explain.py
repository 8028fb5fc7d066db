"""What `explain` and the formula printer tell must be true, and complete."""

import math
import re
import time
import unicodedata
from xml.etree import ElementTree

import pytest

from autograd import (
    Primitive,
    Value,
    dot,
    erf,
    exp,
    grad,
    logsumexp,
    primitives,
    relu,
    sin,
    special,
    sqrt,
    stop_gradient,
    where,
)
from autograd.show.explain.explain import MOST_NODES, explain
from autograd.show.explain.paths import MOST_PATHS
from autograd.show.explain.summary import MOST_LEAVES
from autograd.show.latex import (
    LATEX,
    PLAIN,
    formula,
    made_by,
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
        "= e^u · cos(v) · 2·x",
        "= 2.177273 · (-0.62817362) · 3",
        "≈ -4.1031165",
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
    assert "dy/dx = 2·x" in explain(x * x).text
    assert explain(x * x).sensitivities[0].count == 1


def test_explain_says_what_the_paths_it_does_not_show_add_up_to():
    x = y = Value(2.0, "x")
    for _ in range(30):
        y = y + y.sin()
    (found,) = explain(y, paths=True).sensitivities
    assert found.count == 2**30
    assert len(found.paths) == MOST_PATHS
    x_grad = grad(lambda x: _repeated(x))(2.0)
    assert found.derivative == pytest.approx(x_grad, rel=1e-12)
    shown = sum(path.product for path in found.paths)
    assert found.rest == pytest.approx(x_grad - shown)
    assert f"{2**30 - MOST_PATHS} more paths" in explain(y, paths=True).text
    assert x.label == "x"


def _repeated(y):
    for _ in range(30):
        y = y + y.sin()
    return y


def test_explain_finds_the_largest_paths():
    x = Value(1.0, "x")
    branches = [x * (1.0 + k) for k in range(40)]
    (found,) = explain(dot(branches, [1.0] * 40), paths=True).sensitivities
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
    off = explain(relu(Value(-1.0, "x")) + 1.0)
    assert "u = relu(x)" in off.text
    assert "dy/dx = 0" in off.text
    assert len(off.text.splitlines()) == 6
    assert "du/dx = nan" in explain(Value(-1.0, "x").log() + 1.0).text
    assert explain(stop_gradient(x) * x).sensitivities[0].count == 1


def network(count):
    """A chain of tanh(y·w + w′) with so many weights."""
    weights = [Value(math.sin(3.0 * k), f"w{k}") for k in range(count)]
    y = Value(1.0, "x")
    for k, w in enumerate(weights):
        y = (y * w + weights[k - 1]).tanh()
    return weights, y


def test_explain_summarises_a_large_graph_and_says_so():
    weights, y = network(300)
    found = explain(y)
    text = found.text
    assert len(text.splitlines()) < 60
    assert f"takes 900 operations, 900 in a row, on {len(found.leaves)} inputs" in text
    for op in "mul", "add", "tanh":
        assert re.search(rf"^  {op} +300$", text, re.MULTILINE)
    y.backward()
    largest = max(weights, key=lambda w: abs(w.grad))
    inputs = text.partition("Inputs with the largest adjoints")[2].splitlines()
    assert inputs[2].split() == [
        largest.label,
        PLAIN.number(largest.data),
        PLAIN.number(largest.grad),
    ]


def test_the_summary_counts_what_it_does_not_show():
    _, y = network(300)
    found = explain(y)
    assert "… and 890 more variables" in found.text
    assert f"… and {len(found.leaves) - MOST_LEAVES} more inputs" in found.text
    assert "exactly 0" not in found.text
    assert found.markdown.count("$v_{") == len(re.findall("<td[^>]*>v", found.html))
    assert 8 < found.markdown.count("$v_{") < 60
    lost = explain(y * 0.0 + Value(1.0, "b"))
    for out in lost.text, lost.markdown, lost.html:
        assert "900 adjoints are exactly 0" in out
        assert "… and 900 more variables" in out
        assert "Smallest" not in out


def test_the_summary_shows_the_extremes_of_the_adjoints_that_are_not_zero():
    _, y = network(300)
    found = explain(y)
    sizes = sorted(abs(found.adjoints[node]) for node in found.order)
    sizes = [size for size in sizes if size]
    _, _, rest = found.text.partition("Largest adjoints")
    large, _, rest = rest.partition("Smallest adjoints that are not 0")
    small, _, _ = rest.partition("…")

    def column(part):
        rows = [line.split() for line in part.splitlines()[2:]]
        return [abs(float(row[-1])) for row in rows if row]

    assert column(large) == pytest.approx(sizes[:-6:-1], rel=1e-7)
    assert column(small) == pytest.approx(sizes[:5], rel=1e-7)


def test_the_summary_keeps_rows_of_many_operands_short():
    layer = [Value(0.1, f"layers.0.neurons.{k}.w") for k in range(200)]
    odd = Primitive("a|b_<c>", lambda *xs: sum(xs), lambda z, *xs: [1.0] * len(xs))
    y = odd(*layer)
    for _ in range(60):
        y = y * 1.0
    found = explain(dot([y, *layer[1:100]], layer[100:]))
    assert "y = dot of 200 operands" in found.text
    assert r"$y = \text{dot of 200 operands}$" in found.markdown
    assert max(map(len, found.text.splitlines())) <= 80
    for row in found.markdown.splitlines():
        assert row.count("|") in (0, 3, 4)
    assert "a|b" not in found.text


def test_a_chain_of_sixty_operations_is_not_summarised():
    y = Value(1.0, "x")
    for _ in range(60):
        y = y * 0.5
    assert len(explain(y).sensitivities[0].paths[0].steps) == 60
    assert "Backward: the chain rule" in explain(y).text
    assert "Operations" in explain(y * 0.5).text


def test_a_graph_of_forty_operations_has_a_row_for_each():
    x = y = Value(0.9, "x")
    for _ in range(MOST_NODES // 2):
        y = y * x + x
    text = explain(y).text
    assert "Operations" not in text
    assert len(re.findall("^  ∂y/∂.* = ", text, re.MULTILINE)) == MOST_NODES + 1
    assert "Operations" in explain(y + x).text


def test_explain_of_ten_thousand_operations_takes_less_than_a_second():
    _, y = network(3334)
    times = []
    for _ in range(3):
        start = time.process_time()
        found = explain(y)
        assert found.text and found.markdown and found.html
        times.append(time.process_time() - start)
    assert min(times) < 1.0


def test_names_of_many_inputs_with_one_label_are_found_in_linear_time():
    leaves = [Value(1.0, "w") for _ in range(20_000)]
    start = time.process_time()
    names = list(explain(dot(leaves, leaves)).names.values())
    assert time.process_time() - start < 5.0
    assert names[:3] == ["w", "w_2", "w_3"]
    assert len(set(names)) == len(names) == 20_001


@pytest.mark.parametrize(
    "name", [name for name, row in vars(primitives).items() if type(row) is Primitive]
)
def test_adjoints_that_are_shown_are_those_of_a_sweep(name):
    row = getattr(primitives, name)
    args = [Value(0.25 + 0.5 * k) for k in range(row.arity or 4)]
    if name == "polygamma":
        args[0] = Value(1.0).data
    y = row(*args) * 3.0
    found = explain(y)
    y.backward()
    for node, adjoint in found.adjoints.items():
        assert adjoint == node.grad or node.grad != node.grad


HOSTILE = "</script><b>&amp;\"'|$$`*_{}^~%#\\\u202e\x00\n" + "z" * 10_000


def hostile():
    x = Value(-2.0, HOSTILE)
    u = abs(x) * x
    u.label = HOSTILE
    return u + x.sin()


def test_html_holds_the_table_and_the_chain_rule():
    x, y = chain()
    page = explain(y).html
    for cell in "v = x²", "0.7780732", "du/dv = cos(v) = -0.62817362", "2.177273":
        assert cell in page
    assert ">y = e^u</td>" in page
    assert "dy/dx = dy/du · du/dv · dv/dx" in page


def test_html_of_any_label_is_text_and_well_formed():
    for y in hostile(), logsumexp([hostile() for _ in range(40)]):
        page = explain(y).html
        tree = ElementTree.fromstring(page)
        tags = {element.tag for element in tree.iter()}
        assert tags <= {
            "div", "p", "pre", "table", "caption", "thead", "tbody", "tr", "th", "td",
        }  # fmt: skip
        assert "</script><b>&amp;" in "".join(tree.itertext())
        assert len(page) < 60_000


def test_no_output_holds_a_control_or_bidirectional_character():
    found = explain(hostile())
    for out in found.text, found.markdown, found.latex, found.html:
        odd = {c for c in out if unicodedata.category(c)[0] == "C"}
        assert odd <= {"\n"}
        assert "z" * 41 not in out


def test_markdown_of_any_label_keeps_its_tables_and_formulas():
    for y in hostile(), logsumexp([hostile() for _ in range(40)]):
        markdown = explain(y).markdown
        rows = [line for line in markdown.splitlines() if line.startswith("|")]
        assert rows
        assert {line.count("|") for line in rows} <= {3, 4}
        for line in rows:
            dollars = re.findall(r"(?<!\\)\$", line)
            assert len(dollars) % 2 == 0
        assert not re.search("<[/b]|`", markdown)


def test_a_label_with_an_equal_sign_does_not_split_its_formula():
    x = Value(2.0, "a = b")
    assert r"\frac{dy}{d\text{a }=\text{ b}} &= 2" in explain(x * 2).latex


def test_labels_that_clip_to_the_same_name_stay_apart():
    x, y = Value(1.0, "a" * 100 + "1"), Value(2.0, "a" * 100 + "2")
    found = explain(x * y)
    assert found.names[x] != found.names[y]
    assert found.names[x] == "a" * 39 + "…"


def test_a_label_of_blanks_is_no_name():
    names = explain(Value(1.0, " \n").sin()).names
    assert sorted(names.values()) == ["x", "y"]


@pytest.mark.parametrize("order", [1, 2, 3])
def test_explain_takes_apart_a_derivative_of_any_order(order):
    def f(x):
        return sin(x * x)

    derivative = f
    for _ in range(order):
        derivative = grad(derivative)
    x = Value(0.7, "x")
    found = explain(derivative(x))
    assert found.names[x] == "x"
    assert len(set(found.names.values())) == len(found.names)
    exact = grad(derivative)(0.7)
    assert found.sensitivities[0].derivative == pytest.approx(exact, rel=1e-12)
    assert "?" not in found.text + found.markdown


def test_copies_that_a_transform_makes_are_numbered():
    x = Value(0.7, "x")
    found = explain(grad(lambda x: x.sin() * x)(x))
    assert "x_2 = x " in found.text
    assert "| $x_{2}$ | $0.7$ | $= x$ |" in found.markdown


def test_wide_rows_count_the_local_derivatives_they_do_not_show():
    xs = [Value(k / 10, f"w{k}") for k in range(50)]
    found = explain(dot(xs, [1.0] * 50))
    assert "+ w7 + … 42 more" in found.text
    assert "… 42 more" in found.html.replace("\u00a0", " ")
    assert r"\text{… 42 more}" in found.markdown
    assert "w9" not in found.text.partition("Backward")[0]


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
    assert len(table) == 4 + 4 + 3
    assert {line.count("|") for line in table} == {4}
    assert "$$" not in markdown
    markdown = explain(abs(x).sin()).markdown
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
    meaning |= {"e": math.e, "inerfc": lambda n, x: special.erfcx(n, x) * exp(-x * x)}
    meaning |= {"φ": lambda x: exp(-x * x / 2) / math.sqrt(2 * math.pi)}
    meaning |= {"Φ": lambda x: (1 + erf(x / math.sqrt(2))) / 2}
    meaning |= {"π": math.pi}
    meaning |= {"j1": lambda t: special.spherical_bessel(1.0, t / math.pi)}
    for row in list(meaning.values()):
        if not isinstance(row, Primitive) or row.arity not in (1, 2):
            continue
        if row.name in ("polygamma", "mod", "identity", "stop_gradient"):
            continue
        if row.name == "_spherical_bessel":  # its order is part of its name
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
    assert "dy/dx = 3·x²" in explain(cube(x)).text
    assert r"\operatorname{cube}\left(x\right)" in explain(cube(x)).markdown


def test_wide_rows_count_what_they_do_not_show():
    xs = [Value(k / 10, f"w{k}") for k in range(50)]
    y = logsumexp(xs)
    assert "… 42 more" in explain(y).text


def test_latex_keeps_special_characters_of_labels_out_of_text():
    x = Value(1.0, r"a_b%{c}\d")
    shown = r"\text{a}\_\text{b}\%\{\text{c}\}\backslash\text{d}"
    assert shown in explain(x.sin()).latex


# What MathJax and KaTeX both know without an extension.
MATHJAX = r"""\begin \end \frac \partial \cdot \quad \text \left \right \vert \lfloor
    \rfloor \lceil \rceil \operatorname \sqrt \sin \cos \tan \arcsin \arccos \arctan
    \sinh \cosh \tanh \ln \log \Gamma \psi \sigma \max \min \bmod \le \ge \ne \infty
    \displaystyle \pi \_ \\ \$ \{ \} \& \% \# \backslash \lt \gt \sim \wedge \approx
    \delta \varepsilon \Phi \varphi \odot \sum \,"""


def assert_mathjax(latex):
    commands = set(re.findall(r"\\(?:[a-zA-Z]+|.)", latex))
    assert commands <= set(MATHJAX.split())
    inside = re.findall(r"\\text\{([^}]*)\}", latex)
    assert not any(set(text) & set(r"\$&#%_^{}<>|`") for text in inside)
    bare = re.sub(r"\\[{}]", "", latex)
    depth = 0
    for c in bare:
        depth += {"{": 1, "}": -1}.get(c, 0)
        assert depth >= 0
    assert depth == 0
    pairs = [
        len(re.findall(rf"\\{side}(?![a-z])", latex)) for side in ("left", "right")
    ]
    assert pairs[0] == pairs[1]


def test_latex_of_every_row_is_what_mathjax_renders():
    for row in vars(primitives).values():
        if isinstance(row, Primitive):
            xs = [Value(0.25 + 0.5 * k, f"w_{k}") for k in range(row.arity or 12)]
            args = [1.0, *xs[1:]] if row.name == "polygamma" else xs
            found = explain(row(*args) * 2)
            assert_mathjax(found.latex)
            for cell in re.findall(r"\$([^$]+)\$", found.markdown):
                assert_mathjax(cell)
    assert_mathjax(explain(hostile()).latex)


def test_table_cells_of_every_row_hold_no_bar():
    for row in vars(primitives).values():
        if isinstance(row, Primitive):
            xs = [Value(0.25 + 0.5 * k) for k in range(row.arity or 4)]
            args = [1.0, *xs[1:]] if row.name == "polygamma" else xs
            markdown = explain(row(*args) * 2).markdown
            table = [line for line in markdown.splitlines() if line.startswith("|")]
            assert {line.count("|") for line in table} == {4}, row.name


@pytest.mark.parametrize("exponent, shown", [("inf", "inf"), ("-inf", "(-inf)")])
def test_powers_that_are_not_finite_have_formulas(exponent, shown):
    x = Value(2.0, label="x")
    assert f"y = x^{shown} " in explain(x ** float(exponent)).text
    assert formula(x**math.nan, {x: "x"}) == "x^nan"
    assert r"^{\infty}" in formula(x**math.inf, {x: "x"}, LATEX)


def test_no_formula_shows_the_underscore_of_a_private_row():
    rows = [row for row in vars(primitives).values() if isinstance(row, Primitive)]
    private = [row for row in rows if row.name[0] == "_"]
    assert len(private) > 10
    for row in private:
        operands = {Value(1.0): name for name in "xywv"[: row.arity or 2]}
        z = row(*operands)
        shown = [formula(z, operands), explain(z).text, *partial_formulas(z, operands)]
        assert not [text for text in shown if re.search(r"(?<!\w)_", text or "")]
        assert not made_by(z).startswith("_")
    assert made_by(Primitive("_own", abs, 1.0)(Value(1.0))) == "_own"


def test_formulas_name_the_normal_density_and_distribution():
    x = Value(0.7, label="x")
    y = x.gelu()
    assert partial_formulas(y, {x: "x"}) == ["Φ(x) + x·φ(x)"]
    written = r"\Phi\left(x\right) + x \cdot \varphi\left(x\right)"
    assert partial_formulas(y, {x: "x"}, LATEX) == [written]
    half = math.sqrt(0.5)
    assert formula(0.5 * (-(x + 1) * half).erfc(), {x: "x"}) == "Φ(x + 1)"
    other = 0.5 * (-x * 0.7).erfc() + 0.25 * (-x * half).erfc() + x / math.sqrt(6.28)
    assert "Φ" not in formula(other, {x: "x"}) and "φ" not in formula(other, {x: "x"})


def test_formulas_say_what_a_plain_condition_came_to():
    x = Value(0.3, label="x")
    names = {x: "x"}
    assert row_formula(where(x < 1, x, sqrt(x)), names) == "(x if true else sqrt(x))"
    assert row_formula(where(x > 1, x, sqrt(x)), names) == "(x if false else sqrt(x))"
    assert r"\text{true}" in row_formula(where(x < 1, x, sqrt(x)), names, LATEX)


def test_formulas_of_long_sums_have_their_first_terms():
    xs = [Value(float(k), label=f"x{k}") for k in range(20_000)]
    names = {x: x.label for x in xs}
    assert formula(sum(xs[:3]), names) == "x0 + x1 + x2"
    assert formula(xs[0] + xs[1] * -2 + -xs[2], names) == "x0 - 2·x1 - x2"
    assert formula(sum(xs[:1]), names) == "x0"
    shown = " + ".join(f"x{k}" for k in range(8))
    assert formula(sum(xs[:8]), names) == shown
    assert formula(2 * sum(xs), names) == f"2·({shown} + … 19992 more)"
    assert formula((0.0 + xs[1]) + 0.0, names) == "x1"
