"""Any name is text: of a row, a label, a compiled function, in every view."""

from __future__ import annotations

import json
import re
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

import autograd
from autograd import (
    Primitive,
    Value,
    check_grads,
    detect_anomaly,
    draw,
    explain,
    grad,
    jit,
    player,
    rounding_error,
    sin,
    vmap,
    why,
)
from autograd.compiled import source
from autograd.primitives import clean
from nn import MLP, Module, Neuron

NAMES = [
    "x_{max}", "f{1}", "{0}", "{", "}", "{{}}", "{all}", "{0.real}", "{!r}", "%s",
    "%(x)s", "$x$", "\\", "\\alpha", "\\N", "\\end{aligned}", "&", "&lt;", "<b>",
    "</script>", "<lambda>", "]]>", "<!--", "'", '"', '""""', "`", "a|b", "#", "~", "^",
    "_", "*x*", "a\nb", "\r\n", "\t", "\0", "\x1b[31m", "\x7f", "\u202e", "\u2028",
    "\ud800", "é", "\u0301", "∂", "👍", "a b", " ", "", "1", "add", "where", "sin",
    "floor", "stop_gradient", "_gaussian", "__class__", "v1", "x0", "inf", "nan",
    "class", "n" * 300, "{" * 300, "<" * 300,
]  # fmt: skip
DRAWN = [
    "x_{max}", "\\", "\\N", "&lt;", "<b>", "</script>", "]]>", "'", '"', "a|b", "a\nb",
    "\0", "\u202e", "\ud800", "\u0301", "", "add", "<" * 300,
]  # fmt: skip
each_name = pytest.mark.parametrize("name", NAMES, ids=[ascii(n[:12]) for n in NAMES])

each_drawn = pytest.mark.parametrize("name", DRAWN, ids=[ascii(n[:12]) for n in DRAWN])


def row(name: str) -> Primitive:
    return Primitive(name, lambda x: 2.0 * x, lambda z, x: 2.0)


def rows(name: str) -> list[Primitive]:
    """With one argument, with two, with any number, and with a template of its own."""
    return [
        row(name),
        Primitive(name, lambda x, y: x * y, lambda z, x, y: y, lambda z, x, y: x),
        Primitive(name, lambda *xs: sum(xs), lambda z, *xs: [1.0] * len(xs)),
        Primitive(name, lambda x: x, 1.0, latex=r"\phi_{{{0}}}"),
    ]


def graph(name: str) -> tuple[Value, Value]:
    """A result and an input, with the name on rows, on labels, and on neither alone."""
    one, two, many, own = rows(name)
    x, w = Value(0.5, label=name), Value(1.5, label="layers.0.w0")
    inner = two(one(x), w)
    inner.label = name
    y = own(many(inner, x, 1.0, two(w, 3.0)).sin())
    y.backward()
    return y, x


def plain(text: str) -> None:
    """Printable, with no character that leaves its line or cannot be encoded."""
    text.encode()
    for c in text:
        assert c == "\n" or unicodedata.category(c)[0] != "C", ascii(text)


def balanced(latex: str) -> None:
    """Braces and \\left … \\right in pairs, as TeX reads them."""
    latex.encode()
    depth = 0
    for token in re.findall(r"\\.|[{}]", latex, re.DOTALL):
        depth += {"{": 1, "}": -1}.get(token, 0)
        assert depth >= 0, latex
    assert depth == 0, latex
    assert latex.count(r"\left") == latex.count(r"\right"), latex


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.append(tag)


def tags(text: str) -> list[str]:
    """The tags of a page: no name may add one."""
    text.encode()
    parser = Tags()
    parser.feed(text)
    parser.close()
    return parser.seen


@each_name
def test_name_is_shown_as_it_is_on_a_line(name: str) -> None:
    x = Value(0.5, label="x")
    y = row(name)(x)
    shown = clean(name).strip() or "?"
    assert y.op == name and f"y = {shown}(x)" in explain(y).text
    assert f"{shown}(x = 0.5)" in why(y, x).text or "nothing" in why(y, x).text


@each_drawn
def test_name_stands_in_the_drawing(name: str) -> None:
    text = "".join(ET.fromstring(draw(row(name)(Value(0.5))).svg()).itertext())
    assert (clean(name).strip() or "?")[:20] in text


@each_name
def test_name_keeps_formulas_whole(name: str) -> None:
    y, x = graph(name)
    told = explain(y)
    plain(told.text)
    balanced(told.latex)
    for formula in re.findall(r"\$([^$]*)\$", told.markdown.replace(r"\$", "")):
        balanced(formula)
    plain(told.markdown)
    widths = {
        len(re.findall(r"(?<!\\)\|", line))
        for line in told.markdown.splitlines()
        if line.startswith("|")
    }
    assert len(widths) <= 1
    plain_tags, _ = tags(told.html), told.html.encode()
    assert plain_tags == tags(explain(graph("plain")[0]).html)


@each_drawn
def test_name_keeps_drawings_whole(name: str) -> None:
    y, _ = graph(name)
    for drawing in draw(y), draw(y, inside=True):
        root = ET.fromstring(drawing.svg())
        shapes = [element.tag for element in root.iter()]
        if not clean(name).strip():
            continue  # a label that shows as nothing has no text of its own
        assert shapes == [
            e.tag for e in ET.fromstring(draw(graph("p")[0]).svg()).iter()
        ]


@each_drawn
def test_name_keeps_the_player_whole(name: str) -> None:
    page, other = player(graph(name)[0]), player(graph("plain")[0])
    assert tags(page.html) == tags(other.html)
    ET.fromstring(page.animated_svg())
    steps = re.search(
        r'type="application/json"[^>]*>(.*?)</script>', page.html, re.DOTALL
    )
    if steps:
        json.loads(steps[1])


@each_name
def test_name_keeps_causes_and_bounds_whole(name: str) -> None:
    y, x = graph(name)
    for told in why(y, x), rounding_error(y), why((y * 0.0).relu(), x):
        plain(told.text)
        plain(told.markdown)


@each_name
def test_row_of_any_name_computes_and_compiles_alike(name: str) -> None:
    one, two, many, own = rows(name)

    def f(x: Any, w: Any) -> Any:
        return own(sin(many(two(one(x), w), x, 1.0)))

    eager = f(0.5, 1.5), grad(f, (0, 1))(0.5, 1.5)
    compiled = jit(f)
    assert (compiled(0.5, 1.5), jit(grad(f, (0, 1)))(0.5, 1.5)) == eager
    assert vmap(f)([0.5, 0.5], [1.5, 1.5]) == [eager[0]] * 2
    text = str(compiled.tape())
    plain(text)
    assert len(text.splitlines()) == 7
    python = source.compile(compiled.tape())
    assert python.scalar([0.5, 1.5])[0] == (eager[0],)
    assert vmap(grad(f))([0.5] * 9, [1.5] * 9) == [eager[1][0]] * 9


def test_users_row_is_not_taken_for_the_row_of_the_table_it_is_named_after() -> None:
    for name in autograd.__all__:
        if isinstance(getattr(autograd, name), Primitive):
            y, x = graph(name)
            assert f"{name}(" in explain(row(name)(x)).text
            assert rounding_error(row(name)(Value(0.1))).total > 0.0
            assert why(y, x).text and draw(y).dot


@each_drawn
def test_compiled_function_of_any_name_is_shown(name: str) -> None:
    def f(x: Any) -> Any:
        return (x * x).sin()

    f.__name__ = name
    x = Value(0.5, label="x")
    y = jit(f)(x) + 1
    assert y.parents[0].op == (name if name.isidentifier() else "f")
    y.backward()
    told = explain(y)
    plain(told.text)
    balanced(told.latex)
    for inside in False, True:
        ET.fromstring(draw(y, inside=inside).svg())
    tags(player(y).html)
    plain(rounding_error(y).text)
    plain(why(y, x).text)
    total = vmap(f, reduce="sum")
    z = total([x, Value(1.0)])
    balanced(explain(z).latex)
    ET.fromstring(draw(z).svg())


@each_name
def test_errors_of_a_row_of_any_name_are_short_and_printable(name: str) -> None:
    one, two, many, _ = rows(name)
    x = Value(0.5, label=name)
    wrong = Primitive(name, lambda *xs: 1.0, lambda z, *xs: [])
    bad = Primitive(name, lambda x: float("nan"), lambda z, x: 7.0)
    calls: list[Callable[[], Any]] = [
        lambda: one(x, x),
        lambda: one("1"),
        lambda: one(x, None),
        lambda: two(x, "1"),
        lambda: many([x], [x, x]),
        lambda: wrong(x, x),
        lambda: setattr(one(x), "data", 1.0),
        lambda: setattr(one(x), "grad", 1.0),
        lambda: Primitive(name, lambda x: x),
        lambda: Primitive(name, lambda x: x, 1.0, latex="{1}"),
        lambda: check_grads(Primitive(name, lambda x: x, 7.0), (0.5,)),
        lambda: anomaly(bad, x),
        lambda: stale(one),
        lambda: draw(repr(x)),
        lambda: explain(name),
        lambda: rounding_error(bad(x)),
    ]
    for call in calls:
        with pytest.raises(
            (TypeError, ValueError, AssertionError, ArithmeticError)
        ) as e:
            call()
        plain(str(e.value))
        assert len(str(e.value)) < 600
    plain(repr(one))


def anomaly(bad: Primitive, x: Value) -> None:
    with detect_anomaly():
        bad(x)


def stale(one: Primitive) -> None:
    x = Value(1.0)
    y = one(x)
    x.data = 2.0
    draw(y)


def test_result_of_a_row_without_a_name_is_no_parameter() -> None:
    class Holder(Module):
        def __init__(self) -> None:
            self.w = Value(1.0)
            self.kept = row("")(self.w)

    assert [name for name, _ in Holder().named_parameters()] == ["w"]


@each_drawn
def test_module_with_any_attribute_draws_and_explains(name: str) -> None:
    class Model(Module):
        def __init__(self) -> None:
            vars(self)[name] = Neuron(2, activation=row(name))
            self.label_parameters()

    model = Model()
    y = vars(model)[name]([0.5, 1.0])
    y.backward()
    ET.fromstring(draw(y).svg())
    balanced(explain(y).latex)
    plain(explain(y).text)
    tags(player(y).html)


@each_drawn
def test_activation_of_any_name_is_shown_by_a_network(name: str) -> None:
    from nn import backprop_table

    model = MLP(2, [2, 1], activation=row(name), seed=1)
    table = backprop_table(model, [0.5, 1.0], 1.0)
    plain(table.text)
    plain(table.markdown)
    repr(model).encode()
    ET.fromstring(model.draw([0.5, 1.0]).svg()) if hasattr(model, "draw") else None


@pytest.mark.parametrize(
    "latex",
    ["{1}", "{2}", "x_{max}", "{", "}", "{0.a}", "{0!q}", "{}{}", 5],
)
def test_template_that_cannot_be_filled_in_is_refused_when_the_row_is_made(
    latex: Any,
) -> None:
    with pytest.raises(
        ValueError, match="^cube: latex must be a template of .* but is"
    ):
        Primitive("cube", lambda x: x**3, lambda z, x: 3 * x * x, latex=latex)


def test_template_of_a_row_is_filled_in_as_documented() -> None:
    norm = Primitive(
        "n", lambda *xs: sum(xs), lambda z, *xs: [1.0] * len(xs), latex="[{all}]"
    )
    x, y = Value(1.0, label="x"), Value(2.0, label="y")
    assert "[x, y]" in explain(norm(x, y)).markdown
