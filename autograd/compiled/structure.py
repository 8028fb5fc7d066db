"""Nested containers taken apart into numbers and a form, which other numbers can fill.

A form is hashable: calls whose arguments have the same form share what was compiled.
What is no number (str, bool, None) belongs to the form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from math import prod
from operator import itemgetter
from typing import Any, Final, NamedTuple

from ..primitives import number
from ..transforms import _array, _is_array
from ..value import Value

Form = Any  # NUMBER, or one of the following
NUMBER: Final = "number"


class Static(NamedTuple):
    """What is the same at each call: it is compared by type, too, as 1 == True."""

    kind: type
    item: Any


class Items(NamedTuple):
    """A list or tuple (or named tuple) of forms."""

    kind: type
    forms: tuple[Form, ...]


class Entries(NamedTuple):
    """A dict of forms."""

    keys: tuple[Any, ...]
    forms: tuple[Form, ...]


class Array(NamedTuple):
    """An array of numbers."""

    shape: tuple[int, ...]


def flatten(tree: Any, what: str = "jit: an argument") -> tuple[list[Any], Form]:
    """The numbers and Values in a tree, and its form.

    >>> flatten({"w": [1.0, 2], "mode": "fast"})[0]
    [1.0, 2.0]

    Raises TypeError for anything else than numbers, str, bool, None and containers.
    """
    numbers: list[Any] = []
    return numbers, _form(tree, numbers, what)


def _form(tree: Any, numbers: list[Any], what: str) -> Form:
    kind = type(tree)
    if kind is float or kind is Value:
        numbers.append(tree)
        return NUMBER
    if kind in (str, bool, type(None), Static):
        return tree if kind is Static else Static(kind, tree)
    if isinstance(tree, (list, tuple)):
        return Items(kind, tuple([_form(item, numbers, what) for item in tree]))
    if isinstance(tree, dict):
        forms = tuple([_form(item, numbers, what) for item in tree.values()])
        return Entries(tuple(tree), forms)
    if _is_array(tree):
        for item in tree.ravel().tolist():
            _form(item if type(item) is Value else _number(item, what), numbers, what)
        return Array(tree.shape)
    numbers.append(_number(tree, what))
    return NUMBER


def _number(x: Any, what: str) -> float:
    operation, _, argument = what.partition(": ")
    try:
        return number(x, operation, argument)
    except TypeError:
        raise TypeError(
            f"{what} must be a number, a str, None or nested containers of them, but "
            f"is {type(x).__name__}; name its position in static_argnums, or let the "
            "function close over it"
        ) from None


def described(form: Form) -> str:
    """The form of a call's arguments in a line.

    >>> args = ([1.0, 2.0, 3.0], {"w": (4.0, None)}), {"how": "fast"}
    >>> described(flatten(args)[1])
    "([x] * 3, {'w': (x, None)}, how='fast')"
    """
    arguments, keywords = form.forms
    named = zip(keywords.keys, map(_described, keywords.forms))
    texts = [_described(argument) for argument in arguments.forms]
    return f"({', '.join([*texts, *(f'{key}={text}' for key, text in named)])})"


def _described(form: Form) -> str:
    if isinstance(form, Items):
        texts = list(map(_described, form.forms))
        if form.kind is list:
            alike = len(texts) > 1 and len(set(texts)) == 1
            return f"[{texts[0]}] * {len(texts)}" if alike else f"[{', '.join(texts)}]"
        name = form.kind.__name__ if form.kind is not tuple else ""
        return f"{name}({', '.join(texts)}{',' if len(texts) == 1 else ''})"
    if isinstance(form, Entries):
        entries = [f"{k!r}: {_described(f)}" for k, f in zip(form.keys, form.forms)]
        return f"{{{', '.join(entries)}}}"
    if isinstance(form, Array):
        return f"array of {form.shape}"
    return "x" if form == NUMBER else repr(form.item)


def fill(form: Form, numbers: Iterable[Any]) -> Any:
    """The tree of that form with these numbers.

    >>> numbers, form = flatten({"w": [1.0, 2.0], "mode": "fast"})
    >>> fill(form, [3.0, 4.0])
    {'w': [3.0, 4.0], 'mode': 'fast'}
    """
    return _filled(form, iter(numbers))


def filler(form: Form) -> Callable[[tuple[Any, ...]], Any]:
    """`fill` for one form and many tuples of numbers."""
    if form == NUMBER:
        return itemgetter(0)
    flat = isinstance(form, Items) and set(form.forms) == {NUMBER}
    if flat and form.kind in (list, tuple):
        kind: Callable[[tuple[Any, ...]], Any] = form.kind
        return kind
    return partial(fill, form)


def _filled(form: Form, numbers: Iterator[Any]) -> Any:
    if form == NUMBER:
        return next(numbers)
    if isinstance(form, Items):
        items = [_filled(item, numbers) for item in form.forms]
        return items if form.kind is list else _like_kind(form.kind, items)
    if isinstance(form, Entries):
        return {k: _filled(item, numbers) for k, item in zip(form.keys, form.forms)}
    if isinstance(form, Array):
        return _array([next(numbers) for _ in range(prod(form.shape))], form.shape)
    return form.item


def _like_kind(kind: type, items: list[Any]) -> Any:
    """A tuple, or a named tuple where kind is one."""
    return kind(*items) if hasattr(kind, "_fields") else tuple(items)
