"""Names that a textbook would give, and none that is near one of the user's."""

from __future__ import annotations

import pytest

from autograd import Value, dot
from autograd.show.latex import LATEX
from autograd.show.names import (
    family,
    free_letters,
    input_values,
    layer_heading,
    neuron_name,
    variable_names,
    vector_name,
    weight_name,
)
from autograd.value import topological


def names_of(y: Value) -> dict[Value, str]:
    order = topological(y)
    return variable_names(y, order, input_values(y, order))


def test_layers_count_from_one_and_their_entries_from_zero() -> None:
    assert vector_name("δ", 10) == "δ₁₀"
    assert neuron_name("a", 2, 11, width=12, point=10) == "a₂⁽¹⁰⁾[11]"
    assert neuron_name("b", 3, 0, width=1) == "b₃"
    assert weight_name(1, 0, 12) == "W₁[0,12]"
    assert layer_heading(3) == "layer 3"


@pytest.mark.parametrize(
    "name, latex",
    [
        ("z₁", "z_{1}"),
        ("a₂⁽¹⁰⁾[11]", "a_{2}^{(10)}[11]"),
        ("W₁[0,12]", "W_{1}[0,12]"),
        ("δ₃", r"\delta_{3}"),
        ("x₁₂", "x_{12}"),
        ("x⁽²⁾[0]", "x^{(2)}[0]"),
        ("W[0]", "W[0]"),
        ("W[a]", r"\text{W[a]}"),
    ],
)
def test_names_are_set_in_latex_as_a_textbook_sets_them(name: str, latex: str) -> None:
    assert LATEX.name(name) == latex


@pytest.mark.parametrize("label", ["x", "X", "x0", "x_2", "x₁", "x[3]", "model.x7"])
def test_no_name_is_near_a_label(label: str) -> None:
    a = Value(1.0, label=label)
    given = [name for x, name in names_of(dot([a, Value(2.0)], [3.0, 1.0])).items()]
    assert family(given[0]) == "x"
    assert not [name for name in given[1:] if family(name) == "x"]
    several = [a, *map(Value, [2.0, 3.0, 4.0])]
    given = list(names_of(dot(several, several)).values())
    assert not [name for name in given[1:] if family(name) == "x"]
    assert len(set(given)) == 5


def test_a_word_is_near_no_letter() -> None:
    assert free_letters("xu", ["xs", "user", "rate.u"]) == ["x"]
    names = names_of(Value(1.0, label="xs") * Value(2.0))
    assert list(names.values()) == ["xs", "y", "x"]


def test_many_results_are_numbered_with_a_letter_that_is_free() -> None:
    y = v = Value(0.5, label="v0")
    for _ in range(30):
        y = y.sin() * v
    names = list(names_of(y).values())
    assert names[:2] == ["v0", "y"] and "u₁" in names and "u₅₉" in names
    assert not [name for name in names[1:] if name[0] == "v"]


def test_no_letter_is_left_and_every_name_is_still_its_own() -> None:
    letters = [Value(1.0, label=c) for c in "abcdefghijklmnopqrstuvwxyz"]
    y = dot(letters, [1.0] * 26).sin() * Value(1.0) * Value(2.0)
    names = list(names_of(y).values())
    assert len(set(names)) == len(names) == 32
    assert {"input1", "input2", "node1", "node3", "result1"} <= set(names)
