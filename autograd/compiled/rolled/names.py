"""What the inputs of a tape are called: w[1][2] of nested lists is w[1, 2].

Every input has a name with a hole for each index, `layers[].w[]`, and the indices. What
has the same name is one array if no index is missing; else the first index goes into
the name: layers of different sizes are `layers[0].w[]` and `layers[1].w[]`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from math import prod
from typing import Any, Final, NamedTuple

from ...primitives import brief, clean
from ...trees import NUMBER, Array, Container, Form, Objects, Static

HOLE: Final = "[]"


class Named(NamedTuple):
    """A number by the name of the array that it is in, and its places there."""

    name: str
    places: tuple[int, ...] = ()


def of_arguments(form: Form, parameters: Sequence[str]) -> list[Named]:
    """The names of the numbers in the arguments of a call.

    >>> from autograd.trees import flatten
    >>> form = flatten((([[1.0, 2.0]], {"b": 3.0}), {}))[1]
    >>> of_arguments(form, ["w", "p"])
    [Named(name='w[][]', places=(0, 0)), Named(name='w[][]', places=(0, 1)), \
Named(name='p.b', places=())]
    """
    positional, keywords = form.forms
    extra = [f"x{i}" for i in range(len(parameters), len(positional.forms))]
    names = [*parameters[: len(positional.forms)], *extra, *keywords.names]
    forms = [*positional.forms, *keywords.forms]
    return [each for name, f in zip(names, forms) for each in _in(f, name, ())]


def of_call(
    f: Callable[..., Any], form: Form, labels: Sequence[str | None] = ()
) -> list[Named]:
    """The names of the inputs of a path: arguments by f's parameters, then Values.

    labels   of the Values that f closes over
    """
    closed = [of_label(label, i) for i, label in enumerate(labels)]
    return of_arguments(form, parameters_of(f)) + closed


def parameters_of(f: Callable[..., Any]) -> list[str]:
    """The names of the positional parameters of a function, as far as it tells.

    A transform's are those of the function that it was given:

    >>> from autograd import grad
    >>> parameters_of(grad(lambda w, x, *more: w))
    ['w', 'x']
    """
    from inspect import Parameter, signature  # which takes long to load

    try:
        found = signature(_transformed(f)).parameters.values()
    except (AttributeError, TypeError, ValueError):  # some in C have none
        return []
    kinds = Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD
    return [each.name for each in found if each.kind in kinds]


def _transformed(f: Any) -> Any:
    """What a transform of this package, which takes any arguments, passes them to."""
    package = __name__.partition(".")[0]
    while f.__module__.partition(".")[0] == package:
        cells = [cell.cell_contents for cell in getattr(f, "__closure__", ()) or ()]
        inner = next(filter(callable, cells), None)
        if inner is None:
            break
        f = inner
    return f


def of_label(label: str | None, otherwise: int) -> Named:
    """The name of a Value that was closed over: digits in its label are indices.

    >>> of_label("layers.0.neurons.2.w1", 0)
    Named(name='layers[].neurons[].w[]', places=(0, 2, 1))
    """
    if not label:
        return Named("closed[]", (otherwise,))
    label = _without_holes(label)
    index = [int(digits) for digits in re.findall(r"\d+", label)]
    name = re.sub(r"\.?\d+", HOLE, label)
    return Named("closed" * name.startswith(HOLE) + name, tuple(index))


def _in(form: Form, name: str, index: tuple[int, ...]) -> Iterator[Named]:
    if form == NUMBER:
        yield Named(name, index)
    elif isinstance(form, Container):
        keys = form.names or getattr(form.kind, "_fields", None)
        for i, (inner, each) in enumerate(zip(_places(form, keys), form.forms)):
            yield from _in(each, name + inner, index if keys else (*index, i))
    elif not isinstance(form, Static):
        each_form = _forms(form)
        places = product(*map(range, form.shape))
        for place, each in zip(places, each_form):
            yield from _in(each, name + HOLE * len(place), (*index, *place))


def _places(form: Container, keys: Any) -> list[str]:
    if keys is None:
        return [HOLE] * len(form.forms)
    return [
        f".{key}" if str(key).isidentifier() else f"[{_without_holes(brief(key))}]"
        for key in keys
    ]


def _without_holes(text: str) -> str:
    return clean(text).replace(HOLE, "[ ]")


def _forms(form: Array | Objects) -> Iterable[Form]:
    if isinstance(form, Objects):
        return form.forms
    return [NUMBER] * prod(form.shape)


def whole(names: Sequence[Named]) -> list[Named]:
    """The same with indices put into names, until every name is that of an array."""
    found = list(names)
    todo = [[*range(len(names))]]
    while todo:
        alike = _by_name(found, todo.pop())
        for members in alike:
            name = found[members[0]].name
            others = [found[other[0]].name for other in alike]
            inside = any(x.startswith((f"{name}[", f"{name}.")) for x in others)
            if not inside and _is_whole([found[k].places for k in members]):
                continue
            for nth, k in enumerate(members):
                found[k] = _named_alone(found[k], nth)
            todo.append(members)
    return found


def _named_alone(named: Named, nth: int) -> Named:
    """With its first index in its name, or, without any, with a number of its own."""
    name, index = named
    if not index:
        return Named(f"{name}_{nth + 1}", ())
    return Named(name.replace(HOLE, f"[{index[0]}]", 1), index[1:])


def _by_name(names: Sequence[Named], members: Iterable[int]) -> list[list[int]]:
    found: dict[str, list[int]] = {}
    for k in members:
        found.setdefault(names[k].name, []).append(k)
    return [*found.values()]


def _is_whole(places: Sequence[tuple[int, ...]]) -> bool:
    """Whether each place up to the last is there once."""
    return len({*places}) == len(places) == prod(shape_of(places))


def shape_of(places: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple([1 + max(axis) for axis in zip(*places)])
