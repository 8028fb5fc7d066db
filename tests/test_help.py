"""What help(), inspect, dir and repr say: of rows, Values, functions and models."""

from __future__ import annotations

import inspect
import io
import math
import pickle
import pydoc
import re
from typing import Any

import pytest

import autograd as ag
import nn
from autograd import Primitive, Value, grad, jit, record_lines, sin, vmap
from autograd.show.help import WORDS, described
from nn import MLP, SGD, Adam, Layer, Module

ROWS = {name: row for name, row in vars(ag).items() if isinstance(row, Primitive)}


def text_of(x: Any) -> str:
    """What help(x) prints, without bold letters."""
    return pydoc.plain(pydoc.render_doc(x))


# ---- rows ----------------------------------------------------------------------------


def test_help_of_a_row_says_what_it_is_and_its_derivative() -> None:
    said = text_of(sin)
    assert "sin(x): the sine of x, an angle in radians" in said
    assert "∂/∂x    cos(x)" in said and "domain  every number" in said
    assert "class Primitive" not in said


def test_help_of_a_row_says_its_domain_and_its_edges() -> None:
    said = text_of(ag.log)
    assert "domain  0.0 to inf, NaN elsewhere" in said
    assert "log(0.0) = -inf, ∂/∂x = inf" in said


def test_help_of_a_row_says_where_a_select_has_which_derivative() -> None:
    assert re.search(r"∂/∂x +0 at \(-\d.*\); 1 at \(\d", text_of(ag.relu))


def test_help_of_where_says_which_operand_the_condition_selects() -> None:
    said = described(ag.where)
    assert re.search(r"∂/∂x +0 at \(0, .*\); 1 at \(1, ", said)
    assert re.search(r"∂/∂y +1 at \(0, .*\); 0 at \(1, ", said)
    assert "∂/∂condition  0\n" in said


def test_help_of_mod_keeps_a_remainder_together() -> None:
    assert "-floor(x/y - (x mod y)/y + 0.5)" in described(ag.mod)


@pytest.mark.parametrize("name", ROWS)
def test_help_of_each_row_has_words_derivatives_and_every_edge(name: str) -> None:
    row, said = ROWS[name], described(ROWS[name])
    assert name in WORDS and WORDS[name] in said
    assert not re.search(r"(?<!\w)_", said)  # of no private row
    assert said.count("∂/∂") == (row.arity or 2) + sum(len(e[2]) for e in row.edges)
    for args, value, _ in row.edges:
        assert f"{name}({', '.join(map(repr, args))}) = {value!r}" in said
    assert row.__doc__ == said and max(map(len, said.splitlines())) < 120


def test_words_are_of_rows_alone() -> None:
    assert set(WORDS) == set(ROWS)


def test_help_of_the_class_is_its_own() -> None:
    assert Primitive.__doc__ is not None
    assert Primitive.__doc__.startswith("One row of the table")
    assert "partials one rule" in text_of(Primitive)


def test_help_of_a_row_of_ones_own_is_read_off_it_too() -> None:
    def cube(x: Any) -> Any:
        """The third power of x."""
        return x * x * x

    row = Primitive("cube", cube, lambda z, x: 3 * x * x)
    assert described(row).startswith("cube(x): The third power of x.\n\n∂/∂x    3·x²\n")
    broken = Primitive("broken", cube, lambda z, x: {}["no"])
    assert "∂/∂x    as its rule gives it" in described(broken)
    plain = Primitive("plain", lambda a, b: a + b, 1.0, 1.0)
    assert described(plain).startswith("plain(a, b): a row of one's own")


# ---- signatures ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "what, said",
    [
        (sin, "(x, /)"),
        (ag.atan2, "(y, x, /)"),
        (ag.leaky_relu, "(x, slope=0.01, /)"),
        (ag.where, "(condition, x, y, /)"),
        (ag.add, "(x, y, /)"),
        (ag.hypot, "(*xs)"),
        (Value(1.0).clip, "(lo, hi, /)"),
        (Value(1.0).leaky_relu, "(slope=0.01, /)"),
        (Value(1.0).sin, "()"),
        (Value(1.0).backward, "()"),
        (jit(lambda x, y=2.0: x * y), "(x, y=2.0)"),
        (vmap(lambda x, y: x * y), "(x, y)"),
        (jit(grad(lambda x: x * x)), "(*args, **kwargs)"),
        (jit(sin), "(x, /)"),
    ],
)
def test_signature_says_how_it_is_called(what: Any, said: str) -> None:
    found = inspect.signature(what)
    empty = inspect.Parameter.empty
    bare = [p.replace(annotation=empty) for p in found.parameters.values()]
    plain = found.replace(parameters=bare, return_annotation=empty)
    assert str(plain) == said


def test_signature_of_value_is_that_of_its_twin_in_python() -> None:
    found = inspect.signature(Value).parameters
    assert list(found) == ["data", "label"] and found["label"].default is None
    assert list(inspect.signature(Primitive).parameters)[:3] == [
        "name", "value", "partials",
    ]  # fmt: skip


def test_signature_of_a_method_is_that_of_the_function() -> None:
    class Model:
        @jit
        def loss(self, x: Any, y: Any = 1.0) -> Any:
            return x * y

    assert list(inspect.signature(Model().loss).parameters) == ["x", "y"]


@pytest.mark.parametrize("module", [ag, nn])
def test_every_public_function_and_method_has_a_signature_and_words(
    module: Any,
) -> None:
    for name in module.__all__:
        x = getattr(module, name)
        if name == "accelerated":
            continue
        assert inspect.signature(x) is not None
        assert inspect.getdoc(x), name
        for method, member in inspect.getmembers(x) if inspect.isclass(x) else ():
            if not method.startswith("_"):
                assert inspect.getdoc(member), (name, method)
                if callable(member):
                    assert inspect.signature(member) is not None, (name, method)


def test_a_compiled_class_has_no_function_of_its_own() -> None:
    compiled = jit(sin)
    assert compiled.__wrapped__ is sin
    assert not hasattr(type(compiled), "__wrapped__")
    assert pickle.loads(pickle.dumps(compiled)).__wrapped__ is sin


# ---- names and reprs -----------------------------------------------------------------


@pytest.mark.parametrize("module", [ag, nn])
def test_dir_shows_what_is_public(module: Any) -> None:
    shown = [name for name in dir(module) if not name.startswith("__")]
    assert shown == sorted(module.__all__)


def test_unknown_name_is_told_with_the_module_to_look_in() -> None:
    with pytest.raises(AttributeError) as error:
        ag.sinn  # type: ignore[attr-defined]  # noqa: B018
    assert (error.value.name, error.value.obj) == ("sinn", ag)


class Line(Module):
    def __init__(self) -> None:
        self.slope = Value(2.0)


def test_reprs_say_what_it_is() -> None:
    model, v = MLP(2, [3, 1], seed=0), Value(0.5)
    f = jit(lambda x: x if x > 0 else -x)
    said = [repr(f)] + [repr(f) for _ in map(f, (1.0, -1.0))]
    assert [text.replace("<jit of <lambda>", "f") for text in said] == [
        "f: 0 paths>", "f: 1 path>", "f: 2 paths>",
    ]  # fmt: skip
    assert repr(vmap(sin, in_axes=(0,), reduce="mean")) == (
        "<vmap of sin, in_axes=(0,), reduce='mean'>"
    )
    assert repr(record_lines()) == "<record_lines(): enter it by with>"
    assert repr(SGD([v], lr=0.1)) == (
        "SGD(1 parameter(s), lr=0.1, momentum=0.0, weight_decay=0.0)"
    )
    assert repr(Line()) == "<Line of 1 parameter(s)>"
    shown = [f, vmap(sin), record_lines(), ag.detect_anomaly(), model, Layer(2, 1)]
    shown += [SGD([v], lr=0.1), Adam([v]), nn.History(), Line(), sin, v, v.sin()]
    shown += [ag.draw(v), ag.explain(v), ag.player(v.sin()), ag.why(v.sin(), v)]
    shown += [ag.rounding_error(v.sin()), model.draw(), f.paths, f.path(), f.tape()]
    assert not [x for x in shown if " object at 0x" in repr(x) or not repr(x)]


def test_text_of_a_value_in_an_f_string_is_its_number() -> None:
    v = Value(0.1, label="v")
    assert f"{v}" == "0.1" and f"{v:.3f}" == "0.100" and f"{v!r:.5}" == "Value"
    assert f"{v:>8}" == "     0.1" and f"{Value(math.inf)}" == "inf"


def test_tqdm_shows_the_number_of_a_value() -> None:
    tqdm = pytest.importorskip("tqdm")
    with tqdm.tqdm(total=1, disable=False, file=io.StringIO()) as bar:
        bar.set_postfix(loss=Value(0.123456))
        assert bar.postfix == "loss=0.123"
