"""Random objects full of Values, changed at random between calls of what holds them.

world     lists, dicts, tuples, objects and arrays in each other, with Values for leaves
f         goes through the world: sums, products and branches, in the order it is in
change    a Value put elsewhere or assigned, items swapped, added or taken away, a
          container replaced by another, a number in place of a Value
text      some steps look at the text of a number, at a set, or swallow a refusal

After each change, `jit` and `vmap` give what f gives, and its derivatives reach the
Values that are there.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from seeds import seeds

import autograd as ag
from autograd import Value, grad, jit, value_and_grad, vmap

PROGRAMS = 20  # of each kind; raise it to search longer
CHANGES = 8


class Box:
    """An object with attributes."""

    a: Any


class Slots:
    __slots__ = ("a", "b")


def world(source: random.Random, depth: int = 3) -> Any:
    """A random tree of containers."""
    kind = source.choice(["list", "dict", "tuple", "box", "slots", "array"])
    if depth == 0 or source.random() < 0.15:
        return Value(source.choice([-2.0, -0.5, 0.25, 1.0, 3.0]))
    items = [world(source, depth - 1) for _ in range(source.choice([1, 2, 2, 3]))]
    if kind == "list":
        return items
    if kind == "dict":
        return {f"k{i}": item for i, item in enumerate(items)}
    if kind == "tuple":
        return tuple(items)
    if kind == "array":
        array = np.empty(len(items), dtype=object)
        array[:] = items
        return array
    made = Box() if kind == "box" else Slots()
    for name, item in zip(("a", "b"), items):
        setattr(made, name, item)
    return made


def children(tree: Any) -> list[tuple[Any, Any]]:
    """(key, item) for everything directly inside a container."""
    if isinstance(tree, (list, tuple, np.ndarray)):
        return list(enumerate(tree))
    if isinstance(tree, dict):
        return list(tree.items())
    if isinstance(tree, (Box, Slots)):
        return [
            (name, getattr(tree, name)) for name in ("a", "b") if hasattr(tree, name)
        ]
    return []


def put(tree: Any, key: Any, item: Any) -> None:
    if isinstance(tree, (Box, Slots)):
        setattr(tree, key, item)
    else:
        tree[key] = item


def containers(tree: Any) -> list[Any]:
    """All that can be written to, from the outside in."""
    inside = [x for _, item in children(tree) for x in containers(item)]
    return [tree, *inside] if children(tree) or type(tree) in (list, dict) else inside


def leaves(tree: Any) -> list[Value]:
    if type(tree) is Value:
        return [tree]
    return [leaf for _, item in children(tree) for leaf in leaves(item)]


def held(tree: Any) -> list[tuple[Any, Any]]:
    """Those of the children that have Values: what has none counts as a number, and
    stays what it was when f was traced."""
    return [(key, item) for key, item in children(tree) if leaves(item)]


def boxed(tree: Any) -> Box:
    box = Box()
    box.a = tree
    return box


def change(source: random.Random, root: Box) -> None:
    """Change the world somewhere, as programs do."""
    places = [c for c in containers(root) if not isinstance(c, tuple) and held(c)]
    if not places:
        return
    holder = source.choice(places)
    (key, item), (other, second) = (source.choice(held(holder)) for _ in range(2))
    how = source.random()
    if how < 0.35:
        put(holder, key, Value(source.gauss(0.0, 1.0)))
    elif how < 0.5:
        for leaf in leaves(item):
            leaf.data = source.gauss(0.0, 1.0)
    elif how < 0.62:
        put(holder, key, second)
        put(holder, other, item)
    elif how < 0.72:
        put(holder, key, second)  # twice there from now on
    elif how < 0.84:
        put(holder, key, world(source, 2))
    elif how < 0.9:
        put(holder, key, source.gauss(0.0, 1.0))
    elif isinstance(holder, list):
        holder.insert(key, Value(0.5)) if source.random() < 0.5 else holder.pop(key)
    elif isinstance(holder, dict) and source.random() < 0.5:
        holder[key] = holder.pop(key)  # the last one from now on
    elif isinstance(holder, dict):
        holder[f"new{len(holder)}"] = Value(-0.75)


def walker(source: random.Random, root: Box, odd: bool) -> Callable[[Any], Any]:
    """A function of one number that goes through the world."""
    branches, salt = source.random() < 0.5, source.random()
    oddity = source.choice(["text", "swallowed", "repr", "print"]) if odd else ""

    def f(x: Any) -> Any:
        total, k = x * salt, 0
        todo: list[Any] = [root]
        for tree in todo:
            for _, item in children(tree):
                k += 1
                if type(item) in (Value, float):
                    total = total + (item * x if k % 3 else ag.sin(item) * total)
                    if branches and total > 1.0:
                        total = total - item
                else:
                    todo.append(item)
        return peculiar(oddity, total, x)

    return f


def peculiar(oddity: str, total: Any, x: Any) -> Any:
    """The total, changed by something that no tape can have."""
    if oddity == "text":
        return total * float(f"{x:.0f}")
    if oddity == "repr":
        return total * len(f"{x:.3g}")
    if oddity == "print":
        return total + len(format(x, ".1f"))
    if oddity == "swallowed":
        with suppress(TypeError, ValueError):
            return total * round(x)
    return total


def quiet(f: Callable[..., Any], *args: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return f(*args)


def number(y: Any) -> float:
    return y.data if type(y) is Value else float(y)


def same(x: float, y: float) -> bool:
    return x == y or (math.isnan(x) and math.isnan(y))


def gradient(y: Any, root: Box) -> list[float]:
    """What backward() leaves in the leaves of the world."""
    found = leaves(root.a)
    for leaf in found:
        leaf.grad = 0.0
    if type(y) is Value:
        y.backward()
    return [leaf.grad for leaf in found]


def close(xs: list[float], ys: list[float]) -> bool:
    return all(same(x, y) or math.isclose(x, y, rel_tol=1e-9) for x, y in zip(xs, ys))


@pytest.mark.parametrize("odd", [False, True])
@pytest.mark.parametrize("seed", seeds(PROGRAMS // 10))
def test_random_worlds_are_read_as_they_are_at_each_call(seed: int, odd: bool) -> None:
    source = random.Random(f"{seed} {odd}")
    for _ in range(10):
        root = boxed([world(source), world(source, 2)])
        f = walker(source, root, odd)
        compiled, lanes, total = jit(f), vmap(f), vmap(f, reduce="sum")
        slope = jit(grad(f))
        for _ in range(CHANGES):
            for _ in range(source.choice([1, 1, 3])):
                x = source.choice([0.5, -1.25, 2.0, source.gauss(0.0, 2.0)])
                expected = f(x)
                found = quiet(compiled, x)
                assert type(found) is type(expected)
                assert same(number(found), number(expected))
                assert close(gradient(found, root), gradient(expected, root))
                two = quiet(lanes, [x, 1.5])
                assert close([*map(number, two)], [number(expected), number(f(1.5))])
                added = number(expected) + number(f(1.5))
                summed = quiet(total, [x, 1.5])
                assert math.isclose(number(summed), added, rel_tol=1e-9, abs_tol=1e-9)
                assert same(number(quiet(slope, x)), number(grad(f)(x)))
            change(source, root)


@pytest.mark.parametrize("seed", seeds(PROGRAMS // 20))
def test_random_worlds_have_outer_derivatives_through_what_is_put_there(
    seed: int,
) -> None:
    source = random.Random(seed)
    for _ in range(10):
        root = boxed([world(source), Value(1.0)])
        f = walker(source, root, False)
        compiled = jit(f)

        def through(inner: Any, w: Any, root: Box = root) -> Any:
            root.a[1] = w
            return inner(0.75)

        for _ in range(CHANGES):
            w = source.gauss(0.0, 1.0)
            expected = value_and_grad(lambda w: through(f, w))(w)  # noqa: B023
            found = value_and_grad(lambda w: through(compiled, w))(w)  # noqa: B023
            assert close([*map(number, found)], [*map(number, expected)])
            root.a[1] = Value(1.0)
            change(source, boxed(root.a[0]))
