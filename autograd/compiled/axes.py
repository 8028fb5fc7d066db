"""Which axis of each argument is the batch, where that is not simply the first.

`in_axes` may be a container in the place of one, and says then what each item is. The
arguments are taken apart down to where it has an axis or None; these pieces, each batch
with its axis in front, are the arguments of a function that puts them together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..primitives import brief
from ..trees import NUMBER, Container, Form, build, fill, is_array, parts

try:
    import numpy as np
except Exception:  # lists will do: see machine.py
    np = None  # type: ignore[assignment]


class Spread:
    """f of the pieces of its arguments."""

    def __init__(self, f: Callable[..., Any], form: Form) -> None:
        self.f, self.form = f, form
        self.__name__ = getattr(f, "__name__", "f")
        self.__qualname__ = getattr(f, "__qualname__", self.__name__)
        self.__module__ = getattr(f, "__module__", __name__)

    def __call__(self, *pieces: Any) -> Any:
        args, names = fill(self.form, pieces)
        return self.f(*args, **names)


class Pieces(NamedTuple):
    """A call taken apart: its pieces, the axis (or None) and the form they had."""

    trees: list[Any]
    axes: list[int | None]
    form: Form


def require_axes(in_axes: Any) -> None:
    """Refuse what is neither an axis nor None nor a container of such."""
    if in_axes is None or type(in_axes) is int:
        return
    found = parts(in_axes)
    if found is None:
        raise ValueError(
            "vmap: in_axes must be a whole number or None for each argument, or "
            f"containers of them, but is {brief(in_axes)}; 0 is the first axis, None "
            "shares the argument"
        )
    for item in found[0]:
        require_axes(item)


def are_plain(in_axes: Any) -> bool:
    """Whether each argument is a batch along its first axis, or shared."""
    axes = in_axes if isinstance(in_axes, (tuple, list)) else [in_axes]
    return all(axis is None or type(axis) is int and axis == 0 for axis in axes)


def taken_apart(
    args: Sequence[Any], axes: Sequence[Any], names: dict[str, Any]
) -> Pieces:
    """The pieces of a call; by name, what holds a batch is one along its first axis."""
    pieces = Pieces([], [], NUMBER)
    forms = tuple([_piece(arg, axis, pieces) for arg, axis in zip(args, axes)])
    sorted_names = tuple(sorted(names))
    named = [names[name] for name in sorted_names]
    by_name = tuple([_piece(x, 0 if _holds_batch(x) else None, pieces) for x in named])
    positional = Container(tuple, None, None, forms)
    keywords = Container(dict, sorted_names, None, by_name)
    whole = Container(tuple, None, None, (positional, keywords))
    return pieces._replace(form=whole)


def _holds_batch(tree: Any) -> bool:
    if isinstance(tree, list) or is_array(tree):
        return True
    found = parts(tree)
    return found is not None and any(map(_holds_batch, found[0]))


def _piece(tree: Any, axes: Any, pieces: Pieces) -> Form:
    if axes is None or type(axes) is int:
        pieces.trees.append(tree if axes is None else in_front(tree, axes))
        pieces.axes.append(None if axes is None else 0)
        return NUMBER
    wanted, found = parts(axes), parts(tree, "vmap: an argument")
    assert wanted is not None
    if found is None or len(found[0]) != len(wanted[0]):
        raise _unlike(tree, axes)
    items, names, rest = found
    inside = wanted[0]
    if names is not None and wanted[1] is not None:
        by_name = dict(zip(wanted[1], wanted[0]))
        if by_name.keys() != set(names):
            raise _unlike(tree, axes)
        inside = [by_name[name] for name in names]
    forms = tuple([_piece(x, axis, pieces) for x, axis in zip(items, inside)])
    return Container(type(tree), names, rest, forms)


def _unlike(tree: Any, axes: Any) -> ValueError:
    return ValueError(
        f"vmap: in_axes must have the containers of the argument, but is {brief(axes)} "
        f"for {brief(tree)}; write an axis or None for each item, or one for them all"
    )


def in_front(tree: Any, axis: int) -> Any:
    """The tree with that axis of each batch as its first one."""
    if axis == 0:
        return tree
    if is_array(tree):
        if not -tree.ndim <= axis < tree.ndim:
            raise _no_axis(axis, f"an array of shape {tree.shape}")
        return np.ascontiguousarray(np.moveaxis(tree, axis, 0))
    if isinstance(tree, list):
        return _turned(tree, axis + _depth(tree) if axis < 0 else axis, axis)
    found = parts(tree)
    if found is None:
        return tree
    items, names, rest = found
    return build(type(tree), names, rest, [in_front(x, axis) for x in items])


def _depth(tree: Any) -> int:
    depth = 0
    while isinstance(tree, list) and tree:
        tree, depth = tree[0], depth + 1
    return depth


def _turned(rows: Any, axis: int, named: int) -> list[Any]:
    """Lists of lists with that axis as the first one; errors name it as it was."""
    if axis == 0 and isinstance(rows, list):
        return rows
    if axis < 0 or not isinstance(rows, list) or not rows:
        raise _no_axis(named, brief(rows))
    columns = [_turned(row, axis - 1, named) for row in rows]
    if len(set(map(len, columns))) > 1:
        raise ValueError(
            f"vmap: lists must be as long as each other along axis {named}, but have "
            f"{sorted(set(map(len, columns)))} items; cut them alike"
        )
    return [list(column) for column in zip(*columns)]


def _no_axis(axis: int, what: str) -> ValueError:
    return ValueError(
        f"vmap: in_axes must name an axis of the batch, but is {axis} for {what}; "
        "count from 0, or from -1 backwards"
    )
