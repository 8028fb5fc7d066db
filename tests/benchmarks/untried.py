"""Programs that nothing was tuned for: one of each kind, kept for the end.

They are measured as they come out, without a target. Whoever makes compiled code faster
looks at the programs of `whole.py` and leaves these alone.
"""

from __future__ import annotations

from typing import Any

from whole import (
    Chance,
    Matrix,
    Program,
    Vector,
    log_shares,
    plus,
    product,
    softmax,
    times,
)

from autograd import maximum, relu, sigmoid, sqrt, tanh


def convolution(side: int, images: int, filters: int = 3, classes: int = 3) -> Program:
    """Wide: filters of 3 x 3, the largest of each 2 x 2, and a layer for classes."""
    chance, inner = Chance(), (side - 2) // 2
    args = (
        [chance.matrix(3, 3, 0.4) for _ in range(filters)],
        chance.vector(filters, 0.1),
        chance.matrix(classes, filters * inner * inner, 0.3),
        [chance.matrix(side, side) for _ in range(images)],
    )

    def pooled(image: Matrix, w: Matrix, b: Any, i: int, j: int) -> Any:
        """The largest of four neighbours, of what the filter sees."""
        return maximum(*[
            relu(sum(product(w[k], image[r + k][c : c + 3]) for k in range(3)) + b)
            for r in (2 * i, 2 * i + 1) for c in (2 * j, 2 * j + 1)
        ])  # fmt: skip

    def loss(kernels: Any, biases: Vector, last: Matrix, images: Any) -> Any:
        total = 0.0
        for label, image in enumerate(images):
            seen = [
                pooled(image, w, b, i, j)
                for w, b in zip(kernels, biases)
                for i in range(inner) for j in range(inner)
            ]  # fmt: skip
            total = total - log_shares(times(last, seen))[label % classes]
        return total / len(images)

    return Program(loss, args, (0, 1, 2))


def recall(length: int, size: int = 8, seen: int = 3) -> Program:
    """Recurrent: gated units that look back, at each step, at all their states."""
    chance = Chance()
    names = "reset", "update", "change"
    gates = {name: chance.matrix(size, size + seen + 1, 0.4) for name in names}
    ends = chance.vector(2 * size, 0.5)
    xs, ys = chance.matrix(length, seen), chance.vector(length)

    def step(gates: dict[str, Matrix], x: Vector, state: Vector) -> list[Any]:
        """A gated recurrent unit; the last weight of each row is its bias."""
        both = [*state, *x, 1.0]
        reset = [sigmoid(z) for z in times(gates["reset"], both)]
        update = [sigmoid(z) for z in times(gates["update"], both)]
        held = [r * s for r, s in zip(reset, state)]
        change = [tanh(z) for z in times(gates["change"], [*held, *x, 1.0])]
        return [s + u * (c - s) for s, u, c in zip(state, update, change)]

    def loss(gates: dict[str, Matrix], ends: Vector, xs: Matrix, ys: Vector) -> Any:
        state: Vector = [0.0] * size
        states, total = [], 0.0
        for x, y in zip(xs, ys):
            state = step(gates, x, state)
            states.append(state)
            shares = softmax([product(state, s) for s in states])
            back = [product(shares, each) for each in zip(*states)]
            total = total + (product(ends, [*state, *back]) - y) ** 2
        return total / len(ys)

    return Program(loss, (gates, ends, xs, ys), (0, 1))


def orbit(steps: int) -> Program:
    """Serial: a satellite around a flattened planet, by leaps; how far it misses."""

    def pull(x: Any, y: Any, mass: Any, flat: Any) -> tuple[Any, Any]:
        square = x * x + y * y
        strength = mass / (square * sqrt(square))
        bent = 1.0 + flat / square
        return -strength * bent * x, -strength * bent * y

    def loss(place: Vector, speed: Vector, planet: Vector, aim: Vector) -> Any:
        (x, y), (u, v), h = place, speed, 0.02
        a, b = pull(x, y, *planet)
        for _ in range(steps):
            u, v = u + h / 2 * a, v + h / 2 * b
            x, y = x + h * u, y + h * v
            a, b = pull(x, y, *planet)
            u, v = u + h / 2 * a, v + h / 2 * b
        return (x - aim[0]) ** 2 + (y - aim[1]) ** 2

    args = [1.0, 0.0], [0.0, 1.1], [1.0, 0.01], [0.0, 1.0]
    return Program(loss, args, (0, 1, 2))


def routed(points: int, depth: int = 4, size: int = 4) -> Program:
    """Branching: a tree whose forks are sure of most points and mix both ways for some.

    A point goes one way where the score is large, and both ways, by shares, where not.
    """
    chance = Chance()
    forks = chance.matrix(2**depth - 1, size + 1)
    leaves = chance.matrix(2**depth, size + 1)
    xs, ys = chance.matrix(points, size), chance.vector(points)

    def linear(w: Vector, x: Vector) -> Any:
        return product(w[:-1], x) + w[-1]

    def answer(forks: Matrix, leaves: Matrix, x: Vector, place: int) -> Any:
        if place >= len(forks):
            return linear(leaves[place - len(forks)], x)
        score = linear(forks[place], x)
        left, right = 2 * place + 1, 2 * place + 2
        if score > 0.5:
            return answer(forks, leaves, x, left)
        if score < -0.5:
            return answer(forks, leaves, x, right)
        share = sigmoid(4.0 * score)
        both = [answer(forks, leaves, x, side) for side in (left, right)]
        return share * both[0] + (1.0 - share) * both[1]

    def loss(forks: Matrix, leaves: Matrix, xs: Matrix, ys: Vector) -> Any:
        found = [answer(forks, leaves, x, 0) for x in xs]
        wrong = plus(found, [-y for y in ys])
        return product(wrong, wrong) / len(ys)

    return Program(loss, (forks, leaves, xs, ys), (0, 1))
