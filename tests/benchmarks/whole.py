"""Whole programs, as people write them: plain Python on numbers, loops and all.

Each function here makes a `Program` of some size: a loss, the arguments at one point,
and which of them it is differentiated in. They run on floats, on Values, under `grad`
and under `jit` alike; what they share is that none was written with a compiler in mind.
They come from the kinds that are raced elsewhere: GPTs by scalars (A. Karpathy's
microgpt), the LSTM and the Gaussian mixture of ADBench and GradBench, and the models
that chemists, engineers and quants differentiate.

    wide        gpt, mlp, mixture, flow, pairs
    recurrent   lstm, hidden
    serial      lorenz, kalman, chain
    branching   heston, binomial
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import programs

from autograd import (
    cos,
    exp,
    log,
    logsumexp,
    maximum,
    relu,
    sigmoid,
    sin,
    sqrt,
    stop_gradient,
    tanh,
)

LETTERS = 27  # 26 of the alphabet and one that ends a name
BLOCK = 16  # the longest document of a GPT

Vector = Sequence[Any]
Matrix = Sequence[Vector]


@dataclass(frozen=True)
class Program:
    """A loss, its arguments at one point (nested lists), and those of its gradient."""

    loss: Callable[..., Any]
    args: tuple[Any, ...]
    argnums: tuple[int, ...]


class Chance:
    """Numbers for a point, always the same ones."""

    def __init__(self) -> None:
        self.source = random.Random(7)

    def vector(self, size: int, spread: float = 1.0, mean: float = 0.0) -> list[float]:
        return [self.source.gauss(mean, spread) for _ in range(size)]

    def matrix(self, rows: int, size: int, spread: float = 1.0) -> list[list[float]]:
        return [self.vector(size, spread) for _ in range(rows)]


def product(x: Vector, y: Vector) -> Any:
    return sum(x_i * y_i for x_i, y_i in zip(x, y))


def times(w: Matrix, x: Vector) -> list[Any]:
    return [product(row, x) for row in w]


def plus(x: Vector, y: Vector) -> list[Any]:
    return [x_i + y_i for x_i, y_i in zip(x, y)]


def softmax(x: Vector) -> list[Any]:
    """eˣ over their sum; the largest x is taken off first, which changes nothing."""
    largest = stop_gradient(maximum(*x))
    e = [exp(x_i - largest) for x_i in x]
    total = sum(e)
    return [e_i / total for e_i in e]


# ---- a GPT of one block --------------------------------------------------------------


def gpt(positions: int, width: int = 16, heads: int = 4) -> Program:
    """The mean surprise at each next letter of one document, by 4 192 weights."""
    chance, spread = Chance(), 0.08
    square = dict.fromkeys(("query", "key", "value", "mix"), (width, width))
    shapes = {
        "letter": (LETTERS, width), "place": (BLOCK, width), **square,
        "widen": (4 * width, width), "narrow": (width, 4 * width),
        "score": (LETTERS, width),
    }  # fmt: skip
    weights = {name: chance.matrix(*shape, spread) for name, shape in shapes.items()}
    letters = [chance.source.randrange(LETTERS - 1) for _ in range(positions - 1)]
    document = [LETTERS - 1, *letters, LETTERS - 1]

    def loss(weights: dict[str, Matrix]) -> Any:
        keys: list[Vector] = []
        values: list[Vector] = []
        total = 0.0
        for i, (letter, following) in enumerate(zip(document, document[1:])):
            x = plus(weights["letter"][letter], weights["place"][i])
            scores = block(weights, x, keys, values, heads)
            total = total - log(softmax(scores)[following])
        return total / positions

    return Program(loss, (weights,), (0,))


def block(
    weights: dict[str, Matrix], x: Vector, keys: Any, values: Any, heads: int
) -> list[Any]:
    """Attention and a perceptron, each added to what came in; scores of all letters."""
    x = normed(x)
    y = normed(x)
    keys.append(times(weights["key"], y))
    values.append(times(weights["value"], y))
    seen = attended(times(weights["query"], y), keys, values, heads)
    x = plus(times(weights["mix"], seen), x)
    wide = [relu(z) for z in times(weights["widen"], normed(x))]
    return times(weights["score"], plus(times(weights["narrow"], wide), x))


def normed(x: Vector) -> list[Any]:
    """x over the root of its mean square."""
    scale = (product(x, x) / len(x) + 1e-5) ** -0.5
    return [x_i * scale for x_i in x]


def attended(query: Vector, keys: Any, values: Any, heads: int) -> list[Any]:
    """The values, mixed by how well their keys meet the query, head by head."""
    size = len(query) // heads
    found = []
    for start in range(0, len(query), size):
        part = slice(start, start + size)
        scores = [product(query[part], key[part]) / size**0.5 for key in keys]
        shares = softmax(scores)
        for j in range(start, start + size):
            found.append(sum(s * value[j] for s, value in zip(shares, values)))
    return found


# ---- other models that learn ---------------------------------------------------------


def mlp(points: int = 100) -> Program:
    """The whole batch of MLP(2,16,16,1) as a loop over its points."""
    xs, labels = programs.points()

    def loss(weights: Vector, xs: Matrix, labels: Vector) -> Any:
        layers = programs.layered(weights)
        scores = [programs.network(layers, x, relu) for x in xs]
        return programs.mean_hinge(scores, labels, relu)

    data = [list(x) for x in xs[:points]], labels[:points]
    return Program(loss, (programs.weights(), *data), (0,))


def lstm(characters: int, layers: int = 2, size: int = 14) -> Program:
    """ADBench's LSTM, whose gates see each number alone; the surprise at each next."""
    chance = Chance()
    gates = [(chance.matrix(4, size), chance.matrix(4, size)) for _ in range(layers)]
    ends = chance.matrix(3, size)
    text = [chance.source.randrange(size) for _ in range(characters + 1)]
    state = [chance.matrix(2, size) for _ in range(layers)]
    one_hot = [[float(i == letter) for i in range(size)] for letter in text]

    def loss(gates: Any, ends: Matrix, state: Any, text: Matrix) -> Any:
        total = 0.0
        for x, following in zip(text, text[1:]):
            y = [x_i * w for x_i, w in zip(x, ends[0])]
            moved = []
            for (w, b), (hidden, cell) in zip(gates, state):
                y, cell = unit(w, b, y, hidden, cell)
                moved.append((y, cell))
            state = moved
            scores = [y_i * w + b for y_i, w, b in zip(y, ends[1], ends[2])]
            surprise = log(sum(exp(score) for score in scores) + 2.0)
            total = total + (product(scores, following) - surprise)
        return -total / (len(text) - 1)

    return Program(loss, (gates, ends, state, one_hot), (0, 1))


def unit(w: Matrix, b: Matrix, x: Vector, hidden: Vector, cell: Vector) -> Any:
    """(what it puts out, its cell) after one more x."""
    out, kept = [], []
    for i in range(len(x)):
        forget = sigmoid(x[i] * w[0][i] + b[0][i])
        let_in = sigmoid(hidden[i] * w[1][i] + b[1][i])
        let_out = sigmoid(x[i] * w[2][i] + b[2][i])
        change = tanh(hidden[i] * w[3][i] + b[3][i])
        kept.append(cell[i] * forget + let_in * change)
        out.append(let_out * tanh(kept[-1]))
    return out, kept


def mixture(dimensions: int, components: int, points: int) -> Program:
    """The log-likelihood of normal densities, with a Wishart prior (GradBench's GMM).

    Each has a lower triangle for its inverse covariance's root: q is the logarithm of
    the diagonal, l what lies below it, row by row.
    """
    chance, gamma, freedom = Chance(), 1.0, 0.0
    below = dimensions * (dimensions - 1) // 2
    alphas = chance.vector(components)
    means = chance.matrix(components, dimensions)
    qs, ls = chance.matrix(components, dimensions), chance.matrix(components, below)
    xs = chance.matrix(points, dimensions)

    def loss(alphas: Vector, means: Matrix, qs: Matrix, ls: Matrix, xs: Matrix) -> Any:
        diagonals = [[exp(q_i) for q_i in q] for q in qs]
        logs = [a + sum(q) for a, q in zip(alphas, qs)]
        total = -len(xs) * logsumexp(list(alphas))
        for x in xs:
            each = [
                z - 0.5 * squared_distance(x, mean, diagonal, low)
                for z, mean, diagonal, low in zip(logs, means, diagonals, ls)
            ]
            total = total + logsumexp(each)
        sizes = [product(d, d) + product(low, low) for d, low in zip(diagonals, ls)]
        prior = 0.5 * gamma * gamma * sum(sizes) - freedom * sum(map(sum, qs))
        return total + prior

    return Program(loss, (alphas, means, qs, ls, xs), (0, 1, 2, 3))


def squared_distance(x: Vector, mean: Vector, diagonal: Vector, low: Vector) -> Any:
    """|L (x - mean)|², L the triangle."""
    away = [x_i - m_i for x_i, m_i in zip(x, mean)]
    total, place = 0.0, 0
    for i, (d, a) in enumerate(zip(diagonal, away)):
        row = d * a + product(low[place : place + i], away)
        place += i
        total = total + row * row
    return total


def hidden(states: int, length: int, symbols: int = 5) -> Program:
    """Minus the log-likelihood of a hidden Markov chain, by the forward algorithm."""
    chance = Chance()
    seen = [chance.source.randrange(symbols) for _ in range(length)]
    args = (
        chance.vector(states),
        chance.matrix(states, states),
        chance.matrix(states, symbols),
    )

    def loss(begin: Vector, moves: Matrix, signs: Matrix) -> Any:
        begin = log_shares(begin)
        moves, signs = [*map(log_shares, moves)], [*map(log_shares, signs)]
        here = [b + sign[seen[0]] for b, sign in zip(begin, signs)]
        for symbol in seen[1:]:
            here = [
                logsumexp([h + move[j] for h, move in zip(here, moves)])
                + signs[j][symbol]
                for j in range(states)
            ]
        return -logsumexp(here)

    return Program(loss, args, (0, 1, 2))


def log_shares(x: Vector) -> list[Any]:
    total = logsumexp(list(x))
    return [x_i - total for x_i in x]


# ---- models that move in time --------------------------------------------------------


def lorenz(steps: int) -> Program:
    """Three rates of Lorenz' equations, by RK4: how far the orbit is from points."""
    h = 0.01

    def slope(state: Vector, rates: Vector) -> list[Any]:
        (x, y, z), (sigma, rho, beta) = state, rates
        return [sigma * (y - x), x * (rho - z) - y, x * y - beta * z]

    def loss(rates: Vector) -> Any:
        state: Vector = [1.0, 1.0, 1.0]
        total = 0.0
        for i in range(steps):
            k1 = slope(state, rates)
            k2 = slope([u + h / 2 * k for u, k in zip(state, k1)], rates)
            k3 = slope([u + h / 2 * k for u, k in zip(state, k2)], rates)
            k4 = slope([u + h * k for u, k in zip(state, k3)], rates)
            state = [
                u + h / 6 * (a + 2 * b + 2 * c + d)
                for u, a, b, c, d in zip(state, k1, k2, k3, k4)
            ]
            if i % 10 == 9:
                total = total + (state[0] - cos(0.1 * i)) ** 2
        return total + product(state, state)

    return Program(loss, ([10.0, 28.0, 8.0 / 3.0],), (0,))


def kalman(steps: int) -> Program:
    """Minus the log-likelihood of noisy places, of what moves at a noisy speed."""
    chance = Chance()
    places = [0.1 * i + noise for i, noise in enumerate(chance.vector(steps, 0.5))]

    def loss(logs: Vector, places: Vector) -> Any:
        jitter, noise, first = map(exp, logs)
        place, speed = 0.0, 0.0
        a, b, c = first, 0.0, first  # the covariance, (a b; b c)
        total = 0.0
        for seen in places:
            place, a, b, c = place + speed, a + 2.0 * b + c, b + c, c + jitter
            spread = a + noise
            wrong = seen - place
            total = total + 0.5 * (log(spread) + wrong * wrong / spread)
            k, g = a / spread, b / spread
            place, speed = place + k * wrong, speed + g * wrong
            a, b, c = (1.0 - k) * a, (1.0 - k) * b, c - g * b
        return total

    return Program(loss, ([-4.0, -1.5, 0.5], places), (0,))


def heston(steps: int) -> Program:
    """One path of a stock whose variance wanders; knocked out below a barrier."""
    chance, dt = Chance(), 1.0 / steps

    def loss(model: Vector, draws: Matrix) -> Any:
        stock, variance, back, level, wild, tie, rate = model
        for i, (z, other) in enumerate(draws):
            present = maximum(variance, 0.0)
            root = sqrt(present * dt + 1e-12)
            stock = stock * exp((rate - present / 2) * dt + root * z)
            shock = tie * z + sqrt(1.0 - tie * tie) * other
            variance = variance + back * (level - present) * dt + wild * root * shock
            if stock < 80.0:
                return 3.0 * exp(-rate * dt * (i + 1))
        return maximum(stock - 95.0, 0.0) * exp(-rate)

    model = [100.0, 0.04, 2.0, 0.04, 0.3, -0.7, 0.03]
    return Program(loss, (model, chance.matrix(steps, 2)), (0,))


def binomial(steps: int) -> Program:
    """An American put by a tree of Cox, Ross and Rubinstein."""

    def loss(stock: Any, strike: Any, rate: Any, volatility: Any, years: Any) -> Any:
        dt = years / steps
        up = exp(volatility * sqrt(dt))
        discount = exp(-rate * dt)
        p = (exp(rate * dt) - 1.0 / up) / (up - 1.0 / up)

        def now(level: int, ups: int) -> Any:
            return strike - stock * up ** (2 * ups - level)

        worth = [maximum(now(steps, j), 0.0) for j in range(steps + 1)]
        for level in reversed(range(steps)):
            worth = [
                maximum(discount * (p * high + (1.0 - p) * low), now(level, j))
                for j, (low, high) in enumerate(zip(worth, worth[1:]))
            ]
        return worth[0]

    return Program(loss, (100.0, 105.0, 0.05, 0.2, 1.0), (0, 1, 2, 3, 4))


def chain(links: int) -> Program:
    """y ← sin(y) · w + b, three operations a link: nothing but depth."""

    def loss(y: Any, w: Any, b: Any) -> Any:
        return programs.chain(y, w, b, sin, links)

    return Program(loss, (0.5, 1.01, 0.1), (0, 1, 2))


# ---- sums over a graph ---------------------------------------------------------------


def flow(buses: int) -> Program:
    """What a grid of power lines is short of, squared: a ring with chords."""
    chance = Chance()
    ends = [(i, (i + 1) % buses) for i in range(buses)]
    ends += [tuple(chance.source.sample(range(buses), 2)) for _ in range(buses // 2)]
    lines = [(i, j, *map(abs, chance.vector(2))) for i, j in ends]

    def loss(volts: Vector, angles: Vector, loads: Matrix) -> Any:
        real, reactive = ([load[k] for load in loads] for k in (0, 1))
        for m, n, g, b in lines:
            for i, j in ((m, n), (n, m)):
                angle, size = angles[i] - angles[j], volts[i] * volts[j]
                c, s = cos(angle), sin(angle)
                real[i] = real[i] + volts[i] ** 2 * g - size * (g * c - b * s)
                reactive[i] = reactive[i] + volts[i] ** 2 * b - size * (g * s + b * c)
        return product(real, real) + product(reactive, reactive)

    volts = chance.vector(buses, 0.05, mean=1.0)
    return Program(
        loss, (volts, chance.vector(buses, 0.2), chance.matrix(buses, 2)), (0, 1)
    )


def pairs(count: int = 20) -> Program:
    """The energy of beads on a line, each of which feels every other one."""

    def loss(x: Vector) -> Any:
        total = 0.0
        for i in range(count):
            for j in range(i):
                d = x[i] - x[j] + 0.1 * (i - j)
                r = d * d + 0.5
                near = 1.0 / r**3 - exp(-r) * sin(x[i] * x[j])
                far = sqrt(r + x[i] * x[i]) * cos(d) + log(r) / (1.0 + r)
                total = total + near + 0.1 * far * tanh(near)
        return total

    return Program(loss, (Chance().vector(count),), (0,))
