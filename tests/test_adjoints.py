"""Adjoints as explain tells them: each once, right to every digit shown, and in bounds.

What is printed is read back and compared with the engine's own sweep.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import nn
from autograd import (
    Value,
    dot,
    exp,
    explain,
    jit,
    maximum,
    relu,
    sin,
    sqrt,
    tanh,
    where,
)
from autograd.show.explain.equations import SHORT, norm, number, sign_of, vector
from autograd.show.explain.explain import Explanation

XOR = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0.0, 1.0, 1.0, 0.0]
NUMBER = r"-?(?:\d+\.?\d*(?:e[+-]?\d+)?|inf|nan)"


def loss(widths: list[int], activation: str = "tanh", points: int = 4) -> Value:
    model = nn.MLP(2, widths, activation, seed=0)
    predictions = [model(x) for x in XOR[0][:points]]
    return nn.mse(predictions, XOR[1][:points])


def formula() -> Value:
    a, b, c = Value(2.0, "a"), Value(3.0, "b"), Value(4.0, "c")
    u = a * b
    return u + u.sin() + (c * u - a / c).tanh() * exp(-b)


def recurrent() -> Value:
    """A tanh network that reads five numbers, one after the other."""
    w, u, b = Value(0.5, "w"), Value(0.3, "u"), Value(0.1, "b")
    h: Value | float = 0.0
    for x in [1.0, 0.5, -1.0, 2.0, 0.3]:
        h = tanh(w * h + u * x + b)
    assert isinstance(h, Value)
    return h


def by_hand() -> Value:
    """A 2-2-1 net of plain Values without labels."""
    v = [Value(0.1 * k - 0.35) for k in range(9)]
    h = [tanh(v[0] * 0.5 - v[1] + v[2]), tanh(v[3] * 0.5 - v[4] + v[5])]
    return (v[6] * h[0] + v[7] * h[1] + v[8] - 1.0) ** 2


def with_left_out() -> Value:
    a, b = Value(1.5, "a"), Value(2.0, "b")
    chosen = where(a < b, a, sqrt(b)) * relu(-b * a)
    return maximum(a * a, sin(b)) + chosen + relu(b)


def with_calls() -> Value:
    x, w = Value(0.7, "x"), Value(0.3, "w")
    f = jit(lambda a, b: a.sin() * b + a)
    return f(x, w) * f(w, x) + x


def not_finite() -> Value:
    a = Value(0.0, "a")
    return sqrt(a) ** 2 + a.log() * a


def twice_the_label() -> Value:
    return Value(1.0, "x") * Value(2.0, "x") + Value(3.0, "x").sin()


GRAPHS: list[Callable[[], Value]] = [
    formula, recurrent, by_hand, with_left_out, with_calls, not_finite, twice_the_label,
    lambda: loss([3, 1], points=1),
    lambda: loss([3, 2, 1], "relu", 1),
    lambda: nn.cross_entropy(nn.MLP(2, [2, 3], "tanh", seed=1)([0.5, -1.0]), 2),
]  # fmt: skip
each_graph = pytest.mark.parametrize("graph", GRAPHS)


def equations(text: str) -> Iterator[tuple[str, str]]:
    """(left side, all that it equals) for each equation, continuation lines joined."""
    left, right = "", ""
    for line in [*text.splitlines(), ""]:
        found = re.match(r"  (\S.*?) +([=≈] .*)$", line)
        if found or not line.startswith("   "):
            if left:
                yield left, right
            left, right = (found[1], found[2]) if found else ("", "")
        else:
            right += " " + line.strip()


def told_adjoints(found: Explanation) -> dict[str, str]:
    """The last number of each equation for an adjoint, by the adjoint's name."""
    told = {}
    for left, right in equations(found.text):
        if left.startswith(("∂", "δ", "d")):
            result = re.split("[=≈] ", right)[-1].removesuffix(" (left out)")
            if re.fullmatch(NUMBER, result):
                told[left] = result
    return told


def swept(y: Value, values: list[Value]) -> dict[Value, float]:
    """The engine's own adjoints, leaves from 0."""
    for x in values:
        if not x.args:
            x.grad = 0.0
    y.backward()
    return {x: x.grad for x in values}


@each_graph
def test_every_adjoint_told_is_the_engines(graph: Callable[[], Value]) -> None:
    y = graph()
    found = explain(y)
    told = told_adjoints(found)
    values = [*found.sweep.rows, *found.leaves]
    bars = swept(y, values)
    assert len(told) >= len(values)
    for x in values:
        name = found.sweep.adjoint(x, SHORT)
        assert told[name] == number(bars[x]), name


@each_graph
def test_each_adjoint_is_told_once_and_before_it_is_used(
    graph: Callable[[], Value],
) -> None:
    text = explain(graph()).text
    vectors, _, told = text.partition("Backward: each adjoint once")
    loss = [left for left, _ in equations(vectors) if left.startswith("∂")]
    seen = [left for left in loss if not re.search("∂[Wba]", left)]
    assert told.count(" = ") >= 5
    for left, right in equations(told):
        if left.startswith(("∂", "δ")):
            symbols = right.split(" = ")[0]
            used = re.findall(r"(?:∂\S+/∂\S+|δ\S+) · ", symbols)
            assert {name.removesuffix(" · ") for name in used} <= set(seen), left
            seen.append(left)
    assert len(seen) == len(set(seen))


@each_graph
def test_products_that_are_told_give_what_is_told_or_say_about(
    graph: Callable[[], Value],
) -> None:
    """Where the sign is =, the numbers as printed give the result as printed."""
    tried = 0
    for left, right in equations(explain(graph()).text):
        found = re.search(rf"= ([-()\d.e+ ·]+) ([=≈]) ({NUMBER})$", right)
        if found and left.startswith(("∂", "δ")) and "·" in found[1]:
            value = eval(found[1].replace("·", "*"))
            same = f"{value + 0.0:.6g}" == found[3]
            assert same == (found[2] == "="), (left, right)
            assert value == pytest.approx(float(found[3]), rel=2e-5, abs=1e-6)
            tried += 1
    assert tried >= 2 or graph is not_finite


def test_signs_say_whether_printed_numbers_are_exact() -> None:
    assert sign_of([[0.25, 4.0], [1.0]], 2.0) == "="
    assert sign_of([[1 / 3, 3.0]], 1.0) == "≈"
    assert sign_of([[2 / 3, 0.5]], 1 / 3, digits=8) == "≈"
    assert sign_of([[math.nan]], math.nan) == "="
    assert sign_of([[-0.0]], 0.0) == "="


def test_vectors_show_eight_numbers_and_count_the_rest() -> None:
    assert vector([0.5] * 8).text == "= [" + ", ".join(["0.5"] * 8) + "]"
    assert vector([0.5] * 10).text.endswith("0.5, … 2 more]")
    assert norm([3.0, 4.0]) == 5.0
    assert math.isinf(norm([math.inf]))


# ---- room ----------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 132])
@each_graph
def test_no_line_is_wider_than_the_terminal(
    graph: Callable[[], Value], columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    y = graph()
    node = explain(y).leaves[0]
    for found in explain(y), explain(y, node), explain(y, paths=True):
        assert max(map(len, found.text.splitlines())) <= columns


def test_a_chain_keeps_to_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    x = Value(1.5, "a name of quite some length")
    monkeypatch.setenv("COLUMNS", "44")
    text = explain(exp(sin(x**2))).text
    assert max(map(len, text.splitlines())) <= 44
    assert "-4.1031165" in text


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_a_network_of_eight_and_eight_is_told_in_eighty_lines(
    activation: str, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for seed in range(5):
        model = nn.MLP(2, [8, 8, 1], activation, seed=seed)
        y = nn.mse([model(x) for x in XOR[0]], XOR[1])
        assert len(explain(y).text.splitlines()) <= 80


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("points", [1, 2, 4])
def test_a_network_of_three_is_told_in_seventy_lines(
    activation: str, points: int
) -> None:
    assert len(explain(loss([3, 1], activation, points)).text.splitlines()) <= 70


# ---- one adjoint, and paths ----------------------------------------------------------


def test_an_adjoint_is_opened_by_its_users_and_theirs() -> None:
    x = Value(2.0, "x")
    u = x.sin()
    v = u * x
    text = explain(v.exp() + u, u).text
    assert text.splitlines() == [
        "∂y/∂w, the adjoint of w, opened",
        "  ∂y/∂w = ∂y/∂y · 1 + ∂y/∂v · x = 1 · 1 + 6.16319 · 2 = 13.3264",
        "",
        "What uses it",
        "  y     = u + w = 7.07249",
        "  ∂y/∂y = 1",
        "  v     = w·x = 1.81859",
        "  ∂y/∂v = ∂y/∂u · e^v = 1 · 6.16319 = 6.16319",
        "",
        "What uses that, in turn",
        "  ∂y/∂u = ∂y/∂y · 1 = 1",
    ]


def test_an_adjoint_deep_in_a_network_is_opened_by_its_neurons_name() -> None:
    model = nn.MLP(2, [8, 8, 1], "tanh", seed=0)
    y = nn.mse([model(x) for x in XOR[0]], XOR[1])
    bias = model.layers[0].neurons[1].b
    text = explain(y, bias).text
    y.backward()
    assert text.startswith("∂L/∂b₁[1], the adjoint of b₁[1], opened\n")
    assert number(bias.grad) in text
    assert "  z₁⁽⁴⁾[1] = W₁[1,0]·x⁽⁴⁾[0] + W₁[1,1]·x⁽⁴⁾[1] + b₁[1] = " in text
    assert "and so on, up to ∂L/∂L = 1" in text


def test_an_adjoint_that_nothing_reaches_says_so() -> None:
    a = Value(-1.0, "a")
    y = relu(a) + Value(1.0, "b")
    text = explain(y, a).text
    assert "∂y/∂a = 0 (left out)" in text
    assert "Nothing hands anything on to it; it went into relu." in text


def test_a_value_inside_a_neuron_can_be_opened() -> None:
    y = loss([3, 1], points=1)
    for node in explain(y).order:
        assert number(explain(y).adjoints[node]) in explain(y, node).text


def test_explain_refuses_a_node_from_elsewhere() -> None:
    x = Value(1.0, "x")
    with pytest.raises(ValueError, match="node must be a Value that y was computed"):
        explain(x.sin(), Value(1.0))
    with pytest.raises(TypeError, match="switches are given by name"):
        explain(x.sin(), True)  # type: ignore[arg-type]


def test_opened_adjoints_lie_inside_compiled_calls_too() -> None:
    x = Value(0.5, "x")
    y = jit(lambda x: x.sin() * x)(x) + x
    text = explain(y, x, inside=True).text
    assert "cos(x)" in text and "sin(x)" in text


def test_products_of_paths_are_counted_for_this_graph() -> None:
    x = Value(0.5, "x")
    y = x
    for _ in range(3):
        y = y.sin() + y
    text = explain(y).text
    paths, factors = 2**3, [6, 5, 5, 5, 4, 4, 4, 3]
    work = sum(factor - 1 for factor in factors)
    words = (
        f"{paths} products of up to 6 factors, {work} multiplications; by adjoints 7."
    )
    assert f"Each path on its own (paths=True): {words}" in text.replace("\n ", "")


@pytest.mark.parametrize("seed", range(20))
def test_the_count_of_paths_is_that_of_listing_them(seed: int) -> None:
    rng = random.Random(seed)
    nodes = [Value(0.5 + k, f"p{k}") for k in range(3)]
    for _ in range(7):
        nodes.append(rng.choice(nodes).sin() * rng.choice(nodes[-4:]))
    y = nodes[-1]
    found = explain(y, paths=True)
    lengths = []
    todo = [(y, 0)]
    while todo:
        node, length = todo.pop()
        todo += [(parent, length + 1) for parent in set(node.parents)]
        lengths += [] if node.args else [length]
    line = found.text.partition("Each path on its own: ")[2].partition(".")[0]
    numbers = [int(x) for x in re.findall(r"\d+", line)]
    sweeps = sum(len(set(n.parents)) for n in found.order if n is not y)
    work = sum(length - 1 for length in lengths)
    assert numbers == [len(lengths), max(lengths), work, sweeps]


def test_paths_are_shown_where_they_are_asked_for() -> None:
    y = formula()
    assert "∂u/∂t · dt/ds" not in explain(y).text
    text = explain(y, paths=True).text
    assert "∂y/∂a = " in text and "∂u/∂t · dt/ds" in text
    assert explain(y).text.splitlines()[:10] == text.splitlines()[:10]


# ---- formulas ------------------------------------------------------------------------


def test_formulas_are_written_as_a_textbook_has_them() -> None:
    w = [Value(0.5, "w0"), Value(2.0, "w1")]
    x, v = [Value(1.0, "x0"), Value(3.0, "x1")], Value(2.0, "v")
    for y, text in [
        (dot(w, x), "w0·x0 + w1·x1"),
        (dot([v], [v]), "v²"),
        (dot([v, w[0]], [v, -2.0]), "v² - 2·w0"),
        (v * v, "v²"),
        (math.e**v, "e^v"),
    ]:
        assert f"y = {text} " in explain(y).text
    text = explain(v * v * v).text
    assert "∂y/∂v = ∂y/∂y · u + ∂y/∂u · 2·v = 1 · 4 + 2 · 4 = 12" in text
    assert "dy/dv = e^v" in explain(math.e**v).text
    assert "v + v" not in explain(v * v).text


def test_a_local_derivative_that_is_a_sum_stands_in_brackets() -> None:
    x, w = Value(0.5, "x"), Value(0.3, "w")
    text = explain((x * w).tanh() + w).text
    assert "· (1 - tanh(v)²)" in text
    assert "∂y/∂x · (-w)" not in text
    assert "∂y/∂y · (-1)" in explain(x - x * w).text


# ---- programs drawn at random --------------------------------------------------------

ROWS = [sin, tanh, sqrt, abs, relu, lambda x: x.sigmoid(), lambda x: x.floor()]
PAIRS = [
    lambda x, y: x + y, lambda x, y: x - y, lambda x, y: x * y, lambda x, y: x / y,
    lambda x, y: x**2 - y, maximum, lambda x, y: where(x < y, x, y * y),
    lambda x, y: dot([x, y, x], [y, 2.0, x]),
]  # fmt: skip


@pytest.mark.parametrize("seed", range(60))
def test_programs_drawn_at_random_are_told_right(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    labels: list[str | None] = rng.choice([["x", "y"], ["x", "x"], [None, "u"]])
    values = [Value(rng.choice([0.0, 1.0, rng.gauss(0, 1)]), x) for x in labels]
    for _ in range(rng.randint(2, 30)):
        x, y = rng.choice(values[-5:]), rng.choice(values)
        row: Any = rng.choice(ROWS + PAIRS)
        values.append(row(x) if row in ROWS else row(x, y))
    width = rng.choice([50, 80])
    monkeypatch.setenv("COLUMNS", str(width))
    found = explain(values[-1])
    assert max(map(len, found.text.splitlines())) <= width
    assert "?" not in found.text + found.markdown
    if found.is_chain or not found.order:
        return
    told = told_adjoints(found)
    rows = [*found.sweep.rows, *found.leaves]
    for x, bar in swept(values[-1], rows).items():
        assert told[found.sweep.adjoint(x, SHORT)] == number(bar)


# ---- on a page, in a real Chromium ---------------------------------------------------

PAGE = """<!doctype html><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><body>{}</body>"""


@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize(
    "graph", [formula, recurrent, with_left_out, lambda: loss([8, 8, 1])]
)
def test_every_adjoint_stands_inside_the_page(
    graph: Callable[[], Value], width: int, open_page: Any
) -> None:
    found = explain(graph())
    options = {"viewport": {"width": width, "height": 800}, "is_mobile": True}
    for told in found, explain(found.y, found.leaves[0]):
        tab = open_page(PAGE.format(told.html), **options)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        ends = tab.evaluate(
            "[...document.querySelectorAll('td')]"
            ".map(cell => cell.getBoundingClientRect().right)"
        )
        assert ends and max(ends) <= width


def test_the_page_has_the_colours_of_where_it_stands() -> None:
    page = explain(formula()).html
    assert "color" not in page and "background" not in page
