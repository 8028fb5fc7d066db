"""What a call of a compiled function looks like: the form of its arguments.

A form (see `trees.py`) is hashable: calls whose arguments have the same form share what
was compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import itemgetter
from typing import Any

from .. import trees
from ..trees import NUMBER, Container, Form, fill


def described(form: Form) -> str:
    """The form of a call's arguments in a line.

    >>> args = ([1.0, 2.0, 3.0], {"w": (4.0, None)}), {"how": "fast"}
    >>> described(trees.flatten(args)[1])
    "([x] * 3, {'w': (x, None)}, how='fast')"
    """
    arguments, keywords = form.forms
    named = zip(keywords.names, map(trees.described, keywords.forms))
    texts = [trees.described(argument) for argument in arguments.forms]
    return f"({', '.join([*texts, *(f'{key}={text}' for key, text in named)])})"


def of_call(arguments: list[Form]) -> Form:
    """The form of a call without keywords."""
    positional = Container(tuple, None, None, tuple(arguments))
    return Container(tuple, None, None, (positional, Container(dict, (), None, ())))


def filler(form: Form) -> Callable[[tuple[Any, ...]], Any]:
    """`fill` for one form and many tuples of numbers."""
    if form == NUMBER:
        return itemgetter(0)
    flat = isinstance(form, Container) and set(form.forms) == {NUMBER}
    if flat and form.kind in (list, tuple):
        kind: Callable[[tuple[Any, ...]], Any] = form.kind
        return kind
    return partial(fill, form)
