"""The programs that benchmarks race, each written once for any kind of number.

They run on floats, on Values, and on the numbers of other packages alike, so that a
ratio compares what the numbers cost and nothing else. What kind it is shows only in the
functions that are passed in: `value` makes a number, `sin` and `relu` take one.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

LINKS = 1000  # of the chain: one sin, one mul and one add each
POINTS = 100
WIDTHS = (2, 16, 16, 1)
HALF_TURN = math.pi

Function = Callable[[Any], Any]
Neurons = list[tuple[list[Any], Any]]  # of one layer: (weights, bias) of each


def chain(x: Any, w: Any, b: Any, sin: Function, links: int = LINKS) -> Any:
    """y ← sin(y) · w + b, again and again: as deep as it has operations."""
    y = x
    for _ in range(links):
        y = sin(y) * w + b
    return y


def tree(x: Any, nodes: int) -> Any:
    """Products of one leaf, added in pairs: as wide as half its nodes."""
    level = [x * 1.5 for _ in range(nodes // 2)]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2])
        level = [left + right for left, right in pairs] + level[len(level) & ~1 :]
    return level[0]


def expression(a: Any, b: Any, relu: Function) -> Any:
    """The example of micrograd's README."""
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + relu(b + a)
    d += 3 * d + relu(b - a)
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    return g


def rosenbrock(x: Sequence[Any]) -> Any:
    """Σ 100 (x_{i+1} - x_i²)² + (1 - x_i)²."""
    return sum(100 * (v - u**2) ** 2 + (1 - u) ** 2 for u, v in zip(x, x[1:]))


def spiked_rosenbrock(x: Sequence[Any], exp: Function, sin: Function) -> Any:
    """exp(sin(x₀²)) and the same, added up in a loop: any kind of number can that."""
    y = exp(sin(x[0] ** 2))
    for u, v in zip(x, x[1:]):
        y = y + 100.0 * (v - u * u) ** 2 + (1.0 - u) ** 2
    return y


# ---- a network, operation by operation -----------------------------------------------


def weights() -> list[float]:
    """All 337 weights of MLP(2,16,16,1) in order: each neuron's own, then its bias."""
    source = random.Random(1)
    count = sum((nin + 1) * nout for nin, nout in zip(WIDTHS, WIDTHS[1:]))
    return [source.uniform(-1.0, 1.0) for _ in range(count)]


def layered(parameters: Sequence[Any]) -> list[Neurons]:
    """The parameters in the order of `weights`, neuron by neuron."""
    rest = iter(parameters)
    return [
        [([next(rest) for _ in range(nin)], next(rest)) for _ in range(nout)]
        for nin, nout in zip(WIDTHS, WIDTHS[1:])
    ]


def network(layers: Sequence[Neurons], x: Sequence[Any], relu: Function) -> Any:
    """The result for one point; the last layer, of one neuron, is linear."""
    *hidden, last = layers
    for neurons in hidden:
        x = [relu(weighted(w, x, b)) for w, b in neurons]
    ((w, b),) = last
    return weighted(w, x, b)


def network_with_dot(
    layers: Sequence[Neurons], x: Sequence[Any], relu: Function, dot: Any
) -> Any:
    """The same network, where b + Σ wᵢ xᵢ is a product of vectors and one sum."""
    *hidden, last = layers
    for neurons in hidden:
        x = [relu(dot(w, x) + b) for w, b in neurons]
    ((w, b),) = last
    return dot(w, x) + b


def weighted(w: Sequence[Any], x: Sequence[Any], b: Any) -> Any:
    """b + Σ wᵢ xᵢ, one product and one sum at a time."""
    z = b
    for w_i, x_i in zip(w, x):
        z = z + w_i * x_i
    return z


def mean_hinge(scores: Sequence[Any], labels: Sequence[float], relu: Function) -> Any:
    return sum(relu(1 - t * y) for y, t in zip(scores, labels)) * (1 / len(scores))


def points() -> tuple[list[tuple[float, float]], list[float]]:
    """Points of the plane, labelled 1 where both coordinates have one sign, else -1."""
    source = random.Random(2)
    xs = [(source.gauss(0.0, 1.0), source.gauss(0.0, 1.0)) for _ in range(POINTS)]
    return xs, [1.0 if x0 * x1 > 0.0 else -1.0 for x0, x1 in xs]


def moons() -> tuple[list[list[float]], list[float]]:
    """Two half circles that interlock, with noise, labelled 1 and -1."""
    source, xs, ys = random.Random(3), [], []
    for i in range(POINTS):
        angle, side = source.uniform(0.0, HALF_TURN), 1.0 if i % 2 else -1.0
        x = [side * math.cos(angle) + (1 - side) / 2, side * math.sin(angle)]
        xs.append([x[0] + source.gauss(0.0, 0.1), x[1] + source.gauss(0.0, 0.1)])
        ys.append(side)
    return xs, ys
